import { Errno } from "../kernel/errno";
import { SOURCES } from "../kernel/features";
import { HEADROOM, Packet, Purpose, allocate, poolFor } from "../kernel/packet";
import { DatagramEndpoint } from "./datagram";
import { Interface, LinkKind, interfaceAt, interfaceCount, loopbackInterface } from "./interface";
import { groupCount, groupFind, groupOpen, groupSettle, isMember } from "./ip/groups";
import { Route, RouteKind, routeFrom, routeTo } from "./ip/route";
import { Source, sourceFind, sourceRemove } from "./ip/sources";
import { v6Source } from "./ip/source6";
import { IpAddress, V4_BROADCAST, isV4Multicast, isV6Multicast } from "./wire/address";

/**
 * Groups of programs: which endpoint has joined what where (RFC 1112, 6; RFC 3493, 5.2), by which link
 * datagrams for groups leave, and that those of our own come back to who has joined.
 */

/** A group that an endpoint has joined on an interface, and from which sources it hears it. 32 bytes. */
@unmanaged
export class Membership {
  hi: u64;
  lo: u64;
  iface: Interface;
  next: Membership | null;
  /** Sources that it does not hear or, with `include`, those alone that it does (net/filter.ts); how many. */
  sources: Source | null;
  include: bool;
  sourceCount: u8;

  /** Where its list of sources begins. */
  @inline get head(): usize {
    return changetype<usize>(this) + offsetof<Membership>("sources");
  }

  /** Whether it hears a source. */
  @inline hears(source: IpAddress): bool {
    if (!SOURCES || this.sources === null) return true;
    return (sourceFind(changetype<usize>(this), source.hi, source.lo) !== null) == this.include;
  }
}

const MEMBERSHIPS: u32 = 256;
const MEMBERSHIP: u32 = 32;
/** As many as Linux lets one endpoint have (igmp_max_memberships). */
const PER_ENDPOINT: u32 = 20;
const records: usize = memory.data(256 * 32, 8);
let free: Membership | null = null;

/** Start-up only. */
export function membershipInit(): void {
  assert(offsetof<Membership>() <= MEMBERSHIP);
  for (let i: u32 = MEMBERSHIPS; i-- > 0;) {
    const m = changetype<Membership>(records + <usize>(i * MEMBERSHIP));
    m.next = free;
    free = m;
  }
}

/** 224.0.0.0/4 or ff00::/8. */
@inline export function isGroupAddress(address: IpAddress): bool {
  return address.isV4 ? isV4Multicast(address.v4) : isV6Multicast(address.hi);
}

/** Whether a datagram to `destination`, received on `iface`, is for many. */
@inline export function isForMany(destination: IpAddress, iface: Interface): bool {
  if (!destination.isV4) return isV6Multicast(destination.hi);
  const v4 = destination.v4;
  return isV4Multicast(v4) || v4 == V4_BROADCAST || (v4 == iface.v4Broadcast && v4 != 0);
}

/** Whether others are to be reached by the interface. */
@inline function hasGroups(iface: Interface): bool {
  return iface.kind == LinkKind.Ethernet || iface.kind == LinkKind.PointToPoint;
}

/** The interface of a number from 1 on; of 0 that by which `group` is routed. Null when there is none. */
export function interfaceFor(number: u32, group: IpAddress): Interface | null {
  if (!number) {
    const route = routeTo(group.hi, group.lo);
    return route === null ? null : route.iface;
  }
  if (number > interfaceCount()) return null;
  const iface = interfaceAt(number - 1);
  return hasGroups(iface) ? iface : null;
}

/**
 * Joins a group on the interface of a number, 0 for that by which it is routed. -EINVAL for no group, -ENODEV,
 * -EADDRINUSE when joined already, -ENOBUFS when they are too many.
 */
export function membershipJoin(e: DatagramEndpoint, group: IpAddress, number: u32): i32 {
  if (!isGroupAddress(group)) return -Errno.EINVAL;
  const iface = interfaceFor(number, group);
  if (iface === null) return -Errno.ENODEV;
  if (membershipFind(e, group, iface) !== null) return -Errno.EADDRINUSE;
  const m = membershipMake(e, group, iface);
  if (m === null) return -Errno.ENOBUFS;
  membershipCount(m, 1);
  membershipSettle(m);
  return 0;
}

/** What an endpoint has joined of a group on an interface, or null. */
export function membershipFind(
  e: DatagramEndpoint,
  group: IpAddress,
  iface: Interface,
): Membership | null {
  let m = e.memberships;
  while (m !== null && (m.lo != group.lo || m.hi != group.hi || m.iface != iface)) m = m.next;
  return m;
}

/** A membership that is still to be counted; null when they are too many. */
export function membershipMake(
  e: DatagramEndpoint,
  group: IpAddress,
  iface: Interface,
): Membership | null {
  let count: u32 = 0;
  let other = e.memberships;
  while (other !== null) {
    count++;
    other = other.next;
  }
  const m = free;
  if (count == PER_ENDPOINT || m === null) return null;
  if (groupOpen(iface, group.hi, group.lo) === null) return null;
  free = m.next;
  memory.fill(changetype<usize>(m), 0, MEMBERSHIP);
  m.hi = group.hi;
  m.lo = group.lo;
  m.iface = iface;
  m.next = e.memberships;
  e.memberships = m;
  return m;
}

