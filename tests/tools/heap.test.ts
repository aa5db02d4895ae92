import assert from "node:assert/strict";
import { test } from "node:test";
import asc from "assemblyscript/asc";
import { heapUse } from "../../tools/aot/heap.ts";
import { Module } from "../../tools/aot/module.ts";

/** What the kernel must not use is found in its module, by name. */

/** Compiles a source as the kernel is. */
async function compiled(source: string, ...words: string[]): Promise<Module> {
  let binary: Uint8Array | undefined;
  const config = ["--runtime", "stub", "--importMemory", "--use", "abort=", "--debug"];
  const { error } = await asc.main(["main.ts", ...config, ...words, "-o", "main.wasm"], {
    readFile: (name) => (name === "main.ts" ? source : null),
    writeFile: (name, contents) => {
      if (name === "main.wasm") binary = contents as Uint8Array;
    },
    listFiles: () => [],
    stdout: process.stdout,
    stderr: process.stderr,
  });
  assert.equal(error, null);
  return new Module(binary!);
}

const NONE = `
  const table: usize = memory.data(64, 8);
  @unmanaged class Line { at: usize; add(text: string): Line { this.at += text.length; return this; } }
  export function step(at: usize): usize { return changetype<Line>(table).add(at ? "one" : "two").at; }`;

/** The text is not known when it is compiled, as it is where an option folds away. */
const JOINED = `
  @inline function name(kind: u32): string { return kind ? "TCP" : "UDP"; }
  function told(kind: u32): string { return "over " + name(kind); }
  export function step(kind: u32): u32 { return told(kind).length; }`;

const MADE = `
  class Place { at: usize; }
  function place(at: usize): Place { const made = new Place(); made.at = at; return made; }
  let last: Place | null = null;
  export function step(at: usize): void { last = place(at); }`;

for (const words of [
  ["--optimizeLevel", "0"],
  ["--optimizeLevel", "3"],
]) {
  const level = words.at(-1);
  test(`a module without a heap has none, level ${level}`, async () => {
    assert.equal(heapUse(await compiled(NONE, ...words)), undefined);
  });

  test(`who joins texts, or makes an object, is named, level ${level}`, async () => {
    const inlined = level === "3";
    const joined = heapUse(await compiled(JOINED, ...words))!;
    assert.equal(joined.name, inlined ? "main/step" : "main/told");
    const made = heapUse(await compiled(MADE, ...words))!;
    assert.equal(made.name, inlined ? "main/step" : "main/Place#constructor");
    if (inlined) return;
    assert.match(joined.by.join(), /^~lib\/string\/String.*~lib\/rt\/stub\//);
    assert.match(made.by.join(), /^~lib\/rt\/(stub\/)?__new/);
  });
}
