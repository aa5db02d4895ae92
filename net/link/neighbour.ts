import { Packet, PacketQueue } from "../../kernel/packet";
import { reserve } from "../../kernel/memory";
import { Errno } from "../../kernel/errno";
import { MILLISECOND, SECOND, Timer } from "../../kernel/timer";
import { debug } from "../../kernel/log";
import { now } from "../../kernel/clock";
import { addressHash } from "../hash";
import { localError } from "../icmp/error";
import { Interface, interfacesChanged } from "../interface";
import { IpError } from "../ip/protocol";
import { reachDoubted } from "../ip/reached";
import { routerResigned } from "../ndp/routers";
import { ndpSolicit } from "../ndp/send";
import { TokenBucket } from "../ratelimit";
import { redirectsEnd } from "../route/redirect";
import { EtherType } from "../wire/ethernet";
import { IpAddress, isV4 } from "../wire/address";
import { arpSolicit } from "./arp";
import { ethernetSend } from "./ethernet";

/**
 * Neighbours: which MAC address an address on the link has. One cache for both families; ARP and
 * neighbour discovery ask and answer. The states are those of RFC 4861, 7.3.2, which do
 * for ARP what RFC 1122, 2.3.2 asks: entries time out, are refreshed by a unicast question, and a
 * packet waits while the answer is out.
 *
 *     ─ first packet ─► Incomplete ─ answer ─► Reachable ─ a while ─► Stale ─ a packet ─► Delay ─ 5 s ─► Probe
 *                           │                      ▲                                        │              │
 *                           └─ no answer ► Failed  └──── what was sent is acknowledged ─────┴─── answer ───┘
 *
 * In Delay each segment sent has its connection tell when the peer acknowledges it (net/ip/reached.ts), so who
 * is talked to by TCP is not asked.
 */
export const enum NeighbourState {
  Free = 0,
  /** Asked by broadcast; packets wait. */
  Incomplete = 1,
  /** Nobody answered: packets are refused until this entry ends. */
  Failed = 2,
  /** Answered some time ago: still used, and the next packet raises a doubt. From here on there is a MAC address. */
  Stale = 3,
  /** About to be asked by unicast, unless a connection makes it needless: its segments are told. */
  Delay = 4,
  /** Answered lately. From here on packets just go: what is to be asked, timers ask. */
  Reachable = 5,
  /** Asked by unicast, still used. */
  Probe = 6,
}

/** One neighbour. 128 bytes. */
@unmanaged
export class Neighbour {
  hi: u64;
  lo: u64;
  /** Its MAC address, unless `Incomplete` or `Failed`. */
  mac: u64;
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  private pendingHead: Packet | null;
  private pendingTail: Packet | null;
  private pendingLength: u32;
  iface: Interface;
  /** Next entry with the same hash, or next free entry. */
  hashNext: Neighbour | null;
  /** `NeighbourState`. */
  state: i32;
  /** Questions asked in this state. */
  attempts: u32;
  /** A packet went there since somebody last looked. */
  used: bool;
  /** Set by the operator: nothing that a packet says changes it. */
  permanent: bool;
  /** It says that it is a router (RFC 4861, 4.4). */
  router: bool;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<Neighbour>("timer0"));
  }

  /** Packets that wait for the answer. */
  @inline get pending(): PacketQueue {
    return changetype<PacketQueue>(changetype<usize>(this) + offsetof<Neighbour>("pendingHead"));
  }


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }


  @inline get isV4(): bool {
    return isV4(this.hi, this.lo);
  }

  /** Packets need no more than its MAC address, and that `used` is set. */
  @inline get isReady(): bool {
    return this.state >= NeighbourState.Reachable;
  }

  /** The same of packets that are not ours, of which no connection here hears. */
  @inline get isReadyForOthers(): bool {
    return this.state >= NeighbourState.Delay;
  }

  /** It answered once, and does not now; or never when it was asked. */
  @inline get isSilent(): bool {
    const state = this.state;
    return state == NeighbourState.Failed || (state == NeighbourState.Incomplete && this.mac != 0);
  }
}

