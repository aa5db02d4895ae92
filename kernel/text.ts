/** Reading ASCII text that came from outside: a run of bytes given by address and length. */

/** Whether the bytes are exactly `text` (ASCII). */
export function textEquals(at: usize, length: u32, text: string): bool {
  if (length != <u32>text.length) return false;
  for (let i: u32 = 0; i < length; i++) {
    if (load<u8>(at + i) != load<u16>(changetype<usize>(text) + ((<usize>i) << 1))) return false;
  }
  return true;
}

/** Offset of the first `byte`, or `length` if there is none. */
export function textFind(at: usize, length: u32, byte: u32): u32 {
  for (let i: u32 = 0; i < length; i++) if (load<u8>(at + i) == byte) return i;
  return length;
}

/** A decimal number of digits only, at most `limit` (below 2^31), without needless zeros; -1 if it is not one. */
export function parseDecimal(at: usize, length: u32, limit: u32): i32 {
  if (length == 0 || length > 10 || (length > 1 && load<u8>(at) == 0x30)) return -1;
  let value: u64 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const digit = <u32>load<u8>(at + i) - 0x30;
    if (digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value > limit ? -1 : <i32>value;
}

/** A hexadecimal number of 1 to 8 digits; -1 if it is not one. */
export function parseHex(at: usize, length: u32): i64 {
  if (length == 0 || length > 8) return -1;
  let value: i64 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const byte = <u32>load<u8>(at + i);
    const letter = (byte | 0x20) - 0x61;
    const digit = letter < 6 ? letter + 10 : byte - 0x30;
    if (digit > 15 || (letter >= 6 && digit > 9)) return -1;
    value = (value << 4) | digit;
  }
  return value;
}

/** An IPv4 address in dotted decimal, or -1. Four parts, no leading zeros: no octal to misread. */
export function parseV4(at: usize, length: u32): i64 {
  let address: i64 = 0;
  for (let part: u32 = 0; part < 4; part++) {
    const digits = part < 3 ? textFind(at, length, 0x2e) : length;
    if (part < 3 && digits == length) return -1;
    const value = parseDecimal(at, digits, 255);
    if (value < 0) return -1;
    address = (address << 8) | value;
    const taken = part < 3 ? digits + 1 : digits;
    at += taken;
    length -= taken;
  }
  return address;
}
