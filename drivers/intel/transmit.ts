import { dmaRead32, dmaReadBarrier, dmaWrite64, dmaWriteBarrier } from "../../kernel/host";
import { Owner, Packet, PacketFlag, PacketQueue } from "../../kernel/packet";
import { Device } from "../device";
import { IntelNic, NO_CONTEXT, nicOf } from "./nic";
import {
  TDT,
  DESCRIPTOR_SHIFT,
  TRANSMIT_RING,
  TX_EOP,
  TX_TSE,
  TX_BURST,
  TX_RS,
  TX_DEXT,
  TX_DATA,
  TX_DD,
  TX_TXSM,
  TX_CONTEXT_TCP,
  TX_CONTEXT_IPV4,
  TX_RUN_MAX,
  TX_RUN_SEGMENTS,
  TX_SENTINEL,
  REPORT_EVERY,
  ETHERNET_HEADER,
  IPV4_LENGTH,
  IPV4_CHECKSUM,
  IPV6_LENGTH,
  TX_IXSM,
} from "./registers";

/** Sending (SDM 3.3 to 3.5; 82574 7.2): the ring, checksums and segmentation. */

// ---- Transmit (3.3, 3.4) -----------------------------------------------------------------

/** Descriptors free to fill; one stays empty, since a full ring would look like an empty one. */
@inline function transmitRoom(nic: IntelNic): u32 {
  return (nic.transmitClean - nic.transmitNext - 1) & (TRANSMIT_RING - 1);
}

/** Moves packets from the queue to the ring while there is room; one write of TDT for all of them. */
export function transmit(device: Device, queue: PacketQueue): void {
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
@inline function fillFrame(nic: IntelNic, packet: Packet): u64 {
  // Options count in a frame's first descriptor (3.3.7.3), but QEMU's e1000e takes them from the last.
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
    address = fragment.address;
    length = fragment.length;
    bytes += length;
  }
  if (nic.segmented) {
    nic.segmented = false;
    // Such a packet's only descriptor, too, may count as done before it is read.
    if (!packet.fragmentCount) {
      fill(nic, address, options | TX_DATA | (length - TX_SENTINEL));
      address += length - TX_SENTINEL;
      length = TX_SENTINEL;
    }
  }
  assert(
    bytes >= ETHERNET_HEADER && bytes <= nic.device.mtu + nic.device.tagRoom + ETHERNET_HEADER,
  );
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
function fillSegmented(nic: IntelNic, packet: Packet): u64 {
  const start: u32 = packet.checksumStart;
  const field = start + packet.checksumOffset;
  const headers = packet.length;
  const payload = packet.totalLength - headers;
  const size: u32 = packet.segmentSize;
  assert(headers < 256 && packet.fragmentCount > 0 && payload > size);
  // The device adds each segment's length to the pseudo-header's sum, which must not hold one yet.
  const ip = packet.data + ETHERNET_HEADER;
  const v4 = load<u8>(ip) >> 4 == 4;
  if (v4) {
    store<u16>(ip + IPV4_LENGTH, 0);
    store<u16>(ip + IPV4_CHECKSUM, 0);
  } else store<u16>(ip + IPV6_LENGTH, 0);
  const length: u32 = bswap<u16>(<u16>(headers - start + payload));
  const sum: u32 = <u32>load<u16>(packet.data + field) + (~length & 0xffff);
  store<u16>(packet.data + field, (sum & 0xffff) + (sum >> 16));

  // IPCSS, IPCSO, IPCSE; TUCSS, TUCSO, TUCSE; PAYLEN; HDRLEN, MSS (3.3.6).
  let ipFields: u32 = ETHERNET_HEADER;
  let command: u32 = TX_DEXT | TX_TSE | TX_CONTEXT_TCP | payload;
  let burst = TX_BURST;
  if (v4) {
    ipFields |= ((ETHERNET_HEADER + IPV4_CHECKSUM) << 8) | ((start - 1) << 16);
    command |= TX_CONTEXT_IPV4;
    burst |= TX_IXSM;
  }
  fill(
    nic,
    ((<u64>(start | (field << 8))) << 32) | ipFields,
    ((<u64>((size << 16) | (headers << 8))) << 32) | command,
  );
  nic.context = NO_CONTEXT;
  nic.segmented = true;

  fill(nic, packet.data, burst | headers);
  const most = runMax(size);
  const final: u32 = <u32>packet.fragmentCount - 1;
  for (let i: u32 = 0; i < final; i++) {
    const fragment = packet.fragment(i);
    fillRuns(nic, fragment.address, fragment.length, most, burst);
  }
  // The device may report a packet done before it has read the end of its last run, so a few
  // bytes follow in a run of their own (Intel's drivers do so for the same erratum).
  const fragment = packet.fragment(final);
  const left = min<u32>(fragment.length, TX_SENTINEL);
  const before = fragment.length - left;
  fillRuns(nic, fragment.address, before, most, burst);
  const last: u64 = burst | TX_EOP | left;
  fill(nic, fragment.address + before, last);

  const segments = (payload + size - 1) / size;
  nic.device.sentPackets += segments;
  nic.device.sentBytes += payload + segments * headers;
  return last;
}

/** Descriptors with the bits `burst` for `length` bytes of payload at `address`, at most `most` bytes each. */
@inline
function fillRuns(nic: IntelNic, address: usize, length: u32, most: u32, burst: u64): void {
  while (length) {
    const part = min<u32>(length, most);
    fill(nic, address, burst | part);
    address += part;
    length -= part;
  }
}

/** Writes the next descriptor; the device reads it after the next write of TDT. */
@inline function fill(nic: IntelNic, first: u64, second: u64): void {
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
@inline function setContext(nic: IntelNic, start: u32, field: u32): void {
  assert(field < 256);
  const context = start | (field << 8);
  if (context == nic.context) return;
  nic.context = context;
  fill(nic, (<u64>context) << 32, TX_DEXT);
}

/** Notes that the descriptor reports when it is done, and with it all before it. */
@inline function report(nic: IntelNic, index: u32): void {
  store<u8>(nic.reports + (nic.reportTail & (TRANSMIT_RING - 1)), index);
  nic.reportTail++;
  nic.sinceReport = 0;
}

/** Frees the packets that the device is done with. */
export function reclaim(nic: IntelNic): void {
  while (nic.reportHead != nic.reportTail) {
    const index: u32 = load<u8>(nic.reports + (nic.reportHead & (TRANSMIT_RING - 1)));
    if (!(dmaRead32(nic.transmitRing + (index << DESCRIPTOR_SHIFT) + 12) & TX_DD)) return;
    dmaReadBarrier();
    nic.reportHead++;
    freeTransmit(nic, (index + 1) & (TRANSMIT_RING - 1));
  }
}

/** Frees the packets of the descriptors from the oldest to before `end`; returns how many. */
export function freeTransmit(nic: IntelNic, end: u32): u32 {
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
