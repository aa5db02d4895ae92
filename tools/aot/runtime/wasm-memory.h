/**
 * Access to a module's linear memory: included by generated code once its instance (SELF) and its
 * memory (WASM_MEMORY, an lvalue of type `struct wasm_memory`, WASM_MEMORY_ADDRESS a pointer to it)
 * are declared.
 */

typedef u16 wasm_u16 __attribute__((aligned(1), may_alias));
typedef u32 wasm_u32 __attribute__((aligned(1), may_alias));
typedef u64 wasm_u64 __attribute__((aligned(1), may_alias));

// A member of a structure, not a sum: of sums that it meets twice gcc keeps the values, most of them on the
// stack, where an instruction would have had the offset for nothing.
#define WASM_MEMBER(type, start, offset)                                                               \
  (&((struct { u8 before[offset]; type it; } __attribute__((packed, may_alias)) *)(start))->it)

#if defined(WASM_MEMORY_ZERO)
#define WASM_AT(type, address, offset) WASM_MEMBER(type, (uintptr_t)(u64)(address), offset)
#define WASM_BASE ((u8 *)0)
#elif defined(WASM_PLACE)
#ifdef WASM_MEMORY_REGISTER
#define WASM_AT(type, address, offset) WASM_MEMBER(type, wasm_base + (u64)(address), offset)
#define WASM_BASE wasm_base
#else
#define WASM_AT(type, address, offset) WASM_PLACE(type, (u64)(address) + (offset))
#define WASM_BASE (WASM_MEMORY.base)
#endif
#define WASM_MEMORY_BYTES (WASM_MEMORY.bytes)
#else
WASM_INLINE void *wasm_check(u32 address, u32 offset, u32 size) {
  u64 effective = (u64)address + offset;
  if (WASM_UNLIKELY(effective + size > WASM_MEMORY.bytes)) wasm_trap(WASM_TRAP_MEMORY);
  return WASM_MEMORY.base + effective;
}
#define WASM_AT(type, address, offset) ((type *)wasm_check(address, offset, sizeof(type)))
#define WASM_BASE (WASM_MEMORY.base)
#define WASM_MEMORY_BYTES (WASM_MEMORY.bytes)
#endif

// ---- Loads and stores ----------------------------------------------------------------------------

#define wasm_i32_load(a, o) ((u32)*WASM_AT(wasm_u32, a, o))
#define wasm_i64_load(a, o) ((u64)*WASM_AT(wasm_u64, a, o))
#define wasm_i32_load8_s(a, o) ((u32)(s8)*WASM_AT(u8, a, o))
#define wasm_i32_load8_u(a, o) ((u32)*WASM_AT(u8, a, o))
#define wasm_i32_load16_s(a, o) ((u32)(s16)*WASM_AT(wasm_u16, a, o))
#define wasm_i32_load16_u(a, o) ((u32)*WASM_AT(wasm_u16, a, o))
#define wasm_i64_load8_s(a, o) ((u64)(s8)*WASM_AT(u8, a, o))
#define wasm_i64_load8_u(a, o) ((u64)*WASM_AT(u8, a, o))
#define wasm_i64_load16_s(a, o) ((u64)(s16)*WASM_AT(wasm_u16, a, o))
#define wasm_i64_load16_u(a, o) ((u64)*WASM_AT(wasm_u16, a, o))
#define wasm_i64_load32_s(a, o) ((u64)(s32)*WASM_AT(wasm_u32, a, o))
#define wasm_i64_load32_u(a, o) ((u64)*WASM_AT(wasm_u32, a, o))

#define wasm_i32_store(a, o, value) (*WASM_AT(wasm_u32, a, o) = (value))
#define wasm_i64_store(a, o, value) (*WASM_AT(wasm_u64, a, o) = (value))
#define wasm_i32_store8(a, o, value) (*WASM_AT(u8, a, o) = (u8)(value))
#define wasm_i32_store16(a, o, value) (*WASM_AT(wasm_u16, a, o) = (u16)(value))
#define wasm_i64_store8(a, o, value) (*WASM_AT(u8, a, o) = (u8)(value))
#define wasm_i64_store16(a, o, value) (*WASM_AT(wasm_u16, a, o) = (u16)(value))
#define wasm_i64_store32(a, o, value) (*WASM_AT(wasm_u32, a, o) = (u32)(value))

