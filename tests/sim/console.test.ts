import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { encodeSpecs, type GuestSpec } from "../../tools/guest/spec.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import { call, type ScriptedGuest } from "../../tools/sim/guest/scripted.ts";
import { Random } from "../../tools/sim/random.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { cProgram, guestSpec, nativeProgram } from "./guest-programs.ts";
import { simulate, type World } from "./harness.ts";

/** What is typed at the console, and the guest that reads it: held against a terminal of Linux. */

const SOURCE = "tests/sim/guests/console.c";
const reader = () => cProgram(SOURCE, "reader");

/** A guest that has the console. */
const having = (module: string, more: Partial<GuestSpec> = {}): GuestSpec =>
  guestSpec(module, { console: true, ...more });

/** What the program ends with. */
const LAST = "quit\n";

/** What a terminal showed while keys were typed, and what its program said. */
interface Session {
  shown: string;
  said: string[];
}

function onLinux(keys: string, room: number): Session {
  const words = ["tests/sim/terminal.py", nativeProgram(SOURCE), String(room)];
  const { status, stdout, stderr } = spawnSync("python3", words, {
    input: keys + LAST,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  const { shown, said } = JSON.parse(stdout) as { shown: string; said: string };
  const text = (hex: string) => Buffer.from(hex, "hex").toString();
  return { shown: text(shown).replaceAll("\r\n", "\n"), said: text(said).trimEnd().split("\n") };
}

/** Types in pieces of a length that is not the same twice. */
function type(world: World, machine: Machine, keys: string, random: Random): void {
  const characters = [...keys];
  for (let at = 0; at < characters.length;) {
    const count = random.integer(1, 40);
    machine.type(characters.slice(at, at + count).join(""));
    at += count;
    world.run(random.integer(0, 30) * MILLISECOND);
  }
}

function onSkerry(world: World, keys: string, room: number, random: Random): Session {
  const setup = encodeSpecs([having("reader", { arguments: [String(room)] })]);
  const { machine } = world.ready({ memory: 64 << 20, guests: [reader()], setup });
  machine.expectLine(/^ready$/, SECOND);
  const before = machine.console.length;
  type(world, machine, keys, random);
  world.run(SECOND);
  machine.type(LAST);
  machine.expectLine(/reader ended code=0/, 10 * SECOND);
  const lines = machine.console.slice(before).filter((line) => !/^\d+\.\d{6} /.test(line));
  const text = lines.map((line) => `${line}\n`).join("");
  const said = /read \d+ [0-9a-f]*\n/g;
  return {
    shown: text.replace(said, ""),
    said: ["ready", ...[...text.matchAll(said)].map(([line]) => line.slice(0, -1))],
  };
}

const KEYS = [
  "a",
  "b",
  "c",
  " ",
  "é",
  "€",
  "𝄞",
  "\x01",
  "\x7f",
  "\x7f",
  "\x15",
  "\x04",
  "\n",
  "\r",
];

simulate("lines are read, echoed and mended as at a terminal of Linux", (world) => {
  for (const [seed, room] of [100, 5, 7].entries()) {
    const random = new Random(seed + 1);
    const keys = `${Array.from({ length: 600 }, () => random.pick(KEYS)).join("")}\n`;
    assert.deepEqual(onSkerry(world, keys, room, random), onLinux(keys, room), `seed ${seed}`);
  }
});

simulate("a line longer than a terminal takes loses what is over, and its end is kept", (world) => {
  const keys = `${"x".repeat(5000)}\n`;
  const random = new Random(1);
  const skerry = onSkerry(world, keys, 8192, random);
  assert.deepEqual(skerry.said, onLinux(keys, 8192).said);
  assert.equal(skerry.shown, `${"x".repeat(4095)}${"\x07".repeat(905)}\nquit\n`);
});

/** WASI: `errno`s, and the `filetype` of a character device. */
const EAGAIN = 6;
const CHARACTER_DEVICE = 2;
const NONBLOCK = 4;
const READABLE = 1;
const WRITABLE = 4;

simulate("it is polled, and read without waiting, and only by the guest that has it", (world) => {
  const said: Record<string, unknown> = {};
  /** Reads at most `room` bytes of standard input: an errno, or text. */
  const script = (name: string): ScriptedGuest => ({
    name,
    pages: 1,
    *script({ bytes, view }) {
      view.setUint32(64, 128, true);
      const read = function* (room: number) {
        view.setUint32(68, room, true);
        const error = yield* call("fd_read", 0, 64, 1, 72);
        const text = Buffer.from(bytes.subarray(128, 128 + view.getUint32(72, true))).toString();
        return error || text;
      };
      const polled = function* (ns: bigint) {
        view.setUint32(80, 0, true);
        view.setUint16(84, READABLE | WRITABLE, true);
        yield* call("poll", 80, 1, ns);
        return view.getUint16(86, true);
      };
      yield* call("fd_fdstat_get", 0, 96);
      said[`${name} type`] = bytes[96];
      said[`${name} polled`] = yield* polled(0n);
      if (name === "other") {
        said["other read"] = yield* read(10);
        return;
      }
      yield* call("fd_fdstat_set_flags", 0, NONBLOCK);
      said["empty"] = yield* read(10);
      said["empty available"] = yield* call("available", 0);
      // EPOLL_CTL_ADD; edge-triggered, for reading.
      const epoll = yield* call("epoll_create", 0);
      view.setUint32(192, (READABLE | (1 << 31)) >>> 0, true);
      yield* call("epoll_ctl", epoll, 1, 0, 192);
      said["epoll"] = yield* call("epoll_wait", epoll, 208, 1, -1n);
      said["available"] = yield* call("available", 0);
      said["polled"] = yield* polled(0n);
      said["part"] = yield* read(3);
      said["part left"] = yield* call("available", 0);
      said["line"] = yield* read(100);
      said["next"] = yield* read(100);
      said["none"] = yield* read(100);
      yield* call("fd_fdstat_set_flags", 0, 0);
      said["waited"] = yield* read(100);
      said["end"] = yield* read(100);
      said["end again"] = yield* read(100);
      said["end polled"] = yield* polled(-1n);
    },
  });
  const setup = encodeSpecs([guestSpec("other"), having("holder")]);
  const guests = [script("holder"), script("other")];
  const { machine } = world.ready({ memory: 64 << 20, guests, setup });
  machine.expectLine(/other ended code=0/, SECOND);
  machine.type("one line");
  world.run(SECOND);
  assert.equal(said["epoll"], undefined, "half a line is none");
  machine.type("\nsecond\n");
  world.run(SECOND);
  machine.type("half\x04");
  world.run(SECOND);
  machine.hangUp();
  machine.expectLine(/holder ended code=0/, SECOND);
  assert.deepEqual(said, {
    "holder type": CHARACTER_DEVICE,
    "holder polled": WRITABLE,
    "other type": CHARACTER_DEVICE,
    "other polled": READABLE | WRITABLE,
    "other read": "",
    empty: EAGAIN,
    "empty available": 0,
    epoll: 1,
    available: 16,
    polled: READABLE | WRITABLE,
    part: "one",
    "part left": 13,
    line: " line\n",
    next: "second\n",
    none: EAGAIN,
    waited: "half",
    end: "",
    "end again": "",
    "end polled": READABLE | WRITABLE,
  });
});

simulate(
  "what is typed before a guest starts again, or while it does not read, is kept",
  (world) => {
    const read: string[] = [];
    const guest: ScriptedGuest = {
      name: "once",
      pages: 1,
      *script({ bytes, view }) {
        view.setUint32(64, 128, true);
        view.setUint32(68, 4096, true);
        yield* call("fd_read", 0, 64, 1, 72);
        const length = view.getUint32(72, true);
        read.push(Buffer.from(bytes.subarray(128, 128 + length)).toString());
        // Nobody has it any more.
        yield* call("fd_close", 0);
      },
    };
    const setup = encodeSpecs([having("once", { restart: "always" })]);
    const { machine } = world.ready({ memory: 64 << 20, guests: [guest], setup });
    const lines = Array.from({ length: 20 }, (_, i) => `${i} ${"x".repeat(1000)}\n`);
    machine.type(lines.join(""));
    world.simulation.until(
      () => read.length === 20,
      3600 * SECOND,
      () => `${read.length} lines`,
    );
    assert.deepEqual(read, lines);
  },
);

test("one guest has the console", () => {
  const specs = [having("one"), having("two")];
  assert.throws(() => encodeSpecs(specs), /guest two: another one has the console already/);
});
