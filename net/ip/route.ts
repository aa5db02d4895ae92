import { Feature } from "../../drivers/device";
import { Errno } from "../../kernel/errno";
import { POLICY } from "../../kernel/features";
import { prefetch } from "../../kernel/host";
import {
  IpAddress,
  V4_BROADCAST,
  isV4,
  isV4LinkLocal,
  isV4Loopback,
  isV4Multicast,
  isV6Multicast,
} from "../wire/address";
import { addressHash } from "../hash";
import {
  Interface,
  LinkKind,
  findAddress,
  interfaceAt,
  interfaceCount,
  interfaceGeneration,
  interfacesChanged,
  isAssigned,
  loopbackInterface,
  AddressState,
} from "../interface";
import { Neighbour } from "../link/neighbour";
import { routeFind } from "../route/choose";
import { ruleFind, ruleForgive, ruleVerdict } from "../route/policy";
import { redirectedHop } from "../route/redirect";
import { Flow, RuleAction, RuleField, ruleFields } from "../route/rules";
import { RouteEntry } from "../route/table";
import { v6Route } from "./route6";

/**
 * Where a datagram goes first (RFC 1122, 3.3.1): to ourselves, to the destination when it is on the
 * link, or to a router, as net/route/table.ts says.
 *
 * The answers are kept in a table of destinations, one place each, with the neighbour and the frame's
 * header: a second packet to the same destination costs one comparison. A change of addresses, gateways,
 * links or a neighbour's place outdates them all. With rules (net/route/rules.ts) what these look at is part
 * of the key.
 */

/** How the link layer finds the receiver. */
export const enum RouteKind {
  /** Its neighbour entry knows. */
  Unicast = 0,
  /** All stations. */
  Broadcast = 1,
  /** The group's MAC address (RFC 1112, 6.4). */
  Multicast = 2,
  /** This machine. */
  Local = 3,
  /** The same for IPv6, which has no broadcast. */
  UnicastV6 = 4,
  MulticastV6 = 5,
  LocalV6 = 6,
}

/** The first hop to a destination. 128 bytes. Valid until the next look-up. */
@unmanaged
export class Route {
  // What a packet needs stands in the first 64 bytes.
  hi: u64;
  lo: u64;
  /** With `neighbour`: the header of a frame to it (`ethernetPut`). */
  frame0: u64;
  frame6: u64;
  iface: Interface;
  /** The next hop's entry, once it has answered. */
  neighbour: Neighbour | null;
  /** `interfaceGeneration()` for which this holds. */
  generation: u32;
  /** `RouteKind`. */
  kind: u32;
  /** What we send from when the program does not say (RFC 1122, 3.3.4.3). */
  sourceHi: u64;
  sourceLo: u64;
  /** The address to resolve on the link: the destination or a router. */
  nextHi: u64;
  nextLo: u64;
  /** By a router. */
  routed: bool;
  /** With rules: what else it was looked up for, as far as any rule looks at it (a `Flow`). */
  private flowHi: u64;
  private flowLo: u64;
  private flowMark: u32;
  private flowInput: u32;


  @inline get next(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Route>("nextHi"));
  }

  /** To a group, or all on a link. */
  get reachesMany(): bool {
    const kind = this.kind;
    return (
      kind == RouteKind.Broadcast || kind == RouteKind.Multicast || kind == RouteKind.MulticastV6
    );
  }


  @inline get source(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Route>("sourceHi"));
  }


  @inline get flow(): Flow {
    return changetype<Flow>(changetype<usize>(this) + offsetof<Route>("flowHi"));
  }
}

const ROUTES: u32 = 1024;
const routes: usize = memory.data(1024 * 128, 64);


@inline function placeOf(hi: u64, lo: u64): Route {
  const at = routes + ((<usize>(addressHash(hi, lo, 0) & (ROUTES - 1))) << 7);
  return changetype<Route>(at);
}

