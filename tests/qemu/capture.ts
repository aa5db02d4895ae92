import { readFileSync, writeFileSync } from "node:fs";

/**
 * QEMU's dump of a card that hands over packets with a header before each, as virtio-net does and the
 * e1000e in front of a TAP: `struct virtio_net_hdr` (Virtual I/O Device 1.2, 5.1.6), little-endian.
 */

const NEEDS_CSUM = 1;
const CSUM_START = 6;
const CSUM_OFFSET = 8;

/** A pcap file's own header, and that of each frame: seconds, microseconds, bytes here, bytes in all. */
const FILE_HEADER = 24;
const FRAME_HEADER = 16;
const HERE = 8;
const IN_ALL = 12;

/** RFC 1071 over `bytes`. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum += i % 2 ? bytes[i]! : bytes[i]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/**
 * Takes the header of `length` bytes off each frame of a capture, and does what it asks of whoever sends
 * the frame on: completes the checksum that begins with the pseudo-header's sum.
 */
export function plainFrames(capture: string, length: number): void {
  const file = readFileSync(capture);
  const parts = [file.subarray(0, FILE_HEADER)];
  for (let at = FILE_HEADER; at + FRAME_HEADER <= file.length;) {
    const header = Buffer.from(file.subarray(at, at + FRAME_HEADER));
    const end = at + FRAME_HEADER + header.readUInt32LE(HERE);
    const own = file.subarray(at + FRAME_HEADER, at + FRAME_HEADER + length);
    const frame = file.subarray(at + FRAME_HEADER + length, end);
    const whole = header.readUInt32LE(HERE) === header.readUInt32LE(IN_ALL);
    if (own[0]! & NEEDS_CSUM && whole) {
      const start = own.readUInt16LE(CSUM_START);
      const field = start + own.readUInt16LE(CSUM_OFFSET);
      frame.writeUInt16BE(checksum(frame.subarray(start)), field);
    }
    for (const count of [HERE, IN_ALL])
      header.writeUInt32LE(header.readUInt32LE(count) - length, count);
    parts.push(header, frame);
    at = end;
  }
  writeFileSync(capture, Buffer.concat(parts));
}
