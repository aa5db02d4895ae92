import { DEVICES_MAX } from "../drivers/device";
import { POLICY } from "../kernel/features";
import { parseDecimal, parseHex, parseV4, parseV6, textEquals, textFind } from "../kernel/text";
import { AddressState, Interface, InterfaceAddress } from "./interface";
import { Offer } from "./ndp/offer";
import {
  INPUT_OWN,
  PRIORITY_MOST,
  Rule,
  RuleAction,
  ruleAdd,
  ruleNew,
  rulesClear,
} from "./route/rules";
import {
  METRIC,
  RouteOrigin,
  routeAdd,
  routeRemove,
  tableNumbered,
  tablesClear,
} from "./route/table";
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
const EQUALS: u32 = 0x3d;
/** RT_TABLE_LOCAL. */
const TABLE_LOCAL: i32 = 255;

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

/** A route that was given. 64 bytes. */
@unmanaged
class GivenRoute {
  hi: u64;
  lo: u64;
  private gatewayHi: u64;
  private gatewayLo: u64;
  metric: u32;
  length: u32;
  /** Of a link-local router, or of none: the number of the card, from 1. */
  link: u32;
  /** `tableNumbered`. */
  table: u32;
  private sourceHi: u64;
  private sourceLo: u64;


  @inline get prefix(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }


  @inline get gateway(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<GivenRoute>("gatewayHi"));
  }


  @inline get source(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<GivenRoute>("sourceHi"));
  }
}

const addresses4: usize = memory.data(48 * 40, 8);
const mtus: usize = memory.data(48 * 4, 4);
const addresses6: usize = memory.data(48 * 40, 8);
const offers: usize = memory.data(48 * 32, 8);
const routes: usize = memory.data(64 * 64, 8);
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
  tablesClear();
  if (POLICY) rulesClear();
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

/**
 * Notes a route: prefix; router (a link-local one with its link, fe80::1%eth1), or the link alone; and perhaps a
 * metric, its table, and what we send from by it.
 */
export function routeNamed(value: usize, length: u32): bool {
  const first = textFind(value, length, COMMA);
  if (routesGiven == ROUTES || first == length || !readPrefix(value, first)) return false;
  const given = changetype<GivenRoute>(routes + <usize>routesGiven * offsetof<GivenRoute>());
  memory.fill(changetype<usize>(given), 0, offsetof<GivenRoute>());
  given.prefix.copy(read);
  given.length = readBits;
  given.metric = METRIC;
  let at = first + 1;
  const hop = textFind(value + at, length - at, COMMA);
  if (!routeHop(given, value + at, hop)) return false;
  for (at += hop + 1; at <= length;) {
    const part = textFind(value + at, length - at, COMMA);
    if (!routePart(given, value + at, part)) return false;
    at += part + 1;
  }
  routesGiven++;
  return true;
}

/** The router of a route, or its link. */
function routeHop(given: GivenRoute, at: usize, length: u32): bool {
  const name = textFind(at, length, PERCENT);
  if (!readAddress(at, name)) {
    given.link = linkNumber(at, length) + 1;
    return given.link != 0;
  }
  if (read.isAny || read.isV4 != given.prefix.isV4) return false;
  given.gateway.copy(read);
  if (!isV6LinkLocal(read.hi)) return name == length;
  const link = name < length ? linkNumber(at + name + 1, length - name - 1) : -1;
  given.link = link + 1;
  return link >= 0;
}

/** What may follow: a metric, or what rules want. */
function routePart(given: GivenRoute, at: usize, length: u32): bool {
  const metric = parseDecimal(at, length, METRIC_MOST);
  if (metric >= 0) given.metric = metric;
  else if (POLICY && isKey(at, length, "table")) return tableNamed(at + 6, length - 6, given);
  else if (POLICY && isKey(at, length, "src")) {
    if (!readAddress(at + 4, length - 4) || read.isV4 != given.prefix.isV4) return false;
    given.source.copy(read);
  } else return false;
  return true;
}


@inline function isKey(at: usize, length: u32, key: string): bool {
  const size = <u32>key.length;
  return length > size && load<u8>(at + size) == EQUALS && textEquals(at, size, key);
}

/** The number of a table: 0 means none, and 255 Linux's own, of our addresses. */
function readTable(at: usize, length: u32): i32 {
  if (textEquals(at, length, "main")) return 0;
  const number = parseDecimal(at, length, i32.MAX_VALUE);
  return number <= 0 || number == TABLE_LOCAL ? -1 : tableNumbered(number);
}

function tableNamed(at: usize, length: u32, given: GivenRoute): bool {
  const table = readTable(at, length);
  given.table = table;
  return table >= 0;
}

