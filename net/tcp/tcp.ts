import { now as stepTime } from "../../kernel/clock";
import { Errno } from "../../kernel/errno";
import { poolOf, PoolId, slotSize } from "../../kernel/packet";
import { NEVER, SECOND } from "../../kernel/timer";
import { EndpointOption } from "../endpoint";
import { registerProtocol } from "../ip/protocol";
import { ipSource } from "../ip/route";
import { linkCrowded } from "../link/output";
import { IpAddress } from "../wire/address";
import { Protocol } from "../wire/ipv4";
import { CongestionId } from "./congestion";
import {
  connectionBegin,
  connectionDefaults,
  connectionFail,
  connectionFinish,
} from "./connection";
import { cubicInit } from "./cubic";
import { connections, demuxInit } from "./demux";
import { markDirty, nextDirty } from "./dirty";
import { tcpIcmpError } from "./errors";
import { tcpInput } from "./input";
import { isnAt, isnInit, timestampOffset, tupleSecret } from "./isn";
import {
  BACKLOG_MAX,
  listenerAccept,
  listenerClear,
  listenerDefer,
  listenerDeferral,
} from "./listener";
import { newRenoInit } from "./newreno";
import { outputConnection, sendReset, windowWorthTelling } from "./output";
import { bind, chooseSource, tupleTaken } from "./ports";
import { receiveClear, receiveCopy, receiveDrop } from "./receivequeue";
import { scoreboardInit } from "./scoreboard";
import { sendCopy, sendEased, sendQueueInit, sendRoom, sendStatic } from "./sendqueue";
import { relieve, starve } from "./starved";
import { tcpStats } from "./stats";
import { synCacheInit } from "./syncache";
import { setState, State, Tcb, tcbAllocate, TcbFlag, tcbInit } from "./tcb";
import { timeWaitInit } from "./timewait";
import { schedule } from "./timers";
import { workCount, workEnsure, workInit } from "./work";

export { State, Tcb } from "./tcb";
export { tcpStats };

/**
 * TCP as the layer above sees it (RFC 9293, 3.9.1). Nothing blocks: a call returns 0 or more, or
 * -Errno; news comes through net/endpoint.ts to `Tcb.owner`. A call only changes the connection's
 * state and marks it; what it gives rise to is sent by `tcpOutput` at the end of the step.
 */

/** Bytes of a run that `tcpPeekRun` lent. */
let peekLength: u32 = 0;

/** Reserves all that TCP will ever use and takes the protocol. Start-up only, after the pools. */
export function tcpInit(maxConnections: u32): void {
  demuxInit();
  isnInit();
  tcbInit(maxConnections);
  workInit(maxConnections);
  connections.init(maxConnections);
  timeWaitInit(min<u32>(2 * maxConnections, 0xffff));
  synCacheInit(min<u32>(max<u32>(maxConnections >> 1, 256), 8192));
  // One for each slot that may hold copies, and a header and a body a connection at work.
  sendQueueInit(poolOf(PoolId.Standard).slots + 2 * workCount());
  scoreboardInit(poolOf(PoolId.Standard).slots);
  cubicInit();
  newRenoInit();
  registerProtocol(Protocol.TCP, tcpInput, tcpIcmpError);
}

/** A new endpoint in CLOSED, or null when there are too many. */
export function tcpOpen(): Tcb | null {
  const t = tcbAllocate();
  if (t !== null) connectionDefaults(t);
  return t;
}

/** Sets the local address (or any) and port (0: chosen). -EINVAL when bound already, -EADDRINUSE. */
export function tcpBind(t: Tcb, address: IpAddress, port: u32): i32 {
  if (t.state != State.Closed || t.has(TcbFlag.Bound)) return -Errno.EINVAL;
  if (port > 0xffff) return -Errno.EINVAL;
  return bind(t, address, port);
}

/**
 * Enters LISTEN; `backlog` bounds the connections that wait to be accepted. Binds if need be.
 * -ENOBUFS when no working part is left.
 */
export function tcpListen(t: Tcb, backlog: u32): i32 {
  if (t.state != State.Closed && t.state != State.Listen) return -Errno.EINVAL;
  if (!t.has(TcbFlag.Bound)) {
    const result = bind(t, t.local, 0);
    if (result < 0) return result;
  }
  if (!workEnsure(t)) return -Errno.ENOBUFS;
  t.work.backlog = <u16>min<u32>(max<u32>(backlog, 1), BACKLOG_MAX);
  setState(t, State.Listen);
  return 0;
}

/**
 * Of a listener: connections are accepted when their first data has come, or after `seconds`
 * (TCP_DEFER_ACCEPT). 0, the default, accepts at once.
 */
