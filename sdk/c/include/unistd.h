/** wasi-libc's header, and what sdk/c/descriptors.c and process.c add to it. */
#ifndef SKERRY_UNISTD_H
#define SKERRY_UNISTD_H

#ifndef _WASI_EMULATED_GETPID
#define _WASI_EMULATED_GETPID
#endif
#include_next <unistd.h>

#include <__typedef_gid_t.h>
#include <__typedef_uid_t.h>

#ifdef __cplusplus
extern "C" {
#endif

int dup(int fd);
int dup2(int fd, int to);
int dup3(int fd, int to, int flags);
int pipe(int ends[2]);
int pipe2(int ends[2], int flags);

/** A guest is one process, and nobody's in particular: ids are 1 and 0, and there are no others to make. */
pid_t getpid(void);
pid_t getppid(void);
uid_t getuid(void);
uid_t geteuid(void);
gid_t getgid(void);
gid_t getegid(void);
/** ENOSYS. */
pid_t fork(void);
pid_t vfork(void);
pid_t setsid(void);
/** 0 for the ids that it has, else EPERM. */
int setuid(uid_t id);
int setgid(gid_t id);
int gethostname(char *name, size_t length);

#ifdef __cplusplus
}
#endif

#endif
