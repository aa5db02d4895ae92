// What each call says, line by line: run on Linux and as a guest, the output has to be the same.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *name_of(int error) {
#define NAME(e) if (error == e) return #e;
  NAME(EACCES) NAME(EADDRINUSE) NAME(EADDRNOTAVAIL) NAME(EAFNOSUPPORT) NAME(EAGAIN) NAME(EALREADY) NAME(EBADF)
  NAME(ECONNREFUSED) NAME(ECONNRESET) NAME(EDESTADDRREQ) NAME(EDOM) NAME(EEXIST) NAME(EFAULT) NAME(EINPROGRESS)
  NAME(EINVAL) NAME(EISCONN) NAME(EMFILE) NAME(EMSGSIZE) NAME(ENOENT) NAME(ENOPROTOOPT) NAME(ENOTCONN)
  NAME(ENOTSOCK) NAME(ENOTTY) NAME(EOPNOTSUPP) NAME(EPERM) NAME(EPIPE) NAME(EPROTONOSUPPORT) NAME(ETIMEDOUT)
  NAME(ESPIPE) NAME(ELOOP) NAME(ENODEV) NAME(ENXIO) NAME(EADDRNOTAVAIL) NAME(ENOBUFS)
  return strerror(error);
}

// Says what a call came to: its result, or why it failed.
static long said(const char *what, long value) {
  if (value < 0) printf("%s: %s\n", what, name_of(errno));
  else printf("%s: %ld\n", what, value);
  return value;
}
#define SAY(call) said(#call, (long)(call))
// What succeeds with a number that means nothing.
#define DO(call) printf("%s: %s\n", #call, (call) < 0 ? name_of(errno) : "done")

// Each its own function in the program, too: what can be left in the middle has to be small.
#define PART __attribute__((noinline)) static void

static struct sockaddr_in at(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}
#define ADDRESS(a) (struct sockaddr *)&(a), sizeof(a)

static int wait_for(int fd, short events) {
  struct pollfd one = {fd, events, 0};
  return poll(&one, 1, 10000) == 1 ? one.revents : -1;
}

static long ms_since(const struct timespec *start) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}
static struct timespec moment(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now;
}

// A listener, and both ends of a connection to it.
static int listener_at(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in a = at(port);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, ADDRESS(a)) || listen(fd, 8)) perror("listener"), exit(1);
  return fd;
}
static void pair(int port, int ends[2]) {
  const int listener = listener_at(port);
  struct sockaddr_in a = at(port);
  ends[0] = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(ends[0], ADDRESS(a))) perror("connect"), exit(1);
  ends[1] = accept(listener, NULL, NULL);
  close(listener);
}