export function tcpDeferAccept(t: Tcb, seconds: u32): void {
  listenerDefer(t, seconds);
}

/** The time that `tcpDeferAccept` came to, seconds; 0 when off. */
export function tcpDeferral(t: Tcb): u32 {
  return listenerDeferral(t);
}

/** The next connection that is established and not accepted yet, or null. */
export function tcpAccept(t: Tcb): Tcb | null {
  return t.state == State.Listen ? listenerAccept(t) : null;
}

/**
 * Begins to connect: -EINPROGRESS, and Writable or Error follows. -EISCONN, -EALREADY, -EINVAL
 * (address or port missing, or listening), -ENETUNREACH (no route), -EADDRNOTAVAIL (no port left),
 * -EADDRINUSE (the tuple is in use), -ECONNABORTED (it has ended already), -ENOBUFS (no working
 * part is left).
 */
export function tcpConnect(t: Tcb, address: IpAddress, port: u32): i32 {
  if (t.state == State.SynSent || t.state == State.SynReceived) return -Errno.EALREADY;
  if (t.state == State.Listen || port == 0 || port > 0xffff) return -Errno.EINVAL;
  if (t.state != State.Closed) return -Errno.EISCONN;
  if (t.remotePort) return -Errno.ECONNABORTED;
  if (address.isAny) return -Errno.EINVAL;
  if (t.local.isAny && !ipSource(address, t.local)) return -Errno.ENETUNREACH;
  if (!t.has(TcbFlag.Bound)) {
    const chosen = chooseSource(t.local, address, port);
    if (!chosen) return -Errno.EADDRNOTAVAIL;
    t.localPort = <u16>chosen;
  } else if (tupleTaken(t.local, t.localPort, address, port)) {
    return -Errno.EADDRINUSE;
  }
  if (!workEnsure(t)) return -Errno.ENOBUFS;
  const now = stepTime();
  t.remote.copy(address);
  t.remotePort = <u16>port;
  const secret = tupleSecret(t.local, t.localPort, address, port);
  connectionBegin(t, isnAt(secret, now), timestampOffset(secret), now);
  setState(t, State.SynSent);
  tcpStats.activeOpens++;
  markDirty(t);
  return -Errno.EINPROGRESS;
}

