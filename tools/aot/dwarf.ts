/**
 * Line tables of DWARF 2 to 5 (DWARF 5, section 6.2): which source line each address comes from. Compilers put
 * them into Wasm modules (as custom sections, with addresses that count from the code section's contents) and
 * into ELF files alike.
 */
import { LineMap, type Position, normalisePath } from "./lines.ts";
import type { Module } from "./module.ts";
import { Reader } from "./reader.ts";

/** Sections by name. */
export interface DebugSections {
  readonly ".debug_line": Uint8Array;
  /** Text that version 5 refers to. */
  readonly ".debug_line_str"?: Uint8Array | undefined;
  readonly ".debug_str"?: Uint8Array | undefined;
}

/** From `address` on, code comes from `line` of `file`; or, after a sequence's `end`, from nowhere. */
export interface Row {
  address: number;
  /** As the compiler says; relative to where it ran, if that is known. */
  file: string;
  /** From 1; 0 for code that has none. */
  line: number;
  end: boolean;
}

/**
 * All rows, a sequence after another. Addresses are relative to `base`, and lie below 2^53 if they are to make
 * sense. Throws a `WasmError` with the offset in .debug_line where a table is malformed; `row` has heard what comes
 * before. Cost: linear in the sections' bytes, whatever they say.
 */
export function readLines(sections: DebugSections, base: bigint, row: (row: Row) => void): void {
  const all = new Reader(sections[".debug_line"]);
  while (!all.done) new Unit(all, sections, base).run(row);
}

/** The lines of a module that carries a table; undefined for others. What is malformed ends it. */
export function dwarfLines(module: Module): LineMap | undefined {
  const line = module.debug.get(".debug_line");
  if (!line) return undefined;
  const { start, end } = module.code;
  const sequences: Row[][] = [];
  let sequence: Row[] = [];
  const texts = new Map<string, string>();
  const sections = {
    ".debug_line": line,
    ".debug_line_str": module.debug.get(".debug_line_str"),
    ".debug_str": module.debug.get(".debug_str"),
  };
  try {
    readLines(sections, 0n, (row) => {
      sequence.push(row);
      if (!row.end) return;
      // What the linker has thrown away begins at 0, where no function is, or beyond the code.
      if (sequence[0]!.address > 0 && row.address <= end - start) sequences.push(sequence);
      sequence = [];
    });
  } catch {
    // As with names: a broken custom section is no reason to refuse, and what was read so far stands.
  }
  const rows = sequences.sort((a, b) => a[0]!.address - b[0]!.address).flat();
  const offsets: number[] = [];
  const positions: (Position | undefined)[] = [];
  for (const { address, file, line, end: ends } of rows) {
    const offset = start + address;
    // Sequences that overlap make no sense: the first counts.
    if (offset < (offsets.at(-1) ?? 0)) continue;
    let text = texts.get(file);
    if (text === undefined) texts.set(file, (text = normalisePath(file)));
    const known = !ends && line > 0 && line <= LINE_MOST;
    offsets.push(offset);
    positions.push(known ? { file: text, line } : undefined);
  }
  return offsets.length ? new LineMap(offsets, positions) : undefined;
}

/** Of C's `#line` (C17, 6.10.4). */
const LINE_MOST = 0x7fffffff;
/** Bytes of a path (PATH_MAX of Linux), so that many entries that share a text cost no more. */
const TEXT_MOST = 4096;

const enum Standard {
  Extended = 0,
  Copy = 1,
  AdvancePc = 2,
  AdvanceLine = 3,
  SetFile = 4,
  ConstAddPc = 8,
  FixedAdvancePc = 9,
}

const enum Extended {
  EndSequence = 1,
  SetAddress = 2,
  DefineFile = 3,
}

/** What an entry of version 5's tables has (7.22). */
const enum Content {
  Path = 1,
  Directory = 2,
}

interface File {
  name: string;
  directory: number;
}

/** The table of one compilation unit. */
class Unit {
  private readonly r: Reader;
  private readonly version: number;
  /** Bytes of an offset: 4, or 8 in the 64-bit format (7.4). */
  private readonly offsetBytes: number;
  private readonly program: number;
  private readonly instructionBytes: number;
  private readonly lineBase: number;
  private readonly lineRange: number;
  private readonly opcodeBase: number;
  private readonly operands: readonly number[];
  private directories: string[] = [];
  private files: File[] = [];
  private readonly paths = new Map<number, string>();

  constructor(
    all: Reader,
    private readonly sections: DebugSections,
    private readonly base: bigint,
  ) {
    const length = fixed(all, 4);
    this.offsetBytes = length === 0xffffffff ? 8 : 4;
    const r = (this.r = all.section(this.offsetBytes === 8 ? fixed(all, 8) : length));
    this.version = fixed(r, 2);
    if (this.version < 2 || this.version > 5)
      r.fail(`line table of DWARF version ${this.version}`, r.start);
    if (this.version === 5) r.take(2); // sizes of addresses and segment selectors
    const header = fixed(r, this.offsetBytes);
    this.program = r.pos + header;
    this.instructionBytes = r.byte();
    if (this.version >= 4) r.byte(); // operations of an instruction: 1 but for VLIW
    r.byte(); // whether rows begin as statements
    this.lineBase = (r.byte() << 24) >> 24;
    this.lineRange = r.byte();
    this.opcodeBase = r.byte();
    this.operands = [0, ...r.take(Math.max(this.opcodeBase - 1, 0))];
    if (!this.lineRange || !this.opcodeBase) r.fail("line table whose range or opcode base is 0");
    if (this.version === 5) this.tables();
    else this.oldTables();
    if (this.program > r.end) r.fail("line table's header is longer than itself");
  }