PART errors(void) {
  char bytes[8] = "";
  struct sockaddr_in a = at(7001), b;
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons(7001)};
  socklen_t length = sizeof b;
  printf("-- errors\n");
  SAY(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
  SAY(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
  SAY(socket(1000, SOCK_STREAM, 0));
  SAY(bind(99, ADDRESS(a)));
  SAY(connect(99, ADDRESS(a)));
  SAY(listen(-1, 1));
  SAY(accept(99, NULL, NULL));
  SAY(send(99, bytes, 1, 0));
  SAY(recv(99, bytes, 1, 0));
  SAY(shutdown(99, SHUT_RD));
  SAY(getsockname(99, (struct sockaddr *)&b, &length));
  SAY(setsockopt(99, SOL_SOCKET, SO_REUSEADDR, &a, 4));
  const int event = eventfd(0, 0);
  SAY(bind(event, ADDRESS(a)));
  SAY(send(event, bytes, 1, 0));
  SAY(getsockopt(event, SOL_SOCKET, SO_TYPE, bytes, &length));
  close(event);
  const int stream = socket(AF_INET, SOCK_STREAM, 0), datagram = socket(AF_INET, SOCK_DGRAM, 0);
  SAY(bind(stream, (struct sockaddr *)&a, 4));
  SAY(bind(stream, ADDRESS(six)));
  SAY(accept(stream, NULL, NULL));
  SAY(accept(datagram, NULL, NULL));
  SAY(listen(datagram, 1));
  SAY(getpeername(stream, (struct sockaddr *)&b, &length));
  SAY(recv(stream, bytes, 1, 0));
  SAY(shutdown(stream, SHUT_RDWR));
  SAY(send(datagram, bytes, 1, 0));
  SAY(sendto(datagram, bytes, 0, 0, (struct sockaddr *)&a, 4));
  SAY(shutdown(datagram, SHUT_WR));
  SAY(bind(stream, ADDRESS(a)));
  SAY(bind(stream, ADDRESS(a)));
  const int second = socket(AF_INET, SOCK_STREAM, 0);
  SAY(bind(second, ADDRESS(a)));
  a.sin_addr.s_addr = htonl(0xc0000201);
  SAY(bind(second, ADDRESS(a)));
  a = at(7002);
  SAY(connect(second, ADDRESS(a)));
  SAY(lseek(stream, 0, SEEK_SET));
  SAY(close(second));
  SAY(close(second));
  close(stream), close(datagram);
}

PART streams(void) {
  int ends[2];
  char bytes[64];
  printf("-- streams\n");
  pair(7010, ends);
  struct sockaddr_in a = at(7010), peer;
  socklen_t length = sizeof peer;
  SAY(connect(ends[0], ADDRESS(a)));
  SAY(getpeername(ends[0], (struct sockaddr *)&peer, &length));
  printf("peer %s %d, %d bytes\n", inet_ntoa(peer.sin_addr), ntohs(peer.sin_port), (int)length);
  SAY(recv(ends[1], bytes, 4, MSG_DONTWAIT));
  SAY(send(ends[0], "hello, world", 12, 0));
  wait_for(ends[1], POLLIN);
  int waiting = -1;
  SAY(ioctl(ends[1], FIONREAD, &waiting));
  printf("waiting %d\n", waiting);
  SAY(recv(ends[1], bytes, 5, MSG_PEEK));
  SAY(recv(ends[1], bytes, 5, 0));
  SAY(recv(ends[1], bytes, 2, MSG_TRUNC));
  memset(bytes, 0, sizeof bytes);
  struct iovec three[3] = {{bytes, 2}, {bytes + 10, 0}, {bytes + 20, 20}};
  struct msghdr message = {.msg_iov = three, .msg_iovlen = 3, .msg_name = &peer, .msg_namelen = sizeof peer};
  SAY(recvmsg(ends[1], &message, 0));
  printf("%.2s|%.3s, flags %d, name of %d bytes\n", bytes, bytes + 20, message.msg_flags, (int)message.msg_namelen);
  struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}};
  SAY(writev(ends[0], out, 3));
  struct msghdr sent = {.msg_iov = out, .msg_iovlen = 3};
  SAY(sendmsg(ends[0], &sent, 0));
  SAY(recv(ends[1], bytes, 12, MSG_WAITALL));
  printf("%.12s\n", bytes);
  // The first half is there, the second never comes, but the end does.
  SAY(send(ends[0], "half", 4, MSG_MORE));
  SAY(shutdown(ends[0], SHUT_WR));
  SAY(recv(ends[1], bytes, 8, MSG_WAITALL));
  SAY(recv(ends[1], bytes, 8, 0));
  SAY(send(ends[0], "x", 1, MSG_NOSIGNAL));
  SAY(send(ends[1], "back", 4, 0));
  SAY(read(ends[0], bytes, sizeof bytes));
  struct timeval time = {0, 60000}, told;
  SAY(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
  length = sizeof told;
  SAY(getsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &told, &length));
  printf("time-out %ld s %ld us\n", (long)told.tv_sec, (long)told.tv_usec);
  struct timespec start = moment();
  SAY(recv(ends[0], bytes, 1, 0));
  printf("waited %s\n", ms_since(&start) >= 59 && ms_since(&start) < 10000 ? "as long" : "not as long");
  // Who sends more than there is room for waits for the reader, whom there is not, and hears how much went.
  setsockopt(ends[1], SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  static char much[2 << 20];
  const int little = 65536;
  setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
  setsockopt(ends[0], SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
  const ssize_t went = send(ends[1], much, sizeof much, 0);
  printf("of much went %s\n", went > 0 && went < (ssize_t)sizeof much ? "some" : "none or all");
  close(ends[0]), close(ends[1]);
}

// A connection whose other end is gone.
PART resets(void) {
  int ends[2], error;
  char bytes[8];
  socklen_t length = sizeof error;
  printf("-- resets\n");
  pair(7020, ends);
  send(ends[0], "unread", 6, 0);
  wait_for(ends[1], POLLIN);
  close(ends[1]); // with something unread: a reset
  wait_for(ends[0], POLLIN);
  SAY(wait_for(ends[0], POLLIN | POLLOUT | POLLRDHUP));
  SAY(recv(ends[0], bytes, 1, 0));
  SAY(recv(ends[0], bytes, 1, 0));
  SAY(send(ends[0], bytes, 1, MSG_NOSIGNAL));
  SAY(getsockopt(ends[0], SOL_SOCKET, SO_ERROR, &error, &length));
  printf("error %d\n", error);
  close(ends[0]);
  // Nobody there, and one does not wait.
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in a = at(7021);
  SAY(wait_for(fd, POLLIN | POLLOUT));
  SAY(connect(fd, ADDRESS(a)) < 0 && (errno == EINPROGRESS || errno == ECONNREFUSED) ? 0 : -1);
  wait_for(fd, POLLOUT);
  close(fd);
}

PART datagrams(void) {
  printf("-- datagrams\n");
  const int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in a = at(7030), b = at(7031), from;
  socklen_t length = sizeof from;
  char bytes[32];
  bind(one, ADDRESS(a)), bind(two, ADDRESS(b));
  struct iovec parts[3] = {{"one ", 4}, {"two ", 4}, {"three", 5}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3, .msg_name = &b, .msg_namelen = sizeof b};
  SAY(sendmsg(one, &message, 0));
  wait_for(two, POLLIN);
  SAY(recv(two, bytes, 5, MSG_PEEK));
  SAY(recv(two, bytes, 5, MSG_PEEK | MSG_TRUNC));
  struct iovec halves[2] = {{bytes, 3}, {bytes + 16, 6}};
  struct msghdr in = {.msg_iov = halves, .msg_iovlen = 2, .msg_name = &from, .msg_namelen = sizeof from};
  SAY(recvmsg(two, &in, 0));
  printf("%.3s|%.6s, %s, from %s %d\n", bytes, bytes + 16, in.msg_flags == MSG_TRUNC ? "cut" : "whole",
         inet_ntoa(from.sin_addr), ntohs(from.sin_port));
  SAY(recv(two, bytes, 5, MSG_DONTWAIT));
  SAY(sendto(one, "", 0, 0, ADDRESS(b)));
  SAY(wait_for(two, POLLIN));
  int waiting = -1;
  SAY(ioctl(two, FIONREAD, &waiting));
  printf("waiting %d\n", waiting);
  SAY(recvfrom(two, bytes, 5, 0, (struct sockaddr *)&from, &length));
  SAY(connect(one, ADDRESS(b)));
  SAY(writev(one, parts, 3));
  SAY(recvfrom(two, bytes, sizeof bytes, 0, NULL, NULL));
  printf("%.13s\n", bytes);
  struct mmsghdr many[2] = {{.msg_hdr = {.msg_iov = parts, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = parts + 1, .msg_iovlen = 2}}};
  SAY(sendmmsg(one, many, 2, 0));
  printf("of %u and %u bytes\n", many[0].msg_len, many[1].msg_len);
  wait_for(two, POLLIN);
  usleep(100000);
  char texts[3][16];
  struct iovec rooms[3] = {{texts[0], 16}, {texts[1], 16}, {texts[2], 16}};
  struct mmsghdr got[3] = {{.msg_hdr = {.msg_iov = rooms, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = rooms + 1, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = rooms + 2, .msg_iovlen = 1}}};
  SAY(recvmmsg(two, got, 3, MSG_WAITFORONE, NULL));
  printf("of %u and %u bytes\n", got[0].msg_len, got[1].msg_len);
  static char large[70000];
  SAY(send(one, large, sizeof large, 0));
  // What nobody hears comes back as an error of the next call, once.
  close(two);
  SAY(send(one, "x", 1, 0));
  SAY(wait_for(one, POLLIN) & POLLERR);
  SAY(recv(one, bytes, 1, MSG_DONTWAIT));
  SAY(recv(one, bytes, 1, MSG_DONTWAIT));
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  SAY(connect(one, &none, sizeof none));
  SAY(send(one, "x", 1, 0));
  close(one);
}

PART polls(void) {
  int ends[2];
  printf("-- poll and select\n");
  const int listener = listener_at(7040);
  struct pollfd list[4] = {{listener, POLLIN | POLLOUT, 0}, {-1, POLLIN, 7}, {98, POLLIN, 0}};
  SAY(poll(list, 3, 0));
  printf("%d %d %d\n", list[0].revents, list[1].revents, list[2].revents);
  SAY(poll(list, 2, 0));
  struct timespec start = moment();
  SAY(poll(list, 1, 40));
  SAY(poll(NULL, 0, 40));
  printf("waited %s\n", ms_since(&start) >= 80 && ms_since(&start) < 10000 ? "as long" : "not as long");
  close(listener);
  pair(7041, ends);
  SAY(wait_for(ends[0], POLLIN | POLLOUT));
  SAY(wait_for(ends[0], POLLRDNORM | POLLWRNORM));
  send(ends[1], "x", 1, 0);
  SAY(wait_for(ends[0], POLLRDNORM));
  shutdown(ends[1], SHUT_WR);
  usleep(100000);
  SAY(wait_for(ends[0], POLLIN | POLLRDHUP));
  fd_set reading, writing;
  struct timeval tick = {0, 20000};
  FD_ZERO(&reading);
  FD_ZERO(&writing);
  FD_SET(ends[0], &reading);
  FD_SET(ends[1], &reading);
  FD_SET(ends[1], &writing);
  SAY(select((ends[0] > ends[1] ? ends[0] : ends[1]) + 1, &reading, &writing, NULL, &tick));
  printf("%d %d %d\n", !!FD_ISSET(ends[0], &reading), !!FD_ISSET(ends[1], &reading), !!FD_ISSET(ends[1], &writing));
  FD_ZERO(&reading);
  FD_SET(98, &reading);
  SAY(select(99, &reading, NULL, NULL, &tick));
  SAY(select(-1, NULL, NULL, NULL, &tick));
  SAY(select(0, NULL, NULL, NULL, &tick));
  shutdown(ends[0], SHUT_WR);
  usleep(100000);
  SAY(wait_for(ends[0], POLLOUT));
  close(ends[0]), close(ends[1]);
}

// How many events, and the first of them.
static void waited(int epoll, int ms) {
  struct epoll_event events[8] = {{0}};
  const int count = epoll_wait(epoll, events, 8, ms);
  if (count < 0) printf("wait: %s\n", name_of(errno));
  else if (!count) printf("wait: nothing\n");
  else printf("wait: %d, %#x of %d\n", count, events[0].events, (int)events[0].data.u32);
}
static int control(int epoll, int operation, int fd, unsigned events, unsigned data) {
  struct epoll_event event = {.events = events, .data.u32 = data};
  return epoll_ctl(epoll, operation, fd, &event);
}

PART epolls(void) {
  int ends[2];
  char bytes[16];
  printf("-- epoll\n");
  pair(7050, ends);
  const int epoll = epoll_create1(EPOLL_CLOEXEC), other = epoll_create(1);
  SAY(epoll_create(0));
  SAY(epoll_create1(1));
  SAY(control(epoll, EPOLL_CTL_ADD, 99, EPOLLIN, 0));
  SAY(control(ends[0], EPOLL_CTL_ADD, ends[1], EPOLLIN, 0));
  SAY(control(epoll, EPOLL_CTL_ADD, epoll, EPOLLIN, 0));
  SAY(control(epoll, EPOLL_CTL_MOD, ends[0], EPOLLIN, 0));
  SAY(control(epoll, EPOLL_CTL_DEL, ends[0], EPOLLIN, 0));
  SAY(control(epoll, 9, ends[0], EPOLLIN, 0));
  SAY(control(epoll, EPOLL_CTL_ADD, ends[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 0));
  SAY(control(epoll, EPOLL_CTL_ADD, ends[0], EPOLLIN, 1));
  SAY(control(epoll, EPOLL_CTL_ADD, ends[0], EPOLLIN, 1));
  SAY(epoll_wait(epoll, NULL, 0, 0));
  waited(epoll, 20);
  send(ends[1], "abc", 3, 0);
  waited(epoll, 10000);
  waited(epoll, 0); // level: again
  SAY(wait_for(epoll, POLLIN));
  recv(ends[0], bytes, 3, 0);
  waited(epoll, 0);
  SAY(control(epoll, EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLET, 2));
  send(ends[1], "abc", 3, 0);
  waited(epoll, 10000);
  waited(epoll, 20); // edge: once
  send(ends[1], "d", 1, 0);
  waited(epoll, 10000); // and once for more
  SAY(control(epoll, EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLET, 3));
  waited(epoll, 0); // what holds is new to a changed watch
  SAY(control(epoll, EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLONESHOT, 4));
  waited(epoll, 0);
  waited(epoll, 20);
  SAY(control(epoll, EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLONESHOT, 5));
  waited(epoll, 0);
  SAY(control(epoll, EPOLL_CTL_MOD, ends[0], EPOLLOUT | EPOLLIN | EPOLLRDHUP, 6));
  waited(epoll, 0);
  SAY(control(other, EPOLL_CTL_ADD, ends[0], EPOLLOUT, 7));
  waited(other, 0);
  // A second descriptor of the same is another watch, and keeps what it stands for.
  const int twin = dup(ends[0]);
  SAY(control(other, EPOLL_CTL_ADD, twin, EPOLLIN, 8));
  SAY(control(other, EPOLL_CTL_DEL, ends[0], 0, 0));
  waited(other, 0);
  close(ends[0]);
  waited(epoll, 0);
  close(twin);
  waited(epoll, 0);
  waited(other, 20);
  SAY(control(epoll, EPOLL_CTL_ADD, ends[1], 0, 9));
  waited(epoll, 10000); // an end is told of unasked
  waited(99, 0);
  waited(ends[1], 0);
  const int event = eventfd(0, EFD_NONBLOCK);
  SAY(control(other, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLET, 10));
  SAY(eventfd_write(event, 1));
  waited(other, 0);
  SAY(eventfd_write(event, 1));
  waited(other, 0);
  waited(other, 0);
  close(event), close(other), close(epoll), close(ends[1]);
}

PART events(void) {
  eventfd_t value;
  char few[4];
  printf("-- eventfd\n");
  SAY(eventfd(0, 64));
  const int fd = eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE), plain = eventfd(5, EFD_NONBLOCK);
  SAY(read(fd, few, sizeof few));
  SAY(eventfd_read(fd, &value));
  SAY((long)value);
  SAY(wait_for(fd, POLLIN | POLLOUT));
  SAY(eventfd_read(fd, &value));
  SAY(eventfd_read(fd, &value));
  SAY(eventfd_read(fd, &value));
  SAY(eventfd_write(plain, 6));
  SAY(eventfd_read(plain, &value));
  SAY((long)value);
  SAY(eventfd_write(plain, ~0ull));
  SAY(eventfd_write(plain, ~0ull - 1));
  SAY(wait_for(plain, POLLIN | POLLOUT));
  SAY(eventfd_write(plain, 1));
  SAY(write(plain, few, sizeof few));
  close(fd), close(plain);
}

PART timers(void) {
  // Nothing here may hang on how soon Linux lets the program on: it runs beside other tests.
  struct itimerspec setting = {{5, 0}, {0, 500000000}}, old;
  uint64_t ticks = 0;
  char few[4];
  printf("-- timerfd\n");
  SAY(timerfd_create(CLOCK_MONOTONIC, 64));
  const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), wall = timerfd_create(CLOCK_REALTIME, 0);
  SAY(timerfd_gettime(99, &old));
  SAY(timerfd_settime(0, 0, &setting, NULL));
  SAY(timerfd_settime(fd, 64, &setting, NULL));
  setting.it_value.tv_nsec = 1000000000;
  SAY(timerfd_settime(fd, 0, &setting, NULL));
  setting.it_value.tv_nsec = 500000000;
  SAY(read(fd, &ticks, sizeof ticks));
  SAY(timerfd_settime(fd, 0, &setting, &old));
  printf("before: %ld, interval %ld\n", old.it_value.tv_nsec, (long)old.it_interval.tv_sec);
  SAY(timerfd_gettime(fd, &old));
  printf("left: %s, interval %ld\n", old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 500000000 ? "some" : "odd", (long)old.it_interval.tv_sec);
  SAY(read(fd, few, sizeof few));
  SAY(wait_for(fd, POLLIN));
  SAY(read(fd, &ticks, sizeof ticks));
  SAY((long)ticks);
  setting = (struct itimerspec){{0, 20000000}, {0, 20000000}};
  SAY(timerfd_settime(fd, 0, &setting, NULL));
  usleep(75000);
  read(fd, &ticks, sizeof ticks);
  printf("later: %s\n", ticks >= 3 && ticks <= 1000 ? "several" : "odd");
  setting = (struct itimerspec){{0, 0}, {0, 0}};
  SAY(timerfd_settime(fd, 0, &setting, &old));
  printf("interval %ld\n", old.it_interval.tv_nsec);
  SAY(read(fd, &ticks, sizeof ticks));
  // One that blocks, on the wall's clock, at a moment that is over, and at one to come.
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  setting.it_value = (struct timespec){now.tv_sec - 5, 0};
  SAY(timerfd_settime(wall, TFD_TIMER_ABSTIME, &setting, NULL));
  SAY(read(wall, &ticks, sizeof ticks));
  setting.it_value = (struct timespec){now.tv_sec + (now.tv_nsec + 60000000) / 1000000000, (now.tv_nsec + 60000000) % 1000000000};
  struct timespec start = moment();
  SAY(timerfd_settime(wall, TFD_TIMER_ABSTIME, &setting, NULL));
  SAY(read(wall, &ticks, sizeof ticks));
  printf("waited %s\n", ms_since(&start) >= 40 && ms_since(&start) < 10000 ? "as long" : "not as long");
  SAY(write(wall, &ticks, sizeof ticks));
  close(fd), close(wall);
}

