/**
 * 128-bit vectors (spec 4.3.4 and 4.3.5), for modules that use them: gcc's and clang's vector
 * extensions, SSE2 where one of its instructions is exactly what Wasm means, else lane by lane.
 */
#include <emmintrin.h>

typedef u64 v128 __attribute__((vector_size(16), may_alias));
typedef u64 wasm_vector __attribute__((vector_size(16), aligned(1), may_alias));

typedef u8 u8x16 __attribute__((vector_size(16), may_alias));
typedef s8 s8x16 __attribute__((vector_size(16), may_alias));
typedef u16 u16x8 __attribute__((vector_size(16), may_alias));
typedef s16 s16x8 __attribute__((vector_size(16), may_alias));
typedef u32 u32x4 __attribute__((vector_size(16), may_alias));
typedef s32 s32x4 __attribute__((vector_size(16), may_alias));
typedef u64 u64x2 __attribute__((vector_size(16), may_alias));
typedef s64 s64x2 __attribute__((vector_size(16), may_alias));
typedef f32 f32x4 __attribute__((vector_size(16), may_alias));
typedef f64 f64x2 __attribute__((vector_size(16), may_alias));

/** From the low and the high half. */
#define wasm_v128(low, high) ((v128){(low), (high)})

#define WASM_UNARY(name, T, expression)             \
  WASM_INLINE v128 wasm_##name(v128 x) {            \
    T a = (T)x;                                     \
    return (v128)(expression);                      \
  }
#define WASM_BINARY(name, T, expression)            \
  WASM_INLINE v128 wasm_##name(v128 x, v128 y) {    \
    T a = (T)x, b = (T)y;                           \
    return (v128)(expression);                      \
  }
/** Result lane i of `count` from the lanes a[i] and b[i]; lanes beyond are zero. */
#define WASM_LANES1(name, T, R, count, expression)  \
  WASM_INLINE v128 wasm_##name(v128 x) {            \
    T a = (T)x;                                     \
    R r = {0};                                      \
    for (int i = 0; i < count; i++) r[i] = (expression); \
    return (v128)r;                                 \
  }
#define WASM_LANES2(name, T, R, count, expression)  \
  WASM_INLINE v128 wasm_##name(v128 x, v128 y) {    \
    T a = (T)x, b = (T)y;                           \
    R r = {0};                                      \
    for (int i = 0; i < count; i++) r[i] = (expression); \
    return (v128)r;                                 \
  }

/** Lanes of a where the mask is set, of b elsewhere. */
#define WASM_BLEND(mask, a, b) (((v128)(mask) & (v128)(a)) | (~(v128)(mask) & (v128)(b)))

// ---- Whole vectors -------------------------------------------------------------------------------

WASM_UNARY(v128_not, u64x2, ~a)
WASM_BINARY(v128_and, u64x2, a & b)
WASM_BINARY(v128_andnot, u64x2, a & ~b)
WASM_BINARY(v128_or, u64x2, a | b)
WASM_BINARY(v128_xor, u64x2, a ^ b)
WASM_INLINE v128 wasm_v128_bitselect(v128 a, v128 b, v128 mask) { return WASM_BLEND(mask, a, b); }
WASM_INLINE u32 wasm_v128_any_true(v128 x) { return (x[0] | x[1]) != 0; }

#define wasm_i8x16_shuffle(a, b, ...) ((v128)__builtin_shufflevector((u8x16)(a), (u8x16)(b), __VA_ARGS__))

/** Indices from 16 on select zero. */
WASM_LANES2(i8x16_swizzle, u8x16, u8x16, 16, b[i] < 16 ? a[b[i] & 15] : 0)

// ---- Integer lanes -------------------------------------------------------------------------------

