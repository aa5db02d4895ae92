/**
 * The corners of the specification by hand: what each instruction must give is written beside it,
 * and has to come out under both compilers and in both memory models that a process can have.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import binaryen from "binaryen";
import { type ValueType } from "../../tools/aot/opcodes.ts";
import { type Bits, type Compiler, type Model, Program } from "./harness.ts";

const SETTINGS: readonly (readonly [Model, Compiler])[] = [
  ["CHECKED", { command: "gcc", optimise: "-O0" }],
  ["CHECKED", { command: "gcc", optimise: "-O2" }],
  ["CHECKED", { command: "clang", optimise: "-O2" }],
  ["GS", { command: "gcc", optimise: "-O2" }],
  ["REGISTER", { command: "gcc", optimise: "-O2" }],
  ["GS", { command: "clang", optimise: "-O2" }],
];

const value =
  (type: ValueType, width: number) =>
  (bits: number | bigint): Bits => ({ type, bits: BigInt.asUintN(width, BigInt(bits)) });
const i32 = value("i32", 32);
const i64 = value("i64", 64);
/** Floats are given by their bits. */
const f32 = value("f32", 32);
const f64 = value("f64", 64);

const view = new DataView(new ArrayBuffer(8));
const single = (x: number): Bits => (view.setFloat32(0, x), f32(view.getUint32(0)));
const double = (x: number): Bits => (view.setFloat64(0, x), f64(view.getBigUint64(0)));

const OUT_OF_BOUNDS = "memory access out of bounds";
const TABLE = "table access out of bounds";
const ZERO = "integer divide by zero";
const OVERFLOW = "integer overflow";
const NAN = "invalid conversion to integer";

const { Features } = binaryen;
const FEATURES =
  Features.MutableGlobals |
  Features.NontrappingFPToInt |
  Features.SignExt |
  Features.BulkMemory |
  Features.SIMD128 |
  Features.ReferenceTypes |
  Features.Multivalue |
  Features.TailCall;

/** Export, arguments, and the results or the trap. */
type Case = readonly [name: string, args: readonly Bits[], expected: readonly Bits[] | string];

/** The cases are performed in order, on one instance; or there is no instance, but this trap. */
function module(name: string, wat: string, expected: readonly Case[] | string, only?: Model): void {
  const cases = typeof expected === "string" ? [] : expected;
  const parsed = binaryen.parseText(wat);
  parsed.setFeatures(FEATURES);
  binaryen.setDebugInfo(true); // the names of functions
  const bytes = parsed.emitBinary();
  parsed.dispose();
  for (const [model, compiler] of SETTINGS) {
    if (only && model !== only) continue;
    test(`${name}, ${model}, ${compiler.command} ${compiler.optimise}`, async () => {
      const program = new Program(`edge/${name.replaceAll(/\W+/g, "-")}`, [{ bytes }]);
      await program.build(model, compiler);
      const calls = cases.map(([field, args]) => ({ module: 0, action: { export: field }, args }));
      const [start, ...outcomes] = await program.perform([
        { module: 0, action: "instantiate" },
        ...calls,
      ]);
      if (typeof expected === "string") {
        assert.equal(start!.kind === "trap" && start!.trap, expected);
        return;
      }
      assert.equal(start!.kind, "ok");
      cases.forEach(([field, args, expected], i) => {
        const outcome = outcomes[i]!;
        const what = `${field}(${args.map(({ bits }) => "0x" + bits.toString(16)).join(", ")})`;
        const hex = (bits: bigint) => "0x" + bits.toString(16);
        if (typeof expected === "string") {
          assert.equal(
            outcome.kind === "trap" ? outcome.trap : JSON.stringify(outcome.kind),
            expected,
            what,
          );
        } else {
          assert.equal(
            outcome.kind,
            "ok",
            `${what}: ${outcome.kind === "trap" ? outcome.trap : ""}`,
          );
          const values = outcome.kind === "ok" ? outcome.values : [];
          assert.deepEqual(
            values.map(hex),
            expected.map(({ bits }) => hex(bits)),
            what,
          );
        }
      });
    });
  }
}

/** A module that exports one function an instruction, of the same name. */
function instructions(
  name: string,
  signatures: Record<string, readonly string[]>,
  cases: readonly Case[],
): void {
  const funcs = Object.entries(signatures).flatMap(([signature, names]) => {
    const [params, result] = signature.split(":") as [string, string];
    const list = params.split(" ");
    const operands = list.map((_, i) => `(local.get ${i})`).join(" ");
    return names.map(
      (op) => `(func (export "${op}") (param ${params}) (result ${result}) (${op} ${operands}))`,
    );
  });
  module(name, `(module ${funcs.join("\n")})`, cases);
}

const MIN32 = 0x80000000;
const MIN64 = 1n << 63n;

