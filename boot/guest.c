// Guests: Wasm programs beside the kernel, each in a window of addresses of its own.
//
//   window of 16 GiB      base - 2 MiB ..     tables' reach ends
//                         .. base - 256 KiB   the stack, a page of nothing below it
//                         base - 128 KiB      struct guest
//                         base - 64 KiB       the module's globals
//                         base ..             linear memory; behind what there is of it, nothing
//                         base + 3 GiB ..     what the kernel lends it to read
//
// Generated code adds 33 bits at most to its base, so a window is all that it can name; it holds no
// instruction that could change where the base is. What it takes to live is one run of RAM that the
// kernel gives, page tables included:
//
//   | tables | struct guest | globals | stack | linear memory, mapped as it grows |

#include "guest.h"

#include "boot.h"
#include "cpu.h"

enum { WINDOWS = 64, PRESENT = 1, PRESENT_WRITE = 3, LENT_GIB = 3, STACK_BELOW = 0x40000, GLOBALS_BELOW = 0x10000, REACH = 0x200000 };
#define GIB (1ull << 30)
#define WINDOW_BYTES (16 * GIB)
#define FIRST_WINDOW 0x8000000000ull // the second entry of the root

u32 guest_enter(struct guest *guest); // guest.S
__attribute__((noreturn)) void guest_abandon(enum guest_reason reason);

struct guest *guest_running;
static __attribute__((aligned(4096))) u64 pointers[WINDOWS * WINDOW_BYTES / (512 * GIB)][512];
static u64 windows_used;

// ---- Addresses -----------------------------------------------------------------------------------

static u64 base_of(u32 window) { return FIRST_WINDOW + window * WINDOW_BYTES + GIB; }

// The directory entries of a window: the GiB below its base, then those from it on.
static u64 *directory_slot(u32 window, u64 gib) {
  const u64 index = (base_of(window) - FIRST_WINDOW) / GIB + gib;
  return &pointers[index / 512][index % 512];
}

struct plan { // of the RAM of one guest, in bytes from its start
  u64 low_directory, low_table, lent_directory, lent_table, directories, tables, guest, globals, stack;
  u64 memory, memory_most;
};

// Table pages for `bytes` of memory from the base on.
static u64 table_pages(u64 bytes) { return (bytes + REACH - 1) / REACH; }
static u64 directory_pages(u64 bytes) { return (bytes + GIB - 1) / GIB; }

static bool plan_make(struct plan *p, const struct guest_module *module, u64 length, u32 stack_bytes, u64 memory_most) {
  const u64 globals = PAGE_UP(*module->instance_bytes);
  const u64 own = (module->leases ? 4 : 2) * PAGE + PAGE + globals + stack_bytes;
  if (length % PAGE || stack_bytes % PAGE || !stack_bytes || stack_bytes > REACH / 2 || globals > GLOBALS_BELOW)
    return false;
  if (length < own) return false;
  // Tables for all that is left reach further than what they leave.
  const u64 left = length - own, most_tables = table_pages(left) + directory_pages(left);
  if (left < most_tables * PAGE) return false;
  u64 at = 0;
  p->low_directory = at, at += PAGE;
  p->low_table = at, at += PAGE;
  p->lent_directory = at, at += module->leases ? PAGE : 0;
  p->lent_table = at, at += module->leases ? PAGE : 0;
  p->directories = at, at += directory_pages(left) * PAGE;
  p->tables = at, at += table_pages(left) * PAGE;
  p->guest = at, at += PAGE;
  p->globals = at, at += globals;
  p->stack = at, at += stack_bytes;
  p->memory = at;
  p->memory_most = (length - at) & ~0xffffull;
  if (p->memory_most > memory_most) p->memory_most = memory_most & ~0xffffull;
  if (p->memory_most > (u64)module->most_pages << 16) p->memory_most = (u64)module->most_pages << 16;
  if (module->leases && p->memory_most > LENT_GIB * GIB) p->memory_most = LENT_GIB * GIB;
  return p->memory_most >= (u64)module->pages << 16;
}

static u64 no_execute(void) { return paging_no_execute() | PRESENT_WRITE; }

static void map_low(u64 *table, u64 below, u64 physical, u64 bytes) {
  for (u64 at = 0; at < bytes; at += PAGE) table[(REACH - below + at) / PAGE] = (physical + at) | no_execute();
}

