import assert from "node:assert/strict";
import { describe } from "node:test";
import { Syscall } from "../../sdk/assembly/syscalls.ts";
import {
  CODE,
  type DnsMessage,
  type DnsQuery,
  type DnsRecord,
  DnsServer,
  TYPE,
  a,
  cname,
  soa,
  wireName,
} from "../../tools/sim/dns.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { type Resolved, SocketError, Sockets } from "../../tools/sim/sockets.ts";
import { held } from "./counters.ts";
import { simulate, type World } from "./harness.ts";

/** Names from the root on (RFC 1034, 5.3.3), by servers that each know their zone. */

const V4 = 0x1_0000;
const ENOENT = 2;
const EIO = 5;
const ETIMEDOUT = 110;

const ROOT = "10.0.0.53";
const TLD = "10.0.0.54";
const ZONE = "10.0.0.55";
const OTHER = "10.0.0.56";

const AUTHORITATIVE = 0x8400;
const ns = (name: string, target: string, ttl = 3600): DnsRecord => ({
  name,
  type: TYPE.NS,
  ttl,
  data: wireName(target),
});
const referral = (zone: string, servers: [string, string?][]): Partial<DnsMessage> => ({
  flags: 0x8000,
  authorities: servers.map(([name]) => ns(zone, name)),
  additionals: servers.flatMap(([name, address]) => (address ? [a(name, address)] : [])),
});

type Said = Partial<DnsMessage> | null;
type Script = (name: string, query: DnsQuery) => Said;

/** What a zone says of a name: its records, or that there is none. */
function zone(top: string, ...records: DnsRecord[]): Script {
  return (name, { type }) => {
    const here = records.filter((r) => String(r.name) === name);
    const answers = here.filter((r) => r.type === type || r.type === TYPE.CNAME);
    if (answers.length) return { flags: AUTHORITATIVE, answers };
    const below = records.some((r) => String(r.name).endsWith(`.${name}`));
    const code = here.length || below || name === top ? CODE.NOERROR : CODE.NXDOMAIN;
    return { flags: AUTHORITATIVE | code, authorities: [soa(top, 300)] };
  };
}

const root: Script = (name, query) =>
  /(^|\.)test$/.test(name)
    ? referral("test", [["a.nic.test", TLD]])
    : /(^|\.)net$/.test(name)
      ? referral("net", [["a.nic.test", TLD]])
      : zone("")(name, query);
const tld: Script = (name, query) =>
  /(^|\.)zone\.test$/.test(name)
    ? referral("zone.test", [["ns.zone.test", ZONE]])
    : zone(/net$/.test(name) ? "net" : "test")(name, query);
const leaf = zone(
  "zone.test",
  a("www.zone.test", "192.0.2.1"),
  a("a.b.c.zone.test", "192.0.2.2"),
  cname("alias.zone.test", "www.zone.test"),
);

interface Bench {
  world: World;
  machine: Machine;
  servers: { [address: string]: DnsServer };
  find(name: string, what?: number): Resolved;
  fails(name: string, errno: number): void;
}

function bench(world: World, scripts: { [address: string]: Script }, words = ""): Bench {
  const servers: { [address: string]: DnsServer } = {};
  for (const [address, script] of Object.entries({
    [ROOT]: root,
    [TLD]: tld,
    [ZONE]: leaf,
    ...scripts,
  })) {
    servers[address] = new DnsServer(
      world.peer(address),
      (query) => script(query.name.toLowerCase(), query),
      true,
    );
  }
  const { machine } = world.ready({ commandLine: `dns=iterative hints=${ROOT} ${words}` });
  const sockets = new Sockets(machine);
  const find = (name: string, what = V4): Resolved => {
    machine.syscall(Syscall.Events, 0);
    world.run(SECOND / 100);
    const lookup = sockets.resolve(`${name}.`, what);
    let found: Resolved | null = null;
    const over = () => (found = sockets.resolved(lookup)) !== null;
    world.simulation.until(over, 60 * SECOND, `no end of ${name}`);
    return found!;
  };
  const fails = (name: string, errno: number): void => {
    assert.throws(
      () => find(name),
      (error) => error instanceof SocketError && error.errno === errno,
    );
  };
  return { world, machine, servers, find, fails };
}

const total = ({ servers }: Bench): number =>
  Object.values(servers).reduce((sum, { log }) => sum + log.length, 0);

