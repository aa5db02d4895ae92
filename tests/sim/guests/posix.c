// What each socket call answers, right and wrong, over the loopback of one machine: a line each, which must be
// the same from this source compiled for Linux.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifndef __wasi__
#include <signal.h>
#endif

enum { PORT = 17601, WAIT_MS = 2000 };
#define NOWHERE ((void *)(uintptr_t)0xfffffff0u) /* not the program's own, in either world */

static const char *name_of(int error) {
#define NAME(e) \
  if (error == e) return #e;
  NAME(EACCES) NAME(EADDRINUSE) NAME(EADDRNOTAVAIL) NAME(EAFNOSUPPORT) NAME(EAGAIN) NAME(EALREADY)
  NAME(EBADF) NAME(ECONNABORTED) NAME(ECONNREFUSED) NAME(ECONNRESET) NAME(EDESTADDRREQ) NAME(EFAULT)
  NAME(EHOSTUNREACH) NAME(EINPROGRESS) NAME(EINTR) NAME(EINVAL) NAME(EIO) NAME(EISCONN) NAME(EMFILE)
  NAME(EMSGSIZE) NAME(ENETUNREACH) NAME(ENOBUFS) NAME(ENOMEM) NAME(ENOPROTOOPT) NAME(ENOSYS)
  NAME(ENOTCONN) NAME(ENOTSOCK) NAME(EOPNOTSUPP) NAME(EPERM) NAME(EPIPE) NAME(EPROTONOSUPPORT)
  NAME(EPROTOTYPE) NAME(ETIMEDOUT) NAME(ENOENT) NAME(ESPIPE)
#undef NAME
  static char number[16];
  snprintf(number, sizeof number, "errno %d", error);
  return number;
}

static void line(const char *what, long result) {
  const int error = errno;
  if (result < 0) printf("%s: %s\n", what, name_of(error));
  else printf("%s: %ld\n", what, result);
}
// Everything is named by its own source.
#define SAY(call) (errno = 0, line(#call, (long)(call)))

static struct sockaddr_in at(const char *address, int port) {
  struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, address, &made.sin_addr);
  return made;
}
#define ADDRESS(a) (const struct sockaddr *)&(a), sizeof(a)

static void block(int fd, int wait) { fcntl(fd, F_SETFL, wait ? 0 : O_NONBLOCK); }

// Events of a descriptor now, or as soon as one of `events` has come.
static int events(int fd, int events) {
  struct pollfd one = {fd, (short)events, 0};
  if (poll(&one, 1, events ? WAIT_MS : 0) < 0) return -1;
  return one.revents;
}
static void say_events(const char *what, int seen) {
  printf("%s:%s%s%s%s%s\n", what, seen & POLLIN ? " in" : "", seen & POLLOUT ? " out" : "",
         seen & POLLERR ? " err" : "", seen & POLLHUP ? " hup" : "", seen & POLLNVAL ? " nval" : "");
}

static int option(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, name, &value, &length) ? -1 : value;
}
static int set(int fd, int level, int name, int value) { return setsockopt(fd, level, name, &value, sizeof value); }

static int next_port = PORT;
static int listener(int *port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = at("127.0.0.1", *port = next_port++);
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (bind(fd, ADDRESS(address)) || listen(fd, 4)) perror("listener");
  return fd;
}
static void pair(int *client, int *server) {
  int port;
  const int listening = listener(&port);
  struct sockaddr_in address = at("127.0.0.1", port);
  *client = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(*client, ADDRESS(address))) perror("connect");
  *server = accept(listening, NULL, NULL);
  if (*server < 0) perror("accept");
  close(listening);
}

// The lowest descriptor that is free at first: a guest may have found a directory open.
static int first;

