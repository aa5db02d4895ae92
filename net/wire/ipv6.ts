import { IpAddress, v6Wire } from "./address";
import { swap16 } from "./bytes";

/**
 * The IPv6 header (RFC 8200, 3) and what may stand between it and the transport's (4).
 *
 *      0                               4               6       7       8
 *     ┌───┬───────┬───────────────────┬───────────────┬───────┬───────┐
 *     │ver│ class │    flow label     │payload length │ next  │  hop  │
 *     ├───┴───────┴───────────────────┴───────────────┴───────┴───────┤
 *     │                            source                             │
 *     │                          destination                          │
 *     └───────────────────────────────────────────────────────────────┘
 *
 * Of an extension header the first byte says what follows it, the second how long it is.
 */

export const IPV6_HEADER: u32 = 40;
/** Every link carries packets of this size (RFC 8200, 5). */
export const IPV6_MTU_MIN: u32 = 1280;

/** Most bytes behind the header: its length is a 16-bit field. */
export const IPV6_PAYLOAD_MAX: u32 = 0xffff;

/** Where the payload length and the next header field stand, for what points at it. */
export const IPV6_LENGTH_OFFSET: u32 = 4;
export const IPV6_NEXT_OFFSET: u32 = 6;

/** Extension headers by their protocol number (IANA, "Protocol Numbers"). */
export const enum Extension {
  HopByHop = 0,
  Routing = 43,
  Fragment = 44,
  /** Nothing follows (RFC 8200, 4.7). */
  None = 59,
  DestinationOptions = 60,
}

/** What `ipv6Check` found. */
export const enum Ipv6Fault {
  None = 0,
  /** Fewer bytes than a header, or than it says. */
  Length = 1,
  Version = 2,
}

/** The header over bytes for which `ipv6Check` found no fault. */
@unmanaged
export class Ipv6Header {

  @inline get version(): u32 {
    return load<u8>(changetype<usize>(this)) >> 4;
  }

  /** DSCP and ECN (RFC 2474, 3; RFC 3168, 5). */
  @inline get trafficClass(): u32 {
    return ((<u32>bswap(load<u16>(changetype<usize>(this)))) >> 4) & 0xff;
  }

  /** Bytes behind this header. */
  @inline get payloadLength(): u32 {
    return bswap(load<u16>(changetype<usize>(this), 4));
  }


  @inline set payloadLength(length: u32) {
    store<u16>(changetype<usize>(this), bswap(<u16>length), 4);
  }


  @inline get nextHeader(): u32 {
    return load<u8>(changetype<usize>(this), 6);
  }


  @inline set nextHeader(protocol: u32) {
    store<u8>(changetype<usize>(this), protocol, 6);
  }


  @inline get hopLimit(): u32 {
    return load<u8>(changetype<usize>(this), 7);
  }

  /** Address of the source's 16 bytes, and of the destination's. */
  @inline get sourceAt(): usize {
    return changetype<usize>(this) + 8;
  }


  @inline get destinationAt(): usize {
    return changetype<usize>(this) + 24;
  }
}

/** One hop on. */
@inline export function ipv6Hop(header: Ipv6Header): void {
  store<u8>(changetype<usize>(header), <u8>(header.hopLimit - 1), 7);
}

/** Checks that the header and all that it counts lie within `length` bytes. */
@inline export function ipv6Check(at: usize, length: u32): Ipv6Fault {
  if (length < IPV6_HEADER) return Ipv6Fault.Length;
  if (load<u8>(at) >> 4 != 6) return Ipv6Fault.Version;
  const payload = changetype<Ipv6Header>(at).payloadLength;
  return payload <= length - IPV6_HEADER ? Ipv6Fault.None : Ipv6Fault.Length;
}

/** Changes DSCP and ECN. */
export function ipv6SetTrafficClass(at: usize, trafficClass: u32): void {
  const before: u32 = bswap(load<u16>(at));
  store<u16>(at, bswap(<u16>((before & 0xf00f) | (trafficClass << 4))));
}

/** Writes a header, `IPV6_HEADER` bytes at `at`. */
@inline export function ipv6Build(
  at: usize,
  payloadLength: u32,
  trafficClass: u32,
  hopLimit: u32,
  next: u32,
  source: IpAddress,
  destination: IpAddress,
): void {
  // As it stands in memory: compilers do not know their byte swap where some of the bytes are constant.
  const first: u32 = 0x60 | (trafficClass >>> 4) | ((trafficClass & 15) << 12);
  const second: u32 = swap16(payloadLength) | (next << 16) | (hopLimit << 24);
  store<u64>(at, (<u64>first) | ((<u64>second) << 32));
  store<u64>(at, bswap(v6Wire(source.hi)), 8);
  store<u64>(at, bswap(source.lo), 16);
  store<u64>(at, bswap(v6Wire(destination.hi)), 24);
  store<u64>(at, bswap(destination.lo), 32);
}

