import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Program, build, buildProgram } from "../../tools/cli/build.ts";
import { imageOfFolder, project, sdkC } from "../../tools/cli/project.ts";
import type { GuestSpec } from "../../tools/guest/spec.ts";
import { type Forward, Machine, type MachineOptions } from "../../tools/qemu/machine.ts";

/** Images of C programs as guests, for the tests. */

/** Compiles tests/qemu/guests/<source>.c to <name>.wasm. */
export function wasi(folder: string, source: string, name = source, ...flags: string[]): string {
  const out = join(folder, `${name}.wasm`);
  const sdk = sdkC();
  const files = [project("tests/qemu/guests", `${source}.c`), ...sdk.sources];
  const warnings = ["-Wall", "-Wextra", "-Werror"];
  const command = [...sdk.flags, "-O1", ...warnings, ...flags, ...files, "-o", out];
  const { status, stderr } = spawnSync("clang", command, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return out;
}

/**
 * Boots an image of these modules, one guest of each unless `specs` says otherwise, for the time of `work`.
 * What has a `name` is built in a folder of its own, and again only when something has changed.
 */
export async function withGuests(
  modules: string[],
  options: Partial<MachineOptions> & Partial<Pick<Program, "specs" | "trees">> & { name?: string },
  work: (machine: Machine) => Promise<void>,
): Promise<void> {
  const { specs, trees, name = "guests", ...machineOptions } = options;
  const folder = project("build/tests", name);
  const image = join(folder, "image.elf");
  const program = { entry: null, guests: modules, site: null, folder, image, cc: "gcc" };
  await buildProgram({ ...program, ...(specs ? { specs } : {}), ...(trees ? { trees } : {}) });
  await booted(image, machineOptions, work);
}

/**
 * Boots what a skerry.toml says, for the time of `work`. It lies in build/tests/NAME, so that paths of the project
 * begin with ../../../, and is built again only when something has changed.
 */
export async function withProject(
  name: string,
  toml: string,
  options: Partial<MachineOptions>,
  work: (machine: Machine) => Promise<void>,
): Promise<void> {
  const folder = project("build/tests", name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "skerry.toml"), toml);
  await build({ app: "", cc: "gcc", project: folder });
  await booted(imageOfFolder(folder).image, options, work);
}

async function booted(
  kernel: string,
  options: Partial<MachineOptions>,
  work: (machine: Machine) => Promise<void>,
): Promise<void> {
  const machine = Machine.start({ kernel, accel: "tcg", network: null, ...options });
  try {
    await work(machine);
    assert.equal(machine.ending, null, `the machine ended:\n${machine.tail()}`);
  } finally {
    await machine.stop();
  }
}

/** A guest of a module, about which little is said. */
export function guest(
  name: string,
  module: string,
  more: Partial<Omit<GuestSpec, "name" | "module">> = {},
): GuestSpec {
  return { name, module, arguments: [], environment: {}, restart: "never", files: [], ...more };
}

/** QEMU's user network, on which ports of 127.0.0.1 lead to the machine's. */
export function userNetwork(forwards: Forward[]): MachineOptions["network"] {
  return { kind: "user", forwards };
}
