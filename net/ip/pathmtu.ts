import { now } from "../../kernel/clock";
import { POLICY } from "../../kernel/features";
import { SECOND } from "../../kernel/timer";
import { addressHash } from "../hash";
import { IpAddress } from "../wire/address";
import { IPV6_MTU_MIN } from "../wire/ipv6";
import { Route, RouteKind, routeFrom, wayFrom, wayOf } from "./route";

/**
 * What the paths of datagrams carry, by destination, as far as routers have said (RFC 1191; RFC 8201).
 * TCP has its own knowledge (net/tcp/path/), since it can tell which sizes arrive. A bounded number of
 * paths is kept; who said so must have quoted a packet of an endpoint that is open.
 */

/** 32 bytes. */
@unmanaged
class PathMtu {
  hi: u64;
  lo: u64;
  /** Until when it holds, ns: then a larger size is tried (RFC 1191, 6.3; RFC 8201, 4). */
  until: u64;
  mtu: u32;
  /** `wayOf` its route. */
  way: u32;
}

const PATHS: u32 = 256;
const LIFETIME: u64 = 600 * SECOND;
/** Less is not believed: a forger could make us send many small fragments (RFC 1191, 7.2 has it for 576). */
const V4_LEAST: u32 = 552;
/** What a path carries when a router does not say what (RFC 1191, 5). */
const V4_UNKNOWN: u32 = 576;

const paths: usize = memory.data(256 * 32, 64);
/** Whether any has ever been learnt: most machines meet none. */
let learnt = false;


@inline function placeOf(address: IpAddress): PathMtu {
  const hash = addressHash(address.hi, address.lo, 0) & (PATHS - 1);
  return changetype<PathMtu>(paths + ((<usize>hash) << 5));
}

/** What the first link of a route carries. */
@inline export function linkMtu(route: Route): u32 {
  return route.kind < <u32>RouteKind.UnicastV6 ? route.iface.mtu : route.iface.v6Mtu;
}

/** What the path to `address`, whose first link is that of `route`, carries. */
export function pathMtu(route: Route, address: IpAddress): u32 {
  const link = linkMtu(route);
  if (!learnt) return link;
  const path = placeOf(address);
  if (path.lo != address.lo || path.hi != address.hi || path.until <= now()) return link;
  if (POLICY && path.way != wayOf(route)) return link;
  return min<u32>(path.mtu, link);
}

/** The same of a destination, as `routeFrom`; 0 without a route. */
export function pathMtuTo(source: IpAddress, mark: u32, address: IpAddress): u32 {
  const route = routeFrom(source, mark, address.hi, address.lo);
  return route === null ? 0 : pathMtu(route, address);
}

/** A router said that the path to `address`, as `routeFrom`, carries `mtu` bytes, 0 for less than it was sent. */
export function pathMtuLearn(source: IpAddress, mark: u32, address: IpAddress, mtu: u32): void {
  if (!address.isV4) mtu = max<u32>(mtu, IPV6_MTU_MIN);
  else mtu = mtu ? max<u32>(mtu, V4_LEAST) : V4_UNKNOWN;
  if (mtu >= pathMtuTo(source, mark, address)) return;
  const way = wayFrom(source, mark, address);
  const path = placeOf(address);
  path.hi = address.hi;
  path.lo = address.lo;
  path.mtu = mtu;
  path.way = way;
  path.until = now() + LIFETIME;
  learnt = true;
}
