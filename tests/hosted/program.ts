import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";

/** Compiles tests/hosted/NAME.c against hosted/skerry.h and libskerry.so; the path of the program. */
export function libraryProgram(name: string, ...flags: string[]): string {
  const folder = "build/tests/hosted";
  mkdirSync(folder, { recursive: true });
  const program = `${folder}/${name}`;
  const options = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", ...flags];
  const library = ["-Ihosted", "-Lbuild", "-lskerry", `-Wl,-rpath,${process.cwd()}/build`];
  const words = [...options, `tests/hosted/${name}.c`, ...library, "-o", program];
  execFileSync("gcc", words, { stdio: "inherit" });
  return program;
}
