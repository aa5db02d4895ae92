import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import type { Host, PciDevice } from "../../tools/sim/device.ts";
import { E1000, type Faults, type Variant, VARIANTS } from "../../tools/sim/e1000.ts";
import { fold, wordSum } from "../../tools/sim/e1000-parts.ts";
import { ACK, FIN, parse, PSH } from "../../tools/sim/frames.ts";
import { loadKernel } from "../../tools/sim/kernel.ts";
import { Link, type LinkConditions, type Port } from "../../tools/sim/link.ts";
import { macAddress, Machine } from "../../tools/sim/machine.ts";
import { PciFunction } from "../../tools/sim/pci.ts";
import { MICROSECOND, MILLISECOND, SECOND, Simulation } from "../../tools/sim/simulation.ts";

/**
 * NIC drivers by their operations, on the register model, with no network stack above them: what
 * is asked of them is what goes over the wire, and every packet is accounted for afterwards.
 */

execFileSync("node_modules/.bin/asc", ["--config", "tests/sim/nic/asconfig.json"]);
const kernel = loadKernel("build/sim/nic.debug.wasm");

/** The calls of tests/sim/nic/machine.ts. */
const enum Call {
  Send = 0,
  Reset = 1,
  Stop = 2,
  Check = 3,
  ReceiveMode = 4,
  Owned = 5,
  Counter = 6,
  Receive = 7,
  Starve = 8,
  Waiting = 9,
  SendBurst = 10,
}

/** The counters of `Device`, in order. */
const enum Counter {
  ReceivedPackets = 1,
  ReceivedBytes = 2,
  SentPackets = 3,
  SentBytes = 4,
  ReceiveDropped = 5,
  ReceiveErrors = 6,
  TransmitErrors = 7,
  Interrupts = 8,
  Resets = 9,
  Doorbells = 10,
}

const STANDARD = 1;
const enum Owner {
  Free = 0,
  NicRx = 1,
  Stack = 2,
  NicTx = 5,
}

const RING = 256;
const OWN = macAddress(7);
const FAR = macAddress(9);

/** One machine with one NIC, and a port that keeps what it hears. */
class Bench {
  readonly simulation: Simulation;
  readonly nic: E1000;
  readonly machine: Machine;
  readonly link: Link;
  readonly heard: Uint8Array[] = [];
  readonly far: Port = { name: "far", receive: (frame) => this.heard.push(frame) };
  readonly slots: number;

  constructor(
    options: {
      variant?: Variant;
      faults?: Partial<Faults>;
      conditions?: Partial<LinkConditions>;
      seed?: number;
      unroutable?: number;
      beside?: PciDevice[];
      before?: (nic: E1000) => void;
    } = {},
  ) {
    this.simulation = new Simulation(options.seed ?? 1);
    this.nic = new E1000({
      variant: options.variant ?? VARIANTS["82540EM"],
      mac: OWN,
      ...(options.faults && { faults: options.faults }),
    });
    options.before?.(this.nic);
    this.machine = new Machine(this.simulation, {
      kernel,
      devices: [this.nic, ...(options.beside ?? [])],
      ...(options.unroutable === undefined ? {} : { unroutable: options.unroutable }),
    });
    this.link = new Link(this.simulation, options.conditions);
    this.link.attach(this.far);
    this.nic.connect(this.link);
    this.machine.start();
    this.run(200 * MILLISECOND);
    this.call(Call.Check);
    this.slots = this.owned(Owner.Free) + this.owned(Owner.NicRx);
    assert.equal(this.owned(Owner.NicRx), RING);
  }

  run(ns = 10 * MILLISECOND): void {
    this.simulation.run(ns);
  }

  call(call: Call, a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0): number {
    return this.machine.syscall(call, a0, a1, a2, a3, a4);
  }

  owned(owner: Owner): number {
    return this.call(Call.Owned, STANDARD, owner);
  }

