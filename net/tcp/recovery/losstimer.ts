import { NEVER } from "../../../kernel/timer";
import { rtoNs } from "./rtt";
import { State, Tcb, TcbFlag } from "../tcb";
import { probeAllowed, probeTimeout } from "./tlp";

/**
 * The one timer for what is in flight (RFC 8985, 8): of the retransmission time-out, the probe's
 * and the reordering timer just one is armed, `rexmitAt`, and `Flight.lossTimer` says which. The
 * time-out's own deadline waits in `Flight.timeoutAt`. A peer without SACK has only that one.
 */

/** Values of `Flight.lossTimer`. */
export const enum LossTimer {
  /** RFC 6298. */
  Timeout = 0,
  /** RFC 8985, 6.2, step 5. */
  Reordering = 1,
  /** RFC 8985, 7.2. */
  Probe = 2,
}

/** The time-out counts from now (RFC 6298, 5.1 and 5.3). */
@inline export function restartTimeout(t: Tcb, now: u64): void {
  t.work.timeoutAt = now + rtoNs(t);
}

/** Arms what is to be armed: something will be known lost in `wait` ns, unless that is 0. */
export function armLossTimer(t: Tcb, wait: u64, now: u64): void {
  const work = t.work;
  if (t.has(TcbFlag.Persisting)) return;
  work.lossTimer = <u8>LossTimer.Timeout;
  if (t.sndMax == t.sndUna) {
    work.rexmitAt = NEVER;
    return;
  }
  let at = work.timeoutAt;
  if (wait) {
    if (now + wait < at) {
      at = now + wait;
      work.lossTimer = <u8>LossTimer.Reordering;
    }
  } else if (probeAllowed(t)) {
    at = min<u64>(at, now + probeTimeout(t));
    work.lossTimer = <u8>LossTimer.Probe;
  }
  work.rexmitAt = at;
}

/** Data has gone: a timer watches over it, and over what follows for longer. */
export function watch(t: Tcb, now: u64): void {
  const work = t.work;
  const idle = work.rexmitAt == NEVER;
  if (idle) work.progressAt = now;
  if (!t.has(TcbFlag.Sack) || t.state < State.Established) {
    if (idle) work.rexmitAt = now + rtoNs(t);
    return;
  }
  if (idle) restartTimeout(t, now);
  if (work.lossTimer != <u8>LossTimer.Reordering) armLossTimer(t, 0, now);
}
