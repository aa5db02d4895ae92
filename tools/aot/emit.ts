/**
 * A whole module → one C file. What the C expects of its host and offers to it is described at the
 * top of `runtime/wasm.h`.
 *
 * Tail calls. C has none that can be relied on, so a function that tail-calls another becomes a
 * step: it takes its parameters from an array of slots and leaves there its results, or the next
 * function's arguments, whose step it returns. An ordinary C function of the same name runs steps
 * until one returns none. Functions that only tail-call themselves jump to their top instead.
 */
import { type Body, validateBody } from "./body.ts";
import { packData } from "./data.ts";
import { C_TYPES, FunctionEmitter, type Scope, resultType } from "./function.ts";
import { floatLiteral, integerLiteral, vectorLiteral } from "./literals.ts";
import type { LineMap } from "./lines.ts";
import { type ConstExpr, ExternKind, type FuncType, type Import, Module } from "./module.ts";
import { Names, mangle } from "./names.ts";
import { type ValueType } from "./opcodes.ts";
import { sourceLines } from "./source.ts";

export interface Options {
  /** Prefix of everything the C exports: a C identifier. */
  readonly name: string;
  /** Text of the module's source map; without one its own DWARF says what lines it has. */
  readonly sourceMap?: string;
  /** The C file's own name, for code that has no source. */
  readonly file?: string;
  /** Whether a function, by its name in the module, is to be small rather than fast. */
  readonly cold?: (name: string) => boolean;
}

/** A module in C, and what its names became there. */
export interface Translation {
  readonly c: string;
  readonly module: Module;
  /** C name of each export, by its Wasm name. */
  readonly exports: ReadonlyMap<string, string>;
  /** C name of each import, by kind and then position among the imports of that kind. */
  readonly imports: Readonly<
    Record<"funcs" | "globals" | "tables" | "memories", readonly string[]>
  >;
}

/** Translates a module to C. Throws `WasmError` if it is malformed, invalid or unsupported. */
export const translate = (bytes: Uint8Array, options: Options): string =>
  translateModule(bytes, options).c;

/** The same, for those who also need to know the names. */
export function translateModule(bytes: Uint8Array, options: Options): Translation {
  return new ModuleEmitter(bytes, options).run();
}

/** A table that nothing changes becomes constant data, and holds descriptors, not pointers to them. */
type TablePlan =
  | { readonly kind: "constant"; readonly funcs: readonly (number | undefined)[] }
  | { readonly kind: "variable"; readonly embedded: boolean };

/** Elements of a table inside the instance, at most; larger ones come from the host. */
const MAX_EMBEDDED = 65536;

class ModuleEmitter implements Scope {
  private readonly module: Module;
  private readonly name: string;
  private readonly file: string;
  private readonly map: LineMap | undefined;
  private readonly cold: Options["cold"];
  private readonly bodies = new Map<number, Body>();
  private readonly names: Names;
  private readonly funcNames: string[];
  private readonly globalNames: string[];
  private readonly tableNames: string[];
  private readonly memoryName: string | undefined;
  private readonly exportNames: string[];
  private readonly tables: TablePlan[];
  /** The active data segments in one, where that can be. */
  private readonly packed: Uint8Array | undefined;
  /** Functions compiled as steps: they tail-call others. */
  private readonly stepped = new Set<number>();
  /** Functions that need a step, compiled as one or adapted to one. */
  private readonly steps = new Set<number>();
  /** Functions that are values. */
  private readonly referenced = new Set<number>();
  private readonly lines: string[] = [];
  private lineCount = 0;

