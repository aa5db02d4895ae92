/** In place of wasi-libc's, which has no path. There are no such sockets: socket() fails with EAFNOSUPPORT. */
#ifndef SKERRY_STRUCT_SOCKADDR_UN_H
#define SKERRY_STRUCT_SOCKADDR_UN_H

#include <__typedef_sa_family_t.h>

struct sockaddr_un {
  sa_family_t sun_family;
  char sun_path[108];
};

#endif