static void making(void) {
  puts("-- socket");
  first = socket(AF_INET, SOCK_STREAM, 0);
  SAY(socket(AF_INET, SOCK_DGRAM, 0) - first);
  SAY(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) - first);
  SAY(close(first + 1));
  SAY(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) - first);
  SAY(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
  SAY(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
  SAY(socket(99, SOCK_STREAM, 0));
  SAY(close(first));
  SAY(close(first));
  SAY(close(first + 1));
  SAY(close(first + 2));
}

static void nobody(int fd) {
  struct sockaddr_in address = at("127.0.0.1", PORT);
  socklen_t length = sizeof address;
  int value = 0;
  SAY(bind(fd, ADDRESS(address)));
  SAY(listen(fd, 1));
  SAY(accept(fd, NULL, NULL));
  SAY(connect(fd, ADDRESS(address)));
  SAY(send(fd, "x", 1, 0));
  SAY(recv(fd, &value, 1, 0));
  SAY(sendto(fd, "x", 1, 0, ADDRESS(address)));
  SAY(recvfrom(fd, &value, 1, 0, (struct sockaddr *)&address, &length));
  SAY(shutdown(fd, SHUT_RDWR));
  SAY(getsockname(fd, (struct sockaddr *)&address, &length));
  SAY(getpeername(fd, (struct sockaddr *)&address, &length));
  SAY(set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
  SAY(option(fd, SOL_SOCKET, SO_TYPE));
}

static void binding(void) {
  puts("-- bind");
  struct sockaddr_in mine = at("127.0.0.1", PORT), other = at("192.0.2.1", PORT);
  struct sockaddr_in6 six = {.sin6_family = AF_INET6};
  struct sockaddr_in any = at("0.0.0.0", 0), bound;
  socklen_t length = sizeof bound;
  const int fd = socket(AF_INET, SOCK_STREAM, 0), second = socket(AF_INET, SOCK_STREAM, 0);
  SAY(bind(fd, (struct sockaddr *)&mine, 3));
  const int third = socket(AF_INET, SOCK_STREAM, 0);
  SAY(bind(third, ADDRESS(six)));
  close(third);
  SAY(bind(fd, ADDRESS(other)));
  SAY(bind(fd, ADDRESS(mine)));
  SAY(bind(fd, ADDRESS(mine)));
  SAY(bind(second, ADDRESS(mine)));
  SAY(listen(fd, 1));
  SAY(bind(second, ADDRESS(mine)));
  SAY(bind(second, ADDRESS(any)));
  SAY(getsockname(second, (struct sockaddr *)&bound, &length));
  SAY(ntohs(bound.sin_port) >= 1024 && length == sizeof bound && bound.sin_family == AF_INET);
  SAY(getsockname(fd, (struct sockaddr *)&bound, &length));
  SAY(ntohs(bound.sin_port) == PORT && bound.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
  length = 4;
  SAY(getsockname(fd, (struct sockaddr *)&bound, &length));
  SAY(length);
  length = sizeof bound;
  SAY(getpeername(fd, (struct sockaddr *)&bound, &length));
  close(fd);
  close(second);
}

static void listening(void) {
  puts("-- listen, accept");
  int port;
  const int fd = listener(&port), datagrams = socket(AF_INET, SOCK_DGRAM, 0), idle = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = at("127.0.0.1", port), peer;
  socklen_t length = sizeof peer;
  char byte;
  SAY(listen(datagrams, 1));
  SAY(accept(datagrams, NULL, NULL));
  SAY(accept(idle, NULL, NULL));
  SAY(listen(fd, 8));
  SAY(option(fd, SOL_SOCKET, SO_ACCEPTCONN));
  SAY(option(idle, SOL_SOCKET, SO_ACCEPTCONN));
  SAY(recv(fd, &byte, 1, 0));
  SAY(send(fd, "x", 1, MSG_NOSIGNAL));
  SAY(connect(fd, ADDRESS(address)));
  block(fd, 0);
  SAY(accept(fd, NULL, NULL));
  say_events("a listener with nothing", events(fd, 0));
  SAY(connect(idle, ADDRESS(address)));
  say_events("a listener with a connection", events(fd, POLLIN));
  SAY(accept(fd, (struct sockaddr *)&peer, &length) - first);
  SAY(length == sizeof peer && peer.sin_family == AF_INET && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
  SAY(accept(fd, NULL, NULL));
  SAY(listen(idle, 1));
  SAY(shutdown(fd, SHUT_RD) && errno != ENOTCONN);
  for (int i = first; i < first + 7; i++) close(i);
}

static void connecting(void) {
  puts("-- connect");
  int port;
  const int fd = listener(&port), client = socket(AF_INET, SOCK_STREAM, 0), refused = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = at("127.0.0.1", port), nobody = at("127.0.0.1", 17599);
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  SAY(connect(client, (struct sockaddr *)&address, 3));
  SAY(connect(client, ADDRESS(six)));
  SAY(connect(client, ADDRESS(address)));
  SAY(connect(client, ADDRESS(address)));
  SAY(connect(refused, ADDRESS(nobody)));
  SAY(option(refused, SOL_SOCKET, SO_ERROR));
  close(refused);
  const int later = socket(AF_INET, SOCK_STREAM, 0);
  block(later, 0);
  SAY(connect(later, ADDRESS(nobody)));
  say_events("refused", events(later, POLLOUT) & (POLLERR | POLLOUT));
  SAY(option(later, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
  SAY(option(later, SOL_SOCKET, SO_ERROR));
  close(later);
  const int again = socket(AF_INET, SOCK_STREAM, 0);
  block(again, 0);
  SAY(connect(again, ADDRESS(address)));
  say_events("connected", events(again, POLLOUT));
  SAY(option(again, SOL_SOCKET, SO_ERROR));
  SAY(connect(again, ADDRESS(address)) < 0 && errno != EISCONN);
  SAY(connect(again, ADDRESS(address)));
  close(again);
  close(client);
  close(fd);
}

static void streams(void) {
  puts("-- streams");
  const int idle = socket(AF_INET, SOCK_STREAM, 0);
  char buffer[64];
  SAY(send(idle, "x", 1, MSG_NOSIGNAL));
  SAY(recv(idle, buffer, 1, 0));
  SAY(shutdown(idle, SHUT_WR));
  say_events("a socket that is nothing yet", events(idle, POLLIN | POLLOUT));
  close(idle);

  int client, server;
  pair(&client, &server);
  say_events("a fresh connection", events(client, POLLIN | POLLOUT));
  block(client, 0);
  SAY(recv(client, buffer, 1, 0));
  SAY(send(server, "hello", 5, 0));
  say_events("with data", events(client, POLLIN));
  SAY(recv(client, buffer, sizeof buffer, MSG_PEEK));
  SAY(recv(client, buffer, 2, 0));
  SAY(read(client, buffer + 2, sizeof buffer - 2));
  SAY(memcmp(buffer, "hello", 5));
  SAY(recv(client, buffer, 0, 0));
  SAY(recv(client, buffer, 1, 0));
  SAY(send(client, NOWHERE, 100, 0));
  SAY(send(client, buffer, 0, 0));
  SAY(write(client, "abc", 3));
  SAY(recv(server, buffer, sizeof buffer, 0));
  SAY(send(client, "d", 1, 0));
  SAY(recv(server, NOWHERE, 1, 0));
  SAY(recv(server, buffer, 1, 0));
  SAY(shutdown(client, 9));
  SAY(shutdown(client, SHUT_WR));
  SAY(send(client, "x", 1, MSG_NOSIGNAL));
  say_events("the other side of a half", events(server, POLLIN));
  SAY(recv(server, buffer, 1, 0));
  SAY(recv(server, buffer, 1, 0));
  SAY(send(server, "late", 4, 0));
  say_events("half a connection", events(client, POLLIN));
  SAY(recv(client, buffer, sizeof buffer, 0));
  SAY(shutdown(server, SHUT_WR));
  say_events("both halves ended", events(client, POLLIN));
  SAY(recv(client, buffer, 1, 0));
  SAY(shutdown(client, SHUT_RDWR) && errno != ENOTCONN);
  close(client);
  close(server);

  puts("-- a reader that has gone");
  pair(&client, &server);
  SAY(close(server));
  say_events("the peer has closed", events(client, POLLIN) & (POLLIN | POLLERR));
  SAY(send(client, "x", 1, MSG_NOSIGNAL));
  poll(NULL, 0, 100);
  SAY(send(client, "x", 1, MSG_NOSIGNAL));
  SAY(option(client, SOL_SOCKET, SO_ERROR));
  close(client);

  puts("-- data that nobody has read");
  pair(&client, &server);
  SAY(send(client, "unread", 6, 0));
  events(server, POLLIN);
  close(server);
  say_events("reset", events(client, POLLIN));
  SAY(recv(client, buffer, 1, 0));
  SAY(recv(client, buffer, 1, 0));
  SAY(send(client, "x", 1, MSG_NOSIGNAL));
  close(client);

  puts("-- a full buffer");
  pair(&client, &server);
  static char much[65536];
  block(client, 0);
  long sent = 0, part;
  while ((part = send(client, much, sizeof much, 0)) > 0) {
    sent += part;
    poll(NULL, 0, 1);
  }
  SAY(send(client, much, sizeof much, 0));
  say_events("no room", events(client, 0) & POLLOUT);
  long taken = 0;
  while (taken < sent && (part = recv(server, much, sizeof much, 0)) > 0) taken += part;
  SAY(taken == sent);
  say_events("room again", events(client, POLLOUT));
  close(client);
  close(server);
}

static void datagrams(void) {
  puts("-- datagrams");
  const int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = at("127.0.0.1", 17598), from, six_family = {.sin_family = AF_INET6};
  socklen_t length = sizeof from;
  static char large[66000];
  char buffer[64];
  SAY(send(a, "x", 1, 0));
  SAY(bind(b, ADDRESS(to)));
  SAY(sendto(a, "hello", 5, 0, ADDRESS(six_family)));
  SAY(sendto(a, "hello", 5, 0, (struct sockaddr *)&to, 3));
  SAY(sendto(a, large, sizeof large, 0, ADDRESS(to)));
  SAY(sendto(a, NOWHERE, 5, 0, ADDRESS(to)));
  SAY(sendto(a, "hello", 5, 0, ADDRESS(to)));
  say_events("a datagram", events(b, POLLIN));
  SAY(recvfrom(b, buffer, 3, 0, (struct sockaddr *)&from, &length));
  SAY(length == sizeof from && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
  block(b, 0);
  SAY(recv(b, buffer, sizeof buffer, 0));
  SAY(sendto(a, "", 0, 0, ADDRESS(to)));
  say_events("an empty one", events(b, POLLIN));
  SAY(recv(b, buffer, sizeof buffer, 0));
  SAY(connect(a, ADDRESS(to)));
  SAY(send(a, "again", 5, 0));
  events(b, POLLIN);
  SAY(recv(b, buffer, sizeof buffer, 0));
  SAY(getpeername(a, (struct sockaddr *)&from, &length));
  SAY(getpeername(b, (struct sockaddr *)&from, &length));
  SAY(sendto(b, "back", 4, 0, (struct sockaddr *)&from, 0));
  SAY(shutdown(b, SHUT_RDWR) && errno != ENOTCONN);
  SAY(close(b));
  SAY(send(a, "to nobody", 9, 0));
  say_events("refused", events(a, POLLIN) & (POLLERR | POLLIN));
  SAY(send(a, "x", 1, 0));
  SAY(send(a, "x", 1, 0));
  close(a);
}

static void options(void) {
  puts("-- options");
  const int fd = socket(AF_INET, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0);
  int value = 1;
  socklen_t length = 2;
  SAY(option(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM);
  SAY(option(datagrams, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM);
  SAY(option(fd, SOL_SOCKET, SO_REUSEADDR));
  SAY(set(fd, SOL_SOCKET, SO_REUSEADDR, 5));
  SAY(option(fd, SOL_SOCKET, SO_REUSEADDR));
  SAY(set(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
  SAY(option(fd, SOL_SOCKET, SO_KEEPALIVE));
  SAY(set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
  SAY(option(fd, IPPROTO_TCP, TCP_NODELAY));
  SAY(set(datagrams, SOL_SOCKET, SO_BROADCAST, 1));
  SAY(option(datagrams, SOL_SOCKET, SO_BROADCAST));
  SAY(set(fd, SOL_SOCKET, 9999, 1));
  SAY(option(fd, SOL_SOCKET, 9999));
  SAY(set(fd, IPPROTO_TCP, 9999, 1));
  SAY(set(datagrams, IPPROTO_TCP, TCP_NODELAY, 1));
  SAY(set(fd, 9999, 1, 1));
  SAY(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, 2));
  SAY(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &length));
  SAY(length);
  close(fd);
  close(datagrams);
}

static void descriptors(void) {
  puts("-- descriptors");
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  SAY(fcntl(fd, F_GETFL) & O_NONBLOCK);
  SAY(fcntl(fd, F_SETFL, O_NONBLOCK));
  SAY((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  SAY(fcntl(99, F_GETFL));
  SAY(lseek(fd, 0, SEEK_CUR));
  struct pollfd several[3] = {{fd, POLLIN, 0}, {99, POLLIN, 0}, {-1, POLLIN, 0}};
  SAY(poll(several, 3, 0));
  say_events("what is not open", several[1].revents);
  SAY(several[2].revents);
  SAY(poll(NULL, 0, 1));
  SAY(close(fd));
  SAY(close(fd));
  SAY(close(-1));
}

int main(void) {
#ifndef __wasi__
  signal(SIGPIPE, SIG_IGN);
#endif
  setvbuf(stdout, NULL, _IOLBF, 0);
  making();
  puts("-- not open");
  nobody(99);
  puts("-- below zero");
  nobody(-1);
  puts("-- no socket");
  nobody(0);
  binding();
  listening();
  connecting();
  streams();
  datagrams();
  options();
  descriptors();
  puts("-- done");
  return 0;
}
