// What a correct host never sends. Each rule stands where it is checked, with the RFC that makes it. The
// checker sees what a machine sends, and what has reached it; it knows nothing of what the kernel thinks.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "soak.h"

/// Octets of a stream by their distance from the SYN's number: [from, to).
struct range { uint32_t from, to; };
/// A set of them, in order and apart.
struct ranges { struct range *at; uint32_t count, room; };

/// What one side of a connection has said, and heard.
struct side {
  /// It has sent a SYN; a FIN; a reset; its SYN has reached the other side.
  bool begun, finished, reset, introduced;
  uint32_t iss, sent;  // one past the highest number sent
  uint32_t fin;        // the FIN's number
  /// Options of its SYN as the other side saw them.
  struct options syn;
  /// The stream from ISS + 1 on.
  uint8_t *stream;
  uint32_t stream_length, stream_room;
  /// What has reached the other side, by distance from ISS; and what it knows has, by (S)ACK.
  struct ranges arrived, told_arrived;
  /// The highest acknowledgment and right edge that it sent, and its timestamps.
  bool acknowledges, stamps, echoes;
  uint32_t ack, edge, stamp, echo;
  /// The same of the other side, as far as they have reached this one.
  bool told, told_stamped;
  uint32_t told_ack, told_edge, told_stamp, told_duplicates, told_window, told_widest;
  /// Since when it has heard of no progress of what it has sent.
  uint64_t waits_since;
  /// Data has reached it that it has not acknowledged, since; NEVER for none.
  uint64_t owes;
};

struct pair {
  struct pair *next;
  uint16_t port[2];
  /// One side has waited long enough, and has reset it.
  bool given_up;
  struct side side[2];
};

/// The last segments that reached each machine: what a reset may answer.
enum { REMEMBERED = 4096 };
struct heard { uint32_t seq, end, ack, flags; uint16_t from, to; };

enum { BUCKETS = 1024 };
static struct pair *buckets[BUCKETS];
static struct heard heard[2][REMEMBERED];
static uint32_t heard_count[2];
static bool resets_allowed, unhurried;
static uint64_t trace;

/// RFC 9293, 3.8.6.3 and RFC 1122, 4.2.3.2: an ACK is less than half a second late; and the clock's grain.
#define ACK_LATEST (500 * MILLISECOND + 10 * MILLISECOND)
/// R2, after which a connection without progress may be given up (RFC 1122, 4.2.3.5; RFC 9293, 3.8.3).
#define GIVE_UP (100 * SECOND)

static void forget(struct side *side) {
  free(side->stream);
  free(side->arrived.at);
  free(side->told_arrived.at);
  *side = (struct side){.owes = NEVER};
}

void checker_reset(bool resets, bool late) {
  for (int i = 0; i < BUCKETS; i++) {
    for (struct pair *pair = buckets[i], *next; pair; pair = next) {
      next = pair->next;
      forget(&pair->side[0]);
      forget(&pair->side[1]);
      free(pair);
    }
    buckets[i] = NULL;
  }
  heard_count[0] = heard_count[1] = 0;
  resets_allowed = resets;
  unhurried = late;
  trace = 0xcbf29ce484222325;
}

uint64_t checker_trace(void) { return trace; }

/// The connection between these ports of machine 0 and 1.
static struct pair *find(uint16_t zero, uint16_t one) {
  struct pair **at = &buckets[(zero * 31u + one) % BUCKETS];
  for (struct pair *pair = *at; pair; pair = pair->next)
    if (pair->port[0] == zero && pair->port[1] == one) return pair;
  struct pair *pair = calloc(1, sizeof *pair);
  pair->port[0] = zero;
  pair->port[1] = one;
  pair->side[0].owes = pair->side[1].owes = NEVER;
  pair->next = *at;
  return *at = pair;
}

static const char *who(int machine) { return machine ? "server" : "client"; }

#define RULE(holds, ...)                                                                        \
  do {                                                                                          \
    if (!(holds)) {                                                                             \
      char what[256];                                                                           \
      snprintf(what, sizeof what, __VA_ARGS__);                                                 \
      wrong("forbidden segment from the %s: %s: %s", who(from), what, wire_describe(s));        \
    }                                                                                           \
  } while (0)

