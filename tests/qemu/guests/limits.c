// Goes up to its limits: how many sockets it gets, how much memory, and how the first refusals look.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAGE = 65536 };

int main(void) {
  int sockets = 0, last = -1, fd;
  while ((fd = socket(AF_INET, SOCK_DGRAM, 0)) >= 0) last = fd, sockets++;
  const int error = errno;
  close(last); // for stdout, should it want one
  long pages = 0;
  while (__builtin_wasm_memory_grow(0, 1) != (size_t)-1) pages++;
  printf("%d sockets, then: %s; %zu pages in all\n", sockets, strerror(error), __builtin_wasm_memory_size(0));
  return pages > 0 ? 0 : 1;
}