  constructor(bytes: Uint8Array, options: Options) {
    this.module = new Module(bytes);
    this.name = options.name;
    this.file = options.file ?? `${options.name}.c`;
    this.cold = options.cold;
    this.map = sourceLines(this.module, options.sourceMap);
    const { module } = this;
    module.funcs.forEach((func, i) => {
      if (!func.imported) this.bodies.set(i, validateBody(module, i));
    });
    this.names = new Names([
      `${this.name}_instantiate`,
      `${this.name}_instance`,
      `${this.name}_instance_bytes`,
      "w_data",
      ...module.datas.map((_, i) => `w_data${i}`),
      ...module.elements.map((_, i) => `w_elem${i}`),
      ...module.tables.map((_, i) => `w_table${i}`),
      ...module.funcs.map((_, i) => `w_ref${i}`),
    ]);
    const imported = new Map<string, string>();
    const importName = (what: Import, kind: string): string => {
      const key = JSON.stringify([what.module, what.field, kind]);
      const known = imported.get(key);
      if (known !== undefined) return known;
      const name = this.names.take(`${mangle(what.module)}_${mangle(what.field)}`);
      imported.set(key, name);
      return name;
    };
    const importedFuncs = module.funcs.map((func) =>
      func.imported ? importName(func.imported, `func ${typeKey(func.type)}`) : undefined,
    );
    this.exportNames = module.exports.map(({ name }) =>
      this.names.take(`${this.name}_${mangle(name)}`),
    );
    this.funcNames = module.funcs.map((_, i) => {
      const known = importedFuncs[i];
      return known ?? this.names.take(`w_${mangle(module.funcNames.get(i) ?? "") || `f${i}`}`);
    });
    this.globalNames = module.globals.map(({ imported: from, type }, i) => {
      if (from) return importName(from, `global ${type}`);
      return this.names.take(`g_${mangle(module.globalNames.get(i) ?? "") || i}`);
    });
    this.tables = module.tables.map((_, i) => this.planTable(i));
    this.tableNames = module.tables.map(({ imported: from }, i) =>
      from ? importName(from, "table") : `table${i}`,
    );
    const memory = module.memories[0];
    this.memoryName = memory?.imported && importName(memory.imported, "memory");
    this.packed = packData(module);
    this.findSteps();
    this.checkTypeIds();
  }

  // ---- Scope: what function bodies ask ------------------------------------------------------

  func = (index: number): string => this.funcNames[index]!;
  step = (index: number): string => `${this.funcNames[index]!}_step`;
  reference = (index: number): string => `(&${this.descriptor(index)})`;
  funcType = (index: number): FuncType => this.module.funcs[index]!.type;
  type = (index: number): FuncType => this.module.types[index]!;
  typeId = (index: number): string => typeId(this.module.types[index]!);
  tableType = (index: number): ValueType => this.module.tables[index]!.type;
  isTaken = (name: string): boolean => this.names.has(name);

  global(index: number): { c: string; type: ValueType; fixed: boolean } {
    const { type, mutable, imported } = this.module.globals[index]!;
    const c = this.globalNames[index]!;
    return { c: imported || this.isConstant(index) ? c : `SELF.${c}`, type, fixed: !mutable };
  }

  table(index: number): string {
    const name = this.tableNames[index]!;
    return this.module.tables[index]!.imported
      ? `&${name}`
      : `WASM_ADDRESS(struct wasm_table, ${name})`;
  }

  lookup(table: number, index: string, id: string): string {
    const plan = this.tables[table]!;
    if (plan.kind === "variable") return `wasm_lookup(${this.table(table)}, ${index}, ${id})`;
    return `wasm_lookup_constant(w_${this.tableNames[table]}, ${plan.funcs.length}u, ${index}, ${id})`;
  }

  dataSegment(index: number): string {
    const { mode, bytes } = this.module.datas[index]!;
    if (mode === "active" || bytes.length === 0) return "0, 0";
    return `w_data${index}, SELF.data${index}_dropped ? 0 : ${bytes.length}u`;
  }

  elementSegment(index: number): string {
    const { mode, items } = this.module.elements[index]!;
    if (mode !== "passive" || items.length === 0) return "0, 0";
    return `${this.elementArray(index)}, SELF.elem${index}_dropped ? 0 : ${items.length}u`;
  }

  dropData(index: number): string {
    const { mode, bytes } = this.module.datas[index]!;
    return mode === "active" || bytes.length === 0 ? ";" : `SELF.data${index}_dropped = 1;`;
  }

  dropElement(index: number): string {
    const { mode, items } = this.module.elements[index]!;
    return mode !== "passive" || items.length === 0 ? ";" : `SELF.elem${index}_dropped = 1;`;
  }

  private descriptor(index: number): string {
    this.referenced.add(index);
    return `w_ref${index}`;
  }

  // ---- Plans ---------------------------------------------------------------------------------

