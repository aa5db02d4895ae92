import assert from "node:assert/strict";
import { describe } from "node:test";
import { ip6 } from "../../../tools/sim/frames.ts";
import type { Machine } from "../../../tools/sim/machine.ts";
import type { Peer } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { Domain, SocketError, Sockets } from "../../../tools/sim/sockets.ts";
import { held, moved } from "../counters.ts";
import { simulate, type World } from "../harness.ts";
import { addresses, advertise, automatic, PREFIX, ROUTER } from "./network.ts";

const FAR = "2001:db8:ffff::9";

/** Sends a datagram; the errno when the machine cannot. */
function send(world: World, machine: Machine, to: string, bytes = 1): number {
  const sockets = new Sockets(machine);
  const socket = sockets.datagram(Domain.Inet6);
  try {
    sockets.sendTo(socket, new Uint8Array(bytes), to, 4000);
    return 0;
  } catch (error) {
    if (error instanceof SocketError) return error.errno;
    throw error;
  } finally {
    world.run(5 * MILLISECOND);
    sockets.close(socket);
  }
}

/** Whether `router` gets what goes to `to` within its next frames. */
function goesBy(world: World, machine: Machine, router: Peer, to = FAR): boolean {
  router.inbox = [];
  send(world, machine, to);
  return router.inbox.some((frame) => frame.udp !== undefined && frame.ipv6!.destination === to);
}

describe("router solicitation (RFC 4861, 6.3.7; RFC 7559, 2)", () => {
  simulate(
    "to all routers, with our link address, when there is an address to send from",
    (world) => {
      world.ready({ ip6: "auto" });
      const router = world.peer("10.0.0.1", { ip6: ROUTER });
      const { ipv6, icmp6 } = router.expectIcmp6(133);
      assert.equal(ipv6!.destination, "ff02::2");
      assert.match(ipv6!.source, /^fe80::/);
      assert.equal(icmp6!.payload[0], 1);
    },
  );
  simulate("again after 4 s, 8 s, 16 s … until a router answers", (world) => {
    world.ready({ ip6: "auto" });
    const router = world.peer("10.0.0.1", { ip6: ROUTER });
    const times: number[] = [];
    router.handler = (frame) => {
      if (frame.icmp6?.type === 133) times.push(world.simulation.now);
      return true;
    };
    world.run(40 * SECOND);
    const waits = times.slice(1).map((time, i) => Math.round((time - times[i]!) / SECOND));
    assert.deepEqual(waits, [4, 8, 16]);
    advertise(router, {});
    world.run(100 * SECOND);
    assert.equal(times.length, 4);
  });
});

describe("router advertisements (RFC 4861, 6.1.2)", () => {
  const malformed: [string, Parameters<typeof advertise>[2]][] = [
    ["with a hop limit of 254", { hopLimit: 254 }],
    ["from a global address", { source: `${PREFIX}1` }],
  ];
  for (const [name, fields] of malformed) {
    simulate(`${name} are not believed`, (world) => {
      const { machine } = world.ready({ ip6: "auto" });
      const router = world.peer("10.0.0.1", { ip6: ROUTER });
      world.run(3 * SECOND);
      const change = moved(machine, "ndp", () => {
        advertise(router, { prefix: PREFIX }, fields);
        world.run(3 * SECOND);
      });
      assert.equal(change["malformed"], 1, JSON.stringify(change));
      assert.equal(addresses(machine)["stable"], undefined);
    });
  }
  simulate("a flood is taken ten a second at most", (world) => {
    const { machine, router } = automatic(world);
    const change = moved(machine, "ndp", () => {
      for (let i = 0; i < 1000; i++) advertise(router, { prefix: `2001:db8:${i + 16}::` });
      world.run(SECOND);
    });
    assert.ok(change["limited"]! > 950, JSON.stringify(change));
    assert.equal(held(machine), 0);
  });
});

