import { now } from "../../kernel/clock";
import { reserve } from "../../kernel/memory";
import {
  HEADROOM,
  Owner,
  Packet,
  PacketFlag,
  PoolId,
  Purpose,
  allocate,
  poolFor,
  poolOf,
} from "../../kernel/packet";
import { SECOND, Timer } from "../../kernel/timer";
import { addressHash } from "../hash";
import { IpAddress } from "../wire/address";
import { IpEcn } from "../wire/ipv4";
import { IpStats } from "./stats";

/**
 * Puts fragments together, of either family (RFC 791, 3.2; RFC 815; RFC 8200, 4.5). They stay in the slots in
 * which they came, in order of offset; when none is missing all are copied once, into one run of bytes, so that
 * nothing above knows packets of several pieces.
 *
 * Fragments are the cheapest way to make a host keep something. So:
 * - Those that overlap refuse their datagram, and what of it is still to come (RFC 5722, 3): nobody sends such in
 *   good faith, and who sees which bytes would depend on the order. Exact doubles are dropped.
 * - All together hold a part of the packets of a pool, and those of one source a part of that: a source that has
 *   its part makes room from its own. When all is full, the source that holds most makes room, with its oldest.
 *   A datagram whose fragments come one behind the other needs its place for milliseconds.
 */

/** RFC 8200, 4.5; RFC 1122, 3.3.2 allows 60 to 120 s. */
const LIFETIME: u64 = 60 * SECOND;
/** Fragments of a datagram: of 512 bytes, the largest datagram has as many. */
const PIECES_MAX: u32 = 128;
/** Packets for all datagrams, and for those of a source, as shifts: of the pool, of all. */
const SHARE: u32 = 2;
const SOURCE_SHARE: u32 = 3;
/** Datagrams under way, refused ones included. */
const ASSEMBLIES_MAX: u32 = 1024;
const BUCKETS: u32 = 256;
/** Sources are told apart by a hash. */
const SOURCES: u32 = 64;

/** A datagram under way. 128 bytes. */
@unmanaged
class Assembly {
  sourceHi: u64;
  sourceLo: u64;
  destinationHi: u64;
  destinationLo: u64;
  /** When it is given up, ns. */
  deadline: u64;
  id: u32;
  /** IPv4: the protocol. */
  protocol: u32;
  /** Fragments by offset, which is their `note`. */
  first: Packet | null;
  last: Packet | null;
  pieces: u32;
  /** Bytes that have come; bytes in all, 0 as long as the last one has not come. */
  received: u32;
  total: u32;
  /** ECN fields seen, a bit for each (RFC 3168, 5.3). */
  ecn: u8;
  /** `LinkBroadcast`, `LinkMulticast` of any of them. */
  flags: u8;
  /** Refused: kept to refuse what is still to come. */
  refused: bool;
  source: u8;
  stats: IpStats;
  hashNext: Assembly | null;
  /** Neighbours by age, of all and of its source. */
  older: Assembly | null;
  newer: Assembly | null;
  sourceOlder: Assembly | null;
  sourceNewer: Assembly | null;
}

/** What the datagrams of a source hold. 16 bytes. */
@unmanaged
class Source {
  oldest: Assembly | null;
  newest: Assembly | null;
  packets: u32;
  assemblies: u32;
}

const buckets: usize = memory.data(256 * 4, 64);
const sources: usize = memory.data(64 * 16, 64);
let free: Assembly | null = null;
let oldest: Assembly | null = null;
let newest: Assembly | null = null;
/** Packets held by all datagrams, and most that they, and those of one source, may hold. */
let packets: u32 = 0;
let packetsMax: u32 = 0;
let sourceMax: u32 = 0;
/** Table index of `(first: Packet) => void`: some fragments of the packet never came. */
let timedOut: u32 = 0;
const timer = changetype<Timer>(memory.data(offsetof<Timer>(), 8));

