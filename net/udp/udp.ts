import { Errno } from "../../kernel/errno";
import { reserve } from "../../kernel/memory";
import {
  HEADROOM,
  Owner,
  Packet,
  PacketFlag,
  PacketQueue,
  PoolId,
  Purpose,
  allocate,
  poolOf,
  slotSize,
} from "../../kernel/packet";
import { randomBelow } from "../../kernel/random";
import { EndpointEvent, EndpointOption, notify } from "../endpoint";
import { addressHash } from "../hash";
import { sendPortUnreachable } from "../icmp/error";
import { interfaceAt, isOwn } from "../interface";
import { DEFAULT_TTL, ipSendBy } from "../ip/output";
import { IpError, registerProtocol } from "../ip/protocol";
import { Route, RouteKind, routeTo } from "../ip/route";
import { IpAddress, v6Load } from "../wire/address";
import { pseudoHeaderSum, transportChecksumValid } from "../wire/checksum";
import { IPV4_HEADER, Ipv4Header, Protocol } from "../wire/ipv4";
import { IPV6_HEADER, Ipv6Header } from "../wire/ipv6";
import { UDP_CHECKSUM_OFFSET, UDP_HEADER, UdpHeader, udpBuild, udpValid } from "../wire/udp";
import { udpStats } from "./stats";

/**
 * UDP (RFC 768; RFC 1122, 4.1). A received datagram stays in the slot that the NIC wrote; an
 * endpoint's queue is a list of such packets, bounded in number, because a datagram of one byte
 * holds a slot like any other. Where it came from is read from its headers, which are still there.
 *
 * Endpoints are found in one of two hash tables: connected ones by both addresses and ports, the
 * others by local port. Every call returns 0 or more, or -Errno; none blocks.
 */

/** An address and a port: where a datagram came from. The layout that programs see. */
@unmanaged
export class UdpPeer {
  hi: u64;
  lo: u64;
  port: u16;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }
}

/** An endpoint. 128 bytes. */
@unmanaged
export class Udp {
  localHi: u64;
  localLo: u64;
  remoteHi: u64;
  remoteLo: u64;
  /** Datagrams dropped because the queue was full. */
  dropped: u64;
  /** Who is told of events; 0 for nobody. */
  owner: u32;
  /**
   * Table index of `(packet: Packet, source: IpAddress, sourcePort: u32) => void`, which takes
   * each datagram at once in place of the queue; 0 for none. For clients inside the stack.
   */
  handler: u32;
  private queueHead: Packet | null;
  private queueTail: Packet | null;
  private queueLength: u32;
  /** Most datagrams in the queue. */
  limit: u32;
  /** Next endpoint with the same hash of the local port, or next free endpoint. */
  portNext: Udp | null;
  /** Next connected endpoint with the same hash. */
  peerNext: Udp | null;
  /** Pending error (`Errno`), told by the next call and then forgotten. */
  error: u32;
  localPort: u16;
  /** 0 when not connected. */
  remotePort: u16;
  /** May send to broadcast addresses. */
  broadcast: bool;
  /** Lets others bind the port while this one is connected, and binds it while others are. */
  reuse: bool;
  /** Shares the port with others that do, and senders are dealt out among them. */
  group: bool;


  @inline get local(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }


  @inline get remote(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Udp>("remoteHi"));
  }


  @inline get queue(): PacketQueue {
    return changetype<PacketQueue>(changetype<usize>(this) + offsetof<Udp>("queueHead"));
  }
}

const BUCKETS: u32 = 1024;
/**
 * Ports given to who names none (RFC 6056, 3.2: as many as possible): above those that services
 * register.
 */
const EPHEMERAL_FIRST: u32 = 32768;
const EPHEMERAL_COUNT: u32 = 32768;
/** Queue of an endpoint that sets no limit, in datagrams. */
const LIMIT_DEFAULT: u32 = 256;
/** Bytes of receive buffer that a program asks for, a datagram. */
const LIMIT_UNIT: u32 = 2048;

let free: Udp | null = null;
let ports: usize = 0;
let peers: usize = 0;
/** Endpoints that are connected: mostly none, and then nobody looks for them. */
let connectedCount: u32 = 0;
/** Most datagrams in all queues together: the NIC's ring must always find slots. */
let queuedMax: u32 = 0;
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
  queuedMax = poolOf(PoolId.Standard).slots >> 1;
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
  u.limit = min<u32>(LIMIT_DEFAULT, queuedMax);
  return u;
}

/**
 * Binds to one of our addresses, or all for the unspecified one, and a port, 0 for a free one.
 * -EINVAL when bound already, -EADDRNOTAVAIL, -EADDRINUSE.
 */
