/**
 * build/skerry-hosted as a router beside one of Linux's whose routes bird made, between two hosts of Linux's; and as a
 * host that nmap looks at. Both families.
 *
 *     left ── eth0 skerry eth1 ── middle (Linux, bird) ── right, over a link of 1,400 bytes
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Namespace, namespaceTrouble } from "../../tools/qemu/namespace.ts";
import { HostedMachine } from "./machine.ts";

const missing = ["bird", "nmap", "mtr", "tracepath", "traceroute"].filter(
  (name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0,
);
const skip = namespaceTrouble() ?? (missing.length ? `needs ${missing.join(", ")}` : false);

const LEFT = ["10.77.1.1", "fd00:77:1::1"] as const;
const SKERRY_LEFT = ["10.77.1.254", "fd00:77:1::ff"] as const;
const SKERRY_RIGHT = ["10.77.2.254", "fd00:77:2::ff"] as const;
const MIDDLE = ["10.77.2.1", "fd00:77:2::1"] as const;
const MIDDLE_RIGHT = ["10.77.3.254", "fd00:77:3::ff"] as const;
const RIGHT = ["10.77.3.1", "fd00:77:3::1"] as const;
const FAMILIES = [0, 1] as const;
const MTU = 1400;

/** What bird gives Linux's routing table: the left network behind Skerry. */
const BIRD = `
router id 10.77.2.1;
protocol device {}
protocol kernel { ipv4 { export all; }; }
protocol kernel { ipv6 { export all; }; }
protocol static { ipv4; route 10.77.1.0/24 via ${SKERRY_RIGHT[0]}; }
protocol static { ipv6; route fd00:77:1::/64 via ${SKERRY_RIGHT[1]}; }
`;

