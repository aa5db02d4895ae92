import assert from "node:assert/strict";
import { test } from "node:test";
import binaryen from "binaryen";
import { Module } from "../../tools/aot/module.ts";
import { guestCalls } from "../../tools/guest/imports.ts";

/** What a module imports that there is no call for: each by its name, and what to do about it. */

/** A module that imports functions: name, and parameters and results in WebAssembly's text format. */
function importing(...imports: [name: string, type: string][]): Module {
  const lines = imports.map(([name, type]) => {
    const dot = name.indexOf(".");
    return `(import "${name.slice(0, dot)}" "${name.slice(dot + 1)}" (func ${type}))`;
  });
  return new Module(binaryen.parseText(`(module ${lines.join(" ")})`).emitBinary());
}

test("what there is a call for is taken", () => {
  const module = importing(
    ["wasi_snapshot_preview1.proc_exit", "(param i32)"],
    ["skerry.socket", "(param i32 i32 i32) (result i32)"],
  );
  assert.equal(guestCalls(module).length, 2);
});

test("all that is missing is named at once, and a call of another shape with it", () => {
  const module = importing(
    ["env.one", ""],
    ["env.two", "(param i64)"],
    ["skerry.socket", "(param i32) (result i32)"],
  );
  assert.throws(() => guestCalls(module), {
    message:
      "it imports what Skerry does not have: env.one; env.two; skerry.socket, with another signature. " +
      "A linker took an undefined function for an import: is a source or a library missing?",
  });
});

for (const [name, hint] of [
  ["wasi:io/streams@0.2.0.read", /preview 2: build it for preview 1/],
  ["wasi_unstable.fd_write", /newer compiler/],
  ["wbg.__wbg_log", /wasm32-wasip1/],
  ["gojs.syscall", /GOOS=wasip1/],
  ["env.emscripten_resize_heap", /Emscripten/],
  ["env.console.log", /give the source to skerry\.toml/],
] as const) {
  test(`${name} says what to build it for`, () => {
    assert.throws(() => guestCalls(importing([name, ""])), hint);
  });
}

test("what nobody knows is only named", () => {
  assert.throws(() => guestCalls(importing(["other.thing", ""])), {
    message: "it imports what Skerry does not have: other.thing",
  });
});
