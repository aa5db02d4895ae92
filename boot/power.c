// The end of the machine.
//
//   host_exit(0)       switches off: QEMU ends with status 0
//   host_exit(1..99)   QEMU's isa-debug-exit device (port 0xf4), where there is one, makes this
//                      QEMU's status: 2 * code + 1. Without the device, switches off
//   panic              as code 100: status 201
//   trap of the kernel as code 101: status 203
//   exception          as code 102: status 205
//
// After the last three a real machine, with its message on the screen, halts; a virtual one
// switches off, so that what started it can go on.

#include "boot.h"
#include "cpu.h"

#define DEBUG_EXIT_PORT 0xf4u

static bool is_virtual(void) { return cpuid(1).ecx & 1u << 31; }

// QEMU's device reads as zero, an empty port as all ones; on a real machine the port was the 287's.
static void debug_exit(u32 code) {
  if (is_virtual() && host_portIn8(DEBUG_EXIT_PORT) == 0) host_portOut8(DEBUG_EXIT_PORT, code);
}

// ACPI 4.8.3.2.1 (PM1 control) and 4.8.3.7 (sleep control), with the types that \_S5 gave.
static void switch_off(void) {
  enum { SLP_EN = 1 << 13, SLP_TYP_SHIFT = 10, SCI_EN = 1, CONTROL_SLP_EN = 1 << 5, CONTROL_TYP_SHIFT = 2 };
  if (acpi.sleep_control) {
    volatile u8 *control = paging_map_device(acpi.sleep_control);
    *control = (u8)(acpi.sleep_type_a << CONTROL_TYP_SHIFT | CONTROL_SLP_EN);
  }
  if (acpi.pm1a_control) {
    u32 kept = host_portIn16(acpi.pm1a_control) & SCI_EN;
    host_portOut16(acpi.pm1a_control, kept | (u32)acpi.sleep_type_a << SLP_TYP_SHIFT | SLP_EN);
  }
  if (acpi.pm1b_control) {
    u32 kept = host_portIn16(acpi.pm1b_control) & SCI_EN;
    host_portOut16(acpi.pm1b_control, kept | (u32)acpi.sleep_type_b << SLP_TYP_SHIFT | SLP_EN);
  }
}

__attribute__((noreturn)) static void halt(void) {
  while (true) __asm__ volatile("cli; hlt");
}

void power_stop(enum exit_code code) {
  console_flush();
  if (code) debug_exit(code);
  if (code <= EXIT_HIGHEST || is_virtual()) {
    switch_off();
    debug_exit(code); // reached with code 0 where there is no ACPI: status 1
    if (is_virtual()) host_portOut8(0x64, 0xfe); // the keyboard controller's reset line
  }
  halt();
}

void host_exit(u32 code) { power_stop(code < EXIT_HIGHEST ? code : EXIT_HIGHEST); }
