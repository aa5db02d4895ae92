/**
 * Generated modules run by V8 and as C must agree: every result, trap, logged value, exported
 * global and byte of memory. AOT_SEEDS says how many (by default some hundreds), AOT_FIRST_SEED
 * where to begin; a seed's module is always the same.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ExternKind, type FuncType, Module } from "../../tools/aot/module.ts";
import { C_TYPES, resultType } from "../../tools/aot/function.ts";
import { type ValueType } from "../../tools/aot/opcodes.ts";
import { type Translation } from "../../tools/aot/emit.ts";
import { generate, randomBytes } from "./binaryen.ts";
import { exportAll } from "./edit.ts";
import {
  type Bits,
  type Call,
  type Compiler,
  GCC,
  type Model,
  type Outcome,
  Program,
} from "./harness.ts";

const SEEDS = Number(process.env.AOT_SEEDS ?? 320);
const FIRST = Number(process.env.AOT_FIRST_SEED ?? 1);
/** Modules compiled and run together. */
const BATCH = 16;

/** Traps that V8 tells apart no further than this. */
const CLASSES: readonly (readonly [RegExp, RegExp, string])[] = [
  // V8's words, ours, the class.
  // Vectors cannot cross to JavaScript: an import that takes one fails, on both sides.
  [/unreachable|type incompatibility/, /^unreachable/, "unreachable"],
  [/memory access out of bounds|data segment/, /^memory access/, "memory"],
  [/divide by zero|remainder by zero/, /^integer divide by zero/, "divide by zero"],
  [/divide result unrepresentable/, /^integer overflow/, "overflow or conversion"],
  [/float unrepresentable/, /^(integer overflow|invalid conversion)/, "overflow or conversion"],
  [/table (index|access|element)|element segment/, /^table access/, "table"],
  [
    /null function or function signature|signature mismatch/,
    /^(call through a null|indirect call of)/,
    "call",
  ],
  [/Maximum call stack/, /^call stack/, "stack"],
];

const classOf = (text: string, side: 0 | 1): string => {
  const found = CLASSES.filter((entry) => entry[side].test(text)).map((entry) => entry[2]);
  return found.includes("overflow or conversion") ? "overflow or conversion" : (found[0] ?? text);
};

const WIDTHS: Partial<Record<ValueType, number>> = {
  i32: 32,
  i64: 64,
  f32: 32,
  f64: 64,
  v128: 128,
};
const view = new DataView(new ArrayBuffer(8));

function toJs({ type, bits }: Bits): number | bigint | null {
  view.setBigUint64(0, bits, true);
  if (type === "i32") return view.getInt32(0, true);
  if (type === "i64") return view.getBigInt64(0, true);
  if (type === "f32") return view.getFloat32(0, true);
  if (type === "f64") return view.getFloat64(0, true);
  return null;
}

/** A value as comparable text. Of NaNs only that they are: JavaScript may change their bits. */
function fromJs(type: ValueType, value: unknown): string {
  view.setBigUint64(0, 0n);
  if (type === "i32") view.setInt32(0, value as number, true);
  else if (type === "i64") view.setBigInt64(0, value as bigint, true);
  else if (Number.isNaN(value)) return "NaN";
  else if (type === "f32") view.setFloat32(0, value as number, true);
  else if (type === "f64") view.setFloat64(0, value as number, true);
  else return value === null || value === undefined ? "null" : "reference";
  return view.getBigUint64(0, true).toString(16);
}

function fromBits(type: ValueType, bits: bigint): string {
  const width = WIDTHS[type];
  if (width === undefined) return bits === 0n ? "null" : "reference";
  if (type[0] === "f" && Number.isNaN(toJs({ type, bits }))) return "NaN";
  return BigInt.asUintN(width, bits).toString(16);
}

const hasVector = ({ params, results }: FuncType): boolean =>
  [...params, ...results].includes("v128");

interface Step extends Call {
  readonly types: readonly ValueType[];
}

/** Arguments worth trying: small, extreme, and anything. */
function argument(type: ValueType, random: Uint8Array, at: number): bigint {
  const pick = random[at % random.length]!;
  const width = BigInt(WIDTHS[type] ?? 0);
  if (pick < 64 || width === 0n) return 0n;
  if (pick < 128) return BigInt(pick & 15);
  if (pick < 160) return (1n << (width - 1n)) - BigInt(pick & 1);
  if (pick < 192) return (1n << width) - 1n - BigInt(pick & 7);
  let bits = 0n;
  for (let i = 1; i <= Number(width) / 8; i++)
    bits = (bits << 8n) | BigInt(random[(at + i) % random.length]!);
  // Not a NaN: its bits would not survive JavaScript.
  return type[0] === "f" ? bits & ~(1n << (width - 2n)) : bits;
}

