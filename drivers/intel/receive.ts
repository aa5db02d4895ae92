import { dmaRead64, dmaReadBarrier, dmaWrite64, dmaWriteBarrier } from "../../kernel/host";
import { Packet, PacketFlag, PoolId, Purpose, allocate } from "../../kernel/packet";
import { Device } from "../device";
import { IntelNic, nicOf } from "./nic";
import {
  RCTL,
  RCTL_EN,
  RCTL_UPE,
  RCTL_MPE,
  RCTL_BAM,
  RCTL_BSIZE_2048,
  RCTL_SECRC,
  RECEIVE_BUFFER,
  RDT,
  MTA,
  MTA_WORDS,
  DESCRIPTOR_SHIFT,
  RECEIVE_RING,
  RX_DD,
  RX_EOP,
  RX_IXSM,
  RX_UDPCS,
  RX_TCPCS,
  RX_IPCS,
  RX_DAMAGED,
  RX_TCPE,
  RX_IPE,
  REFILL_BATCH,
  ETHERNET_HEADER,
} from "./registers";
import { reclaim } from "./transmit";

/** Receiving (SDM 3.2, 3.2.6; 82574 7.1): the ring, its packets, and the filter before it. */

// ---- Receive (3.2) -----------------------------------------------------------------------

@inline export function receivePacket(nic: IntelNic, index: u32): Packet {
  return changetype<Packet>(load<usize>(nic.receivePackets + (index << 2)));
}

/**
 * Frees what was sent and takes up to `budget` frames. Each good one leaves its slot to the stack
 * and a fresh one takes its place; without a fresh one the frame is dropped and its slot filled
 * again, so the ring never runs dry.
 */
export function poll(device: Device, budget: u32): u32 {
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
@inline function accept(nic: IntelNic, index: u32, length: u32, status: u32): bool {
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
    if (status & (RX_TCPCS | RX_UDPCS) && !(errors & RX_TCPE))
      flags |= PacketFlag.TransportChecksumGood;
    packet.flags = <u8>flags;
  }
  device.receivedPackets++;
  device.receivedBytes += length;
  device.received.push(packet);
  return true;
}

// ---- Receive filter (13.4.22, 13.5.1) ------------------------------------------------------

/** Applies the device's list of groups, `promiscuous` and `allMulticast`; starts the receiver. */
export function setReceiveMode(device: Device): void {
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
