/** Linux's eventfd(2). */
#ifndef SKERRY_SYS_EVENTFD_H
#define SKERRY_SYS_EVENTFD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t eventfd_t;

enum { EFD_SEMAPHORE = 1, EFD_NONBLOCK = 4, EFD_CLOEXEC = 02000000 };
#define EFD_SEMAPHORE EFD_SEMAPHORE
#define EFD_NONBLOCK EFD_NONBLOCK
#define EFD_CLOEXEC EFD_CLOEXEC

int eventfd(unsigned initial, int flags);
int eventfd_read(int fd, eventfd_t *value);
int eventfd_write(int fd, eventfd_t value);

#ifdef __cplusplus
}
#endif

#endif
