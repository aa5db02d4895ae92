import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  CODE,
  DnsServer,
  type DnsQuery,
  type DnsScript,
  TRUNCATED,
  TYPE,
  a,
  aaaa,
  answerFlags,
  answerTo,
  cname,
  parseQuery,
  soa,
  wireName,
} from "../../tools/sim/dns.ts";
import { Syscall } from "../../sdk/assembly/syscalls.ts";
import { UDP, ipv4Packet } from "../../tools/sim/frames.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { buildPack } from "../../tools/pack/pack.ts";
import { DISCOVER, DhcpServer, type DhcpServerOptions } from "../../tools/sim/dhcp.ts";
import { SECOND } from "../../tools/sim/simulation.ts";
import { type Resolved, SocketError, Sockets } from "../../tools/sim/sockets.ts";
import { counters, held, moved } from "./counters.ts";
import { type World, fails, simulate } from "./harness.ts";

const ENOENT = 2;
const EIO = 5;
const EINVAL = 22;
const ENETUNREACH = 101;
const ENOBUFS = 105;
const ETIMEDOUT = 110;
const ECONNREFUSED = 111;
/** `Resolve` of sdk/assembly/syscalls.ts. */
const V4 = 0x1_0000;
const V6 = 0x2_0000;
const NUMERIC = 0x4_0000;

interface Bench {
  world: World;
  machine: Machine;
  peer: Peer;
  server: DnsServer;
  sockets: Sockets;
  /** Looks a name up and waits for what comes of it. */
  find(name: string, what?: number, patience?: number): Resolved;
}

function bench(world: World, script: DnsScript, words = "dns=10.0.0.1", pack?: Uint8Array): Bench {
  const peer = world.peer();
  const server = new DnsServer(peer, script);
  const { machine } = world.ready({
    commandLine: `gw=10.0.0.1 ${words}`,
    ...(pack && { pack }),
  });
  const sockets = new Sockets(machine);
  const find = (name: string, what = 0, patience = 60 * SECOND): Resolved => {
    // A program runs within a step, which is what the kernel has its time from.
    machine.syscall(Syscall.Events, 0);
    world.run(SECOND / 100);
    const lookup = sockets.resolve(name, what);
    let found: Resolved | null = null;
    const over = () => (found = sockets.resolved(lookup)) !== null;
    world.simulation.until(over, patience, `no end of ${name}`);
    return found!;
  };
  return { world, machine, peer, server, sockets, find };
}

/** A server that knows these records, and of the zone `test` that there are no others. */
function zone(...records: ReturnType<typeof a>[]): DnsScript {
  return ({ name, type }) => {
    const here = records.filter((r) => String(r.name).toLowerCase() === name.toLowerCase());
    const answers = here.filter((r) => r.type === type);
    if (answers.length) return { answers };
    const flags = answerFlags(here.length ? CODE.NOERROR : CODE.NXDOMAIN);
    return { flags, authorities: [soa("test", 300)] };
  };
}

const seconds = (count: number) => count * SECOND;