  private planTable(index: number): TablePlan {
    const { module } = this;
    const table = module.tables[index]!;
    const embedded = !table.exported && !table.grows && table.min <= MAX_EMBEDDED;
    if (table.imported || table.touched || !embedded || table.type !== "funcref") {
      return { kind: "variable", embedded };
    }
    const funcs: (number | undefined)[] = Array.from({ length: table.min }, () => undefined);
    for (const element of module.elements) {
      if (element.mode !== "active" || element.table !== index) continue;
      const offset = element.offset[0]!;
      if (element.offset.length !== 1 || offset.k !== "const")
        return { kind: "variable", embedded };
      const start = Number(offset.bits);
      if (start + element.items.length > table.min) return { kind: "variable", embedded };
      for (const [i, item] of element.items.entries()) {
        const first = item[0]!;
        if (first.k !== "func" && first.k !== "null") return { kind: "variable", embedded };
        funcs[start + i] = first.k === "func" ? first.index : undefined;
      }
    }
    return { kind: "constant", funcs };
  }

  /** Finds who tail-calls whom: see the top of this file. */
  private findSteps(): void {
    let indirect = false;
    for (const [index, { instrs }] of this.bodies) {
      for (const instr of instrs) {
        const other = instr.k === "return_call" && instr.func !== index;
        if (other) this.steps.add(instr.func);
        if (other || instr.k === "return_call_indirect") this.stepped.add(index);
        if (instr.k === "return_call_indirect") indirect = true;
      }
    }
    for (const index of this.stepped) this.steps.add(index);
    if (indirect) for (const index of this.module.declared) this.steps.add(index);
  }

  /** Two signatures of one module must not share a type id, or an indirect call could confuse them. */
  private checkTypeIds(): void {
    const seen = new Map<string, string>();
    for (const type of this.module.types) {
      const id = typeId(type);
      const key = typeKey(type);
      if ((seen.get(id) ?? key) !== key)
        throw new Error(`signatures ${key} and ${seen.get(id)} share a type id`);
      seen.set(id, key);
    }
  }

  /** An immutable global whose value is in the C text, not in the instance. */
  private isConstant(index: number): boolean {
    const { mutable, init, imported, type } = this.module.globals[index]!;
    return !imported && !mutable && init.length === 1 && init[0]!.k === "const" && /^i/.test(type);
  }

  private usesType(test: (type: ValueType) => boolean): boolean {
    const { types, globals } = this.module;
    if (types.some(({ params, results }) => params.some(test) || results.some(test))) return true;
    if (globals.some(({ type }) => test(type))) return true;
    for (const { locals, instrs } of this.bodies.values()) {
      if (locals.some(test)) return true;
      for (const instr of instrs) {
        if (instr.k === "const" && test(instr.type)) return true;
        if (instr.k !== "op") continue;
        if (instr.op.params.some(test) || (instr.op.result && test(instr.op.result))) return true;
      }
    }
    return false;
  }

  // ---- Output --------------------------------------------------------------------------------

  private put(...lines: string[]): void {
    for (const line of lines) {
      this.lines.push(line);
      this.lineCount += line.split("\n").length;
    }
  }

