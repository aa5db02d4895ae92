// Which TCP ports of a host are open: `scan HOST FIRST LAST [MILLISECONDS]`. Connects to many ports at
// once and lets poll() say what came of each: a connection, a refusal, or nothing in time.

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 64, TIMEOUT = 2000 };

static struct attempt {
  int port;
  long long deadline; // milliseconds
} attempts[AT_ONCE];
static struct pollfd fds[AT_ONCE]; // of each attempt
static int under_way, open_ports, closed_ports, silent_ports;

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000ll + time.tv_nsec / 1000000;
}

static void report(int port, int error) {
  if (!error) open_ports++, printf("%d open\n", port);
  else if (error == ECONNREFUSED) closed_ports++;
  else silent_ports++;
}

static void begin(const struct addrinfo *host, int port, long long deadline) {
  const int fd = socket(host->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_storage address;
  memcpy(&address, host->ai_addr, host->ai_addrlen);
  if (host->ai_family == AF_INET6) ((struct sockaddr_in6 *)&address)->sin6_port = htons(port);
  else ((struct sockaddr_in *)&address)->sin_port = htons(port);
  const int error = fd >= 0 && !connect(fd, (struct sockaddr *)&address, host->ai_addrlen) ? 0 : errno;
  if (error == EINPROGRESS) {
    attempts[under_way] = (struct attempt){.port = port, .deadline = deadline};
    fds[under_way++] = (struct pollfd){.fd = fd, .events = POLLOUT};
    return;
  }
  report(port, error);
  if (fd >= 0) close(fd);
}

// Ends attempt `i` if it has come to something, or has taken too long.
static void settle(int i, long long time) {
  int error = ETIMEDOUT;
  socklen_t size = sizeof error;
  if (fds[i].revents) getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
  else if (time < attempts[i].deadline) return;
  report(attempts[i].port, error);
  close(fds[i].fd);
  attempts[i] = attempts[--under_way];
  fds[i] = fds[under_way];
}

int main(int count, char **arguments) {
  const int first = count > 3 ? atoi(arguments[2]) : 0, last = count > 3 ? atoi(arguments[3]) : 0;
  const int timeout = count > 4 ? atoi(arguments[4]) : TIMEOUT;
  if (first < 1 || last > 65535 || first > last || timeout < 1) {
    fputs("usage: scan HOST FIRST LAST [MILLISECONDS]\n", stderr);
    return 2;
  }
  struct addrinfo *host, hints = {.ai_socktype = SOCK_STREAM};
  const int error = getaddrinfo(arguments[1], NULL, &hints, &host);
  if (error) {
    fprintf(stderr, "scan: %s: %s\n", arguments[1], gai_strerror(error));
    return 1;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int port = first; port <= last || under_way;) {
    while (port <= last && under_way < AT_ONCE) begin(host, port++, now() + timeout);
    if (poll(fds, under_way, 100) < 0) {
      perror("scan: poll");
      return 1;
    }
    const long long time = now();
    for (int i = under_way - 1; i >= 0; i--) settle(i, time);
  }
  printf("%d open, %d closed, %d silent\n", open_ports, closed_ports, silent_ports);
  freeaddrinfo(host);
  return !open_ports;
}
