// From an address to "function, file:line", also through inlined calls.
//
// tools/image/symbols.ts makes the table, and describes it; it can only be read from the start, so that is done for
// all frames together. Frames are walked by RBP, as long as they lie on a stack.

#include "coder.h"

enum { MOST_FRAMES = 24, MOST_LINES = 256, RECENT = 32 };

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

// A line of the trace: code of a scope, which is a function, or one inlined into another scope.
struct line {
  u32 scope, number;
  u32 function, file; // names
  struct line *outer; // where it was inlined
};
static struct line lines[MOST_LINES];
static u32 line_count;

struct frame {
  const char *mark;
  u64 address;
  struct line *line; // null if the table does not know it
};
static struct frame frames[MOST_FRAMES + 1];
static u32 frame_count;

static struct line *add_line(u32 scope, u32 number) {
  if (line_count == MOST_LINES) return 0;
  lines[line_count] = (struct line){scope, number, 0, 0, 0};
  return &lines[line_count++];
}

// What stands at each frame's address.
static void find_scopes(void) {
  struct recent scopes = {0};
  u64 row = (u64)image_start, last = 0;
  u32 newest = 0; // from 1
  for (u32 i = 0; i < frame_count; i++)
    if (frames[i].address > last) last = frames[i].address;
  coder_begin((const u8 *)&symbols + symbols.rows);
  for (u32 i = 0; i < symbols.row_count; i++) {
    row += coder_number(STEP);
    if (row > last) break;
    struct met *const met = &scopes.last[0];
    const bool met_before = recall(&scopes, SCOPE, newest);
    met->line = met_before ? met->line + (u32)coder_signed(LINE) : coder_number(FIRST_LINE);
    if (met->index >= newest) newest = met->index + 1;
    for (u32 j = 0; j < frame_count; j++) {
      struct frame *const frame = &frames[j];
      if (row > frame->address) continue;
      if (!frame->line) frame->line = add_line(0, 0);
      frame->line->scope = met->index;
      frame->line->number = met->line;
    }
  }
}

// The functions and files of the lines from `begin` on, and the lines where they were inlined, which are new.
static void find_functions(u32 begin) {
  struct recent functions = {0}, files = {0};
  const u32 end = line_count;
  u32 last = 0, call = 0;
  for (u32 i = begin; i < end; i++)
    if (lines[i].scope > last) last = lines[i].scope;
  coder_begin((const u8 *)&symbols + symbols.scopes);
  for (u32 scope = 0; scope <= last; scope++) {
    recall(&functions, FUNCTION, 0);
    recall(&files, FILE_NAME, 0);
    const u32 up = coder_number(UP);
    if (up) call = coder_number(CALL_LINE);
    for (u32 i = begin; i < end; i++) {
      if (lines[i].scope != scope) continue;
      lines[i].function = functions.last[0].index;
      lines[i].file = files.last[0].index;
      if (up) lines[i].outer = add_line(scope - up, call);
    }
  }
}

static struct { u32 index; u16 at; } found[2 * MOST_LINES];
static u32 found_count;
static char letters[16384]; // of the names found, each with a zero

static const char *name_of(u32 index) {
  for (u32 i = 0; i < found_count; i++)
    if (found[i].index == index) return letters + found[i].at;
  return "?";
}

static void find_names(void) {
  static char name[160];
  u32 last = 0, used = 0;
  found_count = 0;
  for (u32 i = 0; i < line_count; i++) {
    if (lines[i].function > last) last = lines[i].function;
    if (lines[i].file > last) last = lines[i].file;
  }
  coder_begin(symbols.names);
  for (u32 index = 0; index <= last; index++) {
    u32 at = coder_number(SHARED_LETTERS);
    char letter = at ? name[at - 1] : 0;
    while ((letter = coder_letter(letter)))
      if (at < sizeof name - 1) name[at++] = letter;
    name[at++] = 0;
    bool wanted = false;
    for (u32 i = 0; i < line_count && !wanted; i++) wanted = lines[i].function == index || lines[i].file == index;
    if (!wanted || used + at > sizeof letters) continue;
    found[found_count].index = index;
    found[found_count++].at = (u16)used;
    memcpy(letters + used, name, at);
    used += at;
  }
}

// Each table is read once for all frames, but that of scopes, once for each depth of inlining.
static void print_frames(void) {
  line_count = 0;
  find_scopes();
  for (u32 begin = 0, end; begin < line_count; begin = end) {
    end = line_count;
    find_functions(begin);
  }
  find_names();
  for (u32 i = 0; i < frame_count; i++) {
    print("    %s", frames[i].mark);
    if (!frames[i].line) print(" %llx\n", frames[i].address);
    for (const struct line *line = frames[i].line; line; line = line->outer) {
      if (line != frames[i].line) print("      ");
      print(" %s  ", name_of(line->function));
      print("%s:%llu\n", name_of(line->file), (u64)line->number);
    }
  }
}

static bool is_code(u64 address) { return address >= (u64)image_start && address < (u64)code_end; }

static bool is_stack(u64 address) {
  const u64 start = (u64)kernel_stack_guard, end = (u64)ist_stacks + IST_STACKS * (PAGE + IST_STACK_BYTES);
  if (address % 8) return false;
  return guest_is_stack(address) || (address >= start && address <= end - 16 && !paging_is_guard(address));
}

static void add_frame(const char *mark, u64 address) { frames[frame_count++] = (struct frame){mark, address, 0}; }

void backtrace(u64 rip, u64 rsp, u64 rbp) {
  frame_count = 0;
  if (is_code(rip)) add_frame("at", rip);
  else if (is_stack(rsp)) add_frame("by", *(const u64 *)rsp - 1); // a call into nowhere
  for (u32 i = 0; i < MOST_FRAMES && is_stack(rbp); i++) {
    const u64 *frame = (const u64 *)rbp;
    const bool code = is_code(frame[1]);
    if (code) add_frame("by", frame[1] - 1);
    rbp = code && frame[0] > rbp ? frame[0] : 0;
  }
  print_frames();
  if (is_stack(rbp)) print("    and so on\n");
}
