/**
 * DHCP messages (RFC 2131, 2, figure 1) and options (RFC 2132).
 *
 *       0    1     2     3    4     8      10      12       16       20       24
 *     ┌────┬─────┬────┬────┬─────┬──────┬───────┬────────┬────────┬────────┬────────┐
 *     │ op │htype│hlen│hops│ xid │ secs │ flags │ ciaddr │ yiaddr │ siaddr │ giaddr │
 *     └────┴─────┴────┴────┴─────┴──────┴───────┴────────┴────────┴────────┴────────┘
 *      28            44            108           236          240
 *     ┌─────────────┬─────────────┬─────────────┬────────────┬───────────────────────
 *     │ chaddr (16) │ sname (64)  │ file (128)  │ cookie (4) │ options: code, length, value …
 *     └─────────────┴─────────────┴─────────────┴────────────┴───────────────────────
 */

/** Ports (RFC 2131, 4.1). */
export const DHCP_SERVER_PORT: u32 = 67;
export const DHCP_CLIENT_PORT: u32 = 68;

const SNAME: u32 = 44;
const FILE: u32 = 108;
const COOKIE: u32 = 236;
/** Where options begin. */
const OPTIONS: u32 = 240;
const SNAME_LENGTH: u32 = 64;
const FILE_LENGTH: u32 = 128;
/** 99.130.83.99 (RFC 2131, 3). */
const COOKIE_VALUE: u32 = 0x6382_5363;
/** Shortest message that BOOTP relays and servers take (RFC 1542, 2.1). */
const LENGTH_MIN: u32 = 300;
/** op. */
const REQUEST: u32 = 1;
const REPLY: u32 = 2;
/** htype of Ethernet. */
const ETHERNET: u32 = 1;

/** Value of the message type option (RFC 2132, 9.6). */
export const enum DhcpType {
  Discover = 1,
  Offer = 2,
  Request = 3,
  Decline = 4,
  Ack = 5,
  Nak = 6,
  Release = 7,
  Inform = 8,
}

/** Option codes, with their sections of RFC 2132. */
const enum Option {
  /** 3.1 */
  Pad = 0,
  /** 3.3 */
  SubnetMask = 1,
  /** 3.5 */
  Router = 3,
  /** 3.8 */
  DomainServer = 6,
  /** 3.14 */
  HostName = 12,
  /** 3.17 */
  DomainName = 15,
  /** 5.1 */
  InterfaceMtu = 26,
  /** 8.3 */
  TimeServers = 42,
  /** 9.1 */
  RequestedAddress = 50,
  /** 9.2 */
  LeaseTime = 51,
  /** 9.3 */
  Overload = 52,
  /** 9.6 */
  MessageType = 53,
  /** 9.7 */
  ServerIdentifier = 54,
  /** 9.8 */
  ParameterList = 55,
  /** 9.9 */
  Message = 56,
  /** 9.10 */
  MaximumSize = 57,
  /** 9.11 */
  RenewalTime = 58,
  /** 9.12 */
  RebindingTime = 59,
  /** 9.13 */
  VendorClass = 60,
  /** 9.14 */
  ClientIdentifier = 61,
  /** RFC 3397 */
  DomainSearch = 119,
  /** RFC 3442 */
  ClasslessRoutes = 121,
  /** 3.2 */
  End = 255,
}

/** Bits of the overload option's value. */
const OVERLOAD_FILE: u32 = 1;
const OVERLOAD_SNAME: u32 = 2;

/** DNS servers, and NTP servers, that are kept. */
export const DHCP_DNS_MAX: u32 = 3;
export const DHCP_NTP_MAX: u32 = 3;

/** Bytes of a search list that are kept: what one option holds, twice. */
const SEARCH_MOST: u32 = 510;
export const dhcpSearch: usize = memory.data(510);

/** The lease time that never ends (RFC 2131, 3.3). */
export const DHCP_INFINITY: u32 = 0xffff_ffff;

