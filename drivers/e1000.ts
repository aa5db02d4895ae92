import { delay } from "../kernel/clock";
import {
  dmaRead32,
  dmaRead64,
  dmaReadBarrier,
  dmaWrite64,
  dmaWriteBarrier,
  mmioMap,
  mmioRead32,
  mmioWrite32,
} from "../kernel/host";
import { error, info, warn } from "../kernel/log";
import { reserve, unreserved } from "../kernel/memory";
import {
  Owner,
  Packet,
  PacketFlag,
  PacketQueue,
  PoolId,
  Purpose,
  allocate,
  slotSize,
} from "../kernel/packet";
import { MICROSECOND, MILLISECOND } from "../kernel/timer";
import { Bus } from "./bus";
import { Device, Feature } from "./device";
import { PciBar, PciFunction, pciBar, pciDisable, pciEnable } from "./pci";
import { pciId, registerChip } from "./registry";

/**
 * Intel 8254x Gigabit Ethernet. Sections refer to the "PCI/PCI-X Family of Gigabit Ethernet
 * Controllers Software Developer's Manual" (317453). The file follows the device's life: reset,
 * address, rings, start, link, receive, transmit, interrupts, the check once a second, stop.
 *
 * Limits: frames of at most 1,522 bytes, one receive queue, no VLAN offload, no segmentation on the
 * 82544, whose PCI-X errata make demands on where buffers end.
 */

// ---- Registers (13.2, table 13-2) --------------------------------------------------------

/** Bytes of register space that BAR 0 must offer (4.1, 13.1). */
const REGISTERS: u32 = 0x20000;

/** Device control (13.4.1). */
const CTRL: u32 = 0x0000;
const CTRL_FD: u32 = 1 << 0;
const CTRL_LRST: u32 = 1 << 3;
const CTRL_ASDE: u32 = 1 << 5;
const CTRL_SLU: u32 = 1 << 6;
const CTRL_ILOS: u32 = 1 << 7;
const CTRL_FRCSPD: u32 = 1 << 11;
const CTRL_FRCDPLX: u32 = 1 << 12;
const CTRL_RST: u32 = 1 << 26;
const CTRL_RFCE: u32 = 1 << 27;
const CTRL_TFCE: u32 = 1 << 28;
const CTRL_VME: u32 = 1 << 30;
const CTRL_PHY_RST: u32 = 1 << 31;

/** Device status (13.4.2). */
const STATUS: u32 = 0x0008;
const STATUS_FD: u32 = 1 << 0;
const STATUS_LU: u32 = 1 << 1;
const STATUS_SPEED_SHIFT: u32 = 6;
/** What a read of a device that is no longer there gives. */
const GONE: u32 = 0xffff_ffff;

/** EEPROM read (13.4.4); not on the 82544. */
const EERD: u32 = 0x0014;
const EERD_START: u32 = 1 << 0;
const EERD_DATA_SHIFT: u32 = 16;
/** The address lies at bit 8 and done is bit 4; on the 82541 and 82547, and in QEMU's, at bit 2 and bit 1. */
const EERD_DONE: u32 = 1 << 4;
const EERD_ADDRESS_SHIFT: u32 = 8;
const EERD_DONE_41: u32 = 1 << 1;
const EERD_ADDRESS_SHIFT_41: u32 = 2;
/** Words 0x00 to 0x3f add up to this (5.6.35). */
const EEPROM_WORDS: u32 = 0x40;
const EEPROM_SUM: u32 = 0xbaba;

/** Flow control: PAUSE address, type and time (13.4.8 to 13.4.11). */
const FCAL: u32 = 0x0028;
const FCAH: u32 = 0x002c;
const FCT: u32 = 0x0030;
const FCTTV: u32 = 0x0170;

/** Interrupt causes: read and clear, set mask, clear mask (13.4.17, 13.4.20, 13.4.21). */
const ICR: u32 = 0x00c0;
const IMS: u32 = 0x00d0;
const IMC: u32 = 0x00d8;
const CAUSE_LSC: u32 = 1 << 2;
const CAUSE_RXO: u32 = 1 << 6;
const CAUSE_RXT0: u32 = 1 << 7;
/** What ends a sleep: a packet, a receiver that ran out of room, the link. Transmit never does. */
const CAUSES: u32 = CAUSE_LSC | CAUSE_RXO | CAUSE_RXT0;

/** Least time between two interrupts, in 256 ns (13.4.18); not on the 82544. 50 µs: 20,000 a second. */
const ITR: u32 = 0x00c4;
const ITR_INTERVAL: u32 = 195;

