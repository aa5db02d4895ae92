import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "../../tools/sim/machine.ts";
import { SECOND, Simulation } from "../../tools/sim/simulation.ts";
import { kernelUnderTest } from "./kernel.ts";

const kernel = kernelUnderTest();

test("the kernel boots, names a bad word of its command line, and sleeps", () => {
  const simulation = new Simulation(1);
  const machine = new Machine(simulation, {
    kernel,
    commandLine: "ip=10.0.0.2/24 gw=10.0.0.1 ip6=off speed",
  });
  machine.start();
  machine.expectLine(/warn +config: .*speed/, SECOND);
  const { steps } = machine;
  simulation.run(10 * SECOND);
  assert.ok(machine.steps - steps < 10000, `${machine.steps - steps} steps in 10 idle seconds`);
});
