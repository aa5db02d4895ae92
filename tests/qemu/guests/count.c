// Counts for two seconds and says how far it came.
#include <stdio.h>
#include <time.h>

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(void) {
  long count = 0;
  for (const double end = now() + 2; now() < end; count++)
    for (volatile int i = 0; i < 1000; i++) {}
  printf("counted to %ld\n", count);
}