/** What to do with the module, in order. */
function steps(module: Module, index: number, seed: number): Step[] {
  const random = randomBytes(seed ^ 0x5eed, 256);
  const list: Step[] = [{ module: index, action: "instantiate", types: [] }];
  let at = 0;
  for (let round = 0; round < 2; round++) {
    for (const { name, kind, index: item } of module.exports) {
      if (kind !== ExternKind.Func) continue;
      const { params, results } = module.funcs[item]!.type;
      if (hasVector(module.funcs[item]!.type)) continue;
      const args = params.map((type): Bits => ({ type, bits: argument(type, random, (at += 9)) }));
      list.push({ module: index, action: { export: name }, args, types: results });
    }
  }
  for (const { name, kind, index: item } of module.exports) {
    if (kind === ExternKind.Global) {
      const { type } = module.globals[item]!;
      if (type !== "v128") list.push({ module: index, action: { export: name }, types: [type] });
    } else if (kind === ExternKind.Memory) {
      list.push({ module: index, action: { export: name }, types: ["i64"] });
    }
  }
  return list;
}

/** The same hash as the C host's. */
function hashMemory(memory: WebAssembly.Memory): bigint {
  const words = new BigUint64Array(memory.buffer);
  let hash = 0xcbf29ce484222325n;
  for (const word of words) {
    hash = BigInt.asUintN(64, (hash ^ word) * 0x100000001b3n);
    hash ^= hash >> 29n;
  }
  return hash ^ BigInt(memory.buffer.byteLength);
}

interface Result {
  readonly text: string;
  readonly log: readonly string[];
}

const describe = (values: readonly string[]): string => `ok ${values.join(" ")}`.trim();

/** What V8 makes of the steps. */
function runV8(bytes: Uint8Array<ArrayBuffer>, module: Module, list: readonly Step[]): Result[] {
  let log: string[] = [];
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  const provide = (what: { module: string; field: string }, value: WebAssembly.ImportValue) => {
    (imports[what.module] ??= {})[what.field] = value;
  };
  for (const { imported, type } of module.funcs) {
    if (!imported) continue;
    provide(imported, (...args: unknown[]) => {
      if (imported.field.startsWith("log-")) {
        log.push(`${imported.field} ${fromJs(type.params[0]!, args[0])}`);
      }
      if (type.results.length > 1)
        return type.results.map((result) => toJs({ type: result, bits: 0n }));
      return type.results.length === 1 ? toJs({ type: type.results[0]!, bits: 0n }) : undefined;
    });
  }
  for (const { imported, type, mutable } of module.globals) {
    if (!imported) continue;
    const initial = type === "externref" ? {} : toJs({ type, bits: 0n });
    const value = type === "funcref" ? "anyfunc" : (type as WebAssembly.ValueType);
    provide(imported, new WebAssembly.Global({ value, mutable }, initial));
  }
  let instance: WebAssembly.Instance | undefined;
  return list.map(({ action, args = [], types }) => {
    log = [];
    try {
      if (action === "instantiate") {
        instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
        return { text: "ok", log };
      }
      if (!instance) return { text: "no instance", log };
      const item = instance.exports[action.export];
      if (item instanceof WebAssembly.Global)
        return { text: describe([fromJs(types[0]!, item.value)]), log };
      if (item instanceof WebAssembly.Memory)
        return { text: describe([hashMemory(item).toString(16)]), log };
      const result: unknown = (item as (...values: unknown[]) => unknown)(...args.map(toJs));
      const values = types.length > 1 ? [...(result as Iterable<unknown>)] : [result];
      return { text: describe(types.map((type, i) => fromJs(type, values[i]))), log };
    } catch (error) {
      return { text: `trap ${classOf((error as Error).message, 0)}`, log };
    }
  });
}

/** Our C's answer in the same words. */
function fromOutcome(outcome: Outcome, types: readonly ValueType[]): Result {
  if (outcome.kind === "died") return { text: outcome.reason, log: [] };
  const log = outcome.log.map((line) => {
    const [what, hex] = line.split(" ") as [string, string];
    return `${what} ${fromBits(what.slice(4) as ValueType, BigInt("0x" + hex))}`;
  });
  if (outcome.kind === "trap") return { text: `trap ${classOf(outcome.trap, 1)}`, log };
  return { text: describe(types.map((type, i) => fromBits(type, outcome.values[i] ?? 0n))), log };
}