  counter(counter: Counter): number {
    return this.call(Call.Counter, counter);
  }

  /** Queues a frame, `first` and `second` of its last bytes as fragments. */
  send(bytes: Uint8Array, first = 0, second = 0, checksum = 0): void {
    const at = this.machine.copyIn(bytes);
    assert.equal(this.call(Call.Send, at, bytes.length, first, second, checksum), 0);
  }

  /** Queues a burst, its payload in two pieces cut at `cut` if that is not 0. */
  sendBurst({ bytes, headers, size }: Burst, cut = 0): void {
    const at = this.machine.copyIn(bytes);
    assert.equal(this.call(Call.SendBurst, at, bytes.length, headers, size, cut), 0);
  }

  hear(bytes: Uint8Array): void {
    this.link.send(this.far, bytes);
  }

  /** The oldest packet received and its flags, or undefined. */
  receive(): { bytes: Uint8Array; flags: number } | undefined {
    const result = this.call(Call.Receive, this.machine.scratch);
    if (result < 0) return undefined;
    const { scratch, memory } = this.machine;
    return { bytes: memory.slice(scratch, scratch + (result & 0xffff)), flags: result >>> 16 };
  }

  receiveAll(): Uint8Array[] {
    const all: Uint8Array[] = [];
    for (let next = this.receive(); next; next = this.receive()) all.push(next.bytes);
    return all;
  }

  groups(mode: number, addresses: Uint8Array[]): void {
    const bytes = new Uint8Array(addresses.length * 8);
    addresses.forEach((address, i) => bytes.set([...address].reverse(), i * 8));
    this.call(Call.ReceiveMode, mode, this.machine.copyIn(bytes), addresses.length);
  }

  /** Nothing is with the transmitter or the stack, the receive ring is full, the rest is free. */
  accounted(): void {
    // What was sent is freed by the next round or check.
    this.call(Call.Check);
    assert.equal(this.owned(Owner.NicTx), 0, "packets with the transmitter");
    assert.equal(this.owned(Owner.Stack), 0, "packets with the stack");
    assert.equal(this.owned(Owner.NicRx), RING, "packets in the receive ring");
    assert.equal(this.owned(Owner.Free), this.slots - RING, "packets free");
  }
}

function frame(length: number, to = FAR, from = OWN, tag = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 14; i < length; i++) bytes[i] = (i * 7 + tag * 13) & 0xff;
  bytes.set(to);
  bytes.set(from, 6);
  bytes.set([0x88, 0xb5], 12);
  return bytes;
}

/** UDP over IPv4 with both checksums right; `ihl` in words. */
function udpFrame(payload: number, to: Uint8Array, from: Uint8Array, ihl = 5): Uint8Array {
  const header = 14 + ihl * 4;
  const bytes = frame(header + 8 + payload, to, from);
  const view = new DataView(bytes.buffer);
  bytes.fill(0, 14, header + 8);
  view.setUint16(12, 0x0800);
  view.setUint16(14, 0x4000 | (ihl << 8));
  view.setUint16(16, ihl * 4 + 8 + payload);
  view.setUint16(22, 0x4011);
  view.setUint32(26, 0x0a000001);
  view.setUint32(30, 0x0a000002);
  bytes.fill(1, 34, header);
  view.setUint16(24, ~fold(wordSum(bytes, 14, header)));
  view.setUint16(header, 7);
  view.setUint16(header + 2, 9);
  view.setUint16(header + 4, 8 + payload);
  view.setUint16(header + 6, ~udpSum(bytes, header));
  return bytes;
}

/** A TCP packet to be sent in segments of `size` bytes. */
interface Burst {
  bytes: Uint8Array;
  headers: number;
  size: number;
}