// ---- What has arrived ------------------------------------------------------------------------------

static void add(struct ranges *set, uint32_t from, uint32_t to) {
  uint32_t i = 0;
  while (i < set->count && set->at[i].to < from) i++;
  uint32_t j = i;
  for (; j < set->count && set->at[j].from <= to; j++) {
    if (set->at[j].from < from) from = set->at[j].from;
    if (set->at[j].to > to) to = set->at[j].to;
  }
  if (i == j) {
    if (set->count == set->room) set->at = realloc(set->at, (set->room = set->room * 2 + 8) * sizeof *set->at);
    memmove(set->at + i + 1, set->at + i, (set->count - i) * sizeof *set->at);
    set->count++;
  } else {
    memmove(set->at + i + 1, set->at + j, (set->count - j) * sizeof *set->at);
    set->count -= j - i - 1;
  }
  set->at[i] = (struct range){from, to};
}

/// Whether all of [from, to) is in the set.
static bool holds(const struct ranges *set, uint32_t from, uint32_t to) {
  for (uint32_t i = 0; i < set->count; i++)
    if (set->at[i].from <= from && to <= set->at[i].to) return true;
  return false;
}

static uint32_t size(const struct ranges *set) {
  uint32_t all = 0;
  for (uint32_t i = 0; i < set->count; i++) all += set->at[i].to - set->at[i].from;
  return all;
}

/// How far everything from the SYN on has arrived, as a sequence number.
static uint32_t in_order(const struct side *side) {
  return side->iss + (side->arrived.count && !side->arrived.at[0].from ? side->arrived.at[0].to : 0);
}

void checker_delivered(int to, const uint8_t *frame, uint32_t length, uint64_t now) {
  struct segment segment, *s = &segment;
  const char *complaint;
  if (wire_parse(frame, length, s, &complaint) != KIND_TCP) return;
  int from = 1 - to;
  struct pair *pair = from ? find(s->destination_port, s->source_port) : find(s->source_port, s->destination_port);
  struct side *me = &pair->side[from], *other = &pair->side[to];
  uint32_t extra = ((s->flags & SYN) != 0) + ((s->flags & FIN) != 0);
  heard[to][heard_count[to]++ % REMEMBERED] = (struct heard){
      s->seq, s->seq + s->length + extra, s->ack, s->flags, s->source_port, s->destination_port};
  if (s->flags & RST || !me->begun) return;
  uint32_t first = s->seq - me->iss, end = first + s->length + extra;
  if (first > me->sent - me->iss || end > me->sent - me->iss) return; // of another connection of these ports
  if (s->flags & SYN) {
    if (!me->introduced) {
      // The numbers that a SYN alone gives leave for are those of a SYN that may not be there yet.
      other->told_window = s->window;
      other->told_edge = s->flags & ACK ? s->ack + s->window : other->iss + 1 + s->window;
      other->told_ack = other->iss;
    }
    me->introduced = true;
    me->syn = s->options;
  }
  // An ACK older than the widest window takes its data with it, and a host answers only so many of them
  // (RFC 5961, 5.2 and 7): the sender's timer brings the data once more.
  bool outdated = other->told && after(other->told_ack - other->told_widest, s->ack);
  if (end > first) {
    uint32_t before = in_order(me);
    add(&me->arrived, first, end);
    if (after(in_order(me), before) && !(s->flags & SYN) && !outdated && other->owes == NEVER) other->owes = now;
  }
  if (s->options.has_timestamps) {
    if (!other->told_stamped || after(s->options.ts_value, other->told_stamp)) other->told_stamp = s->options.ts_value;
    other->told_stamped = true;
  }
  if (!(s->flags & ACK) || !other->begun || after(s->ack, other->sent)) return;
  bool scaled = me->syn.has_scale && other->syn.has_scale && !(s->flags & SYN);
  uint32_t window = (uint32_t)s->window << (scaled ? me->syn.scale : 0), edge = s->ack + window;
  if (!other->told || after(s->ack, other->told_ack)) {
    if (window > other->told_widest) other->told_widest = window;
    // What a partial acknowledgment leaves of the duplicates before it (RFC 6582, 3.2, step 3). Without SACK
    // a copy in the network makes a duplicate that is as good as any, and a sender that paces keeps its count.
    uint32_t segments = (s->ack - other->told_ack) / (me->syn.has_mss ? me->syn.mss : 536);
    bool selective = me->syn.sack_permitted && other->syn.sack_permitted;
    if (selective) other->told_duplicates = other->told_duplicates > segments ? other->told_duplicates - segments + 1 : 0;
    other->told_ack = s->ack;
    other->waits_since = now;
  } else if (s->ack == other->told_ack) {
    other->told_duplicates++;
  }
  if (after(edge, other->told_edge)) other->told_edge = edge;
  other->told = true;
  add(&other->told_arrived, 0, other->told_ack - other->iss);
  for (uint32_t i = 0; i < s->options.sacks; i++)
    add(&other->told_arrived, s->options.sack[i].left - other->iss, s->options.sack[i].right - other->iss);
}

