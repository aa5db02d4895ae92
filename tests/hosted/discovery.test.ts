/**
 * build/skerry-hosted beside Linux and radvd: as a router whose advertisements and redirects Linux follows, and as a
 * host that follows theirs; and what a rogue on the link achieves.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Namespace, TAP, namespaceTrouble } from "../../tools/qemu/namespace.ts";
import { HostedMachine } from "./machine.ts";

const trouble = namespaceTrouble();
const MAC = "52:54:00:12:34:56";

/** Until `holds`, for a minute at most. */
async function until(holds: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(what());
}

const sysctl = (network: Namespace, ...settings: string[]): void => {
  const { status, stderr } = network.run(["sysctl", "-qw", ...settings]);
  assert.equal(status, 0, stderr);
};

describe("skerry-hosted as Linux's router", { skip: trouble ?? false }, () => {
  let host: Namespace;
  let far: Namespace;
  let machine: HostedMachine;

  before(async () => {
    host = new Namespace({ address: "10.77.1.1/24" });
    far = new Namespace({ address: "10.77.2.1/24", address6: "fd00:77:2::1/64" });
    host.run(["ip", "route", "add", "default", "via", "10.77.1.254"]);
    const own = ["all", TAP].flatMap((link) => [
      `net.ipv4.conf.${link}.accept_redirects=1`,
      `net.ipv4.conf.${link}.secure_redirects=0`,
      `net.ipv6.conf.${link}.accept_redirects=1`,
    ]);
    sysctl(host, ...own, `net.ipv6.conf.${TAP}.accept_ra=2`);
    sysctl(host, `net.ipv6.conf.${TAP}.accept_ra_rtr_pref=1`);
    sysctl(far, `net.ipv6.conf.${TAP}.accept_redirects=1`, `net.ipv6.conf.${TAP}.accept_ra=2`);
    sysctl(host, `net.ipv6.conf.${TAP}.disable_ipv6=0`);
    const words = [
      "forward=on eth0=10.77.1.254/24,fd00:77:1::ff/64 eth1=10.77.2.254/24,fd00:77:2::ff/64",
      "advertise=eth0,preference=high,mtu=1400,interval=4,lifetime=1000,dns=fd00:77:2::53",
      "route=10.99.0.0/16,10.77.1.9 route=fd00:99::/48,fe80::9%eth1",
      "advertise=eth1,interval=4,lifetime=1000",
    ];
    machine = new HostedMachine([host, far], words.join(" "));
    await machine.hasAddresses("eth0", "10.77.1.254", "fd00:77:1::ff");
    await machine.hasAddresses("eth1", "10.77.2.254", "fd00:77:2::ff");
  });
  after(async () => {
    await machine.stop();
    host.delete();
    far.delete();
  });

  const said = (...words: string[]): string => host.run(words).stdout;

  test("Linux makes an address of the prefix, and has router, preference and MTU", async () => {
    const address = () =>
      said("ip", "-6", "address", "show", "dev", TAP, "scope", "global", "-tentative");
    await until(() => /fd00:77:1:0?:[^/]*\/64 scope global[^]*dynamic/.test(address()), address);
    const routes = said("ip", "-6", "route");
    const by = machine.linkLocal("eth0");
    assert.match(routes, new RegExp(`^default via ${by} dev ${TAP} proto ra .*pref high`, "m"));
    assert.match(routes, new RegExp(`^fd00:77:1::/64 dev ${TAP} proto kernel`, "m"));
    assert.match(routes, /^default .*mtu 1400/m);
    assert.match(said("ip", "-6", "neighbour"), new RegExp(`^${by} .* router`, "m"));
  });

  test("and reaches what is behind", async () => {
    const back = () => far.run(["ip", "-6", "route"]).stdout;
    await until(() => /^default via fe80::/m.test(back()), back);
    const words = ["ping", "-6", "-n", "-c", "3", "-i", "0.1", "-w", "20", "fd00:77:2::1"];
    const { status, stdout, stderr } = await host.runAsync(words);
    assert.equal(status, 0, stdout + stderr + machine.output);
  });

  // Of IPv6 those alone count that come from the router's link-local address, by which Linux has to have its route
  // (RFC 4861, 8.1): that of our advertisement. One that names an MTU has Linux refuse all redirects, for what it
  // learns of a destination has to have a smaller one (rt6_insert_exception).
  for (const [family, of, destination, nearer, followed] of [
    ["IPv4", () => host, "10.99.0.1", "10.77.1.9", /via 10\.77\.1\.9 [^]*<redirected>/],
    ["IPv6", () => far, "fd00:99::1", "fe80::9", /via fe80::9 /],
  ] as const) {
    test(`a redirect of ours leads Linux to the nearer router: ${family}`, async () => {
      const space = of();
      // Linux follows none to a neighbour that it does not know.
      const near = ["lladdr", "52:54:00:00:00:99", "dev", TAP];
      space.run(["ip", "neighbour", "add", nearer, ...near]);
      const route = () => space.run(["ip", "route", "get", destination]).stdout;
      const redirected = async (): Promise<boolean> => {
        await space.runAsync(["ping", "-n", "-c", "1", "-W", "1", destination]);
        return followed.test(route());
      };
      await until(redirected, () => route() + machine.output);
    });
  }

  test("told to end, it is nobody's router any more (RFC 4861, 6.2.5)", async () => {
    const isRouter = () => [host, far].map((it) => it.run(["ip", "-6", "route"]).stdout).join();
    assert.match(isRouter(), /^default via fe80::[^]*^default via fe80::/m);
    assert.equal(await machine.stop(), 0, machine.output);
    await until(() => !/^default via fe80::/m.test(isRouter()), isRouter);
  });
});

