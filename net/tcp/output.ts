import { Packet, Purpose } from "../../kernel/packet";
import { MILLISECOND, NEVER } from "../../kernel/timer";
import { EndpointEvent, notify } from "../endpoint";
import { ipSegmentation } from "../ip/route";
import { IPV4_HEADER, IPV4_LENGTH_MAX } from "../wire/ipv4";
import { TCP_HEADER, TCP_HEADER_MAX, TcpFlag } from "../wire/tcp";
import { linkCrowded } from "../link/output";
import { mostSlots, receiveRoom } from "./queues/budget";
import { congestionOf } from "./congestion/congestion";
import { scaleFor, segmentOverhead } from "./connection";
import { timestampClock } from "./opening/isn";
import { accurateFlags, accurateOption, accurateRoom } from "./ecn/accecn";
import { Ecn, ecnAsk, ecnNewData } from "./ecn/ecn";
import { markDirty } from "./dirty";
import {
  FastOpen,
  putClientCookie,
  putCookieRequest,
  putServerCookie,
  synMss,
} from "./opening/fastopen";
import { FlightFlag, Transmission } from "./recovery/flight";
import { Frto, FRTO_SEGMENTS } from "./recovery/frto";
import { loneSent } from "./recovery/lone";
import { armLossTimer, restartTimeout, watch } from "./recovery/losstimer";
import { mssDefault, NO_SCALE, putSynOptions, putTimestamps, TIMESTAMPS_LENGTH } from "./options";
import { paceQuota, paceSpend } from "./congestion/pacing";
import { rtoNs } from "./recovery/rtt";
import { dscpOf, headerPacket, optionsAt, segmentSend } from "./segment";
import { pathProbed, pathProbeSize, pathProving } from "./path/plpmtud";
import { frtoHolds } from "./recovery/recovery";
import { resend, retransmit } from "./recovery/retransmit";
import { inFlight, markAllLost, markProbe, splitTail, transmitted } from "./recovery/scoreboard";
import { duplicateDue, payloadSize, putSack } from "./recovery/sackreport";
import { sendAdvance, sendEased, sendGather, sendInPlace } from "./queues/sendqueue";
import { seqGreater, seqLess } from "./seq";
import { tcpStats } from "./stats";
import { Extent, State, Tcb, TcbFlag } from "./tcb";
import { probeDue, probeSent } from "./recovery/tlp";
import { persistStart, persistStop, schedule, settle } from "./timers";

/**
 * The output pass: what a connection sends, once a step, after all input, timers and the program
 * have had their say. It decides how much may go (the peer's window, the congestion window), and
 * what is worth a segment (RFC 9293, 3.8.6.2.1; Nagle: 3.7.4); an ACK rides on data if there is any.
 */

/** Largest window field. */
const WINDOW_FIELD_MAX: u32 = 0xffff;

/** Longest that the program's wish for full segments holds bytes back (man 7 tcp: TCP_CORK), ns. */
const CORK_TIME: u64 = 200 * MILLISECOND;

/** Payload of a packet that the device cuts into segments: bytes that IPv4 can number, and segments. */
const BURST_BYTES: u32 = IPV4_LENGTH_MAX - IPV4_HEADER - TCP_HEADER_MAX;
const BURST_SEGMENTS: u32 = 44;

