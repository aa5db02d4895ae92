import assert from "node:assert/strict";
import { SocketOption, Syscall } from "../../../sdk/assembly/syscalls.ts";
import type { PeerTcp } from "../../../tools/sim/peer.ts";
import { simulate, type World } from "../harness.ts";
import {
  ACK,
  connected,
  type Connected,
  EAGAIN,
  ETIMEDOUT,
  FIN,
  MACHINE,
  MILLISECOND,
  pattern,
  PORT,
  RST,
  SECOND,
  sendAll,
} from "./program.ts";

/** What goes out when: RFC 6298, 5681, 6582, 3042, 6928, and RFC 9293, 3.8. */

/** The time that the next segment takes to come, in ms. */
function waits(world: World, action: () => void): number {
  const before = world.simulation.now;
  action();
  return (world.simulation.now - before) / MILLISECOND;
}

function near(value: number, wanted: number, tolerance = wanted * 0.02 + 5): void {
  assert.ok(Math.abs(value - wanted) <= tolerance, `${value} instead of ${wanted}`);
}

/** A connection with MSS 1000 whose congestion window has grown to `segments` or more. */
function grown(world: World, segments: number): Connected {
  const it = connected(world, { mss: 1000, window: 65535 });
  const { program, socket, peer } = it;
  for (let sent = 0; sent < segments;) {
    program.send(socket, pattern(5000, sent * 1000));
    for (let i = 0; i < 5; i++) peer.take(peer.expect({ length: 1000 }));
    peer.send();
    sent += 5;
    world.run(MILLISECOND);
  }
  return it;
}

simulate("RFC 6928, 2: the initial window is ten segments", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000 });
  program.send(socket, pattern(30000));
  for (let i = 0; i < 10; i++) peer.take(peer.expect({ length: 1000 }));
  peer.expectNone(50 * MILLISECOND);
});

simulate("RFC 5681, 3.1: slow start: each segment acknowledged lets two go", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000 });
  program.send(socket, pattern(30000));
  for (let i = 0; i < 10; i++) {
    const segment = peer.expect({ length: 1000 });
    if (i === 0) peer.take(segment);
  }
  peer.send();
  for (let i = 0; i < 2; i++) peer.expect({ length: 1000 });
  peer.expectNone(50 * MILLISECOND);
});

simulate("RFC 6298, 5.4 to 5.6: time-outs double and send the first segment again", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000 });
  program.send(socket, pattern(3000));
  const first = peer.expect({ length: 1000 });
  peer.expect({ length: 1000 });
  peer.expect({ length: 1000 });
  const times = [0, 1, 2, 3].map(() =>
    waits(world, () => peer.expect({ seq: first.seq, length: 1000 }, 10 * SECOND)),
  );
  near(times[0]!, 200);
  for (let i = 1; i < times.length; i++) near(times[i]!, times[i - 1]! * 2);
  assert.equal(program.tcp.timeouts, 4);
});

simulate("RFC 6298, 2.5: the time-out is never beyond the limit, and R2 ends it", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
  let before = 0;
  for (;;) {
    if (program.tcp.aborted) break;
    const now = program.tcp.timeouts;
    assert.ok(now - before <= 7);
    before = now;
    world.run(10 * SECOND);
  }
  assert.equal(program.receive(socket), -ETIMEDOUT);
});

simulate("RFC 6298, 2.2 and 2.3: the time-out follows the round trip", (world) => {
  const { program, socket, peer } = connected(world);
  for (let i = 0; i < 12; i++) {
    program.send(socket, pattern(10));
    peer.take(peer.expect({ length: 10 }));
    world.run(100 * MILLISECOND);
    peer.send();
    world.run(MILLISECOND);
  }
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
  // SRTT + max(200 ms, 4 RTTVAR); the handshake's short sample still counts a little.
  near(
    waits(world, () => peer.expect({ length: 10 })),
    300,
    25,
  );
});

simulate("RFC 6298, 3 (Karn): a segment sent twice gives no sample", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
  peer.take(peer.expect({ length: 10 }));
  world.run(150 * MILLISECOND);
  peer.send();
  world.run(MILLISECOND);
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
  near(
    waits(world, () => peer.expect({ length: 10 })),
    200,
    15,
  );
});

simulate("RFC 6298, 5.3: an ACK of new data restarts the timer", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000 });
  program.send(socket, pattern(2000));
  peer.take(peer.expect({ length: 1000 }));
  peer.expect({ length: 1000 });
  world.run(150 * MILLISECOND);
  peer.send();
  const waited = waits(world, () => peer.expect({ seq: peer.rcvNxt, length: 1000 }));
  assert.ok(waited >= 200, `${waited}`);
});

