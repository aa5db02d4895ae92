// How many names a second the resolver answers from its cache: `names lookups` prints ns a lookup. The machine asks a server
// that this program is, once for each of two hundred names, and then only itself.

#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/names.h"

// sdk/assembly/syscalls.ts
enum { EVENTS = 18, RESOLVE = 28, RESOLVED = 29 };
enum { V4 = 0x10000, EAGAIN_ = -11 };
enum { NAMES = 200, NAME_BYTES = 32 };

static struct skerry *machine;
/// Questions about addresses: 192.0.2.1, for a day.
static uint8_t *answer(uint8_t *dns, uint8_t *end) {
  static const uint8_t record[16] = {0xc0, 12, 0, 1, 0, 1, 0, 1, 0x51, 0x80, 0, 4, 192, 0, 2, 1};
  memcpy(end, record, sizeof record);
  dns[2] = 0x81;
  dns[3] = 0x80;
  dns[7] = 1;
  dns[11] = 0;
  return end + sizeof record;
}

static void run(void) {
  names_run(machine, answer);
  skerry_advance(machine, 1000000);
}

int main(int count, char **words) {
  long lookups = count > 1 ? atol(words[1]) : 1000000;
  machine = skerry_start(&(struct skerry_config){
    .seed = 1, .command_line = "ip=10.0.0.2/24 gw=10.0.0.1 ip6=off dns=10.0.0.1 loglevel=error"});
  if (!machine) return 2;
  struct skerry_memory memory = skerry_memory(machine);
  uint32_t into = memory.address + NAMES * NAME_BYTES, lengths[NAMES];
  for (int i = 0; i < 2000; i++) run();
  for (int i = 0; i < NAMES; i++) {
    char *name = (char *)memory.bytes + i * NAME_BYTES;
    lengths[i] = sprintf(name, "host%d.lab.example.", i);
    skerry_syscall(machine, EVENTS, 0, 0, 0, 0, 0);
    int lookup = skerry_syscall(machine, RESOLVE, memory.address + i * NAME_BYTES, lengths[i], V4, 0, 0);
    int found = EAGAIN_;
    for (int j = 0; j < 5000 && found == EAGAIN_; j++) {
      run();
      found = skerry_syscall(machine, RESOLVED, lookup, into, 8192, 0, 0);
    }
    if (lookup < 0 || found <= 0) {
      fprintf(stderr, "%.*s: %d %d\n", lengths[i], name, lookup, found);
      return 1;
    }
  }
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  for (long i = 0; i < lookups; i++) {
    int n = i * 7919 % NAMES;
    int lookup = skerry_syscall(machine, RESOLVE, memory.address + n * NAME_BYTES, lengths[n], V4, 0, 0);
    if (skerry_syscall(machine, RESOLVED, lookup, into, 8192, 0, 0) <= 0) return 1;
  }
  clock_gettime(CLOCK_MONOTONIC, &after);
  printf("lookup-ns %.1f\n", ((after.tv_sec - before.tv_sec) * 1e9 + after.tv_nsec - before.tv_nsec) / lookups);
  skerry_stop(machine);
  return 0;
}