instructions(
  "integers",
  {
    "i32 i32:i32": [
      "div_s",
      "div_u",
      "rem_s",
      "rem_u",
      "shl",
      "shr_s",
      "shr_u",
      "rotl",
      "rotr",
    ].map((op) => `i32.${op}`),
    "i64 i64:i64": [
      "div_s",
      "div_u",
      "rem_s",
      "rem_u",
      "shl",
      "shr_s",
      "shr_u",
      "rotl",
      "rotr",
    ].map((op) => `i64.${op}`),
    "i32:i32": ["i32.clz", "i32.ctz", "i32.popcnt", "i32.extend8_s", "i32.extend16_s"],
    "i64:i64": [
      "i64.clz",
      "i64.ctz",
      "i64.popcnt",
      "i64.extend8_s",
      "i64.extend16_s",
      "i64.extend32_s",
    ],
    "i32:i64": ["i64.extend_i32_s", "i64.extend_i32_u"],
    "i64:i32": ["i32.wrap_i64"],
  },
  [
    ["i32.div_s", [i32(7), i32(0)], ZERO],
    ["i32.div_s", [i32(MIN32), i32(-1)], OVERFLOW],
    ["i32.div_s", [i32(-7), i32(2)], [i32(-3)]],
    ["i32.div_s", [i32(MIN32), i32(2)], [i32(0xc0000000)]],
    ["i32.div_u", [i32(MIN32), i32(-1)], [i32(0)]],
    ["i32.div_u", [i32(-1), i32(0)], ZERO],
    ["i32.rem_s", [i32(MIN32), i32(-1)], [i32(0)]],
    ["i32.rem_s", [i32(-7), i32(2)], [i32(-1)]],
    ["i32.rem_s", [i32(1), i32(0)], ZERO],
    ["i32.rem_u", [i32(-7), i32(10)], [i32(9)]],
    ["i32.rem_u", [i32(1), i32(0)], ZERO],
    ["i64.div_s", [i64(7), i64(0)], ZERO],
    ["i64.div_s", [i64(MIN64), i64(-1)], OVERFLOW],
    ["i64.div_u", [i64(MIN64), i64(-1)], [i64(0)]],
    ["i64.div_u", [i64(1), i64(0)], ZERO],
    ["i64.rem_s", [i64(MIN64), i64(-1)], [i64(0)]],
    ["i64.rem_s", [i64(1), i64(0)], ZERO],
    ["i64.rem_u", [i64(-7), i64(10)], [i64(9)]],
    ["i64.rem_u", [i64(1), i64(0)], ZERO],
    // Counts are taken modulo the width.
    ["i32.shl", [i32(1), i32(33)], [i32(2)]],
    ["i32.shl", [i32(1), i32(-1)], [i32(MIN32)]],
    ["i32.shr_s", [i32(MIN32), i32(63)], [i32(-1)]],
    ["i32.shr_u", [i32(MIN32), i32(32)], [i32(MIN32)]],
    ["i32.rotl", [i32(0x80000001), i32(1)], [i32(3)]],
    ["i32.rotl", [i32(0x12345678), i32(32)], [i32(0x12345678)]],
    ["i32.rotr", [i32(1), i32(33)], [i32(MIN32)]],
    ["i64.shl", [i64(1), i64(65)], [i64(2)]],
    ["i64.shr_s", [i64(MIN64), i64(127)], [i64(-1)]],
    ["i64.shr_u", [i64(MIN64), i64(64)], [i64(MIN64)]],
    ["i64.rotl", [i64(MIN64 | 1n), i64(1)], [i64(3)]],
    ["i64.rotr", [i64(1), i64(65)], [i64(MIN64)]],
    ["i64.rotr", [i64(5), i64(0)], [i64(5)]],
    ["i32.clz", [i32(0)], [i32(32)]],
    ["i32.clz", [i32(1)], [i32(31)]],
    ["i32.ctz", [i32(0)], [i32(32)]],
    ["i32.ctz", [i32(MIN32)], [i32(31)]],
    ["i32.popcnt", [i32(-1)], [i32(32)]],
    ["i64.clz", [i64(0)], [i64(64)]],
    ["i64.ctz", [i64(0)], [i64(64)]],
    ["i64.ctz", [i64(MIN64)], [i64(63)]],
    ["i64.popcnt", [i64(-1)], [i64(64)]],
    ["i32.extend8_s", [i32(0x180)], [i32(-128)]],
    ["i32.extend16_s", [i32(0x18000)], [i32(-32768)]],
    ["i64.extend8_s", [i64(0x7f)], [i64(127)]],
    ["i64.extend16_s", [i64(0x8000)], [i64(-32768)]],
    ["i64.extend32_s", [i64(0x180000000n)], [i64(-0x80000000n)]],
    ["i64.extend_i32_s", [i32(-1)], [i64(-1)]],
    ["i64.extend_i32_u", [i32(-1)], [i64(0xffffffffn)]],
    ["i32.wrap_i64", [i64(0x1_0000_0005n)], [i32(5)]],
  ],
);

const truncations = (from: string, to: string) =>
  ["s", "u"].map((sign) => `${to}.trunc_${from}_${sign}`);
const saturations = (from: string, to: string) =>
  ["s", "u"].map((sign) => `${to}.trunc_sat_${from}_${sign}`);

instructions(
  "conversions",
  {
    "f32:i32": [...truncations("f32", "i32"), ...saturations("f32", "i32")],
    "f64:i32": [...truncations("f64", "i32"), ...saturations("f64", "i32")],
    "f32:i64": [...truncations("f32", "i64"), ...saturations("f32", "i64")],
    "f64:i64": [...truncations("f64", "i64"), ...saturations("f64", "i64")],
    "i64:f32": ["f32.convert_i64_s", "f32.convert_i64_u"],
    "i64:f64": ["f64.convert_i64_u"],
    "i32:f32": ["f32.convert_i32_u"],
  },
  [
    ["i32.trunc_f32_s", [single(2147483520)], [i32(2147483520)]],
    ["i32.trunc_f32_s", [single(2147483648)], OVERFLOW],
    ["i32.trunc_f32_s", [single(-2147483648)], [i32(MIN32)]],
    ["i32.trunc_f32_s", [single(-2147483904)], OVERFLOW],
    ["i32.trunc_f32_s", [single(NaN)], NAN],
    ["i32.trunc_f32_s", [f32(0x7fa00000)], NAN],
    ["i32.trunc_f32_s", [single(Infinity)], OVERFLOW],
    ["i32.trunc_f32_u", [single(-0.9)], [i32(0)]],
    ["i32.trunc_f32_u", [single(-1)], OVERFLOW],
    ["i32.trunc_f32_u", [single(4294967040)], [i32(4294967040)]],
    ["i32.trunc_f32_u", [single(4294967296)], OVERFLOW],
    ["i32.trunc_f64_s", [double(2147483647.9)], [i32(2147483647)]],
    ["i32.trunc_f64_s", [double(2147483648)], OVERFLOW],
    ["i32.trunc_f64_s", [double(-2147483648.9)], [i32(MIN32)]],
    ["i32.trunc_f64_s", [double(-2147483649)], OVERFLOW],
    ["i32.trunc_f64_u", [double(4294967295.9)], [i32(-1)]],
    ["i32.trunc_f64_u", [double(4294967296)], OVERFLOW],
    ["i32.trunc_f64_u", [double(-0.99)], [i32(0)]],
    ["i32.trunc_f64_u", [double(-1)], OVERFLOW],
    ["i64.trunc_f32_s", [single(9223371487098961920)], [i64(9223371487098961920n)]],
    ["i64.trunc_f32_s", [single(9223372036854775808)], OVERFLOW],
    ["i64.trunc_f32_s", [single(-9223372036854775808)], [i64(MIN64)]],
    ["i64.trunc_f32_u", [single(18446742974197923840)], [i64(18446742974197923840n)]],
    ["i64.trunc_f32_u", [single(18446744073709551616)], OVERFLOW],
    ["i64.trunc_f64_s", [double(9223372036854774784)], [i64(9223372036854774784n)]],
    ["i64.trunc_f64_s", [double(9223372036854775808)], OVERFLOW],
    ["i64.trunc_f64_s", [double(-9223372036854775808)], [i64(MIN64)]],
    ["i64.trunc_f64_u", [double(18446744073709549568)], [i64(18446744073709549568n)]],
    ["i64.trunc_f64_u", [double(NaN)], NAN],
    ["i32.trunc_sat_f32_s", [single(NaN)], [i32(0)]],
    ["i32.trunc_sat_f32_s", [single(1e20)], [i32(0x7fffffff)]],
    ["i32.trunc_sat_f32_s", [single(-1e20)], [i32(MIN32)]],
    ["i32.trunc_sat_f32_u", [single(-5)], [i32(0)]],
    ["i32.trunc_sat_f64_u", [double(1e20)], [i32(-1)]],
    ["i32.trunc_sat_f64_s", [double(-2147483648.9)], [i32(MIN32)]],
    ["i64.trunc_sat_f64_s", [double(Infinity)], [i64(MIN64 - 1n)]],
    ["i64.trunc_sat_f64_u", [double(-Infinity)], [i64(0)]],
    ["i64.trunc_sat_f32_u", [single(Infinity)], [i64(-1)]],
    // Rounded once: the tie goes to the even neighbour, above 2^63 too.
    ["f32.convert_i64_u", [i64(0x8000008000000001n)], [f32(0x5f000001)]],
    ["f32.convert_i64_u", [i64(-1)], [single(18446744073709551616)]],
    ["f32.convert_i64_s", [i64(0x20000020000001n)], [f32(0x5a000001)]],
    ["f64.convert_i64_u", [i64(-1)], [double(18446744073709551616)]],
    ["f32.convert_i32_u", [i32(-1)], [single(4294967296)]],
  ],
);

