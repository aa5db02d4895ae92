import { reserve } from "../../../kernel/memory";
import { delivered, delivery } from "./delivery";
import { Flight, Mark, Transmission } from "./flight";
import { rackDelivered } from "./rack";
import { seqGreater, seqLess, seqLessEqual } from "../seq";
import { tcpStats } from "../stats";
import { Extent, Tcb, TcbFlag } from "../tcb";

/**
 * Keeps the list of transmissions (flight.ts). Sending and acknowledging in order cost O(1): what
 * one output pass sends is one transmission, and what is acknowledged comes off the front. They
 * come from a pool; when a connection can get none, its last one grows over what it sends, so that
 * less is known and nothing fails.
 */

const TRANSMISSION_BYTES: u32 = 64;
/** Transmissions that a connection may hold when others hold all the rest. */
const SHARE_MIN: u32 = 4;
/** Most bytes of one transmission, so that what a rate sample sees stays a burst. */
const RUN_MAX: u32 = 0xffff;

let free: Transmission | null = null;
let freeCount: u32 = 0;

/** Reserves `count` transmissions beside the one that each connection has. Start-up only. */
export function scoreboardInit(count: u32): void {
  assert(offsetof<Transmission>() == TRANSMISSION_BYTES);
  const base = reserve(count * TRANSMISSION_BYTES, 64);
  free = null;
  freeCount = count;
  for (let i = count; i-- > 0;) {
    const record = changetype<Transmission>(base + <usize>i * TRANSMISSION_BYTES);
    record.next = free;
    free = record;
  }
}

/** Bytes in flight: sent, and neither sacked nor taken to be lost (RFC 6675, 4: pipe). */
@inline export function inFlight(t: Tcb): u32 {
  return t.sndNxt - t.sndUna - t.work.sackedBytes - t.work.lostBytes;
}

/** One for `flight`, which may hold a quarter as many as are free; null when that is too many. */
function allocate(flight: Flight): Transmission | null {
  const own = flight.own;
  if (!own.segmentSize) return own;
  const record = free;
  if (record === null || flight.transmissions >= max<u32>(freeCount >> 2, SHARE_MIN)) return null;
  free = record.next;
  freeCount--;
  tcpStats.transmissions++;
  return record;
}

/** Gives one back that is in neither list. */
function release(flight: Flight, record: Transmission): void {
  flight.transmissions--;
  if (record === flight.own) {
    record.segmentSize = 0;
    return;
  }
  record.next = free;
  free = record;
  freeCount++;
  tcpStats.transmissions--;
}

/** The connection's own, if it is free. Nothing is done to it. */
@inline export function loneRecord(flight: Flight): Transmission | null {
  const own = flight.own;
  return own.segmentSize ? null : own;
}

/** The only one in flight, neither sacked nor lost, is no more. */
@inline export function landed(flight: Flight, record: Transmission): void {
  flight.head = null;
  flight.tail = null;
  flight.earliest = null;
  flight.latest = null;
  flight.lostHint = null;
  flight.sackHint = null;
  release(flight, record);
}

/** Puts one at the end of the order of time. */
@inline function goes(flight: Flight, record: Transmission): void {
  const latest = flight.latest;
  record.earlier = latest;
  record.later = null;
  if (latest === null) flight.earliest = record;
  else latest.later = record;
  flight.latest = record;
}

/** Takes one out of the order of time: it is in flight no more. */
@inline function lands(flight: Flight, record: Transmission): void {
  const earlier = record.earlier;
  const later = record.later;
  if (earlier === null) flight.earliest = later;
  else earlier.later = later;
  if (later === null) flight.latest = earlier;
  else later.earlier = earlier;
}

/** Notes when it goes, with what in flight, and what had been delivered by then, when. */
@inline export function stamp(
  flight: Flight,
  record: Transmission,
  marks: u32,
  flying: u32,
  now: u64,
  deliveredAt: u64,
  firstSentAt: u64,
): void {
  record.marks = <u8>(flight.appLimited ? marks | Mark.AppLimited : marks);
  record.inFlight = flying;
  record.delivered = <u32>flight.delivered;
  record.lost = <u32>flight.lost;
  record.sentAt = now;
  record.deliveredAt = deliveredAt;
  record.firstSentAt = firstSentAt;
}

/** A record of new bytes from `seq`, which `extent` holds, up to `end`, in segments of `mss`. */
@inline export function describe(
  record: Transmission,
  extent: Extent | null,
  seq: u32,
  end: u32,
  mss: u32,
): void {
  record.extent = extent;
  record.seq = seq;
  record.end = end;
  record.segmentSize = <u16>mss;
}

