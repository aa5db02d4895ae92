import assert from "node:assert/strict";
import { SocketOption } from "../../../sdk/assembly/syscalls.ts";
import { simulate } from "../harness.ts";
import {
  ACK,
  connected,
  connecting,
  EAGAIN,
  FIN,
  MACHINE,
  MILLISECOND,
  pattern,
  PORT,
  Program,
  SECOND,
  SYN,
} from "./program.ts";

/** What comes in: acknowledgment, reassembly, windows, options, timestamps. */

simulate("RFC 9293, 3.8.6.3: one segment is acknowledged within the delay", (world) => {
  const { peer } = connected(world);
  peer.send({ payload: pattern(1000) });
  peer.expectNone(20 * MILLISECOND);
  peer.expect({ flags: ACK, ack: peer.sndNxt, length: 0 }, 100 * MILLISECOND);
});

simulate("RFC 9293, 3.8.6.3: every second segment is acknowledged at once", (world) => {
  const { peer } = connected(world);
  peer.send({ payload: pattern(1460) });
  peer.send({ payload: pattern(1460, 1460) });
  peer.expect({ flags: ACK, ack: peer.sndNxt }, 5 * MILLISECOND);
});

simulate("RFC 9293, 3.8.6.3: an ACK rides on data if there is any", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(100) });
  world.run(MILLISECOND);
  program.send(socket, pattern(10));
  peer.expect({ flags: ACK, ack: peer.sndNxt, length: 10 }, 5 * MILLISECOND);
  peer.expectNone(100 * MILLISECOND);
});

simulate("RFC 5681, 4.2: each segment out of order is acknowledged at once, by itself", (world) => {
  const { peer } = connected(world);
  const base = peer.sndNxt;
  for (let i = 1; i <= 4; i++)
    peer.send({ seq: base + i * 1000, payload: pattern(1000, i * 1000) });
  for (let i = 0; i < 4; i++) peer.expect({ flags: ACK, ack: base }, 5 * MILLISECOND);
  peer.expectNone(50 * MILLISECOND);
});

simulate("RFC 5681, 4.2: a segment that fills a gap is acknowledged at once", (world) => {
  const { program, socket, peer } = connected(world);
  const base = peer.sndNxt;
  peer.send({ seq: base + 1000, payload: pattern(1000, 1000) });
  peer.expect({ ack: base });
  peer.send({ seq: base, payload: pattern(1000) });
  peer.expect({ flags: ACK, ack: base + 2000 }, 5 * MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(2000));
});

simulate("RFC 9293, 3.10.7.4: segments in any order and overlap make one stream", (world) => {
  const { program, socket, peer } = connected(world);
  const base = peer.sndNxt;
  const { random } = world.simulation;
  const total = 20000;
  const parts: [number, number][] = [];
  for (let at = 0; at < total; at += 700) parts.push([at, Math.min(at + 900, total)]);
  for (let i = parts.length - 1; i > 0; i--) {
    const j = random.integer(0, i);
    [parts[i], parts[j]] = [parts[j]!, parts[i]!];
  }
  for (const [from, to] of parts) {
    peer.send({ seq: base + from, payload: pattern(to - from, from) });
    world.run(MILLISECOND);
  }
  assert.deepEqual(program.receive(socket), pattern(total));
  world.run(SECOND);
  assert.equal(program.packetsHeld, 0);
});

simulate(
  "RFC 1122, 4.2.3.3: the window shuts without going back, and opens by whole segments",
  (world) => {
    const { program, socket, peer, scale } = connected(world, { windowScale: 0 });
    let edge = 0;
    let sent = 0;
    peer.peer.handler = ({ tcp }) => {
      if (!tcp) return false;
      edge = ((tcp.ack - peer.iss - 1) >>> 0) + tcp.window * 2 ** scale;
      return true;
    };
    edge = 65535;
    for (let i = 0; i < 1000 && sent < edge; i++) {
      const length = Math.min(1460, edge - sent);
      peer.send({ payload: pattern(length, sent) });
      sent += length;
      if (i % 8 === 7) world.run(MILLISECOND);
    }
    world.run(100 * MILLISECOND);
    // What the scale cuts off is rounded up.
    const shut = edge;
    assert.ok(shut - sent < 2 * 2 ** scale, `${shut - sent}`);
    assert.ok(sent >= 64 * 1024, `${sent}`);
    // A byte read is not worth telling; much is.
    assert.deepEqual(program.receive(socket, 1), pattern(1));
    world.run(100 * MILLISECOND);
    assert.equal(edge, shut);
    let read = 1;
    for (
      let bytes = program.receive(socket);
      typeof bytes !== "number";
      bytes = program.receive(socket)
    ) {
      assert.deepEqual(bytes, pattern(bytes.length, read));
      read += bytes.length;
    }
    assert.equal(read, sent);
    world.run(MILLISECOND);
    assert.ok(edge >= sent + 64 * 1024, `${edge - sent}`);
  },
);