/** Receive control (13.4.22). */
const RCTL: u32 = 0x0100;
const RCTL_EN: u32 = 1 << 1;
const RCTL_UPE: u32 = 1 << 3;
const RCTL_MPE: u32 = 1 << 4;
const RCTL_BAM: u32 = 1 << 15;
/** BSIZE 00 without BSEX: the device takes each buffer to be 2,048 bytes long. */
const RCTL_BSIZE_2048: u32 = 0 << 16;
const RCTL_SECRC: u32 = 1 << 26;
const RECEIVE_BUFFER: u32 = 2048;

/** Receive ring and its two interrupt delays (13.4.25 to 13.4.31). */
const RDBAL: u32 = 0x2800;
const RDBAH: u32 = 0x2804;
const RDLEN: u32 = 0x2808;
const RDH: u32 = 0x2810;
const RDT: u32 = 0x2818;
const RDTR: u32 = 0x2820;
const RADV: u32 = 0x282c;

/** Transmit control (13.4.33): collision threshold and distance as 14.5 sets them for full duplex. */
const TCTL: u32 = 0x0400;
const TCTL_EN: u32 = 1 << 1;
const TCTL_PSP: u32 = 1 << 3;
const TCTL_CT: u32 = 0x0f << 4;
const TCTL_COLD: u32 = 0x40 << 12;

/** Gap between frames (13.4.34): IPGT 10, or 8 on the 82544; IPGR1 8, IPGR2 6. */
const TIPG: u32 = 0x0410;
const TIPG_GAPS: u32 = 10 | (8 << 10) | (6 << 20);
const TIPG_GAPS_82544: u32 = 8 | (8 << 10) | (6 << 20);

/** Transmit ring (13.4.36 to 13.4.41). */
const TDBAL: u32 = 0x3800;
const TDBAH: u32 = 0x3804;
const TDLEN: u32 = 0x3808;
const TDH: u32 = 0x3810;
const TDT: u32 = 0x3818;
const TIDV: u32 = 0x3820;

/** Receive checksum control (13.4.47). */
const RXCSUM: u32 = 0x5000;
const RXCSUM_IPOFL: u32 = 1 << 8;
const RXCSUM_TUOFL: u32 = 1 << 9;

/** Multicast table of 128 words, and the first receive address (13.5.1 to 13.5.3). */
const MTA: u32 = 0x5200;
const MTA_WORDS: u32 = 128;
const RAL0: u32 = 0x5400;
const RAH0: u32 = 0x5404;
const RAH_AV: u32 = 1 << 31;

/** Statistics, each cleared by reading it (13.7). */
const STATISTICS: u32 = 0x4000;
const STATISTICS_LAST: u32 = 0x40fc;
const CRCERRS: u32 = 0x4000;
const ALGNERRC: u32 = 0x4004;
const SYMERRS: u32 = 0x4008;
const RXERRC: u32 = 0x400c;
const MPC: u32 = 0x4010;
const ECOL: u32 = 0x4018;
const LATECOL: u32 = 0x401c;
const GPRC: u32 = 0x4074;
const RUC: u32 = 0x40a4;
const RFC: u32 = 0x40a8;
const ROC: u32 = 0x40ac;
const RJC: u32 = 0x40b0;

// ---- Descriptors -------------------------------------------------------------------------

/** Bytes of any descriptor; a ring's length is a multiple of eight of them (3.2.6, 3.4). */
const DESCRIPTOR_SHIFT: u32 = 4;
const RECEIVE_RING: u32 = 256;
const TRANSMIT_RING: u32 = 128;

/**
 * Receive descriptor (3.2.3), second quadword: length in bits 0 to 15, packet checksum to 31,
 * status (3.2.3.1) to 39, errors (3.2.3.2) to 47. The first is the buffer's address.
 */
const RX_DD: u32 = 1 << 0;
const RX_EOP: u32 = 1 << 1;
const RX_IXSM: u32 = 1 << 2;
const RX_TCPCS: u32 = 1 << 5;
const RX_IPCS: u32 = 1 << 6;
/** CE, SE, SEQ, CXE, RXE: the frame itself is damaged. */
const RX_DAMAGED: u32 = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 4) | (1 << 7);
const RX_TCPE: u32 = 1 << 5;
const RX_IPE: u32 = 1 << 6;

/**
 * Transmit data descriptor (3.3.7), second quadword: length in bits 0 to 19, type to 23, command
 * to 31, status to 35, packet options from 40. The first is the buffer's address.
 */
