import { Purpose } from "../../../kernel/packet";
import { reserve } from "../../../kernel/memory";
import { SECOND, Timer } from "../../../kernel/timer";
import { linkCrowded } from "../../link/output";
import { IpAddress } from "../../wire/address";
import { TCP_HEADER, TCP_HEADER_MAX, TcpFlag } from "../../wire/tcp";
import { ACCURATE_OPTION_MAX, putAccurateInitial } from "../ecn/accecn";
import { firstSlots, mostSlots } from "../queues/budget";
import { advertisedMss, scaleFor } from "../connection";
import { cookieStamp, stampedClock } from "./cookies";
import { Demux } from "../demux";
import { Ecn, ecnGrantFlags } from "../ecn/ecn";
import { putServerCookie } from "./fastopen";
import { timestampClock } from "./isn";
import { NO_SCALE, putSynOptions, putTimestamps, TIMESTAMPS_LENGTH } from "../options";
import { listenerFind } from "../ports";
import { headerPacket, optionsAt, segmentSend } from "../segment";
import { tcpStats } from "../stats";
import { Tuple } from "../tcb";

/**
 * The SYN cache (RFC 4987, 3.4): half-open connections in SYN-RECEIVED, as entries of 88 bytes in a
 * table of fixed size. No port may take more entries than are free, so a flood of SYNs at one ends
 * with half of the table, and the next port still finds room (cookies.ts has what happens to those
 * who do not).
 *
 * SYN and ACK go out again after 1, 2, 4 … seconds. All entries that wait equally long stand in one
 * queue, in order; a queue for each length of wait and one timer serve them all.
 */

/** What is known of a half-open connection. */
export const enum RequestFlag {
  Timestamps = 1,
  /** The peer has acknowledged our SYN, but the connection has to wait (`Work.deferAccept`). */
  Acknowledged = 2,
  /** SYN and ACK bring a Fast Open cookie, the first time that they go (RFC 7413, 4.2.1). */
  FastOpen = 16,
  /** Read from a cookie: it is in no table, and when the SYN came is not known. */
  Cookie = 4,
  Sack = 8,
}


@unmanaged
export class Request extends Tuple {
  iss: u32;
  irs: u32;
  /** What TSval adds to our clock. */
  tsOffset: u32;
  /** The peer's last TSval. */
  tsRecent: u32;
  /** Neighbours in its queue; `next` is the link of the free list as well. */
  next: Request | null;
  previous: Request | null;
  /** When SYN and ACK last went out, µs of the machine's time modulo 2^32. */
  sentAt: u32;
  /** The peer's MSS, 0 for none. */
  mss: u16;
  /** What we advertised in the SYN. */
  window: u16;
  /** The peer's shift, or `NO_SCALE`. */
  scale: u8;
  /** Time-outs so far. */
  retries: u8;
  /** `RequestFlag` bits. */
  flags: u8;
  /** `Ecn` bits that were granted, and the codepoint with which the SYN arrived. */
  ecn: u8;
  arrived: u8;
  /** The listener's. */
  trafficClass: u8;
  timeToLive: u8;
  /** ACKs since SYN and ACK last went out. */
  acknowledgments: u8;
  mark: u32;


  @inline has(flag: u32): bool {
    return (this.flags & flag) != 0;
  }
}

const REQUEST_BYTES: u32 = 88;
/** SYN and ACK are sent six times, the last after 31 s (RFC 6298, 2.1 and 5.5), then given up. */
const RETRIES_MAX: u32 = 5;
/** ACKs between two of them (RFC 5961, 7: ten). */
const ACKNOWLEDGMENTS_MAX: u8 = 10;
/** One queue for each wait: 1, 2, 4, 8, 16 and 32 s, the last also for those that wait longer. */
const QUEUES: u32 = 6;
/** Entries looked at in one go: when more are due, the rest have the next tick. */
const BATCH: u32 = 64;
const TICK: u64 = SECOND / 1000;
const SECOND_MICROS: u32 = 1_000_000;
/** Ports are counted in so many classes; two of one class share their part. */
const SHARES: u32 = 1024;

const table = changetype<Demux>(memory.data(offsetof<Demux>(), 8));
const timer = changetype<Timer>(memory.data(offsetof<Timer>(), 8));
const heads: usize = memory.data(6 * 4, 4);
const tails: usize = memory.data(6 * 4, 4);
const shares: usize = memory.data(1024 * 2, 64);
let free: Request | null = null;
let capacity: u32 = 0;

