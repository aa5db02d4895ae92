/**
 * build/skerry-hosted behind a TAP: packets larger than the link between it and Linux, and what Scapy makes of
 * fragments, extension headers, neighbour discovery and ICMP, with everything accounted for afterwards.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { GUEST_ADDRESS, Namespace, TAP, namespaceTrouble } from "../../tools/qemu/namespace.ts";
import { HostedMachine } from "./machine.ts";

const MAC = "52:54:00:12:34:56";
const HOST6 = "fd00:77::1";
const GUEST6 = "fd00:77::2";
/** Debian's Python: Scapy is a package of it. */
const PYTHON = "/usr/bin/python3";

const scapy = spawnSync(PYTHON, ["-c", "import scapy.all"]).status === 0;
const trouble = namespaceTrouble();

interface Status {
  ip: Counters;
  ipv6: Counters;
  pools: Counters[];
}
type Counters = Record<string, number>;

describe("skerry-hosted over TAP: fragments and attacks", { skip: trouble ?? false }, () => {
  let namespace: Namespace;
  let machine: HostedMachine;

  before(async () => {
    namespace = new Namespace({ address6: `${HOST6}/64` });
    machine = new HostedMachine([namespace], `ip=${GUEST_ADDRESS}/24 ip6=${GUEST6}/64`);
    await machine.hasAddresses("eth0", GUEST_ADDRESS, GUEST6);
  });
  after(async () => {
    await machine.stop();
    namespace.delete();
  });

  const run = async (words: string[]) => {
    const { status, stdout, stderr } = await namespace.runAsync(words, 60_000);
    assert.equal(status, 0, `${words.join(" ")}\n${stdout}${stderr}\n${machine.output}`);
    return stdout;
  };
  const statusOf = async (): Promise<Status> => {
    const url = `http://${GUEST_ADDRESS}/status`;
    return JSON.parse(await run(["curl", "-sS", "--max-time", "10", url])) as Status;
  };
  const answersPing = async () => {
    for (const [address, size] of [
      [GUEST_ADDRESS, 1472],
      [GUEST_ADDRESS, 1473],
      [GUEST_ADDRESS, 20_000],
      [GUEST_ADDRESS, 65_507],
      [GUEST6, 1452],
      [GUEST6, 1453],
      [GUEST6, 65_487],
    ] as const) {
      const words = ["ping", "-n", "-c", "5", "-i", "0.05", "-W", "2", "-s", `${size}`];
      const stdout = await run([...words, "-M", "dont", address]);
      assert.match(stdout, / 0% packet loss/, `${address} ${size}: ${stdout}`);
    }
  };

  test("Linux pings it with packets of up to 65,507 bytes", answersPing);

  test("UDP datagrams larger than the link reach it, and it says that nobody has the port", async () => {
    const before = await statusOf();
    for (const to of [`UDP4-SENDTO:${GUEST_ADDRESS}`, `UDP6-SENDTO:[${GUEST6}]`]) {
      const words = `head -c 60000 /dev/urandom | socat -u -b 60000 - ${to}:4444`;
      await run(["sh", "-c", words]);
    }
    const reassembled = async () => {
      const { ip, ipv6 } = await statusOf();
      const [four, six] = [ip["reassembled"]!, ipv6["reassembled"]!];
      return [four - before.ip["reassembled"]!, six - before.ipv6["reassembled"]!];
    };
    let counted = await reassembled();
    for (const end = Date.now() + 20_000; Date.now() < end && counted.includes(0);) {
      counted = await reassembled();
    }
    assert.deepEqual(counted, [1, 1], machine.output);
  });

  test("traceroute sees it, by UDP, ICMP and TCP, over both families", async () => {
    for (const way of [["-U"], ["-I"], ["-T", "-p", "80"]]) {
      for (const address of [GUEST_ADDRESS, GUEST6]) {
        const stdout = await run(["traceroute", "-n", "-q", "2", "-w", "2", ...way, address]);
        assert.match(stdout, new RegExp(`\n 1  ${address}  [0-9.]+ ms  [0-9.]+ ms\n$`));
      }
    }
  });

  test("survives Scapy's attacks, and accounts for every packet", { skip: !scapy }, async () => {
    const words = [PYTHON, "tests/hosted/attacks.py", TAP, MAC, GUEST_ADDRESS, GUEST6];
    const stdout = await run(words);
    assert.match(stdout, /land-v6 50\n$/);
    // Some of it is still in the TAP's queue, and both sides' neighbours have to be found again.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    for (const address of [GUEST_ADDRESS, GUEST6]) await run(["ping", "-c", "3", address]);
    await answersPing();
    const { ip, ipv6, pools } = await statusOf();
    for (const counters of [ip, ipv6]) {
      const lost = [
        "badLength badVersion badChecksum badOptions sourceRouted badSource notForUs badBroadcast",
        "fragments unknownProtocol forwarded expired",
      ].flatMap((names) => names.split(" "));
      const ends = lost.reduce((sum, name) => sum + (counters[name] ?? 0), 0);
      // The TAP's queue loses some frames.
      assert.ok(counters["overlaps"]! >= 10, JSON.stringify(counters));
      assert.ok(counters["badFragments"]! >= 5, JSON.stringify(counters));
      assert.ok(counters["fragments"]! > 1000, JSON.stringify(counters));
      // Each packet that came is delivered, or counted once by what became of it; of what was put together
      // the fragments are counted, and the whole once more.
      assert.equal(ends + counters["delivered"]! - counters["reassembled"]!, counters["received"]);
    }
    for (const pool of pools) {
      const owned = ["free", "nicRx", "stack", "socket", "lease", "nicTx"];
      const sum = owned.reduce((total, owner) => total + pool[owner]!, 0);
      assert.equal(sum, pool["slots"], JSON.stringify(pool));
      // Fragments that wait hold a quarter at most.
      assert.ok(pool["stack"]! <= pool["slots"]! / 4 + 64, JSON.stringify(pool));
    }
    assert.doesNotMatch(machine.output, /panic|error/);
  });
});