// ---- What is sent --------------------------------------------------------------------------------------

/// Keeps the payload, and holds it against what was sent under the same numbers before.
static void record(int from, struct side *me, const struct segment *s, uint32_t at) {
  if (at > me->stream_length) return; // numbers were left out: said elsewhere
  uint32_t known = me->stream_length - at;
  if (known > s->length) known = s->length;
  RULE(!memcmp(me->stream + at, s->payload, known),
       "octets of the stream from %u were sent with two values (RFC 9293, 3.8.1)", at);
  if (at + s->length > me->stream_room) {
    while (at + s->length > me->stream_room) me->stream_room = me->stream_room * 2 + 65536;
    me->stream = realloc(me->stream, me->stream_room);
  }
  memcpy(me->stream + at + known, s->payload + known, s->length - known);
  if (at + s->length > me->stream_length) me->stream_length = at + s->length;
}

static void sent_syn(int from, struct pair *pair, const struct segment *s) {
  struct side *me = &pair->side[from], *other = &pair->side[1 - from];
  if (me->begun && me->iss != s->seq) {
    // The same ports again: the old connection is history, on both sides if this begins a new one.
    RULE(resets_allowed || me->reset || me->finished, "a SYN in the middle of its own connection");
    if (!(s->flags & ACK)) forget(other);
    uint32_t window = me->told_window;
    forget(me);
    me->told_window = window;
  }
  if (!me->begun) {
    me->begun = true;
    me->iss = s->seq;
    me->sent = s->seq + 1;
    me->stream_length = 0;
    me->told_ack = me->iss;
    me->told_edge = me->iss + 1 + me->told_window;
  }
  RULE(!(s->flags & (FIN | URG)), "a SYN with FIN or URG");
  RULE(s->options.has_mss, "a SYN without an MSS option (RFC 9293, 3.7.1)");
  RULE(!s->options.sacks, "SACK on a SYN (RFC 2018, 3)");
  if (s->flags & ACK) {
    RULE(other->begun && other->introduced && s->ack - other->iss >= 1 && !after(s->ack, in_order(other)),
         "acknowledges a SYN that has not come (RFC 9293, 3.10.7.2)");
    RULE(!s->options.has_scale || other->syn.has_scale, "a window scale that was not offered (RFC 7323, 2.2)");
    RULE(!s->options.has_timestamps || other->syn.has_timestamps, "timestamps that were not offered (RFC 7323, 3.2)");
    RULE(!s->options.sack_permitted || other->syn.sack_permitted, "SACK that was not offered (RFC 2018, 2)");
    me->acknowledges = true;
    me->ack = s->ack;
    me->edge = s->ack + s->window;
  }
  if (s->options.has_timestamps) {
    RULE(!me->stamps || !after(me->stamp, s->options.ts_value), "a timestamp that went back (RFC 7323, 4.1)");
    me->stamps = true;
    me->stamp = s->options.ts_value;
  }
  if (s->length) {
    RULE(s->options.fast_open, "data on a SYN without Fast Open (RFC 7413, 4.2.1)");
    record(from, me, s, 0);
    if (after(s->seq + 1 + s->length, me->sent)) me->sent = s->seq + 1 + s->length;
  }
}

