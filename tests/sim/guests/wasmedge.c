// WasmEdge's sockets as wasmedge_wasi_socket and others import them, both versions of each call: a line for each
// that was made, over the loopback of one machine.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(name)))
typedef uint32_t u32;
struct address { void *bytes; u32 length; };
struct buffer { const void *at; u32 length; };

IMPORT("sock_open") u32 sock_open(u32 family, u32 type, u32 *fd);
IMPORT("sock_open_v2") u32 sock_open_v2(u32 family, u32 type, u32 *fd);
IMPORT("sock_bind") u32 sock_bind(u32 fd, const struct address *, u32 port);
IMPORT("sock_bind_v2") u32 sock_bind_v2(u32 fd, const struct address *, u32 port);
IMPORT("sock_listen") u32 sock_listen(u32 fd, u32 backlog);
IMPORT("sock_connect") u32 sock_connect(u32 fd, const struct address *, u32 port);
IMPORT("sock_connect_v2") u32 sock_connect_v2(u32 fd, const struct address *, u32 port);
IMPORT("sock_accept") u32 sock_accept_v1(u32 fd, u32 *into);
IMPORT("sock_accept_v2") u32 sock_accept_v2(u32 fd, u32 flags, u32 *into);
IMPORT("sock_send") u32 sock_send(u32 fd, const struct buffer *, u32 count, u32 flags, u32 *sent);
IMPORT("sock_recv") u32 sock_recv(u32 fd, const struct buffer *, u32 count, u32 flags, u32 *got, uint16_t *out);
IMPORT("sock_send_to")
u32 sock_send_to(u32 fd, const struct buffer *, u32 count, const struct address *, u32 port, u32 flags, u32 *sent);
IMPORT("sock_recv_from")
u32 sock_recv_from(u32 fd, const struct buffer *, u32 count, struct address *, u32 flags, u32 *got, uint16_t *out);
IMPORT("sock_recv_from")
u32 sock_recv_from_v2(u32 fd, const struct buffer *, u32 count, struct address *, u32 flags, uint16_t *port, u32 *got, uint16_t *out);
IMPORT("sock_getlocaladdr") u32 sock_getlocaladdr(u32 fd, struct address *, u32 *type, u32 *port);
IMPORT("sock_getlocaladdr_v2") u32 sock_getlocaladdr_v2(u32 fd, struct address *, u32 *port);
IMPORT("sock_getpeeraddr") u32 sock_getpeeraddr(u32 fd, struct address *, u32 *type, u32 *port);
IMPORT("sock_getpeeraddr_v2") u32 sock_getpeeraddr_v2(u32 fd, struct address *, u32 *port);
IMPORT("sock_getsockopt") u32 sock_getsockopt(u32 fd, u32 level, u32 name, void *into, u32 *size);
IMPORT("sock_setsockopt") u32 sock_setsockopt(u32 fd, u32 level, u32 name, const void *from, u32 size);
IMPORT("epoll_oneoff") u32 epoll_oneoff(const void *in, void *out, u32 count, u32 *events);
IMPORT("fd_close") u32 fd_close(u32 fd);

enum { INET4 = 1, INET6 = 2, DATAGRAM = 1, STREAM = 2 };

static void say(const char *call, u32 error) { printf("%s: %u\n", call, (unsigned)error); }
#define SAY(call) say(#call, call)

static uint8_t loopback4[4] = {127, 0, 0, 1}, loopback6[16] = {[15] = 1}, none6[16];
static struct address v4 = {loopback4, 4}, v6 = {loopback6, 16}, any6 = {none6, 16};

// 128 bytes: the family, then the address.
static uint8_t storage[128];
static struct address stored = {storage, 128};
static const struct address *store(int family, const uint8_t *bytes, int length) {
  memset(storage, 0, sizeof storage);
  storage[0] = (uint8_t)family;
  memcpy(storage + 2, bytes, (size_t)length);
  return &stored;
}
static void say_stored(u32 port) {
  printf("  family %d", storage[0] | storage[1] << 8);
  for (int i = 0; i < (storage[0] == INET6 ? 16 : 4); i++) printf("%c%02x", i ? ':' : ' ', storage[2 + i]);
  printf(" port %u\n", (unsigned)port);
}

