/** From the C of the kernel and of boot/ to one bootable ELF. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, relative, resolve } from "node:path";
import { type GuestCode, guestTable } from "../guest/guest.ts";
import { readSections } from "./elf.ts";
import { fontBytes } from "./font.ts";
import { symbolTable } from "./symbols.ts";

export interface ImageOptions {
  /** The C that tools/aot made of kernel.wasm, as module "kernel". */
  kernelC: string;
  /** The pages of 64 KiB that kernel.wasm declares: its static data ends within them. At most 16. */
  memoryPages?: number;
  /** Wasm programs that are part of the image. */
  guests?: GuestCode[];
  /** Words of the kernel command line before those that the loader gives, which override them. */
  commandLine?: string;
  /** A file to link in whole as the file pack (`BootInfo.pack`). */
  pack?: string;
  /** Likewise, of what is said of its guests (`BootInfo.setup`). */
  setup?: string;
  /** The image to write. The same with debugging information goes beside it, as `<name>.debug.elf`. */
  out: string;
  /** gcc, or clang (which links with lld). */
  cc?: string;
  /** Compile the kernel for stepping through it (-Og) rather than for speed. */
  debug?: boolean;
  /** Where objects of the kernel and the shim are kept for other images, too; absent: with the image's own. */
  kernelObjects?: string;
  /** The project's root, where boot/ is. */
  root?: string;
}

/** Sizes in bytes. */
export interface ImageReport {
  image: string;
  debugImage: string;
  /** The image file, with pack and headers. */
  file: number;
  code: number;
  constants: number;
  symbols: number;
  data: number;
  /** Zeroed at start, not in the file: stacks, page tables. */
  zeroed: number;
  pack: number;
}

const FLAGS = [
  "-std=gnu11",
  "-ffreestanding",
  "-mno-red-zone",
  "-fno-strict-aliasing",
  "-fwrapv",
  "-fno-delete-null-pointer-checks",
  "-mcmodel=kernel",
  "-fno-pic",
  "-fno-pie",
  "-fno-omit-frame-pointer",
  "-fno-stack-protector",
  "-fcf-protection=none",
  "-fno-asynchronous-unwind-tables",
  "-g",
];

/** All code but the guests' leaves vector registers alone: nobody saves them for it. */
const GENERAL = "-mgeneral-regs-only";
/** The kernel's memory, and with it the shim's notion of it. */
const KERNEL_MEMORY = "-DWASM_MEMORY_ZERO";
/**
 * Only loops begin at round addresses: the padding before the rest of the kernel's code is 4 % of it, and
 * a smaller image is a smaller cache footprint, too.
 */
const UNPADDED = ["-falign-functions=1", "-falign-jumps=1", "-falign-labels=1"];
/** Arithmetic as Wasm has it: see wasm.h. */
const FLOATING = ["-ffp-contract=off", "-fno-math-errno"];

/** Runs a tool to its end; what it printed, or an error of one line. */
function run(tool: string, args: string[], cwd: string, what: string): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn(tool, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let complaint = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
    child.on("error", () =>
      failed(new Error(`${tool} cannot be run: install it, or set CC to another`)),
    );
    child.on("close", (code) => {
      if (code === 0) return done(output);
      const lines = complaint.split("\n");
      const reason = lines.find((line) => /error|undefined/i.test(line)) ?? lines[0];
      failed(new Error(`${tool} failed on ${what}: ${reason}`));
    });
  });
}

/** Does `jobs` in order of arrival, two at a time. */
async function twoAtATime(jobs: (() => Promise<unknown>)[]): Promise<void> {
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) await job();
  };
  await Promise.all([worker(), worker()]);
}

