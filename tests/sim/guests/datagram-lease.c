// A server on UDP port 9 that reads datagrams where they lie and answers each with its bytes, their sum and who sent
// it. The word with which one begins says what else it does: "hold" keeps it, "free" gives back all that is kept,
// "shut" closes the socket with all that is kept and opens another, "write" and "late" are traps.
#include <arpa/inet.h>
#include <errno.h>
#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int opened(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9)};
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(fd, (struct sockaddr *)&at, sizeof at)) exit(99);
  return fd;
}

static int begins(const struct skerry_lease *lease, const char *word) {
  return lease->length >= strlen(word) && !memcmp(lease->bytes, word, strlen(word));
}

int main(void) {
  static struct skerry_lease held[256];
  unsigned holds = 0;
  int fd = opened();
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("leases on port 9\n");
  for (;;) {
    struct skerry_lease lease = {0};
    struct skerry_address from;
    char text[100];
    unsigned sum = 0;
    const int length = skerry_lease_from(fd, &lease, &from);
    if (length < 0) {
      // As many are out as may be: the plain way still works.
      const int taken = skerry_receive_from(fd, text, sizeof text, &from);
      if (length != -ENOBUFS || taken < 4) exit(93);
      const int all = !memcmp(text, "free", 4);
      while (all && holds) if (skerry_release(held[--holds].number)) exit(95);
      snprintf(text, sizeof text, "plain %d, %u held", taken, holds);
      skerry_send_to(fd, text, strlen(text), &from);
      continue;
    }
    for (int i = 0; i < length; i++) sum += lease.bytes[i];
    for (const unsigned char *at = (const unsigned char *)((uintptr_t)lease.bytes & ~4095ul); length && at < lease.bytes; at++)
      if (*at) printf("a stranger's byte\n"), exit(98);
    if (begins(&lease, "write")) *(volatile unsigned char *)(uintptr_t)lease.bytes = 1;
    const int late = begins(&lease, "late"), shuts = begins(&lease, "shut"), frees = begins(&lease, "free");
    if (begins(&lease, "hold")) held[holds++] = lease;
    else if (length && skerry_release(lease.number)) exit(97);
    else if (skerry_release(lease.number) != -EINVAL) exit(96);
    if (late) printf("after release: %d\n", *(const volatile unsigned char *)lease.bytes);
    if (frees) while (holds) if (skerry_release(held[--holds].number)) exit(95);
    if (shuts) {
      close(fd);
      while (holds) if (skerry_release(held[--holds].number) != -EINVAL) exit(94);
      fd = opened();
    }
    snprintf(text, sizeof text, "%d bytes, %u, from %u.%u port %u in %d, %u held", length, sum, (unsigned)(from.low >> 8 & 255),
             (unsigned)(from.low & 255), from.port, from.domain, holds);
    skerry_send_to(fd, text, strlen(text), &from);
  }
}
