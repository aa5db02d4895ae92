// Which RAM there is below 4 GiB and who has it.
//
// Sets of ranges that lie apart, in no order. The loader's map comes from outside: its entries may be
// in any order, overlap and contradict each other, and what any of them reserves is not used. Then the
// shim takes what it needs from the smallest range that has it, and the kernel gets the largest. The
// first MiB is left to the firmware that is there, and what lies above 4 GiB is nobody's.

#include "boot.h"

enum { MOST_RANGES = 128 };

static struct ranges {
  u32 count;
  struct range items[MOST_RANGES];
} available, all[MEMORY_KINDS]; // what is still free; and the map as it came, by kind
static u64 total_bytes;

// Joins what touches. False if there is no room.
static bool add(struct ranges *to, u64 start, u64 end) {
  for (u32 i = 0; start < end && i < to->count;) {
    const struct range old = to->items[i];
    if (old.end < start || end < old.start) {
      i++;
      continue;
    }
    start = old.start < start ? old.start : start;
    end = old.end > end ? old.end : end;
    to->items[i] = to->items[--to->count];
  }
  if (start >= end) return true;
  if (to->count == MOST_RANGES) return false;
  to->items[to->count++] = (struct range){start, end};
  return true;
}

// One entry of the loader's memory map.
void memory_add(enum memory_kind kind, u64 start, u64 length) {
  const u64 end = start + length < start ? ~0ull : start + length;
  if (kind == MEMORY_RAM) total_bytes += end - start;
  const bool kept = add(&all[kind], start, end);
  if (!kept && kind != MEMORY_RAM) panic("the loader's memory map has more pieces than the shim can hold");
}

// After the last entry.
void memory_settle(void) {
  for (u32 i = 0; i < all[MEMORY_RAM].count; i++) {
    const struct range ram = all[MEMORY_RAM].items[i];
    const u64 start = ram.start < FIRST_MIB ? FIRST_MIB : ram.start, end = ram.end < LOW_END ? ram.end : LOW_END;
    if (start < end) add(&available, PAGE_UP(start), PAGE_DOWN(end));
  }
  for (u32 kind = MEMORY_RAM + 1; kind < MEMORY_KINDS; kind++)
    for (u32 i = 0; i < all[kind].count; i++) memory_remove(all[kind].items[i].start, all[kind].items[i].end);
}

// Takes the pages of [start, end) out of what is free.
void memory_remove(u64 start, u64 end) {
  start = PAGE_DOWN(start);
  end = end > LOW_END ? LOW_END : PAGE_UP(end);
  for (u32 i = 0; i < available.count;) {
    const struct range old = available.items[i];
    if (end <= old.start || old.end <= start) {
      i++;
      continue;
    }
    available.items[i] = available.items[--available.count];
    if (old.start < start) add(&available, old.start, start);
    if (end < old.end) add(&available, end, old.end); // without room it is done without
  }
}

// A run of `bytes` (whole pages) off the top of the smallest range that has it; 0 if none has.
u64 memory_take(u64 bytes) {
  struct range *best = NULL;
  for (struct range *range = available.items; range < available.items + available.count; range++) {
    const u64 size = range->end - range->start;
    if (size >= bytes && (!best || size < best->end - best->start)) best = range;
  }
  return best ? best->end -= bytes : 0;
}

// The largest free range, counting from `lowest`.
struct range memory_largest(u64 lowest) {
  struct range best = {0, 0};
  for (u32 i = 0; i < available.count; i++) {
    struct range range = available.items[i];
    if (range.start < lowest) range.start = lowest;
    if (range.end > range.start && range.end - range.start > best.end - best.start) best = range;
  }
  return best;
}

// Whether any of [start, end) is memory of this kind, whoever has it.
bool memory_has(enum memory_kind kind, u64 start, u64 end) {
  for (u32 i = 0; i < all[kind].count; i++) {
    const struct range *range = &all[kind].items[i];
    if (start < range->end && range->start < end) return true;
  }
  return false;
}

u32 memory_total_kib(void) { return total_bytes >> 42 ? 0xffffffff : (u32)(total_bytes >> 10); }
