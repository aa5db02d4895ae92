import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { SECOND } from "../../tools/sim/simulation.ts";
import { cProgram } from "./guest-programs.ts";
import { inWorld } from "./harness.ts";

/** The same C source on Linux and as a guest: what its calls answer must be the same, line by line. */

/** What a source prints on Linux. */
function onLinux(source: string): string[] {
  mkdirSync("build/sim/programs", { recursive: true });
  const out = `build/sim/programs/posix.${process.pid}`;
  const warnings = ["-Wall", "-Wextra", "-Werror"];
  const compiled = spawnSync("gcc", ["-O1", ...warnings, source, "-o", out], { encoding: "utf8" });
  assert.equal(compiled.status, 0, compiled.stderr);
  const { status, stdout } = spawnSync(out, [], {
    ...{ encoding: "utf8", timeout: 60_000, stdio: ["ignore", "pipe", "inherit"] },
  });
  assert.equal(status, 0);
  return stdout.trimEnd().split("\n");
}

/** What it prints as a guest: all that the console does not begin with a time. */
function asGuest(source: string): string[] {
  let lines: string[] = [];
  inWorld(1, (world) => {
    const program = cProgram(source, "posix");
    const { machine } = world.station({ ip: "10.0.0.2/24", memory: 64 << 20, guests: [program] });
    machine.expectLine(/guest: posix ended code=0/, 60 * SECOND);
    lines = machine.console.filter((line) => line && !/^ *\d+\.\d{6} /.test(line));
  });
  return lines;
}

/** Where the answers differ, by section and call, with Linux's and ours; each has its reason here. */
const DIFFERENCES: { [call: string]: readonly [linux: string, ours: string] } = {
  // ENOTCONN and EOPNOTSUPP are what POSIX has for these.
  'listen, accept, send(fd, "x", 1, MSG_NOSIGNAL)': ["EPIPE", "ENOTCONN"],
  "listen, accept, connect(fd, ADDRESS(address))": ["EISCONN", "EOPNOTSUPP"],
  'streams, send(idle, "x", 1, MSG_NOSIGNAL)': ["EPIPE", "ENOTCONN"],
  // The length is too short for that family: it is looked at first.
  'datagrams, sendto(a, "hello", 5, 0, ADDRESS(six_family))': ["EAFNOSUPPORT", "EINVAL"],
  // An address of no length is none.
  'datagrams, sendto(b, "back", 4, 0, (struct sockaddr *)&from, 0)': ["EINVAL", "EDESTADDRREQ"],
};

test("sockets answer a C program as Linux's do", () => {
  const linux = onLinux("tests/sim/guests/posix.c");
  const ours = asGuest("tests/sim/guests/posix.c");
  let section = "";
  const found: { [call: string]: readonly [string, string] } = {};
  for (let i = 0; i < Math.max(linux.length, ours.length); i++) {
    if (linux[i]?.startsWith("-- ")) section = linux[i]!.slice(3);
    if (linux[i] === ours[i]) continue;
    const [theirs, mine] = [linux[i] ?? "", ours[i] ?? ""];
    const call = theirs.slice(0, theirs.lastIndexOf(": "));
    found[`${section}, ${call}`] = [theirs.slice(call.length + 2), mine.slice(call.length + 2)];
  }
  assert.ok(linux.length > 200);
  assert.deepEqual(found, DIFFERENCES);
});
