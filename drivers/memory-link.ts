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
import { error } from "../kernel/log";
import {
  Owner,
  Packet,
  PacketFlag,
  PacketQueue,
  PoolId,
  allocateBurst,
  burstLength,
  slotSize,
} from "../kernel/packet";
import { Bus } from "./bus";
import { Device, Feature } from "./device";
import { deviceMemory } from "./device-memory";
import { PciBar, PciFunction, pciBar, pciEnable } from "./pci";
import { fillSlots, freeSlots } from "./receive-slots";
import { pciId, registerChip } from "./registry";

/**
 * The memory link: the NIC of machines inside a Linux process (hosted/link.c is the device). This
 * comment is its data sheet.
 *
 * Two rings and two running counts lie in memory that both sides see. Counts never wrap to the ring's
 * length: they run on for ever, and entry n is at n modulo `RING`. A register access is a function
 * call of the host, so there is one a burst.
 *
 * Registers, 32 bits each, at BAR 0:
 *
 *     0x00 MAGIC       R  "SKML"; anything else is another device
 *     0x04 FEATURES    R  bit 0: received checksums are checked; bit 1: sent ones are filled in;
 *                         bit 2: frames are cut into segments
 *     0x08 MAC_LOW     R  the address's last four bytes, the first of them on top
 *     0x0c MAC_HIGH    R  its first two
 *     0x10 MTU         R  largest layer-3 packet, at most 1,500
 *     0x14 AREA        W  address of the shared area; 0 takes it back, and the device forgets its counts
 *     0x18 RECEIVE     W  count of receive descriptors that the driver has filled
 *     0x1c TRANSMIT    W  count of transmit descriptors that the driver has filled
 *     0x20 INTERRUPT   W  1: a frame received raises the line; 0: it does not
 *     0x24 CAUSE       R  1 if the line was raised since the last read, which lowers it
 *
 * Shared area:
 *
 *     0x0000           u32 count of receive descriptors that the device has used
 *     0x0040           u32 count of transmit descriptors that the device is done with
 *     0x0080           `RING` receive descriptors
 *     0x1080           `RING` transmit descriptors
 *
 * A descriptor is two u64: address in bits 0 to 31 and length in 32 to 63; then
 *
 *     bit 0 MORE       the frame goes on in the next descriptor (transmit; at most 3 a frame)
 *     bit 1 CHECKSUM   transmit, in a frame's first: the 16-bit sum from START to the end is to be
 *                      put at FIELD. Receive: every checksum of the frame is right
 *     bits 16 to 31    SEGMENT, with CHECKSUM: the frame is TCP over IPv4 or IPv6 with all headers in
 *                      this descriptor, and is to be sent as frames of so many bytes of payload
 *     bits 32 to 47    START, from the frame's first byte
 *     bits 48 to 63    FIELD, likewise
 *
 * The device is trusted like the kernel: it is the process that the kernel's code runs in.
 */

const REGISTERS: u32 = 0x1000;
const MAGIC: u32 = 0x00;
const MAGIC_VALUE: u32 = 0x4c4d_4b53;
const FEATURES: u32 = 0x04;
const FEATURE_RECEIVE_CHECKSUM: u32 = 1 << 0;
const FEATURE_TRANSMIT_CHECKSUM: u32 = 1 << 1;
const FEATURE_SEGMENTATION: u32 = 1 << 2;
const MAC_LOW: u32 = 0x08;
const MAC_HIGH: u32 = 0x0c;
const MTU: u32 = 0x10;
const AREA: u32 = 0x14;
const RECEIVE: u32 = 0x18;
const TRANSMIT: u32 = 0x1c;
const INTERRUPT: u32 = 0x20;
const CAUSE: u32 = 0x24;

const RING: u32 = 256;
const RECEIVED: u32 = 0x0000;
const SENT: u32 = 0x0040;
const RECEIVE_RING: u32 = 0x0080;
const TRANSMIT_RING: u32 = 0x1080;
const AREA_BYTES: u32 = 0x2080;

const MORE: u64 = 1 << 0;
const CHECKSUM: u64 = 1 << 1;
const SEGMENT_SHIFT: u64 = 16;
const START_SHIFT: u64 = 32;
const FIELD_SHIFT: u64 = 48;

/** Receive descriptors handed back with one write of RECEIVE. */
const REFILL_BATCH: u32 = 32;

/** Mbit/s, for people: memory has no line rate. */
const SPEED: u32 = 100_000;


@unmanaged
class MemoryLink {
  registers: usize;
  /** The shared area. */
  area: usize;
  /** Of each receive descriptor its packet; there always is one. */
  receivePackets: usize;
  /** Of each transmit descriptor the packet that ends there, or 0. */
  transmitPackets: usize;
  /** Counts: frames taken, transmit descriptors filled, and those whose packets are freed. */
  received: u32;
  filled: u32;
  freed: u32;
  /** Receive descriptors filled since RECEIVE was last written. */
  owed: u32;
}

