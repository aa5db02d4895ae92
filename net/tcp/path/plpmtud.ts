import { MILLISECOND, SECOND } from "../../../kernel/timer";
import { ipReached } from "../../ip/reached";
import { wayFrom } from "../../ip/route";
import { mssOfMtu, segmentOverhead, setSegmentSize } from "../connection";
import { delivery } from "../recovery/delivery";
import { markDirty } from "../dirty";
import { Path, pathForget, pathLearn, pathTo } from "./pathcache";
import { markAllLost } from "../recovery/scoreboard";
import { seqGreater, seqGreaterEqual, seqLessEqual } from "../seq";
import { tcpStats } from "../stats";
import { Tcb, TcbFlag } from "../tcb";

/**
 * The size of segments (RFC 4821, with the states of RFC 8899, 5.2). A connection begins with what
 * the link and the peer allow, so most never come here. Sizes are of payload and options together.
 *
 *     SEARCH COMPLETE ──raise timer──► SEARCHING ──probe arrives──► larger; or is lost alone: bound
 *         ▲     └──── black hole, "too big" ────► BASE ──arrives──► SEARCHING
 *         └── no size left to try ──────────────┘   └── black hole ──► ERROR, the least size
 *
 * A router that says "too big" is believed at once about sizes that have never arrived; of sizes
 * that have, only when the segment times out (RFC 5927, 7.2). A router that says nothing is found
 * out by time-outs of large segments. Then larger sizes are probed with the stream's own bytes: a
 * probe that is lost alone is sent again as smaller segments and is no sign of congestion. All that
 * outlives a flight stands in the cache of paths.
 */

/** Bits of `Work.path`. */
export const enum PathBit {
  /** A probe is in flight, up to `pathEnd`, of `pathProbe` bytes. */
  Probe = 1,
  /** A segment of the size in use is in flight, up to `pathEnd`: the first of that size. */
  Proving = 2,
  /** A router claims that the segment at `pathClaimed` was larger than `pathClaim` bytes. */
  Claim = 4,
  /** No size: the first hop is in doubt, and what is acknowledged next shows that it is there (errors.ts). */
  Doubted = 8,
}

/** BASE_PLPMTU (RFC 8899, 5.1.2), and what PMTU discovery must leave (RFC 1191, 3; RFC 8200, 5). */
const MTU_BASE_V4: u32 = 1200;
const MTU_BASE_V6: u32 = 1280;
const MTU_MIN_V4: u32 = 552;
const MTU_MIN_V6: u32 = 1280;
/** Time-outs in a row of a large segment that make a black hole (RFC 4821, 7.7); for the base, twice. */
const TIMEOUTS: u8 = 3;
/** PMTU_RAISE_TIMER (RFC 8899, 5.1.1), ns. */
const RAISE: u64 = 600 * SECOND;
/** The search ends when the bounds are so close, bytes. */
const RESOLUTION: u32 = 8;
/** Segments that must follow a probe, so that its loss shows without a time-out (RFC 4821, 7.4). */
const FOLLOWERS: u32 = 4;
/** Least time between two probes, ns. */
const GAP: u64 = 2 * MILLISECOND;


@inline function baseOf(t: Tcb): u32 {
  const v4 = t.remote.isV4;
  return mssOfMtu(v4 ? MTU_BASE_V4 : MTU_BASE_V6, v4);
}


@inline function leastOf(t: Tcb): u32 {
  const v4 = t.remote.isV4;
  return mssOfMtu(v4 ? MTU_MIN_V4 : MTU_MIN_V6, v4);
}

/** What the link and the peer allow. */
@inline function mostOf(t: Tcb): u32 {
  return min<u32>(t.peerMss, t.rcvMss);
}

/** The size in use. */
@inline function sizeOf(t: Tcb): u32 {
  return <u32>t.sndMss + segmentOverhead(t);
}

/** By which way it goes there. */
@inline function wayOfTcb(t: Tcb): u32 {
  return wayFrom(t.local, t.settings.mark, t.remote);
}

