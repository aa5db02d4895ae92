import assert from "node:assert/strict";
import { simulate, type World } from "../harness.ts";
import {
  ACK,
  connected,
  connecting,
  EAGAIN,
  ECONNREFUSED,
  EINPROGRESS,
  ENETUNREACH,
  ETIMEDOUT,
  FIN,
  MACHINE,
  MILLISECOND,
  pattern,
  PORT,
  Program,
  RST,
  SECOND,
  SYN,
} from "./program.ts";

/** Opening connections: RFC 9293, 3.5 and 3.10.7.1 to 3.10.7.3. */

simulate("RFC 9293, 3.5: passive open, three-way handshake", (world) => {
  const { program, socket } = connected(world);
  assert.ok(socket > 0);
  const { passiveOpens, established, halfOpen } = program.tcp;
  assert.deepEqual(
    { passiveOpens, established, halfOpen },
    { passiveOpens: 1, established: 1, halfOpen: 0 },
  );
});

simulate("RFC 9293, 3.5: active open, three-way handshake", (world) => {
  const { program, socket, peer } = connecting(world);
  peer.accept();
  world.run(MILLISECOND);
  assert.equal(program.send(socket, pattern(3)), 3);
  peer.expect({ flags: ACK, seq: peer.irs + 1, length: 3 });
});

simulate("RFC 9293, 3.5: simultaneous open", (world) => {
  const { program, socket, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: SYN, options: { mss: 1460 } });
  peer.expect({ flags: SYN | ACK, seq: syn.seq, ack: peer.iss + 1 });
  peer.send({ flags: SYN | ACK, seq: peer.iss, ack: syn.seq + 1, options: { mss: 1460 } });
  world.run(MILLISECOND);
  assert.equal(program.send(socket, pattern(5)), 5);
  peer.expect({ flags: ACK, seq: syn.seq + 1, length: 5 });
});

simulate("RFC 7323, 2.2: the SYN and ACK of a simultaneous open has no scaled window", (world) => {
  const { program, socket, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  const options = { mss: 1460, windowScale: 5 };
  peer.send({ flags: SYN, window: 2000, options });
  peer.expect({ flags: SYN | ACK, seq: syn.seq, ack: peer.iss + 1 });
  const both = { flags: SYN | ACK, seq: peer.iss, ack: syn.seq + 1 };
  peer.send({ ...both, window: 2000, options });
  world.run(MILLISECOND);
  assert.equal(program.send(socket, pattern(5000)), 5000);
  peer.expect({ flags: ACK, seq: syn.seq + 1, length: 1460 });
  peer.expectNone(100 * MILLISECOND);
});

simulate("RFC 9293, 3.5: simultaneous open completed by a bare ACK", (world) => {
  const { program, socket, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: SYN, options: { mss: 1460 } });
  peer.expect({ flags: SYN | ACK, seq: syn.seq, ack: peer.iss + 1 });
  peer.send({ flags: ACK, ack: syn.seq + 1 });
  world.run(MILLISECOND);
  assert.equal(program.send(socket, pattern(5)), 5);
  peer.expect({ flags: ACK, length: 5 });
});

simulate(
  "RFC 9293, 3.10.7.1: a SYN to a closed port is reset with its number acknowledged",
  (world) => {
    world.ready();
    const peer = world.peer().tcp(MACHINE, 81, 4000);
    peer.send({ flags: SYN, seq: 1000 });
    peer.expect({ flags: RST | ACK, seq: 0, ack: 1001 });
  },
);

simulate("RFC 9293, 3.10.7.1: an ACK to a closed port is reset at its number", (world) => {
  world.ready();
  const peer = world.peer().tcp(MACHINE, 81, 4000);
  peer.send({ flags: ACK, seq: 1000, ack: 5000 });
  peer.expect({ flags: RST, seq: 5000 });
});

simulate("RFC 9293, 3.10.7.1: data and FIN count in the reset's acknowledgment", (world) => {
  world.ready();
  const peer = world.peer().tcp(MACHINE, 81, 4000);
  peer.send({ flags: FIN, seq: 1000, payload: pattern(10) });
  peer.expect({ flags: RST | ACK, seq: 0, ack: 1011 });
});