/** Sends what `t` has to send. */
export function outputConnection(t: Tcb, now: u64): void {
  if (!t.hasWork) return;
  const state = t.state;
  if (state >= State.Established && state != State.TimeWait) {
    if (sendLone(t, now)) {
      settle(t, now);
      return;
    }
    if (t.has(TcbFlag.Probe)) probe(t, now);
    // Once, and not on each segment that a device makes of a packet (RFC 2883, 4).
    if (duplicateDue(t)) sendAck(t, now);
    if (probeDue(t)) tailProbe(t, now);
    sendData(t, now);
    sendAcks(t, now);
    // Bytes that went are room to a program that wants little to be waiting (TCP_NOTSENT_LOWAT).
    if (t.has(TcbFlag.Blocked) && t.settings.notSentLowWater && sendEased(t)) {
      t.clear(TcbFlag.Blocked);
      notify(t.owner, EndpointEvent.Writable);
    }
    settle(t, now);
  } else if (state == State.SynSent || state == State.SynReceived) {
    if (t.work.synDue) sendSyn(t, now);
    // Who has shown a cookie may have an answer before his ACK, unless it seems to be lost.
    const early = t.work.fastOpen & FastOpen.Pending && !t.has(TcbFlag.SynRetransmitted);
    if (early && t.sndWnd > 1 && !t.work.synDue) sendData(t, now);
    if (t.has(TcbFlag.AckNow)) sendAck(t, now);
    schedule(t);
  }
}

/** Flags and bits with which a pass is not `sendLone`'s. */
const UNUSUAL: u32 =
  TcbFlag.Probe |
  TcbFlag.Persisting |
  TcbFlag.FinQueued |
  TcbFlag.Recovery |
  TcbFlag.RetransmitHead |
  TcbFlag.SackDue |
  TcbFlag.Blocked |
  TcbFlag.Cork;
const UNUSUAL_ECN: u32 = Ecn.Capable | Ecn.Accurate | Ecn.Echo;

/**
 * The whole pass of a connection that exchanges messages: all there is to send is new, is less than a segment
 * and lies in one slot, which goes as it is; nothing is missing, held back or asked for. True if that was
 * so; else nothing has been done. What `sendData` and `sendSegment` do in such a case, they do alike.
 */
@inline function sendLone(t: Tcb, now: u64): bool {
  const seq = t.sndNxt;
  const length = t.sndEnd - seq;
  const mss: u32 = t.sndMss;
  if (length - 1 >= mss - 1 || t.flags & UNUSUAL || seq != t.sndMax) return false;
  const work = t.work;
  const extent = work.sendCursor;
  if (extent === null || work.sackedBytes | work.lostBytes || t.ecn & UNUSUAL_ECN) return false;
  if (work.pacingRate | work.pathSearchAt || work.bits & FlightFlag.ProbeDue) return false;
  if ((<u32>work.frto) | u32(work.more) | (<u32>work.dupAcks) || linkCrowded()) return false;
  const flying = seq - t.sndUna;
  if (flying + length > min<u32>(t.cwnd, t.sndWnd)) return false;
  // Nagle's algorithm.
  if (flying && !t.has(TcbFlag.NoDelay)) return false;
  const packet = sendInPlace(extent, seq, length, TCP_HEADER + segmentOverhead(t));
  if (packet === null) return false;
  // What a pause leaves of the window is more than a segment.
  if (!flying && now - work.sentAt > rtoNs(t)) congestionOf(t.congestion).onIdle(t, now);
  const end = seq + length;
  t.sndNxt = end;
  t.sndMax = end;
  work.sendCursor = null;
  if (flying || !loneSent(t, seq, length, extent, mss, now)) {
    transmitted(t, seq, extent, mss, now);
    watch(t, now);
  }
  work.sentAt = now;
  work.bytesSent += length;
  work.push = false;
  work.corkAt = NEVER;
  emit(t, packet, seq, TcpFlag.ACK | TcpFlag.PSH, length, now);
  t.clear(TcbFlag.CwndLimited);
  if (flying + length < t.cwnd) work.appLimited = max<u64>(work.delivered + flying + length, 1);
  return true;
}

/** Bytes beyond `sndUna` that congestion control allows; two segments more by RFC 3042. */
@inline function congestionWindow(t: Tcb): u32 {
  // With SACK what has arrived is not in flight, which comes to the same: no duplicates are counted.
  const extra: u32 = t.has(TcbFlag.Recovery) ? 0 : min<u32>(t.dupAcks, 2);
  return t.cwnd + extra * t.sndMss;
}

