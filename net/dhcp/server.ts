import { now } from "../../kernel/clock";
import { Line, debug, info, warn } from "../../kernel/log";
import { HEADROOM, Packet, PacketFlag, PoolId, Purpose, allocate } from "../../kernel/packet";
import { panic } from "../../kernel/panic";
import { MILLISECOND, NEVER, SECOND, Timer } from "../../kernel/timer";
import { Interface, interfaceAt } from "../interface";
import { DEFAULT_TTL, ipSend, ipSendTo } from "../ip/output";
import { arpProbe, arpWatch } from "../link/arp";
import { rarpServe } from "../link/rarp";
import { TokenBucket } from "../ratelimit";
import { Udp, udpBind, udpOpen } from "../udp/udp";
import { IpAddress, V4_BROADCAST, v4Mask } from "../wire/address";
import { pseudoHeaderSum } from "../wire/checksum";
import {
  DHCP_ANSWER_MAX,
  DHCP_CLIENT_PORT,
  DHCP_INFINITY,
  DHCP_SERVER_PORT,
  DhcpAnswer,
  DhcpMessage,
  DhcpType,
  dhcpAnswer,
  dhcpRead,
} from "../wire/dhcp";
import { ETHERNET_HEADER, EthernetHeader, MAC_BROADCAST } from "../wire/ethernet";
import { Protocol } from "../wire/ipv4";
import { UDP_CHECKSUM_OFFSET, UDP_HEADER, udpBuild } from "../wire/udp";
import {
  Lease,
  LeaseState,
  clientKey,
  leaseAt,
  leaseFree,
  leaseHold,
  leaseOf,
  leaseSetAside,
  leaseTake,
  leasesInit,
  stationKey,
} from "./leases";
import { POOL_SERVERS, Pool, poolAt, poolCount } from "./pool";
import { dhcpServerStats } from "./stats";

/**
 * A DHCP server for a lab (RFC 2131, 4.3), of what net/dhcp/pool.ts was told.
 *
 * An address that nobody has had lately is asked after by ARP before it is offered (2.2); the Discover waits
 * as the packet that it came in. Behind a relay there is no ARP: there the client's own probe has to do, and
 * its Decline. The table is memory: after a start a client that extends its lease is believed if the address
 * is free, and one that only remembers an address gets no answer (4.3.2), and asks anew.
 *
 * Who floods it is bounded: a frame must come from the station that it speaks for, new clients come at a rate, an
 * offer that is not taken up gives way to the next.
 */

/** How long an offer stands. */
const OFFER_TIME: u64 = 60 * SECOND;
/** How long an address that another station has is given to nobody. */
const ASIDE_TIME: u64 = 600 * SECOND;
/** Probes before an offer, and how long an answer to each may take. */
const PROBES: u32 = 2;
const PROBE_WAIT: u64 = 200 * MILLISECOND;
/** Discovers that may wait for a probe at a time; more are dropped, and come again. */
const PENDING: u32 = 16;
/** Addresses that are tried for one Discover. */
const TRIES: u32 = 4;
/** New clients: so many a second, and so many at once. */
const CLIENTS_RATE: u32 = 16;
const CLIENTS_BURST: u32 = 256;
/** Between two complaints of one kind. */
const SAY_EVERY: u64 = 60 * SECOND;

/** A Discover that waits until its address has been asked after. 48 bytes. */
@unmanaged
class Pending {
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  packet: Packet | null;
  lease: Lease | null;
  probes: u32;
  tries: u32;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this));
  }
}

const pending: usize = memory.data(16 * 48, 8);
let pendingCount: u32 = 0;
const message = changetype<DhcpMessage>(memory.data(offsetof<DhcpMessage>(), 8));
const answer = changetype<DhcpAnswer>(memory.data(offsetof<DhcpAnswer>(), 8));
const clients = changetype<TokenBucket>(memory.data(offsetof<TokenBucket>(), 8));
const from = changetype<IpAddress>(memory.data(16, 8));
const to = changetype<IpAddress>(memory.data(16, 8));
/** Whose message is at hand: its pool, and how the client is known in it. */
let pool: Pool = changetype<Pool>(0);
let poolIndex: u32 = 0;
let key: u64 = 0;
let limitedAt: u64 = 0;
let homelessAt: u64 = 0;


