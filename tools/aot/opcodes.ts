/**
 * The instructions without control flow, as tables: opcode, name, signature and the C that
 * computes them (spec 5.4.5 to 5.4.8).
 */

export type ValueType = "i32" | "i64" | "f32" | "f64" | "v128" | "funcref" | "externref";

/** What an instruction may do besides computing its result. */
export const enum Trap {
  None,
  /** Memory out of bounds: all such traps are the same, so their order does not matter. */
  Memory,
  Other,
}

export interface Op {
  readonly name: string;
  readonly params: readonly ValueType[];
  readonly result: ValueType | undefined;
  /** C with $0, $1, $2 for the operands, $o for a memory offset, $l for lanes. */
  readonly c: string;
  /** The C yields a truth value. */
  readonly test: boolean;
  readonly trap: Trap;
  /** Bytes of memory accessed, 0 for none: the greatest alignment allowed. */
  readonly bytes: number;
  readonly store: boolean;
  /** Exclusive limit of the lane immediate; 0 without one. */
  readonly lanes: number;
}

const LETTERS: Record<string, ValueType> = { i: "i32", I: "i64", f: "f32", F: "f64", v: "v128" };

const types = (letters: string): ValueType[] => [...letters].map((letter) => LETTERS[letter]!);

export const ops = new Map<number, Op>();

function define(code: number, name: string, signature: string, c: string, extra?: Partial<Op>) {
  const [params, rest] = signature.split(":") as [string, string];
  const result = rest.replace("!", "");
  ops.set(code, {
    name,
    params: types(params),
    result: result === "" ? undefined : result === "?" ? "i32" : LETTERS[result]!,
    c,
    test: result === "?",
    trap: rest.endsWith("!") ? Trap.Other : Trap.None,
    bytes: 0,
    store: false,
    lanes: 0,
    ...extra,
  });
}

const rows = (table: string): string[][] =>
  table
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));

/** `wasm_i32_load8_s` for `i32.load8_s`: the name of the runtime's function. */
const runtime = (name: string): string => "wasm_" + name.replace(".", "_");

// In signatures `x` is the row's own type, `?` a truth value, `!` marks what may trap.
// In C, $s and $u are the signed and unsigned type, $b its bits, $m its shift mask.

/** Opcode for i32, opcode for i64, name, signature, C. */
const INTEGER = `
  45 50 eqz    x:?   !$0
  46 51 eq     xx:?  $0 == $1
  47 52 ne     xx:?  $0 != $1
  48 53 lt_s   xx:?  ($s)$0 < ($s)$1
  49 54 lt_u   xx:?  $0 < $1
  4a 55 gt_s   xx:?  ($s)$0 > ($s)$1
  4b 56 gt_u   xx:?  $0 > $1
  4c 57 le_s   xx:?  ($s)$0 <= ($s)$1
  4d 58 le_u   xx:?  $0 <= $1
  4e 59 ge_s   xx:?  ($s)$0 >= ($s)$1
  4f 5a ge_u   xx:?  $0 >= $1
  67 79 clz    x:x   wasm_clz$b($0)
  68 7a ctz    x:x   wasm_ctz$b($0)
  69 7b popcnt x:x   wasm_popcnt$b($0)
  6a 7c add    xx:x  $0 + $1
  6b 7d sub    xx:x  $0 - $1
  6c 7e mul    xx:x  $0 * $1
  6d 7f div_s  xx:x! wasm_div_s$b($0, $1)
  6e 80 div_u  xx:x! wasm_div_u$b($0, $1)
  6f 81 rem_s  xx:x! wasm_rem_s$b($0, $1)
  70 82 rem_u  xx:x! wasm_rem_u$b($0, $1)
  71 83 and    xx:x  $0 & $1
  72 84 or     xx:x  $0 | $1
  73 85 xor    xx:x  $0 ^ $1
  74 86 shl    xx:x  $0 << ($1 & $m)
  75 87 shr_s  xx:x  ($u)(($s)$0 >> ($1 & $m))
  76 88 shr_u  xx:x  $0 >> ($1 & $m)
  77 89 rotl   xx:x  wasm_rotl$b($0, $1)
  78 8a rotr   xx:x  wasm_rotr$b($0, $1)
  c0 c2 extend8_s  x:x ($u)($s)(s8)$0
  c1 c3 extend16_s x:x ($u)($s)(s16)$0
`;

