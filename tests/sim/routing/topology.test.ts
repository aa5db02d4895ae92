/**
 * Fifty machines with static routes: 34 hosts on twelve networks, each behind an edge router, which four core
 * routers join. Cables are pulled, Ethernets cut, routers silenced and all of it mended: whoever has a way reaches
 * everybody else, over both families.
 *
 * Core router k has an Ethernet ("fabric k") with all edge routers on it, and one with the other core routers. An
 * edge router has a route to each network by every core router (the same metric: RFC 2992 shares them out); a core
 * router one by the network's edge router, and a worse one by the next core router.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Network, type Peer, SECOND } from "../../../tools/sim/network.ts";
import { kernelUnderTest } from "../kernel.ts";
import { Random } from "../../../tools/sim/random.ts";

const CORES = 4;
const EDGES = 12;
const HOSTS = 34;

const each = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));
const fabric = (core: number): string => `fabric ${core}`;
const lan = (edge: number): string => `lan ${edge}`;

/** Addresses of both families: of a router on fabric k, on the core's Ethernet, of station n of a network. */
const onFabric = (k: number, n: number) => [`10.200.${k}.${n}`, `fd00:200:${k}::${n}`] as const;
const onCore = (k: number) => [`10.201.0.${k + 1}`, `fd00:201::${k + 1}`] as const;
const onLan = (edge: number, n: number) =>
  [`10.${edge + 1}.0.${n}`, `fd00:${edge + 1}::${n}`] as const;
const prefix = (edge: number) => [`10.${edge + 1}.0.0/16`, `fd00:${edge + 1}::/64`] as const;
const withLengths = ([v4, v6]: readonly [string, string], v4Length = 24): string[] => [
  `${v4}/${v4Length}`,
  `${v6}/64`,
];

interface Route {
  to: string;
  via: string;
  metric: number;
}

const routes = (edge: number, via: readonly [string, string], metric: number): Route[] =>
  [0, 1].map((family) => ({ to: prefix(edge)[family]!, via: via[family]!, metric }));

class Internet {
  readonly cores: Peer[];
  readonly edges: Peer[];
  readonly hosts: { peer: Peer; edge: number; addresses: readonly [string, string] }[];

  constructor(readonly network: Network) {
    this.cores = each(CORES, (k) =>
      network.machine({
        links: [fabric(k), "core"],
        network: {
          hostname: `core-${k}`,
          forward: true,
          interfaces: { eth0: withLengths(onFabric(k, 1)), eth1: withLengths(onCore(k)) },
          routes: each(EDGES, (edge) => [
            ...routes(edge, onFabric(k, edge + 10), 1),
            ...routes(edge, onCore((k + 1) % CORES), 2),
          ]).flat(),
        },
      }),
    );
    this.edges = each(EDGES, (edge) =>
      network.machine({
        links: [...each(CORES, fabric), lan(edge)],
        network: {
          hostname: `edge-${edge}`,
          forward: true,
          interfaces: Object.fromEntries([
            ...each(CORES, (k) => [`eth${k}`, withLengths(onFabric(k, edge + 10))] as const),
            [`eth${CORES}`, withLengths(onLan(edge, 1), 16)] as const,
          ]),
          // By every core router: 0.0.0.0/0 and ::/0 are everybody else's networks.
          routes: each(CORES, (k) => [
            { to: "0.0.0.0/0", via: onFabric(k, 1)[0], metric: 1 },
            { to: "::/0", via: onFabric(k, 1)[1], metric: 1 },
          ]).flat(),
        },
      }),
    );
    this.hosts = each(HOSTS, (i) => {
      const edge = i % EDGES;
      const addresses = onLan(edge, 10 + i);
      const [v4, v6] = onLan(edge, 1);
      const peer = network.machine({
        links: [lan(edge)],
        memory: 16,
        network: {
          hostname: `host-${i}`,
          interfaces: { eth0: withLengths(addresses, 16) },
          routes: [
            { to: "0.0.0.0/0", via: v4 },
            { to: "::/0", via: v6 },
          ],
        },
      });
      return { peer, edge, addresses };
    });
    network.run(4 * SECOND);
  }

  /**
   * Pings between hosts, one per pair of networks or all: those that nobody answered, after a few tries, by name. What
   * is lost while the routers find out is sent again.
   */
  unreachable(all: boolean, tries = 8): string[] {
    let left = this.hosts.flatMap((from, i) =>
      this.hosts.flatMap((to, j) =>
        i === j || (!all && (i >= EDGES || j >= EDGES))
          ? []
          : to.addresses.map((address) => ({ from, address, name: `host-${i} → ${address}` })),
      ),
    );
    for (let n = 0; n < tries && left.length; n++) {
      const asked = left.map((it) => ({ it, ping: it.from.peer.ping(it.address) }));
      this.network.run(SECOND / 2);
      left = asked.filter(({ ping }) => !ping.isAnswered()).map(({ it }) => it);
      if (left.length) this.network.run(12 * SECOND);
    }
    return left.map(({ name }) => name);
  }
}

async function story(seed: number): Promise<string> {
  const network = await Network.create({ seed }, kernelUnderTest());
  try {
    const net = new Internet(network);
    const random = new Random(seed);
    const told: string[] = [];
    const reach = (what: string, all = false): void => {
      const failed = net.unreachable(all);
      assert.deepEqual(failed, [], `seed ${seed}, ${what}`);
      told.push(`${what}: ${network.now}`);
    };
    const k = random.integer(0, CORES - 1);
    // Not the one that is core router k's only other way.
    const other = (k + random.integer(2, CORES - 1)) % CORES;
    const edge = random.integer(0, EDGES - 1);

    reach("all is well");
    network.unplug(net.edges[edge]!, k);
    reach(`edge-${edge}'s cable to fabric ${k} is out`);
    network.silence(net.cores[other]!);
    reach(`core-${other} is silent, too`);
    network.unplug(net.edges[edge]!, k, false);
    network.silence(net.cores[other]!, false);
    network.cut(fabric(k));
    reach(`these are mended, and fabric ${k} is cut`);
    network.cut(fabric(k), false);
    network.silence(net.edges[edge]!);
    network.run(SECOND);
    const lost = net.hosts.findIndex((host) => host.edge === edge);
    const far = net.hosts.findIndex((host) => host.edge !== edge);
    const ping = net.hosts[far]!.peer.ping(net.hosts[lost]!.addresses[0]);
    network.run(5 * SECOND);
    assert.ok(!ping.isAnswered(), "a network behind a silent edge router is unreachable");
    network.silence(net.edges[edge]!, false);
    reach("all is mended", true);
    return told.join("\n");
  } finally {
    network.close();
  }
}

describe("fifty machines, static routes, failures", () => {
  for (const seed of [1, 3]) {
    test(`everybody with a way reaches everybody, seed ${seed}`, async () => {
      await story(seed);
    });
  }
});
