import { config } from "../../kernel/config";
import { DHCPD } from "../../kernel/features";
import { Packet, PacketFlag, PoolId, poolFor } from "../../kernel/packet";
import { sendError } from "../icmp/error";
import { rawInput, rawListens, rawListensTo } from "../raw/raw";
import { AddressState, Interface, LinkKind, findAddress, v4AddressCount } from "../interface";
import { IpAddress, V4_BROADCAST, isV4Loopback, isV4Multicast, v4Lo } from "../wire/address";
import { IcmpType, Unreachable } from "../wire/icmpv4";
import { sum20 } from "../wire/checksum";
import {
  IPV4_HEADER,
  IPV4_LENGTH_MAX,
  IP_ECN,
  Ipv4Fault,
  Ipv4Fragment,
  Ipv4Header,
  Protocol,
  ipv4Check,
  ipv4FaultAt,
  ipv4Plain,
  ipv4Reassembled,
} from "../wire/ipv4";
import { ipv4Forward, ipv4ForwardReady } from "./forward";
import { isHeard, isMember } from "./groups";
import { deliver } from "./protocol";
import { reassemblyAdd } from "./reassembly";
import { ipStats } from "./stats";

/** Bytes of a TCP header up to its flags and what belongs to them (RFC 1858, 3.2.1). */
const TCP_FLAGS_END: u32 = 16;

const source = changetype<IpAddress>(memory.data(16, 8));
const destination = changetype<IpAddress>(memory.data(16, 8));

/** What says nothing good or bad of a datagram that the link brought to us alone. */
const LINK_GROUP: u32 = PacketFlag.LinkBroadcast | PacketFlag.LinkMulticast;

/** Takes an IPv4 datagram from the link: `packet.data` is its header. Owns the packet. */
export function ipv4Input(iface: Interface, packet: Packet): void {
  ipStats.received++;
  // Nearly all: whole, without options, for the interface's address; of a router's, to somebody known.
  const header = changetype<Ipv4Header>(packet.data);
  const flags: u32 = packet.flags;
  if (packet.length >= IPV4_HEADER && ipv4Plain(packet.data) && !(flags & LINK_GROUP)) {
    const length = header.totalLength;
    const from = header.source;
    const to = header.destination;
    if (
      (to == iface.v4Address || config.forwarding) &&
      length >= IPV4_HEADER &&
      length <= packet.length &&
      (flags & PacketFlag.NetworkChecksumGood || sum20(packet.data) == 0xffff) &&
      !badSource(iface, from)
    ) {
      if (to == iface.v4Address) {
        packet.length = length;
        handUp(iface, packet, IPV4_HEADER, header.protocol, from, to);
        return;
      }
      if (ipv4ForwardReady(iface, packet, header)) return;
    }
  }
  anyInput(iface, packet);
}

/** Any datagram, looked at in full. */
function anyInput(iface: Interface, packet: Packet): void {
  const summed = (packet.flags & PacketFlag.NetworkChecksumGood) != 0;
  const fault = ipv4Check(packet.data, packet.length, summed);
  if (fault != Ipv4Fault.None) {
    countFault(fault);
    if (fault == Ipv4Fault.Options) reportOption(iface, packet);
    return packet.release();
  }
  const header = changetype<Ipv4Header>(packet.data);
  const from = header.source;
  const to = header.destination;
  const protocol = header.protocol;
  const toGroup = to != iface.v4Address && isGroup(iface, from, to, protocol);
  // Switches ask for groups, too, and have no address (RFC 4541, 2.1.1).
  const served = DHCPD && iface.serves && toGroup && protocol == Protocol.UDP;
  if (badSource(iface, from) && (from || (protocol != Protocol.IGMP && !served))) {
    ipStats.badSource++;
    return packet.release();
  }
  if (toGroup) {
    // Connections have two ends: no transport but UDP takes a datagram for many (RFC 1122, 4.2.3.10).
    const many = protocol == Protocol.UDP || protocol == Protocol.ICMP || protocol == Protocol.IGMP;
    if (!many && (protocol == Protocol.TCP || !rawListensTo(protocol))) {
      ipStats.badBroadcast++;
      return packet.release();
    }
  } else if (to != iface.v4Address && !isOurs(iface, to, protocol)) {
    if (config.forwarding && iface.kind != LinkKind.Loopback) return ipv4Forward(iface, packet);
    ipStats.notForUs++;
    return packet.release();
  } else if (
    packet.flags & (PacketFlag.LinkBroadcast | PacketFlag.LinkMulticast) &&
    !iface.acceptAny
  ) {
    // A unicast datagram in a broadcast frame: somebody's mistake or trick (RFC 1122, 3.3.6).
    ipStats.badBroadcast++;
    return packet.release();
  }
  // Link padding is not part of the datagram (RFC 1122, 3.2.1.2 leaves the length to the header).
  packet.length = header.totalLength;
  if (!header.isFragment) return handUp(iface, packet, header.headerLength, protocol, from, to);
  const whole = fragmentInput(iface, packet, header);
  if (whole === null) return;
  const headerLength = changetype<Ipv4Header>(whole.data).headerLength;
  handUp(iface, whole, headerLength, protocol, from, to);
}