const TX_DTYP_DATA: u32 = 1 << 20;
const TX_EOP: u32 = 1 << 24;
const TX_IFCS: u32 = 1 << 25;
const TX_TSE: u32 = 1 << 26;
const TX_RS: u32 = 1 << 27;
const TX_DEXT: u32 = 1 << 29;
const TX_DATA: u32 = TX_DTYP_DATA | TX_DEXT | TX_IFCS;
const TX_DD: u32 = 1 << 0;
const TX_IXSM: u64 = 1 << 40;
const TX_TXSM: u64 = 1 << 41;
/** In a context descriptor (3.3.6) these two bits say that the packet is TCP, and over IPv4. */
const TX_CONTEXT_TCP: u32 = 1 << 24;
const TX_CONTEXT_IPV4: u32 = 1 << 25;

/**
 * Most bytes of a data descriptor in a packet that the device segments: it reckons with no more than
 * four segments each when it makes room in its FIFO.
 */
const TX_RUN_MAX: u32 = 4096;
const TX_RUN_SEGMENTS: u32 = 4;
/** Bytes of the last descriptor of such a packet, and of a packet in one piece right after it. */
const TX_SENTINEL: u32 = 4;

/** Descriptors after which one must report that it is done, so that a long batch frees as it goes. */
const REPORT_EVERY: u32 = 32;

/** Receive descriptors handed back with one write of RDT. */
const REFILL_BATCH: u32 = 32;

/** Bytes of an Ethernet header. */
const ETHERNET_HEADER: u32 = 14;
/** Where an IPv4 header has its total length and its checksum (RFC 791, 3.1). */
const IPV4_LENGTH: u32 = 2;
const IPV4_CHECKSUM: u32 = 10;

/** What the driver knows of one NIC. Ring indices are always within the ring. */
@unmanaged
class E1000 {
  device: Device;
  pci: PciFunction;
  /** Where the registers are, for `mmio…`. */
  registers: usize;
  /** Has no EERD, ITR and RADV, and gaps of its own. */
  is82544: bool;
  /** A frame in more than one buffer is being thrown away; its end has not come. */
  discarding: bool;

  receiveRing: usize;
  /** Of each receive descriptor its packet; there always is one. */
  receivePackets: usize;
  /** The next descriptor that the device fills. */
  receiveNext: u32;
  /** Descriptors emptied since RDT was last written. */
  receiveOwed: u32;
  /** RCTL as written. QEMU's device hears nothing for a second after each write, so none is made in vain. */
  rctl: u32;
  /** The multicast table as written, `MTA_WORDS` words, and room to make up a new one. */
  multicast: usize;
  multicastNew: usize;

  transmitRing: usize;
  /** Of each transmit descriptor the packet that ends there, or 0. */
  transmitPackets: usize;
  /** The next descriptor to fill, and the oldest that is not freed. Equal: the ring is empty. */
  transmitNext: u32;
  transmitClean: u32;
  /** Queue of the descriptors that report when they are done: a byte each, and running counts. */
  reports: usize;
  reportHead: u32;
  reportTail: u32;
  /** Filled since the last one that reports. */
  sinceReport: u32;
  /** Checksum start and field that the device holds (3.3.5), or `NO_CONTEXT`. */
  context: u32;
  /** The last packet was one for the device to segment. */
  segmented: bool;


  @inline read(register: u32): u32 {
    return mmioRead32(this.registers + register);
  }


  @inline write(register: u32, value: u32): void {
    mmioWrite32(this.registers + register, value);
  }
}

const NO_CONTEXT: u32 = 0xffff_ffff;


@inline function nicOf(device: Device): E1000 {
  return changetype<E1000>(device.context);
}

// ---- Start -------------------------------------------------------------------------------

function start(entry: PciFunction, device: Device): bool {
  return startChip(entry, device, false);
}

function start82544(entry: PciFunction, device: Device): bool {
  return startChip(entry, device, true);
}

const bar = changetype<PciBar>(memory.data(offsetof<PciBar>(), 8));

function startChip(entry: PciFunction, device: Device, is82544: bool): bool {
  pciBar(entry, 0, bar);
  if (bar.io || bar.size < REGISTERS || bar.base == 0) {
    return fail("BAR 0 is no assigned memory of 128 KiB; does the firmware set up PCI?");
  }
  const registers = mmioMap(bar.base, REGISTERS);
  if (!registers) return fail("the registers cannot be mapped");
  pciEnable(entry);
  if (mmioRead32(registers + STATUS) == GONE) return fail("the registers do not answer");
  if (unreserved() < 65536)
    return fail("no memory for its rings: give the machine more RAM (MEM=)");

  const nic = changetype<E1000>(reserve(offsetof<E1000>(), 64));
  nic.device = device;
  nic.pci = entry;
  nic.registers = registers;
  nic.is82544 = is82544;
  device.context = changetype<usize>(nic);

  resetChip(nic);
  const mac = readAddress(nic);
  if (!mac) return fail("no valid address in EEPROM or receive address register");
  if (!makeRings(nic))
    return fail("no packets for its receive ring: give the machine more RAM (MEM=)");

  device.mac = mac;
  device.features = Feature.ReceiveChecksum | Feature.TransmitChecksum;
  if (!is82544) device.features |= Feature.Segmentation;
  device.mtu = 1500;
  device.serve(transmit, poll, setInterrupts, check, setReceiveMode, reset, stop);
  bringUp(nic);
  readLink(nic);
  return true;
}

