// Linux's side of opening connections, and a Skerry machine as a client behind a TAP:
//   opening ask ADDRESS PORT           two requests by Fast Open; for each whether data went with the SYN
//   opening flood ADDRESS PORT COUNT   SYNs from addresses that nobody has
//   opening connect ADDRESS PORT       milliseconds that connecting takes
//   opening serve PORT                 answers two connections; for each whether data came with the SYN
//   opening client TAP ADDRESS PORT    a Skerry machine with ADDRESS connects twice to 10.77.0.1
// Prints what it saw, or "FAILED …" and 1.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <skerry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MUST(condition, what)                               \
  do {                                                      \
    if (!(condition)) {                                     \
      printf("FAILED: %s: %s\n", what, strerror(errno));    \
      exit(1);                                              \
    }                                                       \
  } while (0)

static struct sockaddr_in address_of(const char *address, const char *port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  MUST(inet_pton(AF_INET, address, &to.sin_addr) == 1, address);
  return to;
}

static double milliseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

/// Whether data in the SYN was acknowledged, by either side's account.
static bool syn_data(int socket) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  MUST(!getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length), "TCP_INFO");
  return info.tcpi_options & TCPI_OPT_SYN_DATA;
}

static size_t read_all(int socket) {
  char buffer[65536];
  size_t total = 0;
  for (ssize_t got; (got = read(socket, buffer, sizeof buffer)) != 0; total += (size_t)got) MUST(got > 0, "read");
  return total;
}

static void ask(struct sockaddr_in to) {
  static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  for (int i = 0; i < 2; i++) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    ssize_t sent = sendto(client, request, sizeof request - 1, MSG_FASTOPEN, (void *)&to, sizeof to);
    MUST(sent == sizeof request - 1, "sendto with MSG_FASTOPEN");
    size_t bytes = read_all(client);
    printf("%zu bytes, data %s\n", bytes, syn_data(client) ? "with the SYN" : "after the handshake");
    close(client);
  }
}

static uint16_t sum(const void *bytes, size_t length, uint32_t total) {
  const uint8_t *at = bytes;
  for (size_t i = 0; i < length; i += 2) total += (uint32_t)(at[i] << 8 | at[i + 1]);
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return htons((uint16_t)~total);
}

static void flood(struct sockaddr_in to, long count) {
  int raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  MUST(raw >= 0, "raw socket");
  uint32_t seed = 1, refused = 0;
  for (long i = 0; i < count; i++) {
    // IPv4 (RFC 791, 3.1), TCP (RFC 9293, 3.1) and an MSS option, in network order.
    uint8_t packet[44] = {0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0, 172, 16};
    seed = seed * 1664525 + 1013904223;
    memcpy(packet + 14, &seed, 2);
    memcpy(packet + 16, &to.sin_addr, 4);
    uint8_t *tcp = packet + 20;
    memcpy(tcp, (uint8_t *)&seed + 2, 2);
    tcp[0] |= 4;
    memcpy(tcp + 2, &to.sin_port, 2);
    memcpy(tcp + 4, &i, 4);
    tcp[12] = 6 << 4;
    tcp[13] = 2;
    tcp[14] = 0x40;
    memcpy(tcp + 20, "\x02\x04\x05\xb4", 4);
    uint32_t pseudo = 6 + 24;
    for (int at = 12; at < 20; at += 2) pseudo += (uint32_t)(packet[at] << 8 | packet[at + 1]);
    uint16_t checksum = sum(tcp, 24, pseudo);
    memcpy(tcp + 16, &checksum, 2);
    if (sendto(raw, packet, sizeof packet, 0, (void *)&to, sizeof to) < 0) refused++;
    // What the TAP's queue holds is lost beyond it.
    if (i % 50 == 49) usleep(1000);
  }
  printf("%ld SYNs, %u refused\n", count, refused);
}

static void serve(const char *port) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), pending = 16, on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in any = address_of("0.0.0.0", port);
  MUST(!bind(listener, (void *)&any, sizeof any), "bind");
  MUST(!setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &pending, sizeof pending), "TCP_FASTOPEN");
  MUST(!listen(listener, 16), "listen");
  for (int i = 0; i < 2; i++) {
    int served = accept(listener, NULL, NULL);
    MUST(served >= 0, "accept");
    char buffer[1000];
    ssize_t got = read(served, buffer, sizeof buffer);
    MUST(got > 0 && write(served, buffer, (size_t)got) == got, "echo");
    printf("%zd bytes, data %s\n", got, syn_data(served) ? "with the SYN" : "after the handshake");
    fflush(stdout);
    shutdown(served, SHUT_WR);
    read_all(served);
    close(served);
  }
}

// ---- A machine behind a TAP ----------------------------------------------------------------

