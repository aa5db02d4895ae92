// When something cannot go on: say what, where and how it came to it, and end the machine.

#include "boot.h"
#include "cpu.h"

#define CODE_SELECTOR 0x08u
#define TSS_SELECTOR 0x10u
enum { BREAKPOINT = 3, NMI = 2, DOUBLE_FAULT = 8, PAGE_FAULT = 14, MACHINE_CHECK = 18 };

// As traps.S pushes it. Above `entry` the processor's words: an error code for some, then RIP, CS,
// RFLAGS, RSP.
struct trap_frame {
  u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, entry, pushed[6];
};

static const char *const exception_names[32] = {
    "#DE divide error",           "#DB debug",
    "NMI non-maskable interrupt", "#BP breakpoint",
    "#OF overflow",               "#BR bound range exceeded",
    "#UD invalid opcode",         "#NM device not available",
    "#DF double fault",           "coprocessor segment overrun",
    "#TS invalid TSS",            "#NP segment not present",
    "#SS stack-segment fault",    "#GP general protection",
    "#PF page fault",             "reserved exception 15",
    "#MF x87 floating point",     "#AC alignment check",
    "#MC machine check",          "#XM SIMD floating point",
    "#VE virtualization",         "#CP control protection",
    "reserved exception 22",      "reserved exception 23",
    "reserved exception 24",      "reserved exception 25",
    "reserved exception 26",      "reserved exception 27",
    "#HV hypervisor injection",   "#VC VMM communication",
    "#SX security",               "reserved exception 31",
};

// ---- Tables: Intel SDM 3A, 6.14 (64-bit gates) and 7.7 (64-bit TSS) ----------------------------

struct gate {
  u16 offset_0;
  u16 selector;
  u8 ist, type;
  u16 offset_16;
  u32 offset_32, reserved;
};

static struct gate idt[256];
static struct __attribute__((packed)) {
  u32 reserved_1;
  u64 rsp[3], reserved_2, ist[7], reserved_3;
  u16 reserved_4, io_map;
} tss;

extern const u8 exception_entries[];
extern u64 gdt[];

void traps_gate(u32 vector, const void *entry, u32 ist) {
  enum { PRESENT_INTERRUPT_GATE = 0x8e };
  u64 address = (u64)entry;
  idt[vector] = (struct gate){(u16)address,         CODE_SELECTOR,          (u8)ist, PRESENT_INTERRUPT_GATE,
                              (u16)(address >> 16), (u32)(address >> 32), 0};
}

// The four that can strike when the stack is not to be trusted get stacks of their own.
static u32 ist_of(u32 vector) {
  switch (vector) {
    case DOUBLE_FAULT: return 1;
    case PAGE_FAULT: return 2;
    case NMI: return 3;
    case MACHINE_CHECK: return 4;
    default: return 0;
  }
}

void traps_start(void) {
  enum { TSS_AVAILABLE = 0x89 };
  for (u32 vector = 0; vector < 32; vector++) {
    traps_gate(vector, exception_entries + 8 * vector, ist_of(vector));
  }
  for (u32 i = 0; i < IST_STACKS; i++) tss.ist[i] = (u64)ist_stacks + (i + 1) * (PAGE + IST_STACK_BYTES);
  tss.io_map = sizeof tss;
  u64 base = (u64)&tss;
  gdt[TSS_SELECTOR / 8] = (sizeof tss - 1) | (base & 0xffffff) << 16 | (u64)TSS_AVAILABLE << 40 |
                          (base >> 24 & 0xff) << 56;
  gdt[TSS_SELECTOR / 8 + 1] = base >> 32;
  struct __attribute__((packed)) {
    u16 limit;
    u64 base;
  } pointer = {sizeof idt - 1, (u64)idt};
  __asm__ volatile("lidt %0; ltr %w1" ::"m"(pointer), "r"(TSS_SELECTOR));
}

// ---- The end -----------------------------------------------------------------------------------

static const char *hint(u64 address, u64 error) {
  enum { WAS_PRESENT = 1, WAS_WRITE = 2, WAS_FETCH = 16 };
  if (paging_is_guard(address)) return "stack overflow";
  if (address < PAGE) return "null pointer";
  if (error & WAS_FETCH) return "jump to what is not code";
  if (error & WAS_PRESENT) return error & WAS_WRITE ? "write to read-only memory" : "no right to this memory";
  if (address < LOW_END) return "wild pointer, or device registers without mmioMap";
  if (address < 2ull * LOW_END) return "past the end of linear memory";
  return "nothing is mapped there";
}

// A trap while explaining a trap must not go round for ever.
static void once(void) {
  static bool stopping;
  if (stopping) power_stop(EXIT_EXCEPTION);
  stopping = true;
}

void trap_stop(const struct trap_frame *f);

void trap_stop(const struct trap_frame *f) {
  const u32 push_error = 0x60227d00; // by vector (Intel SDM 3A, 6.15; AMD's #HV has none, #VC and #SX do)
  const u32 vector = (u32)(f->entry - (u64)exception_entries) / 8;
  const bool has_error = push_error >> vector & 1;
  const u64 error = has_error ? f->pushed[0] : 0;
  const u64 rip = f->pushed[has_error], rsp = f->pushed[has_error + 3];
  once();
  print("\n*** %s, error %lx, at %lx\n", exception_names[vector], error, rip);
  if (vector == PAGE_FAULT) {
    u64 address = read_cr2();
    print("    %s of %lx: %s\n", error & 16 ? "fetch" : error & 2 ? "write" : "read", address,
          hint(address, error));
  }
  print("    rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
  print("    rsi %016lx  rdi %016lx  rbp %016lx  rsp %016lx\n", f->rsi, f->rdi, f->rbp, rsp);
  print("    r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx\n", f->r8, f->r9, f->r10, f->r11);
  print("    r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx\n", f->r12, f->r13, f->r14, f->r15);
  backtrace(rip, rsp, f->rbp);
  power_stop(EXIT_EXCEPTION);
}

static void stop_here(enum exit_code code) {
  u64 *frame = __builtin_frame_address(0);
  const u64 *caller = (const u64 *)frame[0];
  backtrace(caller[1] - 1, (u64)(caller + 2), caller[0]);
  power_stop(code);
}

// The shim's own: what the machine lacks, or what its firmware got wrong.
__attribute__((noinline)) void panic(const char *what) {
  once();
  print("\n*** boot: %s\n", what);
  stop_here(EXIT_PANIC);
  __builtin_unreachable();
}

__attribute__((noinline)) void host_panic(u32 text, u32 length) {
  once();
  print("\n*** panic: %.*s\n", length, (const char *)(u64)text);
  stop_here(EXIT_PANIC);
  __builtin_unreachable();
}
