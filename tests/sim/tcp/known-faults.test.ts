import assert from "node:assert/strict";
import { TCP, tcpSegment, ipv4Packet } from "../../../tools/sim/frames.ts";
import { inWorld, simulate, type World } from "../harness.ts";
import {
  ACK,
  connected,
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

/** Ways in which other stacks are known to have broken, one test each. */

const MSS = 1460;

simulate("the window of a SYN is not scaled, neither the peer's nor ours", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, window: 4 * MSS, options: { mss: MSS, windowScale: 14 } });
  const answer = peer.take(peer.expect({ flags: SYN | ACK }));
  // Were it scaled, it would be 2 MiB of a window that is 64 KiB.
  assert.ok(answer.window > 60000);
  // The last ACK is lost, and a segment with data comes instead: its window is scaled.
  peer.send({ payload: pattern(10), window: 1 });
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  program.send(socket, pattern(20000));
  let sent = 0;
  while (sent < 11 * MSS) sent += peer.expect({}).payload.length;
  assert.ok(sent <= 1 << 14, `${sent}`);
});

simulate("the right edge never goes back, though memory has run out since", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT, 128);
  const host = world.peer();
  const edges = new Map<number, number>();
  host.handler = ({ tcp }) => {
    if (!tcp || tcp.flags & SYN) return false;
    const edge = tcp.ack + tcp.window * 2 ** scale;
    assert.ok(edge >= (edges.get(tcp.destinationPort) ?? 0), "the edge went back");
    edges.set(tcp.destinationPort, edge);
    return false;
  };
  let scale = 0;
  // Sixty connections whose programs never read share packet memory that is not enough for all.
  for (let i = 0; i < 60; i++) {
    const peer = host.tcp(MACHINE, PORT, 5000 + i);
    scale = peer.connect({ mss: MSS, windowScale: 7 }).options.windowScale!;
    for (let at = 0; at < 60 * 1024; at += MSS) {
      peer.send({ payload: pattern(MSS, at) });
      if ((at / MSS) % 16 === 15) world.run(MILLISECOND);
    }
    world.run(MILLISECOND);
    host.inbox = [];
    assert.ok(program.accept(listener) > 0);
  }
  assert.equal(edges.size, 60);
});

simulate("an ACK of data that was never sent moves nothing, and is answered once", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(100));
  const segment = peer.expect({ length: 100 });
  peer.send({ ack: segment.seq + 5000 });
  peer.expect({ flags: ACK, seq: segment.seq + 100, length: 0 });
  peer.expect({ seq: segment.seq, length: 100 }, 2 * SECOND);
  peer.take(segment);
  peer.send();
  program.send(socket, pattern(50));
  peer.expect({ seq: segment.seq + 100, length: 50 });
});

simulate("a FIN before the data that precedes it does not end the stream", (world) => {
  const { program, socket, peer } = connected(world);
  const base = peer.sndNxt;
  peer.send({ flags: FIN | ACK, seq: base + 2 * MSS });
  peer.send({ seq: base + MSS, payload: pattern(MSS, MSS) });
  world.run(50 * MILLISECOND);
  assert.equal(program.receive(socket), -11);
  peer.send({ seq: base, payload: pattern(MSS) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(2 * MSS));
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
});

simulate("data that waits unread in TIME-WAIT is still there when its time is over", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(3000).subarray(0, MSS) });
  program.endWriting(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  world.run(MILLISECOND);
  assert.equal(program.tcp.timeWait, 1);
  world.run(70 * SECOND);
  assert.equal(program.tcp.timeWait, 0);
  assert.deepEqual(program.receive(socket), pattern(MSS));
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
});

simulate("a zero window stalls nobody though the news of its opening is lost", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ window: 0 });
  world.run(MILLISECOND);
  program.send(socket, pattern(5000));
  peer.expect({ length: 1 }, 3 * SECOND);
  peer.send({ window: 0 });
  // The window opens now, and the segment that says so never arrives.
  const probe = peer.expect({ length: 1 }, 10 * SECOND);
  peer.take(probe);
  peer.send({ window: 65535 });
  let got = 1;
  while (got < 5000) got += peer.take(peer.expect({}, 5 * SECOND)).payload.length;
});

simulate("a reset in the window but not at its edge ends nothing", (world) => {
  const { program, socket, peer } = connected(world);
  for (const offset of [1, 100, 20000]) {
    peer.send({ flags: RST, seq: peer.sndNxt + offset });
    peer.expect({ flags: ACK, ack: peer.sndNxt });
  }
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
  assert.equal(program.error(socket), 0);
});

