import assert from "node:assert/strict";
import { describe } from "node:test";
import { ip6Bytes, macBytes } from "../../../tools/sim/frames.ts";
import type { Machine } from "../../../tools/sim/machine.ts";
import type { Peer } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { Domain, Sockets } from "../../../tools/sim/sockets.ts";
import { counters, held, moved } from "../counters.ts";
import { simulate, type World } from "../harness.ts";
import { HOST, OWN_MAC, PREFIX, settled } from "./network.ts";

const PEER = `${PREFIX}1`;
const OTHER_MAC = "52:54:00:aa:bb:cc";

/** A machine, and what sends a datagram to an address. */
function sender(world: World): { machine: Machine; peer: Peer; send: (to?: string) => void } {
  const { machine, peer } = settled(world);
  const sockets = new Sockets(machine);
  const socket = sockets.datagram(Domain.Inet6);
  const send = (to = PEER) => {
    sockets.sendTo(socket, Uint8Array.of(1), to, 4000);
    world.run(MILLISECOND);
  };
  return { machine, peer, send };
}

/** A solicitation of `peer`'s, with any field wrong. */
function solicit(
  peer: Peer,
  wrong: {
    hopLimit?: number;
    code?: number;
    target?: string;
    options?: number[];
    source?: string;
    to?: string;
  },
): void {
  const options = wrong.options ?? [1, 1, ...macBytes(peer.mac)];
  const payload = Uint8Array.of(...ip6Bytes(wrong.target ?? HOST), ...options);
  peer.sendIcmp6(
    {
      destination: wrong.to ?? HOST,
      source: wrong.source ?? PEER,
      hopLimit: wrong.hopLimit ?? 255,
    },
    { type: 135, code: wrong.code ?? 0, rest: 0, payload },
    OWN_MAC,
  );
}

describe("neighbour solicitations to us (RFC 4861, 7.1.1, 7.2.3, 7.2.4)", () => {
  simulate("are answered: solicited, overriding, with our MAC address", (world) => {
    const { peer } = settled(world);
    peer.solicit(HOST);
    const { icmp6, ipv6 } = peer.expectIcmp6(136);
    assert.equal(icmp6!.rest >>> 24, 0x60);
    assert.deepEqual([...icmp6!.payload], [...ip6Bytes(HOST), 2, 1, ...macBytes(OWN_MAC)]);
    assert.deepEqual([ipv6!.source, ipv6!.destination, ipv6!.hopLimit], [HOST, PEER, 255]);
  });
  simulate("from nobody: answered to all, not as solicited", (world) => {
    const { peer } = settled(world);
    peer.solicit(HOST, "::");
    const { icmp6, ipv6 } = peer.expectIcmp6(136);
    assert.equal(icmp6!.rest >>> 24, 0x20);
    assert.equal(ipv6!.destination, "ff02::1");
  });
  simulate("for an address that we do not have are not answered", (world) => {
    const { peer } = settled(world);
    solicit(peer, { target: `${PREFIX}3` });
    peer.expectNone((frame) => frame.icmp6?.type === 136, SECOND, "advertisement");
  });
  const malformed: [string, Parameters<typeof solicit>[1]][] = [
    ["a hop limit that a router has taken from", { hopLimit: 254 }],
    ["a code", { code: 1 }],
    ["a group as target", { target: "ff02::1" }],
    ["an option of length 0", { options: [1, 0, 0, 0, 0, 0, 0, 0] }],
    ["an option beyond the message", { options: [1, 2, 0, 0, 0, 0, 0, 0] }],
    ["a link address of nobody", { source: "::" }],
    ["nobody's, to a unicast address", { source: "::", options: [] }],
  ];
  for (const [name, wrong] of malformed) {
    simulate(`${name} is not believed`, (world) => {
      const { machine, peer } = settled(world);
      const change = moved(machine, "ndp", () => {
        solicit(peer, wrong);
        world.run(10 * MILLISECOND);
      });
      assert.equal(change["malformed"], 1, JSON.stringify(change));
      peer.expectNone((frame) => frame.icmp6 !== undefined, SECOND, "answer");
      assert.equal(held(machine), 0);
    });
  }
  simulate("a flood of strangers leaves the cache bounded, and us alive (RFC 6583)", (world) => {
    const { machine, peer } = settled(world);
    for (let i = 0; i < 2000; i++) {
      solicit(peer, { source: `${PREFIX}${(i + 16).toString(16)}` });
      if (i % 32 === 0) world.run(MILLISECOND);
    }
    world.run(20 * SECOND);
    const { entriesPending, throttled } = counters(machine, "neighbours");
    assert.ok(entriesPending! % 2 ** 32 <= 512);
    assert.ok(throttled! > 1000, `${throttled}`);
    peer.inbox = [];
    peer.sendIcmp6(
      { destination: HOST },
      { type: 128, code: 0, rest: 1, payload: new Uint8Array(8) },
    );
    peer.expectIcmp6(129);
    assert.equal(held(machine), 0);
  });
});

