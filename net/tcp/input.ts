import { now as stepTime } from "../../kernel/clock";
import { Errno } from "../../kernel/errno";
import { Packet, PacketFlag } from "../../kernel/packet";
import { MILLISECOND, NEVER, SECOND } from "../../kernel/timer";
import { EndpointEvent, notify } from "../endpoint";
import { transportChecksumValid } from "../wire/checksum";
import { IpAddress } from "../wire/address";
import { Protocol } from "../wire/ipv4";
import { TCP_HEADER, TcpFlag, TcpHeader } from "../wire/tcp";
import { tuneArrived } from "./queues/autotune";
import { mayQueue } from "./queues/budget";
import {
  connectionEstablished,
  connectionFail,
  connectionFinish,
  connectionSized,
} from "./connection";
import { cookiesOutstanding } from "./opening/cookies";
import { delivery, deliveryBegin } from "./recovery/delivery";
import { connectionFind, connectionFindBy, missedHash } from "./demux";
import { markDirty } from "./dirty";
import {
  Ecn,
  ecnAnswered,
  ecnAnsweredAgain,
  ecnAnswerMarked,
  ecnCrossed,
  ecnCrossedAnswer,
  ECN_AGREED,
  ecnInput,
  ecnNote,
  ecnOf,
  ecnRetry,
} from "./ecn/ecn";
import { FastOpen, fastOpenAnswered, fastOpenSettled } from "./opening/fastopen";
import { timestampClock } from "./opening/isn";
import {
  Handshake,
  listenerAck,
  listenerSyn,
  requestConnection,
  requestInput,
} from "./opening/listener";
import { NO_SCALE, options, parseOptions } from "./options";
import { sendAck, sendReset } from "./output";
import { pathAcknowledged } from "./path/plpmtud";
import { listenerFind } from "./ports";
import { reassemblyClear, reassemblyDeliver, reassemblyInsert } from "./queues/reassembly";
import { receiveAppend } from "./queues/receivequeue";
import { loneAcknowledged } from "./recovery/lone";
import { ackArrived } from "./recovery/recovery";
import { rttSample } from "./recovery/rtt";
import { replyReset } from "./segment";
import { answersAnother } from "./recovery/sack";
import { scoreboardAcknowledged } from "./recovery/scoreboard";
import { sackDuplicate } from "./recovery/sackreport";
import { sendAcknowledged, sendAdvance, sendEased } from "./queues/sendqueue";
import { seqGreater, seqGreaterEqual, seqLess, seqLessEqual } from "./seq";
import { tcpStats } from "./stats";
import { requestFind } from "./opening/syncache";
import { setState, State, Tcb, TcbFlag } from "./tcb";
import { probeSampled } from "./recovery/tlp";
import { timeWaitAdd, timeWaitFind, timeWaitInput } from "./timewait";
import { finWait2Life, persistStop } from "./timers";
import { workEnsure } from "./work";

/**
 * SEGMENT ARRIVES (RFC 9293, 3.10.7), in its order. A segment is checked once here; nothing is sent
 * but what cannot wait: the connection is marked, and the output pass at the end of the step
 * answers the whole burst.
 *
 * Most segments of an established connection are the next in order, or acknowledge what was sent.
 * They pass one test ("header prediction", Van Jacobson 1990) and skip the rest of the checks.
 */

/** How long an ACK may wait for company (RFC 9293, 3.8.6.3: less than 0.5 s), ns. */
const ACK_DELAY: u64 = 40 * MILLISECOND;
/** Most segments out of order that are acknowledged one by one in a step. */
const ACKS_OWED_MAX: u8 = 32;
/** RFC 5961, 7: so many challenge ACKs a connection in so long. */
const CHALLENGES: u32 = 10;
const CHALLENGE_PERIOD_MS: u32 = 5000;
/** TS.Recent older than this says nothing (RFC 7323, 5.5), ns. */
const TS_RECENT_LIFE: u64 = 24 * 86400 * SECOND;
/** TSecr that says more than this of a round trip is not ours, ms. */
const ECHO_MAX: u32 = 60_000;

