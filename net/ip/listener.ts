import { now } from "../../kernel/clock";
import { HEADROOM, Packet, PoolId, Purpose, allocate } from "../../kernel/packet";
import { randomBelow } from "../../kernel/random";
import { MILLISECOND, SECOND, Timer } from "../../kernel/timer";
import { IGMP_RECORDS, igmpPut, igmpSend, igmpSendOlder } from "../igmp/igmp";
import { Interface, interfaceAt } from "../interface";
import { MLD_RECORDS, mldPut, mldSend, mldSendOlder } from "../mld/mld";
import { Group, groupForget, groupsFirst, groupsInit } from "./groups";

/**
 * Tells multicast routers, and switches that listen in, which groups we want (RFC 3376, 5; RFC 3810, 6): what
 * changed, twice, and what there is, when asked. Every group is wanted from every source. Both families do
 * the same in messages of their own (net/igmp/, net/mld/), of the version that the routers of the link speak.
 * That another host has reported a group keeps us from nothing: switches want to hear of each.
 */

/** Type of a record (RFC 3376, 4.2.12; RFC 3810, 5.2.12), for listeners that take every source. */
export const enum GroupRecord {
  /** Listens. */
  IsExclude = 2,
  /** Does not any more. */
  ToInclude = 3,
  /** Does now. */
  ToExclude = 4,
}

/** Versions of a querier: that of source filters, the one before, and IGMP's first. */
export const enum QuerierVersion {
  Newest = 0,
  Older = 1,
  Oldest = 2,
}

/** Robustness Variable: how often a change is told (RFC 3810, 9.1). */
const ROBUSTNESS: u32 = 2;
/** Unsolicited Report Interval: within which it is told again (9.11). */
const UNSOLICITED: u64 = SECOND;
/** A change waits so long for others to go with it. */
const GATHER: u64 = MILLISECOND;
/** How long an older querier's version is kept to: twice its interval, and ten seconds (9.12; RFC 3376, 8.12). */
const OLDER_PRESENT: u64 = 260 * SECOND;

/** What an interface has to report in one family. 80 bytes. */
@unmanaged
class Listener {
  private change0: u64;
  private change1: u64;
  private change2: u64;
  private change3: u64;
  private answer0: u64;
  private answer1: u64;
  private answer2: u64;
  private answer3: u64;
  /** Until when queriers of older versions count as present, ns. */
  olderUntil: u64;
  oldestUntil: u64;

  /** Tells what changed. */
  @inline get change(): Timer {
    return changetype<Timer>(changetype<usize>(this));
  }

  /** Answers a query. */
  @inline get answer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<Listener>("answer0"));
  }

  /** What the link's queriers understand. */
  get version(): QuerierVersion {
    if (this.oldestUntil > now()) return QuerierVersion.Oldest;
    return this.olderUntil > now() ? QuerierVersion.Older : QuerierVersion.Newest;
  }
}

/** Two for each interface: of IPv6 and of IPv4. */
const listeners: usize = memory.data(48 * 2 * 80, 8);


@inline function numberOf(iface: Interface, v4: bool): u32 {
  return ((<u32>iface.index) << 1) | u32(v4);
}


@inline function listener(number: u32): Listener {
  return changetype<Listener>(listeners + <usize>number * 80);
}

/** Start-up only. */
export function listenersInit(): void {
  assert(offsetof<Listener>() == 80);
  groupsInit(groupChanged);
}

function groupChanged(group: Group): void {
  group.reportsLeft = ROBUSTNESS;
  const number = numberOf(group.iface, group.isV4);
  const change = listener(number).change;
  change.init(reportChanges, number);
  if (group.iface.up) change.arm(now() + GATHER);
}

/** The link is back, maybe to another router: every group is news. */
export function listenersLinkUp(iface: Interface): void {
  let group = groupsFirst();
  while (group !== null) {
    if (group.iface == iface) groupChanged(group);
    group = group.next;
  }
}

/** A query, of a general kind or not, is answered after a random time below `within` ms (RFC 3810, 6.2). */
export function listenerQueried(
  iface: Interface,
  v4: bool,
  version: QuerierVersion,
  general: bool,
  within: u32,
): void {
  const number = numberOf(iface, v4);
  const l = listener(number);
  if (general && version != QuerierVersion.Newest) {
    const before = l.version;
    if (version == QuerierVersion.Oldest) l.oldestUntil = now() + OLDER_PRESENT;
    else l.olderUntil = now() + OLDER_PRESENT;
    // What was to be said in the other version is not (RFC 3376, 7.2.1).
    if (l.version != before) l.answer.cancel();
  }
  const at = now() + <u64>randomBelow(max<u32>(1, within)) * MILLISECOND;
  const answer = l.answer;
  answer.init(reportAll, number);
  // One answer tells all, to whoever has asked meanwhile.
  if (!answer.armed || answer.deadline > at) answer.arm(at);
}

function reportAll(number: usize, _time: u64): void {
  report(<u32>number, false);
}

function reportChanges(number: usize, time: u64): void {
  const iface = interfaceAt((<u32>number) >> 1);
  if (!iface.up) return;
  report(<u32>number, true);
  let more = false;
  let group = groupsFirst();
  while (group !== null) {
    const next = group.next;
    if (group.reportsLeft && numberOf(group.iface, group.isV4) == <u32>number) {
      if (--group.reportsLeft) more = true;
      else if (!group.references) groupForget(group);
    }
    group = next;
  }
  if (!more) return;
  const wait = <u64>(1 + randomBelow(<u32>(UNSOLICITED / MILLISECOND))) * MILLISECOND;
  listener(<u32>number).change.arm(time + wait);
}

/** Sends the groups of an interface, or just those that changed, in as many reports as it takes. */
function report(number: u32, changes: bool): void {
  const iface = interfaceAt(number >> 1);
  const v4 = (number & 1) != 0;
  const version = listener(number).version;
  const most = v4 ? IGMP_RECORDS : MLD_RECORDS;
  let packet: Packet | null = null;
  let count: u32 = 0;
  let following = groupsFirst();
  while (following !== null) {
    const group = following;
    following = group.next;
    if (numberOf(group.iface, group.isV4) != number || group.isSilent) continue;
    if (changes ? !group.reportsLeft : !group.references) continue;
    if (version != QuerierVersion.Newest) {
      // A leave was never told twice.
      if (!group.references && group.reportsLeft < ROBUSTNESS) continue;
      if (v4) igmpSendOlder(iface, group, version);
      else mldSendOlder(iface, group);
      continue;
    }
    if (packet === null) {
      packet = allocate(PoolId.Standard, Purpose.Control, HEADROOM);
      if (packet === null) return;
    }
    const type = !changes
      ? GroupRecord.IsExclude
      : group.references
        ? GroupRecord.ToExclude
        : GroupRecord.ToInclude;
    if (v4) igmpPut(packet, count, type, group);
    else mldPut(packet, count, type, group);
    if (++count == most) {
      send(iface, v4, packet, count);
      packet = null;
      count = 0;
    }
  }
  if (packet !== null) send(iface, v4, packet, count);
}


@inline function send(iface: Interface, v4: bool, packet: Packet, records: u32): void {
  if (v4) igmpSend(iface, packet, records);
  else mldSend(iface, packet, records);
}