/// Whether a reset answers something that reached this machine (RFC 9293, 3.10.7.1).
static bool answers(int from, const struct segment *s) {
  uint32_t count = heard_count[from] < REMEMBERED ? heard_count[from] : REMEMBERED;
  for (uint32_t i = 0; i < count; i++) {
    const struct heard *h = &heard[from][i];
    if (h->from != s->destination_port || h->to != s->source_port || h->flags & RST) continue;
    if (s->flags & ACK ? s->ack == h->end : h->flags & ACK && s->seq == h->ack) return true;
  }
  return false;
}

static void sent_reset(int from, struct pair *pair, const struct segment *s, uint64_t now) {
  struct side *me = &pair->side[from], *other = &pair->side[1 - from];
  RULE(!s->length, "a reset with data");
  if (me->begun && after(me->sent, me->told_ack) && now - me->waits_since >= GIVE_UP && !pair->given_up) {
    pair->given_up = true;
    given_up(pair->port[0]);
  }
  if (resets_allowed || pair->given_up) {
    if (me->begun && s->seq == me->sent) me->reset = true;
    return;
  }
  // Nobody aborts here, so a reset can only refuse a segment of a connection that is over or never was.
  RULE(answers(from, s), "a reset that answers nothing (RFC 9293, 3.10.7.1)");
  bool over = me->finished && me->told && after(me->told_ack, me->fin) && other->finished &&
              after(in_order(other), other->fin);
  // What an old SYN has begun ends so: the reset has a number that is not this connection's (RFC 9293, 3.5).
  bool stranger = !(s->flags & ACK) && (after(me->iss, s->seq) || after(s->seq, me->sent));
  RULE(!me->begun || over || stranger, "a reset in the middle of a connection");
}

