import { now } from "../../kernel/clock";
import { AddressMode6, config } from "../../kernel/config";
import { NAMES } from "../../kernel/features";
import { Line, info, warn } from "../../kernel/log";
import { HEADROOM, Packet, PacketFlag, PoolId, Purpose, allocate } from "../../kernel/packet";
import { panic } from "../../kernel/panic";
import { random32 } from "../../kernel/random";
import { NEVER, SECOND, Timer } from "../../kernel/timer";
import { SearchSource, searchForget, searchLearn } from "../dns/search";
import {
  HOP_LIMIT,
  Interface,
  InterfaceAddress,
  LinkKind,
  interfaceAt,
  interfaceCount,
} from "../interface";
import { ipv6SendOn } from "../ip/output6";
import { linkLocalOf, v6Remove } from "../ndp/addresses";
import { Managed, managedBy } from "../ndp/link";
import { Udp, udpBind, udpOpen } from "../udp/udp";
import { IpAddress, V6_LINK_GROUP, V6_ONLY } from "../wire/address";
import { pseudoHeaderSum } from "../wire/checksum";
import {
  DHCPV6_ADDRESSES,
  DHCPV6_BUILD_MAX,
  DHCPV6_CLIENT_PORT,
  DHCPV6_DNS_MAX,
  DHCPV6_INFINITY,
  DHCPV6_SERVERS,
  DHCPV6_SERVER_PORT,
  DUID_LL_BYTES,
  Dhcpv6Message,
  Dhcpv6Reply,
  Dhcpv6Status,
  Dhcpv6Type,
  dhcpv6Build,
  dhcpv6Parse,
  duidBuild,
} from "../wire/dhcpv6";
import { Protocol } from "../wire/ipv4";
import { UDP_CHECKSUM_OFFSET, UDP_HEADER, udpBuild } from "../wire/udp";
import { ASSOCIATION_BYTES, Association, lifeEnd } from "./association";
import {
  MOST_DEFAULT,
  initialDelay,
  retransmissionTime,
  transmissionsMost,
} from "./retransmission";
import { dhcpv6Stats } from "./stats";

/**
 * The DHCPv6 client (RFC 8415, 18.2), one for each interface: addresses (an IA_NA) and DNS servers, or only the
 * latter, as router advertisements or `ip6=dhcp` say.
 *
 *     M flag ──► Solicit ── Advertise ──► Request ── Reply ──► Bound ── T1 ──► Renew ── T2 ──► Rebind
 *                  │ ▲                       │                 ▲  │              │ Reply         │
 *                  │ └────── none, refused ──┘                 │  └ link back ► Confirm          │
 *                  └─ Reply (Rapid Commit) ────────────────────┘◄─────────────────┴──────────────┘
 *     O flag ──► Information-request ── Reply ──► Informed ── refresh time: again
 *
 * While no server has an address for us, what else they know is asked for between two Solicits (18.2.10.1).
 *
 * Everything is sent to the servers' group: unicast has been given up (RFC 8415, 18.4 has only what a server may do
 * of old). Reconfigure messages are not accepted, and no server is told otherwise (21.20): they would need
 * a key that came in the clear. Prefixes are not asked for.
 */
const enum State {
  /** Nothing to do, or no link, or no link-local address to speak from. */
  Off = 0,
  /** Waits before it begins with `message`. */
  Delayed = 1,
  /** `message` is on its way until somebody answers it. */
  Exchanging = 2,
  Bound = 3,
  Informed = 4,
}

/** IRT_DEFAULT and IRT_MINIMUM, seconds (7.6). */
const REFRESH_DEFAULT: u32 = 86400;
const REFRESH_LEAST: u32 = 600;
/** Between a refusal, or an address declined, and the next try (14.1 has a bound, but no number). */
const REFUSED_WAIT: u64 = 10 * SECOND;
/** How long an Information-request may keep from soliciting, and how long none is made after one without answer. */
const INFORM_TIME: u64 = 10 * SECOND;
const INFORM_AGAIN: u64 = 600 * SECOND;
/** No Advertise yet. */
const NONE: i32 = -1;

