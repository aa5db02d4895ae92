/**
 * Rules of routing beside Linux's: the same tables and rules in a namespace and in a simulated machine, and the same
 * packets. Linux says by `ip route get` where each would go, the machine by sending it there.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { type Frame } from "../../tools/sim/frames.ts";
import { Random } from "../../tools/sim/random.ts";
import { MILLISECOND } from "../../tools/sim/simulation.ts";
import { Domain, SocketError, SocketOption, Sockets } from "../../tools/sim/sockets.ts";
import { Namespace, namespaceTrouble } from "../../tools/qemu/namespace.ts";
import { pass, Routed } from "../sim/routing/network.ts";

const trouble = namespaceTrouble();
const LINKS = [1, 2, 3];
const ROUTERS = [253, 254];
const TABLES = [100, 200, 300];
const ACTIONS = ["blackhole", "unreachable", "prohibit"];

const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];

/** Host `host` of subnet `m` of network `n`; the machine's links are in subnet 0 of networks 1 to 3. */
const address = (family: Family, n: number, m: number, host: number): string =>
  family === 4
    ? `10.${n}.${m}.${host}`
    : `2001:db8:${n}:${m || ""}${m ? ":" : ""}:${host.toString(16)}`;

/** A prefix around that subnet. */
function prefix(family: Family, n: number, m: number, length: number): string {
  if (length === 0) return family === 4 ? "0.0.0.0/0" : "::/0";
  if (family === 4) {
    const bits = ((10 << 24) | (n << 16) | (m << 8)) >>> 0;
    const network = (bits & (2 ** 32 - 2 ** (32 - length))) >>> 0;
    return `${[24, 16, 8, 0].map((shift) => (network >>> shift) & 255).join(".")}/${length}`;
  }
  const [high, low] = [n, m].map((part, i) => {
    const kept = Math.min(16, Math.max(0, length - 32 - 16 * i));
    return part & (0x10000 - 2 ** (16 - kept));
  });
  return `2001:db8:${high!.toString(16)}:${low!.toString(16)}::/${length}`;
}

const MARKS: [value: number, mask: number][] = [
  [0, 1],
  [1, 1],
  [2, 2],
  [1, 3],
  [3, 3],
];
const LENGTHS = { 4: [0, 8, 15, 16, 22, 24], 6: [0, 32, 47, 48, 62, 64] };

interface Rule {
  family: Family;
  from?: string;
  to?: string;
  iif?: string;
  mark?: [value: number, mask: number];
  priority: number;
  table?: number;
  suppress?: number;
  action?: string;
}

interface Route {
  family: Family;
  to: string;
  link: number;
  router: number;
  table: number;
}

interface Packet {
  family: Family;
  to: string;
  /** Of what passes: its source, and the link that it comes by. */
  from?: string;
  link?: number;
  /** Of our own. */
  mark: number;
}

class Plan {
  readonly routes: Route[] = [];
  rules: Rule[] = [];
  readonly packets: Packet[] = [];

  constructor(private readonly random: Random) {
    for (const family of FAMILIES) {
      const there = new Set<string>();
      for (let i = 0; i < 26; i++) {
        const table = this.one([254, ...TABLES]);
        const to = this.prefix(family);
        // What links have themselves, and a prefix of one table once: Linux knows no equals.
        const isLink = LINKS.some((n) => prefix(family, n, 0, LENGTHS[family].at(-1)!) === to);
        if (isLink || there.has(`${table} ${to}`)) continue;
        there.add(`${table} ${to}`);
        this.routes.push({ family, to, link: this.one(LINKS), router: this.one(ROUTERS), table });
      }
      for (let i = 0; i < 14; i++) this.rules.push(this.rule(family));
      for (let i = 0; i < 90; i++) this.packets.push(this.packet(family));
    }
  }

  private one<T>(values: readonly T[]): T {
    return values[this.random.integer(0, values.length - 1)]!;
  }

  private maybe<T>(chance: number, make: () => T): T | undefined {
    return this.random.float() < chance ? make() : undefined;
  }

  private prefix(family: Family): string {
    const { random } = this;
    return prefix(family, random.integer(1, 6), random.integer(0, 3), this.one(LENGTHS[family]));
  }

  private rule(family: Family): Rule {
    const table = this.maybe(0.85, () => this.one([254, ...TABLES]));
    return {
      family,
      ...defined({
        from: this.maybe(0.5, () => this.prefix(family)),
        to: this.maybe(0.4, () => this.prefix(family)),
        iif: this.maybe(0.4, () => this.one(["lo", "eth0", "eth1", "eth2"])),
        mark: this.maybe(0.2, (): [number, number] => this.one(MARKS)),
        table,
        suppress:
          table === undefined ? undefined : this.maybe(0.3, () => this.one(LENGTHS[family])),
        action: table === undefined ? this.one(ACTIONS) : undefined,
      }),
      priority: this.one([5, 10, 15, 20, 40000]),
    };
  }