static void sent_segment(int from, struct pair *pair, const struct segment *s, uint64_t now) {
  struct side *me = &pair->side[from], *other = &pair->side[1 - from];
  // What an old SYN has begun is answered out of TIME-WAIT, with the old connection's numbers (RFC 9293, 3.5).
  if (me->finished && other->sent == other->iss + 1 && s->ack - other->iss > 1) return;
  RULE(me->begun && other->begun && other->introduced, "a segment of no connection");
  RULE(!me->reset, "a segment after a reset");
  RULE(s->flags & ACK, "a segment without ACK (RFC 9293, 3.1)");
  RULE(!(s->flags & URG) && !s->urgent, "urgent data that nobody sent (RFC 6093)");
  uint32_t end = s->seq + s->length, fin = (s->flags & FIN) != 0;

  // The wait begins with what goes when nothing else is in flight.
  if (me->sent == me->told_ack) me->waits_since = now;

  // Sequence numbers (RFC 9293, 3.4) and the stream that they number.
  RULE(!after(s->seq, me->sent), "numbers were left out: %u were expected", me->sent);
  uint32_t mss = other->syn.has_mss ? other->syn.mss : 536;
  RULE(s->length + s->options_length <= (mss < 64 ? 64 : mss), "more than the MSS of %u (RFC 6691, 2)", mss);
  if (s->length) {
    record(from, me, s, s->seq - me->iss - 1);
    // One octet past the edge is a window probe (RFC 9293, 3.8.6.1).
    RULE(!after(end, me->told_edge + 1), "data %u octets beyond the window (RFC 9293, 3.4)", end - me->told_edge);
    RULE(!me->finished || !after(end, me->fin), "data after FIN (RFC 9293, 3.6)");
    // Conservation: slow start adds what was acknowledged to the initial window (RFC 5681, 3.1; RFC 6928, 2),
    // and a duplicate or selective acknowledgment says that something has left the network. Two segments more
    // by limited transmit (RFC 3042), one as a tail loss probe (RFC 8985, 7.3).
    uint32_t initial = 10 * mss > 14600 ? 10 * mss : 14600, full = mss > 1460 ? mss : 1460;
    uint32_t arrived = size(&me->told_arrived), beyond = arrived - (me->told_ack - me->iss);
    uint64_t allowed = (uint64_t)initial + arrived + beyond + (3ull + me->told_duplicates) * full;
    RULE(!after(end, me->told_ack) || end - me->told_ack <= allowed, "%u octets in flight, and %llu at most could be (RFC 5681, 3.1)",
         end - me->told_ack, (unsigned long long)allowed);
  }
  if (fin) {
    RULE(!me->finished || me->fin == end, "a FIN that has moved (RFC 9293, 3.6)");
    RULE(!after(me->sent, end + 1), "a FIN before data that was sent (RFC 9293, 3.6)");
    me->finished = true;
    me->fin = end;
  }
  if (after(end + fin, me->sent)) me->sent = end + fin;

  // Acknowledgments: of what has arrived, all of it in time, and never back.
  RULE(!after(s->ack, in_order(other)), "acknowledges %u octets that have not arrived (RFC 9293, 3.4)",
       s->ack - in_order(other));
  RULE(!me->acknowledges || !after(me->ack, s->ack), "an acknowledgment that went back from %u", me->ack);
  RULE(unhurried || me->owes == NEVER || now - me->owes < ACK_LATEST,
       "an acknowledgment that is %llu ms late (RFC 9293, 3.8.6.3)",
       (unsigned long long)((now - me->owes) / MILLISECOND));
  me->owes = NEVER;
  bool scaled = me->syn.has_scale && other->syn.has_scale;
  uint32_t edge = s->ack + ((uint32_t)s->window << (scaled ? me->syn.scale : 0));
  // Once the peer's FIN is acknowledged nothing can come, and the window means nothing.
  bool over = other->finished && s->ack == other->fin + 1;
  RULE(!me->acknowledges || over || !after(me->edge, edge), "a window that shrank by %u (RFC 9293, 3.8.6)",
       me->edge - edge);
  if (!me->acknowledges || after(edge, me->edge)) me->edge = edge;
  me->acknowledges = true;
  me->ack = s->ack;

  // Options.
  RULE(!s->options.has_mss && !s->options.has_scale && !s->options.sack_permitted, "an option of SYNs alone");
  bool stamped = me->syn.has_timestamps && other->syn.has_timestamps;
  RULE(stamped == s->options.has_timestamps || !me->introduced, "timestamps on some segments only (RFC 7323, 3.2)");
  if (s->options.has_timestamps) {
    RULE(!me->stamps || !after(me->stamp, s->options.ts_value), "a timestamp that went back (RFC 7323, 4.1)");
    RULE(!after(s->options.ts_echo, me->told_stamp), "echoes a timestamp that has not come (RFC 7323, 3.2)");
    RULE(!me->echoes || !after(me->echo, s->options.ts_echo), "an echo that went back (RFC 7323, 4.3)");
    me->stamps = me->echoes = true;
    me->stamp = s->options.ts_value;
    me->echo = s->options.ts_echo;
  }
  for (uint32_t i = 0; i < s->options.sacks; i++) {
    uint32_t left = s->options.sack[i].left, right = s->options.sack[i].right;
    RULE(other->syn.sack_permitted && (me->syn.sack_permitted || !me->introduced), "SACK without permission (RFC 2018, 2)");
    RULE(after(right, left), "an empty SACK block (RFC 2018, 3)");
    RULE(holds(&other->arrived, left - other->iss, right - other->iss),
         "SACK of what has not arrived, %u to %u (RFC 2018, 4)", left, right);
    // The first may report a duplicate (RFC 2883, 4); the others lie above the acknowledgment.
    RULE(!i || after(left, s->ack), "a SACK block below the acknowledgment (RFC 2018, 4)");
  }
}

void checker_sent(int from, const uint8_t *frame, uint32_t length, uint64_t now) {
  trace = mix(trace ^ now);
  for (uint32_t i = 0; i < length; i++) trace = (trace ^ frame[i]) * 0x100000001b3;
  struct segment segment, *s = &segment;
  const char *complaint;
  switch (wire_parse(frame, length, s, &complaint)) {
    case KIND_OTHER: return;
    case KIND_WRONG: wrong("forbidden frame of %u bytes from the %s: %s", length, who(from), complaint);
    case KIND_TCP: break;
  }
  struct pair *pair = from ? find(s->destination_port, s->source_port) : find(s->source_port, s->destination_port);
  if (s->flags & RST) sent_reset(from, pair, s, now);
  else if (s->flags & SYN) sent_syn(from, pair, s);
  else sent_segment(from, pair, s, now);
}
