// The host interface on metal: what the C generated from kernel.wasm calls.
//
// kernel/host.ts is the contract; here is only how this host keeps it. Register and descriptor
// accesses are inline, so that they cost no call, and volatile, so that the compiler makes them as
// written and in order. Device memory is mapped uncached; among loads and among stores to RAM, x86
// keeps the order by itself, so those barriers need only hold the compiler; a load may overtake a store.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;

#define WASM_MEMORY_BYTES 0x100000000u // for wasm.h: what of it is not mapped faults

// The kernel's exports, as tools/aot makes them.
void kernel_instantiate(void);
void kernel_init(void);
u64 kernel_step(void); // the next deadline on host_monotonic's scale; all ones for none

void host_consoleWrite(u32 text, u32 length);
u32 host_consoleRead(u32 into, u32 room);
__attribute__((noreturn)) void host_exit(u32 code);
__attribute__((noreturn)) void host_restart(void);
__attribute__((noreturn)) void host_panic(u32 text, u32 length);
u64 host_monotonic(void);
u64 host_wallClock(void);
void host_entropy(u32 into, u32 length);
void host_bootInfo(u32 into);
u32 host_mmioMap(u64 physical, u32 length);
u64 host_interruptMessage(u32 number);
u32 host_interruptOpen(u32 line);
void host_interruptMask(u32 line, u32 masked);
u64 host_interruptsPending(void);
u32 host_guestModules(void);
void host_guestModule(u32 index, u32 into);
u32 host_guestMake(u32 module, u32 area, u32 length, u32 stack_bytes, u32 memory_most);
u32 host_guestResume(u32 record, u64 deadline);
u32 host_guestMap(u32 record, u32 place, u32 address, u32 pages);
void host_guestUnmap(u32 record, u32 place, u32 pages);
void host_guestEnd(u32 record);

#define HOST_PORT(bits, a)                                                    \
  static inline u32 host_portIn##bits(u32 port) {                             \
    u##bits value;                                                            \
    __asm__ volatile("in %w1, %0" : "=a"(value) : "Nd"(port) : "memory");     \
    return value;                                                             \
  }                                                                           \
  static inline void host_portOut##bits(u32 port, u32 value) {                \
    __asm__ volatile("out %" a "0, %w1" ::"a"(value), "Nd"(port) : "memory"); \
  }
HOST_PORT(8, "b") HOST_PORT(16, "w") HOST_PORT(32, "k")

#define HOST_CELL(kind, bits, type)                                                     \
  static inline type host_##kind##Read##bits(u32 at) { return *(volatile u##bits *)(u64)at; } \
  static inline void host_##kind##Write##bits(u32 at, type value) { *(volatile u##bits *)(u64)at = (u##bits)value; }
HOST_CELL(mmio, 8, u32) HOST_CELL(mmio, 16, u32) HOST_CELL(mmio, 32, u32)
HOST_CELL(dma, 16, u32) HOST_CELL(dma, 32, u32) HOST_CELL(dma, 64, u64)

static inline void host_prefetch(u32 at) { __builtin_prefetch((const void *)(u64)at); }
static inline void host_dmaReadBarrier(void) { __asm__ volatile("" ::: "memory"); }
static inline void host_dmaWriteBarrier(void) { __asm__ volatile("" ::: "memory"); }
static inline void host_dmaFullBarrier(void) { __asm__ volatile("mfence" ::: "memory"); }