// ---- Life ----------------------------------------------------------------------------------------

u32 host_guestModules(void) { return guest_module_count; }

// `GuestModule` in kernel/host.ts.
struct module_information { u32 pages, most_pages; u16 name_length, leases; u8 name[52]; };

void host_guestModule(u32 index, u32 into) {
  const struct guest_module *module = &guest_modules[index];
  struct module_information *to = (struct module_information *)(u64)into;
  *to = (struct module_information){.pages = module->pages, .most_pages = module->most_pages, .leases = (u16)module->leases};
  for (const char *from = module->name; *from && to->name_length < sizeof to->name; from++)
    to->name[to->name_length++] = (u8)*from;
}

// The first thing on a guest's stack.
static void guest_main(void) {
  const struct guest_module *module = &guest_modules[guest_running->module];
  const u32 all_masked = 0x1f80; // MXCSR, as the processor starts
  __asm__ volatile("fninit; ldmxcsr %0" ::"m"(all_masked));
  module->instantiate();
  module->start();
  guest_leave(GUEST_FINISHED);
}

u32 host_guestMake(u32 module, u32 area, u32 length, u32 stack_bytes, u32 memory_most) {
  struct plan p;
  if (area % PAGE || !~windows_used) return 0;
  if (!plan_make(&p, &guest_modules[module], length, stack_bytes, memory_most)) return 0;
  const u32 window = (u32)__builtin_ctzll(~windows_used);
  windows_used |= 1ull << window;
  const u64 base = base_of(window);
  memset((void *)(u64)area, 0, p.stack); // what is on a stack the module cannot read before it has written it

  u64 *low = (u64 *)(area + p.low_directory);
  *directory_slot(window, (u64)-1) = (u64)low | PRESENT_WRITE;
  low[511] = (area + p.low_table) | PRESENT_WRITE;
  u64 *low_table = (u64 *)(area + p.low_table);
  map_low(low_table, (u64)-GUEST_OFFSET, area + p.guest, PAGE);
  map_low(low_table, GLOBALS_BELOW, area + p.globals, p.stack - p.globals);
  map_low(low_table, STACK_BELOW + stack_bytes, area + p.stack, stack_bytes);
  if (guest_modules[module].leases) {
    *directory_slot(window, LENT_GIB) = (area + p.lent_directory) | PRESENT_WRITE;
    *(u64 *)(area + p.lent_directory) = (area + p.lent_table) | PRESENT_WRITE;
  }
  for (u64 gib = 0; gib < directory_pages(p.memory_most); gib++)
    *directory_slot(window, gib) = (area + p.directories + gib * PAGE) | PRESENT_WRITE;
  u64 *directories = (u64 *)(area + p.directories);
  for (u64 i = 0; i < table_pages(p.memory_most); i++)
    directories[i] = (area + p.tables + i * PAGE) | PRESENT_WRITE;

  struct guest *guest = (struct guest *)(base + GUEST_OFFSET);
  *(u8 **)(base + WASM_INSTANCE_OFFSET) = (u8 *)base + WASM_INSTANCE_OFFSET;
  guest->memory = (u32)(area + p.memory);
  guest->memory_most = p.memory_most;
  guest->base = base;
  guest->module = module;
  guest->lent = guest_modules[module].leases ? (u32)(area + p.lent_table) : 0;
  guest->window = window;
  guest->stack_low = base - STACK_BELOW - stack_bytes;
  // What guest_enter takes off: six registers, the last pushed first; where to go; its caller, nobody.
  u64 *top = (u64 *)(base - STACK_BELOW);
  *--top = 0;
  *--top = (u64)guest_main;
  for (u32 i = 0; i < 5; i++) *--top = 0;
  *--top = base; // r15
  guest->rsp = (u64)top;
  return area + (u32)p.guest;
}

u32 host_guestResume(u32 record, u64 deadline) {
  struct guest *guest = (struct guest *)(u64)record;
  guest_running = (struct guest *)(guest->base + GUEST_OFFSET);
  guest_slice(deadline);
#ifdef WASM_MEMORY_GS
  write_msr(MSR_GS_BASE, guest->base);
#endif
  const u32 reason = guest_enter(guest_running);
  guest_running = NULL;
  return reason;
}

