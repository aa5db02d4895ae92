import assert from "node:assert/strict";
import type { PeerTcp } from "../../../tools/sim/peer.ts";
import type { TcpOptions, TcpSegment } from "../../../tools/sim/frames.ts";
import { simulate, type World } from "../harness.ts";
import { flood } from "./flood.ts";
import {
  ACK,
  EAGAIN,
  MACHINE,
  MILLISECOND,
  pattern,
  PORT,
  Program,
  RST,
  SECOND,
  SYN,
} from "./program.ts";

/** The SYN cache and SYN cookies: RFC 4987, 3.4 and 3.6. */

/** SYNs that more than fill a port's share of the test machine's SYN cache. */
const ENOUGH = 3000;
const PEER_CLOCK = 7000;

interface Flooded {
  program: Program;
  listener: number;
  peer: PeerTcp;
}

/** A machine whose port is flooded so that it answers with cookies, and a peer about to connect. */
function flooded(world: World, backlog = 16): Flooded {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT, backlog);
  const host = world.peer();
  flood(world, host, PORT, ENOUGH);
  return { program, listener, peer: host.tcp(MACHINE, PORT, 4000) };
}

/** Sends a SYN and returns its answer, which the peer has taken note of. */
function open(peer: PeerTcp, options: TcpOptions): TcpSegment {
  peer.sndNxt = peer.iss;
  peer.send({ flags: SYN, options });
  const answer = peer.take(peer.expect({ flags: SYN | ACK, ack: peer.iss + 1 }));
  peer.irs = answer.seq;
  if (options.timestamps) {
    peer.options = { timestamps: [options.timestamps[0] + 1, answer.options.timestamps![0]] };
  }
  return answer;
}

const STAMPED: TcpOptions = { mss: 1460, windowScale: 4, timestamps: [PEER_CLOCK, 0] };

simulate(
  "RFC 4987, 3.6: 100,000 SYNs from strangers, and a client connects at its first try",
  (world) => {
    const { machine } = world.ready();
    const program = new Program(machine);
    const listener = program.listen(PORT);
    const host = world.peer();
    const held = program.packetsHeld;
    flood(world, host, PORT, 100_000);
    const { halfOpen, synCookiesSent, connections } = program.tcp;
    assert.ok(halfOpen < 1000, `${halfOpen} half-open connections`);
    assert.ok(synCookiesSent >= 100_000 - 1000, `${synCookiesSent} cookies`);
    assert.equal(connections, 1);
    const peer = host.tcp(MACHINE, PORT, 4000);
    open(peer, STAMPED);
    flood(world, host, PORT, 100);
    peer.send();
    world.run(MILLISECOND);
    const socket = program.accept(listener);
    assert.ok(socket > 0, `${socket}`);
    program.send(socket, pattern(100));
    peer.expect({ flags: ACK, seq: peer.irs + 1, length: 100 });
    assert.equal(program.tcp.synCookiesOk, 1);
    world.run(70 * SECOND);
    assert.equal(program.tcp.halfOpen, 0);
    // What ARP still holds for the strangers goes with its own time.
    assert.ok(program.packetsHeld <= held + 64, `${program.packetsHeld} packets held`);
  },
);

simulate("RFC 4987, 3.4: a flood of one port leaves the SYN cache open to another", (world) => {
  const { program, listener, peer } = flooded(world);
  const other = program.listen(81);
  const before = program.tcp;
  const host = peer.peer;
  for (let i = 0; i < 50; i++) {
    const client = host.tcp(MACHINE, 81, 5000 + i);
    client.send({ flags: SYN, options: { mss: 1460 } });
    client.expect({ flags: SYN | ACK });
  }
  const after = program.tcp;
  assert.equal(after.synCookiesSent, before.synCookiesSent);
  assert.equal(after.halfOpen, before.halfOpen + 50);
  assert.equal(program.accept(other), EAGAIN);
  assert.equal(program.accept(listener), EAGAIN);
});

simulate("RFC 4987, 3.4: entries in the SYN cache are not given up for a flood", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const host = world.peer();
  const peer = host.tcp(MACHINE, PORT, 4000);
  open(peer, { mss: 1460, windowScale: 7 });
  flood(world, host, PORT, ENOUGH);
  const cookies = program.tcp.synCookiesOk;
  peer.send();
  world.run(MILLISECOND);
  assert.ok(program.accept(listener) > 0);
  assert.equal(program.tcp.synCookiesOk, cookies);
});

simulate("RFC 4987, 3.6: with timestamps a cookie keeps the window scale", (world) => {
  const { program, listener, peer } = flooded(world);
  const answer = open(peer, STAMPED);
  assert.ok(answer.options.windowScale !== undefined);
  peer.window = 181;
  peer.send();
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  program.send(socket, pattern(10000));
  // 181 << 4 bytes: two segments of 1,460 less timestamps.
  peer.expect({ seq: peer.irs + 1, length: 1448 });
  peer.expect({ length: 1448 });
  peer.expectNone(100 * MILLISECOND);
});

