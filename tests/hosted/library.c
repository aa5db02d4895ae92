// A program linked with libskerry.so: `library CHECK …` prints what it saw, or "FAILED …" and 1.

#include <errno.h>
#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/must.h"

// sdk/assembly/syscalls.ts
enum { SOCKET = 1, BIND, LISTEN, ACCEPT, CONNECT, SEND, RECEIVE, SHUTDOWN = 10, CLOSE };
enum { STREAM = 1, WRITE = 1, INET = 2, INET6 = 10 };
enum { PORT = 7000, DATA = 4096, CHUNK = 65536 };
#define ROUND_NS 1000

static char console[65536];
static size_t console_length;

static void on_console(void *context, const char *text, uint32_t length) {
  (void)context;
  if (length > sizeof console - 1 - console_length) length = (uint32_t)(sizeof console - 1 - console_length);
  memcpy(console + console_length, text, length);
  console_length += length;
}

static void on_ended(void *context, const char *reason) {
  (void)context;
  failed("a machine ended: %s\n%s", reason, console);
}

/// Streams go over IPv6.
static bool over6;

static struct skerry *start(int station, uint64_t seed, bool offload) {
  char line[64], own[32] = "off";
  if (over6) snprintf(own, sizeof own, "fd00::%d/64", station);
  snprintf(line, sizeof line, "ip=10.0.0.%d/24 ip6=%s mdns=off", station, own);
  struct skerry_config config = {
      .mac = {2, 0, 0, 0, 0, (uint8_t)station},
      .checksum_offload = offload,
      .seed = seed + (uint64_t)station * (seed != 0),
      .command_line = line,
      .console = on_console,
      .ended = on_ended,
  };
  struct skerry *machine = skerry_start(&config);
  MUST(machine, "skerry_start: %s\n%s", strerror(errno), console);
  return machine;
}

// ---- Two machines joined by memory -------------------------------------------------------------

static uint64_t frames, frames_hash = 0xcbf29ce484222325;
static bool hashing;

static void hash_frame(const struct skerry_frame *frame) {
  for (uint32_t i = 0; i < frame->runs; i++)
    for (uint32_t j = 0; j < frame->run[i].length; j++)
      frames_hash = (frames_hash ^ frame->run[i].bytes[j]) * 0x100000001b3;
}

/// Fills in, as a card does, what frames leave to whoever takes them; they then have no mark.
static bool completing;

/// `frame` in one run of `bytes`, its checksum filled in.
static void complete(struct skerry_frame *frame, uint8_t *bytes) {
  uint32_t length = 0;
  for (uint32_t i = 0; i < frame->runs; i++) {
    memcpy(bytes + length, frame->run[i].bytes, frame->run[i].length);
    length += frame->run[i].length;
  }
  if (frame->flags & SKERRY_CHECKSUM) {
    bytes[length] = 0;
    uint32_t total = 0;
    for (uint32_t i = frame->checksum_start; i < length; i += 2) total += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    bytes[frame->checksum_field] = (uint8_t)(~total >> 8);
    bytes[frame->checksum_field + 1] = (uint8_t)~total;
  }
  *frame = (struct skerry_frame){.runs = 1, .run = {{bytes, length}}};
}

static void carry(struct skerry *from, struct skerry *to) {
  struct skerry_frame frame;
  static uint8_t bytes[SKERRY_FRAME_MOST + 1];
  while (skerry_take(from, 0, &frame) == 1) {
    frames++;
    if (hashing) hash_frame(&frame);
    if (completing) complete(&frame, bytes);
    int result;
    while ((result = skerry_inject(to, 0, &frame)) == -EAGAIN) skerry_step(to);
    MUST(result == 0, "inject: %d", result);
  }
}

/// A round of both machines; time moves on, to the next deadline if nothing happened.
static void exchange(struct skerry *a, struct skerry *b) {
  uint64_t before = frames, first = skerry_step(a), second = skerry_step(b);
  carry(a, b);
  carry(b, a);
  uint64_t next = first < second ? first : second, now = skerry_now(a), pause = ROUND_NS;
  if (frames == before && next > now) {
    MUST(next != SKERRY_NEVER, "nothing will ever happen");
    if (next - now > pause) pause = next - now;
  }
  MUST(!skerry_advance(a, pause) && !skerry_advance(b, pause), "advance");
}