export function udpBind(u: Udp, address: IpAddress, port: u32): i32 {
  if (u.localPort || port > 0xffff) return -Errno.EINVAL;
  if (!address.isAny && !isOwn(address)) return -Errno.EADDRNOTAVAIL;
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
  const route = routeTo(address.hi, address.lo);
  if (route === null) return -Errno.ENETUNREACH;
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
  while (u.queue.head !== null) udpConsume(u);
  disconnect(u);
  if (u.localPort) unchain(portBucket(u.localPort), offsetof<Udp>("portNext"), u);
  memory.fill(changetype<usize>(u), 0, 128);
  u.portNext = free;
  free = u;
}

/** The local address into `into`; returns the port, 0 before it is bound. */
export function udpLocal(u: Udp, into: IpAddress): u32 {
  into.copy(u.local);
  return u.localPort;
}

/** The peer's address into `into`; returns its port, 0 when not connected. */
export function udpRemote(u: Udp, into: IpAddress): u32 {
  into.copy(u.remote);
  return u.remotePort;
}

/** Sets an `EndpointOption`; -ENOPROTOOPT for one that UDP does not have. */
export function udpSetOption(u: Udp, option: u32, value: u32): i32 {
  switch (option) {
    case EndpointOption.ReceiveBuffer:
      u.limit = max<u32>(1, min<u32>(value / LIMIT_UNIT, queuedMax));
      return 0;
    case EndpointOption.ReuseAddress:
      u.reuse = value != 0;
      return 0;
    case EndpointOption.ReusePort:
      u.group = value != 0;
      return 0;
    case EndpointOption.Broadcast:
      u.broadcast = value != 0;
      return 0;
    default:
      return -Errno.ENOPROTOOPT;
  }
}

/** The value of an `EndpointOption`. */
export function udpGetOption(u: Udp, option: u32): i32 {
  switch (option) {
    case EndpointOption.ReceiveBuffer:
      return u.limit * LIMIT_UNIT;
    case EndpointOption.ReuseAddress:
      return i32(u.reuse);
    case EndpointOption.ReusePort:
      return i32(u.group);
    case EndpointOption.Broadcast:
      return i32(u.broadcast);
    default:
      return -Errno.ENOPROTOOPT;
  }
}

/** Takes the pending error: a positive `Errno`, 0 for none. */
export function udpError(u: Udp): i32 {
  const error = u.error;
  u.error = 0;
  return error;
}

// ---- Send ----------------------------------------------------------------------------------

/**
 * Sends a copy of `length` bytes as one datagram to `address` and `port`, or to the peer when
 * `address` is null. Binds to a free port first if need be. Returns `length`, or an error:
 * -EDESTADDRREQ, -EMSGSIZE (larger than one packet: nothing is fragmented), -EACCES (broadcast
 * without the option), -ENOBUFS, an error that arrived for an earlier datagram, or `ipSend`'s.
 */
export function udpSendTo(
  u: Udp,
  from: usize,
  length: u32,
  address: IpAddress | null,
  port: u32,
): i32 {
  if (u.error) return -udpError(u);
  if (address === null) {
    if (!u.remotePort) return -Errno.EDESTADDRREQ;
    address = u.remote;
    port = u.remotePort;
  }
  if (port == 0 || port > 0xffff) return -Errno.EINVAL;
  if (!u.localPort) {
    const bound = udpBind(u, u.local, 0);
    if (bound < 0) return bound;
  }
  if (!u.local.speaksTo(address)) return -Errno.EAFNOSUPPORT;
  const route = routeTo(address.hi, address.lo);
  if (route === null) return -Errno.ENETUNREACH;
  if (route.kind == RouteKind.Broadcast && !u.broadcast) return -Errno.EACCES;
  const v4 = address.isV4;
  const most = min<u32>(
    v4 ? route.iface.mtu : route.iface.v6Mtu,
    slotSize(PoolId.Jumbo) - HEADROOM,
  );
  const headers = (v4 ? IPV4_HEADER : IPV6_HEADER) + UDP_HEADER;
  if (length > most - headers) return -Errno.EMSGSIZE;
  const packet = allocateFor(UDP_HEADER + length);
  if (packet === null) {
    udpStats.noBuffer++;
    return -Errno.ENOBUFS;
  }
  memory.copy(packet.data + UDP_HEADER, from, length);
  const sent = send(u, route, packet, UDP_HEADER + length, address, port);
  return sent < 0 ? sent : <i32>length;
}


@inline function allocateFor(bytes: u32): Packet | null {
  const pool =
    bytes + HEADROOM <= slotSize(PoolId.Small)
      ? PoolId.Small
      : bytes + HEADROOM <= slotSize(PoolId.Standard)
        ? PoolId.Standard
        : PoolId.Jumbo;
  return allocate(pool, Purpose.Data, HEADROOM);
}

