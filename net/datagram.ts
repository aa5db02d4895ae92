import { Errno } from "../kernel/errno";
import {
  HEADROOM,
  Owner,
  Packet,
  PacketFlag,
  PacketQueue,
  PoolId,
  Purpose,
  allocate,
  poolFor,
  poolOf,
  slotSize,
} from "../kernel/packet";
import { EndpointEvent, EndpointOption, notify } from "./endpoint";
import { interfaceAt } from "./interface";
import { DEFAULT_TTL, ipSendBy } from "./ip/output";
import { linkMtu, pathMtu, pathMtuTo } from "./ip/pathmtu";
import { IpError } from "./ip/protocol";
import { Route, RouteKind } from "./ip/route";
import {
  Membership,
  chooseInterface,
  loopCopy,
  loopRoute,
  membershipEnd,
  membershipInit,
} from "./membership";
import { IpAddress, v6Load } from "./wire/address";
import { IPV4_HEADER, IPV4_LENGTH_MAX, Ipv4Header } from "./wire/ipv4";
import { IPV6_HEADER, Ipv6Header } from "./wire/ipv6";

/**
 * What UDP's and raw endpoints have in common: addresses, a queue of received packets that stay in the
 * slots in which they came, and options. The queue is bounded by the memory that its packets hold, because
 * a datagram of one byte holds a slot like any other. Where one came from is read from its headers,
 * which are still there. Every call returns 0 or more, or -Errno; none blocks.
 */

/** An address and a port: where a datagram came from. The layout that programs see. */
@unmanaged
export class DatagramPeer {
  hi: u64;
  lo: u64;
  port: u16;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }
}

/** What to do with a datagram that the path does not carry whole; Linux's numbers. */
export const enum MtuDiscovery {
  /** Fragments it, and lets routers do so. */
  Dont = 0,
  /** Fragments it to what is known of the path, and learns from routers that drop it. */
  Want = 1,
  /** Refuses it. */
  Do = 2,
  /** Refuses only what the link does not carry, whatever is known of the path. */
  Probe = 3,
}

/** Begins each kind's own record. */
@unmanaged
export class DatagramEndpoint {
  localHi: u64;
  localLo: u64;
  remoteHi: u64;
  remoteLo: u64;
  /** Datagrams dropped because the queue was full. */
  dropped: u64;
  /** Who is told of events; 0 for nobody. */
  owner: u32;
  private queueHead: Packet | null;
  private queueTail: Packet | null;
  private queueLength: u32;
  /** Units of `UNIT` bytes that the queue holds, and may hold. */
  held: u32;
  limit: u32;
  /** Where its kind counts datagrams that wait. */
  queued: usize;
  /** Pending error (`Errno`), told by the next call and then forgotten. */
  error: u32;
  /** UDP's ports; 0 when not bound, not connected. Of ICMP's echo the identifier. */
  localPort: u16;
  remotePort: u16;
  /** Bytes between `data` of a queued packet and the sender's port; 0 where there are no ports. */
  portOffset: u8;
  /** To send with; 0 for the default. */
  timeToLive: u8;
  trafficClass: u8;
  /** May send to broadcast addresses. */
  broadcast: bool;
  /** `MtuDiscovery`. */
  mtuDiscovery: u8;
  /** Of what it sends to groups: the hops, the interface's number or 0, whether it is not to come back. */
  multicastHops: u8;
  multicastInterface: u8;
  noLoop: bool;
  /** Of groups, hears only those that it has joined itself, not all that somebody here has (IP_MULTICAST_ALL 0). */
  ownGroupsOnly: bool;
  /** Groups that it has joined. */
  memberships: Membership | null;
  /** What rules know its packets by (SO_MARK). */
  mark: u32;


  @inline get local(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }


  @inline get remote(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<DatagramEndpoint>("remoteHi"));
  }


  @inline get queue(): PacketQueue {
    return changetype<PacketQueue>(
      changetype<usize>(this) + offsetof<DatagramEndpoint>("queueHead"),
    );
  }

  /** TTL or hop limit of what it sends. */
  @inline get hops(): u32 {
    return this.timeToLive ? this.timeToLive : DEFAULT_TTL;
  }

  /** The same for what leaves by a route. */
  @inline hopsBy(route: Route): u32 {
    const many = route.kind == RouteKind.Multicast || route.kind == RouteKind.MulticastV6;
    return many ? <u32>this.multicastHops : this.hops;
  }
}

