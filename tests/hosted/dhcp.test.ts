/**
 * build/skerry-hosted behind a TAP: as a client of dnsmasq, by DHCP and DHCPv6, and as the DHCP server of busybox's and
 * ISC's clients. tshark reads all of it.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import {
  GUEST_ADDRESS,
  GUEST_MAC,
  HOST_ADDRESS,
  Namespace,
  TAP,
  namespaceTrouble,
} from "../../tools/qemu/namespace.ts";
import { damagedFrames, framesThat } from "../qemu/lib.ts";
import { HostedMachine } from "./machine.ts";

const HOST6 = "fd00:77::1";

function trouble(): string | null {
  const missing = ["dnsmasq", "udhcpc", "dhclient", "tshark"].filter(
    (tool) => spawnSync("which", [tool]).status !== 0,
  );
  return namespaceTrouble() ?? (missing.length ? `needs ${missing.join(", ")}` : null);
}

const rarpdTrouble = spawnSync("which", ["rarpd"]).status === 0 ? false : "needs rarpd";

/** What a program says, until it has said enough. */
class Talk {
  text = "";

  constructor(readonly process: ChildProcess) {
    for (const stream of [process.stdout!, process.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => (this.text += chunk));
    }
  }

  async says(pattern: RegExp): Promise<void> {
    for (let i = 0; i < 600 && !pattern.test(this.text) && this.process.exitCode === null; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.match(this.text, pattern);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.process.exitCode !== null) return;
    const ended = new Promise((resolve) => this.process.once("close", resolve));
    this.process.kill(signal);
    await ended;
  }
}

interface Status {
  interfaces: { dns: string[]; ntp: string[]; addresses: string[] }[];
  dhcp: Record<string, number>;
  dhcpv6: Record<string, number>;
  dhcpServer?: Record<string, number>;
}

