import { Packet, PacketFlag, PacketQueue } from "../../kernel/packet";
import { sum } from "../../net/wire/checksum";
import { ETHERNET_HEADER, EtherType, EthernetHeader } from "../../net/wire/ethernet";
import { IPV4_HEADER, Ipv4Header, Protocol } from "../../net/wire/ipv4";
import {
  IPV6_HEADER,
  IPV6_LENGTH_OFFSET,
  Ipv6Header,
  ipv6Transport,
  ipv6TransportProtocol,
} from "../../net/wire/ipv6";
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
/** Most headers that are repeated: Ethernet, IPv4 and TCP with all their options, or IPv6 with 20 bytes of its own. */
const HEADERS_MOST: u32 = 134;
/** Where TCP has its flags (RFC 9293, 3.1). */
const TCP_FLAGS: u32 = 13;
const LAST_ONLY: u8 = <u8>(TcpFlag.PSH | TcpFlag.FIN);
/** CWR (RFC 3168, 6.1.2) belongs to the first segment alone. */
const FIRST_ONLY: u8 = <u8>TcpFlag.CWR;

/**
 * Moves the buffers of `parts`, the first of which begins with the Ethernet header, to `into` as segments
 * whose checksums count as good. Each further one must have room for `HEADERS_MOST` before its bytes. False,
 * and nothing is moved, if they do not hold a TCP packet that is right.
 */
export function segmentsOf(parts: PacketQueue, into: PacketQueue): bool {
  const first = parts.head!;
  const frame = first.data;
  if (first.length < ETHERNET_HEADER + IPV4_HEADER + TCP_HEADER) return false;
  const type = changetype<EthernetHeader>(frame).type;
  const v4 = type == EtherType.IPv4;
  const transport: u32 = v4 ? behindIpv4(first) : type == EtherType.IPv6 ? behindIpv6(first) : 0;
  if (!transport || first.length < transport + TCP_HEADER) return false;
  const headers = transport + changetype<TcpHeader>(frame + transport).headerLength;
  if (headers < transport + TCP_HEADER || headers > HEADERS_MOST) return false;
  if (first.length < headers) return false;
  let bytes: u32 = 0;
  for (let part: Packet | null = first; part !== null; part = part.next) bytes += part.length;
  const ip = frame + ETHERNET_HEADER;
  // What the length field counts begins here.
  const counted: u32 = v4 ? ETHERNET_HEADER : ETHERNET_HEADER + IPV6_HEADER;
  const lengthAt: u32 = ETHERNET_HEADER + (v4 ? IPV4_TOTAL_LENGTH : IPV6_LENGTH_OFFSET);
  const total = v4
    ? changetype<Ipv4Header>(ip).totalLength
    : changetype<Ipv6Header>(ip).payloadLength;
  if (total < headers - counted || total > bytes - counted) return false;

  const flags = load<u8>(frame + transport + TCP_FLAGS);
  let sequence = changetype<TcpHeader>(frame + transport).sequence;
  let left = total - (headers - counted);
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
    store<u16>(at + lengthAt, bswap<u16>(<u16>(headers - counted + length)));
    changetype<TcpHeader>(at + transport).sequence = sequence;
    sequence += length;
    part.flags = <u8>(PacketFlag.NetworkChecksumGood | PacketFlag.TransportChecksumGood);
    into.push(part);
  }
  return true;
}

/** Where TCP's header begins in a whole packet over IPv4 whose header is right, or 0. */
function behindIpv4(first: Packet): u32 {
  const ip = changetype<Ipv4Header>(first.data + ETHERNET_HEADER);
  const length = ip.headerLength;
  if (ip.version != 4 || length < IPV4_HEADER || ip.protocol != Protocol.TCP) return 0;
  if (ip.isFragment || first.length < ETHERNET_HEADER + length) return 0;
  // What is changed in it has this sum checked first.
  return sum(changetype<usize>(ip), length, 0) == 0xffff ? ETHERNET_HEADER + length : 0;
}

/** The same over IPv6, behind what extension headers there are. */
function behindIpv6(first: Packet): u32 {
  const ip = first.data + ETHERNET_HEADER;
  const length = first.length - ETHERNET_HEADER;
  if (length < IPV6_HEADER || changetype<Ipv6Header>(ip).version != 6) return 0;
  const offset = ipv6Transport(ip, length);
  return offset && ipv6TransportProtocol() == Protocol.TCP ? ETHERNET_HEADER + offset : 0;
}
