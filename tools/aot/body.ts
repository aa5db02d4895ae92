/**
 * Function bodies: decoded and type-checked in one pass (the algorithm of the spec's appendix,
 * "Validation Algorithm"). What comes out is live code only: instructions that cannot be reached
 * are checked and dropped, so that the emitter never meets a polymorphic stack.
 */
import {
  type FuncType,
  type Module,
  isReference,
  readReferenceType,
  readValueType,
} from "./module.ts";
import { type Op, type ValueType, ops, unsupported } from "./opcodes.ts";
import type { Reader } from "./reader.ts";

export interface Label {
  readonly kind: "function" | "block" | "loop" | "if";
  readonly type: FuncType;
  /** Some live branch goes here. */
  used: boolean;
  hasElse: boolean;
  /** Of `if`: control runs out of the first arm. */
  thenFalls: boolean;
}

export type Instr = { readonly at: number } & (
  | { readonly k: "op"; readonly op: Op; readonly offset: number; readonly lane: number }
  | { readonly k: "const"; readonly type: ValueType; readonly bits: bigint }
  | { readonly k: "shuffle"; readonly lanes: readonly number[] }
  | { readonly k: "block"; readonly label: Label }
  /** `falls`: control reaches this point from above. */
  | { readonly k: "else"; readonly falls: boolean }
  | { readonly k: "end"; readonly falls: boolean }
  | { readonly k: "br" | "br_if"; readonly label: Label }
  | { readonly k: "br_table"; readonly labels: readonly Label[]; readonly otherwise: Label }
  | { readonly k: "call" | "return_call"; readonly func: number }
  | {
      readonly k: "call_indirect" | "return_call_indirect";
      readonly type: number;
      readonly table: number;
    }
  | { readonly k: "return" | "unreachable" | "drop" | "select" }
  | { readonly k: "local.get" | "local.set" | "local.tee"; readonly index: number }
  | { readonly k: "global.get" | "global.set"; readonly index: number }
  | {
      readonly k: "table.get" | "table.set" | "table.size" | "table.grow" | "table.fill";
      readonly table: number;
    }
  | { readonly k: "table.init"; readonly table: number; readonly segment: number }
  | { readonly k: "table.copy"; readonly table: number; readonly from: number }
  | { readonly k: "memory.init" | "data.drop" | "elem.drop"; readonly segment: number }
  | { readonly k: "memory.size" | "memory.grow" | "memory.copy" | "memory.fill" | "ref.is_null" }
  | { readonly k: "ref.null"; readonly type: ValueType }
  | { readonly k: "ref.func"; readonly func: number }
);

/** An instruction before it has its place. */
type Bare = Instr extends infer I ? (I extends Instr ? Omit<I, "at"> : never) : never;

export interface Body {
  /** Parameters, then declared locals. */
  readonly locals: readonly ValueType[];
  readonly instrs: readonly Instr[];
  /** Most operands on its stack at once. */
  readonly operands: number;
  /** The function's own label: a branch there returns. */
  readonly label: Label;
}

/** Locals of one function: the limit that engines agree on. */
const MAX_LOCALS = 50_000;

/** The bottom type: what an unreachable stack yields. */
type Operand = ValueType | "any";

interface Frame {
  readonly label: Label;
  readonly height: number;
  /** Live when it was entered: it is part of the output. */
  readonly emitted: boolean;
  /** What follows in it is unreachable as validation sees it. */
  unreachable: boolean;
}

export function validateBody(module: Module, index: number): Body {
  return new Validator(module, index).run();
}

class Validator {
  private readonly module: Module;
  private readonly r: Reader;
  private readonly type: FuncType;
  private readonly locals: ValueType[];
  private readonly stack: Operand[] = [];
  private most = 0;
  private readonly frames: Frame[] = [];
  private readonly instrs: Instr[] = [];
  /** Where the current instruction stands. */
  private at = 0;
  /** Control can be here at all; weaker than `unreachable`, which ends with its block. */
  private live = true;

