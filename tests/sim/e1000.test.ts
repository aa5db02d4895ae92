import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Host } from "../../tools/sim/device.ts";
import { E1000, type Variant, VARIANTS } from "../../tools/sim/e1000.ts";
import { fold, wordSum } from "../../tools/sim/e1000-parts.ts";
import { Link, type Port } from "../../tools/sim/link.ts";
import { macAddress } from "../../tools/sim/machine.ts";
import type { NicFaults } from "../../tools/sim/nic.ts";
import { MICROSECOND, MILLISECOND, SECOND, Simulation } from "../../tools/sim/simulation.ts";

/**
 * The E1000 model against Intel's Software Developer's Manual: register pokes as in its chapters
 * 3, 5, 13 and 14, written out as numbers, so that neither the model's names nor our driver is
 * what it is tested against.
 */

const RAM = 0x10000;
const TX_RING = 0x10000;
const RX_RING = 0x11000;
const BUFFERS = 0x20000;

/** A machine without a processor: memory, and a driver that is this test. */
class Bench implements Host {
  readonly simulation = new Simulation(1);
  readonly memory = new Uint8Array(1 << 20);
  readonly view = new DataView(this.memory.buffer);
  readonly nic: E1000;
  readonly link: Link;
  readonly heard: Uint8Array[] = [];
  readonly far: Port = { name: "far", receive: (frame) => this.heard.push(frame) };
  line = false;

  constructor(variant: Variant = VARIANTS["82540EM"], faults: Partial<NicFaults> = {}) {
    this.nic = new E1000({ variant, mac: macAddress(7), faults });
    this.nic.plugged(this, () => true);
    this.nic.pci.write(4, 7, 0xffff);
    this.link = new Link(this.simulation);
    this.link.attach(this.far);
    this.nic.connect(this.link);
  }

  get time(): number {
    return this.simulation.now;
  }

  readable(address: number, length: number): boolean {
    return this.writable(address, length);
  }

  writable(address: number, length: number): boolean {
    return address >= RAM && address + length <= this.memory.length;
  }

  setLine(_line: number, level: boolean): void {
    this.line = level;
  }

  message(): void {
    assert.fail("an 8254x has no message");
  }

  get(offset: number): number {
    return this.nic.read(0, offset, 4) >>> 0;
  }

  set(offset: number, value: number): void {
    this.nic.write(0, offset, 4, value);
  }

  /** SDM 14.3 to 14.5: link, receive ring of 16 buffers of 2 KiB, transmit ring of 16. */
  bringUp(rctl = 0x04008002): this {
    this.set(0x0000, 0x41);
    this.simulation.run(50 * MILLISECOND);
    assert.equal(this.get(0x0008) & 2, 2, "STATUS.LU");
    for (let i = 0; i < 16; i++) this.describe(RX_RING, i, BUFFERS + i * 2048, 0, 0);
    this.set(0x2800, RX_RING);
    this.set(0x2808, 256);
    this.set(0x5000, 0x300);
    this.set(0x0100, rctl);
    this.set(0x2818, 15);
    this.set(0x3800, TX_RING);
    this.set(0x3808, 256);
    this.set(0x0410, 0x0060200a);
    this.set(0x0400, 0x0004010a);
    this.get(0x00c0);
    return this;
  }

  describe(ring: number, index: number, address: number, low: number, high: number): void {
    const at = ring + index * 16;
    this.view.setUint32(at, address, true);
    this.view.setUint32(at + 4, 0, true);
    this.view.setUint32(at + 8, low, true);
    this.view.setUint32(at + 12, high, true);
  }

  put(bytes: Uint8Array, address = 0x80000): number {
    this.memory.set(bytes, address);
    return address;
  }

  /** Status word of a receive descriptor. */
  rxStatus(index: number): number {
    return this.view.getUint32(RX_RING + index * 16 + 12, true);
  }

  run(): void {
    this.simulation.run(MILLISECOND);
  }
}

function frame(length: number, to: Uint8Array = macAddress(7), type = 0x88b5): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 14; i < length; i++) bytes[i] = i * 7;
  bytes.set(to);
  bytes.set(macAddress(9), 6);
  bytes[12] = type >> 8;
  bytes[13] = type;
  return bytes;
}

