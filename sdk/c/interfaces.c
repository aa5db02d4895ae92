// <net/if.h>, <ifaddrs.h>, and what of netdevice(7) programs ask about interfaces. Numbers are the kernel's, from 1 on.

#include "internal.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

// The number of the one of this name; 0, with `info` undefined, if there is none.
static unsigned find(const char *name, struct skerry_interface *info) {
  for (unsigned number = 1; !skerry_interface(number, info); number++)
    if (!strncmp(info->name, name, IFNAMSIZ)) return number;
  return 0;
}

unsigned if_nametoindex(const char *name) {
  struct skerry_interface info;
  const unsigned number = find(name, &info);
  if (!number) errno = ENODEV;
  return number;
}

char *if_indextoname(unsigned number, char *name) {
  struct skerry_interface info;
  if (skerry_interface(number, &info)) return result(-ENXIO), NULL;
  return strcpy(name, info.name);
}

struct if_nameindex *if_nameindex(void) {
  struct skerry_interface info;
  unsigned count = 0;
  while (!skerry_interface(count + 1, &info)) count++;
  // The list and its names are one block.
  struct if_nameindex *list = calloc(count + 1, sizeof *list + IF_NAMESIZE);
  if (!list) return result(-ENOBUFS), NULL;
  char *name = (char *)(list + count + 1);
  for (unsigned i = 0; i < count; i++, name += IF_NAMESIZE) {
    skerry_interface(i + 1, &info);
    list[i] = (struct if_nameindex){i + 1, strcpy(name, info.name)};
  }
  return list;
}

void if_freenameindex(struct if_nameindex *list) { free(list); }

static void address_out(struct sockaddr *to, uint32_t address) {
  const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
  memcpy(to, &in, sizeof in);
}

// Those that have an address; without room, how much they take.
static int list(struct ifconf *into) {
  struct skerry_interface info;
  int used = 0;
  for (unsigned number = 1; !skerry_interface(number, &info); number++) {
    if (!info.address) continue;
    if (into->ifc_req) {
      if (into->ifc_len - used < (int)sizeof(struct ifreq)) break;
      struct ifreq *one = &into->ifc_req[used / (int)sizeof(struct ifreq)];
      memset(one, 0, sizeof *one);
      memcpy(one->ifr_name, info.name, IFNAMSIZ);
      address_out(&one->ifr_addr, info.address);
    }
    used += (int)sizeof(struct ifreq);
  }
  into->ifc_len = used;
  return 0;
}

static int tell(int request, struct ifreq *about) {
  struct skerry_interface info;
  const int by_number = request == SIOCGIFNAME;
  const unsigned number = by_number ? (unsigned)about->ifr_ifindex : find(about->ifr_name, &info);
  if (!number || (by_number && skerry_interface(number, &info))) return -ENODEV;
  switch (request) {
    case SIOCGIFNAME: memcpy(about->ifr_name, info.name, IFNAMSIZ); return 0;
    case SIOCGIFINDEX: about->ifr_ifindex = (int)number; return 0;
    case SIOCGIFFLAGS: about->ifr_flags = (short)info.flags; return 0;
    case SIOCGIFMTU: about->ifr_mtu = (int)info.mtu; return 0;
    case SIOCGIFHWADDR:
      memset(&about->ifr_hwaddr, 0, sizeof about->ifr_hwaddr);
      about->ifr_hwaddr.sa_family = info.type;
      memcpy(about->ifr_hwaddr.sa_data, info.mac, sizeof info.mac);
      return 0;
    case SIOCGIFADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
      if (!info.address) return -EADDRNOTAVAIL;
      address_out(&about->ifr_addr, request == SIOCGIFADDR      ? info.address
                                    : request == SIOCGIFNETMASK ? info.mask
                                                                : info.broadcast);
      return 0;
    default: return -ENOTTY;
  }
}

int skerry_interface_ioctl(int fd, int request, void *value) {
  if (skerry_get_option(fd, SKERRY_TYPE) < 0) return result(-ENOTTY);
  if (!value) return result(-EFAULT);
  return result(request == SIOCGIFCONF ? list(value) : tell(request, value));
}

// What an entry of getifaddrs points to.
struct interface_entry {
  struct ifaddrs entry;
  char name[IF_NAMESIZE];
  struct sockaddr_storage address, mask, peer;
};

static void mask_out(struct sockaddr_storage *to, int family, unsigned prefix) {
  to->ss_family = (sa_family_t)family;
  unsigned char *bytes = family == AF_INET ? (void *)&((struct sockaddr_in *)to)->sin_addr
                                           : ((struct sockaddr_in6 *)to)->sin6_addr.s6_addr;
  for (; prefix >= 8; prefix -= 8) *bytes++ = 0xff;
  if (prefix) *bytes = (unsigned char)(0xff << (8 - prefix));
}

// Fills the entry at `into` if there is one, and says whether this address is of the family.
static bool entry_out(struct interface_entry *into, const struct skerry_interface *info,
                      struct skerry_interface_address *one, int family) {
  const bool v4 = !one->address.high && one->address.low >> 32 == 0xffff;
  if (v4 != (family == AF_INET)) return false;
  if (!into) return true;
  struct ifaddrs *entry = &into->entry;
  socklen_t length = sizeof into->address;
  one->address.domain = v4 ? SKERRY_INET : SKERRY_INET6;
  skerry_address_out(&one->address, (struct sockaddr *)&into->address, &length);
  mask_out(&into->mask, family, one->prefix);
  strcpy(into->name, info->name);
  entry->ifa_name = into->name;
  entry->ifa_flags = info->flags;
  entry->ifa_addr = (struct sockaddr *)&into->address;
  entry->ifa_netmask = (struct sockaddr *)&into->mask;
  if (!v4) return true;
  // As Linux has it: all that the link reaches, or where there is no such thing the address itself.
  const uint32_t address = (uint32_t)one->address.low, hosts = one->prefix ? 0xffffffffu >> one->prefix : 0xffffffffu;
  const bool all = info->flags & IFF_BROADCAST && one->prefix < 31;
  address_out((struct sockaddr *)&into->peer, all ? address | hosts : address);
  entry->ifa_broadaddr = (struct sockaddr *)&into->peer;
  return true;
}

// Goes through all addresses of a family, writes those from `entries` on unless that is null: how many.
static unsigned entries_out(struct interface_entry *entries, int family) {
  struct skerry_interface info;
  struct skerry_interface_address one;
  unsigned count = 0;
  for (unsigned number = 1; !skerry_interface(number, &info); number++)
    for (unsigned index = 0; !skerry_interface_address(number, index, &one); index++)
      count += entry_out(entries ? entries + count : NULL, &info, &one, family);
  return count;
}

int getifaddrs(struct ifaddrs **into) {
  const unsigned count = entries_out(NULL, AF_INET) + entries_out(NULL, AF_INET6);
  *into = NULL;
  if (!count) return 0;
  // No address comes or goes before this returns: guests do not run beside the kernel.
  struct interface_entry *entries = calloc(count, sizeof *entries);
  if (!entries) return result(-ENOMEM);
  entries_out(entries + entries_out(entries, AF_INET), AF_INET6);
  for (unsigned i = 0; i + 1 < count; i++) entries[i].entry.ifa_next = &entries[i + 1].entry;
  *into = &entries->entry;
  return 0;
}

void freeifaddrs(struct ifaddrs *list) { free(list); }