  /** 6.2.4 of version 4: strings, of which an empty one is the last; the first directory is where the compiler ran. */
  private oldTables(): void {
    const { r } = this;
    this.directories = [""];
    for (let text = string(r); text; text = string(r)) this.directories.push(text);
    this.files = [{ name: "", directory: 0 }];
    for (let name = string(r); name; name = string(r)) this.file(name);
  }

  private file(name: string): void {
    const { r } = this;
    const directory = r.u32();
    skipNumber(r); // modification time
    skipNumber(r); // length
    this.files.push({ name, directory });
  }

  /** 6.2.4 of version 5: each table says what its entries have. */
  private tables(): void {
    this.directories = this.entries().map(({ name }) => name);
    this.files = this.entries();
  }

  private entries(): File[] {
    const { r } = this;
    const formats = Array.from({ length: r.byte() }, () => ({ content: r.u32(), form: r.u32() }));
    const count = r.u32();
    const entries: File[] = [];
    // Each has a byte at least, so that the reader's end ends this.
    if (!formats.length && count) r.fail("line table with entries of nothing");
    for (let i = 0; i < count; i++) {
      const entry = { name: "", directory: 0 };
      for (const { content, form } of formats) {
        const value = this.form(form);
        if (content === Content.Path && typeof value === "string") entry.name = value;
        if (content === Content.Directory && typeof value === "number") entry.directory = value;
      }
      entries.push(entry);
    }
    return entries;
  }

  /** The forms that 7.22 allows there. */
  private form(form: number): string | number | undefined {
    const { r } = this;
    switch (form) {
      case 0x08: // DW_FORM_string
        return string(r);
      case 0x0e: // DW_FORM_strp
        return text(this.sections[".debug_str"], fixed(r, this.offsetBytes));
      case 0x1f: // DW_FORM_line_strp
        return text(this.sections[".debug_line_str"], fixed(r, this.offsetBytes));
      case 0x0b: // DW_FORM_data1
        return r.byte();
      case 0x05: // DW_FORM_data2
        return fixed(r, 2);
      case 0x06: // DW_FORM_data4
        return fixed(r, 4);
      case 0x0f: // DW_FORM_udata
        return r.u32();
      case 0x07: // DW_FORM_data8
        return void r.take(8);
      case 0x1e: // DW_FORM_data16
        return void r.take(16);
      case 0x09: // DW_FORM_block
        return void r.take(r.u32());
      default:
        return r.fail(`line table with a form 0x${form.toString(16)}`);
    }
  }

  private path(file: number): string {
    let path = this.paths.get(file);
    if (path !== undefined) return path;
    const { name, directory } = this.files[file] ?? { name: "unknown", directory: 0 };
    const home = this.directories[0] ?? "";
    const folder = this.directories[directory] ?? "";
    path = name.startsWith("/") || !folder || folder === home ? name : `${folder}/${name}`;
    if (home && path.startsWith(`${home}/`)) path = path.slice(home.length + 1);
    this.paths.set(file, path);
    return path;
  }

  /** Runs the line number program (6.2.5). */
  run(row: (row: Row) => void): void {
    const { r, opcodeBase, instructionBytes } = this;
    let address = 0;
    let file = 1;
    let line = 1;
    const emit = (end = false) => row({ address, file: this.path(file), line, end });
    const advance = (special: number) => {
      address += Math.floor((special - opcodeBase) / this.lineRange) * instructionBytes;
    };
    r.pos = this.program;
    while (!r.done) {
      const opcode = r.byte();
      if (opcode >= opcodeBase) {
        advance(opcode);
        line += this.lineBase + ((opcode - opcodeBase) % this.lineRange);
        emit();
        continue;
      }
      switch (opcode) {
        case Standard.Extended: {
          const operation = r.section(r.u32());
          const what = operation.done ? 0 : operation.byte();
          if (what === Extended.SetAddress) {
            const bytes = operation.end - operation.pos;
            if (bytes > 8) r.fail("line table with a long address");
            address = Number(operation.fixed(bytes) - this.base);
          } else if (what === Extended.DefineFile && this.version < 5) {
            this.files.push({ name: string(operation), directory: operation.u32() });
          } else if (what === Extended.EndSequence) {
            emit(true);
            address = 0;
            file = 1;
            line = 1;
          }
          break;
        }
        case Standard.Copy:
          emit();
          break;
        case Standard.AdvancePc:
          address += number(r) * instructionBytes;
          break;
        case Standard.AdvanceLine:
          line += r.s32();
          break;
        case Standard.SetFile:
          file = r.u32();
          break;
        case Standard.ConstAddPc:
          advance(255);
          break;
        case Standard.FixedAdvancePc:
          address += fixed(r, 2);
          break;
        default:
          for (let i = this.operands[opcode]!; i > 0; i--) skipNumber(r);
      }
    }
  }
}

/** A little-endian integer. */
function fixed(r: Reader, bytes: number): number {
  const at = r.pos;
  const value = Number(r.fixed(bytes));
  return Number.isSafeInteger(value) ? value : r.fail("line table with a size beyond all", at);
}

/** An unsigned LEB128 of any length; what is too large is no address either. */
function number(r: Reader): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = r.byte();
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
}

function skipNumber(r: Reader): void {
  while (r.byte() >= 0x80);
}

const utf8 = new TextDecoder();

/** Text that a zero ends. */
function string(r: Reader): string {
  const length = r.bytes.subarray(r.pos, Math.min(r.end, r.pos + TEXT_MOST)).indexOf(0);
  if (length < 0) r.fail("line table with a text that does not end");
  return utf8.decode(r.take(length + 1).subarray(0, length));
}

function text(section: Uint8Array | undefined, at: number): string {
  if (!section || at >= section.length) return "unknown";
  return string(new Reader(section, at));
}