simulate("an ICMP error about no connection of ours is counted and forgotten", (world) => {
  const { program, socket, peer } = connected(world);
  const before = program.tcp;
  const strange = (sourcePort: number, destinationPort: number, type: number, code: number) => {
    const quoted = ipv4Packet({
      source: MACHINE,
      destination: peer.peer.ip,
      protocol: TCP,
      payload: tcpSegment(MACHINE, peer.peer.ip, {
        sourcePort,
        destinationPort,
        seq: 1,
        ack: 0,
        flags: SYN,
        window: 0,
        options: {},
        payload: new Uint8Array(0),
      }),
    });
    peer.peer.sendIcmp(MACHINE, { type, code, rest: 0, payload: quoted });
  };
  // No such port, the listener's own, and one that differs in the peer's port only.
  for (const [near, far] of [
    [9, 9],
    [PORT, 1],
    [PORT, peer.localPort + 1],
  ] as const) {
    for (const [type, code] of [
      [3, 0],
      [3, 3],
      [3, 4],
      [11, 0],
      [12, 0],
    ] as const) {
      strange(near, far, type, code);
    }
  }
  peer.expectNone(100 * MILLISECOND);
  const { icmpIgnored, connections, established } = program.tcp;
  assert.ok(icmpIgnored - before.icmpIgnored >= 12, `${icmpIgnored}`);
  assert.deepEqual([connections, established], [before.connections, before.established]);
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
});

simulate("a flood gets a bounded share of each round, and timers keep their time", (world) => {
  const { program, socket, peer } = connected(world);
  const { machine } = program;
  program.send(socket, pattern(100));
  const { seq } = peer.expect({ length: 100 });
  const sentAt = world.simulation.now;
  let again = 0;
  peer.peer.handler = ({ tcp }) => {
    if (tcp?.seq === seq && tcp.payload.length && !again) again = world.simulation.now - sentAt;
    return true;
  };
  // A hundred ACKs of nothing at a time, for longer than the time-out.
  const before = machine.steps;
  const floods = 80;
  for (let i = 0; i < floods; i++) {
    for (let j = 0; j < 100; j++) peer.send({ ack: seq, window: 65535 - (j & 1) });
    world.run(4 * MILLISECOND);
  }
  assert.equal(program.tcp.memoryDrops, 0);
  assert.ok(machine.steps - before >= (floods * 100) / 32, `${machine.steps - before} steps`);
  assert.ok(again > 0 && again < 300 * MILLISECOND, `${again / MILLISECOND} ms`);
});

simulate("SYNs from hosts that answer no ARP do not drain the pools", (world) => {
  const { program, socket, peer } = connected(world);
  const held = program.packetsHeld;
  const listener = program.listen(81);
  assert.ok(listener > 0);
  for (let i = 0; i < 2000; i++) {
    const source = `10.0.0.${10 + (i % 200)}`;
    const payload = tcpSegment(source, MACHINE, {
      sourcePort: 1024 + i,
      destinationPort: 81,
      seq: i,
      ack: 0,
      flags: SYN,
      window: 1000,
      options: { mss: MSS },
      payload: new Uint8Array(0),
    });
    peer.peer.sendIpv4({ source, destination: MACHINE, protocol: TCP, payload });
    if (i % 16 === 15) world.run(MILLISECOND);
  }
  assert.ok(program.packetsHeld - held < 1000, `${program.packetsHeld - held}`);
  // Somebody who does answer is served meanwhile.
  program.send(socket, pattern(5000));
  let got = 0;
  while (got < 5000) got += peer.take(peer.expect({ flags: ACK })).payload.length;
  peer.send();
  world.run(200 * SECOND);
  assert.equal(program.packetsHeld, held);
});

/** What a stranger would have to guess of `count` connections that the machine opens one by one. */
function guesses(
  world: World,
  count: number,
): { isn: number[]; ports: number[]; stamps: number[] } {
  const { machine } = world.ready();
  const program = new Program(machine);
  const peer = world.peer();
  const seen = { isn: [] as number[], ports: [] as number[], stamps: [] as number[] };
  for (let i = 0; i < count; i++) {
    program.connect("10.0.0.1", 7 + i);
    const { tcp } = peer.expect((frame) => frame.tcp?.flags === SYN);
    seen.isn.push(tcp!.seq);
    seen.ports.push(tcp!.sourcePort);
    seen.stamps.push(tcp!.options.timestamps![0]);
  }
  return seen;
}

simulate("initial numbers, ports and clocks follow from nothing that a stranger sees", (world) => {
  const mine = guesses(world, 40);
  for (const values of Object.values(mine)) {
    const steps = values.slice(1).map((value, i) => (value - values[i]!) >>> 0);
    const common = Math.max(...steps.map((step) => steps.filter((s) => s === step).length));
    // RFC 6528, 3; RFC 6056, 3.3; RFC 7323, 7.1: no step is what the last one was.
    assert.ok(common <= 3, `${steps}`);
  }
  // Another machine at the same time, with the same ports, has other numbers.
  inWorld(2, (other) => {
    const theirs = guesses(other, 40);
    const same = mine.isn.filter((isn, i) => isn === theirs.isn[i]).length;
    assert.equal(same, 0);
    assert.notDeepEqual(mine.ports, theirs.ports);
  });
});
