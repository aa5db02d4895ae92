import { IpAddress, V6_LINK_LOCAL, isV6Multicast, v6Load, v6Store } from "./address";

/**
 * DHCPv6 messages between client and server (RFC 8415, 8) and options (21).
 *
 *      0      1                4                 0      2        4
 *     ┌──────┬────────────────┬───────── … ──┐  ┌──────┬────────┬──────── … ─┐
 *     │ type │ transaction-id │ options      │  │ code │ length │ value      │
 *     └──────┴────────────────┴───────── … ──┘  └──────┴────────┴──────── … ─┘
 */

/** Ports (7.2), and the low half of ff02::1:2, servers and relays of the link (7.1). */
export const DHCPV6_CLIENT_PORT: u32 = 546;
export const DHCPV6_SERVER_PORT: u32 = 547;
export const DHCPV6_SERVERS: u64 = 0x0001_0002;

/** 7.3 */
export const enum Dhcpv6Type {
  None = 0,
  Solicit = 1,
  Advertise = 2,
  Request = 3,
  Confirm = 4,
  Renew = 5,
  Rebind = 6,
  Reply = 7,
  Release = 8,
  Decline = 9,
  InformationRequest = 11,
}

/** Option codes, with their sections of RFC 8415. */
const enum Option {
  /** 21.2 */
  ClientIdentifier = 1,
  /** 21.3 */
  ServerIdentifier = 2,
  /** 21.4 */
  NonTemporary = 3,
  /** 21.6 */
  Address = 5,
  /** 21.7 */
  Request = 6,
  /** 21.8 */
  Preference = 7,
  /** 21.9 */
  ElapsedTime = 8,
  /** 21.13 */
  Status = 13,
  /** 21.14 */
  RapidCommit = 14,
  /** RFC 3646, 3 */
  DnsServers = 23,
  /** RFC 3646, 4 */
  DomainList = 24,
  /** 21.23 */
  RefreshTime = 32,
  /** 21.24 */
  SolicitMost = 82,
  /** 21.25 */
  InformationMost = 83,
}

/** 21.13 */
export const enum Dhcpv6Status {
  Success = 0,
  Unspecified = 1,
  NoAddresses = 2,
  NoBinding = 3,
  NotOnLink = 4,
  UseMulticast = 5,
}

const HEADER: u32 = 4;
const OPTION_HEADER: u32 = 4;
/** A DUID: two octets of type, and 128 at most (11.1). */
const DUID_MOST: u32 = 130;
/** DUID-LL (11.4) of an Ethernet address. */
export const DUID_LL_BYTES: i32 = 10;
const IA_HEADER: u32 = 12;
const ADDRESS_BYTES: u32 = 24;
/** What SOL_MAX_RT and INF_MAX_RT may be, seconds (21.24). */
const MOST_LEAST: u32 = 60;
const MOST_MOST: u32 = 86400;

/** 7.7 */
export const DHCPV6_INFINITY: u32 = 0xffff_ffff;
/** Addresses of an association, and DNS servers, that are kept. */
export const DHCPV6_ADDRESSES: u32 = 4;
export const DHCPV6_DNS_MAX: u32 = 3;

/** An address that a server gives. 24 bytes. */
@unmanaged
export class Dhcpv6Address {
  hi: u64;
  lo: u64;
  /** Seconds. */
  preferred: u32;
  valid: u32;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }
}

/** What a server's message says. What points into it is good as long as it is. */
@unmanaged
export class Dhcpv6Reply {
  private given0: u64;
  private given1: u64;
  private given2: u64;
  private given3: u64;
  private given4: u64;
  private given5: u64;
  private given6: u64;
  private given7: u64;
  private given8: u64;
  private given9: u64;
  private given10: u64;
  private given11: u64;
  private dns0: u64;
  private dns1: u64;
  private dns2: u64;
  private dns3: u64;
  private dns4: u64;
  private dns5: u64;
  /** `Dhcpv6Type`. */
  type: u32;
  server: usize;
  serverLength: u32;
  preference: u32;
  /** `Dhcpv6Status` of the whole, and of the association. */
  status: u32;
  associationStatus: u32;
  /** The server's words about the status, UTF-8. */
  message: usize;
  messageLength: u32;
  /** T1 and T2 of the association, seconds; 0: as the client likes. */
  renewal: u32;
  rebinding: u32;
  addressCount: u32;
  dnsCount: u32;
  /** Names, uncompressed. */
  search: usize;
  searchLength: u32;
  /** Seconds; 0 where nothing, or nothing that is allowed, is said. */
  refresh: u32;
  solicitMost: u32;
  informationMost: u32;
  /** It names the client's association. */
  hasAssociation: bool;
  hasRefresh: bool;
  isRapid: bool;

  /** Address `index`, below `addressCount`. */
  @inline address(index: u32): Dhcpv6Address {
    return changetype<Dhcpv6Address>(changetype<usize>(this) + index * ADDRESS_BYTES);
  }

