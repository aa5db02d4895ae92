// What an ordinary program does: prints (floating point, too), grows its heap, sleeps, tells the time. And what
// none does: to ask for the time at an address that it does not have.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wasi/api.h>

int main(void) {
  printf("hello from C, pi is %.6f\n", 3.14159265);
  char *heap = malloc(3 << 20);
  memset(heap, 'x', 3 << 20);
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  sleep(1);
  clock_gettime(CLOCK_MONOTONIC, &after);
  double slept = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
  printf("slept %s, heap ends in %c\n", slept >= 1 && slept < 5 ? "a second" : "wrongly", heap[(3 << 20) - 1]);
  __wasi_timestamp_t *nowhere = (__wasi_timestamp_t *)0xfffffff8;
  return __wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 0, nowhere) == __WASI_ERRNO_FAULT ? 7 : 1;
}
