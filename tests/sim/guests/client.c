// Sends BYTES to the echo server at SERVER over TCP and reads them back, several times; says what it saw.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef BYTES
#define BYTES 50000
#endif
enum { ROUNDS = 3, PART = 3000 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static unsigned char byte_of(int round, int at) { return (unsigned char)(at * 7 + at / 251 + round); }

static void round_trip(int round, const struct sockaddr_in *server) {
  static unsigned char part[PART];
  int fd = socket(AF_INET, SOCK_STREAM, 0), sent = 0, received = 0;
  if (fd < 0) fail("socket");
  if (connect(fd, (const struct sockaddr *)server, sizeof *server)) fail("connect");
  fcntl(fd, F_SETFL, O_NONBLOCK);
  while (received < BYTES) {
    struct pollfd wait = {fd, POLLIN | (sent < BYTES ? POLLOUT : 0), 0};
    if (poll(&wait, 1, -1) != 1) fail("poll");
    if (wait.revents & POLLOUT && sent < BYTES) {
      int length = BYTES - sent < PART ? BYTES - sent : PART;
      for (int i = 0; i < length; i++) part[i] = byte_of(round, sent + i);
      ssize_t done = send(fd, part, length, 0);
      if (done > 0) sent += done;
    }
    if (wait.revents & (POLLIN | POLLHUP)) {
      ssize_t got = recv(fd, part, PART, 0);
      if (got <= 0) fail("recv");
      for (int i = 0; i < got; i++, received++) {
        if (part[i] == byte_of(round, received)) continue;
        printf("byte %d of round %d is wrong\n", received, round);
        exit(2);
      }
    }
  }
  fcntl(fd, F_SETFL, 0);
  if (shutdown(fd, SHUT_WR)) fail("shutdown");
  if (recv(fd, part, PART, 0) != 0) fail("end of stream");
  close(fd);
  printf("round %d: %d bytes\n", round, received);
  fflush(stdout);
}

int main(void) {
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(7)};
  if (inet_pton(AF_INET, SERVER, &server.sin_addr) != 1) return 1;
  for (int round = 0; round < ROUNDS; round++) round_trip(round, &server);
  printf("all rounds done\n");
}
