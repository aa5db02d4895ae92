import { Errno } from "../kernel/errno";
import { DatagramEndpoint } from "./datagram";
import { Interface } from "./interface";
import { Source, sourceAdd, sourceFind, sourceRemove, sourcesLeft } from "./ip/sources";
import {
  Membership,
  interfaceFor,
  isGroupAddress,
  membershipCount,
  membershipFind,
  membershipLeave,
  membershipMake,
  membershipSettle,
} from "./membership";
import { IpAddress, V6_LINK_LOCAL, isV6LinkLocal } from "./wire/address";

/**
 * From which sources an endpoint hears a group that it has joined (RFC 3678): all but those that it names (EXCLUDE),
 * which is how groups are joined, or those alone (INCLUDE). Calls return 0 or more, or -Errno as Linux has it, and
 * change nothing then.
 */

/** Linux's numbers. */
export const enum FilterMode {
  Exclude = 0,
  Include = 1,
}

/** Sources that a filter may name, as Linux has it (igmp_max_msf, mld_max_msf). */
const MOST_V4: u32 = 10;
const MOST_V6: u32 = 64;


@inline function mostOf(group: IpAddress): u32 {
  return group.isV4 ? MOST_V4 : MOST_V6;
}

/** The high half of a source: a link-local one is of the link on which it is heard. */
@inline function highOf(source: IpAddress, iface: Interface): u64 {
  return isV6LinkLocal(source.hi) ? V6_LINK_LOCAL | iface.zone : source.hi;
}

/** The source of a membership, or null. */
function named(m: Membership, source: IpAddress): Source | null {
  return sourceFind(changetype<usize>(m), highOf(source, m.iface), source.lo);
}

/** Names one more source of a membership, unless it is named. */
function add(m: Membership, source: IpAddress): void {
  if (named(m, source) !== null) return;
  sourceAdd(changetype<usize>(m), m.head, highOf(source, m.iface), source.lo);
  m.sourceCount++;
}

/**
 * Names a source of a group on the interface of a number, 0 for that by which it is routed: with `include` one to
 * hear, for which the group is joined if need be, else one not to hear. -EINVAL for no group, for one not joined, and
 * when the others are of the other kind; -ENODEV; -EADDRNOTAVAIL when it is named already or of another family;
 * -ENOBUFS when they are too many.
 */
export function filterAdd(
  e: DatagramEndpoint,
  group: IpAddress,
  number: u32,
  source: IpAddress,
  include: bool,
): i32 {
  if (!isGroupAddress(group)) return -Errno.EINVAL;
  if (source.isV4 != group.isV4) return -Errno.EADDRNOTAVAIL;
  const iface = interfaceFor(number, group);
  if (iface === null) return -Errno.ENODEV;
  let m = membershipFind(e, group, iface);
  if (m === null ? !include : m.include != include && m.sources !== null) return -Errno.EINVAL;
  // One of the membership's, and one of the interface's.
  if (sourcesLeft() < 2) return -Errno.ENOBUFS;
  if (m === null) {
    m = membershipMake(e, group, iface);
    if (m === null) return -Errno.ENOBUFS;
    m.include = true;
  } else {
    if (named(m, source) !== null) return -Errno.EADDRNOTAVAIL;
    if (<u32>m.sourceCount == mostOf(group)) return -Errno.ENOBUFS;
    membershipCount(m, -1);
    m.include = include;
  }
  add(m, source);
  membershipCount(m, 1);
  membershipSettle(m);
  return 0;
}

/**
 * Names a source no longer, that was named with the same `include`; the last one to hear is the end of the membership.
 * -EINVAL for no group, for one not joined, and when the sources are of the other kind; -ENODEV; -EADDRNOTAVAIL when it
 * is not named.
 */
export function filterRemove(
  e: DatagramEndpoint,
  group: IpAddress,
  number: u32,
  source: IpAddress,
  include: bool,
): i32 {
  if (!isGroupAddress(group)) return -Errno.EINVAL;
  const iface = interfaceFor(number, group);
  if (iface === null) return -Errno.ENODEV;
  const m = membershipFind(e, group, iface);
  if (m === null || (m.include != include && m.sources !== null)) return -Errno.EINVAL;
  const s = named(m, source);
  if (s === null) return -Errno.EADDRNOTAVAIL;
  if (include && m.sourceCount == 1) return membershipLeave(e, group, iface.zone);
  membershipCount(m, -1);
  let link = m.head;
  while (load<usize>(link) != changetype<usize>(s)) {
    link = load<usize>(link) + offsetof<Source>("next");
  }
  sourceRemove(link);
  m.sourceCount--;
  membershipCount(m, 1);
  membershipSettle(m);
  return 0;
}

/**
 * Sets the whole filter of a group that was joined: `count` sources at `from`, `stride` bytes apart. To hear none is to
 * leave it. -EINVAL for no group, for one not joined, and for no `FilterMode`; -ENODEV; -EADDRNOTAVAIL for a source of
 * another family; -ENOBUFS when they are too many.
 */
export function filterSet(
  e: DatagramEndpoint,
  group: IpAddress,
  number: u32,
  mode: u32,
  from: usize,
  count: u32,
  stride: u32,
): i32 {
  if (count > mostOf(group)) return -Errno.ENOBUFS;
  if (!isGroupAddress(group) || mode > <u32>FilterMode.Include) return -Errno.EINVAL;
  for (let i: u32 = 0; i < count; i++) {
    const source = changetype<IpAddress>(from + <usize>(i * stride));
    if (source.isV4 != group.isV4) return -Errno.EADDRNOTAVAIL;
  }
  const iface = interfaceFor(number, group);
  if (iface === null) return -Errno.ENODEV;
  if (mode == FilterMode.Include && !count) return membershipLeave(e, group, iface.zone);
  const m = membershipFind(e, group, iface);
  if (m === null) return -Errno.EINVAL;
  // Of the membership's and of the interface's each as many.
  if (sourcesLeft() + m.sourceCount < 2 * count) return -Errno.ENOBUFS;
  membershipCount(m, -1);
  while (m.sources !== null) sourceRemove(m.head);
  m.sourceCount = 0;
  m.include = mode == FilterMode.Include;
  for (let i: u32 = 0; i < count; i++) add(m, changetype<IpAddress>(from + <usize>(i * stride)));
  membershipCount(m, 1);
  membershipSettle(m);
  return 0;
}

/** An endpoint's membership of a group, whose filter is `include` and `sources`; null when it has none. */
export function filterOf(e: DatagramEndpoint, group: IpAddress, number: u32): Membership | null {
  const iface = isGroupAddress(group) ? interfaceFor(number, group) : null;
  return iface === null ? null : membershipFind(e, group, iface);
}
