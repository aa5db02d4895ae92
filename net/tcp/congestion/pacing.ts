import { MICROSECOND } from "../../../kernel/timer";
import { congestionOf } from "./congestion";
import { Tcb } from "../tcb";

/**
 * Pacing: data leaves at a rate, not in windows. A connection with a `pacingRate` has a moment,
 * `pacedAt`, before which it sends nothing new; each packet moves that on by the time that its bytes
 * take at the rate (the "earliest departure time" of Jacobson, 2018). Until then the connection waits
 * in the timer wheel like any other deadline, so waiting costs nothing.
 *
 * What goes at once is a quantum: small enough not to be a burst at low rates, and large enough that a
 * device's segmentation, and not the wheel's tick, sets the pace of fast ones. Connections without
 * a rate pay one test an output pass.
 */

/** Below these rates, bytes/s, a quantum is one segment, or two (draft-cardwell-iccrg-bbr-00, 4.2.2). */
const SLOWEST: u64 = 150_000;
const SLOW: u64 = 3_000_000;
/** Above, what leaves in 1 ms, but no more than one packet holds. */
const QUANTUMS_PER_SECOND: u64 = 1000;
const QUANTUM_MAX: u64 = 0xffff;
/**
 * How far behind its time a connection may catch up, ns: steps and wheel ticks are late by tens of
 * microseconds, which must not slow it down; a pause must not let it burst.
 */
const CREDIT: u64 = 250 * MICROSECOND;

/** Sets the rate at which `t` sends, bytes/s, 0 for none: within what its program allows. */
export function paceAt(t: Tcb, rate: u64): void {
  const most = t.settings.maxPacingRate;
  t.work.pacingRate = most && (!rate || rate > most) ? most : rate;
}

/** The program has changed the most that it allows. */
export function pacingLimited(t: Tcb): void {
  if (t.hasWork) paceAt(t, congestionOf(t.congestion).paces ? t.work.pacingRate : 0);
}

/** Bytes that leave at once at `rate`: whole segments. */
export function quantumOf(rate: u64, mss: u32): u32 {
  if (rate < SLOWEST) return mss;
  if (rate < SLOW) return 2 * mss;
  const bytes = <u32>min<u64>(rate / QUANTUMS_PER_SECOND, QUANTUM_MAX);
  return max<u32>(bytes - (bytes % mss), 2 * mss);
}

/** Bytes that a paced connection may send now; 0: it has to wait, and its timer is armed. */
export function paceQuota(t: Tcb, now: u64): u32 {
  const work = t.work;
  const mss: u32 = t.sndMss;
  if (work.pacedAt <= now) {
    work.paceLeft = quantumOf(work.pacingRate, mss);
  } else if (work.paceLeft < mss) {
    const timer = t.timer;
    if (!timer.armed || work.pacedAt < timer.deadline) timer.arm(work.pacedAt);
    return 0;
  }
  return work.paceLeft;
}

/** A paced connection has sent `bytes`. */
export function paceSpend(t: Tcb, bytes: u32, now: u64): void {
  const work = t.work;
  work.paceLeft = work.paceLeft > bytes ? work.paceLeft - bytes : 0;
  const late = now > CREDIT ? now - CREDIT : 0;
  work.pacedAt = max<u64>(work.pacedAt, late) + (<u64>bytes * 1_000_000_000) / work.pacingRate;
}