function fail(reason: string): bool {
  error("e1000").text(reason).end();
  return false;
}

// ---- Reset (14.2, 14.3) ------------------------------------------------------------------

/** Silences the device and puts its registers back; the PHY keeps the link. */
function resetChip(nic: E1000): void {
  nic.write(IMC, 0xffff_ffff);
  if (nic.read(RCTL) & RCTL_EN) nic.write(RCTL, 0);
  nic.write(TCTL, TCTL_PSP);
  // What is on the bus comes to an end before the reset cuts it off.
  delay(10 * MICROSECOND);
  nic.write(CTRL, nic.read(CTRL) | CTRL_RST);
  // RST takes a microsecond, reading the EEPROM after it up to five milliseconds.
  delay(5 * MILLISECOND);
  nic.write(IMC, 0xffff_ffff);
  nic.read(ICR);

  // Speed and duplex come from the PHY; no PAUSE, no VLAN tags taken out.
  const off =
    CTRL_LRST |
    CTRL_ILOS |
    CTRL_FRCSPD |
    CTRL_FRCDPLX |
    CTRL_RFCE |
    CTRL_TFCE |
    CTRL_VME |
    CTRL_PHY_RST |
    CTRL_RST;
  nic.write(CTRL, (nic.read(CTRL) & ~off) | CTRL_FD | CTRL_ASDE | CTRL_SLU);
  nic.write(FCAL, 0);
  nic.write(FCAH, 0);
  nic.write(FCT, 0);
  nic.write(FCTTV, 0);
  for (let at = STATISTICS; at <= STATISTICS_LAST; at += 4) nic.read(at);
}

// ---- Address (5.6.1) ---------------------------------------------------------------------

/**
 * The NIC's own address, or 0: from the EEPROM, or as the device itself took it from there at its
 * reset (13.5.2). The 82544 has no EERD.
 */
function readAddress(nic: E1000): u64 {
  let mac: u64 = nic.is82544 ? 0 : eepromAddress(nic);
  if (!validAddress(mac)) {
    const low = nic.read(RAL0);
    mac = ((<u64>bswap<u32>(low)) << 16) | bswap<u16>(<u16>nic.read(RAH0));
  }
  return validAddress(mac) ? mac : 0;
}

/** Neither zero nor a group address. */
function validAddress(mac: u64): bool {
  return mac != 0 && !((mac >> 40) & 1);
}

/** Words 0 to 2, or 0 when the EEPROM does not answer or its sum is wrong. */
function eepromAddress(nic: E1000): u64 {
  // Word 0 is asked for alike in both layouts of EERD, and the done bit tells which it is.
  nic.write(EERD, EERD_START);
  let shift: u32 = 0;
  let done: u32 = 0;
  for (let polls = 0; polls < 1000 && !done; polls++) {
    const value = nic.read(EERD);
    if (value & EERD_DONE) {
      done = EERD_DONE;
      shift = EERD_ADDRESS_SHIFT;
    } else if (value & EERD_DONE_41) {
      done = EERD_DONE_41;
      shift = EERD_ADDRESS_SHIFT_41;
    }
  }
  if (!done) return 0;
  let mac: u64 = 0;
  let sum: u32 = 0;
  for (let word: u32 = 0; word < EEPROM_WORDS; word++) {
    nic.write(EERD, EERD_START | (word << shift));
    let value = nic.read(EERD);
    for (let polls = 0; polls < 1000 && !(value & done); polls++) value = nic.read(EERD);
    if (!(value & done)) return 0;
    const data = value >> EERD_DATA_SHIFT;
    sum += data;
    if (word < 3) mac = (mac << 16) | bswap<u16>(<u16>data);
  }
  if ((sum & 0xffff) != EEPROM_SUM) {
    warn("e1000")
      .text("EEPROM sum is wrong, using the address register")
      .key("sum")
      .hex(sum & 0xffff, 4)
      .end();
    return 0;
  }
  return mac;
}

// ---- Rings (3.2.6, 3.4) ------------------------------------------------------------------

