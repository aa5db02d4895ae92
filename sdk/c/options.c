// getsockopt and setsockopt, with Linux's numbers and structures.

#include "internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

enum form { NUMBER, DATA, TIME, GROUP, REQUEST, SOURCE, FILTER, INTERFACE };

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
    {IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, SKERRY_JOIN_SOURCE, SOURCE},
    {IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, SKERRY_LEAVE_SOURCE, SOURCE},
    {IPPROTO_IP, IP_BLOCK_SOURCE, SKERRY_BLOCK_SOURCE, SOURCE},
    {IPPROTO_IP, IP_UNBLOCK_SOURCE, SKERRY_UNBLOCK_SOURCE, SOURCE},
    {IPPROTO_IP, IP_MSFILTER, SKERRY_GROUP_FILTER, FILTER},
    {IPPROTO_IP, MCAST_JOIN_GROUP, SKERRY_JOIN_GROUP, REQUEST},
    {IPPROTO_IP, MCAST_LEAVE_GROUP, SKERRY_LEAVE_GROUP, REQUEST},
    {IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, SKERRY_JOIN_SOURCE, REQUEST},
    {IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, SKERRY_LEAVE_SOURCE, REQUEST},
    {IPPROTO_IP, MCAST_BLOCK_SOURCE, SKERRY_BLOCK_SOURCE, REQUEST},
    {IPPROTO_IP, MCAST_UNBLOCK_SOURCE, SKERRY_UNBLOCK_SOURCE, REQUEST},
    {IPPROTO_IP, MCAST_MSFILTER, SKERRY_GROUP_FILTER, FILTER},
    {IPPROTO_IP, IP_MULTICAST_ALL, SKERRY_MULTICAST_ALL, NUMBER},
    {IPPROTO_IP, IP_MULTICAST_TTL, SKERRY_MULTICAST_HOPS, NUMBER},
    {IPPROTO_IP, IP_MULTICAST_LOOP, SKERRY_MULTICAST_LOOP, NUMBER},
    {IPPROTO_IP, IP_MULTICAST_IF, SKERRY_MULTICAST_INTERFACE, INTERFACE},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, SKERRY_MTU_DISCOVERY, NUMBER},
    {IPPROTO_IPV6, IPV6_MTU, SKERRY_PATH_MTU, NUMBER},
    {IPPROTO_IPV6, IPV6_JOIN_GROUP, SKERRY_JOIN_GROUP, GROUP},
    {IPPROTO_IPV6, IPV6_LEAVE_GROUP, SKERRY_LEAVE_GROUP, GROUP},
    {IPPROTO_IPV6, MCAST_JOIN_GROUP, SKERRY_JOIN_GROUP, REQUEST},
    {IPPROTO_IPV6, MCAST_LEAVE_GROUP, SKERRY_LEAVE_GROUP, REQUEST},
    {IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, SKERRY_JOIN_SOURCE, REQUEST},
    {IPPROTO_IPV6, MCAST_LEAVE_SOURCE_GROUP, SKERRY_LEAVE_SOURCE, REQUEST},
    {IPPROTO_IPV6, MCAST_BLOCK_SOURCE, SKERRY_BLOCK_SOURCE, REQUEST},
    {IPPROTO_IPV6, MCAST_UNBLOCK_SOURCE, SKERRY_UNBLOCK_SOURCE, REQUEST},
    {IPPROTO_IPV6, MCAST_MSFILTER, SKERRY_GROUP_FILTER, FILTER},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, SKERRY_MULTICAST_ALL, NUMBER},
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

// The number of the interface with this address of ours, or 0 for the one that the group's route says.
static int interface_with(struct in_addr own) {
  struct skerry_interface info;
  if (own.s_addr == htonl(INADDR_ANY)) return 0;
  for (int number = 1; !skerry_interface((unsigned)number, &info); number++)
    if (htonl(info.address) == own.s_addr) return number;
  return -ENODEV;
}

static int interface_of(const void *value, socklen_t length) {
  const struct ip_mreqn *request = value;
  if (length >= sizeof *request && request->imr_ifindex) return request->imr_ifindex;
  const struct in_addr *own = length >= sizeof(struct ip_mreq) ? &request->imr_address : value;
  return interface_with(*own);
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

// An IPv4 address as the kernel has it.
static struct skerry_address address_of(struct in_addr in, int interface) {
  const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = in};
  struct skerry_address to;
  skerry_address_in(&to, (const struct sockaddr *)&from, sizeof from);
  to.zone = (uint32_t)interface;
  return to;
}

// Names a source of a group: struct ip_mreq_source.
static int change_source(int fd, const struct option *found, const void *value, socklen_t length) {
  const struct ip_mreq_source *request = value;
  if (length != sizeof *request) return -EINVAL;
  const int interface = interface_with(request->imr_interface);
  if (interface < 0) return interface;
  const struct skerry_address both[] = {address_of(request->imr_multiaddr, interface), address_of(request->imr_sourceaddr, 0)};
  return skerry_set_option_data(fd, found->option, both, sizeof both);
}

// An address of the level's family: the error that Linux has for another one is `wrong`.
static int family_in(int level, struct skerry_address *to, const struct sockaddr_storage *from, int wrong) {
  if (from->ss_family != (level == IPPROTO_IPV6 ? AF_INET6 : AF_INET)) return wrong;
  return -skerry_address_in(to, (const struct sockaddr *)from, sizeof *from);
}

