import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  BROADCAST,
  type Frame,
  ICMP,
  icmpMessage,
  ip6,
  ip6Bytes,
  ipv4Packet,
  macBytes,
  UDP,
} from "../../../tools/sim/frames.ts";
import type { Machine } from "../../../tools/sim/machine.ts";
import type { Peer } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { Domain, Sockets } from "../../../tools/sim/sockets.ts";
import { counters, held, moved } from "../counters.ts";
import { OWN, type StationOptions, type World, simulate } from "../harness.ts";
import { automatic, PREFIX, ROUTER } from "../ipv6/network.ts";
import { isUdp, pass, routed } from "./network.ts";

const FAR = "192.0.2.9";
const FAR6 = "2001:db8:ffff::9";
const NEARER6 = "fe80::3";

/** Sends a datagram to `to`; which of the peers got it. */
function by(world: World, machine: Machine, to: string, ...peers: Peer[]): Peer | undefined {
  const sockets = new Sockets(machine);
  const socket = sockets.datagram(to.includes(":") ? Domain.Inet6 : Domain.Inet);
  for (const peer of peers) peer.inbox = [];
  try {
    sockets.sendTo(socket, Uint8Array.of(1), to, 4000);
    world.run(5 * MILLISECOND);
  } finally {
    sockets.close(socket);
  }
  return peers.find((peer) => peer.inbox.some((frame) => isUdp(frame)));
}

// ---- As a host ------------------------------------------------------------------------------

/** A host, its router, and another on the link. */
function host(world: World, options: StationOptions = {}) {
  const { machine } = world.ready(options);
  const router = world.peer("10.0.0.1");
  const nearer = world.peer("10.0.0.3");
  router.resolve(OWN);
  nearer.resolve(OWN);
  assert.equal(by(world, machine, FAR, router, nearer), router);
  return { machine, router, nearer };
}

const quoteOf = (destination: string, source = OWN): Uint8Array =>
  ipv4Packet({ source, destination, protocol: UDP, payload: new Uint8Array(8) });

interface Said {
  code?: number;
  to?: string;
  about?: string;
  quote?: Uint8Array;
  destination?: string;
}

/** A redirect of `from`. */
function redirect(world: World, from: Peer, said: Said = {}): void {
  const { code = 1, to = "10.0.0.3", about = FAR, quote = quoteOf(about) } = said;
  const rest = to.split(".").reduce((value, octet) => value * 256 + Number(octet), 0);
  const payload = icmpMessage({ type: 5, code, rest, payload: quote });
  const destination = said.destination ?? OWN;
  const mac = destination === OWN ? from.resolve(OWN) : BROADCAST;
  from.sendIpv4({ destination, protocol: ICMP, payload }, mac);
  world.run(MILLISECOND);
}

