// One machine on TAP interfaces, in real time: `skerry-hosted --tap NAME …`.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
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
    "Usage: skerry-hosted --tap NAME [--tap NAME …] [options]\n"
    "Runs Skerry as a process behind the TAP interface NAME; behind several its cards are eth0, eth1, …\n"
    "Ctrl-C, or SIGTERM, is its power button: it gives back its addresses and ends. A second one ends it at once.\n"
    "  --tap NAME@SPACE one that is in the network namespace SPACE (ip netns); at most 8 in all\n"
    "  --append WORDS   kernel command line, as in \"ip=10.0.0.2/24 gw=10.0.0.1\"; else it asks DHCP\n"
    "  --mac ADDRESS    the first card's address (52:54:00:12:34:56); the others' count up from it\n"
    "  --memory MIB     its RAM, 16 to 2048 (64)\n"
    "Make the interface with: ip tuntap add NAME mode tap; ip link set NAME up\n";

/// Nanoseconds that the machine may take to end in order.
#define ORDERLY 5000000000ull

/// How often a signal has asked for the end.
static volatile sig_atomic_t interrupts;

static void on_signal(int number) {
  (void)number;
  interrupts++;
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
  // Told to, it says so itself.
  if (!interrupts || strcmp(reason, "exit 0")) fprintf(stderr, "skerry-hosted: the machine ended: %s\n", reason);
}

_Noreturn static void fail(const char *what, const char *which, const char *advice) {
  fprintf(stderr, "skerry-hosted: %s %s: %s%s\n", what, which, strerror(errno), advice);
  exit(1);
}

/// Where the process lives from now on: in the namespace that `ip netns` knows by this name.
static void enter_namespace(const char *name) {
  char path[512];
  snprintf(path, sizeof path, "/run/netns/%s", name);
  int namespace = open(path, O_RDONLY | O_CLOEXEC);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET))
    fail("cannot enter the network namespace", name, errno == EPERM ? "; run as root" : "");
  close(namespace);
}

/// `words` is NAME or NAME@SPACE; `home` is the process's own namespace, or -1 if it cannot be told.
static int open_tap(const char *words, int home) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  size_t length = strcspn(words, "@");
  if (!length || length >= IFNAMSIZ) errno = EINVAL, fail("--tap", words, " (a name has 1 to 15 bytes)");
  memcpy(request.ifr_name, words, length);
  if (words[length]) enter_namespace(words + length + 1);
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) fail("cannot open", "/dev/net/tun", "; is the tun module loaded?");
  if (ioctl(tap, TUNSETIFF, &request))
    fail("cannot attach to TAP", words, errno == EPERM ? "; run as root, or make it with: ip tuntap add … user" : "");
  if (words[length] && setns(home, CLONE_NEWNET)) fail("cannot come back from the namespace of", words, "");
  return tap;
}

static bool parse_mac(const char *text, uint8_t mac[6]) {
  int end = 0;
  return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
                &mac[5], &end) == 6 && !text[end];
}

/// Moves what the TAP has to the machine's card. A frame for which it has no room is lost, as on a wire.
static void receive(int tap, struct skerry *machine, uint32_t link) {
  static uint8_t bytes[65536];
  for (int i = 0; i < BURST; i++) {
    ssize_t length = read(tap, bytes, sizeof bytes);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length < 0) fail("cannot read from", "the TAP", "");
    struct skerry_frame frame = {.runs = 1, .run = {{bytes, (uint32_t)length}}};
    skerry_inject(machine, link, &frame);
  }
}

static void transmit(int tap, struct skerry *machine, uint32_t link) {
  struct skerry_frame frame;
  while (skerry_take(machine, link, &frame) == 1) {
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
  const char *names[SKERRY_LINKS_MOST];
  for (int option; (option = getopt_long(count, words, "", options, NULL)) >= 0;) {
    char *end;
    unsigned long mib;
    switch (option) {
      case 't':
        if (config.links < SKERRY_LINKS_MOST) {
          names[config.links++] = optarg;
          break;
        }
        fprintf(stderr, "skerry-hosted: --tap %s: a machine has at most %d\n", optarg, SKERRY_LINKS_MOST);
        return 2;
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
  if (!config.links || optind != count) {
    fputs(usage, stderr);
    return 2;
  }
  config.pack = skerry_pack;
  config.pack_length = (uint32_t)(skerry_pack_end - skerry_pack);

  // Signals come only while ppoll waits, so none can slip in between the look and the wait.
  sigset_t blocked, waiting;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &waiting);
  sigdelset(&waiting, SIGINT);
  sigdelset(&waiting, SIGTERM);
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  signal(SIGPIPE, SIG_IGN);

  struct pollfd taps[SKERRY_LINKS_MOST];
  int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  for (uint32_t i = 0; i < config.links; i++) taps[i] = (struct pollfd){.fd = open_tap(names[i], home), .events = POLLIN};
  struct skerry *machine = skerry_start(&config);
  if (!machine) fail("cannot start", "the machine", "");
  uint64_t end = SKERRY_NEVER;
  while (interrupts < 2) {
    if (skerry_now(machine) >= end) {
      fputs("skerry-hosted: the machine did not end within 5 s of being told to, and is stopped\n", stderr);
      return 1;
    }
    if (interrupts && end == SKERRY_NEVER) {
      end = skerry_now(machine) + ORDERLY;
      skerry_power_off(machine);
    }
    uint64_t deadline = skerry_step(machine);
    for (uint32_t i = 0; i < config.links; i++) transmit(taps[i].fd, machine, i);
    const char *reason = skerry_ended(machine);
    if (reason) return strcmp(reason, "exit 0") != 0;
    uint64_t now = skerry_now(machine), wait = deadline > now ? deadline - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000)};
    int ready = ppoll(taps, config.links, deadline == SKERRY_NEVER ? NULL : &timeout, &waiting);
    if (ready < 0 && errno != EINTR) fail("cannot wait for", "the TAPs", "");
    for (uint32_t i = 0; ready > 0 && i < config.links; i++)
      if (taps[i].revents) receive(taps[i].fd, machine, i);
  }
  skerry_stop(machine);
  return 0;
}
