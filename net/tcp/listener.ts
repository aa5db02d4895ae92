import { Purpose } from "../../kernel/packet";
import { reserve } from "../../kernel/memory";
import { SECOND, Timer } from "../../kernel/timer";
import { EndpointEvent, notify } from "../endpoint";
import { ipMtu } from "../ip/route";
import { IpAddress } from "../wire/address";
import { TcpFlag } from "../wire/tcp";
import { defaultSlots } from "./budget";
import {
  connectionBegin,
  connectionDefaults,
  connectionEstablished,
  connectionFail,
  connectionFinish,
  connectionSized,
  mssOfMtu,
  scaleFor,
} from "./connection";
import { Demux } from "./demux";
import { isnAt, timestampClock, timestampOffset, tupleSecret } from "./isn";
import { NO_SCALE, options, putSynOptions, putTimestamps, TIMESTAMPS_LENGTH } from "./options";
import { sendReset } from "./output";
import { listenerFind } from "./ports";
import { rttSample } from "./rtt";
import { headerPacket, optionsAt, replyReset, segmentSend } from "./segment";
import { seqGreaterEqual, seqLess } from "./seq";
import { tcpStats } from "./stats";
import { State, Tcb, tcbAllocate, TcbFlag, Tuple } from "./tcb";
import { Errno } from "../../kernel/errno";

/**
 * Passive opening (RFC 9293, 3.10.7.2). A SYN costs a small entry, not a control block; that is
 * made when the handshake is complete. The entries are a fixed number: under a flood of SYNs the
 * oldest half-open one makes room (RFC 4987, 3.4), so memory is bounded and whoever answers within
 * the time that the flood takes to fill the table gets through.
 *
 * A SYN that finds the accept queue full is dropped, as is the last ACK of a handshake; the peer
 * sends both again. Encoding the entry into the sequence number instead (SYN cookies) has its place
 * in `requestAdd` and `requestFind`.
 */
@unmanaged
class Request extends Tuple {
  iss: u32;
  irs: u32;
  /** Added to our clock in TSval; the peer's last TSval. */
  tsOffset: u32;
  tsRecent: u32;
  /** By age; `newer` is the link of the free list as well. */
  newer: Request | null;
  older: Request | null;
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  /** When the SYN and ACK went out first, for the round trip. */
  sentAt: u64;
  /** The peer's MSS, 0 for none. */
  mss: u16;
  /** What we advertised in it. */
  window: u16;
  /** The peer's shift, or `NO_SCALE`. */
  scale: u8;
  timestamps: bool;
  /** Retransmissions so far. */
  retries: u8;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<Request>("timer0"));
  }
}

const REQUEST_BYTES: u32 = 128;
/** SYN and ACK are sent six times, the last after 31 s (RFC 6298, 2.1 and 5.5), then given up. */
const RETRIES_MAX: u32 = 5;
/** Most connections that wait to be accepted, whatever the program asks. */
export const BACKLOG_MAX: u32 = 1024;

const table = changetype<Demux>(memory.data(offsetof<Demux>(), 8));
let free: Request | null = null;
let oldest: Request | null = null;
let newest: Request | null = null;

/** Reserves room for `count` half-open connections. Start-up only. */
export function listenerInit(count: u32): void {
  assert(offsetof<Request>() <= REQUEST_BYTES);
  const base = reserve(count * REQUEST_BYTES, 64);
  free = null;
  for (let i = count; i-- > 0;) {
    const request = changetype<Request>(base + <usize>i * REQUEST_BYTES);
    request.newer = free;
    free = request;
  }
  table.init(count);
}

/** The half-open connection of this tuple, whose hash is given, or null. */
@inline export function requestFind(
  hash: u32,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): Tuple | null {
  return table.find(hash, local, localPort, remote, remotePort);
}

/** The window of a SYN and ACK: not scaled (RFC 7323, 2.2). */
@inline function firstWindow(mss: u32): u32 {
  return min<u32>(defaultSlots() * mss, 0xffff);
}