  run(): Translation {
    const { module, name } = this;
    // Bodies first: they find out which functions are values.
    const bodies = new Map<number, FunctionEmitter>();
    for (const [index, body] of this.bodies) {
      const emitter = new FunctionEmitter(
        this,
        index,
        body,
        this.stepped.has(index),
        module.localNames.get(index),
      );
      emitter.run();
      bodies.set(index, emitter);
    }
    const instantiate = this.instantiate();
    const constants = this.constants();

    const simd = this.usesType((type) => type === "v128");
    const float = simd || this.usesType((type) => type === "f32" || type === "f64");
    this.put("/* Generated from WebAssembly: do not edit. The ABI is described in wasm.h. */");
    if (float) this.put("#define WASM_USES_FLOAT 1");
    if (simd) this.put("#define WASM_USES_SIMD 1");
    this.put(`#define WASM_SLOTS ${this.slotCount()}u`, '#include "wasm.h"');
    this.resultStructs();
    this.imports();
    this.instance();
    if (module.memories.length > 0) {
      const name = this.memoryName;
      this.put(`#define WASM_MEMORY ${name ?? "SELF.memory"}`);
      this.put(
        `#define WASM_MEMORY_ADDRESS ${name ? `(&${name})` : "WASM_ADDRESS(struct wasm_memory, memory)"}`,
      );
      this.put('#include "wasm-memory.h"');
    }
    this.put("");
    for (const index of this.bodies.keys())
      this.put(`${this.temper(index)}static ${this.prototype(index)};`);
    for (const index of this.steps)
      this.put(`static void *${this.step(index)}(union wasm_slot *slots);`);
    this.put("");
    for (const index of [...this.referenced].sort((a, b) => a - b)) {
      this.put(`static const struct wasm_function w_ref${index} = ${this.describe(index)};`);
    }
    this.put(...constants, "");
    for (const [index, emitter] of bodies) this.emitFunction(index, emitter);
    for (const index of this.steps) this.emitStep(index);
    this.exports();
    this.put(
      `void ${name}_instantiate(void) {`,
      ...instantiate.map((line) => "  " + line),
      "}",
      "",
    );
    const imported = (
      names: readonly string[],
      items: readonly { imported: Import | undefined }[],
    ) => names.filter((_, i) => items[i]!.imported);
    return {
      c: this.lines.join("\n"),
      module,
      exports: new Map(module.exports.map((item, i) => [item.name, this.exportNames[i]!])),
      imports: {
        funcs: imported(this.funcNames, module.funcs),
        globals: imported(this.globalNames, module.globals),
        tables: imported(this.tableNames, module.tables),
        memories: this.memoryName ? [this.memoryName] : [],
      },
    };
  }

  /** What a function's declaration begins with. */
  private temper(index: number): string {
    const cold = this.cold?.(this.module.funcNames.get(index) ?? "") ?? false;
    return cold ? "__attribute__((cold)) " : "";
  }

  private prototype(index: number, params = this.funcType(index).params.map(() => "")): string {
    return signature(this.funcType(index), this.func(index), params);
  }

  private describe(index: number | undefined): string {
    if (index === undefined) return "{0}";
    const type = this.funcType(index);
    const step = this.steps.has(index)
      ? `${this.step(index)}, ${typeId(type)}, WASM_SLOTS`
      : `0, ${typeId(type)}, ~0u`;
    return `{(void (*)(void))${this.func(index)}, ${step}}`;
  }

  private slotCount(): number {
    const sizes = this.module.types.map(({ params, results }) =>
      Math.max(params.length, results.length),
    );
    return sizes.reduce((a, b) => Math.max(a, b), 1);
  }

  private resultStructs(): void {
    const structs = new Map<string, readonly ValueType[]>();
    for (const type of this.module.types) {
      if (type.results.length > 1) structs.set(type.results.join("_"), type.results);
    }
    for (const [key, results] of structs) {
      const members = results.map((type, i) => `${C_TYPES[type]} r${i};`).join(" ");
      this.put(`#ifndef WASM_RESULTS_${key}`, `#define WASM_RESULTS_${key}`);
      this.put(`struct wasm_${key} { ${members} };`, "#endif");
    }
  }

  /** The host's header declares the imports; without one they are taken as external. */
  private imports(): void {
    const { module } = this;
    const declarations = new Set<string>();
    module.funcs.forEach((func, i) => {
      if (func.imported) declarations.add(`extern ${this.prototype(i)};`);
    });
    module.globals.forEach(({ imported, type, mutable }, i) => {
      if (imported)
        declarations.add(
          `extern ${mutable ? "" : "const "}${C_TYPES[type]} ${this.globalNames[i]};`,
        );
    });
    module.tables.forEach(({ imported }, i) => {
      if (imported) declarations.add(`extern struct wasm_table ${this.tableNames[i]};`);
    });
    this.put("#ifdef WASM_IMPORTS", "#include WASM_IMPORTS", "#else", ...declarations);
    if (this.memoryName) this.put(`extern struct wasm_memory ${this.memoryName};`);
    this.put("#endif", "");
  }

