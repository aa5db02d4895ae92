import { Purpose } from "../../kernel/packet";
import { reserve } from "../../kernel/memory";
import { SECOND, Timer } from "../../kernel/timer";
import { DEFAULT_TTL } from "../ip/output";
import { IpAddress } from "../wire/address";
import { TcpFlag } from "../wire/tcp";
import { Demux } from "./demux";
import { timestampClock } from "./opening/isn";
import { options, putTimestamps, TIMESTAMPS_LENGTH } from "./options";
import { headerPacket, optionsAt, segmentSend } from "./segment";
import { seqGreater, seqMax } from "./seq";
import { tcpStats } from "./stats";
import { Tcb, TcbFlag, Tuple } from "./tcb";

/**
 * TIME-WAIT (RFC 9293, 3.3.2): what is left of a connection that this side closed first, 64 bytes,
 * for long enough that its old segments are gone. All wait equally long, so they stand in a queue
 * and one timer watches its head; a restart only moves an entry's time on, and the entry goes to
 * the back when it gets to the head. When the table is full, the oldest makes room.
 */

/** 2 MSL (RFC 9293, 3.4.2, proposes MSL = 2 min, an engineering choice; as others we take 30 s). */
const TIME_WAIT: u32 = 60;

const enum Bit {
  /** The connection used timestamps. */
  Timestamps = 1,
  /** A new connection has taken the tuple; only the queue still knows the entry. */
  Gone = 2,
}


@unmanaged
class TimeWait extends Tuple {
  /** Our SND.NXT and RCV.NXT: one beyond both FINs. */
  sndNxt: u32;
  rcvNxt: u32;
  tsRecent: u32;
  tsOffset: u32;
  /** When to go, in seconds of the machine's time modulo 2^16. */
  expires: u16;
  /** The window field: the right edge does not go back even now. */
  window: u16;
  /** Next in the queue or the free list: index + 1, 0 for none. */
  next: u16;
  bits: u16;
}

/** Bytes of an entry, a cache line. */
const ENTRY_BYTES: u32 = 64;

/** The tuple whose wait a SYN has ended last, by its hash, and our SND.NXT there. */
let reopened: u32 = 0;
let reopenedNxt: u32 = 0;

const table = changetype<Demux>(memory.data(offsetof<Demux>(), 8));
const timer = changetype<Timer>(memory.data(offsetof<Timer>(), 8));
let entries: usize = 0;
let free: u32 = 0;
let head: u32 = 0;
let tail: u32 = 0;

/** Reserves room for `count` entries, at most 65,535. Start-up only. */
export function timeWaitInit(count: u32): void {
  assert(offsetof<TimeWait>() <= ENTRY_BYTES && count < 0x10000);
  entries = reserve(count * ENTRY_BYTES, 64);
  free = 0;
  for (let i = count; i > 0; i--) {
    at(i).next = <u16>free;
    free = i;
  }
  table.init(count);
  timer.init(expire, 0);
}


@inline function at(link: u32): TimeWait {
  return changetype<TimeWait>(entries + <usize>(link - 1) * ENTRY_BYTES);
}

/** When an entry that begins its wait at `now` goes: the seconds are rounded up. */
@inline function expiry(now: u64): u16 {
  return <u16>(now / SECOND + 1 + TIME_WAIT);
}

/** The entry of this tuple, whose hash is given, or null. */
@inline export function timeWaitFind(
  hash: u32,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): Tuple | null {
  return table.find(hash, local, localPort, remote, remotePort);
}

/** A connection has come to its end with both FINs acknowledged: keeps what must be kept. */
export function timeWaitAdd(t: Tcb, now: u64): void {
  if (!free) retire();
  const link = free;
  const entry = at(link);
  free = entry.next;
  entry.setTuple(t.local, t.localPort, t.remote, t.remotePort);
  entry.hash = t.hash;
  entry.sndNxt = t.sndMax;
  entry.rcvNxt = t.rcvNxt;
  entry.tsRecent = t.tsRecent;
  entry.tsOffset = t.tsOffset;
  entry.bits = t.has(TcbFlag.Timestamps) ? <u16>Bit.Timestamps : 0;
  entry.expires = expiry(now);
  entry.window = <u16>((t.rcvAdv - t.rcvNxt) >> t.rcvScale);
  table.insert(entry);
  tcpStats.timeWait++;
  append(link);
  if (!timer.armed) timer.arm(now + (TIME_WAIT + 1) * SECOND);
}

function append(link: u32): void {
  at(link).next = 0;
  if (tail) at(tail).next = <u16>link;
  else head = link;
  tail = link;
}

