import assert from "node:assert/strict";
import { ACK, FIN, PSH, type TcpSegment } from "../../../tools/sim/frames.ts";
import { simulate, type World } from "../harness.ts";
import {
  connected,
  type Connected,
  type ConnectOptions,
  MILLISECOND,
  pattern,
  SECOND,
  sendAll,
} from "./program.ts";

/**
 * Bulk data through a NIC that cuts it into segments: what arrives must be what a sender of single
 * segments would have sent. Copied data goes two slots of it at a time (kernel/packet.ts).
 */

const MSS = 1000;
/** Bytes sent before a test begins, each segment acknowledged: the window is more than 40 segments then. */
const GROWN = 40_000;

/** Cut into segments by the NIC so far, as packets of several. */
function bursts(world: World): number {
  return world.stations[0]!.nic.counts.bursts;
}

/** A connection with segments of 1,000 bytes in mid-life. */
function grown(world: World, options: ConnectOptions = {}): Connected {
  const it = connected(world, { mss: MSS, window: 65535, ...options });
  const { program, socket, peer } = it;
  program.send(socket, pattern(GROWN));
  for (let sent = 0; sent < GROWN;) {
    sent += peer.take(peer.expect({ seq: peer.rcvNxt })).payload.length;
    peer.send();
  }
  world.run(MILLISECOND);
  return it;
}

/** Receives `bytes` in order and holds them against the pattern; the segments that they came in. */
function takeBytes({ peer }: Connected, bytes: number): TcpSegment[] {
  const segments: TcpSegment[] = [];
  for (let taken = 0; taken < bytes;) {
    const segment = peer.take(peer.expect({ seq: peer.rcvNxt }, 20 * MILLISECOND));
    const from = (segment.seq - peer.irs - 1) >>> 0;
    assert.deepEqual(segment.payload, pattern(segment.payload.length, from));
    taken += segment.payload.length;
    segments.push(segment);
  }
  return segments;
}

for (const timestamps of [false, true]) {
  const size = timestamps ? MSS - 12 : MSS;
  const options: ConnectOptions = timestamps ? { timestamps: [1000, 0] } : {};
  const name = timestamps ? "with timestamps" : "without timestamps";

  simulate(`a large write arrives in full segments, PSH on the last, ${name}`, (world) => {
    const it = grown(world, options);
    const before = bursts(world);
    it.program.noDelay(it.socket);
    it.program.send(it.socket, pattern(20_500, GROWN));
    const segments = takeBytes(it, 20_500);
    segments.forEach(({ payload, flags, options: { timestamps: stamp } }, i) => {
      const last = i === segments.length - 1;
      assert.equal(payload.length, last ? 20_500 % size : size);
      assert.equal(flags, last ? ACK | PSH : ACK);
      assert.equal(stamp !== undefined, timestamps);
    });
    it.peer.send();
    world.run(20 * MILLISECOND);
    // Two large slots and a small one hold it; a packet carries two of them.
    assert.equal(bursts(world) - before, 2);
    assert.equal(it.program.packetsHeld, 0);
  });

  simulate(`the FIN goes on the last segment alone, ${name}`, (world) => {
    const it = grown(world, options);
    it.program.send(it.socket, pattern(2_500, GROWN));
    it.program.close(it.socket);
    const segments = takeBytes(it, 2_500);
    const flags = segments.map((segment) => segment.flags);
    assert.deepEqual(flags, [ACK, ACK, ACK | PSH | FIN]);
  });
}

for (const window of [999, 1000, 1001, 1999, 2001, 3500, 7777, 30_001]) {
  simulate(`a window of ${window} bytes is kept to the byte`, (world) => {
    const { program, socket, peer } = grown(world);
    program.noDelay(socket);
    peer.send({ window });
    world.run(MILLISECOND);
    peer.peer.inbox.length = 0;
    program.send(socket, pattern(40_000, GROWN));
    world.run(20 * MILLISECOND);
    let end = peer.rcvNxt;
    for (const { tcp } of peer.peer.inbox) {
      assert.equal(tcp!.seq, end);
      assert.equal(tcp!.payload.length, MSS);
      end += MSS;
    }
    // What is left of it waits until it is worth a segment.
    assert.equal(end - peer.rcvNxt, window - (window % MSS));
  });
}

simulate("a window that cuts a burst in the middle of a segment leaves that for later", (world) => {
  const it = grown(world);
  const { program, socket, peer } = it;
  peer.send({ window: 5_500 });
  world.run(MILLISECOND);
  program.send(socket, pattern(10_000, GROWN));
  const lengths = takeBytes(it, 5_000).map((segment) => segment.payload.length);
  assert.deepEqual(lengths, [MSS, MSS, MSS, MSS, MSS]);
  peer.expectNone(20 * MILLISECOND);
});