simulate("RFC 4987, 3.6: a cookie tells a scale of 0 from none", (world) => {
  const { program, listener, peer } = flooded(world);
  const { windowScale } = open(peer, { ...STAMPED, windowScale: 0 }).options;
  assert.ok(windowScale !== undefined);
  peer.send();
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  // The machine's window is scaled from now on: the checker holds it against what was offered.
  peer.send({ payload: pattern(1000) });
  const { window, ack } = peer.expect({ flags: ACK });
  assert.equal(ack, peer.sndNxt);
  assert.ok(window << windowScale >= 32000, `${window} << ${windowScale}`);
  assert.deepEqual(program.receive(socket), pattern(1000));
});

simulate("RFC 4987, 3.6: without timestamps a cookie agrees on no window scale", (world) => {
  const { program, listener, peer } = flooded(world);
  const { options } = open(peer, { mss: 1460, windowScale: 4 });
  assert.equal(options.windowScale, undefined);
  assert.equal(options.timestamps, undefined);
  peer.window = 200;
  peer.send();
  world.run(MILLISECOND);
  program.send(program.accept(listener), pattern(10000));
  peer.expect({ length: 200 }, SECOND);
});

simulate("RFC 4987, 3.6: with timestamps a cookie keeps SACK", (world) => {
  const { program, listener, peer } = flooded(world);
  assert.equal(open(peer, { ...STAMPED, sackPermitted: true }).options.sackPermitted, true);
  peer.send();
  world.run(MILLISECOND);
  assert.ok(program.accept(listener) > 0);
  const early = peer.sndNxt + 100;
  peer.send({ seq: early, payload: pattern(50) });
  assert.deepEqual(peer.expect({ flags: ACK }).options.sack, [[early, early + 50]]);
});

simulate("RFC 4987, 3.6: a cookie gives no SACK to a peer that did not offer it", (world) => {
  const { program, listener, peer } = flooded(world);
  assert.equal(open(peer, STAMPED).options.sackPermitted, undefined);
  peer.send();
  world.run(MILLISECOND);
  assert.ok(program.accept(listener) > 0);
  peer.send({ seq: peer.sndNxt + 100, payload: pattern(50) });
  assert.equal(peer.expect({ flags: ACK }).options.sack, undefined);
});

simulate("RFC 4987, 3.6: without timestamps a cookie agrees on no SACK", (world) => {
  const { peer } = flooded(world);
  assert.equal(open(peer, { mss: 1460, sackPermitted: true }).options.sackPermitted, undefined);
});

for (const [offered, kept] of [
  [9000, 1460],
  [1460, 1460],
  [1459, 1440],
  [1400, 1400],
  [1300, 1220],
  [600, 536],
  [300, 256],
] as const) {
  simulate(`RFC 4987, 3.6: a cookie keeps an MSS of ${offered} as ${kept}`, (world) => {
    const { program, listener, peer } = flooded(world);
    open(peer, { mss: offered });
    peer.send();
    world.run(MILLISECOND);
    program.send(program.accept(listener), pattern(5000));
    peer.expect({ seq: peer.irs + 1, length: kept });
  });
}

simulate("RFC 9293, 3.7.1: a cookie for a SYN without an MSS stands for the default", (world) => {
  const { program, listener, peer } = flooded(world);
  open(peer, {});
  peer.send();
  world.run(MILLISECOND);
  program.send(program.accept(listener), pattern(5000));
  peer.expect({ seq: peer.irs + 1, length: 536 });
});

