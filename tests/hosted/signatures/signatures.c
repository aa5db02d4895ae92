// What validating an answer costs: `signatures FILE NAMES` plays a server that has signed everything before. FILE is the
// command line, then zones and answers, as tools/bench/names.ts writes them; of each zone `warm` is asked for first, which
// brings its keys, then NAMES names of one signature each. Prints `ZONE ns`, by name.

#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// sdk/assembly/syscalls.ts
enum { EVENTS = 18, RESOLVE = 28, RESOLVED = 29 };
enum { V4 = 0x10000, EAGAIN_ = -11 };

static struct skerry *machine;
static const uint8_t server_mac[6] = {0x52, 0x54, 0, 0, 0, 1};
// Records: length of a question's bytes, of an answer's, then both.
static uint8_t *answers, *answers_end;

static void fail(const char *what, const char *detail) {
  fprintf(stderr, "signatures: %s: %s\n", what, detail);
  exit(1);
}

static uint32_t load16(const uint8_t *at) { return at[0] << 8 | at[1]; }

static void store16(uint8_t *at, uint32_t value) {
  at[0] = value >> 8;
  at[1] = value;
}

static void swap(uint8_t *a, uint8_t *b, int length) {
  while (length--) {
    uint8_t byte = a[length];
    a[length] = b[length];
    b[length] = byte;
  }
}

static void inject(const uint8_t *bytes, uint32_t length) {
  struct skerry_frame frame = {.runs = 1, .run = {{bytes, length}}};
  if (skerry_inject(machine, 0, &frame) < 0) fail("a frame", "not taken");
}

static uint8_t lower(uint8_t byte) { return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte; }

/// The answer to a question of `length` bytes, whose letters may be in either case.
static const uint8_t *find(const uint8_t *question, uint32_t length, uint32_t *size) {
  for (uint8_t *at = answers; at < answers_end; at += 4 + load16(at) + load16(at + 2)) {
    if (load16(at) != length) continue;
    uint32_t same = 0;
    while (same < length && lower(question[same]) == at[4 + same]) same++;
    if (same < length) continue;
    *size = load16(at + 2);
    return at + 4 + length;
  }
  return NULL;
}

/// Answers ARP, and what FILE has answers for.
static void answer(uint8_t *frame) {
  memcpy(frame, frame + 6, 6);
  memcpy(frame + 6, server_mac, 6);
  if (frame[12] == 8 && frame[13] == 6) {
    if (frame[21] != 1 || memcmp(frame + 38, "\x0a\0\0\x01", 4)) return;
    frame[21] = 2;
    memcpy(frame + 32, frame + 22, 10);
    memcpy(frame + 22, server_mac, 6);
    memcpy(frame + 28, "\x0a\0\0\x01", 4);
    inject(frame, 42);
    return;
  }
  uint8_t *ip = frame + 14, *udp = ip + 20, *dns = udp + 8;
  if (frame[12] != 8 || frame[13] != 0 || ip[9] != 17 || load16(udp + 2) != 53) return;
  uint8_t *end = dns + 12;
  while (*end) end += *end + 1;
  end += 5;
  uint32_t size;
  const uint8_t *said = find(dns + 12, end - dns - 12, &size);
  if (!said) return;
  // Counts, and what stands behind the question.
  store16(dns + 2, 0x8180);
  memcpy(dns + 6, said, 6);
  memcpy(end, said + 6, size - 6);
  end += size - 6;
  swap(ip + 12, ip + 16, 4);
  swap(udp, udp + 2, 2);
  store16(udp + 4, end - udp);
  store16(udp + 6, 0);
  store16(ip + 2, end - ip);
  store16(ip + 10, 0);
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += load16(ip + i);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  store16(ip + 10, ~sum & 0xffff);
  inject(frame, end - frame);
}

static void run(void) {
  skerry_step(machine);
  struct skerry_frame taken;
  while (skerry_take(machine, 0, &taken) == 1) {
    static uint8_t frame[4096];
    uint32_t length = 0;
    for (uint32_t i = 0; i < taken.runs; i++) {
      memcpy(frame + length, taken.run[i].bytes, taken.run[i].length);
      length += taken.run[i].length;
    }
    answer(frame);
  }
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
    run();
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
