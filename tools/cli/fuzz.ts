import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { buildFuzz } from "./build.ts";
import { Failure, project, root } from "./project.ts";
import { note } from "./progress.ts";

/** What tests/hosted/fuzz can fuzz, and the app that the kernel has with it. */
export const FUZZ_TARGETS: { [name: string]: string | null } = {
  frames: null,
  router: null,
  dhcp: null,
  dhcpv6: null,
  dhcpd: null,
  dns: null,
  connection: null,
  config: null,
  pack: "http",
  http: "http",
};

/** Whether clang is there with its libFuzzer. */
export function hasFuzzer(): boolean {
  const words = ["-print-file-name=libclang_rt.fuzzer-x86_64.a"];
  const { stdout } = spawnSync("clang", words, { encoding: "utf8" });
  return typeof stdout === "string" && existsSync(stdout.trim());
}

/**
 * Fuzzes each target for `seconds`. What it learns is kept in build/fuzz/corpus, what it finds in
 * build/fuzz: `skerry fuzz` says how to see it again.
 */
export async function fuzz(targets: string[], seconds: number): Promise<void> {
  if (!hasFuzzer()) throw new Failure("fuzz: needs clang and its libFuzzer (tools/setup.sh fuzz)");
  const found: string[] = [];
  for (const target of targets) {
    const program = await buildFuzz(FUZZ_TARGETS[target]!);
    const learnt = project("build/fuzz/corpus", target);
    mkdirSync(learnt, { recursive: true });
    note(`\n== ${target}`);
    const { status } = spawnSync(
      program,
      [
        `--target=${target}`,
        `-max_total_time=${seconds}`,
        `-artifact_prefix=${project("build/fuzz")}/${target}-`,
        "-print_final_stats=1",
        "-max_len=4096",
        "-timeout=20",
        learnt,
        project("tests/hosted/fuzz/corpus", target),
      ],
      { cwd: root, stdio: "inherit", env: { ...process.env, ASAN_OPTIONS: "detect_leaks=0" } },
    );
    if (status === 0) continue;
    found.push(target);
    note(`again: ${program} --target=${target} --show build/fuzz/${target}-…`);
  }
  if (found.length) throw new Failure(`fuzz: findings in ${found.join(", ")}`);
}