/** Reserves its tables; `onTimeout` is told of datagrams of which the first fragment came, but not all. */
export function reassemblyInit(onTimeout: (first: Packet) => void): void {
  assert(offsetof<Assembly>() <= 128 && offsetof<Source>() == 16);
  packetsMax = poolOf(PoolId.Standard).slots >> SHARE;
  sourceMax = packetsMax >> SOURCE_SHARE;
  const count = min<u32>(packetsMax, ASSEMBLIES_MAX);
  const records = reserve(count * 128, 64);
  for (let i = count; i-- > 0;) {
    const a = changetype<Assembly>(records + ((<usize>i) << 7));
    a.hashNext = free;
    free = a;
  }
  timedOut = onTimeout.index;
  timer.init(onTimer, 0);
}

/** Packets that wait for the rest of their datagrams. */
export function reassemblyPackets(): u32 {
  return packets;
}


@inline function bucketOf(source: IpAddress, destination: IpAddress, id: u32): usize {
  const far = addressHash(destination.hi, destination.lo, id);
  return buckets + ((<usize>(addressHash(source.hi, source.lo, far) & (BUCKETS - 1))) << 2);
}


@inline function sourceAt(index: u32): Source {
  return changetype<Source>(sources + ((<usize>index) << 4));
}

// ---- Datagrams under way -------------------------------------------------------------------

function find(source: IpAddress, destination: IpAddress, id: u32, protocol: u32): Assembly | null {
  let a = changetype<Assembly | null>(load<usize>(bucketOf(source, destination, id)));
  while (
    a !== null &&
    (a.id != id ||
      a.protocol != protocol ||
      a.sourceLo != source.lo ||
      a.sourceHi != source.hi ||
      a.destinationLo != destination.lo ||
      a.destinationHi != destination.hi)
  ) {
    a = a.hashNext;
  }
  return a;
}

function begin(
  source: IpAddress,
  destination: IpAddress,
  id: u32,
  protocol: u32,
  stats: IpStats,
): Assembly {
  if (free === null) evict(heaviest());
  const a = changetype<Assembly>(free);
  free = a.hashNext;
  memory.fill(changetype<usize>(a), 0, offsetof<Assembly>());
  a.sourceHi = source.hi;
  a.sourceLo = source.lo;
  a.destinationHi = destination.hi;
  a.destinationLo = destination.lo;
  a.id = id;
  a.protocol = protocol;
  a.stats = stats;
  a.deadline = now() + LIFETIME;
  const bucket = bucketOf(source, destination, id);
  a.hashNext = changetype<Assembly | null>(load<usize>(bucket));
  store<usize>(bucket, changetype<usize>(a));
  a.older = newest;
  if (newest !== null) newest!.newer = a;
  else oldest = a;
  newest = a;
  a.source = <u8>(addressHash(source.hi, source.lo, 0) & (SOURCES - 1));
  const s = sourceAt(a.source);
  s.assemblies++;
  const before = s.newest;
  a.sourceOlder = before;
  if (before !== null) before.sourceNewer = a;
  else s.oldest = a;
  s.newest = a;
  if (!timer.armed) timer.arm(a.deadline);
  return a;
}

/** Takes it out of all tables; its packets must be gone. */
function end(a: Assembly): void {
  const from = changetype<IpAddress>(changetype<usize>(a));
  const to = changetype<IpAddress>(changetype<usize>(a) + offsetof<Assembly>("destinationHi"));
  let link = bucketOf(from, to, a.id);
  while (load<usize>(link) != changetype<usize>(a)) {
    link = load<usize>(link) + offsetof<Assembly>("hashNext");
  }
  store<usize>(link, changetype<usize>(a.hashNext));
  const older = a.older;
  const newer = a.newer;
  if (older !== null) older.newer = newer;
  else oldest = newer;
  if (newer !== null) newer.older = older;
  else newest = older;
  const s = sourceAt(a.source);
  const sourceOlder = a.sourceOlder;
  const sourceNewer = a.sourceNewer;
  if (sourceOlder !== null) sourceOlder.sourceNewer = sourceNewer;
  else s.oldest = sourceNewer;
  if (sourceNewer !== null) sourceNewer.sourceOlder = sourceOlder;
  else s.newest = sourceOlder;
  s.assemblies--;
  if (oldest === null) timer.cancel();
  a.hashNext = free;
  free = a;
}

