// The network between the machines: a link for each direction, with a queue, and all that can go wrong.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "soak.h"

/// A frame on its way.
struct flying {
  uint64_t at, order;
  uint32_t length;
  int to;
  bool intact;
  uint8_t bytes[FRAME_MOST];
};

struct direction {
  struct conditions conditions;
  /// When the last frame has left; until when the cards stall, and frames are lost.
  uint64_t free, receive_stalled, send_stalled, burst_until, comb_until;
  bool tooth;
};

static struct direction directions[2];
static struct random *dice;
static struct flying **heap;
static uint32_t flying, room;
static struct flying *spare;
static uint64_t order;
static struct network_counts counts;

uint64_t logarithmic(struct random *r, uint64_t low, uint64_t high) {
  return (uint64_t)(exp(log((double)low) + fraction(r) * (log((double)high + 1) - log((double)low))));
}

struct conditions *network_conditions(int to) { return &directions[to].conditions; }
struct network_counts *network_counts(void) { return &counts; }

void network_reset(struct random *random) {
  dice = random;
  for (uint32_t i = 0; i < flying; i++) free(heap[i]);
  flying = 0;
  order = 0;
  memset(directions, 0, sizeof directions);
  for (int i = 0; i < 2; i++)
    directions[i].conditions = (struct conditions){.delay = 5 * MICROSECOND, .rate = 1000000000, .queue = 1 << 20};
  counts = (struct network_counts){0};
}

// ---- Frames by time of arrival: a binary heap ---------------------------------------------------

