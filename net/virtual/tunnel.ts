import { Device } from "../../drivers/device";
import { config } from "../../kernel/config";
import { now } from "../../kernel/clock";
import { warn } from "../../kernel/log";
import { Packet, PacketFlag, PacketQueue, PoolId, poolFor } from "../../kernel/packet";
import { SECOND } from "../../kernel/timer";
import { configuredMtu } from "../configured";
import { localError, sendError } from "../icmp/error";
import { localErrorV6, sendErrorV6 } from "../icmp/errorv6";
import { Interface, LinkKind, interfacesChanged, isAssigned } from "../interface";
import { ipSendBy } from "../ip/output";
import { pathMtu, pathMtuLearn } from "../ip/pathmtu";
import { IpError, registerProtocol } from "../ip/protocol";
import { Route, RouteKind, routeFrom } from "../ip/route";
import { addressHash } from "../hash";
import { IpAddress, isV4Multicast } from "../wire/address";
import { completeChecksum } from "../wire/checksum";
import { EtherType } from "../wire/ethernet";
import {
  GRE_CHECKSUM,
  GreFault,
  GreFlag,
  greBuild,
  greBytes,
  greFlags,
  greKey,
  greRead,
  greSequence,
  greSize,
  greType,
} from "../wire/gre";
import { IcmpType, Unreachable } from "../wire/icmpv4";
import { Icmpv6Type, Problem6, Unreachable6 } from "../wire/icmpv6";
import {
  IPV4_HEADER,
  IP_ECN,
  Ipv4Fragment,
  Ipv4Header,
  Protocol,
  ipv4SetTrafficClass,
} from "../wire/ipv4";
import {
  Extension,
  IPV6_HEADER,
  IPV6_MTU_MIN,
  Ipv6Header,
  ipv6SetTrafficClass,
} from "../wire/ipv6";
import { ecnInner } from "./ecn";
import { Virtual, VirtualKind } from "./given";
import { LIMIT_HEADER, limitAt, limitBuild } from "./limit";
import { flat, withRoom } from "./room";
import { virtualStats } from "./stats";

/**
 * Tunnels: packets of either family in packets of either family, as they are (RFC 2003; RFC 2473; RFC 4213, 3) or
 * behind a header of GRE (RFC 2784, 2890, 7676). The way to the other end is found as that of any packet of ours.
 *
 * What the path carries is the tunnel's MTU, less the headers: so IP fragments before the tunnel, or tells the sender
 * (RFC 2003, 5.1; RFC 2473, 7). Only what every link of IPv6 must carry, and what an operator's `mtu=` lets through,
 * is fragmented in the tunnel.
 */

/** Tunnels that one may lead through until the last leads over a card. */
const NESTED_MOST: u32 = 4;
/** How long an error on the path is kept for who sends next (Linux's IPTUNNEL_ERR_TIMEO). */
const ERROR_TIME: u64 = 30 * SECOND;
/** The least that is left to IPv4 (RFC 791, 3.1: 68 bytes pass everywhere). */
const V4_LEAST: u32 = 68;

const BUCKETS: u32 = 16;
const buckets: usize = memory.data(16 * 4, 4);


@inline function bucketOf(remote: IpAddress): usize {
  return buckets + ((<usize>(addressHash(remote.hi, remote.lo, 0) & (BUCKETS - 1))) << 2);
}

/** Takes packets of a tunnel from now on. */
export function tunnelOpen(link: Virtual): void {
  const bucket = bucketOf(link.remote);
  link.hashNext = changetype<Virtual | null>(load<usize>(bucket));
  store<usize>(bucket, changetype<usize>(link));
  if (link.kind == VirtualKind.Gre) return registerProtocol(Protocol.GRE, greInput, pathError);
  registerProtocol(Protocol.IPv4, ipInput, pathError);
  registerProtocol(Protocol.IPv6, ipInput, pathError);
}

/** The tunnel to `remote`, from `local` or any address of ours; of GRE, with this key, if `keyed`. */
function find(
  kind: VirtualKind,
  remote: IpAddress,
  local: IpAddress,
  keyed: bool,
  key: u32,
): Virtual | null {
  let candidate = changetype<Virtual | null>(load<usize>(bucketOf(remote)));
  while (candidate !== null) {
    const link = candidate;
    candidate = link.hashNext;
    if (link.kind != kind || !link.remote.equals(remote)) continue;
    if (isSet(link.local) ? !link.local.equals(local) : !isAssigned(local.hi, local.lo)) continue;
    if (link.hasKey == keyed && link.key == key) return link;
  }
  return null;
}


