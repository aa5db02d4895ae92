// The same scripts of segments and system calls for Linux and for Skerry, and what each said to them.
//
//     linux SCRIPTS    prints a line a step: script, step, what was done, Linux's reaction, Skerry's
//
// All scripts run side by side, each from a port of its own, a step of all at a time: Linux's time is real. A
// reaction is what a peer can tell: resets, SYNs, how far new data and its FIN go, the last acknowledgment and
// whether the window is shut, and what the system call returned. Retransmissions are left out, as their
// moments are each stack's own; so is the number of equal acknowledgments.
//
// A script is a line "name: step; step; …". Numbers count from each side's SYN, which is 0.
//     > FLAGS SEQ[:LENGTH] ACK [win N] [mss N] [ws N] [sackok] [ts N]    a segment; ACK "." is all there is
//     open                      a handshake with the listener
//     connect | accept | send N | recv | shut | close | abort | small | wait MS

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/subject.h"

enum { SCRIPTS = 128, STEPS = 24, TEXT = 96, LISTENER = 80, FIRST_PORT = 20000, ISS = 1000000 };
#define TICK (250 * MILLISECOND)
#define PEER 0x0a000001u
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 1};

struct script {
  char name[TEXT];
  uint32_t steps;
  char step[STEPS][TEXT];
  char reaction[2][STEPS][TEXT];
};

/// Where a script stands with one subject.
struct state {
  int socket;
  uint16_t port;
  bool spoken;
  uint32_t iss, sent;
  /// What it has said in this step.
  bool answered, reset, synced, zero, finished;
  uint32_t ack, reset_seq, reset_ack, reset_flags;
  bool data;
  /// What the call returned.
  char called[32];
};

static struct script scripts[SCRIPTS];
static uint32_t count;

// ---- Scripts -----------------------------------------------------------------------------------------

static void add(struct script *script, const char *step) {
  while (*step == ' ') step++;
  if (!*step) return;
  if (script->steps == STEPS || strlen(step) >= TEXT) {
    fprintf(stderr, "%s: too many steps, or one too long\n", script->name);
    exit(2);
  }
  strcpy(script->step[script->steps++], step);
}

static void load(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) fail(path);
  char line[2048];
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    if (!*line || *line == '#') continue;
    char *steps = strchr(line, ':');
    if (!steps || count == SCRIPTS) {
      fprintf(stderr, "%s: what is \"%s\"?\n", path, line);
      exit(2);
    }
    *steps++ = 0;
    if (strlen(line) >= TEXT) fail(line);
    struct script *script = &scripts[count++];
    memcpy(script->name, line, strlen(line));
    for (char *step = strtok(steps, ";"); step; step = strtok(NULL, ";")) {
      if (strcmp(step + strspn(step, " "), "open")) {
        add(script, step);
        continue;
      }
      add(script, "> S 0 0 mss 1460");
      add(script, "> A 1 1");
      add(script, "accept");
    }
  }
  fclose(file);
}

static uint32_t flags_of(const char *text) {
  static const char names[] = "FSRPAUEW";
  uint32_t flags = 0;
  for (; *text; text++) {
    const char *at = strchr(names, *text);
    if (at) flags |= 1u << (at - names);
  }
  return flags;
}

static void send_step(struct subject *s, struct state *state, uint16_t port, const char *step) {
  static uint8_t payload[FRAME_MOST];
  uint8_t frame[FRAME_MOST], options[40];
  char text[TEXT];
  snprintf(text, sizeof text, "%s", step + 1);
  char *flags = strtok(text, " "), *seq = strtok(NULL, " "), *ack = strtok(NULL, " ");
  struct segment segment = {.source = PEER, .destination = s->address, .source_port = port,
                            .destination_port = state->port, .window = 65535, .payload = payload};
  if (!flags || !seq || !ack) fail(step);
  segment.flags = flags_of(flags);
  segment.seq = ISS + (uint32_t)strtol(seq, &seq, 10);
  if (*seq == ':') segment.length = (uint32_t)strtoul(seq + 1, NULL, 10);
  segment.ack = *ack == '.' ? state->sent : state->iss + (uint32_t)strtol(ack, NULL, 10);
  uint32_t n = 0;
  for (char *word = strtok(NULL, " "); word; word = strtok(NULL, " ")) {
    uint32_t value = 0;
    if (strcmp(word, "sackok")) value = (uint32_t)strtoul(strtok(NULL, " "), NULL, 10);
    if (!strcmp(word, "win")) segment.window = (uint16_t)value;
    if (!strcmp(word, "mss")) options[n] = OPTION_MSS, options[n + 1] = 4, put16(options + n + 2, value), n += 4;
    if (!strcmp(word, "ws")) options[n] = 1, options[n + 1] = OPTION_SCALE, options[n + 2] = 3, options[n + 3] = (uint8_t)value, n += 4;
    if (!strcmp(word, "sackok")) options[n] = options[n + 1] = 1, options[n + 2] = OPTION_SACK_PERMITTED, options[n + 3] = 2, n += 4;
    if (!strcmp(word, "ts")) {
      options[n] = options[n + 1] = 1, options[n + 2] = OPTION_TIMESTAMPS, options[n + 3] = 10;
      put32(options + n + 4, value), put32(options + n + 8, 0), n += 12;
    }
  }
  segment.options_length = n;
  subject_inject(s, frame, wire_frame(frame, s->mac, peer_mac, &segment, options));
}

