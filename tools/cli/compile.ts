import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import asc, { libraryFiles } from "assemblyscript/asc";
import { Failure, appNames, project, root, sdkC } from "./project.ts";

/** AssemblyScript → Wasm, with the compiler run inside this process. */

/** `line:column`, both from 1, of a position in a file of `folder`; empty if it is none. */
function placeOf(folder: string, path: string, position: number): string {
  const file = join(folder, path);
  if (!existsSync(file)) return ""; // ~lib/ lies within the compiler
  const lines = readFileSync(file, "utf8").slice(0, position).split("\n");
  return `:${lines.length}:${lines.at(-1)!.length + 1}`;
}

/** A part of the kernel that can be left out: kernel/features.ts. */
export type Feature =
  | "GUESTS"
  | "NAMES"
  | "PIPES"
  | "CONSOLE"
  | "WASMEDGE"
  | "DNSSEC"
  | "DHCPD"
  | "RARP"
  | "POLICY"
  | "SOURCES";

export interface Compilation {
  /** Entry beside kernel/main.ts, relative to the project: the app; null for the kernel alone. */
  entry: string | null;
  target: "release" | "debug";
  /** Parts of kernel/features.ts that the image does not carry. */
  without?: Feature[];
  /** Where the module goes, relative to the project; null only checks. */
  outFile: string | null;
}

/**
 * Runs asc in `folder`, which its paths are relative to; `placed` may send it elsewhere for a file, and
 * `replaced` give it a text in place of one. Returns every path that it looked at.
 */
async function runAsc(
  folder: string,
  words: string[],
  placed: (path: string) => string = (path) => path,
  replaced: ReadonlyMap<string, string> = new Map(),
): Promise<Set<string>> {
  const looked = new Set<string>();
  const messages = {
    text: "",
    write: (chunk: Uint8Array | string) => void (messages.text += chunk),
  };
  let first: string | null = null;
  let errors = 0;
  const under = (name: string, base: string): string => placed(resolve(folder, base, name));
  const { error } = await asc.main([...words, ...(process.stderr.isTTY ? [] : ["--noColors"])], {
    stdout: messages,
    stderr: messages,
    readFile(name, base) {
      const path = under(name, base);
      looked.add(path);
      const text = replaced.get(path);
      if (text !== undefined) return text;
      return existsSync(path) && statSync(path).isFile() ? readFileSync(path, "utf8") : null;
    },
    writeFile(name, contents) {
      const path = join(folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, contents);
    },
    listFiles(name, base) {
      const path = under(name, base);
      return existsSync(path) ? readdirSync(path).filter((file) => file.endsWith(".ts")) : null;
    },
    reportDiagnostic({ category, code, message, range }) {
      if (category !== 3) return; // DiagnosticCategory.Error
      errors++;
      if (first !== null) return;
      first = `TS${code}: ${message}`;
      if (range?.source) {
        const path = range.source.normalizedPath;
        first = `${path}${placeOf(folder, path, range.start)}: ${first}`;
      }
    },
  });
  if (error) {
    process.stderr.write(`\n${messages.text}`);
    const more = errors > 1 ? ` (and ${errors - 1} more)` : "";
    throw new Failure(`AssemblyScript: ${first ?? error.message}${more}`);
  }
  return looked;
}

/** Compiles the kernel with an app; returns every path that the compiler looked at. */
export async function compile({
  entry,
  target,
  without = [],
  outFile,
}: Compilation): Promise<Set<string>> {
  return runAsc(root, [
    ...["kernel/main.ts", ...(entry ? [entry] : [])],
    ...["--config", "asconfig.json", "--target", target],
    ...without.flatMap((feature) => ["--use", `WITHOUT_${feature}=1`]),
    ...(outFile ? ["-o", outFile] : ["--noEmit"]),
  ]);
}

/** `console`, `process`, `Date` and the like, in terms of WASI. */
const GLOBALS = "@assemblyscript/wasi-shim/asconfig.json";

/** `import … from "skerry/net"` is sdk/assembly/net.ts, wherever the package lies. */
const SDK = /(?:^|\/)node_modules\/skerry\/(.+)$/;

/**
 * Compiles a guest written in AssemblyScript, with its garbage collector; paths are relative to `folder`.
 * Returns every path that the compiler looked at.
 */
