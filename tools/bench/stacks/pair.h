// Two stacks in one thread, joined by memory: what a stack under test brings to main.c.
#pragma once

#include <stdbool.h>
#include <stdint.h>

/// One thing to measure. `begin` runs once, `round` over and over; `done` says how much has been
/// finished so far, in the workload's units: bytes, round trips, connections, datagrams.
struct workload {
  const char *name;
  void (*begin)(void);
  void (*round)(void);
  uint64_t (*done)(void);
};

/// The stack's workloads; the last has no name.
extern const struct workload workloads[];

/// Brings the stacks up; `checksums` has each sum in software what it sends and receives.
void pair_open(bool checksums);

/// Frames that have crossed so far, both ways.
extern uint64_t frames;

/// Says what went wrong and ends the program.
_Noreturn void fail(const char *what, int value);

#define MUST(condition, what, value) \
  do {                               \
    if (!(condition)) fail(what, value); \
  } while (0)

/// As in app/main.ts: bytes asked and answered, bytes of a datagram, and datagrams a round; bytes of a
/// bulk sender's buffer; connections at a time.
enum { SMALL = 64, DATAGRAM = 18, DATAGRAMS = 32, CHUNK = 65536, MANY = 100 };
