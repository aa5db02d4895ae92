// Which RAM there is below 4 GiB and who has it.
//
// A handful of free ranges, sorted by nothing: the loader adds, the image's own pages are removed,
// the shim takes what it needs from the smallest range that has it, and the kernel gets the largest.
// The first MiB is left to the firmware that still lives there.

#include "boot.h"

#define FIRST_MIB 0x100000u
#define RANGES 128u

static struct range free_ranges[RANGES], firmware[RANGES], ram[RANGES];
static u32 free_count, firmware_count, ram_count;
static u64 total_bytes;

static void append(struct range *ranges, u32 *count, u64 start, u64 end) {
  if (start >= end || *count == RANGES) return; // a map with more pieces loses the last ones
  ranges[(*count)++] = (struct range){start, end};
}

// One entry of the loader's memory map. Adjacent entries of free memory become one.
void memory_add(u64 start, u64 length, enum memory_kind kind) {
  if (kind == MEMORY_FREE) total_bytes += length;
  u64 end = start + length;
  if (start >= LOW_END || end < start) return;
  if (end > LOW_END) end = LOW_END;
  if (kind == MEMORY_FIRMWARE) {
    append(firmware, &firmware_count, start, end);
    return;
  }
  append(ram, &ram_count, start, end);
  if (start < FIRST_MIB) start = FIRST_MIB;
  start = (start + PAGE - 1) & ~(u64)(PAGE - 1);
  end &= ~(u64)(PAGE - 1);
  if (start >= end) return;
  for (u32 i = 0; i < free_count; i++) {
    if (free_ranges[i].end == start) {
      free_ranges[i].end = end;
      return;
    }
  }
  append(free_ranges, &free_count, start, end);
}

// Takes [start, end) out of what is free.
void memory_remove(u64 start, u64 end) {
  start &= ~(u64)(PAGE - 1);
  end = (end + PAGE - 1) & ~(u64)(PAGE - 1);
  u32 count = free_count;
  for (u32 i = 0; i < count; i++) {
    struct range *range = &free_ranges[i];
    if (end <= range->start || range->end <= start) continue;
    append(free_ranges, &free_count, end, range->end);
    range->end = start < range->start ? range->start : start;
  }
}

// A run of `bytes` (whole pages) off the top of the smallest range that has it; 0 if none has.
u64 memory_take(u64 bytes) {
  struct range *best = NULL;
  for (u32 i = 0; i < free_count; i++) {
    struct range *range = &free_ranges[i];
    u64 size = range->end - range->start;
    if (size >= bytes && (!best || size < best->end - best->start)) best = range;
  }
  return best ? best->end -= bytes : 0;
}

// The largest free range, counting from `lowest`.
struct range memory_largest(u64 lowest) {
  struct range best = {0, 0};
  for (u32 i = 0; i < free_count; i++) {
    struct range range = free_ranges[i];
    if (range.start < lowest) range.start = lowest;
    if (range.end > range.start && range.end - range.start > best.end - best.start) best = range;
  }
  return best;
}

// Whether any of [start, end) is memory of this kind, whoever has it.
bool memory_has(enum memory_kind kind, u64 start, u64 end) {
  const struct range *ranges = kind == MEMORY_FREE ? ram : firmware;
  const u32 count = kind == MEMORY_FREE ? ram_count : firmware_count;
  for (u32 i = 0; i < count; i++) {
    if (start < ranges[i].end && ranges[i].start < end) return true;
  }
  return false;
}

u32 memory_total_kib(void) {
  u64 kib = total_bytes / 1024;
  return kib > 0xffffffff ? 0xffffffff : (u32)kib;
}