/** The connection begins, or has been at rest: goes by what is known of the path. */
export function pathBegin(t: Tcb, now: u64): void {
  const path = pathTo(t.remote, wayOfTcb(t), now);
  if (path !== null && <u32>path.low < sizeOf(t)) {
    setSegmentSize(t, path.low);
    t.clear(TcbFlag.SizeProven);
  }
  if (sizeOf(t) >= mostOf(t)) return;
  t.work.pathSearchAt = path === null ? now + RAISE : path.searchAt;
}

/** Uses segments of `size` from here on; all that is in flight goes again. */
function shrink(t: Tcb, size: u32): void {
  setSegmentSize(t, size);
  t.clear(TcbFlag.SizeProven | TcbFlag.RttTiming);
  t.work.path = 0;
  tcpStats.pathShrinks++;
  markAllLost(t);
  markDirty(t);
}

/** Notes that segments larger than `size` do not arrive; `high` is known not to. */
function bound(t: Tcb, size: u32, high: u32, searchAt: u64, now: u64): Path {
  const path = pathLearn(t.remote, wayOfTcb(t), now);
  path.low = <u16>size;
  path.high = <u16>high;
  path.searchAt = searchAt;
  t.work.pathSearchAt = searchAt;
  return path;
}

// ---- What routers say ----------------------------------------------------------------------

/** A router says that our segment at `seq`, which is in flight, was too big for `mtu`. */
export function pathTooBig(t: Tcb, seq: u32, mtu: u32, now: u64): void {
  const work = t.work;
  const size = max<u32>(mssOfMtu(mtu, t.remote.isV4), leastOf(t));
  const probing = work.path & PathBit.Probe;
  if (probing && size >= sizeOf(t) && size < <u32>work.pathProbe) {
    // Of the probe: it need not be tried again. Its loss will show.
    const path = pathLearn(t.remote, wayOfTcb(t), now);
    path.high = <u16>(size + 1);
    return;
  }
  if (size >= sizeOf(t)) {
    tcpStats.icmpIgnored++;
    return;
  }
  if (t.has(TcbFlag.SizeProven)) {
    work.path |= <u8>PathBit.Claim;
    work.pathClaim = <u16>size;
    work.pathClaimed = seq;
    return;
  }
  believe(t, size, now);
}

/** RFC 1191, 6.3: smaller segments for ten minutes. */
function believe(t: Tcb, size: u32, now: u64): void {
  bound(t, size, size + 1, now + RAISE, now);
  shrink(t, size);
}

// ---- What time-outs say --------------------------------------------------------------------

/** The retransmission timer has expired `backoff` times in a row. */
export function pathTimedOut(t: Tcb, now: u64): void {
  const work = t.work;
  work.path &= ~(<u8>PathBit.Probe);
  if (work.path & PathBit.Claim && seqLessEqual(t.sndUna, work.pathClaimed)) {
    believe(t, work.pathClaim, now);
    return;
  }
  const size = sizeOf(t);
  const large = size > baseOf(t);
  const patience: u8 = large ? TIMEOUTS : 2 * TIMEOUTS;
  if (work.backoff < patience) return;
  const next = large ? baseOf(t) : leastOf(t);
  // Only what is in flight and large can be what vanishes.
  if (size <= next || t.sndMax - t.sndUna < <u32>t.sndMss) return;
  tcpStats.blackHoles++;
  bound(t, next, size, now + GAP, now);
  shrink(t, next);
}

// ---- What acknowledgments say --------------------------------------------------------------

/** A segment of the full size goes, up to `end`, and none of that size is known to have arrived. */
export function pathProving(t: Tcb, end: u32): void {
  const work = t.work;
  if (work.path & (PathBit.Proving | PathBit.Probe)) return;
  work.path |= <u8>PathBit.Proving;
  work.pathEnd = end;
}

