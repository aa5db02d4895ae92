// The little of ACPI that is needed: how to switch off and to start anew, which timer there is, which
// pages hold tables. ACPI specification 6.4: 5.2.5 (RSDP), 5.2.7/8 (RSDT, XSDT), 5.2.9 (FADT), 7.4.2
// (\_S5). Read while the low 4 GiB is mapped as it is. A table that lies is as good as absent, but the
// kernel may read that it does: all that are named are kept, and mapped, or the kernel is told of none.

#include "boot.h"

struct acpi acpi;

struct table { char signature[4]; u32 length; u8 rest_of_header[28]; };

static bool sums_to_zero(const void *bytes, u32 length) {
  u8 total = 0;
  for (u32 i = 0; i < length; i++) total += ((const u8 *)bytes)[i];
  return !total;
}

// The table at `physical`, or NULL if it is not sound. The kernel, too, will look whether it is: what it
// reads to find out is noted, to be mapped.
static const struct table *table_at(u64 physical) {
  const struct table *table = (const struct table *)physical;
  if (physical < PAGE || physical > LOW_END - sizeof *table) return NULL;
  if (acpi.table_count == sizeof acpi.tables / sizeof *acpi.tables) return has_rsdp = false, NULL;
  const u32 length = table->length;
  const bool sane = length >= sizeof *table && length <= 1u << 20 && physical + length < LOW_END;
  acpi.tables[acpi.table_count++] = (struct range){physical, physical + (sane ? length : sizeof *table)};
  return sane && sums_to_zero(table, length) ? table : NULL;
}

static u64 field(const struct table *table, u32 offset, u32 bytes) {
  u64 value = 0;
  if (offset + bytes <= table->length) memcpy(&value, (const u8 *)table + offset, bytes);
  return value;
}

// What to write to the sleep registers for "off" is in AML, in a package named _S5_. Its encoding is
// so regular that it can be found without an interpreter: name, package, length, count, two numbers.
static void read_s5(const struct table *dsdt) {
  enum { BYTE_PREFIX = 0x0a, PACKAGE = 0x12 };
  const u8 *aml = (const u8 *)dsdt;
  for (u32 at = sizeof *dsdt; at + 11 <= dsdt->length; at++) {
    if (memcmp(aml + at, "_S5_", 4) || aml[at + 4] != PACKAGE) continue;
    at += 5 + 1 + (aml[at + 5] >> 6) + 1; // past the length, whose top bits count its further bytes
    for (u32 i = 0; i < 2 && at + 2 <= dsdt->length; i++) {
      if (aml[at] == BYTE_PREFIX) at++;
      acpi.sleep_type[i] = aml[at++] & 7;
    }
    return;
  }
}

static void read_fadt(const struct table *fadt) {
  enum { DSDT = 40, PM1A_CNT_BLK = 64, PM1B_CNT_BLK = 68, PM_TMR_BLK = 76, CENTURY = 108, FLAGS = 112 };
  enum { SMI_CMD = 48, ACPI_ENABLE = 52, RESET_REG = 116, RESET_VALUE = 128, RESET_REG_SUP = 1 << 10 };
  enum { X_DSDT = 140, SLEEP_CONTROL_REG = 244, GAS_ADDRESS = 4, HW_REDUCED_ACPI = 1 << 20 };
  acpi.century = (u8)field(fadt, CENTURY, 1);
  if (field(fadt, FLAGS, 4) & RESET_REG_SUP)
    acpi.reset = (struct reset){(u8)field(fadt, RESET_REG, 1), (u8)field(fadt, RESET_VALUE, 1),
                                field(fadt, RESET_REG + GAS_ADDRESS, 8)};
  if (field(fadt, FLAGS, 4) & HW_REDUCED_ACPI) {
    const u64 control = field(fadt, SLEEP_CONTROL_REG + GAS_ADDRESS, 8);
    if (control < LOW_END && field(fadt, SLEEP_CONTROL_REG, 1) == 0) acpi.sleep_control = (u32)control;
  } else {
    acpi.pm1_control[0] = (u16)field(fadt, PM1A_CNT_BLK, 4);
    acpi.pm1_control[1] = (u16)field(fadt, PM1B_CNT_BLK, 4);
    acpi.pm_timer = (u16)field(fadt, PM_TMR_BLK, 4);
    acpi.smi_command = (u16)field(fadt, SMI_CMD, 4);
    acpi.enable = (u8)field(fadt, ACPI_ENABLE, 1);
  }
  const u64 wide = field(fadt, X_DSDT, 8);
  const struct table *dsdt = table_at(wide ? wide : field(fadt, DSDT, 4));
  if (dsdt) read_s5(dsdt);
}

void acpi_read(void) {
  const u8 *rsdp = boot_page.rsdp;
  has_rsdp = has_rsdp && !memcmp(rsdp, "RSD PTR ", 8) && sums_to_zero(rsdp, 20);
  if (!has_rsdp) return;
  const bool extended = rsdp[15] >= 2 && sums_to_zero(rsdp, 36);
  const u32 width = extended ? 8 : 4;
  u64 root = 0;
  memcpy(&root, rsdp + (extended ? 24 : 16), width);
  const struct table *list = table_at(root);
  for (u32 at = sizeof *list; list && at + width <= list->length; at += width) {
    const struct table *table = table_at(field(list, at, width));
    if (table && !memcmp(table->signature, "FACP", 4)) read_fadt(table);
  }
}
