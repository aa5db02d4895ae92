import { Feature } from "../../drivers/device";
import {
  IpAddress,
  V4_BROADCAST,
  isV4,
  isV4LinkLocal,
  isV4Loopback,
  isV4Multicast,
} from "../wire/address";
import { addressHash } from "../hash";
import {
  Interface,
  LinkKind,
  findAddress,
  interfaceAt,
  interfaceCount,
  interfaceGeneration,
  loopbackInterface,
  AddressState,
} from "../interface";
import { Neighbour, NeighbourState } from "../link/neighbour";
import { routeFind } from "../route/choose";
import { redirectedHop } from "../route/redirect";
import { v6Route } from "./route6";

/**
 * Where a datagram goes first (RFC 1122, 3.3.1): to ourselves, to the destination when it is on the
 * link, or to a router, as net/route/table.ts says.
 *
 * The answers are kept in a table of destinations, one place each, with the neighbour and the frame's
 * header: a second packet to the same destination costs one comparison. A change of addresses, gateways,
 * links or a neighbour's place outdates them all.
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
  hi: u64;
  lo: u64;
  /** The address to resolve on the link: the destination or a router. */
  nextHi: u64;
  nextLo: u64;
  /** What we send from when the program does not say (RFC 1122, 3.3.4.3). */
  sourceHi: u64;
  sourceLo: u64;
  iface: Interface;
  /** The next hop's entry, once it has answered. */
  neighbour: Neighbour | null;
  /** `interfaceGeneration()` for which this holds. */
  generation: u32;
  /** `RouteKind`. */
  kind: u32;
  /** With `neighbour`: the header of a frame to it (`ethernetPut`). */
  frame0: u64;
  frame6: u64;
  /** By a router. */
  routed: bool;


  @inline get next(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Route>("nextHi"));
  }


  @inline get source(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Route>("sourceHi"));
  }
}

const ROUTES: u32 = 1024;
const routes: usize = memory.data(1024 * 128, 64);


@inline function placeOf(hi: u64, lo: u64): Route {
  const at = routes + ((<usize>(addressHash(hi, lo, 0) & (ROUTES - 1))) << 7);
  return changetype<Route>(at);
}

/** The route to an address, or null when there is none. */
@inline export function routeTo(hi: u64, lo: u64): Route | null {
  const route = placeOf(hi, lo);
  if (route.lo == lo && route.hi == hi && route.generation == interfaceGeneration()) return route;
  return compute(route, hi, lo) ? route : null;
}

/** The way to an address has changed. */
export function routeForget(hi: u64, lo: u64): void {
  placeOf(hi, lo).generation = 0;
}

/**
 * The route to an address if it is kept and leads to a station that answers, whose frames' header is known then; else
 * null. No look-up: a hop of a router asks this first.
 */
@inline export function routeReady(hi: u64, lo: u64): Route | null {
  const at = routes + ((<usize>(addressHash(hi, lo, 0) & (ROUTES - 1))) << 7);
  const route = changetype<Route>(at);
  if (route.lo != lo || route.hi != hi || route.generation != interfaceGeneration()) return null;
  const neighbour = route.neighbour;
  return neighbour !== null && neighbour.state == NeighbourState.Reachable ? route : null;
}

function compute(route: Route, hi: u64, lo: u64): bool {
  route.generation = 0;
  route.routed = false;
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
  const entry = routeFind(lo.hi, lo.lo, true, addressHash(lo.hi, lo.lo, 0));
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
    return set(route, iface, RouteKind.Unicast, gateway.v4, iface.v4Address);
  }
  const all = destination == iface.v4Broadcast;
  const kind = all ? RouteKind.Broadcast : RouteKind.Unicast;
  return set(route, iface, kind, destination, iface.v4Address);
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
  const route = routeTo(destination.hi, destination.lo);
  if (route === null) return false;
  into.set(route.sourceHi, route.sourceLo);
  return true;
}

/** Largest datagram, IP header included, that the first link to `destination` carries; 0 without a route. */
export function ipMtu(destination: IpAddress): u32 {
  const route = routeTo(destination.hi, destination.lo);
  if (route === null) return 0;
  return destination.isV4 ? route.iface.mtu : route.iface.v6Mtu;
}

/** `Device.receiveFullAt` of the device on the way to `destination`; 0 without a route. */
export function ipReceiveFullAt(destination: IpAddress): u64 {
  const route = routeTo(destination.hi, destination.lo);
  return route === null ? 0 : route.iface.device.receiveFullAt;
}

/** Whether the device on the way to `destination` cuts packets with a `segmentSize` into segments. */
export function ipSegmentation(destination: IpAddress): bool {
  if (!destination.isV4) return false;
  const route = routeTo(destination.hi, destination.lo);
  return route !== null && (route.iface.device.features & Feature.Segmentation) != 0;
}
