import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Syscall } from "../../sdk/assembly/syscalls.ts";
import { DnsServer, type DnsQuery, wireName } from "../../tools/sim/dns.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import { SECOND } from "../../tools/sim/simulation.ts";
import { type Resolved, SocketError, Sockets } from "../../tools/sim/sockets.ts";
import { counters, held } from "./counters.ts";
import { COMMON, Exchanger, SERVER, Tree, type Zone, treeTrouble } from "./dns-tree.ts";
import { inWorld } from "./harness.ts";

/** Validation (RFC 4033 to 4035, 5155, 6840) of what BIND has signed and serves, with unbound for a second opinion. */

const SECURE = 4;
const INSECURE = 3;
const INDETERMINATE = 2;
const BOGUS = 1;
/** `Resolve.V4` and `Resolve.Security`. */
const V4 = 0x1_0000;
const SECURITY = 0x10_0000;
const EBADMSG = 74;
/** Here alone: `find` is not to ask for the security. */
const NOTHING = 0x8000_0000;

const PORT = 20000 + (process.pid % 20000);
const UNBOUND = PORT + 1;
const DEFAULT_UNBOUND = PORT + 5;
/** Servers of the root, of what is right below it, and of all else: where named stands in for each. */
const SERVERS: [string, number, (name: string) => boolean][] = [
  ["10.0.0.53", PORT + 2, (name) => name === ""],
  ["10.0.0.54", PORT + 3, (name) => name !== "" && !name.includes(".")],
  [SERVER, PORT + 4, (name) => name.includes(".")],
];
const serverOf = (name: string): string => SERVERS.find(([, , has]) => has(name))![0];

/** More than fits a datagram. */
const BIG = `big TXT ${Array.from({ length: 12 }, (_, i) => `"${String(i).repeat(200).slice(0, 200)}"`).join(" ")}`;

/** What a script may do to an answer on its way. */
type Meddle = (answer: Uint8Array, query: DnsQuery) => Uint8Array | null;

const delegations = ["sub NS ns.sub", "ns.sub A 127.0.0.1"];
const signed = (name: string, algorithm: string, more: Partial<Zone> = {}): Zone => ({
  name,
  algorithm,
  lines: [...COMMON, ...delegations],
  ...more,
});

/** Replaces bytes of a signature by others. */
const spoilSignature = (owner: RegExp) => (file: string) => {
  let inside = false;
  return file
    .split("\n")
    .map((line) => {
      if (/^\S/.test(line)) inside = owner.test(line);
      return inside && /^\s+[A-Za-z0-9+/]{20,}/.test(line)
        ? line.replace(/[A-Za-z](?=[A-Za-z0-9+/=]*)/, (c) => (c === "A" ? "B" : "A"))
        : line;
    })
    .join("\n");
};

