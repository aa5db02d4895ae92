import assert from "node:assert/strict";
import { describe } from "node:test";
import { Syscall } from "../../sdk/assembly/syscalls.ts";
import {
  a,
  aaaa,
  type DnsRecord,
  DnsServer,
  dnsMessage,
  TYPE,
  wireName,
} from "../../tools/sim/dns.ts";
import {
  ANY,
  GROUP,
  MdnsPeer,
  type MdnsMessage,
  NSEC,
  nsec,
  PTR,
  TOP,
  unique,
} from "../../tools/sim/mdns.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { type Resolved, SocketError, Sockets } from "../../tools/sim/sockets.ts";
import { held } from "./counters.ts";
import { simulate, type StationOptions, type World } from "./harness.ts";

/** Multicast DNS (RFC 6762), rule by rule. */

const ENOENT = 2;
/** `Resolve` of sdk/assembly/syscalls.ts. */
const V4 = 0x1_0000;
const V6 = 0x2_0000;

interface Bench {
  world: World;
  machine: Machine;
  peer: MdnsPeer;
  server: DnsServer;
  find(name: string, what?: number): Resolved;
}

function bench(world: World, words = "", more: StationOptions = {}): Bench {
  const host = world.peer();
  const peer = new MdnsPeer(host);
  const server = new DnsServer(host, () => null);
  const commandLine = `gw=10.0.0.1 dns=10.0.0.1 ${words}`;
  const { machine } = world.ready({ commandLine, ...more });
  const sockets = new Sockets(machine);
  const find = (name: string, what = 0): Resolved => {
    machine.syscall(Syscall.Events, 0);
    world.run(SECOND / 100);
    const lookup = sockets.resolve(name, what);
    let found: Resolved | null = null;
    const over = () => (found = sockets.resolved(lookup)) !== null;
    world.simulation.until(over, 30 * SECOND, `no end of ${name}`);
    return found!;
  };
  return { world, machine, peer, server, find };
}

function notThere(body: () => void): void {
  assert.throws(body, (error) => error instanceof SocketError && error.errno === ENOENT);
}

const asked = (message: MdnsMessage, name: string, type: number) =>
  message.questions.some((q) => q.name === name && q.type === type);

