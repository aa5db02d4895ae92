/**
 * Runs scripts of the WebAssembly specification's test suite, as wast2json leaves them: WASM_SPEC
 * names a folder of its .json and .wasm files. Without it there is nothing to do.
 */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Translation, translate } from "../../tools/aot/emit.ts";
import { C_TYPES, resultType } from "../../tools/aot/function.ts";
import { ExternKind } from "../../tools/aot/module.ts";
import { type ValueType } from "../../tools/aot/opcodes.ts";
import { WasmError } from "../../tools/aot/reader.ts";
import { type Bits, type Call, type Outcome, Program, type ProgramModule } from "./harness.ts";

interface Value {
  readonly type: ValueType;
  readonly lane_type?: string;
  readonly value?: string | readonly string[];
}

interface Action {
  readonly type: "invoke" | "get";
  readonly module?: string;
  readonly field: string;
  readonly args?: readonly Value[];
}

interface Command {
  readonly type: string;
  readonly line: number;
  readonly name?: string;
  readonly as?: string;
  readonly filename?: string;
  readonly module_type?: string;
  readonly text?: string;
  readonly action?: Action;
  readonly expected?: readonly Value[];
}

/** What the suite calls the runtime's traps. */
const TRAPS: readonly (readonly [RegExp, string])[] = [
  [/out of bounds memory access/, "memory access out of bounds"],
  [/undefined element|out of bounds table access/, "table access out of bounds"],
  [/uninitialized element/, "call through a null table entry"],
  [/indirect call type mismatch/, "indirect call of another signature"],
  [/integer divide by zero/, "integer divide by zero"],
  [/integer overflow/, "integer overflow"],
  [/invalid conversion to integer/, "invalid conversion to integer"],
  [/unreachable/, "unreachable"],
  [/call stack exhausted/, "call stack exhausted"],
];

const LANE_BITS: Record<string, number> = { i8: 8, i16: 16, i32: 32, i64: 64, f32: 32, f64: 64 };
const WIDTHS: Record<string, number> = {
  i32: 32,
  i64: 64,
  f32: 32,
  f64: 64,
  v128: 128,
  funcref: 64,
  externref: 64,
};

/** The host module of the suite, and what stands in for it. */
const SPECTEST_FUNCS: Record<string, readonly string[]> = {
  print: [],
  print_i32: ["u32"],
  print_i64: ["u64"],
  print_f32: ["f32"],
  print_f64: ["f64"],
  print_i32_f32: ["u32", "f32"],
  print_f64_f64: ["f64", "f64"],
};
const SPECTEST = `
${Object.entries(SPECTEST_FUNCS)
  .map(([name, types]) => `void spectest_${name}(${types.join(", ") || "void"}) {}`)
  .join("\n")}
struct wasm_memory spectest_memory;
static const void *elements[20];
struct wasm_table spectest_table = {elements, 10, 20};
__attribute__((constructor)) static void prepare(void) {
  spectest_memory = (struct wasm_memory){0, 0, 2};
  wasm_memory_resize(&spectest_memory, 65536);
}
`;
const SPECTEST_H = `
${Object.entries(SPECTEST_FUNCS)
  .map(([name, types]) => `void spectest_${name}(${types.join(", ") || "void"});`)
  .join("\n")}
extern struct wasm_memory spectest_memory;
extern struct wasm_table spectest_table;
static const u32 spectest_global_i32 = 666;
static const u64 spectest_global_i64 = 666;
#ifdef WASM_USES_FLOAT
static const f32 spectest_global_f32 = 666.6f;
static const f64 spectest_global_f64 = 666.6;
#endif
`;

