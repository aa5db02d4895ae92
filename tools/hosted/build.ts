/** From the C of the kernel and of hosted/ to a program over TAP and a shared library. */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";

export interface HostedOptions {
  /** The C that tools/aot made of kernel.wasm, as module "kernel". */
  kernelC: string;
  /** The pages of 64 KiB that kernel.wasm declares: its static data ends within them. */
  memoryPages: number;
  /** `program`: the machine behind a TAP interface. `library`: libskerry.so, with hosted/skerry.h. */
  kind: "program" | "library";
  /** A program's file pack, linked in. */
  pack?: string;
  /** Where the result goes, and the folder for what lies between. */
  out: string;
  objects: string;
  /** gcc or clang. */
  cc: string;
  /** The project's root. */
  root: string;
}

const FLAGS = [
  "-std=gnu11",
  "-O3",
  "-g",
  "-fPIC",
  "-fvisibility=hidden",
  "-fno-strict-aliasing",
  "-fwrapv",
  "-fno-delete-null-pointer-checks",
  "-I",
  "hosted",
  "-I",
  "tools/aot/runtime",
];

/**
 * The C library clears with vectors; what gcc would write in its place, `rep stos`, takes longer to begin than a
 * control block takes.
 */
const CLEARING = "-mmemset-strategy=unrolled_loop:64:noalign,libcall:-1:noalign";

/**
 * Only gcc lets a program keep a register; its GS costs more to change, and hides memory from it. With a
 * register less, what is worked out early and once is kept on the stack, and calls save and restore: so
 * less of the one, and more functions in each other.
 */
const GCC = [
  "-DWASM_MEMORY_REGISTER",
  "-fno-tree-pre",
  "-fno-code-hoisting",
  "--param=max-inline-insns-auto=60",
  "--param=inline-unit-growth=100",
  CLEARING,
];

/** What all C of the process is compiled with. */
export function flagsOf(cc: string): string[] {
  return [...FLAGS, ...(/clang/.test(cc) ? ["-DWASM_MEMORY_GS"] : GCC)];
}

/** Runs the compiler; fails with the first thing that it complains of. */
export function run(cc: string, args: string[], cwd: string, what: string): Promise<void> {
  return new Promise((done, failed) => {
    const child = spawn(cc, args, { cwd, stdio: ["ignore", "ignore", "pipe"] });
    let complaint = "";
    child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
    child.on("error", () =>
      failed(new Error(`${cc} cannot be run: install it, or set CC to another`)),
    );
    child.on("close", (code) => {
      if (code === 0) return done();
      const lines = complaint.split("\n");
      const reason = lines.find((line) => /error|undefined/i.test(line)) ?? lines[0];
      failed(new Error(`${cc} failed on ${what}: ${reason}`));
    });
  });
}

export async function buildHosted(options: HostedOptions): Promise<void> {
  const { kernelC, memoryPages, kind, pack, out, cc, root } = options;
  const objects = resolve(options.objects);
  mkdirSync(objects, { recursive: true });
  const compiled: string[] = [];
  const compile = (source: string, stem: string, extra: string[]): Promise<void> => {
    const object = join(objects, `${stem}.o`);
    compiled.push(object);
    const from = relative(root, resolve(source));
    return run(cc, [...flagsOf(cc), ...extra, "-c", from, "-o", object], root, from);
  };
  const own = ["-Wall", "-Wextra", "-Werror", `-DKERNEL_PAGES=${memoryPages}u`];
  const imports = '-DWASM_IMPORTS="host.h"';
  const work = [compile(kernelC, "kernel", ["-Wno-unused", imports])];
  const sources = ["machine", "link", ...(kind === "program" ? ["main"] : [])];
  for (const name of sources) work.push(compile(join(root, "hosted", `${name}.c`), name, own));
  if (kind === "program") {
    const source = join(objects, "pack.S");
    const content = pack ? `.incbin ${JSON.stringify(resolve(pack))}\n` : "";
    const symbols = ["skerry_pack", "skerry_pack_end"].map((name) => `.globl ${name}\n`).join("");
    writeFileSync(
      source,
      `.section .rodata\n.balign 8\n${symbols}skerry_pack:\n${content}skerry_pack_end:\n` +
        `.section .note.GNU-stack,"",@progbits\n`,
    );
    work.push(compile(source, "pack", []));
  }
  await Promise.all(work);
  const how = kind === "library" ? ["-shared", "-Wl,-soname,libskerry.so"] : ["-pie"];
  const args = [...how, "-Wl,-z,defs", ...compiled, "-o", resolve(out)];
  await run(cc, args, root, relative(root, resolve(out)));
}
