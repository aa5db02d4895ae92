import { dnsLower, dnsSame, dnsWithin, dnsFromText } from "../../wire/dns";
import { parseDecimal, parseHex, textFind } from "../../../kernel/text";
import { isPrivate } from "../special";
import { labelCount } from "./names";

/**
 * Trust anchors: DS records that are believed without being signed (RFC 4035, 4.4), and domains where nothing
 * is checked (negative ones, RFC 7646). The root's are built in, as IANA publishes them; those of the
 * command line come beside them, and one for the root in their place. The Internet's root says of private names that
 * there are none, which is no word about a network's own: they are excepted, but where an anchor of the command line
 * says otherwise.
 */

/** `ANCHOR_BYTES` each. */
@unmanaged
class Anchor {
  /** Of the zone's name. */
  nameLength: u32;
  /** Of the DS data: key tag, algorithm, digest type, digest (RFC 4034, 5.1). */
  dsLength: u32;


  @inline get name(): usize {
    return changetype<usize>(this) + 8;
  }


  @inline get ds(): usize {
    return changetype<usize>(this) + 8 + 256;
  }
}

const ANCHORS_MAX: u32 = 8;
const ANCHOR_BYTES: u32 = 8 + 256 + 56;
const NEGATIVES_MAX: u32 = 8;

/** KSK-2017 and KSK-2024: RSA/SHA-256 by SHA-256. */
const ROOT: usize = memory.data<u8>([
  0x4f, 0x66, 0x08, 0x02, 0xe0, 0x6d, 0x44, 0xb8, 0x0b, 0x8f, 0x1d, 0x39, 0xa9, 0x5c, 0x0b, 0x0d,
  0x7c, 0x65, 0xd0, 0x84, 0x58, 0xe8, 0x80, 0x40, 0x9b, 0xbc, 0x68, 0x34, 0x57, 0x10, 0x42, 0x37,
  0xc7, 0xf8, 0xec, 0x8d, 0x97, 0x28, 0x08, 0x02, 0x68, 0x3d, 0x2d, 0x0a, 0xcb, 0x8c, 0x9b, 0x71,
  0x2a, 0x19, 0x48, 0xb2, 0x7f, 0x74, 0x12, 0x19, 0x29, 0x8d, 0x0a, 0x45, 0x0d, 0x61, 0x2c, 0x48,
  0x3a, 0xf4, 0x44, 0xa4, 0xc0, 0xfb, 0x2b, 0x16,
]);
const ROOT_DS: u32 = 36;

const anchors: usize = memory.data(8 * 320, 8);
const negatives: usize = memory.data(8 * 256);
const text: usize = memory.data(256);
let count: u32 = 0;
let negativeCount: u32 = 0;
let ownRoot: bool = false;


@inline function anchorAt(index: u32): Anchor {
  return changetype<Anchor>(anchors + <usize>index * ANCHOR_BYTES);
}

/** Forgets what the command line said. */
export function anchorsClear(): void {
  count = 0;
  negativeCount = 0;
  ownRoot = false;
}

/** Takes `zone,tag,algorithm,digest type,digest in hex` of the command line; whether it is one, with room for it. */
export function anchorNamed(value: usize, length: u32): bool {
  if (count == ANCHORS_MAX) return false;
  const anchor = anchorAt(count);
  const end = textFind(value, length, 0x2c);
  const size = dnsFromText(value, end, text);
  if (!size || end == length) return false;
  dnsLower(anchor.name, text, size);
  anchor.nameLength = size;
  let at = end + 1;
  for (let field: u32 = 0; field < 3; field++) {
    const part = textFind(value + at, length - at, 0x2c);
    const number = parseDecimal(value + at, part, field ? 255 : 65535);
    if (number < 0 || at + part >= length) return false;
    if (field) store<u8>(anchor.ds + 1 + field, <u8>number);
    else store<u16>(anchor.ds, <u16>(bswap<u32>(number) >>> 16));
    at += part + 1;
  }
  const digits = length - at;
  // SHA-1, SHA-256 and SHA-384.
  if (digits != 40 && digits != 64 && digits != 96) return false;
  for (let i: u32 = 0; i < digits; i += 2) {
    const byte = parseHex(value + at + i, 2);
    if (byte < 0) return false;
    store<u8>(anchor.ds + 4 + (i >> 1), <u8>byte);
  }
  anchor.dsLength = 4 + (digits >> 1);
  if (size == 1) ownRoot = true;
  count++;
  return true;
}

/** Takes a domain of the command line in which nothing is checked; whether it is one, with room for it. */
export function negativeNamed(value: usize, length: u32): bool {
  if (negativeCount == NEGATIVES_MAX) return false;
  const size = dnsFromText(value, length, text);
  if (!size) return false;
  dnsLower(negatives + ((<usize>negativeCount) << 8), text, size);
  negativeCount++;
  return true;
}

function lengthOf(name: usize): u32 {
  let at: u32 = 0;
  for (let size = <u32>load<u8>(name); size; size = <u32>load<u8>(name + at)) at += size + 1;
  return at + 1;
}

/** Labels of the deepest zone with an anchor that a name is in; -1 if there is none, or a negative one below it. */
export function anchorAbove(name: usize, length: u32): i32 {
  let best: i32 = ownRoot ? -1 : 0;
  for (let i: u32 = 0; i < count; i++) {
    const anchor = anchorAt(i);
    if (!dnsWithin(name, length, anchor.name, anchor.nameLength)) continue;
    best = max<i32>(best, labelCount(anchor.name));
  }
  for (let i: u32 = 0; i < negativeCount; i++) {
    const negative = negatives + ((<usize>i) << 8);
    if (!dnsWithin(name, length, negative, lengthOf(negative))) continue;
    if (<i32>labelCount(negative) >= best) return -1;
  }
  return best == 0 && !ownRoot && isPrivate(name, length) ? -1 : best;
}

/** Whether a name lies in a domain in which nothing is checked, by the command line or by its nature, and that has no anchor of its own. */
export function isUnsigned(name: usize, length: u32): bool {
  return anchorAbove(name, length) < 0 && isNegative(name, length);
}

function isNegative(name: usize, length: u32): bool {
  if (!ownRoot && isPrivate(name, length)) return true;
  for (let i: u32 = 0; i < negativeCount; i++) {
    const negative = negatives + ((<usize>i) << 8);
    if (dnsWithin(name, length, negative, lengthOf(negative))) return true;
  }
  return false;
}

/** DS data of anchor `index` of a zone, from 0 on; 0 behind the last. */
export function anchorDs(zone: usize, length: u32, index: u32): usize {
  if (length == 1 && !ownRoot) {
    dsBytes = ROOT_DS;
    return index < 2 ? ROOT + index * ROOT_DS : 0;
  }
  for (let i: u32 = 0; i < count; i++) {
    const anchor = anchorAt(i);
    if (!dnsSame(anchor.name, anchor.nameLength, zone, length) || index--) continue;
    dsBytes = anchor.dsLength;
    return anchor.ds;
  }
  return 0;
}

let dsBytes: u32 = 0;

/** Bytes of what `anchorDs` found last. */
@inline export function anchorDsLength(): u32 {
  return dsBytes;
}
