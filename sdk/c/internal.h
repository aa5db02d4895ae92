// What the files of sdk/c share; each includes it first.
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include "skerry.h"

// A call's result as C has it.
static inline int result(int value) {
  if (value >= 0) return value;
  errno = -value;
  return -1;
}

// As the kernel wants an address, or an errno.
int skerry_address_in(struct skerry_address *to, const struct sockaddr *from, socklen_t length);
// As programs want it, cut to what they have room for.
void skerry_address_out(const struct skerry_address *from, struct sockaddr *to, socklen_t *length);
// An ioctl of netdevice(7).
int skerry_interface_ioctl(int fd, int request, void *value);
// Flags of a call that receives, as the kernel has them.
int skerry_receive_flags(int flags);

// Nanoseconds, or -1 of a time that is none.
static inline int64_t nanoseconds(const struct timespec *time) {
  if (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec > 999999999) return -1;
  if (time->tv_sec > INT64_MAX / 1000000000 - 1) return INT64_MAX;
  return time->tv_sec * 1000000000ll + time->tv_nsec;
}
