/** Very many connections (tests/hosted/scale). `skerry bench --only scale` measures a million. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { before, describe, test } from "node:test";
import { buildTestProgram } from "../../tools/hosted/programs.ts";

describe("scale", () => {
  let program: string;

  /** What the program says; it fails the test if it finds anything wrong itself. */
  function run(...words: string[]): string {
    const result = spawnSync(program, words, {
      encoding: "utf8",
      timeout: 120_000,
      killSignal: "SIGKILL",
    });
    assert.equal(result.status, 0, `${result.stdout}${result.stderr} (signal ${result.signal})`);
    return result.stdout;
  }

  before(() => {
    program = buildTestProgram({ name: "scale", root: process.cwd() });
  });

  test("a million idle connections take 256 bytes each, all included", () => {
    const said = run("idle", "1000000");
    const bytes = Number(/^bytes ([\d.]+)$/m.exec(said)?.[1]);
    assert.ok(bytes > 200 && bytes <= 256, `${bytes} bytes`);
  });

  test("requests over any of 100,000 connections are answered, and all are at rest again", () => {
    assert.match(run("load", "100000", "60000"), /^random-ns /m);
  });

  test("RFC 6191, 2: 65,535 connections between two addresses leave nothing behind", () => {
    assert.match(run("cycles", "65535"), /nothing is left/);
  });
});
