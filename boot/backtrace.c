// From an address to "function, file:line", also through inlined calls.
//
// tools/image/symbols.ts makes the table, and describes it; this reads it from the start, which is
// fast enough for what happens once. Frames are walked by RBP, as long as they lie on a stack.

#include "boot.h"

enum { MOST_FRAMES = 24 };
static const u8 *at; // what `number` reads next

static u32 number(void) { // LEB128
  u32 value = 0;
  for (u32 shift = 0;; shift += 7) {
    const u8 byte = *at++;
    value |= (u32)(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

static u32 difference(void) { // zigzag; sums wrap
  const u32 value = number();
  return value >> 1 ^ -(value & 1);
}

static const char *string(u32 index) {
  const char *text = symbols.strings;
  for (; index; text++) index -= !*text;
  return text;
}

struct place { u32 scope, file, line; }; // a scope is a function, or one inlined into another scope

// Prints the function at `p`, and makes `p` the place where it was inlined. False if it was not.
static bool print_scope(struct place *p) {
  u32 up = 0, function = 0, file = 0, line = 0;
  at = (const u8 *)&symbols + symbols.scopes;
  for (u32 i = 0; i <= p->scope; i++) {
    up = number();
    function = number();
    if (!up) continue;
    file = number();
    line = number();
  }
  print(" %s  %s:%llu\n", string(function), string(p->file), (u64)p->line);
  *p = (struct place){p->scope - up, file, line};
  return up;
}

static void print_address(const char *mark, u64 address) {
  struct place p = {0, 0, 0}, found = p;
  u64 row = (u64)image_start;
  bool known = false;
  at = (const u8 *)&symbols + symbols.rows;
  for (u32 i = 0; i < symbols.row_count; i++) {
    const u32 step = number();
    row += step >> 2;
    if (row > address) break;
    if (step & 1) p.scope += difference();
    if (step & 2) p.file += difference();
    p.line += difference();
    found = p;
    known = true;
  }
  print("    %s", mark);
  if (!known) print(" %llx\n", address);
  while (known && print_scope(&found)) print("      ");
}

static bool is_code(u64 address) { return address >= (u64)image_start && address < (u64)code_end; }

static bool is_stack(u64 address) {
  const u64 start = (u64)kernel_stack_guard, end = (u64)ist_stacks + IST_STACKS * (PAGE + IST_STACK_BYTES);
  if (address % 8) return false;
  return guest_is_stack(address) || (address >= start && address <= end - 16 && !paging_is_guard(address));
}

void backtrace(u64 rip, u64 rsp, u64 rbp) {
  if (is_code(rip)) print_address("at", rip);
  else if (is_stack(rsp)) print_address("by", *(const u64 *)rsp - 1); // a call into nowhere
  for (u32 i = 0; i < MOST_FRAMES && is_stack(rbp); i++) {
    const u64 *frame = (const u64 *)rbp;
    if (!is_code(frame[1])) return;
    print_address("by", frame[1] - 1);
    rbp = frame[0] > rbp ? frame[0] : 0;
  }
  if (is_stack(rbp)) print("    and so on\n");
}