/** Sends what was lost, then new data and the FIN, as far as both windows allow. */
function sendData(t: Tcb, now: u64): void {
  if (!t.sndWnd && seqLess(t.sndUna, t.sndEnd) && t.sndMax != t.sndUna) {
    // The peer took its window back (RFC 9293, 3.8.6): what it dropped is sent when it opens.
    if (!t.has(TcbFlag.Persisting)) persistStart(t, now);
    markAllLost(t);
  }
  if (frtoHolds(t) && frtoSend(t, now)) return;
  let allowed = congestionWindow(t);
  if (t.work.lostBytes) {
    if (!retransmit(t, allowed, now)) return;
    if (t.work.lostBytes) {
      // No new data goes before it; nothing in flight may be left to bring an ACK.
      if (!t.has(TcbFlag.Persisting) && t.work.rexmitAt == NEVER) persistStart(t, now);
      return;
    }
  }
  let unsent = <i32>(t.sndEnd - t.sndNxt);
  if (unsent < 0 || (unsent == 0 && !t.has(TcbFlag.FinQueued))) {
    t.clear(TcbFlag.CwndLimited);
    noteAppLimited(t, allowed);
    return;
  }
  if (t.sndMax == t.sndUna && now - t.work.sentAt > rtoNs(t)) {
    congestionOf(t.congestion).onIdle(t, now);
    allowed = congestionWindow(t);
  }
  const mss = payloadSize(t);
  if (t.work.pathSearchAt && now >= t.work.pathSearchAt) {
    probePath(t, unsent, allowed, now);
    unsent = <i32>(t.sndEnd - t.sndNxt);
  }
  let most: u32 = 0;
  while (unsent >= 0) {
    if (linkCrowded()) {
      // To go on when the device has caught up; no timer need watch over what was not sent.
      markDirty(t);
      return;
    }
    const flying = inFlight(t);
    const taken = t.sndNxt - t.sndUna;
    const open = allowed > flying ? allowed - flying : 0;
    const room = t.sndWnd > taken ? t.sndWnd - taken : 0;
    let length = min<u32>(unsent, min<u32>(open, room));
    if (t.work.pacingRate && length) {
      const quota = paceQuota(t, now);
      if (!quota) {
        // Not the window but the pace holds sending back, and its timer brings the next pass.
        t.clear(TcbFlag.CwndLimited);
        return;
      }
      length = min<u32>(length, quota);
    }
    if (length > mss) {
      if (!most) most = burstLimit(t, mss);
      length = burst(t, length, unsent, mss, most);
    } else if (length < mss && !worthSending(t, length, unsent)) {
      length = 0;
    }
    // A FIN alone takes no room in the peer's buffer and waits for no window.
    const fin = t.has(TcbFlag.FinQueued) && length == <u32>unsent && t.state != State.SynReceived;
    if (!length && !fin) break;
    if (!sendSegment(t, length, mss, fin, now)) break;
    unsent = <i32>(t.sndEnd - t.sndNxt);
    if (!unsent && !t.has(TcbFlag.FinQueued)) break;
  }
  if (unsent <= 0) {
    t.clear(TcbFlag.CwndLimited);
    noteAppLimited(t, allowed);
    return;
  }
  if (<u32>unsent < mss && corked(t) && t.sndEnd - t.sndUna <= t.sndWnd) {
    t.clear(TcbFlag.CwndLimited);
    if (t.work.corkAt == NEVER) t.work.corkAt = now + CORK_TIME;
    return;
  }
  if (allowed < t.sndWnd) t.raise(TcbFlag.CwndLimited);
  else t.clear(TcbFlag.CwndLimited);
  // Nothing is in flight that would bring an ACK: only a probe can tell when there is room.
  if (!t.has(TcbFlag.Persisting) && t.work.rexmitAt == NEVER) persistStart(t, now);
}

/** Bytes sent and not acknowledged, without our SYN. */
@inline function dataOut(t: Tcb): u32 {
  return t.sndMax - t.sndUna - u32(t.state == State.SynReceived);
}