/** The header that joins a module's imports to what other modules export. */
function linkage(
  self: Translation,
  all: readonly Translation[],
  registered: ReadonlyMap<string, number>,
): string {
  const lines = [SPECTEST_H];
  const { module, imports } = self;
  const link = (c: string, what: { module: string; field: string }, kind: ExternKind) => {
    const provider = all[registered.get(what.module) ?? -1];
    const target = provider?.exports.get(what.field);
    if (!provider || !target) return;
    const index = provider.module.exports.find(({ name }) => name === what.field)!.index;
    if (kind === ExternKind.Func) {
      const { type } = provider.module.funcs[index]!;
      const params = type.params.map((param) => C_TYPES[param]).join(", ") || "void";
      lines.push(`extern ${resultType(type)} ${target}(${params});`, `#define ${c} ${target}`);
      return;
    }
    const global = provider.module.globals[index];
    const cType =
      kind === ExternKind.Memory
        ? "struct wasm_memory"
        : kind === ExternKind.Table
          ? "struct wasm_table"
          : `${global!.mutable ? "" : "const "}${C_TYPES[global!.type]}`;
    lines.push(`extern ${cType} *${target}(void);`, `#define ${c} (*${target}())`);
  };
  const each = (
    names: readonly string[],
    items: readonly { imported: { module: string; field: string } | undefined }[],
    kind: ExternKind,
  ) =>
    items
      .filter(({ imported }) => imported)
      .forEach(({ imported }, i) => link(names[i]!, imported!, kind));
  each(imports.funcs, module.funcs, ExternKind.Func);
  each(imports.globals, module.globals, ExternKind.Global);
  each(imports.tables, module.tables, ExternKind.Table);
  each(imports.memories, module.memories, ExternKind.Memory);
  return lines.join("\n");
}

/** The value's bits; undefined where a NaN or any reference will do. */
function bitsOf(value: Value): bigint | undefined {
  const { type } = value;
  if (type === "v128") {
    const width = LANE_BITS[value.lane_type!]!;
    return (value.value as readonly string[]).reduce(
      (bits, lane, i) => bits | (BigInt.asUintN(width, BigInt(lane)) << BigInt(i * width)),
      0n,
    );
  }
  const text = value.value as string | undefined;
  if (text === undefined) return undefined;
  if (type === "funcref" || type === "externref") return text === "null" ? 0n : BigInt(text) + 1n;
  return BigInt.asUintN(WIDTHS[type]!, BigInt(text));
}

/** Whether the lane is a NaN as the suite wants it: canonical (only the quiet bit) or any quiet one. */
function isNan(text: string, bits: bigint, width: number): boolean {
  const quiet = width === 32 ? 0x7fc00000n : 0x7ff8000000000000n;
  const magnitude = BigInt.asUintN(width - 1, bits);
  return text === "nan:canonical" ? magnitude === quiet : (magnitude & quiet) === quiet;
}

function matches(expected: Value, bits: bigint): boolean {
  const { type } = expected;
  const actual = BigInt.asUintN(WIDTHS[type]!, bits);
  const laneType = type === "v128" ? expected.lane_type! : type;
  const lanes =
    type === "v128"
      ? (expected.value as readonly string[])
      : [expected.value as string | undefined];
  const width = type === "v128" ? LANE_BITS[laneType]! : WIDTHS[type]!;
  return lanes.every((lane, i) => {
    const part = BigInt.asUintN(width, actual >> BigInt(i * width));
    if (lane === undefined) return part !== 0n;
    if (lane.startsWith("nan:")) return isNan(lane, part, width);
    const one: Value = { type: (type === "v128" ? "i64" : type) as ValueType, value: lane };
    return BigInt.asUintN(width, bitsOf(one)!) === part;
  });
}

interface Counts {
  passed: number;
  failed: string[];
  skipped: Map<string, number>;
}

