import { copyStats } from "../../kernel/copies";
import { dmaRead32, dmaReadBarrier, dmaWriteBarrier } from "../../kernel/host";
import { Packet, PacketQueue, PoolId, Purpose, allocate } from "../../kernel/packet";
import { Device } from "../device";
import { deviceMemory } from "../device-memory";
import { EARLY_STEP, ETHERNET_HEADER, FCS, FRAME_LEAST, Rtl8139, nicOf } from "./chip";
import {
  CAPR,
  CAPR_BEHIND,
  CBR,
  CR,
  CR_RE,
  CR_TE,
  ERTXTH_MOST,
  HEADER,
  HEADER_ROK,
  ISR,
  ISR_FOVW,
  ISR_ROK,
  ISR_RXOVW,
  LENGTH_UNFINISHED,
  RBSTART,
  RCR,
  TCR,
  TCR_CLRABT,
  TCR_IFG,
  TCR_MXDMA_1024,
  TSAD,
  TSAD0,
  TSAD_TABT_SHIFT,
  TSAD_TOK_SHIFT,
  TSAD_TUN_SHIFT,
  TSD0,
  TSD_ERTXTH_SHIFT,
} from "./registers";

/**
 * The classic mode: one receive ring of 64 KiB into which the chip writes frame after frame, each
 * behind a header, and four buffers from which it sends in turn.
 *
 *     … │ status, length │ frame, FCS │ up to a multiple of 4 │ status, length │ …
 *       └ receiveNext, and CAPR + 16                            └ CBR
 *
 * The ring is in the chip's order and the buffers are its own, so each byte is copied once each way.
 */

/** Bytes of the ring, and those behind it that the chip may also write (5.8, RBLEN). */
const RING: u32 = 65536;
const RING_PAD: u32 = 16;

/** Bytes of a slot of `PoolId.Standard`, and so the longest frame that is taken. */
const FRAME_MOST: u32 = 2048;

/** Less room than this in the ring, and a frame may have found none. */
const ROOM_LEAST: u32 = 4096;

const BUFFERS: u32 = 4;
const BUFFER_SHIFT: u32 = 11;

/** Takes the memory of ring and buffers; false when there is none. */
export function takeBuffers(nic: Rtl8139, device: Device): bool {
  nic.receiveRing = deviceMemory(device, RING + RING_PAD, 4096);
  nic.transmitRing = deviceMemory(device, BUFFERS << BUFFER_SHIFT, 64);
  return nic.receiveRing != 0 && nic.transmitRing != 0;
}

/** Programs the buffers of a chip that has been reset. What follows is CR.RE and CR.TE. */
export function openBuffers(nic: Rtl8139): void {
  nic.receiveNext = 0;
  nic.transmitNext = 0;
  nic.transmitClean = 0;
  nic.aborted = 0;
  nic.write32(RBSTART, <u32>nic.receiveRing);
  for (let i: u32 = 0; i < BUFFERS; i++) nic.write32(TSAD0 + (i << 2), <u32>bufferAt(nic, i));
}

// ---- Receive (5.1, PG 2) -------------------------------------------------------------------

/**
 * Takes up to `budget` frames out of the ring. What is behind CBR is whole, so one read of it does
 * for all of them, and one write of CAPR gives the room of all back.
 */
export function poll(device: Device, budget: u32): u32 {
  const nic = nicOf(device);
  const end = nic.read16(CBR);
  let offset = nic.receiveNext;
  let unread = (end - offset) & (RING - 1);
  if (!unread) return 0;
  dmaReadBarrier();
  const crowded = unread > RING - ROOM_LEAST;
  let done: u32 = 0;
  for (; done < budget && unread; done++) {
    const header = dmaRead32(nic.receiveRing + offset);
    const length = header >>> 16;
    if (length == LENGTH_UNFINISHED) break;
    const size = (HEADER + length + 3) & ~3;
    if (length < ETHERNET_HEADER + FCS || size > unread) {
      // This is no header: where the next one is, nobody knows.
      device.receiveErrors++;
      restartReceiver(nic);
      return done + 1;
    }
    if (header & HEADER_ROK && length - FCS <= FRAME_MOST) {
      accept(nic, (offset + HEADER) & (RING - 1), length - FCS);
    } else {
      device.receiveErrors++;
    }
    offset = (offset + size) & (RING - 1);
    unread -= size;
  }
  if (!done) return 0;
  nic.receiveNext = offset;
  nic.write16(CAPR, (offset - CAPR_BEHIND) & (RING - 1));
  device.receiveDescriptors += done;
  device.receiveDoorbells++;
  // A receiver that ran out of room goes on when it has some and this is cleared (PG 2).
  if (crowded) nic.write16(ISR, ISR_ROK | ISR_RXOVW | ISR_FOVW);
  return done;
}

