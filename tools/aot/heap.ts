import { validateBody } from "./body.ts";
import type { Module } from "./module.ts";

/**
 * AssemblyScript's runtime heap, which the kernel does not have: what asks for it (a `new`, texts that are joined, an
 * array literal) makes the memory grow, which the kernel's cannot, and traps when it first runs.
 */

/** Functions of the compiler's library. */
const LIBRARY = /^~lib\//;

/**
 * The function of ours that reaches the runtime heap, and what of the compiler's library it reaches it by; undefined
 * if none does. Cost: linear in the module's code.
 */
export function heapUse(module: Module): { name: string; by: string[] } | undefined {
  const nameOf = (index: number): string => module.funcNames.get(index) ?? `function ${index}`;
  const callers = new Map<number, number[]>();
  const ways: { index: number; by: string[] }[] = [];
  for (const [index, func] of module.funcs.entries()) {
    if (func.imported) continue;
    const { instrs } = validateBody(module, index);
    if (instrs.some(({ k }) => k === "memory.grow")) ways.push({ index, by: [] });
    for (const instr of instrs) {
      if (instr.k !== "call" && instr.k !== "return_call" && instr.k !== "ref.func") continue;
      const list = callers.get(instr.func);
      if (list) list.push(index);
      else callers.set(instr.func, [index]);
    }
  }
  const [first] = ways;
  // Breadth first, so that the way is the shortest.
  const seen = new Set(ways.map(({ index }) => index));
  for (const { index, by } of ways) {
    const name = nameOf(index);
    if (!LIBRARY.test(name)) return { name, by };
    for (const caller of callers.get(index) ?? []) {
      if (seen.has(caller)) continue;
      seen.add(caller);
      ways.push({ index: caller, by: [name, ...by] });
    }
  }
  return first && { name: nameOf(first.index), by: [] };
}
