import { now as clock } from "../../../kernel/clock";
import { randomBelow } from "../../../kernel/random";
import { MILLISECOND, SECOND } from "../../../kernel/timer";
import { congestionOf, CWND_MAX, initialWindow, noteWindow, restoreWindow } from "./congestion";
import { CongestionId } from "./controls";
import { delivery, deliveryRate, roundTripUs } from "../recovery/delivery";
import { Mark } from "../recovery/flight";
import { paceAt, quantumOf } from "./pacing";
import { inFlight } from "../recovery/scoreboard";
import { seqGreaterEqual, seqLess } from "../seq";
import { Tcb } from "../tcb";

/**
 * BBR, version 1 (Cardwell, Cheng, Gunn, Yeganeh and Jacobson, 2016;
 * draft-cardwell-iccrg-bbr-congestion-control-00, whose sections are cited): the path is modelled by
 * the largest rate that it has delivered lately and by its shortest round trip. Their product is
 * what it holds without a queue; the connection sends at that rate, paced, and keeps about that much
 * in flight. A loss by itself says nothing of the rate.
 *
 *     Startup ──rate stops growing──► Drain ──queue gone──► ProbeBw ◄──► ProbeRtt
 *     doubles the rate               gives the queue back   cycles a      once in 10 s lets the
 *     each round trip                                       quarter up    flight run dry, to see
 *                                                           and down      the bare round trip
 */

const enum Mode {
  Startup = 0,
  Drain = 1,
  ProbeBw = 2,
  ProbeRtt = 3,
}

/** `Bbr.bits`. */
const enum Bit {
  /** The rate has stopped growing: Startup is over for good. */
  Filled = 1,
  /** Losses are being repaired; `priorCwnd` is what the window was. */
  Repairing = 2,
  /** They were found by the ACK at hand. */
  Entered = 4,
  /** For a round no more goes than has arrived. */
  Conserving = 8,
  /** Sending began again after a pause. */
  IdleRestart = 16,
  /** A round has passed in ProbeRtt. */
  ProbeRound = 32,
  /** The first pacing rate came from a real round trip. */
  RttSeen = 64,
}

/** Gains in 1/256. 4.2.1: 2/ln 2 doubles the rate each round; its inverse gives that back. */
const UNIT: u32 = 256;
const HIGH_GAIN: u32 = 739;
const DRAIN_GAIN: u32 = 88;
/** 4.3.4: twice what the path holds, for ACKs that come late or together. */
const CWND_GAIN: u32 = 512;
const PROBE_UP: u32 = 320;
const PROBE_DOWN: u32 = 192;
const PHASES: u8 = 8;
/** 4.1.1.3: rounds that the largest rate is remembered for. */
const RATE_ROUNDS: u32 = 10;
/** 4.1.2: how long the shortest round trip is; how long ProbeRtt lasts. */
const RTT_LIFE: u64 = 10 * SECOND;
const PROBE_RTT_TIME: u64 = 200 * MILLISECOND;
/** 4.3.2.2: the rate has stopped growing when it gained less than a quarter in three rounds. */
const FULL_ROUNDS: u8 = 3;
/** 4.2.3.2: segments. */
const CWND_MIN: u32 = 4;


@unmanaged
class Bbr {
  /** The largest rates lately, bytes/s, best first, and the rounds that they are of (BtlBwFilter). */
  rate: u64;
  private rate1: u64;
  private rate2: u64;
  private round: u32;
  private round1: u32;
  private round2: u32;
  /** Round trips counted, and the value of `delivered` that ends this one. */
  rounds: u32;
  roundEnd: u64;
  /** RTprop, µs, 0 for unknown; and when it was measured, ns. */
  minRtt: u32;
  priorCwnd: u32;
  minRttAt: u64;
  /** When ProbeRtt may end, ns; 0 while the flight has not run dry. */
  probeDoneAt: u64;
  /** When this phase of ProbeBw began, ns. */
  cycleAt: u64;
  /** The rate when it last grew, and rounds since. */
  fullRate: u64;
  fullRounds: u8;
  mode: u8;
  /** Of ProbeBw's eight: 0 probes, 1 gives back, the others cruise. */
  phase: u8;
  bits: u8;


  @inline has(bit: u32): bool {
    return ((<u32>this.bits) & bit) != 0;
  }


