// soak: runs seeds, each a plan for the programs on two machines and a network to carry it out over.
//
//     soak [--first N] [--seeds N] [--jobs N] [--pcap FILE] [--twice]
//
// Whatever happens, what one program sends the other receives, nothing else and in time; no segment is one
// that a correct host never sends; afterwards no connection is left and everything is back where it was.

#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

enum { CLIENT = 0, SERVER = 1 };
enum { PORT = 9, CROSSED_PORT = 5000, CONNECTIONS = 48, TURNS = 64, CHUNK = 65536, SOCKETS = 4096, POOLS = 4 };
/// Virtual time within which anything must be over.
#define PATIENCE (2400 * SECOND)
/// So long after a silence the end of an aborted connection that still waits is closed.
#define HALF_OPEN (200 * SECOND)

/// Who may say what when.
enum mode {
  FREELY,  // both, at once
  ANSWER,  // the server after the client's end of stream: half-close
  BY_TURNS // a request, an answer, a request, …
};

/// One connection, as both programs know it.
struct talk {
  enum mode mode;
  uint64_t key;
  /// Bytes of the client's and the server's stream.
  uint32_t total[2];
  /// Where each request and answer ends.
  uint32_t turns, turn[2][TURNS];
  /// Both connect to each other, and there is no listener (RFC 9293, 3.5: simultaneous open).
  bool crossed;
  /// It closes as soon as all is said and heard, rather than at the end of the peer's stream.
  bool eager[2];
  /// Who ends it with whatever is still unread, after so many bytes; -1 for nobody.
  int aborter;
  uint32_t abort_after;
  bool aborted;
  bool begun, closed[2];
  /// The client's port.
  uint16_t port;
};

/// One end of it.
struct end {
  bool open, shut, ended, slow;
  uint32_t socket;
  int machine;
  /// NULL for one that was accepted and has not said yet which it is.
  struct talk *talk;
  uint32_t said, heard;
  uint8_t head[4];
  /// A slow reader's: bytes at a time, and how long it rests.
  uint32_t read_limit;
  uint64_t rest, wakes;
  uint64_t progress;
};

struct plan {
  uint32_t connections, together;
  bool lazy, aborts, crossed;
  struct talk talks[CONNECTIONS];
};

static struct skerry *machine[2];
static struct random dice;
static uint64_t now;
static struct plan plan;
static struct end ends[2][SOCKETS];
static uint32_t highest[2];
static uint32_t listener;
static FILE *capture;
static char reason[1024];
static jmp_buf failed;
static char console[2][4096];
static uint32_t events;

/// What all seeds together met, shared between the jobs.
struct met {
  uint64_t seeds, frames, bytes, connections, aborted, given_up;
  struct network_counts network;
  uint64_t tcp[TCP_COUNTERS];
};
static struct met *met;

void wrong(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  longjmp(failed, 1);
}

// ---- Machines ----------------------------------------------------------------------------------------

static const char *who(int m) { return m == CLIENT ? "client" : "server"; }

static void on_console(void *context, const char *text, uint32_t length) {
  char *into = context;
  size_t have = strlen(into);
  if (have + length >= sizeof console[0]) have = 0;
  if (length >= sizeof console[0]) return;
  memcpy(into + have, text, length);
  into[have + length] = 0;
}

static void start(int m, uint64_t seed) {
  char line[64];
  snprintf(line, sizeof line, "ip=10.0.0.%d/24 ip6=off", m + 1);
  console[m][0] = 0;
  struct skerry_config config = {
      .mac = {2, 0, 0, 0, 0, (uint8_t)(m + 1)},
      .checksum_offload = chance(&dice, 0.3),
      .ram = chance(&dice, 0.2) ? 16u << 20 : 24u << 20,
      .seed = mix(seed * 2 + (uint64_t)m + 1) | 1,
      .command_line = line,
      .console = on_console,
      .context = console[m],
  };
  machine[m] = skerry_start(&config);
  MUST(machine[m], "the %s does not start: %s", who(m), strerror(errno));
}

static int call(int m, uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3) {
  int result = skerry_syscall(machine[m], number, a0, a1, a2, a3, 0);
  const char *why = skerry_ended(machine[m]);
  MUST(!why, "the %s ended: %s\n%s", who(m), why, console[m]);
  return result;
}

static int must_call(const char *what, int m, uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2) {
  int result = call(m, number, a0, a1, a2, 0);
  MUST(result >= 0, "%s on the %s: errno %d", what, who(m), -result);
  return result;
}

/// Machine `whose`'s address and `port`, in `m`'s stretch.
static uint32_t address(int m, int whose, uint16_t port) {
  struct skerry_memory memory = skerry_memory(machine[m]);
  uint64_t words[3] = {0, 0xffff00000000 | 0x0a000000 | (uint64_t)(whose + 1), port};
  memcpy(memory.bytes, words, sizeof words);
  return memory.address;
}

