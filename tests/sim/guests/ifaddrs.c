// Says what getifaddrs says, but for entries of links themselves: the loopback's first.

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

static void say(const char *what, const struct sockaddr *address) {
  char text[INET6_ADDRSTRLEN];
  if (!address) return;
  const struct sockaddr_in *in = (const void *)address;
  const struct sockaddr_in6 *in6 = (const void *)address;
  const int six = address->sa_family == AF_INET6;
  inet_ntop(address->sa_family, six ? (const void *)&in6->sin6_addr : &in->sin_addr, text, sizeof text);
  // Whoever makes a link-local one chooses its lower half.
  const int local = six && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
  printf(" %s %s", what, local ? "fe80::/64" : text);
  if (six && in6->sin6_scope_id) printf(" on a link of %s", in6->sin6_scope_id == if_nametoindex("eth0") ? "eth0" : "others");
}

static void entry(const struct ifaddrs *one) {
  const int family = one->ifa_addr ? one->ifa_addr->sa_family : AF_UNSPEC;
  if (family != AF_INET && family != AF_INET6) return;
  printf("%s%s%s%s:", one->ifa_name, one->ifa_flags & IFF_UP ? " up" : "",
         one->ifa_flags & IFF_LOOPBACK ? " loopback" : "", one->ifa_flags & IFF_BROADCAST ? " broadcast" : "");
  say("address", one->ifa_addr);
  say("mask", one->ifa_netmask);
  say("to", one->ifa_broadaddr);
  puts("");
}

int main(void) {
  struct ifaddrs *list;
  sleep(5); // until addresses are found to be nobody else's
  if (getifaddrs(&list)) return perror("getifaddrs"), 1;
  for (int loopback = 1; loopback >= 0; loopback--)
    for (const struct ifaddrs *one = list; one; one = one->ifa_next)
      if (!!(one->ifa_flags & IFF_LOOPBACK) == loopback) entry(one);
  freeifaddrs(list);
}
