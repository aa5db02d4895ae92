import {
  AddressState,
  Interface,
  LinkKind,
  findAddress,
  interfaceAt,
  interfaceCount,
  loopbackInterface,
} from "../interface";
import {
  IpAddress,
  Scope,
  isV6LinkLocal,
  isV6Loopback,
  isV6Multicast,
  v6Scope,
  v6Zone,
} from "../wire/address";
import { Route, RouteKind, entryFor, sourceOf } from "./route";
import { v6Source } from "./source6";

/**
 * Where an IPv6 packet goes first (RFC 4861, 5.2): to ourselves, to the destination when its prefix
 * is on the link, or to the best router that is not known to be silent.
 */

/** Fills in the route to an address; false when there is none. */
export function v6Route(route: Route, hi: u64, lo: u64): bool {
  // Of ::/8 a host has nothing but ::1 (RFC 4291, 2.4).
  if (hi >> 56 == 0 && !isV6Loopback(hi, lo)) return false;
  const own = findAddress(hi, lo);
  if (isV6Loopback(hi, lo) || (own !== null && own.state == AddressState.Assigned)) {
    const loop = loopbackInterface();
    if (loop === null) return false;
    set(route, loop, RouteKind.LocalV6, hi, lo);
    route.source.set(hi, lo);
    return true;
  }
  if (isV6Multicast(hi)) {
    if (v6Scope(hi, lo) <= Scope.Interface) return false;
    const iface = firstLink();
    return iface !== null && reach(route, iface, RouteKind.MulticastV6, hi, lo, hi, lo);
  }
  if (isV6LinkLocal(hi)) {
    const zone = v6Zone(hi);
    if (!zone || zone > interfaceCount()) return false;
    return reach(route, interfaceAt(zone - 1), RouteKind.UnicastV6, hi, lo, hi, lo);
  }
  const entry = entryFor(route, hi, lo, false);
  if (entry === null) return false;
  const gateway = entry.gateway;
  route.routed = !gateway.isAny;
  const nextHi = route.routed ? gateway.hi : hi;
  const nextLo = route.routed ? gateway.lo : lo;
  if (!reach(route, entry.iface, RouteKind.UnicastV6, nextHi, nextLo, hi, lo)) return false;
  sourceOf(route, entry);
  return true;
}


@inline function set(route: Route, iface: Interface, kind: RouteKind, hi: u64, lo: u64): void {
  route.iface = iface;
  route.kind = kind;
  route.nextHi = hi;
  route.nextLo = lo;
}

function reach(
  route: Route,
  iface: Interface,
  kind: RouteKind,
  nextHi: u64,
  nextLo: u64,
  hi: u64,
  lo: u64,
): bool {
  if (iface.kind == LinkKind.Loopback || !v6Source(iface, hi, lo, route.source)) return false;
  set(route, iface, kind, nextHi, nextLo);
  return true;
}

const probe = changetype<IpAddress>(memory.data(16, 8));

/** The link that is meant when nobody says which: the first that is up and has an IPv6 address. */
export function firstLink(): Interface | null {
  for (let i: u32 = 0, n = interfaceCount(); i < n; i++) {
    const iface = interfaceAt(i);
    if (iface.kind == LinkKind.Ethernet && iface.up && v6Source(iface, 0, 0, probe)) return iface;
  }
  return null;
}
