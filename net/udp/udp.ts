import { Errno } from "../../kernel/errno";
import { reserve } from "../../kernel/memory";
import { Packet, PacketFlag } from "../../kernel/packet";
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
import { addressHash } from "../hash";
import { sendPortUnreachable } from "../icmp/error";
import { interfaceAt, isOwn } from "../interface";
import { V4_ALL_HOSTS, isAllNodes } from "../ip/groups";
import { pathMtu, pathMtuLearn } from "../ip/pathmtu";
import { IpError, registerProtocol } from "../ip/protocol";
import { Route, RouteKind, routeError, routeFrom } from "../ip/route";
import { datagramRoute, hearsGroup, isForMany, isGroupAddress } from "../membership";
import { IpAddress } from "../wire/address";
import { pseudoHeaderSum, transportChecksumValid } from "../wire/checksum";
import { IPV4_HEADER, Protocol } from "../wire/ipv4";
import { IPV6_HEADER } from "../wire/ipv6";
import { UDP_CHECKSUM_OFFSET, UDP_HEADER, UdpHeader, udpBuild, udpValid } from "../wire/udp";
import { UdpStats, udpStats } from "./stats";

/**
 * UDP (RFC 768; RFC 1122, 4.1): what net/datagram.ts does not have, which is ports.
 *
 * Endpoints are found in one of two hash tables: connected ones by both addresses and ports, the
 * others by local port. Every call returns 0 or more, or -Errno; none blocks.
 */

/** An endpoint. 128 bytes. */
@unmanaged
export class Udp extends DatagramEndpoint {
  /**
   * Table index of `(u: Udp, packet: Packet | null, source: IpAddress, sourcePort: u32) => void`, which
   * takes each datagram at once in place of the queue; 0 for none. For clients inside the stack. Without
   * a packet the news is an error: `datagramError`.
   */
  handler: u32;
  /** Next endpoint with the same hash of the local port, or next free endpoint. */
  portNext: Udp | null;
  /** Next connected endpoint with the same hash. */
  peerNext: Udp | null;
  /** Whatever the handler's client keeps with it. */
  context: usize;
  /** Lets others bind the port while this one is connected, and binds it while others are. */
  reuse: bool;
  /** Shares the port with others that do, and senders are dealt out among them. */
  group: bool;
}

const BUCKETS: u32 = 1024;
/**
 * Ports given to who names none (RFC 6056, 3.2: as many as possible): above those that services
 * register.
 */
const EPHEMERAL_FIRST: u32 = 32768;
const EPHEMERAL_COUNT: u32 = 32768;

let free: Udp | null = null;
let ports: usize = 0;
let peers: usize = 0;
/** Endpoints that are connected: mostly none, and then nobody looks for them. */
let connectedCount: u32 = 0;
const sourceScratch = changetype<IpAddress>(memory.data(16, 8));

/** Sets up room for `endpoints`. Start-up only. */
export function udpInit(endpoints: u32): void {
  assert(offsetof<Udp>() <= 128);
  const memory = reserve(endpoints * 128, 64);
  ports = reserve(BUCKETS * 4, 64);
  peers = reserve(BUCKETS * 4, 64);
  for (let i = endpoints; i-- > 0;) {
    const u = changetype<Udp>(memory + ((<usize>i) << 7));
    u.portNext = free;
    free = u;
  }
  registerProtocol(Protocol.UDP, udpInput, udpIcmpError);
}

// ---- Tables --------------------------------------------------------------------------------

@inline function portBucket(port: u32): usize {
  return ports + ((<usize>(port & (BUCKETS - 1))) << 2);
}


@inline function peerBucket(remoteHi: u64, remoteLo: u64, remotePort: u32, localPort: u32): usize {
  const hash = addressHash(remoteHi, remoteLo, (remotePort << 16) | localPort);
  return peers + ((<usize>(hash & (BUCKETS - 1))) << 2);
}