describe("redirects to a host (RFC 1122, 3.2.2.2)", () => {
  for (const [code, of] of [
    "a network",
    "a host",
    "a service of a network",
    "a service of a host",
  ].entries())
    simulate(`of ${of} are followed for the one host`, (world) => {
      const { machine, router, nearer } = host(world);
      const change = moved(machine, "icmp", () => redirect(world, router, { code }));
      assert.deepEqual(change, { received: 1, redirects: 1 });
      assert.equal(by(world, machine, FAR, router, nearer), nearer);
      assert.equal(by(world, machine, "192.0.2.10", router, nearer), router);
      assert.equal(held(machine), 0);
    });

  const wrong: [string, Said][] = [
    ["to one that is not on the link", { to: "10.0.1.3" }],
    ["to the subnet's broadcast address", { to: "10.0.0.255" }],
    ["to a group", { to: "224.0.0.3" }],
    ["to nobody", { to: "0.0.0.0" }],
    ["to ourselves", { to: OWN }],
    ["to the router itself", { to: "10.0.0.1" }],
    ["about a host on the link", { about: "10.0.0.77" }],
    ["about a datagram that is not ours", { quote: quoteOf(FAR, "10.0.0.99") }],
    ["with a quotation cut short", { quote: quoteOf(FAR).slice(0, 27) }],
    ["with no IPv4 header", { quote: quoteOf(FAR).fill(0x65, 0, 1) }],
    ["with a code that there is not", { code: 4 }],
    ["to all hosts", { destination: "10.0.0.255" }],
  ];
  for (const [name, said] of wrong)
    simulate(`not ${name}`, (world) => {
      const { machine, router, nearer } = host(world);
      const change = moved(machine, "icmp", () => redirect(world, router, said));
      assert.deepEqual(change, { received: 1, refused: 1 });
      assert.equal(by(world, machine, FAR, router, nearer), router);
    });

  simulate("not of another than the first hop to there", (world) => {
    const { machine, router, nearer } = host(world);
    redirect(world, nearer);
    assert.equal(by(world, machine, FAR, router, nearer), router);
    assert.equal(counters(machine, "icmp")["refused"], 1);
  });

  simulate("one redirect after another: the first hop is the one named last", (world) => {
    const { machine, router, nearer } = host(world);
    const third = world.peer("10.0.0.4");
    third.resolve(OWN);
    redirect(world, router);
    assert.equal(by(world, machine, FAR, router, nearer, third), nearer);
    redirect(world, router, { to: "10.0.0.4" });
    assert.equal(by(world, machine, FAR, router, nearer, third), nearer);
    redirect(world, nearer, { to: "10.0.0.4" });
    assert.equal(by(world, machine, FAR, router, nearer, third), third);
  });

  simulate("until the named router falls silent (3.3.1.4)", (world) => {
    const { machine, router, nearer } = host(world);
    redirect(world, router);
    assert.equal(by(world, machine, FAR, router, nearer), nearer);
    nearer.answersArp = false;
    // Reachable for a minute, then asked by unicast and then by broadcast, three times each.
    for (let i = 0; i < 75; i++) {
      by(world, machine, FAR, router, nearer);
      world.run(SECOND);
    }
    assert.equal(by(world, machine, FAR, router, nearer), router);
  });

  simulate("for ten minutes", (world) => {
    const { machine, router, nearer } = host(world);
    redirect(world, router);
    world.run(599 * SECOND);
    assert.equal(by(world, machine, FAR, router, nearer), nearer);
    world.run(SECOND);
    assert.equal(by(world, machine, FAR, router, nearer), router);
  });

  simulate("until the link has been away", (world) => {
    const { machine, router, nearer } = host(world);
    redirect(world, router);
    world.link.isUp = false;
    machine.expectLine(/eth0 link down/, 3 * SECOND);
    world.link.isUp = true;
    const ups = () => machine.console.filter((line) => /eth0 link up/.test(line)).length;
    world.simulation.until(() => ups() === 2, 3 * SECOND, "second link up");
    world.run(10 * SECOND);
    assert.equal(by(world, machine, FAR, router, nearer), router);
  });

  simulate("of many hosts: a bounded number is kept, and the rest goes by the router", (world) => {
    const { machine, router, nearer } = host(world);
    for (let i = 0; i < 1000; i++) {
      redirect(world, router, { about: `198.51.${100 + (i >> 8)}.${i & 255}` });
    }
    let followed = 0;
    for (let i = 0; i < 1000; i++) {
      const to = `198.51.${100 + (i >> 8)}.${i & 255}`;
      if (by(world, machine, to, router, nearer) === nearer) followed++;
    }
    assert.ok(followed > 64 && followed <= 128, `${followed}`);
    assert.equal(held(machine), 0);
  });

  simulate("none with redirects=off", (world) => {
    const { machine, router, nearer } = host(world, { commandLine: "gw=10.0.0.1 redirects=off" });
    redirect(world, router);
    assert.equal(by(world, machine, FAR, router, nearer), router);
    assert.equal(counters(machine, "icmp")["refused"], 1);
  });
});

/** A host of IPv6, its router, and another on the link. */
function host6(world: World) {
  const { machine, router } = automatic(world);
  const nearer = world.peer("10.0.0.3", { ip6: NEARER6 });
  nearer.isRouter = true;
  assert.equal(by(world, machine, FAR6, router, nearer), router);
  return { machine, router, nearer };
}

interface Said6 {
  target?: string;
  about?: string;
  source?: string;
  code?: number;
  hopLimit?: number;
  options?: number[];
  cut?: number;
}

function redirect6(world: World, machine: Machine, from: Peer, said: Said6 = {}): void {
  const { target = NEARER6, about = FAR6, source = from.ip6!, code = 0, hopLimit = 255 } = said;
  const line = machine.console.find((text) => text.includes("(router, temporary)"))!;
  const destination = / ([0-9a-f:]+)\/64/.exec(line)![1]!;
  const payload = Uint8Array.of(...ip6Bytes(target), ...ip6Bytes(about), ...(said.options ?? []));
  const message = { type: 137, code, rest: 0, payload: payload.slice(0, said.cut) };
  const own = from.ip6;
  from.ip6 = ROUTER;
  const mac = from.resolve(destination);
  from.ip6 = own;
  from.sendIcmp6({ source, destination, hopLimit }, message, mac);
  world.run(MILLISECOND);
}