/** The route to an address, or null when there is none: `routeError` has why. */
@inline export function routeTo(hi: u64, lo: u64): Route | null {
  if (POLICY && ruleFields) return routeOf(hi, lo, null, 0, 0);
  const route = placeOf(hi, lo);
  if (route.lo == lo && route.hi == hi && route.generation == interfaceGeneration()) return route;
  return compute(route, hi, lo) ? route : null;
}

/** The same of what we send ourselves from `source`, unspecified if it is yet to be chosen, by a socket with a mark. */
@inline export function routeFrom(source: IpAddress, mark: u32, hi: u64, lo: u64): Route | null {
  return POLICY && ruleFields ? routeOf(hi, lo, source, mark, 0) : routeTo(hi, lo);
}

/** The same of what came from `source` by `iface` and goes on. */
@inline export function routeOn(
  iface: Interface,
  source: IpAddress,
  hi: u64,
  lo: u64,
): Route | null {
  if (!POLICY || !ruleFields) return routeTo(hi, lo);
  return routeOf(hi, lo, source, 0, iface.device.number + 1);
}

const asked = changetype<Flow>(memory.data(offsetof<Flow>(), 8));

/** One host's, and no group's, to which a program may be bound. */
@inline function isHostAddress(address: IpAddress): bool {
  if (address.isAny) return false;
  return address.isV4 ? !isV4Multicast(address.v4) : !isV6Multicast(address.hi);
}

/** Where the route of what rules look at is kept: of that no more than they do, in `asked`. */
function askedPlace(hi: u64, lo: u64, source: IpAddress | null, mark: u32, input: u32): Route {
  const known = source !== null && (ruleFields & RuleField.From) != 0 && isHostAddress(source);
  asked.hi = known ? source!.hi : 0;
  asked.lo = known ? source!.lo : 0;
  asked.mark = ruleFields & RuleField.Mark ? mark : 0;
  asked.input = ruleFields & RuleField.Input ? input : 0;
  const more = addressHash(asked.hi, asked.lo, asked.mark ^ (asked.input << 24));
  const at = routes + ((<usize>(addressHash(hi, lo, more) & (ROUTES - 1))) << 7);
  return changetype<Route>(at);
}


@inline function isAsked(route: Route, hi: u64, lo: u64): bool {
  const flow = route.flow;
  return (
    route.lo == lo &&
    route.hi == hi &&
    route.generation == interfaceGeneration() &&
    flow.lo == asked.lo &&
    flow.hi == asked.hi &&
    flow.mark == asked.mark &&
    flow.input == asked.input
  );
}

/** The route when there are rules. */
function routeOf(hi: u64, lo: u64, source: IpAddress | null, mark: u32, input: u32): Route | null {
  const route = askedPlace(hi, lo, source, mark, input);
  if (isAsked(route, hi, lo)) return route;
  memory.copy(changetype<usize>(route.flow), changetype<usize>(asked), offsetof<Flow>());
  return compute(route, hi, lo) ? route : null;
}

/** What the look-up that just found no route says to a program (`Errno`), as Linux has it of rules that end it. */
export function routeError(): i32 {
  if (!POLICY || !ruleFields) return Errno.ENETUNREACH;
  switch (ruleVerdict) {
    case RuleAction.Blackhole:
      return Errno.EINVAL;
    case RuleAction.Prohibit:
      return Errno.EACCES;
    default:
      return Errno.ENETUNREACH;
  }
}

/** The way to an address has changed. */
export function routeForget(hi: u64, lo: u64): void {
  // With rules there may be several to it.
  if (POLICY && ruleFields) interfacesChanged();
  else placeOf(hi, lo).generation = 0;
}

/**
 * Tells ways to one destination from each other: 0, without rules all are one. For what is known of a whole
 * path (net/ip/pathmtu.ts, net/tcp/path/).
 */
@inline export function wayOf(route: Route): u32 {
  if (!POLICY || !ruleFields) return 0;
  return addressHash(route.nextHi, route.nextLo, route.iface.zone);
}

