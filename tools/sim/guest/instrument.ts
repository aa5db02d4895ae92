/**
 * Rewrites a guest's module so that it can live inside a simulated machine. What was its own becomes the
 * host's business:
 *
 * - Its linear memory is a part of the machine's: every access adds `base`, after a check against `bytes`,
 *   which memory.grow raises up to `most`. What lies outside may still be memory that the kernel has
 *   lent it: `far` knows, or traps.
 * - An import stores its arguments in the `GuestRecord` (kernel/host.ts) and leaves, as does a loop or
 *   function that begins when `fuel` is used up.
 * - Frames count against `stack`, so that where the stack ends does not depend on V8.
 * - Instantiation's second half (data segments, start function) and `_start` are one function, `run`,
 *   so that they, too, can leave.
 *
 * How a guest leaves and comes back is no matter of this file: `leave` is an import that Binaryen's
 * Asyncify, the next step (program.ts), is told of.
 *
 * The rewriting is one pass over the bytes. What is not mentioned above is copied as it is. Where the module's
 * lines are known, a source map says where they have gone.
 */
import { validateBody } from "../../aot/body.ts";
import type { LineMap, Position } from "../../aot/lines.ts";
import {
  type ConstExpr,
  type ConstOp,
  ExternKind,
  type FuncType,
  type Limits,
  Module,
} from "../../aot/module.ts";
import { type Op, ops, type ValueType } from "../../aot/opcodes.ts";
import { Reader } from "../../aot/reader.ts";
import { SourceMapWriter } from "../../aot/sourcemap.ts";
import { Writer } from "./writer.ts";

/** Name of the module that a rewritten one imports from, and prefix of what it exports. */
export const HOST = "skerry:sim";

/** What it imports. `far` takes an address, an offset, bytes, and whether they are to be written. */
const HOST_IMPORTS = ["leave", "trap", "far"] as const;
/** Mutable `i32` globals that it exports. */
const HOST_GLOBALS = ["base", "bytes", "most", "record", "fuel", "stack"] as const;

/** As tools/aot/runtime/wasm.h numbers them. */
export const enum Trap {
  Unreachable,
  Memory,
  Table,
  NullCall,
  CallType,
  DivideByZero,
  IntegerOverflow,
  Conversion,
  Stack,
}

/** `GuestReason` and offsets of `GuestRecord` in kernel/host.ts. */
export const CALLED = 0;
export const INTERRUPTED = 3;
export const RECORD = {
  memory: 0,
  bytes: 4,
  call: 8,
  trap: 12,
  arguments: 16,
  result: 112,
  name: 120,
  nameLength: 124,
  refused: 128,
};

/**
 * Below this an access keeps its offset, and `far` returns an address that lacks it; no memory of a
 * machine that is ever lent lies so low.
 */
export const SMALL_OFFSET = 0x10000;

/** Units of fuel that bulk instructions cost, as a shift of their bytes. */
const BULK_SHIFT = 8;
/** Bytes of stack that a frame counts for beside its locals and operands. */
const FRAME = 32;

const PAGE_SHIFT = 16;
const WASM_PAGE = 65536;

const VALUE_TYPES: Record<ValueType, number> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  funcref: 0x70,
  externref: 0x6f,
};

const enum Code {
  Unreachable = 0x00,
  Block = 0x02,
  Loop = 0x03,
  If = 0x04,
  Else = 0x05,
  End = 0x0b,
  Br = 0x0c,
  Return = 0x0f,
  Call = 0x10,
  CallIndirect = 0x11,
  ReturnCall = 0x12,
  ReturnCallIndirect = 0x13,
  Select = 0x1b,
  LocalGet = 0x20,
  LocalSet = 0x21,
  GlobalGet = 0x23,
  GlobalSet = 0x24,
  I32Load = 0x28,
  I64Load = 0x29,
  I32Store = 0x36,
  I64Store = 0x37,
  MemorySize = 0x3f,
  MemoryGrow = 0x40,
  I32Const = 0x41,
  I64Const = 0x42,
  I32LtS = 0x48,
  I32LtU = 0x49,
  I32GtU = 0x4b,
  I64GtU = 0x56,
  I32Add = 0x6a,
  I32Sub = 0x6b,
  I32Shl = 0x74,
  I32ShrU = 0x76,
  I64Add = 0x7c,
  I32WrapI64 = 0xa7,
  I64ExtendI32U = 0xad,
  RefFunc = 0xd2,
  Bulk = 0xfc,
  Vector = 0xfd,
}