const SIGNALLING = 0x7fa12345;
const QUIET = 0x7fe12345;
const floats = (...names: string[]) => names.map((op) => `f32.${op}`);

instructions(
  "floating point",
  {
    "f32:f32": floats("abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt"),
    "f32 f32:f32": floats("add", "sub", "mul", "div", "min", "max", "copysign"),
    "f64:f64": ["f64.nearest", "f64.ceil", "f64.floor", "f64.trunc", "f64.neg", "f64.abs"],
    "f64 f64:f64": ["f64.min", "f64.max", "f64.copysign"],
    "f64:f32": ["f32.demote_f64"],
    "f32:f64": ["f64.promote_f32"],
  },
  [
    // Sign operations touch one bit, of NaNs too.
    ["f32.neg", [f32(SIGNALLING)], [f32(0xffa12345)]],
    ["f32.abs", [f32(0xffa12345)], [f32(SIGNALLING)]],
    ["f32.copysign", [f32(SIGNALLING), single(-0)], [f32(0xffa12345)]],
    ["f32.copysign", [single(1), f32(0xffa12345)], [single(-1)]],
    ["f64.neg", [f64(0x7ff0000000000001n)], [f64(0xfff0000000000001n)]],
    ["f64.abs", [f64(0xfff0000000000001n)], [f64(0x7ff0000000000001n)]],
    ["f64.copysign", [double(2), double(-3)], [double(-2)]],
    ["f32.neg", [single(0)], [single(-0)]],
    // Arithmetic makes them quiet.
    ["f32.add", [f32(SIGNALLING), single(0)], [f32(QUIET)]],
    ["f32.mul", [f32(SIGNALLING), single(1)], [f32(QUIET)]],
    ["f32.sub", [f32(SIGNALLING), single(0)], [f32(QUIET)]],
    ["f32.div", [f32(SIGNALLING), single(1)], [f32(QUIET)]],
    ["f32.nearest", [f32(SIGNALLING)], [f32(QUIET)]],
    ["f32.ceil", [f32(SIGNALLING)], [f32(QUIET)]],
    ["f32.trunc", [f32(SIGNALLING)], [f32(QUIET)]],
    ["f32.sqrt", [f32(SIGNALLING)], [f32(QUIET)]],
    ["f32.min", [f32(SIGNALLING), single(1)], [f32(QUIET)]],
    ["f32.max", [single(1), f32(SIGNALLING)], [f32(QUIET)]],
    ["f64.promote_f32", [f32(SIGNALLING)], [f64(0x7ffc2468a0000000n)]],
    ["f32.demote_f64", [f64(0x7ff42468a0000000n)], [f32(QUIET)]],
    ["f32.min", [single(0), single(-0)], [single(-0)]],
    ["f32.min", [single(-0), single(0)], [single(-0)]],
    ["f32.max", [single(-0), single(0)], [single(0)]],
    ["f32.max", [single(0), single(-0)], [single(0)]],
    ["f64.min", [double(-Infinity), double(1)], [double(-Infinity)]],
    ["f64.max", [double(-0), double(-0)], [double(-0)]],
    ["f32.nearest", [single(0.5)], [single(0)]],
    ["f32.nearest", [single(1.5)], [single(2)]],
    ["f32.nearest", [single(2.5)], [single(2)]],
    ["f32.nearest", [single(-0.5)], [single(-0)]],
    ["f32.nearest", [single(8388609)], [single(8388609)]],
    ["f32.nearest", [single(4194304.5)], [single(4194304)]],
    ["f64.nearest", [double(4503599627370495.5)], [double(4503599627370496)]],
    ["f64.nearest", [double(-2.5)], [double(-2)]],
    ["f32.ceil", [single(-0.5)], [single(-0)]],
    ["f32.ceil", [single(0.1)], [single(1)]],
    ["f32.floor", [single(-0.1)], [single(-1)]],
    ["f32.floor", [single(-0)], [single(-0)]],
    ["f32.trunc", [single(-1.9)], [single(-1)]],
    ["f32.trunc", [single(-Infinity)], [single(-Infinity)]],
    ["f64.ceil", [double(4503599627370495.5)], [double(4503599627370496)]],
    ["f64.floor", [double(-4503599627370495.5)], [double(-4503599627370496)]],
    ["f64.trunc", [double(-0.9)], [double(-0)]],
    ["f32.demote_f64", [double(1e300)], [single(Infinity)]],
    ["f32.demote_f64", [double(1e-50)], [single(0)]],
    ["f32.sqrt", [single(-0)], [single(-0)]],
  ],
);

