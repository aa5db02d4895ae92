// The end of the machine.
//
//   host_exit(0)      switches off: QEMU ends with status 0
//   host_exit(1..99)  through QEMU's isa-debug-exit (port 0xf4), where it is: QEMU's status is
//                     2 * code + 1; else switches off
//   host_panic, wasm_trap, CPU exceptions: as codes 100, 101, 102, so status 201, 203, 205. Then a
//                     real machine halts, its message on the screen; a virtual one switches off

#include "boot.h"
#include "cpu.h"

// QEMU's device reads as zero, an empty port as all ones; on a real machine the port was the 287's.
static void debug_exit(u32 code) {
  const u32 port = 0xf4;
  if (cpu_is_virtual() && host_portIn8(port) == 0) host_portOut8(port, code);
}

// ACPI 4.8.3.2.1 (PM1 control) and 4.8.3.7 (sleep control), with the types that \_S5 gave.
static void switch_off(void) {
  enum { SLP_EN = 1 << 13, SLP_TYP_SHIFT = 10, SCI_EN = 1, CONTROL_SLP_EN = 1 << 5, CONTROL_TYP_SHIFT = 2 };
  volatile u8 *control = acpi.sleep_control ? paging_map_device(acpi.sleep_control) : NULL;
  if (control) *control = (u8)(acpi.sleep_type[0] << CONTROL_TYP_SHIFT | CONTROL_SLP_EN);
  for (u32 i = 0; i < 2; i++) {
    if (!acpi.pm1_control[i]) continue;
    const u32 kept = host_portIn16(acpi.pm1_control[i]) & SCI_EN;
    host_portOut16(acpi.pm1_control[i], kept | (u32)acpi.sleep_type[i] << SLP_TYP_SHIFT | SLP_EN);
  }
}

void power_stop(enum exit_code code) {
  console_flush();
  if (code) debug_exit(code);
  if (code <= EXIT_HIGHEST || cpu_is_virtual()) switch_off();
  if (cpu_is_virtual() && !acpi.sleep_control && !acpi.pm1_control[0]) {
    debug_exit(code); // code 0 comes here too: status 1
    const u8 no_idt[10] = {0};
    __asm__ volatile("lidt %0; ud2" ::"m"(no_idt)); // or a reset, by a triple fault
  }
  while (true) __asm__ volatile("cli; hlt");
}

void host_exit(u32 code) { power_stop(code < EXIT_HIGHEST ? code : EXIT_HIGHEST); }
