import { IpAddress, v6Load, v6Store } from "./address";
import { storeMac } from "./ethernet";
import { ICMPV6_HEADER, Icmpv6Type, icmpv6Build } from "./icmpv6";

/**
 * Neighbour discovery (RFC 4861, 4): ICMPv6 messages with options behind their fixed part. An option
 * is its type, its length in units of 8 bytes, and what it says.
 *
 *     solicitation:  ICMPv6 header, target (NS only), options
 *     neighbour advertisement:  header with R, S, O; target; options
 *     router advertisement:  header with hop limit, M, O, preference and lifetime;
 *                            reachable time; retransmission timer; options
 *     redirect:  header; target; destination; options
 */

/** Bytes of each message before its options. */
export const NDP_ROUTER_SOLICITATION: u32 = ICMPV6_HEADER;
export const NDP_ROUTER_ADVERTISEMENT: u32 = 16;
/** Of a neighbour's solicitation and advertisement alike. */
export const NDP_NEIGHBOUR: u32 = 24;
export const NDP_REDIRECT: u32 = 40;

/** Hop limit of every message: what came through a router has a smaller one (RFC 4861, 6.1, 7.1). */
export const NDP_HOP_LIMIT: u32 = 255;

/** Types (RFC 4861, 4.6; RFC 4191, 2.3; RFC 8106, 5.1). */
export const enum NdpOption {
  SourceLinkAddress = 1,
  TargetLinkAddress = 2,
  Prefix = 3,
  RedirectedHeader = 4,
  Mtu = 5,
  RouteInformation = 24,
  RecursiveDns = 25,
  SearchList = 31,
}

/** Bytes of an option with an Ethernet address (RFC 2464, 6). */
export const NDP_LINK_OPTION: u32 = 8;
/** Bytes of a prefix option, an MTU option, and of an RDNSS or DNSSL option before what it lists. */
const PREFIX_OPTION: u32 = 32;
const MTU_OPTION: u32 = 8;
export const NDP_DNS_OPTION: u32 = 8;

/** Bytes of a redirected header option before the packet (4.6.3). */
export const NDP_REDIRECTED_HEADER: u32 = 8;

/** R, S and O of a neighbour advertisement (RFC 4861, 4.4). */
export const enum AdvertisementFlag {
  Router = 0x80,
  Solicited = 0x40,
  Override = 0x20,
}

/** M, O and the preference of a router advertisement (4.2; RFC 4191, 2.2). */
export const enum RouterFlag {
  Managed = 0x80,
  Other = 0x40,
  High = 0x08,
  Low = 0x18,
}

/** L and A of a prefix option (4.6.2). */
export const enum PrefixFlag {
  OnLink = 0x80,
  Autonomous = 0x40,
}

/** A lifetime that never ends, seconds. */
export const INFINITE: u32 = 0xffff_ffff;

/** A neighbour's solicitation or advertisement of at least `NDP_NEIGHBOUR` bytes. */
@unmanaged
export class NeighbourMessage {
  /** `AdvertisementFlag` bits. */
  @inline get flags(): u32 {
    return load<u8>(changetype<usize>(this), 4);
  }


  @inline target(into: IpAddress, zone: u32): void {
    v6Load(into, changetype<usize>(this) + ICMPV6_HEADER, zone);
  }
}

/** A redirect of at least `NDP_REDIRECT` bytes (4.5). */
@unmanaged
export class RedirectMessage {

  @inline target(into: IpAddress, zone: u32): void {
    v6Load(into, changetype<usize>(this) + ICMPV6_HEADER, zone);
  }


  @inline destination(into: IpAddress, zone: u32): void {
    v6Load(into, changetype<usize>(this) + ICMPV6_HEADER + 16, zone);
  }
}

/** 1 high, 0 medium or the reserved value, -1 low. */
function preferenceOf(flags: u32): i32 {
  const bits = (flags >> 3) & 3;
  return bits == 1 ? 1 : bits == 3 ? -1 : 0;
}

