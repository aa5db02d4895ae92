import assert from "node:assert/strict";
import { GuestCall } from "../../kernel/guest/calls.ts";
import { Statistics } from "../../sdk/assembly/syscalls.ts";
import { encodeSpecs, type GuestSpec } from "../../tools/guest/spec.ts";
import {
  call,
  type Script,
  type ScriptMemory,
  type ScriptedGuest,
  type ScriptStep,
} from "../../tools/sim/guest/scripted.ts";
import { Random } from "../../tools/sim/random.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { Sockets } from "../../tools/sim/sockets.ts";
import { held } from "./counters.ts";
import { cProgram, guestSpec } from "./guest-programs.ts";
import { OWN, simulate } from "./harness.ts";
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

/** Bytes of `struct iovec`; where the list of two is, whose first buffer is its second entry. */
const ENTRY = 8;
const LIST = 1024;

/** Reads into a list of two buffers. */
type Receive = (list: number) => Generator<ScriptStep, unknown, number>;

/**
 * Reads what `put` has put there, into a list that the first bytes of it come to lie on: they say that
 * the rest goes behind the guest's memory.
 */
function* overItself(
  memory: ScriptMemory,
  put: (at: number, length: number) => Script,
  receive: Receive,
): Script {
  const { view } = memory;
  view.setUint32(2048, MEMORY + 64, true);
  view.setUint32(2052, ENTRY, true);
  memory.bytes.fill(0x5a, 2056, 2064);
  yield* put(2048, 2 * ENTRY);
  for (const [i, [at, length]] of [
    [LIST + ENTRY, ENTRY],
    [4096, ENTRY],
  ].entries()) {
    view.setUint32(LIST + i * ENTRY, at!, true);
    view.setUint32(LIST + i * ENTRY + 4, length!, true);
  }
  memory.bytes.fill(0, 4096, 4096 + ENTRY);
  yield* receive(LIST);
}

simulate("what comes to lie on the list that says where it goes stays with its guest", (world) => {
  const seen: string[] = [];
  const lists: ScriptedGuest = {
    name: "lists",
    pages: PAGES,
    *script(memory) {
      const { view, bytes } = memory;
      const behind = new Uint8Array(bytes.buffer, bytes.byteOffset + MEMORY, 256).fill(0xa5);
      const vector = 512;
      const write = function* (fd: number, at: number, length: number): Script {
        view.setUint32(vector, at, true);
        view.setUint32(vector + 4, length, true);
        yield* call("fd_write", fd, vector, 1, 528);
      };
      const read = (fd: number) => (list: number) => call("fd_read", fd, list, 2, 528);
      const message = (fd: number) =>
        function* (list: number): Script {
          [list, 2, 0, 0].forEach((word, i) => view.setUint32(544 + 4 * i, word, true));
          yield* call("receive_message", fd, 544, 0);
        };
      const two = function* (name: "pipe" | "pair", ...args: number[]) {
        yield* call(name, ...args, 576);
        return [view.getUint32(576, true), view.getUint32(580, true)] as const;
      };
      const ends = yield* two("pipe", 0);
      const streams = yield* two("pair", 1, 0);
      const datagrams = yield* two("pair", 2, 0);
      const udp = yield* call("socket", 2, 2, 0);
      yield* call("bind", udp, 64);
      yield* call("local_address", udp, 64);
      view.setBigUint64(72, 0xffff_7f00_0001n, true);
      yield* call("connect", udp, 64);
      const text = new TextEncoder().encode("file");
      bytes.set(text, 640);
      // Of /tmp: made, written and read from its start.
      yield* call("path_open", 3, 0, 640, 4, 1, 0x1fffffn, 0n, 0, 656);
      const file = view.getUint32(656, true);
      const kinds = {
        pipe: [(at, n) => write(ends[1], at, n), read(ends[0])],
        stream: [(at, n) => write(streams[1], at, n), read(streams[0])],
        datagram: [(at, n) => write(datagrams[1], at, n), message(datagrams[0])],
        udp: [(at, n) => write(udp, at, n), message(udp)],
        file: [
          function* (at, n) {
            yield* write(file, at, n);
            yield* call("fd_seek", file, 0n, 0, 672);
          },
          read(file),
        ],
      } satisfies Record<string, [(at: number, n: number) => Script, Receive]>;
      for (const [kind, [put, receive]] of Object.entries(kinds)) {
        yield* overItself(memory, put, receive);
        const inside = bytes.subarray(4096, 4096 + ENTRY).every((byte) => byte === 0x5a);
        const outside = behind.some((byte) => byte !== 0xa5);
        seen.push(`${kind} ${outside ? "reached beyond" : inside ? "as asked" : "lost"}`);
        behind.fill(0xa5);
      }
    },
  };
  const files = [{ path: "/tmp", ram: 65536 }];
  const setup = encodeSpecs([spec("lists", "lists", { files })]);
  const { machine } = world.ready({ memory: 64 << 20, guests: [lists], setup });
  world.simulation.until(
    () => machine.line(/lists ended/) !== undefined,
    5 * SECOND,
    () => machine.console.join("\n"),
  );
  const expected = ["pipe", "stream", "datagram", "udp", "file"].map((kind) => `${kind} as asked`);
  assert.deepEqual(seen, expected);
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
  "who computes for ever after many short turns has a long one, and then short ones",
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

simulate("the only guest uses up what its turns have saved at once, and no more", (world) => {
  const turncoat = cProgram("tests/qemu/guests/fault.c", "turncoat", "-DFAULT=7");
  world.ready({ memory: 32 << 20, guests: [turncoat] });
  const peer = world.peer();
  const took = Array.from({ length: 20 }, (_, rest) => {
    const before = world.simulation.now;
    peer.sendIcmp(OWN, { type: 8, code: 0, rest, payload: new Uint8Array(8) });
    peer.expect((frame) => frame.icmp?.type === 0 && frame.icmp.rest === rest, SECOND);
    return (world.simulation.now - before) / MILLISECOND;
  });
  const [longest, ...others] = took.sort((a, b) => b - a);
  assert.ok(longest! < 10.6, `${took} ms`);
  for (const ms of others) assert.ok(ms < 3 * 0.2, `${took} ms`);
});
