import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MachineOptions } from "../../tools/sim/machine.ts";
import { nicKind } from "../../tools/sim/nics.ts";
import { MICROSECOND, MILLISECOND } from "../../tools/sim/simulation.ts";
import { Bench, FAR, frame, OWN } from "./nic/bench.ts";

/** The way of an interrupt: by I/O APIC, 8259 or not at all, on machines that differ in what they have. */

/** Of ten frames with pauses between them the ones that are there at once: sooner than a poll by time is. */
function promptly(bench: Bench): number {
  let prompt = 0;
  for (let i = 0; i < 10; i++) {
    bench.hear(frame(100, OWN, FAR, i));
    bench.run(60 * MICROSECOND);
    prompt += bench.receiveAll().length;
    bench.run(150 * MILLISECOND);
    bench.receiveAll();
  }
  return prompt;
}

/** Frames that only a poll by time finds, often enough to draw the conclusion. */
function inSilence(bench: Bench): void {
  for (let i = 0; i < 20; i++) {
    bench.hear(frame(100, OWN, FAR, i));
    bench.run(150 * MILLISECOND);
    assert.equal(bench.receiveAll().length, 1, `frame ${i}`);
  }
}

function machine(ioApic: NonNullable<MachineOptions["ioApic"]>, unroutable = 0): Bench {
  return new Bench({ nic: "e1000", machine: { ioApic, unroutable } });
}

describe("a line", () => {
  test("goes by the I/O APIC where the MADT calls it level-triggered", () => {
    // The 8259s would not take it.
    assert.equal(promptly(machine({ pic: true, level: [9, 11] }, 0xffff)), 10);
  });

  test("goes by the I/O APIC where there is no 8259", () => {
    assert.equal(promptly(machine({ pic: false, level: [] })), 10);
  });

  test("from 16 on is an I/O APIC's input, whichever it is", () => {
    const bench = new Bench({
      machine: { ioApic: { pic: false, level: [] } },
      model: (options) => nicKind("virtio-net-device").make({ ...options, line: 21 }),
    });
    bench.machine.expectLine(/eth0 .* irq=16$/, 1);
    assert.equal(promptly(bench), 10);
  });

  test("goes by the 8259s where the MADT says nothing of it", () => {
    const bench = machine({ pic: true, level: [9], wired: false });
    assert.equal(promptly(bench), 10);
  });

  test("that is silent at the I/O APIC goes by the 8259s", () => {
    const bench = machine({ pic: true, level: [11], wired: false });
    assert.ok(promptly(bench) < 10);
    inSilence(bench);
    bench.machine.expectLine(/line is silent at the I\/O APIC, trying the 8259s/, 1);
    assert.equal(promptly(bench), 10);
  });

  test("that is silent everywhere is polled", () => {
    const bench = machine({ pic: false, level: [], wired: false });
    inSilence(bench);
    bench.machine.expectLine(/line is silent, polling/, 1);
    bench.hear(frame(100, OWN, FAR));
    bench.run(MILLISECOND);
    assert.equal(bench.receiveAll().length, 1, "within a millisecond now");
  });

  test("that storms is masked at the I/O APIC, and tried again later", () => {
    const bench = machine({ pic: false, level: [] });
    bench.machine.setLine(11, true);
    bench.run(100 * MILLISECOND);
    bench.machine.expectLine(/line fires with no device asking; masked.*line=11/, 1);
    bench.machine.setLine(11, false);
    bench.run(11_000 * MILLISECOND);
    assert.equal(promptly(bench), 10);
  });
});

describe("ACPI that lies is as good as none:", () => {
  const lies: [string, (tables: Uint8Array) => void][] = [
    ["RSDP", (tables) => tables[9]!++],
    ["root table", (tables) => tables[tables.indexOf(0x58, 64) + 12]!++],
    ["MADT", (tables) => tables[64 + 40]!++],
    ["length of the MADT", (tables) => tables.set([0xff, 0xff, 0xff, 0xff], 64 + 4)],
  ];
  for (const [what, spoil] of lies) {
    test(what, () => {
      const ioApic = { pic: true, level: [11], wired: false };
      const bench = new Bench({ nic: "e1000", machine: { ioApic, spoilAcpi: spoil } });
      assert.equal(promptly(bench), 10, "by the 8259s");
    });
  }
});