  private packet(family: Family): Packet {
    const { random } = this;
    const any = (): string =>
      address(family, random.integer(1, 6), random.integer(0, 3), random.integer(20, 200));
    const own = random.float() < 0.3;
    if (own) return { family, to: any(), mark: random.integer(0, 3) };
    return { family, to: any(), from: any(), link: this.one(LINKS), mark: 0 };
  }

  /** Of one family for `ip -batch`. */
  linux(family: Family): string {
    const routes = this.routes
      .filter((route) => route.family === family)
      .map(
        ({ to, link, router, table }) =>
          `route add ${to} via ${address(family, link, 0, router)} dev eth${link - 1} table ${table}`,
      );
    const rules = this.rules
      .filter((rule) => rule.family === family)
      .map(({ from, to, iif, mark, priority, table, suppress, action }) =>
        [
          `rule add priority ${priority}`,
          ...(from ? [`from ${from}`] : []),
          ...(to ? [`to ${to}`] : []),
          ...(iif ? [`iif ${iif}`] : []),
          ...(mark ? [`fwmark ${mark.join("/")}`] : []),
          ...(table ? [`lookup ${table}`] : [action]),
          ...(suppress === undefined ? [] : [`suppress_prefixlength ${suppress}`]),
        ].join(" "),
      );
    return [...routes, ...rules].join("\n");
  }

  /** Does without the rules of these lines of `linux`, from 1. */
  forget(family: Family, lines: readonly number[]): void {
    const routes = this.routes.filter((route) => route.family === family).length;
    const rules = this.rules.filter((rule) => rule.family === family);
    const gone = new Set(lines.map((line) => rules[line - 1 - routes]));
    this.rules = this.rules.filter((rule) => !gone.has(rule));
  }

  /** For the kernel. */
  words(): string {
    const routes = this.routes.map(
      ({ family, to, link, router, table }) =>
        `route=${to},${address(family, link, 0, router)},table=${table}`,
    );
    const rules = this.rules.map((rule) => {
      const { family, from, to, iif, mark, priority, table, suppress, action } = rule;
      // Linux's are of one family: here that is what a prefix says.
      const all = from || to ? from : prefix(family, 0, 0, 0);
      return `rule=${[
        ...(all ? [`from=${all}`] : []),
        ...(to ? [`to=${to}`] : []),
        ...(iif ? [`iif=${iif}`] : []),
        ...(mark ? [`mark=${mark.join("/")}`] : []),
        `priority=${priority}`,
        ...(suppress === undefined ? [] : [`suppress=${suppress}`]),
        table ? `table=${table}` : action,
      ].join(",")}`;
    });
    return [...routes, ...rules].join(" ");
  }
}

function defined<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

/** Where Linux would send each packet: a first hop, or how it refuses. */
function linuxSays(network: Namespace, family: Family, packets: readonly Packet[]): string[] {
  const lines = packets.map(({ to, from, link, mark }) =>
    [
      `route get ${to}`,
      ...(from ? [`from ${from} iif eth${link! - 1}`] : []),
      ...(mark ? [`mark ${mark}`] : []),
    ].join(" "),
  );
  const { stdout, stderr } = batch(network, family, lines.join("\n"), ["-o", "-force"]);
  const failed = new Map<number, string>();
  let reason = "";
  for (const line of stderr.split("\n")) {
    const at = /^Command failed -:(\d+)/.exec(line)?.[1];
    if (at) failed.set(Number(at), reason);
    else reason = line;
  }
  const said = stdout.split("\n").filter((line) => line !== "");
  return packets.map((_, i) => {
    const error = failed.get(i + 1);
    const line = error ?? said.shift() ?? "nothing";
    if (/Invalid argument|^blackhole/.test(line)) return "blackhole";
    if (/Network is unreachable|No route to host|^unreachable/.test(line)) return "unreachable";
    if (/Permission denied|^prohibit/.test(line)) return "prohibit";
    const via = / via (\S+)/.exec(line)?.[1];
    const dev = / dev eth(\d)/.exec(line)?.[1];
    return dev === undefined ? line : (via ?? `link ${Number(dev) + 1}`);
  });
}

function batch(network: Namespace, family: Family, commands: string, options: string[] = []) {
  const words = ["netns", "exec", network.name, "ip", `-${family}`, ...options, "-batch", "-"];
  return spawnSync("ip", words, { input: `${commands}\n`, encoding: "utf8", maxBuffer: 1 << 26 });
}

