import { config } from "../../kernel/config";
import { Packet, PacketFlag } from "../../kernel/packet";
import { Interface, LinkKind, interfaceAt } from "../interface";
import { Route, RouteKind, routeForget, routeFrom, routeTo } from "../ip/route";
import { routeFind } from "../route/choose";
import { redirectLearn } from "../route/redirect";
import { IpAddress, isV4Loopback, isV4Multicast } from "../wire/address";
import { ICMPV4_HEADER, IcmpType, Icmpv4Header, RedirectCode } from "../wire/icmpv4";
import { IPV4_HEADER, Ipv4Header } from "../wire/ipv4";
import { sendError } from "./error";
import { icmpStats } from "./stats";

/** Redirects of IPv4 (RFC 792; RFC 1122, 3.2.2.2; RFC 1812, 5.2.7.2), those of others and our own. */

/** What follows the quoted header at least. */
const QUOTED_TRANSPORT: u32 = 8;

const hop = changetype<IpAddress>(memory.data(16, 8));
const destination = changetype<IpAddress>(memory.data(16, 8));

/** Takes a redirect whose checksum is right, which came from `source` to `own`; the packet stays the caller's. */
export function redirectInput(packet: Packet, source: IpAddress, own: IpAddress): void {
  if (believe(packet, source, own)) icmpStats.redirects++;
  else icmpStats.refused++;
}

/**
 * RFC 1122, 3.2.2.2: from the current first hop to the destination, and to another that is on the link where it came
 * in. One about a network is about its host, too, whose prefix we need not know. It quotes a datagram of ours.
 * A router is told by routing protocols (RFC 1812, 5.2.7.2).
 */
function believe(packet: Packet, source: IpAddress, own: IpAddress): bool {
  if (!config.redirects || config.forwarding) return false;
  if (packet.flags & (PacketFlag.LinkBroadcast | PacketFlag.LinkMulticast)) return false;
  if (packet.length < ICMPV4_HEADER + IPV4_HEADER + QUOTED_TRANSPORT) return false;
  const header = changetype<Icmpv4Header>(packet.data);
  const quote = changetype<Ipv4Header>(packet.data + ICMPV4_HEADER);
  if (header.code > <u32>RedirectCode.HostService) return false;
  if (quote.version != 4 || quote.headerLength < IPV4_HEADER || quote.source != own.v4) {
    return false;
  }
  const iface = interfaceAt(packet.iface);
  hop.setV4(header.rest);
  if (hop.equals(source) || !isStation(iface, hop)) return false;
  destination.setV4(quote.destination);
  // Of a mark the quoted datagram says nothing: who is routed by one goes on by the router that he has.
  const route = routeFrom(own, 0, destination.hi, destination.lo);
  if (route === null || !route.routed || route.kind != RouteKind.Unicast) return false;
  if (route.iface != iface || !route.next.equals(source)) return false;
  if (!redirectLearn(iface, destination.hi, destination.lo, source, hop)) return false;
  routeForget(destination.hi, destination.lo);
  return true;
}

/** Whether an address can be of another station on the link. */
function isStation(iface: Interface, address: IpAddress): bool {
  const v4 = address.v4;
  if (v4 >>> 24 == 0 || v4 >>> 28 == 15 || isV4Loopback(v4) || isV4Multicast(v4)) return false;
  const route = routeTo(address.hi, address.lo);
  return route !== null && !route.routed && route.kind == RouteKind.Unicast && route.iface == iface;
}

/**
 * Tells the sender of a datagram that goes on by `route`, out of the link on which it came, by which router on that
 * link it goes, or that its destination is there: if the sender is on it, too, in the same subnet (RFC 1812,
 * 5.2.7.2). The datagram stays the caller's; look the route up again.
 */
export function redirectSend(packet: Packet, route: Route): void {
  if (!config.redirects || route.iface.kind != LinkKind.Ethernet) return;
  const header = changetype<Ipv4Header>(packet.slot + packet.networkOffset);
  destination.setV4(header.source);
  const link = routeFind(destination.hi, destination.lo, true, 0);
  if (link === null || !link.gateway.isAny || link.iface != route.iface) return;
  const next = route.next;
  if (routeFind(next.hi, next.lo, true, 0) != link) return;
  if (sendError(packet, IcmpType.Redirect, RedirectCode.Host, next.v4)) icmpStats.redirectsSent++;
}
