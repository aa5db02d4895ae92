import { Tcb } from "./tcb";

/**
 * Congestion control behind four operations. A control owns `cwnd`, `ssthresh` and the words
 * `cc0` to `cc5` of the control block; recovery.ts decides when something was lost and inflates
 * `cwnd` during fast recovery, whatever the control.
 *
 *     start(t)                  a connection begins: `cwnd` is the initial window already; or it
 *                               wakes from a rest (work.ts): what it left in the block is there
 *     onAck(t, acked, now)      `acked` new bytes acknowledged, outside recovery
 *     onLoss(t, flight, now)    fast recovery begins with `flight` bytes out: set `ssthresh`
 *     onTimeout(t, flight, now) the retransmission timer expired for the first time: set `ssthresh`
 *     onIdle(t, now)            sending begins again after a pause of `rto` or more
 *
 * Each is a table index of a function: a program may choose the control of each connection.
 */
@unmanaged
export class Congestion {
  startOp: u32;
  onAckOp: u32;
  onLossOp: u32;
  onTimeoutOp: u32;
  onIdleOp: u32;


  @inline start(t: Tcb): void {
    call_indirect<void>(this.startOp, t);
  }


  @inline onAck(t: Tcb, acked: u32, now: u64): void {
    call_indirect<void>(this.onAckOp, t, acked, now);
  }


  @inline onLoss(t: Tcb, flight: u32, now: u64): void {
    call_indirect<void>(this.onLossOp, t, flight, now);
  }


  @inline onTimeout(t: Tcb, flight: u32, now: u64): void {
    call_indirect<void>(this.onTimeoutOp, t, flight, now);
  }


  @inline onIdle(t: Tcb, now: u64): void {
    call_indirect<void>(this.onIdleOp, t, now);
  }
}

/** The controls there are. */
export const enum CongestionId {
  Cubic = 0,
  NewReno = 1,
}
const CONTROLS: u32 = 2;
const STRIDE: usize = 32;
const table: usize = memory.data(2 * 32, 32);

/** The control with this number. */
@inline export function congestionOf(id: u32): Congestion {
  assert(id < CONTROLS);
  return changetype<Congestion>(table + <usize>id * STRIDE);
}

/** Bytes of a name, its final zero included (Linux's TCP_CA_NAME_MAX). */
export const CONGESTION_NAME: u32 = 16;

/** What a control is called, as Linux has it. */
function nameOf(id: u32): string {
  return id == CongestionId.NewReno ? "reno" : "cubic";
}

/** Writes a control's name to `into`, at most `CONGESTION_NAME` - 1 bytes. */
export function congestionName(id: u32, into: usize): void {
  const name = nameOf(id);
  for (let i = 0; i < name.length; i++) store<u8>(into + i, <u8>name.charCodeAt(i));
}

/** The control whose name the `length` bytes at `at` are, up to a zero if there is one; or -1. */
export function congestionNamed(at: usize, length: u32): i32 {
  for (let id: u32 = 0; id < CONTROLS; id++) {
    const name = nameOf(id);
    let i: u32 = 0;
    while (i < <u32>name.length && i < length && load<u8>(at + i) == name.charCodeAt(i)) i++;
    if (i == name.length && (i == length || !load<u8>(at + i))) return id;
  }
  return -1;
}

/** Plugs a control in. Start-up only. */
export function registerCongestion(
  id: CongestionId,
  start: (t: Tcb) => void,
  onAck: (t: Tcb, acked: u32, now: u64) => void,
  onLoss: (t: Tcb, flight: u32, now: u64) => void,
  onTimeout: (t: Tcb, flight: u32, now: u64) => void,
  onIdle: (t: Tcb, now: u64) => void,
): void {
  const control = congestionOf(id);
  control.startOp = start.index;
  control.onAckOp = onAck.index;
  control.onLossOp = onLoss.index;
  control.onTimeoutOp = onTimeout.index;
  control.onIdleOp = onIdle.index;
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

/** After a pause the window says nothing of the path: start again (RFC 5681, 4.1). */
export function restartWindow(t: Tcb): void {
  t.cwnd = min<u32>(t.cwnd, initialWindow(t.sndMss));
}