  constructor(module: Module, index: number) {
    const func = module.funcs[index]!;
    this.module = module;
    this.r = func.code!;
    this.type = func.type;
    this.locals = [...func.type.params];
  }

  run(): Body {
    const { r } = this;
    for (let groups = r.u32(); groups > 0; groups--) {
      const at = r.pos;
      const count = r.u32();
      if (this.locals.length + count > MAX_LOCALS) r.fail("too many locals", at);
      const type = readValueType(r);
      for (let i = 0; i < count; i++) this.locals.push(type);
    }
    // Parameters are locals, not operands.
    const type = { params: [], results: this.type.results };
    const label: Label = { kind: "function", type, used: false, hasElse: false, thenFalls: false };
    this.enter(label);
    while (this.frames.length > 0) {
      this.at = r.pos;
      this.instruction(r.byte());
    }
    if (!r.done) r.fail("section size mismatch: code after the end of the function");
    return { locals: this.locals, instrs: this.instrs, operands: this.most, label };
  }

  private fail(reason: string): never {
    this.r.fail(reason, this.at);
  }

  private out(instr: Bare): void {
    if (this.live) this.instrs.push({ ...instr, at: this.at } as Instr);
  }

  // ---- The two stacks ----------------------------------------------------------------------

  private push(...types: readonly Operand[]): void {
    for (const type of types) this.stack.push(type);
    this.most = Math.max(this.most, this.stack.length);
  }

  private pop(expected: Operand = "any"): Operand {
    const frame = this.frames.at(-1)!;
    if (this.stack.length === frame.height) {
      if (frame.unreachable) return "any";
      this.fail(`type mismatch: expected ${expected} but the stack is empty`);
    }
    const actual = this.stack.pop()!;
    if (actual !== expected && actual !== "any" && expected !== "any") {
      this.fail(`type mismatch: expected ${expected}, found ${actual}`);
    }
    return actual;
  }

  private popAll(types: readonly ValueType[]): void {
    for (let i = types.length - 1; i >= 0; i--) this.pop(types[i]!);
  }

  private enter(label: Label): void {
    this.frames.push({ label, height: this.stack.length, emitted: this.live, unreachable: false });
    this.push(...label.type.params);
  }

  private leave(): Frame {
    const frame = this.frames.at(-1)!;
    this.popAll(frame.label.type.results);
    if (this.stack.length !== frame.height)
      this.fail("type mismatch: values remain at the end of the block");
    this.frames.pop();
    return frame;
  }

  /** What follows cannot be reached. */
  private stop(): void {
    const frame = this.frames.at(-1)!;
    this.stack.length = frame.height;
    frame.unreachable = true;
    this.live = false;
  }

  private label(depth: number): Label {
    const frame = this.frames.at(-1 - depth);
    if (!frame) this.fail(`unknown label ${depth}`);
    if (this.live) frame.label.used = true;
    return frame.label;
  }

  /** The types that a branch to the label carries. */
  private carried(label: Label): readonly ValueType[] {
    return label.kind === "loop" ? label.type.params : label.type.results;
  }

  // ---- Index spaces ------------------------------------------------------------------------

  private entry<T>(space: readonly T[], what: string, index: number): T {
    const entry = space[index];
    if (entry === undefined) this.fail(`unknown ${what} ${index}`);
    return entry;
  }

  private tableAt(index: number) {
    return this.entry(this.module.tables, "table", index);
  }

  private needMemory(): void {
    if (this.module.memories.length === 0) this.fail("unknown memory 0");
  }

  private zeroByte(): void {
    if (this.r.byte() !== 0) this.fail("zero byte expected: multiple memories are unsupported");
    this.needMemory();
  }

  private segment(): number {
    if (this.module.dataCount === undefined) this.fail("data count section required");
    const index = this.r.u32();
    if (index >= this.module.dataCount) this.fail(`unknown data segment ${index}`);
    return index;
  }