const enum BulkCode {
  MemoryInit = 8,
  DataDrop = 9,
  MemoryCopy = 10,
  MemoryFill = 11,
}

const VOID = 0x40;
const I32 = 0x7f;

/** Appends instructions. */
class Assembler extends Writer {
  op(code: number, ...immediates: readonly number[]): this {
    this.byte(code);
    for (const immediate of immediates) this.u32(immediate);
    return this;
  }
  i32(value: number): this {
    return this.byte(Code.I32Const).signed(value | 0);
  }
  i64(value: number): this {
    return this.byte(Code.I64Const).signed(value);
  }
  bulk(code: BulkCode, ...immediates: readonly number[]): this {
    return this.byte(Code.Bulk)
      .u32(code)
      .byte(...immediates);
  }
}

export interface InstrumentOptions {
  /**
   * The call that each imported function becomes. Without it functions stay imported, exported functions
   * and globals stay exported, and `run` starts nothing but the start function: for tests.
   */
  calls?: readonly number[];
  /** The module's lines. */
  lines?: LineMap | undefined;
}

export interface Instrumented {
  wasm: Uint8Array;
  /** A source map of it; absent without lines. */
  map?: string;
  /** Pages of 64 KiB that its memory begins with, and may grow to. */
  pages: number;
  most: number;
}

/** Rewrites a module. A `WasmError` says what is wrong with one. */
export function instrument(wasm: Uint8Array, options: InstrumentOptions = {}): Instrumented {
  const module = new Module(wasm);
  const memory: Limits = module.memories[0] ?? { min: 0, max: 0 };
  return {
    ...new Instrumenter(wasm, module, options).run(),
    pages: memory.min,
    most: memory.max ?? WASM_PAGE,
  };
}

/** A function's body, and from where in it on code comes from which position. */
interface Body {
  bytes: Uint8Array;
  positions: readonly { at: number; position: Position | undefined }[];
}

class Instrumenter {
  private readonly types: FuncType[];
  private readonly calls: readonly number[] | undefined;
  private readonly typeIndices = new Map<string, number>();
  /** Functions that are imported, and stay so. */
  private readonly kept: number;
  private readonly importedCount: number;
  /** Bodies of functions that the module did not have, with their types and names. */
  private readonly helpers: { type: number; body: Uint8Array; name: string }[] = [];
  private readonly host: Record<(typeof HOST_IMPORTS)[number], number>;
  private readonly global: Record<(typeof HOST_GLOBALS)[number], number>;
  /** First of the helpers. */
  private readonly helperBase: number;
  private readonly range: number;
  private readonly copy: number;
  private readonly fill: number;
  private readonly grow: number;
  /** Helpers of `place`. */
  private readonly places = new Map<string, number>();

  constructor(
    private readonly bytes: Uint8Array,
    private readonly module: Module,
    private readonly options: InstrumentOptions,
  ) {
    const { calls } = options;
    this.calls = calls;
    this.types = [...module.types];
    this.types.forEach((type, i) => this.typeIndices.set(signature(type), i));
    this.importedCount = module.funcs.filter(({ imported }) => imported).length;
    this.kept = calls ? 0 : this.importedCount;
    const numbered = <T extends string>(names: readonly T[], first: number) =>
      Object.fromEntries(names.map((name, i) => [name, first + i])) as Record<T, number>;
    this.host = numbered(HOST_IMPORTS, this.kept);
    this.global = numbered(HOST_GLOBALS, module.globals.length);
    this.helperBase = module.funcs.length + HOST_IMPORTS.length;
    this.range = this.helper("range", ["i32", "i32", "i32"], ["i32"], this.rangeBody());
    this.copy = this.helper("copy", ["i32", "i32", "i32"], [], this.copyBody());
    this.fill = this.helper("fill", ["i32", "i32", "i32"], [], this.fillBody());
    this.grow = this.helper("grow", ["i32"], ["i32"], this.growBody());
  }

