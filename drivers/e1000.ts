import { delay } from "../kernel/clock";
import { MICROSECOND, MILLISECOND } from "../kernel/timer";
import { Bus } from "./bus";
import { Device } from "./device";
import { readAddress } from "./intel/address";
import { startNic } from "./intel/life";
import { Chip, IntelNic } from "./intel/nic";
import { CTRL, CTRL_RST, INTERRUPT_INTERVAL, TIPG } from "./intel/registers";
import { quiet, settle } from "./intel/reset";
import { PciFunction } from "./pci";
import { pciId, registerChip } from "./registry";

/**
 * Intel 8254x Gigabit Ethernet. Sections refer to the "PCI/PCI-X Family of Gigabit Ethernet
 * Controllers Software Developer's Manual" (317453). Here is what its families have for themselves:
 * reset, address, interrupt timer; drivers/intel/ has what all of Intel's gigabit controllers share.
 *
 * Limits: frames of at most 1,522 bytes, one receive queue, no VLAN offload, no segmentation of
 * IPv6, and none at all on the 82544, whose PCI-X errata make demands on where buffers end.
 */

/** Bits of CTRL (13.4.1) that only these have: link reset, inverted loss of signal. */
const CTRL_LRST: u32 = 1 << 3;
const CTRL_ILOS: u32 = 1 << 7;

/** Least time between two interrupts (13.4.18), and delay of the receive interrupt (13.4.30); not on the 82544. */
const ITR: u32 = 0x00c4;
const RADV: u32 = 0x282c;

/** Gaps between frames (13.4.34): IPGT 10, or 8 on the 82544; IPGR1 8, IPGR2 6. */
const TIPG_GAPS: u32 = 10 | (8 << 10) | (6 << 20);
const TIPG_GAPS_82544: u32 = 8 | (8 << 10) | (6 << 20);

function start(entry: PciFunction, device: Device): bool {
  return startNic(entry, device, Chip.I8254x, resetChip, readAddress, configure);
}

function start82544(entry: PciFunction, device: Device): bool {
  return startNic(entry, device, Chip.I82544, resetChip, readAddress, configure);
}

function configure(nic: IntelNic): void {
  if (nic.chip == Chip.I82544) {
    nic.write(TIPG, TIPG_GAPS_82544);
    return;
  }
  nic.write(TIPG, TIPG_GAPS);
  nic.write(RADV, 0);
  nic.write(ITR, INTERRUPT_INTERVAL);
}

function resetChip(nic: IntelNic): void {
  quiet(nic);
  // What is on the bus comes to an end before the reset cuts it off.
  delay(10 * MICROSECOND);
  nic.write(CTRL, nic.read(CTRL) | CTRL_RST);
  // RST takes a microsecond, reading the EEPROM after it up to five milliseconds.
  delay(5 * MILLISECOND);
  settle(nic, CTRL_LRST | CTRL_ILOS);
}

// The ids: 5.2, table 5-1.
registerChip("e1000", Bus.Pci, pciId(0x8086, 0x100e), "Intel 82540EM", start);
registerChip("e1000", Bus.Pci, pciId(0x8086, 0x100f), "Intel 82545EM", start);
registerChip("e1000", Bus.Pci, pciId(0x8086, 0x1008), "Intel 82544EI", start82544);
registerChip("e1000", Bus.Pci, pciId(0x8086, 0x100c), "Intel 82544GC", start82544);