/** 640 bytes. */
@unmanaged
class Client {
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  /** When the exchange began, and until when it may go on: `host.monotonic` ns. */
  startedAt: u64;
  endsAt: u64;
  /** RT, ns; 0 before the first transmission. */
  wait: u64;
  /** When information is to be asked for again: 0 while there is none. */
  informAt: u64;
  iface: Interface;
  /** `State`, `Dhcpv6Type`. */
  state: u32;
  message: u32;
  /** `Managed` bits: what is wanted. */
  wants: u32;
  xid: u32;
  /** Messages sent in this exchange. */
  attempts: u32;
  /** Of the server that advertised, and then that gave the lease. */
  preference: i32;
  serverLength: u32;
  solicitMost: u32;
  informationMost: u32;
  dnsCount: u32;
  /** Addresses that a Request asks for, or that a Decline is about. */
  namedCount: u32;
  /** A server says that the addresses are not of this link. */
  notOnLink: bool;
  /** A server that was solicited has no address. */
  exhausted: bool;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this));
  }


  @inline get association(): Association {
    return changetype<Association>(changetype<usize>(this) + ASSOCIATION_AT);
  }


  @inline named(index: u32): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + NAMED_AT + ((<usize>index) << 4));
  }


  @inline dns(index: u32): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + DNS_AT + ((<usize>index) << 4));
  }


  @inline get server(): usize {
    return changetype<usize>(this) + SERVER_AT;
  }
}

/** Behind the fields: the association, addresses, DNS servers, and the server's DUID. */
const ASSOCIATION_AT: usize = 128;
const NAMED_AT: usize = 288;
const DNS_AT: usize = 352;
const SERVER_AT: usize = 400;
const CLIENT_BYTES: usize = 640;

const clients: usize = memory.data(48 * 640, 8);
const reply = changetype<Dhcpv6Reply>(memory.data(offsetof<Dhcpv6Reply>(), 8));
const message = changetype<Dhcpv6Message>(memory.data(offsetof<Dhcpv6Message>(), 8));
const from = changetype<IpAddress>(memory.data(16, 8));
const to = changetype<IpAddress>(memory.data(16, 8));
/** One for the machine (11), made of its first card's address: it has no store for a better one. */
const duid: usize = memory.data(10, 8);
let endpoint: Udp | null = null;


@inline function clientOf(iface: Interface): Client {
  return changetype<Client>(clients + <usize>iface.index * CLIENT_BYTES);
}

/** `eth0`, then words. */
function say(line: Line, client: Client): Line {
  return client.iface.device.nameIn(line).text(": ");
}

/** Start-up only. */
export function dhcpv6Init(): void {
  assert(offsetof<Client>() <= ASSOCIATION_AT && ASSOCIATION_AT + ASSOCIATION_BYTES <= NAMED_AT);
  managedBy(routersSay);
}

function openEndpoint(): void {
  const u = udpOpen();
  to.set(0, V6_ONLY);
  if (u === null || udpBind(u, to, DHCPV6_CLIENT_PORT) != 0) return panic("no endpoint for DHCPv6");
  u.handler = input.index;
  endpoint = u;
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const iface = interfaceAt(i);
    if (iface.kind == LinkKind.Ethernet) return duidBuild(duid, iface.device.mac);
  }
}

// ---- What is wanted ------------------------------------------------------------------------

/** A router has spoken, or the link's address is in use (`Managed.Ready`). */
function routersSay(iface: Interface, said: u32): void {
  const client = clientOf(iface);
  let wants = client.wants;
  if (config.mode6 == AddressMode6.Dhcp) wants = Managed.Addresses;
  // A static address is the operator's word, but says nothing of DNS servers.
  else if (config.mode6 == AddressMode6.Static) wants |= said & Managed.Other;
  else wants |= said & (Managed.Addresses | Managed.Other);
  const more = wants & ~client.wants;
  client.wants = wants;
  if (!wants || (!more && client.state != State.Off)) return;
  if (linkLocalOf(iface) === null) return;
  if (endpoint === null) openEndpoint();
  if (!client.timer.callback) {
    client.iface = iface;
    client.association.iface = iface;
    client.association.conflictFn = conflict.index;
    client.solicitMost = MOST_DEFAULT;
    client.informationMost = MOST_DEFAULT;
    client.timer.init(advance, changetype<usize>(client));
  }
  const wait = initialDelay();
  const off = client.state == State.Off;
  if (off && client.association.count) return delay(client, Dhcpv6Type.Confirm, wait);
  // The Addresses bit makes the other one redundant (RFC 4861, 4.2).
  if (more & Managed.Addresses || (off && wants & Managed.Addresses)) return restart(client, wait);
  if (off) delay(client, Dhcpv6Type.InformationRequest, wait);
}

