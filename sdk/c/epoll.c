// <sys/epoll.h>

#include "internal.h"

#include <stddef.h>
#include <sys/epoll.h>

_Static_assert(sizeof(struct epoll_event) == 16 && offsetof(struct epoll_event, data) == 8, "as skerry.h says");

int epoll_create(int size) { return size <= 0 ? result(-EINVAL) : epoll_create1(0); }

int epoll_create1(int flags) {
  if (flags & ~EPOLL_CLOEXEC) return result(-EINVAL);
  return result(skerry_epoll_create(flags ? SKERRY_CLOEXEC : 0));
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
  return result(!event && operation != EPOLL_CTL_DEL ? -EFAULT : skerry_epoll_ctl(epoll, operation, fd, event));
}

int epoll_wait(int epoll, struct epoll_event *events, int count, int ms) {
  return result(skerry_epoll_wait(epoll, events, count, ms < 0 ? -1 : ms * 1000000ll));
}

int epoll_pwait(int epoll, struct epoll_event *events, int count, int ms, const sigset_t *mask) {
  (void)mask;
  return epoll_wait(epoll, events, count, ms);
}

int epoll_pwait2(int epoll, struct epoll_event *events, int count, const struct timespec *timeout,
                 const sigset_t *mask) {
  (void)mask;
  const int64_t ns = timeout ? nanoseconds(timeout) : -1;
  if (timeout && ns < 0) return result(-EINVAL);
  return result(skerry_epoll_wait(epoll, events, count, ns));
}
