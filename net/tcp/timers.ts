import { NEVER, SECOND } from "../../kernel/timer";
import { Errno } from "../../kernel/errno";
import { congestionOf } from "./congestion";
import { challengePeriodEnd } from "./input";
import { connectionFail, SYN_TIMEOUT } from "./connection";
import { markDirty } from "./dirty";
import { sendKeepalive, sendReset } from "./output";
import { rtoNs, RTO_AFTER_LOST_SYN } from "./rtt";
import { markAllLost } from "./scoreboard";
import { tcpStats } from "./stats";
import { State, Tcb, TcbFlag } from "./tcb";
import { workEnsure, workRelease, workScarce } from "./work";

/**
 * Timers of a connection. It has up to five deadlines and one node in the wheel, armed at the
 * earliest of them. An ACK moves a deadline on by a store; the node fires at the old time, finds
 * nothing due and is armed again.
 */

/** Shortest and longest interval between window probes (RFC 9293, 3.8.6.1), ns. */
const PROBE_MIN: u64 = SECOND / 5;
const PROBE_MAX: u64 = 60 * SECOND;
/** Doublings beyond this change nothing: the limits hold. */
const BACKOFF_MAX: u8 = 12;

/** The earliest deadline of what is under way: none when the connection is at rest. */
@inline function busyUntil(t: Tcb): u64 {
  return min<u64>(min<u64>(t.work.rexmitAt, t.work.delackAt), t.work.lingerAt);
}

/** Arms the node if a deadline has come nearer than it. After every change of one. */
@inline export function schedule(t: Tcb): void {
  let at = t.keepaliveAt;
  if (t.hasWork) at = min<u64>(at, min<u64>(busyUntil(t), t.work.restAt));
  if (at == NEVER) return;
  const timer = t.timer;
  if (!timer.armed || at < timer.deadline) timer.arm(at);
}

/** What keeps a connection from being at rest. */
const BUSY: u32 =
  TcbFlag.AckNow |
  TcbFlag.AckDelayed |
  TcbFlag.FinQueued |
  TcbFlag.FinReceived |
  TcbFlag.FinPending |
  TcbFlag.Recovery |
  TcbFlag.RttTiming |
  TcbFlag.Persisting |
  TcbFlag.RetransmitHead |
  TcbFlag.Probe |
  TcbFlag.Dirty;

/**
 * Whether `t` is at rest: established, with nothing in flight, queued, missing, unread or owed. All
 * that is to be known of it stands in the block then.
 */
function atRest(t: Tcb): bool {
  return (
    t.state == State.Established &&
    t.sndUna == t.sndEnd &&
    t.sndUna == t.sndMax &&
    t.receiveHead === null &&
    !t.outOfOrder &&
    !t.has(BUSY) &&
    busyUntil(t) == NEVER
  );
}

/** The end of an output pass: arms the timer, or has a connection at rest give its part back. */
export function settle(t: Tcb, now: u64): void {
  if (atRest(t)) {
    const limited = challengePeriodEnd(t);
    if (workScarce() && limited <= now) {
      rest(t);
      return;
    }
    t.work.restAt = max<u64>(now + rtoNs(t), limited);
  } else {
    t.work.restAt = NEVER;
  }
  schedule(t);
}

/** Gives the working part back. What may still come is a question of keepalive. */
function rest(t: Tcb): void {
  workRelease(t);
  t.timer.cancel();
  schedule(t);
}

/** What the wheel calls. */
export function timerCallback(context: usize, now: u64): void {
  const t = changetype<Tcb>(context);
  if (t.hasWork && t.work.delackAt <= now) {
    t.work.delackAt = NEVER;
    if (t.has(TcbFlag.AckDelayed)) {
      t.raise(TcbFlag.AckNow);
      markDirty(t);
    }
  }
  if (t.hasWork && t.work.rexmitAt <= now) {
    if (t.has(TcbFlag.Persisting)) persistTimeout(t, now);
    else retransmissionTimeout(t, now);
  }
  if (t.keepaliveAt <= now) keepaliveTimeout(t, now);
  if (t.hasWork && t.work.lingerAt <= now) lingerTimeout(t, now);
  if (t.hasWork && t.work.restAt <= now) {
    t.work.restAt = NEVER;
    if (atRest(t)) workRelease(t);
  }
  if (t.state != State.Closed) schedule(t);
}

