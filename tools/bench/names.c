// What a name costs a Linux process that unbound on 127.0.0.1 knows: `names KIND LOOKUPS` prints ns a lookup, one after
// the other. KIND is libunbound (ub_resolve, from the cache of the process), getaddrinfo (glibc, a datagram there and
// back) or query (the same datagrams without glibc).

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unbound.h>
#include <unistd.h>

enum { NAMES = 200 };

static struct ub_ctx *context;
static int channel;
static char names[NAMES][32];

_Noreturn static void fail(const char *what, const char *why) {
  fprintf(stderr, "names: %s: %s\n", what, why);
  exit(1);
}

static void by_libunbound(int i) {
  struct ub_result *result;
  int error = ub_resolve(context, names[i], 1, 1, &result);
  if (error || !result->havedata) fail(names[i], error ? ub_strerror(error) : "no address");
  ub_resolve_free(result);
}

static void by_getaddrinfo(int i) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  int error = getaddrinfo(names[i], NULL, &hints, &found);
  if (error) fail(names[i], gai_strerror(error));
  freeaddrinfo(found);
}

static void by_query(int i) {
  uint8_t query[64] = {(uint8_t)(i >> 8), (uint8_t)i, 1, 0, 0, 1}, answer[512], *at = query + 12;
  for (const char *label = names[i]; *label;) {
    size_t length = strcspn(label, ".");
    *at++ = (uint8_t)length;
    memcpy(at, label, length);
    at += length, label += length + 1;
  }
  memcpy(at, "\0\0\1\0\1", 5);
  if (send(channel, query, (size_t)(at + 5 - query), 0) < 0) fail("send", "unbound is gone");
  ssize_t got = recv(channel, answer, sizeof answer, 0);
  if (got < 12 || memcmp(answer, query, 2) || answer[7] != 1) fail(names[i], "no answer with an address");
}

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int count, char **words) {
  if (count != 3) {
    fprintf(stderr, "Usage: %s libunbound|getaddrinfo|query LOOKUPS\n", words[0]);
    return 2;
  }
  void (*look_up)(int) = by_query;
  if (!strcmp(words[1], "getaddrinfo")) look_up = by_getaddrinfo;
  if (!strcmp(words[1], "libunbound")) look_up = by_libunbound;
  for (int i = 0; i < NAMES; i++) snprintf(names[i], sizeof names[i], "host%d.lab.example.", i);
  context = ub_ctx_create();
  if (!context || ub_ctx_set_fwd(context, "127.0.0.1")) fail("libunbound", "no context");
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct timeval patience = {.tv_sec = 20};
  channel = socket(AF_INET, SOCK_DGRAM, 0);
  setsockopt(channel, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(channel, (struct sockaddr *)&server, sizeof server)) fail("connect", "no socket");
  long lookups = atol(words[2]);
  for (int i = 0; i < NAMES; i++) look_up(i);
  double start = seconds();
  for (long i = 0; i < lookups; i++) look_up((int)(i * 7919 % NAMES));
  printf("lookup-ns %.1f\n", (seconds() - start) * 1e9 / (double)lookups);
  return 0;
}