  @inline raise(bit: u32): void {
    this.bits |= <u8>bit;
  }


  @inline clear(bit: u32): void {
    this.bits &= <u8>~bit;
  }

  get pacingGain(): u32 {
    switch (<u32>this.mode) {
      case Mode.Startup:
        return HIGH_GAIN;
      case Mode.Drain:
        return DRAIN_GAIN;
      case Mode.ProbeBw:
        return this.phase == 0 ? PROBE_UP : this.phase == 1 ? PROBE_DOWN : UNIT;
      default:
        return UNIT;
    }
  }

  /** Takes a rate into the filter: the maximum of a window in three words (Nichols, 2012). */
  sample(rate: u64): void {
    const now = this.rounds;
    if (rate >= this.rate || now - this.round2 > RATE_ROUNDS) {
      this.rate = rate;
      this.round = now;
      this.second(rate);
      return;
    }
    if (rate >= this.rate1) this.second(rate);
    else if (rate >= this.rate2) this.third(rate);
    const age = now - this.round;
    if (age > RATE_ROUNDS) {
      this.shift(rate);
      if (now - this.round > RATE_ROUNDS) this.shift(rate);
    } else if (this.round1 == this.round && age > RATE_ROUNDS >> 2) {
      this.second(rate);
    } else if (this.round2 == this.round1 && age > RATE_ROUNDS >> 1) {
      this.third(rate);
    }
  }

  private second(rate: u64): void {
    this.rate1 = rate;
    this.round1 = this.rounds;
    this.third(rate);
  }

  private third(rate: u64): void {
    this.rate2 = rate;
    this.round2 = this.rounds;
  }

  /** The best is too old: the next ones move up. */
  private shift(rate: u64): void {
    this.rate = this.rate1;
    this.round = this.round1;
    this.rate1 = this.rate2;
    this.round1 = this.round2;
    this.third(rate);
  }
}


@inline function stateOf(t: Tcb): Bbr {
  return changetype<Bbr>(t.work.control);
}

export function bbrInit(): void {
  const control = congestionOf(CongestionId.Bbr);
  control.serve(start, onAck, onLoss, onMark, onTimeout, onUndo, onIdle);
  control.serveSamples(onSample);
  control.ownsWindow = true;
  control.paces = true;
}

function start(t: Tcb): void {
  const bbr = stateOf(t);
  bbr.minRtt = t.srtt >> 3;
  bbr.minRttAt = clock();
  bbr.roundEnd = t.work.delivered;
  // What another control, or this one before a rest, took the path to hold.
  if (t.ssthresh < CWND_MAX) t.cwnd = min<u32>(t.cwnd, t.ssthresh);
  paceFirst(t, bbr);
}

/** Before a rate is known: the window each round trip, or millisecond (4.2.1). */
function paceFirst(t: Tcb, bbr: Bbr): void {
  const us = t.srtt >> 3;
  if (us) bbr.raise(Bit.RttSeen);
  paceAt(t, (<u64>t.cwnd * 1_000_000 * HIGH_GAIN) / UNIT / (us ? us : 1000));
}

/** What the path holds without a queue, times `gain` (4.2.3.1): bytes. */
function product(t: Tcb, bbr: Bbr, gain: u32): u32 {
  if (!bbr.minRtt || !bbr.rate) return <u32>((<u64>initialWindow(t.sndMss) * gain) / UNIT);
  const held = (((bbr.rate * bbr.minRtt) / 1_000_000) * gain) / UNIT;
  return <u32>min<u64>(held, CWND_MAX);
}

/** The same, and what sender and receiver hold on top: three quanta, and four segments at least. */
function target(t: Tcb, bbr: Bbr, gain: u32): u32 {
  const mss: u32 = t.sndMss;
  let bytes = product(t, bbr, gain) + 3 * quantumOf(t.work.pacingRate, mss);
  if (bbr.mode == <u8>Mode.ProbeBw && bbr.phase == 0) bytes += 2 * mss;
  return max<u32>(bytes, CWND_MIN * mss);
}

function onAck(_t: Tcb, _acked: u32, _now: u64): void {}

function saveWindow(t: Tcb, bbr: Bbr): void {
  const known = bbr.has(Bit.Repairing) || bbr.mode == <u8>Mode.ProbeRtt;
  bbr.priorCwnd = known ? max<u32>(bbr.priorCwnd, t.cwnd) : t.cwnd;
}

