// A router of libskerry.so between two links of memory: what it costs to send a packet on.
//
//     forward FAMILY BYTES ROUTES DESTINATIONS ROUNDS
//
// Sends datagrams of BYTES (an IP packet's length) in bursts of 32 to DESTINATIONS addresses in turn, each of another
// of the machine's ROUTES (app/main.ts makes half of them for each family; 0: all by the default route), and says in
// a line of JSON how many came out behind, and what time-stamp cycles the step of a burst took, a packet: the
// median, and the least tenth, which is what a machine without other work would need. callgrind counts counted_step.

#include <arpa/inet.h>
#include <errno.h>
#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

enum { BURST = 32, WARM = 500, OWN_ROUTES = 64, STEP_NS = 10000 };
enum { ETHERNET = 14, IPV4 = 20, IPV6 = 40, HEADERS = ETHERNET + IPV6 + 8 };
enum { ARP = 0x0806, SOLICITATION = 135, ADVERTISEMENT = 136 };

static const uint8_t router[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
static const uint8_t sender[6] = {2, 0, 0, 0, 1, 1}, behind[6] = {2, 0, 0, 0, 1, 2};
static const uint8_t behind4[4] = {10, 0, 1, 2};
static const uint8_t behind6[16] = {0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
static const uint8_t sender6[16] = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};

static struct skerry *machine;
static uint64_t arrived;

_Noreturn static void fail(const char *what, const char *why) {
  fprintf(stderr, "forward: %s: %s\n", what, why);
  exit(1);
}

static void say(void *context, const char *text, uint32_t length) {
  (void)context;
  if (getenv("VERBOSE")) fwrite(text, 1, length, stderr);
}

static void ended(void *context, const char *reason) {
  (void)context;
  fail("the machine ended", reason);
}

static uint64_t mix(uint64_t i) {
  uint64_t z = (i + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static uint16_t sum(const uint8_t *bytes, uint32_t length, uint32_t total) {
  for (uint32_t i = 0; i + 1 < length; i += 2) total += (uint32_t)bytes[i] << 8 | bytes[i + 1];
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return htons((uint16_t)~total);
}

static void inject(uint32_t link, const uint8_t *head, uint32_t head_length, const uint8_t *rest, uint32_t rest_length) {
  struct skerry_frame frame = {.runs = rest_length ? 2 : 1, .run = {{head, head_length}, {rest, rest_length}}};
  int result = skerry_inject(machine, link, &frame);
  if (result < 0) fail("skerry_inject", strerror(-result));
}

/// The station behind the router says where it is: RFC 826, and RFC 4861, 4.4.
static void answer(const uint8_t *frame, uint32_t length) {
  uint8_t reply[ETHERNET + IPV6 + 32] = {0};
  memcpy(reply, router[1], 6), memcpy(reply + 6, behind, 6), memcpy(reply + 12, frame + 12, 2);
  if ((frame[12] << 8 | frame[13]) == ARP) {
    if (length < 42 || frame[21] != 1 || memcmp(frame + 38, behind4, 4)) return;
    memcpy(reply + 14, frame + 14, 7), reply[21] = 2;
    memcpy(reply + 22, behind, 6), memcpy(reply + 28, behind4, 4), memcpy(reply + 32, frame + 22, 10);
    return inject(1, reply, 60, NULL, 0);
  }
  if (length < ETHERNET + IPV6 + 24 || frame[20] != 58 || frame[54] != SOLICITATION) return;
  if (memcmp(frame + 62, behind6, 16)) return;
  static const uint8_t head[8] = {0x60, 0, 0, 0, 0, 32, 58, 255};
  memcpy(reply + 14, head, 8), memcpy(reply + 22, behind6, 16), memcpy(reply + 38, frame + 22, 16);
  reply[54] = ADVERTISEMENT, reply[58] = 0x60; // solicited, override
  memcpy(reply + 62, behind6, 16), reply[78] = 2, reply[79] = 1, memcpy(reply + 80, behind, 6);
  uint16_t checksum = sum(reply + 22, 64, 32 + 58);
  memcpy(reply + 56, &checksum, 2);
  inject(1, reply, sizeof reply, NULL, 0);
}

/// Takes what both cards send; datagrams are counted by who they are for.
static void take(void) {
  struct skerry_frame frame;
  while (skerry_take(machine, 0, &frame) == 1) continue;
  while (skerry_take(machine, 1, &frame) == 1) {
    const uint8_t *bytes = frame.run[0].bytes;
    bool is_datagram = !memcmp(bytes, behind, 6) && (bytes[12] == 0x86 ? bytes[20] == 17 : bytes[13] == 0 && bytes[23] == 17);
    if (is_datagram) arrived++;
    else answer(bytes, frame.run[0].length);
  }
}

/// A frame's headers to destination `i`; the rest of it is zeroes.
static uint32_t head(uint8_t *at, int family, uint32_t bytes, uint64_t i) {
  uint64_t bits = mix(i);
  memcpy(at, router[0], 6), memcpy(at + 6, sender, 6);
  uint8_t *ip = at + ETHERNET, *udp = ip + (family == 4 ? IPV4 : IPV6);
  memset(ip, 0, HEADERS - ETHERNET);
  uint16_t length = htons((uint16_t)(bytes - (family == 4 ? IPV4 : IPV6)));
  udp[1] = 9, udp[3] = 9, memcpy(udp + 4, &length, 2);
  if (family == 4) {
    uint32_t to = htonl(((uint32_t)(bits >> 32) & 0x3fffffff) + 0x10000000);
    at[12] = 8, at[13] = 0;
    ip[0] = 0x45, ip[2] = (uint8_t)(bytes >> 8), ip[3] = (uint8_t)bytes, ip[8] = 64, ip[9] = 17;
    ip[12] = 10, ip[15] = 2, memcpy(ip + 16, &to, 4);
    uint16_t checksum = sum(ip, IPV4, 0);
    memcpy(ip + 10, &checksum, 2);
    return ETHERNET + IPV4 + 8;
  }
  uint64_t to = __builtin_bswap64(bits >> 3 | 0x2000000000000000);
  at[12] = 0x86, at[13] = 0xdd;
  ip[0] = 0x60, memcpy(ip + 4, &length, 2), ip[6] = 17, ip[7] = 64;
  memcpy(ip + 8, sender6, 16), memcpy(ip + 24, &to, 8), ip[39] = 1;
  return HEADERS;
}

static int by_size(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/// What is counted.
__attribute__((noinline)) static void counted_step(void) { skerry_step(machine); }

int main(int count, char **words) {
  if (count != 6) {
    fprintf(stderr, "Usage: %s 4|6 BYTES ROUTES DESTINATIONS ROUNDS\n", words[0]);
    return 2;
  }
  int family = atoi(words[1]);
  uint32_t bytes = (uint32_t)atoi(words[2]), routes = (uint32_t)atoi(words[3]);
  uint32_t destinations = (uint32_t)atoi(words[4]), rounds = (uint32_t)atoi(words[5]);
  if (bytes < HEADERS || bytes > 1500 || !destinations || !rounds) fail("words", "out of range");
  char line[400];
  snprintf(line, sizeof line,
           "eth0=10.0.0.1/24,fd00::1/64 eth1=10.0.1.1/24,fd00:1::1/64 forward=on route=0.0.0.0/0,10.0.1.2 "
           "route=::/0,fd00:1::2 routes=%u", routes + OWN_ROUTES);
  struct skerry_config config = {.mac = {2, 0, 0, 0, 0, 1}, .links = 2, .seed = 1, .ram = 256u << 20,
                                 .command_line = line, .console = say, .ended = ended};
  machine = skerry_start(&config);
  if (!machine) fail("skerry_start", strerror(errno));
  uint8_t (*heads)[HEADERS] = malloc((size_t)destinations * HEADERS);
  uint64_t *cycles = malloc(rounds * sizeof *cycles);
  static const uint8_t zeroes[1500];
  if (!heads || !cycles) fail("memory", strerror(ENOMEM));
  uint32_t head_length = 0;
  for (uint32_t i = 0; i < destinations; i++) head_length = head(heads[i], family, bytes, i);

  // Addresses are free of duplicates after a second.
  for (int i = 0; i < 3000; i++) skerry_step(machine), take(), skerry_advance(machine, 1000000);
  uint32_t next = 0;
  uint64_t sent = 0;
  for (uint32_t round = 0; round < rounds + WARM; round++) {
    if (round == WARM) arrived = 0, sent = 0;
    for (int i = 0; i < BURST; i++) {
      inject(0, heads[next], head_length, zeroes, ETHERNET + bytes - head_length);
      if (++next == destinations) next = 0;
    }
    sent += BURST;
    skerry_advance(machine, STEP_NS);
    if (round < WARM) {
      skerry_step(machine);
    } else {
      uint64_t from = __rdtsc();
      counted_step();
      cycles[round - WARM] = __rdtsc() - from;
    }
    take();
  }
  if (arrived != sent) fprintf(stderr, "forward: %llu of %llu arrived\n", (unsigned long long)arrived, (unsigned long long)sent);
  qsort(cycles, rounds, sizeof *cycles, by_size);
  printf("{\"sent\":%llu,\"arrived\":%llu,\"median\":%.1f,\"least\":%.1f}\n", (unsigned long long)sent,
         (unsigned long long)arrived, (double)cycles[rounds / 2] / BURST, (double)cycles[rounds / 10] / BURST);
  return 0;
}