PART descriptors(void) {
  printf("-- descriptors\n");
  const int first = socket(AF_INET, SOCK_DGRAM, 0);
  SAY(dup(99));
  SAY(dup(first) - first);
  SAY(fcntl(first, F_DUPFD, 40));
  SAY(fcntl(first, F_DUPFD_CLOEXEC, 40));
  SAY(fcntl(40, F_GETFD));
  SAY(fcntl(41, F_GETFD));
  SAY(fcntl(40, F_SETFD, FD_CLOEXEC));
  SAY(fcntl(40, F_GETFD));
  SAY(fcntl(first, F_DUPFD, -1));
  SAY(fcntl(99, F_GETFL));
  SAY(dup2(first, 50));
  SAY(dup2(50, 50));
  SAY(dup2(99, 51));
  SAY(dup2(first, -1));
  SAY(dup3(first, first, 0));
  SAY(fcntl(50, F_SETFL, O_NONBLOCK));
  SAY(!!(fcntl(first, F_GETFL) & O_NONBLOCK)); // shared
  int on = 0;
  SAY(ioctl(first, FIONBIO, &on));
  SAY(!!(fcntl(50, F_GETFL) & O_NONBLOCK));
  SAY(ioctl(first, 0x7777, &on));
  // What they share stays until the last is closed.
  struct sockaddr_in a = at(7060);
  SAY(bind(50, ADDRESS(a)));
  close(first), close(first + 1), close(40), close(41);
  SAY(bind(first, ADDRESS(a)));
  const int again = socket(AF_INET, SOCK_DGRAM, 0);
  SAY(again - first);
  SAY(bind(again, ADDRESS(a)));
  SAY(dup2(again, 50));
  SAY(bind(again, ADDRESS(a)));
  close(again), close(50);
  int ends[2];
  pair(7061, ends);
  SAY(ioctl(99, FIONREAD, &on));
  dup2(ends[1], ends[0]); // closes one end
  char byte;
  SAY(recv(ends[1], &byte, 1, 0));
  close(ends[0]), close(ends[1]);
}

