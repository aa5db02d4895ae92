import { DeviceState, MULTICAST_MAX } from "../../drivers/device";
import { SOURCES } from "../../kernel/features";
import { Timer } from "../../kernel/timer";
import { addressHash } from "../hash";
import { Interface } from "../interface";
import { IpAddress, Scope, V6_LINK_GROUP, isV4, v4Lo, v6Scope } from "../wire/address";
import { multicastMacV4, multicastMacV6 } from "../wire/ethernet";
import { Source, sourceAdd, sourceFind, sourceRemove, sourcesInit, sourcesLeft } from "./sources";

/**
 * The groups of either family that our interfaces listen to, and from which sources: what the filters of all who have
 * joined come to (RFC 3376, 3.2; RFC 3810, 4.2). They are counted, since several addresses may share a solicited-node
 * group, and several programs a group. Each is also in its device's receive filter.
 */

/** A group of an interface. 88 bytes. */
@unmanaged
export class Group {
  hi: u64;
  lo: u64;
  private answer0: u64;
  private answer1: u64;
  private answer2: u64;
  private answer3: u64;
  iface: Interface;
  /** Next with the same hash, or next free one. */
  hashNext: Group | null;
  /** Next of all. */
  next: Group | null;
  /** Who listens to all sources but some, and how many sources somebody listens to. */
  excluding: u32;
  including: u32;
  /** All sources that somebody has named, and those of which is still to be told. */
  sources: Source | null;
  /** The interface's state: it listens to all but those listed (EXCLUDE), or to those listed (INCLUDE). */
  excludes: bool;
  /** It listens to some source at least: what older routers understand by a member. */
  listens: bool;
  /** Times that a change of the former, and of the latter, is still to be reported (net/ip/listener.ts). */
  modeLeft: u8;
  memberLeft: u8;


  @inline get isV4(): bool {
    return isV4(this.hi, this.lo);
  }

  /** Answers a query about the group. */
  @inline get answer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<Group>("answer0"));
  }

  /** Where its list of sources begins. */
  @inline get head(): usize {
    return changetype<usize>(this) + offsetof<Group>("sources");
  }

  /**
   * All hosts, in which everybody is, and what does not leave an interface: of these nobody speaks (RFC 3376, 6;
   * RFC 3810, 6).
   */
  @inline get isSilent(): bool {
    if (this.isV4) return <u32>this.lo == V4_ALL_HOSTS;
    return isAllNodes(this.hi, this.lo) || v6Scope(this.hi, this.lo) <= Scope.Interface;
  }

  /** Whether the interface's state, as it was told last, lets a source of the group pass. */
  @inline passes(s: Source): bool {
    return s.listed != this.excludes;
  }
}

/** Robustness Variable: how often a change is told (RFC 3810, 9.1). */
export const ROBUSTNESS: u8 = 2;

const GROUP: u32 = 88;
const GROUPS: u32 = 256;
const BUCKETS: u32 = 256;
const records: usize = memory.data(256 * 88, 8);
const buckets: usize = memory.data(256 * 4, 8);
/** What each device is to let pass: `MULTICAST_MAX` addresses of 8 bytes. */
const filters: usize = memory.data(48 * 32 * 8, 8);
let free: Group | null = null;
let all: Group | null = null;
/** Table index of `(group: Group) => void`: its interface's state has changed. */
let changed: u32 = 0;

/** Sets up the table, and who is told of changes. Start-up only. */
export function groupsInit(tell: (group: Group) => void): void {
  assert(offsetof<Group>() <= GROUP);
  if (SOURCES) sourcesInit();
  changed = tell.index;
  for (let i: u32 = 0; i < GROUPS; i++) {
    const group = changetype<Group>(records + <usize>(i * GROUP));
    group.hashNext = free;
    free = group;
  }
}


@inline function bucketOf(iface: Interface, hi: u64, lo: u64): usize {
  return buckets + ((<usize>(addressHash(hi, lo, iface.index) & (BUCKETS - 1))) << 2);
}

