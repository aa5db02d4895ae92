import { delay } from "../../kernel/clock";
import {
  mmioRead16,
  mmioRead32,
  mmioRead8,
  mmioWrite16,
  mmioWrite32,
  mmioWrite8,
} from "../../kernel/host";
import { Packet, PacketQueue } from "../../kernel/packet";
import { MICROSECOND } from "../../kernel/timer";
import { Device } from "../device";
import {
  ANAR,
  ANLPAR,
  AN_100_FULL,
  AN_10_FULL,
  CPCR,
  CR,
  CR9346,
  CR9346_CONFIG,
  CR9346_NORMAL,
  CR_RST,
  IDR0,
  IDR4,
  IMR,
  ISR,
  ISR_FOVW,
  ISR_LINK,
  ISR_RER,
  ISR_ROK,
  ISR_RXOVW,
  ISR_TER,
  ISR_TOK,
  MPC,
  MPC_MASK,
  MSR,
  MSR_LINKB,
  MSR_SPEED_10,
} from "./registers";

/** What both modes of an RTL8139 have in common: its state, reset, address, link and interrupts. */

/** What the driver knows of one NIC. */
@unmanaged
export class Rtl8139 {
  device: Device;
  /** Where the registers are, for `mmio…`. */
  registers: usize;
  /** Descriptor rings, not the classic ring and its four buffers. */
  cplus: bool;
  /** RCR as written; 0 before it is. */
  rcr: u32;
  /** Bytes in the transmit FIFO from which on they are sent, in units of 32. Rises with each underrun. */
  early: u32;

  /** C+: descriptors. Classic: the frames themselves. */
  receiveRing: usize;
  /** C+: of each receive descriptor its packet; there always is one while the NIC runs. */
  receivePackets: usize;
  /** C+: the next descriptor that the chip fills. Classic: offset of the next frame's header. */
  receiveNext: u32;
  /** C+: packets taken out of the ring that `poll` has not passed on yet; a `PacketQueue`. */
  private readyHead: Packet | null;
  private readyTail: Packet | null;
  readyLength: u32;

  /** C+: descriptors. Classic: four buffers. */
  transmitRing: usize;
  /** C+: of each transmit descriptor the packet that ends there, or 0. */
  transmitPackets: usize;
  /** Descriptors or buffers filled, and those of them that are done: running counts. */
  transmitNext: u32;
  transmitClean: u32;
  /** Classic: buffers whose abort has been cleared, a bit each. */
  aborted: u32;

  /** C+: what follows a frame that is too short, without end. */
  zeroes: usize;

  /** `transmitClean` at the last check. */
  cleanAtCheck: u32;
  /** IMR as it was last when interrupts were on. */
  mask: u32;


  @inline get ready(): PacketQueue {
    return changetype<PacketQueue>(changetype<usize>(this) + offsetof<Rtl8139>("readyHead"));
  }


  @inline read8(register: u32): u32 {
    return mmioRead8(this.registers + register);
  }


  @inline read16(register: u32): u32 {
    return mmioRead16(this.registers + register);
  }


  @inline read32(register: u32): u32 {
    return mmioRead32(this.registers + register);
  }


  @inline write8(register: u32, value: u32): void {
    mmioWrite8(this.registers + register, value);
  }


  @inline write16(register: u32, value: u32): void {
    mmioWrite16(this.registers + register, value);
  }


  @inline write32(register: u32, value: u32): void {
    mmioWrite32(this.registers + register, value);
  }
}


@inline export function nicOf(device: Device): Rtl8139 {
  return changetype<Rtl8139>(device.context);
}

/** Bytes of an Ethernet header, of its check sequence, and of the shortest frame without that. */
export const ETHERNET_HEADER: u32 = 14;
export const FCS: u32 = 4;
export const FRAME_LEAST: u32 = 60;

/** The FIFO's threshold to begin with, and what an underrun adds: 256 bytes. */
export const EARLY_STEP: u32 = 8;

/** What a read of 8 bits gives of a device that is no longer there. */
const GONE8: u32 = 0xff;
const GONE16: u32 = 0xffff;
const GONE32: u32 = 0xffff_ffff;

