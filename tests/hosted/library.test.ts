/** libskerry.so from outside: a C program compiled against hosted/skerry.h, and linked, here. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { before, describe, test } from "node:test";
import { libraryProgram } from "./program.ts";

let program = "";

/** What the program prints for a check; it fails the test if the check fails. */
function run(...words: string[]): string {
  const result = spawnSync(program, words, {
    encoding: "utf8",
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
  assert.equal(result.status, 0, `${result.stdout}${result.stderr} (signal ${result.signal})`);
  return result.stdout;
}

/** The line of a transfer that depends on its seed alone. */
function outcome(...words: string[]): string {
  return run("transfer", ...words).split("\n")[0]!;
}

describe("libskerry", () => {
  before(() => {
    program = libraryProgram("library");
  });

  test("the header is C++ too", () => {
    const unit = '#include "skerry.h"\nint main() { return skerry_now(nullptr) != 0; }\n';
    const words = ["-x", "c++", "-fsyntax-only", "-Wall", "-Werror", "-Ihosted", "-"];
    if (spawnSync("g++", ["--version"]).error) return;
    execFileSync("g++", words, { input: unit, stdio: ["pipe", "inherit", "inherit"] });
  });

  test("exports its interface and nothing else", () => {
    const names = execFileSync("nm", ["-D", "--defined-only", "build/libskerry.so"], {
      encoding: "utf8",
    });
    const exported = [...names.matchAll(/ [A-Z] (\w+)$/gm)].map(([, name]) => name);
    assert.ok(exported.includes("skerry_start"));
    assert.deepEqual(
      exported.filter((name) => !name!.startsWith("skerry_")),
      [],
    );
  });

  test("answers ARP and echo requests of a hand-made station (RFC 826, RFC 792)", () => {
    assert.match(run("ping"), /ping answered/);
  });

  test("several cards, each with its own wire, and forwarding between them", () => {
    assert.match(run("links"), /three cards/);
  });

  test("10 MB each way, byte for byte; the seed decides every frame", () => {
    const first = outcome("1");
    assert.match(first, /^bytes 20000000 /);
    assert.equal(outcome("1"), first);
    assert.notEqual(outcome("2"), first);
  });

  for (const mode of ["sum", "offload", "complete"]) {
    test(`10 MB each way over IPv6, checksums: ${mode}`, () => {
      assert.match(outcome("1", mode, "ipv6"), /^bytes 20000000 /);
    });
  }

  test("the same with checksums left to the receiver", () => {
    const first = outcome("1", "offload");
    assert.match(first, /^bytes 20000000 /);
    assert.equal(outcome("1", "offload"), first);
  });

  test("frames cut from larger packets have lengths and sums that a receiver finds right", () => {
    // A frame that it found wrong would be dropped, and sent again.
    assert.equal(outcome("1", "complete"), outcome("1", "offload"));
  });

  test("16 machines in one process", () => {
    assert.match(run("many"), /16 machines/);
  });

  test("what is out of range is an error", () => {
    assert.match(run("errors"), /every error was one/);
  });

  test("a machine that traps ends alone", () => {
    assert.match(run("trap"), /one trapped/);
  });
});