/** What became of packets and questions. */
@unmanaged
export class NeighbourStats {
  /** Entries in use. */
  entries: u32;
  /** Packets waiting for an answer now. */
  pending: u32;
  solicitations: u64;
  /** Questions put off: too many in a short time, or no packet to ask with. */
  throttled: u64;
  resolved: u64;
  failed: u64;
  /** Packets dropped because too many wait. */
  pendingDropped: u64;
  /** Packets dropped because nobody answered. */
  unresolvedDropped: u64;
  /** A neighbour changed its MAC address. */
  changed: u64;
  /** Entries given up for others. */
  evicted: u64;
}
export const neighbourStats = changetype<NeighbourStats>(
  memory.data(offsetof<NeighbourStats>(), 8),
);

const ENTRIES: u32 = 512;
const BUCKETS: u32 = 512;
/** RFC 1122, 2.3.2.2 asks for at least one packet; the fragments of a datagram of any size should survive. */
const PENDING_PER_NEIGHBOUR: u32 = 48;
/** All together may not hold the pool: beyond this, a neighbour gets room for its first one only. */
const PENDING_TOTAL: u32 = 192;
/** RFC 1122, 2.3.2.1: at most one request a second to a destination. */
const RETRY: u64 = SECOND;
const ATTEMPTS: u32 = 3;
/** How long an answer to ARP is good for: as of IPv6 (RFC 4861, 10), within the minute of RFC 1122, 2.3.2.1. */
const REACHABLE_TIME: u64 = 30 * SECOND;
/** DELAY_FIRST_PROBE_TIME (RFC 4861, 10). */
const DELAY_TIME: u64 = 5 * SECOND;
/** An answer is beyond doubt for so long. */
const DOUBT_TIME: u64 = 10 * SECOND;
/** An entry that nothing goes to is dropped after this. */
const STALE_TIME: u64 = 600 * SECOND;
/** How long packets to a silent neighbour are refused before it is asked again. */
const FAILED_TIME: u64 = 3 * SECOND;
/** Until a silent router is forgotten: some two hours, the questions ever further apart. */
const ROUTER_ATTEMPTS: u32 = 40;
/** When to try again what was throttled. */
const THROTTLED_RETRY: u64 = 50 * MILLISECOND;
/** Entries looked at to find one to give up. */
const EVICTION_STEPS: u32 = 16;

let entries: usize = 0;
let buckets: usize = 0;
let free: Neighbour | null = null;
let hand: u32 = 0;
/** All questions together: a scan of a /16 must not become a storm of broadcasts. */
const limit = changetype<TokenBucket>(memory.data(offsetof<TokenBucket>(), 8));
/** Entries made because strangers speak: a flood of names must not push out those in use. */
const learnLimit = changetype<TokenBucket>(memory.data(offsetof<TokenBucket>(), 8));

/** Sets up the cache. Start-up only. */
export function neighboursInit(): void {
  assert(offsetof<Neighbour>() <= 128);
  entries = reserve(ENTRIES * 128, 64);
  buckets = reserve(BUCKETS * 4, 64);
  for (let i: u32 = ENTRIES; i-- > 0;) {
    const entry = changetype<Neighbour>(entries + ((<usize>i) << 7));
    entry.hashNext = free;
    free = entry;
  }
  limit.init(100, 100);
  learnLimit.init(50, 100);
}


@inline function bucketOf(iface: Interface, hi: u64, lo: u64): usize {
  return buckets + ((<usize>(addressHash(hi, lo, iface.index) & (BUCKETS - 1))) << 2);
}

/** The entry of an address on `iface`, or null. */
export function findNeighbour(iface: Interface, hi: u64, lo: u64): Neighbour | null {
  let entry = changetype<Neighbour | null>(load<usize>(bucketOf(iface, hi, lo)));
  while (entry !== null && (entry.lo != lo || entry.hi != hi || entry.iface != iface)) {
    entry = entry.hashNext;
  }
  return entry;
}

function create(iface: Interface, hi: u64, lo: u64): Neighbour | null {
  if (free === null) evict();
  const entry = free;
  if (entry === null) return null;
  free = entry.hashNext;
  memory.fill(changetype<usize>(entry), 0, 128);
  entry.hi = hi;
  entry.lo = lo;
  entry.iface = iface;
  const bucket = bucketOf(iface, hi, lo);
  entry.hashNext = changetype<Neighbour | null>(load<usize>(bucket));
  store<usize>(bucket, changetype<usize>(entry));
  entry.timer.init(timeout, changetype<usize>(entry));
  neighbourStats.entries++;
  return entry;
}

