import { config } from "../../kernel/config";
import { Packet, PacketFlag, PoolId } from "../../kernel/packet";
import { icmpv6Input } from "../icmp/icmpv6";
import { sendErrorV6 } from "../icmp/errorv6";
import {
  AddressState,
  Interface,
  LinkKind,
  findAddress,
  interfaceCount,
  interfaceGeneration,
  isAssigned,
  mayBeOwn,
} from "../interface";
import { rawInput, rawListens } from "../raw/raw";
import {
  IpAddress,
  Scope,
  V6_LINK_LOCAL,
  isV6LinkLocal,
  isV6Loopback,
  isV6Multicast,
  v6Load,
  v6Scope,
} from "../wire/address";
import { ICMPV6_HEADER, Icmpv6Header, Icmpv6Type, Problem6 } from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import { Extension, IPV6_HEADER, Ipv6Fault, Ipv6Header, ipv6Check } from "../wire/ipv6";
import { extensionsAnnouncedAt, extensionsProtocol, extensionsWalk } from "./extensions";
import { ipv6Forward, ipv6ForwardReady } from "./forward";
import { isHeard, isMember } from "./groups";
import { deliver } from "./protocol";
import { ipv6Stats } from "./stats";

const source = changetype<IpAddress>(memory.data(16, 8));
const destination = changetype<IpAddress>(memory.data(16, 8));

/** What several heard on the link. */
const LINK_GROUP: u32 = PacketFlag.LinkBroadcast | PacketFlag.LinkMulticast;

/** Takes an IPv6 packet from the link: `packet.data` is its header. Owns the packet. */
export function ipv6Input(iface: Interface, packet: Packet): void {
  ipv6Stats.received++;
  if (isLikeLatest(iface, packet)) return handUp(iface, packet);
  const fault = ipv6Check(packet.data, packet.length);
  if (fault != Ipv6Fault.None) {
    if (fault == Ipv6Fault.Version) ipv6Stats.badVersion++;
    else ipv6Stats.badLength++;
    return packet.release();
  }
  const header = changetype<Ipv6Header>(packet.data);
  v6Load(source, header.sourceAt, iface.zone);
  v6Load(destination, header.destinationAt, iface.zone);
  if (iface.kind == LinkKind.Loopback) {
    rezone(source);
    rezone(destination);
  }
  if (isBadSource(iface, header)) {
    ipv6Stats.badSource++;
    return packet.release();
  }
  if (config.forwarding && ipv6ForwardReady(iface, packet, source, destination)) return;
  const toGroup = isV6Multicast(destination.hi);
  if (toGroup ? !isOurGroup(iface, header.nextHeader) : !isLatest(iface) && !isOurs(iface)) {
    const passing = config.forwarding && !toGroup && iface.kind != LinkKind.Loopback;
    if (passing) return ipv6Forward(iface, packet, source, destination);
    ipv6Stats.notForUs++;
    return packet.release();
  }
  // Link padding is not part of the packet.
  packet.length = IPV6_HEADER + header.payloadLength;
  packet.networkOffset = <u16>(packet.data - packet.slot);
  packet.iface = iface.index;
  const next = header.nextHeader;
  packet.strip(IPV6_HEADER);
  if (next == Protocol.TCP || next == Protocol.UDP || next == Protocol.ICMPv6) {
    if (!toGroup && next != Protocol.ICMPv6) keepLatest(iface, header);
    return up(iface, packet, next, toGroup);
  }
  // The headers in between may end the packet's way, or hold it till the rest has come.
  const whole = extensionsWalk(packet, next, toGroup);
  if (whole === null) return;
  const protocol = extensionsProtocol();
  // No segment is larger than what we say that we take; a slot of the largest is not TCP's.
  if (protocol == Protocol.TCP && whole.pool > <u8>PoolId.Standard) {
    ipv6Stats.badFragments++;
    return whole.release();
  }
  up(iface, whole, protocol, toGroup);
}

// ---- Trains ----------------------------------------------------------------------------------
// Packets come in trains, and of one with the addresses of the one before it nothing is left to be found out.

/** The addresses of the last TCP or UDP packet for one of our addresses, as on the wire and as ours. */
const latestWire: usize = memory.data(32, 8);
const latestSource = changetype<IpAddress>(memory.data(16, 8));
const latestDestination = changetype<IpAddress>(memory.data(16, 8));
/** Where it came in, and `interfaceGeneration()` for which what was found of it holds. */
let latestIface: Interface | null = null;
let latestGeneration: u32 = 0;


@inline function keepLatest(iface: Interface, header: Ipv6Header): void {
  const at = header.sourceAt;
  store<u64>(latestWire, load<u64>(at));
  store<u64>(latestWire, load<u64>(at, 8), 8);
  store<u64>(latestWire, load<u64>(at, 16), 16);
  store<u64>(latestWire, load<u64>(at, 24), 24);
  latestSource.copy(source);
  latestDestination.copy(destination);
  latestIface = iface;
  latestGeneration = interfaceGeneration();
}

/** Whether a packet is sound, TCP or UDP right behind the header, and has the addresses of the latest. */
@inline function isLikeLatest(iface: Interface, packet: Packet): bool {
  const at = packet.data;
  if (latestGeneration != interfaceGeneration() || latestIface !== iface) return false;
  if (packet.flags & LINK_GROUP || rawListens()) return false;
  if (ipv6Check(at, packet.length) != Ipv6Fault.None) return false;
  const header = changetype<Ipv6Header>(at);
  const next = header.nextHeader;
  if (next != Protocol.TCP && next != Protocol.UDP) return false;
  const addresses = header.sourceAt;
  return (
    load<u64>(addresses, 8) == load<u64>(latestWire, 8) &&
    load<u64>(addresses, 24) == load<u64>(latestWire, 24) &&
    load<u64>(addresses) == load<u64>(latestWire) &&
    load<u64>(addresses, 16) == load<u64>(latestWire, 16)
  );
}

