import { MILLISECOND, SECOND } from "../../../kernel/timer";
import { ipReceiveFullAt } from "../../ip/route";
import { mostSlots, receiveHeld } from "./budget";
import { timestampClock } from "../opening/isn";
import { options } from "../options";
import { seqGreaterEqual } from "../seq";
import { Tcb, TcbFlag } from "../tcb";

/**
 * The receive buffer grows with what the program takes in a round trip (Fisk and Feng, "Dynamic
 * Right-Sizing in TCP", 2001). A sender held back by our window sends one window a round trip; so if
 * the program takes nearly that much, twice as much must be offered for the sender's own window, not
 * ours, to set the pace. Who reads slowly or not at all takes little and keeps the small buffer that
 * everybody begins with, so that many connections are cheap. The send buffer needs no measurement:
 * it holds two congestion windows (`sendMost` in budget.ts), one in flight and one behind it.
 *
 * A receiver cannot time its own segments. The round trip is seen from the sender's answer to an
 * ACK: the echo of our timestamp, or else the arrival of what a whole window later begins. Both are
 * too long when the sender has nothing to say, so smaller samples count at once and larger slowly.
 *
 * A device whose receive ring fills up is a buffer that is too small for what the window lets in. What
 * is lost there is sent again for nothing: the machine is the bottleneck, and a larger window only
 * makes the ring overflow more. So while that happens, windows shrink.
 */

/** Bits of `Tcb.fixedBuffers`: the program has set the size, and has its reasons. */
export const enum FixedBuffer {
  Receive = 1,
  Send = 2,
}

/** What programs take is not measured over less: they are run in turns, not by the byte, ns. */
const INTERVAL_MIN: u64 = MILLISECOND;
/** An interval that is so much longer than a round trip has a pause of the program in it, ns. */
const PAUSE: u64 = 100 * MILLISECOND;
/** After a device ran out of room nothing grows for so long, ns. */
const FULL_PAUSE: u64 = SECOND;
/** Fewest slots that it leaves a connection. */
const SHRUNK_LEAST: u32 = 16;
/** Samples beyond this are pauses of the sender, µs. */
const ROUND_TRIP_MAX: u32 = 4_000_000;

/** Segments in order have come up to RCV.NXT, the last with the options parsed last. */
@inline export function tuneArrived(t: Tcb, now: u64): void {
  if (!(t.fixedBuffers & FixedBuffer.Receive)) sampleArrival(t, now);
}

function sampleArrival(t: Tcb, now: u64): void {
  const work = t.work;
  if (t.has(TcbFlag.Timestamps)) {
    const echo = options.tsEcr;
    if (echo == work.tuneEcho) return;
    work.tuneEcho = echo;
    // The clock counts ms: rounded up, so that a short path is not taken for none.
    const ms = timestampClock(now) + t.tsOffset - echo + 1;
    sample(t, <u64>ms * 1000);
  } else if (!work.tuneEdgeAt || seqGreaterEqual(t.rcvNxt, work.tuneEdge)) {
    if (work.tuneEdgeAt) sample(t, (now - work.tuneEdgeAt) / 1000);
    work.tuneEdge = t.rcvAdv;
    work.tuneEdgeAt = now;
  }
}

/** A round trip of at most `us` µs. */
function sample(t: Tcb, us: u64): void {
  if (us > ROUND_TRIP_MAX) return;
  const work = t.work;
  const before = work.tuneRoundTrip;
  if (!before || us < before) work.tuneRoundTrip = <u32>us;
  else work.tuneRoundTrip = before + ((<u32>us - before) >> 3);
}

/** What a round trip takes as far as is known: to begin with, what the handshake took, ns. */
@inline function roundTrip(t: Tcb): u64 {
  const us: u32 = t.work.tuneRoundTrip ? t.work.tuneRoundTrip : t.srtt >> 3;
  return max<u64>(<u64>us * 1000, INTERVAL_MIN);
}

/** The program has taken `length` bytes: at the end of a round trip, the buffer may grow. */
export function tuneRead(t: Tcb, length: u32, now: u64): void {
  if (t.fixedBuffers & FixedBuffer.Receive) return;
  const work = t.work;
  work.tuneBytes += length;
  const elapsed = now - work.tuneAt;
  const period = roundTrip(t);
  if (elapsed < period) return;
  const taken = work.tuneBytes;
  work.tuneBytes = 0;
  work.tuneAt = now;
  if (elapsed > period + PAUSE) return;
  const fullAt = ipReceiveFullAt(t.local, t.settings.mark, t.remote);
  if (fullAt && now - fullAt < FULL_PAUSE) {
    if (now - fullAt <= elapsed) shrink(t);
    return;
  }
  const before = work.tuneTaken;
  if (taken <= before) return;
  work.tuneTaken = taken;
  // Twice; and in slow start, when twice as much came as before, room for two doublings more.
  const wanted = 2 * <u64>taken + (before ? 4 * <u64>(taken - before) : 0);
  const slots = <u32>min<u64>(wanted / t.rcvMss + 1, mostSlots());
  if (slots > t.receiveLimit) t.receiveLimit = <u16>slots;
}

/** The peer may send a quarter less at a time; what it has been promised stays (`advertise`). */
function shrink(t: Tcb): void {
  const slots = <u32>t.receiveLimit - ((<u32>t.receiveLimit) >> 2);
  if (slots < SHRUNK_LEAST || slots < receiveHeld(t)) return;
  t.receiveLimit = <u16>slots;
  t.work.tuneTaken = 0;
}
