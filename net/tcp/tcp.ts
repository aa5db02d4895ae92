import { now as stepTime } from "../../kernel/clock";
import { Errno } from "../../kernel/errno";
import { Packet, poolOf, PoolId } from "../../kernel/packet";
import { SECOND } from "../../kernel/timer";
import { EndpointEvent, notify } from "../endpoint";
import { isOwn } from "../interface";
import { registerProtocol } from "../ip/protocol";
import { ipSourceMarked, routeError, routeFrom } from "../ip/route";
import { linkCrowded } from "../link/output";
import { IpAddress, V4_LOOPBACK } from "../wire/address";
import { Protocol } from "../wire/ipv4";
import { tuneRead } from "./queues/autotune";
import { bbrInit } from "./congestion/bbr";
import {
  connectionBegin,
  connectionDefaults,
  connectionFail,
  connectionFinish,
  connectionRenew,
} from "./connection";
import { cubicInit } from "./congestion/cubic";
import { connections, demuxInit, tupleHash } from "./demux";
import { markDirty, nextDirty } from "./dirty";
import { tcpIcmpError } from "./path/errors";
import { tcpInput } from "./input";
import { FastOpen, fastOpenConnect, fastOpenInit } from "./opening/fastopen";
import { isnAt, isnInit, timestampOffset, tupleSecret } from "./opening/isn";
import { BACKLOG_MAX, listenerAccept, listenerClear } from "./opening/listener";
import { newRenoInit } from "./congestion/newreno";
import { outputConnection, sendReset, windowWorthTelling } from "./output";
import { pathsInit } from "./path/pathcache";
import { bind, chooseSource, listenerConflicts, tupleTaken } from "./ports";
import { receiveClear, receiveCopy, receiveTake, receiveTakeRun } from "./queues/receivequeue";
import { scoreboardInit } from "./recovery/scoreboard";
import {
  sendCopy,
  sendCopyTwo,
  sendEased,
  sendPacket,
  sendQueueInit,
  sendRoom,
  sendStatic,
} from "./queues/sendqueue";
import { relieve, starve } from "./starved";
import { tcpStats } from "./stats";
import { LINGER_OFF, SettingBit, settingsInit } from "./settings";
import { synCacheInit } from "./opening/syncache";
import { setState, State, Tcb, tcbAllocate, TcbFlag, tcbInit } from "./tcb";
import { timeWaitInit, timeWaitReuse } from "./timewait";
import { finWait2Life, schedule, userTimeout } from "./timers";
import { vegasInit } from "./congestion/vegas";
import { workCount, workEnsure, workInit, workRelease } from "./work";

export { tcpGetOption, tcpGetOptionData, tcpSetOption, tcpSetOptionData } from "./sockopt";
export { State, Tcb, tcbIndex } from "./tcb";
export { tcpStats };

/**
 * TCP as the layer above sees it (RFC 9293, 3.9.1). Nothing blocks: a call returns 0 or more, or
 * -Errno; news comes through net/endpoint.ts to `Tcb.owner`. A call only changes the connection's
 * state and marks it; what it gives rise to is sent by `tcpOutput` at the end of the step.
 */

/** For `here`. */
const loopback = changetype<IpAddress>(memory.data(16, 8));

/** Bytes of a run that `tcpPeekRun` lent. */
let peekLength: u32 = 0;

/** Reserves all that TCP will ever use and takes the protocol. Start-up only, after the pools. */
export function tcpInit(maxConnections: u32): void {
  demuxInit();
  settingsInit(maxConnections);
  isnInit();
  tcbInit(maxConnections);
  workInit(maxConnections);
  connections.init(maxConnections);
  timeWaitInit(min<u32>(2 * maxConnections, 0xffff));
  synCacheInit(min<u32>(max<u32>(maxConnections >> 1, 256), 8192));
  // One for each slot that may hold copies, and a header and a body a connection at work.
  const slots = poolOf(PoolId.Standard).slots + poolOf(PoolId.Jumbo).slots;
  sendQueueInit(slots + 2 * workCount());
  scoreboardInit(poolOf(PoolId.Standard).slots);
  fastOpenInit();
  pathsInit();
  cubicInit();
  newRenoInit();
  vegasInit();
  bbrInit();
  registerProtocol(Protocol.TCP, tcpInput, tcpIcmpError);
}

