import assert from "node:assert/strict";
import { simulate, type World } from "../harness.ts";
import {
  ACK,
  connected,
  connecting,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
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

/** The figures of RFC 9293, 3.5 and 3.6, line by line, with the machine on either side. */

simulate("RFC 9293, 3.5, figure 6: the three-way handshake, the machine as TCP A", (world) => {
  const { program, socket, peer } = connecting(world);
  peer.window = 1000;
  const syn = peer.take(peer.expect({ flags: SYN, length: 0 }));
  peer.send({ flags: SYN | ACK, seq: 300, options: { mss: 1460 } });
  peer.expect({ flags: ACK, seq: syn.seq + 1, ack: 301, length: 0 });
  // Line 5: data with the same number as the ACK, which took none.
  program.send(socket, pattern(100));
  peer.expect({ flags: ACK, seq: syn.seq + 1, ack: 301, length: 100 });
});

simulate("RFC 9293, 3.5, figure 6: the three-way handshake, the machine as TCP B", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, seq: 100, options: { mss: 1460 } });
  const answer = peer.take(peer.expect({ flags: SYN | ACK, ack: 101, length: 0 }));
  peer.send({ seq: 101 });
  peer.send({ seq: 101, payload: pattern(50) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(program.accept(listener)), pattern(50));
  peer.expect({ flags: ACK, seq: answer.seq + 1, ack: 151, length: 0 }, SECOND);
});

simulate(
  "RFC 9293, 3.5, figure 7: both sides open at once, and both reach ESTABLISHED",
  (world) => {
    const { program, socket, peer } = connecting(world);
    const syn = peer.take(peer.expect({ flags: SYN }));
    peer.send({ flags: SYN, seq: 300, options: { mss: 1460 } });
    peer.expect({ flags: SYN | ACK, seq: syn.seq, ack: 301 });
    assert.equal(program.tcp.established, 0);
    peer.send({ flags: SYN | ACK, seq: 300, options: { mss: 1460 } });
    world.run(MILLISECOND);
    assert.equal(program.tcp.established, 1);
    peer.sndNxt = 301;
    peer.send({ payload: pattern(5) });
    world.run(MILLISECOND);
    assert.deepEqual(program.receive(socket), pattern(5));
  },
);

simulate("RFC 9293, 3.5, figure 7: the crossing SYNs are repeated until one arrives", (world) => {
  const { program, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: SYN, seq: 300, options: { mss: 1460 } });
  peer.expect({ flags: SYN | ACK, seq: syn.seq, ack: 301 });
  peer.expect({ flags: SYN | ACK, seq: syn.seq, ack: 301 }, 2 * SECOND);
  peer.send({ flags: SYN | ACK, seq: 300, options: { mss: 1460 } });
  world.run(MILLISECOND);
  assert.equal(program.tcp.established, 1);
});

simulate("RFC 9293, 3.5, figure 8: an old duplicate SYN reaches a listener first", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, seq: 90, options: { mss: 1460 } });
  const old = peer.expect({ flags: SYN | ACK, ack: 91 });
  peer.send({ flags: RST, seq: 91 });
  world.run(10 * MILLISECOND);
  peer.send({ flags: SYN, seq: 100, options: { mss: 1460 } });
  const answer = peer.take(peer.expect({ flags: SYN | ACK, ack: 101 }));
  assert.notEqual(answer.seq, old.seq);
  peer.send({ seq: 101 });
  world.run(MILLISECOND);
  assert.ok(program.accept(listener) > 0);
});

simulate("RFC 9293, 3.5, figure 8: the answer to an old SYN of ours is reset", (world) => {
  const { program, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: SYN | ACK, seq: 300, ack: syn.seq - 9 });
  peer.expect({ flags: RST, seq: syn.seq - 9, ack: 0 });
  peer.sndNxt = 400;
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: ACK, seq: syn.seq + 1, ack: 401 });
  world.run(MILLISECOND);
  assert.equal(program.tcp.established, 1);
});

simulate(
  "RFC 9293, 3.5, figure 9: TCP A has crashed; the machine, TCP B, acknowledges",
  (world) => {
    const { program, socket, peer, listener } = connected(world);
    // The new SYN is not of this connection: B says where it stands, A resets it, and begins again.
    const before = peer.rcvNxt;
    peer.send({ flags: SYN, seq: 400, ack: 0, options: { mss: 1460 } });
    peer.expect({ flags: ACK, seq: before, ack: peer.sndNxt });
    peer.send({ flags: RST, seq: peer.sndNxt });
    world.run(MILLISECOND);
    assert.equal(program.receive(socket), -ECONNRESET);
    peer.send({ flags: SYN, seq: 400, options: { mss: 1460 } });
    peer.take(peer.expect({ flags: SYN | ACK, ack: 401 }));
    peer.send({ seq: 401 });
    world.run(MILLISECOND);
    assert.ok(program.accept(listener) > 0);
  },
);

