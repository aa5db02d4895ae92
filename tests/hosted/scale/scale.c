// A machine with very many connections, and two that open and close very many.
//
//     scale idle COUNT            opens COUNT connections and says what they cost
//     scale load COUNT PACKETS    the same, then requests and answers over them
//     scale cycles COUNT          COUNT times connect and close between the same two addresses
//
// The far ends of `idle` and `load` are made up here: a peer of each is 8 bytes, and its segments are
// written from them. All stand behind one router, so that the machine has one neighbour.

#define _GNU_SOURCE
#include <contract.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../lib/must.h"
#include "../lib/wire.h"

enum { PORT = 7000, BATCH = 32, REQUEST = 64, FIRST_PORT = 10000, PORTS = 50000 };
enum { ACTIVE = 100, RUNS = 20 };
#define MACHINE_IP 0x0a000002u
#define ROUTER_IP 0x0a000001u
#define PEERS 0x0b000000u
#define MS 1000000ull
#define RAM (2048u << 20)

static const uint8_t machine_mac[6] = {2, 0, 0, 0, 0, 2}, router_mac[6] = {2, 0, 0, 0, 0, 1};

static void on_ended(void *context, const char *reason) {
  (void)context;
  failed("a machine ended: %s", reason);
}

static int call(struct skerry *m, uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2) {
  return skerry_syscall(m, number, a0, a1, a2, 0, 0);
}

static uint32_t must_call(const char *what, struct skerry *m, uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2) {
  int result = call(m, number, a0, a1, a2);
  MUST(result >= 0, "%s: %d", what, result);
  return (uint32_t)result;
}

static struct skerry *start(int station, uint32_t ram, const char *more) {
  char line[128];
  snprintf(line, sizeof line, "ip=10.0.0.%d/24 ip6=off %s", station, more);
  struct skerry_config config = {
      .mac = {2, 0, 0, 0, 0, (uint8_t)station},
      .checksum_offload = true,
      .ram = ram,
      .seed = 42 + (uint64_t)station,
      .command_line = line,
      .ended = on_ended,
  };
  struct skerry *machine = skerry_start(&config);
  MUST(machine, "skerry_start: %s", strerror(errno));
  return machine;
}

static struct tcp_stats statistics(struct skerry *m) {
  struct skerry_memory memory = skerry_memory(m);
  struct tcp_stats stats;
  int got = call(m, SYSCALL_STATISTICS, STATISTICS_TCP, memory.address, sizeof stats);
  MUST(got >= (int)sizeof stats, "statistics: %d", got);
  memcpy(&stats, memory.bytes, sizeof stats);
  return stats;
}

/// An address in the machine's stretch; returns the machine's address of it.
static uint32_t address(struct skerry *m, uint32_t ip, uint16_t port) {
  struct skerry_memory memory = skerry_memory(m);
  uint64_t words[3] = {0, 0xffff00000000 | ip, port};
  memcpy(memory.bytes, words, sizeof words);
  return memory.address;
}

static uint32_t listen_on(struct skerry *m, uint16_t port) {
  uint32_t listener = must_call("socket", m, SYSCALL_SOCKET, SOCKET_TYPE_STREAM, 0, 0);
  must_call("bind", m, SYSCALL_BIND, listener, address(m, 0, port), 0);
  must_call("listen", m, SYSCALL_LISTEN, listener, 1024, 0);
  return listener;
}