static void note(struct state *state, const char *what, int result) {
  if (result < 0) snprintf(state->called, sizeof state->called, "%s: %s", what, strerrorname_np(-result));
  else snprintf(state->called, sizeof state->called, "%s: %d", what, result);
}

static int accepted[65536];

static void do_step(struct subject *s, int listener, struct state *state, uint16_t port, const char *step) {
  static uint8_t bytes[65536];
  uint32_t length = 0;
  if (*step == '>') {
    send_step(s, state, port, step);
  } else if (!strcmp(step, "connect")) {
    state->socket = subject_socket(s);
    note(state, "connect", subject_connect(s, state->socket, PEER, port));
  } else if (!strcmp(step, "accept")) {
    uint16_t from;
    for (int made; (made = subject_accept(s, listener, &from)) >= 0;) accepted[from] = made;
    state->socket = accepted[port];
    note(state, "accept", state->socket ? 1 : -EAGAIN);
  } else if (sscanf(step, "send %u", &length) == 1) {
    note(state, "send", subject_send(s, state->socket, bytes, length));
  } else if (!strcmp(step, "recv")) {
    note(state, "recv", subject_receive(s, state->socket, bytes, sizeof bytes));
  } else if (!strcmp(step, "shut")) {
    note(state, "shutdown", subject_shutdown(s, state->socket));
  } else if (!strcmp(step, "close") || !strcmp(step, "abort")) {
    note(state, "close", subject_close(s, state->socket, *step == 'a'));
    state->socket = 0;
  } else if (!strcmp(step, "small")) {
    note(state, "setsockopt", subject_receive_buffer(s, state->socket, 2048));
  } else if (strncmp(step, "wait ", 5)) {
    fprintf(stderr, "no such step: %s\n", step);
    exit(2);
  }
}

// ---- What it says --------------------------------------------------------------------------------------

static void hear(struct subject *s, struct state *states, const uint8_t *frame, uint32_t length) {
  struct segment segment;
  const char *complaint;
  if (length >= 42 && get16(frame + 12) == ETHERTYPE_ARP && get16(frame + 20) == 1 && get32(frame + 38) == PEER) {
    uint8_t reply[60];
    wire_arp(reply, s->mac, 2, peer_mac, PEER, s->mac, s->address);
    subject_inject(s, reply, sizeof reply);
    return;
  }
  if (wire_parse(frame, length, &segment, &complaint) != KIND_TCP) return;
  uint32_t which = segment.destination_port - (uint32_t)FIRST_PORT;
  if (which >= count) return;
  struct state *state = &states[which];
  if (segment.flags & RST) {
    state->reset = true;
    state->reset_flags = segment.flags;
    state->reset_seq = segment.seq - state->iss;
    state->reset_ack = segment.ack - ISS;
    return;
  }
  if (segment.flags & SYN) {
    if (state->spoken && state->iss == segment.seq && !(segment.flags & ACK)) return;
    state->synced = true;
    state->port = segment.source_port;
    state->spoken = true;
    state->iss = segment.seq;
    state->sent = segment.seq + 1;
  }
  uint32_t fin = (segment.flags & FIN) != 0, end = segment.seq + segment.length + fin;
  bool fresh = after(end, state->sent), old = (segment.length || fin) && !fresh;
  if (old) return; // sent again, or a probe
  if (fresh) {
    state->data |= segment.length != 0;
    state->finished |= fin;
    state->sent = end;
  }
  state->answered = true;
  state->ack = segment.flags & ACK ? segment.ack - ISS : 0;
  state->zero = !segment.window;
}

