// One program for each way to go wrong: FAULT says which.
#include <sched.h>
#include <stdint.h>

static volatile int zero;
static int identity(int value) { return value; }
static void *volatile function = (void *)identity;

// Its frames have nothing in linear memory: what overflows is the machine's stack.
static int (*volatile again)(int);
static int deep(int n) { return n ? again(n - 1) + 1 : zero; }

int main(void) {
  switch (FAULT) {
    case 0: return *(volatile int *)(uintptr_t)0x70000000;
    case 1: return *(volatile int *)(uintptr_t)0xfffffffc;
    case 2: __builtin_trap();
    case 3: return 5 / zero;
    case 4: return (int)((double (*)(double))function)(1.0);
    case 5: again = deep; return deep(1 << 30);
    case 7: // until it has a server's good name
      for (int i = 0; i < 2000; i++) sched_yield();
      // fallthrough
    default:
      for (volatile double x = 1;;) x = x * 1.0000001;
  }
}
