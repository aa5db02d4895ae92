import { EndpointEvent, notify } from "../../endpoint";
import { IpAddress } from "../../wire/address";
import { TcpFlag } from "../../wire/tcp";
import { mostSlots } from "../queues/budget";
import {
  connectionBegin,
  connectionDefaults,
  connectionEstablished,
  connectionFail,
  connectionFinish,
  connectionSized,
  scaleFor,
} from "../connection";
import { cookieCheck, cookieMake, cookieStamp, stampEcn, stampSack, stampScale } from "./cookies";
import {
  ecnArrived,
  ecnGrant,
  ecnGrantAgain,
  ecnGrantContradicted,
  ecnGranted,
  ecnGrantedKind,
  ecnGrantFlags,
  ecnMode,
} from "../ecn/ecn";
import { markDirty } from "../dirty";
import { FastOpen, fastOpenBegin, fastOpenSyn } from "./fastopen";
import { isnAt, timestampOffset, tupleSecret } from "./isn";
import { NO_SCALE, options } from "../options";
import { sendReset } from "../output";
import { listenerFind } from "../ports";
import { rtoMeasured, rttSample } from "../recovery/rtt";
import { dscpOf, replyReset } from "../segment";
import { seqGreaterEqual, seqLess } from "../seq";
import { tcpStats } from "../stats";
import {
  Request,
  requestAcknowledge,
  requestAdd,
  requestAnswer,
  requestDrop,
  RequestFlag,
  requestWait,
  requestWindow,
} from "./syncache";
import { setState, State, Tcb, tcbAllocate, TcbFlag, tcbFree, Tuple } from "../tcb";
import { timeWaitIsn } from "../timewait";
import { workEnsure } from "../work";
import { Errno } from "../../../kernel/errno";

/**
 * Passive opening (RFC 9293, 3.10.7.2). A SYN costs a small entry of the SYN cache, not a control
 * block; that is made when the handshake is complete. When the cache has no room, the SYN is
 * answered with a cookie and forgotten (RFC 4987, 3.6): memory is bounded, nobody is turned away,
 * and no half-open connection has to make room for a flood.
 *
 * A SYN that finds the accept queue full is dropped, as is the last ACK of a handshake; the peer
 * sends both again, or data in place of the ACK, which serves as well.
 */

/**
 * Most connections that wait to be accepted, whatever the program asks: as many as the count can
 * tell. What really bounds them is that each has a control block.
 */
export const BACKLOG_MAX: u32 = 65535;
/** Time-outs of a deferral are counted in a byte. */
const DEFERRAL_MAX: u32 = 255;

/** Stands for what is in no table: facts for a cookie, or read from one. */
const passing = changetype<Request>(memory.data(offsetof<Request>(), 8));

/**
 * A SYN for a listener; its options have been parsed. Data on it is left for the peer to repeat,
 * unless it comes with a Fast Open cookie: then the connection is made at once, returned, and the
 * data is its first.
 */
export function listenerSyn(
  listener: Tcb,
  hash: u32,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
  seq: u32,
  window: u32,
  now: u64,
): Tcb | null {
  if (listener.work.acceptCount >= listener.work.backlog) {
    tcpStats.listenOverflows++;
    return null;
  }
  const fastOpen = fastOpenSyn(listener, local, remote, now);
  if (fastOpen & FastOpen.Pending) {
    const t = openFast(listener, hash, local, localPort, remote, remotePort, seq, window, now);
    if (t !== null) {
      fastOpenBegin(listener, t, fastOpen);
      return t;
    }
  }
  let request = requestAdd(hash, local, localPort, remote, remotePort);
  const cached = request !== null;
  if (request === null) {
    request = passing;
    request.setTuple(local, localPort, remote, remotePort);
    request.hash = hash;
    request.flags = <u8>RequestFlag.Cookie;
  }
  describe(listener, request, seq);
  // Only with timestamps has a cookie room for ECN.
  if (!cached && !options.hasTimestamps) request.ecn = 0;
  if (fastOpen & FastOpen.Reply) request.flags |= <u8>RequestFlag.FastOpen;
  if (cached) {
    const secret = tupleSecret(local, localPort, remote, remotePort);
    request.tsOffset = timestampOffset(secret);
    request.iss = timeWaitIsn(hash, isnAt(secret, now));
    requestWait(request, now);
  } else {
    if (options.hasTimestamps) {
      request.tsOffset = timestampOffset(tupleSecret(local, localPort, remote, remotePort));
    }
    const stamp = cookieStamp(request.scale, options.sackPermitted, request.ecn != 0);
    request.retries = 0;
    request.iss = cookieMake(request, seq, request.mss, options.hasTimestamps, stamp, now);
    tcpStats.synCookiesSent++;
  }
  requestAnswer(request, now);
  return null;
}