/**
 * Whether less than a full segment should go: all there is, when nothing is in flight or Nagle is
 * off or the stream ends; half of the largest window the peer ever had; or what was sent before.
 */
@inline function worthSending(t: Tcb, length: u32, unsent: u32): bool {
  if (!length) return false;
  if (seqLess(t.sndNxt, t.sndMax)) return true;
  if (length == unsent) {
    if (t.work.push) return true;
    if (corked(t)) return false;
    if (dataOut(t) == 0 || t.has(TcbFlag.NoDelay | TcbFlag.FinQueued)) return true;
  }
  return length >= t.maxSndWnd >> 1;
}

/**
 * The program, not the network, limits the rate until what is in flight now has been delivered
 * (draft-cheng-iccrg-delivery-rate-estimation, 3.4).
 */
@inline function noteAppLimited(t: Tcb, allowed: u32): void {
  const flying = inFlight(t);
  if (flying < allowed) t.work.appLimited = max<u64>(t.work.delivered + flying, 1);
}

/** Whether the program wants no segment that is not full; the end of the stream overrides it. */
@inline function corked(t: Tcb): bool {
  return (t.has(TcbFlag.Cork) || t.work.more) && !t.work.push && !t.has(TcbFlag.FinQueued);
}

/** Most bytes that one packet may carry: several segments when the device takes them apart. */
export function burstLimit(t: Tcb, mss: u32): u32 {
  if (!ipSegmentation(t.local, t.settings.mark, t.remote)) return mss;
  return max<u32>(mss, min<u32>(BURST_SEGMENTS, BURST_BYTES / mss) * mss);
}

/**
 * What goes in one packet of `length` bytes, more than a segment, that both windows allow: full
 * segments, and behind them a shorter one only if it were worth sending alone.
 */
@inline function burst(t: Tcb, length: u32, unsent: u32, mss: u32, most: u32): u32 {
  // CWR goes on one segment alone (RFC 3168, 6.1.2); a device would put it on all that it cuts.
  if (t.ecn & Ecn.Reduced) return mss;
  if (length > most) return most;
  const rest = length % mss;
  if (!rest || (length == unsent && t.work.push)) return length;
  if (length == unsent && corked(t)) return length - rest;
  if (rest >= t.maxSndWnd >> 1) return length;
  if (length == unsent && t.has(TcbFlag.NoDelay | TcbFlag.FinQueued)) return length;
  return length - rest;
}

/** Tries whether the path carries larger segments by now, if there is enough to send. */
function probePath(t: Tcb, unsent: u32, allowed: u32, now: u64): void {
  const flying = inFlight(t);
  const taken = t.sndNxt - t.sndUna;
  if (allowed <= flying || t.sndWnd <= taken || linkCrowded()) return;
  const size = pathProbeSize(t, unsent, min<u32>(allowed - flying, t.sndWnd - taken), now);
  if (!size || !sendSegment(t, size, size, false, now)) return;
  if (markProbe(t)) pathProbed(t, size, t.sndNxt);
}

/**
 * Sends `length` bytes from `sndNxt` in segments of `mss`, and perhaps the FIN. False when there is
 * no memory.
 */