/** Puts an endpoint into its port's chain: the connected ones come last. */
function insertPort(u: Udp): void {
  let link = portBucket(u.localPort);
  if (u.remotePort) {
    while (load<usize>(link)) link = load<usize>(link) + offsetof<Udp>("portNext");
  }
  u.portNext = changetype<Udp | null>(load<usize>(link));
  store<usize>(link, changetype<usize>(u));
}

/** Takes `u` from the chain that begins at `link` and goes on at offset `next` of each endpoint. */
function unchain(link: usize, next: usize, u: Udp): void {
  while (load<usize>(link) != changetype<usize>(u)) link = load<usize>(link) + next;
  store<usize>(link, load<usize>(changetype<usize>(u) + next));
}

/** Whether binding `u` to this address and port would take another endpoint's datagrams. */
function isTaken(u: Udp, address: IpAddress, port: u32): bool {
  let other = changetype<Udp | null>(load<usize>(portBucket(port)));
  while (other !== null) {
    if (other != u && other.localPort == port) {
      const overlaps = other.local.overlaps(address);
      const shared = (other.group && u.group) || (other.remotePort && other.reuse && u.reuse);
      if (overlaps && !shared) return true;
    }
    other = other.portNext;
  }
  return false;
}

/** The endpoint connected to this peer, or null. */
function findConnected(
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): Udp | null {
  const bucket = peerBucket(remote.hi, remote.lo, remotePort, localPort);
  let u = changetype<Udp | null>(load<usize>(bucket));
  while (
    u !== null &&
    (u.remotePort != remotePort ||
      u.localPort != localPort ||
      !u.remote.equals(remote) ||
      !u.local.equals(local))
  ) {
    u = u.peerNext;
  }
  return u;
}

/** An endpoint that is not connected and sends from this address and port, or null. */
function findBound(local: IpAddress, localPort: u32): Udp | null {
  let u = changetype<Udp | null>(load<usize>(portBucket(localPort)));
  while (u !== null && !u.remotePort) {
    if (<u32>u.localPort == localPort && u.local.covers(local)) return u;
    u = u.portNext;
  }
  return null;
}

/** The endpoint that takes a datagram: connected to its sender, else bound to its port. */
function find(local: IpAddress, localPort: u32, remote: IpAddress, remotePort: u32): Udp | null {
  if (connectedCount) {
    const connected = findConnected(local, localPort, remote, remotePort);
    if (connected !== null) return connected;
  }
  let best: Udp | null = null;
  let alike: u32 = 0;
  let u = changetype<Udp | null>(load<usize>(portBucket(localPort)));
  while (u !== null && !u.remotePort) {
    const exact = u.local.equals(local);
    if (u.localPort == localPort && u.local.covers(local)) {
      // One that shares with nobody is the only one.
      if (exact && !u.group) return u;
      if (best === null || (exact && best.local.isAny)) {
        best = u;
        alike = 1;
      } else if (exact != best.local.isAny) {
        alike++;
      }
    }
    u = u.portNext;
  }
  if (best === null || alike == 1) return best;
  return memberOf(best, alike, addressHash(remote.hi, remote.lo, (remotePort << 16) | localPort));
}

/** Of `alike` endpoints that share a port and an address, of which `first` is the first: that for `hash`. */
function memberOf(first: Udp, alike: u32, hash: u32): Udp {
  let left = <u32>((<u64>hash * alike) >> 32);
  let u: Udp | null = first;
  while (u !== null) {
    const fits = u.localPort == first.localPort && u.local.equals(first.local);
    if (fits && left-- == 0) return u;
    u = u.portNext;
  }
  return first;
}

// ---- Open, bind, connect, close ------------------------------------------------------------

/** A new endpoint, bound to nothing; null when there are too many. */
export function udpOpen(): Udp | null {
  const u = free;
  if (u === null) return null;
  free = u.portNext;
  memory.fill(changetype<usize>(u), 0, 128);
  const queued = changetype<usize>(udpStats) + offsetof<UdpStats>("queued");
  datagramOpen(u, queued, UDP_HEADER);
  return u;
}

/**
 * Binds to one of our addresses, a group, or all for the unspecified one, and a port, 0 for a free one.
 * -EINVAL when bound already, -EADDRNOTAVAIL, -EADDRINUSE.
 */