/** A new endpoint in CLOSED, or null when there are too many. */
export function tcpOpen(): Tcb | null {
  const t = tcbAllocate();
  if (t !== null) connectionDefaults(t);
  return t;
}

/**
 * Sets the local address (or any) and port (0: chosen). -EINVAL when bound already, -EADDRINUSE,
 * -EADDRNOTAVAIL when the address is not ours.
 */
export function tcpBind(t: Tcb, address: IpAddress, port: u32): i32 {
  if (t.state != State.Closed || t.has(TcbFlag.Bound)) return -Errno.EINVAL;
  if (port > 0xffff) return -Errno.EINVAL;
  if (!address.isAny && !isOwn(address)) return -Errno.EADDRNOTAVAIL;
  return bind(t, address, port);
}

/**
 * Enters LISTEN; `backlog` bounds the connections that wait to be accepted. Binds if need be.
 * -EINVAL when connected, -EADDRINUSE when another that shares the port listens already, -ENOBUFS when
 * no working part is left.
 */
export function tcpListen(t: Tcb, backlog: u32): i32 {
  if (t.state != State.Closed && t.state != State.Listen) return -Errno.EINVAL;
  if (t.state == State.Closed && t.remotePort) return -Errno.EINVAL;
  if (t.has(TcbFlag.Bound) && listenerConflicts(t)) return -Errno.EADDRINUSE;
  if (!t.has(TcbFlag.Bound)) {
    const result = bind(t, t.local, 0);
    if (result < 0) return result;
  }
  if (!workEnsure(t)) return -Errno.ENOBUFS;
  t.work.backlog = <u16>min<u32>(max<u32>(backlog, 1), BACKLOG_MAX);
  setState(t, State.Listen);
  return 0;
}

/** The next connection that is established and not accepted yet, or null. */
export function tcpAccept(t: Tcb): Tcb | null {
  return t.state == State.Listen ? listenerAccept(t) : null;
}

/**
 * Begins to connect: -EINPROGRESS, and Writable or Error follows. -EALREADY while that is under way;
 * -EISCONN once it stands, and for ever after. When it has failed the next call says why (or
 * -ECONNABORTED if that has been asked for already), and the one after that begins anew. An unspecified
 * address is this machine. -EINVAL (port missing, or listening), -EAFNOSUPPORT (bound to an address of the
 * other family), -ENETUNREACH (no route, or what a rule says; or no address of one host),
 * -EADDRNOTAVAIL (no port left, or from the one bound the same connection exists), -ENOBUFS (no working part
 * is left).
 */
export function tcpConnect(t: Tcb, address: IpAddress, port: u32): i32 {
  const result = connect(t, address, port, t.settings.has(SettingBit.FastOpenConnect));
  if (result == 0) notify(t.owner, EndpointEvent.Writable);
  return result;
}

/**
 * `tcpConnect` and `tcpSend` in one (RFC 7413, 4.2.2): under a cookie of the server's the first bytes
 * go with the SYN, and the result is how many were queued. Without one, or room, nothing is queued:
 * -EINPROGRESS, and the SYN asks for a cookie. Otherwise as `tcpConnect`.
 */
export function tcpConnectSend(
  t: Tcb,
  address: IpAddress,
  port: u32,
  from: usize,
  length: u32,
  more: bool,
): i32 {
  const result = connect(t, address, port, true);
  if (result < 0) return result;
  const sent = tcpSend(t, from, length, more);
  if (sent > 0) return sent;
  open(t);
  return -Errno.EINPROGRESS;
}

/** `tcpConnect`; 0 if, as `fast` allows, the SYN waits for the first bytes to be sent. */
function connect(t: Tcb, address: IpAddress, port: u32, fast: bool): i32 {
  if (t.state == State.SynSent || t.state == State.SynReceived) return -Errno.EALREADY;
  if (t.state == State.Listen || port == 0 || port > 0xffff) return -Errno.EINVAL;
  if (t.state != State.Closed) return -Errno.EISCONN;
  if (t.remotePort) {
    if (!t.has(TcbFlag.Opening)) return -Errno.EISCONN;
    const error = tcpError(t);
    connectionRenew(t);
    return error ? -error : -Errno.ECONNABORTED;
  }
  if (!t.local.speaksTo(address)) return -Errno.EAFNOSUPPORT;
  const any = t.local.isAny;
  const lo = t.local.lo;
  const result = begin(t, address.isAny ? here(t, address) : address, port, fast);
  // A source that was chosen in vain is no source for what comes next.
  if (any && result < 0 && result != -Errno.EINPROGRESS) t.local.set(0, lo);
  return result;
}

