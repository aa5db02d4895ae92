import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Layout, Statistics, Syscall } from "../../sdk/assembly/syscalls.ts";
import { buildPack } from "../../tools/pack/pack.ts";
import { loadKernel } from "../../tools/sim/kernel.ts";
import { ACK, FIN, PSH } from "../../tools/sim/frames.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { encodeSpecs } from "../../tools/guest/spec.ts";
import { counters } from "./counters.ts";
import { assemblyProgram, guestSpec } from "./guest-programs.ts";
import { inWorld, type StationOptions, type World } from "./harness.ts";
import { HttpClient } from "./tcp-client.ts";

/**
 * The web server as its clients see it, on a whole machine: what it answers, what it refuses, when
 * it closes, and that nothing is left behind. In the kernel, and from the same sources as a guest.
 */

const build = ["--config", "asconfig.json", "--target", "debug", "-o", "build/sim/http.debug.wasm"];
execFileSync("node_modules/.bin/asc", ["kernel/main.ts", "apps/http/main.ts", ...build]);
const kernel = loadKernel("build/sim/http.debug.wasm");

const CHANGED = "Sun, 06 Nov 1994 08:49:37 GMT";
const LARGE = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
const pack = buildPack([
  { path: "/index.html", body: Buffer.from("<p>home"), modified: 784111777 },
  { path: "/a b.txt", body: Buffer.from("blank"), modified: 784111777 },
  { path: "/digits", body: Buffer.from("0123456789"), type: "text/plain", modified: 784111777 },
  { path: "/sub/index.html", body: Buffer.from("<p>sub") },
  { path: "/empty", body: Buffer.alloc(0) },
  { path: "/large", body: LARGE },
]);

const guest = await assemblyProgram("apps/http/main.ts", "web");
const asGuest = {
  memory: 64 << 20,
  guests: [guest],
  setup: encodeSpecs([
    guestSpec("web", { descriptors: 1024, files: [{ path: "/", tree: "" }], restart: "never" }),
  ]),
  pack: buildPack([{ path: "/site.pack", body: pack }]),
};

/** A server, a peer and a way to open connections. */
interface Site {
  world: World;
  machine: Machine;
  peer: Peer;
  open(window?: number): HttpClient;
}

function serving(name: string, body: (site: Site) => void): void {
  servingIn(name, { kernel, pack }, body);
  servingIn(`${name}, by a guest`, asGuest, body);
}

function servingIn(name: string, options: StationOptions, body: (site: Site) => void): void {
  test(name, () =>
    inWorld(1, (world) => {
      const { machine } = world.ready(options);
      machine.expectLine(/http: serving/, SECOND);
      const peer = world.peer("10.0.0.1");
      const open = (window?: number): HttpClient => new HttpClient(peer, "10.0.0.2", 80, window);
      body({ world, machine, peer, open });
    }),
  );
}

/** Packets owned by anybody but the free list and the receive ring, in each pool. */
function packetsInUse(machine: Machine): number[] {
  const at = machine.scratch;
  const bytes = machine.syscall(Syscall.Statistics, Statistics.Pools, at, 1024);
  return Array.from({ length: bytes / Layout.Pool }, (_, id) => {
    const owned = at + id * Layout.Pool + 16;
    const of = (owner: number): number => machine.view.getUint32(owned + owner * 4, true);
    return of(2) + of(3) + of(4) + of(5);
  });
}

function socketsOpen(machine: Machine): number {
  machine.syscall(Syscall.Statistics, Statistics.Sockets, machine.scratch, 8);
  return machine.view.getUint32(machine.scratch, true);
}

