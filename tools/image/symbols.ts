/**
 * The table by which a running image explains an address: function, file and line, and the same
 * for every call that was inlined there. boot/backtrace.c reads it.
 *
 * Where a new line begins comes from .debug_line; what stands there, from addr2line, which knows
 * of inlining. Stored:
 *
 *     u32 offset of scopes, u32 offset of rows, u32 number of rows
 *     strings   function and file names, each ended by a zero; named by index
 *     scopes    up, function [, file, line]: a function of its own (up = 0), or one inlined into the
 *               scope `up` places before, at that file and line
 *     rows      step << 2 | file changes << 1 | scope changes, [scope delta], [file delta], line delta:
 *               from this address on, this scope's code comes from this line; addresses rise
 *
 * Numbers are LEB128, deltas zigzag. Addresses count from the start of .text.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { readLines } from "../aot/dwarf.ts";
import { readSections } from "./elf.ts";

interface Place {
  function: string;
  file: string;
  line: number;
}

/** What stands at each address beyond `base`, innermost first: addr2line, one question for all of them. */
function places(elf: string, base: bigint, addresses: number[], addr2line: string): Place[][] {
  const run = spawnSync(addr2line, ["-a", "-f", "-i", "-e", elf], {
    input: addresses.map((address) => `0x${(base + BigInt(address)).toString(16)}\n`).join(""),
    maxBuffer: 1 << 30,
    encoding: "utf8",
  });
  if (run.status !== 0)
    throw new Error(`${addr2line} failed on ${elf}: ${run.stderr || run.error}`);
  const found: Place[][] = [];
  const lines = run.stdout.split("\n");
  for (let i = 0; i < lines.length; i++) {
    if (lines[i]!.startsWith("0x")) {
      found.push([]);
    } else if (lines[i]) {
      const [, file, line] = /^(.*):(\d+|\?)/.exec(lines[i + 1]!)!;
      const place = {
        function: lines[i]!,
        file: file!.replace(/^(.*\/)?\.\//, ""), // the compiler was told to call the project's root "."
        line: Number(line) || 0,
      };
      found.at(-1)!.push(place);
      i++;
    }
  }
  return found;
}

class Writer {
  readonly bytes: number[] = [];
  unsigned(value: number): void {
    for (; value >= 0x80; value = Math.floor(value / 128)) this.bytes.push((value % 128) | 0x80);
    this.bytes.push(value);
  }
  signed(value: number): void {
    this.unsigned(value < 0 ? -2 * value - 1 : 2 * value);
  }
}

/** The table for the linked file `elf`, which has its debugging information. */
export function symbolTable(elf: string, addr2line: string): Uint8Array {
  const sections = readSections(readFileSync(elf));
  const text = sections.get(".text");
  const lineTable = sections.get(".debug_line");
  if (!text || !lineTable) throw new Error(`${elf} has no code with line numbers: compile with -g`);
  const base = text.address;
  const found = new Set<number>();
  const tables = {
    ".debug_line": lineTable.bytes,
    ".debug_line_str": sections.get(".debug_line_str")?.bytes,
    ".debug_str": sections.get(".debug_str")?.bytes,
  };
  readLines(tables, base, ({ address, end }) => {
    if (!end && address >= 0 && address < text.size) found.add(address);
  });
  const addresses = [...found].sort((a, b) => a - b);

  const strings = new Map<string, number>();
  const stringIndex = (text: string) => {
    if (!strings.has(text)) strings.set(text, strings.size);
    return strings.get(text)!;
  };
  const scopes = new Map<string, number>();
  const scopeBytes = new Writer();
  const scopeIndex = (parent: number, place: Place, caller: Place | undefined) => {
    const key = caller
      ? `${parent} ${place.function} ${caller.file} ${caller.line}`
      : `${place.function} ${place.file}`;
    const known = scopes.get(key);
    if (known !== undefined) return known;
    const index = scopes.size;
    scopes.set(key, index);
    scopeBytes.unsigned(caller ? index - parent : 0);
    scopeBytes.unsigned(stringIndex(place.function));
    if (caller) {
      scopeBytes.unsigned(stringIndex(caller.file));
      scopeBytes.unsigned(caller.line);
    }
    return index;
  };

  const rows = new Writer();
  let rowCount = 0;
  let last = { address: 0, scope: 0, file: 0, line: 0 };
  places(elf, base, addresses, addr2line).forEach((chain, i) => {
    let scope = -1;
    for (let depth = chain.length - 1; depth >= 0; depth--) {
      scope = scopeIndex(scope, chain[depth]!, chain[depth + 1]);
    }
    const file = stringIndex(chain[0]!.file);
    const { line } = chain[0]!;
    if (rowCount && scope === last.scope && file === last.file && line === last.line) return;
    const step = addresses[i]! - last.address;
    rows.unsigned(step * 4 + (file !== last.file ? 2 : 0) + (scope !== last.scope ? 1 : 0));
    if (scope !== last.scope) rows.signed(scope - last.scope);
    if (file !== last.file) rows.signed(file - last.file);
    rows.signed(line - last.line);
    last = { address: addresses[i]!, scope, file, line };
    rowCount++;
  });

  const names = Buffer.from([...strings.keys()].map((name) => name + "\0").join(""), "utf8");
  const header = Buffer.alloc(12);
  header.writeUInt32LE(12 + names.length, 0);
  header.writeUInt32LE(12 + names.length + scopeBytes.bytes.length, 4);
  header.writeUInt32LE(rowCount, 8);
  return Buffer.concat([header, names, Buffer.from(scopeBytes.bytes), Buffer.from(rows.bytes)]);
}