  private blockType(): FuncType {
    const { r } = this;
    const byte = r.peek();
    if (byte === 0x40) {
      r.byte();
      return { params: [], results: [] };
    }
    if (byte & 0x40 && byte < 0x80) return { params: [], results: [readValueType(r)] };
    const index = r.s33();
    if (index < 0) this.fail("malformed block type");
    return this.entry(this.module.types, "type", index);
  }

  // ---- Instructions ------------------------------------------------------------------------

  private instruction(byte: number): void {
    const { r, module } = this;
    let code = byte;
    if (byte >= 0xfb && byte <= 0xfe) {
      const sub = r.u32();
      code = sub < 0x100 ? (byte << 8) | sub : (byte << 12) | (sub & 0xfff);
      if (byte === 0xfb || byte === 0xfe || sub > 0xfff) code = byte;
    }
    const op = ops.get(code);
    if (op) return this.numeric(op);
    switch (code) {
      case 0x00:
        this.out({ k: "unreachable" });
        return this.stop();
      case 0x01:
        return;
      case 0x02:
        return this.block("block");
      case 0x03:
        return this.block("loop");
      case 0x04:
        this.pop("i32");
        return this.block("if");
      case 0x05:
        return this.else();
      case 0x0b:
        return this.end();
      case 0x0c: {
        const label = this.label(r.u32());
        this.popAll(this.carried(label));
        this.out({ k: "br", label });
        return this.stop();
      }
      case 0x0d: {
        const label = this.label(r.u32());
        this.pop("i32");
        this.popAll(this.carried(label));
        this.push(...this.carried(label));
        return this.out({ k: "br_if", label });
      }
      case 0x0e:
        return this.branchTable();
      case 0x0f:
        this.popAll(this.type.results);
        this.out({ k: "return" });
        return this.stop();
      case 0x10: {
        const func = r.u32();
        this.call(this.entry(module.funcs, "function", func).type);
        return this.out({ k: "call", func });
      }
      case 0x12: {
        const func = r.u32();
        this.tail(this.entry(module.funcs, "function", func).type);
        this.out({ k: "return_call", func });
        return this.stop();
      }
      case 0x11:
      case 0x13: {
        const type = r.u32();
        const table = r.u32();
        const callee = this.entry(module.types, "type", type);
        if (this.tableAt(table).type !== "funcref")
          this.fail("type mismatch: indirect call through no funcref table");
        this.pop("i32");
        if (code === 0x11) {
          this.call(callee);
          return this.out({ k: "call_indirect", type, table });
        }
        this.tail(callee);
        this.out({ k: "return_call_indirect", type, table });
        return this.stop();
      }
      case 0x1a:
        this.pop();
        return this.out({ k: "drop" });
      case 0x1b:
      case 0x1c:
        return this.select(code === 0x1c);
      case 0x20:
      case 0x21:
      case 0x22: {
        const index = r.u32();
        const type = this.entry(this.locals, "local", index);
        if (code !== 0x20) this.pop(type);
        if (code !== 0x21) this.push(type);
        return this.out({
          k: (["local.get", "local.set", "local.tee"] as const)[code - 0x20]!,
          index,
        });
      }
      case 0x23:
      case 0x24: {
        const index = r.u32();
        const global = this.entry(module.globals, "global", index);
        if (code === 0x24 && !global.mutable) this.fail(`global ${index} is immutable`);
        if (code === 0x23) this.push(global.type);
        else this.pop(global.type);
        return this.out({ k: code === 0x23 ? "global.get" : "global.set", index });
      }
      case 0x25:
      case 0x26: {
        const index = r.u32();
        const table = this.tableAt(index);
        table.touched = true;
        if (code === 0x26) this.pop(table.type);
        this.pop("i32");
        if (code === 0x25) this.push(table.type);
        return this.out({ k: code === 0x25 ? "table.get" : "table.set", table: index });
      }
      case 0x3f:
        this.zeroByte();
        this.push("i32");
        return this.out({ k: "memory.size" });
      case 0x40:
        this.zeroByte();
        this.apply(["i32"], "i32");
        return this.out({ k: "memory.grow" });
      case 0x41:
        return this.literal("i32", BigInt.asUintN(32, BigInt(r.s32())));
      case 0x42:
        return this.literal("i64", BigInt.asUintN(64, r.s64()));
      case 0x43:
        return this.literal("f32", r.fixed(4));
      case 0x44:
        return this.literal("f64", r.fixed(8));
      case 0xfd0c:
        return this.literal("v128", r.fixed(16));
      case 0xfd0d: {
        const lanes = [...r.take(16)];
        if (lanes.some((lane) => lane >= 32)) this.fail("invalid lane index");
        this.apply(["v128", "v128"], "v128");
        return this.out({ k: "shuffle", lanes });
      }
      case 0xd0: {
        const type = readReferenceType(r);
        this.push(type);
        return this.out({ k: "ref.null", type });
      }
      case 0xd1: {
        const type = this.pop();
        if (type !== "any" && !isReference(type))
          this.fail(`type mismatch: expected a reference, found ${type}`);
        this.push("i32");
        return this.out({ k: "ref.is_null" });
      }
      case 0xd2: {
        const func = r.u32();
        this.entry(module.funcs, "function", func);
        if (!module.declared.has(func)) this.fail(`undeclared function reference ${func}`);
        this.push("funcref");
        return this.out({ k: "ref.func", func });
      }
      case 0xfc08: {
        const segment = this.segment();
        this.zeroByte();
        this.apply(["i32", "i32", "i32"]);
        return this.out({ k: "memory.init", segment });
      }
      case 0xfc09:
        return this.out({ k: "data.drop", segment: this.segment() });
      case 0xfc0a:
        this.zeroByte();
        this.zeroByte();
        this.apply(["i32", "i32", "i32"]);
        return this.out({ k: "memory.copy" });
      case 0xfc0b:
        this.zeroByte();
        this.apply(["i32", "i32", "i32"]);
        return this.out({ k: "memory.fill" });
      default:
        return this.tableInstruction(code);
    }
  }