static void streams(const char *title, u32 family, struct address *at, const uint8_t *bytes, int length) {
  u32 listener, client, server, done, type = 0, port = 0;
  uint16_t out;
  char text[32] = "";
  printf("-- %s\n", title);
  SAY(sock_open_v2(family, STREAM, &listener));
  SAY(sock_bind(listener, at, 7001));
  SAY(sock_listen(listener, 4));
  SAY(sock_open(family, STREAM, &client));
  SAY(sock_connect_v2(client, store((int)family, bytes, length), 7001));
  SAY(sock_accept_v1(listener, &server));
  struct buffer two[2] = {{"hello, ", 7}, {"stream", 6}}, halves[2] = {{text, 5}, {text + 16, 10}};
  SAY(sock_send(client, two, 2, 0, &done));
  SAY(sock_recv(server, halves, 2, 0, &done, &out));
  printf("  %.5s|%.8s of %u\n", text, text + 16, (unsigned)done);
  uint8_t room[16];
  struct address into = {room, 16};
  SAY(sock_getpeeraddr(client, &into, &type, &port));
  printf("  type %u, %s, port %u\n", (unsigned)type, memcmp(room, bytes, (size_t)length) ? "another" : "the same", (unsigned)port);
  SAY(sock_getpeeraddr_v2(client, &stored, &port));
  say_stored(port);
  SAY(sock_getlocaladdr_v2(listener, &stored, &port));
  say_stored(port);
  into.length = 4;
  SAY(sock_getlocaladdr(listener, &into, &type, &port));
  SAY(sock_getpeeraddr_v2(client, &into, &port));
  SAY(sock_getpeeraddr(listener, &stored, &type, &port));
  into.length = 16;
  SAY(sock_getpeeraddr(listener, &into, &type, &port));
  SAY(fd_close(client));
  SAY(sock_recv(server, halves, 2, 0, &done, &out));
  printf("  then %u\n", (unsigned)done);
  fd_close(server), fd_close(listener);
}

static void datagrams(const char *title, u32 family, struct address *at, const uint8_t *bytes, int length) {
  u32 one, two, done;
  uint16_t out, port = 0;
  char text[32];
  printf("-- %s\n", title);
  sock_open(family, DATAGRAM, &one);
  sock_open(family, DATAGRAM, &two);
  SAY(sock_bind(one, at, 7002));
  SAY(sock_bind_v2(two, store((int)family, bytes, length), 7003));
  struct buffer parts[3] = {{"one ", 4}, {"", 0}, {"two", 3}};
  SAY(sock_send_to(one, parts, 3, at, 7003, 0, &done));
  printf("  sent %u\n", (unsigned)done);
  memset(text, '.', sizeof text);
  struct buffer rooms[2] = {{text, 2}, {text + 8, 3}};
  memset(storage, 0, sizeof storage);
  SAY(sock_recv_from_v2(two, rooms, 2, &stored, 1, &port, &done, &out));
  printf("  %.2s|%.3s of %u, %s\n", text, text + 8, (unsigned)done, out ? "cut" : "whole");
  say_stored(port);
  uint8_t room[16] = {0};
  struct address into = {room, 16};
  SAY(sock_recv_from(two, rooms, 2, &into, 0, &done, &out));
  printf("  %u from %s\n", (unsigned)done, memcmp(room, bytes, (size_t)length) ? "another" : "the same");
  SAY(sock_send_to(one, parts, 3, store((int)family, bytes, length), 7003, 0, &done));
  into.length = 2; // no room for the address: the datagram comes all the same
  SAY(sock_recv_from(two, rooms, 2, &into, 0, &done, &out));
  into.length = 5;
  SAY(sock_recv_from_v2(two, rooms, 2, &into, 0, &port, &done, &out));
  SAY(sock_recv_from_v2(two, rooms, 2, &stored, 4, &port, &done, &out));
  SAY(sock_send_to(one, parts, 3, at, 7003, 1, &done));
  SAY(sock_send_to(one, parts, 3, store(3, bytes, length), 7003, 0, &done));
  SAY(sock_send_to(one, parts, 3, &into, 7003, 0, &done));
  fd_close(one), fd_close(two);
}

// Both families on one socket (RFC 3493, 3.7).
static void both(void) {
  u32 listener, client, server, port;
  printf("-- both families\n");
  sock_open(INET6, STREAM, &listener);
  SAY(sock_bind(listener, &any6, 7004));
  SAY(sock_listen(listener, 4));
  sock_open(INET4, STREAM, &client);
  SAY(sock_connect(client, &v6, 7004));
  SAY(sock_connect(client, &v4, 7004));
  SAY(sock_accept_v2(listener, 4, &server));
  SAY(sock_getpeeraddr_v2(server, &stored, &port));
  say_stored(0);
  u32 got;
  uint16_t out;
  char byte;
  struct buffer one = {&byte, 1};
  SAY(sock_recv(server, &one, 1, 0, &got, &out));
  fd_close(client), fd_close(server), fd_close(listener);
}

static void option(u32 fd, const char *what, u32 name) {
  int32_t value[4] = {-1, -1, -1, -1};
  u32 size = sizeof value;
  const u32 error = sock_getsockopt(fd, 0, name, value, &size);
  printf("%s: %u, %u bytes", what, (unsigned)error, (unsigned)size);
  for (u32 i = 0; !error && i < size / 4; i++) printf(" %d", (int)value[i]);
  printf("\n");
}