describe("skerry-hosted over TAP: DHCP", { skip: trouble() ?? false }, () => {
  let namespace: Namespace;
  let folder: string;
  let tshark: Talk;
  let machine: HostedMachine | undefined;
  let server: Talk | undefined;
  const capture = (): string => join(folder, "capture.pcap");

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "skerry-dhcp-"));
    namespace = new Namespace({ address6: `${HOST6}/64` });
    tshark = new Talk(namespace.spawn(["tshark", "-q", "-i", TAP, "-w", capture()]));
    await tshark.says(/Capturing on/);
  });
  // The TAP is the next one's.
  afterEach(async () => {
    await machine?.stop();
    await server?.end("SIGTERM");
    machine = server = undefined;
  });
  after(() => {
    namespace.delete();
    rmSync(folder, { recursive: true, force: true });
  });

  const statusOf = async (address: string): Promise<Status> => {
    const url = `http://${address}/status`;
    const words = ["curl", "-sS", "--max-time", "20", url];
    const { status, stdout, stderr } = await namespace.runAsync(words, 30_000);
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout) as Status;
  };
  /** dnsmasq without names, and with nothing of this machine's configuration. */
  const dnsmasq = (...words: string[]): Talk =>
    new Talk(
      namespace.spawn([
        ...["dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null"],
        ...[
          "--user=root",
          "--port=0",
          `--interface=${TAP}`,
          "--bind-interfaces",
          "--log-dhcp",
          "--no-ping",
        ],
        ...["--pid-file", `--dhcp-leasefile=${join(folder, "leases")}`, "--enable-ra"],
        ...words,
      ]),
    );

  test("dnsmasq leases an address of each family, and tells of NTP servers and an MTU", async () => {
    server = dnsmasq(
      "--dhcp-range=10.77.0.50,10.77.0.59,2m",
      ...["option:ntp-server,10.77.0.9", "option:mtu,1400", "option:T1,3"].map(
        (option) => `--dhcp-option-force=${option}`,
      ),
      "--dhcp-range=fd00:77::100,fd00:77::10f,64,2m",
      `--dhcp-option=option6:dns-server,[${HOST6}]`,
    );
    machine = new HostedMachine([namespace], "ip=dhcp ip6=auto");
    await machine.says(
      /net: eth0 10\.77\.0\.5\d\/24 gateway 10\.77\.0\.1 \(dhcp, lease 120 s\) ntp=10\.77\.0\.9/,
      /net: eth0 fd00:77::10[0-9a-f]\/128 \(dhcpv6, lease 120 s\)/,
    );
    const address = /eth0 (10\.77\.0\.5\d)/.exec(machine.output)![1]!;
    const address6 = /eth0 (fd00:77::10[0-9a-f])/.exec(machine.output)![1]!;
    const ping = await namespace.runAsync(["ping", "-6", "-n", "-c", "1", "-w", "20", address6]);
    assert.equal(ping.status, 0, ping.stdout);
    // T1 is over: the lease is extended.
    await server.says(/DHCPACK[^]*DHCPACK/);
    const { interfaces, dhcp, dhcpv6 } = await statusOf(address);
    const { ntp, dns } = interfaces[0]!;
    assert.deepEqual(ntp, ["10.77.0.9"]);
    assert.ok(dns.includes(HOST6), `${dns}`);
    assert.deepEqual([dhcp["expired"], dhcp["naks"]], [0, 0]);
    assert.deepEqual([dhcpv6["expired"], dhcpv6["declines"]], [0, 0]);
    // An answer of 1500 bytes comes in pieces, for the link's MTU is 1400 now (RFC 2132, 5.1).
    const large = ["ping", "-4", "-n", "-c", "1", "-w", "20", "-s", "1472", address];
    assert.equal((await namespace.runAsync(large)).status, 0);
    assert.match(server.text, /DHCPSOLICIT[^]*DHCPREPLY/);
    // Told to end, it gives back both (RFC 2131, 4.4.6; RFC 8415, 18.2.7).
    assert.equal(await machine.stop(), 0, machine.output);
    await server.says(/DHCPRELEASE\([^)]*\) 10\.77\.0\.5\d/);
    await server.says(/DHCPRELEASE\([^)]*\) 00:03:00:01:52:54/);
  });

  test("dnsmasq informs who makes its own address of its prefix (RFC 8415, 18.2.6)", async () => {
    server = dnsmasq(
      "--dhcp-range=fd00:77::,ra-stateless,64",
      `--dhcp-option=option6:dns-server,[${HOST6}]`,
      "--dhcp-option=option6:information-refresh-time,700",
    );
    machine = new HostedMachine([namespace], `ip=${GUEST_ADDRESS}/24 ip6=auto`);
    await machine.says(/dhcpv6: eth0: information dns=fd00:77::1/, /\(router, stable\)/);
    assert.match(server.text, /DHCPINFORMATION-REQUEST/);
    assert.doesNotMatch(machine.output, /\(dhcpv6/);
    const { dhcpv6 } = await statusOf(GUEST_ADDRESS);
    assert.deepEqual([dhcpv6["solicits"], dhcpv6["replies"]], [0, 1]);
  });

  test("busybox's udhcpc and ISC's dhclient lease from the machine, and dhclient gives back", async () => {
    const words =
      `ip=${GUEST_ADDRESS}/24 ip6=off dhcpd=eth0,10.77.0.100-10.77.0.109,lease=600,` +
      "router=10.77.0.2,dns=10.77.0.2,dns=10.77.0.3,ntp=10.77.0.4,domain=lab.example";
    machine = new HostedMachine([namespace], words);
    await machine.says(/dhcpd: eth0: leasing from=10\.77\.0\.100/);
    const script = join(folder, "script");
    writeFileSync(script, '#!/bin/sh\necho "$1 $ip/$mask $router $dns $ntpsrv $domain $lease"\n', {
      mode: 0o755,
    });
    const udhcpc = await namespace.runAsync([
      ...["udhcpc", "-f", "-q", "-n", "-t", "20", "-T", "1", "-O", "ntpsrv"],
      ...["-i", TAP, "-s", script],
    ]);
    assert.equal(udhcpc.status, 0, udhcpc.stderr);
    assert.match(
      udhcpc.stdout,
      /bound 10\.77\.0\.100\/24 10\.77\.0\.2 10\.77\.0\.2 10\.77\.0\.3 10\.77\.0\.4 lab\.example 600/,
    );
    const configuration = join(folder, "dhclient.conf");
    writeFileSync(configuration, "timeout 50;\nretry 5;\n");
    const dhclient = (...more: string[]) =>
      namespace.runAsync([
        ...["dhclient", "-4", ...more, "-cf", configuration, "-sf", "/bin/true"],
        ...["-lf", join(folder, "dhclient.leases"), "-pf", join(folder, "dhclient.pid"), TAP],
      ]);
    const leased = await dhclient("-1", "-v");
    assert.equal(leased.status, 0, leased.stderr);
    assert.match(leased.stderr, /bound to 10\.77\.0\.10\d/);
    assert.equal((await statusOf(GUEST_ADDRESS)).dhcpServer!["leases"], 1);
    const released = await dhclient("-r", "-v");
    assert.equal(released.status, 0, released.stderr);
    for (let i = 0; i < 100; i++) {
      if ((await statusOf(GUEST_ADDRESS)).dhcpServer!["leases"] === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const counted = (await statusOf(GUEST_ADDRESS)).dhcpServer!;
    assert.deepEqual(
      ["leases", "releases", "naks", "ignored", "conflicts"].map((name) => counted[name]),
      [0, 1, 0, 0, 0],
      machine.output,
    );
  });

  test("dnsmasq without an address of IPv6 still tells what else there is (RFC 8415, 18.2.10.1)", async () => {
    // The one address of the range is another station's.
    server = dnsmasq(
      "--dhcp-range=fd00:77::200,fd00:77::200,64,2m",
      "--dhcp-host=id:00:03:00:01:52:54:00:00:00:99,[fd00:77::200]",
      `--dhcp-option=option6:dns-server,[${HOST6}]`,
    );
    machine = new HostedMachine([namespace], `ip=${GUEST_ADDRESS}/24 ip6=auto`);
    await machine.says(/dhcpv6: eth0: information dns=fd00:77::1/);
    assert.match(machine.output, /dhcpv6: eth0: the server refused status=2/);
    assert.match(
      server.text,
      /DHCP(ADVERTISE|REPLY)[^]*no addresses available[^]*DHCPINFORMATION-REQUEST/,
    );
    assert.doesNotMatch(machine.output, /\(dhcpv6/);
  });

  test("rarpd says what address the machine has (RFC 903)", { skip: rarpdTrouble }, async () => {
    // It reads /etc: one of its own, which nobody else sees.
    const etc = join(folder, "etc");
    mkdirSync(etc);
    writeFileSync(join(etc, "ethers"), `${GUEST_MAC} 10.77.0.77\n`);
    const alone = ["unshare", "--mount", "sh", "-c", `mount --bind ${etc} /etc && exec "$@"`, "sh"];
    server = new Talk(namespace.spawn([...alone, "rarpd", "-d", "-e", TAP]));
    machine = new HostedMachine([namespace], "ip=rarp ip6=off");
    await machine.says(/net: eth0 10\.77\.0\.77\/8 \(rarp, server 10\.77\.0\.1\)/);
    assert.equal((await statusOf("10.77.0.77")).dhcp["discovers"], 0);
  });

  test("Scapy asks the machine by RARP what address a station has (RFC 903)", async () => {
    const leases = "dhcpd=eth0,10.77.0.100-10.77.0.109,52:54:00:00:00:42=10.77.0.142";
    machine = new HostedMachine([namespace], `ip=${GUEST_ADDRESS}/24 ip6=off ${leases}`);
    await machine.says(/dhcpd: eth0: leasing/);
    const { status, stdout, stderr } = await namespace.runAsync([
      ...["/usr/bin/python3", "-c"],
      [
        "from scapy.all import *",
        "me = '52:54:00:00:00:42'",
        "ask = Ether(dst='ff:ff:ff:ff:ff:ff', src=me, type=0x8035) / ARP(op=3, hwsrc=me, hwdst=me, psrc='0.0.0.0', pdst='0.0.0.0')",
        `say = lambda: sendp(ask, iface='${TAP}', verbose=0)`,
        "told = lambda frame: frame.type == 0x8035 and bytes(frame)[21] == 4",
        `found = sniff(iface='${TAP}', count=1, timeout=30, lfilter=told, started_callback=say)`,
        "arp = ARP(bytes(found[0])[14:])",
        "print(arp.psrc, arp.hwdst, arp.pdst)",
      ].join("\n"),
    ]);
    assert.equal(status, 0, stderr + machine.output);
    assert.equal(stdout, "10.77.0.2 52:54:00:00:00:42 10.77.0.142\n");
  });

  test("tshark finds all of it well-formed", async () => {
    await tshark.end("SIGINT");
    assert.deepEqual(await damagedFrames(capture()), []);
    for (const filter of ["dhcp.option.dhcp == 1", "dhcpv6.msgtype == 1", "dhcpv6.msgtype == 11"]) {
      assert.ok((await framesThat(capture(), filter)).length > 0, filter);
    }
    const pieces = `ip.src == 10.77.0.50/28 && icmp && (ip.flags.mf == 1 || ip.frag_offset > 0)`;
    assert.ok((await framesThat(capture(), pieces)).length > 0, pieces);
    // The server's own, by the name that it gave itself.
    assert.ok((await framesThat(capture(), `dhcp && ip.src == ${GUEST_ADDRESS}`)).length >= 4);
    assert.equal(
      (await framesThat(capture(), `dhcp && ip.src == ${HOST_ADDRESS}`)).length > 0,
      true,
    );
  });
});