/** What the peer's SYN says. */
function describe(listener: Tcb, request: Request, seq: u32): void {
  request.irs = seq;
  request.tsRecent = options.tsVal;
  if (options.hasTimestamps) request.flags |= <u8>RequestFlag.Timestamps;
  if (options.sackPermitted) request.flags |= <u8>RequestFlag.Sack;
  request.scale = <u8>options.windowScale;
  request.mss = <u16>min<u32>(options.mss, 0xffff);
  request.arrived = <u8>ecnArrived();
  request.trafficClass = <u8>dscpOf(listener);
  request.timeToLive = listener.settings.timeToLive;
  request.mark = listener.settings.mark;
  request.ecn = <u8>ecnGrant(ecnMode(listener));
}

/** Makes the connection of a SYN, in SYN-RECEIVED, and queues it for `accept`; null without room. */
function openFast(
  listener: Tcb,
  hash: u32,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
  seq: u32,
  window: u32,
  now: u64,
): Tcb | null {
  const request = passing;
  request.setTuple(local, localPort, remote, remotePort);
  request.hash = hash;
  request.flags = 0;
  request.retries = 0;
  describe(listener, request, seq);
  const secret = tupleSecret(local, localPort, remote, remotePort);
  request.tsOffset = timestampOffset(secret);
  request.iss = timeWaitIsn(hash, isnAt(secret, now));
  request.window = <u16>requestWindow(request);
  const t = newborn(listener, request, now);
  if (t === null) return null;
  // The window of a SYN is not scaled (RFC 7323, 2.2).
  t.sndWnd = window;
  t.maxSndWnd = window;
  t.sndWl1 = seq;
  t.sndWl2 = request.iss;
  setState(t, State.SynReceived);
  t.work.synDue = true;
  t.work.synFlags = <u16>ecnGrantFlags(request.ecn, request.arrived);
  markDirty(t);
  tcpStats.passiveOpens++;
  enqueue(listener, t);
  return t;
}

/** What the listener made of a segment. */
export const enum Handshake {
  /** It is dealt with. */
  Done = 0,
  /** It is nothing to do with a half-open connection, or no longer: it is for the listener. */
  Again = 1,
  /** The connection stands: `requestConnection`, which the segment is for. */
  Complete = 2,
}

let made: Tcb | null = null;

/** The connection that `Handshake.Complete` spoke of. */
@inline export function requestConnection(): Tcb {
  return changetype<Tcb>(made);
}

/**
 * A segment for a half-open connection, in SYN-RECEIVED (RFC 9293, 3.10.7.4); `length` counts
 * payload, SYN and FIN. The options have been parsed.
 */