simulate("RFC 5681, 3.1: after a time-out one segment goes, then slow start", (world) => {
  const { program, socket, peer } = grown(world, 10);
  program.send(socket, pattern(10000));
  const lost = peer.expect({ length: 1000 });
  for (let i = 0; i < 9; i++) peer.expect({ length: 1000 });
  peer.expect({ seq: lost.seq, length: 1000 });
  peer.expectNone(100 * MILLISECOND);
  peer.rcvNxt = lost.seq + 1000;
  peer.send();
  peer.expect({ seq: lost.seq + 1000, length: 1000 });
  peer.expect({ seq: lost.seq + 2000, length: 1000 });
  peer.expectNone(100 * MILLISECOND);
});

simulate("RFC 5681, 3.2: the third duplicate ACK sends the missing segment at once", (world) => {
  const { program, socket, peer } = grown(world, 10);
  program.send(socket, pattern(8000));
  const lost = peer.expect({ length: 1000 });
  for (let i = 0; i < 7; i++) peer.expect({ length: 1000 });
  peer.send();
  peer.send();
  peer.expectNone(20 * MILLISECOND);
  peer.send();
  peer.expect({ seq: lost.seq, length: 1000 }, 20 * MILLISECOND);
  assert.equal(program.tcp.fastRetransmits, 1);
});

simulate("RFC 6582, 3.2: a partial ACK sends the next hole, a full one ends recovery", (world) => {
  const { program, socket, peer } = grown(world, 20);
  program.send(socket, pattern(10000));
  const first = peer.expect({ length: 1000 });
  for (let i = 0; i < 9; i++) peer.expect({ length: 1000 });
  for (let i = 0; i < 3; i++) peer.send();
  peer.expect({ seq: first.seq, length: 1000 });
  // Segment 5 is missing too.
  peer.rcvNxt = first.seq + 4000;
  peer.send();
  peer.expect({ seq: first.seq + 4000, length: 1000 }, 20 * MILLISECOND);
  peer.rcvNxt = first.seq + 10000;
  peer.send();
  peer.expectNone(500 * MILLISECOND);
  assert.equal(program.tcp.timeouts, 0);
  assert.equal(program.tcp.fastRetransmits, 1);
});

simulate("RFC 6582, 3.2, step 2: duplicates after a time-out start no fast retransmit", (world) => {
  const { program, socket, peer } = grown(world, 10);
  program.send(socket, pattern(8000));
  const first = peer.expect({ length: 1000 });
  for (let i = 0; i < 7; i++) peer.expect({ length: 1000 });
  peer.expect({ seq: first.seq, length: 1000 });
  for (let i = 0; i < 6; i++) peer.send();
  world.run(20 * MILLISECOND);
  assert.equal(program.tcp.fastRetransmits, 0);
});

simulate("RFC 3042: each of the first two duplicate ACKs lets a new segment go", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000 });
  program.send(socket, pattern(20000));
  const first = peer.expect({ length: 1000 });
  for (let i = 0; i < 9; i++) peer.expect({ length: 1000 });
  peer.rcvNxt = first.seq;
  peer.send();
  peer.expect({ seq: first.seq + 10000, length: 1000 });
  peer.send();
  peer.expect({ seq: first.seq + 11000, length: 1000 });
  peer.expectNone(20 * MILLISECOND);
  peer.send();
  peer.expect({ seq: first.seq, length: 1000 });
});

simulate("RFC 5681, 2: an ACK with data, or a changed window, is no duplicate", (world) => {
  const { program, socket, peer } = grown(world, 10);
  program.send(socket, pattern(5000));
  for (let i = 0; i < 5; i++) peer.expect({ length: 1000 });
  for (let i = 0; i < 5; i++) peer.send({ payload: pattern(1, i) });
  for (let i = 0; i < 5; i++) peer.send({ window: 60000 + i });
  world.run(20 * MILLISECOND);
  const { duplicateAcks, fastRetransmits } = program.tcp;
  assert.deepEqual({ duplicateAcks, fastRetransmits }, { duplicateAcks: 0, fastRetransmits: 0 });
});

simulate("RFC 5681, 4.1: after a pause the window starts again", (world) => {
  const { program, socket, peer } = grown(world, 40);
  world.run(10 * SECOND);
  program.send(socket, pattern(30000));
  for (let i = 0; i < 10; i++) peer.expect({ length: 1000 });
  peer.expectNone(50 * MILLISECOND);
});

