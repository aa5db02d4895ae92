/**
 * IP addresses of both families in one type: 128 bits as two numbers, most significant first. An
 * IPv4 address is its IPv4-mapped form ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so `hi` is 0 and `lo`
 * is `V4_PREFIX | address`. Tables, sockets and connections hold only this.
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

  /** The unspecified address: `::`, or 0.0.0.0 in its mapped form. */
  @inline get isAny(): bool {
    return !this.hi && (!this.lo || this.lo == V4_PREFIX);
  }
}

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
