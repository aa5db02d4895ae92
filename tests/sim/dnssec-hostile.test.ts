import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe } from "node:test";
import { Syscall } from "../../sdk/assembly/syscalls.ts";
import {
  CODE,
  type DnsMessage,
  type DnsRecord,
  DnsServer,
  TYPE,
  a,
  soa,
  wireName,
} from "../../tools/sim/dns.ts";
import {
  type ZoneKey,
  ZONE_KEY,
  anchorOf,
  keyOfTag,
  keysOf,
  makeKey,
  signatureOf,
} from "../../tools/sim/dnssec.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import { SECOND } from "../../tools/sim/simulation.ts";
import { SocketError, Sockets } from "../../tools/sim/sockets.ts";
import { counters, held } from "./counters.ts";
import { simulate, type World } from "./harness.ts";

/**
 * Zones that are made to cost whoever validates them (CVE-2023-50387, KeyTrap; CVE-2023-50868; both of "The Harder You Try,
 * The Harder You Fail", 2024). What is counted is what costs: signatures tried, and names hashed.
 */

const EBADMSG = 74;
const ENOENT = 2;
const V4 = 0x1_0000;
const ZONE = "trap.example";
const NOW = 1_800_000_000;
const period = { begins: NOW - 86_400, ends: NOW + 86_400 };

type Answers = (name: string, type: number) => Partial<DnsMessage>;

interface Bench {
  machine: Machine;
  servers: DnsServer[];
  /** Looks a name up: its errno, 0 for found. */
  look(name: string, what?: number): number;
  /** What it has cost since the last call. */
  cost(): { signatures: number; hashes: number };
}

function bench(world: World, key: ZoneKey, answers: Answers, servers = 1): Bench {
  const addresses = Array.from({ length: servers }, (_, i) => `10.0.0.${i + 11}`);
  const list = addresses.map(
    (address) =>
      new DnsServer(
        world.peer(address),
        ({ name, type }) => answers(name.toLowerCase(), type),
        true,
      ),
  );
  const { machine } = world.ready({
    commandLine: `dns=${addresses.join(",")} dnssec=on anchor=${anchorOf(ZONE, key)}`,
    wallClock: BigInt(NOW) * 1_000_000_000n,
  });
  const sockets = new Sockets(machine);
  const look = (name: string, what = V4): number => {
    machine.syscall(Syscall.Events, 0);
    world.run(SECOND / 100);
    const lookup = sockets.resolve(`${name}.`, what);
    let errno = -1;
    const over = (): boolean => {
      try {
        if (sockets.resolved(lookup) !== null) errno = 0;
      } catch (error) {
        if (!(error instanceof SocketError)) throw error;
        errno = error.errno;
      }
      return errno >= 0;
    };
    world.simulation.until(over, 60 * SECOND, `no end of ${name}`);
    return errno;
  };
  let before = { signatures: 0, hashes: 0 };
  const cost = () => {
    const { signatures, hashes } = counters(machine, "dns") as { [name: string]: number };
    const spent = { signatures: signatures! - before.signatures, hashes: hashes! - before.hashes };
    before = { signatures: signatures!, hashes: hashes! };
    return spent;
  };
  return { machine, servers: list, look, cost };
}

/** Signatures over a set that nobody made, all of them with one key's tag. */
function wrongSignatures(key: ZoneKey, set: DnsRecord[], count: number): DnsRecord[] {
  const good = signatureOf(key, ZONE, set, period);
  return Array.from({ length: count }, (_, i) => {
    const data = Buffer.from(good.data);
    data.writeUInt32BE((data.readUInt32BE(data.length - 8) + i + 1) >>> 0, data.length - 8);
    return { ...good, data };
  });
}

