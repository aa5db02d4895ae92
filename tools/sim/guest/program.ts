import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { guestCalls, leases } from "../../guest/imports.ts";
import { HOST, instrument, type InstrumentOptions } from "./instrument.ts";
import type { LineMap } from "../../aot/lines.ts";
import { Module } from "../../aot/module.ts";
import { sourceLines } from "../../aot/source.ts";
import { readSourceMap } from "../../aot/sourcemap.ts";

/** A guest's module, ready to run in simulation. */
export interface GuestProgram {
  /** As people and logs call it. */
  name: string;
  module: WebAssembly.Module;
  /** Pages of 64 KiB that its memory begins with, and may grow to. */
  pages: number;
  most: number;
  /** The lines of `module`, where they are known. */
  lines: () => LineMap | undefined;
  /** It leases packets. */
  leases: boolean;
}

/** What is made of modules is kept here, by content. */
const CACHE = resolve("build/sim/guests");

/** What Binaryen may find in a module, and use. */
const FEATURES = [
  "mutable-globals",
  "sign-ext",
  "nontrapping-float-to-int",
  "bulk-memory",
  "simd",
  "reference-types",
  "multivalue",
  "extended-const",
];

/** For wasm-opt: Asyncify, and what tidies up after it. */
export const SUSPENDABLE: readonly string[] = [
  "-O1",
  "--asyncify",
  `--pass-arg=asyncify-imports@${HOST}.leave`,
  "--mvp-features",
  ...FEATURES.map((feature) => `--enable-${feature}`),
  "--debuginfo",
];

/** A module and, where its lines are known, the text of its source map. */
export interface Mapped<Bytes = Uint8Array<ArrayBuffer>> {
  wasm: Bytes;
  map?: string;
}

/**
 * Makes a module's functions able to leave in the middle and be entered there again: Binaryen's Asyncify.
 * Takes seconds for a large module, once for each content. Throws an error that says why it cannot.
 */
export function suspendable({ wasm, map }: Mapped<Uint8Array>): Mapped {
  const require = createRequire(import.meta.url);
  const folder = dirname(require.resolve("binaryen/package.json"));
  const { version } = require("binaryen/package.json") as { version: string };
  const hash = createHash("sha256").update(wasm).update(version).update(SUSPENDABLE.join());
  if (map) hash.update(map);
  const made = join(CACHE, `${hash.digest("hex").slice(0, 32)}.wasm`);
  if (!existsSync(made)) {
    mkdirSync(CACHE, { recursive: true });
    const own = `${made}.${process.pid}`;
    writeFileSync(`${own}.in`, wasm);
    const command = [join(folder, "bin/wasm-opt"), `${own}.in`, ...SUSPENDABLE, "-o", own];
    if (map) {
      writeFileSync(`${own}.in.map`, map);
      command.push("--input-source-map", `${own}.in.map`, "--output-source-map", `${own}.map`);
    }
    const { status, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
    rmSync(`${own}.in`);
    if (map) rmSync(`${own}.in.map`);
    if (status !== 0) throw new Error(`Binaryen cannot make it suspendable: ${stderr.trim()}`);
    if (map) renameSync(`${own}.map`, `${made}.map`);
    renameSync(own, made);
  }
  const bytes = new Uint8Array(readFileSync(made));
  return { wasm: bytes, ...(map && { map: readFileSync(`${made}.map`, "utf8") }) };
}

/**
 * Makes a WASI program one that simulated machines can run; `sourceMap` is the text of its map, if it has one.
 * Throws what is wrong with it.
 */
export function guestProgram(name: string, wasm: Uint8Array, sourceMap?: string): GuestProgram {
  const module = new Module(wasm);
  const entry = module.exports.find((item) => item.name === "_start");
  if (!entry || entry.kind !== 0) {
    throw new Error(`${name}: it exports no function _start: it is a library and not a program`);
  }
  if (!module.memories.length) throw new Error(`${name}: it has no memory`);
  const calls = guestCalls(module).map((call) => call.number);
  return {
    name,
    leases: leases(module),
    ...prepare(wasm, { calls, lines: sourceLines(module, sourceMap) }),
  };
}

/** The program in a file; its source map, where one lies beside it, gives its lines. */
export function guestFile(name: string, file: string): GuestProgram {
  const map = `${file}.map`;
  const text = existsSync(map) ? readFileSync(map, "utf8") : undefined;
  return guestProgram(name, new Uint8Array(readFileSync(file)), text);
}

/** Instruments, makes suspendable and compiles. */
export function prepare(wasm: Uint8Array, options: InstrumentOptions) {
  const { pages, most, ...rewritten } = instrument(wasm, options);
  const { wasm: made, map } = suspendable(rewritten);
  // Read when something goes wrong, and not before.
  let lines: LineMap | undefined;
  const linesOf = () => (lines ??= map === undefined ? undefined : readSourceMap(map));
  return { module: new WebAssembly.Module(made), pages, most, lines: linesOf };
}
