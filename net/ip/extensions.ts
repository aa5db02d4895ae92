import { Packet } from "../../kernel/packet";
import { sendErrorV6 } from "../icmp/errorv6";
import { interfaceAt } from "../interface";
import { IpAddress, v6Load } from "../wire/address";
import { ICMPV6_HEADER, Icmpv6Type, Problem6 } from "../wire/icmpv6";
import { IP_ECN, Protocol } from "../wire/ipv4";
import {
  EXTENSIONS_MAX,
  EXTENSION_UNIT,
  Extension,
  ExtensionHeader,
  FRAGMENT_HEADER,
  FRAGMENT_OFFSET_OFFSET,
  FragmentHeader,
  IPV6_HEADER,
  IPV6_LENGTH_OFFSET,
  IPV6_NEXT_OFFSET,
  IPV6_PAYLOAD_MAX,
  Ipv6Header,
  Ipv6Option,
  OptionAction,
  ROUTING_TYPE_OFFSET,
  ipv6Reassembled,
  ipv6Transport,
  ipv6TransportProtocol,
} from "../wire/ipv6";
import { TCP_HEADER } from "../wire/tcp";
import { UDP_HEADER } from "../wire/udp";
import { reassemblyAdd } from "./reassembly";
import { ipv6Stats } from "./stats";

/**
 * The extension headers of a received packet, in the order in which they come (RFC 8200, 4). Their
 * number is bounded, and that of their options (RFC 8504, 5.3): what has more was made to keep us busy.
 */

/** Options in one header, padding aside. */
const OPTIONS_MAX: u32 = 8;

const source = changetype<IpAddress>(memory.data(16, 8));
const destination = changetype<IpAddress>(memory.data(16, 8));

let protocol: u32 = 0;
let announcedAt: u32 = 0;

/** What follows the headers that `extensionsWalk` has taken. */
@inline export function extensionsProtocol(): u32 {
  return protocol;
}

/** Offset, from the IPv6 header, of the byte that announced it. */
@inline export function extensionsAnnouncedAt(): u32 {
  return announcedAt;
}

/**
 * Takes the extension headers off a packet, of which `next` comes first: the packet, or another
 * with the whole of what it was a fragment of, or null when it is gone or waits for the rest.
 */
export function extensionsWalk(packet: Packet, next: u32, toGroup: bool): Packet | null {
  announcedAt = IPV6_NEXT_OFFSET;
  for (let count: u32 = 0; count <= EXTENSIONS_MAX; count++) {
    protocol = next;
    const header = changetype<ExtensionHeader>(packet.data);
    switch (next) {
      case Extension.HopByHop:
        // Only directly behind the IPv6 header does it mean anything (4.1).
        if (count) return problem(packet, Problem6.NextHeader, announcedAt);
      // fall through
      case Extension.DestinationOptions:
        if (!whole(packet, header) || !takeOptions(packet, header, toGroup)) return null;
        break;
      case Extension.Routing:
        if (!whole(packet, header) || !takeRouting(packet, header)) return null;
        break;
      case Extension.Fragment:
        if (packet.length < FRAGMENT_HEADER) return bad(packet);
        if (!isAtomic(packet)) {
          const all = takeFragment(packet);
          if (all === null) return null;
          // Its headers go on where the fragment header was.
          announcedAt = all.transportOffset;
          next = load<u8>(all.slot + all.networkOffset + announcedAt);
          packet = all;
          continue;
        }
        break;
      default:
        return packet;
    }
    announcedAt = offsetOf(packet, 0);
    next = header.next;
    packet.strip(protocol == Extension.Fragment ? FRAGMENT_HEADER : header.length);
  }
  return bad(packet);
}

/** Where `at` bytes into what is left of a packet lie, from the IPv6 header. */
@inline function offsetOf(packet: Packet, at: u32): u32 {
  return <u32>(packet.data - packet.slot) - packet.networkOffset + at;
}

function bad(packet: Packet): Packet | null {
  ipv6Stats.badOptions++;
  packet.release();
  return null;
}

function problem(packet: Packet, code: Problem6, pointer: u32): Packet | null {
  sendErrorV6(packet, Icmpv6Type.ParameterProblem, code, pointer);
  return bad(packet);
}

/** Whether all of a header is there; else the packet is gone. */
function whole(packet: Packet, header: ExtensionHeader): bool {
  if (packet.length >= EXTENSION_UNIT && header.length <= packet.length) return true;
  bad(packet);
  return false;
}

/** A fragment that is all of its packet is taken by itself (RFC 6946, 4). */
@inline function isAtomic(packet: Packet): bool {
  const fragment = changetype<FragmentHeader>(packet.data);
  return !fragment.offset && !fragment.more;
}

