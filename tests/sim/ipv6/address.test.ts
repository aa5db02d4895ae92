import assert from "node:assert/strict";
import { describe } from "node:test";
import { ip6, ip6Bytes, solicitedNode } from "../../../tools/sim/frames.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { held } from "../counters.ts";
import { simulate, World } from "../harness.ts";
import { addresses, advertise, automatic, HOST, PREFIX, ROUTER, settled } from "./network.ts";

/** The target of a probe. */
const target = (payload: Uint8Array): string => ip6(payload.subarray(0, 16));

const HOUR = 3600 * SECOND;

describe("duplicate address detection (RFC 4862, 5.4)", () => {
  simulate(
    "probes from nowhere, in the solicited-node group, once; a second later uses it",
    (world) => {
      const { machine } = world.station({ ip: "10.0.0.2/24", ip6: `${HOST}/64` });
      const peer = world.peer("10.0.0.1", { ip6: `${PREFIX}1` });
      const probe = peer.expect((f) => f.icmp6?.type === 135 && target(f.icmp6.payload) === HOST);
      assert.equal(probe.ipv6!.source, "::");
      assert.equal(probe.ipv6!.destination, solicitedNode(HOST));
      assert.equal(probe.icmp6!.payload.length, 16);
      assert.equal(addresses(machine)["static"], undefined);
      world.run(900 * MILLISECOND);
      assert.equal(addresses(machine)["static"], undefined);
      world.run(200 * MILLISECOND);
      assert.equal(addresses(machine)["static"], HOST);
    },
  );
  simulate("a tentative address is not answered for (5.4)", (world) => {
    world.station({ ip: "10.0.0.2/24", ip6: `${HOST}/64` });
    const peer = world.peer("10.0.0.1", { ip6: `${PREFIX}1` });
    peer.expect((f) => f.icmp6?.type === 135 && target(f.icmp6.payload) === HOST);
    peer.solicit(HOST);
    peer.expectNone((f) => f.icmp6?.type === 136, 500 * MILLISECOND, "answer");
  });
  for (const [name, answer] of [
    ["whoever has it answers (5.4.4)", "advertisement"],
    ["another probes for it, too (5.4.3)", "probe"],
  ] as const) {
    simulate(`a static address is given up when ${name}`, (world) => {
      const { machine } = world.station({ ip: "10.0.0.2/24", ip6: `${HOST}/64` });
      const peer = world.peer("10.0.0.1", { ip6: `${PREFIX}1` });
      peer.expect((f) => f.icmp6?.type === 135 && target(f.icmp6.payload) === HOST);
      if (answer === "probe") peer.solicit(HOST, "::");
      else peer.advertise(HOST, "ff02::1", 0x20);
      machine.expectLine(/in use by another station address=2001:db8:1::2/, SECOND);
      world.run(5 * SECOND);
      assert.equal(addresses(machine)["static"], undefined);
      peer.inbox = [];
      peer.solicit(HOST);
      peer.expectNone((f) => f.icmp6?.type === 136, SECOND, "answer");
      assert.equal(held(machine), 0);
    });
  }
  simulate("a solicitation from a host's own address is no conflict (5.4.3)", (world) => {
    const { machine } = world.station({ ip: "10.0.0.2/24", ip6: `${HOST}/64` });
    const peer = world.peer("10.0.0.1", { ip6: `${PREFIX}1` });
    peer.expect((f) => f.icmp6?.type === 135 && target(f.icmp6.payload) === HOST);
    peer.solicit(HOST);
    machine.expectLine(/2001:db8:1::2\/64 \(static\)/, 2 * SECOND);
  });
  simulate("a made-up address has a successor (RFC 7217, 6)", (world) => {
    const { machine } = world.station({ ip: "10.0.0.2/24", ip6: "auto" });
    const peer = world.peer("10.0.0.1", { ip6: ROUTER });
    const seen: string[] = [];
    for (let i = 0; i < 2; i++) {
      const probe = peer.expect(
        (f) => f.icmp6?.type === 135 && f.ipv6!.source === "::",
        5 * SECOND,
      );
      seen.push(target(probe.icmp6!.payload));
      peer.advertise(seen[i]!, "ff02::1", 0x20);
    }
    assert.notEqual(seen[0], seen[1]);
    machine.expectLine(/fe80::.*link-local/, 5 * SECOND);
    assert.ok(!seen.includes(addresses(machine)["link-local"]!));
  });
  simulate("an address in use is defended (RFC 4861, 7.2.6)", (world) => {
    const { machine, peer } = settled(world);
    peer.advertise(HOST, "ff02::1", 0x20, "52:54:00:aa:bb:cc");
    machine.expectLine(/another station claims our address/, SECOND);
    const { icmp6, ipv6 } = peer.expectIcmp6(136);
    assert.equal(icmp6!.rest >>> 24, 0x20);
    assert.equal(ipv6!.destination, "ff02::1");
  });
  simulate("a link that comes back makes addresses tentative again", (world) => {
    const { nic } = world.ready({ ip6: `${HOST}/64` });
    const peer = world.peer("10.0.0.1", { ip6: `${PREFIX}1` });
    world.run(5 * SECOND);
    nic.carrier(false);
    world.run(5 * SECOND);
    peer.inbox = [];
    nic.carrier(true);
    peer.expect((f) => f.icmp6?.type === 135 && target(f.icmp6.payload) === HOST, 8 * SECOND);
    world.run(2 * SECOND);
    peer.inbox = [];
    peer.solicit(HOST);
    peer.expectIcmp6(136);
  });
});

