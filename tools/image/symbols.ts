/**
 * The table by which a running image explains an address: function, file and line, and the same
 * for every call that was inlined there. boot/backtrace.c reads it.
 *
 * Where a new line begins comes from .debug_line; what stands there, from addr2line, which knows
 * of inlining. Stored is a header, u32 offset of scopes, u32 offset of rows, u32 number of rows, and three lists of
 * numbers, each in a coder's bytes (tools/image/coder.ts):
 *
 *     names     functions and files, sorted: how many letters are the last one's, the others, a zero
 *     scopes    function and file, by their names; up, call line: code of that function that comes from that
 *               file, for itself (up = 0), or inlined into the scope `up` places before, at that line of it
 *     rows      step, scope, line: from so many bytes on, this scope's code comes from this line
 *
 * Names in scopes and scopes in rows are told by how long ago they were met (`Recent`), since the compiler
 * weaves a few of them into each other; a line, from the last one of its scope, if that is remembered.
 * Addresses count from the start of .text.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { readLines } from "../aot/dwarf.ts";
import { Coder } from "./coder.ts";
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

/** Kinds of numbers, as boot/backtrace.c has them; a `Recent` takes five from there on. */
const Kind = {
  SharedLetters: 0,
  Up: 1,
  CallLine: 2,
  Step: 3,
  Line: 4,
  FirstLine: 5,
  Function: 6,
  File: 11,
  Scope: 16,
};
const RECENT = 32;

/** The last few of what is told by index, the last one first. */
class Recent {
  private readonly last: { index: number; line: number }[] = [];
  /** Whether each of the last two was the one before it. */
  private same = 0;

  constructor(
    private readonly coder: Coder,
    private readonly kind: number,
  ) {}

  /** Writes an index, near `expected` if it is none of the last; returns the line that was noted with it if it is. */
  write(index: number, expected: number): number | undefined {
    const { coder, kind } = this;
    const place = this.last.findIndex((entry) => entry.index === index);
    coder.number(kind + this.same, place < 0 ? RECENT : place);
    if (place < 0) coder.signed(kind + 4, index - expected);
    this.same = ((this.same << 1) | Number(place === 0)) & 3;
    const entry = place < 0 ? { index, line: 0 } : this.last.splice(place, 1)[0]!;
    this.last.unshift(entry);
    if (this.last.length > RECENT) this.last.pop();
    return place < 0 ? undefined : entry.line;
  }

  note(line: number): void {
    this.last[0]!.line = line;
  }
}

/** Texts in order, each without what it shares with the one before. */
function writeNames(names: readonly string[]): Uint8Array {
  const coder = new Coder();
  let last = "";
  for (const name of names) {
    let shared = 0;
    while (shared < name.length && name[shared] === last[shared]) shared++;
    coder.number(Kind.SharedLetters, shared);
    for (let i = shared; i <= name.length; i++) {
      const letter = i < name.length ? name.charCodeAt(i) : 0;
      if (letter > 127) throw new Error(`"${name}" is not ASCII`);
      coder.letter(i ? name.charCodeAt(i - 1) : 0, letter);
    }
    last = name;
  }
  return coder.end();
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

  const chains = places(elf, base, addresses, addr2line);
  const all = chains.flat().flatMap((place) => [place.function, place.file]);
  const names = [...new Set(all)].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const nameIndex = new Map(names.map((name, i) => [name, i]));

  const scopes = new Map<string, number>();
  const scopeCoder = new Coder();
  const functions = new Recent(scopeCoder, Kind.Function);
  const files = new Recent(scopeCoder, Kind.File);
  const scopeIndex = (parent: number, place: Place, callLine: number) => {
    const key = `${parent} ${place.function} ${place.file} ${callLine}`;
    const known = scopes.get(key);
    if (known !== undefined) return known;
    const index = scopes.size;
    scopes.set(key, index);
    functions.write(nameIndex.get(place.function)!, 0);
    files.write(nameIndex.get(place.file)!, 0);
    scopeCoder.number(Kind.Up, parent < 0 ? 0 : index - parent);
    if (parent >= 0) scopeCoder.number(Kind.CallLine, callLine);
    return index;
  };

  const rows = new Coder();
  const recent = new Recent(rows, Kind.Scope);
  let newest = -1;
  let rowCount = 0;
  let last = { address: 0, scope: -1, line: 0 };
  chains.forEach((chain, i) => {
    let scope = -1;
    for (let depth = chain.length - 1; depth >= 0; depth--) {
      scope = scopeIndex(scope, chain[depth]!, chain[depth + 1]?.line ?? 0);
    }
    const { line } = chain[0]!;
    if (scope === last.scope && line === last.line) return;
    rows.number(Kind.Step, addresses[i]! - last.address);
    const known = recent.write(scope, newest + 1);
    newest = Math.max(newest, scope);
    if (known === undefined) rows.number(Kind.FirstLine, line);
    else rows.signed(Kind.Line, line - known);
    recent.note(line);
    last = { address: addresses[i]!, scope, line };
    rowCount++;
  });

  const parts = [writeNames(names), scopeCoder.end(), rows.end()] as const;
  const header = Buffer.alloc(12);
  header.writeUInt32LE(12 + parts[0].length, 0);
  header.writeUInt32LE(12 + parts[0].length + parts[1].length, 4);
  header.writeUInt32LE(rowCount, 8);
  return Buffer.concat([header, ...parts]);
}
