import {
  congestionOf,
  CWND_MAX,
  halfOf,
  noteWindow,
  restartWindow,
  restoreWindow,
} from "./congestion";
import { CongestionId } from "./controls";
import { HyStart, slowStartOrHyStart } from "./hystart";
import { Tcb } from "../tcb";

/**
 * NewReno's congestion control (RFC 5681): slow start with HyStart++, one segment a round trip more,
 * half after a loss.
 */
@unmanaged
class NewReno extends HyStart {
  /** Bytes acknowledged towards the next segment (RFC 5681, 3.1; RFC 3465, 2.1). */
  acked: u32;
}


@inline function stateOf(t: Tcb): NewReno {
  return changetype<NewReno>(t.work.control);
}

export function newRenoInit(): void {
  congestionOf(CongestionId.NewReno).serve(start, onAck, onLoss, onMark, onLoss, onUndo, onIdle);
}

function start(_t: Tcb): void {}

function onAck(t: Tcb, acked: u32, _now: u64): void {
  const reno = stateOf(t);
  if (t.cwnd < t.ssthresh) {
    slowStartOrHyStart(t, reno, acked);
    return;
  }
  reno.acked += acked;
  if (reno.acked >= t.cwnd) {
    reno.acked -= t.cwnd;
    t.cwnd = min<u32>(t.cwnd + t.sndMss, CWND_MAX);
  }
}

function onLoss(t: Tcb, flight: u32, _now: u64): void {
  noteWindow(t);
  t.ssthresh = halfOf(t, flight);
  stateOf(t).acked = 0;
}

function onUndo(t: Tcb, _now: u64): void {
  restoreWindow(t);
}

/** RFC 8511, 3: a mark comes from a short queue, so 0.8 is enough. */
function onMark(t: Tcb, flight: u32, _now: u64): void {
  t.ssthresh = max<u32>(<u32>(((<u64>flight) << 2) / 5), 2 * <u32>t.sndMss);
  stateOf(t).acked = 0;
}

function onIdle(t: Tcb, _now: u64): void {
  restartWindow(t);
  stateOf(t).acked = 0;
}
