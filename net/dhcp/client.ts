import { now } from "../../kernel/clock";
import { config } from "../../kernel/config";
import { NAMES } from "../../kernel/features";
import { Line, info, warn } from "../../kernel/log";
import { HEADROOM, Packet, PacketFlag, PoolId, Purpose, allocate } from "../../kernel/packet";
import { panic } from "../../kernel/panic";
import { random32, randomBelow } from "../../kernel/random";
import { MILLISECOND, NEVER, SECOND, Timer } from "../../kernel/timer";
import {
  AddressOrigin,
  INTERFACE_DNS_MAX,
  Interface,
  InterfaceAddress,
  addAddress,
  interfaceAt,
  interfaceCount,
  interfacesChanged,
  linkMtu,
  removeAddress,
} from "../interface";
import { DEFAULT_TTL, ipBroadcast, ipSend } from "../ip/output";
import { Claim, claimAddress } from "../link/conflict";
import { SearchSource, searchForget, searchLearn, searchLearnText } from "../dns/search";
import { Udp, udpBind, udpOpen } from "../udp/udp";
import { IpAddress, V4_BROADCAST, isV4Loopback, isV4Multicast } from "../wire/address";
import { pseudoHeaderSum } from "../wire/checksum";
import {
  DHCP_BUILD_MAX,
  DHCP_CLIENT_PORT,
  DHCP_INFINITY,
  DHCP_NTP_MAX,
  DHCP_SERVER_PORT,
  DhcpMessage,
  DhcpRequest,
  DhcpRoute,
  DhcpType,
  dhcpBuild,
  dhcpParse,
  dhcpSearch,
  dhcpRoute,
} from "../wire/dhcp";
import { METRIC, RouteOrigin, defaultAdd, routeAdd, routesRemove } from "../route/table";
import { fallbackStart, fallbackStop } from "./fallback";
import { IPV4_HEADER, Protocol } from "../wire/ipv4";
import { UDP_CHECKSUM_OFFSET, UDP_HEADER, udpBuild } from "../wire/udp";
import { dhcpStats } from "./stats";

/**
 * The DHCP client (RFC 2131, 4.4, figure 5), one for each interface.
 *
 *     Init ──► Selecting ── offer ──► Requesting ── ack ──► Bound ── T1 ──► Renewing ── T2 ──► Rebinding
 *      ▲                                  │                  ▲                 │ ack              │ ack
 *      │◄───────── nak, silence ──────────┘                  └─────────────────┴──────────────────┘
 *      │◄── nak ── Rebooting ◄── link back with a lease in force                     expiry, nak: Init
 *
 * The first offer is taken: to wait for others would slow every start for a choice that nobody
 * configures. For the same reason the first message goes out without the random delay of 4.4.1.
 * While nobody answers, the interface gets a link-local address and the client goes on asking.
 *
 * INIT-REBOOT (3.2) is for a link that comes back; after a start there is nothing to reboot with, for an image keeps
 * nothing. Servers give a station the same address again all the same, by its identifier (2132, 9.14).
 */
const enum State {
  /** No link. */
  Stopped = 0,
  /** Waits before it begins anew. */
  Init = 1,
  Selecting = 2,
  Requesting = 3,
  Bound = 4,
  Renewing = 5,
  Rebinding = 6,
  /** Asks whether its lease is good on the network that it finds itself on (RFC 2131, 4.4.2). */
  Rebooting = 7,
}

/** Retransmission (RFC 2131, 4.1): 4, 8, … 64 s, each a second more or less. */
const RETRY_FIRST: u64 = 4 * SECOND;
const RETRY_MOST: u64 = 64 * SECOND;
/** Requests that go unanswered before the client begins anew (RFC 2131, 3.1, 5). */
const REQUESTS_MAX: u32 = 4;
/** Requests that go unanswered before a lease in force is simply used on (RFC 2131, 3.2, 4). */
const REBOOTS_MAX: u32 = 2;
/** Discovers that go unanswered before the interface gets the address of fallback.ts. */
const DISCOVERS_BEFORE_FALLBACK: u32 = 2;
/** Refusals in a row before it gets one. */
const NAKS_BEFORE_FALLBACK: u32 = 3;
/** After a declined address (RFC 2131, 3.1, 5). */
const DECLINE_WAIT: u64 = 10 * SECOND;
/** Between two renewals (RFC 2131, 4.4.5). */
const RENEW_MIN: u64 = 60 * SECOND;
/** Smallest MTU that a server may set (RFC 2132, 5.1). */
const MTU_MIN: u32 = 68;