/** What a message says. A number is 0, a length is 0, where it does not say. */
@unmanaged
export class DhcpMessage {
  /** `DhcpType`. */
  type: u32;
  /** yiaddr: the address for the client. */
  address: u32;
  server: u32;
  mask: u32;
  router: u32;
  dnsCount: u32;
  private dns0: u32;
  private dns1: u32;
  private dns2: u32;
  ntpCount: u32;
  private ntp0: u32;
  private ntp1: u32;
  private ntp2: u32;
  /** Seconds. */
  leaseTime: u32;
  /** T1, seconds. */
  renewalTime: u32;
  /** T2, seconds. */
  rebindingTime: u32;
  mtu: u32;
  /** Text from outside, inside the message; not terminated. */
  hostname: usize;
  hostnameLength: u32;
  domain: usize;
  domainLength: u32;
  /** Why the server refused (RFC 2132, 9.9). */
  message: usize;
  messageLength: u32;
  /** Bytes of the classless routes, for `dhcpRoute`; if there are any, `router` says nothing (RFC 3442). */
  routesLength: u32;
  /** Bytes of the search list, at `dhcpSearch`: names, compressed as if a message began with them. */
  searchLength: u32;
  /** What a client says: option 50, and its identifier, in the message. */
  requested: u32;
  clientId: usize;
  clientIdLength: u32;
  /** The header of a client's message: ciaddr, giaddr, chaddr. */
  clientAddress: u32;
  relay: u32;
  xid: u32;
  flags: u32;
  mac: u64;


  @inline dns(index: u32): u32 {
    return load<u32>(
      changetype<usize>(this) + ((<usize>index) << 2),
      offsetof<DhcpMessage>("dns0"),
    );
  }


  @inline setDns(index: u32, address: u32): void {
    const at = changetype<usize>(this) + ((<usize>index) << 2);
    store<u32>(at, address, offsetof<DhcpMessage>("dns0"));
  }


  @inline ntp(index: u32): u32 {
    return load<u32>(
      changetype<usize>(this) + ((<usize>index) << 2),
      offsetof<DhcpMessage>("ntp0"),
    );
  }


  @inline setNtp(index: u32, address: u32): void {
    const at = changetype<usize>(this) + ((<usize>index) << 2);
    store<u32>(at, address, offsetof<DhcpMessage>("ntp0"));
  }
}

/**
 * Whether `length` bytes at `at` answer a request with this `xid` from this `mac` (RFC 2131, 4.4.1:
 * others are dropped); then what they say is in `into`. False too when an option runs out of its
 * field or has a length that its kind cannot have.
 */
export function dhcpParse(at: usize, length: u32, xid: u32, mac: u64, into: DhcpMessage): bool {
  if (length < OPTIONS) return false;
  if (load<u8>(at) != REPLY || load<u8>(at, 1) != ETHERNET || load<u8>(at, 2) != 6) return false;
  if (bswap(load<u32>(at, 4)) != xid || bswap(load<u64>(at, 28)) >> 16 != mac) return false;
  return parseOptions(at, length, into);
}

/**
 * Whether `length` bytes at `at` are a client's message, from Ethernet; then what they say is in `into`. False as in
 * `dhcpParse`.
 */
export function dhcpRead(at: usize, length: u32, into: DhcpMessage): bool {
  if (length < OPTIONS) return false;
  if (load<u8>(at) != REQUEST || load<u8>(at, 1) != ETHERNET || load<u8>(at, 2) != 6) return false;
  const mac = bswap(load<u64>(at, 28)) >> 16;
  if (!mac || (mac >> 40) & 1 || !parseOptions(at, length, into)) return false;
  into.xid = bswap(load<u32>(at, 4));
  into.flags = bswap(load<u16>(at, 10));
  into.clientAddress = bswap(load<u32>(at, 12));
  into.relay = bswap(load<u32>(at, 24));
  into.mac = mac;
  return true;
}

/** Reads the options of a message of `OPTIONS` bytes at least. */
function parseOptions(at: usize, length: u32, into: DhcpMessage): bool {
  if (bswap(load<u32>(at + COOKIE)) != COOKIE_VALUE) return false;
  memory.fill(changetype<usize>(into), 0, offsetof<DhcpMessage>());
  into.address = bswap(load<u32>(at, 16));
  overload = 0;
  // RFC 2131, 4.1: the options field first, then `file`, then `sname`, if an option says so.
  if (!parseField(at + OPTIONS, length - OPTIONS, into)) return false;
  const fields = overload;
  if (fields & OVERLOAD_FILE && !parseField(at + FILE, FILE_LENGTH, into)) return false;
  if (fields & OVERLOAD_SNAME && !parseField(at + SNAME, SNAME_LENGTH, into)) return false;
  return into.type != 0;
}