module(
  "NaN bits in transit",
  `(module
    (memory 1)
    (global $f (mut f32) (f32.const nan:0x212345))
    (global $d (mut f64) (f64.const -nan:0x4000000000001))
    (func $same (param f32) (result f32) (local.get 0))
    (func (export "global32") (result i32) (i32.reinterpret_f32 (global.get $f)))
    (func (export "global64") (result i64) (i64.reinterpret_f64 (global.get $d)))
    (func (export "constant") (result f32) (f32.const -nan:0x2abcde))
    (func (export "memory") (param i32) (result i32)
      (f32.store (i32.const 0) (f32.reinterpret_i32 (local.get 0)))
      (f32.store (i32.const 4) (f32.load (i32.const 0)))
      (i32.load (i32.const 4)))
    (func (export "call") (param i32) (result i32)
      (i32.reinterpret_f32 (call $same (f32.reinterpret_i32 (local.get 0)))))
    (func (export "select") (param i32 i32) (result i32)
      (i32.reinterpret_f32 (select (f32.reinterpret_i32 (local.get 0)) (f32.const 1) (local.get 1))))
    (func (export "block") (param i32) (result i32) (local f32)
      (local.set 1 (block $out (result f32)
        (drop (br_if $out (f32.reinterpret_i32 (local.get 0)) (i32.const 1))) (f32.const 0)))
      (i32.reinterpret_f32 (local.get 1)))
    (func (export "there and back") (param f32) (result f32)
      (f32.demote_f64 (f64.promote_f32 (local.get 0))))
    (func (export "times one") (param f64) (result f64) (f64.mul (local.get 0) (f64.const 1)))
    (func (export "absolute square") (result i32)
      (i32.shr_u (i32.reinterpret_f32 (f32.abs (f32.mul (f32.const inf) (f32.const 0)))) (i32.const 31))))`,
  [
    ["global32", [], [i32(SIGNALLING)]],
    ["global64", [], [i64(0xfff4000000000001n)]],
    ["constant", [], [f32(0xffaabcde)]],
    ["memory", [i32(SIGNALLING)], [i32(SIGNALLING)]],
    ["call", [i32(SIGNALLING)], [i32(SIGNALLING)]],
    ["select", [i32(SIGNALLING), i32(1)], [i32(SIGNALLING)]],
    ["block", [i32(SIGNALLING)], [i32(SIGNALLING)]],
    ["there and back", [f32(SIGNALLING)], [f32(QUIET)]],
    ["there and back", [single(1.1)], [single(1.1)]],
    ["times one", [f64(0x7ff4000000000001n)], [f64(0x7ffc000000000001n)]],
    ["absolute square", [], [i32(0)]],
  ],
);

const address = "(local.get 0)";
const letters = (text: string): string => text.split("").join("\\00") + "\\00";
const bytesAt = (at: number): string => `(i64.load offset=${at} (i32.const 0))`;
/** Eight bytes from an address on. */
const BYTES = [0, 16, 24, 32, 40, 48, 56, 65528];
module(
  "static data in text, overlapping, out of order and to the end",
  `(module
    (memory 1)
    (data (i32.const 0) "\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\ff")
    (data (i32.const 17) "\\01${letters("abcdefgh")}\\02")
    (data (i32.const 2) "\\00\\00")
    (data (i32.const 65528) "${letters("last")}")
    (data (i32.const 48) "\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\05")
    (data (i32.const 40) "${letters("xy")}")
    (data (i32.const 60) "")
    ${BYTES.map((at) => `(func (export "at${at}") (result i64) ${bytesAt(at)})`).join("\n")})`,
  [
    ["at0", [], [i64(0xffffffff_0000ffffn)]],
    ["at16", [], [i64(0x63_0062_0061_01_00n)]],
    ["at24", [], [i64(0x67_0066_0065_0064n)]],
    ["at32", [], [i64(0x02_0068n)]],
    ["at40", [], [i64(0x79_0078n)]],
    ["at48", [], [i64(0n)]],
    ["at56", [], [i64(0x05_0000_0000n)]],
    ["at65528", [], [i64(0x74_0073_0061_006cn)]],
  ],
);
module(
  "static data past the end",
  `(module
    (memory 1)
    (data (i32.const 65535) "\\01\\02"))`,
  OUT_OF_BOUNDS,
);
module(
  "functions called as generated code calls its data",
  `(module
    (memory 1)
    (table 2 funcref)
    (data (i32.const 0) "\\01")
    (data $passive "\\02")
    (elem $e (table 0) (offset (i32.const 0)) func $data $data1)
    (func $data (result i32) (i32.load8_u (i32.const 0)))
    (func $data1 (result i32) (memory.init $passive (i32.const 1) (i32.const 0) (i32.const 1)) (i32.load8_u (i32.const 1)))
    (func $elem0 (result i32) (call_indirect (result i32) (i32.const 0)))
    (func $table0 (result i32) (call_indirect (result i32) (i32.const 1)))
    (func $ref0 (export "all") (result i32 i32) (call $elem0) (call $table0)))`,
  [["all", [], [i32(1), i32(2)]]],
);
module(
  "memory limits",
  `(module
    (memory 1 3)
    (data (i32.const 65532) "\\01\\02\\03\\84")
    (func (export "load8") (param i32) (result i32) (i32.load8_s ${address}))
    (func (export "load32") (param i32) (result i32) (i32.load ${address}))
    (func (export "load64") (param i32) (result i64) (i64.load ${address}))
    (func (export "far") (param i32) (result i32) (i32.load8_u offset=0xffffffff ${address}))
    (func (export "far64") (param i32) (result i64) (i64.load offset=0xfffffffc ${address}))
    (func (export "near") (param i32) (result i32) (i32.load8_u offset=65535 ${address}))
    (func (export "unused") (param i32) (drop (i32.load ${address})))
    (func (export "store16") (param i32 i32) (i32.store16 ${address} (local.get 1)))
    (func (export "store64") (param i32 i64) (i64.store ${address} (local.get 1)))
    (func (export "size") (result i32) (memory.size))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
    (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2))))`,
  [
    ["load8", [i32(65535)], [i32(-124)]],
    ["load8", [i32(65536)], OUT_OF_BOUNDS],
    ["load8", [i32(-1)], OUT_OF_BOUNDS],
    ["load32", [i32(65532)], [i32(0x84030201)]],
    ["load32", [i32(65533)], OUT_OF_BOUNDS],
    ["load64", [i32(65529)], OUT_OF_BOUNDS],
    ["near", [i32(0)], [i32(0x84)]],
    ["near", [i32(1)], OUT_OF_BOUNDS],
    // Effective addresses have 33 bits and do not wrap.
    ["far", [i32(1)], OUT_OF_BOUNDS],
    ["far", [i32(-1)], OUT_OF_BOUNDS],
    ["far64", [i32(4)], OUT_OF_BOUNDS],
    ["far64", [i32(-1)], OUT_OF_BOUNDS],
    ["unused", [i32(65533)], OUT_OF_BOUNDS],
    // A store that fails writes nothing.
    ["store64", [i32(65532), i64(-1)], OUT_OF_BOUNDS],
    ["store16", [i32(65535), i32(0)], OUT_OF_BOUNDS],
    ["load32", [i32(65532)], [i32(0x84030201)]],
    ["fill", [i32(65530), i32(7), i32(7)], OUT_OF_BOUNDS],
    ["load32", [i32(65530)], [i32(0x02010000)]],
    ["copy", [i32(65533), i32(0), i32(4)], OUT_OF_BOUNDS],
    ["copy", [i32(0), i32(65533), i32(4)], OUT_OF_BOUNDS],
    ["copy", [i32(0), i32(65533), i32(-1)], OUT_OF_BOUNDS],
    ["load32", [i32(0)], [i32(0)]],
    // Nothing, right at the end, is in bounds; beyond it is not.
    ["fill", [i32(65536), i32(7), i32(0)], []],
    ["fill", [i32(65537), i32(7), i32(0)], OUT_OF_BOUNDS],
    ["copy", [i32(65536), i32(65536), i32(0)], []],
    ["copy", [i32(0), i32(65537), i32(0)], OUT_OF_BOUNDS],
    ["copy", [i32(65530), i32(65532), i32(4)], []],
    ["load32", [i32(65530)], [i32(0x84030201)]],
    ["copy", [i32(65531), i32(65530), i32(4)], []],
    ["load32", [i32(65531)], [i32(0x84030201)]],
    ["fill", [i32(0), i32(0x1ff), i32(2)], []],
    ["load32", [i32(0)], [i32(0xffff)]],
    ["size", [], [i32(1)]],
    ["grow", [i32(3)], [i32(-1)]],
    ["grow", [i32(0)], [i32(1)]],
    ["grow", [i32(2)], [i32(1)]],
    ["grow", [i32(1)], [i32(-1)]],
    ["grow", [i32(-1)], [i32(-1)]],
    ["size", [], [i32(3)]],
    ["load64", [i32(65536)], [i64(0)]],
    ["load8", [i32(196607)], [i32(0)]],
    ["load8", [i32(196608)], OUT_OF_BOUNDS],
  ],
);