/** A SYN for a listener; its options have been parsed. Data on it is left for the peer to repeat. */
export function listenerSyn(
  listener: Tcb,
  hash: u32,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
  seq: u32,
  now: u64,
): void {
  if (listener.work.acceptCount >= listener.work.backlog) {
    tcpStats.listenOverflows++;
    return;
  }
  if (free === null) {
    tcpStats.synDrops++;
    drop(changetype<Request>(oldest));
  }
  const request = changetype<Request>(free);
  free = request.newer;
  const secret = tupleSecret(local, localPort, remote, remotePort);
  request.setTuple(local, localPort, remote, remotePort);
  request.hash = hash;
  request.iss = isnAt(secret, now);
  request.irs = seq;
  request.tsOffset = timestampOffset(secret);
  request.tsRecent = options.tsVal;
  request.timestamps = options.hasTimestamps;
  request.scale = <u8>options.windowScale;
  request.mss = <u16>min<u32>(options.mss, 0xffff);
  request.retries = 0;
  request.sentAt = now;
  request.newer = null;
  request.older = newest;
  if (newest !== null) newest!.newer = request;
  else oldest = request;
  newest = request;
  table.insert(request);
  tcpStats.halfOpen++;
  request.timer.init(retransmit, changetype<usize>(request));
  request.timer.arm(now + SECOND);
  answer(request, now);
}

/** The shift that we answer with, `NO_SCALE` to a peer that has none. */
@inline function scaleOf(request: Request, mss: u32): u32 {
  return request.scale == <u8>NO_SCALE ? NO_SCALE : scaleFor(defaultSlots() * mss);
}

/** Sends SYN and ACK. */
function answer(request: Request, now: u64): void {
  const packet = headerPacket(Purpose.Data);
  if (packet === null) return;
  const mss = mssOfMtu(ipMtu(request.remote), request.remote.isV4);
  const scale = scaleOf(request, mss);
  const length = putSynOptions(
    optionsAt(packet),
    mss,
    scale,
    request.timestamps,
    timestampClock(now) + request.tsOffset,
    request.tsRecent,
  );
  request.window = <u16>firstWindow(mss);
  const flags: u32 = TcpFlag.SYN | TcpFlag.ACK;
  segmentSend(packet, request, request.iss, request.irs + 1, flags, request.window, length, 0);
}

function retransmit(context: usize, now: u64): void {
  const request = changetype<Request>(context);
  if (request.retries >= RETRIES_MAX) {
    drop(request);
    return;
  }
  request.retries++;
  tcpStats.retransmits++;
  request.timer.arm(now + (SECOND << request.retries));
  answer(request, now);
}

/** Forgets a half-open connection. */
function drop(request: Request): void {
  request.timer.cancel();
  table.remove(request);
  const newer = request.newer;
  const older = request.older;
  if (newer !== null) newer.older = older;
  else newest = older;
  if (older !== null) older.newer = newer;
  else oldest = newer;
  request.newer = free;
  free = request;
  tcpStats.halfOpen--;
}

/** <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>: for a segment that does not fit, or a reset that might. */
function acknowledge(request: Request, now: u64): void {
  const packet = headerPacket(Purpose.Control);
  if (packet === null) return;
  let optionsLength: u32 = 0;
  if (request.timestamps) {
    optionsLength = TIMESTAMPS_LENGTH;
    putTimestamps(optionsAt(packet), timestampClock(now) + request.tsOffset, request.tsRecent);
  }
  // Scaled by now, and rounded up: the edge that the SYN gave does not go back.
  const scale = scaleOf(request, mssOfMtu(ipMtu(request.remote), request.remote.isV4));
  const shift: u32 = scale == NO_SCALE ? 0 : scale;
  const window = (<u32>request.window + ((1 << shift) - 1)) >> shift;
  const ack = request.irs + 1;
  segmentSend(packet, request, request.iss + 1, ack, TcpFlag.ACK, window, optionsLength, 0);
}