simulate("RFC 9293, 3.10.7.1: a reset to a closed port is not answered", (world) => {
  world.ready();
  const peer = world.peer().tcp(MACHINE, 81, 4000);
  peer.send({ flags: RST, seq: 1000 });
  peer.send({ flags: RST | ACK, seq: 1000, ack: 7 });
  peer.expectNone(SECOND);
});

simulate("RFC 9293, 3.10.7.2: LISTEN ignores a reset and resets an ACK", (world) => {
  const { machine } = world.ready();
  new Program(machine).listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: RST, seq: 1 });
  peer.expectNone(100 * MILLISECOND);
  peer.send({ flags: ACK, seq: 1, ack: 777 });
  peer.expect({ flags: RST, seq: 777 });
});

simulate("RFC 9293, 3.10.7.2: LISTEN drops a segment with neither SYN nor ACK", (world) => {
  const { machine } = world.ready();
  new Program(machine).listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: FIN, seq: 1 });
  peer.send({ flags: 0, seq: 1, payload: pattern(4) });
  peer.expectNone(SECOND);
});

simulate("RFC 9293, 3.10.7.3: SYN-SENT resets a wrong ACK and goes on", (world) => {
  const { program, socket, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: SYN | ACK, seq: 1, ack: syn.seq + 100 });
  peer.expect({ flags: RST, seq: syn.seq + 100 });
  peer.send({ flags: ACK, seq: 1, ack: syn.seq });
  peer.expect({ flags: RST, seq: syn.seq });
  peer.sndNxt = peer.iss;
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: ACK, seq: syn.seq + 1, ack: peer.iss + 1 });
  assert.equal(program.send(socket, pattern(1)), 1);
});

simulate(
  "RFC 9293, 3.10.7.3: a reset that acknowledges our SYN refuses the connection",
  (world) => {
    const { program, socket, peer } = connecting(world);
    const syn = peer.take(peer.expect({ flags: SYN }));
    peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq + 1 });
    world.run(MILLISECOND);
    assert.equal(program.error(socket), ECONNREFUSED);
    peer.expectNone(5 * SECOND);
  },
);

simulate("RFC 9293, 3.10.7.3: a reset that does not acknowledge our SYN is ignored", (world) => {
  const { peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: RST, seq: 0 });
  peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq });
  peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq + 2 });
  peer.expect({ flags: SYN, seq: syn.seq }, 2 * SECOND);
});

simulate("RFC 9293, 3.10.7.4: an unacceptable ACK in SYN-RECEIVED is reset", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, options: { mss: 1460 } });
  const answer = peer.expect({ flags: SYN | ACK });
  peer.send({ ack: answer.seq + 2 });
  peer.expect({ flags: RST, seq: answer.seq + 2 });
  assert.equal(program.accept(listener), EAGAIN);
});

simulate("RFC 9293, 3.10.7.4: a reset in SYN-RECEIVED goes back to LISTEN", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, options: { mss: 1460 } });
  peer.expect({ flags: SYN | ACK });
  peer.send({ flags: RST });
  peer.expectNone(5 * SECOND);
  assert.equal(program.tcp.halfOpen, 0);
  peer.sndNxt = peer.iss;
  peer.connect();
});

simulate(
  "RFC 9293, 3.10.7.4: in SYN-RECEIVED what does not fit is acknowledged, a near reset challenged",
  (world) => {
    const { machine } = world.ready();
    const program = new Program(machine);
    const listener = program.listen(PORT);
    const peer = world.peer().tcp(MACHINE, PORT, 4000);
    const syn = { mss: 1460, windowScale: 4, timestamps: [500, 0] as [number, number] };
    peer.send({ flags: SYN, options: syn });
    const answer = peer.take(peer.expect({ flags: SYN | ACK }));
    peer.options = { timestamps: [501, answer.options.timestamps![0]] };
    peer.send({ seq: peer.sndNxt + 70000, payload: pattern(10) });
    peer.expect({ flags: ACK, seq: answer.seq + 1, ack: peer.sndNxt });
    peer.send({ flags: RST, seq: peer.sndNxt + 10 });
    peer.expect({ flags: ACK, seq: answer.seq + 1, ack: peer.sndNxt });
    peer.send();
    world.run(MILLISECOND);
    assert.ok(program.accept(listener) > 0);
  },
);

