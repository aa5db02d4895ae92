import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { DhcpServer, RELEASE } from "../../tools/sim/dhcp.ts";
import { Dhcpv6Server, RELEASE as RELEASE6 } from "../../tools/sim/dhcpv6.ts";
import { loadKernel } from "../../tools/sim/kernel.ts";
import { MdnsPeer } from "../../tools/sim/mdns.ts";
import { Program } from "../../tools/sim/program.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { forSeeds, inWorld, type World } from "./harness.ts";
import { parse } from "../../tools/sim/frames.ts";
import { HttpClient, TcpClient } from "./tcp-client.ts";

/** The program that tests of other parts rely on: what it sends and sums up is what it says. */

const out = "build/sim/exerciser.debug.wasm";
const build = ["--config", "asconfig.json", "--target", "debug", "-o", out];
execFileSync("node_modules/.bin/asc", ["kernel/main.ts", "apps/exerciser/main.ts", ...build]);
const kernel = loadKernel(out);

/** The stream of apps/exerciser/generate.ts. */
function stream(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc((length + 3) & ~3);
  for (let i = 0; i * 4 < length; i++) {
    let x = (seed + Math.imul(i, 0x9e3779b9)) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    bytes.writeUInt32LE((x ^ (x >>> 15)) >>> 0, i * 4);
  }
  return bytes.subarray(0, length);
}

function exercising(name: string, body: (world: World, open: () => HttpClient) => void): void {
  test(name, () =>
    inWorld(1, (world) => {
      const { machine } = world.ready({ kernel });
      machine.expectLine(/exerciser: serving/, SECOND);
      const peer = world.peer("10.0.0.1");
      body(world, () => new HttpClient(peer, "10.0.0.2", 80));
    }),
  );
}

exercising("bytes of any length are those of their seed", (_world, open) => {
  const client = open();
  for (const length of [0, 1, 3, 4, 4095, 4097, 100_001]) {
    const { body } = client.ask(`/bytes/${length}?seed=7`);
    assert.ok(body.equals(stream(7, length)), `${length} bytes`);
  }
  assert.ok(client.ask("/bytes/10").body.equals(stream(0, 10)));
  const head = client.ask("/bytes/5000", "", "HEAD");
  assert.equal(head.headers.get("content-length"), "5000");
  assert.equal(client.ask("/bytes/x").status, 400);
  assert.equal(client.ask("/bytes/1?seed=4294967296").status, 400);
  assert.equal(client.ask("/bytes/1", "", "POST").status, 405);
});

