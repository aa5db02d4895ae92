/**
 * CRC-32 (ISO 3309, the one of zlib and Ethernet), eight bytes at a time: table k holds the
 * effect of a byte that has k more behind it (Kounavis and Berry, 2005).
 */

const POLYNOMIAL: u32 = 0xedb8_8320;
const tables: usize = fill(memory.data(8 * 1024, 64));

function fill(into: usize): usize {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
    store<u32>(into + ((<usize>byte) << 2), value);
  }
  for (let at: usize = 1024; at < 8192; at += 4) {
    const before = load<u32>(into + at - 1024);
    store<u32>(into + at, (before >>> 8) ^ load<u32>(into + ((<usize>(before & 0xff)) << 2)));
  }
  return into;
}


@inline function entry(table: usize, byte: u32): u32 {
  return load<u32>(tables + (table << 10) + ((<usize>(byte & 0xff)) << 2));
}

/** The checksum of what `crc` is the checksum of, and `length` bytes at `at` behind it; 0 to begin. */
export function crc32(crc: u32, at: usize, length: u32): u32 {
  crc = ~crc;
  const end = at + length;
  for (; at + 8 <= end; at += 8) {
    const low = load<u32>(at) ^ crc;
    const high = load<u32>(at, 4);
    crc =
      entry(7, low) ^
      entry(6, low >>> 8) ^
      entry(5, low >>> 16) ^
      entry(4, low >>> 24) ^
      entry(3, high) ^
      entry(2, high >>> 8) ^
      entry(1, high >>> 16) ^
      entry(0, high >>> 24);
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ entry(0, crc ^ load<u8>(at));
  return ~crc;
}