/** Counts what a membership hears into its interface's state (`by` 1), or out of it (-1). */
export function membershipCount(m: Membership, by: i32): void {
  groupCount(groupFind(m.iface, m.hi, m.lo)!, m.include, m.sources, by);
}

/** The interface is told of what was counted. */
export function membershipSettle(m: Membership): void {
  groupSettle(groupFind(m.iface, m.hi, m.lo)!);
}

/** Leaves a group that was joined on that interface, or with 0 on any. -EADDRNOTAVAIL. */
export function membershipLeave(e: DatagramEndpoint, group: IpAddress, number: u32): i32 {
  let link = changetype<usize>(e) + offsetof<DatagramEndpoint>("memberships");
  while (true) {
    const m = changetype<Membership | null>(load<usize>(link));
    if (m === null) return -Errno.EADDRNOTAVAIL;
    const there = !number || <u32>m.iface.index + 1 == number;
    if (there && m.lo == group.lo && m.hi == group.hi) {
      store<usize>(link, changetype<usize>(m.next));
      leave(m);
      return 0;
    }
    link = changetype<usize>(m) + offsetof<Membership>("next");
  }
}

function leave(m: Membership): void {
  membershipCount(m, -1);
  if (SOURCES) {
    while (m.sources !== null) sourceRemove(m.head);
  }
  membershipSettle(m);
  m.next = free;
  free = m;
}

/** Leaves all groups of an endpoint. */
export function membershipEnd(e: DatagramEndpoint): void {
  for (let m = e.memberships; m !== null; m = e.memberships) {
    e.memberships = m.next;
    leave(m);
  }
}

/**
 * Whether an endpoint hears what a source sends to a group, received on `iface`: by its own filter, if it has joined the
 * group there; our own comes by the loopback, and counts as received wherever it has joined.
 */
export function hearsGroup(
  e: DatagramEndpoint,
  group: IpAddress,
  source: IpAddress,
  iface: Interface,
): bool {
  const anywhere = iface.kind == LinkKind.Loopback;
  let joined = false;
  let m = e.memberships;
  while (m !== null) {
    if (m.lo == group.lo && m.hi == group.hi && (anywhere || m.iface == iface)) {
      if (m.hears(source)) return true;
      joined = true;
    }
    m = m.next;
  }
  return !joined && !e.ownGroupsOnly;
}

const chosen = changetype<Route>(memory.data(128, 8));

/** The route to `address`: for a group by the link that the endpoint has chosen, if it has. */
export function datagramRoute(e: DatagramEndpoint, address: IpAddress): Route | null {
  const number = <u32>e.multicastInterface;
  if (!number || !isGroupAddress(address)) {
    return routeFrom(e.local, e.mark, address.hi, address.lo);
  }
  const iface = interfaceAt(number - 1);
  if (address.isV4) {
    if (!iface.v4Address) return null;
    chosen.kind = RouteKind.Multicast;
    chosen.source.setV4(iface.v4Address);
  } else {
    if (!v6Source(iface, address.hi, address.lo, chosen.source)) return null;
    chosen.kind = RouteKind.MulticastV6;
  }
  return to(iface, address);
}

function to(iface: Interface, address: IpAddress): Route {
  chosen.hi = address.hi;
  chosen.lo = address.lo;
  chosen.nextHi = address.hi;
  chosen.nextLo = address.lo;
  chosen.iface = iface;
  chosen.neighbour = null;
  return chosen;
}

/** Chooses the interface of a number, 0 for none, for datagrams to groups. -ENODEV. */
export function chooseInterface(e: DatagramEndpoint, number: u32): i32 {
  if (number > interfaceCount()) return -Errno.ENODEV;
  if (number && !hasGroups(interfaceAt(number - 1))) return -Errno.ENODEV;
  e.multicastInterface = <u8>number;
  return 0;
}

/**
 * A copy of a packet to a group that somebody here has joined, to be sent by `loopRoute`; null when nobody has,
 * or the endpoint does not want it, or there is no memory. Before the packet gets its IP header.
 */
export function loopCopy(e: DatagramEndpoint, route: Route, packet: Packet): Packet | null {
  const multicast = route.kind == RouteKind.Multicast || route.kind == RouteKind.MulticastV6;
  if (!multicast || e.noLoop || !isMember(route.iface, route.hi, route.lo)) return null;
  const copy = allocate(poolFor(packet.length), Purpose.Data, HEADROOM);
  if (copy === null) return null;
  memory.copy(copy.data, packet.data, packet.length);
  copy.length = packet.length;
  copy.flags = packet.flags;
  copy.checksumStart = packet.checksumStart;
  copy.checksumOffset = packet.checksumOffset;
  copy.trafficClass = packet.trafficClass;
  return copy;
}

/** By the loopback, whatever the address. */
export function loopRoute(address: IpAddress): Route | null {
  const loop = loopbackInterface();
  if (loop === null) return null;
  chosen.kind = address.isV4 ? RouteKind.Local : RouteKind.LocalV6;
  return to(loop, address);
}
