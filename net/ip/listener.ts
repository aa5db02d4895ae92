import { now } from "../../kernel/clock";
import { SOURCES } from "../../kernel/features";
import { randomBelow } from "../../kernel/random";
import { MILLISECOND, SECOND, Timer } from "../../kernel/timer";
import { igmpSendOlder } from "../igmp/igmp";
import { Interface, interfaceAt } from "../interface";
import { mldSendOlder } from "../mld/mld";
import { IpAddress, v6Load } from "../wire/address";
import {
  Group,
  ROBUSTNESS,
  groupAnswered,
  groupAsk,
  groupForget,
  groupIsAsked,
  groupSweep,
  groupsFirst,
  groupsInit,
} from "./groups";
import { GroupRecord, reportBegin, reportEnd, reportPut } from "./report";

/**
 * Tells multicast routers, and switches that listen in, which groups we want from which sources (RFC 3376, 5; RFC
 * 3810, 6): what changed, twice, and what there is, when asked. Both families do the same in messages of their own
 * (net/igmp/, net/mld/), of the version that the routers of the link speak; the older ones know of no sources.
 * That another host has reported a group keeps us from nothing: switches want to hear of each.
 */

/** Versions of a querier: that of source filters, the one before, and IGMP's first. */
export const enum QuerierVersion {
  Newest = 0,
  Older = 1,
  Oldest = 2,
}

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

/** The state of a group's interface has changed: it is told, with what else changes at once. */
function groupChanged(group: Group): void {
  if (!group.iface.up) {
    // Nobody hears it. When the link is back all is told anew.
    if (!group.listens) forget(group);
    return;
  }
  const number = numberOf(group.iface, group.isV4);
  const change = listener(number).change;
  change.init(reportChanges, number);
  change.arm(now() + GATHER);
}

/** Forgets a group that nobody listens to, and whatever was still to be said of it. */
function forget(group: Group): void {
  stop(group);
  groupForget(group);
}

/** Nothing of a group's changes is still to be told. */
function stop(group: Group): void {
  group.modeLeft = 0;
  group.memberLeft = 0;
  if (!SOURCES) return;
  let s = group.sources;
  while (s !== null) {
    s.reportsLeft = 0;
    s = s.next;
  }
  groupSweep(group);
}

/** The link is back, maybe to another router: every group is news, as if all had joined just now. */
export function listenersLinkUp(iface: Interface): void {
  let group = groupsFirst();
  while (group !== null) {
    if (group.iface == iface) {
      group.memberLeft = ROBUSTNESS;
      group.modeLeft = group.excludes || !group.listens ? ROBUSTNESS : 0;
      if (SOURCES) {
        let s = group.sources;
        while (s !== null) {
          s.reportsLeft = s.listed ? ROBUSTNESS : 0;
          s = s.next;
        }
      }
      groupChanged(group);
    }
    group = group.next;
  }
}

const asked = changetype<IpAddress>(memory.data(16, 8));

/**
 * A query is answered after a random time below `within` ms: one for all groups, or for `group`, and of that for the
 * `count` sources that stand at `sources`, or for all (RFC 3376, 5.2; RFC 3810, 6.2, whose rules are numbered alike).
 */
export function listenerQueried(
  iface: Interface,
  v4: bool,
  version: QuerierVersion,
  group: Group | null,
  sources: usize,
  count: u32,
  within: u32,
): void {
  const number = numberOf(iface, v4);
  const l = listener(number);
  if (group === null && version != QuerierVersion.Newest) {
    const before = l.version;
    if (version == QuerierVersion.Oldest) l.oldestUntil = now() + OLDER_PRESENT;
    else l.olderUntil = now() + OLDER_PRESENT;
    if (l.version != before) drop(number);
  }
  const at = now() + <u64>randomBelow(max<u32>(1, within)) * MILLISECOND;
  // Rule 1: what is told of all sooner is told of this, too.
  if (l.answer.armed && l.answer.deadline <= at) return;
  if (group === null) {
    l.answer.init(reportAll, number);
    l.answer.arm(at);
    return;
  }
  const answer = group.answer;
  if (SOURCES) {
    // Rules 3 to 5: what is asked for is added up, unless somebody asks for all, or has.
    const all = !count || (answer.armed && !groupIsAsked(group));
    if (all || !ask(group, v4, sources, count)) groupAnswered(group);
    else if (!groupIsAsked(group)) return;
  }
  if (answer.armed && answer.deadline <= at) return;
  answer.init(reportGroup, changetype<usize>(group));
  answer.arm(at);
}