exercising("bodies are summed up however they are framed and cut", (_world, open) => {
  const client = open();
  const data = stream(9, 50_000);
  const expected = { length: data.length, crc32: crc32(data).toString(16).padStart(8, "0") };
  client.send(`PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: ${data.length}\r\n\r\n`);
  client.send(data);
  assert.deepEqual(JSON.parse(client.answer().body.toString()), expected);
  // Chunks of every few sizes, in segments that end anywhere within them.
  for (const [chunk, cut] of [
    [1, 1460],
    [7, 100],
    [1000, 333],
    [30_000, 1460],
  ] as const) {
    const part = data.subarray(0, chunk * 300);
    const framed: Buffer[] = [];
    for (let at = 0; at < part.length; at += chunk) {
      const bytes = part.subarray(at, at + chunk);
      framed.push(Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n"));
    }
    client.send("POST /sum HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    const all = Buffer.concat([...framed, Buffer.from("0\r\n\r\n")]);
    for (let at = 0; at < all.length; at += 10 * cut) {
      client.send(all.subarray(at, at + 10 * cut), cut);
      client.run(MILLISECOND);
    }
    const crc = crc32(part).toString(16).padStart(8, "0");
    const sum: unknown = JSON.parse(client.answer().body.toString());
    assert.deepEqual(sum, { length: part.length, crc32: crc }, `chunks of ${chunk}`);
  }
  client.send("PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  assert.equal(JSON.parse(client.answer().body.toString()).crc32, "00000000");
  client.send("PUT /sum HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
  assert.equal(client.answer().status, 400);
  client.expectEnd();
});

exercising("leave to send a body is given when it is asked for", (_world, open) => {
  const client = open();
  const fields = "Host: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  client.send(`PUT /sum HTTP/1.1\r\n${fields}`);
  assert.equal(client.answer("HEAD").status, 100);
  client.expectOpen();
  client.send("hello");
  const { status, body } = client.answer();
  assert.equal(status, 200);
  assert.equal(JSON.parse(body.toString()).crc32, "3610a686");
});

exercising("echo, discard, a source, and echo of datagrams", (world, open) => {
  const { peer } = open();
  const echo = new TcpClient(peer, "10.0.0.2", 7);
  const said = stream(3, 20_000);
  echo.send(said);
  echo.until(() => echo.received.length === said.length);
  assert.ok(echo.received.equals(said));
  echo.end();
  echo.expectEnd();
  const discard = new TcpClient(peer, "10.0.0.2", 9);
  discard.send(said);
  discard.expectOpen();
  const source = new TcpClient(peer, "10.0.0.2", 19);
  source.until(() => source.received.length > 100_000);
  const { length } = source.received;
  assert.ok(source.received.equals(stream(19, length)));
  source.answers = false;
  source.tcp.send({ flags: 4 });
  for (const size of [0, 1, 1472]) {
    peer.sendUdp("10.0.0.2", 5000, 7, said.subarray(0, size));
    const { udp } = peer.expectUdp(5000, SECOND);
    assert.ok(Buffer.from(udp!.payload).equals(said.subarray(0, size)));
  }
  world.run(10 * MILLISECOND);
});

forSeeds("a second machine gets the bytes over a bad link, and sends them back", 12, (seed) => {
  const conditions = { loss: 0.03, duplicate: 0.02, reorder: 0.05, delay: 5 * MILLISECOND };
  inWorld(
    seed,
    (world) => {
      const server = world.station({ ip: "10.0.0.2/24", kernel }).machine;
      const client = world.station({ ip: "10.0.0.3/24" }).machine;
      for (const machine of [server, client]) machine.expectLine(/eth0 link up/, SECOND);
      const length = 60_000;
      const connection = new Program(client).connect("10.0.0.2", 80);
      const parts: Uint8Array[] = [];
      connection.onData = (bytes) => void parts.push(bytes);
      connection.send(Buffer.from(`GET /bytes/${length}?seed=${seed} HTTP/1.1\r\nHost: x\r\n\r\n`));
      const data = stream(seed, length);
      const upload = `PUT /sum HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${length}`;
      connection.send(Buffer.concat([Buffer.from(`${upload}\r\n\r\n`), data]));
      world.simulation.until(() => connection.ended, 600 * SECOND, "end of both answers");
      const all = Buffer.concat(parts);
      const first = all.indexOf("\r\n\r\n") + 4;
      assert.ok(all.subarray(first, first + length).equals(data));
      const sum = all.subarray(all.lastIndexOf("\r\n\r\n") + 4).toString();
      assert.deepEqual(JSON.parse(sum), {
        length,
        crc32: crc32(data).toString(16).padStart(8, "0"),
      });
    },
    conditions,
  );
});

test("a router that is switched off says so (RFC 4861, 6.2.5)", () =>
  inWorld(1, (world) => {
    const commandLine = "gw=10.0.0.1 forward=on advertise=eth0";
    const { machine } = world.ready({ kernel, commandLine, ip6: "2001:db8:1::1/64" });
    const peer = world.peer("10.0.0.1");
    const lifetimes: number[] = [];
    world.link.observe((bytes, from) => {
      if (from === peer || bytes[12] !== 0x86) return;
      const { icmp6 } = parse(bytes);
      if (icmp6?.type === 134) lifetimes.push(icmp6.rest & 0xffff);
    });
    world.run(5 * SECOND);
    assert.deepEqual(lifetimes, [1800]);
    new HttpClient(peer, "10.0.0.2", 80).ask("/off", "", "POST");
    machine.expectLine(/switching off/, SECOND);
    assert.deepEqual(lifetimes, [1800, 0]);
  }));

test("the machine's name is taken back before it ends (RFC 6762, 10.1)", () => {
  for (const how of ["off", "restart"]) {
    inWorld(1, (world) => {
      const { machine } = world.ready({
        kernel,
        commandLine: "hostname=web",
        ip6: "2001:db8::2/64",
      });
      const peer = new MdnsPeer(world.peer("10.0.0.1"));
      world.run(8 * SECOND);
      assert.ok(machine.line(/mdns: web\.local/));
      peer.taken();
      new HttpClient(world.peer("10.0.0.9"), "10.0.0.2", 80).ask(`/${how}`, "", "POST");
      const goodbye = peer.expect((m) => m.response, SECOND);
      assert.ok(goodbye.answers.every(({ ttl, class: class_ }) => ttl === 0 && class_ === 0x8001));
      const said = goodbye.answers.map((r) => `${r.type} ${r.data}`);
      assert.ok(said.includes("1 10.0.0.2") && said.includes("28 2001:db8::2"), said.join());
      assert.ok(said.includes("12 web.local"), "names of addresses");
      assert.equal(goodbye.additionals.length, 0);
      machine.expectLine(/power: (switching off|restarting)/, SECOND);
      // Nothing is said of it afterwards, whoever asks.
      assert.ok(peer.taken().every((m) => !m.response || m.answers[0]!.ttl === 0));
    });
  }
});

test("leases are given back when the machine is switched off (RFC 2131, 4.4.6; RFC 8415, 18.2.7), not for a restart", () => {
  for (const how of ["off", "restart"]) {
    inWorld(1, (world) => {
      const peer = world.peer("10.0.0.1", { ip6: "fe80::1" });
      const server = new DhcpServer(peer);
      const server6 = new Dhcpv6Server(peer);
      const { machine } = world.station({ kernel, ip: "dhcp", ip6: "dhcp" });
      machine.expectLine(/\(dhcpv6, lease/, 10 * SECOND);
      const { status } = new HttpClient(world.peer("10.0.0.9"), "10.0.0.50", 80).ask(
        `/${how}`,
        "",
        "POST",
      );
      assert.equal(status, 200);
      machine.expectLine(/power: (switching off|restarting)/, SECOND);
      const [release] = server.of(RELEASE);
      const [release6] = server6.of(RELEASE6);
      if (how === "restart") return assert.ok(!release && !release6);
      assert.equal(release!.ciaddr, "10.0.0.50");
      assert.equal(release!.server, peer.ip);
      assert.equal(release!.toAll, false);
      assert.deepEqual(release6!.addresses, ["2001:db8:1::50"]);
    });
  }
});
