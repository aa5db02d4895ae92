/**
 * The fuzzer of tests/hosted/fuzz, for as many inputs as a minute has room for, from the corpus that
 * longer runs left and with a seed, so that a run repeats. `skerry fuzz` goes on for hours.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { test } from "node:test";

/** Inputs for each target, and which kernel has it. */
const TARGETS = {
  frames: { kernel: "kernel", runs: 20_000 },
  router: { kernel: "kernel", runs: 4000 },
  dhcp: { kernel: "kernel", runs: 2000 },
  dhcpv6: { kernel: "kernel", runs: 2000 },
  dhcpd: { kernel: "kernel", runs: 1000 },
  dns: { kernel: "kernel", runs: 2000 },
  connection: { kernel: "kernel", runs: 6000 },
  config: { kernel: "kernel", runs: 1500 },
  pack: { kernel: "http", runs: 1500 },
  http: { kernel: "http", runs: 6000 },
};

/** No target takes longer, however slow the machine, seconds. */
const LONGEST = 25;

for (const [target, { kernel, runs }] of Object.entries(TARGETS)) {
  const program = `build/fuzz/${kernel}/fuzz`;
  const skip = existsSync(program) ? false : "needs clang's libFuzzer (Debian: libclang-rt-dev)";
  test(`fuzz ${target}: no finding`, { skip }, () => {
    const learnt = `build/fuzz/test/${target}`;
    rmSync(learnt, { recursive: true, force: true });
    mkdirSync(learnt, { recursive: true });
    const result = spawnSync(
      program,
      [
        `--target=${target}`,
        `-runs=${runs}`,
        `-max_total_time=${LONGEST}`,
        "-seed=1",
        "-max_len=1024",
        "-timeout=20",
        `-artifact_prefix=build/fuzz/${target}-`,
        learnt,
        `tests/hosted/fuzz/corpus/${target}`,
      ],
      { encoding: "utf8", env: { ...process.env, ASAN_OPTIONS: "detect_leaks=0" } },
    );
    const again = `again: ${program} --target=${target} --show build/fuzz/${target}-…`;
    assert.equal(result.status, 0, `${result.stderr.slice(-4000)}\n${again}`);
    const done = Number(/Done (\d+) runs/.exec(result.stderr)?.[1]);
    assert.ok(done > 100, result.stderr.slice(-1000));
  });
}
