// Calls about files at random, by a seed: what each gave, line by line. Compiled for Linux it says what a
// guest has to say. In the end nothing is left.
//
//   random-files seed calls directory

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN_MOST = 8, BYTES_MOST = 20000, DEPTH = 6 };

static uint64_t state;

// splitmix64 (Steele, Lea, Flood, 2014).
static uint32_t below(uint32_t limit) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return (uint32_t)((z ^ z >> 31) >> 32) % limit;
}

static const char *result(long value) {
  static const struct { int number; const char *name; } names[] = {
      {EACCES, "EACCES"}, {EBADF, "EBADF"}, {EBUSY, "EBUSY"}, {EEXIST, "EEXIST"}, {EFBIG, "EFBIG"},
      {EINVAL, "EINVAL"}, {EISDIR, "EISDIR"}, {ELOOP, "ELOOP"}, {ENAMETOOLONG, "ENAMETOOLONG"},
      {ENOENT, "ENOENT"}, {ENOSPC, "ENOSPC"}, {ENOTDIR, "ENOTDIR"}, {ENOTEMPTY, "ENOTEMPTY"}, {EPERM, "EPERM"},
  };
  static char text[32];
  if (value >= 0) {
    snprintf(text, sizeof text, "%ld", value);
    return text;
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].number == errno) return names[i].name;
  return strerror(errno);
}

// A path of a few names, of which there are not many.
static const char *path_in(char *text, const char *names) {
  char *at = text;
  const uint32_t parts = 1 + below(3);
  for (uint32_t i = 0; i < parts; i++) {
    if (i) *at++ = '/';
    if (i && !below(12)) *at++ = '.', *at++ = '.';
    else if (parts > 1 && !below(25)) *at++ = '.'; // alone, wasi-libc makes it the directory's own name
    else *at++ = names[below((uint32_t)strlen(names))];
  }
  if (!below(15)) *at++ = '/';
  *at = 0;
  return text;
}

static uint32_t sum_of(const unsigned char *bytes, size_t length) {
  uint32_t sum = 0x811c9dc5;
  for (size_t i = 0; i < length; i++) sum = (sum ^ bytes[i]) * 0x01000193;
  return sum;
}

static unsigned char buffer[BYTES_MOST * 2];
static int open_files[OPEN_MOST];

static size_t fill(void) {
  const size_t length = below(10) ? below(200) : below(BYTES_MOST);
  for (size_t i = 0; i < length; i++) buffer[i] = (unsigned char)below(256);
  return length;
}

static off_t place(void) { return below(4) ? below(3000) : below(200000); }

static void show(const char *path, int follow) {
  struct stat s;
  const int failed = follow ? stat(path, &s) : lstat(path, &s);
  if (failed) printf("%s\n", result(-1));
  else if (S_ISDIR(s.st_mode)) printf("directory\n");
  else printf("%o %ld %ld\n", s.st_mode & S_IFMT, (long)s.st_nlink, (long)s.st_size);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) {
    printf("%s\n", result(-1));
    return;
  }
  char *names[64];
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) && count < 64;) {
    names[count] = malloc(strlen(entry->d_name) + 3);
    sprintf(names[count++], "%s:%c", entry->d_name, entry->d_type == DT_DIR ? 'd' : entry->d_type == DT_LNK ? 'l' : 'f');
  }
  closedir(directory);
  qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++) {
    printf("%s ", names[i]);
    free(names[i]);
  }
  printf("\n");
}

static void on_file(int *slot) {
  const int fd = *slot;
  const uint32_t what = below(12);
  printf("file %d ", (int)(slot - open_files));
  if (what < 3) {
    const size_t length = fill();
    printf("write %zu %s\n", length, result(write(fd, buffer, length)));
  } else if (what < 5) {
    const size_t length = fill();
    const off_t at = place();
    printf("pwrite %zu %ld %s\n", length, (long)at, result(pwrite(fd, buffer, length, at)));
  } else if (what == 5) {
    const size_t length = below(BYTES_MOST);
    const off_t at = place();
    const ssize_t got = pread(fd, buffer, length, at);
    printf("pread %zu %ld %s %x\n", length, (long)at, result(got), got > 0 ? sum_of(buffer, (size_t)got) : 0);
  } else if (what == 6) {
    struct iovec parts[3] = {{buffer, below(100)}, {buffer + 1000, below(3)}, {buffer + 2000, below(9000)}};
    memset(buffer, 0, sizeof buffer);
    const ssize_t got = readv(fd, parts, 3);
    printf("readv %s %x\n", result(got), sum_of(buffer, sizeof buffer));
  } else if (what == 7) {
    const long to = (long)below(30000) - 10000;
    const int whence = (int)below(3);
    struct stat s;
    if (!fstat(fd, &s) && S_ISDIR(s.st_mode)) {
      printf("directory\n"); // WASI has no offset of one
      return;
    }
    printf("lseek %ld %d %s\n", to, whence, result(lseek(fd, to, whence == 0 ? SEEK_SET : whence == 1 ? SEEK_CUR : SEEK_END)));
  } else if (what == 8) {
    const off_t size = place();
    const int truncated = ftruncate(fd, size);
    printf("ftruncate %ld %s\n", (long)size, result(truncated));
  } else if (what == 9) {
    struct stat s;
    printf("fstat %s ", result(fstat(fd, &s)));
    if (S_ISDIR(s.st_mode)) printf("directory\n");
    else printf("%ld %ld\n", (long)s.st_nlink, (long)s.st_size);
  } else {
    printf("close %s\n", result(close(fd)));
    *slot = -1;
  }
}