export async function buildImage(options: ImageOptions): Promise<ImageReport> {
  const root = resolve(options.root ?? process.cwd());
  const cc = options.cc ?? "gcc";
  const clang = /clang/.test(cc);
  const out = resolve(options.out);
  const name = out.replace(/\.elf$/, "");
  const debugImage = `${name}.debug.elf`;
  const objects = `${name}.objects`;
  const kernelObjects = options.kernelObjects ?? objects;
  for (const folder of [objects, kernelObjects]) mkdirSync(folder, { recursive: true });

  const boot = join(root, "boot");
  const runtime = join(root, "tools/aot/runtime");
  const includes = ["-I", "boot", "-I", "tools/aot/runtime"];
  const memory = `-DKERNEL_MEMORY_BYTES=${(options.memoryPages ?? 16) * 65536}u`;
  const flags = [...FLAGS, memory, `-ffile-prefix-map=${root}=.`, "-Wall", "-Wextra", ...includes];
  const headers = [boot, runtime]
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((file) => join(folder, file)))
    .filter((file) => file.endsWith(".h"))
    .map((file) => readFileSync(file));

  /** An object is named by all that it is made from, so one that exists is the right one. */
  const jobs: (() => Promise<unknown>)[] = [];
  const files: string[] = [];
  const compile = (
    source: string,
    stem: string,
    extra: string[],
    alsoFrom: Uint8Array[] = headers,
    folder = objects,
  ) => {
    const hash = createHash("sha256").update(JSON.stringify([cc, flags, extra]));
    for (const bytes of [readFileSync(source), ...alsoFrom]) hash.update(bytes);
    const object = join(folder, `${stem}.${hash.digest("hex").slice(0, 16)}.o`);
    files.push(object);
    if (existsSync(object)) return;
    for (const file of readdirSync(folder)) {
      if (file.startsWith(`${stem}.`) && /\.o(\.part)?$/.test(file)) rmSync(join(folder, file));
    }
    const from = relative(root, source);
    jobs.push(async () => {
      await run(cc, [...flags, ...extra, "-c", from, "-o", `${object}.part`], root, from);
      renameSync(`${object}.part`, object); // an interrupted build leaves no half an object
    });
  };
  /** A file's bytes as a section of their own. */
  const embed = (file: string, section: string) => {
    const source = join(objects, `${section}.S`);
    writeFileSync(
      source,
      `.section .${section}, "a"\n.balign 8\n.incbin ${JSON.stringify(resolve(file))}\n`,
    );
    compile(source, section, [], [readFileSync(file)]);
  };

  // What a guest's memory begins at is in a register (gcc) or in GS's base (clang).
  const guestMemory = `-DWASM_MEMORY_${clang ? "GS" : "REGISTER"}`;
  const kernelFlags = [
    ...[GENERAL, KERNEL_MEMORY],
    ...(options.debug ? ["-Og"] : ["-O2", ...(clang ? [] : UNPADDED)]),
    '-DWASM_IMPORTS="host.h"',
    "-Wno-unused",
    // Traps at different lines stay apart, for the backtrace; low addresses are no mistake.
    ...(clang ? [] : ["-fno-tree-tail-merge", "--param=min-pagesize=0"]),
  ];
  compile(resolve(options.kernelC), "kernel", kernelFlags, headers, kernelObjects);
  for (const file of readdirSync(boot).sort()) {
    // The shim has a memcpy of its own; -O2 must not turn its loop into a call of itself.
    const memory = file === "guest.c" ? guestMemory : KERNEL_MEMORY;
    const shim = [GENERAL, memory, "-O2", "-fno-builtin"];
    if (/\.[cS]$/.test(file)) compile(join(boot, file), file, shim, headers, kernelObjects);
  }
  const guests = options.guests ?? [];
  const written = (file: string, text: string): string => {
    writeFileSync(join(objects, file), text);
    return join(objects, file);
  };
  compile(written("guests.c", guestTable(guests)), "guests", [GENERAL, guestMemory]);
  const words = JSON.stringify(options.commandLine ?? "");
  const declared = [
    '#include "boot.h"',
    `const char built_in_words[] = ${words};`,
    "const u32 built_in_words_length = sizeof built_in_words - 1;",
    "",
  ];
  compile(written("words.c", declared.join("\n")), "words", [GENERAL, KERNEL_MEMORY]);
  for (const { prefix, c, header } of guests) {
    const imports = written(`${prefix}.h`, header);
    const signalling = clang ? "-ffp-exception-behavior=maytrap" : "-fsignaling-nans";
    compile(
      written(`${prefix}.c`, c),
      prefix,
      [
        ...[
          guestMemory,
          "-DWASM_LENT=0xc0000000u",
          `-DWASM_IMPORTS=${JSON.stringify(imports)}`,
          "-O2",
          "-Wno-unused",
        ],
        ...[...FLOATING, signalling, ...(clang ? [] : ["-fno-tree-tail-merge"])],
      ],
      [...headers, readFileSync(imports)],
    );
  }
  const font = join(objects, "font.bin");
  writeFileSync(font, fontBytes(join(boot, "font.txt")));
  embed(font, "font");
  if (options.pack) embed(options.pack, "pack");
  if (options.setup) embed(options.setup, "setup");
  await twoAtATime(jobs.splice(0));

  const link = async () => {
    await twoAtATime(jobs.splice(0));
    const linker = ["-static", "-nostdlib", "-no-pie", ...(clang ? ["-fuse-ld=lld"] : [])];
    const script = [
      "-T",
      "boot/linker.ld",
      "--build-id=none",
      "-z",
      "max-page-size=4096",
      "-z",
      "noexecstack",
    ];
    const args = [...linker, ...script.map((word) => `-Wl,${word}`), ...files, "-o", debugImage];
    await run(cc, args, root, relative(root, out));
    return readSections(readFileSync(debugImage));
  };
  const tool = async (gnu: string) =>
    (await run(cc, [`-print-prog-name=${clang ? "llvm-" : ""}${gnu}`], root, gnu)).trim();

  // The symbols lie behind all code, so linking again with them leaves every address in it.
  const without = await link();
  const table = join(objects, "symbols.bin");
  writeFileSync(table, symbolTable(debugImage, await tool("addr2line")));
  embed(table, "symbols");
  const sections = await link();
  const size = (section: string) => sections.get(section)?.size ?? 0;
  if (size(".text") !== without.get(".text")!.size)
    throw new Error("linking the symbols moved the code");
  await run(await tool("objcopy"), ["--strip-all", debugImage, out], root, relative(root, out));
  return {
    image: out,
    debugImage,
    file: statSync(out).size,
    code: size(".text"),
    constants: size(".rodata"),
    symbols: size(".symbols"),
    data: size(".data"),
    zeroed: size(".bss"),
    pack: size(".pack"),
  };
}
