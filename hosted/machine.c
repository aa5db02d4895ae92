// A machine's life, and the parts of the host interface that are not its card.
//
//     window - 128 KiB   struct skerry            window + 0        nothing: a null pointer faults
//     window -  64 KiB   the module's globals     window + 4 KiB    the kernel's static data, then the
//                                                                   command line, the caller's stretch, the
//                                                                   pack, RAM; then nothing up to
//                                                 window + 8 GiB + 64 KiB

#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define BELOW 131072ul
#define WINDOW ((8ull << 30) + 65536)
#define PAGE 4096u
#define SCRATCH (1u << 20)
#define COMMAND_LINE_MOST 4096
#define MIB (1u << 20)
#define LARGE_PAGES_FROM (512u * MIB)

// ---- Whose turn it is --------------------------------------------------------------------------

#ifdef WASM_MEMORY_REGISTER
/// The caller's r15, which it gets back.
typedef u8 *volatile outside;
#define OUTSIDE wasm_base
#define COME_BACK(was) (wasm_base = (was))

static inline void machine_enter(struct skerry *machine) { wasm_base = machine->memory.base; }
#else
/// GS stays with the library.
typedef int outside;
#define OUTSIDE 0
#define COME_BACK(was) ((void)(was))

/// The kernel lets programs write GS's base themselves (AT_HWCAP2, bit 1): a few cycles, not a call.
#define HWCAP2_FSGSBASE 2

static void machine_enter(struct skerry *machine) {
  static int writable = -1;
  if (writable < 0) writable = (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) != 0;
  if (writable) __asm__ volatile("wrgsbase %0" ::"r"(machine->memory.base) : "memory");
  else syscall(SYS_arch_prctl, ARCH_SET_GS, machine->memory.base);
}
#endif

// A machine that ends in the middle of its code leaves it here, as the call that runs it. The call keeps
// OUTSIDE before, and comes back to it.
#define RUNS(machine) (machine_enter(machine), __builtin_setjmp((machine)->escape) == 0)

_Noreturn void machine_leave(struct skerry *machine) {
  machine->has_ended = true;
  if (machine->on_ended) machine->on_ended(machine->context, machine->reason);
  __builtin_longjmp(machine->escape, 1);
}

// ---- Life ------------------------------------------------------------------------------------------

static u32 page_up(u64 length) { return (u32)((length + PAGE - 1) & ~(u64)(PAGE - 1)); }

static void first_run(struct skerry *machine) {
  outside was = OUTSIDE;
  if (RUNS(machine)) {
    kernel_instantiate();
    kernel_init();
  }
  COME_BACK(was);
}

static u64 clock_read(clockid_t which) {
  struct timespec time;
  clock_gettime(which, &time);
  return (u64)time.tv_sec * 1000000000 + (u64)time.tv_nsec;
}

struct skerry *skerry_start(const struct skerry_config *config) {
  u32 ram = config && config->ram ? config->ram : 64 * MIB;
  size_t words = config && config->command_line ? strnlen(config->command_line, COMMAND_LINE_MOST + 1) : 0;
  if (!config || config->mac[0] & 1 || ram < 16 * MIB || ram > 2048u * MIB || words > COMMAND_LINE_MOST ||
      config->pack_length > 1024 * MIB || (config->pack_length && !config->pack) ||
      config->links > SKERRY_LINKS_MOST || kernel_instance_bytes > BELOW / 2) {
    errno = EINVAL;
    return NULL;
  }
  u32 command_line = KERNEL_PAGES << 16;
  u32 scratch = command_line + COMMAND_LINE_MOST;
  u32 pack = scratch + SCRATCH;
  u32 start = pack + page_up(config->pack_length);
  u64 end = ((u64)start + ram + 65535) & ~65535ull;