/** What `requestInput` made of a segment. */
export const enum Handshake {
  /** It is dealt with. */
  Done = 0,
  /** It is a SYN of a new attempt: the request is gone, and the segment is for the listener. */
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
    answer(request, now);
    return Handshake.Done;
  }
  const inside = seqGreaterEqual(seq, rcvNxt) && seqLess(seq, rcvNxt + request.window);
  if (flags & TcpFlag.RST) {
    // RFC 5961, 3.2: exactly the next number, or a challenge.
    tcpStats.resetsIn++;
    if (seq == rcvNxt) drop(request);
    else if (inside) acknowledge(request, now);
    return Handshake.Done;
  }
  if (!inside && !(seqLess(seq, rcvNxt) && seqGreaterEqual(seq + length, rcvNxt + 1))) {
    acknowledge(request, now);
    return Handshake.Done;
  }
  if (flags & TcpFlag.SYN) {
    // Back to LISTEN, where a SYN without ACK begins anew.
    drop(request);
    return flags & TcpFlag.ACK ? Handshake.Done : Handshake.Again;
  }
  if (!(flags & TcpFlag.ACK)) return Handshake.Done;
  if (request.timestamps && options.hasTimestamps) {
    // PAWS (RFC 7323, 5.3).
    if (seqLess(options.tsVal, request.tsRecent)) {
      tcpStats.pawsDrops++;
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
  return complete(request, seq, ack, window, now);
}

/** The peer has acknowledged our SYN: makes the connection and queues it for `accept`. */
function complete(request: Request, seq: u32, ack: u32, window: u32, now: u64): Handshake {
  const listener = listenerFind(request.local, request.localPort);
  if (listener === null) {
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
    drop(request);
    return Handshake.Done;
  }
  const t = listener.work.acceptCount < listener.work.backlog ? tcbAllocate() : null;
  if (t === null) {
    tcpStats.listenOverflows++;
    return Handshake.Done;
  }
  connectionDefaults(t);
  inherit(t, listener);
  t.setTuple(request.local, request.localPort, request.remote, request.remotePort);
  connectionBegin(t, request.iss, request.tsOffset, now);
  if (request.timestamps) t.raise(TcbFlag.Timestamps);
  if (request.scale != <u8>NO_SCALE) {
    t.raise(TcbFlag.Scaling);
    t.sndScale = request.scale;
    t.rcvScale = <u8>scaleFor(defaultSlots() * t.rcvMss);
  }
  if (request.retries) t.raise(TcbFlag.SynRetransmitted);
  connectionSized(t, request.mss);
  t.work.irs = request.irs;
  t.rcvNxt = request.irs + 1;
  t.rcvAdv = t.rcvNxt + request.window;
  t.lastAckSent = t.rcvNxt;
  t.tsRecent = request.tsRecent;
  t.tsRecentAt = now;
  t.sndUna = ack;
  t.sndNxt = ack;
  t.sndMax = ack;
  t.sndWnd = window << t.sndScale;
  t.maxSndWnd = t.sndWnd;
  t.sndWl1 = seq;
  t.sndWl2 = ack;
  // Karn: only if the answer went out once.
  if (!request.retries) rttSample(t, (now - request.sentAt) / 1000);
  drop(request);
  connectionEstablished(t, now);
  tcpStats.passiveOpens++;
  enqueue(listener, t);
  made = t;
  return Handshake.Complete;
}

/** What the program set on the listener holds for what it accepts. */
function inherit(t: Tcb, listener: Tcb): void {
  t.raise(listener.flags & (TcbFlag.NoDelay | TcbFlag.KeepAlive));
  t.receiveLimit = listener.receiveLimit;
  t.sendLimit = listener.sendLimit;
  t.congestion = listener.congestion;
  t.userTimeout = listener.userTimeout;
  t.keepaliveIdle = listener.keepaliveIdle;
  t.keepaliveInterval = listener.keepaliveInterval;
  t.keepaliveCount = listener.keepaliveCount;
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