/// What must be the same before and after: packets by owner, what TCP holds, and what the kernel does.
struct holdings { uint32_t packets[POOLS][6], gauges[TCP_GAUGES], resources[2]; };
static const char *const resources[] = {"armed timers", "extents of send queues"};

static struct holdings holdings(int m, struct tcp_stats *tcp) {
  struct holdings holdings;
  memset(&holdings, 0, sizeof holdings);
  struct skerry_memory memory = skerry_memory(machine[m]);
  uint32_t pools[POOLS][10];
  call(m, SYSCALL_STATISTICS, STATISTICS_POOLS, memory.address, sizeof pools, 0);
  memcpy(pools, memory.bytes, sizeof pools);
  for (int p = 0; p < POOLS; p++) memcpy(holdings.packets[p], pools[p] + 4, sizeof holdings.packets[p]);
  int length = call(m, SYSCALL_STATISTICS, STATISTICS_TCP, memory.address, sizeof *tcp, 0);
  MUST(length == sizeof *tcp, "the kernel's TcpStats have %d bytes, not %zu", length, sizeof *tcp);
  memcpy(tcp, memory.bytes, sizeof *tcp);
  memcpy(holdings.gauges, memory.bytes + TCP_COUNTERS * sizeof(uint64_t), sizeof holdings.gauges);
  length = call(m, SYSCALL_STATISTICS, STATISTICS_RESOURCES, memory.address, sizeof holdings.resources, 0);
  MUST(length == sizeof holdings.resources, "the kernel's resources have %d bytes", length);
  memcpy(holdings.resources, memory.bytes, sizeof holdings.resources);
  return holdings;
}

// ---- What is said ------------------------------------------------------------------------------------------

/// Bytes `from` to `from + length` of a stream. The first four of a client's are the connection's number.
static void content(const struct talk *talk, int side, uint32_t from, uint8_t *into, uint32_t length) {
  uint64_t key = talk->key + (uint64_t)side;
  for (uint32_t i = 0; i < length;) {
    uint32_t at = from + i;
    uint64_t word = mix(key + (uint64_t)(at >> 3) * 0x9e3779b97f4a7c15);
    if (!(at & 7) && length - i >= 8) {
      memcpy(into + i, &word, 8);
      i += 8;
    } else {
      into[i++] = (uint8_t)(word >> (at & 7) * 8);
    }
  }
  if (side == CLIENT)
    for (uint32_t at = from; at < 4 && at - from < length; at++)
      into[at - from] = (uint8_t)((uint32_t)(talk - plan.talks) >> (24 - 8 * at));
}

/// How much of its stream this end may have said by now.
static uint32_t allowance(const struct end *end) {
  const struct talk *talk = end->talk;
  uint32_t all = talk->total[end->machine];
  if (talk->mode == ANSWER && end->machine == SERVER) return end->ended ? all : 0;
  if (talk->mode != BY_TURNS) return all;
  uint32_t turn = 0;
  if (end->machine == CLIENT) {
    while (turn + 1 < talk->turns && talk->turn[SERVER][turn] <= end->heard) turn++;
    return talk->turn[CLIENT][turn];
  }
  while (turn < talk->turns && talk->turn[CLIENT][turn] <= end->heard) turn++;
  return turn ? talk->turn[SERVER][turn - 1] : 0;
}

static void close_end(struct end *end) {
  must_call("close", end->machine, SYSCALL_CLOSE, end->socket, 0, 0);
  end->open = false;
  end->wakes = NEVER;
  if (end->talk) end->talk->closed[end->machine] = true;
}

/// An operation failed: expected of an aborted connection, and of no other.
static void broken(struct end *end, const char *what, int result) {
  bool known = result == -ECONNRESET || result == -EPIPE || result == -ECONNREFUSED || result == -ETIMEDOUT ||
               result == -ECONNABORTED || result == -ENOTCONN;
  bool excused = end->talk ? end->talk->aborted : plan.aborts;
  MUST(known && excused, "%s on the %s, connection %td: errno %d", what, who(end->machine),
       end->talk ? end->talk - plan.talks : -1, -result);
  close_end(end);
}

static void set_option(struct end *end, uint32_t option, uint32_t value) {
  must_call("setsockopt", end->machine, SYSCALL_SET_OPTION, end->socket, option, value);
}