/** The same of an endpoint that is ready for it. */
function begin(t: Tcb, address: IpAddress, port: u32, fast: bool): i32 {
  const mark = t.settings.mark;
  if (t.local.isAny && !ipSourceMarked(address, mark, t.local)) return -routeError();
  const route = routeFrom(t.local, mark, address.hi, address.lo);
  if (route === null) return -routeError();
  // A connection has two ends (RFC 9293, 3.9.2.3: MUST-46); the error is Linux's.
  if (route.reachesMany) return -Errno.ENETUNREACH;
  const now = stepTime();
  if (!t.has(TcbFlag.Bound)) {
    const chosen = chooseSource(t.local, address, port, now);
    if (!chosen) return -Errno.EADDRNOTAVAIL;
    t.localPort = <u16>chosen;
  } else if (tupleTaken(t.local, t.localPort, address, port, now)) {
    return -Errno.EADDRNOTAVAIL;
  }
  if (!workEnsure(t)) return -Errno.ENOBUFS;
  t.remote.copy(address);
  t.remotePort = <u16>port;
  const secret = tupleSecret(t.local, t.localPort, address, port);
  t.hash = tupleHash(t.local, t.localPort, address, port);
  const isn = timeWaitReuse(t.hash, t.local, t.localPort, address, port, isnAt(secret, now));
  connectionBegin(t, isn, timestampOffset(secret), now);
  setState(t, State.SynSent);
  t.raise(TcbFlag.Opening);
  tcpStats.activeOpens++;
  if (fast && fastOpenConnect(t, now)) return 0;
  t.work.synDue = true;
  markDirty(t);
  return -Errno.EINPROGRESS;
}

/** What connects to an unspecified address connects, as on Linux, to its own, or to the loopback's. */
function here(t: Tcb, any: IpAddress): IpAddress {
  if (!t.local.isAny) return t.local;
  if (any.isV4) loopback.setV4(V4_LOOPBACK);
  else loopback.set(0, 1);
  return loopback;
}

/** The SYN waits no longer for something to go with it. */
function open(t: Tcb): void {
  t.work.fastOpen = (t.work.fastOpen & ~(<u8>FastOpen.Deferred)) | (<u8>FastOpen.Data);
  t.work.synDue = true;
  markDirty(t);
}

/** Fast Open: data may be queued before the handshake is over. */
const MAY_SEND: u32 = FastOpen.Deferred | FastOpen.Data | FastOpen.Pending;

/** 0 if the program may write now, else -Errno. */
function maySendNow(t: Tcb): i32 {
  switch (t.state) {
    case State.Established:
    case State.CloseWait:
      return 0;
    case State.SynSent:
    case State.SynReceived:
      if (t.has(TcbFlag.FinQueued)) return -Errno.EPIPE;
      return t.work.fastOpen & MAY_SEND ? 0 : -Errno.EAGAIN;
    case State.Listen:
      return -Errno.ENOTCONN;
    case State.Closed:
      if (t.error) return -tcpError(t);
      return t.remotePort ? -Errno.EPIPE : -Errno.ENOTCONN;
    default:
      return -Errno.EPIPE;
  }
}

/**
 * Queues a copy of at most `length` bytes: how many. With `more`, a part of a segment waits for what
 * follows, 200 ms at most. -EAGAIN when there is no room, no slot or no working part (Writable
 * follows) or the connection is not open yet, -EPIPE after `tcpShutdown`, -ENOTCONN, or what ended
 * the connection.
 */
export function tcpSend(t: Tcb, from: usize, length: u32, more: bool): i32 {
  const state = maySendNow(t);
  if (state < 0) return state;
  let sent: u32 = 0;
  if (workEnsure(t)) {
    t.work.more = more;
    sent = sendCopy(t, from, length);
  }
  if (sent) hasWritten(t);
  if (sent < length) blocked(t);
  return sent || !length ? sent : -Errno.EAGAIN;
}

