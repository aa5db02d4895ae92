import { dmaWrite64, dmaWriteBarrier, mmioMap, mmioRead32 } from "../../kernel/host";
import { error } from "../../kernel/log";
import { Device, Feature } from "../device";
import { deviceMemory } from "../device-memory";
import { pciInterrupt } from "../msi";
import { PciBar, PciFunction, pciBar, pciEnable } from "../pci";
import { fillSlots, freeSlots } from "../receive-slots";
import { Chip, IntelNic, NO_CONTEXT, nicOf } from "./nic";
import { poll, receivePacket, setReceiveMode } from "./receive";
import {
  REGISTERS,
  STATUS,
  STATUS_FD,
  STATUS_LU,
  STATUS_SPEED_SHIFT,
  GONE,
  ICR,
  IMS,
  IMC,
  CAUSE_LSC,
  CAUSE_RXO,
  CAUSE_RXT0,
  CAUSES,
  RDBAL,
  RDBAH,
  RDLEN,
  RDH,
  RDT,
  RDTR,
  RECEIVE_BUFFER,
  TCTL,
  TCTL_EN,
  TCTL_PSP,
  TCTL_CT,
  TCTL_COLD,
  TDBAL,
  TDBAH,
  TDLEN,
  TDH,
  TDT,
  TIDV,
  RXCSUM,
  RXCSUM_IPOFL,
  RXCSUM_TUOFL,
  MTA,
  MTA_WORDS,
  RAL0,
  RAH0,
  RAH_AV,
  CRCERRS,
  ALGNERRC,
  SYMERRS,
  RXERRC,
  MPC,
  ECOL,
  LATECOL,
  GPRC,
  RUC,
  RFC,
  ROC,
  RJC,
  DESCRIPTOR_SHIFT,
  RECEIVE_RING,
  TRANSMIT_RING,
} from "./registers";
import { freeTransmit, reclaim, transmit } from "./transmit";

/**
 * A device's life, in its order: start, rings, link, interrupts, the check once a second, reset, stop.
 * What families do differently is in drivers/e1000.ts and drivers/e1000e.ts.
 */

// ---- Start -------------------------------------------------------------------------------

const bar = changetype<PciBar>(memory.data(offsetof<PciBar>(), 8));

/**
 * Starts a NIC of a family, which has its own way to reset the chip, to find its address, and to
 * configure it once the rings are there (`IntelNic`).
 */
export function startNic(
  entry: PciFunction,
  device: Device,
  chip: Chip,
  resetChip: (nic: IntelNic) => void,
  readAddress: (nic: IntelNic) => u64,
  configure: (nic: IntelNic) => void,
): bool {
  pciBar(entry, 0, bar);
  if (bar.io || bar.size < REGISTERS || bar.base == 0) {
    return fail("BAR 0 is no assigned memory of 128 KiB; does the firmware set up PCI?");
  }
  const registers = mmioMap(bar.base, REGISTERS);
  if (!registers) return fail("the registers cannot be mapped");
  pciEnable(entry);
  if (mmioRead32(registers + STATUS) == GONE) return fail("the registers do not answer");
  const nic = changetype<IntelNic>(deviceMemory(device, offsetof<IntelNic>(), 64));
  if (!changetype<usize>(nic) || !takeMemory(nic, device)) {
    return fail("no memory for its rings: give the machine more RAM (MEM=)");
  }
  nic.device = device;
  nic.registers = registers;
  nic.chip = chip;
  nic.resetOp = resetChip.index;
  nic.addressOp = readAddress.index;
  nic.configureOp = configure.index;
  nic.causes = CAUSES;
  nic.receiveCauses = CAUSE_RXT0 | CAUSE_RXO;
  nic.tctl = TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD;
  device.context = changetype<usize>(nic);

  nic.resetChip();
  const mac = nic.readAddress();
  if (!mac) return fail("no valid address in EEPROM or receive address register");
  if (!fillSlots(nic.receivePackets, RECEIVE_RING, RECEIVE_BUFFER))
    return fail("no packets for its receive ring: give the machine more RAM (MEM=)");

  device.mac = mac;
  device.features = Feature.ReceiveChecksum | Feature.TransmitChecksum | Feature.ChecksumAnywhere;
  if (chip != Chip.I82544) device.features |= Feature.Segmentation;
  // An 8254x does not cut IPv6 for Linux's driver either, and QEMU's counts the header into the payload length.
  if (chip == Chip.I82574) device.features |= Feature.Segmentation6;
  device.mtu = 1500;
  device.serve(transmit, poll, setInterrupts, check, setReceiveMode, reset, stop);
  // The 8254x keep to their line: those that have a message have errata with it, too.
  if (chip == Chip.I82574) pciInterrupt(entry, device);
  bringUp(nic);
  readLink(nic);
  return true;
}

function fail(reason: string): bool {
  error("intel").text(reason).end();
  return false;
}

// ---- Rings (3.2.6, 3.4) ------------------------------------------------------------------

/** Takes the memory of both rings and what goes with them; false when there is none. */
function takeMemory(nic: IntelNic, device: Device): bool {
  nic.receiveRing = deviceMemory(device, RECEIVE_RING << DESCRIPTOR_SHIFT, 128);
  nic.receivePackets = deviceMemory(device, RECEIVE_RING << 2, 64);
  nic.transmitRing = deviceMemory(device, TRANSMIT_RING << DESCRIPTOR_SHIFT, 128);
  nic.transmitPackets = deviceMemory(device, TRANSMIT_RING << 2, 64);
  nic.reports = deviceMemory(device, TRANSMIT_RING, 64);
  nic.multicast = deviceMemory(device, MTA_WORDS << 2, 64);
  nic.multicastNew = deviceMemory(device, MTA_WORDS << 2, 64);
  if (!nic.receiveRing || !nic.receivePackets || !nic.transmitRing) return false;
  return nic.transmitPackets && nic.reports && nic.multicast && nic.multicastNew ? true : false;
}

