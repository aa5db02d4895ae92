// Copying and filling, eight bytes a step: vector registers are not the kernel's to use, and under
// emulation a `rep movsb` costs a step for each byte.

#include "boot.h"

typedef u64 __attribute__((may_alias, aligned(1))) word;
typedef u32 __attribute__((may_alias, aligned(1))) half;

static inline void copy32(u8 *d, const u8 *s) {
  const word *w = (const word *)s;
  const u64 a = w[0], b = w[1], c = w[2], e = w[3];
  ((word *)d)[0] = a, ((word *)d)[1] = b, ((word *)d)[2] = c, ((word *)d)[3] = e;
}

void *memmove(void *to, const void *from, size_t bytes) {
  u8 *d = to;
  const u8 *s = from;
  if ((u64)d - (u64)s < bytes) { // the destination begins inside the source
    for (; bytes >= 8; bytes -= 8) *(word *)(d + bytes - 8) = *(const word *)(s + bytes - 8);
    while (bytes--) d[bytes] = s[bytes];
    return to;
  }
  for (; bytes >= 64; bytes -= 64, d += 64, s += 64) copy32(d, s), copy32(d + 32, s + 32);
  if (bytes & 32) copy32(d, s), d += 32, s += 32;
  for (; bytes % 32 >= 8; bytes -= 8, d += 8, s += 8) *(word *)d = *(const word *)s;
  if (bytes & 4) *(half *)d = *(const half *)s, d += 4, s += 4;
  if (bytes & 2) *d++ = *s++, *d++ = *s++;
  if (bytes & 1) *d = *s;
  return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
  return memmove(to, from, bytes);
}

void *memset(void *to, int value, size_t bytes) {
  u8 *d = to;
  const u64 pattern = (u8)value * 0x0101010101010101u;
  for (; bytes >= 32; bytes -= 32, d += 32) {
    word *w = (word *)d;
    w[0] = pattern, w[1] = pattern, w[2] = pattern, w[3] = pattern;
  }
  for (; bytes >= 8; bytes -= 8, d += 8) *(word *)d = pattern;
  while (bytes--) *d++ = (u8)value;
  return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
  const u8 *x = a, *y = b;
  while (bytes && *x == *y) bytes--, x++, y++;
  return bytes ? *x - *y : 0;
}