/** The link has gone: what is known stays until it is back (18.2.12). */
export function dhcpv6LinkChanged(iface: Interface): void {
  const client = clientOf(iface);
  if (iface.up || !client.timer.callback) return;
  client.timer.cancel();
  client.state = State.Off;
}

/** The DNS server that a server told of in place `index` (RFC 3646, 3), null without one. */
export function dhcpv6Dns(iface: Interface, index: u32): IpAddress | null {
  const client = clientOf(iface);
  return index < client.dnsCount ? client.dns(index) : null;
}

/** Gives back what an interface has leased, for the machine is about to end (18.2.7). Whether there was something. */
export function dhcpv6Release(iface: Interface): bool {
  const client = clientOf(iface);
  if (!client.timer.callback || !iface.up || !client.association.count) return false;
  nameLeases(client);
  forget(client);
  begin(client, Dhcpv6Type.Release);
  // There will be nobody to repeat it.
  client.timer.cancel();
  client.state = State.Off;
  return true;
}

/** Has the addresses that we have named in the next message. */
function nameLeases(client: Client): void {
  client.namedCount = client.association.list(changetype<usize>(client.named(0)));
}

/** Stops using all that the server gave. */
function forget(client: Client): void {
  client.association.clear();
  client.dnsCount = 0;
  client.informAt = 0;
  if (NAMES) searchForget(SearchSource.Dhcpv6);
}

/** Another station has a leased address (18.2.8): the server must know; the others stay in use. */
function conflict(record: InterfaceAddress, mac: u64): void {
  const client = clientOf(record.iface);
  say(warn("dhcpv6"), client)
    .text("declining the leased address, another station has it")
    .key("address")
    .ip(record.address)
    .key("mac")
    .mac(mac)
    .end();
  // Of several, one message names all that is known by then.
  const pending = client.state == State.Exchanging && client.message == Dhcpv6Type.Decline;
  if (!pending) client.namedCount = 0;
  const lease = client.association.find(record.address);
  if (client.namedCount < DHCPV6_ADDRESSES) client.named(client.namedCount++).copy(record.address);
  if (lease !== null && lease.validUntil) client.association.drop(lease);
  else v6Remove(record);
  begin(client, Dhcpv6Type.Decline);
}

// ---- States --------------------------------------------------------------------------------

/** Begins an exchange of `type` after `wait`. */
function delay(client: Client, type: Dhcpv6Type, wait: u64): void {
  client.state = State.Delayed;
  client.message = type;
  client.timer.arm(now() + wait);
}

function begin(client: Client, type: Dhcpv6Type): void {
  const time = now();
  client.state = State.Exchanging;
  client.message = type;
  client.xid = random32() & 0xff_ffff;
  client.attempts = 0;
  client.wait = 0;
  client.startedAt = time;
  client.notOnLink = false;
  client.endsAt = NEVER;
  if (type == Dhcpv6Type.Solicit) {
    client.preference = NONE;
    client.namedCount = 0;
    client.exhausted = false;
  } else if (type == Dhcpv6Type.InformationRequest) {
    if (client.wants & Managed.Addresses) client.endsAt = time + INFORM_TIME;
  } else if (type == Dhcpv6Type.Confirm) {
    client.endsAt = time + 10 * SECOND; // CNF_MAX_RD
  } else if (type == Dhcpv6Type.Renew) {
    client.endsAt = client.association.rebindAt;
  } else if (type == Dhcpv6Type.Rebind) {
    client.endsAt = client.association.end;
  }
  transmit(client, time);
}

/** Sends the exchange's message and sets the time to do so again (15). */
function transmit(client: Client, time: u64): void {
  const type = client.message;
  client.attempts++;
  const given = type == Dhcpv6Type.Solicit ? client.solicitMost : client.informationMost;
  client.wait = retransmissionTime(type, client.wait, given);
  // Those whose life has ended meanwhile are named no more.
  const named = type == Dhcpv6Type.Confirm || type == Dhcpv6Type.Renew || type == Dhcpv6Type.Rebind;
  if (named) nameLeases(client);
  send(client, time);
  client.timer.arm(min<u64>(time + client.wait, client.endsAt));
}

