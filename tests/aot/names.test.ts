/** Names and lines: what gdb, backtraces and profiles will show. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { before, test } from "node:test";
import asc from "assemblyscript/asc";
import binaryen from "binaryen";
import { translate, translateModule } from "../../tools/aot/emit.ts";
import { normalisePath } from "../../tools/aot/lines.ts";
import { readSourceMap, SourceMapWriter } from "../../tools/aot/sourcemap.ts";

const SOURCE = `@external("host", "now") declare function now(): u64;
let total: u32 = 0;

function accumulate(values: usize, count: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    sum += load<u32>(values + i * 4);
    if (sum > 1000000) {
      unreachable();
    }
  }
  return sum;
}

export function step(values: usize, count: u32): u64 {
  total += accumulate(values, count);
  total ^= accumulate(values, count >> 1);
  return now() + total;
}
`;

const folder = resolve("build/tests-aot/names");
let c = "";

async function compile(...options: string[]): Promise<{ wasm: Uint8Array; map: string }> {
  const files = new Map<string, Uint8Array>();
  const { error, stderr } = await asc.main(
    [
      "net/tcp/sum.ts",
      "--runtime",
      "stub",
      "-O2",
      "--debug",
      "--sourceMap",
      "-o",
      "out.wasm",
      ...options,
    ],
    {
      readFile: (name: string) => (name === "net/tcp/sum.ts" ? SOURCE : null),
      writeFile: (name: string, data: Uint8Array | string) => {
        files.set(name, typeof data === "string" ? Buffer.from(data) : data);
      },
      listFiles: () => [],
    },
  );
  assert.equal(error, null, stderr.toString());
  return { wasm: files.get("out.wasm")!, map: Buffer.from(files.get("out.wasm.map")!).toString() };
}

before(async () => {
  mkdirSync(folder, { recursive: true });
  const { wasm, map } = await compile();
  c = translate(wasm, { name: "kernel", sourceMap: map, file: "kernel.c" });
  writeFileSync(join(folder, "kernel.c"), c);
});

/** The source position of each line of C that contains the text, as a preprocessor would have it. */
function positions(text: string): string[] {
  let file = "";
  let line = 0;
  const found: string[] = [];
  for (const row of c.split("\n")) {
    const directive = /^#line (\d+) "(.*)"$/.exec(row);
    if (directive) {
      line = Number(directive[1]) - 1;
      file = directive[2]!;
      continue;
    }
    line++;
    if (row.includes(text)) found.push(`${file}:${line}`);
  }
  return found;
}

test("statements carry the lines of their source", () => {
  const lineOf = (text: string) => SOURCE.split("\n").findIndex((row) => row.includes(text)) + 1;
  assert.ok(positions("wasm_i32_load(").includes(`net/tcp/sum.ts:${lineOf("sum += load")}`));
  assert.ok(positions("wasm_trap(").includes(`net/tcp/sum.ts:${lineOf("unreachable()")}`));
  assert.ok(positions("host_now()").includes(`net/tcp/sum.ts:${lineOf("return now()")}`));
  assert.ok(
    positions("static u64 w_net_tcp_sum_step(").some((at) => at.startsWith("net/tcp/sum.ts:")),
  );
});

test("C that has no source keeps its own lines", () => {
  const rows = c.split("\n");
  const own = rows.findIndex((row) => row.startsWith("void kernel_instantiate")) + 1;
  assert.deepEqual(positions("void kernel_instantiate"), [`kernel.c:${own}`]);
});

test("debuggers find functions under their names, at their lines", () => {
  const object = join(folder, "kernel.o");
  const flags = ["-g", "-O1", "-fno-inline", "-DWASM_MEMORY_CHECKED", "-I", "tools/aot/runtime"];
  execFileSync("gcc", ["-std=gnu11", ...flags, "-c", join(folder, "kernel.c"), "-o", object]);
  const dump = execFileSync("objdump", ["-d", "-l", "--no-show-raw-insn", object], {
    encoding: "utf8",
  });
  const body = dump.split("<w_net_tcp_sum_accumulate>:")[1]!.split("\n\n")[0]!;
  const lines = new Set(
    [...body.matchAll(/net\/tcp\/sum\.ts:(\d+)/g)].map((match) => Number(match[1])),
  );
  for (const line of [7, 8, 9])
    assert.ok(lines.has(line), `line ${line} of ${[...lines].join(" ")}`);
});

