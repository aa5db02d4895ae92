import { swap16 } from "./bytes";
import { sum } from "./checksum";

/**
 * ICMP for IPv4 (RFC 792; RFC 1122, 3.2.2).
 *
 *      0      1      2          4                    8
 *     ┌──────┬──────┬──────────┬────────────────────┬──────────────
 *     │ type │ code │ checksum │ by type            │ echo: data; error: the datagram's start
 *     └──────┴──────┴──────────┴────────────────────┴──────────────
 */

/** Bytes before the data. */
export const ICMPV4_HEADER: u32 = 8;

/** Type (IANA, "ICMP Parameters"). */
export const enum IcmpType {
  EchoReply = 0,
  DestinationUnreachable = 3,
  /** Deprecated (RFC 6633): received ones are dropped. */
  SourceQuench = 4,
  Redirect = 5,
  EchoRequest = 8,
  TimeExceeded = 11,
  ParameterProblem = 12,
}

/** Code of `DestinationUnreachable` (RFC 792; RFC 1122, 3.2.2.1; RFC 1812, 5.2.7.1). */
export const enum Unreachable {
  Net = 0,
  Host = 1,
  Protocol = 2,
  Port = 3,
  /** Fragmentation needed and DF set: the next hop's MTU is in the header (RFC 1191, 4). */
  TooBig = 4,
  SourceRouteFailed = 5,
  NetUnknown = 6,
  HostUnknown = 7,
  SourceIsolated = 8,
  NetProhibited = 9,
  HostProhibited = 10,
  NetService = 11,
  HostService = 12,
  Prohibited = 13,
}

/** Code of `Redirect` (RFC 792), from 0 to 3; of the others only hosts' are sent (RFC 1812, 5.2.7.2). */
export const enum RedirectCode {
  Host = 1,
  /** For a type of service. */
  HostService = 3,
}

/** Code of `TimeExceeded`. */
export const enum TimeExceeded {
  Transit = 0,
  Reassembly = 1,
}

/** What is wrong with the `length` bytes at `at`; 0 when nothing is. */
export const enum IcmpFault {
  None = 0,
  Short = 1,
  Checksum = 2,
}

/** Checks length and checksum (RFC 792: over the whole message); then the accessors are safe. */
export function icmpv4Check(at: usize, length: u32): IcmpFault {
  if (length < ICMPV4_HEADER) return IcmpFault.Short;
  return sum(at, length, 0) == 0xffff ? IcmpFault.None : IcmpFault.Checksum;
}

/** A message for which `icmpv4Check` found no fault. */
@unmanaged
export class Icmpv4Header {

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

  /** Of `Unreachable.TooBig`: the MTU of the next hop, 0 from a router older than RFC 1191. */
  @inline get nextHopMtu(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 6));
  }

  /** The last 32 bits: of `Redirect` the better router's address. */
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

/** Writes the header of an error at `at`; the checksum is the caller's to fill in at the end. */
export function icmpv4BuildError(at: usize, type: IcmpType, code: u32, rest: u32): void {
  store<u16>(at, type | (code << 8));
  store<u16>(at, 0, 2);
  store<u32>(at, bswap(rest), 4);
}
