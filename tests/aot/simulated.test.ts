/**
 * Generated modules rewritten for simulation (tools/sim/guest) against the same modules as they are, both
 * run by V8: every result, trap, logged value, exported global and byte of memory must agree, however
 * often the rewritten one is made to leave, and nothing outside its memory may change.
 * SIM_SEEDS says how many, SIM_FIRST_SEED where to begin.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Module } from "../../tools/aot/module.ts";
import {
  HOST,
  instrument,
  type Instrumented,
  SMALL_OFFSET,
} from "../../tools/sim/guest/instrument.ts";
import { SUSPENDABLE } from "../../tools/sim/guest/program.ts";
import { Random } from "../../tools/sim/random.ts";
import { generate, wasmOpt } from "./binaryen.ts";
import { exportAll } from "./edit.ts";
import { Plain, type Runner, runV8, steps } from "./v8.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 40);
const FIRST = Number(process.env.SIM_FIRST_SEED ?? 1);
const FOLDER = "build/tests-aot/simulated";
const PAGE = 65536;
/** Where the frames and the linear memory of the one guest lie: an odd place, with others around it. */
const FRAMES = SMALL_OFFSET;
const FRAMES_BYTES = 4 * PAGE;
const RECORD = FRAMES + FRAMES_BYTES;
const BASE = RECORD + 4096;
const MOST = 64;
const CANARY = 0xa5;
/** What the guest may use of its stack: less than V8 has, so that it runs out first. */
const STACK = 1 << 17;
/** V8's words for the traps that the rewritten code finds itself. */
const WORDS: { [kind: number]: string } = {
  1: "memory access out of bounds",
  8: "Maximum call stack",
};

/** The module rewritten, made to leave after a random while, again and again. */
class Simulated implements Runner {
  exports: WebAssembly.Exports = {};
  left = 0;
  private readonly memoryObject = new WebAssembly.Memory({ initial: BASE / PAGE + MOST + 2 });
  private readonly bytes = new Uint8Array(this.memoryObject.buffer);
  private readonly view = new DataView(this.memoryObject.buffer);
  private rewinding = false;
  private leaving = false;

  constructor(
    private readonly wasm: Uint8Array<ArrayBuffer>,
    private readonly made: Instrumented,
    private readonly random: Random,
  ) {
    this.bytes.fill(CANARY);
  }

  private global(name: string): WebAssembly.Global<"i32"> {
    return this.exports[`${HOST}.${name}`] as WebAssembly.Global<"i32">;
  }

  instantiate(imports: WebAssembly.Imports): void {
    const host = {
      memory: this.memoryObject,
      leave: () => this.leave(),
      trap: (kind: number) => {
        throw new Error(WORDS[kind]);
      },
      far: () => {
        throw new Error(WORDS[1]);
      },
    };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(this.wasm), {
      ...imports,
      [HOST]: host,
    });
    this.exports = instance.exports;
    const length = this.made.pages * PAGE;
    this.bytes.fill(0, BASE, BASE + length);
    const values = { base: BASE, bytes: length, record: RECORD, stack: STACK };
    for (const [name, value] of Object.entries(values)) this.global(name).value = value;
    this.global("most").value = Math.min(this.made.most, MOST);
    this.call(`${HOST}.run`, []);
  }

  call(name: string, args: readonly unknown[]): unknown {
    const { asyncify_stop_unwind, asyncify_start_rewind } = this.exports as {
      [name: string]: (frames?: number) => void;
    };
    for (;;) {
      this.global("fuel").value = this.random.integer(0, 2);
      this.leaving = false;
      const result = this.enter(name, args);
      if (!this.leaving) {
        assert.equal(this.global("stack").value, STACK, "frames were not given back");
        return result;
      }
      asyncify_stop_unwind!();
      this.left++;
      this.rewinding = true;
      asyncify_start_rewind!(FRAMES);
    }
  }

  private enter(name: string, args: readonly unknown[]): unknown {
    try {
      return (this.exports[name] as (...values: unknown[]) => unknown)(...args);
    } catch (error) {
      // A guest would end here.
      this.global("stack").value = STACK;
      throw error;
    }
  }

  private leave(): void {
    const { asyncify_start_unwind, asyncify_stop_rewind } = this.exports as {
      [name: string]: (frames?: number) => void;
    };
    if (this.rewinding) {
      this.rewinding = false;
      return asyncify_stop_rewind!();
    }
    this.leaving = true;
    this.view.setUint32(FRAMES, FRAMES + 8, true);
    this.view.setUint32(FRAMES + 4, FRAMES + FRAMES_BYTES, true);
    asyncify_start_unwind!(FRAMES);
  }

  memory(): BigUint64Array {
    return new BigUint64Array(this.bytes.buffer, BASE, this.global("bytes").value / 8);
  }

  /** The first byte that changed outside what is its own, or -1. */
  get trespass(): number {
    const own = this.exports[`${HOST}.bytes`] ? this.global("bytes").value : 0;
    const ranges = [
      [0, FRAMES],
      [RECORD + 8, BASE],
      [BASE + own, this.bytes.length],
    ] as const;
    for (const [from, to] of ranges) {
      const at = this.bytes.subarray(from, to).findIndex((byte) => byte !== CANARY);
      if (at >= 0) return from + at;
    }
    return -1;
  }
}

/** Compares one seed; how many calls agreed and how often it left, or why it cannot be rewritten. */
async function compare(seed: number): Promise<{ agreed: number; left: number } | string> {
  const bytes = exportAll(await generate(seed, "build/tests-aot/seeds"));
  const module = new Module(bytes);
  const made = instrument(bytes);
  const file = `${FOLDER}/${seed}.wasm`;
  writeFileSync(`${file}.in`, made.wasm);
  try {
    await wasmOpt([`${file}.in`, ...SUSPENDABLE, "-o", file]);
  } catch (error) {
    const { message } = error as Error;
    if (/references/.test(message)) return message;
    throw error;
  }
  const plan = steps(module, 0, seed);
  const simulated = new Simulated(new Uint8Array(readFileSync(file)), made, new Random(seed));
  const expected = runV8(new Plain(bytes), module, plan);
  const actual = runV8(simulated, module, plan);
  let agreed = 0;
  for (let j = 0; j < plan.length; j++) {
    // How deep the stack goes is each one's own business: no comparing beyond.
    if (expected[j]!.text === "trap stack" || actual[j]!.text === "trap stack") break;
    const { action, args } = plan[j]!;
    const what = action === "instantiate" ? action : action.export;
    assert.deepEqual(
      actual[j],
      expected[j],
      `seed ${seed}, ${what}(${args?.map(({ bits }) => bits.toString(16)).join(", ") ?? ""})`,
    );
    agreed++;
    if (expected[0]!.text !== "ok") break;
  }
  assert.equal(simulated.trespass, -1, `seed ${seed}: it changed memory that is not its own`);
  return { agreed, left: simulated.left };
}

mkdirSync(FOLDER, { recursive: true });

test(`${SEEDS} generated modules do in simulation what they do in V8`, async (t) => {
  const sum = { agreed: 0, left: 0, refused: 0 };
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const outcome = await compare(seed);
    if (typeof outcome === "string") sum.refused++;
    else {
      sum.agreed += outcome.agreed;
      sum.left += outcome.left;
    }
  }
  t.diagnostic(
    `${sum.agreed} calls compared, left ${sum.left} times, ${sum.refused} modules refused`,
  );
  assert.ok(sum.agreed > 4 * SEEDS, "hardly anything was compared");
  assert.ok(sum.left > SEEDS, "hardly anything was made to leave");
});