module(
  "passive segments",
  `(module
    (memory 1)
    (table $t 4 funcref)
    (data $d "\\01\\02\\03\\04")
    (data $active (i32.const 16) "\\05")
    (elem $e func $one $two)
    (elem $started (table $t) (i32.const 0) func $two)
    (func $one (result i32) (i32.const 1))
    (func $two (result i32) (i32.const 2))
    (func (export "init") (param i32 i32 i32)
      (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
    (func (export "drop") (data.drop $d))
    (func (export "init active") (param i32) (memory.init $active (i32.const 0) (i32.const 0) (local.get 0)))
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "table.init") (param i32 i32 i32)
      (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
    (func (export "table.init started") (param i32)
      (table.init $t $started (i32.const 0) (i32.const 0) (local.get 0)))
    (func (export "elem.drop") (elem.drop $e))
    (func (export "call") (param i32) (result i32) (call_indirect $t (result i32) (local.get 0))))`,
  [
    ["init", [i32(8), i32(1), i32(3)], []],
    ["load", [i32(8)], [i32(0x040302)]],
    ["init", [i32(0), i32(2), i32(3)], OUT_OF_BOUNDS],
    ["init", [i32(65534), i32(0), i32(3)], OUT_OF_BOUNDS],
    ["load", [i32(65532)], [i32(0)]],
    ["init", [i32(0), i32(4), i32(0)], []],
    ["init", [i32(0), i32(5), i32(0)], OUT_OF_BOUNDS],
    ["init", [i32(-1), i32(0), i32(-1)], OUT_OF_BOUNDS],
    ["drop", [], []],
    ["init", [i32(0), i32(0), i32(1)], OUT_OF_BOUNDS],
    ["init", [i32(0), i32(0), i32(0)], []],
    ["drop", [], []],
    // An active segment is dropped once it is copied.
    ["init active", [i32(0)], []],
    ["init active", [i32(1)], OUT_OF_BOUNDS],
    ["call", [i32(0)], [i32(2)]],
    ["table.init", [i32(2), i32(0), i32(3)], TABLE],
    ["call", [i32(2)], "call through a null table entry"],
    ["table.init", [i32(2), i32(0), i32(2)], []],
    ["call", [i32(2)], [i32(1)]],
    ["call", [i32(3)], [i32(2)]],
    ["table.init", [i32(3), i32(0), i32(2)], TABLE],
    ["elem.drop", [], []],
    ["table.init", [i32(0), i32(0), i32(1)], TABLE],
    ["table.init", [i32(4), i32(0), i32(0)], []],
    ["table.init", [i32(5), i32(0), i32(0)], TABLE],
    ["table.init started", [i32(1)], TABLE],
  ],
);