/** A router advertisement of at least `NDP_ROUTER_ADVERTISEMENT` bytes. */
@unmanaged
export class RouterAdvertisement {
  /** 0: says nothing. */
  @inline get hopLimit(): u32 {
    return load<u8>(changetype<usize>(this), 4);
  }

  /** The M and O flags, where they stand: 0x80 and 0x40 (RFC 4861, 4.2). */
  @inline get managed(): u32 {
    return load<u8>(changetype<usize>(this), 5) & 0xc0;
  }

  /** `RouterFlag` bits. */
  @inline get flags(): u32 {
    return load<u8>(changetype<usize>(this), 5);
  }

  /** 1 high, 0 medium, -1 low; the reserved value is medium (RFC 4191, 2.2). */
  @inline get preference(): i32 {
    return preferenceOf(this.flags);
  }

  /** Seconds as a default router, 0 for none. */
  @inline get lifetime(): u32 {
    return bswap(load<u16>(changetype<usize>(this), 6));
  }

  /** ms, 0: says nothing. */
  @inline get reachableTime(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 8));
  }


  @inline get retransTimer(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 12));
  }
}

/** Whether the options in `length` bytes at `at` fill them, none of them of length 0 (RFC 4861, 4.6). */
export function ndpOptionsValid(at: usize, length: u32): bool {
  while (length >= 2) {
    const bytes = (<u32>load<u8>(at, 1)) << 3;
    if (!bytes || bytes > length) return false;
    at += bytes;
    length -= bytes;
  }
  return !length;
}

/** An option of a list for which `ndpOptionsValid`. */
@unmanaged
export class NdpOptionHeader {

  @inline get type(): u32 {
    return load<u8>(changetype<usize>(this));
  }

  /** Bytes in all. */
  @inline get length(): u32 {
    return (<u32>load<u8>(changetype<usize>(this), 1)) << 3;
  }

  /** Whether it is as long as its type has it; then the accessors below are safe. */
  get isWhole(): bool {
    const length = this.length;
    switch (this.type) {
      case NdpOption.Prefix:
        return length == PREFIX_OPTION;
      case NdpOption.Mtu:
        return length == MTU_OPTION;
      case NdpOption.RecursiveDns:
        return length >= NDP_DNS_OPTION + 16 && (length & 8) != 0;
      case NdpOption.RouteInformation: {
        // Only what of the prefix is needed (RFC 4191, 2.3); the reserved preference is no route.
        const bits = this.prefixLength;
        const least: u32 = bits > 64 ? 24 : bits ? 16 : 8;
        return length >= least && length <= 24 && bits <= 128 && (this.prefixFlags & 0x18) != 0x10;
      }
      case NdpOption.SourceLinkAddress:
      case NdpOption.TargetLinkAddress:
        return length == NDP_LINK_OPTION;
      default:
        return false;
    }
  }


  @inline get mac(): u64 {
    // From the option's start, so as to read no byte behind it.
    return bswap(load<u64>(changetype<usize>(this))) & 0xffff_ffff_ffff;
  }


  @inline get mtu(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 4));
  }


  @inline get prefixLength(): u32 {
    return load<u8>(changetype<usize>(this), 2);
  }

  /** `PrefixFlag` bits. */
  @inline get prefixFlags(): u32 {
    return load<u8>(changetype<usize>(this), 3);
  }

  /** Seconds; of an RDNSS option `validLifetime` is its one lifetime. */
  @inline get validLifetime(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 4));
  }


  @inline get preferredLifetime(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 8));
  }


  @inline prefix(into: IpAddress): void {
    v6Load(into, changetype<usize>(this) + 16, 0);
  }

  /** Of a route information option. */
  @inline get routePreference(): i32 {
    return preferenceOf(this.prefixFlags);
  }

  /** The prefix of a route information option. */
  routePrefix(into: IpAddress): void {
    const length = this.length;
    into.hi = length > 8 ? bswap(load<u64>(changetype<usize>(this), 8)) : 0;
    into.lo = length > 16 ? bswap(load<u64>(changetype<usize>(this), 16)) : 0;
  }


  @inline get dnsCount(): u32 {
    return (this.length - NDP_DNS_OPTION) >> 4;
  }


  @inline dns(index: u32, into: IpAddress, zone: u32): void {
    v6Load(into, changetype<usize>(this) + NDP_DNS_OPTION + ((<usize>index) << 4), zone);
  }
}

