import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Host } from "../../tools/sim/device.ts";
import { fold, wordSum } from "../../tools/sim/e1000-parts.ts";
import { Link, type Port } from "../../tools/sim/link.ts";
import { macAddress } from "../../tools/sim/machine.ts";
import type { NicFaults } from "../../tools/sim/nic.ts";
import { type Chip, CHIPS, Rtl8139 } from "../../tools/sim/rtl8139.ts";
import { MICROSECOND, MILLISECOND, SECOND, Simulation } from "../../tools/sim/simulation.ts";

/**
 * The RTL8139 model against Realtek's data sheets: register pokes written out as numbers, so that
 * neither the model's names nor our driver is what it is tested against.
 */

const RAM = 0x10000;
const RX = 0x20000;
const TX = 0x40000;
const RX_RING = 0x50000;
const TX_RING = 0x50400;
const BUFFERS = 0x60000;

/** A machine without a processor: memory, and a driver that is this test. */
class Bench implements Host {
  readonly simulation = new Simulation(1);
  readonly memory = new Uint8Array(1 << 20);
  readonly view = new DataView(this.memory.buffer);
  readonly nic: Rtl8139;
  readonly link: Link;
  readonly heard: Uint8Array[] = [];
  readonly far: Port = { name: "far", receive: (frame) => this.heard.push(frame) };
  line = false;

  constructor(chip: Chip, faults: Partial<NicFaults> = {}) {
    this.nic = new Rtl8139({ chip, mac: macAddress(7), faults });
    this.nic.plugged(this, () => true);
    this.nic.pci.write(4, 7, 0xffff);
    this.link = new Link(this.simulation);
    this.link.attach(this.far);
    this.nic.connect(this.link);
    this.simulation.run(50 * MILLISECOND);
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
    assert.fail("an RTL8139 has no message");
  }

  get(offset: number, width = 4): number {
    return this.nic.read(1, offset, width) >>> 0;
  }

  set(offset: number, value: number, width = 4): void {
    this.nic.write(1, offset, width, value);
  }

  run(ns = MILLISECOND): void {
    this.simulation.run(ns);
  }

  hear(bytes: Uint8Array): void {
    this.link.send(this.far, bytes);
    this.run();
  }

  put(bytes: Uint8Array, address = TX): number {
    this.memory.set(bytes, address);
    return address;
  }

  describe(ring: number, index: number, command: number, address: number): void {
    const at = ring + index * 16;
    [command >>> 0, 0, address, 0].forEach((word, i) =>
      this.view.setUint32(at + i * 4, word, true),
    );
  }

  word(address: number): number {
    return this.view.getUint32(address, true);
  }
}

/** Programming guide, 2: ring of 8 KiB, receiver and transmitter on. */
function classic(faults: Partial<NicFaults> = {}, rcr = 0xe70e): Bench {
  const bench = new Bench(CHIPS.classic, faults);
  bench.set(0x30, RX);
  for (let i = 0; i < 4; i++) bench.set(0x20 + i * 4, TX + i * 2048);
  bench.set(0x37, 0x0c, 1);
  bench.set(0x44, rcr);
  bench.set(0x40, 0x03000600);
  bench.set(0x3e, 0xffff & 0xe1ff, 2);
  return bench;
}