const NULL_CALL = "call through a null table entry";
const OTHER_TYPE = "indirect call of another signature";
module(
  "indirect calls",
  `(module
    (type $unary (func (param i32) (result i32)))
    (table $fixed 5 funcref)
    (elem (table $fixed) (i32.const 1) func $double $negate $wide)
    (table $changing 2 6 funcref)
    (func $double (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1)))
    (func $negate (param i32) (result i32) (i32.sub (i32.const 0) (local.get 0)))
    (func $wide (param i64) (result i64) (local.get 0))
    (func (export "fixed") (param i32 i32) (result i32)
      (call_indirect $fixed (type $unary) (local.get 1) (local.get 0)))
    (func (export "changing") (param i32 i32) (result i32)
      (call_indirect $changing (type $unary) (local.get 1) (local.get 0)))
    (func (export "set") (param i32) (table.set $changing (local.get 0) (ref.func $negate)))
    (func (export "clear") (param i32) (table.set $changing (local.get 0) (ref.null func)))
    (func (export "is null") (param i32) (result i32) (ref.is_null (table.get $changing (local.get 0))))
    (func (export "size") (result i32) (table.size $changing))
    (func (export "grow") (param i32) (result i32) (table.grow $changing (ref.func $double) (local.get 0)))
    (func (export "fill") (param i32 i32) (table.fill $changing (local.get 0) (ref.func $wide) (local.get 1)))
    (func (export "copy") (param i32 i32 i32)
      (table.copy $changing $changing (local.get 0) (local.get 1) (local.get 2)))
    (func (export "first argument traps") (param i32) (result i32)
      (call_indirect $fixed (type $unary) (i32.div_u (i32.const 1) (i32.const 0)) (i32.const 99))))`,
  [
    ["fixed", [i32(1), i32(21)], [i32(42)]],
    ["fixed", [i32(2), i32(5)], [i32(-5)]],
    ["fixed", [i32(0), i32(5)], NULL_CALL],
    ["fixed", [i32(3), i32(5)], OTHER_TYPE],
    ["fixed", [i32(4), i32(5)], NULL_CALL],
    ["fixed", [i32(5), i32(5)], TABLE],
    ["fixed", [i32(-1), i32(5)], TABLE],
    ["first argument traps", [i32(0)], ZERO],
    ["changing", [i32(0), i32(5)], NULL_CALL],
    ["changing", [i32(2), i32(5)], TABLE],
    ["set", [i32(1)], []],
    ["set", [i32(2)], TABLE],
    ["changing", [i32(1), i32(5)], [i32(-5)]],
    ["is null", [i32(0)], [i32(1)]],
    ["is null", [i32(1)], [i32(0)]],
    ["is null", [i32(2)], TABLE],
    ["grow", [i32(5)], [i32(-1)]],
    ["grow", [i32(3)], [i32(2)]],
    ["size", [], [i32(5)]],
    ["changing", [i32(4), i32(5)], [i32(10)]],
    ["fill", [i32(3), i32(3)], TABLE],
    ["changing", [i32(3), i32(5)], [i32(10)]],
    ["fill", [i32(3), i32(2)], []],
    ["changing", [i32(3), i32(5)], OTHER_TYPE],
    ["copy", [i32(1), i32(2), i32(4)], TABLE],
    ["copy", [i32(0), i32(1), i32(2)], []],
    ["changing", [i32(0), i32(5)], [i32(-5)]],
    ["changing", [i32(1), i32(5)], [i32(10)]],
    ["clear", [i32(0)], []],
    ["changing", [i32(0), i32(5)], NULL_CALL],
  ],
);

module(
  "order of evaluation",
  `(module
    (memory 1)
    (global $g (mut i32) (i32.const 1))
    (func $bump (result i32) (global.set $g (i32.mul (global.get $g) (i32.const 10))) (i32.const 0))
    (func $poke (param i32) (result i32) (i32.store (i32.const 0) (local.get 0)) (i32.const 0))
    (func (export "load before store") (result i32)
      (i32.store (i32.const 0) (i32.const 5))
      (i32.add (i32.load (i32.const 0)) (call $poke (i32.const 9))))
    (func (export "global before call") (result i32) (i32.add (global.get $g) (call $bump)))
    (func (export "global") (result i32) (global.get $g))
    (func (export "local before set") (param i32) (result i32)
      (i32.sub (local.get 0) (block (result i32) (local.set 0 (i32.const 100)) (local.get 0))))
    (func (export "local before tee") (param i32) (result i32)
      (i32.sub (local.get 0) (local.tee 0 (i32.const 7))))
    (func (export "swap") (param i32 i32) (result i32)
      (local.get 0) (local.get 1) (local.set 0) (local.set 1)
      (i32.sub (local.get 0) (local.get 1)))
    (func (export "divide, then load") (param i32) (result i32)
      (i32.add (i32.div_u (i32.const 1) (local.get 0)) (i32.load (i32.const -1))))
    (func (export "trap, then store") (param i32) (result i32)
      (i32.div_u (i32.const 1) (local.get 0))
      (i32.store (i32.const 4) (i32.const 1)))
    (func (export "value traps before address") (param i32)
      (i32.store (i32.const -1) (i32.div_u (i32.const 1) (local.get 0))))
    (func (export "stored") (result i32) (i32.load (i32.const 4)))
    (func (export "select evaluates both") (param i32) (result i32)
      (select (i32.const 1) (i32.div_u (i32.const 1) (i32.const 0)) (local.get 0)))
    (func (export "branch discards after trapping") (param i32) (result i32)
      (block $out (result i32)
        (i32.div_u (i32.const 1) (local.get 0))
        (br $out (i32.const 3)) ))
    (func (export "dropped division") (param i32) (drop (i32.rem_s (i32.const 1) (local.get 0)))))`,
  [
    ["load before store", [], [i32(5)]],
    ["global before call", [], [i32(1)]],
    ["global", [], [i32(10)]],
    ["local before set", [i32(30)], [i32(-70)]],
    ["local before tee", [i32(30)], [i32(23)]],
    ["swap", [i32(3), i32(10)], [i32(7)]],
    ["divide, then load", [i32(0)], ZERO],
    ["divide, then load", [i32(1)], OUT_OF_BOUNDS],
    ["trap, then store", [i32(0)], ZERO],
    ["stored", [], [i32(0)]],
    ["value traps before address", [i32(0)], ZERO],
    ["select evaluates both", [i32(1)], ZERO],
    ["branch discards after trapping", [i32(0)], ZERO],
    ["branch discards after trapping", [i32(1)], [i32(3)]],
    ["dropped division", [i32(0)], ZERO],
  ],
);

// With the other models the MMU traps, whenever the compiler loads.
module(
  "order of two traps",
  `(module
    (memory 1)
    (func (export "load, then divide") (param i32) (result i32)
      (i32.add (i32.load (i32.const -1)) (i32.div_u (i32.const 1) (local.get 0))))
    (func (export "load, then branch") (param i32) (result i32)
      (block $out (result i32) (i32.load (i32.const -1)) (br $out (i32.const 1)))))`,
  [
    ["load, then divide", [i32(0)], OUT_OF_BOUNDS],
    ["load, then branch", [i32(0)], OUT_OF_BOUNDS],
  ],
  "CHECKED",
);

