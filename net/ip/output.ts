import { Packet, PacketFlag } from "../../kernel/packet";
import { Feature } from "../../drivers/device";
import { Errno } from "../../kernel/errno";
import { HOP_LIMIT, Interface, LinkKind } from "../interface";
import { Neighbour, neighbourFor, neighbourSend } from "../link/neighbour";
import { ethernetSend } from "../link/ethernet";
import { linkQueue } from "../link/output";
import { IpAddress } from "../wire/address";
import {
  EtherType,
  ETHERNET_HEADER,
  ethernetPut,
  ethernetWord0,
  ethernetWord6,
  MAC_BROADCAST,
  multicastMacV4,
} from "../wire/ethernet";
import {
  IPV4_HEADER,
  IPV4_LENGTH_MAX,
  Ipv4Fragment,
  ipv4Build,
  ipv4SetFragment,
} from "../wire/ipv4";
import {
  fragmentOf,
  fragmentPrepare,
  fragmentUnit,
  fragmentsFit,
  nextIdentification,
} from "./fragment";
import { ipv6SendBy } from "./output6";
import { pathMtu } from "./pathmtu";
import { Route, RouteKind, routeError, routeFrom } from "./route";
import { ipStats } from "./stats";

/** For what says nothing else. */
export const DEFAULT_TTL: u32 = HOP_LIMIT;

/**
 * Sends a transport's packet. `packet.data` and `length` are the transport header and payload, with
 * room for IP and Ethernet headers before them; `checksumStart` counts from `data`. The addresses
 * are those that the transport summed in its pseudo-header. `packet.trafficClass` goes into the
 * header, and so does `timeToLive`, up to 255; `PacketFlag.Fragmentable` lets it be sent in fragments if it is
 * one run of bytes. Owns the packet, whatever happens.
 *
 * `mark` is the socket's (SO_MARK), 0 for none.
 *
 * Returns 0 when it is on its way or waits for its neighbour to answer, else -ENETUNREACH (no
 * route; or what a rule says, `routeError`), -EHOSTUNREACH (the next hop did not answer lately), -ENETDOWN (no link), -EMSGSIZE
 * (larger than the link's MTU, or to be segmented by a device that cannot) or -ENOBUFS.
 */
export function ipSend(
  packet: Packet,
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
  timeToLive: u32,
  mark: u32,
): i32 {
  const route = routeFrom(source, mark, destination.hi, destination.lo);
  if (route === null) {
    ipStats.noRoute++;
    packet.release();
    return -routeError();
  }
  return ipSendBy(route, packet, protocol, source, destination, timeToLive);
}

/** `ipSend` by a route to `destination` that has just been looked up. */
@inline export function ipSendBy(
  route: Route,
  packet: Packet,
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
  timeToLive: u32,
): i32 {
  if (route.kind >= <u32>RouteKind.UnicastV6) {
    return ipv6SendBy(route, packet, protocol, source, destination, timeToLive);
  }
  if (packet.flags & (PacketFlag.Fragmentable | PacketFlag.RoutersFragment)) {
    return sendDatagram(route, packet, protocol, source, destination, timeToLive);
  }
  const length = packet.totalLength + IPV4_HEADER;
  if (!fits(packet, length, route.iface)) {
    ipStats.tooBig++;
    packet.release();
    return -Errno.EMSGSIZE;
  }
  ipv4Build(
    packet.prepend(IPV4_HEADER),
    length,
    packet.trafficClass,
    timeToLive,
    protocol,
    source.v4,
    destination.v4,
  );
  return ipv4Out(route, packet, destination);
}

/** `ipSendBy` for what may be fragmented: to the size that the path carries, if need be. */
function sendDatagram(
  route: Route,
  packet: Packet,
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
  timeToLive: u32,
): i32 {
  const routers = (packet.flags & PacketFlag.RoutersFragment) != 0;
  const mtu = routers ? route.iface.mtu : pathMtu(route, destination);
  const total = packet.totalLength;
  const tos = packet.trafficClass;
  const from = source.v4;
  const to = destination.v4;
  if (total + IPV4_HEADER <= mtu) {
    const at = packet.prepend(IPV4_HEADER);
    ipv4Build(at, total + IPV4_HEADER, tos, timeToLive, protocol, from, to);
    if (routers) ipv4SetFragment(at, nextIdentification(source, destination, protocol), 0);
    return ipv4Out(route, packet, destination);
  }
  const unit = fragmentUnit(mtu, IPV4_HEADER);
  const room = fragmentsFit(route, (total + unit - 1) / unit);
  if (room < 0 || total + IPV4_HEADER > IPV4_LENGTH_MAX) {
    ipStats.tooBig++;
    packet.release();
    return room < 0 ? room : -Errno.EMSGSIZE;
  }
  fragmentPrepare(packet);
  const id = nextIdentification(source, destination, protocol);
  let result: i32 = 0;
  for (let offset: u32 = 0; offset < total; offset += unit) {
    const length = min<u32>(unit, total - offset);
    const fragment = fragmentOf(packet, offset, length);
    const at = fragment.prepend(IPV4_HEADER);
    ipv4Build(at, length + IPV4_HEADER, tos, timeToLive, protocol, from, to);
    const more: u32 = offset + length < total ? Ipv4Fragment.MoreFragments : 0;
    ipv4SetFragment(at, id, more | (offset >>> 3));
    const sent = ipv4Out(route, fragment, destination);
    if (sent < 0) result = sent;
  }
  packet.release();
  ipStats.fragmented++;
  return result;
}

