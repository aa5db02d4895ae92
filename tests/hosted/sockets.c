// The same socket calls on Linux and on Skerry, over each one's loopback: `sockets linux|skerry [part parts]` prints
// every call's result, a line each, for sockets.test.ts to compare. Nothing blocks on either side. Linux's part runs
// in a namespace with an interface of 10.77.0.0/24, as Skerry has one.

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
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
enum { PEEK = 1, TRUNCATE = 0x20, WAITALL = 0x100, MORE = 0x8000 };

static struct skerry *machine;  // Null: Linux.
static const char *scenario;
static int calls;

static void show(const char *what, int result) { printf("%s %d %s = %d\n", scenario, ++calls, what, result); }

static int sys(uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3) {
  return skerry_syscall(machine, number, a0, a1, a2, a3, 0);
}

static int linux_result(long result) { return result < 0 ? -errno : (int)result; }

static uint32_t data_at(void) { return skerry_memory(machine).address + 4096; }

/// An address, or any for 0.
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

static int do_connect_to(int s, uint32_t ip, uint16_t port) {
  if (machine) return sys(CONNECT, s, skerry_address(ip, port), 0, 0);
  struct sockaddr_in a = linux_address(ip, port);
  return linux_result(connect(s, (struct sockaddr *)&a, sizeof a));
}

static int do_connect(int s, uint16_t port) { return do_connect_to(s, INADDR_LOOPBACK, port); }

static char bytes[65536];

static int do_send(int s, int length, int more) {
  if (machine) return sys(SEND, s, data_at(), length, more ? MORE : 0);
  return linux_result(send(s, bytes, length, MSG_NOSIGNAL | (more ? MSG_MORE : 0)));
}

