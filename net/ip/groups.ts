import { DeviceState, MULTICAST_MAX } from "../../drivers/device";
import { addressHash } from "../hash";
import { Interface } from "../interface";
import { V6_LINK_GROUP, isV4, v4Lo } from "../wire/address";
import { multicastMacV4, multicastMacV6 } from "../wire/ethernet";

/**
 * The groups of either family that our interfaces have joined: counted, since several addresses may share a
 * solicited-node group, and several programs a group. Each is also in its device's receive filter.
 */

/** A group of an interface. 48 bytes. */
@unmanaged
export class Group {
  hi: u64;
  lo: u64;
  iface: Interface;
  /** Next with the same hash, or next free one. */
  hashNext: Group | null;
  /** Next of all. */
  next: Group | null;
  /** Who has joined; 0 while routers are still to be told that it was left. */
  references: u32;
  /** Times that the change is still to be reported (net/ip/listener.ts). */
  reportsLeft: u32;


  @inline get isV4(): bool {
    return isV4(this.hi, this.lo);
  }

  /** All hosts, in which everybody is and of which nobody speaks (RFC 3376, 6; RFC 3810, 6). */
  @inline get isSilent(): bool {
    return this.isV4 ? <u32>this.lo == V4_ALL_HOSTS : isAllNodes(this.hi, this.lo);
  }
}

const GROUPS: u32 = 256;
const BUCKETS: u32 = 256;
const records: usize = memory.data(256 * 48, 8);
const buckets: usize = memory.data(256 * 4, 8);
/** What each device is to let pass: `MULTICAST_MAX` addresses of 8 bytes. */
const filters: usize = memory.data(48 * 32 * 8, 8);
let free: Group | null = null;
let all: Group | null = null;
/** Table index of `(group: Group) => void`: it was joined or left. */
let changed: u32 = 0;

/** Sets up the table, and who is told of groups joined and left. Start-up only. */
export function groupsInit(tell: (group: Group) => void): void {
  assert(offsetof<Group>() <= 48);
  changed = tell.index;
  for (let i: u32 = 0; i < GROUPS; i++) {
    const group = changetype<Group>(records + <usize>i * 48);
    group.hashNext = free;
    free = group;
  }
}


@inline function bucketOf(iface: Interface, hi: u64, lo: u64): usize {
  return buckets + ((<usize>(addressHash(hi, lo, iface.index) & (BUCKETS - 1))) << 2);
}

function find(iface: Interface, hi: u64, lo: u64): Group | null {
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

/** Whether the interface takes what comes for a group. */
export function isMember(iface: Interface, hi: u64, lo: u64): bool {
  if (isAllNodes(hi, lo) || (!hi && lo == v4Lo(V4_ALL_HOSTS))) return true;
  const group = find(iface, hi, lo);
  return group !== null && group.references != 0;
}

/** The first of all groups, those just left included; go on with `next`. */
@inline export function groupsFirst(): Group | null {
  return all;
}

/** Joins a group once more. False when the table is full. */
export function groupJoin(iface: Interface, hi: u64, lo: u64): bool {
  let group = find(iface, hi, lo);
  if (group === null) {
    group = free;
    if (group === null) return false;
    free = group.hashNext;
    group.hi = hi;
    group.lo = lo;
    group.iface = iface;
    group.references = 0;
    const bucket = bucketOf(iface, hi, lo);
    group.hashNext = changetype<Group | null>(load<usize>(bucket));
    store<usize>(bucket, changetype<usize>(group));
    group.next = all;
    all = group;
  }
  if (group.references++ == 0) {
    groupsFilter(iface);
    call_indirect<void>(changed, group);
  }
  return true;
}

/** Leaves a group that was joined. */
export function groupLeave(iface: Interface, hi: u64, lo: u64): void {
  const group = find(iface, hi, lo);
  if (group === null || --group.references) return;
  groupsFilter(iface);
  call_indirect<void>(changed, group);
}

/** Forgets a group that nobody is in. */
export function groupForget(group: Group): void {
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
    if (group.iface == iface && group.references) {
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