let overload: u32 = 0;

/** The parts of the classless routes put together (RFC 3396, 7): some eighty. */
const ROUTES_MOST: u32 = 720;
const routes: usize = memory.data(720);

/** A route of a reply. */
@unmanaged
export class DhcpRoute {
  prefix: u32;
  /** Bits of the prefix. */
  length: u32;
  /** 0: what is in the prefix is on the link. */
  router: u32;
}

/**
 * Reads the route at `offset` of those of a reply, just parsed: where the next begins, or 0 when there is none or it
 * makes no sense.
 */
export function dhcpRoute(reply: DhcpMessage, offset: u32, into: DhcpRoute): u32 {
  if (offset >= reply.routesLength) return 0;
  const bits: u32 = load<u8>(routes + offset);
  const octets = (bits + 7) >> 3;
  const end = offset + 1 + octets + 4;
  if (bits > 32 || end > reply.routesLength) return 0;
  // Only the octets that count are there.
  let prefix: u32 = 0;
  for (let i: u32 = 0; i < octets; i++) {
    prefix |= (<u32>load<u8>(routes + offset + 1 + i)) << (24 - 8 * i);
  }
  into.prefix = prefix;
  into.length = bits;
  into.router = bswap(load<u32>(routes + end - 4));
  return end;
}

function parseField(at: usize, length: u32, into: DhcpMessage): bool {
  for (let offset: u32 = 0; offset < length;) {
    const code: u32 = load<u8>(at + offset++);
    if (code == Option.Pad) continue;
    if (code == Option.End) return true;
    if (offset == length) return false;
    const size: u32 = load<u8>(at + offset++);
    if (size > length - offset) return false;
    if (!takeOption(code, at + offset, size, into)) return false;
    offset += size;
  }
  // The end option is due (RFC 2131, 4.1), but a field that is used up to the last byte ends too.
  return true;
}

/** One option's value; false when it cannot have this length. The first of its kind counts. */
function takeOption(code: u32, at: usize, size: u32, into: DhcpMessage): bool {
  switch (code) {
    case Option.SubnetMask:
      if (size != 4) return false;
      if (!into.mask) into.mask = bswap(load<u32>(at));
      return true;
    case Option.Router:
      if (size < 4 || size & 3) return false;
      if (!into.router) into.router = bswap(load<u32>(at));
      return true;
    case Option.DomainServer:
      if (size < 4 || size & 3) return false;
      for (let i: u32 = 0; i < size && into.dnsCount < DHCP_DNS_MAX; i += 4) {
        into.setDns(into.dnsCount++, bswap(load<u32>(at + i)));
      }
      return true;
    case Option.HostName:
      into.hostname = at;
      into.hostnameLength = size;
      return size >= 1;
    case Option.DomainName:
      into.domain = at;
      into.domainLength = size;
      return size >= 1;
    case Option.InterfaceMtu:
      if (size != 2) return false;
      into.mtu = bswap(load<u16>(at));
      return true;
    case Option.TimeServers:
      if (size < 4 || size & 3) return false;
      for (let i: u32 = 0; i < size && into.ntpCount < DHCP_NTP_MAX; i += 4) {
        into.setNtp(into.ntpCount++, bswap(load<u32>(at + i)));
      }
      return true;
    case Option.RequestedAddress:
      if (size != 4) return false;
      into.requested = bswap(load<u32>(at));
      return true;
    case Option.ClientIdentifier:
      into.clientId = at;
      into.clientIdLength = size;
      // RFC 2132, 9.14
      return size >= 2;
    case Option.LeaseTime:
      if (size != 4) return false;
      into.leaseTime = bswap(load<u32>(at));
      return true;
    case Option.Overload:
      if (size != 1) return false;
      overload |= load<u8>(at) & 3;
      return true;
    case Option.MessageType:
      if (size != 1) return false;
      into.type = load<u8>(at);
      return true;
    case Option.ServerIdentifier:
      if (size != 4) return false;
      into.server = bswap(load<u32>(at));
      return true;
    case Option.Message:
      into.message = at;
      into.messageLength = size;
      return size >= 1;
    case Option.RenewalTime:
      if (size != 4) return false;
      into.renewalTime = bswap(load<u32>(at));
      return true;
    case Option.RebindingTime:
      if (size != 4) return false;
      into.rebindingTime = bswap(load<u32>(at));
      return true;
    case Option.DomainSearch:
      // Pieces of one option (RFC 3396, 7); what is too long for us is as if it ended.
      if (into.searchLength + size > SEARCH_MOST) return true;
      memory.copy(dhcpSearch + into.searchLength, at, size);
      into.searchLength += size;
      return true;
    case Option.ClasslessRoutes:
      if (into.routesLength + size > ROUTES_MOST) return true;
      memory.copy(routes + into.routesLength, at, size);
      into.routesLength += size;
      return true;
    default:
      return true;
  }
}