describe("skerry-hosted as a host of radvd and Linux", { skip: trouble ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), "skerry-radvd-"));
  let router: Namespace;
  let machine: HostedMachine;

  before(async () => {
    router = new Namespace({ address: "10.77.0.1/24", address6: "fd00:77::1/64" });
    sysctl(router, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
    const sends = ["all", TAP].map((link) => `net.ipv4.conf.${link}.send_redirects=1`);
    sysctl(router, ...sends, `net.ipv4.conf.${TAP}.rp_filter=0`, "net.ipv4.conf.all.rp_filter=0");
    const near = ["lladdr", "52:54:00:00:00:99", "dev", TAP];
    router.run(["ip", "neighbour", "add", "10.77.0.9", ...near]);
    router.run(["ip", "neighbour", "add", "fe80::9", ...near]);
    router.run(["ip", "route", "add", "10.99.0.0/16", "via", "10.77.0.9"]);
    router.run(["ip", "-6", "route", "add", "fd00:99::/48", "via", "fe80::9", "dev", TAP]);
    const config = join(folder, "radvd.conf");
    writeFileSync(
      config,
      `interface ${TAP} {
        AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultPreference low;
        prefix fd00:77::/64 {}; route fd00:55::/48 { AdvRoutePreference high; };
        RDNSS fd00:77::53 {};
      };`,
    );
    router.spawn(["radvd", "-n", "-C", config, "-p", join(folder, "pid"), "-m", "stderr"]);
    machine = new HostedMachine([router], "ip=10.77.0.2/24 gw=10.77.0.1 ip6=auto");
    await machine.says(/\(router, stable\)/);
  });
  after(async () => {
    await machine.stop();
    router.delete();
    rmSync(folder, { recursive: true });
  });

  type Counters = Record<string, Record<string, number>>;
  const counters = async (): Promise<Counters> => {
    const words = ["curl", "-sS", "--max-time", "10", "http://10.77.0.2/status"];
    const { status, stdout, stderr } = await router.runAsync(words);
    assert.equal(status, 0, stderr + machine.output);
    return JSON.parse(stdout) as Counters;
  };
  const own = (): string =>
    /eth0 (fd00:77:[0-9a-f:]+)\/64 \(router, stable\)/.exec(machine.output)![1]!;

  /** Has Scapy send frames to the machine, all at once: no more than the TAP's queue of 500 holds. */
  const scapy = async (...lines: string[]): Promise<void> => {
    const head = [
      "import socket",
      "from scapy.all import *",
      `mac, tap, own = "${MAC}", "${TAP}", "${own()}"`,
      "frames = []",
      "frame = lambda packet: frames.append(bytes(Ether(dst=mac, src='52:54:00:00:00:66') / packet))",
    ];
    const tail = [
      "link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
      "link.bind((tap, 0))",
      "for bytes in frames: link.send(bytes)",
    ];
    const { status, stderr } = await router.runAsync([
      "/usr/bin/python3",
      "-c",
      [...head, ...lines, ...tail].join("\n"),
    ]);
    assert.equal(status, 0, stderr);
  };

  test("radvd's prefix is an address that Linux reaches", async () => {
    const words = ["ping", "-6", "-n", "-c", "3", "-i", "0.1", "-w", "20", own()];
    const { status, stdout } = await router.runAsync(words);
    assert.equal(status, 0, stdout + machine.output);
  });

  test("Linux's redirects are believed, in both families", async () => {
    // What is asked from afar is answered by way of Linux, which knows a nearer router.
    await until(
      async () => {
        await scapy(
          "frame(IP(src='10.99.0.1', dst='10.77.0.2') / ICMP())",
          "frame(IPv6(src='fd00:99::1', dst=own) / ICMPv6EchoRequest())",
        );
        const { icmp, icmpv6 } = await counters();
        return icmp!["redirects"]! >= 1 && icmpv6!["redirects"]! >= 1;
      },
      () => machine.output,
    );
  });

  test("a rogue's redirects are not, nor do his advertisements fill more than their places", async () => {
    const before = await counters();
    await scapy(
      "random.seed(1)",
      "quote = IP(src='10.77.0.2', dst='192.0.2.1') / ICMP()",
      "for i in range(100):",
      "  frame(IP(src='10.77.0.66', dst='10.77.0.2') / ICMP(type=5, code=1, gw='10.77.0.66') / quote)",
      "  frame(IP(src='10.77.0.1', dst='10.77.0.2') / ICMP(type=5, code=1, gw='10.88.0.66') / quote)",
      "  frame(IPv6(src='fe80::66', dst=own, hlim=255) / ICMPv6ND_Redirect(tgt='fe80::66', dst='2001:db8::1'))",
      "  frame(IPv6(src='fe80::66', dst=own, hlim=64) / ICMPv6ND_Redirect(tgt='fe80::66', dst='2001:db8::1'))",
    );
    await until(
      async () => {
        const { icmp, icmpv6 } = await counters();
        const refused = [icmp!["refused"]!, icmpv6!["refused"]!];
        const were = [before["icmp"]!["refused"]!, before["icmpv6"]!["refused"]!];
        return refused[0]! - were[0]! === 200 && refused[1]! - were[1]! === 100;
      },
      () => machine.output,
    );
    await scapy(
      "for i in range(400):",
      "  frame(IPv6(src='fe80::66:%x' % i, dst='ff02::1', hlim=255) / ICMPv6ND_RA(routerlifetime=9000, prf=1)",
      "    / ICMPv6NDOptPrefixInfo(prefix='2001:db8:%x::' % i) / ICMPv6NDOptRouteInfo(plen=48, len=3, prefix='2001:db8:f%x::' % i))",
    );
    await until(
      async () => (await counters())["ndp"]!["limited"]! > 100,
      () => machine.output,
    );
    const { icmp, icmpv6 } = await counters();
    assert.equal(icmp!["redirects"], before["icmp"]!["redirects"]);
    assert.equal(icmpv6!["redirects"], before["icmpv6"]!["redirects"]);
    assert.doesNotMatch(machine.output, /panic|error/);
    const words = ["ping", "-6", "-n", "-c", "2", "-i", "0.1", "-w", "20", own()];
    assert.equal((await router.runAsync(words)).status, 0);
  });
});