module(
  "several values",
  `(module
    (func $three (param i32) (result i32 i64 f64)
      (i32.add (local.get 0) (i32.const 1)) (i64.const -2) (f64.const 0.5))
    (func (export "results") (param i32) (result i32 i64 f64) (call $three (local.get 0)))
    (func (export "swap in a loop") (param i32) (result i32 i32)
      (i32.const 1) (i32.const 2)
      (loop $again (param i32 i32) (result i32 i32)
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (call $exchange)
        (br_if $again (i32.gt_s (local.get 0) (i32.const 0)))))
    (func $exchange (param i32 i32) (result i32 i32) (local.get 1) (local.get 0))
    (func (export "fibonacci") (param i32) (result i64) (local i64 i64)
      (i64.const 0) (i64.const 1)
      (loop $next (param i64 i64) (result i64 i64)
        (local.set 2) (local.set 1)
        (local.get 2) (i64.add (local.get 1) (local.get 2))
        (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      drop)
    (func (export "if") (param i32) (result i32 i32)
      (i32.const 10) (i32.const 20)
      (if (param i32 i32) (result i32 i32) (local.get 0)
        (then (drop) (i32.const 30))
        (else (call $exchange))))
    (func (export "table") (param i32) (result i32)
      (block $b (result i32) (block $a (result i32)
        (i32.const 7) (br_table $a $b $a (local.get 0)))
        (i32.const 100) (i32.add))))`,
  [
    ["results", [i32(4)], [i32(5), i64(-2), double(0.5)]],
    ["swap in a loop", [i32(1)], [i32(2), i32(1)]],
    ["swap in a loop", [i32(2)], [i32(1), i32(2)]],
    ["fibonacci", [i32(50)], [i64(12586269025n)]],
    ["if", [i32(1)], [i32(10), i32(30)]],
    ["if", [i32(0)], [i32(20), i32(10)]],
    ["table", [i32(0)], [i32(107)]],
    ["table", [i32(1)], [i32(7)]],
    ["table", [i32(-1)], [i32(107)]],
  ],
);

const TEN_MILLION = 10_000_000;
const MANY = "i64 ".repeat(10);
const PASS = [...Array(10).keys()].map((i) => `(local.get ${i + 1})`).join(" ");
module(
  "tail calls",
  `(module
    (type $step (func (param i32) (result i32)))
    (table 2 funcref)
    (elem (i32.const 0) $ping $pong)
    (func $even (export "even") (param i32) (result i32)
      (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
      (return_call $odd (i32.sub (local.get 0) (i32.const 1))))
    (func $odd (param i32) (result i32)
      (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
      (return_call $even (i32.sub (local.get 0) (i32.const 1))))
    (func $count (export "count") (param i32 i64) (result i64) (local i64)
      (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
      (local.set 2 (i64.add (local.get 2) (i64.const 1)))
      (return_call $count (i32.sub (local.get 0) (i32.const 1)) (i64.add (local.get 1) (local.get 2))))
    (func $ping (export "ping") (param i32) (result i32)
      (if (i32.le_s (local.get 0) (i32.const 0)) (then (return (i32.const -5))))
      (return_call_indirect (type $step) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
    (func $pong (param i32) (result i32)
      (return_call_indirect (type $step) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))
    (func $few (export "few") (param i32) (result i64)
      (return_call $many (local.get 0) ${[...Array(10).keys()].map((i) => `(i64.const ${i})`).join(" ")}))
    (func $many (param i32 ${MANY}) (result i64)
      (if (i32.eqz (local.get 0)) (then (return (i64.add (local.get 1) (local.get 10)))))
      (return_call $more (i32.sub (local.get 0) (i32.const 1)) ${PASS} (f64.const 1)))
    (func $more (param i32 ${MANY} f64) (result i64)
      (if (i32.eqz (local.get 0)) (then (return (i64.const -1))))
      (return_call $many (i32.sub (local.get 0) (i32.const 1)) ${PASS}))
    (global $g (mut i32) (i32.const 0))
    (func $deep (export "not a tail call") (param i32) (result i32) (local i32)
      (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
      (local.set 1 (call $deep (i32.sub (local.get 0) (i32.const 1))))
      (global.set $g (i32.mul (i32.add (global.get $g) (local.get 0)) (i32.const 3)))
      (i32.add (local.get 1) (i32.const 1)))
    (func $pair (export "pair") (param i32 i32) (result i32 i32)
      (if (i32.eqz (local.get 0)) (then (return (local.get 0) (local.get 1))))
      (return_call $riap (local.get 1) (i32.sub (local.get 0) (i32.const 1))))
    (func $riap (param i32 i32) (result i32 i32) (return_call $pair (local.get 1) (local.get 0)))
    (func (export "inside") (param i32) (result i32) (i32.add (i32.const 1) (call $even (local.get 0))))
    (func (export "bad") (result i32) (return_call_indirect (type $step) (i32.const 1) (i32.const 2))))`,
  [
    ["even", [i32(TEN_MILLION)], [i32(1)]],
    ["even", [i32(TEN_MILLION + 1)], [i32(0)]],
    ["count", [i32(TEN_MILLION), i64(0)], [i64(TEN_MILLION)]],
    ["ping", [i32(TEN_MILLION)], [i32(-5)]],
    ["few", [i32(TEN_MILLION)], [i64(9)]],
    ["few", [i32(TEN_MILLION + 1)], [i64(-1)]],
    ["pair", [i32(TEN_MILLION), i32(6)], [i32(0), i32(6)]],
    ["inside", [i32(3)], [i32(1)]],
    ["bad", [], TABLE],
    ["not a tail call", [i32(1000)], [i32(1000)]],
    ["not a tail call", [i32(TEN_MILLION)], "call stack exhausted"],
    ["not a tail call", [i32(1000)], [i32(1000)]],
  ],
);