/** Where the machine sends each packet. */
function machineSays(plan: Plan): string[] {
  const network = new Routed(`redirects=off ${plan.words()}`, LINKS.length);
  try {
    const isAmong = (n: number, ip: string): boolean =>
      ip.startsWith(address(4, n, 0, 1).slice(0, -1)) ||
      (ip.startsWith(`2001:db8:${n}::`) && ip.length < 24);
    const taken: string[] = [];
    const peers = LINKS.map((n) => {
      const routers = ROUTERS.map((host) => network.peer(n, host));
      const others = [1, ...ROUTERS].flatMap((host) => [
        address(4, n, 0, host),
        address(6, n, 0, host),
      ]);
      const all = network.peer(n, 9, {
        alsoAnswers: (ip) => isAmong(n, ip) && !others.includes(ip),
      });
      for (const peer of [...routers, all]) {
        peer.handler = (frame: Frame) => {
          const { udp, icmp, icmp6 } = frame;
          if (udp) taken.push(peer === all ? `link ${n}` : peer.addressFor(frame.ip!.destination));
          else if (icmp?.type === 3 || icmp6?.type === 1) {
            const code = (icmp ?? icmp6)!.code;
            taken.push(
              code === 0 ? "unreachable" : code === (icmp ? 13 : 1) ? "prohibit" : `${code}`,
            );
          }
          return udp !== undefined;
        };
      }
      return all;
    });
    const sockets = new Sockets(network.router);
    return plan.packets.map(({ family, to, from, link, mark }) => {
      taken.length = 0;
      if (from) {
        pass(peers[link! - 1]!, to, { source: from });
      } else {
        const socket = sockets.datagram(family === 4 ? Domain.Inet : Domain.Inet6);
        try {
          sockets.setOption(socket, SocketOption.Mark, mark);
          sockets.sendTo(socket, Uint8Array.of(1), to, 9);
        } catch (error) {
          if (!(error instanceof SocketError)) throw error;
          const errors: { [errno: number]: string } = {
            22: "blackhole",
            101: "unreachable",
            13: "prohibit",
          };
          return errors[error.errno] ?? String(error);
        } finally {
          sockets.close(socket);
        }
      }
      network.simulation.run(100 * MILLISECOND);
      return taken[0] ?? "blackhole";
    });
  } finally {
    network.router.release();
  }
}

describe("rules of routing are Linux's", { skip: trouble ?? false }, () => {
  let network: Namespace;

  before(() => {
    network = new Namespace();
    const run = (...words: string[]): void => {
      const { status, stderr } = network.run(words);
      assert.equal(status, 0, `${words.join(" ")}: ${stderr}`);
    };
    run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
    for (const name of ["all", "default"]) {
      run(
        "sysctl",
        "-qw",
        `net.ipv4.conf.${name}.rp_filter=0`,
        `net.ipv4.conf.${name}.send_redirects=0`,
      );
      run("sysctl", "-qw", `net.ipv6.conf.${name}.disable_ipv6=0`);
    }
    for (const n of LINKS) {
      const name = `eth${n - 1}`;
      run("ip", "link", "add", name, "type", "veth", "peer", "name", `far${n}`);
      for (const end of [name, `far${n}`]) run("ip", "link", "set", end, "up");
      run("ip", "address", "add", `${address(4, n, 0, 1)}/24`, "dev", name);
      run("ip", "address", "add", `${address(6, n, 0, 1)}/64`, "dev", name, "nodad");
    }
  });
  after(() => network.delete());

  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`plan ${seed}`, () => {
      const plan = new Plan(new Random(seed));
      try {
        for (const family of FAMILIES) {
          const { stderr } = batch(network, family, plan.linux(family), ["-force"]);
          const failed = [...stderr.matchAll(/^(.*)\nCommand failed -:(\d+)$/gm)];
          // To Linux a rule that looks at less than one of its priority, which does the same, is there.
          for (const [, why] of failed) assert.equal(why, "RTNETLINK answers: File exists");
          plan.forget(
            family,
            failed.map(([, , line]) => Number(line)),
          );
        }
        // Packets of the one family come before those of the other.
        const ask = (of: (packet: Packet) => Packet): string[] =>
          FAMILIES.flatMap((family) =>
            linuxSays(network, family, plan.packets.filter((one) => one.family === family).map(of)),
          );
        const back = ask(({ family, from, to }) => ({ family, to: from ?? to, mark: 0 }));
        // Nobody hears of a refusal if our own error to him is refused.
        const linux = ask((packet) => packet).map((hop, i) =>
          plan.packets[i]!.from && ACTIONS.includes(hop) && ACTIONS.includes(back[i]!)
            ? "blackhole"
            : hop,
        );
        const machine = machineSays(plan);
        const differ = plan.packets.flatMap((packet, i) =>
          linux[i] === machine[i] ? [] : [{ ...packet, linux: linux[i], machine: machine[i] }],
        );
        assert.deepEqual(differ.slice(0, 5), [], `${differ.length} differ\n${plan.words()}`);
        assert.ok(new Set(linux).size > 5, `too little of it: ${[...new Set(linux)]}`);
      } finally {
        for (const family of FAMILIES) {
          const lines = plan.linux(family).split("\n").reverse();
          const undo = lines.map((line) => line.replace(" add ", " del ")).join("\n");
          batch(network, family, undo, ["-force"]);
        }
      }
    });
  }
});