/** Whether the destination is the latest's, so that it need not be looked for. */
@inline function isLatest(iface: Interface): bool {
  if (!destination.equals(latestDestination)) return false;
  return latestGeneration == interfaceGeneration() && latestIface === iface;
}

/** Hands a packet like the latest to its transport. */
@inline function handUp(iface: Interface, packet: Packet): void {
  const header = changetype<Ipv6Header>(packet.data);
  const offset = <u32>(packet.data - packet.slot);
  packet.data += IPV6_HEADER;
  packet.length = header.payloadLength;
  packet.networkOffset = <u16>offset;
  packet.transportOffset = <u16>(offset + IPV6_HEADER);
  packet.iface = iface.index;
  if (deliver(header.nextHeader, packet, latestSource, latestDestination)) {
    ipv6Stats.delivered++;
    return;
  }
  // TCP and UDP there always are.
  packet.release();
}

/** Hands a packet up whose `data` is the transport's header. */
function up(iface: Interface, packet: Packet, protocol: u32, toGroup: bool): void {
  packet.transportOffset = <u16>(packet.data - packet.slot);
  if (protocol == Protocol.ICMPv6) {
    ipv6Stats.delivered++;
    return icmpv6Input(iface, packet, source, destination);
  }
  const heard = rawListens() && rawInput(protocol, packet, source, destination);
  const toMany = toGroup || (packet.flags & LINK_GROUP) != 0;
  if (protocol == Protocol.TCP && toMany) {
    // Connections have two ends.
    ipv6Stats.badBroadcast++;
    return packet.release();
  }
  // RFC 4443 gives IPv6 an ICMP of its own.
  if (protocol != Protocol.ICMP && deliver(protocol, packet, source, destination)) {
    ipv6Stats.delivered++;
    return;
  }
  if (heard || protocol == Extension.None) ipv6Stats.delivered++;
  else {
    ipv6Stats.unknownProtocol++;
    // RFC 8200, 4.
    const type = Icmpv6Type.ParameterProblem;
    sendErrorV6(packet, type, Problem6.NextHeader, extensionsAnnouncedAt());
  }
  packet.release();
}

/** What we send to a link-local address of our own comes by the loopback: back into its own zone. */
function rezone(address: IpAddress): void {
  if (!isV6LinkLocal(address.hi)) return;
  for (let zone: u32 = 1; zone <= interfaceCount(); zone++) {
    if (findAddress(V6_LINK_LOCAL | zone, address.lo) !== null) address.hi = V6_LINK_LOCAL | zone;
  }
}

/**
 * Sources that no packet from a link may have: groups (RFC 4291, 2.7), ::1 and the rest of ::/8 but
 * `::` (2.5; IPv4-mapped addresses would be taken for IPv4), our own addresses, and fe80::/10
 * outside fe80::/64.
 */
function isBadSource(iface: Interface, header: Ipv6Header): bool {
  const hi = source.hi;
  if (isV6Multicast(hi)) return true;
  if (iface.kind == LinkKind.Loopback) return false;
  if (hi >> 56 == 0) return hi != 0 || source.lo != 0;
  if (isStrayLinkLocal(hi)) return true;
  return mayBeOwn(hi, source.lo) && isAssigned(hi, source.lo) && !isClaim(header);
}

/** Whether who has one of our addresses, too, says so: that is for neighbour discovery to judge. */
function isClaim(header: Ipv6Header): bool {
  if (header.nextHeader != Protocol.ICMPv6 || header.payloadLength < ICMPV6_HEADER) return false;
  const message = changetype<Icmpv6Header>(changetype<usize>(header) + IPV6_HEADER);
  return message.type == Icmpv6Type.NeighbourAdvertisement;
}

/** fe80::/10, and bits set between it and the interface's part. */
@inline function isStrayLinkLocal(hi: u64): bool {
  return hi >> 54 == V6_LINK_LOCAL >> 54 && !isV6LinkLocal(hi);
}

/**
 * A group at which the interface hears the source; a scope within the interface only by the loopback (RFC 4291, 2.7).
 * No filter keeps out what routers ask (RFC 3810, 4.2), which begins with a hop-by-hop header.
 */
function isOurGroup(iface: Interface, next: u32): bool {
  if (iface.kind == LinkKind.Loopback) return true;
  if (v6Scope(destination.hi, destination.lo) <= Scope.Interface) return false;
  if (next == Protocol.ICMPv6 || next == Extension.HopByHop) {
    return isMember(iface, destination.hi, destination.lo);
  }
  return isHeard(iface, destination.hi, destination.lo, source);
}

/**
 * Whether a unicast destination is ours, and the interface's (as net/ip/input.ts has it). One that is
 * still tentative is nobody's (RFC 4862, 5.4).
 */
function isOurs(iface: Interface): bool {
  const loop = iface.kind == LinkKind.Loopback;
  if (isV6Loopback(destination.hi, destination.lo)) return loop;
  const record = findAddress(destination.hi, destination.lo);
  if (record === null || record.state != AddressState.Assigned) return false;
  return loop || record.iface == iface || config.forwarding;
}
