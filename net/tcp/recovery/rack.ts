import { SECOND } from "../../../kernel/timer";
import { delivery } from "./delivery";
import { Flight, FlightFlag, Mark, Transmission } from "./flight";
import { timestampClock } from "../opening/isn";
import { options } from "../options";
import { markLost } from "./scoreboard";
import { seqGreater, seqGreaterEqual, seqLess } from "../seq";
import { tcpStats } from "../stats";
import { Tcb, TcbFlag } from "../tcb";

/**
 * RACK (RFC 8985, 6): what was sent before something that has been delivered since is lost, once it
 * has had time enough to be merely late. Time is all that counts, so a lost retransmission is found
 * like any other loss. Names follow the RFC: `rackAt` is RACK.xmit_ts, `rackEnd` RACK.end_seq.
 */

/** 6.2, step 1: how long the least round trip is believed, ns. */
const MIN_RTT_LIFE: u64 = 300 * SECOND;
/** 6.2, step 4. */
export const DUPLICATE_THRESHOLD: u32 = 3;
const PERSIST: u8 = 16;

/** RACK_sent_after (6.2, step 2). */
@inline function sentAfter(at1: u64, end1: u32, at2: u64, end2: u32): bool {
  return at1 > at2 || (at1 == at2 && seqGreater(end1, end2));
}

/**
 * Steps 1 to 3, for `record` up to `end`, which has just been delivered for the first time; in
 * ascending order of sequence numbers.
 */
export function rackDelivered(t: Tcb, record: Transmission, end: u32, now: u64): void {
  const flight: Flight = t.work;
  const sentAt = record.sentAt;
  const rtt = max<u64>(now - sentAt, 1);
  if (seqGreater(end, flight.fack)) {
    flight.fack = end;
  } else if (seqLess(end, flight.fack) && !record.has(Mark.Retransmitted)) {
    flight.bits |= FlightFlag.Reordering;
    t.work.overtaken++;
  }
  if (!record.has(Mark.Retransmitted)) {
    if (!flight.minRtt || rtt <= flight.minRtt || now - flight.minRttAt > MIN_RTT_LIFE) {
      flight.minRtt = rtt;
      flight.minRttAt = now;
    }
  } else if (echoesEarlier(t, sentAt) || rtt < flight.minRtt) {
    return;
  }
  // Of all that one ACK delivers, the one sent last.
  if (sentAt >= delivery.sentAt) flight.rackRtt = rtt;
  if (sentAfter(sentAt, end, flight.rackAt, flight.rackEnd)) {
    flight.rackAt = sentAt;
    flight.rackEnd = end;
  }
}

/** `rackDelivered` for the only transmission in flight, sent once, `rtt` ns ago, up to `end`. */
@inline
export function rackNewest(flight: Flight, sentAt: u64, end: u32, rtt: u64, now: u64): void {
  flight.fack = end;
  if (!flight.minRtt || rtt <= flight.minRtt || now - flight.minRttAt > MIN_RTT_LIFE) {
    flight.minRtt = rtt;
    flight.minRttAt = now;
  }
  flight.rackRtt = rtt;
  if (sentAfter(sentAt, end, flight.rackAt, flight.rackEnd)) {
    flight.rackAt = sentAt;
    flight.rackEnd = end;
  }
}

/** Whether the ACK's echo is of a copy sent before `sentAt`. */
@inline function echoesEarlier(t: Tcb, sentAt: u64): bool {
  if (!t.has(TcbFlag.Timestamps) || !options.hasTimestamps) return false;
  return seqLess(options.tsEcr, timestampClock(sentAt) + t.tsOffset);
}

/** Step 4, the window's growth: after SACK has been looked at, on every ACK. */
export function rackAdapt(t: Tcb): void {
  const flight: Flight = t.work;
  if (flight.bits & FlightFlag.DuplicateRound && seqGreaterEqual(t.sndUna, flight.duplicateRound)) {
    flight.bits &= ~FlightFlag.DuplicateRound;
  }
  if (!delivery.hasDuplicate || flight.bits & FlightFlag.DuplicateRound) return;
  flight.bits |= FlightFlag.DuplicateRound;
  flight.duplicateRound = t.sndNxt;
  if (flight.windowSteps < 0xff) flight.windowSteps++;
  flight.windowPersists = PERSIST;
}

/** Step 4: a recovery is over; without duplicates for sixteen of them the window is small again. */
export function rackRecovered(flight: Flight): void {
  if (flight.windowPersists && --flight.windowPersists) return;
  flight.windowSteps = 0;
}

/** RACK.reo_wnd (6.2, step 4), ns. `windowSteps` is the RFC's reo_wnd_mult less one. */
function reorderingWindow(t: Tcb): u64 {
  const flight: Flight = t.work;
  if (!(flight.bits & FlightFlag.Reordering)) {
    if (t.has(TcbFlag.Recovery) || seqLess(t.sndUna, t.work.recover)) return 0;
    if (flight.sackedSegments >= DUPLICATE_THRESHOLD) return 0;
  }
  const window = ((<u64>flight.windowSteps + 1) * flight.minRtt) >> 2;
  return t.srtt ? min<u64>(window, <u64>(t.srtt >> 3) * 1000) : window;
}

/**
 * Step 5: marks what is lost. Returns in how many ns the next one will be if it does not arrive
 * before that, 0 if none is in doubt. Costs a step for each one lost.
 */
export function rackDetect(t: Tcb, now: u64): u64 {
  const flight: Flight = t.work;
  const patience = flight.rackRtt + reorderingWindow(t);
  let record = flight.earliest;
  while (record !== null && sentAfter(flight.rackAt, flight.rackEnd, record.sentAt, record.end)) {
    const due = record.sentAt + patience;
    if (due > now) return due - now;
    const later = record.later;
    tcpStats.rackLosses += record.segments;
    markLost(flight, record);
    record = later;
  }
  return 0;
}

/** 6.3: the retransmission timer expired. The first is lost, and what was sent long enough ago. */
export function rackTimedOut(t: Tcb, now: u64): void {
  const flight: Flight = t.work;
  const patience = flight.rackRtt + reorderingWindow(t);
  let record = flight.earliest;
  while (record !== null && record.sentAt + patience <= now) {
    const later = record.later;
    markLost(flight, record);
    record = later;
  }
  const head = flight.head;
  if (head !== null) markLost(flight, head);
}
