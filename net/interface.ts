import { Device, DEVICES_MAX } from "../drivers/device";
import { NEVER, Timer } from "../kernel/timer";
import { IpAddress, isV4Loopback, isV6Loopback, v4Mask } from "./wire/address";
import { configuredMtu, configuredRoutes } from "./configured";
import { addressHash } from "./hash";
import { RouteOrigin, routeAdd, routeRemove } from "./route/table";

/**
 * Interfaces: what the Internet layer knows of a device. Each has a list of addresses of either
 * family, and all addresses together are in one hash table, so that "is this ours?" costs one probe
 * whatever the number of interfaces.
 *
 * The first assigned IPv4 address is copied to plain fields, by which most packets are decided.
 */

/** How an interface frames what it carries. */
export const enum LinkKind {
  Ethernet = 0,
  /** Bare IP datagrams, which come back. */
  Loopback = 1,
  /** Bare IP datagrams for the one station at the other end: no addresses of the link, none to be asked for. */
  PointToPoint = 2,
  /** Ethernet frames of which a bridge disposes (net/virtual/bridge.ts): it takes no part in IP. */
  Port = 3,
}

/** Who gave an address. */
export const enum AddressOrigin {
  Static = 0,
  Dhcp = 1,
  /** Made up by ourselves for one link: RFC 3927; RFC 4862, 5.3. */
  LinkLocal = 2,
  /** Made of a router's prefix: one that stays (RFC 7217), and one for a while (RFC 8981). */
  Stable = 3,
  Temporary = 4,
  /** A DHCPv6 server's. */
  Dhcpv6 = 5,
}

/** How far an address is from being ours. */
export const enum AddressState {
  /** Being probed: not in use (RFC 5227, 2.1; RFC 4862, 2). */
  Tentative = 0,
  /** In use. */
  Assigned = 1,
}

/** An address of an interface. 128 bytes. */
@unmanaged
export class InterfaceAddress {
  hi: u64;
  lo: u64;
  /** When another host last claimed the address: `host.monotonic` ns, 0 for never. */
  conflictAt: u64;
  /** Until when it is used for new connections, and at all: ns, `NEVER` for good. IPv6 only. */
  preferredUntil: u64;
  validUntil: u64;
  /** When it was made, ns; `tries`: made anew because another station had the one before. */
  since: u64;
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  iface: Interface;
  /** Next address of the interface, or next free record. */
  next: InterfaceAddress | null;
  /** Next address with the same hash. */
  hashNext: InterfaceAddress | null;
  /** Table index of `(address: InterfaceAddress) => void`: it is in use now. 0 for none. */
  assignedFn: u32;
  /** Table index of `(address: InterfaceAddress, mac: u64) => void`: it is lost. 0 for none. */
  conflictFn: u32;
  /** Bits of the network part. */
  prefix: u8;
  /** `AddressState`. */
  state: u32;
  /** `AddressOrigin`. */
  origin: u32;
  /** Probes and announcements still to be sent (net/link/conflict.ts). */
  probesLeft: u8;
  announcementsLeft: u8;
  tries: u8;
  /** Past `preferredUntil`: only for what uses it already (RFC 4862, 5.5.4). */
  deprecated: bool;
  /** Of a temporary address: the one that follows it has been made. */
  succeeded: bool;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }

  /** Probes, announces. */
  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<InterfaceAddress>("timer0"));
  }
}

/** One row of the interface table. 256 bytes. */
@unmanaged
export class Interface {
  device: Device;
  /** `LinkKind`. */
  kind: u32;
  /** Position in the table; the device's index. */
  index: u8;
  /** The device has a link. */
  up: bool;
  /** Takes UDP to any unicast address: a DHCP server may already use the one that it offers (RFC 2131, 4.1). */
  acceptAny: bool;
  /** Takes broadcast UDP of stations that have no address yet: there is a DHCP server (RFC 1122, 3.2.1.3 a). */
  serves: bool;
  /** First assigned IPv4 address, its mask and its subnet's broadcast address; 0 without one. */
  v4Address: u32;
  v4Mask: u32;
  v4Broadcast: u32;
  /** Largest IP datagram, and of IPv6, which a router may want smaller (RFC 4861, 4.6.4). */
  mtu: u32;
  v6Mtu: u32;
  /** Hop limit of what a transport does not say another for; a router may set it (4.2). */
  hopLimit: u8;
  /** Takes part in IPv6. */
  v6: bool;
  /** How long a neighbour counts as reachable, and between questions to it: ns (4861, 6.3.2). */
  reachableTime: u64;
  retransTime: u64;
  /** `device.linkChanges` as of the last look. */
  linkChanges: u32;
  /** Of a router: ways that had to be looked up for what this link last brought at once. */
  routesMissed: u32;
  /** VLANs ride on it, so its device lets every group pass. */
  carries: bool;
  /** Of a port: the bridge that disposes of its frames. */
  bridge: Interface | null;
  addresses: InterfaceAddress | null;
  /** DNS servers learned or configured. */
  private dns0Hi: u64;
  private dns0Lo: u64;
  private dns1Hi: u64;
  private dns1Lo: u64;
  private dns2Hi: u64;
  private dns2Lo: u64;
  dnsCount: u32;