// ---- Sockets -------------------------------------------------------------------------------------

static int call(struct skerry *m, uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2) {
  return skerry_syscall(m, number, a0, a1, a2, 0, 0);
}

static int must_call(const char *what, struct skerry *m, uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2) {
  int result = call(m, number, a0, a1, a2);
  MUST(result >= 0, "%s: %d\n%s", what, result, console);
  return result;
}

/// An address of 10.0.0.x, or fd00::x, in the machine's stretch; returns the machine's address of it.
static uint32_t address(struct skerry *m, int station, uint16_t port) {
  struct skerry_memory memory = skerry_memory(m);
  uint64_t words[3] = {0, 0xffff00000000 | 0x0a000000 | (uint64_t)station, port};
  if (over6) words[0] = 0xfd00ull << 48, words[1] = (uint64_t)station;
  memcpy(memory.bytes, words, sizeof words);
  return memory.address;
}

static void connect_pair(struct skerry *a, struct skerry *b, int to, int *client, int *server) {
  uint32_t domain = over6 ? INET6 : INET;
  // Until the addresses are no duplicates (RFC 4862, 5.4).
  while (over6 && skerry_now(a) < 4000000000) exchange(a, b);
  int listener = must_call("socket", b, SOCKET, STREAM, domain, 0);
  must_call("bind", b, BIND, (uint32_t)listener, address(b, to, PORT), 0);
  must_call("listen", b, LISTEN, (uint32_t)listener, 4, 0);
  *client = must_call("socket", a, SOCKET, STREAM, domain, 0);
  int result = call(a, CONNECT, (uint32_t)*client, address(a, to, PORT), 0);
  MUST(result == -EINPROGRESS, "connect: %d", result);
  do exchange(a, b);
  while ((*server = call(b, ACCEPT, (uint32_t)listener, 0, 0)) == -EAGAIN);
  MUST(*server > 0, "accept: %d", *server);
  must_call("close", b, CLOSE, (uint32_t)listener, 0, 0);
}

/// The byte at `offset` of the stream that station `from` sends.
static uint8_t expected(uint64_t offset, int from) {
  return (uint8_t)(offset ^ offset >> 8 ^ offset >> 16 ^ (uint64_t)from * 85);
}

struct end {
  struct skerry *machine;
  uint32_t socket;
  int station, peer;
  uint64_t sent, received, total;
  bool checked, finished, closed;
};

/// Sends and receives what it can now.
static void serve(struct end *end) {
  struct skerry_memory memory = skerry_memory(end->machine);
  uint8_t *bytes = memory.bytes + DATA;
  while (end->sent < end->total) {
    uint64_t length = end->total - end->sent < CHUNK ? end->total - end->sent : CHUNK;
    if (end->checked)
      for (uint64_t i = 0; i < length; i++) bytes[i] = expected(end->sent + i, end->station);
    int taken = call(end->machine, SEND, end->socket, memory.address + DATA, (uint32_t)length);
    if (taken == -EAGAIN) break;
    MUST(taken > 0, "send: %d", taken);
    end->sent += (uint64_t)taken;
  }
  if (end->sent == end->total && !end->finished) {
    must_call("shutdown", end->machine, SHUTDOWN, end->socket, WRITE, 0);
    end->finished = true;
  }
  while (!end->closed) {
    int got = call(end->machine, RECEIVE, end->socket, memory.address + DATA, CHUNK);
    if (got == -EAGAIN) break;
    MUST(got >= 0, "receive: %d", got);
    if (end->checked)
      for (int i = 0; i < got; i++)
        MUST(bytes[i] == expected(end->received + (uint64_t)i, end->peer), "another byte at %llu",
             (unsigned long long)end->received + (unsigned)i);
    end->received += (uint64_t)got;
    end->closed = got == 0;
  }
}

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/// `ways` 2: both send `bytes`; 1: only the client does.
static void transfer(struct skerry *a, struct skerry *b, int from, int to, uint64_t bytes, int ways, bool checked) {
  int client, server;
  connect_pair(a, b, to, &client, &server);
  struct end left = {.machine = a, .socket = (uint32_t)client, .station = from, .peer = to, .total = bytes, .checked = checked};
  struct end right = {.machine = b, .socket = (uint32_t)server, .station = to, .peer = from,
                      .total = ways == 2 ? bytes : 0, .checked = checked};
  for (uint64_t rounds = 0; !left.closed || !right.closed; rounds++) {
    MUST(rounds < 20 * (bytes / 1000 + 1000), "stuck: sent %llu and %llu, received %llu and %llu",
         (unsigned long long)left.sent, (unsigned long long)right.sent, (unsigned long long)left.received,
         (unsigned long long)right.received);
    serve(&left);
    serve(&right);
    exchange(a, b);
  }
  MUST(right.received == left.total && left.received == right.total, "streams cut short");
  must_call("close", a, CLOSE, left.socket, 0, 0);
  must_call("close", b, CLOSE, right.socket, 0, 0);
}

