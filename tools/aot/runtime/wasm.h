/**
 * The runtime of translated modules, and the ABI between generated C, its host and its callers.
 *
 * A module translated with `--name kernel` is one C file. It offers
 *
 *   void kernel_instantiate(void);     globals, tables, segments, start function. Call it first, once
 *   u64 kernel_step(void);             one function an export, its name mangled to a C identifier
 *   struct wasm_memory *kernel_memory(void);      an exported memory (not with WASM_MEMORY_ZERO),
 *   struct wasm_table *kernel_table(void);        table,
 *   u32 *kernel_counter(void);                    or global (const if immutable): its address
 *
 * i32 is u32, i64 u64, references pointers; several results come as `struct wasm_i32_i64 {r0, r1}`.
 * Everything else is static; functions carry the names of the Wasm name section after `w_`.
 *
 * It wants from its host
 *
 *   wasm_trap(kind)                    never returns
 *   host_monotonic()                   one function an import: `host.monotonic`, mangled likewise
 *   env_memory, env_counter            imported memory, table, global: lvalues of those names
 *   memcpy, memmove, memset            as every freestanding C program does
 *   wasm_memory_resize, wasm_table_resize         where memory or tables are created or grown
 *
 * Imports are declared by the header that -DWASM_IMPORTS='"host.h"' names, as externals, as `static
 * inline` functions (an MMIO read then costs no call) or as macros. Without it they are externals.
 *
 * The memory model is chosen when the C is compiled, one of:
 *
 *   WASM_MEMORY_ZERO      linear memory begins at virtual address 0. Where it ends is the page
 *                         table's business: an access out of bounds faults. Effective addresses have
 *                         33 bits, so 8 GiB above 0 must fault wherever they are not memory. Define
 *                         WASM_MEMORY_BYTES as a u64 expression (in the imports header): what
 *                         memory.size and the bounds of bulk instructions go by. Memory cannot grow.
 *   WASM_MEMORY_GS        linear memory begins at GS's base, and 8 GiB + 64 KiB from there fault
 *                         where they are not memory. The instance (kernel_instance_bytes, zeroed)
 *                         lies at GS's base + WASM_INSTANCE_OFFSET, its first word its own address,
 *                         so that one copy of the code serves many instances.
 *   WASM_MEMORY_REGISTER  the same with `wasm_base`, which is register r15, in GS's place: gcc only. It
 *                         costs nothing to change, and gcc optimises what it need not reach through
 *                         a segment. Who calls in sets it and puts back what was there, since to
 *                         all other code r15 is a register that functions preserve.
 *   WASM_MEMORY_CHECKED   memory anywhere, every access checked. Exact in every case: the other
 *                         models leave out a load whose value nobody uses, faulting or not.
 *
 * WASM_STACK_CHECK makes functions that call others compare the stack pointer with
 * `wasm_stack_limit` and trap; without it, put a guard page below the stack.
 *
 * Compile with -fwrapv -fno-strict-aliasing -fno-delete-null-pointer-checks. With gcc add
 * --param=min-pagesize=0 where memory begins at 0, or it warns of low addresses, and
 * -fno-tree-tail-merge where backtraces matter, or traps on several lines may share one call.
 *
 * Modules with floating point also want -ffp-contract=off -fno-math-errno, and -fsignaling-nans
 * (gcc) or -ffp-exception-behavior=maytrap (clang): otherwise x * 1 may be folded to x and leave a
 * signalling NaN as it is. -mgeneral-regs-only suits modules without floating point and vectors.
 */
#ifndef WASM_H
#define WASM_H

#include <stddef.h>
#include <stdint.h>

#if defined(WASM_MEMORY_ZERO) + defined(WASM_MEMORY_GS) + defined(WASM_MEMORY_REGISTER) + \
        defined(WASM_MEMORY_CHECKED) !=                                                       \
    1
#error "Define one of WASM_MEMORY_ZERO, WASM_MEMORY_GS, WASM_MEMORY_REGISTER and WASM_MEMORY_CHECKED"
#endif

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef long long s64;
typedef float f32;
typedef double f64;

