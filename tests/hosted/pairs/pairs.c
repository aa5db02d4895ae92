// The same traffic over the same losses, between two Linux ends and between Linux and Skerry, in real time.
//
//     pairs    prints a line a run: the ends, the traffic, whether all arrived as it was sent, seconds, and the
//              segments with data and how many of them were sent again
//
// What happens to a frame depends on its direction and its number alone, so all runs meet the same losses.

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/subject.h"

enum { PORT = 4000, CHUNK = 16384, FLYING = 8192, ENDS = 2, PATIENCE = 60 };
#define DELAY (5 * MILLISECOND)

static uint64_t clock_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// ---- The wire ------------------------------------------------------------------------------------

struct flying { uint64_t at; uint32_t length; int to; uint8_t bytes[FRAME_MOST]; };
static struct flying *flying;
static uint32_t in_flight, number[2], sent, again, highest[2][65536];

/// Counts segments with data, and those whose numbers the same port has sent before.
static void count(int from, const uint8_t *frame, uint32_t length) {
  struct segment s;
  const char *complaint;
  if (wire_parse(frame, length, &s, &complaint) != KIND_TCP) return;
  uint32_t *top = &highest[from][(uint16_t)(s.source_port ^ s.destination_port * 31u)];
  if (s.flags & SYN) *top = s.seq + 1;
  if (!s.length) return;
  sent++;
  if (after(s.seq + s.length, *top)) *top = s.seq + s.length;
  else again++;
}

/// 2% are lost, 1% come twice and 1% late; ARP always arrives.
static void carry(struct subject *ends, int from, uint64_t now) {
  uint8_t frame[FRAME_MOST];
  for (uint32_t length; (length = subject_take(&ends[from], frame));) {
    uint32_t copies = 1;
    uint64_t delay = DELAY;
    if (get16(frame + 12) == ETHERTYPE_IPV4) {
      count(from, frame, length);
      uint64_t fate = mix((uint64_t)from << 32 | ++number[from]) % 100;
      copies = fate < 2 ? 0 : fate == 2 ? 2 : 1;
      if (fate == 3) delay += 3 * MILLISECOND;
    }
    for (; copies && in_flight < FLYING; copies--) {
      struct flying *f = &flying[in_flight++];
      f->at = now + delay;
      f->to = 1 - from;
      f->length = length;
      memcpy(f->bytes, frame, length);
    }
  }
}

/// Delivers what has arrived, in the order of its sending, and returns when the next arrives.
static uint64_t deliver(struct subject *ends, uint64_t now) {
  uint64_t next = UINT64_MAX;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < in_flight; i++) {
    if (flying[i].at <= now) {
      subject_inject(&ends[flying[i].to], flying[i].bytes, flying[i].length);
      continue;
    }
    if (flying[i].at < next) next = flying[i].at;
    if (kept != i) memcpy(&flying[kept], &flying[i], sizeof *flying);
    kept++;
  }
  in_flight = kept;
  return next;
}

// ---- The programs ------------------------------------------------------------------------------------

/// What is said over each connection, in turn: so many connections, rounds each, bytes from each end a round.
struct traffic { const char *name; uint32_t connections, rounds, bytes[ENDS]; };
static const struct traffic traffics[] = {
    {"bulk", 1, 1, {1000000, 1}},
    {"bulk back", 1, 1, {1, 1000000}},
    {"requests", 1, 60, {100, 1000}},
    {"connections", 40, 1, {200, 2000}},
};

/// One end: 0 connects, 1 accepts.
struct party { int socket, listener; uint32_t connection, said, heard; bool shut, over; };

static uint8_t octet(int end, uint32_t connection, uint32_t at) {
  return (uint8_t)(at * 31 + at / 251 + connection * 7 + (uint32_t)end);
}

static bool expected(int result) { return result == -EAGAIN || result == -ENOTCONN; }

