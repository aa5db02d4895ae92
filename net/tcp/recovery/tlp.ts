import { MILLISECOND, SECOND } from "../../../kernel/timer";
import { congestionOf } from "../congestion/congestion";
import { delivery } from "./delivery";
import { Flight, FlightFlag } from "./flight";
import { seqGreater, seqLess } from "../seq";
import { tcpStats } from "../stats";
import { Tcb, TcbFlag } from "../tcb";

/**
 * The tail loss probe (RFC 8985, 7): when the last segments of a flight are lost nothing follows
 * that would show it, so after two round trips without an ACK one segment more goes, new or the
 * last one again, and its ACK shows what is missing.
 */

/** 7.2: what the peer may hold an ACK of a lone segment back: TLP.max_ack_delay, ns. */
const ACK_DELAY_MAX: u64 = 200 * MILLISECOND;
/** Without a round trip to go by (7.2), and the least: a late step is no loss; ns. */
const PROBE_WITHOUT_RTT: u64 = SECOND;
const PROBE_MIN: u64 = 10 * MILLISECOND;

/** Whether a probe may be timed: nothing is amiss, no probe is out, and the last one gave an RTT. */
@inline export function probeAllowed(t: Tcb): bool {
  const flight: Flight = t.work;
  return (
    t.has(TcbFlag.Sack) &&
    !t.has(TcbFlag.Recovery) &&
    !(flight.bits & (FlightFlag.ProbeOut | FlightFlag.ProbeUnsampled)) &&
    !flight.sackedBytes &&
    !flight.lostBytes &&
    !seqLess(t.sndUna, t.work.recover)
  );
}

/** TLP_calc_PTO (7.2), ns from now. */
export function probeTimeout(t: Tcb): u64 {
  if (!t.srtt) return PROBE_WITHOUT_RTT;
  const timeout = max<u64>(<u64>(t.srtt >> 2) * 1000, PROBE_MIN);
  return t.sndNxt - t.sndUna <= <u32>t.sndMss ? timeout + ACK_DELAY_MAX : timeout;
}

/** TLP_process_ack (7.4.2); `duplicate` if the ACK said nothing new. */
export function probeAcknowledged(t: Tcb, duplicate: bool, sacks: bool, now: u64): void {
  const flight: Flight = t.work;
  if (!(flight.bits & FlightFlag.ProbeOut) || seqLess(t.sndUna, flight.probeEnd)) return;
  if (flight.bits & FlightFlag.ProbeRepeats) {
    const spurious = delivery.hasDuplicate
      ? delivery.duplicateEnd == flight.probeEnd
      : duplicate && !sacks;
    if (!spurious) {
      if (!seqGreater(t.sndUna, flight.probeEnd)) return;
      repaired(t, now);
    }
  }
  flight.bits &= ~(FlightFlag.ProbeOut | FlightFlag.ProbeRepeats);
}

/** The probe has repaired a loss: congestion control hears of it as of any other. */
function repaired(t: Tcb, now: u64): void {
  tcpStats.tlpRecoveries++;
  if (t.has(TcbFlag.Recovery) || seqLess(t.sndUna, t.work.recover)) return;
  const control = congestionOf(t.congestion);
  control.onLoss(t, min<u32>(t.sndNxt - t.sndUna + delivery.newlyDelivered, t.cwnd), now);
  if (!control.ownsWindow) t.cwnd = min<u32>(t.cwnd, t.ssthresh);
}

/** A probe has gone. */
export function probeSent(t: Tcb, repeats: bool): void {
  const flight: Flight = t.work;
  tcpStats.tlpProbes++;
  flight.probeEnd = t.sndNxt;
  flight.bits |= FlightFlag.ProbeOut | FlightFlag.ProbeUnsampled;
  if (repeats) flight.bits |= FlightFlag.ProbeRepeats;
}

/** A round trip has been measured: 7.3, the second condition, holds again. */
@inline export function probeSampled(flight: Flight): void {
  flight.bits &= ~FlightFlag.ProbeUnsampled;
}

/** Whether it is time for one: `timers.ts` has said so, and something is in flight. */
@inline export function probeDue(t: Tcb): bool {
  const flight: Flight = t.work;
  if (!(flight.bits & FlightFlag.ProbeDue)) return false;
  flight.bits &= ~FlightFlag.ProbeDue;
  return t.sndNxt != t.sndUna && probeAllowed(t);
}
