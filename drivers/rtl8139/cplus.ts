import { now } from "../../kernel/clock";
import { dmaRead32, dmaReadBarrier, dmaWrite64, dmaWriteBarrier } from "../../kernel/host";
import {
  Owner,
  Packet,
  PacketFlag,
  PacketQueue,
  PoolId,
  Purpose,
  allocate,
} from "../../kernel/packet";
import { completeChecksum } from "../../net/wire/checksum";
import { EtherType, EthernetHeader } from "../../net/wire/ethernet";
import { Device } from "../device";
import { deviceMemory } from "../device-memory";
import { fillSlots, freeSlots } from "../receive-slots";
import { EARLY_STEP, ETHERNET_HEADER, FCS, FRAME_LEAST, Rtl8139, nicOf } from "./chip";
import {
  CPCR,
  CPCR_CPRX,
  CPCR_CPTX,
  CPCR_MULRW,
  CPCR_RXCHKSUM,
  EOR,
  ERTXTH_MOST,
  ETTHR,
  FS,
  LS,
  OWN,
  RDSAR,
  RING_ALIGN,
  RX_CRC,
  RX_FAE,
  RX_FOVF,
  RX_IPF,
  RX_LENGTH,
  RX_PID_SHIFT,
  RX_PID_TCP,
  RX_PID_UDP,
  RX_RES,
  RX_RUNT,
  RX_RWT,
  RX_TCPF,
  RX_UDPF,
  THPDS,
  TNPDS,
  TPPOLL,
  TPPOLL_NPQ,
  TX_IPCS,
  TX_LGSEN,
  TX_MSS_MOST,
  TX_MSS_SHIFT,
  TX_TCPCS,
  TX_TES,
  TX_UDPCS,
  TX_UNF,
} from "./registers";

/**
 * The C+ mode: two rings of descriptors, frames read and written where they lie.
 *
 *     word 0                             1     2, 3
 *     OWN EOR FS LS … length or buffer   VLAN  address of the buffer
 *
 * A descriptor is the chip's while OWN is set, and nothing else says how far it is. The receiver has
 * no doorbell: a descriptor that is given back is found.
 */

/** Descriptors of a ring: as many as the chip can have. Each has 16 bytes. */
const RING: u32 = 64;
const DESCRIPTOR_SHIFT: u32 = 4;
const RING_BYTES: u32 = RING << DESCRIPTOR_SHIFT;

/**
 * Packets that wait for `poll` outside the ring. The ring is short, 8 ms of frames of the longest
 * kind and half a millisecond of the shortest, so it is emptied whenever there is a chance.
 */
const READY_MOST: u32 = 192;

/** Bytes of a receive buffer; a longer frame fills several and is dropped. */
const RECEIVE_BUFFER: u32 = 2048;

/** The frame itself is damaged. */
const RX_DAMAGED: u32 = RX_FAE | RX_FOVF | RX_RWT | RX_RES | RX_RUNT | RX_CRC;

/** Offset of TCP's checksum in its header; UDP's is at 6. */
const TCP_CHECKSUM: u32 = 16;
const UDP_CHECKSUM: u32 = 6;

/** A packet for the chip to cut is shorter than this, headers and all. */
const LARGE_SEND_MOST: u32 = 65536;

/** Descriptors of a packet: its own bytes, two fragments, zeroes up to the least length. */
const PACKET_DESCRIPTORS: u32 = 4;

/** Takes the memory of both rings and what goes with them; false when there is none. */
export function takeRings(nic: Rtl8139, device: Device): bool {
  nic.receiveRing = deviceMemory(device, RING_BYTES, RING_ALIGN);
  nic.transmitRing = deviceMemory(device, RING_BYTES, RING_ALIGN);
  nic.receivePackets = deviceMemory(device, RING << 2, 64);
  nic.transmitPackets = deviceMemory(device, RING << 2, 64);
  nic.zeroes = deviceMemory(device, 64, 64);
  if (!nic.receiveRing || !nic.transmitRing) return false;
  return nic.receivePackets != 0 && nic.transmitPackets != 0 && nic.zeroes != 0;
}

/** Gives each receive descriptor a packet. All of them or, when packets are short, none. */
export function fillRing(nic: Rtl8139): bool {
  return fillSlots(nic.receivePackets, RING, RECEIVE_BUFFER);
}

/** Programs the rings of a chip that has been reset. What follows is CR.RE and CR.TE. */
export function openRings(nic: Rtl8139): void {
  for (let i: u32 = 0; i < RING; i++) {
    const at = nic.receiveRing + (i << DESCRIPTOR_SHIFT);
    dmaWrite64(at + 8, receivePacket(nic, i).slot);
    dmaWrite64(at, receiveCommand(i));
  }
  memory.fill(nic.transmitRing, 0, RING_BYTES);
  nic.receiveNext = 0;
  nic.transmitNext = 0;
  nic.transmitClean = 0;
  dmaWriteBarrier();
  nic.write16(CPCR, CPCR_CPTX | CPCR_CPRX | CPCR_MULRW | CPCR_RXCHKSUM);
  nic.write32(THPDS, 0);
  nic.write32(THPDS + 4, 0);
  nic.write32(TNPDS, <u32>nic.transmitRing);
  nic.write32(TNPDS + 4, 0);
  nic.write32(RDSAR, <u32>nic.receiveRing);
  nic.write32(RDSAR + 4, 0);
  nic.write8(ETTHR, nic.early);
}