#define WASM_INLINE static inline __attribute__((always_inline, unused))
#define WASM_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

// ---- Traps -------------------------------------------------------------------------------------

enum wasm_trap_kind {
  WASM_TRAP_UNREACHABLE,
  WASM_TRAP_MEMORY,
  WASM_TRAP_TABLE,
  WASM_TRAP_NULL_CALL,
  WASM_TRAP_CALL_TYPE,
  WASM_TRAP_DIVIDE_BY_ZERO,
  WASM_TRAP_INTEGER_OVERFLOW,
  WASM_TRAP_CONVERSION,
  WASM_TRAP_STACK,
};

/** The host's: ends the instance. Does not return. */
_Noreturn void wasm_trap(enum wasm_trap_kind kind) __attribute__((cold));

WASM_INLINE const char *wasm_trap_text(enum wasm_trap_kind kind) {
  static const char *const texts[] = {
      "unreachable",
      "memory access out of bounds",
      "table access out of bounds",
      "call through a null table entry",
      "indirect call of another signature",
      "integer divide by zero",
      "integer overflow",
      "invalid conversion to integer",
      "call stack exhausted",
  };
  return (unsigned)kind < sizeof texts / sizeof *texts ? texts[kind] : "unknown trap";
}

#ifdef WASM_STACK_CHECK
/** The lowest address that the stack may reach; leave room below for the host's own calls. */
extern uintptr_t wasm_stack_limit;
#define WASM_ENTER()                                                     \
  do {                                                                   \
    if (WASM_UNLIKELY((uintptr_t)__builtin_frame_address(0) < wasm_stack_limit)) \
      wasm_trap(WASM_TRAP_STACK);                                        \
  } while (0)
#else
#define WASM_ENTER() ((void)0)
#endif

/** Evaluates what Wasm drops, for its trap; the compiler may not leave it out. */
#define wasm_drop(value)                       \
  do {                                         \
    __typeof__(value) wasm_dropped = (value);  \
    __asm__ volatile("" ::"m"(wasm_dropped));  \
  } while (0)

// ---- Integers ----------------------------------------------------------------------------------

WASM_INLINE u32 wasm_clz32(u32 x) { return x ? (u32)__builtin_clz(x) : 32; }
WASM_INLINE u32 wasm_ctz32(u32 x) { return x ? (u32)__builtin_ctz(x) : 32; }
WASM_INLINE u64 wasm_clz64(u64 x) { return x ? (u64)__builtin_clzll(x) : 64; }
WASM_INLINE u64 wasm_ctz64(u64 x) { return x ? (u64)__builtin_ctzll(x) : 64; }

WASM_INLINE u64 wasm_popcnt64(u64 x) {
#ifdef __POPCNT__
  return (u64)__builtin_popcountll(x);
#else
  // The builtin would call libgcc.
  x -= (x >> 1) & 0x5555555555555555;
  x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return (x * 0x0101010101010101) >> 56;
#endif
}
WASM_INLINE u32 wasm_popcnt32(u32 x) { return (u32)wasm_popcnt64(x); }

WASM_INLINE u32 wasm_rotl32(u32 x, u32 n) { return (x << (n & 31)) | (x >> (-n & 31)); }
WASM_INLINE u32 wasm_rotr32(u32 x, u32 n) { return (x >> (n & 31)) | (x << (-n & 31)); }
WASM_INLINE u32 wasm_bswap32(u32 x) { return __builtin_bswap32(x); }
WASM_INLINE u64 wasm_rotl64(u64 x, u64 n) { return (x << (n & 63)) | (x >> (-n & 63)); }
WASM_INLINE u64 wasm_rotr64(u64 x, u64 n) { return (x >> (n & 63)) | (x << (-n & 63)); }