/** Bytes of receive buffer that a program asks for, a datagram in a slot of `PoolId.Standard`. */
const UNIT_SHIFT: u32 = 11;
/** Queue of an endpoint that sets no limit. */
const LIMIT_DEFAULT: u32 = 256;

/** What all queues together hold, and may hold: the NIC's ring must always find slots. */
let heldAll: u32 = 0;
let heldMax: u32 = 0;

/** Start-up only, after the pools. */
export function datagramsInit(): void {
  membershipInit();
  heldAll = 0;
  heldMax = poolOf(PoolId.Standard).slots >> 1;
}

/** Prepares a cleared endpoint; `queued` is the address of its kind's gauge. */
export function datagramOpen(e: DatagramEndpoint, queued: usize, portOffset: u32): void {
  e.limit = min<u32>(LIMIT_DEFAULT, heldMax);
  e.queued = queued;
  e.portOffset = <u8>portOffset;
  e.mtuDiscovery = <u8>MtuDiscovery.Want;
  // RFC 1112, 6.1; RFC 3493, 5.2.
  e.multicastHops = 1;
  e.ownGroupsOnly = true;
}

// ---- Receive -------------------------------------------------------------------------------

/** Units that a packet costs its queue. */
@inline function charge(packet: Packet): u32 {
  return max<u32>(1, slotSize(packet.pool) >> UNIT_SHIFT);
}

/** Whether the queue has room for one more packet; if not, one is counted as dropped. */
export function datagramRoom(e: DatagramEndpoint): bool {
  if (e.held < e.limit && heldAll < heldMax) return true;
  e.dropped++;
  return false;
}

/** Queues a packet, for which there must be room, and tells the owner. Owns the packet. */
export function datagramQueue(e: DatagramEndpoint, packet: Packet): void {
  const units = charge(packet);
  e.held += units;
  heldAll += units;
  store<u32>(e.queued, load<u32>(e.queued) + 1);
  packet.give(Owner.Socket);
  e.queue.push(packet);
  notify(e.owner, EndpointEvent.Readable);
}

/**
 * A copy of a received packet from its network header on, in the smallest slot that holds it, with `data` where it
 * is; null when no packet is free.
 */
export function datagramCopy(packet: Packet): Packet | null {
  const header = packet.slot + packet.networkOffset;
  const bytes = <u32>(packet.end - header);
  const copy = datagramAllocate(bytes);
  if (copy === null) return null;
  memory.copy(copy.data, header, bytes);
  copy.networkOffset = <u16>(copy.data - copy.slot);
  copy.length = bytes;
  copy.iface = packet.iface;
  copy.strip(<u32>(packet.data - header));
  return copy;
}

let peekLength: u32 = 0;

/**
 * Lends the oldest datagram where it lies: its address, 0 when there is none; its length is
 * `datagramPeekLength()`. It stays until `datagramConsume`.
 */
export function datagramPeekRun(e: DatagramEndpoint): usize {
  const packet = e.queue.head;
  if (packet === null) return 0;
  if (packet.owner == Owner.Socket) packet.give(Owner.Lease);
  peekLength = packet.length;
  return packet.data;
}

/** Length of the datagram that `datagramPeekRun` lent last. */
export function datagramPeekLength(): u32 {
  return peekLength;
}

/** Where the oldest datagram came from; false when there is none. */
export function datagramPeekFrom(e: DatagramEndpoint, from: DatagramPeer): bool {
  const packet = e.queue.head;
  if (packet === null) return false;
  readSource(e, packet, from);
  return true;
}

/** Frees the oldest datagram. */
export function datagramConsume(e: DatagramEndpoint): void {
  const packet = datagramTake(e);
  if (packet === null) return;
  datagramReturn(e, packet);
  packet.release();
}

/** What is first in the queue, for the caller to look at; `datagramTake` takes it. */
@inline export function datagramFirst(e: DatagramEndpoint): Packet | null {
  return e.queue.head;
}

