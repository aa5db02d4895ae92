import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { Statistics } from "../../sdk/assembly/syscalls.ts";
import { buildPack } from "../../tools/pack/pack.ts";
import { Sockets } from "../../tools/sim/sockets.ts";
import { encodeSpecs, type GuestSpec, type Mount } from "../../tools/guest/spec.ts";
import { call, type Script, type ScriptMemory } from "../../tools/sim/guest/scripted.ts";
import { SECOND } from "../../tools/sim/simulation.ts";
import { cFile, cProgram, guestSpec } from "./guest-programs.ts";
import { forSeeds, inWorld, simulate } from "./harness.ts";
import { TcpClient } from "./tcp-client.ts";

/** Files of guests against those of Linux: the same C program says the same on both. */

const native = mkdtempSync(join(tmpdir(), "skerry-files-"));
process.on("exit", () => rmSync(native, { recursive: true, force: true }));

/** What a program says on Linux, in an empty directory whose path follows its arguments. */
function onLinux(source: string, ...words: string[]): string[] {
  const program = join(native, basename(source, ".c"));
  const directory = join(native, "directory");
  const run = (command: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return stdout;
  };
  run("gcc", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", source, "-o", program);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  return run(program, ...words, directory)
    .split("\n")
    .slice(0, -1);
}

/** What a program says as a guest with these files, and that it ended well. */
function onSkerry(source: string, args: string[], files: Mount[], pack?: Uint8Array): string[] {
  const name = basename(source, ".c");
  const spec: GuestSpec = {
    ...{ name, module: name, arguments: args, environment: {}, restart: "never", files },
  };
  let lines: string[] = [];
  inWorld(1, (world) => {
    const setup = encodeSpecs([spec]);
    const guests = [cProgram(source, name)];
    const options = { memory: 64 << 20, guests, setup, ...(pack && { pack }) };
    const { machine } = world.ready(options);
    machine.expectLine(new RegExp(`guest: ${name} ended`));
    lines = machine.console.filter((line) => !/^\d+\.\d{6} (info|warn) /.test(line));
    assert.ok(machine.line(/ended code=0/), lines.slice(-5).join("\n"));
  });
  return lines;
}

/** The first line that differs, with those before it. */
function same(seen: string[], wanted: string[]): void {
  const at = wanted.findIndex((line, i) => seen[i] !== line);
  if (at < 0 && seen.length === wanted.length) return;
  const before = wanted.slice(Math.max(0, at - 12), at).join("\n");
  assert.fail(`${before}\nLinux:  ${wanted[at]}\nSkerry: ${seen[at]}`);
}

const TMP: Mount[] = [{ path: "/tmp", ram: 1 << 20 }];

test("files are what they are on Linux, call by call", () => {
  const source = "tests/qemu/guests/files.c";
  same(onSkerry(source, [], TMP), onLinux(source));
});

/** What a program says in Node, which has uvwasi, with an empty directory as its /tmp. */
const NODE = `
const { WASI } = require("node:wasi");
const [program, directory] = process.argv.slice(1);
const wasi = new WASI({ version: "preview1", preopens: { "/tmp": directory }, returnOnExit: true });
WebAssembly.instantiate(require("node:fs").readFileSync(program), wasi.getImportObject())
  .then(({ instance }) => process.exit(wasi.start(instance)));
`;

test("rights that are dropped are as in Node", () => {
  const source = "tests/sim/guests/rights.c";
  const seen = onSkerry(source, [], TMP);
  const program = cFile(source, "rights");
  const directory = mkdtempSync(join(native, "rights-"));
  const words = ["--no-warnings", "--eval", NODE, program, directory];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  same(seen, stdout.trim().split("\n"));
});

forSeeds("random calls give what they give on Linux, and leave nothing", 12, (seed) => {
  const source = "tests/sim/guests/random-files.c";
  const words = [String(seed), "4000"];
  const ram: Mount[] = [{ path: "/tmp", ram: 8 << 20 }];
  same(onSkerry(source, [...words, "/tmp"], ram), onLinux(source, ...words));
});

simulate("a folder of the image and little memory, and sendfile from either", (world) => {
  const big = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
  const text = (words: string) => Buffer.from(`${words}\n`);
  const pack = buildPack([
    { path: "/other/secret", body: text("secret") },
    { path: "/web/www/index.html", body: text("index"), modified: 1_000_000_000 },
    { path: "/web/www/big.bin", body: big },
    { path: "/web/www/sub/deep/index.html", body: text("deeper") },
    { path: "/web/www/sub/deep/z", body: text("z") },
    { path: "/web/www/sub-b", body: text("b") },
    { path: "/web/www/sub0", body: text("0") },
  ]);
  const files: Mount[] = [
    { path: "/www", tree: "/web/www" },
    { path: "/tmp", ram: 64 << 10 },
    { path: "/empty", tree: "/web/none" },
  ];
  const spec: GuestSpec = {
    ...{
      name: "mounts",
      module: "mounts",
      arguments: [],
      environment: {},
      restart: "never",
      files,
    },
  };
  const guests = [cProgram("tests/sim/guests/mounts.c", "mounts")];
  const setup = encodeSpecs([spec]);
  const { machine } = world.ready({ ip: "10.0.0.2/24", memory: 32 << 20, guests, setup, pack });
  machine.expectLine(/^serving$/);
  assert.ok(machine.line(/^\/www: \.\/ \.\.\/ big\.bin index\.html sub-b sub\/ sub0$/));
  assert.ok(machine.line(/^\/www\/sub: \.\/ \.\.\/ deep\/$/));
  assert.ok(machine.line(/^\/www\/sub\/deep: \.\/ \.\.\/ index\.html z$/));
  assert.ok(machine.line(/^\/empty: \.\/ \.\.\/$/));
  assert.ok(machine.line(/^\d+ bytes fit 64 KiB$/) && machine.line(/^\d+ names fit 64 KiB$/));

  const copied = () =>
    new Sockets(machine).statistics(Statistics.Copies, 32).getBigUint64(24, true);
  const ask = (what: string): Buffer => {
    const client = new TcpClient(world.peer(), "10.0.0.2", 80);
    client.send(what);
    client.until(() => client.ended);
    client.end();
    return client.received;
  };
  const before = copied();
  assert.deepEqual(ask("w"), Buffer.concat([big.subarray(3), big.subarray(0, 3)]));
  assert.equal(copied(), before, "the pack's bytes were copied");
  const ram = Buffer.concat([
    Buffer.alloc(5000, "t"),
    Buffer.alloc(25000),
    Buffer.alloc(5000, "t"),
  ]);
  assert.deepEqual(ask("t"), Buffer.concat([ram.subarray(3), ram.subarray(0, 3)]));
});

simulate(
  "sendfile that met a full queue is told of room: who asks again, and who waits",
  (world) => {
    const [NONBLOCK, AGAIN, WRITABLE, READ] = [4, 6, 4, 2n];
    const [MANY, PIECE] = [1500, 64];
    const body = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 11 + (i >> 8)) & 0xff));
    const pack = buildPack([{ path: "/web/file", body }]);
    const results: number[] = [];
    const guest = {
      name: "sender",
      pages: 8,
      *script(memory: ScriptMemory): Script {
        const address = memory.reserve(24);
        const into = memory.reserve(4);
        const polled = memory.reserve(8);
        const name = memory.reserve(4);
        const bytes = memory.reserve(3 * 65536);
        memory.bytes.set(Buffer.from("file"), name);
        memory.view.setUint16(address + 16, 700, true);
        yield* call("path_open", 3, 0, name, 4, 0, READ, 0n, 0, into);
        const file = memory.view.getUint32(into, true);
        const listener = yield* call("socket", 1, 10, 0);
        yield* call("bind", listener, address);
        yield* call("listen", listener, 4);
        const whole = (fd: number) => call("send_file", fd, file, 0n, body.length);
        /** Pieces that lie apart, until one is refused: how many were not. */
        function* pieces(fd: number) {
          for (let i = 0; i < MANY; i++) {
            if ((yield* call("send_file", fd, file, BigInt(1000 * (i % 2)), PIECE)) !== PIECE)
              return i;
          }
          return MANY;
        }
        function* room(fd: number) {
          memory.view.setUint32(polled, fd, true);
          memory.view.setUint16(polled + 4, WRITABLE, true);
          return yield* call("poll", polled, 1, -1n);
        }
        const first = yield* call("accept", listener, 0, NONBLOCK);
        results.push(yield* call("send", first, bytes, 3 * 65536, 0));
        results.push(yield* whole(first));
        results.push(yield* room(first));
        results.push(yield* whole(first));
        yield* call("fd_close", first);
        const second = yield* call("accept", listener, 0, NONBLOCK);
        results.push(yield* call("send", second, bytes, 3 * 65536, 0));
        yield* call("fd_fdstat_set_flags", second, 0);
        results.push(yield* whole(second));
        yield* call("fd_close", second);
        const third = yield* call("accept", listener, 0, NONBLOCK);
        results.push(yield* pieces(third));
        results.push(yield* whole(third));
        results.push(yield* room(third));
        results.push(yield* whole(third));
        yield* call("fd_close", third);
        const fourth = yield* call("accept", listener, 0, 0);
        results.push(yield* pieces(fourth));
        yield* call("fd_close", fourth);
      },
    };
    const spec = guestSpec("sender", { files: [{ path: "/web", tree: "/web" }] });
    const setup = encodeSpecs([spec]);
    const guests = [guest];
    const { machine } = world.ready({ ip: "10.0.0.2/24", memory: 32 << 20, guests, setup, pack });
    const peer = world.peer("10.0.0.1");
    let known = 0;
    /** What a client gets that answers nothing until there are `count` more results, and what all came to. */
    const late = (count: number) => {
      const client = new TcpClient(peer, "10.0.0.2", 700);
      client.answers = false;
      world.run(SECOND);
      assert.equal(results.length, known + count);
      client.answers = true;
      // It has nothing to say to what comes out of order, so a time-out repairs little at a time.
      client.expectEnd(60 * SECOND);
      const came = results.slice(known);
      known = results.length;
      return { came, received: client.received };
    };
    const copied = (length: number) => Buffer.alloc(length);
    const apart = (count: number) =>
      Buffer.concat(
        Array.from({ length: count }, (_, i) => body.subarray(1000 * (i % 2)).subarray(0, PIECE)),
      );

    const asked = late(2);
    const room = asked.came[0]!;
    assert.ok(room > 0 && room < 3 * 65536);
    assert.deepEqual(asked.came, [room, -AGAIN, 1, body.length]);
    assert.ok(asked.received.equals(Buffer.concat([copied(room), body])));

    const waited = late(1);
    assert.deepEqual(waited.came, [room, body.length]);
    assert.ok(waited.received.equals(Buffer.concat([copied(room), body])));

    const many = late(2);
    const taken = many.came[0]!;
    assert.ok(taken > 0 && taken < MANY);
    assert.deepEqual(many.came, [taken, -AGAIN, 1, body.length]);
    assert.ok(many.received.equals(Buffer.concat([apart(taken), body])));

    const patient = late(0);
    assert.deepEqual(patient.came, [MANY]);
    assert.ok(patient.received.equals(apart(MANY)));
    machine.expectLine(/guest: sender ended code=0/, SECOND);
  },
);
