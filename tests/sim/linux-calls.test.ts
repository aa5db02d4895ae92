import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { SECOND } from "../../tools/sim/simulation.ts";
import { cProgram, nativeProgram } from "./guest-programs.ts";
import { simulate } from "./harness.ts";

/**
 * What guests' calls say, held against Linux: the same source, compiled for both, prints the same. What Linux printed
 * is kept in LINUX, since a machine's own network, limits and load are no business of a simulation; after a change
 * of SOURCE `RECORD=1` writes it anew, as root, in a network namespace of its own. Recorded on Linux 6.18.
 */

const SOURCE = "tests/sim/guests/calls.c";
const LINUX = "tests/sim/guests/calls.linux";

if (process.env["RECORD"]) {
  const words = ["--net", "sh", "-c", 'ip link set lo up && exec "$0"', nativeProgram(SOURCE)];
  const { status, stdout, stderr } = spawnSync("unshare", words, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  writeFileSync(LINUX, stdout);
}

simulate("sockets, polls, events, timers and descriptors say what they do on Linux", (world) => {
  const { machine } = world.ready({ memory: 64 << 20, guests: [cProgram(SOURCE, "calls")] });
  machine.expectLine(/guest: calls ended code=0/, 20 * SECOND);
  // What the kernel says in between begins with the time.
  const said = machine.console.filter((line) => !/^\d+\.\d{6} /.test(line));
  assert.deepEqual(said, readFileSync(LINUX, "utf8").trim().split("\n"));
});
