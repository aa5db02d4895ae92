// getsockopt and setsockopt, with Linux's numbers and structures.

#include "internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

enum form { NUMBER, DATA, TIME, GROUP, INTERFACE };

static const struct option {
  int level, name, option;
  enum form form;
} options[] = {
    {SOL_SOCKET, SO_REUSEADDR, SKERRY_REUSEADDR, NUMBER},
    {SOL_SOCKET, SO_REUSEPORT, SKERRY_REUSEPORT, NUMBER},
    {SOL_SOCKET, SO_MARK, SKERRY_MARK, NUMBER},
    {SOL_SOCKET, SO_KEEPALIVE, SKERRY_KEEPALIVE, NUMBER},
    {SOL_SOCKET, SO_BROADCAST, SKERRY_BROADCAST, NUMBER},
    {SOL_SOCKET, SO_RCVBUF, SKERRY_RCVBUF, NUMBER},
    {SOL_SOCKET, SO_SNDBUF, SKERRY_SNDBUF, NUMBER},
    {SOL_SOCKET, SO_RCVLOWAT, SKERRY_RCVLOWAT, NUMBER},
    {SOL_SOCKET, SO_ERROR, SKERRY_ERROR, NUMBER},
    {SOL_SOCKET, SO_TYPE, SKERRY_TYPE, NUMBER},
    {SOL_SOCKET, SO_ACCEPTCONN, SKERRY_ACCEPTCONN, NUMBER},
    {SOL_SOCKET, SO_DOMAIN, SKERRY_DOMAIN, NUMBER},
    {SOL_SOCKET, SO_PROTOCOL, SKERRY_PROTOCOL, NUMBER},
    {SOL_SOCKET, SO_LINGER, SKERRY_LINGER, DATA},
    {SOL_SOCKET, SO_MAX_PACING_RATE, SKERRY_MAX_PACING_RATE, DATA},
    {SOL_SOCKET, SO_RCVTIMEO, SKERRY_RCVTIMEO, TIME},
    {SOL_SOCKET, SO_SNDTIMEO, SKERRY_SNDTIMEO, TIME},
    {IPPROTO_TCP, TCP_NODELAY, SKERRY_NODELAY, NUMBER},
    {IPPROTO_TCP, TCP_MAXSEG, SKERRY_MAXSEG, NUMBER},
    {IPPROTO_TCP, TCP_CORK, SKERRY_CORK, NUMBER},
    {IPPROTO_TCP, TCP_KEEPIDLE, SKERRY_KEEPIDLE, NUMBER},
    {IPPROTO_TCP, TCP_KEEPINTVL, SKERRY_KEEPINTVL, NUMBER},
    {IPPROTO_TCP, TCP_KEEPCNT, SKERRY_KEEPCNT, NUMBER},
    {IPPROTO_TCP, TCP_SYNCNT, SKERRY_SYNCNT, NUMBER},
    {IPPROTO_TCP, TCP_LINGER2, SKERRY_LINGER2, NUMBER},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, SKERRY_DEFER_ACCEPT, NUMBER},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, SKERRY_WINDOW_CLAMP, NUMBER},
    {IPPROTO_TCP, TCP_INFO, SKERRY_INFO, DATA},
    {IPPROTO_TCP, TCP_QUICKACK, SKERRY_QUICKACK, NUMBER},
    {IPPROTO_TCP, TCP_CONGESTION, SKERRY_CONGESTION, DATA},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, SKERRY_USER_TIMEOUT, NUMBER},
    {IPPROTO_TCP, TCP_FASTOPEN, SKERRY_TCP_FASTOPEN, NUMBER},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, SKERRY_TCP_FASTOPEN_CONNECT, NUMBER},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, SKERRY_NOTSENT_LOWAT, NUMBER},
    {IPPROTO_IP, IP_TOS, SKERRY_TOS, NUMBER},
    {IPPROTO_IP, IP_TTL, SKERRY_TTL, NUMBER},
    {IPPROTO_IP, IP_HDRINCL, SKERRY_HDRINCL, NUMBER},
    {IPPROTO_IP, IP_MTU_DISCOVER, SKERRY_MTU_DISCOVERY, NUMBER},
    {IPPROTO_IP, IP_MTU, SKERRY_PATH_MTU, NUMBER},
    {IPPROTO_IP, IP_ADD_MEMBERSHIP, SKERRY_JOIN_GROUP, GROUP},
    {IPPROTO_IP, IP_DROP_MEMBERSHIP, SKERRY_LEAVE_GROUP, GROUP},
    {IPPROTO_IP, IP_MULTICAST_TTL, SKERRY_MULTICAST_HOPS, NUMBER},
    {IPPROTO_IP, IP_MULTICAST_LOOP, SKERRY_MULTICAST_LOOP, NUMBER},
    {IPPROTO_IP, IP_MULTICAST_IF, SKERRY_MULTICAST_INTERFACE, INTERFACE},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, SKERRY_MTU_DISCOVERY, NUMBER},
    {IPPROTO_IPV6, IPV6_MTU, SKERRY_PATH_MTU, NUMBER},
    {IPPROTO_IPV6, IPV6_JOIN_GROUP, SKERRY_JOIN_GROUP, GROUP},
    {IPPROTO_IPV6, IPV6_LEAVE_GROUP, SKERRY_LEAVE_GROUP, GROUP},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, SKERRY_MULTICAST_HOPS, NUMBER},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, SKERRY_MULTICAST_LOOP, NUMBER},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, SKERRY_MULTICAST_INTERFACE, NUMBER},
    {IPPROTO_IPV6, IPV6_V6ONLY, SKERRY_V6ONLY, NUMBER},
    {IPPROTO_IPV6, IPV6_TCLASS, SKERRY_TOS, NUMBER},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, SKERRY_TTL, NUMBER},
    {IPPROTO_IPV6, IPV6_CHECKSUM, SKERRY_CHECKSUM, NUMBER},
    {SOL_RAW, 1 /* ICMP_FILTER */, SKERRY_ICMP_FILTER, DATA},
    {IPPROTO_ICMPV6, 1 /* ICMP6_FILTER */, SKERRY_ICMP_FILTER, DATA},
};

