import { Packet, PacketFlag, PacketQueue } from "../../kernel/packet";
import { sum } from "../../net/wire/checksum";
import { ETHERNET_HEADER, EtherType, EthernetHeader } from "../../net/wire/ethernet";
import { IPV4_HEADER, Ipv4Header, Protocol } from "../../net/wire/ipv4";
import { TCP_HEADER, TcpFlag, TcpHeader } from "../../net/wire/tcp";

/**
 * A TCP packet of up to 64 KiB that a device wrote over several buffers, made into segments of a buffer
 * each: the headers go into the room before each buffer's bytes, and nothing else is copied. So the stack
 * sees what it would have seen from a peer with a large segment size, and needs to know no more.
 *
 *     ┌ headers ┬ payload ┐  ┌ payload ─────────┐  ┌ payload ┐
 *                            ▲ headers            ▲ headers, and only the last has PSH and FIN
 */

/** Where an IPv4 header has its total length (RFC 791, 3.1). */
const IPV4_TOTAL_LENGTH: u32 = 2;
/** Where TCP has its flags (RFC 9293, 3.1). */
const TCP_FLAGS: u32 = 13;
const LAST_ONLY: u8 = <u8>(TcpFlag.PSH | TcpFlag.FIN);
/** CWR (RFC 3168, 6.1.2) belongs to the first segment alone. */
const FIRST_ONLY: u8 = <u8>TcpFlag.CWR;

/**
 * Moves the buffers of `parts`, the first of which begins with the Ethernet header, to `into` as segments
 * whose checksums count as good. Each further one must have room for all headers before its bytes. False,
 * and nothing is moved, if they do not hold a TCP packet over IPv4 that is right.
 */
export function segmentsOf(parts: PacketQueue, into: PacketQueue): bool {
  const first = parts.head!;
  const frame = first.data;
  if (first.length < ETHERNET_HEADER + IPV4_HEADER + TCP_HEADER) return false;
  if (changetype<EthernetHeader>(frame).type != EtherType.IPv4) return false;
  const ip = changetype<Ipv4Header>(frame + ETHERNET_HEADER);
  const ipLength = ip.headerLength;
  const transport: u32 = ETHERNET_HEADER + ipLength;
  if (ip.version != 4 || ipLength < IPV4_HEADER || ip.protocol != Protocol.TCP) return false;
  if (ip.isFragment || first.length < transport + TCP_HEADER) return false;
  const headers = transport + changetype<TcpHeader>(frame + transport).headerLength;
  if (headers < transport + TCP_HEADER || first.length < headers) return false;
  // What is changed below has this sum checked first.
  if (sum(changetype<usize>(ip), ipLength, 0) != 0xffff) return false;
  let bytes: u32 = 0;
  for (let part: Packet | null = first; part !== null; part = part.next) bytes += part.length;
  const total = ip.totalLength;
  if (total < headers - ETHERNET_HEADER || total > bytes - ETHERNET_HEADER) return false;

  const flags = load<u8>(frame + transport + TCP_FLAGS);
  let sequence = changetype<TcpHeader>(frame + transport).sequence;
  let left = total - (headers - ETHERNET_HEADER);
  first.strip(headers);
  for (let part = parts.pop(); part !== null; part = parts.pop()) {
    const length = min<u32>(part.length, left);
    if (!length && part !== first) {
      // Padding of the link.
      part.release();
      continue;
    }
    left -= length;
    part.length = length;
    const at = part.prepend(headers);
    if (part !== first) memory.copy(at, frame, headers);
    let its = flags;
    if (left) its &= ~LAST_ONLY;
    if (part !== first) its &= ~FIRST_ONLY;
    store<u8>(at + transport + TCP_FLAGS, its);
    store<u16>(
      at + ETHERNET_HEADER + IPV4_TOTAL_LENGTH,
      bswap<u16>(<u16>(headers - ETHERNET_HEADER + length)),
    );
    changetype<TcpHeader>(at + transport).sequence = sequence;
    sequence += length;
    part.flags = <u8>(PacketFlag.NetworkChecksumGood | PacketFlag.TransportChecksumGood);
    into.push(part);
  }
  return true;
}