/** The same of the way to an address, as `routeFrom`; 0 without one. */
export function wayFrom(source: IpAddress, mark: u32, to: IpAddress): u32 {
  if (!POLICY || !ruleFields) return 0;
  const route = routeFrom(source, mark, to.hi, to.lo);
  return route === null ? 0 : wayOf(route);
}

/**
 * The route to an address if it is kept and leads to a station whose frames' header is known (`isReadyForOthers`); else
 * null. No look-up: a hop of a router asks this first.
 */
@inline export function routeReady(hi: u64, lo: u64): Route | null {
  const at = routes + ((<usize>(addressHash(hi, lo, 0) & (ROUTES - 1))) << 7);
  const route = changetype<Route>(at);
  if (route.lo != lo || route.hi != hi || route.generation != interfaceGeneration()) return null;
  const neighbour = route.neighbour;
  return neighbour !== null && neighbour.isReadyForOthers ? route : null;
}

/** `routeReady` of what came from `source` by `iface`, when there are rules. */
export function routeReadyOn(iface: Interface, source: IpAddress, hi: u64, lo: u64): Route | null {
  const route = askedPlace(hi, lo, source, 0, iface.device.number + 1);
  if (!isAsked(route, hi, lo)) return null;
  const neighbour = route.neighbour;
  return neighbour !== null && neighbour.isReadyForOthers ? route : null;
}

/** What the tables say of an address, as the rules lead there. */
@inline export function entryFor(route: Route, hi: u64, lo: u64, v4: bool): RouteEntry | null {
  const flow = addressHash(hi, lo, 0);
  if (POLICY && ruleFields) return ruleFind(route.flow, hi, lo, v4, flow);
  return routeFind(hi, lo, v4, flow);
}

/** Takes the source that the entry of a route has, if that is ours, in place of the link's. */
export function sourceOf(route: Route, entry: RouteEntry): void {
  if (!POLICY || entry.source.isAny) return;
  const source = entry.source;
  if (isAssigned(source.hi, source.lo)) route.source.copy(source);
}

/** Whether the way to an address is kept. Who asks is about to look it up otherwise. */
export function routeIsKept(hi: u64, lo: u64): bool {
  const route = placeOf(hi, lo);
  if (route.lo == lo && route.hi == hi && route.generation == interfaceGeneration()) return true;
  prefetch(changetype<usize>(route) + 64);
  return false;
}

/** Ways that were not kept when they were asked for, ever. */
let computed: u32 = 0;


@inline export function routesComputed(): u32 {
  return computed;
}

function compute(route: Route, hi: u64, lo: u64): bool {
  computed++;
  route.generation = 0;
  route.routed = false;
  if (POLICY) ruleForgive();
  if (isV4(hi, lo)) {
    if (!(<u32>lo) || !computeV4(route, <u32>lo)) return false;
  } else if (!v6Route(route, hi, lo)) {
    return false;
  }
  if (route.routed) {
    const next = route.next;
    redirectedHop(route.iface, hi, lo, next);
    route.routed = next.lo != lo || next.hi != hi;
  }
  route.hi = hi;
  route.lo = lo;
  route.neighbour = null;
  route.generation = interfaceGeneration();
  return true;
}


@inline function set(
  route: Route,
  iface: Interface,
  kind: RouteKind,
  next: u32,
  source: u32,
): bool {
  route.iface = iface;
  route.kind = kind;
  route.next.setV4(next);
  route.source.setV4(source);
  return true;
}