/** The MAC address of the first option of `type` in a valid list, 0 without one. */
export function ndpLinkAddress(at: usize, length: u32, type: NdpOption): u64 {
  for (const end = at + length; at < end;) {
    const option = changetype<NdpOptionHeader>(at);
    if (option.type == type && option.isWhole) return option.mac;
    at += option.length;
  }
  return 0;
}

/** Writes a target behind a neighbour message's header. */
@inline export function ndpPutTarget(at: usize, target: IpAddress): void {
  v6Store(at + ICMPV6_HEADER, target.hi, target.lo);
}

// What writes an option returns where it ends.

/** Writes an option with an Ethernet address. */
@inline export function ndpPutLinkAddress(at: usize, type: NdpOption, mac: u64): usize {
  store<u16>(at, type | (1 << 8));
  storeMac(at + 2, mac);
  return at + NDP_LINK_OPTION;
}

/** Writes a router advertisement without options; times are not said. `flags`: `RouterFlag` bits. */
export function ndpPutRouter(at: usize, hopLimit: u32, flags: u32, lifetime: u32): void {
  icmpv6Build(at, Icmpv6Type.RouterAdvertisement, 0, (hopLimit << 24) | (flags << 16) | lifetime);
  store<u64>(at, 0, ICMPV6_HEADER);
}

/** Writes an MTU option. */
export function ndpPutMtu(at: usize, mtu: u32): usize {
  store<u32>(at, NdpOption.Mtu | (1 << 8));
  store<u32>(at, bswap(mtu), 4);
  return at + MTU_OPTION;
}

/** Writes a prefix option; `flags`: `PrefixFlag` bits; lifetimes in seconds. */
export function ndpPutPrefix(
  at: usize,
  prefix: IpAddress,
  bits: u32,
  flags: u32,
  valid: u32,
  preferred: u32,
): usize {
  store<u32>(at, NdpOption.Prefix | (4 << 8) | (bits << 16) | (flags << 24));
  store<u32>(at, bswap(valid), 4);
  store<u32>(at, bswap(preferred), 8);
  store<u32>(at, 0, 12);
  v6Store(at + 16, prefix.hi, prefix.lo);
  return at + PREFIX_OPTION;
}

/** Writes an address of an RDNSS option. */
@inline export function ndpPutAddress(at: usize, address: IpAddress): usize {
  v6Store(at, address.hi, address.lo);
  return at + 16;
}

/** Ends an RDNSS or DNSSL option that begins at `at` and whose list ends at `end`, with its header and padding. */
export function ndpEndNames(at: usize, type: NdpOption, lifetime: u32, end: usize): usize {
  const units = <u32>((end - at + 7) >> 3);
  store<u32>(at, type | (units << 8));
  store<u32>(at, bswap(lifetime), 4);
  memory.fill(end, 0, at + (units << 3) - end);
  return at + (units << 3);
}

/** Writes an option with the start of a packet: `length` bytes, and zeroes up to a multiple of 8; returns its length. */
export function ndpPutRedirected(at: usize, packet: usize, length: u32): u32 {
  const whole = (length + 7) & ~7;
  store<u64>(at, NdpOption.RedirectedHeader | ((1 + (whole >> 3)) << 8));
  memory.copy(at + NDP_REDIRECTED_HEADER, packet, length);
  memory.fill(at + NDP_REDIRECTED_HEADER + length, 0, whole - length);
  return NDP_REDIRECTED_HEADER + whole;
}
