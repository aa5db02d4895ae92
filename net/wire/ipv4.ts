import { swap16 } from "./bytes";
import { fold64, sum, sum20, update16, update32 } from "./checksum";

/**
 * The IPv4 header (RFC 791, 3.1).
 *
 *      0       1       2               4               6               8
 *     ┌───┬───┬───────┬───────────────┬───────────────┬───┬───────────┐
 *     │ver│IHL│  TOS  │ total length  │      id       │flg│  offset   │
 *     ├───┴───┼───────┼───────────────┼───────────────┴───┴───────────┤
 *     │  TTL  │ proto │   checksum    │            source             │
 *     ├───────┴───────┴───────────────┼───────────────────────────────┘
 *     │         destination           │ options …
 *     └───────────────────────────────┘
 */

/** Bytes without options. */
export const IPV4_HEADER: u32 = 20;
/** Most bytes of a datagram: its total length is a 16-bit field. */
export const IPV4_LENGTH_MAX: u32 = 0xffff;

/** Protocol numbers (IANA, "Protocol Numbers"). */
export const enum Protocol {
  ICMP = 1,
  IGMP = 2,
  /** An IPv4 datagram (RFC 2003, 3.1), an IPv6 packet (RFC 4213, 3.5; RFC 2473, 3.1). */
  IPv4 = 4,
  TCP = 6,
  UDP = 17,
  IPv6 = 41,
  /** RFC 2784, 3. */
  GRE = 47,
  ICMPv6 = 58,
}

/** The bits of a traffic class that are ECN's; the other six are DSCP's (RFC 2474, 3). */
export const IP_ECN: u32 = 3;

/** What they say (RFC 3168, 5). */
export const enum IpEcn {
  /** The transport does not know ECN. */
  NotCapable = 0,
  Capable1 = 1,
  Capable0 = 2,
  /** CE: a router on the way was congested. */
  Congested = 3,
}

/** Bits of `Ipv4Header.fragment`. */
export const enum Ipv4Fragment {
  /** DF: no router may split the datagram. */
  DontFragment = 0x4000,
  /** MF: not the last fragment. */
  MoreFragments = 0x2000,
  /** Offset of this fragment, in units of 8 bytes. */
  Offset = 0x1fff,
}

/** Option types (RFC 791, 3.1; IANA, "Internet Protocol Version 4 Parameters"). */
export const enum Ipv4Option {
  End = 0,
  NoOperation = 1,
  /** LSRR. */
  LooseSourceRoute = 131,
  /** SSRR. */
  StrictSourceRoute = 137,
}

/** What `ipv4Check` found. */
export const enum Ipv4Fault {
  None = 0,
  /** Fewer bytes than a header, or than the header says that it has. */
  Short = 1,
  Version = 2,
  /** The header's own length or the total length contradict each other or the bytes received. */
  Length = 3,
  Checksum = 4,
  /** An option list that runs out of the header. */
  Options = 5,
  /** A source route. */
  SourceRoute = 6,
}

/** The header over bytes for which `ipv4Check` found no fault. */
@unmanaged
export class Ipv4Header {

  @inline get version(): u32 {
    return load<u8>(changetype<usize>(this)) >> 4;
  }

  /** IHL, in bytes. */
  @inline get headerLength(): u32 {
    return ((<u32>load<u8>(changetype<usize>(this))) & 15) << 2;
  }

  /** DSCP and ECN (RFC 2474, 3; RFC 3168, 5). */
  @inline get trafficClass(): u32 {
    return load<u8>(changetype<usize>(this), 1);
  }


  @inline get totalLength(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 2));
  }


  @inline get id(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 4));
  }

  /** Flags and offset: `Ipv4Fragment`. */
  @inline get fragment(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 6));
  }

  /** Whether this is a part of a datagram and not the whole. */
  @inline get isFragment(): bool {
    return (this.fragment & (Ipv4Fragment.MoreFragments | Ipv4Fragment.Offset)) != 0;
  }


  @inline get ttl(): u32 {
    return load<u8>(changetype<usize>(this), 8);
  }


  @inline get protocol(): u32 {
    return load<u8>(changetype<usize>(this), 9);
  }

  /** In load order. */
  @inline get checksum(): u32 {
    return load<u16>(changetype<usize>(this), 10);
  }


  @inline get source(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 12));
  }


  @inline get destination(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 16));
  }
}

/** One hop on: the time to live is one less, and the checksum with it (RFC 1624, 3). */
@inline export function ipv4Hop(header: Ipv4Header): void {
  const at = changetype<usize>(header);
  const before: u32 = load<u16>(at, 8);
  // The time to live is the word's first byte.
  const after = before - 1;
  store<u16>(at, <u16>after, 8);
  store<u16>(at, <u16>update16(header.checksum, before, after), 10);
}

