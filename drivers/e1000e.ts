import { delay } from "../kernel/clock";
import { MICROSECOND, MILLISECOND } from "../kernel/timer";
import { Bus } from "./bus";
import { Device, InterruptKind } from "./device";
import { readAddress } from "./intel/address";
import { startNic } from "./intel/life";
import { Chip, IntelNic } from "./intel/nic";
import {
  CAUSE_LSC,
  CTRL,
  CTRL_RST,
  INTERRUPT_INTERVAL,
  STATUS,
  TCTL,
  TIPG,
} from "./intel/registers";
import { quiet, settle } from "./intel/reset";
import { PciFunction, pciCapability, pciRead32, pciWrite32 } from "./pci";
import { pciId, registerChip } from "./registry";

/**
 * Intel 82574L Gigabit Ethernet. Sections refer to the "82574 GbE Controller Family Datasheet" (317694).
 * Here is what sets it apart from the 8254x: PCI Express, interrupts by MSI-X, and how it is reset;
 * drivers/intel/ has what all of Intel's gigabit controllers share. Descriptors are the legacy ones for
 * receiving and the extended ones for sending (7.1.4, 7.2.3), as on the 8254x.
 *
 * Limits: frames of at most 1,522 bytes, one queue each way, no VLAN offload, no wake-up.
 */

/** Device control and status (10.2.2.1, 10.2.2.2). */
const CTRL_GIO_MASTER_DISABLE: u32 = 1 << 2;
const STATUS_GIO_MASTER_ENABLE: u32 = 1 << 19;

/** EEPROM control (10.2.2.3): the NVM has been read after a reset. */
const EECD: u32 = 0x0010;
const EECD_AUTO_RD: u32 = 1 << 9;

/** Extended control (10.2.2.5). */
const CTRL_EXT: u32 = 0x0018;
const CTRL_EXT_EIAME: u32 = 1 << 24;
const CTRL_EXT_IAME: u32 = 1 << 27;
const CTRL_EXT_DRV_LOAD: u32 = 1 << 28;
const CTRL_EXT_PBA: u32 = 1 << 31;

/** Who may use the management bus, which the MAC's reset must not cut off (10.2.2, 4.6). */
const EXTCNF_CTRL: u32 = 0x0f00;
const EXTCNF_CTRL_MDIO_SW: u32 = 1 << 5;

/** Interrupts (10.2.4): the timers of all but MSI-X and of MSI-X's vector 0, causes to vectors. */
const ITR: u32 = 0x00c4;
const EIAC: u32 = 0x00dc;
const IVAR: u32 = 0x00e4;
const EITR0: u32 = 0x00e8;
const IVAR_RXQ0: u32 = 8 << 0;
const IVAR_TXQ0: u32 = 8 << 8;
const IVAR_OTHER: u32 = 8 << 16;
const CAUSE_RXQ0: u32 = 1 << 20;
const CAUSE_OTHER: u32 = 1 << 24;

/** Receive (10.2.5): absolute delay, and the filter that would tell of each ACK. */
const RADV: u32 = 0x282c;
const RFCTL: u32 = 0x5008;
const RFCTL_ACK_DIS: u32 = 1 << 12;

/** Transmit (10.2.6): what reads ahead, gaps, and when descriptors are written back. */
const TCTL_MULR: u32 = 1 << 28;
const TCTL_RRTHRESH: u32 = 3 << 29;
const TIPG_GAPS: u32 = 8 | (8 << 10) | (6 << 20);
const TXDCTL: u32 = 0x3828;
const TXDCTL_WTHRESH_1: u32 = 1 << 16;
const TXDCTL_COUNT_DESC: u32 = 1 << 22;
const TXDCTL_GRAN: u32 = 1 << 24;

/** PCI Express: what Intel's specification update has set against completions that are lost. */
const GCR: u32 = 0x5b00;
const GCR_ERRATUM: u32 = 1 << 22;
const GCR2: u32 = 0x5b64;
const GCR2_ERRATUM: u32 = 1 << 0;
/** PCI Express capability and its link control (PCI Express Base 2.0, 7.8.7). */
const CAPABILITY_EXPRESS: u32 = 0x10;
const LINK_CONTROL: u32 = 0x10;
const LINK_CONTROL_ASPM: u32 = 3;

