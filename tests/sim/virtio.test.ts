import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Host } from "../../tools/sim/device.ts";
import { fold } from "../../tools/sim/e1000-parts.ts";
import { parse } from "../../tools/sim/frames.ts";
import { macAddress } from "../../tools/sim/machine.ts";
import { Program } from "../../tools/sim/program.ts";
import { Random } from "../../tools/sim/random.ts";
import { MICROSECOND, MILLISECOND, SECOND, Simulation } from "../../tools/sim/simulation.ts";
import { type Lie, Net, VirtioNet, type VirtioOptions } from "../../tools/sim/virtio-net.ts";
import { inWorld } from "./harness.ts";
import {
  Bench,
  Call,
  Counter,
  FAR,
  type Family,
  frame,
  OWN,
  tcpAt,
  tcpBurst,
} from "./nic/bench.ts";

/**
 * The virtio-net driver on its model: every bus and bargain, packets of many buffers, devices that lie;
 * and the model against the specification (Virtual I/O Device 1.2), so that neither is the other's measure.
 */

const KINDS = [
  "virtio-net-pci",
  "virtio-net-pci,vectors=3",
  "virtio-net-pci,transitional",
  "virtio-net-pci,disable-modern=on",
  "virtio-net-pci,disable-modern=on,vectors=3",
  "virtio-net-device",
  "virtio-net-device,force-legacy=on",
  "virtio-net-pci,plain",
];

/** The segments that a TAP's far end would have sent of such a packet. */
function segmentsOf(
  payload: number,
  size: number,
  family: Family,
): { frames: Uint8Array[]; bytes: Buffer } {
  const whole = tcpBurst(payload, size, true, 0, family);
  const bench = new Bench({ nic: "virtio-net-pci" });
  bench.sendBurst(whole);
  bench.run();
  const tcp = tcpAt(family);
  for (const heard of bench.heard) {
    heard.set(OWN);
    heard.set(FAR, 6);
    // No FIN, which nobody merges; the sum follows (RFC 1624).
    if (!(heard[tcp + 13]! & 1)) continue;
    heard[tcp + 13]! &= ~1;
    const view = new DataView(heard.buffer);
    view.setUint16(tcp + 16, fold(view.getUint16(tcp + 16) + 1));
  }
  return { frames: bench.heard, bytes: Buffer.from(whole.bytes.subarray(whole.headers)) };
}