  run(): { wasm: Uint8Array; map?: string } {
    const { module } = this;
    const bodies = module.funcs.map((func, i) =>
      func.imported
        ? { bytes: this.calls ? this.callBody(i) : NOTHING, positions: [] }
        : this.body(i),
    );
    const run = this.helper("run", [], [], this.runBody());
    const types = {
      leave: this.type(["i32"], []),
      trap: this.type(["i32"], []),
      far: this.type(["i32", "i32", "i32", "i32"], ["i32"]),
    };
    const out = new Writer().byte(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    out.section(1, this.types.length, (to) =>
      this.types.forEach(({ params, results }) => {
        to.byte(0x60);
        for (const list of [params, results]) to.vector(list, (type) => to.byte(VALUE_TYPES[type]));
      }),
    );
    this.imports(out, types);
    const defined = module.funcs.slice(this.kept);
    out.section(3, defined.length + this.helpers.length, (to) => {
      for (const { typeIndex } of defined) to.u32(typeIndex);
      for (const { type } of this.helpers) to.u32(type);
    });
    const tables = module.tables.filter(({ imported }) => !imported);
    out.section(4, tables.length, (to) =>
      tables.forEach((table) => limits(to.byte(VALUE_TYPES[table.type]), table)),
    );
    this.globals(out);
    this.exports(out, run);
    this.elements(out);
    const { datas } = module;
    if (datas.length) out.byte(12).sized(new Writer().u32(datas.length).bytes);
    const helpers = this.helpers.map(({ body }): Body => ({ bytes: body, positions: [] }));
    const map = this.code(out, [...bodies.slice(this.kept), ...helpers]);
    out.section(11, datas.length, (to) => datas.forEach(({ bytes }) => to.byte(1).sized(bytes)));
    this.names(out);
    return { wasm: out.bytes.slice(), ...(map && { map }) };
  }

  // ---- Index spaces --------------------------------------------------------------------------

  private func(index: number): number {
    return index < this.kept ? index : index + HOST_IMPORTS.length;
  }

  private type(params: readonly ValueType[], results: readonly ValueType[]): number {
    const type = { params, results };
    const known = this.typeIndices.get(signature(type));
    if (known !== undefined) return known;
    this.typeIndices.set(signature(type), this.types.length);
    return this.types.push(type) - 1;
  }

  private helper(
    name: string,
    params: readonly ValueType[],
    results: readonly ValueType[],
    body: Uint8Array,
  ): number {
    const index = this.helperBase + this.helpers.length;
    this.helpers.push({ type: this.type(params, results), body, name: `${HOST}.${name}` });
    return index;
  }

  // ---- Sections ------------------------------------------------------------------------------

  private imports(out: Writer, types: Record<(typeof HOST_IMPORTS)[number], number>): void {
    const { module } = this;
    const funcs = module.funcs.slice(0, this.kept);
    const tables = module.tables.filter(({ imported }) => imported);
    const globals = module.globals.filter(({ imported }) => imported);
    const count = funcs.length + HOST_IMPORTS.length + tables.length + globals.length + 1;
    out.section(2, count, (to) => {
      const name = (imported: { module: string; field: string } | undefined) =>
        to.name(imported!.module).name(imported!.field);
      for (const { imported, typeIndex } of funcs) name(imported).byte(0).u32(typeIndex);
      for (const field of HOST_IMPORTS) name({ module: HOST, field }).byte(0).u32(types[field]);
      for (const table of tables)
        limits(name(table.imported).byte(1, VALUE_TYPES[table.type]), table);
      limits(name({ module: HOST, field: "memory" }).byte(2), { min: 0, max: undefined });
      for (const { imported, type, mutable } of globals)
        name(imported).byte(3, VALUE_TYPES[type], mutable ? 1 : 0);
    });
  }

  private globals(out: Writer): void {
    const own = this.module.globals.filter(({ imported }) => !imported);
    out.section(6, own.length + HOST_GLOBALS.length, (to) => {
      for (const { type, mutable, init } of own) {
        to.byte(VALUE_TYPES[type], mutable ? 1 : 0);
        this.constant(to, init);
      }
      for (const _ of HOST_GLOBALS) to.byte(I32, 1, Code.I32Const, 0, Code.End);
    });
  }

  private exports(out: Writer, run: number): void {
    const kept = this.calls
      ? []
      : this.module.exports.filter(({ kind }) => kind !== ExternKind.Memory);
    out.section(7, kept.length + HOST_GLOBALS.length + 2, (to) => {
      for (const { name, kind, index } of kept)
        to.name(name)
          .byte(kind)
          .u32(kind === ExternKind.Func ? this.func(index) : index);
      for (const name of HOST_GLOBALS)
        to.name(`${HOST}.${name}`).byte(ExternKind.Global).u32(this.global[name]);
      to.name(`${HOST}.run`).byte(ExternKind.Func).u32(run);
      // Or a module that never looks at it would lose it, and Asyncify would make another for its frames.
      to.name(`${HOST}.memory`).byte(ExternKind.Memory).u32(0);
    });
  }

  private elements(out: Writer): void {
    const { elements, declared } = this.module;
    out.section(9, elements.length + 1, (to) => {
      for (const { mode, table, offset, type, items } of elements) {
        to.u32({ active: 6, passive: 5, declarative: 7 }[mode]);
        if (mode === "active") {
          to.u32(table);
          this.constant(to, offset);
        }
        to.byte(VALUE_TYPES[type]).vector(items, (item) => this.constant(to, item));
      }
      // What ref.func may name is what the module mentions, and exports are gone.
      to.u32(3)
        .byte(0)
        .vector([...declared], (index) => to.u32(this.func(index)));
    });
  }

  private constant(to: Writer, expression: ConstExpr): void {
    for (const op of expression) this.constantOp(to, op);
    to.byte(Code.End);
  }

  private constantOp(to: Writer, op: ConstOp): void {
    if (op.k === "global") to.byte(Code.GlobalGet).u32(op.index);
    else if (op.k === "func") to.byte(Code.RefFunc).u32(this.func(op.index));
    else if (op.k === "null") to.byte(0xd0, VALUE_TYPES[op.type]);
    else if (op.k === "binary")
      to.byte((op.type === "i32" ? 0x6a : 0x7c) + "+-*".indexOf(op.operator));
    else if (op.type === "i32") to.byte(Code.I32Const).signed(BigInt.asIntN(32, op.bits));
    else if (op.type === "i64") to.byte(Code.I64Const).signed(BigInt.asIntN(64, op.bits));
    else if (op.type === "f32") to.byte(0x43).fixed(op.bits, 4);
    else if (op.type === "f64") to.byte(0x44).fixed(op.bits, 8);
    else to.byte(Code.Vector).u32(12).fixed(op.bits, 16);
  }

  /** Writes the bodies; returns their source map, if there are lines. */
  private code(out: Writer, bodies: readonly Body[]): string | undefined {
    const starts: number[] = [];
    out.section(10, bodies.length, (to) => {
      for (const { bytes } of bodies) {
        to.sized(bytes);
        starts.push(to.length - bytes.length);
      }
      // Offsets in the file: the contents end where the section will.
      const contents = out.length + 1 + new Writer().u32(to.length).length;
      starts.forEach((start, i) => (starts[i] = start + contents));
    });
    if (!this.options.lines) return undefined;
    const map = new SourceMapWriter();
    bodies.forEach(({ positions, bytes }, i) => {
      for (const { at, position } of positions) map.add(starts[i]! + at, position);
      // What stands behind a function is another's.
      map.add(starts[i]! + bytes.length - 1, undefined);
    });
    return map.json;
  }

  private names(out: Writer): void {
    const named = this.module.funcs.flatMap((func, i): [number, string][] => {
      const name = this.module.funcNames.get(i) ?? func.imported?.field;
      return name === undefined ? [] : [[this.func(i), name]];
    });
    this.helpers.forEach(({ name }, i) => named.push([this.helperBase + i, name]));
    named.sort(([a], [b]) => a - b);
    const map = new Writer().vector(named, () => {});
    for (const [index, name] of named) map.u32(index).name(name);
    out.byte(0).sized(new Writer().name("name").byte(1).sized(map.bytes).bytes);
  }

  // ---- Functions that the module did not have ---------------------------------------------------

  /** (address, length, whether to write): the kernel's address of that range, or a trap. */
  private rangeBody(): Uint8Array {
    const { global, host } = this;
    const to = new Assembler().u32(0);
    to.op(Code.LocalGet, 0).op(Code.I64ExtendI32U);
    to.op(Code.LocalGet, 1).op(Code.I64ExtendI32U).op(Code.I64Add);
    to.op(Code.GlobalGet, global.bytes).op(Code.I64ExtendI32U).op(Code.I64GtU);
    to.byte(Code.If, I32);
    to.op(Code.LocalGet, 0).i32(0).op(Code.LocalGet, 1).op(Code.LocalGet, 2);
    to.op(Code.Call, host.far).op(Code.Else);
    to.op(Code.LocalGet, 0).op(Code.GlobalGet, global.base).op(Code.I32Add);
    return to.op(Code.End).op(Code.End).bytes;
  }

  /**
   * (address, offset): the kernel's address of the `bytes` bytes that begin `offset` behind an address, without the
   * offset if that is small. A call for each access, and not its instructions: Asyncify's cost grows faster than the
   * length of a function.
   */
  private place(bytes: number, write: boolean, small: boolean): number {
    const name = `place-${bytes}${write ? "w" : "r"}${small ? "" : "-far"}`;
    const known = this.places.get(name);
    if (known !== undefined) return known;
    const { global, host } = this;
    const to = new Assembler().u32(0);
    to.op(Code.LocalGet, 0).op(Code.I64ExtendI32U);
    to.op(Code.LocalGet, 1).op(Code.I64ExtendI32U).op(Code.I64Add);
    to.i64(bytes).op(Code.I64Add);
    to.op(Code.GlobalGet, global.bytes).op(Code.I64ExtendI32U).op(Code.I64GtU);
    to.byte(Code.If, I32).op(Code.LocalGet, 0).op(Code.LocalGet, 1);
    to.i32(bytes).i32(write ? 1 : 0);
    to.op(Code.Call, host.far).op(Code.Else);
    to.op(Code.LocalGet, 0).op(Code.GlobalGet, global.base).op(Code.I32Add);
    if (!small) to.op(Code.LocalGet, 1).op(Code.I32Add);
    const body = to.op(Code.End).op(Code.End).bytes;
    const index = this.helper(name, ["i32", "i32"], ["i32"], body);
    this.places.set(name, index);
    return index;
  }

  /** Charges the bytes in local `length`. */
  private charge(to: Assembler, length: number): void {
    to.op(Code.GlobalGet, this.global.fuel).op(Code.LocalGet, length).i32(BULK_SHIFT);
    to.op(Code.I32ShrU).op(Code.I32Sub).op(Code.GlobalSet, this.global.fuel);
  }

  private copyBody(): Uint8Array {
    const to = new Assembler().u32(0);
    to.op(Code.LocalGet, 0).op(Code.LocalGet, 2).i32(1).op(Code.Call, this.range);
    to.op(Code.LocalGet, 1).op(Code.LocalGet, 2).i32(0).op(Code.Call, this.range);
    to.op(Code.LocalGet, 2).bulk(BulkCode.MemoryCopy, 0, 0);
    this.charge(to, 2);
    return to.op(Code.End).bytes;
  }

  private fillBody(): Uint8Array {
    const to = new Assembler().u32(0);
    to.op(Code.LocalGet, 0).op(Code.LocalGet, 2).i32(1).op(Code.Call, this.range);
    to.op(Code.LocalGet, 1).op(Code.LocalGet, 2).bulk(BulkCode.MemoryFill, 0);
    this.charge(to, 2);
    return to.op(Code.End).bytes;
  }

  private growBody(): Uint8Array {
    const { global } = this;
    const old = 1;
    // One local beside the parameter.
    const to = new Assembler().u32(1).u32(1).byte(I32);
    to.op(Code.GlobalGet, global.bytes).i32(PAGE_SHIFT).op(Code.I32ShrU).op(Code.LocalSet, old);
    to.op(Code.LocalGet, 0).op(Code.GlobalGet, global.most).op(Code.LocalGet, old);
    to.op(Code.I32Sub).op(Code.I32GtU).byte(Code.If, VOID);
    to.op(Code.GlobalGet, global.record).op(Code.LocalGet, 0).op(Code.LocalGet, old);
    // No sum that the report could show is as large as one that wraps.
    to.op(Code.I32Add).i32(-1).op(Code.LocalGet, 0).i32(WASM_PAGE).op(Code.I32LtU);
    to.byte(Code.Select).op(Code.I32Store, 2, RECORD.refused);
    to.i32(-1).op(Code.Return).op(Code.End);
    const length = () => to.op(Code.LocalGet, 0).i32(PAGE_SHIFT).op(Code.I32Shl);
    to.op(Code.GlobalGet, global.base).op(Code.GlobalGet, global.bytes).op(Code.I32Add).i32(0);
    length().bulk(BulkCode.MemoryFill, 0);
    to.op(Code.GlobalGet, global.bytes);
    length().op(Code.I32Add).op(Code.GlobalSet, global.bytes);
    to.op(Code.GlobalGet, global.record).op(Code.GlobalGet, global.bytes);
    to.op(Code.I32Store, 2, RECORD.bytes);
    return to.op(Code.LocalGet, old).op(Code.End).bytes;
  }

  /** What an import becomes. */
  private callBody(index: number): Uint8Array {
    const { params, results } = this.module.funcs[index]!.type;
    const record = this.global.record;
    const to = new Assembler().u32(0);
    params.forEach((type, i) => {
      to.op(Code.GlobalGet, record).op(Code.LocalGet, i);
      if (type === "i32") to.op(Code.I64ExtendI32U);
      to.op(Code.I64Store, 3, RECORD.arguments + 8 * i);
    });
    to.op(Code.GlobalGet, record).i32(this.calls![index]!).op(Code.I32Store, 2, RECORD.call);
    to.i32(CALLED).op(Code.Call, this.host.leave);
    if (results.length) {
      to.op(Code.GlobalGet, record).op(Code.I64Load, 3, RECORD.result);
      if (results[0] === "i32") to.op(Code.I32WrapI64);
    }
    return to.op(Code.End).bytes;
  }

  /** The rest of instantiation (spec 4.5.4), then `_start`. */
  private runBody(): Uint8Array {
    const { module } = this;
    const to = new Assembler().u32(0);
    module.datas.forEach(({ mode, offset, bytes }, segment) => {
      if (mode !== "active") return;
      for (const op of offset) this.constantOp(to, op);
      to.i32(bytes.length).i32(1).op(Code.Call, this.range);
      to.i32(0).i32(bytes.length).byte(Code.Bulk).u32(BulkCode.MemoryInit).u32(segment).byte(0);
      to.byte(Code.Bulk).u32(BulkCode.DataDrop).u32(segment);
    });
    if (module.start !== undefined) to.op(Code.Call, this.func(module.start));
    const entry = module.exports.find(({ name }) => name === "_start");
    if (this.calls && entry) to.op(Code.Call, this.func(entry.index));
    return to.op(Code.End).bytes;
  }

  // ---- Functions of the module -------------------------------------------------------------------

  private body(index: number): Body {
    const { code, type } = this.module.funcs[index]!;
    const { start, end } = code!;
    const { locals, operands } = validateBody(this.module, index);
    const vectors = locals.includes("v128") ? 16 : 8;
    const wrapped = this.entersAnything(new Reader(this.bytes, start, end));
    return new BodyRewriter(this, new Reader(this.bytes, start, end), {
      locals: locals.length,
      frame: FRAME + (locals.length + operands) * vectors,
      results: wrapped ? this.blockType(type.results) : undefined,
      lines: this.options.lines,
    }).run();
  }

  private blockType(results: readonly ValueType[]): Uint8Array {
    if (results.length === 0) return Uint8Array.of(VOID);
    if (results.length === 1) return Uint8Array.of(VALUE_TYPES[results[0]!]);
    return new Writer().signed(this.type([], results)).bytes;
  }

  /** Whether a function has a loop or a call: others are over soon, and use little stack. */
  private entersAnything(r: Reader): boolean {
    skipGroups(r, r.u32());
    while (!r.done) {
      const code = r.byte();
      if (code === Code.Loop || (code >= Code.Call && code <= Code.ReturnCallIndirect)) return true;
      skipImmediates(r, code);
    }
    return false;
  }

  /** What bodies are rewritten with. */
  get indices() {
    const { host, global, range, copy, fill, grow } = this;
    const func = (index: number) => this.func(index);
    const place = (bytes: number, write: boolean, small: boolean) =>
      this.place(bytes, write, small);
    return { host, global, range, copy, fill, grow, func, place };
  }
}

interface Shape {
  /** Parameters and declared locals. */
  locals: number;
  /** Bytes that a frame counts for. */
  frame: number;
  /** Block type of the function's results, if it is to be wrapped in one. */
  results: Uint8Array | undefined;
  /** Of the whole module. */
  lines: LineMap | undefined;
}

class BodyRewriter {
  private readonly out = new Assembler();
  private readonly indices: Instrumenter["indices"];
  /** Locals added, by their use. */
  private readonly temporaries = new Map<string, { index: number; type: ValueType }>();
  /** Blocks open within the function. */
  private depth = 0;
  /** Where that begins which is still to be copied. */
  private copied = 0;
  /** Where the position changes, in `out`. */
  private readonly positions: { at: number; position: Position | undefined }[] = [];
  private position: Position | undefined;