@inline function pendingAt(index: u32): Pending {
  return changetype<Pending>(pending + <usize>index * 48);
}

/** `eth1`, then words. */
function say(line: Line, iface: Interface): Line {
  return iface.device.nameIn(line).text(": ");
}

/** Starts the server if the operator gave it a pool. Start-up only, after `udpInit`. */
export function dhcpServerInit(): void {
  if (!poolCount()) return;
  assert(offsetof<Pending>() <= 48);
  leasesInit();
  clients.init(CLIENTS_RATE, CLIENTS_BURST);
  for (let i: u32 = 0; i < PENDING; i++) {
    pendingAt(i).timer.init(advance, changetype<usize>(pendingAt(i)));
  }
  const u = udpOpen();
  from.set(0, 0);
  if (u === null || udpBind(u, from, DHCP_SERVER_PORT) != 0) {
    return panic("no endpoint for the DHCP server");
  }
  u.handler = input.index;
  rarpServe(stationAddress);
}

/** Has an interface hear clients, which have no address, if a pool is for it. */
export function dhcpServerStart(iface: Interface): void {
  for (let i: u32 = 0; i < poolCount(); i++) {
    if (poolAt(i).link != iface.device.number) continue;
    iface.serves = true;
    const line = say(info("dhcpd"), iface);
    line.text("leasing from=").ipv4(poolAt(i).first).key("to").ipv4(poolAt(i).last);
    line.key("seconds").number(poolAt(i).lease).end();
  }
}

/** What a station that asks by RARP (RFC 903) is called: 0 unless it has an address of its own. */
function stationAddress(iface: Interface, mac: u64): u32 {
  for (let i: u32 = 0; i < poolCount(); i++) {
    if (poolAt(i).link != iface.device.number) continue;
    const lease = leaseOf(stationKey(i, mac));
    if (lease === null || !lease.fixed) continue;
    dhcpServerStats.rarpReplies++;
    return lease.address;
  }
  return 0;
}

// ---- Messages in ---------------------------------------------------------------------------

/** Takes a datagram to port 67. Owns the packet. */
function input(_u: Udp, packet: Packet | null, _source: IpAddress, _sourcePort: u32): void {
  if (packet === null) return;
  const iface = interfaceAt(packet.iface);
  if (!iface.serves || !understand(iface, packet)) {
    dhcpServerStats.ignored++;
    return packet.release();
  }
  if (message.type == DhcpType.Discover) {
    dhcpServerStats.discovers++;
    return discovered(iface, packet, 0);
  }
  if (!take(iface)) dhcpServerStats.ignored++;
  packet.release();
}

/** Reads a message into `message`, and finds its pool and client; false if there is nothing to answer. */
function understand(iface: Interface, packet: Packet): bool {
  if (!dhcpRead(packet.data, packet.length, message)) return false;
  // On the link itself a client speaks for itself, and there is no relay (RFC 2131, 4.1).
  const near = message.relay ? message.relay : message.clientAddress;
  const onLink = !near || !((near ^ iface.v4Address) & iface.v4Mask);
  const frame = packet.slot + packet.networkOffset - ETHERNET_HEADER;
  const station = changetype<EthernetHeader>(frame).source;
  if (onLink && (message.relay || station != message.mac)) return false;
  if (!iface.v4Address) {
    complain(iface);
    return false;
  }
  if (!choosePool(iface, near)) {
    // Nothing is known of the relay's or client's subnet: then it is ours that counts.
    if (message.relay || !choosePool(iface, 0)) return false;
  }
  key = stationKey(poolIndex, message.mac);
  const own = leaseOf(key);
  // A station's own address is its by its hardware, whatever it calls itself.
  if (message.clientIdLength && (own === null || !own.fixed)) {
    key = clientKey(poolIndex, message.clientId, message.clientIdLength);
  }
  return true;
}

function complain(iface: Interface): void {
  const time = now();
  if (homelessAt && time - homelessAt < SAY_EVERY) return;
  homelessAt = time;
  say(warn("dhcpd"), iface)
    .text("cannot answer, the card has no address: give it one, as in ")
    .text("eth1=10.1.0.1/24")
    .end();
}

