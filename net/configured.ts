import { DEVICES_MAX } from "../drivers/device";
import { parseDecimal, parseV4, parseV6, textEquals, textFind } from "../kernel/text";
import { Interface, InterfaceAddress } from "./interface";
import { Offer } from "./ndp/offer";
import { METRIC, RouteOrigin, routeAdd, routeRemove } from "./route/table";
import {
  IpAddress,
  V6_LINK_LOCAL,
  commonPrefix,
  isV4Loopback,
  isV6LinkLocal,
  isV6Multicast,
  v4Mask,
} from "./wire/address";
import { linkNumber, virtualClear, virtualComplete, virtualPart } from "./virtual/given";

/**
 * What the operator says of one of several links, and of routes: words of the kernel's command line
 * (kernel/config.ts).
 */

/** Links that can be told of, by number: eth0 to eth31, and those over them (net/virtual/given.ts). */
const LINKS: u32 = DEVICES_MAX;
const ROUTES: u32 = 64;
const METRIC_MOST: u32 = 0x7fff_ffff;
/** What every link of IPv6 carries (RFC 8200, 5); what a datagram can be. */
const MTU_LEAST: i32 = 1280;
const MTU_MOST: u32 = 65535;
const COMMA: u32 = 0x2c;
const SLASH: u32 = 0x2f;
const PERCENT: u32 = 0x25;

/** An address that a link was given. 40 bytes. */
@unmanaged
class LinkAddress {
  hi: u64;
  lo: u64;
  private peerHi: u64;
  private peerLo: u64;
  /** Bits of the network part; 0: none given. */
  prefix: u32;
  /** Bits of the prefix around the peer; 0: there is none. */
  peerBits: u32;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }

  /** The station at the other end, with `peerBits`: what is on the link instead of the address's prefix. */
  @inline get peer(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<LinkAddress>("peerHi"));
  }
}

/** A route that was given. 48 bytes. */
@unmanaged
class GivenRoute {
  hi: u64;
  lo: u64;
  private gatewayHi: u64;
  private gatewayLo: u64;
  metric: u32;
  length: u32;
  /** Of a link-local router: the number of its card, from 1. */
  link: u32;
  private spare: u32;


  @inline get prefix(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }


  @inline get gateway(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<GivenRoute>("gatewayHi"));
  }
}

const addresses4: usize = memory.data(48 * 40, 8);
const mtus: usize = memory.data(48 * 4, 4);
const addresses6: usize = memory.data(48 * 40, 8);
const offers: usize = memory.data(48 * 32, 8);
const routes: usize = memory.data(64 * 48, 8);
let routesGiven: u32 = 0;
/** Something is to be advertised. */
export let offersGiven = false;
/** What has just been read. */
const read = changetype<IpAddress>(memory.data(16, 8));
let readBits: u32 = 0;
const router = changetype<IpAddress>(memory.data(16, 8));

/** Forgets everything. */
export function configuredClear(): void {
  memory.fill(addresses4, 0, LINKS * offsetof<LinkAddress>());
  memory.fill(addresses6, 0, LINKS * offsetof<LinkAddress>());
  memory.fill(mtus, 0, LINKS * 4);
  memory.fill(offers, 0, LINKS * 32);
  offersGiven = false;
  routesGiven = 0;
  virtualClear();
}

/** The largest datagram that the card `number` shall carry, 0 when nothing is said. */
export function configuredMtu(number: u32): u32 {
  return number < LINKS ? load<u32>(mtus + (number << 2)) : 0;
}

/** The address of a family that the card `number` was given, or null. */
export function configuredAddress(number: u32, v6: bool): LinkAddress | null {
  const at = (v6 ? addresses6 : addresses4) + <usize>number * offsetof<LinkAddress>();
  const given = changetype<LinkAddress>(at);
  return number < LINKS && given.prefix ? given : null;
}

/** What a router advertises on the link of the card `number`, or null for nothing. */
export function configuredOffer(number: u32): Offer | null {
  const offer = changetype<Offer>(offers + ((<usize>number) << 5));
  return number < LINKS && offer.interval ? offer : null;
}

/** Notes what a router advertises on a link: the card, and what else there is to say, apart by commas. */
export function offerNamed(value: usize, length: u32): bool {
  assert(offsetof<Offer>() <= 32);
  const size = textFind(value, length, COMMA);
  const number = linkNumber(value, size);
  if (number < 0) return false;
  const offer = changetype<Offer>(offers + ((<usize>number) << 5));
  offersGiven = offer.read(value + size + 1, size < length ? length - size - 1 : 0);
  return offersGiven;
}

/**
 * Notes what is said of a link, apart by commas: addresses, of each family at most one, each perhaps with its peer
 * behind it, the MTU, and what its kind wants. False if something makes no sense.
 */
export function linkNamed(number: u32, value: usize, length: u32): bool {
  for (let at: u32 = 0; at <= length;) {
    const part = textFind(value + at, length - at, COMMA);
    if (part > 4 && textEquals(value + at, 4, "mtu=")) {
      const bytes = parseDecimal(value + at + 4, part - 4, MTU_MOST);
      if (bytes < MTU_LEAST) return false;
      store<u32>(mtus + (number << 2), bytes);
      at += part + 1;
      continue;
    }
    const special = virtualPart(number, value + at, part);
    if (special < 0) return false;
    // An address with its peer behind it needs no prefix.
    const behind = value + at + part + 1;
    const peered = at + part + 6 < length && textEquals(behind, 5, "peer=");
    if (!special && !linkAddress(number, value + at, part, peered)) return false;
    at += part + 1;
  }
  return virtualComplete(number);
}