describe("virtio-net", () => {
  for (const nic of KINDS) {
    test(`${nic}: frames go both ways, interrupts wake, the link is seen`, () => {
      const bench = new Bench<VirtioNet>({ nic });
      const kind = /vectors/.test(nic) ? "msi-x" : "11";
      const mac = nic.endsWith("plain") ? "[0-9a-f][26ae]:.*" : "52:54:00:5a:00:07";
      bench.machine.expectLine(new RegExp(`eth0 virtio-net mac=${mac} mtu=1500 irq=${kind}`), 1);
      const frames = Array.from({ length: 600 }, (_, i) =>
        frame(60 + ((i * 37) % 1455), FAR, OWN, i),
      );
      for (let i = 0; i < frames.length; i += 30) {
        for (const bytes of frames.slice(i, i + 30)) {
          bench.send(bytes);
          bench.hear(bytes);
        }
        bench.run(3 * MILLISECOND);
      }
      // Its address is not theirs.
      const received = bench.receiveAll();
      if (nic.endsWith("plain")) assert.deepEqual(received, frames);
      else assert.deepEqual(received, []);
      assert.deepEqual(bench.heard, frames);
      for (const bytes of frames) bytes.set(OWN);
      const before = bench.counter(Counter.Interrupts);
      for (const [i, bytes] of frames.entries()) {
        bench.hear(bytes);
        if (i % 30 === 29) bench.run(3 * MILLISECOND);
      }
      assert.deepEqual(bench.receiveAll(), frames);
      assert.ok(bench.counter(Counter.Interrupts) > before, "interrupts");
      assert.ok(bench.counter(Counter.Interrupts) < before + 300, "one for each burst");
      if (nic.endsWith("plain")) return bench.accounted();
      bench.link.isUp = false;
      bench.run(MILLISECOND);
      bench.machine.expectLine(/eth0 link down/, 1);
      bench.link.isUp = true;
      bench.run(MILLISECOND);
      assert.equal(bench.machine.console.filter((line) => /link up/.test(line)).length, 2);
      bench.accounted();
    });
  }

  test("a doorbell is rung only when the device asks, an interrupt asked for only to sleep", () => {
    const bench = new Bench<VirtioNet>({ conditions: { rate: 1e9 }, nic: "virtio-net-pci" });
    const { doorbells, interrupts } = bench.nic.counts;
    // The device is at work all the time: 100 frames take it a millisecond.
    for (let i = 0; i < 200; i++) {
      for (let n = 0; n < 5; n++) bench.send(frame(1000));
      for (let n = 0; n < 5; n++) bench.hear(frame(1000, OWN, FAR));
      bench.run(40 * MICROSECOND);
      bench.receiveAll();
    }
    bench.run();
    assert.equal(bench.heard.length, 1000);
    assert.ok(bench.nic.counts.doorbells - doorbells < 60, `${bench.nic.counts.doorbells}`);
    assert.ok(bench.nic.counts.interrupts - interrupts < 250, `${bench.nic.counts.interrupts}`);
  });

  for (const family of [4, 6] as const) {
    test(`IPv${family}: a packet of many buffers becomes segments of a buffer each`, () => {
      const bench = new Bench<VirtioNet>({ nic: "virtio-net-pci", conditions: { rate: 1e10 } });
      const tcp = tcpAt(family);
      for (const payload of [3000, 1900, 20000, 63712, 62000]) {
        const { frames, bytes } = segmentsOf(payload, family === 4 ? 1448 : 1428, family);
        for (const each of frames) bench.hear(each);
        bench.run();
        const got: { seq: number; flags: number; payload: Uint8Array }[] = [];
        for (let next = bench.receive(); next; next = bench.receive()) {
          assert.equal(next.flags, 3, "both checksums count as good");
          // They are, but not in what the sums say: filled in so that the rest can be checked.
          const view = new DataView(next.bytes.buffer);
          if (family === 4) assert.equal(view.getUint16(16), next.bytes.length - 14);
          else assert.equal(view.getUint16(18), next.bytes.length - 54);
          const headers = tcp + (next.bytes[tcp + 12]! >> 4) * 4;
          assert.equal(headers, tcp + 32);
          const flags = next.bytes[tcp + 13]!;
          got.push({ seq: view.getUint32(tcp + 4), flags, payload: next.bytes.subarray(headers) });
        }
        assert.ok(got.length <= frames.length, `${got.length} of ${frames.length}`);
        let sequence = 0xffff_f000;
        got.forEach(({ seq, flags, payload }, i) => {
          assert.equal(seq, sequence);
          sequence = (sequence + payload.length) >>> 0;
          const last = i === got.length - 1;
          if (!last) assert.equal(flags & 0x09, 0, "PSH and FIN belong to the last");
        });
        assert.deepEqual(Buffer.concat(got.map((each) => each.payload)), bytes);
      }
      assert.ok(bench.nic.counts.merged > 0);
      bench.accounted();
    });

    test("streams arrive whole while packets are merged, lost and given back late", () => {
      for (const seed of [1, 2, 3, 4]) {
        inWorld(
          seed,
          (world) => {
            const to = world.ready({ ip: "10.0.0.2/24", commandLine: "" });
            const from = world.ready({ ip: "10.0.0.3/24", commandLine: "" });
            const nic = to.nic as VirtioNet;
            nic.faults.completionDelay = 200 * MICROSECOND;
            const bytes = new Uint8Array(2 << 20);
            new Random(seed).fill(bytes);
            let heard = 0;
            new Program(to.machine).listen(9, (connection) => {
              connection.onData = (got) => {
                const wanted = bytes.subarray(heard, heard + got.length);
                assert.equal(Buffer.compare(got, wanted), 0, `differs near ${heard}`);
                heard += got.length;
              };
            });
            const connection = new Program(from.machine).connect("10.0.0.2", 9);
            connection.send(bytes);
            world.simulation.until(() => heard === bytes.length, 60 * SECOND, "the stream");
            assert.ok(nic.counts.merged > 20, `${nic.counts.merged} merged`);
          },
          { loss: seed > 2 ? 0.001 : 0, delay: 20 * MICROSECOND, rate: 1e10 },
          "virtio-net-pci",
        );
      }
    });

    const lies: [Lie, number, RegExp][] = [
      ["head", 0, /gave back a buffer that it did not have, resetting queue=0/],
      ["head", 1, /gave back a buffer that it did not have, resetting queue=1/],
      ["twice", 0, /gave back .*resetting queue=0/],
      ["twice", 1, /gave back .*resetting queue=1/],
      ["count", 0, /gave back more buffers than it had, resetting queue=0/],
      ["count", 1, /gave back more buffers than it had, resetting queue=1/],
      ["length", 0, /claims more bytes than the buffer holds, resetting queue=0/],
      ["buffers", 0, /claims a packet of an impossible number of buffers/],
      ["no buffers", 0, /claims a packet of an impossible number of buffers/],
    ];
    for (const [lie, queue, line] of lies) {
      test(`a device that lies (${lie}, queue ${queue}) is reset, and nothing is lost but packets`, () => {
        const bench = new Bench<VirtioNet>({ nic: "virtio-net-pci" });
        bench.nic.faults.hang = queue;
        for (let i = 0; i < 5; i++) bench.send(frame(100));
        bench.run(MILLISECOND);
        bench.nic.faults.hang = 0;
        bench.nic.lie(lie, queue);
        bench.run(MILLISECOND);
        bench.call(Call.Check);
        bench.machine.expectLine(line, 1);
        bench.call(Call.Check);
        bench.run();
        assert.equal(bench.counter(Counter.Resets), 1);
        bench.heard.length = 0;
        bench.receiveAll();
        bench.send(frame(99));
        bench.hear(frame(98, OWN, FAR));
        bench.run();
        assert.deepEqual(bench.heard, [frame(99)]);
        assert.deepEqual(bench.receiveAll(), [frame(98, OWN, FAR)]);
        bench.accounted();
      });
    }

    test("a device that asks for a reset gets it", () => {
      const bench = new Bench<VirtioNet>({ nic: "virtio-net-pci" });
      bench.nic.needReset();
      bench.call(Call.Check);
      bench.machine.expectLine(/eth0 device asks for a reset/, 1);
      bench.run();
      bench.hear(frame(98, OWN, FAR));
      bench.run();
      assert.equal(bench.receiveAll().length, 1);
      bench.accounted();
    });

    test("commands that are never answered are noticed", () => {
      const bench = new Bench<VirtioNet>({ nic: "virtio-net-pci" });
      bench.nic.deaf = true;
      bench.groups(1, []);
      for (let i = 0; i < 4; i++) {
        bench.run(SECOND);
        bench.call(Call.Check);
      }
      bench.machine.expectLine(/commands are not answered, resetting/, 1);
    });
  }

  test("reset in mid-transfer, again and again: every packet is accounted for", () => {
    const bench = new Bench<VirtioNet>({
      nic: "virtio-net-pci",
      faults: { completionDelay: 300 * MICROSECOND },
    });
    for (let i = 0; i < 50; i++) {
      for (let n = 0; n < 20; n++) {
        bench.send(frame(200 + n), 30);
        bench.hear(frame(200 + n, OWN, FAR));
      }
      bench.run((i % 7) * 50 * MICROSECOND);
      bench.call(Call.Reset);
      bench.run((i % 5) * 50 * MICROSECOND);
    }
    bench.run(50 * MILLISECOND);
    bench.receiveAll();
    assert.ok(bench.counter(Counter.Resets) > 40);
    bench.accounted();
  });

  test("a queue too short for 64 KiB is never given as much", () => {
    const nic = new VirtioNet({ mac: OWN, receiveSize: 32 });
    assert.ok(nic.offered & (1n << BigInt(Net.GUEST_TSO4)));
    const bench = new Bench<VirtioNet>({ nic: "virtio-net-pci,short" });
    assert.equal(bench.nic.has(Net.GUEST_TSO4), false);
    assert.equal(bench.nic.has(Net.GUEST_TSO6), false);
    bench.hear(frame(1514, OWN, FAR));
    bench.run();
    assert.equal(bench.receiveAll().length, 1);
    bench.accounted();
  });
});

