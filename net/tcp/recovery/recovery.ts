import { congestionOf } from "../congestion/congestion";
import { delivery, deliveryBegin, keepRate } from "./delivery";
import { markDirty } from "../dirty";
import { duplicateAck, newAck } from "./dupack";
import { Flight, FlightFlag } from "./flight";
import { Frto, frtoAck, frtoTimedOut } from "./frto";
import { armLossTimer, restartTimeout } from "./losstimer";
import { options } from "../options";
import { congestionLosses } from "../path/plpmtud";
import { prrAck, prrBegin, prrLost } from "./prr";
import { rackAdapt, rackDetect, rackRecovered, rackTimedOut } from "./rack";
import { sackReceived } from "./sack";
import { markAllLost, reneged } from "./scoreboard";
import { seqLess } from "../seq";
import { tcpStats } from "../stats";
import { Tcb, TcbFlag } from "../tcb";
import { probeAcknowledged } from "./tlp";
import { undo, undoBegin, undoForget, undoShown } from "./undo";

/**
 * What an ACK means for what is in flight: growth, or a loss to repair. With SACK the scoreboard
 * knows what has arrived, RACK (rack.ts) what is lost, PRR (prr.ts) how much may go meanwhile; when
 * it proves that nothing was lost, it is undone (undo.ts, frto.ts). Without SACK duplicate ACKs
 * have to do (dupack.ts).
 *
 *                    loss found                        SND.UNA >= recover
 *     open ────────────────────────► fast recovery ─────────────────────────► open
 *       └─── time-out ─► SND.UNA < recover, slow start ──────────────────────► open
 */

/**
 * Takes an ACK into account, after SND.UNA and the scoreboard: `acked` bytes cumulatively of `flight`
 * in flight before; `duplicate` by RFC 5681, 2. Its options have been parsed.
 */
export function ackArrived(t: Tcb, acked: u32, flight: u32, duplicate: bool, now: u64): void {
  if (duplicate) tcpStats.duplicateAcks++;
  if (t.has(TcbFlag.Sack)) {
    selectiveAck(t, acked, flight, duplicate, now);
  } else if (acked) {
    newAck(t, acked, flight, now);
  } else if (duplicate) {
    duplicateAck(t, now);
    markDirty(t);
  }
  if (delivery.newlyDelivered | delivery.newlyLost) {
    keepRate(t.work);
    congestionOf(t.congestion).onSample(t, now);
  }
}

/** Growth by an ACK outside recovery, if the window was used. */
@inline export function grow(t: Tcb, acked: u32, flight: u32, now: u64): void {
  // A window that was not used says nothing of the path (RFC 2861, 2; RFC 9438, 5.8).
  const used = t.cwnd < t.ssthresh ? flight >= t.cwnd >> 1 : t.has(TcbFlag.CwndLimited);
  if (used) congestionOf(t.congestion).onAck(t, acked, now);
}

/** An ACK of a peer with SACK. */
@inline function selectiveAck(t: Tcb, acked: u32, flight: u32, duplicate: bool, now: u64): void {
  const work = t.work;
  if (
    acked &&
    !options.sackCount &&
    !(work.sackedBytes | work.lostBytes) &&
    !t.has(TcbFlag.Recovery) &&
    !seqLess(t.sndUna - acked, work.recover) &&
    !(work.bits & FlightFlag.ProbeOut)
  ) {
    // All is well.
    restartTimeout(t, now);
    grow(t, acked, flight, now);
    armLossTimer(t, 0, now);
  } else if (acked || duplicate || options.sackCount) {
    troubledAck(t, acked, flight, duplicate, now);
  }
}

/** The same while something is missing, or may be, or is reported twice. */
function troubledAck(t: Tcb, acked: u32, flight: u32, duplicate: bool, now: u64): void {
  const work = t.work;
  const sacks = options.sackCount != 0;
  const repairing = seqLess(t.sndUna - acked, work.recover);
  if (sacks) sackReceived(t, now);
  markDirty(t);
  if (acked) restartTimeout(t, now);
  probeAcknowledged(t, duplicate, sacks, now);
  rackAdapt(t);
  let wait: u64 = 0;
  if (work.frto && frtoAck(t, acked, duplicate)) {
    timeoutWasNeedless(t, now);
  } else if (undoShown(t, acked != 0)) {
    if (repairing && !t.has(TcbFlag.Recovery)) tcpStats.spuriousTimeouts++;
    undo(t, now);
  } else {
    wait = rackDetect(t, now);
  }
  // What was sent after a recovery began, and was lost, begins the next one.
  let lost = congestionLosses(t, now);
  if (repairing && !seqLess(t.sndUna, work.recover)) {
    endRecovery(t);
    lost = work.lostBytes;
  }
  if (t.has(TcbFlag.Recovery)) {
    if (!congestionOf(t.congestion).ownsWindow) prrAck(t, acked != 0);
  } else if (seqLess(t.sndUna, work.recover)) {
    if (acked) grow(t, acked, flight, now);
  } else if (lost) {
    beginRecovery(t, acked != 0, now);
  } else if (acked) {
    grow(t, acked, flight, now);
  }
  armLossTimer(t, wait, now);
}