/** The pool for a client seen at `near`, 0 for the link itself (RFC 2131, 4.3.1). */
function choosePool(iface: Interface, near: u32): bool {
  const at = near ? near : iface.v4Address;
  for (let i: u32 = 0; i < poolCount(); i++) {
    const one = poolAt(i);
    if (one.link != iface.device.number || (at ^ one.first) & maskOf(one, iface)) continue;
    pool = one;
    poolIndex = i;
    return true;
  }
  return false;
}


@inline function maskOf(one: Pool, iface: Interface): u32 {
  return one.prefix ? v4Mask(one.prefix) : iface.v4Mask;
}

/** What is no Discover; false if it is not for us to answer. */
function take(iface: Interface): bool {
  const lease = leaseOf(key);
  switch (message.type) {
    case DhcpType.Request:
      dhcpServerStats.requests++;
      return requested(iface, lease);
    case DhcpType.Decline:
      dhcpServerStats.declines++;
      if (message.server != iface.v4Address || lease === null) return false;
      if (lease.address != message.requested) return false;
      say(warn("dhcpd"), iface)
        .text("a client found its address in use by another station; set aside")
        .key("address")
        .ipv4(lease.address)
        .key("mac")
        .mac(message.mac)
        .key("seconds")
        .number(ASIDE_TIME / SECOND)
        .end();
      leaseSetAside(lease, ASIDE_TIME);
      return true;
    case DhcpType.Release:
      dhcpServerStats.releases++;
      if (message.server != iface.v4Address || lease === null) return false;
      if (lease.address != message.clientAddress) return false;
      leaseFree(lease);
      return true;
    case DhcpType.Inform:
      dhcpServerStats.informs++;
      if (!message.clientAddress) return false;
      reply(iface, DhcpType.Ack, null);
      return true;
    default:
      return false;
  }
}

// ---- Discover and Request ------------------------------------------------------------------

/** Offers an address (4.3.1), now or when nobody has answered for it. Owns the packet. */
function discovered(iface: Interface, packet: Packet, tries: u32): void {
  let lease = leaseOf(key);
  // What the client has, or had and nobody has taken since, was looked at then.
  const known = lease !== null && lease.state != LeaseState.Free;
  if (lease !== null && lease.state == LeaseState.Aside) return packet.release();
  if (lease === null) {
    if (!tries && !clients.take(now())) {
      limit(iface);
      return packet.release();
    }
    lease = leaseTake(pool, poolIndex, message.requested);
  }
  if (lease === null) {
    exhausted(iface);
    return packet.release();
  }
  if (isWaiting(lease)) return packet.release();
  leaseHold(lease, LeaseState.Offered, key, message.mac, OFFER_TIME);
  if (known || message.relay) {
    reply(iface, DhcpType.Offer, lease);
    return packet.release();
  }
  probe(iface, packet, lease, tries);
}

function limit(iface: Interface): void {
  dhcpServerStats.limited++;
  const time = now();
  if (limitedAt && time - limitedAt < SAY_EVERY) return;
  limitedAt = time;
  say(warn("dhcpd"), iface)
    .text("more new clients than a network has; some are left waiting")
    .key("persecond")
    .number(CLIENTS_RATE)
    .key("mac")
    .mac(message.mac)
    .end();
}

function exhausted(iface: Interface): void {
  dhcpServerStats.exhausted++;
  const time = now();
  if (pool.saidAt && time - pool.saidAt < SAY_EVERY) return;
  pool.saidAt = time;
  say(warn("dhcpd"), iface)
    .text("no address is left: give the pool a wider range or leases a shorter time")
    .key("from")
    .ipv4(pool.first)
    .key("to")
    .ipv4(pool.last)
    .key("mac")
    .mac(message.mac)
    .end();
}

