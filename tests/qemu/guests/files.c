// What POSIX has of files, said line by line: the same source compiled for Linux says the same.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *error_name(void) {
  static const struct { int number; const char *name; } names[] = {
      {EACCES, "EACCES"}, {EBADF, "EBADF"}, {EBUSY, "EBUSY"}, {EEXIST, "EEXIST"}, {EFBIG, "EFBIG"},
      {EINVAL, "EINVAL"}, {EISDIR, "EISDIR"}, {ELOOP, "ELOOP"}, {ENAMETOOLONG, "ENAMETOOLONG"},
      {ENOENT, "ENOENT"}, {ENOSPC, "ENOSPC"}, {ENOTDIR, "ENOTDIR"}, {ENOTEMPTY, "ENOTEMPTY"},
      {EPERM, "EPERM"}, {EROFS, "EROFS"}, {ESPIPE, "ESPIPE"}, {EXDEV, "EXDEV"},
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].number == errno) return names[i].name;
  return strerror(errno);
}

// Says what a call has given.
static long say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, error_name());
  else printf("%s: %ld\n", what, result);
  return result;
}
#define SAY(call) say(#call, (long)(call))
#define DONE(call) say(#call, (call) < 0 ? -1 : 0) // a descriptor's number is nobody's business

static int make(const char *path, const char *text) {
  const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (fd < 0) return -1;
  const ssize_t written = write(fd, text, strlen(text));
  return close(fd) || written != (ssize_t)strlen(text) ? -1 : 0;
}

static void show(const char *path) {
  char text[64] = "";
  const int fd = open(path, O_RDONLY);
  if (fd < 0) {
    printf("%s: %s\n", path, error_name());
    return;
  }
  const ssize_t length = read(fd, text, sizeof text - 1);
  printf("%s: %zd \"%s\"\n", path, length, text);
  close(fd);
}

static const char *type_of(mode_t mode) {
  return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "link" : S_ISCHR(mode) ? "device" : "?";
}

static void look(const char *path) {
  struct stat state;
  if (lstat(path, &state)) printf("%s: %s\n", path, error_name());
  else if (S_ISDIR(state.st_mode)) printf("%s: directory\n", path);
  else printf("%s: %s, %ld links, %ld bytes\n", path, type_of(state.st_mode), (long)state.st_nlink, (long)state.st_size);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) {
    printf("list %s: %s\n", path, error_name());
    return;
  }
  char *names[512];
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) && count < 512;) names[count++] = strdup(entry->d_name);
  closedir(directory);
  qsort(names, count, sizeof *names, by_name);
  printf("list %s:", path);
  for (size_t i = 0; i < count; i++) {
    if (i < 20) printf(" %s", names[i]);
    free(names[i]);
  }
  printf(" (%zu)\n", count);
}

static void opening(void) {
  puts("-- opening");
  DONE(open("none", O_RDONLY));
  DONE(open("none/deeper", O_RDONLY));
  DONE(make("a", "hello"));
  DONE(open("a/b", O_RDONLY));
  DONE(open("a/", O_RDONLY));
  DONE(open("a", O_CREAT | O_EXCL | O_WRONLY, 0644));
  DONE(open("a", O_RDONLY | O_DIRECTORY));
  DONE(open("new/", O_CREAT | O_WRONLY, 0644));
  DONE(mkdir("d", 0755));
  DONE(mkdir("d", 0755));
  DONE(mkdir("d/", 0755));
  DONE(mkdir("e/", 0755));
  DONE(mkdir("a/x", 0755));
  DONE(mkdir("none/x", 0755));
  DONE(open("d", O_WRONLY));
  DONE(open("d", O_RDWR | O_CREAT, 0644));
  DONE(open("d", O_RDONLY));
  char name[300];
  memset(name, 'n', 299), name[299] = 0;
  DONE(open(name, O_CREAT | O_WRONLY, 0644));
  name[255] = 0;
  DONE(make(name, "long"));
  show(name);
  SAY(unlink(name));
  const int reader = open("a", O_RDONLY), writer = open("a", O_WRONLY);
  char text[8];
  SAY(write(reader, "x", 1));
  SAY(read(writer, text, 1));
  SAY(read(open("d", O_RDONLY), text, 1));
  SAY(close(reader));
  SAY(close(reader));
  SAY(read(reader, text, 1));
  SAY(write(writer, "J", 1));
  show("a");
  DONE(open("a", O_WRONLY | O_TRUNC));
  look("a");
}