/** Notes `address/bits`, or `peer=address` with perhaps `/bits` of the address before it. */
function linkAddress(number: u32, at: usize, length: u32, peered: bool): bool {
  const peer = length > 5 && textEquals(at, 5, "peer=");
  if (peer) {
    at += 5;
    length -= 5;
  }
  const whole = textFind(at, length, SLASH) == length;
  if (whole && (!readAddress(at, length) || (!peer && !peered))) return false;
  if (whole) readBits = read.isV4 ? 32 : 128;
  else if (!readPrefix(at, length)) return false;
  if (!readBits || !isHostAddress(read, peer ? 32 : readBits)) return false;
  const family = read.isV4 ? addresses4 : addresses6;
  const given = changetype<LinkAddress>(family + <usize>number * offsetof<LinkAddress>());
  if (peer) {
    given.peer.copy(read);
    given.peerBits = readBits;
    return given.prefix != 0;
  }
  given.address.copy(read);
  given.prefix = readBits;
  given.peerBits = 0;
  return true;
}

/** An address that a link was given is in use: so is the way to its peer, or to those of the peer's prefix. */
export function configuredPeer(iface: Interface, given: LinkAddress): void {
  if (!given.peerBits) return;
  routeAdd(given.peer, given.peerBits, null, iface, 0, RouteOrigin.Static);
}

/** Notes a route: prefix, router (a link-local one with its link, fe80::1%eth1), and perhaps a metric. */
export function routeNamed(value: usize, length: u32): bool {
  const first = textFind(value, length, COMMA);
  if (routesGiven == ROUTES || first == length || !readPrefix(value, first)) return false;
  const given = changetype<GivenRoute>(routes + <usize>routesGiven * offsetof<GivenRoute>());
  given.prefix.copy(read);
  given.length = readBits;
  given.metric = METRIC;
  const rest = value + first + 1;
  const second = textFind(rest, length - first - 1, COMMA);
  if (second < length - first - 1) {
    const metric = parseDecimal(rest + second + 1, length - first - second - 2, METRIC_MOST);
    if (metric < 0) return false;
    given.metric = metric;
  }
  const name = textFind(rest, second, PERCENT);
  if (!readAddress(rest, name) || read.isV4 != given.prefix.isV4) return false;
  if (isV6LinkLocal(read.hi)) {
    const link = name < second ? linkNumber(rest + name + 1, second - name - 1) : -1;
    if (link < 0) return false;
    given.link = link + 1;
  } else if (name < second) return false;
  given.gateway.copy(read);
  routesGiven++;
  return true;
}

/** `address/bits` into `read` and `readBits`. */
function readPrefix(at: usize, length: u32): bool {
  const slash = textFind(at, length, SLASH);
  if (slash == length || !readAddress(at, slash)) return false;
  const bits = parseDecimal(at + slash + 1, length - slash - 1, read.isV4 ? 32 : 128);
  readBits = <u32>bits;
  return bits >= 0;
}

/** An address of either family into `read`. */
function readAddress(at: usize, length: u32): bool {
  const v4 = parseV4(at, length);
  if (v4 >= 0) read.setV4(<u32>v4);
  return v4 >= 0 || parseV6(at, length, read);
}

/** Whether a host may be called so (RFC 1122, 3.2.1.3; RFC 4291, 2.4). */
function isHostAddress(address: IpAddress, bits: u32): bool {
  if (!address.isV4) {
    return address.hi >> 56 != 0 && !isV6Multicast(address.hi) && !isV6LinkLocal(address.hi);
  }
  const v4 = address.v4;
  const host = v4 & ~v4Mask(bits);
  if (bits < 31 && (host == 0 || host == ~v4Mask(bits))) return false;
  return v4 >>> 24 != 0 && !isV4Loopback(v4) && v4 < 0xe000_0000;
}

/** Whether a route's router is on the link of an address of ours. */
function isNear(route: GivenRoute, record: InterfaceAddress): bool {
  const gateway = route.gateway;
  if (route.link) {
    const device = record.iface.device;
    return device.number + 1 == route.link && isV6LinkLocal(record.hi);
  }
  if (gateway.isV4 != record.address.isV4) return false;
  const given = configuredAddress(record.iface.device.number, !gateway.isV4);
  if (given !== null && given.peerBits && given.address.equals(record.address)) {
    const peerBits = given.peerBits + (gateway.isV4 ? 96 : 0);
    return commonPrefix(gateway.hi, gateway.lo, given.peer.hi, given.peer.lo) >= peerBits;
  }
  const bits = <u32>record.prefix + (gateway.isV4 ? 96 : 0);
  return commonPrefix(gateway.hi, gateway.lo, record.hi, record.lo) >= bits;
}

/** An address came into use, or is lost: so do the routes whose routers it reaches. Cost: the given routes. */
export function configuredRoutes(record: InterfaceAddress, come: bool): void {
  const iface = record.iface;
  for (let i: u32 = 0; i < routesGiven; i++) {
    const route = changetype<GivenRoute>(routes + <usize>i * offsetof<GivenRoute>());
    if (!isNear(route, record)) continue;
    router.copy(route.gateway);
    if (route.link) router.hi = V6_LINK_LOCAL | iface.zone;
    if (come) {
      routeAdd(route.prefix, route.length, router, iface, route.metric, RouteOrigin.Static);
    } else routeRemove(route.prefix, route.length, router, iface, RouteOrigin.Static);
  }
}