simulate("RFC 9293, 3.5, figure 9: the machine, TCP A, resets what it does not know", (world) => {
  const { program, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  // B's connection from before the crash: 100 is acknowledged, 300 comes next.
  peer.send({ flags: ACK, seq: 300, ack: 100 });
  peer.expect({ flags: RST, seq: 100 });
  peer.expect({ flags: SYN, seq: syn.seq }, 2 * SECOND);
  peer.sndNxt = 600;
  peer.send({ flags: SYN | ACK, ack: syn.seq + 1, options: { mss: 1460 } });
  peer.expect({ flags: ACK, ack: 601 });
  world.run(MILLISECOND);
  assert.equal(program.tcp.established, 1);
});

simulate("RFC 9293, 3.5, figure 10: data for a connection that the machine lost", (world) => {
  world.ready();
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: ACK, seq: 300, ack: 100, payload: pattern(10) });
  peer.expect({ flags: RST, seq: 100, ack: 0 });
});

simulate("RFC 9293, 3.5, figure 10: the machine's data meets a peer that lost it", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(10));
  const data = peer.expect({ flags: ACK, length: 10 });
  peer.send({ flags: RST, seq: data.ack });
  world.run(MILLISECOND);
  assert.equal(program.receive(socket), -ECONNRESET);
  peer.expectNone(5 * SECOND);
});

simulate("RFC 9293, 3.5, figure 11: an old SYN at two listeners comes to nothing", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, seq: 77, options: { mss: 1460 } });
  const answer = peer.expect({ flags: SYN | ACK, ack: 78 });
  // The other listener resets the ACK; this one goes back to LISTEN.
  peer.send({ flags: RST, seq: answer.ack });
  peer.expectNone(5 * SECOND);
  assert.equal(program.tcp.halfOpen, 0);
  assert.equal(program.accept(listener), EAGAIN);
});

simulate("RFC 9293, 3.6, figure 12: an ordinary close, the machine as TCP A", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  const fin = peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send();
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK, seq: fin.seq + 1, ack: peer.sndNxt });
  assert.equal(program.tcp.timeWait, 1);
});

simulate("RFC 9293, 3.6, figure 12: an ordinary close, the machine as TCP B", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK, seq: peer.rcvNxt, ack: peer.sndNxt });
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK, ack: peer.sndNxt }));
  peer.send();
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 1);
  assert.equal(program.tcp.timeWait, 0);
});

simulate("RFC 9293, 3.6, figure 13: both sides close at once", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  const fin = peer.expect({ flags: FIN | ACK });
  // The FINs cross: the peer's does not acknowledge ours.
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK, seq: fin.seq + 1, ack: peer.sndNxt });
  assert.equal(program.tcp.timeWait, 0);
  peer.take(fin);
  peer.send();
  world.run(MILLISECOND);
  assert.equal(program.tcp.timeWait, 1);
});

// ---- 3.10.7.2 to 3.10.7.4, what the figures leave out --------------------------------------

function listening(world: World) {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  return { program, listener, peer: world.peer().tcp(MACHINE, PORT, 4000) };
}

simulate("RFC 9293, 3.10.7.2: LISTEN resets a SYN that acknowledges", (world) => {
  const { peer, program } = listening(world);
  peer.send({ flags: SYN | ACK, seq: 5, ack: 900 });
  peer.expect({ flags: RST, seq: 900 });
  assert.equal(program.tcp.halfOpen, 0);
});

simulate("RFC 9293, 3.10.7.2: LISTEN ignores a SYN with a reset", (world) => {
  const { peer, program } = listening(world);
  peer.send({ flags: SYN | RST, seq: 5 });
  peer.expectNone(SECOND);
  assert.equal(program.tcp.halfOpen, 0);
});

simulate("LISTEN drops SYN and FIN together, which no connection begins with", (world) => {
  const { peer, program } = listening(world);
  peer.send({ flags: SYN | FIN, seq: 5, options: { mss: 1460 } });
  peer.expectNone(SECOND);
  assert.equal(program.tcp.halfOpen, 0);
});

simulate("RFC 9293, 3.10.7.3: SYN-SENT drops a segment with neither SYN nor RST", (world) => {
  const { peer, program } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: ACK, seq: 300, payload: pattern(10) });
  peer.send({ flags: 0, seq: 300, payload: pattern(10) });
  peer.expect({ flags: SYN, seq: syn.seq }, 2 * SECOND);
  assert.equal(program.tcp.established, 0);
});

