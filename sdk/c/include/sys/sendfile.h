/** Linux's: a file's bytes to a socket, by the shortest way. Link sendfile.c. */
#ifndef SKERRY_SYS_SENDFILE_H
#define SKERRY_SYS_SENDFILE_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes sent, or -1. From `*offset`, which is set behind them, or else from where `in` stands, which moves on. */
ssize_t sendfile(int out, int in, off_t *offset, size_t count);

#ifdef __cplusplus
}
#endif

#endif
