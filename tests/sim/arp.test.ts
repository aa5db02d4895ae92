import assert from "node:assert/strict";
import { describe } from "node:test";
import { ethernet, ETHERTYPE_ARP, type Frame } from "../../tools/sim/frames.ts";
import { macAddress } from "../../tools/sim/machine.ts";
import { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { counters, held, moved } from "./counters.ts";
import { OWN, settled, simulate } from "./harness.ts";

const isRequestFor = (ip: string) => (frame: Frame) =>
  frame.arp?.operation === "request" && frame.arp.targetIp === ip;

/** An echo request from a host that does not answer ARP itself: the answer must find it. */
const ping = (peer: Peer, source: string, sequence = 1): void =>
  peer.sendIpv4(
    {
      source,
      destination: OWN,
      protocol: 1,
      payload: echoRequest(sequence),
    },
    peer.resolve(OWN),
  );

function echoRequest(sequence: number): Uint8Array {
  const sum = 0xffff - 0x0800 - sequence;
  return Uint8Array.of(8, 0, sum >> 8, sum & 255, 0, 0, sequence >> 8, sequence & 255);
}

/** A station that is past its announcements and knows the peer. */
describe("ARP (RFC 826)", () => {
  simulate("a request for our address is answered to the asker alone", (world) => {
    const { machine, peer } = settled(world);
    const sent = moved(machine, "arp", () => {
      peer.sendArp({ operation: "request", targetIp: OWN });
      const reply = peer.expectArp("reply");
      assert.equal(reply.senderIp, OWN);
      assert.equal(reply.senderMac, "52:54:00:5a:01:01");
      assert.equal(reply.targetIp, peer.ip);
      assert.equal(reply.targetMac, peer.mac);
    });
    assert.deepEqual(sent, { requestsReceived: 1, repliesSent: 1 });
    assert.equal(held(machine), 0);
  });

  simulate("a request for another address is not answered", (world) => {
    const { peer } = settled(world);
    peer.sendArp({ operation: "request", targetIp: "10.0.0.77" });
    peer.expectNone((frame) => frame.arp !== undefined, SECOND, "ARP");
  });

  simulate(
    "who asks for us is known without a question back (RFC 826, Packet Reception)",
    (world) => {
      const { peer } = settled(world);
      peer.sendIcmp(OWN, { type: 8, code: 0, rest: 1, payload: new Uint8Array(0) });
      const first = peer.expect(
        (frame) => frame.icmp !== undefined || isRequestFor(peer.ip)(frame),
        SECOND,
      );
      assert.ok(first.icmp);
    },
  );

  simulate("a reply that nobody asked for makes no entry", (world) => {
    const { machine, peer } = settled(world);
    const before = counters(machine, "neighbours")["entriesPending"]!;
    for (let i = 10; i < 60; i++) {
      peer.sendArp({
        operation: "reply",
        senderIp: `10.0.0.${i}`,
        targetIp: OWN,
        targetMac: "52:54:00:5a:01:01",
      });
    }
    world.run(10 * MILLISECOND);
    const after = counters(machine, "neighbours")["entriesPending"]!;
    assert.equal(after, before);
  });

  simulate(
    "an entry that exists takes a new address from its owner (RFC 826, the merge)",
    (world) => {
      const { machine, peer } = settled(world);
      peer.resolve(OWN);
      const moving = new Peer(world.link, { ip: peer.ip, mac: macAddress(0x99) });
      peer.answersArp = false;
      const change = moved(machine, "neighbours", () => {
        moving.sendArp({ operation: "request", targetIp: moving.ip });
        world.run(10 * MILLISECOND);
      });
      assert.equal(change["changed"], 1);
      moving.sendIcmp(OWN, { type: 8, code: 0, rest: 5, payload: new Uint8Array(4) });
      assert.equal(moving.expectIcmp(0).rest, 5);
    },
  );

  simulate("requests from another subnet are answered, and not remembered", (world) => {
    const { machine, peer } = settled(world);
    const before = counters(machine, "neighbours")["entriesPending"]!;
    peer.sendArp({ operation: "request", targetIp: OWN, senderIp: "192.168.9.9" });
    assert.equal(peer.expectArp("reply").targetIp, "192.168.9.9");
    assert.equal(counters(machine, "neighbours")["entriesPending"], before);
  });

  simulate("damaged and impossible packets are dropped and counted", (world) => {
    const { machine, peer } = settled(world);
    const good = Uint8Array.from([
      0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
    ]);
    const wrong: [number, number][] = [
      [1, 6],
      [2, 0x86],
      [4, 8],
      [5, 16],
      [7, 3],
      [7, 0],
      [8, 0x53],
      [14, 224],
      [14, 127],
    ];
    const change = moved(machine, "arp", () => {
      for (const [at, value] of wrong) {
        const bytes = good.slice();
        bytes[at] = value;
        peer.sendFrame(ethernet("ff:ff:ff:ff:ff:ff", peer.mac, ETHERTYPE_ARP, bytes));
      }
      world.run(10 * MILLISECOND);
    });
    assert.deepEqual(change, { malformed: wrong.length });
    peer.expectNone((frame) => frame.arp?.operation === "reply", SECOND, "reply");
    assert.equal(held(machine), 0);
  });
});

describe("the neighbour cache (RFC 1122, 2.3.2)", () => {
  simulate("at most one request a second, three in all, then the host is unreachable", (world) => {
    const { machine, peer } = settled(world);
    peer.resolve(OWN);
    const asked: number[] = [];
    peer.handler = (frame) => {
      if (isRequestFor("10.0.0.99")(frame)) asked.push(world.simulation.now);
      return false;
    };
    const change = moved(machine, "neighbours", () => {
      for (let i = 0; i < 50; i++) {
        ping(peer, "10.0.0.99", i);
        world.run(50 * MILLISECOND);
      }
      world.run(2 * SECOND);
    });
    assert.equal(asked.length, 3);
    for (let i = 1; i < asked.length; i++) assert.ok(asked[i]! - asked[i - 1]! >= SECOND);
    assert.equal(change["failed"], 1);
    // 48 wait at most: the oldest make room, the last ones are told.
    assert.equal(change["pendingDropped"], 50 - 48);
    assert.equal(change["unresolvedDropped"], 48);
    assert.equal(held(machine), 0);
  });

  simulate("packets that waited go out when the answer comes, in order", (world) => {
    const { machine, peer } = settled(world);
    peer.resolve(OWN);
    for (let i = 0; i < 5; i++) ping(peer, "10.0.0.98", i);
    const request = peer.expect(isRequestFor("10.0.0.98")).arp!;
    assert.equal(request.senderIp, OWN);
    world.run(50 * MILLISECOND);
    peer.sendArp({
      operation: "reply",
      senderIp: "10.0.0.98",
      targetIp: OWN,
      targetMac: request.senderMac,
    });
    for (let i = 0; i < 5; i++) assert.equal(peer.expectIcmp(0, SECOND).rest & 0xffff, i);
    assert.equal(held(machine), 0);
  });

  simulate("unanswered questions cannot drain the pools", (world) => {
    const { machine, peer } = settled(world);
    let most = 0;
    for (let i = 0; i < 2000; i++) {
      ping(peer, `10.0.0.${10 + (i % 200)}`, i);
      if (i % 50 === 0) {
        world.run(MILLISECOND);
        most = Math.max(most, held(machine));
      }
    }
    world.run(10 * MILLISECOND);
    most = Math.max(most, held(machine));
    // 128, and one for each neighbour that waits beyond them.
    assert.ok(most > 128 && most <= 128 + 200, `${most} packets held`);
    peer.inbox = [];
    peer.sendIcmp(OWN, { type: 8, code: 0, rest: 1, payload: new Uint8Array(0) });
    peer.expectIcmp(0, SECOND);
    const stranger = world.peer("10.0.0.251");
    stranger.sendIcmp(OWN, { type: 8, code: 0, rest: 1, payload: new Uint8Array(0) });
    stranger.expectIcmp(0, SECOND);
    world.run(10 * SECOND);
    assert.equal(held(machine), 0);
  });

  simulate("requests for many hosts are limited to 100 at once and 100 a second", (world) => {
    const { machine, peer } = settled(world);
    peer.resolve(OWN);
    const change = moved(machine, "neighbours", () => {
      for (let i = 0; i < 240; i++) ping(peer, `10.0.0.${10 + i}`, i);
      world.run(500 * MILLISECOND);
    });
    assert.ok(change["solicitations"]! >= 100 && change["solicitations"]! <= 155);
    assert.ok(change["throttled"]! > 0);
  });

  simulate("an entry in use is refreshed by a unicast question, and no packet waits", (world) => {
    const { peer } = settled(world);
    peer.resolve(OWN);
    peer.answersArp = false;
    let unicast = 0;
    peer.handler = (frame) => {
      if (!isRequestFor(peer.ip)(frame)) return false;
      assert.equal(frame.destination, peer.mac, "a broadcast where the owner is known");
      unicast++;
      peer.sendArp({ operation: "reply", targetIp: OWN, targetMac: frame.source });
      return true;
    };
    for (let i = 0; i < 150; i++) {
      ping(peer, peer.ip, i);
      assert.equal(peer.expectIcmp(0, SECOND).rest & 0xffff, i);
      world.run(SECOND);
    }
    // Nobody confirms what a ping may say: every 30 s, and five more in doubt.
    assert.equal(unicast, 4);
  });

  simulate(
    "a neighbour that is gone is asked for by unicast, then by broadcast, then given up",
    (world) => {
      const { machine, peer } = settled(world);
      peer.resolve(OWN);
      peer.answersArp = false;
      const asked: string[] = [];
      peer.handler = (frame) => {
        if (isRequestFor(peer.ip)(frame)) asked.push(frame.destination === peer.mac ? "u" : "b");
        return false;
      };
      for (let i = 0; i < 80; i++) {
        ping(peer, peer.ip, i);
        world.run(SECOND);
      }
      assert.match(asked.join(""), /^uuubbb/);
      assert.ok(counters(machine, "neighbours")["failed"]! >= 1);
    },
  );
});

describe("address conflicts (RFC 5227)", () => {
  simulate("2.1.1, 2.3: a new address is probed once, then announced twice, 2 s apart", (world) => {
    const peer = world.peer();
    const seen: [string, number][] = [];
    peer.handler = (frame) => {
      if (isRequestFor(OWN)(frame)) seen.push([frame.arp!.senderIp, world.simulation.now]);
      return true;
    };
    world.ready();
    world.run(10 * SECOND);
    assert.deepEqual(
      seen.map(([sender]) => sender),
      ["0.0.0.0", OWN, OWN],
    );
    assert.ok(seen[1]![1] - seen[0]![1] >= 100 * MILLISECOND);
    assert.ok(seen[2]![1] - seen[1]![1] >= 2 * SECOND);
  });

  simulate("2.4: a claim to our address is answered by an announcement, once in 10 s", (world) => {
    const { machine, peer } = settled(world);
    const claim = () => peer.sendArp({ operation: "request", senderIp: OWN, targetIp: "10.0.0.9" });
    claim();
    const defence = peer.expect(isRequestFor(OWN), SECOND).arp!;
    assert.equal(defence.senderIp, OWN);
    machine.expectLine(
      /another station claims our address.*10\.0\.0\.2.*52:54:00:5a:00:01/,
      SECOND,
    );
    for (let i = 0; i < 8; i++) {
      claim();
      peer.expectNone(isRequestFor(OWN), SECOND, "second defence");
    }
    assert.equal(counters(machine, "arp")["conflicts"], 9);
  });

  simulate("a frame of our own that comes back is no conflict", (world) => {
    const { machine, peer } = settled(world);
    const echo = (frame: Frame) => frame.arp !== undefined;
    peer.sendArp({
      operation: "request",
      senderIp: OWN,
      senderMac: "52:54:00:5a:01:01",
      targetIp: OWN,
    });
    peer.expectNone(echo, SECOND, "ARP");
    assert.equal(counters(machine, "arp")["conflicts"], 0);
  });

  simulate("a link that comes back has its addresses probed and announced again", (world) => {
    const { peer } = settled(world);
    world.link.isUp = false;
    world.run(3 * SECOND);
    world.link.isUp = true;
    assert.equal(peer.expect(isRequestFor(OWN), 10 * SECOND).arp!.senderIp, "0.0.0.0");
    assert.equal(peer.expect(isRequestFor(OWN), 10 * SECOND).arp!.senderIp, OWN);
  });
});