/// What its program wants of a new end.
static void dress(struct end *end) {
  if (chance(&dice, 0.3)) set_option(end, SOCKET_OPTION_NO_DELAY, 1);
  static const char *const controls[] = {"cubic", "reno", "bbr", "vegas"};
  const char *control = PICK(&dice, controls);
  struct skerry_memory memory = skerry_memory(machine[end->machine]);
  memcpy(memory.bytes, control, strlen(control));
  int result = call(end->machine, SYSCALL_SET_OPTION_DATA, end->socket, SOCKET_OPTION_CONGESTION, memory.address,
                    (uint32_t)strlen(control));
  MUST(!result, "no congestion control %s: errno %d", control, -result);
  if (chance(&dice, 0.2)) set_option(end, SOCKET_OPTION_SEND_BUFFER, (uint32_t)logarithmic(&dice, 1000, 200000));
  if (!plan.lazy) return;
  uint32_t room = (uint32_t)logarithmic(&dice, 1000, 60000);
  set_option(end, SOCKET_OPTION_RECEIVE_BUFFER, room);
  end->slow = true;
  end->read_limit = (uint32_t)logarithmic(&dice, 100, 50000);
  // Its buffer is empty again within seconds: an orphaned FIN-WAIT-2 waits no longer than a minute.
  uint64_t longest = 10 * SECOND / (room / end->read_limit + 1);
  end->rest = logarithmic(&dice, 100 * MICROSECOND, longest < 50 * MILLISECOND ? longest : 50 * MILLISECOND);
}

static struct end *open_end(int m, int socket, struct talk *talk) {
  uint32_t index = (uint32_t)socket & 0xfffff;
  MUST(index < SOCKETS, "socket number %d", socket);
  struct end *end = &ends[m][index];
  MUST(!end->open, "socket %d twice", socket);
  *end = (struct end){.open = true, .socket = (uint32_t)socket, .machine = m, .talk = talk, .wakes = NEVER, .progress = now};
  if (index >= highest[m]) highest[m] = index + 1;
  dress(end);
  return end;
}

static void hear(struct end *end) {
  static uint8_t expected[CHUNK];
  struct skerry_memory memory = skerry_memory(machine[end->machine]);
  if (end->slow && now < end->wakes && end->wakes != NEVER) return;
  while (end->open && !end->ended) {
    uint32_t most = end->slow ? end->read_limit : CHUNK;
    if (!end->talk) most = 4 - end->heard;
    if (most > CHUNK) most = CHUNK;
    int got = call(end->machine, SYSCALL_RECEIVE, end->socket, memory.address, most, 0);
    if (got == -EAGAIN) return;
    if (got < 0) return broken(end, "receive", got);
    end->progress = now;
    if (!got) {
      end->ended = true;
      if (!end->talk || end->heard != end->talk->total[1 - end->machine])
        broken(end, "the stream ended early", -ECONNRESET);
      return;
    }
    if (!end->talk) {
      memcpy(end->head + end->heard, memory.bytes, (size_t)got);
      if ((end->heard += (uint32_t)got) < 4) continue;
      uint32_t which = get32(end->head);
      MUST(which < plan.connections, "a stream begins with %08x", which);
      end->talk = &plan.talks[which];
      continue;
    }
    content(end->talk, 1 - end->machine, end->heard, expected, (uint32_t)got);
    MUST(!memcmp(expected, memory.bytes, (size_t)got), "connection %td: the %s hears other bytes within %d from %u",
         end->talk - plan.talks, who(end->machine), got, end->heard);
    end->heard += (uint32_t)got;
    if (end->slow) {
      end->wakes = now + end->rest;
      return;
    }
  }
}

static void say(struct end *end) {
  struct skerry_memory memory = skerry_memory(machine[end->machine]);
  for (uint32_t may; end->open && end->said < (may = allowance(end));) {
    uint32_t length = may - end->said < CHUNK ? may - end->said : CHUNK;
    content(end->talk, end->machine, end->said, memory.bytes, length);
    int taken = call(end->machine, SYSCALL_SEND, end->socket, memory.address, length, 0);
    if (taken == -EAGAIN) return;
    if (taken < 0) return broken(end, "send", taken);
    end->said += (uint32_t)taken;
    end->progress = now;
  }
}

/// Does what this end can do now.
static void serve(struct end *end) {
  hear(end);
  if (!end->open || !end->talk) return;
  struct talk *talk = end->talk;
  say(end);
  if (!end->open) return;
  if (talk->aborter == end->machine && end->said + end->heard >= talk->abort_after) {
    talk->aborted = true;
    close_end(end);
    return;
  }
  bool all_said = end->said == talk->total[end->machine], all_heard = end->heard == talk->total[1 - end->machine];
  if (talk->eager[end->machine]) {
    if (all_said && all_heard) close_end(end);
    return;
  }
  if (all_said && !end->shut) {
    // A connection that the other side reset is ENOTCONN by now.
    int result = call(end->machine, SYSCALL_SHUTDOWN, end->socket, SHUTDOWN_WRITE, 0, 0);
    if (result < 0) return broken(end, "shutdown", result);
    end->shut = true;
  }
  if (all_said && end->ended) close_end(end);
}