@inline function isSet(address: IpAddress): bool {
  return (address.hi | address.lo) != 0;
}

// ---- Out of a tunnel ---------------------------------------------------------------------------

function ipInput(packet: Packet, source: IpAddress, destination: IpAddress): void {
  const link = find(VirtualKind.Ipip, source, destination, false, 0);
  if (link === null) {
    virtualStats.strangers++;
    return packet.release();
  }
  inner(link, packet);
}

function greInput(packet: Packet, source: IpAddress, destination: IpAddress): void {
  const at = packet.data;
  const fault = greRead(at, packet.length);
  if (fault != GreFault.None) {
    if (fault == GreFault.Checksum) virtualStats.badChecksum++;
    else virtualStats.malformed++;
    return packet.release();
  }
  const flags = greFlags();
  const type = greType(at);
  const keyed = (flags & GreFlag.Key) != 0;
  const link = find(VirtualKind.Gre, source, destination, keyed, keyed ? greKey(at) : 0);
  if (link === null) {
    virtualStats.strangers++;
    return packet.release();
  }
  if (link.sequence && !inOrder(link, flags, at)) {
    virtualStats.outOfOrder++;
    return packet.release();
  }
  packet.strip(greBytes());
  const version = packet.length ? load<u8>(packet.data) >> 4 : 0;
  if (type == EtherType.IPv4 ? version != 4 : type != EtherType.IPv6 || version != 6) {
    virtualStats.malformed++;
    return packet.release();
  }
  inner(link, packet);
}

/** Whether a packet is newer than those before it: what is late is dropped (RFC 2890, 2.2). */
function inOrder(link: Virtual, flags: u32, at: usize): bool {
  if (!(flags & GreFlag.Sequence)) return false;
  const sequence = greSequence(at);
  if (link.receivedAny && <i32>(sequence - link.receivedLast) <= 0) return false;
  link.receivedAny = true;
  link.receivedLast = sequence;
  return true;
}

/** Receives what a tunnel carried: `packet.data` is its IP header. Owns the packet. */
function inner(link: Virtual, packet: Packet): void {
  const iface = changetype<Interface>(link.iface);
  if (packet.length < IPV4_HEADER) {
    virtualStats.malformed++;
    return packet.release();
  }
  const version: u32 = load<u8>(packet.data) >> 4;
  if (version == 6 && packet.length < IPV6_HEADER) {
    virtualStats.malformed++;
    return packet.release();
  }
  const outer = classOf(packet.slot + packet.networkOffset);
  const before = classOf(packet.data);
  const ecn = ecnInner(before & IP_ECN, outer & IP_ECN);
  if (ecn < 0) {
    virtualStats.badEcn++;
    return packet.release();
  }
  if (<u32>ecn != (before & IP_ECN)) setClass(packet.data, (before & ~IP_ECN) | ecn);
  // A slot of the largest is not TCP's; of a packet that came in fragments it may still fit another.
  if (packet.pool == <u8>PoolId.Large) {
    if (poolFor(packet.length) > PoolId.Standard) {
      virtualStats.tooLong++;
      return packet.release();
    }
    const smaller = flat(packet);
    if (smaller === null) return;
    packet = smaller;
  }
  // The path carries.
  link.error = false;
  const device = iface.device;
  // What the card found out is of the packet around it.
  packet.flags = 0;
  packet.iface = iface.index;
  device.receivedPackets++;
  device.receivedBytes += packet.length;
  device.received.push(packet);
}


@inline function classOf(at: usize): u32 {
  if (load<u8>(at) >> 4 == 4) return changetype<Ipv4Header>(at).trafficClass;
  return changetype<Ipv6Header>(at).trafficClass;
}

function setClass(at: usize, trafficClass: u32): void {
  if (load<u8>(at) >> 4 == 4) ipv4SetTrafficClass(at, trafficClass);
  else ipv6SetTrafficClass(at, trafficClass);
}

// ---- Into a tunnel -----------------------------------------------------------------------------

const source = changetype<IpAddress>(memory.data(16, 8));

/** A tunnel's own operation of that name. */
export function tunnelTransmit(device: Device, queue: PacketQueue): void {
  const link = changetype<Virtual>(device.context);
  for (let packet = queue.pop(); packet !== null; packet = queue.pop()) send(link, device, packet);
}

