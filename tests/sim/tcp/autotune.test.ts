import assert from "node:assert/strict";
import { SocketOption, Syscall } from "../../../sdk/assembly/syscalls.ts";
import type { Rtl8139 } from "../../../tools/sim/rtl8139.ts";
import { simulate, type World } from "../harness.ts";
import {
  ACK,
  type Connected,
  connecting,
  MACHINE,
  MILLISECOND,
  pattern,
  PORT,
  Program,
  SECOND,
  SYN,
} from "./program.ts";

/** Buffers that grow with what the path and the program take (Fisk and Feng 2001). */

const MSS = 1460;
/** What a connection begins with: 64 KiB of full segments. */
const FIRST = 45;

function option(program: Program, socket: number, which: SocketOption): number {
  return program.machine.syscall(Syscall.GetOption, socket, which);
}

/** Slots that the connection may hold of what it receives. */
function receiveSlots({ program, socket }: Connected): number {
  return option(program, socket, SocketOption.ReceiveBuffer) / 2048;
}

/** Everything there is to read. */
function drain({ program, socket }: Connected): number {
  let total = 0;
  for (;;) {
    const bytes = program.receive(socket);
    if (typeof bytes === "number" || !bytes.length) return total;
    total += bytes.length;
  }
}

interface OpenOptions {
  timestamps?: boolean;
  /** MiB. */
  memory?: number;
  receiveBuffer?: number;
  nic?: string;
}

/** A connection that the peer opened to a machine of 128 MiB, its window and ours scaled. */
function open(
  world: World,
  { timestamps = true, memory = 128, receiveBuffer, ...station }: OpenOptions = {},
) {
  const { machine } = world.ready({ memory: memory << 20, ...station });
  const program = new Program(machine);
  const listener = program.listen(PORT);
  if (receiveBuffer) program.setOption(listener, SocketOption.ReceiveBuffer, receiveBuffer);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  const stamp: [number, number] = [1000, 0];
  peer.send({
    flags: SYN,
    options: { mss: MSS, windowScale: 10, ...(timestamps && { timestamps: stamp }) },
  });
  const answer = peer.take(peer.expect({ flags: SYN | ACK }));
  peer.irs = answer.seq;
  if (timestamps) peer.options = { timestamps: [1001, answer.options.timestamps![0]] };
  peer.send();
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  const scale = answer.options.windowScale!;
  return { world, program, listener, socket, peer, scale } satisfies Connected;
}

/** The peer fills the window once a round trip of `rtt`; `read` says what the program does. */
function rounds(all: Connected, count: number, rtt: number, read: (round: number) => void): number {
  const { world, peer, scale } = all;
  let edge = peer.sndNxt + FIRST * MSS;
  peer.peer.handler = ({ tcp }) => {
    if (!tcp) return false;
    edge = tcp.ack + tcp.window * 2 ** scale;
    if (peer.options.timestamps && tcp.options.timestamps) {
      peer.options.timestamps = [peer.options.timestamps[0] + 1, tcp.options.timestamps[0]];
    }
    return true;
  };
  for (let i = 0; i < count; i++) {
    const size = peer.options.timestamps ? MSS - 12 : MSS;
    for (let sent = 0; edge - peer.sndNxt >= size; sent++) {
      peer.send({ payload: pattern(size) });
      if (sent % 24 === 23) world.run(MILLISECOND / 4);
    }
    world.run(rtt);
    read(i);
    world.run(MILLISECOND);
  }
  return edge - peer.sndNxt;
}

simulate(
  "RFC 7323, 2.3: the scale of a SYN and ACK is for what the window may grow to",
  (world) => {
    const { scale } = open(world);
    assert.ok(0xffff * 2 ** scale >= 4 << 20, `${scale}`);
  },
);

simulate("RFC 7323, 2.3: the scale of a SYN is for what the window may grow to", (world) => {
  const { peer } = connecting(world, { station: { memory: 128 << 20 } });
  const { options } = peer.expect({ flags: SYN });
  assert.ok(0xffff * 2 ** options.windowScale! >= 4 << 20, `${options.windowScale}`);
});

