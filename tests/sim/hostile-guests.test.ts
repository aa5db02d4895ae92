import assert from "node:assert/strict";
import { GuestCall } from "../../kernel/guest/calls.ts";
import { Statistics } from "../../sdk/assembly/syscalls.ts";
import { encodeSpecs, type GuestSpec } from "../../tools/guest/spec.ts";
import {
  call,
  type Script,
  type ScriptedGuest,
  type ScriptStep,
} from "../../tools/sim/guest/scripted.ts";
import { Random } from "../../tools/sim/random.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { Sockets } from "../../tools/sim/sockets.ts";
import { held } from "./counters.ts";
import { cProgram, guestSpec } from "./guest-programs.ts";
import { simulate } from "./harness.ts";
import { TcpClient } from "./tcp-client.ts";

/** Guests that mean no good: what they try costs others nothing but their turns. */

const echo = () => cProgram("tests/qemu/guests/server.c", "echo");
const spin = () => cProgram("tests/qemu/guests/fault.c", "spin", "-DFAULT=6");

const PAGES = 2;
const MEMORY = PAGES * 65536;
const NONBLOCK = 4;
/** A guest of a name and a module. */
const spec = (name: string, module: string, more: Partial<GuestSpec> = {}): GuestSpec =>
  guestSpec(module, { ...more, name });

/** Addresses, lengths, descriptors and flags: around the edges of each. */
const EDGES = [
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 24, 64, 255, 256, 1024, 4096, 65535, 65536],
  ...[MEMORY - 24, MEMORY - 8, MEMORY - 4, MEMORY - 1, MEMORY, MEMORY + 1, 2 * MEMORY],
  ...[0x7fffffff, 0x80000000, 0xc0000000, 0xfffffff0, 0xfffffffc, 0xffffffff],
];
/** These end the guest, as they should. */
const ENDINGS = ["proc_exit", "proc_raise", "abort"];
const CALLS = Object.keys(GuestCall).filter(
  (name) => Number.isNaN(Number(name)) && !ENDINGS.includes(name),
) as (keyof typeof GuestCall)[];
const TRIES = 600;
const HOSTILE = 8;
/** Most arguments of any call. */
const ARGUMENTS = 9;

/** Has one of each kind of descriptor, from 3 on, and none that waits. */
function* descriptors(address: number): Script {
  for (const type of [1, 1, 2]) yield* call("socket", type, 2, 0);
  yield* call("bind", 4, address);
  yield* call("listen", 4, 4);
  yield* call("bind", 6, address);
  yield* call("eventfd", 0n, 0);
  yield* call("timerfd_create", 1, 0);
  yield* call("epoll_create", 0);
}

/** Each time that it is started it makes another call of its share, with all that is wrong. */
function hostile(index: number, made: Set<string>, reached: Set<string>): ScriptedGuest {
  const mine = CALLS.filter((_, i) => i % HOSTILE === index);
  const random = new Random(index + 1);
  const edge = (): number => random.pick(EDGES);
  return {
    name: `hostile-${index}`,
    pages: PAGES,
    *script(memory) {
      const name = mine.shift();
      if (name === undefined) return void (yield* call("proc_exit", 0));
      // Room that a guest on metal has for its stack, and a simulated one for nothing.
      const { buffer, byteOffset, length } = memory.bytes;
      const behind = new Uint8Array(buffer, byteOffset + length, 65536).fill(0xa5);
      yield* descriptors(64);
      for (let i = 0; i < TRIES; i++) {
        // A subscription to a clock may be one to the end of time.
        if (i % 30 === 0 && name !== "poll_oneoff")
          for (let at = 0; at < MEMORY; at += 4) memory.view.setUint32(at, edge(), true);
        for (let fd = 0; fd < 10; fd++) yield* call("fd_fdstat_set_flags", fd, NONBLOCK);
        const result = yield* call(name, ...Array.from({ length: ARGUMENTS }, edge));
        if (result >= 10) yield* call("fd_close", result);
      }
      if (behind.some((byte) => byte !== 0xa5)) reached.add(name);
      made.add(name);
      yield* call("proc_exit", 1);
    },
  };
}

/** A guest that does nothing, and whose memory nobody may touch. */
function bystander(name: string, seen: { bytes?: Uint8Array }): ScriptedGuest {
  return {
    name,
    pages: PAGES,
    *script(memory) {
      seen.bytes = memory.bytes;
      memory.bytes.forEach((_, i) => (memory.bytes[i] = patternAt(i)));
      yield* call("poll", 0, 0, -1n);
    },
  };
}

const patternAt = (i: number): number => (i * 7 + (i >> 8)) & 255;

