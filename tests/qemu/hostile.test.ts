import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { project } from "../../tools/cli/project.ts";
import { GUEST_ADDRESS, GUEST_MAC, type Namespace, TAP } from "../../tools/qemu/namespace.ts";
import {
  type Bytes,
  Flag,
  Random,
  arp,
  be16,
  be32,
  bytes,
  ethernet,
  icmp,
  ipv4,
  tcp,
  udp,
} from "./frames.ts";
import { inFolder, inside, noTap, onTap, runProgram } from "./lib.ts";

/**
 * Frames that no honest peer sends, thrown at a machine that is serving: it goes on serving, and
 * afterwards every buffer is where it was.
 */

const LIAR_MAC = "02:00:00:00:00:99";
/** An address of the machine's own network at which nobody is. */
const LIAR = "10.77.0.99";
const from = { source: LIAR, destination: GUEST_ADDRESS };
const toWeb = { ...from, sourcePort: 40000, destinationPort: 80, sequence: 1000 };

function framed(packet: Bytes): Bytes {
  return ethernet(GUEST_MAC, LIAR_MAC, 0x0800, packet);
}

/** Honest frames: what the others are made from. */
function models(): Bytes[] {
  const synOptions = bytes(2, 4, be16(1460), 4, 2, 8, 10, be32(1), be32(0), 1, 3, 3, 7);
  const dhcpOffer = bytes(
    2,
    1,
    6,
    0,
    be32(0x12345678),
    Buffer.alloc(228),
    be32(0x63825363),
    53,
    1,
    2,
    255,
  );
  return [
    framed(tcp({ ...toWeb, flags: Flag.SYN, options: synOptions })),
    framed(
      tcp({
        ...toWeb,
        flags: Flag.ACK,
        acknowledgement: 5,
        payload: Buffer.from("GET / HTTP/1.1\r\n"),
      }),
    ),
    framed(udp({ ...from, sourcePort: 5000, destinationPort: 7, payload: Buffer.from("hello") })),
    framed(udp({ ...from, sourcePort: 67, destinationPort: 68, payload: dhcpOffer })),
    framed(icmp(LIAR, GUEST_ADDRESS, 8, 0, bytes(be16(1), be16(1), Buffer.alloc(56)))),
    framed(
      icmp(LIAR, GUEST_ADDRESS, 3, 4, bytes(be16(0), be16(68), tcp({ ...toWeb, flags: Flag.ACK }))),
    ),
    framed(ipv4({ ...from, protocol: 6, payload: bytes(), options: bytes(7, 7, 4, be32(0)) })),
    ethernet(
      "ff:ff:ff:ff:ff:ff",
      LIAR_MAC,
      0x0806,
      arp(1, LIAR_MAC, LIAR, "00:00:00:00:00:00", GUEST_ADDRESS),
    ),
    ethernet(GUEST_MAC, LIAR_MAC, 0x0806, arp(2, LIAR_MAC, LIAR, GUEST_MAC, GUEST_ADDRESS)),
  ];
}

function* truncated(): Generator<Bytes> {
  for (const frame of models()) {
    for (let length = 14; length < frame.length; length++) yield frame.subarray(0, length);
  }
}

/** Each byte of each model, changed in turn, and then many at random. */
function* mutated(random: Random, count: number): Generator<Bytes> {
  const all = models();
  for (const frame of all) {
    for (let at = 12; at < frame.length; at++) {
      for (const value of [0, 0xff, frame[at]! ^ 0x80, frame[at]! + 1]) {
        const copy = Buffer.from(frame);
        copy[at] = value & 0xff;
        yield copy;
      }
    }
  }
  for (let i = 0; i < count; i++) {
    const copy = Buffer.from(all[random.next(all.length)]!);
    for (let changes = 1 + random.next(6); changes > 0; changes--) {
      copy[12 + random.next(copy.length - 12)] = random.next(256);
    }
    yield copy;
  }
}

