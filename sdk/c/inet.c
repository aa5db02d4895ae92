// <arpa/inet.h>: addresses of IPv4 as text, and by class, as programs older than prefixes have it.

#include <arpa/inet.h>
#include <stdio.h>

in_addr_t inet_addr(const char *text) {
  struct in_addr address;
  return inet_aton(text, &address) ? address.s_addr : INADDR_NONE;
}

in_addr_t inet_network(const char *text) { return ntohl(inet_addr(text)); }

char *inet_ntoa(struct in_addr address) {
  static char text[INET_ADDRSTRLEN];
  const unsigned char *bytes = (const unsigned char *)&address;
  snprintf(text, sizeof text, "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3]);
  return text;
}

// Bits of the host in an address of this class.
static int host_bits(in_addr_t address) { return address < 0x80000000 ? 24 : address < 0xc0000000 ? 16 : 8; }

struct in_addr inet_makeaddr(in_addr_t network, in_addr_t host) {
  const int bits = network < 0x100 ? 24 : network < 0x10000 ? 16 : 8;
  return (struct in_addr){htonl(network << bits | host)};
}

in_addr_t inet_lnaof(struct in_addr address) {
  const in_addr_t value = ntohl(address.s_addr);
  return value & ((1u << host_bits(value)) - 1);
}

in_addr_t inet_netof(struct in_addr address) {
  const in_addr_t value = ntohl(address.s_addr);
  return value >> host_bits(value);
}
