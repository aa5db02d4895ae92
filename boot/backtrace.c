// From an address to "function, file:line", also through inlined calls.
//
// tools/image/symbols.ts makes the table, and describes it; this reads it from the start, which is
// fast enough for what happens once. Frames are walked by RBP, as long as they lie on a stack.

#include "coder.h"

enum { MOST_FRAMES = 24, RECENT = 32 };

enum kind {
  SHARED_LETTERS,
  UP,
  CALL_LINE,
  STEP,
  LINE,
  FIRST_LINE,
  FUNCTION,
  FILE_NAME = FUNCTION + 5,
  SCOPE = FILE_NAME + 5,
};
_Static_assert(SCOPE + 5 <= CODER_KINDS, "kinds");

struct met { u32 index, line; };
struct recent { u32 same; struct met last[RECENT]; };

// The next one, now the first of the last. True if it was among them, with its line.
static bool recall(struct recent *recent, enum kind kind, u32 expected) {
  const u32 place = coder_number(kind + recent->same);
  const bool known = place < RECENT;
  const struct met met = known ? recent->last[place] : (struct met){expected + (u32)coder_signed(kind + 4), 0};
  recent->same = (recent->same << 1 | !place) & 3;
  for (u32 i = known ? place : RECENT - 1; i; i--) recent->last[i] = recent->last[i - 1];
  recent->last[0] = met;
  return known;
}

static void print_name(u32 index) {
  static char name[160];
  coder_begin(symbols.names);
  for (u32 i = 0; i <= index; i++) {
    u32 at = coder_number(SHARED_LETTERS);
    char last = at ? name[at - 1] : 0;
    while ((last = coder_letter(last)))
      if (at < sizeof name - 1) name[at++] = last;
    name[at] = 0;
  }
  print("%s", name);
}

struct place { u32 scope, line; }; // a scope is a function, or one inlined into another scope

// Prints the function at `p`, and makes `p` the place where it was inlined. False if it was not.
static bool print_scope(struct place *p) {
  struct recent functions = {0}, files = {0};
  u32 up = 0, line = 0;
  coder_begin((const u8 *)&symbols + symbols.scopes);
  for (u32 i = 0; i <= p->scope; i++) {
    recall(&functions, FUNCTION, 0);
    recall(&files, FILE_NAME, 0);
    up = coder_number(UP);
    if (up) line = coder_number(CALL_LINE);
  }
  print(" ");
  print_name(functions.last[0].index);
  print("  ");
  print_name(files.last[0].index);
  print(":%llu\n", (u64)p->line);
  *p = (struct place){p->scope - up, line};
  return up;
}

static void print_address(const char *mark, u64 address) {
  struct place found = {0};
  struct recent scopes = {0};
  u64 row = (u64)image_start;
  u32 newest = 0; // from 1
  bool known = false;
  coder_begin((const u8 *)&symbols + symbols.rows);
  for (u32 i = 0; i < symbols.row_count; i++) {
    row += coder_number(STEP);
    if (row > address) break;
    struct met *const met = &scopes.last[0];
    const bool met_before = recall(&scopes, SCOPE, newest);
    met->line = met_before ? met->line + (u32)coder_signed(LINE) : coder_number(FIRST_LINE);
    if (met->index >= newest) newest = met->index + 1;
    found = (struct place){met->index, met->line};
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
