import { Packet, PacketFlag } from "../../kernel/packet";
import { sendError } from "../icmp/error";
import { AddressState, Interface, LinkKind, findAddress, v4AddressCount } from "../interface";
import { IpAddress, V4_BROADCAST, isV4Loopback, isV4Multicast, v4Lo } from "../wire/address";
import { IcmpType, Unreachable } from "../wire/icmpv4";
import { sum20 } from "../wire/checksum";
import { IPV4_HEADER, Ipv4Fault, Ipv4Header, Protocol, ipv4Check, ipv4Plain } from "../wire/ipv4";
import { deliver } from "./protocol";
import { ipStats } from "./stats";

/** 224.0.0.1: every host that does multicast is in it (RFC 1112, 4). */
const ALL_HOSTS: u32 = 0xe000_0001;

const source = changetype<IpAddress>(memory.data(16, 8));
const destination = changetype<IpAddress>(memory.data(16, 8));

/** What says nothing good or bad of a datagram that the link brought to us alone. */
const LINK_GROUP: u32 = PacketFlag.LinkBroadcast | PacketFlag.LinkMulticast;

/** Takes an IPv4 datagram from the link: `packet.data` is its header. Owns the packet. */
export function ipv4Input(iface: Interface, packet: Packet): void {
  ipStats.received++;
  // Nearly all: whole, without options, for the interface's address.
  const header = changetype<Ipv4Header>(packet.data);
  const flags: u32 = packet.flags;
  if (packet.length >= IPV4_HEADER && ipv4Plain(packet.data) && !(flags & LINK_GROUP)) {
    const length = header.totalLength;
    const from = header.source;
    const to = header.destination;
    if (
      to == iface.v4Address &&
      length >= IPV4_HEADER &&
      length <= packet.length &&
      (flags & PacketFlag.NetworkChecksumGood || sum20(packet.data) == 0xffff) &&
      !badSource(iface, from)
    ) {
      packet.length = length;
      handUp(iface, packet, IPV4_HEADER, header.protocol, from, to);
      return;
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
    return packet.release();
  }
  const header = changetype<Ipv4Header>(packet.data);
  const from = header.source;
  const to = header.destination;
  const toGroup = to != iface.v4Address && isGroup(iface, to);
  if (badSource(iface, from)) {
    ipStats.badSource++;
    return packet.release();
  }
  const protocol = header.protocol;
  if (toGroup) {
    // Connections have two ends: no transport but UDP takes a datagram for many (RFC 1122, 4.2.3.10).
    if (protocol != Protocol.UDP && protocol != Protocol.ICMP) {
      ipStats.badBroadcast++;
      return packet.release();
    }
  } else if (to != iface.v4Address && !isOurs(iface, to, protocol)) {
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
  if (header.isFragment) {
    ipStats.fragments++;
    return packet.release();
  }
  handUp(iface, packet, header.headerLength, protocol, from, to);
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
  if (deliver(protocol, packet, source, destination)) {
    ipStats.delivered++;
    return;
  }
  ipStats.unknownProtocol++;
  sendError(packet, IcmpType.DestinationUnreachable, Unreachable.Protocol, 0);
  packet.release();
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

/** A destination that others listen to as well. */
function isGroup(iface: Interface, to: u32): bool {
  if (to == V4_BROADCAST || to == ALL_HOSTS) return true;
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
    return record.iface == iface || iface.kind == LinkKind.Loopback;
  }
  return iface.acceptAny && protocol == Protocol.UDP && !isV4Multicast(to);
}