static void on_path(void) {
  char first[32], second[32];
  const char *path = path_in(first, "abcd");
  const uint32_t what = below(24);
  if (what < 7) {
    static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND, O_WRONLY | O_APPEND};
    static const int more[] = {0, O_CREAT, O_CREAT | O_EXCL, O_TRUNC | O_CREAT, O_DIRECTORY, O_NOFOLLOW};
    const uint32_t other = below(6), access = other == 4 ? 0 : below(5); // directories are only read
    const uint32_t slot = below(OPEN_MOST);
    if (open_files[slot] >= 0) close(open_files[slot]);
    open_files[slot] = open(path, flags[access] | more[other], 0644);
    printf("open %s %u+%u as %u %s\n", path, access, other, slot, open_files[slot] < 0 ? result(-1) : "yes");
  } else if (what < 10) printf("mkdir %s ", path), printf("%s\n", result(mkdir(path, 0755)));
  else if (what < 12) printf("unlink %s ", path), printf("%s\n", result(unlink(path)));
  else if (what == 12) printf("rmdir %s ", path), printf("%s\n", result(rmdir(path)));
  else if (what < 16) {
    path_in(second, "abcd");
    printf("rename %s %s ", path, second);
    printf("%s\n", result(rename(path, second)));
  } else if (what == 16) {
    path_in(second, "abcd");
    printf("link %s %s ", path, second);
    printf("%s\n", result(link(path, second)));
  } else if (what == 17) {
    path_in(second, "abcd");
    printf("symlink %s %s ", path, second);
    printf("%s\n", result(symlink(path, second)));
  } else if (what == 18) {
    char target[64] = "";
    const ssize_t length = readlink(path, target, 63);
    printf("readlink %s %s %s\n", path, result(length), target);
  } else if (what == 19) printf("list %s ", path), list(path);
  else if (what == 20) printf("lstat %s ", path), show(path, 0);
  else if (what == 21) printf("stat %s ", path), show(path, 1);
  else {
    const int fd = open(path, O_RDONLY);
    const ssize_t got = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);
    printf("read %s %s", path, result(got));
    printf(" %x\n", got > 0 ? sum_of(buffer, (size_t)got) : 0);
    if (fd >= 0) close(fd);
  }
}

static void remove_all(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) return;
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    char below[300];
    snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
    struct stat s;
    if (lstat(below, &s)) continue;
    if (!S_ISDIR(s.st_mode)) {
      if (unlink(below)) printf("%s: %s\n", below, result(-1));
      continue;
    }
    remove_all(below);
    if (rmdir(below)) printf("%s: %s\n", below, result(-1));
  }
  closedir(directory);
}

// Bytes that find room: the same before and after, if all has been given back.
static long room(void) {
  long bytes = 0;
#ifdef __wasi__
  const int fd = open("room", O_CREAT | O_WRONLY, 0644);
  for (ssize_t more; (more = write(fd, buffer, 4096)) > 0;) bytes += more;
  close(fd);
  unlink("room");
#endif
  return bytes;
}

int main(int count, char **arguments) {
  if (count < 4 || chdir(arguments[3])) return 1;
  state = strtoull(arguments[1], NULL, 10);
  const long before = room();
  // Deep enough that no path leads out, whatever its links say.
  for (int i = 0; i < DEPTH; i++)
    if (mkdir("r", 0755) || chdir("r")) return 1;
  for (int i = 0; i < OPEN_MOST; i++) open_files[i] = -1;
  for (long i = atol(arguments[2]); i; i--) {
    int *slot = &open_files[below(OPEN_MOST)];
    if (below(2) && *slot >= 0) on_file(slot);
    else on_path();
  }
  for (int i = 0; i < OPEN_MOST; i++)
    if (open_files[i] >= 0) close(open_files[i]);
  if (chdir(arguments[3])) return 1;
  remove_all(".");
  list(".");
  return room() == before ? 0 : 2;
}
