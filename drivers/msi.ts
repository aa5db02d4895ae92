import { interruptMessage, mmioMap, mmioRead32, mmioWrite32 } from "../kernel/host";
import { Device, InterruptKind, LINES, NO_LINE } from "./device";
import {
  COMMAND,
  COMMAND_INTX_OFF,
  PciBar,
  PciFunction,
  pciBar,
  pciCapability,
  pciRead32,
  pciWrite32,
} from "./pci";

/**
 * Which interrupt a PCI function gets (PCI Local Bus Specification 3.0, 6.8). A message is the
 * device's own and cannot be misrouted, so it is preferred to a line: from a table first (MSI-X),
 * since each of its vectors can be masked and it may lie anywhere.
 */

/** Capability ids (PCI appendix H). */
const CAPABILITY_MSI: u32 = 0x05;
const CAPABILITY_MSIX: u32 = 0x11;

/** MSI: message control in the upper half of the first word (6.8.1.3), then address, data, mask. */
const MSI_ENABLE: u32 = 1 << 16;
const MSI_MULTIPLE: u32 = 7 << 20;
const MSI_64: u32 = 1 << 23;
const MSI_MASKABLE: u32 = 1 << 24;

/** MSI-X: message control (6.8.2.3), then where the table is: a BAR and an offset in it (6.8.2.4). */
const MSIX_SIZE: u32 = 0x7ff;
const MSIX_MASKED: u32 = 1 << 30;
const MSIX_ENABLE: u32 = 1 << 31;
const MSIX_TABLE: u32 = 4;
const MSIX_BAR: u32 = 7;

/** A table entry: address, its upper half, data, vector control (6.8.2.6 to 6.8.2.9). */
const ENTRY_BYTES: u32 = 16;
const ENTRY_MASKED: u32 = 1 << 0;

const bar = changetype<PciBar>(memory.data(offsetof<PciBar>(), 8));

/**
 * Gives `device` the best interrupt that its function and the host have, and sets `device.line`. To be
 * called at each start, once `pciEnable` has switched its registers on. Of MSI-X it is entry 0, to which
 * the driver then points its causes; the device sends nothing while its own causes are masked.
 */
export function pciInterrupt(entry: PciFunction, device: Device): InterruptKind {
  // One for each place in the table of devices: nothing to hand out or to take back.
  const number = LINES + device.number;
  const message = interruptMessage(number);
  device.line = entry.line;
  device.messageTable = false;
  // Both must not be on together; firmware may have left one so (6.8.3.1).
  const table = pciCapability(entry, CAPABILITY_MSIX);
  const single = pciCapability(entry, CAPABILITY_MSI);
  if (table) pciWrite32(entry.address, table, pciRead32(entry.address, table) & ~MSIX_ENABLE);
  if (single) pciWrite32(entry.address, single, pciRead32(entry.address, single) & ~MSI_ENABLE);
  if (message) {
    if (table && openTable(entry, table, message)) device.messageTable = true;
    else if (single) openSingle(entry, single, message);
    else return device.interruptKind;
    device.line = number;
    const command = pciRead32(entry.address, COMMAND) & 0xffff;
    pciWrite32(entry.address, COMMAND, command | COMMAND_INTX_OFF);
  }
  return device.interruptKind;
}

/** Points entry 0 at the message and masks the others. False if the table cannot be reached. */
function openTable(entry: PciFunction, capability: u32, message: u64): bool {
  const address = entry.address;
  const control = pciRead32(address, capability);
  const entries = ((control >> 16) & MSIX_SIZE) + 1;
  const table = mapped(entry, pciRead32(address, capability + MSIX_TABLE), entries * ENTRY_BYTES);
  if (!table) return false;
  // Entries may be written only while the function or the entry is masked.
  pciWrite32(address, capability, control | MSIX_ENABLE | MSIX_MASKED);
  for (let i: u32 = 0; i < entries; i++) {
    const at = table + i * ENTRY_BYTES + 12;
    mmioWrite32(at, mmioRead32(at) | ENTRY_MASKED);
  }
  mmioWrite32(table, <u32>message);
  mmioWrite32(table + 4, 0);
  mmioWrite32(table + 8, <u32>(message >> 32));
  mmioWrite32(table + 12, mmioRead32(table + 12) & ~ENTRY_MASKED);
  pciWrite32(address, capability, (control & ~MSIX_MASKED) | MSIX_ENABLE);
  return true;
}

/** The address of what the capability names, or 0 if it is not `length` bytes of memory. */
function mapped(entry: PciFunction, place: u32, length: u32): usize {
  const offset = place & ~MSIX_BAR;
  pciBar(entry, place & MSIX_BAR, bar);
  if (bar.io || !bar.base || bar.size < <u64>offset + length) return 0;
  return mmioMap(bar.base + offset, length);
}

/** The one message of MSI: the device was granted just one (multiple message enable 0). */
function openSingle(entry: PciFunction, capability: u32, message: u64): void {
  const address = entry.address;
  const control = pciRead32(address, capability) & ~(MSI_ENABLE | MSI_MULTIPLE);
  pciWrite32(address, capability + 4, <u32>message);
  let data = capability + 8;
  if (control & MSI_64) {
    pciWrite32(address, data, 0);
    data += 4;
  }
  // Beside the data are 16 reserved bits, which are to be kept.
  const kept = pciRead32(address, data) & 0xffff_0000;
  pciWrite32(address, data, kept | (<u32>(message >> 32)));
  if (control & MSI_MASKABLE) {
    const mask = pciRead32(address, data + 4);
    pciWrite32(address, data + 4, mask & ~1);
  }
  pciWrite32(address, capability, control | MSI_ENABLE);
}