/** Takes the memory of both rings and fills the receive ring. All of it or, when packets are short, none. */
function makeRings(nic: E1000): bool {
  // The device may fill a buffer to its 2,048th byte, so it gets the whole slot, without headroom.
  assert(slotSize(PoolId.Standard) >= RECEIVE_BUFFER);
  nic.receiveRing = reserve(RECEIVE_RING << DESCRIPTOR_SHIFT, 128);
  nic.receivePackets = reserve(RECEIVE_RING << 2, 64);
  nic.transmitRing = reserve(TRANSMIT_RING << DESCRIPTOR_SHIFT, 128);
  nic.transmitPackets = reserve(TRANSMIT_RING << 2, 64);
  nic.reports = reserve(TRANSMIT_RING, 64);
  nic.multicast = reserve(MTA_WORDS << 2, 64);
  nic.multicastNew = reserve(MTA_WORDS << 2, 64);
  for (let i: u32 = 0; i < RECEIVE_RING; i++) {
    const packet = allocate(PoolId.Standard, Purpose.Refill, 0);
    if (packet === null) {
      freeReceive(nic);
      return false;
    }
    packet.give(Owner.NicRx);
    store<u32>(nic.receivePackets + (i << 2), changetype<usize>(packet));
  }
  return true;
}

/** Programs a device that has been reset and lets it run (14.4, 14.5). */
function bringUp(nic: E1000): void {
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
  nic.write(TIPG, nic.is82544 ? TIPG_GAPS_82544 : TIPG_GAPS);

  // A packet ends a sleep at once; how often that may happen is ITR's to say.
  nic.write(RDTR, 0);
  nic.write(TIDV, 0);
  if (!nic.is82544) {
    nic.write(RADV, 0);
    nic.write(ITR, ITR_INTERVAL);
  }
  dmaWriteBarrier();
  nic.write(TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD);
  nic.rctl = 0;
  setReceiveMode(nic.device);
}

// ---- Receive filter (13.4.22, 13.5.1) ------------------------------------------------------

/** Applies the device's list of groups, `promiscuous` and `allMulticast`; starts the receiver. */
function setReceiveMode(device: Device): void {
  const nic = nicOf(device);
  const table = nic.multicastNew;
  memory.fill(table, 0, MTA_WORDS << 2);
  for (let i: u32 = 0; i < device.multicastCount; i++) {
    // With RCTL.MO 00 the hash is the top 12 of the address's last 16 bits, in wire order.
    const address = load<u64>(device.multicast + (i << 3));
    const hash = (<u32>bswap<u16>(<u16>address)) >> 4;
    const word = table + ((hash >> 5) << 2);
    store<u32>(word, load<u32>(word) | (1 << (hash & 31)));
  }
  for (let i: u32 = 0; i < MTA_WORDS << 2; i += 4) {
    const bits = load<u32>(table + i);
    if (bits == load<u32>(nic.multicast + i)) continue;
    store<u32>(nic.multicast + i, bits);
    nic.write(MTA + i, bits);
  }
  let rctl = RCTL_EN | RCTL_BAM | RCTL_BSIZE_2048 | RCTL_SECRC;
  if (device.promiscuous) rctl |= RCTL_UPE | RCTL_MPE;
  if (device.allMulticast) rctl |= RCTL_MPE;
  if (rctl == nic.rctl) return;
  nic.rctl = rctl;
  nic.write(RCTL, rctl);
}

// ---- Link (8.6, 13.4.2) ------------------------------------------------------------------

/** Takes over what the device says of the link. */
function readLink(nic: E1000): void {
  const status = nic.read(STATUS);
  const code = (status >> STATUS_SPEED_SHIFT) & 3;
  nic.device.setLink(
    status != GONE && (status & STATUS_LU) != 0,
    code == 0 ? 10 : code == 1 ? 100 : 1000,
    (status & STATUS_FD) != 0,
  );
}

// ---- Receive (3.2) -----------------------------------------------------------------------

@inline function receivePacket(nic: E1000, index: u32): Packet {
  return changetype<Packet>(load<usize>(nic.receivePackets + (index << 2)));
}

/**
 * Frees what was sent and takes up to `budget` frames. Each good one leaves its slot to the stack
 * and a fresh one takes its place; without a fresh one the frame is dropped and its slot filled
 * again, so the ring never runs dry.
 */
