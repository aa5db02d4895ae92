import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { type Socket, connect } from "node:net";
import { basename, join } from "node:path";
import { test } from "node:test";
import { project } from "../../tools/cli/project.ts";
import { GUEST_ADDRESS, Namespace, TAP } from "../../tools/qemu/namespace.ts";
import { freePort } from "../../tools/qemu/ports.ts";
import { lineOf, scriptModule } from "./guest-lines.ts";
import { guest, wasi, withGuests } from "./guest-images.ts";
import { curl, inFolder, inside, noTap, runProgram, STATIC } from "./lib.ts";

/** Wasm programs as guests: C compiled for WASI, and what becomes of the ones that go wrong. */

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
    const modules = FAULTS.map(([name], fault) =>
      wasi(folder, "fault", name, `-DFAULT=${fault}`, "-g"),
    );
    modules.push(wasi(folder, "hello"), wasi(folder, "grow"));
    const script = join(folder, "lines.wasm");
    await scriptModule("lines", script);
    modules.push(script);
    await withGuests(modules, {}, async (machine) => {
      await machine.waitFor(/guest: hello ended code=7/, 60_000);
      assert.match(machine.console, /hello from C, pi is 3\.141593/);
      assert.match(machine.console, /slept a second, heap ends in x/);
      const seen = (report: RegExp) => machine.waitFor(report, 60_000);
      for (const [name, report] of FAULTS) {
        await seen(report);
        await seen(new RegExp(`guest: ${name} ended by a trap`));
      }
      const place = lineOf("tests/qemu/guests/fault.c", "return 5 / zero").replace(".", "\\.");
      const divide = new RegExp(`guest divide: [^*]* w_\\w*main +${place}\\b`);
      await seen(divide); // a function and a line of the program
      const here = basename(lineOf("tests/qemu/guests/lines.ts", "// here")).replace(".", "\\.");
      await seen(new RegExp(`guest lines: [^*]* w_\\w+ +${here}\\b`));
      await seen(/guest: grow may have \d+ KiB of memory and wants \d+: /);
    });
  });
});

test("files are what they are on Linux, call by call", async () => {
  await inFolder(async (folder) => {
    const native = join(folder, "native");
    const source = project("tests/qemu/guests/files.c");
    const command = ["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", source, "-o", native];
    const { status, stderr } = spawnSync("gcc", command, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    const directory = join(folder, "directory");
    mkdirSync(directory);
    const linux = await runProgram([native, directory]);
    assert.match(linux.stdout.toString(), /-- end\n$/);
    await withGuests([wasi(folder, "files")], {}, async (machine) => {
      await machine.waitFor(/guest: files ended code=0/, 60_000);
      const text = machine.console.replaceAll("\r", "");
      const from = text.indexOf("chdir(");
      assert.equal(text.slice(from, text.indexOf("-- end")), linux.stdout.toString().slice(0, -7));
    });
  });
});

/**
 * A connection that the guest has taken: a byte went there and back. QEMU lets only one wait, and resets what
 * it has no room for.
 */
async function opened(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.write("?");
  await once(socket, "data");
  return socket;
}

/** Sends `bytes` over TCP and reads as many back. */
async function echoed(socket: Socket, bytes: Buffer): Promise<Buffer> {
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
      await machine.waitFor(/eth0 \d+\.\d+\.\d+\.\d+/, 60_000);
      for (const path of ["/first", "/second"]) {
        assert.equal((await curl(`http://127.0.0.1:${page}${path}`)).toString(), "hello from C!\n");
        await machine.waitFor(new RegExp(`asked for GET ${path} `), 60_000);
      }
      const messages = Array.from({ length: 8 }, (_, i) => Buffer.alloc(100_000, `number ${i} `));
      const clients: Socket[] = [];
      for (const _ of messages) clients.push(await opened(echo));
      const answers = await Promise.all(messages.map((bytes, i) => echoed(clients[i]!, bytes)));
      assert.deepEqual(answers, messages);

      const datagrams = createSocket("udp4");
      const answer = once(datagrams, "message");
      datagrams.send("datagram", echo, "127.0.0.1");
      assert.equal(((await answer) as [Buffer])[0].toString(), "datagram");
      datagrams.close();
    });
  });
});

test(
  "while guests compute for ever, the machine and a server answer",
  { skip: noTap },
  async () => {
    const namespace = new Namespace();
    try {
      await inFolder(async (folder) => {
        const modules = [wasi(folder, "fault", "spin", "-DFAULT=6")];
        modules.push(wasi(folder, "server", "page", "-DPAGE"));
        const specs = ["spin-1", "spin-2", "spin-3"].map((name) => guest(name, "spin"));
        const tap = {
          append: STATIC,
          network: { kind: "tap" as const, interface: TAP },
          prefix: namespace.prefix,
          specs: [...specs, guest("page", "page")],
        };
        await withGuests(modules, tap, async (machine) => {
          await machine.waitFor(/page on port 80/, 60_000);
          const ping = ["ping", "-n", "-c", "20", "-i", "0.05", GUEST_ADDRESS];
          await inside(namespace, ...ping);
          for (let i = 0; i < 5; i++) {
            const page = await inside(namespace, "curl", "-sS", `http://${GUEST_ADDRESS}/${i}`);
            assert.equal(page, "hello from C!\n");
          }
          assert.doesNotMatch(machine.console, /spin-\d ended/);
        });
      });
    } finally {
      namespace.delete();
    }
  },
);
