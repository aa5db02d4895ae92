import assert from "node:assert/strict";
import { SocketOption } from "../../../sdk/assembly/syscalls.ts";
import type { TcpSegment } from "../../../tools/sim/frames.ts";
import { simulate } from "../harness.ts";
import {
  ACK,
  connected,
  type Connected,
  EAGAIN,
  ECONNRESET,
  FIN,
  MILLISECOND,
  pattern,
  Program,
  RST,
  SECOND,
  SYN,
} from "./program.ts";

/** The known implementation problems of RFC 2525, one test each. */

const MSS = 1460;

/** Segments with data that have come and were not looked at, taken. */
function arrived({ peer }: Connected): TcpSegment[] {
  const segments = peer.peer.inbox.flatMap(({ tcp }) => (tcp?.payload.length ? [tcp] : []));
  peer.peer.inbox = [];
  return segments;
}

/** Acknowledges everything in order, two segments at a time, a round trip of `rtt` at a time. */
function roundTrips(all: Connected, count: number, rtt = 20 * MILLISECOND): number[] {
  const { world, peer } = all;
  return Array.from({ length: count }, () => {
    world.run(rtt);
    const segments = arrived(all);
    segments.forEach((segment, i) => {
      peer.take(segment);
      if (i % 2 || i === segments.length - 1) peer.send();
    });
    return segments.length;
  });
}

simulate("RFC 2525, 2.1: a connection begins with slow start", (world) => {
  const all = connected(world);
  all.program.send(all.socket, pattern(65000));
  const [first, second] = roundTrips(all, 2);
  // The initial window of RFC 6928, then at most twice as much; the peer offers 44 segments.
  assert.equal(first, 10);
  assert.ok(second! <= 20, `${second}`);
});

simulate("RFC 2525, 2.2: after a retransmission time-out comes slow start", (world) => {
  const all = connected(world);
  const { program, socket, peer } = all;
  program.send(socket, pattern(65000));
  const first = peer.expect({ length: MSS });
  world.run(100 * MILLISECOND);
  arrived(all);
  peer.expect({ seq: first.seq, length: MSS }, 2 * SECOND);
  peer.expectNone(50 * MILLISECOND);
  // One segment was in flight; its ACK allows two more and no burst.
  peer.send({ ack: first.seq + MSS });
  world.run(20 * MILLISECOND);
  assert.equal(arrived(all).length, 2);
});

simulate("RFC 2525, 2.3: the window is set though the peer sends no MSS option", (world) => {
  const all = connected(world, { mss: 0 });
  all.program.send(all.socket, pattern(60000));
  world.run(50 * MILLISECOND);
  const segments = arrived(all);
  // Ten segments of the default MSS.
  assert.ok(segments.every(({ payload }) => payload.length === 536));
  assert.equal(segments.length, 10);
});

simulate("RFC 2525, 2.4: what is sent again has the bytes that were sent first", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(300));
  const first = peer.expect({ length: 300 });
  program.send(socket, pattern(700, 300));
  for (let i = 0; i < 3; i++) {
    const again = peer.expect({ seq: first.seq }, 4 * SECOND);
    const length = again.payload.length;
    assert.deepEqual(again.payload, pattern(1000).subarray(0, length));
  }
  // Part of it is acknowledged: the rest follows from there, byte for byte.
  peer.send({ ack: first.seq + 100 });
  const rest = peer.expect({ seq: first.seq + 100 }, 4 * SECOND);
  assert.deepEqual(rest.payload, pattern(1000).subarray(100, 100 + rest.payload.length));
});

simulate(
  "RFC 2525, 2.5: data above a gap is kept, and acknowledged when the gap is filled",
  (world) => {
    const { program, socket, peer } = connected(world);
    const base = peer.sndNxt;
    for (let i = 1; i < 20; i++) peer.send({ seq: base + i * 500, payload: pattern(500, i * 500) });
    world.run(10 * MILLISECOND);
    peer.peer.inbox = [];
    peer.send({ seq: base, payload: pattern(500) });
    peer.expect({ flags: ACK, ack: base + 10000 }, 10 * MILLISECOND);
    assert.deepEqual(program.receive(socket), pattern(10000));
  },
);

