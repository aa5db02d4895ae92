import { CongestionId, CWND_MAX, registerCongestion, restartWindow, slowStart } from "./congestion";
import { Tcb } from "./tcb";

/**
 * CUBIC (RFC 9438) in integers: windows in bytes, time in ms. The words of the control block:
 *
 *     cc0  when the epoch began, ns; 0: it begins with the next ACK
 *     cc1  W_est (4.3), 1/1024 byte
 *     cc2  W_max, bytes
 *     cc3  K, ms (4.2)
 *     cc4  growth carried over: below one byte after division by cwnd
 *     cc5  cwnd_prior, bytes
 */

/** C = 0.4 (5.1): offset³ [ms³] × MSS × 4 / 10^10 bytes, taken in two steps to stay in 64 bits. */
const OFFSET_MAX: u64 = 100_000;

export function cubicInit(): void {
  registerCongestion(CongestionId.Cubic, start, onAck, onLoss, onTimeout, onIdle);
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

function start(t: Tcb): void {
  t.work.cc0 = 0;
  t.work.cc2 = 0;
  t.work.cc4 = 0;
}

function beginEpoch(t: Tcb, now: u64): void {
  t.work.cc0 = now;
  // No loss since the last time-out, or none at all: grow from here (4.8).
  if (t.work.cc2 < t.cwnd) t.work.cc2 = t.cwnd;
  t.work.cc3 = cubicK(t.work.cc2, t.cwnd, t.sndMss);
  t.work.cc1 = (<u64>t.cwnd) << 10;
  t.work.cc4 = 0;
}

function onAck(t: Tcb, acked: u32, now: u64): void {
  if (t.cwnd < t.ssthresh) {
    slowStart(t, acked);
    return;
  }
  const cwnd = t.cwnd;
  const mss: u32 = t.sndMss;
  if (!t.work.cc0) beginEpoch(t, now);
  const ms = (now - t.work.cc0) / 1_000_000;

  // W_est (4.3): alpha is 3 (1 - 0.7) / (1 + 0.7) = 9/17, and 1 from cwnd_prior on.
  const share = ((<u64>acked * mss) << 10) / cwnd;
  t.work.cc1 += t.work.cc1 >> 10 >= <u64>t.work.cc5 ? share : (share * 9) / 17;
  const wEst = <u32>min<u64>(t.work.cc1 >> 10, CWND_MAX);
  if (cubicWindow(ms, t.work.cc3, t.work.cc2, mss) < wEst) {
    t.cwnd = max<u32>(cwnd, wEst);
    return;
  }

  // 4.2, 4.4, 4.5: towards where the curve is one round trip ahead, at most half as much again.
  const ahead = cubicWindow(ms + (t.srtt >> 3) / 1000, t.work.cc3, t.work.cc2, mss);
  const target = min<u32>(max<u32>(ahead, cwnd), cwnd + (cwnd >> 1));
  const growth = <u64>(target - cwnd) * acked + t.work.cc4;
  t.cwnd = <u32>min<u64>(cwnd + growth / cwnd, CWND_MAX);
  t.work.cc4 = <u32>(growth % cwnd);
}

/** 4.6 and 4.7: beta is 0.7; who loses below the last W_max leaves room for others. */
function onLoss(t: Tcb, flight: u32, _now: u64): void {
  const cwnd = t.cwnd;
  t.work.cc5 = cwnd;
  t.work.cc2 = cwnd < t.work.cc2 ? <u32>((<u64>cwnd * 17) / 20) : cwnd;
  t.ssthresh = max<u32>(<u32>((<u64>flight * 7) / 10), 2 * <u32>t.sndMss);
  t.work.cc0 = 0;
}

/** 4.8: when slow start ends, W_max is where it ended and K is 0. */
function onTimeout(t: Tcb, flight: u32, now: u64): void {
  onLoss(t, flight, now);
  t.work.cc2 = 0;
}

/** 4.2: a pause is no part of the epoch. */
function onIdle(t: Tcb, _now: u64): void {
  restartWindow(t);
  t.work.cc0 = 0;
}
