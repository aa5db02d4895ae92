// Says of each line that it reads how many bytes it was and which, until it reads "quit". Its argument is the
// room that a read has.

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments) {
  unsigned char line[8192];
  const size_t room = count > 1 ? strtoul(arguments[1], NULL, 10) : sizeof line;
  if (!isatty(0)) return puts("standard input is no terminal"), 1;
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct pollfd console = {.fd = 0, .events = POLLIN};
    if (poll(&console, 1, -1) != 1 || !(console.revents & POLLIN)) return perror("poll"), 1;
    const ssize_t got = read(0, line, room);
    if (got < 0) return perror("read"), 1;
    printf("read %zd ", got);
    for (ssize_t i = 0; i < got; i++) printf("%02x", line[i]);
    puts("");
    fflush(stdout);
    if (got == 5 && !memcmp(line, "quit\n", 5)) return 0;
  }
}
