import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { project } from "../../tools/cli/project.ts";
import { encodeSpecs } from "../../tools/guest/spec.ts";
import { buildPack, packEntries } from "../../tools/pack/pack.ts";
import { type GuestProgram, guestProgram } from "../../tools/sim/guest/program.ts";
import { MICROSECOND, SECOND } from "../../tools/sim/simulation.ts";
import { quickjs, rustStore } from "../qemu/programs.ts";
import { assemblyProgram, guestSpec } from "./guest-programs.ts";
import { inWorld, type World } from "./harness.ts";
import { TcpClient } from "./tcp-client.ts";

/** Guests that are not C: AssemblyScript with sdk/assembly, Rust, and JavaScript on QuickJS. */

const file = (name: string, path: string): GuestProgram =>
  guestProgram(name, new Uint8Array(readFileSync(path)));

/** Sends text to a machine's port; all that comes back until the machine ends, or `enough` has come. */
function exchange(client: TcpClient, text: string, enough = Infinity): string {
  const before = client.received.length;
  client.send(text);
  const done = () => client.ended || client.received.length - before >= enough;
  client.until(done, 20 * SECOND, "an answer");
  return client.received.subarray(before).toString();
}

/** All that can be seen of a run, which must be the same each time. */
function replays(run: (world: World) => string[]): string[] {
  const seen = [1, 1].map((seed) => {
    let said: string[] = [];
    inWorld(seed, (world) => (said = run(world)), {
      delay: 300 * MICROSECOND,
      jitter: 50 * MICROSECOND,
    });
    return said;
  });
  assert.deepEqual(seen[0], seen[1]);
  return seen[0]!;
}

test("AssemblyScript: apps/echo sends back what comes", async () => {
  const echo = await assemblyProgram("apps/echo/echo.ts", "echo");
  replays((world) => {
    const { machine } = world.ready({ memory: 32 << 20, guests: [echo] });
    machine.expectLine(/echo: serving port=7/);
    const client = new TcpClient(world.peer(), "10.0.0.2", 7);
    const text = "to and fro ".repeat(2000);
    assert.equal(exchange(client, text, text.length), text);
    return [...machine.console, String(machine.steps)];
  });
});

const NOT_ALLOWED = "not allowed: the console says which line skerry.toml lacks";

test("AssemblyScript: each refusal is an error, and the console names the missing line", async () => {
  const refused = await assemblyProgram("tests/sim/guests/refused.ts", "refused");
  inWorld(1, (world) => {
    const allow = { bind: ["tcp:80"], connect: ["tcp:10.0.0.2:9"], raw: false, resolve: false };
    const setup = encodeSpecs([guestSpec("refused", { allow })]);
    const { machine } = world.ready({ memory: 32 << 20, guests: [refused], setup });
    machine.expectLine(/guest: refused ended code=1/);
    const of = "of [guests.refused] in skerry.toml";
    for (const line of [
      `may not bind tcp port 81: add "tcp:81" to allow.bind ${of}`,
      `may not connect tcp 10.0.0.1:22: add "tcp:10.0.0.1:22" to allow.connect ${of}`,
      `may not resolve names: add resolve = true to allow ${of}`,
      `listen on [::]:81: ${NOT_ALLOWED}`,
      `take datagrams on [::]:53: ${NOT_ALLOWED}`,
      `listen on [::]:8080: ${NOT_ALLOWED}`,
      `take datagrams on [::]:69: ${NOT_ALLOWED}`,
      `connect to 10.0.0.1:22: ${NOT_ALLOWED}`,
      `look up example.org: ${NOT_ALLOWED}`,
      "connect to 10.0.0.2:9: refused: nothing listens there",
      "listen on [::]:80: the port is taken: by another socket of this image",
      `listen on [::]:82: ${NOT_ALLOWED}`,
    ])
      assert.ok(
        machine.console.some((said) => said.includes(line)),
        `${line}\n${machine.console.join("\n")}`,
      );
    assert.equal(machine.line(/not reached/), undefined);
  });
});

const GET = "GET / HTTP/1.1\r\nHost: a\r\n";