function send(link: Virtual, device: Device, packet: Packet): void {
  const route = routeFrom(link.local, 0, link.remote.hi, link.remote.lo);
  const unicast = route !== null && isUnicast(route);
  if (link.looped || route === null || !unicast) {
    if (link.looped) virtualStats.looped++;
    else virtualStats.noRoute++;
    return unreachable(packet);
  }
  if (link.error && !isGroup(packet.data)) {
    link.error = false;
    if (now() < link.errorUntil) tell(packet);
  }
  const apart = packet.fragmentCount != 0 && !packet.length;
  const at = apart ? packet.fragment(0).address : packet.data;
  const version: u32 = load<u8>(at) >> 4;
  let headers = headersOf(link);
  // The limit and 1, as the link has it.
  let limit = link.limit;
  if (version == 6 && !link.remote.isV4) {
    const pointer = limitAt(at, apart ? packet.fragment(0).length : packet.length);
    if (pointer) {
      if (!limit) headers += LIMIT_HEADER;
      limit = load<u8>(at + pointer);
      if (!limit) return limited(packet, pointer);
    }
  }
  const trafficClass = classOf(at);
  const fixed = version == 4 ? dontFragment(at) : mtuOf(link, route) > IPV6_MTU_MIN;
  const whole = withRoom(packet, headers + OUTERMOST, 0);
  if (whole === null) return;
  const bytes = whole.totalLength;
  device.sentPackets++;
  device.sentBytes += bytes;
  const v4 = link.remote.isV4;
  const outer = bytes + headers;
  let carrier: Packet | null = whole;
  if (outer > pathMtu(route, link.remote)) {
    // The tunnel's fragments are of one run of bytes that nobody else has.
    if (whole.fragmentCount || whole.references > 1) carrier = flat(whole);
    if (carrier === null) return;
    carrier.flags = <u8>PacketFlag.Fragmentable;
  } else carrier.flags = 0;
  if (v4 && !fixed) carrier.flags |= <u8>(PacketFlag.Fragmentable | PacketFlag.RoutersFragment);
  // DSCP as inside, and ECN, too: the normal mode (RFC 6040, 4.1).
  carrier.trafficClass = <u8>trafficClass;
  carrier.segmentSize = 0;
  let protocol = encapsulate(link, carrier, version);
  if (limit) {
    limitBuild(carrier.prepend(LIMIT_HEADER), protocol, limit - 1);
    protocol = Extension.DestinationOptions;
  }
  if (isSet(link.local)) source.copy(link.local);
  else source.copy(route.source);
  ipSendBy(route, carrier, protocol, source, link.remote, link.ttl);
}

/** Whether a packet, of which a whole header is at `at`, is for many: of such there are no errors. */
function isGroup(at: usize): bool {
  if (load<u8>(at) >> 4 == 4) return isV4Multicast(changetype<Ipv4Header>(at).destination);
  return load<u8>(changetype<Ipv6Header>(at).destinationAt) == 0xff;
}

/** What the outermost headers take before those of a tunnel's: Ethernet, and a tag. */
const OUTERMOST: u32 = 14 + 4;

/** Writes GRE's header, if it is GRE; the protocol of the header around. */
function encapsulate(link: Virtual, packet: Packet, version: u32): u32 {
  if (link.kind == VirtualKind.Ipip) return version == 4 ? Protocol.IPv4 : Protocol.IPv6;
  const flags = flagsOf(link);
  const at = packet.prepend(greSize(flags));
  const type = version == 4 ? EtherType.IPv4 : EtherType.IPv6;
  greBuild(at, flags, type, link.key, link.sendNext);
  if (flags & GreFlag.Sequence) link.sendNext++;
  if (flags & GreFlag.Checksum) {
    packet.checksumStart = 0;
    packet.checksumOffset = <u16>GRE_CHECKSUM;
    completeChecksum(packet);
  }
  return Protocol.GRE;
}

function flagsOf(link: Virtual): u32 {
  let flags: u32 = 0;
  if (link.checksum) flags |= GreFlag.Checksum;
  if (link.hasKey) flags |= GreFlag.Key;
  if (link.sequence) flags |= GreFlag.Sequence;
  return flags;
}

/** Bytes that a tunnel puts before a packet, unless that brings a limit of its own. */
function headersOf(link: Virtual): u32 {
  const around = link.remote.isV4 ? IPV4_HEADER : IPV6_HEADER + (link.limit ? LIMIT_HEADER : 0);
  return link.kind == VirtualKind.Gre ? around + greSize(flagsOf(link)) : around;
}


@inline function dontFragment(at: usize): bool {
  return (changetype<Ipv4Header>(at).fragment & Ipv4Fragment.DontFragment) != 0;
}


