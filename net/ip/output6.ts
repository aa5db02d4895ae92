import { Feature } from "../../drivers/device";
import { Packet, PacketFlag } from "../../kernel/packet";
import { Errno } from "../../kernel/errno";
import { Interface, LinkKind } from "../interface";
import { ethernetSend } from "../link/ethernet";
import { linkQueue } from "../link/output";
import { neighbourFor, neighbourSend } from "../link/neighbour";
import { IpAddress, isV6Multicast } from "../wire/address";
import { ETHERNET_HEADER, EtherType, multicastMacV6 } from "../wire/ethernet";
import {
  Extension,
  FRAGMENT_HEADER,
  IPV6_HEADER,
  IPV6_PAYLOAD_MAX,
  fragmentBuild,
  ipv6Build,
} from "../wire/ipv6";
import {
  fragmentOf,
  fragmentPrepare,
  fragmentUnit,
  fragmentsFit,
  nextIdentification,
} from "./fragment";
import { DEFAULT_TTL, sendFramed, sendUnicast } from "./output";
import { pathMtu } from "./pathmtu";
import { Route, RouteKind } from "./route";
import { ipv6Stats } from "./stats";

/** IPv6 on its way out: `ipSend` for its routes. */

/** `ipSendBy` for a route of a kind of IPv6. */
export function ipv6SendBy(
  route: Route,
  packet: Packet,
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
  hopLimit: u32,
): i32 {
  const iface = route.iface;
  if (hopLimit == DEFAULT_TTL) hopLimit = iface.hopLimit;
  const length = packet.totalLength;
  if (packet.flags & PacketFlag.Fragmentable) {
    const mtu = pathMtu(route, destination);
    if (length + IPV6_HEADER > mtu) {
      return sendFragments(route, packet, protocol, source, destination, hopLimit, mtu);
    }
  }
  if (!fits(packet, length, iface)) return tooBig(packet);
  put(packet, length, protocol, source, destination, hopLimit);
  return ipv6Out(route, packet, destination);
}

/** Whether the link carries a packet of `length` bytes and its header, or the segments that its device makes of it. */
@inline function fits(packet: Packet, length: u32, iface: Interface): bool {
  if (!packet.segmentSize) return length + IPV6_HEADER <= iface.v6Mtu;
  return (
    (iface.device.features & Feature.Segmentation6) != 0 &&
    packet.length + IPV6_HEADER + packet.segmentSize <= iface.v6Mtu &&
    length <= IPV6_PAYLOAD_MAX
  );
}

/** The last of IPv6: a packet with its header, `checksumStart` counting from behind it, goes to its first hop. */
@inline function ipv6Out(route: Route, packet: Packet, destination: IpAddress): i32 {
  ipv6Stats.sent++;
  const neighbour = route.neighbour;
  if (neighbour !== null && neighbour.isReady) {
    packet.checksumStart += <u16>(IPV6_HEADER + ETHERNET_HEADER);
    return sendFramed(route, neighbour, packet);
  }
  return resolve(route, packet, destination);
}

/** Sends a packet by a route whose neighbour is yet to be found, does not answer, or is no single one. */
function resolve(route: Route, packet: Packet, destination: IpAddress): i32 {
  packet.checksumStart += <u16>IPV6_HEADER;
  if (route.kind == RouteKind.UnicastV6) return sendUnicast(route, packet, EtherType.IPv6);
  if (route.kind == RouteKind.LocalV6) return linkQueue(route.iface, packet);
  return ethernetSend(route.iface, packet, multicastMacV6(destination.lo), EtherType.IPv6);
}

/** Sends a packet in fragments to a path that carries `mtu` bytes (RFC 8200, 4.5). */
function sendFragments(
  route: Route,
  packet: Packet,
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
  hopLimit: u32,
  mtu: u32,
): i32 {
  const total = packet.totalLength;
  const unit = fragmentUnit(mtu, IPV6_HEADER + FRAGMENT_HEADER);
  if (total > IPV6_PAYLOAD_MAX) return tooBig(packet);
  const room = fragmentsFit(route, (total + unit - 1) / unit);
  if (room < 0) {
    ipv6Stats.tooBig++;
    packet.release();
    return room;
  }
  fragmentPrepare(packet);
  const id = nextIdentification(source, destination, protocol);
  let result: i32 = 0;
  for (let offset: u32 = 0; offset < total; offset += unit) {
    const length = min<u32>(unit, total - offset);
    const fragment = fragmentOf(packet, offset, length);
    const more = offset + length < total;
    fragmentBuild(fragment.prepend(FRAGMENT_HEADER), protocol, offset, more, id);
    put(fragment, FRAGMENT_HEADER + length, Extension.Fragment, source, destination, hopLimit);
    const sent = ipv6Out(route, fragment, destination);
    if (sent < 0) result = sent;
  }
  packet.release();
  ipv6Stats.fragmented++;
  return result;
}

/** Sends a packet that begins with its IPv6 header to one host, by a route just looked up. Owns it. */
export function ipv6SendBuilt(route: Route, packet: Packet): i32 {
  ipv6Stats.sent++;
  const neighbour = route.neighbour;
  if (neighbour === null || !neighbour.isReady) {
    return sendUnicast(route, packet, EtherType.IPv6);
  }
  packet.checksumStart += <u16>ETHERNET_HEADER;
  return sendFramed(route, neighbour, packet);
}

function tooBig(packet: Packet): i32 {
  ipv6Stats.tooBig++;
  packet.release();
  return -Errno.EMSGSIZE;
}

/** Writes the header before a packet of `payload` bytes. */
@inline function put(
  packet: Packet,
  payload: u32,
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
  hopLimit: u32,
): void {
  const at = packet.prepend(IPV6_HEADER);
  ipv6Build(at, payload, packet.trafficClass, hopLimit, protocol, source, destination);
}

/**
 * Sends a packet on one link, whatever the routes say: for neighbour discovery and groups. `protocol`
 * may be an extension header's. Otherwise as `ipSend`.
 */
export function ipv6SendOn(
  iface: Interface,
  packet: Packet,
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
  hopLimit: u32,
): i32 {
  put(packet, packet.totalLength, protocol, source, destination, hopLimit);
  packet.checksumStart += <u16>IPV6_HEADER;
  ipv6Stats.sent++;
  if (isV6Multicast(destination.hi)) {
    return ethernetSend(iface, packet, multicastMacV6(destination.lo), EtherType.IPv6);
  }
  if (iface.kind == LinkKind.PointToPoint) return linkQueue(iface, packet);
  const neighbour = neighbourFor(iface, destination.hi, destination.lo);
  if (neighbour !== null) return neighbourSend(neighbour, packet);
  ipv6Stats.noNeighbour++;
  packet.release();
  return -Errno.ENOBUFS;
}