/** Takes the oldest datagram, in the packet in which it came, or null. It counts as the queue's until `datagramReturn`. */
export function datagramTake(e: DatagramEndpoint): Packet | null {
  const packet = e.queue.pop();
  if (packet !== null) store<u32>(e.queued, load<u32>(e.queued) - 1);
  return packet;
}

/** A packet that `datagramTake` gave is no longer the queue's. */
export function datagramReturn(e: DatagramEndpoint, packet: Packet): void {
  const units = charge(packet);
  e.held -= units;
  heldAll -= units;
}

/** Frees all of them, and leaves all groups. Cost: their number. */
export function datagramClear(e: DatagramEndpoint): void {
  membershipEnd(e);
  while (e.queue.head !== null) datagramConsume(e);
}

/**
 * Copies the oldest datagram, cut to `length` bytes, and, unless it is null, where it came from;
 * frees it unless `peek`. Returns the bytes copied, or with `whole` the bytes that it has; -EAGAIN when
 * there is none, or an error that arrived for a datagram sent.
 */
export function datagramReceive(
  e: DatagramEndpoint,
  into: usize,
  length: u32,
  peek: bool,
  whole: bool,
  from: DatagramPeer | null,
): i32 {
  if (e.error) return -datagramError(e);
  const packet = e.queue.head;
  if (packet === null) return -Errno.EAGAIN;
  const copied = min<u32>(length, packet.length);
  const result = whole ? packet.length : copied;
  memory.copy(into, packet.data, copied);
  if (from !== null) readSource(e, packet, from);
  if (!peek) datagramConsume(e);
  return result;
}

/** The headers before the payload are as they came. */
function readSource(e: DatagramEndpoint, packet: Packet, into: DatagramPeer): void {
  const header = changetype<Ipv4Header>(packet.slot + packet.networkOffset);
  if (header.version == 4) {
    into.address.setV4(header.source);
  } else {
    const zone = interfaceAt(packet.iface).zone;
    v6Load(into.address, changetype<Ipv6Header>(header).sourceAt, zone);
  }
  const back = <usize>e.portOffset;
  into.port = back ? bswap(load<u16>(packet.data - back)) : 0;
}

/** `EndpointEvent` bits that hold now. */
export function datagramEvents(e: DatagramEndpoint): u32 {
  let events: u32 = EndpointEvent.Writable;
  if (e.queue.length) events |= EndpointEvent.Readable;
  if (e.error) events |= EndpointEvent.Error;
  return events;
}

// ---- Send ----------------------------------------------------------------------------------

/** A packet with headroom and room for `bytes`, at most 65,535, or null when there is none. */
@inline export function datagramAllocate(bytes: u32): Packet | null {
  return allocate(poolFor(bytes), Purpose.Data, HEADROOM);
}

/**
 * The flags to send `bytes` behind an IP header with, or -EMSGSIZE for more than the path carries when the
 * endpoint wants no fragments, or than any packet holds.
 */
export function datagramFragmenting(
  e: DatagramEndpoint,
  route: Route,
  address: IpAddress,
  bytes: u32,
): i32 {
  const length = bytes + (address.isV4 ? IPV4_HEADER : 0);
  if (length > IPV4_LENGTH_MAX) return -Errno.EMSGSIZE;
  switch (<u32>e.mtuDiscovery) {
    case MtuDiscovery.Dont:
      return PacketFlag.Fragmentable | PacketFlag.RoutersFragment;
    case MtuDiscovery.Want:
      return PacketFlag.Fragmentable;
    default: {
      const probe = e.mtuDiscovery == <u8>MtuDiscovery.Probe;
      const mtu = probe ? linkMtu(route) : pathMtu(route, address);
      return bytes + (address.isV4 ? IPV4_HEADER : IPV6_HEADER) <= mtu ? 0 : -Errno.EMSGSIZE;
    }
  }
}

/**
 * Sends a packet of an endpoint by a route to `address`, as `ipSendBy`; what is for a group that somebody here has
 * joined comes back by the loopback, too.
 */