void given_up(uint16_t port) {
  for (uint32_t i = 0; i < plan.connections; i++) {
    struct talk *talk = &plan.talks[i];
    if (talk->port != port || (talk->closed[CLIENT] && talk->closed[SERVER])) continue;
    talk->aborted = true;
    met->given_up++;
  }
}

// ---- Who connects when ---------------------------------------------------------------------------------------

static uint16_t local_port(const struct end *end) {
  struct skerry_memory memory = skerry_memory(machine[end->machine]);
  must_call("getsockname", end->machine, SYSCALL_LOCAL_ADDRESS, end->socket, memory.address, 0);
  uint16_t port;
  memcpy(&port, memory.bytes + 16, sizeof port);
  return port;
}

static void begin(struct talk *talk) {
  talk->begun = true;
  uint16_t port = talk->crossed ? (uint16_t)(CROSSED_PORT + (talk - plan.talks)) : PORT;
  for (int m = CLIENT; m <= (talk->crossed ? SERVER : CLIENT); m++) {
    int socket = must_call("socket", m, SYSCALL_SOCKET, SOCKET_TYPE_STREAM, 0, 0);
    struct end *end = open_end(m, socket, talk);
    set_option(end, SOCKET_OPTION_ECN, (uint32_t)between(&dice, 0, 3));
    if (talk->crossed) must_call("bind", m, SYSCALL_BIND, end->socket, address(m, m, port), 0);
    int result = call(m, SYSCALL_CONNECT, end->socket, address(m, 1 - m, port), 0, 0);
    MUST(result == -EINPROGRESS, "connect: %d", result);
    if (m == CLIENT) talk->port = local_port(end);
  }
}

static void begin_some(void) {
  uint32_t going = 0;
  for (uint32_t i = 0; i < plan.connections; i++) going += plan.talks[i].begun && !plan.talks[i].closed[CLIENT];
  for (uint32_t i = 0; i < plan.connections && going < plan.together; i++)
    if (!plan.talks[i].begun) {
      begin(&plan.talks[i]);
      going++;
    }
}

static bool finished(void) {
  for (uint32_t i = 0; i < plan.connections; i++) {
    const struct talk *talk = &plan.talks[i];
    if (!talk->begun || !talk->closed[CLIENT] || (!talk->closed[SERVER] && !talk->aborted)) return false;
  }
  for (int m = 0; m < 2; m++)
    for (uint32_t i = 0; i < highest[m]; i++)
      if (ends[m][i].open) return false;
  return true;
}

/// Serves the sockets of a machine that have news. Whether there were any.
static bool attend(int m) {
  struct skerry_memory memory = skerry_memory(machine[m]);
  uint32_t ready[64][2];
  bool any = false;
  for (int count; (count = call(m, SYSCALL_POLL, memory.address, 64, 0, 0)) > 0;) {
    any = true;
    memcpy(ready, memory.bytes, (size_t)count * sizeof *ready);
    for (int i = 0; i < count; i++) {
      if (m == SERVER && ready[i][0] == listener) {
        for (int socket; (socket = call(m, SYSCALL_ACCEPT, listener, 0, 0, 0)) != -EAGAIN;) {
          MUST(socket > 0, "accept: %d", socket);
          open_end(m, socket, NULL);
        }
        continue;
      }
      struct end *end = &ends[m][ready[i][0] & 0xfffff];
      if (end->open && end->socket == ready[i][0]) serve(end);
    }
  }
  return any;
}

/// Serves slow readers that have rested, and closes what an abort has left half-open. When the next wakes.
static uint64_t wake(int m) {
  uint64_t next = NEVER;
  for (uint32_t i = 0; i < highest[m]; i++) {
    struct end *end = &ends[m][i];
    if (!end->open) continue;
    if (end->wakes <= now) {
      end->wakes = NEVER;
      serve(end);
    }
    if (end->open && (end->talk ? end->talk->aborted : plan.aborts)) {
      if (now >= end->progress + HALF_OPEN) {
        close_end(end);
        continue;
      }
      if (end->progress + HALF_OPEN < next) next = end->progress + HALF_OPEN;
    }
    if (end->open && end->wakes < next) next = end->wakes;
  }
  return next;
}

// ---- Time ------------------------------------------------------------------------------------------------------

static void capture_frame(const uint8_t *frame, uint32_t length) {
  if (!capture) return;
  uint32_t head[4] = {(uint32_t)(now / SECOND), (uint32_t)(now % SECOND), length, length};
  fwrite(head, sizeof head, 1, capture);
  fwrite(frame, length, 1, capture);
}

