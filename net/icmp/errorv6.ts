import { HEADROOM, Packet, PacketFlag, PoolId, Purpose, allocate } from "../../kernel/packet";
import { config } from "../../kernel/config";
import { interfaceAt, isAssigned } from "../interface";
import { IpError, deliverError } from "../ip/protocol";
import { ipSource } from "../ip/route";
import { rawError } from "../raw/raw";
import { IpAddress, isV6Loopback, isV6Multicast, v6Load } from "../wire/address";
import { pseudoHeaderSum } from "../wire/checksum";
import {
  ICMPV6_HEADER,
  ICMPV6_INFORMATIONAL,
  Icmpv6Header,
  Icmpv6Type,
  Problem6,
  TimeExceeded6,
  Unreachable6,
  icmpv6Build,
  icmpv6Sum,
} from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import {
  IPV6_HEADER,
  IPV6_MTU_MIN,
  Ipv6Header,
  ipv6Transport,
  ipv6TransportProtocol,
} from "../wire/ipv6";
import { errorSend } from "./error";
import { ErrorFamily, errorAllowed } from "./limit";
import { icmpv6Stats } from "./stats";

/** ICMPv6 errors (RFC 4443): the ones that we send, and the ones about packets that we sent. */

/** What a transport reads of its header: ports, and the 32 bits behind them. */
const QUOTED_TRANSPORT: u32 = 8;

const own = changetype<IpAddress>(memory.data(16, 8));
const peer = changetype<IpAddress>(memory.data(16, 8));
/** What the packet was sent to is `own`. */
let ours = false;

/**
 * Tells the sender of `packet` that it was not taken. The packet came in through IP, its
 * `networkOffset` still holds and `data` lies behind; it stays the caller's. `rest` is the header's
 * last 32 bits.
 */
export function sendErrorV6(packet: Packet, type: Icmpv6Type, code: u32, rest: u32): void {
  const header = changetype<Ipv6Header>(packet.slot + packet.networkOffset);
  const size = <u32>(packet.end - changetype<usize>(header));
  if (!mayAnswer(packet, header, size, type, code)) return;
  if (!errorAllowed(ErrorFamily.V6, type)) {
    icmpv6Stats.errorsLimited++;
    return;
  }
  const answer = allocate(PoolId.Standard, Purpose.Control, HEADROOM);
  if (answer === null) {
    icmpv6Stats.noBuffer++;
    return;
  }
  // As much of the packet as fits into what every link carries (RFC 4443, 2.4 c).
  const quoted = min<u32>(size, IPV6_MTU_MIN - IPV6_HEADER - ICMPV6_HEADER);
  icmpv6Build(answer.data, type, code, rest);
  memory.copy(answer.data + ICMPV6_HEADER, changetype<usize>(header), quoted);
  answer.length = ICMPV6_HEADER + quoted;
  const pseudo = pseudoHeaderSum(own, peer, Protocol.ICMPv6, answer.length);
  icmpv6Sum(answer.data, answer.length, pseudo);
  const result = errorSend(answer, Protocol.ICMPv6, own, peer, ours);
  if (result == 0) icmpv6Stats.errorsSent++;
}

/**
 * RFC 4443, 2.4 e: no error about an error or a redirect, about a source that is not one host, or
 * about a packet for many but that it is too big or has an option that wants one. Sets the answer's addresses.
 */
