import { HEADROOM, Packet, PoolId, Purpose, allocate } from "../../kernel/packet";
import { Interface } from "../interface";
import { Group, groupFind } from "../ip/groups";
import { QuerierVersion, listenerQueried } from "../ip/listener";
import { ipv6SendOn } from "../ip/output6";
import { GroupRecord } from "../ip/report";
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
  mldGroupHi,
  mldGroupLo,
  mldPutGroup,
  mldPutHopByHop,
  mldPutRecord,
  mldResponseTime,
  mldSources,
} from "../wire/mld";

/** The messages of multicast listener discovery (RFC 3810, and RFC 2710 for older routers); when: net/ip/listener.ts. */

const reporter = changetype<IpAddress>(memory.data(16, 8));
const receivers = changetype<IpAddress>(memory.data(16, 8));

/** A query (6.2): it comes from a neighbour. */
export function mldQuery(iface: Interface, packet: Packet, source: IpAddress): void {
  const hops = changetype<Ipv6Header>(packet.slot + packet.networkOffset).hopLimit;
  if (packet.length < MLD_QUERY || hops != 1 || !isV6LinkLocal(source.hi)) return;
  const hi = mldGroupHi(packet.data);
  const lo = mldGroupLo(packet.data);
  const general = (hi | lo) == 0;
  let group: Group | null = null;
  if (!general) {
    group = groupFind(iface, hi, lo);
    if (group === null || !group.listens) return;
  }
  const version2 = packet.length >= MLD_QUERY_V2;
  const version = version2 ? QuerierVersion.Newest : QuerierVersion.Older;
  const within = mldResponseTime(packet.data, version2);
  const sources = version2 ? mldSources(packet.data) : 0;
  if (MLD_QUERY_V2 + sources * 16 > max<u32>(packet.length, MLD_QUERY_V2)) return;
  listenerQueried(iface, false, version, group, packet.data + MLD_QUERY_V2, sources, within);
}

/** Writes a record of a report, but for its sources; returns its bytes. */
export function mldPut(at: usize, type: GroupRecord, sources: u32, group: Group): u32 {
  mldPutRecord(at, type, sources, group.hi, group.lo);
  return MLD_RECORD;
}

/** Sends a report of `length` bytes and so many records to all that listen to reports (5.2.14). */
export function mldSend(iface: Interface, packet: Packet, length: u32, records: u32): void {
  receivers.set(V6_LINK_GROUP, 0x16);
  icmpv6Build(packet.data, Icmpv6Type.ListenerReportV2, 0, records);
  send(iface, packet, length);
}

/** Tells older routers of one group (RFC 2710, 4): a report to the group itself, or, when it was left, to them. */
export function mldSendOlder(iface: Interface, group: Group): void {
  const packet = allocate(PoolId.Small, Purpose.Control, HEADROOM);
  if (packet === null) return;
  if (group.listens) receivers.set(group.hi, group.lo);
  else receivers.set(V6_LINK_GROUP, 2);
  const type = group.listens ? Icmpv6Type.ListenerReport : Icmpv6Type.ListenerDone;
  icmpv6Build(packet.data, type, 0, 0);
  mldPutGroup(packet.data, group.hi, group.lo);
  send(iface, packet, MLD_QUERY);
}

/** From `::` before there is a link-local address to send from (RFC 3590, 4). */
function send(iface: Interface, packet: Packet, length: u32): void {
  const own = linkLocalOf(iface);
  if (own === null) reporter.set(0, 0);
  else reporter.copy(own.address);
  const pseudo = pseudoHeaderSum(reporter, receivers, Protocol.ICMPv6, length);
  icmpv6Sum(packet.data, length, pseudo);
  packet.length = length;
  mldPutHopByHop(packet.prepend(MLD_HOP_BY_HOP), Protocol.ICMPv6);
  ipv6SendOn(iface, packet, MLD_EXTENSION, reporter, receivers, 1);
}