/** Control bits that matter to prediction: all but PSH, ECE and CWR. */
const PREDICTED: u32 = TcpFlag.ACK | TcpFlag.FIN | TcpFlag.SYN | TcpFlag.RST | TcpFlag.URG;
/** NOP, NOP, Timestamps, as loaded. */
const TIMESTAMPS_WORD: u32 = 0x0a08_0101;
const TIMESTAMPS_HEADER: u32 = 32;

/** Takes a segment from IP: `packet.data` is its header. Owns the packet. */
export function tcpInput(packet: Packet, source: IpAddress, destination: IpAddress): void {
  tcpStats.segmentsIn++;
  const total = packet.length;
  const header = changetype<TcpHeader>(packet.data);
  const headerLength: u32 = total < TCP_HEADER ? 0 : header.headerLength;
  if (headerLength < TCP_HEADER || headerLength > total) {
    tcpStats.malformed++;
    packet.release();
    return;
  }
  if (!transportChecksumValid(packet, Protocol.TCP, source, destination)) {
    tcpStats.checksumErrors++;
    packet.release();
    return;
  }
  const now = stepTime();
  const localPort = header.destinationPort;
  const remotePort = header.sourcePort;
  const t =
    packet.flags & PacketFlag.Hashed
      ? connectionFindBy(packet.note, destination, localPort, source, remotePort)
      : connectionFind(destination, localPort, source, remotePort);
  packet.strip(headerLength);
  if (t === null) {
    unconnected(packet, header, source, destination, now);
    return;
  }
  if (!workEnsure(t)) {
    packet.release();
    return;
  }
  t.work.segmentsReceived++;
  t.work.dataSegmentsReceived += u32(packet.length != 0);
  const seq = header.sequence;
  const ack = header.acknowledgment;
  const length = packet.length;
  if (
    t.state == State.Established &&
    (header.flags & PREDICTED) == TcpFlag.ACK &&
    seq == t.rcvNxt &&
    length <= t.rcvAdv - seq &&
    ack - t.sndUna <= t.sndMax - t.sndUna &&
    !t.has(TcbFlag.FinPending) &&
    predictedOptions(t, header, headerLength, now)
  ) {
    t.receivedAt = now;
    const una = t.sndUna;
    const flight = t.sndMax - una;
    const cwnd = t.cwnd;
    const window = header.window << t.sndScale;
    const ecn = t.ecn & ECN_AGREED;
    if (ack == una && !flight && length && !ecn && window == t.sndWnd) {
      // Who only receives: what `acknowledgment` comes to.
      t.sndWl1 = seq;
      t.sndWl2 = ack;
    } else {
      acknowledgment(t, seq, ack, window, length == 0, now);
      if (ecn) {
        options.hasAccurate = false;
        ecnInput(t, packet, header.flags, ack - una, flight, cwnd, true, now);
      }
    }
    if (length) text(t, packet, seq, now);
    else packet.release();
    return;
  }
  parseOptions(header.options, headerLength - TCP_HEADER);
  if (t.state == State.SynSent) synSent(t, packet, header, now);
  else synchronized(t, packet, header, now);
}

/** The options that the connection always has, and PAWS is content with them. */
@inline function predictedOptions(t: Tcb, header: TcpHeader, length: u32, now: u64): bool {
  if (!t.has(TcbFlag.Timestamps)) {
    options.sackCount = 0;
    return length == TCP_HEADER;
  }
  const at = header.options;
  if (length != TIMESTAMPS_HEADER || load<u32>(at) != TIMESTAMPS_WORD) return false;
  const tsVal = bswap<u32>(load<u32>(at, 4));
  if (seqLess(tsVal, t.tsRecent)) return false;
  // The segment begins at RCV.NXT, so the rule of RFC 7323, 4.3 holds when the last ACK said so.
  if (seqLessEqual(t.rcvNxt, t.lastAckSent)) {
    t.tsRecent = tsVal;
    t.tsRecentAt = now;
  }
  options.hasTimestamps = true;
  options.tsEcr = bswap<u32>(load<u32>(at, 8));
  options.sackCount = 0;
  return true;
}