/** A vector constant from 16 bytes. */
const bytes = (...list: number[]) => `(v128.const i8x16 ${list.join(" ")})`;
const low = (vector: string) => `(i64x2.extract_lane 0 ${vector})`;
const high = (vector: string) => `(i64x2.extract_lane 1 ${vector})`;
const COUNT = bytes(...Array(16).keys());
module(
  "vectors",
  `(module
    (memory 1)
    (data (i32.const 8) "\\80\\01\\fe\\ff\\00\\7f\\81\\02")
    (func (export "shuffle") (result i64 i64) (local v128)
      (local.set 0 (i8x16.shuffle 31 0 16 1 2 3 4 5 6 7 8 9 10 11 12 30 ${COUNT} ${bytes(...Array.from({ length: 16 }, (_, i) => 0x70 + i))}))
      ${low("(local.get 0)")} ${high("(local.get 0)")})
    (func (export "swizzle") (result i64 i64) (local v128)
      (local.set 0 (i8x16.swizzle (i8x16.add ${COUNT} (i8x16.splat (i32.const 1))) ${bytes(15, 16, 0, -1, 127, 128 - 256, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255 - 256)}))
      ${low("(local.get 0)")} ${high("(local.get 0)")})
    (func (export "lanes") (result i32 i32 i32 i32)
      (i8x16.extract_lane_s 15 (i8x16.replace_lane 15 ${COUNT} (i32.const 0x1ff)))
      (i8x16.extract_lane_u 15 (i8x16.replace_lane 15 ${COUNT} (i32.const 0x1ff)))
      (i16x8.extract_lane_s 0 (i16x8.splat (i32.const 0x18000)))
      (i16x8.extract_lane_u 7 (i16x8.splat (i32.const 0x18000))))
    (func (export "narrow") (result i64 i64) (local v128)
      (local.set 0 (i8x16.narrow_i16x8_s (v128.const i16x8 128 127 -128 -129 32767 -32768 0 -1) (v128.const i16x8 1 2 3 4 5 6 7 8)))
      ${low("(local.get 0)")}
      (local.set 0 (i16x8.narrow_i32x4_u (v128.const i32x4 65536 65535 -1 0x80000000) (v128.const i32x4 1 2 3 4)))
      ${low("(local.get 0)")})
    (func (export "saturate") (result i64 i64)
      ${low("(i8x16.add_sat_s (v128.const i8x16 127 -128 1 0 0 0 0 0 0 0 0 0 0 0 0 0) (v128.const i8x16 1 -1 1 0 0 0 0 0 0 0 0 0 0 0 0 0))")}
      ${low("(i16x8.q15mulr_sat_s (v128.const i16x8 -32768 16384 1 0 0 0 0 0) (v128.const i16x8 -32768 16384 16384 0 0 0 0 0))")})
    (func (export "shift") (result i64 i64)
      ${low("(i8x16.shr_s (i8x16.splat (i32.const 0x80)) (i32.const 9))")}
      ${low("(i64x2.shl (i64x2.splat (i64.const 1)) (i32.const 65))")})
    (func (export "truncate") (result i64 i64)
      ${low("(i32x4.trunc_sat_f32x4_s (v128.const f32x4 nan 1e10 0 0))")}
      ${low("(i32x4.trunc_sat_f64x2_u_zero (v128.const f64x2 -1 1e10))")})
    (func (export "minimum") (result i64 i64)
      ${low("(f32x4.min (v128.const f32x4 0 1 0 0) (v128.const f32x4 -0 2 0 0))")}
      ${low("(f32x4.pmin (v128.const f32x4 0 nan 0 0) (v128.const f32x4 -0 1 0 0))")})
    (func (export "masks") (result i32 i32 i32 i32)
      (i8x16.bitmask (v128.const i8x16 -1 0 -128 127 0 0 0 0 0 0 0 0 0 0 0 -2))
      (i16x8.bitmask (v128.const i16x8 -1 0 0 0 0 0 0 -32768))
      (i32x4.all_true (v128.const i32x4 1 2 0 3))
      (v128.any_true (v128.const i64x2 0 0x100000000)))
    (func (export "dot") (result i64 i64)
      ${low("(i32x4.dot_i16x8_s (v128.const i16x8 -32768 -32768 3 -4 0 0 0 0) (v128.const i16x8 -32768 -32768 5 6 0 0 0 0))")}
      ${high("(i64x2.extmul_high_i32x4_u (v128.const i32x4 0 0 0 -1) (v128.const i32x4 0 0 0 -1))")})
    (func (export "load") (result i64 i64 i64 i64)
      ${low("(v128.load8x8_s (i32.const 8))")}
      ${high("(v128.load16x4_u (i32.const 8))")}
      ${high("(v128.load8_splat (i32.const 8))")}
      ${high("(v128.load32_zero (i32.const 8))")})
    (func (export "load lane") (result i64 i64) (local v128)
      (local.set 0 (v128.load16_lane offset=8 6 (i32.const 0) ${COUNT}))
      (v128.store8_lane 12 (i32.const 40) (local.get 0))
      (i64.load (i32.const 40)) ${high("(local.get 0)")})
    (func (export "edge") (param i32) (result i32) (v128.any_true (v128.load offset=1 (local.get 0))))
    (func (export "store edge") (param i32) (v128.store (local.get 0) (v128.const i64x2 -1 -1)))
    (func (export "word") (param i32) (result i64) (i64.load (local.get 0)))
    (func (export "lane edge") (param i32) (result i64) ${low("(v128.load64_lane 0 (local.get 0) (v128.const i64x2 1 2))")})
    (func (export "select") (param i32) (result i64)
      ${low("(select (v128.const i64x2 1 0) (v128.const i64x2 2 0) (local.get 0))")})
    (func (export "bitselect") (result i64)
      ${low("(v128.bitselect (v128.const i64x2 0xff00 0) (v128.const i64x2 0x1234 0) (v128.const i64x2 0xf0f0 0))")}))`,
  [
    ["shuffle", [], [i64(0x05040302_0170_007fn), i64(0x7e0c0b0a09080706n)]],
    ["swizzle", [], [i64(0x0302_0000_0001_0010n), i64(0x000a090807060504n)]],
    ["lanes", [], [i32(-1), i32(255), i32(-32768), i32(0x8000)]],
    ["narrow", [], [i64(0xff00807f80807f7fn), i64(0x00000000fffffffen | 1n)]],
    ["saturate", [], [i64(0x02807fn), i64(0x0001_2000_7fffn)]],
    ["shift", [], [i64(0xc0c0c0c0c0c0c0c0n), i64(2)]],
    ["truncate", [], [i64(0x7fffffff00000000n), i64(0xffffffff00000000n)]],
    ["minimum", [], [i64(0x3f80000080000000n), i64(0x7fc0000000000000n)]],
    ["masks", [], [i32(0x8005), i32(0x81), i32(0), i32(1)]],
    ["dot", [], [i64(0xfffffff7_80000000n), i64(0xfffffffe00000001n)]],
    [
      "load",
      [],
      [i64(0xfffffffe0001ff80n), i64(0x0000028100007f00n), i64(0x8080808080808080n), i64(0)],
    ],
    ["load lane", [], [i64(0x80), i64(0x0f0e_0180_0b0a0908n)]],
    ["edge", [i32(65519)], [i32(0)]],
    ["edge", [i32(65520)], OUT_OF_BOUNDS],
    ["store edge", [i32(65521)], OUT_OF_BOUNDS],
    ["word", [i32(65528)], [i64(0)]],
    ["lane edge", [i32(65529)], OUT_OF_BOUNDS],
    ["select", [i32(0)], [i64(2)]],
    ["select", [i32(9)], [i64(1)]],
    ["bitselect", [], [i64(0xf204)]],
  ],
);