describe("names of the link are looked up", () => {
  simulate("nobody signs them: strict takes them all the same", (world) => {
    const { peer, server, find } = bench(world, "dnssec=strict");
    peer.script = (message) => {
      if (asked(message, "printer.local", TYPE.A))
        peer.say({ answers: [unique(a("printer.local", "10.0.0.77", 120))] });
      if (asked(message, "7.1.254.169.in-addr.arpa", PTR))
        peer.say({
          answers: [
            unique({
              name: "7.1.254.169.in-addr.arpa",
              type: PTR,
              ttl: 120,
              data: wireName("printer.local"),
            }),
          ],
        });
    };
    assert.deepEqual(find("printer.local", V4).addresses, ["10.0.0.77"]);
    assert.equal(find("7.1.254.169.in-addr.arpa", PTR).records.length, 1);
    notThere(() => find("nobody.local", V4));
    assert.deepEqual(server.asked(), []);
  });

  simulate("all are asked, and who has the name says so", (world) => {
    const { machine, peer, server, find } = bench(world);
    peer.script = (message) => {
      if (asked(message, "printer.local", TYPE.A))
        peer.say({
          answers: [unique(a("printer.local", "10.0.0.77", 120))],
          additionals: [nsec("printer.local", [TYPE.A])],
        });
    };
    assert.deepEqual(find("Printer.local").addresses, ["10.0.0.77"]);
    // 5.2, 5.4, 11: from the port, with TTL 255, at first content with an answer to itself.
    const [first] = peer.taken();
    assert.deepEqual([first!.to, ...first!.ports, first!.id], [GROUP, 5353, 5353, 0]);
    assert.deepEqual(first!.questions[0]!.class, 1 | TOP);
    // 6.1: that there is no IPv6 address was said with it.
    assert.deepEqual(find("printer.local", V6).addresses, []);
    assert.equal(peer.taken().filter(({ response }) => !response).length, 0);
    assert.deepEqual(server.asked(), [], "the DNS heard of it");
    assert.equal(held(machine), 0);
  });

  simulate(
    "the DNS is never asked, whatever the search list says; nobody is, with mdns=off",
    (world) => {
      const { peer, server, find } = bench(world, "search=lab.test");
      const before = world.simulation.now;
      notThere(() => find("nobody.local", V4));
      assert.ok(world.simulation.now - before < 6 * SECOND);
      const times = peer.taken().map(({ at, questions }) => [at, questions[0]!.class] as const);
      // 5.2: a second at least, then twice that; only the first is content with an answer to us alone.
      assert.equal(times.length, 3);
      assert.ok(times[1]![0] - times[0]![0] >= SECOND && times[2]![0] - times[1]![0] >= 2 * SECOND);
      assert.deepEqual(
        times.map(([, class_]) => class_),
        [1 | TOP, 1, 1],
      );
      assert.deepEqual(server.asked(), []);
    },
  );

  simulate("with mdns=off nobody is asked", (world) => {
    const { peer, server, find } = bench(world, "mdns=off hostname=web");
    notThere(() => find("nobody.local", V4));
    world.run(3 * SECOND);
    assert.deepEqual([peer.taken().length, server.asked().length], [0, 0]);
  });

  simulate("a record replaces what was known, or takes it back", (world) => {
    const { peer, find } = bench(world);
    let address = "10.0.0.77";
    peer.script = (message) => {
      if (!message.response && asked(message, "tv.local", TYPE.A))
        peer.say({ answers: [unique(a("tv.local", address, 120))] });
    };
    assert.deepEqual(find("tv.local", V4).addresses, ["10.0.0.77"]);
    peer.taken();
    // 10.2: nobody has asked.
    peer.say({ answers: [unique(a("tv.local", "10.0.0.78", 120))] });
    assert.deepEqual(find("tv.local", V4).addresses, ["10.0.0.78"]);
    assert.equal(peer.taken().length, 0);
    // 10.1: of a wrong address it means nothing, of the right one it is over a second later.
    peer.say({ answers: [unique(a("tv.local", "10.0.0.1", 0))] });
    world.run(2 * SECOND);
    assert.deepEqual(find("tv.local", V4).addresses, ["10.0.0.78"]);
    peer.say({ answers: [unique(a("tv.local", "10.0.0.78", 0))] });
    world.run(2 * SECOND);
    address = "10.0.0.79";
    assert.deepEqual(find("tv.local", V4).addresses, ["10.0.0.79"]);
  });

  simulate("an address of the link comes with its link", (world) => {
    const { peer, find } = bench(world, "", { ip6: "auto" });
    peer.script = (message) => {
      if (asked(message, "nas.local", TYPE.AAAA))
        peer.say({ answers: [unique(aaaa("nas.local", "fe80::77", 120))] });
    };
    const found = find("nas.local", V6);
    assert.deepEqual(found.addresses, ["fe80::77"]);
    const { data } = found.records[0]!;
    assert.equal(new DataView(data.buffer).getUint32(20, true), 1, "no zone");
  });

  simulate(
    "what does not come from the link, or the port, or is another's answer, is nothing",
    (world) => {
      const { machine, peer, find } = bench(world);
      const answer = (address: string) =>
        dnsMessage({ id: 0, flags: 0x8400, answers: [unique(a("tv.local", address, 120))] });
      const host = peer.peer;
      peer.script = (message) => {
        if (message.response) return;
        // Section 6: another port; 18.11: a code; a query; malformed; another name.
        peer.send(answer("10.0.0.66"), GROUP, [5354, 5353]);
        const failed = answer("10.0.0.66");
        failed[3] = 3;
        peer.send(failed);
        const query = answer("10.0.0.66");
        query[2] = 0;
        peer.send(query);
        for (let cut = 1; cut < 30; cut++) peer.send(answer("10.0.0.66").slice(0, -cut));
        peer.say({ answers: [unique(a("other.local", "10.0.0.66", 120))] });
        peer.say({ answers: [unique(a("tv.local", "10.0.0.66", 0))] });
        // Section 11: to us alone, from beyond the link.
        const near = host.ip;
        host.ip = "192.0.2.66";
        peer.send(answer("10.0.0.66"), "10.0.0.2");
        host.ip = near;
        peer.send(answer("10.0.0.77"), "10.0.0.2");
      };
      host.resolve("10.0.0.2");
      assert.deepEqual(find("tv.local", V4).addresses, ["10.0.0.77"]);
      assert.equal(held(machine), 0);
    },
  );
});