/** SND.UNA has moved on, and `Work.path` is not 0. */
export function pathAcknowledged(t: Tcb, now: u64): void {
  const work = t.work;
  if (work.path & PathBit.Doubted) {
    work.path &= ~(<u8>PathBit.Doubted);
    ipReached(t.local, t.settings.mark, t.remote);
  }
  if (work.path & PathBit.Claim && seqGreater(t.sndUna, work.pathClaimed)) {
    // It has arrived after all.
    work.path &= ~(<u8>PathBit.Claim);
    tcpStats.icmpIgnored++;
  }
  if (
    !(work.path & (PathBit.Proving | PathBit.Probe)) ||
    !seqGreaterEqual(t.sndUna, work.pathEnd)
  ) {
    return;
  }
  const probed = work.path & PathBit.Probe;
  work.path &= ~(<u8>(PathBit.Proving | PathBit.Probe));
  t.raise(TcbFlag.SizeProven);
  if (!probed) return;
  const size: u32 = work.pathProbe;
  tcpStats.pathRaises++;
  setSegmentSize(t, size);
  const path = pathLearn(t.remote, wayOfTcb(t), now);
  path.low = <u16>size;
  searchOn(t, path, 1, now);
}

/** A probe of the path has shown what it can: the next one goes `trips` round trips later at the earliest. */
function searchOn(t: Tcb, path: Path, trips: u32, now: u64): void {
  const most = mostOf(t);
  if (<u32>path.low >= most) {
    pathForget(path);
    t.work.pathSearchAt = 0;
    return;
  }
  const complete = <u32>path.high <= <u32>path.low + RESOLUTION;
  const pause = min<u64>(<u64>trips * (t.srtt >> 3) * 1000, RAISE);
  path.searchAt = now + (complete ? RAISE : max<u64>(pause, GAP));
  t.work.pathSearchAt = path.searchAt;
}

// ---- Probes --------------------------------------------------------------------------------

/**
 * The payload of a probe to send now, when `unsent` bytes wait and `open` may go; 0 for none.
 * `pathSearchAt` has come.
 */
export function pathProbeSize(t: Tcb, unsent: u32, open: u32, now: u64): u32 {
  const work = t.work;
  if (work.path || !t.has(TcbFlag.SizeProven) || !t.has(TcbFlag.Sack)) return 0;
  if (t.has(TcbFlag.Recovery | TcbFlag.SackDue)) return 0;
  const most = mostOf(t);
  const low = sizeOf(t);
  const path = pathLearn(t.remote, wayOfTcb(t), now);
  if (!path.low) {
    path.low = <u16>low;
    path.high = <u16>(most + 1);
  }
  if (path.searchAt > now) {
    // Another connection searches.
    work.pathSearchAt = path.searchAt;
    return 0;
  }
  // The raise timer: what was too large may not be so any more.
  if (<u32>path.high <= low + RESOLUTION) path.high = <u16>(most + 1);
  const high = min<u32>(path.high, most + 1);
  const size = high > most ? most : (low + high) >> 1;
  if (size <= low) {
    work.pathSearchAt = 0;
    return 0;
  }
  const payload = size - segmentOverhead(t);
  const enough = payload + FOLLOWERS * t.sndMss;
  return unsent >= enough && open >= enough ? payload : 0;
}

/** The probe has gone, `payload` bytes up to `end`. */
export function pathProbed(t: Tcb, payload: u32, end: u32): void {
  const work = t.work;
  work.path |= <u8>PathBit.Probe;
  work.pathProbe = <u16>(payload + segmentOverhead(t));
  work.pathEnd = end;
  tcpStats.pathProbes++;
}

/**
 * Bytes newly found lost by which congestion control is to go: not a probe that is lost alone. Lost
 * among others, it says nothing of its size (RFC 4821, 7.6).
 */
export function congestionLosses(t: Tcb, now: u64): u32 {
  const lost = delivery.newlyLost;
  const work = t.work;
  if (!delivery.probeLost || !(work.path & PathBit.Probe)) return lost;
  const alone = lost == delivery.probeLost;
  work.path &= ~(<u8>PathBit.Probe);
  const path = pathLearn(t.remote, wayOfTcb(t), now);
  if (alone) path.high = min<u16>(path.high, work.pathProbe);
  // A loss that slows nobody down must be rarer than those that do: 4821, 7.6.2.
  searchOn(t, path, alone ? t.cwnd / t.sndMss : 1, now);
  return alone ? 0 : lost;
}