simulate("segments lost in the middle of a burst are sent again one by one", (world) => {
  const it = grown(world);
  const { program, socket, peer } = it;
  program.send(socket, pattern(20_000, GROWN));
  const first = peer.take(peer.expect({ length: MSS }));
  for (let i = 1; i < 20; i++) peer.expect({ length: MSS });
  // The second and the fourth never arrived.
  for (let i = 0; i < 4; i++) peer.send();
  peer.expect({ seq: first.seq + MSS, length: MSS }, 20 * MILLISECOND);
  peer.rcvNxt = first.seq + 3 * MSS;
  peer.send();
  peer.expect({ seq: first.seq + 3 * MSS, length: MSS }, 20 * MILLISECOND);
  peer.rcvNxt = first.seq + 20 * MSS;
  peer.send();
  world.run(20 * MILLISECOND);
  assert.equal(program.tcp.timeouts, 0);
  assert.equal(program.tcp.retransmits, 2);
  assert.equal(program.packetsHeld, 0);
});

simulate("a time-out sends the first segment of a burst alone", (world) => {
  const it = grown(world);
  const { program, socket, peer } = it;
  program.send(socket, pattern(20_000, GROWN));
  const first = peer.expect({ length: MSS });
  for (let i = 1; i < 20; i++) peer.expect({ length: MSS });
  peer.expect({ seq: first.seq, length: MSS }, SECOND);
  peer.expectNone(100 * MILLISECOND);
  assert.equal(program.tcp.retransmits, 1);
});

simulate("what a transmitter that hangs has swallowed is sent again", (world) => {
  const it = grown(world);
  const { program, socket, peer } = it;
  const { nic, machine } = world.stations[0]!;
  nic.faults.hang = 1;
  program.send(socket, pattern(20_000, GROWN));
  world.run(MILLISECOND);
  assert.ok(nic.hung);
  nic.faults.hang = 0;
  machine.expectLine(/eth0 transmitter hung, resetting/, 5 * SECOND);
  const want = (peer.irs + 1 + GROWN + 20_000) >>> 0;
  peer.peer.handler = ({ tcp }) => {
    if (!tcp) return false;
    if (tcp.payload.length && tcp.seq === peer.rcvNxt) {
      assert.deepEqual(tcp.payload, pattern(tcp.payload.length, tcp.seq - peer.irs - 1));
      peer.take(tcp);
    }
    peer.send();
    return true;
  };
  for (let i = 0; i < 100 && peer.rcvNxt !== want; i++) world.run(SECOND);
  assert.equal(peer.rcvNxt, want);
  world.run(SECOND);
  assert.equal(program.packetsHeld, 0);
});

simulate("segments are counted as they go over the wire", (world) => {
  const it = grown(world);
  const before = it.program.tcp.segmentsOut;
  it.program.send(it.socket, pattern(20_000, GROWN));
  takeBytes(it, 20_000);
  it.peer.send();
  world.run(MILLISECOND);
  assert.equal(it.program.tcp.segmentsOut - before, 20);
});

simulate("a NIC without segmentation is sent single segments", (world) => {
  const it = grown(world, { station: { nic: "e1000-82544gc" } });
  it.program.send(it.socket, pattern(20_000, GROWN));
  for (const { payload } of takeBytes(it, 20_000)) assert.equal(payload.length, MSS);
  assert.equal(bursts(world), 0);
});

simulate("a megabyte over a link that drops arrives whole, with timestamps", (world) => {
  const { program, socket, peer } = connected(world, { mss: 1460, timestamps: [1, 0] });
  const { random } = world.simulation;
  const bytes = pattern(1 << 20);
  const chunks = new Map<number, Uint8Array>();
  let next = 0;
  peer.peer.handler = ({ tcp }) => {
    if (!tcp) return false;
    if (random.chance(0.005)) return true;
    if (tcp.payload.length) chunks.set((tcp.seq - peer.irs - 1) >>> 0, tcp.payload);
    for (let chunk = chunks.get(next); chunk; chunk = chunks.get(next)) {
      assert.deepEqual(chunk, bytes.subarray(next, next + chunk.length));
      chunks.delete(next);
      next += chunk.length;
    }
    peer.rcvNxt = (peer.irs + 1 + next) >>> 0;
    // Few acknowledgments, so that each lets several segments go.
    if (chunks.size || random.chance(0.2)) peer.send();
    return true;
  };
  sendAll(world, program, socket, bytes);
  for (let i = 0; i < 600 && next !== bytes.length; i++) world.run(100 * MILLISECOND);
  assert.equal(next, bytes.length);
  assert.ok(bursts(world) > 50);
});
