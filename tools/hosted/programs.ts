/** Programs in C of tests/hosted, linked with libskerry.so. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { contract } from "./contract.ts";

export interface ProgramOptions {
  /** The folder of tests/hosted that holds its sources. */
  name: string;
  /** The project's root. */
  root: string;
}

/** Compiles and links a program against the library of the same build; returns its path. */
export function buildTestProgram({ name, root }: ProgramOptions): string {
  const folder = join(root, "build", "programs");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "contract.h"), contract(root));
  const sources = ["lib/*.c", `${name}/*.c`].map((pattern) => `tests/hosted/${pattern}`).join(" ");
  const out = join(folder, name);
  const flags = "-std=gnu11 -O2 -g -Wall -Wextra -Werror -Ihosted -Ibuild/programs";
  const library = `-Lbuild -lskerry -Wl,-rpath,'${join(root, "build")}' -lm`;
  execFileSync("sh", ["-c", `gcc ${flags} ${sources} ${library} -o '${out}'`], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return out;
}