describe("skerry-hosted among routers and tools of others", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "skerry-bird-"));
  let left: Namespace;
  let middle: Namespace;
  let right: Namespace;
  let machine: HostedMachine;

  const must = (space: Namespace, ...words: string[]): string => {
    const { status, stdout, stderr } = space.run(words);
    assert.equal(status, 0, `${words.join(" ")}\n${stdout}${stderr}\n${machine?.output ?? ""}`);
    return stdout;
  };
  const run = async (from: Namespace, ...words: string[]): Promise<string> => {
    const { status, stdout, stderr } = await from.runAsync(words, 120_000);
    assert.equal(status, 0, `${words.join(" ")}\n${stdout}${stderr}\n${machine.output}`);
    return stdout;
  };

  before(async () => {
    left = new Namespace({ address: `${LEFT[0]}/24`, address6: `${LEFT[1]}/64` });
    middle = new Namespace({ address: `${MIDDLE[0]}/24`, address6: `${MIDDLE[1]}/64` });
    right = new Namespace();
    const veth = ["mtu", `${MTU}`, "type", "veth", "peer", "name", "veth0", "mtu", `${MTU}`];
    must(middle, "ip", "link", "add", "veth0", ...veth, "netns", right.name);
    const ends = [
      { space: middle, own: MIDDLE_RIGHT, gateway: null },
      { space: right, own: RIGHT, gateway: MIDDLE_RIGHT },
    ];
    for (const { space, own, gateway } of ends) {
      must(space, "ip", "address", "add", `${own[0]}/24`, "dev", "veth0");
      must(space, "ip", "-6", "address", "add", `${own[1]}/64`, "dev", "veth0", "nodad");
      must(space, "ip", "link", "set", "veth0", "up");
      if (!gateway) continue;
      for (const via of gateway) must(space, "ip", "route", "add", "default", "via", via);
    }
    for (const via of SKERRY_LEFT) must(left, "ip", "route", "add", "default", "via", via);
    must(middle, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
    const cards = [SKERRY_LEFT, SKERRY_RIGHT].map(([v4, v6], i) => `eth${i}=${v4}/24,${v6}/64`);
    const routes = `route=10.77.3.0/24,${MIDDLE[0]} route=fd00:77:3::/64,${MIDDLE[1]}`;
    machine = new HostedMachine([left, middle], `${cards.join(" ")} forward=on ${routes}`);
    await machine.hasAddresses("eth0", ...SKERRY_LEFT);
    await machine.hasAddresses("eth1", ...SKERRY_RIGHT);
    writeFileSync(join(folder, "bird.conf"), BIRD);
    const socket = join(folder, "bird.ctl");
    middle.spawn(["bird", "-f", "-c", join(folder, "bird.conf"), "-s", socket]);
    const learnt = (): boolean =>
      FAMILIES.every((family) =>
        must(middle, "ip", family ? "-6" : "-4", "route").includes("proto bird"),
      );
    for (let i = 0; i < 300 && !learnt(); i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(existsSync(socket) && learnt(), must(middle, "ip", "route"));
  });
  after(async () => {
    await machine?.stop();
    for (const space of [left, middle, right]) space?.delete();
    rmSync(folder, { recursive: true });
  });

  test("the hosts reach each other through both routers", async () => {
    for (const family of FAMILIES) {
      for (const [from, to] of [
        [left, RIGHT],
        [right, LEFT],
      ] as const) {
        const words = ["-n", "-c", "5", "-i", "0.05", "-w", "20", to[family]];
        assert.match(await run(from, "ping", ...words), / 0% packet loss/);
      }
    }
  });

  test("a stream of 20 MB passes, byte for byte, from a path that it does not fit to one that it does", async () => {
    for (const family of FAMILIES) {
      const address = family ? `[${RIGHT[1]}]` : RIGHT[0];
      const listen = family ? "TCP6-LISTEN" : "TCP4-LISTEN";
      const summed = `socat -u ${listen}:${9000 + family},reuseaddr - | sha256sum`;
      const server = right.runAsync(["sh", "-c", summed], 60_000);
      const client = `head -c 20000000 /dev/zero | socat -u - TCP:${address}:${9000 + family},retry=100,interval=0.1`;
      await run(left, "sh", "-c", client);
      const { stdout } = await server;
      const zeroes = spawnSync("sh", ["-c", "head -c 20000000 /dev/zero | sha256sum"], {
        encoding: "utf8",
      });
      assert.equal(stdout, zeroes.stdout);
    }
  });

  test("traceroute, mtr and tracepath see both routers, and what the path carries", async () => {
    for (const family of FAMILIES) {
      const path = [SKERRY_LEFT, MIDDLE, RIGHT].map((hop) => hop[family]);
      const hops = (text: string, pattern: RegExp): string[] =>
        [...text.matchAll(pattern)].map(([, address]) => address!);
      for (const way of [["-U"], ["-I"], ["-T", "-p", "9"]]) {
        const said = await run(
          left,
          "traceroute",
          "-n",
          "-q",
          "1",
          "-w",
          "5",
          ...way,
          RIGHT[family],
        );
        assert.deepEqual(hops(said, /^ *\d+ +(\S+) +[0-9.]+ ms/gm), path, said);
      }
      const report = await run(left, "mtr", "-n", "-r", "-c", "3", "-i", "0.2", RIGHT[family]);
      assert.deepEqual(hops(report, /\|-- (\S+) +0\.0%/g), path, report);
      const found = await run(left, "tracepath", "-n", RIGHT[family]);
      assert.match(found, new RegExp(`Resume: pmtu ${MTU} hops 3`), found);
    }
    // To it, as the last hop.
    for (const family of FAMILIES) {
      const found = await run(right, "tracepath", "-n", SKERRY_RIGHT[family]);
      assert.match(found, new RegExp(`${SKERRY_RIGHT[family]} .*reached`), found);
    }
  });

  test("nmap finds its one open port, the others closed, and that it is up", async () => {
    for (const family of FAMILIES) {
      const six = family ? ["-6"] : [];
      const words = [...six, "-n", "-sS", "-p", "1-200", "-T4", SKERRY_LEFT[family]];
      const said = await run(left, "nmap", ...words);
      assert.match(said, /Host is up/);
      assert.match(said, /199 closed tcp ports \(reset\)/);
      assert.match(said, /^80\/tcp open/m);
      const protocols = await run(
        left,
        "nmap",
        ...six,
        "-n",
        "-sO",
        "-p",
        "1,6,17,58,99",
        "-T4",
        SKERRY_LEFT[family],
      );
      assert.match(protocols, /^6 +open +tcp/m);
      assert.match(protocols, /^99 +closed/m);
      const udp = await run(
        left,
        "nmap",
        ...six,
        "-n",
        "-sU",
        "-p",
        "7,9",
        "-T4",
        SKERRY_LEFT[family],
      );
      assert.match(udp, /^9\/udp +closed/m);
    }
    assert.doesNotMatch(machine.output, /panic|error/);
  });
});