/** 4.2.3.4: for one round what leaves is what arrives; then the model rules again. */
function onLoss(t: Tcb, _flight: u32, _now: u64): void {
  const bbr = stateOf(t);
  noteWindow(t);
  saveWindow(t, bbr);
  bbr.raise(Bit.Repairing | Bit.Entered | Bit.Conserving);
  bbr.roundEnd = t.work.delivered;
}

/** Version 1 knows no marks; RFC 3168, 5 wants an answer: for a round trip, no more than fills the path. */
function onMark(t: Tcb, _flight: u32, _now: u64): void {
  t.ssthresh = target(t, stateOf(t), UNIT);
}

/** From one segment on, as RFC 5681 has it; whether the pipe is full is asked anew. */
function onTimeout(t: Tcb, _flight: u32, _now: u64): void {
  const bbr = stateOf(t);
  noteWindow(t);
  saveWindow(t, bbr);
  bbr.raise(Bit.Repairing);
  bbr.clear(Bit.Entered | Bit.Conserving);
  bbr.fullRate = 0;
  bbr.fullRounds = 0;
}

function onUndo(t: Tcb, _now: u64): void {
  const bbr = stateOf(t);
  restoreWindow(t);
  t.cwnd = max<u32>(t.cwnd, bbr.priorCwnd);
  bbr.clear(Bit.Repairing | Bit.Entered | Bit.Conserving);
  bbr.fullRate = 0;
  bbr.fullRounds = 0;
}

/** 4.3.4.4: pacing makes a burst of the old window harmless; only the probing up is left out. */
function onIdle(t: Tcb, _now: u64): void {
  const bbr = stateOf(t);
  bbr.raise(Bit.IdleRestart);
  if (bbr.mode == <u8>Mode.ProbeBw) paceAt(t, bbr.rate);
}

function onSample(t: Tcb, now: u64): void {
  const bbr = stateOf(t);
  if (delivery.newlyDelivered) updateModel(t, bbr, now);
  setWindow(t, bbr);
  bbr.clear(Bit.IdleRestart);
}

/** 4.1, 4.3: rate, round trip, and what they make of the mode. */
function updateModel(t: Tcb, bbr: Bbr, now: u64): void {
  const work = t.work;
  let roundBegins = false;
  if (delivery.priorTime && seqGreaterEqual(delivery.priorDelivered, <u32>bbr.roundEnd)) {
    bbr.roundEnd = work.delivered;
    bbr.rounds++;
    bbr.clear(Bit.Conserving);
    roundBegins = true;
  }
  const appLimited = (delivery.marks & Mark.AppLimited) != 0;
  const rate = deliveryRate(t, bbr.minRtt);
  // 4.1.1.4: a rate that the program limited counts only if it is more than is known.
  if (rate && (!appLimited || rate >= bbr.rate)) bbr.sample(rate);

  const flying = inFlight(t);
  if (bbr.mode == <u8>Mode.ProbeBw) checkPhase(t, bbr, flying + delivery.newlyDelivered, now);
  if (roundBegins && !appLimited && !bbr.has(Bit.Filled)) checkFull(bbr);
  if (bbr.mode == <u8>Mode.Startup && bbr.has(Bit.Filled)) {
    bbr.mode = <u8>Mode.Drain;
    t.ssthresh = target(t, bbr, UNIT);
  }
  if (bbr.mode == <u8>Mode.Drain && flying <= target(t, bbr, UNIT)) probeRate(bbr, now);
  updateRoundTrip(t, bbr, flying, roundBegins, now);

  if (!bbr.has(Bit.RttSeen) && t.srtt) paceFirst(t, bbr);
  // 4.2.1: a hundredth less than the path delivers, so that no queue stays.
  const wanted = (((bbr.rate * bbr.pacingGain) / UNIT) * 99) / 100;
  if (wanted && (bbr.has(Bit.Filled) || wanted > work.pacingRate)) paceAt(t, wanted);
}

/** 4.3.2.2. */
function checkFull(bbr: Bbr): void {
  if (bbr.rate >= bbr.fullRate + (bbr.fullRate >> 2)) {
    bbr.fullRate = bbr.rate;
    bbr.fullRounds = 0;
  } else if (++bbr.fullRounds >= FULL_ROUNDS) {
    bbr.raise(Bit.Filled);
  }
}