/** RFC 9112 says of each that it is refused, and then where the next request begins nobody knows. */
const WRONG: [string, string, number][] = [
  ["a bare LF (2.2)", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400],
  ["a blank before a colon (5.1)", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400],
  ["no Host (3.2)", "GET / HTTP/1.1\r\n\r\n", 400],
  ["two Hosts (3.2)", `${GET}Host: b\r\n\r\n`, 400],
  ["two lengths (6.3)", `${GET}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400],
  ["a length that is none (6.2)", `${GET}Content-Length: -1\r\n\r\n`, 400],
  [
    "a length beside a coding (6.3)",
    `${GET}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`,
    400,
  ],
  ["a chunk without a size (7.1)", `${GET}Transfer-Encoding: chunked\r\n\r\nx\r\n`, 400],
  ["a body that is too long", `${GET}Content-Length: 99999999\r\n\r\n`, 413],
  ["a target that is too long (3)", `GET /${"a".repeat(9000)}`, 414],
  ["an expectation of more", `${GET}Expect: x\r\n\r\n`, 417],
  ["a coding that is unknown (6.1)", `${GET}Transfer-Encoding: gzip, chunked\r\n\r\n`, 501],
  ["another version (2.3)", "GET / HTTP/3.0\r\n\r\n", 505],
];

test("AssemblyScript: an HTTP server answers what is right, and refuses what is not", async () => {
  const web = await assemblyProgram("tests/sim/guests/web.ts", "web");
  inWorld(1, (world) => {
    const { machine } = world.ready({ memory: 32 << 20, guests: [web] });
    machine.expectLine(/serving/);
    const peer = world.peer();
    const client = () => new TcpClient(peer, "10.0.0.2", 80);
    const right = exchange(client(), `${GET}Connection: close\r\n\r\n`);
    assert.match(right, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nGET \/\n$/);
    for (const [what, request, status] of WRONG) {
      const answer = exchange(client(), request);
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), what);
      assert.equal(answer.match(/^HTTP\//gm)?.length, 1, what);
    }
    assert.match(exchange(client(), `${GET}Connection: close\r\n\r\n`), / 200 OK/);
  });
});

test("Rust: apps/kv keeps what it is told, and its copy has it", async () => {
  const kv = file("kv", await rustStore());
  replays((world) => {
    const setup = encodeSpecs([
      guestSpec("kv", { name: "store", arguments: ["7070"] }),
      guestSpec("kv", { name: "copy", arguments: ["7071", "127.0.0.1:7070"], restart: "always" }),
    ]);
    const { machine } = world.ready({ memory: 64 << 20, guests: [kv], setup });
    machine.expectLine(/serving on 0\.0\.0\.0:7071/);
    const peer = world.peer();
    const ask = (port: number, text: string) =>
      exchange(new TcpClient(peer, "10.0.0.2", port), text);
    assert.equal(ask(7070, "set moon Io\nget moon\nget star\nbye\n"), "ok\nIo\nno star\n");
    ask(7071, "stop\n");
    machine.expectLine(/copied 1 keys from 127\.0\.0\.1:7070/);
    world.run(SECOND);
    assert.equal(ask(7071, "get moon\nbye\n"), "Io\n");
    return [...machine.console, String(machine.steps)];
  });
});

test("JavaScript: a server for Node answers on QuickJS", async () => {
  const js = file("quickjs", await quickjs());
  const pack = buildPack(
    packEntries(project("apps/quickjs")).map((entry) => ({ ...entry, path: `/app${entry.path}` })),
  );
  const files = [{ path: "/", tree: "/app" }];
  const setup = encodeSpecs([guestSpec("quickjs", { arguments: ["server.js"], files })]);
  inWorld(1, (world) => {
    const { machine } = world.ready({ memory: 64 << 20, guests: [js], setup, pack });
    machine.expectLine(/serving on port 80/, 60 * SECOND);
    const peer = world.peer();
    const get = (path: string): string =>
      exchange(
        new TcpClient(peer, "10.0.0.2", 80),
        `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
      );
    assert.match(get("/"), /^HTTP\/1\.1 200 [^]*hello from JavaScript\n/);
    assert.match(get("/primes"), /2 3 5 7 .* 89 97\n/);
    const before = world.simulation.now;
    assert.match(get("/later"), /a tenth of a second later\n/);
    assert.ok(world.simulation.now - before > SECOND / 10);
    assert.match(get("/nothing"), /^HTTP\/1\.1 404 /);
  });
});