test("each of clashing and odd names becomes its own identifier", () => {
  const module = binaryen.parseText(`(module
    (import "env" "a.b" (func $import (param i32)))
    (import "env" "a b" (func $import2 (param i64)))
    (func $net/tcp#send (export "send/now") (param $u32 i32) (param $this i32) (param $t0 i32) (param $w_x i32) (result i32)
      (call $import (local.get $this)) (call $import2 (i64.const 1)) (local.get $t0))
    (func $net.tcp.send (export "send-now") (param $if i32) (param $h!llo i32) (result i32) (local.get $h!llo))
    (func $@@ (export "send now"))
    (func $instantiate (export "instantiate"))
    (func $while (export "")))`);
  binaryen.setDebugInfo(true);
  const { c: text, exports, imports } = translateModule(module.emitBinary(), { name: "k" });
  const all = [...exports.values(), ...imports.funcs];
  assert.equal(new Set(all).size, all.length, all.join(" "));
  assert.deepEqual(imports.funcs, ["env_a_b", "env_a_b_2"]);
  assert.equal(exports.get("send/now"), "k_send_now");
  assert.notEqual(exports.get("instantiate"), "k_instantiate");
  writeFileSync(join(folder, "odd.c"), text);
  const flags = [
    "-Wall",
    "-Werror",
    "-Wno-unused",
    "-DWASM_MEMORY_CHECKED",
    "-I",
    "tools/aot/runtime",
  ];
  for (const compiler of ["gcc", "clang"]) {
    execFileSync(compiler, [
      "-std=gnu11",
      ...flags,
      "-c",
      join(folder, "odd.c"),
      "-o",
      join(folder, "odd.o"),
    ]);
  }
});

test("locals keep their names where C allows it", async () => {
  const module =
    binaryen.parseText(`(module (func $f (export "f") (param $length i32) (param $for i32) (param $u32 i32)
    (result i32) (local $sum i32) (local.set $sum (i32.add (local.get $length) (local.get $for))) (local.get $sum)))`);
  binaryen.setDebugInfo(true);
  const text = translate(module.emitBinary(), { name: "k" });
  assert.match(text, /static u32 w_f\(u32 length, u32 l1, u32 l2\)/);
  assert.match(text, /sum = length \+ l1;/);
});

test("source paths become relative to the repository", () => {
  assert.equal(normalisePath("./kernel/../net/tcp.ts"), "net/tcp.ts");
  assert.equal(normalisePath("webpack:///../src/a.ts"), "src/a.ts");
  assert.equal(normalisePath("C:\\x\\y.ts"), "C:/x/y.ts");
  assert.equal(normalisePath("~lib/rt/stub.ts"), "~lib/rt/stub.ts");
  assert.equal(normalisePath('a"\n#include "/etc/passwd'), "a__#include _/etc/passwd");
});

test("a broken source map is refused", () => {
  assert.throws(() => readSourceMap("{}"), /not version 3/);
  assert.throws(
    () => readSourceMap('{"version":3,"sources":[],"mappings":"A!"}'),
    /malformed segment/,
  );
  assert.throws(() => readSourceMap("nonsense"), SyntaxError);
});

test("a source map reads as it was written", () => {
  const writer = new SourceMapWriter();
  const rows = [
    [3, { file: "a.c", line: 1 }],
    [70_000, { file: "b/c.h", line: 100_000 }],
    [70_001, undefined],
    [70_002, { file: "a.c", line: 7 }],
  ] as const;
  for (const [offset, position] of rows) writer.add(offset, position);
  const map = readSourceMap(writer.json);
  assert.equal(map.at(2), undefined);
  for (const [offset, position] of rows) assert.deepEqual(map.at(offset), position);
  assert.deepEqual(map.at(69_999), rows[0][1]);
  assert.equal(map.at(70_000, 70_001), undefined);
});

test("the command writes C, and refuses in one line", async () => {
  const { wasm, map } = await compile();
  const at = (name: string) => join(folder, name);
  writeFileSync(at("in.wasm"), wasm);
  writeFileSync(at("in.wasm.map"), map);
  execFileSync("node_modules/.bin/esbuild", [
    "tools/aot/main.ts",
    "--bundle",
    "--platform=node",
    "--format=esm",
    `--outfile=${at("aot.mjs")}`,
    "--log-level=error",
  ]);
  execFileSync("node", [
    at("aot.mjs"),
    at("in.wasm"),
    "--name",
    "kernel",
    "--source-map",
    at("in.wasm.map"),
    "-o",
    at("kernel.c"),
  ]);
  assert.equal(readFileSync(at("kernel.c"), "utf8"), c);
  writeFileSync(at("bad.wasm"), wasm.subarray(0, 100));
  assert.throws(
    () =>
      execFileSync("node", [at("aot.mjs"), at("bad.wasm"), "--name", "kernel"], {
        stdio: "pipe",
        encoding: "utf8",
      }),
    (error: { status?: number; stderr?: string }) => {
      assert.equal(error.status, 1);
      assert.match(error.stderr!, /^.*bad\.wasm: offset 0x[0-9a-f]+: [^\n]+\n$/);
      return true;
    },
  );
});