// sdk/assembly/syscalls.ts
enum { SOCKET = 1, CONNECT = 5, SEND, RECEIVE, SHUTDOWN = 10, CLOSE, SET_OPTION = 14 };
enum { STREAM = 1, FAST_OPEN_CONNECT = 23, DATA = 4096, LENGTH = 300 };

static struct skerry *machine;
static int tap;

/// Carries frames between the machine and the TAP until the next one, or 10 ms have passed.
static void carry(void) {
  uint8_t bytes[SKERRY_FRAME_MOST];
  struct skerry_frame frame;
  uint64_t next = skerry_step(machine);
  while (skerry_take(machine, 0, &frame) == 1) {
    size_t length = 0;
    for (uint32_t i = 0; i < frame.runs; i++) {
      memcpy(bytes + length, frame.run[i].bytes, frame.run[i].length);
      length += frame.run[i].length;
    }
    MUST(write(tap, bytes, length) == (ssize_t)length, "write to TAP");
  }
  if (next > skerry_now(machine)) poll(&(struct pollfd){.fd = tap, .events = POLLIN}, 1, 10);
  for (ssize_t got; (got = read(tap, bytes, sizeof bytes)) > 0;) {
    frame = (struct skerry_frame){.runs = 1, .run = {{bytes, (uint32_t)got}}};
    if (skerry_inject(machine, 0, &frame) == -EAGAIN) break;
  }
}

static int call(uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2) {
  return skerry_syscall(machine, number, a0, a1, a2, 0, 0);
}

static void client(const char *name, const char *address, const char *port) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  MUST(tap >= 0 && !ioctl(tap, TUNSETIFF, &request), name);
  char line[64];
  snprintf(line, sizeof line, "ip=%s/24 ip6=off", address);
  machine = skerry_start(&(struct skerry_config){.real_clock = true, .command_line = line});
  MUST(machine, "skerry_start");
  struct skerry_memory memory = skerry_memory(machine);
  uint64_t to[3] = {0, 0xffff00000000 | 0x0a4d0001, (uint64_t)atoi(port)};
  memcpy(memory.bytes, to, sizeof to);
  double end = milliseconds() + 10000;
  for (int i = 0; i < 2; i++) {
    int number = call(SOCKET, STREAM, 0, 0), result;
    MUST(number > 0 && call(SET_OPTION, (uint32_t)number, FAST_OPEN_CONNECT, 1) == 0, "socket");
    result = call(CONNECT, (uint32_t)number, memory.address, 0);
    MUST(result == 0 || result == -EINPROGRESS, "connect");
    bool waits = result == 0;
    for (int j = 0; j < LENGTH; j++) memory.bytes[DATA + j] = (uint8_t)j;
    while ((result = call(SEND, (uint32_t)number, memory.address + DATA, LENGTH)) == -EAGAIN) {
      carry();
      MUST(milliseconds() < end, "no connection in 10 s");
    }
    MUST(result == LENGTH, "send");
    memset(memory.bytes + DATA, 0, LENGTH);
    int total = 0;
    while ((result = call(RECEIVE, (uint32_t)number, memory.address + DATA + (uint32_t)total, 1000)) != 0) {
      if (result > 0) total += result;
      MUST(result > 0 || result == -EAGAIN, "receive");
      carry();
      MUST(milliseconds() < end, "no answer in 10 s");
    }
    for (int j = 0; j < LENGTH; j++) MUST(memory.bytes[DATA + j] == (uint8_t)j, "another byte");
    MUST(total == LENGTH, "the echo's length");
    printf("%d bytes echoed, SYN %s\n", total, waits ? "with data" : "without");
    call(CLOSE, (uint32_t)number, 0, 0);
    for (double until = milliseconds() + 100; milliseconds() < until;) carry();
  }
  skerry_stop(machine);
}

int main(int count, char **words) {
  const char *what = count > 2 ? words[1] : "";
  if (!strcmp(what, "ask") && count == 4) {
    ask(address_of(words[2], words[3]));
  } else if (!strcmp(what, "flood") && count == 5) {
    flood(address_of(words[2], words[3]), atol(words[4]));
  } else if (!strcmp(what, "connect") && count == 4) {
    struct sockaddr_in to = address_of(words[2], words[3]);
    double begun = milliseconds();
    int client = socket(AF_INET, SOCK_STREAM, 0);
    MUST(!connect(client, (void *)&to, sizeof to), "connect");
    printf("%.1f ms\n", milliseconds() - begun);
  } else if (!strcmp(what, "serve") && count == 3) {
    serve(words[2]);
  } else if (!strcmp(what, "client") && count == 5) {
    client(words[2], words[3], words[4]);
  } else {
    printf("FAILED: how is it called?\n");
    return 1;
  }
  return 0;
}
