// Looks up names of the link: those of its arguments, and says what comes of each.
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

int main(int count, char **names) {
  for (int i = 1; i < count; i++) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int error = getaddrinfo(names[i], NULL, &hints, &found);
    printf("%s:", names[i]);
    if (error) printf(" %s", gai_strerror(error));
    for (struct addrinfo *at = found; at; at = at->ai_next) {
      char text[INET6_ADDRSTRLEN] = "";
      const int v6 = at->ai_family == AF_INET6;
      const void *address = v6 ? (const void *)&((struct sockaddr_in6 *)at->ai_addr)->sin6_addr
                               : (const void *)&((struct sockaddr_in *)at->ai_addr)->sin_addr;
      printf(" %s", inet_ntop(at->ai_family, address, text, sizeof text));
    }
    printf(".\n");
    if (found) freeaddrinfo(found);
  }
  return 0;
}
