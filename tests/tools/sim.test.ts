import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { project, sdkC } from "../../tools/cli/project.ts";

/** `skerry sim` with test files, from a folder of somebody's own. */

const folder = mkdtempSync(join(tmpdir(), "skerry-sim-"));
after(() => rmSync(folder, { recursive: true }));

/** Compiles the server of tests/qemu/guests. */
function server(name: string, ...flags: string[]): string {
  const out = join(folder, `${name}.wasm`);
  const sdk = sdkC();
  const files = [project("tests/qemu/guests/server.c"), ...sdk.sources];
  const words = [...sdk.flags, "-O1", ...flags, ...files, "-o", out];
  const { status, stderr } = spawnSync("clang", words);
  assert.equal(status, 0, String(stderr));
  return out;
}

function sim(file: string, environment: Record<string, string>) {
  const { NODE_TEST_CONTEXT: _, ...env } = { ...process.env, ...environment };
  const command = [project("tools/cli/skerry.mjs"), "sim", file];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    ...{ cwd: folder, env, encoding: "utf8", timeout: 300_000 },
  });
  return { status, said: stdout + stderr };
}

test("the guide's example", () => {
  const SERVER = server("page", "-DPAGE");
  const { status, said } = sim(project("tests/tools/simulation/example.ts"), { SERVER });
  assert.equal(status, 0, said);
  assert.match(said, /pass 1/);
});

test("the guide's topology: three routers and two hosts", () => {
  const { status, said } = sim(project("tests/tools/simulation/topology.ts"), {});
  assert.equal(status, 0, said);
  assert.match(said, /pass 1/);
});

test("a folder with a skerry.toml", () => {
  server("page", "-DPAGE");
  server("echo");
  const toml = `
[guests.page]
module = "page.wasm"
allow = { bind = ["tcp:80"] }

[guests.echo]
module = "echo.wasm"
`;
  writeFileSync(join(folder, "skerry.toml"), toml);
  const { status, said } = sim(project("tests/tools/simulation/project.ts"), { FOLDER: folder });
  assert.equal(status, 0, said);
});

test("a test that fails, and one that is not there", () => {
  const file = join(folder, "wrong.test.js");
  writeFileSync(file, `import "skerry/sim"; throw new Error("wrong");`);
  assert.equal(sim(file, {}).status, 1);
  const { status, said } = sim("missing.test.ts", {});
  assert.notEqual(status, 0);
  assert.match(said, /there is no file missing\.test\.ts/);
});