#ifdef WASM_USES_FLOAT
// As integers: a NaN passes through memory unchanged.
#define wasm_f32_load(a, o) wasm_f32_reinterpret_i32(wasm_i32_load(a, o))
#define wasm_f64_load(a, o) wasm_f64_reinterpret_i64(wasm_i64_load(a, o))
#define wasm_f32_store(a, o, value) wasm_i32_store(a, o, wasm_i32_reinterpret_f32(value))
#define wasm_f64_store(a, o, value) wasm_i64_store(a, o, wasm_i64_reinterpret_f64(value))
#endif

#ifdef WASM_USES_SIMD
#define wasm_v128_load(a, o) ((v128)*WASM_AT(wasm_vector, a, o))
#define wasm_v128_store(a, o, value) (*WASM_AT(wasm_vector, a, o) = (wasm_vector)(value))

#define wasm_v128_load32_zero(a, o) wasm_v128(wasm_i64_load32_u(a, o), 0)
#define wasm_v128_load64_zero(a, o) wasm_v128(wasm_i64_load(a, o), 0)
#define wasm_v128_load8x8_s(a, o) wasm_i16x8_extend_low_i8x16_s(wasm_v128_load64_zero(a, o))
#define wasm_v128_load8x8_u(a, o) wasm_i16x8_extend_low_i8x16_u(wasm_v128_load64_zero(a, o))
#define wasm_v128_load16x4_s(a, o) wasm_i32x4_extend_low_i16x8_s(wasm_v128_load64_zero(a, o))
#define wasm_v128_load16x4_u(a, o) wasm_i32x4_extend_low_i16x8_u(wasm_v128_load64_zero(a, o))
#define wasm_v128_load32x2_s(a, o) wasm_i64x2_extend_low_i32x4_s(wasm_v128_load64_zero(a, o))
#define wasm_v128_load32x2_u(a, o) wasm_i64x2_extend_low_i32x4_u(wasm_v128_load64_zero(a, o))
#define wasm_v128_load8_splat(a, o) wasm_i8x16_splat(wasm_i32_load8_u(a, o))
#define wasm_v128_load16_splat(a, o) wasm_i16x8_splat(wasm_i32_load16_u(a, o))
#define wasm_v128_load32_splat(a, o) wasm_i32x4_splat(wasm_i32_load(a, o))
#define wasm_v128_load64_splat(a, o) wasm_i64x2_splat(wasm_i64_load(a, o))

#define wasm_v128_load8_lane(a, o, v, lane) wasm_i8x16_replace_lane(v, wasm_i32_load8_u(a, o), lane)
#define wasm_v128_load16_lane(a, o, v, lane) wasm_i16x8_replace_lane(v, wasm_i32_load16_u(a, o), lane)
#define wasm_v128_load32_lane(a, o, v, lane) wasm_i32x4_replace_lane(v, wasm_i32_load(a, o), lane)
#define wasm_v128_load64_lane(a, o, v, lane) wasm_i64x2_replace_lane(v, wasm_i64_load(a, o), lane)
#define wasm_v128_store8_lane(a, o, v, lane) wasm_i32_store8(a, o, wasm_i8x16_extract_lane_u(v, lane))
#define wasm_v128_store16_lane(a, o, v, lane) wasm_i32_store16(a, o, wasm_i16x8_extract_lane_u(v, lane))
#define wasm_v128_store32_lane(a, o, v, lane) wasm_i32_store(a, o, wasm_i32x4_extract_lane(v, lane))
#define wasm_v128_store64_lane(a, o, v, lane) wasm_i64_store(a, o, wasm_i64x2_extract_lane(v, lane))
#endif