static void options(void) {
  static const char *const names[] = {"reuseaddr", "type",   "error",    "dontroute", "broadcast",   "sndbuf",   "rcvbuf",      "keepalive",
                                      "oobinline", "linger", "rcvlowat", "rcvtimeo",  "sndtimeo", "acceptconn", "bindtodevice"};
  const int32_t on = 1, off = 0, linger[2] = {1, 3}, size = 65536;
  const int64_t wait[2] = {2, 500000}, odd[2] = {0, 1000000}, moment[2] = {0, 20000};
  u32 fd, datagrams, got;
  printf("-- options\n");
  sock_open(INET4, STREAM, &fd);
  sock_open(INET4, DATAGRAM, &datagrams);
  SAY(sock_setsockopt(fd, 0, 0, &on, sizeof on));
  SAY(sock_setsockopt(fd, 0, 3, &off, sizeof off));
  SAY(sock_setsockopt(fd, 0, 3, &on, sizeof on));
  SAY(sock_setsockopt(datagrams, 0, 4, &on, sizeof on));
  SAY(sock_setsockopt(fd, 0, 5, &size, sizeof size));
  SAY(sock_setsockopt(fd, 0, 6, &size, sizeof size));
  SAY(sock_setsockopt(fd, 0, 7, &on, sizeof on));
  SAY(sock_setsockopt(fd, 0, 8, &on, sizeof on));
  SAY(sock_setsockopt(fd, 0, 9, linger, sizeof linger));
  SAY(sock_setsockopt(fd, 0, 11, wait, sizeof wait));
  SAY(sock_setsockopt(fd, 0, 12, odd, sizeof odd));
  SAY(sock_setsockopt(fd, 0, 12, wait, 8));
  SAY(sock_setsockopt(fd, 0, 13, &on, sizeof on));
  SAY(sock_setsockopt(fd, 0, 14, "eth0", 4));
  SAY(sock_setsockopt(fd, 0, 14, NULL, 0));
  SAY(sock_setsockopt(fd, 0, 0, &on, 2));
  SAY(sock_setsockopt(fd, 0, 15, &on, sizeof on));
  SAY(sock_setsockopt(fd, 1, 0, &on, sizeof on));
  for (u32 i = 0; i <= 15; i++)
    if (i != 5 && i != 6) option(i == 4 ? datagrams : fd, i < 15 ? names[i] : "unknown", i);
  option(datagrams, "type", 1);
  int8_t few[2] = {7, 7};
  got = 1;
  SAY(sock_getsockopt(fd, 0, 0, few, &got));
  printf("  %d %d in %u\n", few[0], few[1], (unsigned)got);
  // One that waits for nothing does so for as long.
  char byte;
  uint16_t out;
  struct buffer one = {&byte, 1};
  sock_bind(datagrams, &v4, 0);
  SAY(sock_setsockopt(datagrams, 0, 11, moment, sizeof moment));
  SAY(sock_recv(datagrams, &one, 1, 0, &got, &out));
  SAY(sock_open(3, STREAM, &got));
  SAY(sock_open(0, STREAM, &got));
  SAY(sock_open(INET4, 0, &got));
  fd_close(fd), fd_close(datagrams);
}

// `subscription` and `event` of WASI: of a clock (type 0), or of a descriptor to read (1) or to write (2).
struct subscription { uint64_t data; uint8_t type; _Alignas(8) uint32_t fd; uint64_t timeout, precision; uint16_t flags; };
struct event { uint64_t data; uint16_t error; uint8_t type; uint64_t bytes; uint16_t flags; };
_Static_assert(sizeof(struct subscription) == 48 && sizeof(struct event) == 32, "WASI, typenames.witx");

static void say_events(const struct subscription *list, u32 count) {
  struct event events[3];
  u32 done = 0;
  SAY(epoll_oneoff(list, events, count, &done));
  for (u32 i = 0; i < done; i++)
    printf("  %u: type %u, error %u, %u bytes\n", (unsigned)events[i].data, events[i].type, events[i].error,
           events[i].type == 1 ? (unsigned)events[i].bytes : 0);
}

static void polling(void) {
  printf("-- epoll_oneoff\n");
  u32 one, two, done;
  uint16_t out;
  char text[8];
  struct buffer word = {"word", 4}, room = {text, 8};
  sock_open(INET4, DATAGRAM, &one), sock_open(INET4, DATAGRAM, &two);
  sock_bind(one, &v4, 7005), sock_bind(two, &v4, 7006);
  struct subscription list[] = {{.data = 1, .type = 1, .fd = two},
                                {.data = 2, .type = 0, .fd = 1, .timeout = 1000000},
                                {.data = 3, .type = 2, .fd = one}};
  say_events(list, 2); // nothing has come
  say_events(list, 3); // to write is no matter of time
  sock_send_to(one, &word, 1, &v4, 7006, 0, &done);
  say_events(list, 2);
  say_events(list, 2); // what holds is told of again in the next call
  sock_recv(two, &room, 1, 0, &done, &out);
  say_events(list, 2);
  list[0].fd = 99;
  say_events(list, 1);
  fd_close(one), fd_close(two);
}

int main(void) {
  streams("streams, IPv4", INET4, &v4, loopback4, 4);
  streams("streams, IPv6", INET6, &v6, loopback6, 16);
  datagrams("datagrams, IPv4", INET4, &v4, loopback4, 4);
  datagrams("datagrams, IPv6", INET6, &v6, loopback6, 16);
  both();
  options();
  polling();
  printf("-- end\n");
}
