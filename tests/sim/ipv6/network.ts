import { ip6Bytes, macBytes } from "../../../tools/sim/frames.ts";
import type { Machine } from "../../../tools/sim/machine.ts";
import type { Peer } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import type { StationOptions, World } from "../harness.ts";

/** What IPv6 tests have in common: a machine, and a peer that may be its router. */

export const PREFIX = "2001:db8:1::";
export const ROUTER = "fe80::1";
export const HOST = "2001:db8:1::2";
export const OWN_MAC = "52:54:00:5a:01:01";

/** Octets of a message's fields, most significant first. */
export function words(...values: [value: number, octets: number][]): number[] {
  return values.flatMap(([value, octets]) =>
    Array.from({ length: octets }, (_, i) => Math.floor(value / 256 ** (octets - 1 - i)) & 255),
  );
}

export interface Advertisement {
  hopLimit?: number;
  /** As the two bits stand in the field (RFC 4191, 2.2). */
  preference?: number;
  lifetime?: number;
  reachable?: number;
  retrans?: number;
  prefix?: string;
  prefixLength?: number;
  /** L and A. */
  flags?: number;
  valid?: number;
  preferred?: number;
  mtu?: number;
  dns?: string[];
  dnsLifetime?: number;
  linkAddress?: boolean;
  /** M and O: 0x80 and 0x40 (RFC 4861, 4.2). */
  managed?: number;
  /** Routes (RFC 4191, 2.3): a prefix and its length, a preference as its two bits, a lifetime, octets of prefix. */
  routes?: [
    prefix: string,
    length: number,
    preference?: number,
    lifetime?: number,
    octets?: number,
  ][];
}

/** The bytes of a router advertisement behind the first eight (RFC 4861, 4.2), and those four to seven. */
export function advertisement(
  peer: Peer,
  said: Advertisement,
): { rest: number; payload: Uint8Array } {
  const { lifetime = 1800, preference = 0 } = said;
  const options: number[] = [];
  if (said.linkAddress ?? true) options.push(1, 1, ...macBytes(peer.mac));
  if (said.prefix) {
    options.push(3, 4, said.prefixLength ?? 64, said.flags ?? 0xc0);
    options.push(...words([said.valid ?? 86400, 4], [said.preferred ?? 14400, 4], [0, 4]));
    options.push(...ip6Bytes(said.prefix));
  }
  if (said.mtu !== undefined) options.push(5, 1, 0, 0, ...words([said.mtu, 4]));
  if (said.dns) {
    options.push(25, 1 + 2 * said.dns.length, 0, 0, ...words([said.dnsLifetime ?? 600, 4]));
    options.push(...said.dns.flatMap(ip6Bytes));
  }
  for (const [
    prefix,
    length,
    bits = 0,
    life = 1800,
    octets = length > 64 ? 16 : length ? 8 : 0,
  ] of said.routes ?? []) {
    options.push(24, 1 + octets / 8, length, bits << 3, ...words([life, 4]));
    options.push(...ip6Bytes(prefix).slice(0, octets));
  }
  const times = words([said.reachable ?? 0, 4], [said.retrans ?? 0, 4]);
  const rest = words(
    [said.hopLimit ?? 64, 1],
    [(preference << 3) | (said.managed ?? 0), 1],
    [lifetime, 2],
  );
  return {
    rest: rest.reduce((value, octet) => value * 256 + octet, 0),
    payload: Uint8Array.from([...times, ...options]),
  };
}

/** Sends one from `peer` to all nodes. */
export function advertise(
  peer: Peer,
  said: Advertisement = { prefix: PREFIX },
  fields: { source?: string; destination?: string; hopLimit?: number } = {},
): void {
  const message = { type: 134, code: 0, ...advertisement(peer, said) };
  const to = { source: peer.ip6 ?? ROUTER, destination: "ff02::1", hopLimit: 255, ...fields };
  peer.sendIcmp6(to, message);
}

/** The addresses that the console has told of. */
export function addresses(machine: Machine): { [kind: string]: string } {
  const found: { [kind: string]: string } = {};
  for (const line of machine.console) {
    const match = / ([0-9a-f:]+)\/\d+ \((?:router, )?([a-z-]+)/.exec(line);
    if (match?.[1]!.includes(":")) found[match[2]!] = match[1]!;
  }
  return found;
}

/** A machine with a static address `HOST`, in use, and a peer that has `PREFIX` and 1. */
export function settled(
  world: World,
  options: StationOptions = {},
): { machine: Machine; peer: Peer } {
  const { machine } = world.ready({ ip6: `${HOST}/64`, ...options });
  const peer = world.peer("10.0.0.1", { ip6: `${PREFIX}1` });
  world.run(5 * SECOND);
  peer.resolve(HOST);
  world.run(10 * MILLISECOND);
  peer.inbox = [];
  return { machine, peer };
}

/** A machine that makes its own addresses, with a router's help, and the router. */
export function automatic(
  world: World,
  said: Advertisement = { prefix: PREFIX },
  options: StationOptions = {},
): { machine: Machine; router: Peer } {
  const { machine } = world.ready({ ip6: "auto", ...options });
  const router = world.peer("10.0.0.1", { ip6: ROUTER });
  router.isRouter = true;
  router.expect((frame) => frame.icmp6?.type === 133, 5 * SECOND, "router solicitation");
  advertise(router, said);
  world.run(4 * SECOND);
  router.inbox = [];
  return { machine, router };
}