/** `tcpSend` of two runs, of which neither is empty: mostly one segment. */
export function tcpSendTwo(
  t: Tcb,
  from: usize,
  first: u32,
  behind: usize,
  rest: u32,
  more: bool,
): i32 {
  const state = maySendNow(t);
  if (state < 0) return state;
  if (workEnsure(t) && sendCopyTwo(t, from, first, behind, rest)) {
    t.work.more = more;
    hasWritten(t);
    return first + rest;
  }
  const sent = tcpSend(t, from, first, more);
  if (<u32>sent != first) return sent;
  const then = tcpSend(t, behind, rest, more);
  return then < 0 ? sent : sent + then;
}

/**
 * Queues `length` bytes where they are, all of them: they never change, and a device can read them.
 * -ENOBUFS when too many pieces are queued (Writable follows); otherwise as `tcpSend`.
 */
export function tcpSendStatic(t: Tcb, from: usize, length: u32): i32 {
  const state = maySendNow(t);
  if (state < 0) return state;
  if (!workEnsure(t)) {
    blocked(t);
    return -Errno.ENOBUFS;
  }
  // Sequence numbers compare within half their circle; far below it is enough for any window.
  if (length > 1 << 30 || t.sndEnd - t.sndUna > 1 << 30) {
    blocked(t);
    return -Errno.EAGAIN;
  }
  if (length && !sendStatic(t, from, length)) {
    blocked(t);
    return -Errno.ENOBUFS;
  }
  hasWritten(t);
  return length;
}

/** There is something new to send. */
@inline function hasWritten(t: Tcb): void {
  if (t.state == State.SynSent && t.work.fastOpen & FastOpen.Deferred) open(t);
  else markDirty(t);
}

/** A send was refused: the program hears when it may try again. */
function blocked(t: Tcb): void {
  t.raise(TcbFlag.Blocked);
  if (!t.hasWork || t.sendHead === null) starve(t);
}

/** Bytes queued that the peer has not acknowledged. */
export function tcpQueued(t: Tcb): u32 {
  return !t.hasWork || t.sendHead === null ? 0 : t.sndEnd - t.sndUna;
}

/**
 * Whether the send queue is at most half full. If not, Writable follows when it is: for a program
 * that wants room before it begins.
 */
export function tcpSendReady(t: Tcb): bool {
  if (maySendNow(t) < 0) return false;
  if (!t.hasWork || sendEased(t)) return true;
  t.raise(TcbFlag.Blocked);
  return false;
}

/** What reading finds when there is nothing to read: 0 at the end of the stream, else -Errno. */
function nothingToRead(t: Tcb): i32 {
  // Whatever happened behind its end, the stream came whole.
  if (t.has(TcbFlag.FinReceived)) return 0;
  if (t.error) return -tcpError(t);
  if (t.has(TcbFlag.ReadShutdown)) return 0;
  switch (t.state) {
    case State.Closed:
      return t.remotePort ? 0 : -Errno.ENOTCONN;
    case State.Listen:
      return -Errno.ENOTCONN;
    default:
      return -Errno.EAGAIN;
  }
}

/** Copies at most `length` bytes, and takes them unless `peek`: how many, 0 at the end, -EAGAIN. */
export function tcpReceive(t: Tcb, into: usize, length: u32, peek: bool): i32 {
  if (!t.receiveBytes) return nothingToRead(t);
  const received = receiveCopy(t, into, length, peek);
  if (!peek) hasRead(t, received);
  return received;
}

/** Takes at most `length` bytes without looking at them: as `tcpReceive`. */
export function tcpDiscard(t: Tcb, length: u32): i32 {
  if (!t.receiveBytes) return nothingToRead(t);
  const dropped = min<u32>(length, t.receiveBytes);
  receiveTake(t, dropped);
  hasRead(t, dropped);
  return dropped;
}

/** Address of the first run of unread bytes, or 0; `tcpPeekLength` is its length. In place. */
export function tcpPeekRun(t: Tcb): usize {
  const packet = t.receiveHead;
  if (packet === null) return 0;
  peekLength = packet.length;
  return packet.data;
}

