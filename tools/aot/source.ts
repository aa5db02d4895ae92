import { dwarfLines } from "./dwarf.ts";
import type { LineMap } from "./lines.ts";
import type { Module } from "./module.ts";
import { readSourceMap } from "./sourcemap.ts";

/** The lines of a module: what its source map says, or else the DWARF that it carries. */
export function sourceLines(module: Module, sourceMap?: string): LineMap | undefined {
  return sourceMap === undefined ? dwarfLines(module) : readSourceMap(sourceMap);
}
