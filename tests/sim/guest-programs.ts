import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { compileSource } from "../../tools/cli/compile.ts";
import { project, sdkC } from "../../tools/cli/project.ts";
import type { GuestSpec } from "../../tools/guest/spec.ts";
import { type GuestProgram, guestFile } from "../../tools/sim/guest/program.ts";

/** Programs for simulated machines, from source. */

const OUT = "build/sim/programs";
const made = new Map<string, GuestProgram>();

/** A C program (clang, wasi-libc, sdk/c), called `name`. */
export function cProgram(source: string, name: string, ...flags: string[]): GuestProgram {
  const key = [source, name, ...flags].join(" ");
  const known = made.get(key);
  if (known) return known;
  const program = guestFile(name, cFile(source, name, ...flags));
  made.set(key, program);
  return program;
}

/** The Wasm of the same: where it is. */
export function cFile(source: string, name: string, ...flags: string[]): string {
  mkdirSync(OUT, { recursive: true });
  const out = `${OUT}/${basename(source, ".c")}.${name}.${process.pid}.wasm`;
  const warnings = ["-Wall", "-Wextra", "-Werror"];
  const sdk = sdkC();
  const command = [...sdk.flags, "-O1", ...warnings, ...flags, source, ...sdk.sources, "-o", out];
  const { status, stderr } = spawnSync("clang", command, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return out;
}

/** A program in AssemblyScript (sdk/assembly), or an app of apps/, called `name`. */
export async function assemblyProgram(source: string, name: string): Promise<GuestProgram> {
  const out = project(OUT, `${name}.${process.pid}.wasm`);
  await compileSource(project(source), dirname(project(source)), out);
  return guestFile(name, out);
}

/** The same source as a program of the machine that the tests run on: where it is. */
export function nativeProgram(source: string): string {
  mkdirSync(OUT, { recursive: true });
  const out = `${OUT}/${basename(source, ".c")}.native.${process.pid}`;
  const command = ["-Wall", "-Wextra", "-Werror", source, "-o", out];
  const { status, stderr } = spawnSync("gcc", command, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return out;
}

/** What is said of a guest of module `module`: nothing but what `more` says. */
export function guestSpec(module: string, more: Partial<GuestSpec> = {}): GuestSpec {
  const plain: GuestSpec = {
    name: module,
    module,
    arguments: [],
    environment: {},
    restart: "never",
    files: [],
  };
  return { ...plain, ...more };
}