/** Frees the packets of a datagram. */
function clear(a: Assembly): void {
  let piece = a.first;
  while (piece !== null) {
    const next = piece.next;
    piece.release();
    piece = next;
  }
  packets -= a.pieces;
  sourceAt(a.source).packets -= a.pieces;
  a.first = null;
  a.last = null;
  a.pieces = 0;
}

/** The source that holds most, in packets and, as refused ones hold none, in datagrams. */
function heaviest(): Source {
  let most = sourceAt(0);
  for (let i: u32 = 1; i < SOURCES; i++) {
    const s = sourceAt(i);
    if (s.packets + s.assemblies > most.packets + most.assemblies) most = s;
  }
  return most;
}

/** Gives up the oldest datagram of a source that has one. */
function evict(s: Source): void {
  const a = changetype<Assembly>(s.oldest);
  if (!a.refused) a.stats.reassemblyEvicted++;
  clear(a);
  end(a);
}

/** Gives up a datagram, and refuses what of it may still come. */
function refuse(a: Assembly): void {
  a.stats.overlaps++;
  clear(a);
  a.refused = true;
}

/** Makes room for one more packet of a source. False when `a` itself, which it is for, had to go. */
function makeRoom(a: Assembly): bool {
  const s = sourceAt(a.source);
  const pool = poolOf(PoolId.Standard);
  while (s.packets >= sourceMax || packets >= packetsMax || isScarce(pool.owned(Owner.Free))) {
    if (!packets) return true;
    const from = s.packets >= sourceMax ? s : heaviest();
    if (from.oldest === a) {
      evict(from);
      return false;
    }
    evict(from);
  }
  return true;
}

/** Whether so few packets are free that what will be sent again goes first. */
@inline function isScarce(left: u32): bool {
  return left <= poolOf(PoolId.Standard).floor(Purpose.OutOfOrder);
}

function onTimer(_context: usize, time: u64): void {
  while (oldest !== null) {
    const a = changetype<Assembly>(oldest);
    if (a.deadline > time) return timer.arm(a.deadline);
    if (!a.refused) {
      a.stats.reassemblyTimeouts++;
      const first = a.first;
      if (first !== null && !first.note) call_indirect<void>(timedOut, first);
    }
    clear(a);
    end(a);
  }
}

// ---- Fragments -----------------------------------------------------------------------------

/**
 * Takes a fragment: `packet.data` and `length` are its bytes, which lie at `offset` of the whole, `more` follow
 * them or not. `networkOffset` and `iface` must hold. Owns the packet. Returns the whole when nothing is
 * missing, valid until the next call, else null.
 */
export function reassemblyAdd(
  packet: Packet,
  source: IpAddress,
  destination: IpAddress,
  id: u32,
  protocol: u32,
  offset: u32,
  more: bool,
  ecn: u32,
  stats: IpStats,
): Assembled | null {
  let found = find(source, destination, id, protocol);
  if (found !== null && found.refused) {
    packet.release();
    return null;
  }
  const a = found !== null ? found : begin(source, destination, id, protocol, stats);
  if (!makeRoom(a)) {
    packet.release();
    return null;
  }
  const length = packet.length;
  const total = a.total;
  const endsAt = offset + length;
  // Which is the last one, all of them must agree on.
  if (total ? endsAt > total || (!more && endsAt != total) : !more && endsAt < reach(a)) {
    packet.release();
    refuse(a);
    return null;
  }
  const placed = place(a, packet, offset);
  if (placed != Place.Taken) {
    packet.release();
    if (placed == Place.Double) stats.duplicateFragments++;
    else refuse(a);
    return null;
  }
  if (!more) a.total = endsAt;
  a.received += length;
  a.ecn |= <u8>((<u32>1) << ecn);
  a.flags |= packet.flags & (<u8>(PacketFlag.LinkBroadcast | PacketFlag.LinkMulticast));
  packets++;
  a.pieces++;
  sourceAt(a.source).packets++;
  if (a.received == a.total) return assemble(a);
  if (a.pieces == PIECES_MAX) refuse(a);
  return null;
}

