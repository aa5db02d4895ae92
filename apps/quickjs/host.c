// QuickJS as a program: it comes from npm as a library that asks its host for functions, and this is that
// host. The two are linked into one module (build.ts), with one memory, and run `quickjs FILE.js`.
//
// JavaScript gets little from here: bytes, sockets and the files that modules are. node/ makes of it what
// a program for Node expects.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- QuickJS ---------------------------------------------------------------------------------

typedef struct value value; // a JavaScript value, held until qjs_free_value

void _initialize(void);
int qjs_init(void);
void qjs_set_max_stack_size(int bytes);
void qjs_set_module_loader(int on);
value *qjs_eval(const char *text, size_t length, const char *name, int flags);
value *qjs_call(value *function, value *this, int count, value **arguments);
int qjs_is_job_pending(void);
int qjs_execute_pending_job(void);
value *qjs_get_global(void);
value *qjs_get_prop_string(value *object, const char *name);
int qjs_set_prop_string(value *object, const char *name, value *to);
value *qjs_new_host_function(const char *name, size_t length, int parameters);
value *qjs_new_object(void);
value *qjs_new_number(double number);
value *qjs_new_string(const char *text, size_t length);
value *qjs_new_uint8_array(const void *bytes, size_t length);
value *qjs_get_undefined(void);
value *qjs_new_error(void);
value *qjs_throw(value *error);
value *qjs_get_exception(void);
value *qjs_dup_value(value *);
void qjs_free_value(value *);
int qjs_is_exception(value *);
int qjs_get_bool(value *);
double qjs_get_float64(value *);
const char *qjs_get_string_len(value *, size_t *length);
void qjs_free_cstring(const char *);
value *qjs_get_typed_array_buffer(value *, size_t *offset, size_t *length, size_t *element);
char *qjs_get_array_buffer(value *, size_t *length);

enum { EVAL_MODULE = 1, STACK = 512 << 10 };

// One heap for both: libc's own would begin where QuickJS's stack is.
#define ENGINE(name) __attribute__((import_module("env"), import_name(#name)))
ENGINE(malloc) void *engine_malloc(size_t bytes);
ENGINE(calloc) void *engine_calloc(size_t count, size_t bytes);
ENGINE(realloc) void *engine_realloc(void *at, size_t bytes);
ENGINE(free) void engine_free(void *at);

void *malloc(size_t bytes) { return engine_malloc(bytes); }
void *calloc(size_t count, size_t bytes) { return engine_calloc(count, bytes); }
void *realloc(void *at, size_t bytes) { return engine_realloc(at, bytes); }
void free(void *at) { engine_free(at); }

// ---- Errors ----------------------------------------------------------------------------------

static void set(value *object, const char *name, value *to) {
  qjs_set_prop_string(object, name, to);
  qjs_free_value(to);
}

// Throws an Error: what failed and why, as Node words it.
static value *fail(const char *what, int error) {
  char text[200];
  const int length = snprintf(text, sizeof text, "%s: %s", what, strerror(error));
  value *thrown = qjs_new_error();
  set(thrown, "message", qjs_new_string(text, length));
  set(thrown, "errno", qjs_new_number(error));
  qjs_throw(thrown);
  qjs_free_value(thrown);
  return NULL;
}

static void print(FILE *to, value *text, const char *end) {
  size_t length;
  const char *from = qjs_get_string_len(text, &length);
  if (!from) return;
  fprintf(to, "%.*s%s", (int)length, from, end);
  qjs_free_cstring(from);
}

// Ends the program for an exception that nobody caught.
static void uncaught(value *thrown) {
  value *stack = qjs_get_prop_string(thrown, "stack");
  fputs("quickjs: uncaught ", stderr);
  print(stderr, thrown, "\n");
  print(stderr, stack, "");
  exit(1);
}

// ---- Functions for JavaScript ----------------------------------------------------------------

static int number(value *from) { return (int)qjs_get_float64(from); }

