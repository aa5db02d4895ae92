import { delivery } from "./delivery";
import { Flight } from "./flight";
import { inFlight } from "./scoreboard";
import { Tcb } from "../tcb";

/**
 * Proportional Rate Reduction (RFC 9937): in fast recovery data goes out in proportion to what is
 * delivered, so that the flight has shrunk to `ssthresh` when the recovery ends; a flight below
 * that grows again, by what is delivered (PRR-CRB), or by a segment an ACK more while all goes well
 * (PRR-SSRB).
 */

/** Fast recovery begins; `ssthresh` has been set, and the ACK at hand counted in `delivery`. */
export function prrBegin(t: Tcb): void {
  const flight: Flight = t.work;
  flight.prrDelivered = 0;
  flight.prrOut = 0;
  // RecoverFS: what was in flight before this ACK.
  const out = t.sndNxt - t.sndUna - flight.sackedBytes + delivery.newlyDelivered;
  flight.recoverFlight = max<u32>(out, 1);
}

/** Sets `cwnd` for the ACK at hand, whose losses are marked; `advances` if it moved SND.UNA. */
export function prrAck(t: Tcb, advances: bool): void {
  const flight: Flight = t.work;
  const mss: u32 = t.sndMss;
  const delivered = delivery.newlyDelivered;
  const flying = inFlight(t);
  const ssthresh = t.ssthresh;
  let count: u32 = 0;
  if (delivered) {
    flight.prrDelivered += delivered;
    if (flying > ssthresh) {
      const due =
        (<u64>flight.prrDelivered * ssthresh + flight.recoverFlight - 1) / flight.recoverFlight;
      count = due > <u64>flight.prrOut ? <u32>(due - flight.prrOut) : 0;
    } else {
      const behind = flight.prrDelivered > flight.prrOut ? flight.prrDelivered - flight.prrOut : 0;
      count = max<u32>(behind, delivered);
      if (advances && !delivery.newlyLost) count += mss;
      count = min<u32>(count, ssthresh - flying);
    }
  } else if (flight.prrOut) {
    return;
  }
  // The fast retransmission itself.
  if (!flight.prrOut) count = max<u32>(count, mss);
  t.cwnd = flying + count;
}

/** A timer, not an ACK, has marked `lost` bytes: that they no longer fly is no leave to send more. */
export function prrLost(t: Tcb, lost: u32): void {
  const least = inFlight(t) + t.sndMss;
  t.cwnd = t.cwnd > least + lost ? t.cwnd - lost : least;
}