/// Carries what a machine sends to the network. Whether there was any.
static bool carry(int m) {
  struct skerry_frame frame;
  uint8_t bytes[FRAME_MOST];
  bool any = false;
  if (network_send_stall(m, now) > now) return false;
  while (skerry_take(machine[m], 0, &frame) == 1) {
    uint32_t length = 0;
    for (uint32_t i = 0; i < frame.runs; i++) {
      MUST(length + frame.run[i].length <= FRAME_MOST, "the %s sends a frame of more than %d bytes", who(m), FRAME_MOST);
      memcpy(bytes + length, frame.run[i].bytes, frame.run[i].length);
      length += frame.run[i].length;
    }
    if (frame.flags & SKERRY_CHECKSUM) {
      uint32_t total = ETHERNET_HEADER + get16(bytes + 16);
      MUST(frame.checksum_field + 2u <= total && total <= length, "a checksum field outside the frame");
      uint16_t sum = wire_fold(wire_sum(bytes + frame.checksum_start, total - frame.checksum_start, 0));
      put16(bytes + frame.checksum_field, (uint16_t)~sum);
    }
    capture_frame(bytes, length);
    checker_sent(m, bytes, length, now);
    network_send(m, bytes, length, now);
    any = true;
  }
  return any;
}

/// Descriptors of a card's receive ring: fewer than the library's own 256, so that a stall fills it.
enum { RING = 64 };

static void deliver(void) {
  uint8_t bytes[FRAME_MOST];
  int to;
  bool intact;
  uint32_t filled[2] = {0, 0};
  for (uint32_t length; (length = network_take(now, &to, bytes, &intact));) {
    struct skerry_frame frame = {.runs = 1, .run = {{bytes, length}}};
    if (filled[to]++ >= RING) {
      network_counts()->ring_full++;
      continue;
    }
    int result = skerry_inject(machine[to], 0, &frame);
    MUST(!result, "inject: %d", result);
    network_counts()->delivered++;
    if (intact) checker_delivered(to, bytes, length, now);
  }
}

/// All that happens at this moment, and then the clocks move to the next one.
static void round_of_all(void) {
  uint64_t next = NEVER;
  for (uint32_t rounds = 0;; rounds++) {
    bool busy = false;
    next = NEVER;
    for (int m = 0; m < 2; m++) {
      uint64_t deadline = skerry_step(machine[m]);
      const char *why = skerry_ended(machine[m]);
      MUST(!why, "the %s ended: %s\n%s", who(m), why, console[m]);
      uint64_t woken = wake(m);
      if (deadline <= now || attend(m) | carry(m)) busy = true;
      uint64_t stalled = network_send_stall(m, now);
      if (stalled > now && stalled < next) next = stalled;
      if (deadline < next) next = deadline;
      if (woken < next) next = woken;
    }
    if (!busy) break;
    MUST(rounds < 100000, "a machine is busy for ever at %llu ns", (unsigned long long)now);
  }
  if (network_next() < next) next = network_next();
  MUST(next != NEVER, "nothing will ever happen again");
  MUST(++events < 30000000, "an endless exchange of frames");
  uint64_t pause = next > now ? next - now : 0;
  now += pause;
  for (int m = 0; m < 2; m++) MUST(!skerry_advance(machine[m], pause), "advance");
  deliver();
}

// ---- Plans -------------------------------------------------------------------------------------------------------

static struct conditions trouble(void) {
  struct conditions c = {.delay = 5 * MICROSECOND, .rate = 1000000000, .queue = 1 << 20};
  int kinds = chance(&dice, 0.35) ? 2 : 1;
  while (kinds--) switch (draw(&dice) % 13) {
      case 0: break;
      case 1: c.loss = PICK(&dice, ((double[]){0.001, 0.01, 0.05, 0.1})); break;
      case 2:
        c.reorder = PICK(&dice, ((double[]){0.01, 0.1, 0.3}));
        c.reorder_delay = logarithmic(&dice, 10 * MICROSECOND, 5 * MILLISECOND);
        break;
      case 3: c.duplicate = PICK(&dice, ((double[]){0.01, 0.1, 0.5})); break;
      case 4:
        c.corrupt = PICK(&dice, ((double[]){0.001, 0.01, 0.05}));
        c.truncate = PICK(&dice, ((double[]){0, 0.01}));
        break;
      case 5:
        c.delay = logarithmic(&dice, 10 * MICROSECOND, 200 * MILLISECOND);
        c.jitter = logarithmic(&dice, 10 * MICROSECOND, 20 * MILLISECOND);
        break;
      case 6:
        c.rate = PICK(&dice, ((uint64_t[]){1000000, 10000000, 100000000}));
        c.queue = PICK(&dice, ((uint64_t[]){4500, 15000, 60000}));
        c.delay = logarithmic(&dice, MICROSECOND, 20 * MILLISECOND);
        break;
      case 7:
        c.burst = PICK(&dice, ((double[]){0.0005, 0.005, 0.02}));
        c.burst_length = logarithmic(&dice, 10 * MICROSECOND, 300 * MILLISECOND);
        break;
      case 8:
        c.receive_stall = PICK(&dice, ((double[]){0.001, 0.01}));
        c.stall = logarithmic(&dice, 100 * MICROSECOND, 50 * MILLISECOND);
        break;
      case 9:
        c.send_stall = PICK(&dice, ((double[]){0.001, 0.01}));
        c.stall = logarithmic(&dice, 100 * MICROSECOND, 50 * MILLISECOND);
        break;
      case 10:
        c.no_sack = chance(&dice, 0.5);
        c.no_timestamps = chance(&dice, 0.5);
        c.no_scale = chance(&dice, 0.5);
        c.mss = PICK(&dice, ((uint16_t[]){0, 0, 1400, 536, 300}));
        break;
      case 11:
        // A long way, so that many segments are on it.
        c.delay = logarithmic(&dice, MILLISECOND, 50 * MILLISECOND);
        c.comb = PICK(&dice, ((double[]){0.001, 0.01}));
        c.comb_time = 200 * MILLISECOND;
        c.mss = PICK(&dice, ((uint16_t[]){0, 536, 300}));
        break;
      default: c.mark = PICK(&dice, ((double[]){0.01, 0.1})); break;
    }
  return c;
}

