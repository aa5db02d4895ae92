#include "coder.h"

struct bit { u16 slow, fast; };
enum { LENGTHS = 24, CONTEXTS = 17, LETTERS = 32 * 128 };

static struct {
  const u8 *at;
  u32 range, code;
  struct bit kinds[CODER_KINDS][LENGTHS][CONTEXTS], letters[LETTERS];
} coder;

void coder_begin(const u8 *at) {
  struct bit *bits = &coder.kinds[0][0][0];
  for (u32 i = 0; i < CODER_KINDS * LENGTHS * CONTEXTS; i++) bits[i] = (struct bit){1 << 15, 1 << 15};
  for (u32 i = 0; i < LETTERS; i++) coder.letters[i] = (struct bit){1 << 15, 1 << 15};
  coder.at = at + 4;
  coder.range = ~0u;
  coder.code = (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3];
}

static u32 next(struct bit *known) {
  const u32 ones = ((u32)known->slow + known->fast) >> 1 | 1;
  const u32 bound = (coder.range >> 16) * ones;
  const bool bit = coder.code < bound;
  if (bit) {
    coder.range = bound;
    known->fast += (65535 - known->fast) >> 4;
    known->slow += (65535 - known->slow) >> 7;
  } else {
    coder.code -= bound;
    coder.range -= bound;
    known->fast -= known->fast >> 4;
    known->slow -= known->slow >> 7;
  }
  for (; coder.range < 1 << 24; coder.range <<= 8) coder.code = coder.code << 8 | *coder.at++;
  return bit;
}

u32 coder_number(u32 kind) {
  u32 length = 0, value = 1;
  while (length < LENGTHS - 1 && next(&coder.kinds[kind][length][0])) length++;
  for (u32 i = 0; i < length; i++) {
    value = value << 1 | next(&coder.kinds[kind][length][1 + (value < 16 ? value : 0)]);
  }
  return value - 1;
}

int coder_signed(u32 kind) {
  const u32 value = coder_number(kind);
  return (int)(value >> 1 ^ -(value & 1));
}

char coder_letter(char before) {
  u32 node = 1;
  while (node < 128) node = node << 1 | next(&coder.letters[(before & 31) * 128 + node]);
  return (char)(node & 127);
}