export function udpBind(u: Udp, address: IpAddress, port: u32): i32 {
  if (u.localPort || port > 0xffff) return -Errno.EINVAL;
  if (!address.isAny && !isOwn(address) && !isGroupAddress(address)) return -Errno.EADDRNOTAVAIL;
  if (port == 0) {
    port = ephemeralPort(u, address);
    if (port == 0) return -Errno.EADDRINUSE;
  } else if (isTaken(u, address, port)) {
    return -Errno.EADDRINUSE;
  }
  u.local.copy(address);
  u.localPort = <u16>port;
  insertPort(u);
  return 0;
}

/** A random free port, 0 without one (RFC 6056, 3.3.1: a random start, then one after the other). */
function ephemeralPort(u: Udp, address: IpAddress): u32 {
  const start = randomBelow(EPHEMERAL_COUNT);
  for (let i: u32 = 0; i < EPHEMERAL_COUNT; i++) {
    const port = EPHEMERAL_FIRST + ((start + i) & (EPHEMERAL_COUNT - 1));
    if (!isTaken(u, address, port)) return port;
  }
  return 0;
}

/**
 * Sets the peer: where `udpSendTo` without an address sends, the only one heard, and whose errors
 * are told. The unspecified address undoes it.
 */
export function udpConnect(u: Udp, address: IpAddress, port: u32): i32 {
  if (address.isAny) {
    disconnect(u);
    return 0;
  }
  if (port == 0 || port > 0xffff) return -Errno.EINVAL;
  if (!u.local.speaksTo(address)) return -Errno.EAFNOSUPPORT;
  const route = routeFrom(u.local, u.mark, address.hi, address.lo);
  if (route === null) return -routeError();
  if (route.kind == RouteKind.Broadcast && !u.broadcast) return -Errno.EACCES;
  const source = sourceScratch;
  source.set(route.sourceHi, route.sourceLo);
  if (!u.localPort) {
    const bound = udpBind(u, u.local, 0);
    if (bound < 0) return bound;
  }
  disconnect(u);
  if (!u.local.isAny) source.copy(u.local);
  if (findConnected(source, u.localPort, address, port) !== null) return -Errno.EADDRINUSE;
  unchain(portBucket(u.localPort), offsetof<Udp>("portNext"), u);
  u.local.copy(source);
  u.remote.copy(address);
  u.remotePort = <u16>port;
  insertPort(u);
  const bucket = peerBucket(u.remoteHi, u.remoteLo, port, u.localPort);
  u.peerNext = changetype<Udp | null>(load<usize>(bucket));
  store<usize>(bucket, changetype<usize>(u));
  connectedCount++;
  return 0;
}

function disconnect(u: Udp): void {
  if (!u.remotePort) return;
  const bucket = peerBucket(u.remoteHi, u.remoteLo, u.remotePort, u.localPort);
  unchain(bucket, offsetof<Udp>("peerNext"), u);
  unchain(portBucket(u.localPort), offsetof<Udp>("portNext"), u);
  connectedCount--;
  u.remotePort = 0;
  u.remote.set(0, 0);
  insertPort(u);
}

/** Lets go of the endpoint and of what it has not read. */
export function udpClose(u: Udp): void {
  datagramClear(u);
  disconnect(u);
  if (u.localPort) unchain(portBucket(u.localPort), offsetof<Udp>("portNext"), u);
  memory.fill(changetype<usize>(u), 0, 128);
  u.portNext = free;
  free = u;
}

/** Sets an `EndpointOption`; -ENOPROTOOPT for one that UDP does not have. */
export function udpSetOption(u: Udp, option: u32, value: u32): i32 {
  switch (option) {
    case EndpointOption.ReuseAddress:
      u.reuse = value != 0;
      return 0;
    case EndpointOption.ReusePort:
      u.group = value != 0;
      return 0;
    default:
      return datagramSetOption(u, option, value);
  }
}