/** Takes a fragment; the datagram, beginning with its header, when nothing is missing of it. */
function fragmentInput(iface: Interface, packet: Packet, header: Ipv4Header): Packet | null {
  ipStats.fragments++;
  const protocol = header.protocol;
  const headerLength = header.headerLength;
  const length = packet.length - headerLength;
  const offset = (header.fragment & Ipv4Fragment.Offset) << 3;
  const more = (header.fragment & Ipv4Fragment.MoreFragments) != 0;
  if (
    !length ||
    (more && length & 7) ||
    // What fits no datagram (the "ping of death").
    headerLength + offset + length > IPV4_LENGTH_MAX ||
    // Fragments made to hide TCP's flags from filters (RFC 1858, 3; RFC 3128, 4).
    (protocol == Protocol.TCP && (offset ? offset < TCP_FLAGS_END : length < TCP_FLAGS_END))
  ) {
    ipStats.badFragments++;
    packet.release();
    return null;
  }
  packet.networkOffset = <u16>(packet.data - packet.slot);
  packet.iface = iface.index;
  packet.strip(headerLength);
  source.setV4(header.source);
  destination.setV4(header.destination);
  const ecn = header.trafficClass & IP_ECN;
  const id = header.id;
  const all = reassemblyAdd(packet, source, destination, id, protocol, offset, more, ecn, ipStats);
  if (all === null) return null;
  const first = all.first;
  const headers = changetype<Ipv4Header>(first.slot + first.networkOffset).headerLength;
  const bytes = headers + all.length;
  // No segment is larger than what we say that we take (RFC 9293, 3.7.1); a slot of the largest is not TCP's.
  const tooLarge = protocol == Protocol.TCP && poolFor(bytes) > PoolId.Standard;
  if (bytes > IPV4_LENGTH_MAX || tooLarge) {
    ipStats.badFragments++;
    all.release();
    return null;
  }
  const congested = all.congested;
  const whole = all.join(headers);
  if (whole !== null) ipv4Reassembled(whole.data, bytes, congested);
  return whole;
}

/** Hands a datagram that is whole and ours to its transport. */
@inline function handUp(
  iface: Interface,
  packet: Packet,
  headerLength: u32,
  protocol: u32,
  from: u32,
  to: u32,
): void {
  const offset = <u32>(packet.data - packet.slot);
  packet.networkOffset = <u16>offset;
  packet.transportOffset = <u16>(offset + headerLength);
  packet.strip(headerLength);
  packet.iface = iface.index;
  source.setV4(from);
  destination.setV4(to);
  const heard = rawListens() && rawInput(protocol, packet, source, destination);
  if (deliver(protocol, packet, source, destination)) {
    ipStats.delivered++;
    return;
  }
  if (heard) {
    ipStats.delivered++;
    return packet.release();
  }
  ipStats.unknownProtocol++;
  sendError(packet, IcmpType.DestinationUnreachable, Unreachable.Protocol, 0);
  packet.release();
}

/** Tells the sender where its options make no sense (RFC 792; RFC 1122, 3.2.2.5). */
function reportOption(iface: Interface, packet: Packet): void {
  if (badSource(iface, changetype<Ipv4Header>(packet.data).source)) return;
  packet.networkOffset = <u16>(packet.data - packet.slot);
  packet.iface = iface.index;
  sendError(packet, IcmpType.ParameterProblem, 0, ipv4FaultAt() << 24);
}

function countFault(fault: Ipv4Fault): void {
  switch (fault) {
    case Ipv4Fault.Version:
      ipStats.badVersion++;
      return;
    case Ipv4Fault.Checksum:
      ipStats.badChecksum++;
      return;
    case Ipv4Fault.Options:
      ipStats.badOptions++;
      return;
    case Ipv4Fault.SourceRoute:
      ipStats.sourceRouted++;
      return;
    default:
      ipStats.badLength++;
  }
}

/** A destination that others listen to as well, and that we hear this source at. */
function isGroup(iface: Interface, from: u32, to: u32, protocol: u32): bool {
  if (to == V4_BROADCAST) return true;
  if (isV4Multicast(to)) {
    // What we send to a group that we are in comes by the loopback.
    if (iface.kind == LinkKind.Loopback) return true;
    // No filter keeps out what routers ask (RFC 3376, 3.2).
    if (protocol == Protocol.IGMP) return isMember(iface, 0, v4Lo(to));
    source.setV4(from);
    return isHeard(iface, 0, v4Lo(to), source);
  }
  return iface.v4Broadcast != 0 && to == iface.v4Broadcast;
}

/**
 * Sources that no datagram from a link may have (RFC 1122, 3.2.1.3; RFC 1812, 5.3.7): this host
 * (0/8), groups, broadcast and class E, loopback, and our own addresses (the "land" attack).
 */
@inline function badSource(iface: Interface, from: u32): bool {
  if (from >= 0xe000_0000 || from >>> 24 == 0) return true;
  if (iface.kind == LinkKind.Loopback) return false;
  if (from == iface.v4Address || isV4Loopback(from)) return true;
  if (iface.v4Broadcast != 0 && from == iface.v4Broadcast) return true;
  return v4AddressCount() > 1 && isAssignedAnywhere(from);
}

function isAssignedAnywhere(address: u32): bool {
  const record = findAddress(0, v4Lo(address));
  return record !== null && record.state == AddressState.Assigned;
}

/**
 * Whether a unicast destination is ours. An address is an interface's and not the machine's (the
 * strong model, RFC 1122, 3.3.4.2): what comes by another link was not routed to us.
 */
function isOurs(iface: Interface, to: u32, protocol: u32): bool {
  if (isV4Loopback(to)) return iface.kind == LinkKind.Loopback;
  const record = findAddress(0, v4Lo(to));
  if (record !== null && record.state == AddressState.Assigned) {
    // To a router all its addresses are it (RFC 1812, 5.2.3).
    return record.iface == iface || iface.kind == LinkKind.Loopback || config.forwarding;
  }
  return iface.acceptAny && protocol == Protocol.UDP && !isV4Multicast(to);
}