serving("a file comes with its type, tag, dates and length", ({ open }) => {
  const { status, headers, body } = open().ask("/");
  assert.equal(status, 200);
  assert.equal(body.toString(), "<p>home");
  assert.equal(headers.get("content-type"), "text/html;charset=utf-8");
  assert.equal(headers.get("last-modified"), CHANGED);
  assert.equal(headers.get("connection"), "keep-alive");
  assert.equal(headers.get("accept-ranges"), "bytes");
  assert.match(headers.get("etag")!, /^"[\w-]+"$/);
  assert.match(headers.get("date")!, /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
});

serving("paths are decoded and normalised; what is not there is 404", ({ open }) => {
  const client = open();
  assert.equal(client.ask("/a%20b.txt").body.toString(), "blank");
  assert.equal(client.ask("/sub/../%61%20b.txt?query").body.toString(), "blank");
  assert.equal(client.ask("/../../digits").body.toString(), "0123456789");
  assert.equal(client.ask("http://skerry/digits").status, 200);
  assert.equal(client.ask("http://skerry").body.toString(), "<p>home");
  assert.equal(client.ask("/empty").body.length, 0);
  assert.equal(client.ask("/none").status, 404);
  assert.equal(client.ask("/digits/").status, 404);
  assert.equal(client.ask("/%").status, 400);
  assert.equal(client.ask("/digits%00").status, 400);
  assert.match(client.ask("/sub/../%73tatus?query").body.toString(), /^\{"system"/);
  const moved = client.ask("/sub");
  assert.equal(moved.status, 301);
  assert.equal(moved.headers.get("location"), "/sub/");
  assert.equal(client.ask("/sub/").body.toString(), "<p>sub");
});

serving("a request is understood wherever it is split", ({ open }) => {
  const request = "GET /digits HTTP/1.1\r\nHost: skerry\r\nRange: bytes=2-4\r\n\r\n";
  const client = open();
  for (let at = 1; at < request.length; at++) {
    client.send(request.slice(0, at));
    client.run(MILLISECOND);
    client.send(request.slice(at));
    const { status, body } = client.answer();
    assert.equal(`${status} ${body.toString()}`, "206 234", `split at ${at}`);
  }
  client.send(request, 1);
  assert.equal(client.answer().body.toString(), "234");
});

serving("pipelined requests are answered in order", ({ open }) => {
  const client = open();
  const ranges = Array.from({ length: 60 }, (_, i) => [i % 10, 9 - ((i * 3) % (10 - (i % 10)))]);
  const one = ([from, to]: number[]): string =>
    `GET /digits HTTP/1.1\r\nHost: x\r\nRange: bytes=${from}-${to}\r\n\r\n`;
  client.send(`${ranges.map(one).join("")}HEAD /large HTTP/1.1\r\nHost: x\r\n\r\n`, 1000);
  for (const [from, to] of ranges) {
    assert.equal(client.answer().body.toString(), "0123456789".slice(from, to! + 1));
  }
  assert.equal(client.answer("HEAD").headers.get("content-length"), "300000");
  client.expectOpen();
});

serving("HEAD answers as GET does, without the body", ({ open }) => {
  const client = open();
  const got = client.ask("/digits").headers;
  const head = client.ask("/digits", "", "HEAD").headers;
  got.delete("date");
  head.delete("date");
  assert.deepEqual(head, got);
  assert.equal(client.ask("/none", "", "HEAD").status, 404);
  assert.equal(client.ask("/digits").body.toString(), "0123456789");
});

serving("conditions and ranges", ({ open }) => {
  const client = open();
  const tag = client.ask("/digits").headers.get("etag")!;
  const same = client.ask("/digits", `If-None-Match: ${tag}\r\n`);
  assert.equal(same.status, 304);
  assert.equal(same.headers.get("etag"), tag);
  assert.equal(same.headers.get("content-length"), undefined);
  assert.equal(client.ask("/digits", `If-Modified-Since: ${CHANGED}\r\n`).status, 304);
  assert.equal(client.ask("/digits", 'If-Match: "other"\r\n').status, 412);
  const part = client.ask("/digits", "Range: bytes=-3\r\n");
  assert.equal(part.status, 206);
  assert.equal(part.headers.get("content-range"), "bytes 7-9/10");
  assert.equal(part.body.toString(), "789");
  const outside = client.ask("/digits", "Range: bytes=10-\r\n");
  assert.equal(outside.status, 416);
  assert.equal(outside.headers.get("content-range"), "bytes */10");
  assert.equal(client.ask("/digits", 'Range: bytes=0-1\r\nIf-Range: "x"\r\n').status, 200);
  const middle = client.ask("/large", "Range: bytes=100000-199999\r\n").body;
  assert.ok(middle.equals(LARGE.subarray(100_000, 200_000)));
});

serving("errors that leave the connection usable keep it", ({ open }) => {
  const client = open();
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"]) {
    const { status, headers } = client.ask("/", "", method);
    assert.equal(status, 405, method);
    assert.equal(headers.get("allow"), "GET, HEAD");
    assert.equal(headers.get("connection"), "keep-alive");
  }
  assert.equal(client.ask("/", "", "BREW").status, 501);
  assert.equal(client.ask("/", "Expect: tea\r\n").status, 417);
  assert.equal(client.ask("/digits").status, 200);
});

const refused: [status: number, what: string, request: string][] = [
  [400, "no Host", "GET / HTTP/1.1\r\n\r\n"],
  [400, "two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"],
  [400, "a blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"],
  [400, "a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"],
  [400, "a bare LF", "GET / HTTP/1.1\nHost: a\n\n"],
  [400, "no request line", "\x16\x03\x01\x02\x00"],
  [
    400,
    "length and coding",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  [
    400,
    "two lengths",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
  ],
  [501, "an unknown coding", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x, chunked\r\n\r\n"],
  [400, "a body without end", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"],
  [505, "HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"],
  [414, "a long target", `GET /${"a".repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`],
  [431, "long fields", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(17000)}\r\n\r\n`],
  [431, "many fields", `GET / HTTP/1.1\r\nHost: a\r\n${"X: a\r\n".repeat(200)}\r\n`],
];

serving(
  "what cannot be trusted is refused and the connection ended",
  ({ open, machine, world }) => {
    for (const [expected, what, request] of refused) {
      const client = open();
      client.send(request);
      const { status, headers } = client.answer();
      assert.equal(status, expected, what);
      assert.equal(headers.get("connection"), "close", what);
      client.expectEnd();
      assert.equal(client.reset, false, `${what}: the answer is not reset away`);
      client.end();
      world.run(10 * MILLISECOND);
      assert.equal(client.reset, false, what);
    }
    world.run(3 * SECOND);
    assert.equal(socketsOpen(machine), 1);
  },
);

serving("bodies that nobody wants are read and the next request is found", ({ open }) => {
  const client = open();
  client.send("GET /digits HTTP/1.1\r\nHost: x\r\nContent-Length: 25\r\n\r\n");
  assert.equal(client.answer().status, 200);
  client.send("GET /none HTTP/1.1\r\nHost: xGET /digits HTTP/1.1\r\nHost: x\r\n\r\n".slice(0, 25));
  client.send("GET /digits HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.send("5\r\nhello\r\n0\r\nX: y\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 3);
  assert.equal(client.answer().body.toString(), "0123456789");
  assert.equal(client.answer("HEAD").headers.get("content-length"), "7");
  client.expectOpen();
  client.send("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
  assert.equal(client.answer().status, 200);
  client.expectEnd();
});

serving("a body too long is refused before it is sent, and the answer is not lost", ({ open }) => {
  const client = open();
  client.send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n");
  for (let i = 0; i < 20; i++) client.send(Buffer.alloc(1460));
  const { status, headers } = client.answer();
  assert.equal(status, 413);
  assert.equal(headers.get("connection"), "close");
  client.expectEnd();
  for (let i = 0; i < 20; i++) client.send(Buffer.alloc(1460));
  client.run(100 * MILLISECOND);
  assert.equal(client.reset, false);
  const waiting = open();
  waiting.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  const final = waiting.answer();
  assert.equal(final.status, 405);
  assert.equal(final.headers.get("connection"), "close");
  waiting.expectEnd();
});

serving("connections persist as each version says", ({ open }) => {
  const closing = open();
  assert.equal(closing.ask("/", "Connection: close\r\n").headers.get("connection"), "close");
  closing.expectEnd();
  const old = open();
  old.send("GET / HTTP/1.0\r\n\r\n");
  assert.equal(old.answer().headers.get("connection"), "close");
  old.expectEnd();
  const kept = open();
  kept.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  assert.equal(kept.answer().headers.get("connection"), "keep-alive");
  kept.expectOpen();
  const half = open();
  half.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  half.end();
  assert.ok(half.answer().body.equals(LARGE), "a client that has ended its stream is answered");
  half.expectEnd();
});

serving(
  "who ends his stream with his request is answered, and the connection ended",
  ({ open }) => {
    const whole = open();
    whole.run(MILLISECOND);
    const request = Buffer.from("GET /digits HTTP/1.1\r\nHost: x\r\n\r\n");
    whole.tcp.send({ flags: ACK | PSH | FIN, payload: request });
    assert.equal(whole.answer().body.toString(), "0123456789");
    whole.expectEnd(SECOND);
    const behind = open();
    behind.send(request);
    behind.end();
    assert.equal(behind.answer().body.toString(), "0123456789");
    behind.expectEnd(SECOND);
  },
);

serving("silence and trickles come to an end", ({ open }) => {
  const silent = open();
  const late = open();
  late.send("GET / HT");
  for (let i = 0; i < 9; i++) {
    late.run(SECOND);
    late.send("x");
  }
  late.run(900 * MILLISECOND);
  assert.equal(late.received.length, 0);
  const { status, headers } = late.answer("GET", 2 * SECOND);
  assert.equal(status, 408);
  assert.equal(headers.get("connection"), "close");
  late.expectEnd();
  silent.expectOpen(15 * SECOND);
  silent.expectEnd(10 * SECOND);
  assert.equal(silent.received.length, 0);
  const idle = open();
  idle.ask("/");
  idle.expectOpen(29 * SECOND);
  idle.expectEnd(2 * SECOND);
  const body = open();
  body.send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  assert.equal(body.answer().status, 200);
  body.expectOpen(29 * SECOND);
  body.expectEnd(2 * SECOND);
});

serving("a slow reader gets every byte, and holds up nobody", ({ open }) => {
  const slow = open(2000);
  slow.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3));
  const quick = open();
  assert.equal(quick.ask("/digits").status, 200);
  for (let i = 0; i < 3; i++) assert.ok(slow.answer("GET", 60 * SECOND).body.equals(LARGE));
});

serving("an answer that takes longer than a connection may idle is not cut off", ({ open }) => {
  const client = open(1460);
  client.answers = false;
  client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  client.run(20 * SECOND);
  client.tcp.window = 0;
  for (let i = 0; i < 5; i++) {
    client.tcp.send();
    client.run(10 * SECOND);
  }
  assert.equal(client.ended || client.reset, false);
  client.answers = true;
  client.tcp.window = 65535;
  client.tcp.send();
  assert.ok(client.answer("GET", 120 * SECOND).body.equals(LARGE));
  assert.equal(client.ask("/digits").status, 200);
});

serving("hundreds of connections at once, and nothing left of them", ({ open, machine, world }) => {
  world.run(5 * SECOND);
  const before = packetsInUse(machine);
  const clients = Array.from({ length: 300 }, () => open());
  world.run(10 * MILLISECOND);
  assert.equal(socketsOpen(machine), 301);
  for (const client of clients) client.send("GET /digits HTTP/1.1\r\nHost: x\r\n\r\n");
  for (const client of clients) assert.equal(client.answer().body.toString(), "0123456789");
  for (const client of clients.slice(0, 100)) client.end();
  for (const client of clients.slice(100, 200)) client.tcp.send({ flags: 4 });
  world.run(SECOND);
  assert.equal(socketsOpen(machine), 101);
  world.run(60 * SECOND);
  for (const client of clients.slice(200)) assert.ok(client.ended);
  assert.equal(socketsOpen(machine), 1);
  assert.deepEqual(packetsInUse(machine), before);
});

servingIn("/status says in JSON what there is", { kernel, pack }, ({ machine, open }) => {
  const client = open();
  client.ask("/large");
  const { status, headers, body } = client.ask("/status");
  assert.equal(status, 200);
  assert.equal(headers.get("content-type"), "application/json");
  const said = JSON.parse(body.toString()) as {
    uptime: number;
    version: string;
    interfaces: { address: string; receive: { packets: number }; linkUp: boolean }[];
    tcp: { established: number; segmentsIn: number };
    [layer: string]: unknown;
    http: { requests: number; bytesInPlace: number; bytesCopied: number };
    copies: { received: number; receivedCopied: number; sent: number; sentCopied: number };
    pools: { slots: number; free: number; socket: number }[];
  };
  assert.ok(said.uptime > 0);
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  assert.equal(said.version, version);
  assert.equal(said.interfaces[0]!.address, "10.0.0.2");
  assert.ok(said.interfaces[0]!.linkUp && said.interfaces[0]!.receive.packets > 200);
  assert.equal(said.tcp.established, 1);
  for (const layer of ["arp", "ip", "icmp", "udp", "dhcp"] as const) {
    const own = counters(machine, layer);
    const shown = said[layer] as Record<string, number>;
    assert.deepEqual(Object.keys(shown).sort(), Object.keys(own).sort(), layer);
    if (layer !== "ip") assert.deepEqual(shown, own);
  }
  assert.equal(said.http.requests, 1);
  assert.equal(said.http.bytesInPlace, LARGE.length);
  // Files leave from where they lie and requests are read there: only the answer's head was copied.
  assert.equal(said.copies.sent, LARGE.length + said.copies.sentCopied);
  assert.ok(said.copies.sentCopied === said.http.bytesCopied && said.copies.sentCopied < 512);
  assert.equal(said.copies.receivedCopied, 0);
  assert.ok(said.copies.received > 0);
  assert.ok(said.pools.every((pool) => pool.slots > 0 && pool.free <= pool.slots));
});

test("a machine without files, or with a bad pack, says so and serves /status", () => {
  const damaged = Buffer.from(pack);
  damaged[100]! ^= 1;
  for (const [files, line] of [
    [undefined, /the image holds no files/],
    [damaged, /file pack is refused: /],
  ] as const) {
    inWorld(1, (world) => {
      const { machine } = world.ready({ kernel, ...(files && { pack: files }) });
      machine.expectLine(line, SECOND);
      const client = new HttpClient(world.peer("10.0.0.1"), "10.0.0.2", 80);
      assert.equal(client.ask("/").status, 404);
      assert.equal(client.ask("/status").status, 200);
    });
  }
});
