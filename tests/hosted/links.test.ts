/**
 * VLANs, tunnels, a bridge and a peer of build/skerry-hosted, with another Linux at the other end of each (uml.ts).
 * Both ask each other, for themselves and for a network behind Skerry, with packets of every size; tshark reads what
 * passed on the Ethernet between them.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Namespace, TAP, namespaceTrouble } from "../../tools/qemu/namespace.ts";
import { damagedFrames } from "../qemu/lib.ts";
import { HostedMachine } from "./machine.ts";
import { LinuxPeer, linuxTrouble } from "./uml.ts";

const trouble =
  namespaceTrouble() ??
  linuxTrouble() ??
  (spawnSync("which", ["tshark"]).status ? "needs tshark" : null);

/** The ends of all tunnels: Skerry's and Linux's. */
const OWN = { v4: "10.0.0.1", v6: "fd00::1" };
const OTHER = { v4: "10.0.0.9", v6: "fd00::9" };
const ends4 = `local ${OTHER.v4} remote ${OWN.v4}`;
const ends6 = `local ${OTHER.v6} remote ${OWN.v6}`;
const MODULES = ["ipv6", "8021q", "ip_gre", "ipip", "sit", "ip6_tunnel", "ip6_gre"];

/** A link of both families: 10.N.0.1 and fd00:N::1 are Skerry's, 10.N.0.2 and fd00:N::2 Linux's. */
interface Link {
  what: string;
  n: number;
  /** Skerry's name for it, its word, and the rest of the word's options. */
  name: string;
  word?: string;
  options?: string;
  /** What makes the same on Linux, and the names there: of both families, or of each. */
  make: string;
  device: string;
  device6?: string;
  /** What a packet of 1,500 bytes has no room for in it. */
  mtu?: number;
  /** How tshark tells its packets, at least one of each. */
  filters: string[];
}

const LINKS: Link[] = [
  {
    what: "VLAN",
    n: 5,
    name: "eth0.5",
    make: "ip link add link vec0 name v5 type vlan id 5",
    device: "v5",
    filters: ["vlan.id == 5 && icmp", "vlan.id == 5 && icmpv6", "vlan.id == 5 && tcp"],
  },
  {
    what: "VLAN in a provider's VLAN",
    n: 7,
    name: "eth0.6.7",
    word: "eth0.6=proto=802.1ad eth0.6.7=",
    make:
      "ip link add link vec0 name outer type vlan proto 802.1ad id 6; ip link set outer up; " +
      "ip link add link outer name inner type vlan id 7; ip link set inner mtu 1496",
    device: "inner",
    mtu: 1496,
    filters: ["ieee8021ad.id == 6 && vlan.id == 7 && tcp"],
  },
  {
    what: "GRE with key, sequence numbers and checksums",
    n: 11,
    name: "gre1",
    options: `local=${OWN.v4},remote=${OTHER.v4},key=7,seq,csum`,
    make: `ip link add g1 type gre ${ends4} key 7 seq csum`,
    device: "g1",
    mtu: 1464,
    filters: ["gre.key == 7 && gre.sequence_number && ip && tcp", "gre.key == 7 && icmpv6"],
  },
  {
    what: "GRE",
    n: 12,
    name: "gre2",
    options: `remote=${OTHER.v4}`,
    make: `ip link add g2 type gre ${ends4}`,
    device: "g2",
    mtu: 1476,
    filters: ["gre && !gre.key && !ipv6 && icmp", "gre && !gre.key && ipv6 && tcp"],
  },
  {
    what: "GRE over IPv6",
    n: 13,
    name: "gre3",
    options: `local=${OWN.v6},remote=${OTHER.v6},key=1.2.3.4`,
    make: `ip link add g3 type ip6gre ${ends6} key 1.2.3.4 encaplimit none`,
    device: "g3",
    mtu: 1452,
    filters: ["gre.key == 0x01020304 && ipv6.dst == fd00::9 && tcp"],
  },
  {
    what: "IP in IPv4",
    n: 14,
    name: "ipip1",
    options: `local=${OWN.v4},remote=${OTHER.v4}`,
    // Linux has a device for each family.
    make: `ip link add i4 type ipip ${ends4}; ip link add s4 type sit ${ends4}`,
    device: "i4",
    device6: "s4",
    mtu: 1480,
    filters: ["ip.proto == 4 && icmp", "ip.proto == 41 && icmpv6", "ip.proto == 41 && tcp"],
  },
  {
    what: "IP in IPv6",
    n: 15,
    name: "ipip2",
    options: `remote=${OTHER.v6},local=${OWN.v6}`,
    // With the option of RFC 2473, 4.1.1, as Linux has it unless told.
    make: `ip link add t6 type ip6tnl mode any ${ends6}`,
    device: "t6",
    mtu: 1460,
    filters: ["ipv6.nxt == 4 && icmp", "ipv6.nxt == 41 && tcp", "ipv6.opt.tel == 4"],
  },
  {
    what: "peer, a station without a subnet",
    n: 8,
    name: "eth0.8",
    options: "10.8.0.1,peer=10.8.0.2,fd00:8::1,peer=fd00:8::2",
    make:
      "ip link add link vec0 name v8 type vlan id 8; ip link set v8 up; ip address add 10.8.0.2 peer 10.8.0.1 dev v8; " +
      "ip -6 address add fd00:8::2 peer fd00:8::1 dev v8 nodad",
    device: "v8",
    filters: ["vlan.id == 8 && arp", "vlan.id == 8 && tcp"],
  },
];

