import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { project } from "../../tools/cli/project.ts";
import type { Machine } from "../../tools/qemu/machine.ts";
import { freePort } from "../../tools/qemu/ports.ts";
import { userNetwork, withProject } from "./guest-images.ts";
import { curl, sha256 } from "./lib.ts";
import { lighttpd, rustStore } from "./programs.ts";

/** Programs of apps/ as guests of one machine, each used by a client from outside. */

const PORTS = { web: 80, store: 7070, copy: 7071, chat: 6667, lighttpd: 8080 };
type Port = keyof typeof PORTS;

function dial(port: number): Socket {
  const socket = connect(port, "127.0.0.1");
  return socket.setTimeout(10_000, () => socket.destroy(new Error("nothing has come for long")));
}

/** Sends text over TCP; all that comes back until the peer ends. */
async function dialogue(port: number, sent: string): Promise<string> {
  const socket = dial(port);
  socket.write(sent);
  return await text(socket);
}

const FOLDER = project("build/tests/programs");

/** All of them; lighttpd if there are sources of it. */
const manifest = (debian: boolean): string => `
[guests.web]
source = "../../../apps/http/main.ts"
descriptors = 1024
allow = { bind = ["tcp:80"] }
files = { "/" = "site" }

[guests.store]
module = "../modules/kv.wasm"
arguments = ["7070"]
allow = { bind = ["tcp:7070", "udp:7070"], connect = ["udp:*"] }

[guests.copy]
module = "../modules/kv.wasm"
arguments = ["7071", "127.0.0.1:7070"]
restart = "always"
allow = { bind = ["tcp:7071", "udp:7071"], connect = ["tcp:127.0.0.1:7070"] }

[guests.chat]
source = "../../../apps/chat/chat.c"
allow = { bind = ["tcp:6667"] }

[guests.typed]
source = "../../../tests/sim/guests/console.c"
console = true

${debian ? LIGHTTPD : ""}`;

const LIGHTTPD = `
[guests.lighttpd]
module = "../modules/lighttpd.wasm"
arguments = ["-D", "-f", "/lighttpd.conf"]
allow = { bind = ["tcp:8080"] }
files = { "/" = "etc", "/www" = "site" }
`;

test("programs as guests", async (t: TestContext) => {
  const ports = {} as Record<Port, number>;
  for (const name of Object.keys(PORTS) as Port[]) ports[name] = await freePort();
  const tcp = (Object.keys(PORTS) as Port[]).map(
    (name) => ({ protocol: "tcp", hostPort: ports[name], guestPort: PORTS[name] }) as const,
  );
  const udp = { protocol: "udp", hostPort: ports.store, guestPort: PORTS.store } as const;
  const [site, etc] = [join(FOLDER, "site"), join(FOLDER, "etc")];
  for (const folder of [site, etc]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(site, "index.html"), "<!doctype html><title>A guest</title>\n");
  const large = Array.from({ length: 10_000 }, (_, i) => sha256(Buffer.from(String(i))));
  writeFileSync(join(site, "large.bin"), Buffer.from(large.join(""), "hex"));
  writeFileSync(join(etc, "lighttpd.conf"), LIGHTTPD_CONF);
  await rustStore();
  const debian = await lighttpd();
  const skip = typeof debian === "string" ? false : `no sources: ${debian.message}`;
  const network = userNetwork([...tcp, udp]);
  await withProject("programs", manifest(!skip), { network, input: true }, async (machine) => {
    await machine.waitFor(/eth0 \d+\.\d+\.\d+\.\d+/, 60_000);
    await machine.waitFor(/serving on 0\.0\.0\.0:7071/, 60_000);
    await t.test("the web server that is also the kernel's app", () => web(ports.web, site));
    await t.test("Rust over WasmEdge's sockets", () => rust(machine, ports));
    await t.test("a chat over poll", () => chat(ports.chat));
    await t.test("what is typed at the serial port", () => typed(machine));
    await t.test("Debian's lighttpd, as it is", { skip }, () => fromDebian(ports.lighttpd, site));
  });
});

/**
 * More than the UART's FIFO holds, and than the kernel takes at a time. What others say may come in the middle of
 * the echo, which tests/sim holds against a terminal of Linux.
 */