simulate("no call, whatever its arguments, reaches beyond the guest that makes it", (world) => {
  const made = new Set<string>();
  const reached = new Set<string>();
  const [before, behind]: { bytes?: Uint8Array }[] = [{}, {}];
  const guests = Array.from({ length: HOSTILE }, (_, i) => hostile(i, made, reached));
  const files = [{ path: "/tmp", ram: 65536 }];
  const specs = [
    spec("before", "before"),
    ...guests.map(({ name }) => spec(name, name, { restart: "on-failure", files })),
    spec("behind", "behind"),
    spec("echo", "echo"),
  ];
  const { machine } = world.ready({
    memory: 64 << 20,
    guests: [bystander("before", before!), ...guests, bystander("behind", behind!), echo()],
    setup: encodeSpecs(specs),
  });
  const peer = world.peer();
  const finished = () =>
    guests.every(({ name }) => machine.line(new RegExp(`${name} ended code=0`)));
  world.simulation.until(finished, 3600 * SECOND, () => machine.console.slice(-20).join("\n"));
  assert.deepEqual([...made].sort(), [...CALLS].sort());
  assert.deepEqual([...reached], [], "calls that wrote behind the guest's memory");
  for (const { bytes } of [before!, behind!])
    assert.equal(
      bytes!.findIndex((byte, i) => byte !== patternAt(i)),
      -1,
      "it was written to",
    );
  const client = new TcpClient(peer, "10.0.0.2", 7);
  client.send("still there?");
  client.until(() => client.received.length === 12, 5 * SECOND, "echo");
  world.run(90 * SECOND);
  assert.equal(held(machine), 0, "packets are held");
  const open = new Sockets(machine).statistics(Statistics.Sockets, 8).getUint32(0, true);
  assert.equal(open, 3, "the server's listener, its datagram socket and its connection");
});

/** Makes one call until it fails; says how often it did not, ends, and begins again. */
function greedy(name: string, step: ScriptStep, taken: number[]): ScriptedGuest {
  return {
    name,
    pages: PAGES,
    *script() {
      let count = 0;
      while ((yield step) >= 0) count++;
      taken.push(count);
      yield* call("proc_exit", 1);
    },
  };
}

simulate("who takes all that there is gets his limit, and leaves it when he ends", (world) => {
  const kinds: Record<string, ScriptStep> = {
    streams: { call: "socket", args: [1, 2, 0] },
    datagrams: { call: "socket", args: [2, 2, 0] },
    epolls: { call: "epoll_create", args: [0] },
    events: { call: "eventfd", args: [0n, 0] },
    timers: { call: "timerfd_create", args: [1, 0] },
    copies: { call: "duplicate", args: [1, 0, 0] },
    // Their rings are of the machine's memory, so there are fewer: each guest has the same share.
    pipes: { call: "pipe", args: [0, 64] },
    pairs: { call: "pair", args: [1, 0, 64] },
  };
  const taken = Object.keys(kinds).map((): number[] => []);
  const guests = Object.entries(kinds).map(([kind, step], i) => greedy(kind, step, taken[i]!));
  const specs = guests.map(({ name }) =>
    spec(name, name, {
      restart: "always",
      descriptors: 200,
      allow: { bind: [], connect: [], raw: false, resolve: false },
    }),
  );
  const { machine } = world.ready({ memory: 64 << 20, guests, setup: encodeSpecs(specs) });
  world.run(30 * SECOND);
  for (const [i, { name }] of guests.entries()) {
    assert.ok(taken[i]!.length > 5, `${name} was started ${taken[i]!.length} times`);
    const rings = name === "pipes" ? 2 : name === "pairs" ? 1 : 0;
    const most = rings ? taken[i]![0]! : 197;
    assert.ok(most >= rings, `${name}: ${most}`);
    for (const count of taken[i]!) assert.equal(count, most, name);
  }
  const open = new Sockets(machine).statistics(Statistics.Sockets, 8).getUint32(0, true);
  assert.equal(open, 0);
});

simulate(
  "beside ten guests that never stop, one that serves answers within their turns",
  (world) => {
    const loops: ScriptedGuest = {
      name: "calls",
      pages: PAGES,
      *script() {
        for (;;) yield* call("clock_time_get", 1, 0n, 64);
      },
    };
    const specs = [
      ...Array.from({ length: 8 }, (_, i) => spec(`spin-${i}`, "spin")),
      ...["calls-0", "calls-1"].map((name) => spec(name, "calls")),
      spec("echo", "echo"),
    ];
    const guests = [spin(), loops, echo()];
    const { machine } = world.ready({ memory: 64 << 20, guests, setup: encodeSpecs(specs) });
    machine.expectLine(/echo on port 7/);
    const client = new TcpClient(world.peer(), "10.0.0.2", 7);
    const round = 10 * 0.2 * MILLISECOND; // a turn of each
    for (let i = 0; i < 20; i++) {
      const before = world.simulation.now;
      const wanted = client.received.length + 5;
      client.send("hello");
      client.until(() => client.received.length === wanted, SECOND, "echo");
      const took = world.simulation.now - before;
      assert.ok(took < 3 * round, `it took ${took / MILLISECOND} ms`);
    }
  },
);

simulate(
  "who computes for ever after many short turns has two long ones, and then short ones",
  (world) => {
    const turncoat = cProgram("tests/qemu/guests/fault.c", "turncoat", "-DFAULT=7");
    const { machine } = world.ready({ memory: 32 << 20, guests: [echo(), turncoat] });
    machine.expectLine(/echo on port 7/);
    const client = new TcpClient(world.peer(), "10.0.0.2", 7);
    const took = Array.from({ length: 20 }, () => {
      const before = world.simulation.now;
      const wanted = client.received.length + 5;
      client.send("hello");
      client.until(() => client.received.length === wanted, SECOND, "echo");
      return (world.simulation.now - before) / MILLISECOND;
    });
    // Each of the other's turns is 0.2 ms, and an answer takes three at most.
    for (const ms of took) assert.ok(ms < 3 * 0.2, `answers took ${took.join(", ")} ms`);
  },
);