/** 0 if the program may write now, else -Errno. */
function maySendNow(t: Tcb): i32 {
  switch (t.state) {
    case State.Established:
    case State.CloseWait:
      return 0;
    case State.SynSent:
    case State.SynReceived:
      return t.has(TcbFlag.FinQueued) ? -Errno.EPIPE : -Errno.EAGAIN;
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
 * Queues a copy of at most `length` bytes: how many. -EAGAIN when there is no room, no slot or no
 * working part (Writable follows) or the connection is not open yet, -EPIPE after `tcpShutdown`,
 * -ENOTCONN, or what ended the connection.
 */
export function tcpSend(t: Tcb, from: usize, length: u32): i32 {
  const state = maySendNow(t);
  if (state < 0) return state;
  const sent = workEnsure(t) ? sendCopy(t, from, length) : 0;
  if (sent) markDirty(t);
  if (sent < length) blocked(t);
  return sent || !length ? sent : -Errno.EAGAIN;
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
  markDirty(t);
  return length;
}

/** A send was refused: the program hears when it may try again. */
function blocked(t: Tcb): void {
  t.raise(TcbFlag.Blocked);
  if (t.sendHead === null) starve(t);
}

/** Bytes that `tcpSend` would take, memory permitting; 0 when it would not take any. */
export function tcpSendSpace(t: Tcb): u32 {
  if (maySendNow(t) < 0) return 0;
  return t.hasWork ? sendRoom(t) : t.sendLimit;
}

/** Bytes queued that the peer has not acknowledged. */
export function tcpQueued(t: Tcb): u32 {
  return t.sendHead === null ? 0 : t.sndEnd - t.sndUna;
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
  if (t.error) return -tcpError(t);
  if (t.has(TcbFlag.FinReceived | TcbFlag.ReadShutdown)) return 0;
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
  if (!peek) hasRead(t);
  return received;
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
  receiveDrop(t, min<u32>(length, t.receiveBytes));
  hasRead(t);
}

/** The program has made room: the peer may have to hear of it. */
@inline function hasRead(t: Tcb): void {
  if (t.state < State.Established || t.has(TcbFlag.FinReceived) || !t.hasWork) return;
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
    case State.SynSent:
    case State.SynReceived:
      // FIN-WAIT-1 begins when the SYN is acknowledged.
      break;
    default:
      return;
  }
  t.raise(TcbFlag.FinQueued);
  markDirty(t);
}

/** Ends reading, writing or both. -ENOTCONN: no connection. -ENOBUFS: no working part is left. */
export function tcpShutdown(t: Tcb, read: bool, write: bool): i32 {
  if (t.state < State.SynSent) return -Errno.ENOTCONN;
  if (write && !workEnsure(t)) return -Errno.ENOBUFS;
  if (read) {
    t.raise(TcbFlag.ReadShutdown);
    receiveClear(t);
    hasRead(t);
  }
  if (write) finish(t);
  return 0;
}

/**
 * Closes: the program lets go of `t`, which lives on until both streams have ended. Bytes that
 * were not read are lost to the peer, so it is told by a reset (RFC 2525, 2.17). A reset is also
 * what ends an idle connection when no working part is left to end it in order.
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
  if ((t.receiveBytes && !t.has(TcbFlag.ReadShutdown)) || !workEnsure(t)) {
    tcpAbort(t);
    return;
  }
  finish(t);
  // Nobody waits any more: a peer that takes nothing is given up in the end (RFC 6429, 5).
  t.work.lingerAt = now + <u64>t.userTimeout * SECOND;
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

/** Copies the peer's address; returns the port, 0 when there is none. */
export function tcpRemote(t: Tcb, into: IpAddress): u32 {
  into.copy(t.remote);
  return t.remotePort;
}

/** Sets an `EndpointOption`. -ENOPROTOOPT for one that TCP does not have. */
export function tcpSetOption(t: Tcb, option: u32, value: u32): i32 {
  const slot = slotSize(PoolId.Standard);
  switch (option) {
    case EndpointOption.NoDelay:
      if (value) t.raise(TcbFlag.NoDelay);
      else t.clear(TcbFlag.NoDelay);
      markDirty(t);
      return 0;
    case EndpointOption.KeepAlive:
      if (value) tcpKeepAlive(t, t.keepaliveIdle, t.keepaliveInterval, t.keepaliveCount);
      else t.clear(TcbFlag.KeepAlive);
      if (!value) t.keepaliveAt = NEVER;
      return 0;
    case EndpointOption.ReuseAddress:
      // Always so: see `bind`.
      return 0;
    case EndpointOption.ReceiveBuffer:
      t.receiveLimit = <u16>min<u32>(max<u32>((value + slot - 1) / slot, 2), slots() >> 2);
      return 0;
    case EndpointOption.SendBuffer:
      t.sendLimit = min<u32>(max<u32>(value, 2 * slot), (slots() >> 2) * slot);
      return 0;
    default:
      return -Errno.ENOPROTOOPT;
  }
}

/** The value of an `EndpointOption`. -ENOPROTOOPT for one that TCP does not have. */
export function tcpGetOption(t: Tcb, option: u32): i32 {
  switch (option) {
    case EndpointOption.NoDelay:
      return t.has(TcbFlag.NoDelay);
    case EndpointOption.KeepAlive:
      return t.has(TcbFlag.KeepAlive);
    case EndpointOption.ReuseAddress:
      return 1;
    case EndpointOption.Error:
      return tcpError(t);
    case EndpointOption.ReceiveBuffer:
      return t.receiveLimit * slotSize(PoolId.Standard);
    case EndpointOption.SendBuffer:
      return t.sendLimit;
    default:
      return -Errno.ENOPROTOOPT;
  }
}


@inline function slots(): u32 {
  return min<u32>(poolOf(PoolId.Standard).slots, 0x3ffff);
}

/** Probes the peer after `idle` seconds of silence, `count` times, `interval` seconds apart. */
export function tcpKeepAlive(t: Tcb, idle: u32, interval: u32, count: u32): void {
  t.raise(TcbFlag.KeepAlive);
  t.keepaliveIdle = max<u32>(idle, 1);
  t.keepaliveInterval = max<u32>(interval, 1);
  t.keepaliveCount = <u8>min<u32>(max<u32>(count, 1), 255);
  if (t.state < State.Established || t.state == State.TimeWait) return;
  t.keepaliveAt = stepTime() + <u64>t.keepaliveIdle * SECOND;
  schedule(t);
}

/** Gives up after `seconds` without progress (RFC 9293, 3.9.1.1: USER TIMEOUT); 0 restores 120. */
export function tcpUserTimeout(t: Tcb, seconds: u32): void {
  t.userTimeout = seconds ? seconds : 120;
}

/** Chooses the congestion control; before the connection is opened. */
export function tcpCongestion(t: Tcb, id: CongestionId): void {
  t.congestion = <u8>id;
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
