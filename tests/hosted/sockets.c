// The same socket calls on Linux and on Skerry, over each one's loopback: `sockets linux|skerry` prints
// every call's result, a line each, for sockets.test.ts to compare. Nothing blocks on either side.

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// sdk/assembly/syscalls.ts
enum { SOCKET = 1, BIND, LISTEN, ACCEPT, CONNECT, SEND, RECEIVE, SHUTDOWN = 10, CLOSE, LOCAL, PEER, SET, GET,
       EVENTS = 18, SET_DATA, GET_DATA };
enum { PEEK = 1, TRUNCATE = 0x20, MORE = 0x8000 };

static struct skerry *machine;  // Null: Linux.
static const char *scenario;
static int calls;

static void show(const char *what, int result) { printf("%s %d %s = %d\n", scenario, ++calls, what, result); }

static int sys(uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3) {
  return skerry_syscall(machine, number, a0, a1, a2, a3, 0);
}

static int linux_result(long result) { return result < 0 ? -errno : (int)result; }

static uint32_t data_at(void) { return skerry_memory(machine).address + 4096; }

/// 127.0.0.1, or any address for a listener.
static uint32_t skerry_address(uint32_t ip, uint16_t port) {
  struct skerry_memory memory = skerry_memory(machine);
  uint64_t words[3] = {0, ip ? 0xffff00000000 | ip : 0, port};
  memcpy(memory.bytes, words, sizeof words);
  return memory.address;
}

static struct sockaddr_in linux_address(uint32_t ip, uint16_t port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)};
}

// ---- The calls -----------------------------------------------------------------------------------

/// Lets everything under way arrive.
static void settle(void) {
  if (!machine) {
    usleep(50000); // beyond its delayed ACK
    return;
  }
  for (int i = 0; i < 60; i++) {
    skerry_step(machine);
    skerry_advance(machine, 1000000);
  }
}

static int new_socket(void) {
  int s = machine ? sys(SOCKET, 1, 0, 0, 0) : socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (s < 0) exit(2);
  return s;
}

static int do_bind(int s, uint32_t ip, uint16_t port) {
  if (machine) return sys(BIND, s, skerry_address(ip, port), 0, 0);
  struct sockaddr_in a = linux_address(ip, port);
  return linux_result(bind(s, (struct sockaddr *)&a, sizeof a));
}

static int do_listen(int s, int backlog) {
  return machine ? sys(LISTEN, s, backlog, 0, 0) : linux_result(listen(s, backlog));
}

static int do_accept(int s) {
  return machine ? sys(ACCEPT, s, 0, 0, 0) : linux_result(accept4(s, NULL, NULL, SOCK_NONBLOCK));
}

static int do_connect(int s, uint16_t port) {
  if (machine) return sys(CONNECT, s, skerry_address(INADDR_LOOPBACK, port), 0, 0);
  struct sockaddr_in a = linux_address(INADDR_LOOPBACK, port);
  return linux_result(connect(s, (struct sockaddr *)&a, sizeof a));
}

static char bytes[65536];

static int do_send(int s, int length, int more) {
  if (machine) return sys(SEND, s, data_at(), length, more ? MORE : 0);
  return linux_result(send(s, bytes, length, MSG_NOSIGNAL | (more ? MSG_MORE : 0)));
}

static int do_receive(int s, int length, int flags) {
  if (machine) return sys(RECEIVE, s, data_at(), length, flags);
  int its = (flags & PEEK ? MSG_PEEK : 0) | (flags & TRUNCATE ? MSG_TRUNC : 0);
  return linux_result(recv(s, bytes, length, its));
}

static int do_shutdown(int s, int how) {
  return machine ? sys(SHUTDOWN, s, how, 0, 0) : linux_result(shutdown(s, how));
}

static int do_close(int s) { return machine ? sys(CLOSE, s, 0, 0, 0) : linux_result(close(s)); }

