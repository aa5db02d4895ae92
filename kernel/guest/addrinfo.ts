import { Layout, Resolve } from "../../sdk/assembly/syscalls";
import { DnsType } from "../../net/wire/dns";
import { SocketAddress } from "../socket";
import { textFind } from "../text";
import { WasiErrno } from "./errno";
import { Guest } from "./guest";
import { lookUp, lookedUp } from "./names";
import { OVER_TCP, OVER_UDP, servicePort } from "./services";
import { scratchRoom } from "./transfer";

/**
 * WasmEdge's `sock_getaddrinfo`: `getaddrinfo` (RFC 3493, 6.1) into a list that the program has made, of nodes
 * with room for an address and a name each. Nothing is written unless the whole list is the program's own.
 */

/** `aiflags`. */
const PASSIVE: u32 = 1;
const CANONICAL_NAME: u32 = 2;
const NUMERIC_HOST: u32 = 4;
const NUMERIC_SERVICE: u32 = 8;
const V4_MAPPED: u32 = 16;
const ALL: u32 = 32;
const CONFIGURED: u32 = 64;
const FLAGS: u32 = 127;

/** `address_family`, `sock_type`, `protocol`: 0 of each is any. */
const INET4: u32 = 1;
const INET6: u32 = 2;
const DATAGRAM: u32 = 1;
const STREAM: u32 = 2;
const TCP: u32 = 1;
const UDP: u32 = 2;

/** `addrinfo`: the hints, and a node of the list. 28 bytes. */
@unmanaged
class AddressInfo {
  flags: u16;
  family: u8;
  type: u8;
  protocol: u8;
  addressLength: u32;
  /** A `sockaddr`. */
  address: u32;
  /** Room for the canonical name, and its bytes without the NUL at its end. */
  name: u32;
  nameLength: u32;
  next: u32;
}

/** `sockaddr`: the family in a byte, then how many bytes of data and where. */
const SOCKADDR: u32 = 12;
const SOCKADDR_LENGTH: u32 = 4;
const SOCKADDR_DATA: u32 = 8;
/** Linux's `struct sockaddr_in` and `sockaddr_in6`, whole and from the port on, which is what the data is. */
const SOCKADDR_IN: u32 = 16;
const SOCKADDR_IN6: u32 = 28;
const FAMILY_BYTES: u32 = 2;
/** Room for a name where a program has not said how much: what wasmedge_wasi_socket has. */
const NAME_ROOM: u32 = 30;

/** Room for any answer. */
const ANSWER_MOST: u32 = 8192;
/** Of a record of an answer (`Layout.Record`): its data's bytes, and the first byte of an address's. */
const RECORD_LENGTH: u32 = 2;
/** Of an IPv4 address mapped into an IPv6 one, the middle (RFC 4291, 2.5.5.2). */
const MAPPED: u64 = 0xffff_0000_0000;
const LOOPBACK4: u64 = 0x7f00_0001;

/** `guest.done`: how far it is. */
const SECOND_TRY: u32 = 1;