/** Takes a fragment; the packet when nothing is missing of it, without its fragment header. */
function takeFragment(packet: Packet): Packet | null {
  ipv6Stats.fragments++;
  const fragment = changetype<FragmentHeader>(packet.data);
  const offset = fragment.offset;
  const more = fragment.more;
  const id = fragment.id;
  const length = packet.length - FRAGMENT_HEADER;
  const before = offsetOf(packet, 0);
  if (more && length & 7) return badFragment(packet, Problem6.Field, IPV6_LENGTH_OFFSET);
  if (before - IPV6_HEADER + offset + length > IPV6_PAYLOAD_MAX) {
    const pointer = offsetOf(packet, FRAGMENT_OFFSET_OFFSET);
    return badFragment(packet, Problem6.Field, pointer);
  }
  const header = changetype<Ipv6Header>(packet.slot + packet.networkOffset);
  if (!offset && !hasTransport(changetype<usize>(header), before + packet.length)) {
    return badFragment(packet, Problem6.HeaderChain, 0);
  }
  if (!length) {
    ipv6Stats.badFragments++;
    packet.release();
    return null;
  }
  const zone = interfaceAt(packet.iface).zone;
  v6Load(source, header.sourceAt, zone);
  v6Load(destination, header.destinationAt, zone);
  const ecn = header.trafficClass & IP_ECN;
  packet.transportOffset = <u16>announcedAt;
  packet.strip(FRAGMENT_HEADER);
  const all = reassemblyAdd(packet, source, destination, id, 0, offset, more, ecn, ipv6Stats);
  if (all === null) return null;
  const first = all.first;
  const congested = all.congested;
  const announced = <u32>first.transportOffset;
  const next = changetype<FragmentHeader>(first.data - FRAGMENT_HEADER).next;
  const headers = <u32>(first.data - FRAGMENT_HEADER - first.slot) - first.networkOffset;
  const payload = headers - IPV6_HEADER + all.length;
  if (payload > IPV6_PAYLOAD_MAX) {
    ipv6Stats.badFragments++;
    all.release();
    return null;
  }
  const whole = all.join(headers);
  if (whole === null) return null;
  ipv6Reassembled(whole.data, payload, announced, next, congested);
  whole.transportOffset = <u16>announced;
  whole.strip(headers);
  return whole;
}

function badFragment(packet: Packet, code: Problem6, pointer: u32): Packet | null {
  ipv6Stats.badFragments++;
  sendErrorV6(packet, Icmpv6Type.ParameterProblem, code, pointer);
  packet.release();
  return null;
}

/**
 * Whether a first fragment, of which `length` bytes are at `at`, has all headers, the transport's with them
 * (RFC 7112, 5): nobody on the way could judge the packet otherwise.
 */
function hasTransport(at: usize, length: u32): bool {
  const offset = ipv6Transport(at, length);
  if (!offset) return ipv6TransportProtocol() == Extension.None;
  switch (ipv6TransportProtocol()) {
    case Protocol.TCP:
      return offset + TCP_HEADER <= length;
    case Protocol.UDP:
      return offset + UDP_HEADER <= length;
    case Protocol.ICMPv6:
      return offset + ICMPV6_HEADER <= length;
    default:
      return true;
  }
}

/**
 * A routing header that has been gone along is of no interest; none that has not is followed, type 0
 * least of all (RFC 8200, 4.4; RFC 5095, 3).
 */
function takeRouting(packet: Packet, header: ExtensionHeader): bool {
  if (!header.segmentsLeft) return true;
  ipv6Stats.sourceRouted++;
  sendErrorV6(
    packet,
    Icmpv6Type.ParameterProblem,
    Problem6.Field,
    offsetOf(packet, ROUTING_TYPE_OFFSET),
  );
  packet.release();
  return false;
}

/** Goes over the options of a header; false when one of them has ended the packet. */
function takeOptions(packet: Packet, header: ExtensionHeader, toGroup: bool): bool {
  const length = header.length;
  const start = packet.data;
  let options: u32 = 0;
  for (let at: u32 = 2; at < length;) {
    const type: u32 = load<u8>(start + at);
    if (type == Ipv6Option.Pad1) {
      at++;
      continue;
    }
    const size: u32 = at + 1 < length ? 2 + <u32>load<u8>(start + at, 1) : length;
    if (at + size > length) return bad(packet) !== null;
    if (type != Ipv6Option.PadN) {
      if (++options > OPTIONS_MAX) return bad(packet) !== null;
      const action = type == Ipv6Option.RouterAlert ? OptionAction.Skip : type >> 6;
      if (action != OptionAction.Skip) {
        const tell =
          action == OptionAction.Report || (action == OptionAction.ReportUnicast && !toGroup);
        if (tell) problem(packet, Problem6.Option, offsetOf(packet, at));
        else bad(packet);
        return false;
      }
    }
    at += size;
  }
  return true;
}