describe("addresses of a router's prefix (RFC 4862, 5.5.3)", () => {
  simulate("one that stays and one for a while; neither tells the MAC address", (world) => {
    const { machine } = automatic(world);
    const { stable, temporary } = addresses(machine);
    for (const address of [stable!, temporary!]) {
      assert.deepEqual(ip6Bytes(address).slice(0, 8), ip6Bytes(PREFIX).slice(0, 8));
      assert.notDeepEqual(ip6Bytes(address).slice(11, 13), [0xff, 0xfe]);
    }
  });
  /** A machine's stable address under a prefix, after a boot of its own. */
  const stableUnder = (prefix: string, more = ""): string => {
    const world = new World();
    try {
      return addresses(automatic(world, { prefix }, { commandLine: more }).machine)["stable"]!;
    } finally {
      world.close();
    }
  };
  simulate(
    "the stable one is the same at each boot, another on the next network (RFC 7217, 4)",
    () => {
      const first = stableUnder(PREFIX);
      assert.equal(stableUnder(PREFIX), first);
      const other = stableUnder("2001:db8:2::");
      assert.notDeepEqual(ip6Bytes(other).slice(8), ip6Bytes(first).slice(8));
      assert.notEqual(stableUnder(PREFIX, "hostname=other"), first);
    },
  );
  const none: [string, Parameters<typeof advertise>[1]][] = [
    ["without the A flag", { prefix: PREFIX, flags: 0x80 }],
    ["of the link (b)", { prefix: "fe80::" }],
    ["preferred for longer than valid (c)", { prefix: PREFIX, valid: 100, preferred: 101 }],
    ["of another length than 64 (d)", { prefix: PREFIX, prefixLength: 63 }],
    ["that is over (d)", { prefix: PREFIX, valid: 0, preferred: 0 }],
    ["that is a group", { prefix: "ff05::" }],
  ];
  for (const [name, said] of none) {
    simulate(`a prefix ${name} makes no address`, (world) => {
      const { machine } = automatic(world, said);
      assert.equal(addresses(machine)["stable"], undefined);
    });
  }
  simulate("a deprecated address answers, and after its valid life does not (5.5.4)", (world) => {
    const { machine, router } = automatic(world, { prefix: PREFIX, valid: 100, preferred: 20 });
    const { stable } = addresses(machine);
    const answers = (): boolean => {
      router.inbox = [];
      router.solicit(stable!);
      world.run(50 * MILLISECOND);
      return router.inbox.some((f) => f.icmp6?.type === 136);
    };
    world.run(30 * SECOND);
    assert.ok(answers());
    world.run(70 * SECOND);
    assert.ok(!answers());
    assert.equal(held(machine), 0);
  });
  simulate("a forged end does not come sooner than two hours (5.5.3 e)", (world) => {
    const { machine, router } = automatic(world, {
      prefix: PREFIX,
      valid: 86400,
      preferred: 86400,
    });
    const { stable } = addresses(machine);
    advertise(router, { prefix: PREFIX, valid: 10, preferred: 10 });
    world.run(HOUR);
    router.inbox = [];
    router.solicit(stable!);
    router.expectIcmp6(136);
    world.run(1.1 * HOUR);
    router.inbox = [];
    router.solicit(stable!);
    router.expectNone((f) => f.icmp6?.type === 136, SECOND, "answer");
  });
  simulate("a rogue's prefixes make only so many addresses", (world) => {
    const { machine, router } = automatic(world);
    for (let i = 0; i < 100; i++) {
      advertise(router, { prefix: `2001:db8:${(i + 16).toString(16)}::` });
      world.run(200 * MILLISECOND);
    }
    world.run(3 * SECOND);
    const made = machine.console.filter((line) => /\(router, /.test(line)).length;
    assert.ok(made >= 4 && made <= 16, `${made}`);
    assert.equal(held(machine), 0);
  });
});

describe("temporary addresses (RFC 8981)", () => {
  simulate("are followed by others before they are deprecated (3.5)", (world) => {
    const { machine, router } = automatic(world, {
      prefix: PREFIX,
      valid: 0xffffffff,
      preferred: 0xffffffff,
      lifetime: 9000,
    });
    const made = (): string[] =>
      machine.console.flatMap(
        (line) => / ([0-9a-f:]+)\/64 \(router, temporary/.exec(line)?.[1] ?? [],
      );
    assert.equal(made().length, 1);
    for (let hours = 0; hours < 25; hours++) {
      advertise(router, { prefix: PREFIX, valid: 0xffffffff, preferred: 0xffffffff });
      world.run(HOUR);
    }
    assert.equal(made().length, 2);
    assert.notDeepEqual(ip6Bytes(made()[0]!).slice(8), ip6Bytes(made()[1]!).slice(8));
    for (let hours = 0; hours < 30; hours++) {
      advertise(router, { prefix: PREFIX, valid: 0xffffffff, preferred: 0xffffffff });
      world.run(HOUR);
    }
    // Two days after it was made, the first is gone (3.8: TEMP_VALID_LIFETIME).
    router.inbox = [];
    router.solicit(made()[0]!);
    router.expectNone((f) => f.icmp6?.type === 136, SECOND, "answer");
    router.solicit(addresses(machine)["stable"]!);
    router.expectIcmp6(136);
  });
});