  private tableInstruction(code: number): void {
    const { r, module } = this;
    switch (code) {
      case 0xfc0c: {
        const segment = r.u32();
        const table = r.u32();
        const to = this.tableAt(table);
        const from = this.entry(module.elements, "element segment", segment);
        if (to.type !== from.type) this.fail("type mismatch: element segment and table");
        to.touched = true;
        this.apply(["i32", "i32", "i32"]);
        return this.out({ k: "table.init", table, segment });
      }
      case 0xfc0d: {
        const segment = r.u32();
        this.entry(module.elements, "element segment", segment);
        return this.out({ k: "elem.drop", segment });
      }
      case 0xfc0e: {
        const table = r.u32();
        const from = r.u32();
        const target = this.tableAt(table);
        const source = this.tableAt(from);
        if (target.type !== source.type) this.fail("type mismatch: tables differ in type");
        target.touched = source.touched = true;
        this.apply(["i32", "i32", "i32"]);
        return this.out({ k: "table.copy", table, from });
      }
      case 0xfc0f: {
        const table = r.u32();
        const grown = this.tableAt(table);
        grown.grows = grown.touched = true;
        this.apply([grown.type, "i32"], "i32");
        return this.out({ k: "table.grow", table });
      }
      case 0xfc10: {
        const table = r.u32();
        this.tableAt(table);
        this.push("i32");
        return this.out({ k: "table.size", table });
      }
      case 0xfc11: {
        const table = r.u32();
        const filled = this.tableAt(table);
        filled.touched = true;
        this.apply(["i32", filled.type, "i32"]);
        return this.out({ k: "table.fill", table });
      }
    }
    const proposal = unsupported(code);
    if (proposal) this.fail(`unsupported: ${proposal} (opcode 0x${code.toString(16)})`);
    this.fail(`illegal opcode 0x${code.toString(16)}`);
  }