export function requestInput(
  tuple: Tuple,
  seq: u32,
  ack: u32,
  flags: u32,
  window: u32,
  length: u32,
  now: u64,
): Handshake {
  const request = changetype<Request>(tuple);
  const rcvNxt = request.irs + 1;
  // The peer did not get our answer.
  if ((flags & (TcpFlag.SYN | TcpFlag.ACK | TcpFlag.RST)) == TcpFlag.SYN && seq == request.irs) {
    if (ecnGrantContradicted(request.ecn)) {
      replyReset(
        request.local,
        request.localPort,
        request.remote,
        request.remotePort,
        flags,
        seq,
        ack,
        length,
      );
      requestDrop(request);
      return Handshake.Done;
    }
    request.ecn = <u8>ecnGrantAgain(request.ecn);
    request.arrived = <u8>ecnArrived();
    // RFC 7323, 4.3.
    if (options.hasTimestamps && seqLess(request.tsRecent, options.tsVal)) {
      request.tsRecent = options.tsVal;
    }
    requestAnswer(request, now);
    return Handshake.Done;
  }
  const inside = seqGreaterEqual(seq, rcvNxt) && seqLess(seq, rcvNxt + request.window);
  if (flags & TcpFlag.RST) {
    // RFC 5961, 3.2: exactly the next number, or a challenge.
    tcpStats.resetsIn++;
    if (seq == rcvNxt) requestDrop(request);
    else if (inside) requestAcknowledge(request, now);
    return Handshake.Done;
  }
  if (!inside && !(seqLess(seq, rcvNxt) && seqGreaterEqual(seq + length, rcvNxt + 1))) {
    requestAcknowledge(request, now);
    return Handshake.Done;
  }
  if (flags & TcpFlag.SYN) {
    // Back to LISTEN, where a SYN without ACK begins anew.
    requestDrop(request);
    return flags & TcpFlag.ACK ? Handshake.Done : Handshake.Again;
  }
  if (!(flags & TcpFlag.ACK)) return Handshake.Done;
  if (request.has(RequestFlag.Timestamps)) {
    // RFC 7323, 3.2 and 5.3: R1.
    if (!options.hasTimestamps) return Handshake.Done;
    if (seqLess(options.tsVal, request.tsRecent)) {
      tcpStats.pawsDrops++;
      requestAcknowledge(request, now);
      return Handshake.Done;
    }
  }
  if (ack != request.iss + 1) {
    replyReset(
      request.local,
      request.localPort,
      request.remote,
      request.remotePort,
      flags,
      seq,
      ack,
      length,
    );
    return Handshake.Done;
  }
  const listener = listenerFind(request.local, request.localPort, request.hash);
  if (listener === null) {
    refuse(request, seq, ack);
    requestDrop(request);
    return Handshake.Done;
  }
  if (<u32>request.retries < <u32>listener.work.deferAccept && seq + length == rcvNxt) {
    request.flags |= <u8>RequestFlag.Acknowledged;
    return Handshake.Done;
  }
  const t = establish(listener, request, seq, ack, window, now);
  if (t === null) return Handshake.Done;
  // Karn: only if the answer went out once, and the ACK that it drew is this one.
  if (!request.retries && !request.has(RequestFlag.Acknowledged)) {
    rttSample(t, <u32>(now / 1000) - request.sentAt);
  }
  requestDrop(request);
  return Handshake.Complete;
}

/**
 * An ACK at a listener that belongs to no half-open connection: the end of a handshake, if it
 * carries a cookie. The options have been parsed. `Again` if it does not.
 */
export function listenerAck(
  listener: Tcb,
  hash: u32,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
  seq: u32,
  ack: u32,
  window: u32,
  now: u64,
): Handshake {
  const request = passing;
  const timestamps = options.hasTimestamps;
  request.setTuple(local, localPort, remote, remotePort);
  request.hash = hash;
  request.irs = seq - 1;
  request.iss = ack - 1;
  const mss = cookieCheck(request, request.irs, request.iss, timestamps, options.tsEcr, now);
  if (!mss) {
    tcpStats.synCookiesBad++;
    return Handshake.Again;
  }
  request.tsOffset = timestampOffset(tupleSecret(local, localPort, remote, remotePort));
  request.mss = <u16>mss;
  request.scale = <u8>(timestamps ? stampScale(options.tsEcr) : NO_SCALE);
  request.flags = <u8>RequestFlag.Cookie;
  if (timestamps) request.flags |= <u8>RequestFlag.Timestamps;
  if (timestamps && stampSack(options.tsEcr)) request.flags |= <u8>RequestFlag.Sack;
  request.tsRecent = options.tsVal;
  request.ecn = timestamps && stampEcn(options.tsEcr) ? <u8>ecnGrantedKind() : 0;
  request.retries = 0;
  request.window = <u16>requestWindow(request);
  if (establish(listener, request, seq, ack, window, now) === null) return Handshake.Done;
  tcpStats.synCookiesOk++;
  return Handshake.Complete;
}

/** Answers an ACK for what does not exist. */
function refuse(request: Request, seq: u32, ack: u32): void {
  replyReset(
    request.local,
    request.localPort,
    request.remote,
    request.remotePort,
    TcpFlag.ACK,
    seq,
    ack,
    0,
  );
}

/** A connection of which no more is known than its SYN said; null without room. */
function newborn(listener: Tcb, request: Request, now: u64): Tcb | null {
  const t = listener.work.acceptCount < listener.work.backlog ? tcbAllocate() : null;
  if (t === null) {
    tcpStats.listenOverflows++;
    return null;
  }
  if (!workEnsure(t)) {
    tcbFree(t);
    return null;
  }
  connectionDefaults(t);
  inherit(t, listener);
  t.setTuple(request.local, request.localPort, request.remote, request.remotePort);
  t.hash = request.hash;
  connectionBegin(t, request.iss, request.tsOffset, now);
  if (request.has(RequestFlag.Timestamps)) t.raise(TcbFlag.Timestamps);
  if (request.has(RequestFlag.Sack)) t.raise(TcbFlag.Sack);
  if (request.scale != <u8>NO_SCALE) {
    t.raise(TcbFlag.Scaling);
    t.sndScale = request.scale;
    t.rcvScale = <u8>scaleFor(mostSlots() * t.rcvMss);
  }
  if (request.retries) {
    t.raise(TcbFlag.SynRetransmitted);
    t.rto = rtoMeasured(t);
  }
  ecnGranted(t, request.ecn);
  connectionSized(t, request.mss);
  t.work.irs = request.irs;
  t.rcvNxt = request.irs + 1;
  t.rcvAdv = t.rcvNxt + request.window;
  t.lastAckSent = t.rcvNxt;
  t.tsRecent = request.tsRecent;
  t.tsRecentAt = now;
  return t;
}

