import { congestionOf } from "../congestion/congestion";
import { frtoAck } from "./frto";
import { congestionLosses } from "../path/plpmtud";
import { grow, timeoutWasNeedless } from "./recovery";
import { rtoNs } from "./rtt";
import { markHeadLost } from "./scoreboard";
import { seqGreater, seqGreaterEqual } from "../seq";
import { tcpStats } from "../stats";
import { Tcb, TcbFlag } from "../tcb";

/**
 * Loss recovery for a peer without SACK, from duplicate ACKs: fast retransmit and NewReno's fast
 * recovery (RFC 5681, 3.2; RFC 6582), limited transmit (RFC 3042). How far the window shrinks is
 * the congestion control's; here it is inflated by what has left the network, and deflated again.
 * `recover` is one beyond what RFC 6582 calls so: a sequence number as in `sndMax`.
 */

/** RFC 5681, 3.2. */
const DUPLICATE_THRESHOLD: u32 = 3;

/** A duplicate ACK (RFC 5681, 2) with data in flight. */
export function duplicateAck(t: Tcb, now: u64): void {
  if (t.work.frto) frtoAck(t, 0, true);
  if (t.dupAcks < 0xff) t.dupAcks++;
  if (t.has(TcbFlag.Recovery)) {
    t.cwnd += t.sndMss;
    return;
  }
  // What limited transmit adds must not count when the window is cut (RFC 5681, 3.2, step 1).
  if (t.dupAcks == 1) t.work.lossFlight = t.sndMax - t.sndUna;
  if (t.dupAcks != <u8>DUPLICATE_THRESHOLD) return;
  // Segments that a time-out sent again make duplicates too (RFC 6582, 3.2, step 2).
  if (!seqGreater(t.sndUna, t.work.recover)) return;
  markHeadLost(t);
  if (!congestionLosses(t, now)) {
    t.raise(TcbFlag.RetransmitHead);
    return;
  }
  tcpStats.fastRetransmits++;
  const control = congestionOf(t.congestion);
  control.onLoss(t, t.work.lossFlight, now);
  if (!control.ownsWindow) t.cwnd = t.ssthresh + DUPLICATE_THRESHOLD * t.sndMss;
  t.work.recover = t.sndMax;
  t.work.rexmitAt = now + rtoNs(t);
  t.clear(TcbFlag.PartialAck);
  t.raise(TcbFlag.Recovery | TcbFlag.RetransmitHead);
}

/** `sndUna` has moved on by `acked` bytes, with `flight` in flight before. */
export function newAck(t: Tcb, acked: u32, flight: u32, now: u64): void {
  t.dupAcks = 0;
  if (t.work.frto && frtoAck(t, acked, false)) timeoutWasNeedless(t, now);
  if (!t.has(TcbFlag.Recovery)) {
    if (t.sndMax != t.sndUna) t.work.rexmitAt = now + rtoNs(t);
    grow(t, acked, flight, now);
    return;
  }
  const mss: u32 = t.sndMss;
  const owned = congestionOf(t.congestion).ownsWindow;
  if (seqGreaterEqual(t.sndUna, t.work.recover)) {
    // Full acknowledgment: no burst if little is in flight (RFC 6582, 3.2, step 3, option 1).
    t.clear(TcbFlag.Recovery);
    if (!owned) t.cwnd = min<u32>(t.ssthresh, max<u32>(t.sndMax - t.sndUna, mss) + mss);
    if (t.sndMax != t.sndUna) t.work.rexmitAt = now + rtoNs(t);
    return;
  }
  // Partial: the next hole. The timer restarts at the first one only, so that many losses end in
  // a time-out rather than one a round trip (the "impatient" variant, RFC 6582, 4).
  if (!t.has(TcbFlag.PartialAck)) t.work.rexmitAt = now + rtoNs(t);
  t.raise(TcbFlag.PartialAck | TcbFlag.RetransmitHead);
  markHeadLost(t);
  if (owned) return;
  t.cwnd = t.cwnd > acked + mss ? t.cwnd - acked : mss;
  if (acked >= mss) t.cwnd += mss;
}