static void check_transfer(uint64_t seed, bool offload, uint64_t bytes, int ways, bool checked) {
  hashing = checked;
  struct skerry *a = start(1, seed, offload), *b = start(2, seed, offload);
  double begun = seconds();
  transfer(a, b, 1, 2, bytes, ways, checked);
  double took = seconds() - begun;
  printf("bytes %llu frames %llu hash %016llx ns %llu\n", (unsigned long long)bytes * (unsigned)ways,
         (unsigned long long)frames, (unsigned long long)frames_hash, (unsigned long long)skerry_now(a));
  printf("%.0f MB/s\n", (double)bytes * ways / took / 1e6);
  skerry_stop(a);
  skerry_stop(b);
}

// ---- A station that is none of ours -----------------------------------------------------------------

static uint16_t sum(const uint8_t *bytes, size_t length) {
  uint32_t total = 0;
  for (size_t i = 0; i + 1 < length; i += 2) total += (uint32_t)bytes[i] << 8 | bytes[i + 1];
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return (uint16_t)~total;
}

static void send_bytes(struct skerry *m, uint32_t link, const uint8_t *bytes, uint32_t length) {
  struct skerry_frame frame = {.runs = 1, .run = {{bytes, length}}};
  MUST(skerry_inject(m, link, &frame) == 0, "inject");
}

/// The next frame of `type` from the card `link`, as one run; others from it are passed over.
static uint32_t next_frame(struct skerry *m, uint32_t link, uint16_t type, uint8_t *into) {
  for (int rounds = 0; rounds < 1000; rounds++) {
    skerry_step(m);
    struct skerry_frame frame;
    while (skerry_take(m, link, &frame) == 1) {
      uint32_t length = 0;
      for (uint32_t i = 0; i < frame.runs; i++) {
        memcpy(into + length, frame.run[i].bytes, frame.run[i].length);
        length += frame.run[i].length;
      }
      if ((into[12] << 8 | into[13]) == type) return length;
    }
    skerry_advance(m, ROUND_NS);
  }
  failed("no frame of type %04x came\n%s", type, console);
}

