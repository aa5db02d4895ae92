import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";
import { project } from "../../tools/cli/project.ts";
import { encodeSpecs } from "../../tools/guest/spec.ts";
import { guestFile } from "../../tools/sim/guest/program.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import { SECOND } from "../../tools/sim/simulation.ts";
import { cProgram, guestSpec } from "./guest-programs.ts";
import { inWorld, simulate } from "./harness.ts";
import { lineOf, scriptModule } from "../qemu/guest-lines.ts";

/** What is said of a guest that goes wrong: which one, why, in which function, and in which line of its source. */

const C = "tests/qemu/guests/lines.c";
const SCRIPT = "tests/qemu/guests/lines.ts";

/** The report of a guest's trap, line by line. */
function report(machine: Machine, name: string): string[] {
  machine.expectLine(new RegExp(`guest: ${name} ended by a trap`), 5 * SECOND);
  const rows = [...machine.console];
  const from = rows.findIndex((row) => row.startsWith(`*** guest ${name}: `));
  const length = rows.slice(from + 1).findIndex((row) => !row.startsWith("    "));
  return rows.slice(from, from + 1 + length).map((row) => row.trim());
}

simulate("a trap in C is reported with its lines, whichever DWARF says them", (world) => {
  const guests = ["4", "5"].map((version) => cProgram(C, `dwarf${version}`, `-gdwarf-${version}`));
  const { machine } = world.ready({ memory: 64 << 20, guests });
  for (const { name } of guests) {
    const rows = report(machine, name);
    assert.deepEqual(rows.slice(0, 3), [
      `*** guest ${name}: integer divide by zero`,
      `sum  ${lineOf(C, "// here")}`,
      `main  ${lineOf(C, "// and from here")}`,
    ]);
  }
});

simulate("without debugging information there are functions", (world) => {
  const { machine } = world.ready({ memory: 32 << 20, guests: [cProgram(C, "plain")] });
  assert.deepEqual(report(machine, "plain").slice(1, 3), ["sum", "main"]);
});

test("a trap in AssemblyScript is reported with its lines", async () => {
  const module = project("build/sim/programs/lines.wasm");
  await scriptModule("lines", module);
  const guest = guestFile("script", module);
  inWorld(1, (world) => {
    const { machine } = world.ready({ memory: 32 << 20, guests: [guest] });
    const rows = report(machine, "script");
    assert.equal(rows[0], "*** guest script: integer divide by zero");
    assert.ok(rows[1]!.endsWith(basename(lineOf(SCRIPT, "// here"))), rows.join("\n"));
  });
});

/** What a guest that takes all memory is told. */
function refusals(memory: number, limit?: number, ...flags: string[]): string[] {
  const guest = cProgram("tests/qemu/guests/grow.c", "grow", ...flags);
  const setup = encodeSpecs([guestSpec("grow", limit === undefined ? {} : { memory: limit })]);
  let said: string[] = [];
  inWorld(1, (world) => {
    const { machine } = world.ready({ memory, guests: [guest], setup });
    machine.expectLine(/guest: grow ended code=1/, 5 * SECOND);
    said = machine.console.filter((row) => row.includes("guest: grow may have"));
  });
  return said.map((row) => row.slice(row.indexOf("guest: ")));
}

test("a guest that is refused memory is told why, once, and what to do", () => {
  const MIB = 1 << 20;
  assert.deepEqual(refusals(64 * MIB, MIB), [
    "guest: grow may have 1024 KiB of memory and wants 1088: raise memory of [guests.grow] in skerry.toml",
  ]);
  const [unsaid, ...more] = refusals(64 * MIB);
  assert.match(unsaid!, /wants (\d+): add memory = "\1KiB" to \[guests\.grow\] in skerry\.toml$/);
  assert.deepEqual(more, []);
  assert.match(refusals(64 * MIB, 60 * MIB)[0]!, /wants \d+: give the machine more RAM \(MEM=\)$/);
  assert.deepEqual(refusals(64 * MIB, 2 * MIB, "-Wl,--max-memory=1048576"), [
    "guest: grow may have 1024 KiB of memory and wants 1088: its module says so, link it with a larger maximum",
  ]);
});