static const struct option *find(int level, int name) {
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (options[i].level == level && options[i].name == name) return &options[i];
  return NULL;
}

// Why there is no such option: what is no socket comes first, and Linux tells an unknown level when it is read.
static int missing(int fd, int level, int reading) {
  const int type = skerry_get_option(fd, SKERRY_TYPE);
  if (type < 0) return result(type);
  const int known = level == SOL_SOCKET || level == IPPROTO_TCP || level == IPPROTO_IP || level == IPPROTO_IPV6;
  return result(known || !reading ? -ENOPROTOOPT : -EOPNOTSUPP);
}

// Which interface an address of ours means is not known here: by number, or the one that the group's route says.
static int interface_of(const void *value, socklen_t length) {
  const struct ip_mreqn *request = value;
  if (length >= sizeof *request && request->imr_ifindex) return request->imr_ifindex;
  const struct in_addr *own = length >= sizeof(struct ip_mreq) ? &request->imr_address : value;
  return own->s_addr == htonl(INADDR_ANY) ? 0 : -ENODEV;
}

// Joins or leaves a group: struct ip_mreq, ip_mreqn or ipv6_mreq.
static int change_group(int fd, const struct option *found, const void *value, socklen_t length) {
  struct sockaddr_storage group = {0};
  int interface = 0;
  if (found->level == IPPROTO_IPV6) {
    const struct ipv6_mreq *request = value;
    if (length < sizeof *request) return -EINVAL;
    ((struct sockaddr_in6 *)&group)->sin6_addr = request->ipv6mr_multiaddr;
    group.ss_family = AF_INET6;
    interface = (int)request->ipv6mr_interface;
  } else {
    if (length < sizeof(struct ip_mreq)) return -EINVAL;
    ((struct sockaddr_in *)&group)->sin_addr = ((const struct ip_mreq *)value)->imr_multiaddr;
    group.ss_family = AF_INET;
    interface = interface_of(value, length);
  }
  struct skerry_address address;
  const int wrong = skerry_address_in(&address, (const struct sockaddr *)&group, sizeof group);
  if (wrong || interface < 0) return wrong ? -wrong : interface;
  address.zone = (uint32_t)interface;
  return skerry_set_option_data(fd, found->option, &address, sizeof address);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
  const struct option *found = find(level, name);
  if (!found) return missing(fd, level, 0);
  if (!value && length) return result(-EFAULT);
  if (found->form == DATA) return result(skerry_set_option_data(fd, found->option, value, length));
  if (found->form == GROUP) return result(change_group(fd, found, value, length));
  if (found->form == INTERFACE && length >= sizeof(struct in_addr)) {
    const int interface = interface_of(value, length);
    return result(interface < 0 ? interface : skerry_set_option(fd, found->option, interface));
  }
  if (found->form == TIME) {
    const struct timeval *time = value;
    if (length < sizeof *time) return result(-EINVAL);
    if (time->tv_usec < 0 || time->tv_usec > 999999) return result(-EDOM);
    const uint64_t seconds = time->tv_sec > 9000000000 ? 9000000000 : (uint64_t)time->tv_sec;
    const uint64_t ns = seconds * 1000000000 + (uint64_t)time->tv_usec * 1000;
    // Linux: less than no time is a time-out at once, as far as that goes.
    const uint64_t wait = time->tv_sec < 0 ? 1 : ns;
    return result(skerry_set_option_data(fd, found->option, &wait, sizeof wait));
  }
  // Of IP's options a byte is enough.
  const int bytes = level == IPPROTO_IP && length && length < sizeof(int);
  if (!bytes && length < sizeof(int)) return result(-EINVAL);
  return result(skerry_set_option(fd, found->option, bytes ? *(const unsigned char *)value : *(const int *)value));
}