static int do_receive(int s, int length, int flags) {
  if (machine) return sys(RECEIVE, s, data_at(), length, flags);
  int its = (flags & PEEK ? MSG_PEEK : 0) | (flags & TRUNCATE ? MSG_TRUNC : 0) | (flags & WAITALL ? MSG_WAITALL : 0);
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
  QUICKACK = {"TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 11}, CLAMP = {"TCP_WINDOW_CLAMP", IPPROTO_TCP, TCP_WINDOW_CLAMP, 19},
  DEFER = {"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 21}, FASTOPEN = {"TCP_FASTOPEN", IPPROTO_TCP, TCP_FASTOPEN, 22},
  FASTOPEN_CONNECT = {"TCP_FASTOPEN_CONNECT", IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 23},
  RCVBUF = {"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 5}, SNDBUF = {"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 6},
  CONGESTION = {"TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, 25}, INFO = {"TCP_INFO", IPPROTO_TCP, TCP_INFO, 26},
  LINGER = {"SO_LINGER", SOL_SOCKET, SO_LINGER, 9}, TTL = {"IP_TTL", IPPROTO_IP, IP_TTL, 28}, NONE = {"none", IPPROTO_TCP, 99, 99};

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

/// setsockopt with a value of any kind.
static int set_bytes(int s, struct option o, const void *value, uint32_t length) {
  if (!machine) return linux_result(setsockopt(s, o.level, o.its, value, length));
  memcpy(skerry_memory(machine).bytes + 4096, value, length);
  return sys(SET_DATA, s, o.ours, data_at(), length);
}

/// getsockopt likewise: bytes written.
static int get_bytes(int s, struct option o, void *value, uint32_t length) {
  socklen_t room = length;
  if (!machine) return getsockopt(s, o.level, o.its, value, &room) < 0 ? -errno : (int)room;
  int result = sys(GET_DATA, s, o.ours, data_at(), length);
  memcpy(value, skerry_memory(machine).bytes + 4096, length);
  return result;
}

static void set_linger(int s, int on, int seconds) {
  struct linger value = {on, seconds};
  show("linger", set_bytes(s, LINGER, &value, sizeof value));
}

static void get_linger(int s) {
  struct linger value = {0};
  show("get linger", get_bytes(s, LINGER, &value, sizeof value));
  show("on", value.l_onoff);
  show("seconds", value.l_linger);
}

static void congestion(int s, const char *name) { show(name, set_bytes(s, CONGESTION, name, (uint32_t)strlen(name))); }

/// TCP_INFO's first byte is the state.
static void state(int s) {
  uint8_t info[256] = {0};
  show("TCP_INFO length", get_bytes(s, INFO, info, 104));
  show("state", info[0]);
}

/// The fields of TCP_INFO that both stacks must agree on.
static void figures(int s) {
  struct tcp_info i = {0};
  get_bytes(s, INFO, &i, sizeof i);
  show("tcpi_state", i.tcpi_state), show("tcpi_ca_state", i.tcpi_ca_state), show("tcpi_options", i.tcpi_options);
  show("tcpi_retransmits", i.tcpi_retransmits), show("tcpi_probes", i.tcpi_probes), show("tcpi_backoff", i.tcpi_backoff);
  show("tcpi_unacked", (int)i.tcpi_unacked), show("tcpi_sacked", (int)i.tcpi_sacked), show("tcpi_lost", (int)i.tcpi_lost);
  show("tcpi_retrans", (int)i.tcpi_retrans), show("tcpi_total_retrans", (int)i.tcpi_total_retrans);
  show("tcpi_pmtu", (int)i.tcpi_pmtu), show("tcpi_snd_mss", (int)i.tcpi_snd_mss), show("tcpi_advmss", (int)i.tcpi_advmss);
  show("tcpi_reordering", (int)i.tcpi_reordering), show("tcpi_snd_ssthresh", (int)i.tcpi_snd_ssthresh);
  show("tcpi_bytes_acked", (int)i.tcpi_bytes_acked), show("tcpi_bytes_received", (int)i.tcpi_bytes_received);
  show("tcpi_bytes_sent", (int)i.tcpi_bytes_sent), show("tcpi_bytes_retrans", (int)i.tcpi_bytes_retrans);
  show("tcpi_data_segs_out", (int)i.tcpi_data_segs_out), show("tcpi_data_segs_in", (int)i.tcpi_data_segs_in);
  show("tcpi_notsent_bytes", (int)i.tcpi_notsent_bytes);
  show("tcpi_max_pacing_rate", (int)i.tcpi_max_pacing_rate), show("tcpi_rcv_ooopack", (int)i.tcpi_rcv_ooopack);
  show("tcpi_dsack_dups", (int)i.tcpi_dsack_dups), show("tcpi_reord_seen", (int)i.tcpi_reord_seen);
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
static void corked(void) { pair(); set(c, CORK, 1); get(c, CORK); SHOW(do_send(c, 10, 0)); SHOW(do_send(c, 10, 0)); if (machine) settle(); SHOW(do_poll(s)); set(c, CORK, 0); settle(); SHOW(do_receive(s, 99, 0)); }
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

// What no one answers: an address of the link that nobody has.
#define NOWHERE 0x0a4d0009

static void connecting(void) { c = new_socket(); SHOW(do_connect_to(c, NOWHERE, 80)); SHOW(do_connect_to(c, NOWHERE, 80)); SHOW(do_connect(c, 80)); look(c); SHOW(do_receive(c, 1, 0)); SHOW(do_send(c, 1, 0)); SHOW(do_peer(c)); SHOW(do_listen(c, 1)); SHOW(do_bind(c, 0, 0)); SHOW(do_accept(c)); SHOW(port_of(c) != 0); state(c); get(c, MAXSEG); set(c, KEEPALIVE, 1); set(c, CLAMP, 0); set(c, FASTOPEN, 1); set(c, FASTOPEN_CONNECT, 1); }
static void connecting_shut_write(void) { c = new_socket(); SHOW(do_connect_to(c, NOWHERE, 80)); SHOW(do_shutdown(c, 1)); look(c); SHOW(do_receive(c, 1, 0)); SHOW(do_peer(c)); SHOW(do_shutdown(c, 1)); state(c); SHOW(do_connect_to(c, NOWHERE, 80)); }
static void connecting_shut_read(void) { c = new_socket(); SHOW(do_connect_to(c, NOWHERE, 80)); SHOW(do_shutdown(c, 0)); look(c); state(c); listening(); SHOW(do_connect(c, port)); settle(); SHOW(do_connect(c, port)); SHOW(do_send(c, 1, 0)); }
static void connect_any(void) { listening(); c = new_socket(); SHOW(do_connect_to(c, 0, port)); settle(); SHOW(do_poll(c)); SHOW(do_peer(c)); SHOW(do_accept(l) > 0); }
static void connect_any_bound(void) { listening(); c = new_socket(); SHOW(do_bind(c, INADDR_LOOPBACK, 0)); SHOW(do_connect_to(c, 0, port)); settle(); SHOW(do_poll(c)); SHOW(do_accept(l) > 0); }
static void connect_port_0(void) { c = new_socket(); SHOW(do_connect(c, 0)); settle(); look(c); }
static void connect_many(void) { c = new_socket(); SHOW(do_connect_to(c, 0xe0000001, 80)); SHOW(do_connect_to(c, 0xffffffff, 80)); SHOW(do_connect_to(c, 0x0a4d00ff, 80)); look(c); }
static void connect_unreachable(void) { c = new_socket(); SHOW(do_connect_to(c, 0xcb007107, 80)); look(c); SHOW(do_peer(c)); listening(); SHOW(do_connect(c, port)); settle(); SHOW(do_poll(c)); }
static void connect_bound(void) { listening(); c = new_socket(); SHOW(do_bind(c, INADDR_LOOPBACK, 0)); uint16_t bound = (uint16_t)port_of(c); SHOW(do_connect(c, port)); settle(); SHOW(port_of(c) == bound); SHOW(do_bind(c, 0, 0)); SHOW(do_close(c)); }
static void connect_same_tuple(void) { pair(); int d = new_socket(); set(c, REUSE, 1); set(d, REUSE, 1); int e = do_bind(d, 0, (uint16_t)port_of(c)); SHOW(e); SHOW(do_connect(d, port)); look(d); }
static void connect_self(void) { c = new_socket(); SHOW(do_bind(c, INADDR_LOOPBACK, 0)); SHOW(do_connect(c, (uint16_t)port_of(c))); settle(); SHOW(do_poll(c)); SHOW(do_send(c, 5, 0)); settle(); SHOW(do_receive(c, 9, 0)); state(c); }
static void connect_closed_again(void) { pair(); SHOW(do_shutdown(c, 2)); settle(); SHOW(do_close(s)); settle(); SHOW(do_connect(c, port)); SHOW(do_listen(c, 1)); SHOW(do_accept(c)); SHOW(do_bind(c, 0, 0)); }
static void backlog_of(int most) { l = new_socket(); if (do_bind(l, 0, 0)) exit(2); SHOW(do_listen(l, most)); port = (uint16_t)port_of(l); for (int i = 0; i < 6; i++) { c = new_socket(); SHOW(do_connect(c, port)); settle(); SHOW(do_poll(c)); } for (int i = 0; i < 6; i++) SHOW(do_accept(l) > 0); }
static void backlog_0(void) { backlog_of(0); }
static void backlog_1(void) { backlog_of(1); }
static void backlog_3(void) { backlog_of(3); }
static void backlog_negative(void) { backlog_of(-1); }
static void backlog_info(void) { listening(); for (int i = 0; i < 2; i++) { c = new_socket(); do_connect(c, port); settle(); } struct tcp_info i = {0}; get_bytes(l, INFO, &i, sizeof i); show("waiting", (int)i.tcpi_unacked); show("backlog", (int)i.tcpi_sacked); SHOW(do_listen(l, 2)); get_bytes(l, INFO, &i, sizeof i); show("backlog", (int)i.tcpi_sacked); }
static void deferred(void) { listening(); set(l, DEFER, 5); get(l, DEFER); c = new_socket(); SHOW(do_connect(c, port)); settle(); SHOW(do_poll(c)); SHOW(do_poll(l)); SHOW(do_accept(l)); SHOW(do_send(c, 5, 0)); settle(); SHOW(do_poll(l)); s = do_accept(l); SHOW(do_poll(s)); SHOW(do_receive(s, 9, 0)); set(l, DEFER, 0); get(l, DEFER); }
static void deferred_end(void) { listening(); set(l, DEFER, 5); c = new_socket(); SHOW(do_connect(c, port)); settle(); SHOW(do_shutdown(c, 1)); settle(); SHOW(do_poll(l)); s = do_accept(l); SHOW(s > 0); SHOW(do_receive(s, 9, 0)); }
static void deferrals(void) { c = new_socket(); get(c, DEFER); int seconds[] = {1, 2, 3, 4, 7, 8, 31, 63, 64, 100, 200, -1}; for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) { set(c, DEFER, seconds[i]); get(c, DEFER); } }
static void quick(void) { c = new_socket(); get(c, QUICKACK); set(c, QUICKACK, 0); get(c, QUICKACK); set(c, QUICKACK, 1); get(c, QUICKACK); set(c, QUICKACK, 3); get(c, QUICKACK); }
static void clamp(void) { c = new_socket(); get(c, CLAMP); set(c, CLAMP, 0); set(c, CLAMP, 100); get(c, CLAMP); set(c, CLAMP, 50000); get(c, CLAMP); set(c, CLAMP, 0); }
static void fast_open(void) { c = new_socket(); get(c, FASTOPEN); set(c, FASTOPEN, -1); set(c, FASTOPEN, 5); get(c, FASTOPEN); set(c, FASTOPEN, 0); get(c, FASTOPEN); set(c, FASTOPEN, 100000); get(c, FASTOPEN); get(c, FASTOPEN_CONNECT); set(c, FASTOPEN_CONNECT, 2); set(c, FASTOPEN_CONNECT, 1); get(c, FASTOPEN_CONNECT); pair(); set(c, FASTOPEN, 5); set(c, FASTOPEN_CONNECT, 1); set(l, FASTOPEN, 5); get(l, FASTOPEN); get(s, FASTOPEN); }
static void fast_open_connect(void) { listening(); set(l, FASTOPEN, 5); c = new_socket(); set(c, FASTOPEN_CONNECT, 1); SHOW(do_connect(c, port)); settle(); SHOW(do_send(c, 5, 0) > 0); settle(); SHOW(do_poll(c)); s = do_accept(l); SHOW(s > 0); }
static void segments_of(int least) { listening(); set(l, MAXSEG, least); c = new_socket(); set(c, MAXSEG, 1000); get(c, MAXSEG); SHOW(do_connect(c, port)); settle(); s = do_accept(l); get(c, MAXSEG); get(s, MAXSEG); set(c, MAXSEG, 500); get(c, MAXSEG); set(c, MAXSEG, 0); get(c, MAXSEG); get(l, MAXSEG); }
static void segments_less(void) { segments_of(700); }
static void segments_more(void) { segments_of(1200); }
static void segments_dead(void) { pair(); set(c, MAXSEG, 600); reset_by(c); set(s, MAXSEG, 800); get(s, MAXSEG); }
static void dead_options(void) { pair(); reset_by(c); set(s, NODELAY, 1); get(s, NODELAY); set(s, CORK, 1); get(s, CORK); set(s, KEEPALIVE, 1); get(s, KEEPALIVE); set(s, KEEPIDLE, 5); get(s, KEEPIDLE); set(s, KEEPCNT, 5); set(s, KEEPINTVL, 5); set(s, USER_TIMEOUT, 5); get(s, USER_TIMEOUT); set(s, SYNCNT, 5); set(s, LINGER2, 5); set(s, QUICKACK, 1); set(s, RCVLOWAT, 5); set(s, NOTSENT, 5); set(s, DEFER, 5); set(s, TOS, 8); get(s, TOS); set(s, TTL, 8); get(s, TTL); congestion(s, "reno"); get(s, ACCEPTCONN); get(s, TYPE); set_linger(s, 1, 3); get_linger(s); state(s); look(s); }
static void ended_options(void) { pair(); SHOW(do_close(c)); settle(); set(s, NODELAY, 1); get(s, NODELAY); set(s, CORK, 1); get(s, CORK); set(s, KEEPALIVE, 1); get(s, KEEPALIVE); set(s, KEEPIDLE, 5); get(s, KEEPIDLE); set(s, USER_TIMEOUT, 5); get(s, USER_TIMEOUT); set(s, QUICKACK, 1); set(s, CLAMP, 0); set(s, CLAMP, 5000); set(s, FASTOPEN, 1); congestion(s, "reno"); set(s, REUSE, 1); get(s, REUSE); look(s); }
static void lingers(void) { c = new_socket(); get_linger(c); set_linger(c, 1, 5); get_linger(c); set_linger(c, 1, 0); get_linger(c); set_linger(c, 7, 3); get_linger(c); char few[8] = {1}; show("few", set_bytes(c, LINGER, few, 7)); show("get few", get_bytes(c, LINGER, few, 4)); show("get none", get_bytes(c, LINGER, few, 0)); }
static void linger_0_unread(void) { pair(); SHOW(do_send(s, 10, 0)); settle(); reset_by(c); look(s); SHOW(do_receive(s, 1, 0)); SHOW(do_send(s, 1, 0)); }
static void linger_0_unsent(void) { pair(); SHOW(do_send(c, 10, 1)); reset_by(c); SHOW(do_poll(s)); SHOW(do_receive(s, 20, 0)); SHOW(do_receive(s, 20, 0)); }
static void linger_inherited(void) { listening(); set_linger(l, 1, 0); c = new_socket(); do_connect(c, port); settle(); s = do_accept(l); get_linger(s); SHOW(do_close(s)); settle(); look(c); }
static void linger_0_shut(void) { pair(); SHOW(do_shutdown(c, 1)); settle(); SHOW(do_poll(s)); reset_by(c); SHOW(do_poll(s)); SHOW(do_receive(s, 1, 0)); SHOW(do_send(s, 1, 0)); }
static void linger_0_over(void) { pair(); SHOW(do_close(s)); settle(); SHOW(do_receive(c, 1, 0)); SHOW(do_shutdown(c, 1)); settle(); reset_by(c); SHOW(do_poll(l)); }
static void lengths(void) { c = new_socket(); char v[64] = {0}; for (uint32_t n = 0; n < 6; n++) { show("get NODELAY", get_bytes(c, NODELAY, v, n)); show("get ERROR", get_bytes(c, ERROR, v, n)); show("get KEEPALIVE", get_bytes(c, KEEPALIVE, v, n)); } for (uint32_t n = 0; n < 6; n++) { show("set NODELAY", set_bytes(c, NODELAY, v, n)); show("set KEEPALIVE", set_bytes(c, KEEPALIVE, v, n)); } }
static void info_lengths(void) { pair(); uint32_t sizes[] = {0, 1, 2, 8, 23, 92, 104, 192, 200}; char v[512]; for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) show("TCP_INFO", get_bytes(c, INFO, v, sizes[i])); memset(v, 0x55, sizeof v); get_bytes(c, INFO, v, 3); show("the fourth byte", machine ? 0x55 : v[3]); show("set", set_bytes(c, INFO, v, 104)); }
static void congestion_lengths(void) { c = new_socket(); congestion(c, "reno"); char v[32]; uint32_t sizes[] = {0, 1, 4, 5, 15, 16, 17, 32}; for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) { memset(v, 0x55, sizeof v); show("get", get_bytes(c, CONGESTION, v, sizes[i])); if (sizes[i] > 5) show("is reno", !strcmp(v, "reno")); } show("none", set_bytes(c, CONGESTION, "", 0)); show("with its end", set_bytes(c, CONGESTION, "cubic", 6)); show("long", set_bytes(c, CONGESTION, "renorenorenorenorenoreno", 24)); show("cut", set_bytes(c, CONGESTION, "reno\0cubic", 10)); pair(); congestion(c, "reno"); get_bytes(c, CONGESTION, v, 16); show("is reno", !strcmp(v, "reno")); }
static void figures_open(void) { pair(); figures(c); figures(s); }
static void figures_data(void) { pair(); SHOW(do_send(c, 1000, 0)); settle(); SHOW(do_receive(s, 600, 0)); SHOW(do_send(s, 300, 0)); settle(); SHOW(do_send(c, 20, 0)); settle(); figures(c); figures(s); }
static void figures_full(void) { pair(); set(c, NODELAY, 1); for (int i = 0; i < 5; i++) { SHOW(do_send(c, 100, 0)); settle(); } figures(c); figures(s); }
static void figures_corked(void) { pair(); SHOW(do_send(c, 100, 1)); figures(c); SHOW(do_send(c, 0, 0)); }
static void figures_ended(void) { pair(); SHOW(do_send(c, 100, 0)); settle(); SHOW(do_shutdown(c, 1)); settle(); figures(c); figures(s); }
static void figures_dead(void) { pair(); SHOW(do_send(c, 100, 0)); settle(); reset_by(c); figures(s); }
static void peek_many(void) { pair(); set(c, NODELAY, 1); for (int i = 0; i < 3; i++) { SHOW(do_send(c, 100, 0)); settle(); } SHOW(do_receive(s, 1000, PEEK)); SHOW(do_receive(s, 150, PEEK)); SHOW(do_receive(s, 50, 0)); SHOW(do_receive(s, 1000, PEEK)); SHOW(do_receive(s, 120, TRUNCATE)); SHOW(do_receive(s, 1000, PEEK | TRUNCATE)); SHOW(do_receive(s, 1000, 0)); SHOW(do_receive(s, 1000, PEEK)); SHOW(do_shutdown(c, 1)); settle(); SHOW(do_receive(s, 9, PEEK)); SHOW(do_receive(s, 9, PEEK | TRUNCATE)); SHOW(do_receive(s, 9, TRUNCATE)); }
static void wait_all(void) { pair(); SHOW(do_receive(s, 100, WAITALL)); SHOW(do_send(c, 100, 0)); settle(); SHOW(do_receive(s, 300, WAITALL | PEEK)); SHOW(do_receive(s, 300, WAITALL)); }
static void nothing_to_read(void) { pair(); SHOW(do_receive(s, 0, 0)); SHOW(do_receive(s, 0, PEEK)); SHOW(do_send(c, 5, 0)); settle(); SHOW(do_receive(s, 0, 0)); SHOW(do_receive(s, 0, PEEK)); SHOW(do_shutdown(c, 1)); settle(); SHOW(do_receive(s, 0, 0)); SHOW(do_receive(s, 9, 0)); SHOW(do_receive(s, 0, 0)); SHOW(do_send(s, 0, 0)); SHOW(do_shutdown(s, 1)); SHOW(do_send(s, 0, 0)); reset_by(c); SHOW(do_receive(s, 0, 0)); }
static void shut_read_later_data(void) { pair(); SHOW(do_shutdown(c, 0)); SHOW(do_send(s, 10, 0)); settle(); SHOW(do_poll(c)); SHOW(do_poll(s)); SHOW(do_receive(c, 40, 0)); SHOW(do_receive(c, 40, 0)); SHOW(do_send(s, 10, 0)); SHOW(do_shutdown(s, 1)); settle(); look(c); SHOW(do_send(c, 5, 0)); settle(); SHOW(do_receive(s, 9, 0)); SHOW(do_shutdown(c, 1)); settle(); look(c); look(s); }
static void shut_read_twice(void) { pair(); SHOW(do_shutdown(c, 0)); SHOW(do_shutdown(c, 0)); SHOW(do_shutdown(c, 2)); SHOW(do_shutdown(c, 0)); settle(); look(c); look(s); state(c); }
static void shut_late(void) { pair(); SHOW(do_close(c)); settle(); SHOW(do_shutdown(s, 0)); SHOW(do_poll(s)); SHOW(do_shutdown(s, 1)); settle(); SHOW(do_poll(s)); SHOW(do_shutdown(s, 1)); SHOW(do_shutdown(s, 0)); SHOW(do_receive(s, 1, 0)); state(s); }
static void closing_both(void) { pair(); SHOW(do_shutdown(c, 1)); SHOW(do_shutdown(s, 1)); settle(); look(c); look(s); SHOW(do_shutdown(c, 2)); SHOW(do_shutdown(s, 2)); }
static void half_close_data(void) { pair(); SHOW(do_send(c, 50, 0)); SHOW(do_shutdown(c, 1)); settle(); SHOW(do_poll(s)); SHOW(do_receive(s, 20, PEEK)); SHOW(do_receive(s, 20, 0)); SHOW(do_poll(s)); SHOW(do_receive(s, 90, 0)); SHOW(do_poll(s)); SHOW(do_receive(s, 90, 0)); SHOW(do_send(s, 70, 0)); SHOW(do_close(s)); settle(); SHOW(do_poll(c)); SHOW(do_receive(c, 90, 0)); SHOW(do_receive(c, 90, 0)); look(c); }
static void close_answered(void) { pair(); SHOW(do_close(c)); settle(); SHOW(do_send(s, 5, 0)); settle(); SHOW(do_receive(s, 1, 0)); SHOW(do_receive(s, 1, 0)); SHOW(do_shutdown(s, 1)); SHOW(do_shutdown(s, 0)); get(s, ERROR); state(s); }
static void close_answered_error(void) { pair(); SHOW(do_close(c)); settle(); SHOW(do_send(s, 5, 0)); settle(); get(s, ERROR); SHOW(do_send(s, 5, 0)); get(s, ERROR); SHOW(do_receive(s, 1, 0)); }
static void reset_shut_read(void) { pair(); SHOW(do_shutdown(s, 0)); reset_by(c); look(s); SHOW(do_receive(s, 1, 0)); SHOW(do_send(s, 1, 0)); }
static void reset_peek(void) { pair(); SHOW(do_send(c, 30, 0)); settle(); reset_by(c); SHOW(do_receive(s, 20, PEEK)); SHOW(do_receive(s, 20, PEEK)); SHOW(do_receive(s, 20, 0)); get(s, ERROR); }
static void reset_then_connect(void) { pair(); reset_by(c); get(s, ERROR); SHOW(do_connect(s, port)); SHOW(do_listen(s, 1)); SHOW(do_bind(s, 0, 0)); SHOW(do_accept(s)); }
static void cork_no_delay(void) { pair(); set(c, CORK, 1); SHOW(do_send(c, 10, 0)); if (machine) settle(); SHOW(do_poll(s)); set(c, NODELAY, 1); settle(); SHOW(do_receive(s, 99, 0)); get(c, CORK); get(c, NODELAY); }
static void more_end(void) { pair(); SHOW(do_send(c, 10, 1)); SHOW(do_close(c)); settle(); SHOW(do_receive(s, 99, 0)); SHOW(do_receive(s, 99, 0)); }
static void buffers(void) { c = new_socket(); int sizes[] = {0, 1, 5000, 65536, 100000}; for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) { int value = 0; set(c, RCVBUF, sizes[i]); get_bytes(c, RCVBUF, &value, 4); SHOW(value >= sizes[i]); SHOW(value > 0); set(c, SNDBUF, sizes[i]); get_bytes(c, SNDBUF, &value, 4); SHOW(value >= sizes[i]); SHOW(value > 0); } set(c, RCVBUF, -1); set(c, SNDBUF, -1); set(c, RCVBUF, 0x7fffffff); set(c, SNDBUF, 0x7fffffff); }
static void reuse_time_wait(void) { listening(); set(l, REUSE, 1); c = new_socket(); do_connect(c, port); settle(); s = do_accept(l); SHOW(do_close(s)); settle(); SHOW(do_close(c)); settle(); SHOW(do_close(l)); settle(); l = new_socket(); set(l, REUSE, 1); SHOW(do_bind(l, 0, port)); SHOW(do_listen(l, 1)); c = new_socket(); SHOW(do_connect(c, port)); settle(); SHOW(do_accept(l) > 0); }
static void time_wait_bind(void) { pair(); SHOW(do_close(s)); settle(); SHOW(do_close(c)); settle(); SHOW(do_close(l)); settle(); l = new_socket(); SHOW(do_bind(l, 0, port)); }
static void connect_retried_as_listener(void) { uint16_t p = closed_port(); c = new_socket(); SHOW(do_connect(c, p)); settle(); SHOW(do_connect(c, p)); SHOW(do_listen(c, 1)); SHOW(do_poll(c)); int d = new_socket(); SHOW(do_connect(d, (uint16_t)port_of(c))); settle(); SHOW(do_accept(c) > 0); }
static void listener_left(void) { pair(); SHOW(do_close(l)); settle(); SHOW(do_send(c, 5, 0)); settle(); SHOW(do_receive(s, 9, 0)); look(s); int d = new_socket(); SHOW(do_connect(d, port)); settle(); get(d, ERROR); }
static void listener_shut_clients(void) { listening(); c = new_socket(); do_connect(c, port); settle(); SHOW(do_shutdown(l, 2)); settle(); look(c); SHOW(do_accept(l)); SHOW(do_close(l)); }
static void not_sent(void) { c = new_socket(); set(c, NOTSENT, -1); int value = 7; SHOW(get_bytes(c, NOTSENT, &value, 4)); show("value", value); set(c, LINGER2, -1); SHOW(get_bytes(c, LINGER2, &value, 4)); show("value", value); }

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
  S(connecting), S(connecting_shut_write), S(connecting_shut_read), S(connect_any), S(connect_any_bound),
  S(connect_port_0), S(connect_many), S(connect_unreachable), S(connect_bound), S(connect_same_tuple),
  S(connect_self), S(connect_closed_again), S(backlog_0), S(backlog_1), S(backlog_3), S(backlog_negative),
  S(backlog_info), S(deferred), S(deferred_end), S(deferrals), S(quick), S(clamp), S(fast_open), S(fast_open_connect),
  S(segments_less), S(segments_more), S(segments_dead), S(dead_options), S(ended_options), S(lingers),
  S(linger_0_unread), S(linger_0_unsent), S(linger_inherited), S(linger_0_shut), S(linger_0_over), S(lengths),
  S(info_lengths), S(congestion_lengths), S(figures_open), S(figures_data), S(figures_full), S(figures_corked),
  S(figures_ended), S(figures_dead), S(peek_many), S(wait_all), S(nothing_to_read), S(shut_read_later_data),
  S(shut_read_twice), S(shut_late), S(closing_both), S(half_close_data), S(close_answered), S(close_answered_error),
  S(reset_shut_read), S(reset_peek), S(reset_then_connect), S(cork_no_delay), S(more_end), S(buffers),
  S(reuse_time_wait), S(time_wait_bind), S(connect_retried_as_listener), S(listener_left), S(listener_shut_clients),
  S(not_sent),
};

int main(int count, char **words) {
  bool skerry = count > 1 && !strcmp(words[1], "skerry");
  size_t part = count > 3 ? (size_t)atoi(words[2]) : 0, parts = count > 3 ? (size_t)atoi(words[3]) : 1;
  for (size_t i = part; i < sizeof SCENARIOS / sizeof *SCENARIOS; i += parts) {
    scenario = SCENARIOS[i].name;
    calls = 0;
    // A machine, and on Linux descriptors, of its own.
    if (skerry) machine = skerry_start(&(struct skerry_config){.seed = 1, .command_line = "ip=10.77.0.2/24 ip6=off"});
    if (skerry && !machine) return 2;
    if (skerry) settle();
    SCENARIOS[i].run();
    if (skerry) skerry_stop(machine);
    else close_range(3, ~0u, 0);
  }
  return 0;
}