function poll(device: Device, budget: u32): u32 {
  const nic = nicOf(device);
  reclaim(nic);
  let index = nic.receiveNext;
  let done: u32 = 0;
  for (; done < budget; done++) {
    const at = nic.receiveRing + (index << DESCRIPTOR_SHIFT);
    const word = dmaRead64(at + 8);
    const status = <u32>(word >> 32);
    if (!(status & RX_DD)) break;
    dmaReadBarrier();
    if (accept(nic, index, (<u32>word) & 0xffff, status)) {
      dmaWrite64(at, receivePacket(nic, index).slot);
    }
    dmaWrite64(at + 8, 0);
    index = (index + 1) & (RECEIVE_RING - 1);
  }
  if (!done) return 0;
  device.receiveDescriptors += done;
  nic.receiveNext = index;
  nic.receiveOwed += done;
  if (nic.receiveOwed >= REFILL_BATCH) {
    nic.receiveOwed = 0;
    dmaWriteBarrier();
    nic.write(RDT, (index - 1) & (RECEIVE_RING - 1));
    device.receiveDoorbells++;
  }
  return done;
}

/** Passes the frame in descriptor `index` on and puts a fresh packet there; false if the frame is dropped. */
@inline function accept(nic: E1000, index: u32, length: u32, status: u32): bool {
  const device = nic.device;
  const errors = (status >> 8) & 0xff;
  if (nic.discarding || !(status & RX_EOP)) {
    // Without LPE no frame fills a buffer, so more than one means that something is amiss.
    nic.discarding = !(status & RX_EOP);
    if (!nic.discarding) device.receiveErrors++;
    return false;
  }
  if (errors & RX_DAMAGED || length < ETHERNET_HEADER || length > RECEIVE_BUFFER) {
    device.receiveErrors++;
    return false;
  }
  const fresh = allocate(PoolId.Standard, Purpose.Refill, 0);
  if (fresh === null) {
    device.receiveDropped++;
    return false;
  }
  const packet = receivePacket(nic, index);
  fresh.exchange(packet);
  store<usize>(nic.receivePackets + (index << 2), changetype<usize>(fresh));
  packet.length = length;
  packet.iface = device.index;
  if (!(status & RX_IXSM)) {
    let flags: u32 = 0;
    if (status & RX_IPCS && !(errors & RX_IPE)) flags |= PacketFlag.NetworkChecksumGood;
    if (status & RX_TCPCS && !(errors & RX_TCPE)) flags |= PacketFlag.TransportChecksumGood;
    packet.flags = <u8>flags;
  }
  device.receivedPackets++;
  device.receivedBytes += length;
  device.received.push(packet);
  return true;
}

/** Takes back every packet that the device could have written to. Only once it is reset. */
function freeReceive(nic: E1000): void {
  for (let i: u32 = 0; i < RECEIVE_RING; i++) {
    const at = nic.receivePackets + (i << 2);
    if (load<usize>(at)) receivePacket(nic, i).release();
    store<usize>(at, 0);
  }
}

// ---- Transmit (3.3, 3.4) -----------------------------------------------------------------

/** Descriptors free to fill; one stays empty, since a full ring would look like an empty one. */
@inline function transmitRoom(nic: E1000): u32 {
  return (nic.transmitClean - nic.transmitNext - 1) & (TRANSMIT_RING - 1);
}

/** Moves packets from the queue to the ring while there is room; one write of TDT for all of them. */
function transmit(device: Device, queue: PacketQueue): void {
  const nic = nicOf(device);
  if (!device.linkUp) {
    device.transmitErrors += queue.length;
    queue.clear();
    return;
  }
  const first = nic.transmitNext;
  let last: u32 = TRANSMIT_RING;
  let lastWord: u64 = 0;
  for (let packet = queue.head; packet !== null; packet = queue.head) {
    const needed = packet.segmentSize
      ? segmentedDescriptors(packet)
      : // A context, every fragment, and the end of a packet behind a segmented one.
        3 + <u32>packet.fragmentCount;
    if (transmitRoom(nic) < needed) {
      reclaim(nic);
      if (transmitRoom(nic) < needed) break;
    }
    queue.pop();
    lastWord = packet.segmentSize ? fillSegmented(nic, packet) : fillFrame(nic, packet);
    packet.give(Owner.NicTx);
    // What ends the packet is the last descriptor filled.
    last = (nic.transmitNext - 1) & (TRANSMIT_RING - 1);
    store<usize>(nic.transmitPackets + (last << 2), changetype<usize>(packet));
    if (nic.sinceReport > REPORT_EVERY) {
      lastWord |= TX_RS;
      dmaWrite64(nic.transmitRing + (last << DESCRIPTOR_SHIFT) + 8, lastWord);
      report(nic, last);
    }
  }
  if (last == TRANSMIT_RING) return;
  if (!(lastWord & TX_RS)) {
    dmaWrite64(nic.transmitRing + (last << DESCRIPTOR_SHIFT) + 8, lastWord | TX_RS);
    report(nic, last);
  }
  dmaWriteBarrier();
  nic.write(TDT, nic.transmitNext);
  device.transmitDescriptors += (nic.transmitNext - first) & (TRANSMIT_RING - 1);
  device.transmitDoorbells++;
}