describe("Iterative: from the root on", () => {
  simulate("referrals lead to who knows, and are remembered", (world) => {
    const b = bench(world, {});
    assert.deepEqual(b.find("www.zone.test").addresses, ["192.0.2.1"]);
    // Who the root's servers are is asked first (RFC 9609), to which this one says nothing of use.
    assert.deepEqual(b.servers[ROOT]!.asked(), [" 2", "test 1"]);
    assert.deepEqual(b.servers[TLD]!.asked(), ["zone.test 1"]);
    assert.deepEqual(b.servers[ZONE]!.asked(), ["www.zone.test 1"]);
    assert.ok(Object.values(b.servers).every(({ log }) => log.every(({ flags }) => flags === 0)));
    assert.deepEqual(b.find("alias.zone.test").addresses, ["192.0.2.1"]);
    assert.equal(b.servers[ROOT]!.log.length, 2);
    assert.equal(b.servers[TLD]!.log.length, 1);
    assert.equal(held(b.machine), 0);
  });

  const NOW = "10.0.0.57";
  const primed =
    (answers: DnsRecord[], additionals: DnsRecord[]): Script =>
    (name, query) =>
      name === "" && query.type === TYPE.NS
        ? { flags: AUTHORITATIVE, answers, additionals }
        : root(name, query);
  const rootNow = primed(
    [ns("", "a.now"), ns("", "b.now")],
    [a("a.now", NOW), a("b.now", NOW), a("www.zone.test", "203.0.113.66")],
  );

  simulate(
    "the root's servers of now are asked of one of those that are known (RFC 9609)",
    (world) => {
      const b = bench(world, { [ROOT]: rootNow, [NOW]: root });
      assert.deepEqual(b.find("www.zone.test").addresses, ["192.0.2.1"]);
      b.fails("www.nowhere", ENOENT);
      assert.deepEqual(b.servers[ROOT]!.asked(), [" 2"]);
      assert.deepEqual(b.servers[NOW]!.asked(), ["test 1", "nowhere 1", "www.nowhere 1"]);
      // Not before the time of what was said is over.
      world.run(3500 * SECOND);
      b.fails("www.nowhere2", ENOENT);
      assert.equal(b.servers[ROOT]!.log.length, 1);
      world.run(200 * SECOND);
      b.fails("www.nowhere3", ENOENT);
      assert.equal(b.servers[ROOT]!.log.length, 2);
      assert.equal(held(b.machine), 0);
    },
  );

  for (const [what, script] of [
    ["that say nothing", () => null],
    ["that fail", () => ({ flags: 0x8000 | CODE.SERVFAIL })],
    ["of which none is reached", primed([ns("", "a.now")], [a("a.now", "10.0.0.99")])],
    ["without addresses", primed([ns("", "a.now")], [])],
    [
      "by one who is no authority",
      (name: string, query: DnsQuery) => ({ ...rootNow(name, query), flags: 0x8000 }),
    ],
  ] as [string, Script][]) {
    simulate(`root servers ${what} leave those that are known`, (world) => {
      const b = bench(world, {
        [ROOT]: (name, query) => (name === "" ? script(name, query) : root(name, query)),
      });
      assert.deepEqual(b.find("www.zone.test").addresses, ["192.0.2.1"]);
      // What waits for a neighbour that there is not goes, too.
      world.run(10 * SECOND);
      assert.equal(held(b.machine), 0);
    });
  }

  simulate("an answer that does not fit comes by TCP", (world) => {
    const many = Array.from({ length: 100 }, (_, i) => a("many.zone.test", `192.0.2.${i}`));
    const b = bench(world, { [ZONE]: zone("zone.test", ...many) });
    assert.equal(b.find("many.zone.test").addresses.length, many.length);
    assert.deepEqual(
      b.servers[ZONE]!.log.map(({ stream }) => stream),
      [false, true],
    );
  });

  simulate("nobody sees more of a name than he needs (RFC 9156)", (world) => {
    const b = bench(world, {});
    assert.deepEqual(b.find("a.b.c.zone.test").addresses, ["192.0.2.2"]);
    assert.deepEqual(b.servers[ROOT]!.asked(), [" 2", "test 1"]);
    assert.deepEqual(b.servers[TLD]!.asked(), ["zone.test 1"]);
    assert.deepEqual(b.servers[ZONE]!.asked(), [
      "c.zone.test 1",
      "b.c.zone.test 1",
      "a.b.c.zone.test 1",
    ]);
  });

  simulate("a name of very many labels is not asked for label by label", (world) => {
    const b = bench(world, {});
    const name = `${"x.".repeat(100)}zone.test`;
    b.fails(name, ENOENT);
    assert.ok(b.servers[ZONE]!.log.length <= 7, `${b.servers[ZONE]!.log.length} queries`);
  });

  simulate(
    "a server that says there is no name where names lie below is asked for all of it",
    (world) => {
      const b = bench(world, {
        [ZONE]: (name, query) =>
          name === "c.zone.test" || name === "b.c.zone.test"
            ? { flags: AUTHORITATIVE | CODE.NXDOMAIN, authorities: [soa("zone.test", 300)] }
            : leaf(name, query),
      });
      assert.deepEqual(b.find("a.b.c.zone.test").addresses, ["192.0.2.2"]);
    },
  );

  simulate(
    "what does not exist is known not to, for as long as the SOA says (RFC 2308)",
    (world) => {
      const b = bench(world, {});
      b.fails("nobody.zone.test", ENOENT);
      const before = total(b);
      b.fails("nobody.zone.test", ENOENT);
      assert.equal(total(b), before);
      world.run(301 * SECOND);
      b.fails("nobody.zone.test", ENOENT);
      assert.ok(total(b) > before);
    },
  );

  simulate(
    "a chain into another zone is asked of that zone's servers (RFC 2181, 5.4.1)",
    (world) => {
      const b = bench(world, {
        [ROOT]: root,
        [TLD]: (name, query) =>
          /(^|\.)other\.test$/.test(name)
            ? referral("other.test", [["ns.other.test", OTHER]])
            : tld(name, query),
        [ZONE]: (name, query) =>
          name === "out.zone.test"
            ? {
                flags: AUTHORITATIVE,
                // What it says of the other zone is not its own.
                answers: [cname(name, "www.other.test"), a("www.other.test", "203.0.113.66")],
              }
            : leaf(name, query),
        [OTHER]: zone("other.test", a("www.other.test", "192.0.2.7")),
      });
      assert.deepEqual(b.find("out.zone.test").addresses, ["192.0.2.7"]);
      assert.deepEqual(b.find("www.other.test").addresses, ["192.0.2.7"]);
    },
  );

  simulate(
    "names of servers elsewhere are looked for, whatever addresses stand beside them",
    (world) => {
      const b = bench(world, {
        [TLD]: (name, query) =>
          /(^|\.)far\.net$/.test(name)
            ? referral("far.net", [["ns.zone.test", "203.0.113.66"]])
            : tld(name, query),
        [ZONE]: (name, query) =>
          name.endsWith("far.net")
            ? zone("far.net", a("www.far.net", "192.0.2.8"))(name, query)
            : zone("zone.test", a("ns.zone.test", ZONE))(name, query),
      });
      assert.deepEqual(b.find("www.far.net").addresses, ["192.0.2.8"]);
      assert.ok(b.servers[ZONE]!.asked().includes("ns.zone.test 1"));
    },
  );

  simulate("a zone's servers say nothing of zones beside or above it", (world) => {
    const b = bench(world, {
      // Asked for a name of its own it offers a whole top-level domain, with an answer for more.
      [ZONE]: (name, query) =>
        name === "evil.zone.test"
          ? {
              flags: AUTHORITATIVE,
              answers: [a(name, "192.0.2.3"), a("www.bank.test", "203.0.113.66")],
              authorities: [ns("test", "ns.evil.zone.test"), ns("bank.test", "ns.evil.zone.test")],
              additionals: [a("ns.evil.zone.test", OTHER), a("a.nic.test", OTHER)],
            }
          : name === "refer.zone.test"
            ? referral("test", [["ns.evil.zone.test", OTHER]])
            : leaf(name, query),
      [OTHER]: () => ({ flags: AUTHORITATIVE, answers: [a("www.bank.test", "203.0.113.66")] }),
    });
    assert.deepEqual(b.find("evil.zone.test").addresses, ["192.0.2.3"]);
    b.fails("refer.zone.test", EIO);
    b.fails("www.bank.test", ENOENT);
    assert.equal(b.servers[OTHER]!.log.length, 0);
  });

  const lame: { [what: string]: Script } = {
    refuses: () => ({ flags: 0x8000 | CODE.REFUSED }),
    fails: () => ({ flags: 0x8000 | CODE.SERVFAIL }),
    "does not understand": () => ({ flags: 0x8000 | CODE.FORMERR }),
    "knows no such operation": () => ({ flags: 0x8000 | CODE.NOTIMP }),
    "refers upwards": () => referral("", [["a.root", ROOT]]),
    "refers beside it": () => referral("else.test", [["a.else.test", ROOT]]),
    "refers to itself": () => referral("zone.test", [["ns.zone.test", OTHER]]),
    "says nothing": () => ({ flags: 0x8000 }),
    "answers for others, from its cache": (name) => ({
      flags: 0x8080,
      answers: [a(name, "203.0.113.66")],
    }),
    "denies for others": () => ({ flags: 0x8080 | CODE.NXDOMAIN, authorities: [soa("test", 300)] }),
    "gives another type and half an authority": (name) => ({
      flags: 0x8000,
      answers: [{ name, type: TYPE.TXT, data: Buffer.from("\x02no") }],
    }),
    "is malformed": () => ({ flags: AUTHORITATIVE, counts: [1, 1, 0, 0] }),
    "is silent": () => null,
    "has its answer cut off, by TCP as well": () => ({ flags: AUTHORITATIVE | 0x0200 }),
  };
  for (const [what, script] of Object.entries(lame)) {
    simulate(`of a zone's servers one that ${what} is passed over (lame)`, (world) => {
      const b = bench(world, {
        [TLD]: () =>
          referral("zone.test", [
            ["ns.zone.test", OTHER],
            ["ns2.zone.test", ZONE],
          ]),
        [OTHER]: script,
      });
      // Which of them is asked first is drawn.
      for (let i = 0; i < 12 && !b.servers[OTHER]!.log.length; i++) {
        b.fails(`n${i}.zone.test`, ENOENT);
        world.run(SECOND);
      }
      assert.deepEqual(b.find("www.zone.test").addresses, ["192.0.2.1"]);
      assert.ok(b.servers[OTHER]!.log.length > 0, "never asked");
      assert.equal(held(b.machine), 0);
    });
  }

  simulate("a referral with the bit of an authority is one", (world) => {
    const b = bench(world, {
      [TLD]: (name, query) => ({ ...tld(name, query), flags: AUTHORITATIVE }),
    });
    assert.deepEqual(b.find("www.zone.test").addresses, ["192.0.2.1"]);
    assert.deepEqual(b.servers[TLD]!.asked(), ["zone.test 1"]);
  });

  simulate("of several servers the one that answers is asked again", (world) => {
    const b = bench(world, {
      [TLD]: () =>
        referral("zone.test", [
          ["ns.zone.test", OTHER],
          ["ns2.zone.test", ZONE],
        ]),
      [ZONE]: (name) => ({ flags: AUTHORITATIVE, answers: [a(name, "192.0.2.1", 1)] }),
      [OTHER]: () => null,
    });
    for (let i = 0; i < 20; i++) assert.equal(b.find(`n${i}.zone.test`).addresses.length, 1);
    assert.ok(
      b.servers[OTHER]!.log.length <= 3,
      `${b.servers[OTHER]!.log.length} to who is silent`,
    );
    assert.ok(b.servers[ZONE]!.log.length >= 20);
  });

  simulate("zones whose servers lie in each other come to an end", (world) => {
    const b = bench(world, {
      [TLD]: (name, query) =>
        /(^|\.)one\.test$/.test(name)
          ? referral("one.test", [["ns.two.test"]])
          : /(^|\.)two\.test$/.test(name)
            ? referral("two.test", [["ns.one.test"]])
            : tld(name, query),
    });
    assert.throws(() => b.find("www.one.test"), SocketError);
    assert.ok(total(b) < 40, `${total(b)} queries`);
    assert.equal(held(b.machine), 0);
  });

  simulate("a zone without addresses of its own servers comes to an end", (world) => {
    const b = bench(world, { [TLD]: () => referral("zone.test", [["ns.zone.test"]]) });
    assert.throws(() => b.find("www.zone.test"), SocketError);
    assert.ok(total(b) < 20);
  });

  simulate("a referral to hundreds of servers costs few queries (NXNSAttack)", (world) => {
    let refers = 0;
    const b = bench(world, {
      [TLD]: (name) =>
        /(^|\.)zone\.test$/.test(name)
          ? referral(
              "zone.test",
              Array.from({ length: 25 }, (_, i): [string] => [`n${refers++}-${i}.victim.test`]),
            )
          : /(^|\.)victim\.test$/.test(name)
            ? referral("victim.test", [["ns.victim.test", OTHER]])
            : zone("test")(name, { type: 1 } as DnsQuery),
      [OTHER]: (name, query) => zone("victim.test")(name, query),
    });
    assert.throws(() => b.find("www.zone.test"), SocketError);
    assert.ok(b.servers[OTHER]!.log.length <= 12, `${b.servers[OTHER]!.log.length} to the victim`);
  });

  simulate(
    "one who answers only what another has to answer never ends a question late",
    (world) => {
      // Each name is an alias for another one.
      let next = 0;
      const b = bench(world, {
        [ZONE]: (name) => ({
          flags: AUTHORITATIVE,
          answers: [cname(name, `n${next++}.zone.test`)],
        }),
      });
      assert.throws(() => b.find("start.zone.test"), SocketError);
      assert.ok(total(b) <= 80, `${total(b)} queries`);
    },
  );

  simulate("without any root server it says so in time", (world) => {
    const b = bench(world, { [ROOT]: () => null });
    const before = world.simulation.now;
    b.fails("www.zone.test", ETIMEDOUT);
    assert.ok(world.simulation.now - before < 20 * SECOND + 100 * MILLISECOND);
  });
});
