/** In place of wasi-libc's, which has no room for an address. */
#ifndef SKERRY_STRUCT_SOCKADDR_H
#define SKERRY_STRUCT_SOCKADDR_H

#include <__typedef_sa_family_t.h>

struct sockaddr {
  sa_family_t sa_family;
  char sa_data[14];
};

#endif
