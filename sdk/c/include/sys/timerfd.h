/** Linux's timerfd_create(2), of CLOCK_REALTIME, CLOCK_MONOTONIC and CLOCK_BOOTTIME, which never stops here. */
#ifndef SKERRY_SYS_TIMERFD_H
#define SKERRY_SYS_TIMERFD_H

#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef CLOCK_BOOTTIME
#define CLOCK_BOOTTIME CLOCK_MONOTONIC
#endif

/* What <time.h> has unless it is told to be ISO C's alone. */
#if !defined(_POSIX_SOURCE) && !defined(_POSIX_C_SOURCE) && !defined(_XOPEN_SOURCE) && !defined(_GNU_SOURCE) && \
    !defined(_BSD_SOURCE)
struct itimerspec {
  struct timespec it_interval;
  struct timespec it_value;
};
#endif

#define TFD_NONBLOCK 4
#define TFD_CLOEXEC 02000000
#define TFD_TIMER_ABSTIME 1
#define TFD_TIMER_CANCEL_ON_SET 2

int timerfd_create(clockid_t clock, int flags);
int timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *old);
int timerfd_gettime(int fd, struct itimerspec *into);

#ifdef __cplusplus
}
#endif

#endif