/** The model alone, its registers poked as the specification numbers them. */
class Pokes implements Host {
  readonly simulation = new Simulation(1);
  readonly memory = new Uint8Array(1 << 20);
  readonly view = new DataView(this.memory.buffer);
  readonly nic: VirtioNet;
  line = false;
  private at = 0x10000;

  constructor(options: Partial<VirtioOptions> = {}) {
    this.nic = new VirtioNet({ mac: macAddress(7), ...options });
    this.nic.plugged(this, () => true);
    this.nic.pci.write(4, 7, 0xffff);
  }

  get time(): number {
    return this.simulation.now;
  }
  readable(address: number, length: number): boolean {
    return this.writable(address, length);
  }
  writable(address: number, length: number): boolean {
    return address >= 0x10000 && address + length <= this.memory.length;
  }
  setLine(_line: number, level: boolean): void {
    this.line = level;
  }
  message(): void {}

  set(offset: number, width: number, value: number): void {
    this.nic.write(2, offset, width, value);
  }
  get(offset: number, width: number): number {
    return this.nic.read(2, offset, width);
  }

  /** 3.1.1: up to FEATURES_OK with VERSION_1 and `low` of the first 32 features. */
  negotiate(low = 0): this {
    this.set(20, 1, 0);
    this.set(20, 1, 1);
    this.set(20, 1, 3);
    this.set(8, 4, 1);
    this.set(12, 4, 1);
    this.set(8, 4, 0);
    this.set(12, 4, low);
    this.set(20, 1, 11);
    return this;
  }

