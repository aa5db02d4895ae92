// A chat room on port 6667 for anybody with a line-based client (`nc HOST 6667`): the first line is a
// name, every other one goes to all. One poll() waits for everybody; nobody can make it wait for them.

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 6667, GUESTS = 64, LINE = 512, NAME = 24 };

static struct guest {
  char name[NAME + 1]; // empty until it has said it
  char line[LINE];     // what has come of the next line
  size_t length;
} guests[GUESTS];
static struct pollfd fds[1 + GUESTS]; // the listener, then each guest's
static int count;

// To all that have a name but one; who does not take it at once misses it.
static void tell(int except, const char *format, ...) {
  char text[LINE + NAME + 8];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  fputs(text, stdout);
  for (int i = 0; i < count; i++)
    if (i != except && *guests[i].name) send(fds[1 + i].fd, text, length, 0);
}

static void leave(int who) {
  close(fds[1 + who].fd);
  const struct guest gone = guests[who];
  count--;
  guests[who] = guests[count];
  fds[1 + who] = fds[1 + count];
  if (*gone.name) tell(-1, "* %s left\n", gone.name);
}

// One line of a guest, without its end.
static void say(int who, const char *line) {
  struct guest *guest = &guests[who];
  if (*guest->name) {
    tell(who, "%s: %s\n", guest->name, line);
  } else if (*line) {
    snprintf(guest->name, sizeof guest->name, "%s", line);
    tell(-1, "* %s joined, %d here\n", guest->name, count);
  }
}

// Reads what a guest has sent; false if it is gone.
static int hear(int who) {
  struct guest *guest = &guests[who];
  const ssize_t length = recv(fds[1 + who].fd, guest->line + guest->length, LINE - 1 - guest->length, 0);
  if (length <= 0) return length < 0 && errno == EAGAIN;
  guest->length += length;
  guest->line[guest->length] = 0;
  char *line = guest->line;
  for (char *end; (end = strchr(line, '\n')); line = end + 1) {
    *end = 0;
    line[strcspn(line, "\r")] = 0;
    say(who, line);
  }
  guest->length = strlen(line);
  memmove(guest->line, line, guest->length + 1);
  return guest->length < LINE - 1; // nobody speaks so long without a breath
}

static void enter(int listener) {
  const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
  if (fd < 0) return;
  static const char full[] = "* no room\n", hello[] = "* your name?\n";
  if (count == GUESTS) {
    send(fd, full, sizeof full - 1, 0);
    close(fd);
    return;
  }
  send(fd, hello, sizeof hello - 1, 0);
  guests[count] = (struct guest){0};
  fds[1 + count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

int main(void) {
  const int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
  setvbuf(stdout, NULL, _IOLBF, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listener < 0 || bind(listener, (const struct sockaddr *)&any, sizeof any) || listen(listener, SOMAXCONN)) {
    perror("chat: listen");
    return 1;
  }
  printf("chat on port %d\n", PORT);
  fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
  for (;;) {
    if (poll(fds, 1 + count, -1) < 0) {
      perror("chat: poll");
      return 1;
    }
    // From the last one on: who leaves is replaced by one that has had its turn.
    for (int who = count - 1; who >= 0; who--)
      if (fds[1 + who].revents && !hear(who)) leave(who);
    if (fds[0].revents) enter(listener);
  }
}