/** Fast recovery (RFC 6675, 5, step 4; RFC 9937, 6). */
function beginRecovery(t: Tcb, advances: bool, now: u64): void {
  const work = t.work;
  tcpStats.fastRetransmits++;
  const control = congestionOf(t.congestion);
  // What limited transmit added does not count (RFC 5681, 3.2, step 2).
  const flight = t.sndNxt - t.sndUna + delivery.newlyDelivered;
  control.onLoss(t, min<u32>(flight, max<u32>(t.cwnd, t.sndMss)), now);
  work.recover = t.sndMax;
  t.raise(TcbFlag.Recovery | TcbFlag.RetransmitHead);
  undoBegin(t);
  prrBegin(t);
  if (!control.ownsWindow) prrAck(t, advances);
  restartTimeout(t, now);
  markDirty(t);
}

/** All that was in flight when it began has been acknowledged. */
function endRecovery(t: Tcb): void {
  rackRecovered(t.work);
  if (!t.has(TcbFlag.Recovery)) return;
  t.clear(TcbFlag.Recovery | TcbFlag.RetransmitHead);
  if (!congestionOf(t.congestion).ownsWindow) t.cwnd = t.ssthresh;
}

/** What seemed late enough to be lost has not come in the time that reordering takes (RFC 8985, 6.2). */
export function reorderingTimeout(t: Tcb, now: u64): void {
  deliveryBegin();
  const wait = rackDetect(t, now);
  const lost = delivery.newlyLost;
  const congested = congestionLosses(t, now) != 0;
  if (lost) {
    if (t.has(TcbFlag.Recovery)) {
      if (!congestionOf(t.congestion).ownsWindow) prrLost(t, lost);
    } else if (congested && !seqLess(t.sndUna, t.work.recover)) {
      beginRecovery(t, false, now);
    }
    markDirty(t);
    congestionOf(t.congestion).onSample(t, now);
  }
  armLossTimer(t, wait, now);
}

/** The retransmission timer expired; `backoff` counts that already (RFC 5681, 3.1; RFC 8985, 6.3). */
export function retransmitAfterTimeout(t: Tcb, now: u64): void {
  const work = t.work;
  const flight: Flight = work;
  frtoTimedOut(t);
  // Only the first time-out of a segment is news of congestion (RFC 5681, 3.1).
  if (work.backoff == 1 && t.sndMax != t.sndUna) {
    if (work.frto) undoBegin(t);
    else undoForget(flight);
    congestionOf(t.congestion).onTimeout(t, t.sndMax - t.sndUna, now);
  }
  t.cwnd = t.sndMss;
  // RFC 6582, 3.2, step 4; RFC 6675, 5.1.
  work.recover = t.sndMax;
  deliveryBegin();
  if (t.has(TcbFlag.Sack)) {
    flight.bits &= ~(FlightFlag.ProbeOut | FlightFlag.ProbeRepeats);
    // The segment that a peer reported and then did not acknowledge it has dropped (RFC 2018, 8).
    if (reneged(t)) tcpStats.reneges++;
    rackTimedOut(t, now);
  } else {
    markAllLost(t);
  }
  t.clear(TcbFlag.Recovery);
  t.raise(TcbFlag.RetransmitHead);
  t.dupAcks = 0;
}

/** F-RTO has shown that the time-out was needless. */
export function timeoutWasNeedless(t: Tcb, now: u64): void {
  tcpStats.spuriousTimeouts++;
  undo(t, now);
}

/** Whether F-RTO wants no lost data to be sent before the next ACK. */
@inline export function frtoHolds(t: Tcb): bool {
  return t.work.frto >= <u8>Frto.Send;
}