/** 128 bytes. */
@unmanaged
class Client {
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  /** When it began to ask: for the field `secs`. */
  startedAt: u64;
  /** Ends of the lease's parts: `host.monotonic` ns. */
  renewAt: u64;
  rebindAt: u64;
  expiresAt: u64;
  iface: Interface;
  /** The address in use, if there is one. */
  record: InterfaceAddress | null;
  state: i32;
  /** Messages sent in this state. */
  attempts: u32;
  xid: u32;
  /** `secs` of the discover, which the request repeats (RFC 2131, 4.4.1). */
  seconds: u32;
  /** Offered or leased address, and by whom. */
  address: u32;
  server: u32;
  /** Refusals in a row. */
  naks: u32;
  ntpCount: u32;
  private ntp0: u32;
  private ntp1: u32;
  private ntp2: u32;


  @inline ntp(index: u32): u32 {
    return load<u32>(changetype<usize>(this) + ((<usize>index) << 2), offsetof<Client>("ntp0"));
  }


  @inline setNtp(index: u32, address: u32): void {
    store<u32>(changetype<usize>(this) + (index << 2), address, offsetof<Client>("ntp0"));
  }


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this));
  }
}

const clients: usize = memory.data(48 * 128, 8);
const reply = changetype<DhcpMessage>(memory.data(offsetof<DhcpMessage>(), 8));
const request = changetype<DhcpRequest>(memory.data(offsetof<DhcpRequest>(), 8));
const local = changetype<IpAddress>(memory.data(16, 8));
const remote = changetype<IpAddress>(memory.data(16, 8));
let endpoint: Udp | null = null;


@inline function clientOf(iface: Interface): Client {
  return changetype<Client>(clients + ((<usize>iface.index) << 7));
}

/** `eth0`, then words. */
function say(line: Line, client: Client): Line {
  return client.iface.device.nameIn(line).text(": ");
}

/** Starts a client for `iface`. Once for each. */
export function dhcpStart(iface: Interface): void {
  assert(offsetof<Client>() <= 128);
  if (endpoint === null) openEndpoint();
  const client = clientOf(iface);
  client.iface = iface;
  client.timer.init(advance, changetype<usize>(client));
  if (iface.up) discover(client);
}

function openEndpoint(): void {
  const u = udpOpen();
  local.set(0, 0);
  if (u === null || udpBind(u, local, DHCP_CLIENT_PORT) != 0) return panic("no endpoint for DHCP");
  u.handler = input.index;
  endpoint = u;
}

/** The link has come or gone. Without effect on an interface that has no client. */
export function dhcpLinkChanged(iface: Interface): void {
  const client = clientOf(iface);
  if (!client.timer.callback) return;
  if (!iface.up) {
    client.timer.cancel();
    client.state = State.Stopped;
    fallbackStop(iface);
    return;
  }
  if (client.state != State.Stopped) return;
  if (client.record !== null && now() < client.expiresAt) return reboot(client);
  release(client);
  discover(client);
}

/** The NTP server that a server told of (RFC 2132, 8.3) in place `index`; 0 without one. For programs: there is no client. */
export function dhcpNtp(iface: Interface, index: u32): u32 {
  const client = clientOf(iface);
  return index < client.ntpCount ? client.ntp(index) : 0;
}

/** Writes the NTP servers of all interfaces, an `IpAddress` each, into `length` bytes at `into`: how many bytes. */
export function dhcpNtpList(into: usize, length: u32): u32 {
  let written: u32 = 0;
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    for (let j: u32 = 0; j < DHCP_NTP_MAX && length - written >= 16; j++) {
      const server = dhcpNtp(interfaceAt(i), j);
      if (!server) break;
      changetype<IpAddress>(into + written).setV4(server);
      written += 16;
    }
  }
  return written;
}