simulate(
  "RFC 9293, 3.8.6: a probe of a shut window is answered, its byte taken when there is room",
  (world) => {
    const { program, socket, peer } = connected(world);
    // Fills the window, whatever it is.
    let window = 65535;
    for (let sent = 0; window > 0;) {
      const length = Math.min(1460, window);
      peer.send({ payload: pattern(length, sent) });
      sent += length;
      window = peer.expect({ ack: peer.sndNxt }).window;
    }
    peer.send({ seq: peer.sndNxt, payload: pattern(1) });
    peer.expect({ flags: ACK, ack: peer.sndNxt, window: 0 });
    program.receive(socket);
    peer.expect({ flags: ACK, ack: peer.sndNxt });
    peer.send({ payload: pattern(1) });
    peer.expect({ flags: ACK, ack: peer.sndNxt });
  },
);

simulate(
  "many small segments that nobody reads hold half of a share of slots, no more",
  (world) => {
    const { program, socket, peer } = connected(world);
    const share = program.option(socket, SocketOption.ReceiveBuffer) / 2048;
    for (let i = 0; i < 1000; i++) {
      peer.send({ payload: pattern(20, i * 20) });
      if (i % 16 === 15) world.run(MILLISECOND);
    }
    world.run(100 * MILLISECOND);
    // Beyond that they are put together: 20,000 bytes fill a dozen slots.
    assert.ok(program.packetsHeld <= share / 2 + 12, `${program.packetsHeld} of ${share}`);
  },
);

simulate("connections whose programs do not read leave memory for one that does", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT, 64);
  const host = world.peer();
  const hogs = 40;
  for (let i = 0; i < hogs; i++) {
    const peer = host.tcp(MACHINE, PORT, 5000 + i);
    peer.connect();
    for (let at = 0; at < 60000; at += 1460) {
      peer.send({ payload: pattern(1460, at) });
      if ((at / 1460) % 16 === 15) world.run(MILLISECOND);
    }
    world.run(MILLISECOND);
    host.inbox = [];
    assert.ok(program.accept(listener) > 0);
  }
  const peer = host.tcp(MACHINE, PORT, 4000);
  peer.connect();
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  for (let i = 0; i < 50; i++) {
    peer.send({ payload: pattern(1460, i * 1460) });
    world.run(2 * MILLISECOND);
    assert.deepEqual(program.receive(socket), pattern(1460, i * 1460));
    assert.equal(program.send(socket, pattern(100)), 100);
    peer.take(peer.peer.expect((frame) => (frame.tcp?.payload.length ?? 0) > 0).tcp!);
    peer.send();
    world.run(MILLISECOND);
  }
});

simulate("RFC 7323, 2.2: the window of a SYN is not scaled", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.window = 1000;
  const answer = peer.connect({ mss: 1000, windowScale: 7 });
  assert.ok(answer.options.windowScale !== undefined);
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  program.send(socket, pattern(20000));
  // 1000 × 2^7 by the handshake's last ACK, so ten segments by the congestion window.
  for (let i = 0; i < 10; i++) peer.expect({ length: 1000 });
});

simulate("RFC 7323, 2.2: a SYN's window holds unscaled until the next segment", (world) => {
  const { program, socket, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  assert.ok(syn.options.windowScale !== undefined && syn.options.timestamps !== undefined);
  peer.send({ flags: SYN | ACK, window: 1500, options: { mss: 1000, windowScale: 10 } });
  peer.expect({ flags: ACK });
  program.send(socket, pattern(5000));
  peer.expect({ length: 1000 });
  peer.expectNone(50 * MILLISECOND);
});

simulate("RFC 7323, 2.2 and 3.2: options are not answered unasked", (world) => {
  const { machine } = world.ready();
  new Program(machine).listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  const { options } = peer.connect({ mss: 1460 });
  assert.deepEqual(options, { mss: 1460 });
});

simulate("RFC 7323, 2.3: a shift above 14 counts as 14", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000, windowScale: 200, window: 1 });
  program.send(socket, pattern(5000));
  for (let i = 0; i < 5; i++) peer.expect({ length: 1000 });
});

