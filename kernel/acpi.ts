import { boot } from "./memory";

/**
 * ACPI's tables (ACPI Specification 6.4, 5.2), found through the RSDP that the host hands on. Only what
 * stands in plain tables is read: no AML is run. A table that is not what it says counts as absent.
 */

/** Common head of all tables (5.2.6): signature, length, revision, checksum. */
export const ACPI_HEAD: u32 = 36;
const LENGTH: u32 = 4;

/** Longer ones hold AML, or lie. */
const LENGTH_MAX: u32 = 1 << 20;

/** Fixed description table (5.2.9), and where it says that the DSDT is: in 32 bits and, later, in 64. */
const FADT: u32 = 0x5043_4146;
const FADT_DSDT: u32 = 40;
const FADT_X_DSDT: u32 = 140;

/** RSDP (5.2.5.3): its first version's bytes, its revision, the two roots. */
const RSDP_SIGNATURE: u64 = 0x2052_5450_2044_5352;
const RSDP_BYTES: u32 = 20;
const RSDP_BYTES_2: u32 = 36;
const RSDP_REVISION: u32 = 15;
const RSDP_RSDT: u32 = 16;
const RSDP_XSDT: u32 = 24;

function sumsToZero(at: usize, length: u32): bool {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < length; i++) sum += load<u8>(at + i);
  return !(sum & 0xff);
}

/** The table at a physical address if it is sound, else 0. */
function soundTable(physical: u64): usize {
  if (physical < 4096 || physical > <u64>(u32.MAX_VALUE - ACPI_HEAD)) return 0;
  const length = load<u32>(<usize>physical, LENGTH);
  if (length < ACPI_HEAD || length > LENGTH_MAX || physical + length > <u64>u32.MAX_VALUE) return 0;
  return sumsToZero(<usize>physical, length) ? <usize>physical : 0;
}

/** Bytes of a table, its head included. */
@inline export function acpiLength(table: usize): u32 {
  return load<u32>(table, LENGTH);
}

/** Address of the first sound table with this signature (its four letters, the first lowest), or 0. */
export function acpiTable(signature: u32): usize {
  const rsdp = boot.rsdp;
  if (!rsdp || load<u64>(rsdp) != RSDP_SIGNATURE || !sumsToZero(rsdp, RSDP_BYTES)) return 0;
  const wide = load<u8>(rsdp, RSDP_REVISION) >= 2 && sumsToZero(rsdp, RSDP_BYTES_2);
  const width: u32 = wide ? 8 : 4;
  const root = soundTable(wide ? load<u64>(rsdp, RSDP_XSDT) : load<u32>(rsdp, RSDP_RSDT));
  if (!root) return 0;
  for (let at = ACPI_HEAD; at + width <= acpiLength(root); at += width) {
    const table = soundTable(wide ? load<u64>(root + at) : load<u32>(root + at));
    if (table && load<u32>(table) == signature) return table;
  }
  return 0;
}

/** Address of the DSDT (5.2.11.1), whose AML is the machine's own description, or 0. */
export function acpiDsdt(): usize {
  const fadt = acpiTable(FADT);
  if (!fadt || acpiLength(fadt) < FADT_DSDT + 4) return 0;
  const wide = acpiLength(fadt) < FADT_X_DSDT + 8 ? 0 : load<u64>(fadt, FADT_X_DSDT);
  return soundTable(wide ? wide : load<u32>(fadt, FADT_DSDT));
}
