// A guest, as its own generated code and the shim see it. kernel/guest/record.ts has the same layout.
#pragma once

#include "wasm.h"

enum { GUEST_ARGUMENTS = 12, GUEST_FRAME_WORDS = 21 };
#define GUEST_OFFSET (-131072L) // of the record from the base of the guest's memory

enum guest_reason { GUEST_CALLED, GUEST_FINISHED, GUEST_TRAPPED, GUEST_INTERRUPTED };

struct guest {
  // What the kernel reads and writes.
  u32 memory, memory_bytes; // the guest's linear memory, at the kernel's address of it
  u32 call, trap;           // of the last GUEST_CALLED, GUEST_TRAPPED
  u64 arguments[GUEST_ARGUMENTS], result;
  u32 name, name_length; // for reports, at the kernel's address of it
  u32 refused, unused;   // pages that it last wanted in vain
  // What is the shim's.
  u64 rsp, base, stack_low, memory_most;
  u32 module, window, interrupted;
  u32 lent; // the table of what is lent to it, or 0
  u64 frame[GUEST_FRAME_WORDS]; // all registers, as traps.S pushes them, of one that was interrupted
  u8 vectors[512] __attribute__((aligned(16))); // FXSAVE (Intel SDM 1, 10.5.1)
};

/// A module that is part of the image: tools/guest makes the table of them.
struct guest_module {
  const char *name;
  void (*instantiate)(void), (*start)(void);
  const u64 *instance_bytes;
  u32 pages, most_pages;
  u32 leases;
};
extern const struct guest_module guest_modules[];
extern const u32 guest_module_count;

/// guest.S: back to the kernel's guestResume, which returns the reason; returns when it resumes.
void guest_leave(enum guest_reason reason);

/// The record of the guest that runs.
#define GUEST (*WASM_PLACE(struct guest, GUEST_OFFSET))

#define WASM_MEMORY_REFUSED(pages) (GUEST.refused = (pages))

/// Has the kernel do call `number`, whose arguments are in the record.
static inline u64 guest_call(u32 number) {
  GUEST.call = number;
  guest_leave(GUEST_CALLED);
  return GUEST.result;
}

u64 host_monotonic(void);

/// Writes what the monotonic clock shows at the guest's address `into`, without the kernel: a program reads it
/// for every wait. False if that is not the guest's own: then the kernel is to have the call.
static inline _Bool guest_monotonic(u32 into) {
  typedef u64 __attribute__((aligned(1), may_alias)) time;
  if ((u64)into + sizeof(time) > GUEST.memory_bytes) return 0;
  *WASM_PLACE(time, (u64)into) = host_monotonic();
  return 1;
}