/** Bytes of the smallest extension header; all are multiples of it. */
export const EXTENSION_UNIT: u32 = 8;

/** An extension header of which `EXTENSION_UNIT` bytes are there. */
@unmanaged
export class ExtensionHeader {

  @inline get next(): u32 {
    return load<u8>(changetype<usize>(this));
  }

  /** Bytes in all; not of a fragment header, which is always `FRAGMENT_HEADER`. */
  @inline get length(): u32 {
    return (<u32>load<u8>(changetype<usize>(this), 1) + 1) << 3;
  }

  /** Of a routing header: the nodes still to be visited (RFC 8200, 4.4). */
  @inline get segmentsLeft(): u32 {
    return load<u8>(changetype<usize>(this), 3);
  }
}

/** Where in a routing header its type stands. */
export const ROUTING_TYPE_OFFSET: u32 = 2;

/** Options of a hop-by-hop or destination options header (RFC 8200, 4.2). */
export const enum Ipv6Option {
  /** The one that has no length. */
  Pad1 = 0,
  PadN = 1,
  /** RFC 2473, 4.1.1. */
  EncapsulationLimit = 4,
  /** RFC 2711. */
  RouterAlert = 5,
}

/** What the two highest bits of an unknown option's type ask for (RFC 8200, 4.2). */
export const enum OptionAction {
  Skip = 0,
  Discard = 1,
  /** Discard and tell the sender, even if the packet was for many. */
  Report = 2,
  /** Discard, and tell the sender unless the packet was for many. */
  ReportUnicast = 3,
}

export const FRAGMENT_HEADER: u32 = 8;
/** Where in it the offset stands. */
export const FRAGMENT_OFFSET_OFFSET: u32 = 2;

/** A fragment header (RFC 8200, 4.5). */
@unmanaged
export class FragmentHeader {

  @inline get next(): u32 {
    return load<u8>(changetype<usize>(this));
  }

  /** Bytes of the original before this fragment's. */
  @inline get offset(): u32 {
    return (<u32>bswap(load<u16>(changetype<usize>(this), 2))) & 0xfff8;
  }

  /** M: not the last one. */
  @inline get more(): bool {
    return (load<u8>(changetype<usize>(this), 3) & 1) != 0;
  }


  @inline get id(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 4));
  }
}

/** Writes one, `FRAGMENT_HEADER` bytes at `at`; `offset` is a multiple of 8. */
export function fragmentBuild(at: usize, next: u32, offset: u32, more: bool, id: u32): void {
  store<u32>(at, bswap((next << 24) | offset | u32(more)));
  store<u32>(at, bswap(id), 4);
}

/**
 * Makes of the headers at `at` those of a packet that was put together: `payloadLength` bytes behind the first,
 * `next` in place of the fragment header that the byte at offset `announcedAt` named, and with `congested` marked
 * so (RFC 3168, 5.3).
 */
export function ipv6Reassembled(
  at: usize,
  payloadLength: u32,
  announcedAt: u32,
  next: u32,
  congested: bool,
): void {
  changetype<Ipv6Header>(at).payloadLength = payloadLength;
  store<u8>(at + announcedAt, next);
  // The lowest two bits of the traffic class.
  if (congested) store<u8>(at, load<u8>(at, 1) | 0x30, 1);
}

/** Extension headers that a packet may have; no sender in good faith needs as many (RFC 8504, 5.3). */
export const EXTENSIONS_MAX: u32 = 8;

let transport: u32 = 0;

/** The protocol of the transport header that `ipv6Transport` found. */
@inline export function ipv6TransportProtocol(): u32 {
  return transport;
}

/**
 * Offset of the transport header in a packet that `length` bytes at `at` are the beginning of, for
 * reading what errors quote: 0 if its extension headers do not lead to one within them.
 */
export function ipv6Transport(at: usize, length: u32): u32 {
  let next = changetype<Ipv6Header>(at).nextHeader;
  let offset = IPV6_HEADER;
  transport = next;
  for (let i: u32 = 0; i <= EXTENSIONS_MAX; i++) {
    const header = changetype<ExtensionHeader>(at + offset);
    let size: u32;
    switch (next) {
      case Extension.HopByHop:
      case Extension.Routing:
      case Extension.DestinationOptions:
        if (offset + EXTENSION_UNIT > length) return 0;
        size = header.length;
        break;
      case Extension.Fragment:
        if (offset + FRAGMENT_HEADER > length) return 0;
        if (changetype<FragmentHeader>(header).offset) return 0;
        size = FRAGMENT_HEADER;
        break;
      default:
        transport = next;
        return offset < length ? offset : 0;
    }
    next = header.next;
    offset += size;
    if (offset >= length) break;
  }
  transport = next;
  return 0;
}