/** Opcode for f32, opcode for f64, name, signature, C. */
const FLOAT = `
  5b 61 eq       xx:? $0 == $1
  5c 62 ne       xx:? $0 != $1
  5d 63 lt       xx:? $0 < $1
  5e 64 gt       xx:? $0 > $1
  5f 65 le       xx:? $0 <= $1
  60 66 ge       xx:? $0 >= $1
  8b 99 abs      x:x  wasm_f$b_abs($0)
  8c 9a neg      x:x  wasm_f$b_neg($0)
  8d 9b ceil     x:x  wasm_f$b_ceil($0)
  8e 9c floor    x:x  wasm_f$b_floor($0)
  8f 9d trunc    x:x  wasm_f$b_trunc($0)
  90 9e nearest  x:x  wasm_f$b_nearest($0)
  91 9f sqrt     x:x  wasm_f$b_sqrt($0)
  92 a0 add      xx:x $0 + $1
  93 a1 sub      xx:x $0 - $1
  94 a2 mul      xx:x $0 * $1
  95 a3 div      xx:x $0 / $1
  96 a4 min      xx:x wasm_f$b_min($0, $1)
  97 a5 max      xx:x wasm_f$b_max($0, $1)
  98 a6 copysign xx:x wasm_f$b_copysign($0, $1)
`;

/** Opcode, name, signature, C; without C it is the runtime's function of that name. */
const CONVERSION = `
  a7 i32.wrap_i64     I:i (u32)$0
  a8 i32.trunc_f32_s  f:i!
  a9 i32.trunc_f32_u  f:i!
  aa i32.trunc_f64_s  F:i!
  ab i32.trunc_f64_u  F:i!
  ac i64.extend_i32_s i:I (u64)(s64)(s32)$0
  ad i64.extend_i32_u i:I (u64)$0
  ae i64.trunc_f32_s  f:I!
  af i64.trunc_f32_u  f:I!
  b0 i64.trunc_f64_s  F:I!
  b1 i64.trunc_f64_u  F:I!
  b2 f32.convert_i32_s i:f (f32)(s32)$0
  b3 f32.convert_i32_u i:f (f32)$0
  b4 f32.convert_i64_s I:f (f32)(s64)$0
  b5 f32.convert_i64_u I:f (f32)$0
  b6 f32.demote_f64    F:f (f32)$0
  b7 f64.convert_i32_s i:F (f64)(s32)$0
  b8 f64.convert_i32_u i:F (f64)$0
  b9 f64.convert_i64_s I:F (f64)(s64)$0
  ba f64.convert_i64_u I:F (f64)$0
  bb f64.promote_f32    f:F
  bc i32.reinterpret_f32 f:i
  bd i64.reinterpret_f64 F:I
  be f32.reinterpret_i32 i:f
  bf f64.reinterpret_i64 I:F
  c4 i64.extend32_s      I:I (u64)(s64)(s32)$0
  fc00 i32.trunc_sat_f32_s f:i
  fc01 i32.trunc_sat_f32_u f:i
  fc02 i32.trunc_sat_f64_s F:i
  fc03 i32.trunc_sat_f64_u F:i
  fc04 i64.trunc_sat_f32_s f:I
  fc05 i64.trunc_sat_f32_u f:I
  fc06 i64.trunc_sat_f64_s F:I
  fc07 i64.trunc_sat_f64_u F:I
`;

