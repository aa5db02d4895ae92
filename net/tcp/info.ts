import { MICROSECOND, MILLISECOND, SECOND } from "../../kernel/timer";
import { CWND_MAX } from "./congestion/congestion";
import { segmentOverhead } from "./connection";
import { ECN_AGREED } from "./ecn/ecn";
import { Mark } from "./recovery/flight";
import { InfoField } from "./infolayout";
import { DUPLICATE_THRESHOLD } from "./recovery/rack";
import { rtoMeasured } from "./recovery/rtt";
import { State, Tcb, TcbFlag } from "./tcb";

/**
 * TCP_INFO in the layout of Linux's `struct tcp_info` (infolayout.ts): a program reads it with the
 * header that it has, cut to whatever length that knows. What we do not measure is 0. Where Linux counts
 * segments and we bytes, they are rounded up from full ones. What is counted by connection is counted in
 * its working part (work.ts): after a rest those counts begin anew.
 */

/** Bytes up to and with `tcpi_rcv_wnd`. */
export const INFO_BYTES: u32 = 236;

const enum InfoOption {
  Timestamps = 1,
  Sack = 2,
  Scaling = 4,
  Ecn = 8,
}

/** tcpi_ca_state. */
const enum CaState {
  Open = 0,
  Disorder = 1,
  Recovery = 3,
  Loss = 4,
}

/** Linux's number for "no threshold yet". */
const SSTHRESH_NONE: u32 = 0x7fff_ffff;
/** And for "no round trip yet". */
const UNKNOWN: u32 = u32.MAX_VALUE;
/** Headers without options. */
const HEADERS_V4: u32 = 40;
const HEADERS_V6: u32 = 60;
/** Our delayed ACK, µs (input.ts: ACK_DELAY). */
const ACK_TIMEOUT: u32 = 40_000;

const info: usize = memory.data(236, 8);

/** Linux's number of a state (include/net/tcp_states.h). */
function stateNumber(state: u32): u8 {
  switch (state) {
    case State.Established:
      return 1;
    case State.SynSent:
      return 2;
    case State.SynReceived:
      return 3;
    case State.FinWait1:
      return 4;
    case State.FinWait2:
      return 5;
    case State.CloseWait:
      return 8;
    case State.LastAck:
      return 9;
    case State.Listen:
      return 10;
    case State.Closing:
      return 11;
    default:
      // What is in TIME-WAIT is no longer the socket's: Linux says CLOSE, too.
      return 7;
  }
}

/** Where the structure stands until the next call. */
export function tcpInfo(t: Tcb, now: u64): usize {
  memory.fill(info, 0, INFO_BYTES);
  const state = t.state;
  store<u8>(info, stateNumber(state), InfoField.State);
  store<u64>(
    info,
    t.settings.maxPacingRate ? t.settings.maxPacingRate : u64.MAX_VALUE,
    InfoField.MaxPacingRate,
  );
  if (state == State.Listen) {
    // Connections that wait to be accepted, and how many may.
    store<u32>(info, t.work.acceptCount, InfoField.Unacked);
    store<u32>(info, t.work.backlog, InfoField.Sacked);
    return info;
  }
  if (!t.remotePort) return info;
  const receivedAgo = ms(now - t.receivedAt);
  store<u32>(info, receivedAgo, InfoField.LastAckRecv);
  if (t.hasWork) {
    working(t, now);
  } else {
    // A connection at rest: whatever went or came last, went or came before this.
    store<u32>(info, receivedAgo, InfoField.LastDataSent);
    store<u32>(info, receivedAgo, InfoField.LastDataRecv);
    store<u32>(info, UNKNOWN, InfoField.MinRtt);
    store<u64>(info, u64.MAX_VALUE, InfoField.PacingRate);
  }
  if (t.keepaliveProbes) store<u8>(info, t.keepaliveProbes, InfoField.Probes);
  const flight = t.sndMax - t.sndUna;
  let options: u32 = 0;
  if (t.has(TcbFlag.Timestamps)) options |= InfoOption.Timestamps;
  if (t.has(TcbFlag.Sack)) options |= InfoOption.Sack;
  if (t.has(TcbFlag.Scaling)) options |= InfoOption.Scaling;
  if (t.ecn & ECN_AGREED) options |= InfoOption.Ecn;
  store<u8>(info, <u8>options, InfoField.Options);
  if (t.has(TcbFlag.Scaling)) store<u8>(info, t.sndScale | (t.rcvScale << 4), InfoField.Scales);
  store<u32>(info, t.hasWork ? t.rto : rtoMeasured(t), InfoField.Rto);
  store<u32>(info, ACK_TIMEOUT, InfoField.Ato);
  store<u32>(info, t.sndMss, InfoField.SndMss);
  store<u32>(info, t.rcvMss, InfoField.RcvMss);
  store<u32>(info, segments(flight, t.sndMss), InfoField.Unacked);
  store<u32>(info, pathMtu(t), InfoField.Pmtu);
  store<u32>(info, t.srtt >> 3, InfoField.Rtt);
  store<u32>(info, t.rttvar >> 2, InfoField.Rttvar);
  store<u32>(
    info,
    t.ssthresh >= CWND_MAX ? SSTHRESH_NONE : segments(t.ssthresh, t.sndMss),
    InfoField.SndSsthresh,
  );
  store<u32>(info, segments(t.cwnd, t.sndMss), InfoField.SndCwnd);
  // Linux takes off it what timestamps take of each segment.
  store<u32>(info, t.rcvMss - segmentOverhead(t), InfoField.Advmss);
  store<u32>(info, DUPLICATE_THRESHOLD, InfoField.Reordering);
  store<u32>(
    info,
    !t.hasWork || t.sendHead === null ? 0 : t.sndEnd - t.sndNxt,
    InfoField.NotsentBytes,
  );
  store<u32>(info, t.sndWnd, InfoField.SndWnd);
  store<u32>(info, t.rcvAdv - t.rcvNxt, InfoField.RcvWnd);
  return info;
}

