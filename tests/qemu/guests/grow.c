// Asks for memory until there is no more, and then once again; says how much there is.
#include <stdio.h>

int main(void) {
  while (__builtin_wasm_memory_grow(0, 1) != ~0ul) {}
  printf("%lu pages\n", (unsigned long)__builtin_wasm_memory_size(0));
  fflush(stdout);
  return __builtin_wasm_memory_grow(0, 1000) == ~0ul;
}