/** A number in decimal or, behind 0x, in hexadecimal; -1 if it is not one of 32 bits. */
function readNumber(at: usize, length: u32): i64 {
  if (length > 2 && textEquals(at, 2, "0x")) return parseHex(at + 2, length - 2);
  return parseDecimal(at, length, i32.MAX_VALUE);
}

/**
 * Notes a rule of routing: what it looks at and what it does, apart by commas. False if something makes no sense, or
 * it does nothing.
 */
export function ruleNamed(value: usize, length: u32): bool {
  const rule = ruleNew();
  if (rule === null) return false;
  let acts = false;
  for (let at: u32 = 0; at <= length;) {
    const part = textFind(value + at, length - at, COMMA);
    const found = rulePart(rule, value + at, part);
    if (found < 0 || (found && acts)) return false;
    if (found) acts = true;
    at += part + 1;
  }
  const both = rule.fromLength >= 0 && rule.toLength >= 0;
  if (!acts || (both && rule.from.isV4 != rule.to.isV4)) return false;
  ruleAdd(rule);
  return true;
}

/** One part of a rule: 1 for what it does, 0 for anything else, -1 for what makes no sense. */
function rulePart(rule: Rule, at: usize, length: u32): i32 {
  if (textEquals(at, length, "blackhole")) rule.action = RuleAction.Blackhole;
  else if (textEquals(at, length, "unreachable")) rule.action = RuleAction.Unreachable;
  else if (textEquals(at, length, "prohibit")) rule.action = RuleAction.Prohibit;
  if (rule.action && textFind(at, length, EQUALS) == length) return 1;
  const key = textFind(at, length, EQUALS);
  if (key == length) return -1;
  const value = at + key + 1;
  const size = length - key - 1;
  if (textEquals(at, key, "table")) {
    const table = readTable(value, size);
    rule.table = table;
    return table < 0 ? -1 : 1;
  }
  if (textEquals(at, key, "priority")) {
    rule.priority = parseDecimal(value, size, PRIORITY_MOST);
    return <i32>rule.priority > 0 ? 0 : -1;
  }
  if (textEquals(at, key, "suppress")) {
    rule.suppress = parseDecimal(value, size, 128);
    return rule.suppress >= 0 ? 0 : -1;
  }
  if (textEquals(at, key, "from")) {
    if (!readPrefix(value, size)) return -1;
    rule.from.copy(read);
    rule.fromLength = readBits;
    return 0;
  }
  if (textEquals(at, key, "to")) {
    if (!readPrefix(value, size)) return -1;
    rule.to.copy(read);
    rule.toLength = readBits;
    return 0;
  }
  if (textEquals(at, key, "iif")) {
    const own = textEquals(value, size, "lo");
    rule.input = own ? INPUT_OWN : linkNumber(value, size) + 1;
    return rule.input ? 0 : -1;
  }
  if (!textEquals(at, key, "mark")) return -1;
  const slash = textFind(value, size, SLASH);
  const mark = readNumber(value, slash);
  const mask = slash < size ? readNumber(value + slash + 1, size - slash - 1) : u32.MAX_VALUE;
  rule.mark = <u32>mark;
  rule.mask = <u32>mask;
  return mark < 0 || mask <= 0 ? -1 : 0;
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

/** Whether a route's router, or its link, is on the link of an address of ours. */
function isNear(route: GivenRoute, record: InterfaceAddress): bool {
  const gateway = route.gateway;
  if (route.link) {
    const v4 = route.prefix.isV4;
    const family = v4 ? record.address.isV4 : isV6LinkLocal(record.hi);
    return record.iface.device.number + 1 == route.link && family;
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

/** Whether another address of the interface still reaches a route's router. */
function isStillNear(route: GivenRoute, iface: Interface): bool {
  let record = iface.addresses;
  while (record !== null) {
    if (record.state == AddressState.Assigned && isNear(route, record)) return true;
    record = record.next;
  }
  return false;
}

/** An address came into use, or is lost: so do the routes whose routers it reaches. Cost: the given routes. */
export function configuredRoutes(record: InterfaceAddress, come: bool): void {
  const iface = record.iface;
  for (let i: u32 = 0; i < routesGiven; i++) {
    const route = changetype<GivenRoute>(routes + <usize>i * offsetof<GivenRoute>());
    if (!isNear(route, record)) continue;
    let by: IpAddress | null = null;
    if (!route.gateway.isAny) {
      by = router;
      router.copy(route.gateway);
      if (route.link) router.hi = V6_LINK_LOCAL | iface.zone;
    }
    if (come) {
      routeAdd(
        route.prefix,
        route.length,
        by,
        iface,
        route.metric,
        RouteOrigin.Static,
        route.table,
        route.source,
      );
    } else if (!isStillNear(route, iface)) {
      routeRemove(route.prefix, route.length, by, iface, RouteOrigin.Static, route.table);
    }
  }
}