const NSEC3 = { iterations: 0 };
const ZONES: Zone[] = [
  signed("rsasha1.test", "RSASHA1", { bits: 1024 }),
  signed("nsec3rsasha1.test", "NSEC3RSASHA1", {
    bits: 1024,
    nsec3: { iterations: 5, salt: "aabb" },
  }),
  signed("rsasha256.test", "RSASHA256", { bits: 1024 }),
  signed("rsasha512.test", "RSASHA512", { bits: 1024, nsec3: NSEC3 }),
  signed("p256.test", "ECDSAP256SHA256", { nsec3: NSEC3 }),
  signed("p384.test", "ECDSAP384SHA384"),
  signed("ed25519.test", "ED25519", {
    lines: [
      ...COMMON,
      ...delegations,
      "over CNAME www.p256.test.",
      "out CNAME www.plain.test.",
      "gone CNAME nobody.p384.test.",
      "wildover CNAME x.wild.p256.test.",
      "tree DNAME p256.test.",
      "unsigned DNAME plain.test.",
      BIG,
    ],
  }),
  signed("ed448.test", "ED448"),
  signed("often.test", "ECDSAP256SHA256", { nsec3: { iterations: 100 } }),
  { name: "plain.test", lines: [...COMMON, "into CNAME www.p256.test."] },
  { name: "plain.org", lines: [...COMMON, BIG] },
  signed("expired.org", "ED25519", { sign: ["-s", "20200101000000", "-e", "20200201000000"] }),
  signed("future.org", "ED25519", { sign: ["-s", "20400101000000", "-e", "20400201000000"] }),
  signed("wrongds.org", "ED25519", {
    spoilDs: (ds) => ds.replace(/[0-9A-F](?=[0-9A-F]{7}$)/m, (c) => (c === "0" ? "1" : "0")),
  }),
  signed("badsig.org", "ED25519", { spoil: spoilSignature(/^www\./) }),
  { name: "unsigned.org", lines: COMMON },
  signed("test", "RSASHA256", { bits: 1024, nsec3: { iterations: 0, optOut: true }, lines: [] }),
  signed("org", "ED25519", {
    // A zone with DS records that is not signed.
    lines: [
      "unsigned DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ],
  }),
  signed("", "ECDSAP256SHA256", { lines: [] }),
];

/** Everything that is asked, with its type. */
const TYPES = { A: 1, CNAME: 5, MX: 15, TXT: 16, AAAA: 28, DS: 43, NS: 2, SOA: 6, DNSKEY: 48 };
const NAMES: [string, keyof typeof TYPES][] = [
  ...ZONES.filter(({ name }) => name.includes(".")).flatMap(({ name }) =>
    (
      [
        ["www", "A"],
        ["www", "MX"],
        ["alias", "A"],
        ["alias", "MX"],
        ["mail", "MX"],
        ["text", "TXT"],
        ["x.y.wild", "A"],
        ["q.wild", "AAAA"],
        ["nobody", "A"],
        ["no.body.at.all", "A"],
        ["ent", "A"],
        ["b.ent", "A"],
        ["a.b.ent", "A"],
        ["sub", "DS"],
      ] as const
    ).map(([label, type]): [string, keyof typeof TYPES] => [`${label}.${name}`, type]),
  ),
  ...ZONES.flatMap(({ name }): [string, keyof typeof TYPES][] => [
    [name || ".", "SOA"],
    [name || ".", "NS"],
    [name || ".", "DNSKEY"],
    ...(name ? ([[name, "DS"]] as [string, keyof typeof TYPES][]) : []),
  ]),
  ["over.ed25519.test", "A"],
  ["over.ed25519.test", "MX"],
  ["out.ed25519.test", "A"],
  ["gone.ed25519.test", "A"],
  ["wildover.ed25519.test", "A"],
  ["www.tree.ed25519.test", "A"],
  ["nobody.tree.ed25519.test", "A"],
  ["www.unsigned.ed25519.test", "A"],
  ["into.plain.test", "A"],
  ["nobody.test", "A"],
  ["www.nobody.test", "A"],
  ["nobody.org", "A"],
  ["nobody", "A"],
  ["a.nobody", "MX"],
];

interface Bench {
  machine: Machine;
  server: DnsServer;
  find(name: string, what?: number): Resolved;
}

/** What a lookup says of its answer: the pseudo-record behind the others. */
function security({ records }: Resolved): { security: number; reason: number } {
  const last = records.find(({ type }) => type === 41)!;
  const view = new DataView(last.data.buffer, last.data.byteOffset);
  return { security: view.getUint32(0, true), reason: view.getUint32(4, true) };
}

/** A query of a client that wants to know whether an answer is secure (AD; RFC 6840, 5.7). */
function query(name: string, type: number): Uint8Array {
  const labels = name.split(".").filter(Boolean);
  return Buffer.concat([
    Buffer.of(0, 7, 1, 0x20, 0, 1, 0, 0, 0, 0, 0, 1),
    ...labels.map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)])),
    Buffer.of(0, 0, type, 0, 1, 0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0),
  ]);
}