/** Puts one that goes now, `flying` bytes in flight with it, at the end of the order of time. */
@inline function launch(
  flight: Flight,
  record: Transmission,
  marks: u32,
  flying: u32,
  now: u64,
): void {
  if (flying == record.length) {
    // Nothing else is in flight: the measuring of the rate begins anew (3.2).
    flight.firstSentAt = now;
    flight.deliveredAt = now;
  }
  stamp(flight, record, marks, flying, now, flight.deliveredAt, flight.firstSentAt);
  goes(flight, record);
}

/** New data has gone in segments of `mss`, from `seq`, which `extent` holds, up to SND.NXT. */
export function transmitted(t: Tcb, seq: u32, extent: Extent | null, mss: u32, now: u64): void {
  const flight: Flight = t.work;
  const end = t.sndNxt;
  const flying = inFlight(t);
  const tail = flight.tail;
  flight.prrOut += end - seq;
  if (tail !== null && joins(tail, seq, end, mss, now)) {
    tail.end = end;
    tail.inFlight = flying;
    return;
  }
  const record = allocate(flight);
  if (record === null) {
    coarsen(t, changetype<Transmission>(tail), end, now);
    return;
  }
  record.next = null;
  describe(record, extent, seq, end, mss);
  if (tail === null) {
    flight.head = record;
    flight.fack = seq;
  } else {
    tail.next = record;
  }
  flight.tail = record;
  flight.transmissions++;
  launch(flight, record, 0, flying, now);
}

/** What went last is a probe of the path. False if it has no record of its own. */
export function markProbe(t: Tcb): bool {
  const tail = t.work.tail;
  if (tail === null || tail.length != <u32>tail.segmentSize) return false;
  tail.marks |= <u8>Mark.Probe;
  return true;
}

/** Whether bytes up to `end` go together with the last transmission: same pass, full segments. */
@inline function joins(tail: Transmission, seq: u32, end: u32, mss: u32, now: u64): bool {
  return (
    tail.sentAt == now &&
    !(tail.marks & (Mark.Sacked | Mark.Lost | Mark.Retransmitted | Mark.Probe)) &&
    <u32>tail.segmentSize == mss &&
    end - tail.seq <= RUN_MAX &&
    (seq - tail.seq) % mss == 0
  );
}

/**
 * No memory: the last transmission grows up to `end` and counts as sent now, more than once. What
 * was known of its parts is forgotten, which can only put off a retransmission or add one.
 */
function coarsen(t: Tcb, tail: Transmission, end: u32, now: u64): void {
  const flight: Flight = t.work;
  if (tail.has(Mark.Sacked)) {
    flight.sackedBytes -= tail.length;
    flight.sackedSegments -= tail.segments;
  } else if (tail.has(Mark.Lost)) {
    flight.lostBytes -= tail.length;
  } else {
    lands(flight, tail);
  }
  tail.end = end;
  launch(flight, tail, Mark.Retransmitted, inFlight(t), now);
}

/**
 * Divides `record` at `at`, within it, and returns the second part; null when there is no memory.
 * Costs a step for each extent of the first part.
 */
function split(flight: Flight, record: Transmission, at: u32): Transmission | null {
  const rest = allocate(flight);
  if (rest === null) return null;
  memory.copy(changetype<usize>(rest), changetype<usize>(record), TRANSMISSION_BYTES);
  let extent = record.extent;
  while (extent !== null && seqLessEqual(extent.seq + extent.length, at)) extent = extent.next;
  rest.extent = extent;
  rest.seq = at;
  record.end = at;
  record.next = rest;
  flight.transmissions++;
  if (flight.tail === record) flight.tail = rest;
  if (!record.has(Mark.Sacked | Mark.Lost)) {
    const later = record.later;
    rest.earlier = record;
    record.later = rest;
    if (later === null) flight.latest = rest;
    else later.earlier = rest;
  }
  return rest;
}

/** Everything before SND.UNA is acknowledged: it comes off the front. */
export function scoreboardAcknowledged(t: Tcb, now: u64): void {
  const flight: Flight = t.work;
  const ack = t.sndUna;
  let record = flight.head;
  while (record !== null && seqLessEqual(record.end, ack)) {
    const next = record.next;
    leave(t, record, record.end, record.length, now);
    if (!record.has(Mark.Sacked | Mark.Lost)) lands(flight, record);
    if (flight.lostHint === record) flight.lostHint = next;
    if (flight.sackHint === record) flight.sackHint = null;
    release(flight, record);
    record = next;
  }
  flight.head = record;
  if (record === null) {
    flight.tail = null;
  } else if (seqLess(record.seq, ack)) {
    leave(t, record, ack, ack - record.seq, now);
    record.seq = ack;
    record.extent = t.sendHead;
  }
}