/** Where the furthest fragment ends. */
@inline function reach(a: Assembly): u32 {
  const last = a.last;
  return last === null ? 0 : last.note + last.length;
}

const enum Place {
  Taken = 0,
  Double = 1,
  Overlap = 2,
}

/** Puts a fragment into its place between the others. Cost: one look if they come in order. */
function place(a: Assembly, packet: Packet, offset: u32): Place {
  const length = packet.length;
  let before: Packet | null = null;
  let after = a.first;
  const last = a.last;
  if (last !== null && last.note < offset) {
    before = last;
    after = null;
  }
  while (after !== null && after.note <= offset) {
    before = after;
    after = after.next;
  }
  if (before !== null) {
    if (before.note == offset && before.length == length) return Place.Double;
    if (before.note + before.length > offset) return Place.Overlap;
  }
  if (after !== null && offset + length > after.note) return Place.Overlap;
  packet.note = offset;
  packet.next = after;
  if (before !== null) before.next = packet;
  else a.first = packet;
  if (after === null) a.last = packet;
  return Place.Taken;
}

// ---- The whole -----------------------------------------------------------------------------

/** What has come together, until its headers are there. */
@unmanaged
export class Assembled {
  /** Its first fragment, with headers before `data`; the others follow by `next`. */
  first: Packet;
  /** Bytes behind the headers. */
  length: u32;
  /** It met congestion (RFC 3168, 5.3). */
  congested: bool;
  /** `Assembly`'s. */
  flags: u8;
  stats: IpStats;

  /** Frees it. */
  release(): void {
    let piece: Packet | null = this.first;
    while (piece !== null) {
      const next = piece.next;
      piece.release();
      piece = next;
    }
  }

  /**
   * Makes one packet of it, behind the first `headers` bytes of the first fragment, its network header and what
   * follows: there `data` begins. Frees the fragments. Null, and counted, without memory.
   */
  join(headers: u32): Packet | null {
    const bytes = headers + this.length;
    const whole = allocate(poolFor(bytes), Purpose.Data, HEADROOM);
    if (whole === null) {
      this.stats.reassemblyNoBuffer++;
      this.release();
      return null;
    }
    whole.length = bytes;
    whole.flags = this.flags;
    whole.iface = this.first.iface;
    whole.networkOffset = <u16>HEADROOM;
    memory.copy(whole.data, this.first.slot + this.first.networkOffset, headers);
    let piece: Packet | null = this.first;
    while (piece !== null) {
      memory.copy(whole.data + headers + piece.note, piece.data, piece.length);
      piece = piece.next;
    }
    this.release();
    this.stats.reassembled++;
    return whole;
  }
}

const assembled = changetype<Assembled>(memory.data(offsetof<Assembled>(), 8));

/** Takes a datagram that is complete off the tables. Null when its marks contradict each other. */
function assemble(a: Assembly): Assembled | null {
  const ecn: u32 = a.ecn;
  const congested = (ecn & (1 << IpEcn.Congested)) != 0;
  if (congested && ecn & (1 << IpEcn.NotCapable)) {
    // A router marks only what says that it knows ECN: as if it had dropped the packet (RFC 3168, 5.3).
    a.stats.badFragments += a.pieces;
    clear(a);
    end(a);
    return null;
  }
  assembled.first = changetype<Packet>(a.first);
  assembled.length = a.total;
  assembled.congested = congested;
  assembled.flags = a.flags;
  assembled.stats = a.stats;
  packets -= a.pieces;
  sourceAt(a.source).packets -= a.pieces;
  a.first = null;
  a.pieces = 0;
  end(a);
  return assembled;
}
