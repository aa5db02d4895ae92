/** Modules → C → a Linux process that calls what they export: what all these tests stand on. */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { C_TYPES, resultType } from "../../tools/aot/function.ts";
import { type Translation, translateModule } from "../../tools/aot/emit.ts";
import { ExternKind, type FuncType } from "../../tools/aot/module.ts";
import { type ValueType } from "../../tools/aot/opcodes.ts";

export type Model = "CHECKED" | "GS" | "REGISTER";

/** A value as its bits: what neither JavaScript nor C can change on the way. */
export interface Bits {
  readonly type: ValueType;
  readonly bits: bigint;
}

export interface Call {
  /** Index into the program's modules. */
  readonly module: number;
  /** What to do: instantiate, call or read an export, or hash an exported memory. */
  readonly action: "instantiate" | { readonly export: string };
  readonly args?: readonly Bits[];
}

export type Outcome =
  | { readonly kind: "ok"; readonly values: readonly bigint[]; readonly log: readonly string[] }
  | { readonly kind: "trap"; readonly trap: string; readonly log: readonly string[] }
  /** The process ended: the reason is on its standard error. */
  | { readonly kind: "died"; readonly reason: string };

export interface ProgramModule {
  readonly bytes: Uint8Array;
  /** C that defines or declares the imports: text of a header, given all modules' translations. */
  readonly header?: (translations: readonly Translation[]) => string;
}

export interface Compiler {
  readonly command: "gcc" | "clang";
  readonly optimise: string;
}

export const GCC: Compiler = { command: "gcc", optimise: "-O1" };

const run = promisify(execFile);
const RUNTIME = resolve("tools/aot/runtime");
const HOST = resolve("tests/aot/host.c");
const HOST_H = `#include "wasm.h"
struct entry { void (*code)(void); void (*thunk)(void (*)(void), union wasm_slot *); int results; };
extern const struct entry entries[];
u64 hashMemory(const struct wasm_memory *memory);
void logValue(const char *what, union wasm_slot value, int bytes);
`;

const FLAGS = {
  gcc: "-fsignaling-nans --param=min-pagesize=0",
  clang:
    "-ffp-exception-behavior=maytrap -fbracket-depth=4096 -Wno-unsupported-floating-point-opt -Wno-everything",
};

/** Several modules linked into one process. */
export class Program {
  readonly translations: Translation[];
  private readonly modules: readonly ProgramModule[];
  private readonly folder: string;
  private readonly extra: string;
  private readonly entries: { c: string; thunk: string; results: number }[] = [];
  /** Entry numbers by module and export name; instantiation is the empty name's. */
  private readonly numbers: Map<string, number>[] = [];
  private readonly thunks = new Map<string, string>();
  private readonly declarations: string[] = [];
  private executable = "";

  /** `name` is the folder under build/tests-aot that holds the C; `extra` is C to link with it. */
  constructor(name: string, modules: readonly ProgramModule[], extra = "") {
    this.extra = extra;
    this.folder = resolve("build", "tests-aot", name);
    this.modules = modules;
    this.translations = modules.map(({ bytes }, i) => translateModule(bytes, { name: `m${i}` }));
    this.translations.forEach((translation, i) => this.describe(translation, i));
  }

  async build(model: Model, compiler: Compiler = GCC): Promise<void> {
    mkdirSync(this.folder, { recursive: true });
    const write = (name: string, text: string) => writeFileSync(join(this.folder, name), text);
    write("host.h", HOST_H);
    const sources = this.modules.map(({ header }, i) => {
      write(`m${i}.h`, `${header?.(this.translations) ?? ""}\n`);
      const imports = header === undefined ? "" : `#define WASM_IMPORTS "m${i}.h"\n`;
      write(`m${i}.c`, imports + this.translations[i]!.c);
      return `m${i}.c`;
    });
    write("entries.c", this.entriesC());
    const suffix = `${model}-${compiler.command}${compiler.optimise}`;
    this.executable = join(this.folder, `program-${suffix}`);
    const flags = [
      "-std=gnu11",
      compiler.optimise,
      "-w",
      "-fwrapv",
      "-fno-strict-aliasing",
      "-fno-delete-null-pointer-checks",
      "-ffp-contract=off",
      "-fno-math-errno",
      `-DWASM_MEMORY_${model}`,
      "-DWASM_STACK_CHECK",
      "-DWASM_INSTANCE_OFFSET=(-0x100000L)",
      "-I",
      RUNTIME,
      "-I",
      this.folder,
      ...FLAGS[compiler.command].split(" "),
    ];
    const command = [...flags, ...sources, "entries.c", HOST, "-lm", "-o", this.executable];
    try {
      await run(compiler.command, command, { cwd: this.folder, maxBuffer: 1 << 26 });
    } catch (error) {
      const { stderr } = error as { stderr?: string };
      throw new Error(
        `${compiler.command} failed in ${this.folder}: ${stderr?.slice(0, 2000) ?? String(error)}`,
      );
    }
  }

