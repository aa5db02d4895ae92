import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { project } from "../../tools/cli/project.ts";

test("memory maps that overlap and contradict themselves: only what is surely free is given away", () => {
  const folder = project("build/tests/memory-map");
  mkdirSync(folder, { recursive: true });
  const program = `${folder}/memory_map`;
  const flags = ["-std=gnu11", "-O1", "-fno-builtin", "-fsanitize=undefined", "-DWASM_MEMORY_ZERO"];
  const folders = ["-I", project("boot"), "-I", project("tools/aot/runtime")];
  const made = spawnSync("gcc", [
    ...flags,
    ...folders,
    project("tests/hosted/memory_map.c"),
    "-o",
    program,
  ]);
  assert.equal(made.status, 0, made.stderr.toString());
  const { status, stdout } = spawnSync(program, { encoding: "utf8" });
  assert.equal(status, 0, stdout);
  assert.match(stdout, /2000 maps/);
});