/** Changes DSCP and ECN, and the checksum with them (RFC 1624, 3). */
export function ipv4SetTrafficClass(at: usize, trafficClass: u32): void {
  const before: u32 = load<u16>(at);
  // The class is the word's second byte.
  const after = (before & 0xff) | (trafficClass << 8);
  store<u16>(at, <u16>after);
  store<u16>(at, <u16>update16(load<u16>(at, 10), before, after), 10);
}

/** Where a fragment's header differs from a whole datagram's, in load order. */
const FRAGMENT_BITS: u32 = 0xff3f;

/** Whether the `IPV4_HEADER` bytes at `at` are a header without options, of a datagram that is whole. */
@inline export function ipv4Plain(at: usize): bool {
  return load<u8>(at) == 0x45 && !((<u32>load<u16>(at, 6)) & FRAGMENT_BITS);
}

/**
 * Checks all that accessors and upper layers rely on: the header lies within `length` bytes, the
 * total length within them too and holds the header, and the sum is right (RFC 1122, 3.2.1.1 to
 * 3.2.1.2) unless `summed` says that the device checked it.
 */
export function ipv4Check(at: usize, length: u32, summed: bool): Ipv4Fault {
  if (length < IPV4_HEADER) return Ipv4Fault.Short;
  const header = changetype<Ipv4Header>(at);
  const first: u32 = load<u8>(at);
  if (first >> 4 != 4) return Ipv4Fault.Version;
  const headerLength = header.headerLength;
  if (headerLength < IPV4_HEADER) return Ipv4Fault.Length;
  const totalLength = header.totalLength;
  if (totalLength < headerLength || totalLength > length) return Ipv4Fault.Length;
  if (headerLength == IPV4_HEADER) {
    return summed || sum20(at) == 0xffff ? Ipv4Fault.None : Ipv4Fault.Checksum;
  }
  if (!summed && sum(at, headerLength, 0) != 0xffff) return Ipv4Fault.Checksum;
  return checkOptions(at, headerLength);
}

let faultAt: u32 = 0;

/** Of `Ipv4Fault.Options`, found last: the offset of the option in the header. */
export function ipv4FaultAt(): u32 {
  return faultAt;
}

/**
 * Walks the options. A host must take datagrams with options and ignore those that it does not
 * know (RFC 1122, 3.2.1.8). A source route is refused whole: it lets a sender steer our answers
 * (RFC 1122, 3.2.1.8 c makes following one optional for the final host).
 */
function checkOptions(at: usize, headerLength: u32): Ipv4Fault {
  let offset: u32 = IPV4_HEADER;
  while (offset < headerLength) {
    const type: u32 = load<u8>(at + offset);
    faultAt = offset;
    if (type == Ipv4Option.End) break;
    if (type == Ipv4Option.NoOperation) {
      offset++;
      continue;
    }
    if (offset + 1 >= headerLength) return Ipv4Fault.Options;
    const optionLength: u32 = load<u8>(at + offset, 1);
    if (optionLength < 2 || offset + optionLength > headerLength) return Ipv4Fault.Options;
    if (type == Ipv4Option.LooseSourceRoute || type == Ipv4Option.StrictSourceRoute) {
      return Ipv4Fault.SourceRoute;
    }
    offset += optionLength;
  }
  return Ipv4Fault.None;
}

/**
 * Writes a header without options, `IPV4_HEADER` bytes at `at`, checksum included. The datagram is
 * never to be fragmented, so its identification says nothing and is zero (RFC 6864, 4.1).
 */
@inline export function ipv4Build(
  at: usize,
  totalLength: u32,
  trafficClass: u32,
  ttl: u32,
  protocol: u32,
  source: u32,
  destination: u32,
): void {
  // Summed as it is made: a load of what smaller stores have just written would wait for them.
  const first: u32 = 0x45 | (trafficClass << 8) | ((<u32>swap16(<u16>totalLength)) << 16);
  const second: u32 = (<u32>swap16(<u16>Ipv4Fragment.DontFragment)) << 16;
  const third: u32 = ttl | (protocol << 8);
  const from = bswap(source);
  const to = bswap(destination);
  const checksum = fold64(<u64>first + second + third + from + to) ^ 0xffff;
  store<u64>(at, (<u64>first) | ((<u64>second) << 32));
  store<u64>(at, (<u64>(third | (checksum << 16))) | ((<u64>from) << 32), 8);
  store<u32>(at, to, 16);
}

/** Bytes of a header with a router alert. */
export const IPV4_ALERT_HEADER: u32 = IPV4_HEADER + 4;
/** The option: routers look at the datagram though it is not for them (RFC 2113, 2.1). */
const ROUTER_ALERT: u32 = 0x9404_0000;

