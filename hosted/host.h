// The host interface inside a Linux process: what the C generated from kernel.wasm calls.
//
// kernel/host.ts is the contract. Linear memory begins at the base that a register names (r15 with gcc,
// GS's base with clang: see wasm.h), the instance lies 64 KiB below it and the host's own machine 128 KiB
// below, so one copy of the code serves every machine: whichever the register names is the one that runs.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wasm.h"

#define HOST_MACHINE_OFFSET (-131072L)

struct skerry;

/// The machine that runs.
static inline struct skerry *host_machine(void) {
  return *WASM_PLACE(struct skerry *, HOST_MACHINE_OFFSET);
}

/// Its memory, for wasm.h; the first thing behind its own address.
#define env_memory (*(struct wasm_memory *)((u8 *)host_machine() + 8))

// The kernel's exports, as tools/aot makes them.
void kernel_instantiate(void);
void kernel_init(void);
u64 kernel_step(void);
void kernel_powerOff(void);
u32 kernel_syscall(u32 number, u32 a0, u32 a1, u32 a2, u32 a3, u32 a4);
extern const u64 kernel_instance_bytes;

void host_consoleWrite(u32 text, u32 length);
__attribute__((noreturn)) void host_exit(u32 code);
__attribute__((noreturn)) void host_restart(void);
__attribute__((noreturn)) void host_panic(u32 text, u32 length);
u64 host_monotonic(void);
u64 host_wallClock(void);
void host_entropy(u32 into, u32 length);
void host_bootInfo(u32 into);
u32 host_interruptOpen(u32 line);
void host_interruptMask(u32 line, u32 masked);
u64 host_interruptsPending(void);

// The bus and its one card: link.c. There is nothing behind other ports and narrower registers.
u32 host_portIn32(u32 port);
void host_portOut32(u32 port, u32 value);
u32 host_mmioMap(u64 physical, u32 length);
u32 host_mmioRead32(u32 at);
void host_mmioWrite32(u32 at, u32 value);

#define HOST_NOTHING(bits)                                                                     \
  static inline u32 host_portIn##bits(u32 port) { return (void)port, (u##bits)~0; }            \
  static inline void host_portOut##bits(u32 port, u32 value) { (void)port, (void)value; }      \
  static inline u32 host_mmioRead##bits(u32 at) { return (void)at, (u##bits)~0; }              \
  static inline void host_mmioWrite##bits(u32 at, u32 value) { (void)at, (void)value; }
HOST_NOTHING(8) HOST_NOTHING(16)

/// The card has a line.
static inline u64 host_interruptMessage(u32 number) { return (void)number, 0; }

/// No Wasm programs are linked to a process: nothing asks for the rest.
static inline u32 host_guestModules(void) { return 0; }
static inline void host_guestModule(u32 index, u32 into) { (void)index, (void)into; }
static inline u32 host_guestMake(u32 module, u32 area, u32 length, u32 stack_bytes, u32 memory_most) {
  return (void)module, (void)area, (void)length, (void)stack_bytes, (void)memory_most, 0;
}
static inline u32 host_guestResume(u32 record, u64 deadline) { return (void)record, (void)deadline, 0; }
static inline u32 host_guestMap(u32 record, u32 place, u32 address, u32 pages) {
  return (void)record, (void)place, (void)address, (void)pages, 0;
}
static inline void host_guestUnmap(u32 record, u32 place, u32 pages) { (void)record, (void)place, (void)pages; }
static inline void host_guestEnd(u32 record) { (void)record; }

#define HOST_CELL(bits)                                                                        \
  static inline u##bits host_dmaRead##bits(u32 at) { return *WASM_PLACE(volatile u##bits, at); } \
  static inline void host_dmaWrite##bits(u32 at, u##bits value) { *WASM_PLACE(volatile u##bits, at) = value; }
HOST_CELL(16) HOST_CELL(32) HOST_CELL(64)

// __builtin_prefetch takes no address relative to a segment.
static inline void host_prefetch(u32 at) { __asm__ volatile("prefetcht0 %0" ::"m"(*WASM_PLACE(const u8, at))); }

// The device runs in the same thread: only the compiler needs holding.
static inline void host_dmaReadBarrier(void) { __asm__ volatile("" ::: "memory"); }
static inline void host_dmaWriteBarrier(void) { __asm__ volatile("" ::: "memory"); }
static inline void host_dmaFullBarrier(void) { __asm__ volatile("" ::: "memory"); }
