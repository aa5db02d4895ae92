import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { compileSource } from "../../tools/cli/compile.ts";
import { project } from "../../tools/cli/project.ts";

/** Compiles tests/qemu/guests/<name>.ts, from where it is. */
export async function scriptModule(name: string, out: string): Promise<void> {
  const folder = project("tests/qemu/guests");
  await compileSource(project("tests/qemu/guests", `${name}.ts`), folder, out);
}

/** `file:line` of the line of a source that has `text`. */
export function lineOf(source: string, text: string): string {
  const rows = readFileSync(project(source), "utf8").split("\n");
  const index = rows.findIndex((row) => row.includes(text));
  assert.ok(index >= 0, `${source} has no ${text}`);
  return `${source}:${index + 1}`;
}
