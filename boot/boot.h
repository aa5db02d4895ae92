// What the shim's files offer each other; how, is said in each.
#pragma once

#include "host.h"
#include "wasm.h"

#define HIGH 0xffffffff80000000u // linker.ld: virtual less physical, as linked
#define LOW_END 0x100000000u     // where the kernel's pointers end, and what the shim looks at
#define FIRST_MIB 0x100000u      // the firmware's: nobody takes it
#define PAGE 4096u
#define PAGE_DOWN(address) ((address) & ~(u64)(PAGE - 1))
#define PAGE_UP(address) PAGE_DOWN((address) + PAGE - 1)

struct range { u64 start, end; }; // physical addresses; the end is the first byte after

// string.c: what a compiler may call for an assignment
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
// memory.c
enum memory_kind { MEMORY_RAM, MEMORY_FIRMWARE, MEMORY_RESERVED, MEMORY_KINDS };
void memory_add(enum memory_kind kind, u64 start, u64 length);
void memory_settle(void);
void memory_remove(u64 start, u64 end);
u64 memory_take(u64 bytes);
struct range memory_largest(u64 lowest);
bool memory_has(enum memory_kind kind, u64 start, u64 end);
u32 memory_total_kib(void);
// boot_info.c
extern struct boot_page { // which the kernel may read, at its physical address
  char command_line[PAGE - 64];
  u8 rsdp[64];
} boot_page;
extern bool has_rsdp;
extern const char built_in_words[]; // of the command line; tools/image/build.ts
extern const u32 built_in_words_length;
void boot_info_read(u32 magic, u32 information);
// acpi.c
extern struct acpi { // zero for what the machine has not
  u16 pm1_control[2], pm_timer, smi_command; // ports
  u8 enable;                                 // what to write to the last, so that the first work
  u32 sleep_control;                         // physical address
  u8 sleep_type[2];                          // what \_S5 says to write to the control registers
  u8 century;                                // index in CMOS
  struct reset { u8 space, value; u64 address; } reset;
  u32 table_count;
  struct range tables[64];
} acpi;
void acpi_read(void);
// paging.c
extern u64 load_offset; // where the image is, less where it was linked
u64 physical_of(const void *high);
void paging_start(void);
void paging_grow_emulator_tlb(void);
struct range paging_ram(void); // what is the kernel's
volatile void *paging_map_device(u64 physical);
volatile void *paging_map_screen(u64 physical, u64 bytes);
bool paging_is_guard(u64 address);
u64 paging_no_execute(void); // the bit, or 0 where there is none
void paging_root_set(u32 index, u64 entry);
// console.c
void console_start(void);
void console_choose(const char *line, u32 length);
void console_flush(void);
void console_write(const char *text, u64 length);
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);
// screen.c
enum { SCREEN_RGB = 1, SCREEN_TEXT = 2 };
struct __attribute__((packed)) pixels { // as Multiboot2 describes a screen, 3.6.12
  u64 address;
  u32 pitch, width, height; // bytes of a row; pixels or characters
  u8 bits_per_pixel, kind;
  u16 reserved;
  struct { u8 shift, bits; } colours[3];
};
void screen_start(void);
void screen_is(struct pixels found);
void screen_show(void);
bool screen_exists(void);
void screen_write(const char *text, u64 length);
// traps.c, backtrace.c, power.c (which tells what the codes become)
enum exit_code { EXIT_HIGHEST = 99, EXIT_PANIC = 100, EXIT_WASM_TRAP = 101, EXIT_EXCEPTION = 102 };
void traps_start(void);
void traps_gate(u32 vector, const void *entry, u32 ist);
__attribute__((noreturn)) void panic(const char *what);
void backtrace(u64 rip, u64 rsp, u64 rbp);
__attribute__((noreturn)) void power_stop(enum exit_code code);
// clock.c, entropy.c, interrupts.c
extern u64 tsc_hertz;
void clock_start(u64 tsc_at_entry);
void entropy_start(void);
void interrupts_start(void);
void timer_start(void);
void timer_calibrate(void);
void sleep_until(u64 deadline);
void guest_slice(u64 deadline);
// guest.c
extern struct guest *guest_running; // or NULL
void guest_start(void);
__attribute__((noreturn)) void guest_trap(enum wasm_trap_kind kind, u64 rip, u64 rsp, u64 rbp);
enum wasm_trap_kind guest_fault(u64 address);
bool guest_is_stack(u64 address);
// linker.ld, entry.S
extern u8 image_start[], code_end[], constants_start[], constants_end[], data_start[], image_end[];
extern u8 pack_start[], pack_end[], setup_start[], setup_end[];
extern u8 kernel_stack_guard[], kernel_stack_top[], ist_stacks[];
extern const struct { // tools/image/symbols.ts
  u32 scopes, rows, row_count;
  u8 names[];
} symbols;
enum { IST_STACKS = 5, IST_INTERRUPTS = 5, IST_STACK_BYTES = 8192 };