@inline function isUnicast(route: Route): bool {
  return route.kind == <u32>RouteKind.Unicast || route.kind == <u32>RouteKind.UnicastV6;
}

/** Tells a packet's sender that it does not arrive, and drops it. */
function unreachable(packet: Packet): void {
  tell(packet);
  packet.release();
}

/** What an error quotes of a transport at least (RFC 792). */
const QUOTED: u32 = 8;

/** Tells a packet's sender that the other end is not to be reached (RFC 2003, 4.1; RFC 2473, 8.1). */
function tell(packet: Packet): void {
  const v4 = load<u8>(packet.data) >> 4 == 4;
  const quoted = (v4 ? IPV4_HEADER : IPV6_HEADER) + QUOTED;
  if (packet.length < quoted) return;
  localError(packet, IpError.HostUnreachable);
  if (!config.forwarding) return;
  packet.networkOffset = <u16>(packet.data - packet.slot);
  if (v4) sendError(packet, IcmpType.DestinationUnreachable, Unreachable.Host, 0);
  else sendErrorV6(packet, Icmpv6Type.DestinationUnreachable, Unreachable6.Address, 0);
}

/**
 * A packet may go into no more tunnels: that is told to where it went into the one that it is in, which may be here
 * (RFC 2473, 4.1.1 b). `pointer` is where its header says so. Drops it.
 */
function limited(packet: Packet, pointer: u32): void {
  virtualStats.limited++;
  const whole = packet.fragmentCount ? flat(packet) : packet;
  if (whole === null) return;
  localErrorV6(whole, IpError.ParameterProblem);
  if (config.forwarding) {
    whole.networkOffset = <u16>(whole.data - whole.slot);
    sendErrorV6(whole, Icmpv6Type.ParameterProblem, Problem6.Field, pointer);
  }
  whole.release();
}

// ---- The path between the ends -----------------------------------------------------------------

/** A router on the path, or the other end, says that a packet did not arrive (RFC 2003, 5.2; RFC 2473, 8). */
function pathError(
  local: IpAddress,
  remote: IpAddress,
  _ports: u32,
  _others: u32,
  _rest: u32,
  kind: IpError,
  mtu: u32,
): void {
  let candidate = changetype<Virtual | null>(load<usize>(bucketOf(remote)));
  while (candidate !== null) {
    const link = candidate;
    candidate = link.hashNext;
    if (!link.remote.equals(remote) || (isSet(link.local) && !link.local.equals(local))) continue;
    virtualStats.errors++;
    if (kind == IpError.TooBig) {
      pathMtuLearn(link.local, 0, remote, mtu);
      tunnelRefresh(link);
      continue;
    }
    link.error = true;
    link.errorUntil = now() + ERROR_TIME;
  }
}

/** What a tunnel carries of what its path does. */
function mtuOf(link: Virtual, route: Route): u32 {
  const path = pathMtu(route, link.remote);
  const headers = headersOf(link);
  return path > headers + V4_LEAST ? path - headers : V4_LEAST;
}

/** The way to the other end has changed, or what it carries. Cost: the tunnels that it leads through. */
export function tunnelRefresh(link: Virtual): void {
  const iface = changetype<Interface>(link.iface);
  const remote = link.remote;
  const route = routeFrom(link.local, 0, remote.hi, remote.lo);
  const looped = route !== null && loops(link, route.iface);
  if (looped && !link.looped) {
    warn("net")
      .bytes(link.name, link.nameLength)
      .text(" leads into itself, and carries nothing: route its other end by another link")
      .key("remote")
      .ip(remote)
      .end();
  }
  link.looped = looped;
  if (route === null || looped) return;
  const given = configuredMtu(link.number);
  // `routeFrom` gives but one answer at a time.
  const way = routeFrom(link.local, 0, remote.hi, remote.lo);
  if (way === null) return;
  const mtu = given ? given : mtuOf(link, way);
  if (mtu == iface.mtu) return;
  iface.device.mtu = mtu;
  iface.mtu = mtu;
  iface.v6Mtu = max<u32>(mtu, IPV6_MTU_MIN);
  interfacesChanged();
}

/** Whether packets for the other end, which leave by `by`, would come to this tunnel again. */
function loops(link: Virtual, by: Interface): bool {
  for (let depth: u32 = 0; by.kind == LinkKind.PointToPoint; depth++) {
    const next = changetype<Virtual>(by.device.context);
    if (next == link || depth == NESTED_MOST) return true;
    const route = routeFrom(next.local, 0, next.remote.hi, next.remote.lo);
    if (route === null) return false;
    by = route.iface;
  }
  return false;
}
