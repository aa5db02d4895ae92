import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import asc from "assemblyscript/asc";
import { Failure, root } from "./project.ts";

/** AssemblyScript → Wasm, with the compiler run inside this process. */

/** `line:column`, both from 1, of a position in a file of the project; empty if it is none. */
function placeOf(path: string, position: number): string {
  const file = join(root, path);
  if (!existsSync(file)) return ""; // ~lib/ lies within the compiler
  const lines = readFileSync(file, "utf8").slice(0, position).split("\n");
  return `:${lines.length}:${lines.at(-1)!.length + 1}`;
}

export interface Compilation {
  /** Entry beside kernel/main.ts, relative to the project: the app; null for the kernel alone. */
  entry: string | null;
  target: "release" | "debug";
  /** Where the module goes, relative to the project; null only checks. */
  outFile: string | null;
}

/** Compiles the kernel with an app; returns every path that the compiler looked at. */
export async function compile({ entry, target, outFile }: Compilation): Promise<Set<string>> {
  const looked = new Set<string>([join(root, "asconfig.json")]);
  const messages = {
    text: "",
    write: (chunk: Uint8Array | string) => void (messages.text += chunk),
  };
  let first: string | null = null;
  let errors = 0;
  const { error } = await asc.main(
    [
      "kernel/main.ts",
      ...(entry ? [entry] : []),
      "--config",
      "asconfig.json",
      "--target",
      target,
      ...(outFile ? ["-o", outFile] : ["--noEmit"]),
      ...(process.stderr.isTTY ? [] : ["--noColors"]),
    ],
    {
      stdout: messages,
      stderr: messages,
      readFile(name, base) {
        const path = join(base === "." ? root : base, name);
        looked.add(path);
        return existsSync(path) && statSync(path).isFile() ? readFileSync(path, "utf8") : null;
      },
      writeFile(name, contents) {
        const path = join(root, name);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, contents);
      },
      listFiles(name, base) {
        const path = join(base === "." ? root : base, name);
        return existsSync(path) ? readdirSync(path).filter((file) => file.endsWith(".ts")) : null;
      },
      reportDiagnostic({ category, code, message, range }) {
        if (category !== 3) return; // DiagnosticCategory.Error
        errors++;
        if (first !== null) return;
        first = `TS${code}: ${message}`;
        if (range?.source) {
          const path = range.source.normalizedPath;
          first = `${path}${placeOf(path, range.start)}: ${first}`;
        }
      },
    },
  );
  if (error) {
    process.stderr.write(`\n${messages.text}`);
    const more = errors > 1 ? ` (and ${errors - 1} more)` : "";
    throw new Failure(`AssemblyScript: ${first ?? error.message}${more}`);
  }
  return looked;
}