/**
 * The peer has acknowledged our SYN: makes the connection and queues it for `accept`. Null if there
 * is no room for it.
 */
function establish(
  listener: Tcb,
  request: Request,
  seq: u32,
  ack: u32,
  window: u32,
  now: u64,
): Tcb | null {
  const t = newborn(listener, request, now);
  if (t === null) return null;
  t.sndUna = ack;
  t.sndNxt = ack;
  t.sndMax = ack;
  t.sndWnd = window << t.sndScale;
  t.maxSndWnd = t.sndWnd;
  t.sndWl1 = seq;
  t.sndWl2 = ack;
  connectionEstablished(t, now);
  tcpStats.passiveOpens++;
  enqueue(listener, t);
  made = t;
  return t;
}

/**
 * Has connections accepted only when data has come, or `seconds` have passed since the SYN: rounded
 * up to a time-out of SYN and ACK, which is then sent once more, and whose ACK is accepted without
 * data. 0 turns it off.
 */
export function listenerDefer(listener: Tcb, seconds: u32): void {
  let timeouts: u32 = 0;
  while (timeouts < DEFERRAL_MAX && deferralSeconds(timeouts) < seconds) timeouts++;
  listener.work.deferAccept = <u8>timeouts;
}

/** Seconds from the SYN to the `timeouts`th time-out. */
function deferralSeconds(timeouts: u32): u32 {
  const doubled = min<u32>(timeouts, 5);
  return (1 << doubled) - 1 + (timeouts - doubled) * 32;
}

/** What `listenerDefer` came to, seconds. */
export function listenerDeferral(listener: Tcb): u32 {
  return deferralSeconds(listener.work.deferAccept);
}

/** What the program set on the listener holds for what it accepts. */
function inherit(t: Tcb, listener: Tcb): void {
  t.raise(listener.flags & (TcbFlag.NoDelay | TcbFlag.KeepAlive | TcbFlag.Cork));
  t.receiveLimit = listener.receiveLimit;
  t.sendLimit = listener.sendLimit;
  t.fixedBuffers = listener.fixedBuffers;
  t.congestion = listener.congestion;
  t.settings.release();
  t.settings = listener.settings.retain();
  t.ecn = listener.ecn;
}

function enqueue(listener: Tcb, t: Tcb): void {
  t.raise(TcbFlag.Unaccepted);
  t.next = null;
  const tail = listener.work.acceptTail;
  if (tail === null) listener.work.acceptHead = t;
  else tail.next = t;
  listener.work.acceptTail = t;
  listener.work.acceptCount++;
  notify(listener.owner, EndpointEvent.Readable);
}

/** Takes the next connection off the queue, or null. */
function dequeue(listener: Tcb): Tcb | null {
  const t = listener.work.acceptHead;
  if (t === null) return null;
  listener.work.acceptHead = t.next;
  if (listener.work.acceptHead === null) listener.work.acceptTail = null;
  listener.work.acceptCount--;
  t.next = null;
  t.clear(TcbFlag.Unaccepted);
  return t;
}

/** The next connection to accept, or null. Those that ended in an error meanwhile are not shown. */
export function listenerAccept(listener: Tcb): Tcb | null {
  for (let t = dequeue(listener); t !== null; t = dequeue(listener)) {
    if (t.state != State.Closed || !t.error) return t;
    t.raise(TcbFlag.Detached);
    connectionFinish(t, State.Closed);
  }
  return null;
}

/** The listener closes: who waits to be accepted is told that nobody will. */
export function listenerClear(listener: Tcb, now: u64): void {
  for (let t = dequeue(listener); t !== null; t = dequeue(listener)) {
    t.raise(TcbFlag.Detached);
    sendReset(t, now);
    connectionFail(t, Errno.ECONNRESET);
  }
}
