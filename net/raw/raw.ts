import { Errno } from "../../kernel/errno";
import { reserve } from "../../kernel/memory";
import { Packet } from "../../kernel/packet";
import { randomBelow } from "../../kernel/random";
import {
  DatagramEndpoint,
  MtuDiscovery,
  datagramAllocate,
  datagramClear,
  datagramCopy,
  datagramError,
  datagramFailed,
  datagramFragmenting,
  datagramGetOption,
  datagramOpen,
  datagramQueue,
  datagramRoom,
  datagramSend,
  datagramSetOption,
} from "../datagram";
import { EndpointOption } from "../endpoint";
import { interfaceAt, isOwn } from "../interface";
import { ipSendBuilt } from "../ip/output";
import { linkMtu, pathMtuLearn } from "../ip/pathmtu";
import { IpError } from "../ip/protocol";
import { datagramRoute, hearsGroup, isGroupAddress } from "../membership";
import { Route, RouteKind, routeError, routeFrom } from "../ip/route";
import { IpAddress, V4_BROADCAST } from "../wire/address";
import { finish, pseudoHeaderSum, sum } from "../wire/checksum";
import { ICMPV4_HEADER, IcmpType, Icmpv4Header } from "../wire/icmpv4";
import { ICMPV6_CHECKSUM_OFFSET, Icmpv6Type } from "../wire/icmpv6";
import { IPV4_HEADER, Ipv4Header, Protocol, ipv4Complete } from "../wire/ipv4";
import { RawStats, rawStats } from "./stats";

/**
 * Raw endpoints: programs that speak a protocol of IP by themselves, such as ping and traceroute. Each one
 * that hears a packet gets a copy, in the smallest slot that holds it: the stack answers echo requests in
 * the packet itself, and what nobody reads does not keep the slots of a receive ring. With IPv4 the copy
 * begins with the IP header, with IPv6 behind the last extension header (RFC 3542, 3).
 *
 * Endpoints of ICMP's echo (Linux's "ping sockets") send echo requests and hear the replies to them,
 * told apart by identifier; they never see a header.
 */

/** An endpoint. `RAW` bytes. */
@unmanaged
export class Raw extends DatagramEndpoint {
  /** Next of the same protocol or, of echo, with the same hash of the identifier; next free one. */
  next: Raw | null;
  /** A bit for each ICMP type, set for those not to be heard (RFC 3542, 3.2). */
  private filter0: u64;
  private filter1: u64;
  private filter2: u64;
  private filter3: u64;
  protocol: u8;
  v6: bool;
  /** Speaks ICMP's echo alone. */
  echo: bool;
  /** What is sent begins with an IPv4 header (IP_HDRINCL). */
  headerIncluded: bool;
  /** Where in what is sent and received the kernel puts and checks a checksum (RFC 3542, 3.1); -1: nowhere. */
  checksumAt: i16;

  /** Where the filter begins; 4 bytes of it are ICMP's, `FILTER_V6` are ICMPv6's. */
  @inline get filter(): usize {
    return changetype<usize>(this) + offsetof<Raw>("filter0");
  }

  /** Whether the filter lets an ICMP type pass. */
  @inline blocks(type: u32): bool {
    if (type >= 32 && !this.v6) return false;
    return ((load<u8>(this.filter + (type >>> 3)) >> (type & 7)) & 1) != 0;
  }
}

const RAW: u32 = 192;
const FILTER_V4: u32 = 4;
const FILTER_V6: u32 = 32;
const PROTOCOLS: u32 = 256;
/** IPPROTO_RAW: only for sending with a header. */
const PROTOCOL_RAW: u32 = 255;
const ECHO_BUCKETS: u32 = 64;
/** From the message to its identifier. */
const IDENTIFIER: u32 = 4;

let free: Raw | null = null;
/** Endpoints of each protocol. */
const heads: usize = memory.data(256 * 4, 64);
/** Endpoints of echo by identifier. */
const echoes: usize = memory.data(64 * 4, 64);
/** Endpoints that hear whole protocols: mostly none, and then nobody looks for them. */
let listening: u32 = 0;
const sourceScratch = changetype<IpAddress>(memory.data(16, 8));

/** Sets up room for `endpoints`. Start-up only. */
export function rawInit(endpoints: u32): void {
  assert(offsetof<Raw>() <= RAW);
  const records = reserve(endpoints * RAW, 64);
  for (let i = endpoints; i-- > 0;) {
    const r = changetype<Raw>(records + <usize>(i * RAW));
    r.next = free;
    free = r;
  }
}


@inline function headOf(protocol: u32): usize {
  return heads + ((<usize>protocol) << 2);
}


@inline function echoBucket(identifier: u32): usize {
  return echoes + ((<usize>(identifier & (ECHO_BUCKETS - 1))) << 2);
}