function sendSegment(t: Tcb, length: u32, mss: u32, fin: bool, now: u64): bool {
  const seq = t.sndNxt;
  const extent = t.sendCursor;
  let sent = length;
  let packet = inPlace(t, extent, length, mss);
  if (packet === null) {
    packet = headerPacket(Purpose.Data);
    if (packet === null) {
      // Nothing was sent, but something must look again.
      if (t.work.rexmitAt == NEVER) t.work.rexmitAt = now + rtoNs(t);
      return false;
    }
    sent = gather(packet, extent, seq, length, mss);
  }
  let end = seq + sent;
  let flags: u32 = TcpFlag.ACK;
  if (end == t.sndEnd) {
    if (sent) flags |= TcpFlag.PSH;
    if (fin) {
      flags |= TcpFlag.FIN;
      end++;
    }
  }
  t.sndNxt = end;
  sendAdvance(t);
  if (seqLess(seq, t.sndMax)) {
    tcpStats.retransmits++;
  } else if (sent) {
    flags |= ecnNewData(t, packet);
  }
  if (seqGreater(end, t.sndMax)) t.sndMax = end;
  transmitted(t, seq, extent, mss, now);
  if (sent >= mss && !t.has(TcbFlag.SizeProven)) pathProving(t, end);
  onTheWay(t, sent, now);
  if (<i32>(t.sndEnd - end) <= 0) {
    t.work.push = false;
    t.work.corkAt = NEVER;
  }
  emit(t, packet, seq, flags, sent, now);
  return true;
}

/** The next `length` bytes in the slot in which they were copied, if they are a segment and lie so. */
@inline function inPlace(t: Tcb, extent: Extent | null, length: u32, mss: u32): Packet | null {
  // How long a SACK option is turns out later, and that of accurate ECN.
  if (extent === null || !length || length > mss || t.has(TcbFlag.SackDue)) return null;
  if (t.ecn & Ecn.Accurate && accurateRoom(t)) return null;
  return sendInPlace(extent, t.sndNxt, length, TCP_HEADER + segmentOverhead(t));
}

/** Adds up to `length` bytes from `seq` on to a packet, to be cut into segments of `mss`; how many. */
export function gather(
  packet: Packet,
  extent: Extent | null,
  seq: u32,
  length: u32,
  mss: u32,
): u32 {
  if (!length) return 0;
  let sent = sendGather(packet, extent, seq, length);
  if (sent <= mss) return sent;
  if (sent < length) {
    // Its runs were too many for the packet: what is left over begins the next one.
    const over = sent % mss;
    packet.trimFragments(over);
    sent -= over;
  }
  if (sent > mss) packet.segmentSize = <u16>mss;
  return sent;
}

/** `bytes` go: a timer watches over them, and the pace counts them. */
export function onTheWay(t: Tcb, bytes: u32, now: u64): void {
  if (t.work.pacingRate) paceSpend(t, bytes, now);
  if (t.has(TcbFlag.Persisting)) persistStop(t);
  watch(t, now);
  t.work.sentAt = now;
  t.work.bytesSent += bytes;
}

/** The next new segment as the peer's window allows, whatever else; its length, 0 if there is none. */
@inline function nextNew(t: Tcb): u32 {
  const unsent = <i32>(t.sndEnd - t.sndNxt);
  const taken = t.sndNxt - t.sndUna;
  if (unsent <= 0 || t.sndWnd <= taken) return 0;
  const segment = min<u32>(unsent, payloadSize(t));
  return t.sndWnd - taken >= segment ? segment : 0;
}

/**
 * While a time-out is in doubt (RFC 5682, 2.1, step 2b): two new segments go instead of what may be
 * lost, then nothing before the next ACK. False if there is nothing new to send: back to what is
 * lost.
 */
function frtoSend(t: Tcb, now: u64): bool {
  if (t.work.frto == <u8>Frto.Second) return true;
  let sent: u32 = 0;
  for (let length = nextNew(t); length && sent < FRTO_SEGMENTS; length = nextNew(t)) {
    const fin = t.has(TcbFlag.FinQueued) && t.sndNxt + length == t.sndEnd;
    if (!sendSegment(t, length, payloadSize(t), fin, now)) break;
    sent++;
  }
  t.work.frto = <u8>(sent ? Frto.Second : Frto.Off);
  return sent != 0;
}