  /** All mutable state of one instance of the module. */
  private instance(): void {
    const { module, name } = this;
    this.put(`struct ${name}_instance {`, "  WASM_INSTANCE_HEAD");
    const memory = module.memories[0];
    if (memory && !memory.imported) this.put("  struct wasm_memory memory;");
    module.globals.forEach(({ imported, type }, i) => {
      if (!imported && !this.isConstant(i)) this.put(`  ${C_TYPES[type]} ${this.globalNames[i]};`);
    });
    module.tables.forEach(({ imported, min }, i) => {
      const plan = this.tables[i]!;
      if (imported || plan.kind === "constant") return;
      this.put(`  struct wasm_table ${this.tableNames[i]};`);
      if (plan.embedded && min > 0)
        this.put(`  const void *${this.tableNames[i]}_elements[${min}];`);
    });
    module.datas.forEach(({ mode, bytes }, i) => {
      if (mode === "passive" && bytes.length > 0) this.put(`  u8 data${i}_dropped;`);
    });
    module.elements.forEach(({ mode, items }, i) => {
      if (mode === "passive" && items.length > 0) this.put(`  u8 elem${i}_dropped;`);
      if (this.elementKind(i) === "computed") this.put(`  const void *elem${i}[${items.length}];`);
    });
    this.put("};");
    this.put("#ifdef WASM_PLACE");
    this.put(`#define SELF (*WASM_PLACE(struct ${name}_instance, WASM_INSTANCE_OFFSET))`);
    this.put(`const u64 ${name}_instance_bytes = sizeof(struct ${name}_instance);`);
    this.put(
      "#else",
      `static struct ${name}_instance ${name}_instance;`,
      `#define SELF ${name}_instance`,
      "#endif",
    );
    this.put(`#define WASM_INSTANCE struct ${name}_instance`);
  }

  /** How a segment's items are held: not at all, as constant data, or computed at instantiation. */
  private elementKind(index: number): "none" | "constant" | "computed" {
    const { mode, table, items } = this.module.elements[index]!;
    if (mode === "declarative" || items.length === 0) return "none";
    if (mode === "active" && this.tables[table]!.kind === "constant") return "none";
    return items.every((item) => item[0]!.k !== "global") ? "constant" : "computed";
  }

  private elementArray(index: number): string {
    return this.elementKind(index) === "computed"
      ? `WASM_ADDRESS(const void *, elem${index}[0])`
      : `w_elem${index}`;
  }

  private constants(): string[] {
    const { module } = this;
    const lines: string[] = [];
    module.globals.forEach(({ type, init }, i) => {
      if (this.isConstant(i)) {
        lines.push(
          `static const ${C_TYPES[type]} ${this.globalNames[i]} = ${this.constant(init)};`,
        );
      }
    });
    module.tables.forEach((_, i) => {
      const plan = this.tables[i]!;
      if (plan.kind !== "constant") return;
      const entries = plan.funcs.map((func) => `  ${this.describe(func)},`);
      lines.push(
        `static const struct wasm_function w_${this.tableNames[i]}[${Math.max(1, entries.length)}] = {`,
      );
      lines.push(...(entries.length > 0 ? entries : ["  {0},"]), "};");
    });
    module.elements.forEach(({ items }, i) => {
      if (this.elementKind(i) !== "constant") return;
      lines.push(`static const void *const w_elem${i}[${items.length}] = {`);
      lines.push(...items.map((item) => `  ${this.constant(item)},`), "};");
    });
    const data = (name: string, bytes: Uint8Array): void => {
      if (bytes.length === 0) return;
      lines.push(`static const u8 ${name}[${bytes.length}] =`);
      for (let at = 0; at < bytes.length; at += 64) {
        const last = at + 64 >= bytes.length;
        lines.push(`  "${cString(bytes.subarray(at, at + 64))}"${last ? ";" : ""}`);
      }
    };
    module.datas.forEach(({ mode, bytes }, i) => {
      if (mode !== "active" || !this.packed) data(`w_data${i}`, bytes);
    });
    if (this.packed) data("w_data", this.packed);
    return lines;
  }

  /** A constant expression in C. */
  private constant(expr: ConstExpr): string {
    const stack: string[] = [];
    for (const op of expr) {
      switch (op.k) {
        case "const":
          stack.push(
            op.type === "v128"
              ? vectorLiteral(op.bits)
              : op.type === "f32" || op.type === "f64"
                ? floatLiteral(op.type, op.bits)
                : integerLiteral(op.type, op.bits),
          );
          break;
        case "global":
          stack.push(this.global(op.index).c);
          break;
        case "func":
          stack.push(`&${this.descriptor(op.index)}`);
          break;
        case "null":
          stack.push("0");
          break;
        case "binary": {
          const right = stack.pop()!;
          stack.push(`(${stack.pop()!} ${op.operator} ${right})`);
          break;
        }
      }
    }
    return stack[0]!;
  }