/** Copies a frame of `length` bytes at `offset` out of the ring, and passes it on. */
@inline function accept(nic: Rtl8139, offset: u32, length: u32): void {
  const device = nic.device;
  const packet = allocate(PoolId.Standard, Purpose.Refill, 0);
  if (packet === null) {
    device.receiveDropped++;
    return;
  }
  const first = min<u32>(length, RING - offset);
  memory.copy(packet.data, nic.receiveRing + offset, first);
  if (first != length) memory.copy(packet.data + first, nic.receiveRing, length - first);
  copyStats.bouncedIn += length;
  packet.length = length;
  packet.iface = device.index;
  device.receivedPackets++;
  device.receivedBytes += length;
  device.received.push(packet);
}

/** Begins again with an empty ring, and with RCR as it should be: what is unread is lost. */
export function restartReceiver(nic: Rtl8139): void {
  nic.write8(CR, CR_TE);
  nic.write32(RBSTART, <u32>nic.receiveRing);
  nic.write8(CR, CR_TE | CR_RE);
  nic.write32(RCR, nic.rcr);
  nic.receiveNext = 0;
  nic.write16(CAPR, (0 - CAPR_BEHIND) & (RING - 1));
  nic.write16(ISR, ISR_ROK | ISR_RXOVW | ISR_FOVW);
}

// ---- Transmit (5.2, 5.17) ------------------------------------------------------------------

@inline function bufferAt(nic: Rtl8139, index: u32): usize {
  return nic.transmitRing + (index << BUFFER_SHIFT);
}

/** Copies packets from the queue into free buffers and has each sent. */
export function transmit(device: Device, queue: PacketQueue): void {
  const nic = nicOf(device);
  if (!device.linkUp) {
    device.transmitErrors += queue.length;
    queue.clear();
    return;
  }
  for (let packet = queue.head; packet !== null; packet = queue.head) {
    if (nic.transmitNext - nic.transmitClean == BUFFERS) {
      reclaim(nic);
      if (nic.transmitNext - nic.transmitClean == BUFFERS) return;
    }
    queue.pop();
    const index = nic.transmitNext & (BUFFERS - 1);
    const length = fill(bufferAt(nic, index), packet);
    assert(length <= device.mtu + device.tagRoom + ETHERNET_HEADER);
    packet.release();
    dmaWriteBarrier();
    // Writing the size clears OWN and with it the status.
    nic.write32(
      TSD0 + (index << 2),
      (nic.early << TSD_ERTXTH_SHIFT) | max<u32>(length, FRAME_LEAST),
    );
    nic.transmitNext++;
    device.transmitDescriptors++;
    device.transmitDoorbells++;
    device.sentPackets++;
    device.sentBytes += length;
  }
}

/** Copies a packet into a buffer, with zeroes up to the least length; returns its own. */
@inline function fill(buffer: usize, packet: Packet): u32 {
  memory.copy(buffer, packet.data, packet.length);
  let length = packet.length;
  for (let i: u32 = 0; i < packet.fragmentCount; i++) {
    const fragment = packet.fragment(i);
    memory.copy(buffer + length, fragment.address, fragment.length);
    length += fragment.length;
  }
  copyStats.bouncedOut += length;
  if (length < FRAME_LEAST) memory.fill(buffer + length, 0, FRAME_LEAST - length);
  return length;
}

/** Sees which buffers are sent, in their order. One read tells of all four. */
export function reclaim(nic: Rtl8139): void {
  const status = nic.read16(TSAD);
  const before = nic.transmitClean;
  advance(nic, status);
  nic.device.transmitDone += nic.transmitClean - before;
}


@inline function advance(nic: Rtl8139, status: u32): void {
  for (; nic.transmitClean != nic.transmitNext; nic.transmitClean++) {
    const index = nic.transmitClean & (BUFFERS - 1);
    const own = status >> index;
    if (!(own & ((1 << TSAD_TOK_SHIFT) | (1 << TSAD_TUN_SHIFT)))) {
      if (own & (1 << TSAD_TABT_SHIFT)) clearAbort(nic, index);
      return;
    }
    nic.aborted &= ~(1 << index);
    // Sent, but the bus was too slow for the FIFO.
    if (own & (1 << TSAD_TUN_SHIFT) && nic.early <= ERTXTH_MOST - EARLY_STEP)
      nic.early += EARLY_STEP;
  }
}

/** Forgets the frames on their way out, of a chip that is reset; returns how many. */
export function freeTransmit(nic: Rtl8139): u32 {
  const frames = nic.transmitNext - nic.transmitClean;
  nic.device.transmitDone += frames;
  nic.transmitClean = nic.transmitNext;
  return frames;
}

/** Too many collisions: the transmitter stands still until it is told to try the same frame again (5.7). */
function clearAbort(nic: Rtl8139, index: u32): void {
  if (nic.aborted & (1 << index)) return;
  nic.aborted |= 1 << index;
  nic.device.transmitErrors++;
  nic.write32(TCR, TCR_IFG | TCR_MXDMA_1024 | TCR_CLRABT);
}
