import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { SECOND } from "../../tools/sim/simulation.ts";
import { cProgram, nativeProgram } from "./guest-programs.ts";
import { simulate } from "./harness.ts";

/** What guests' calls say, held against Linux: the same source, compiled for both, prints the same. */

const SOURCE = "tests/sim/guests/calls.c";

simulate("sockets, polls, events, timers and descriptors say what they do on Linux", (world) => {
  const linux = spawnSync(nativeProgram(SOURCE), { encoding: "utf8" });
  assert.equal(linux.status, 0, linux.stderr);
  const { machine } = world.ready({ memory: 64 << 20, guests: [cProgram(SOURCE, "calls")] });
  machine.expectLine(/guest: calls ended code=0/, 20 * SECOND);
  // What the kernel says in between begins with the time.
  const said = machine.console.filter((line) => !/^\d+\.\d{6} /.test(line));
  assert.deepEqual(said, linux.stdout.trim().split("\n"));
});
