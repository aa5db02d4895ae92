import { allocate, HEADROOM, Packet, PacketFlag, PoolId, Purpose } from "../../kernel/packet";
import { DEFAULT_TTL, ipSend } from "../ip/output";
import { pseudoHeaderSum } from "../wire/checksum";
import { IpAddress } from "../wire/address";
import { IP_ECN, Protocol } from "../wire/ipv4";
import { TCP_CHECKSUM_OFFSET, TCP_HEADER, TcpFlag, TcpHeader } from "../wire/tcp";
import { options, putTimestamps, TIMESTAMPS_LENGTH } from "./options";
import { tcpStats } from "./stats";
import { Tcb, Tuple } from "./tcb";

/**
 * One segment on its way out, for whatever has a tuple: a connection, half a one, what is left of
 * one, or nobody. A header stands in a slot of its own, or before the payload in the payload's (see
 * `sendInPlace`); either way one that a device still reads is never edited.
 */

/** A packet for a header; null when memory is short. */
@inline export function headerPacket(purpose: Purpose): Packet | null {
  return allocate(PoolId.Small, purpose, HEADROOM);
}

/** Where options go in a packet whose `data` is where the header will be. */
@inline export function optionsAt(packet: Packet): usize {
  return packet.data + TCP_HEADER;
}

/**
 * Writes the header before `optionsLength` bytes of options, which stand already, and sends it
 * with the `payload` bytes that the packet has, behind them or as fragments, as one segment or, with a
 * `packet.segmentSize`, as what the device makes of them: how many. `window` is the field. Owns the
 * packet; `mark` is the socket's.
 * A failure is the network's to report or a timer's to repair, as for any segment that is lost.
 */
export function segmentSend(
  packet: Packet,
  tuple: Tuple,
  seq: u32,
  ack: u32,
  flags: u32,
  window: u32,
  optionsLength: u32,
  payload: u32,
  timeToLive: u32,
  mark: u32,
): u32 {
  const length = TCP_HEADER + optionsLength;
  const header = changetype<TcpHeader>(packet.data);
  packet.length += length;
  // The device, or the link layer for it, sums the rest.
  const sum = pseudoHeaderSum(tuple.local, tuple.remote, Protocol.TCP, length + payload);
  header.write(tuple.localPort, tuple.remotePort, seq, ack, length, flags, window, sum);
  packet.flags |= <u8>PacketFlag.ChecksumPending;
  packet.checksumStart = 0;
  packet.checksumOffset = <u16>TCP_CHECKSUM_OFFSET;
  const size: u32 = packet.segmentSize;
  const segments = size ? (payload + size - 1) / size : 1;
  tcpStats.segmentsOut += segments;
  ipSend(packet, Protocol.TCP, tuple.local, tuple.remote, timeToLive, mark);
  return segments;
}

/** The traffic class of a connection's segments without its lowest two bits, which are ECN's. */
@inline export function dscpOf(t: Tcb): u32 {
  return (<u32>t.settings.typeOfService) & ~IP_ECN;
}

const stranger = changetype<Tuple>(memory.data(offsetof<Tuple>(), 8));

/**
 * Answers a segment that belongs to no connection, or not in this way, with a reset that its
 * sender will accept (RFC 9293, 3.10.7.1). `length` counts its payload, SYN and FIN; its options have
 * been parsed. Never call it for a segment that is a reset itself.
 */
export function replyReset(
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
  flags: u32,
  seq: u32,
  ack: u32,
  length: u32,
): void {
  const packet = headerPacket(Purpose.Control);
  if (packet === null) return;
  stranger.setTuple(local, localPort, remote, remotePort);
  tcpStats.resetsOut++;
  const own: u32 = flags & TcpFlag.ACK ? ack : 0;
  const its: u32 = flags & TcpFlag.ACK ? 0 : seq + length;
  const bits: u32 = flags & TcpFlag.ACK ? TcpFlag.RST : TcpFlag.RST | TcpFlag.ACK;
  let optionsLength: u32 = 0;
  if (options.hasTimestamps) {
    // RFC 7323, 5.2.
    optionsLength = TIMESTAMPS_LENGTH;
    putTimestamps(optionsAt(packet), 0, options.tsVal);
  }
  segmentSend(packet, stranger, own, its, bits, 0, optionsLength, 0, DEFAULT_TTL, 0);
}