/** Bytes in the run that `tcpPeekRun` found last. */
@inline export function tcpPeekLength(): u32 {
  return peekLength;
}

/** Takes `length` bytes, at most `tcpAvailable`, without copying: runs that were lent go back. */
export function tcpConsume(t: Tcb, length: u32): void {
  length = min<u32>(length, t.receiveBytes);
  receiveTake(t, length);
  hasRead(t, length);
}

/**
 * Takes the first run of unread bytes off the stream, in the packet in which it came, or null. The slot
 * counts as the connection's until `tcpReturnRun`, or until it is sent on.
 */
export function tcpTakeRun(t: Tcb): Packet | null {
  return receiveTakeRun(t);
}

/** What is first in the stream, for the caller to look at; `tcpTakeRun` takes it. */
@inline export function tcpFirstRun(t: Tcb): Packet | null {
  return t.receiveHead;
}

/** A slot with a run of `length` bytes, which `tcpTakeRun` gave, is no longer the connection's. */
export function tcpReturnRun(t: Tcb, length: u32): void {
  t.receiveSlots--;
  hasRead(t, length);
}

/**
 * Queues the bytes of a packet where they lie, all of them, and takes the packet. -EAGAIN when there is
 * no room (Writable follows); otherwise as `tcpSend`. Unless the result is the length, the packet stays
 * the caller's.
 */
export function tcpSendPacket(t: Tcb, packet: Packet): i32 {
  const state = maySendNow(t);
  if (state < 0) return state;
  const length = packet.length;
  if (!workEnsure(t) || !sendPacket(t, packet)) {
    blocked(t);
    return -Errno.EAGAIN;
  }
  t.work.more = false;
  hasWritten(t);
  return length;
}

/** The program has taken `length` bytes and made room: the peer may have to hear of it. */
@inline function hasRead(t: Tcb, length: u32): void {
  if (t.state < State.Established || t.has(TcbFlag.FinReceived) || !t.hasWork) return;
  tuneRead(t, length, stepTime());
  if (!t.has(TcbFlag.AckNow) && windowWorthTelling(t)) {
    t.raise(TcbFlag.AckNow);
    markDirty(t);
  } else if (!t.receiveBytes && !t.has(TcbFlag.AckDelayed)) {
    // Perhaps it is at rest now.
    markDirty(t);
  }
}

/** Bytes that can be read at once. */
@inline export function tcpAvailable(t: Tcb): u32 {
  return t.receiveBytes;
}

/** Ends our stream: the FIN goes after the last byte (RFC 9293, 3.10.4). */
function finish(t: Tcb): void {
  if (t.has(TcbFlag.FinQueued)) return;
  switch (t.state) {
    case State.Established:
      setState(t, State.FinWait1);
      break;
    case State.CloseWait:
      setState(t, State.LastAck);
      break;
    case State.SynReceived:
      // FIN-WAIT-1 begins when the SYN is acknowledged.
      break;
    default:
      return;
  }
  t.raise(TcbFlag.FinQueued);
  markDirty(t);
}

/**
 * Ends reading, writing or both. -ENOTCONN when there is no connection, or none any more. An attempt
 * to connect is given up (RFC 9293, 3.10.4: SYN-SENT); who listens and reads no more, listens no more.
 * -ENOBUFS: no working part is left.
 */
export function tcpShutdown(t: Tcb, read: bool, write: bool): i32 {
  switch (t.state) {
    case State.Closed:
    case State.TimeWait:
      return -Errno.ENOTCONN;
    case State.Listen:
      if (read) {
        listenerClear(t, stepTime());
        setState(t, State.Closed);
        workRelease(t);
      }
      return 0;
    case State.SynSent:
      connectionFail(t, Errno.ECONNRESET);
      connectionRenew(t);
      return 0;
    default:
  }
  if (write && !workEnsure(t)) return -Errno.ENOBUFS;
  if (read) {
    t.raise(TcbFlag.ReadShutdown);
    receiveClear(t);
    hasRead(t, 0);
  }
  if (write) finish(t);
  return 0;
}

