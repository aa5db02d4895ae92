import { MILLISECOND, NEVER, SECOND } from "../../kernel/timer";
import { Errno } from "../../kernel/errno";
import { ipDoubt } from "../ip/reached";
import { CWND_MAX, initialWindow } from "./congestion/congestion";
import { challengePeriodEnd } from "./input";
import { connectionFail } from "./connection";
import { markDirty } from "./dirty";
import { Ecn } from "./ecn/ecn";
import { FlightFlag } from "./recovery/flight";
import { LossTimer, restartTimeout } from "./recovery/losstimer";
import { sendKeepalive, sendReset } from "./output";
import { reorderingTimeout, retransmitAfterTimeout } from "./recovery/recovery";
import { rtoNs, RTO_AFTER_LOST_SYN } from "./recovery/rtt";
import { markAllLost } from "./recovery/scoreboard";
import { LINGER_OFF } from "./settings";
import { pathTimedOut } from "./path/plpmtud";
import { seqLess } from "./seq";
import { tcpStats } from "./stats";
import { State, Tcb, TcbFlag, TIMER_AT } from "./tcb";
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
/** R2 (RFC 1122, 4.2.3.5: at least 100 s), and for a SYN (at least 3 minutes), ns. */
const USER_TIMEOUT: u64 = 120 * SECOND;
/** R1 (RFC 9293, 3.8.3: at least three retransmissions). */
const DOUBT: u8 = 3;
const SYN_TIMEOUT: u64 = 180 * SECOND;
/** How long the stack waits for a FIN that no program waits for, ns. */
const FIN_WAIT_2_LIFE: u64 = 60 * SECOND;

/** How long the connection goes on without progress (RFC 5482, 2: what the program set), ns. */
@inline export function userTimeout(t: Tcb): u64 {
  const ms = t.settings.userTimeout;
  return ms ? <u64>ms * MILLISECOND : USER_TIMEOUT;
}

/** How long an orphan may stay in FIN-WAIT-2, ns: the default, or what the program set. */
export function finWait2Life(t: Tcb): u64 {
  const seconds = t.settings.finWait2;
  if (seconds < 0) return 0;
  return seconds ? <u64>seconds * SECOND : FIN_WAIT_2_LIFE;
}

/** The earliest deadline of what is under way: none when the connection is at rest. */
@inline function busyUntil(t: Tcb): u64 {
  const work = t.work;
  return min<u64>(min<u64>(work.rexmitAt, work.delackAt), min<u64>(work.lingerAt, work.corkAt));
}

/** Arms the node if a deadline has come nearer than it. After every change of one. */
@inline export function schedule(t: Tcb): void {
  if (!t.hasWork) return;
  const at = min<u64>(busyUntil(t), min<u64>(t.work.keepaliveAt, t.work.restAt));
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
    !t.receiveSlots &&
    !t.outOfOrder &&
    !t.has(BUSY) &&
    // Its counters count the whole connection's packets.
    !(t.ecn & Ecn.Accurate) &&
    busyUntil(t) == NEVER
  );
}

/** The end of an output pass: arms the timer, or has a connection at rest give its part back. */
export function settle(t: Tcb, now: u64): void {
  if (atRest(t)) {
    const limited = challengePeriodEnd(t);
    const learnt = t.cwnd > initialWindow(t.sndMss) || t.ssthresh < CWND_MAX;
    if (workScarce(learnt) && limited <= now) {
      rest(t);
      return;
    }
    t.work.restAt = max<u64>(now + rtoNs(t), limited);
  } else {
    t.work.restAt = NEVER;
  }
  schedule(t);
}

/** Gives the working part back. What the timer may be left for is keepalive. */
function rest(t: Tcb): void {
  const keepaliveAt = t.keepaliveAt;
  workRelease(t);
  t.keepaliveAt = keepaliveAt;
}

/** What the wheel calls, with the timer's address. */
export function timerCallback(node: usize, now: u64): void {
  const t = changetype<Tcb>(node - TIMER_AT);
  if (!t.hasWork) {
    keepaliveTimeout(t, now);
    schedule(t);
    return;
  }
  if (t.work.delackAt <= now) {
    t.work.delackAt = NEVER;
    if (t.has(TcbFlag.AckDelayed)) {
      t.raise(TcbFlag.AckNow);
      markDirty(t);
    }
  }
  if (t.hasWork && t.work.pacingRate) markDirty(t);
  if (t.hasWork && t.work.corkAt <= now) {
    t.work.corkAt = NEVER;
    t.work.push = true;
    markDirty(t);
  }
  if (t.hasWork && t.work.rexmitAt <= now) {
    if (t.has(TcbFlag.Persisting)) persistTimeout(t, now);
    else if (t.sndMax == t.sndUna && t.state >= State.Established) resume(t);
    else lossTimeout(t, now);
  }
  if (t.keepaliveAt <= now) keepaliveTimeout(t, now);
  if (t.hasWork && t.work.lingerAt <= now) lingerTimeout(t, now);
  if (t.hasWork && t.work.restAt <= now) {
    t.work.restAt = NEVER;
    if (atRest(t)) rest(t);
  }
  if (t.state != State.Closed) schedule(t);
}

