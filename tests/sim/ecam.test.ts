import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { E1000, VARIANTS } from "../../tools/sim/e1000.ts";
import { macAddress, Machine, type MachineOptions } from "../../tools/sim/machine.ts";
import { MILLISECOND, SECOND, Simulation } from "../../tools/sim/simulation.ts";
import { kernelUnderTest } from "./kernel.ts";

/** Configuration space in memory, by ports, by both, and where one of them lies. */

function boot(ecam: MachineOptions["ecam"], rest: Partial<MachineOptions> = {}): Machine {
  const nic = new E1000({ variant: VARIANTS["82540EM"], mac: macAddress(1) });
  const machine = new Machine(new Simulation(1), {
    kernel: kernelUnderTest(),
    behindBridge: [nic],
    ...(ecam && { ecam }),
    ...rest,
  });
  machine.start();
  machine.simulation.run(100 * MILLISECOND);
  return machine;
}

describe("configuration space", () => {
  test("in memory, without ports, through a bridge", () => {
    const machine = boot({ ports: false, lastBus: 255 });
    machine.expectLine(/pci: ECAM at b0000000 buses=256/, 1);
    machine.expectLine(/01:01\.0 8086:100e/, 1);
    machine.expectLine(/eth0 Intel 82540EM mac=/, SECOND);
  });

  test("is the same by memory and by ports", () => {
    const listed = (machine: Machine): string[] =>
      machine.console.flatMap((line) => /pci: (\d\d:.*)/.exec(line)?.[1] ?? []);
    const both = boot({ ports: true, lastBus: 255 });
    both.expectLine(/pci: ECAM/, 1);
    const ports = boot(undefined);
    assert.equal(ports.line(/ECAM/), undefined);
    assert.deepEqual(listed(both), listed(ports));
    assert.equal(listed(both).length, 5);
  });

  test("in memory that reaches too few buses is gone on with by ports", () => {
    const machine = boot({ ports: true, lastBus: 0 });
    machine.expectLine(/pci: ECAM at b0000000 buses=1/, 1);
    machine.expectLine(/eth0 Intel 82540EM mac=/, SECOND);
  });

  test("in memory that shows something else is not believed", () => {
    const machine = boot({ ports: true, lastBus: 255, believable: false });
    assert.equal(machine.line(/ECAM/), undefined);
    machine.expectLine(/eth0 Intel 82540EM mac=/, SECOND);
  });

  const lies: [string, (mcfg: DataView) => void][] = [
    ["above 4 GiB", (mcfg) => mcfg.setUint32(48, 1, true)],
    ["not on a megabyte", (mcfg) => mcfg.setUint32(44, 0xb0001000, true)],
    ["in RAM", (mcfg) => mcfg.setUint32(44, 0x00100000, true)],
    ["of another segment", (mcfg) => mcfg.setUint16(52, 1, true)],
    ["that begins at another bus", (mcfg) => mcfg.setUint8(54, 1)],
    ["of an entry that is cut off", (mcfg) => mcfg.setUint32(4, 56, true)],
  ];
  for (const [what, lie] of lies) {
    test(`in memory ${what} is left alone`, () => {
      const spoilAcpi = (tables: Uint8Array): void => {
        const mcfg = new DataView(tables.buffer, 64);
        lie(mcfg);
        mcfg.setUint8(9, 0);
        const length = mcfg.getUint32(4, true);
        let sum = 0;
        for (let i = 0; i < length; i++) sum += mcfg.getUint8(i);
        mcfg.setUint8(9, -sum & 255);
      };
      const machine = boot({ ports: true, lastBus: 255 }, { spoilAcpi });
      assert.equal(machine.line(/ECAM/), undefined);
      machine.expectLine(/eth0 Intel 82540EM mac=/, SECOND);
    });
  }

  test("nowhere: the machine says so", () => {
    const spoilAcpi = (tables: Uint8Array): void => void tables[9]!++;
    const machine = boot({ ports: false, lastBus: 255 }, { spoilAcpi });
    machine.expectLine(/warn +pci: no bus: neither ECAM nor/, 1);
  });
});
