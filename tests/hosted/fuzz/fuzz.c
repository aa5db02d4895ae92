// Inputs that a coverage-guided fuzzer makes up (libFuzzer), given to one machine. `--target=NAME` chooses
// what an input is:
//
//     frames       frames on the wire, whole or as contents of right headers, checksums mended or not
//     router       packets of both families for a router with two cards, or for who is behind it
//     dhcp         messages of a DHCP server, with the right transaction
//     dhcpv6       the same of a DHCPv6 server
//     dhcpd        messages of DHCP clients, and their ARP, to the machine's server
//     dns          answers to a lookup, with the right id, port and question
//     connection   a script of segments, system calls and time, relative to where a connection stands
//     config       the kernel command line
//     pack         a file pack, its check mended
//     http         bytes that a browser sends over a connection
//
// A trap, a panic, a failed assertion, a stray pointer or a broken promise is a finding. Promises: every frame
// that comes out is one that a correct host sends; a program reads what the peer sent and the peer receives
// what the program sent; and when all is closed and the peer is silent, everything is back where it was.

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../hosted/machine.h"
#include "../lib/wire.h"
#include "contract.h"

#define MILLISECOND 1000000ull
#define SECOND 1000000000ull
#define ADDRESS_MACHINE 0x0a000002u
#define ADDRESS_PEER 0x0a000001u

static const uint8_t mac_machine[6] = {2, 0, 0, 0, 0, 2}, mac_peer[6] = {2, 0, 0, 0, 0, 1};

static struct skerry *machine;
static char console[1 << 16];
static uint32_t console_length;
static bool shows;

_Noreturn __attribute__((format(printf, 1, 2))) static void finding(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "FINDING: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n%.*s", (int)console_length, console);
  va_end(arguments);
  abort();
}

static void on_console(void *context, const char *text, uint32_t length) {
  (void)context;
  if (length > sizeof console - console_length) console_length = 0;
  if (length > sizeof console) return;
  memcpy(console + console_length, text, length);
  console_length += length;
}

static void on_ended(void *context, const char *reason) {
  (void)context;
  finding("the machine ended: %s", reason);
}

// ---- Input ---------------------------------------------------------------------------------------

struct input { const uint8_t *at, *end; };

static uint32_t take8(struct input *in) { return in->at < in->end ? *in->at++ : 0; }
static uint32_t take16(struct input *in) {
  uint32_t high = take8(in);
  return high << 8 | take8(in);
}
/// At most `most` bytes; how many there are.
static uint32_t take(struct input *in, uint8_t *into, uint32_t most) {
  uint32_t left = (uint32_t)(in->end - in->at);
  if (most > left) most = left;
  memcpy(into, in->at, most);
  in->at += most;
  return most;
}

// ---- The machine, and back to where it was --------------------------------------------------------

/// Cards of the machine: those of a router are two.
static uint32_t links = 1;

static struct skerry *start(const char *line, const void *pack, uint32_t pack_length) {
  struct skerry_config config = {
      .links = links, .ram = 16 << 20, .seed = 1, .command_line = line, .pack = pack, .pack_length = pack_length,
      .console = on_console, .ended = on_ended,
  };
  memcpy(config.mac, mac_machine, 6);
  struct skerry *m = skerry_start(&config);
  if (!m) finding("the machine does not start: %s", strerror(errno));
  return m;
}

/// Memory that the snapshot holds: the host's state and globals, and the machine's own.
static struct stretch { uint8_t *at; size_t length; off_t offset; } stretches[2];
static int snapshot_file = -1;

/// Puts a private mapping of what the machine's memory holds now in its place: giving up the changed pages
/// brings all of it back.
static void snapshot(void) {
  uint8_t *at = (uint8_t *)machine, *base = machine->memory.base;
  stretches[0] = (struct stretch){at, (size_t)(base - at), 0};
  stretches[1] = (struct stretch){base + 4096, machine->memory.bytes - 4096, (off_t)(base - at)};
  snapshot_file = memfd_create("machine", 0);
  if (snapshot_file < 0 || ftruncate(snapshot_file, stretches[1].offset + (off_t)stretches[1].length))
    finding("no memory for a snapshot: %s", strerror(errno));
  static const uint8_t zero[4096];
  for (int i = 0; i < 2; i++) {
    struct stretch *s = &stretches[i];
    for (size_t page = 0; page < s->length; page += 4096)
      if (memcmp(s->at + page, zero, 4096) &&
          pwrite(snapshot_file, s->at + page, 4096, s->offset + (off_t)page) != 4096)
        finding("cannot write the snapshot: %s", strerror(errno));
    if (mmap(s->at, s->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, snapshot_file, s->offset) == MAP_FAILED)
      finding("cannot map the snapshot: %s", strerror(errno));
  }
}

static void restore(void) {
  console_length = 0;
  for (int i = 0; i < 2; i++) madvise(stretches[i].at, stretches[i].length, MADV_DONTNEED);
}

// ---- Frames ----------------------------------------------------------------------------------------

static void heard(const uint8_t *frame, uint32_t length);

/// Steps until nothing is left to do at this moment, and takes what the machine sends. The next deadline.
static uint64_t run(void) {
  for (int rounds = 0;; rounds++) {
    uint64_t deadline = skerry_step(machine);
    struct skerry_frame frame;
    uint8_t bytes[FRAME_MOST];
    bool any = false;
    for (uint32_t link = 0; link < links; link++)
      while (skerry_take(machine, link, &frame) == 1) {
        uint32_t length = 0;
        for (uint32_t i = 0; i < frame.runs; i++) {
          if (length + frame.run[i].length > sizeof bytes) finding("a frame of more than %zu bytes", sizeof bytes);
          memcpy(bytes + length, frame.run[i].bytes, frame.run[i].length);
          length += frame.run[i].length;
        }
        heard(bytes, length);
        any = true;
      }
    if (!any && deadline > skerry_now(machine)) return deadline;
    if (rounds > 10000) finding("the machine is busy for ever");
  }
}

/// Lets `ns` pass, with every deadline in between.
static void pass(uint64_t ns) {
  uint64_t end = skerry_now(machine) + ns;
  for (int rounds = 0;; rounds++) {
    uint64_t deadline = run(), now = skerry_now(machine);
    if (now >= end) return;
    if (deadline > end) deadline = end;
    skerry_advance(machine, deadline - now);
    if (rounds > 1000000) finding("a timer that fires for ever");
  }
}