simulate(
  "RFC 9293, 3.8.1: SYN and ACK are repeated, doubling from one second, then given up",
  (world) => {
    const { machine } = world.ready();
    const program = new Program(machine);
    program.listen(PORT);
    const peer = world.peer().tcp(MACHINE, PORT, 4000);
    peer.send({ flags: SYN, options: { mss: 1460 } });
    const first = peer.expect({ flags: SYN | ACK });
    let before = world.simulation.now;
    for (const seconds of [1, 2, 4, 8, 16]) {
      peer.expect({ flags: SYN | ACK, seq: first.seq }, 40 * SECOND);
      const waited = (world.simulation.now - before) / SECOND;
      assert.ok(Math.abs(waited - seconds) < 0.02, `${waited} s instead of ${seconds}`);
      before = world.simulation.now;
    }
    peer.expectNone(100 * SECOND);
    assert.equal(program.tcp.halfOpen, 0);
  },
);

simulate("RFC 9293, 3.10.7.4: a SYN that comes again is answered again", (world) => {
  const { machine } = world.ready();
  new Program(machine).listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, seq: 1000, options: { mss: 1460 } });
  const first = peer.expect({ flags: SYN | ACK, ack: 1001 });
  peer.send({ flags: SYN, seq: 1000, options: { mss: 1460 } });
  peer.expect({ flags: SYN | ACK, seq: first.seq, ack: 1001 });
});

simulate("RFC 9293, 3.5: an old duplicate SYN is got over", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  // Figure 8: the old SYN's answer is reset by the peer, the real SYN comes through.
  peer.send({ flags: SYN, seq: 90, options: { mss: 1460 } });
  peer.expect({ flags: SYN | ACK, ack: 91 });
  peer.send({ flags: RST, seq: 91 });
  world.run(MILLISECOND);
  peer.connect();
  world.run(MILLISECOND);
  assert.ok(program.accept(listener) > 0);
});

simulate("RFC 9293, 3.10.7.2: data with the handshake's last ACK is taken", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, options: { mss: 1460 } });
  peer.take(peer.expect({ flags: SYN | ACK }));
  peer.send({ payload: pattern(100) });
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  assert.deepEqual(program.receive(socket), pattern(100));
});

simulate("RFC 9293, 3.10.7.2: data on a SYN is not acknowledged before the handshake", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, seq: 1000, payload: pattern(10), options: { mss: 1460 } });
  const answer = peer.take(peer.expect({ flags: SYN | ACK, ack: 1001 }));
  peer.sndNxt = 1001;
  peer.send({ ack: answer.seq + 1, payload: pattern(10) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(program.accept(listener)), pattern(10));
});

simulate(
  "RFC 6298, 2.1 and RFC 1122, 4.2.3.5: SYN again after 1, 2, 4 s …; at least 3 minutes",
  (world) => {
    const { program, socket, peer } = connecting(world);
    const syn = peer.expect({ flags: SYN });
    let before = world.simulation.now;
    const begun = before;
    for (const seconds of [1, 2, 4, 8, 16, 32, 64]) {
      peer.expect({ flags: SYN, seq: syn.seq }, 70 * SECOND);
      const waited = (world.simulation.now - before) / SECOND;
      assert.ok(Math.abs(waited - seconds) < 0.02, `${waited} s instead of ${seconds}`);
      before = world.simulation.now;
    }
    world.simulation.run(begun + 179 * SECOND - world.simulation.now);
    assert.equal(program.tcp.aborted, 0);
    world.run(2 * SECOND);
    assert.equal(program.error(socket), ETIMEDOUT);
  },
);