/**
 * Sends a packet that begins with an IPv4 header, whole and summed, as `ipSendBy`. For programs that write
 * their own: it may say anything but lie about the length.
 */
export function ipSendBuilt(route: Route, packet: Packet, destination: IpAddress): i32 {
  if (packet.length > route.iface.mtu) {
    ipStats.tooBig++;
    packet.release();
    return -Errno.EMSGSIZE;
  }
  return ipv4Out(route, packet, destination);
}

/** The last of IPv4: a datagram with its header goes to its first hop. */
@inline function ipv4Out(route: Route, packet: Packet, destination: IpAddress): i32 {
  ipStats.sent++;
  const neighbour = route.neighbour;
  if (neighbour !== null && neighbour.isReady) {
    packet.checksumStart += <u16>(IPV4_HEADER + ETHERNET_HEADER);
    return sendFramed(route, neighbour, packet);
  }
  return resolve(route, packet, destination);
}

/** Sends a packet to a neighbour for which the frame's header is known, as for most. */
@inline export function sendFramed(route: Route, neighbour: Neighbour, packet: Packet): i32 {
  ethernetPut(packet.prepend(ETHERNET_HEADER), route.frame0, route.frame6);
  neighbour.used = true;
  return linkQueue(route.iface, packet);
}

/** Sends a datagram by a route whose neighbour is yet to be found, does not answer, or is no single one. */
function resolve(route: Route, packet: Packet, destination: IpAddress): i32 {
  packet.checksumStart += <u16>IPV4_HEADER;
  if (route.kind == RouteKind.Unicast) return sendUnicast(route, packet, EtherType.IPv4);
  if (route.kind == RouteKind.Local) return linkQueue(route.iface, packet);
  const mac = route.kind == RouteKind.Broadcast ? MAC_BROADCAST : multicastMacV4(destination.v4);
  return ethernetSend(route.iface, packet, mac, EtherType.IPv4);
}

/** Whether the link carries a datagram of `length` bytes, or the segments that its device makes of it. */
@inline function fits(packet: Packet, length: u32, iface: Interface): bool {
  if (!packet.segmentSize) return length <= iface.mtu;
  return (
    (iface.device.features & Feature.Segmentation) != 0 &&
    packet.length + IPV4_HEADER + packet.segmentSize <= iface.mtu &&
    length <= IPV4_LENGTH_MAX
  );
}

/** Sends a whole IP packet to the route's next hop. Owns it; returns 0 or -Errno. */
export function sendUnicast(route: Route, packet: Packet, type: EtherType): i32 {
  if (route.iface.kind == LinkKind.PointToPoint) return linkQueue(route.iface, packet);
  let neighbour = route.neighbour;
  if (neighbour === null) neighbour = neighbourFor(route.iface, route.nextHi, route.nextLo);
  if (neighbour === null) {
    ipStats.noNeighbour++;
    packet.release();
    return -Errno.ENOBUFS;
  }
  if (route.routed) neighbour.router = true;
  if (neighbour.isReady) {
    // Whatever moves the neighbour outdates the route.
    route.neighbour = neighbour;
    route.frame0 = ethernetWord0(neighbour.mac, route.iface.device.mac);
    route.frame6 = ethernetWord6(route.iface.device.mac, type);
  }
  return neighbourSend(neighbour, packet);
}

/**
 * Broadcasts a packet on `iface`, which need not have an address: for DHCP (RFC 2131, 4.1).
 * Otherwise as `ipSend`.
 */
export function ipBroadcast(
  iface: Interface,
  packet: Packet,
  protocol: u32,
  source: u32,
  destination: u32,
): i32 {
  return ipSendTo(iface, packet, protocol, source, destination, MAC_BROADCAST);
}

/** The same to one station, which answers no ARP yet: a DHCP server's answer (RFC 2131, 4.1). */
export function ipSendTo(
  iface: Interface,
  packet: Packet,
  protocol: u32,
  source: u32,
  destination: u32,
  mac: u64,
): i32 {
  const length = packet.totalLength + IPV4_HEADER;
  if (length > iface.mtu) {
    ipStats.tooBig++;
    packet.release();
    return -Errno.EMSGSIZE;
  }
  packet.checksumStart += <u16>IPV4_HEADER;
  ipv4Build(packet.prepend(IPV4_HEADER), length, 0, DEFAULT_TTL, protocol, source, destination);
  ipStats.sent++;
  return ethernetSend(iface, packet, mac, EtherType.IPv4);
}
