import { CongestionId, CONTROLS } from "./controls";
import { ecnReduced } from "../ecn/ecn";
import { paceAt } from "./pacing";
import { CONTROL_BYTES, Tcb, TcbFlag } from "../tcb";

/**
 * Congestion control behind a table of operations. A control owns `cwnd`, `ssthresh`, the pacing
 * rate (pacing.ts) and the words at `work.control`, over which it lays a class of its own;
 * recovery.ts decides what was lost, and moves `cwnd` while that is repaired, whatever the control.
 *
 *     start(t)                  takes a connection over: its words are zero; `cwnd` is the initial
 *                               window, in the middle of a connection what another control left, or
 *                               after a rest (work.ts) what it left itself
 *     onAck(t, acked, now)      `acked` new bytes acknowledged, outside recovery, and the window was
 *                               used; `delivery` (delivery.ts) has more of that ACK
 *     onLoss(t, flight, now)    fast recovery begins with `flight` bytes out: set `ssthresh`
 *     onMark(t, flight, now)    some of `flight` were marked, none lost (ECN): set `ssthresh`
 *     onTimeout(t, flight, now) the retransmission timer expired for the first time: set `ssthresh`
 *     onUndo(t, now)            what was taken for a loss was none: as before onLoss or onTimeout
 *     onIdle(t, now)            sending begins again after a pause of `rto` or more
 *     onSample(t, now)          optional: every ACK that delivered or lost something, in recovery or
 *                               not, when all else has been done; what it told is in `delivery`
 *
 * Each is a table index of a function: a program may choose the control of each connection, and
 * change it at any time. A control with `ownsWindow` sets `cwnd` in onSample during recovery too.
 */
@unmanaged
export class Congestion {
  private startOp: u32;
  private onAckOp: u32;
  private onLossOp: u32;
  private onMarkOp: u32;
  private onTimeoutOp: u32;
  private onUndoOp: u32;
  private onIdleOp: u32;
  private onSampleOp: u32;
  /** Recovery leaves `cwnd` to `onSample`. */
  ownsWindow: bool;
  /** It sets the pacing rate. */
  paces: bool;

  /** Sets the operations; here their signatures are checked. */
  serve(
    start: (t: Tcb) => void,
    onAck: (t: Tcb, acked: u32, now: u64) => void,
    onLoss: (t: Tcb, flight: u32, now: u64) => void,
    onMark: (t: Tcb, flight: u32, now: u64) => void,
    onTimeout: (t: Tcb, flight: u32, now: u64) => void,
    onUndo: (t: Tcb, now: u64) => void,
    onIdle: (t: Tcb, now: u64) => void,
  ): void {
    this.startOp = start.index;
    this.onAckOp = onAck.index;
    this.onLossOp = onLoss.index;
    this.onMarkOp = onMark.index;
    this.onTimeoutOp = onTimeout.index;
    this.onUndoOp = onUndo.index;
    this.onIdleOp = onIdle.index;
  }

  /** Asks for every ACK's sample. */
  serveSamples(onSample: (t: Tcb, now: u64) => void): void {
    this.onSampleOp = onSample.index;
  }


  @inline start(t: Tcb): void {
    call_indirect<void>(this.startOp, t);
  }


  @inline onAck(t: Tcb, acked: u32, now: u64): void {
    call_indirect<void>(this.onAckOp, t, acked, now);
  }


  @inline onLoss(t: Tcb, flight: u32, now: u64): void {
    call_indirect<void>(this.onLossOp, t, flight, now);
    ecnReduced(t);
  }


  @inline onMark(t: Tcb, flight: u32, now: u64): void {
    call_indirect<void>(this.onMarkOp, t, flight, now);
  }


  @inline onTimeout(t: Tcb, flight: u32, now: u64): void {
    call_indirect<void>(this.onTimeoutOp, t, flight, now);
    ecnReduced(t);
  }