/** A segment that no full connection is for: half-open, in TIME-WAIT, LISTEN, or CLOSED. */
function unconnected(
  packet: Packet,
  header: TcpHeader,
  source: IpAddress,
  destination: IpAddress,
  now: u64,
): void {
  const hash = missedHash();
  const localPort = header.destinationPort;
  const remotePort = header.sourcePort;
  const flags = header.flags;
  const seq = header.sequence;
  const ack = header.acknowledgment;
  const length = packet.length + u32((flags & TcpFlag.SYN) != 0) + u32((flags & TcpFlag.FIN) != 0);
  // Our own segment come back ("land"): an endpoint that answers it answers itself for ever.
  if (localPort == remotePort && source.equals(destination)) {
    tcpStats.malformed++;
    packet.release();
    return;
  }
  parseOptions(header.options, <u32>(packet.data - header.options));
  ecnNote(packet, flags);
  const request = requestFind(hash, destination, localPort, source, remotePort);
  if (request !== null) {
    const result = requestInput(request, seq, ack, flags, header.window, length, now);
    if (result == Handshake.Complete) {
      synchronized(requestConnection(), packet, header, now);
      return;
    }
    if (result == Handshake.Done) {
      packet.release();
      return;
    }
  } else {
    const entry = timeWaitFind(hash, destination, localPort, source, remotePort);
    if (entry !== null && !timeWaitInput(entry, seq, flags, length, now)) {
      packet.release();
      return;
    }
  }
  const listener = listenerFind(destination, localPort, hash);
  const control = flags & (TcpFlag.ACK | TcpFlag.SYN | TcpFlag.RST);
  if (listener !== null && control == TcpFlag.ACK && cookiesOutstanding(now)) {
    const result = listenerAck(
      listener,
      hash,
      destination,
      localPort,
      source,
      remotePort,
      seq,
      ack,
      header.window,
      now,
    );
    if (result == Handshake.Complete) {
      synchronized(requestConnection(), packet, header, now);
      return;
    }
    if (result == Handshake.Done) {
      packet.release();
      return;
    }
  }
  if (listener !== null && control == TcpFlag.SYN && !(flags & TcpFlag.FIN)) {
    const t = listenerSyn(
      listener,
      hash,
      destination,
      localPort,
      source,
      remotePort,
      seq,
      header.window,
      now,
    );
    if (t !== null && packet.length) text(t, packet, seq + 1, now);
    else packet.release();
    return;
  }
  packet.release();
  if (flags & TcpFlag.RST) {
    tcpStats.resetsIn++;
    return;
  }
  // RFC 9293, 3.10.7.2: what neither opens nor acknowledges is dropped.
  if (listener !== null && !(flags & TcpFlag.ACK)) return;
  replyReset(destination, localPort, source, remotePort, flags, seq, ack, length);
}

/**
 * SYN-SENT (RFC 9293, 3.10.7.3). What comes with a SYN and ACK is taken; what comes with a SYN alone
 * is left for the peer to repeat.
 */
