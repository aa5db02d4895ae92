/** Floating point as WebAssembly has it (spec 4.3.3), for modules that use it. */

#define WASM_FLOAT(F, U, S, bits, sign, whole, one)                                            \
  /* NaNs keep every bit on the way between integer and float. */                              \
  WASM_INLINE U wasm_i##bits##_reinterpret_f##bits(F x) {                                      \
    union { F f; U i; } both = {.f = x};                                                       \
    return both.i;                                                                             \
  }                                                                                            \
  WASM_INLINE F wasm_f##bits##_reinterpret_i##bits(U x) {                                      \
    union { F f; U i; } both = {.i = x};                                                       \
    return both.f;                                                                             \
  }                                                                                            \
  /* Bit operations, which apply to NaNs as well: no folding may presume a sign. */            \
  WASM_INLINE F wasm_f##bits##_abs(F x) {                                                      \
    return wasm_f##bits##_reinterpret_i##bits(wasm_i##bits##_reinterpret_f##bits(x) & ~sign);  \
  }                                                                                            \
  WASM_INLINE F wasm_f##bits##_neg(F x) {                                                      \
    return wasm_f##bits##_reinterpret_i##bits(wasm_i##bits##_reinterpret_f##bits(x) ^ sign);   \
  }                                                                                            \
  WASM_INLINE F wasm_f##bits##_copysign(F x, F y) {                                            \
    return wasm_f##bits##_reinterpret_i##bits(                                                 \
        (wasm_i##bits##_reinterpret_f##bits(x) & ~sign) |                                      \
        (wasm_i##bits##_reinterpret_f##bits(y) & sign));                                       \
  }                                                                                            \
  WASM_INLINE F wasm_f##bits##_min(F x, F y) {                                                 \
    if (x != x || y != y) return x + y;                                                        \
    /* Equal, so the same or zeros of either sign: -0 is the smaller. */                       \
    if (x == y)                                                                                \
      return wasm_f##bits##_reinterpret_i##bits(wasm_i##bits##_reinterpret_f##bits(x) |        \
                                                wasm_i##bits##_reinterpret_f##bits(y));        \
    return x < y ? x : y;                                                                      \
  }                                                                                            \
  WASM_INLINE F wasm_f##bits##_max(F x, F y) {                                                 \
    if (x != x || y != y) return x + y;                                                        \
    if (x == y)                                                                                \
      return wasm_f##bits##_reinterpret_i##bits(wasm_i##bits##_reinterpret_f##bits(x) &        \
                                                wasm_i##bits##_reinterpret_f##bits(y));        \
    return x > y ? x : y;                                                                      \
  }                                                                                            \
  /* From `whole` on every float is an integer. Below, zero results keep the sign of x. */     \
  WASM_INLINE F wasm_f##bits##_trunc(F x) {                                                    \
    if (!(wasm_f##bits##_abs(x) < whole)) return x != x ? x + x : x;                           \
    return wasm_f##bits##_copysign((F)(S)x, x);                                                \
  }                                                                                            \
  WASM_INLINE F wasm_f##bits##_floor(F x) {                                                    \
    F t = wasm_f##bits##_trunc(x);                                                             \
    return t > x ? t - one : t;                                                                \
  }                                                                                            \
  WASM_INLINE F wasm_f##bits##_ceil(F x) {                                                     \
    F t = wasm_f##bits##_trunc(x);                                                             \
    return t < x ? wasm_f##bits##_copysign(t + one, x) : t;                                    \
  }                                                                                            \
  WASM_INLINE F wasm_f##bits##_nearest(F x) {                                                  \
    if (!(wasm_f##bits##_abs(x) < whole)) return x != x ? x + x : x;                           \
    /* Adding 2^23 (2^52) leaves no fraction bits: the hardware rounds, ties to even. */       \
    F shift = wasm_f##bits##_copysign(whole, x);                                               \
    return wasm_f##bits##_copysign((x + shift) - shift, x);                                    \
  }

WASM_FLOAT(f32, u32, s32, 32, 0x80000000u, 0x1p23f, 1.0f)
WASM_FLOAT(f64, u64, s64, 64, 0x8000000000000000ull, 0x1p52, 1.0)

WASM_INLINE f32 wasm_f32_sqrt(f32 x) { return __builtin_sqrtf(x); }
WASM_INLINE f64 wasm_f64_sqrt(f64 x) { return __builtin_sqrt(x); }

/**
 * Float to integer: `lower` and `upper` are the conditions for being in range, exact because their
 * constants are representable. Out of range the one form traps, the other saturates, NaN becoming 0.
 */
#define WASM_TRUNCATION(T, signedness, to, from, lower, upper, lowest, highest)                \
  WASM_INLINE u##to wasm_i##to##_trunc_##from##_##signedness(from x) {                         \
    if (WASM_UNLIKELY(!((lower) && (upper))))                                                  \
      wasm_trap(x != x ? WASM_TRAP_CONVERSION : WASM_TRAP_INTEGER_OVERFLOW);                   \
    return (u##to)(T)x;                                                                        \
  }                                                                                            \
  WASM_INLINE u##to wasm_i##to##_trunc_sat_##from##_##signedness(from x) {                     \
    if (x != x) return 0;                                                                      \
    if (!(lower)) return (u##to)lowest;                                                        \
    if (!(upper)) return (u##to)highest;                                                       \
    return (u##to)(T)x;                                                                        \
  }
WASM_TRUNCATION(s32, s, 32, f32, x >= -0x1p31f, x < 0x1p31f, INT32_MIN, INT32_MAX)
WASM_TRUNCATION(u32, u, 32, f32, x > -1.0f, x < 0x1p32f, 0, UINT32_MAX)
WASM_TRUNCATION(s32, s, 32, f64, x > -0x1.00000002p31, x < 0x1p31, INT32_MIN, INT32_MAX)
WASM_TRUNCATION(u32, u, 32, f64, x > -1.0, x < 0x1p32, 0, UINT32_MAX)
WASM_TRUNCATION(s64, s, 64, f32, x >= -0x1p63f, x < 0x1p63f, INT64_MIN, INT64_MAX)
WASM_TRUNCATION(u64, u, 64, f32, x > -1.0f, x < 0x1p64f, 0, UINT64_MAX)
WASM_TRUNCATION(s64, s, 64, f64, x >= -0x1p63, x < 0x1p63, INT64_MIN, INT64_MAX)
WASM_TRUNCATION(u64, u, 64, f64, x > -1.0, x < 0x1p64, 0, UINT64_MAX)

/** Behind a barrier, or gcc would take a conversion there and back for none and keep a NaN signalling. */
WASM_INLINE f64 wasm_f64_promote_f32(f32 x) {
  f64 wide = (f64)x;
  __asm__("" : "+x"(wide));
  return wide;
}