void host_guestEnd(u32 record) {
  const struct guest *guest = (const struct guest *)(u64)record;
  const u32 window = guest->window;
  for (u64 gib = 0; gib <= directory_pages(guest->memory_most); gib++) *directory_slot(window, gib - 1) = 0;
  *directory_slot(window, LENT_GIB) = 0;
  write_cr3(read_cr3()); // forgets what the processor remembers of them
  windows_used &= ~(1ull << window);
}

// The entries were empty, and of empty ones the processor remembers nothing.
u32 host_guestMap(u32 record, u32 place, u32 address, u32 pages) {
  u64 *table = (u64 *)(u64)((const struct guest *)(u64)record)->lent;
  for (u32 i = 0; i < pages; i++) table[place + i] = (address + i * PAGE) | paging_no_execute() | PRESENT;
  return (u32)(LENT_GIB * GIB) + place * PAGE;
}

void host_guestUnmap(u32 record, u32 place, u32 pages) {
  const struct guest *guest = (const struct guest *)(u64)record;
  u64 *table = (u64 *)(u64)guest->lent;
  for (u32 i = place; i < place + pages; i++) {
    table[i] = 0;
    __asm__ volatile("invlpg (%0)" ::"r"(guest->base + LENT_GIB * GIB + i * PAGE) : "memory");
  }
}

// Called by generated code when a memory is made or grows; `memory` is the module's own notion of it.
_Bool wasm_memory_resize(struct wasm_memory *memory, u64 bytes) {
  struct guest *guest = guest_running;
  if (bytes > guest->memory_most) return false;
  for (u64 at = guest->memory_bytes; at < bytes; at += PAGE) {
    const u64 address = guest->base + at;
    const u64 directory = *directory_slot(guest->window, at / GIB) & ~(u64)(PAGE - 1);
    const u64 table = ((u64 *)directory)[address / REACH % 512] & ~(u64)(PAGE - 1);
    memset((void *)(guest->memory + at), 0, PAGE);
    ((u64 *)table)[address / PAGE % 512] = (guest->memory + at) | no_execute();
  }
  guest->memory_bytes = (u32)bytes;
  memory->base = (u8 *)guest->base;
  memory->bytes = bytes;
  return true;
}

// ---- Traps ---------------------------------------------------------------------------------------

void guest_trap(enum wasm_trap_kind kind, u64 rip, u64 rsp, u64 rbp) {
  __asm__ volatile("cli");
  print("\n*** guest ");
  console_write((const char *)(u64)guest_running->name, guest_running->name_length);
  print(": %s\n", wasm_trap_text(kind));
  backtrace(rip, rsp, rbp);
  guest_running->trap = kind;
  guest_abandon(GUEST_TRAPPED);
}

_Static_assert(offsetof(struct guest, rsp) == 136 && offsetof(struct guest, interrupted) == 176 &&
                   offsetof(struct guest, frame) == 184 && offsetof(struct guest, vectors) == 352,
               "guest.S goes by these");

bool guest_is_stack(u64 address) {
  return guest_running && address >= guest_running->stack_low && address < guest_running->base - STACK_BELOW;
}

// The kind that a page fault at `address` is.
enum wasm_trap_kind guest_fault(u64 address) {
  const u64 guard = guest_running->stack_low - PAGE;
  return address >= guard && address < guest_running->stack_low ? WASM_TRAP_STACK : WASM_TRAP_MEMORY;
}

void guest_start(void) {
  enum { ROOT_ENTRY = 1, CR0_EM = 4, CR0_TS = 8, CR0_MP = 2, CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10 };
  for (u32 i = 0; i < sizeof pointers / sizeof *pointers; i++)
    paging_root_set(ROOT_ENTRY + i, physical_of(pointers[i]) | PRESENT_WRITE);
  u64 cr0, cr4;
  __asm__("mov %%cr0, %0; mov %%cr4, %1" : "=r"(cr0), "=r"(cr4));
  cr0 = (cr0 & ~(u64)(CR0_EM | CR0_TS)) | CR0_MP;
  cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
  __asm__ volatile("mov %0, %%cr0; mov %1, %%cr4" ::"r"(cr0), "r"(cr4) : "memory");
}