  /** A queue of 16 in fresh memory; returns its descriptors. */
  queue(index: number, align = 16): number {
    const at = (this.at += 0x1000) + (align === 16 ? 0 : align);
    this.set(22, 2, index);
    this.set(24, 2, 16);
    this.set(32, 4, at);
    this.set(36, 4, 0);
    this.set(40, 4, at + 0x400);
    this.set(44, 4, 0);
    this.set(48, 4, at + 0x800);
    this.set(52, 4, 0);
    this.set(28, 2, 1);
    return at;
  }

  ready(low = 0): { receive: number; transmit: number } {
    this.negotiate(low);
    const receive = this.queue(0);
    const transmit = this.queue(1);
    this.set(20, 1, 15);
    return { receive, transmit };
  }

  describe(
    table: number,
    id: number,
    address: number,
    length: number,
    flags: number,
    next = 0,
  ): void {
    this.view.setUint32(table + id * 16, address, true);
    this.view.setUint32(table + id * 16 + 4, 0, true);
    this.view.setUint32(table + id * 16 + 8, length, true);
    this.view.setUint32(table + id * 16 + 12, flags | (next << 16), true);
  }

  offer(table: number, head: number): void {
    const at = table + 0x402;
    const index = this.view.getUint16(at, true);
    this.view.setUint16(table + 0x404 + (index % 16) * 2, head, true);
    this.view.setUint16(at, index + 1, true);
  }

  /** Offers `head` to the transmitter and rings. */
  transmit(table: number, head = 0): void {
    this.offer(table, head);
    this.set(0x3008, 2, 1);
    this.simulation.run(MILLISECOND);
  }
}