function* lyingLengths(): Generator<Bytes> {
  const payload = Buffer.alloc(64, 0x41);
  for (const totalLength of [0, 1, 19, 20, 21, 39, 83, 85, 576, 1500, 0x7fff, 0xffff]) {
    for (const protocol of [1, 6, 17, 255])
      yield framed(ipv4({ ...from, protocol, payload, totalLength }));
  }
  for (let versionAndLength = 0; versionAndLength < 256; versionAndLength++) {
    yield framed(ipv4({ ...from, protocol: 6, payload, versionAndLength }));
  }
  for (const length of [0, 1, 7, 8, 9, 71, 73, 1500, 0xffff]) {
    for (const destinationPort of [68, 80, 5201, 9999]) {
      yield framed(udp({ ...from, sourcePort: 67, destinationPort, payload, length }));
    }
  }
  for (let dataOffset = 0; dataOffset < 16; dataOffset++) {
    for (const flags of [Flag.SYN, Flag.ACK])
      yield framed(tcp({ ...toWeb, flags, dataOffset, payload }));
  }
  const lies = [
    [2, 0],
    [2, 1],
    [2, 3],
    [2, 200],
    [3, 2, 14],
    [3, 3, 255],
    [5, 1],
    [5, 10],
    [5, 255],
    [8, 9],
    [255, 255],
    [254, 0],
  ];
  for (const lie of lies) {
    const options = Buffer.alloc((lie.length + 3) & ~3, 1);
    Buffer.from(lie).copy(options, options.length - lie.length);
    yield framed(tcp({ ...toWeb, sourcePort: 41000 + lie[0]!, flags: Flag.SYN, options }));
    yield framed(ipv4({ ...from, protocol: 6, payload, options }));
  }
  for (const fragment of [0x2000, 0x2001, 0x1fff, 0x3fff, 0x0001, 0x8000]) {
    for (const protocol of [1, 6, 17]) yield framed(ipv4({ ...from, protocol, payload, fragment }));
  }
}

function* wrongChecksums(): Generator<Bytes> {
  const payload = Buffer.from("hello");
  for (let i = 0; i < 50; i++) {
    const checksum = 0x1111 * (i % 15);
    yield framed(tcp({ ...toWeb, sourcePort: 42000 + i, flags: Flag.SYN, checksum }));
    yield framed(
      udp({ ...from, sourcePort: 1, destinationPort: 68, payload, checksum: checksum || 1 }),
    );
    yield framed(icmp(LIAR, GUEST_ADDRESS, 8, 0, Buffer.alloc(32), checksum));
    yield framed(ipv4({ ...from, protocol: 17, payload, checksum }));
  }
}

/** Addresses that cannot be a sender's (RFC 1122, 3.2.1.3), and the machine's own. */
function* falseSenders(): Generator<Bytes> {
  const sources = [
    GUEST_ADDRESS,
    "0.0.0.0",
    "127.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "10.77.0.255",
  ];
  for (const source of sources) {
    for (const flags of [Flag.SYN, Flag.ACK, Flag.RST, Flag.SYN | Flag.ACK]) {
      // With the machine's own address and equal ports this is the land attack.
      yield framed(tcp({ ...toWeb, source, sourcePort: 80, flags }));
    }
    yield framed(icmp(source, GUEST_ADDRESS, 8, 0, Buffer.alloc(32)));
    yield framed(
      udp({ ...from, source, sourcePort: 7, destinationPort: 7, payload: Buffer.alloc(8) }),
    );
  }
  for (const destination of [
    "255.255.255.255",
    "10.77.0.255",
    "224.0.0.1",
    "127.0.0.1",
    "10.77.0.98",
  ]) {
    yield framed(tcp({ ...toWeb, destination, flags: Flag.SYN }));
    yield framed(icmp(LIAR, destination, 8, 0, Buffer.alloc(32)));
    yield framed(
      udp({ ...from, destination, sourcePort: 7, destinationPort: 9, payload: Buffer.alloc(8) }),
    );
  }
}

function* everyFlag(random: Random): Generator<Bytes> {
  for (let flags = 0; flags < 256; flags++) {
    for (const sourcePort of [43000, 43001 + flags]) {
      const [sequence, acknowledgement] = [random.next(2 ** 32), random.next(2 ** 32)];
      yield framed(
        tcp({
          ...toWeb,
          sourcePort,
          sequence,
          acknowledgement,
          flags,
          payload: Buffer.alloc(flags % 9),
        }),
      );
    }
  }
}

/** SYNs from everywhere: half on the machine's network, where ARP finds nobody. */
function* synFlood(random: Random, count: number): Generator<Bytes> {
  for (let i = 0; i < count; i++) {
    const near = `10.77.0.${100 + random.next(150)}`;
    const far = `198.51.${random.next(256)}.${1 + random.next(254)}`;
    const source = i % 2 ? near : far;
    const sourcePort = 1024 + random.next(60000);
    yield framed(
      tcp({ ...toWeb, source, sourcePort, sequence: random.next(2 ** 32), flags: Flag.SYN }),
    );
  }
}

