import { now as stepTime } from "../../kernel/clock";
import { config } from "../../kernel/config";
import { NEVER, SECOND } from "../../kernel/timer";
import { slotSize, PoolId } from "../../kernel/packet";
import { EndpointEvent, notify } from "../endpoint";
import { ipMtu } from "../ip/route";
import { firstSlots } from "./queues/budget";
import { congestionStart, CWND_MAX, initialWindow } from "./congestion/congestion";
import { connectionInsert, connectionRemove } from "./demux";
import { markDirty } from "./dirty";
import { ecnInit, ecnMode, ecnSetMode } from "./ecn/ecn";
import { fastOpenEnded } from "./opening/fastopen";
import { pathBegin } from "./path/plpmtud";
import { unbind } from "./ports";
import { mssDefault, TIMESTAMPS_LENGTH } from "./options";
import { reassemblyClear } from "./queues/reassembly";
import { receiveClear } from "./queues/receivequeue";
import { rttInit } from "./recovery/rtt";
import { scoreboardClear } from "./recovery/scoreboard";
import { sendClear } from "./queues/sendqueue";
import { tcpStats } from "./stats";
import { setState, State, Tcb, TcbFlag, tcbFree, Tuple } from "./tcb";
import { timerCallback } from "./timers";
import { workRelease } from "./work";

/**
 * How a connection begins and ends, whichever side began it and for whatever reason it ends.
 */

/** Bytes of IPv4 and TCP headers without options; of IPv6 (RFC 6691, 2). */
const HEADERS_V4: u32 = 40;
const HEADERS_V6: u32 = 60;
/** Smallest MSS that we believe: an IPv4 link carries 68 bytes (RFC 791, 3.2). */
const MSS_MIN: u32 = 28;

/** The MSS that a link of `mtu` bytes allows (RFC 6691, 2). */
@inline export function mssOfMtu(mtu: u32, v4: bool): u32 {
  const headers = v4 ? HEADERS_V4 : HEADERS_V6;
  return mtu > headers + MSS_MIN ? min<u32>(mtu - headers, 0xffff) : MSS_MIN;
}

/** The MSS to offer a peer: what the link carries, and no more than `most` if that is not 0. */
export function advertisedMss(tuple: Tuple, mark: u32, most: u32): u32 {
  const remote = tuple.remote;
  const mss = mssOfMtu(ipMtu(tuple.local, mark, remote), remote.isV4);
  return most ? min<u32>(mss, most) : mss;
}

/** The shift by which a window of `bytes` fits its field (RFC 7323, 2.3). */
@inline export function scaleFor(bytes: u32): u32 {
  return bytes <= 0xffff ? 0 : 16 - <u32>clz<u32>(bytes);
}

/** Gives a fresh block its defaults, which the program may change before it connects. */
export function connectionDefaults(t: Tcb): void {
  t.timer.initOwn(timerCallback);
  t.receiveLimit = <u16>firstSlots();
  t.sendLimit = firstSlots() * slotSize(PoolId.Standard);
  t.congestion = <u8>config.congestion;
  ecnInit(t);
}

/** With the tuple and its hash set, and a working part: enters the table and sets what both ways of opening have in common. */
export function connectionBegin(t: Tcb, iss: u32, tsOffset: u32, now: u64): void {
  connectionInsert(t);
  t.raise(TcbFlag.Hashed);
  t.work.iss = iss;
  t.sndUna = iss;
  t.sndNxt = iss;
  t.sndMax = iss;
  t.sndEnd = iss + 1;
  t.work.recover = iss;
  t.work.ecnRecover = iss;
  t.tsOffset = tsOffset;
  t.rcvMss = <u16>advertisedMss(t, t.settings.mark, t.settings.maxSegment);
  t.receivedAt = now;
  t.work.progressAt = now;
  t.work.sentAt = now;
  rttInit(t);
}

/** The peer's options are known: sets the segment size and the initial window. */
export function connectionSized(t: Tcb, peerMss: u32): void {
  const offered = peerMss ? min<u32>(peerMss, 0xffff) : mssDefault(t.remote);
  t.peerMss = <u16>max<u32>(offered, MSS_MIN);
  setSegmentSize(t, t.rcvMss);
  pathBegin(t, stepTime());
  t.cwnd = t.has(TcbFlag.SynRetransmitted) ? <u32>t.sndMss : initialWindow(t.sndMss);
  t.ssthresh = CWND_MAX;
  congestionStart(t);
}

