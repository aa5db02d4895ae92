import { AddressState, LinkKind, interfaceAt, interfaceCount } from "../../net/interface";
import { V6_LINK_LOCAL, isV6LinkLocal } from "../../net/wire/address";
import { WasiErrno } from "./errno";
import { Guest } from "./guest";

/** A guest's view of the interfaces: what <net/if.h> and the ioctls of netdevice(7) tell. */

/** Linux's IFF_… and ARPHRD_…. */
const UP: u32 = 1;
const HAS_BROADCAST: u32 = 2;
const LOOPBACK: u32 = 8;
const RUNNING: u32 = 0x40;
const PROMISCUOUS: u32 = 0x100;
const ALL_MULTICAST: u32 = 0x200;
const HAS_MULTICAST: u32 = 0x1000;
const TYPE_ETHERNET: u16 = 1;
const TYPE_LOOPBACK: u16 = 772;

/** The loopback's own (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3). */
const LOOPBACK_ADDRESS: u32 = 0x7f00_0001;
const LOOPBACK_MASK: u32 = 0xff00_0000;
const LOOPBACK_PREFIX: u32 = 8;
const LOOPBACK_ADDRESSES: u32 = 2;
/** Of an IPv4 address mapped into an IPv6 one, the middle (RFC 4291, 2.5.5.2). */
const MAPPED: u32 = 0xffff;

const MAC_BYTES: u32 = 6;

/** `struct skerry_interface`: IPv4 addresses are numbers of the CPU's, 0 for none; the name ends in a NUL. */
@unmanaged
class InterfaceInfo {
  private name: u64;
  private name1: u64;
  flags: u32;
  mtu: u32;
  /** The first byte first. */
  private mac: u32;
  private mac1: u16;
  type: u16;
  address: u32;
  mask: u32;
  broadcast: u32;


  @inline get macAt(): usize {
    return changetype<usize>(this) + offsetof<InterfaceInfo>("mac");
  }
}

/** `struct skerry_interface_address`. */
@unmanaged
class AddressInfo {
  hi: u64;
  lo: u64;
  private port: u16;
  private domain: u16;
  /** Of a link-local address: the interface's number. */
  zone: u32;
  /** Bits of the network part. */
  prefix: u32;
  private unused: u32;
}

/** `interface_info` (number, from 1 on; into). ENODEV for one that there is not. */
export function interfaceCall(guest: Guest, number: u32, at: u32): i32 {
  const into = guest.memory(at, offsetof<InterfaceInfo>());
  if (!into) return -WasiErrno.Fault;
  if (number - 1 >= interfaceCount()) return -WasiErrno.Nodev;
  const iface = interfaceAt(number - 1);
  const device = iface.device;
  const info = changetype<InterfaceInfo>(into);
  const loopback = iface.kind == LinkKind.Loopback;
  memory.fill(into, 0, offsetof<InterfaceInfo>());
  device.nameTo(into);
  info.flags =
    (iface.up ? UP | RUNNING : 0) |
    (loopback ? LOOPBACK : HAS_BROADCAST | HAS_MULTICAST) |
    (device.promiscuous ? PROMISCUOUS : 0) |
    (device.allMulticast ? ALL_MULTICAST : 0);
  info.mtu = iface.mtu;
  info.type = loopback ? TYPE_LOOPBACK : TYPE_ETHERNET;
  for (let i: u32 = 0; i < MAC_BYTES; i++) {
    store<u8>(info.macAt + i, <u8>(device.mac >> ((MAC_BYTES - 1 - i) << 3)));
  }
  info.address = loopback ? LOOPBACK_ADDRESS : iface.v4Address;
  info.mask = loopback ? LOOPBACK_MASK : iface.v4Mask;
  info.broadcast = iface.v4Broadcast;
  return 0;
}

/**
 * `interface_address` (number, from 1 on; index, from 0 on; into): an address that is in use. ENODEV for an interface
 * that there is not, EADDRNOTAVAIL behind its last address. Cost: `index`.
 */
export function interfaceAddressCall(guest: Guest, number: u32, index: u32, at: u32): i32 {
  const into = guest.memory(at, offsetof<AddressInfo>());
  if (!into) return -WasiErrno.Fault;
  if (number - 1 >= interfaceCount()) return -WasiErrno.Nodev;
  const iface = interfaceAt(number - 1);
  const info = changetype<AddressInfo>(into);
  if (iface.kind == LinkKind.Loopback) {
    if (index >= LOOPBACK_ADDRESSES) return -WasiErrno.Addrnotavail;
    memory.fill(into, 0, offsetof<AddressInfo>());
    info.lo = index ? 1 : ((<u64>MAPPED) << 32) | LOOPBACK_ADDRESS;
    info.prefix = index ? 128 : LOOPBACK_PREFIX;
    return 0;
  }
  let record = iface.addresses;
  let left = index;
  while (record !== null && (record.state != AddressState.Assigned || left--)) record = record.next;
  if (record === null) return -WasiErrno.Addrnotavail;
  const linkLocal = isV6LinkLocal(record.hi);
  memory.fill(into, 0, offsetof<AddressInfo>());
  info.hi = linkLocal ? V6_LINK_LOCAL : record.hi;
  info.lo = record.lo;
  info.zone = linkLocal ? number : 0;
  info.prefix = record.prefix;
  return 0;
}
