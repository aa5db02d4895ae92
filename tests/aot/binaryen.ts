/**
 * Binaryen's wasm-opt, run many times in this process. As a command it would spend a second on each
 * run compiling itself; here its WebAssembly is compiled once and instantiated afresh for each.
 */
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { Script } from "node:vm";

interface Emscripten {
  arguments: string[];
  instantiateWasm?: (
    imports: WebAssembly.Imports,
    done: (instance: WebAssembly.Instance) => void,
  ) => void;
}

/** Node's `require` for it, but what it writes to standard output and error goes to `said`. */
function quietRequire(said: string[]): (name: string) => unknown {
  const writeSync = (fd: number, data: Uint8Array, ...rest: [number, number]): number => {
    if (fd > 2) return fs.writeSync(fd, data, ...rest);
    const [offset = 0, length = data.length - offset] = rest;
    said.push(Buffer.from(data.subarray(offset, offset + length)).toString());
    return length;
  };
  const require = createRequire(path);
  return (name) => (name === "node:fs" ? { ...fs, writeSync } : require(name));
}

type Main = (
  Module: Emscripten,
  require: (name: string) => unknown,
  process: object,
  file: string,
  folder: string,
) => void;

const path = resolve("node_modules/binaryen/bin/wasm-opt");
let main: Main | undefined;
let compiled: WebAssembly.Module | undefined;

/** Runs `wasm-opt` with these arguments; throws what it prints if it fails. */
export async function wasmOpt(args: readonly string[]): Promise<void> {
  if (!main) {
    const text = fs.readFileSync(path, "utf8").replace(/^#!.*/, "");
    const source = `(function (Module, require, process, __filename, __dirname) { ${text}\n})`;
    main = new Script(source, { filename: path }).runInThisContext() as Main;
  }
  const instantiate = WebAssembly.instantiate;
  if (!compiled) {
    // The first run brings the code; keep it.
    WebAssembly.instantiate = (async (bytes: BufferSource, imports: WebAssembly.Imports) => {
      compiled = await WebAssembly.compile(bytes);
      return { module: compiled, instance: await instantiate(compiled, imports) };
    }) as typeof WebAssembly.instantiate;
  }
  const said: string[] = [];
  try {
    const status = await new Promise<number>((done) => {
      const module: Emscripten = {
        arguments: [...args],
      };
      if (compiled) {
        module.instantiateWasm = (imports, ready) => {
          void instantiate(compiled!, imports).then(ready);
        };
      }
      // It reads its arguments from `Module`; that it sets the exit status is how its end shows.
      const own = Object.create(process, {
        argv: { value: [] },
        exitCode: { set: done },
      }) as object;
      main!(module, quietRequire(said), own, path, dirname(path));
    });
    if (status !== 0)
      throw new Error(`wasm-opt ${args.join(" ")}: ${said.join("").slice(0, 1000)}`);
  } finally {
    WebAssembly.instantiate = instantiate;
  }
}

/** A reproducible stream of bytes: xorshift128 from a seed. */
export function randomBytes(seed: number, length: number): Uint8Array {
  const state = new Uint32Array([
    seed ^ 0x9e3779b9,
    (seed * 0x85ebca6b) ^ 0xc2b2ae35,
    0x27d4eb2f,
    0x165667b1,
  ]);
  return Uint8Array.from({ length: length + 16 }, () => {
    const t = state[3]! ^ (state[3]! << 11);
    state.copyWithin(1, 0, 3);
    state[0] = state[0]! ^ (state[0]! >>> 19) ^ t ^ (t >>> 8);
    return state[0]!;
  }).subarray(16);
}

const FEATURES = [
  "sign-ext",
  "mutable-globals",
  "nontrapping-float-to-int",
  "bulk-memory",
  "simd",
  "tail-call",
  "extended-const",
];

/** A valid module of Binaryen's making (translate-to-fuzz), determined by the seed. */
export async function generate(seed: number, folder: string): Promise<Uint8Array> {
  fs.mkdirSync(folder, { recursive: true });
  const input = join(folder, `${seed}.seed`);
  const output = join(folder, `${seed}.wasm`);
  const shape = ["-ttf", "--fuzz-against-js", ...(seed % 4 === 1 ? ["--fuzz-passes"] : [])];
  // --denan: where NaN bits are the machine's choice, they never reach a result.
  // Tuples with references in them are more than its own validator can take.
  const features = [...FEATURES, seed % 4 < 2 ? "multivalue" : "reference-types"];
  const enabled = ["--mvp-features", ...features.map((feature) => `--enable-${feature}`)];
  const args = [input, ...shape, "--denan", ...enabled, "-o", output];
  for (let attempt = 0; ; attempt++) {
    // From a few functions to a few dozen; now and then more.
    const length = seed % 8 === 7 ? 20_000 : 500 + (seed % 16) * 500;
    fs.writeFileSync(input, randomBytes(seed + attempt * 0x10000000, length));
    try {
      await wasmOpt(args);
      const bytes = new Uint8Array(fs.readFileSync(output));
      if (WebAssembly.validate(bytes)) return bytes;
      throw new Error(`seed ${seed}: not a valid module`);
    } catch (error) {
      // Now and then what it generates is refused, by its own validator or V8's: the next input.
      if (attempt === 9) throw error;
    }
  }
}
