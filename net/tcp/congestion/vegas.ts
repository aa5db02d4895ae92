import {
  congestionOf,
  CWND_MAX,
  halfOf,
  noteWindow,
  restartWindow,
  restoreWindow,
  slowStart,
} from "./congestion";
import { CongestionId } from "./controls";
import { roundTripUs } from "../recovery/delivery";
import { seqGreaterEqual } from "../seq";
import { Tcb } from "../tcb";

/**
 * Vegas (Brakmo and Peterson, 1995): the window follows the queue, not its overflow. In a round trip
 * `rtt` where the shortest ever was `base`, of a window's bytes cwnd × (rtt − base) / rtt lie in
 * queues. Once a round trip the window gains a segment if those are fewer than `ALPHA` segments
 * and loses one if they are more than `BETA`.
 *
 * Slow start grows in every other round only, so that the rounds between measure a steady window,
 * and ends as soon as `GAMMA` segments wait. Where losses happen all the same, Vegas is NewReno.
 */

/** Segments in queues. */
const ALPHA: u32 = 2;
const BETA: u32 = 4;
const GAMMA: u32 = 1;
/** Fewer round trips than this in a round may all have met a delayed ACK. */
const SAMPLES_MIN: u32 = 3;


@unmanaged
class Vegas {
  /** Round trips of this round: their sum, µs, and how many they are. */
  sum: u64;
  samples: u32;
  /** Shortest round trip ever, and of this round, µs; 0: none yet. */
  base: u32;
  least: u32;
  /** The round ends when this sequence number is acknowledged; 0: it begins with the next ACK. */
  roundEnd: u32;
  /** Slow start grows in this round. */
  growing: bool;
}


@inline function stateOf(t: Tcb): Vegas {
  return changetype<Vegas>(t.work.control);
}

export function vegasInit(): void {
  congestionOf(CongestionId.Vegas).serve(start, onAck, onLoss, onLoss, onLoss, onUndo, onIdle);
}

function start(t: Tcb): void {
  stateOf(t).growing = true;
}

/** Bytes of a window that wait in queues, where a round trip takes `rtt` instead of `base`. */
export function vegasQueued(cwnd: u32, rtt: u32, base: u32): u32 {
  return rtt > base ? <u32>((<u64>cwnd * (rtt - base)) / rtt) : 0;
}

function onAck(t: Tcb, acked: u32, _now: u64): void {
  const vegas = stateOf(t);
  const rtt = roundTripUs();
  if (rtt) {
    if (!vegas.base || rtt < vegas.base) vegas.base = rtt;
    if (!vegas.least || rtt < vegas.least) vegas.least = rtt;
    vegas.sum += rtt;
    vegas.samples++;
  }
  if (t.cwnd < t.ssthresh && vegas.growing) slowStart(t, acked);
  if (!vegas.roundEnd) beginRound(t, vegas);
  else if (seqGreaterEqual(t.sndUna, vegas.roundEnd)) endRound(t, vegas);
}

function beginRound(t: Tcb, vegas: Vegas): void {
  vegas.roundEnd = t.sndMax;
  vegas.least = 0;
  vegas.sum = 0;
  vegas.samples = 0;
}

function endRound(t: Tcb, vegas: Vegas): void {
  const mss: u32 = t.sndMss;
  const starting = t.cwnd < t.ssthresh;
  if (vegas.samples < SAMPLES_MIN) {
    if (!starting) t.cwnd = min<u32>(t.cwnd + mss, CWND_MAX);
  } else {
    // Slow start makes bursts that queue behind themselves: what is left between them is the queue.
    const rtt = starting ? vegas.least : <u32>(vegas.sum / vegas.samples);
    const queued = vegasQueued(t.cwnd, rtt, vegas.base);
    if (starting) {
      if (queued > GAMMA * mss) leaveSlowStart(t, queued);
    } else if (queued < ALPHA * mss) {
      t.cwnd = min<u32>(t.cwnd + mss, CWND_MAX);
    } else if (queued > BETA * mss) {
      t.cwnd = max<u32>(t.cwnd - mss, 2 * mss);
      // Slow start does not take it back.
      t.ssthresh = min<u32>(t.ssthresh, t.cwnd);
    }
  }
  vegas.growing = !vegas.growing;
  beginRound(t, vegas);
}

/** The queue is given back at once, but for a segment. */
function leaveSlowStart(t: Tcb, queued: u32): void {
  const mss: u32 = t.sndMss;
  t.cwnd = max<u32>(t.cwnd - queued + mss, 2 * mss);
  t.ssthresh = t.cwnd;
}

function onLoss(t: Tcb, flight: u32, _now: u64): void {
  noteWindow(t);
  t.ssthresh = halfOf(t, flight);
  stateOf(t).roundEnd = 0;
}

function onUndo(t: Tcb, _now: u64): void {
  restoreWindow(t);
  stateOf(t).roundEnd = 0;
}

/** What was measured before the pause says nothing of the queue now; the path's length stays. */
function onIdle(t: Tcb, _now: u64): void {
  restartWindow(t);
  stateOf(t).roundEnd = 0;
}
