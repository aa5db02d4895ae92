import { parseDecimal, parseHex, parseV4, textEquals, textFind } from "../../kernel/text";
import { linkNumber } from "../virtual/given";
import { isV4Loopback, v4Mask } from "../wire/address";
import { isGroupMac } from "../wire/ethernet";

/**
 * What the operator has the DHCP server lease, and say: words of the kernel's command line.
 *
 *     dhcpd=eth1,10.1.0.100-10.1.0.200,lease=3600,router=10.1.0.1,dns=10.1.0.1,domain=lab.example
 *     dhcpd=eth1,10.9.0.10-10.9.0.99/24,52:54:00:12:34:56=10.9.0.5
 *
 * Each word is a pool: a card, its range, and the rest in any order. A range with a prefix length is for clients
 * behind a relay whose subnet is not the card's own.
 */

const POOLS: u32 = 8;
/** Addresses of all pools together: what the table of leases has room for. */
export const POOL_ADDRESSES: u32 = 4096;
/** Stations with an address of their own, of all pools together. */
const FIXED: u32 = 64;
/** Servers of a kind that are told of. */
export const POOL_SERVERS: u32 = 3;
/** Seconds; the least is two renewals apart as clients must keep them (RFC 2131, 4.4.5). */
const LEASE_DEFAULT: u32 = 3600;
const LEASE_LEAST: i32 = 120;
const LEASE_MOST: u32 = 0x7fff_ffff;
const DOMAIN_MOST: u32 = 253;
const COMMA: u32 = 0x2c;
const DASH: u32 = 0x2d;
const SLASH: u32 = 0x2f;
const COLON: u32 = 0x3a;
const EQUALS: u32 = 0x3d;

/** 128 bytes. */
@unmanaged
export class Pool {
  /** The card's number. */
  link: u32;
  first: u32;
  last: u32;
  /** Bits of the subnet's prefix; 0: the card's. */
  prefix: u32;
  router: u32;
  /** Seconds. T1 and T2 are 0 where nothing is said. */
  lease: u32;
  renewal: u32;
  rebinding: u32;
  domain: usize;
  domainLength: u32;
  dnsCount: u32;
  dns0: u32;
  dns1: u32;
  dns2: u32;
  ntpCount: u32;
  ntp0: u32;
  ntp1: u32;
  ntp2: u32;
  /** Records of the table that are its (net/dhcp/leases.ts). */
  start: usize;
  /** When it was last said that it is used up: `host.monotonic` ns. */
  saidAt: u64;

  /** Addresses of the range. */
  @inline get size(): u32 {
    return this.last - this.first + 1;
  }


  @inline holds(address: u32): bool {
    return address >= this.first && address <= this.last;
  }
}

/** A station and its address. 16 bytes. */
@unmanaged
export class Fixed {
  mac: u64;
  address: u32;
  pool: u32;
}

const pools: usize = memory.data(8 * 128, 8);
const fixed: usize = memory.data(64 * 16, 8);
let pooled: u32 = 0;
let fixedGiven: u32 = 0;
let addresses: u32 = 0;


@inline export function poolCount(): u32 {
  return pooled;
}


@inline export function poolAt(index: u32): Pool {
  return changetype<Pool>(pools + ((<usize>index) << 7));
}


@inline export function fixedCount(): u32 {
  return fixedGiven;
}


@inline export function fixedAt(index: u32): Fixed {
  return changetype<Fixed>(fixed + ((<usize>index) << 4));
}

/** Forgets everything. */
export function poolsClear(): void {
  pooled = 0;
  fixedGiven = 0;
  addresses = 0;
}