  /** The statements that make an instance (spec 4.5.4): globals, tables, elements, data, start. */
  private instantiate(): string[] {
    const { module } = this;
    const lines: string[] = [];
    const memory = module.memories[0];
    if (memory && !memory.imported)
      lines.push(`wasm_memory_create(${memory.min}u, ${memory.max ?? 65536}u);`);
    module.globals.forEach(({ imported, init }, i) => {
      if (!imported && !this.isConstant(i))
        lines.push(`SELF.${this.globalNames[i]} = ${this.constant(init)};`);
    });
    module.tables.forEach(({ imported, min, max }, i) => {
      const plan = this.tables[i]!;
      if (imported || plan.kind === "constant") return;
      const field = `${this.tableNames[i]}_elements[0]`;
      const storage = plan.embedded && min > 0 ? `WASM_ADDRESS(const void *, ${field})` : "0";
      lines.push(
        `wasm_table_create(${this.table(i)}, ${storage}, ${min}u, ${max ?? 0xffffffff}u);`,
      );
    });
    module.elements.forEach(({ items }, i) => {
      if (this.elementKind(i) !== "computed") return;
      items.forEach((item, j) => lines.push(`SELF.elem${i}[${j}] = ${this.constant(item)};`));
    });
    module.elements.forEach(({ mode, table, offset, items }, i) => {
      if (mode !== "active" || this.tables[table]!.kind === "constant") return;
      const array = items.length > 0 ? this.elementArray(i) : "0";
      const count = items.length;
      lines.push(
        `wasm_table_init(${this.table(table)}, ${array}, ${count}u, ${this.constant(offset)}, 0, ${count}u);`,
      );
    });
    if (this.packed?.length) lines.push("wasm_memory_unpack(w_data, w_data + sizeof w_data);");
    module.datas.forEach(({ mode, offset, bytes }, i) => {
      if (mode !== "active" || this.packed) return;
      const count = bytes.length;
      const array = count > 0 ? `w_data${i}` : "0";
      lines.push(`wasm_memory_init(${array}, ${count}u, ${this.constant(offset)}, 0, ${count}u);`);
    });
    if (module.start !== undefined) lines.push(`${this.func(module.start)}();`);
    return lines;
  }

  private exports(): void {
    const { module } = this;
    module.exports.forEach(({ kind, index }, i) => {
      const name = this.exportNames[i]!;
      if (kind === ExternKind.Func) {
        const type = this.funcType(index);
        const params = type.params.map((_, p) => `p${p}`);
        const call = `${this.func(index)}(${params.join(", ")});`;
        this.put(
          `${this.temper(index)}${signature(type, name, params)} {`,
          `  ${type.results.length > 0 ? "return " : ""}${call}`,
          "}",
        );
      } else if (kind === ExternKind.Global) {
        const { type, mutable, imported } = module.globals[index]!;
        const c = this.globalNames[index]!;
        const cType = mutable ? C_TYPES[type] : `const ${C_TYPES[type]}`;
        const address =
          imported || this.isConstant(index) ? `&${c}` : `WASM_ADDRESS(${cType}, ${c})`;
        this.put(`${cType} *${name}(void) {`, `  return ${address};`, "}");
      } else if (kind === ExternKind.Table) {
        this.put(`struct wasm_table *${name}(void) {`, `  return ${this.table(index)};`, "}");
      } else {
        this.put("#ifndef WASM_MEMORY_ZERO", `struct wasm_memory *${name}(void) {`);
        this.put("  return WASM_MEMORY_ADDRESS;", "}", "#endif");
      }
    });
    this.put("");
  }

