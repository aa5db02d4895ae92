import { congestionOf } from "../congestion/congestion";
import { delivery } from "./delivery";
import { Flight, FlightFlag } from "./flight";
import { timestampClock } from "../opening/isn";
import { options } from "../options";
import { markAllFound } from "./scoreboard";
import { seqGreaterEqual, seqLess } from "../seq";
import { tcpStats } from "../stats";
import { Tcb, TcbFlag } from "../tcb";

/**
 * Losses that were none. A recovery proves to have been needless if the first ACK after its first
 * retransmission answers the original (the Eifel detection of RFC 3522, by timestamps), or if every
 * byte that it sent again is reported as a duplicate (RFC 2883; RFC 3708). Then `cwnd` and
 * `ssthresh` are what they were before.
 */

/** A recovery begins, by fast retransmission or time-out, that was not part of another. */
export function undoBegin(t: Tcb): void {
  const flight: Flight = t.work;
  flight.undoFrom = t.sndUna;
  flight.undoBytes = 0;
  flight.bits |= FlightFlag.Undoable | FlightFlag.StampWanted;
  flight.bits &= ~FlightFlag.StampTaken;
}

/** What began it is over, or is no more to be told apart. */
@inline export function undoForget(flight: Flight): void {
  flight.bits &= ~(FlightFlag.Undoable | FlightFlag.StampWanted | FlightFlag.StampTaken);
}

/** `length` bytes from `seq` on go again. */
export function undoSent(t: Tcb, seq: u32, length: u32, now: u64): void {
  const flight: Flight = t.work;
  if (!(flight.bits & FlightFlag.Undoable)) return;
  flight.undoBytes += length;
  if (!(flight.bits & FlightFlag.StampWanted)) return;
  flight.bits &= ~FlightFlag.StampWanted;
  // RFC 3522, 3.2: only for the oldest segment in flight.
  if (seq != t.sndUna || !t.has(TcbFlag.Timestamps)) return;
  flight.bits |= FlightFlag.StampTaken;
  flight.undoStamp = timestampClock(now) + t.tsOffset;
}

/** Whether the ACK at hand shows that the recovery under way is needless; once only. */
export function undoShown(t: Tcb, advances: bool): bool {
  const flight: Flight = t.work;
  if (!(flight.bits & FlightFlag.Undoable)) return false;
  if (delivery.hasDuplicate && all(flight)) return true;
  if (!advances || !(flight.bits & FlightFlag.StampTaken)) return false;
  // RFC 3522, 3.2, steps 4 and 5.
  flight.bits &= ~FlightFlag.StampTaken;
  if (!seqLess(options.tsEcr, flight.undoStamp) || delivery.hasDuplicate) return false;
  return (flight.bits & FlightFlag.DuplicateSeen) != 0 || t.sndUna != t.sndMax;
}

/** Whether all that was sent again has been reported as duplicate by now. */
function all(flight: Flight): bool {
  const start = delivery.duplicateStart;
  const length = delivery.duplicateEnd - start;
  if (!flight.undoBytes || !seqGreaterEqual(start, flight.undoFrom)) return false;
  // A probe's duplicate says nothing of the recovery.
  if (flight.bits & FlightFlag.ProbeRepeats && delivery.duplicateEnd == flight.probeEnd)
    return false;
  flight.undoBytes = flight.undoBytes > length ? flight.undoBytes - length : 0;
  return flight.undoBytes == 0;
}

/** As if nothing had been lost (RFC 5682, 4: the response; RFC 9438, 4.9). */
export function undo(t: Tcb, now: u64): void {
  tcpStats.undos++;
  markAllFound(t);
  undoForget(t.work);
  t.clear(TcbFlag.Recovery | TcbFlag.RetransmitHead);
  t.work.recover = t.sndUna;
  t.work.backoff = 0;
  // What came last may have been in answer to either copy: RACK begins anew.
  t.work.rackAt = 0;
  t.work.frto = 0;
  congestionOf(t.congestion).onUndo(t, now);
}