function send(
  u: Udp,
  route: Route,
  packet: Packet,
  bytes: u32,
  address: IpAddress,
  port: u32,
): i32 {
  const source = sourceScratch;
  if (u.local.isAny) source.set(route.sourceHi, route.sourceLo);
  else source.copy(u.local);
  const pseudo = pseudoHeaderSum(source, address, Protocol.UDP, bytes);
  udpBuild(packet.data, u.localPort, port, bytes, pseudo);
  packet.length = bytes;
  packet.flags = <u8>PacketFlag.ChecksumPending;
  packet.checksumStart = 0;
  packet.checksumOffset = <u16>UDP_CHECKSUM_OFFSET;
  udpStats.sent++;
  return ipSendBy(route, packet, Protocol.UDP, source, address, DEFAULT_TTL);
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
  const u = find(destination, header.destinationPort, source, sourcePort);
  if (u === null) {
    udpStats.noPort++;
    sendPortUnreachable(packet);
    return packet.release();
  }
  packet.strip(UDP_HEADER);
  if (u.handler) {
    udpStats.delivered++;
    return call_indirect<void>(u.handler, packet, source, sourcePort);
  }
  if (u.queue.length >= u.limit || udpStats.queued >= queuedMax) {
    u.dropped++;
    udpStats.queueFull++;
    return packet.release();
  }
  udpStats.delivered++;
  udpStats.queued++;
  packet.give(Owner.Socket);
  u.queue.push(packet);
  notify(u.owner, EndpointEvent.Readable);
}

let peekLength: u32 = 0;

/**
 * Lends the oldest datagram where it lies: its address, 0 when there is none; its length is
 * `udpPeekLength()`. It stays until `udpConsume`.
 */
export function udpPeekRun(u: Udp): usize {
  const packet = u.queue.head;
  if (packet === null) return 0;
  if (packet.owner == Owner.Socket) packet.give(Owner.Lease);
  peekLength = packet.length;
  return packet.data;
}

/** Length of the datagram that `udpPeekRun` lent last. */
export function udpPeekLength(): u32 {
  return peekLength;
}

/** Where the oldest datagram came from; false when there is none. */
export function udpPeekFrom(u: Udp, from: UdpPeer): bool {
  const packet = u.queue.head;
  if (packet === null) return false;
  readSource(packet, from);
  return true;
}

/** Frees the oldest datagram. */
export function udpConsume(u: Udp): void {
  const packet = u.queue.pop();
  if (packet === null) return;
  udpStats.queued--;
  packet.release();
}

/**
 * Copies the oldest datagram, cut to `length` bytes, and, unless it is null, where it came from;
 * frees it unless `peek`. Returns the bytes copied, -EAGAIN when there is none, or an error that
 * arrived for a datagram sent.
 */
export function udpReceive(
  u: Udp,
  into: usize,
  length: u32,
  peek: bool,
  from: UdpPeer | null,
): i32 {
  if (u.error) return -udpError(u);
  const packet = u.queue.head;
  if (packet === null) return -Errno.EAGAIN;
  const copied = min<u32>(length, packet.length);
  memory.copy(into, packet.data, copied);
  if (from !== null) readSource(packet, from);
  if (!peek) udpConsume(u);
  return copied;
}

/** The headers before the payload are as they came. */
function readSource(packet: Packet, into: UdpPeer): void {
  const header = changetype<Ipv4Header>(packet.slot + packet.networkOffset);
  if (header.version == 4) {
    into.address.setV4(header.source);
  } else {
    const zone = interfaceAt(packet.iface).zone;
    v6Load(into.address, changetype<Ipv6Header>(header).sourceAt, zone);
  }
  into.port = <u16>changetype<UdpHeader>(packet.data - UDP_HEADER).sourcePort;
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
  _mtu: u32,
): void {
  const u = findConnected(source, sourcePort, destination, destinationPort);
  if (u === null) return;
  udpStats.errors++;
  u.error = errnoOf(kind);
  notify(u.owner, EndpointEvent.Error);
}

function errnoOf(kind: IpError): u32 {
  switch (kind) {
    case IpError.PortUnreachable:
    case IpError.ProtocolUnreachable:
      return Errno.ECONNREFUSED;
    case IpError.NetworkUnreachable:
      return Errno.ENETUNREACH;
    case IpError.TooBig:
      return Errno.EMSGSIZE;
    case IpError.Prohibited:
      return Errno.EACCES;
    default:
      return Errno.EHOSTUNREACH;
  }
}
