import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PciFunction } from "../../tools/sim/pci.ts";
import { VARIANTS } from "../../tools/sim/e1000.ts";
import { Machine } from "../../tools/sim/machine.ts";
import { SECOND, Simulation } from "../../tools/sim/simulation.ts";
import { inWorld, simulate } from "./harness.ts";
import { kernelUnderTest } from "./kernel.ts";

/** The E1000 driver and PCI walk on the register-level model. */

describe("bring-up", () => {
  for (const variant of Object.values(VARIANTS)) {
    for (const bridged of [false, true]) {
      test(`${variant.name}${bridged ? " behind a bridge" : ""}`, () => {
        inWorld(1, (world) => {
          const { machine, nic } = world.station({ ip: "10.0.0.2/24", variant, bridged });
          machine.expectLine(new RegExp(`eth0 Intel ${variant.name} mac=52:54:00:5a:01:01`));
          machine.expectLine(/eth0 link up mbit=1000 duplex=full/);
          assert.equal(nic.counts.resets, 1);
          machine.expectLine(new RegExp(`${bridged ? "01:01.0" : "00:03.0"} 8086:`));
        });
      });
    }
  }

  test("no NIC: the machine says so and runs on", () => {
    const simulation = new Simulation(1);
    const machine = new Machine(simulation, { kernel: kernelUnderTest() });
    machine.start();
    machine.expectLine(/(warn|error) .*(NIC|network|device)/i, SECOND);
    simulation.run(10 * SECOND);
    assert.equal(machine.stopped, false);
  });

  test("a NIC that no driver knows is listed and left alone", () => {
    const simulation = new Simulation(1);
    const machine = new Machine(simulation, {
      kernel: kernelUnderTest(),
      devices: [
        {
          pci: new PciFunction({ vendor: 0x10ec, device: 0x8168, classCode: 0x020000 }),
          plugged() {},
          read: () => assert.fail("read"),
          write: () => assert.fail("written"),
        },
      ],
    });
    machine.start();
    machine.expectLine(/10ec:8168/, SECOND);
    simulation.run(SECOND);
    assert.equal(machine.stopped, false);
  });
});

describe("link", () => {
  simulate("down and up again are seen within a second", (world) => {
    const { machine } = world.ready();
    world.link.isUp = false;
    machine.expectLine(/eth0 link down/, 1.2 * SECOND);
    world.run(5 * SECOND);
    world.link.isUp = true;
    const ups = () => machine.console.filter((line) => /eth0 link up/.test(line)).length;
    world.simulation.until(() => ups() === 2, 1.2 * SECOND, "second link up");
  });

  simulate("the machine sleeps when nothing happens", (world) => {
    const { machine } = world.ready();
    world.run(5 * SECOND);
    const before = machine.steps;
    world.run(10 * SECOND);
    assert.ok(machine.steps - before < 200, `${machine.steps - before} steps in 10 s`);
  });
});