simulate(
  "RFC 7661, 4.4.3: after a pause slow start leads back to where the window was",
  (world) => {
    const { program, socket, peer } = grown(world, 10);
    const { machine } = program;
    /** tcpi_snd_ssthresh and tcpi_snd_cwnd. */
    const window = (): [threshold: number, window: number] => {
      const at = machine.scratch;
      machine.syscall(Syscall.GetOptionData, socket, SocketOption.Info, at, 104);
      return [machine.view.getUint32(at + 76, true), machine.view.getUint32(at + 80, true)];
    };
    const acknowledge = (): number => {
      world.run(5 * MILLISECOND);
      const data = peer.peer.inbox.filter(({ tcp }) => tcp?.payload.length);
      for (const { tcp } of data) peer.take(tcp!);
      peer.peer.inbox = [];
      peer.send();
      return data.length;
    };
    // A time-out leaves a threshold of two segments, beyond which the window grows again.
    program.send(socket, pattern(1000));
    const lost = peer.take(peer.expect({ length: 1000 }));
    peer.expect({ seq: lost.seq, length: 1000 }, 3 * SECOND);
    peer.send();
    for (let i = 0; i < 40; i++) {
      program.send(socket, pattern(20000));
      acknowledge();
    }
    while (acknowledge());
    const [threshold, grownTo] = window();
    assert.ok(grownTo > 2 * threshold, `${threshold}, ${grownTo}`);
    world.run(10 * SECOND);
    program.send(socket, pattern(1000));
    world.run(MILLISECOND);
    assert.ok(window()[0] >= Math.floor(grownTo * 0.75) - 1, `${window()}`);
  },
);

simulate("RFC 9293, 3.7.4 (Nagle): small data waits while some is in flight", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(10));
  peer.take(peer.expect({ length: 10 }));
  program.send(socket, pattern(20, 10));
  world.run(5 * MILLISECOND);
  program.send(socket, pattern(30, 30));
  peer.expectNone(50 * MILLISECOND);
  peer.send();
  peer.expect({ length: 50 });
});

simulate("RFC 9293, 3.7.4: without Nagle small data goes at once", (world) => {
  const { program, socket, peer } = connected(world);
  program.noDelay(socket);
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
  program.send(socket, pattern(20, 10));
  peer.expect({ length: 20 }, 5 * MILLISECOND);
});

simulate("RFC 9293, 3.7.4: a full segment waits for nothing, the rest does", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000 });
  program.send(socket, pattern(1500));
  peer.take(peer.expect({ length: 1000 }));
  peer.expectNone(50 * MILLISECOND);
  peer.send();
  peer.expect({ length: 500 });
});

simulate("RFC 9293, 3.7.1: without an MSS option segments are 536 bytes", (world) => {
  const { program, socket, peer } = connected(world, { mss: 0 });
  program.send(socket, pattern(2000));
  peer.expect({ length: 536 });
});

simulate("RFC 9293, 3.8.6.1: a shut window is probed, less and less often, for ever", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000, window: 1000 });
  program.send(socket, pattern(3000));
  peer.take(peer.expect({ length: 1000 }));
  peer.send({ window: 0 });
  let last = 0;
  for (let i = 0; i < 14; i++) {
    const waited = waits(world, () => peer.expect({ seq: peer.rcvNxt, length: 1 }, 100 * SECOND));
    assert.ok(waited >= last * 0.98 && waited <= 61000, `${waited}`);
    last = waited;
    peer.send({ window: 0 });
  }
  assert.ok(world.simulation.now > 300 * SECOND);
  peer.send({ window: 5000 });
  peer.take(peer.expect({ seq: peer.rcvNxt, length: 1000 }));
  peer.take(peer.expect({ length: 1000 }));
});

simulate("RFC 9293, 3.8.6.1: a probe whose byte is taken goes on from there", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000, window: 1000 });
  program.send(socket, pattern(3000));
  peer.take(peer.expect({ length: 1000 }));
  peer.send({ window: 0 });
  peer.take(peer.expect({ length: 1 }));
  peer.send({ window: 0 });
  peer.take(peer.expect({ seq: peer.rcvNxt, length: 1 }));
  peer.send({ window: 4000 });
  peer.take(peer.expect({ seq: peer.rcvNxt, length: 1000 }));
  peer.send();
  peer.take(peer.expect({ seq: peer.rcvNxt, length: 998 }));
});

simulate("RFC 1122, 4.2.2.17: probes that nobody answers end in a time-out", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000, window: 1000 });
  program.send(socket, pattern(3000));
  peer.take(peer.expect({ length: 1000 }));
  peer.send({ window: 0 });
  world.run(300 * SECOND);
  assert.equal(program.receive(socket), -ETIMEDOUT);
});