function synSent(t: Tcb, packet: Packet, header: TcpHeader, now: u64): void {
  const flags = header.flags;
  const seq = header.sequence;
  const ack = header.acknowledgment;
  const window = header.window;
  const arrived = ecnOf(packet);
  const acknowledges = (flags & TcpFlag.ACK) != 0;
  if (acknowledges && (seqLessEqual(ack, t.work.iss) || seqGreater(ack, t.sndMax))) {
    if (!(flags & TcpFlag.RST)) {
      replyReset(t.local, t.localPort, t.remote, t.remotePort, flags, seq, ack, packet.length);
    }
    packet.release();
    return;
  }
  if (flags & TcpFlag.RST) {
    tcpStats.resetsIn++;
    if (acknowledges && !ecnRetry(t)) connectionFail(t, Errno.ECONNREFUSED);
    packet.release();
    return;
  }
  if (!(flags & TcpFlag.SYN)) {
    packet.release();
    return;
  }
  const offered = t.rcvAdv - t.rcvNxt;
  t.work.irs = seq;
  t.rcvNxt = seq + 1;
  t.rcvAdv = t.rcvNxt + offered;
  t.lastAckSent = t.rcvNxt;
  t.receivedAt = now;
  if (options.hasTimestamps) {
    t.raise(TcbFlag.Timestamps);
    t.tsRecent = options.tsVal;
    t.tsRecentAt = now;
  }
  if (options.sackPermitted) t.raise(TcbFlag.Sack);
  if (options.windowScale != NO_SCALE) {
    t.raise(TcbFlag.Scaling);
    t.sndScale = <u8>options.windowScale;
  } else {
    t.rcvScale = 0;
  }
  connectionSized(t, options.mss);
  t.sndWnd = window;
  t.maxSndWnd = t.sndWnd;
  t.sndWl1 = seq;
  t.sndWl2 = acknowledges ? ack : t.work.iss;
  markDirty(t);
  if (!acknowledges) {
    // Simultaneous open: our SYN again, now with an ACK.
    setState(t, State.SynReceived);
    ecnCrossed(t, flags, arrived);
    t.work.synDue = true;
    t.clear(TcbFlag.RttTiming);
    packet.release();
    return;
  }
  ecnAnswered(t, flags, arrived);
  t.raise(TcbFlag.AckNow);
  fastOpenAnswered(t, ack - t.work.iss - 1, t.has(TcbFlag.SynRetransmitted), now);
  acknowledge(t, ack, now);
  takeBack(t);
  ecnAnswerMarked(t, flags, now);
  opened(t, now);
  // Feedback about the SYN and ACK fits on an ACK without data only (RFC 9768, 3.2.2.1).
  if (t.ecn & Ecn.Accurate) sendAck(t, now);
  const fin = (flags & TcpFlag.FIN) != 0;
  if (packet.length || fin) textAndFin(t, packet, seq + 1, fin, now);
  else packet.release();
}

/** Data that went with the SYN and was not taken is as if it had never gone: nobody has kept it. */
function takeBack(t: Tcb): void {
  if (t.sndMax == t.sndUna) return;
  t.sndNxt = t.sndUna;
  t.sndMax = t.sndUna;
  t.sendCursor = t.sendHead;
  t.work.rexmitAt = NEVER;
}

/** Our SYN is acknowledged. */
function opened(t: Tcb, now: u64): void {
  t.work.fastOpen = 0;
  connectionEstablished(t, now);
  if (t.has(TcbFlag.FinQueued)) setState(t, State.FinWait1);
  notify(t.owner, EndpointEvent.Writable);
}

