#define _GNU_SOURCE
#include "subject.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NOT_PERMITTED = 77, DATA = 4096, CHUNK = 65536 };

void fail(const char *what) {
  int why = errno;
  fprintf(stderr, "%s: %s\n", what, strerror(why));
  exit(why == EPERM || why == EACCES || why == ENOENT || why == ENODEV ? NOT_PERMITTED : 1);
}

// ---- Linux ---------------------------------------------------------------------------------------

/// Sets a number of /proc/sys in the namespace that this thread is in; kernels differ in what they have.
static void set(const char *name, const char *value) {
  char path[128];
  snprintf(path, sizeof path, "/proc/sys/net/%s", name);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  ssize_t written = write(file, value, strlen(value));
  (void)written;
  close(file);
}

static void control(int socket, unsigned long what, struct ifreq *request, const char *name) {
  if (ioctl(socket, what, request)) fail(name);
}

// The namespace lives as long as a descriptor or a thread is in it, so it goes with this process.
void subject_linux(struct subject *s, uint32_t address) {
  *s = (struct subject){.name = "Linux", .address = address};
  if (unshare(CLONE_NEWNET)) fail("a network namespace cannot be made");
  s->space = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  s->tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (s->space < 0 || s->tap < 0) fail("/dev/net/tun cannot be opened");
  set("ipv6/conf/default/disable_ipv6", "1");
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  strcpy(request.ifr_name, "tap0");
  control(s->tap, TUNSETIFF, &request, "a TAP cannot be made");
  int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (udp < 0) fail("socket");
  struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
  *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(address)}};
  control(udp, SIOCSIFADDR, &request, "SIOCSIFADDR");
  in->sin_addr.s_addr = htonl(0xffffff00);
  control(udp, SIOCSIFNETMASK, &request, "SIOCSIFNETMASK");
  control(udp, SIOCGIFFLAGS, &request, "SIOCGIFFLAGS");
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  control(udp, SIOCSIFFLAGS, &request, "SIOCSIFFLAGS");
  control(udp, SIOCGIFHWADDR, &request, "SIOCGIFHWADDR");
  memcpy(s->mac, request.ifr_hwaddr.sa_data, 6);
  close(udp);
  // Answers to odd segments would be rationed, which is not what is compared; and metrics of one
  // connection would bear on the next.
  set("ipv4/tcp_invalid_ratelimit", "0");
  set("ipv4/tcp_no_metrics_save", "1");
}

static bool is_linux(const struct subject *s) { return !s->machine; }

static int linux_socket(struct subject *s) {
  if (setns(s->space, CLONE_NEWNET)) fail("setns");
  int made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return made < 0 ? -errno : made;
}

static int or_errno(ssize_t result) { return result < 0 ? -errno : (int)result; }

// ---- Skerry --------------------------------------------------------------------------------------

static void on_ended(void *context, const char *reason) {
  (void)context;
  fprintf(stderr, "the machine ended: %s\n", reason);
  exit(1);
}

void subject_skerry(struct subject *s, uint32_t address, bool real) {
  *s = (struct subject){.name = "Skerry", .address = address, .tap = -1, .space = -1};
  uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)address};
  memcpy(s->mac, mac, 6);
  char line[64];
  snprintf(line, sizeof line, "ip=10.0.0.%u/24 ip6=off", address & 255);
  struct skerry_config config = {.real_clock = real, .seed = real ? 0 : 1, .command_line = line, .ended = on_ended};
  memcpy(config.mac, mac, 6);
  s->machine = skerry_start(&config);
  if (!s->machine) fail("skerry_start");
}

static int call(struct subject *s, uint32_t number, int a0, uint32_t a1, uint32_t a2) {
  return skerry_syscall(s->machine, number, (uint32_t)a0, a1, a2, 0, 0);
}

static uint32_t skerry_address(struct subject *s, uint32_t ip, uint16_t port) {
  struct skerry_memory memory = skerry_memory(s->machine);
  uint64_t words[3] = {0, ip ? 0xffff00000000 | (uint64_t)ip : 0, port};
  memcpy(memory.bytes, words, sizeof words);
  return memory.address;
}

// ---- Both ------------------------------------------------------------------------------------------

void subject_inject(struct subject *s, const uint8_t *frame, uint32_t length) {
  if (is_linux(s)) {
    if (write(s->tap, frame, length) < 0 && errno != EAGAIN) fail("write to the TAP");
    return;
  }
  struct skerry_frame it = {.runs = 1, .run = {{frame, length}}};
  while (skerry_inject(s->machine, 0, &it) == -EAGAIN) skerry_step(s->machine);
}