describe("redirects to a host (RFC 4861, 8.1 and 8.3)", () => {
  simulate("a better router is taken, for one destination", (world) => {
    const { machine, router, nearer } = host6(world);
    const change = moved(machine, "icmpv6", () => redirect6(world, machine, router));
    assert.equal(change["redirects"], 1);
    assert.equal(by(world, machine, FAR6, router, nearer), nearer);
    assert.equal(by(world, machine, "2001:db8:ffff::a", router, nearer), router);
  });

  simulate("one that is its own target is on the link", (world) => {
    const { machine, router } = host6(world);
    const near = world.peer("10.0.0.4", { ip6: FAR6 });
    redirect6(world, machine, router, { target: FAR6 });
    assert.equal(by(world, machine, FAR6, router, near), near);
  });

  simulate("the target's link-layer address is taken over, and no question asked", (world) => {
    const { machine, router, nearer } = host6(world);
    nearer.answersArp = false;
    redirect6(world, machine, router, { options: [2, 1, ...macBytes(nearer.mac)] });
    assert.equal(by(world, machine, FAR6, router, nearer), nearer);
  });

  const wrong: [string, Said6, "malformed" | "refused"][] = [
    ["from an address that is not link-local", { source: `${PREFIX}1` }, "malformed"],
    ["with a hop limit of 254", { hopLimit: 254 }, "malformed"],
    ["with a code", { code: 1 }, "malformed"],
    ["shorter than 40 octets", { cut: 31 }, "malformed"],
    ["with an option of length 0", { options: [1, 0, 0, 0, 0, 0, 0, 0] }, "malformed"],
    ["about a group", { about: "ff0e::9" }, "malformed"],
    ["to a global address of another", { target: `${PREFIX}3` }, "malformed"],
    ["not from the first hop", { source: NEARER6 }, "refused"],
    ["about one on the link", { about: `${PREFIX}77` }, "refused"],
  ];
  for (const [name, said, counter] of wrong)
    simulate(`not ${name}`, (world) => {
      const { machine, router, nearer } = host6(world);
      const layer = counter === "malformed" ? "ndp" : "icmpv6";
      const change = moved(machine, layer, () => redirect6(world, machine, router, said));
      assert.equal(change[counter], 1, JSON.stringify(change));
      assert.equal(by(world, machine, FAR6, router, nearer), router);
    });

  simulate("until the better router falls silent (7.3.3)", (world) => {
    const { machine, router, nearer } = host6(world);
    redirect6(world, machine, router);
    assert.equal(by(world, machine, FAR6, router, nearer), nearer);
    nearer.answersArp = false;
    for (let i = 0; i < 60; i++) {
      by(world, machine, FAR6, router, nearer);
      world.run(SECOND);
    }
    assert.equal(by(world, machine, FAR6, router, nearer), router);
  });

  simulate("until it is no router any more (7.2.5)", (world) => {
    const { machine, router, nearer } = host6(world);
    redirect6(world, machine, router);
    assert.equal(by(world, machine, FAR6, router, nearer), nearer);
    nearer.advertise(NEARER6, "ff02::1", 0x20);
    world.run(MILLISECOND);
    assert.equal(by(world, machine, FAR6, router, nearer), router);
  });
});

// ---- As a router ----------------------------------------------------------------------------

const isRedirect = ({ icmp, icmp6 }: Frame): boolean => icmp?.type === 5 || icmp6?.type === 137;