describe("DNS: a question and its answer", () => {
  simulate("addresses of both families are asked for and found", (world) => {
    const { machine, server, find } = bench(
      world,
      zone(a("web.test", "192.0.2.1"), a("web.test", "192.0.2.2"), aaaa("web.test", "2001:db8::1")),
    );
    const found = find("web.test");
    assert.equal(found.name, "web.test");
    // There is no IPv6 here, so what can be reached comes first.
    assert.deepEqual(found.addresses, ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    assert.deepEqual(server.asked().sort(), ["web.test 1", "web.test 28"]);
    assert.ok(server.log.every(({ payload }) => payload === 1232));
    assert.deepEqual(find("web.test", V4).addresses, ["192.0.2.1", "192.0.2.2"]);
    assert.deepEqual(find("web.test", V6).addresses, ["2001:db8::1"]);
    assert.equal(server.log.length, 2, "not from the cache");
    assert.equal(held(machine), 0);
  });

  simulate("ids, ports and letters differ from question to question (RFC 5452)", (world) => {
    const { server, find } = bench(world, ({ name }) => ({ answers: [a(name, "192.0.2.1")] }));
    const names = Array.from({ length: 60 }, (_, i) => `somename${i}.test`);
    for (const name of names) assert.deepEqual(find(name, V4).addresses, ["192.0.2.1"]);
    const distinct = (values: (string | number)[]) => new Set(values).size;
    assert.ok(distinct(server.log.map(({ id }) => id)) > 55);
    assert.ok(distinct(server.log.map(({ port }) => port)) > 55);
    assert.ok(distinct(server.log.map(({ name }) => name.slice(0, 8))) > 30);
    assert.ok(server.log.every(({ port }) => port >= 32768));
  });

  simulate("who asks the same at a time waits for one answer", (world) => {
    const waiting: DnsQuery[] = [];
    const { machine, server, sockets } = bench(world, (query) => {
      waiting.push(query);
      return null;
    });
    const lookups = [1, 2, 3].map(() => sockets.resolve("WEB.test", V4));
    world.run(SECOND / 10);
    assert.equal(server.log.length, 1);
    server.send(waiting[0]!, { answers: [a("web.test", "192.0.2.1")] });
    world.run(SECOND / 10);
    for (const lookup of lookups) {
      assert.deepEqual(sockets.resolved(lookup)!.addresses, ["192.0.2.1"]);
    }
    assert.equal(counters(machine, "dns")["joined"], 2);
  });

  simulate("the cache answers for as long as the TTL says, and says how long is left", (world) => {
    const { server, find } = bench(world, zone(a("web.test", "192.0.2.1", 10)));
    assert.equal(find("web.test", V4).records[0]!.ttl, 10);
    world.run(seconds(4.1));
    assert.equal(find("web.test", V4).records[0]!.ttl, 5);
    world.run(seconds(5.8));
    find("WEB.TEST", V4);
    assert.equal(server.log.length, 1);
    world.run(seconds(0.2));
    find("web.test", V4);
    assert.equal(server.log.length, 2);
  });

  simulate("a TTL of 0 is used once (RFC 1035, 3.2.1)", (world) => {
    const { server, find } = bench(world, zone(a("web.test", "192.0.2.1", 0)));
    for (let i = 1; i <= 3; i++) {
      assert.deepEqual(find("web.test", V4).addresses, ["192.0.2.1"]);
      assert.equal(server.log.length, i);
    }
  });

  simulate("that there is nothing is kept as the SOA says (RFC 2308, 5)", (world) => {
    const { server, find } = bench(world, zone(a("web.test", "192.0.2.1")));
    const none = find("web.test", V6);
    assert.deepEqual([none.name, none.addresses], ["web.test", []]);
    fails(ENOENT, () => find("nobody.test"));
    const before = server.log.length;
    assert.deepEqual(find("web.test", V6).addresses, []);
    fails(ENOENT, () => find("nobody.test"));
    // There is no name, so nothing of any type.
    fails(ENOENT, () => find("nobody.test", TYPE.MX));
    assert.equal(server.log.length, before);
    world.run(seconds(301));
    fails(ENOENT, () => find("nobody.test", V4));
    assert.equal(server.log.length, before + 1);
  });

  simulate("without a SOA nothing is kept of nothing (RFC 2308, 5)", (world) => {
    const { server, find } = bench(world, () => ({ flags: answerFlags(CODE.NXDOMAIN) }));
    fails(ENOENT, () => find("nobody.test", V4));
    fails(ENOENT, () => find("nobody.test", V4));
    assert.equal(server.log.length, 2);
  });

  simulate("records of other types come as they are, their names as text", (world) => {
    const mx = Buffer.concat([Buffer.of(0, 10), wireName("mail.test")]);
    const srv = Buffer.concat([Buffer.of(0, 1, 0, 2, 0x1f, 0x90), wireName("web.test")]);
    const record = (type: number, data: Uint8Array) => ({ name: "x.test", type, data });
    const txt = Buffer.from("\x03abc\x00");
    const { find } = bench(
      world,
      zone(
        record(TYPE.MX, mx),
        record(TYPE.SRV, srv),
        record(TYPE.TXT, txt),
        record(TYPE.PTR, wireName("host.test")),
      ),
    );
    const text = (type: number) =>
      Buffer.from(find("x.test", type).records[0]!.data).toString("latin1");
    assert.equal(text(TYPE.MX), "\0\nmail.test");
    assert.equal(text(TYPE.SRV), "\0\x01\0\x02\x1f\x90web.test");
    assert.equal(text(TYPE.TXT), "\x03abc\0");
    assert.equal(text(TYPE.PTR), "host.test");
  });
});

describe("DNS: names that nobody is asked about", () => {
  simulate("addresses as text", (world) => {
    const { server, find } = bench(world, () => null);
    assert.deepEqual(find("192.0.2.7").addresses, ["192.0.2.7"]);
    assert.deepEqual(find("2001:db8::7").addresses, ["2001:db8::7"]);
    assert.deepEqual(find("fe80::7%1").addresses, ["fe80::7"]);
    assert.equal(find("::ffff:192.0.2.7").addresses[0], "192.0.2.7");
    fails(ENOENT, () => find("web.test", NUMERIC));
    assert.equal(server.log.length, 0);
  });

  simulate("localhost, invalid and onion (RFC 6761, 6.3 and 6.4; RFC 7686, 2)", (world) => {
    const { server, find } = bench(world, () => null);
    for (const name of ["localhost", "LOCALHOST.", "www.localhost"]) {
      assert.deepEqual(find(name).addresses.sort(), ["127.0.0.1", "::1"]);
    }
    assert.deepEqual(find("localhost", V4).addresses, ["127.0.0.1"]);
    assert.deepEqual(find("localhost", TYPE.MX).records, []);
    fails(ENOENT, () => find("any.invalid"));
    fails(ENOENT, () => find("any.onion"));
    assert.equal(server.log.length, 0);
  });

  simulate("what is no name", (world) => {
    const { server, find } = bench(world, () => null);
    for (const name of ["", "a..b", "a b", "x".repeat(64), ".".repeat(3)]) {
      fails(EINVAL, () => find(name));
    }
    assert.equal(server.log.length, 0);
  });

  simulate("without a server there is nobody to ask", (world) => {
    const { find } = bench(world, () => null, "");
    fails(ENETUNREACH, () => find("web.test"));
  });
});

describe("DNS: the hosts file", () => {
  const hosts = [
    "# comment",
    "192.0.2.80 web.test web www # more",
    "2001:db8::80\tWEB.test",
    "  192.0.2.81   web.test",
    "no.address here",
    "192.0.2.82",
    "",
    "127.0.0.1 blocked.test",
  ].join("\r\n");
  const pack = buildPack([{ path: "/etc/hosts", body: Buffer.from(hosts) }]);

  simulate("is read from the pack, and goes before everything else", (world) => {
    const { machine, server, find } = bench(
      world,
      zone(aaaa("www", "2001:db8::1")),
      undefined,
      pack,
    );
    assert.deepEqual(find("web.test").addresses.sort(), [
      "192.0.2.80",
      "192.0.2.81",
      "2001:db8::80",
    ]);
    assert.deepEqual(find("Web.Test.", V6).addresses, ["2001:db8::80"]);
    assert.deepEqual(find("www", V4).addresses, ["192.0.2.80"]);
    assert.deepEqual(find("blocked.test").addresses, ["127.0.0.1"]);
    assert.equal(server.log.length, 0);
    // Only addresses, and only of families that it says something of.
    assert.deepEqual(find("www", V6).addresses, ["2001:db8::1"]);
    assert.throws(() => find("web.test", TYPE.MX), SocketError);
    assert.equal(server.log.length, 2);
    assert.ok(machine.line(/dns: hosts: ignored, no address line=5 word=no\.address/));
  });

  simulate("without a pack there is none", (world) => {
    const { find } = bench(world, zone(a("web.test", "192.0.2.1")));
    assert.deepEqual(find("web.test", V4).addresses, ["192.0.2.1"]);
  });
});

describe("DNS: what DHCP says", () => {
  function leased(world: World, options: DhcpServerOptions, words = "") {
    const peer = world.peer();
    new DhcpServer(peer, options);
    const server = new DnsServer(peer, zone(a("web.lab.test", "192.0.2.1")));
    const { machine } = world.station({ ip: "dhcp", commandLine: words });
    machine.expectLine(/net: eth0 10\.0\.0\.50\/24/, 10 * SECOND);
    const sockets = new Sockets(machine);
    const tried = (name: string): string[] => {
      const before = server.log.length;
      const lookup = sockets.resolve(name, V4);
      world.run(SECOND / 10);
      try {
        sockets.resolved(lookup);
      } catch (error) {
        if (!(error instanceof SocketError)) throw error;
      }
      return server.asked().slice(before);
    };
    return { tried };
  }

  simulate("its servers are asked, and short names looked for in its domain", (world) => {
    const { tried } = leased(world, { domain: "lab.test\0" });
    assert.deepEqual(tried("web"), ["web.lab.test 1"]);
    assert.deepEqual(tried("nobody"), ["nobody.lab.test 1", "nobody 1"]);
  });

  for (const words of ["", "dns=10.0.0.1"]) {
    simulate(`who asks before there is an address waits for it: ${words || "DHCP"}`, (world) => {
      const peer = world.peer();
      const dhcp = new DhcpServer(peer);
      dhcp.silent.add(DISCOVER);
      new DnsServer(peer, zone(a("web.test", "192.0.2.1")));
      const { machine } = world.station({ ip: "dhcp", commandLine: words });
      machine.expectLine(/eth0 link up/, 3 * SECOND);
      const sockets = new Sockets(machine);
      const lookup = sockets.resolve("web.test", V4);
      world.run(seconds(2));
      assert.equal(sockets.resolved(lookup), null);
      dhcp.silent.clear();
      machine.expectLine(/net: eth0 10\.0\.0\.50\/24/, 10 * SECOND);
      world.run(seconds(0.3));
      assert.deepEqual(sockets.resolved(lookup)!.addresses, ["192.0.2.1"]);
    });
  }

  simulate("who waits for an address that does not come gives up", (world) => {
    const { machine } = world.station({ ip: "dhcp" });
    machine.expectLine(/eth0 link up/, 3 * SECOND);
    const sockets = new Sockets(machine);
    const lookup = sockets.resolve("web.test", V4);
    world.run(seconds(16));
    fails(ENETUNREACH, () => sockets.resolved(lookup));
  });

  simulate("a search list goes before the domain, and may be compressed (RFC 3397)", (world) => {
    const search = Buffer.concat([wireName("eng.lab.test"), Buffer.of(3, 111, 112, 115, 0xc0, 4)]);
    const { tried } = leased(world, { domain: "other.test", search });
    assert.deepEqual(tried("x"), ["x.eng.lab.test 1", "x.ops.lab.test 1", "x 1"]);
  });

  simulate("one that is malformed is taken as far as it goes", (world) => {
    const search = Buffer.concat([wireName("lab.test"), Buffer.of(0xc0, 99, 3)]);
    const { tried } = leased(world, { search });
    assert.deepEqual(tried("web"), ["web.lab.test 1"]);
  });

  simulate("the command line goes before both", (world) => {
    const { tried } = leased(world, { domain: "lab.test" }, "search=mine.test");
    assert.deepEqual(tried("web"), ["web.mine.test 1", "web 1"]);
  });
});

describe("DNS: the search list", () => {
  const words = "dns=10.0.0.1 search=lab.test,test";

  simulate("a short name is tried in each domain, then as it is", (world) => {
    const { server, find } = bench(world, zone(a("web.test", "192.0.2.1")), words);
    assert.equal(find("web", V4).name, "web.test");
    assert.deepEqual(server.asked(), ["web.lab.test 1", "web.test 1"]);
    fails(ENOENT, () => find("none", V4));
    assert.deepEqual(server.asked().slice(2), ["none.lab.test 1", "none.test 1", "none 1"]);
  });

  simulate("one with enough dots is tried as it is first, one with a last dot only so", (world) => {
    const { server, find } = bench(world, zone(a("a.b.test", "192.0.2.1")), words);
    assert.equal(find("a.b", V4).name, "a.b.test");
    assert.deepEqual(server.asked(), ["a.b 1", "a.b.lab.test 1", "a.b.test 1"]);
    fails(ENOENT, () => find("other.b.", V4));
    assert.deepEqual(server.asked().slice(3), ["other.b 1"]);
  });

  simulate("ndots says how many are enough", (world) => {
    const { server, find } = bench(world, zone(a("a.b.test", "192.0.2.1")), `${words} ndots=2`);
    assert.equal(find("a.b", V4).name, "a.b.test");
    assert.deepEqual(server.asked(), ["a.b.lab.test 1", "a.b.test 1"]);
  });

  simulate("a name without this type does not end the search", (world) => {
    const { find } = bench(
      world,
      zone(aaaa("web.lab.test", "2001:db8::1"), a("web.test", "192.0.2.1")),
      words,
    );
    assert.deepEqual(find("web", V4).addresses, ["192.0.2.1"]);
    assert.deepEqual(find("web").addresses, ["2001:db8::1"]);
  });

  simulate("a server that fails does: another name would be a guess", (world) => {
    const { server, find } = bench(world, () => ({ flags: answerFlags(CODE.SERVFAIL) }), words);
    fails(EIO, () => find("web", V4));
    assert.equal(server.log.length, 1);
  });
});

describe("DNS: CNAMEs", () => {
  simulate("a chain in any order leads to its end, with the shortest TTL", (world) => {
    const { find } = bench(world, () => ({
      answers: [
        a("c.test", "192.0.2.1", 100),
        cname("b.test", "c.test", 7),
        cname("a.test", "B.test", 50),
      ],
    }));
    const found = find("a.test", V4);
    assert.deepEqual([found.name, found.addresses], ["c.test", ["192.0.2.1"]]);
    assert.equal(found.records[0]!.ttl, 7);
  });

  simulate("an end that the server says nothing of is asked for", (world) => {
    const { server, find } = bench(world, ({ name }) =>
      name.toLowerCase() === "a.test"
        ? { answers: [cname("a.test", "far.example", 5)] }
        : { answers: [a("far.example", "192.0.2.9", 100)] },
    );
    const found = find("a.test", V4);
    assert.deepEqual([found.name, found.addresses], ["far.example", ["192.0.2.9"]]);
    assert.deepEqual(server.asked(), ["a.test 1", "far.example 1"]);
    find("a.test", V4);
    assert.equal(server.log.length, 2);
    world.run(seconds(6));
    find("a.test", V4);
    assert.equal(server.log.length, 4);
  });

  simulate("loops and endless chains end", (world) => {
    let turn = 0;
    const { machine, server, find } = bench(world, ({ name }) => {
      const lower = name.toLowerCase();
      if (lower === "self.test") return { answers: [cname(lower, lower)] };
      if (lower === "two.test")
        return { answers: [cname(lower, "one.test"), cname("one.test", lower)] };
      return { answers: [cname(lower, `next${turn++}.test`)] };
    });
    fails(EIO, () => find("self.test", V4));
    fails(EIO, () => find("two.test", V4));
    assert.throws(() => find("next.test", V4), SocketError);
    assert.ok(server.log.length < 2 + 20, `${server.log.length} questions`);
    assert.equal(held(machine), 0);
  });

  simulate("of no name at a chain's end the beginning knows by type only", (world) => {
    const { server, find } = bench(world, ({ name }) => ({
      flags: answerFlags(CODE.NXDOMAIN),
      answers: [cname(name, "gone.test")],
      authorities: [soa("test", 300)],
    }));
    fails(ENOENT, () => find("a.test", V4));
    fails(ENOENT, () => find("a.test", TYPE.MX));
    assert.deepEqual(server.asked(), ["a.test 1", "a.test 15"]);
  });
});

describe("DNS: answers that are none", () => {
  /** Answers with something wrong first, then rightly; the right one must be taken. */
  function wrongFirst(name: string, wrong: (query: DnsQuery, server: DnsServer) => void): void {
    simulate(name, (world) => {
      const b = bench(world, (query) => {
        wrong(query, b.server);
        return { answers: [a("web.test", "192.0.2.1")] };
      });
      const change = moved(b.machine, "dns", () => {
        assert.deepEqual(b.find("web.test", V4).addresses, ["192.0.2.1"]);
      });
      assert.equal(change["answers"], 1);
      assert.equal(b.server.log.length, 1);
      // What is said to others about it has nobody to hear it.
      world.run(seconds(10));
      assert.equal(held(b.machine), 0);
    });
  }
  const evil = { answers: [a("web.test", "203.0.113.66")] };

  wrongFirst("a wrong id", (query, server) =>
    server.send(query, { ...evil, id: (query.id + 1) & 0xffff }),
  );
  wrongFirst("a wrong port of the server's", (query, server) => server.send(query, evil, 54));
  wrongFirst("a wrong port of ours", (query, server) =>
    server.send({ ...query, port: query.port ^ 1 }, evil),
  );
  wrongFirst("from another address", (query, server) => {
    const other = server.peer.ip;
    server.peer.ip = "10.0.0.66";
    server.peer.sendUdp(query.from, 53, query.port, answerTo(query, evil), "52:54:00:5a:01:01");
    server.peer.ip = other;
  });
  wrongFirst("about another name", (query, server) =>
    server.send(query, { ...evil, question: { name: "wet.test", type: 1 } }),
  );
  wrongFirst("about another type", (query, server) =>
    server.send(query, { ...evil, question: { name: query.name, type: 28 } }),
  );
  wrongFirst("about nothing", (query, server) =>
    server.send(query, { ...evil, question: undefined }),
  );
  wrongFirst("a query", (query, server) => server.send(query, { ...evil, flags: 0x0100 }));
  wrongFirst("another opcode", (query, server) => server.send(query, { ...evil, flags: 0xa980 }));
  wrongFirst("cut short", (query, server) =>
    server.send(query, answerTo(query, evil).subarray(0, 11)),
  );
  wrongFirst("cut in the question", (query, server) =>
    server.send(query, answerTo(query, evil).subarray(0, 20)),
  );

  simulate("records of other names are not taken, from any section", (world) => {
    const { server, find } = bench(world, () => ({
      answers: [
        a("bank.test", "203.0.113.66"),
        a("web.test", "192.0.2.1"),
        cname("bank.test", "evil.test"),
      ],
      authorities: [a("bank.test", "203.0.113.66")],
      additionals: [a("bank.test", "203.0.113.66")],
    }));
    assert.deepEqual(find("web.test", V4).addresses, ["192.0.2.1"]);
    const before = server.log.length;
    server.script = zone(a("bank.test", "192.0.2.2"));
    assert.deepEqual(find("bank.test", V4).addresses, ["192.0.2.2"]);
    assert.equal(server.log.length, before + 1);
  });

  simulate("a SOA of another zone says nothing of ours", (world) => {
    const { server, find } = bench(world, () => ({
      flags: answerFlags(CODE.NXDOMAIN),
      authorities: [soa("example", 3000)],
    }));
    fails(ENOENT, () => find("web.test", V4));
    fails(ENOENT, () => find("web.test", V4));
    assert.equal(server.log.length, 2);
  });

  simulate("records of another class, and addresses that are none, are not taken", (world) => {
    const { find } = bench(world, () => ({
      answers: [
        { ...a("web.test", "203.0.113.66"), class: 3 },
        { ...aaaa("web.test", "::ffff:cb00:7142") },
        aaaa("web.test", "2001:db8::1"),
        a("web.test", "192.0.2.1"),
      ],
    }));
    assert.deepEqual(find("web.test", V4).addresses, ["192.0.2.1"]);
    assert.deepEqual(find("web.test", V6).addresses, ["2001:db8::1"]);
  });

  const malformed: [string, (query: DnsQuery) => Uint8Array][] = [
    [
      "counts that promise more",
      (query) => answerTo(query, { counts: [1, 5, 0, 0], answers: [a("web.test", "192.0.2.1")] }),
    ],
    [
      "an address of three bytes",
      (query) =>
        answerTo(query, { answers: [{ name: "web.test", type: 1, data: Uint8Array.of(1, 2, 3) }] }),
    ],
    [
      "a CNAME that points forward",
      (query) =>
        answerTo(query, {
          answers: [{ name: "web.test", type: TYPE.CNAME, data: Uint8Array.of(0xc1, 0) }],
        }),
    ],
    [
      "a CNAME that points to itself",
      (query) =>
        answerTo(query, {
          answers: [
            { name: Uint8Array.of(0xc0, 12), type: TYPE.CNAME, data: Uint8Array.of(0xc0, 38) },
          ],
        }),
    ],
    [
      "a CNAME longer than its data",
      (query) =>
        answerTo(query, {
          answers: [
            { name: "web.test", type: TYPE.CNAME, data: Uint8Array.of(3, 97) },
            a("aaa.test", "203.0.113.66"),
          ],
        }),
    ],
    [
      "data behind the end",
      (query) => {
        const whole = answerTo(query, { answers: [a("web.test", "192.0.2.1")] });
        return whole.subarray(0, whole.length - 1);
      },
    ],
  ];
  for (const [name, make] of malformed) {
    simulate(`malformed: ${name}`, (world) => {
      const { machine, find } = bench(world, make);
      const change = moved(machine, "dns", () => fails(EIO, () => find("web.test", V4)));
      assert.equal(change["ignored"], 1);
      assert.equal(held(machine), 0);
    });
  }

  simulate("noise of all kinds neither ends it nor stays", (world) => {
    const { machine, find, server, peer } = bench(world, (query) => {
      const answer = answerTo(query, {
        answers: [cname("web.test", "w.test"), a("w.test", "192.0.2.1")],
      });
      for (let i = 0; i < 200; i++) {
        const noise = Uint8Array.from(answer);
        // Beyond the id and the question, which say what it answers, and the code.
        const at = peer.simulation.random.integer(4, noise.length - 1);
        noise[at] = peer.simulation.random.integer(0, 255);
        server.send({ ...query, port: query.port ^ (i & 1) }, noise);
      }
      return null;
    });
    for (let i = 0; i < 10; i++) {
      try {
        find("web.test", V4);
      } catch (error) {
        if (!(error instanceof SocketError)) throw error;
      }
      world.run(seconds(70));
    }
    assert.equal(held(machine), 0);
  });
});

describe("DNS: servers that fail", () => {
  const two = "dns=10.0.0.1,10.0.0.3";

  simulate("a silent one is asked again, ever more rarely, for 15 s (RFC 1536, 1)", (world) => {
    const { machine, server, find } = bench(world, () => null);
    const start = world.simulation.now;
    fails(ETIMEDOUT, () => find("web.test", V4));
    const took = (world.simulation.now - start) / SECOND;
    assert.ok(took > 14.9 && took < 15.2, `${took} s`);
    const gaps = server.log.slice(1).map(({ at }, i) => (at - server.log[i]!.at) / SECOND);
    assert.deepEqual(gaps.map(Math.round), [1, 2, 4, 5]);
    // The same question, so that a late answer is one.
    assert.equal(new Set(server.log.map(({ id, port, name }) => `${id} ${port} ${name}`)).size, 1);
    // RFC 9520, 3.2.
    fails(ETIMEDOUT, () => find("web.test", V4));
    assert.equal(server.log.length, 5);
    world.run(seconds(6));
    server.script = zone(a("web.test", "192.0.2.1"));
    assert.deepEqual(find("web.test", V4).addresses, ["192.0.2.1"]);
    assert.equal(held(machine), 0);
  });

  simulate("an answer that comes after the question was sent again is good", (world) => {
    let first: DnsQuery | undefined;
    const b = bench(world, (query) => {
      if (!first) first = query;
      else b.server.send(first, { answers: [a("web.test", "192.0.2.1")] });
      return null;
    });
    assert.deepEqual(b.find("web.test", V4).addresses, ["192.0.2.1"]);
    assert.equal(b.server.log.length, 2);
  });

  simulate("the next one takes over, and is asked first afterwards", (world) => {
    const silent = bench(world, () => null, two);
    const good = new DnsServer(world.peer("10.0.0.3"), ({ name }) => ({
      answers: [a(name, "192.0.2.1")],
    }));
    for (let i = 0; i < 6; i++) silent.find(`name${i}.test`, V4);
    assert.equal(good.log.length, 6);
    assert.equal(silent.server.log.length, 2, "a silent server is asked for ever");
    // And again when it may have come back.
    world.run(seconds(31));
    silent.server.script = good.script;
    silent.find("again.test", V4);
    assert.equal(silent.server.log.length, 3);
    silent.find("more.test", V4);
    assert.equal(silent.server.log.length, 4);
  });

  /** Nothing listens there: RFC 1122, 4.1.3.1. */
  const deaf = (peer: Peer): void => {
    peer.handler = ({ udp, ipv4 }) => {
      if (udp?.destinationPort !== 53) return false;
      const { source, destination } = ipv4!;
      const payload = ipv4Packet({ source, destination, protocol: UDP, payload: ipv4!.payload });
      peer.sendIcmp(source, { type: 3, code: 3, rest: 0, payload });
      return true;
    };
  };

  simulate("one where nothing listens is left at once", (world) => {
    const { machine, peer, find } = bench(world, () => null, two);
    deaf(peer);
    const good = new DnsServer(world.peer("10.0.0.3"), zone(a("web.test", "192.0.2.1")));
    const start = world.simulation.now;
    assert.deepEqual(find("web.test", V4).addresses, ["192.0.2.1"]);
    assert.ok(world.simulation.now - start < SECOND / 10);
    deaf(good.peer);
    fails(ECONNREFUSED, () => find("other.test", V4));
    assert.equal(held(machine), 0);
  });

  for (const code of [CODE.SERVFAIL, CODE.REFUSED] as const) {
    simulate(`code ${code} sends us to the next one at once`, (world) => {
      const { find } = bench(world, () => ({ flags: answerFlags(code) }), two);
      new DnsServer(world.peer("10.0.0.3"), zone(a("web.test", "192.0.2.1")));
      const start = world.simulation.now;
      assert.deepEqual(find("web.test", V4).addresses, ["192.0.2.1"]);
      assert.ok(world.simulation.now - start < SECOND / 10);
    });
  }

  simulate("a referral is no answer", (world) => {
    const ns = { name: "test", type: TYPE.NS, data: wireName("ns.test") };
    const { find } = bench(world, () => ({ flags: 0x8100, authorities: [ns] }));
    fails(EIO, () => find("web.test", V4));
  });

  for (const [what, said] of [
    ["FORMERR", { flags: answerFlags(CODE.FORMERR) }],
    ["NOTIMP", { flags: answerFlags(CODE.NOTIMP) }],
    ["FORMERR without the question", { flags: answerFlags(CODE.FORMERR), question: undefined }],
  ] as const) {
    simulate(`a server without EDNS is asked without: ${what} (RFC 6891, 7)`, (world) => {
      const good = zone(a("web.test", "192.0.2.1"), a("b.test", "192.0.2.1"));
      const { server, find } = bench(world, (query) => (query.payload ? said : good(query)));
      assert.deepEqual(find("web.test", V4).addresses, ["192.0.2.1"]);
      find("b.test", V4);
      assert.deepEqual(
        server.log.map(({ payload }) => payload > 0),
        [true, false, false],
      );
    });
  }

  simulate("without a route the network may still come", (world) => {
    const { machine, find } = bench(world, () => null, "dns=2001:db8::53");
    const start = world.simulation.now;
    fails(ENETUNREACH, () => find("web.test", V4));
    assert.ok((world.simulation.now - start) / SECOND > 14);
    assert.equal(counters(machine, "dns")["sent"], 0);
  });

  simulate("more than there is room for is refused, and the rest is answered", (world) => {
    const { machine, server, sockets } = bench(world, () => null);
    const lookups: number[] = [];
    fails(ENOBUFS, () => {
      for (let i = 0; i < 1000; i++) lookups.push(sockets.resolve(`n${i}.test`, V4));
    });
    assert.ok(lookups.length >= 8 && lookups.length <= 64, `${lookups.length} lookups`);
    server.script = ({ name }) => ({ answers: [a(name, "192.0.2.1")] });
    world.run(seconds(5));
    for (const lookup of lookups) {
      assert.deepEqual(sockets.resolved(lookup)!.addresses, ["192.0.2.1"]);
      fails(EINVAL, () => sockets.resolved(lookup));
    }
    assert.equal(held(machine), 0);
  });
});

describe("DNS over TCP (RFC 7766)", () => {
  /** Takes the machine's connection, reads its query, and answers in pieces. */
  function serve(
    { peer, machine }: Bench,
    port: number,
    said: (query: ReturnType<typeof parseQuery>) => Uint8Array,
    pieces = 1,
  ): void {
    void machine;
    const tcp = peer.tcp("10.0.0.2", port, 53);
    tcp.accept();
    const segment = tcp.take(tcp.expect({}));
    const length = (segment.payload[0]! << 8) | segment.payload[1]!;
    assert.equal(segment.payload.length, length + 2, "length and query in one segment");
    const answer = said(parseQuery(segment.payload.subarray(2)));
    const bytes = Buffer.concat([Buffer.of(answer.length >> 8, answer.length & 255), answer]);
    const size = Math.ceil(bytes.length / pieces);
    for (let at = 0; at < bytes.length; at += size) {
      tcp.send({ payload: bytes.subarray(at, at + size) });
      peer.simulation.run(SECOND / 100);
    }
  }

  /** The port of the machine's next connection to port 53. */
  function connecting({ peer }: Bench): number {
    let port = 0;
    peer.expect((frame) => {
      if (frame.tcp?.destinationPort !== 53 || frame.tcp.flags !== 2) return false;
      port = frame.tcp.sourcePort;
      peer.inbox.unshift(frame);
      return true;
    });
    return port;
  }

  simulate("an answer that does not fit comes whole", (world) => {
    const b = bench(world, ({ name }) => ({
      flags: answerFlags(0, TRUNCATED),
      answers: [a(name, "203.0.113.66")],
    }));
    const lookup = b.sockets.resolve("many.test", V4);
    const many = Array.from({ length: 100 }, (_, i) => a("many.test", `192.0.2.${i}`));
    serve(b, connecting(b), (query) => answerTo(query, { answers: many }), 7);
    world.run(SECOND);
    const found = b.sockets.resolved(lookup)!;
    assert.equal(found.addresses.length, 100);
    assert.ok(!found.addresses.includes("203.0.113.66"));
    assert.equal(b.server.log.length, 1);
    assert.equal(counters(b.machine, "dns")["truncated"], 1);
  });

  simulate("so is one with other letters than were asked", (world) => {
    const b = bench(world, ({ name }) => ({
      question: {
        name: name.toLowerCase() === name ? name.toUpperCase() : name.toLowerCase(),
        type: 1,
      },
      answers: [a("web.test", "203.0.113.66")],
    }));
    const lookup = b.sockets.resolve("web.test", V4);
    serve(b, connecting(b), (query) => answerTo(query, { answers: [a("web.test", "192.0.2.1")] }));
    world.run(SECOND);
    assert.deepEqual(b.sockets.resolved(lookup)!.addresses, ["192.0.2.1"]);
    assert.equal(counters(b.machine, "dns")["otherCase"], 1);
  });

  simulate("a server that keeps no letters and has no TCP is believed all the same", (world) => {
    const b = bench(world, ({ name }) => ({
      question: { name: name.toUpperCase(), type: 1 },
      answers: [a(name, "192.0.2.1")],
    }));
    const before = b.peer.handler!;
    b.peer.handler = (frame) => {
      if (frame.tcp?.destinationPort !== 53) return before(frame);
      b.peer.tcp("10.0.0.2", frame.tcp.sourcePort, 53).send({
        flags: 0x14,
        seq: 0,
        ack: frame.tcp.seq + 1,
      });
      return true;
    };
    assert.deepEqual(b.find("web.test", V4).addresses, ["192.0.2.1"]);
    assert.deepEqual(b.find("other.test", V4).addresses, ["192.0.2.1"]);
    assert.equal(counters(b.machine, "dns")["otherCase"], 1);
  });

  for (const [what, bytes] of [
    ["a length of 0", Uint8Array.of(0, 0)],
    ["more than it says", Uint8Array.of(0xff, 0xff, 1, 2, 3)],
  ] as const) {
    simulate(`${what} ends it`, (world) => {
      const b = bench(world, () => ({ flags: answerFlags(0, TRUNCATED) }));
      const lookup = b.sockets.resolve("many.test", V4);
      const tcp = b.peer.tcp("10.0.0.2", connecting(b), 53);
      tcp.accept();
      tcp.take(tcp.expect({}));
      tcp.send({ payload: bytes });
      world.run(SECOND);
      fails(EIO, () => b.sockets.resolved(lookup));
      world.run(seconds(60));
      assert.equal(held(b.machine), 0);
    });
  }

  simulate("a server that closes without an answer fails", (world) => {
    const b = bench(world, () => ({ flags: answerFlags(0, TRUNCATED) }));
    const lookup = b.sockets.resolve("many.test", V4);
    const tcp = b.peer.tcp("10.0.0.2", connecting(b), 53);
    tcp.accept();
    tcp.take(tcp.expect({}));
    tcp.send({ flags: 0x11 });
    world.run(SECOND);
    fails(EIO, () => b.sockets.resolved(lookup));
  });
});

describe("DNS: the cache has bounds", () => {
  simulate("what is used stays, what is not goes, and the count is right", (world) => {
    const { machine, server, find } = bench(world, ({ name }) => ({
      answers: Array.from({ length: 16 }, (_, i) => a(name, `192.0.2.${i}`, 86400)),
    }));
    find("kept.test", V4);
    for (let i = 0; i < 1500; i++) {
      find(`name${i}.test`, V4);
      if (i % 20 === 0) find("kept.test", V4);
    }
    const kept = server.asked().filter((question) => question === "kept.test 1").length;
    assert.equal(kept, 1, `asked for ${kept} times`);
    const { evicted, cacheHits } = counters(machine, "dns");
    assert.ok(evicted! > 0, "the cache held it all: no test of eviction");
    assert.ok(cacheHits! >= 75);
    // The youngest is there, the oldest is not.
    const before = server.log.length;
    find("name1499.test", V4);
    assert.equal(server.log.length, before);
    find("name0.test", V4);
    assert.equal(server.log.length, before + 1);
  });
});
