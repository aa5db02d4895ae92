import { congestionOf, CWND_MAX, noteWindow, restartWindow, restoreWindow } from "./congestion";
import { CongestionId } from "./controls";
import { HyStart, slowStartOrHyStart } from "./hystart";
import { Tcb } from "../tcb";

/**
 * CUBIC (RFC 9438) in integers: windows in bytes, time in ms. After a loss the window grows back to
 * where it was along a cubic curve: fast, then slowly around that point, then fast again beyond it.
 */
@unmanaged
export class Cubic extends HyStart {
  /** t_epoch (4.2), ns, moved on by pauses; 0: it begins with the next ACK. */
  epoch: u64;
  /** When an ACK last moved the curve, ns. */
  updatedAt: u64;
  /** W_est (4.3), 1/1024 byte. */
  wEst: u64;
  /** W_max, bytes. */
  wMax: u32;
  /** K (4.2), ms. */
  k: u32;
  /** cwnd_prior, bytes: where the last reduction began, or slow start ended. */
  cwndPrior: u32;
  /** Growth carried over: below one byte after division by cwnd. */
  carry: u32;
  /** What `epoch`, `wMax`, `k` and `cwndPrior` were before the last reduction (4.9). */
  undoEpoch: u64;
  undoWMax: u32;
  undoK: u32;
  undoCwndPrior: u32;
}


@inline function stateOf(t: Tcb): Cubic {
  return changetype<Cubic>(t.work.control);
}

/** C = 0.4 (5.1): offset³ [ms³] × MSS × 4 / 10^10 bytes, taken in two steps to stay in 64 bits. */
const OFFSET_MAX: u64 = 100_000;

export function cubicInit(): void {
  congestionOf(CongestionId.Cubic).serve(start, onAck, onLoss, onMark, onTimeout, onUndo, onIdle);
}

/** The integer cube root, rounded down: two bits of `value` decide one of the result. */
export function cubeRoot(value: u64): u32 {
  let root: u64 = 0;
  for (let shift: i32 = 63; shift >= 0; shift -= 3) {
    root <<= 1;
    const step = 3 * root * (root + 1) + 1;
    if (value >> shift >= step) {
      value -= step << shift;
      root++;
    }
  }
  return <u32>root;
}

/** K (4.2): ms from a window of `from` bytes back to `wMax`, cbrt((W_max - cwnd) / C). */
export function cubicK(wMax: u32, from: u32, mss: u32): u32 {
  if (wMax <= from) return 0;
  // Segments over 0.4, as 10^-9 s³: the product stays below 2^64.
  return cubeRoot((<u64>(wMax - from) * 2_500_000_000) / mss);
}

/** W_cubic (4.2) in bytes, `ms` after the epoch began. */
export function cubicWindow(ms: u64, k: u32, wMax: u32, mss: u32): u32 {
  const late = ms >= k;
  const offset = min<u64>(late ? ms - k : k - ms, OFFSET_MAX);
  const change = (((offset * offset * offset) / 1000) * mss) / 2_500_000;
  if (late) return <u32>min<u64>(wMax + change, CWND_MAX);
  return change < wMax ? <u32>(wMax - change) : 0;
}

function start(_t: Tcb): void {}

function beginEpoch(t: Tcb, cubic: Cubic, now: u64): void {
  const cwnd = t.cwnd;
  cubic.epoch = now;
  cubic.updatedAt = now;
  // No loss since the last time-out, or none at all: grow from here (4.8, 4.10).
  if (cubic.wMax < cwnd) cubic.wMax = cwnd;
  cubic.k = cubicK(cubic.wMax, cwnd, t.sndMss);
  cubic.wEst = (<u64>cwnd) << 10;
  cubic.carry = 0;
}

/**
 * Time without growth, because the program or the peer held sending back, is no part of the epoch
 * (4.2, 5.8): of what lies between two ACKs at most a round trip counts.
 */
