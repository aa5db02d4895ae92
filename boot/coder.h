#pragma once
// The reader of what tools/image/coder.ts writes: bits of which the likely ones cost little. It learns what is
// likely as it reads, so each table begins anew, and one at a time is read.

#include "boot.h"

enum { CODER_KINDS = 24 };

void coder_begin(const u8 *at);
u32 coder_number(u32 kind); // a kind is below CODER_KINDS
int coder_signed(u32 kind);
char coder_letter(char before);
