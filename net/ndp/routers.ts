import { now } from "../../kernel/clock";
import { debug } from "../../kernel/log";
import { NEVER, Timer } from "../../kernel/timer";
import { Interface, interfacesChanged } from "../interface";
import { findNeighbour, isKnown } from "../link/neighbour";
import { METRIC, RouteOrigin, routeAdd, routeRemove } from "../route/table";
import { IpAddress, commonPrefix } from "../wire/address";
import { ndpStats } from "./stats";

/**
 * The routers that offer themselves, and the prefixes that they say are on the link (RFC 4861, 5.1):
 * bounded for each interface, so that a rogue can fill the tables of one link only. Prefixes become
 * routes; among the routers, who are for what has no route, `defaultRouter` chooses.
 */

/** A default router. 32 bytes. */
@unmanaged
export class Router {
  hi: u64;
  lo: u64;
  /** Until when, ns; 0: the place is free. `NEVER`: the operator's. */
  until: u64;
  iface: Interface;
  /** 1, 0 or -1 (RFC 4191, 2.1). */
  preference: i32;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }
}

/** A prefix that is on a link. 32 bytes. */
@unmanaged
class Prefix {
  hi: u64;
  lo: u64;
  until: u64;
  iface: Interface;
  bits: u32;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }
}

const ROUTERS: u32 = 32;
const ROUTERS_PER_LINK: u32 = 8;
const PREFIXES: u32 = 64;
const PREFIXES_PER_LINK: u32 = 16;
const SIZE: usize = 32;

const routers: usize = memory.data(32 * 32, 8);
const prefixes: usize = memory.data(64 * 32, 8);
const expiry = changetype<Timer>(memory.data(offsetof<Timer>(), 8));


@inline function routerAt(index: u32): Router {
  return changetype<Router>(routers + <usize>index * SIZE);
}


@inline function prefixAt(index: u32): Prefix {
  return changetype<Prefix>(prefixes + <usize>index * SIZE);
}

/** Start-up only. */
export function routersInit(): void {
  assert(offsetof<Router>() <= SIZE && offsetof<Prefix>() <= SIZE);
  expiry.init(expire, 0);
}

/** Watches for `until`. */
function watch(until: u64): void {
  if (until == NEVER || (expiry.armed && expiry.deadline <= until)) return;
  expiry.arm(until);
}

/** Lets go of what is over. Cost: the tables. */
function expire(_context: usize, time: u64): void {
  for (let i: u32 = 0; i < ROUTERS; i++) {
    const router = routerAt(i);
    if (!router.until) continue;
    if (router.until <= time) drop(router);
    else watch(router.until);
  }
  for (let i: u32 = 0; i < PREFIXES; i++) {
    const prefix = prefixAt(i);
    if (!prefix.until) continue;
    if (prefix.until <= time) withdraw(prefix);
    else watch(prefix.until);
  }
}

/** The prefix is not on its link any more. */
function withdraw(prefix: Prefix): void {
  prefix.until = 0;
  routeRemove(prefix.address, prefix.bits, null, prefix.iface, RouteOrigin.Advertised);
}

function drop(router: Router): void {
  router.until = 0;
  debug("ndp").text("router gone").key("address").ip(router.address).end();
  interfacesChanged();
}

/**
 * A router offers itself until `until` (ns), or takes its offer back with 0. A router of the operator's
 * stays.
 */
export function routerHeard(
  iface: Interface,
  address: IpAddress,
  until: u64,
  preference: i32,
): void {
  let place: Router | null = null;
  let count: u32 = 0;
  for (let i: u32 = 0; i < ROUTERS; i++) {
    const router = routerAt(i);
    if (!router.until) {
      if (place === null) place = router;
      continue;
    }
    if (router.iface != iface) continue;
    count++;
    if (!router.address.equals(address)) continue;
    if (router.until == NEVER) return;
    if (!until) return drop(router);
    router.until = until;
    watch(until);
    if (router.preference == preference) return;
    router.preference = preference;
    return interfacesChanged();
  }
  if (!until) return;
  if (place === null || count >= ROUTERS_PER_LINK) {
    ndpStats.refused++;
    return;
  }
  place.hi = address.hi;
  place.lo = address.lo;
  place.until = until;
  place.iface = iface;
  place.preference = preference;
  watch(until);
  debug("ndp").text("router").key("address").ip(address).end();
  interfacesChanged();
}

/** A prefix is on the link until `until` (ns), or is not any more with 0. */
export function prefixHeard(iface: Interface, address: IpAddress, bits: u32, until: u64): void {
  let place: Prefix | null = null;
  let count: u32 = 0;
  for (let i: u32 = 0; i < PREFIXES; i++) {
    const prefix = prefixAt(i);
    if (!prefix.until) {
      if (place === null) place = prefix;
      continue;
    }
    if (prefix.iface != iface) continue;
    count++;
    if (prefix.bits != bits) continue;
    if (commonPrefix(prefix.hi, prefix.lo, address.hi, address.lo) < bits) continue;
    if (prefix.until == NEVER) return;
    if (!until) return withdraw(prefix);
    prefix.until = until;
    return watch(until);
  }
  if (!until) return;
  if (place === null || count >= PREFIXES_PER_LINK) {
    ndpStats.refused++;
    return;
  }
  place.hi = address.hi;
  place.lo = address.lo;
  place.until = until;
  place.iface = iface;
  place.bits = bits;
  watch(until);
  routeAdd(address, bits, null, iface, METRIC, RouteOrigin.Advertised);
}

/** Forgets what the routers of a link have said: it may be another now. */
export function routersFlush(iface: Interface): void {
  for (let i: u32 = 0; i < ROUTERS; i++) {
    const router = routerAt(i);
    if (router.iface == iface && router.until != NEVER) router.until = 0;
  }
  for (let i: u32 = 0; i < PREFIXES; i++) {
    const prefix = prefixAt(i);
    if (prefix.until && prefix.iface == iface && prefix.until != NEVER) withdraw(prefix);
  }
  interfacesChanged();
}

/** A neighbour says that it is no router (RFC 4861, 7.2.5). */
export function routerResigned(iface: Interface, hi: u64, lo: u64): void {
  for (let i: u32 = 0; i < ROUTERS; i++) {
    const router = routerAt(i);
    if (!router.until || router.until == NEVER || router.iface != iface) continue;
    if (router.hi == hi && router.lo == lo) drop(router);
  }
}

/**
 * The router to use (RFC 4861, 6.3.6; RFC 4191, 3.2): one that is thought to be there, then the one
 * preferred most, then the one heard first. Null when there is none.
 */
export function defaultRouter(): Router | null {
  let found: Router | null = null;
  let foundRank: i32 = 0;
  const time = now();
  for (let i: u32 = 0; i < ROUTERS; i++) {
    const router = routerAt(i);
    if (!router.until || router.until <= time) continue;
    const rank = rankOf(router);
    if (found !== null && rank <= foundRank) continue;
    found = router;
    foundRank = rank;
  }
  return found;
}

function rankOf(router: Router): i32 {
  const entry = findNeighbour(router.iface, router.hi, router.lo);
  const known = entry !== null && isKnown(entry);
  return (router.iface.up ? 16 : 0) + (known ? 8 : 0) + router.preference;
}
