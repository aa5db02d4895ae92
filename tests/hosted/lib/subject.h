// The two stacks that are compared, behind one interface: this machine's Linux, in a network namespace of its
// own behind a TAP, and Skerry out of libskerry.so. Each has the address 10.0.0.2; the program is its network.
#pragma once

#include <skerry.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire.h"
#include "contract.h"

#define MILLISECOND 1000000ull
#define SECOND 1000000000ull
#define SUBJECT_ADDRESS 0x0a000002u

struct subject {
  const char *name;
  uint8_t mac[6];
  uint32_t address;
  /// Linux: the TAP, and the namespace that its sockets are made in.
  int tap, space;
  /// Skerry.
  struct skerry *machine;
};

/// Says what cannot be done, and ends with status 77 if it is not permitted here, else 1.
_Noreturn void fail(const char *what);

/// `real`: time is the process's; otherwise `subject_wait` moves it.
void subject_linux(struct subject *s, uint32_t address);
void subject_skerry(struct subject *s, uint32_t address, bool real);

void subject_inject(struct subject *s, const uint8_t *frame, uint32_t length);
/// The next frame that it sends, 0 for none now.
uint32_t subject_take(struct subject *s, uint8_t frame[FRAME_MOST]);
/// When Skerry wants its next step, ns of its time; NEVER for Linux, which needs none.
uint64_t subject_step(struct subject *s);

// Sockets: numbers of 0 and more, or -errno with Linux's numbers.
int subject_socket(struct subject *s);
int subject_listen(struct subject *s, int socket, uint16_t port);
int subject_accept(struct subject *s, int socket, uint16_t *peer_port);
int subject_connect(struct subject *s, int socket, uint32_t to, uint16_t port);
int subject_send(struct subject *s, int socket, const void *bytes, uint32_t length);
int subject_receive(struct subject *s, int socket, void *bytes, uint32_t length);
int subject_shutdown(struct subject *s, int socket);
/// With `reset`, what has not been sent is thrown away (SO_LINGER, 0 s).
int subject_close(struct subject *s, int socket, bool reset);
/// Bytes that it may hold unread.
int subject_receive_buffer(struct subject *s, int socket, uint32_t bytes);