/// Bytes of this process that are in RAM.
static uint64_t resident(void) {
  unsigned long size, pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  MUST(file && fscanf(file, "%lu %lu", &size, &pages) == 2, "/proc/self/statm");
  fclose(file);
  return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

// ---- Time and instructions ---------------------------------------------------------------------

static uint64_t nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/// Counts this thread's instructions in user space; -1 where the system does not let us.
static int counter = -1;

static void counter_open(void) {
  struct perf_event_attr attributes = {.size = sizeof attributes, .type = PERF_TYPE_HARDWARE,
                                       .config = PERF_COUNT_HW_INSTRUCTIONS, .exclude_kernel = 1, .exclude_hv = 1};
  counter = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

static uint64_t instructions(void) {
  uint64_t value = 0;
  return counter >= 0 && read(counter, &value, sizeof value) == sizeof value ? value : 0;
}

// ---- The far ends ------------------------------------------------------------------------------

struct end {
  uint32_t seq, ack;
};

static struct skerry *machine;
static struct end *ends;
static uint32_t *sockets;
static uint32_t count, opened;
/// What the machine took, besides what is made up here: ns and instructions.
static uint64_t spent, executed;

static uint32_t end_ip(uint32_t index) { return PEERS + index / PORTS; }
static uint16_t end_port(uint32_t index) { return (uint16_t)(FIRST_PORT + index % PORTS); }

static void inject(const uint8_t *bytes, uint32_t length, uint32_t flags) {
  struct skerry_frame frame = {.runs = 1, .run = {{bytes, length}}, .flags = flags};
  int result = skerry_inject(machine, 0, &frame);
  MUST(result == 0, "inject: %d", result);
}

/// A segment from a far end. Checksums are the card's matter.
static void segment(uint32_t index, uint32_t flags, uint32_t length) {
  uint8_t frame[ETHERNET_HEADER + IPV4_HEADER + TCP_HEADER + 20 + REQUEST] = {0};
  uint32_t options = flags & SYN ? 20 : 12;
  uint8_t *ip = frame + ETHERNET_HEADER, *tcp = ip + IPV4_HEADER, *option = tcp + TCP_HEADER;
  memcpy(frame, machine_mac, 6);
  memcpy(frame + 6, router_mac, 6);
  put16(frame + 12, ETHERTYPE_IPV4);
  ip[0] = 0x45;
  put16(ip + 2, IPV4_HEADER + TCP_HEADER + options + length);
  ip[8] = 64;
  ip[9] = PROTOCOL_TCP;
  put32(ip + 12, end_ip(index));
  put32(ip + 16, MACHINE_IP);
  put16(tcp, end_port(index));
  put16(tcp + 2, PORT);
  put32(tcp + 4, ends[index].seq);
  put32(tcp + 8, flags & ACK ? ends[index].ack : 0);
  tcp[12] = (uint8_t)((TCP_HEADER + options) / 4 << 4);
  tcp[13] = (uint8_t)flags;
  put16(tcp + 14, 0xffff);
  if (flags & SYN) {
    static const uint8_t first[8] = {OPTION_MSS, 4, 0x05, 0xb4, OPTION_NOP, OPTION_SCALE, 3, 7};
    memcpy(option, first, 8);
    option += 8;
    option[0] = OPTION_SACK_PERMITTED;
    option[1] = 2;
  } else {
    option[0] = option[1] = OPTION_NOP;
  }
  option[2] = OPTION_TIMESTAMPS;
  option[3] = 10;
  put32(option + 4, (uint32_t)(skerry_now(machine) / MS));
  ends[index].seq += length + (flags & SYN ? 1 : 0);
  inject(frame, ETHERNET_HEADER + IPV4_HEADER + TCP_HEADER + options + length, SKERRY_CHECKSUM);
}

/// Whose a frame of the machine is, with `ends` brought up to it; -1 for what is not TCP.
static int64_t taken(const struct skerry_frame *frame) {
  const uint8_t *bytes = frame->run[0].bytes, *ip = bytes + ETHERNET_HEADER, *tcp = ip + IPV4_HEADER;
  if (get16(bytes + 12) == ETHERTYPE_ARP) {
    uint8_t reply[60];
    if (get16(bytes + 20) == 1 && get32(bytes + 38) == ROUTER_IP) {
      wire_arp(reply, machine_mac, 2, router_mac, ROUTER_IP, machine_mac, MACHINE_IP);
      inject(reply, sizeof reply, 0);
    }
    return -1;
  }
  if (get16(bytes + 12) != ETHERTYPE_IPV4 || ip[9] != PROTOCOL_TCP) return -1;
  uint32_t index = (get32(ip + 16) - PEERS) * PORTS + get16(tcp + 2) - FIRST_PORT;
  MUST(index < count && get16(tcp) == PORT, "a segment to nobody");
  MUST(!(tcp[13] & RST), "connection %u was reset", index);
  uint32_t length = get16(ip + 2) - IPV4_HEADER - (uint32_t)(tcp[12] >> 4) * 4;
  ends[index].ack = get32(tcp + 4) + length + (tcp[13] & (SYN | FIN) ? 1 : 0);
  return index;
}

static uint32_t drain(void) {
  struct skerry_frame frame;
  uint32_t frames = 0;
  while (skerry_take(machine, 0, &frame) == 1) frames += taken(&frame) >= 0;
  return frames;
}

static void step(void) {
  uint64_t begun = nanoseconds(), before = instructions();
  skerry_step(machine);
  executed += instructions() - before;
  spent += nanoseconds() - begun;
}

/// Lets the machine run for `ns`, in so many steps.
static void pass(uint64_t ns, uint32_t steps) {
  for (uint32_t i = 0; i < steps; i++) {
    MUST(!skerry_advance(machine, ns / steps), "advance");
    skerry_step(machine);
    drain();
  }
}

/// The router asks for the machine's address, and so makes its own known.
static void introduce(void) {
  static const uint8_t nobody[6];
  uint8_t request[60];
  wire_arp(request, machine_mac, 1, router_mac, ROUTER_IP, nobody, MACHINE_IP);
  inject(request, sizeof request, 0);
  pass(10 * MS, 10);
}

static void open_all(uint32_t listener) {
  for (opened = 0; opened < count;) {
    uint32_t batch = count - opened < BATCH ? count - opened : BATCH;
    for (uint32_t i = 0; i < batch; i++) {
      ends[opened + i].seq = (opened + i) * 2654435761u;
      segment(opened + i, SYN, 0);
    }
    skerry_step(machine);
    for (uint32_t frames = drain(), rounds = 0; frames < batch; rounds++) {
      MUST(rounds < 100, "%u of %u are answered", frames, batch);
      pass(MS, 1);
      frames += drain();
    }
    for (uint32_t i = 0; i < batch; i++) segment(opened + i, ACK, 0);
    skerry_step(machine);
    drain();
    for (uint32_t i = 0; i < batch; i++) {
      sockets[opened + i] = must_call("accept", machine, SYSCALL_ACCEPT, listener, 0, 0);
    }
    opened += batch;
    MUST(!skerry_advance(machine, MS / 10), "advance");
  }
}

// ---- Load --------------------------------------------------------------------------------------

static uint64_t state = 88172645463325252ull;

static uint32_t any(uint32_t below) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (uint32_t)((state >> 32) * below >> 32);
}

/// `batch` requests over connections from the first `among`, each answered: three packets each.
static void exchange(uint32_t batch, uint32_t among, const struct skerry_memory *memory) {
  static uint32_t chosen[BATCH], seen[BATCH];
  static uint32_t *round_of, round;
  if (!round_of) round_of = calloc(count, sizeof *round_of);
  MUST(round_of, "memory");
  round++;
  uint32_t n = 0;
  // One at a time on each connection.
  for (uint32_t tries = 0; n < batch && tries < 4 * batch; tries++) {
    uint32_t index = any(among);
    if (round_of[index] == round) continue;
    round_of[index] = round;
    chosen[n] = index;
    seen[n++] = ends[index].ack;
  }
  for (uint32_t i = 0; i < n; i++) segment(chosen[i], ACK | PSH, REQUEST);
  step();
  drain();
  uint32_t number[BATCH];
  for (uint32_t i = 0; i < n; i++) number[i] = sockets[chosen[i]];
  uint64_t begun = nanoseconds(), before = instructions();
  for (uint32_t i = 0; i < n; i++) {
    int got = call(machine, SYSCALL_RECEIVE, number[i], memory->address, REQUEST);
    MUST(got == REQUEST, "receive: %d", got);
    int sent = call(machine, SYSCALL_SEND, number[i], memory->address, REQUEST);
    MUST(sent == REQUEST, "send: %d", sent);
  }
  executed += instructions() - before;
  spent += nanoseconds() - begun;
  step();
  drain();
  for (uint32_t i = 0; i < n; i++) {
    MUST(ends[chosen[i]].ack - seen[i] == REQUEST, "no answer over connection %u", chosen[i]);
    segment(chosen[i], ACK, 0);
  }
  step();
  MUST(!skerry_advance(machine, MS / 10), "advance");
}

/// What a packet costs the machine over some of the connections: three packets a request.
struct cost {
  uint32_t batch, among;
  /// Of each exchange, ns; instructions and packets of all together.
  uint64_t *spent, instructions, packets;
  uint32_t exchanges;
};

static struct cost cost_of(uint32_t packets, uint32_t batch, uint32_t among) {
  struct cost cost = {.batch = batch, .among = among, .spent = calloc(packets / 3 / batch + 1, sizeof(uint64_t))};
  MUST(cost.spent, "memory");
  return cost;
}

/// `packets` more of them.
static void load(struct cost *cost, uint32_t packets) {
  struct skerry_memory memory = skerry_memory(machine);
  uint32_t rounds = packets / 3 / cost->batch;
  for (uint32_t i = 0; i < rounds / 8 + 1; i++) exchange(cost->batch, cost->among, &memory);
  struct tcp_stats before = statistics(machine);
  executed = 0;
  for (uint32_t i = 0; i < rounds; i++) {
    spent = 0;
    exchange(cost->batch, cost->among, &memory);
    cost->spent[cost->exchanges++] = spent;
  }
  struct tcp_stats after = statistics(machine);
  cost->instructions += executed;
  cost->packets += after.segmentsIn - before.segmentsIn + after.segmentsOut - before.segmentsOut;
  MUST(after.retransmits == before.retransmits, "%u segments were sent again", (unsigned)(after.retransmits - before.retransmits));
}

static int by_size(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/// The exchange that a tenth are cheaper than: what others do on the processor meanwhile is not the machine's.
static void say(const char *name, struct cost *cost) {
  qsort(cost->spent, cost->exchanges, sizeof *cost->spent, by_size);
  double packets = (double)cost->packets, each = packets / cost->exchanges;
  double ns = (double)cost->spent[cost->exchanges / 10] / each;
  printf("%s-ns %.1f\n%s-instructions %.1f\n", name, ns, name, (double)cost->instructions / packets);
  free(cost->spent);
}

static void run_idle(uint32_t number, uint32_t packets) {
  count = number;
  ends = calloc(count, sizeof *ends);
  sockets = calloc(count, sizeof *sockets);
  MUST(ends && sockets, "memory");
  memset(ends, 1, count * sizeof *ends);
  memset(sockets, 1, count * sizeof *sockets);
  machine = start(2, RAM, "gw=10.0.0.1");
  pass(100 * MS, 10);
  uint32_t listener = listen_on(machine, PORT);
  introduce();
  struct tcp_stats empty = statistics(machine);
  uint64_t before = resident();
  uint64_t begun = nanoseconds();
  open_all(listener);
  double seconds = (double)(nanoseconds() - begun) / 1e9;
  pass(10000 * MS, 1000);
  struct tcp_stats stats = statistics(machine);
  MUST(stats.established - empty.established == count, "%u of %u stand", stats.established, count);
  MUST(stats.working == empty.working, "%u at rest still have a working part", stats.working - empty.working);
  MUST(stats.halfOpen == 0 && stats.workRefused == 0, "half-open %u, refused %u", stats.halfOpen, (unsigned)stats.workRefused);
  printf("connections %u\nbytes %.1f\nopen-ns %.0f\n", count, (double)(resident() - before) / count, seconds * 1e9 / count);
  if (packets) {
    counter_open();
    uint32_t active = count < ACTIVE ? count : ACTIVE;
    struct cost few = cost_of(packets, BATCH, active), any_of = cost_of(packets, BATCH, count);
    struct cost single = cost_of(packets / 8, 1, 1);
    // In turns, so that what slows one down slows down the other.
    for (int i = 0; i < RUNS; i++) {
      load(&few, packets / RUNS);
      load(&any_of, packets / RUNS);
      load(&single, packets / 8 / RUNS);
    }
    say("active", &few);
    say("random", &any_of);
    say("single", &single);
    pass(10000 * MS, 1000);
    stats = statistics(machine);
    MUST(stats.established - empty.established == count && stats.working == empty.working, "not all are at rest again");
  }
  skerry_stop(machine);
}

// ---- Connect and close, again and again ------------------------------------------------------------

static uint64_t carried;

static void carry(struct skerry *from, struct skerry *to) {
  struct skerry_frame frame;
  while (skerry_take(from, 0, &frame) == 1) {
    carried++;
    int result;
    while ((result = skerry_inject(to, 0, &frame)) == -EAGAIN) skerry_step(to);
    MUST(result == 0, "inject: %d", result);
  }
}

static void turn(struct skerry *a, struct skerry *b, uint64_t ns) {
  skerry_step(a);
  skerry_step(b);
  carry(a, b);
  carry(b, a);
  MUST(!skerry_advance(a, ns) && !skerry_advance(b, ns), "advance");
}

/// Everything that a machine has in use, as one line.
static void in_use(struct skerry *m, char *into, size_t size) {
  struct tcp_stats stats = statistics(m);
  int at = snprintf(into, size, "connections %u, half-open %u, TIME-WAIT %u, working %u, transmissions %u; pools",
                    stats.connections, stats.halfOpen, stats.timeWait, stats.working, stats.transmissions);
  struct skerry_memory memory = skerry_memory(m);
  int bytes = call(m, SYSCALL_STATISTICS, STATISTICS_POOLS, memory.address, 4096);
  MUST(bytes > 0, "statistics of pools: %d", bytes);
  // Each: slots, slotBytes, refused, lowest, then packets by owner.
  for (int pool = 0; pool < bytes / LAYOUT_POOL; pool++)
    for (int owner = 0; owner < 6; owner++) {
      uint32_t packets;
      memcpy(&packets, memory.bytes + pool * LAYOUT_POOL + 16 + owner * 4, 4);
      at += snprintf(into + at, size - (size_t)at, " %u", packets);
    }
}

static void run_cycles(uint32_t number) {
  char before[2][512], after[2][512];
  struct skerry *a = start(1, 64u << 20, ""), *b = start(2, 64u << 20, "");
  uint32_t listener = listen_on(b, PORT);
  for (int i = 0; i < 100; i++) turn(a, b, MS);
  in_use(a, before[0], sizeof before[0]);
  in_use(b, before[1], sizeof before[1]);
  uint64_t begun = skerry_now(a);
  uint32_t most = 0;
  for (uint32_t i = 0; i < number; i++) {
    uint32_t client = must_call("socket", a, SYSCALL_SOCKET, SOCKET_TYPE_STREAM, 0, 0);
    int result = call(a, SYSCALL_CONNECT, client, address(a, MACHINE_IP, PORT), 0);
    MUST(result == -EINPROGRESS, "connect %u: %d", i, result);
    int server = -EAGAIN;
    for (int rounds = 0; server == -EAGAIN; rounds++) {
      MUST(rounds < 10000, "connection %u does not come", i);
      turn(a, b, 20000);
      server = call(b, SYSCALL_ACCEPT, listener, 0, 0);
    }
    MUST(server > 0, "accept %u: %d", i, server);
    // In turns, so that either side has TIME-WAIT.
    if (i & 1) must_call("close", a, SYSCALL_CLOSE, client, 0, 0);
    else must_call("close", b, SYSCALL_CLOSE, (uint32_t)server, 0, 0);
    turn(a, b, 20000);
    if (i & 1) must_call("close", b, SYSCALL_CLOSE, (uint32_t)server, 0, 0);
    else must_call("close", a, SYSCALL_CLOSE, client, 0, 0);
    turn(a, b, 20000);
    if (!(i & 1023)) {
      uint32_t waiting = statistics(a).timeWait;
      if (waiting > most) most = waiting;
    }
  }
  double seconds = (double)(skerry_now(a) - begun) / 1e9;
  struct tcp_stats left = statistics(a), right = statistics(b);
  MUST(left.activeOpens == number && right.passiveOpens == number, "%u opened, %u accepted", (unsigned)left.activeOpens, (unsigned)right.passiveOpens);
  MUST(left.retransmits == 0 && right.retransmits == 0, "segments were sent again: %u, %u", (unsigned)left.retransmits, (unsigned)right.retransmits);
  MUST(left.aborted == 0 && right.aborted == 0, "aborted: %u, %u", (unsigned)left.aborted, (unsigned)right.aborted);
  for (int i = 0; i < 12000; i++) turn(a, b, 10 * MS);
  in_use(a, after[0], sizeof after[0]);
  in_use(b, after[1], sizeof after[1]);
  for (int i = 0; i < 2; i++) MUST(!strcmp(before[i], after[i]), "left behind:\n  %s\n  %s", before[i], after[i]);
  printf("%u connections in %.1f s, at most %u in TIME-WAIT; nothing is left\n", number, seconds, most);
  skerry_stop(a);
  skerry_stop(b);
}

int main(int words, char **word) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  uint32_t number = words > 2 ? (uint32_t)strtoul(word[2], NULL, 10) : 0;
  if (words == 3 && number && !strcmp(word[1], "idle")) run_idle(number, 0);
  else if (words == 4 && number && !strcmp(word[1], "load")) run_idle(number, (uint32_t)strtoul(word[3], NULL, 10));
  else if (words == 3 && number && !strcmp(word[1], "cycles")) run_cycles(number);
  else return fprintf(stderr, "usage: scale idle COUNT | load COUNT PACKETS | cycles COUNT\n"), 2;
}