simulate("RFC 4987, 3.6: data may come with the ACK that brings the cookie", (world) => {
  const { program, listener, peer } = flooded(world);
  open(peer, STAMPED);
  peer.send({ payload: pattern(300) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(program.accept(listener)), pattern(300));
});

simulate("RFC 4987, 3.6: when the ACK is lost, the data behind it brings the cookie", (world) => {
  const { program, listener, peer } = flooded(world);
  open(peer, STAMPED);
  world.run(10 * SECOND);
  peer.send({ payload: pattern(300) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(program.accept(listener)), pattern(300));
});

simulate("RFC 7323, 3.2: TSval in a cookie is not ahead of the clock", (world) => {
  const { program, listener, peer } = flooded(world);
  const [stamped] = open(peer, { ...STAMPED, windowScale: 14 }).options.timestamps!;
  peer.send();
  world.run(MILLISECOND);
  program.send(program.accept(listener), pattern(10));
  const [now] = peer.expect({ length: 10 }).options.timestamps!;
  const behind = (now - stamped) | 0;
  assert.ok(behind >= 0 && behind < 64 + 10, `${behind} ms`);
  assert.equal(stamped & 15, 14);
});

simulate("RFC 4987, 3.6: a cookie that nobody sent is reset and leaves nothing", (world) => {
  const { program, listener, peer } = flooded(world);
  const { connections } = program.tcp;
  for (let i = 1; i <= 20; i++) {
    const ack = Math.imul(i, 0x9e3779b1) >>> 0;
    peer.send({ seq: 1000, ack });
    peer.expect({ flags: RST, seq: ack });
  }
  assert.equal(program.tcp.synCookiesBad, 20);
  assert.equal(program.tcp.connections, connections);
  assert.equal(program.accept(listener), EAGAIN);
});

/** What a forger changes in an ACK that would be good. */
const FORGERIES: [what: string, change: (peer: PeerTcp) => void][] = [
  ["sequence number", (peer) => peer.send({ seq: peer.sndNxt + 1 })],
  ["MSS", (peer) => peer.send({ ack: (peer.rcvNxt ^ 2) >>> 0 })],
  ["generation", (peer) => peer.send({ ack: (((peer.rcvNxt - 1) ^ 1) + 1) >>> 0 })],
  [
    "window scale",
    (peer) => {
      const [value, echo] = peer.options.timestamps!;
      peer.send({ options: { timestamps: [value, (echo ^ 3) >>> 0] } });
    },
  ],
  ["lack of timestamps", (peer) => peer.send({ options: {} })],
  [
    "port",
    (peer) => {
      const other = peer.peer.tcp(MACHINE, PORT, peer.localPort + 1);
      other.options = peer.options;
      other.send({ seq: peer.sndNxt, ack: peer.rcvNxt });
    },
  ],
];
for (const [what, change] of FORGERIES) {
  simulate(`RFC 4987, 3.6: a cookie is good for no other ${what}`, (world) => {
    const { program, listener, peer } = flooded(world);
    open(peer, STAMPED);
    change(peer);
    world.run(MILLISECOND);
    assert.equal(program.tcp.synCookiesBad, 1);
    assert.equal(program.accept(listener), EAGAIN);
    peer.send();
    world.run(MILLISECOND);
    assert.ok(program.accept(listener) > 0);
  });
}

simulate("RFC 4987, 3.6: a cookie is good for a minute, and no more after three", (world) => {
  const { program, listener, peer } = flooded(world);
  open(peer, STAMPED);
  const late = peer.peer.tcp(MACHINE, PORT, 4001);
  open(late, STAMPED);
  world.run(59 * SECOND);
  peer.send();
  world.run(MILLISECOND);
  assert.ok(program.accept(listener) > 0);
  // More cookies keep the check going while the secret that signed the first two is replaced.
  flood(world, peer.peer, PORT, ENOUGH);
  world.run(62 * SECOND);
  late.send();
  late.expect({ flags: RST, seq: late.rcvNxt });
  assert.equal(program.accept(listener), EAGAIN);
  assert.equal(program.tcp.synCookiesBad, 1);
});

simulate("RFC 9293, 3.10.7.2: while no cookie is out, a stray ACK is reset unchecked", (world) => {
  const { program, peer } = flooded(world);
  world.run(121 * SECOND);
  peer.send({ seq: 1, ack: 777 });
  peer.expect({ flags: RST, seq: 777 });
  assert.equal(program.tcp.synCookiesBad, 0);
});

simulate("RFC 4987, 3.6: a full accept queue drops SYNs, and ACKs with cookies", (world) => {
  const { program, listener, peer } = flooded(world, 1);
  const host = peer.peer;
  const first = host.tcp(MACHINE, PORT, 4001);
  open(peer, STAMPED);
  open(first, STAMPED);
  first.send();
  world.run(MILLISECOND);
  peer.send({ payload: pattern(10) });
  peer.expectNone(100 * MILLISECOND);
  const third = host.tcp(MACHINE, PORT, 4002);
  third.send({ flags: SYN, options: { mss: 1460 } });
  third.expectNone(100 * MILLISECOND);
  assert.equal(program.tcp.listenOverflows, 2);
  assert.ok(program.accept(listener) > 0);
  // Data sent again brings the cookie again.
  peer.sndNxt = peer.iss + 1;
  peer.send({ payload: pattern(10) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(program.accept(listener)), pattern(10));
});

simulate("RFC 6298, 5.5: a full SYN cache repeats its answers and empties in time", (world) => {
  const { program } = flooded(world);
  const { halfOpen, retransmits } = program.tcp;
  assert.ok(halfOpen > 100);
  assert.equal(retransmits, 0);
  world.run(70 * SECOND);
  const after = program.tcp;
  assert.equal(after.halfOpen, 0);
  assert.equal(after.retransmits, 5 * halfOpen);
});
