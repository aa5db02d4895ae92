import { now } from "../../kernel/clock";
import { POLICY } from "../../kernel/features";
import { NEVER, SECOND, Timer } from "../../kernel/timer";
import { addressHash } from "../hash";
import { Interface, interfacesChanged } from "../interface";
import { NeighbourState, findNeighbour } from "../link/neighbour";
import { IpAddress } from "../wire/address";
import { ruleFields } from "./rules";

/**
 * What routers say is a better first hop to one destination than they are (RFC 1122, 3.2.2.2; RFC 4861, 8.3): a
 * bounded table beside the routes, which net/ip/route.ts asks when a destination is new to it. What a redirect
 * says holds only as long as the route would lead to the router that it was learnt of, its better hop answers, and a
 * while. Whether to believe one is decided where it comes in (net/icmp/redirect.ts, net/ndp/redirect.ts).
 */

/** One destination's better hop. 64 bytes. */
@unmanaged
class Redirect {
  hi: u64;
  lo: u64;
  /** The better hop: a router, or the destination itself. */
  nextHi: u64;
  nextLo: u64;
  /** The router by which the routing table would send. */
  routerHi: u64;
  routerLo: u64;
  /** Until when it holds, ns; 0: the place is free. */
  until: u64;
  iface: Interface;
}

/** One place for a destination: the newer takes it. */
const PLACES: u32 = 128;
/** Then the router is asked again, by a packet that goes there. */
const LIFETIME: u64 = 600 * SECOND;

const places: usize = memory.data(128 * 64, 64);
const expiry = changetype<Timer>(memory.data(offsetof<Timer>(), 8));
let count: u32 = 0;


@inline function placeAt(index: u32): Redirect {
  return changetype<Redirect>(places + ((<usize>index) << 6));
}


@inline function placeOf(hi: u64, lo: u64): Redirect {
  return placeAt(addressHash(hi, lo, 0) & (PLACES - 1));
}

/** Start-up only. */
export function redirectsInit(): void {
  assert(offsetof<Redirect>() <= 64);
  expiry.init(expire, 0);
}

/**
 * Takes `next` as the better hop to an address, which goes by `current` on `iface` now. False, and nothing is
 * changed, if `next` is known to be silent.
 */
export function redirectLearn(
  iface: Interface,
  hi: u64,
  lo: u64,
  current: IpAddress,
  next: IpAddress,
): bool {
  const neighbour = findNeighbour(iface, next.hi, next.lo);
  if (neighbour !== null && neighbour.state == NeighbourState.Failed) return false;
  const place = placeOf(hi, lo);
  const again =
    place.until != 0 &&
    place.lo == lo &&
    place.hi == hi &&
    place.nextLo == current.lo &&
    place.nextHi == current.hi;
  // Of a chain of redirects the first router is what the table has.
  if (!again) {
    if (!place.until) count++;
    place.hi = hi;
    place.lo = lo;
    place.iface = iface;
    place.routerHi = current.hi;
    place.routerLo = current.lo;
  }
  place.nextHi = next.hi;
  place.nextLo = next.lo;
  place.until = now() + LIFETIME;
  if (!expiry.armed) expiry.arm(place.until);
  return true;
}

/**
 * Puts the better hop to an address, if one is known, in the place of the router `next`. What was learnt of another
 * router is forgotten, unless rules may lead there as well.
 */
export function redirectedHop(iface: Interface, hi: u64, lo: u64, next: IpAddress): void {
  if (!count) return;
  const place = placeOf(hi, lo);
  if (!place.until || place.lo != lo || place.hi != hi) return;
  if (place.iface == iface && place.routerLo == next.lo && place.routerHi == next.hi) {
    next.set(place.nextHi, place.nextLo);
  } else if (!POLICY || !ruleFields) forget(place);
}


@inline function forget(place: Redirect): void {
  place.until = 0;
  count--;
}

/** Forgets what leads to a neighbour that fell silent; if that is no router any more, what leads by it. Cost: the table. */
export function redirectsEnd(iface: Interface, hi: u64, lo: u64, silent: bool): void {
  if (!count) return;
  for (let i: u32 = 0; i < PLACES; i++) {
    const place = placeAt(i);
    if (!place.until || place.iface != iface || place.nextLo != lo || place.nextHi != hi) continue;
    if (!silent && place.lo == lo && place.hi == hi) continue;
    forget(place);
    interfacesChanged();
  }
}

/** The link may be another now. */
export function redirectsFlush(iface: Interface): void {
  for (let i: u32 = 0; i < PLACES; i++) {
    const place = placeAt(i);
    if (place.until && place.iface == iface) forget(place);
  }
}

function expire(_context: usize, time: u64): void {
  let next: u64 = NEVER;
  for (let i: u32 = 0; i < PLACES; i++) {
    const place = placeAt(i);
    if (!place.until) continue;
    if (place.until <= time) {
      forget(place);
      interfacesChanged();
    } else next = min<u64>(next, place.until);
  }
  if (next != NEVER) expiry.arm(next);
}
