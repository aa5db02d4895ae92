/** In place of wasi-libc's, which is smaller than programs expect. */
#ifndef SKERRY_STRUCT_SOCKADDR_STORAGE_H
#define SKERRY_STRUCT_SOCKADDR_STORAGE_H

#include <__typedef_sa_family_t.h>

struct sockaddr_storage {
  sa_family_t ss_family;
  char __ss_padding[118];
  unsigned long long __ss_align;
};

#endif