// ---- Receive -----------------------------------------------------------------------------

/** First words of an empty descriptor that is the chip's. */
@inline function receiveCommand(index: u32): u32 {
  return OWN | (index == RING - 1 ? EOR : 0) | RECEIVE_BUFFER;
}


@inline function receivePacket(nic: Rtl8139, index: u32): Packet {
  return changetype<Packet>(load<usize>(nic.receivePackets + (index << 2)));
}

/** Frees what was sent and passes up to `budget` frames on. */
export function poll(device: Device, budget: u32): u32 {
  const nic = nicOf(device);
  reclaim(nic);
  const done = harvest(nic);
  const ready = nic.ready;
  const good = min<u32>(budget, ready.length);
  for (let i: u32 = 0; i < good; i++) device.received.push(ready.pop()!);
  return max<u32>(good, min<u32>(done, budget));
}

/**
 * Takes all frames out of the ring. Each good one leaves its slot to the stack and a fresh one
 * takes its place; without a fresh one the frame is dropped and its slot filled again. Returns how
 * many there were, bad ones included.
 */
function harvest(nic: Rtl8139): u32 {
  let index = nic.receiveNext;
  let done: u32 = 0;
  for (; nic.readyLength < READY_MOST && done < RING; done++) {
    const at = nic.receiveRing + (index << DESCRIPTOR_SHIFT);
    const status = dmaRead32(at);
    if (status & OWN) break;
    dmaReadBarrier();
    if (accept(nic, index, status)) {
      dmaWrite64(at + 8, receivePacket(nic, index).slot);
      dmaWriteBarrier();
    }
    dmaWrite64(at, receiveCommand(index));
    index = (index + 1) & (RING - 1);
  }
  nic.receiveNext = index;
  nic.device.receiveDescriptors += done;
  if (done == RING) nic.device.receiveFullAt = now();
  return done;
}