/** Reserves room for `count` half-open connections, fewer than 65,536. Start-up only. */
export function synCacheInit(count: u32): void {
  assert(offsetof<Request>() <= REQUEST_BYTES && count < 0x10000);
  const base = reserve(count * REQUEST_BYTES, 16);
  free = null;
  for (let i = count; i-- > 0;) {
    const request = changetype<Request>(base + <usize>i * REQUEST_BYTES);
    request.next = free;
    free = request;
  }
  capacity = count;
  table.init(count);
  timer.init(expire, 0);
}

/** The half-open connection of this tuple, whose hash is given, or null. */
@inline export function requestFind(
  hash: u32,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): Tuple | null {
  return table.find(hash, local, localPort, remote, remotePort);
}


@inline function share(port: u32): usize {
  return shares + ((<usize>(port & (SHARES - 1))) << 1);
}


@inline function micros(now: u64): u32 {
  return <u32>(now / 1000);
}

/** A new entry with its tuple set, or null when the port has had its share. */
export function requestAdd(
  hash: u32,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): Request | null {
  const request = free;
  const at = share(localPort);
  const taken: u32 = load<u16>(at);
  if (request === null || taken >= capacity - table.length) return null;
  free = request.next;
  store<u16>(at, <u16>(taken + 1));
  request.setTuple(local, localPort, remote, remotePort);
  request.hash = hash;
  request.retries = 0;
  request.flags = 0;
  request.acknowledgments = 0;
  table.insert(request);
  tcpStats.halfOpen++;
  return request;
}

/** Forgets an entry of the table. */
export function requestDrop(request: Request): void {
  const at = share(request.localPort);
  store<u16>(at, <u16>(load<u16>(at) - 1));
  leaveQueue(request);
  table.remove(request);
  request.next = free;
  free = request;
  tcpStats.halfOpen--;
}

// ---- Waiting -------------------------------------------------------------------------------

@inline function queueOf(request: Request): usize {
  return (<usize>min<u32>(request.retries, QUEUES - 1)) << 2;
}


@inline function headOf(queue: usize): Request | null {
  return changetype<Request | null>(load<usize>(heads + queue));
}

/** How long entries of a queue wait, µs. */
@inline function waitOf(queue: usize): u32 {
  const doublings = <u32>(queue >> 2);
  return SECOND_MICROS << doublings;
}

/** Waits from now on for as long as its time-outs so far make it. */
export function requestWait(request: Request, now: u64): void {
  request.sentAt = micros(now);
  const queue = queueOf(request);
  const last = changetype<Request | null>(load<usize>(tails + queue));
  request.next = null;
  request.previous = last;
  if (last === null) store<usize>(heads + queue, changetype<usize>(request));
  else last.next = request;
  store<usize>(tails + queue, changetype<usize>(request));
  const at = now + <u64>waitOf(queue) * 1000;
  if (!timer.armed || at < timer.deadline) timer.arm(at);
}

function leaveQueue(request: Request): void {
  const queue = queueOf(request);
  const next = request.next;
  const previous = request.previous;
  if (next !== null) next.previous = previous;
  else store<usize>(tails + queue, changetype<usize>(previous));
  if (previous !== null) previous.next = next;
  else store<usize>(heads + queue, changetype<usize>(next));
}

/** The head of some queue may have waited long enough. */
function expire(_context: usize, now: u64): void {
  const at = micros(now);
  let nearest: i32 = i32.MAX_VALUE;
  let left = BATCH;
  for (let queue: usize = 0; queue < QUEUES << 2; queue += 4) {
    let head = headOf(queue);
    while (head !== null) {
      const due = <i32>(head.sentAt + waitOf(queue) - at);
      if (due > 0) {
        nearest = min<i32>(nearest, due);
        break;
      }
      if (!left || linkCrowded()) {
        timer.arm(now + TICK);
        return;
      }
      left--;
      timeOut(head, now);
      head = headOf(queue);
    }
  }
  if (nearest != i32.MAX_VALUE) timer.arm(now + <u64>nearest * 1000);
}

/**
 * No answer in time. Who has acknowledged, but must bring data to be accepted, is left alone until
 * the deferral is over, then asked once more (as `listenerDefer` says).
 */
function timeOut(request: Request, now: u64): void {
  const listener = listenerFind(request.local, request.localPort, request.hash);
  const deferral: u32 = listener === null ? 0 : listener.work.deferAccept;
  const quiet = request.has(RequestFlag.Acknowledged) && <u32>request.retries + 1 < deferral;
  const limit = request.has(RequestFlag.Acknowledged)
    ? max<u32>(deferral, RETRIES_MAX)
    : RETRIES_MAX;
  if (request.retries >= limit) {
    requestDrop(request);
    return;
  }
  leaveQueue(request);
  request.retries++;
  request.acknowledgments = 0;
  requestWait(request, now);
  if (quiet) return;
  tcpStats.retransmits++;
  requestAnswer(request, now);
}