/** Takes the head off the queue and frees it. */
function retire(): void {
  const link = head;
  const entry = at(link);
  head = entry.next;
  if (!head) tail = 0;
  forget(entry);
  entry.next = <u16>free;
  free = link;
}

/** Takes an entry out of the table, unless that has happened. */
function forget(entry: TimeWait): void {
  if (entry.bits & Bit.Gone) return;
  entry.bits |= <u16>Bit.Gone;
  table.remove(entry);
  tcpStats.timeWait--;
}

/** The head's time has come, or was put off. */
function expire(_context: usize, now: u64): void {
  const seconds = <u16>(now / SECOND);
  while (head) {
    const entry = at(head);
    const left = <i16>(entry.expires - seconds);
    if (left > 0 && !(entry.bits & Bit.Gone)) {
      timer.arm(now + <u64>left * SECOND);
      return;
    }
    retire();
  }
}

/**
 * A segment for a tuple in TIME-WAIT; its options have been parsed. True if it is a SYN that may
 * begin a new connection: the entry is gone then, and the caller goes on as if it had never been.
 */
export function timeWaitInput(tuple: Tuple, seq: u32, flags: u32, length: u32, now: u64): bool {
  const entry = changetype<TimeWait>(tuple);
  // RFC 1337, 3: a reset must not cut the wait short.
  if (flags & TcpFlag.RST) return false;
  if ((flags & (TcpFlag.SYN | TcpFlag.ACK)) == TcpFlag.SYN) {
    if (!reusable(entry, seq)) return false;
    reopened = entry.hash;
    reopenedNxt = entry.sndNxt;
    forget(entry);
    return true;
  }
  // What is not news to us is an ACK of our FIN that came late: silence, or two ends could go on
  // acknowledging each other for ever.
  if (length == 0 && seq == entry.rcvNxt) return false;
  if (flags & TcpFlag.FIN) entry.expires = expiry(now);
  const packet = headerPacket(Purpose.Control);
  if (packet === null) return false;
  let optionsLength: u32 = 0;
  if (entry.bits & Bit.Timestamps) {
    optionsLength = TIMESTAMPS_LENGTH;
    putTimestamps(optionsAt(packet), timestampClock(now) + entry.tsOffset, entry.tsRecent);
  }
  segmentSend(
    packet,
    entry,
    entry.sndNxt,
    entry.rcvNxt,
    TcpFlag.ACK,
    entry.window,
    optionsLength,
    0,
    DEFAULT_TTL,
    0,
  );
  return false;
}

/**
 * The first sequence number of a connection that a SYN opens, given its tuple's hash and the number that it would
 * take: beyond all that the connection sent whose wait that SYN has ended (RFC 9293, 3.6.1: MAY-2), since who
 * sends much is ahead of the clock.
 */
export function timeWaitIsn(hash: u32, isn: u32): u32 {
  const own = hash == reopened;
  // Of that SYN alone: a later connection of the tuple may have left its own behind since.
  reopened = 0;
  return own ? seqMax(isn, reopenedNxt) : isn;
}

/**
 * Whether a connection may be opened from this end under the tuple: both sides had timestamps, and our
 * clock has ticked since, so that PAWS tells old segments from new ones (RFC 7323, 5; RFC 6191, 2).
 */
export function timeWaitReusable(tuple: Tuple, now: u64): bool {
  const entry = changetype<TimeWait>(tuple);
  const left = <i16>(entry.expires - <u16>(now / SECOND));
  // A wait begins with between TIME_WAIT and TIME_WAIT + 1 s: this one has lasted a second.
  return (entry.bits & Bit.Timestamps) != 0 && left < <i16>TIME_WAIT;
}

/**
 * Ends the wait of this tuple, whose hash is given, if there is one, for a connection that this end opens. Returns the
 * first sequence number that it may take, given the one that it would: beyond all that the old
 * connection sent (RFC 6191, 2).
 */
export function timeWaitReuse(
  hash: u32,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
  isn: u32,
): u32 {
  const tuple = timeWaitFind(hash, local, localPort, remote, remotePort);
  if (tuple === null) return isn;
  const entry = changetype<TimeWait>(tuple);
  forget(entry);
  return seqMax(isn, entry.sndNxt);
}

/** RFC 6191, 2: whether a SYN can be told from everything that the old connection sent. */
function reusable(entry: TimeWait, seq: u32): bool {
  // The FIN's own number is one before RCV.NXT.
  const newer = seqGreater(seq, entry.rcvNxt - 1);
  if (!options.hasTimestamps) return newer;
  if (!(entry.bits & Bit.Timestamps)) return true;
  const age = <i32>(options.tsVal - entry.tsRecent);
  return age > 0 || (age == 0 && newer);
}
