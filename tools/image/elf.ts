/** The few things that are read from a linked ELF64 file: sections by name, and where it loads. */

export interface Section {
  name: string;
  /** Virtual address, or 0n for what is not loaded. */
  address: bigint;
  size: number;
  /** The contents; empty for .bss. */
  bytes: Uint8Array;
}

const SHT_NOBITS = 8;

/** The sections of a little-endian ELF64 file that a linker wrote. */
export function readSections(file: Uint8Array): Map<string, Section> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const headers = Number(view.getBigUint64(0x28, true));
  const headerSize = view.getUint16(0x3a, true);
  const count = view.getUint16(0x3c, true);
  const headerAt = (index: number) => headers + index * headerSize;
  const offsetOf = (header: number) => Number(view.getBigUint64(header + 0x18, true));
  const namesAt = offsetOf(headerAt(view.getUint16(0x3e, true)));

  const sections = new Map<string, Section>();
  for (let index = 1; index < count; index++) {
    const header = headerAt(index);
    const nameAt = namesAt + view.getUint32(header, true);
    const name = Buffer.from(file.subarray(nameAt, file.indexOf(0, nameAt))).toString("latin1");
    const offset = offsetOf(header);
    const size = Number(view.getBigUint64(header + 0x20, true));
    const stored = view.getUint32(header + 4, true) === SHT_NOBITS ? 0 : size;
    sections.set(name, {
      name,
      address: view.getBigUint64(header + 0x10, true),
      size,
      bytes: file.subarray(offset, offset + stored),
    });
  }
  return sections;
}

const PT_LOAD = 1;

/** Physical address behind the last byte that the file occupies once it is loaded. */
export function loadedEnd(file: Uint8Array): number {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const headers = Number(view.getBigUint64(0x20, true));
  const headerSize = view.getUint16(0x36, true);
  const count = view.getUint16(0x38, true);
  let end = 0;
  for (let at = headers; at < headers + count * headerSize; at += headerSize) {
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    const address = Number(view.getBigUint64(at + 0x18, true));
    end = Math.max(end, address + Number(view.getBigUint64(at + 0x28, true)));
  }
  return end;
}