describe("next hop (RFC 4861, 5.2, 6.3.4, 6.3.6)", () => {
  simulate("an address under an on-link prefix is asked for itself", (world) => {
    const { machine, router } = automatic(world);
    send(world, machine, `${PREFIX}99`);
    const { icmp6 } = router.expectIcmp6(135);
    assert.equal(ip6(icmp6!.payload.subarray(0, 16)), `${PREFIX}99`);
  });
  simulate("without the L flag it goes by the router (5.2)", (world) => {
    const { machine, router } = automatic(world, { prefix: PREFIX, flags: 0x40 });
    assert.ok(goesBy(world, machine, router, `${PREFIX}99`));
  });
  simulate("all else goes by the router, whose link address it has told", (world) => {
    const { machine, router } = automatic(world);
    router.answersArp = false;
    assert.ok(goesBy(world, machine, router));
  });
  simulate("a lifetime of 0 takes the offer back", (world) => {
    const { machine, router } = automatic(world);
    advertise(router, { prefix: PREFIX, lifetime: 0 });
    world.run(MILLISECOND);
    assert.equal(send(world, machine, FAR), 101);
  });
  simulate("a router is forgotten when its lifetime is over", (world) => {
    const { machine, router } = automatic(world, { prefix: PREFIX, lifetime: 10 });
    assert.ok(goesBy(world, machine, router));
    world.run(10 * SECOND);
    assert.equal(send(world, machine, FAR), 101);
  });
  simulate("who is no router any more is none of ours (7.2.5)", (world) => {
    const { machine, router } = automatic(world);
    assert.ok(goesBy(world, machine, router));
    router.advertise(ROUTER, "ff02::1", 0x20);
    world.run(MILLISECOND);
    assert.equal(send(world, machine, FAR), 101);
  });
  simulate("the preferred router comes first (RFC 4191, 3.2)", (world) => {
    const { machine, router } = automatic(world);
    const other = world.peer("10.0.0.3", { ip6: "fe80::3" });
    other.isRouter = true;
    for (const [preference, first] of [
      [1, other],
      [3, router],
      [0, router],
    ] as const) {
      advertise(other, { preference });
      world.run(MILLISECOND);
      assert.ok(goesBy(world, machine, first), `preference ${preference}`);
    }
  });
  simulate("of routers that are alike each has its destinations (RFC 4311, 3)", (world) => {
    const { machine, router } = automatic(world);
    const other = world.peer("10.0.0.3", { ip6: "fe80::3" });
    other.isRouter = true;
    advertise(other, {});
    world.run(MILLISECOND);
    let count = 0;
    for (let i = 1; i <= 64; i++) {
      const to = `2001:db8:ffff::${i.toString(16)}`;
      const first = goesBy(world, machine, router, to);
      if (first) count++;
      assert.equal(goesBy(world, machine, other, to), !first);
      assert.equal(goesBy(world, machine, router, to), first);
    }
    assert.ok(count > 16 && count < 48, `${count}`);
  });
  simulate("a route of a router is for its prefix alone (RFC 4191, 2.3 and 3.2)", (world) => {
    const { machine, router } = automatic(world);
    const other = world.peer("10.0.0.3", { ip6: "fe80::3" });
    other.isRouter = true;
    const by = (to: string, peer: Peer): void => assert.ok(goesBy(world, machine, peer, to), to);
    const say = (
      ...routes: NonNullable<Parameters<typeof advertise>[1]>["routes"] & object
    ): void => {
      advertise(other, { lifetime: 0, routes });
      world.run(MILLISECOND);
    };
    say(["2001:db8:fff0::", 44], ["2001:db8:ee:0:1::", 80]);
    by("2001:db8:fff8::1", other);
    by("2001:db8:ee:0:1::1", other);
    by("2001:db8:ee:0:2::1", router);
    by(FAR.replace("ffff", "aaaa"), router);
    // Octets beyond the prefix are allowed, a reserved preference is not, nor is too short a prefix.
    say(
      ["2001:db8:a::", 48, 0, 1800, 16],
      ["2001:db8:b::", 48, 2],
      ["2001:db8:c::1", 96, 0, 1800, 8],
    );
    by("2001:db8:a::1", other);
    by("2001:db8:b::1", router);
    by("2001:db8:c::1", router);
    say(["2001:db8:fff0::", 44, 0, 0], ["2001:db8:a::", 48, 0, 5]);
    by("2001:db8:fff8::1", router);
    by("2001:db8:a::1", other);
    world.run(5 * SECOND);
    by("2001:db8:a::1", router);
  });
  simulate("a route for everything goes before the header (RFC 4191, 3.1)", (world) => {
    const { machine, router } = automatic(world);
    const other = world.peer("10.0.0.3", { ip6: "fe80::3" });
    other.isRouter = true;
    advertise(other, { lifetime: 0, routes: [["::", 0, 1]] });
    world.run(MILLISECOND);
    assert.ok(goesBy(world, machine, other));
    advertise(other, { lifetime: 1800, preference: 1, routes: [["::", 0, 3]] });
    world.run(MILLISECOND);
    assert.ok(goesBy(world, machine, router));
  });
  simulate("routers without number have no more than their places (5.1)", (world) => {
    const { machine, router } = automatic(world);
    const rogue = world.peer("10.0.0.66", { ip6: "fe80::66" });
    const change = moved(machine, "ndp", () => {
      for (let i = 0; i < 100; i++) {
        const route: [string, number] = [`2001:db8:${(i + 256).toString(16)}::`, 48];
        advertise(rogue, { preference: 3, routes: [route] }, { source: `fe80::${i + 256}` });
        world.run(200 * MILLISECOND);
      }
    });
    // 7 default routers beside the one there is, and 16 routes.
    assert.equal(change["refused"], 100 - 7 + 100 - 16);
    assert.ok(goesBy(world, machine, router));
    assert.equal(held(machine), 0);
  });
  simulate("a silent router is passed over (6.3.6; 7.3.3)", (world) => {
    const { machine, router } = automatic(world);
    const other = world.peer("10.0.0.3", { ip6: "fe80::3" });
    other.isRouter = true;
    advertise(other, { preference: 3 });
    assert.ok(goesBy(world, machine, router));
    router.answersArp = false;
    for (let i = 0; i < 20; i++) {
      send(world, machine, FAR);
      world.run(SECOND);
    }
    assert.ok(goesBy(world, machine, other));
  });
});

