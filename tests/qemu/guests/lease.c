// A server on port 9 that reads what comes where it lies, and adds it up: a word and its sum for each stream. The
// word with which a stream begins says what else it does: "write", "late", "gone" and "hoard" end badly or
// never give anything back; others are summed.
#include <errno.h>
#include <netinet/in.h>
#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what, int error) {
  printf("%s: %d\n", what, error);
  exit(99);
}

static int listener(void) {
  const int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
  if (fd < 0) fail("socket", errno);
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) fail("setsockopt", errno);
  if (bind(fd, (struct sockaddr *)&address, sizeof address)) fail("bind", errno);
  if (listen(fd, 4)) fail("listen", errno);
  return fd;
}

static int begins(const struct skerry_lease *lease, const char *word) {
  return lease->length >= strlen(word) && !memcmp(lease->bytes, word, strlen(word));
}

// What is left of the page before and behind must be nothing but zeros.
static void look_around(const struct skerry_lease *lease) {
  const unsigned char *page = (const unsigned char *)((uintptr_t)lease->bytes & ~4095ul);
  for (const unsigned char *at = page; at < page + 4096; at++)
    if ((at < lease->bytes || at >= lease->bytes + lease->length) && *at) fail("a stranger's byte", *at);
}

static void serve(int fd) {
  struct skerry_lease lease, second = {0};
  unsigned sum = 0, bytes = 0, held = 0;
  char answer[64];
  for (int length; (length = skerry_lease(fd, &lease));) {
    if (length < 0 && held) break;
    if (length < 0) fail("lease", length);
    if (!bytes) printf("leased at %p\n", (const void *)lease.bytes);
    look_around(&lease);
    const int hoards = begins(&lease, "hoard") || held;
    if (begins(&lease, "write")) *(volatile unsigned char *)(uintptr_t)lease.bytes = 1;
    for (unsigned i = 0; i < lease.length; i++) sum += lease.bytes[i];
    bytes += lease.length;
    if (begins(&lease, "gone")) {
      close(fd);
      printf("after close: %d\n", *(const volatile unsigned char *)lease.bytes);
    }
    if (hoards) {
      held++;
      continue;
    }
    const int late = begins(&lease, "late");
    if (skerry_release(lease.number)) fail("release", 0);
    if (skerry_release(lease.number) != -EINVAL) fail("release again", 0);
    if (skerry_release(second.number) >= 0 && second.number) fail("an old number", 0);
    second = lease;
    if (late) printf("after release: %d\n", *(const volatile unsigned char *)lease.bytes);
  }
  snprintf(answer, sizeof answer, "%u bytes, %u, %u held\n", bytes, sum, held);
  send(fd, answer, strlen(answer), 0);
  close(fd);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  const int port = listener();
  printf("sums on port 9\n");
  for (;;) {
    const int fd = accept(port, NULL, NULL);
    if (fd < 0) fail("accept", errno);
    serve(fd);
  }
}