/** The first `bytes` of `record`, up to `end`, are acknowledged. */
@inline function leave(t: Tcb, record: Transmission, end: u32, bytes: u32, now: u64): void {
  const flight: Flight = t.work;
  if (record.has(Mark.Sacked)) {
    const size: u32 = record.segmentSize;
    flight.sackedBytes -= bytes;
    flight.sackedSegments -= record.segments - (record.end - end + size - 1) / size;
    return;
  }
  if (record.has(Mark.Lost)) flight.lostBytes -= bytes;
  arrive(t, record, end, bytes, now);
}

/** `bytes` of `record` up to `end` are known to have arrived. */
@inline function arrive(t: Tcb, record: Transmission, end: u32, bytes: u32, now: u64): void {
  delivered(t.work, record, end, bytes, now);
  if (t.has(TcbFlag.Sack)) rackDelivered(t, record, end, now);
}

/**
 * The peer has what lies from `left` up to `right`, all of it between SND.UNA and what was sent: marks
 * the segments that are in it whole, and no parts of segments, so that a run is cut only where its
 * segments were. Runs side by side that are sacked become one, so the walk is over holes, and begins
 * where the last block ended if it can.
 */
export function sackRange(t: Tcb, left: u32, right: u32, now: u64): void {
  const flight: Flight = t.work;
  const hint = flight.sackHint;
  let previous: Transmission | null = null;
  let record = hint !== null && seqLessEqual(hint.seq, left) ? hint : flight.head;
  while (record !== null && seqLess(record.seq, right)) {
    let next = record.next;
    if (seqGreater(record.end, left) && !record.has(Mark.Sacked)) {
      const part = within(flight, record, left, right);
      if (part !== null) {
        next = part.next;
        if (part !== record) previous = record;
        sack(t, part, now);
        record = absorbed(flight, previous, part);
      }
    }
    if (record.has(Mark.Sacked)) flight.sackHint = record;
    previous = record;
    record = next;
  }
  // It may have closed the hole before the next one.
  if (previous !== null && record !== null) absorbed(flight, previous, record);
}

/** The part of `record` whose segments lie between `left` and `right`, on its own; or null. */
function within(flight: Flight, record: Transmission, left: u32, right: u32): Transmission | null {
  const size: u32 = record.segmentSize;
  const start = record.seq;
  let from: u32 = 0;
  let to = record.length;
  if (seqGreater(left, start)) from = ((left - start + size - 1) / size) * size;
  if (seqLess(right, record.end)) to = ((right - start) / size) * size;
  if (from >= to) return null;
  let part = record;
  if (from) {
    const rest = split(flight, record, start + from);
    if (rest === null) return null;
    part = rest;
  }
  if (seqLess(start + to, part.end) && split(flight, part, start + to) === null) return null;
  return part;
}

/** Marks all of `record`. */
function sack(t: Tcb, record: Transmission, now: u64): void {
  const flight: Flight = t.work;
  const length = record.length;
  if (record.has(Mark.Lost)) {
    flight.lostBytes -= length;
    record.marks &= ~(<u8>Mark.Lost);
  } else {
    lands(flight, record);
  }
  arrive(t, record, record.end, length, now);
  record.marks |= <u8>Mark.Sacked;
  flight.sackedBytes += length;
  flight.sackedSegments += record.segments;
  if (!flight.lostBytes) flight.lostHint = null;
}

/** Joins `record` to `previous`, before it, if both are sacked; returns what it is part of now. */
function absorbed(
  flight: Flight,
  previous: Transmission | null,
  record: Transmission,
): Transmission {
  if (previous === null || !previous.has(Mark.Sacked) || !record.has(Mark.Sacked)) return record;
  const before = previous.segments + record.segments;
  previous.end = record.end;
  previous.next = record.next;
  flight.sackedSegments += previous.segments - before;
  if (flight.tail === record) flight.tail = previous;
  if (flight.lostHint === record) flight.lostHint = previous;
  if (flight.sackHint === record) flight.sackHint = previous;
  release(flight, record);
  return previous;
}

/**
 * Whether the peer has dropped what it had reported (RFC 2018, 8): it reported the first segment in
 * flight and never acknowledged it. Then nothing that it reported is believed any more.
 */