/** Imports that do in C what those of `runV8` do. */
function header(self: Translation): string {
  const lines: string[] = [];
  const funcs = self.module.funcs.filter(({ imported }) => imported);
  funcs.forEach(({ imported, type }, i) => {
    const c = self.imports.funcs[i]!;
    const params = type.params.map((param, p) => `${C_TYPES[param]} p${p}`).join(", ") || "void";
    const result = resultType(type);
    const { field } = imported!;
    const bytes = (WIDTHS[type.params[0] ?? "i64"] ?? 64) / 8;
    const log = hasVector(type)
      ? "wasm_trap(WASM_TRAP_UNREACHABLE);"
      : field.startsWith("log-")
        ? `logValue("${field}", (union wasm_slot){.${type.params[0]} = p0}, ${bytes});`
        : "";
    lines.push(
      `static inline ${result} ${c}(${params}) { ${log} ${result === "void" ? "" : `return (${result}){0};`} }`,
    );
  });
  const globals = self.module.globals.filter(({ imported }) => imported);
  globals.forEach(({ type, mutable }, i) => {
    const value = type === "externref" ? "(externref)1" : "0";
    lines.push(
      `static ${mutable ? "" : "const "}${C_TYPES[type]} ${self.imports.globals[i]} = ${value};`,
    );
  });
  return ["void logValue(const char *what, union wasm_slot value, int bytes);", ...lines].join(
    "\n",
  );
}

/** Compares seeds; returns how many calls agreed. */
async function compare(
  seeds: readonly number[],
  name: string,
  model: Model,
  compiler: Compiler,
): Promise<number> {
  const modules: Uint8Array<ArrayBuffer>[] = [];
  for (const seed of seeds) modules.push(exportAll(await generate(seed, "build/tests-aot/seeds")));
  const program = new Program(
    `fuzz/${name}`,
    modules.map((bytes, i) => ({ bytes, header: (all) => header(all[i]!) })),
  );
  const plans = modules.map((_, i) => steps(program.translations[i]!.module, i, seeds[i]!));
  await program.build(model, compiler);
  const outcomes = await program.perform(plans.flat());
  let agreed = 0;
  let next = 0;
  plans.forEach((plan, i) => {
    const expected = runV8(modules[i]!, program.translations[i]!.module, plan);
    const actual = plan.map(({ types }) => fromOutcome(outcomes[next++]!, types));
    for (let j = 0; j < plan.length; j++) {
      // How deep the stack goes is each machine's own business: no comparing beyond.
      if (expected[j]!.text === "trap stack" || actual[j]!.text === "trap stack") break;
      // Of a load that nobody uses only the checked model keeps the trap.
      if (
        model !== "CHECKED" &&
        expected[j]!.text === "trap memory" &&
        actual[j]!.text !== "trap memory"
      )
        break;
      const { action, args } = plan[j]!;
      const what = action === "instantiate" ? action : action.export;
      assert.deepEqual(
        actual[j],
        expected[j],
        `seed ${seeds[i]}, ${what}(${args?.map(({ bits }) => bits.toString(16)).join(", ") ?? ""})`,
      );
      agreed++;
      if (expected[0]!.text !== "ok") break;
    }
  });
  return agreed;
}

const seeds = Array.from({ length: SEEDS }, (_, i) => FIRST + i);

for (let from = 0; from < seeds.length; from += BATCH) {
  const batch = seeds.slice(from, from + BATCH);
  const name = `${batch[0]}`;
  test(`generated modules ${batch[0]} to ${batch.at(-1)} agree with V8`, async (t) => {
    const agreed = await compare(batch, name, "CHECKED", GCC);
    assert.ok(agreed >= batch.length);
    t.diagnostic(`${agreed} calls compared`);
  });
}

test("generated modules agree with V8 under other compilers and memory models", async () => {
  const others = [
    ["GS", "gcc", "-O2"],
    ["REGISTER", "gcc", "-O3"],
    ["GS", "clang", "-O1"],
    ["CHECKED", "clang", "-O2"],
    ["CHECKED", "gcc", "-O2"],
  ] as const;
  for (const [i, [model, command, optimise]] of others.entries()) {
    // With one base a process holds one instance.
    for (const seed of seeds.slice(i * 4, i * 4 + 4)) {
      const agreed = await compare([seed], `other-${seed}`, model, { command, optimise });
      assert.ok(agreed >= 1, `seed ${seed}`);
    }
  }
});
