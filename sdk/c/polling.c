// <poll.h> and <sys/select.h>, over the one call that looks at a list.

#include "internal.h"

#include <poll.h>
#include <sys/select.h>
#include <sys/time.h>

int poll(struct pollfd *list, nfds_t count, int ms) {
  return result(skerry_poll(list, count, ms < 0 ? -1 : ms * 1000000ll));
}

int ppoll(struct pollfd *list, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
  (void)mask;
  const int64_t ns = timeout ? nanoseconds(timeout) : -1;
  if (timeout && ns < 0) return result(-EINVAL);
  return result(skerry_poll(list, count, ns));
}

// ---- select ----------------------------------------------------------------------------------

// As Linux sorts them (fs/select.c: POLLIN_SET, POLLOUT_SET, POLLEX_SET).
enum { READING = POLLIN | POLLRDNORM | POLLHUP | POLLERR, WRITING = POLLOUT | POLLWRNORM | POLLERR, OTHER = POLLPRI };

static size_t listed(struct pollfd *list, size_t count, const fd_set *set, int below, short events) {
  for (size_t i = 0; set && i < set->__nfds; i++) {
    if (set->__fds[i] >= below) continue;
    size_t at = 0;
    while (at < count && list[at].fd != set->__fds[i]) at++;
    if (at == count) list[count++] = (struct pollfd){set->__fds[i], 0, 0};
    list[at].events |= events;
  }
  return count;
}

// Leaves those of a set that `events` came to pass of: how many.
static int left(fd_set *set, const struct pollfd *list, size_t count, short events) {
  if (!set) return 0;
  fd_set found;
  FD_ZERO(&found);
  for (size_t i = 0; i < count; i++)
    if (list[i].revents & events && FD_ISSET(list[i].fd, set)) FD_SET(list[i].fd, &found);
  FD_COPY(&found, set);
  return (int)set->__nfds;
}

static int selected(int below, fd_set *reading, fd_set *writing, fd_set *other, int64_t ns) {
  if (below < 0 || below > FD_SETSIZE) return result(-EINVAL);
  static struct pollfd list[FD_SETSIZE];
  size_t count = listed(list, 0, reading, below, POLLIN);
  count = listed(list, count, writing, below, POLLOUT);
  count = listed(list, count, other, below, POLLPRI);
  const int ready = skerry_poll(list, count, ns);
  if (ready < 0) return result(ready);
  for (size_t i = 0; i < count; i++)
    if (list[i].revents & POLLNVAL) return result(-EBADF);
  return left(reading, list, count, READING) + left(writing, list, count, WRITING) + left(other, list, count, OTHER);
}

int pselect(int below, fd_set *__restrict reading, fd_set *__restrict writing, fd_set *__restrict other,
            const struct timespec *__restrict timeout, const sigset_t *__restrict mask) {
  (void)mask;
  const int64_t ns = timeout ? nanoseconds(timeout) : -1;
  if (timeout && ns < 0) return result(-EINVAL);
  return selected(below, reading, writing, other, ns);
}

int select(int below, fd_set *__restrict reading, fd_set *__restrict writing, fd_set *__restrict other,
           struct timeval *__restrict timeout) {
  if (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0)) return result(-EINVAL);
  const int64_t most = INT64_MAX / 1000000000 - 1000;
  const int64_t seconds = timeout && timeout->tv_sec < most ? timeout->tv_sec : most;
  const int64_t rest = timeout && timeout->tv_usec < 1000000000 ? timeout->tv_usec : 0;
  const int64_t ns = timeout ? seconds * 1000000000 + rest * 1000 : -1;
  return selected(below, reading, writing, other, ns);
}