/** Gives the lease back, for the machine is about to end (RFC 2131, 4.4.6). Whether there was one. */
export function dhcpRelease(iface: Interface): bool {
  const client = clientOf(iface);
  const state = client.state;
  if (client.record === null || !iface.up || state < State.Bound || state > State.Rebinding) {
    return false;
  }
  client.xid = random32();
  send(client, DhcpType.Release);
  client.timer.cancel();
  client.state = State.Stopped;
  return true;
}

// ---- States --------------------------------------------------------------------------------

function enter(client: Client, state: State): void {
  client.state = state;
  client.attempts = 0;
}

/** Arms the timer for the next retransmission (RFC 2131, 4.1). */
function armRetry(client: Client): void {
  const wait = min<u64>(RETRY_FIRST << (client.attempts - 1), RETRY_MOST);
  const spread = <u64>randomBelow(2001) * MILLISECOND;
  client.timer.arm(now() + wait + spread - SECOND);
}

/** Begins anew after `wait`. */
function restart(client: Client, wait: u64): void {
  release(client);
  enter(client, State.Init);
  client.timer.arm(now() + wait);
}

function discover(client: Client): void {
  enter(client, State.Selecting);
  client.xid = random32();
  client.startedAt = now();
  client.address = 0;
  client.server = 0;
  // Until we have an address the server's answer may come to the one that it offers.
  client.iface.acceptAny = true;
  sendDiscover(client);
}

function sendDiscover(client: Client): void {
  client.attempts++;
  client.seconds = secondsSince(client);
  send(client, DhcpType.Discover);
  armRetry(client);
}

function sendRequest(client: Client): void {
  client.attempts++;
  send(client, DhcpType.Request);
  armRetry(client);
}

/** RFC 2131, 4.4.2. The address stays in use meanwhile: a cable pulled for a second breaks nothing. */
function reboot(client: Client): void {
  enter(client, State.Rebooting);
  client.xid = random32();
  client.startedAt = now();
  client.seconds = 0;
  sendRequest(client);
}

/** RFC 2131, 4.4.5: asks the server that gave the lease, then all, ever nearer to the end. */
function renew(client: Client, time: u64): void {
  client.attempts++;
  client.seconds = secondsSince(client);
  send(client, DhcpType.Request);
  const end = client.state == State.Renewing ? client.rebindAt : client.expiresAt;
  if (end == NEVER) return client.timer.arm(time + RENEW_MIN);
  client.timer.arm(min<u64>(end, time + max<u64>((end - time) >> 1, RENEW_MIN)));
}

function advance(context: usize, time: u64): void {
  const client = changetype<Client>(context);
  switch (client.state) {
    case State.Init:
      return discover(client);
    case State.Selecting:
      if (client.attempts == DISCOVERS_BEFORE_FALLBACK) fallBack(client);
      return sendDiscover(client);
    case State.Requesting:
      if (client.attempts < REQUESTS_MAX) return sendRequest(client);
      say(warn("dhcp"), client)
        .text("the server that offered an address does not answer; falling back, asking anew")
        .key("server")
        .ipv4(client.server)
        .key("address")
        .ipv4(client.address)
        .key("requests")
        .number(client.attempts)
        .end();
      fallbackStart(client.iface);
      return restart(client, SECOND);
    case State.Rebooting:
      if (time >= client.expiresAt) return expire(client);
      if (client.attempts < REBOOTS_MAX) return sendRequest(client);
      say(warn("dhcp"), client)
        .text("no server confirms the lease; using it until it ends")
        .key("address")
        .ipv4(client.address)
        .key("requests")
        .number(client.attempts)
        .end();
      enter(client, State.Bound);
      return client.timer.arm(max<u64>(client.renewAt, time + RENEW_MIN));
    case State.Bound:
    case State.Renewing:
    case State.Rebinding:
      return extend(client, time);
  }
}

