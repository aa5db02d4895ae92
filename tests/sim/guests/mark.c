// Marks sockets of each kind, and says what becomes of it: SO_MARK.

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(void) {
  const int kinds[] = {SOCK_STREAM, SOCK_DGRAM};
  for (int i = 0; i < 2; i++) {
    const int fd = socket(AF_INET, kinds[i], 0);
    int mark = 7;
    socklen_t length = sizeof mark;
    if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark)) printf("not marked: %s\n", strerror(errno));
    mark = -1;
    if (!getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &length)) printf("mark %d\n", mark);
  }
}