/** An IPv4 TCP frame whose checksums are left to the device: 20-byte headers, no options. */
function tcpFrame(payload: number, pseudoLength: number): Uint8Array {
  const bytes = frame(54 + payload, macAddress(9), 0x0800);
  const view = new DataView(bytes.buffer);
  bytes.fill(0, 14, 54);
  view.setUint16(14, 0x4500);
  view.setUint16(16, 40 + payload);
  view.setUint16(18, 0x1234);
  view.setUint16(22, 0x4006);
  view.setUint32(26, 0x0a000001);
  view.setUint32(30, 0x0a000002);
  view.setUint32(38, 1000);
  view.setUint16(46, 0x5019);
  view.setUint16(50, fold(wordSum(bytes, 26, 34, 6 + pseudoLength)));
  return bytes;
}

function checkTcp(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const total = view.getUint16(16);
  assert.equal(fold(wordSum(bytes, 14, 34)), 0xffff, "IPv4 header checksum");
  const pseudo = wordSum(bytes, 26, 34, 6 + total - 20);
  assert.equal(fold(wordSum(bytes, 34, 14 + total, pseudo)), 0xffff, "TCP checksum");
}

describe("E1000 model", () => {
  for (const variant of Object.values(VARIANTS)) {
    test(`${variant.name}: EEPROM over its wires, with the manual's checksum`, () => {
      const bench = new Bench(variant);
      const request = variant.eepromRequest ? 0x40 : 0;
      bench.set(0x10, request);
      if (request) assert.equal(bench.get(0x10) & 0x80, 0x80, "EE_GNT");
      const read = (word: number): number => {
        bench.set(0x10, request | 2);
        const clock = (bit: number): number => {
          bench.set(0x10, request | 2 | (bit << 2));
          bench.set(0x10, request | 3 | (bit << 2));
          const out = (bench.get(0x10) >> 3) & 1;
          bench.set(0x10, request | 2 | (bit << 2));
          return out;
        };
        for (let i = 8; i >= 0; i--) clock(((0x180 | word) >> i) & 1);
        let value = 0;
        for (let i = 0; i < 16; i++) value = (value << 1) | clock(0);
        bench.set(0x10, request);
        return value;
      };
      const words = Array.from({ length: 64 }, (_, i) => read(i));
      assert.deepEqual(words.slice(0, 3), [0x5452, 0x5a00, 0x0700]);
      assert.equal(words.reduce((sum, word) => sum + word) & 0xffff, 0xbaba);
      if (variant.eerd) {
        bench.set(0x14, (1 << 8) | 1);
        assert.equal(bench.get(0x14), 0x5a000110);
      }
    });
  }

  test("MDIC reads the PHY, with its ready bit in time; link status latches", () => {
    const bench = new Bench();
    bench.set(0x00, 0x41);
    bench.simulation.run(50 * MILLISECOND);
    const read = (register: number): number => {
      bench.set(0x20, (2 << 26) | (1 << 21) | (register << 16));
      assert.equal(bench.get(0x20) >>> 28, 0);
      bench.simulation.run(30 * MICROSECOND);
      assert.equal(bench.get(0x20) >>> 28, 1);
      return bench.get(0x20) & 0xffff;
    };
    assert.equal(read(2), 0x0141);
    assert.equal(read(1) & 0x24, 0x20, "link was down since the last read");
    assert.equal(read(1) & 0x24, 0x24);
  });

  test("link up and down raise LSC, and ICR clears when it is read", () => {
    const bench = new Bench();
    bench.set(0xd0, 4);
    bench.set(0x00, 0x41);
    bench.simulation.run(50 * MILLISECOND);
    assert.equal(bench.line, true);
    assert.equal(bench.get(0xc0), 4);
    assert.equal(bench.line, false);
    bench.link.isUp = false;
    assert.equal(bench.get(0x08) & 2, 0);
    assert.equal(bench.get(0xc0), 4);
    assert.equal(bench.get(0xc0), 0);
  });

  test("the mask gates the line, not the cause", () => {
    const bench = new Bench();
    bench.set(0xc8, 0x80);
    assert.equal(bench.line, false);
    bench.set(0xd0, 0x80);
    assert.equal(bench.line, true);
    bench.set(0xd8, 0x80);
    assert.equal(bench.line, false);
    assert.equal(bench.get(0xc0), 0x80);
  });

  test("ITR spaces interrupts by multiples of 256 ns", () => {
    const bench = new Bench();
    bench.set(0xc4, 400);
    bench.set(0xd0, 0x80);
    bench.set(0xc8, 0x80);
    assert.equal(bench.line, true);
    bench.get(0xc0);
    bench.simulation.run(10 * MICROSECOND);
    bench.set(0xc8, 0x80);
    assert.equal(bench.line, false);
    bench.simulation.run(100 * MICROSECOND);
    assert.equal(bench.line, true);
  });

  test("sends legacy descriptors, pads, reports DD only where RS asks", () => {
    const bench = new Bench().bringUp();
    const address = bench.put(frame(50));
    bench.describe(TX_RING, 0, address, (0x03 << 24) | 20, 0);
    bench.describe(TX_RING, 1, address + 20, (0x0b << 24) | 30, 0);
    bench.view.setUint32(TX_RING + 8, (0x02 << 24) | 20, true);
    bench.set(0x3818, 2);
    bench.run();
    assert.equal(bench.heard.length, 1);
    assert.deepEqual(bench.heard[0]!.subarray(0, 50), frame(50));
    assert.equal(bench.heard[0]!.length, 60);
    assert.equal(bench.view.getUint32(TX_RING + 12, true) & 1, 0);
    assert.equal(bench.view.getUint32(TX_RING + 28, true) & 1, 1);
    assert.equal(bench.get(0x3810), 2);
    assert.equal(bench.get(0xc0) & 3, 3, "TXDW and TXQE");
    bench.get(0x4080);
  });

  test("inserts IPv4 and TCP checksums by context", () => {
    const bench = new Bench().bringUp();
    const address = bench.put(tcpFrame(101, 121));
    const ring = TX_RING;
    bench.view.setUint32(ring, 14 | (24 << 8) | (33 << 16), true);
    bench.view.setUint32(ring + 4, 34 | (50 << 8), true);
    bench.view.setUint32(ring + 8, 0x23 << 24, true);
    bench.view.setUint32(ring + 12, 0, true);
    bench.describe(ring, 1, address, (0x2b << 24) | (1 << 20) | 155, 3 << 8);
    bench.set(0x3818, 2);
    bench.run();
    checkTcp(bench.heard[0]!);
  });

  test("segments TCP", () => {
    const bench = new Bench().bringUp();
    const address = bench.put(tcpFrame(5000, 0));
    const ring = TX_RING;
    bench.view.setUint32(ring, 14 | (24 << 8) | (33 << 16), true);
    bench.view.setUint32(ring + 4, 34 | (50 << 8), true);
    bench.view.setUint32(ring + 8, ((0x27 << 24) | 5000) >>> 0, true);
    bench.view.setUint32(ring + 12, (54 << 8) | (1460 << 16), true);
    bench.describe(ring, 1, address, (0x2e << 24) | (1 << 20) | 4000, 3 << 8);
    bench.describe(ring, 2, address + 4000, (0x2f << 24) | (1 << 20) | 1054, 0);
    bench.set(0x3818, 3);
    bench.run();
    assert.deepEqual(
      bench.heard.map((f) => f.length),
      [1514, 1514, 1514, 674],
    );
    bench.heard.forEach((f, i) => {
      checkTcp(f);
      const view = new DataView(f.buffer);
      assert.equal(view.getUint32(38), 1000 + 1460 * i);
      assert.equal(view.getUint16(18), 0x1234 + i);
      assert.equal(f[47], i === 3 ? 0x19 : 0x10);
      assert.deepEqual(
        f.subarray(54),
        tcpFrame(5000, 0).subarray(54 + 1460 * i, 54 + 1460 * i + f.length - 54),
      );
    });
  });

  test("receives: filters, checksums, status bits, statistics", () => {
    const bench = new Bench().bringUp();
    bench.nic.read(0, 0x4074, 4);
    const good = tcpFrame(100, 120);
    good.set(macAddress(7));
    const view = new DataView(good.buffer);
    view.setUint16(24, ~fold(wordSum(good, 14, 34)));
    view.setUint16(50, ~fold(wordSum(good, 34, 154)));
    const bad = good.slice();
    bad[100]! ^= 1;
    bench.link.send(bench.far, good);
    bench.link.send(bench.far, bad);
    bench.link.send(bench.far, frame(60, macAddress(8)));
    bench.link.send(bench.far, frame(60, new Uint8Array(6).fill(255)));
    bench.run();
    assert.equal(bench.rxStatus(0), 0x63);
    assert.equal(bench.rxStatus(1), 0x2063);
    assert.equal(bench.rxStatus(2), 0x07);
    assert.equal(bench.rxStatus(3), 0);
    assert.equal(bench.view.getUint16(RX_RING + 8, true), 154);
    assert.deepEqual(bench.memory.slice(BUFFERS, BUFFERS + 154), good);
    assert.equal(bench.get(0x4074), 3);
    assert.equal(bench.get(0x4074), 0);
    assert.equal(bench.get(0x2810), 3);
  });

  test("multicast: the hash of RCTL.MO 0 takes bits 47:36 of the address", () => {
    const bench = new Bench().bringUp();
    for (let i = 0; i < 128; i++) bench.set(0x5200 + i * 4, 0);
    // SDM 13.5.1's own example: 12.34.56.78.9A.BC gives 0xBC9 for MO 0.
    const to = Uint8Array.of(0x13, 0x34, 0x56, 0x78, 0x9a, 0xbc);
    bench.link.send(bench.far, frame(60, to));
    bench.run();
    assert.equal(bench.rxStatus(0), 0);
    bench.set(0x5200 + (0xbc9 >> 5) * 4, 1 << (0xbc9 & 31));
    bench.link.send(bench.far, frame(60, to));
    bench.run();
    assert.equal(bench.rxStatus(0) & 3, 3);
  });

  test("a frame larger than a buffer takes several descriptors", () => {
    const bench = new Bench().bringUp(0x04008002 | (2 << 16));
    bench.link.send(bench.far, frame(1300));
    bench.run();
    assert.deepEqual(
      [0, 1, 2, 3].map((i) => bench.rxStatus(i) & 3),
      [1, 1, 3, 0],
    );
    assert.equal(bench.view.getUint16(RX_RING + 32 + 8, true), 1300 - 1024);
  });

  test("without descriptors frames wait, then are lost and counted", () => {
    const bench = new Bench().bringUp();
    bench.get(0x40a0);
    bench.get(0x4010);
    for (let i = 0; i < 60; i++) bench.link.send(bench.far, frame(1500));
    bench.simulation.run(10 * MILLISECOND);
    assert.ok(bench.get(0x40a0) > 0, "RNBC");
    assert.equal(bench.get(0x4010), 60 - 15 - Math.floor((48 * 1024) / 1504));
    assert.equal(bench.get(0xc0) & 0xd0, 0xd0, "RXT0, RXO, RXDMT0");
    for (let i = 0; i < 15; i++) bench.describe(RX_RING, i, BUFFERS + i * 2048, 0, 0);
    bench.set(0x2818, 14);
    bench.run();
    assert.equal(bench.rxStatus(0) & 1, 1);
  });

  test("faults at the device: damaged, short and long frames are counted, not received", () => {
    const bench = new Bench(VARIANTS["82540EM"], { badFrame: 1 }).bringUp();
    const statistics = [0x4000, 0x40a4, 0x40ac];
    for (const at of statistics) bench.get(at);
    for (let i = 0; i < 12; i++) bench.link.send(bench.far, frame(60));
    bench.run();
    assert.equal(bench.get(0x2810), 12);
    const counts = statistics.map((at) => bench.get(at));
    assert.equal(
      counts.reduce((a, b) => a + b),
      12,
    );
    assert.ok(
      counts.every((count) => count > 0),
      `CRCERRS, RUC, ROC: ${counts}`,
    );
  });

  test("a hung transmitter stays hung until it is reset", () => {
    const bench = new Bench(VARIANTS["82540EM"], { hang: 1 }).bringUp();
    bench.describe(TX_RING, 0, bench.put(frame(60)), (0x0b << 24) | 60, 0);
    bench.set(0x3818, 1);
    bench.simulation.run(SECOND);
    assert.equal(bench.heard.length, 0);
    bench.nic.faults.hang = 0;
    bench.set(0x00, 0x04000041);
    bench.run();
    bench.describe(TX_RING, 0, bench.put(frame(60)), (0x0b << 24) | 60, 0);
    bench.bringUp();
    bench.set(0x3818, 1);
    bench.run();
    assert.equal(bench.heard.length, 1);
  });

  const breaches: [string, RegExp, (bench: Bench) => void][] = [
    ["reserved bits", /RCTL ← .* reserved bits 0x400\b/, (b) => b.set(0x100, 0x400)],
    ["a register that does not exist", /0x2ff0/, (b) => b.get(0x2ff0)],
    ["access of 8 bits", /32 bits/, (b) => b.nic.read(0, 8, 1)],
    ["access right after reset", /less than 1 µs/, (b) => (b.set(0, 0x04000000), b.get(8))],
    ["a tail outside the ring", /TDT ← 16/, (b) => b.set(0x3818, 16)],
    ["a ring length that is no multiple of 128", /RDLEN/, (b) => b.set(0x2808, 272)],
    ["a ring moved while it runs", /TDBAL/, (b) => b.set(0x3800, 0x12000)],
    [
      "done bit not cleared",
      /done bit/,
      (b) => {
        b.link.send(b.far, frame(60));
        b.run();
        b.describe(RX_RING, 15, 0x30000, 0, 1);
        b.set(0x2818, 0);
      },
    ],
    ["a tail past the head", /passes the head/, (b) => b.set(0x2818, 3)],
    [
      "a buffer outside RAM",
      /not in RAM/,
      (b) => (b.describe(TX_RING, 0, 0x800, (0x0b << 24) | 60, 0), b.set(0x3818, 1)),
    ],
    [
      "a buffer twice in the ring",
      /in the ring already/,
      (b) => {
        b.link.send(b.far, frame(60));
        b.run();
        b.describe(RX_RING, 15, BUFFERS + 2048, 0, 0);
        b.set(0x2818, 0);
      },
    ],
    [
      "a descriptor changed while owned",
      /receive descriptor 0 was written/,
      (b) => (b.view.setUint32(RX_RING, 0x40000, true), b.link.send(b.far, frame(60)), b.run()),
    ],
    [
      "a buffer changed while owned",
      /buffer of transmit descriptor 0 changed/,
      (b) => {
        b.describe(TX_RING, 0, b.put(frame(60)), (0x0b << 24) | 60, 0);
        b.set(0x3818, 1);
        b.simulation.run(700);
        b.memory[0x80010]! ^= 1;
        b.run();
      },
    ],
    [
      "no FCS",
      /IFCS/,
      (b) => (
        b.describe(TX_RING, 0, b.put(frame(60)), (0x09 << 24) | 60, 0),
        b.set(0x3818, 1),
        b.run()
      ),
    ],
    [
      "a burst in runs too long for the FIFO",
      /exceeds 4096/,
      (b) => {
        b.describe(TX_RING, 0, 0, 0x27 * 2 ** 24 + 5000, (54 << 8) | (1460 << 16));
        const address = b.put(tcpFrame(5000, 0));
        b.describe(TX_RING, 1, address, (0x2f << 24) | (1 << 20) | 5054, 3 << 8);
        b.set(0x3818, 2);
        b.run();
      },
    ],
    [
      "a burst without a context for one",
      /its context has not/,
      (b) => {
        b.describe(TX_RING, 0, 0, 0x23 * 2 ** 24, 0);
        const address = b.put(tcpFrame(500, 0));
        b.describe(TX_RING, 1, address, (0x2f << 24) | (1 << 20) | 554, 3 << 8);
        b.set(0x3818, 2);
        b.run();
      },
    ],
    [
      "no bus mastering",
      /bus mastering/,
      (b) => (b.nic.pci.write(4, 3, 0xffff), b.set(0x100, 0), b.set(0x100, 2)),
    ],
  ];
  for (const [name, message, act] of breaches) {
    test(`names a driver's fault: ${name}`, () => {
      const bench = new Bench().bringUp();
      assert.throws(() => act(bench), { name: "DriverFault", message });
    });
  }
});
