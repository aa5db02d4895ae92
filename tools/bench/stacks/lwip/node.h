// One lwIP stack, as a shared object that can be loaded twice: lwIP keeps its state in globals.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pbuf;

/// What a workload makes a stack do.
enum role { SINK, SOURCE, COPYING_SINK, COPYING_SOURCE, ECHO, ASK, ACCEPT, RECEIVE };

struct node {
  /// Brings the stack up as 10.0.0.`station` + 1. Frames go to `deliver`, whose parameter lives only
  /// during the call.
  void (*open)(int station, bool checksums, void (*deliver)(struct pbuf *frame));
  /// Takes a copy of a frame of the other stack; it is dealt with by `turn`.
  void (*inject)(struct pbuf *frame);
  /// Deals with what was injected; whether there was anything.
  bool (*turn)(void);
  /// Looks after timers; the clock stands at `ms`.
  void (*tick)(uint32_t ms);
  /// Takes the other end's part: listens or binds.
  void (*serve)(enum role role);
  /// Makes a connection to it, one more, or a datagram socket.
  void (*begin)(enum role role);
  /// Ends the connections that `begin` made: reset, or closed in order.
  void (*abort)(void);
  void (*close)(void);
  /// Sends datagrams.
  void (*datagrams)(void);
  /// Bytes, answers, connections or datagrams that have come so far.
  uint64_t *count;
};

extern const struct node lwip_node;