/** Notes the sources that a query asks for; false when they are too many. */
function ask(group: Group, v4: bool, sources: usize, count: u32): bool {
  for (let i: u32 = 0; i < count; i++) {
    if (v4) asked.setV4(bswap(load<u32>(sources + (i << 2))));
    else v6Load(asked, sources + (i << 4), group.iface.zone);
    if (!groupAsk(group, asked)) return false;
  }
  return true;
}

/** Nothing is said that was to be said in another version (RFC 3376, 7.2.1; RFC 3810, 8.2.1). */
function drop(number: u32): void {
  listener(number).answer.cancel();
  listener(number).change.cancel();
  let group = groupsFirst();
  while (group !== null) {
    const next = group.next;
    if (numberOf(group.iface, group.isV4) == number) {
      group.answer.cancel();
      if (SOURCES) groupAnswered(group);
      stop(group);
      if (!group.listens) groupForget(group);
    }
    group = next;
  }
}

/** Tells a router of an older version of a group. */
@inline function tellOlder(iface: Interface, group: Group, version: QuerierVersion): void {
  if (group.isV4) igmpSendOlder(iface, group, version);
  else mldSendOlder(iface, group);
}

/** Answers for all groups of an interface. */
function reportAll(number: usize, _time: u64): void {
  const iface = interfaceAt((<u32>number) >> 1);
  const version = listener(<u32>number).version;
  reportBegin(iface, (number & 1) != 0);
  let group = groupsFirst();
  while (group !== null) {
    const here = numberOf(group.iface, group.isV4) == <u32>number;
    if (here && group.listens && !group.isSilent) current(group, version);
    group = group.next;
  }
  reportEnd();
}

/** Answers for one group. */
function reportGroup(context: usize, _time: u64): void {
  const group = changetype<Group>(context);
  if (group.listens && !group.isSilent) {
    const version = listener(numberOf(group.iface, group.isV4)).version;
    reportBegin(group.iface, group.isV4);
    const some = SOURCES && version == QuerierVersion.Newest && groupIsAsked(group);
    if (some) reportPut(group, GroupRecord.IsInclude, true);
    else current(group, version);
    reportEnd();
  }
  if (SOURCES) groupAnswered(group);
}

/** Says what an interface listens to in a group. */
function current(group: Group, version: QuerierVersion): void {
  if (version != QuerierVersion.Newest) return tellOlder(group.iface, group, version);
  reportPut(group, group.excludes ? GroupRecord.IsExclude : GroupRecord.IsInclude);
}

function reportChanges(number: usize, time: u64): void {
  const iface = interfaceAt((<u32>number) >> 1);
  if (!iface.up) return;
  const version = listener(<u32>number).version;
  let more = false;
  reportBegin(iface, (number & 1) != 0);
  let group = groupsFirst();
  while (group !== null) {
    const next = group.next;
    if (numberOf(group.iface, group.isV4) == <u32>number && isNews(group)) {
      if (!group.isSilent) change(group, version);
      if (isNewsAgain(group)) more = true;
      else if (!group.listens) groupForget(group);
    }
    group = next;
  }
  reportEnd();
  if (!more) return;
  const wait = <u64>(1 + randomBelow(<u32>(UNSOLICITED / MILLISECOND))) * MILLISECOND;
  listener(<u32>number).change.arm(time + wait);
}

/** Whether something of a group is still to be told. */
function isNews(group: Group): bool {
  if (group.modeLeft || group.memberLeft) return true;
  if (!SOURCES) return false;
  let s = group.sources;
  while (s !== null && !s.reportsLeft) s = s.next;
  return s !== null;
}

/** Something of a group has been told once more: whether it is to be told again. */
function isNewsAgain(group: Group): bool {
  if (group.modeLeft) group.modeLeft--;
  if (group.memberLeft) group.memberLeft--;
  if (SOURCES) {
    let s = group.sources;
    while (s !== null) {
      if (s.reportsLeft) s.reportsLeft--;
      s = s.next;
    }
    groupSweep(group);
  }
  return isNews(group);
}

/** Tells what has changed of a group (RFC 3376, 5.1; RFC 3810, 6.1). */
function change(group: Group, version: QuerierVersion): void {
  if (version != QuerierVersion.Newest) {
    // A leave was never told twice.
    const due = group.listens ? group.memberLeft != 0 : group.memberLeft == ROBUSTNESS;
    if (due) tellOlder(group.iface, group, version);
  } else if (group.modeLeft) {
    reportPut(group, group.excludes ? GroupRecord.ToExclude : GroupRecord.ToInclude);
  } else if (SOURCES) {
    reportPut(group, GroupRecord.Allow);
    reportPut(group, GroupRecord.Block);
  }
}