static void make_plan(uint64_t seed) {
  memset(&plan, 0, sizeof plan);
  uint32_t bulk = (uint32_t)logarithmic(&dice, 30000, 1000000), shape = (uint32_t)(draw(&dice) % 9);
  static const uint32_t connections[] = {1, 1, 1, 4, 40, 8, 4, 6, 12}, together[] = {1, 1, 1, 4, 8, 1, 4, 6, 6};
  plan.connections = connections[shape];
  plan.together = together[shape];
  plan.lazy = chance(&dice, 0.25);
  plan.aborts = chance(&dice, 0.1);
  plan.crossed = chance(&dice, 0.05);
  // Who takes its time over a megabit a second takes it for all.
  if (plan.lazy && bulk > 300000) bulk = 300000;
  for (uint32_t i = 0; i < plan.connections; i++) {
    struct talk *talk = &plan.talks[i];
    uint32_t kind = shape;
    if (shape == 8) kind = (uint32_t)(draw(&dice) % 8); // a mixture
    talk->key = mix(seed + 0x1000003 * (uint64_t)(i + 1));
    talk->aborter = -1;
    talk->crossed = plan.crossed;
    switch (kind) {
      case 0: talk->total[CLIENT] = bulk; break;
      case 1: talk->total[SERVER] = bulk; break;
      case 2: talk->total[CLIENT] = talk->total[SERVER] = bulk; break;
      case 3: talk->total[CLIENT] = talk->total[SERVER] = bulk / 4; break;
      case 4:
      case 5:
        talk->total[CLIENT] = (uint32_t)logarithmic(&dice, 1, 5000);
        talk->total[SERVER] = kind == 5 ? bulk / 8 : (uint32_t)logarithmic(&dice, 1, 5000);
        break;
      case 6:
        talk->mode = ANSWER;
        talk->total[CLIENT] = (uint32_t)logarithmic(&dice, 1, 50000);
        talk->total[SERVER] = bulk / 4;
        break;
      default:
        talk->mode = BY_TURNS;
        talk->turns = (uint32_t)between(&dice, 2, TURNS);
        for (uint32_t t = 0; t < talk->turns; t++)
          for (int m = 0; m < 2; m++) {
            talk->total[m] += (uint32_t)logarithmic(&dice, m == CLIENT && !t ? 4 : 1, 4000);
            talk->turn[m][t] = talk->total[m];
          }
    }
    if (talk->mode != BY_TURNS) talk->total[CLIENT] += 4; // its number
    for (int m = 0; m < 2; m++) talk->eager[m] = talk->mode != ANSWER && chance(&dice, 0.25);
    if (plan.aborts && chance(&dice, 0.5)) {
      talk->aborter = (int)between(&dice, 0, 1);
      talk->abort_after = (uint32_t)between(&dice, 0, talk->total[0] + talk->total[1]);
      if (talk->mode == BY_TURNS) talk->abort_after /= 2;
    }
  }
}