/** The group of an interface, which may have been left meanwhile; or null. */
export function groupFind(iface: Interface, hi: u64, lo: u64): Group | null {
  let group = changetype<Group | null>(load<usize>(bucketOf(iface, hi, lo)));
  while (group !== null && (group.lo != lo || group.hi != hi || group.iface != iface)) {
    group = group.hashNext;
  }
  return group;
}

/** 224.0.0.1: every host that does multicast is in it (RFC 1112, 4). */
export const V4_ALL_HOSTS: u32 = 0xe000_0001;

/** ff02::1, in which everybody is and of which nobody speaks (RFC 4291, 2.8; RFC 3810, 6). */
@inline export function isAllNodes(hi: u64, lo: u64): bool {
  return hi == V6_LINK_GROUP && lo == 1;
}

/** Whether the interface listens to a group, from some source at least. */
export function isMember(iface: Interface, hi: u64, lo: u64): bool {
  if (isAllNodes(hi, lo) || (!hi && lo == v4Lo(V4_ALL_HOSTS))) return true;
  const group = groupFind(iface, hi, lo);
  return group !== null && group.listens;
}

/** Whether the interface takes what this source sends to a group. */
export function isHeard(iface: Interface, hi: u64, lo: u64, from: IpAddress): bool {
  if (!SOURCES) return isMember(iface, hi, lo);
  if (isAllNodes(hi, lo) || (!hi && lo == v4Lo(V4_ALL_HOSTS))) return true;
  const group = groupFind(iface, hi, lo);
  if (group === null) return false;
  if (group.sources === null) return group.listens;
  const s = sourceFind(changetype<usize>(group), from.hi, from.lo);
  return s === null ? group.excludes : group.passes(s);
}

/** The first of all groups, those just left included; go on with `next`. */
@inline export function groupsFirst(): Group | null {
  return all;
}

/** The group of an interface, made if need be; null when the table is full. `groupSettle` is to follow. */
export function groupOpen(iface: Interface, hi: u64, lo: u64): Group | null {
  let group = groupFind(iface, hi, lo);
  if (group !== null) return group;
  group = free;
  if (group === null) return null;
  free = group.hashNext;
  memory.fill(changetype<usize>(group), 0, GROUP);
  group.hi = hi;
  group.lo = lo;
  group.iface = iface;
  const bucket = bucketOf(iface, hi, lo);
  group.hashNext = changetype<Group | null>(load<usize>(bucket));
  store<usize>(bucket, changetype<usize>(group));
  group.next = all;
  all = group;
  return group;
}

/** Joins a group once more, from all sources. False when the table is full. */
export function groupJoin(iface: Interface, hi: u64, lo: u64): bool {
  const group = groupOpen(iface, hi, lo);
  if (group === null) return false;
  group.excluding++;
  groupSettle(group);
  return true;
}

/** Leaves a group that was joined from all sources. */
export function groupLeave(iface: Interface, hi: u64, lo: u64): void {
  const group = groupFind(iface, hi, lo);
  if (group === null) return;
  group.excluding--;
  groupSettle(group);
}

/**
 * Counts a filter in (`by` 1) or out (-1): all sources but those of a list, or those. There must be room for as many
 * sources. `groupSettle` is to follow.
 */
export function groupCount(group: Group, include: bool, list: Source | null, by: i32): void {
  if (!include) group.excluding += by;
  if (!SOURCES) return;
  const filter = changetype<usize>(group);
  let named = list;
  while (named !== null) {
    let s = sourceFind(filter, named.hi, named.lo);
    if (s === null) s = sourceAdd(filter, group.head, named.hi, named.lo);
    if (include) {
      if (!s.including) group.including++;
      s.including += <u16>by;
      if (!s.including) group.including--;
    } else {
      s.excluding += <u16>by;
    }
    named = named.next;
  }
}

/**
 * Makes the interface's state of what is counted (RFC 3376, 3.2), and has what differs from before told (5.1): a change
 * of the mode with all that it lists, else of each source that is listed now or no longer.
 */
