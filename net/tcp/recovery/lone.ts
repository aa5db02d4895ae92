import { NEVER } from "../../../kernel/timer";
import { congestionOf } from "../congestion/congestion";
import { sendAcknowledged } from "../queues/sendqueue";
import { seqLess } from "../seq";
import { Extent, Tcb, TcbFlag } from "../tcb";
import { Flight, FlightFlag, Mark, Transmission } from "./flight";
import { LossTimer } from "./losstimer";
import { rackNewest } from "./rack";
import { rtoNs, rttSample } from "./rtt";
import { describe, landed, loneRecord, stamp } from "./scoreboard";
import { probeSampled, probeTimeout } from "./tlp";

/**
 * Who exchanges messages has one transmission in flight, or none: it goes when nothing else is out, and one ACK
 * acknowledges it whole. Most of what the scoreboard, RACK, the rate of delivery, the loss timer and
 * congestion control do then is known beforehand, and is done here in one piece. What is left behind is the
 * same, field by field, so the next segment may be of either kind.
 */

/** Flags with which an ACK is not `loneAcknowledged`'s. */
const UNUSUAL: u32 =
  TcbFlag.Recovery |
  TcbFlag.Persisting |
  TcbFlag.RttTiming |
  TcbFlag.Blocked |
  TcbFlag.RetransmitHead;
/** Bits of the flight likewise: a loss probe is out, or may be timed only after a sample. */
const UNUSUAL_BITS: u32 = FlightFlag.ProbeOut | FlightFlag.ProbeDue;

/**
 * `length` bytes from `seq` up to SND.NXT, which `extent` holds, have gone in a segment, by a connection with SACK:
 * what `transmitted` and `watch` do. False, with nothing done, unless they are all that is in flight.
 */
@inline
export function loneSent(t: Tcb, seq: u32, length: u32, extent: Extent, mss: u32, now: u64): bool {
  const work = t.work;
  const flight: Flight = work;
  if (flight.tail !== null || work.rexmitAt != NEVER || !t.has(TcbFlag.Sack)) return false;
  if (seqLess(seq, work.recover)) return false;
  const record = loneRecord(flight);
  if (record === null) return false;
  record.next = null;
  record.earlier = null;
  record.later = null;
  describe(record, extent, seq, seq + length, mss);
  stamp(flight, record, 0, length, now, now, now);
  flight.head = record;
  flight.tail = record;
  flight.earliest = record;
  flight.latest = record;
  flight.transmissions++;
  flight.fack = seq;
  flight.prrOut += length;
  flight.firstSentAt = now;
  flight.deliveredAt = now;
  // RFC 6298, 5.1, or the loss probe before it (RFC 8985, 7.2).
  const timeoutAt = now + rtoNs(t);
  work.progressAt = now;
  work.timeoutAt = timeoutAt;
  if (flight.bits & (FlightFlag.ProbeOut | FlightFlag.ProbeUnsampled)) {
    work.lossTimer = <u8>LossTimer.Timeout;
    work.rexmitAt = timeoutAt;
  } else {
    work.lossTimer = <u8>LossTimer.Probe;
    work.rexmitAt = min<u64>(timeoutAt, now + probeTimeout(t));
  }
  return true;
}

/**
 * `ack`, beyond SND.UNA, on a segment without SACK blocks: what `acknowledge` does. False, with nothing done, unless
 * it acknowledges the one transmission in flight, which went once and when nothing else was out, and the
 * congestion control has nothing to learn of it: the window was not used.
 */
@inline export function loneAcknowledged(t: Tcb, ack: u32, now: u64): bool {
  const work = t.work;
  const flight: Flight = work;
  const head = flight.head;
  if (head === null || head !== flight.tail || ack != t.sndMax || ack != t.sndNxt) return false;
  const record = changetype<Transmission>(head);
  const bytes = ack - t.sndUna;
  const sentAt = record.sentAt;
  if (record.marks & ~(<u8>Mark.AppLimited) || record.inFlight != bytes || sentAt == now)
    return false;
  if (t.flags & UNUSUAL || flight.bits & UNUSUAL_BITS || !t.has(TcbFlag.Sack)) return false;
  if ((<u32>work.path) | (<u32>work.backoff) | (<u32>work.frto)) return false;
  if (record.length != bytes || seqLess(t.sndUna, work.recover)) return false;
  // `grow`.
  if (t.cwnd < t.ssthresh ? bytes >= t.cwnd >> 1 : t.has(TcbFlag.CwndLimited)) return false;
  if (congestionOf(t.congestion).samples) return false;
  t.softError = 0;
  t.sndUna = ack;
  work.progressAt = now;
  sendAcknowledged(t);
  // The rate of delivery: nothing else was out, so it began when this went.
  const trip = now - sentAt;
  const all = flight.delivered + bytes;
  flight.delivered = all;
  flight.deliveredAt = now;
  flight.firstSentAt = sentAt;
  if (flight.appLimited && all > flight.appLimited) flight.appLimited = 0;
  work.rateTime = trip;
  work.rateBytes = <u32>all - record.delivered;
  rackNewest(flight, sentAt, ack, trip, now);
  landed(flight, record);
  if (sentAt >= work.rttStart) {
    rttSample(t, trip / 1000);
    probeSampled(flight);
    work.rttStart = now;
  }
  work.timeoutAt = now + rtoNs(t);
  work.lossTimer = <u8>LossTimer.Timeout;
  work.rexmitAt = NEVER;
  return true;
}