static int port_of(int s) {
  if (machine) {
    if (sys(LOCAL, s, data_at(), 0, 0) < 0) exit(2);
    uint16_t port;
    memcpy(&port, skerry_memory(machine).bytes + 4096 + 16, 2);
    return port;
  }
  struct sockaddr_in a;
  socklen_t length = sizeof a;
  if (getsockname(s, (struct sockaddr *)&a, &length) < 0) exit(2);
  return ntohs(a.sin_port);
}

static int do_peer(int s) {
  if (machine) return sys(PEER, s, data_at(), 0, 0);
  struct sockaddr_in a;
  socklen_t length = sizeof a;
  return linux_result(getpeername(s, (struct sockaddr *)&a, &length));
}

static int do_poll(int s) {
  if (machine) return sys(EVENTS, s, 0, 0, 0);
  struct pollfd p = {.fd = s, .events = POLLIN | POLLOUT | POLLRDHUP};
  poll(&p, 1, 0);
  return p.revents;
}

struct option { const char *name; int level, its; uint32_t ours; };
static const struct option KEEPIDLE = {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 12},
  KEEPINTVL = {"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 13}, KEEPCNT = {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 14},
  USER_TIMEOUT = {"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 15}, SYNCNT = {"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 16},
  LINGER2 = {"TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, 17}, MAXSEG = {"TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 18},
  NODELAY = {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1}, CORK = {"TCP_CORK", IPPROTO_TCP, TCP_CORK, 10},
  NOTSENT = {"TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 20}, KEEPALIVE = {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 2},
  REUSE = {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 3}, GROUP = {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 34}, ERROR = {"SO_ERROR", SOL_SOCKET, SO_ERROR, 4},
  RCVLOWAT = {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 8}, TYPE = {"SO_TYPE", SOL_SOCKET, SO_TYPE, 29},
  ACCEPTCONN = {"SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN, 30}, DOMAIN = {"SO_DOMAIN", SOL_SOCKET, SO_DOMAIN, 31},
  PROTOCOL = {"SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL, 32}, TOS = {"IP_TOS", IPPROTO_IP, IP_TOS, 27},
  TTL = {"IP_TTL", IPPROTO_IP, IP_TTL, 28}, NONE = {"none", IPPROTO_TCP, 99, 99};

static void set(int s, struct option o, int value) {
  int result = machine ? sys(SET, s, o.ours, value, 0) : linux_result(setsockopt(s, o.level, o.its, &value, sizeof value));
  char what[64];
  snprintf(what, sizeof what, "set %s %d", o.name, value);
  show(what, result);
}

static void get(int s, struct option o) {
  int value = 0, result;
  socklen_t length = sizeof value;
  if (machine) result = sys(GET, s, o.ours, 0, 0);
  else result = getsockopt(s, o.level, o.its, &value, &length) < 0 ? -errno : value;
  char what[64];
  snprintf(what, sizeof what, "get %s", o.name);
  show(what, result);
}

static void set_linger(int s, int on, int seconds) {
  struct linger value = {on, seconds};
  if (machine) {
    memcpy(skerry_memory(machine).bytes + 4096, &value, sizeof value);
    show("linger", sys(SET_DATA, s, 9, data_at(), sizeof value));
  } else {
    show("linger", linux_result(setsockopt(s, SOL_SOCKET, SO_LINGER, &value, sizeof value)));
  }
}

static void congestion(int s, const char *name) {
  if (machine) {
    memcpy(skerry_memory(machine).bytes + 4096, name, strlen(name));
    show(name, sys(SET_DATA, s, 25, data_at(), (uint32_t)strlen(name)));
  } else {
    show(name, linux_result(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name))));
  }
}

/// A byte of TCP_INFO; its first is the state.
static void state(int s) {
  uint8_t info[256] = {0};
  socklen_t length = 104;
  if (machine) {
    int result = sys(GET_DATA, s, 26, data_at(), length);
    show("TCP_INFO length", result);
    memcpy(info, skerry_memory(machine).bytes + 4096, length);
  } else {
    show("TCP_INFO length", getsockopt(s, IPPROTO_TCP, TCP_INFO, info, &length) < 0 ? -errno : (int)length);
  }
  show("state", info[0]);
}

#define SHOW(call) show(#call, call)
static void look(int s) { show("poll", do_poll(s)), get(s, ERROR), show("poll", do_poll(s)); }

// ---- Beginnings ----------------------------------------------------------------------------------

static int l, c, s;  // A listener, who connects to it, and the connection that it accepts.
static uint16_t port;

static void listening(void) {
  l = new_socket();
  if (do_bind(l, 0, 0) || do_listen(l, 5)) exit(2);
  port = (uint16_t)port_of(l);
}

static void pair(void) {
  listening();
  c = new_socket();
  do_connect(c, port);
  settle();
  s = do_accept(l);
  if (s < 0) exit(2);
}

static uint16_t closed_port(void) {
  listening();
  do_close(l);
  settle();
  return port;
}

static void reset_by(int who) {
  set_linger(who, 1, 0);
  SHOW(do_close(who));
  settle();
}

// ---- Scenarios -----------------------------------------------------------------------------------

static void fresh(void) { c = new_socket(); SHOW(do_poll(c)); SHOW(do_receive(c, 9, 0)); SHOW(do_peer(c)); SHOW(do_shutdown(c, 2)); SHOW(do_accept(c)); state(c); SHOW(do_shutdown(c, 7)); }
static void fresh_send(void) { c = new_socket(); SHOW(do_send(c, 9, 0)); }
static void bound_twice(void) { c = new_socket(); SHOW(do_bind(c, 0, 0)); SHOW(do_bind(c, 0, 0)); }
static void bind_foreign(void) { c = new_socket(); SHOW(do_bind(c, 0xcb007107, 0)); }
static void bind_taken(void) { listening(); c = new_socket(); SHOW(do_bind(c, 0, port)); SHOW(do_bind(c, INADDR_LOOPBACK, port)); }
static void reuse_listening(void) { l = new_socket(); set(l, REUSE, 1); SHOW(do_bind(l, 0, 0)); SHOW(do_listen(l, 1)); c = new_socket(); set(c, REUSE, 1); SHOW(do_bind(c, 0, (uint16_t)port_of(l))); }
static void reuse_bound(void) { l = new_socket(); set(l, REUSE, 1); SHOW(do_bind(l, 0, 0)); c = new_socket(); SHOW(do_bind(c, 0, (uint16_t)port_of(l))); set(c, REUSE, 1); SHOW(do_bind(c, 0, (uint16_t)port_of(l))); SHOW(do_listen(l, 1)); SHOW(do_listen(c, 1)); }
static void listener(void) { listening(); SHOW(do_poll(l)); SHOW(do_accept(l)); SHOW(do_receive(l, 1, 0)); SHOW(do_peer(l)); SHOW(do_listen(l, 9)); get(l, ACCEPTCONN); state(l); }
static void listener_send(void) { listening(); SHOW(do_send(l, 1, 0)); }
static void listener_connect(void) { listening(); SHOW(do_connect(l, port)); }
static void listener_shut_write(void) { listening(); SHOW(do_shutdown(l, 1)); SHOW(do_poll(l)); get(l, ACCEPTCONN); }
static void listener_shut_read(void) { listening(); SHOW(do_shutdown(l, 0)); look(l); SHOW(do_accept(l)); get(l, ACCEPTCONN); SHOW(do_listen(l, 1)); SHOW(do_poll(l)); }
static void listener_ready(void) { listening(); c = new_socket(); SHOW(do_connect(c, port)); settle(); SHOW(do_poll(l)); s = do_accept(l); SHOW(do_poll(l)); SHOW(do_poll(s)); get(s, ACCEPTCONN); state(s); }
static void connect_calls(void) { listening(); c = new_socket(); SHOW(do_connect(c, port)); settle(); SHOW(do_poll(c)); get(c, ERROR); SHOW(do_connect(c, port)); SHOW(do_connect(c, port)); SHOW(do_listen(c, 1)); }
static void connect_refused(void) { uint16_t p = closed_port(); c = new_socket(); SHOW(do_connect(c, p)); settle(); SHOW(do_poll(c)); get(c, ERROR); SHOW(do_poll(c)); SHOW(do_receive(c, 1, 0)); SHOW(do_connect(c, p)); SHOW(do_poll(c)); SHOW(do_connect(c, p)); settle(); get(c, ERROR); }
static void connect_refused_twice(void) { uint16_t p = closed_port(); c = new_socket(); SHOW(do_connect(c, p)); settle(); SHOW(do_connect(c, p)); get(c, ERROR); listening(); SHOW(do_connect(c, port)); settle(); SHOW(do_poll(c)); }
static void connect_refused_read(void) { uint16_t p = closed_port(); c = new_socket(); SHOW(do_connect(c, p)); settle(); SHOW(do_receive(c, 1, 0)); SHOW(do_receive(c, 1, 0)); SHOW(do_send(c, 1, 0)); get(c, ERROR); SHOW(do_shutdown(c, 2)); }
static void connect_refused_send(void) { uint16_t p = closed_port(); c = new_socket(); SHOW(do_connect(c, p)); settle(); SHOW(do_send(c, 1, 0)); SHOW(do_send(c, 1, 0)); get(c, ERROR); SHOW(do_peer(c)); }
static void reuse_port(void) { l = new_socket(); set(l, GROUP, 1); get(l, GROUP); SHOW(do_bind(l, 0, 0)); SHOW(do_listen(l, 1)); c = new_socket(); SHOW(do_bind(c, 0, (uint16_t)port_of(l))); set(c, REUSE, 1); SHOW(do_bind(c, 0, (uint16_t)port_of(l))); set(c, GROUP, 1); SHOW(do_bind(c, 0, (uint16_t)port_of(l))); SHOW(do_listen(c, 1)); }
static void reuse_port_late(void) { l = new_socket(); SHOW(do_bind(l, 0, 0)); set(l, GROUP, 1); c = new_socket(); set(c, GROUP, 1); SHOW(do_bind(c, 0, (uint16_t)port_of(l))); SHOW(do_listen(l, 1)); SHOW(do_listen(c, 1)); }
static void same_tuple(void) { pair(); int d = new_socket(); set(d, REUSE, 1); SHOW(do_bind(d, INADDR_LOOPBACK, (uint16_t)port_of(c))); }
static void open_pair(void) { pair(); look(c); look(s); SHOW(do_receive(c, 1, 0)); SHOW(do_receive(c, 0, 0)); SHOW(do_send(c, 0, 0)); SHOW(do_peer(c)); state(c); }
static void data(void) { pair(); SHOW(do_send(c, 100, 0)); settle(); SHOW(do_poll(s)); SHOW(do_receive(s, 60, 0)); SHOW(do_receive(s, 60, 0)); SHOW(do_receive(s, 60, 0)); SHOW(do_poll(s)); }
static void peek(void) { pair(); SHOW(do_send(c, 100, 0)); settle(); SHOW(do_receive(s, 60, PEEK)); SHOW(do_receive(s, 600, PEEK)); SHOW(do_receive(s, 600, 0)); SHOW(do_receive(s, 1, PEEK)); }
static void truncate_data(void) { pair(); SHOW(do_send(c, 100, 0)); settle(); SHOW(do_receive(s, 60, TRUNCATE)); SHOW(do_receive(s, 600, TRUNCATE | PEEK)); SHOW(do_receive(s, 600, 0)); }
static void low_water(void) { pair(); set(s, RCVLOWAT, 50); SHOW(do_send(c, 40, 0)); settle(); SHOW(do_poll(s)); SHOW(do_send(c, 10, 0)); settle(); SHOW(do_poll(s)); SHOW(do_receive(s, 100, 0)); set(s, RCVLOWAT, 0); get(s, RCVLOWAT); }
static void low_water_end(void) { pair(); set(s, RCVLOWAT, 50); SHOW(do_send(c, 40, 0)); SHOW(do_shutdown(c, 1)); settle(); SHOW(do_poll(s)); SHOW(do_receive(s, 100, 0)); SHOW(do_receive(s, 100, 0)); }
static void half_close(void) { pair(); SHOW(do_shutdown(c, 1)); SHOW(do_send(c, 1, 0)); SHOW(do_shutdown(c, 1)); settle(); look(c); look(s); state(c); state(s); SHOW(do_receive(s, 1, 0)); SHOW(do_receive(s, 1, 0)); SHOW(do_send(s, 5, 0)); settle(); SHOW(do_poll(c)); SHOW(do_receive(c, 9, 0)); SHOW(do_receive(c, 9, 0)); }
static void both_shut(void) { pair(); SHOW(do_shutdown(c, 1)); settle(); SHOW(do_shutdown(s, 1)); settle(); look(c); look(s); SHOW(do_receive(c, 1, 0)); SHOW(do_send(c, 1, 0)); SHOW(do_shutdown(c, 1)); SHOW(do_shutdown(s, 1)); SHOW(do_peer(c)); SHOW(do_peer(s)); state(c); state(s); SHOW(do_connect(c, port)); }
static void shut_read(void) { pair(); SHOW(do_shutdown(c, 0)); look(c); SHOW(do_receive(c, 1, 0)); SHOW(do_send(c, 7, 0)); settle(); SHOW(do_receive(s, 9, 0)); SHOW(do_poll(s)); SHOW(do_shutdown(c, 1)); SHOW(do_poll(c)); }
static void shut_read_data(void) { pair(); SHOW(do_send(s, 10, 0)); settle(); SHOW(do_shutdown(c, 0)); SHOW(do_receive(c, 4, 0)); SHOW(do_receive(c, 40, 0)); SHOW(do_receive(c, 4, 0)); }
static void shut_both_at_once(void) { pair(); SHOW(do_shutdown(c, 2)); settle(); look(c); look(s); SHOW(do_receive(c, 1, 0)); SHOW(do_send(c, 1, 0)); SHOW(do_receive(s, 1, 0)); }
static void close_peer(void) { pair(); SHOW(do_close(c)); settle(); look(s); SHOW(do_receive(s, 1, 0)); state(s); SHOW(do_send(s, 5, 0)); settle(); look(s); SHOW(do_send(s, 5, 0)); SHOW(do_receive(s, 1, 0)); SHOW(do_peer(s)); }
static void close_unread(void) { pair(); SHOW(do_send(s, 10, 0)); settle(); SHOW(do_close(c)); settle(); SHOW(do_poll(s)); SHOW(do_receive(s, 1, 0)); SHOW(do_receive(s, 1, 0)); SHOW(do_send(s, 1, 0)); look(s); }
static void reset_read(void) { pair(); reset_by(c); SHOW(do_poll(s)); SHOW(do_receive(s, 1, 0)); SHOW(do_receive(s, 1, 0)); SHOW(do_poll(s)); SHOW(do_send(s, 1, 0)); SHOW(do_shutdown(s, 1)); SHOW(do_peer(s)); state(s); SHOW(do_connect(s, port)); }
static void reset_send(void) { pair(); reset_by(c); SHOW(do_send(s, 1, 0)); SHOW(do_send(s, 1, 0)); SHOW(do_receive(s, 1, 0)); get(s, ERROR); }
static void reset_error(void) { pair(); reset_by(c); look(s); SHOW(do_receive(s, 1, 0)); SHOW(do_send(s, 1, 0)); }
static void reset_with_data(void) { pair(); SHOW(do_send(c, 30, 0)); settle(); reset_by(c); SHOW(do_poll(s)); SHOW(do_receive(s, 20, 0)); SHOW(do_receive(s, 20, 0)); SHOW(do_receive(s, 20, 0)); SHOW(do_receive(s, 20, 0)); }
static void reset_in_close_wait(void) { pair(); SHOW(do_shutdown(c, 1)); settle(); reset_by(c); SHOW(do_poll(s)); SHOW(do_receive(s, 1, 0)); SHOW(do_send(s, 1, 0)); SHOW(do_send(s, 1, 0)); get(s, ERROR); }
static void reset_in_fin_wait(void) { pair(); SHOW(do_shutdown(s, 1)); settle(); reset_by(c); SHOW(do_poll(s)); SHOW(do_receive(s, 1, 0)); SHOW(do_receive(s, 1, 0)); SHOW(do_send(s, 1, 0)); }
static void reset_unaccepted(void) { listening(); c = new_socket(); do_connect(c, port); settle(); reset_by(c); SHOW(do_poll(l)); s = do_accept(l); SHOW(s < 0 ? s : 0); }
static void ended_unaccepted(void) { listening(); c = new_socket(); do_connect(c, port); settle(); SHOW(do_send(c, 8, 0)); SHOW(do_close(c)); settle(); s = do_accept(l); SHOW(s < 0); SHOW(do_poll(s)); SHOW(do_receive(s, 20, 0)); SHOW(do_receive(s, 20, 0)); }
static void listener_closed(void) { listening(); c = new_socket(); do_connect(c, port); settle(); SHOW(do_close(l)); settle(); SHOW(do_poll(c)); SHOW(do_receive(c, 1, 0)); }
static void linger_positive(void) { pair(); set_linger(c, 1, 5); SHOW(do_close(c)); settle(); SHOW(do_poll(s)); SHOW(do_receive(s, 1, 0)); }
static void full(void) { pair(); while (do_send(c, 65536, 0) > 0) settle(); SHOW(do_send(c, 1, 0)); SHOW(do_poll(c)); while (do_receive(s, 65536, 0) > 0 || (settle(), do_receive(s, 65536, 0)) > 0) {} SHOW(do_poll(c)); SHOW(do_send(c, 1, 0)); }
static void corked(void) { pair(); set(c, CORK, 1); get(c, CORK); SHOW(do_send(c, 10, 0)); SHOW(do_send(c, 10, 0)); if (!machine) settle(); SHOW(do_poll(s)); set(c, CORK, 0); settle(); SHOW(do_receive(s, 99, 0)); }
static void corked_end(void) { pair(); set(c, CORK, 1); SHOW(do_send(c, 10, 0)); SHOW(do_shutdown(c, 1)); settle(); SHOW(do_receive(s, 99, 0)); SHOW(do_receive(s, 99, 0)); }
static void more(void) { pair(); SHOW(do_send(c, 10, 1)); SHOW(do_send(c, 10, 1)); SHOW(do_send(c, 10, 0)); settle(); SHOW(do_receive(s, 99, 0)); }
static void closed_number(void) { c = new_socket(); SHOW(do_close(c)); SHOW(do_close(c)); SHOW(do_send(c, 1, 0)); SHOW(do_receive(c, 1, 0)); SHOW(do_listen(c, 1)); SHOW(do_connect(c, 9)); SHOW(do_shutdown(c, 0)); }
static void types(void) { c = new_socket(); get(c, TYPE); get(c, DOMAIN); get(c, PROTOCOL); get(c, ACCEPTCONN); set(c, TYPE, 1); set(c, ERROR, 0); set(c, ACCEPTCONN, 1); set(c, NONE, 1); get(c, NONE); }
static void switches(void) { c = new_socket(); get(c, NODELAY); set(c, NODELAY, 5); get(c, NODELAY); get(c, KEEPALIVE); set(c, KEEPALIVE, 1); get(c, KEEPALIVE); get(c, REUSE); set(c, REUSE, 1); get(c, REUSE); get(c, CORK); }
static void keepalive(void) { c = new_socket(); get(c, KEEPIDLE); get(c, KEEPINTVL); get(c, KEEPCNT); set(c, KEEPIDLE, 0); set(c, KEEPIDLE, 32768); set(c, KEEPIDLE, 32767); get(c, KEEPIDLE); set(c, KEEPINTVL, 0); set(c, KEEPINTVL, -1); set(c, KEEPINTVL, 3); get(c, KEEPINTVL); set(c, KEEPCNT, 128); set(c, KEEPCNT, 0); set(c, KEEPCNT, 127); get(c, KEEPCNT); }
static void timeouts(void) { c = new_socket(); get(c, USER_TIMEOUT); set(c, USER_TIMEOUT, -1); set(c, USER_TIMEOUT, 1500); get(c, USER_TIMEOUT); set(c, SYNCNT, 0); set(c, SYNCNT, 128); set(c, SYNCNT, 3); get(c, SYNCNT); get(c, LINGER2); set(c, LINGER2, 30); get(c, LINGER2); set(c, LINGER2, -7); get(c, LINGER2); set(c, LINGER2, 500); get(c, LINGER2); }
static void sizes(void) { c = new_socket(); get(c, MAXSEG); set(c, MAXSEG, 87); set(c, MAXSEG, 32768); set(c, MAXSEG, 1000); get(c, MAXSEG); get(c, NOTSENT); set(c, NOTSENT, 9000); get(c, NOTSENT); get(c, RCVLOWAT); set(c, RCVLOWAT, 100); get(c, RCVLOWAT); }
static void ip_options(void) { c = new_socket(); get(c, TOS); set(c, TOS, 0x10); get(c, TOS); get(c, TTL); set(c, TTL, 0); set(c, TTL, 256); set(c, TTL, 5); get(c, TTL); set(c, TTL, -1); get(c, TTL); }
static void congestion_names(void) { c = new_socket(); congestion(c, "reno"); congestion(c, "cubic"); congestion(c, "nonesuch"); congestion(c, "ren"); }
static void inherited(void) { listening(); set(l, NODELAY, 1); set(l, KEEPALIVE, 1); set(l, KEEPIDLE, 77); set(l, USER_TIMEOUT, 999); set(l, RCVLOWAT, 3); set(l, TTL, 9); c = new_socket(); do_connect(c, port); settle(); s = do_accept(l); get(s, NODELAY); get(s, KEEPALIVE); get(s, KEEPIDLE); get(s, USER_TIMEOUT); get(s, RCVLOWAT); get(s, TTL); }

#define S(name) {#name, name}
static const struct { const char *name; void (*run)(void); } SCENARIOS[] = {
  S(fresh), S(fresh_send), S(bound_twice), S(bind_foreign), S(bind_taken), S(reuse_listening), S(reuse_bound), S(reuse_port), S(reuse_port_late), S(listener),
  S(listener_send), S(listener_connect), S(listener_shut_write), S(listener_shut_read), S(listener_ready), S(connect_calls),
  S(connect_refused), S(connect_refused_twice), S(connect_refused_read), S(connect_refused_send), S(same_tuple), S(open_pair),
  S(data), S(peek), S(truncate_data), S(low_water), S(low_water_end), S(half_close), S(both_shut), S(shut_read),
  S(shut_read_data), S(shut_both_at_once), S(close_peer), S(close_unread), S(reset_read), S(reset_send), S(reset_error),
  S(reset_with_data), S(reset_in_close_wait), S(reset_in_fin_wait), S(reset_unaccepted), S(ended_unaccepted),
  S(listener_closed), S(linger_positive), S(full), S(corked), S(corked_end), S(more), S(closed_number), S(types), S(switches),
  S(keepalive), S(timeouts), S(sizes), S(ip_options), S(congestion_names), S(inherited),
};

int main(int count, char **words) {
  bool skerry = count > 1 && !strcmp(words[1], "skerry");
  for (size_t i = 0; i < sizeof SCENARIOS / sizeof *SCENARIOS; i++) {
    scenario = SCENARIOS[i].name;
    calls = 0;
    // A machine, and on Linux descriptors, of its own.
    if (skerry) machine = skerry_start(&(struct skerry_config){.seed = 1, .command_line = "ip=10.0.0.1/24 ip6=off"});
    if (skerry && !machine) return 2;
    if (skerry) settle();
    SCENARIOS[i].run();
    if (skerry) skerry_stop(machine);
    else close_range(3, ~0u, 0);
  }
  return 0;
}
