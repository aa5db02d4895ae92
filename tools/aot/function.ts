/**
 * One function body → C statements.
 *
 * The operand stack holds C expressions that are not yet evaluated. An instruction without side
 * effects only builds a larger expression; one with side effects becomes a statement, and first
 * moves into temporaries ("settles") whatever waits on the stack and could notice it. So order is
 * exactly that of Wasm while most values never get a name of their own. Temporaries are assigned
 * once (block results and loop parameters once a path), which is the form that C compilers like.
 *
 * Control flow: `if` becomes `if`, everything else labels and `goto`.
 */
import { type Body, type Instr, type Label } from "./body.ts";
import { floatLiteral, integerLiteral, vectorLiteral } from "./literals.ts";
import { type FuncType } from "./module.ts";
import { isPlainLocal } from "./names.ts";
import { Trap, type ValueType } from "./opcodes.ts";

/** What a body must know of its module, in C's terms. */
export interface Scope {
  /** C name of a function; its trampoline step (see `emit.ts`); its static descriptor. */
  func(index: number): string;
  step(index: number): string;
  reference(index: number): string;
  funcType(index: number): FuncType;
  type(index: number): FuncType;
  typeId(index: number): string;
  /** C lvalue of a global, and whether it never changes. */
  global(index: number): { readonly c: string; readonly type: ValueType; readonly fixed: boolean };
  /** Pointer to a `struct wasm_table`. */
  table(index: number): string;
  tableType(index: number): ValueType;
  /** Expression for the descriptor at `index` of a table, checked against a type id. */
  lookup(table: number, index: string, typeId: string): string;
  /** Arguments `array, length` of a segment as it stands now; statement that drops it. */
  dataSegment(index: number): string;
  elementSegment(index: number): string;
  dropData(index: number): string;
  dropElement(index: number): string;
  /** Global C names, which locals must not shadow. */
  isTaken(name: string): boolean;
}

export const C_TYPES: Record<ValueType, string> = {
  i32: "u32",
  i64: "u64",
  f32: "f32",
  f64: "f64",
  v128: "v128",
  funcref: "funcref",
  externref: "externref",
};

/** C type of a function's result: `void`, a value, or a struct with members r0, r1, … */
export function resultType({ results }: FuncType): string {
  if (results.length === 0) return "void";
  if (results.length === 1) return C_TYPES[results[0]!];
  return `struct wasm_${results.join("_")}`;
}

export const pointerType = (type: FuncType): string =>
  `${resultType(type)} (*)(${type.params.map((param) => C_TYPES[param]).join(", ") || "void"})`;

export const zero = (type: ValueType): string => (type === "v128" ? "wasm_v128(0, 0)" : "0");

export interface Statement {
  /** Offset in the file of the instruction that caused it, or of one in it that may trap. */
  readonly at: number;
  readonly text: string;
  readonly depth: number;
}

/** State that an expression reads, as bits. */
const enum Reads {
  None = 0,
  Memory = 1,
  Globals = 2,
  Tables = 4,
}

/** An expression on the operand stack. */
interface Value {
  readonly type: ValueType;
  /** Usable as an operand: a primary expression. */
  readonly c: string;
  /** The same without outer parentheses. */
  readonly bare: string;
  /** The same as a truth value. */
  readonly test?: string;
  readonly locals: ReadonlySet<number>;
  readonly reads: number;
  readonly trap: Trap;
  /** Of one that may trap: offset in the file of an instruction that may. */
  readonly trapAt?: number | undefined;
  /** A constant or a temporary: never changes while it is on the stack. */
  readonly fixed: boolean;
  readonly literal?: bigint;
}

interface Frame {
  readonly label: Label;
  readonly name: string;
  /** Stack height below the block's parameters. */
  readonly height: number;
  /** Temporaries that branches to the label assign. */
  readonly targets: readonly string[];
  /** Of `if`: the parameters, for the other arm. */
  readonly params: readonly Value[];
}

const NO_LOCALS: ReadonlySet<number> = new Set();

/** Longer expressions are cut into temporaries, for compilers that bound nesting, and for readers. */
const MAX_EXPRESSION = 320;