/** The value of an `EndpointOption`. */
export function udpGetOption(u: Udp, option: u32): i32 {
  switch (option) {
    case EndpointOption.ReuseAddress:
      return i32(u.reuse);
    case EndpointOption.ReusePort:
      return i32(u.group);
    default:
      return datagramGetOption(u, option);
  }
}

// ---- Send ----------------------------------------------------------------------------------

/**
 * Whether a datagram of `length` bytes leaves as one packet and once: what is cut into fragments, or also comes back
 * to members of a group here, is copied.
 */
function goesWhole(route: Route, address: IpAddress, length: u32): bool {
  const headers = UDP_HEADER + (address.isV4 ? IPV4_HEADER : IPV6_HEADER);
  return headers + length <= pathMtu(route, address) && !isGroupAddress(address);
}

/**
 * Sends a copy of `length` bytes as one datagram to `address` and `port`, or to the peer when
 * `address` is null. Binds to a free port first if need be. Returns `length`, or an error:
 * -EDESTADDRREQ, -EMSGSIZE (no packet is so large, or none that may not be fragmented), -EACCES (broadcast
 * without the option), -ENOBUFS, an error that arrived for an earlier datagram, or `ipSend`'s. What `held` holds,
 * unless it is null, is sent from where it lies, and stays until it has been sent.
 */
export function udpSendTo(
  u: Udp,
  from: usize,
  length: u32,
  address: IpAddress | null,
  port: u32,
  held: Packet | null = null,
): i32 {
  if (u.error) return -datagramError(u);
  if (address === null) {
    if (!u.remotePort) return -Errno.EDESTADDRREQ;
    // It is bound, and `udpConnect` has looked at the rest.
    address = u.remote;
    port = u.remotePort;
  } else {
    if (port == 0 || port > 0xffff) return -Errno.EINVAL;
    if (!u.localPort) {
      const bound = udpBind(u, u.local, 0);
      if (bound < 0) return bound;
    }
    if (!u.local.speaksTo(address)) return -Errno.EAFNOSUPPORT;
  }
  const route = datagramRoute(u, address);
  if (route === null) return -routeError();
  if (route.kind == RouteKind.Broadcast && !u.broadcast) return -Errno.EACCES;
  let flags = datagramFragmenting(u, route, address, UDP_HEADER + min<u32>(length, 0xffff));
  if (flags < 0) return flags;
  const lent = held !== null && goesWhole(route, address, length);
  const packet = datagramAllocate(UDP_HEADER + (lent ? 0 : length));
  if (packet === null) {
    udpStats.noBuffer++;
    return -Errno.ENOBUFS;
  }
  packet.length = UDP_HEADER;
  if (lent) {
    packet.addFragment(from, length, held);
    flags &= ~PacketFlag.Fragmentable;
  } else {
    memory.copy(packet.data + UDP_HEADER, from, length);
    packet.length += length;
  }
  const sent = send(u, route, packet, UDP_HEADER + length, address, port, flags);
  return sent < 0 ? sent : <i32>length;
}

function send(
  u: Udp,
  route: Route,
  packet: Packet,
  bytes: u32,
  address: IpAddress,
  port: u32,
  fragmenting: i32,
): i32 {
  const source = sourceScratch;
  if (u.local.isAny || isGroupAddress(u.local)) source.set(route.sourceHi, route.sourceLo);
  else source.copy(u.local);
  const pseudo = pseudoHeaderSum(source, address, Protocol.UDP, bytes);
  udpBuild(packet.data, u.localPort, port, bytes, pseudo);
  packet.flags = <u8>(PacketFlag.ChecksumPending | fragmenting);
  packet.trafficClass = u.trafficClass;
  packet.checksumStart = 0;
  packet.checksumOffset = <u16>UDP_CHECKSUM_OFFSET;
  udpStats.sent++;
  return datagramSend(u, route, packet, Protocol.UDP, source, address);
}

// ---- Receive -------------------------------------------------------------------------------

