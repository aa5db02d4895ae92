// The instructions that C has no word for.
#pragma once

#include "host.h"

#define MSR_APIC_BASE 0x1bu
#define MSR_PAT 0x277u
#define MSR_EFER 0xc0000080u
#define MSR_GS_BASE 0xc0000101u

struct cpuid { u32 eax, ebx, ecx, edx; };
static inline struct cpuid cpuid(u32 leaf) {
  struct cpuid r;
  __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(0));
  return r;
}
static inline bool cpu_is_virtual(void) { return cpuid(1).ecx & 1u << 31; }

static inline u64 rdtsc(void) { // not before what stands before it
  __asm__ volatile("lfence" ::: "memory");
  return __builtin_ia32_rdtsc();
}
static inline u64 read_msr(u32 msr) {
  u32 low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
  return (u64)high << 32 | low;
}
static inline void write_msr(u32 msr, u64 value) {
  __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
static inline u64 read_cr3(void) {
  u64 value;
  __asm__("mov %%cr3, %0" : "=r"(value));
  return value;
}
static inline void write_cr3(u64 value) { __asm__ volatile("mov %0, %%cr3" ::"r"(value) : "memory"); }

// a * b / c without losing the upper half of the product; the quotient must fit 64 bits.
static inline u64 multiply_divide(u64 a, u64 b, u64 c) {
  const unsigned __int128 product = (unsigned __int128)a * b;
  u64 low = (u64)product, high = (u64)(product >> 64);
  __asm__("divq %2" : "+a"(low), "+d"(high) : "r"(c) : "cc");
  return low;
}