simulate("RFC 9293, 3.8.6.2.1: a sliver of window is not used at once", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000, window: 4000 });
  program.send(socket, pattern(6000));
  for (let i = 0; i < 4; i++) peer.take(peer.expect({ length: 1000 }));
  peer.send({ window: 100 });
  peer.expectNone(100 * MILLISECOND);
  // The override time-out sends what fits.
  peer.take(peer.expect({ length: 100 }, SECOND));
});

simulate("RFC 9293, 3.8.6: a window that shrinks stops new data and is survived", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000, window: 5000 });
  program.send(socket, pattern(5000));
  const first = peer.expect({ length: 1000 });
  for (let i = 0; i < 4; i++) peer.expect({ length: 1000 });
  peer.rcvNxt = first.seq + 2000;
  peer.send({ window: 0 });
  peer.expect({ seq: first.seq + 2000, length: 1 });
  peer.send({ window: 5000 });
  for (let i = 2; i < 5; i++) peer.take(peer.expect({ seq: first.seq + i * 1000, length: 1000 }));
  peer.send();
  world.run(MILLISECOND);
  assert.equal(program.send(socket, pattern(10)), 10);
});

simulate(
  "RFC 9293, 3.10.7.4 (table 6): an ACK stays within a window that has shrunk, or nobody takes it",
  (world) => {
    const { program, socket, peer } = connected(world);
    program.send(socket, pattern(1000));
    peer.expect({ length: 1000 });
    // The peer has dropped it and has no room left.
    peer.send({ payload: pattern(2000).subarray(0, 1460), window: 0 });
    peer.send({ payload: pattern(540), window: 0 });
    peer.expect({ flags: ACK, seq: peer.rcvNxt, ack: peer.sndNxt, length: 0 });
  },
);

simulate(
  "RFC 9293, 3.10.5: ABORT while a shut window is probed: a reset that the peer can take",
  (world) => {
    const { program, socket, peer } = connected(world, { window: 0 });
    program.send(socket, pattern(10));
    peer.expect({ seq: peer.rcvNxt, length: 1 });
    program.linger(socket, true, 0);
    program.close(socket);
    peer.expect({ flags: RST | ACK, seq: peer.rcvNxt });
  },
);

simulate("RFC 9293, 3.10.7.4: an old ACK's window does not replace a newer one", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000 });
  program.send(socket, pattern(2000));
  peer.take(peer.expect({ length: 1000 }));
  const early = peer.rcvNxt;
  peer.take(peer.expect({ length: 1000 }));
  peer.send({ window: 8000 });
  peer.send({ ack: early, window: 1 });
  world.run(MILLISECOND);
  program.send(socket, pattern(3000));
  for (let i = 0; i < 3; i++) peer.expect({ length: 1000 });
});

simulate("a send queue that is full says EAGAIN, takes more when half is acknowledged", (world) => {
  const { program, socket, peer } = connected(world, { window: 0 });
  let queued = 0;
  for (;;) {
    const result = program.send(socket, pattern(65536, queued));
    if (result === EAGAIN) break;
    queued += result;
  }
  assert.ok(queued >= 64 * 1024, `${queued}`);
  assert.equal(program.send(socket, pattern(10)), EAGAIN);
  let received = 0;
  peer.window = 65535;
  peer.peer.handler = (frame) => {
    if (!frame.tcp?.payload.length) return false;
    assert.deepEqual(
      frame.tcp.payload,
      pattern(frame.tcp.payload.length, frame.tcp.seq - peer.irs - 1),
    );
    if (frame.tcp.seq === peer.rcvNxt) {
      peer.take(frame.tcp);
      received += frame.tcp.payload.length;
    }
    peer.send();
    return true;
  };
  peer.send();
  world.run(SECOND);
  assert.equal(received, queued);
  assert.equal(program.packetsHeld, 0);
  assert.ok(program.send(socket, pattern(10)) === 10);
});

simulate(
  "RFC 1122, 4.2.3.6: keepalive: off unless asked for, then a probe after two hours",
  (world) => {
    const { program, socket, peer } = connected(world);
    world.run(8000 * SECOND);
    assert.equal(peer.peer.inbox.filter((frame) => frame.tcp).length, 0);
    program.setOption(socket, 2, 1);
    world.run(7190 * SECOND);
    peer.expect({ flags: ACK, seq: peer.rcvNxt - 1, length: 0 }, 30 * SECOND);
    peer.send();
    peer.expectNone(7000 * SECOND);
    for (let i = 0; i < 9; i++) peer.expect({ flags: ACK, seq: peer.rcvNxt - 1 }, 300 * SECOND);
    world.run(100 * SECOND);
    assert.equal(program.receive(socket), -ETIMEDOUT);
  },
);

