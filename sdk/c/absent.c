// What a guest has none of, so that programs that have a use for it on other systems can be linked: children,
// permissions, other programs to run, time zones. And mkstemp, which wasi-libc leaves out.

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int absent(int why) {
  errno = why;
  return -1;
}

pid_t waitpid(pid_t pid, int *status, int options) { return (void)pid, (void)status, (void)options, absent(ECHILD); }
pid_t wait(int *status) { return waitpid(-1, status, 0); }

int execv(const char *path, char *const arguments[]) { return (void)path, (void)arguments, absent(ENOSYS); }

int chmod(const char *path, mode_t mode) { return (void)path, (void)mode, absent(ENOSYS); }
int fchmod(int fd, mode_t mode) { return (void)fd, (void)mode, absent(ENOSYS); }

void tzset(void) {}

int mkstemp(char *name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  const size_t length = strlen(name);
  if (length < 6 || strcmp(name + length - 6, "XXXXXX")) return absent(EINVAL);
  for (int tries = 0; tries < 100; tries++) {
    unsigned char random[6];
    if (getentropy(random, sizeof random)) return -1;
    for (int i = 0; i < 6; i++) name[length - 6 + i] = letters[random[i] % (sizeof letters - 1)];
    const int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return absent(EEXIST);
}