static void write_down(struct state *state, char *text) {
  int n = 0;
#define PUT(...) n += snprintf(text + n, TEXT - (size_t)n, __VA_ARGS__)
  if (*state->called) PUT("%s ", state->called);
  if (state->synced) PUT("SYN ");
  if (state->data || state->finished) PUT("%s to %u ", state->finished ? "FIN" : "data", state->sent - state->iss - state->finished);
  if (state->answered) PUT("ack %u%s ", state->ack, state->zero ? " shut" : "");
  if (state->reset) PUT("RST seq %u ", state->reset_seq);
  if (state->reset && state->reset_flags & ACK) PUT("ack %u ", state->reset_ack);
  if (!n) PUT("silence ");
  text[n - 1] = 0;
#undef PUT
  state->answered = state->reset = state->synced = state->zero = state->finished = state->data = false;
  *state->called = 0;
}

// ---- Time ----------------------------------------------------------------------------------------------

static void wait_for(struct subject *s, struct state *states, uint64_t ns) {
  uint8_t frame[FRAME_MOST];
  if (!s->machine) {
    for (uint64_t passed = 0; passed < ns; passed += MILLISECOND) {
      struct timespec pause = {.tv_nsec = MILLISECOND};
      nanosleep(&pause, NULL);
      for (uint32_t length; (length = subject_take(s, frame));) hear(s, states, frame, length);
    }
    return;
  }
  uint64_t end = skerry_now(s->machine) + ns;
  for (;;) {
    uint64_t deadline = subject_step(s), now = skerry_now(s->machine);
    bool any = false;
    for (uint32_t length; (length = subject_take(s, frame)); any = true) hear(s, states, frame, length);
    if (any || deadline <= now) continue;
    if (now >= end) return;
    skerry_advance(s->machine, (deadline < end ? deadline : end) - now);
  }
}

static void run(struct subject *s, int side) {
  static struct state states[SCRIPTS];
  memset(states, 0, sizeof states);
  memset(accepted, 0, sizeof accepted);
  for (uint32_t i = 0; i < count; i++) states[i].port = LISTENER;
  wait_for(s, states, 3 * SECOND);
  // A hundred SYNs at once are not to wait for the peer's address.
  uint8_t introduction[60];
  wire_arp(introduction, s->mac, 1, peer_mac, PEER, s->mac, s->address);
  subject_inject(s, introduction, sizeof introduction);
  wait_for(s, states, TICK);
  int listener = subject_socket(s);
  if (listener < 0 || subject_listen(s, listener, LISTENER) < 0) fail("listen");
  uint64_t until[SCRIPTS] = {0}, now = 0;
  uint32_t at[SCRIPTS] = {0};
  // A step that waits holds its script back, and the others go on.
  for (bool going = true; going; now += TICK) {
    going = false;
    bool done[SCRIPTS] = {0};
    for (uint32_t i = 0; i < count; i++) {
      if (at[i] == scripts[i].steps) continue;
      going = true;
      const char *step = scripts[i].step[at[i]];
      if (!until[i]) {
        unsigned ms = 0;
        do_step(s, listener, &states[i], (uint16_t)(FIRST_PORT + i), step);
        until[i] = now + (sscanf(step, "wait %u", &ms) == 1 && ms > TICK / MILLISECOND ? ms * MILLISECOND : TICK);
      }
      done[i] = until[i] <= now + TICK;
    }
    if (!going) break;
    wait_for(s, states, TICK);
    for (uint32_t i = 0; i < count; i++) {
      if (!done[i]) continue;
      write_down(&states[i], scripts[i].reaction[side][at[i]++]);
      until[i] = 0;
    }
  }
}

int main(int words, char **word) {
  if (words != 2) {
    fprintf(stderr, "Usage: %s SCRIPTS\n", *word);
    return 2;
  }
  load(word[1]);
  struct subject subjects[2];
  subject_linux(&subjects[0], SUBJECT_ADDRESS);
  subject_skerry(&subjects[1], SUBJECT_ADDRESS, false);
  for (int side = 0; side < 2; side++) run(&subjects[side], side);
  for (uint32_t i = 0; i < count; i++)
    for (uint32_t j = 0; j < scripts[i].steps; j++)
      printf("%s\t%u\t%s\t%s\t%s\n", scripts[i].name, j + 1, scripts[i].step[j], scripts[i].reaction[0][j],
             scripts[i].reaction[1][j]);
  return 0;
}