  constructor(
    instrumenter: Instrumenter,
    private readonly r: Reader,
    private readonly shape: Shape,
  ) {
    this.indices = instrumenter.indices;
  }

  run(): Body {
    const { r, out } = this;
    const groups = new Writer();
    const groupCount = r.u32();
    const groupsAt = r.pos;
    skipGroups(r, groupCount);
    const declared = r.bytes.subarray(groupsAt, r.pos);
    if (this.shape.results !== undefined) this.enter(this.shape.results);
    this.copied = r.pos;
    while (!r.done) {
      const at = r.pos;
      const code = r.byte();
      // The function's own end is written below.
      if (code === Code.End && this.depth === 0) {
        this.copyTo(at);
        break;
      }
      this.mark(at);
      this.instruction(at, code);
    }
    if (this.shape.results !== undefined) this.leave();
    out.op(Code.End);
    groups.u32(groupCount + this.temporaries.size).raw(declared);
    for (const { type } of this.temporaries.values()) groups.u32(1).byte(VALUE_TYPES[type]);
    const before = groups.length;
    const positions = this.positions.map(({ at, position }) => ({ at: at + before, position }));
    return { bytes: groups.raw(out.bytes).bytes, positions };
  }

  /** Notes the position of the instruction at `at`, if it is another than that of the one before. */
  private mark(at: number): void {
    const position = this.shape.lines?.at(at, this.r.start);
    if (position === this.position) return;
    this.position = position;
    // Those not copied yet will be, up to here.
    this.positions.push({ at: this.out.length + at - this.copied, position });
  }

