// One machine on a TAP interface, in real time: `skerry-hosted --tap NAME`.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "skerry.h"

/// The app's file pack, linked in; empty without one.
extern const char skerry_pack[], skerry_pack_end[];

/// Frames read from the TAP before the machine has its turn.
#define BURST 64

static const char usage[] =
    "Usage: skerry-hosted --tap NAME [options]\n"
    "Runs Skerry as a process behind the TAP interface NAME, until Ctrl-C.\n"
    "  --append WORDS   kernel command line, as in \"ip=10.0.0.2/24 gw=10.0.0.1\"; else it asks DHCP\n"
    "  --mac ADDRESS    the machine's address (52:54:00:12:34:56)\n"
    "  --memory MIB     its RAM, 16 to 2048 (64)\n"
    "Make the interface with: ip tuntap add NAME mode tap; ip link set NAME up\n";

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
  (void)number;
  interrupted = 1;
}

static void say(void *context, const char *text, uint32_t length) {
  (void)context;
  while (length) {
    ssize_t written = write(STDOUT_FILENO, text, length);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return; // nobody reads the console any more
    text += written;
    length -= (uint32_t)written;
  }
}

static void say_end(void *context, const char *reason) {
  (void)context;
  fprintf(stderr, "skerry-hosted: the machine ended: %s\n", reason);
}

_Noreturn static void fail(const char *what, const char *which, const char *advice) {
  fprintf(stderr, "skerry-hosted: %s %s: %s%s\n", what, which, strerror(errno), advice);
  exit(1);
}

static int open_tap(const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  if (!*name || strlen(name) >= IFNAMSIZ) errno = EINVAL, fail("--tap", name, " (a name has 1 to 15 bytes)");
  strcpy(request.ifr_name, name);
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) fail("cannot open", "/dev/net/tun", "; is the tun module loaded?");
  if (ioctl(tap, TUNSETIFF, &request))
    fail("cannot attach to TAP", name, errno == EPERM ? "; run as root, or make it with: ip tuntap add … user" : "");
  return tap;
}

static bool parse_mac(const char *text, uint8_t mac[6]) {
  int end = 0;
  return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
                &mac[5], &end) == 6 && !text[end];
}

/// Moves what the TAP has to the machine. A frame for which the machine has no room is lost, as on a wire.
static void receive(int tap, struct skerry *machine) {
  static uint8_t bytes[65536];
  for (int i = 0; i < BURST; i++) {
    ssize_t length = read(tap, bytes, sizeof bytes);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length < 0) fail("cannot read from", "the TAP", "");
    struct skerry_frame frame = {.runs = 1, .run = {{bytes, (uint32_t)length}}};
    skerry_inject(machine, &frame);
  }
}

static void transmit(int tap, struct skerry *machine) {
  struct skerry_frame frame;
  while (skerry_take(machine, &frame) == 1) {
    struct iovec runs[3];
    for (uint32_t i = 0; i < frame.runs; i++)
      runs[i] = (struct iovec){(void *)frame.run[i].bytes, frame.run[i].length};
    // An interface that is down or full loses frames; one that is gone fails the next read.
    if (writev(tap, runs, (int)frame.runs) < 0 && errno == EBADFD) fail("cannot write to", "the TAP", "");
  }
}

int main(int count, char **words) {
  static const struct option options[] = {{"tap", 1, 0, 't'},    {"append", 1, 0, 'a'}, {"mac", 1, 0, 'm'},
                                          {"memory", 1, 0, 'r'}, {"help", 0, 0, 'h'},   {0}};
  struct skerry_config config = {.real_clock = true, .console = say, .ended = say_end};
  const char *name = NULL;
  for (int option; (option = getopt_long(count, words, "", options, NULL)) >= 0;) {
    char *end;
    unsigned long mib;
    switch (option) {
      case 't': name = optarg; break;
      case 'a': config.command_line = optarg; break;
      case 'm':
        if (parse_mac(optarg, config.mac) && !(config.mac[0] & 1)) break;
        fprintf(stderr, "skerry-hosted: --mac %s: an address of one station is wanted, as in 52:54:00:12:34:56\n", optarg);
        return 2;
      case 'r':
        mib = strtoul(optarg, &end, 10);
        config.ram = (uint32_t)(mib << 20);
        if (end != optarg && !*end && mib >= 16 && mib <= 2048) break;
        fprintf(stderr, "skerry-hosted: --memory %s: a number of MiB from 16 to 2048 is wanted\n", optarg);
        return 2;
      case 'h': fputs(usage, stdout); return 0;
      default: fputs(usage, stderr); return 2;
    }
  }
  if (!name || optind != count) {
    fputs(usage, stderr);
    return 2;
  }
  config.pack = skerry_pack;
  config.pack_length = (uint32_t)(skerry_pack_end - skerry_pack);

  // Signals come only while ppoll waits, so none can slip in between the look and the wait.
  sigset_t blocked, open;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &open);
  sigdelset(&open, SIGINT);
  sigdelset(&open, SIGTERM);
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  signal(SIGPIPE, SIG_IGN);

  struct pollfd tap = {.fd = open_tap(name), .events = POLLIN};
  struct skerry *machine = skerry_start(&config);
  if (!machine) fail("cannot start", "the machine", "");
  while (!interrupted) {
    uint64_t deadline = skerry_step(machine);
    transmit(tap.fd, machine);
    const char *reason = skerry_ended(machine);
    if (reason) return strcmp(reason, "exit 0") != 0;
    uint64_t now = skerry_now(machine), wait = deadline > now ? deadline - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000)};
    int ready = ppoll(&tap, 1, deadline == SKERRY_NEVER ? NULL : &timeout, &open);
    if (ready < 0 && errno != EINTR) fail("cannot wait for", name, "");
    if (ready > 0) receive(tap.fd, machine);
  }
  skerry_stop(machine);
  return 0;
}