int getsockopt(int fd, int level, int name, void *__restrict value, socklen_t *__restrict length) {
  const struct option *found = find(level, name);
  if (!found) return missing(fd, level, 1);
  if (!value || !length) return result(-EFAULT);
  if ((int)*length < 0) return result(-EINVAL);
  if (found->form == DATA) {
    const int bytes = skerry_get_option_data(fd, found->option, value, *length);
    if (bytes >= 0) *length = (socklen_t)bytes;
    return result(bytes < 0 ? bytes : 0);
  }
  char answer[sizeof(struct timeval)];
  socklen_t size = sizeof(int);
  if (found->form == TIME) {
    uint64_t ns = 0;
    const int bytes = skerry_get_option_data(fd, found->option, &ns, sizeof ns);
    if (bytes < 0) return result(bytes);
    const struct timeval time = {.tv_sec = (time_t)(ns / 1000000000), .tv_usec = (suseconds_t)(ns / 1000 % 1000000)};
    memcpy(answer, &time, size = sizeof time);
  } else {
    int number = skerry_get_option(fd, found->option);
    if (number < 0) return result(number);
    if (found->option == SKERRY_TYPE) {
      number = number == SKERRY_STREAM ? SOCK_STREAM : number == SKERRY_DATAGRAM ? SOCK_DGRAM : SOCK_RAW;
    } else if (found->option == SKERRY_DOMAIN) {
      number = number == SKERRY_LOCAL ? AF_UNIX : number == SKERRY_INET ? AF_INET : AF_INET6;
    }
    memcpy(answer, &number, sizeof number);
  }
  if (*length > size) *length = size;
  memcpy(value, answer, *length);
  return 0;
}
