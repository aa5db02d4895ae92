import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { buildProgram } from "../../tools/cli/build.ts";
import { project } from "../../tools/cli/project.ts";
import { Machine } from "../../tools/qemu/machine.ts";
import { GUEST_ADDRESS, Namespace, TAP } from "../../tools/qemu/namespace.ts";
import { freePort } from "../../tools/qemu/ports.ts";
import { curl, inFolder, inside, noTap, STATIC } from "./lib.ts";

/** Wasm programs as guests: C compiled for WASI, and what becomes of the ones that go wrong. */

/** Compiles tests/qemu/guests/<source>.c to <name>.wasm. */
function wasi(folder: string, source: string, name = source, ...flags: string[]): string {
  const out = join(folder, `${name}.wasm`);
  const files = [project("tests/qemu/guests", `${source}.c`), project("sdk/c/socket.c")];
  const sdk = ["-I", project("sdk/c/include"), "-Wall", "-Wextra", "-Werror"];
  const command = ["--target=wasm32-wasi", "-O1", ...sdk, ...flags, ...files, "-o", out];
  const { status, stderr } = spawnSync("clang", command, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return out;
}

/** Boots an image of these modules for the time of `work`. */
async function withGuests(
  modules: string[],
  options: Partial<Parameters<typeof Machine.start>[0]>,
  work: (machine: Machine) => Promise<void>,
): Promise<void> {
  const folder = project("build/tests/guests");
  const image = join(folder, "image.elf");
  await buildProgram({ entry: null, guests: modules, site: null, folder, image, cc: "gcc" });
  const machine = Machine.start({ kernel: image, accel: "tcg", network: null, ...options });
  try {
    await work(machine);
    assert.equal(machine.ending, null, `the machine ended:\n${machine.tail()}`);
  } finally {
    await machine.stop();
  }
}

const FAULTS = [
  ["outside", /guest outside: memory access out of bounds/],
  ["far", /guest far: memory access out of bounds/],
  ["unreachable", /guest unreachable: unreachable/],
  ["divide", /guest divide: integer divide by zero/],
  ["call", /guest call: indirect call of another signature/],
  ["deep", /guest deep: call stack exhausted/],
] as const;

test("a guest that goes wrong ends alone, and the console says where it was", async () => {
  await inFolder(async (folder) => {
    const modules = FAULTS.map(([name], fault) => wasi(folder, "fault", name, `-DFAULT=${fault}`));
    modules.push(wasi(folder, "hello"));
    await withGuests(modules, {}, async (machine) => {
      await machine.waitFor(/guest: hello ended code=7/, 30_000);
      assert.match(machine.console, /hello from C, pi is 3\.141593/);
      assert.match(machine.console, /slept a second, heap ends in x/);
      for (const [name, report] of FAULTS) {
        assert.match(machine.console, report);
        assert.match(machine.console, new RegExp(`guest: ${name} ended by a trap`));
      }
      assert.match(machine.console, /guest divide: [^*]*w_\w*main/, "no function of the program");
    });
  });
});

/** Sends `bytes` over TCP and reads as many back. */
async function echoed(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = connect(port, "127.0.0.1");
  const parts: Buffer[] = [];
  let length = 0;
  socket.end(bytes);
  for await (const part of socket as AsyncIterable<Buffer>) {
    parts.push(part);
    if ((length += part.length) >= bytes.length) break;
  }
  socket.destroy();
  return Buffer.concat(parts);
}

test("a server in plain C: one that waits for each call, one that polls, and datagrams", async () => {
  const [page, echo] = [await freePort(), await freePort()];
  const lead = (protocol: "tcp" | "udp", hostPort: number, guestPort: number) => ({
    protocol,
    hostPort,
    guestPort,
  });
  const forwards = [lead("tcp", page, 80), lead("tcp", echo, 7), lead("udp", echo, 7)];
  await inFolder(async (folder) => {
    const modules = [wasi(folder, "server", "page", "-DPAGE"), wasi(folder, "server", "echo")];
    await withGuests(modules, { network: { kind: "user", forwards } }, async (machine) => {
      await machine.waitFor(/eth0 \d+\.\d+\.\d+\.\d+/, 20_000);
      for (const path of ["/first", "/second"]) {
        assert.equal((await curl(`http://127.0.0.1:${page}${path}`)).toString(), "hello from C!\n");
        await machine.waitFor(new RegExp(`asked for GET ${path} `), 5000);
      }
      const messages = Array.from({ length: 8 }, (_, i) => Buffer.alloc(100_000, `number ${i} `));
      const answers = await Promise.all(messages.map((message) => echoed(echo, message)));
      assert.deepEqual(answers, messages);

      const datagrams = createSocket("udp4");
      const answer = once(datagrams, "message");
      datagrams.send("datagram", echo, "127.0.0.1");
      assert.equal(((await answer) as [Buffer])[0].toString(), "datagram");
      datagrams.close();
    });
  });
});

test("while a guest computes for ever, the machine answers", { skip: noTap }, async () => {
  const namespace = new Namespace();
  try {
    await inFolder(async (folder) => {
      const spin = wasi(folder, "fault", "spin", "-DFAULT=6");
      const tap = {
        append: STATIC,
        network: { kind: "tap", interface: TAP },
        prefix: namespace.prefix,
      } as const;
      await withGuests([spin, wasi(folder, "hello")], tap, async (machine) => {
        await machine.waitFor(/guest: hello ended code=7/, 30_000);
        await inside(namespace, "ping", "-n", "-c", "20", "-i", "0.05", GUEST_ADDRESS);
      });
    });
  } finally {
    namespace.delete();
  }
});
