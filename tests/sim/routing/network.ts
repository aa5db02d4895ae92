import type { Frame } from "../../../tools/sim/frames.ts";
import {
  ICMP,
  icmp6Message,
  icmpMessage,
  ICMPV6,
  UDP,
  udpDatagram,
} from "../../../tools/sim/frames.ts";
import { Link } from "../../../tools/sim/link.ts";
import { macAddress, Machine } from "../../../tools/sim/machine.ts";
import { nicKind } from "../../../tools/sim/nics.ts";
import { Peer } from "../../../tools/sim/peer.ts";
import { SECOND, Simulation } from "../../../tools/sim/simulation.ts";
import { test } from "node:test";
import { kernelUnderTest } from "../kernel.ts";

/** A machine that is a router between links, one NIC on each, and peers on them. */
export class Routed {
  readonly simulation = new Simulation(1);
  readonly links: Link[];
  readonly router: Machine;
  private place = 0x40;

  /** `commandLine` has the addresses: the machine is 10.<n>.0.1/24 and 2001:db8:<n>::1/64 on link n, from 1. */
  constructor(commandLine = "", links = 2, nic = "e1000") {
    this.links = Array.from({ length: links }, () => new Link(this.simulation));
    const nics = this.links.map((_, i) =>
      nicKind(nic).make({
        mac: macAddress(0x200 + i),
        line: 10 + (i % 2),
        base: 0xfe000000 + i * 0x40000,
        ports: 0xc100 + i * 0x100,
      }),
    );
    const addresses = nics
      .map((_, i) => `eth${i}=10.${i + 1}.0.1/24,2001:db8:${i + 1}::1/64`)
      .join(" ");
    this.router = new Machine(this.simulation, {
      kernel: kernelUnderTest(),
      name: "router",
      commandLine: `forward=on ${addresses} ${commandLine}`,
      devices: nics,
    });
    nics.forEach((card, i) => card.connect(this.links[i]!));
    this.router.start();
    nics.forEach((_, i) => this.router.expectLine(new RegExp(`eth${i} link up`), 3 * SECOND));
    // Until addresses of IPv6 are found to be free.
    this.simulation.run(4 * SECOND);
  }

  /** A peer on link `link`: 10.<link>.0.<host> and 2001:db8:<link>::<host>. */
  peer(link: number, host = 9, options: { alsoAnswers?: (ip: string) => boolean } = {}): Peer {
    const ip6 = `2001:db8:${link}::${host.toString(16)}`;
    const mac = macAddress(this.place++);
    return new Peer(this.links[link - 1]!, { ip: `10.${link}.0.${host}`, ip6, mac, ...options });
  }
}

/** A test with a router. */
export function routed(
  name: string,
  body: (network: Routed) => void,
  commandLine = "",
  links = 2,
): void {
  test(name, () => {
    const network = new Routed(commandLine, links);
    try {
      body(network);
    } finally {
      network.router.release();
    }
  });
}

export interface Passing {
  source?: string;
  ttl?: number;
  payload?: Uint8Array;
  protocol?: number;
  dontFragment?: boolean;
}

/** Sends a datagram for `destination` to the router: UDP from port 1 to 2 unless told. */
export function pass(peer: Peer, destination: string, fields: Passing = {}, to?: string): void {
  const v6 = destination.includes(":");
  const source = fields.source ?? peer.addressFor(destination);
  const link = Number(peer.ip.split(".")[1]);
  const router = to ?? peer.resolve(v6 ? `2001:db8:${link}::1` : `10.${link}.0.1`);
  const bytes = fields.payload ?? new TextEncoder().encode("passing");
  const udp = { sourcePort: 1, destinationPort: 2, payload: bytes };
  const protocol = fields.protocol ?? UDP;
  const payload = protocol === UDP ? udpDatagram(source, destination, udp) : bytes;
  const { dontFragment = true, ttl = 64 } = fields;
  if (v6) peer.sendIpv6({ source, destination, protocol, payload, hopLimit: ttl }, router);
  else peer.sendIpv4({ source, destination, protocol, payload, ttl, dontFragment }, router);
}

/** An echo request for `destination`, through the router. */
export function ping(peer: Peer, destination: string, ttl = 64): void {
  const echo = { code: 0, rest: 7, payload: Uint8Array.of(1, 2, 3) };
  if (destination.includes(":")) {
    const payload = icmp6Message(peer.ip6!, destination, { type: 128, ...echo });
    pass(peer, destination, { protocol: ICMPV6, payload, ttl });
  } else {
    pass(peer, destination, { protocol: ICMP, payload: icmpMessage({ type: 8, ...echo }), ttl });
  }
}

export const isUdp = (frame: Frame): boolean => frame.udp !== undefined;
export const isPing = ({ icmp, icmp6 }: Frame): boolean => icmp?.type === 8 || icmp6?.type === 128;