function destroy(entry: Neighbour): void {
  entry.timer.cancel();
  dropPending(entry, false);
  let link = bucketOf(entry.iface, entry.hi, entry.lo);
  while (load<usize>(link) != changetype<usize>(entry)) {
    link = load<usize>(link) + offsetof<Neighbour>("hashNext");
  }
  store<usize>(link, changetype<usize>(entry.hashNext));
  // Routes remember entries.
  interfacesChanged();
  entry.state = NeighbourState.Free;
  entry.hashNext = free;
  free = entry;
  neighbourStats.entries--;
}

/**
 * Gives up an entry that has not been used since the hand last passed it: a clock and not a list,
 * so that using an entry costs one store.
 */
function evict(): void {
  let victim: Neighbour | null = null;
  for (let i: u32 = 0; i < EVICTION_STEPS; i++) {
    const entry = changetype<Neighbour>(entries + ((<usize>hand) << 7));
    hand = (hand + 1) & (ENTRIES - 1);
    if (entry.permanent) continue;
    victim = entry;
    if (!entry.used) break;
    entry.used = false;
  }
  if (victim === null) return;
  neighbourStats.evicted++;
  destroy(victim);
}

/**
 * The entry of an address that a packet is to go to; a new one starts to resolve. Null when the
 * cache is full of permanent ones.
 */
export function neighbourFor(iface: Interface, hi: u64, lo: u64): Neighbour | null {
  const found = findNeighbour(iface, hi, lo);
  if (found !== null) return found;
  const entry = create(iface, hi, lo);
  if (entry === null) return null;
  entry.state = NeighbourState.Incomplete;
  entry.used = true;
  solicit(entry);
  return entry;
}

/** Sends an IP packet to a neighbour, now or when it is resolved. Owns the packet; returns 0 or -Errno. */
@inline export function neighbourSend(entry: Neighbour, packet: Packet): i32 {
  entry.used = true;
  if (!entry.isReady) return sendUnsure(entry, packet);
  return transmit(entry, packet);
}


@inline function transmit(entry: Neighbour, packet: Packet): i32 {
  const type = entry.isV4 ? EtherType.IPv4 : EtherType.IPv6;
  return ethernetSend(entry.iface, packet, entry.mac, type);
}

function sendUnsure(entry: Neighbour, packet: Packet): i32 {
  if (entry.state == NeighbourState.Incomplete) return enqueue(entry, packet);
  if (entry.state == NeighbourState.Failed) {
    neighbourStats.unresolvedDropped++;
    packet.release();
    return -Errno.EHOSTUNREACH;
  }
  if (entry.state == NeighbourState.Stale) {
    entry.state = NeighbourState.Delay;
    entry.timer.arm(now() + DELAY_TIME);
  }
  reachDoubted(entry.iface, packet);
  return transmit(entry, packet);
}

/** How long an answer of its is good for, ns. */
@inline function reachableTime(entry: Neighbour): u64 {
  return entry.isV4 ? REACHABLE_TIME : entry.iface.reachableTime;
}

/** Asks by unicast whether it is still there. */
function probe(entry: Neighbour): void {
  entry.state = NeighbourState.Probe;
  entry.attempts = 0;
  solicit(entry);
}

/** The latest packets are kept (RFC 1122, 2.3.2.2): the oldest are what the peer gave up first. */
function enqueue(entry: Neighbour, packet: Packet): i32 {
  if (!entry.iface.up) {
    entry.iface.downDropped++;
    packet.release();
    return -Errno.ENETDOWN;
  }
  if (entry.pending.length >= PENDING_PER_NEIGHBOUR) {
    const oldest = entry.pending.pop();
    if (oldest !== null) oldest.release();
    neighbourStats.pending--;
    neighbourStats.pendingDropped++;
  } else if (neighbourStats.pending >= PENDING_TOTAL && entry.pending.length > 0) {
    neighbourStats.pendingDropped++;
    packet.release();
    return -Errno.ENOBUFS;
  }
  entry.pending.push(packet);
  neighbourStats.pending++;
  return 0;
}

/** Asks, and sets the time to ask again. What could not be asked does not count as an attempt. */
function solicit(entry: Neighbour): void {
  const time = now();
  if (limit.take(time) && ask(entry)) {
    neighbourStats.solicitations++;
    entry.attempts++;
    entry.timer.arm(time + (entry.isV4 ? RETRY : entry.iface.retransTime));
  } else {
    neighbourStats.throttled++;
    entry.timer.arm(time + THROTTLED_RETRY);
  }
}

