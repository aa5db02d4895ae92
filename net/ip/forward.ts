import { Errno } from "../../kernel/errno";
import { POLICY } from "../../kernel/features";
import { Packet, PacketFlag } from "../../kernel/packet";
import { sendError } from "../icmp/error";
import { sendErrorV6 } from "../icmp/errorv6";
import { redirectSend } from "../icmp/redirect";
import { Interface } from "../interface";
import { redirectSendV6 } from "../ndp/redirect";
import { ruleFields } from "../route/rules";
import { IpAddress, isV4LinkLocal, isV4Loopback, isV6LinkLocal, v4Lo } from "../wire/address";
import { IcmpType, TimeExceeded, Unreachable } from "../wire/icmpv4";
import { Icmpv6Type, TimeExceeded6, Unreachable6 } from "../wire/icmpv6";
import { Ipv4Fragment, Ipv4Header, ipv4Hop, ipv4OptionsCopied, ipv4Part } from "../wire/ipv4";
import { IPV6_HEADER, Ipv6Header, ipv6Hop } from "../wire/ipv6";
import { fragmentOf, fragmentPrepare, fragmentUnit, fragmentsFit } from "./fragment";
import { ipSendBuilt, sendFramed } from "./output";
import { ipv6SendBuilt } from "./output6";
import { Route, RouteKind, routeError, routeOn, routeReady, routeReadyOn } from "./route";
import { ipStats, ipv6Stats } from "./stats";

/**
 * A router's part: what is not for this machine goes on to where it belongs (RFC 1812, 5; RFC 8200, 3). A packet
 * leaves from the slot that it came in: one header field changes. The way to its destination is found like that
 * of our own packets (route.ts), so a second packet to it costs one comparison.
 */

/** What goes on or not is said of a whole link's addresses, never of one that several hear. */
const LINK_GROUP: u32 = PacketFlag.LinkBroadcast | PacketFlag.LinkMulticast;

/**
 * Sends a datagram on whose header is sound and whose destination is one host that we are not. `packet.data` is
 * its header; owns the packet.
 */
export function ipv4Forward(iface: Interface, packet: Packet): void {
  const header = changetype<Ipv4Header>(packet.data);
  const to = header.destination;
  if (packet.flags & LINK_GROUP || !mayPass(header.source) || !mayPass(to)) {
    ipStats.notForUs++;
    return packet.release();
  }
  packet.networkOffset = <u16>(packet.data - packet.slot);
  packet.iface = iface.index;
  // Link padding is not part of the datagram.
  packet.length = header.totalLength;
  if (header.ttl <= 1) {
    ipStats.expired++;
    sendError(packet, IcmpType.TimeExceeded, TimeExceeded.Transit, 0);
    return packet.release();
  }
  destination.setV4(to);
  source.setV4(header.source);
  let route = routeOn(iface, source, 0, v4Lo(to));
  // A subnet's broadcast is its own business (RFC 2644).
  if (route === null || route.kind != RouteKind.Unicast) {
    ipStats.noRoute++;
    const code =
      route !== null ? Unreachable.Net : refusalOf(Unreachable.Net, Unreachable.Prohibited);
    if (code >= 0) sendError(packet, IcmpType.DestinationUnreachable, code, 0);
    return packet.release();
  }
  if (packet.length > route.iface.mtu) return tooBig(route, packet, header);
  if (route.iface == iface) {
    redirectSend(packet, route);
    // What was sent may have taken the route's place.
    route = routeOn(iface, source, 0, v4Lo(to))!;
  }
  ipv4Hop(header);
  ipStats.forwarded++;
  cleared(packet);
  ipSendBuilt(route, packet, destination);
}

/**
 * The same for most: a whole datagram without options, which no group heard on the link, to where others have gone
 * by another link. False, and nothing is done, if it is none of these: `ipv4Forward` is to look at it. Who has a
 * route that is ready is one host elsewhere, so neither our addresses nor groups need be gone through.
 */
export function ipv4ForwardReady(iface: Interface, packet: Packet, header: Ipv4Header): bool {
  const to = header.destination;
  let route: Route | null;
  if (POLICY && ruleFields) {
    source.setV4(header.source);
    route = routeReadyOn(iface, source, 0, v4Lo(to));
  } else route = routeReady(0, v4Lo(to));
  if (route === null || route.iface == iface || iface.acceptAny) return false;
  const length = header.totalLength;
  if (length > route.iface.mtu || header.ttl <= 1) return false;
  if (!mayPass(header.source) || isV4LinkLocal(to)) return false;
  packet.length = length;
  ipv4Hop(header);
  ipStats.forwarded++;
  ipStats.sent++;
  packet.flags = 0;
  sendFramed(route, route.neighbour!, packet);
  return true;
}

