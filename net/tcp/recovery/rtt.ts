import { Tcb, TcbFlag } from "../tcb";

/**
 * Round-trip time and retransmission time-out (RFC 6298), in integers: `srtt` holds eighths and
 * `rttvar` quarters of a µs, so that the gains of 1/8 and 1/4 are shifts.
 */

/** Before the first sample (RFC 6298, 2.1), µs. */
export const RTO_INITIAL: u32 = 1_000_000;
/** When the SYN's timer expired: for the data that follows (RFC 6298, 5.7), µs. */
export const RTO_AFTER_LOST_SYN: u32 = 3_000_000;
/**
 * The least that the variation may add to the smoothed round trip, µs. RFC 6298, 2.4 would rather
 * have an RTO of a second or more; like other stacks we take 200 ms above the round trip, which
 * stands clear of any delayed ACK and stalls a fifth as long.
 */
export const RTO_MARGIN: u32 = 200_000;
/** Upper limit (RFC 6298, 2.5: at least 60 s), µs. */
export const RTO_MAX: u32 = 120_000_000;
/** A sample beyond this is a clock's or a liar's, µs. */
const SAMPLE_MAX: u32 = 64_000_000;

/** No sample yet. */
export function rttInit(t: Tcb): void {
  t.srtt = 0;
  t.rttvar = 0;
  t.rto = RTO_INITIAL;
}

/** The time-out that follows from what has been measured (RFC 6298, 2.1, 2.3 and 5.7), µs. */
export function rtoMeasured(t: Tcb): u32 {
  if (!t.srtt) return t.has(TcbFlag.SynRetransmitted) ? RTO_AFTER_LOST_SYN : RTO_INITIAL;
  return min<u32>((t.srtt >> 3) + max<u32>(RTO_MARGIN, t.rttvar), RTO_MAX);
}

/** Takes a measured round trip of `us` µs (RFC 6298, 2.2 and 2.3). */
export function rttSample(t: Tcb, us: u64): void {
  const sample = <u32>min<u64>(max<u64>(us, 1), SAMPLE_MAX);
  if (!t.srtt) {
    t.srtt = sample << 3;
    t.rttvar = sample << 1;
  } else {
    const error = <i32>(sample - (t.srtt >> 3));
    t.rttvar += <u32>abs(error) - (t.rttvar >> 2);
    t.srtt += error;
  }
  t.rto = rtoMeasured(t);
}

/** The time-out with its back-off (RFC 6298, 5.5), ns. */
@inline export function rtoNs(t: Tcb): u64 {
  return min<u64>((<u64>t.rto) << t.work.backoff, RTO_MAX) * 1000;
}