/** Asks by the family's own means; false for want of a packet. */
function ask(entry: Neighbour): bool {
  const unicast = entry.state == NeighbourState.Probe ? entry.mac : 0;
  if (entry.isV4) return arpSolicit(entry.iface, entry.address.v4, unicast);
  return ndpSolicit(entry.iface, entry.address, unicast);
}

function timeout(context: usize, time: u64): void {
  const entry = changetype<Neighbour>(context);
  switch (entry.state) {
    case NeighbourState.Incomplete:
      if (entry.attempts < ATTEMPTS) return solicit(entry);
      return fail(entry, time);
    case NeighbourState.Reachable:
      entry.state = NeighbourState.Stale;
      return entry.timer.arm(time + STALE_TIME);
    case NeighbourState.Delay:
      return probe(entry);
    case NeighbourState.Probe:
      if (entry.attempts < ATTEMPTS) return solicit(entry);
      // The address may have moved to another station: ask all, if anybody still wants to know.
      if (!entry.used) return destroy(entry);
      entry.state = NeighbourState.Incomplete;
      redirectsEnd(entry.iface, entry.hi, entry.lo, true);
      reroute(entry);
      entry.attempts = 0;
      return solicit(entry);
    default:
      // Traffic goes by other routers meanwhile, and comes back to this one when it answers.
      if (entry.router && entry.attempts < ROUTER_ATTEMPTS) {
        const wait = FAILED_TIME << min<u32>(entry.attempts - ATTEMPTS, 6);
        solicit(entry);
        return entry.timer.arm(time + wait);
      }
      reroute(entry);
      destroy(entry);
  }
}

/** What goes by a router is routed anew when it falls silent, or might speak again (RFC 4861, 7.3.3). */
function reroute(entry: Neighbour): void {
  if (entry.router) interfacesChanged();
}

function fail(entry: Neighbour, time: u64): void {
  debug("neighbour").text("no answer").key("address").ip(entry.address).end();
  neighbourStats.failed++;
  entry.state = NeighbourState.Failed;
  redirectsEnd(entry.iface, entry.hi, entry.lo, true);
  reroute(entry);
  entry.timer.arm(time + FAILED_TIME);
  dropPending(entry, true);
}

/** Lets go of the packets that wait; `tell`: their senders learn that the host is unreachable. */
function dropPending(entry: Neighbour, tell: bool): void {
  for (let packet = entry.pending.pop(); packet !== null; packet = entry.pending.pop()) {
    neighbourStats.pending--;
    neighbourStats.unresolvedDropped++;
    packet.iface = entry.iface.index;
    if (tell) localError(packet, IpError.HostUnreachable);
    packet.release();
  }
}

/** Takes `mac` as the answer for an entry. */
function confirm(entry: Neighbour, mac: u64): void {
  settle(entry, mac, NeighbourState.Reachable);
}

/** What goes to it arrives, as a connection has just seen: that is as good as an answer. */
export function neighbourReached(entry: Neighbour): void {
  if (isKnown(entry)) confirm(entry, entry.mac);
}

/** Takes `mac` for an entry, which is `Reachable` or, if it did not answer us, `Stale`. */
function settle(entry: Neighbour, mac: u64, state: NeighbourState): void {
  if (entry.permanent) return;
  if (!isKnown(entry)) {
    neighbourStats.resolved++;
  } else if (entry.mac != mac) {
    neighbourStats.changed++;
    debug("neighbour").text("moved").key("address").ip(entry.address).key("mac").mac(mac).end();
  }
  // Routes remember where it was, and that a router was silent.
  if (entry.mac && entry.mac != mac) interfacesChanged();
  else if (entry.isSilent) reroute(entry);
  entry.mac = mac;
  entry.state = state;
  entry.used = false;
  entry.timer.arm(now() + (state == NeighbourState.Reachable ? reachableTime(entry) : STALE_TIME));
  for (let packet = entry.pending.pop(); packet !== null; packet = entry.pending.pop()) {
    neighbourStats.pending--;
    neighbourSend(entry, packet);
  }
}

/** What goes there seems to be lost: asks whether it is still there, unless it has just said so. */
export function neighbourDoubt(entry: Neighbour): void {
  if (entry.state != NeighbourState.Reachable || entry.permanent) return;
  if (now() + reachableTime(entry) < entry.timer.deadline + DOUBT_TIME) return;
  probe(entry);
}