/// Does what it can now; false if something is not as it should be.
static bool serve(struct subject *ends, const struct traffic *t, int end, struct party *p) {
  static uint8_t bytes[CHUNK];
  struct subject *s = &ends[end];
  if (p->connection == t->connections) return true;
  if (p->socket < 0) {
    uint16_t from;
    p->socket = end ? subject_accept(s, p->listener, &from) : subject_socket(s);
    if (p->socket < 0) return p->socket == -EAGAIN;
    p->said = p->heard = 0;
    p->shut = p->over = false;
    if (!end) {
      int result = subject_connect(s, p->socket, ends[1].address, PORT);
      if (result != -EINPROGRESS) return false;
    }
  }
  for (int got; !p->over && (got = subject_receive(s, p->socket, bytes, CHUNK)) != -EAGAIN;) {
    if (got == -ENOTCONN) break; // still opening
    if (got < 0) return false;
    for (int i = 0; i < got; i++)
      if (bytes[i] != octet(1 - end, p->connection, p->heard + (uint32_t)i)) return false;
    p->heard += (uint32_t)got;
    p->over = !got;
  }
  // Who connects begins each round, and who accepts answers when it has heard all of it.
  uint32_t its = t->bytes[1 - end], rounds = p->heard / its + !end;
  uint32_t all = t->rounds * t->bytes[end], may = (rounds < t->rounds ? rounds : t->rounds) * t->bytes[end];
  while (p->said < may) {
    uint32_t length = may - p->said < CHUNK ? may - p->said : CHUNK;
    for (uint32_t i = 0; i < length; i++) bytes[i] = octet(end, p->connection, p->said + i);
    int taken = subject_send(s, p->socket, bytes, length);
    if (taken < 0 && expected(taken)) break;
    if (taken < 0) return false;
    p->said += (uint32_t)taken;
  }
  if (p->said == all && !p->shut) {
    int result = subject_shutdown(s, p->socket);
    if (result < 0) return expected(result);
    p->shut = true;
  }
  if (p->shut && p->over) {
    if (p->heard != t->rounds * its) return false;
    subject_close(s, p->socket, false);
    p->socket = -1;
    p->connection++;
  }
  return true;
}

static void run(struct subject *ends, const struct traffic *t) {
  struct party parties[ENDS] = {{.socket = -1}, {.socket = -1}};
  in_flight = number[0] = number[1] = sent = again = 0;
  parties[1].listener = subject_socket(&ends[1]);
  if (subject_listen(&ends[1], parties[1].listener, PORT) < 0) fail("listen");
  uint64_t begun = clock_ns(), now = begun;
  bool right = true;
  while (right && (parties[0].connection < t->connections || parties[1].connection < t->connections)) {
    uint64_t next = deliver(ends, now);
    for (int i = 0; i < ENDS; i++) {
      right &= serve(ends, t, i, &parties[i]);
      if (ends[i].machine) {
        uint64_t wanted = subject_step(&ends[i]), its = skerry_now(ends[i].machine);
        if (wanted != UINT64_MAX && now + (wanted > its ? wanted - its : 0) < next) next = now + (wanted > its ? wanted - its : 0);
      }
      carry(ends, i, now);
    }
    if ((now = clock_ns()) - begun > PATIENCE * SECOND) right = false;
    // A program's own progress is looked for every millisecond.
    uint64_t pause = next > now ? next - now : 0;
    if (pause > MILLISECOND) pause = MILLISECOND;
    struct pollfd taps[ENDS] = {{.fd = ends[0].tap, .events = POLLIN}, {.fd = ends[1].tap, .events = POLLIN}};
    struct timespec timeout = {.tv_nsec = (long)pause};
    ppoll(taps, ENDS, &timeout, NULL);
    now = clock_ns();
  }
  printf("%s\t%s\t%s\t%s\t%.3f\t%u\t%u\n", ends[0].name, ends[1].name, t->name, right ? "whole" : "wrong",
         (double)(now - begun) / 1e9, sent, again);
  fflush(stdout);
  for (int i = 0; i < ENDS; i++)
    if (parties[i].socket >= 0) subject_close(&ends[i], parties[i].socket, true);
  subject_close(&ends[1], parties[1].listener, false);
  // What is still on its way belongs to nobody in the next run.
  for (uint64_t end = clock_ns() + SECOND / 2; (now = clock_ns()) < end;) {
    deliver(ends, now);
    for (int i = 0; i < ENDS; i++) {
      if (ends[i].machine) subject_step(&ends[i]);
      carry(ends, i, now);
    }
    struct timespec pause = {.tv_nsec = MILLISECOND};
    nanosleep(&pause, NULL);
  }
}

int main(void) {
  flying = malloc(FLYING * sizeof *flying);
  struct subject linux_a, linux_b, skerry;
  subject_linux(&linux_a, 0x0a000001);
  subject_linux(&linux_b, 0x0a000002);
  subject_skerry(&skerry, 0x0a000003, true);
  struct subject pairs[3][ENDS] = {{linux_a, linux_b}, {linux_a, skerry}, {skerry, linux_a}};
  for (size_t t = 0; t < sizeof traffics / sizeof *traffics; t++)
    for (int p = 0; p < 3; p++) run(pairs[p], &traffics[t]);
  return 0;
}