// ---- Size and bulk operations --------------------------------------------------------------------

WASM_INLINE u32 wasm_memory_pages(void) { return (u32)(WASM_MEMORY_BYTES >> 16); }

#ifdef WASM_MEMORY_ZERO
WASM_INLINE u32 wasm_memory_grow(u32 delta) { return delta == 0 ? wasm_memory_pages() : ~0u; }
/** The page table made it; a module that asks for more than there is cannot run. */
#define wasm_memory_create(pages, most)                                                  \
  do {                                                                                   \
    if (((u64)(pages) << 16) > WASM_MEMORY_BYTES) wasm_trap(WASM_TRAP_MEMORY);           \
  } while (0)
#else
#define wasm_memory_create(pages, most)                                                  \
  do {                                                                                   \
    WASM_MEMORY.bytes = 0;                                                               \
    WASM_MEMORY.limit = (most);                                                          \
    if (!wasm_memory_resize(WASM_MEMORY_ADDRESS, (u64)(pages) << 16))                    \
      wasm_trap(WASM_TRAP_MEMORY);                                                       \
  } while (0)

#ifndef WASM_MEMORY_REFUSED
/** Hears how many pages there would have been if memory.grow had not failed. */
#define WASM_MEMORY_REFUSED(pages) ((void)(pages))
#endif

WASM_INLINE u32 wasm_memory_grow(u32 delta) {
  u32 old = wasm_memory_pages();
  u64 pages = (u64)old + delta;
  const u32 fits = pages <= WASM_MEMORY.limit;
  if (fits && (delta == 0 || wasm_memory_resize(WASM_MEMORY_ADDRESS, pages << 16))) return old;
  WASM_MEMORY_REFUSED(pages > ~0u ? ~0u : (u32)pages);
  return ~0u;
}
#endif

#ifndef WASM_LENT
/** From here on there may be what a host has lent for reading, bounded by the page table: boot/guest.c. */
#define WASM_LENT (1ull << 32)
#endif

WASM_INLINE void wasm_memory_copy(u32 to, u32 from, u32 count) {
  u64 bytes = WASM_MEMORY_BYTES;
  const u32 beyond = (u64)from + count > bytes && (from < WASM_LENT || !count);
  if (WASM_UNLIKELY((u64)to + count > bytes || beyond)) wasm_trap(WASM_TRAP_MEMORY);
  if (count > 0) __builtin_memmove(WASM_BASE + to, WASM_BASE + from, count);
}

WASM_INLINE void wasm_memory_fill(u32 to, u32 value, u32 count) {
  if (WASM_UNLIKELY((u64)to + count > WASM_MEMORY_BYTES)) wasm_trap(WASM_TRAP_MEMORY);
  if (count > 0) __builtin_memset(WASM_BASE + to, (u8)value, count);
}

static inline u32 wasm_leb128(const u8 **from) {
  u32 value = 0;
  for (u32 shift = 0;; shift += 7) {
    const u8 byte = *(*from)++;
    value |= (u32)(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

/** Writes the runs of tools/aot/data.ts; they have been found to lie within the memory. */
__attribute__((cold, noinline, unused)) static void wasm_memory_unpack(const u8 *from, const u8 *end) {
  u32 to = 0;
  while (from < end) {
    const u32 gap = wasm_leb128(&from), length = wasm_leb128(&from);
    to += gap >> 1 ^ -(gap & 1);
    for (u32 i = 0; i < length >> 1; i++) {
      *(WASM_BASE + to++) = *from++;
      if (length & 1) *(WASM_BASE + to++) = 0;
    }
  }
}

WASM_INLINE void wasm_memory_init(const u8 *segment, u32 length, u32 to, u32 from, u32 count) {
  if (WASM_UNLIKELY((u64)from + count > length || (u64)to + count > WASM_MEMORY_BYTES))
    wasm_trap(WASM_TRAP_MEMORY);
  if (count > 0) __builtin_memcpy(WASM_BASE + to, segment + from, count);
}
