/** C identifiers for what a module names, or does not name. */

const KEYWORDS =
  "auto break case char const continue default do double else enum extern float for goto if inline int long " +
  "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while " +
  "asm typeof u8 u16 u32 u64 s8 s16 s32 s64 f32 f64 v128 bool true false unix linux i386 errno uintptr_t offsetof funcref externref";

/** The legal part of a name: runs of other characters become one underscore. */
export const mangle = (name: string): string =>
  name.replace(/[^A-Za-z0-9_]+/g, "_").replace(/^_+|_+$/g, "");

/** Hands out identifiers, each once. */
export class Names {
  private readonly taken: Set<string>;

  constructor(reserved: Iterable<string> = []) {
    this.taken = new Set(reserved);
  }

  /** `wanted`, or `wanted_2`, `wanted_3` … where it is taken. */
  take(wanted: string): string {
    let name = wanted;
    for (let n = 2; this.taken.has(name); n++) name = `${wanted}_${n}`;
    this.taken.add(name);
    return name;
  }

  has(name: string): boolean {
    return this.taken.has(name);
  }
}

const RESERVED = new Set(KEYWORDS.split(" "));

/**
 * Whether a local of this name is safe in C. Locals may shadow nothing that generated code uses:
 * temporaries (t1), runtime names (wasm_…, w_…), upper case (macros).
 */
export const isPlainLocal = (name: string): boolean =>
  /^[a-z][A-Za-z0-9_]*$/.test(name) &&
  !/^([lt]\d+|top|slots|w_.*|wasm_.*)$/.test(name) &&
  !RESERVED.has(name);
