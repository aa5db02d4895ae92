// Runs one workload of the stack that it is linked with, and says in one line of JSON what came of it.
//
//     PROGRAM WORKLOAD checksums|none MILLISECONDS
//     PROGRAM WORKLOAD checksums|none rounds=NUMBER
//
// A number of rounds serves who counts instructions.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pair.h"

/// Rounds between two looks at the clock, so many that a hundred connections more or less make no difference; and until
/// everything is warm.
enum { ROUNDS = 256, WARM = 1024 };

/// Of so many times of as many rounds the least tenth is known.
enum { TIMES = 1 << 16 };
static double times[TIMES];
static long timed;

uint64_t frames;

_Noreturn void fail(const char *what, int value) {
  fprintf(stderr, "%s: %d\n", what, value);
  exit(1);
}

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/// What is counted: see main.
__attribute__((noinline)) static void measure(const struct workload *workload, long rounds, double length) {
  double start = seconds(), before = start;
  uint64_t units = workload->done();
  do {
    for (int i = 0; i < ROUNDS; i++) workload->round();
    if (rounds > 0) continue;
    double after = seconds();
    uint64_t all = workload->done();
    if (timed < TIMES && all > units) times[timed++] = (after - before) / (double)(all - units);
    before = after, units = all;
  } while ((rounds -= ROUNDS) > 0 || seconds() - start < length);
}

static int ascending(const void *one, const void *other) {
  double a = *(const double *)one, b = *(const double *)other;
  return (a > b) - (a < b);
}

/// Seconds of a unit in the least tenth of the times, which other work on the machine did not touch; 0 without any.
static double least(void) {
  qsort(times, (size_t)timed, sizeof *times, ascending);
  return timed ? times[timed / 10] : 0;
}

int main(int count, char **words) {
  const struct workload *workload = workloads;
  if (count == 4)
    while (workload->name && strcmp(workload->name, words[1])) workload++;
  if (count != 4 || !workload->name) {
    fprintf(stderr, "Usage: %s WORKLOAD checksums|none MILLISECONDS|rounds=NUMBER\n", words[0]);
    return 2;
  }
  long rounds = 0;
  double length = atof(words[3]) / 1000;
  sscanf(words[3], "rounds=%ld", &rounds);
  pair_open(!strcmp(words[2], "checksums"));
  workload->begin();
  for (int i = 0; i < WARM; i++) workload->round();
  uint64_t units = workload->done(), crossed = frames;
  double start = seconds();
  measure(workload, rounds, length);
  double passed = seconds() - start;
  printf("{\"units\":%llu,\"seconds\":%.6f,\"frames\":%llu,\"least\":%.6g}\n",
         (unsigned long long)(workload->done() - units), passed, (unsigned long long)(frames - crossed), least());
  return 0;
}