/** First opcode, signature, bytes accessed, names of consecutive opcodes. */
const MEMORY = `
  28 i:i 4 i32.load
  29 i:I 8 i64.load
  2a i:f 4 f32.load
  2b i:F 8 f64.load
  2c i:i 1 i32.load8_s i32.load8_u
  2e i:i 2 i32.load16_s i32.load16_u
  30 i:I 1 i64.load8_s i64.load8_u
  32 i:I 2 i64.load16_s i64.load16_u
  34 i:I 4 i64.load32_s i64.load32_u
  36 ii: 4 i32.store
  37 iI: 8 i64.store
  38 if: 4 f32.store
  39 iF: 8 f64.store
  3a ii: 1 i32.store8
  3b ii: 2 i32.store16
  3c iI: 1 i64.store8
  3d iI: 2 i64.store16
  3e iI: 4 i64.store32
  fd00 i:v 16 v128.load
  fd01 i:v 8 v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u v128.load32x2_s v128.load32x2_u
  fd07 i:v 1 v128.load8_splat
  fd08 i:v 2 v128.load16_splat
  fd09 i:v 4 v128.load32_splat
  fd0a i:v 8 v128.load64_splat
  fd0b iv: 16 v128.store
  fd54 iv:v 1 v128.load8_lane
  fd55 iv:v 2 v128.load16_lane
  fd56 iv:v 4 v128.load32_lane
  fd57 iv:v 8 v128.load64_lane
  fd58 iv: 1 v128.store8_lane
  fd59 iv: 2 v128.store16_lane
  fd5a iv: 4 v128.store32_lane
  fd5b iv: 8 v128.store64_lane
  fd5c i:v 4 v128.load32_zero
  fd5d i:v 8 v128.load64_zero
`;

/** First opcode, signature, shape, names of consecutive opcodes. */
const VECTOR = `
  fd0e vv:v i8x16 swizzle
  fd0f i:v i8x16 splat
  fd10 i:v i16x8 splat
  fd11 i:v i32x4 splat
  fd12 I:v i64x2 splat
  fd13 f:v f32x4 splat
  fd14 F:v f64x2 splat
  fd15 v:i i8x16 extract_lane_s extract_lane_u
  fd17 vi:v i8x16 replace_lane
  fd18 v:i i16x8 extract_lane_s extract_lane_u
  fd1a vi:v i16x8 replace_lane
  fd1b v:i i32x4 extract_lane
  fd1c vi:v i32x4 replace_lane
  fd1d v:I i64x2 extract_lane
  fd1e vI:v i64x2 replace_lane
  fd1f v:f f32x4 extract_lane
  fd20 vf:v f32x4 replace_lane
  fd21 v:F f64x2 extract_lane
  fd22 vF:v f64x2 replace_lane
  fd23 vv:v i8x16 eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u
  fd2d vv:v i16x8 eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u
  fd37 vv:v i32x4 eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u
  fd41 vv:v f32x4 eq ne lt gt le ge
  fd47 vv:v f64x2 eq ne lt gt le ge
  fd4d v:v v128 not
  fd4e vv:v v128 and andnot or xor
  fd52 vvv:v v128 bitselect
  fd53 v:i v128 any_true
  fd5e v:v f32x4 demote_f64x2_zero
  fd5f v:v f64x2 promote_low_f32x4
  fd60 v:v i8x16 abs neg popcnt
  fd63 v:i i8x16 all_true bitmask
  fd65 vv:v i8x16 narrow_i16x8_s narrow_i16x8_u
  fd67 v:v f32x4 ceil floor trunc nearest
  fd6b vi:v i8x16 shl shr_s shr_u
  fd6e vv:v i8x16 add add_sat_s add_sat_u sub sub_sat_s sub_sat_u
  fd74 v:v f64x2 ceil floor
  fd76 vv:v i8x16 min_s min_u max_s max_u
  fd7a v:v f64x2 trunc
  fd7b vv:v i8x16 avgr_u
  fd7c v:v i16x8 extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u
  fd7e v:v i32x4 extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u
  fd80 v:v i16x8 abs neg
  fd82 vv:v i16x8 q15mulr_sat_s
  fd83 v:i i16x8 all_true bitmask
  fd85 vv:v i16x8 narrow_i32x4_s narrow_i32x4_u
  fd87 v:v i16x8 extend_low_i8x16_s extend_high_i8x16_s extend_low_i8x16_u extend_high_i8x16_u
  fd8b vi:v i16x8 shl shr_s shr_u
  fd8e vv:v i16x8 add add_sat_s add_sat_u sub sub_sat_s sub_sat_u
  fd94 v:v f64x2 nearest
  fd95 vv:v i16x8 mul min_s min_u max_s max_u
  fd9b vv:v i16x8 avgr_u extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u
  fda0 v:v i32x4 abs neg
  fda3 v:i i32x4 all_true bitmask
  fda7 v:v i32x4 extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u
  fdab vi:v i32x4 shl shr_s shr_u
  fdae vv:v i32x4 add
  fdb1 vv:v i32x4 sub
  fdb5 vv:v i32x4 mul min_s min_u max_s max_u dot_i16x8_s
  fdbc vv:v i32x4 extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u
  fdc0 v:v i64x2 abs neg
  fdc3 v:i i64x2 all_true bitmask
  fdc7 v:v i64x2 extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u
  fdcb vi:v i64x2 shl shr_s shr_u
  fdce vv:v i64x2 add
  fdd1 vv:v i64x2 sub
  fdd5 vv:v i64x2 mul eq ne lt_s gt_s le_s ge_s
  fddc vv:v i64x2 extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u
  fde0 v:v f32x4 abs neg
  fde3 v:v f32x4 sqrt
  fde4 vv:v f32x4 add sub mul div min max pmin pmax
  fdec v:v f64x2 abs neg
  fdef v:v f64x2 sqrt
  fdf0 vv:v f64x2 add sub mul div min max pmin pmax
  fdf8 v:v i32x4 trunc_sat_f32x4_s trunc_sat_f32x4_u
  fdfa v:v f32x4 convert_i32x4_s convert_i32x4_u
  fdfc v:v i32x4 trunc_sat_f64x2_s_zero trunc_sat_f64x2_u_zero
  fdfe v:v f64x2 convert_low_i32x4_s convert_low_i32x4_u
`;

