import { NAME_MAX, NICS_MAX, VIRTUALS_MAX } from "../../drivers/device";
import { parseDecimal, parseV4, parseV6, textEquals, textFind } from "../../kernel/text";
import { Interface } from "../interface";
import { VLAN_LAST } from "../wire/ethernet";
import {
  IpAddress,
  V4_BROADCAST,
  isV4Loopback,
  isV4Multicast,
  isV6LinkLocal,
  isV6Multicast,
} from "../wire/address";

/**
 * Links over links as the operator names them: the words of kernel/config.ts.
 *
 *     eth0.5=10.5.0.1/24                                  VLAN 5 of eth0
 *     eth0.100=proto=802.1ad eth0.100.5=10.6.0.1/24       VLAN 5 in a provider's VLAN 100
 *     br0=ports=eth1+eth2,10.0.0.1/24                     a bridge
 *     gre1=local=192.0.2.1,remote=198.51.100.1,key=7,10.9.0.1/30
 *     ipip1=remote=2001:db8::9,10.9.0.5/30                either family in either
 *
 * Every link has a number: a card its own, one of these a number from `NICS_MAX` on, in the order in which their
 * names are met.
 */

/** What a link is. */
export const enum VirtualKind {
  Vlan = 0,
  Bridge = 1,
  Gre = 2,
  /** IP in IP. */
  Ipip = 3,
}

/** One of them. 192 bytes. */
@unmanaged
export class Virtual {
  private localHi: u64;
  private localLo: u64;
  private remoteHi: u64;
  private remoteLo: u64;
  /** Of a bridge: its ports, a bit for each link's number. */
  ports: u64;
  name: usize;
  nameLength: u32;
  /** `VirtualKind`. */
  kind: u32;
  number: u32;
  /** Of a VLAN: the link under it, by number, and its identifier. */
  under: u32;
  id: u32;
  /** Of GRE (RFC 2890, 2.1); with `hasKey`. */
  key: u32;
  /** Of a tunnel: time to live, or hop limit, of what carries. */
  ttl: u32;
  /** Of a tunnel over IPv6: the encapsulation limit (RFC 2473, 6.6) and 1; 0 for none. */
  limit: u32;
  /** Its own word was read: it was not only named by another's. */
  given: bool;
  /** A VLAN of a provider's (802.1ad). */
  service: bool;
  hasKey: bool;
  /** GRE with sequence numbers, with checksums. */
  sequence: bool;
  checksum: bool;

  /** From here on: of net/virtual/. Its interface, null until it has one. */
  iface: Interface | null;
  /** Of a VLAN: the interface under it. */
  parent: Interface | null;
  /** Next with the same hash. */
  hashNext: Virtual | null;
  /** Of a tunnel: it leads into itself. */
  looped: bool;
  /** Sequence numbers: the next to send, and the last received, if any has been. */
  sendNext: u32;
  receivedLast: u32;
  receivedAny: bool;
  /** Its path reported an error, of which who sends next is told until then (ns). */
  error: bool;
  errorUntil: u64;


  @inline get local(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }


  @inline get remote(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Virtual>("remoteHi"));
  }


  @inline get isTunnel(): bool {
    return this.kind >= <u32>VirtualKind.Gre;
  }
}

const ROW: usize = 192;
const virtuals: usize = memory.data(15 * 192, 8);
let count: u32 = 0;
const address = changetype<IpAddress>(memory.data(16, 8));

const DOT: u32 = 0x2e;
const PLUS: u32 = 0x2b;
const EQUALS: u32 = 0x3d;
const NUMBER_MOST: u32 = 255;
const KEY_MOST: u32 = 0x7fff_ffff;
const DEFAULT_TTL: u32 = 64;

/** Links that have been named. */
@inline export function virtualCount(): u32 {
  return count;
}

/** Link `index`, below `virtualCount()`. */
@inline export function virtualAt(index: u32): Virtual {
  return changetype<Virtual>(virtuals + <usize>index * ROW);
}

/** The link with a number, or null for a card's. */
export function virtualNumbered(number: u32): Virtual | null {
  return number >= NICS_MAX && number < NICS_MAX + count ? virtualAt(number - NICS_MAX) : null;
}

/** Forgets everything. */
export function virtualClear(): void {
  assert(offsetof<Virtual>() <= ROW);
  memory.fill(virtuals, 0, VIRTUALS_MAX * <u32>ROW);
  count = 0;
}

/** Whether a bridge has the link as a port; the bridge, or null. */
export function bridgeOf(number: u32): Virtual | null {
  for (let i: u32 = 0; i < count; i++) {
    const link = virtualAt(i);
    if (link.given && link.ports & ((<u64>1) << (<u64>number))) return link;
  }
  return null;
}

