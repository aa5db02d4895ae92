import { Packet } from "../../kernel/packet";
import { sendErrorV6 } from "../icmp/errorv6";
import { IpAddress } from "../wire/address";
import { Icmpv6Type, Problem6 } from "../wire/icmpv6";
import {
  EXTENSIONS_MAX,
  EXTENSION_UNIT,
  Extension,
  ExtensionHeader,
  FRAGMENT_HEADER,
  FragmentHeader,
  IPV6_NEXT_OFFSET,
  Ipv6Option,
  OptionAction,
  ROUTING_TYPE_OFFSET,
} from "../wire/ipv6";
import { ipv6Stats } from "./stats";

/**
 * The extension headers of a received packet, in the order in which they come (RFC 8200, 4). Their
 * number is bounded, and that of their options (RFC 8504, 5.3): what has more was made to keep us busy.
 */

/** Options in one header, padding aside. */
const OPTIONS_MAX: u32 = 8;

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
          ipv6Stats.fragments++;
          packet.release();
          return null;
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
