import { sum } from "./checksum";

/**
 * ICMPv6 (RFC 4443, 2.1).
 *
 *      0      1      2          4                    8
 *     ┌──────┬──────┬──────────┬────────────────────┬──────────────
 *     │ type │ code │ checksum │ by type            │ echo: data; error: the packet's start
 *     └──────┴──────┴──────────┴────────────────────┴──────────────
 *
 * The checksum covers a pseudo-header, too.
 */

/** Bytes before the data. */
export const ICMPV6_HEADER: u32 = 8;
export const ICMPV6_CHECKSUM_OFFSET: u32 = 2;

/** Type (IANA, "ICMPv6 Parameters"); below 128 are errors. */
export const enum Icmpv6Type {
  DestinationUnreachable = 1,
  PacketTooBig = 2,
  TimeExceeded = 3,
  ParameterProblem = 4,
  EchoRequest = 128,
  EchoReply = 129,
  /** Multicast listener discovery (RFC 3810, 5; RFC 2710, 3). */
  ListenerQuery = 130,
  ListenerReport = 131,
  ListenerDone = 132,
  /** Neighbour discovery (RFC 4861, 4). */
  RouterSolicitation = 133,
  RouterAdvertisement = 134,
  NeighbourSolicitation = 135,
  NeighbourAdvertisement = 136,
  Redirect = 137,
  ListenerReportV2 = 143,
}
export const ICMPV6_INFORMATIONAL: u32 = 128;

/** Code of `DestinationUnreachable` (RFC 4443, 3.1). */
export const enum Unreachable6 {
  NoRoute = 0,
  Prohibited = 1,
  BeyondScope = 2,
  Address = 3,
  Port = 4,
  PolicyFailed = 5,
  RejectRoute = 6,
}

/** Code of `TimeExceeded` (3.3). */
export const enum TimeExceeded6 {
  Transit = 0,
  Reassembly = 1,
}

/** Code of `ParameterProblem` (3.4). */
export const enum Problem6 {
  Field = 0,
  NextHeader = 1,
  Option = 2,
  /** A first fragment without all headers (RFC 7112, 5). */
  HeaderChain = 3,
}

/** A message of at least `ICMPV6_HEADER` bytes. */
@unmanaged
export class Icmpv6Header {

  @inline get type(): u32 {
    return load<u8>(changetype<usize>(this));
  }


  @inline get code(): u32 {
    return load<u8>(changetype<usize>(this), 1);
  }

  /** In load order. */
  @inline get checksum(): u32 {
    return load<u16>(changetype<usize>(this), 2);
  }


  @inline set checksum(checksum: u32) {
    store<u16>(changetype<usize>(this), checksum, 2);
  }

  /** The last 32 bits: of `PacketTooBig` the MTU, of `ParameterProblem` the pointer. */
  @inline get rest(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 4));
  }

  /** Type and code as one word in load order, for the incremental checksum. */
  @inline get typeAndCode(): u32 {
    return load<u16>(changetype<usize>(this));
  }


  @inline set typeAndCode(word: u32) {
    store<u16>(changetype<usize>(this), word);
  }
}

/** Writes a header at `at`; the checksum is for `icmpv6Sum` to fill in. */
@inline export function icmpv6Build(at: usize, type: Icmpv6Type, code: u32, rest: u32): void {
  store<u32>(at, type | (code << 8));
  store<u32>(at, bswap(rest), 4);
}

/** Fills in the checksum of a message of `length` bytes, whose own is 0, behind a pseudo-header. */
export function icmpv6Sum(at: usize, length: u32, pseudo: u32): void {
  changetype<Icmpv6Header>(at).checksum = ~sum(at, length, pseudo) & 0xffff;
}
