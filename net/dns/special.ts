import { parseDecimal, parseHex } from "../../kernel/text";
import { dnsWithin } from "../wire/dns";
import { cutTo, labelCount } from "./secure/names";

/**
 * Names of a meaning of their own (RFC 6761), by which they are looked up and validated differently. They are wire
 * names in either case.
 */

/** "\9localhost", "\7invalid", "\5onion", "\4test", "\8internal", "\4home\4arpa", the roots of both reverse trees. */
const LOCALHOST: usize = memory.data<u8>([9, 108, 111, 99, 97, 108, 104, 111, 115, 116, 0]);
const INVALID: usize = memory.data<u8>([7, 105, 110, 118, 97, 108, 105, 100, 0]);
const ONION: usize = memory.data<u8>([5, 111, 110, 105, 111, 110, 0]);
const TEST: usize = memory.data<u8>([4, 116, 101, 115, 116, 0]);
const INTERNAL: usize = memory.data<u8>([8, 105, 110, 116, 101, 114, 110, 97, 108, 0]);
const HOME_ARPA: usize = memory.data<u8>([4, 104, 111, 109, 101, 4, 97, 114, 112, 97, 0]);
const IN_ADDR: usize = memory.data<u8>([
  7, 105, 110, 45, 97, 100, 100, 114, 4, 97, 114, 112, 97, 0,
]);
const IP6: usize = memory.data<u8>([3, 105, 112, 54, 4, 97, 114, 112, 97, 0]);

/** Networks whose reverse zones are everybody's own (RFC 6303, 4; RFC 7793): address and prefix length. */
const NETS4: usize = memory.data<u32>([
  0x0a00_0000, 8, 0xac10_0000, 12, 0xc0a8_0000, 16, 0x0000_0000, 8, 0x7f00_0000, 8, 0xa9fe_0000, 16,
  0xc000_0200, 24, 0xc633_6400, 24, 0xcb00_7100, 24, 0xffff_ffff, 32, 0x6440_0000, 10,
]);
const NETS4_COUNT: u32 = 11;
/** Likewise, the first 32 bits; `::` and `::1` are apart (4.3 to 4.6). */
const NETS6: usize = memory.data<u32>([0xfd00_0000, 8, 0xfe80_0000, 10, 0x2001_0db8, 32]);
const NETS6_COUNT: u32 = 3;

/** `localhost`, or below it: this machine (RFC 6761, 6.3). */
export function isLocalhost(name: usize, length: u32): bool {
  return dnsWithin(name, length, LOCALHOST, 11);
}

/** What nobody has and nobody is asked about: `invalid` (RFC 6761, 6.4), and `onion` where there is no Tor (RFC 7686, 2). */
export function isNobodys(name: usize, length: u32): bool {
  return dnsWithin(name, length, INVALID, 9) || dnsWithin(name, length, ONION, 7);
}

/**
 * What each network may have as its own and the Internet has not: `test` (RFC 6761, 6.2), `home.arpa` (RFC 8375, 4),
 * `internal` (ICANN, 2024), and the names of private addresses (RFC 6303; RFC 7793). A network's own servers are asked
 * about them, the root's never; and as they are different everywhere, no signature leads to them.
 */
export function isPrivate(name: usize, length: u32): bool {
  if (dnsWithin(name, length, TEST, 6) || dnsWithin(name, length, HOME_ARPA, 11)) return true;
  if (dnsWithin(name, length, INTERNAL, 10)) return true;
  if (dnsWithin(name, length, IN_ADDR, 14)) return isPrivate4(name);
  return dnsWithin(name, length, IP6, 10) && isPrivate6(name);
}

function isPrivate4(name: usize): bool {
  const labels = min<u32>(labelCount(name) - 2, 4);
  let value: u32 = 0;
  for (let i: u32 = 1; i <= labels; i++) {
    const label = name + cutTo(name, 2 + i);
    const octet = parseDecimal(label + 1, load<u8>(label), 255);
    if (octet < 0) return false;
    value |= (<u32>octet) << (32 - (i << 3));
  }
  return isOf(NETS4, NETS4_COUNT, value, labels << 3);
}

/** The first 32 bits, whether any of the next 92 is set, and the last four. */
function isPrivate6(name: usize): bool {
  const labels = min<u32>(labelCount(name) - 2, 32);
  let value: u32 = 0;
  let rest: u32 = 0;
  let last: u32 = 0;
  for (let i: u32 = 1; i <= labels; i++) {
    const label = name + cutTo(name, 2 + i);
    const digit = load<u8>(label) == 1 ? parseHex(label + 1, 1) : -1;
    if (digit < 0) return false;
    if (i <= 8) value |= (<u32>digit) << (32 - (i << 2));
    else if (i < 32) rest |= <u32>digit;
    else last = <u32>digit;
  }
  if (labels == 32 && !value && !rest && last < 2) return true;
  return isOf(NETS6, NETS6_COUNT, value, labels << 2);
}

function isOf(nets: usize, count: u32, value: u32, bits: u32): bool {
  for (let i: u32 = 0; i < count; i++) {
    const net = load<u32>(nets + (i << 3));
    const prefix = load<u32>(nets + (i << 3), 4);
    if (bits >= prefix && (value ^ net) >> (32 - prefix) == 0) return true;
  }
  return false;
}