function* oddEthernet(random: Random): Generator<Bytes> {
  for (let length = 14; length < 64; length++) yield Buffer.alloc(length, 0xff);
  for (const type of [0, 1, 46, 0x05dc, 0x0600, 0x8100, 0x86dd, 0x88a8, 0x9000, 0xffff]) {
    for (const length of [0, 1, 46, 1500]) {
      const payload = Buffer.alloc(length, random.next(256));
      yield ethernet(GUEST_MAC, LIAR_MAC, type, payload);
      yield ethernet("ff:ff:ff:ff:ff:ff", LIAR_MAC, type, payload);
    }
  }
}

interface Pool {
  [owner: string]: number;
}

interface Status {
  pools: Pool[];
  tcp: { [counter: string]: number };
}

async function statusOf(namespace: Namespace): Promise<Status> {
  const answer = await inside(
    namespace,
    "curl",
    "-sS",
    "-m",
    "10",
    `http://${GUEST_ADDRESS}/status`,
  );
  return JSON.parse(answer) as Status;
}

const OWNERS = ["free", "nicRx", "stack", "socket", "lease", "nicTx"];

/** Slots that neither lie idle nor wait in the receive ring; every slot has exactly one owner. */
function busySlots({ pools }: Status): number {
  let busy = 0;
  for (const pool of pools) {
    const owned = OWNERS.reduce((sum, owner) => sum + pool[owner]!, 0);
    assert.equal(owned, pool["slots"], `a slot has no owner: ${JSON.stringify(pool)}`);
    busy += owned - pool["free"]! - pool["nicRx"]!;
  }
  return busy;
}

/** Builds inject.c, which has the raw socket that Node lacks. */
async function injector(folder: string): Promise<string> {
  const program = join(folder, "inject");
  const source = project("tests/qemu/inject.c");
  const { status, stderr } = await runProgram(["gcc", "-O1", "-Wall", "-o", program, source]);
  assert.equal(status, 0, stderr);
  return program;
}

test("survives malformed and hostile frames and leaks nothing", { skip: noTap }, async (t) => {
  await inFolder(async (folder) => {
    const inject = await injector(folder);
    await onTap("http", {}, async (namespace, machine) => {
      const random = new Random(20260701);
      const page = await inside(namespace, "curl", "-sS", "-m", "10", `http://${GUEST_ADDRESS}/`);
      const before = await statusOf(namespace);
      const attacks: { [name: string]: Iterable<Bytes> } = {
        "odd Ethernet frames": oddEthernet(random),
        "truncated packets": truncated(),
        "lying lengths": lyingLengths(),
        "wrong checksums": wrongChecksums(),
        "false senders, the land attack": falseSenders(),
        "every combination of TCP flags": everyFlag(random),
        mutations: mutated(random, 20_000),
        "a flood of SYNs": synFlood(random, 10_000),
      };
      for (const [name, frames] of Object.entries(attacks)) {
        await t.test(name, async () => {
          const input = Buffer.concat([...frames].flatMap((frame) => [be32(frame.length), frame]));
          const command = [...namespace.prefix, inject, TAP];
          const { status, stderr } = await runProgram(command, { input });
          assert.equal(status, 0, stderr);
          const url = `http://${GUEST_ADDRESS}/`;
          const answer = await namespace.runAsync(["curl", "-sS", "-m", "20", url]);
          assert.equal(answer.stdout, page, answer.stderr + machine.tail());
        });
      }
      await t.test("every buffer is accounted for afterwards", async () => {
        const allowed = busySlots(before) + 4;
        // What waits for ARP or for a retransmission comes back when that gives up.
        let busy = Infinity;
        for (let tries = 0; tries < 60 && busy > allowed; tries++) {
          if (tries) await new Promise((resolve) => setTimeout(resolve, 1000));
          busy = busySlots(await statusOf(namespace));
        }
        assert.ok(busy <= allowed, `${busy} slots are still held, ${allowed} expected at most`);
      });
      await t.test("what was wrong was counted, not believed", async () => {
        const after = await statusOf(namespace);
        const counted = (name: string): number => after.tcp[name]! - before.tcp[name]!;
        assert.ok(counted("checksumErrors") + counted("malformed") > 0);
      });
    });
  });
});
