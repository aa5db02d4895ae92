import { DNS_HEADER } from "./dns";

/**
 * Messages of multicast DNS (RFC 6762, 18): those of DNS, with a bit more in each class. Names are written
 * without compression, which is never required: what one host says of itself fits.
 */

export const MDNS_PORT: u32 = 5353;
/** 224.0.0.251, and the `lo` of ff02::fb (RFC 6762, 3). */
export const MDNS_GROUP_V4: u32 = 0xe000_00fb;
export const MDNS_GROUP_V6: u64 = 0xfb;

/** Of a record's class: it replaces what is known (10.2). Of a question's: answer me alone (5.4). */
export const MDNS_FLUSH: u32 = 0x8000;
export const MDNS_UNICAST: u32 = 0x8000;
/** Any type, any class (RFC 1035, 3.2.3 and 3.2.5). */
export const MDNS_ANY: u32 = 255;
/** RFC 4034, 4; in multicast DNS which types a name has (RFC 6762, 6.1). */
export const MDNS_NSEC: u32 = 47;

/** A response, with authority (18.2 and 18.4); a response at all; opcode and code, which are 0 (18.3, 18.11). */
export const MDNS_RESPONSE: u32 = 0x8400;
export const MDNS_IS_RESPONSE: u32 = 0x8000;
export const MDNS_OPCODE: u32 = 0x7800;
export const MDNS_CODE: u32 = 15;
export const MDNS_TRUNCATED: u32 = 0x0200;

/** Seconds that records about hosts are good for (10), and at most those told to simple resolvers (6.7). */
export const MDNS_TTL: u32 = 120;
export const MDNS_TTL_LEGACY: u32 = 10;

/** Offsets of a message's counts: where a record is put. In this order. */
export const enum MdnsSection {
  Answer = 6,
  Authority = 8,
  Additional = 10,
}

/** What fits a frame of Ethernet with the headers of IPv6 and UDP. */
const MESSAGE_MAX: u32 = 1440;
const message: usize = memory.data(1440, 8);
let end: u32 = 0;

/** The 16 bits at `at`, of which nothing is known. */
@inline export function mdns16(at: usize): u32 {
  return bswap<u16>(load<u16>(at));
}


@inline function put16(at: usize, value: u32): void {
  store<u16>(at, bswap<u16>(<u16>value));
}

/** The message being made, and its length so far. */
@inline export function mdnsMessage(): usize {
  return message;
}


@inline export function mdnsLength(): u32 {
  return end;
}

/** Begins a message. */
export function mdnsBegin(id: u32, flags: u32): void {
  memory.fill(message, 0, DNS_HEADER);
  put16(message, id);
  put16(message + 2, flags);
  end = DNS_HEADER;
}

/** Copies `count` questions of `length` bytes as they came behind a header: pointers in them stay true. */
export function mdnsQuestions(from: usize, length: u32, count: u32): bool {
  if (length > MESSAGE_MAX / 2) return false;
  put16(message + 4, count);
  memory.copy(message + end, from, length);
  end += length;
  return true;
}

/** Adds the only question. */
export function mdnsQuestion(name: usize, nameLength: u32, type: u32, class_: u32): void {
  put16(message + 4, 1);
  memory.copy(message + end, name, nameLength);
  end += nameLength;
  put16(message + end, type);
  put16(message + end + 2, class_);
  end += 4;
}

/** Adds a record, unless there is no room for it. */
export function mdnsRecord(
  section: MdnsSection,
  name: usize,
  nameLength: u32,
  type: u32,
  class_: u32,
  ttl: u32,
  data: usize,
  dataLength: u32,
): void {
  if (end + nameLength + 10 + dataLength > MESSAGE_MAX) return;
  const count = message + <usize>section;
  put16(count, mdns16(count) + 1);
  memory.copy(message + end, name, nameLength);
  const at = message + end + nameLength;
  put16(at, type);
  put16(at + 2, class_);
  store<u32>(at, bswap(ttl), 4);
  put16(at + 8, dataLength);
  memory.copy(at + 10, data, dataLength);
  end += nameLength + 10 + dataLength;
}

/** Offset behind `count` questions of a message, or 0 if there are not so many. */
export function mdnsBehindQuestions(from: usize, length: u32, count: u32): u32 {
  let at: u32 = DNS_HEADER;
  for (let i: u32 = 0; i < count; i++) {
    // Where a name ends needs no pointer followed.
    while (true) {
      if (at >= length) return 0;
      const size = <u32>load<u8>(from + at);
      at += size >= 0xc0 ? 2 : 1 + size;
      if (!size || size >= 0xc0) break;
    }
    at += 4;
    if (at > length) return 0;
  }
  return at;
}