const bar = changetype<PciBar>(memory.data(offsetof<PciBar>(), 8));


@inline function linkOf(device: Device): MemoryLink {
  return changetype<MemoryLink>(device.context);
}

/** Where packet `count` of a ring's packets is kept. */
@inline function cell(packets: usize, count: u32): usize {
  return packets + ((count & (RING - 1)) << 2);
}

// ---- Start -------------------------------------------------------------------------------

function start(entry: PciFunction, device: Device): bool {
  pciBar(entry, 0, bar);
  if (bar.io || bar.size < REGISTERS || bar.base == 0) return fail("BAR 0 is no assigned memory");
  const registers = mmioMap(bar.base, REGISTERS);
  if (!registers) return fail("the registers cannot be mapped");
  pciEnable(entry);
  if (mmioRead32(registers + MAGIC) != MAGIC_VALUE)
    return fail("the registers are another device's");
  const link = changetype<MemoryLink>(deviceMemory(device, offsetof<MemoryLink>(), 64));
  const area = deviceMemory(device, AREA_BYTES, 4096);
  const receivePackets = deviceMemory(device, RING << 2, 64);
  const transmitPackets = deviceMemory(device, RING << 2, 64);
  if (!changetype<usize>(link) || !area || !receivePackets || !transmitPackets) {
    return fail("no memory for its rings: give the machine more RAM");
  }
  link.registers = registers;
  link.area = area;
  link.receivePackets = receivePackets;
  link.transmitPackets = transmitPackets;
  device.context = changetype<usize>(link);
  if (!fillSlots(receivePackets, RING, 0)) {
    return fail("no packets for its receive ring: give the machine more RAM");
  }

  const features = mmioRead32(registers + FEATURES);
  if (features & FEATURE_RECEIVE_CHECKSUM) device.features |= Feature.ReceiveChecksum;
  if (features & FEATURE_TRANSMIT_CHECKSUM) {
    device.features |= Feature.TransmitChecksum | Feature.ChecksumAnywhere;
  }
  if (features & FEATURE_SEGMENTATION) {
    device.features |= Feature.Segmentation | Feature.Segmentation6;
  }
  device.mac = ((<u64>mmioRead32(registers + MAC_HIGH)) << 32) | mmioRead32(registers + MAC_LOW);
  device.mtu = mmioRead32(registers + MTU);
  device.serve(transmit, poll, setInterrupts, check, setReceiveMode, reset, stop);
  bringUp(link);
  device.setLink(true, SPEED, true);
  return true;
}

function fail(reason: string): bool {
  error("link").text(reason).end();
  return false;
}

/** Gives the device the area and every receive packet, from count 0. */
function bringUp(link: MemoryLink): void {
  memory.fill(link.area, 0, AREA_BYTES);
  link.received = 0;
  link.filled = 0;
  link.freed = 0;
  link.owed = 0;
  for (let i: u32 = 0; i < RING; i++) offer(link, i);
  dmaWriteBarrier();
  mmioWrite32(link.registers + AREA, <u32>link.area);
  mmioWrite32(link.registers + RECEIVE, RING);
}

/** Fills receive descriptor `count` with its packet. */
@inline function offer(link: MemoryLink, count: u32): void {
  const slot = receivePacket(link, count).slot;
  const at = link.area + RECEIVE_RING + ((count & (RING - 1)) << 4);
  dmaWrite64(at, ((<u64>slotSize(PoolId.Standard)) << 32) | (<u64>slot));
}

// ---- Receive -----------------------------------------------------------------------------

@inline function receivePacket(link: MemoryLink, count: u32): Packet {
  return changetype<Packet>(load<usize>(cell(link.receivePackets, count)));
}

