import { NAMES } from "../../kernel/features";
import { Packet } from "../../kernel/packet";
import {
  isV6Multicast,
  isV4Multicast,
  IpAddress,
  V6_LINK_GROUP,
  commonPrefix,
} from "../wire/address";
import { isV6LinkLocal, isV4LinkLocal } from "../wire/address";
import { EndpointOption } from "../endpoint";
import { Interface, LinkKind, findAddress, interfaceAt, interfaceCount } from "../interface";
import { membershipJoin } from "../membership";
import { Udp, udpBind, udpClose, udpOpen, udpSendTo, udpSetOption } from "../udp/udp";
import { DNS_HEADER } from "../wire/dns";
import {
  MDNS_CODE,
  MDNS_GROUP_V4,
  MDNS_GROUP_V6,
  MDNS_IS_RESPONSE,
  MDNS_OPCODE,
  MDNS_PORT,
  mdns16,
  mdnsBehindQuestions,
  mdnsLength,
  mdnsMessage,
} from "../wire/mdns";
import { querierHeard } from "./querier";
import { responderAsked, responderHeard } from "./responder";

/**
 * The endpoint of multicast DNS, querier's and responder's alike: port 5353, in both groups on each link, with a TTL
 * of 255. It shares the port with programs that share it, too (RFC 6762, 15.1). Opened when it is first needed.
 */

let port: Udp | null = null;
/** Interfaces whose groups have been joined: the first of the table. */
let joined: u32 = 0;
const group = changetype<IpAddress>(memory.data(16, 8));
const HOPS: u8 = 255;


@inline function setGroup(v4: bool): void {
  if (v4) group.setV4(MDNS_GROUP_V4);
  else group.set(V6_LINK_GROUP, MDNS_GROUP_V6);
}

/** Opens the port, unless it is open, and joins the groups on links that are new; false where there is no room. */
export function mdnsOpen(): bool {
  let u = port;
  if (u === null) {
    u = udpOpen();
    if (u === null) return false;
    udpSetOption(u, EndpointOption.ReusePort, 1);
    group.set(0, 0);
    if (udpBind(u, group, MDNS_PORT) < 0) {
      // A program has the port, and shares it with nobody.
      udpClose(u);
      return false;
    }
    u.handler = heard.index;
    u.multicastHops = HOPS;
    u.timeToLive = HOPS;
    port = u;
  }
  for (; joined < interfaceCount(); joined++) {
    const iface = interfaceAt(joined);
    if (iface.kind != LinkKind.Ethernet) continue;
    for (let family = 0; family < 2; family++) {
      setGroup(family == 0);
      membershipJoin(u, group, joined + 1);
    }
  }
  return true;
}

/** Sends the message that was made last to all on a link, by each family that there is. */
export function mdnsMulticast(iface: Interface): void {
  const u = port;
  if (u === null || iface.kind != LinkKind.Ethernet || !iface.up) return;
  u.multicastInterface = <u8>(iface.index + 1);
  for (let family = 0; family < 2; family++) {
    setGroup(family == 0);
    // Where there is no address of the family yet it does not leave.
    udpSendTo(u, mdnsMessage(), mdnsLength(), group, MDNS_PORT);
  }
}

/** Sends it to one. */
export function mdnsUnicast(address: IpAddress, to: u32): void {
  const u = port;
  if (u !== null) udpSendTo(u, mdnsMessage(), mdnsLength(), address, to);
}

/**
 * Whether a datagram comes from this link (RFC 6762, 11): it was for a group of the link, or its sender has an address
 * of the link.
 */
function isNear(packet: Packet, source: IpAddress, iface: Interface): bool {
  const header = packet.slot + packet.networkOffset;
  if (source.isV4) {
    if (isV4Multicast(bswap(load<u32>(header, 16))) || isV4LinkLocal(source.v4)) return true;
  } else if (isV6Multicast(bswap(load<u64>(header, 24))) || isV6LinkLocal(source.hi)) {
    return true;
  }
  let record = iface.addresses;
  while (record !== null) {
    const bits = <u32>record.prefix + (record.address.isV4 ? 96 : 0);
    const same = record.address.isV4 == source.isV4;
    if (same && commonPrefix(record.hi, record.lo, source.hi, source.lo) >= bits) return true;
    record = record.next;
  }
  return false;
}

function heard(_u: Udp, packet: Packet | null, source: IpAddress, sourcePort: u32): void {
  if (packet === null) return;
  let iface = interfaceAt(packet.iface);
  if (iface.kind == LinkKind.Loopback) {
    // Our own comes back this way.
    const own = findAddress(source.hi, source.lo);
    if (own !== null) iface = own.iface;
  }
  if (packet.length >= DNS_HEADER && isNear(packet, source, iface)) {
    take(packet.data, packet.length, iface, source, sourcePort);
  }
  packet.release();
}

function take(
  message: usize,
  length: u32,
  iface: Interface,
  source: IpAddress,
  sourcePort: u32,
): void {
  const flags = mdns16(message + 2);
  if (flags & (MDNS_OPCODE | MDNS_CODE)) return;
  const questions = mdns16(message + 4);
  const records = mdnsBehindQuestions(message, length, questions);
  if (!records) return;
  if (!(flags & MDNS_IS_RESPONSE)) {
    return responderAsked(message, length, records, iface, source, sourcePort);
  }
  // Section 6: from any other port it is none.
  if (sourcePort != MDNS_PORT) return;
  const count = mdns16(message + 6) + mdns16(message + 8) + mdns16(message + 10);
  responderHeard(message, length, records, count, iface);
  if (NAMES) querierHeard(message, length, records, count, iface);
}
