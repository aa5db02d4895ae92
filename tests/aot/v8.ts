/** Generated modules as V8 runs them: what to do with one, and what comes of it, in comparable words. */
import { ExternKind, type FuncType, type Module } from "../../tools/aot/module.ts";
import { type ValueType } from "../../tools/aot/opcodes.ts";
import { randomBytes } from "./binaryen.ts";
import type { Bits, Call } from "./harness.ts";

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

export const classOf = (text: string, side: 0 | 1): string => {
  const found = CLASSES.filter((entry) => entry[side].test(text)).map((entry) => entry[2]);
  return found.includes("overflow or conversion") ? "overflow or conversion" : (found[0] ?? text);
};

export const WIDTHS: Partial<Record<ValueType, number>> = {
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

export function fromBits(type: ValueType, bits: bigint): string {
  const width = WIDTHS[type];
  if (width === undefined) return bits === 0n ? "null" : "reference";
  if (type[0] === "f" && Number.isNaN(toJs({ type, bits }))) return "NaN";
  return BigInt.asUintN(width, bits).toString(16);
}

export const hasVector = ({ params, results }: FuncType): boolean =>
  [...params, ...results].includes("v128");

export interface Step extends Call {
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
export function steps(module: Module, index: number, seed: number): Step[] {
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
export function hashMemory(words: BigUint64Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const word of words) {
    hash = BigInt.asUintN(64, (hash ^ word) * 0x100000001b3n);
    hash ^= hash >> 29n;
  }
  return hash ^ BigInt(words.byteLength);
}

export interface Result {
  readonly text: string;
  readonly log: readonly string[];
}

export const describe = (values: readonly string[]): string => `ok ${values.join(" ")}`.trim();

/** A way to run a module in V8. */
export interface Runner {
  instantiate(imports: WebAssembly.Imports): void;
  readonly exports: WebAssembly.Exports;
  call(name: string, args: readonly unknown[]): unknown;
  memory(name: string): BigUint64Array;
}

/** The module as it is. */
export class Plain implements Runner {
  exports: WebAssembly.Exports = {};
  constructor(private readonly bytes: Uint8Array<ArrayBuffer>) {}
  instantiate(imports: WebAssembly.Imports): void {
    const module = new WebAssembly.Module(this.bytes);
    this.exports = new WebAssembly.Instance(module, imports).exports;
  }
  call(name: string, args: readonly unknown[]): unknown {
    return (this.exports[name] as (...values: unknown[]) => unknown)(...args);
  }
  memory(name: string): BigUint64Array {
    return new BigUint64Array((this.exports[name] as WebAssembly.Memory).buffer);
  }
}

/** What V8 makes of the steps. */
export function runV8(runner: Runner, module: Module, list: readonly Step[]): Result[] {
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
  let instantiated = false;
  return list.map(({ action, args = [], types }) => {
    log = [];
    try {
      if (action === "instantiate") {
        runner.instantiate(imports);
        instantiated = true;
        return { text: "ok", log };
      }
      if (!instantiated) return { text: "no instance", log };
      const item = module.exports.find(({ name }) => name === action.export)!;
      if (item.kind === ExternKind.Global) {
        const global = runner.exports[item.name] as WebAssembly.Global;
        return { text: describe([fromJs(types[0]!, global.value)]), log };
      }
      if (item.kind === ExternKind.Memory)
        return { text: describe([hashMemory(runner.memory(item.name)).toString(16)]), log };
      const result = runner.call(item.name, args.map(toJs));
      const values = types.length > 1 ? [...(result as Iterable<unknown>)] : [result];
      return { text: describe(types.map((type, i) => fromJs(type, values[i]))), log };
    } catch (error) {
      return { text: `trap ${classOf((error as Error).message, 0)}`, log };
    }
  });
}