/** Fills descriptors with a packet that goes out as it is; returns the last one's second half. */
@inline function fillFrame(nic: E1000, packet: Packet): u64 {
  let options: u64 = 0;
  if (packet.flags & PacketFlag.ChecksumPending) {
    setContext(nic, packet.checksumStart, packet.checksumStart + packet.checksumOffset);
    options = TX_TXSM;
  }
  let bytes = packet.length;
  let address = packet.data;
  let length = packet.length;
  for (let i: u32 = 0; i < packet.fragmentCount; i++) {
    const fragment = packet.fragment(i);
    fill(nic, address, options | TX_DATA | length);
    // Options count in the first descriptor of a frame alone.
    options = 0;
    address = fragment.address;
    length = fragment.length;
    bytes += length;
  }
  if (nic.segmented) {
    nic.segmented = false;
    // Such a packet's only descriptor, too, may count as done before it is read.
    if (!packet.fragmentCount) {
      fill(nic, address, options | TX_DATA | (length - TX_SENTINEL));
      options = 0;
      address += length - TX_SENTINEL;
      length = TX_SENTINEL;
    }
  }
  assert(bytes >= ETHERNET_HEADER && bytes <= nic.device.mtu + ETHERNET_HEADER);
  nic.device.sentPackets++;
  nic.device.sentBytes += bytes;
  const last = options | TX_DATA | TX_EOP | length;
  fill(nic, address, last);
  return last;
}

/** Bytes of a descriptor's run in a packet with this segment size. */
@inline function runMax(segmentSize: u32): u32 {
  return min<u32>(TX_RUN_MAX, TX_RUN_SEGMENTS * segmentSize);
}

/** Descriptors that such a packet takes: a context, its headers, the runs of its payload, its end. */
function segmentedDescriptors(packet: Packet): u32 {
  const most = runMax(packet.segmentSize);
  let count: u32 = 3;
  for (let i: u32 = 0; i < packet.fragmentCount; i++) {
    count += (packet.fragment(i).length + most - 1) / most;
  }
  // Whatever empties the ring, it would never fit.
  assert(count < TRANSMIT_RING);
  return count;
}

/**
 * The same for a packet that the device makes segments of (3.5): it sets each one's lengths,
 * identification, sequence number and checksums, and clears PSH and FIN in all but the last.
 */
function fillSegmented(nic: E1000, packet: Packet): u64 {
  const start: u32 = packet.checksumStart;
  const field = start + packet.checksumOffset;
  const headers = packet.length;
  const payload = packet.totalLength - headers;
  const size: u32 = packet.segmentSize;
  assert(headers < 256 && packet.fragmentCount > 0 && payload > size);
  // The device adds each segment's length to the pseudo-header's sum, which must not hold one yet.
  const ip = packet.data + ETHERNET_HEADER;
  store<u16>(ip + IPV4_LENGTH, 0);
  store<u16>(ip + IPV4_CHECKSUM, 0);
  const length: u32 = bswap<u16>(<u16>(headers - start + payload));
  const sum: u32 = <u32>load<u16>(packet.data + field) + (~length & 0xffff);
  store<u16>(packet.data + field, (sum & 0xffff) + (sum >> 16));

  // IPCSS, IPCSO, IPCSE; TUCSS, TUCSO, TUCSE; PAYLEN; HDRLEN, MSS (3.3.6).
  const ipFields: u32 =
    ETHERNET_HEADER | ((ETHERNET_HEADER + IPV4_CHECKSUM) << 8) | ((start - 1) << 16);
  const command: u32 = TX_DEXT | TX_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IPV4 | payload;
  fill(
    nic,
    ((<u64>(start | (field << 8))) << 32) | ipFields,
    ((<u64>((size << 16) | (headers << 8))) << 32) | command,
  );
  nic.context = NO_CONTEXT;
  nic.segmented = true;

  fill(nic, packet.data, TX_IXSM | TX_TXSM | TX_DATA | TX_TSE | headers);
  const most = runMax(size);
  const final: u32 = <u32>packet.fragmentCount - 1;
  for (let i: u32 = 0; i < final; i++) {
    const fragment = packet.fragment(i);
    fillRuns(nic, fragment.address, fragment.length, most);
  }
  // The device may report a packet done before it has read the end of its last run, so a few
  // bytes follow in a run of their own (Intel's drivers do so for the same erratum).
  const fragment = packet.fragment(final);
  const left = min<u32>(fragment.length, TX_SENTINEL);
  const before = fragment.length - left;
  fillRuns(nic, fragment.address, before, most);
  const last: u64 = TX_DATA | TX_TSE | TX_EOP | left;
  fill(nic, fragment.address + before, last);

  const segments = (payload + size - 1) / size;
  nic.device.sentPackets += segments;
  nic.device.sentBytes += payload + segments * headers;
  return last;
}

