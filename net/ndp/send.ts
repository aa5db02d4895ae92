import { config } from "../../kernel/config";
import { HEADROOM, Packet, PoolId, Purpose, allocate } from "../../kernel/packet";
import { Interface, LinkKind } from "../interface";
import { ipv6SendOn } from "../ip/output6";
import { v6Source } from "../ip/source6";
import { ethernetSend } from "../link/ethernet";
import { findNeighbour, isKnown } from "../link/neighbour";
import { IpAddress, V6_LINK_GROUP, v6Store } from "../wire/address";
import { pseudoHeaderSum } from "../wire/checksum";
import { EtherType } from "../wire/ethernet";
import { Icmpv6Type, icmpv6Build, icmpv6Sum } from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import { IPV6_HEADER, IPV6_MTU_MIN, ipv6Build } from "../wire/ipv6";
import {
  AdvertisementFlag,
  NDP_HOP_LIMIT,
  NDP_LINK_OPTION,
  NDP_NEIGHBOUR,
  NDP_REDIRECT,
  NDP_REDIRECTED_HEADER,
  NDP_ROUTER_SOLICITATION,
  NdpOption,
  ndpPutLinkAddress,
  ndpPutRedirected,
  ndpPutTarget,
} from "../wire/ndp";
import { linkLocalOf } from "./addresses";
import { ndpStats } from "./stats";

/** What we say by neighbour discovery (RFC 4861, 4). */

const from = changetype<IpAddress>(memory.data(16, 8));
const to = changetype<IpAddress>(memory.data(16, 8));

/** Where questions about an address go: ff02::1:ff and its last 24 bits (RFC 4291, 2.7.1). */
@inline export function solicitedNode(lo: u64): u64 {
  return 0x0000_0001_ff00_0000 | (lo & 0xff_ffff);
}

/** A packet for a message; null for want of one. */
function message(pool: PoolId = PoolId.Small): Packet | null {
  const packet = allocate(pool, Purpose.Control, HEADROOM);
  if (packet === null) ndpStats.noBuffer++;
  return packet;
}

/** Sends `length` bytes of a message on their way from `from` to `to`; to one station, if `mac` names it. */
function send(iface: Interface, packet: Packet, length: u32, mac: u64): void {
  packet.length = length;
  icmpv6Sum(packet.data, length, pseudoHeaderSum(from, to, Protocol.ICMPv6, length));
  if (!mac) {
    ipv6SendOn(iface, packet, Protocol.ICMPv6, from, to, NDP_HOP_LIMIT);
    return;
  }
  const at = packet.prepend(IPV6_HEADER);
  ipv6Build(at, length, 0, NDP_HOP_LIMIT, Protocol.ICMPv6, from, to);
  ethernetSend(iface, packet, mac, EtherType.IPv6);
}

/** Writes our address on the link; how many bytes: none, where a link has no addresses (RFC 4213, 3.8). */
function station(iface: Interface, at: usize, option: NdpOption): u32 {
  if (iface.kind == LinkKind.PointToPoint) return 0;
  ndpPutLinkAddress(at, option, iface.device.mac);
  return NDP_LINK_OPTION;
}

/**
 * Asks where `target` is (7.2.2): all whose address ends like that, or just the station `mac`, if not
 * 0, whether it is still there (7.3.3). False for want of a packet or an address.
 */
export function ndpSolicit(iface: Interface, target: IpAddress, mac: u64): bool {
  if (!v6Source(iface, target.hi, target.lo, from)) return false;
  const packet = message();
  if (packet === null) return false;
  if (mac) to.copy(target);
  else to.set(V6_LINK_GROUP, solicitedNode(target.lo));
  icmpv6Build(packet.data, Icmpv6Type.NeighbourSolicitation, 0, 0);
  ndpPutTarget(packet.data, target);
  const option = station(iface, packet.data + NDP_NEIGHBOUR, NdpOption.SourceLinkAddress);
  ndpStats.solicitationsSent++;
  send(iface, packet, NDP_NEIGHBOUR + option, mac);
  return true;
}