describe("virtio-net model", () => {
  test("what it is: capabilities, features, configuration", () => {
    const bench = new Pokes();
    bench.set(0, 4, 1);
    assert.equal(bench.get(4, 4) & 1, 1, "VERSION_1");
    assert.equal(bench.get(18, 2), 3, "queues");
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5].map((i) => bench.get(0x2000 + i, 1)),
      [...macAddress(7)],
    );
    assert.equal(bench.get(0x200a, 2), 1500);
  });

  test("features that it did not offer, or that need others, are refused", () => {
    assert.throws(() => new Pokes({ without: [Net.CSUM] }).negotiate(1), /not offered/);
    assert.throws(() => new Pokes().negotiate(1 << Net.HOST_TSO4), /feature 11 without 0/);
    const bench = new Pokes();
    bench.set(20, 1, 1);
    bench.set(20, 1, 3);
    bench.set(20, 1, 11);
    assert.equal(bench.get(20, 1), 3, "no FEATURES_OK without VERSION_1");
  });

  test("a frame goes out with its checksum, and the chain comes back", () => {
    const bench = new Pokes();
    const sent: Uint8Array[] = [];
    bench.nic.connect({
      attach: () => bench.nic.carrier(true),
      conditions: { rate: 1e9 },
      send: (_from: unknown, bytes: Uint8Array) => void sent.push(bytes),
    } as never);
    const { transmit } = bench.ready(1);
    const bytes = tcpBurst(100, 1448, false).bytes;
    bench.view.setUint8(0x80000, 1);
    bench.view.setUint16(0x80006, 34, true);
    bench.view.setUint16(0x80008, 16, true);
    bench.memory.set(bytes, 0x8000c);
    bench.describe(transmit, 0, 0x80000, 12, 1, 1);
    bench.describe(transmit, 1, 0x8000c, bytes.length, 0);
    bench.transmit(transmit);
    assert.equal(parse(sent[0]!).tcp!.payload.length, 100);
    assert.equal(bench.view.getUint16(transmit + 0x802, true), 1, "used.idx");
    assert.equal(bench.line, true, "avail.flags asks for an interrupt");
    assert.equal(bench.get(0x1000, 1), 1);
    assert.equal(bench.line, false);
  });

  const breaches: [string, RegExp, (bench: Pokes) => void][] = [
    ["status bits cleared", /clears a bit/, (b) => (b.set(20, 1, 3), b.set(20, 1, 1))],
    ["DRIVER first", /DRIVER before/, (b) => b.set(20, 1, 2)],
    ["features too late", /settled/, (b) => (b.negotiate(), b.set(12, 4, 1))],
    [
      "a doorbell too early",
      /before DRIVER_OK/,
      (b) => (b.negotiate(), b.queue(0), b.set(0x3000, 2, 0)),
    ],
    ["DRIVER_OK without queues", /without both/, (b) => (b.negotiate(), b.set(20, 1, 15))],
    ["a field in the wrong width", /4\.1\.3\.1/, (b) => b.get(20, 4)],
    ["a queue that is not aligned", /aligned/, (b) => (b.negotiate(), b.queue(0, 8))],
    ["a queue before features", /before FEATURES_OK/, (b) => (b.set(20, 1, 3), b.queue(0))],
    [
      "a queue of 12",
      /no power of two/,
      (b) => {
        b.negotiate();
        b.set(24, 2, 12);
        b.set(28, 2, 1);
      },
    ],
    [
      "a descriptor outside RAM",
      /not in RAM/,
      (b) => {
        const { transmit } = b.ready();
        b.nic.carrier(true);
        b.describe(transmit, 0, 0x100, 100, 0);
        b.transmit(transmit);
      },
    ],
    [
      "a chain that is a loop",
      /loop/,
      (b) => {
        const { transmit } = b.ready();
        b.nic.carrier(true);
        b.describe(transmit, 0, 0x80000, 100, 1, 0);
        b.transmit(transmit);
      },
    ],
    [
      "a head offered twice",
      /made available twice/,
      (b) => {
        const { receive } = b.ready(1 << Net.MRG_RXBUF);
        b.describe(receive, 0, 0x80000, 2000, 2);
        b.offer(receive, 0);
        b.offer(receive, 0);
        b.nic.faults.completionDelay = SECOND;
        b.nic.receive(frame(1514, OWN, FAR), false);
        b.nic.receive(frame(1514, OWN, FAR), false);
      },
    ],
    [
      "a receive buffer too small",
      /a receive buffer of 1000 bytes/,
      (b) => {
        const { receive } = b.ready();
        b.describe(receive, 0, 0x80000, 1000, 2);
        b.offer(receive, 0);
        b.nic.receive(frame(100, OWN, FAR), false);
      },
    ],
    [
      "a packet changed while the device has it",
      /bytes of 0 changed/,
      (b) => {
        const { transmit } = b.ready();
        b.nic.connect({
          attach: () => b.nic.carrier(true),
          conditions: { rate: 1e6 },
          send: () => {},
        } as never);
        b.describe(transmit, 0, 0x80000, 200, 0);
        b.offer(transmit, 0);
        b.set(0x3008, 2, 1);
        b.simulation.run(10 * MICROSECOND);
        b.memory[0x80050]! ^= 1;
        b.simulation.run(SECOND);
      },
    ],
  ];
  for (const [what, pattern, body] of breaches) {
    test(`a driver's breach is caught: ${what}`, () => {
      assert.throws(() => body(new Pokes()), pattern);
    });
  }
});
