// <sys/socket.h> for C programs compiled for WASI: compile this with them, with -Isdk/c/include before
// other folders. What wasi-libc has of these names, it has for sockets that it cannot make itself.

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "skerry.h"

// ---- Results and addresses -------------------------------------------------------------------

static int result(int value) {
  if (value >= 0) return value;
  errno = -value;
  return -1;
}

#define MAPPED 0xffff00000000ull // ::ffff:a.b.c.d

// As the kernel wants it, or an errno.
static int address_in(struct skerry_address *to, const struct sockaddr *from, socklen_t length) {
  memset(to, 0, sizeof *to);
  if (!from) return EFAULT;
  if (from->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;
    const uint32_t address = ntohl(in->sin_addr.s_addr);
    to->low = address ? MAPPED | address : 0;
    to->port = ntohs(in->sin_port);
    return 0;
  }
  if (from->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
    const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)from;
    for (int i = 0; i < 8; i++) {
      to->high = to->high << 8 | in->sin6_addr.s6_addr[i];
      to->low = to->low << 8 | in->sin6_addr.s6_addr[8 + i];
    }
    to->port = ntohs(in->sin6_port);
    return 0;
  }
  return length < sizeof(struct sockaddr_in) ? EINVAL : EAFNOSUPPORT;
}

// As programs want it, cut to what they have room for.
static void address_out(const struct skerry_address *from, struct sockaddr *to, socklen_t *length) {
  if (!to || !length) return;
  union {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address;
  socklen_t size;
  memset(&address, 0, sizeof address);
  if (!from->high && (from->low >> 32 == MAPPED >> 32 || !from->low)) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(from->port);
    address.v4.sin_addr.s_addr = htonl((uint32_t)from->low);
    size = sizeof address.v4;
  } else {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(from->port);
    for (int i = 0; i < 8; i++) {
      address.v6.sin6_addr.s6_addr[i] = (uint8_t)(from->high >> (56 - 8 * i));
      address.v6.sin6_addr.s6_addr[8 + i] = (uint8_t)(from->low >> (56 - 8 * i));
    }
    size = sizeof address.v6;
  }
  memcpy(to, &address, *length < size ? *length : size);
  *length = size;
}

// ---- Calls -----------------------------------------------------------------------------------

int socket(int domain, int type, int protocol) {
  const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (domain != AF_INET && domain != AF_INET6) return result(-EAFNOSUPPORT);
  const bool stream = kind == SOCK_STREAM && (!protocol || protocol == IPPROTO_TCP);
  const bool datagram = kind == SOCK_DGRAM && (!protocol || protocol == IPPROTO_UDP);
  if (!stream && !datagram) return result(-EPROTONOSUPPORT);
  const int fd = skerry_socket(stream ? SKERRY_STREAM : SKERRY_DATAGRAM);
  if (fd >= 0 && type & SOCK_NONBLOCK) {
    const __wasi_errno_t error = __wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_NONBLOCK);
    if (error) return result(-(int)error);
  }
  return result(fd);
}

int bind(int fd, const struct sockaddr *address, socklen_t length) {
  struct skerry_address to;
  const int error = address_in(&to, address, length);
  return result(error ? -error : skerry_bind(fd, &to));
}

int listen(int fd, int backlog) { return result(skerry_listen(fd, backlog)); }

int connect(int fd, const struct sockaddr *address, socklen_t length) {
  struct skerry_address to;
  const int error = address_in(&to, address, length);
  return result(error ? -error : skerry_connect(fd, &to));
}

int accept4(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length, int flags) {
  struct skerry_address peer;
  const int accepted = skerry_accept(fd, &peer, flags & SOCK_NONBLOCK ? SKERRY_NONBLOCK : 0);
  if (accepted >= 0) address_out(&peer, address, length);
  return result(accepted);
}

int accept(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length) {
  return accept4(fd, address, length, 0);
}

ssize_t send(int fd, const void *from, size_t length, int flags) {
  if (flags & ~MSG_NOSIGNAL) return result(-EOPNOTSUPP);
  return result(skerry_send(fd, from, length, 0));
}

ssize_t recv(int fd, void *into, size_t length, int flags) {
  if (flags & ~MSG_PEEK) return result(-EOPNOTSUPP);
  return result(skerry_receive(fd, into, length, flags & MSG_PEEK ? SKERRY_PEEK : 0));
}