/** T1, T2 or the end of the lease has come, or the time to ask again between them. */
function extend(client: Client, time: u64): void {
  if (time >= client.expiresAt) return expire(client);
  if (time >= client.rebindAt) {
    if (client.state != State.Rebinding) {
      say(warn("dhcp"), client)
        .text("the server does not renew the lease; asking all servers")
        .key("server")
        .ipv4(client.server)
        .key("address")
        .ipv4(client.address)
        .end();
      enter(client, State.Rebinding);
    }
  } else if (client.state == State.Bound) {
    enter(client, State.Renewing);
    client.xid = random32();
    client.startedAt = time;
  }
  renew(client, time);
}

function expire(client: Client): void {
  dhcpStats.expired++;
  say(warn("dhcp"), client)
    .text("the lease ended before a server renewed it; address given up, asking anew")
    .key("address")
    .ipv4(client.address)
    .end();
  restart(client, 0);
}

/** Takes the leased address from the interface (RFC 2131, 4.4.5: at once, with its connections). */
function release(client: Client): void {
  const iface = client.iface;
  const record = client.record;
  client.record = null;
  if (record === null) return;
  routesRemove(iface, RouteOrigin.Dhcp);
  iface.dnsCount = 0;
  client.ntpCount = 0;
  if (NAMES) searchForget(SearchSource.Dhcp);
  iface.mtu = linkMtu(iface);
  removeAddress(record);
}

function fallBack(client: Client): void {
  say(warn("dhcp"), client)
    .text("no DHCP server answers; falling back and asking on")
    .key("requests")
    .number(client.attempts)
    .key("seconds")
    .number(secondsSince(client))
    .end();
  fallbackStart(client.iface);
}

/** The field `secs` (RFC 2131, 2). */
function secondsSince(client: Client): u32 {
  return <u32>min<u64>((now() - client.startedAt) / SECOND, 0xffff);
}

// ---- Messages in ---------------------------------------------------------------------------

/** Takes a datagram to port 68. Owns the packet. */
function input(_u: Udp, packet: Packet | null, _source: IpAddress, sourcePort: u32): void {
  if (packet === null) return;
  const client = changetype<Client>(clients + ((<usize>packet.iface) << 7));
  const iface = client.iface;
  if (
    changetype<usize>(iface) == 0 ||
    sourcePort != DHCP_SERVER_PORT ||
    !dhcpParse(packet.data, packet.length, client.xid, iface.device.mac, reply) ||
    !take(client)
  ) {
    dhcpStats.ignored++;
  }
  packet.release();
}

/** Acts on `reply`; false if the state does not expect it (RFC 2131, 4.4, figure 5). */
function take(client: Client): bool {
  const state = client.state;
  if (reply.type == DhcpType.Offer) {
    if (state != State.Selecting || !isHost(reply.address) || !reply.server) return false;
    dhcpStats.offers++;
    client.address = reply.address;
    client.server = reply.server;
    enter(client, State.Requesting);
    sendRequest(client);
    return true;
  }
  if (state < State.Requesting || state == State.Bound) return false;
  // The request named one server: no other may answer it.
  if (state == State.Requesting && reply.server && reply.server != client.server) return false;
  if (reply.type == DhcpType.Nak) {
    dhcpStats.naks++;
    refused(client);
    return true;
  }
  // An ack without an address or a lease time binds nothing (RFC 2131, 4.3.1, table 3).
  if (reply.type != DhcpType.Ack || !isHost(reply.address) || !reply.leaseTime) return false;
  dhcpStats.acks++;
  bind(client);
  return true;
}

/** An address that a host can have (RFC 1122, 3.2.1.3). */
export function isHost(address: u32): bool {
  return address >>> 24 != 0 && address < 0xe000_0000 && !isV4Loopback(address);
}

/** RFC 2131, 3.1, 5: begin anew; a server that refuses what it offers must not keep us busy. */
function refused(client: Client): void {
  const line = say(warn("dhcp"), client)
    .text("the server refused the address; asking anew")
    .key("server")
    .ipv4(reply.server)
    .key("address")
    .ipv4(client.address);
  if (reply.messageLength) line.key("reason").bytes(reply.message, reply.messageLength);
  line.end();
  const wait = client.naks ? min<u64>(SECOND << min<u32>(client.naks, 6), RETRY_MOST) : 0;
  client.naks++;
  if (client.naks == NAKS_BEFORE_FALLBACK) fallbackStart(client.iface);
  restart(client, wait);
}

