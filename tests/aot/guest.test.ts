import assert from "node:assert/strict";
import { test } from "node:test";
import binaryen from "binaryen";
import { guestCode } from "../../tools/guest/guest.ts";

/** What is refused when a module becomes part of an image, and how that is said. */

const wasm = (text: string): Uint8Array => binaryen.parseText(text).emitBinary();
const module = (rest: string): Uint8Array =>
  wasm(`(module ${rest} (memory 1) (func (export "_start")))`);

test("a module that imports what is not there: every name at once", () => {
  const imports = `
    (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
    (import "env" "fork" (func (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func (param i64) (result i32)))
    (import "env" "answer" (global i32))`;
  assert.throws(
    () => guestCode("hello", module(imports)),
    (error: Error) => {
      assert.match(error.message, /env\.fork/);
      assert.match(error.message, /wasi_snapshot_preview1\.fd_close, with another signature/);
      assert.match(error.message, /env\.answer, which is no function/);
      assert.doesNotMatch(error.message, /fd_write/);
      return true;
    },
  );
});

test("a library, which has nothing to start", () => {
  assert.throws(() => guestCode("library", wasm("(module (memory 1))")), /no function _start/);
});

test("a module without a memory", () => {
  assert.throws(() => guestCode("bare", wasm(`(module (func (export "_start")))`)), /no memory/);
});

test("a module that has all it needs, under a name that C does not know", () => {
  const code = guestCode("my-app.v2", module(""));
  assert.equal(code.prefix, "guest_my_app_v2");
  assert.match(code.row, /^\{"my-app\.v2", guest_my_app_v2_instantiate, \w+, /);
});