static void inject_by(uint32_t link, const uint8_t *bytes, uint32_t length) {
  if (length < SKERRY_FRAME_LEAST || length > SKERRY_FRAME_MOST) return;
  struct skerry_frame frame = {.runs = 1, .run = {{bytes, length}}};
  while (skerry_inject(machine, link, &frame) == -EAGAIN) run();
}

static void inject(const uint8_t *bytes, uint32_t length) { inject_by(0, bytes, length); }

static void introduce(void) {
  uint8_t frame[60];
  wire_arp(frame, mac_machine, 1, mac_peer, ADDRESS_PEER, mac_machine, ADDRESS_MACHINE);
  inject(frame, sizeof frame);
  run();
}

static int call(uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3) {
  return skerry_syscall(machine, number, a0, a1, a2, a3, 0);
}

static uint32_t address(uint32_t ip, uint16_t port) {
  struct skerry_memory memory = skerry_memory(machine);
  uint64_t words[3] = {0, ip ? 0xffff00000000 | (uint64_t)ip : 0, port};
  memcpy(memory.bytes, words, sizeof words);
  return memory.address;
}

// ---- What must be the same before and after ----------------------------------------------------------

enum { POOLS = 4 };
struct holdings { uint32_t packets[POOLS][6], gauges[TCP_GAUGES], extents; };
static struct holdings before;

static struct holdings holdings(void) {
  struct holdings h;
  struct skerry_memory memory = skerry_memory(machine);
  call(SYSCALL_STATISTICS, STATISTICS_POOLS, memory.address, POOLS * LAYOUT_POOL, 0);
  for (int p = 0; p < POOLS; p++) memcpy(h.packets[p], memory.bytes + p * LAYOUT_POOL + 16, sizeof h.packets[p]);
  call(SYSCALL_STATISTICS, STATISTICS_TCP, memory.address, sizeof(struct tcp_stats), 0);
  memcpy(h.gauges, memory.bytes + TCP_COUNTERS * sizeof(uint64_t), sizeof h.gauges);
  call(SYSCALL_STATISTICS, STATISTICS_RESOURCES, memory.address, 8, 0);
  memcpy(&h.extents, memory.bytes + 4, 4);
  return h;
}

static void all_back(void) {
  struct holdings now = holdings();
  for (int p = 0; p < POOLS; p++)
    for (int o = 0; o < 6; o++)
      if (now.packets[p][o] != before.packets[p][o])
        finding("packets of pool %d with owner %d: %u before, %u after", p, o, before.packets[p][o], now.packets[p][o]);
  for (int g = 0; g < TCP_GAUGES; g++)
    if (now.gauges[g] != before.gauges[g]) finding("left: %u of %s, %u before", now.gauges[g], tcp_gauge_names[g], before.gauges[g]);
  if (now.extents != before.extents) finding("left: %u extents, %u before", now.extents, before.extents);
}

// ---- frames ------------------------------------------------------------------------------------------------

static int datagrams;

static void frames_set_up(void) {
  machine = start("ip=10.0.0.2/24 ip6=off gw=10.0.0.1", NULL, 0);
  pass(3 * SECOND);
  introduce();
  int listener = call(SYSCALL_SOCKET, SOCKET_TYPE_STREAM, 0, 0, 0);
  call(SYSCALL_BIND, (uint32_t)listener, address(0, 80), 0, 0);
  call(SYSCALL_LISTEN, (uint32_t)listener, 8, 0, 0);
  datagrams = call(SYSCALL_SOCKET, SOCKET_TYPE_DATAGRAM, 0, 0, 0);
  call(SYSCALL_BIND, (uint32_t)datagrams, address(0, 53), 0, 0);
  snapshot();
}

/// An input is frames: how it is wrapped, how much time passes, its length, its bytes.
static void frames_run(struct input *in) {
  static const uint8_t protocols[4] = {PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, 0x84};
  for (int n = 0; n < 32 && in->at < in->end; n++) {
    uint32_t how = take8(in), wait = take8(in), most = take16(in) % (FRAME_MOST + 1);
    uint8_t frame[FRAME_MOST + 64] = {0};
    uint32_t length = 0;
    if (how & 3) {
      memcpy(frame, mac_machine, 6);
      memcpy(frame + 6, mac_peer, 6);
      put16(frame + 12, (how & 3) == 1 ? ETHERTYPE_ARP : ETHERTYPE_IPV4);
      length = ETHERNET_HEADER;
    }
    if ((how & 3) == 3) {
      uint8_t *ip = frame + ETHERNET_HEADER;
      if (most > FRAME_MOST - ETHERNET_HEADER - IPV4_HEADER) most = FRAME_MOST - ETHERNET_HEADER - IPV4_HEADER;
      ip[0] = 0x45;
      ip[8] = 64;
      ip[9] = protocols[how >> 2 & 3];
      put32(ip + 12, ADDRESS_PEER);
      put32(ip + 16, ADDRESS_MACHINE);
      length += IPV4_HEADER;
      length += take(in, frame + length, most);
      put16(ip + 2, length - ETHERNET_HEADER);
    } else {
      length += take(in, frame + length, most > FRAME_MOST - length ? FRAME_MOST - length : most);
    }
    if (!(how & 0x80)) wire_mend(frame, length);
    inject(frame, length);
    pass(wait < 200 ? wait * 1000 : (wait - 199) * 100 * MILLISECOND);
    struct skerry_memory memory = skerry_memory(machine);
    while (call(SYSCALL_RECEIVE_FROM, (uint32_t)datagrams, memory.address + 64, 2048, memory.address) >= 0) {}
  }
}

// ---- router -----------------------------------------------------------------------------------------------

/// The machine is .2 of both networks, the peer .1; the peer's address on the second card's network is behind it.
#define ROUTER "eth0=10.0.0.2/24,fd00::2/64 eth1=10.1.0.2/24,fd00:1::2/64 forward=on"
static const uint8_t peer6[2][16] = {{0xfd, [15] = 1}, {0xfd, 0, 0, 1, [15] = 1}};
static const uint8_t machine6[2][16] = {{0xfd, [15] = 2}, {0xfd, 0, 0, 1, [15] = 2}};