simulate("RFC 9293, 3.10.7.3: a reset with an unacceptable ACK is dropped in SYN-SENT", (world) => {
  const { peer, program, socket } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq + 2 });
  peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq });
  world.run(MILLISECOND);
  assert.equal(program.error(socket), 0);
  peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq + 1 });
  world.run(MILLISECOND);
  assert.equal(program.error(socket), ECONNREFUSED);
});

simulate("RFC 9293, 3.10.7.3: data with SYN and ACK is taken", (world) => {
  const { peer, program, socket } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: SYN | ACK, options: { mss: 1460 }, payload: pattern(30) });
  peer.expect({ flags: ACK, seq: syn.seq + 1, ack: peer.iss + 31 });
  assert.deepEqual(program.receive(socket), pattern(30));
});

simulate("RFC 9293, 3.10.7.3: FIN with SYN and ACK ends the peer's stream", (world) => {
  const { peer, program, socket } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: SYN | ACK | FIN, options: { mss: 1460 }, payload: pattern(30) });
  peer.expect({ flags: ACK, seq: syn.seq + 1, ack: peer.iss + 32 });
  assert.deepEqual(program.receive(socket), pattern(30));
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
  assert.equal(program.send(socket, pattern(3)), 3);
});

simulate("RFC 9293, 3.10.7.4: FIN with the ACK that ends the handshake", (world) => {
  const { peer, program, listener } = listening(world);
  peer.send({ flags: SYN, options: { mss: 1460 } });
  peer.take(peer.expect({ flags: SYN | ACK }));
  peer.send({ flags: ACK | FIN, payload: pattern(20) });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
  const socket = program.accept(listener);
  assert.deepEqual(program.receive(socket), pattern(20));
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
});

simulate("RFC 9293, 3.10.7.4: SYN-RECEIVED drops a segment without ACK", (world) => {
  const { peer, program, listener } = listening(world);
  peer.send({ flags: SYN, options: { mss: 1460 } });
  peer.take(peer.expect({ flags: SYN | ACK }));
  peer.send({ flags: 0, payload: pattern(20) });
  peer.expectNone(100 * MILLISECOND);
  assert.equal(program.accept(listener), EAGAIN);
});

simulate(
  "RFC 9293, 3.10.7.4: after a passive open SYN-RECEIVED returns to LISTEN on SYN",
  (world) => {
    const { peer, program, listener } = listening(world);
    peer.send({ flags: SYN, seq: 1000, options: { mss: 1460 } });
    peer.expect({ flags: SYN | ACK, ack: 1001 });
    // A number inside the window: a new attempt.
    peer.send({ flags: SYN, seq: 2000, options: { mss: 1460 } });
    peer.take(peer.expect({ flags: SYN | ACK, ack: 2001 }));
    peer.send({ seq: 2001 });
    world.run(MILLISECOND);
    assert.ok(program.accept(listener) > 0);
    assert.equal(program.tcp.halfOpen, 0);
  },
);

simulate(
  "RFC 9293, 3.10.7.4: a reset after a simultaneous open refuses the connection",
  (world) => {
    const { program, socket, peer } = connecting(world);
    const syn = peer.take(peer.expect({ flags: SYN }));
    peer.send({ flags: SYN, options: { mss: 1460 } });
    peer.expect({ flags: SYN | ACK, seq: syn.seq });
    peer.send({ flags: RST });
    world.run(MILLISECOND);
    assert.equal(program.error(socket), ECONNREFUSED);
  },
);

simulate("RFC 9293, 3.5: a socket may connect to itself", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const socket = program.connect(MACHINE, 5000, 5000);
  world.run(10 * MILLISECOND);
  assert.equal(program.tcp.established, 1);
  assert.equal(program.send(socket, pattern(1000)), 1000);
  world.run(10 * MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(1000));
  program.endWriting(socket);
  world.run(SECOND);
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
  program.close(socket);
  world.run(SECOND);
  assert.equal(program.tcp.connections, 0);
});

simulate(
  "RFC 9293, 3.5: our own SYN come back from a listener's port is no connection",
  (world) => {
    const { peer, program } = listening(world);
    const host = peer.peer;
    const land = host.tcp(MACHINE, PORT, PORT);
    // Its source is the machine's own address: sent back, it would answer itself for ever.
    world.checker.followsTcp = false;
    host.ip = MACHINE;
    land.send({ flags: SYN, options: { mss: 1460 } });
    world.run(SECOND);
    assert.equal(program.tcp.halfOpen, 0);
  },
);
