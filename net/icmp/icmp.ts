import { Packet, PacketFlag } from "../../kernel/packet";
import { isAssigned } from "../interface";
import { DEFAULT_TTL, ipSend } from "../ip/output";
import { IpError, registerProtocol } from "../ip/protocol";
import { rawEchoReply } from "../raw/raw";
import { IpAddress, isV4Loopback } from "../wire/address";
import { update16 } from "../wire/checksum";
import { IcmpFault, IcmpType, Icmpv4Header, icmpv4Check } from "../wire/icmpv4";
import { IP_ECN, Ipv4Fragment, Ipv4Header, Protocol } from "../wire/ipv4";
import { errorInput } from "./error";
import { errorLimitsInit } from "./limit";
import { redirectInput } from "./redirect";
import { icmpStats } from "./stats";

/** ICMP for IPv4 (RFC 792; RFC 1122, 3.2.2): echo answered in place, errors handed to transports. */

/** Start-up only. */
export function icmpInit(): void {
  errorLimitsInit();
  registerProtocol(Protocol.ICMP, icmpInput, ignoreError);
}

/** Of what we send by ICMP itself, nobody waits for news. */
function ignoreError(
  _source: IpAddress,
  _destination: IpAddress,
  _sourcePort: u32,
  _destinationPort: u32,
  _sequence: u32,
  _kind: IpError,
  _mtu: u32,
): void {}

function icmpInput(packet: Packet, source: IpAddress, destination: IpAddress): void {
  icmpStats.received++;
  const fault = icmpv4Check(packet.data, packet.length);
  if (fault != IcmpFault.None) {
    if (fault == IcmpFault.Short) icmpStats.badLength++;
    else icmpStats.badChecksum++;
    return packet.release();
  }
  switch (changetype<Icmpv4Header>(packet.data).type) {
    case IcmpType.EchoRequest:
      return echo(packet, source, destination);
    case IcmpType.EchoReply:
      icmpStats.echoReplies++;
      rawEchoReply(packet, source, destination);
      break;
    case IcmpType.DestinationUnreachable:
    case IcmpType.TimeExceeded:
    case IcmpType.ParameterProblem:
      errorInput(packet.data, packet.length, destination);
      break;
    case IcmpType.Redirect:
      redirectInput(packet, source, destination);
      break;
    // Obsolete (RFC 6633).
    case IcmpType.SourceQuench:
      icmpStats.refused++;
      break;
    // RFC 1122, 3.2.2: what is unknown is dropped without a word.
    default:
      icmpStats.unknownType++;
  }
  packet.release();
}

/**
 * Answers an echo request (RFC 1122, 3.2.2.6) with its own packet: one word changes, from it the
 * checksum follows, and IP writes its header over the old one. A request for many is not answered,
 * or one packet would call up a whole network.
 */
function echo(packet: Packet, source: IpAddress, destination: IpAddress): void {
  icmpStats.echoRequests++;
  if (
    packet.flags & (PacketFlag.LinkBroadcast | PacketFlag.LinkMulticast) ||
    (!isAssigned(destination.hi, destination.lo) && !isV4Loopback(destination.v4))
  ) {
    icmpStats.echoToGroup++;
    return packet.release();
  }
  const header = changetype<Icmpv4Header>(packet.data);
  const before = header.typeAndCode;
  const after = (before & ~0xff) | IcmpType.EchoReply;
  // Of a message of zeros the update gives 0, which sums to 0 and not to all ones. Elsewhere the
  // two zeros of one's complement are worth the same (RFC 1624, 3).
  const checksum = update16(header.checksum, before, after);
  header.checksum = checksum ? checksum : 0xffff;
  header.typeAndCode = after;
  // If its path may fragment the request, so may its way back the answer.
  const request = changetype<Ipv4Header>(packet.slot + packet.networkOffset);
  const whole = (request.fragment & Ipv4Fragment.DontFragment) != 0;
  packet.flags = <u8>(PacketFlag.Fragmentable | (whole ? 0 : PacketFlag.RoutersFragment));
  // The answer has the request's class (RFC 1122, 3.2.2.6 through RFC 1349), without its ECN bits.
  packet.trafficClass = <u8>(request.trafficClass & ~IP_ECN);
  if (ipSend(packet, Protocol.ICMP, destination, source, DEFAULT_TTL, 0) == 0) {
    icmpStats.echoRepliesSent++;
  }
}
