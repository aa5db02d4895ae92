import { textFind, parseDecimal, parseHex } from "../../kernel/text";
import { Bus, Found } from "../bus";
import { LINES, NO_LINE } from "../device";
import { virtioMmioProbe } from "./mmio";

/**
 * Virtio devices at fixed addresses (Virtual I/O Device 1.2, 4.2.1). No bus lists them: the machine's
 * maker says where they are, and QEMU's microvm and Firecracker do it on the kernel's command line, in
 * Linux's words: `virtio_mmio.device=512@0xfeb00e00:12`, which is bytes, address and interrupt line.
 */

@unmanaged
export class VirtioMmio extends Found {
  /** Bytes of its registers. */
  length: u32;
}

/** Devices that the table has room for: QEMU's microvm has up to 24 places. */
const DEVICES_MAX: u32 = 32;

const table: usize = memory.data(32 * 24, 8);
let count: u32 = 0;

/** Devices that were named. */
export function virtioMmioCount(): u32 {
  return count;
}

/** Device `index`, below `virtioMmioCount()`; its id is 0 until `virtioMmioScan` finds something there. */
export function virtioMmioAt(index: u32): VirtioMmio {
  return changetype<VirtioMmio>(table + <usize>index * offsetof<VirtioMmio>());
}

/** Forgets all devices. */
export function virtioMmioClear(): void {
  count = 0;
}

/** Notes a device; one that is known already is left as it is. False when the table is full. */
export function virtioMmioAdd(address: u32, length: u32, line: u32): bool {
  let place: u32 = 0;
  for (; place < count && virtioMmioAt(place).address <= address; place++) {
    if (virtioMmioAt(place).address == address) return true;
  }
  if (count == DEVICES_MAX) return false;
  // In the order of addresses, since interfaces are numbered by it.
  const at = changetype<usize>(virtioMmioAt(place));
  memory.copy(at + offsetof<VirtioMmio>(), at, (count - place) * offsetof<VirtioMmio>());
  count++;
  const device = virtioMmioAt(place);
  device.kind = Bus.VirtioMmio;
  device.address = address;
  device.id = 0;
  device.revision = 0;
  device.length = length;
  device.line = line < LINES ? line : NO_LINE;
  return true;
}

/** Takes a device as the command line names it. False if that is no device, or one too many. */
export function virtioMmioNamed(text: usize, length: u32): bool {
  const at = textFind(text, length, 0x40);
  const colon = textFind(text, length, 0x3a);
  if (at == 0 || at >= colon || colon == length) return false;
  const bytes = parseSize(text, at);
  const address = parseNumber(text + at + 1, colon - at - 1);
  // What may follow the line is the number that Linux gives the device.
  const rest = length - colon - 1;
  const line = parseDecimal(
    text + colon + 1,
    textFind(text + colon + 1, rest, 0x3a),
    i32.MAX_VALUE - 1,
  );
  if (bytes <= 0 || address <= 0 || address & 3 || line < 0) return false;
  return virtioMmioAdd(<u32>address, <u32>bytes, <u32>line);
}

/** Hexadecimal after `0x`, else decimal; -1 if it is neither or has more than 32 bits. */
function parseNumber(at: usize, length: u32): i64 {
  if (length > 2 && load<u16>(at) == 0x7830) return parseHex(at + 2, length - 2);
  return parseDecimal(at, length, i32.MAX_VALUE - 1);
}

/** The same with K or M behind it, at most 1 MiB. */
function parseSize(at: usize, length: u32): i64 {
  const last = (<u32>load<u8>(at + length - 1)) | 0x20;
  const shift: u32 = last == 0x6b ? 10 : last == 0x6d ? 20 : 0;
  const value = parseNumber(at, shift ? length - 1 : length);
  return value < 0 || value > (1 << 20) >> shift ? -1 : value << shift;
}

/** Whether what was found there still answers. */
export function virtioMmioPresent(device: VirtioMmio): bool {
  return virtioMmioProbe(device.address, device.length) == device.id;
}

/** Looks what is at the places that were named. */
export function virtioMmioScan(): void {
  for (let i: u32 = 0; i < count; i++) {
    const device = virtioMmioAt(i);
    device.id = virtioMmioProbe(device.address, device.length);
  }
}