/** Passes the frame in descriptor `index` on and puts a fresh packet there; false if the frame is dropped. */
@inline function accept(nic: Rtl8139, index: u32, status: u32): bool {
  const device = nic.device;
  const length = status & RX_LENGTH;
  if (
    (status & (FS | LS)) != (FS | LS) ||
    status & RX_DAMAGED ||
    length < ETHERNET_HEADER + FCS ||
    length > RECEIVE_BUFFER
  ) {
    // A frame that fills several buffers counts once, at its start.
    if (status & FS) device.receiveErrors++;
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
  packet.length = length - FCS;
  packet.iface = device.index;
  packet.flags = <u8>verdict(status);
  device.receivedPackets++;
  device.receivedBytes += length - FCS;
  nic.ready.push(packet);
  return true;
}

/** `PacketFlag` for the checksums that the chip has found right. */
@inline function verdict(status: u32): u32 {
  const protocol = (status >> RX_PID_SHIFT) & 3;
  if (!protocol || status & RX_IPF) return 0;
  if (
    (protocol == RX_PID_TCP && !(status & RX_TCPF)) ||
    (protocol == RX_PID_UDP && !(status & RX_UDPF))
  ) {
    return PacketFlag.NetworkChecksumGood | PacketFlag.TransportChecksumGood;
  }
  return PacketFlag.NetworkChecksumGood;
}

/** Takes back every packet that the chip could have written to. Only once it is reset. */
export function freeReceive(nic: Rtl8139): void {
  nic.ready.clear();
  freeSlots(nic.receivePackets, RING);
}

// ---- Transmit ----------------------------------------------------------------------------

/** Moves packets from the queue to the ring while there is room; one doorbell for all of them. */
export function transmit(device: Device, queue: PacketQueue): void {
  const nic = nicOf(device);
  if (!device.linkUp) {
    device.transmitErrors += queue.length;
    queue.clear();
    return;
  }
  const before = nic.transmitNext;
  for (let packet = queue.head; packet !== null; packet = queue.head) {
    if (nic.transmitNext - nic.transmitClean > RING - PACKET_DESCRIPTORS) {
      reclaim(nic);
      if (nic.transmitNext - nic.transmitClean > RING - PACKET_DESCRIPTORS) break;
    }
    queue.pop();
    fill(nic, packet);
  }
  if (nic.transmitNext == before) return;
  // The register write may take long, and nobody looks after the ring meanwhile.
  harvest(nic);
  ring(nic);
  device.transmitDescriptors += nic.transmitNext - before;
  device.transmitDoorbells++;
}

/** Tells the chip that there is something to send. */
export function ring(nic: Rtl8139): void {
  dmaWriteBarrier();
  nic.write8(TPPOLL, TPPOLL_NPQ);
}

/** Fills descriptors with a packet; the first becomes the chip's when the others are. */
@inline function fill(nic: Rtl8139, packet: Packet): void {
  const bytes = packet.totalLength;
  const count = <u32>packet.fragmentCount;
  const command = OWN | offload(packet);
  const short = bytes < FRAME_LEAST;
  const first = nic.transmitNext;
  const last = first + count + (short ? 1 : 0);
  for (let i: u32 = 0; i < count; i++) {
    const fragment = packet.fragment(i);
    const at = first + 1 + i;
    describe(nic, at, fragment.address, command | (at == last ? LS : 0) | fragment.length);
  }
  // The chip would fill up a short frame by itself, but is known to garble it when it also fills
  // in a checksum.
  if (short) describe(nic, last, nic.zeroes, command | LS | (FRAME_LEAST - bytes));
  describe(nic, first, packet.data, command | FS | (first == last ? LS : 0) | packet.length);
  packet.give(Owner.NicTx);
  store<usize>(nic.transmitPackets + ((last & (RING - 1)) << 2), changetype<usize>(packet));
  nic.transmitNext = last + 1;
  countSent(nic.device, packet, bytes);
}

/** What the chip is to do with the packet: TCP or UDP over IPv4, which is all that it knows, it sums itself. */
@inline function offload(packet: Packet): u32 {
  const size = <u32>packet.segmentSize;
  // The chip sets lengths, identification, sequence numbers and both checksums of each segment,
  // and takes nothing from what is there.
  if (size) return TX_LGSEN | (size << TX_MSS_SHIFT);
  if (!(packet.flags & PacketFlag.ChecksumPending)) return 0;
  if (changetype<EthernetHeader>(packet.data).type != EtherType.IPv4) {
    completeChecksum(packet);
    return 0;
  }
  // It finds header and pseudo-header itself; IP's checksum comes with TCP's, as Linux has it.
  const field = <u32>packet.checksumOffset;
  assert(field == TCP_CHECKSUM || field == UDP_CHECKSUM);
  return TX_IPCS | (field == TCP_CHECKSUM ? TX_TCPCS : TX_UDPCS);
}


@inline function countSent(device: Device, packet: Packet, bytes: u32): void {
  const size = <u32>packet.segmentSize;
  if (!size) {
    assert(bytes >= ETHERNET_HEADER && bytes <= device.mtu + device.tagRoom + ETHERNET_HEADER);
    device.sentPackets++;
    device.sentBytes += bytes;
    return;
  }
  const headers = packet.length;
  const payload = bytes - headers;
  assert(size <= TX_MSS_MOST && payload > size && bytes < LARGE_SEND_MOST);
  const segments = (payload + size - 1) / size;
  device.sentPackets += segments;
  device.sentBytes += payload + segments * headers;
}

/** Writes descriptor `count` of the ring. It may be read the moment that OWN is there. */
@inline function describe(nic: Rtl8139, count: u32, address: usize, command: u32): void {
  const index = count & (RING - 1);
  const at = nic.transmitRing + (index << DESCRIPTOR_SHIFT);
  dmaWrite64(at + 8, address);
  dmaWriteBarrier();
  dmaWrite64(at, index == RING - 1 ? command | EOR : command);
}

/** Frees the packets that the chip is done with. */
export function reclaim(nic: Rtl8139): void {
  const next = nic.transmitNext;
  let clean = nic.transmitClean;
  for (; clean != next; clean++) {
    const index = clean & (RING - 1);
    const status = dmaRead32(nic.transmitRing + (index << DESCRIPTOR_SHIFT));
    if (status & OWN) break;
    release(nic, index, status);
  }
  nic.device.transmitDone += clean - nic.transmitClean;
  nic.transmitClean = clean;
}


@inline function release(nic: Rtl8139, index: u32, status: u32): void {
  const at = nic.transmitPackets + (index << 2);
  const packet = load<usize>(at);
  if (!packet) return;
  store<usize>(at, 0);
  // A chip that leaves the command in place leaves a segment size where its errors are.
  if (status & (TX_UNF | TX_TES) && !changetype<Packet>(packet).segmentSize) {
    transmitFailed(nic, status);
  }
  changetype<Packet>(packet).release();
}

/** The bus was too slow for the FIFO, or the wire too busy. */
function transmitFailed(nic: Rtl8139, status: u32): void {
  nic.device.transmitErrors++;
  if (!(status & TX_UNF) || nic.early > ERTXTH_MOST - EARLY_STEP) return;
  nic.early += EARLY_STEP;
  nic.write8(ETTHR, nic.early);
}

/** Frees all packets on their way out, of a chip that is reset; returns how many. */
export function freeTransmit(nic: Rtl8139): u32 {
  let packets: u32 = 0;
  nic.device.transmitDone += nic.transmitNext - nic.transmitClean;
  for (; nic.transmitClean != nic.transmitNext; nic.transmitClean++) {
    const at = nic.transmitPackets + ((nic.transmitClean & (RING - 1)) << 2);
    const packet = load<usize>(at);
    if (!packet) continue;
    store<usize>(at, 0);
    changetype<Packet>(packet).release();
    packets++;
  }
  return packets;
}
