// <fcntl.h>, <unistd.h>, <sys/ioctl.h>: what there is to say of a descriptor, whatever it stands for.

#include "internal.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

int dup(int fd) { return result(skerry_duplicate(fd, 0, 0)); }

int dup2(int fd, int to) { return result(skerry_duplicate_to(fd, to, 0)); }

int dup3(int fd, int to, int flags) {
  // O_CLOEXEC is 0 in wasi-libc: there is no exec.
  if (flags || fd == to) return result(-EINVAL);
  return result(skerry_duplicate_to(fd, to, 0));
}

int pipe2(int ends[2], int flags) {
  // O_CLOEXEC is 0 in wasi-libc: there is no exec.
  if (flags & ~O_NONBLOCK) return result(-EINVAL);
  if (!ends) return result(-EFAULT);
  return result(skerry_pipe(flags ? SKERRY_NONBLOCK : 0, ends));
}

int pipe(int ends[2]) { return pipe2(ends, 0); }

enum { STATUS = __WASI_FDFLAGS_APPEND | __WASI_FDFLAGS_DSYNC | __WASI_FDFLAGS_NONBLOCK | __WASI_FDFLAGS_RSYNC | __WASI_FDFLAGS_SYNC };

static int status_of(int fd) {
  __wasi_fdstat_t stat;
  const __wasi_errno_t error = __wasi_fd_fdstat_get(fd, &stat);
  if (error) return result(-(int)error);
  const int reads = stat.fs_rights_base & (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_READDIR) ? O_RDONLY : 0;
  return stat.fs_flags | reads | (stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE ? O_WRONLY : 0);
}

int fcntl(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  const int argument = command == F_GETFD || command == F_GETFL ? 0 : va_arg(more, int);
  va_end(more);
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC: return result(skerry_duplicate(fd, argument, command == F_DUPFD_CLOEXEC));
    case F_GETFD: return result(skerry_close_on_exec(fd, -1));
    case F_SETFD: {
      const int set = skerry_close_on_exec(fd, argument & FD_CLOEXEC);
      return result(set < 0 ? set : 0);
    }
    case F_GETFL: return status_of(fd);
    case F_SETFL: return result(-(int)__wasi_fd_fdstat_set_flags(fd, (__wasi_fdflags_t)(argument & STATUS)));
    default: return result(-EINVAL);
  }
}

int ioctl(int fd, int request, ...) {
  va_list more;
  va_start(more, request);
  int *const value = va_arg(more, int *);
  va_end(more);
  const int flags = status_of(fd);
  if (flags < 0) return -1;
  if (request >= SIOCGIFNAME && request <= SIOCGIFINDEX) return skerry_interface_ioctl(fd, request, value);
  if (request != FIONREAD && request != FIONBIO) return result(-ENOTTY);
  if (!value) return result(-EFAULT);
  if (request == FIONBIO) return fcntl(fd, F_SETFL, *value ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
  const int bytes = skerry_available(fd);
  if (bytes >= 0) *value = bytes;
  return result(bytes < 0 ? bytes : 0);
}