ssize_t sendto(int fd, const void *from, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
  if (!to) return send(fd, from, length, flags);
  if (flags & ~MSG_NOSIGNAL) return result(-EOPNOTSUPP);
  struct skerry_address address;
  const int error = address_in(&address, to, to_length);
  return result(error ? -error : skerry_send_to(fd, from, length, &address));
}

ssize_t recvfrom(int fd, void *__restrict into, size_t length, int flags, struct sockaddr *__restrict from,
                 socklen_t *__restrict from_length) {
  if (!from) return recv(fd, into, length, flags);
  if (flags) return result(-EOPNOTSUPP);
  struct skerry_address address;
  const int received = skerry_receive_from(fd, into, length, &address);
  if (received >= 0) address_out(&address, from, from_length);
  return result(received);
}

int getsockname(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length) {
  struct skerry_address local;
  const int error = skerry_local_address(fd, &local);
  if (!error) address_out(&local, address, length);
  return result(error);
}

int getpeername(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length) {
  struct skerry_address peer;
  const int error = skerry_peer_address(fd, &peer);
  if (!error) address_out(&peer, address, length);
  return result(error);
}

// ---- Options ---------------------------------------------------------------------------------

// The kernel's number of an option whose value is an int; 0 for one it has not.
static int option_of(int level, int name) {
  static const struct { int level, name, option; } options[] = {
      {SOL_SOCKET, SO_REUSEADDR, SKERRY_REUSEADDR},    {SOL_SOCKET, SO_KEEPALIVE, SKERRY_KEEPALIVE},
      {SOL_SOCKET, SO_RCVBUF, SKERRY_RCVBUF},          {SOL_SOCKET, SO_SNDBUF, SKERRY_SNDBUF},
      {SOL_SOCKET, SO_BROADCAST, SKERRY_BROADCAST},    {SOL_SOCKET, SO_RCVLOWAT, SKERRY_RCVLOWAT},
      {SOL_SOCKET, SO_ACCEPTCONN, SKERRY_ACCEPTCONN},  {IPPROTO_TCP, TCP_NODELAY, SKERRY_NODELAY},
      {IPPROTO_TCP, TCP_CORK, SKERRY_CORK},            {IPPROTO_TCP, TCP_QUICKACK, SKERRY_QUICKACK},
      {IPPROTO_TCP, TCP_KEEPIDLE, SKERRY_KEEPIDLE},    {IPPROTO_TCP, TCP_KEEPINTVL, SKERRY_KEEPINTVL},
      {IPPROTO_TCP, TCP_KEEPCNT, SKERRY_KEEPCNT},      {IPPROTO_TCP, TCP_USER_TIMEOUT, SKERRY_USER_TIMEOUT},
  };
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (options[i].level == level && options[i].name == name) return options[i].option;
  return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
  const int option = option_of(level, name);
  if (!option) return result(-ENOPROTOOPT);
  if (length < sizeof(int)) return result(-EINVAL);
  return result(skerry_set_option(fd, option, *(const int *)value));
}

// The pending error comes as Linux numbers it.
static int error_of(int number) {
  static const struct { int linux_number, number; } errors[] = {
      {101, ENETUNREACH}, {103, ECONNABORTED}, {104, ECONNRESET},   {110, ETIMEDOUT},
      {111, ECONNREFUSED}, {113, EHOSTUNREACH}, {100, ENETDOWN},     {90, EMSGSIZE},
      {32, EPIPE},         {105, ENOBUFS},      {99, EADDRNOTAVAIL},
  };
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (errors[i].linux_number == number) return errors[i].number;
  return number ? EIO : 0;
}

int getsockopt(int fd, int level, int name, void *__restrict value, socklen_t *__restrict length) {
  int found;
  if (level == SOL_SOCKET && name == SO_ERROR) {
    found = skerry_get_option(fd, SKERRY_ERROR);
    if (found > 0) found = error_of(found);
  } else if (level == SOL_SOCKET && name == SO_TYPE) {
    found = skerry_get_option(fd, SKERRY_TYPE);
    if (found > 0) found = found == SKERRY_STREAM ? SOCK_STREAM : SOCK_DGRAM;
  } else {
    const int option = option_of(level, name);
    found = option ? skerry_get_option(fd, option) : -ENOPROTOOPT;
  }
  if (found < 0) return result(found);
  if (!value || !length || *length < sizeof(int)) return result(-EINVAL);
  *(int *)value = found;
  *length = sizeof(int);
  return 0;
}