/**
 * The name of the value whose bytes `a | b` has in reverse, as AssemblyScript's `bswap<u32>` puts it, else
 * null. C compilers know the form by themselves, until they know a part of the value.
 */
function byteSwapped(a: Value, b: Value): string | null {
  const [, left] = /^wasm_rotl32\((\w+) & 4278255360u, 8u\)$/.exec(a.bare) ?? [];
  const [, right] = /^wasm_rotr32\((\w+) & 16711935u, 8u\)$/.exec(b.bare) ?? [];
  return left !== undefined && left === right ? left : null;
}

export class FunctionEmitter {
  readonly statements: Statement[] = [];
  readonly localNames: readonly string[];
  private readonly scope: Scope;
  private readonly index: number;
  private readonly type: FuncType;
  private readonly body: Body;
  /** Results go to the trampoline's slots (`emit.ts`) instead of a C return value. */
  private readonly stepped: boolean;
  private readonly stack: Value[] = [];
  private readonly frames: Frame[] = [];
  private readonly temps = new Map<string, string[]>();
  private tempCount = 0;
  private labelCount = 0;
  private depth = 1;
  private at = 0;
  private restarts = false;

  constructor(
    scope: Scope,
    index: number,
    body: Body,
    stepped: boolean,
    names: ReadonlyMap<number, string> | undefined,
  ) {
    this.scope = scope;
    this.index = index;
    this.type = scope.funcType(index);
    this.body = body;
    this.stepped = stepped;
    const used = new Set<string>();
    this.localNames = body.locals.map((_, i) => {
      const name = names?.get(i) ?? "";
      const wanted = name.replace(/\W/g, "_");
      const plain = isPlainLocal(wanted) && !used.has(wanted) && !scope.isTaken(wanted);
      const chosen = plain ? wanted : `l${i}`;
      used.add(chosen);
      return chosen;
    });
  }

  /** Emits the body; afterwards `statements` and `declarations` hold it. */
  run(): void {
    const { instrs } = this.body;
    this.frames.push({ label: this.body.label, name: "", height: 0, targets: [], params: [] });
    for (let i = 0; i < instrs.length; i++) {
      this.at = instrs[i]!.at;
      if (this.instruction(instrs[i]!, instrs[i + 1])) i++;
    }
  }

  get callsOut(): boolean {
    return this.body.instrs.some((instr) => instr.k === "call" || instr.k === "call_indirect");
  }

  /** Declared locals and temporaries, in C. */
  declarations(): string[] {
    const variables = new Map<string, string[]>();
    const declare = (cType: string, ...names: string[]) =>
      variables.set(cType, [...(variables.get(cType) ?? []), ...names]);
    const params = this.type.params.length;
    this.body.locals.slice(params).forEach((type, i) => {
      declare(C_TYPES[type], `${this.localNames[params + i]} = ${zero(type)}`);
    });
    for (const [cType, names] of this.temps) declare(cType, ...names);
    const lines = [...variables].map(([cType, names]) => `${cType} ${names.join(", ")};`);
    return this.restarts ? [...lines, "top:;"] : lines;
  }

  // ---- Statements and temporaries ----------------------------------------------------------

  /** Emits a statement, whose line is that of what may trap in `value`, since that is what reports are about. */
  private emit(text: string, value?: Value): void {
    this.statements.push({ at: value?.trapAt ?? this.at, text, depth: this.depth });
  }

  private temp(cType: string): string {
    const name = `t${this.tempCount++}`;
    const names = this.temps.get(cType);
    if (names) names.push(name);
    else this.temps.set(cType, [name]);
    return name;
  }

  private fixed(type: ValueType, c: string): Value {
    return { type, c, bare: c, locals: NO_LOCALS, reads: Reads.None, trap: Trap.None, fixed: true };
  }

  private settle(value: Value): Value {
    if (value.fixed) return value;
    const name = this.temp(C_TYPES[value.type]);
    this.emit(`${name} = ${value.bare};`, value);
    return this.fixed(value.type, name);
  }