/** Frees what was sent and takes up to `budget` frames; one without a packet to take its place is dropped. */
function poll(device: Device, budget: u32): u32 {
  const link = linkOf(device);
  reclaim(link);
  const first = link.received;
  const done = min<u32>(dmaRead32(link.area + RECEIVED) - first, budget);
  if (!done) return 0;
  dmaReadBarrier();
  const ring = link.area + RECEIVE_RING;
  const packets = link.receivePackets;
  const received = device.received;
  const flagsGood = <u8>(PacketFlag.NetworkChecksumGood | PacketFlag.TransportChecksumGood);
  let fresh = allocateBurst(PoolId.Standard, done);
  let bytes: u64 = 0;
  for (let count = first; count != first + done; count++) {
    const at = ring + ((count & (RING - 1)) << 4);
    if (fresh !== null) {
      // A fresh packet takes the place of the one that goes up.
      const place = cell(packets, count);
      const packet = changetype<Packet>(load<usize>(place));
      const next = fresh.next;
      fresh.exchange(packet);
      store<usize>(place, changetype<usize>(fresh));
      const length = <u32>(dmaRead64(at) >> 32);
      packet.length = length;
      packet.iface = device.index;
      if (dmaRead64(at + 8) & CHECKSUM) packet.flags = flagsGood;
      bytes += length;
      received.push(packet);
      dmaWrite64(at, ((<u64>slotSize(PoolId.Standard)) << 32) | (<u64>fresh.slot));
      fresh = next;
    } else {
      device.receiveDropped++;
      offer(link, count);
    }
  }
  device.receivedPackets += burstLength();
  device.receivedBytes += bytes;
  link.received = first + done;
  device.receiveDescriptors += done;
  link.owed += done;
  if (link.owed >= REFILL_BATCH) {
    link.owed = 0;
    dmaWriteBarrier();
    mmioWrite32(link.registers + RECEIVE, link.received + RING);
    device.receiveDoorbells++;
  }
  return done;
}

// ---- Transmit ----------------------------------------------------------------------------

/** Moves packets from the queue to the ring while there is room; one write of TRANSMIT for all. */
function transmit(device: Device, queue: PacketQueue): void {
  const link = linkOf(device);
  const before = link.filled;
  for (let packet = queue.head; packet !== null; packet = queue.head) {
    const needed: u32 = 1 + <u32>packet.fragmentCount;
    if (RING - (link.filled - link.freed) < needed) {
      reclaim(link);
      if (RING - (link.filled - link.freed) < needed) break;
    }
    queue.pop();
    let options: u64 = 0;
    if (packet.flags & PacketFlag.ChecksumPending) {
      const field: u32 = <u32>packet.checksumStart + packet.checksumOffset;
      options =
        CHECKSUM |
        ((<u64>packet.segmentSize) << SEGMENT_SHIFT) |
        ((<u64>packet.checksumStart) << START_SHIFT) |
        ((<u64>field) << FIELD_SHIFT);
    }
    let address = packet.data;
    let length = packet.length;
    let bytes = length;
    for (let i: u32 = 0; i < packet.fragmentCount; i++) {
      const fragment = packet.fragment(i);
      fill(link, address, length, options | MORE, 0);
      options = 0;
      address = fragment.address;
      length = fragment.length;
      bytes += length;
    }
    packet.give(Owner.NicTx);
    fill(link, address, length, options, changetype<usize>(packet));
    device.sentPackets++;
    device.sentBytes += bytes;
  }
  if (link.filled == before) return;
  dmaWriteBarrier();
  mmioWrite32(link.registers + TRANSMIT, link.filled);
  // Who takes the frames may take his time: none is ever overdue.
  device.transmitDescriptors += link.filled - before;
  device.transmitDone = device.transmitDescriptors;
  device.transmitDoorbells++;
}


@inline
function fill(link: MemoryLink, address: usize, length: u32, options: u64, packet: usize): void {
  const count = link.filled++;
  const at = link.area + TRANSMIT_RING + ((count & (RING - 1)) << 4);
  dmaWrite64(at, ((<u64>length) << 32) | (<u64>address));
  dmaWrite64(at + 8, options);
  store<usize>(cell(link.transmitPackets, count), packet);
}

/** Frees the packets that the device is done with. */
@inline function reclaim(link: MemoryLink): void {
  freeTransmit(link, dmaRead32(link.area + SENT));
}

function freeTransmit(link: MemoryLink, end: u32): void {
  for (; link.freed != end; link.freed++) {
    const packet = load<usize>(cell(link.transmitPackets, link.freed));
    if (packet) changetype<Packet>(packet).release();
  }
}

// ---- Interrupts, and the rest of a device's life ---------------------------------------------

function setInterrupts(device: Device, on: bool): void {
  const link = linkOf(device);
  mmioWrite32(link.registers + INTERRUPT, on);
  if (!mmioRead32(link.registers + CAUSE) || on) return;
  device.interrupts++;
  device.receiveInterrupts++;
}

/** There is nothing that could hang: frames not taken are the process's own back-pressure. */
function check(_device: Device, _now: u64): void {}

/** The link has no filter: it receives what it is given. */
function setReceiveMode(_device: Device): void {}

/** Back to empty rings; what was on its way out is lost. */
function reset(device: Device): void {
  const link = linkOf(device);
  mmioWrite32(link.registers + AREA, 0);
  freeTransmit(link, link.filled);
  device.resets++;
  bringUp(link);
}

function stop(device: Device): void {
  const link = linkOf(device);
  mmioWrite32(link.registers + AREA, 0);
  freeTransmit(link, link.filled);
  freeSlots(link.receivePackets, RING);
}

registerChip("link", Bus.Pci, pciId(0x534b, 0x4d4c), "memory link", start);
