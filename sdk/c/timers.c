// <sys/timerfd.h> and <sys/eventfd.h>

#include "internal.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

int timerfd_create(clockid_t clock, int flags) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return result(-EINVAL);
  if (flags & ~(TFD_NONBLOCK | TFD_CLOEXEC)) return result(-EINVAL);
  const int asked = (flags & TFD_NONBLOCK ? SKERRY_NONBLOCK : 0) | (flags & TFD_CLOEXEC ? SKERRY_CLOEXEC : 0);
  return result(skerry_timerfd_create(clock == CLOCK_MONOTONIC, asked));
}

static struct timespec time_of(uint64_t ns) {
  return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

static void out(const struct skerry_setting *from, struct itimerspec *to) {
  *to = (struct itimerspec){time_of(from->interval), time_of(from->value)};
}

int timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *old) {
  if (!to) return result(-EFAULT);
  const int64_t interval = nanoseconds(&to->it_interval), value = nanoseconds(&to->it_value);
  if (interval < 0 || value < 0) return result(-EINVAL);
  const struct skerry_setting setting = {(uint64_t)interval, (uint64_t)value};
  struct skerry_setting before;
  const int error = skerry_timerfd_settime(fd, flags, &setting, &before);
  if (!error && old) out(&before, old);
  return result(error);
}

int timerfd_gettime(int fd, struct itimerspec *into) {
  struct skerry_setting setting;
  const int error = skerry_timerfd_gettime(fd, &setting);
  if (!error && into) out(&setting, into);
  return result(error || into ? error : -EFAULT);
}

int eventfd(unsigned initial, int flags) {
  if (flags & ~(EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC)) return result(-EINVAL);
  const int asked = (flags & EFD_SEMAPHORE) | (flags & EFD_NONBLOCK ? SKERRY_NONBLOCK : 0) |
                    (flags & EFD_CLOEXEC ? SKERRY_CLOEXEC : 0);
  return result(skerry_eventfd(initial, asked));
}

int eventfd_read(int fd, eventfd_t *value) { return read(fd, value, sizeof *value) == sizeof *value ? 0 : -1; }

int eventfd_write(int fd, eventfd_t value) { return write(fd, &value, sizeof value) == sizeof value ? 0 : -1; }
