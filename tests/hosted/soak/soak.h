// Two machines of libskerry.so with a network between them that loses, delays and spoils by seed; programs on
// both that know what they must hear; and a checker of every segment. A seed decides everything: the same one
// gives the same frames.
#pragma once

#include <skerry.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/wire.h"
#include "contract.h" // made from the kernel's sources: numbers of calls, options and counters

#define MICROSECOND 1000ull
#define MILLISECOND 1000000ull
#define SECOND 1000000000ull
#define NEVER UINT64_MAX

/// What is wrong with this seed: never returns.
_Noreturn void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define MUST(condition, ...)               \
  do {                                     \
    if (!(condition)) wrong(__VA_ARGS__);  \
  } while (0)

// ---- Random numbers: SplitMix64 (Steele, Lea, Flood, 2014) -------------------------------------

struct random { uint64_t state; };

static inline uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}
static inline uint64_t draw(struct random *r) { return mix(r->state += 0x9e3779b97f4a7c15); }
static inline double fraction(struct random *r) { return (double)(draw(r) >> 11) / 9007199254740992.0; }
static inline bool chance(struct random *r, double p) { return p > 0 && fraction(r) < p; }
/// From `low` to `high`, both included.
static inline uint64_t between(struct random *r, uint64_t low, uint64_t high) {
  return low + draw(r) % (high - low + 1);
}
/// The same, each order of magnitude as likely as the others; `low` is at least 1.
uint64_t logarithmic(struct random *r, uint64_t low, uint64_t high);
#define PICK(r, array) ((array)[draw(r) % (sizeof(array) / sizeof *(array))])

// ---- The network ---------------------------------------------------------------------------------

/// What happens to frames in one direction. Probabilities are per frame.
struct conditions {
  uint64_t delay, jitter;
  /// Bit/s, and bytes that may wait for their turn; more are dropped (drop-tail).
  uint64_t rate, queue;
  double loss, duplicate, reorder, corrupt, truncate;
  /// Held back by so much on top.
  uint64_t reorder_delay;
  /// Stretches of time in which all frames are lost: how often one begins, and how long it is at most.
  double burst;
  uint64_t burst_length;
  /// Stretches of time in which every second frame is lost, likewise: a receiver gets more runs out of order than
  /// it keeps.
  double comb;
  uint64_t comb_time;
  /// A router that marks instead of dropping (RFC 3168, 5).
  double mark;
  /// A middlebox that blanks options of SYNs, and one that lowers the MSS; 0 for neither.
  bool no_sack, no_timestamps, no_scale;
  uint16_t mss;
  /// The receiving machine's card delivers nothing for a while, then what its ring holds; the sending
  /// machine's card takes nothing.
  double receive_stall, send_stall;
  uint64_t stall;
};

struct network_counts { uint64_t sent, lost, overflowed, duplicated, corrupted, delivered, ring_full, marked; };

void network_reset(struct random *random);
/// `to` is the receiving machine, 0 or 1.
struct conditions *network_conditions(int to);
void network_send(int from, const uint8_t *frame, uint32_t length, uint64_t now);
/// When the next frame arrives.
uint64_t network_next(void);
/// The next frame that has arrived by `now`: its length, 0 for none. `intact`: nobody spoiled it.
uint32_t network_take(uint64_t now, int *to, uint8_t frame[FRAME_MOST], bool *intact);
/// Until when the card of `machine` takes nothing to send.
uint64_t network_send_stall(int machine, uint64_t now);
struct network_counts *network_counts(void);

// ---- The checker: independent of the kernel, from the RFCs -----------------------------------------

/// `resets`: the programs abort connections, so resets may be sent in the middle.
/// `unhurried`: cards stall, so nothing follows from when a frame is seen.
void checker_reset(bool resets, bool unhurried);
/// Machine `from` has sent a frame.
void checker_sent(int from, const uint8_t *frame, uint32_t length, uint64_t now);
/// A frame has reached machine `to` whole.
void checker_delivered(int to, const uint8_t *frame, uint32_t length, uint64_t now);
/// What it calls when a host, after all the patience that it owes, gives the connection from this port of machine 0 up.
void given_up(uint16_t port);
/// At the end: every fingerprint of every frame and its time, in order.
uint64_t checker_trace(void);