describe("what a router says of the link", () => {
  simulate("the MTU (6.3.4), not below 1,280 and not above the link's", (world) => {
    const { machine, router } = automatic(world, { prefix: PREFIX, mtu: 1400 });
    const sockets = new Sockets(machine);
    const listener = sockets.stream(Domain.Inet6);
    sockets.bind(listener, 80, "::");
    sockets.listen(listener);
    const mss = (port: number): number => {
      const flow = router.tcp(addresses(machine)["stable"]!, 80, port);
      router.ip6 = `${PREFIX}1`;
      const answer = flow.connect({ mss: 1440 });
      return answer.options.mss!;
    };
    assert.equal(mss(4001), 1340);
    for (const mtu of [1279, 1501, 9000]) {
      advertise(router, { mtu }, { source: ROUTER });
      world.run(MILLISECOND);
    }
    assert.equal(mss(4002), 1340);
    advertise(router, { mtu: 1280 }, { source: ROUTER });
    world.run(MILLISECOND);
    assert.equal(mss(4003), 1220);
  });
  simulate("the hop limit (6.3.4)", (world) => {
    const { machine, router } = automatic(world, { prefix: PREFIX, hopLimit: 33 });
    send(world, machine, FAR);
    assert.equal(router.expectUdp(4000).ipv6!.hopLimit, 33);
  });
});