/** 4.3.2: what a Request is follows from what it says of server and addresses. */
function requested(iface: Interface, lease: Lease | null): bool {
  const wanted = message.clientAddress ? message.clientAddress : message.requested;
  const held = lease !== null && lease.state != LeaseState.Aside && lease.address == wanted;
  if (message.server) {
    if (message.server != iface.v4Address) {
      // Another server's offer is taken.
      if (lease !== null && lease.state == LeaseState.Offered) leaseFree(lease);
      return false;
    }
    if (held) bind(iface, lease!);
    else refuse(iface, wanted);
    return true;
  }
  if (!wanted) return false;
  if (held) {
    bind(iface, lease!);
    return true;
  }
  const net = maskOf(pool, iface);
  if (lease !== null || (wanted ^ pool.first) & net) {
    refuse(iface, wanted);
    return true;
  }
  // Of an unknown client: its word is good if it uses the address, and nobody else has it.
  const record = leaseAt(pool, wanted);
  if (record === null || !message.clientAddress) return false;
  if (record.fixed || record.state != LeaseState.Free || !clients.take(now())) {
    refuse(iface, wanted);
    return true;
  }
  bind(iface, record);
  return true;
}

function refuse(iface: Interface, wanted: u32): void {
  say(info("dhcpd"), iface).text("refused address=").ipv4(wanted).key("mac").mac(message.mac).end();
  reply(iface, DhcpType.Nak, null);
}

/** Seconds of a lease: the pool's, or fewer if the client wants fewer. */
function secondsFor(): u32 {
  const wanted = message.leaseTime;
  return wanted ? min<u32>(max<u32>(wanted, 60), pool.lease) : pool.lease;
}

function bind(iface: Interface, lease: Lease): void {
  const fresh = lease.state != LeaseState.Bound;
  const seconds = secondsFor();
  leaseHold(lease, LeaseState.Bound, key, message.mac, <u64>seconds * SECOND);
  const line = say(fresh ? info("dhcpd") : debug("dhcpd"), iface);
  line.text(fresh ? "leased address=" : "extended address=").ipv4(lease.address);
  line.key("mac").mac(message.mac).key("seconds").number(seconds).end();
  reply(iface, DhcpType.Ack, lease);
}

// ---- Probes --------------------------------------------------------------------------------

function isWaiting(lease: Lease): bool {
  for (let i: u32 = 0; pendingCount && i < PENDING; i++)
    if (pendingAt(i).lease == lease) return true;
  return false;
}

/** Asks whether anybody has the address, before it is offered to who sent `packet`. Owns the packet. */
function probe(iface: Interface, packet: Packet, lease: Lease, tries: u32): void {
  for (let i: u32 = 0; i < PENDING; i++) {
    const place = pendingAt(i);
    if (place.packet !== null) continue;
    if (!pendingCount++) arpWatch(heard.index);
    place.packet = packet;
    place.lease = lease;
    place.probes = 1;
    place.tries = tries;
    arpProbe(iface, lease.address);
    return place.timer.arm(now() + PROBE_WAIT);
  }
  // It will ask again; by then there is room.
  leaseFree(lease);
  packet.release();
}

/** Ends the wait; the packet is the caller's. */
function finish(place: Pending): Packet {
  const packet = place.packet!;
  place.packet = null;
  place.lease = null;
  place.timer.cancel();
  if (!--pendingCount) arpWatch(0);
  return packet;
}

function advance(context: usize, time: u64): void {
  const place = changetype<Pending>(context);
  const lease = place.lease!;
  const iface = interfaceAt(place.packet!.iface);
  if (place.probes < PROBES && iface.up) {
    place.probes++;
    arpProbe(iface, lease.address);
    return place.timer.arm(time + PROBE_WAIT);
  }
  const packet = finish(place);
  // The client may have got it by another way since, or the link may have gone.
  if (
    lease.state == LeaseState.Offered &&
    iface.up &&
    understand(iface, packet) &&
    lease.key == key
  ) {
    reply(iface, DhcpType.Offer, lease);
  }
  packet.release();
}

