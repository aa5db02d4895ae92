/**
 * Linux and Skerry side by side: the same scripts of odd segments in every state (tests/hosted/linux;
 * where the two differ, it is on purpose, and said here), and the same traffic over the same losses
 * (tests/hosted/pairs).
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { buildTestProgram } from "../../tools/hosted/programs.ts";

/** "script, step" → Linux's reaction, Skerry's, and why it is so. */
const DIFFERENCES: { [where: string]: [string, string, string] } = {
  "a simultaneous open with SYN and ACK, 3": [
    "ack 1",
    "silence",
    "The SYN and ACK completes the handshake on both sides (RFC 9293, 3.5, figure 8): nothing is owed.",
  ],
  "urgent data, 5": [
    "recv: 9",
    "recv: 10",
    "Urgent octets stay in the stream (RFC 6093, 6); Linux takes them out by default.",
  ],
  "all flags but SYN and RST, 5": ["recv: 9", "recv: 10", "Likewise."],
  "a window taken back, 5": [
    "send: 600 data to 601 ack 1",
    "send: 600",
    "The window of the newest segment counts (RFC 9293, 3.10.7.4: SND.WL1 and WL2); Linux ignores a " +
      "smaller one under the same numbers. 500 of 600 octets are then not worth sending (3.8.6.2.1).",
  ],
  "a missing timestamp, 4": [
    "ack 11",
    "silence",
    "A segment without an expected timestamp is dropped (RFC 7323, 3.2: SHOULD); Linux takes it.",
  ],
  "a missing timestamp, 5": ["recv: 10", "recv: EAGAIN", "It was dropped."],
  "data after FIN, 5": [
    "silence",
    "ack 12",
    "There is no such text (RFC 9293, 3.10.7.4: ignore); the ACK tells the peer where the stream ended.",
  ],
  "data to a closed socket, 6": [
    "RST seq 2",
    "RST seq 2 ack 1",
    "The reset is the connection's own (RFC 9293, 3.10.5), so it carries an ACK as others do.",
  ],
  "data with the FIN to a closed socket, 6": ["RST seq 2", "RST seq 2 ack 1", "Likewise."],
  "TIME-WAIT and a reset, 8": [
    "RST seq 2",
    "ack 2",
    "A reset does not end TIME-WAIT (RFC 1337, 3); Linux needs tcp_rfc1337 for that.",
  ],
  "TIME-WAIT and an old SYN, 7": [
    "ack 2",
    "silence",
    "A SYN that may not begin a connection is silently dropped (RFC 6191, 2).",
  ],
};

describe("Linux and Skerry", () => {
  let trouble: string | null = null;

  /** Runs a program; null, and a skipped test, where namespaces or TAPs are not permitted. */
  function run(name: string, words: string[]): string | null {
    const program = buildTestProgram({ name, root: process.cwd() });
    const result = spawnSync(program, words, { encoding: "utf8", timeout: 300_000 });
    if (result.status === 77) trouble = result.stderr.trim();
    else assert.equal(result.status, 0, result.stderr + result.stdout);
    return result.status === 77 ? null : result.stdout;
  }

  test("the same reactions to the same segments, but for what is meant", (context) => {
    const output = run("linux", ["tests/hosted/linux/scripts.txt"]);
    if (output === null) return context.skip(trouble!);
    const steps = output.trim().split("\n");
    const scripts = new Set(steps.map((line) => line.split("\t")[0]));
    assert.ok(scripts.size >= 100, `${scripts.size} scripts`);
    const found: { [where: string]: [string, string] } = {};
    for (const line of steps) {
      const [script, step, , linux, skerry] = line.split("\t") as [
        string,
        string,
        string,
        string,
        string,
      ];
      if (linux !== skerry) found[`${script}, ${step}`] = [linux, skerry];
    }
    const meant = Object.entries(DIFFERENCES).map(([where, [linux, skerry]]) => [
      where,
      [linux, skerry],
    ]);
    assert.deepEqual(found, Object.fromEntries(meant));
  });

  // Real time on a machine that does other things, too: the bounds are wide.
  test("what Linux carries over a lossy network to Linux, it carries to Skerry and back", (context) => {
    const output = run("pairs", []);
    if (output === null) return context.skip(trouble!);
    const lines = output.trim().split("\n");
    assert.equal(lines.length, 12, output);
    const runs = lines.map((line) => {
      const [from, to, traffic, outcome, seconds, , again] = line.split("\t") as string[];
      assert.equal(outcome, "whole", line);
      return {
        ends: `${from} ${to}`,
        traffic,
        seconds: Number(seconds),
        again: Number(again),
        line,
      };
    });
    for (const { traffic, ends, seconds, again, line } of runs) {
      const linux = runs.find(
        (other) => other.traffic === traffic && other.ends === "Linux Linux",
      )!;
      if (ends === linux.ends) continue;
      assert.ok(again <= 3 * linux.again + 15, `sent again: ${line}, and ${linux.line}`);
      assert.ok(seconds <= 5 * linux.seconds + 4, `time: ${line}, and ${linux.line}`);
    }
  });
});
