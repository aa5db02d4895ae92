// From an address to "function, file:line", also through inlined calls.
//
// The table is made by tools/image/symbols.ts, where its form is described; this reads it from the
// start to the address, which is fast enough for something that happens once. Frames are walked by
// RBP (the image is compiled with -fno-omit-frame-pointer), and only as long as they lie on a stack.

#include "boot.h"

enum { MOST_FRAMES = 24 };

static const u8 *at; // what `number` reads next

static u64 number(void) { // LEB128
  u64 value = 0;
  for (u32 shift = 0;; shift += 7) {
    u8 byte = *at++;
    value |= (u64)(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

static int64_t signed_number(void) { // zigzag
  u64 value = number();
  return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static const char *string(u64 index) {
  const u8 *text = symbols_start + 12;
  while (index--) {
    while (*text++) continue;
  }
  return (const char *)text;
}

// A function, as it was inlined somewhere: into which scope, from which file and line.
struct scope {
  u64 parent, function, file, line;
};

static struct scope scope_at(const u8 *scopes, u64 index) {
  struct scope scope = {0, 0, 0, 0};
  at = scopes;
  for (u64 i = 0; i <= index; i++) {
    u64 up = number();
    scope.function = number();
    scope.parent = up ? i - up : i;
    if (up) {
      scope.file = number();
      scope.line = number();
    }
  }
  return scope;
}

// One line for each function that stands at `address`: the innermost first.
static void print_place(u64 address, const char *mark) {
  const u32 *header = (const u32 *)symbols_start; // offsets of scopes and rows, count of rows
  u64 row_address = (u64)image_start, found_scope = 0, found_file = 0, found_line = 0;
  u64 scope = 0, file = 0;
  int64_t line = 0;
  bool found = false;
  if (symbols_end - symbols_start > 12) {
    at = symbols_start + header[1];
    for (u32 i = 0; i < header[2]; i++) {
      u64 step = number();
      if (step & 1) scope += (u64)signed_number();
      if (step & 2) file += (u64)signed_number();
      line += signed_number();
      row_address += step >> 2;
      if (row_address > address) break;
      found = true;
      found_scope = scope;
      found_file = file;
      found_line = (u64)line;
    }
  }
  if (!found) {
    print("    %s %lx\n", mark, address);
    return;
  }
  while (true) {
    struct scope s = scope_at(symbols_start + header[0], found_scope);
    print("    %s %s  %s:%lu\n", mark, string(s.function), string(found_file), found_line);
    if (s.parent == found_scope) return;
    found_scope = s.parent;
    found_file = s.file;
    found_line = s.line;
    mark = "  ";
  }
}

static bool is_stack(u64 address) {
  return address >= (u64)kernel_stack_guard && address < (u64)ist_stacks + IST_STACKS * (PAGE + IST_STACK_BYTES) - 16 &&
         address % 8 == 0 && !paging_is_guard(address);
}

void backtrace(u64 rip, u64 rsp, u64 rbp) {
  if (paging_is_code(rip)) {
    print_place(rip, "at");
  } else if (is_stack(rsp)) { // a call into nowhere: the return address is all there is
    print_place(*(const u64 *)rsp - 1, "by");
  }
  for (u32 i = 0; i < MOST_FRAMES && is_stack(rbp); i++) {
    const u64 *frame = (const u64 *)rbp;
    if (!paging_is_code(frame[1]) || frame[0] <= rbp) {
      if (paging_is_code(frame[1])) print_place(frame[1] - 1, "by");
      return;
    }
    print_place(frame[1] - 1, "by");
    rbp = frame[0];
  }
  if (is_stack(rbp)) print("    .. and so on\n");
}