static int number(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, name, &value, &length) < 0 ? -1 : value;
}

PART groups(void) {
  printf("-- groups\n");
  const int fd = socket(AF_INET, SOCK_DGRAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0), hops = 300, few = 5, off = 0;
  struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xefff0001), .imr_ifindex = 1};
  struct ipv6_mreq group6 = {.ipv6mr_interface = 1};
  inet_pton(AF_INET6, "ff02::1234", &group6.ipv6mr_multiaddr);
  SAY(number(fd, IPPROTO_IP, IP_MULTICAST_TTL));
  SAY(number(fd, IPPROTO_IP, IP_MULTICAST_LOOP));
  SAY(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof hops));
  SAY(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &few, sizeof few));
  SAY(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof off));
  SAY(number(fd, IPPROTO_IP, IP_MULTICAST_TTL));
  SAY(number(fd, IPPROTO_IP, IP_MULTICAST_LOOP));
  SAY(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, 4));
  SAY(setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
  SAY(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
  SAY(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
  SAY(setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
  group.imr_multiaddr.s_addr = htonl(INADDR_LOOPBACK);
  SAY(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
  SAY(number(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS));
  SAY(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &few, sizeof few));
  SAY(number(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS));
  SAY(setsockopt(six, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group6, sizeof group6));
  SAY(setsockopt(six, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group6, sizeof group6));
  SAY(setsockopt(six, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &group6, sizeof group6));
  SAY(setsockopt(six, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &group6, sizeof group6));
  close(fd), close(six);
}

static void put(struct sockaddr_storage *to, const char *text) {
  memset(to, 0, sizeof *to);
  to->ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
  void *at = to->ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)to)->sin6_addr : &((struct sockaddr_in *)to)->sin_addr;
  inet_pton(to->ss_family, text, at);
}

// Names a source of a group on interface 1.
static int source(int fd, int level, int name, const char *group, const char *from) {
  struct group_source_req request = {.gsr_interface = 1};
  put(&request.gsr_group, group), put(&request.gsr_source, from);
  return setsockopt(fd, level, name, &request, sizeof request);
}

union whole {
  struct group_filter filter;
  char room[GROUP_FILTER_SIZE(66)];
};

static int set_filter(int fd, int level, const char *group, int mode, int count) {
  union whole whole = {.filter = {.gf_interface = 1, .gf_fmode = (unsigned)mode, .gf_numsrc = (unsigned)count}};
  put(&whole.filter.gf_group, group);
  for (int i = 0; i < count; i++) {
    char text[INET6_ADDRSTRLEN];
    snprintf(text, sizeof text, level == IPPROTO_IP ? "192.0.2.%d" : "2001:db8::%d", i + 1);
    put(&whole.filter.gf_slist[i], text);
  }
  return setsockopt(fd, level, MCAST_MSFILTER, &whole, GROUP_FILTER_SIZE(count));
}

static int get_filter(int fd, int level, const char *group, int room) {
  union whole whole = {.filter = {.gf_interface = 1, .gf_numsrc = (unsigned)room}};
  socklen_t length = GROUP_FILTER_SIZE(room);
  put(&whole.filter.gf_group, group);
  if (getsockopt(fd, level, MCAST_MSFILTER, &whole, &length) < 0) return -1;
  const int told = (int)((length - GROUP_FILTER_SIZE(0)) / sizeof(struct sockaddr_storage));
  printf("mode %d, %d sources, %d told:", (int)whole.filter.gf_fmode, (int)whole.filter.gf_numsrc, told);
  for (int i = 0; i < told; i++) {
    char text[INET6_ADDRSTRLEN];
    const struct sockaddr_storage *one = &whole.filter.gf_slist[i];
    const void *from = one->ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)one)->sin6_addr : &((struct sockaddr_in *)one)->sin_addr;
    printf(" %s", inet_ntop(one->ss_family, from, text, sizeof text));
  }
  printf("\n");
  return 0;
}

