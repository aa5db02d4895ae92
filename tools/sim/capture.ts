import { closeSync, openSync, writeSync } from "node:fs";
import type { Link } from "./link.ts";

/**
 * Writes what is sent on a link to a pcap file with nanosecond time stamps
 * (draft-ietf-opsawg-pcap, 4 and 5), for tshark. Returns what closes it.
 */
export function capture(link: Link, path: string): () => void {
  const file = openSync(path, "w");
  const header = new DataView(new ArrayBuffer(24));
  header.setUint32(0, 0xa1b23c4d, true);
  header.setUint16(4, 2, true);
  header.setUint16(6, 4, true);
  header.setUint32(16, 262144, true);
  header.setUint32(20, 1, true);
  writeSync(file, new Uint8Array(header.buffer));
  link.observe((frame, _from, at) => {
    const record = new Uint8Array(16 + frame.length);
    const view = new DataView(record.buffer);
    view.setUint32(0, Math.floor(at / 1e9), true);
    view.setUint32(4, Math.floor(at % 1e9), true);
    view.setUint32(8, frame.length, true);
    view.setUint32(12, frame.length, true);
    record.set(frame, 16);
    writeSync(file, record);
  });
  return () => closeSync(file);
}