function mayAnswer(packet: Packet, header: Ipv6Header, size: u32, type: u32, code: u32): bool {
  const zone = interfaceAt(packet.iface).zone;
  v6Load(peer, header.sourceAt, zone);
  v6Load(own, header.destinationAt, zone);
  if (isV6Multicast(peer.hi) || peer.isAny) return false;
  const at = ipv6Transport(changetype<usize>(header), size);
  if (at && ipv6TransportProtocol() == Protocol.ICMPv6) {
    const message = changetype<Icmpv6Header>(changetype<usize>(header) + at).type;
    if (message < ICMPV6_INFORMATIONAL || message == Icmpv6Type.Redirect) return false;
  }
  ours = isAssigned(own.hi, own.lo) || isV6Loopback(own.hi, own.lo);
  const passes = config.forwarding && !ours && !isV6Multicast(own.hi);
  const group = (packet.flags & (PacketFlag.LinkBroadcast | PacketFlag.LinkMulticast)) != 0;
  if (ours && !group) return true;
  // What passes through a router is answered from where the answer leaves.
  if (passes && !group) return ipSource(peer, own);
  if (type != Icmpv6Type.PacketTooBig) {
    if (type != Icmpv6Type.ParameterProblem || code != Problem6.Option) return false;
  }
  return ours || ipSource(peer, own);
}

/**
 * Takes an error that arrived for `destination`: `at` and `length` are the message, whose checksum is
 * right. It counts if it quotes a packet that came from the address it was sent to; whether such a
 * packet is out, the transport knows (RFC 5927, 4).
 */
export function errorInputV6(at: usize, length: u32, destination: IpAddress, zone: u32): void {
  const kind = kindOf(at);
  const quote = at + ICMPV6_HEADER;
  const room = length - ICMPV6_HEADER;
  if (kind && room >= IPV6_HEADER && changetype<Ipv6Header>(quote).version == 6) {
    v6Load(own, changetype<Ipv6Header>(quote).sourceAt, zone);
    const mtu = kind == IpError.TooBig ? changetype<Icmpv6Header>(at).rest : 0;
    if (own.equals(destination) && report(quote, room, kind, mtu, zone)) {
      icmpv6Stats.errorsDelivered++;
      return;
    }
  }
  icmpv6Stats.errorsInvalid++;
}

/** Tells the transport that a packet of ours, which begins at its IPv6 header, did not get out. */
export function localErrorV6(packet: Packet, kind: IpError): void {
  report(packet.data, packet.length, kind, 0, interfaceAt(packet.iface).zone);
}

function report(quote: usize, length: u32, kind: IpError, mtu: u32, zone: u32): bool {
  const header = changetype<Ipv6Header>(quote);
  const at = ipv6Transport(quote, length);
  if (!at || at + QUOTED_TRANSPORT > length) return false;
  const protocol = ipv6TransportProtocol();
  if (protocol == Protocol.ICMP) return false;
  v6Load(own, header.sourceAt, zone);
  v6Load(peer, header.destinationAt, zone);
  const identifier: u32 = bswap(load<u16>(quote + at, 4));
  const told = rawError(protocol, own, peer, identifier, kind, mtu);
  return deliverError(protocol, own, peer, quote + at, kind, mtu) || told;
}

/** What a type and code mean to a transport; 0 for nothing. */
function kindOf(at: usize): IpError {
  const header = changetype<Icmpv6Header>(at);
  const code = header.code;
  switch (header.type) {
    case Icmpv6Type.DestinationUnreachable:
      switch (code) {
        case Unreachable6.NoRoute:
        case Unreachable6.BeyondScope:
          return IpError.NetworkUnreachable;
        case Unreachable6.Prohibited:
        case Unreachable6.PolicyFailed:
        case Unreachable6.RejectRoute:
          return IpError.Prohibited;
        case Unreachable6.Address:
          return IpError.HostUnreachable;
        case Unreachable6.Port:
          return IpError.PortUnreachable;
        default:
          return 0;
      }
    case Icmpv6Type.PacketTooBig:
      // No path carries less; a smaller one is a forgery or a mistake (RFC 8201, 4).
      return header.rest >= IPV6_MTU_MIN ? IpError.TooBig : 0;
    case Icmpv6Type.TimeExceeded:
      return code == TimeExceeded6.Transit || code == TimeExceeded6.Reassembly
        ? IpError.TimeExceeded
        : 0;
    default:
      // Code 1 is what protocol unreachable is in IPv4.
      return code == Problem6.NextHeader ? IpError.ProtocolUnreachable : IpError.ParameterProblem;
  }
}
