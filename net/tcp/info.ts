import { MILLISECOND } from "../../kernel/timer";
import { receiveRoom } from "./budget";
import { CWND_MAX } from "./congestion";
import { ECN_AGREED } from "./ecn";
import { rtoMeasured } from "./rtt";
import { State, Tcb, TcbFlag } from "./tcb";

/**
 * TCP_INFO in the layout of Linux's `struct tcp_info` (include/uapi/linux/tcp.h): a program reads it
 * with the header that it has, cut to whatever length that knows. What we do not measure is 0. Counts
 * of segments, where Linux counts segments and we bytes, are rounded up from full ones.
 */

/** Bytes up to and with `tcpi_rcv_wnd`. */
export const INFO_BYTES: u32 = 236;

/** Byte offsets. */
const enum Field {
  state = 0,
  caState = 1,
  retransmits = 2,
  probes = 3,
  backoff = 4,
  options = 5,
  scales = 6,
  rto = 8,
  ato = 12,
  sndMss = 16,
  rcvMss = 20,
  unacked = 24,
  sacked = 28,
  lastDataSent = 44,
  lastDataReceived = 52,
  pmtu = 60,
  rtt = 68,
  rttvar = 72,
  ssthresh = 76,
  cwnd = 80,
  advertisedMss = 84,
  totalRetransmits = 100,
  maxPacingRate = 112,
  notSent = 144,
  sndWnd = 228,
  rcvWnd = 232,
}

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
  store<u8>(info, stateNumber(state), Field.state);
  store<u64>(
    info,
    t.settings.maxPacingRate ? t.settings.maxPacingRate : u64.MAX_VALUE,
    Field.maxPacingRate,
  );
  if (state == State.Listen) {
    // Connections that wait to be accepted, and how many may.
    store<u32>(info, t.work.acceptCount, Field.unacked);
    store<u32>(info, t.work.backlog, Field.sacked);
    return info;
  }
  if (!t.remotePort) return info;
  // A connection at rest has nothing to say of these (work.ts).
  if (t.hasWork) {
    const work = t.work;
    const persisting = t.has(TcbFlag.Persisting);
    store<u8>(info, <u8>caState(t), Field.caState);
    store<u8>(info, persisting ? 0 : work.backoff, Field.retransmits);
    store<u8>(info, persisting ? work.backoff : 0, Field.probes);
    store<u8>(info, work.backoff, Field.backoff);
    store<u32>(info, ms(now - work.sentAt), Field.lastDataSent);
  }
  if (t.keepaliveProbes) store<u8>(info, t.keepaliveProbes, Field.probes);
  const flight = t.sndMax - t.sndUna;
  let options: u32 = 0;
  if (t.has(TcbFlag.Timestamps)) options |= InfoOption.Timestamps;
  if (t.has(TcbFlag.Sack)) options |= InfoOption.Sack;
  if (t.has(TcbFlag.Scaling)) options |= InfoOption.Scaling;
  if (t.ecn & ECN_AGREED) options |= InfoOption.Ecn;
  store<u8>(info, <u8>options, Field.options);
  if (t.has(TcbFlag.Scaling)) store<u8>(info, t.sndScale | (t.rcvScale << 4), Field.scales);
  store<u32>(info, t.hasWork ? t.rto : rtoMeasured(t), Field.rto);
  store<u32>(info, ACK_TIMEOUT, Field.ato);
  store<u32>(info, t.sndMss, Field.sndMss);
  store<u32>(info, t.rcvMss, Field.rcvMss);
  store<u32>(info, segments(flight, t.sndMss), Field.unacked);
  store<u32>(info, ms(now - t.receivedAt), Field.lastDataReceived);
  store<u32>(info, <u32>t.rcvMss + (t.remote.isV4 ? HEADERS_V4 : HEADERS_V6), Field.pmtu);
  store<u32>(info, t.srtt >> 3, Field.rtt);
  store<u32>(info, t.rttvar >> 2, Field.rttvar);
  store<u32>(
    info,
    t.ssthresh >= CWND_MAX ? SSTHRESH_NONE : segments(t.ssthresh, t.sndMss),
    Field.ssthresh,
  );
  store<u32>(info, segments(t.cwnd, t.sndMss), Field.cwnd);
  store<u32>(info, t.rcvMss, Field.advertisedMss);
  store<u32>(info, !t.hasWork || t.sendHead === null ? 0 : t.sndEnd - t.sndNxt, Field.notSent);
  store<u32>(info, t.sndWnd, Field.sndWnd);
  store<u32>(info, t.rcvAdv - t.rcvNxt, Field.rcvWnd);
  return info;
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