/** VLAN 9 of the Ethernet is in a bridge with another: the Linux of this machine is there, 10.9.0.3. */
const BRIDGE = { v4: "10.9.0.", v6: "fd00:9::" };
const BRIDGED: Pick<Link, "what" | "filters"> = {
  what: "a bridge of a VLAN and a card",
  filters: ["vlan.id == 9 && ip.src == 10.9.0.3 && tcp", "vlan.id == 9 && ipv6.src == fd00:9::3"],
};
/** Behind Skerry's eth1: for each link the addresses 10.64.N.1 and fd00:64:N::1. */
const inside = (n: number): [string, string] => [`10.64.${n}.1`, `fd00:64:${n}::1`];
const PAGE_BYTES = 100_000;

const wordOf = ({ name, word = `${name}=`, options, n, what }: Link): string => {
  if (what.startsWith("peer")) return word + options;
  return `${word}${options ? `${options},` : ""}10.${n}.0.1/30,fd00:${n}::1/64`;
};

const linuxOf = ({ n, make, device, device6 = device, what }: Link): string[] => [
  ...make.split("; "),
  ...new Set([device, device6].map((one) => `ip link set ${one} up`)),
  ...(what.startsWith("peer")
    ? []
    : [
        `ip address add 10.${n}.0.2/30 dev ${device}`,
        `ip -6 address add fd00:${n}::2/64 dev ${device6} nodad`,
      ]),
  `ip route add 10.64.${n}.0/24 via 10.${n}.0.1 dev ${device}`,
  `ip -6 route add fd00:64:${n}::/48 via fd00:${n}::1 dev ${device6}`,
];

const url = (address: string, path: string): string =>
  `http://${address.includes(":") ? `[${address}]` : address}/${path}`;
const curl = (address: string, path: string, ...more: string[]): string[] => [
  ...["curl", "-gsS", "--max-time", "60", "-o", "/dev/null", ...more],
  ...["-w", "%{http_code} %{size_download}\\n", url(address, path)],
];
/** One that is answered soon, or some of which the first may be told that they are too big. */
const ping = (address: string, bytes: number, ...more: string[]): string[] => [
  ...["ping", "-n", ...(more.length ? ["-c", "3", "-W", "20"] : ["-c", "1", "-w", "20"])],
  ...["-i", "0.1", "-s", `${bytes}`, ...more, address],
];