static void check_ping(void) {
  struct skerry *m = start(1, 1, false);
  static const uint8_t arp[60] = {255, 255, 255, 255, 255, 255, 2, 9, 9, 9, 9, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
                                  2, 9, 9, 9, 9, 9, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1};
  static const uint8_t our[6] = {2, 9, 9, 9, 9, 9}, its[6] = {2, 0, 0, 0, 0, 1};
  uint8_t answer[2048];
  send_bytes(m, 0, arp, sizeof arp);
  do MUST(next_frame(m, 0, 0x0806, answer) >= 42, "a short ARP reply");
  while (answer[21] != 2); // its own announcements are requests
  MUST(!memcmp(answer, our, 6) && !memcmp(answer + 22, its, 6) && !memcmp(answer + 28, arp + 38, 4),
       "another ARP reply than RFC 826's");

  uint8_t echo[98] = {2, 0, 0, 0, 0, 1, 2, 9, 9, 9, 9, 9, 8, 0, 0x45, 0, 0, 84, 0, 1, 0, 0, 64, 1, 0, 0,
                      10, 0, 0, 9, 10, 0, 0, 1, 8, 0, 0, 0, 0x12, 0x34, 0, 1};
  for (int i = 42; i < 98; i++) echo[i] = (uint8_t)i;
  uint16_t header = sum(echo + 14, 20), message = sum(echo + 34, 64);
  echo[24] = (uint8_t)(header >> 8), echo[25] = (uint8_t)header;
  echo[36] = (uint8_t)(message >> 8), echo[37] = (uint8_t)message;
  send_bytes(m, 0, echo, sizeof echo);
  uint32_t length = next_frame(m, 0, 0x0800, answer);
  MUST(length == 98 && answer[34] == 0 && sum(answer + 14, 20) == 0 && sum(answer + 34, 64) == 0 &&
           !memcmp(answer + 38, echo + 38, 60),
       "another echo reply than RFC 792's");
  printf("ping answered\n");
  skerry_stop(m);
}

/// Three cards: each has its own address, answers on its own wire only, and what comes by one for the network
/// behind another leaves by that.
static void check_links(void) {
  struct skerry_config config = {.mac = {2, 0, 0, 0xff, 0xff, 0xff}, .links = 3, .seed = 1, .console = on_console,
                                 .ended = on_ended,
                                 .command_line = "eth0=10.0.0.1/24 eth1=10.0.1.1/24 eth2=10.0.2.1/24 ip6=off forward=on"};
  struct skerry *m = skerry_start(&config);
  MUST(m, "skerry_start: %s\n%s", strerror(errno), console);
  static const uint8_t macs[3][6] = {{2, 0, 0, 0xff, 0xff, 0xff}, {2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 0, 1}};
  uint8_t answer[2048];
  for (uint8_t i = 0; i < 3; i++) {
    const uint8_t arp[60] = {255, 255, 255, 255, 255, 255, 2, 9, 9, 9, 9, i, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
                             2, 9, 9, 9, 9, i, 10, 0, i, 9, 0, 0, 0, 0, 0, 0, 10, 0, i, 1};
    send_bytes(m, i, arp, sizeof arp);
    do MUST(next_frame(m, i, 0x0806, answer) >= 42, "a short ARP reply");
    while (answer[21] != 2);
    MUST(!memcmp(answer + 22, macs[i], 6) && !memcmp(answer + 28, arp + 38, 4), "card %d has another address", i);
  }
  // UDP from 10.0.0.9 to 10.0.2.9, TTL 9.
  uint8_t datagram[60] = {2, 0, 0, 0xff, 0xff, 0xff, 2, 9, 9, 9, 9, 0, 8, 0, 0x45, 0, 0, 46, 0, 1, 0, 0, 9, 17, 0, 0,
                          10, 0, 0, 9, 10, 0, 2, 9, 0, 7, 0, 7, 0, 26};
  uint16_t header = sum(datagram + 14, 20);
  datagram[24] = (uint8_t)(header >> 8), datagram[25] = (uint8_t)header;
  send_bytes(m, 0, datagram, sizeof datagram);
  MUST(next_frame(m, 2, 0x0800, answer) >= 60, "a short datagram");
  static const uint8_t to[6] = {2, 9, 9, 9, 9, 2};
  MUST(!memcmp(answer, to, 6) && !memcmp(answer + 6, macs[2], 6) && answer[22] == 8 && sum(answer + 14, 20) == 0 &&
           !memcmp(answer + 26, datagram + 26, 34),
       "another datagram was forwarded");
  struct skerry_frame frame = {.runs = 1, .run = {{datagram, sizeof datagram}}};
  MUST(skerry_inject(m, 3, &frame) == -EINVAL && skerry_take(m, 3, &frame) == -EINVAL, "a fourth card");
  MUST(skerry_take(m, 0, &frame) == 0 && skerry_take(m, 1, &frame) == 0, "it left by another card, too");
  skerry_stop(m);
  printf("three cards\n");
}

