// boot/memory.c against a page-by-page account of the same map: entries in any order that overlap and
// contradict each other. What it gives away must be RAM, reserved by no entry, and given to one only.

#include <stdio.h>
#include <stdlib.h>

#include "../../boot/memory.c"

enum { PAGES = 4096, ROUNDS = 2000 };

void panic(const char *what) {
  fprintf(stderr, "panic: %s\n", what);
  exit(1);
}

static u64 state = 88172645463325252;
static u32 below(u32 bound) { // xorshift64 (Marsaglia)
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (u32)(state >> 20) % bound;
}

static bool ram[PAGES], reserved[PAGES], given[PAGES];

static void give(u64 start, u64 end, u32 round) {
  for (u64 page = start / PAGE; page < end / PAGE; page++) {
    if (page * PAGE >= FIRST_MIB && page < PAGES && ram[page] && !reserved[page] && !given[page]) {
      given[page] = true;
      continue;
    }
    printf("round %u gives page %llx\n", round, page);
    exit(1);
  }
}

int main(void) {
  u32 kept = 0;
  for (u32 round = 0; round < ROUNDS; round++) {
    available.count = 0;
    for (u32 kind = 0; kind < MEMORY_KINDS; kind++) all[kind].count = 0;
    for (u32 i = 0; i < PAGES; i++) ram[i] = reserved[i] = given[i] = false;
    for (u32 entries = 1 + below(30); entries--;) {
      const u32 first = below(PAGES), count = 1 + below(PAGES - first);
      const bool usable = below(3) != 0;
      for (u32 page = first; page < first + count; page++) (usable ? ram : reserved)[page] = true;
      memory_add(usable ? MEMORY_RAM : MEMORY_FIRMWARE + below(2), (u64)first * PAGE, (u64)count * PAGE);
    }
    memory_add(MEMORY_RAM, LOW_END, ~0ull); // above, and past the end of everything
    memory_settle();
    u32 free_pages = 0, found = 0;
    for (u32 page = FIRST_MIB / PAGE; page < PAGES; page++) free_pages += ram[page] && !reserved[page];
    for (u32 i = 0; i < 5; i++) {
      const u64 bytes = (1 + below(20)) * PAGE, start = memory_take(bytes);
      if (start) give(start, start + bytes, round);
    }
    const struct range rest = memory_largest(0);
    memory_remove(rest.start, rest.end);
    give(rest.start, rest.end, round);
    for (u32 i = 0; i < available.count; i++) give(available.items[i].start, available.items[i].end, round);
    for (u32 page = 0; page < PAGES; page++) found += given[page];
    if (found != free_pages) { // nothing that is free is lost
      printf("round %u: %u of %u pages\n", round, found, free_pages);
      return 1;
    }
    kept += found;
  }
  printf("%u maps, %u pages\n", ROUNDS, kept);
  return 0;
}