// Where a Uint8Array's bytes are; null, and an exception, if it is none.
static char *bytes(value *array, size_t *length) {
  size_t offset, element, whole;
  value *buffer = qjs_get_typed_array_buffer(array, &offset, length, &element);
  char *at = qjs_is_exception(buffer) ? NULL : qjs_get_array_buffer(buffer, &whole);
  qjs_free_value(buffer);
  return at ? at + offset : NULL;
}

// encode(string): its UTF-8.
static value *encode(value **arguments) {
  size_t length;
  const char *from = qjs_get_string_len(arguments[0], &length);
  if (!from) return NULL;
  value *array = qjs_new_uint8_array(from, length);
  qjs_free_cstring(from);
  return array;
}

// decode(bytes): the string that they are in UTF-8.
static value *decode(value **arguments) {
  size_t length;
  const char *from = bytes(arguments[0], &length);
  return from ? qjs_new_string(from, length) : NULL;
}

// print(string)
static value *print_line(value **arguments) {
  print(stdout, arguments[0], "\n");
  return qjs_get_undefined();
}

// listen(port): a descriptor.
static value *listen_on(value **arguments) {
  const int on = 1, port = number(arguments[0]);
  const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  char what[40];
  snprintf(what, sizeof what, "listen on port %d", port);
  if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) &&
      !bind(fd, (const struct sockaddr *)&address, sizeof address) && !listen(fd, SOMAXCONN))
    return qjs_new_number(fd);
  const int error = errno;
  if (fd >= 0) close(fd);
  return fail(what, error);
}

// accept(fd): a descriptor, or undefined.
static value *accept_one(value **arguments) {
  const int fd = accept4(number(arguments[0]), NULL, NULL, SOCK_NONBLOCK);
  return fd < 0 ? qjs_get_undefined() : qjs_new_number(fd);
}

// receive(fd): bytes, none at the end of the stream, undefined if there are none yet.
static value *receive(value **arguments) {
  static char buffer[16384];
  const ssize_t length = recv(number(arguments[0]), buffer, sizeof buffer, 0);
  if (length >= 0) return qjs_new_uint8_array(buffer, length);
  return errno == EAGAIN ? qjs_get_undefined() : fail("receive", errno);
}

// send(fd, bytes, from): how many were taken, from the one at `from` on.
static value *send_bytes(value **arguments) {
  size_t length;
  const char *at = bytes(arguments[1], &length);
  const size_t from = number(arguments[2]);
  if (!at) return NULL;
  const ssize_t sent = from < length ? send(number(arguments[0]), at + from, length - from, 0) : 0;
  if (sent >= 0) return qjs_new_number(sent);
  return errno == EAGAIN ? qjs_new_number(0) : fail("send", errno);
}

static value *close_fd(value **arguments) {
  close(number(arguments[0]));
  return qjs_get_undefined();
}

// poll(fds, milliseconds): waits, for ever if negative; `fds` is an Int32Array of pairs, a descriptor and
// the events wanted, which become those that are there.
enum { POLL_MOST = 256 };
static value *poll_fds(value **arguments) {
  static struct pollfd fds[POLL_MOST];
  size_t length;
  int *pairs = (int *)bytes(arguments[0], &length);
  if (!pairs) return NULL;
  const size_t count = length / (2 * sizeof *pairs);
  if (count > POLL_MOST) return fail("poll", EINVAL);
  for (size_t i = 0; i < count; i++) fds[i] = (struct pollfd){.fd = pairs[2 * i], .events = pairs[2 * i + 1]};
  if (poll(fds, count, number(arguments[1])) < 0) return fail("poll", errno);
  for (size_t i = 0; i < count; i++) pairs[2 * i + 1] = fds[i].revents;
  return qjs_get_undefined();
}

