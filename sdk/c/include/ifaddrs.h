#pragma once
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ifaddrs {
  struct ifaddrs *ifa_next;
  char *ifa_name;
  unsigned ifa_flags;
  struct sockaddr *ifa_addr;
  struct sockaddr *ifa_netmask;
  union {
    struct sockaddr *ifu_broadaddr;
    struct sockaddr *ifu_dstaddr;
  } ifa_ifu;
  void *ifa_data;
};
#define ifa_broadaddr ifa_ifu.ifu_broadaddr
#define ifa_dstaddr ifa_ifu.ifu_dstaddr

/** An entry for each IPv4 address, then for each IPv6 address that is in use. Of links themselves (AF_PACKET) none. */
int getifaddrs(struct ifaddrs **into);
void freeifaddrs(struct ifaddrs *list);

#ifdef __cplusplus
}
#endif
