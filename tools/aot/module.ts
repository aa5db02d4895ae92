/** A module as the binary format has it (spec 5.5), checked as far as its sections go (spec 3.4). */
import { type ValueType, unsupported } from "./opcodes.ts";
import { Reader } from "./reader.ts";

export interface FuncType {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface Import {
  readonly module: string;
  readonly field: string;
}

export interface Func {
  readonly typeIndex: number;
  readonly type: FuncType;
  readonly imported: Import | undefined;
  /** Local declarations and code; absent in imports. */
  code: Reader | undefined;
}

export interface Limits {
  readonly min: number;
  readonly max: number | undefined;
}

export interface Table extends Limits {
  readonly type: ValueType;
  readonly imported: Import | undefined;
  exported: boolean;
  /** Some instruction writes its elements, or takes one as a value. */
  touched: boolean;
  /** Some instruction grows it. */
  grows: boolean;
}

export interface Memory extends Limits {
  readonly imported: Import | undefined;
}

export interface Global {
  readonly type: ValueType;
  readonly mutable: boolean;
  readonly imported: Import | undefined;
  readonly init: ConstExpr;
}

export type ConstOp =
  | { readonly k: "const"; readonly type: ValueType; readonly bits: bigint }
  | { readonly k: "global"; readonly index: number }
  | { readonly k: "func"; readonly index: number }
  | { readonly k: "null"; readonly type: ValueType }
  | { readonly k: "binary"; readonly type: ValueType; readonly operator: "+" | "-" | "*" };

/** A constant expression in postfix order. */
export type ConstExpr = readonly ConstOp[];

export interface Export {
  readonly name: string;
  readonly kind: ExternKind;
  readonly index: number;
}

export const enum ExternKind {
  Func,
  Table,
  Memory,
  Global,
}

export interface Element {
  readonly mode: "active" | "passive" | "declarative";
  readonly table: number;
  readonly offset: ConstExpr;
  readonly type: ValueType;
  readonly items: readonly ConstExpr[];
}

export interface Data {
  readonly mode: "active" | "passive";
  readonly offset: ConstExpr;
  readonly bytes: Uint8Array;
}

const VALUE_TYPES = new Map<number, ValueType>([
  [0x7f, "i32"],
  [0x7e, "i64"],
  [0x7d, "f32"],
  [0x7c, "f64"],
  [0x7b, "v128"],
  [0x70, "funcref"],
  [0x6f, "externref"],
]);

export const isReference = (type: ValueType): boolean => type === "funcref" || type === "externref";

export function readValueType(r: Reader): ValueType {
  const at = r.pos;
  const type = VALUE_TYPES.get(r.byte());
  if (type) return type;
  const byte = r.bytes[at]!;
  if (byte >= 0x63 && byte <= 0x74)
    r.fail("typed references and garbage collection are unsupported", at);
  r.fail(`malformed value type 0x${byte.toString(16)}`, at);
}

export function readReferenceType(r: Reader): ValueType {
  const at = r.pos;
  const type = readValueType(r);
  if (!isReference(type)) r.fail("malformed reference type", at);
  return type;
}

const MAX_PAGES = 65536;

/** Order of the sections in a file, by id; data count (12) stands before code. */
const SECTION_ORDER = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10];
const SECTION_NAMES =
  "custom type import function table memory global export start element code data data-count".split(
    " ",
  );

export class Module {
  readonly types: FuncType[] = [];
  readonly funcs: Func[] = [];
  readonly tables: Table[] = [];
  readonly memories: Memory[] = [];
  readonly globals: Global[] = [];
  readonly exports: Export[] = [];
  readonly elements: Element[] = [];
  readonly datas: Data[] = [];
  start: number | undefined;
  dataCount: number | undefined;
  /** Functions that `ref.func` may name: those mentioned outside function bodies. */
  readonly declared = new Set<number>();
  /** From the name section; indices and texts are not to be trusted beyond being UTF-8. */
  readonly funcNames = new Map<number, string>();
  readonly localNames = new Map<number, Map<number, string>>();
  readonly globalNames = new Map<number, string>();
  /** Contents of the sections in which DWARF is, by name; not to be trusted. */
  readonly debug = new Map<string, Uint8Array>();
  /** Where the code section's contents are in the file. */
  code = { start: 0, end: 0 };