for (const [table, kind] of [
  [INTEGER, "i"],
  [FLOAT, "f"],
] as const) {
  for (const [narrow, wide, name, signature, ...c] of rows(table)) {
    for (const [code, bits] of [
      [narrow!, 32],
      [wide!, 64],
    ] as const) {
      const letter = bits === 32 ? kind : kind.toUpperCase();
      const text = c
        .join(" ")
        .replaceAll("$s", `s${bits}`)
        .replaceAll("$u", `u${bits}`)
        .replaceAll("$b", `${bits}`)
        .replaceAll("$m", `${bits - 1}`);
      define(
        parseInt(code, 16),
        `${kind}${bits}.${name}`,
        signature!.replaceAll("x", letter),
        text,
      );
    }
  }
}

const call = (name: string, operands: number, ...more: string[]): string =>
  `${runtime(name)}(${[...Array(operands).keys()]
    .map((i) => `$${i}`)
    .concat(more)
    .join(", ")})`;

const operands = (signature: string): number => signature.indexOf(":");

for (const [code, name, signature, ...c] of rows(CONVERSION)) {
  const text = c.length > 0 ? c.join(" ") : call(name!, 1);
  define(parseInt(code!, 16), name!, signature!, text);
}

for (const [first, signature, size, ...names] of rows(MEMORY)) {
  const bytes = Number(size);
  names.forEach((name, i) => {
    const lanes = name.endsWith("_lane") ? 16 / bytes : 0;
    const value = operands(signature!) > 1 ? ", $1" : "";
    const c = `${runtime(name)}($0, $o${value}${lanes ? ", $l" : ""})`;
    const store = name.includes("store");
    const extra = { bytes, store, lanes, trap: Trap.Memory };
    define(parseInt(first!, 16) + i, name, signature!, c, extra);
  });
}

for (const [first, signature, shape, ...names] of rows(VECTOR)) {
  names.forEach((name, i) => {
    const lanes = name.includes("_lane") ? Number(shape!.split("x")[1]) : 0;
    const c = call(`${shape}.${name}`, operands(signature!), ...(lanes ? ["$l"] : []));
    define(parseInt(first!, 16) + i, `${shape}.${name}`, signature!, c, { lanes });
  });
}

/** What a proposal that the translator does not support is called, for a clear refusal. */
export function unsupported(code: number): string | undefined {
  if ((code >= 0x06 && code <= 0x0a) || code === 0x18 || code === 0x19 || code === 0x1f) {
    return "exception handling";
  }
  if (code === 0x14 || code === 0x15 || code === 0xd3 || (code >= 0xd4 && code <= 0xd6)) {
    return "typed function references";
  }
  if (code === 0xfb) return "garbage collection";
  if (code === 0xfe) return "threads and atomics";
  if (code >= 0xfd100 && code <= 0xfd1ff) return "relaxed SIMD";
  return undefined;
}