simulate("RFC 2525, 2.6: congestion avoidance adds a segment a round trip and no more", (world) => {
  const all = connected(world, { windowScale: 7 });
  const { program, socket, peer } = all;
  program.setOption(socket, SocketOption.SendBuffer, 1_000_000);
  const data = pattern(65536);
  while (program.send(socket, data) > 0);
  roundTrips(all, 2);
  // A loss ends slow start.
  world.run(20 * MILLISECOND);
  const lost = arrived(all);
  for (let i = 0; i < 4; i++) peer.send({ ack: lost[0]!.seq });
  world.run(20 * MILLISECOND);
  arrived(all);
  peer.rcvNxt = lost.at(-1)!.seq + MSS;
  peer.send();
  const counts: number[] = [];
  for (let i = 0; i < 12; i++) {
    while (program.send(socket, data) > 0);
    counts.push(...roundTrips(all, 1));
  }
  // Slow start up to the new threshold is over by then.
  const tail = counts.slice(6);
  assert.ok(tail[0]! > 15, `${counts}`);
  for (let i = 1; i < tail.length; i++) {
    assert.ok(tail[i]! - tail[i - 1]! <= 1, `${counts}`);
  }
});

simulate("RFC 2525, 2.7: without a sample the time-out is a second, not less", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const peer = world.peer().tcp("10.0.0.2", 3000, 7);
  program.connect("10.0.0.1", 7, 3000);
  peer.expect({ flags: SYN });
  const at = world.simulation.now;
  peer.expect({ flags: SYN }, 3 * SECOND);
  assert.ok(world.simulation.now - at >= 0.99 * SECOND);
});

simulate("RFC 2525, 2.8: after recovery the window is what was left of it", (world) => {
  const all = connected(world, { windowScale: 7 });
  const { program, socket, peer } = all;
  program.setOption(socket, SocketOption.SendBuffer, 1_000_000);
  while (program.send(socket, pattern(65536)) > 0);
  roundTrips(all, 1);
  world.run(20 * MILLISECOND);
  const sent = arrived(all);
  // Many duplicates inflate the window; the full acknowledgment must take that back.
  for (let i = 0; i < sent.length - 1; i++) peer.send({ ack: sent[0]!.seq });
  world.run(20 * MILLISECOND);
  const during = arrived(all);
  const end = Math.max(
    ...during.map(({ seq, payload }) => (seq - peer.irs + payload.length) >>> 0),
  );
  peer.rcvNxt = (peer.irs + Math.max(end, sent.length * MSS)) >>> 0;
  const last = sent.at(-1)!;
  if (((peer.rcvNxt - last.seq) | 0) < MSS) peer.rcvNxt = last.seq + MSS;
  peer.send();
  world.run(20 * MILLISECOND);
  const burst = arrived(all).length;
  assert.ok(burst <= Math.ceil(sent.length * 0.7) + 1, `${burst} after ${sent.length}`);
});

simulate("RFC 2525, 2.9: keepalive begins after two hours, and gives up after minutes", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.KeepAlive, 1);
  peer.expectNone(7190 * SECOND);
  const from = world.simulation.now;
  let probes = 0;
  while (!program.error(socket)) {
    world.run(5 * SECOND);
    probes += peer.peer.inbox.filter(({ tcp }) => tcp && !(tcp.flags & RST)).length;
    peer.peer.inbox = [];
    assert.ok(world.simulation.now - from < 3600 * SECOND);
  }
  assert.ok(probes >= 5, `${probes}`);
  assert.ok(world.simulation.now - from >= 300 * SECOND);
});

simulate("RFC 2525, 2.10: the time-out doubles each time", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(100));
  const { seq } = peer.expect({ length: 100 });
  let at = world.simulation.now;
  const waits: number[] = [];
  for (let i = 0; i < 6; i++) {
    peer.expect({ seq, length: 100 }, 100 * SECOND);
    waits.push(world.simulation.now - at);
    at = world.simulation.now;
  }
  for (let i = 2; i < waits.length; i++) {
    const factor = waits[i]! / waits[i - 1]!;
    assert.ok(factor > 1.9 && factor < 2.1, `${waits}`);
  }
});