function computeV4(route: Route, destination: u32): bool {
  const lo = changetype<IpAddress>(changetype<usize>(scratch));
  lo.setV4(destination);
  const own = findAddress(lo.hi, lo.lo);
  if (isV4Loopback(destination) || (own !== null && own.state == AddressState.Assigned)) {
    const loop = loopbackInterface();
    return loop !== null && set(route, loop, RouteKind.Local, destination, destination);
  }
  if (destination == V4_BROADCAST) {
    const link = firstLink4();
    return link !== null && set(route, link, RouteKind.Broadcast, destination, link.v4Address);
  }
  if (isV4Multicast(destination)) {
    const link = firstLink4();
    return link !== null && set(route, link, RouteKind.Multicast, destination, link.v4Address);
  }
  // On Linux these are in the local table, before all others.
  const many = POLICY && ruleFields ? linkOfBroadcast(destination) : null;
  if (many !== null) return set(route, many, RouteKind.Broadcast, destination, many.v4Address);
  const entry = entryFor(route, lo.hi, lo.lo, true);
  // A link-local destination is on the link whatever our address (RFC 3927, 2.6.2).
  if (isV4LinkLocal(destination) && (entry === null || !entry.gateway.isAny)) {
    const link = firstLink4();
    return link !== null && set(route, link, RouteKind.Unicast, destination, link.v4Address);
  }
  if (entry === null) return false;
  const iface = entry.iface;
  if (!iface.v4Address) return false;
  const gateway = entry.gateway;
  if (!gateway.isAny) {
    route.routed = true;
    set(route, iface, RouteKind.Unicast, gateway.v4, iface.v4Address);
  } else {
    const all = destination == iface.v4Broadcast;
    const kind = all ? RouteKind.Broadcast : RouteKind.Unicast;
    set(route, iface, kind, destination, iface.v4Address);
  }
  sourceOf(route, entry);
  return true;
}

/** The link whose stations a broadcast address means all, or null. */
function linkOfBroadcast(destination: u32): Interface | null {
  for (let i: u32 = 0, n = interfaceCount(); i < n; i++) {
    if (interfaceAt(i).v4Broadcast == destination) return interfaceAt(i);
  }
  return null;
}

/** The link that is meant when nobody says which: the first that is up and has an address, or has one. */
function firstLink4(): Interface | null {
  let found: Interface | null = null;
  for (let i: u32 = 0, n = interfaceCount(); i < n; i++) {
    const iface = interfaceAt(i);
    if (iface.kind != LinkKind.Ethernet || !iface.v4Address) continue;
    if (found === null || (iface.up && !found.up)) found = iface;
  }
  return found;
}

const scratch: usize = memory.data(16, 8);

/** Picks the address that we send from to `destination`; false without a route. */
export function ipSource(destination: IpAddress, into: IpAddress): bool {
  return ipSourceMarked(destination, 0, into);
}

/** The same by a socket with a mark. */
export function ipSourceMarked(destination: IpAddress, mark: u32, into: IpAddress): bool {
  const route = routeFrom(UNKNOWN, mark, destination.hi, destination.lo);
  if (route === null) return false;
  into.set(route.sourceHi, route.sourceLo);
  return true;
}

const UNKNOWN = changetype<IpAddress>(memory.data(16, 8));

/** Largest datagram, IP header included, that the first link to `destination` carries; 0 without a route. */
export function ipMtu(source: IpAddress, mark: u32, destination: IpAddress): u32 {
  const route = routeFrom(source, mark, destination.hi, destination.lo);
  if (route === null) return 0;
  return destination.isV4 ? route.iface.mtu : route.iface.v6Mtu;
}

/** `Device.receiveFullAt` of the device on the way to `destination`; 0 without a route. */
export function ipReceiveFullAt(source: IpAddress, mark: u32, destination: IpAddress): u64 {
  const route = routeFrom(source, mark, destination.hi, destination.lo);
  return route === null ? 0 : route.iface.device.receiveFullAt;
}

/** Whether the device on the way to `destination` cuts packets with a `segmentSize` into segments. */
export function ipSegmentation(source: IpAddress, mark: u32, destination: IpAddress): bool {
  const wanted: u32 = destination.isV4 ? Feature.Segmentation : Feature.Segmentation6;
  const route = routeFrom(source, mark, destination.hi, destination.lo);
  return route !== null && (route.iface.device.features & wanted) != 0;
}