/** `ipv4Build` with a router alert, `IPV4_ALERT_HEADER` bytes. */
export function ipv4BuildAlert(
  at: usize,
  totalLength: u32,
  trafficClass: u32,
  ttl: u32,
  protocol: u32,
  source: u32,
  destination: u32,
): void {
  ipv4Build(at, totalLength, trafficClass, ttl, protocol, source, destination);
  store<u8>(at, 0x40 | (IPV4_ALERT_HEADER >> 2));
  store<u32>(at, bswap(ROUTER_ALERT), IPV4_HEADER);
  store<u16>(at, 0, 10);
  store<u16>(at, sum(at, IPV4_ALERT_HEADER, 0) ^ 0xffff, 10);
}

/**
 * Makes of the header that `ipv4Build` wrote at `at` one of a datagram that may be fragmented, or is: `fragment`
 * is its `Ipv4Fragment` field.
 */
export function ipv4SetFragment(at: usize, id: u32, fragment: u32): void {
  const before = load<u32>(at, 4);
  const after = (<u32>swap16(<u16>id)) | (swap16(fragment) << 16);
  store<u32>(at, after, 4);
  store<u16>(at, update32(load<u16>(at, 10), before, after), 10);
}

/** Bit of an option's type: every fragment has it (RFC 791, 3.1). */
const OPTION_COPIED: u32 = 0x80;

/**
 * Header bytes of the fragments behind the first of a datagram with this header: with the options that all of them
 * have. `ipv4Check` found them sound.
 */
export function ipv4OptionsCopied(header: Ipv4Header): u32 {
  return copied(changetype<usize>(header), header.headerLength, 0);
}

/** Bytes of a header with the options that go along; writes them, if `into` is one, behind its first `IPV4_HEADER`. */
function copied(at: usize, headerLength: u32, into: usize): u32 {
  let size: u32 = IPV4_HEADER;
  for (let offset: u32 = IPV4_HEADER; offset < headerLength;) {
    const type: u32 = load<u8>(at + offset);
    if (type == Ipv4Option.End) break;
    const length: u32 = type == Ipv4Option.NoOperation ? 1 : load<u8>(at + offset, 1);
    if (type & OPTION_COPIED) {
      if (into) memory.copy(into + size, at + offset, length);
      size += length;
    }
    offset += length;
  }
  // Up to a whole word; what is left is zeroes, which is the option that ends the list.
  const end = (size + 3) & ~3;
  if (into) memory.fill(into + size, 0, end - size);
  return end;
}

/**
 * Writes the header, `size` bytes at `at`, of a fragment of `length` bytes of a datagram that has another: with all
 * its options if that is its size, else with those of `ipv4OptionsCopied`.
 */
export function ipv4Part(
  at: usize,
  whole: Ipv4Header,
  size: u32,
  length: u32,
  fragment: u32,
): void {
  const from = changetype<usize>(whole);
  if (size == whole.headerLength) memory.copy(at, from, size);
  else {
    memory.copy(at, from, IPV4_HEADER);
    copied(from, whole.headerLength, at);
    store<u8>(at, <u8>(0x40 | (size >>> 2)));
  }
  store<u16>(at, swap16(size + length), 2);
  store<u16>(at, swap16(fragment), 6);
  store<u16>(at, 0, 10);
  store<u16>(at, <u16>~sum(at, size, 0), 10);
}

/**
 * Makes of the header at `at`, options included, the one of a datagram that was put together: `totalLength` bytes,
 * not a fragment, and with `congested` marked so (RFC 3168, 5.3).
 */
export function ipv4Reassembled(at: usize, totalLength: u32, congested: bool): void {
  store<u16>(at, swap16(totalLength), 2);
  store<u16>(at, 0, 6);
  if (congested) store<u8>(at, load<u8>(at, 1) | (<u8>IpEcn.Congested), 1);
  store<u16>(at, 0, 10);
  store<u16>(at, sum(at, changetype<Ipv4Header>(at).headerLength, 0) ^ 0xffff, 10);
}

/**
 * Fills in what a program that writes its own header leaves to the kernel: the length and the checksum
 * always, the source if it is zero. Its own length must lie between `IPV4_HEADER` and `totalLength`.
 */
export function ipv4Complete(at: usize, totalLength: u32, source: u32): void {
  store<u16>(at, swap16(totalLength), 2);
  if (!load<u32>(at, 12)) store<u32>(at, bswap(source), 12);
  store<u16>(at, 0, 10);
  store<u16>(at, sum(at, changetype<Ipv4Header>(at).headerLength, 0) ^ 0xffff, 10);
}