  u8 *at = mmap(NULL, BELOW + WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return NULL;
  u8 *base = at + BELOW;
  if (mprotect(at, BELOW, PROT_READ | PROT_WRITE) ||
      mprotect(base + PAGE, end - PAGE, PROT_READ | PROT_WRITE)) {
    munmap(at, BELOW + WINDOW);
    errno = ENOMEM;
    return NULL;
  }
  // A machine of many connections touches memory in no order: fewer, larger pages are found sooner. One
  // that is small gains nothing, and would take whole ones.
  if (ram >= LARGE_PAGES_FROM) madvise(base + start, ram, MADV_HUGEPAGE);
  struct skerry *machine = (struct skerry *)at;
  machine->self = machine;
  *(u8 **)(base + WASM_INSTANCE_OFFSET) = base + WASM_INSTANCE_OFFSET;
  machine->memory = (struct wasm_memory){.base = base, .bytes = end, .limit = end >> 16};
  machine->real_clock = config->real_clock;
  machine->clock = config->real_clock ? clock_read(CLOCK_MONOTONIC) : 0;
  machine->random = config->seed;
  machine->command_line = command_line;
  machine->command_line_length = (u32)words;
  machine->scratch = scratch;
  machine->pack = config->pack_length ? pack : 0;
  machine->pack_length = config->pack_length;
  machine->ram = start;
  machine->ram_length = ram & ~(PAGE - 1);
  machine->console = config->console;
  machine->on_ended = config->ended;
  machine->context = config->context;
  if (words) memcpy(base + command_line, config->command_line, words);
  if (config->pack_length) memcpy(base + pack, config->pack, config->pack_length);
  links_start(machine, config);

  first_run(machine);
  if (machine->has_ended) {
    skerry_stop(machine);
    errno = ECANCELED;
    return NULL;
  }
  return machine;
}

void skerry_stop(struct skerry *machine) {
  if (machine) munmap(machine, BELOW + WINDOW);
}

uint64_t skerry_step(struct skerry *machine) {
  if (machine->has_ended) return SKERRY_NEVER;
  outside was = OUTSIDE;
  volatile u64 deadline = SKERRY_NEVER;
  links_finish(machine);
  if (RUNS(machine)) deadline = kernel_step();
  COME_BACK(was);
  return deadline;
}

void skerry_power_off(struct skerry *machine) {
  if (machine->has_ended) return;
  outside was = OUTSIDE;
  if (RUNS(machine)) kernel_powerOff();
  COME_BACK(was);
}

int32_t skerry_syscall(struct skerry *machine, uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2,
                       uint32_t a3, uint32_t a4) {
  if (machine->has_ended) return -ESHUTDOWN;
  outside was = OUTSIDE;
  volatile int32_t result = -ESHUTDOWN;
  if (RUNS(machine)) result = (int32_t)kernel_syscall(number, a0, a1, a2, a3, a4);
  COME_BACK(was);
  return result;
}

struct skerry_memory skerry_memory(struct skerry *machine) {
  return (struct skerry_memory){machine->memory.base + machine->scratch, machine->scratch, SCRATCH};
}

const char *skerry_ended(const struct skerry *machine) {
  return machine->has_ended ? machine->reason : NULL;
}

// ---- Time ------------------------------------------------------------------------------------------

uint64_t skerry_now(const struct skerry *machine) {
  return machine->real_clock ? clock_read(CLOCK_MONOTONIC) - machine->clock : machine->clock;
}

int skerry_advance(struct skerry *machine, uint64_t ns) {
  if (machine->has_ended) return -ESHUTDOWN;
  if (machine->real_clock || ns >= SKERRY_NEVER - machine->clock) return -EINVAL;
  machine->clock += ns;
  return 0;
}

u64 host_monotonic(void) { return skerry_now(host_machine()); }

// A virtual clock belongs to no date.
u64 host_wallClock(void) { return host_machine()->real_clock ? clock_read(CLOCK_REALTIME) : 0; }

// ---- The other calls of the host interface -----------------------------------------------------------

// SplitMix64 (Steele, Lea, Flood, 2014): enough to make runs differ and repeat.
static u64 random_next(struct skerry *machine) {
  u64 z = machine->random += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

void host_entropy(u32 into, u32 length) {
  struct skerry *machine = host_machine();
  u8 *bytes = machine->memory.base + into;
  if (machine->random) {
    for (u32 i = 0; i < length; i++) bytes[i] = (u8)random_next(machine);
    return;
  }
  while (length) {
    ssize_t got = getrandom(bytes, length, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      snprintf(machine->reason, sizeof machine->reason, "panic: getrandom: %s", strerror(errno));
      machine_leave(machine);
    }
    bytes += got;
    length -= (u32)got;
  }
}

/// `BootInfo` of kernel/host.ts.
struct boot_info {
  u32 kind, command_line_length, command_line, pack, pack_length, setup, setup_length, rsdp, ram, ram_length, machine_kib;
  u64 boot_ns;
};

void host_bootInfo(u32 into) {
  const struct skerry *machine = host_machine();
  *(struct boot_info *)(machine->memory.base + into) = (struct boot_info){
      .kind = 3, // HostKind.Process
      .command_line_length = machine->command_line_length,
      .command_line = machine->command_line,
      .pack = machine->pack,
      .pack_length = machine->pack_length,
      .ram = machine->ram,
      .ram_length = machine->ram_length,
      .machine_kib = machine->ram_length >> 10,
  };
}

void host_consoleWrite(u32 text, u32 length) {
  struct skerry *machine = host_machine();
  if (!machine->console) return;
  machine->console(machine->context, (const char *)machine->memory.base + text, length);
  machine_enter(machine); // the callback may have run another machine
}

void host_exit(u32 code) {
  struct skerry *machine = host_machine();
  snprintf(machine->reason, sizeof machine->reason, "exit %u", code);
  machine_leave(machine);
}

void host_restart(void) {
  struct skerry *machine = host_machine();
  snprintf(machine->reason, sizeof machine->reason, "restart");
  machine_leave(machine);
}

void host_panic(u32 text, u32 length) {
  struct skerry *machine = host_machine();
  snprintf(machine->reason, sizeof machine->reason, "panic: %.*s", (int)(length < 200 ? length : 200),
           (const char *)machine->memory.base + text);
  machine_leave(machine);
}

void wasm_trap(enum wasm_trap_kind kind) {
  struct skerry *machine = host_machine();
  snprintf(machine->reason, sizeof machine->reason, "trap: %s", wasm_trap_text(kind));
  machine_leave(machine);
}

/// Memory is as large as it is from the start.
_Bool wasm_memory_resize(struct wasm_memory *memory, u64 bytes) { return bytes <= memory->bytes; }