/** Looks for a server anew, and uses nothing of what another gave (18.2.10.1). */
function restart(client: Client, wait: u64): void {
  forget(client);
  delay(client, Dhcpv6Type.Solicit, wait);
}

/** No server gives an address: what else they know is asked for, if that is due, before the next try (18.2.10.1). */
function without(client: Client): void {
  client.association.clear();
  if (now() >= client.informAt) begin(client, Dhcpv6Type.InformationRequest);
  else delay(client, Dhcpv6Type.Solicit, REFUSED_WAIT);
}

function bound(client: Client): void {
  client.state = State.Bound;
  client.timer.cancel();
  const next = min<u64>(client.association.renewAt, client.association.end);
  if (next != NEVER) client.timer.arm(next);
}

function advance(context: usize, time: u64): void {
  const client = changetype<Client>(context);
  switch (client.state) {
    case State.Delayed:
      return begin(client, client.message);
    case State.Bound:
      if (!client.association.count) return expire(client);
      return begin(
        client,
        time < client.association.rebindAt ? Dhcpv6Type.Renew : Dhcpv6Type.Rebind,
      );
    case State.Informed:
      return delay(client, Dhcpv6Type.InformationRequest, initialDelay());
    case State.Exchanging: {
      if (client.message == Dhcpv6Type.Solicit) {
        if (client.preference != NONE) return begin(client, Dhcpv6Type.Request);
        if (client.exhausted && time >= client.informAt) return without(client);
      }
      if (client.notOnLink) return moved(client);
      const most = transmissionsMost(client.message);
      if (time >= client.endsAt || (most && client.attempts >= most)) return fail(client);
      return transmit(client, time);
    }
    default:
  }
}

/** Nobody has answered for as long as it was worth asking. */
function fail(client: Client): void {
  switch (client.message) {
    case Dhcpv6Type.Confirm:
      say(warn("dhcpv6"), client)
        .text("no server confirms the lease; using it until it ends")
        .key("seconds")
        .number((now() - client.startedAt) / SECOND)
        .end();
      return confirmed(client);
    case Dhcpv6Type.Renew:
      say(warn("dhcpv6"), client)
        .text("the server does not renew the lease; asking all servers")
        .end();
      return begin(client, Dhcpv6Type.Rebind);
    case Dhcpv6Type.Rebind:
      return expire(client);
    case Dhcpv6Type.Decline:
      return declined(client);
    case Dhcpv6Type.InformationRequest:
      client.informAt = now() + INFORM_AGAIN;
      return delay(client, Dhcpv6Type.Solicit, 0);
    default:
      say(warn("dhcpv6"), client)
        .text("the server that offered addresses does not answer; looking for another")
        .key("requests")
        .number(client.attempts)
        .end();
      restart(client, 0);
  }
}

function expire(client: Client): void {
  dhcpv6Stats.expired++;
  say(warn("dhcpv6"), client)
    .text("the lease ended before a server renewed it; addresses given up, asking anew")
    .end();
  restart(client, 0);
}

/** The leased addresses are of another link (18.2.10.3). */
function moved(client: Client): void {
  say(warn("dhcpv6"), client).text("the leased addresses are not of this link; asking anew").end();
  restart(client, 0);
}

/** Addresses that a change of the link had put in doubt are used again. */
function confirmed(client: Client): void {
  client.association.use();
  bound(client);
}

function declined(client: Client): void {
  if (client.association.count) bound(client);
  else restart(client, REFUSED_WAIT);
}

// ---- Messages in ---------------------------------------------------------------------------

/** Takes a datagram to port 546. Owns the packet. */
function input(_u: Udp, packet: Packet | null, _source: IpAddress, _sourcePort: u32): void {
  if (packet === null) return;
  const iface = interfaceAt(packet.iface);
  const client = clientOf(iface);
  const at = packet.data;
  const length = packet.length;
  if (
    client.state != State.Exchanging ||
    !dhcpv6Parse(at, length, iface.zone, client.xid, duid, identifier(client), reply) ||
    !take(client)
  ) {
    dhcpv6Stats.ignored++;
  }
  packet.release();
}

