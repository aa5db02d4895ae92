// A folder of the image under /www, which cannot be changed, and little memory under /tmp; and both over TCP
// by sendfile: 'w' asks for a file of the one, 't' of the other.

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAILS(call, error) assert((call) == -1 && errno == (error))

static void list(const char *path) {
  DIR *directory = opendir(path);
  assert(directory);
  printf("%s:", path);
  for (struct dirent *entry; (entry = readdir(directory));) printf(" %s%s", entry->d_name, entry->d_type == DT_DIR ? "/" : "");
  printf("\n");
  closedir(directory);
}

static void read_only(void) {
  list("/www");
  list("/www/sub");
  list("/www/sub/deep");
  struct stat s;
  assert(!stat("/www/sub", &s) && S_ISDIR(s.st_mode));
  assert(!stat("/www/index.html", &s) && S_ISREG(s.st_mode) && s.st_size == 6 && s.st_mtime == 1000000000);
  char text[16] = "";
  const int fd = open("/www/sub/deep/../../index.html", O_RDONLY);
  assert(read(fd, text, 16) == 6 && !strcmp(text, "index\n") && read(fd, text, 16) == 0);
  assert(pread(fd, text, 3, 2) == 3 && !memcmp(text, "dex", 3) && lseek(fd, 0, SEEK_END) == 6);
  FAILS(write(fd, "x", 1), EBADF);
  FAILS(futimens(fd, NULL), EROFS);
  close(fd);
  FAILS(open("/www/index.html", O_RDWR), EROFS);
  FAILS(open("/www/index.html", O_RDONLY | O_TRUNC), EROFS);
  FAILS(open("/www/new", O_CREAT | O_WRONLY, 0644), EROFS);
  FAILS(open("/www/index.html", O_CREAT | O_EXCL | O_RDONLY, 0644), EEXIST);
  FAILS(open("/www/sub/index", O_RDONLY), ENOENT);
  FAILS(open("/www/index.html/x", O_RDONLY), ENOTDIR);
  FAILS(open("/www/su", O_RDONLY), ENOENT);
  FAILS(open("/www/../other/secret", O_RDONLY), ENOTCAPABLE);
  FAILS(open("/www/sub/../../other/secret", O_RDONLY), ENOTCAPABLE);
  FAILS(open("/other/secret", O_RDONLY), ENOTCAPABLE);
  FAILS(mkdir("/www/d", 0755), EROFS);
  FAILS(mkdir("/www/sub", 0755), EEXIST);
  FAILS(unlink("/www/index.html"), EROFS);
  FAILS(unlink("/www/sub"), EISDIR);
  FAILS(rmdir("/www/sub"), EROFS);
  FAILS(rename("/www/index.html", "/www/x"), EROFS);
  FAILS(rename("/www/index.html", "/tmp/x"), EXDEV);
  FAILS(link("/www/index.html", "/tmp/x"), EXDEV);
  FAILS(symlink("x", "/www/x"), EROFS);
  list("/empty");
}

static long fill(void) {
  static char page[4096];
  const int fd = open("/tmp/full", O_CREAT | O_WRONLY | O_APPEND, 0644);
  assert(fd >= 0);
  long bytes = 0;
  for (ssize_t more; (more = write(fd, page, sizeof page)) > 0;) bytes += more;
  assert(errno == ENOSPC && close(fd) == 0);
  return bytes;
}

static long names(int making) {
  char name[32];
  for (long i = 0;; i++) {
    snprintf(name, sizeof name, "/tmp/name-%ld", i);
    if (making) {
      const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
      if (fd < 0) {
        assert(errno == ENOSPC);
        return i;
      }
      close(fd);
    } else if (unlink(name)) {
      assert(errno == ENOENT);
      return i;
    }
  }
}

static void full(void) {
  const long bytes = fill();
  printf("%ld bytes fit 64 KiB\n", bytes);
  // What is removed and open takes room until it is closed.
  const int fd = open("/tmp/full", O_RDONLY);
  assert(!unlink("/tmp/full") && fill() == 0 && !unlink("/tmp/full") && !close(fd));
  assert(fill() == bytes && !unlink("/tmp/full"));
  const long made = names(1);
  printf("%ld names fit 64 KiB\n", made);
  assert(names(0) == made && fill() == bytes);
  assert(!truncate("/tmp/full", 10) && !unlink("/tmp/full"));
  const int sparse = open("/tmp/sparse", O_CREAT | O_RDWR, 0644);
  assert(pwrite(sparse, "far", 3, 1l << 30) == 3 && posix_fallocate(sparse, 0, 1 << 20) == ENOSPC);
  FAILS(ftruncate(sparse, (1ll << 32) + 1), EFBIG);
  FAILS(pwrite(sparse, "x", 1, 1ll << 32), EFBIG);
  assert(!ftruncate(sparse, 0) && !posix_fallocate(sparse, 0, 16384) && !close(sparse) && !unlink("/tmp/sparse"));
  assert(fill() == bytes && !unlink("/tmp/full"));
}

static void serve(void) {
  const int file = open("/www/big.bin", O_RDONLY), ram = open("/tmp/ram.bin", O_CREAT | O_RDWR, 0644);
  char text[5000];
  memset(text, 't', sizeof text);
  // A hole between.
  assert(write(ram, text, 5000) == 5000 && pwrite(ram, text, 5000, 30000) == 5000);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  assert(!bind(listener, (struct sockaddr *)&address, sizeof address) && !listen(listener, 4));
  FAILS(sendfile(listener, file, NULL, 1), ENOTCONN);
  FAILS(sendfile(file, ram, NULL, 1), ENOTSOCK);
  FAILS(sendfile(99, ram, NULL, 1), EBADF);
  puts("serving");
  for (;;) {
    const int client = accept(listener, NULL, NULL);
    char what;
    assert(recv(client, &what, 1, 0) == 1);
    const int from = what == 'w' ? file : ram;
    off_t offset = 3, end = lseek(from, 0, SEEK_END);
    while (offset < end) assert(sendfile(client, from, &offset, 100000) > 0);
    assert(sendfile(client, from, &offset, 100) == 0 && lseek(from, 0, SEEK_CUR) == end);
    assert(lseek(from, 0, SEEK_SET) == 0 && sendfile(client, from, NULL, 3) == 3 && lseek(from, 0, SEEK_CUR) == 3);
    FAILS(sendfile(client, client, NULL, 1), EINVAL);
    close(client);
  }
}

int main(void) {
  read_only();
  full();
  serve();
}