/** As the stack builds it: lengths and sums as if it were to be sent whole. */
function tcpBurst(payload: number, size: number, timestamps: boolean, tag = 0): Burst {
  const headers = timestamps ? 66 : 54;
  const bytes = frame(headers + payload, FAR, OWN, tag);
  const view = new DataView(bytes.buffer);
  bytes.fill(0, 14, headers);
  view.setUint16(12, 0x0800);
  view.setUint16(14, 0x4500);
  view.setUint16(16, bytes.length - 14);
  view.setUint16(20, 0x4000);
  view.setUint16(22, 0x4006);
  view.setUint32(26, 0x0a000001);
  view.setUint32(30, 0x0a000002);
  view.setUint16(24, ~fold(wordSum(bytes, 14, 34)));
  view.setUint16(34, 80);
  view.setUint16(36, 4000);
  view.setUint32(38, 0xffff_f000 + tag);
  view.setUint32(42, 77);
  view.setUint16(46, ((headers - 34) << 10) | ACK | PSH | FIN);
  view.setUint16(48, 1000);
  if (timestamps) bytes.set([1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8], 54);
  view.setUint16(50, fold(wordSum(bytes, 26, 34, 6 + bytes.length - 34)));
  return { bytes, headers, size };
}

/** Takes the segments that must have come of a burst off `heard`. */
function expectSegments(heard: Uint8Array[], { bytes, headers, size }: Burst): void {
  const payload = bytes.subarray(headers);
  const first = new DataView(bytes.buffer).getUint32(38);
  for (let at = 0, n = 0; at < payload.length; at += size, n++) {
    // Checks lengths and checksums.
    const { ipv4, tcp } = parse(heard.shift()!);
    const last = at + size >= payload.length;
    assert.equal(ipv4!.id, n);
    assert.equal(tcp!.seq, (first + at) >>> 0);
    assert.equal(tcp!.ack, 77);
    assert.equal(tcp!.flags, last ? ACK | PSH | FIN : ACK);
    if (headers > 54) assert.deepEqual(tcp!.options.timestamps, [0x01020304, 0x05060708]);
    assert.deepEqual(Buffer.from(tcp!.payload), Buffer.from(payload.subarray(at, at + size)));
  }
}

/** The sum over pseudo-header and datagram: 0xffff when the checksum in it is right. */
function udpSum(bytes: Uint8Array, header: number): number {
  const length = bytes.length - header;
  return fold(wordSum(bytes, header, bytes.length, wordSum(bytes, 26, 34, 17 + length)));
}