describe("redirects of a router (RFC 1812, 5.2.7.2; RFC 4861, 8.2)", () => {
  routed(
    "a datagram that leaves as it came goes on, and its sender hears of the nearer router",
    (network) => {
      const sender = network.peer(1);
      const nearer = network.peer(1, 3);
      pass(sender, FAR);
      const told = sender.expect(isRedirect);
      assert.deepEqual([told.ipv4!.source, told.icmp!.code], ["10.1.0.1", 1]);
      assert.equal(told.icmp!.rest, 0x0a010003);
      assert.deepEqual([...told.icmp!.payload.slice(16, 20)], [192, 0, 2, 9]);
      nearer.expect(isUdp);
      assert.deepEqual(counters(network.router, "icmp")["redirectsSent"], 1);
      assert.equal(held(network.router), 0);
    },
    "route=192.0.2.0/24,10.1.0.3",
  );

  routed(
    "of IPv6 by its link-local address, with where it is, and the packet",
    (network) => {
      const sender = network.peer(1);
      const nearer = network.peer(1, 3, { alsoAnswers: (ip) => ip === NEARER6 });
      for (const size of [5, 1400]) {
        pass(sender, FAR6, { payload: new Uint8Array(size) });
        nearer.expect(isUdp);
        sender.inbox = [];
        pass(sender, FAR6, { payload: new Uint8Array(size) });
        const { ipv6, icmp6 } = sender.expect(isRedirect);
        assert.match(ipv6!.source, /^fe80::/);
        assert.deepEqual([ipv6!.destination, ipv6!.hopLimit], [sender.ip6, 255]);
        const payload = icmp6!.payload;
        assert.equal(ip6(payload.subarray(0, 16)), NEARER6);
        assert.equal(ip6(payload.subarray(16, 32)), FAR6);
        assert.deepEqual([...payload.slice(32, 40)], [2, 1, ...macBytes(nearer.mac)]);
        // Redirected Header (4.6.3), up to 1,280 octets in all.
        assert.equal(payload[40], 4);
        assert.equal(payload[41]! * 8, payload.length - 40);
        assert.equal(payload.length, size === 5 ? 40 + 8 + 56 : 1280 - 40 - 8);
        assert.equal(ip6(payload.subarray(48 + 8, 48 + 24)), sender.ip6);
      }
    },
    "route=2001:db8:ffff::/48,fe80::3%eth0",
  );

  routed(
    "not when the sender is no neighbour, or the next router's link-local address is unknown",
    (network) => {
      const sender = network.peer(1);
      const nearer = network.peer(1, 3);
      pass(sender, FAR, { source: "10.2.0.77" });
      pass(sender, FAR6, { source: "2001:db8:2::77" });
      pass(sender, FAR6);
      nearer.expect(isUdp);
      sender.expectNone(isRedirect);
    },
    "route=192.0.2.0/24,10.1.0.3 route=2001:db8:ffff::/48,2001:db8:1::3",
  );

  routed(
    "not about an ICMP error (RFC 1122, 3.2.2), nor when it leaves by another link",
    (network) => {
      const sender = network.peer(1);
      network.peer(1, 3);
      const payload = icmpMessage({ type: 3, code: 1, rest: 0, payload: new Uint8Array(28) });
      pass(sender, FAR, { protocol: ICMP, payload });
      pass(sender, "10.2.0.9");
      sender.expectNone(isRedirect);
    },
    "route=192.0.2.0/24,10.1.0.3",
  );

  routed(
    "so many at a time and no more (RFC 4861, 8.2: a router MUST limit them)",
    (network) => {
      const sender = network.peer(1);
      const nearer = network.peer(1, 3, { alsoAnswers: (ip) => ip === NEARER6 });
      for (const to of [FAR, FAR6]) {
        pass(sender, to);
        nearer.expect(isUdp);
        network.simulation.run(SECOND);
        sender.inbox = [];
        for (let i = 0; i < 200; i++) pass(sender, to);
        network.simulation.run(100 * MILLISECOND);
        const told = sender.inbox.filter(isRedirect).length;
        assert.ok(told >= 20 && told < 40, `${told}`);
        assert.ok(nearer.inbox.filter(isUdp).length >= 150);
        nearer.inbox = [];
      }
    },
    "route=192.0.2.0/24,10.1.0.3 route=2001:db8:ffff::/48,fe80::3%eth0",
  );

  routed(
    "a router follows none (RFC 1812, 5.2.7.2; RFC 4861, 8.3), and with redirects=off sends none",
    (network) => {
      const sender = network.peer(1);
      const first = network.peer(1, 3);
      network.peer(1, 4);
      pass(sender, FAR);
      first.expect(isUdp);
      const quote = ipv4Packet({
        source: "10.1.0.1",
        destination: FAR,
        protocol: UDP,
        payload: new Uint8Array(8),
      });
      first.sendIcmp("10.1.0.1", { type: 5, code: 1, rest: 0x0a010004, payload: quote });
      network.simulation.run(MILLISECOND);
      assert.equal(counters(network.router, "icmp")["refused"], 1);
      pass(sender, FAR);
      first.expect(isUdp);
      sender.expectNone(isRedirect);
    },
    "route=192.0.2.0/24,10.1.0.3 redirects=off",
  );
});
