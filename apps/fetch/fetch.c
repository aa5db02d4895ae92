// An HTTP client: `fetch URL` prints the page at the end of up to ten redirections, as HTTP/1.1 (RFC 9112)
// sends it: of a stated length, in chunks, or up to the end of the connection.

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REDIRECTIONS = 10, URL_BYTES = 2048, LINE_BYTES = 4096 };

struct url {
  char host[256], port[6], path[URL_BYTES];
};

// A connection, read a line or a run of bytes at a time.
struct stream {
  int fd;
  size_t start, end;
  char bytes[16384];
};

static void fail(const char *what, const char *why) {
  fprintf(stderr, "fetch: %s: %s\n", what, why);
  exit(1);
}

// ---- URLs (RFC 3986) -------------------------------------------------------------------------

static struct url parse(const char *text) {
  static const char scheme[] = "http://";
  struct url url = {.port = "80", .path = "/"};
  if (strncasecmp(text, scheme, sizeof scheme - 1)) fail(text, "only http:// is known");
  const char *host = text + sizeof scheme - 1, *end = host + strcspn(host, "/?#");
  const char *from = host, *to = end;
  if (*host == '[') { // an IPv6 address
    from = host + 1;
    to = memchr(host, ']', end - host);
    if (!to) fail(text, "no ] ends the address");
  } else {
    const char *colon = memchr(host, ':', end - host);
    if (colon) to = colon;
  }
  const char *colon = memchr(to, ':', end - to);
  const size_t port = colon ? end - colon - 1 : 0;
  const size_t path = strcspn(end, "#");
  if (to == from || to - from >= (long)sizeof url.host || port >= sizeof url.port || path + 1 >= sizeof url.path)
    fail(text, "no host, or too long");
  snprintf(url.host, sizeof url.host, "%.*s", (int)(to - from), from);
  if (port) snprintf(url.port, sizeof url.port, "%.*s", (int)port, colon + 1);
  if (path) snprintf(url.path, sizeof url.path, "%s%.*s", *end == '/' ? "" : "/", (int)path, end);
  return url;
}

// Where `location` leads, seen from `base`.
static struct url resolve(struct url base, const char *location) {
  if (strstr(location, "://")) return parse(location);
  if (!strncmp(location, "//", 2)) {
    char text[URL_BYTES];
    snprintf(text, sizeof text, "http:%s", location);
    return parse(text);
  }
  char *at = base.path;
  if (*location != '/') { // beside the last part of the path
    base.path[strcspn(base.path, "?")] = 0;
    at = strrchr(base.path, '/') + 1;
  }
  const size_t room = sizeof base.path - (at - base.path);
  if (strcspn(location, "#") >= room) fail(location, "too long");
  snprintf(at, room, "%.*s", (int)strcspn(location, "#"), location);
  return base;
}

// ---- The connection --------------------------------------------------------------------------

static int open_connection(const struct url *url) {
  struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
  const int error = getaddrinfo(url->host, url->port, &hints, &found);
  if (error) fail(url->host, gai_strerror(error));
  int fd = -1, why = 0;
  for (const struct addrinfo *each = found; each && fd < 0; each = each->ai_next) {
    fd = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
    if (fd >= 0 && !connect(fd, each->ai_addr, each->ai_addrlen)) break;
    why = errno;
    if (fd >= 0) close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  if (fd < 0) fail(url->host, strerror(why));
  return fd;
}

static size_t fill(struct stream *s) {
  if (s->start == s->end) {
    const ssize_t length = recv(s->fd, s->bytes, sizeof s->bytes, 0);
    if (length < 0) fail("receive", strerror(errno));
    s->start = 0;
    s->end = length;
  }
  return s->end - s->start;
}

// The next line, without its end.
static void read_line(struct stream *s, char *line) {
  size_t length = 0;
  for (;;) {
    if (!fill(s)) fail("answer", "it is cut short");
    const char byte = s->bytes[s->start++];
    if (byte == '\n') break;
    if (length == LINE_BYTES - 1) fail("answer", "a line is too long");
    line[length++] = byte;
  }
  if (length && line[length - 1] == '\r') length--;
  line[length] = 0;
}

// Prints `length` bytes, or all there are if it is negative.
static void print_bytes(struct stream *s, long long length) {
  while (length) {
    size_t part = fill(s);
    if (!part && length > 0) fail("answer", "it is cut short");
    if (!part) return;
    if (length > 0 && part > (unsigned long long)length) part = length;
    fwrite(s->bytes + s->start, 1, part, stdout);
    s->start += part;
    if (length > 0) length -= part;
  }
}

static void print_chunks(struct stream *s) {
  char line[LINE_BYTES];
  for (;;) {
    read_line(s, line);
    const long long length = strtoll(line, NULL, 16);
    if (length < 0) fail("answer", "a chunk has no length");
    print_bytes(s, length);
    read_line(s, line); // the end of the chunk; after the last one, trailers follow
    if (!length) return;
  }
}

// ---- One request -----------------------------------------------------------------------------

// The value of a header field, if that is what `line` is.
static const char *field(const char *line, const char *name) {
  const size_t length = strlen(name);
  if (strncasecmp(line, name, length) || line[length] != ':') return NULL;
  for (line += length + 1; isspace((unsigned char)*line);) line++;
  return line;
}

// Asks for `url` and prints the page; or true, and where to ask instead is in `url`.
static int ask(struct url *url) {
  static struct stream s;
  static char request[URL_BYTES + 512], line[LINE_BYTES], location[LINE_BYTES];
  s = (struct stream){.fd = open_connection(url)};
  const char *brackets[] = {strchr(url->host, ':') ? "[" : "", strchr(url->host, ':') ? "]" : ""};
  const int length = snprintf(request, sizeof request,
                              "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: skerry\r\nConnection: close\r\n\r\n",
                              url->path, brackets[0], url->host, brackets[1], url->port);
  for (int sent = 0; sent < length;) {
    const ssize_t part = send(s.fd, request + sent, length - sent, 0);
    if (part < 0) fail("send", strerror(errno));
    sent += part;
  }
  int status = 0, chunked = 0;
  long long body = -1;
  *location = 0;
  read_line(&s, line);
  if (sscanf(line, "HTTP/1.%*d %d", &status) != 1) fail(url->host, "this is no HTTP");
  for (read_line(&s, line); *line; read_line(&s, line)) {
    const char *value;
    if ((value = field(line, "Location"))) strcpy(location, value);
    else if ((value = field(line, "Content-Length"))) body = strtoll(value, NULL, 10);
    else if ((value = field(line, "Transfer-Encoding"))) chunked = !strcasecmp(value, "chunked");
  }
  const int elsewhere = *location && (status / 100 == 3 && status != 304);
  if (elsewhere) {
    fprintf(stderr, "%d, see %s\n", status, location);
    *url = resolve(*url, location);
  } else {
    fprintf(stderr, "%d from %s\n", status, url->host);
    if (chunked) print_chunks(&s);
    else print_bytes(&s, body);
  }
  close(s.fd);
  return elsewhere;
}

int main(int count, char **arguments) {
  if (count != 2) {
    fputs("usage: fetch URL\n", stderr);
    return 2;
  }
  struct url url = parse(arguments[1]);
  for (int i = 0; i <= REDIRECTIONS; i++)
    if (!ask(&url)) return 0;
  fail(arguments[1], "too many redirections");
}