/** Rings of four descriptors, receiver and transmitter on. */
function plus(faults: Partial<NicFaults> = {}, cpcr = 0x2b): Bench {
  const bench = new Bench(CHIPS.plus, faults);
  for (let i = 0; i < 4; i++) {
    bench.describe(
      RX_RING,
      i,
      (0x80000000 | (i === 3 ? 0x40000000 : 0)) + 2048,
      BUFFERS + i * 2048,
    );
    bench.describe(TX_RING, i, i === 3 ? 0x40000000 : 0, 0);
  }
  bench.set(0xe0, cpcr, 2);
  for (const [at, value] of [
    [0x20, TX_RING],
    [0x28, 0],
    [0xe4, RX_RING],
  ] as const) {
    bench.set(at, value);
    bench.set(at + 4, 0);
  }
  bench.set(0x37, 0x0c, 1);
  bench.set(0x44, 0x0000a40e);
  bench.set(0x40, 0x03000600);
  bench.set(0x3e, 0xe1ff, 2);
  return bench;
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

/** IPv4 with TCP or UDP, its checksums wrong. */
function ipFrame(payload: number, protocol: 6 | 17): Uint8Array {
  const headers = protocol === 6 ? 54 : 42;
  const bytes = frame(headers + payload, macAddress(7), 0x0800);
  const view = new DataView(bytes.buffer);
  bytes.fill(0, 14, headers);
  view.setUint16(14, 0x4500);
  view.setUint16(16, headers - 14 + payload);
  view.setUint16(18, 0x1234);
  view.setUint16(22, 0x4000 | protocol);
  view.setUint16(24, 0xdead);
  view.setUint32(26, 0x0a000001);
  view.setUint32(30, 0x0a000002);
  if (protocol === 6) {
    view.setUint32(38, 1000);
    view.setUint16(46, 0x5019);
    view.setUint16(50, 0xdead);
  } else {
    view.setUint16(38, 8 + payload);
    view.setUint16(40, 0xdead);
  }
  return bytes;
}

function checkSums(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const total = view.getUint16(16);
  assert.equal(fold(wordSum(bytes, 14, 34)), 0xffff, "IPv4 header checksum");
  const pseudo = wordSum(bytes, 26, 34, bytes[23]! + total - 20);
  assert.equal(fold(wordSum(bytes, 34, 14 + total, pseudo)), 0xffff, "transport checksum");
}

describe("RTL8139 model: registers", () => {
  test("PCI says which chip it is, and so does TCR", () => {
    for (const [chip, revision, version] of [
      [CHIPS.classic, 0x10, 0x74000000],
      [CHIPS.plus, 0x20, 0x74800000],
    ] as const) {
      const bench = new Bench(chip);
      assert.equal(bench.nic.pci.read(0), 0x813910ec);
      assert.equal(bench.nic.pci.read(8) & 0xff, revision);
      assert.equal(bench.get(0x40), version);
    }
  });

  test("IDR holds the address, and outlives a reset, which takes a while", () => {
    const bench = classic();
    assert.equal(bench.get(0), 0x5a005452);
    assert.equal(bench.get(4) & 0xffff, 0x0700);
    bench.set(0x50, 0xc0, 1);
    bench.set(0, 0x11223302);
    bench.set(0x37, 0x10, 1);
    assert.equal(bench.get(0x37, 1), 0x10);
    bench.run();
    assert.equal(bench.get(0x37, 1), 0x01, "BUFE");
    assert.equal(bench.get(0), 0x11223302);
    assert.equal(bench.get(0x44), 0);
  });

  test("link: MSR and BMSR, a change on ISR bit 5, the mask gates the line", () => {
    const bench = classic();
    assert.equal(bench.get(0x58, 1) & 0x0c, 0, "link, 100 Mbit/s");
    assert.equal(bench.get(0x66, 2) & bench.get(0x68, 2) & 0x100, 0x100, "full duplex");
    bench.link.isUp = false;
    assert.equal(bench.get(0x58, 1) & 4, 4);
    assert.equal(bench.get(0x64, 2) & 4, 0);
    assert.equal(bench.get(0x3e, 2), 0x20);
    assert.equal(bench.line, false);
    bench.set(0x3c, 0x20, 2);
    assert.equal(bench.line, true);
    bench.set(0x3e, 0x20, 2);
    assert.equal(bench.line, false);
  });

  test("groups by the first six bits of the CRC", () => {
    const bench = classic();
    // All hosts, PAUSE, mDNS, IPv6; the CRC of each by zlib, its bits in reverse, the first six.
    const groups: [number[], number][] = [
      [[0x01, 0x00, 0x5e, 0x00, 0x00, 0x01], 31],
      [[0x01, 0x80, 0xc2, 0x00, 0x00, 0x01], 3],
      [[0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb], 15],
      [[0x33, 0x33, 0x00, 0x00, 0x00, 0x01], 62],
    ];
    for (const [address, bit] of groups) {
      const low = bit < 32 ? 2 ** bit : 0;
      const high = bit < 32 ? 0 : 2 ** (bit - 32);
      for (const open of [true, false]) {
        bench.set(0x08, open ? low : ~low);
        bench.set(0x0c, open ? high : ~high);
        const before = bench.get(0x3a, 2);
        bench.hear(frame(60, Uint8Array.from(address)));
        assert.equal(bench.get(0x3a, 2) !== before, open, `${address} ${open}`);
      }
    }
  });
});

describe("RTL8139 model: classic", () => {
  test("sends from its four buffers in turn and reports in TSD, TSAD and ISR", () => {
    const bench = classic();
    for (let i = 0; i < 6; i++) {
      const at = bench.put(frame(60 + i), TX + (i % 4) * 2048);
      assert.equal(at, bench.get(0x20 + (i % 4) * 4));
      bench.set(0x10 + (i % 4) * 4, (8 << 16) | (60 + i));
      assert.equal(bench.get(0x10 + (i % 4) * 4) & 0xa000, 0);
      bench.run();
      assert.equal(bench.get(0x10 + (i % 4) * 4), 0xa000 | (8 << 16) | (60 + i));
    }
    assert.deepEqual(
      bench.heard.map((bytes) => bytes.length),
      [60, 61, 62, 63, 64, 65],
    );
    assert.equal(bench.get(0x60, 2), 0xf00f);
    assert.equal(bench.get(0x3e, 2), 4);
  });

  test("receives behind a header, in units of four, with the FCS; BUFE, CBR, CAPR", () => {
    const bench = classic();
    assert.equal(bench.get(0x38, 2), 0xfff0);
    bench.hear(frame(61));
    assert.equal(bench.get(0x37, 1), 0x0c);
    assert.equal(bench.word(RX), (65 << 16) | 0x4001);
    assert.deepEqual(bench.memory.slice(RX + 4, RX + 65), frame(61));
    assert.equal(bench.get(0x3a, 2), 72);
    assert.equal(bench.get(0x3e, 2), 1);
    bench.set(0x38, 72 - 16, 2);
    assert.equal(bench.get(0x37, 1), 0x0d);
    bench.hear(frame(60, new Uint8Array(6).fill(255)));
    assert.equal(bench.word(RX + 72), (64 << 16) | 0x2001);
  });

  test("goes round the end of the ring in the middle of a frame", () => {
    const bench = classic();
    let at = 0;
    for (let i = 0; i < 40; i++) {
      const bytes = frame(1000 + i * 3);
      bench.hear(bytes);
      const got = bytes.map((_, n) => bench.memory[RX + ((at + 4 + n) % 8192)]!);
      assert.deepEqual(got, bytes, `frame ${i} at ${at}`);
      at = (at + ((bytes.length + 8 + 3) & ~3)) % 8192;
      assert.equal(bench.get(0x3a, 2), at);
      bench.set(0x38, (at - 16) & 0xffff, 2);
    }
  });

  test("a full ring loses frames and counts them, until there is room and RXOVW is cleared", () => {
    const bench = classic();
    for (let i = 0; i < 12; i++) bench.hear(frame(1000));
    assert.equal(bench.get(0x4c), 4);
    assert.equal(bench.get(0x3e, 2), 0x11);
    bench.set(0x38, 8 * 1008 - 16, 2);
    bench.hear(frame(1000));
    assert.equal(bench.get(0x4c), 5);
    bench.set(0x3e, 0x11, 2);
    bench.hear(frame(1000));
    assert.equal(bench.get(0x3e, 2), 1);
    bench.set(0x4c, 0);
    assert.equal(bench.get(0x4c), 0);
  });

  test("short, long and damaged frames stay out", () => {
    const bench = classic({ badFrame: 1 });
    for (let i = 0; i < 12; i++) bench.hear(frame(60));
    assert.equal(bench.get(0x3a, 2), 12 * 68);
  });

  test("collisions: the transmitter stands until CLRABT, then sends the same frame", () => {
    const bench = classic();
    (bench.nic as unknown as { classic: { aborts: number } }).classic.aborts = 1;
    bench.put(frame(70));
    bench.set(0x10, 70);
    bench.run();
    assert.equal(bench.heard.length, 0);
    assert.equal(bench.get(0x60, 2) & 0x10, 0x10, "TABT");
    assert.equal(bench.get(0x3e, 2), 8);
    bench.set(0x40, 0x03000601);
    bench.run();
    assert.deepEqual(bench.heard, [frame(70)]);
    assert.equal(bench.get(0x60, 2) & 0x1010, 0x1000);
  });

  test("a FIFO that runs dry is reported as TUN without TOK, unless the threshold is higher", () => {
    const bench = classic();
    bench.nic.underruns = 5;
    bench.nic.underrunBelow = 16;
    bench.put(frame(70));
    bench.set(0x10, (8 << 16) | 70);
    bench.run();
    assert.equal(bench.get(0x60, 2) & 0x1100, 0x0100);
    bench.put(frame(70), TX + 2048);
    bench.set(0x14, (16 << 16) | 70);
    bench.run();
    assert.equal(bench.get(0x60, 2) & 0x2200, 0x2000);
  });

  test("a hung transmitter stays hung until it is reset", () => {
    const bench = classic({ hang: 1 });
    bench.put(frame(60));
    bench.set(0x10, 60);
    bench.run(SECOND);
    assert.equal(bench.heard.length, 0);
    bench.nic.faults.hang = 0;
    bench.set(0x37, 0x10, 1);
    bench.run();
    bench.set(0x20, TX);
    bench.set(0x30, RX);
    bench.set(0x37, 0x0c, 1);
    bench.set(0x10, 60);
    bench.run();
    assert.equal(bench.heard.length, 1);
  });
});

describe("RTL8139 model: C+", () => {
  test("sends what is its own from a doorbell on, in pieces, filled up to 60 bytes", () => {
    const bench = plus();
    bench.put(frame(50));
    bench.describe(TX_RING, 1, 0x90000000 + 30, TX + 20);
    bench.describe(TX_RING, 0, 0xa0000000 + 20, TX);
    bench.set(0xd9, 0x40, 1);
    bench.run();
    assert.deepEqual(bench.heard[0]!.subarray(0, 50), frame(50));
    assert.equal(bench.heard[0]!.length, 60);
    assert.equal(bench.word(TX_RING), 0x20000000);
    assert.equal(bench.word(TX_RING + 16), 0x10000000);
    assert.equal(bench.get(0x3e, 2), 0x84, "TOK and TDU");
    // Round the ring's end.
    for (let i = 2; i < 7; i++) {
      bench.describe(TX_RING, i & 3, 0xb0000000 + (i === 3 ? 0x40000000 : 0) + 60, TX);
      bench.set(0xd9, 0x40, 1);
      bench.run();
    }
    assert.equal(bench.heard.length, 6);
  });

  test("fills in IPv4, TCP and UDP checksums, whatever the fields hold", () => {
    const bench = plus();
    for (const [i, protocol, bits] of [
      [0, 6, 0x50000],
      [1, 17, 0x60000],
    ] as const) {
      bench.put(ipFrame(101, protocol));
      bench.describe(TX_RING, i, 0xb0000000 + bits + ipFrame(101, protocol).length, TX);
      bench.set(0xd9, 0x40, 1);
      bench.run();
      checkSums(bench.heard.pop()!);
    }
  });

  test("large send", () => {
    const bench = plus();
    bench.put(ipFrame(5000, 6));
    const command = 0x88000000 + 1460 * 65536;
    bench.describe(TX_RING, 1, command + 0x10000000 + 5000, TX + 54);
    bench.describe(TX_RING, 0, command + 0x20000000 + 54, TX);
    bench.set(0xd9, 0x40, 1);
    bench.run();
    assert.deepEqual(
      bench.heard.map((f) => f.length),
      [1514, 1514, 1514, 674],
    );
    bench.heard.forEach((f, i) => {
      checkSums(f);
      const view = new DataView(f.buffer);
      assert.equal(view.getUint32(38), 1000 + 1460 * i);
      assert.equal(view.getUint16(18), 0x1234 + i);
      assert.equal(f[47], i === 3 ? 0x19 : 0x10);
      const at = 54 + 1460 * i;
      assert.deepEqual(f.subarray(54), ipFrame(5000, 6).subarray(at, at + f.length - 54));
    });
  });

  test("receives: length with FCS, kind, protocol and what is wrong", () => {
    const bench = plus();
    const good = ipFrame(100, 17);
    const view = new DataView(good.buffer);
    view.setUint16(24, 0);
    view.setUint16(24, ~fold(wordSum(good, 14, 34)));
    view.setUint16(40, 0);
    view.setUint16(40, ~fold(wordSum(good, 34, 142, wordSum(good, 26, 34, 17 + 108))));
    const bad = good.slice();
    bad[100]! ^= 1;
    bench.hear(good);
    bench.hear(bad);
    bench.hear(frame(60, new Uint8Array(6).fill(255)));
    assert.equal(bench.word(RX_RING), 0x32020000 + 146);
    assert.equal(bench.word(RX_RING + 16), 0x32024000 + 146);
    assert.equal(bench.word(RX_RING + 32), 0x31000000 + 64);
    assert.deepEqual(bench.memory.slice(BUFFERS, BUFFERS + 142), good);
    const plain = plus({}, 0x0b);
    plain.hear(good);
    assert.equal(plain.word(RX_RING), 0x32000000 + 146, "checksums not asked for");
  });

  test("without descriptors frames are lost and counted; one given back is found", () => {
    const bench = plus();
    for (let i = 0; i < 6; i++) bench.hear(frame(100));
    assert.equal(bench.get(0x4c), 2);
    assert.equal(bench.get(0x3e, 2), 0x11);
    bench.describe(RX_RING, 0, 0x80000000 + 2048, BUFFERS);
    bench.hear(frame(100));
    assert.equal(bench.word(RX_RING) >>> 28, 3);
    assert.equal(bench.get(0x4c), 2);
  });

  test("a long frame fills several buffers: FS in the first, LS in the last", () => {
    const bench = plus();
    bench.link.conditions.mtu = 9000;
    bench.hear(frame(3000));
    assert.equal(bench.word(RX_RING) >>> 28, 2);
    assert.equal(bench.word(RX_RING + 16) >>> 28, 1);
    assert.equal(bench.word(RX_RING + 16) & 0x1fff, 3004);
  });

  test("reports underruns in the descriptor", () => {
    const bench = plus();
    bench.nic.underruns = 1;
    bench.nic.underrunBelow = 8;
    bench.describe(TX_RING, 0, 0xb0000000 + 60, bench.put(frame(60)));
    bench.set(0xd9, 0x40, 1);
    bench.run();
    assert.equal(bench.word(TX_RING), 0x32800000);
  });
});

describe("RTL8139 model: names a driver's fault", () => {
  const descriptor =
    (command: number, length = 60) =>
    (b: Bench) => {
      b.put(frame(1514, macAddress(7), 0x0800));
      b.describe(TX_RING, 0, command + length, TX);
      b.set(0xd9, 0x40, 1);
      b.run();
    };
  const breaches: [string, RegExp, () => Bench, (bench: Bench) => void][] = [
    ["a register that is not there", /does not have/, classic, (b) => b.get(0x70)],
    ["C+ registers of a classic chip", /does not have/, classic, (b) => b.set(0xe0, 3, 2)],
    ["a wrong width", /4 bytes at CR, which has 1/, classic, (b) => b.get(0x37)],
    ["reserved bits", /RCR.*reserved bits 0x40\b/, classic, (b) => b.set(0x44, 0x40)],
    ["a read-only register", /CBR is read-only/, classic, (b) => b.set(0x3a, 0, 2)],
    ["haste", /before CR.RST/, classic, (b) => (b.set(0x37, 0x10, 1), b.set(0x37, 0, 1))],
    ["IDR without leave", /9346CR/, classic, (b) => b.set(0, 1)],
    [
      "TCR too early",
      /TE is clear/,
      () => new Bench(CHIPS.classic),
      (b) => b.set(0x40, 0x03000000),
    ],
    ["a gap that is not IEEE's", /IFG/, classic, (b) => b.set(0x40, 0x600)],
    ["no ring", /RBSTART/, () => new Bench(CHIPS.classic), (b) => b.set(0x37, 8, 1)],
    [
      "no bus mastering",
      /bus mastering/,
      () => new Bench(CHIPS.classic),
      (b) => (b.nic.pci.write(4, 3, 0xffff), b.set(0x30, RX), b.set(0x37, 8, 1)),
    ],
    [
      "a ring outside RAM",
      /not in RAM/,
      () => new Bench(CHIPS.classic),
      (b) => (b.set(0x30, 0xff000), b.set(0x37, 8, 1), b.set(0x44, 0xe70e)),
    ],
    ["a short frame", /fills up nothing/, classic, (b) => b.set(0x10, 59)],
    ["a frame too long", /1,792/, classic, (b) => b.set(0x10, 1793)],
    ["buffers out of turn", /takes TSD0 next/, classic, (b) => b.set(0x14, 60)],
    [
      "a buffer again too soon",
      /before its last frame/,
      classic,
      (b) => [0, 1, 2, 3, 0].forEach((i) => b.set(0x10 + i * 4, 60)),
    ],
    [
      "a buffer that changes",
      /changed/,
      classic,
      (b) => (b.set(0x10, 60), (b.memory[TX]! ^= 1), b.run()),
    ],
    ["reading on too far", /beyond what is written/, classic, (b) => b.set(0x38, 0, 2)],
    [
      "reading half a frame",
      /where no frame begins/,
      classic,
      (b) => (b.hear(frame(100)), b.set(0x38, 4, 2)),
    ],
    ["CLRABT for nothing", /CLRABT/, classic, (b) => b.set(0x40, 0x03000601)],
    [
      "rings before C+CR",
      /before C\+CR/,
      () => new Bench(CHIPS.plus),
      (b) => (b.set(0x37, 0, 1), b.set(0xe4, RX_RING)),
    ],
    [
      "addresses from before C+CR",
      /not in RAM/,
      () => new Bench(CHIPS.plus),
      (b) => (b.set(0x20, TX_RING), b.set(0xe0, 3, 2), b.set(0x37, 12, 1)),
    ],
    ["a ring moved while it runs", /while the chip runs/, plus, (b) => b.set(0x20, TX_RING)],
    [
      "a ring that is not aligned",
      /256/,
      () => new Bench(CHIPS.plus),
      (b) => (b.set(0xe0, 3, 2), b.set(0xe4, RX_RING + 128)),
    ],
    ["TSD in C+ mode", /tally/, plus, (b) => b.set(0x10, 60)],
    ["no FS", /FS is missing/, plus, descriptor(0x90000000)],
    ["an empty descriptor", /is empty/, plus, descriptor(0xb0000000, 0)],
    ["no LS", /not the chip's yet/, plus, descriptor(0xa0000000)],
    ["too long", /1519 bytes/, plus, descriptor(0xb0000000, 1519)],
    ["a short frame to sum up", /short frame/, plus, descriptor(0xb0050000, 59)],
    ["a sum over what is no IPv4", /no IPv4/, plus, descriptor(0xb0050000, 100)],
    [
      "a buffer that is not RAM",
      /not in RAM/,
      plus,
      (b) => (b.describe(TX_RING, 0, 0xb0000000 + 60, 0x800), b.set(0xd9, 0x40, 1), b.run()),
    ],
    [
      "a buffer twice in the ring",
      /in the ring twice/,
      plus,
      (b) => (b.describe(RX_RING, 1, 0x80000000 + 2048, BUFFERS), b.hear(frame(60))),
    ],
    [
      "a receive buffer that is sent",
      /receive ring/,
      plus,
      (b) => (b.describe(TX_RING, 0, 0xb0000000 + 60, BUFFERS), b.set(0xd9, 0x40, 1), b.run()),
    ],
    [
      "a descriptor changed while owned",
      /written while the chip owned it/,
      plus,
      (b) => {
        b.describe(TX_RING, 0, 0xb0000000 + 60, b.put(frame(60)));
        b.set(0xd9, 0x40, 1);
        b.run(2 * MICROSECOND);
        b.describe(TX_RING, 0, 0xb0000000 + 61, TX);
        b.run();
      },
    ],
    [
      "a buffer changed while owned",
      /buffer changed/,
      plus,
      (b) => {
        b.describe(TX_RING, 0, 0xb0000000 + 60, b.put(frame(60)));
        b.set(0xd9, 0x40, 1);
        b.run(2 * MICROSECOND);
        b.memory[TX]! ^= 1;
        b.run();
      },
    ],
  ];
  for (const [name, message, make, act] of breaches) {
    test(name, () => {
      const bench = make();
      assert.throws(() => act(bench), { name: "DriverFault", message });
    });
  }
});
