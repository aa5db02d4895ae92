import assert from "node:assert/strict";
import { SocketOption } from "../../../sdk/assembly/syscalls.ts";
import type { PeerTcp } from "../../../tools/sim/peer.ts";
import { simulate, type World } from "../harness.ts";
import {
  ACK,
  EAGAIN,
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

/** The queue of connections to accept, and TCP_DEFER_ACCEPT. */

function listening(world: World, backlog: number) {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT, backlog);
  const host = world.peer();
  const client = (port: number): PeerTcp => host.tcp(MACHINE, PORT, port);
  return { program, listener, client };
}

/** SYN, and its answer. */
function open(peer: PeerTcp): void {
  peer.sndNxt = peer.iss;
  peer.send({ flags: SYN, options: { mss: 1460 } });
  peer.irs = peer.take(peer.expect({ flags: SYN | ACK })).seq;
}

simulate("connections are accepted in the order in which their handshakes ended", (world) => {
  const { program, listener, client } = listening(world, 8);
  const peers = [4000, 4001, 4002].map(client);
  peers.forEach(open);
  for (const i of [2, 0, 1]) {
    peers[i]!.send({ payload: Uint8Array.of(i) });
    world.run(MILLISECOND);
  }
  const order = [0, 1, 2].map(() => {
    const bytes = program.receive(program.accept(listener));
    return typeof bytes === "number" ? bytes : bytes[0];
  });
  assert.deepEqual(order, [2, 0, 1]);
});

simulate(
  "a full accept queue drops the ACK; data in its place opens when there is room",
  (world) => {
    const { program, listener, client } = listening(world, 1);
    const [first, second] = [client(4000), client(4001)];
    open(first);
    open(second);
    first.send();
    second.send();
    second.send({ payload: pattern(40) });
    second.expectNone(500 * MILLISECOND);
    assert.ok(program.accept(listener) > 0);
    assert.equal(program.accept(listener), EAGAIN);
    second.send({ seq: second.iss + 1, payload: pattern(40) });
    world.run(MILLISECOND);
    assert.deepEqual(program.receive(program.accept(listener)), pattern(40));
  },
);

simulate(
  "a full accept queue keeps who has acknowledged: SYN and ACK make him try again",
  (world) => {
    const { program, listener, client } = listening(world, 1);
    const [first, second] = [client(4000), client(4001)];
    open(first);
    open(second);
    first.send();
    second.send();
    world.run(100 * MILLISECOND);
    assert.ok(program.accept(listener) > 0);
    second.expect({ flags: SYN | ACK, seq: second.irs }, 2 * SECOND);
    second.send();
    world.run(MILLISECOND);
    assert.ok(program.accept(listener) > 0);
  },
);

simulate("a backlog of 0 still lets one in at a time", (world) => {
  const { program, listener, client } = listening(world, 0);
  for (const port of [4000, 4001]) {
    client(port).connect();
    world.run(MILLISECOND);
    assert.ok(program.accept(listener) > 0);
  }
});

simulate("a second listen changes the backlog of the first", (world) => {
  const { program, listener, client } = listening(world, 1);
  client(4000).connect();
  world.run(MILLISECOND);
  const second = client(4001);
  second.send({ flags: SYN, options: { mss: 1460 } });
  second.expectNone(100 * MILLISECOND);
  program.backlog(listener, 2);
  second.connect();
  world.run(MILLISECOND);
  assert.ok(program.accept(listener) > 0);
  assert.ok(program.accept(listener) > 0);
});

simulate("a connection reset while it waits is not accepted, and leaves its place", (world) => {
  const { program, listener, client } = listening(world, 2);
  const [first, second] = [client(4000), client(4001)];
  first.connect();
  second.connect();
  world.run(MILLISECOND);
  first.send({ flags: RST });
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  second.send({ payload: pattern(3) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(3));
  assert.equal(program.accept(listener), EAGAIN);
  assert.equal(program.tcp.connections, 2);
});

simulate("a connection that the peer has ended is accepted, with what it brought", (world) => {
  const { program, listener, client } = listening(world, 2);
  const peer = client(4000);
  peer.connect();
  peer.send({ flags: FIN | ACK, payload: pattern(9) });
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  assert.deepEqual(program.receive(socket), pattern(9));
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
});

// ---- TCP_DEFER_ACCEPT ----------------------------------------------------------------------

function deferring(world: World, seconds: number) {
  const made = listening(world, 8);
  made.program.setOption(made.listener, SocketOption.DeferAccept, seconds);
  return made;
}

simulate("TCP_DEFER_ACCEPT: a bare ACK is not accepted, data is", (world) => {
  const { program, listener, client } = deferring(world, 10);
  const peer = client(4000);
  open(peer);
  peer.send();
  peer.expectNone(500 * MILLISECOND);
  assert.equal(program.accept(listener), EAGAIN);
  assert.equal(program.tcp.halfOpen, 1);
  peer.send({ payload: pattern(70) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(program.accept(listener)), pattern(70));
});

simulate("TCP_DEFER_ACCEPT: a FIN is news enough", (world) => {
  const { program, listener, client } = deferring(world, 10);
  const peer = client(4000);
  open(peer);
  peer.send();
  peer.send({ flags: FIN | ACK });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(program.accept(listener)), new Uint8Array(0));
});

simulate(
  "TCP_DEFER_ACCEPT: who has acknowledged is not sent SYN and ACK until the time is over",
  (world) => {
    const { program, listener, client } = deferring(world, 10);
    const peer = client(4000);
    open(peer);
    peer.send();
    // Time-outs are after 1, 3, 7 and 15 s: 10 s means four of them.
    const begun = world.simulation.now;
    peer.expect({ flags: SYN | ACK, seq: peer.irs }, 20 * SECOND);
    const waited = (world.simulation.now - begun) / SECOND;
    assert.ok(waited > 14.5 && waited < 15.5, `${waited} s`);
    peer.send();
    world.run(MILLISECOND);
    assert.ok(program.accept(listener) > 0);
  },
);

simulate("TCP_DEFER_ACCEPT: who has not acknowledged is sent SYN and ACK as ever", (world) => {
  const { client } = deferring(world, 10);
  const peer = client(4000);
  open(peer);
  peer.expect({ flags: SYN | ACK, seq: peer.irs }, 2 * SECOND);
  peer.expect({ flags: SYN | ACK, seq: peer.irs }, 3 * SECOND);
});

simulate("TCP_DEFER_ACCEPT: who falls silent is forgotten", (world) => {
  const { program, client } = deferring(world, 3);
  const peer = client(4000);
  open(peer);
  peer.send();
  world.run(80 * SECOND);
  assert.equal(program.tcp.halfOpen, 0);
});

simulate("TCP_DEFER_ACCEPT: the time is rounded up to a time-out, and 0 is off", (world) => {
  const { program, listener, client } = deferring(world, 10);
  const option = () => program.getOption(listener, SocketOption.DeferAccept);
  assert.equal(option(), 15);
  program.setOption(listener, SocketOption.DeferAccept, 1);
  assert.equal(option(), 1);
  program.setOption(listener, SocketOption.DeferAccept, 0);
  assert.equal(option(), 0);
  client(4000).connect();
  world.run(MILLISECOND);
  assert.ok(program.accept(listener) > 0);
});
