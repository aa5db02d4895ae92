// Which RAM there is below 4 GiB and who has it.
//
// A handful of ranges in no order: the loader adds, the shim takes what it needs from the smallest
// that has it, and the kernel gets the largest. The first MiB is left to the firmware that is there.

#include "boot.h"

enum { FIRST_MIB = 0x100000, MOST_RANGES = 128 };

static struct ranges {
  u32 count;
  struct range items[MOST_RANGES];
} available, all[2]; // what is still free; and the map as it came, by kind
static u64 total_bytes;

static void add(struct ranges *to, u64 start, u64 end) {
  if (start >= end) return;
  u32 i = 0;
  while (i < to->count && to->items[i].end != start) i++;
  if (i < to->count) to->items[i].end = end; // it goes on where another ends
  else if (i < MOST_RANGES) to->items[to->count++] = (struct range){start, end}; // else: done without
}

// One entry of the loader's memory map.
void memory_add(enum memory_kind kind, u64 start, u64 length) {
  if (kind == MEMORY_RAM) total_bytes += length;
  u64 end = start + length;
  if (start >= LOW_END || end < start) return;
  if (end > LOW_END) end = LOW_END;
  add(&all[kind], start, end);
  start = start < FIRST_MIB ? FIRST_MIB : PAGE_UP(start);
  if (kind == MEMORY_RAM) add(&available, start, PAGE_DOWN(end));
}

// Takes [start, end) out of what is free.
void memory_remove(u64 start, u64 end) {
  const u32 count = available.count;
  for (u32 i = 0; i < count; i++) {
    struct range *range = &available.items[i], old = *range;
    if (end <= old.start || old.end <= start) continue;
    range->end = start < old.start ? old.start : start;
    add(&available, end, old.end);
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