/** (node, bytes, service, bytes, hints, list, most, count), both names with or without a NUL at their end. */
export function addressInfo(guest: Guest, again: bool): WasiErrno {
  const record = guest.record;
  let nodeLength = <u32>record.argument(1);
  let serviceLength = <u32>record.argument(3);
  const node = guest.memory(<u32>record.argument(0), nodeLength);
  const service = guest.memory(<u32>record.argument(2), serviceLength);
  const hintsAt = guest.memory(<u32>record.argument(4), offsetof<AddressInfo>());
  const list = guest.memory(<u32>record.argument(5), 4);
  const most = <u32>record.argument(6);
  const count = guest.memory(<u32>record.argument(7), 4);
  if (!node || !service || !hintsAt || !list || !count) return WasiErrno.Fault;
  nodeLength = textFind(node, nodeLength, 0);
  serviceLength = textFind(service, serviceLength, 0);
  const hints = changetype<AddressInfo>(hintsAt);
  const flags = <u32>hints.flags;
  const family = <u32>hints.family;
  if (!nodeLength && !serviceLength) return WasiErrno.AiNoname;
  if (!most) return WasiErrno.AiMemory;
  if (flags & ~FLAGS || (flags & CANONICAL_NAME && !nodeLength)) return WasiErrno.AiBadflag;
  if (family > INET6) return WasiErrno.AiFamily;
  const kinds = kindsOf(hints.type, hints.protocol);
  if (!kinds) return WasiErrno.AiSocktype;
  const found = servicePort(service, serviceLength, kinds, (flags & NUMERIC_SERVICE) != 0);
  if (found < 0) return found == -1 ? WasiErrno.AiNoname : WasiErrno.AiService;

  const answer = scratchRoom();
  const length = nodeLength
    ? find(guest, node, nodeLength, flags, family, answer, again)
    : ownAddresses(answer, family, (flags & PASSIVE) != 0);
  if (length < 0) return failure(<WasiErrno>-length);
  if (guest.parked) return WasiErrno.Success;
  const first = load<u32>(list);
  let written = nodes(guest, answer, length, first, most, found, flags, family, false);
  if (written > 0) written = nodes(guest, answer, length, first, most, found, flags, family, true);
  if (written <= 0) return written ? WasiErrno.Fault : WasiErrno.AiNodata;
  store<u32>(count, written);
  return WasiErrno.Success;
}

/** What both hints allow, `OVER_…`; 0 for nothing. */
function kindsOf(type: u32, protocol: u32): u32 {
  let kinds = type == STREAM ? OVER_TCP : type == DATAGRAM ? OVER_UDP : OVER_TCP | OVER_UDP;
  if (type > STREAM || protocol > UDP) return 0;
  if (protocol == TCP) kinds &= OVER_TCP;
  if (protocol == UDP) kinds &= OVER_UDP;
  return kinds;
}

/** What a lookup's failure is here. */
function failure(error: WasiErrno): WasiErrno {
  switch (<u32>error) {
    case WasiErrno.Acces:
    case WasiErrno.Nosys:
      return error;
    case WasiErrno.Noent:
    case WasiErrno.Inval:
      return WasiErrno.AiNoname;
    default:
      return WasiErrno.AiAgain;
  }
}

/** Looks a name up, with IPv4's addresses where there are none of IPv6 if that is asked for: bytes of `answer`. */
function find(
  guest: Guest,
  node: usize,
  length: u32,
  flags: u32,
  family: u32,
  answer: usize,
  again: bool,
): i32 {
  let what: u32 = 0;
  if (flags & NUMERIC_HOST) what |= Resolve.Numeric;
  if (flags & CONFIGURED) what |= Resolve.Configured;
  const mapped = family == INET6 && (flags & V4_MAPPED) != 0;
  const both = !family || (mapped && (flags & ALL) != 0);
  if (!again) {
    guest.done = 0;
    const families = both ? 0 : family == INET4 ? Resolve.V4 : Resolve.V6;
    const begun = lookUp(guest, node, length, what | families);
    if (begun < 0 && (begun != -WasiErrno.Noent || !mapped || both)) return begun;
    if (begun < 0) return retry(guest, node, length, what, answer);
  }
  const got = lookedUp(guest, answer, ANSWER_MOST);
  if (guest.parked || !mapped || both || guest.done == SECOND_TRY) return got;
  const none = got == -WasiErrno.Noent || (got >= 0 && !addressAfter(answer, answer + got));
  return none ? retry(guest, node, length, what, answer) : got;
}

/** Asks for IPv4's addresses after all. */
function retry(guest: Guest, node: usize, length: u32, what: u32, answer: usize): i32 {
  guest.done = SECOND_TRY;
  const begun = lookUp(guest, node, length, what | Resolve.V4);
  return begun < 0 ? begun : lookedUp(guest, answer, ANSWER_MOST);
}

/** The addresses of who names no node, in the form of an answer: any of this machine, or the loopback's. */
function ownAddresses(answer: usize, family: u32, passive: bool): i32 {
  let end = answer;
  if (family != INET6) end = ownAddress(end, DnsType.A, MAPPED | (passive ? 0 : LOOPBACK4));
  if (family != INET4) end = ownAddress(end, DnsType.AAAA, passive ? 0 : 1);
  return <i32>(end - answer);
}

