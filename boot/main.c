// The whole life of the machine, in order.

#include "boot.h"

#define NEVER (~0ull)
#define GROW_AFTER 250000000u // ns

// Called by entry.S: EAX and EBX as the loader left them, where the image lies, the TSC at entry.
void boot_main(u32 magic, u32 information, u32 offset, u64 tsc_at_entry) {
  load_offset = offset;
  console_start();
  traps_start();
  boot_info_read(magic, information);
  acpi_read();
  paging_start();
  screen_show();
  guest_start();
  interrupts_start();
  timer_start();
  clock_start(tsc_at_entry);
  timer_calibrate();
  entropy_start();

  kernel_instantiate();
  kernel_init();

  // The emulator's TLB takes a third of a whole boot to grow: first come those who wait for an answer.
  for (u64 grow_at = host_monotonic() + GROW_AFTER;;) {
    const u64 deadline = kernel_step();
    sleep_until(deadline < grow_at ? deadline : grow_at);
    if (grow_at == NEVER || host_monotonic() < grow_at) continue;
    paging_grow_emulator_tlb();
    grow_at = NEVER;
  }
}