describe("DNSSEC", { skip: treeTrouble() ?? false }, () => {
  let tree: Tree;
  let exchanger: Exchanger;

  before(async () => {
    tree = new Tree(ZONES.map((zone) => ({ ...zone, server: serverOf(zone.name) })));
    exchanger = new Exchanger();
    await tree.serve("127.0.0.1", PORT);
    for (const [, port, has] of SERVERS) {
      await tree.serve(
        "127.0.0.1",
        port,
        tree.zones.filter(({ name }) => has(name)),
      );
    }
    await tree.unbound(UNBOUND, "127.0.0.1", PORT);
    await tree.defaultUnbound(DEFAULT_UNBOUND);
  });
  after(async () => {
    tree.end();
    await exchanger.end();
  });

  function withMachine(
    words: string,
    body: (bench: Bench) => void,
    { wallClock, meddle, port = PORT }: { wallClock?: bigint; meddle?: Meddle; port?: number } = {},
  ): void {
    inWorld(1, (world) => {
      const peer = world.peer();
      const script =
        (port: number) =>
        (query: DnsQuery): Uint8Array | null => {
          const answer = exchanger.ask(query.bytes, "127.0.0.1", port, query.stream);
          return meddle ? meddle(answer, query) : answer;
        };
      const server = new DnsServer(peer, script(port), true);
      for (const [address, zones] of SERVERS) {
        new DnsServer(world.peer(address), script(zones), true);
      }
      const { machine } = world.ready({
        commandLine: `gw=10.0.0.1 dns=10.0.0.1 ${words}`,
        wallClock: wallClock ?? BigInt(Date.now()) * 1_000_000n,
      });
      const sockets = new Sockets(machine);
      const find = (name: string, what = 0): Resolved => {
        machine.syscall(Syscall.Events, 0);
        world.run(SECOND / 100);
        const lookup = sockets.resolve(
          `${name}${name === "." ? "" : "."}`,
          what & NOTHING ? what ^ NOTHING : what | SECURITY,
        );
        let found: Resolved | null = null;
        const over = () => (found = sockets.resolved(lookup)) !== null;
        world.simulation.until(over, 60 * SECOND, `no end of ${name}`);
        return found!;
      };
      body({ machine, server, find });
    });
  }

  /** What a machine thinks of a name: its security, and what it found. */
  function opinion(bench: Bench, name: string, what: number): { security: number; rcode: number } {
    try {
      const found = bench.find(name, what);
      return { security: security(found).security, rcode: 0 };
    } catch (error) {
      // A name that does not exist has no records to say it beside.
      if (!(error instanceof SocketError) || error.errno !== 2) {
        if (error instanceof SocketError) return { security: -error.errno, rcode: 0 };
        throw error;
      }
      return { security: 0, rcode: 3 };
    }
  }

  /** Everything that this machine takes for something else than unbound does. */
  function compare(words: string): void {
    withMachine(`dnssec=on anchor=${tree.anchor} ${words}`, (bench) => {
      const differences: string[] = [];
      for (const [name, type] of NAMES) {
        const theirs = exchanger.ask(query(name, TYPES[type]), "127.0.0.1", UNBOUND);
        const code = theirs[3]! & 15;
        // Those it can, or does, check, and this machine does not.
        const more = /(^|\.)(ed448|often)\.test$/.test(name);
        const expected = code === 2 ? BOGUS : theirs[3]! & 0x20 ? SECURE : INSECURE;
        const mine = opinion(bench, name, TYPES[type]);
        const same =
          mine.rcode === 3
            ? code === 3
            : mine.security === expected ||
              (more && mine.security === INSECURE && expected === SECURE);
        if (!same) {
          const lines = bench.machine.console.slice(-1).join("");
          differences.push(
            `${name} ${type}: ${mine.security}/${mine.rcode}, unbound ${expected}/${code} ${lines}`,
          );
        }
      }
      assert.deepEqual(differences, []);
      if (words) assert.equal(bench.server.log.length, 0, "asked who is not asked");
      else assert.ok(bench.server.log.length > NAMES.length / 2);
      assert.equal(held(bench.machine), 0);
    });
  }

  test("what unbound takes for secure, insecure and bogus is so here", () => compare(""));

  test("from the root on it is the same", () => compare(`dns=iterative hints=${serverOf("")}`));

  test("the root's keys may be the first that is asked for, though its servers are validated by them", () => {
    withMachine(`dnssec=on anchor=${tree.anchor} dns=iterative hints=${serverOf("")}`, (bench) => {
      assert.equal(security(bench.find(".", TYPES.DNSKEY)).security, SECURE);
      assert.equal(security(bench.find(".", TYPES.NS)).security, SECURE);
      assert.equal(counters(bench.machine, "dns")["timeouts"], 0);
    });
  });

  /** How a machine fails to find a name: with what, and what it says of it. */
  function refusal({ machine, find }: Bench, name: string, what = V4): string {
    const before = machine.console.length;
    const { records } = find(name, what);
    const { security: how, reason } = security({ name: "", addresses: [], records });
    assert.equal(records.length, 1, "records of what is bogus");
    assert.ok(how === BOGUS || how === INSECURE || how === INDETERMINATE);
    const line = machine.console.slice(before).find((text) => /bogus, refused/.test(text)) ?? "";
    return `${reason} ${/refused: (.*) name=/.exec(line)?.[1] ?? ""}`.trim();
  }

  const anchored = (more = "") => `dnssec=on anchor=${tree.anchor} ${more}`;

  test("what is bogus says why, by its Extended DNS Error (RFC 8914)", () => {
    withMachine(anchored(), (bench) => {
      assert.equal(refusal(bench, "www.expired.org"), "7 Signature Expired");
      assert.equal(refusal(bench, "www.future.org"), "8 Signature Not Yet Valid");
      assert.equal(refusal(bench, "www.wrongds.org"), "9 DNSKEY Missing");
      assert.equal(refusal(bench, "www.badsig.org"), "6 DNSSEC Bogus");
      assert.equal(refusal(bench, "www.unsigned.org"), "10 RRSIGs Missing");
      // Without being asked for its security, it is an error.
      assert.throws(
        () => bench.find("mail.expired.org", 15 | NOTHING),
        (error) => error instanceof SocketError && error.errno === EBADMSG,
      );
    });
  });

  test("without dnssec=on nobody is asked for signatures, and nothing is said", () => {
    withMachine("", (bench) => {
      const found = bench.find("www.badsig.org", V4);
      assert.deepEqual(found.addresses, ["192.0.2.1"]);
      assert.equal(security(found).security, 0);
      assert.ok(bench.server.log.every(({ secure, flags }) => !secure && flags === 0x100));
    });
  });

  test("what named cuts off in a datagram it is asked for by TCP, and then it is whole", () => {
    for (const words of ["", `dns=iterative hints=${serverOf("")}`]) {
      for (const [name, how] of [
        ["big.plain.org", INSECURE],
        ["big.ed25519.test", SECURE],
      ] as const) {
        withMachine(anchored(words), (bench) => {
          const found = bench.find(name, TYPES.TXT);
          assert.equal(security(found).security, how);
          const [record] = found.records.filter(({ type }) => type === TYPES.TXT);
          assert.equal(record!.data.length, 12 * 201);
          const { truncated, streams } = counters(bench.machine, "dns");
          assert.ok(truncated! >= 1 && streams! >= 1, `${truncated} cut off, ${streams} by TCP`);
          assert.equal(held(bench.machine), 0);
        });
      }
    }
  });

  test("names that are nobody's on the Internet are what unbound says by default, strict or not", () => {
    const names: [string, number][] = [
      ...["localhost", "www.localhost", "a.invalid", "a.onion", "onion", "test", "www.test"].map(
        (name): [string, number] => [name, TYPES.A],
      ),
      ["home.arpa", TYPES.A],
      ["nas.home.arpa", TYPES.AAAA],
      ...["10", "1.0.0.10", "1.1.16.172", "9.1.31.172", "168.192", "2.1.168.192", "1.64.100"].map(
        (net): [string, number] => [`${net}.in-addr.arpa`, 12],
      ),
      ...["1.0", "1.2.0.192", "7.100.51.198", "7.113.0.203", "255.255.255.255", "1.127.100"].map(
        (net): [string, number] => [`${net}.in-addr.arpa`, 12],
      ),
      ...["1.d.f", "8.b.d.0.1.0.0.2"].map((net): [string, number] => [`${net}.ip6.arpa`, 12]),
      [`${"0.".repeat(32)}ip6.arpa`, 12],
    ];
    for (const words of ["", "dns=iterative"]) {
      withMachine(
        `dnssec=strict ${words}`,
        (bench) => {
          for (const [name, type] of names) {
            const theirs = exchanger.ask(query(name, type), "127.0.0.1", DEFAULT_UNBOUND);
            const code = theirs[3]! & 15;
            assert.ok(code === 0 || code === 3, `unbound: ${name} ${code}`);
            const mine = opinion(bench, name, type);
            // It says of names that are there, as the tops of its zones, that they have nothing.
            const bare = code === 0 && theirs[7] === 0;
            const same = bare ? mine.rcode === 3 || mine.security >= 0 : mine.rcode === code;
            assert.ok(same, `${name}: ${JSON.stringify(mine)}, unbound ${code}`);
          }
          if (words) assert.equal(counters(bench.machine, "dns")["sent"], 0);
        },
        { port: DEFAULT_UNBOUND },
      );
    }
  });

  test("a network's own names are taken unsigned, if its own servers know them, by strict as well", () => {
    const own = ["www.test", "nas.home.arpa", "git.corp.internal", "1.0.0.10.in-addr.arpa"];
    withMachine(
      "dnssec=strict",
      (bench) => {
        for (const name of own) {
          const found = bench.find(name, name.endsWith("arpa") && /in-addr/.test(name) ? 12 : V4);
          assert.equal(security(found).security, INSECURE, name);
        }
        // What is anybody's is not.
        assert.match(refusal(bench, "www.plain.org"), /^(9|10) /);
      },
      {
        meddle: (answer, { name, bytes, type }) => {
          const lower = name.toLowerCase();
          if (!own.includes(lower) && lower !== "www.plain.org") return answer;
          const { length } = wireName(name);
          const question = Buffer.from(bytes.subarray(0, 12 + length + 4));
          question.writeUInt32BE(0x85800001, 2);
          question.writeUInt32BE(0x00010000, 6);
          question.writeUInt16BE(0, 10);
          const data = type === 12 ? wireName("host.test") : Buffer.of(192, 0, 2, 7);
          const record = Buffer.of(0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length);
          return Buffer.concat([question, record, data]);
        },
      },
    );
    // An own root may sign them.
    withMachine(`dnssec=strict anchor=${tree.anchor}`, (bench) => {
      assert.equal(security(bench.find("www.p256.test", V4)).security, SECURE);
      assert.match(refusal(bench, "www.plain.test"), /^5/);
    });
    // And so may who is named beside the Internet's.
    withMachine(`dnssec=on anchor=${tree.ds("p256.test")}`, (bench) => {
      assert.equal(security(bench.find("www.p256.test", V4)).security, SECURE);
    });
  });

  test("strict takes only what is signed", () => {
    withMachine(`dnssec=strict anchor=${tree.anchor}`, (bench) => {
      assert.deepEqual(bench.find("www.p256.test", V4).addresses, ["192.0.2.1"]);
      assert.match(refusal(bench, "www.plain.test"), /^5/);
    });
  });

  test("without an anchor for it, or in a domain that is excepted, nothing is checked (RFC 7646)", () => {
    withMachine(anchored("insecure=expired.org insecure=badsig.org"), (bench) => {
      for (const name of ["www.expired.org", "www.badsig.org"]) {
        const found = bench.find(name, V4);
        assert.deepEqual(found.addresses, ["192.0.2.1"]);
        assert.equal(security(found).security, INSECURE);
      }
      assert.equal(refusal(bench, "www.future.org"), "8 Signature Not Yet Valid");
    });
    // An anchor further down, and the root's own, which are not this tree's.
    const ds = tree.ds("p256.test");
    withMachine(`dnssec=on anchor=${ds} insecure=.`, (bench) => {
      assert.equal(security(bench.find("www.p256.test", V4)).security, SECURE);
      assert.equal(security(bench.find("www.p384.test", V4)).security, INSECURE);
    });
    withMachine("dnssec=on", (bench) => {
      assert.equal(refusal(bench, "www.badsig.org"), "9 DNSKEY Missing");
    });
    // What is excepted is taken by strict as well.
    withMachine(`dnssec=strict anchor=${tree.anchor} insecure=plain.org`, (bench) => {
      assert.equal(security(bench.find("www.plain.org", V4)).security, INSECURE);
      assert.match(refusal(bench, "www.plain.test"), /^5/);
    });
  });

  test("a clock that was never set is named when the machine starts", () => {
    const words = anchored();
    withMachine(
      words,
      (bench) => {
        assert.ok(bench.machine.line(/the clock is not set: no signature can be checked/));
        assert.equal(refusal(bench, "www.p256.test"), "8 Signature Not Yet Valid");
      },
      { wallClock: 0n },
    );
  });

  test("the cache keeps what is secure, and for no longer than the signatures", () => {
    withMachine(anchored(), (bench) => {
      const first = bench.find("www.p256.test", V4);
      const asked = bench.server.log.length;
      const second = bench.find("www.p256.test", V4);
      assert.equal(bench.server.log.length, asked);
      assert.equal(security(first).security, SECURE);
      assert.equal(security(second).security, SECURE);
      assert.ok(second.records[0]!.ttl <= 300);
      bench.find("www.p256.test", TYPES.AAAA);
      assert.equal(bench.server.log.length, asked + 1, "keys are known");
    });
  });

  test("who meddles with an answer gets nothing taken", () => {
    /** Each byte of the answer to one question in turn, in both directions of its bits. */
    const name = "www.ed25519.test";
    let length = 0;
    withMachine(anchored(), (bench) => bench.find(name, V4), {
      meddle: (answer, query) => {
        if (query.name.toLowerCase() === name) length = answer.length;
        return answer;
      },
    });
    assert.ok(length > 100);
    for (let at = 12; at < length; at += 7) {
      withMachine(
        anchored(),
        (bench) => {
          let found: Resolved;
          try {
            found = bench.find(name, V4);
          } catch (error) {
            assert.ok(error instanceof SocketError);
            return;
          }
          // What a flipped bit does not reach is as it was.
          if (security(found).security === SECURE) {
            assert.deepEqual(found.addresses, ["192.0.2.1"], `byte ${at}`);
          } else {
            assert.equal(security(found).security, BOGUS, `byte ${at}`);
            assert.equal(found.addresses.length, 0);
          }
        },
        {
          meddle: (answer, query) => {
            if (query.name.toLowerCase() !== name) return answer;
            const changed = Uint8Array.from(answer);
            changed[at]! ^= 1 << (at & 7);
            return changed;
          },
        },
      );
    }
  });

  test("many signatures and many keys of one tag cost a bounded number of operations (CVE-2023-50387)", () => {
    const name = "www.p256.test";
    withMachine(
      anchored(),
      (bench) => {
        const { machine } = bench;
        bench.find("mail.p256.test", 15);
        const before = counters(machine, "dns")["signatures"]!;
        assert.equal(refusal(bench, name), "6 DNSSEC Bogus");
        assert.ok(counters(machine, "dns")["signatures"]! - before <= 8);
      },
      {
        meddle: (answer, query) => {
          if (query.name.toLowerCase() !== name) return answer;
          return withBadSignatures(answer, 9);
        },
      },
    );
  });
});

