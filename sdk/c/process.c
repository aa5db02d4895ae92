// <unistd.h>: a guest is one process with one user, and cannot make others.

#include "internal.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

pid_t getpid(void) { return 1; }
pid_t getppid(void) { return 0; }
pid_t setsid(void) { return result(-EPERM); }
uid_t getuid(void) { return 0; }
uid_t geteuid(void) { return 0; }
gid_t getgid(void) { return 0; }
gid_t getegid(void) { return 0; }
int setuid(uid_t id) { return result(id ? -EPERM : 0); }
int setgid(gid_t id) { return result(id ? -EPERM : 0); }

pid_t fork(void) { return result(-ENOSYS); }
pid_t vfork(void) { return result(-ENOSYS); }

clock_t clock(void) {
  struct timespec used;
  return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) ? (clock_t)-1 : (clock_t)nanoseconds(&used);
}

int gethostname(char *name, size_t length) {
  struct utsname system;
  if (uname(&system)) return -1;
  if (strlen(system.nodename) >= length) return result(-ENAMETOOLONG);
  strcpy(name, system.nodename);
  return 0;
}
