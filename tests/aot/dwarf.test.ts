/** DWARF line tables, held against what LLVM reads from the same modules. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { before, test } from "node:test";
import { type DebugSections, dwarfLines, readLines } from "../../tools/aot/dwarf.ts";
import { translate } from "../../tools/aot/emit.ts";
import { Module } from "../../tools/aot/module.ts";
import { WasmError } from "../../tools/aot/reader.ts";

const folder = resolve("build/tests-aot/dwarf");
const C = "tests/qemu/guests/lines.c";
const RUST = `fn quotient(values: &[i32], index: usize) -> i32 {
    values[index] / (index as i32 - 2)
}
fn main() {
    let values: Vec<i32> = std::env::args().map(|word| word.len() as i32).collect();
    println!("{}", (0..4).map(|i| quotient(&values, i)).sum::<i32>());
}
`;

before(() => {
  mkdirSync(folder, { recursive: true });
});

function compiled(version: number): Uint8Array {
  const out = join(folder, `v${version}.wasm`);
  const flags = ["--target=wasm32-wasi", "-O2", `-gdwarf-${version}`];
  execFileSync("clang", [...flags, C, "-o", out]);
  return readFileSync(out);
}

function sectionsOf(module: Module): DebugSections {
  return Object.fromEntries(module.debug) as unknown as DebugSections;
}

/** Rows as `address file line`, those apart that the linker has thrown away. */
function ours(wasm: Uint8Array): string[] {
  const rows: string[] = [];
  let dead = false;
  let fresh = true;
  readLines(sectionsOf(new Module(wasm)), 0n, ({ address, file, line, end }) => {
    if (fresh) dead = address >= 0xffffffff;
    fresh = end;
    if (!dead) rows.push(`${address.toString(16)} ${file} ${line}${end ? " end" : ""}`);
  });
  return rows;
}

/** The same as llvm-dwarfdump prints it. */
function theirs(file: string): string[] {
  const text = execFileSync("llvm-dwarfdump", ["--debug-line", file], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const rows: string[] = [];
  let directories = new Map<number, string>();
  let files = new Map<number, string>();
  let version = 0;
  let number = 0;
  let name = "";
  for (const line of text.split("\n")) {
    const word = (pattern: RegExp) => pattern.exec(line);
    let found;
    if (line.startsWith("debug_line[")) {
      directories = new Map();
      files = new Map();
    } else if ((found = word(/^ +version: (\d+)/))) version = Number(found[1]);
    else if ((found = word(/^include_directories\[ *(\d+)\] = "(.*)"/)))
      directories.set(Number(found[1]), found[2]!);
    else if ((found = word(/^file_names\[ *(\d+)\]:/))) number = Number(found[1]);
    else if ((found = word(/^ +name: "(.*)"/))) name = found[1]!;
    else if ((found = word(/^ +dir_index: (\d+)/))) {
      const index = Number(found[1]);
      const home = version === 5 ? directories.get(0)! : "";
      const from = index ? directories.get(index)! : "";
      let path = name.startsWith("/") || !from || from === home ? name : `${from}/${name}`;
      if (home && path.startsWith(`${home}/`)) path = path.slice(home.length + 1);
      files.set(number, path);
    } else if ((found = word(/^0x0*([0-9a-f]+) +(\d+) +\d+ +(\d+) /))) {
      const path = files.get(Number(found[3])) ?? "unknown";
      rows.push(`${found[1]} ${path} ${found[2]}${/end_sequence/.test(line) ? " end" : ""}`);
    }
  }
  return rows;
}

for (const version of [2, 3, 4, 5])
  test(`every row of DWARF ${version} is LLVM's`, () => {
    const rows = ours(compiled(version));
    assert.deepEqual(rows, theirs(join(folder, `v${version}.wasm`)));
    assert.ok(rows.length > 1000, `${rows.length}`);
  });

/** A rustc that makes WASI programs: Debian's. */
const rustc = ["/usr/bin/rustc", "rustc"].find(
  (name) => spawnSync(name, ["--target", "wasm32-wasi", "--print", "target-libdir"]).status === 0,
);

test("every row of a program in Rust is LLVM's", { skip: rustc ? false : "no rustc" }, () => {
  const [source, out] = [join(folder, "lines.rs"), join(folder, "rust.wasm")];
  writeFileSync(source, RUST);
  execFileSync(rustc!, ["--target", "wasm32-wasi", "-g", "-O", source, "-o", out]);
  const rows = ours(readFileSync(out));
  assert.deepEqual(rows, theirs(out));
  assert.ok(rows.some((row) => / \S*lines\.rs 2$/.test(row)));
});

test("the C of a module with DWARF carries its lines, which no function inherits", () => {
  const wasm = compiled(5);
  const c = translate(wasm, { name: "guest" });
  assert.match(c, new RegExp(`#line 7 "${C}"`));
  const module = new Module(wasm);
  const lines = dwarfLines(module)!;
  for (const [index, { code }] of module.funcs.entries()) {
    const name = module.funcNames.get(index);
    const found = code && lines.first(code.start, code.end);
    if (name === "main") assert.equal(found!.file, C);
    if (name === "__wasm_call_ctors") assert.equal(found, undefined);
  }
});

test("no table, however broken, makes it fail in another way or take long", () => {
  const sections = sectionsOf(new Module(compiled(5)));
  const table = sections[".debug_line"].slice(0, 3000);
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const broken = table.slice(0, 1 + random(table.length));
    for (let i = random(6); i > 0; i--) broken[random(broken.length)] = random(256);
    let rows = 0;
    try {
      readLines({ ...sections, ".debug_line": broken }, 0n, () => void rows++);
    } catch (error) {
      assert.ok(error instanceof WasmError, `${error}`);
      refused++;
    }
    assert.ok(rows <= broken.length);
  }
  assert.ok(refused > 1000, `${refused}`);
});