/// The peer says where it is: RFC 826, and as an echo request is answered by asking (RFC 4861, 7.2.5).
static void router_introduce(uint32_t link) {
  uint8_t mac[6], frame[ETHERNET_HEADER + 40 + 32] = {0}, *ip = frame + ETHERNET_HEADER;
  memcpy(mac, mac_machine, 6);
  mac[5] += (uint8_t)link;
  wire_arp(frame, mac, 1, mac_peer, ADDRESS_PEER + (link << 16), mac, ADDRESS_MACHINE + (link << 16));
  inject_by(link, frame, 60);
  memset(frame, 0, sizeof frame);
  memcpy(frame, mac, 6), memcpy(frame + 6, mac_peer, 6);
  put16(frame + 12, ETHERTYPE_IPV6);
  ip[0] = 0x60, ip[5] = 32, ip[6] = 58, ip[7] = 255;
  memcpy(ip + 8, peer6[link], 16), memcpy(ip + 24, machine6[link], 16);
  ip[40] = 135, memcpy(ip + 48, machine6[link], 16); // neighbour solicitation, with the source's address
  ip[64] = 1, ip[65] = 1, memcpy(ip + 66, mac_peer, 6);
  wire_mend(frame, sizeof frame);
  inject_by(link, frame, sizeof frame);
  run();
}

static void router_set_up(void) {
  links = 2;
  machine = start(ROUTER, NULL, 0);
  pass(4 * SECOND);
  for (uint32_t link = 0; link < links; link++) router_introduce(link);
  pass(SECOND);
  before = holdings();
  snapshot();
}

/// What it sends on is as right as who sent it; what it says itself has one of its addresses.
static bool is_routers(const uint8_t *frame, uint32_t length) {
  const uint8_t *ip = frame + ETHERNET_HEADER;
  if (get16(frame + 12) == ETHERTYPE_IPV4 && length >= ETHERNET_HEADER + IPV4_HEADER)
    return get32(ip + 12) == ADDRESS_MACHINE || get32(ip + 12) == ADDRESS_MACHINE + (1 << 16);
  if (get16(frame + 12) != ETHERTYPE_IPV6 || length < ETHERNET_HEADER + 40) return true;
  return !memcmp(ip + 8, machine6[0], 16) || !memcmp(ip + 8, machine6[1], 16) || ip[8] == 0xfe;
}

