// ICMP echo (RFC 792) over a raw socket: `ping HOST [COUNT]`.

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

enum { ECHO_REPLY = 0, ECHO_REQUEST = 8, TIMEOUT = 1000, INTERVAL = 200, IDENTIFIER = 0x5ee7 };

struct echo {
  uint8_t type, code;
  uint16_t checksum, identifier, sequence;
  uint8_t data[48];
};

static double now(void) { // milliseconds
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

// RFC 1071, of an even number of bytes.
static uint16_t checksum(const void *from, size_t bytes) {
  uint32_t sum = 0;
  for (const uint16_t *word = from; bytes; bytes -= 2) sum += *word++;
  sum = (sum >> 16) + (sum & 0xffff);
  return ~(sum + (sum >> 16));
}

static int send_request(int fd, int sequence) {
  struct echo request = {.type = ECHO_REQUEST, .identifier = htons(IDENTIFIER), .sequence = htons(sequence)};
  for (size_t i = 0; i < sizeof request.data; i++) request.data[i] = i;
  request.checksum = checksum(&request, sizeof request);
  return send(fd, &request, sizeof request, 0);
}

// Waits for the reply to a request: its time to live, or 0 if none came. Raw sockets hear all ICMP, with its IP header.
static int await_reply(int fd, int sequence, double deadline, int *bytes) {
  for (;;) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    const double left = deadline - now();
    if (left <= 0 || poll(&wait, 1, (int)left + 1) < 1) return 0;
    _Alignas(4) uint8_t packet[1500];
    const ssize_t length = recv(fd, packet, sizeof packet, 0);
    const int header = length > 0 ? (packet[0] & 15) * 4 : 0; // RFC 791, 3.1: in words
    if (length < header + 8) continue;
    struct echo reply;
    memcpy(&reply, packet + header, 8);
    if (reply.type != ECHO_REPLY || ntohs(reply.identifier) != IDENTIFIER || ntohs(reply.sequence) != sequence) continue;
    *bytes = length - header;
    return packet[8];
  }
}

int main(int count, char **arguments) {
  const int requests = count > 2 ? atoi(arguments[2]) : 4;
  if (count < 2 || requests < 1) {
    fputs("usage: ping HOST [COUNT]\n", stderr);
    return 2;
  }
  struct addrinfo *host, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM};
  const int error = getaddrinfo(arguments[1], NULL, &hints, &host);
  if (error) {
    fprintf(stderr, "ping: %s: %s\n", arguments[1], gai_strerror(error));
    return 1;
  }
  char address[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &((struct sockaddr_in *)host->ai_addr)->sin_addr, address, sizeof address);
  const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  if (fd < 0 || connect(fd, host->ai_addr, host->ai_addrlen)) {
    perror("ping");
    return 1;
  }
  freeaddrinfo(host);
  setvbuf(stdout, NULL, _IOLBF, 0);
  int received = 0;
  double least = TIMEOUT, most = 0, sum = 0;
  for (int sequence = 1; sequence <= requests; sequence++) {
    const double start = now();
    int bytes, ttl = 0;
    if (send_request(fd, sequence) < 0) perror("ping");
    else ttl = await_reply(fd, sequence, start + TIMEOUT, &bytes);
    const double time = now() - start;
    if (ttl) {
      printf("%d bytes from %s: icmp_seq=%d ttl=%d time=%.3f ms\n", bytes, address, sequence, ttl, time);
      received++;
      sum += time;
      if (time < least) least = time;
      if (time > most) most = time;
    } else {
      printf("no answer from %s: icmp_seq=%d\n", address, sequence);
    }
    if (sequence < requests && time < INTERVAL) usleep((INTERVAL - time) * 1000);
  }
  printf("%d sent, %d received", requests, received);
  if (received) printf(", min/avg/max %.3f/%.3f/%.3f ms", least, sum / received, most);
  printf("\n");
  return !received;
}