/** The lease is ours, or ours for longer. */
function bind(client: Client): void {
  const time = now();
  const iface = client.iface;
  client.naks = 0;
  if (reply.server) client.server = reply.server;
  setTimes(client, time);
  fallbackStop(iface);
  iface.acceptAny = false;
  const prefix = prefixOf(reply.address, reply.mask);
  const record = client.record;
  const fresh =
    record === null || record.address.v4 != reply.address || <u32>record.prefix != prefix;
  client.address = reply.address;
  if (fresh) {
    release(client);
    local.setV4(reply.address);
    const added = addAddress(iface, local, prefix, AddressOrigin.Dhcp);
    if (added === null) {
      say(warn("dhcp"), client)
        .text("another interface has the leased address; asking anew")
        .key("address")
        .ipv4(reply.address)
        .end();
      return restart(client, DECLINE_WAIT);
    }
    client.record = added;
  }
  setParameters(client);
  enter(client, State.Bound);
  client.timer.arm(client.renewAt);
  const bound = client.record;
  if (!fresh || bound === null) return;
  claimAddress(bound, Claim.Prompt, 0, conflict.index);
  const line = iface.device.nameIn(info("net"));
  line.text(" ").ipv4(reply.address).text("/").number(prefix);
  if (!reply.routesLength && isHost(reply.router)) line.text(" gateway ").ipv4(reply.router);
  if (reply.routesLength) line.text(" with routes");
  line.text(" (dhcp, lease ");
  if (reply.leaseTime == DHCP_INFINITY) line.text("for ever)");
  else line.number(reply.leaseTime).text(" s)");
  for (let i: u32 = 0; i < client.ntpCount; i++) line.key("ntp").ipv4(client.ntp(i));
  line.end();
}

/** T1, T2 and the end (RFC 2131, 4.4.5): the server's if they make sense, else 1/2 and 7/8. */
function setTimes(client: Client, time: u64): void {
  if (reply.leaseTime == DHCP_INFINITY) {
    client.renewAt = NEVER;
    client.rebindAt = NEVER;
    client.expiresAt = NEVER;
    return;
  }
  const lease = <u64>reply.leaseTime * SECOND;
  let rebinding = <u64>reply.rebindingTime * SECOND;
  let renewal = <u64>reply.renewalTime * SECOND;
  if (rebinding == 0 || rebinding >= lease) rebinding = lease - (lease >> 3);
  if (renewal == 0 || renewal >= rebinding) {
    // A bit less, at random, lest all that start together renew together (4.4.5).
    const early = (lease >> 15) * randomBelow(1024);
    renewal = min<u64>((lease >> 1) - early, rebinding);
  }
  client.renewAt = time + renewal;
  client.rebindAt = time + rebinding;
  client.expiresAt = time + lease;
}

/** The mask's length; without a valid mask the one of the address's class (RFC 950, 2.1). */
export function prefixOf(address: u32, mask: u32): u32 {
  const prefix = <u32>popcnt(mask);
  if (prefix != 0 && clz(~mask) == prefix) return prefix;
  return address < 0x8000_0000 ? 8 : address < 0xc000_0000 ? 16 : 24;
}

/** What else the server told of the network. */
function setParameters(client: Client): void {
  const iface = client.iface;
  setRoutes(iface);
  client.ntpCount = 0;
  for (let i: u32 = 0; i < reply.ntpCount; i++) {
    if (isHost(reply.ntp(i))) client.setNtp(client.ntpCount++, reply.ntp(i));
  }
  iface.dnsCount = 0;
  for (let i: u32 = 0; i < reply.dnsCount && iface.dnsCount < INTERFACE_DNS_MAX; i++) {
    if (isHost(reply.dns(i))) iface.dns(iface.dnsCount++).setV4(reply.dns(i));
  }
  if (NAMES) setSearch();
  const most = linkMtu(iface);
  iface.mtu = reply.mtu >= MTU_MIN ? min<u32>(reply.mtu, most) : most;
  interfacesChanged();
}

