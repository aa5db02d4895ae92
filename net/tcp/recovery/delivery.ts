import { Tcb, Work } from "../tcb";
import { Flight, Mark, Transmission } from "./flight";

/**
 * What one ACK says of the path (draft-cheng-iccrg-delivery-rate-estimation, 3.3): how much it
 * delivered, and how fast that came, seen from the transmission sent last of those delivered. Begun
 * before an ACK is taken apart, complete when loss detection is done; then congestion control reads
 * it. The rate is `delivered - priorDelivered` bytes in the longer of `sendElapsed` and
 * `ackElapsed`; meaningless without `priorTime`.
 */
@unmanaged
export class Delivery {
  /** Bytes newly delivered by this ACK, cumulatively or selectively; and newly marked lost. */
  newlyDelivered: u32;
  newlyLost: u32;
  /** Of those lost, a probe of the path (plpmtud.ts). */
  probeLost: u32;
  /** Of the transmission sent last among those delivered: when it went, ns; 0: none was. */
  sentAt: u64;
  /** One beyond its last byte. */
  end: u32;
  /** `Mark` bits that it had: a retransmitted one says nothing of the round trip. */
  marks: u32;
  /** `Flight.delivered`, low half, and `Flight.deliveredAt`, ns, when it went. */
  priorDelivered: u32;
  priorTime: u64;
  /** How long the flight that it ended took to send, and to be acknowledged: ns. */
  sendElapsed: u64;
  ackElapsed: u64;
  /** Bytes in flight just after it went, and `Flight.lost`, low half, by then. */
  inFlight: u32;
  lost: u32;
  /** What the peer reports to have got twice (RFC 2883); equal: nothing. */
  duplicateStart: u32;
  duplicateEnd: u32;
  /** Newest round trip of a transmission that went only once, ns; 0 when there is none. */
  roundTrip: u64;


  @inline get hasDuplicate(): bool {
    return this.duplicateStart != this.duplicateEnd;
  }
}

/** What the ACK at hand has delivered so far. */
export const delivery = changetype<Delivery>(memory.data(offsetof<Delivery>(), 8));

/** `roundTrip` in µs, at least 1 if there is one; 0: none. */
@inline export function roundTripUs(): u32 {
  const ns = delivery.roundTrip;
  return ns ? <u32>min<u64>(max<u64>(ns / 1000, 1), u32.MAX_VALUE) : 0;
}

/**
 * The rate at which `t` delivers, bytes/s, told from the ACK at hand; 0 when that does not tell: less
 * than the shortest round trip, `minRtt` µs, was measured (3.3), or nothing that was sent.
 */
export function deliveryRate(t: Tcb, minRtt: u32): u64 {
  if (!delivery.priorTime) return 0;
  const interval = max<u64>(delivery.sendElapsed, delivery.ackElapsed);
  if (!interval || interval < <u64>minRtt * 1000) return 0;
  const bytes = <u32>t.work.delivered - delivery.priorDelivered;
  return (<u64>bytes * 1_000_000_000) / interval;
}

/** Keeps the rate that the ACK at hand tells of, if it does (3.3), for TCP_INFO: two stores. */
@inline export function keepRate(work: Work): void {
  if (!delivery.priorTime) return;
  const interval = max<u64>(delivery.sendElapsed, delivery.ackElapsed);
  if (interval < work.minRtt) return;
  work.rateTime = interval;
  work.rateBytes = <u32>work.delivered - delivery.priorDelivered;
}

/** A new ACK. */
@inline export function deliveryBegin(): void {
  delivery.newlyDelivered = 0;
  delivery.newlyLost = 0;
  delivery.probeLost = 0;
  delivery.sentAt = 0;
  delivery.priorTime = 0;
  delivery.roundTrip = 0;
  delivery.duplicateStart = 0;
  delivery.duplicateEnd = 0;
}

/** `bytes` of `record`, up to `end`, have been delivered; they were not before. */
@inline export function delivered(
  flight: Flight,
  record: Transmission,
  end: u32,
  bytes: u32,
  now: u64,
): void {
  const sentAt = record.sentAt;
  flight.delivered += bytes;
  flight.deliveredAt = now;
  if (flight.appLimited && flight.delivered > flight.appLimited) flight.appLimited = 0;
  delivery.newlyDelivered += bytes;
  if (sentAt < delivery.sentAt) return;
  delivery.sentAt = sentAt;
  delivery.end = end;
  delivery.marks = record.marks;
  delivery.priorDelivered = record.delivered;
  delivery.priorTime = record.deliveredAt;
  delivery.sendElapsed = sentAt - record.firstSentAt;
  delivery.ackElapsed = now - record.deliveredAt;
  delivery.inFlight = record.inFlight;
  delivery.lost = record.lost;
  flight.firstSentAt = sentAt;
  if (!record.has(Mark.Retransmitted)) delivery.roundTrip = now - sentAt;
}