uint32_t subject_take(struct subject *s, uint8_t frame[FRAME_MOST]) {
  if (is_linux(s)) {
    ssize_t length = read(s->tap, frame, FRAME_MOST);
    if (length < 0 && errno != EAGAIN) fail("read from the TAP");
    return length < 0 ? 0 : (uint32_t)length;
  }
  struct skerry_frame it;
  if (skerry_take(s->machine, 0, &it) != 1) return 0;
  uint32_t length = 0;
  for (uint32_t i = 0; i < it.runs; i++) {
    memcpy(frame + length, it.run[i].bytes, it.run[i].length);
    length += it.run[i].length;
  }
  return length;
}

uint64_t subject_step(struct subject *s) { return is_linux(s) ? UINT64_MAX : skerry_step(s->machine); }

int subject_socket(struct subject *s) {
  return is_linux(s) ? linux_socket(s) : call(s, SYSCALL_SOCKET, SOCKET_TYPE_STREAM, 0, 0);
}

int subject_listen(struct subject *s, int socket, uint16_t port) {
  if (!is_linux(s)) {
    int result = call(s, SYSCALL_BIND, socket, skerry_address(s, 0, port), 0);
    return result < 0 ? result : call(s, SYSCALL_LISTEN, socket, 256, 0);
  }
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
  int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(socket, (struct sockaddr *)&at, sizeof at)) return -errno;
  return or_errno(listen(socket, 256));
}

int subject_accept(struct subject *s, int socket, uint16_t *peer_port) {
  if (!is_linux(s)) {
    int made = call(s, SYSCALL_ACCEPT, socket, skerry_memory(s->machine).address, 0);
    if (made > 0) memcpy(peer_port, skerry_memory(s->machine).bytes + 16, 2);
    return made;
  }
  struct sockaddr_in from;
  socklen_t length = sizeof from;
  int made = accept4(socket, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (made < 0) return -errno;
  *peer_port = ntohs(from.sin_port);
  return made;
}

int subject_connect(struct subject *s, int socket, uint32_t to, uint16_t port) {
  if (!is_linux(s)) return call(s, SYSCALL_CONNECT, socket, skerry_address(s, to, port), 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(to)}};
  return or_errno(connect(socket, (struct sockaddr *)&at, sizeof at));
}

int subject_send(struct subject *s, int socket, const void *bytes, uint32_t length) {
  if (is_linux(s)) return or_errno(send(socket, bytes, length, MSG_NOSIGNAL));
  if (length > CHUNK) length = CHUNK;
  struct skerry_memory memory = skerry_memory(s->machine);
  memcpy(memory.bytes + DATA, bytes, length);
  return call(s, SYSCALL_SEND, socket, memory.address + DATA, length);
}

int subject_receive(struct subject *s, int socket, void *bytes, uint32_t length) {
  if (is_linux(s)) return or_errno(recv(socket, bytes, length, 0));
  if (length > CHUNK) length = CHUNK;
  struct skerry_memory memory = skerry_memory(s->machine);
  int got = call(s, SYSCALL_RECEIVE, socket, memory.address + DATA, length);
  if (got > 0) memcpy(bytes, memory.bytes + DATA, (size_t)got);
  return got;
}

int subject_shutdown(struct subject *s, int socket) {
  if (is_linux(s)) return or_errno(shutdown(socket, SHUT_WR));
  return call(s, SYSCALL_SHUTDOWN, socket, SHUTDOWN_WRITE, 0);
}

int subject_close(struct subject *s, int socket, bool reset) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  if (is_linux(s)) {
    if (reset) setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    return or_errno(close(socket));
  }
  if (reset) {
    struct skerry_memory memory = skerry_memory(s->machine);
    memcpy(memory.bytes, &now, sizeof now);
    int result = skerry_syscall(s->machine, SYSCALL_SET_OPTION_DATA, (uint32_t)socket, SOCKET_OPTION_LINGER,
                                memory.address, sizeof now, 0);
    if (result < 0) return result;
  }
  return call(s, SYSCALL_CLOSE, socket, 0, 0);
}

int subject_receive_buffer(struct subject *s, int socket, uint32_t bytes) {
  if (!is_linux(s)) return call(s, SYSCALL_SET_OPTION, socket, SOCKET_OPTION_RECEIVE_BUFFER, bytes);
  return or_errno(setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes));
}