/** The same of IPv6: `from` is no group and none of ours. */
export function ipv6ForwardReady(
  iface: Interface,
  packet: Packet,
  from: IpAddress,
  to: IpAddress,
): bool {
  const route =
    POLICY && ruleFields ? routeReadyOn(iface, from, to.hi, to.lo) : routeReady(to.hi, to.lo);
  if (route === null || route.iface == iface || packet.flags & LINK_GROUP) return false;
  const header = changetype<Ipv6Header>(packet.data);
  const length = IPV6_HEADER + header.payloadLength;
  if (length > route.iface.v6Mtu || header.hopLimit <= 1) return false;
  if (from.hi >> 56 == 0 || isV6LinkLocal(from.hi) || isV6LinkLocal(to.hi)) return false;
  packet.length = length;
  ipv6Hop(header);
  ipv6Stats.forwarded++;
  ipv6Stats.sent++;
  packet.flags = 0;
  sendFramed(route, route.neighbour!, packet);
  return true;
}

const destination = changetype<IpAddress>(memory.data(16, 8));
const source = changetype<IpAddress>(memory.data(16, 8));

/** The code that tells a sender why there is no route (RFC 1812, 5.2.7.1; RFC 4443, 3.1); -1: he is not to be told. */
@inline function refusalOf(none: u32, prohibited: u32): i32 {
  switch (routeError()) {
    case Errno.EINVAL:
      return -1;
    case Errno.EACCES:
      return prohibited;
    default:
      return none;
  }
}

/** Not this host or its loopback, no group, and nobody who is known on one link only (RFC 1812, 5.3.7; RFC 3927, 7). */
@inline function mayPass(address: u32): bool {
  const first = address >>> 24;
  return first != 0 && first < 224 && !isV4Loopback(address) && !isV4LinkLocal(address);
}

/** What the device found out when it came in says nothing to the one that it leaves by. */
@inline function cleared(packet: Packet): void {
  packet.flags = 0;
  packet.checksumStart = 0;
}

/** Sends in fragments what the next link does not carry whole, or tells of it if that must not be. */
function tooBig(route: Route, packet: Packet, header: Ipv4Header): void {
  const mtu = route.iface.mtu;
  if (header.fragment & Ipv4Fragment.DontFragment) {
    ipStats.tooBig++;
    sendError(packet, IcmpType.DestinationUnreachable, Unreachable.TooBig, mtu);
    return packet.release();
  }
  const headerLength = header.headerLength;
  const total = packet.length - headerLength;
  const unit = fragmentUnit(mtu, headerLength);
  if (fragmentsFit(route, (total + unit - 1) / unit) < 0) {
    ipStats.tooBig++;
    return packet.release();
  }
  ipv4Hop(header);
  cleared(packet);
  packet.strip(headerLength);
  fragmentPrepare(packet);
  // It may be a fragment itself (RFC 791, 3.2, "An Example Fragmentation Procedure").
  const first = header.fragment & Ipv4Fragment.Offset;
  const last = header.fragment & Ipv4Fragment.MoreFragments;
  for (let offset: u32 = 0; offset < total; offset += unit) {
    const length = min<u32>(unit, total - offset);
    const fragment = fragmentOf(packet, offset, length);
    const size = offset ? ipv4OptionsCopied(header) : headerLength;
    const more: u32 = offset + length < total ? Ipv4Fragment.MoreFragments : last;
    ipv4Part(fragment.prepend(size), header, size, length, more | (first + (offset >>> 3)));
    ipSendBuilt(route, fragment, destination);
  }
  packet.release();
  ipStats.forwarded++;
  ipStats.fragmented++;
}

/** The same of IPv6; `to` is its destination as our tables have it. */
export function ipv6Forward(
  iface: Interface,
  packet: Packet,
  from: IpAddress,
  to: IpAddress,
): void {
  const header = changetype<Ipv6Header>(packet.data);
  // RFC 4291, 2.5.2, 2.5.3 and 2.5.6.
  const stays = from.hi >> 56 == 0 || to.hi >> 56 == 0 || isV6LinkLocal(to.hi);
  if (packet.flags & LINK_GROUP || stays) {
    ipv6Stats.notForUs++;
    return packet.release();
  }
  packet.networkOffset = <u16>(packet.data - packet.slot);
  packet.iface = iface.index;
  packet.length = IPV6_HEADER + header.payloadLength;
  const route = routeOn(iface, from, to.hi, to.lo);
  if (header.hopLimit <= 1) {
    ipv6Stats.expired++;
    sendErrorV6(packet, Icmpv6Type.TimeExceeded, TimeExceeded6.Transit, 0);
  } else if (route === null || route.kind != RouteKind.UnicastV6) {
    ipv6Stats.noRoute++;
    const none = Unreachable6.NoRoute;
    const code = route !== null ? none : refusalOf(none, Unreachable6.Prohibited);
    if (code >= 0) sendErrorV6(packet, Icmpv6Type.DestinationUnreachable, code, 0);
  } else if (isV6LinkLocal(from.hi)) {
    ipv6Stats.notForUs++;
    sendErrorV6(packet, Icmpv6Type.DestinationUnreachable, Unreachable6.BeyondScope, 0);
  } else if (packet.length > route.iface.v6Mtu) {
    ipv6Stats.tooBig++;
    sendErrorV6(packet, Icmpv6Type.PacketTooBig, 0, route.iface.v6Mtu);
  } else {
    if (route.iface == iface) redirectSendV6(packet, route, from, to);
    ipv6Hop(header);
    ipv6Stats.forwarded++;
    cleared(packet);
    ipv6SendBuilt(route, packet);
    return;
  }
  packet.release();
}