// ---- Answering -----------------------------------------------------------------------------

/** The MSS that we offer. */
function offeredMss(request: Request): u32 {
  const listener = listenerFind(request.local, request.localPort, request.hash);
  return advertisedMss(request, request.mark, listener === null ? 0 : listener.settings.maxSegment);
}

/** The shift that we answer with, `NO_SCALE` to a peer that has none. */
@inline function offeredScale(request: Request, mss: u32): u32 {
  return request.scale == <u8>NO_SCALE ? NO_SCALE : scaleFor(mostSlots() * mss);
}

/** The window of a SYN and ACK: not scaled (RFC 7323, 2.2). */
@inline function windowOf(mss: u32): u32 {
  return min<u32>(firstSlots() * mss, 0xffff);
}

/** The window that SYN and ACK advertise. */
export function requestWindow(request: Request): u32 {
  return windowOf(offeredMss(request));
}

/** TSval for this tuple. */
@inline function clockOf(request: Request, now: u64): u32 {
  return timestampClock(now) + request.tsOffset;
}

/** Sends SYN and ACK. */
export function requestAnswer(request: Request, now: u64): void {
  const packet = headerPacket(Purpose.Data);
  if (packet === null) return;
  const mss = offeredMss(request);
  const timestamps = request.has(RequestFlag.Timestamps);
  let clock: u32 = 0;
  if (timestamps) {
    clock = clockOf(request, now);
    if (request.has(RequestFlag.Cookie)) {
      const sack = request.has(RequestFlag.Sack);
      const stamp = cookieStamp(request.scale, sack, request.ecn != 0);
      clock = stampedClock(clock, stamp);
    }
  }
  // Without timestamps a cookie remembers neither scale nor SACK, so neither is agreed on.
  const forgets = request.has(RequestFlag.Cookie) && !timestamps;
  let length = putSynOptions(
    optionsAt(packet),
    mss,
    forgets ? NO_SCALE : offeredScale(request, mss),
    request.has(RequestFlag.Sack) && !forgets,
    timestamps,
    clock,
    request.tsRecent,
  );
  if (request.has(RequestFlag.FastOpen) && !request.retries) {
    const at = optionsAt(packet) + length;
    length += putServerCookie(at, request.local, request.remote, now);
  }
  // An answer that was lost may have been dropped for what is unusual in it: it goes again without
  // the option, then without the flags (RFC 9768, 3.2.3.2.2).
  if (request.ecn & Ecn.Accurate) {
    if (request.retries > 1) request.ecn &= ~(<u8>Ecn.Capable);
    const fits = TCP_HEADER + length + ACCURATE_OPTION_MAX <= TCP_HEADER_MAX;
    if (!request.retries && fits) length += putAccurateInitial(optionsAt(packet) + length);
  }
  request.window = <u16>windowOf(mss);
  packet.trafficClass = request.trafficClass;
  const flags = TcpFlag.SYN | TcpFlag.ACK | ecnGrantFlags(request.ecn, request.arrived);
  const ack = request.irs + 1;
  const hops: u32 = request.timeToLive;
  segmentSend(
    packet,
    request,
    request.iss,
    ack,
    flags,
    request.window,
    length,
    0,
    hops,
    request.mark,
  );
}

/**
 * <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>: for a segment that does not fit, or a reset that might; a few times, lest
 * two ends that do not fit each other go on for ever (RFC 5961, 7).
 */
export function requestAcknowledge(request: Request, now: u64): void {
  if (request.acknowledgments >= ACKNOWLEDGMENTS_MAX) return;
  request.acknowledgments++;
  const packet = headerPacket(Purpose.Control);
  if (packet === null) return;
  let optionsLength: u32 = 0;
  if (request.has(RequestFlag.Timestamps)) {
    optionsLength = TIMESTAMPS_LENGTH;
    putTimestamps(optionsAt(packet), clockOf(request, now), request.tsRecent);
  }
  // Scaled by now, and rounded up: the edge that the SYN gave does not go back.
  const scale = offeredScale(request, offeredMss(request));
  const shift: u32 = scale == NO_SCALE ? 0 : scale;
  const window = (<u32>request.window + ((1 << shift) - 1)) >> shift;
  const ack = request.irs + 1;
  const hops: u32 = request.timeToLive;
  segmentSend(
    packet,
    request,
    request.iss + 1,
    ack,
    TcpFlag.ACK,
    window,
    optionsLength,
    0,
    hops,
    request.mark,
  );
}