/** A station has said by ARP that it has an address. */
function heard(iface: Interface, address: u32, mac: u64): void {
  for (let i: u32 = 0; i < PENDING; i++) {
    const place = pendingAt(i);
    const lease = place.lease;
    if (lease === null || lease.address != address || place.packet!.iface != iface.index) continue;
    // The client that has it already is nobody else.
    if (lease.mac == mac) return;
    dhcpServerStats.conflicts++;
    say(warn("dhcpd"), iface)
      .text("another station has an address that was to be offered; set aside")
      .key("address")
      .ipv4(address)
      .key("mac")
      .mac(mac)
      .key("seconds")
      .number(ASIDE_TIME / SECOND)
      .end();
    const tries = place.tries + 1;
    const packet = finish(place);
    leaseSetAside(lease, ASIDE_TIME);
    if (tries < TRIES && understand(iface, packet)) discovered(iface, packet, tries);
    else packet.release();
    return;
  }
}

// ---- Messages out --------------------------------------------------------------------------

/** Answers `message` (4.3.1, table 3; where to: 4.1), with what `lease` gives if there is one. */
function reply(iface: Interface, type: DhcpType, lease: Lease | null): void {
  const packet = allocate(PoolId.Standard, Purpose.Control, HEADROOM);
  if (packet === null) {
    dhcpServerStats.noBuffer++;
    return;
  }
  assert(packet.tailroom >= UDP_HEADER + DHCP_ANSWER_MAX);
  const refused = type == DhcpType.Nak;
  memory.fill(changetype<usize>(answer), 0, offsetof<DhcpAnswer>());
  answer.type = type;
  answer.xid = message.xid;
  answer.mac = message.mac;
  // Behind a relay a refused client can be reached by broadcast alone (4.3.2).
  answer.flags = refused && message.relay ? 0x8000 : message.flags;
  answer.relay = message.relay;
  answer.server = iface.v4Address;
  answer.clientId = message.clientId;
  answer.clientIdLength = message.clientIdLength;
  if (!refused) {
    if (type == DhcpType.Ack) answer.clientAddress = message.clientAddress;
    answer.mask = maskOf(pool, iface);
    answer.router = pool.router;
    answer.dns = changetype<usize>(pool) + offsetof<Pool>("dns0");
    answer.dnsCount = min<u32>(pool.dnsCount, POOL_SERVERS);
    answer.ntp = changetype<usize>(pool) + offsetof<Pool>("ntp0");
    answer.ntpCount = min<u32>(pool.ntpCount, POOL_SERVERS);
    answer.domain = pool.domain;
    answer.domainLength = pool.domainLength;
  }
  if (lease !== null) {
    const seconds = secondsFor();
    answer.address = lease.address;
    answer.leaseTime = seconds;
    const given = seconds == pool.lease;
    answer.renewalTime = given && pool.renewal ? pool.renewal : seconds >> 1;
    answer.rebindingTime = given && pool.rebinding ? pool.rebinding : seconds - (seconds >> 3);
    answer.renewalTime = min<u32>(answer.renewalTime, answer.rebindingTime);
  }
  count(type);
  const bytes = UDP_HEADER + dhcpAnswer(packet.data + UDP_HEADER, answer);
  packet.length = bytes;
  let port = DHCP_CLIENT_PORT;
  let mac: u64 = 0;
  if (message.relay) {
    to.setV4(message.relay);
    port = DHCP_SERVER_PORT;
  } else if (message.clientAddress && !refused) {
    to.setV4(message.clientAddress);
  } else if (refused || message.flags & 0x8000 || lease === null) {
    to.setV4(V4_BROADCAST);
    mac = MAC_BROADCAST;
  } else {
    // It answers no ARP yet: the frame goes to its station.
    to.setV4(lease.address);
    mac = message.mac;
  }
  from.setV4(iface.v4Address);
  const pseudo = pseudoHeaderSum(from, to, Protocol.UDP, bytes);
  udpBuild(packet.data, DHCP_SERVER_PORT, port, bytes, pseudo);
  packet.flags = <u8>PacketFlag.ChecksumPending;
  packet.checksumStart = 0;
  packet.checksumOffset = <u16>UDP_CHECKSUM_OFFSET;
  if (mac) ipSendTo(iface, packet, Protocol.UDP, from.v4, to.v4, mac);
  else ipSend(packet, Protocol.UDP, from, to, DEFAULT_TTL, 0);
}

function count(type: DhcpType): void {
  if (type == DhcpType.Offer) dhcpServerStats.offers++;
  else if (type == DhcpType.Ack) dhcpServerStats.acks++;
  else dhcpServerStats.naks++;
}
