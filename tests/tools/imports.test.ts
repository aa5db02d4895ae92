import assert from "node:assert/strict";
import { test } from "node:test";
import binaryen from "binaryen";
import { GuestCall } from "../../kernel/guest/calls.ts";
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

test("WasmEdge's calls are told apart by their parameters, or by a name that says the version", () => {
  const wasi = (name: string, params: number): [string, string] => [
    `wasi_snapshot_preview1.${name}`,
    `(param${" i32".repeat(params)}) (result i32)`,
  ];
  const numbers = (...imports: [string, string][]) =>
    guestCalls(importing(...imports)).map(({ number }) => GuestCall[number]);
  assert.deepEqual(
    numbers(
      ...[wasi("sock_accept", 2), wasi("sock_accept", 3), wasi("sock_accept_v2", 3)],
      ...[wasi("sock_recv_from", 7), wasi("sock_recv_from", 8), wasi("sock_recv_from_v2", 8)],
      ...[wasi("sock_open_v2", 3), wasi("sock_send_to_v2", 7), wasi("sock_getaddrinfo", 8)],
    ),
    [
      ...["sock_accept_v1", "sock_accept", "sock_accept"],
      ...["sock_recv_from", "sock_recv_from_v2", "sock_recv_from_v2"],
      ...["sock_open", "sock_send_to", "sock_getaddrinfo"],
    ],
  );
  assert.throws(() => guestCalls(importing(wasi("sock_open_v2", 2))), /another signature/);
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
