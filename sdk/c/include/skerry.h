/**
 * What a C program for WASI imports from Skerry beside preview 1: Berkeley's sockets and what Linux has to
 * wait with, as the module `skerry`. Programs that use <sys/socket.h>, <poll.h>, <sys/epoll.h> and the like
 * need nothing of this: compile the .c files beside include/ with them, which are made of it.
 *
 * Every call returns 0 or more, or a negated errno. A call that has to wait waits, unless O_NONBLOCK is
 * set on its descriptor (fcntl): then it fails with EAGAIN, or EINPROGRESS. A pointer that is not all the
 * program's own is EFAULT, before anything has happened. close, read, write and shutdown work as for any
 * descriptor. Times are nanoseconds; one to wait that is below 0 is for ever.
 */
#ifndef SKERRY_H
#define SKERRY_H

#include <stddef.h>
#include <stdint.h>

/** An IPv6 address, or an IPv4 one mapped into it (RFC 4291, 2.5.5.2), and a port in the CPU's order. */
struct skerry_address {
  uint64_t high, low;
  uint16_t port;
  /** Of an address that a call gives: the domain of the socket. Not read. */
  uint16_t domain;
  /** Of a link-local address: the number of its interface, from 1 on; 0 is the first that is up. */
  uint32_t zone;
};

enum { SKERRY_STREAM = 1, SKERRY_DATAGRAM = 2, SKERRY_RAW = 3 };
/** LOCAL: one of a pair, which has no address. */
enum { SKERRY_LOCAL = 1, SKERRY_INET = 2, SKERRY_INET6 = 10 };
/** Of `skerry_send`, `skerry_send_message`; others are ENOTSUP. MORE: more follows soon. */
enum { SKERRY_SEND_DONTWAIT = 0x40, SKERRY_NOSIGNAL = 0x4000, SKERRY_MORE = 0x8000, SKERRY_FASTOPEN = 0x20000000 };
/** Of `skerry_receive`, `skerry_receive_message`; TRUNCATE: of a datagram its whole length, of a stream no copy. */
enum { SKERRY_PEEK = 1, SKERRY_TRUNCATE = 0x20, SKERRY_DONTWAIT = 0x40, SKERRY_WAITALL = 0x100 };
/** Of what makes descriptors: O_NONBLOCK, FD_CLOEXEC. */
enum { SKERRY_CLOEXEC = 2, SKERRY_NONBLOCK = 4 };

/** Options by number: `SocketOption` in sdk/assembly/syscalls.ts, where what they mean is. */
enum {
  SKERRY_NODELAY = 1,
  SKERRY_KEEPALIVE = 2,
  SKERRY_REUSEADDR = 3,
  SKERRY_ERROR = 4, /* a positive errno */
  SKERRY_RCVBUF = 5,
  SKERRY_SNDBUF = 6,
  SKERRY_BROADCAST = 7,
  SKERRY_RCVLOWAT = 8,
  SKERRY_LINGER = 9, /* as data: two u32 */
  SKERRY_CORK = 10,
  SKERRY_QUICKACK = 11,
  SKERRY_KEEPIDLE = 12,
  SKERRY_KEEPINTVL = 13,
  SKERRY_KEEPCNT = 14,
  SKERRY_USER_TIMEOUT = 15,
  SKERRY_SYNCNT = 16,
  SKERRY_LINGER2 = 17,
  SKERRY_MAXSEG = 18,
  SKERRY_WINDOW_CLAMP = 19,
  SKERRY_NOTSENT_LOWAT = 20,
  SKERRY_DEFER_ACCEPT = 21,
  SKERRY_TCP_FASTOPEN = 22,
  SKERRY_TCP_FASTOPEN_CONNECT = 23,
  SKERRY_MAX_PACING_RATE = 24, /* as data: 4 or 8 bytes */
  SKERRY_CONGESTION = 25,      /* as data: a name */
  SKERRY_INFO = 26,            /* as data: Linux's struct tcp_info */
  SKERRY_TOS = 27,
  SKERRY_TTL = 28,
  SKERRY_TYPE = 29,
  SKERRY_ACCEPTCONN = 30,
  SKERRY_DOMAIN = 31,
  SKERRY_PROTOCOL = 32,
  SKERRY_REUSEPORT = 34,
  SKERRY_V6ONLY = 35,
  SKERRY_MARK = 36,
  SKERRY_HDRINCL = 40,
  SKERRY_ICMP_FILTER = 41, /* as data */
  SKERRY_CHECKSUM = 42,
  SKERRY_MTU_DISCOVERY = 43,
  SKERRY_PATH_MTU = 44,
  /** As data: a struct skerry_address, whose zone is the interface. */
  SKERRY_JOIN_GROUP = 45,
  SKERRY_LEAVE_GROUP = 46,
  SKERRY_MULTICAST_HOPS = 47,
  SKERRY_MULTICAST_LOOP = 48,
  SKERRY_MULTICAST_INTERFACE = 49,
  /** As data: two struct skerry_address, the group with its interface and the source. */
  SKERRY_JOIN_SOURCE = 50,
  SKERRY_LEAVE_SOURCE = 51,
  SKERRY_BLOCK_SOURCE = 52,
  SKERRY_UNBLOCK_SOURCE = 53,
  /** As data: a struct skerry_group_filter. */
  SKERRY_GROUP_FILTER = 54,
  SKERRY_MULTICAST_ALL = 55,
  /** How long a call waits: as data, a u64 in ns, 0 for ever. */
  SKERRY_RCVTIMEO = 256,
  SKERRY_SNDTIMEO = 257,
};