/** SYN-RECEIVED after a simultaneous open, and every state beyond (RFC 9293, 3.10.7.4). */
function synchronized(t: Tcb, packet: Packet, header: TcpHeader, now: u64): void {
  let flags = header.flags;
  let seq = header.sequence;
  const ack = header.acknowledgment;
  // A SYN's window is never scaled (RFC 7323, 2.2).
  const window = header.flags & TcpFlag.SYN ? header.window : header.window << t.sndScale;

  // The peer's SYN once more, with the ACK that completes a simultaneous open (3.5, figure 8).
  if (t.state == State.SynReceived && flags & TcpFlag.SYN && seq == t.work.irs) {
    flags &= ~TcpFlag.SYN;
    seq++;
    if (!(flags & (TcpFlag.ACK | TcpFlag.RST))) {
      t.work.synDue = true;
      markDirty(t);
      packet.release();
      return;
    }
  }
  const reset = (flags & TcpFlag.RST) != 0;

  // RFC 7323, 3.2 and 5.3: R1.
  if (t.has(TcbFlag.Timestamps) && !reset) {
    if (!options.hasTimestamps) {
      packet.release();
      return;
    }
    if (seqLess(options.tsVal, t.tsRecent) && now - t.tsRecentAt < TS_RECENT_LIFE) {
      tcpStats.pawsDrops++;
      answer(t, packet.length, now);
      packet.release();
      return;
    }
  }

  // First: the sequence number.
  const length = packet.length + u32((flags & TcpFlag.SYN) != 0) + u32((flags & TcpFlag.FIN) != 0);
  if (!acceptable(t, seq, length)) {
    if (!reset) {
      if (packet.length && seqLessEqual(seq + length, t.rcvNxt)) {
        tcpStats.duplicates++;
        sackDuplicate(t, seq, seq + packet.length, now);
      }
      answer(t, packet.length, now);
      const again = flags & TcpFlag.SYN && flags & TcpFlag.ACK && seq == t.work.irs;
      if (again && t.has(TcbFlag.AckNow)) ecnAnsweredAgain(t, flags, ecnOf(packet), now);
    }
    packet.release();
    return;
  }
  // RFC 7323, 4.3.
  if (t.has(TcbFlag.Timestamps) && !reset && seqLessEqual(seq, t.lastAckSent)) {
    t.tsRecent = options.tsVal;
    t.tsRecentAt = now;
  }

  // Second: RST, by RFC 5961, 3.2.
  if (reset) {
    packet.release();
    tcpStats.resetsIn++;
    if (seq == t.rcvNxt) resetArrived(t, now);
    else challenge(t, now);
    return;
  }

  // Fourth: SYN, by RFC 5961, 4.2.
  if (flags & TcpFlag.SYN) {
    packet.release();
    challenge(t, now);
    return;
  }

  // Fifth: ACK.
  if (!(flags & TcpFlag.ACK)) {
    packet.release();
    return;
  }
  let withSyn = false;
  if (t.state == State.SynReceived) {
    if (seqLessEqual(ack, t.sndUna) || seqGreater(ack, t.sndMax)) {
      replyReset(t.local, t.localPort, t.remote, t.remotePort, flags, seq, ack, length);
      packet.release();
      return;
    }
    t.sndWnd = window;
    t.maxSndWnd = t.sndWnd;
    t.sndWl1 = seq;
    t.sndWl2 = ack;
    if (t.work.fastOpen & FastOpen.Pending) fastOpenSettled(t, false, now);
    withSyn = (t.work.fastOpen & FastOpen.Data) != 0;
    opened(t, now);
  } else if (seqGreater(ack, t.sndMax) || seqLess(ack, t.sndUna - t.maxSndWnd)) {
    // RFC 5961, 5.2.
    packet.release();
    challenge(t, now);
    return;
  }
  t.receivedAt = now;
  const pure = packet.length == 0 && !(flags & TcpFlag.FIN);
  const una = t.sndUna;
  const flight = t.sndMax - una;
  const cwnd = t.cwnd;
  acknowledgment(t, seq, ack, window, pure, now);
  if (withSyn) takeBack(t);
  if (t.ecn & ECN_AGREED) {
    if (header.flags & TcpFlag.SYN) ecnCrossedAnswer(t);
    else ecnInput(t, packet, header.flags, t.sndUna - una, flight, cwnd, seq == t.rcvNxt, now);
  }
  if (t.has(TcbFlag.FinQueued) && t.sndUna == t.sndEnd + 1 && finAcknowledged(t, now)) {
    packet.release();
    return;
  }

  // Sixth: the urgent pointer marks nothing; urgent bytes are bytes of the stream (RFC 6093, 6).
  // Seventh: text, as far as it is new and in the window. Eighth: FIN.
  if (pure) packet.release();
  else textAndFin(t, packet, seq, (flags & TcpFlag.FIN) != 0, now);
}