static bool earlier(const struct flying *a, const struct flying *b) {
  return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void push(struct flying *frame) {
  if (flying == room) heap = realloc(heap, (room = room ? room * 2 : 256) * sizeof *heap);
  uint32_t i = flying++;
  for (; i && earlier(frame, heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
  heap[i] = frame;
}

static struct flying *pop(void) {
  struct flying *top = heap[0], *last = heap[--flying];
  uint32_t i = 0;
  for (uint32_t child; (child = 2 * i + 1) < flying; i = child) {
    if (child + 1 < flying && earlier(heap[child + 1], heap[child])) child++;
    if (!earlier(heap[child], last)) break;
    heap[i] = heap[child];
  }
  heap[i] = last;
  return top;
}

// ---- What happens to a frame -----------------------------------------------------------------------

/// Options of a SYN that a middlebox does not let through become NOPs.
static void meddle(const struct conditions *c, uint8_t *frame, uint32_t length) {
  if (!c->no_sack && !c->no_timestamps && !c->no_scale && !c->mss) return;
  uint8_t *tcp = frame + ETHERNET_HEADER + IPV4_HEADER;
  if (!(tcp[13] & SYN)) return;
  uint8_t *at = tcp + TCP_HEADER, *end = tcp + (tcp[12] >> 4) * 4;
  while (at < end && *at != OPTION_END) {
    if (*at == OPTION_NOP) {
      at++;
      continue;
    }
    uint8_t kind = *at, size = at[1];
    if ((kind == OPTION_SACK_PERMITTED && c->no_sack) || (kind == OPTION_TIMESTAMPS && c->no_timestamps) ||
        (kind == OPTION_SCALE && c->no_scale))
      memset(at, OPTION_NOP, size);
    if (kind == OPTION_MSS && c->mss && get16(at + 2) > c->mss) put16(at + 2, c->mss);
    at += size;
  }
  wire_mend(frame, length);
}

/// Up to 15 neighbouring bits flip, which never escapes the Internet checksum (RFC 1071), or the tail is gone.
static void spoil(struct flying *f, const struct conditions *c) {
  bool corrupt = chance(dice, c->corrupt), truncate = chance(dice, c->truncate);
  if (!corrupt && !truncate) return;
  f->intact = false;
  counts.corrupted++;
  uint32_t end = ETHERNET_HEADER + get16(f->bytes + 16);
  if (truncate) {
    f->length = (uint32_t)between(dice, SKERRY_FRAME_LEAST, end - 1);
    return;
  }
  uint32_t bits = (uint32_t)between(dice, 1, 15);
  uint32_t start = (uint32_t)between(dice, ETHERNET_HEADER * 8, end * 8 - bits);
  for (uint32_t bit = start; bit < start + bits; bit++)
    if (bit == start || chance(dice, 0.5)) f->bytes[bit >> 3] ^= (uint8_t)(0x80 >> (bit & 7));
}

static void fly(int to, const uint8_t *frame, uint32_t length, uint64_t left) {
  const struct conditions *c = &directions[to].conditions;
  struct flying *f = spare ? spare : malloc(sizeof *f);
  spare = NULL;
  memcpy(f->bytes, frame, length);
  f->length = length;
  f->to = to;
  f->intact = true;
  f->order = order++;
  f->at = left + c->delay;
  if (c->jitter) f->at += between(dice, 0, c->jitter);
  if (chance(dice, c->reorder)) f->at += c->reorder_delay;
  // ARP has no checksum: only IPv4 and what it carries is touched.
  if (get16(frame + 12) == ETHERTYPE_IPV4) {
    spoil(f, c);
    if (f->intact && chance(dice, c->mark) && f->bytes[15] & 3) {
      f->bytes[15] |= 3;
      wire_mend(f->bytes, f->length);
      counts.marked++;
    }
  }
  push(f);
}

void network_send(int from, const uint8_t *sent, uint32_t length, uint64_t now) {
  int to = 1 - from;
  struct direction *d = &directions[to];
  const struct conditions *c = &d->conditions;
  counts.sent++;
  if (now >= d->burst_until && chance(dice, c->burst)) d->burst_until = now + between(dice, 1, c->burst_length);
  uint64_t start = now > d->free ? now : d->free;
  if ((double)(start - now) * (double)c->rate / 8e9 > (double)c->queue) {
    counts.overflowed++;
    return;
  }
  // 24 bytes of preamble, start delimiter, FCS and gap (IEEE 802.3, 3.1.1 and 4.4.2).
  d->free = start + ((length < 60 ? 60 : length) + 24) * 8 * SECOND / c->rate;
  if (now >= d->comb_until && chance(dice, c->comb)) d->comb_until = now + between(dice, 1, c->comb_time);
  d->tooth = now < d->comb_until && !d->tooth;
  if (now < d->burst_until || d->tooth || chance(dice, c->loss)) {
    counts.lost++;
    return;
  }
  uint8_t frame[FRAME_MOST];
  memcpy(frame, sent, length);
  if (get16(frame + 12) == ETHERTYPE_IPV4 && frame[23] == PROTOCOL_TCP) meddle(c, frame, length);
  fly(to, frame, length, d->free);
  if (chance(dice, c->duplicate)) {
    counts.duplicated++;
    fly(to, frame, length, d->free + between(dice, 0, c->delay));
  }
}

uint64_t network_next(void) { return flying ? heap[0]->at : NEVER; }

uint32_t network_take(uint64_t now, int *to, uint8_t frame[FRAME_MOST], bool *intact) {
  while (flying && heap[0]->at <= now) {
    struct flying *f = pop();
    struct direction *d = &directions[f->to];
    if (now >= d->receive_stalled && chance(dice, d->conditions.receive_stall))
      d->receive_stalled = now + between(dice, 1, d->conditions.stall);
    if (now < d->receive_stalled) {
      f->at = d->receive_stalled;
      push(f);
      continue;
    }
    uint32_t length = f->length;
    *to = f->to;
    *intact = f->intact;
    memcpy(frame, f->bytes, length);
    free(spare);
    spare = f;
    return length;
  }
  return 0;
}

uint64_t network_send_stall(int machine, uint64_t now) {
  struct direction *d = &directions[1 - machine];
  if (now >= d->send_stalled && chance(dice, d->conditions.send_stall))
    d->send_stalled = now + between(dice, 1, d->conditions.stall);
  return d->send_stalled;
}