/** The program has closed, and the peer has not ended it for as long as anyone can wait. */
function lingerTimeout(t: Tcb, now: u64): void {
  const patience = t.work.progressAt + <u64>t.userTimeout * SECOND;
  if (t.state != State.FinWait2 && now < patience) {
    t.work.lingerAt = patience;
    return;
  }
  // Orphaned in FIN-WAIT-2, or with a peer that answers and takes nothing (RFC 6429, 5).
  sendReset(t, now);
  giveUp(t);
}

function giveUp(t: Tcb): void {
  connectionFail(t, t.softError ? t.softError : Errno.ETIMEDOUT);
}

/** RFC 6298, 5.4 to 5.7; RFC 5681, 3.1; without progress for R2 the end (RFC 9293, 3.8.3). */
function retransmissionTimeout(t: Tcb, now: u64): void {
  const opening = t.state == State.SynSent || t.state == State.SynReceived;
  const patience = opening ? max<u32>(t.userTimeout, SYN_TIMEOUT) : t.userTimeout;
  const limit = t.work.progressAt + <u64>patience * SECOND;
  if (now >= limit) {
    giveUp(t);
    return;
  }
  tcpStats.timeouts++;
  if (t.work.backoff < BACKOFF_MAX) t.work.backoff++;
  if (opening) {
    t.raise(TcbFlag.SynRetransmitted);
    t.rto = RTO_AFTER_LOST_SYN;
    t.work.rexmitAt = min<u64>(now + (SECOND << t.work.backoff), limit);
  } else {
    t.work.rexmitAt = min<u64>(now + rtoNs(t), limit);
    // Only the first time-out of a segment is news of congestion (RFC 5681, 3.1).
    if (t.work.backoff == 1 && t.sndMax != t.sndUna)
      congestionOf(t.congestion).onTimeout(t, t.sndMax - t.sndUna, now);
    t.cwnd = t.sndMss;
    // RFC 6582, 3.2, step 4.
    t.work.recover = t.sndMax;
  }
  t.clear(TcbFlag.Recovery | TcbFlag.RttTiming | TcbFlag.RetransmitHead);
  t.dupAcks = 0;
  if (opening) {
    t.sndNxt = t.sndUna;
  } else {
    markAllLost(t);
    t.raise(TcbFlag.RetransmitHead);
  }
  markDirty(t);
}

/** Begins to probe a window too small to send in. */
export function persistStart(t: Tcb, now: u64): void {
  t.raise(TcbFlag.Persisting);
  t.clear(TcbFlag.RttTiming);
  t.work.backoff = 0;
  t.work.rexmitAt = now + probeInterval(t);
}

/** The window is open again: the retransmission timer takes over. */
@inline export function persistStop(t: Tcb): void {
  t.clear(TcbFlag.Persisting);
  t.work.backoff = 0;
  t.work.rexmitAt = NEVER;
}

function probeInterval(t: Tcb): u64 {
  return min<u64>(max<u64>(rtoNs(t), PROBE_MIN), PROBE_MAX);
}

/** As long as the peer answers, its window may stay shut for ever (RFC 1122, 4.2.2.17). */
function persistTimeout(t: Tcb, now: u64): void {
  if (now - t.receivedAt >= <u64>t.userTimeout * SECOND && t.work.backoff > 1) {
    giveUp(t);
    return;
  }
  if (t.work.backoff < BACKOFF_MAX) t.work.backoff++;
  t.work.rexmitAt = now + probeInterval(t);
  t.raise(TcbFlag.Probe);
  markDirty(t);
}

/** RFC 1122, 4.2.3.6. The deadline is set lazily: what has come since puts it off. */
function keepaliveTimeout(t: Tcb, now: u64): void {
  const idle = now - t.receivedAt;
  const idleLimit = <u64>t.keepaliveIdle * SECOND;
  if (idle < idleLimit) {
    t.keepaliveProbes = 0;
    t.keepaliveAt = t.receivedAt + idleLimit;
    return;
  }
  if (t.keepaliveProbes >= t.keepaliveCount) {
    sendReset(t, now);
    giveUp(t);
    return;
  }
  if (!workEnsure(t)) {
    t.keepaliveAt = now + SECOND;
    return;
  }
  t.keepaliveProbes++;
  t.keepaliveAt = now + <u64>t.keepaliveInterval * SECOND;
  sendKeepalive(t, now);
}