/** RFC 9293, 3.10.7.4, table 6; data at a shut window's edge passes, for its ACK. */
@inline function acceptable(t: Tcb, seq: u32, length: u32): bool {
  const window = t.rcvAdv - t.rcvNxt;
  if (seq - t.rcvNxt < window || seq == t.rcvNxt) return true;
  return length != 0 && seqLess(seq, t.rcvNxt) && seqGreater(seq + length, t.rcvNxt);
}

/** Acknowledges a segment that was no use. Those without data are answered at a limited rate. */
function answer(t: Tcb, payload: u32, now: u64): void {
  if (payload == 0 && !challengeAllowed(t, now)) return;
  t.raise(TcbFlag.AckNow);
  markDirty(t);
}

/** Sends a challenge ACK, if it is not one too many (RFC 5961, 7). */
function challenge(t: Tcb, now: u64): void {
  if (!challengeAllowed(t, now)) return;
  tcpStats.challengeAcks++;
  t.raise(TcbFlag.AckNow);
  markDirty(t);
}

/** Counted by connection: a count of all would tell one peer of another's connection. */
function challengeAllowed(t: Tcb, now: u64): bool {
  const ms = <u32>(now / MILLISECOND);
  if (ms - t.work.challengeAt >= CHALLENGE_PERIOD_MS) {
    t.work.challengeAt = ms;
    t.work.challengeCount = 0;
  }
  return t.work.challengeCount++ < CHALLENGES;
}

/** Until when challenge ACKs are being counted, ns; 0 when none has been sent lately. */
@inline export function challengePeriodEnd(t: Tcb): u64 {
  if (!t.work.challengeCount) return 0;
  return (<u64>t.work.challengeAt + CHALLENGE_PERIOD_MS) * MILLISECOND;
}

/** A reset with exactly the next sequence number. */
function resetArrived(t: Tcb, now: u64): void {
  switch (t.state) {
    case State.SynReceived:
      if (t.work.fastOpen & FastOpen.Pending) {
        // The program may have it already.
        fastOpenSettled(t, true, now);
        connectionFail(t, Errno.ECONNRESET);
        return;
      }
      connectionFail(t, Errno.ECONNREFUSED);
      return;
    case State.Closing:
    case State.LastAck:
      connectionFinish(t, State.Closed);
      return;
    case State.CloseWait:
      // The stream that came has its end: only what was to be sent is lost.
      connectionFail(t, Errno.EPIPE);
      return;
    default:
      connectionFail(t, Errno.ECONNRESET);
  }
}

/** ACK and window of an acceptable segment; `pure` if it carries neither data nor FIN. */
function acknowledgment(t: Tcb, seq: u32, ack: u32, window: u32, pure: bool, now: u64): void {
  const advances = seqGreater(ack, t.sndUna);
  if (advances) {
    // Only the next ACK that has more to say looks at what the one before delivered.
    if (!options.sackCount && loneAcknowledged(t, ack, now)) markDirty(t);
    else acknowledge(t, ack, now);
  } else if (ack == t.sndUna) {
    const flight = t.sndMax - ack;
    deliveryBegin();
    // A report of what came twice may come when nothing is in flight any more.
    if ((flight || options.sackCount) && !t.has(TcbFlag.Persisting)) {
      // RFC 5681, 2: what makes it a duplicate.
      ackArrived(t, 0, flight, flight != 0 && pure && window == t.sndWnd, now);
    }
  } else {
    return;
  }
  // A segment sent again has an old number and news of the window: unless its window is taken with
  // its ACK, the old one moves on with SND.UNA, beyond what the peer offered.
  if (advances || seqLess(t.sndWl1, seq) || (t.sndWl1 == seq && seqLessEqual(t.sndWl2, ack))) {
    t.sndWl1 = seq;
    t.sndWl2 = ack;
    if (window != t.sndWnd) {
      t.sndWnd = window;
      if (window > t.maxSndWnd) t.maxSndWnd = window;
      if (window && t.has(TcbFlag.Persisting)) persistStop(t);
      markDirty(t);
    }
  }
}

