// The routers on the way to a host: `traceroute HOST`. Sends UDP datagrams that live for one hop, two, and
// so on; the router that drops one says so by ICMP, and the host says that nobody has the port (RFC 1812,
// 4.3.3.1; RFC 792). A raw socket hears both.

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HOPS = 30, TRIES = 3, TIMEOUT = 1000, PORT = 33434, UNREACHABLE = 3, EXCEEDED = 11, UDP = 17 };

static double now(void) { // milliseconds
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static int header_bytes(const uint8_t *packet) { return (packet[0] & 15) * 4; }

// Whether an ICMP packet is about the datagram that went to `port`: an error quotes it. Its type, or 0.
static int about(const uint8_t *packet, ssize_t length, int port) {
  if (length < 20) return 0;
  const uint8_t *icmp = packet + header_bytes(packet), *end = packet + length;
  if (end - icmp < 8 + 20) return 0;
  const uint8_t *quoted = icmp + 8, *udp = quoted + header_bytes(quoted);
  if (end - udp < 4 || quoted[9] != UDP || (udp[2] << 8 | udp[3]) != port) return 0;
  return *icmp == EXCEEDED || *icmp == UNREACHABLE ? *icmp : 0;
}

// Waits for what became of the datagram to `port`: the type of the error and who sent it, or 0.
static int await_error(int raw, int port, double deadline, struct in_addr *from) {
  for (;;) {
    struct pollfd wait = {.fd = raw, .events = POLLIN};
    const double left = deadline - now();
    if (left <= 0 || poll(&wait, 1, (int)left + 1) < 1) return 0;
    uint8_t packet[1500];
    const ssize_t length = recv(raw, packet, sizeof packet, 0);
    const int type = about(packet, length, port);
    if (!type) continue;
    memcpy(from, packet + 12, sizeof *from); // RFC 791, 3.1: the source
    return type;
  }
}

int main(int count, char **arguments) {
  if (count != 2) {
    fputs("usage: traceroute HOST\n", stderr);
    return 2;
  }
  struct addrinfo *host, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM};
  const int error = getaddrinfo(arguments[1], NULL, &hints, &host);
  if (error) {
    fprintf(stderr, "traceroute: %s: %s\n", arguments[1], gai_strerror(error));
    return 1;
  }
  struct sockaddr_in to;
  memcpy(&to, host->ai_addr, sizeof to);
  freeaddrinfo(host);
  const int udp = socket(AF_INET, SOCK_DGRAM, 0), raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  if (udp < 0 || raw < 0) {
    perror("traceroute");
    return 1;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  int port = PORT;
  for (int hop = 1; hop <= HOPS; hop++) {
    int type = 0;
    if (setsockopt(udp, IPPROTO_IP, IP_TTL, &hop, sizeof hop)) {
      perror("traceroute: IP_TTL");
      return 1;
    }
    for (int try = 0; try < TRIES && !type; try++) {
      struct in_addr from;
      to.sin_port = htons(++port);
      const double start = now();
      if (sendto(udp, "", 1, 0, (struct sockaddr *)&to, sizeof to) < 0) perror("traceroute");
      else type = await_error(raw, port, start + TIMEOUT, &from);
      char text[INET_ADDRSTRLEN];
      if (type) printf("%2d  %s  %.3f ms\n", hop, inet_ntop(AF_INET, &from, text, sizeof text), now() - start);
    }
    if (!type) printf("%2d  *\n", hop);
    if (type == UNREACHABLE) return 0;
  }
  return 1;
}