// RFC 3678, in both families, and IPv4's own.
static void sources_of(int level, const char *group, const char *a, const char *b, const char *other) {
  const int fd = socket(level == IPPROTO_IP ? AF_INET : AF_INET6, SOCK_DGRAM, 0), most = level == IPPROTO_IP ? 10 : 64;
  struct group_req request = {.gr_interface = 1};
  put(&request.gr_group, group);
  SAY(source(fd, level, MCAST_BLOCK_SOURCE, group, a));
  SAY(source(fd, level, MCAST_UNBLOCK_SOURCE, group, a));
  SAY(source(fd, level, MCAST_LEAVE_SOURCE_GROUP, group, a));
  SAY(source(fd, level, MCAST_JOIN_SOURCE_GROUP, a, a));
  SAY(source(fd, level, MCAST_JOIN_SOURCE_GROUP, group, other));
  SAY(source(fd, level, MCAST_JOIN_SOURCE_GROUP, other, a));
  SAY(get_filter(fd, level, group, 4));
  SAY(get_filter(fd, level, a, 4));
  SAY(set_filter(fd, level, group, MCAST_EXCLUDE, 1));
  SAY(set_filter(fd, level, group, MCAST_INCLUDE, 0));
  SAY(source(fd, level, MCAST_JOIN_SOURCE_GROUP, group, a));
  SAY(source(fd, level, MCAST_JOIN_SOURCE_GROUP, group, a));
  SAY(source(fd, level, MCAST_JOIN_SOURCE_GROUP, group, b));
  SAY(get_filter(fd, level, group, 4));
  SAY(get_filter(fd, level, group, 1));
  SAY(get_filter(fd, level, group, 0));
  SAY(source(fd, level, MCAST_BLOCK_SOURCE, group, b));
  SAY(setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request));
  SAY(source(fd, level, MCAST_LEAVE_SOURCE_GROUP, group, a));
  SAY(source(fd, level, MCAST_LEAVE_SOURCE_GROUP, group, a));
  SAY(source(fd, level, MCAST_LEAVE_SOURCE_GROUP, group, b));
  SAY(get_filter(fd, level, group, 4));
  SAY(setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request.gr_interface));
  SAY(setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request));
  SAY(get_filter(fd, level, group, 4));
  SAY(source(fd, level, MCAST_BLOCK_SOURCE, group, a));
  SAY(source(fd, level, MCAST_BLOCK_SOURCE, group, a));
  SAY(source(fd, level, MCAST_UNBLOCK_SOURCE, group, b));
  SAY(source(fd, level, MCAST_JOIN_SOURCE_GROUP, group, b));
  SAY(get_filter(fd, level, group, 4));
  SAY(source(fd, level, MCAST_UNBLOCK_SOURCE, group, a));
  SAY(set_filter(fd, level, group, MCAST_INCLUDE, most + 1));
  SAY(set_filter(fd, level, group, 2, 1));
  SAY(set_filter(fd, level, group, MCAST_INCLUDE, most));
  SAY(source(fd, level, MCAST_JOIN_SOURCE_GROUP, group, level == IPPROTO_IP ? "192.0.2.99" : "2001:db8::99"));
  SAY(get_filter(fd, level, group, 2));
  SAY(setsockopt(fd, level, MCAST_LEAVE_GROUP, &request, sizeof request));
  SAY(setsockopt(fd, level, MCAST_LEAVE_GROUP, &request, sizeof request));
  request.gr_interface = 99;
  SAY(setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request));
  put(&request.gr_group, other);
  SAY(setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request));
  close(fd);
}

PART sources(void) {
  printf("-- sources\n");
  sources_of(IPPROTO_IP, "239.255.0.2", "192.0.2.1", "192.0.2.2", "2001:db8::1");
  sources_of(IPPROTO_IPV6, "ff05::1235", "2001:db8::1", "2001:db8::2", "192.0.2.1");
  const int fd = socket(AF_INET, SOCK_DGRAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0), off = 0, two = 2;
  struct ifreq own = {.ifr_addr.sa_family = AF_INET};
  if_indextoname(1, own.ifr_name);
  SAY(ioctl(fd, SIOCGIFADDR, &own));
  const struct in_addr here = ((struct sockaddr_in *)&own.ifr_addr)->sin_addr;
  struct ip_mreq_source request = {.imr_multiaddr.s_addr = htonl(0xefff0003), .imr_interface = here, .imr_sourceaddr.s_addr = htonl(0xc0000201)};
  SAY(setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &request, sizeof request - 1));
  SAY(setsockopt(fd, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &request, sizeof request));
  SAY(setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &request, sizeof request));
  SAY(setsockopt(fd, IPPROTO_IP, IP_BLOCK_SOURCE, &request, sizeof request));
  union {
    struct ip_msfilter filter;
    char room[IP_MSFILTER_SIZE(12)];
  } whole = {.filter = {.imsf_multiaddr = request.imr_multiaddr, .imsf_interface = here, .imsf_numsrc = 2}};
  socklen_t length = IP_MSFILTER_SIZE(2);
  SAY(getsockopt(fd, IPPROTO_IP, IP_MSFILTER, &whole, &length));
  printf("%d bytes, mode %d, %d sources: %s\n", (int)length, (int)whole.filter.imsf_fmode, (int)whole.filter.imsf_numsrc, inet_ntoa(whole.filter.imsf_slist[0]));
  whole.filter.imsf_fmode = MCAST_EXCLUDE;
  SAY(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &whole, IP_MSFILTER_SIZE(0)));
  SAY(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &whole, IP_MSFILTER_SIZE(1)));
  SAY(setsockopt(fd, IPPROTO_IP, IP_UNBLOCK_SOURCE, &request, sizeof request));
  SAY(setsockopt(fd, IPPROTO_IP, IP_UNBLOCK_SOURCE, &request, sizeof request));
  whole.filter.imsf_numsrc = 11;
  SAY(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &whole, sizeof whole));
  whole.filter.imsf_interface.s_addr = htonl(0xc0000263);
  whole.filter.imsf_numsrc = 1;
  SAY(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &whole, sizeof whole));
  length = 4;
  SAY(getsockopt(fd, IPPROTO_IP, IP_MSFILTER, &whole, &length));
  SAY(number(fd, IPPROTO_IP, IP_MULTICAST_ALL));
  SAY(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &two, sizeof two));
  SAY(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off));
  SAY(number(fd, IPPROTO_IP, IP_MULTICAST_ALL));
  SAY(number(six, IPPROTO_IPV6, IPV6_MULTICAST_ALL));
  SAY(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &off, sizeof off));
  SAY(number(six, IPPROTO_IPV6, IPV6_MULTICAST_ALL));
  close(fd), close(six);
}