/** Asks whether anybody has `target`, without a word about us (RFC 4862, 5.4.2). */
export function ndpProbe(iface: Interface, target: IpAddress): void {
  const packet = message();
  if (packet === null) return;
  from.set(0, 0);
  to.set(V6_LINK_GROUP, solicitedNode(target.lo));
  icmpv6Build(packet.data, Icmpv6Type.NeighbourSolicitation, 0, 0);
  ndpPutTarget(packet.data, target);
  ndpStats.probesSent++;
  send(iface, packet, NDP_NEIGHBOUR, 0);
}

/**
 * Tells `who` that `target` is ours (7.2.4): everybody on the link, when it was asked from nowhere or
 * `who` is unspecified.
 */
export function ndpAdvertise(iface: Interface, target: IpAddress, who: IpAddress): void {
  const packet = message();
  if (packet === null) return;
  from.copy(target);
  let flags: u32 = AdvertisementFlag.Override;
  if (config.forwarding) flags |= AdvertisementFlag.Router;
  if (who.isAny) {
    to.set(V6_LINK_GROUP, 1);
  } else {
    to.copy(who);
    flags |= AdvertisementFlag.Solicited;
  }
  icmpv6Build(packet.data, Icmpv6Type.NeighbourAdvertisement, 0, flags << 24);
  ndpPutTarget(packet.data, target);
  const option = station(iface, packet.data + NDP_NEIGHBOUR, NdpOption.TargetLinkAddress);
  ndpStats.advertisementsSent++;
  send(iface, packet, NDP_NEIGHBOUR + option, 0);
}

/**
 * Tells `source` that `next` is the better hop to `destination` than we are (8.2), with where that is, if we know,
 * and as much of `about`, whose header is at its data, as goes with it. False for want of a packet or an address.
 */
export function ndpRedirect(
  iface: Interface,
  about: Packet,
  next: IpAddress,
  source: IpAddress,
  destination: IpAddress,
): bool {
  const own = linkLocalOf(iface);
  if (own === null) return false;
  const packet = message(PoolId.Standard);
  if (packet === null) return false;
  from.copy(own.address);
  to.copy(source);
  const at = packet.data;
  icmpv6Build(at, Icmpv6Type.Redirect, 0, 0);
  ndpPutTarget(at, next);
  v6Store(at + NDP_NEIGHBOUR, destination.hi, destination.lo);
  let length = NDP_REDIRECT;
  const neighbour = findNeighbour(iface, next.hi, next.lo);
  if (neighbour !== null && isKnown(neighbour)) {
    ndpPutLinkAddress(at + length, NdpOption.TargetLinkAddress, neighbour.mac);
    length += NDP_LINK_OPTION;
  }
  const room = IPV6_MTU_MIN - IPV6_HEADER - length - NDP_REDIRECTED_HEADER;
  length += ndpPutRedirected(at + length, about.data, min<u32>(about.length, room));
  send(iface, packet, length, 0);
  return true;
}

/** Asks the routers of the link to speak (6.3.7). */
export function ndpSolicitRouters(iface: Interface): void {
  const own = linkLocalOf(iface);
  const packet = message();
  if (packet === null) return;
  to.set(V6_LINK_GROUP, 2);
  icmpv6Build(packet.data, Icmpv6Type.RouterSolicitation, 0, 0);
  let length = NDP_ROUTER_SOLICITATION;
  if (own === null) {
    from.set(0, 0);
  } else {
    from.copy(own.address);
    length += station(iface, packet.data + length, NdpOption.SourceLinkAddress);
  }
  ndpStats.routerSolicitationsSent++;
  send(iface, packet, length, 0);
}

/** A packet for a router advertisement; null for want of one. */
export function ndpRouterMessage(): Packet | null {
  return message(PoolId.Standard);
}

/** Sends a router advertisement of `length` bytes to all on the link (6.2.3), if we have an address there. */
export function ndpAdvertiseRouter(iface: Interface, packet: Packet, length: u32): void {
  const own = linkLocalOf(iface);
  if (own === null) return packet.release();
  from.copy(own.address);
  to.set(V6_LINK_GROUP, 1);
  ndpStats.routerAdvertisementsSent++;
  send(iface, packet, length, 0);
}
