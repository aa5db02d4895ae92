import { CWND_MAX, slowStart } from "./congestion";
import { roundTripUs } from "../recovery/delivery";
import { seqGreaterEqual } from "../seq";
import { Tcb } from "../tcb";

/**
 * HyStart++ (RFC 9406): slow start that ends when the round trip grows, because a queue has formed,
 * before that queue overflows.
 *
 *     standard ──round trip up──► conservative (CSS) ──five rounds──► avoidance: ssthresh = cwnd
 *         ▲                            │
 *         └──round trip down again─────┘
 *
 * Only the first slow start of a connection, whose `ssthresh` is unlimited, is watched (4.3).
 */

/** 4.3: the constants, µs where they are times. */
const MIN_RTT_THRESH: u32 = 4_000;
const MAX_RTT_THRESH: u32 = 16_000;
const MIN_RTT_DIVISOR: u32 = 8;
const N_RTT_SAMPLE: u32 = 8;
const CSS_GROWTH_DIVISOR: u32 = 4;
const CSS_ROUNDS: u32 = 5;
/** L: most segments that one ACK counts for, without pacing. */
const LIMIT: u32 = 8;

/** The head of a control's state that begins with HyStart++. */
@unmanaged
export class HyStart {
  /** The round ends when this sequence number is acknowledged (4.2: windowEnd). */
  private windowEnd: u32;
  /** Least round trips, µs; 0: none yet. */
  private lastRoundMin: u32;
  private currentRoundMin: u32;
  private samples: u32;
  /** The least round trip when CSS began, µs; 0 outside of it. */
  private cssBaseline: u32;
  private cssRounds: u32;

  /** An ACK of `acked` bytes in the first slow start of `t`. */
  grow(t: Tcb, acked: u32): void {
    const mss: u32 = t.sndMss;
    const counted = min<u32>(acked, LIMIT * mss);
    if (!this.windowEnd) this.windowEnd = t.sndMax;
    this.observe(roundTripUs());
    t.cwnd = min<u32>(
      t.cwnd + (this.cssBaseline ? counted / CSS_GROWTH_DIVISOR : counted),
      CWND_MAX,
    );
    if (seqGreaterEqual(t.sndUna, this.windowEnd)) this.endRound(t);
  }

  /** Takes a round trip of `rtt` µs into account; 0: none. */
  private observe(rtt: u32): void {
    if (!rtt) return;
    if (!this.currentRoundMin || rtt < this.currentRoundMin) this.currentRoundMin = rtt;
    if (++this.samples < N_RTT_SAMPLE) return;
    if (this.cssBaseline) {
      // The growth was not ours after all: resume.
      if (this.currentRoundMin < this.cssBaseline) this.cssBaseline = 0;
    } else if (this.lastRoundMin) {
      const last = this.lastRoundMin;
      const threshold = max<u32>(min<u32>(last / MIN_RTT_DIVISOR, MAX_RTT_THRESH), MIN_RTT_THRESH);
      if (this.currentRoundMin >= last + threshold) {
        this.cssBaseline = this.currentRoundMin;
        this.cssRounds = 0;
      }
    }
  }

  private endRound(t: Tcb): void {
    this.windowEnd = t.sndMax;
    this.lastRoundMin = this.currentRoundMin;
    this.currentRoundMin = 0;
    this.samples = 0;
    if (this.cssBaseline && ++this.cssRounds >= CSS_ROUNDS) t.ssthresh = t.cwnd;
  }
}

/** Growth below `ssthresh`: watched in a connection's first slow start, plain in a later one. */
@inline export function slowStartOrHyStart(t: Tcb, hystart: HyStart, acked: u32): void {
  if (t.ssthresh == CWND_MAX) hystart.grow(t, acked);
  else slowStart(t, acked);
}
