import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildProgram } from "../../tools/cli/build.ts";
import { imageOf, project } from "../../tools/cli/project.ts";
import { Machine } from "../../tools/qemu/machine.ts";
import { freePort } from "../../tools/qemu/ports.ts";
import { runProgram } from "./lib.ts";

/** What a programmer sees of a machine that stops, by choice or not: TypeScript. */

/** Line of a source, from 1, that contains `text`. */
function lineOf(path: string, text: string): number {
  const index = readFileSync(project(path), "utf8")
    .split("\n")
    .findIndex((line) => line.includes(text));
  assert.notEqual(index, -1, `${path} has no line with ${text}`);
  return index + 1;
}

test("gdb stops on a line of TypeScript", async () => {
  const { image, symbols } = imageOf("http");
  const gdbPort = await freePort();
  const line = lineOf("kernel/main.ts", "deviceCheck.arm(now() + SECOND);");
  const machine = Machine.start({ kernel: image, accel: "tcg", network: null, gdbPort });
  try {
    const commands = [
      ...["set pagination off", "set confirm off", `target remote 127.0.0.1:${gdbPort}`],
      ...[`break kernel/main.ts:${line}`, "continue", "backtrace", "kill"],
    ];
    const words = commands.flatMap((command) => ["-ex", command]);
    const { stdout, stderr } = await runProgram(["gdb", "-nx", "-batch", symbols, ...words]);
    const said = stdout.toString() + stderr;
    assert.match(said, new RegExp(`Breakpoint 1, .*kernel/main\\.ts:${line}\\b`), said);
    assert.match(said, /#0 .*kernel_main_init.* at kernel\/main\.ts:\d+/, said);
  } finally {
    await machine.stop();
  }
});

test("a panic names TypeScript functions, files and lines", async () => {
  const source = "tests/qemu/fixtures/panic.ts";
  const folder = project("build/tests/panic");
  mkdirSync(folder, { recursive: true });
  const image = join(folder, "panic.elf");
  await buildProgram({ entry: source, site: null, folder, image, cc: "gcc" });
  const machine = Machine.start({ kernel: image, accel: "tcg", network: null });
  try {
    const { code } = await machine.exited;
    const broken = lineOf(source, "unreachable()");
    const called = lineOf(source, "  fallThroughTheFloor();");
    const said = machine.console;
    assert.match(said, /unreachable/i, said);
    assert.match(said, new RegExp(`fallThroughTheFloor.*${source}:${broken}\\b`), said);
    assert.match(said, new RegExp(`fallThroughTheFloor.*${source}:${called}\\b`), said);
    assert.match(said, /kernel\/timer\.ts:\d+/, said);
    assert.notEqual(code, 0);
  } finally {
    await machine.stop();
  }
});