async function runScript(folder: string, file: string): Promise<Counts> {
  const counts: Counts = { passed: 0, failed: [], skipped: new Map() };
  const { commands } = JSON.parse(readFileSync(join(folder, file), "utf8")) as {
    commands: Command[];
  };
  const skip = (why: string): unknown =>
    counts.skipped.set(why, (counts.skipped.get(why) ?? 0) + 1);
  const fail = (command: Command, why: string) =>
    counts.failed.push(`${file}:${command.line} ${command.type}: ${why}`);
  const modules: ProgramModule[] = [];
  const named = new Map<string, number>();
  const registered = new Map<string, number>();
  const pending: { command: Command; call: Call }[] = [];
  let current = -1;

  const load = (command: Command): number => {
    const bytes = readFileSync(join(folder, command.filename!));
    try {
      translate(bytes, { name: "m" });
    } catch (error) {
      fail(command, String(error));
      return -1;
    }
    const index = modules.length;
    const known = new Map(registered);
    modules.push({ bytes, header: (all) => linkage(all[index]!, all, known) });
    pending.push({ command, call: { module: index, action: "instantiate" } });
    return index;
  };
  const act = (command: Command): void => {
    const action = command.action!;
    const module = action.module === undefined ? current : (named.get(action.module) ?? -1);
    if (module < 0) return void skip("module not loaded");
    const args = (action.args ?? []).map((arg): Bits => ({ type: arg.type, bits: bitsOf(arg)! }));
    pending.push({ command, call: { module, action: { export: action.field }, args } });
  };

  for (const command of commands) {
    switch (command.type) {
      case "module":
        current = load(command);
        if (command.name !== undefined) named.set(command.name, current);
        break;
      case "register":
        registered.set(
          command.as!,
          command.name === undefined ? current : named.get(command.name)!,
        );
        break;
      case "action":
      case "assert_return":
      case "assert_trap":
      case "assert_exhaustion":
        act(command);
        break;
      case "assert_uninstantiable":
        load(command);
        break;
      case "assert_invalid":
      case "assert_malformed":
        if (command.module_type === "text") {
          skip("text format");
          break;
        }
        try {
          translate(readFileSync(join(folder, command.filename!)), { name: "m" });
          fail(command, `accepted, though: ${command.text}`);
        } catch (error) {
          if (error instanceof WasmError) counts.passed++;
          else fail(command, String(error));
        }
        break;
      default:
        skip(command.type);
    }
  }
  if (pending.length === 0) return counts;
  const program = new Program(`spec/${file.replace(".json", "")}`, modules, SPECTEST);
  await program.build("CHECKED", {
    command: process.env.WASM_SPEC_CC === "clang" ? "clang" : "gcc",
    optimise: "-O1",
  });
  const outcomes = await program.perform(
    pending.map(({ call }) => call),
    600_000,
  );
  pending.forEach(({ command }, i) => {
    const wrong = judge(command, outcomes[i]!);
    if (wrong === undefined) counts.passed++;
    else fail(command, wrong);
  });
  return counts;
}

/** What is wrong with the outcome, if anything is. */
function judge(command: Command, outcome: Outcome): string | undefined {
  if (outcome.kind === "died") return outcome.reason;
  const wantsTrap = ["assert_trap", "assert_exhaustion", "assert_uninstantiable"].includes(
    command.type,
  );
  if (outcome.kind === "trap") {
    if (!wantsTrap) return `trap: ${outcome.trap}`;
    const wanted = TRAPS.find(([pattern]) => pattern.test(command.text!))?.[1];
    return outcome.trap === wanted ? undefined : `trap "${outcome.trap}", not "${command.text}"`;
  }
  if (wantsTrap) return `no trap, though: ${command.text}`;
  if (command.type !== "assert_return") return undefined;
  const expected = command.expected ?? [];
  const right = expected.every((value, i) => matches(value, outcome.values[i] ?? -1n));
  return right
    ? undefined
    : `${JSON.stringify(expected)} expected, got ${outcome.values.map((v) => v.toString(16)).join(" ")}`;
}

const folder = process.env.WASM_SPEC;
if (folder) {
  const total: Counts = { passed: 0, failed: [], skipped: new Map() };
  const only = process.env.WASM_SPEC_ONLY ?? "";
  for (const file of readdirSync(folder).filter(
    (name) => name.endsWith(".json") && name.startsWith(only),
  )) {
    test(`spec: ${file}`, async () => {
      const counts = await runScript(folder, file);
      total.passed += counts.passed;
      total.failed.push(...counts.failed);
      for (const [why, n] of counts.skipped)
        total.skipped.set(why, (total.skipped.get(why) ?? 0) + n);
      assert.deepEqual(counts.failed.slice(0, 5), [], `${counts.failed.length} failed`);
    });
  }
  test("spec: counts", () => {
    const skipped = [...total.skipped].map(([why, n]) => `${n} ${why}`).join(", ");
    console.log(
      `spec suite: ${total.passed} passed, ${total.failed.length} failed; skipped: ${skipped || "none"}`,
    );
  });
}