  /** DNS server `index`, below `dnsCount`. */
  @inline dns(index: u32): IpAddress {
    const at = changetype<usize>(this) + offsetof<Dhcpv6Reply>("dns0");
    return changetype<IpAddress>(at + ((<usize>index) << 4));
  }
}


@inline function get16(at: usize): u32 {
  return bswap(load<u16>(at));
}


@inline function get32(at: usize): u32 {
  return bswap(load<u32>(at));
}

/** Whether the options in `length` bytes at `at` fill them. */
function isWhole(at: usize, length: u32): bool {
  while (length >= OPTION_HEADER) {
    const bytes = OPTION_HEADER + get16(at + 2);
    if (bytes > length) return false;
    at += bytes;
    length -= bytes;
  }
  return !length;
}

/**
 * Whether `length` bytes at `at`, come by a link of `zone`, are a server's answer (16.3, 16.10) to transaction `xid`
 * of the client whose DUID-LL is at `duid`; then what they say, of association `iaid`, is in `into`. False too
 * when an option is longer than what holds it.
 */
export function dhcpv6Parse(
  at: usize,
  length: u32,
  zone: u32,
  xid: u32,
  duid: usize,
  iaid: u32,
  into: Dhcpv6Reply,
): bool {
  if (length < HEADER || !isWhole(at + HEADER, length - HEADER)) return false;
  const first = get32(at);
  if ((first & 0xff_ffff) != xid) return false;
  memory.fill(changetype<usize>(into), 0, offsetof<Dhcpv6Reply>());
  into.type = first >>> 24;
  if (into.type != Dhcpv6Type.Advertise && into.type != Dhcpv6Type.Reply) return false;
  let forUs = false;
  for (let next = at + HEADER, end = at + length; next < end;) {
    const bytes = get16(next + 2);
    const value = next + OPTION_HEADER;
    if (get16(next) == Option.ClientIdentifier) {
      forUs = bytes == DUID_LL_BYTES && !memory.compare(value, duid, bytes);
      if (!forUs) return false;
    } else if (!takeOption(get16(next), value, bytes, zone, iaid, into)) return false;
    next = value + bytes;
  }
  return forUs && into.serverLength != 0;
}

/** One option of the message; false when its kind cannot have this length. */
function takeOption(
  code: u32,
  at: usize,
  length: u32,
  zone: u32,
  iaid: u32,
  into: Dhcpv6Reply,
): bool {
  switch (code) {
    case Option.ServerIdentifier:
      into.server = at;
      into.serverLength = length;
      return length > 2 && length <= DUID_MOST;
    case Option.NonTemporary:
      if (length < IA_HEADER || !isWhole(at + IA_HEADER, length - IA_HEADER)) return false;
      if (get32(at) == iaid && !into.hasAssociation) takeAssociation(at, length, into);
      return true;
    case Option.Preference:
      if (length != 1) return false;
      into.preference = load<u8>(at);
      return true;
    case Option.Status:
      if (length < 2) return false;
      into.status = get16(at);
      noteMessage(at, length, into);
      return true;
    case Option.RapidCommit:
      into.isRapid = true;
      return !length;
    case Option.DnsServers:
      if (!length || length & 15) return false;
      for (let i: u32 = 0; i < length && into.dnsCount < DHCPV6_DNS_MAX; i += 16) {
        const server = into.dns(into.dnsCount);
        v6Load(server, at + i, zone);
        if (server.hi >> 56 != 0 && !isV6Multicast(server.hi)) into.dnsCount++;
      }
      return true;
    case Option.DomainList:
      into.search = at;
      into.searchLength = length;
      return true;
    case Option.RefreshTime:
      if (length != 4) return false;
      into.refresh = get32(at);
      into.hasRefresh = true;
      return true;
    case Option.SolicitMost:
      if (length != 4) return false;
      into.solicitMost = bounded(get32(at));
      return true;
    case Option.InformationMost:
      if (length != 4) return false;
      into.informationMost = bounded(get32(at));
      return true;
    default:
      return true;
  }
}

function bounded(seconds: u32): u32 {
  return seconds >= MOST_LEAST && seconds <= MOST_MOST ? seconds : 0;
}

function noteMessage(at: usize, length: u32, into: Dhcpv6Reply): void {
  if (!get16(at)) return;
  into.message = at + 2;
  into.messageLength = length - 2;
}

/** An IA_NA whose options are whole. One whose T2 comes before its T1 is as if it were not there (21.4). */
function takeAssociation(at: usize, length: u32, into: Dhcpv6Reply): void {
  const renewal = get32(at + 4);
  const rebinding = get32(at + 8);
  if (renewal && rebinding && renewal > rebinding) return;
  into.hasAssociation = true;
  into.renewal = renewal;
  into.rebinding = rebinding;
  for (let next = at + IA_HEADER, end = at + length; next < end;) {
    const bytes = get16(next + 2);
    const value = next + OPTION_HEADER;
    const code = get16(next);
    if (code == Option.Address) takeAddress(value, bytes, into);
    else if (code == Option.Status && bytes >= 2) {
      into.associationStatus = get16(value);
      noteMessage(value, bytes, into);
    }
    next = value + bytes;
  }
}