for (const variant of Object.values(VARIANTS)) {
  describe(variant.name, () => {
    test("sends a batch with one doorbell, in order", () => {
      const bench = new Bench({ variant });
      const doorbells = bench.nic.counts.doorbells;
      const frames = Array.from({ length: 40 }, (_, i) => frame(60 + i * 36, FAR, OWN, i));
      // Queued behind the first step of the machine's, so one batch or two.
      for (const bytes of frames) bench.send(bytes);
      bench.run();
      assert.deepEqual(bench.heard, frames);
      assert.ok(bench.nic.counts.doorbells - doorbells <= 2);
      bench.accounted();
      assert.equal(bench.counter(Counter.SentPackets), 40);
    });

    test("sends packets in one, two and three pieces, at every odd boundary", () => {
      const bench = new Bench({ variant });
      for (let first = 0; first < 5; first++) {
        for (let second = 0; second < 5; second++) {
          const bytes = frame(200 + first * 7, FAR, OWN, first * 5 + second);
          bench.send(bytes, first * 17, second * 11);
          bench.run(MILLISECOND);
          assert.deepEqual(bench.heard.pop(), bytes, `${first} ${second}`);
        }
      }
      bench.accounted();
    });

    test("pads short frames and sends the longest", () => {
      const bench = new Bench({ variant });
      bench.send(frame(14));
      bench.send(frame(1514));
      bench.run();
      assert.equal(bench.heard[0]!.length, 60);
      assert.deepEqual(bench.heard[1], frame(1514));
      bench.accounted();
    });

    test("fills in checksums, also when header lengths alternate", () => {
      const bench = new Bench({ variant });
      for (let i = 0; i < 12; i++) {
        const ihl = i < 6 ? 5 : 5 + (i % 3);
        const bytes = udpFrame(100 + i, FAR, OWN, ihl);
        const right = bytes.slice();
        const header = 14 + ihl * 4;
        const view = new DataView(bytes.buffer);
        view.setUint16(header + 6, fold(wordSum(bytes, 26, 34, 17 + bytes.length - header)));
        bench.send(bytes, i & 1 ? 50 : 0, i & 2 ? 20 : 0, (header << 16) | 6);
        // One without between them must not be touched.
        bench.send(frame(100));
        bench.run(MILLISECOND);
        assert.deepEqual(bench.heard.pop(), frame(100));
        assert.deepEqual(bench.heard.pop(), right, `frame ${i}`);
      }
      bench.accounted();
    });

    test("goes round the transmit ring many times under pressure", () => {
      const bench = new Bench({ variant, conditions: { rate: 1e9 } });
      const sent: Uint8Array[] = [];
      for (let i = 0; i < 900; i++) {
        const bytes = frame(60 + ((i * 97) % 1400), FAR, OWN, i);
        sent.push(bytes);
        bench.send(bytes, i % 3 ? 20 : 0, i % 5 ? 16 : 0);
        if (i % 90 === 89) bench.run(200 * MICROSECOND);
      }
      bench.run(50 * MILLISECOND);
      assert.equal(bench.heard.length, 900);
      bench.heard.forEach((bytes, i) => assert.deepEqual(bytes, sent[i]));
      assert.equal(bench.call(Call.Waiting), 0);
      bench.accounted();
    });

    test("receives in order, over many rounds of the ring, with few doorbells", () => {
      const bench = new Bench({ variant });
      const frames: Uint8Array[] = [];
      for (let i = 0; i < 1000; i++) {
        const bytes = frame(60 + ((i * 131) % 1455), OWN, FAR, i);
        frames.push(bytes);
        bench.hear(bytes);
        if (i % 100 === 99) bench.run(3 * MILLISECOND);
      }
      bench.run();
      const doorbells = bench.counter(Counter.Doorbells);
      assert.deepEqual(bench.receiveAll(), frames);
      assert.ok(doorbells <= 1000 / 32, `${doorbells} doorbells`);
      assert.equal(
        bench.counter(Counter.ReceivedBytes),
        frames.reduce((n, f) => n + f.length, 0),
      );
      bench.accounted();
    });

    test("passes on what the device says of checksums, and nothing when one is wrong", () => {
      const bench = new Bench({ variant });
      const good = udpFrame(99, OWN, FAR);
      const badData = good.slice();
      badData[60]! ^= 1;
      const badHeader = good.slice();
      badHeader[22]! ^= 1;
      for (const bytes of [good, badData, badHeader, frame(100, OWN, FAR)]) bench.hear(bytes);
      bench.run();
      const flags = [0, 1, 2, 3].map(() => bench.receive()!.flags);
      assert.equal(flags[0], 3, "transport and network");
      assert.equal(flags[1], 2, "network only");
      assert.equal(flags[2]! & 2, 0, "not the network's");
      assert.equal(flags[3], 0, "not IP");
      bench.accounted();
    });

    test("filters: own, broadcast, groups asked for; all in promiscuous mode", () => {
      const bench = new Bench({ variant });
      const broadcast = new Uint8Array(6).fill(255);
      const groupA = Uint8Array.of(1, 0, 0x5e, 0, 0, 0xfb);
      const groupB = Uint8Array.of(0x33, 0x33, 0, 1, 0, 3);
      const other = macAddress(0x55);
      const all = [OWN, broadcast, groupA, groupB, other];
      const heardBy = (mode: number, groups: Uint8Array[]): number[] => {
        bench.groups(mode, groups);
        for (const to of all) bench.hear(frame(60, to, FAR));
        bench.run();
        const received = bench.receiveAll().map((bytes) => Buffer.from(bytes.subarray(0, 6)));
        return all.flatMap((to, i) => (received.some((got) => got.equals(to)) ? [i] : []));
      };
      assert.deepEqual(heardBy(0, []), [0, 1]);
      assert.deepEqual(heardBy(0, [groupA]), [0, 1, 2]);
      assert.deepEqual(heardBy(0, [groupB, groupA]), [0, 1, 2, 3]);
      assert.deepEqual(heardBy(0, [groupB]), [0, 1, 3]);
      assert.deepEqual(heardBy(2, []), [0, 1, 2, 3]);
      assert.deepEqual(heardBy(1, []), [0, 1, 2, 3, 4]);
      assert.deepEqual(heardBy(0, []), [0, 1]);
      bench.accounted();
    });

    test("a reset frees what was in flight and keeps filter and counters", () => {
      const bench = new Bench({ variant, faults: { hang: 1 } });
      const group = Uint8Array.of(1, 0, 0x5e, 0, 0, 0xfb);
      bench.groups(0, [group]);
      for (let i = 0; i < 20; i++) bench.send(frame(100 + i), 30, 20);
      bench.run(MILLISECOND);
      assert.equal(bench.owned(Owner.NicTx) > 0, true);
      bench.nic.faults.hang = 0;
      bench.call(Call.Reset);
      bench.run(MILLISECOND);
      bench.accounted();
      assert.equal(bench.counter(Counter.Resets), 1);
      assert.equal(bench.counter(Counter.TransmitErrors), 20);
      bench.run(200 * MILLISECOND);
      bench.call(Call.Check);
      bench.send(frame(77));
      bench.hear(frame(88, group, FAR));
      bench.run();
      assert.deepEqual(bench.heard, [frame(77)]);
      assert.equal(bench.receiveAll().length, 1);
      bench.accounted();
    });

    test("a reset forgets the checksum layout that the device held", () => {
      const bench = new Bench({ variant });
      const right = udpFrame(100, FAR, OWN);
      const asked = right.slice();
      new DataView(asked.buffer).setUint16(40, fold(wordSum(asked, 26, 34, 17 + 108)));
      for (let i = 0; i < 2; i++) {
        bench.send(asked, 0, 0, (34 << 16) | 6);
        bench.run(MILLISECOND);
        assert.deepEqual(bench.heard.pop(), right);
        bench.call(Call.Reset);
        bench.run(200 * MILLISECOND);
        bench.call(Call.Check);
      }
      bench.accounted();
    });

    test("a hung transmitter is found by the second check and runs again", () => {
      const bench = new Bench({ variant, faults: { hang: 1 } });
      bench.send(frame(100));
      bench.run(MILLISECOND);
      bench.nic.faults.hang = 0;
      for (let i = 0; i < 2; i++) {
        assert.equal(bench.counter(Counter.Resets), 0);
        bench.run(SECOND);
        bench.call(Call.Check);
      }
      assert.equal(bench.counter(Counter.Resets), 1);
      bench.machine.expectLine(/eth0 transmitter hung, resetting queued=\d+/, 1);
      bench.run(200 * MILLISECOND);
      bench.call(Call.Check);
      bench.send(frame(61));
      bench.run();
      assert.deepEqual(bench.heard, [frame(61)]);
      bench.accounted();
    });

    test("a transmitter that is busy or without a link is not taken for hung", () => {
      const bench = new Bench({ variant, conditions: { rate: 1e9 } });
      for (let i = 0; i < 6; i++) {
        for (let n = 0; n < 100; n++) bench.send(frame(1514));
        bench.call(Call.Check);
        bench.run(MILLISECOND);
      }
      bench.link.isUp = false;
      for (let i = 0; i < 5; i++) {
        bench.run(SECOND);
        bench.call(Call.Check);
      }
      assert.equal(bench.counter(Counter.Resets), 0);
      // Without a link nothing is queued on the device.
      bench.send(frame(100));
      bench.run();
      assert.equal(bench.call(Call.Waiting), 0);
    });

    test("stop: every packet comes back and the device is silent", () => {
      const bench = new Bench({ variant });
      bench.hear(frame(100, OWN, FAR));
      bench.run();
      bench.receiveAll();
      bench.send(frame(100));
      bench.call(Call.Stop);
      assert.equal(bench.owned(Owner.Free), bench.slots);
      assert.equal(bench.nic.pci.command & 4, 0, "bus master");
    });
  });
}

