// What the shim's files offer each other. Each function's file tells the how.
#pragma once

#include "host.h"

#define PAGE 4096u
#define KERNEL_STATIC_END 0x100000u // the kernel's static data may fill the first MiB
#define LOW_END 0x100000000u // the kernel's pointers end here, and so does what the shim looks at

// Physical addresses; the end is the first byte after.
struct range {
  u64 start, end;
};

// ---- memory.c: which RAM there is ----
enum memory_kind { MEMORY_FREE = 1, MEMORY_FIRMWARE = 2 };
void memory_add(u64 start, u64 length, enum memory_kind kind);
void memory_remove(u64 start, u64 end);
u64 memory_take(u64 bytes);
struct range memory_largest(u64 lowest);
bool memory_has(enum memory_kind kind, u64 start, u64 end);
u32 memory_total_kib(void);

// ---- boot_info.c: what the loader said, copied ----
// One page, which the kernel may read at its physical address.
struct boot_page {
  char command_line[PAGE - 64];
  u8 rsdp[36];
};
extern struct boot_page boot_page;
extern u32 command_line_length;
extern bool has_rsdp;
void boot_info_read(u32 magic, u32 information);

// ---- acpi.c: the little of it that is needed ----
struct acpi {
  u16 pm1a_control, pm1b_control; // PM1 control ports, or 0
  u16 pm_timer;                   // ACPI PM timer port, or 0
  u32 sleep_control;              // hardware-reduced machines: physical address of the sleep register, or 0
  u8 sleep_type_a, sleep_type_b;  // what \_S5 says to write there
  u8 century;                     // index in CMOS of the century, or 0
  u32 table_count;
  struct range tables[64];
};
extern struct acpi acpi;
void acpi_read(void);

// ---- paging.c: who may touch what ----
extern u64 load_offset; // where the image is, less where it was linked
u64 physical_of(const void *high);
void paging_start(void);
volatile void *paging_map_device(u64 physical); // one page, for the shim's own use
bool paging_is_guard(u64 address);
bool paging_is_code(u64 address);
struct range paging_ram(void); // what the kernel was given

// ---- console.c ----
void console_start(void);
void console_flush(void);
void console_write(const char *text, u64 length);
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);

// ---- traps.c, backtrace.c: the end, explained ----
void traps_start(void);
void traps_gate(u32 vector, const void *entry, u32 ist);
__attribute__((noreturn)) void panic(const char *what);
void backtrace(u64 rip, u64 rsp, u64 rbp);

// ---- power.c ----
enum exit_code { EXIT_HIGHEST = 99, EXIT_PANIC = 100, EXIT_WASM_TRAP = 101, EXIT_EXCEPTION = 102 };
__attribute__((noreturn)) void power_stop(enum exit_code code);

// ---- clock.c, entropy.c, interrupts.c ----
extern u64 tsc_hertz;
void clock_start(u64 tsc_at_entry);
u64 clock_tsc_at(u64 nanoseconds); // the TSC when host_monotonic reads this
void entropy_start(void);
void interrupts_start(void);
void interrupts_timer_start(void);
void interrupts_timer_calibrate(void);
void sleep_until(u64 deadline);

// ---- Set by linker.ld and entry.S ----
extern u8 image_start[], code_end[], constants_start[], constants_end[], data_start[], data_end[];
extern u8 pack_start[], pack_end[], image_end[], symbols_start[], symbols_end[];
extern u8 kernel_stack_guard[], kernel_stack_top[], ist_stacks[];
#define IST_STACK_BYTES 8192u
#define IST_STACKS 4u