/** The number of the link of a name, which is noted if it is new; -1 for what is no link's name, or one too many. */
export function linkNumber(name: usize, length: u32): i32 {
  if (length > 3 && textEquals(name, 3, "eth") && textFind(name, length, DOT) == length) {
    return parseDecimal(name + 3, length - 3, NICS_MAX - 1);
  }
  if (length > NAME_MAX) return -1;
  for (let i: u32 = 0; i < count; i++) {
    const link = virtualAt(i);
    if (link.nameLength == length && memory.compare(link.name, name, length) == 0) {
      return NICS_MAX + i;
    }
  }
  const kind = kindOf(name, length);
  let under: i32 = 0;
  let id: i32 = 0;
  if (kind == VirtualKind.Vlan) {
    let dot = length - 1;
    while (dot && load<u8>(name + dot) != DOT) dot--;
    id = parseDecimal(name + dot + 1, length - dot - 1, VLAN_LAST);
    under = dot && id > 0 ? linkNumber(name, dot) : -1;
  }
  if (kind < 0 || under < 0 || count == VIRTUALS_MAX) return -1;
  if (kind == VirtualKind.Vlan) named(under);
  const link = virtualAt(count);
  link.name = name;
  link.nameLength = length;
  link.kind = kind;
  link.number = NICS_MAX + count;
  link.under = under;
  link.id = id;
  link.ttl = DEFAULT_TTL;
  count++;
  return link.number;
}

/** Another link stands on this one: a VLAN needs to be told of no further. */
function named(number: u32): void {
  const link = virtualNumbered(number);
  if (link !== null && link.kind == VirtualKind.Vlan) link.given = true;
}

/** `VirtualKind` by the name, or -1. */
function kindOf(name: usize, length: u32): i32 {
  if (textFind(name, length, DOT) < length) return VirtualKind.Vlan;
  if (isNamed(name, length, "br")) return VirtualKind.Bridge;
  if (isNamed(name, length, "gre")) return VirtualKind.Gre;
  return isNamed(name, length, "ipip") ? VirtualKind.Ipip : -1;
}

function isNamed(name: usize, length: u32, kind: string): bool {
  const letters = <u32>kind.length;
  return (
    length > letters &&
    textEquals(name, letters, kind) &&
    parseDecimal(name + letters, length - letters, NUMBER_MOST) >= 0
  );
}

/** Takes a part of the word of link `number`, if it is for its kind: 1, 0 if it is not, -1 if it makes no sense. */
export function virtualPart(number: u32, at: usize, length: u32): i32 {
  const link = virtualNumbered(number);
  if (link === null) return 0;
  const key = textFind(at, length, EQUALS);
  const value = at + key + 1;
  const size = key < length ? length - key - 1 : 0;
  if (link.kind == VirtualKind.Vlan) {
    if (!textEquals(at, key, "proto")) return 0;
    link.service = textEquals(value, size, "802.1ad");
    return link.service || textEquals(value, size, "802.1q") ? 1 : -1;
  }
  if (link.kind == VirtualKind.Bridge) {
    if (!textEquals(at, key, "ports")) return 0;
    return readPorts(link, value, size) ? 1 : -1;
  }
  if (textEquals(at, key, "local")) return readEnd(value, size, link.local);
  if (textEquals(at, key, "remote")) return readEnd(value, size, link.remote);
  if (textEquals(at, key, "ttl")) {
    const ttl = parseDecimal(value, size, 255);
    link.ttl = ttl;
    return ttl > 0 ? 1 : -1;
  }
  if (textEquals(at, key, "encaplimit")) {
    link.limit = parseDecimal(value, size, 255) + 1;
    return link.limit ? 1 : -1;
  }
  if (link.kind != VirtualKind.Gre) return 0;
  if (textEquals(at, key, "key")) {
    // 32 bits, which some write as an address.
    const dotted = parseV4(value, size);
    const read = dotted >= 0 ? dotted : <i64>parseDecimal(value, size, KEY_MOST);
    link.key = <u32>read;
    link.hasKey = true;
    return read >= 0 ? 1 : -1;
  }
  if (textEquals(at, length, "seq")) link.sequence = true;
  else if (textEquals(at, length, "csum")) link.checksum = true;
  else return 0;
  return 1;
}

function readPorts(link: Virtual, at: usize, length: u32): bool {
  link.ports = 0;
  for (let start: u32 = 0; start <= length;) {
    const part = textFind(at + start, length - start, PLUS);
    const port = linkNumber(at + start, part);
    if (port < 0 || bridgeOf(port) !== null) return false;
    named(port);
    link.ports |= (<u64>1) << (<u64>port);
    start += part + 1;
  }
  return true;
}

/** An end of a tunnel: one host's address that more than one link knows. */
function readEnd(at: usize, length: u32, into: IpAddress): i32 {
  const v4 = parseV4(at, length);
  if (v4 >= 0) {
    const number = <u32>v4;
    if (number >>> 24 == 0 || isV4Loopback(number)) return -1;
    if (isV4Multicast(number) || number == V4_BROADCAST) return -1;
    into.setV4(number);
    return 1;
  }
  if (!parseV6(at, length, address) || address.hi >> 56 == 0) return -1;
  if (isV6Multicast(address.hi) || isV6LinkLocal(address.hi)) return -1;
  into.copy(address);
  return 1;
}

/** Whether all that a link of its kind needs was said. */
export function virtualComplete(number: u32): bool {
  const link = virtualNumbered(number);
  if (link === null) return true;
  link.given = true;
  if (link.kind == VirtualKind.Bridge) return link.ports != 0;
  if (!link.isTunnel) return true;
  // An end that is not given is unset, and so of no family.
  const remote = link.remote;
  const local = link.local;
  if (!remote.hi && !remote.lo) return false;
  if (link.limit && remote.isV4) return false;
  return (!local.hi && !local.lo) || local.isV4 == remote.isV4;
}