/**
 * Takes a round trip, one a round trip (RFC 6298, 3): of what went after the last sample was taken,
 * and went only once. What was sent again cannot be timed, but the echo tells which copy arrived
 * (RFC 7323, 4). A SYN is timed by its flag.
 */
function measure(t: Tcb, now: u64): void {
  const work = t.work;
  const trip = delivery.roundTrip;
  if (t.has(TcbFlag.RttTiming)) {
    t.clear(TcbFlag.RttTiming);
    rttSample(t, (now - work.rttStart) / 1000);
  } else if (trip && now - trip >= work.rttStart) {
    rttSample(t, trip / 1000);
    probeSampled(work);
  } else if (work.backoff && t.has(TcbFlag.Timestamps)) {
    const ms = timestampClock(now) + t.tsOffset - options.tsEcr;
    if (ms >= ECHO_MAX) return;
    rttSample(t, <u64>max<u32>(ms, 1) * 1000);
    probeSampled(work);
  } else {
    return;
  }
  work.rttStart = now;
}

/** `ack` acknowledges something new, and nothing that was not sent. */
function acknowledge(t: Tcb, ack: u32, now: u64): void {
  deliveryBegin();
  const flight = t.sndMax - t.sndUna;
  const acked = ack - t.sndUna;
  t.softError = 0;
  t.work.progressAt = now;
  t.sndUna = ack;
  sendAcknowledged(t);
  scoreboardAcknowledged(t, now);
  if (t.work.path) pathAcknowledged(t, now);
  if (seqLess(t.sndNxt, ack)) {
    t.work.delivered += ack - t.sndNxt;
    t.sndNxt = ack;
    sendAdvance(t);
  }
  if (!answersAnother(t)) measure(t, now);
  t.work.backoff = 0;
  ackArrived(t, acked, flight, false, now);
  if (t.has(TcbFlag.Persisting)) {
    // A probe's byte was taken; probing goes on until the window opens.
  } else if (t.sndMax == ack) {
    t.work.rexmitAt = NEVER;
  }
  if (t.has(TcbFlag.Blocked) && sendEased(t)) {
    t.clear(TcbFlag.Blocked);
    notify(t.owner, EndpointEvent.Writable);
  }
  markDirty(t);
}

/** Our FIN is acknowledged: true if that was the end of the connection. */
function finAcknowledged(t: Tcb, now: u64): bool {
  switch (t.state) {
    case State.FinWait1:
      setState(t, State.FinWait2);
      if (t.has(TcbFlag.Detached)) t.work.lingerAt = now + finWait2Life(t);
      return false;
    case State.Closing:
      enterTimeWait(t, now);
      return true;
    case State.LastAck:
      connectionFinish(t, State.Closed);
      return true;
    default:
      return false;
  }
}

/** Both FINs are acknowledged but for our last ACK, which goes at once if it is still owed. */
function enterTimeWait(t: Tcb, now: u64): void {
  if (t.has(TcbFlag.AckNow | TcbFlag.AckDelayed)) sendAck(t, now);
  timeWaitAdd(t, now);
  connectionFinish(t, State.TimeWait);
}

