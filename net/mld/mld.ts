import { now } from "../../kernel/clock";
import { HEADROOM, Packet, PoolId, Purpose, allocate } from "../../kernel/packet";
import { randomBelow } from "../../kernel/random";
import { MILLISECOND, SECOND, Timer } from "../../kernel/timer";
import { Interface, interfaceAt } from "../interface";
import { Group, groupForget, groupsFirst, groupsInit, isAllNodes, isMember } from "../ip/groups";
import { ipv6SendOn } from "../ip/output6";
import { linkLocalOf } from "../ndp/addresses";
import { IpAddress, V6_LINK_GROUP, isV6LinkLocal } from "../wire/address";
import { pseudoHeaderSum } from "../wire/checksum";
import { Icmpv6Type, icmpv6Build, icmpv6Sum } from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import { Ipv6Header } from "../wire/ipv6";
import {
  MLD_EXTENSION,
  MLD_HOP_BY_HOP,
  MLD_QUERY,
  MLD_QUERY_V2,
  MLD_RECORD,
  MLD_REPORT,
  MldRecord,
  mldGroupHi,
  mldGroupLo,
  mldPutHopByHop,
  mldPutRecord,
  mldResponseTime,
} from "../wire/mld";

/**
 * Tells multicast routers, and switches that listen in, which groups we want (RFC 3810, 6): what
 * changed, twice, and what there is, when asked. Every group is wanted from every source.
 */

/** Robustness Variable: how often a change is told (9.1). */
const ROBUSTNESS: u32 = 2;
/** Unsolicited Report Interval: within which it is told again (9.11). */
const UNSOLICITED: u64 = SECOND;
/** A change waits so long for others to go with it. */
const GATHER: u64 = MILLISECOND;
/** Records of one report, which fits any link. */
const RECORDS_MAX: u32 = 50;

/** Timers of an interface. 64 bytes. */
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

  /** Tells what changed. */
  @inline get change(): Timer {
    return changetype<Timer>(changetype<usize>(this));
  }

  /** Answers a query. */
  @inline get answer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<Listener>("answer0"));
  }
}

const listeners: usize = memory.data(33 * 64, 8);
const reporter = changetype<IpAddress>(memory.data(16, 8));
const routers = changetype<IpAddress>(memory.data(16, 8));


@inline function listenerOf(iface: Interface): Listener {
  return changetype<Listener>(listeners + ((<usize>iface.index) << 6));
}

/** Start-up only. */
export function mldInit(): void {
  routers.set(V6_LINK_GROUP, 0x16);
  groupsInit(groupChanged);
}

function groupChanged(group: Group): void {
  group.reportsLeft = ROBUSTNESS;
  const listener = listenerOf(group.iface);
  listener.change.init(reportChanges, group.iface.index);
  if (group.iface.up) listener.change.arm(now() + GATHER);
}

/** The link is back, maybe to another router: every group is news. */
export function mldLinkUp(iface: Interface): void {
  let group = groupsFirst();
  while (group !== null) {
    if (group.iface == iface) groupChanged(group);
    group = group.next;
  }
}

/** A query (6.2): it comes from a neighbour, and is answered after a random time. */
export function mldQuery(iface: Interface, packet: Packet, source: IpAddress): void {
  const hops = changetype<Ipv6Header>(packet.slot + packet.networkOffset).hopLimit;
  if (packet.length < MLD_QUERY || hops != 1 || !isV6LinkLocal(source.hi)) return;
  const hi = mldGroupHi(packet.data);
  const lo = mldGroupLo(packet.data);
  if ((hi | lo) != 0 && !isMember(iface, hi, lo)) return;
  const within = max<u32>(1, mldResponseTime(packet.data, packet.length >= MLD_QUERY_V2));
  const answer = listenerOf(iface).answer;
  const at = now() + <u64>randomBelow(within) * MILLISECOND;
  answer.init(reportAll, iface.index);
  // One answer tells all, to whoever has asked meanwhile.
  if (!answer.armed || answer.deadline > at) answer.arm(at);
}

function reportAll(index: usize, _time: u64): void {
  report(interfaceAt(<u32>index), false);
}

function reportChanges(index: usize, time: u64): void {
  const iface = interfaceAt(<u32>index);
  if (!iface.up) return;
  report(iface, true);
  let more = false;
  let group = groupsFirst();
  while (group !== null) {
    const next = group.next;
    if (group.iface == iface && group.reportsLeft) {
      if (--group.reportsLeft) more = true;
      else if (!group.references) groupForget(group);
    }
    group = next;
  }
  if (!more) return;
  const wait = <u64>(1 + randomBelow(<u32>(UNSOLICITED / MILLISECOND))) * MILLISECOND;
  listenerOf(iface).change.arm(time + wait);
}

/** Sends the groups of an interface, or just those that changed, in as many reports as it takes. */
function report(iface: Interface, changes: bool): void {
  let packet: Packet | null = null;
  let count: u32 = 0;
  let following = groupsFirst();
  while (following !== null) {
    const group = following;
    following = group.next;
    if (group.iface != iface || isAllNodes(group.hi, group.lo)) continue;
    if (changes ? !group.reportsLeft : !group.references) continue;
    if (packet === null) {
      packet = allocate(PoolId.Standard, Purpose.Control, HEADROOM);
      if (packet === null) return;
    }
    const type = !changes
      ? MldRecord.IsExclude
      : group.references
        ? MldRecord.ToExclude
        : MldRecord.ToInclude;
    mldPutRecord(packet.data + MLD_REPORT + count * MLD_RECORD, type, group.hi, group.lo);
    if (++count == RECORDS_MAX) {
      send(iface, packet, count);
      packet = null;
      count = 0;
    }
  }
  if (packet !== null) send(iface, packet, count);
}

/** From `::` before there is a link-local address to send from (RFC 3590, 4). */
function send(iface: Interface, packet: Packet, records: u32): void {
  const length = MLD_REPORT + records * MLD_RECORD;
  const own = linkLocalOf(iface);
  if (own === null) reporter.set(0, 0);
  else reporter.copy(own.address);
  icmpv6Build(packet.data, Icmpv6Type.ListenerReportV2, 0, records);
  const pseudo = pseudoHeaderSum(reporter, routers, Protocol.ICMPv6, length);
  icmpv6Sum(packet.data, length, pseudo);
  packet.length = length;
  mldPutHopByHop(packet.prepend(MLD_HOP_BY_HOP), Protocol.ICMPv6);
  ipv6SendOn(iface, packet, MLD_EXTENSION, reporter, routers, 1);
}
