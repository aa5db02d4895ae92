/** wasi-libc's header with what glibc's has without being asked: tcp_info, and the fields' names of both. */
#ifndef SKERRY_NETINET_TCP_H
#define SKERRY_NETINET_TCP_H

#ifdef _GNU_SOURCE
#include_next <netinet/tcp.h>
#else
#define _GNU_SOURCE
#include_next <netinet/tcp.h>
#undef _GNU_SOURCE
#endif

#ifndef SOL_TCP
#define SOL_TCP 6
#endif

#endif
