import assert from "node:assert/strict";
import { test } from "node:test";
import { MICROSECOND, SECOND } from "../../tools/sim/simulation.ts";
import { cProgram } from "./guest-programs.ts";
import { forSeeds, inWorld, simulate, type World } from "./harness.ts";

/** Wasm programs on simulated machines: what tests/qemu/guests.test.ts has on the virtual hardware. */

const hello = () => cProgram("tests/qemu/guests/hello.c", "hello");

simulate("an ordinary program prints, grows its heap, sleeps and tells the time", (world) => {
  const { machine } = world.ready({ memory: 32 << 20, guests: [hello()] });
  machine.expectLine(/guest: hello ended code=7/, 5 * SECOND);
  assert.ok(machine.line(/hello from C, pi is 3\.141593/));
  assert.ok(machine.line(/slept a second, heap ends in x/));
});

const FAULTS = [
  ["outside", /guest outside: memory access out of bounds/],
  ["far", /guest far: memory access out of bounds/],
  ["unreachable", /guest unreachable: unreachable/],
  ["divide", /guest divide: integer divide by zero/],
  ["call", /guest call: indirect call of another signature/],
  ["deep", /guest deep: call stack exhausted/],
] as const;

simulate("a guest that goes wrong ends alone, and the console says where it was", (world) => {
  const guests = FAULTS.map(([name], fault) =>
    cProgram("tests/qemu/guests/fault.c", name, `-DFAULT=${fault}`, "-g"),
  );
  const { machine } = world.ready({ memory: 128 << 20, guests: [...guests, hello()] });
  machine.expectLine(/guest: hello ended code=7/, 5 * SECOND);
  for (const [name, report] of FAULTS) {
    assert.ok(machine.line(report), `${report}`);
    assert.ok(machine.line(new RegExp(`guest: ${name} ended by a trap`)));
  }
  const at = machine.console.findIndex((line) => line.includes("guest divide:"));
  assert.match(machine.console.slice(at, at + 4).join(" "), /main/, "no function of the program");
});

const echo = () => cProgram("tests/qemu/guests/server.c", "echo");
const spin = () => cProgram("tests/qemu/guests/fault.c", "spin", "-DFAULT=6");
const client = (server: string) =>
  cProgram("tests/sim/guests/client.c", "client", `-DSERVER="${server}"`);

const LOSSY = { loss: 0.02, duplicate: 0.01, delay: 500 * MICROSECOND, jitter: 300 * MICROSECOND };

/** An echo server on one machine, a client on each of two others; all that can be seen of it. */
function threeMachines(world: World): string[] {
  const server = world.ready({ ip: "10.0.0.2/24", memory: 32 << 20, guests: [echo()] });
  const clients = ["10.0.0.3/24", "10.0.0.4/24"].map((ip) =>
    world.station({ ip, memory: 32 << 20, guests: [client("10.0.0.2")] }),
  );
  for (const { machine } of clients) {
    machine.expectLine(/guest: client ended code=0/, 120 * SECOND);
    assert.ok(machine.line(/all rounds done/));
  }
  assert.equal(server.machine.line(/echo ended/), undefined);
  return world.stations.flatMap(({ machine }) => [...machine.console, String(machine.steps)]);
}

forSeeds("a server and two clients in C, over links that lose and reorder", 8, (seed) =>
  inWorld(seed, (world) => void threeMachines(world), LOSSY),
);

test("a run of several machines with guests replays exactly", () => {
  const runs = [5, 5, 6].map((seed) => {
    let seen: string[] = [];
    inWorld(seed, (world) => (seen = threeMachines(world)), LOSSY);
    return seen;
  });
  assert.deepEqual(runs[0], runs[1]);
  assert.notDeepEqual(runs[0], runs[2], "the seed makes no difference");
});

simulate(
  "while a guest computes for ever, its machine answers, and so does the guest beside it",
  (world) => {
    const options = { ip: "10.0.0.2/24", memory: 32 << 20, guests: [spin(), echo()] };
    const { machine } = world.ready(options);
    const other = world.ready({
      ip: "10.0.0.3/24",
      memory: 32 << 20,
      guests: [client("10.0.0.2")],
    });
    other.machine.expectLine(/guest: client ended code=0/, 20 * SECOND);
    assert.equal(machine.line(/spin ended/), undefined);
  },
);