describe("address resolution (RFC 4861, 7.2)", () => {
  simulate(
    "asks the solicited-node group, holds the packet, and sends it when answered",
    (world) => {
      const { peer, send } = sender(world);
      peer.answersArp = false;
      const to = `${PREFIX}ab:cdef`;
      send(to);
      const { icmp6, ipv6, destination } = peer.expectIcmp6(135);
      assert.equal(ipv6!.destination, "ff02::1:ffab:cdef");
      assert.equal(destination, "33:33:ff:ab:cd:ef");
      assert.deepEqual([...icmp6!.payload.subarray(0, 16)], ip6Bytes(to));
      peer.ip6 = to;
      peer.advertise(to, HOST);
      assert.equal(peer.expectUdp(4000).ipv6!.destination, to);
    },
  );
  simulate("gives up after three questions, a second apart (10)", (world) => {
    const { machine, peer, send } = sender(world);
    const times: number[] = [];
    peer.handler = (frame) => {
      if (frame.icmp6?.type === 135) times.push(world.simulation.now);
      return true;
    };
    send(`${PREFIX}99`);
    world.run(10 * SECOND);
    assert.equal(times.length, 3);
    for (const i of [1, 2]) {
      assert.ok(Math.abs(times[i]! - times[i - 1]! - SECOND) < 10 * MILLISECOND);
    }
    assert.equal(held(machine), 0);
  });
  simulate("an answer without a link address says nothing (7.2.5)", (world) => {
    const { peer, send } = sender(world);
    peer.answersArp = false;
    send(`${PREFIX}99`);
    peer.expectIcmp6(135);
    peer.sendIcmp6(
      { destination: HOST, hopLimit: 255 },
      { type: 136, code: 0, rest: 0x60000000, payload: Uint8Array.from(ip6Bytes(`${PREFIX}99`)) },
    );
    peer.expectNone((frame) => frame.udp !== undefined, 500 * MILLISECOND, "datagram");
  });
  simulate("what nobody asked for makes no entry (7.2.5)", (world) => {
    const { machine, peer } = settled(world);
    const before = counters(machine, "neighbours")["entriesPending"]!;
    peer.advertise(`${PREFIX}77`, HOST, 0x20);
    world.run(MILLISECOND);
    assert.equal(counters(machine, "neighbours")["entriesPending"]!, before);
  });
});

/** The next datagram's destination MAC. */
function whereTo(peer: Peer, send: () => void): string {
  let to = "";
  const { handler } = peer;
  peer.link.observe((bytes) => {
    if (bytes[12] === 0x86 && bytes[20] === 17) {
      to = Array.from(bytes.subarray(0, 6), (b) => b.toString(16).padStart(2, "0")).join(":");
    }
  });
  send();
  peer.handler = handler;
  return to;
}

describe("unreachability detection (RFC 4861, 7.3)", () => {
  simulate("a stale entry is used, and probed by unicast five seconds later", (world) => {
    const { peer, send } = sender(world);
    send();
    peer.expectUdp(4000);
    world.run(60 * SECOND);
    peer.inbox = [];
    send();
    peer.expectUdp(4000);
    peer.expectNone((frame) => frame.icmp6?.type === 135, 4900 * MILLISECOND, "probe");
    const times: number[] = [];
    peer.answersArp = false;
    peer.handler = (frame) => {
      if (frame.icmp6?.type === 135 && frame.ipv6!.destination === PEER) {
        times.push(world.simulation.now);
      }
      return true;
    };
    world.run(1000 * MILLISECOND);
    assert.equal(times.length, 1);
  });
  simulate("an answer to a probe ends it", (world) => {
    const { peer, send } = sender(world);
    send();
    world.run(60 * SECOND);
    send();
    let probes = 0;
    world.link.observe((bytes, from) => {
      if (bytes[12] === 0x86 && bytes[20] === 58 && bytes[54] === 135 && from !== peer) probes++;
    });
    world.run(12 * SECOND);
    assert.equal(probes, 1);
  });
  simulate("an overriding advertisement moves a neighbour (7.2.5)", (world) => {
    const { peer, send } = sender(world);
    send();
    peer.expectUdp(4000);
    peer.advertise(PEER, HOST, 0x20, OTHER_MAC);
    world.run(MILLISECOND);
    assert.equal(whereTo(peer, send), OTHER_MAC);
  });
  simulate("one that does not override only raises doubt (7.2.5)", (world) => {
    const { peer, send } = sender(world);
    send();
    peer.expectUdp(4000);
    peer.advertise(PEER, HOST, 0x00, OTHER_MAC);
    world.run(MILLISECOND);
    assert.equal(whereTo(peer, send), peer.mac);
    // In doubt, it is probed.
    peer.answersArp = false;
    peer.expect(
      (frame) => frame.icmp6?.type === 135 && frame.ipv6!.destination === PEER,
      7 * SECOND,
    );
  });
});