async function typed(machine: Machine): Promise<void> {
  await machine.waitFor(/^ready\r?$/m, 60_000);
  machine.type("helo\x7flo\r");
  await machine.waitFor(/\x08 \x08[^]*read 6 68656c6c6f0a/, 60_000);
  const line = "0123456789".repeat(40);
  machine.type(`${line}\n`);
  await machine.waitFor(new RegExp(`read 401 ${Buffer.from(`${line}\n`).toString("hex")}`), 60_000);
  machine.type("\x04");
  await machine.waitFor(/read 0 /, 60_000);
  machine.type("quit\n");
  await machine.waitFor(/guest: typed ended code=0/, 60_000);
}

async function web(port: number, site: string): Promise<void> {
  const url = `http://127.0.0.1:${port}`;
  const file = (name: string) => readFileSync(join(site, name));
  assert.deepEqual(await curl(`${url}/`), file("index.html"));
  // Two on one connection, one of them longer than what is sent at once.
  const both = Buffer.concat([file("large.bin"), file("index.html")]);
  assert.deepEqual(await curl(`${url}/large.bin`, `${url}/index.html`), both);
  assert.equal(
    (await curl("-r", "10-19", `${url}/`)).toString(),
    file("index.html").toString().slice(10, 20),
  );
  assert.match((await curl("-I", `${url}/nothing`)).toString(), /^HTTP\/1\.1 404 /);
  const status = JSON.parse((await curl(`${url}/status`)).toString()) as { http: object };
  assert.deepEqual(
    { ...status.http, bytesCopied: 0, bytesInPlace: 0 },
    {
      ...{ connections: 5, open: 1, requests: 5, refused: 1, timeouts: 0 },
      ...{ bytesCopied: 0, bytesInPlace: 0 },
    },
  );
}

const LIGHTTPD_CONF = `
server.port = 8080
server.document-root = "/www"
server.event-handler = "poll"
index-file.names = ("index.html")
mimetype.assign = (".html" => "text/html", ".bin" => "application/octet-stream")
`;

async function fromDebian(port: number, site: string): Promise<void> {
  const url = `http://127.0.0.1:${port}`;
  const file = (name: string) => readFileSync(join(site, name));
  const head = (await curl("-I", `${url}/`)).toString();
  assert.match(head, /^HTTP\/1\.1 200 OK\r\nContent-Type: text\/html\r\n/);
  assert.match(head, /Server: lighttpd\/1\.4\.69/);
  const both = Buffer.concat([file("large.bin"), file("index.html")]);
  assert.deepEqual(await curl(`${url}/large.bin`, `${url}/`), both);
  assert.deepEqual(
    await curl("-r", "1000-1999", `${url}/large.bin`),
    file("large.bin").subarray(1000, 2000),
  );
  assert.match((await curl("-I", `${url}/nothing`)).toString(), /^HTTP\/1\.1 404 /);
}

async function rust(machine: Machine, ports: Record<Port, number>): Promise<void> {
  const idle = dial(ports.store);
  assert.equal(
    await dialogue(ports.store, "set planet Jupiter\nset moon Io\nget planet\nget star\nbye\n"),
    "ok\nok\nJupiter\nno star\n",
  );
  const datagrams = createSocket("udp4");
  const answer = once(datagrams, "message", { signal: AbortSignal.timeout(10_000) });
  datagrams.send("get moon", ports.store, "127.0.0.1");
  assert.equal(((await answer) as [Buffer])[0].toString(), "Io\n");
  datagrams.close();
  // The copy has nothing yet; started again, it copies anew.
  assert.equal(await dialogue(ports.copy, "list\nstop\n"), "end\n");
  await machine.waitFor(
    /copied 2 keys from 127\.0\.0\.1:7070[^]*serving on 0\.0\.0\.0:7071/,
    20_000,
  );
  assert.equal(await dialogue(ports.copy, "get planet\nbye\n"), "Jupiter\n");
  idle.destroy();
}

/** Reads from a socket until what has come matches. */
async function hear(socket: Socket, pattern: RegExp): Promise<void> {
  let heard = "";
  while (!pattern.test(heard)) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    heard += chunk.toString();
  }
}

async function chat(port: number): Promise<void> {
  const [ada, bob] = [dial(port), dial(port)];
  await hear(ada, /your name/);
  await hear(bob, /your name/);
  ada.write("Ada\r\n");
  await hear(ada, /Ada joined/);
  bob.write("Bob\n");
  await hear(ada, /Bob joined, 2 here/);
  ada.write("Is any");
  ada.write("body here?\nHello?\n");
  await hear(bob, /Ada: Is anybody here\?\nAda: Hello\?\n/);
  bob.end();
  await hear(ada, /Bob left/);
  ada.destroy();
}