/** Acts on `reply`; false if nothing waits for it. */
function take(client: Client): bool {
  // Even when it brings nothing else (18.2.9, 18.2.10).
  if (reply.solicitMost) client.solicitMost = reply.solicitMost;
  if (reply.informationMost) client.informationMost = reply.informationMost;
  const sent = client.message;
  if (reply.type == Dhcpv6Type.Advertise) {
    if (sent != Dhcpv6Type.Solicit) return false;
    dhcpv6Stats.advertises++;
    advertised(client);
    return true;
  }
  if (sent == Dhcpv6Type.Solicit && !reply.isRapid) return false;
  dhcpv6Stats.replies++;
  // Given back or declined is what it is, whatever the server says (18.2.10.2).
  if (sent == Dhcpv6Type.Decline) {
    declined(client);
    return true;
  }
  // It could not, or wants what we do anyhow: it is asked again when its time comes.
  if (reply.status == Dhcpv6Status.Unspecified || reply.status == Dhcpv6Status.UseMulticast) {
    complain(client, reply.status);
    return true;
  }
  switch (sent) {
    case Dhcpv6Type.InformationRequest:
      informed(client);
      return true;
    case Dhcpv6Type.Confirm:
      // One server that knows the link is worth more than any that does not.
      if (reply.status == Dhcpv6Status.NotOnLink) client.notOnLink = true;
      else confirmed(client);
      return true;
    case Dhcpv6Type.Renew:
    case Dhcpv6Type.Rebind:
      extended(client);
      return true;
    default:
      leased(client);
  }
  return true;
}

/** A server refuses. */
function complain(client: Client, status: u32): void {
  const line = say(warn("dhcpv6"), client).text("the server refused").key("status").number(status);
  if (reply.messageLength) line.key("reason").bytes(reply.message, reply.messageLength);
  line.end();
}

function rememberServer(client: Client): void {
  client.serverLength = reply.serverLength;
  memory.copy(client.server, reply.server, reply.serverLength);
}

/** Whether a server says that it has no address to give (21.13), of the association or of old in the message. */
function isExhausted(): bool {
  const status = reply.status ? reply.status : reply.associationStatus;
  return status == Dhcpv6Status.NoAddresses;
}

/** 18.2.9: the one that prefers itself most counts, of equals the first; one that has no address does not. */
function advertised(client: Client): void {
  let usable: u32 = 0;
  for (let i: u32 = 0; i < reply.addressCount; i++) if (reply.address(i).valid) usable++;
  const refused = reply.status != Dhcpv6Status.Success || reply.associationStatus != 0;
  if (refused || !usable) {
    client.exhausted = client.exhausted || !refused || isExhausted();
    // Once is enough: it will say so each time.
    if (refused && client.attempts == 1) {
      complain(client, reply.status ? reply.status : reply.associationStatus);
    }
    return;
  }
  const preference = <i32>reply.preference;
  if (preference <= client.preference) return;
  client.preference = preference;
  rememberServer(client);
  client.namedCount = 0;
  for (let i: u32 = 0; i < reply.addressCount; i++) {
    if (reply.address(i).valid) client.named(client.namedCount++).copy(reply.address(i).address);
  }
  // Nobody can be preferred more, or the first second is over (18.2.1).
  if (preference == 255 || client.attempts > 1) begin(client, Dhcpv6Type.Request);
}

/** The answer to a Request, or to a Solicit at once. */
function leased(client: Client): void {
  const status = reply.status ? reply.status : reply.associationStatus;
  if (!status) client.association.take(reply);
  if (status || !client.association.count) {
    complain(client, status ? status : <u32>Dhcpv6Status.NoAddresses);
    return status == Dhcpv6Status.NotOnLink ? restart(client, REFUSED_WAIT) : without(client);
  }
  extendedBy(client);
}

/** The answer to a Renew or Rebind. */
function extended(client: Client): void {
  const status = reply.status ? reply.status : reply.associationStatus;
  if (status == Dhcpv6Status.NoBinding) {
    // It has forgotten us, but may give the same again: what we have is used meanwhile.
    rememberServer(client);
    nameLeases(client);
    return begin(client, Dhcpv6Type.Request);
  }
  if (status) return complain(client, status);
  // Asked again at the usual time (18.2.10.1).
  if (!reply.hasAssociation) return;
  client.association.take(reply);
  if (!client.association.count) return restart(client, REFUSED_WAIT);
  extendedBy(client);
}