export function datagramSend(
  e: DatagramEndpoint,
  route: Route,
  packet: Packet,
  protocol: u32,
  source: IpAddress,
  address: IpAddress,
): i32 {
  const hops = e.hopsBy(route);
  const copy = loopCopy(e, route, packet);
  // Not on the wire at all with 0 hops (RFC 1112, 6.1).
  let sent: i32 = 0;
  if (hops) sent = ipSendBy(route, packet, protocol, source, address, hops);
  else packet.release();
  if (copy === null) return sent;
  const back = loopRoute(address);
  if (back === null) copy.release();
  else ipSendBy(back, copy, protocol, source, address, max<u32>(hops, 1));
  return sent;
}

// ---- Options -------------------------------------------------------------------------------

/** Sets an `EndpointOption` of all kinds; -ENOPROTOOPT for another, -EINVAL for a value that is none. */
export function datagramSetOption(e: DatagramEndpoint, option: u32, value: u32): i32 {
  switch (option) {
    case EndpointOption.ReceiveBuffer:
      e.limit = max<u32>(1, min<u32>(value >> UNIT_SHIFT, heldMax));
      return 0;
    case EndpointOption.Broadcast:
      e.broadcast = value != 0;
      return 0;
    case EndpointOption.Mark:
      if (<i32>value < 0) return -Errno.EINVAL;
      e.mark = value;
      return 0;
    case EndpointOption.TypeOfService:
      if (value > 0xff) return -Errno.EINVAL;
      e.trafficClass = <u8>value;
      return 0;
    case EndpointOption.TimeToLive:
      // All ones: the default again, as Linux has it.
      if (value != u32.MAX_VALUE && (!value || value > 0xff)) return -Errno.EINVAL;
      e.timeToLive = value == u32.MAX_VALUE ? 0 : <u8>value;
      return 0;
    case EndpointOption.MulticastHops:
      if (value != u32.MAX_VALUE && value > 0xff) return -Errno.EINVAL;
      e.multicastHops = value == u32.MAX_VALUE ? 1 : <u8>value;
      return 0;
    case EndpointOption.MulticastLoop:
      e.noLoop = !value;
      return 0;
    case EndpointOption.MulticastInterface:
      return chooseInterface(e, value);
    case EndpointOption.MulticastAll:
      if (value > 1) return -Errno.EINVAL;
      e.ownGroupsOnly = !value;
      return 0;
    case EndpointOption.MtuDiscovery:
      if (value > <u32>MtuDiscovery.Probe) return -Errno.EINVAL;
      e.mtuDiscovery = <u8>value;
      return 0;
    default:
      return -Errno.ENOPROTOOPT;
  }
}

/** The value of such an option. */
export function datagramGetOption(e: DatagramEndpoint, option: u32): i32 {
  switch (option) {
    case EndpointOption.ReceiveBuffer:
      return e.limit << UNIT_SHIFT;
    case EndpointOption.Broadcast:
      return i32(e.broadcast);
    case EndpointOption.Mark:
      return e.mark;
    case EndpointOption.TypeOfService:
      return e.trafficClass;
    case EndpointOption.TimeToLive:
      return e.hops;
    case EndpointOption.MulticastHops:
      return e.multicastHops;
    case EndpointOption.MulticastLoop:
      return i32(!e.noLoop);
    case EndpointOption.MulticastInterface:
      return e.multicastInterface;
    case EndpointOption.MulticastAll:
      return i32(!e.ownGroupsOnly);
    case EndpointOption.MtuDiscovery:
      return e.mtuDiscovery;
    case EndpointOption.PathMtu:
      return e.remote.isAny ? -Errno.ENOTCONN : pathMtuTo(e.local, e.mark, e.remote);
    default:
      return -Errno.ENOPROTOOPT;
  }
}

// ---- Errors --------------------------------------------------------------------------------

/** Takes the pending error: a positive `Errno`, 0 for none. */
export function datagramError(e: DatagramEndpoint): i32 {
  const error = e.error;
  e.error = 0;
  return error;
}

/** A datagram of this endpoint did not arrive: its owner is told. */
export function datagramFailed(e: DatagramEndpoint, kind: IpError): void {
  e.error = errnoOf(kind);
  notify(e.owner, EndpointEvent.Error);
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