/// An input is packets: how each is wrapped and by which card it comes, time after it, next header, length, bytes.
static void router_run(struct input *in) {
  enum { BY_SECOND = 1, KIND = 6, RAW = 0, TO_MACHINE4 = 2, BEHIND = 4, LAST_HOP = 8, FRAGMENT = 16, UNMENDED = 128 };
  for (int n = 0; n < 32 && in->at < in->end; n++) {
    uint32_t how = take8(in), wait = take8(in), next = take8(in), most = take16(in) % 1501, length = ETHERNET_HEADER;
    uint32_t link = how & BY_SECOND, other = (how & KIND) >= BEHIND ? !link : link;
    bool behind = (how & KIND) >= BEHIND, v4 = (how & KIND) == TO_MACHINE4 || (how & KIND) == KIND;
    uint8_t frame[FRAME_MOST + 64] = {0}, *ip = frame + ETHERNET_HEADER;
    memcpy(frame, mac_machine, 6), memcpy(frame + 6, mac_peer, 6);
    frame[5] += (uint8_t)link;
    if (!(how & KIND) && next) { // the whole packet, its first half-byte says which
      length += take(in, ip, most);
      put16(frame + 12, ip[0] >> 4 == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    } else if (v4) {
      length += IPV4_HEADER + take(in, ip + IPV4_HEADER, most > 1480 ? 1480 : most);
      put16(frame + 12, ETHERTYPE_IPV4);
      ip[0] = 0x45, ip[8] = how & LAST_HOP ? 1 : 64, ip[9] = (uint8_t)next;
      put16(ip + 2, length - ETHERNET_HEADER);
      if (how & FRAGMENT) put16(ip + 4, 7), put16(ip + 6, 0x2000 | (n & 7));
      put32(ip + 12, ADDRESS_PEER + (link << 16));
      put32(ip + 16, (behind ? ADDRESS_PEER : ADDRESS_MACHINE) + (other << 16));
    } else {
      length += 40 + take(in, ip + 40, most > 1460 ? 1460 : most);
      put16(frame + 12, ETHERTYPE_IPV6);
      ip[0] = 0x60, ip[6] = (uint8_t)next, ip[7] = how & LAST_HOP ? 1 : 255;
      put16(ip + 4, length - ETHERNET_HEADER - 40);
      memcpy(ip + 8, peer6[link], 16);
      memcpy(ip + 24, behind ? peer6[other] : machine6[link], 16);
    }
    if (!(how & UNMENDED)) wire_mend(frame, length);
    inject_by(link, frame, length);
    pass(wait < 200 ? wait * 1000 : (wait - 199) * 100 * MILLISECOND);
  }
  // Until fragments are given up, and neighbours that nobody answers for.
  pass(120 * SECOND);
  all_back();
}

// ---- dhcp ----------------------------------------------------------------------------------------------------

static uint8_t transaction[4];

static void dhcp_heard(const uint8_t *frame, uint32_t length) {
  if (length >= 282 && get16(frame + 12) == ETHERTYPE_IPV4 && frame[23] == PROTOCOL_UDP && get16(frame + 36) == 67)
    memcpy(transaction, frame + 46, 4);
}

static void dhcp_set_up(void) {
  machine = start("ip=dhcp ip6=off", NULL, 0);
  pass(5 * SECOND);
  snapshot();
}

/// An input is messages: time before, a mask of what is not as it should be, yiaddr, length, options.
static void dhcp_run(struct input *in) {
  pass(1); // a message is owed: its transaction was noted before the snapshot
  for (int n = 0; n < 16 && in->at < in->end; n++) {
    uint32_t wait = take8(in), odd = take8(in);
    uint8_t frame[FRAME_MOST] = {0}, *ip = frame + 14, *udp = ip + 20, *message = udp + 8;
    pass(wait < 200 ? wait * MILLISECOND : (uint64_t)(wait - 199) * 100 * SECOND);
    memcpy(frame, odd & 1 ? (const uint8_t[]){255, 255, 255, 255, 255, 255} : mac_machine, 6);
    memcpy(frame + 6, mac_peer, 6);
    put16(frame + 12, ETHERTYPE_IPV4);
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = PROTOCOL_UDP;
    put32(ip + 12, ADDRESS_PEER);
    put32(ip + 16, odd & 1 ? 0xffffffff : ADDRESS_MACHINE);
    put16(udp, 67);
    put16(udp + 2, 68);
    message[0] = 2, message[1] = 1, message[2] = 6;
    memcpy(message + 4, transaction, 4);
    put32(message + 16, 0x0a000000 | take8(in));
    put32(message + 20, ADDRESS_PEER);
    memcpy(message + 28, mac_machine, 6);
    put32(message + 236, 0x63825363);
    if (odd & 2) take(in, message, 34);
    if (odd & 4) take(in, message + 44, 192); // sname and file, which may hold options (RFC 2132, 9.3)
    uint32_t length = 240 + take(in, message + 240, take8(in) * 2);
    put16(udp + 4, 8 + length);
    put16(ip + 2, 28 + length);
    wire_mend(frame, 42 + length);
    inject(frame, 42 + length);
    run();
  }
}

// ---- dhcpv6 --------------------------------------------------------------------------------------------------

/// What the client said last: transaction, DUID, and the address that it spoke from.
struct solicit { uint8_t transaction[3], duid[10], address[16]; };
static struct solicit solicit, first_solicit;

static void dhcpv6_heard(const uint8_t *frame, uint32_t length) {
  if (length < 62 + 18 || get16(frame + 12) != ETHERTYPE_IPV6 || frame[20] != PROTOCOL_UDP || get16(frame + 56) != 547) return;
  memcpy(solicit.transaction, frame + 63, 3);
  memcpy(solicit.duid, frame + 70, 10);
  memcpy(solicit.address, frame + 22, 16);
}

static void dhcpv6_set_up(void) {
  machine = start("ip=10.0.0.2/24 ip6=dhcp", NULL, 0);
  pass(5 * SECOND);
  first_solicit = solicit;
  snapshot();
}

/// An input is messages: time before, what is not as it should be, type, length, options.
static void dhcpv6_run(struct input *in) {
  solicit = first_solicit;
  for (int n = 0; n < 16 && in->at < in->end; n++) {
    uint32_t wait = take8(in), odd = take8(in);
    uint8_t frame[FRAME_MOST] = {0}, *ip = frame + 14, *udp = ip + 40, *message = udp + 8;
    pass(wait < 200 ? wait * MILLISECOND : (uint64_t)(wait - 199) * 100 * SECOND);
    memcpy(frame, mac_machine, 6);
    memcpy(frame + 6, mac_peer, 6);
    put16(frame + 12, ETHERTYPE_IPV6);
    ip[0] = 0x60;
    ip[6] = PROTOCOL_UDP;
    ip[7] = 64;
    ip[8] = 0xfe, ip[9] = 0x80, ip[23] = 1;
    memcpy(ip + 24, solicit.address, 16);
    put16(udp, 547);
    put16(udp + 2, 546);
    message[0] = (uint8_t)(odd & 1 ? take8(in) : odd & 2 ? 2 : 7);
    memcpy(message + 1, solicit.transaction, 3);
    uint32_t length = 4;
    if (!(odd & 4)) {
      put16(message + length, 1), put16(message + length + 2, 10);
      memcpy(message + length + 4, solicit.duid, 10);
      length += 14;
    }
    if (!(odd & 8)) {
      put16(message + length, 2), put16(message + length + 2, 10);
      memcpy(message + length + 4, (const uint8_t[]){0, 3, 0, 1, 2, 0, 0, 0, 0, 1}, 10);
      length += 14;
    }
    if (odd & 16) put16(message + length, 14), put16(message + length + 2, 0), length += 4;
    length += take(in, message + length, take8(in) * 2);
    put16(udp + 4, 8 + length);
    put16(ip + 4, 8 + length);
    put16(udp + 6, 0);
    uint32_t sum = wire_sum(ip + 8, 32, PROTOCOL_UDP + 8 + length);
    put16(udp + 6, (uint16_t)~wire_fold(wire_sum(udp, 8 + length, sum)));
    inject(frame, 62 + length);
    run();
  }
}

// ---- dhcpd ---------------------------------------------------------------------------------------------------

static void dhcpd_set_up(void) {
  machine = start("ip=10.0.0.2/24 ip6=off dhcpd=eth0,10.0.0.100-10.0.0.107,lease=600,dns=10.0.0.3,domain=b.test,"
                  "02:00:00:00:01:07=10.0.0.7 dhcpd=eth0,10.9.0.1-10.9.0.4/24", NULL, 0);
  pass(3 * SECOND);
  introduce();
  before = holdings();
  snapshot();
}

/// An input is what stations send: time before, which station, what is not as it should be, and options. In the end
/// everything runs out, and leaves nothing.
static void dhcpd_run(struct input *in) {
  for (int n = 0; n < 24 && in->at < in->end; n++) {
    uint32_t wait = take8(in), who = take8(in), odd = take8(in), ends = take8(in);
    uint8_t frame[FRAME_MOST] = {0}, *ip = frame + 14, *udp = ip + 20, *message = udp + 8;
    uint8_t station[6] = {2, 0, 0, 0, 1, (uint8_t)(who & 15)};
    pass(wait < 200 ? wait * 10 * MILLISECOND : (uint64_t)(wait - 199) * 20 * SECOND);
    if (odd & 1) { // it has an address, or asks by RARP
      wire_arp(frame, mac_machine, odd & 2 ? 2 : 1, station, 0x0a000000 | ends, mac_machine, 0x0a000000 | (who >> 4) << 4);
      if (odd & 4) put16(frame + 12, ETHERTYPE_RARP), put16(frame + 20, odd & 2 ? 4 : 3);
      inject(frame, 60);
      run();
      continue;
    }
    memset(frame, 0xff, 6);
    memcpy(frame + 6, station, 6);
    put16(frame + 12, ETHERTYPE_IPV4);
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = PROTOCOL_UDP;
    put32(ip + 12, odd & 2 ? 0x0a000000 | ends : 0);
    put32(ip + 16, 0xffffffff);
    put16(udp, 68);
    put16(udp + 2, 67);
    message[0] = 1, message[1] = 1, message[2] = 6;
    message[10] = (uint8_t)(odd & 8 ? 0x80 : 0);
    if (odd & 2) put32(message + 12, 0x0a000000 | ends);
    if (odd & 16) put32(message + 24, 0x0a090000 | ends);
    memcpy(message + 28, station, 6);
    put32(message + 236, 0x63825363);
    if (odd & 32) take(in, message, 34);
    message[240] = 53, message[241] = 1, message[242] = (uint8_t)(1 + (who >> 4 & 7));
    uint32_t length = 243;
    if (odd & 64) { // the address that it asks for, and which server
      message[243] = 50, message[244] = 4, put32(message + 245, 0x0a000000 | ends);
      message[249] = 54, message[250] = 4, put32(message + 251, ADDRESS_MACHINE);
      length = 255;
    }
    length += take(in, message + length, take8(in));
    message[length++] = 255;
    put16(udp + 4, 8 + length);
    put16(ip + 2, 28 + length);
    wire_mend(frame, 42 + length);
    inject(frame, 42 + length);
    run();
  }
  pass(3600 * SECOND);
  all_back();
}

// ---- dns -----------------------------------------------------------------------------------------------------

/// The latest query: its bytes, and the port that it came from.
static uint8_t query[512];
static uint32_t query_length;
static uint16_t query_port;

static void dns_heard(const uint8_t *frame, uint32_t length) {
  if (length < 42 + 12 || length > 42 + sizeof query || get16(frame + 12) != ETHERTYPE_IPV4) return;
  if (frame[23] != PROTOCOL_UDP || get16(frame + 36) != 53) return;
  query_length = (uint32_t)get16(frame + 38) - 8;
  query_port = get16(frame + 34);
  memcpy(query, frame + 42, query_length);
}

static void dns_set_up(void) {
  machine = start("ip=10.0.0.2/24 ip6=off gw=10.0.0.1 dns=10.0.0.1 search=b.test,test", NULL, 0);
  pass(3 * SECOND);
  introduce();
  before = holdings();
  snapshot();
}

/// Answers the latest query: flags, counts, then records as they are in the input.
static void dns_answer(struct input *in) {
  uint8_t frame[FRAME_MOST] = {0}, *ip = frame + 14, *udp = ip + 20, *message = udp + 8;
  uint32_t question = 12;
  while (question < query_length && query[question]) question += 1 + query[question];
  question += 5;
  if (!query_length || question > query_length) return;
  memcpy(frame, mac_machine, 6);
  memcpy(frame + 6, mac_peer, 6);
  put16(frame + 12, ETHERTYPE_IPV4);
  ip[0] = 0x45;
  ip[8] = 64;
  ip[9] = PROTOCOL_UDP;
  put32(ip + 12, ADDRESS_PEER);
  put32(ip + 16, ADDRESS_MACHINE);
  put16(udp, 53);
  put16(udp + 2, query_port);
  memcpy(message, query, question);
  put16(message + 2, 0x8180 ^ take16(in));
  put16(message + 6, take8(in));
  put16(message + 8, take8(in));
  put16(message + 10, take8(in));
  uint32_t length = question + take(in, message + question, take8(in) * 4);
  put16(udp + 4, 8 + length);
  put16(ip + 2, 28 + length);
  wire_mend(frame, 42 + length);
  inject(frame, 42 + length);
  run();
}

/// An input is lookups, each with the answers to its queries. Each of them ends, and leaves nothing.
static void dns_run(struct input *in) {
  static const uint16_t types[8] = {0, 1, 28, 5, 15, 16, 33, 12};
  static const char *const names[4] = {"a.test.", "a", "x.y", "a.b.test."};
  for (int n = 0; n < 8 && in->at < in->end; n++) {
    struct skerry_memory memory = skerry_memory(machine);
    uint32_t how = take8(in);
    const char *name = names[how >> 3 & 3];
    memcpy(memory.bytes, name, strlen(name));
    query_length = 0;
    int lookup = call(SYSCALL_RESOLVE, memory.address, (uint32_t)strlen(name), types[how & 7], 0);
    if (lookup <= 0) finding("lookup refused: %d", lookup);
    pass(MILLISECOND);
    for (uint32_t answers = how >> 5; answers > 0 && in->at < in->end; answers--) {
      dns_answer(in);
      pass(MILLISECOND);
    }
    // Each of three names, tried by two questions, has 15 s.
    pass(100 * SECOND);
    int found = call(SYSCALL_RESOLVED, (uint32_t)lookup, memory.address, 8192, 0);
    if (found == -11) finding("a lookup without an end");
    if (found > 8192) finding("%d bytes of records", found);
  }
  pass(200 * SECOND);
  all_back();
}

// ---- connection ------------------------------------------------------------------------------------------------

enum { FLOWS = 4, SOCKETS = 16, PEER_PORT = 40000 };

/// One connection as its peer knows it.
struct flow {
  uint16_t port, machine_port;
  /// Our numbers: the first, the next to send in order, and what the machine has acknowledged.
  uint32_t iss, next, acknowledged, edge;
  /// The machine's.
  bool spoken;
  uint32_t its_iss, its_next, its_ack;
  bool timestamps;
  uint32_t stamp, its_stamp;
};

static struct flow flows[FLOWS], *flow;
static int listener;
/// The program's sockets, and how much each has read and written.
static struct { int number; bool deaf; uint8_t next; uint64_t read, written; } sockets[SOCKETS];
static uint8_t last_frame[FRAME_MOST];
static uint32_t last_length;

/// The octet that the peer sends under a number: the program knows no numbers, but each octet's is one on.
static uint8_t peer_octet(uint32_t seq) { return (uint8_t)seq; }
/// The same, as the machine's program sends it.
static uint8_t its_octet(uint64_t at) { return (uint8_t)(at * 40503 >> 7); }

static void connection_heard(const struct segment *s) {
  for (int i = 0; i < FLOWS; i++) {
    struct flow *f = &flows[i];
    if (f->port != s->destination_port || (f->machine_port && f->machine_port != s->source_port)) continue;
    if (s->flags & RST) return;
    f->machine_port = s->source_port;
    if (s->flags & SYN) f->its_iss = s->seq, f->spoken = true, f->its_next = s->seq + 1;
    if (!f->spoken) return;
    if (s->options.has_timestamps) f->its_stamp = s->options.ts_value;
    uint32_t end = s->seq + s->length + ((s->flags & FIN) != 0);
    if (after(end, f->its_next)) f->its_next = end;
    if (s->flags & ACK) f->acknowledged = s->ack, f->edge = s->ack + s->window;
    for (uint32_t j = 0; j < s->length; j++) {
      uint32_t at = s->seq - f->its_iss - 1 + j;
      if (s->payload[j] != its_octet(at)) finding("octet %u of the machine's stream is another one", at);
    }
    return;
  }
}

static void connection_set_up(void) {
  machine = start("ip=10.0.0.2/24 ip6=off gw=10.0.0.1", NULL, 0);
  pass(3 * SECOND);
  introduce();
  before = holdings();
  listener = call(SYSCALL_SOCKET, SOCKET_TYPE_STREAM, 0, 0, 0);
  call(SYSCALL_BIND, (uint32_t)listener, address(0, 80), 0, 0);
  call(SYSCALL_LISTEN, (uint32_t)listener, 4, 0, 0);
  snapshot();
}

static uint32_t pick_seq(struct input *in, uint32_t kind) {
  int32_t odd = (int16_t)take16(in);
  switch (kind & 7) {
    case 0: case 1: return flow->next;
    case 2: return flow->acknowledged;
    case 3: return flow->acknowledged + (uint32_t)odd;
    case 4: return flow->edge + (uint32_t)(odd % 4);
    case 5: return flow->iss + (uint32_t)(odd % 8);
    case 6: return flow->next + (uint32_t)(odd % 3000);
    default: return flow->next + 0x80000000u + (uint32_t)odd;
  }
}

static uint32_t pick_ack(struct input *in, uint32_t kind) {
  int32_t odd = (int16_t)take16(in);
  switch (kind & 3) {
    case 0: case 1: return flow->its_next;
    case 2: return flow->its_next - (uint32_t)(odd & 0x3fff);
    default: return flow->its_iss + (uint32_t)odd;
  }
}

/// Writes options by a mask; returns their length.
static uint32_t make_options(struct input *in, uint8_t *into, uint32_t mask) {
  uint32_t n = 0;
  if (mask & 1) into[n++] = OPTION_MSS, into[n++] = 4, put16(into + n, take16(in)), n += 2;
  if (mask & 2) into[n++] = OPTION_SCALE, into[n++] = 3, into[n++] = (uint8_t)(take8(in) & 15);
  if (mask & 4) into[n++] = OPTION_SACK_PERMITTED, into[n++] = 2;
  if (mask & 8) {
    into[n++] = OPTION_TIMESTAMPS, into[n++] = 10;
    put32(into + n, flow->stamp += take8(in));
    put32(into + n + 4, mask & 0x80 ? flow->its_stamp - take8(in) : flow->its_stamp);
    n += 8;
  }
  if (mask & 16) {
    into[n++] = OPTION_SACK, into[n++] = 18;
    for (int i = 0; i < 2; i++, n += 8) {
      uint32_t left = flow->its_iss + take16(in);
      put32(into + n, left);
      put32(into + n + 4, left + take16(in) % 4000);
    }
  }
  if (mask & 32) {
    uint32_t size = take8(in) % 18;
    into[n++] = OPTION_FAST_OPEN, into[n++] = (uint8_t)(size + 2);
    n += take(in, into + n, size);
    if (n > 40) n = 40;
  }
  if (mask & 64) n += take(in, into + n, (40 - (n > 40 ? 40 : n)) & take8(in));
  if (n > 40) n = 40;
  while (n & 3) into[n++] = OPTION_NOP;
  return n;
}

static void send_segment(uint32_t seq, uint32_t ack, uint32_t flags, uint32_t window, uint32_t length,
                         const uint8_t *options, uint32_t options_length, uint8_t tos) {
  static uint8_t payload[FRAME_MOST], frame[FRAME_MOST];
  uint32_t room = FRAME_MOST - ETHERNET_HEADER - IPV4_HEADER - TCP_HEADER - options_length;
  if (length > room) length = room;
  for (uint32_t i = 0; i < length; i++) payload[i] = peer_octet(seq + ((flags & SYN) != 0) + i);
  struct segment s = {
      .source = ADDRESS_PEER, .destination = ADDRESS_MACHINE, .source_port = flow->port,
      .destination_port = flow->machine_port ? flow->machine_port : 80, .seq = seq, .ack = ack, .flags = flags,
      .window = (uint16_t)window, .tos = tos, .options_length = options_length, .payload = payload, .length = length,
  };
  last_length = wire_frame(frame, mac_machine, mac_peer, &s, options);
  memcpy(last_frame, frame, last_length);
  inject(frame, last_length);
  uint32_t end = seq + length + ((flags & SYN) != 0) + ((flags & FIN) != 0);
  if (after(end, flow->next) && !after(end, flow->next + (1 << 20))) flow->next = end;
}

static void send_plain(uint32_t flags, uint32_t length, uint32_t window) {
  uint8_t options[12] = {1, 1, OPTION_TIMESTAMPS, 10};
  put32(options + 4, ++flow->stamp);
  put32(options + 8, flow->its_stamp);
  send_segment(flow->next, flow->its_next, flags, window, length, options, flow->timestamps ? 12 : 0, 0);
  run();
}

static void begin_flow(struct input *in, uint32_t choice) {
  flow = &flows[choice % FLOWS];
  if (flow->port && !(choice & 4)) return;
  uint16_t port = flow->port ? flow->port : (uint16_t)(PEER_PORT + choice % FLOWS);
  *flow = (struct flow){.port = port, .iss = 0xffff0000u + take16(in)};
  flow->next = flow->acknowledged = flow->iss;
}

/// A whole handshake with the listener.
static void shake(struct input *in, uint32_t how) {
  begin_flow(in, (how & 3) | 4);
  uint8_t options[128];
  uint32_t length = make_options(in, options, how >> 2 & 15);
  flow->timestamps = how & 0x20;
  send_segment(flow->iss, 0, SYN | (how & 0x40 ? ECE | CWR : 0), 8192, 0, options, length, 0);
  run();
  if (flow->spoken) send_plain(ACK, how & 0x80 ? 100 : 0, 8192);
}

/// RFC 792, or what looks like it, about the last frame of the machine to the flow.
static void send_icmp(struct input *in) {
  uint8_t frame[FRAME_MOST] = {0}, *ip = frame + 14, *icmp = ip + 20;
  uint32_t type = take8(in) % 20, code = take8(in) % 16, rest = take16(in);
  memcpy(frame, mac_machine, 6);
  memcpy(frame + 6, mac_peer, 6);
  put16(frame + 12, ETHERTYPE_IPV4);
  ip[0] = 0x45, ip[8] = 64, ip[9] = PROTOCOL_ICMP;
  put32(ip + 12, ADDRESS_PEER);
  put32(ip + 16, ADDRESS_MACHINE);
  icmp[0] = (uint8_t)type, icmp[1] = (uint8_t)code;
  put16(icmp + 6, rest);
  uint8_t *quoted = icmp + 8;
  quoted[0] = 0x45, quoted[8] = 64, quoted[9] = PROTOCOL_TCP;
  put16(quoted + 2, 40 + (rest & 1023));
  put32(quoted + 12, ADDRESS_MACHINE);
  put32(quoted + 16, ADDRESS_PEER);
  put16(quoted + 20, flow->machine_port ? flow->machine_port : 80);
  put16(quoted + 22, flow->port);
  put32(quoted + 24, pick_ack(in, code));
  uint32_t length = 20 + 8 + 28 + take8(in) % 64;
  put16(ip + 2, length);
  wire_mend(frame, 14 + length);
  inject(frame, 14 + length);
  run();
}

static int pick_socket(uint32_t choice) {
  int open = 0;
  for (int i = 0; i < SOCKETS; i++) open += sockets[i].number != 0;
  if (!open) return -1;
  choice %= (uint32_t)open;
  for (int i = 0; i < SOCKETS; i++)
    if (sockets[i].number && !choice--) return i;
  return -1;
}

static void keep_socket(int number) {
  for (int i = 0; i < SOCKETS; i++)
    if (!sockets[i].number) {
      sockets[i].number = number;
      sockets[i].deaf = false;
      sockets[i].read = sockets[i].written = 0;
      return;
    }
  call(SYSCALL_CLOSE, (uint32_t)number, 0, 0, 0);
}

static void program_reads(int i, uint32_t most, bool peek) {
  struct skerry_memory memory = skerry_memory(machine);
  uint32_t number = (uint32_t)sockets[i].number;
  int got = call(SYSCALL_RECEIVE, number, memory.address + 64, most, peek ? RECEIVE_FLAG_PEEK : 0);
  if (got > (int)most) finding("receive of %u bytes returned %d", most, got);
  if (got <= 0 || sockets[i].deaf) return;
  uint8_t next = sockets[i].read ? sockets[i].next : memory.bytes[64];
  for (int j = 0; j < got; j++)
    if (memory.bytes[64 + j] != (uint8_t)(next + j))
      finding("octet %llu that the program reads is not what the peer sent", (unsigned long long)sockets[i].read + (unsigned)j);
  if (peek) return;
  sockets[i].read += (uint64_t)got;
  sockets[i].next = (uint8_t)(next + got);
}

static void program_does(struct input *in, uint32_t what) {
  struct skerry_memory memory = skerry_memory(machine);
  int i = pick_socket(take8(in));
  uint32_t number = i < 0 ? 0 : (uint32_t)sockets[i].number;
  switch (what & 15) {
    case 0: case 1: case 2: {
      int accepted = call(SYSCALL_ACCEPT, (uint32_t)listener, 0, 0, 0);
      if (accepted > 0) keep_socket(accepted);
      break;
    }
    case 3: case 4: case 5: {
      if (i < 0) return;
      uint32_t length = take16(in);
      for (uint32_t j = 0; j < length; j++) memory.bytes[j] = its_octet(sockets[i].written + j);
      int sent = call(SYSCALL_SEND, number, memory.address, length, 0);
      if (sent > (int)length) finding("send of %u bytes returned %d", length, sent);
      if (sent > 0) sockets[i].written += (uint64_t)sent;
      break;
    }
    case 6: case 7: case 8:
      if (i >= 0) program_reads(i, take16(in), what & 16);
      break;
    case 9:
      if (i < 0) return;
      // What comes after it no longer reads is lost to it.
      what = take8(in) % 4;
      if (what != SHUTDOWN_WRITE) sockets[i].deaf = true;
      call(SYSCALL_SHUTDOWN, number, what, 0, 0);
      break;
    case 10:
      if (i < 0) return;
      call(SYSCALL_CLOSE, number, 0, 0, 0);
      sockets[i].number = 0;
      break;
    case 11: {
      // An active open to the flow's port.
      int made = call(SYSCALL_SOCKET, SOCKET_TYPE_STREAM, 0, 0, 0);
      if (made <= 0) return;
      begin_flow(in, what >> 4 | 4u);
      call(SYSCALL_CONNECT, (uint32_t)made, address(ADDRESS_PEER, flow->port), 0, 0);
      keep_socket(made);
      break;
    }
    case 12: case 13: {
      uint32_t option = take8(in) % 40, value = take16(in);
      // Not longer than an input waits in the end.
      if (option == SOCKET_OPTION_FIN_WAIT2 || option == SOCKET_OPTION_SYN_COUNT) value %= 8;
      if (i < 0) call(SYSCALL_SET_OPTION, (uint32_t)listener, option, value, 0);
      else if (what & 16) call(SYSCALL_GET_OPTION, number, option, 0, 0);
      else call(SYSCALL_SET_OPTION, number, option, value, 0);
      break;
    }
    case 14: call(SYSCALL_POLL, memory.address, 8, 0, 0); break;
    default: call(SYSCALL_STATISTICS + 1 + take8(in) % 8, number, memory.address, take16(in), take8(in)); break;
  }
  run();
}

static void connection_step(struct input *in) {
  static const uint64_t pauses[8] = {MILLISECOND, 10 * MILLISECOND, 50 * MILLISECOND, 210 * MILLISECOND,
                                     SECOND, 5 * SECOND, 61 * SECOND, 130 * SECOND};
  uint32_t what = take8(in), how = take8(in);
  switch (what % 10) {
    case 0: case 1: case 2: {
      uint32_t mask = take8(in), flags = take8(in), length = take8(in) * 6, window = take16(in);
      uint8_t options[128];
      if (what & 0x40) flags = ACK;
      uint32_t seq = pick_seq(in, how), ack = pick_ack(in, how >> 3), n = 0;
      if (flow->timestamps && !(what & 0x80)) mask |= 8;
      n = make_options(in, options, mask);
      send_segment(seq, ack, flags | (how & 0x20 ? AE : 0), window, length, options, n, how >> 6);
      if (!(what & 0x20)) run(); // else the next one belongs to the same burst
      break;
    }
    case 3: shake(in, how); break;
    case 4: send_plain(ACK | (how & 1 ? FIN : 0) | (how & 2 ? PSH : 0), (how >> 2) * 24, how & 128 ? take16(in) : 8192); break;
    case 5: pass(pauses[how & 7]); break;
    case 6: case 7: program_does(in, how); break;
    case 8: begin_flow(in, how); break;
    default:
      if (how & 1) send_icmp(in);
      else if (last_length) inject(last_frame, last_length), run();
  }
}

static void connection_run(struct input *in) {
  memset(flows, 0, sizeof flows);
  memset(sockets, 0, sizeof sockets);
  last_length = 0;
  begin_flow(in, 0);
  for (int n = 0; n < 200 && in->at < in->end; n++) connection_step(in);
  // Everything is closed, and the peer is silent.
  for (int i = 0; i < SOCKETS; i++)
    if (sockets[i].number) call(SYSCALL_CLOSE, (uint32_t)sockets[i].number, 0, 0, 0);
  call(SYSCALL_CLOSE, (uint32_t)listener, 0, 0, 0);
  // In long strides: timers that fire late still fire in order.
  for (int n = 0; n < 100; n++) {
    run();
    skerry_advance(machine, 7 * SECOND);
    if (n == 50) introduce(); // a packet that waited for the peer's address is gone either way
  }
  run();
  all_back();
}

// ---- config, pack, http ------------------------------------------------------------------------------------------

static void config_run(struct input *in) {
  char line[4097];
  uint32_t length = take(in, (uint8_t *)line, sizeof line - 1);
  line[length] = 0;
  machine = start(line, NULL, 0);
  pass(2 * SECOND);
  skerry_stop(machine);
}

static void http_bytes(const uint8_t *bytes, uint32_t length);

static void pack_run(struct input *in) {
  static uint8_t pack[1 << 16];
  uint32_t length = take(in, pack, sizeof pack);
  if (length >= 40) {
    // The check of tools/pack/pack.ts: FNV-1a from byte 16 to the bodies.
    uint32_t bodies, hash = 0x811c9dc5;
    memcpy(&bodies, pack + 36, 4);
    if (bodies >= 16 && bodies <= length)
      for (uint32_t i = 16; i < bodies; i++) hash = (hash ^ pack[i]) * 0x01000193;
    memcpy(pack + 12, &hash, 4);
  }
  machine = start("ip=10.0.0.2/24 ip6=off", pack, length);
  pass(3 * SECOND);
  introduce();
  static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /style.css HTTP/1.1\r\nHost: a\r\n\r\n";
  http_bytes((const uint8_t *)request, sizeof request - 1);
  skerry_stop(machine);
}

static void http_set_up(void) {
  machine = start("ip=10.0.0.2/24 ip6=off", NULL, 0);
  pass(3 * SECOND);
  introduce();
  snapshot();
}

/// Sends bytes over a connection of their own, and acknowledges what comes back.
static void http_bytes(const uint8_t *bytes, uint32_t length) {
  static uint8_t frame[FRAME_MOST];
  memset(flows, 0, sizeof flows);
  flow = &flows[0];
  *flow = (struct flow){.port = PEER_PORT, .iss = 1000};
  struct segment s = {.source = ADDRESS_PEER, .destination = ADDRESS_MACHINE, .source_port = PEER_PORT,
                      .destination_port = 80, .seq = 1000, .flags = SYN, .window = 65535};
  inject(frame, wire_frame(frame, mac_machine, mac_peer, &s, NULL));
  run();
  s.seq++;
  for (;;) {
    s.flags = ACK;
    s.ack = flow->its_next;
    s.payload = bytes;
    s.length = length < 700 ? length : 700;
    uint32_t answered = flow->its_next;
    inject(frame, wire_frame(frame, mac_machine, mac_peer, &s, NULL));
    run();
    s.seq += s.length;
    bytes += s.length;
    length -= s.length;
    if (!length && flow->its_next == answered) break;
  }
  s.flags = ACK | FIN;
  s.length = 0;
  inject(frame, wire_frame(frame, mac_machine, mac_peer, &s, NULL));
  pass(SECOND);
}

static void http_run(struct input *in) { http_bytes(in->at, (uint32_t)(in->end - in->at)); }

// ---- libFuzzer's side ----------------------------------------------------------------------------------------------

static const struct target {
  const char *name;
  void (*set_up)(void);
  void (*run)(struct input *);
} targets[] = {
    {"frames", frames_set_up, frames_run}, {"router", router_set_up, router_run}, {"dhcp", dhcp_set_up, dhcp_run},
    {"dhcpv6", dhcpv6_set_up, dhcpv6_run}, {"dhcpd", dhcpd_set_up, dhcpd_run}, {"dns", dns_set_up, dns_run},
    {"connection", connection_set_up, connection_run}, {"config", NULL, config_run},
    {"pack", NULL, pack_run}, {"http", http_set_up, http_run},
}, *target;

static void heard(const uint8_t *frame, uint32_t length) {
  struct segment segment;
  const char *complaint;
  if (links > 1 && !is_routers(frame, length)) return;
  enum kind kind = wire_parse(frame, length, &segment, &complaint);
  if (kind == KIND_WRONG) finding("a frame that no correct host sends: %s", complaint);
  if (shows && kind == KIND_TCP) fprintf(stderr, "%12.6f %s\n", (double)skerry_now(machine) / 1e9, wire_describe(&segment));
  if (!strcmp(target->name, "dhcp")) dhcp_heard(frame, length);
  if (!strcmp(target->name, "dhcpv6")) dhcpv6_heard(frame, length);
  if (!strcmp(target->name, "dns")) dns_heard(frame, length);
  if (kind != KIND_TCP) return;
  if (!strcmp(target->name, "connection")) connection_heard(&segment);
  else if (flow && segment.destination_port == PEER_PORT && !(segment.flags & RST)) {
    uint32_t end = segment.seq + segment.length + ((segment.flags & (SYN | FIN)) != 0);
    if (!flow->spoken || after(end, flow->its_next)) flow->its_next = end;
    flow->spoken = true;
  }
}

int LLVMFuzzerInitialize(int *count, char ***words) {
  for (int i = 1; i < *count; i++) {
    if (!strcmp((*words)[i], "--show")) shows = true;
    if (strncmp((*words)[i], "--target=", 9)) continue;
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++)
      if (!strcmp((*words)[i] + 9, targets[t].name)) target = &targets[t];
  }
  if (!target) {
    fprintf(stderr, "Usage: %s --target=frames|router|dhcp|dhcpv6|dhcpd|dns|connection|config|pack|http [--show] [libFuzzer's options]\n", **words);
    exit(2);
  }
  if (target->set_up) target->set_up();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct input in = {bytes, bytes + length};
  console_length = 0;
  target->run(&in);
  if (target->set_up) restore();
  return 0;
}