// ---- Many, and wrong use ------------------------------------------------------------------------------

static void check_many(int count) {
  struct skerry *machines[64];
  for (int i = 0; i < count; i++) machines[i] = start(i + 1, 7, i % 4 < 2);
  // Pairs of their own, so that every machine's memory and globals must be its own.
  for (int i = 0; i < count; i += 2) transfer(machines[i], machines[i + 1], i + 1, i + 2, 200000, 2, true);
  for (int i = 0; i < count; i++) {
    MUST(!skerry_ended(machines[i]), "machine %d ended", i);
    skerry_stop(machines[i]);
  }
  printf("%d machines\n", count);
}

static void refused(const char *what, struct skerry_config config) {
  errno = 0;
  struct skerry *machine = skerry_start(&config);
  MUST(!machine && errno == EINVAL, "%s was not refused (%s)", what, strerror(errno));
}

static void check_errors(void) {
  static char words[5000];
  memset(words, 'x', sizeof words - 1);
  refused("little RAM", (struct skerry_config){.ram = (16 << 20) - 1});
  refused("too much RAM", (struct skerry_config){.ram = (2u << 30) + 1});
  refused("a group address", (struct skerry_config){.mac = {1}});
  refused("nine cards", (struct skerry_config){.links = SKERRY_LINKS_MOST + 1});
  refused("a long command line", (struct skerry_config){.command_line = words});
  refused("a pack of no bytes' address", (struct skerry_config){.pack_length = 1});
  MUST(!skerry_start(NULL) && errno == EINVAL, "no config was not refused");
  skerry_stop(NULL);

  struct skerry *m = start(1, 1, false);
  static uint8_t bytes[2000];
  struct skerry_frame frame = {.runs = 1, .run = {{bytes, SKERRY_FRAME_LEAST - 1}}};
  MUST(skerry_inject(m, 0, NULL) == -EINVAL, "no frame");
  MUST(skerry_inject(m, 0, &frame) == -EINVAL, "a short frame");
  frame.run[0].length = SKERRY_FRAME_MOST + 1;
  MUST(skerry_inject(m, 0, &frame) == -EINVAL, "a long frame");
  frame.run[0].length = UINT32_MAX, frame.run[1].bytes = bytes, frame.run[1].length = 64, frame.runs = 2;
  MUST(skerry_inject(m, 0, &frame) == -EINVAL, "lengths that wrap");
  frame.run[0].length = 60, frame.runs = 4;
  MUST(skerry_inject(m, 0, &frame) == -EINVAL, "four runs");
  frame.runs = 0;
  MUST(skerry_inject(m, 0, &frame) == -EINVAL, "no run");
  frame.runs = 1, frame.run[0].bytes = NULL;
  MUST(skerry_inject(m, 0, &frame) == -EINVAL, "no bytes");
  frame.run[0].bytes = bytes, frame.flags = SKERRY_CHECKSUM;
  MUST(skerry_inject(m, 0, &frame) == -EINVAL, "a mark that it does not believe");
  frame.flags = 0;
  int room = 0;
  while (skerry_inject(m, 0, &frame) == 0 && room < 1000) room++;
  MUST(room == 256 && skerry_inject(m, 0, &frame) == -EAGAIN, "%d frames were taken", room);
  for (int i = 0; i < 20; i++) skerry_step(m);
  MUST(skerry_inject(m, 0, &frame) == 0, "no room after steps");

  MUST(skerry_advance(m, UINT64_MAX) == -EINVAL, "a time that overflows");
  struct skerry_memory memory = skerry_memory(m);
  MUST(memory.length == 1 << 20, "the caller's stretch");
  int socket = must_call("socket", m, SOCKET, STREAM, 0, 0);
  MUST(call(m, BIND, (uint32_t)socket, 0, 0) == -EFAULT, "a null pointer");
  MUST(call(m, BIND, (uint32_t)socket, UINT32_MAX - 4, 0) == -EFAULT, "a pointer that wraps");
  MUST(call(m, SEND, (uint32_t)socket, memory.address, UINT32_MAX) == -EFAULT, "a length beyond memory");
  MUST(call(m, SEND, 12345678, memory.address, 1) == -EBADF, "a socket that is none");
  MUST(call(m, 9999, 0, 0, 0) == -ENOSYS, "a call that is none");
  skerry_stop(m);

  struct skerry_config real = {.real_clock = true, .command_line = "ip=10.0.0.1/24 ip6=off"};
  m = skerry_start(&real);
  MUST(m && skerry_advance(m, 1) == -EINVAL, "a real clock was moved");
  uint64_t first = skerry_now(m), again = skerry_now(m);
  MUST(again >= first && again < 60000000000, "a real clock at %llu", (unsigned long long)again);
  skerry_stop(m);
  printf("every error was one\n");
}