describe("hostile zones", () => {
  for (const [algorithm, bits] of [
    ["RSASHA256", 1024],
    ["ED25519", 0],
  ] as const) {
    const key = makeKey(algorithm, undefined, bits);
    // 24 keys of one tag beside it, and as many signatures: 600 that could be tried.
    const signer = makeKey(algorithm, ZONE_KEY, bits);
    const keys = keysOf(ZONE, [
      key.data,
      signer.data,
      ...Array.from({ length: 24 }, (_, i) => keyOfTag(signer, signer.tag, i)),
    ]);
    const answers: Answers = (name, type) => {
      if (name === ZONE && type === TYPE.DNSKEY) {
        return { answers: [...keys, signatureOf(key, ZONE, keys, period)] };
      }
      const set = [a(name, "192.0.2.1")];
      // One name is honest, and its signature is the first key's to have made.
      const signatures = name.startsWith("good")
        ? [signatureOf(signer, ZONE, set, period)]
        : wrongSignatures(signer, set, 24);
      return { answers: [...set, ...signatures] };
    };

    simulate(`${algorithm}: keys of one tag, and signatures, by dozens (KeySigTrap)`, (world) => {
      const { machine, look, cost } = bench(world, key, answers);
      assert.equal(look(`www.${ZONE}`), EBADMSG);
      const { signatures } = cost();
      // The set of keys' own, and then eight that are wrong.
      assert.ok(signatures <= 9, `${signatures} signatures tried`);
      // The name is known to be bogus for a while: it costs nothing then.
      assert.equal(look(`www.${ZONE}`), EBADMSG);
      assert.equal(cost().signatures, 0);
      // Another name of the zone costs the same again, and no more.
      assert.equal(look(`web.${ZONE}`), EBADMSG);
      assert.ok(cost().signatures <= 8);
      assert.equal(held(machine), 0);
    });

    simulate(`${algorithm}: of several servers not each may cost as much again`, (world) => {
      const { servers, look, cost } = bench(world, key, answers, 3);
      assert.equal(look(`www.${ZONE}`), EBADMSG);
      const { signatures } = cost();
      assert.ok(signatures <= 17, `${signatures} signatures tried`);
      assert.ok(servers.filter(({ log }) => log.some(({ type }) => type === TYPE.A)).length <= 2);
    });
  }

  simulate("a set of keys with dozens of signatures by one of them (SigTrap)", (world) => {
    const key = makeKey("RSASHA256");
    const keys = keysOf(ZONE, [key.data]);
    const { look, cost } = bench(world, key, (name, type) =>
      type === TYPE.DNSKEY
        ? { answers: [...keys, ...wrongSignatures(key, keys, 30)] }
        : { answers: [a(name, "192.0.2.1")] },
    );
    assert.equal(look(`www.${ZONE}`), EBADMSG);
    assert.ok(cost().signatures <= 8);
  });

  simulate("DS records and keys of one tag by dozens (HashTrap)", (world) => {
    const key = makeKey("RSASHA256", undefined, 1024);
    const child = `child.${ZONE}`;
    const trap = makeKey("RSASHA256", undefined, 1024);
    const parent = keysOf(ZONE, [key.data]);
    const lies = keysOf(
      child,
      Array.from({ length: 60 }, (_, i) => {
        const data = keyOfTag(trap, trap.tag, i);
        return data;
      }),
    );
    const ds = Array.from({ length: 40 }, (_, i) => ({
      name: child,
      type: TYPE.DS,
      data: Buffer.concat([
        Buffer.of(trap.tag >> 8, trap.tag & 255, trap.algorithm, 2),
        createHash("sha256").update(`${i}`).digest(),
      ]),
    }));
    const { machine, look, cost } = bench(world, key, (name, type) => {
      if (type === TYPE.DNSKEY && name === ZONE) {
        return { answers: [...parent, signatureOf(key, ZONE, parent, period)] };
      }
      if (type === TYPE.DS) return { answers: [...ds, signatureOf(key, ZONE, ds, period)] };
      if (type === TYPE.DNSKEY) return { answers: [...lies, ...wrongSignatures(trap, lies, 1)] };
      const set = [a(name, "192.0.2.1")];
      return { answers: [...set, signatureOf(trap, child, set, period)] };
    });
    assert.equal(look(`www.${child}`), EBADMSG);
    // That of the zone's own keys, and of its DS records.
    assert.ok(cost().signatures <= 2);
    assert.equal(held(machine), 0);
  });

  // ---- NSEC3 ---------------------------------------------------------------------------------

  const BASE32 = "0123456789abcdefghijklmnopqrstuv";
  const base32 = (bytes: Uint8Array): string => {
    const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
    return bits
      .match(/.{5}/g)!
      .map((five) => BASE32[parseInt(five, 2)])
      .join("");
  };
  const hashOf = (name: string, iterations: number, salt: Buffer): Buffer => {
    let sum = createHash("sha1").update(wireName(name)).update(salt).digest();
    for (let i = 0; i < iterations; i++) sum = createHash("sha1").update(sum).update(salt).digest();
    return sum;
  };
  /** An NSEC3 record from just before a hash to just behind it, or whose owner it is. */
  const nsec3 = (hash: Buffer, gap: boolean, iterations: number, salt: Buffer): DnsRecord => {
    const from = Buffer.from(hash);
    const to = Buffer.from(hash);
    if (gap) from[19]! -= 1;
    to[19]! += 1;
    const fields = Buffer.of(1, 0, iterations >> 8, iterations & 255, salt.length);
    const data = Buffer.concat([fields, salt, Buffer.of(20), to, Buffer.of(0, 1, 0x40)]);
    return { name: `${base32(from)}.${ZONE}`, type: TYPE.NSEC3, ttl: 60, data };
  };
  const deep = (labels: number): string => `${"x.".repeat(labels)}${ZONE}`;

  /** A zone that proves of each name that it does not exist, as honestly as its NSEC3 parameters let it. */
  function denying(key: ZoneKey, iterations: number, salt: Buffer): Answers {
    const keys = keysOf(ZONE, [key.data]);
    return (name, type) => {
      if (type === TYPE.DNSKEY && name === ZONE) {
        return { answers: [...keys, signatureOf(key, ZONE, keys, period)] };
      }
      if (name === ZONE) return { answers: [a(name, "192.0.2.1")] };
      const labels = name.split(".");
      const next = labels.slice(labels.length - 3).join(".");
      const sets = [
        nsec3(hashOf(ZONE, iterations, salt), false, iterations, salt),
        nsec3(hashOf(next, iterations, salt), true, iterations, salt),
        nsec3(hashOf(`*.${ZONE}`, iterations, salt), true, iterations, salt),
      ];
      const start = soa(ZONE, 300);
      return {
        flags: 0x8180 | CODE.NXDOMAIN,
        authorities: [start, signatureOf(key, ZONE, [start], period)].concat(
          sets.flatMap((set) => [set, signatureOf(key, ZONE, [set], period)]),
        ),
      };
    };
  }

  const key = makeKey("ED25519");
  const salt = Buffer.alloc(255, 7);

  simulate("names that do not exist cost what their labels do, once (RFC 5155)", (world) => {
    const { look, cost } = bench(world, key, denying(key, 0, Buffer.alloc(0)));
    assert.equal(look(`nobody.${ZONE}`), ENOENT);
    assert.deepEqual(cost(), { signatures: 4, hashes: 4 });
    assert.equal(look(deep(20)), ENOENT);
    const { hashes } = cost();
    assert.ok(hashes <= 23, `${hashes} names hashed`);
  });

  simulate(
    "names of very many labels, hashed as often as is done, are bounded (CVE-2023-50868)",
    (world) => {
      const { machine, look, cost } = bench(world, key, denying(key, 50, salt));
      assert.equal(look(`nobody.${ZONE}`), ENOENT);
      cost();
      // 100 labels of the name, with 51 rounds of 275 bytes each.
      assert.equal(look(deep(100)), EBADMSG);
      const { hashes } = cost();
      assert.ok(hashes <= 64, `${hashes} names hashed`);
      assert.equal(held(machine), 0);
    },
  );

  simulate(
    "more rounds than 50 are not made: the zone counts as unsigned (RFC 9276, 3.2)",
    (world) => {
      for (const rounds of [51]) {
        const { look, cost } = bench(world, key, denying(key, rounds, salt));
        assert.equal(look(deep(100)), ENOENT);
        assert.equal(cost().hashes, 0);
        break;
      }
    },
  );

  simulate("what is proven not to be has nothing below (RFC 8020)", (world) => {
    const { servers, look } = bench(world, key, denying(key, 0, Buffer.alloc(0)));
    assert.equal(look(`nobody.${ZONE}`), ENOENT);
    const asked = servers[0]!.log.length;
    assert.equal(look(`www.nobody.${ZONE}`), ENOENT);
    assert.equal(look(`a.b.c.nobody.${ZONE}`, 16), ENOENT);
    assert.equal(servers[0]!.log.length, asked, "asked of what is known");
    // As long as it is known.
    world.run(301 * SECOND);
    assert.equal(look(`www.nobody.${ZONE}`), ENOENT);
    assert.ok(servers[0]!.log.length > asked);
  });
});