  /** Performs the calls in order, in one process. */
  async perform(calls: readonly Call[], timeoutMs = 60_000): Promise<Outcome[]> {
    const input = calls.map(({ module, action, args = [] }) => {
      const name = action === "instantiate" ? "" : action.export;
      const number = this.numbers[module]!.get(name);
      if (number === undefined) throw new Error(`module ${module} exports no "${name}"`);
      return [number, ...args.map(({ bits }) => bits.toString(16).padStart(32, "0"))].join(" ");
    });
    let output = "";
    let death = "";
    const child = run(this.executable, [], { timeout: timeoutMs, maxBuffer: 1 << 28 });
    child.child.stdin!.on("error", () => {});
    child.child.stdin!.end(input.join("\n") + "\n");
    try {
      output = (await child).stdout;
    } catch (error) {
      const failed = error as { stdout?: string; signal?: string; code?: number };
      output = failed.stdout ?? "";
      death = `ended by ${failed.signal ?? failed.code}`;
    }
    const outcomes: Outcome[] = [];
    let log: string[] = [];
    for (const line of output.split("\n")) {
      const [word, ...rest] = line.split(" ");
      if (word === "log") log.push(rest.join(" "));
      if (word === "trap") outcomes.push({ kind: "trap", trap: rest.join(" "), log });
      if (word === "ok")
        outcomes.push({ kind: "ok", values: rest.map((hex) => BigInt("0x" + hex)), log });
      if (word === "ok" || word === "trap") log = [];
    }
    while (outcomes.length < calls.length)
      outcomes.push({ kind: "died", reason: death || "no answer" });
    return outcomes;
  }

  private describe({ module, exports }: Translation, index: number): void {
    const numbers = new Map([["", this.entries.length]]);
    this.numbers.push(numbers);
    const instantiate = `m${index}_instantiate`;
    this.entry(
      `void ${instantiate}(void)`,
      instantiate,
      this.thunk({ params: [], results: [] }),
      0,
    );
    for (const { name, kind, index: item } of module.exports) {
      const c = exports.get(name)!;
      numbers.set(name, this.entries.length);
      if (kind === ExternKind.Func) {
        const { type } = module.funcs[item]!;
        const params = type.params.map((param) => C_TYPES[param]).join(", ") || "void";
        this.struct(type);
        this.entry(`${resultType(type)} ${c}(${params})`, c, this.thunk(type), type.results.length);
      } else if (kind === ExternKind.Global) {
        const { type, mutable } = module.globals[item]!;
        const cType = `${mutable ? "" : "const "}${C_TYPES[type]}`;
        const body = `s[0].${type} = *((${cType} *(*)(void))f)();`;
        this.entry(`${cType} *${c}(void)`, c, this.thunkOf(body), 1);
      } else if (kind === ExternKind.Memory) {
        const body = "s[0].i64 = hashMemory(((struct wasm_memory *(*)(void))f)());";
        this.entry(`struct wasm_memory *${c}(void)`, c, this.thunkOf(body), 1);
      } else {
        const body = "s[0].i32 = ((struct wasm_table *(*)(void))f)()->size;";
        this.entry(`struct wasm_table *${c}(void)`, c, this.thunkOf(body), 1);
      }
    }
  }

  private entry(declaration: string, c: string, thunk: string, results: number): void {
    this.declarations.push(`extern ${declaration};`);
    this.entries.push({ c, thunk, results });
  }

  private struct({ results }: FuncType): void {
    if (results.length < 2) return;
    const key = results.join("_");
    const members = results.map((type, i) => `${C_TYPES[type]} r${i};`).join(" ");
    this.declarations.push(
      `#ifndef WASM_RESULTS_${key}\n#define WASM_RESULTS_${key}\nstruct wasm_${key} { ${members} };\n#endif`,
    );
  }

  private thunk(type: FuncType): string {
    const args = type.params.map((param, i) => `s[${i}].${param}`).join(", ");
    const params = type.params.map((param) => C_TYPES[param]).join(", ") || "void";
    const call = `((${resultType(type)} (*)(${params}))f)(${args})`;
    if (type.results.length === 0) return this.thunkOf(`${call};`);
    const stores = type.results.map((result, i) => {
      const value = type.results.length === 1 ? "r" : `r.r${i}`;
      return `memset(&s[${i}], 0, sizeof s[${i}]); s[${i}].${result} = ${value};`;
    });
    return this.thunkOf(`${resultType(type)} r = ${call}; ${stores.join(" ")}`);
  }

  private thunkOf(body: string): string {
    const known = this.thunks.get(body);
    if (known) return known;
    const name = `thunk${this.thunks.size}`;
    this.thunks.set(body, name);
    return name;
  }

  private entriesC(): string {
    const thunks = [...this.thunks].map(
      ([body, name]) => `static void ${name}(void (*f)(void), union wasm_slot *s) { ${body} }`,
    );
    const rows = this.entries.map(
      ({ c, thunk, results }) => `  {(void (*)(void))${c}, ${thunk}, ${results}},`,
    );
    return [
      "#define WASM_USES_FLOAT 1",
      "#define WASM_USES_SIMD 1",
      '#include "host.h"',
      "#include <string.h>",
      this.extra,
      ...this.declarations,
      ...thunks,
      "const struct entry entries[] = {",
      ...rows,
      "};",
      "",
    ].join("\n");
  }
}