/** What Linux is to do with a link: it says so of each that went well. */
function asks(n: number, address: string): string[] {
  const told = (what: string): string => `echo "${what} ${n} ${address}" || echo "no ${what} ${n}"`;
  return [
    // A small packet, one that is too large for any link, and all sizes that TCP makes.
    `${ping(address, 56).join(" ")} >/dev/null && ${told("answered")}`,
    `${ping(address, 3000).join(" ")} >/dev/null && ${told("pieced")}`,
    `${curl(address, "")
      .join(" ")
      .replace(/%.*\\n/, '"$&"')} | grep -q "^200 " && ${told("served")}`,
  ];
}

describe("links over links, with Linux at the other end", { skip: trouble ?? false }, () => {
  let wire: Namespace;
  let behind: Namespace;
  let bridged: Namespace;
  let machine: HostedMachine;
  let linux: LinuxPeer;
  let tshark: ChildProcess;
  const scratch = mkdtempSync(join(tmpdir(), "skerry-links-"));
  const capture = join(scratch, "links.pcap");
  const own = (n: number): string[] => [`10.${n}.0.1`, `fd00:${n}::1`];
  const other = (n: number): string[] => [`10.${n}.0.2`, `fd00:${n}::2`];

  const said = (): string => `${linux.output}\n${machine.output}`;

  before(async () => {
    const site = join(scratch, "site");
    mkdirSync(site);
    writeFileSync(join(site, "page"), "x".repeat(PAGE_BYTES));
    wire = new Namespace({ address: "10.255.0.1/24" });
    behind = new Namespace({ address: "10.64.0.1/16", address6: "fd00:64::1/32" });
    bridged = new Namespace({ address: `${BRIDGE.v4}3/24`, address6: `${BRIDGE.v6}3/64` });
    for (const { n } of LINKS) {
      const [v4, v6] = inside(n);
      behind.run(["ip", "address", "add", `${v4}/16`, "dev", TAP]);
      behind.run(["ip", "-6", "address", "add", `${v6}/32`, "dev", TAP, "nodad"]);
    }
    behind.run(["ip", "route", "add", "default", "via", "10.64.0.254"]);
    behind.run(["ip", "-6", "route", "add", "default", "via", "fd00:64::ff"]);
    tshark = wire.spawn(["tshark", "-q", "-i", TAP, "-w", capture]);
    await new Promise<void>((resolve, reject) => {
      tshark.once("close", () => reject(new Error("tshark ended")));
      let text = "";
      tshark.stderr!.on("data", (chunk) => /Capturing on/.test((text += chunk)) && resolve());
    });
    const words = [
      `forward=on eth0=${OWN.v4}/24,${OWN.v6}/64 eth1=10.64.0.254/16,fd00:64::ff/32`,
      `br0=ports=eth0.9+eth2,${BRIDGE.v4}1/24,${BRIDGE.v6}1/64`,
      ...LINKS.map(wordOf),
    ];
    machine = new HostedMachine([wire, behind, bridged], words.join(" "));
    for (const { name, n } of LINKS) {
      await machine.says(...own(n).map((it) => new RegExp(`net: ${name} ${it}[/ ]`)));
    }
    await machine.hasAddresses("eth0", OWN.v4, OWN.v6);
    await machine.hasAddresses("eth1", "10.64.0.254", "fd00:64::ff");
    await machine.says(/net: br0 10\.9\.0\.1/, /net: br0 fd00:9::1/);
    const all = [...LINKS.map(({ n }) => [n, ...own(n)]), [9, "10.9.0.3", "fd00:9::3"]];
    linux = new LinuxPeer(wire, join(scratch, "linux"), MODULES, [
      `ip address add ${OTHER.v4}/24 dev vec0`,
      `ip -6 address add ${OTHER.v6}/64 dev vec0 nodad`,
      ...LINKS.flatMap(linuxOf),
      "ip link add link vec0 name v9 type vlan id 9; ip link set v9 up",
      `ip address add ${BRIDGE.v4}2/24 dev v9; ip -6 address add ${BRIDGE.v6}2/64 dev v9 nodad`,
      `busybox httpd -p '[::]:80' -h ${site}`,
      "echo serving",
      ...all.flatMap(([n, ...addresses]) =>
        addresses.flatMap((address) =>
          n === 9 ? asks(9, String(address)).slice(0, 2) : asks(Number(n), String(address)),
        ),
      ),
      "echo all asked",
    ]);
    await linux.says(/all asked/);
  });
  after(async () => {
    await machine?.stop();
    for (const space of [wire, behind, bridged]) space?.delete();
    rmSync(scratch, { recursive: true, force: true });
  });

  const run = async (space: Namespace, words: string[]): Promise<string> => {
    const { status, stdout, stderr } = await space.runAsync(words, 90_000);
    assert.equal(status, 0, `${words.join(" ")}\n${stdout}${stderr}\n${said()}`);
    return stdout;
  };

  for (const { what, n, mtu } of LINKS) {
    test(`${what}: Linux is answered, and served by TCP`, () => {
      for (const address of own(n)) {
        for (const how of ["answered", "pieced", "served"]) {
          assert.ok(
            linux.output.includes(`${how} ${n} ${address}\n`),
            `${how} ${address}\n${said()}`,
          );
        }
      }
    });

    test(`${what}: what is behind Skerry reaches Linux, with packets of every size`, async () => {
      for (const [i, address] of other(n).entries()) {
        const from = inside(n)[i]!;
        await run(behind, ping(address, 56, "-I", from));
        await run(behind, ping(address, 3000, "-I", from));
        const page = await run(behind, curl(address, "page", "--interface", from));
        assert.equal(page, `200 ${PAGE_BYTES}\n`);
        // A packet that does not fit is told of, and what is told is its size.
        const headers = i ? 48 : 28;
        if (!mtu) continue;
        const large = ping(address, 1500 - headers, "-I", from, "-M", "do");
        const { stdout, stderr } = await behind.runAsync(large, 60_000);
        const route = (await run(behind, ["ip", "route", "get", address, "from", from])) + stdout;
        assert.match(route, new RegExp(`mtu[ =]${mtu}`), stderr + said());
        await run(behind, ping(address, mtu - headers, "-I", from, "-M", "do"));
      }
    });
  }

  test("a bridge of a VLAN and a card: stations on both sides reach each other, and Skerry", async () => {
    for (const address of ["10.9.0.3", "fd00:9::3"]) {
      assert.match(linux.output, new RegExp(`answered 9 ${address}\n`), said());
      assert.match(linux.output, new RegExp(`pieced 9 ${address}\n`), said());
    }
    for (const family of [BRIDGE.v4, BRIDGE.v6]) {
      const page = await run(bridged, curl(`${family}2`, "page"));
      assert.equal(page, `200 ${PAGE_BYTES}\n`);
      assert.match(await run(bridged, curl(`${family}1`, "")), /^200 /);
    }
  });

  test("tshark finds what it should be in what passed, and nothing malformed", async () => {
    const ended = new Promise((resolve) => tshark.once("close", resolve));
    tshark.kill("SIGINT");
    await ended;
    // All in one reading: a line of frames and bytes, two columns for each filter.
    const filters = [...LINKS, BRIDGED].flatMap((link) => link.filters);
    const words = ["-r", capture, "-n", "-q", "-z", ["io,stat,0", ...filters].join(",")];
    const { status, stdout, stderr } = await wire.runAsync(["tshark", ...words], 180_000);
    assert.equal(status, 0, stderr);
    const row = /<>(.*)/.exec(stdout)![1]!.split("|").slice(1, -1);
    const frames = row.filter((_, i) => i % 2 === 0).map(Number);
    const none = filters.filter((_, i) => !(frames[i]! > 0));
    assert.deepEqual([none, frames.length], [[], filters.length], stdout);
    assert.deepEqual(await damagedFrames(capture), []);
  });
});
