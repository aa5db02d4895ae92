import { HEADROOM, Packet, PoolId, Purpose, allocate } from "../../kernel/packet";
import { ethernetSend } from "../link/ethernet";
import { Interface, interfaceAt } from "../interface";
import { Group, groupFind } from "../ip/groups";
import { QuerierVersion, listenerQueried } from "../ip/listener";
import { IpError, registerProtocol } from "../ip/protocol";
import { GroupRecord } from "../ip/report";
import { ipStats } from "../ip/stats";
import { IpAddress, v4Lo } from "../wire/address";
import { EtherType, multicastMacV4 } from "../wire/ethernet";
import {
  IGMP_HEADER,
  IGMP_QUERY_V3,
  IGMP_RECORD,
  IgmpType,
  igmpBuild,
  igmpGroup,
  igmpPutRecord,
  igmpResponseCode,
  igmpResponseTime,
  igmpSources,
  igmpType,
  igmpValid,
} from "../wire/igmp";
import { IPV4_ALERT_HEADER, Ipv4Header, Protocol, ipv4BuildAlert } from "../wire/ipv4";

/** The messages of IGMPv3, and of versions 2 and 1 for older routers; when: net/ip/listener.ts. */

/** Who listens to version 3's reports, and to leaves: routers (RFC 3376, 4.2.14; RFC 2236, 3). */
const REPORTS: u32 = 0xe000_0016;
const ROUTERS: u32 = 0xe000_0002;
/** "Internetwork control" (RFC 3376, 4). */
const TYPE_OF_SERVICE: u32 = 0xc0;
/** Milliseconds in which to answer a query of version 1 (RFC 3376, 7.2.1). */
const RESPONSE_V1: u32 = 10_000;

/** Start-up only. */
export function igmpInit(): void {
  registerProtocol(Protocol.IGMP, igmpInput, ignoreError);
}

/** Nobody waits for news of reports. */
function ignoreError(
  _source: IpAddress,
  _destination: IpAddress,
  _sourcePort: u32,
  _destinationPort: u32,
  _sequence: u32,
  _kind: IpError,
  _mtu: u32,
): void {}

function igmpInput(packet: Packet, _source: IpAddress, _destination: IpAddress): void {
  const at = packet.data;
  const ttl = changetype<Ipv4Header>(packet.slot + packet.networkOffset).ttl;
  // Reports are for routers. A query that was routed here is a forgery: all are sent with a TTL of 1.
  if (ttl == 1 && igmpValid(at, packet.length) && igmpType(at) == IgmpType.Query) {
    query(interfaceAt(packet.iface), at, packet.length);
  }
  packet.release();
}

/** RFC 3376, 7.1 tells the versions apart by length and code. */
function query(iface: Interface, at: usize, length: u32): void {
  const address = igmpGroup(at);
  let group: Group | null = null;
  if (address) {
    group = groupFind(iface, 0, v4Lo(address));
    if (group === null || !group.listens) return;
  }
  const code = igmpResponseCode(at);
  const version3 = length >= IGMP_QUERY_V3;
  if (!version3 && length != IGMP_HEADER) return;
  const version = version3
    ? QuerierVersion.Newest
    : code
      ? QuerierVersion.Older
      : QuerierVersion.Oldest;
  const within = version == QuerierVersion.Oldest ? RESPONSE_V1 : igmpResponseTime(code, version3);
  const sources = version3 ? igmpSources(at) : 0;
  if (IGMP_QUERY_V3 + sources * 4 > max<u32>(length, IGMP_QUERY_V3)) return;
  listenerQueried(iface, true, version, group, at + IGMP_QUERY_V3, sources, within);
}

/** Writes a record of a report, but for its sources; returns its bytes. */
export function igmpPut(at: usize, type: GroupRecord, sources: u32, group: Group): u32 {
  igmpPutRecord(at, type, sources, <u32>group.lo);
  return IGMP_RECORD;
}

/** Sends a report of `length` bytes and so many records. */
export function igmpSend(iface: Interface, packet: Packet, length: u32, records: u32): void {
  igmpBuild(packet.data, IgmpType.ReportV3, records, length);
  send(iface, packet, length, REPORTS);
}

/** Tells older routers of one group: a report to the group itself, or, when it was left, to version 2's routers. */
export function igmpSendOlder(iface: Interface, group: Group, version: QuerierVersion): void {
  const oldest = version == QuerierVersion.Oldest;
  if (oldest && !group.listens) return;
  const packet = allocate(PoolId.Small, Purpose.Control, HEADROOM);
  if (packet === null) return;
  const address = <u32>group.lo;
  const type = !group.listens ? IgmpType.Leave : oldest ? IgmpType.ReportV1 : IgmpType.ReportV2;
  igmpBuild(packet.data, type, address, IGMP_HEADER);
  send(iface, packet, IGMP_HEADER, group.listens ? address : ROUTERS);
}

/** From 0.0.0.0 before there is an address to send from (RFC 3376, 4.2.13). */
function send(iface: Interface, packet: Packet, length: u32, to: u32): void {
  packet.length = length;
  const at = packet.prepend(IPV4_ALERT_HEADER);
  const total = packet.length;
  ipv4BuildAlert(at, total, TYPE_OF_SERVICE, 1, Protocol.IGMP, iface.v4Address, to);
  ipStats.sent++;
  ethernetSend(iface, packet, multicastMacV4(to), EtherType.IPv4);
}
