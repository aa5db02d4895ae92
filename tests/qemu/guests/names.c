// What <netdb.h> makes of names that a test's server knows: one line each.

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

// Prints a list as `address/type/port`.
static void show(const char *what, const struct addrinfo *list) {
  printf("%s:", what);
  if (list->ai_canonname) printf(" is %s", list->ai_canonname);
  for (; list; list = list->ai_next) {
    char host[64], service[8];
    const int flags = NI_NUMERICHOST | NI_NUMERICSERV;
    const int error = getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof host, service, sizeof service, flags);
    if (error) printf(" ?%s", gai_strerror(error));
    else printf(" %s/%d%d/%s", host, list->ai_socktype == SOCK_STREAM, list->ai_protocol == IPPROTO_TCP, service);
  }
  printf("\n");
}

static void find(const char *node, const char *service, int family, int type, int flags) {
  const struct addrinfo hints = {.ai_family = family, .ai_socktype = type, .ai_flags = flags};
  struct addrinfo *list;
  const int error = getaddrinfo(node, service, &hints, &list);
  if (error) {
    printf("%s %s: %s\n", node ? node : "-", service ? service : "-", gai_strerror(error));
    return;
  }
  show(node ? node : "-", list);
  freeaddrinfo(list);
}

static void name_of(const char *address) {
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(443)};
  char host[NI_MAXHOST], service[NI_MAXSERV];
  const int is_v4 = inet_pton(AF_INET, address, &v4.sin_addr);
  if (!is_v4) inet_pton(AF_INET6, address, &v6.sin6_addr);
  const struct sockaddr *from = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
  const socklen_t length = is_v4 ? sizeof v4 : sizeof v6;
  const int error = getnameinfo(from, length, host, sizeof host, service, sizeof service, 0);
  printf("%s has the name %s, %s\n", address, error ? gai_strerror(error) : host, error ? "" : service);
}

int main(void) {
  find("web.test", "http", AF_UNSPEC, SOCK_STREAM, 0);
  find("web.test", "53", AF_INET, 0, 0);
  find("web.test", NULL, AF_INET6, SOCK_DGRAM, 0);
  find("alias.test", "https", AF_INET, SOCK_STREAM, AI_CANONNAME);
  find("four.test", "80", AF_INET6, SOCK_STREAM, 0);
  find("four.test", "80", AF_INET6, SOCK_STREAM, AI_V4MAPPED);
  find("four.test", "80", AF_UNSPEC, SOCK_STREAM, AI_ADDRCONFIG);
  find("nobody.test", "80", AF_UNSPEC, SOCK_STREAM, 0);
  find("192.0.2.7", "ssh", AF_UNSPEC, SOCK_STREAM, AI_NUMERICHOST);
  find("2001:db8::7", "22", AF_INET6, SOCK_STREAM, AI_NUMERICHOST);
  find("2001:db8::7", "22", AF_INET, SOCK_STREAM, 0);
  find("127.1", "22", AF_INET, SOCK_STREAM, 0);
  find("web.test", "22", AF_INET, SOCK_STREAM, AI_NUMERICHOST);
  find("web.test", "http", AF_INET, SOCK_DGRAM, 0);
  find("web.test", "http", AF_INET, SOCK_STREAM, AI_NUMERICSERV);
  find("web.test", "99999", AF_INET, SOCK_STREAM, 0);
  find("web.test", "80", 77, SOCK_STREAM, 0);
  find("web.test", "80", AF_INET, 77, 0);
  find("web.test", "80", AF_INET, SOCK_STREAM, 0x8000);
  find(NULL, NULL, AF_UNSPEC, 0, 0);
  find(NULL, "80", AF_UNSPEC, SOCK_STREAM, AI_PASSIVE);
  find(NULL, "80", AF_UNSPEC, SOCK_STREAM, 0);
  find("localhost", "80", AF_UNSPEC, SOCK_STREAM, 0);
  name_of("192.0.2.1");
  name_of("2001:db8::1");
  name_of("192.0.2.99");
  name_of("127.0.0.1");
  const struct hostent *host = gethostbyname("four.test");
  char text[INET_ADDRSTRLEN];
  printf("gethostbyname: %s %s\n", host ? host->h_name : hstrerror(h_errno),
         host ? inet_ntop(AF_INET, host->h_addr, text, sizeof text) : "");
  if (!gethostbyname("nobody.test")) printf("gethostbyname: %s\n", hstrerror(h_errno));
  // More than a datagram holds.
  const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  struct addrinfo *list = NULL;
  int count = 0;
  if (!getaddrinfo("many.test", NULL, &hints, &list)) {
    for (const struct addrinfo *at = list; at; at = at->ai_next) count++;
    freeaddrinfo(list);
  }
  printf("many.test has %d addresses\n", count);
  const struct servent *service = getservbyname("domain", "udp");
  printf("getservbyname: %d/%s\n", ntohs((uint16_t)service->s_port), service->s_proto);
  printf("getservbyport: %s\n", getservbyport(htons(443), "tcp")->s_name);
  return 0;
}