/** The tail loss probe (RFC 8985, 7.3): a new segment, or the last one once more. */
function tailProbe(t: Tcb, now: u64): void {
  const length = nextNew(t);
  if (length) {
    const fin = t.has(TcbFlag.FinQueued) && t.sndNxt + length == t.sndEnd;
    if (!sendSegment(t, length, payloadSize(t), fin, now)) return;
    probeSent(t, false);
  } else {
    if (!splitTail(t)) return;
    const tail = changetype<Transmission>(t.work.tail);
    const data = seqLess(tail.seq, t.sndEnd) ? min<u32>(tail.length, t.sndEnd - tail.seq) : 0;
    if (!resend(t, tail, data, now)) return;
    probeSent(t, true);
  }
  restartTimeout(t, now);
  armLossTimer(t, 0, now);
}

/** The probe timer expired: a byte, or whatever fits, makes the peer say what its window is. */
function probe(t: Tcb, now: u64): void {
  t.clear(TcbFlag.Probe);
  if (!t.has(TcbFlag.Persisting) || <i32>(t.sndEnd - t.sndUna) <= 0) return;
  if (t.sndWnd) {
    // Small, but the peer has had its time to open further (RFC 9293, 3.8.6.2.1, last condition).
    if (t.work.lostBytes) {
      t.raise(TcbFlag.RetransmitHead);
    } else {
      const unsent = t.sndEnd - t.sndNxt;
      const mss = payloadSize(t);
      sendSegment(t, min<u32>(min<u32>(unsent, t.sndWnd), mss), mss, false, now);
    }
    return;
  }
  const packet = headerPacket(Purpose.Control);
  if (packet === null) return;
  tcpStats.windowProbes++;
  sendGather(packet, t.sendHead, t.sndUna, 1);
  if (t.sndMax == t.sndUna) t.sndMax = t.sndUna + 1;
  emit(t, packet, t.sndUna, TcpFlag.ACK, 1, now);
}

/** What is still owed after the data: one ACK, or one for each segment out of order. */
@inline function sendAcks(t: Tcb, now: u64): void {
  let owed: u32 = t.acksOwed;
  if (!owed && t.has(TcbFlag.AckNow)) owed = 1;
  for (; owed; owed--) sendAck(t, now);
}

/** Sends an ACK without data: <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>. */
export function sendAck(t: Tcb, now: u64): void {
  const packet = headerPacket(Purpose.Control);
  if (packet === null) return;
  emit(t, packet, sequenceAlone(t), TcpFlag.ACK, 0, now);
}

/**
 * The number of a segment without data: SND.NXT, but no further than the edge of the peer's window. It
 * takes nothing from beyond (RFC 9293, 3.10.7.4), where a probe's byte lies, and all that was sent
 * into a window that has shrunk.
 */
@inline function sequenceAlone(t: Tcb): u32 {
  const sent = t.sndMax - t.sndUna;
  return sent > t.sndWnd && t.state >= State.Established ? t.sndUna + t.sndWnd : t.sndMax;
}

/** RFC 1122, 4.2.3.6: a number that the peer has acknowledged already makes it answer. */
export function sendKeepalive(t: Tcb, now: u64): void {
  const packet = headerPacket(Purpose.Control);
  if (packet === null) return;
  tcpStats.keepaliveProbes++;
  emit(t, packet, t.sndUna - 1, TcpFlag.ACK, 0, now);
}

/** Tells the peer that the connection is no more (RFC 9293, 3.10.5), if it knows of it. */
export function sendReset(t: Tcb, now: u64): void {
  if (t.state < State.SynReceived || t.state == State.TimeWait) return;
  const packet = headerPacket(Purpose.Control);
  if (packet === null) return;
  tcpStats.resetsOut++;
  const length = timestampsOf(t, packet, now);
  packet.trafficClass = <u8>dscpOf(t);
  const flags: u32 = TcpFlag.RST | TcpFlag.ACK;
  const hops: u32 = t.settings.timeToLive;
  segmentSend(packet, t, sequenceAlone(t), t.rcvNxt, flags, 0, length, 0, hops, t.settings.mark);
}

