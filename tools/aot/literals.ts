/** Constants in C, exact to the bit. */

const scratch = new DataView(new ArrayBuffer(8));

export function integerLiteral(type: "i32" | "i64" | string, bits: bigint): string {
  const wide = type === "i64";
  const signed = BigInt.asIntN(wide ? 64 : 32, bits);
  // Small negative numbers are read more easily with their sign.
  if (signed < 0n && signed >= -4096n) return wide ? `(u64)${signed}` : `(u32)${signed}`;
  return wide ? `${bits}ull` : `${bits}u`;
}

export function floatLiteral(type: "f32" | "f64", bits: bigint): string {
  scratch.setBigUint64(0, bits, true);
  const value = type === "f32" ? scratch.getFloat32(0, true) : scratch.getFloat64(0, true);
  if (!Number.isFinite(value)) {
    // Infinities and NaNs have no literal; a NaN must keep its payload.
    return type === "f32"
      ? `wasm_f32_reinterpret_i32(${bits}u)`
      : `wasm_f64_reinterpret_i64(${bits}ull)`;
  }
  const digits = Object.is(value, -0)
    ? "-0.0"
    : /[.e]/.test(`${value}`)
      ? `${value}`
      : `${value}.0`;
  const literal = type === "f32" ? `${digits}f` : digits;
  return literal.startsWith("-") ? `(${literal})` : literal;
}

export const vectorLiteral = (bits: bigint): string =>
  `wasm_v128(${BigInt.asUintN(64, bits)}ull, ${bits >> 64n}ull)`;