function ownAddress(at: usize, type: u32, lo: u64): usize {
  memory.fill(at, 0, Layout.Record + Layout.Address);
  store<u16>(at, <u16>type);
  store<u16>(at, <u16>Layout.Address, RECORD_LENGTH);
  changetype<SocketAddress>(at + Layout.Record).lo = lo;
  return at + Layout.Record + Layout.Address;
}

/** The first record with an address from `at` on, or 0. */
function addressAfter(at: usize, end: usize): usize {
  while (at < end) {
    const type = <u32>load<u16>(at);
    if (type == <u32>DnsType.A || type == <u32>DnsType.AAAA) return at;
    at = recordAfter(at);
  }
  return 0;
}


@inline function recordAfter(at: usize): usize {
  return at + Layout.Record + ((<usize>load<u16>(at, RECORD_LENGTH) + 7) & ~7);
}

/**
 * Goes through the addresses of an answer and the list beside it, and writes if `write`: how many nodes, `most`
 * at most; -1 if one of them is not all the guest's own. `found`: the port and above it the kinds of sockets.
 */
function nodes(
  guest: Guest,
  answer: usize,
  length: u32,
  first: u32,
  most: u32,
  found: u32,
  flags: u32,
  family: u32,
  write: bool,
): i32 {
  const end = answer + length;
  let next = first;
  let written: u32 = 0;
  for (let at = addressAfter(answer, end); at; at = addressAfter(recordAfter(at), end)) {
    const address = changetype<SocketAddress>(at + Layout.Record);
    const v4 = family != INET6 && !address.hi && address.lo >> 32 == MAPPED >> 32;
    for (let kind = OVER_TCP; kind <= OVER_UDP; kind <<= 1) {
      if (!((found >> 16) & kind) || written == most) continue;
      const infoAt = guest.memory(next, offsetof<AddressInfo>());
      if (!infoAt) return -1;
      const info = changetype<AddressInfo>(infoAt);
      next = info.next;
      const data = (v4 ? SOCKADDR_IN : SOCKADDR_IN6) - FAMILY_BYTES;
      const to = guest.memory(info.address, SOCKADDR);
      const bytes = to ? guest.memory(load<u32>(to, SOCKADDR_DATA), data) : 0;
      if (!bytes) return -1;
      const named = !written && flags & CANONICAL_NAME;
      const room = named ? (info.nameLength ? info.nameLength : NAME_ROOM) : 0;
      const name = guest.memory(info.name, room);
      if (!name) return -1;
      written++;
      if (!write) continue;
      info.flags = <u16>flags;
      info.family = <u8>(v4 ? INET4 : INET6);
      info.type = <u8>(kind == OVER_TCP ? STREAM : DATAGRAM);
      info.protocol = <u8>(kind == OVER_TCP ? TCP : UDP);
      info.addressLength = data + FAMILY_BYTES;
      info.nameLength = room ? nameOut(answer, name, room) : 0;
      store<u8>(to, <u8>(v4 ? INET4 : INET6));
      store<u32>(to, data, SOCKADDR_LENGTH);
      addressOut(address, bytes, data, v4, found);
    }
  }
  return written;
}

/** Writes an address as Linux has it, from its port on: of IPv6's with flow label 0 and its scope. */
function addressOut(address: SocketAddress, to: usize, length: u32, v4: bool, port: u32): void {
  memory.fill(to, 0, length);
  store<u16>(to, bswap<u16>(<u16>port));
  if (v4) {
    store<u32>(to, bswap<u32>(<u32>address.lo), 2);
    return;
  }
  store<u64>(to, bswap<u64>(address.hi), 6);
  store<u64>(to, bswap<u64>(address.lo), 14);
  store<u32>(to, address.zone, 22);
}

/** Writes the name in full that an answer begins with, and a NUL: its bytes; 0 if there is no room for it. */
function nameOut(answer: usize, to: usize, room: u32): u32 {
  const length = <u32>load<u16>(answer, RECORD_LENGTH);
  if (length >= room) return 0;
  memory.copy(to, answer + Layout.Record, length);
  store<u8>(to + length, 0);
  return length;
}
