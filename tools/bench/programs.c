// What calls, turns, starts and restarts of a guest cost: `programs calls`, `turns`, `start`, `restart`.

#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wasi/api.h>

enum { CALLS = 300000, TURNS = 30000, QUIET = 5 }; // the last in seconds: until the others have started

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ll + time.tv_nsec;
}

// Its memory is to be counted.
static void pause_for_ever(void) {
  for (;;) sleep(3600);
}

int main(int count, char **arguments) {
  const char *what = count > 1 ? arguments[1] : "";
  const int turns = !strcmp(what, "turns");
  if (turns) sleep(3); // until who measures calls has done so
  const long long start = now();
  if (!strcmp(what, "calls")) {
    __wasi_timestamp_t resolution;
    for (int i = 0; i < CALLS; i++) __wasi_clock_res_get(__WASI_CLOCKID_MONOTONIC, &resolution);
    printf("call %f ns\n", (double)(now() - start) / CALLS);
  } else if (turns) {
    for (int i = 0; i < TURNS; i++) sched_yield();
    printf("turn %f ns\n", (double)(now() - start) / TURNS);
  } else if (!strcmp(what, "restart")) {
    printf("began %lld ns\n", start);
    fflush(stdout);
    sleep(QUIET);
    __wasi_proc_exit((__wasi_exitcode_t)now()); // which the kernel tells: the lower half of when it ended
  } else {
    printf("started %lld ns\n", start);
  }
  fflush(stdout);
  pause_for_ever();
}