describe("segmentation (SDM 3.5)", () => {
  for (const variant of Object.values(VARIANTS).filter((it) => it.segmentation)) {
    test(`${variant.name}: bursts of every kind of length, in one piece and in two`, () => {
      const bench = new Bench({ variant });
      let tag = 0;
      for (const size of [1448, 1460, 536, 100]) {
        for (const payload of [size + 1, 2 * size, 2 * size + 5, 9 * size, 43 * size + 700]) {
          if (payload > 65000) continue;
          for (const cut of [0, 1, 3, size, payload - 1, payload - 4, payload - 5]) {
            const burst = tcpBurst(payload, size, size !== 1460, tag++);
            bench.sendBurst(burst, cut);
            bench.run(2 * MILLISECOND);
            expectSegments(bench.heard, burst);
            assert.equal(bench.heard.length, 0);
          }
        }
      }
      assert.equal(bench.nic.counts.bursts, tag);
      bench.call(Call.Check);
      assert.equal(bench.counter(Counter.SentPackets), bench.nic.counts.sent);
      bench.accounted();
    });
  }

  test("bursts among single frames, round the ring many times", () => {
    const bench = new Bench({ conditions: { rate: 1e9 } });
    const sum = fold(wordSum(udpFrame(100, FAR, OWN), 26, 34, 17 + 108));
    for (let round = 0; round < 60; round++) {
      const bursts = [3000, 63712, 20000].map((n, i) => tcpBurst(n, 1448, true, round * 3 + i));
      const right = udpFrame(100, FAR, OWN);
      const asked = right.slice();
      new DataView(asked.buffer).setUint16(40, sum);
      for (const burst of bursts) {
        bench.sendBurst(burst, burst.headers + round);
        bench.send(asked, 0, 0, (34 << 16) | 6);
        bench.send(frame(60 + round));
        bench.send(asked, 40, 30, (34 << 16) | 6);
      }
      bench.run(3 * MILLISECOND);
      for (const burst of bursts) {
        expectSegments(bench.heard, burst);
        assert.deepEqual(bench.heard.shift(), right);
        assert.deepEqual(bench.heard.shift(), frame(60 + round));
        assert.deepEqual(bench.heard.shift(), right);
      }
      assert.equal(bench.heard.length, 0);
    }
    assert.equal(bench.call(Call.Waiting), 0);
    bench.accounted();
  });

  test("a burst that finds no room waits whole", () => {
    const bench = new Bench({ conditions: { rate: 1e9 } });
    const bursts = Array.from({ length: 12 }, (_, i) => tcpBurst(63712, 1448, true, i));
    for (const burst of bursts) bench.sendBurst(burst);
    bench.run(100 * MICROSECOND);
    assert.ok(bench.call(Call.Waiting) > 0);
    bench.run(30 * MILLISECOND);
    for (const burst of bursts) expectSegments(bench.heard, burst);
    assert.equal(bench.heard.length, 0);
    bench.accounted();
  });

  test("a transmitter that hangs with bursts queued gives every packet back", () => {
    const bench = new Bench({ faults: { hang: 1 } });
    for (let i = 0; i < 4; i++) bench.sendBurst(tcpBurst(63712, 1448, true, i), 5000);
    bench.run(MILLISECOND);
    bench.nic.faults.hang = 0;
    for (let i = 0; i < 2; i++) {
      bench.run(SECOND);
      bench.call(Call.Check);
    }
    assert.equal(bench.counter(Counter.Resets), 1);
    bench.run(200 * MILLISECOND);
    bench.call(Call.Check);
    bench.heard.length = 0;
    const burst = tcpBurst(5000, 1448, false);
    bench.sendBurst(burst);
    bench.run();
    expectSegments(bench.heard, burst);
    bench.accounted();
  });
});