export function groupSettle(group: Group): void {
  const excludes = group.excluding != 0;
  const listens = excludes || (SOURCES && group.including != 0);
  const turned = excludes != group.excludes;
  let news = turned || listens != group.listens;
  if (turned) group.modeLeft = ROBUSTNESS;
  if (listens != group.listens) group.memberLeft = ROBUSTNESS;
  group.excludes = excludes;
  if (SOURCES) {
    let s = group.sources;
    while (s !== null) {
      const listed = excludes
        ? !s.including && <u32>s.excluding == group.excluding
        : s.including != 0;
      if (turned ? listed : listed != s.listed) {
        s.reportsLeft = ROBUSTNESS;
        news = true;
      }
      s.listed = listed;
      s = s.next;
    }
    groupSweep(group);
  }
  if (listens != group.listens) {
    group.listens = listens;
    groupsFilter(group.iface);
  }
  if (news) call_indirect<void>(changed, group);
}

/** Sources that pending queries ask for: beyond these a query is answered with all that the group lists. */
const ASKED_MAX: u32 = 256;
let asked: u32 = 0;

/** A pending query asks for a source of a group; false when there are too many. */
export function groupAsk(group: Group, source: IpAddress): bool {
  const filter = changetype<usize>(group);
  let s = sourceFind(filter, source.hi, source.lo);
  if (s === null) {
    // What is not listed is not listened to, of which nothing is said.
    if (!group.excludes) return true;
    if (asked == ASKED_MAX || !sourcesLeft()) return false;
    s = sourceAdd(filter, group.head, source.hi, source.lo);
  } else if (s.asked) {
    return true;
  } else if (asked == ASKED_MAX) {
    return false;
  }
  s.asked = true;
  asked++;
  return true;
}

/** Whether a pending query asks for sources of a group. */
export function groupIsAsked(group: Group): bool {
  let s = group.sources;
  while (s !== null && !s.asked) s = s.next;
  return s !== null;
}

/** No query asks for a group's sources any more. */
export function groupAnswered(group: Group): void {
  let s = group.sources;
  while (s !== null) {
    if (s.asked) asked--;
    s.asked = false;
    s = s.next;
  }
  groupSweep(group);
}

/** Forgets the sources that nobody names any more, and of which all has been told. */
export function groupSweep(group: Group): void {
  let link = group.head;
  while (load<usize>(link)) {
    const s = changetype<Source>(load<usize>(link));
    if (!s.including && !s.excluding && !s.reportsLeft && !s.asked) sourceRemove(link);
    else link = changetype<usize>(s) + offsetof<Source>("next");
  }
}

/** Forgets a group that nobody is in, and of which all has been told. */
export function groupForget(group: Group): void {
  group.answer.cancel();
  if (SOURCES) groupAnswered(group);
  let link = bucketOf(group.iface, group.hi, group.lo);
  while (load<usize>(link) != changetype<usize>(group)) {
    link = load<usize>(link) + offsetof<Group>("hashNext");
  }
  store<usize>(link, changetype<usize>(group.hashNext));
  if (all === group) all = group.next;
  else {
    let before = changetype<Group>(all);
    while (before.next !== group) before = changetype<Group>(before.next);
    before.next = group.next;
  }
  group.hashNext = free;
  free = group;
}

/** Has the device of `iface` let its groups pass; all groups, when they are too many for its list. */
export function groupsFilter(iface: Interface): void {
  const device = iface.device;
  device.multicast = filters + <usize>iface.index * (MULTICAST_MAX << 3);
  let count: u32 = 2;
  store<u64>(device.multicast, multicastMacV6(1));
  store<u64>(device.multicast, multicastMacV4(V4_ALL_HOSTS), 8);
  let group = all;
  while (group !== null) {
    if (group.iface == iface && group.listens) {
      if (count < MULTICAST_MAX) {
        const mac = group.isV4 ? multicastMacV4(<u32>group.lo) : multicastMacV6(group.lo);
        store<u64>(device.multicast + ((<usize>count) << 3), mac);
      }
      count++;
    }
    group = group.next;
  }
  device.multicastCount = <u8>min<u32>(count, MULTICAST_MAX);
  device.allMulticast = count > MULTICAST_MAX || iface.carries;
  if (device.state == DeviceState.Running) device.setReceiveMode();
}