function start(entry: PciFunction, device: Device): bool {
  leaveAspm(entry);
  return startNic(entry, device, Chip.I82574, resetChip, readAddress, configure);
}

/** In a link that dozes (L0s, L1) the chip may hang: specification update, erratum 20. */
function leaveAspm(entry: PciFunction): void {
  const express = pciCapability(entry, CAPABILITY_EXPRESS);
  if (!express) return;
  const control = pciRead32(entry.address, express + LINK_CONTROL);
  // The upper half is status, of which a written 1 would clear bits.
  if (control & LINK_CONTROL_ASPM) {
    pciWrite32(entry.address, express + LINK_CONTROL, control & 0xffff & ~LINK_CONTROL_ASPM);
  }
}

/** Waits until the bits of a register are as wanted, for at most `ns`. */
function waitFor(nic: IntelNic, register: u32, bits: u32, set: bool, ns: u64): void {
  for (let waited: u64 = 0; waited < ns; waited += 50 * MICROSECOND) {
    if (((nic.read(register) & bits) != 0) == set) return;
    delay(50 * MICROSECOND);
  }
}

function resetChip(nic: IntelNic): void {
  quiet(nic);
  // Requests on the bus come to an end first (3.1.3.10).
  nic.write(CTRL, nic.read(CTRL) | CTRL_GIO_MASTER_DISABLE);
  waitFor(nic, STATUS, STATUS_GIO_MASTER_ENABLE, false, 80 * MILLISECOND);
  nic.write(EXTCNF_CTRL, nic.read(EXTCNF_CTRL) | EXTCNF_CTRL_MDIO_SW);
  waitFor(nic, EXTCNF_CTRL, EXTCNF_CTRL_MDIO_SW, true, 10 * MILLISECOND);
  nic.write(CTRL, nic.read(CTRL) | CTRL_RST);
  delay(MILLISECOND);
  waitFor(nic, EECD, EECD_AUTO_RD, true, 10 * MILLISECOND);
  nic.write(EXTCNF_CTRL, nic.read(EXTCNF_CTRL) & ~EXTCNF_CTRL_MDIO_SW);
  settle(nic, CTRL_GIO_MASTER_DISABLE);
}

function configure(nic: IntelNic): void {
  nic.write(GCR, nic.read(GCR) | GCR_ERRATUM);
  nic.write(GCR2, nic.read(GCR2) | GCR2_ERRATUM);
  nic.write(TIPG, TIPG_GAPS);
  nic.write(TXDCTL, TXDCTL_WTHRESH_1 | TXDCTL_COUNT_DESC | TXDCTL_GRAN);
  // How it reads ahead is as the NVM has it.
  nic.tctl |= nic.read(TCTL) & (TCTL_MULR | TCTL_RRTHRESH);
  nic.write(RADV, 0);
  // A received ACK is no cause of its own, and so not "other" than a packet.
  nic.write(RFCTL, RFCTL_ACK_DIS);

  const extended = nic.read(CTRL_EXT) & ~(CTRL_EXT_EIAME | CTRL_EXT_IAME);
  if (nic.device.interruptKind != InterruptKind.MsiX) {
    nic.write(CTRL_EXT, extended | CTRL_EXT_DRV_LOAD);
    nic.write(ITR, INTERRUPT_INTERVAL);
    return;
  }
  // All causes to vector 0. They stay until they are read, with all masked (10.2.4.1).
  nic.write(CTRL_EXT, extended | CTRL_EXT_DRV_LOAD | CTRL_EXT_PBA);
  nic.write(IVAR, IVAR_RXQ0 | IVAR_TXQ0 | IVAR_OTHER);
  nic.write(EIAC, 0);
  nic.write(EITR0, INTERRUPT_INTERVAL);
  nic.causes = CAUSE_RXQ0 | CAUSE_OTHER | CAUSE_LSC;
  nic.receiveCauses = CAUSE_RXQ0;
}

registerChip("e1000e", Bus.Pci, pciId(0x8086, 0x10d3), "Intel 82574L", start);