@inline function first(bucket: usize): Raw | null {
  return changetype<Raw | null>(load<usize>(bucket));
}

function chain(bucket: usize, r: Raw): void {
  r.next = first(bucket);
  store<usize>(bucket, changetype<usize>(r));
}

function unchain(bucket: usize, r: Raw): void {
  while (load<usize>(bucket) != changetype<usize>(r)) {
    bucket = load<usize>(bucket) + offsetof<Raw>("next");
  }
  store<usize>(bucket, changetype<usize>(r.next));
}

// ---- Open, bind, connect, close ------------------------------------------------------------

/**
 * A new endpoint for `protocol`, 1 to 255, of one family, or for its echo alone; null when there are too
 * many. `local` must be set to an unspecified address of the family.
 */
export function rawOpen(protocol: u32, v6: bool, echo: bool): Raw | null {
  const r = free;
  if (r === null) return null;
  free = r.next;
  memory.fill(changetype<usize>(r), 0, RAW);
  datagramOpen(r, changetype<usize>(rawStats) + offsetof<RawStats>("queued"), 0);
  r.protocol = <u8>protocol;
  r.v6 = v6;
  r.echo = echo;
  r.headerIncluded = protocol == PROTOCOL_RAW && !v6;
  r.checksumAt = v6 && protocol == Protocol.ICMPv6 ? <i16>ICMPV6_CHECKSUM_OFFSET : -1;
  if (!echo) {
    chain(headOf(protocol), r);
    listening++;
  }
  return r;
}

/**
 * Hears only what comes for `address`, one of ours or a group, and sends from it if it is ours. Of echo,
 * `port` is the identifier, 0 for a free one; otherwise it says nothing. -EADDRNOTAVAIL, -EADDRINUSE.
 */
export function rawBind(r: Raw, address: IpAddress, port: u32): i32 {
  if (r.echo && r.localPort) return -Errno.EINVAL;
  if (!address.isAny && !isOwn(address) && !isGroup(address)) return -Errno.EADDRNOTAVAIL;
  if (r.echo) {
    const identified = identify(r, port);
    if (identified < 0) return identified;
  }
  r.local.copy(address);
  return 0;
}


@inline function isGroup(address: IpAddress): bool {
  return isGroupAddress(address) || (address.isV4 && address.v4 == V4_BROADCAST);
}

function findEcho(v6: bool, identifier: u32): Raw | null {
  let r = first(echoBucket(identifier));
  while (r !== null && (<u32>r.localPort != identifier || r.v6 != v6)) r = r.next;
  return r;
}

/** Gives an endpoint of echo its identifier, a random free one for 0. */
function identify(r: Raw, identifier: u32): i32 {
  if (identifier > 0xffff) return -Errno.EINVAL;
  if (!identifier) {
    // There are fewer endpoints than identifiers.
    do identifier = 1 + randomBelow(0xffff);
    while (findEcho(r.v6, identifier) !== null);
  } else if (findEcho(r.v6, identifier) !== null) {
    return -Errno.EADDRINUSE;
  }
  r.localPort = <u16>identifier;
  chain(echoBucket(identifier), r);
  return 0;
}

/** Sets the peer: where it sends, and the only one heard. The unspecified address undoes it. */
export function rawConnect(r: Raw, address: IpAddress): i32 {
  if (address.isAny) {
    r.remote.set(0, 0);
    return 0;
  }
  const route = routeFrom(r.local, r.mark, address.hi, address.lo);
  if (route === null) return -routeError();
  if (route.kind == RouteKind.Broadcast && !r.broadcast) return -Errno.EACCES;
  if (r.echo && !r.localPort) identify(r, 0);
  if (r.local.isAny) r.local.set(route.sourceHi, route.sourceLo);
  r.remote.copy(address);
  return 0;
}

/** Lets go of the endpoint and of what it has not read. */
export function rawClose(r: Raw): void {
  datagramClear(r);
  if (!r.echo) {
    unchain(headOf(r.protocol), r);
    listening--;
  } else if (r.localPort) {
    unchain(echoBucket(r.localPort), r);
  }
  memory.fill(changetype<usize>(r), 0, RAW);
  r.next = free;
  free = r;
}

// ---- Options -------------------------------------------------------------------------------

/** Sets an `EndpointOption`; -ENOPROTOOPT for one that the endpoint does not have. */
export function rawSetOption(r: Raw, option: u32, value: u32): i32 {
  switch (option) {
    case EndpointOption.HeaderIncluded:
      if (r.v6 || r.echo) return -Errno.ENOPROTOOPT;
      r.headerIncluded = value != 0;
      return 0;
    case EndpointOption.ChecksumOffset: {
      const at = <i32>value;
      if (!r.v6 || r.echo) return -Errno.ENOPROTOOPT;
      // That of ICMPv6 is the kernel's, and stays so (RFC 3542, 3.1).
      if (r.protocol == Protocol.ICMPv6 || at < -1 || at > i16.MAX_VALUE) return -Errno.EINVAL;
      if (at > 0 && at & 1) return -Errno.EINVAL;
      r.checksumAt = <i16>at;
      return 0;
    }
    default:
      return datagramSetOption(r, option, value);
  }
}