  /** Frames from this link that nobody took, by reason. */
  runts: u64;
  /** Unicast to another station. */
  notForUs: u64;
  unknownType: u64;
  /** Sent by a broken or spoofing station: group bit in the source address. */
  badSource: u64;
  /** Not sent: no link. */
  downDropped: u64;
  /** Not sent: too many packets wait for the device. */
  queueFull: u64;

  /** DNS server `index`, below `dnsCount`. */
  @inline dns(index: u32): IpAddress {
    return changetype<IpAddress>(
      changetype<usize>(this) + offsetof<Interface>("dns0Hi") + ((<usize>index) << 4),
    );
  }

  /** What tells its link-local addresses from those of other links: see net/wire/address.ts. */
  @inline get zone(): u32 {
    return <u32>this.index + 1;
  }

  /** The network part's length of the primary IPv4 address. */
  @inline get v4Prefix(): u32 {
    return popcnt(this.v4Mask);
  }
}

/** DNS servers kept for an interface. */
export const INTERFACE_DNS_MAX: u32 = 3;

/** RFC 1122, 3.2.1.7; the value is IANA's recommendation (RFC 1700, "IP TIME TO LIVE PARAMETER"). */
export const HOP_LIMIT: u8 = 64;

/** Packets that may wait for a device's ring before more are refused. */
export const DEVICE_QUEUE_MAX: u32 = 1024;

const ADDRESSES: u32 = 256;
const BUCKETS: u32 = 256;

const interfaces: usize = memory.data(48 * 256, 64);
const records: usize = memory.data(256 * 128, 64);
const buckets: usize = memory.data(256 * 4, 64);
let freeRecords: InterfaceAddress | null = null;
let count: u32 = 0;
let v4Count: u32 = 0;
let loopback: Interface | null = null;
/**
 * Goes up whenever an address, a gateway, a link or a neighbour's place changes: cached routes are valid for
 * one value.
 */
let changes: u32 = 1;

/** Interfaces in the table. */
@inline export function interfaceCount(): u32 {
  return count;
}

/** Interface `index`, below `interfaceCount()`. */
@inline export function interfaceAt(index: u32): Interface {
  return changetype<Interface>(interfaces + ((<usize>index) << 8));
}

/** The loopback interface, if there is one. */
@inline export function loopbackInterface(): Interface | null {
  return loopback;
}

/** IPv4 addresses of all interfaces. */
@inline export function v4AddressCount(): u32 {
  return v4Count;
}

/** A value that differs after each change of addresses, gateways, links or neighbours' places. */
@inline export function interfaceGeneration(): u32 {
  return changes;
}

/** Says that an address, a gateway, a link or a neighbour's place has changed. */
export function interfacesChanged(): void {
  changes++;
}

/** Sets up the tables. Start-up only. */
export function interfacesInit(): void {
  assert(offsetof<InterfaceAddress>() <= 128 && offsetof<Interface>() <= 256);
  for (let i: u32 = ADDRESSES; i-- > 0;) {
    const record = changetype<InterfaceAddress>(records + ((<usize>i) << 7));
    record.next = freeRecords;
    freeRecords = record;
  }
}

/** The largest IP datagram that the link carries, as far as device and operator say. */
export function linkMtu(iface: Interface): u32 {
  const device = iface.device;
  const given = iface.kind == LinkKind.Loopback ? 0 : configuredMtu(device.number);
  return given ? min<u32>(given, device.mtu) : device.mtu;
}

/** Adds the row of the device with index `interfaceCount()`. */
export function addInterface(device: Device, kind: LinkKind): Interface {
  assert(count < DEVICES_MAX && device.index == count);
  const iface = interfaceAt(count);
  iface.device = device;
  iface.index = <u8>count;
  iface.kind = kind;
  iface.mtu = linkMtu(iface);
  iface.v6Mtu = iface.mtu;
  iface.hopLimit = HOP_LIMIT;
  iface.up = device.linkUp;
  iface.linkChanges = device.linkChanges;
  count++;
  if (kind == LinkKind.Loopback) loopback = iface;
  return iface;
}


@inline function bucketOf(hi: u64, lo: u64): usize {
  return buckets + ((<usize>(addressHash(hi, lo, 0) & (BUCKETS - 1))) << 2);
}

