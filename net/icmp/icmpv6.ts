import { Packet, PacketFlag } from "../../kernel/packet";
import { Interface, isAssigned } from "../interface";
import { DEFAULT_TTL, ipSend } from "../ip/output";
import { ipSource } from "../ip/route";
import { mldQuery } from "../mld/mld";
import { ndpInput } from "../ndp/ndp";
import { rawEchoReply, rawInput, rawListens } from "../raw/raw";
import { IpAddress, isV6Loopback } from "../wire/address";
import { pseudoHeaderSum, sum, update16 } from "../wire/checksum";
import { ICMPV6_HEADER, Icmpv6Header, Icmpv6Type, icmpv6Sum } from "../wire/icmpv6";
import { IP_ECN, Protocol } from "../wire/ipv4";
import { Ipv6Header } from "../wire/ipv6";
import { errorInputV6 } from "./errorv6";
import { icmpv6Stats } from "./stats";

/** ICMPv6 (RFC 4443): echo answered in place, errors to transports, the rest to whose it is. */

/** Takes a message, which `packet.data` and `length` are. Owns the packet. */
export function icmpv6Input(
  iface: Interface,
  packet: Packet,
  source: IpAddress,
  destination: IpAddress,
): void {
  icmpv6Stats.received++;
  if (packet.length < ICMPV6_HEADER) {
    icmpv6Stats.badLength++;
    return packet.release();
  }
  const pseudo = pseudoHeaderSum(source, destination, Protocol.ICMPv6, packet.length);
  if (sum(packet.data, packet.length, pseudo) != 0xffff) {
    icmpv6Stats.badChecksum++;
    return packet.release();
  }
  if (rawListens()) rawInput(Protocol.ICMPv6, packet, source, destination);
  const type = changetype<Icmpv6Header>(packet.data).type;
  switch (type) {
    case Icmpv6Type.EchoRequest:
      return echo(packet, source, destination);
    case Icmpv6Type.EchoReply:
      icmpv6Stats.echoReplies++;
      rawEchoReply(packet, source, destination);
      break;
    case Icmpv6Type.DestinationUnreachable:
    case Icmpv6Type.PacketTooBig:
    case Icmpv6Type.TimeExceeded:
    case Icmpv6Type.ParameterProblem:
      errorInputV6(packet.data, packet.length, destination, iface.zone);
      break;
    case Icmpv6Type.ListenerQuery:
      mldQuery(iface, packet, source);
      break;
    case Icmpv6Type.RouterSolicitation:
    case Icmpv6Type.RouterAdvertisement:
    case Icmpv6Type.NeighbourSolicitation:
    case Icmpv6Type.NeighbourAdvertisement:
    case Icmpv6Type.Redirect:
      ndpInput(iface, packet, source, destination);
      break;
    // What a host says of its groups is for routers.
    case Icmpv6Type.ListenerReport:
    case Icmpv6Type.ListenerDone:
    case Icmpv6Type.ListenerReportV2:
      break;
    // RFC 4443, 2.4 b would hand unknown errors up by what they quote: they say nothing that we know.
    default:
      icmpv6Stats.unknownType++;
  }
  packet.release();
}

/**
 * Answers an echo request (RFC 4443, 4.2) with its own packet. One for a group is answered from an
 * address of the interface, unless it came from nobody.
 */
function echo(packet: Packet, source: IpAddress, destination: IpAddress): void {
  icmpv6Stats.echoRequests++;
  const ours = isAssigned(destination.hi, destination.lo);
  const toGroup = !ours && !isV6Loopback(destination.hi, destination.lo);
  if (source.isAny || (toGroup && (!ipSource(source, destination) || destination.isAny))) {
    icmpv6Stats.echoToGroup++;
    return packet.release();
  }
  const header = changetype<Icmpv6Header>(packet.data);
  const before = header.typeAndCode;
  const after = (before & ~0xff) | Icmpv6Type.EchoReply;
  header.typeAndCode = after;
  if (toGroup) {
    header.checksum = 0;
    const pseudo = pseudoHeaderSum(source, destination, Protocol.ICMPv6, packet.length);
    icmpv6Sum(packet.data, packet.length, pseudo);
  } else {
    // The addresses change places, which changes no sum.
    header.checksum = update16(header.checksum, before, after);
  }
  const request = changetype<Ipv6Header>(packet.slot + packet.networkOffset);
  packet.trafficClass = <u8>(request.trafficClass & ~IP_ECN);
  packet.flags = <u8>PacketFlag.Fragmentable;
  if (ipSend(packet, Protocol.ICMPv6, destination, source, DEFAULT_TTL, 0) == 0) {
    icmpv6Stats.echoRepliesSent++;
  }
}