/** The value of an `EndpointOption`. */
export function rawGetOption(r: Raw, option: u32): i32 {
  switch (option) {
    case EndpointOption.HeaderIncluded:
      return r.v6 || r.echo ? -Errno.ENOPROTOOPT : i32(r.headerIncluded);
    case EndpointOption.ChecksumOffset:
      return !r.v6 || r.echo ? -Errno.ENOPROTOOPT : <i32>r.checksumAt;
    default:
      return datagramGetOption(r, option);
  }
}

/** Bytes of the ICMP filter; 0 where there is none. */
export function rawFilterLength(r: Raw): u32 {
  if (r.echo || <u32>r.protocol != (r.v6 ? Protocol.ICMPv6 : Protocol.ICMP)) return 0;
  return r.v6 ? FILTER_V6 : FILTER_V4;
}

// ---- Receive -------------------------------------------------------------------------------

/** Whether anybody listens to a whole protocol. */
@inline export function rawListens(): bool {
  return listening != 0;
}

/** Whether anybody listens to this one. */
@inline export function rawListensTo(protocol: u32): bool {
  return listening != 0 && load<usize>(headOf(protocol)) != 0;
}

/**
 * Gives a copy of a packet, whose `data` is the header behind IP's, to each endpoint that hears it.
 * Whether there was any. The packet stays the caller's.
 */
export function rawInput(
  protocol: u32,
  packet: Packet,
  source: IpAddress,
  destination: IpAddress,
): bool {
  const v6 = !source.isV4;
  let heard = false;
  let r = first(headOf(protocol));
  while (r !== null) {
    if (r.v6 == v6 && hears(r, packet, source, destination)) {
      heard = true;
      give(r, packet, !v6);
    }
    r = r.next;
  }
  return heard;
}

/** Gives an echo reply, whose checksum is right, to the endpoint with its identifier. */
export function rawEchoReply(packet: Packet, source: IpAddress, destination: IpAddress): void {
  const identifier: u32 = bswap(load<u16>(packet.data, IDENTIFIER));
  const r = findEcho(!source.isV4, identifier);
  if (r !== null && isBetween(r, source, destination)) give(r, packet, false);
}


@inline function isBetween(r: Raw, source: IpAddress, destination: IpAddress): bool {
  return (r.remote.isAny || r.remote.equals(source)) && r.local.covers(destination);
}

function hears(r: Raw, packet: Packet, source: IpAddress, destination: IpAddress): bool {
  if (!isBetween(r, source, destination)) return false;
  if (isGroupAddress(destination)) {
    if (!hearsGroup(r, destination, source, interfaceAt(packet.iface))) return false;
  }
  const protocol = <u32>r.protocol;
  if (protocol == (r.v6 ? Protocol.ICMPv6 : Protocol.ICMP)) {
    if (!packet.length || !r.blocks(load<u8>(packet.data))) return true;
  } else {
    const at = <i32>r.checksumAt;
    if (at < 0) return true;
    const pseudo = pseudoHeaderSum(source, destination, protocol, packet.length);
    const whole = packet.length >= <u32>at + 2;
    if (whole && sum(packet.data, packet.length, pseudo) == 0xffff) return true;
  }
  rawStats.filtered++;
  return false;
}

/** Queues a copy of a packet, of which the program sees the IP header or not. */
function give(r: Raw, packet: Packet, withHeader: bool): void {
  if (!datagramRoom(r)) {
    rawStats.queueFull++;
    return;
  }
  const copy = datagramCopy(packet);
  if (copy === null) {
    rawStats.noBuffer++;
    return;
  }
  if (withHeader) copy.prepend(<u32>(packet.data - packet.slot) - packet.networkOffset);
  rawStats.delivered++;
  datagramQueue(r, copy);
}

/**
 * A packet of ours met an error, with an MTU: endpoints connected to its destination are told. `identifier`
 * is what an echo request has there. Whether there was any.
 */
export function rawError(
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
  identifier: u32,
  kind: IpError,
  mtu: u32,
): bool {
  let told = false;
  const v6 = !source.isV4;
  if (protocol == (v6 ? Protocol.ICMPv6 : Protocol.ICMP)) {
    const r = findEcho(v6, identifier);
    if (r !== null) told = tell(r, source, destination, kind, mtu);
  }
  if (!listening) return told;
  let r = first(headOf(protocol));
  while (r !== null) {
    if (r.v6 == v6 && tell(r, source, destination, kind, mtu)) told = true;
    r = r.next;
  }
  return told;
}