/** The program has closed, and the peer has not ended it for as long as anyone can wait. */
function lingerTimeout(t: Tcb, now: u64): void {
  const patience = lingers(t) ? 0 : t.work.progressAt + userTimeout(t);
  if (t.state != State.FinWait2 && now < patience) {
    t.work.lingerAt = patience;
    return;
  }
  // Orphaned in FIN-WAIT-2, or with a peer that answers and takes nothing (RFC 6429, 5).
  sendReset(t, now);
  giveUp(t);
}

/** Whether `close` has set a term for what was still to be sent (SO_LINGER). */
@inline function lingers(t: Tcb): bool {
  return t.settings.linger != LINGER_OFF;
}

function giveUp(t: Tcb): void {
  connectionFail(t, t.softError ? t.softError : Errno.ETIMEDOUT);
}

/** Nothing is in flight: what could not be sent, for want of memory or of a window, may go now. */
function resume(t: Tcb): void {
  t.work.rexmitAt = NEVER;
  t.cwnd = max<u32>(t.cwnd, t.sndMss);
  markDirty(t);
}

/** The timer for what is in flight: which one it was. */
function lossTimeout(t: Tcb, now: u64): void {
  switch (t.work.lossTimer) {
    case <u8>LossTimer.Reordering:
      reorderingTimeout(t, now);
      return;
    case <u8>LossTimer.Probe:
      // RFC 8985, 7.3: whether or not a probe goes, the time-out is next.
      t.work.bits |= FlightFlag.ProbeDue;
      t.work.lossTimer = <u8>LossTimer.Timeout;
      restartTimeout(t, now);
      t.work.rexmitAt = t.work.timeoutAt;
      markDirty(t);
      return;
    default:
      retransmissionTimeout(t, now);
  }
}

/** RFC 6298, 5.4 to 5.7; RFC 5681, 3.1; without progress for R2 the end (RFC 9293, 3.8.3). */
function retransmissionTimeout(t: Tcb, now: u64): void {
  const opening = t.state == State.SynSent || t.state == State.SynReceived;
  // The user timeout is for synchronized states (RFC 9293, 3.9.1.1).
  const limit = t.work.progressAt + (opening ? SYN_TIMEOUT : userTimeout(t));
  const most: u32 = t.settings.synCount;
  if (now >= limit || (opening && most && t.work.backoff >= <u8>most)) {
    giveUp(t);
    return;
  }
  tcpStats.timeouts++;
  if (t.work.backoff < BACKOFF_MAX) t.work.backoff++;
  if (t.work.backoff == DOUBT) ipDoubt(t.local, t.settings.mark, t.remote);
  if (opening) {
    t.raise(TcbFlag.SynRetransmitted);
    t.rto = RTO_AFTER_LOST_SYN;
    t.cwnd = t.sndMss;
    t.work.rexmitAt = min<u64>(now + (SECOND << t.work.backoff), limit);
    t.clear(TcbFlag.RttTiming);
    markAllLost(t);
    t.work.synDue = true;
  } else {
    t.work.timeoutAt = min<u64>(now + rtoNs(t), limit);
    t.work.rexmitAt = t.work.timeoutAt;
    retransmitAfterTimeout(t, now);
    pathTimedOut(t, now);
  }
  markDirty(t);
}

/** Begins to probe a window too small to send in. */
export function persistStart(t: Tcb, now: u64): void {
  t.raise(TcbFlag.Persisting);
  t.work.backoff = 0;
  t.work.rexmitAt = now + probeInterval(t);
}

/** The window is open again: the retransmission timer takes over. */
@inline export function persistStop(t: Tcb): void {
  t.clear(TcbFlag.Persisting);
  t.work.backoff = 0;
  t.work.rexmitAt = NEVER;
  t.work.lossTimer = <u8>LossTimer.Timeout;
}

function probeInterval(t: Tcb): u64 {
  return min<u64>(max<u64>(rtoNs(t), PROBE_MIN), PROBE_MAX);
}

/** As long as the peer answers, its window may stay shut for ever (RFC 1122, 4.2.2.17). */
function persistTimeout(t: Tcb, now: u64): void {
  if (now - t.receivedAt >= userTimeout(t) && t.work.backoff > 1) {
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
  const idleLimit = <u64>t.settings.keepaliveIdle * SECOND;
  if (idle < idleLimit) {
    t.keepaliveProbes = 0;
    t.keepaliveAt = t.receivedAt + idleLimit;
    return;
  }
  // What is on its way has a timer of its own (RFC 9293, 3.8.4: MUST-26).
  if (t.hasWork && (t.sndUna != t.sndMax || seqLess(t.sndUna, t.sndEnd))) {
    t.keepaliveProbes = 0;
    t.keepaliveAt = now + idleLimit;
    return;
  }
  // What the program set as user timeout decides alone (RFC 5482, 4.2).
  const spent = t.settings.userTimeout
    ? t.keepaliveProbes > 0 && idle >= userTimeout(t)
    : t.keepaliveProbes >= t.settings.keepaliveCount;
  if (spent) {
    sendReset(t, now);
    giveUp(t);
    return;
  }
  if (!workEnsure(t)) {
    t.keepaliveAt = now + SECOND;
    return;
  }
  t.keepaliveProbes++;
  t.keepaliveAt = now + <u64>t.settings.keepaliveInterval * SECOND;
  sendKeepalive(t, now);
}
