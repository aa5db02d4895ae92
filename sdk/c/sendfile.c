// <sys/sendfile.h> for C programs compiled for WASI.

#include <errno.h>
#include <sys/sendfile.h>

#include "skerry.h"

ssize_t sendfile(int out, int in, off_t *offset, size_t count) {
  if (offset && *offset < 0) {
    errno = EINVAL;
    return -1;
  }
  const int sent = skerry_send_file(out, in, offset ? *offset : -1, count);
  if (sent < 0) {
    errno = -sent;
    return -1;
  }
  if (offset) *offset += sent;
  return sent;
}
