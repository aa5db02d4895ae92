/** wasi-libc's header, and what sdk/c/descriptors.c adds to fcntl. */
#ifndef SKERRY_FCNTL_H
#define SKERRY_FCNTL_H

#include_next <fcntl.h>

#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030

#endif