simulate("RFC 2525, 2.11: keepalive probes are as far apart as RFC 1122 would have it", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.KeepAlive, 1);
  peer.expect({ flags: ACK, length: 0 }, 7210 * SECOND);
  const at = world.simulation.now;
  peer.expect({ flags: ACK, length: 0 }, 200 * SECOND);
  assert.ok(world.simulation.now - at >= 74 * SECOND);
});

simulate("RFC 2525, 2.12: probes of both sides' shut windows do not deadlock", (world) => {
  const all = connected(world);
  const { program, socket, peer } = all;
  // Our window is shut, since the program does not read, and so is the peer's.
  let window = 65535;
  for (let sent = 0; window > 0;) {
    const length = Math.min(MSS, window);
    peer.send({ payload: pattern(length, sent), window: 0 });
    sent += length;
    const ack = peer.expect({ ack: peer.sndNxt });
    window = ack.window * 2 ** all.scale;
  }
  program.send(socket, pattern(1000));
  const probe = peer.expect({ length: 1 }, 3 * SECOND);
  // The peer's probe carries the news that it has taken ours, and that its window is open.
  peer.take(probe);
  peer.send({ payload: pattern(1), window: 65535 });
  peer.take(peer.expect({ seq: probe.seq + 1, length: 999 }, 5 * SECOND));
});

simulate("RFC 2525, 2.13: no ACK stretches over more than two full segments", (world) => {
  const { peer } = connected(world);
  const base = peer.sndNxt;
  for (let i = 0; i < 20; i++) {
    peer.send({ payload: pattern(MSS, i * MSS) });
    world.run(MILLISECOND);
  }
  let before = base;
  for (const { tcp } of peer.peer.inbox) {
    assert.ok(tcp!.ack - before <= 2 * MSS, `${tcp!.ack - before}`);
    before = tcp!.ack;
  }
  assert.ok(peer.sndNxt - before < 2 * MSS);
});

simulate("RFC 2525, 2.14: a time-out sends one segment again, not all", (world) => {
  const all = connected(world);
  all.program.send(all.socket, pattern(14600));
  world.run(50 * MILLISECOND);
  const sent = arrived(all);
  assert.equal(sent.length, 10);
  const again = all.peer.expect({ length: MSS }, 2 * SECOND);
  assert.equal(again.seq, sent[0]!.seq);
  all.peer.expectNone(100 * MILLISECOND);
});

simulate(
  "RFC 2525, 2.15: a FIN of the peer is told at once, though data waits to be read",
  (world) => {
    const { program, socket, peer } = connected(world);
    peer.send({ payload: pattern(100) });
    peer.send({ flags: FIN | ACK });
    peer.expect({ flags: ACK, ack: peer.sndNxt }, 5 * MILLISECOND);
    assert.deepEqual(program.receive(socket), pattern(100));
    assert.deepEqual(program.receive(socket), new Uint8Array(0));
  },
);

simulate("RFC 2525, 2.16: after close, data that comes draws a reset", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send();
  peer.send({ payload: pattern(100) });
  peer.expect({ flags: RST | ACK }, 5 * MILLISECOND);
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 1);
});

simulate("RFC 2525, 2.17: close with data unread draws a reset", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(100) });
  world.run(MILLISECOND);
  program.close(socket);
  peer.expect({ flags: RST | ACK }, 5 * MILLISECOND);
});

simulate("RFC 2525, 2.18: options take their room from a segment's data", (world) => {
  const all = connected(world, { mss: 1000, timestamps: [1, 0] });
  const { program, socket, peer } = all;
  program.send(socket, pattern(5000));
  const segment = peer.expect({ length: 988 });
  assert.ok(segment.options.timestamps);
  assert.equal(program.receive(socket), EAGAIN);
  assert.notEqual(program.error(socket), ECONNRESET);
});