static void offsets(void) {
  puts("-- offsets");
  DONE(make("f", "0123456789"));
  const int fd = open("f", O_RDWR);
  char text[32] = "";
  SAY(lseek(fd, 4, SEEK_SET));
  SAY(read(fd, text, 3));
  printf("%.3s\n", text);
  SAY(lseek(fd, 0, SEEK_CUR));
  SAY(lseek(fd, -3, SEEK_END));
  SAY(write(fd, "abcdef", 6));
  SAY(lseek(fd, -100, SEEK_CUR));
  SAY(lseek(fd, 5, 77));
  show("f");
  SAY(pread(fd, text, 4, 11));
  SAY(pread(fd, text, 4, 100));
  SAY(pread(fd, text, 4, -1));
  SAY(pwrite(fd, "P", 1, 2));
  SAY(lseek(fd, 0, SEEK_CUR));
  show("f");
  SAY(lseek(fd, 20, SEEK_SET));
  SAY(read(fd, text, 4));
  SAY(write(fd, "far", 3));
  look("f");
  SAY(pread(fd, text, 8, 12));
  for (int i = 0; i < 8; i++) printf("%d ", text[i]);
  puts("");
  SAY(ftruncate(fd, 5));
  SAY(ftruncate(fd, 9));
  SAY(pread(fd, text, 16, 0));
  for (int i = 0; i < 9; i++) printf("%d ", text[i]);
  puts("");
  SAY(ftruncate(fd, -1));
  struct iovec parts[] = {{"one", 3}, {"", 0}, {"two", 3}};
  SAY(lseek(fd, 0, SEEK_SET));
  SAY(writev(fd, parts, 3));
  char first[2], second[16] = "";
  struct iovec into[] = {{first, 2}, {second, 16}};
  SAY(lseek(fd, 0, SEEK_SET));
  SAY(readv(fd, into, 2));
  printf("%.2s %.4s\n", first, second);
  close(fd);
  const int appending = open("f", O_WRONLY | O_APPEND);
  SAY(lseek(appending, 0, SEEK_SET));
  SAY(write(appending, "end", 3));
  SAY(lseek(appending, 0, SEEK_CUR));
  SAY(pwrite(appending, "!", 1, 0));
  look("f");
  SAY(fcntl(appending, F_GETFL) & O_APPEND ? 1 : 0);
  SAY(posix_fallocate(appending, 0, 100));
  look("f");
  close(appending);
}

static void big(void) {
  puts("-- big");
  enum { BYTES = 200000 };
  static unsigned char out[BYTES], in[BYTES];
  for (int i = 0; i < BYTES; i++) out[i] = (unsigned char)(i * 7 + i / 256);
  int fd = open("big", O_CREAT | O_RDWR, 0644);
  SAY(write(fd, out, BYTES));
  SAY(pread(fd, in, BYTES, 0));
  SAY(memcmp(in, out, BYTES));
  // A hole of 8 MiB, which is longer than the file system is large on one of the two.
  SAY(pwrite(fd, out, 100, 8 << 20));
  look("big");
  SAY(pread(fd, in, BYTES, BYTES));
  long sum = 0;
  for (int i = 0; i < BYTES; i++) sum += in[i];
  printf("the hole adds up to %ld\n", sum);
  SAY(pread(fd, in, 200, 8 << 20));
  SAY(memcmp(in, out, 100));
  SAY(ftruncate(fd, 100001));
  SAY(ftruncate(fd, BYTES));
  SAY(pread(fd, in, BYTES, 0));
  SAY(memcmp(in, out, 100001));
  sum = 0;
  for (int i = 100001; i < BYTES; i++) sum += in[i];
  printf("what was cut adds up to %ld\n", sum);
  close(fd);
  SAY(unlink("big"));
}