/**
 * Closes: the program lets go of `t`, which lives on until both streams have ended. Bytes that
 * were not read are lost to the peer, so it is told by a reset (RFC 2525, 2.17). With SO_LINGER on,
 * what is unsent has that many seconds, none for 0, before a reset takes the place of the FIN. A reset
 * is also what ends an idle connection when no working part is left to end it in order.
 */
export function tcpClose(t: Tcb): void {
  t.owner = 0;
  const now = stepTime();
  const state = t.state;
  if (state == State.Listen) listenerClear(t, now);
  t.raise(TcbFlag.Detached);
  if (state <= State.SynSent || state == State.TimeWait) {
    connectionFinish(t, State.Closed);
    return;
  }
  const linger = t.settings.linger;
  const unread = t.receiveBytes && !t.has(TcbFlag.ReadShutdown);
  if (!linger || unread || !workEnsure(t)) {
    tcpAbort(t);
    return;
  }
  finish(t);
  // Nobody waits any more: a peer that takes nothing is given up in the end (RFC 6429, 5).
  let patience = linger == LINGER_OFF ? userTimeout(t) : <u64>linger * SECOND;
  if (state == State.FinWait2) patience = finWait2Life(t);
  t.work.lingerAt = now + patience;
  schedule(t);
}

/** Resets the connection and lets go of `t` (RFC 9293, 3.10.5). */
export function tcpAbort(t: Tcb): void {
  t.owner = 0;
  t.raise(TcbFlag.Detached);
  sendReset(t, stepTime());
  connectionFail(t, Errno.ECONNABORTED);
}

/** The errno of what went wrong, once; 0 if nothing did. */
export function tcpError(t: Tcb): i32 {
  const error = t.error;
  t.error = 0;
  if (error) return error;
  const soft = t.softError;
  t.softError = 0;
  return soft;
}

/** Copies the local address; returns the port. */
export function tcpLocal(t: Tcb, into: IpAddress): u32 {
  into.copy(t.local);
  return t.localPort;
}

/** Copies the peer's address; returns the port, 0 when not connected. */
export function tcpRemote(t: Tcb, into: IpAddress): u32 {
  if (t.state <= State.SynSent || t.state == State.TimeWait) return 0;
  into.copy(t.remote);
  return t.remotePort;
}

/**
 * How things stand, in `EndpointEvent` bits: what Linux's `poll` would report of the same state (POLLIN,
 * POLLOUT, POLLERR, POLLHUP, POLLRDHUP).
 */
export function tcpEvents(t: Tcb): u32 {
  const state = t.state;
  if (state == State.Listen) return t.work.acceptCount ? EndpointEvent.Readable : 0;
  const over = state == State.TimeWait || (state == State.Closed && t.remotePort != 0);
  const read = over || t.has(TcbFlag.FinReceived | TcbFlag.ReadShutdown);
  const written = over || t.has(TcbFlag.FinQueued);
  let events: u32 = t.error ? EndpointEvent.Error : 0;
  if (state == State.Closed || (read && written)) events |= EndpointEvent.Hangup;
  if (read) events |= EndpointEvent.Readable | EndpointEvent.ReadHangup;
  const opening = state == State.SynSent || state == State.SynReceived;
  if (opening && !(t.work.fastOpen & MAY_SEND)) return events;
  if (t.receiveBytes >= t.settings.receiveLowWater) events |= EndpointEvent.Readable;
  if (state == State.Closed || written || writable(t)) events |= EndpointEvent.Writable;
  return events;
}

/** Whether a send may be tried: one that was refused waits until there is room worth telling of. */
function writable(t: Tcb): bool {
  if (t.has(TcbFlag.Starved)) return false;
  if (!t.hasWork || t.sendHead === null) return true;
  if (t.has(TcbFlag.Blocked)) return false;
  if (sendRoom(t)) return true;
  // Who asks is told of room as who was refused (Linux's tcp_poll sets SOCK_NOSPACE).
  t.raise(TcbFlag.Blocked);
  return false;
}

/**
 * Sends what every marked connection has to send: once a step, after the program has run. Whether
 * some of it waits until the devices keep up.
 */
export function tcpOutput(now: u64): bool {
  while (!linkCrowded()) {
    const t = nextDirty();
    if (t === null) break;
    outputConnection(t, now);
  }
  relieve();
  return linkCrowded();
}
