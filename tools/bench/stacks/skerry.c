// Two Skerry machines by a library with the program app/main.ts in it, as lwIP has its callbacks.

#define _GNU_SOURCE
#include <errno.h>
#include <skerry.h>
#include <stdio.h>
#include <string.h>

#include "pair.h"

// sdk/assembly/syscalls.ts, net/tcp/stats.ts, net/udp/stats.ts
enum { STATISTICS = 17, TCP = 2, UDP = 6 };
enum { RETRANSMITS = 2, PASSIVE_OPENS = 18, DELIVERED = 1 };

/// Headers of a frame of an established stream: Ethernet, IPv4 or IPv6, TCP with timestamps.
enum { HEADERS = 14 + 20 + 32, HEADERS6 = 14 + 40 + 32 };
static uint32_t headers = HEADERS;

/// By station, 0 the client and 1 the server.
static struct skerry *machine[2];
static bool checksummed;

/// Which of them have their IPv6 address, and may use it.
static bool addressed[2];

/// Bytes of streams that the client sent.
static uint64_t bytes_sent;

static void on_ended(void *context, const char *reason) {
  (void)context;
  fail(reason, 0);
}

/// A line of its log.
static void on_console(void *context, const char *text, uint32_t length) {
  bool *mine = context;
  if (memmem(text, length, " fd00::", 7)) *mine = true;
}

static struct skerry *start(int station, const char *name, bool v6) {
  char line[96], own[32] = "off";
  if (v6) snprintf(own, sizeof own, "fd00::%d/64", station + 1);
  snprintf(line, sizeof line, "ip=10.0.0.%d/24 ip6=%s hostname=%s mdns=off", station + 1, own, name);
  struct skerry_config config = {
      .mac = {2, 0, 0, 0, 0, (uint8_t)(station + 1)},
      .checksum_offload = !checksummed,
      .seed = 1 + (uint64_t)station,
      .command_line = line,
      .console = on_console,
      .ended = on_ended,
      .context = &addressed[station],
  };
  struct skerry *started = skerry_start(&config);
  MUST(started, "skerry_start", errno);
  return started;
}

void pair_open(bool checksums) {
  checksummed = checksums;
  machine[1] = start(1, "server", true);
}

/// One step of a machine, and what it sends.
static bool turn(int station) {
  struct skerry *from = machine[station], *to = machine[!station];
  struct skerry_frame frame;
  bool any = false;
  skerry_step(from);
  while (skerry_take(from, 0, &frame) == 1) {
    any = true;
    frames++;
    if (station == 0) {
      for (uint32_t i = 0; i < frame.runs; i++) bytes_sent += frame.run[i].length;
      bytes_sent -= headers;
    }
    while (skerry_inject(to, 0, &frame) == -EAGAIN) skerry_step(to);
  }
  return any;
}

/// What passes in a round, ns.
static uint64_t pace = 1000;

static void one_round(void) {
  for (int i = 0; i < 2; i++) {
    skerry_advance(machine[i], pace);
    turn(i);
  }
}

static uint64_t statistic(int station, uint32_t what, uint32_t index) {
  struct skerry_memory memory = skerry_memory(machine[station]);
  int got = skerry_syscall(machine[station], STATISTICS, what, memory.address, 1024, 0, 0);
  MUST(got > 0, "statistics", got);
  return ((uint64_t *)memory.bytes)[index];
}

static uint64_t bytes(void) {
  MUST(!statistic(0, TCP, RETRANSMITS), "segments lost", (int)statistic(0, TCP, RETRANSMITS));
  return bytes_sent;
}

static uint64_t trips(void) { return bytes() / SMALL; }
static uint64_t connections(void) { return statistic(1, TCP, PASSIVE_OPENS); }
static uint64_t datagrams(void) { return statistic(1, UDP, DELIVERED); }

#define LOAD(name) \
  static void begin_##name(void) { machine[0] = start(0, #name, false); }
LOAD(bulk) LOAD(copied) LOAD(trips) LOAD(abort) LOAD(datagrams)
static void begin_trips_many(void) { machine[0] = start(0, "trips-many", false); }
static void begin_abort_many(void) { machine[0] = start(0, "abort-many", false); }

/// In slower motion, or TIME-WAIT has every port before the first comes back.
static void begin_close(void) {
  pace = 10000000;
  machine[0] = start(0, "close", false);
}

/// Milliseconds until an address is surely no duplicate (RFC 4862, 5.4).
enum { SETTLE = 10000 };

/// Over IPv6. Who connects does so in the step in which it may, and meets a server that answers.
static void begin6(const char *name) {
  struct skerry_frame frame;
  for (int i = 0; i < SETTLE && !addressed[1]; i++) {
    skerry_advance(machine[1], 1000000), skerry_step(machine[1]);
    while (skerry_take(machine[1], 0, &frame) == 1) continue;
  }
  headers = HEADERS6;
  machine[0] = start(0, name, true);
  pace = 1000000;
  for (int i = 0; i < SETTLE && !addressed[0]; i++) one_round();
  MUST(addressed[0] && addressed[1], "no IPv6 address", SETTLE);
  pace = 1000;
}

#define LOAD6(name) \
  static void begin_##name##6(void) { begin6(#name); }
LOAD6(bulk) LOAD6(copied) LOAD6(trips) LOAD6(abort) LOAD6(datagrams)

const struct workload workloads[] = {
    {"bulk6", begin_bulk6, one_round, bytes},
    {"copied6", begin_copied6, one_round, bytes},
    {"trips6", begin_trips6, one_round, trips},
    {"abort6", begin_abort6, one_round, connections},
    {"datagrams6", begin_datagrams6, one_round, datagrams},
    {"bulk", begin_bulk, one_round, bytes},
    {"copied", begin_copied, one_round, bytes},
    {"trips", begin_trips, one_round, trips},
    {"abort", begin_abort, one_round, connections},
    {"close", begin_close, one_round, connections},
    {"trips-many", begin_trips_many, one_round, trips},
    {"abort-many", begin_abort_many, one_round, connections},
    {"datagrams", begin_datagrams, one_round, datagrams},
    {0},
};
