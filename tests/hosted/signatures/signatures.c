// What validating an answer costs: `signatures FILE NAMES` plays a server that has signed everything before. FILE is the
// command line, then zones and answers, as tools/bench/signatures.ts writes them; of each zone `warm` is asked for first, which
// brings its keys, then NAMES names of one signature each. Prints `ZONE ns`, by name.

#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/names.h"
#include "../lib/wire.h"

// sdk/assembly/syscalls.ts
enum { EVENTS = 18, RESOLVE = 28, RESOLVED = 29 };
enum { V4 = 0x10000, EAGAIN_ = -11 };

static struct skerry *machine;
// Records: length of a question's bytes, of an answer's, then both.
static uint8_t *answers, *answers_end;

static void fail(const char *what, const char *detail) {
  fprintf(stderr, "signatures: %s: %s\n", what, detail);
  exit(1);
}

static uint8_t lower(uint8_t byte) { return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte; }

/// The answer to a question of `length` bytes, whose letters may be in either case.
static const uint8_t *find(const uint8_t *question, uint32_t length, uint32_t *size) {
  for (uint8_t *at = answers; at < answers_end; at += 4 + get16(at) + get16(at + 2)) {
    if (get16(at) != length) continue;
    uint32_t same = 0;
    while (same < length && lower(question[same]) == at[4 + same]) same++;
    if (same < length) continue;
    *size = get16(at + 2);
    return at + 4 + length;
  }
  return NULL;
}

/// What FILE has answers for: counts, and what stands behind the question.
static uint8_t *answer(uint8_t *dns, uint8_t *end) {
  uint32_t size;
  const uint8_t *said = find(dns + 12, end - dns - 12, &size);
  if (!said) return NULL;
  put16(dns + 2, 0x8180);
  memcpy(dns + 6, said, 6);
  memcpy(end, said + 6, size - 6);
  return end + size - 6;
}

static void look(const char *name) {
  struct skerry_memory memory = skerry_memory(machine);
  uint32_t length = strlen(name), into = memory.address + 256;
  memcpy(memory.bytes, name, length);
  skerry_syscall(machine, EVENTS, 0, 0, 0, 0, 0);
  int lookup = skerry_syscall(machine, RESOLVE, memory.address, length, V4, 0, 0);
  int found = EAGAIN_;
  // Signatures are of the real clock's time: it is what has to be waited for.
  for (time_t until = time(NULL) + 20; lookup > 0 && found == EAGAIN_ && time(NULL) < until;) {
    names_run(machine, answer);
    found = skerry_syscall(machine, RESOLVED, lookup, into, 8192, 0, 0);
  }
  if (found <= 0) fail(name, "not found, or not valid");
}

static uint64_t nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void print(void *context, const char *text, uint32_t length) {
  fwrite(text, 1, length, context);
}

int main(int count, char **words) {
  if (count != 3) fail("usage", "signatures FILE NAMES");
  FILE *file = fopen(words[1], "rb");
  static uint8_t bytes[64 << 20];
  size_t length = file ? fread(bytes, 1, sizeof bytes - 1, file) : 0;
  if (!length) fail(words[1], "cannot be read");
  fclose(file);
  char *zones = memchr(bytes, '\n', length);
  if (!zones) fail(words[1], "no command line");
  *zones++ = 0;
  char *behind = strchr(zones, '\n');
  if (!behind) fail(words[1], "no zones");
  *behind = 0;
  answers = (uint8_t *)behind + 1;
  answers_end = bytes + length;
  machine = skerry_start(&(struct skerry_config){
    .seed = 1, .real_clock = true, .command_line = (char *)bytes, .console = print, .context = stderr});
  if (!machine) fail("the machine", "does not start");
  int names = atoi(words[2]);
  for (char *zone = strtok(zones, " "); zone; zone = strtok(NULL, " ")) {
    char name[256];
    snprintf(name, sizeof name, "warm.%s.", zone);
    look(name);
    uint64_t before = nanoseconds();
    for (int i = 0; i < names; i++) {
      snprintf(name, sizeof name, "n%d.%s.", i, zone);
      look(name);
    }
    printf("%s %.0f\n", zone, (double)(nanoseconds() - before) / names);
  }
  skerry_stop(machine);
  return 0;
}