  @inline onUndo(t: Tcb, now: u64): void {
    call_indirect<void>(this.onUndoOp, t, now);
  }


  @inline onIdle(t: Tcb, now: u64): void {
    call_indirect<void>(this.onIdleOp, t, now);
  }

  /** Whether it wants every ACK's sample. */
  @inline get samples(): bool {
    return this.onSampleOp != 0;
  }


  @inline onSample(t: Tcb, now: u64): void {
    if (this.onSampleOp) call_indirect<void>(this.onSampleOp, t, now);
  }
}

const STRIDE: usize = 64;
const table: usize = memory.data(4 * 64, 64);

/** The control with this number. */
@inline export function congestionOf(id: u32): Congestion {
  assert(id < CONTROLS);
  return changetype<Congestion>(table + <usize>id * STRIDE);
}

/** Lets the connection's control begin, or another one take over. */
export function congestionStart(t: Tcb): void {
  memory.fill(t.work.control, 0, CONTROL_BYTES);
  paceAt(t, 0);
  congestionOf(t.congestion).start(t);
}

/**
 * Chooses the control of a connection, at any time; of an open one the new control goes on with the
 * window that the old one left.
 */
export function congestionChoose(t: Tcb, id: CongestionId): void {
  if (t.congestion == <u8>id) return;
  t.congestion = <u8>id;
  // At rest, or before it has a window, the control begins when it is needed.
  if (t.cwnd && t.hasWork) congestionStart(t);
}

/** Initial window: ten segments, 14,600 bytes at most (or two segments; RFC 6928, 2). */
export function initialWindow(mss: u32): u32 {
  return min<u32>(10 * mss, max<u32>(2 * mss, 14_600));
}

/** Nobody's window grows beyond this: what a scaled window can say (RFC 7323, 2.3). */
export const CWND_MAX: u32 = 1 << 30;

/**
 * Slow start: a segment for each segment acknowledged, at most two an ACK (RFC 5681, 3.1, with
 * the byte counting of RFC 3465, 2.2; one while a time-out is being repaired).
 */
@inline export function slowStart(t: Tcb, acked: u32): void {
  const limit: u32 = seqBeforeRecover(t) ? t.sndMss : 2 * <u32>t.sndMss;
  t.cwnd = min<u32>(t.cwnd + min<u32>(acked, limit), CWND_MAX);
}


@inline function seqBeforeRecover(t: Tcb): bool {
  return <i32>(t.sndUna - t.work.recover) < 0;
}

/**
 * After a pause the window says nothing of the path: start again (RFC 5681, 4.1). That it once did
 * is remembered in the threshold (RFC 7661, 4.4.3), so slow start leads back there and not beyond.
 * The window is not kept over a pause as RFC 7661 would have it: it would go out as one burst.
 */
export function restartWindow(t: Tcb): void {
  t.ssthresh = max<u32>(t.ssthresh, (t.cwnd >> 2) * 3);
  t.cwnd = min<u32>(t.cwnd, initialWindow(t.sndMss));
}

/** Half of what is in flight, two segments at least (RFC 5681, 3.1, equation 4). */
@inline export function halfOf(t: Tcb, flight: u32): u32 {
  return max<u32>(flight >> 1, 2 * <u32>t.sndMss);
}

/**
 * Before a loss shrinks the window: notes what it was, should it prove to be none. False if an
 * earlier loss is still being repaired, whose note stands.
 */
export function noteWindow(t: Tcb): bool {
  if (t.has(TcbFlag.Recovery)) return false;
  t.work.priorCwnd = t.cwnd;
  t.work.priorSsthresh = t.ssthresh;
  return true;
}

/** Takes the last reduction back. */
export function restoreWindow(t: Tcb): void {
  t.cwnd = max<u32>(t.cwnd, t.work.priorCwnd);
  t.ssthresh = max<u32>(t.ssthresh, t.work.priorSsthresh);
}
