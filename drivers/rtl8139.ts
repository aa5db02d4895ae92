import { config } from "../kernel/config";
import { mmioMap, mmioRead32 } from "../kernel/host";
import { error } from "../kernel/log";
import { Bus } from "./bus";
import { Device, Feature } from "./device";
import { deviceMemory } from "./device-memory";
import { PciBar, PciFunction, pciBar, pciEnable } from "./pci";
import { pciId, registerChip } from "./registry";
import {
  EARLY_STEP,
  Rtl8139,
  nicOf,
  readAddress,
  readLink,
  readMissed,
  resetChip,
  setInterrupts,
  writeAddress,
} from "./rtl8139/chip";
import * as classic from "./rtl8139/classic";
import * as cplus from "./rtl8139/cplus";
import {
  CR,
  CR_RE,
  CR_TE,
  ISR,
  ISR_FOVW,
  ISR_ROK,
  ISR_RXOVW,
  MAR0,
  MAR4,
  MULINT,
  RCR,
  RCR_AAP,
  RCR_AB,
  RCR_AM,
  RCR_APM,
  RCR_MXDMA_256,
  RCR_MXDMA_UNLIMITED,
  RCR_RBLEN_64K,
  RCR_RXFTH_512,
  RCR_RXFTH_FRAME,
  REGISTERS,
  TCR,
  TCR_IFG,
  TCR_MXDMA_1024,
} from "./rtl8139/registers";

/**
 * Realtek RTL8139 Fast Ethernet, in the mode that the chip has: the classic one of one receive ring
 * and four transmit buffers (rtl8139/classic.ts), or the C+ one of descriptor rings
 * (rtl8139/cplus.ts). Here is what a device's life is made of; rtl8139/registers.ts names the
 * data sheets.
 *
 * Limits: frames of at most 1,518 bytes, no VLAN offload, no wake-up. Interrupts need no moderation:
 * they only end sleeps. (TIMERINT, the one means of it, would be two register writes a sleep.)
 */

// ---- Start -------------------------------------------------------------------------------

const bar = changetype<PciBar>(memory.data(offsetof<PciBar>(), 8));

function startClassic(entry: PciFunction, device: Device): bool {
  return start(entry, device, false);
}

function startCplus(entry: PciFunction, device: Device): bool {
  if (config.rtl8139Classic) device.model = CLASSIC;
  return start(entry, device, !config.rtl8139Classic);
}

function start(entry: PciFunction, device: Device, inCplus: bool): bool {
  pciBar(entry, 1, bar);
  if (bar.io || bar.size < REGISTERS || bar.base == 0) {
    return fail("BAR 1 is no assigned memory of 256 bytes; does the firmware set up PCI?");
  }
  const registers = mmioMap(bar.base, REGISTERS);
  if (!registers) return fail("the registers cannot be mapped");
  pciEnable(entry);
  if (mmioRead32(registers + TCR) == 0xffff_ffff) return fail("the registers do not answer");

  const nic = takeMemory(device, inCplus);
  if (nic === null) return fail("no memory for its rings: give the machine more RAM (MEM=)");
  nic.device = device;
  nic.registers = registers;
  nic.early = EARLY_STEP;
  device.context = changetype<usize>(nic);
  return bringToLife(nic);
}

function bringToLife(nic: Rtl8139): bool {
  const device = nic.device;
  if (!resetChip(nic)) return fail("its reset does not end");
  device.mac = readAddress(nic);
  if (!device.mac) return fail("no valid address in its EEPROM");
  device.mtu = 1500;
  if (nic.cplus) {
    if (!cplus.fillRing(nic)) {
      return fail("no packets for its receive ring: give the machine more RAM (MEM=)");
    }
    device.features = Feature.ReceiveChecksum | Feature.TransmitChecksum | Feature.Segmentation;
    device.serve(cplus.transmit, cplus.poll, setInterrupts, check, setReceiveMode, reset, stop);
  } else {
    device.features = 0;
    device.serve(classic.transmit, classic.poll, setInterrupts, check, setReceiveMode, reset, stop);
  }
  bringUp(nic);
  readLink(nic);
  return true;
}

function fail(reason: string): bool {
  error("rtl8139").text(reason).end();
  return false;
}

/** Memory for a NIC in either mode; null without any. */
function takeMemory(device: Device, inCplus: bool): Rtl8139 | null {
  const nic = changetype<Rtl8139>(deviceMemory(device, offsetof<Rtl8139>(), 64));
  if (!changetype<usize>(nic)) return null;
  nic.cplus = inCplus;
  const whole = inCplus ? cplus.takeRings(nic, device) : classic.takeBuffers(nic, device);
  return whole ? nic : null;
}

/** Programs a chip that has been reset and lets it run. */
function bringUp(nic: Rtl8139): void {
  writeAddress(nic);
  if (nic.cplus) cplus.openRings(nic);
  else classic.openBuffers(nic);
  nic.cleanAtCheck = 0;
  nic.mask = 0;
  nic.rcr = 0;
  nic.write8(CR, CR_RE | CR_TE);
  nic.write32(TCR, TCR_IFG | TCR_MXDMA_1024);
  nic.write16(MULINT, 0);
  setReceiveMode(nic.device);
}