async function compileGuest(
  folder: string,
  entry: string,
  outFile: string | null,
): Promise<Set<string>> {
  const shim = dirname(createRequire(import.meta.url).resolve(GLOBALS));
  const { options } = JSON.parse(readFileSync(join(shim, "asconfig.json"), "utf8")) as {
    options: { use: string[] };
  };
  const words = [
    ...[entry, "--lib", join(shim, "assembly"), "--exportStart", "_start"],
    ...["--optimizeLevel", "3", "--sourceMap", "--debug"],
    // The kernel prints where a program aborted, and needs no memory of the program's for that.
    ...options.use
      .filter((alias) => !alias.startsWith("abort="))
      .flatMap((alias) => ["--use", alias]),
    ...(outFile ? ["-o", outFile] : ["--noEmit"]),
  ];
  const own = new Set(Object.keys(libraryFiles));
  try {
    return await runAsc(folder, words, (path) => {
      const sdk = SDK.exec(relative(folder, path));
      return sdk ? project("sdk/assembly", sdk[1]!) : path;
    });
  } finally {
    // The compiler keeps what --lib names for its next run, in which it may be a kernel's.
    for (const name of Object.keys(libraryFiles)) if (!own.has(name)) delete libraryFiles[name];
  }
}

/** Where a program that is made for the kernel finds what stands for it in a guest. */
const KERNEL_PARTS = ["app", "host", "socket"];

/**
 * Compiles an app, a program that is made to be linked with the kernel, as a guest: the same sources, but for
 * what reaches the kernel or the machine. `main` is its first source, `outFile` where the module goes, absolute
 * both; null only checks. Returns every path that the compiler looked at.
 */
async function compileAppAsGuest(main: string, outFile: string | null): Promise<Set<string>> {
  const folder = dirname(main);
  const instead = new Map<string, string>();
  const stands = (from: string, to: string): void => {
    const path = relative(dirname(from), to).replace(/\.ts$/, "");
    instead.set(from, `export * from "${path.startsWith(".") ? path : `./${path}`}";\n`);
  };
  for (const part of KERNEL_PARTS) {
    stands(project("kernel", `${part}.ts`), project("sdk/assembly/kernel", `${part}.ts`));
  }
  // Of the app's own files, those that have a version for guests.
  for (const name of readdirSync(folder)) {
    const [, base] = /^(.+)-guest\.ts$/.exec(name) ?? [];
    if (base) stands(join(folder, `${base}.ts`), join(folder, name));
  }
  const config = relative(root, project("sdk/assembly/kernel/asconfig.json"));
  const out = outFile === null ? ["--noEmit"] : ["-o", relative(root, outFile)];
  return runAsc(root, [relative(root, main), "--config", config, ...out], undefined, instead);
}

/** Whether a source is an app's first one: a program that is made to be linked with the kernel. Absolute. */
export function isApp(source: string): boolean {
  return appNames().some((name) => source === project("apps", name, "main.ts"));
}

/**
 * Compiles the source of a guest, C, AssemblyScript or an app of apps/, to a module; null only checks. Paths are
 * absolute, `folder` that of its skerry.toml. Returns every path that the compiler looked at.
 */
export async function compileSource(
  source: string,
  folder: string,
  outFile: string | null,
): Promise<Iterable<string>> {
  if (source.endsWith(".c")) return outFile === null ? [] : compileC(source, outFile, folder);
  if (isApp(source)) return compileAppAsGuest(source, outFile);
  return compileGuest(folder, relative(folder, source), outFile && relative(folder, outFile));
}

/**
 * Compiles a guest written in C, with sdk/c and with lines, whose files are relative to `folder`; returns every file
 * that went into it.
 */
export async function compileC(source: string, outFile: string, folder = root): Promise<string[]> {
  const { flags, sources } = sdkC();
  const from = folder === root ? [] : [`-ffile-prefix-map=${folder}/=`];
  const words = [...flags, "-O2", "-g", ...from];
  const listed = await clang([...words, "-M", "-MT", "x", source, ...sources]);
  mkdirSync(dirname(outFile), { recursive: true });
  await clang([...words, source, ...sources, "-o", outFile]);
  return listed.split(/\s+/).filter((word) => word !== "x:" && word !== "\\" && word !== "");
}

/** Runs clang; what it printed. */
function clang(words: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile("clang", words, (error, output, complaint) => {
      if (!error) return resolve(output);
      if ((error as NodeJS.ErrnoException).code === "ENOENT") {
        return reject(new Failure("clang is missing: install clang, lld and wasi-libc"));
      }
      process.stderr.write(`\n${complaint}`);
      const lines = complaint.split("\n");
      const what = lines.find((line) => /error|undefined/i.test(line)) ?? lines[0];
      reject(new Failure(`clang: ${what}`));
    });
  });
}