function udpInput(packet: Packet, source: IpAddress, destination: IpAddress): void {
  udpStats.received++;
  if (!udpValid(packet.data, packet.length)) {
    udpStats.badLength++;
    return packet.release();
  }
  const header = changetype<UdpHeader>(packet.data);
  packet.length = header.length;
  // No checksum at all is allowed over IPv4 (RFC 768; RFC 8200, 8.1); a wrong one is not (RFC 1122, 4.1.3.4).
  const summed = header.checksum != 0 || !source.isV4;
  if (summed && !transportChecksumValid(packet, Protocol.UDP, source, destination)) {
    udpStats.badChecksum++;
    return packet.release();
  }
  const sourcePort = header.sourcePort;
  const destinationPort = header.destinationPort;
  if (isForMany(destination, interfaceAt(packet.iface))) {
    packet.strip(UDP_HEADER);
    return deliverToAll(packet, source, sourcePort, destination, destinationPort);
  }
  const u = find(destination, destinationPort, source, sourcePort);
  if (u === null) {
    udpStats.noPort++;
    sendPortUnreachable(packet);
    return packet.release();
  }
  packet.strip(UDP_HEADER);
  give(u, packet, source, sourcePort);
}

/** Gives a datagram to an endpoint. Owns the packet. */
function give(u: Udp, packet: Packet, source: IpAddress, sourcePort: u32): void {
  if (u.handler) {
    udpStats.delivered++;
    return call_indirect<void>(u.handler, u, changetype<Packet | null>(packet), source, sourcePort);
  }
  if (!datagramRoom(u)) {
    udpStats.queueFull++;
    return packet.release();
  }
  udpStats.delivered++;
  datagramQueue(u, packet);
}

/**
 * Gives a datagram for many, `packet.data` being its payload, to every endpoint that hears it: of a broadcast all of
 * the port (RFC 1122, 4.1.3.6), of a group who hears it of that source, or all if everybody is in it. The last one
 * gets the packet, the others copies.
 */
function deliverToAll(
  packet: Packet,
  source: IpAddress,
  sourcePort: u32,
  destination: IpAddress,
  port: u32,
): void {
  const iface = interfaceAt(packet.iface);
  const joined = isGroupAddress(destination) && !isAllHosts(destination);
  let before: Udp | null = null;
  let u = changetype<Udp | null>(load<usize>(portBucket(port)));
  while (u !== null) {
    const hears =
      <u32>u.localPort == port &&
      u.local.covers(destination) &&
      (!u.remotePort || (<u32>u.remotePort == sourcePort && u.remote.equals(source))) &&
      (!joined || hearsGroup(u, destination, source, iface));
    if (hears) {
      if (before !== null) {
        const copy = datagramCopy(packet);
        if (copy === null) udpStats.noBuffer++;
        else give(before, copy, source, sourcePort);
      }
      before = u;
    }
    u = u.portNext;
  }
  if (before !== null) return give(before, packet, source, sourcePort);
  udpStats.noPort++;
  packet.release();
}


@inline function isAllHosts(group: IpAddress): bool {
  return group.isV4 ? group.v4 == V4_ALL_HOSTS : isAllNodes(group.hi, group.lo);
}

// ---- Errors from the network ---------------------------------------------------------------

/**
 * A datagram of ours did not arrive (RFC 1122, 4.1.3.3). Only a connected endpoint is told: another
 * one could not say which of its peers is meant.
 */
function udpIcmpError(
  source: IpAddress,
  destination: IpAddress,
  sourcePort: u32,
  destinationPort: u32,
  _sequence: u32,
  kind: IpError,
  mtu: u32,
): void {
  const u = findConnected(source, sourcePort, destination, destinationPort);
  if (kind == IpError.TooBig) {
    // Somebody sends from that port: so it may be true.
    const sender = u !== null ? u : findBound(source, sourcePort);
    if (sender === null) return;
    pathMtuLearn(sender.local, sender.mark, destination, mtu);
    if (u === null || u.mtuDiscovery < <u8>MtuDiscovery.Do) return;
  }
  if (u === null) return;
  udpStats.errors++;
  datagramFailed(u, kind);
  const none: Packet | null = null;
  if (u.handler) call_indirect<void>(u.handler, u, none, destination, destinationPort);
}