  private readonly exportNames = new Set<string>();

  constructor(bytes: Uint8Array) {
    const r = new Reader(bytes);
    if (r.end < 4 || r.fixed(4) !== 0x6d736100n)
      r.fail("magic header not detected: not a Wasm module", 0);
    if (r.end < 8 || r.fixed(4) !== 1n) r.fail("unknown binary version", 4);
    let previous = 0;
    while (!r.done) {
      const at = r.pos;
      const id = r.byte();
      if (id === 13) r.fail("exception handling is unsupported (tag section)", at);
      if (id > 12) r.fail(`malformed section id ${id}`, at);
      const section = r.section(r.u32());
      if (id === 0) {
        this.custom(section);
        continue;
      }
      if (SECTION_ORDER[id]! <= previous) {
        r.fail(`unexpected ${SECTION_NAMES[id]} section: out of order or twice`, at);
      }
      previous = SECTION_ORDER[id]!;
      this.section(id, section);
      if (!section.done)
        section.fail(`section size mismatch: trailing bytes in ${SECTION_NAMES[id]} section`);
    }
    const bodyless = this.funcs.some((func) => !func.imported && !func.code);
    if (bodyless) r.fail("function and code section have inconsistent lengths");
    if (this.dataCount !== undefined && this.dataCount !== this.datas.length) {
      r.fail("data count and data section have inconsistent lengths");
    }
  }

  private section(id: number, r: Reader): void {
    if (id === 8) return this.startSection(r);
    if (id === 12) return void (this.dataCount = r.u32());
    const at = r.pos;
    const count = r.u32();
    const first = this.funcs.findIndex((func) => !func.imported);
    if (id === 10) this.code = { start: r.start, end: r.end };
    if (id === 10 && count !== (first < 0 ? 0 : this.funcs.length - first)) {
      r.fail("function and code section have inconsistent lengths", at);
    }
    for (let i = 0; i < count; i++) {
      switch (id) {
        case 1:
          this.types.push(this.funcType(r));
          break;
        case 2:
          this.import(r);
          break;
        case 3:
          this.funcs.push(this.func(r, undefined));
          break;
        case 4:
          this.table(r, undefined);
          break;
        case 5:
          this.memory(r, undefined);
          break;
        case 6:
          this.global(r);
          break;
        case 7:
          this.export(r);
          break;
        case 9:
          this.elements.push(this.element(r));
          break;
        case 10:
          this.funcs[first + i]!.code = r.section(r.u32());
          break;
        case 11:
          this.datas.push(this.data(r));
          break;
      }
    }
  }

  private funcType(r: Reader): FuncType {
    const at = r.pos;
    const form = r.byte();
    if (form === 0x4e || form === 0x4f || form === 0x50 || form === 0x5e || form === 0x5f) {
      r.fail("garbage collection types are unsupported", at);
    }
    if (form !== 0x60) r.fail("malformed function type", at);
    const list = () => Array.from({ length: this.count(r) }, () => readValueType(r));
    return { params: list(), results: list() };
  }

  /** A vector's length, which no input of this size can exceed. */
  private count(r: Reader): number {
    const at = r.pos;
    const count = r.u32();
    if (count > r.end - r.pos) r.fail("length out of bounds", at);
    return count;
  }

  private func(r: Reader, imported: Import | undefined): Func {
    const at = r.pos;
    const typeIndex = r.u32();
    const type = this.types[typeIndex];
    if (!type) r.fail(`unknown type ${typeIndex}`, at);
    return { typeIndex, type, imported, code: undefined };
  }

  private import(r: Reader): void {
    const imported = { module: r.name(), field: r.name() };
    const at = r.pos;
    switch (r.byte()) {
      case 0:
        this.funcs.push(this.func(r, imported));
        break;
      case 1:
        this.table(r, imported);
        break;
      case 2:
        this.memory(r, imported);
        break;
      case 3:
        this.globals.push({ ...this.globalType(r), imported, init: [] });
        break;
      case 4:
        r.fail("exception handling is unsupported (tag import)", at);
      // Falls through only in appearance: `fail` does not return.
      default:
        r.fail("malformed import kind", at);
    }
  }

