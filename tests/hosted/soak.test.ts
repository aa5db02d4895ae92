/**
 * Two machines and a hostile network, 2,000 times (tests/hosted/soak). `SEEDS=` runs more of them,
 * in per cent, `SEED=` just the one that failed; `skerry soak` any number from any first one.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { before, describe, test } from "node:test";
import { buildTestProgram } from "../../tools/hosted/programs.ts";

const SEEDS = 2000;

/** Troubles that the seeds are there for, and how often all together must have met each at least. */
const TROUBLES = {
  retransmits: 10000,
  timeouts: 1000,
  fastRetransmits: 1000,
  duplicateAcks: 10000,
  outOfOrder: 10000,
  duplicates: 1000,
  checksumErrors: 1000,
  windowProbes: 100,
  resetsOut: 50,
};

describe("soak", () => {
  let program: string;
  let output: string;

  before(() => {
    program = buildTestProgram({ name: "soak", root: process.cwd() });
  });

  const only = process.env["SEED"];
  const factor = Number(process.env["SEEDS"] ?? 100) / 100;
  const seeds = only ? 1 : Math.max(1, Math.round(SEEDS * factor));

  test(`whatever the network does, streams arrive whole and nothing is left (${seeds} seeds)`, () => {
    const words = ["--first", only ?? "1", "--seeds", String(seeds), "--folder", "build/programs"];
    const jobs = ["--jobs", String(availableParallelism())];
    const result = spawnSync(program, [...words, ...jobs], { encoding: "utf8" });
    output = result.stdout;
    assert.equal(result.status, 0, `${output}${result.stderr}`);
    assert.match(output, new RegExp(`^${seeds} seeds, `, "m"));
  });

  test("the seeds met every trouble that they are there for", { skip: seeds < SEEDS }, () => {
    for (const [name, least] of Object.entries(TROUBLES)) {
      const count = Number(new RegExp(` ${name}=(\\d+)`).exec(output)?.[1]);
      assert.ok(count >= least, `${name}: ${count}, and ${least} were expected\n${output}`);
    }
    const network =
      /lost (\d+), overflowed (\d+), duplicated (\d+), corrupted (\d+), ring full (\d+)/;
    for (const count of network.exec(output)!.slice(1)) assert.ok(Number(count) > 100, output);
  });
});

describe("the checker", () => {
  let program: string;
  const verdict = (thousands: number): string =>
    spawnSync(program, [String(thousands)], { encoding: "utf8" }).stdout;

  before(() => {
    program = buildTestProgram({ name: "checker", root: process.cwd() });
  });

  test("data is acknowledged within half a second, though later ACKs have overtaken it", () => {
    for (const thousands of [0, 65]) assert.match(verdict(thousands), /999 ms late/);
  });

  test("data whose ACK is older than the widest window may go unanswered (RFC 5961, 5.2)", () => {
    for (const thousands of [66, 200]) assert.equal(verdict(thousands), "nothing wrong");
  });
});