// ---- Reset (5.4) -------------------------------------------------------------------------

/** A reset takes less than a microsecond's worth of PCI cycles; after this many times 10 µs it has failed. */
const RESET_POLLS: u32 = 1000;

/** Silences the chip: no DMA, no interrupts, its rings forgotten. False when the reset does not end. */
export function resetChip(nic: Rtl8139): bool {
  nic.write16(IMR, 0);
  // Only of a chip in C+ mode: the write is what brings it there.
  if (nic.cplus) nic.write16(CPCR, 0);
  nic.write8(CR, CR_RST);
  for (let polls: u32 = 0; polls < RESET_POLLS; polls++) {
    if (!(nic.read8(CR) & CR_RST)) return true;
    delay(10 * MICROSECOND);
  }
  return false;
}

// ---- Address (5) -------------------------------------------------------------------------

/** The address that the chip loaded from its EEPROM, or 0 when it is none that a NIC may have. */
export function readAddress(nic: Rtl8139): u64 {
  const high = bswap<u32>(nic.read32(IDR0));
  const low = bswap<u16>(<u16>nic.read32(IDR4));
  const mac: u64 = ((<u64>high) << 16) | low;
  return (mac >> 40) & 1 ? 0 : mac;
}

/** IDR outlives a reset of the chip, but not every sleep. */
export function writeAddress(nic: Rtl8139): void {
  const mac = nic.device.mac;
  nic.write8(CR9346, CR9346_CONFIG);
  nic.write32(IDR0, bswap<u32>(<u32>(mac >> 16)));
  nic.write32(IDR4, bswap<u16>(<u16>mac));
  nic.write8(CR9346, CR9346_NORMAL);
}

// ---- Link (5.12, 5.20, 5.21) ---------------------------------------------------------------

/** Takes over what the chip says of the link. */
export function readLink(nic: Rtl8139): void {
  const status = nic.read8(MSR);
  const up = status != GONE8 && !(status & MSR_LINKB);
  const speed: u32 = status & MSR_SPEED_10 ? 10 : 100;
  // A partner that does not negotiate, such as a hub, offers nothing: half duplex.
  const offered = up ? nic.read16(ANAR) & nic.read16(ANLPAR) : 0;
  nic.device.setLink(up, speed, (offered & (speed == 100 ? AN_100_FULL : AN_10_FULL)) != 0);
}

// ---- Interrupts (5.5, 5.6) -----------------------------------------------------------------

/** What ends a sleep: a frame, good or bad, a receiver without room, the link. */
const RECEIVED: u32 = ISR_ROK | ISR_RER | ISR_RXOVW | ISR_FOVW;
const CAUSES: u32 = RECEIVED | ISR_LINK;
/** And while packets wait for room: room. */
const SENT: u32 = ISR_TOK | ISR_TER;

/**
 * On: causes that came while the driver was polling are forgotten first, since they would end
 * the sleep at once; the caller polls once more. A link change is not: it ends the sleep, and is
 * read then. Off: the line falls, and the cause is read.
 */
export function setInterrupts(device: Device, on: bool): void {
  const nic = nicOf(device);
  if (on) {
    nic.mask = device.pendingLength ? CAUSES | SENT : CAUSES;
    nic.write16(ISR, RECEIVED | SENT);
    nic.write16(IMR, nic.mask);
    return;
  }
  nic.write16(IMR, 0);
  const cause = nic.read16(ISR);
  if (cause == GONE16) return;
  if (cause & nic.mask) {
    device.interrupts++;
    if (cause & RECEIVED) device.receiveInterrupts++;
  }
  if (cause & ISR_LINK) {
    nic.write16(ISR, ISR_LINK);
    readLink(nic);
  }
}

// ---- Statistics (5) ------------------------------------------------------------------------

/** Adds the frames that the chip has lost since it was last asked. */
export function readMissed(nic: Rtl8139): void {
  const missed = nic.read32(MPC);
  if (missed == GONE32 || !(missed & MPC_MASK)) return;
  nic.device.receiveDropped += missed & MPC_MASK;
  nic.write32(MPC, 0);
}