  private copyTo(at: number): void {
    this.out.raw(this.r.bytes.subarray(this.copied, at));
  }

  /** A local for a moment's use. */
  private temporary(use: string, type: ValueType): number {
    const known = this.temporaries.get(use + type);
    if (known) return known.index;
    const index = this.shape.locals + this.temporaries.size;
    this.temporaries.set(use + type, { index, type });
    return index;
  }

  private enter(results: Uint8Array): void {
    const { out } = this;
    const { global, host } = this.indices;
    out.op(Code.GlobalGet, global.stack).i32(this.shape.frame).op(Code.I32Sub);
    out.op(Code.GlobalSet, global.stack).op(Code.GlobalGet, global.stack).i32(0).op(Code.I32LtS);
    out.byte(Code.If, VOID).i32(Trap.Stack).op(Code.Call, host.trap).op(Code.Unreachable);
    out.op(Code.End);
    this.tick();
    out.byte(Code.Block).raw(results);
  }

  private leave(): void {
    const { stack } = this.indices.global;
    this.out.op(Code.End).op(Code.GlobalGet, stack).i32(this.shape.frame).op(Code.I32Add);
    this.out.op(Code.GlobalSet, stack);
  }

  /** Uses one unit of fuel. */
  private tick(): void {
    const { global, host } = this.indices;
    const { out } = this;
    out.op(Code.GlobalGet, global.fuel).i32(1).op(Code.I32Sub).op(Code.GlobalSet, global.fuel);
    out.op(Code.GlobalGet, global.fuel).i32(0).op(Code.I32LtS).byte(Code.If, VOID);
    out.i32(INTERRUPTED).op(Code.Call, host.leave).op(Code.End);
  }

