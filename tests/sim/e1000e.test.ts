import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DriverFault, type Host } from "../../tools/sim/device.ts";
import { E1000e } from "../../tools/sim/e1000e.ts";
import { macAddress } from "../../tools/sim/machine.ts";
import { MICROSECOND, MILLISECOND, SECOND, Simulation } from "../../tools/sim/simulation.ts";
import { Bench, Counter, FAR, frame, OWN } from "./nic/bench.ts";

/**
 * What the 82574 has for itself: its model against the datasheet, in numbers, and what its driver has to
 * do. All else that it does is in the tests that any NIC must pass.
 */

const RAM = 0x10000;

/** A machine without a processor, and a driver that is this test. */
class Pokes implements Host {
  readonly simulation = new Simulation(1);
  readonly memory = new Uint8Array(1 << 18);
  readonly view = new DataView(this.memory.buffer);
  readonly nic = new E1000e({ mac: macAddress(7) });
  readonly messages: [number, number][] = [];

  constructor() {
    this.nic.plugged(this, () => true);
    this.nic.pci.write(4, 6, 0xffff);
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

  setLine(): void {
    assert.fail("no line is raised while messages are on");
  }

  message(address: number, data: number): void {
    this.messages.push([address, data]);
  }

  get(offset: number): number {
    return this.nic.read(0, offset, 4) >>> 0;
  }

  set(offset: number, value: number): void {
    this.nic.write(0, offset, 4, value);
  }

  /** MSI-X on, entry `entry` to 0xfee01000 with data 0x41, all else masked. */
  messagesOn(entry = 0): this {
    this.nic.pci.write(0xa0, 0x80000000, 0xffff0000);
    this.nic.write(3, entry * 16, 4, 0xfee01000);
    this.nic.write(3, entry * 16 + 8, 4, 0x41);
    this.nic.write(3, entry * 16 + 12, 4, 0);
    return this;
  }
}

describe("82574 model", () => {
  test("is not reset while it may be on the bus, nor without the management bus (3.1.3.10)", () => {
    const pokes = new Pokes();
    assert.throws(() => pokes.set(0x0000, 1 << 26), DriverFault);
    pokes.set(0x0000, 1 << 2);
    assert.equal((pokes.get(0x0008) >> 19) & 1, 1, "requests are under way");
    pokes.simulation.run(10 * MICROSECOND);
    assert.equal((pokes.get(0x0008) >> 19) & 1, 0);
    assert.throws(() => pokes.set(0x0000, (1 << 26) | (1 << 2)), /management bus/);
    pokes.set(0x0f00, 1 << 5);
    pokes.set(0x0000, (1 << 26) | (1 << 2));
    pokes.simulation.run(10 * MICROSECOND);
    assert.equal((pokes.get(0x0010) >> 9) & 1, 0, "the NVM is being read");
    pokes.simulation.run(MILLISECOND);
    assert.equal((pokes.get(0x0010) >> 9) & 1, 1);
    pokes.set(0x0014, (2 << 2) | 1);
    assert.equal(pokes.get(0x0014), 0x0700000a, "NVM word 2, done");
  });

  test("IVAR sends a cause's message, EITR spaces them, and masks hold one back", () => {
    const pokes = new Pokes().messagesOn(3);
    pokes.set(0x00e4, 0xb << 16);
    pokes.set(0x00f4, 1000);
    pokes.set(0x00d0, (1 << 24) | 4);
    pokes.set(0x00c8, 4);
    assert.deepEqual(pokes.messages, [[0xfee01000, 0x41]]);
    // The same cause again is news only after it was cleared, which a read with a mask open does not do.
    assert.equal(pokes.get(0x00c0), (1 << 24) | 4);
    pokes.set(0x00c8, 4);
    assert.equal(pokes.messages.length, 1);
    pokes.set(0x00c0, 0xffffffff);
    pokes.set(0x00c8, 4);
    assert.equal(pokes.messages.length, 1, "256 µs have not passed");
    pokes.simulation.run(300 * MICROSECOND);
    assert.equal(pokes.messages.length, 2);
    pokes.set(0x00d8, 0xffffffff);
    assert.equal(pokes.get(0x00c0), (1 << 24) | 4);
    assert.equal(pokes.get(0x00c0), 0, "cleared, as all were masked");
    pokes.nic.write(3, 3 * 16 + 12, 4, 1);
    pokes.set(0x00d0, (1 << 24) | 4);
    pokes.set(0x00c8, 4);
    pokes.simulation.run(MILLISECOND);
    assert.equal(pokes.messages.length, 2);
    assert.equal(pokes.nic.read(3, 0x2000, 4), 1 << 3, "pending");
    pokes.nic.write(3, 3 * 16 + 12, 4, 0);
    assert.equal(pokes.messages.length, 3);
  });

  test("EIAC clears a cause by its message; a cause without a vector is the driver's fault", () => {
    const pokes = new Pokes().messagesOn();
    pokes.set(0x00e4, 0x8 << 16);
    pokes.set(0x00dc, 1 << 24);
    pokes.set(0x00d0, 1 << 24);
    pokes.set(0x00c8, 4);
    pokes.set(0x00c8, 4);
    assert.equal(pokes.messages.length, 2);
    assert.equal(pokes.get(0x00c0) & (1 << 24), 0);
    pokes.set(0x00d0, 1 << 20);
    assert.throws(() => pokes.set(0x00c8, 1 << 7), /has no vector/);
  });

  test("an entry of the table is written only while it is masked (PCI 3.0, 6.8.2)", () => {
    const pokes = new Pokes().messagesOn();
    assert.throws(() => pokes.nic.write(3, 8, 4, 0x42), DriverFault);
  });
});

describe("82574 driver", () => {
  for (const [kind, machine, msix] of [
    ["msi-x", {}, true],
    ["msi", {}, false],
    ["11", { messages: false }, true],
  ] as const) {
    test(`is interrupted by irq=${kind}: promptly, once for a burst, and by the link`, () => {
      const bench = new Bench({
        nic: "e1000e",
        machine,
        model: (options) => new E1000e({ ...options, msix }),
      });
      bench.machine.expectLine(new RegExp(`eth0 Intel 82574L .*irq=${kind}$`), 1);
      bench.run(50 * MILLISECOND);
      const before = bench.counter(Counter.Interrupts);
      for (let i = 0; i < 10; i++) {
        bench.hear(frame(100, OWN, FAR, i));
        bench.run(60 * MICROSECOND);
        assert.equal(bench.receiveAll().length, 1, `frame ${i}`);
        bench.run(5 * MILLISECOND);
      }
      assert.equal(bench.counter(Counter.Interrupts) - before, 10);
      for (let i = 0; i < 50; i++) bench.hear(frame(1514, OWN, FAR, i));
      bench.run(MILLISECOND);
      assert.equal(bench.receiveAll().length, 50);
      // 50 µs between two, for the 600 µs that the burst takes.
      const taken = bench.counter(Counter.Interrupts) - before - 10;
      assert.ok(taken >= 1 && taken <= 14, `${taken} interrupts`);
      bench.link.isUp = false;
      bench.run(MILLISECOND);
      bench.machine.expectLine(/eth0 link down/, 1);
      bench.accounted();
    });
  }

  test("few register accesses a sleep", () => {
    const bench = new Bench<E1000e>({ nic: "e1000e" });
    bench.run(50 * MILLISECOND);
    let accesses = 0;
    const { read, write } = bench.nic;
    bench.nic.read = (...words) => (accesses++, read.apply(bench.nic, words));
    bench.nic.write = (...words) => (accesses++, write.apply(bench.nic, words));
    for (let i = 0; i < 10; i++) {
      bench.hear(frame(100, OWN, FAR, i));
      bench.run(5 * MILLISECOND);
    }
    assert.ok(accesses <= 40, `${accesses} for ten packets`);
    assert.equal(bench.receiveAll().length, 10);
  });

  test("leaves the link's dozing off, and its reset waits for requests under way", () => {
    const bench = new Bench<E1000e>({ nic: "e1000e" });
    assert.equal(bench.nic.pci.read(0xf0) & 3, 0);
    bench.run(SECOND);
    assert.equal(bench.nic.counts.resets, 1);
  });
});
