import { Packet } from "../../kernel/packet";
import { Interface } from "../interface";
import { findNeighbour, Neighbour, neighbourDoubt, neighbourReached } from "../link/neighbour";
import { IpAddress, v6Load } from "../wire/address";
import { Ipv4Header, Protocol } from "../wire/ipv4";
import { IPV6_HEADER, Ipv6Header } from "../wire/ipv6";
import { IpError, deliverError } from "./protocol";
import { routeFrom } from "./route";

/**
 * What upper layers know of the first hop (RFC 4861, 7.3.1; "higher-layer advice" of RFC 1122, 2.3.2.1): who hears that
 * what was sent has arrived saves the question. They are asked only when somebody wants to know: a segment to a
 * neighbour in doubt tells its connection of it, and the next that is acknowledged there is the answer.
 */

const source = changetype<IpAddress>(memory.data(16, 8));
const destination = changetype<IpAddress>(memory.data(16, 8));

/** A packet that begins at its IP header is about to go to a neighbour of `iface` that is in doubt. */
export function reachDoubted(iface: Interface, packet: Packet): void {
  const v4 = changetype<Ipv4Header>(packet.data);
  const v6 = changetype<Ipv6Header>(packet.data);
  let transport = packet.data;
  if (v4.version == 4) {
    if (v4.protocol != Protocol.TCP) return;
    source.setV4(v4.source);
    destination.setV4(v4.destination);
    transport += v4.headerLength;
  } else {
    if (v6.nextHeader != Protocol.TCP) return;
    v6Load(source, v6.sourceAt, iface.zone);
    v6Load(destination, v6.destinationAt, iface.zone);
    transport += IPV6_HEADER;
  }
  deliverError(Protocol.TCP, source, destination, transport, IpError.NeighbourDoubted, 0);
}

/** The entry of the first hop of what we send from `from` to `to`, by a socket with this mark; or null. */
function firstHop(from: IpAddress, mark: u32, to: IpAddress): Neighbour | null {
  const route = routeFrom(from, mark, to.hi, to.lo);
  return route === null ? null : findNeighbour(route.iface, route.nextHi, route.nextLo);
}

/** What we sent from `from` to `to`, by a socket with this mark, arrives: the first hop passes it on. */
export function ipReached(from: IpAddress, mark: u32, to: IpAddress): void {
  const neighbour = firstHop(from, mark, to);
  if (neighbour !== null) neighbourReached(neighbour);
}

/** The same does not seem to arrive: perhaps the first hop is dead (RFC 1122, 3.3.1.4). */
export function ipDoubt(from: IpAddress, mark: u32, to: IpAddress): void {
  const neighbour = firstHop(from, mark, to);
  if (neighbour !== null) neighbourDoubt(neighbour);
}