/** Notes a pool. False if something makes no sense; then nothing of it is kept. */
export function poolNamed(value: usize, length: u32): bool {
  if (pooled == POOLS) return false;
  const before = fixedGiven;
  const pool = poolAt(pooled);
  memory.fill(changetype<usize>(pool), 0, 128);
  pool.lease = LEASE_DEFAULT;
  let place: u32 = 0;
  for (let at: u32 = 0; at <= length; place++) {
    const part = textFind(value + at, length - at, COMMA);
    if (!takePart(pool, place, value + at, part)) {
      fixedGiven = before;
      return false;
    }
    at += part + 1;
  }
  const room = addresses + pool.size <= POOL_ADDRESSES;
  const ordered = !pool.rebinding || pool.renewal <= pool.rebinding;
  if (
    place < 2 ||
    !room ||
    !ordered ||
    pool.rebinding >= pool.lease ||
    pool.renewal >= pool.lease
  ) {
    fixedGiven = before;
    return false;
  }
  addresses += pool.size;
  pooled++;
  return true;
}

function takePart(pool: Pool, place: u32, at: usize, length: u32): bool {
  if (place == 0) {
    const link = linkNumber(at, length);
    pool.link = link;
    return link >= 0;
  }
  if (place == 1) return takeRange(pool, at, length);
  const equals = textFind(at, length, EQUALS);
  if (equals == length) return false;
  const value = at + equals + 1;
  const size = length - equals - 1;
  if (textFind(at, equals, COLON) < equals) return takeFixed(at, equals, value, size);
  if (textEquals(at, equals, "domain")) {
    pool.domain = value;
    pool.domainLength = size;
    return size >= 1 && size <= DOMAIN_MOST;
  }
  if (textEquals(at, equals, "router")) return (pool.router = host(value, size)) != 0;
  if (textEquals(at, equals, "dns")) {
    if (pool.dnsCount == POOL_SERVERS) return false;
    return setServer(pool, offsetof<Pool>("dns0"), pool.dnsCount++, host(value, size));
  }
  if (textEquals(at, equals, "ntp")) {
    if (pool.ntpCount == POOL_SERVERS) return false;
    return setServer(pool, offsetof<Pool>("ntp0"), pool.ntpCount++, host(value, size));
  }
  const seconds = parseDecimal(value, size, LEASE_MOST);
  if (textEquals(at, equals, "lease")) pool.lease = seconds;
  else if (textEquals(at, equals, "t1")) pool.renewal = seconds;
  else if (textEquals(at, equals, "t2")) pool.rebinding = seconds;
  else return false;
  return seconds >= LEASE_LEAST >> 1 && <i32>pool.lease >= LEASE_LEAST;
}

function setServer(pool: Pool, offset: usize, index: u32, address: u32): bool {
  store<u32>(changetype<usize>(pool) + offset + (index << 2), address);
  return address != 0;
}

/** A host's address (RFC 1122, 3.2.1.3), or 0. */
function host(at: usize, length: u32): u32 {
  const address = parseV4(at, length);
  if (address < 0 || <u32>address >= 0xe000_0000 || isV4Loopback(<u32>address)) return 0;
  return (<u32>address) >>> 24 ? <u32>address : 0;
}

/** `first-last`, and perhaps `/prefix`. */
function takeRange(pool: Pool, at: usize, length: u32): bool {
  const dash = textFind(at, length, DASH);
  const slash = textFind(at, length, SLASH);
  if (dash >= slash) return false;
  pool.first = host(at, dash);
  pool.last = host(at + dash + 1, slash - dash - 1);
  if (!pool.first || pool.last < pool.first || pool.size > POOL_ADDRESSES) return false;
  if (slash == length) return true;
  const bits = parseDecimal(at + slash + 1, length - slash - 1, 30);
  pool.prefix = bits;
  return bits > 0 && !((pool.first ^ pool.last) & v4Mask(bits));
}

function takeFixed(at: usize, length: u32, value: usize, size: u32): bool {
  if (fixedGiven == FIXED || length != 17) return false;
  let mac: u64 = 0;
  for (let i: u32 = 0; i < 17; i += 3) {
    const octet = parseHex(at + i, 2);
    if (octet < 0 || (i < 15 && load<u8>(at + i + 2) != COLON)) return false;
    mac = (mac << 8) | octet;
  }
  const one = fixedAt(fixedGiven);
  one.mac = mac;
  one.address = host(value, size);
  one.pool = pooled;
  fixedGiven++;
  return mac != 0 && !isGroupMac(mac) && one.address != 0;
}
