import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { buildTestProgram } from "../hosted/programs.ts";
import { buildHostedBoth } from "./build.ts";
import { DEFAULT_APP, Failure, root } from "./project.ts";

/** Runs `seeds` simulations from seed `first` on: see tests/hosted/soak. */
export async function soak(first: number, seeds: number): Promise<void> {
  await buildHostedBoth({ app: DEFAULT_APP, cc: "gcc" });
  const program = buildTestProgram({ name: "soak", root });
  const jobs = Math.min(seeds, availableParallelism());
  const words = { first, seeds, jobs, folder: "build/programs" };
  const child = spawn(
    program,
    Object.entries(words).map(([name, value]) => `--${name}=${value}`),
    { cwd: root, stdio: "inherit" },
  );
  const status = await new Promise<number | null>((done) => child.once("close", done));
  if (status !== 0) throw new Failure(`soak: status ${status}`);
}
