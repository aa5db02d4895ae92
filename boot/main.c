// The whole life of the machine, in order.

#include "boot.h"

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
  paging_grow_emulator_tlb();
  while (true) sleep_until(kernel_step());
}
