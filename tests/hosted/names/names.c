// How many names a second the resolver answers from its cache: `names lookups` prints ns a lookup. The machine asks a server
// that this program is, once for each of two hundred names, and then only itself.

#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// sdk/assembly/syscalls.ts
enum { EVENTS = 18, RESOLVE = 28, RESOLVED = 29 };
enum { V4 = 0x10000, EAGAIN_ = -11 };
enum { NAMES = 200, NAME_BYTES = 32 };

static struct skerry *machine;
static const uint8_t server_mac[6] = {0x52, 0x54, 0, 0, 0, 1};

static void inject(const uint8_t *bytes, uint32_t length) {
  struct skerry_frame frame = {.runs = 1, .run = {{bytes, length}}};
  if (skerry_inject(machine, 0, &frame) < 0) exit(3);
}

static void checksum(uint8_t *header) {
  uint32_t sum = 0;
  header[10] = header[11] = 0;
  for (int i = 0; i < 20; i += 2) sum += header[i] << 8 | header[i + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  header[10] = ~sum >> 8;
  header[11] = ~sum;
}

static void swap(uint8_t *a, uint8_t *b, int length) {
  while (length--) {
    uint8_t byte = a[length];
    a[length] = b[length];
    b[length] = byte;
  }
}

/// Answers ARP, and questions about addresses with 192.0.2.1 for a day.
static void answer(uint8_t *frame, uint32_t length) {
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
  if (frame[12] != 8 || frame[13] != 0 || ip[9] != 17 || udp[2] != 0 || udp[3] != 53) return;
  uint8_t *end = dns + 12;
  while (*end) end += *end + 1;
  end += 5;
  static const uint8_t record[16] = {0xc0, 12, 0, 1, 0, 1, 0, 1, 0x51, 0x80, 0, 4, 192, 0, 2, 1};
  memcpy(end, record, sizeof record);
  end += sizeof record;
  dns[2] = 0x81;
  dns[3] = 0x80;
  dns[7] = 1;
  dns[11] = 0;
  swap(ip + 12, ip + 16, 4);
  swap(udp, udp + 2, 2);
  uint32_t size = end - udp;
  udp[4] = size >> 8;
  udp[5] = size;
  udp[6] = udp[7] = 0;
  ip[2] = (size + 20) >> 8;
  ip[3] = size + 20;
  checksum(ip);
  (void)length;
  inject(frame, end - frame);
}

static void run(void) {
  skerry_step(machine);
  struct skerry_frame taken;
  while (skerry_take(machine, 0, &taken) == 1) {
    static uint8_t frame[2048];
    uint32_t length = 0;
    for (uint32_t i = 0; i < taken.runs; i++) {
      memcpy(frame + length, taken.run[i].bytes, taken.run[i].length);
      length += taken.run[i].length;
    }
    answer(frame, length);
  }
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
