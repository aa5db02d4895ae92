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
import { cFile, cProgram } from "./guest-programs.ts";
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
