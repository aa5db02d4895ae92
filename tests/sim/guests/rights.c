// Rights that are dropped: each line says what a call of WASI came to, by number, and of what needs rights
// whether it was refused, for which hosts have various numbers. Its folder is /tmp.
#include <fcntl.h>
#include <stdio.h>
#include <wasi/api.h>

static __wasi_fdstat_t of(int fd) {
  __wasi_fdstat_t stat = {0};
  printf("get %d\n", __wasi_fd_fdstat_get(fd, &stat));
  return stat;
}

static void set(const char *what, int fd, __wasi_rights_t base, __wasi_rights_t inheriting) {
  printf("%s: %d\n", what, __wasi_fd_fdstat_set_rights(fd, base, inheriting));
}

// Writes and reads a byte, seeks, asks for the size and sets it.
static void use(int fd) {
  __wasi_size_t done = 0;
  __wasi_filesize_t at;
  __wasi_filestat_t stat;
  char byte = 'x';
  __wasi_ciovec_t out = {(const uint8_t *)&byte, 1};
  __wasi_iovec_t in = {(uint8_t *)&byte, 1};
  printf("write %d", !!__wasi_fd_write(fd, &out, 1, &done));
  printf(", seek %d", !!__wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &at));
  printf(", read %d", !!__wasi_fd_read(fd, &in, 1, &done));
  printf(", size %d", !!__wasi_fd_filestat_get(fd, &stat));
  printf(", cut %d\n", !!__wasi_fd_filestat_set_size(fd, 1));
}

static int opened(const char *what, int folder, const char *name, __wasi_rights_t rights) {
  __wasi_fd_t fd = 0;
  const int error = __wasi_path_open(folder, 0, name, 0, rights, 0, 0, &fd);
  printf("%s: %d\n", what, error);
  return error ? -1 : (int)fd;
}

int main(void) {
  const int file = open("/tmp/file", O_CREAT | O_RDWR, 0644);
  const __wasi_rights_t all = of(file).fs_rights_base;
  use(file);
  set("the same", file, all, of(file).fs_rights_inheriting);
  set("more", file, ~0ull, 0);
  set("without writing", file, all & ~__WASI_RIGHTS_FD_WRITE & ~__WASI_RIGHTS_FD_FILESTAT_SET_SIZE, 0);
  use(file);
  set("writing again", file, all, 0);
  set("reading alone", file, __WASI_RIGHTS_FD_READ, 0);
  printf("%d\n", of(file).fs_rights_base == __WASI_RIGHTS_FD_READ);
  use(file);
  set("none", file, 0, 0);
  use(file);
  printf("close %d\n", __wasi_fd_close(file));
  set("closed", file, 0, 0);
  set("nobody", 77, 0, 0);

  // What a folder's descriptor may hand on.
  const int folder = open("/tmp", O_DIRECTORY | O_RDONLY);
  const __wasi_fdstat_t stat = of(folder);
  const __wasi_rights_t less = stat.fs_rights_inheriting & ~__WASI_RIGHTS_FD_WRITE;
  set("hands on less", folder, stat.fs_rights_base, less);
  set("hands on more", folder, stat.fs_rights_base, stat.fs_rights_inheriting);
  opened("to write", folder, "file", __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE);
  const int reader = opened("to read", folder, "file", __WASI_RIGHTS_FD_READ);
  printf("%d\n", of(reader).fs_rights_base == __WASI_RIGHTS_FD_READ);
  set("without opening", folder, stat.fs_rights_base & ~__WASI_RIGHTS_PATH_OPEN, less);
  opened("to read", folder, "file", __WASI_RIGHTS_FD_READ);
  return 0;
}
