import { HEADROOM, Packet, PacketFlag, PoolId, Purpose, allocate } from "../../kernel/packet";
import { config } from "../../kernel/config";
import { isAssigned } from "../interface";
import { ipSource, routeError, routeFrom, routeTo } from "../ip/route";
import { DEFAULT_TTL, ipSendBy } from "../ip/output";
import { IpError, deliverError } from "../ip/protocol";
import { rawError } from "../raw/raw";
import { IpAddress, isV4Loopback } from "../wire/address";
import { sum } from "../wire/checksum";
import {
  ICMPV4_HEADER,
  IcmpType,
  Icmpv4Header,
  TimeExceeded,
  Unreachable,
  icmpv4BuildError,
} from "../wire/icmpv4";
import { Icmpv6Type, TimeExceeded6, Unreachable6 } from "../wire/icmpv6";
import { IPV4_HEADER, Ipv4Fragment, Ipv4Header, Protocol } from "../wire/ipv4";
import { localErrorV6, sendErrorV6 } from "./errorv6";
import { ErrorFamily, errorAllowed } from "./limit";
import { icmpStats } from "./stats";

/** ICMP errors: the ones that we send, and the ones about packets that we sent. */

/** Largest datagram that carries an error (RFC 1812, 4.3.2.3). */
const ERROR_MAX: u32 = 576;
/** What follows the quoted header at least (RFC 792): a transport's ports. */
const QUOTED_TRANSPORT: u32 = 8;

const ownAddress = changetype<IpAddress>(memory.data(16, 8));
const peerAddress = changetype<IpAddress>(memory.data(16, 8));

/**
 * Tells the sender of `packet` that it was not taken. The packet came in through IP, its
 * `networkOffset` still holds; it stays the caller's. `rest` is the header's last 32 bits.
 *
 * False if it was not told. RFC 1122, 3.2.2: no error about an ICMP error, a datagram for many, a frame for many, a fragment
 * but the first, or a source that is not one host (ipv4Input drops those).
 */
export function sendError(packet: Packet, type: IcmpType, code: u32, rest: u32): bool {
  const header = changetype<Ipv4Header>(packet.slot + packet.networkOffset);
  if (header.protocol == Protocol.ICMP && !isQuery(header)) return false;
  if (header.fragment & Ipv4Fragment.Offset) return false;
  if (packet.flags & (PacketFlag.LinkBroadcast | PacketFlag.LinkMulticast)) return false;
  ownAddress.setV4(header.destination);
  peerAddress.setV4(header.source);
  const ours = isV4Loopback(header.destination) || isAssigned(ownAddress.hi, ownAddress.lo);
  // A router's error comes from where it leaves (RFC 1812, 4.3.2.4).
  if (!ours && (!config.forwarding || !ipSource(peerAddress, ownAddress))) return false;
  if (!errorAllowed(ErrorFamily.V4, type)) {
    icmpStats.errorsLimited++;
    return false;
  }
  const answer = allocate(PoolId.Small, Purpose.Control, HEADROOM);
  if (answer === null) {
    icmpStats.noBuffer++;
    return false;
  }
  const room = min<u32>(answer.tailroom, ERROR_MAX - IPV4_HEADER) - ICMPV4_HEADER;
  const quoted = min<u32>(header.totalLength, room);
  icmpv4BuildError(answer.data, type, code, rest);
  memory.copy(answer.data + ICMPV4_HEADER, changetype<usize>(header), quoted);
  answer.length = ICMPV4_HEADER + quoted;
  changetype<Icmpv4Header>(answer.data).checksum = ~sum(answer.data, answer.length, 0) & 0xffff;
  const result = errorSend(answer, Protocol.ICMP, ownAddress, peerAddress, ours);
  if (result == 0) icmpStats.errorsSent++;
  return result == 0;
}

/**
 * Sends an error: from an address that it was about as any packet of ours, from a router's where that address was
 * found, whatever rules say of the address.
 */
export function errorSend(
  answer: Packet,
  protocol: u32,
  own: IpAddress,
  peer: IpAddress,
  ours: bool,
): i32 {
  const route = ours ? routeFrom(own, 0, peer.hi, peer.lo) : routeTo(peer.hi, peer.lo);
  if (route !== null) return ipSendBy(route, answer, protocol, own, peer, DEFAULT_TTL);
  answer.release();
  return -routeError();
}

/** Whether an ICMP message is a question or an answer to one: about these there are errors. */
function isQuery(header: Ipv4Header): bool {
  if (header.totalLength <= header.headerLength) return false;
  const type: u32 = load<u8>(changetype<usize>(header) + header.headerLength);
  return type == IcmpType.EchoRequest || type == IcmpType.EchoReply;
}