/** 4.3.4.2: begins anywhere in the cycle but where it gives back, so that flows do not probe as one. */
function probeRate(bbr: Bbr, now: u64): void {
  bbr.mode = <u8>Mode.ProbeBw;
  const at = <u8>randomBelow(PHASES - 1);
  bbr.phase = at ? at + 1 : 0;
  bbr.cycleAt = now;
}

/** 4.3.4.3: the next phase, when this one has lasted a round trip and done what it is for. */
function checkPhase(t: Tcb, bbr: Bbr, flight: u32, now: u64): void {
  let over = now - bbr.cycleAt > <u64>bbr.minRtt * 1000;
  if (bbr.phase == 0) {
    over = over && (delivery.newlyLost != 0 || flight >= target(t, bbr, PROBE_UP));
  } else if (bbr.phase == 1) {
    over = over || flight <= target(t, bbr, UNIT);
  }
  if (!over) return;
  bbr.phase = (bbr.phase + 1) % PHASES;
  bbr.cycleAt = now;
}

/** 4.1.2, 4.3.5: the shortest round trip, and ProbeRtt when it has not been seen for long. */
function updateRoundTrip(t: Tcb, bbr: Bbr, flying: u32, roundBegins: bool, now: u64): void {
  const rtt = roundTripUs();
  const stale = now - bbr.minRttAt > RTT_LIFE;
  if (rtt && (!bbr.minRtt || rtt <= bbr.minRtt || stale)) {
    bbr.minRtt = rtt;
    bbr.minRttAt = now;
  }
  if (bbr.mode != <u8>Mode.ProbeRtt) {
    if (!stale || bbr.has(Bit.IdleRestart)) return;
    saveWindow(t, bbr);
    bbr.mode = <u8>Mode.ProbeRtt;
    bbr.probeDoneAt = 0;
  }
  // The rate meanwhile is not the path's.
  t.work.appLimited = max<u64>(t.work.delivered + flying, 1);
  if (!bbr.probeDoneAt) {
    if (flying > CWND_MIN * t.sndMss) return;
    bbr.probeDoneAt = now + PROBE_RTT_TIME;
    bbr.clear(Bit.ProbeRound);
    bbr.roundEnd = t.work.delivered;
    return;
  }
  if (roundBegins) bbr.raise(Bit.ProbeRound);
  if (!bbr.has(Bit.ProbeRound) || now < bbr.probeDoneAt) return;
  bbr.minRttAt = now;
  t.cwnd = max<u32>(t.cwnd, bbr.priorCwnd);
  if (bbr.has(Bit.Filled)) probeRate(bbr, now);
  else bbr.mode = <u8>Mode.Startup;
}

/** 4.2.3: the window follows its target by what is delivered, and losses take from it. */
function setWindow(t: Tcb, bbr: Bbr): void {
  const mss: u32 = t.sndMss;
  const delivered = delivery.newlyDelivered;
  const lost = delivery.newlyLost;
  let cwnd = t.cwnd;
  if (lost) cwnd = cwnd > lost + mss ? cwnd - lost : mss;
  if (bbr.has(Bit.Entered)) {
    cwnd = inFlight(t) + max<u32>(delivered, mss);
    bbr.clear(Bit.Entered);
  } else if (bbr.has(Bit.Repairing) && !seqLess(t.sndUna, t.work.recover)) {
    bbr.clear(Bit.Repairing | Bit.Conserving);
    cwnd = max<u32>(cwnd, bbr.priorCwnd);
  }
  if (bbr.has(Bit.Conserving)) {
    cwnd = max<u32>(cwnd, inFlight(t) + delivered);
  } else {
    const gain = bbr.mode < <u8>Mode.ProbeBw ? HIGH_GAIN : CWND_GAIN;
    const most = target(t, bbr, gain);
    if (bbr.has(Bit.Filled)) cwnd = min<u32>(cwnd + delivered, most);
    else if (cwnd < most || t.work.delivered < <u64>initialWindow(mss)) cwnd += delivered;
    cwnd = max<u32>(cwnd, CWND_MIN * mss);
  }
  if (bbr.mode == <u8>Mode.ProbeRtt) cwnd = min<u32>(cwnd, CWND_MIN * mss);
  t.cwnd = min<u32>(cwnd, CWND_MAX);
}
