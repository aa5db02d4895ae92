// When something cannot go on: say what, where and how it came to it, and end the machine.

#include "boot.h"
#include "cpu.h"
#include "wasm.h"

enum { CODE_SELECTOR = 0x08, TSS_SELECTOR = 0x10, WAS_PRESENT = 1, WAS_WRITE = 2, WAS_FETCH = 16 };
enum { NMI = 2, DOUBLE_FAULT = 8, PAGE_FAULT = 14, MACHINE_CHECK = 18, EXCEPTIONS = 32 };

static const char *const exception_names[EXCEPTIONS] = {
    "#DE divide error", "#DB debug", "NMI", "#BP breakpoint", "#OF overflow", "#BR bound range",
    "#UD invalid opcode", "#NM device not available", "#DF double fault", "coprocessor overrun",
    "#TS invalid TSS", "#NP segment not present", "#SS stack segment", "#GP general protection",
    "#PF page fault", 0, "#MF x87 floating point", "#AC alignment check", "#MC machine check",
    "#XM SIMD floating point", "#VE virtualization", "#CP control protection", 0, 0, 0, 0, 0, 0,
    "#HV hypervisor injection", "#VC VMM communication", "#SX security", 0,
};

// As traps.S pushes it; above `entry`, the processor's: for some an error code, then RIP, CS, RFLAGS, RSP.
struct trap_frame {
  u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, entry, pushed[5];
};

// ---- Tables: Intel SDM 3A, 6.14 (64-bit gates) and 7.7 (64-bit TSS) ------------------------------

static struct gate {
  u16 offset_0, selector;
  u8 ist, type;
  u16 offset_16;
  u32 offset_32, reserved;
} idt[256];

static struct __attribute__((packed)) {
  u32 reserved_1;
  u64 rsp[3], reserved_2, ist[7], reserved_3;
  u16 reserved_4, io_map;
} tss;

extern const u8 exception_entries[];
extern u64 gdt[];

void traps_gate(u32 vector, const void *entry, u32 ist) {
  const u64 at = (u64)entry;
  const u8 type = 0x8e; // present, interrupt gate
  idt[vector] = (struct gate){(u16)at, CODE_SELECTOR, (u8)ist, type, (u16)(at >> 16), (u32)(at >> 32), 0};
}

void traps_start(void) {
  // These strike when the stack is not to be trusted, and get stacks of their own.
  const u8 ist[EXCEPTIONS] = {[DOUBLE_FAULT] = 1, [PAGE_FAULT] = 2, [NMI] = 3, [MACHINE_CHECK] = 4};
  for (u32 i = 0; i < EXCEPTIONS; i++) traps_gate(i, exception_entries + 8 * i, ist[i]);
  for (u32 i = 0; i < IST_STACKS; i++) tss.ist[i] = (u64)ist_stacks + (i + 1) * (PAGE + IST_STACK_BYTES);
  tss.io_map = sizeof tss;
  const u64 at = (u64)&tss, type = 0x89; // present, available TSS
  gdt[TSS_SELECTOR / 8] = (sizeof tss - 1) | (at & 0xffffff) << 16 | type << 40 | (at >> 24 & 0xff) << 56;
  gdt[TSS_SELECTOR / 8 + 1] = at >> 32;
  const struct __attribute__((packed)) { u16 limit; u64 base; } pointer = {sizeof idt - 1, (u64)idt};
  __asm__ volatile("lidt %0; ltr %w1" ::"m"(pointer), "r"(TSS_SELECTOR));
}

// ---- The end -------------------------------------------------------------------------------------

static const char *hint(u64 address, u64 error) {
  if (paging_is_guard(address)) return "stack overflow";
  if (address < PAGE) return "null pointer";
  if (error & WAS_FETCH) return "a jump to what is not code";
  if (error & WAS_PRESENT) return error & WAS_WRITE ? "read-only memory" : "no right to this memory";
  if (address < LOW_END) return "wild pointer, or device registers without mmioMap";
  return address < 2 * LOW_END ? "past the end of linear memory" : "nothing is mapped there";
}

static void once(void) { // a trap while explaining a trap must not go round for ever
  static bool stopping;
  if (stopping) power_stop(EXIT_EXCEPTION);
  stopping = true;
  screen_show();
}

void trap_stop(const struct trap_frame *f) {
  const u32 vector = (u32)(f->entry - (u64)exception_entries) / 8;
  const bool has_error = 0x60227d00 >> vector & 1; // SDM 3A, 6.15; AMD's APM 2, 8.2 for #VC and #SX
  const u64 error = has_error ? f->pushed[0] : 0;
  const u64 rip = f->pushed[has_error], rsp = f->pushed[has_error + 3];
  const char *name = exception_names[vector];
  u64 address;
  __asm__("mov %%cr2, %0" : "=r"(address));
  if (guest_running && vector != NMI && vector != DOUBLE_FAULT && vector != MACHINE_CHECK)
    guest_trap(vector == PAGE_FAULT ? guest_fault(address) : WASM_TRAP_UNREACHABLE, rip, rsp, f->rbp);
  once();
  print("\n*** %s, error %llx, at %llx\n", name ? name : "reserved exception", error, rip);
  if (vector == PAGE_FAULT) {
    const char *deed = error & WAS_FETCH ? "fetch" : error & WAS_WRITE ? "write" : "read";
    print("    %s at %llx: %s\n", deed, address, hint(address, error));
  }
  print("    rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx\n", f->rax, f->rbx, f->rcx, f->rdx);
  print("    rsi %016llx  rdi %016llx  rbp %016llx  rsp %016llx\n", f->rsi, f->rdi, f->rbp, rsp);
  print("    r8  %016llx  r9  %016llx  r10 %016llx  r11 %016llx\n", f->r8, f->r9, f->r10, f->r11);
  print("    r12 %016llx  r13 %016llx  r14 %016llx  r15 %016llx\n", f->r12, f->r13, f->r14, f->r15);
  backtrace(rip, rsp, f->rbp);
  power_stop(EXIT_EXCEPTION);
}

// `frame` is that of the function that was called; the place is where from.
__attribute__((noreturn)) static void stop(const u64 *frame, enum exit_code code, const char *kind,
                                           const char *text, u64 length) {
  once();
  print("\n*** %s: ", kind);
  for (u64 i = 0; i < length && text[i]; i++) console_write(text + i, 1);
  print("\n");
  backtrace(frame[1] - 1, (u64)(frame + 2), frame[0]);
  power_stop(code);
}
void panic(const char *what) { stop(__builtin_frame_address(0), EXIT_PANIC, "boot", what, ~0ull); }
void wasm_trap(enum wasm_trap_kind kind) {
  const u64 *frame = __builtin_frame_address(0);
  if (guest_running) guest_trap(kind, frame[1] - 1, (u64)(frame + 2), frame[0]);
  stop(__builtin_frame_address(0), EXIT_WASM_TRAP, "trap", wasm_trap_text(kind), ~0ull);
}
void host_panic(u32 text, u32 length) {
  stop(__builtin_frame_address(0), EXIT_PANIC, "panic", (const char *)(u64)text, length);
}