/** Data and FIN of an acceptable segment whose ACK has been dealt with. */
function textAndFin(t: Tcb, packet: Packet, seq: u32, fin: bool, now: u64): void {
  // After the peer's FIN there is no more (RFC 9293, 3.10.7.4: ignore); only its FIN comes again.
  if (t.has(TcbFlag.FinReceived)) {
    t.raise(TcbFlag.AckNow);
    markDirty(t);
    packet.release();
    return;
  }
  // Trim to the window: what is before it is known, what is behind it is too much.
  if (seqLess(seq, t.rcvNxt)) {
    sackDuplicate(t, seq, seq + min<u32>(t.rcvNxt - seq, packet.length), now);
    packet.strip(min<u32>(t.rcvNxt - seq, packet.length));
    seq = t.rcvNxt;
    t.raise(TcbFlag.AckNow);
  }
  const room = t.rcvAdv - seq;
  if (packet.length > room) {
    packet.length = room;
    fin = false;
    t.raise(TcbFlag.AckNow);
  }
  if (packet.length && t.has(TcbFlag.Detached)) {
    // Nobody will read it (RFC 9293, 3.6.1: SHLD-3).
    packet.release();
    sendReset(t, now);
    connectionFail(t, Errno.ECONNRESET);
    return;
  }
  if (fin && !t.has(TcbFlag.FinPending)) {
    t.raise(TcbFlag.FinPending);
    t.work.rcvFin = seq + packet.length;
  }
  if (t.has(TcbFlag.FinPending) && seqGreater(seq + packet.length, t.work.rcvFin)) {
    packet.length = seqLess(seq, t.work.rcvFin) ? t.work.rcvFin - seq : 0;
  }
  markDirty(t);
  if (packet.length) text(t, packet, seq, now);
  else packet.release();
  if (!t.has(TcbFlag.FinPending)) return;
  if (t.rcvNxt == t.work.rcvFin) finArrived(t, now);
  else t.raise(TcbFlag.AckNow);
}

/** Queues the bytes of a packet, all of them new and in the window. */
function text(t: Tcb, packet: Packet, seq: u32, now: u64): void {
  markDirty(t);
  if (seq != t.rcvNxt) {
    // RFC 5681, 4.2: the sender counts these.
    if (t.acksOwed < ACKS_OWED_MAX) t.acksOwed++;
    t.raise(TcbFlag.AckNow);
    reassemblyInsert(t, packet, seq, now);
    return;
  }
  const work = t.work;
  work.acksOwed = 0;
  tuneArrived(t, now);
  const tail = work.receiveTail;
  if (t.has(TcbFlag.ReadShutdown)) {
    t.rcvNxt = seq + packet.length;
    packet.release();
  } else if (mayQueue(t) || (tail !== null && packet.length <= tail.tailroom) || mayEvict(t)) {
    t.rcvNxt = seq + packet.length;
    receiveAppend(t, packet);
  } else {
    tcpStats.memoryDrops++;
    t.raise(TcbFlag.AckNow);
    packet.release();
    return;
  }
  if (work.outOfOrder) {
    reassemblyDeliver(t);
    // RFC 5681, 4.2: what fills a gap is acknowledged at once.
    t.raise(TcbFlag.AckNow);
  }
  t.ackPending++;
  if (t.ackPending >= t.settings.ackEvery) {
    // RFC 9293, 3.8.6.3: every second segment at least.
    t.raise(TcbFlag.AckNow);
  } else if (!t.has(TcbFlag.AckDelayed)) {
    t.raise(TcbFlag.AckDelayed);
    work.delackAt = now + ACK_DELAY;
  }
  if (t.receiveBytes >= t.settings.receiveLowWater) notify(t.owner, EndpointEvent.Readable);
}

/**
 * Data in its turn goes before what is early: were it dropped while that fills the connection's
 * share, the gap would never close. Whether it may be queued now.
 */
function mayEvict(t: Tcb): bool {
  if (!t.outOfOrder) return false;
  reassemblyClear(t);
  return mayQueue(t);
}

/** The peer's FIN has its turn. */
function finArrived(t: Tcb, now: u64): void {
  t.clear(TcbFlag.FinPending);
  t.raise(TcbFlag.FinReceived | TcbFlag.AckNow);
  t.rcvNxt++;
  // A FIN that had to stand at the very edge.
  if (seqLess(t.rcvAdv, t.rcvNxt)) t.rcvAdv = t.rcvNxt;
  switch (t.state) {
    case State.Established:
      setState(t, State.CloseWait);
      notify(t.owner, EndpointEvent.Readable | EndpointEvent.ReadHangup);
      return;
    case State.FinWait1:
      setState(t, State.Closing);
      notify(t.owner, EndpointEvent.Readable | EndpointEvent.ReadHangup);
      return;
    default:
      enterTimeWait(t, now);
  }
}