/** What stands in the working part. Costs a step for each transmission in flight if any was sent again. */
function working(t: Tcb, now: u64): void {
  const work = t.work;
  const mss: u32 = t.sndMss;
  const persisting = t.has(TcbFlag.Persisting);
  store<u8>(info, <u8>caState(t), InfoField.CaState);
  store<u8>(info, persisting ? 0 : work.backoff, InfoField.Retransmits);
  store<u8>(info, persisting ? work.backoff : 0, InfoField.Probes);
  store<u8>(info, work.backoff, InfoField.Backoff);
  store<u32>(info, work.sackedSegments, InfoField.Sacked);
  store<u32>(info, segments(work.lostBytes, mss), InfoField.Lost);
  store<u32>(info, sentAgain(t), InfoField.Retrans);
  const sentAt = work.sentAt ? work.sentAt : t.receivedAt;
  store<u32>(info, ms(now - sentAt), InfoField.LastDataSent);
  const unanswered = t.rcvNxt - work.lastAckSent;
  const dataAt = !unanswered && work.dataAt ? work.dataAt : t.receivedAt;
  store<u32>(info, ms(now - dataAt), InfoField.LastDataRecv);
  store<u32>(info, work.tuneRoundTrip, InfoField.RcvRtt);
  store<u32>(info, work.tuneTaken, InfoField.RcvSpace);
  store<u32>(info, work.segmentsResent, InfoField.TotalRetrans);
  store<u64>(info, work.pacingRate ? work.pacingRate : u64.MAX_VALUE, InfoField.PacingRate);
  store<u64>(info, work.delivered - work.sackedBytes, InfoField.BytesAcked);
  store<u64>(info, work.bytesReceived + unanswered, InfoField.BytesReceived);
  store<u32>(info, work.segmentsSent, InfoField.SegsOut);
  store<u32>(info, work.segmentsReceived, InfoField.SegsIn);
  store<u32>(info, work.dataSegmentsSent, InfoField.DataSegsOut);
  store<u32>(info, work.dataSegmentsReceived, InfoField.DataSegsIn);
  const minRtt = work.minRtt ? <u32>min<u64>(work.minRtt / MICROSECOND, UNKNOWN) : UNKNOWN;
  store<u32>(info, minRtt, InfoField.MinRtt);
  const rate = work.rateTime ? (<u64>work.rateBytes * SECOND) / work.rateTime : 0;
  store<u64>(info, rate, InfoField.DeliveryRate);
  store<u32>(
    info,
    segments(<u32>min<u64>(work.delivered, u32.MAX_VALUE - mss), mss),
    InfoField.Delivered,
  );
  store<u64>(info, work.bytesSent, InfoField.BytesSent);
  store<u64>(info, work.bytesResent, InfoField.BytesRetrans);
  store<u32>(info, work.duplicatesSeen, InfoField.DsackDups);
  store<u32>(info, work.overtaken, InfoField.ReordSeen);
}

/** Segments in flight that went more than once. */
function sentAgain(t: Tcb): u32 {
  const work = t.work;
  if (!work.segmentsResent) return 0;
  let count: u32 = 0;
  let record = work.head;
  while (record !== null) {
    if ((record.marks & (Mark.Retransmitted | Mark.Sacked | Mark.Lost)) == Mark.Retransmitted) {
      count += record.segments;
    }
    record = record.next;
  }
  return count;
}

/** The largest packet in use on the path; or, if the peer's MSS is what bounds segments, the link's. */
function pathMtu(t: Tcb): u32 {
  const most: u32 = t.rcvMss;
  const full = <u32>t.sndMss + segmentOverhead(t);
  const headers = t.remote.isV4 ? HEADERS_V4 : HEADERS_V6;
  return headers + (full < <u32>t.peerMss ? min<u32>(full, most) : most);
}

function caState(t: Tcb): CaState {
  if (t.has(TcbFlag.Recovery)) return CaState.Recovery;
  if (t.work.backoff && !t.has(TcbFlag.Persisting)) return CaState.Loss;
  return t.dupAcks ? CaState.Disorder : CaState.Open;
}


@inline function segments(bytes: u32, mss: u32): u32 {
  return mss ? (bytes + mss - 1) / mss : 0;
}


@inline function ms(ns: u64): u32 {
  return <u32>(ns / MILLISECOND);
}