static void names(void) {
  puts("-- names");
  DONE(mkdir("n", 0755));
  DONE(mkdir("n/sub", 0755));
  DONE(make("n/x", "x"));
  look("n");
  SAY(rmdir("n"));
  SAY(rmdir("n/x"));
  SAY(unlink("n/sub"));
  SAY(unlink("n/none"));
  SAY(rmdir("n/none"));
  SAY(rmdir("n/."));
  SAY(rename("n/none", "n/y"));
  SAY(rename("n/x", "n/y"));
  show("n/y");
  show("n/x");
  DONE(make("n/z", "z"));
  SAY(rename("n/y", "n/z"));
  show("n/z");
  SAY(rename("n/z", "n/sub"));
  SAY(rename("n/sub", "n/z"));
  SAY(rename("n", "n/sub/n"));
  SAY(rename("n/z", "n/z"));
  SAY(rename("n/z", "n/w/"));
  SAY(rename("n/sub", "n/moved/"));
  DONE(mkdir("n/empty", 0755));
  SAY(rename("n/moved", "n/empty"));
  DONE(make("n/empty/in", "in"));
  DONE(mkdir("n/other", 0755));
  SAY(rename("n/other", "n/empty"));
  SAY(rename("n/empty", "up"));
  show("up/in");
  show("up/../n/z");
  look("n");
  list("n");
  list("none");
  list("n/z");
  SAY(link("n/z", "n/hard"));
  look("n/z");
  SAY(link("n/z", "n/hard"));
  SAY(link("n", "n/dir"));
  SAY(link("n/none", "n/dir"));
  DONE(make("n/hard", "through the other"));
  show("n/z");
  SAY(rename("n/z", "n/hard"));
  look("n/z");
  SAY(unlink("n/z"));
  look("n/hard");
  SAY(unlink("n/hard/"));
  SAY(unlink("n/other/"));
  SAY(rmdir("n/hard/"));
  SAY(rmdir("n/other/"));
  // Open, and without a name.
  const int fd = open("n/hard", O_RDWR);
  SAY(unlink("n/hard"));
  struct stat state;
  SAY(fstat(fd, &state));
  printf("%ld links, %ld bytes\n", (long)state.st_nlink, (long)state.st_size);
  SAY(write(fd, "still", 5));
  char text[32] = "";
  SAY(pread(fd, text, 31, 0));
  puts(text);
  SAY(close(fd));
  list("n");
  SAY(rmdir("n"));
  list("n");
}

static void links(void) {
  puts("-- links");
  DONE(mkdir("l", 0755));
  DONE(make("l/file", "text"));
  SAY(symlink("file", "l/s"));
  SAY(symlink("file", "l/s"));
  look("l/s");
  show("l/s");
  char text[64] = "";
  SAY(readlink("l/s", text, 63));
  puts(text);
  SAY(readlink("l/s", text, 2));
  SAY(readlink("l/file", text, 63));
  SAY(readlink("l/none", text, 63));
  SAY(symlink("nowhere", "l/dangling"));
  show("l/dangling");
  DONE(open("l/dangling", O_CREAT | O_EXCL | O_WRONLY, 0644));
  DONE(make("l/dangling", "made"));
  show("l/nowhere");
  SAY(symlink("l2", "l1") || symlink("l1", "l2"));
  show("l1");
  look("l1");
  SAY(symlink("../l", "l/self"));
  show("l/self/self/self/file");
  show("l/s/");
  SAY(mkdir("l/s", 0755));
  SAY(unlink("l/s"));
  show("l/file");
  DONE(open("l/self", O_RDONLY | O_NOFOLLOW));
  SAY(rmdir("l/self"));
  SAY(unlink("l/self"));
  SAY(rename("l1", "l2"));
  look("l2");
}

static void many(void) {
  puts("-- many");
  DONE(mkdir("m", 0755));
  char name[32];
  for (int i = 0; i < 100; i++) {
    snprintf(name, sizeof name, "m/file-%02d", i);
    if (make(name, name)) printf("%s: %s\n", name, error_name());
  }
  list("m");
  // Removing while reading, as rm -r does.
  DIR *directory = opendir("m");
  int removed = 0;
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "m/%.16s", entry->d_name);
    removed += !unlink(name);
  }
  printf("%d removed\n", removed);
  rewinddir(directory);
  list("m");
  closedir(directory);
  SAY(rmdir("m"));
}

static void streams(void) {
  puts("-- streams");
  FILE *file = fopen("stream", "w+");
  for (int i = 0; i < 1000; i++) fprintf(file, "line %d\n", i);
  SAY(ftell(file));
  SAY(fseek(file, 5, SEEK_SET));
  int number = -1;
  SAY(fscanf(file, "%d", &number));
  SAY(fseek(file, -9, SEEK_END));
  char line[32] = "";
  fgets(line, sizeof line, file);
  fputs(line, stdout);
  SAY(fgetc(file) == EOF);
  SAY(feof(file) != 0);
  SAY(fclose(file));
  file = fopen("stream", "a");
  fputs("appended\n", file);
  fclose(file);
  look("stream");
  SAY(fopen("stream", "wx") ? 0 : -1);
  SAY(fopen("none/stream", "w") ? 0 : -1);
  SAY(remove("stream"));
  SAY(remove("stream"));
  struct stat state;
  SAY(fstat(0, &state));
  SAY(lseek(1, 0, SEEK_CUR) < 0 && errno == ESPIPE);
}

int main(int count, char **arguments) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  SAY(chdir(count > 1 ? arguments[1] : "/tmp"));
  opening();
  offsets();
  big();
  names();
  links();
  many();
  streams();
  puts("-- end");
  return 0;
}