  private emitFunction(index: number, emitter: FunctionEmitter): void {
    const { params } = this.funcType(index);
    const stepped = this.stepped.has(index);
    const names = emitter.localNames.slice(0, params.length);
    const { code } = this.module.funcs[index]!;
    const start = this.map?.first(code!.start, code!.end);
    if (start) this.put(`#line ${start.line} "${start.file}"`);
    this.put(
      stepped
        ? `static void *${this.step(index)}(union wasm_slot *slots) {`
        : `static ${this.prototype(index, names)} {`,
    );
    if (stepped)
      names.forEach((name, i) =>
        this.put(`  ${C_TYPES[params[i]!]} ${name} = slots[${i}].${params[i]};`),
      );
    if (emitter.callsOut) this.put("  WASM_ENTER();");
    const declarations = emitter.declarations();
    if (start) {
      // On one line: they must not run into the lines that follow in the source.
      if (declarations.length > 0)
        this.put(`#line ${start.line} "${start.file}"`, "  " + declarations.join(" "));
      this.mapped(emitter, code!.start);
    } else {
      this.put(...declarations.map((line) => "  " + line));
      for (const { text, depth } of emitter.statements) this.put("  ".repeat(depth) + text);
    }
    this.put("}");
    if (start) this.put(`#line ${this.lineCount + 2} "${this.file}"`);
    this.put("");
  }

  /** Statements with their source lines: those of one line share a line of C, under its `#line`. */
  private mapped(emitter: FunctionEmitter, from: number): void {
    let file = "";
    let line = 0;
    let pending = "";
    for (const { at, text, depth } of emitter.statements) {
      const position = this.map!.at(at, from);
      const same = !position || (position.file === file && position.line === line);
      if (same && pending !== "") {
        pending += " " + text;
        continue;
      }
      if (pending !== "") this.put(pending);
      if (position) {
        ({ file, line } = position);
        this.put(`#line ${line} "${file}"`);
      }
      pending = "  ".repeat(depth) + text;
    }
    if (pending !== "") this.put(pending);
  }

  /** The step of a function that is none itself, and the function around one that is. */
  private emitStep(index: number): void {
    const type = this.funcType(index);
    const names = type.params.map((_, i) => `p${i}`);
    const results = (from: (i: number) => string) =>
      type.results.map((result, i) => `  slots[${i}].${result} = ${from(i)};`);
    if (!this.stepped.has(index)) {
      const args = type.params.map((param, i) => `slots[${i}].${param}`).join(", ");
      const count = type.results.length;
      this.put(`static void *${this.step(index)}(union wasm_slot *slots) {`);
      const call = `${this.func(index)}(${args});`;
      this.put(count > 0 ? `  ${resultType(type)} result = ${call}` : `  ${call}`);
      this.put(
        ...results((i) => (count === 1 ? "result" : `result.r${i}`)),
        "  return 0;",
        "}",
        "",
      );
      return;
    }
    this.put(
      `static ${this.prototype(index, names)} {`,
      "  union wasm_slot slots[WASM_SLOTS];",
      "  WASM_ENTER();",
    );
    type.params.forEach((param, i) => this.put(`  slots[${i}].${param} = p${i};`));
    this.put(`  wasm_run(${this.step(index)}, slots);`);
    const values = type.results.map((result, i) => `slots[${i}].${result}`);
    if (values.length === 1) this.put(`  return ${values[0]};`);
    if (values.length > 1) this.put(`  return (${resultType(type)}){${values.join(", ")}};`);
    this.put("}", "");
  }
}

function signature(type: FuncType, name: string, params: readonly string[]): string {
  const list = type.params.map((param, i) => `${C_TYPES[param]} ${params[i]}`.trim());
  return `${resultType(type)} ${name}(${list.join(", ") || "void"})`;
}

const typeKey = ({ params, results }: FuncType): string =>
  `${params.join(",")}:${results.join(",")}`;

/** What tells signatures apart at run time: FNV-1a of their text, never 0 (no function). */
function typeId(type: FuncType): string {
  let hash = 0x811c9dc5;
  for (const letter of typeKey(type)) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  return `0x${(hash >>> 0 || 1).toString(16)}u`;
}

/** Bytes as the inside of a C string literal. */
function cString(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const letter = String.fromCharCode(byte);
    text +=
      byte >= 32 && byte < 127 && !/["\\?]/.test(letter)
        ? letter
        : "\\" + byte.toString(8).padStart(3, "0");
  }
  return text;
}
