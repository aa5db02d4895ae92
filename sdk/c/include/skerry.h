/**
 * What a C program for WASI imports from Skerry beside preview 1: Berkeley's sockets, as the module
 * `skerry`. Programs that use <sys/socket.h> need nothing of this: link socket.c, which is made of it.
 *
 * Every call returns 0 or more, or a negated errno. A call that has to wait waits, unless O_NONBLOCK is
 * set on its descriptor (fcntl): then it fails with EAGAIN, or EINPROGRESS. A pointer that is not all the
 * program's own is EFAULT. close, read, write, poll, select, shutdown work as for any descriptor.
 */
#ifndef SKERRY_H
#define SKERRY_H

#include <stddef.h>
#include <stdint.h>

/** An IPv6 address, or an IPv4 one mapped into it (RFC 4291, 2.5.5.2), and a port in the CPU's order. */
struct skerry_address {
  uint64_t high, low;
  uint16_t port, reserved_1;
  uint32_t reserved_2;
};

enum { SKERRY_STREAM = 1, SKERRY_DATAGRAM = 2 };
/** Of `skerry_receive`. */
enum { SKERRY_PEEK = 1, SKERRY_TRUNCATE = 0x20 };
/** Of `skerry_send`: more follows soon. */
enum { SKERRY_MORE = 0x8000 };
/** Of `skerry_accept`. */
enum { SKERRY_NONBLOCK = 4 };

/** Options by number: `SocketOption` in sdk/assembly/syscalls.ts. */
enum {
  SKERRY_NODELAY = 1,
  SKERRY_KEEPALIVE = 2,
  SKERRY_REUSEADDR = 3,
  SKERRY_ERROR = 4, /* a positive errno of Linux's */
  SKERRY_RCVBUF = 5,
  SKERRY_SNDBUF = 6,
  SKERRY_BROADCAST = 7,
  SKERRY_RCVLOWAT = 8,
  SKERRY_CORK = 10,
  SKERRY_QUICKACK = 11,
  SKERRY_KEEPIDLE = 12,
  SKERRY_KEEPINTVL = 13,
  SKERRY_KEEPCNT = 14,
  SKERRY_USER_TIMEOUT = 15,
  SKERRY_TYPE = 29,
  SKERRY_ACCEPTCONN = 30,
};

#define SKERRY_IMPORT(name) __attribute__((import_module("skerry"), import_name(#name)))

SKERRY_IMPORT(socket) int skerry_socket(int type);
SKERRY_IMPORT(bind) int skerry_bind(int fd, const struct skerry_address *address);
SKERRY_IMPORT(listen) int skerry_listen(int fd, int backlog);
/** A descriptor; `peer` may be null. */
SKERRY_IMPORT(accept) int skerry_accept(int fd, struct skerry_address *peer, int flags);
SKERRY_IMPORT(connect) int skerry_connect(int fd, const struct skerry_address *address);
/** Bytes taken. */
SKERRY_IMPORT(send) int skerry_send(int fd, const void *from, size_t length, int flags);
/** Bytes; 0 is the end of a stream. */
SKERRY_IMPORT(receive) int skerry_receive(int fd, void *into, size_t length, int flags);
SKERRY_IMPORT(send_to)
int skerry_send_to(int fd, const void *from, size_t length, const struct skerry_address *to);
/** Bytes of the datagram, cut to `length`; `from` may be null. */
SKERRY_IMPORT(receive_from)
int skerry_receive_from(int fd, void *into, size_t length, struct skerry_address *from);
SKERRY_IMPORT(local_address) int skerry_local_address(int fd, struct skerry_address *into);
SKERRY_IMPORT(peer_address) int skerry_peer_address(int fd, struct skerry_address *into);
SKERRY_IMPORT(set_option) int skerry_set_option(int fd, int option, int value);
SKERRY_IMPORT(get_option) int skerry_get_option(int fd, int option);

#endif