/** Unless no host can have it, or it is preferred for longer than it is valid (21.6). */
function takeAddress(at: usize, length: u32, into: Dhcpv6Reply): void {
  if (length < ADDRESS_BYTES || into.addressCount == DHCPV6_ADDRESSES) return;
  const given = into.address(into.addressCount);
  v6Load(given.address, at, 0);
  given.preferred = get32(at + 16);
  given.valid = get32(at + 20);
  const hi = given.hi;
  if (hi >> 56 == 0 || isV6Multicast(hi) || hi >> 54 == V6_LINK_LOCAL >> 54) return;
  if (given.preferred <= given.valid) into.addressCount++;
}

/** What a client's message says (18.2). */
@unmanaged
export class Dhcpv6Message {
  /** `Dhcpv6Type`. */
  type: u32;
  /** 24 bits. */
  xid: u32;
  /** The client's, `DUID_LL_BYTES`. */
  duid: usize;
  /** The server that it is for; length 0 for all. */
  server: usize;
  serverLength: u32;
  /** Since the exchange began, hundredths of a second. */
  elapsed: u32;
  iaid: u32;
  /** Addresses of the association: where the `IpAddress`es are, one behind the other. */
  addresses: usize;
  addressCount: u32;
}

/** Most bytes that `dhcpv6Build` writes. */
export const DHCPV6_BUILD_MAX: u32 = 512;

/** Writes a DUID-LL of an Ethernet address (11.4): `DUID_LL_BYTES` at `at`. */
export function duidBuild(at: usize, mac: u64): void {
  store<u32>(at, bswap<u32>(0x0003_0001));
  store<u32>(at, bswap(<u32>(mac >> 16)), 4);
  store<u16>(at, bswap(<u16>mac), 8);
}

function put(at: usize, code: Option, length: u32): usize {
  store<u32>(at, bswap<u32>((code << 16) | length));
  return at + OPTION_HEADER;
}

/** Writes a message at `at`; returns its length. */
export function dhcpv6Build(at: usize, message: Dhcpv6Message): u32 {
  const type = message.type;
  store<u32>(at, bswap<u32>((type << 24) | message.xid));
  let end = put(at + HEADER, Option.ClientIdentifier, DUID_LL_BYTES);
  memory.copy(end, message.duid, DUID_LL_BYTES);
  end += DUID_LL_BYTES;
  if (message.serverLength) {
    end = put(end, Option.ServerIdentifier, message.serverLength);
    memory.copy(end, message.server, message.serverLength);
    end += message.serverLength;
  }
  end = put(end, Option.ElapsedTime, 2);
  store<u16>(end, bswap(<u16>message.elapsed));
  end += 2;
  if (type == Dhcpv6Type.Solicit) end = put(end, Option.RapidCommit, 0);
  if (type != Dhcpv6Type.InformationRequest) end = putAssociation(end, message);
  // What is given back or only confirmed asks for nothing.
  if (type != Dhcpv6Type.Confirm && type != Dhcpv6Type.Decline && type != Dhcpv6Type.Release) {
    end = putWishes(end, type == Dhcpv6Type.InformationRequest);
  }
  return <u32>(end - at);
}

function putAssociation(at: usize, message: Dhcpv6Message): usize {
  const count = message.addressCount;
  at = put(at, Option.NonTemporary, IA_HEADER + count * (OPTION_HEADER + ADDRESS_BYTES));
  store<u32>(at, bswap(message.iaid));
  // T1, T2 and lifetimes say nothing from a client (21.4, 21.6).
  store<u64>(at, 0, 4);
  at += IA_HEADER;
  for (let i: u32 = 0; i < count; i++) {
    const address = changetype<IpAddress>(message.addresses + ((<usize>i) << 4));
    at = put(at, Option.Address, ADDRESS_BYTES);
    v6Store(at, address.hi, address.lo);
    store<u64>(at, 0, 16);
    at += ADDRESS_BYTES;
  }
  return at;
}

/** The refresh time belongs to information alone (21.23). */
function putWishes(at: usize, information: bool): usize {
  at = put(at, Option.Request, information ? 8 : 6);
  store<u16>(at, bswap(<u16>Option.DnsServers));
  store<u16>(at, bswap(<u16>Option.DomainList), 2);
  if (!information) {
    store<u16>(at, bswap(<u16>Option.SolicitMost), 4);
    return at + 6;
  }
  store<u16>(at, bswap(<u16>Option.RefreshTime), 4);
  store<u16>(at, bswap(<u16>Option.InformationMost), 6);
  return at + 8;
}