/** What a client's message says (RFC 2131, 4.4, table 5). A number that is 0 is left out. */
@unmanaged
export class DhcpRequest {
  /** `DhcpType`. */
  type: u32;
  xid: u32;
  mac: u64;
  /** Since the client began, at most 65535. */
  seconds: u32;
  /** ciaddr: the address that the client has and answers ARP for. */
  clientAddress: u32;
  requestedAddress: u32;
  server: u32;
  /** Largest message that it takes. */
  maximumSize: u32;
  hostname: usize;
  hostnameLength: u32;
}

/** Most bytes that `dhcpBuild` writes. */
export const DHCP_BUILD_MAX: u32 = 576;


@inline function put32(at: usize, code: Option, value: u32): usize {
  store<u8>(at, code);
  store<u8>(at, 4, 1);
  store<u32>(at, bswap(value), 2);
  return at + 6;
}

/** Writes a message at `at`; returns its length. */
export function dhcpBuild(at: usize, request: DhcpRequest): u32 {
  memory.fill(at, 0, DHCP_BUILD_MAX);
  store<u8>(at, REQUEST);
  store<u8>(at, ETHERNET, 1);
  store<u8>(at, 6, 2);
  store<u32>(at, bswap(request.xid), 4);
  store<u16>(at, bswap(<u16>request.seconds), 8);
  store<u32>(at, bswap(request.clientAddress), 12);
  store<u64>(at, bswap(request.mac << 16), 28);
  store<u32>(at + COOKIE, bswap(COOKIE_VALUE));
  let end = at + OPTIONS;
  store<u8>(end, Option.MessageType);
  store<u8>(end, 1, 1);
  store<u8>(end, request.type, 2);
  end += 3;
  // RFC 2132, 9.14: hardware type and address; a server must know us again by the same bytes.
  store<u8>(end, Option.ClientIdentifier);
  store<u8>(end, 7, 1);
  store<u64>(end, bswap(request.mac << 8), 2);
  store<u8>(end, ETHERNET, 2);
  end += 9;
  store<u8>(end, 0);
  if (request.requestedAddress) {
    end = put32(end, Option.RequestedAddress, request.requestedAddress);
  }
  if (request.server) end = put32(end, Option.ServerIdentifier, request.server);
  // What follows has no place where an address is given back (RFC 2131, 4.4, table 5).
  if (request.type == DhcpType.Discover || request.type == DhcpType.Request) {
    store<u8>(end, Option.MaximumSize);
    store<u8>(end, 2, 1);
    store<u16>(end, bswap(<u16>request.maximumSize), 2);
    end += 4;
    if (request.hostnameLength) {
      store<u8>(end, Option.HostName);
      store<u8>(end, request.hostnameLength, 1);
      memory.copy(end + 2, request.hostname, request.hostnameLength);
      end += 2 + request.hostnameLength;
    }
    end = putParameterList(end);
  }
  store<u8>(end, Option.End);
  return max<u32>(<u32>(end + 1 - at), LENGTH_MIN);
}

function putParameterList(at: usize): usize {
  store<u8>(at, Option.ParameterList);
  store<u8>(at, 11, 1);
  store<u8>(at, Option.SubnetMask, 2);
  // Before the router (RFC 3442, "DHCP Client Behavior").
  store<u8>(at, Option.ClasslessRoutes, 3);
  store<u8>(at, Option.Router, 4);
  store<u8>(at, Option.DomainServer, 5);
  store<u8>(at, Option.DomainName, 6);
  store<u8>(at, Option.InterfaceMtu, 7);
  store<u8>(at, Option.LeaseTime, 8);
  store<u8>(at, Option.RenewalTime, 9);
  store<u8>(at, Option.RebindingTime, 10);
  store<u8>(at, Option.DomainSearch, 11);
  store<u8>(at, Option.TimeServers, 12);
  return at + 13;
}

