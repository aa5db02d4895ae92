import { debug } from "../../kernel/log";
import { NEVER, Timer } from "../../kernel/timer";
import { Interface } from "../interface";
import { METRIC, RouteOrigin, routeAdd, routeRemove } from "../route/table";
import { IpAddress, commonPrefix } from "../wire/address";
import { ndpStats } from "./stats";

/**
 * What routers say of where to send, and until when (RFC 4861, 5.1): that they are default routers, that prefixes are
 * on the link, that they are routers to others (RFC 4191, 2.3). All become routes. What is kept is bounded for each
 * link and kind, so that a rogue can fill the tables of one link only.
 */

/** A route that a router told of. 64 bytes. */
@unmanaged
class Told {
  hi: u64;
  lo: u64;
  /** The router; unspecified when the prefix is on the link. */
  private gatewayHi: u64;
  private gatewayLo: u64;
  /** Until when, ns; 0: the place is free. */
  until: u64;
  iface: Interface;
  metric: u32;
  bits: u32;
  /** `Kind`. */
  kind: u32;


  @inline get prefix(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }


  @inline get gateway(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Told>("gatewayHi"));
  }
}

/** What of a link is counted together. */
const enum Kind {
  Default = 0,
  OnLink = 1,
  Specific = 2,
}

const PLACES: u32 = 128;
const DEFAULTS_PER_LINK: u32 = 8;
const OTHERS_PER_LINK: u32 = 16;
/** What a preference is worth (RFC 4191, 2.1): more than links differ by (`routeMetric`). */
const PREFERENCE: u32 = 64;

const table: usize = memory.data(128 * 64, 8);
const expiry = changetype<Timer>(memory.data(offsetof<Timer>(), 8));
const nobody = changetype<IpAddress>(memory.data(16, 8));
/** ::/0. */
export const EVERYTHING = changetype<IpAddress>(memory.data(16, 8));


@inline function toldAt(index: u32): Told {
  return changetype<Told>(table + ((<usize>index) << 6));
}

/** Start-up only. */
export function routersInit(): void {
  assert(offsetof<Told>() <= 64);
  expiry.init(expire, 0);
}

/** Watches for `until`. */
function watch(until: u64): void {
  if (until == NEVER || (expiry.armed && expiry.deadline <= until)) return;
  expiry.arm(until);
}

/** Lets go of what is over. Cost: the table. */
function expire(_context: usize, time: u64): void {
  for (let i: u32 = 0; i < PLACES; i++) {
    const told = toldAt(i);
    if (!told.until) continue;
    if (told.until <= time) withdraw(told);
    else watch(told.until);
  }
}

function withdraw(told: Told): void {
  told.until = 0;
  if (told.kind == Kind.Default) say("router gone", told.gateway);
  routeRemove(told.prefix, told.bits, told.gateway, told.iface, RouteOrigin.Advertised);
}

function say(what: string, router: IpAddress): void {
  debug("ndp").text(what).key("address").ip(router).end();
}

/** Behind the operator's routes; of a link before another; of routers the preferred. */
@inline function metricOf(iface: Interface, preference: i32): u32 {
  return METRIC + 1 + iface.index + (1 - preference) * PREFERENCE;
}

/**
 * A router says that the first `bits` of `prefix` are reached by `gateway`, or with null that they are on the link,
 * until `until` (ns), or are not any more with 0. `preference`: 1, 0 or -1 (RFC 4191, 2.1). Cost: the table.
 */
export function routeTold(
  iface: Interface,
  prefix: IpAddress,
  bits: u32,
  gateway: IpAddress | null,
  until: u64,
  preference: i32,
): void {
  const by = gateway === null ? nobody : gateway;
  const kind = gateway === null ? Kind.OnLink : bits ? Kind.Specific : Kind.Default;
  const metric = metricOf(iface, preference);
  let told: Told | null = null;
  let count: u32 = 0;
  for (let i: u32 = 0; i < PLACES; i++) {
    const other = toldAt(i);
    if (!other.until) {
      if (told === null) told = other;
      continue;
    }
    if (other.iface != iface || other.kind != <u32>kind) continue;
    count++;
    if (other.bits != bits || !other.gateway.equals(by)) continue;
    if (commonPrefix(other.hi, other.lo, prefix.hi, prefix.lo) < bits) continue;
    if (until && other.metric == metric) {
      other.until = until;
      return watch(until);
    }
    // With another preference it is another route.
    withdraw(other);
    told = other;
    count--;
    break;
  }
  if (!until) return;
  const most = kind == Kind.Default ? DEFAULTS_PER_LINK : OTHERS_PER_LINK;
  const full = told === null || count >= most;
  if (full || routeAdd(prefix, bits, by, iface, metric, RouteOrigin.Advertised) < 0) {
    ndpStats.refused++;
    return;
  }
  const place = told!;
  place.prefix.copy(prefix);
  place.gateway.copy(by);
  place.until = until;
  place.iface = iface;
  place.metric = metric;
  place.bits = bits;
  place.kind = kind;
  watch(until);
  if (kind == Kind.Default) say("router", by);
}

/** Forgets what the routers of a link have said: it may be another now. */
export function routersFlush(iface: Interface): void {
  for (let i: u32 = 0; i < PLACES; i++) {
    const told = toldAt(i);
    if (told.until && told.iface == iface) withdraw(told);
  }
}

/** A neighbour says that it is no router (RFC 4861, 7.2.5). */
export function routerResigned(iface: Interface, address: IpAddress): void {
  for (let i: u32 = 0; i < PLACES; i++) {
    const told = toldAt(i);
    if (told.until && told.iface == iface && told.gateway.equals(address)) withdraw(told);
  }
}