/// Runs a seed to its end and returns the fingerprint of all its frames.
static uint64_t run(uint64_t seed) {
  dice.state = mix(seed);
  now = 0;
  events = 0;
  memset(ends, 0, sizeof ends);
  highest[0] = highest[1] = 0;
  network_reset(&dice);
  start(CLIENT, seed);
  start(SERVER, seed);
  make_plan(seed);
  checker_reset(plan.aborts, true);
  while (now < 3 * SECOND) round_of_all();

  struct tcp_stats tcp[2];
  struct holdings before[2] = {holdings(CLIENT, &tcp[0]), holdings(SERVER, &tcp[1])};
  bool stalls = false;
  for (int m = 0; m < 2; m++) {
    if (m == 0 || chance(&dice, 0.5)) *network_conditions(m) = trouble();
    else *network_conditions(m) = *network_conditions(0);
    // A middlebox stands in both directions' way.
    struct conditions *c = network_conditions(m);
    const struct conditions *first = network_conditions(0);
    c->no_sack = first->no_sack, c->no_timestamps = first->no_timestamps, c->no_scale = first->no_scale;
    stalls |= network_conditions(m)->send_stall > 0 || network_conditions(m)->receive_stall > 0;
  }
  checker_reset(plan.aborts, stalls);
  listener = (uint32_t)must_call("socket", SERVER, SYSCALL_SOCKET, SOCKET_TYPE_STREAM, 0, 0);
  must_call("bind", SERVER, SYSCALL_BIND, listener, address(SERVER, SERVER, PORT), 0);
  must_call("setsockopt", SERVER, SYSCALL_SET_OPTION, listener, SOCKET_OPTION_ECN, (uint32_t)between(&dice, 0, 3));
  must_call("listen", SERVER, SYSCALL_LISTEN, listener, 64, 0);

  uint64_t deadline = now + PATIENCE;
  while (begin_some(), !finished()) {
    if (now >= deadline) {
      char text[600] = "";
      int n = 0;
      for (int m = 0; m < 2; m++)
        for (uint32_t i = 0; i < highest[m]; i++) {
          const struct end *end = &ends[m][i];
          if (!end->open || n > 400) continue;
          n += snprintf(text + n, sizeof text - (size_t)n, "; %s %td said %u of %u, heard %u of %u", who(m),
                        end->talk ? end->talk - plan.talks : -1, end->said, end->talk ? end->talk->total[m] : 0,
                        end->heard, end->talk ? end->talk->total[1 - m] : 0);
        }
      wrong("stuck%s", text);
    }
    round_of_all();
  }
  must_call("close", SERVER, SYSCALL_CLOSE, listener, 0, 0);

  // Cards work again, and what is still on its way is settled; then everything is back where it was.
  for (int m = 0; m < 2; m++) network_conditions(m)->send_stall = network_conditions(m)->receive_stall = 0;
  for (deadline = now + PATIENCE;; round_of_all()) {
    bool quiet = true;
    for (int m = 0; m < 2; m++) {
      struct holdings after = holdings(m, &tcp[m]);
      if (memcmp(&after, &before[m], sizeof after)) quiet = false;
      if (now < deadline) continue;
      for (int p = 0; p < POOLS; p++)
        for (int o = 0; o < 6; o++)
          MUST(after.packets[p][o] == before[m].packets[p][o], "the %s's packets of pool %d with owner %d: %u before, %u after",
               who(m), p, o, before[m].packets[p][o], after.packets[p][o]);
      for (int g = 0; g < TCP_GAUGES; g++)
        MUST(after.gauges[g] == before[m].gauges[g], "left on the %s: %u of %s, %u before", who(m), after.gauges[g],
             tcp_gauge_names[g], before[m].gauges[g]);
      for (int r = 0; r < 2; r++)
        MUST(after.resources[r] == before[m].resources[r], "left on the %s: %u %s, %u before", who(m),
             after.resources[r], resources[r], before[m].resources[r]);
    }
    if (quiet) break;
  }

  const struct network_counts *n = network_counts();
  met->frames += n->sent;
  for (size_t i = 0; i < sizeof *n / sizeof(uint64_t); i++) ((uint64_t *)&met->network)[i] += ((const uint64_t *)n)[i];
  for (int m = 0; m < 2; m++)
    for (int i = 0; i < TCP_COUNTERS; i++) {
      uint64_t counted;
      memcpy(&counted, (const char *)&tcp[m] + (size_t)i * sizeof counted, sizeof counted);
      met->tcp[i] += counted;
    }
  for (uint32_t i = 0; i < plan.connections; i++) {
    met->connections++;
    met->aborted += plan.talks[i].aborted;
    met->bytes += plan.talks[i].total[0] + plan.talks[i].total[1];
  }
  return checker_trace();
}

static void stop(void) {
  for (int m = 0; m < 2; m++) {
    skerry_stop(machine[m]);
    machine[m] = NULL;
  }
}

/// Runs a seed; false if it failed, with `reason`.
static bool try_seed(uint64_t seed, uint64_t *trace) {
  bool passed = !setjmp(failed);
  if (passed) *trace = run(seed);
  stop();
  return passed;
}

static bool open_capture(const char *path) {
  capture = fopen(path, "wb");
  if (!capture) return false;
  // A pcap file with nanoseconds, of Ethernet frames.
  static const uint32_t head[6] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, 65535, 1};
  fwrite(head, sizeof head, 1, capture);
  return true;
}

