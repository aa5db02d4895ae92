import { Packet } from "../../kernel/packet";
import { Interface } from "../interface";
import { aheadEnd, aheadRun } from "../route/ahead";
import { routesForesee } from "../route/table";
import { IpAddress, v6Load } from "../wire/address";
import { ETHERNET_HEADER, EtherType, EthernetHeader } from "../wire/ethernet";
import { IPV4_HEADER, Ipv4Header } from "../wire/ipv4";
import { IPV6_HEADER, Ipv6Header } from "../wire/ipv6";
import { routeIsKept, routesComputed } from "./route";

/**
 * A router's look ahead. Where packets of a burst go to whose way is not kept is looked up for all of them at once
 * (net/route/ahead.ts), if of the link's last burst some were of that kind. Nothing is decided here: a
 * frame that is misread costs a useless look-up.
 */

/** Look-ups that are worth doing together. */
const FEWEST: u32 = 3;

const destination = changetype<IpAddress>(memory.data(16, 8));

let before: u32 = 0;

/** Before a router takes what a link has received. */
export function forwardForesee(iface: Interface): void {
  const received = iface.device.received;
  if (iface.routesMissed >= FEWEST && received.length >= FEWEST) foresee(iface, received.head);
  before = routesComputed();
}

/** And after that. */
export function forwardForeseen(iface: Interface): void {
  iface.routesMissed = routesComputed() - before;
  aheadEnd();
}

function foresee(iface: Interface, first: Packet | null): void {
  for (let at = changetype<usize>(first); at;) {
    const packet = changetype<Packet>(at);
    at = changetype<usize>(packet.next);
    const frame = packet.data;
    const ip = frame + ETHERNET_HEADER;
    if (packet.length < ETHERNET_HEADER + IPV4_HEADER) continue;
    const type = changetype<EthernetHeader>(frame).type;
    if (type == EtherType.IPv4) {
      destination.setV4(changetype<Ipv4Header>(ip).destination);
    } else if (type == EtherType.IPv6 && packet.length >= ETHERNET_HEADER + IPV6_HEADER) {
      v6Load(destination, changetype<Ipv6Header>(ip).destinationAt, iface.zone);
    } else continue;
    if (routeIsKept(destination.hi, destination.lo)) continue;
    routesForesee(destination.hi, destination.lo, destination.isV4);
  }
  aheadRun();
}