/** Where short names are looked for: a list goes before the one domain (RFC 3397, 2). */
function setSearch(): void {
  if (reply.searchLength) searchLearn(SearchSource.Dhcp, dhcpSearch, reply.searchLength);
  else if (reply.domainLength) searchLearnText(SearchSource.Dhcp, reply.domain, reply.domainLength);
}

/** The server's routes, or else its router for everything (RFC 3442). */
function setRoutes(iface: Interface): void {
  routesRemove(iface, RouteOrigin.Dhcp);
  const metric = METRIC + iface.index;
  let next = dhcpRoute(reply, 0, given);
  for (; next; next = dhcpRoute(reply, next, given)) {
    local.setV4(given.prefix);
    router.setV4(given.router);
    const by = given.router ? router : null;
    routeAdd(local, given.length, by, iface, metric, RouteOrigin.Dhcp);
  }
  if (reply.routesLength || !isHost(reply.router)) return;
  router.setV4(reply.router);
  defaultAdd(iface, router, RouteOrigin.Dhcp);
}

const given = changetype<DhcpRoute>(memory.data(offsetof<DhcpRoute>(), 4));
const router = changetype<IpAddress>(memory.data(16, 8));

/** Another station has the leased address: the server must know (RFC 2131, 3.1, 5 and 4.4.4). */
function conflict(record: InterfaceAddress, mac: u64): void {
  const client = clientOf(record.iface);
  say(warn("dhcp"), client)
    .text("declining the leased address, another station has it; asking anew")
    .key("address")
    .ip(record.address)
    .key("mac")
    .mac(mac)
    .key("seconds")
    .number(DECLINE_WAIT / SECOND)
    .end();
  release(client);
  send(client, DhcpType.Decline);
  restart(client, DECLINE_WAIT);
}

// ---- Messages out --------------------------------------------------------------------------

/** Sends what the state calls for (RFC 2131, 4.3.2 and 4.4, tables 4 and 5). */
function send(client: Client, type: DhcpType): void {
  const iface = client.iface;
  const packet = allocate(PoolId.Standard, Purpose.Control, HEADROOM);
  if (packet === null) {
    dhcpStats.noBuffer++;
    return;
  }
  assert(packet.tailroom >= UDP_HEADER + DHCP_BUILD_MAX);
  const state = client.state;
  const releasing = type == DhcpType.Release;
  const extending =
    releasing ||
    (type == DhcpType.Request && (state == State.Renewing || state == State.Rebinding));
  const named = releasing || type == DhcpType.Decline || state == State.Requesting;
  request.type = type;
  request.xid = client.xid;
  request.mac = iface.device.mac;
  request.seconds = releasing || type == DhcpType.Decline ? 0 : client.seconds;
  request.clientAddress = extending ? client.address : 0;
  request.requestedAddress = extending ? 0 : client.address;
  request.server = named ? client.server : 0;
  request.maximumSize = iface.device.mtu - IPV4_HEADER - UDP_HEADER;
  request.hostname = config.hostname;
  request.hostnameLength = config.hostnameLength;
  const bytes = UDP_HEADER + dhcpBuild(packet.data + UDP_HEADER, request);
  packet.length = bytes;
  const unicast = releasing || (extending && state == State.Renewing);
  local.setV4(extending ? client.address : 0);
  remote.setV4(unicast ? client.server : V4_BROADCAST);
  const pseudo = pseudoHeaderSum(local, remote, Protocol.UDP, bytes);
  udpBuild(packet.data, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, bytes, pseudo);
  packet.flags = <u8>PacketFlag.ChecksumPending;
  packet.checksumStart = 0;
  packet.checksumOffset = <u16>UDP_CHECKSUM_OFFSET;
  if (type == DhcpType.Discover) dhcpStats.discovers++;
  else if (type == DhcpType.Request) dhcpStats.requests++;
  else if (releasing) dhcpStats.releases++;
  else dhcpStats.declines++;
  if (unicast) ipSend(packet, Protocol.UDP, local, remote, DEFAULT_TTL, 0);
  else ipBroadcast(iface, packet, Protocol.UDP, local.v4, remote.v4);
}