  private instruction(at: number, code: number): void {
    const { r, out, indices } = this;
    const replace = (write: () => void) => {
      this.copyTo(at);
      write();
      this.copied = r.pos;
    };
    const sub = code === Code.Vector ? peek(r) : 0;
    const op = ops.get(code === Code.Vector ? (code << 8) | sub : code);
    if (op?.bytes) return replace(() => this.access(op, code, sub));
    switch (code) {
      case Code.Block:
      case Code.If:
        this.depth++;
        break;
      case Code.Loop:
        this.depth++;
        skipImmediates(r, code);
        this.copyTo(r.pos);
        this.copied = r.pos;
        return this.tick();
      case Code.End:
        this.depth--;
        break;
      case Code.Return:
        if (this.shape.results !== undefined) return replace(() => this.return());
        break;
      case Code.Call:
      case Code.RefFunc:
        return replace(() => out.op(code, indices.func(r.u32())));
      case Code.ReturnCall:
        return replace(() => {
          out.op(Code.Call, indices.func(r.u32()));
          this.return();
        });
      case Code.ReturnCallIndirect:
        return replace(() => {
          out.op(Code.CallIndirect, r.u32(), r.u32());
          this.return();
        });
      case Code.MemorySize:
        return replace(() => {
          r.byte();
          out.op(Code.GlobalGet, indices.global.bytes).i32(PAGE_SHIFT).op(Code.I32ShrU);
        });
      case Code.MemoryGrow:
        return replace(() => {
          r.byte();
          out.op(Code.Call, indices.grow);
        });
      case Code.Bulk:
        return this.bulk(replace);
    }
    skipImmediates(r, code);
  }