export function reneged(t: Tcb): bool {
  const flight: Flight = t.work;
  let record = flight.head;
  if (record === null || !record.has(Mark.Sacked)) return false;
  while (record !== null) {
    if (record.has(Mark.Sacked)) {
      record.marks = <u8>(Mark.Lost | Mark.Retransmitted);
      flight.lostBytes += record.length;
    }
    record = record.next;
  }
  flight.sackedBytes = 0;
  flight.sackedSegments = 0;
  flight.sackHint = null;
  flight.lostHint = flight.head;
  return true;
}

/** Nothing is lost after all: what was taken to be is in flight as it was. */
export function markAllFound(t: Tcb): void {
  const flight: Flight = t.work;
  let near: Transmission | null = null;
  let record = flight.head;
  while (record !== null) {
    if (record.has(Mark.Lost)) {
      record.marks &= ~(<u8>Mark.Lost);
      flight.lostBytes -= record.length;
      flies(flight, record, near);
      near = record;
    }
    record = record.next;
  }
  flight.lostHint = null;
}

/** Puts one back into the order of time, looking from `near` on, which is likely beside it. */
function flies(flight: Flight, record: Transmission, near: Transmission | null): void {
  let earlier = near;
  while (earlier !== null && earlier.sentAt > record.sentAt) earlier = earlier.earlier;
  let later = earlier === null ? flight.earliest : earlier.later;
  while (later !== null && later.sentAt <= record.sentAt) {
    earlier = later;
    later = later.later;
  }
  record.earlier = earlier;
  record.later = later;
  if (earlier === null) flight.earliest = record;
  else earlier.later = record;
  if (later === null) flight.latest = record;
  else later.earlier = record;
}

/** Makes the last segment in flight a transmission of its own. False if there is no memory. */
export function splitTail(t: Tcb): bool {
  const flight: Flight = t.work;
  const tail = flight.tail;
  if (tail === null) return false;
  const size: u32 = tail.segmentSize;
  const before = ((tail.length - 1) / size) * size;
  return !before || split(flight, tail, tail.seq + before) !== null;
}

/** `record` goes again in segments of `mss`, up to `end`; what is behind stays as it was. */
export function retransmitted(t: Tcb, record: Transmission, end: u32, mss: u32, now: u64): void {
  const flight: Flight = t.work;
  // Without memory to divide it, all of it counts as sent, and is lost again if it was not.
  if (seqLess(end, record.end)) split(flight, record, end);
  if (record.has(Mark.Lost)) flight.lostBytes -= record.length;
  else lands(flight, record);
  record.segmentSize = <u16>mss;
  flight.prrOut += record.length;
  launch(flight, record, Mark.Retransmitted, inFlight(t), now);
  if (!flight.lostBytes) flight.lostHint = null;
}

/** The first of the lost, in order of sequence numbers; null when none is. */
export function nextLost(t: Tcb): Transmission | null {
  const flight: Flight = t.work;
  let record = flight.lostHint;
  while (record !== null && !record.has(Mark.Lost)) record = record.next;
  flight.lostHint = record;
  return record;
}

/** Takes `record` to be lost, unless it is sacked. */
export function markLost(flight: Flight, record: Transmission): void {
  if (record.has(Mark.Sacked | Mark.Lost)) return;
  lands(flight, record);
  record.marks |= <u8>Mark.Lost;
  const length = record.length;
  flight.lostBytes += length;
  flight.lost += length;
  delivery.newlyLost += length;
  if (record.has(Mark.Probe)) delivery.probeLost = length;
  const hint = flight.lostHint;
  if (hint === null || seqGreater(hint.seq, record.seq)) flight.lostHint = record;
}

/** The first segment in flight is lost. */
export function markHeadLost(t: Tcb): void {
  const flight: Flight = t.work;
  const head = flight.head;
  if (head === null) return;
  const size: u32 = head.segmentSize;
  if (!head.has(Mark.Lost) && head.length > size) split(flight, head, head.seq + size);
  markLost(flight, head);
}

/** All that is not sacked is lost. */
export function markAllLost(t: Tcb): void {
  const flight: Flight = t.work;
  let record = flight.head;
  while (record !== null) {
    markLost(flight, record);
    record = record.next;
  }
}

/** Lets go of everything. */
export function scoreboardClear(t: Tcb): void {
  const flight: Flight = t.work;
  let record = flight.head;
  while (record !== null) {
    const next = record.next;
    release(flight, record);
    record = next;
  }
  flight.head = null;
  flight.tail = null;
  flight.earliest = null;
  flight.latest = null;
  flight.lostHint = null;
  flight.sackHint = null;
  flight.sackedBytes = 0;
  flight.sackedSegments = 0;
  flight.lostBytes = 0;
}
