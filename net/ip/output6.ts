import { Packet } from "../../kernel/packet";
import { Errno } from "../../kernel/errno";
import { Interface } from "../interface";
import { ethernetSend } from "../link/ethernet";
import { linkQueue } from "../link/output";
import { NeighbourState, neighbourFor, neighbourSend } from "../link/neighbour";
import { IpAddress, isV6Multicast } from "../wire/address";
import { ETHERNET_HEADER, EtherType, multicastMacV6 } from "../wire/ethernet";
import { IPV6_HEADER, ipv6Build } from "../wire/ipv6";
import { DEFAULT_TTL, sendFramed, sendUnicast } from "./output";
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
  if (packet.totalLength + IPV6_HEADER > iface.v6Mtu || packet.segmentSize) return tooBig(packet);
  if (hopLimit == DEFAULT_TTL) hopLimit = iface.hopLimit;
  put(packet, protocol, source, destination, hopLimit);
  if (route.kind == RouteKind.UnicastV6) {
    const neighbour = route.neighbour;
    if (neighbour === null || neighbour.state != NeighbourState.Reachable) {
      return sendUnicast(route, packet, EtherType.IPv6);
    }
    packet.checksumStart += <u16>ETHERNET_HEADER;
    return sendFramed(route, neighbour, packet);
  }
  if (route.kind == RouteKind.LocalV6) return linkQueue(iface, packet);
  return ethernetSend(iface, packet, multicastMacV6(destination.lo), EtherType.IPv6);
}

function tooBig(packet: Packet): i32 {
  ipv6Stats.tooBig++;
  packet.release();
  return -Errno.EMSGSIZE;
}


@inline function put(
  packet: Packet,
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
  hopLimit: u32,
): void {
  const payload = packet.totalLength;
  packet.checksumStart += <u16>IPV6_HEADER;
  const at = packet.prepend(IPV6_HEADER);
  ipv6Build(at, payload, packet.trafficClass, hopLimit, protocol, source, destination);
  ipv6Stats.sent++;
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
  put(packet, protocol, source, destination, hopLimit);
  if (isV6Multicast(destination.hi)) {
    return ethernetSend(iface, packet, multicastMacV6(destination.lo), EtherType.IPv6);
  }
  const neighbour = neighbourFor(iface, destination.hi, destination.lo);
  if (neighbour !== null) return neighbourSend(neighbour, packet);
  ipv6Stats.noNeighbour++;
  packet.release();
  return -Errno.ENOBUFS;
}