// ---- Receive filter (5.8) --------------------------------------------------------------------

/** Applies the device's list of groups, `promiscuous` and `allMulticast`. */
function setReceiveMode(device: Device): void {
  const nic = nicOf(device);
  let groups: u64 = 0;
  for (let i: u32 = 0; i < device.multicastCount; i++) {
    const bit = multicastHash(load<u64>(device.multicast + (i << 3)));
    groups |= (<u64>1) << bit;
  }
  if (device.promiscuous || device.allMulticast) groups = u64.MAX_VALUE;
  nic.write32(MAR0, <u32>groups);
  nic.write32(MAR4, <u32>(groups >> 32));
  let rcr = RCR_APM | RCR_AM | RCR_AB;
  if (device.promiscuous) rcr |= RCR_AAP;
  if (nic.cplus) rcr |= RCR_RXFTH_512 | RCR_MXDMA_256;
  else rcr |= RCR_RXFTH_FRAME | RCR_MXDMA_UNLIMITED | RCR_RBLEN_64K;
  if (rcr == nic.rcr) return;
  nic.rcr = rcr;
  // In the classic mode QEMU's chip begins its ring anew at a write of RCR; so that all do, we say so.
  if (nic.cplus) nic.write32(RCR, rcr);
  else classic.restartReceiver(nic);
}

/** The top 6 bits of the address's CRC (IEEE 802.3, 3.2.9), not reflected and not inverted. */
function multicastHash(mac: u64): u32 {
  let crc: u32 = 0xffff_ffff;
  for (let shift: i32 = 40; shift >= 0; shift -= 8) {
    let byte = (<u32>(mac >> shift)) & 0xff;
    for (let bit = 0; bit < 8; bit++) {
      const carry = (crc >>> 31) ^ (byte & 1);
      crc <<= 1;
      byte >>= 1;
      if (carry) crc ^= 0x04c1_1db7;
    }
  }
  return crc >>> 26;
}

// ---- Check, reset, stop ----------------------------------------------------------------------

/** Once a second: link and losses; nudges what may wait for a nudge that has been lost. */
function check(device: Device, _now: u64): void {
  const nic = nicOf(device);
  readLink(nic);
  readMissed(nic);
  // An overflow that no poll has seen would leave the receiver waiting.
  if (nic.read16(ISR) & (ISR_RXOVW | ISR_FOVW)) nic.write16(ISR, ISR_ROK | ISR_RXOVW | ISR_FOVW);
  if (nic.transmitClean != nic.transmitNext) {
    if (nic.cplus) cplus.reclaim(nic);
    else classic.reclaim(nic);
  }
  // A doorbell that comes while the chip ends a round through its ring may go unheard.
  const stuck = nic.transmitClean != nic.transmitNext && nic.transmitClean == nic.cleanAtCheck;
  nic.cleanAtCheck = nic.transmitClean;
  if (stuck && nic.cplus) cplus.ring(nic);
}

/** Frees what was on its way out; returns how many packets. The chip is reset. */
function freeTransmit(nic: Rtl8139): u32 {
  return nic.cplus ? cplus.freeTransmit(nic) : classic.freeTransmit(nic);
}

/** Back to a working device. What was on its way out is lost, and sent again by who still needs it. */
function reset(device: Device): void {
  const nic = nicOf(device);
  readMissed(nic);
  if (!resetChip(nic)) error("rtl8139").text("the reset does not end").end();
  device.transmitErrors += freeTransmit(nic);
  device.resets++;
  bringUp(nic);
  readLink(nic);
}

/** No more DMA and no more interrupts; every packet of the rings goes back. */
function stop(device: Device): void {
  const nic = nicOf(device);
  resetChip(nic);
  freeTransmit(nic);
  if (nic.cplus) cplus.freeReceive(nic);
}

// ---- Chips -----------------------------------------------------------------------------------

/** Revisions of the one id: from here on it is a C+. */
const REVISION_CPLUS: u32 = 0x20;
const CLASSIC: string = "Realtek RTL8139";

registerChip(
  "rtl8139",
  Bus.Pci,
  pciId(0x10ec, 0x8139),
  CLASSIC,
  startClassic,
  0,
  REVISION_CPLUS - 1,
);
registerChip(
  "rtl8139",
  Bus.Pci,
  pciId(0x10ec, 0x8139),
  "Realtek RTL8139C+",
  startCplus,
  REVISION_CPLUS,
);
// The same chip by other names: CardBus, and on the cards of D-Link (DFE-538TX) and Accton.
registerChip("rtl8139", Bus.Pci, pciId(0x10ec, 0x8138), CLASSIC, startClassic);
registerChip("rtl8139", Bus.Pci, pciId(0x1186, 0x1300), CLASSIC, startClassic);
registerChip("rtl8139", Bus.Pci, pciId(0x1113, 0x1211), CLASSIC, startClassic);