/** What every integer shape has. `M` is the mask of shift counts. */
#define WASM_INTEGER_LANES(shape, U, S, lane, count, M, scalar)                                  \
  WASM_INLINE v128 wasm_##shape##_splat(scalar x) {                                              \
    U r;                                                                                         \
    for (int i = 0; i < count; i++) r[i] = (lane)x;                                              \
    return (v128)r;                                                                              \
  }                                                                                              \
  WASM_INLINE v128 wasm_##shape##_replace_lane(v128 v, scalar x, int i) {                        \
    U r = (U)v;                                                                                  \
    r[i] = (lane)x;                                                                              \
    return (v128)r;                                                                              \
  }                                                                                              \
  WASM_INLINE v128 wasm_##shape##_shl(v128 x, u32 n) {                                           \
    return (v128)((U)x << (U)wasm_##shape##_splat(n & M));                                       \
  }                                                                                              \
  WASM_INLINE v128 wasm_##shape##_shr_u(v128 x, u32 n) {                                         \
    return (v128)((U)x >> (U)wasm_##shape##_splat(n & M));                                       \
  }                                                                                              \
  WASM_INLINE v128 wasm_##shape##_shr_s(v128 x, u32 n) {                                         \
    return (v128)((S)x >> (S)wasm_##shape##_splat(n & M));                                       \
  }                                                                                              \
  WASM_INLINE u32 wasm_##shape##_all_true(v128 x) {                                              \
    v128 zeros = (v128)((U)x == (U){0});                                                         \
    return !wasm_v128_any_true(zeros);                                                           \
  }                                                                                              \
  WASM_UNARY(shape##_neg, U, -a)                                                                 \
  WASM_BINARY(shape##_add, U, a + b)                                                             \
  WASM_BINARY(shape##_sub, U, a - b)                                                             \
  WASM_BINARY(shape##_eq, U, a == b)                                                             \
  WASM_BINARY(shape##_ne, U, a != b)                                                             \
  WASM_BINARY(shape##_lt_s, S, a < b)                                                            \
  WASM_BINARY(shape##_lt_u, U, a < b)                                                            \
  WASM_BINARY(shape##_gt_s, S, a > b)                                                            \
  WASM_BINARY(shape##_gt_u, U, a > b)                                                            \
  WASM_BINARY(shape##_le_s, S, a <= b)                                                           \
  WASM_BINARY(shape##_le_u, U, a <= b)                                                           \
  WASM_BINARY(shape##_ge_s, S, a >= b)                                                           \
  WASM_BINARY(shape##_ge_u, U, a >= b)                                                           \
  WASM_BINARY(shape##_min_s, S, WASM_BLEND(a < b, a, b))                                         \
  WASM_BINARY(shape##_min_u, U, WASM_BLEND(a < b, a, b))                                         \
  WASM_BINARY(shape##_max_s, S, WASM_BLEND(a > b, a, b))                                         \
  WASM_BINARY(shape##_max_u, U, WASM_BLEND(a > b, a, b))                                         \
  WASM_UNARY(shape##_abs, U, WASM_BLEND((S)a < (S){0}, -a, a))

WASM_INTEGER_LANES(i8x16, u8x16, s8x16, u8, 16, 7, u32)
WASM_INTEGER_LANES(i16x8, u16x8, s16x8, u16, 8, 15, u32)
WASM_INTEGER_LANES(i32x4, u32x4, s32x4, u32, 4, 31, u32)
WASM_INTEGER_LANES(i64x2, u64x2, s64x2, u64, 2, 63, u64)

#define wasm_i8x16_extract_lane_s(v, i) ((u32)((s8x16)(v))[i])
#define wasm_i8x16_extract_lane_u(v, i) ((u32)((u8x16)(v))[i])
#define wasm_i16x8_extract_lane_s(v, i) ((u32)((s16x8)(v))[i])
#define wasm_i16x8_extract_lane_u(v, i) ((u32)((u16x8)(v))[i])
#define wasm_i32x4_extract_lane(v, i) ((u32)((u32x4)(v))[i])
#define wasm_i64x2_extract_lane(v, i) ((u64)((u64x2)(v))[i])

WASM_BINARY(i16x8_mul, u16x8, a * b)
WASM_BINARY(i32x4_mul, u32x4, a * b)
WASM_BINARY(i64x2_mul, u64x2, a * b)

WASM_BINARY(i8x16_add_sat_s, __m128i, _mm_adds_epi8(a, b))
WASM_BINARY(i8x16_add_sat_u, __m128i, _mm_adds_epu8(a, b))
WASM_BINARY(i8x16_sub_sat_s, __m128i, _mm_subs_epi8(a, b))
WASM_BINARY(i8x16_sub_sat_u, __m128i, _mm_subs_epu8(a, b))
WASM_BINARY(i16x8_add_sat_s, __m128i, _mm_adds_epi16(a, b))
WASM_BINARY(i16x8_add_sat_u, __m128i, _mm_adds_epu16(a, b))
WASM_BINARY(i16x8_sub_sat_s, __m128i, _mm_subs_epi16(a, b))
WASM_BINARY(i16x8_sub_sat_u, __m128i, _mm_subs_epu16(a, b))
WASM_BINARY(i8x16_avgr_u, __m128i, _mm_avg_epu8(a, b))
WASM_BINARY(i16x8_avgr_u, __m128i, _mm_avg_epu16(a, b))
WASM_BINARY(i32x4_dot_i16x8_s, __m128i, _mm_madd_epi16(a, b))
WASM_BINARY(i8x16_narrow_i16x8_s, __m128i, _mm_packs_epi16(a, b))
WASM_BINARY(i8x16_narrow_i16x8_u, __m128i, _mm_packus_epi16(a, b))
WASM_BINARY(i16x8_narrow_i32x4_s, __m128i, _mm_packs_epi32(a, b))

WASM_INLINE u16 wasm_saturate_u16(s32 x) { return x < 0 ? 0 : x > 0xffff ? 0xffff : (u16)x; }
WASM_LANES2(i16x8_narrow_i32x4_u, s32x4, u16x8, 8, wasm_saturate_u16(i < 4 ? a[i & 3] : b[i & 3]))

/** Q15: only -1 times -1 overflows. */
WASM_INLINE s16 wasm_q15mulr(s16 x, s16 y) {
  s32 product = ((s32)x * y + 0x4000) >> 15;
  return product > INT16_MAX ? INT16_MAX : (s16)product;
}
WASM_LANES2(i16x8_q15mulr_sat_s, s16x8, s16x8, 8, wasm_q15mulr(a[i], b[i]))

WASM_INLINE v128 wasm_i8x16_popcnt(v128 x) {
  x -= (x >> 1) & 0x5555555555555555;
  x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333);
  return (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
}

/** The sign bits of all lanes. */
WASM_INLINE u32 wasm_i8x16_bitmask(v128 x) { return (u32)_mm_movemask_epi8((__m128i)x); }
WASM_INLINE u32 wasm_i16x8_bitmask(v128 x) {
  return (u32)_mm_movemask_epi8(_mm_packs_epi16((__m128i)x, _mm_setzero_si128()));
}
WASM_INLINE u32 wasm_i32x4_bitmask(v128 x) { return (u32)_mm_movemask_ps((__m128)x); }
WASM_INLINE u32 wasm_i64x2_bitmask(v128 x) { return (u32)_mm_movemask_pd((__m128d)x); }

/** Lanes of twice the width from the narrower ones: `count` is the number of results. */
#define WASM_WIDEN(wide, narrow, US, T, R, lane, count)                                            \
  WASM_LANES1(wide##_extend_low_##narrow##_##US, T, R, count, (lane)a[i])                          \
  WASM_LANES1(wide##_extend_high_##narrow##_##US, T, R, count, (lane)a[i + count])                 \
  WASM_LANES2(wide##_extmul_low_##narrow##_##US, T, R, count, (lane)a[i] * (lane)b[i])             \
  WASM_LANES2(wide##_extmul_high_##narrow##_##US, T, R, count, (lane)a[i + count] * (lane)b[i + count]) \
  WASM_LANES1(wide##_extadd_pairwise_##narrow##_##US, T, R, count, (lane)a[2 * i] + (lane)a[2 * i + 1])
WASM_WIDEN(i16x8, i8x16, s, s8x16, s16x8, s32, 8)
WASM_WIDEN(i16x8, i8x16, u, u8x16, u16x8, u32, 8)
WASM_WIDEN(i32x4, i16x8, s, s16x8, s32x4, s32, 4)
WASM_WIDEN(i32x4, i16x8, u, u16x8, u32x4, u32, 4)
WASM_WIDEN(i64x2, i32x4, s, s32x4, s64x2, s64, 2)
WASM_WIDEN(i64x2, i32x4, u, u32x4, u64x2, u64, 2)

// ---- Floating-point lanes ------------------------------------------------------------------------

#define WASM_FLOAT_LANES(shape, T, U, F, bits, count, sign)                                        \
  WASM_INLINE v128 wasm_##shape##_splat(F x) {                                                     \
    return wasm_i##bits##x##count##_splat(wasm_i##bits##_reinterpret_f##bits(x));                  \
  }                                                                                                \
  WASM_INLINE F wasm_##shape##_extract_lane(v128 v, int i) {                                       \
    return wasm_f##bits##_reinterpret_i##bits(((U)v)[i]);                                          \
  }                                                                                                \
  WASM_INLINE v128 wasm_##shape##_replace_lane(v128 v, F x, int i) {                               \
    return wasm_i##bits##x##count##_replace_lane(v, wasm_i##bits##_reinterpret_f##bits(x), i);     \
  }                                                                                                \
  WASM_BINARY(shape##_eq, T, a == b)                                                               \
  WASM_BINARY(shape##_ne, T, a != b)                                                               \
  WASM_BINARY(shape##_lt, T, a < b)                                                                \
  WASM_BINARY(shape##_gt, T, a > b)                                                                \
  WASM_BINARY(shape##_le, T, a <= b)                                                               \
  WASM_BINARY(shape##_ge, T, a >= b)                                                               \
  WASM_UNARY(shape##_abs, U, a & ~sign)                                                            \
  WASM_UNARY(shape##_neg, U, a ^ sign)                                                             \
  WASM_BINARY(shape##_add, T, a + b)                                                               \
  WASM_BINARY(shape##_sub, T, a - b)                                                               \
  WASM_BINARY(shape##_mul, T, a * b)                                                               \
  WASM_BINARY(shape##_div, T, a / b)                                                               \
  WASM_BINARY(shape##_pmin, T, WASM_BLEND(b < a, b, a))                                            \
  WASM_BINARY(shape##_pmax, T, WASM_BLEND(a < b, b, a))                                            \
  WASM_LANES2(shape##_min, T, T, count, wasm_f##bits##_min(a[i], b[i]))                            \
  WASM_LANES2(shape##_max, T, T, count, wasm_f##bits##_max(a[i], b[i]))                            \
  WASM_LANES1(shape##_ceil, T, T, count, wasm_f##bits##_ceil(a[i]))                                \
  WASM_LANES1(shape##_floor, T, T, count, wasm_f##bits##_floor(a[i]))                              \
  WASM_LANES1(shape##_trunc, T, T, count, wasm_f##bits##_trunc(a[i]))                              \
  WASM_LANES1(shape##_nearest, T, T, count, wasm_f##bits##_nearest(a[i]))

WASM_FLOAT_LANES(f32x4, f32x4, u32x4, f32, 32, 4, 0x80000000u)
WASM_FLOAT_LANES(f64x2, f64x2, u64x2, f64, 64, 2, 0x8000000000000000ull)

WASM_UNARY(f32x4_sqrt, __m128, _mm_sqrt_ps(a))
WASM_UNARY(f64x2_sqrt, __m128d, _mm_sqrt_pd(a))

WASM_LANES1(i32x4_trunc_sat_f32x4_s, f32x4, u32x4, 4, wasm_i32_trunc_sat_f32_s(a[i]))
WASM_LANES1(i32x4_trunc_sat_f32x4_u, f32x4, u32x4, 4, wasm_i32_trunc_sat_f32_u(a[i]))
WASM_LANES1(i32x4_trunc_sat_f64x2_s_zero, f64x2, u32x4, 2, wasm_i32_trunc_sat_f64_s(a[i]))
WASM_LANES1(i32x4_trunc_sat_f64x2_u_zero, f64x2, u32x4, 2, wasm_i32_trunc_sat_f64_u(a[i]))
WASM_LANES1(f32x4_convert_i32x4_s, s32x4, f32x4, 4, (f32)a[i])
WASM_LANES1(f32x4_convert_i32x4_u, u32x4, f32x4, 4, (f32)a[i])
WASM_LANES1(f64x2_convert_low_i32x4_s, s32x4, f64x2, 2, (f64)a[i])
WASM_LANES1(f64x2_convert_low_i32x4_u, u32x4, f64x2, 2, (f64)a[i])
WASM_LANES1(f32x4_demote_f64x2_zero, f64x2, f32x4, 2, (f32)a[i])
WASM_LANES1(f64x2_promote_low_f32x4, f32x4, f64x2, 2, wasm_f64_promote_f32(a[i]))
