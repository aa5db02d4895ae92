/**
 * The host of translated modules under test: a Linux process that reads calls from standard input,
 * one a line (the entry's number, then its arguments as 32 hex digits each), and answers each with
 * its results or its trap. The generated `entries` say what there is to call.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

#define WINDOW ((8ull << 30) + 65536)
#define BELOW (1ull << 20)

static sigjmp_buf trapped;

#ifdef WASM_STACK_CHECK
uintptr_t wasm_stack_limit;
#endif

_Noreturn void wasm_trap(enum wasm_trap_kind kind) { siglongjmp(trapped, (int)kind + 1); }

_Noreturn static void die(const char *what) {
  perror(what);
  exit(70);
}

/** Address space that faults, with `below` accessible bytes ahead of what is returned. */
static u8 *reserve(u64 below, u64 size) {
  u8 *at = mmap(0, below + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) die("mmap");
  if (below > 0 && mprotect(at, below, PROT_READ | PROT_WRITE)) die("mprotect");
  return at + below;
}

#ifdef WASM_PLACE
static u8 *window;

static void onFault(int number) {
  (void)number;
  siglongjmp(trapped, WASM_TRAP_MEMORY + 1);
}

static void prepare(void) {
  window = reserve(BELOW, WINDOW);
  *(u8 **)(window + WASM_INSTANCE_OFFSET) = window + WASM_INSTANCE_OFFSET;
#ifdef WASM_MEMORY_REGISTER
  wasm_base = window;
#else
  if (syscall(SYS_arch_prctl, ARCH_SET_GS, window)) die("arch_prctl");
#endif
  static u8 stack[65536];
  sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, 0);
  sigaction(SIGSEGV, &(struct sigaction){.sa_handler = onFault, .sa_flags = SA_ONSTACK | SA_NODEFER}, 0);
}
#else
static void prepare(void) {}
#endif

_Bool wasm_memory_resize(struct wasm_memory *memory, u64 bytes) {
#ifdef WASM_PLACE
  memory->base = window;
#else
  if (!memory->base) memory->base = reserve(0, 4ull << 30);
#endif
  // A test that asks for gigabytes is answered as a small machine would.
  if (bytes > (1ull << 30)) return 0;
  if (bytes > memory->bytes &&
      mprotect(memory->base + memory->bytes, bytes - memory->bytes, PROT_READ | PROT_WRITE))
    return 0;
  memory->bytes = bytes;
  return 1;
}

_Bool wasm_table_resize(struct wasm_table *table, u32 size) {
  if (size > 10000000) return 0;
  const void **elements = realloc(table->elements, size * sizeof *elements);
  if (!elements) return 0;
  table->elements = elements;
  return 1;
}

u64 hashMemory(const struct wasm_memory *memory) {
  u64 hash = 0xcbf29ce484222325;
  for (u64 i = 0; i < memory->bytes; i += 8) {
    u64 word;
    memcpy(&word, memory->base + i, 8);
    hash = (hash ^ word) * 0x100000001b3;
    hash ^= hash >> 29;
  }
  return hash ^ memory->bytes;
}

void logValue(const char *what, union wasm_slot value, int bytes) {
  printf("log %s ", what);
  for (int i = bytes - 1; i >= 0; i--) printf("%02x", value.bytes[i]);
  printf("\n");
}

static void perform(char *line) {
  union wasm_slot slots[64];
  char *rest;
  const struct entry *entry = &entries[strtoul(line, &rest, 10)];
  memset(slots, 0, sizeof slots);
  for (int i = 0; *rest == ' ' && i < 64; i++) {
    rest++;
    for (int j = 15; j >= 0; j--, rest += 2) {
      char digits[3] = {rest[0], rest[1], 0};
      slots[i].bytes[j] = (u8)strtoul(digits, 0, 16);
    }
  }
  int kind = sigsetjmp(trapped, 0);
  if (kind) {
    printf("trap %s\n", wasm_trap_text((enum wasm_trap_kind)(kind - 1)));
    return;
  }
  entry->thunk(entry->code, slots);
  printf("ok");
  for (int i = 0; i < entry->results; i++) {
    printf(" ");
    for (int j = 15; j >= 0; j--) printf("%02x", slots[i].bytes[j]);
  }
  printf("\n");
}

int main(void) {
  static char line[64 * 33 + 16];
  prepare();
#ifdef WASM_STACK_CHECK
  wasm_stack_limit = (uintptr_t)__builtin_frame_address(0) - (4u << 20);
#endif
  while (fgets(line, sizeof line, stdin)) perform(line);
  return 0;
}
