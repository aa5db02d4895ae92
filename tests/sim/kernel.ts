import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Kernel, loadKernel } from "../../tools/sim/kernel.ts";

const OUT = "build/sim/kernel.debug.wasm";
const SOURCES = ["kernel", "drivers", "net", "sdk", "asconfig.json"];

/** When the newest of a file or a folder's files was written. */
function newest(path: string): number {
  const { mtimeMs } = statSync(path);
  if (!statSync(path).isDirectory()) return mtimeMs;
  return Math.max(mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

/**
 * The kernel without an app, with its assertions and poisoned packets; compiled when a source is
 * newer. Test files run in processes of their own, so it is put in place whole, by renaming.
 */
export function kernelUnderTest(): Kernel {
  if (!existsSync(OUT) || statSync(OUT).mtimeMs < Math.max(...SOURCES.map(newest))) {
    mkdirSync("build/sim", { recursive: true });
    const made = `build/sim/kernel.${process.pid}.wasm`;
    const options = ["--config", "asconfig.json", "--target", "debug", "--outFile", made];
    execFileSync("node_modules/.bin/asc", ["kernel/main.ts", ...options], { stdio: "inherit" });
    renameSync(`${made}.map`, `${OUT}.map`);
    renameSync(made, OUT);
  }
  return loadKernel(OUT);
}
