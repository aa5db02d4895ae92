import { delivery } from "./delivery";
import { Flight } from "./flight";
import { seqGreater, seqGreaterEqual, seqLess } from "../seq";
import { Tcb, TcbFlag } from "../tcb";

/**
 * F-RTO (RFC 5682): was the time-out needless? After it one segment is sent again, then two new
 * ones instead of more old ones. If the ACKs that follow are of what was sent before the time-out,
 * nothing was lost: it was only late.
 */

/** Where it stands; the numbers are the RFC's steps. */
export const enum Frto {
  Off = 0,
  /** The first segment has been sent again: its ACK is waited for. */
  First = 2,
  /** New data is to go. */
  Send = 3,
  /** It has gone: the next ACK tells. */
  Second = 4,
}

/** New segments that may go (2.1, step 2b). */
export const FRTO_SEGMENTS: u32 = 2;

/** The timer expired. Not within an earlier recovery, but again for the same segment (step 1). */
export function frtoTimedOut(t: Tcb): void {
  const flight: Flight = t.work;
  const recovering = t.has(TcbFlag.Recovery) || seqLess(t.sndUna, t.work.recover);
  const again = flight.frto == <u8>Frto.First;
  flight.frto = <u8>(recovering && !again ? Frto.Off : Frto.First);
}

/** Looks at an ACK; true if it shows that nothing was lost. `acked` is how far it moved SND.UNA. */
export function frtoAck(t: Tcb, acked: u32, duplicate: bool): bool {
  const flight: Flight = t.work;
  const selective = t.has(TcbFlag.Sack);
  if (flight.frto == <u8>Frto.First) {
    if (!acked) {
      // With SACK the ACK of the retransmission is waited for (3.1, step 2).
      if (duplicate && !selective) flight.frto = <u8>Frto.Off;
      return false;
    }
    // All of the retransmission, but not all that was sent (step 2a).
    const whole = seqGreaterEqual(t.sndUna, flight.frtoEnd);
    const partial = seqLess(t.sndUna, t.sndMax);
    flight.frto = <u8>(whole && partial ? Frto.Send : Frto.Off);
    if (whole && partial) t.work.recover = t.sndMax;
    return false;
  }
  if (flight.frto != <u8>Frto.Second) return false;
  if (!acked && !duplicate && !delivery.newlyDelivered) return false;
  flight.frto = <u8>Frto.Off;
  const news = selective ? delivery.newlyDelivered != 0 : acked != 0;
  const beyond = selective
    ? seqGreater(flight.fack, t.work.recover)
    : seqGreater(t.sndUna, t.work.recover);
  if (news && !beyond) return true;
  // Step 3a.
  t.cwnd = min<u32>(t.cwnd, 3 * <u32>t.sndMss);
  return false;
}
