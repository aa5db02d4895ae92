import { swap16 } from "./bytes";
import { sum } from "./checksum";

/**
 * The header of GRE (RFC 2784, 2; with key and sequence number RFC 2890, 2).
 *
 *      0       2      4          8       12         16
 *     ┌───────┬──────┬──────────┬───────┬──────────┬─────────
 *     │ flags │ type │ checksum │  key  │ sequence │ payload
 *     └───────┴──────┴─ if C ───┴─ if K ┴── if S ──┴─────────
 */

/** Bytes without any of the rest. */
export const GRE_HEADER: u32 = 4;
/** Bytes of each of the rest; the checksum's are followed by two of zero. */
const FIELD: u32 = 4;

/** Bits of the flags. */
export const enum GreFlag {
  Checksum = 0x8000,
  Key = 0x2000,
  Sequence = 0x1000,
}
/** What a receiver must refuse: routing (bit 1), strict source route and recursion of RFC 1701 (bits 4 and 5 on), a version but 0 (2.2, 2.3). */
const REFUSED: u32 = 0x4000 | 0x0800 | 0x0400 | 0x0007;

/** What was found by `greRead`, valid until it is called again. */
export const enum GreFault {
  None = 0,
  /** Shorter than it says, or with what is refused. */
  Malformed = 1,
  Checksum = 2,
}

let flags: u32 = 0;
let bytes: u32 = 0;

/** Bytes of the header, its flags, its key and its sequence number, 0 without one. */
@inline export function greBytes(): u32 {
  return bytes;
}


@inline export function greFlags(): u32 {
  return flags;
}

/** The type of what it carries: an EtherType. */
@inline export function greType(at: usize): u32 {
  return swap16(load<u16>(at, 2));
}


@inline export function greKey(at: usize): u32 {
  return bswap(load<u32>(at + (flags & GreFlag.Checksum ? GRE_HEADER + FIELD : GRE_HEADER)));
}


@inline export function greSequence(at: usize): u32 {
  return bswap(load<u32>(at + bytes - FIELD));
}

/** Looks at a header of a packet of `length` bytes. */
export function greRead(at: usize, length: u32): GreFault {
  if (length < GRE_HEADER) return GreFault.Malformed;
  flags = swap16(load<u16>(at));
  bytes = greSize(flags);
  if (flags & REFUSED || length < bytes) return GreFault.Malformed;
  if (flags & GreFlag.Checksum && sum(at, length, 0) != 0xffff) return GreFault.Checksum;
  return GreFault.None;
}

/** Bytes of a header with these flags. */
export function greSize(flags: u32): u32 {
  let size = GRE_HEADER;
  if (flags & GreFlag.Checksum) size += FIELD;
  if (flags & GreFlag.Key) size += FIELD;
  if (flags & GreFlag.Sequence) size += FIELD;
  return size;
}

/** Writes a header, `greSize(flags)` bytes at `at`, with a checksum of 0: `greSum` makes the right one. */
export function greBuild(at: usize, flags: u32, type: u32, key: u32, sequence: u32): void {
  store<u16>(at, swap16(flags));
  store<u16>(at, swap16(type), 2);
  at += GRE_HEADER;
  if (flags & GreFlag.Checksum) {
    store<u32>(at, 0);
    at += FIELD;
  }
  if (flags & GreFlag.Key) {
    store<u32>(at, bswap(key));
    at += FIELD;
  }
  if (flags & GreFlag.Sequence) store<u32>(at, bswap(sequence));
}

/** Where the checksum is, from the header's start. */
export const GRE_CHECKSUM: u32 = 4;