  private apply(params: readonly ValueType[], result?: ValueType): void {
    this.popAll(params);
    if (result) this.push(result);
  }

  private literal(type: ValueType, bits: bigint): void {
    this.push(type);
    this.out({ k: "const", type, bits });
  }

  private numeric(op: Op): void {
    const { r } = this;
    let offset = 0;
    let lane = 0;
    if (op.bytes > 0) {
      this.needMemory();
      const align = r.u32();
      if (align >= 64 && align < 128) this.fail("unsupported: multiple memories");
      if (align >= 32) this.fail("malformed memory operation flags");
      if (2 ** align > op.bytes) this.fail("alignment must not be larger than natural");
      offset = r.u32();
    }
    if (op.lanes > 0) {
      lane = r.byte();
      if (lane >= op.lanes) this.fail("invalid lane index");
    }
    this.apply(op.params, op.result);
    this.out({ k: "op", op, offset, lane });
  }

  private select(typed: boolean): void {
    const { r } = this;
    let type: Operand;
    if (typed) {
      if (r.u32() !== 1) this.fail("invalid result arity of select");
      type = readValueType(r);
    }
    this.pop("i32");
    if (typed) {
      this.apply([type! as ValueType, type! as ValueType], type! as ValueType);
    } else {
      const second = this.pop();
      const first = this.pop(second);
      if (first !== "any" && isReference(first))
        this.fail("type mismatch: select of references needs a type");
      this.push(first === "any" ? second : first);
    }
    this.out({ k: "select" });
  }

  private call(type: FuncType): void {
    this.popAll(type.params);
    this.push(...type.results);
  }

  private tail(type: FuncType): void {
    const same =
      type.results.length === this.type.results.length &&
      type.results.every((result, i) => result === this.type.results[i]);
    if (!same) this.fail("type mismatch: tail call to a function with other results");
    this.popAll(type.params);
  }

  private block(kind: "block" | "loop" | "if"): void {
    const type = this.blockType();
    const label: Label = { kind, type, used: false, hasElse: false, thenFalls: false };
    this.popAll(type.params);
    this.out({ k: "block", label });
    this.enter(label);
  }

  private else(): void {
    const { label } = this.frames.at(-1)!;
    if (label.kind !== "if" || label.hasElse) this.fail("else without if");
    const falls = this.live;
    const frame = this.leave();
    label.hasElse = true;
    this.live = frame.emitted;
    this.out({ k: "else", falls });
    this.enter(label);
    label.thenFalls = falls;
  }

  private end(): void {
    const falls = this.live;
    const frame = this.leave();
    const { label } = frame;
    if (label.kind === "if" && !label.hasElse) {
      const { params, results } = label.type;
      const same =
        params.length === results.length && params.every((param, i) => param === results[i]);
      if (!same) this.fail("type mismatch: if without else must yield what it takes");
    }
    this.live = frame.emitted;
    this.out({ k: "end", falls });
    const skipped = label.kind === "if" && !label.hasElse;
    const joined = label.thenFalls || (label.used && label.kind !== "loop");
    this.live = frame.emitted && (falls || joined || skipped);
    this.push(...label.type.results);
  }

  private branchTable(): void {
    const { r } = this;
    const count = r.u32();
    if (count > r.end - r.pos) this.fail("length out of bounds");
    const labels = Array.from({ length: count }, () => this.label(r.u32()));
    const otherwise = this.label(r.u32());
    this.pop("i32");
    const arity = this.carried(otherwise).length;
    for (const label of labels) {
      const types = this.carried(label);
      if (types.length !== arity) this.fail("type mismatch: labels of br_table differ in arity");
      // Popped and pushed back as they are: an unreachable operand stays of any type.
      const popped = [...types].reverse().map((type) => this.pop(type));
      this.push(...popped.reverse());
    }
    this.popAll(this.carried(otherwise));
    this.out({ k: "br_table", labels, otherwise });
    this.stop();
  }
}
