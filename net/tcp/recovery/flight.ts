import { Extent } from "../tcb";

/**
 * What is known of the bytes in flight: a list of transmissions, each a run of the stream that was
 * handed to the device at one time, in order of sequence numbers without gaps from SND.UNA on.
 *
 *     SND.UNA                                                            SND.NXT
 *     ┌─────────────┬───────────┬───────────────┬───────────┬────────────┐
 *     │ lost        │ sacked    │ retransmitted │ sacked    │            │
 *     └─────────────┴───────────┴───────────────┴───────────┴────────────┘
 *
 * A transmission carries when it went and what the connection had delivered by then, from which
 * round trips, losses (rack.ts) and the rate of delivery (delivery.ts) are told. scoreboard.ts
 * keeps the list; nobody else changes it.
 */

/** Bits of `Transmission.marks`. */
export const enum Mark {
  /** The peer has it, out of order (RFC 2018, 3). */
  Sacked = 1,
  /** Taken to be lost, and not sent again since. */
  Lost = 2,
  /** Sent more than once: an acknowledgment may be for either (Karn). */
  Retransmitted = 4,
  /** Sent while the program, not the network, was what limited the rate. */
  AppLimited = 8,
  /** Larger than segments are, to see whether it arrives (plpmtud.ts). */
  Probe = 16,
}

/** Bits of `Flight.bits`. */
export const enum FlightFlag {
  /** Segments have been seen to overtake each other (RFC 8985, 6.2, step 3). */
  Reordering = 1 << 0,
  /** `duplicateRound` holds (RFC 8985, 5.3: RACK.dsack_round). */
  DuplicateRound = 1 << 1,
  /** The peer has reported a duplicate: it has DSACK (RFC 2883). */
  DuplicateSeen = 1 << 2,
  /** The last recovery may yet prove needless: see undo.ts. */
  Undoable = 1 << 3,
  /** `undoStamp` is to be taken from the first retransmission; has been taken. */
  StampWanted = 1 << 4,
  StampTaken = 1 << 5,
  /** A loss probe is to go; is out, up to `probeEnd`; and was old data (RFC 8985, 7). */
  ProbeDue = 1 << 6,
  ProbeOut = 1 << 7,
  ProbeRepeats = 1 << 8,
  /** No round trip has been measured since the last probe. */
  ProbeUnsampled = 1 << 9,
}

/** One run in flight. 64 bytes. */
@unmanaged
export class Transmission {
  /** Next in order of sequence numbers. */
  next: Transmission | null;
  /** Neighbours in order of time, while it is neither sacked nor lost. */
  earlier: Transmission | null;
  later: Transmission | null;
  /** The extent of the send queue that holds `seq`; null for a FIN alone. */
  extent: Extent | null;
  /** Sequence numbers: of the first byte, and one beyond the last; a FIN counts. */
  seq: u32;
  end: u32;
  /** Payload of its segments; the last one may be shorter. Never 0 in the list. */
  segmentSize: u16;
  /** `Mark` bits. */
  marks: u8;
  /** Bytes in flight just after it went, itself included. */
  inFlight: u32;
  /** Low halves of `Flight.delivered` and `Flight.lost` when it went. */
  delivered: u32;
  lost: u32;
  /** When it last went, ns. */
  sentAt: u64;
  /** `Flight.deliveredAt` and `Flight.firstSentAt` when it went. */
  deliveredAt: u64;
  firstSentAt: u64;


  @inline get length(): u32 {
    return this.end - this.seq;
  }


  @inline has(mark: u32): bool {
    return ((<u32>this.marks) & mark) != 0;
  }

  /** Segments that it was sent as. */
  @inline get segments(): u32 {
    const size: u32 = this.segmentSize;
    return (this.length + size - 1) / size;
  }
}

/** The part of a connection's working state that is about what is in flight. */
@unmanaged
export class Flight {
  /** In order of sequence numbers. */
  head: Transmission | null;
  tail: Transmission | null;
  /** In order of time: only those neither sacked nor lost. */
  earliest: Transmission | null;
  latest: Transmission | null;
  /** No lost one comes before this; null when none is lost. */
  lostHint: Transmission | null;
  /** Where the last SACK block ended, or null: the next one is likely to begin there. */
  sackHint: Transmission | null;
  /** Length of the list. */
  transmissions: u32;
  /** Bytes sacked; segments of them; bytes lost and not sent again. */
  sackedBytes: u32;
  sackedSegments: u32;
  lostBytes: u32;
  /**
   * For the rate of delivery (draft-cheng-iccrg-delivery-rate-estimation, 3.1): bytes delivered so
   * far, cumulatively or selectively acknowledged, and when that last grew, ns; when the first
   * transmission of the flight being measured went, ns; bytes ever marked lost; and the value of
   * `delivered` up to which samples are the program's rate, 0 when the network is the limit.
   */
  delivered: u64;
  deliveredAt: u64;
  firstSentAt: u64;
  lost: u64;
  appLimited: u64;
  /** RACK (RFC 8985, 5.3): of the newest delivered when it went, ns, its end, its round trip, ns. */
  rackAt: u64;
  rackRtt: u64;
  /** The least round trip lately, and when it was seen: ns. */
  minRtt: u64;
  minRttAt: u64;
  rackEnd: u32;
  /** RACK.fack: the highest sequence number delivered. */
  fack: u32;
  duplicateRound: u32;
  /** `FlightFlag` bits. */
  bits: u32;
  /** The retransmission time-out's deadline, ns, while another timer is armed: see losstimer.ts. */
  timeoutAt: u64;
  lossTimer: u8;
  /** Quarters of the least round trip that the reordering window has grown by, and for how long. */
  windowSteps: u8;
  windowPersists: u8;
  /** See frto.ts. */
  frto: u8;
  /** One beyond what the time-out had sent again. */
  frtoEnd: u32;
  /** TLP.end_seq (RFC 8985, 5.3). */
  probeEnd: u32;
  /** Bytes delivered and sent since fast recovery began, and in flight then: see prr.ts. */
  prrDelivered: u32;
  prrOut: u32;
  recoverFlight: u32;
  /** SND.UNA when the recovery began, bytes sent again since, TSval of the first: see undo.ts. */
  undoFrom: u32;
  undoBytes: u32;
  undoStamp: u32;
  /** One transmission of its own: whatever others hold, a connection can always send. */
  private own0: u64;
  private own1: u64;
  private own2: u64;
  private own3: u64;
  private own4: u64;
  private own5: u64;
  private own6: u64;
  private own7: u64;


  @inline get own(): Transmission {
    return changetype<Transmission>(changetype<usize>(this) + offsetof<Flight>("own0"));
  }
}
