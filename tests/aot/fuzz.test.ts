/**
 * Generated modules run by V8 and as C must agree: every result, trap, logged value, exported
 * global and byte of memory. AOT_SEEDS says how many (by default some hundreds), AOT_FIRST_SEED
 * where to begin; a seed's module is always the same.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { C_TYPES, resultType } from "../../tools/aot/function.ts";
import { type ValueType } from "../../tools/aot/opcodes.ts";
import { type Translation } from "../../tools/aot/emit.ts";
import { generate } from "./binaryen.ts";
import { exportAll } from "./edit.ts";
import { type Compiler, GCC, type Model, type Outcome, Program } from "./harness.ts";
import {
  classOf,
  describe,
  fromBits,
  hasVector,
  Plain,
  type Result,
  runV8,
  steps,
  WIDTHS,
} from "./v8.ts";

const SEEDS = Number(process.env.AOT_SEEDS ?? 320);
const FIRST = Number(process.env.AOT_FIRST_SEED ?? 1);
/** Modules compiled and run together. */
const BATCH = 16;

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
    const expected = runV8(new Plain(modules[i]!), program.translations[i]!.module, plan);
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