/** Eff.snd.MSS (RFC 9293, 3.7.1) on a path that carries segments of `pathMss`. */
export function setSegmentSize(t: Tcb, pathMss: u32): void {
  const mss = min<u32>(t.peerMss, pathMss);
  const taken = segmentOverhead(t);
  t.sndMss = <u16>max<u32>(mss - taken, MSS_MIN - taken);
}

/** Bytes of options that every segment has: the MSS counts them, `sndMss` does not (RFC 6691, 2). */
@inline export function segmentOverhead(t: Tcb): u32 {
  return t.has(TcbFlag.Timestamps) ? TIMESTAMPS_LENGTH : 0;
}

/** Both sides agree: ESTABLISHED. */
export function connectionEstablished(t: Tcb, now: u64): void {
  setState(t, State.Established);
  t.clear(TcbFlag.Opening);
  t.work.progressAt = now;
  if (t.has(TcbFlag.KeepAlive)) t.keepaliveAt = now + <u64>t.settings.keepaliveIdle * SECOND;
  markDirty(t);
}

/** Turns every timer off. */
function stopTimers(t: Tcb): void {
  t.timer.cancel();
  t.keepaliveAt = NEVER;
  if (!t.hasWork) return;
  t.work.rexmitAt = NEVER;
  t.work.delackAt = NEVER;
  t.work.lingerAt = NEVER;
  t.work.restAt = NEVER;
  t.work.corkAt = NEVER;
}

/** Leaves the tables: segments for its tuple no longer come here. */
function leaveTables(t: Tcb): void {
  if (t.has(TcbFlag.Hashed)) connectionRemove(t);
  t.clear(TcbFlag.Hashed);
  // The port that a program has bound is its own for as long as it has the socket.
  if (t.has(TcbFlag.Bound) && t.has(TcbFlag.Detached)) {
    unbind(t);
    t.clear(TcbFlag.Bound);
  }
}

/**
 * Enters CLOSED after an orderly end, or TIME-WAIT with the stack's part handed to timewait.ts:
 * what was received can still be read. The block is freed if the program has let go of it.
 */
export function connectionFinish(t: Tcb, state: State): void {
  if (t.hasWork && t.work.fastOpen) fastOpenEnded(t, stepTime());
  setState(t, state);
  stopTimers(t);
  leaveTables(t);
  if (t.hasWork) {
    scoreboardClear(t);
    sendClear(t);
    reassemblyClear(t);
    workRelease(t);
  }
  t.clear(TcbFlag.AckNow | TcbFlag.AckDelayed | TcbFlag.FinPending | TcbFlag.RetransmitHead);
  if (t.has(TcbFlag.Detached)) {
    receiveClear(t);
    tcbFree(t);
  } else {
    notify(t.owner, EndpointEvent.Readable | EndpointEvent.Writable | EndpointEvent.Hangup);
  }
}

/** An attempt to connect has failed, and its endpoint is as it was before: it may try again. */
export function connectionRenew(t: Tcb): void {
  t.flags &=
    TcbFlag.NoDelay |
    TcbFlag.KeepAlive |
    TcbFlag.Cork |
    TcbFlag.Bound |
    TcbFlag.Dirty |
    TcbFlag.Starved;
  memory.fill(changetype<usize>(t.remote), 0, 16);
  t.remotePort = 0;
  if (!t.has(TcbFlag.Bound)) {
    memory.fill(changetype<usize>(t.local), 0, 16);
    t.localPort = 0;
  }
  t.sndScale = 0;
  t.rcvScale = 0;
  t.rcvNxt = 0;
  t.rcvAdv = 0;
  t.tsRecent = 0;
  t.softError = 0;
  // What was agreed on, or given up, is forgotten.
  ecnSetMode(t, ecnMode(t));
}

/**
 * Ends a connection for the reason `error` (an errno). What was received and acknowledged can still be
 * read; the error comes behind it.
 */
export function connectionFail(t: Tcb, error: u32): void {
  tcpStats.aborted++;
  t.error = <u8>error;
  notify(t.owner, EndpointEvent.Error);
  connectionFinish(t, State.Closed);
}