simulate("a connection begins with 64 KiB each way", (world) => {
  const all = open(world, { timestamps: false });
  assert.equal(receiveSlots(all), FIRST);
  assert.equal(option(all.program, all.socket, SocketOption.SendBuffer), FIRST * 2048);
});

simulate("Fisk and Feng: the window doubles while the program takes all of it", (world) => {
  const all = open(world);
  const window = rounds(all, 12, 20 * MILLISECOND, () => drain(all));
  assert.ok(window > 1 << 20, `${window}`);
  assert.ok(receiveSlots(all) * MSS > 1 << 20);
});

simulate("without timestamps a window's time is the round trip", (world) => {
  const all = open(world, { timestamps: false });
  const window = rounds(all, 12, 20 * MILLISECOND, () => drain(all));
  assert.ok(window > 1 << 20, `${window}`);
});

simulate(
  "the window stops at 6 MiB",
  (world) => {
    const all = open(world, { memory: 256 });
    const window = rounds(all, 12, 60 * MILLISECOND, () => drain(all));
    assert.ok(window <= 6 << 20 && window > 5 << 20, `${window}`);
  },
  { queue: 16 << 20 },
);

simulate("on a small machine the window stops at a quarter of the free packet memory", (world) => {
  const all = open(world, { memory: 16 });
  const window = rounds(all, 12, 20 * MILLISECOND, () => drain(all));
  assert.ok(window < 2 << 20, `${window}`);
  assert.equal(all.program.tcp.memoryDrops, 0);
});

simulate("a program that reads nothing keeps the small window", (world) => {
  const all = open(world);
  rounds(all, 8, 20 * MILLISECOND, () => undefined);
  assert.equal(receiveSlots(all), FIRST);
});

simulate("a program that reads slowly keeps the small window", (world) => {
  const all = open(world);
  rounds(all, 30, 20 * MILLISECOND, () => all.program.receive(all.socket, 4000));
  assert.equal(receiveSlots(all), FIRST);
});

simulate("a program that pauses between reading all keeps the small window", (world) => {
  const all = open(world);
  rounds(all, 8, 500 * MILLISECOND, (round) => round % 2 && drain(all));
  assert.ok(receiveSlots(all) <= 2 * FIRST, `${receiveSlots(all)}`);
});

simulate("an idle connection and one of small messages keep the small window", (world) => {
  const all = open(world);
  const { peer } = all;
  for (let i = 0; i < 20; i++) {
    peer.send({ payload: pattern(200) });
    world.run(50 * MILLISECOND);
    drain(all);
  }
  world.run(10 * SECOND);
  assert.equal(receiveSlots(all), FIRST);
});

simulate("SO_RCVBUF fixes the window", (world) => {
  const all = open(world);
  all.program.setOption(all.socket, SocketOption.ReceiveBuffer, 100_000);
  const slots = receiveSlots(all);
  assert.equal(slots, Math.ceil(100_000 / 2048));
  rounds(all, 8, 20 * MILLISECOND, () => drain(all));
  assert.equal(receiveSlots(all), slots);
});

simulate("SO_RCVBUF of a listener fixes the window of what it accepts", (world) => {
  const all = open(world, { receiveBuffer: 100_000 });
  rounds(all, 8, 20 * MILLISECOND, () => drain(all));
  assert.equal(receiveSlots(all), Math.ceil(100_000 / 2048));
});

/** The machine sends and the peer acknowledges all of it, a round trip at a time. */
function acknowledging(all: Connected, count: number): number {
  const { world, program, socket, peer } = all;
  let most = 0;
  for (let i = 0; i < count; i++) {
    let queued = 0;
    for (;;) {
      const sent = program.send(socket, pattern(65536));
      if (sent <= 0) break;
      queued += sent;
    }
    most = Math.max(most, queued);
    world.run(20 * MILLISECOND);
    for (const { tcp } of peer.peer.inbox) if (tcp?.payload.length) peer.take(tcp);
    peer.peer.inbox = [];
    // One ACK for every two segments, as receivers have it: the window grows by each.
    peer.send();
    world.run(MILLISECOND);
  }
  return most;
}