function extendedBy(client: Client): void {
  rememberServer(client);
  setParameters(client);
  bound(client);
}

/** The answer to an Information-request (18.2.10.4). */
function informed(client: Client): void {
  const first = client.dnsCount == 0;
  setParameters(client);
  if (first && client.dnsCount) {
    const line = say(info("dhcpv6"), client).text("information");
    for (let i: u32 = 0; i < client.dnsCount; i++) line.key("dns").ip(client.dns(i));
    line.end();
  }
  const refresh = reply.hasRefresh ? max<u32>(reply.refresh, REFRESH_LEAST) : REFRESH_DEFAULT;
  client.informAt = refresh == DHCPV6_INFINITY ? NEVER : lifeEnd(now(), refresh);
  if (client.wants & Managed.Addresses) return delay(client, Dhcpv6Type.Solicit, REFUSED_WAIT);
  client.state = State.Informed;
  client.timer.cancel();
  if (client.informAt != NEVER) client.timer.arm(client.informAt);
}

/** DNS servers and search list: what is not said any more is over (18.2.10). */
function setParameters(client: Client): void {
  client.dnsCount = min<u32>(reply.dnsCount, DHCPV6_DNS_MAX);
  for (let i: u32 = 0; i < client.dnsCount; i++) client.dns(i).copy(reply.dns(i));
  if (NAMES) searchLearn(SearchSource.Dhcpv6, reply.search, reply.searchLength);
}

// ---- Messages out --------------------------------------------------------------------------

/** The association's number (21.4): the card's, the same after each start. */
@inline function identifier(client: Client): u32 {
  return client.iface.device.number + 1;
}

function count(type: Dhcpv6Type): void {
  switch (type) {
    case Dhcpv6Type.Solicit:
      dhcpv6Stats.solicits++;
      return;
    case Dhcpv6Type.Request:
      dhcpv6Stats.requests++;
      return;
    case Dhcpv6Type.Confirm:
      dhcpv6Stats.confirms++;
      return;
    case Dhcpv6Type.InformationRequest:
      dhcpv6Stats.informationRequests++;
      return;
    case Dhcpv6Type.Decline:
      dhcpv6Stats.declines++;
      return;
    case Dhcpv6Type.Release:
      dhcpv6Stats.releases++;
      return;
    default:
      dhcpv6Stats.renewals++;
  }
}

/** Sends the exchange's message to all servers of the link. */
function send(client: Client, time: u64): void {
  const iface = client.iface;
  const own = linkLocalOf(iface);
  if (own === null) return;
  const packet = allocate(PoolId.Standard, Purpose.Control, HEADROOM);
  if (packet === null) {
    dhcpv6Stats.noBuffer++;
    return;
  }
  assert(packet.tailroom >= UDP_HEADER + DHCPV6_BUILD_MAX);
  const type = client.message;
  const one =
    type == Dhcpv6Type.Request ||
    type == Dhcpv6Type.Renew ||
    type == Dhcpv6Type.Decline ||
    type == Dhcpv6Type.Release;
  message.type = type;
  message.xid = client.xid;
  message.duid = duid;
  message.server = client.server;
  message.serverLength = one ? client.serverLength : 0;
  message.elapsed = <u32>min<u64>((time - client.startedAt) / (SECOND / 100), 0xffff);
  message.iaid = identifier(client);
  message.addresses = changetype<usize>(client.named(0));
  message.addressCount = client.namedCount;
  const bytes = UDP_HEADER + dhcpv6Build(packet.data + UDP_HEADER, message);
  packet.length = bytes;
  from.copy(own.address);
  to.set(V6_LINK_GROUP, DHCPV6_SERVERS);
  const pseudo = pseudoHeaderSum(from, to, Protocol.UDP, bytes);
  udpBuild(packet.data, DHCPV6_CLIENT_PORT, DHCPV6_SERVER_PORT, bytes, pseudo);
  packet.flags = <u8>PacketFlag.ChecksumPending;
  packet.checksumStart = 0;
  packet.checksumOffset = <u16>UDP_CHECKSUM_OFFSET;
  count(type);
  ipv6SendOn(iface, packet, Protocol.UDP, from, to, HOP_LIMIT);
}
