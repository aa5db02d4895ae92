import assert from "node:assert/strict";
import { Layout, SocketOption, SocketType, Syscall } from "../../../sdk/assembly/syscalls.ts";
import { simulate } from "../harness.ts";
import {
  ACK,
  connected,
  EAGAIN,
  ETIMEDOUT,
  FIN,
  MILLISECOND,
  pattern,
  PORT,
  RST,
  SECOND,
} from "./program.ts";

/** Connections at rest: what they give back (net/tcp/work.ts), and that they go on as before. */

const EINPROGRESS = -115;
const ENOBUFS = -105;

simulate("a connection at rest keeps its control block and nothing else", (world) => {
  const { program, socket, peer } = connected(world, { windowScale: 4, timestamps: [1000, 0] });
  world.run(2 * SECOND);
  // The listener's is left.
  assert.equal(program.tcp.working, 1);
  assert.equal(program.tcp.established, 1);

  peer.options = { timestamps: [4000, peer.options.timestamps![1]] };
  peer.send({ payload: pattern(100) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(100));
  assert.equal(program.tcp.working, 2);
  assert.equal(program.send(socket, pattern(300)), 300);
  const answer = peer.expect({ seq: peer.irs + 1, ack: peer.iss + 101, length: 300 });
  assert.equal(answer.options.timestamps![1], 4000);
  peer.take(answer);
  peer.send();
  world.run(2 * SECOND);
  assert.equal(program.tcp.working, 1);
});

simulate("what was measured of the path outlives a rest (RFC 6298, 2)", (world) => {
  const { program, socket, peer } = connected(world);
  const exchange = (): void => {
    program.send(socket, pattern(10));
    peer.take(peer.expect({ length: 10 }));
    world.run(150 * MILLISECOND);
    peer.send();
    world.run(MILLISECOND);
  };
  for (let i = 0; i < 20; i++) exchange();
  world.run(60 * SECOND);
  assert.equal(program.tcp.working, 1);
  const { retransmits } = program.tcp;
  // 200 ms above the round trip; the initial time-out is a second.
  program.send(socket, pattern(10));
  const begun = world.simulation.now;
  const first = peer.expect({ length: 10 });
  const again = peer.expect({ length: 10, seq: first.seq });
  const timeout = world.simulation.now - begun;
  assert.equal(again.seq, first.seq);
  assert.equal(program.tcp.retransmits, retransmits + 1);
  assert.ok(timeout > 330 * MILLISECOND && timeout < 400 * MILLISECOND, `after ${timeout} ns`);
});

simulate("a connection with bytes to read is not at rest until they are read", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(100) });
  world.run(2 * SECOND);
  assert.equal(program.tcp.working, 2);
  assert.deepEqual(program.receive(socket), pattern(100));
  world.run(2 * SECOND);
  assert.equal(program.tcp.working, 1);
});

simulate("a window that has to open is told to a peer that waits for it", (world) => {
  const { program, socket, peer } = connected(world, { window: 1000 });
  world.run(2 * SECOND);
  peer.window = 0;
  peer.send();
  world.run(2 * SECOND);
  assert.equal(program.send(socket, pattern(500)), 500);
  peer.expect({ length: 1, seq: peer.irs + 1 });
  peer.window = 1000;
  peer.send();
  peer.expect({ length: 500, seq: peer.irs + 1 });
});

simulate("RFC 1122, 4.2.3.6: keepalive from rest, and rest again after the answer", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.KeepAlive, 1);
  world.run(7000 * SECOND);
  assert.equal(program.tcp.working, 1);
  peer.expect({ flags: ACK, seq: peer.irs, length: 0 }, 300 * SECOND);
  peer.send();
  world.run(60 * SECOND);
  assert.equal(program.tcp.working, 1);
  peer.expectNone(7000 * SECOND);
  for (let i = 0; i < 9; i++) {
    peer.expect({ flags: ACK, seq: peer.irs, length: 0 }, 300 * SECOND);
    world.run(20 * SECOND);
    assert.equal(program.tcp.working, 1);
  }
  peer.expect({ flags: RST | ACK }, 100 * SECOND);
  assert.equal(program.error(socket), ETIMEDOUT);
});

simulate("RFC 9293, 3.6: both sides close after a rest", (world) => {
  const { program, socket, peer } = connected(world);
  world.run(10 * SECOND);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK, seq: peer.irs + 1 }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK, ack: peer.iss + 2 });
  world.run(MILLISECOND);
  const { connections, timeWait, working } = program.tcp;
  assert.deepEqual({ connections, timeWait, working }, { connections: 1, timeWait: 1, working: 1 });
});

simulate("RFC 5961, 7: a rest does not begin the count of challenge ACKs anew", (world) => {
  const { program, peer } = connected(world);
  let answers = 0;
  peer.peer.handler = ({ tcp }) => {
    if (tcp) answers++;
    return true;
  };
  for (let i = 0; i < 40; i++) {
    peer.send({ flags: RST, seq: peer.sndNxt + 100 });
    world.run(100 * MILLISECOND);
  }
  assert.equal(answers, 10);
  world.run(10 * SECOND);
  assert.equal(program.tcp.working, 1);
});

simulate("connections at work take what is left, and nothing is lost when nothing is", (world) => {
  const { program, socket, peer } = connected(world, { station: { memory: 64 << 20 } });
  const { machine } = program;
  world.run(2 * SECOND);
  const silent = new Uint8Array(Layout.Address);
  new DataView(silent.buffer).setBigUint64(8, 0x0000_ffff_0a00_0009n, true);
  new DataView(silent.buffer).setUint16(16, PORT, true);
  const address = machine.copyIn(silent, 128 * 1024);
  const opening: number[] = [];
  for (;;) {
    const next = machine.syscall(Syscall.Socket, SocketType.Stream);
    assert.ok(next > 0, `socket: ${next}`);
    const result = machine.syscall(Syscall.Connect, next, address);
    opening.push(next);
    if (result === ENOBUFS) break;
    assert.equal(result, EINPROGRESS);
    assert.ok(opening.length < 10_000, "connections for ever");
    if (opening.length % 64 === 0) world.run(MILLISECOND);
  }
  assert.equal(program.tcp.workRefused, 1);

  // As if the network had lost it; the peer sends it again.
  peer.send({ payload: pattern(100) });
  peer.expectNone(100 * MILLISECOND);
  assert.equal(program.receive(socket), EAGAIN);
  assert.equal(program.send(socket, pattern(10)), EAGAIN);
  assert.equal(machine.syscall(Syscall.Shutdown, socket, 1), ENOBUFS);
  assert.ok(program.tcp.workRefused >= 4);

  for (const number of opening) program.close(number);
  world.run(MILLISECOND);
  assert.equal(program.tcp.working, 1);
  peer.send({ seq: peer.iss + 1, payload: pattern(100) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(100));
  assert.equal(program.send(socket, pattern(10)), 10);
  peer.expect({ seq: peer.irs + 1, ack: peer.iss + 101, length: 10 });
});
