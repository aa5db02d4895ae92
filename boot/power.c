// The end of the machine.
//
//   host_exit(0)      switches off: QEMU ends with status 0
//   host_exit(1..99)  through QEMU's isa-debug-exit (port 0xf4), where it is: QEMU's status is
//                     2 * code + 1; else switches off
//   host_restart()    starts the machine anew
//   host_panic, wasm_trap, CPU exceptions: as codes 100, 101, 102, so status 201, 203, 205. Then a
//                     real machine halts, its message on the screen; a virtual one switches off

#include "boot.h"
#include "cpu.h"

// QEMU's device reads as zero, an empty port as all ones; on a real machine the port was the 287's.
static void debug_exit(u32 code) {
  const u32 port = 0xf4;
  if (cpu_is_virtual() && host_portIn8(port) == 0) host_portOut8(port, code);
}

enum { SCI_EN = 1 };

// Some microseconds; the clock may not go yet. No one else is at this port, and a read takes about one.
static void wait(u32 us) {
  while (us--) host_portIn8(0x80);
}

// Until it is told otherwise the firmware keeps these registers to itself (ACPI 4.8.2.1); it does as it is
// told within a moment.
static void own_the_registers(void) {
  if (!acpi.pm1_control[0] || !acpi.smi_command || !acpi.enable) return;
  if (host_portIn16(acpi.pm1_control[0]) & SCI_EN) return;
  host_portOut8(acpi.smi_command, acpi.enable);
  for (u32 i = 0; i < 1000 && !(host_portIn16(acpi.pm1_control[0]) & SCI_EN); i++) wait(1000);
}

// ACPI 4.8.3.2.1 (PM1 control) and 4.8.3.7 (sleep control), with the types that \_S5 gave.
static void switch_off(void) {
  enum { SLP_EN = 1 << 13, SLP_TYP_SHIFT = 10, CONTROL_SLP_EN = 1 << 5, CONTROL_TYP_SHIFT = 2 };
  volatile u8 *control = acpi.sleep_control ? paging_map_device(acpi.sleep_control) : NULL;
  if (control) *control = (u8)(acpi.sleep_type[0] << CONTROL_TYP_SHIFT | CONTROL_SLP_EN);
  own_the_registers();
  for (u32 i = 0; i < 2; i++) {
    if (!acpi.pm1_control[i]) continue;
    const u32 kept = host_portIn16(acpi.pm1_control[i]) & SCI_EN;
    host_portOut16(acpi.pm1_control[i], kept | (u32)acpi.sleep_type[i] << SLP_TYP_SHIFT | SLP_EN);
  }
}

static void triple_fault(void) {
  const u8 no_idt[10] = {0};
  __asm__ volatile("lidt %0; ud2" ::"m"(no_idt));
}

// ACPI's register (4.8.3.6), then the chipset's (82371SB data sheet, 2.4.1: RC), then the keyboard
// controller's line, then an exception that none is left to handle.
void host_restart(void) {
  enum { SPACE_MEMORY, SPACE_PORT, SPACE_PCI, RESET_CONTROL = 0xcf9, SYSTEM_RESET = 0x02, FULL_RESET = 0x06, KEYBOARD = 0x64, PULSE = 0xfe };
  const u64 at = acpi.reset.address;
  console_flush();
  if (acpi.reset.space == SPACE_MEMORY && at >= PAGE) *(volatile u8 *)paging_map_device(at) = acpi.reset.value;
  if (acpi.reset.space == SPACE_PORT && at && at < 0x10000) host_portOut8((u32)at, acpi.reset.value);
  if (acpi.reset.space == SPACE_PCI) { // on bus 0: slot, function and offset, sixteen bits each
    host_portOut32(0xcf8, 0x80000000 | (u32)(at >> 32 & 31) << 11 | (u32)(at >> 16 & 7) << 8 | (at & 0xfc));
    host_portOut8(0xcfc + (at & 3), acpi.reset.value);
  }
  if (at) wait(100000);
  host_portOut8(RESET_CONTROL, SYSTEM_RESET);
  host_portOut8(RESET_CONTROL, FULL_RESET);
  wait(100000);
  host_portOut8(KEYBOARD, PULSE);
  wait(100000);
  triple_fault();
  __builtin_unreachable();
}

void power_stop(enum exit_code code) {
  console_flush();
  if (code) debug_exit(code);
  if (code <= EXIT_HIGHEST || cpu_is_virtual()) switch_off();
  if (cpu_is_virtual() && !acpi.sleep_control && !acpi.pm1_control[0]) {
    debug_exit(code); // code 0 comes here too: status 1
    triple_fault();   // or a reset
  }
  while (true) __asm__ volatile("cli; hlt");
}

void host_exit(u32 code) { power_stop(code < EXIT_HIGHEST ? code : EXIT_HIGHEST); }