/** The record of an address of ours, tentative ones included, or null. */
export function findAddress(hi: u64, lo: u64): InterfaceAddress | null {
  let record = changetype<InterfaceAddress | null>(load<usize>(bucketOf(hi, lo)));
  while (record !== null && (record.lo != lo || record.hi != hi)) record = record.hashNext;
  return record;
}

/** False of nearly all addresses that are not ours, without going through those that are. */
@inline export function mayBeOwn(hi: u64, lo: u64): bool {
  return load<usize>(bucketOf(hi, lo)) != 0;
}

/** Whether the address is one of ours and in use. */
export function isAssigned(hi: u64, lo: u64): bool {
  const record = findAddress(hi, lo);
  return record !== null && record.state == AddressState.Assigned;
}

/** Whether the address is one of ours, in use, or of this host alone: what a program may bind. */
export function isOwn(address: IpAddress): bool {
  if (isAssigned(address.hi, address.lo)) return true;
  return address.isV4 ? isV4Loopback(address.v4) : isV6Loopback(address.hi, address.lo);
}

/**
 * Gives `iface` an address, which is tentative until `setAssigned`. Null when the table is full or
 * an interface has the address already.
 */
export function addAddress(
  iface: Interface,
  address: IpAddress,
  prefix: u32,
  origin: AddressOrigin,
): InterfaceAddress | null {
  const record = freeRecords;
  if (record === null || findAddress(address.hi, address.lo) !== null) return null;
  freeRecords = record.next;
  memory.fill(changetype<usize>(record), 0, 128);
  record.hi = address.hi;
  record.lo = address.lo;
  if (address.isV4) v4Count++;
  record.preferredUntil = NEVER;
  record.validUntil = NEVER;
  record.iface = iface;
  record.prefix = <u8>prefix;
  record.origin = origin;
  const bucket = bucketOf(record.hi, record.lo);
  record.hashNext = changetype<InterfaceAddress | null>(load<usize>(bucket));
  store<usize>(bucket, changetype<usize>(record));
  record.next = iface.addresses;
  iface.addresses = record;
  return record;
}

/** The address is in use from now on. Stations of an IPv4 address's prefix are on the link. */
export function setAssigned(record: InterfaceAddress): void {
  record.state = AddressState.Assigned;
  if (record.address.isV4) connect(record);
  configuredRoutes(record, true);
  choosePrimary(record.iface);
  changes++;
}

/** Takes an address from its interface. */
export function removeAddress(record: InterfaceAddress): void {
  const iface = record.iface;
  record.timer.cancel();
  let link = bucketOf(record.hi, record.lo);
  while (load<usize>(link) != changetype<usize>(record)) {
    link = load<usize>(link) + offsetof<InterfaceAddress>("hashNext");
  }
  store<usize>(link, changetype<usize>(record.hashNext));
  link = changetype<usize>(iface) + offsetof<Interface>("addresses");
  while (load<usize>(link) != changetype<usize>(record)) {
    link = load<usize>(link) + offsetof<InterfaceAddress>("next");
  }
  store<usize>(link, changetype<usize>(record.next));
  record.next = freeRecords;
  freeRecords = record;
  if (record.state == AddressState.Assigned) configuredRoutes(record, false);
  if (record.address.isV4) {
    v4Count--;
    disconnect(record);
  }
  choosePrimary(iface);
  changes++;
}

function connect(record: InterfaceAddress): void {
  const origin = RouteOrigin.Connected;
  routeAdd(record.address, record.prefix, null, record.iface, 0, origin);
}

/** Unless another address of the interface is in the same prefix. */
function disconnect(record: InterfaceAddress): void {
  const iface = record.iface;
  const mask = v4Mask(record.prefix);
  let other = iface.addresses;
  while (other !== null) {
    const same = other.prefix == record.prefix && !((other.address.v4 ^ record.address.v4) & mask);
    if (same && other.address.isV4 && other.state == AddressState.Assigned) return;
    other = other.next;
  }
  routeRemove(record.address, record.prefix, null, iface, RouteOrigin.Connected);
}

/** A routable IPv4 address goes before a link-local one (RFC 3927, 1.9), a newer one before an older. */
function choosePrimary(iface: Interface): void {
  let chosen: InterfaceAddress | null = null;
  let record = iface.addresses;
  while (record !== null) {
    const usable = record.state == AddressState.Assigned && record.address.isV4;
    if (usable && (chosen === null || chosen.origin == AddressOrigin.LinkLocal)) chosen = record;
    record = record.next;
  }
  iface.v4Address = 0;
  iface.v4Mask = 0;
  iface.v4Broadcast = 0;
  if (chosen === null) return;
  const mask = v4Mask(chosen.prefix);
  iface.v4Address = chosen.address.v4;
  iface.v4Mask = mask;
  // A link of two addresses has no broadcast address (RFC 3021, 2.1).
  iface.v4Broadcast = chosen.prefix >= 31 ? 0 : iface.v4Address | ~mask;
}
