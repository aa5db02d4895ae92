import { config } from "../../kernel/config";
import { Packet } from "../../kernel/packet";
import { ErrorFamily, errorAllowed } from "../icmp/limit";
import { icmpv6Stats } from "../icmp/stats";
import { Interface, LinkKind } from "../interface";
import { Route, RouteKind, routeForget, routeFrom } from "../ip/route";
import { neighbourHeard } from "../link/neighbour";
import { routeFind } from "../route/choose";
import { redirectLearn } from "../route/redirect";
import { IpAddress, isV6LinkLocal, isV6Multicast } from "../wire/address";
import { Icmpv6Type } from "../wire/icmpv6";
import { RedirectMessage } from "../wire/ndp";
import { ndpRedirect } from "./send";

/** Redirects of IPv6 (RFC 4861, 8), those of routers and our own. */

const target = changetype<IpAddress>(memory.data(16, 8));
const destination = changetype<IpAddress>(memory.data(16, 8));

/**
 * Takes a redirect whose code, hop limit, length and options are sound; `station`: the link-layer address of its
 * target, 0 without one; `own`: to whom it came, who sent what it is about (8.2). False if it is malformed (8.1).
 */
export function redirected(
  iface: Interface,
  at: usize,
  station: u64,
  source: IpAddress,
  own: IpAddress,
): bool {
  const message = changetype<RedirectMessage>(at);
  message.target(target, iface.zone);
  message.destination(destination, iface.zone);
  const isOnLink = target.equals(destination);
  if (!isV6LinkLocal(source.hi) || isV6Multicast(destination.hi)) return false;
  if (!isV6LinkLocal(target.hi) && !isOnLink) return false;
  if (believe(iface, source, own)) {
    icmpv6Stats.redirects++;
    if (station) neighbourHeard(iface, target.hi, target.lo, station, !isOnLink);
  } else icmpv6Stats.refused++;
  return true;
}

/** It comes from the current first hop from `own` to the destination (8.1). A router is told otherwise (8.3). */
function believe(iface: Interface, source: IpAddress, own: IpAddress): bool {
  if (!config.redirects || config.forwarding || target.equals(source)) return false;
  const route = routeFrom(own, 0, destination.hi, destination.lo);
  if (route === null || !route.routed || route.kind != RouteKind.UnicastV6) return false;
  if (route.iface != iface || !route.next.equals(source)) return false;
  if (!redirectLearn(iface, destination.hi, destination.lo, source, target)) return false;
  routeForget(destination.hi, destination.lo);
  return true;
}

/**
 * Tells the sender of a packet that goes on by `route`, out of the link on which it came, by which router on that
 * link it goes, or that its destination is there: if the sender is on it, too (8.2). The packet begins at its
 * IPv6 header and stays the caller's. A router whose link-local address we do not know cannot be named.
 */
export function redirectSendV6(packet: Packet, route: Route, from: IpAddress, to: IpAddress): void {
  if (!config.redirects || route.iface.kind != LinkKind.Ethernet) return;
  const link = routeFind(from.hi, from.lo, false, 0);
  if (link === null || !link.gateway.isAny || link.iface != route.iface) return;
  const next = route.next;
  if (route.routed && !isV6LinkLocal(next.hi)) return;
  if (!errorAllowed(ErrorFamily.V6, Icmpv6Type.Redirect)) {
    icmpv6Stats.errorsLimited++;
    return;
  }
  if (ndpRedirect(route.iface, packet, next, from, to)) icmpv6Stats.redirectsSent++;
}