function tell(r: Raw, source: IpAddress, destination: IpAddress, kind: IpError, mtu: u32): bool {
  if (!r.local.covers(source)) return false;
  const connected = r.remote.equals(destination);
  if (kind == IpError.TooBig && (connected || r.remote.isAny)) {
    pathMtuLearn(r.local, r.mark, destination, mtu);
    if (r.mtuDiscovery < <u8>MtuDiscovery.Do) return true;
  }
  if (!connected) return false;
  rawStats.errors++;
  datagramFailed(r, kind);
  return true;
}

// ---- Send ----------------------------------------------------------------------------------

/**
 * Sends a copy of `length` bytes as one packet to `address`, or to the peer when that is null. Returns
 * `length`, or an error: -EDESTADDRREQ, -EMSGSIZE, -EACCES (broadcast without the option), -EINVAL (an
 * included header that is none, no echo request, no room for the checksum), -ENOBUFS, an error that
 * arrived for an earlier packet, or `ipSend`'s.
 */
export function rawSendTo(r: Raw, from: usize, length: u32, address: IpAddress | null): i32 {
  if (r.error) return -datagramError(r);
  if (address === null) {
    if (r.remote.isAny) return -Errno.EDESTADDRREQ;
    address = r.remote;
  }
  if (r.echo && !r.localPort) {
    const identified = identify(r, 0);
    if (identified < 0) return identified;
  }
  const route = datagramRoute(r, address);
  if (route === null) return -routeError();
  if (route.kind == RouteKind.Broadcast && !r.broadcast) return -Errno.EACCES;
  if (r.headerIncluded && length > linkMtu(route)) return -Errno.EMSGSIZE;
  const flags = datagramFragmenting(r, route, address, min<u32>(length, 0x1_0000));
  if (flags < 0) return flags;
  const packet = datagramAllocate(length);
  if (packet === null) {
    rawStats.noBuffer++;
    return -Errno.ENOBUFS;
  }
  memory.copy(packet.data, from, length);
  packet.length = length;
  const source = sourceScratch;
  if (r.local.isAny || isGroup(r.local)) source.set(route.sourceHi, route.sourceLo);
  else source.copy(r.local);
  if (r.headerIncluded ? !completeHeader(packet, source) : !complete(r, packet, source, address)) {
    packet.release();
    return -Errno.EINVAL;
  }
  rawStats.sent++;
  const sent = send(r, route, packet, source, address, flags);
  return sent < 0 ? sent : <i32>length;
}

function send(
  r: Raw,
  route: Route,
  packet: Packet,
  source: IpAddress,
  address: IpAddress,
  fragmenting: i32,
): i32 {
  if (r.headerIncluded) return ipSendBuilt(route, packet, address);
  packet.flags = <u8>fragmenting;
  packet.trafficClass = r.trafficClass;
  return datagramSend(r, route, packet, r.protocol, source, address);
}

/** Fills in what Linux fills in of an included header; false for bytes that are none. */
function completeHeader(packet: Packet, source: IpAddress): bool {
  const header = changetype<Ipv4Header>(packet.data);
  if (packet.length < IPV4_HEADER || header.version != 4) return false;
  if (header.headerLength < IPV4_HEADER || header.headerLength > packet.length) return false;
  ipv4Complete(packet.data, packet.length, source.v4);
  return true;
}

/** Fills in the identifier and the checksum that are the kernel's; false where there is no place for them. */
function complete(r: Raw, packet: Packet, source: IpAddress, destination: IpAddress): bool {
  const length = packet.length;
  if (r.echo) {
    const request: u32 = r.v6 ? Icmpv6Type.EchoRequest : IcmpType.EchoRequest;
    const message = changetype<Icmpv4Header>(packet.data);
    if (length < ICMPV4_HEADER || message.type != request || message.code) return false;
    store<u16>(packet.data, bswap(r.localPort), IDENTIFIER);
    if (!r.v6) {
      message.checksum = 0;
      message.checksum = finish(sum(packet.data, length, 0));
      return true;
    }
  }
  const at = <i32>r.checksumAt;
  if (at < 0) return true;
  if (length < <u32>at + 2) return false;
  store<u16>(packet.data + at, 0);
  const pseudo = pseudoHeaderSum(source, destination, r.protocol, length);
  const checksum = finish(sum(packet.data, length, pseudo));
  // Of UDP zero would mean that there is none (RFC 8200, 8.1).
  store<u16>(packet.data + at, !checksum && r.protocol == Protocol.UDP ? 0xffff : checksum);
  return true;
}