// Of either family: struct group_req, to join or leave a group, or group_source_req, to name a source of one.
static int change_request(int fd, const struct option *found, const void *value, socklen_t length) {
  const int sourced = found->option >= SKERRY_JOIN_SOURCE;
  const struct group_source_req *request = value;
  if (length < (sourced ? sizeof *request : sizeof(struct group_req))) return -EINVAL;
  struct skerry_address both[2];
  const int wrong = sourced || found->level == IPPROTO_IPV6 ? -EADDRNOTAVAIL : -EINVAL;
  int error = family_in(found->level, &both[0], &request->gsr_group, wrong);
  if (!error && sourced) error = family_in(found->level, &both[1], &request->gsr_source, wrong);
  if (error) return error;
  both[0].zone = request->gsr_interface;
  return skerry_set_option_data(fd, found->option, both, sourced ? sizeof both : sizeof *both);
}

enum { SOURCES_V4 = 10, SOURCES_V6 = 64 };

union filter {
  struct skerry_group_filter filter;
  char room[sizeof(struct skerry_group_filter) + SOURCES_V6 * sizeof(struct skerry_address)];
};

// The group of a struct ip_msfilter or group_filter.
static int filter_group(const struct option *found, const void *value, socklen_t length, struct skerry_address *group) {
  if (found->name == IP_MSFILTER) {
    const struct ip_msfilter *request = value;
    if (length < IP_MSFILTER_SIZE(0)) return -EINVAL;
    const int interface = interface_with(request->imsf_interface);
    if (interface < 0) return interface;
    *group = address_of(request->imsf_multiaddr, interface);
    return 0;
  }
  const struct group_filter *request = value;
  if (length < GROUP_FILTER_SIZE(0)) return -EINVAL;
  const int error = family_in(found->level, group, &request->gf_group, -EADDRNOTAVAIL);
  group->zone = request->gf_interface;
  return error;
}

// Sets all sources of a group.
static int set_filter(int fd, const struct option *found, const void *value, socklen_t length) {
  union filter to = {0};
  const int old = found->name == IP_MSFILTER;
  const struct ip_msfilter *four = value;
  const struct group_filter *both = value;
  if (length < (old ? IP_MSFILTER_SIZE(0) : GROUP_FILTER_SIZE(0))) return -EINVAL;
  const uint32_t count = old ? four->imsf_numsrc : both->gf_numsrc;
  if (count > (found->level == IPPROTO_IPV6 ? SOURCES_V6 : SOURCES_V4)) return -ENOBUFS;
  if ((old ? IP_MSFILTER_SIZE(count) : GROUP_FILTER_SIZE(count)) > length) return -EINVAL;
  int error = filter_group(found, value, length, &to.filter.group);
  for (uint32_t i = 0; !error && i < count; i++) {
    if (old) to.filter.sources[i] = address_of(four->imsf_slist[i], 0);
    else error = family_in(found->level, &to.filter.sources[i], &both->gf_slist[i], -EADDRNOTAVAIL);
  }
  if (error) return error;
  to.filter.include = old ? four->imsf_fmode : both->gf_fmode;
  to.filter.count = count;
  return skerry_set_option_data(fd, found->option, &to, sizeof to.filter + count * sizeof *to.filter.sources);
}

// Reads them: as many as there is room for, and the number of all.
static int get_filter(int fd, const struct option *found, void *value, socklen_t *length) {
  union filter from = {0};
  const int error = filter_group(found, value, *length, &from.filter.group);
  if (error) return error == -EADDRNOTAVAIL ? -EINVAL : error;
  const int bytes = skerry_get_option_data(fd, found->option, &from, sizeof from);
  if (bytes < 0) return bytes;
  const uint32_t count = from.filter.count;
  struct ip_msfilter *four = value;
  struct group_filter *both = value;
  const int old = found->name == IP_MSFILTER;
  const uint32_t room = old ? four->imsf_numsrc : both->gf_numsrc;
  const uint32_t copied = count < room ? count : room;
  const socklen_t size = old ? IP_MSFILTER_SIZE(copied) : GROUP_FILTER_SIZE(copied);
  if (*length < size) return -EINVAL;
  for (uint32_t i = 0; i < copied; i++) {
    struct skerry_address *source = &from.filter.sources[i];
    if (old) {
      four->imsf_slist[i].s_addr = htonl((uint32_t)source->low);
      continue;
    }
    socklen_t room_there = sizeof both->gf_slist[i];
    source->domain = found->level == IPPROTO_IPV6 ? SKERRY_INET6 : SKERRY_INET;
    memset(&both->gf_slist[i], 0, sizeof both->gf_slist[i]);
    skerry_address_out(source, (struct sockaddr *)&both->gf_slist[i], &room_there);
  }
  if (old) four->imsf_fmode = from.filter.include, four->imsf_numsrc = count;
  else both->gf_fmode = from.filter.include, both->gf_numsrc = count;
  *length = size;
  return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
  const struct option *found = find(level, name);
  if (!found) return missing(fd, level, 0);
  if (!value && length) return result(-EFAULT);
  if (found->form == DATA) return result(skerry_set_option_data(fd, found->option, value, length));
  if (found->form == GROUP) return result(change_group(fd, found, value, length));
  if (found->form == REQUEST) return result(change_request(fd, found, value, length));
  if (found->form == SOURCE) return result(change_source(fd, found, value, length));
  if (found->form == FILTER) return result(set_filter(fd, found, value, length));
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
  if (found->form == FILTER) return result(get_filter(fd, found, value, length));
  if (found->form == REQUEST || found->form == SOURCE) return result(-ENOPROTOOPT);
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
    // -1, which a few options may be, is told from an error by asking for it as data.
    if (number == -EPERM && skerry_get_option_data(fd, found->option, &number, sizeof number) < 0) return result(-EPERM);
    if (number < -1) return result(number);
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
