// Ends as its first argument says: "trap", or with that code. With a port and a server's address it first takes
// a listener, a datagram that nobody reads, and a connection with data under way in both directions.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void fail(const char *what) {
  perror(what);
  exit(99);
}

static int bound(int type, struct sockaddr_in *address) {
  const int on = 1, fd = socket(AF_INET, type, 0);
  if (fd < 0) fail("socket");
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) fail("setsockopt");
  if (bind(fd, (struct sockaddr *)address, sizeof *address)) fail("bind");
  return fd;
}

static void take(int port, const char *host) {
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(7)};
  static char bytes[3000];
  if (inet_pton(AF_INET, host, &server.sin_addr) != 1) fail("inet_pton");
  if (listen(bound(SOCK_STREAM, &own), 4)) fail("listen");
  const int datagrams = bound(SOCK_DGRAM, &own);
  own.sin_addr = server.sin_addr;
  if (sendto(datagrams, bytes, 500, 0, (struct sockaddr *)&own, sizeof own) != 500) fail("sendto");
  const int stream = socket(AF_INET, SOCK_STREAM, 0);
  if (stream < 0) fail("socket");
  if (connect(stream, (struct sockaddr *)&server, sizeof server)) fail("connect");
  if (send(stream, bytes, sizeof bytes, 0) != sizeof bytes) fail("send");
  if (recv(stream, bytes, 1, 0) != 1) fail("recv");
}

int main(int count, char **arguments) {
  if (count == 4) take(atoi(arguments[2]), arguments[3]);
  if (!strcmp(arguments[1], "trap")) __builtin_trap();
  return atoi(arguments[1]);
}
