// <sys/socket.h>: what makes, names, connects and ends sockets.

#include "internal.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

// ---- Addresses -------------------------------------------------------------------------------

#define MAPPED 0xffff00000000ull // ::ffff:a.b.c.d

int skerry_address_in(struct skerry_address *to, const struct sockaddr *from, socklen_t length) {
  memset(to, 0, sizeof *to);
  if (!from) return EFAULT;
  if (length < sizeof from->sa_family) return EINVAL;
  if (from->sa_family == AF_INET) {
    if (length < sizeof(struct sockaddr_in)) return EINVAL;
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;
    const uint32_t address = ntohl(in->sin_addr.s_addr);
    to->low = address ? MAPPED | address : 0;
    to->port = ntohs(in->sin_port);
    return 0;
  }
  if (from->sa_family == AF_INET6) {
    // RFC 2133's was without the last field, and Linux still takes it.
    if (length < offsetof(struct sockaddr_in6, sin6_scope_id)) return EINVAL;
    const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)from;
    for (int i = 0; i < 8; i++) {
      to->high = to->high << 8 | in->sin6_addr.s6_addr[i];
      to->low = to->low << 8 | in->sin6_addr.s6_addr[8 + i];
    }
    to->port = ntohs(in->sin6_port);
    if (length >= sizeof *in) to->zone = in->sin6_scope_id;
    return 0;
  }
  return EAFNOSUPPORT;
}

void skerry_address_out(const struct skerry_address *from, struct sockaddr *to, socklen_t *length) {
  if (!to || !length) return;
  union {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address;
  socklen_t size;
  memset(&address, 0, sizeof address);
  if (from->domain == SKERRY_LOCAL) {
    address.v4.sin_family = AF_UNIX;
    size = sizeof address.v4.sin_family;
  } else if (from->domain == SKERRY_INET) {
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
    address.v6.sin6_scope_id = from->zone;
    size = sizeof address.v6;
  }
  memcpy(to, &address, *length < size ? *length : size);
  *length = size;
}

// ---- Calls -----------------------------------------------------------------------------------

// A new descriptor with the flags that SOCK_NONBLOCK and SOCK_CLOEXEC ask for.
static int flagged(int fd, int flags) {
  if (fd >= 0 && flags & SOCK_NONBLOCK) (void)!__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_NONBLOCK);
  if (fd >= 0 && flags & SOCK_CLOEXEC) skerry_close_on_exec(fd, 1);
  return result(fd);
}

int socket(int domain, int type, int protocol) {
  const int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (domain != AF_INET && domain != AF_INET6) return result(-EAFNOSUPPORT);
  int kind;
  switch (type & ~flags) {
    case SOCK_STREAM: kind = SKERRY_STREAM; break;
    case SOCK_DGRAM: kind = SKERRY_DATAGRAM; break;
    case SOCK_RAW: kind = SKERRY_RAW; break;
    default: return result(-EINVAL);
  }
  return flagged(skerry_socket(kind, domain == AF_INET ? SKERRY_INET : SKERRY_INET6, protocol), flags);
}

// Pairs are of the one family that only has pairs.
int socketpair(int domain, int type, int protocol, int ends[2]) {
  const int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC), kind = type & ~flags;
  if (domain == AF_INET || domain == AF_INET6) return result(-EOPNOTSUPP);
  if (domain != AF_UNIX) return result(-EAFNOSUPPORT);
  if (protocol && protocol != AF_UNIX) return result(-EPROTONOSUPPORT);
  if (kind != SOCK_STREAM && kind != SOCK_DGRAM) return result(-EPROTONOSUPPORT);
  if (!ends) return result(-EFAULT);
  const int asked = (flags & SOCK_NONBLOCK ? SKERRY_NONBLOCK : 0) | (flags & SOCK_CLOEXEC ? SKERRY_CLOEXEC : 0);
  return result(skerry_pair(kind == SOCK_STREAM ? SKERRY_STREAM : SKERRY_DATAGRAM, asked, ends));
}

int bind(int fd, const struct sockaddr *address, socklen_t length) {
  struct skerry_address to;
  int error = skerry_address_in(&to, address, length);
  if (!error && !to.high && !to.low) {
    // Nowhere in particular is the same in both families for the kernel; Linux wants the socket's own.
    const int domain = skerry_get_option(fd, SKERRY_DOMAIN);
    if (domain == SKERRY_INET && address->sa_family == AF_INET6) error = EAFNOSUPPORT;
    if (domain == SKERRY_INET6 && address->sa_family == AF_INET) error = EINVAL;
  }
  return result(error ? -error : skerry_bind(fd, &to));
}

int listen(int fd, int backlog) { return result(skerry_listen(fd, backlog)); }

int connect(int fd, const struct sockaddr *address, socklen_t length) {
  struct skerry_address to;
  if (address && length >= sizeof address->sa_family && address->sa_family == AF_UNSPEC) {
    memset(&to, 0, sizeof to); // undoes it
  } else {
    const int error = skerry_address_in(&to, address, length);
    if (error) return result(-error);
    // Nowhere in particular is here, as Linux has it.
    if (!to.high && !to.low) to.low = address->sa_family == AF_INET ? MAPPED | INADDR_LOOPBACK : 1;
  }
  return result(skerry_connect(fd, &to));
}

int accept4(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length, int flags) {
  struct skerry_address peer;
  if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) return result(-EINVAL);
  const int asked = (flags & SOCK_NONBLOCK ? SKERRY_NONBLOCK : 0) | (flags & SOCK_CLOEXEC ? SKERRY_CLOEXEC : 0);
  const int accepted = skerry_accept(fd, &peer, asked);
  if (accepted >= 0) skerry_address_out(&peer, address, length);
  return result(accepted);
}

int accept(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length) {
  return accept4(fd, address, length, 0);
}

int shutdown(int fd, int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return result(-EINVAL);
  return result(-(int)__wasi_sock_shutdown(fd, (__wasi_sdflags_t)(how + 1)));
}

int getsockname(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length) {
  struct skerry_address local;
  const int error = skerry_local_address(fd, &local);
  if (!error) skerry_address_out(&local, address, length);
  return result(error);
}

int getpeername(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length) {
  struct skerry_address peer;
  const int error = skerry_peer_address(fd, &peer);
  if (!error) skerry_address_out(&peer, address, length);
  return result(error);
}

int sockatmark(int fd) { return result(skerry_get_option(fd, SKERRY_TYPE) < 0 ? -ENOTTY : 0); }
