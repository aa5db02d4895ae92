// An ordinary server: TCP over poll with several connections at once, and UDP, on port 7 (RFC 862); and a
// page over HTTP on port 80, a connection at a time, with calls that wait.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 16 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int serve(int type, int port) {
  const int on = 1, fd = socket(AF_INET, type, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (fd < 0) fail("socket");
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) fail("setsockopt");
  if (bind(fd, (struct sockaddr *)&address, sizeof address)) fail("bind");
  if (type == SOCK_STREAM && listen(fd, 16)) fail("listen");
  return fd;
}

__attribute__((unused)) static void echo(void) {
  struct pollfd fds[2 + CLIENTS] = {{serve(SOCK_STREAM, 7), POLLIN, 0}, {serve(SOCK_DGRAM, 7), POLLIN, 0}};
  static char buffer[4096];
  int count = 2;
  printf("echo on port 7\n");
  for (;;) {
    if (poll(fds, count, -1) < 0) fail("poll");
    if (fds[1].revents) {
      struct sockaddr_in peer;
      socklen_t size = sizeof peer;
      ssize_t bytes = recvfrom(fds[1].fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &size);
      if (bytes >= 0) sendto(fds[1].fd, buffer, bytes, 0, (struct sockaddr *)&peer, size);
    }
    for (int i = 2; i < count; i++) {
      if (!fds[i].revents) continue;
      ssize_t bytes = recv(fds[i].fd, buffer, sizeof buffer, 0);
      for (ssize_t sent = 0; sent < bytes;) {
        ssize_t part = send(fds[i].fd, buffer + sent, bytes - sent, 0);
        if (part < 0) break;
        sent += part;
      }
      if (bytes > 0) continue;
      close(fds[i].fd);
      fds[i--] = fds[--count];
    }
    if (fds[0].revents && count < 2 + CLIENTS) {
      int client = accept(fds[0].fd, NULL, NULL);
      if (client >= 0) fds[count++] = (struct pollfd){client, POLLIN, 0};
    }
  }
}

__attribute__((unused)) static void page(void) {
  static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\nhello from C!\n";
  const int listener = serve(SOCK_STREAM, 80);
  printf("page on port 80\n");
  for (;;) {
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    static char request[2048];
    const int fd = accept(listener, (struct sockaddr *)&peer, &size);
    if (fd < 0) fail("accept");
    const ssize_t bytes = read(fd, request, sizeof request);
    if (bytes > 0 && write(fd, answer, sizeof answer - 1) < 0) perror("write");
    char from[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &peer.sin_addr, from, sizeof from);
    printf("%s asked for %.*s\n", from, (int)strcspn(request, "\r\n"), request);
    fflush(stdout);
    close(fd);
  }
}

int main(void) {
  // What is no socket, and what is nobody's.
  if (send(1, "x", 1, 0) != -1 || errno != ENOTSOCK) fail("send to the console");
  if (recv(99, &errno, 1, 0) != -1 || errno != EBADF) fail("recv from nothing");
  setvbuf(stdout, NULL, _IOLBF, 0);
#ifdef PAGE
  page();
#else
  echo();
#endif
}