/** Writes the Timestamps option, if the connection has it: its length. */
@inline function timestampsOf(t: Tcb, packet: Packet, now: u64): u32 {
  if (!t.has(TcbFlag.Timestamps)) return 0;
  putTimestamps(optionsAt(packet), timestampClock(now) + t.tsOffset, t.tsRecent);
  return TIMESTAMPS_LENGTH;
}

/** Sends a segment of a synchronized connection; whatever it carries acknowledges `rcvNxt`. */
export function emit(t: Tcb, packet: Packet, seq: u32, flags: u32, payload: u32, now: u64): void {
  let optionsLength = timestampsOf(t, packet, now);
  if (t.has(TcbFlag.SackDue) && !(flags & TcpFlag.RST)) {
    optionsLength += putSack(t, optionsAt(packet) + optionsLength, payload);
  }
  if (t.ecn & Ecn.Accurate) {
    flags |= accurateFlags(t, payload);
    const each: u32 = packet.segmentSize ? packet.segmentSize : payload;
    optionsLength = accurateOption(t, optionsAt(packet), optionsLength, each);
  } else if (t.ecn & Ecn.Echo) {
    flags |= TcpFlag.ECE;
  }
  packet.trafficClass |= <u8>dscpOf(t);
  const window = advertise(t);
  t.clear(TcbFlag.AckNow | TcbFlag.AckDelayed);
  t.work.delackAt = NEVER;
  t.ackPending = 0;
  t.acksOwed = 0;
  const rcvNxt = t.rcvNxt;
  const work = t.work;
  if (rcvNxt != work.lastAckSent) {
    work.bytesReceived += rcvNxt - work.lastAckSent;
    work.dataAt = t.receivedAt;
    work.lastAckSent = rcvNxt;
  }
  const settings = t.settings;
  const timeToLive: u32 = settings.timeToLive;
  const count = segmentSend(
    packet,
    t,
    seq,
    rcvNxt,
    flags,
    window,
    optionsLength,
    payload,
    timeToLive,
    settings.mark,
  );
  work.segmentsSent += count;
  if (payload) work.dataSegmentsSent += count;
}

/**
 * The window field, and `rcvAdv` with it. The right edge moves on by a full segment or half the
 * buffer at least (RFC 9293, 3.8.6.2.2), and never back: what the scale cuts off is rounded up.
 */
function advertise(t: Tcb): u32 {
  const scale: u32 = t.rcvScale;
  const offered = t.rcvAdv - t.rcvNxt;
  const kept = min<u32>((offered + ((1 << scale) - 1)) >> scale, WINDOW_FIELD_MAX);
  const room = min<u32>(receiveRoom(t), t.settings.windowClamp);
  let field = kept;
  if (room >= offered + min<u32>(t.rcvMss, (<u32>t.receiveLimit * t.rcvMss) >> 1)) {
    field = max<u32>(kept, min<u32>(room >> scale, WINDOW_FIELD_MAX));
  }
  t.rcvAdv = t.rcvNxt + (field << scale);
  return field;
}

/**
 * The program has read: whether the peer should hear of the new room before the next ACK. When the
 * window would open by a quarter of the buffer, or had all but shut.
 */
export function windowWorthTelling(t: Tcb): bool {
  const offered = t.rcvAdv - t.rcvNxt;
  const mss: u32 = t.rcvMss;
  const all = <u32>t.receiveLimit * mss;
  // There is no more room than `all`: what is offered of it leaves too little to gain.
  if (offered >= 2 * mss && offered + (all >> 2) > all) return false;
  const most = min<u32>(t.settings.windowClamp, WINDOW_FIELD_MAX << t.rcvScale);
  const room = min<u32>(receiveRoom(t), most);
  if (room <= offered) return false;
  const gain = room - offered;
  return gain >= all >> 2 || (offered < 2 * mss && gain >= min<u32>(mss, all >> 1));
}

/**
 * SYN, or SYN and ACK after a simultaneous open. Its window is not scaled (RFC 7323, 2.2); until the
 * peer's SYN has come, `rcvAdv` counts from 0.
 */
