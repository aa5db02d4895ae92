import { Purpose } from "../../../kernel/packet";
import { TcpFlag } from "../../wire/tcp";
import { linkCrowded } from "../../link/output";
import { markDirty } from "../dirty";
import { Flight, Transmission } from "./flight";
import { Frto } from "./frto";
import { restartTimeout } from "./losstimer";
import { burstLimit, emit, gather, onTheWay } from "../output";
import { payloadSize } from "./sackreport";
import { paceQuota } from "../congestion/pacing";
import { headerPacket } from "../segment";
import { inFlight, nextLost, retransmitted } from "./scoreboard";
import { seqGreater, seqLess } from "../seq";
import { tcpStats } from "../stats";
import { Tcb, TcbFlag } from "../tcb";
import { undoSent } from "./undo";

/**
 * Sends again what is lost, and nothing else: in order of sequence numbers, as far as the peer's
 * window and the congestion window allow. Segments that stand side by side go as one packet where
 * the device cuts it.
 */

/**
 * Sends lost data while fewer than `allowed` bytes are in flight, and with `RetransmitHead` one
 * segment in any case. False if the pass is over: the device is behind, or there is no memory.
 */
export function retransmit(t: Tcb, allowed: u32, now: u64): bool {
  const mss = payloadSize(t);
  let most: u32 = 0;
  for (let record = nextLost(t); record !== null; record = nextLost(t)) {
    if (linkCrowded()) {
      markDirty(t);
      return false;
    }
    const forced = t.has(TcbFlag.RetransmitHead);
    // RFC 5682, 2.1, step 1: one, though the window has room for more small ones; an ACK of those would seem to be of
    // what was sent before.
    if (!forced && t.work.frto == <u8>Frto.First) break;
    const flying = inFlight(t);
    const open = allowed > flying ? allowed - flying : 0;
    const data = seqLess(record.seq, t.sndEnd) ? min<u32>(record.length, t.sndEnd - record.seq) : 0;
    const offset = record.seq - t.sndUna;
    const room = t.sndWnd > offset ? t.sndWnd - offset : 0;
    const segment = min<u32>(data, mss);
    let length = min<u32>(data, min<u32>(open, room));
    if (t.work.pacingRate && !forced) {
      const quota = paceQuota(t, now);
      if (!quota) return false;
      length = min<u32>(length, quota);
    }
    if (length < segment) {
      // Only a whole segment is worth it, unless it is the one that must go.
      if (!forced || (segment && !room)) break;
      length = min<u32>(segment, room);
    } else if (length > segment) {
      if (!most) most = burstLimit(t, mss);
      length = min<u32>(length, most);
      if (length < data) length -= length % segment;
    }
    if (!resend(t, record, length, now)) return false;
    t.clear(TcbFlag.RetransmitHead);
  }
  return true;
}

/** Sends `length` bytes from the start of `record` again, and the FIN behind them if it had one. */
export function resend(t: Tcb, record: Transmission, length: u32, now: u64): bool {
  const packet = headerPacket(Purpose.Data);
  if (packet === null) return false;
  const seq = record.seq;
  const mss = payloadSize(t);
  const sent = gather(packet, record.extent, seq, length, mss);
  let end = seq + sent;
  let flags: u32 = TcpFlag.ACK;
  if (end == t.sndEnd) {
    if (sent) flags |= TcpFlag.PSH;
    if (seqGreater(record.end, end)) {
      flags |= TcpFlag.FIN;
      end++;
    }
  }
  const flight: Flight = t.work;
  if (seq == t.sndUna) {
    if (t.has(TcbFlag.Sack)) restartTimeout(t, now);
    if (flight.frto == <u8>Frto.First) flight.frtoEnd = end;
  }
  if (t.has(TcbFlag.Recovery) || seqLess(t.sndUna, t.work.recover)) {
    undoSent(t, seq, end - seq, now);
  }
  const segments = sent > mss ? (sent + mss - 1) / mss : 1;
  tcpStats.retransmits += segments;
  t.work.segmentsResent += segments;
  t.work.bytesResent += sent;
  retransmitted(t, record, end, mss, now);
  onTheWay(t, sent, now);
  emit(t, packet, seq, flags, sent, now);
  return true;
}