PART both_families(void) {
  printf("-- IPv6\n");
  const int listener = socket(AF_INET6, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(7070)}, peer;
  socklen_t length = sizeof peer;
  char text[INET6_ADDRSTRLEN];
  SAY(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  SAY(bind(listener, ADDRESS(six)));
  SAY(listen(listener, 4));
  SAY(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
  const int four = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = at(7070);
  SAY(connect(four, ADDRESS(a)));
  const int taken = accept(listener, (struct sockaddr *)&peer, &length);
  printf("%s, %s, %d bytes\n", peer.sin6_family == AF_INET6 ? "AF_INET6" : "?", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text), (int)length);
  length = sizeof peer;
  SAY(getsockname(taken, (struct sockaddr *)&peer, &length));
  printf("%s %d\n", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text), ntohs(peer.sin6_port));
  close(four), close(taken), close(listener);
  const int only = socket(AF_INET6, SOCK_DGRAM, 0);
  SAY(setsockopt(only, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
  six.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
  SAY(bind(only, ADDRESS(six)));
  SAY(sendto(only, "self", 4, 0, ADDRESS(six)));
  length = sizeof peer;
  char bytes[8];
  SAY(recvfrom(only, bytes, sizeof bytes, 0, (struct sockaddr *)&peer, &length));
  printf("%s %d\n", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text), ntohs(peer.sin6_port));
  close(only);
}

static void option(int fd, int level, int name, const char *what) {
  int value = -1;
  socklen_t length = sizeof value;
  if (getsockopt(fd, level, name, &value, &length)) printf("%s: %s\n", what, name_of(errno));
  else printf("%s: %d in %d bytes\n", what, value, (int)length);
}
#define OPTION(fd, level, name) option(fd, level, name, #name)

PART options(void) {
  int ends[2], on = 1, value = 0;
  printf("-- options\n");
  pair(7080, ends);
  OPTION(ends[0], SOL_SOCKET, SO_REUSEADDR);
  OPTION(ends[0], SOL_SOCKET, SO_KEEPALIVE);
  OPTION(ends[0], SOL_SOCKET, SO_ACCEPTCONN);
  OPTION(ends[0], SOL_SOCKET, SO_ERROR);
  OPTION(ends[0], SOL_SOCKET, SO_PROTOCOL);
  OPTION(ends[0], SOL_SOCKET, SO_RCVLOWAT);
  OPTION(ends[0], IPPROTO_TCP, TCP_NODELAY);
  OPTION(ends[0], IPPROTO_TCP, TCP_KEEPIDLE);
  OPTION(ends[0], IPPROTO_TCP, TCP_KEEPINTVL);
  OPTION(ends[0], IPPROTO_TCP, TCP_KEEPCNT);
  OPTION(ends[0], IPPROTO_TCP, TCP_USER_TIMEOUT);
  OPTION(ends[0], IPPROTO_IP, IP_TTL);
  OPTION(ends[0], IPPROTO_IP, IP_TOS);
  OPTION(ends[0], 77, 1);
  OPTION(ends[0], IPPROTO_TCP, 999);
  socklen_t length = sizeof value;
  getsockopt(ends[0], SOL_SOCKET, SO_TYPE, &value, &length);
  printf("type %s\n", value == SOCK_STREAM ? "stream" : "other");
  getsockopt(ends[0], SOL_SOCKET, SO_DOMAIN, &value, &length);
  printf("domain %s\n", value == AF_INET ? "AF_INET" : "other");
  SAY(setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  OPTION(ends[0], IPPROTO_TCP, TCP_NODELAY);
  SAY(setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &on, 2));
  SAY(setsockopt(ends[0], IPPROTO_TCP, 999, &on, sizeof on));
  value = 40000;
  SAY(setsockopt(ends[0], IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof value));
  value = 17;
  SAY(setsockopt(ends[0], IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof value));
  OPTION(ends[0], IPPROTO_TCP, TCP_KEEPIDLE);
  SAY(setsockopt(ends[0], IPPROTO_IP, IP_TTL, &value, sizeof value));
  OPTION(ends[0], IPPROTO_IP, IP_TTL);
  value = -1;
  SAY(setsockopt(ends[0], IPPROTO_TCP, TCP_LINGER2, &value, sizeof value));
  OPTION(ends[0], IPPROTO_TCP, TCP_LINGER2);
  struct linger linger = {1, 3}, told = {0, 0};
  SAY(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  length = sizeof told;
  SAY(getsockopt(ends[0], SOL_SOCKET, SO_LINGER, &told, &length));
  printf("linger %d %d in %d bytes\n", told.l_onoff, told.l_linger, (int)length);
  struct timeval odd = {0, 2000000};
  SAY(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &odd, sizeof odd));
  SAY(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &odd, 4));
  struct tcp_info info = {0};
  length = sizeof info;
  SAY(getsockopt(ends[0], IPPROTO_TCP, TCP_INFO, &info, &length));
  printf("state %d\n", info.tcpi_state);
  char few[2] = {7, 7};
  length = 1;
  SAY(getsockopt(ends[0], SOL_SOCKET, SO_KEEPALIVE, few, &length));
  printf("%d %d in %d byte\n", few[0], few[1], (int)length);
  char name[16] = "";
  length = sizeof name;
  SAY(setsockopt(ends[0], IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
  SAY(getsockopt(ends[0], IPPROTO_TCP, TCP_CONGESTION, name, &length));
  printf("%s\n", name);
  SAY(setsockopt(ends[0], IPPROTO_TCP, TCP_CONGESTION, "none", 4));
  close(ends[0]), close(ends[1]);
}

static int now(int fd) {
  struct pollfd one = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  poll(&one, 1, 0);
  return one.revents;
}

PART pipes(void) {
  int ends[2], again[2];
  char bytes[64] = "";
  printf("-- pipes\n");
  SAY(pipe2(ends, 1 << 30));
  SAY(pipe(ends));
  SAY(fcntl(ends[0], F_GETFL) & O_ACCMODE & ~O_RDONLY);
  SAY((fcntl(ends[1], F_GETFL) & O_ACCMODE) == O_WRONLY);
  SAY(now(ends[0]));
  SAY(now(ends[1]));
  SAY(write(ends[1], "hello, pipe", 11));
  SAY(now(ends[0]));
  int waiting = -1;
  SAY(ioctl(ends[0], FIONREAD, &waiting));
  printf("waiting %d\n", waiting);
  SAY(read(ends[0], bytes, 5));
  struct iovec two[2] = {{bytes + 8, 2}, {bytes + 16, 20}};
  SAY(readv(ends[0], two, 2));
  printf("%.5s|%.2s|%.4s\n", bytes, bytes + 8, bytes + 16);
  SAY(read(ends[0], bytes, 0));
  SAY(write(ends[1], bytes, 0));
  SAY(write(ends[0], "x", 1));
  SAY(read(ends[1], bytes, 1));
  SAY(lseek(ends[0], 0, SEEK_CUR));
  SAY(send(ends[1], "x", 1, 0));
  SAY(shutdown(ends[1], SHUT_WR));
  SAY(fcntl(ends[0], F_SETFL, O_NONBLOCK));
  SAY(!!(fcntl(ends[1], F_GETFL) & O_NONBLOCK)); // each end has its own
  SAY(read(ends[0], bytes, 1));
  // As much as there is room for, and what is small not in parts.
  SAY(fcntl(ends[1], F_SETFL, O_NONBLOCK));
  static char much[4096];
  long went = 0, came = 0, part;
  while ((part = write(ends[1], much, sizeof much)) > 0) went += part;
  SAY(write(ends[1], much, sizeof much));
  SAY(now(ends[1]));
  printf("went %s\n", went >= 4096 && went % 4096 == 0 ? "in pages" : "otherwise");
  while ((part = read(ends[0], much, sizeof much)) > 0) came += part;
  SAY(came - went);
  SAY(now(ends[1]));
  SAY(write(ends[1], "last", 4));
  const int twin = dup(ends[1]);
  SAY(close(ends[1]));
  SAY(now(ends[0])); // a writer is left
  SAY(close(twin));
  SAY(now(ends[0]));
  SAY(read(ends[0], bytes, sizeof bytes));
  SAY(read(ends[0], bytes, sizeof bytes));
  SAY(now(ends[0]));
  close(ends[0]);
  SAY(pipe2(ends, O_NONBLOCK));
  SAY(read(ends[0], bytes, 1));
  // What waits hears of what is written.
  const int epoll = epoll_create1(0);
  SAY(control(epoll, EPOLL_CTL_ADD, ends[0], EPOLLIN | EPOLLET, 1));
  SAY(control(epoll, EPOLL_CTL_ADD, ends[1], EPOLLOUT | EPOLLET, 2));
  waited(epoll, 0);
  waited(epoll, 20);
  SAY(write(ends[1], "a", 1));
  waited(epoll, 10000);
  SAY(write(ends[1], "b", 1));
  waited(epoll, 10000);
  waited(epoll, 20);
  SAY(pipe(again));
  close(again[0]);
  SAY(now(again[1]) & POLLERR);
  SAY(write(again[1], "x", 1));
  close(again[1]);
  SAY(close(ends[1]));
  waited(epoll, 10000);
  close(ends[0]), close(epoll);
}

PART pairs(void) {
  int ends[2], error = 0;
  char bytes[64] = "";
  socklen_t length = sizeof error;
  printf("-- pairs\n");
  SAY(socketpair(AF_INET, SOCK_STREAM, 0, ends));
  SAY(socketpair(1000, SOCK_STREAM, 0, ends));
  SAY(socketpair(AF_UNIX, SOCK_STREAM, 77, ends));
  SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  SAY(now(ends[0]));
  SAY(send(ends[0], "there", 5, 0));
  SAY(write(ends[1], "back", 4));
  SAY(now(ends[0]));
  SAY(recv(ends[1], bytes, 3, MSG_PEEK));
  SAY(recv(ends[1], bytes, sizeof bytes, 0));
  SAY(read(ends[0], bytes + 8, 4));
  printf("%.5s %.4s\n", bytes, bytes + 8);
  SAY(recv(ends[0], bytes, 1, MSG_DONTWAIT));
  struct sockaddr_storage name;
  length = sizeof name;
  SAY(getsockname(ends[0], (struct sockaddr *)&name, &length));
  printf("%s in %d bytes\n", name.ss_family == AF_UNIX ? "AF_UNIX" : "?", (int)length);
  length = sizeof name;
  SAY(getpeername(ends[0], (struct sockaddr *)&name, &length));
  length = sizeof error;
  SAY(getsockopt(ends[0], SOL_SOCKET, SO_TYPE, &error, &length));
  printf("type %s\n", error == SOCK_STREAM ? "stream" : "other");
  getsockopt(ends[0], SOL_SOCKET, SO_DOMAIN, &error, &length);
  printf("domain %s\n", error == AF_UNIX ? "AF_UNIX" : "other");
  struct iovec three[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}};
  struct msghdr message = {.msg_iov = three, .msg_iovlen = 3};
  SAY(sendmsg(ends[0], &message, 0));
  SAY(recv(ends[1], bytes, 6, MSG_WAITALL));
  printf("%.6s\n", bytes);
  SAY(send(ends[0], "half", 4, 0));
  SAY(shutdown(ends[0], SHUT_WR));
  SAY(send(ends[0], "x", 1, MSG_NOSIGNAL));
  SAY(now(ends[1]));
  SAY(recv(ends[1], bytes, 8, MSG_WAITALL));
  SAY(recv(ends[1], bytes, 8, 0));
  SAY(send(ends[1], "late", 4, 0));
  SAY(now(ends[0]));
  SAY(read(ends[0], bytes, sizeof bytes));
  SAY(send(ends[1], "unread", 6, 0));
  SAY(close(ends[0]));
  SAY(now(ends[1]));
  SAY(recv(ends[1], bytes, 1, 0));
  SAY(recv(ends[1], bytes, 1, 0));
  SAY(send(ends[1], "x", 1, MSG_NOSIGNAL));
  close(ends[1]);
  // With something unread it is a reset.
  SAY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
  SAY(send(ends[0], "unread", 6, 0));
  SAY(close(ends[1]));
  SAY(now(ends[0]));
  SAY(recv(ends[0], bytes, 1, 0));
  SAY(recv(ends[0], bytes, 1, 0));
  close(ends[0]);
  printf("-- pairs of datagrams\n");
  SAY(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
  SAY(send(ends[0], "one", 3, 0));
  SAY(send(ends[0], "", 0, 0));
  SAY(send(ends[0], "three", 5, 0));
  int waiting = -1;
  SAY(ioctl(ends[1], FIONREAD, &waiting));
  printf("waiting %d\n", waiting);
  SAY(recv(ends[1], bytes, 2, MSG_PEEK | MSG_TRUNC));
  length = sizeof name;
  SAY(recvfrom(ends[1], bytes, sizeof bytes, 0, (struct sockaddr *)&name, &length));
  SAY(recv(ends[1], bytes, sizeof bytes, 0));
  struct iovec few = {bytes, 2};
  message = (struct msghdr){.msg_iov = &few, .msg_iovlen = 1};
  SAY(recvmsg(ends[1], &message, 0));
  printf("%.2s, %s\n", bytes, message.msg_flags == MSG_TRUNC ? "cut" : "whole");
  SAY(recv(ends[1], bytes, 1, MSG_DONTWAIT));
  static char large[1 << 20];
  SAY(send(ends[0], large, sizeof large, 0));
  SAY(now(ends[0]));
  SAY(send(ends[1], "left", 4, 0));
  SAY(close(ends[1]));
  SAY(recv(ends[0], bytes, sizeof bytes, 0));
  SAY(send(ends[0], "x", 1, MSG_NOSIGNAL));
  SAY(send(ends[0], "x", 1, MSG_NOSIGNAL));
  close(ends[0]);
}

PART interfaces(void) {
  struct ifreq about = {0};
  char name[IF_NAMESIZE];
  printf("-- interfaces\n");
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const unsigned number = if_nametoindex("lo");
  printf("%s\n", number ? "there is a loopback" : "there is none");
  SAY(strcmp(if_indextoname(number, name) ? name : "?", "lo"));
  SAY((long)if_nametoindex("none0") - (errno == ENODEV));
  SAY(if_indextoname(9999, name) == NULL && errno == ENXIO);
  struct if_nameindex *list = if_nameindex();
  int found = 0;
  for (int i = 0; list[i].if_index; i++) found += list[i].if_index == number && !strcmp(list[i].if_name, "lo");
  if_freenameindex(list);
  SAY(found);
  strcpy(about.ifr_name, "lo");
  SAY(ioctl(fd, SIOCGIFINDEX, &about));
  SAY(about.ifr_ifindex - (int)number);
  SAY(ioctl(fd, SIOCGIFADDR, &about));
  printf("%s\n", inet_ntoa(((struct sockaddr_in *)&about.ifr_addr)->sin_addr));
  SAY(ioctl(fd, SIOCGIFNETMASK, &about));
  printf("%s\n", inet_ntoa(((struct sockaddr_in *)&about.ifr_netmask)->sin_addr));
  SAY(ioctl(fd, SIOCGIFFLAGS, &about));
  SAY(about.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_BROADCAST | IFF_MULTICAST));
  SAY(ioctl(fd, SIOCGIFMTU, &about));
  SAY(about.ifr_mtu >= 1500);
  SAY(ioctl(fd, SIOCGIFHWADDR, &about));
  SAY(about.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK && !memcmp(about.ifr_hwaddr.sa_data, "\0\0\0\0\0", 6));
  about.ifr_ifindex = (int)number;
  SAY(ioctl(fd, SIOCGIFNAME, &about));
  SAY(strcmp(about.ifr_name, "lo"));
  struct ifreq rooms[64];
  struct ifconf all = {.ifc_len = sizeof rooms, .ifc_req = rooms};
  SAY(ioctl(fd, SIOCGIFCONF, &all));
  found = 0;
  for (int i = 0; i < all.ifc_len / (int)sizeof *rooms; i++)
    found += !strcmp(rooms[i].ifr_name, "lo") && ((struct sockaddr_in *)&rooms[i].ifr_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
  SAY(found);
  strcpy(about.ifr_name, "none0");
  SAY(ioctl(fd, SIOCGIFADDR, &about));
  SAY(ioctl(fd, SIOCGIFFLAGS, &about));
  const int event = eventfd(0, 0);
  SAY(ioctl(event, SIOCGIFINDEX, &about));
  SAY(ioctl(99, SIOCGIFINDEX, &about));
  close(event), close(fd);
}

static long ns_of(clockid_t clock) {
  struct timespec time = {0, -1};
  return clock_gettime(clock, &time) ? -1 : time.tv_sec * 1000000000l + time.tv_nsec;
}

// Processor time: what a program uses it moves, and waiting does not, by more than a little.
PART clocks(void) {
  printf("-- clocks\n");
  struct timespec step;
  SAY(clock_getres(CLOCK_PROCESS_CPUTIME_ID, &step));
  printf("%ld s %ld ns\n", (long)step.tv_sec, step.tv_nsec);
  SAY(clock_getres(CLOCK_THREAD_CPUTIME_ID, &step));
  SAY(ns_of(CLOCK_PROCESS_CPUTIME_ID) >= 0);
  // A machine that is taken away meanwhile may count as used: one of several is enough.
  long least = 1000000000;
  for (int tries = 0; tries < 20 && least >= 25000000; tries++) {
    const long since = ns_of(CLOCK_PROCESS_CPUTIME_ID);
    usleep(50000);
    const long slept = ns_of(CLOCK_PROCESS_CPUTIME_ID) - since;
    if (slept < least) least = slept;
  }
  printf("asleep: %s\n", least >= 0 && least < 25000000 ? "little" : "much");
  volatile unsigned sum = 0;
  const clock_t start = clock();
  const long until = ns_of(CLOCK_THREAD_CPUTIME_ID) + 20000000;
  while (ns_of(CLOCK_THREAD_CPUTIME_ID) < until) for (int i = 0; i < 1000; i++) sum += (unsigned)i;
  (void)sum;
  const double used = (double)(clock() - start) / CLOCKS_PER_SEC;
  printf("awake: %s\n", used > 0.019 && used < 60 ? "as much" : "otherwise");
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
#ifdef __linux__
  close_range(3, ~0u, 0); // what whoever started it left open
#endif
  signal(SIGPIPE, SIG_IGN);
  errors();
  streams();
  resets();
  datagrams();
  polls();
  epolls();
  events();
  timers();
  descriptors();
  groups();
  sources();
  both_families();
  options();
  pipes();
  pairs();
  interfaces();
  clocks();
  printf("-- end\n");
}
