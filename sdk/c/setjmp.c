// <setjmp.h>: half of it.

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void longjmp(jmp_buf at, int value) {
  (void)at;
  fprintf(stderr, "longjmp(%d): a guest cannot jump back\n", value);
  abort();
}

_Noreturn void siglongjmp(sigjmp_buf at, int value) { longjmp(at, value); }
_Noreturn void _longjmp(jmp_buf at, int value) { longjmp(at, value); }