/** Of a group that was joined, the sources that are heard alone, or all but these; to read it the group is put in. */
struct skerry_group_filter {
  /** Its zone is the interface. */
  struct skerry_address group;
  uint32_t include, count;
  struct skerry_address sources[];
};

#define SKERRY_IMPORT(name) __attribute__((import_module("skerry"), import_name(#name)))

// ---- Sockets ---------------------------------------------------------------------------------

/** `domain`: SKERRY_INET, or SKERRY_INET6 for both; `protocol`: 0 for the one that the type has. */
SKERRY_IMPORT(socket) int skerry_socket(int type, int domain, int protocol);
SKERRY_IMPORT(bind) int skerry_bind(int fd, const struct skerry_address *address);
SKERRY_IMPORT(listen) int skerry_listen(int fd, int backlog);
/** A descriptor; `peer` may be null. */
SKERRY_IMPORT(accept) int skerry_accept(int fd, struct skerry_address *peer, int flags);
SKERRY_IMPORT(connect) int skerry_connect(int fd, const struct skerry_address *address);
/** Bytes taken: all of them, if the call may wait. */
SKERRY_IMPORT(send) int skerry_send(int fd, const void *from, size_t length, int flags);
/** Bytes; 0 is the end of a stream. */
SKERRY_IMPORT(receive) int skerry_receive(int fd, void *into, size_t length, int flags);
SKERRY_IMPORT(send_to)
int skerry_send_to(int fd, const void *from, size_t length, const struct skerry_address *to);
/** Bytes of the datagram, cut to `length`; `from` may be null. */
SKERRY_IMPORT(receive_from)
int skerry_receive_from(int fd, void *into, size_t length, struct skerry_address *from);

/** Buffers, at most 1,024: what is in them is one datagram, or bytes of a stream. */
struct skerry_message {
  const struct iovec *buffers;
  size_t count;
  /** Where to or where from; may be null. */
  struct skerry_address *address;
  /** Written by `skerry_receive_message`: SKERRY_TRUNCATE if the datagram was longer. */
  uint32_t flags;
};
SKERRY_IMPORT(send_message) int skerry_send_message(int fd, const struct skerry_message *message, int flags);
SKERRY_IMPORT(receive_message) int skerry_receive_message(int fd, struct skerry_message *message, int flags);

SKERRY_IMPORT(local_address) int skerry_local_address(int fd, struct skerry_address *into);
SKERRY_IMPORT(peer_address) int skerry_peer_address(int fd, struct skerry_address *into);
SKERRY_IMPORT(set_option) int skerry_set_option(int fd, int option, int value);
SKERRY_IMPORT(get_option) int skerry_get_option(int fd, int option);
SKERRY_IMPORT(set_option_data) int skerry_set_option_data(int fd, int option, const void *from, size_t length);
/** Bytes of the value, cut to `length`. */
SKERRY_IMPORT(get_option_data) int skerry_get_option_data(int fd, int option, void *into, size_t length);

// ---- Descriptors -----------------------------------------------------------------------------

/** Bytes that may be read, or of the next datagram; EINVAL of what has no such thing. */
SKERRY_IMPORT(available) int skerry_available(int fd);
/** The lowest free descriptor from `from` on, for what `fd` stands for. */
SKERRY_IMPORT(duplicate) int skerry_duplicate(int fd, int from, int close_on_exec);
/** Makes `to` stand for what `fd` does; what it was is closed. */
SKERRY_IMPORT(duplicate_to) int skerry_duplicate_to(int fd, int to, int close_on_exec);
/** Sets FD_CLOEXEC unless `closes` is below 0, and returns it. There is no exec. */
SKERRY_IMPORT(close_on_exec) int skerry_close_on_exec(int fd, int closes);

// ---- Waiting ---------------------------------------------------------------------------------