#define WASM_DIVISION(bits, lowest)                                              \
  WASM_INLINE u##bits wasm_div_s##bits(u##bits a, u##bits b) {                   \
    if (WASM_UNLIKELY(b == 0)) wasm_trap(WASM_TRAP_DIVIDE_BY_ZERO);              \
    if (WASM_UNLIKELY((s##bits)a == lowest && (s##bits)b == -1))                 \
      wasm_trap(WASM_TRAP_INTEGER_OVERFLOW);                                     \
    return (u##bits)((s##bits)a / (s##bits)b);                                   \
  }                                                                              \
  WASM_INLINE u##bits wasm_div_u##bits(u##bits a, u##bits b) {                   \
    if (WASM_UNLIKELY(b == 0)) wasm_trap(WASM_TRAP_DIVIDE_BY_ZERO);              \
    return a / b;                                                                \
  }                                                                              \
  WASM_INLINE u##bits wasm_rem_s##bits(u##bits a, u##bits b) {                   \
    if (WASM_UNLIKELY(b == 0)) wasm_trap(WASM_TRAP_DIVIDE_BY_ZERO);              \
    return (s##bits)b == -1 ? 0 : (u##bits)((s##bits)a % (s##bits)b);            \
  }                                                                              \
  WASM_INLINE u##bits wasm_rem_u##bits(u##bits a, u##bits b) {                   \
    if (WASM_UNLIKELY(b == 0)) wasm_trap(WASM_TRAP_DIVIDE_BY_ZERO);              \
    return a % b;                                                                \
  }
WASM_DIVISION(32, INT32_MIN)
WASM_DIVISION(64, INT64_MIN)

#ifdef WASM_USES_FLOAT
#include "wasm-float.h"
#endif
#ifdef WASM_USES_SIMD
#include "wasm-simd.h"
#endif

// ---- Functions as values, and tail calls ---------------------------------------------------------

/** An argument or a result on its way through a tail call. */
union wasm_slot {
  u32 i32;
  u64 i64;
#ifdef WASM_USES_FLOAT
  f32 f32;
  f64 f64;
#endif
#ifdef WASM_USES_SIMD
  v128 v128;
#endif
  const struct wasm_function *funcref;
  const void *externref;
  u8 bytes[16];
} __attribute__((aligned(16)));

/** What a reference to a function points at. */
struct wasm_function {
  void (*code)(void);
  /** Takes arguments from the slots, leaves results there; returns the step to go on with, or null. */
  void *(*step)(union wasm_slot *slots);
  /** The signature, as a hash; 0 in the empty entry of a constant table. */
  u32 type;
  /** How many slots a step of its module may use. */
  u32 slots;
};

typedef const struct wasm_function *funcref;
typedef const void *externref;

WASM_INLINE void wasm_run(void *(*step)(union wasm_slot *), union wasm_slot *slots) {
  do step = (void *(*)(union wasm_slot *))step(slots);
  while (step);
}

// ---- Tables --------------------------------------------------------------------------------------

struct wasm_table {
  const void **elements;
  u32 size;
  u32 limit;
};

/**
 * The host's: makes room for `size` elements, keeping those there are, and sets `elements`. False if
 * it cannot. Wanted only by modules whose tables grow or are exported.
 */
_Bool wasm_table_resize(struct wasm_table *table, u32 size);

/** A table of `size` null references in `storage`, or in what the host gives. */
#define wasm_table_create(table, storage, count, most)                                  \
  do {                                                                                  \
    struct wasm_table *created = (table);                                               \
    *created = (struct wasm_table){(storage), 0, (most)};                               \
    if ((storage) == 0 && (count) > 0 && !wasm_table_resize(created, (count)))          \
      wasm_trap(WASM_TRAP_TABLE);                                                       \
    created->size = (count);                                                            \
    for (u32 i = 0; i < (count); i++) created->elements[i] = 0;                         \
  } while (0)

WASM_INLINE u32 wasm_table_size(const struct wasm_table *table) { return table->size; }

WASM_INLINE const void *wasm_table_get(const struct wasm_table *table, u32 index) {
  if (WASM_UNLIKELY(index >= table->size)) wasm_trap(WASM_TRAP_TABLE);
  return table->elements[index];
}

WASM_INLINE void wasm_table_set(struct wasm_table *table, u32 index, const void *value) {
  if (WASM_UNLIKELY(index >= table->size)) wasm_trap(WASM_TRAP_TABLE);
  table->elements[index] = value;
}

WASM_INLINE void wasm_table_fill(struct wasm_table *table, u32 start, const void *value, u32 count) {
  if (WASM_UNLIKELY((u64)start + count > table->size)) wasm_trap(WASM_TRAP_TABLE);
  for (u32 i = 0; i < count; i++) table->elements[start + i] = value;
}

WASM_INLINE u32 wasm_table_grow(struct wasm_table *table, const void *value, u32 count) {
  u32 old = table->size;
  if ((u64)old + count > table->limit) return ~0u;
  if (count > 0 && !wasm_table_resize(table, old + count)) return ~0u;
  table->size = old + count;
  wasm_table_fill(table, old, value, count);
  return old;
}

WASM_INLINE void wasm_table_copy(struct wasm_table *to, const struct wasm_table *from, u32 target,
                                 u32 source, u32 count) {
  if (WASM_UNLIKELY((u64)target + count > to->size || (u64)source + count > from->size))
    wasm_trap(WASM_TRAP_TABLE);
  if (count > 0)
    __builtin_memmove(to->elements + target, from->elements + source, count * sizeof(void *));
}

WASM_INLINE void wasm_table_init(struct wasm_table *table, const void *const *items, u32 length,
                                 u32 target, u32 source, u32 count) {
  if (WASM_UNLIKELY((u64)source + count > length || (u64)target + count > table->size))
    wasm_trap(WASM_TRAP_TABLE);
  for (u32 i = 0; i < count; i++) table->elements[target + i] = items[source + i];
}

/** The function to call at `index`, of the signature `type`. */
WASM_INLINE funcref wasm_lookup(const struct wasm_table *table, u32 index, u32 type) {
  funcref function = wasm_table_get(table, index);
  if (WASM_UNLIKELY(!function)) wasm_trap(WASM_TRAP_NULL_CALL);
  if (WASM_UNLIKELY(function->type != type)) wasm_trap(WASM_TRAP_CALL_TYPE);
  return function;
}

/** The same in a table that never changes. */
WASM_INLINE funcref wasm_lookup_constant(const struct wasm_function *table, u32 size, u32 index, u32 type) {
  if (WASM_UNLIKELY(index >= size)) wasm_trap(WASM_TRAP_TABLE);
  if (WASM_UNLIKELY(table[index].type != type))
    wasm_trap(table[index].code ? WASM_TRAP_CALL_TYPE : WASM_TRAP_NULL_CALL);
  return &table[index];
}

// ---- Memory and instances ------------------------------------------------------------------------

struct wasm_memory {
  u8 *base;
  u64 bytes;
  /** In pages of 64 KiB. */
  u64 limit;
};

/**
 * The host's: makes the memory `bytes` long, new ones zero, and sets `base` and `bytes`. False if it
 * cannot. Wanted only by modules that define or grow a memory; not with WASM_MEMORY_ZERO.
 */
_Bool wasm_memory_resize(struct wasm_memory *memory, u64 bytes);

#ifdef WASM_MEMORY_GS
/** What lies at `offset` from the base. */
#define WASM_PLACE(type, offset) ((type __seg_gs *)(uintptr_t)(offset))
#endif
#ifdef WASM_MEMORY_REGISTER
register u8 *wasm_base __asm__("r15");
#define WASM_PLACE(type, offset) ((type *)(wasm_base + (offset)))
#endif

#ifdef WASM_PLACE
#ifndef WASM_INSTANCE_OFFSET
#define WASM_INSTANCE_OFFSET (-65536L)
#endif
#define WASM_INSTANCE_HEAD u8 *self;
/** A plain pointer to a member of the instance. */
#define WASM_ADDRESS(type, member) ((type *)(SELF.self + offsetof(WASM_INSTANCE, member)))
#else
#define WASM_INSTANCE_HEAD
#define WASM_ADDRESS(type, member) ((type *)&SELF.member)
#endif

#endif