static const struct function {
  const char *name;
  value *(*call)(value **arguments);
  int parameters;
} functions[] = {
    {"encode", encode, 1}, {"decode", decode, 1},   {"print", print_line, 1}, {"listen", listen_on, 1}, {"accept", accept_one, 1},
    {"receive", receive, 1}, {"send", send_bytes, 3}, {"close", close_fd, 1},   {"poll", poll_fds, 2},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

// ---- What QuickJS asks of its host -----------------------------------------------------------

__attribute__((export_name("host_call")))
value *host_call(const char *name, size_t length, value *this, int count, value **arguments) {
  (void)this;
  for (size_t i = 0; i < FUNCTIONS; i++) {
    if (strlen(functions[i].name) != length || memcmp(functions[i].name, name, length)) continue;
    return count < functions[i].parameters ? fail(functions[i].name, EINVAL) : functions[i].call(arguments);
  }
  return fail("call of the host", ENOSYS);
}

static char *text_of(const char *name, size_t *length);

// "node:http" is a file of node/; "./name.js" lies beside the module that asks for it.
__attribute__((export_name("host_module_normalize")))
char *host_module_normalize(const char *from, const char *name) {
  static const char scheme[] = "node:";
  const char *slash = strrchr(from, '/');
  char *path = malloc(strlen(from) + strlen(name) + sizeof "node/.js");
  if (!path) return NULL;
  if (!strncmp(name, scheme, sizeof scheme - 1)) sprintf(path, "node/%s.js", name + sizeof scheme - 1);
  else if (strncmp(name, "./", 2)) strcpy(path, name);
  else sprintf(path, "%.*s%s", slash ? (int)(slash - from) + 1 : 0, from, name + 2);
  return path;
}

__attribute__((export_name("host_module_load")))
char *host_module_load(const char *name, size_t *length) {
  char *text = text_of(name, length);
  if (!text) fail(name, errno);
  return text;
}

__attribute__((export_name("host_interrupt"))) int host_interrupt(void) { return 0; }

__attribute__((export_name("host_promise_rejection")))
void host_promise_rejection(value *promise, value *reason, int handled) {
  if (!handled) uncaught(reason);
  qjs_free_value(promise);
  qjs_free_value(reason);
}

__attribute__((export_name("host_get_timezone_offset"))) int host_get_timezone_offset(int high, int low) {
  (void)high, (void)low;
  return 0; // UTC
}

// ---- The program -----------------------------------------------------------------------------

// A file's text with a zero behind it, for QuickJS to free; or null.
static char *text_of(const char *name, size_t *length) {
  const int fd = open(name, O_RDONLY);
  const off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
  char *text = size < 0 || lseek(fd, 0, SEEK_SET) ? NULL : malloc(size + 1);
  size_t filled = 0;
  for (ssize_t part = 1; text && filled < (size_t)size && part > 0; filled += part > 0 ? part : 0)
    part = read(fd, text + filled, size - filled);
  if (text) text[*length = filled] = 0;
  if (fd >= 0) close(fd);
  return text;
}

// Evaluates a file as a module, to its end or its first await.
static void import_file(const char *name) {
  size_t length;
  char *text = text_of(name, &length);
  if (!text) {
    fprintf(stderr, "quickjs: %s: %s\n", name, strerror(errno));
    exit(1);
  }
  value *result = qjs_eval(text, length, name, EVAL_MODULE);
  if (qjs_is_exception(result)) uncaught(qjs_get_exception());
  qjs_free_value(result);
  free(text);
}

// What promises have left to do.
static void run_jobs(void) {
  while (qjs_is_job_pending())
    if (qjs_execute_pending_job() < 0) uncaught(qjs_get_exception());
}

int main(int count, char **arguments) {
  if (count != 2) {
    fputs("usage: quickjs FILE.js\n", stderr);
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  _initialize();
  if (qjs_init()) {
    fputs("quickjs: no memory\n", stderr);
    return 1;
  }
  qjs_set_max_stack_size(STACK);
  qjs_set_module_loader(1);
  value *global = qjs_get_global(), *host = qjs_new_object();
  for (size_t i = 0; i < FUNCTIONS; i++) {
    const struct function *f = &functions[i];
    set(host, f->name, qjs_new_host_function(f->name, strlen(f->name), f->parameters));
  }
  set(global, "host", host);
  import_file("node/globals.js");
  run_jobs();
  value *turn = qjs_get_prop_string(global, "turn");
  import_file(arguments[1]);
  for (int more = 1; more;) {
    run_jobs();
    value *result = qjs_call(turn, global, 0, NULL);
    if (qjs_is_exception(result)) uncaught(qjs_get_exception());
    more = qjs_get_bool(result);
    qjs_free_value(result);
  }
}