// ---- A machine that breaks -----------------------------------------------------------------------------

static void on_expected(void *context, const char *reason) { snprintf(context, 256, "%s", reason); }

/// Breaks a machine's device table: the next call through it traps, and only this machine ends.
static void check_trap(void) {
  struct skerry *other = start(2, 1, false);
  char reason[256] = "";
  struct skerry_config config = {.mac = {2, 4, 6, 8, 10, 12}, .ended = on_expected, .context = reason,
                                 .command_line = "ip=10.0.0.1/24 ip6=off"};
  struct skerry *m = skerry_start(&config);
  MUST(m, "skerry_start: %s", strerror(errno));
  struct skerry_memory memory = skerry_memory(m);
  uint8_t *base = memory.bytes - memory.address;
  // `Device` (drivers/device.ts) begins with the address; `pollOp` is its u32 at 140.
  uint64_t mac = 0x020406080a0c;
  uint32_t at = 4096;
  while (at < memory.address && memcmp(base + at, &mac, sizeof mac)) at += 8;
  MUST(at < memory.address, "no device has the address");
  memset(base + at + 140, 0xff, 4);
  MUST(skerry_step(m) == SKERRY_NEVER, "it went on");
  MUST(skerry_ended(m) && !strcmp(skerry_ended(m), "trap: table access out of bounds"), "ended: %s", skerry_ended(m));
  MUST(!strcmp(reason, skerry_ended(m)), "the callback was told: %s", reason);
  struct skerry_frame frame = {.runs = 1, .run = {{memory.bytes, 60}}};
  MUST(skerry_step(m) == SKERRY_NEVER && skerry_inject(m, 0, &frame) == -ESHUTDOWN && skerry_take(m, 0, &frame) == -ESHUTDOWN &&
           skerry_advance(m, 1) == -ESHUTDOWN && call(m, SOCKET, STREAM, 0, 0) == -ESHUTDOWN,
       "it answers after its end");
  skerry_stop(m);
  must_call("socket", other, SOCKET, STREAM, 0, 0);
  MUST(!skerry_ended(other), "the other ended too");
  skerry_stop(other);
  printf("one trapped\n");
}

int main(int count, char **words) {
  const char *check = count > 1 ? words[1] : "";
  uint64_t number = count > 2 ? strtoull(words[2], NULL, 10) : 1;
  completing = count > 3 && !strcmp(words[3], "complete");
  over6 = count > 4 && !strcmp(words[4], "ipv6");
  bool offload = completing || (count > 3 && !strcmp(words[3], "offload"));
  if (!strcmp(check, "transfer")) check_transfer(number, offload, 10000000, 2, true);
  else if (!strcmp(check, "bulk")) check_transfer(1, offload, number * 1000000, 1, false);
  else if (!strcmp(check, "ping")) check_ping();
  else if (!strcmp(check, "links")) check_links();
  else if (!strcmp(check, "many")) check_many(16);
  else if (!strcmp(check, "errors")) check_errors();
  else if (!strcmp(check, "trap")) check_trap();
  else failed("library transfer SEED [offload|complete|sum [ipv6]] | bulk MB [offload] | ping | links | many | errors | trap");
  return 0;
}
