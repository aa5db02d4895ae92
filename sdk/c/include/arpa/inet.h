/** wasi-libc's header, and what sdk/c/inet.c adds to it. */
#ifndef SKERRY_ARPA_INET_H
#define SKERRY_ARPA_INET_H

#include_next <arpa/inet.h>

#ifdef __cplusplus
extern "C" {
#endif

in_addr_t inet_addr(const char *text);
in_addr_t inet_network(const char *text);
/** In memory that the next call writes again. */
char *inet_ntoa(struct in_addr address);
struct in_addr inet_makeaddr(in_addr_t network, in_addr_t host);
in_addr_t inet_lnaof(struct in_addr address);
in_addr_t inet_netof(struct in_addr address);

#ifdef __cplusplus
}
#endif

#endif
