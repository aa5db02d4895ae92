// What the library keeps of one machine. It lies below the machine's own memory.
#pragma once

#include "host.h"
#include "skerry.h"

/// Longest headers of a frame that the link cuts: Ethernet, IPv6 without extensions, TCP with all its options.
#define LINK_HEADERS_MOST (14 + 40 + 60)

/// A memory link (drivers/memory-link.ts has the data sheet). Counts run on for ever.
struct link {
  /// What the driver wrote: the shared area (0 without), descriptors filled, and INTERRUPT.
  u32 area, receive_filled, transmit_filled, interrupt;
  /// The line was raised since CAUSE was read.
  bool cause;
  /// Descriptors used and done with; behind the frame taken last, which is done with next.
  u32 received, sent, taken;
  /// Payload bytes already taken of the frame at `taken`, which is to be cut; the headers of the last piece.
  u32 cut;
  u8 headers[LINK_HEADERS_MOST];
  u64 mac;
  u32 features;
  /// In configuration space: the command register, and BAR 0.
  u32 command, bar;
};

struct skerry {
  struct skerry *self;
  struct wasm_memory memory; // env_memory: stays second
  struct link links[SKERRY_LINKS_MOST];
  u32 link_count;
  /// The bus's address register.
  u32 config_address;
  /// Lines raised since the kernel asked for them, a bit each.
  u32 pending;
  /// Now, under a virtual clock; the moment of start, under a real one.
  u64 clock;
  /// State of the seeded generator; 0 asks the system.
  u64 random;
  bool real_clock;
  u32 command_line, command_line_length, pack, pack_length, scratch, ram, ram_length;
  void (*console)(void *context, const char *text, uint32_t length);
  void (*on_ended)(void *context, const char *reason);
  void *context;
  /// Where a machine that ends leaves to: the library's call that is under way.
  void *escape[5];
  bool has_ended;
  char reason[256];
};

_Static_assert(offsetof(struct skerry, memory) == 8, "host.h finds the memory by its offset");

/// RAM and everything else lies below the cards' registers, LINK_REGISTERS_BYTES each; card i has line LINK_LINE + i.
#define LINK_REGISTERS 0xf0000000u
#define LINK_REGISTERS_BYTES 0x1000u
#define LINK_LINE 8

/// Ends the machine that runs: its reason is set; leaves the library's call.
_Noreturn void machine_leave(struct skerry *machine);
/// The frames taken last are done with.
void links_finish(struct skerry *machine);
void links_start(struct skerry *machine, const struct skerry_config *config);