function sendSyn(t: Tcb, now: u64): void {
  const packet = headerPacket(Purpose.Data);
  if (t.work.rexmitAt == NEVER) t.work.rexmitAt = now + rtoNs(t);
  if (packet === null) return;
  const answering = t.state == State.SynReceived;
  const timestamps = !answering || t.has(TcbFlag.Timestamps);
  if (!answering) t.rcvScale = <u8>scaleFor(max<u32>(t.receiveLimit, mostSlots()) * t.rcvMss);
  const scale = answering && !t.has(TcbFlag.Scaling) ? NO_SCALE : <u32>t.rcvScale;
  const first = t.sndMax == t.work.iss;
  let length = putSynOptions(
    optionsAt(packet),
    t.rcvMss,
    scale,
    !answering || t.has(TcbFlag.Sack),
    timestamps,
    timestampClock(now) + t.tsOffset,
    t.tsRecent,
  );
  const window = max<u32>(
    t.rcvAdv - t.rcvNxt,
    min<u32>(min<u32>(receiveRoom(t), t.settings.windowClamp), WINDOW_FIELD_MAX),
  );
  t.rcvAdv = t.rcvNxt + window;
  t.lastAckSent = t.rcvNxt;
  t.clear(TcbFlag.AckNow | TcbFlag.AckDelayed);
  t.work.delackAt = NEVER;
  t.ackPending = 0;
  t.work.synDue = false;
  let payload: u32 = 0;
  if (first) {
    t.raise(TcbFlag.RttTiming);
    t.work.rttStart = now;
    // Once: if the option or the data is why they are lost, they do not go again (RFC 7413, 4.2.2).
    if (t.work.fastOpen) {
      length += putFastOpen(t, packet, length, now);
      payload = synData(t, packet, length);
    }
    t.sndNxt = t.work.iss + 1 + payload;
    t.sndMax = t.sndNxt;
    sendAdvance(t);
  } else {
    tcpStats.retransmits++;
    t.work.segmentsResent++;
  }
  const flags: u32 = answering
    ? TcpFlag.SYN | TcpFlag.ACK | t.work.synFlags
    : TcpFlag.SYN | ecnAsk(t);
  packet.trafficClass = <u8>dscpOf(t);
  const ack = answering ? t.rcvNxt : 0;
  const settings = t.settings;
  const timeToLive: u32 = settings.timeToLive;
  t.work.segmentsSent += segmentSend(
    packet,
    t,
    t.work.iss,
    ack,
    flags,
    window,
    length,
    payload,
    timeToLive,
    settings.mark,
  );
  t.work.bytesSent += payload;
}

/** Adds the Fast Open option behind `length` bytes of options, if there is room; its bytes. */
function putFastOpen(t: Tcb, packet: Packet, length: u32, now: u64): u32 {
  const bits: u32 = t.work.fastOpen;
  const at = optionsAt(packet) + length;
  if (bits & FastOpen.Reply) return putServerCookie(at, t.local, t.remote, now);
  if (bits & FastOpen.Request) return putCookieRequest(at);
  if (!(bits & FastOpen.Data)) return 0;
  const size = putClientCookie(at, t, TCP_HEADER_MAX - TCP_HEADER - length);
  if (!size) t.work.fastOpen = 0;
  return size;
}

/** Adds what there is to send to a SYN with a cookie, as far as it fits; its bytes. */
function synData(t: Tcb, packet: Packet, optionsLength: u32): u32 {
  if (!(t.work.fastOpen & FastOpen.Data)) return 0;
  const mss = min<u32>(synMss(t, mssDefault(t.remote)), t.rcvMss);
  const length = min<u32>(t.sndEnd - t.work.iss - 1, mss - optionsLength);
  const sent = sendGather(packet, t.sendHead, t.work.iss + 1, length);
  t.work.fastOpenBytes = <u16>sent;
  return sent;
}