  private limits(r: Reader, most: number, what: string): Limits {
    const at = r.pos;
    const flags = r.byte();
    if (flags & 4) r.fail("memory64 is unsupported", at);
    if (flags & 2) r.fail("threads and shared memory are unsupported", at);
    if (flags > 1) r.fail("malformed limits flags", at);
    const min = r.u32();
    const max = flags & 1 ? r.u32() : undefined;
    if (min > most || (max ?? 0) > most) r.fail(`${what} size is at most ${most}`, at);
    if (max !== undefined && min > max) r.fail("size minimum must not be greater than maximum", at);
    return { min, max };
  }

  private table(r: Reader, imported: Import | undefined): void {
    if (r.peek() === 0x40) r.fail("table initialisers are unsupported");
    const type = readReferenceType(r);
    const limits = this.limits(r, 0xffffffff, "table");
    this.tables.push({ type, ...limits, imported, exported: false, touched: false, grows: false });
  }

  private memory(r: Reader, imported: Import | undefined): void {
    if (this.memories.length > 0) r.fail("multiple memories are unsupported");
    this.memories.push({ ...this.limits(r, MAX_PAGES, "memory"), imported });
  }

  private globalType(r: Reader): { type: ValueType; mutable: boolean } {
    const type = readValueType(r);
    const at = r.pos;
    const mutability = r.byte();
    if (mutability > 1) r.fail("malformed mutability", at);
    return { type, mutable: mutability === 1 };
  }

  private global(r: Reader): void {
    const { type, mutable } = this.globalType(r);
    this.globals.push({ type, mutable, imported: undefined, init: this.constExpr(r, type) });
  }

  private export(r: Reader): void {
    const at = r.pos;
    const name = r.name();
    if (this.exportNames.has(name)) r.fail(`duplicate export name "${name}"`, at);
    this.exportNames.add(name);
    const kindAt = r.pos;
    const kind = r.byte();
    if (kind === 4) r.fail("exception handling is unsupported (tag export)", kindAt);
    if (kind > 3) r.fail("malformed export kind", kindAt);
    const indexAt = r.pos;
    const index = r.u32();
    const space = [this.funcs, this.tables, this.memories, this.globals][kind]!;
    const what = ["function", "table", "memory", "global"][kind]!;
    if (index >= space.length) r.fail(`unknown ${what} ${index}`, indexAt);
    if (kind === ExternKind.Func) this.declared.add(index);
    if (kind === ExternKind.Table) this.tables[index]!.exported = true;
    this.exports.push({ name, kind, index });
  }

  private startSection(r: Reader): void {
    const at = r.pos;
    const index = r.u32();
    const type = this.funcs[index]?.type;
    if (!type) r.fail(`unknown function ${index}`, at);
    if (type.params.length > 0 || type.results.length > 0)
      r.fail("start function has parameters or results", at);
    this.start = index;
  }

  private element(r: Reader): Element {
    const at = r.pos;
    const flags = r.u32();
    if (flags > 7) r.fail("malformed element segment flags", at);
    const active = !(flags & 1);
    const tableAt = r.pos;
    const table = active && flags & 2 ? r.u32() : 0;
    if (active && table >= this.tables.length) r.fail(`unknown table ${table}`, tableAt);
    const offset = active ? this.constExpr(r, "i32") : [];
    let type: ValueType = "funcref";
    if (flags & 3) {
      const kindAt = r.pos;
      if (flags & 4) type = readReferenceType(r);
      else if (r.byte() !== 0) r.fail("malformed element kind", kindAt);
    }
    if (active && this.tables[table]!.type !== type)
      r.fail("type mismatch: element segment and table", at);
    const items = Array.from({ length: this.count(r) }, (): ConstExpr =>
      flags & 4 ? this.constExpr(r, type) : [{ k: "func", index: this.declare(r) }],
    );
    return {
      mode: active ? "active" : flags & 2 ? "declarative" : "passive",
      table,
      offset,
      type,
      items,
    };
  }

