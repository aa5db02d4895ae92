import { IpAddress, v6Wire } from "../net/wire/address";

/** ASCII text that came from outside, a run of bytes given by address and length; and addresses as text. */

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

/** One hexadecimal digit, or -1. */
function hexDigit(byte: u32): i32 {
  if (byte - 0x30 < 10) return byte - 0x30;
  const letter = (byte | 0x20) - 0x61;
  return letter < 6 ? letter + 10 : -1;
}

/** Eight groups, as on the wire. */
const address: usize = memory.data(16, 8);

/**
 * Reads an IPv6 address as RFC 4291, 2.2 has it, the last 32 bits in dotted decimal if so written.
 * False if it is none.
 */
export function parseV6(at: usize, length: u32, into: IpAddress): bool {
  // Groups read, and how many of them stand before `::`; 8 without one.
  let groups: u32 = 0;
  let gap: u32 = 8;
  let position: u32 = 0;
  memory.fill(address, 0, 16);
  if (length >= 2 && load<u16>(at) == 0x3a3a) {
    gap = 0;
    position = 2;
  }
  while (position < length) {
    const size = textFind(at + position, length - position, 0x3a);
    if (textFind(at + position, size, 0x2e) < size) {
      const v4 = position + size == length && groups <= 6 ? parseV4(at + position, size) : -1;
      if (v4 < 0) return false;
      store<u32>(address + (groups << 1), bswap(<u32>v4));
      groups += 2;
      break;
    }
    const value = groups < 8 ? parseGroup(at + position, size) : -1;
    if (value < 0) return false;
    store<u16>(address + (groups << 1), bswap(<u16>value));
    groups++;
    position += size;
    if (position == length) break;
    // A colon, and behind it a group, or a second one that stands for zeros.
    if (++position == length) return false;
    if (load<u8>(at + position) == 0x3a) {
      if (gap != 8) return false;
      gap = groups;
      position++;
    }
  }
  if (gap == 8 ? groups != 8 : groups > 7) return false;
  if (gap < groups) {
    const behind = (groups - gap) << 1;
    const from = address + (gap << 1);
    memory.copy(address + 16 - behind, from, behind);
    memory.fill(from, 0, 16 - behind - (gap << 1));
  }
  into.set(bswap(load<u64>(address)), bswap(load<u64>(address, 8)));
  return true;
}

/** One to four hexadecimal digits, or -1. */
function parseGroup(at: usize, length: u32): i32 {
  if (length == 0 || length > 4) return -1;
  let value: i32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const digit = hexDigit(load<u8>(at + i));
    if (digit < 0) return -1;
    value = (value << 4) | digit;
  }
  return value;
}

/** Writes an address as people do, dotted decimal or RFC 5952 (4.1 to 4.3): how many bytes, at most 39. */
export function formatIp(address: IpAddress, into: usize): u32 {
  return <u32>((address.isV4 ? formatV4(address.v4, into) : formatV6(address, into)) - into);
}

function formatV4(address: u32, at: usize): usize {
  for (let shift: u32 = 24; ; shift -= 8) {
    const part = (address >> shift) & 0xff;
    if (part >= 100) store<u8>(at++, 0x30 + part / 100);
    if (part >= 10) store<u8>(at++, 0x30 + ((part / 10) % 10));
    store<u8>(at++, 0x30 + (part % 10));
    if (!shift) break;
    store<u8>(at++, 0x2e);
  }
  return at;
}

/** The 16-bit group `index`, 0 the leftmost, of an IPv6 address. */
@inline function group(address: IpAddress, index: u32): u32 {
  const half = index < 4 ? v6Wire(address.hi) : address.lo;
  return (<u32>(half >> ((3 - (index & 3)) << 4))) & 0xffff;
}

function formatV6(address: IpAddress, at: usize): usize {
  // The longest run of two or more zero groups, the first of equals, becomes `::`.
  let best: u32 = 8;
  let bestLength: u32 = 1;
  for (let i: u32 = 0, run: u32 = 0; i < 8; i++) {
    run = group(address, i) ? 0 : run + 1;
    if (run > bestLength) {
      bestLength = run;
      best = i + 1 - run;
    }
  }
  for (let i: u32 = 0; i < 8;) {
    if (i == best) {
      store<u8>(at++, 0x3a);
      i += bestLength;
      if (i == 8) store<u8>(at++, 0x3a);
      continue;
    }
    if (i) store<u8>(at++, 0x3a);
    const value = group(address, i++);
    const digits: u32 = value < 0x10 ? 1 : value < 0x100 ? 2 : value < 0x1000 ? 3 : 4;
    for (let shift = (digits - 1) << 2; ; shift -= 4) {
      const digit = (value >> shift) & 15;
      store<u8>(at++, digit + (digit < 10 ? 0x30 : 0x57));
      if (!shift) break;
    }
  }
  return at;
}