describe("what goes wrong", () => {
  test("no free packet: frames are dropped and counted, and the ring stays full", () => {
    const bench = new Bench();
    bench.call(Call.Starve, 0);
    for (let i = 0; i < 700; i++) bench.hear(frame(200, OWN, FAR, i));
    bench.run(30 * MILLISECOND);
    assert.equal(bench.receive(), undefined);
    assert.equal(bench.counter(Counter.ReceiveDropped), 700);
    assert.equal(bench.owned(Owner.NicRx), RING);
    bench.call(Call.Starve, 1 << 20);
    bench.hear(frame(200, OWN, FAR));
    bench.run();
    assert.equal(bench.receiveAll().length, 1);
    bench.accounted();
  });

  test("damaged frames and descriptors that lie never reach the stack", () => {
    const bench = new Bench({ faults: { badFrame: 0.3, lyingDescriptor: 0.3 } });
    const frames: Uint8Array[] = [];
    for (let i = 0; i < 2000; i++) {
      const bytes = frame(60 + ((i * 37) % 1455), OWN, FAR, i);
      frames.push(bytes);
      bench.hear(bytes);
      if (i % 100 === 99) bench.run(3 * MILLISECOND);
    }
    bench.run();
    assert.deepEqual(bench.receiveAll(), frames);
    bench.call(Call.Check);
    assert.ok(bench.counter(Counter.ReceiveErrors) > 500);
    bench.accounted();
  });

  test("a frame in more than one buffer is dropped whole, and the next one is not", () => {
    const bench = new Bench({ conditions: { mtu: 9000 } });
    // Long packets enabled behind the driver's back (RCTL.LPE).
    bench.nic.write(0, 0x100, 4, bench.nic.read(0, 0x100, 4) | (1 << 5));
    const good: Uint8Array[] = [];
    for (let i = 0; i < 100; i++) {
      bench.hear(frame(2049 + ((i * 613) % 6900), OWN, FAR, i));
      good.push(frame(60 + i, OWN, FAR, i));
      bench.hear(good[i]!);
      if (i % 10 === 9) bench.run(3 * MILLISECOND);
    }
    bench.run();
    assert.deepEqual(bench.receiveAll(), good);
    assert.equal(bench.counter(Counter.ReceiveErrors), 100);
    bench.accounted();
  });

  test("frames that the device had no room for are counted as dropped", () => {
    const bench = new Bench({ faults: { overrun: 0.5 } });
    for (let i = 0; i < 200; i++) bench.hear(frame(100, OWN, FAR, i));
    bench.run();
    const received = bench.receiveAll().length;
    bench.call(Call.Check);
    assert.equal(received + bench.counter(Counter.ReceiveDropped), 200);
    assert.ok(received > 50 && received < 150);
    bench.accounted();
  });

  test("late completions free their packets in the end", () => {
    const bench = new Bench({ faults: { completionDelay: 500 * MICROSECOND } });
    for (let i = 0; i < 300; i++) {
      bench.send(frame(100 + i), 40);
      bench.hear(frame(100 + i, OWN, FAR));
      if (i % 20 === 19) bench.run(MILLISECOND);
    }
    bench.run(200 * MILLISECOND);
    assert.equal(bench.heard.length, 300);
    assert.equal(bench.receiveAll().length, 300);
    bench.accounted();
  });

  test("interrupts that are lost or late cost time, not packets", () => {
    const bench = new Bench({
      faults: { interruptLoss: 0.5, interruptDelay: 300 * MICROSECOND },
    });
    for (let i = 0; i < 100; i++) {
      bench.hear(frame(100, OWN, FAR, i));
      bench.run(120 * MILLISECOND);
      assert.equal(bench.receiveAll().length, 1, `frame ${i}`);
    }
    bench.accounted();
  });

  test("a line that cannot be routed is polled, within a millisecond", () => {
    const bench = new Bench({ unroutable: 1 << 11 });
    for (let i = 0; i < 20; i++) {
      bench.hear(frame(100, OWN, FAR, i));
      bench.run(MILLISECOND);
      assert.equal(bench.receiveAll().length, 1, `frame ${i}`);
    }
    assert.equal(bench.counter(Counter.Interrupts), 0);
  });

  test("an interrupt ends the sleep at once, and one is enough for a burst", () => {
    const bench = new Bench();
    const before = bench.counter(Counter.Interrupts);
    bench.run(50 * MILLISECOND);
    for (let i = 0; i < 50; i++) bench.hear(frame(1514, OWN, FAR, i));
    bench.run(MILLISECOND);
    assert.equal(bench.receiveAll().length, 50);
    const taken = bench.counter(Counter.Interrupts) - before;
    // 50 µs between two, for the 600 µs that the burst takes.
    assert.ok(taken >= 1 && taken <= 14, `${taken} interrupts`);
  });

  test("a line that fires for nobody is masked, its NIC polled, and tried again later", () => {
    let host: Host | undefined;
    const stranger: PciDevice = {
      pci: new PciFunction({ vendor: 0x1234, device: 0x5678, classCode: 0x078000 }),
      plugged: (to) => void (host = to),
      read: () => 0,
      write: () => {},
    };
    const bench = new Bench({ beside: [stranger] });
    host!.setLine(11, true);
    bench.run(100 * MILLISECOND);
    bench.machine.expectLine(/line fires with no device asking; masked.*line=11/, 1);
    const { steps } = bench.machine;
    for (let i = 0; i < 100; i++) {
      bench.hear(frame(100, OWN, FAR, i));
      bench.run(10 * MILLISECOND);
      assert.equal(bench.receiveAll().length, 1, `frame ${i}`);
    }
    // Twenty looks in 10 ms, a few steps each; unmasked there would be one each few microseconds.
    assert.ok(bench.machine.steps - steps < 12_000, `${bench.machine.steps - steps} steps`);
    host!.setLine(11, false);
    bench.run(11 * SECOND);
    const before = bench.counter(Counter.Interrupts);
    bench.run(10 * MILLISECOND);
    bench.hear(frame(100, OWN, FAR));
    bench.run(10 * MILLISECOND);
    assert.equal(bench.counter(Counter.Interrupts), before + 1);
    bench.receiveAll();
    bench.accounted();
  });

  test("a NIC whose line stays silent is polled from then on", () => {
    const bench = new Bench({ faults: { interruptLoss: 1 } });
    for (let i = 0; i < 20; i++) {
      bench.hear(frame(100, OWN, FAR, i));
      bench.run(150 * MILLISECOND);
      assert.equal(bench.receiveAll().length, 1, `frame ${i}`);
    }
    bench.machine.expectLine(/packets come but the line is silent, polling/, 1);
    bench.hear(frame(100, OWN, FAR));
    bench.run(MILLISECOND);
    assert.equal(bench.receiveAll().length, 1, "within a millisecond now");
  });

  test("an EEPROM whose sum is wrong is not believed", () => {
    const spoil = (nic: E1000): void => {
      const { eeprom } = nic as unknown as { eeprom: { words: Uint16Array } };
      eeprom.words[10]! ^= 1;
    };
    const bench = new Bench({ before: spoil });
    bench.machine.expectLine(/EEPROM sum is wrong, using the address register sum=/, 1);
    bench.machine.expectLine(/mac=52:54:00:5a:00:07/, 1);
  });
});