simulate("RFC 6928, 2: after a lost SYN the initial window is one segment", (world) => {
  const { program, socket, peer } = connecting(world);
  peer.expect({ flags: SYN });
  peer.accept({ mss: 1000 }, 2 * SECOND);
  world.run(MILLISECOND);
  program.send(socket, pattern(10000));
  peer.expect({ length: 1000 });
  peer.expectNone(100 * MILLISECOND);
});

simulate("RFC 6298, 5.7: after a lost SYN the first data's time-out is 3 s", (world) => {
  const { program, socket, peer } = connecting(world);
  peer.expect({ flags: SYN });
  peer.accept({ mss: 1000 }, 2 * SECOND);
  world.run(MILLISECOND);
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
  const before = world.simulation.now;
  peer.expect({ length: 10 }, 10 * SECOND);
  assert.ok(Math.abs((world.simulation.now - before) / SECOND - 3) < 0.02);
});

simulate(
  "RFC 9293, 3.10.7.4: the accept queue's bound; who waits gets in when it is emptied",
  (world) => {
    const { machine } = world.ready();
    const program = new Program(machine);
    const listener = program.listen(PORT, 2);
    const host = world.peer();
    for (const port of [4000, 4001]) host.tcp(MACHINE, PORT, port).connect();
    world.run(MILLISECOND);
    const late = host.tcp(MACHINE, PORT, 4002);
    late.send({ flags: SYN, seq: late.iss, options: { mss: 1460 } });
    late.expectNone(100 * MILLISECOND);
    assert.equal(program.tcp.listenOverflows, 1);
    assert.ok(program.accept(listener) > 0);
    late.connect();
  },
);

simulate("RFC 9293, 3.10.4: closing a listener resets who was not accepted", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.connect();
  world.run(MILLISECOND);
  program.close(listener);
  peer.expect({ flags: RST | ACK, seq: peer.rcvNxt });
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 0);
});

simulate(
  "RFC 6528: sequence numbers of one tuple go up, those of others are unrelated",
  (world) => {
    const { machine } = world.ready();
    const program = new Program(machine);
    program.listen(PORT);
    const host = world.peer();
    const isn = (port: number): number => {
      const peer = host.tcp(MACHINE, PORT, port);
      peer.send({ flags: SYN, options: { mss: 1460 } });
      const { seq } = peer.take(peer.expect({ flags: SYN | ACK }));
      peer.send({ flags: RST });
      world.run(10 * MILLISECOND);
      return seq;
    };
    const first = isn(4000);
    const again = isn(4000);
    // 10 ms or a little more, at one in 4 µs.
    const gained = (again - first) >>> 0;
    assert.ok(gained >= 2500 && gained < 5000, `${gained}`);
    const distances = [4001, 4002, 4003, 4004].map((port) => (isn(port) - isn(port + 100)) >>> 0);
    assert.ok(
      distances.every((distance) => distance > 100000),
      `${distances}`,
    );
  },
);

/** A peer of a listener, whose SYN with timestamps has been answered. */
function halfOpen(world: World) {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, options: { mss: 1460, timestamps: [1000, 0] } });
  const answer = peer.take(peer.expect({ flags: SYN | ACK }));
  return { program, listener, peer, answer, echo: answer.options.timestamps![0] };
}

simulate(
  "RFC 7323, 5.3 (R1): in SYN-RECEIVED an old timestamp draws an ACK, and no more",
  (world) => {
    const { program, listener, peer, echo } = halfOpen(world);
    peer.send({ options: { timestamps: [999, echo] } });
    peer.expect({ flags: ACK, seq: peer.rcvNxt, ack: peer.sndNxt });
    assert.equal(program.accept(listener), EAGAIN);
    peer.send({ options: { timestamps: [1000, echo] } });
    world.run(MILLISECOND);
    assert.ok(program.accept(listener) > 0);
    assert.equal(program.tcp.pawsDrops, 1);
  },
);

simulate("RFC 7323, 3.2: in SYN-RECEIVED a segment without timestamps is dropped", (world) => {
  const { program, listener, peer, echo } = halfOpen(world);
  peer.send();
  peer.expectNone(100 * MILLISECOND);
  assert.equal(program.accept(listener), EAGAIN);
  peer.send({ options: { timestamps: [1001, echo] } });
  world.run(MILLISECOND);
  assert.ok(program.accept(listener) > 0);
});

