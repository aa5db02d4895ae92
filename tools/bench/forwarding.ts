import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildLibrary } from "../cli/build.ts";
import { Failure, project } from "../cli/project.ts";
import { note, step } from "../cli/progress.ts";

/** Makes the router in memory and returns its path. */
export async function buildForwarding(): Promise<string> {
  const folder = project("build", "bench", "forwarding");
  mkdirSync(folder, { recursive: true });
  const library = join(folder, "libskerry.so");
  await buildLibrary("tools/bench/forwarding/app/main.ts", library, join(folder, "kernel"), "gcc");
  const program = join(folder, "forward");
  const words = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-I", project("hosted")];
  await step("make the router in memory (gcc)", () => {
    const source = project("tools/bench/forwarding/forward.c");
    const { status, stderr } = spawnSync("gcc", [...words, source, library, `-Wl,-rpath,${folder}`, "-o", program], { encoding: "utf8" });
    if (status !== 0) throw new Failure(stderr);
  });
  return program;
}