// ---- The command ---------------------------------------------------------------------------------------------------

static uint64_t first = 1, seeds = 2000, jobs = 2, twice = 40;
static const char *pcap, *folder;

/// Says what failed, and keeps the seed's frames.
static void report(uint64_t seed, const char *program) {
  char path[512], what[sizeof reason];
  memcpy(what, reason, sizeof what);
  uint64_t trace;
  snprintf(path, sizeof path, "%s/seed-%llu.pcap", folder ? folder : ".", (unsigned long long)seed);
  bool kept = !pcap && open_capture(path);
  if (kept) {
    try_seed(seed, &trace);
    fclose(capture);
    capture = NULL;
  }
  printf("seed %llu FAILED after %.3f s: %s\n  again: %s --first %llu --seeds 1%s%s\n", (unsigned long long)seed,
         (double)now / 1e9, what, program, (unsigned long long)seed, kept ? "; its frames: " : "", kept ? path : "");
  fflush(stdout);
}

static int work(uint64_t job, const char *program) {
  int failures = 0;
  for (uint64_t i = job; i < seeds; i += jobs) {
    uint64_t seed = first + i, trace, again;
    bool passed = try_seed(seed, &trace);
    if (passed && i < twice) {
      passed = try_seed(seed, &again);
      if (passed && trace != again) {
        snprintf(reason, sizeof reason, "the same seed gave other frames");
        passed = false;
      }
    }
    if (passed) {
      met->seeds++;
      continue;
    }
    report(seed, program);
    if (++failures == 5) break;
  }
  return failures;
}

int main(int count, char **words) {
  static const struct option options[] = {{"first", 1, 0, 'f'}, {"seeds", 1, 0, 's'}, {"jobs", 1, 0, 'j'},
                                          {"twice", 1, 0, 't'}, {"pcap", 1, 0, 'p'},  {"folder", 1, 0, 'd'}, {0}};
  for (int option; (option = getopt_long(count, words, "", options, NULL)) >= 0;) {
    switch (option) {
      case 'f': first = strtoull(optarg, NULL, 0); break;
      case 's': seeds = strtoull(optarg, NULL, 0); break;
      case 'j': jobs = strtoull(optarg, NULL, 0); break;
      case 't': twice = strtoull(optarg, NULL, 0); break;
      case 'p': pcap = optarg; break;
      case 'd': folder = optarg; break;
      default:
        fprintf(stderr, "Usage: %s [--first N] [--seeds N] [--jobs N] [--twice N] [--pcap FILE] [--folder PATH]\n", *words);
        return 2;
    }
  }
  if (!jobs || !seeds || (pcap && (seeds > 1 || !open_capture(pcap)))) {
    fprintf(stderr, "%s: jobs and seeds are 1 at least, and a capture is of one seed\n", *words);
    return 2;
  }
  if (pcap) twice = 0, jobs = 1;
  met = mmap(NULL, jobs * sizeof *met, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct met *all = met;
  struct timespec begun, ended;
  clock_gettime(CLOCK_MONOTONIC, &begun);
  int failures = 0;
  fflush(stdout);
  for (uint64_t job = 0; job < jobs; job++) {
    met = all + job;
    if (jobs == 1) failures = work(0, *words);
    else if (!fork()) _exit(work(job, *words));
  }
  for (int status; wait(&status) > 0;) failures += WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  if (capture) fclose(capture);
  for (uint64_t job = 1; job < jobs; job++)
    for (size_t i = 0; i < sizeof *all / sizeof(uint64_t); i++) ((uint64_t *)all)[i] += ((uint64_t *)(all + job))[i];
  clock_gettime(CLOCK_MONOTONIC, &ended);
  printf("%llu seeds, %llu frames, %llu connections (%llu aborted, %llu given up), %llu bytes in %.1f s\n",
         (unsigned long long)all->seeds, (unsigned long long)all->frames, (unsigned long long)all->connections,
         (unsigned long long)all->aborted, (unsigned long long)all->given_up, (unsigned long long)all->bytes,
         (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9);
  const struct network_counts *n = &all->network;
  printf("network: lost %llu, overflowed %llu, duplicated %llu, corrupted %llu, ring full %llu, marked %llu\n",
         (unsigned long long)n->lost, (unsigned long long)n->overflowed, (unsigned long long)n->duplicated,
         (unsigned long long)n->corrupted, (unsigned long long)n->ring_full, (unsigned long long)n->marked);
  printf("tcp:");
  for (int i = 0; i < TCP_COUNTERS; i++)
    printf(" %s=%llu", tcp_counter_names[i], (unsigned long long)all->tcp[i]);
  printf("\n%d failed\n", failures);
  return failures != 0;
}