@inline function advance(t: Tcb, cubic: Cubic, now: u64): u64 {
  const gap = now - cubic.updatedAt;
  const roundTrip = <u64>(t.srtt >> 3) * 1000;
  if (gap > roundTrip) cubic.epoch += gap - roundTrip;
  cubic.updatedAt = now;
  return (now - cubic.epoch) / 1_000_000;
}

function onAck(t: Tcb, acked: u32, now: u64): void {
  const cubic = stateOf(t);
  if (t.cwnd < t.ssthresh) {
    slowStartOrHyStart(t, cubic, acked);
    // Avoidance begins anew behind it (4.2).
    cubic.epoch = 0;
    if (t.cwnd >= t.ssthresh) cubic.cwndPrior = max<u32>(cubic.cwndPrior, t.cwnd);
    return;
  }
  const cwnd = t.cwnd;
  const mss: u32 = t.sndMss;
  if (!cubic.epoch) beginEpoch(t, cubic, now);
  const ms = advance(t, cubic, now);

  // W_est (4.3): alpha is 3 (1 - 0.7) / (1 + 0.7) = 9/17, and 1 from cwnd_prior on.
  const share = ((<u64>acked * mss) << 10) / cwnd;
  cubic.wEst += cubic.wEst >> 10 >= <u64>cubic.cwndPrior ? share : (share * 9) / 17;
  const wEst = <u32>min<u64>(cubic.wEst >> 10, CWND_MAX);
  if (cubicWindow(ms, cubic.k, cubic.wMax, mss) < wEst) {
    t.cwnd = max<u32>(cwnd, wEst);
    return;
  }

  // 4.2, 4.4, 4.5: towards where the curve is one round trip ahead, at most half as much again.
  const ahead = cubicWindow(ms + (t.srtt >> 3) / 1000, cubic.k, cubic.wMax, mss);
  const target = min<u32>(max<u32>(ahead, cwnd), cwnd + (cwnd >> 1));
  const growth = <u64>(target - cwnd) * acked + cubic.carry;
  t.cwnd = <u32>min<u64>(cwnd + growth / cwnd, CWND_MAX);
  cubic.carry = <u32>(growth % cwnd);
}

/** 4.6: beta is 0.7. */
function onLoss(t: Tcb, flight: u32, _now: u64): void {
  const cubic = stateOf(t);
  if (noteWindow(t)) {
    cubic.undoEpoch = cubic.epoch;
    cubic.undoWMax = cubic.wMax;
    cubic.undoK = cubic.k;
    cubic.undoCwndPrior = cubic.cwndPrior;
  }
  reduce(t, flight, 70);
}

/** RFC 8511, 3: a mark comes from a short queue, so beta is 0.85 and the path stays full. */
function onMark(t: Tcb, flight: u32, _now: u64): void {
  reduce(t, flight, 85);
}

/** To `percent` of the flight; 4.7: who reduces below the last W_max leaves room for others. */
function reduce(t: Tcb, flight: u32, percent: u32): void {
  const cubic = stateOf(t);
  const cwnd = t.cwnd;
  cubic.cwndPrior = cwnd;
  cubic.wMax = cwnd < cubic.wMax ? <u32>((<u64>cwnd * 17) / 20) : cwnd;
  t.ssthresh = max<u32>(<u32>((<u64>flight * percent) / 100), 2 * <u32>t.sndMss);
  cubic.epoch = 0;
}

/** 4.8: when slow start ends, W_max is where it ended and K is 0. */
function onTimeout(t: Tcb, flight: u32, now: u64): void {
  onLoss(t, flight, now);
  stateOf(t).wMax = 0;
}

/** 4.9: the curve goes on as if nothing had happened. */
function onUndo(t: Tcb, _now: u64): void {
  const cubic = stateOf(t);
  restoreWindow(t);
  cubic.epoch = cubic.undoEpoch;
  cubic.wMax = cubic.undoWMax;
  cubic.k = cubic.undoK;
  cubic.cwndPrior = cubic.undoCwndPrior;
  cubic.wEst = max<u64>(cubic.wEst, (<u64>t.cwnd) << 10);
}

function onIdle(t: Tcb, _now: u64): void {
  restartWindow(t);
}