describe("the machine's own name", () => {
  const named = (world: World, words = "hostname=web", more: StationOptions = {}) => {
    const { peer, machine, ...rest } = bench(world, words, more);
    return { peer, machine, ...rest };
  };
  /** The same once it has been announced twice, and the second that records have to be apart has passed. */
  const settled = (world: World) => {
    const all = named(world);
    all.peer.expect((message) => message.response);
    all.peer.expect((message) => message.response);
    world.run(1.5 * SECOND);
    all.peer.taken();
    return all;
  };
  const data = (message: MdnsMessage) =>
    [...message.answers, ...message.additionals].map((r) => `${r.name} ${r.type} ${r.data}`);

  simulate("it is probed for three times, then announced twice (8.1, 8.3)", (world) => {
    const { peer, machine } = named(world);
    const first = peer.expect((message) => !message.response);
    const probes = [first, peer.expect(() => true), peer.expect(() => true)];
    for (const probe of probes) {
      assert.deepEqual(probe.questions, [{ name: "web.local", type: ANY, class: 1 | TOP }]);
      assert.deepEqual(
        probe.authorities.map((r) => [r.data, r.class]),
        [["10.0.0.2", 1]],
      );
    }
    assert.ok(probes[1]!.at - first.at >= 250 * MILLISECOND);
    const one = peer.expect(() => true);
    const two = peer.expect(() => true);
    assert.ok(one.at - probes[2]!.at >= 250 * MILLISECOND && two.at - one.at >= SECOND);
    assert.deepEqual([one.flags, one.id, one.questions.length], [0x8400, 0, 0]);
    assert.deepEqual(data(one), [
      "web.local 1 10.0.0.2",
      "2.0.0.10.in-addr.arpa 12 web.local",
      `web.local ${NSEC} types 1`,
    ]);
    assert.ok(one.answers.every((r) => r.class === (1 | TOP) && r.ttl === 120));
    assert.ok(machine.line(/mdns: web\.local/));
    world.run(60 * SECOND);
    assert.deepEqual(peer.taken(), [], "announced without reason");
  });

  simulate("without hostname= nothing is said", (world) => {
    const { peer } = named(world, "");
    world.run(5 * SECOND);
    assert.deepEqual(peer.taken(), []);
  });

  simulate(
    "questions are answered: addresses, their names, and that there is nothing else",
    (world) => {
      const { peer } = settled(world);
      const answer = (name: string, type: number): string[] => {
        world.run(1.1 * SECOND);
        peer.taken();
        peer.ask([{ name, type, class: 1 }]);
        const message = peer.expect((m) => m.response, SECOND);
        assert.deepEqual([message.to, message.questions.length], [GROUP, 0]);
        return data(message);
      };
      const only4 = `web.local ${NSEC} types 1`;
      assert.deepEqual(answer("WEB.local", TYPE.A), ["web.local 1 10.0.0.2", only4]);
      assert.deepEqual(answer("web.local", TYPE.AAAA)[0], only4);
      assert.deepEqual(answer("web.local", 16), [only4]);
      assert.deepEqual(answer("web.local", ANY), ["web.local 1 10.0.0.2", only4]);
      assert.deepEqual(answer("2.0.0.10.in-addr.arpa", PTR), [
        "2.0.0.10.in-addr.arpa 12 web.local",
      ]);
      peer.ask([{ name: "web2.local", type: TYPE.A, class: 1 }]);
      peer.ask([{ name: "3.0.0.10.in-addr.arpa", type: PTR, class: 1 }]);
      world.run(SECOND);
      assert.deepEqual(peer.taken(), []);
    },
  );

  simulate("not twice a second, not to who knows, to one if one will do (6, 7.1, 5.4)", (world) => {
    const { peer } = settled(world);
    const question = [{ name: "web.local", type: TYPE.A, class: 1 }];
    for (let i = 0; i < 20; i++) peer.ask(question);
    world.run(SECOND / 2);
    assert.equal(peer.taken().length, 1);
    world.run(SECOND);
    peer.ask(question, { answers: [a("web.local", "10.0.0.2", 60)] });
    world.run(SECOND);
    assert.equal(peer.taken().length, 0);
    // What is known for less than half its time is said again; what is wrong is not known.
    peer.ask(question, { answers: [a("web.local", "10.0.0.2", 59)] });
    assert.equal(peer.expect(() => true, SECOND).to, GROUP);
    world.run(SECOND);
    peer.ask(question, { answers: [a("web.local", "10.0.0.3", 120)] });
    assert.equal(peer.expect(() => true, SECOND).to, GROUP);
    const alone = [{ ...question[0]!, class: 1 | TOP }];
    peer.ask(alone);
    assert.deepEqual(peer.expect(() => true, SECOND).to, "10.0.0.1");
    // A quarter of the time later all are to hear it again.
    world.run(31 * SECOND);
    peer.ask(alone);
    assert.deepEqual(peer.expect(() => true, SECOND).to, GROUP);
  });

  simulate(
    "several questions, or more to come, are answered a little later (6.3, 7.2)",
    (world) => {
      const { peer } = settled(world);
      const both = [
        { name: "web.local", type: TYPE.A, class: 1 },
        { name: "tv.local", type: TYPE.A, class: 1 },
      ];
      const after = (flags: number): number => {
        world.run(2 * SECOND);
        const from = world.simulation.now;
        peer.ask(flags ? both.slice(0, 1) : both, { flags });
        return peer.expect((m) => m.response, 2 * SECOND).at - from;
      };
      const few = after(0);
      assert.ok(few >= 20 * MILLISECOND && few < 125 * MILLISECOND, `${few}`);
      const many = after(0x0200);
      assert.ok(many >= 400 * MILLISECOND && many < 505 * MILLISECOND, `${many}`);
    },
  );

  simulate("what is known may come in several messages (7.2)", (world) => {
    const { peer, machine } = bench(world, "hostname=web", { ip6: "2001:db8::2/64" });
    world.run(8 * SECOND);
    const other = new MdnsPeer(world.peer("10.0.0.9"));
    // Its addresses, the link's own one among them.
    peer.taken();
    peer.ask([{ name: "web.local", type: ANY, class: 1 }]);
    const { answers } = peer.expect((m) => m.response, SECOND);
    const all = answers.map((r) => r.data).sort();
    assert.equal(all.length, 3);
    const records = (...data: string[]): DnsRecord[] =>
      data.map((d) => (d.includes(":") ? aaaa : a)("web.local", d, 120));
    const v4 = "10.0.0.2";
    const v6 = all.filter((d) => d !== v4);
    const ask = (): void => {
      world.run(2 * SECOND);
      peer.taken();
      const question = [{ name: "web.local", type: ANY, class: 1 }];
      peer.ask(question, { answers: records(v4), flags: 0x0200 });
    };
    const tell = (from: MdnsPeer, answers: DnsRecord[], flags = 0) =>
      from.ask([], { answers, flags });
    /** Addresses told within a second. */
    const said = (): string[] => {
      world.run(SECOND);
      const messages = peer.taken().filter((m) => m.response);
      return messages
        .flatMap((m) => m.answers.filter((r) => r.type !== NSEC).map((r) => r.data))
        .sort();
    };
    ask();
    assert.deepEqual(said(), v6, "what was in the first message");
    ask();
    world.run(100 * MILLISECOND);
    tell(peer, records(...v6));
    assert.deepEqual(said(), [], "all is known");
    // Of a family all or nothing is said; what has half its time left is not known, nor what another host knows.
    ask();
    tell(peer, [aaaa("web.local", v6[0]!, 120), aaaa("web.local", v6[1]!, 59)]);
    tell(other, records(...v6));
    assert.deepEqual(said(), v6);
    // Yet more is to come: that is waited for.
    ask();
    world.run(300 * MILLISECOND);
    tell(peer, records(v6[0]!), 0x0200);
    world.run(300 * MILLISECOND);
    assert.deepEqual(peer.taken(), [], "did not wait");
    tell(peer, records(v6[1]!));
    assert.deepEqual(said(), []);
    // Another who asks meanwhile knows nothing.
    ask();
    tell(peer, records(...v6));
    other.ask([{ name: "web.local", type: ANY, class: 1 }], { flags: 0x0200 });
    assert.deepEqual(said(), all);
    assert.equal(held(machine), 0);
  });

  simulate("a simple resolver gets an answer of the DNS (6.7)", (world) => {
    const { peer } = settled(world);
    peer.ask([{ name: "Web.local", type: TYPE.A, class: 1 }], { id: 0x1234 }, GROUP, 40_000);
    const message = peer.expect(() => true, SECOND);
    assert.deepEqual(
      [message.to, ...message.ports, message.id],
      ["10.0.0.1", 5353, 40_000, 0x1234],
    );
    assert.deepEqual(message.questions, [{ name: "Web.local", type: TYPE.A, class: 1 }]);
    assert.deepEqual(message.answers[0]!.data, "10.0.0.2");
    assert.ok(
      [...message.answers, ...message.additionals].every((r) => r.ttl <= 10 && r.class === 1),
    );
  });

  simulate("who has the name already keeps it (8.1, 9)", (world) => {
    const { peer, machine } = named(world);
    const taken = new Set(["web.local", "web-2.local"]);
    peer.script = ({ response, questions }) => {
      const name = questions[0]?.name ?? "";
      if (!response && taken.has(name)) peer.say({ answers: [unique(a(name, "10.0.0.50", 120))] });
    };
    const announced = peer.expect((m) => m.response && m.answers.length > 0, 10 * SECOND);
    assert.equal(announced.answers[0]!.name, "web-3.local");
    assert.ok(machine.line(/web\.local is another host's: web-2\.local is tried/));
    // 9: later as well.
    taken.add("web-3.local");
    peer.say({ answers: [unique(a("web-3.local", "10.0.0.50", 120))] });
    const next = peer.expect((m) => m.answers[0]?.name === "web-4.local", 10 * SECOND);
    assert.ok(next.response);
  });

  simulate("of two who probe at once the later records win (8.2)", (world) => {
    for (const [address, wins] of [
      ["10.0.0.3", false],
      ["10.0.0.1", true],
    ] as const) {
      const { peer } = wins ? bench(world, "hostname=two", { ip: "10.0.0.4/24" }) : named(world);
      const name = wins ? "two.local" : "web.local";
      const first = peer.expect((m) => m.authorities[0]?.name === name);
      const proposed = [a(name, address, 120)];
      peer.ask([{ name, type: ANY, class: 1 | TOP }], { authorities: proposed });
      const next = peer.expect((m) => m.authorities[0]?.name === name);
      assert.equal(next.at - first.at >= SECOND, !wins, `${address}`);
    }
  });

  simulate("hostile messages change nothing", (world) => {
    const { peer, machine } = settled(world);
    const below = (limit: number) => world.simulation.random.integer(0, limit - 1);
    const good = dnsMessage({
      id: 0,
      flags: 0x8400,
      question: { name: "web.local", type: ANY },
      answers: [a("web.local", "10.0.0.2", 120), nsec("web.local", [1, 28])],
    });
    for (let i = 0; i < 3000; i++) {
      const bytes = good.slice(0, 1 + below(good.length));
      for (let n = below(5); n > 0; n--) bytes[below(bytes.length)] = below(256);
      peer.send(bytes, below(2) ? GROUP : "10.0.0.2");
      if (i % 50 === 0) world.run(SECOND / 100);
    }
    world.run(20 * SECOND);
    peer.taken();
    const name = /mdns: (\S+?\.local)/;
    const now = machine.console.filter((row) => name.test(row)).length;
    assert.ok(now < 60, `${now} lines`);
    assert.equal(held(machine), 0);
  });

  simulate("both families, and by IPv6 as well", (world) => {
    const { peer } = bench(world, "hostname=web", { ip6: "2001:db8::2/64" });
    world.run(8 * SECOND);
    peer.taken();
    peer.ask([{ name: "web.local", type: TYPE.AAAA, class: 1 }]);
    const message = peer.expect((m) => m.response, SECOND);
    assert.ok(message.answers.some((r) => r.data === "2001:db8::2"));
    assert.deepEqual(
      message.additionals.map((r) => r.data),
      ["10.0.0.2"],
    );
  });

  simulate("one's own name is found, too", (world) => {
    const { find } = settled(world);
    assert.deepEqual(find("web.local").addresses, ["10.0.0.2"]);
  });
});
