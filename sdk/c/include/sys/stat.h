/** wasi-libc's header, and what it leaves out. */
#ifndef SKERRY_SYS_STAT_H
#define SKERRY_SYS_STAT_H

#include_next <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

/** ENOSYS: files have no permissions here. */
int chmod(const char *path, mode_t mode);
int fchmod(int fd, mode_t mode);

#ifdef __cplusplus
}
#endif

#endif
