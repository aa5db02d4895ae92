/** The command: `aot kernel.wasm --name kernel [--source-map kernel.wasm.map] -o kernel.c`. */
import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { translate } from "./emit.ts";
import { WasmError } from "./reader.ts";

const USAGE = "usage: aot <module.wasm> --name <prefix> [--source-map <map>] [-o <file.c>]";

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      name: { type: "string" },
      "source-map": { type: "string" },
      output: { type: "string", short: "o" },
    },
  });
  const [input] = positionals;
  const { name, output } = values;
  if (!input || positionals.length > 1 || !name || !/^[A-Za-z_]\w*$/.test(name)) {
    console.error(USAGE);
    return 2;
  }
  const map = values["source-map"];
  try {
    const c = translate(readFileSync(input), {
      name,
      ...(map === undefined ? {} : { sourceMap: readFileSync(map, "utf8") }),
      ...(output === undefined ? {} : { file: basename(output) }),
    });
    if (output === undefined) process.stdout.write(c);
    else writeFileSync(output, c);
    return 0;
  } catch (error) {
    console.error(`${input}: ${error instanceof WasmError ? error.message : String(error)}`);
    return 1;
  }
}

process.exitCode = main();