/** Descriptors for `length` bytes of payload at `address`, at most `most` bytes each. */
@inline function fillRuns(nic: E1000, address: usize, length: u32, most: u32): void {
  while (length) {
    const part = min<u32>(length, most);
    fill(nic, address, TX_DATA | TX_TSE | part);
    address += part;
    length -= part;
  }
}

/** Writes the next descriptor; the device reads it after the next write of TDT. */
@inline function fill(nic: E1000, first: u64, second: u64): void {
  const index = nic.transmitNext;
  const at = nic.transmitRing + (index << DESCRIPTOR_SHIFT);
  dmaWrite64(at, first);
  dmaWrite64(at + 8, second);
  nic.transmitNext = (index + 1) & (TRANSMIT_RING - 1);
  nic.sinceReport++;
}

/**
 * Tells the device where to start summing and where to put the sum (3.3.6: TUCSS, TUCSO, TUCSE 0
 * for the end of the packet). It remembers, so the same layout costs nothing the next time.
 */
@inline function setContext(nic: E1000, start: u32, field: u32): void {
  assert(field < 256);
  const context = start | (field << 8);
  if (context == nic.context) return;
  nic.context = context;
  fill(nic, (<u64>context) << 32, TX_DEXT);
}

/** Notes that the descriptor reports when it is done, and with it all before it. */
@inline function report(nic: E1000, index: u32): void {
  store<u8>(nic.reports + (nic.reportTail & (TRANSMIT_RING - 1)), index);
  nic.reportTail++;
  nic.sinceReport = 0;
}

/** Frees the packets that the device is done with. */
function reclaim(nic: E1000): void {
  while (nic.reportHead != nic.reportTail) {
    const index: u32 = load<u8>(nic.reports + (nic.reportHead & (TRANSMIT_RING - 1)));
    if (!(dmaRead32(nic.transmitRing + (index << DESCRIPTOR_SHIFT) + 12) & TX_DD)) return;
    dmaReadBarrier();
    nic.reportHead++;
    freeTransmit(nic, (index + 1) & (TRANSMIT_RING - 1));
  }
}

/** Frees the packets of the descriptors from the oldest to before `end`; returns how many. */
function freeTransmit(nic: E1000, end: u32): u32 {
  let packets: u32 = 0;
  let index = nic.transmitClean;
  for (; index != end; index = (index + 1) & (TRANSMIT_RING - 1)) {
    const at = nic.transmitPackets + (index << 2);
    const packet = load<usize>(at);
    if (!packet) continue;
    store<usize>(at, 0);
    changetype<Packet>(packet).release();
    packets++;
  }
  nic.device.transmitDone += (end - nic.transmitClean) & (TRANSMIT_RING - 1);
  nic.transmitClean = index;
  return packets;
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
  if (on) nic.write(IMS, CAUSES);
  else if (cause & CAUSES) {
    device.interrupts++;
    if (cause & (CAUSE_RXT0 | CAUSE_RXO)) device.receiveInterrupts++;
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
function readStatistics(nic: E1000): void {
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
  resetChip(nic);
  device.transmitErrors += freeTransmit(nic, nic.transmitNext);
  device.resets++;
  bringUp(nic);
  readLink(nic);
}

/** No more DMA and no more interrupts; every packet goes back. Only `addDevice` brings it to life again. */
function stop(device: Device): void {
  const nic = nicOf(device);
  resetChip(nic);
  pciDisable(nic.pci);
  freeTransmit(nic, nic.transmitNext);
  freeReceive(nic);
  device.received.clear();
  device.pending.clear();
  device.linkUp = false;
  device.speed = 0;
  device.linkChanges++;
}

// ---- Chips (5.2, table 5-1) -----------------------------------------------------------------

registerChip("e1000", Bus.Pci, pciId(0x8086, 0x100e), "Intel 82540EM", start);
registerChip("e1000", Bus.Pci, pciId(0x8086, 0x100f), "Intel 82545EM", start);
registerChip("e1000", Bus.Pci, pciId(0x8086, 0x1008), "Intel 82544EI", start82544);
registerChip("e1000", Bus.Pci, pciId(0x8086, 0x100c), "Intel 82544GC", start82544);