struct pollfd;
/** Linux's poll(2) with its numbers: how many of at most 4,096 have something to say. */
SKERRY_IMPORT(poll) int skerry_poll(struct pollfd *list, size_t count, int64_t ns);

/** Linux's epoll(7) with its numbers, but that no epoll watches another (ELOOP). An event is 16 bytes. */
struct epoll_event;
SKERRY_IMPORT(epoll_create) int skerry_epoll_create(int flags);
SKERRY_IMPORT(epoll_ctl) int skerry_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
SKERRY_IMPORT(epoll_wait) int skerry_epoll_wait(int epoll, struct epoll_event *events, int count, int64_t ns);

/** POSIX's pipe(2): what is read, and what is written. ENFILE when the machine or the guest has as many as may be. */
SKERRY_IMPORT(pipe) int skerry_pipe(int flags, int ends[2]);
/** Two sockets that are connected with each other (socketpair(2)); type: SKERRY_STREAM or SKERRY_DATAGRAM. */
SKERRY_IMPORT(pair) int skerry_pair(int type, int flags, int ends[2]);

/** Linux's eventfd(2); flags also 1 for a semaphore. */
SKERRY_IMPORT(eventfd) int skerry_eventfd(uint64_t initial, int flags);

/** Linux's timerfd_create(2); clock 0 is the wall's, 1 the monotonic one; flag 1 of settime: absolute. */
struct skerry_setting {
  uint64_t interval, value;
};
SKERRY_IMPORT(timerfd_create) int skerry_timerfd_create(int clock, int flags);
SKERRY_IMPORT(timerfd_settime)
int skerry_timerfd_settime(int fd, int flags, const struct skerry_setting *to, struct skerry_setting *old);
SKERRY_IMPORT(timerfd_gettime) int skerry_timerfd_gettime(int fd, struct skerry_setting *into);
/**
 * Bytes of a file that a stream has taken; `offset` below 0 is where the file stands, which moves on. What
 * lies in the image is sent without being copied.
 */
SKERRY_IMPORT(send_file) int skerry_send_file(int fd, int file, int64_t offset, size_t length);

/** An interface, with Linux's IFF_ and ARPHRD_; IPv4 addresses in the CPU's order, 0 for none. */
struct skerry_interface {
  char name[16];
  uint32_t flags, mtu;
  uint8_t mac[6];
  uint16_t type;
  uint32_t address, mask, broadcast;
};
/** The one of this number, from 1 on; ENODEV for one that there is not. */
SKERRY_IMPORT(interface_info)
int skerry_interface(unsigned number, struct skerry_interface *into);

/** An address of an interface, and the bits of its network part. */
struct skerry_interface_address {
  struct skerry_address address;
  uint32_t prefix, unused;
};
/** Address `index`, from 0 on, of those that are in use; EADDRNOTAVAIL behind the last. */
SKERRY_IMPORT(interface_address)
int skerry_interface_address(unsigned number, unsigned index, struct skerry_interface_address *into);

/** Of `what`, above the type of record in its lower 16 bits: `Resolve` in sdk/assembly/syscalls.ts. */
enum { SKERRY_V4 = 0x10000, SKERRY_V6 = 0x20000, SKERRY_NUMERIC = 0x40000, SKERRY_CONFIGURED = 0x80000 };
/** Room for any answer. */
enum { SKERRY_ANSWER_MAX = 8192 };

/**
 * Looks a name up and waits for what comes of it: bytes written to `into`, of which `Layout.Record` in
 * sdk/assembly/syscalls.ts says what they are. ENOENT: there is no such name; ETIMEDOUT, ECONNREFUSED,
 * ENETUNREACH, EIO: nobody could say; EACCES: this program may not ask.
 */
SKERRY_IMPORT(resolve) int skerry_resolve(const char *name, size_t length, int what, void *into, size_t room);

/** Received bytes, to be read where they lie: outside the program's memory, and writing there ends it. */
struct skerry_lease {
  const unsigned char *bytes;
  uint32_t length;
  uint32_t number;
};
/**
 * Takes the first unread bytes of a stream, or the oldest datagram, without a copy, until they are released or the
 * last descriptor of the socket is closed: how many; 0 at the end of a stream, and for a datagram of nothing, with
 * nothing to release. Several leases may be out; -ENOBUFS when there are as many as may be (128, or an eighth of the
 * machine's packets), or bytes cannot be had this way: receive them. No other call takes addresses there.
 */
SKERRY_IMPORT(lease) int skerry_lease(int fd, struct skerry_lease *into);
/** The same, and where they came from. */
SKERRY_IMPORT(lease_from)
int skerry_lease_from(int fd, struct skerry_lease *into, struct skerry_address *from);
/** Gives a lease back, in any order. */
SKERRY_IMPORT(release) int skerry_release(uint32_t number);

#endif