  private settleWhere(condition: (value: Value) => boolean, from = 0): void {
    for (let i = from; i < this.stack.length; i++) {
      const value = this.stack[i]!;
      if (!value.fixed && condition(value)) this.stack[i] = this.settle(value);
    }
  }

  private settleAll(): void {
    this.settleWhere(() => true);
  }

  /** Before control leaves, or state that a trap exposes changes. */
  private settleTraps(): void {
    this.settleWhere((value) => value.trap !== Trap.None);
  }

  private settleReaders(reads: number): void {
    this.settleWhere((value) => (value.reads & reads) !== 0 || value.trap !== Trap.None);
  }

  // ---- The operand stack -------------------------------------------------------------------

  private pop(): Value {
    return this.stack.pop()!;
  }

  private popMany(count: number): Value[] {
    return count === 0 ? [] : this.stack.splice(-count);
  }

  private push(value: Value): void {
    // Of two expressions that trap in different ways, the first must be evaluated first.
    if (value.trap === Trap.Other) this.settleTraps();
    if (value.trap === Trap.Memory) this.settleWhere((other) => other.trap === Trap.Other);
    this.stack.push(value.bare.length > MAX_EXPRESSION ? this.settle(value) : value);
  }

  /** Pushes an expression over `operands`. */
  private compute(
    type: ValueType,
    bare: string,
    operands: readonly Value[],
    more: { test?: boolean; trap?: Trap; reads?: number } = {},
  ): void {
    let { trap = Trap.None, reads = Reads.None } = more;
    let trapAt = trap === Trap.None ? undefined : this.at;
    let locals: ReadonlySet<number> = NO_LOCALS;
    for (const operand of operands) {
      if (operand.trap > trap) ({ trap, trapAt } = operand);
      reads |= operand.reads;
      if (operand.locals.size > 0) {
        locals = locals.size > 0 ? new Set([...locals, ...operand.locals]) : operand.locals;
      }
    }
    const common = { type, locals, reads, trap, trapAt, fixed: false };
    if (more.test)
      this.push({ ...common, c: `(u32)(${bare})`, bare: `(u32)(${bare})`, test: bare });
    else
      this.push({
        ...common,
        c: /^\w+\(/.test(bare) && !bare.includes(") ") ? bare : `(${bare})`,
        bare,
      });
  }

  private pushLocal(index: number): void {
    const c = this.localNames[index]!;
    const type = this.body.locals[index]!;
    const locals = new Set([index]);
    this.stack.push({ type, c, bare: c, locals, reads: Reads.None, trap: Trap.None, fixed: false });
  }

  private pushConst(type: ValueType, bits: bigint): void {
    const c =
      type === "v128"
        ? vectorLiteral(bits)
        : type === "f32" || type === "f64"
          ? floatLiteral(type, bits)
          : integerLiteral(type, bits);
    this.stack.push({ ...this.fixed(type, c), literal: bits });
  }

  private condition(value: Value): string {
    return value.test ?? value.bare;
  }

  // ---- Control -----------------------------------------------------------------------------

  private frameOf(label: Label): Frame {
    return this.frames.find((frame) => frame.label === label)!;
  }

  private enter(label: Label): void {
    const condition = label.kind === "if" ? this.pop() : undefined;
    this.settleAll();
    const { params, results } = label.type;
    const height = this.stack.length - params.length;
    const carried =
      label.kind === "loop" ? params : label.kind === "if" || label.used ? results : [];
    const targets = carried.map((type) => this.temp(C_TYPES[type]));
    const name = `L${this.labelCount++}`;
    this.frames.push({ label, name, height, targets, params: this.stack.slice(height) });
    if (label.kind === "loop") {
      this.popMany(params.length).forEach((value, i) => {
        this.emit(`${targets[i]} = ${value.bare};`);
        this.stack.push(this.fixed(value.type, targets[i]!));
      });
      if (label.used) this.emit(`${name}:;`);
    }
    if (condition) {
      this.emit(`if (${this.condition(condition)}) {`);
      this.depth++;
    }
  }

  private else(falls: boolean): void {
    const frame = this.frames.at(-1)!;
    if (falls) this.carry(frame, this.stack.slice(frame.height));
    this.stack.length = frame.height;
    this.stack.push(...frame.params);
    this.depth--;
    this.emit("} else {");
    this.depth++;
  }

  private end(falls: boolean): void {
    const frame = this.frames.pop()!;
    const { label } = frame;
    if (label.kind === "function") {
      if (falls) this.leaveFunction(this.popMany(this.type.results.length));
      return;
    }
    const joins = label.kind === "if" || (label.kind === "block" && label.used);
    if (!joins) {
      // Nothing but falling through leads past this point: what is on the stack stays as it is.
      if (!falls) this.stack.length = frame.height;
      return;
    }
    if (falls) this.carry(frame, this.stack.slice(frame.height));
    if (label.kind === "if") {
      this.depth--;
      if (!label.hasElse && frame.targets.length > 0) {
        this.emit("} else {");
        this.depth++;
        this.carry(frame, frame.params);
        this.depth--;
      }
      this.emit("}");
    }
    this.stack.length = frame.height;
    label.type.results.forEach((type, i) => this.stack.push(this.fixed(type, frame.targets[i]!)));
    if (label.used) this.emit(`${frame.name}:;`);
  }

  /** Assigns a label's temporaries. */
  private carry(frame: Frame, values: readonly Value[]): void {
    // A loop's new parameters may be made of its old ones: read them all before writing any.
    const parallel = frame.label.kind === "loop" && values.length > 1;
    const sources = values.map((value) => {
      if (!parallel || value.literal !== undefined) return value.bare;
      const copy = this.temp(C_TYPES[value.type]);
      this.emit(`${copy} = ${value.bare};`);
      return copy;
    });
    sources.forEach((source, i) => this.emit(`${frame.targets[i]} = ${source};`));
  }

  private jump(label: Label, values: readonly Value[]): void {
    if (label.kind === "function") return this.leaveFunction(values);
    const frame = this.frameOf(label);
    this.carry(frame, values);
    this.emit(`goto ${frame.name};`);
  }

  private arity(label: Label): number {
    return label.kind === "loop" ? label.type.params.length : label.type.results.length;
  }

  private leaveFunction(values: readonly Value[]): void {
    if (this.stepped) {
      this.fillSlots(values);
      this.emit("return 0;");
    } else if (values.length === 0) {
      this.emit("return;");
    } else if (values.length === 1) {
      this.emit(`return ${values[0]!.bare};`, values[0]);
    } else {
      this.emit(
        `return (${resultType(this.type)}){${values.map((value) => value.bare).join(", ")}};`,
      );
    }
  }

  private fillSlots(values: readonly Value[]): void {
    values.forEach((value, i) => this.emit(`slots[${i}].${value.type} = ${value.bare};`));
  }

  private branchIf(label: Label): void {
    const condition = this.pop();
    const count = this.arity(label);
    this.settleTraps();
    this.settleWhere(() => true, this.stack.length - count);
    const values = this.stack.slice(this.stack.length - count);
    if (count === 0 && label.kind !== "function") {
      return this.emit(
        `if (${this.condition(condition)}) goto ${this.frameOf(label).name};`,
        condition,
      );
    }
    this.emit(`if (${this.condition(condition)}) {`, condition);
    this.depth++;
    this.jump(label, values);
    this.depth--;
    this.emit("}");
  }

  private branchTable(labels: readonly Label[], otherwise: Label): void {
    const index = this.pop();
    this.settleTraps();
    const values = this.popMany(this.arity(otherwise)).map((value) => this.settle(value));
    const cases = new Map<Label, number[]>();
    labels.forEach((label, i) => {
      if (label === otherwise) return;
      const indices = cases.get(label);
      if (indices) indices.push(i);
      else cases.set(label, [i]);
    });
    this.emit(`switch (${index.bare}) {`);
    for (const [label, indices] of cases) {
      this.emit(indices.map((i) => `case ${i}:`).join(" "));
      this.depth++;
      this.jump(label, values);
      this.depth--;
    }
    this.emit("default:");
    this.depth++;
    this.jump(otherwise, values);
    this.depth--;
    this.emit("}");
  }

  // ---- Calls -------------------------------------------------------------------------------

  /** Emits a call and pushes its results. True if it consumed `next`, a `local.set`. */
  private call(
    type: FuncType,
    callee: string,
    args: readonly Value[],
    next: Instr | undefined,
  ): boolean {
    this.settleReaders(Reads.Memory | Reads.Globals | Reads.Tables);
    const text = `${callee}(${args.map((arg) => arg.bare).join(", ")})`;
    return this.assign(type.results, resultType(type), text, next);
  }

  /** Emits `text`, which has side effects, and pushes its results. True if it consumed `next`. */
  private assign(
    results: readonly ValueType[],
    cType: string,
    text: string,
    next: Instr | undefined,
  ): boolean {
    if (results.length === 1 && next?.k === "local.set") {
      this.settleWhere((value) => value.locals.has(next.index));
      this.emit(`${this.localNames[next.index]} = ${text};`);
      return true;
    }
    if (results.length === 0) {
      this.emit(`${text};`);
      return false;
    }
    const name = this.temp(cType);
    this.emit(`${name} = ${text};`);
    if (results.length === 1) this.stack.push(this.fixed(results[0]!, name));
    else results.forEach((type, i) => this.stack.push(this.fixed(type, `${name}.r${i}`)));
    return false;
  }

  /** The descriptor to call through. The check may trap: arguments that may, too, come before it. */
  private callee(instr: { type: number; table: number }): { descriptor: string; args: Value[] } {
    const type = this.scope.type(instr.type);
    const index = this.pop();
    this.settleTraps();
    const args = this.popMany(type.params.length);
    return {
      descriptor: this.scope.lookup(instr.table, index.bare, this.scope.typeId(instr.type)),
      args,
    };
  }

  private tailCall(func: number): void {
    const args = this.popMany(this.scope.funcType(func).params.length);
    this.settleTraps();
    if (func !== this.index) {
      this.fillSlots(args);
      return this.emit(`return (void *)${this.scope.step(func)};`);
    }
    const count = args.length;
    const copies = args.map((arg) => (arg.literal === undefined ? this.copy(arg) : arg.bare));
    copies.forEach((copy, i) => this.emit(`${this.localNames[i]} = ${copy};`));
    this.body.locals.slice(count).forEach((type, i) => {
      this.emit(`${this.localNames[count + i]} = ${zero(type)};`);
    });
    this.restarts = true;
    this.emit("goto top;");
  }

  private copy(value: Value): string {
    const name = this.temp(C_TYPES[value.type]);
    this.emit(`${name} = ${value.bare};`);
    return name;
  }

  private tailCallIndirect(instr: { type: number; table: number }): void {
    const type = this.scope.type(instr.type);
    const { descriptor, args } = this.callee(instr);
    const target = this.temp("funcref");
    this.emit(`${target} = ${descriptor};`);
    // A function of another module may need more slots than ours has, or have no step at all.
    this.emit(`if (${target}->slots > WASM_SLOTS) {`);
    this.depth++;
    const text = `((${pointerType(type)})${target}->code)(${args.map((arg) => arg.bare).join(", ")})`;
    const height = this.stack.length;
    this.assign(type.results, resultType(type), text, undefined);
    this.leaveFunction(this.stack.splice(height));
    this.depth--;
    this.emit("}");
    this.fillSlots(args);
    this.emit(`return (void *)${target}->step;`);
  }

  // ---- Instructions ------------------------------------------------------------------------

  /** Emits one instruction; true if it took the next one with it. */
  private instruction(instr: Instr, next: Instr | undefined): boolean {
    const { scope } = this;
    switch (instr.k) {
      case "op":
        this.operation(instr);
        return false;
      case "const":
        this.pushConst(instr.type, instr.bits);
        return false;
      case "shuffle": {
        const operands = this.popMany(2);
        const text = `wasm_i8x16_shuffle(${operands[0]!.bare}, ${operands[1]!.bare}, ${instr.lanes.join(", ")})`;
        this.compute("v128", text, operands);
        return false;
      }
      case "block":
        this.enter(instr.label);
        return false;
      case "else":
        this.else(instr.falls);
        return false;
      case "end":
        this.end(instr.falls);
        return false;
      case "br": {
        const values = this.popMany(this.arity(instr.label));
        this.settleTraps();
        this.jump(instr.label, values);
        return false;
      }
      case "br_if":
        this.branchIf(instr.label);
        return false;
      case "br_table":
        this.branchTable(instr.labels, instr.otherwise);
        return false;
      case "return": {
        const values = this.popMany(this.type.results.length);
        this.settleTraps();
        this.leaveFunction(values);
        return false;
      }
      case "unreachable":
        this.settleTraps();
        this.emit("wasm_trap(WASM_TRAP_UNREACHABLE);");
        return false;
      case "call": {
        const type = scope.funcType(instr.func);
        return this.call(type, scope.func(instr.func), this.popMany(type.params.length), next);
      }
      case "call_indirect": {
        const { descriptor, args } = this.callee(instr);
        const type = scope.type(instr.type);
        return this.call(type, `((${pointerType(type)})${descriptor}->code)`, args, next);
      }
      case "return_call":
        this.tailCall(instr.func);
        return false;
      case "return_call_indirect":
        this.tailCallIndirect(instr);
        return false;
      case "drop": {
        const value = this.pop();
        if (value.trap !== Trap.None) this.emit(`wasm_drop(${value.bare});`, value);
        return false;
      }
      case "select":
        this.select();
        return false;
      case "local.get":
        this.pushLocal(instr.index);
        return false;
      case "local.set":
        this.setLocal(instr.index, this.pop());
        return false;
      case "local.tee": {
        const value = this.pop();
        this.setLocal(instr.index, value);
        if (value.fixed) this.stack.push(value);
        else this.pushLocal(instr.index);
        return false;
      }
      case "global.get": {
        const { c, type, fixed } = scope.global(instr.index);
        const reads = fixed ? Reads.None : Reads.Globals;
        this.stack.push({ ...this.fixed(type, c), reads, fixed });
        return false;
      }
      case "global.set": {
        const value = this.pop();
        this.settleReaders(Reads.Globals);
        this.emit(`${scope.global(instr.index).c} = ${value.bare};`, value);
        return false;
      }
      case "ref.null":
        this.stack.push(this.fixed(instr.type, "0"));
        return false;
      case "ref.func":
        this.stack.push(this.fixed("funcref", scope.reference(instr.func)));
        return false;
      case "ref.is_null": {
        const value = this.pop();
        this.compute("i32", `!${value.c}`, [value], { test: true });
        return false;
      }
      case "memory.size":
        this.compute("i32", "wasm_memory_pages()", [], { reads: Reads.Memory });
        return false;
      case "memory.grow": {
        const pages = this.pop();
        this.settleReaders(Reads.Memory);
        return this.assign(["i32"], "u32", `wasm_memory_grow(${pages.bare})`, next);
      }
      default:
        return this.bulk(instr, next);
    }
  }

  private setLocal(index: number, value: Value): void {
    this.settleWhere((other) => other.locals.has(index));
    this.emit(`${this.localNames[index]} = ${value.bare};`, value);
  }

  private operation(instr: Extract<Instr, { k: "op" }>): void {
    const { op } = instr;
    const operands = this.popMany(op.params.length);
    if (op.store) {
      this.settleReaders(Reads.Memory);
      // The address is checked when the operands are known: they trap first.
      operands.forEach((operand, i) => {
        if (operand.trap === Trap.Other) operands[i] = this.settle(operand);
      });
    }
    const last = operands.at(-1)?.literal;
    let c = op.c;
    if (last !== undefined)
      c = c.replace(/\(\$1 & (31|63)\)/, (_, mask: string) => `${last & BigInt(mask)}`);
    const alone = /^wasm_/.test(c);
    const swapped = op.name === "i32.or" ? byteSwapped(operands[0]!, operands[1]!) : null;
    if (swapped) c = `wasm_bswap32(${swapped})`;
    const text = c.replace(/\$(.)/g, (_, what: string) => {
      if (what === "o") return `${instr.offset}u`;
      if (what === "l") return `${instr.lane}`;
      const operand = operands[Number(what)]!;
      return alone ? operand.bare : operand.c;
    });
    if (op.store) return this.emit(`${text};`);
    const reads = op.bytes > 0 ? Reads.Memory : Reads.None;
    const trap = this.cannotTrap(op.name, last) ? Trap.None : op.trap;
    this.compute(op.result!, text, operands, { test: op.test, trap, reads });
  }

  /** Division by a constant that is neither 0 nor -1. */
  private cannotTrap(name: string, divisor: bigint | undefined): boolean {
    if (divisor === undefined || divisor === 0n || !/\.(div|rem)_/.test(name)) return false;
    return BigInt.asIntN(name.startsWith("i32") ? 32 : 64, divisor) !== -1n;
  }

  private select(): void {
    // C evaluates only one of the two: neither may trap.
    const height = this.stack.length;
    for (const i of [height - 3, height - 2]) {
      if (this.stack[i]!.trap !== Trap.None) this.stack[i] = this.settle(this.stack[i]!);
    }
    const [first, second, condition] = this.popMany(3) as [Value, Value, Value];
    const test = condition.test === undefined ? condition.c : `(${condition.test})`;
    const type = first.type;
    const operands = [first, second, condition];
    if (type === "funcref" || type === "externref") {
      return this.compute(type, `${test} ? (${type})${first.c} : (${type})${second.c}`, operands);
    }
    this.compute(type, `${test} ? ${first.c} : ${second.c}`, operands);
  }

  /** Bulk memory and table instructions: calls of the runtime. */
  private bulk(instr: Instr, next: Instr | undefined): boolean {
    const { scope } = this;
    const args = (count: number): string[] => {
      this.settleWhere((value) => value.trap !== Trap.None);
      return this.popMany(count).map((value) => value.bare);
    };
    const statement = (reads: number, name: string, ...list: string[]): false => {
      this.settleReaders(reads);
      this.emit(`${name}(${list.join(", ")});`);
      return false;
    };
    switch (instr.k) {
      case "memory.copy":
        return statement(Reads.Memory, "wasm_memory_copy", ...args(3));
      case "memory.fill":
        return statement(Reads.Memory, "wasm_memory_fill", ...args(3));
      case "memory.init":
        return statement(
          Reads.Memory,
          "wasm_memory_init",
          scope.dataSegment(instr.segment),
          ...args(3),
        );
      case "data.drop": {
        this.emit(scope.dropData(instr.segment));
        return false;
      }
      case "elem.drop": {
        this.emit(scope.dropElement(instr.segment));
        return false;
      }
      case "table.get": {
        const index = this.pop();
        const text = `wasm_table_get(${scope.table(instr.table)}, ${index.bare})`;
        this.compute(scope.tableType(instr.table), text, [index], {
          trap: Trap.Other,
          reads: Reads.Tables,
        });
        return false;
      }
      case "table.size":
        this.compute("i32", `wasm_table_size(${scope.table(instr.table)})`, [], {
          reads: Reads.Tables,
        });
        return false;
      case "table.set":
        return statement(Reads.Tables, "wasm_table_set", scope.table(instr.table), ...args(2));
      case "table.fill":
        return statement(Reads.Tables, "wasm_table_fill", scope.table(instr.table), ...args(3));
      case "table.copy":
        return statement(
          Reads.Tables,
          "wasm_table_copy",
          scope.table(instr.table),
          scope.table(instr.from),
          ...args(3),
        );
      case "table.init":
        return statement(
          Reads.Tables,
          "wasm_table_init",
          scope.table(instr.table),
          scope.elementSegment(instr.segment),
          ...args(3),
        );
      case "table.grow": {
        const [value, count] = args(2);
        this.settleReaders(Reads.Tables);
        const text = `wasm_table_grow(${scope.table(instr.table)}, ${value}, ${count})`;
        return this.assign(["i32"], "u32", text, next);
      }
      default:
        throw new Error(`no translation for ${instr.k}`);
    }
  }
}
