import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PciFunction } from "../../tools/sim/pci.ts";
import { Machine } from "../../tools/sim/machine.ts";
import { SECOND, Simulation } from "../../tools/sim/simulation.ts";
import { onEachNic, simulate } from "./harness.ts";
import { kernelUnderTest } from "./kernel.ts";

/** Drivers, the bus walk and links, on the register-level models. */

onEachNic((kind) => {
  for (const bridged of [false, true]) {
    simulate(
      `comes up${bridged ? " behind a bridge" : ""}`,
      (world) => {
        const { machine } = world.station({ ip: "10.0.0.2/24", bridged });
        const model = kind.model.replace("+", "\\+");
        const mbit = kind.mbitSaid ?? kind.mbit;
        machine.expectLine(new RegExp(`eth0 ${model} mac=52:54:00:5a:01:01`));
        machine.expectLine(new RegExp(`eth0 link up mbit=${mbit} duplex=full`), 3 * SECOND);
        machine.expectLine(new RegExp(`${bridged ? "01:01.0" : "00:03.0"} [0-9a-f]{4}:`));
      },
      {},
      kind.name,
    );
  }

  simulate(
    "link down and up again are seen within a second",
    (world) => {
      const { machine } = world.ready();
      world.link.isUp = false;
      machine.expectLine(/eth0 link down/, 1.2 * SECOND);
      world.run(5 * SECOND);
      world.link.isUp = true;
      const ups = () => machine.console.filter((line) => /eth0 link up/.test(line)).length;
      world.simulation.until(() => ups() === 2, 1.2 * SECOND, "second link up");
    },
    {},
    kind.name,
  );

  simulate(
    "the machine sleeps when nothing happens",
    (world) => {
      const { machine } = world.ready();
      world.run(5 * SECOND);
      const before = machine.steps;
      world.run(10 * SECOND);
      assert.ok(machine.steps - before < 200, `${machine.steps - before} steps in 10 s`);
    },
    {},
    kind.name,
  );
});

describe("bring-up", () => {
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