/** Programs a device that has been reset and lets it run (14.4, 14.5). */
function bringUp(nic: IntelNic): void {
  const mac = nic.device.mac;
  nic.write(RAL0, bswap<u32>(<u32>(mac >> 16)));
  nic.write(RAH0, RAH_AV | bswap<u16>(<u16>mac));
  for (let i: u32 = 0; i < MTA_WORDS; i++) nic.write(MTA + (i << 2), 0);
  memory.fill(nic.multicast, 0, MTA_WORDS << 2);

  for (let i: u32 = 0; i < RECEIVE_RING; i++) {
    const at = nic.receiveRing + (i << DESCRIPTOR_SHIFT);
    dmaWrite64(at, receivePacket(nic, i).slot);
    dmaWrite64(at + 8, 0);
  }
  nic.receiveNext = 0;
  nic.receiveOwed = 0;
  nic.discarding = false;
  nic.write(RDBAL, <u32>nic.receiveRing);
  nic.write(RDBAH, 0);
  nic.write(RDLEN, RECEIVE_RING << DESCRIPTOR_SHIFT);
  nic.write(RDH, 0);
  // A tail that equals the head means none: one descriptor always stays with the driver.
  dmaWriteBarrier();
  nic.write(RDT, RECEIVE_RING - 1);
  nic.write(RXCSUM, RXCSUM_IPOFL | RXCSUM_TUOFL);

  memory.fill(nic.transmitRing, 0, TRANSMIT_RING << DESCRIPTOR_SHIFT);
  nic.transmitNext = 0;
  nic.transmitClean = 0;
  nic.reportHead = 0;
  nic.reportTail = 0;
  nic.sinceReport = 0;
  nic.context = NO_CONTEXT;
  nic.segmented = false;
  nic.write(TDBAL, <u32>nic.transmitRing);
  nic.write(TDBAH, 0);
  nic.write(TDLEN, TRANSMIT_RING << DESCRIPTOR_SHIFT);
  nic.write(TDH, 0);
  nic.write(TDT, 0);

  // A packet ends a sleep at once; how often that may happen is for the family's timer to say.
  nic.write(RDTR, 0);
  nic.write(TIDV, 0);
  nic.configure();
  dmaWriteBarrier();
  nic.write(TCTL, nic.tctl);
  nic.rctl = 0;
  setReceiveMode(nic.device);
}

// ---- Link (8.6, 13.4.2) ------------------------------------------------------------------

/** Takes over what the device says of the link. */
function readLink(nic: IntelNic): void {
  const status = nic.read(STATUS);
  const code = (status >> STATUS_SPEED_SHIFT) & 3;
  nic.device.setLink(
    status != GONE && (status & STATUS_LU) != 0,
    code == 0 ? 10 : code == 1 ? 100 : 1000,
    (status & STATUS_FD) != 0,
  );
}

// ---- Interrupts (13.4.17 to 13.4.21) -------------------------------------------------------

/**
 * On: causes that came while the driver was polling are forgotten first, since they would end
 * the sleep at once; the caller polls once more. Off: the cause is read, which lowers the line.
 */
function setInterrupts(device: Device, on: bool): void {
  const nic = nicOf(device);
  if (!on) nic.write(IMC, 0xffff_ffff);
  const cause = nic.read(ICR);
  if (on) nic.write(IMS, nic.causes);
  else if (cause & nic.causes) {
    device.interrupts++;
    if (cause & nic.receiveCauses) device.receiveInterrupts++;
  }
  if (cause & CAUSE_LSC) readLink(nic);
}

// ---- Check -------------------------------------------------------------------------------

/** Once a second: link and statistics; what was sent is freed, though nothing else calls for it. */
function check(device: Device, _now: u64): void {
  const nic = nicOf(device);
  readLink(nic);
  readStatistics(nic);
  reclaim(nic);
}

/** Adds what the device counted since it was last read. */
function readStatistics(nic: IntelNic): void {
  if (nic.read(STATUS) == GONE) return;
  const device = nic.device;
  device.receiveArrived += nic.read(GPRC);
  device.receiveDropped += nic.read(MPC);
  // A frame is counted in one of these: damaged, or too short or too long with or without damage.
  device.receiveErrors += nic.read(CRCERRS);
  device.receiveErrors += nic.read(ALGNERRC);
  device.receiveErrors += nic.read(SYMERRS);
  device.receiveErrors += nic.read(RXERRC);
  device.receiveErrors += nic.read(RUC);
  device.receiveErrors += nic.read(RFC);
  device.receiveErrors += nic.read(ROC);
  device.receiveErrors += nic.read(RJC);
  device.transmitErrors += nic.read(ECOL);
  device.transmitErrors += nic.read(LATECOL);
}

/** Back to a working device. What was on its way out is lost, and sent again by who still needs it. */
function reset(device: Device): void {
  const nic = nicOf(device);
  readStatistics(nic);
  nic.resetChip();
  device.transmitErrors += freeTransmit(nic, nic.transmitNext);
  device.resets++;
  bringUp(nic);
  readLink(nic);
}

/** No more DMA and no more interrupts; every packet of the rings goes back. */
function stop(device: Device): void {
  const nic = nicOf(device);
  nic.resetChip();
  freeTransmit(nic, nic.transmitNext);
  freeSlots(nic.receivePackets, RECEIVE_RING);
}
