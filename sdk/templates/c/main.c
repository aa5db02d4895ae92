// A web server of one page, with the sockets that C programs have everywhere.
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char PAGE[] = "HTTP/1.1 200 OK\r\n"
                           "Content-Type: text/plain\r\n"
                           "Content-Length: 14\r\n"
                           "Connection: close\r\n"
                           "\r\n"
                           "Hello from C!\n";

static void serve(int client) {
  char request[4096];
  size_t length = 0;
  while (length < sizeof request - 1) {
    const ssize_t count = read(client, request + length, sizeof request - 1 - length);
    if (count <= 0) return;
    length += (size_t)count;
    request[length] = 0;
    if (strstr(request, "\r\n\r\n")) break;
  }
  write(client, PAGE, sizeof PAGE - 1);
}

int main(void) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
  if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof address) || listen(listener, 16)) {
    perror("port 80");
    return 1;
  }
  puts("serving on port 80");
  for (;;) {
    const int client = accept(listener, NULL, NULL);
    if (client < 0) continue;
    serve(client);
    shutdown(client, SHUT_WR);
    close(client);
  }
}