simulate(
  "RFC 9293, 3.8.4 (MUST-26): no keepalive probe while data is unacknowledged, nor an end by them",
  (world) => {
    const { program, socket, peer } = connected(world);
    program.setOption(socket, SocketOption.KeepAlive, 1);
    program.setOption(socket, SocketOption.KeepIdle, 5);
    program.setOption(socket, SocketOption.KeepInterval, 1);
    program.setOption(socket, SocketOption.KeepCount, 2);
    program.send(socket, pattern(10));
    world.run(60 * SECOND);
    const sent = peer.peer.inbox.flatMap((frame) => frame.tcp ?? []);
    assert.ok(sent.length > 3);
    for (const { seq, payload } of sent) assert.deepEqual([seq, payload.length], [peer.rcvNxt, 10]);
    assert.equal(program.receive(socket), EAGAIN);
    peer.peer.inbox = [];
    peer.take(sent[0]!);
    peer.send();
    peer.expectNone(4 * SECOND);
    peer.expect({ flags: ACK, seq: peer.rcvNxt - 1, length: 0 }, 2 * SECOND);
  },
);

simulate("RFC 9293, 3.8.4: a keepalive probe from the peer is answered", (world) => {
  const { peer } = connected(world);
  peer.send({ seq: peer.sndNxt - 1 });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
  peer.send({ seq: peer.sndNxt - 1, payload: pattern(1) });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
});

simulate("a stream of a megabyte crosses a link that drops, in order and whole", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1460 });
  const { random } = world.simulation;
  const chunks = new Map<number, Uint8Array>();
  const bytes = pattern(1 << 20);
  let fin = false;
  let next = 0;
  peer.peer.handler = (frame) => {
    const { tcp } = frame;
    if (!tcp) return false;
    if (random.chance(0.02)) return true;
    const at = (tcp.seq - peer.irs - 1) >>> 0;
    if (tcp.payload.length) chunks.set(at, tcp.payload);
    if (tcp.flags & FIN && at + tcp.payload.length === bytes.length) fin = true;
    for (let chunk = chunks.get(next); chunk; chunk = chunks.get(next)) {
      assert.deepEqual(chunk, bytes.subarray(next, next + chunk.length));
      chunks.delete(next);
      next += chunk.length;
    }
    peer.rcvNxt = (peer.irs + 1 + next) >>> 0;
    if (!random.chance(0.02)) peer.send();
    return true;
  };
  sendAll(world, program, socket, bytes);
  program.close(socket);
  for (let i = 0; i < 600 && !(fin && next === bytes.length); i++) world.run(100 * MILLISECOND);
  assert.equal(next, bytes.length);
  assert.ok(program.tcp.fastRetransmits > 0);
});

simulate("windows of more segments than the device has room for lose none of them", (world) => {
  const options = { mss: 100, windowScale: 7 };
  const first = connected(world, {
    ...options,
    window: 0xffff,
    // One that cuts no segments, so that each is a packet.
    station: { nic: "e1000-82544gc", memory: 64 << 20 },
  });
  const { program, listener } = first;
  const ends = [first];
  for (let port = 5000; port < 5007; port++) {
    const peer = first.peer.peer.tcp(MACHINE, PORT, port);
    peer.window = 0xffff;
    peer.connect(options);
    world.run(MILLISECOND);
    ends.push({ ...first, peer, socket: program.accept(listener) });
  }
  const peers = new Map(ends.map(({ peer }) => [peer.localPort, peer]));
  let owed: [PeerTcp, number][] = [];
  first.peer.peer.handler = ({ tcp }) => {
    const peer = tcp && peers.get(tcp.destinationPort);
    if (peer && tcp.seq === peer.rcvNxt) {
      peer.take(tcp);
      owed.push([peer, peer.rcvNxt]);
    }
    return true;
  };
  let largest = 0;
  for (let round = 0; largest < 3000; round++) {
    assert.ok(round < 20, `bursts of ${largest} segments at most`);
    for (const { socket } of ends) while (program.send(socket, pattern(20_000)) > 0);
    // Nothing is acknowledged before all that may go has gone.
    const before = program.tcp.segmentsOut;
    world.run(50 * MILLISECOND);
    largest = Math.max(largest, program.tcp.segmentsOut - before);
    for (const [peer, ack] of owed) peer.send({ ack });
    owed = [];
    assert.equal(program.tcp.retransmits, 0, `lost some of ${largest} segments`);
  }
});