simulate(
  "RFC 7323, 4.3: the answer to a SYN that comes again echoes that one's timestamp",
  (world) => {
    const { peer } = halfOpen(world);
    const again = { flags: SYN, seq: peer.iss };
    peer.send({ ...again, options: { mss: 1460, timestamps: [1999, 0] } });
    assert.equal(peer.expect({ flags: SYN | ACK }).options.timestamps![1], 1999);
    // One that has been on its way for long.
    peer.send({ ...again, options: { mss: 1460, timestamps: [1500, 0] } });
    assert.equal(peer.expect({ flags: SYN | ACK }).options.timestamps![1], 1999);
  },
);

simulate(
  "RFC 5961, 7: in SYN-RECEIVED, too, no more than ten ACKs answer what does not fit",
  (world) => {
    const { peer } = halfOpen(world);
    // Two ends that do not fit each other would go on for ever.
    for (let i = 0; i < 40; i++) peer.send({ seq: peer.sndNxt + 100_000 });
    for (let i = 0; i < 10; i++) peer.expect({ flags: ACK, ack: peer.sndNxt });
    peer.expectNone(500 * MILLISECOND);
    peer.expect({ flags: SYN | ACK });
    peer.send({ seq: peer.sndNxt + 100_000 });
    peer.expect({ flags: ACK, ack: peer.sndNxt });
  },
);

simulate("RFC 7323, 5.2: a reset echoes the timestamp of what it answers", (world) => {
  world.ready();
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, options: { mss: 1460, timestamps: [1234, 0] } });
  const refusal = peer.expect({ flags: RST | ACK, seq: 0, ack: peer.iss + 1 });
  assert.deepEqual(refusal.options.timestamps, [0, 1234]);
  peer.send({ ack: 99 });
  assert.equal(peer.expect({ flags: RST, seq: 99 }).options.timestamps, undefined);
});

simulate("RFC 7323, 3.2: a second attempt to connect has nothing to echo", (world) => {
  const { program, socket, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: SYN, options: { mss: 1460, timestamps: [5000, 0] } });
  peer.expect({ flags: SYN | ACK, seq: syn.seq });
  peer.send({ flags: RST, options: { timestamps: [5001, 0] } });
  world.run(MILLISECOND);
  assert.equal(program.error(socket), ECONNREFUSED);
  // The first call tells that the attempt failed, the second begins anew.
  program.connectOn(socket, "10.0.0.1", 7);
  assert.equal(program.connectOn(socket, "10.0.0.1", 7), EINPROGRESS);
  assert.equal(peer.expect({ flags: SYN }).options.timestamps![1], 0);
});

simulate(
  "RFC 6298, 5.7: when SYN and ACK had to go twice, data's time-out begins with 3 s",
  (world) => {
    const { machine } = world.ready();
    const program = new Program(machine);
    const listener = program.listen(PORT);
    const peer = world.peer().tcp(MACHINE, PORT, 4000);
    peer.send({ flags: SYN, options: { mss: 1460 } });
    peer.expect({ flags: SYN | ACK });
    peer.take(peer.expect({ flags: SYN | ACK }));
    peer.send();
    world.run(MILLISECOND);
    program.send(program.accept(listener), pattern(10));
    peer.expect({ length: 10 });
    const sent = world.simulation.now;
    peer.expect({ length: 10 });
    const waited = (world.simulation.now - sent) / SECOND;
    assert.ok(Math.abs(waited - 3) < 0.02, `${waited} s`);
  },
);

for (const group of ["224.0.0.1", "239.1.2.3", "255.255.255.255", "10.0.0.255"]) {
  simulate(`RFC 9293, 3.9.2.3 (MUST-46): no connection to ${group}, which is no host`, (world) => {
    const { machine } = world.ready();
    const program = new Program(machine);
    const peer = world.peer();
    assert.equal(program.connectOn(program.stream(), group, 80), ENETUNREACH);
    peer.expectNone((frame) => frame.tcp !== undefined);
  });
}