simulate("the send buffer grows to two congestion windows", (world) => {
  const all = open(world, { timestamps: false });
  const before = acknowledging(all, 1);
  assert.equal(before, FIRST * 2048);
  acknowledging(all, 60);
  assert.ok(option(all.program, all.socket, SocketOption.SendBuffer) > 2 * before);
});

simulate("SO_SNDBUF fixes the send buffer", (world) => {
  const all = open(world, { timestamps: false });
  all.program.setOption(all.socket, SocketOption.SendBuffer, 50_000);
  assert.ok(acknowledging(all, 60) <= 50_000);
  assert.equal(option(all.program, all.socket, SocketOption.SendBuffer), 50_000);
});

/** Sends from one machine to another for `seconds`; the bytes that came in the last of them. */
function throughput(world: World, seconds: number): number {
  const near = world.ready({ ip: "10.0.0.2/24", memory: 128 << 20 });
  const far = world.ready({ ip: "10.0.0.3/24", memory: 128 << 20 });
  const server = new Program(far.machine);
  const client = new Program(near.machine);
  const listener = server.listen(80);
  const from = client.connect("10.0.0.3", 80);
  world.run(SECOND);
  const to = server.accept(listener);
  const chunk = pattern(65536);
  const end = world.simulation.now + seconds * SECOND;
  let last = 0;
  while (world.simulation.now < end) {
    while (client.send(from, chunk) > 0);
    world.run(2 * MILLISECOND);
    const counts = world.simulation.now > end - SECOND;
    for (;;) {
      const piece = server.receive(to);
      if (typeof piece === "number") break;
      if (counts) last += piece.length;
    }
  }
  return last;
}

simulate(
  "with defaults, a path of 100 ms and 100 Mbit/s carries more than 90 % of its rate",
  (world) => {
    const bytes = throughput(world, 4);
    // Of 1,538 bytes on the wire, 1,448 are payload.
    const share = (bytes * 8) / (100e6 * (1448 / 1538));
    assert.ok(share > 0.9, `${(share * 100).toFixed(1)} %`);
  },
  { delay: 50 * MILLISECOND, rate: 100_000_000, queue: 8 << 20 },
);

simulate("a card whose ring fills up is sent less at a time", (world) => {
  // 64 descriptors, full in 0.8 ms, and a machine that looks after them every two.
  const all = open(world, { nic: "rtl8139c+" });
  const slow = all.program.machine as unknown as { options: { stepTime: number } };
  slow.options.stepTime = 2 * MILLISECOND;
  const { counts } = world.stations[0]!.nic as Rtl8139;
  const { peer, scale } = all;
  let ack = peer.sndNxt;
  let edge = ack + FIRST * MSS;
  peer.peer.handler = ({ tcp }) => {
    if (!tcp) return false;
    ack = tcp.ack;
    edge = tcp.ack + tcp.window * 2 ** scale;
    peer.options.timestamps = [peer.options.timestamps![0] + 1, tcp.options.timestamps![0]];
    return true;
  };
  // All that the window allows each time, what was lost again.
  const round = (): void => {
    for (peer.sndNxt = ack; edge - peer.sndNxt >= MSS - 12;) {
      peer.send({ payload: pattern(MSS - 12) });
    }
    world.run(10 * MILLISECOND);
    drain(all);
    world.run(5 * MILLISECOND);
  };
  for (let i = 0; i < 20; i++) round();
  const missed = counts.missed;
  assert.ok(missed > 0, "the ring has been full");
  assert.ok(receiveSlots(all) <= 80, `${receiveSlots(all)} slots`);
  for (let i = 0; i < 20; i++) round();
  assert.equal(counts.missed, missed, "lost for nothing");
  // After a second without, it may be more again.
  world.run(1.5 * SECOND);
  const before = receiveSlots(all);
  for (let i = 0; i < 4; i++) round();
  assert.ok(receiveSlots(all) > before, `${receiveSlots(all)} slots after ${before}`);
});