/**
 * A neighbour said where it is. Only an entry that exists changes (RFC 826, "Packet Reception",
 * the merge); true if there was one.
 */
export function neighbourUpdate(iface: Interface, hi: u64, lo: u64, mac: u64): bool {
  const entry = findNeighbour(iface, hi, lo);
  if (entry === null) return false;
  confirm(entry, mac);
  return true;
}

/** A neighbour that asked for us said where it is. It is about to get an answer, so it gets an entry. */
export function neighbourLearn(iface: Interface, hi: u64, lo: u64, mac: u64): void {
  if (neighbourUpdate(iface, hi, lo, mac)) return;
  const entry = create(iface, hi, lo);
  if (entry !== null) confirm(entry, mac);
}

/**
 * A neighbour discovery message of a neighbour's own says where it is (RFC 4861, 7.2.3, 6.3.4): new or
 * different, that is to be verified when it is used. `router`: the message was a router's.
 */
export function neighbourHeard(iface: Interface, hi: u64, lo: u64, mac: u64, router: bool): void {
  let entry = findNeighbour(iface, hi, lo);
  const strange = entry === null || !isKnown(entry);
  if (entry === null) {
    if (!learnLimit.take(now())) {
      neighbourStats.throttled++;
      return;
    }
    entry = create(iface, hi, lo);
    if (entry === null) return;
    settle(entry, mac, NeighbourState.Stale);
  } else if (entry.mac != mac || !isKnown(entry)) {
    settle(entry, mac, NeighbourState.Stale);
  }
  if (!router) return;
  entry.router = true;
  // Traffic may come back to one that had fallen silent.
  if (strange) interfacesChanged();
}

/** A neighbour acts as a host does (RFC 4861, 6.2.6). */
export function neighbourIsHost(iface: Interface, hi: u64, lo: u64): void {
  const entry = findNeighbour(iface, hi, lo);
  if (entry === null || !entry.router) return;
  entry.router = false;
  routerResigned(iface, entry.address);
  redirectsEnd(iface, hi, lo, false);
}

/** Whether the entry has a MAC address, as far as anybody knows still the right one. */
@inline export function isKnown(entry: Neighbour): bool {
  return entry.state >= NeighbourState.Stale;
}

/**
 * A neighbour advertisement (RFC 4861, 7.2.5). `mac` is 0 when it names none. Only an entry that
 * exists changes: nobody can fill the cache unasked.
 */
export function neighbourAdvertised(
  iface: Interface,
  hi: u64,
  lo: u64,
  mac: u64,
  solicited: bool,
  overrides: bool,
  router: bool,
): void {
  const entry = findNeighbour(iface, hi, lo);
  if (entry === null || entry.permanent) return;
  if (!isKnown(entry)) {
    if (!mac) return;
    settle(entry, mac, solicited ? NeighbourState.Reachable : NeighbourState.Stale);
  } else if (mac && mac != entry.mac && !overrides) {
    // Perhaps another speaks for it, perhaps it is forged: what is known stays in use, and is asked.
    if (entry.state == NeighbourState.Reachable) settle(entry, entry.mac, NeighbourState.Stale);
    return;
  } else {
    const moved = mac != 0 && mac != entry.mac;
    if (solicited) confirm(entry, mac ? mac : entry.mac);
    else if (moved) settle(entry, mac, NeighbourState.Stale);
  }
  if (entry.router && !router) {
    routerResigned(iface, entry.address);
    redirectsEnd(iface, hi, lo, false);
  }
  entry.router = router;
}

/** Sets an entry that no packet changes. False when the cache has no room. */
export function neighbourSetPermanent(iface: Interface, hi: u64, lo: u64, mac: u64): bool {
  let entry = findNeighbour(iface, hi, lo);
  if (entry === null) entry = create(iface, hi, lo);
  if (entry === null) return false;
  entry.permanent = false;
  confirm(entry, mac);
  entry.permanent = true;
  entry.timer.cancel();
  return true;
}

/** Forgets the neighbours of an interface but for permanent ones: its link or subnet has changed. */
export function neighboursFlush(iface: Interface): void {
  for (let i: u32 = 0; i < ENTRIES; i++) {
    const entry = changetype<Neighbour>(entries + ((<usize>i) << 7));
    if (entry.state != NeighbourState.Free && entry.iface == iface && !entry.permanent) {
      destroy(entry);
    }
  }
}