/**
 * Tells the sender of a packet of either family, of which `first` is the first fragment, that the rest did not
 * come in time (RFC 792, "Time Exceeded"; RFC 4443, 3.3).
 */
export function sendReassemblyTimeout(first: Packet): void {
  if (changetype<Ipv4Header>(first.slot + first.networkOffset).version == 6) {
    sendErrorV6(first, Icmpv6Type.TimeExceeded, TimeExceeded6.Reassembly, 0);
  } else {
    sendError(first, IcmpType.TimeExceeded, TimeExceeded.Reassembly, 0);
  }
}

/** Tells the sender of a packet of either family, as `sendError`, that nobody has the port. */
export function sendPortUnreachable(packet: Packet): void {
  if (changetype<Ipv4Header>(packet.slot + packet.networkOffset).version == 6) {
    sendErrorV6(packet, Icmpv6Type.DestinationUnreachable, Unreachable6.Port, 0);
  } else {
    sendError(packet, IcmpType.DestinationUnreachable, Unreachable.Port, 0);
  }
}

/**
 * Takes an error that arrived for `destination`: `at` and `length` are the message, whose checksum
 * is right. Anybody can send one, so it counts only if it quotes a packet that came from the
 * address it was sent to; whether such a packet is out, the transport knows (RFC 5927, 4).
 */
export function errorInput(at: usize, length: u32, destination: IpAddress): void {
  const kind = kindOf(at);
  const quote = changetype<Ipv4Header>(at + ICMPV4_HEADER);
  const room = length - ICMPV4_HEADER;
  if (
    !kind ||
    room < IPV4_HEADER + QUOTED_TRANSPORT ||
    quote.version != 4 ||
    quote.headerLength < IPV4_HEADER ||
    quote.headerLength + QUOTED_TRANSPORT > room ||
    quote.fragment & Ipv4Fragment.Offset ||
    quote.source != destination.v4
  ) {
    icmpStats.errorsInvalid++;
    return;
  }
  const mtu = kind == IpError.TooBig ? changetype<Icmpv4Header>(at).nextHopMtu : 0;
  if (report(quote, kind, mtu)) icmpStats.errorsDelivered++;
  else icmpStats.errorsInvalid++;
}

/** Tells the transport that a packet of ours, which begins at its IP header, did not get out. */
export function localError(packet: Packet, kind: IpError): void {
  if (changetype<Ipv4Header>(packet.data).version == 6) return localErrorV6(packet, kind);
  report(changetype<Ipv4Header>(packet.data), kind, 0);
}

function report(quote: Ipv4Header, kind: IpError, mtu: u32): bool {
  ownAddress.setV4(quote.source);
  peerAddress.setV4(quote.destination);
  const transport = changetype<usize>(quote) + quote.headerLength;
  const protocol = quote.protocol;
  const identifier: u32 = bswap(load<u16>(transport, 4));
  const told = rawError(protocol, ownAddress, peerAddress, identifier, kind, mtu);
  return deliverError(protocol, ownAddress, peerAddress, transport, kind, mtu) || told;
}

/** What a type and code mean to a transport (RFC 1122, 3.2.2.1 and 4.2.3.9); 0 for nothing. */
function kindOf(at: usize): IpError {
  const header = changetype<Icmpv4Header>(at);
  const code = header.code;
  switch (header.type) {
    case IcmpType.DestinationUnreachable:
      switch (code) {
        case Unreachable.Protocol:
          return IpError.ProtocolUnreachable;
        case Unreachable.Port:
          return IpError.PortUnreachable;
        case Unreachable.TooBig:
          return IpError.TooBig;
        case Unreachable.Host:
        case Unreachable.HostUnknown:
        case Unreachable.SourceIsolated:
        case Unreachable.HostService:
          return IpError.HostUnreachable;
        case Unreachable.NetProhibited:
        case Unreachable.HostProhibited:
        case Unreachable.Prohibited:
          return IpError.Prohibited;
        case Unreachable.Net:
        case Unreachable.NetUnknown:
        case Unreachable.NetService:
        case Unreachable.SourceRouteFailed:
          return IpError.NetworkUnreachable;
        default:
          return 0;
      }
    case IcmpType.TimeExceeded:
      return code == TimeExceeded.Transit || code == TimeExceeded.Reassembly
        ? IpError.TimeExceeded
        : 0;
    default:
      return IpError.ParameterProblem;
  }
}