  private declare(r: Reader): number {
    const at = r.pos;
    const index = r.u32();
    if (index >= this.funcs.length) r.fail(`unknown function ${index}`, at);
    this.declared.add(index);
    return index;
  }

  private data(r: Reader): Data {
    const at = r.pos;
    const flags = r.u32();
    if (flags > 2) r.fail("malformed data segment flags", at);
    const memoryAt = r.pos;
    const memory = flags === 2 ? r.u32() : 0;
    if (flags !== 1 && memory >= this.memories.length) r.fail(`unknown memory ${memory}`, memoryAt);
    const offset = flags === 1 ? [] : this.constExpr(r, "i32");
    return { mode: flags === 1 ? "passive" : "active", offset, bytes: r.take(r.u32()) };
  }

  /** A constant expression (spec 3.3.10, with the extended operators) of type `expected`. */
  private constExpr(r: Reader, expected: ValueType): ConstExpr {
    const start = r.pos;
    const expr: ConstOp[] = [];
    const stack: ValueType[] = [];
    const literal = (type: ValueType, bits: bigint) => {
      stack.push(type);
      expr.push({ k: "const", type, bits });
    };
    for (;;) {
      const at = r.pos;
      const code = r.byte();
      switch (code) {
        case 0x0b:
          if (stack.length !== 1 || stack[0] !== expected) {
            r.fail(`type mismatch: constant expression must be one ${expected}`, start);
          }
          return expr;
        case 0x41:
          literal("i32", BigInt.asUintN(32, BigInt(r.s32())));
          break;
        case 0x42:
          literal("i64", BigInt.asUintN(64, r.s64()));
          break;
        case 0x43:
          literal("f32", r.fixed(4));
          break;
        case 0x44:
          literal("f64", r.fixed(8));
          break;
        case 0xfd:
          if (r.u32() !== 12) r.fail("constant expression required", at);
          literal("v128", r.fixed(16));
          break;
        case 0x23: {
          const index = r.u32();
          const global = this.globals[index];
          if (!global) r.fail(`unknown global ${index}`, at);
          if (global.mutable) r.fail("constant expression required: global is mutable", at);
          stack.push(global.type);
          expr.push({ k: "global", index });
          break;
        }
        case 0xd0: {
          const type = readReferenceType(r);
          stack.push(type);
          expr.push({ k: "null", type });
          break;
        }
        case 0xd2:
          expr.push({ k: "func", index: this.declare(r) });
          stack.push("funcref");
          break;
        case 0x6a:
        case 0x6b:
        case 0x6c:
        case 0x7c:
        case 0x7d:
        case 0x7e: {
          const type = code < 0x7c ? "i32" : "i64";
          if (stack.pop() !== type || stack.at(-1) !== type)
            r.fail("type mismatch in constant expression", at);
          expr.push({
            k: "binary",
            type,
            operator: (["+", "-", "*"] as const)[(code - 0x6a) % 18]!,
          });
          break;
        }
        default: {
          const proposal = unsupported(code);
          r.fail(proposal ? `${proposal}: unsupported` : "constant expression required", at);
        }
      }
    }
  }

  /** Names are read as far as they make sense: a broken custom section is no reason to refuse. */
  private custom(r: Reader): void {
    const name = r.name();
    if (name.startsWith(".debug_")) this.debug.set(name, r.bytes.subarray(r.pos, r.end));
    if (name !== "name") return;
    const pairs = (from: Reader, into: Map<number, string>) => {
      for (let n = from.u32(); n > 0; n--) into.set(from.u32(), from.name());
    };
    try {
      while (!r.done) {
        const id = r.byte();
        const sub = r.section(r.u32());
        if (id === 1) pairs(sub, this.funcNames);
        if (id === 7) pairs(sub, this.globalNames);
        for (let n = id === 2 ? sub.u32() : 0; n > 0; n--) {
          const names = new Map<number, string>();
          this.localNames.set(sub.u32(), names);
          pairs(sub, names);
        }
      }
    } catch {
      // What was read so far stands.
    }
  }
}