/** What a server's message says (RFC 2131, 4.3.1, table 3). A number that is 0, and a list without length, is left out. */
@unmanaged
export class DhcpAnswer {
  /** `DhcpType`. */
  type: u32;
  xid: u32;
  /** chaddr. */
  mac: u64;
  flags: u32;
  clientAddress: u32;
  address: u32;
  relay: u32;
  server: u32;
  mask: u32;
  router: u32;
  leaseTime: u32;
  renewalTime: u32;
  rebindingTime: u32;
  /** Where the addresses are: u32 each. */
  dns: usize;
  dnsCount: u32;
  ntp: usize;
  ntpCount: u32;
  domain: usize;
  domainLength: u32;
  /** The client's identifier comes back as it was (RFC 6842, 3). */
  clientId: usize;
  clientIdLength: u32;
}

/** Most bytes that `dhcpAnswer` writes: what every client takes (RFC 2131, 2), a datagram of 576 bytes. */
export const DHCP_ANSWER_MAX: u32 = 548;


@inline function putIf(at: usize, code: Option, value: u32): usize {
  return value ? put32(at, code, value) : at;
}

/** Puts `count` addresses, or nothing if there are none or they do not fit before `end`. */
function putAddresses(at: usize, end: usize, code: Option, from: usize, count: u32): usize {
  if (!count || at + 2 + 4 * count > end) return at;
  store<u8>(at, code);
  store<u8>(at, 4 * count, 1);
  for (let i: u32 = 0; i < count; i++) {
    store<u32>(at + (i << 2), bswap(load<u32>(from + (i << 2))), 2);
  }
  return at + 2 + 4 * count;
}

/** The same for bytes. */
function putBytes(at: usize, end: usize, code: Option, from: usize, length: u32): usize {
  if (!length || at + 2 + length > end) return at;
  store<u8>(at, code);
  store<u8>(at, length, 1);
  memory.copy(at + 2, from, length);
  return at + 2 + length;
}

/** Writes a server's message at `at`; returns its length. What there is no room for, last of all, is left out. */
export function dhcpAnswer(at: usize, answer: DhcpAnswer): u32 {
  memory.fill(at, 0, DHCP_ANSWER_MAX);
  store<u8>(at, REPLY);
  store<u8>(at, ETHERNET, 1);
  store<u8>(at, 6, 2);
  store<u32>(at, bswap(answer.xid), 4);
  store<u16>(at, bswap(<u16>answer.flags), 10);
  store<u32>(at, bswap(answer.clientAddress), 12);
  store<u32>(at, bswap(answer.address), 16);
  store<u32>(at, bswap(answer.relay), 24);
  store<u64>(at, bswap(answer.mac << 16), 28);
  store<u32>(at + COOKIE, bswap(COOKIE_VALUE));
  // Room for the end.
  const most = at + DHCP_ANSWER_MAX - 1;
  let end = at + OPTIONS;
  store<u8>(end, Option.MessageType);
  store<u8>(end, 1, 1);
  store<u8>(end, answer.type, 2);
  end += 3;
  end = put32(end, Option.ServerIdentifier, answer.server);
  end = putIf(end, Option.LeaseTime, answer.leaseTime);
  end = putIf(end, Option.RenewalTime, answer.renewalTime);
  end = putIf(end, Option.RebindingTime, answer.rebindingTime);
  end = putIf(end, Option.SubnetMask, answer.mask);
  end = putIf(end, Option.Router, answer.router);
  end = putBytes(end, most, Option.ClientIdentifier, answer.clientId, answer.clientIdLength);
  end = putAddresses(end, most, Option.DomainServer, answer.dns, answer.dnsCount);
  end = putAddresses(end, most, Option.TimeServers, answer.ntp, answer.ntpCount);
  end = putBytes(end, most, Option.DomainName, answer.domain, answer.domainLength);
  store<u8>(end, Option.End);
  return max<u32>(<u32>(end + 1 - at), LENGTH_MIN);
}