/** The answer to a question about addresses with its signature in front of it `count` times, spoilt. */
function withBadSignatures(answer: Uint8Array, count: number): Uint8Array {
  const bytes = Buffer.from(answer);
  const skipName = (at: number): number => {
    while (bytes[at] && bytes[at]! < 0xc0) at += 1 + bytes[at]!;
    return at + (bytes[at] ? 2 : 1);
  };
  const skipRecord = (at: number, type: number): number => {
    const fields = skipName(at);
    assert.equal(bytes.readUInt16BE(fields), type);
    return fields + 10 + bytes.readUInt16BE(fields + 8);
  };
  const begin = skipName(12) + 4;
  const behind = skipRecord(begin, 1);
  const end = skipRecord(behind, 46);
  const record = bytes.subarray(behind, end);
  const spoilt = Array.from({ length: count }, (_, i) => {
    const copy = Buffer.from(record);
    copy[copy.length - 1]! ^= i + 1;
    return copy;
  });
  const head = Buffer.from(bytes.subarray(0, begin));
  head.writeUInt16BE(1 + count, 6);
  head.writeUInt16BE(0, 8);
  head.writeUInt16BE(0, 10);
  return Buffer.concat([head, bytes.subarray(begin, behind), ...spoilt]).subarray(0, 16000);
}