simulate("RFC 7323, 3.2: every segment has timestamps, echoing the peer's", (world) => {
  const { program, socket, peer } = connected(world, { timestamps: [1000, 0] });
  peer.options.timestamps![0] = 2000;
  peer.send({ payload: pattern(10) });
  const ack = peer.expect({ flags: ACK }, 100 * MILLISECOND);
  assert.equal(ack.options.timestamps![1], 2000);
  world.run(50 * MILLISECOND);
  program.send(socket, pattern(10));
  const data = peer.expect({ length: 10 });
  assert.equal(data.options.timestamps![1], 2000);
  const passed = data.options.timestamps![0] - ack.options.timestamps![0];
  assert.ok(passed >= 50 && passed <= 53, `${passed} ms`);
});

simulate("RFC 7323, 4.3: with a delayed ACK the earlier segment's timestamp is echoed", (world) => {
  const { peer } = connected(world, { timestamps: [1000, 0] });
  const echo = peer.options.timestamps![1];
  peer.send({ payload: pattern(10), options: { timestamps: [2000, echo] } });
  peer.send({ payload: pattern(10, 10), options: { timestamps: [2001, echo] } });
  assert.equal(peer.expect({ ack: peer.sndNxt }).options.timestamps![1], 2000);
});

simulate("RFC 7323, 4.3: a segment out of order does not set the echo", (world) => {
  const { peer } = connected(world, { timestamps: [1000, 0] });
  const base = peer.sndNxt;
  const echo = peer.options.timestamps![1];
  peer.send({ seq: base + 100, payload: pattern(10), options: { timestamps: [3000, echo] } });
  assert.equal(peer.expect({ ack: base }).options.timestamps![1], 1000);
  peer.send({ seq: base, payload: pattern(100), options: { timestamps: [4000, echo] } });
  assert.equal(peer.expect({ ack: base + 110 }).options.timestamps![1], 4000);
});

simulate("RFC 7323, 5.3 (PAWS): an old timestamp is answered with an ACK and dropped", (world) => {
  const { program, socket, peer } = connected(world, { timestamps: [1000, 0] });
  const echo = peer.options.timestamps![1];
  peer.send({ seq: peer.sndNxt, payload: pattern(10), options: { timestamps: [999, echo] } });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
  assert.equal(program.receive(socket), EAGAIN);
  assert.equal(program.tcp.pawsDrops, 1);
});

simulate("RFC 7323, 5.3 (PAWS): a reset needs no timestamp", (world) => {
  const { program, socket, peer } = connected(world, { timestamps: [1000, 0] });
  peer.send({ flags: 4, options: {} });
  world.run(MILLISECOND);
  assert.equal(program.receive(socket), -104);
});

simulate("RFC 7323, 5.5: after 24 idle days an old timestamp is believed", (world) => {
  const { program, socket, peer } = connected(world, { timestamps: [1000, 0] });
  const echo = peer.options.timestamps![1];
  world.run(25 * 86400 * SECOND);
  peer.send({ payload: pattern(10), options: { timestamps: [900, echo] } });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(10));
});

simulate("RFC 7323, 3.2: a segment without timestamps is dropped once they are agreed", (world) => {
  const { program, socket, peer } = connected(world, { timestamps: [1000, 0] });
  peer.send({ seq: peer.sndNxt, payload: pattern(10), options: {} });
  peer.expectNone(SECOND);
  assert.equal(program.receive(socket), EAGAIN);
});

simulate("RFC 7323, 4: timestamps time a segment that was sent twice", (world) => {
  const { program, socket, peer } = connected(world, { timestamps: [1000, 0] });
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
  const second = peer.take(peer.expect({ length: 10 }));
  world.run(400 * MILLISECOND);
  peer.options = { timestamps: [1500, second.options.timestamps![0]] };
  peer.send();
  world.run(MILLISECOND);
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
  const before = world.simulation.now;
  peer.expect({ length: 10 });
  // More than without a sample: the RTT of 400 ms or so has come in.
  assert.ok(world.simulation.now - before > 230 * MILLISECOND);
});

simulate("RFC 6691, 2: timestamps come out of the segment, not on top of it", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1000, timestamps: [1000, 0] });
  program.send(socket, pattern(5000));
  peer.expect({ length: 988 });
});

simulate("RFC 9293, 3.10.3: FIN with data is the end behind the data", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: FIN | ACK, payload: pattern(30) });
  peer.expect({ flags: ACK, ack: peer.iss + 32 });
  assert.deepEqual(program.receive(socket, 10, true), pattern(10));
  assert.deepEqual(program.receive(socket), pattern(30));
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
});

simulate("RFC 9293, 3.1: sequence numbers wrap", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.iss = 0xffff_fc00;
  peer.connect();
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  peer.send({ seq: 200, payload: pattern(300, 1223) });
  for (let at = 0; at < 1223;) {
    const length = Math.min(500, 1223 - at);
    peer.send({ payload: pattern(length, at) });
    at += length;
  }
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(1523));
});
