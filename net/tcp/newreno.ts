import { CongestionId, CWND_MAX, registerCongestion, restartWindow, slowStart } from "./congestion";
import { Tcb } from "./tcb";

/**
 * NewReno's congestion control (RFC 5681): one segment a round trip more, half after a loss.
 * `cc2` counts acknowledged bytes towards the next segment (RFC 5681, 3.1; RFC 3465, 2.1).
 */
export function newRenoInit(): void {
  registerCongestion(CongestionId.NewReno, start, onAck, onLoss, onLoss, onIdle);
}

function start(t: Tcb): void {
  t.work.cc2 = 0;
}

function onAck(t: Tcb, acked: u32, _now: u64): void {
  if (t.cwnd < t.ssthresh) {
    slowStart(t, acked);
    return;
  }
  t.work.cc2 += acked;
  if (t.work.cc2 >= t.cwnd) {
    t.work.cc2 -= t.cwnd;
    t.cwnd = min<u32>(t.cwnd + t.sndMss, CWND_MAX);
  }
}

/** RFC 5681, 3.1, equation 4. */
function onLoss(t: Tcb, flight: u32, _now: u64): void {
  t.ssthresh = max<u32>(flight >> 1, 2 * <u32>t.sndMss);
  t.work.cc2 = 0;
}

function onIdle(t: Tcb, _now: u64): void {
  restartWindow(t);
  t.work.cc2 = 0;
}