  /** Leaves the block around the function. */
  private return(): void {
    this.out.op(Code.Br, this.depth);
  }

  private bulk(replace: (write: () => void) => void): void {
    const { r, out, indices } = this;
    const at = r.pos;
    const sub = r.u32();
    if (sub === BulkCode.MemoryCopy) {
      return replace(() => {
        r.take(2);
        out.op(Code.Call, indices.copy);
      });
    }
    if (sub === BulkCode.MemoryFill) {
      return replace(() => {
        r.take(1);
        out.op(Code.Call, indices.fill);
      });
    }
    if (sub === BulkCode.MemoryInit) {
      return replace(() => {
        const segment = r.u32();
        r.byte();
        // (to, from, length) on the stack: `from` waits while `to` is looked up.
        const [length, from] = [this.temporary("length", "i32"), this.temporary("from", "i32")];
        out.op(Code.LocalSet, length).op(Code.LocalSet, from);
        out.op(Code.LocalGet, length).i32(1).op(Code.Call, indices.range);
        out.op(Code.LocalGet, from).op(Code.LocalGet, length);
        out.byte(Code.Bulk).u32(sub).u32(segment).byte(0);
      });
    }
    r.pos = at;
    skipImmediates(r, Code.Bulk);
  }

  /** A load or store: its operands are on the stack. */
  private access(op: Op, code: number, sub: number): void {
    const { r, out } = this;
    if (code === Code.Vector) r.u32();
    const align = r.u32();
    const offset = r.u32();
    const value = op.params.length > 1 ? this.temporary("value", op.params[1]!) : undefined;
    if (value !== undefined) out.op(Code.LocalSet, value);
    const small = offset < SMALL_OFFSET;
    out.i32(offset).op(Code.Call, this.indices.place(op.bytes, op.store, small));
    if (value !== undefined) out.op(Code.LocalGet, value);
    out.byte(code);
    if (code === Code.Vector) out.u32(sub);
    out.u32(align).u32(small ? offset : 0);
    if (op.lanes) out.byte(r.byte());
  }
}

const NOTHING = new Uint8Array();

const signature = ({ params, results }: FuncType): string => `${params.join()}:${results.join()}`;

function limits(to: Writer, { min, max }: Limits): Writer {
  return max === undefined ? to.byte(0).u32(min) : to.byte(1).u32(min).u32(max);
}

/** The number behind an opcode's prefix. */
function peek(r: Reader): number {
  const at = r.pos;
  const sub = r.u32();
  r.pos = at;
  return sub;
}

/** Skips a body's declarations of locals. */
function skipGroups(r: Reader, count: number): void {
  for (let i = 0; i < count; i++) {
    r.u32();
    r.byte();
  }
}

/** Skips what belongs to the instruction behind `code` (spec 5.4); the body is known to be valid. */
function skipImmediates(r: Reader, code: number): void {
  if (code === Code.Bulk) {
    const sub = r.u32();
    // Saturating conversions have none, and the rest one or two indices.
    if (sub >= BulkCode.MemoryInit) r.u32();
    if (sub === 8 || sub === 10 || sub === 12 || sub === 14) r.u32();
  } else if (code === Code.Vector) {
    const sub = r.u32();
    const op = ops.get((code << 8) | sub);
    if (sub === 12 || sub === 13) r.take(16);
    if (op?.bytes) skipMemoryArgument(r);
    if (op?.lanes) r.byte();
  } else if (code >= Code.I32Load && code < Code.MemorySize) skipMemoryArgument(r);
  else if (code === Code.Block || code === Code.Loop || code === Code.If) r.s33();
  else if (code === 0x0e) for (let labels = r.u32() + 1; labels > 0; labels--) r.u32();
  else if (code === Code.CallIndirect || code === Code.ReturnCallIndirect) (r.u32(), r.u32());
  else if (code === 0x1c) for (let types = r.u32(); types > 0; types--) r.byte();
  else if (code === Code.I32Const) r.s32();
  else if (code === Code.I64Const) r.s64();
  else if (code === 0x43) r.take(4);
  else if (code === 0x44) r.take(8);
  else if (WITH_INDEX.has(code)) r.u32();
}

/** Branches, calls, locals, globals, tables, memory.size and memory.grow, ref.null, ref.func. */
const WITH_INDEX = new Set([
  0x0c, 0x0d, 0x10, 0x12, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x3f, 0x40, 0xd0, 0xd2,
]);

function skipMemoryArgument(r: Reader): void {
  r.u32();
  r.u32();
}
