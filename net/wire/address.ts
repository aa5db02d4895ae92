/**
 * IP addresses of both families in one type: 128 bits as two numbers, most significant first. An
 * IPv4 address is its IPv4-mapped form ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so `hi` is 0 and `lo`
 * is `V4_PREFIX | address`. Tables, sockets and connections hold only this.
 *
 * A link-local address means something only together with its link (RFC 4007, 6). All of fe80::/10
 * that is in use is fe80::/64 (RFC 4291, 2.5.6), so the link's zone stands in the lowest bits of
 * `hi`, which are zero on the wire: no table and no tuple needs another field for it.
 */

const V4_PREFIX: u64 = 0x0000_ffff_0000_0000;

/** An address in memory: 16 bytes, numbers in native order, not the wire's form. */
@unmanaged
export class IpAddress {
  hi: u64;
  lo: u64;


  @inline set(hi: u64, lo: u64): void {
    this.hi = hi;
    this.lo = lo;
  }


  @inline copy(from: IpAddress): void {
    this.hi = from.hi;
    this.lo = from.lo;
  }


  @inline equals(other: IpAddress): bool {
    return this.hi == other.hi && this.lo == other.lo;
  }


  @inline setV4(address: u32): void {
    this.hi = 0;
    this.lo = V4_PREFIX | address;
  }


  @inline get isV4(): bool {
    return isV4(this.hi, this.lo);
  }

  /** The IPv4 address as a number; of an address for which `isV4`. */
  @inline get v4(): u32 {
    return <u32>this.lo;
  }

  /** An unspecified address: `::`, 0.0.0.0 in its mapped form, or `V6_ONLY`. */
  @inline get isAny(): bool {
    return !this.hi && (!this.lo || this.lo == V4_PREFIX || this.lo == V6_ONLY);
  }

  /**
   * Whether what is bound to this address hears what comes for `other`: the unspecified addresses
   * stand for all of their families.
   */
  @inline covers(other: IpAddress): bool {
    if (this.equals(other)) return true;
    if (this.hi) return false;
    const lo = this.lo;
    return !lo || (lo == V4_PREFIX && other.isV4) || (lo == V6_ONLY && !other.isV4);
  }

  /** Whether one can be bound to both: the same, or one covers the other. */
  @inline overlaps(other: IpAddress): bool {
    return this.covers(other) || other.covers(this);
  }

  /** Whether what is bound to this address can send to `other`, by family. */
  @inline speaksTo(other: IpAddress): bool {
    return (!this.hi && !this.lo) || this.isV4 == other.isV4;
  }
}

/**
 * The `lo`, its `hi` being 0, of the unspecified address for IPv6 alone (RFC 3493, 5.3), where `::`
 * stands for both families: a value of ::/8, which no host has (RFC 4291, 2.4).
 */
export const V6_ONLY: u64 = 1 << 63;

/** The `lo` of 0.0.0.0: all addresses of IPv4. */
export const V4_ANY: u64 = V4_PREFIX;

/** The `lo` of an IPv4 address; its `hi` is 0. */
@inline export function v4Lo(address: u32): u64 {
  return V4_PREFIX | address;
}


@inline export function isV4(hi: u64, lo: u64): bool {
  return !hi && (lo & 0xffff_ffff_0000_0000) == V4_PREFIX;
}

/** 255.255.255.255 (RFC 1122, 3.2.1.3). */
export const V4_BROADCAST: u32 = 0xffff_ffff;

/** 224.0.0.0/4 (RFC 1112, 4). */
@inline export function isV4Multicast(address: u32): bool {
  return (address & 0xf000_0000) == 0xe000_0000;
}

/** 127.0.0.1 (RFC 1122, 3.2.1.3). */
export const V4_LOOPBACK: u32 = 0x7f00_0001;

/** 127.0.0.0/8 (RFC 1122, 3.2.1.3). */
@inline export function isV4Loopback(address: u32): bool {
  return address >>> 24 == 127;
}

/** 169.254.0.0/16 (RFC 3927). */
@inline export function isV4LinkLocal(address: u32): bool {
  return address >>> 16 == 0xa9fe;
}

/** The mask of a prefix of `length` bits, 0 to 32. */
@inline export function v4Mask(length: u32): u32 {
  return length == 0 ? 0 : 0xffff_ffff << (32 - length);
}

// ---- IPv6 ----------------------------------------------------------------------------------

/** The `hi` of fe80::/64, without a zone. */
export const V6_LINK_LOCAL: u64 = 0xfe80_0000_0000_0000;
/** Where the zone stands in it. */
const ZONE: u64 = 0xff;

/** The `hi` of ff02::/16: groups of a link; all nodes and all routers are 1 and 2 of it (RFC 4291, 2.7.1). */
export const V6_LINK_GROUP: u64 = 0xff02_0000_0000_0000;

/** Of ff05::/16: groups of a site. */
export const V6_SITE_GROUP: u64 = 0xff05_0000_0000_0000;

/** fe80::/64, in any zone. */
@inline export function isV6LinkLocal(hi: u64): bool {
  return (hi & ~ZONE) == V6_LINK_LOCAL;
}

/** ff00::/8. */
@inline export function isV6Multicast(hi: u64): bool {
  return hi >> 56 == 0xff;
}

/** ::1. */
@inline export function isV6Loopback(hi: u64, lo: u64): bool {
  return !hi && lo == 1;
}

/** The zone of a link-local address, 0 for none and for other addresses. */
@inline export function v6Zone(hi: u64): u32 {
  return isV6LinkLocal(hi) ? <u32>(hi & ZONE) : 0;
}

/** `hi` as it stands on the wire, without a zone. */
@inline export function v6Wire(hi: u64): u64 {
  return isV6LinkLocal(hi) ? V6_LINK_LOCAL : hi;
}

/** What makes of an address that claims a zone on the wire one outside fe80::/64. */
const FORGED: u64 = 0x100;

/** Reads the 16 bytes at `at`, which came by a link of `zone`. */
@inline export function v6Load(into: IpAddress, at: usize, zone: u32): void {
  const hi = bswap(load<u64>(at));
  into.hi = !isV6LinkLocal(hi) ? hi : hi == V6_LINK_LOCAL ? hi | zone : hi | FORGED;
  into.lo = bswap(load<u64>(at, 8));
}

/** Writes an address as 16 bytes at `at`. */
@inline export function v6Store(at: usize, hi: u64, lo: u64): void {
  store<u64>(at, bswap(v6Wire(hi)));
  store<u64>(at, bswap(lo), 8);
}

/** How far an address reaches (RFC 4291, 2.7; of unicast ones RFC 6724, 3.1). */
export const enum Scope {
  Interface = 1,
  Link = 2,
  Global = 14,
}

/** The scope of an address that is not IPv4. */
export function v6Scope(hi: u64, lo: u64): i32 {
  if (isV6Multicast(hi)) return (<i32>(hi >> 48)) & 15;
  return isV6LinkLocal(hi) || isV6Loopback(hi, lo) ? Scope.Link : Scope.Global;
}

/** Bits from the left, at most 128, in which two addresses agree. */
export function commonPrefix(hi: u64, lo: u64, otherHi: u64, otherLo: u64): u32 {
  if (hi != otherHi) return <u32>clz(hi ^ otherHi);
  return 64 + <u32>clz(lo ^ otherLo);
}
