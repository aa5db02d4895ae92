/**
 * The kernel in a Linux process under libFuzzer: its C compiled by clang so that it reports which
 * edges an input reaches and what it compares, the C of hosted/ and of the fuzzer with ASan as well.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { flagsOf, run } from "./build.ts";
import { contract } from "./contract.ts";

export interface FuzzerOptions {
  /** As in hosted/build.ts. */
  kernelC: string;
  memoryPages: number;
  out: string;
  root: string;
}

const SOURCES = [
  "hosted/machine.c",
  "hosted/link.c",
  "tests/hosted/fuzz/fuzz.c",
  "tests/hosted/lib/wire.c",
];

export async function buildFuzzer({
  kernelC,
  memoryPages,
  out,
  root,
}: FuzzerOptions): Promise<void> {
  const folder = dirname(out);
  const objects = join(folder, "objects");
  mkdirSync(objects, { recursive: true });
  writeFileSync(join(objects, "contract.h"), contract(root));
  const compiled: string[] = [];
  const compile = (source: string, stem: string, extra: string[]): Promise<void> => {
    const object = join(objects, `${stem}.o`);
    compiled.push(object);
    return run("clang", [...flagsOf("clang"), ...extra, "-c", source, "-o", object], root, source);
  };
  const kernel = ["-O1", "-Wno-everything", '-DWASM_IMPORTS="host.h"', "-fsanitize=fuzzer-no-link"];
  const own = ["-Wall", "-Wextra", "-Werror", `-DKERNEL_PAGES=${memoryPages}u`];
  const host = [...own, "-I", relative(root, objects), "-fsanitize=fuzzer-no-link,address"];
  await Promise.all([
    compile(relative(root, kernelC), "kernel", kernel),
    ...SOURCES.map((source, i) => compile(source, String(i), host)),
  ]);
  await run("clang", ["-fsanitize=fuzzer,address", ...compiled, "-o", out], root, out);
}
