import { TcpOption } from "../../wire/tcp";
import { accurateRoom } from "../ecn/accecn";
import { Ecn } from "../ecn/ecn";
import { TIMESTAMPS_LENGTH } from "../options";
import { sendAck } from "../output";
import { nextRun, runEnd, runStart } from "../queues/reassembly";
import { seqGreater, seqGreaterEqual, seqLess, seqLessEqual } from "../seq";
import { tcpStats } from "../stats";
import { Tcb, TcbFlag, Work } from "../tcb";

/**
 * The SACK option that we send (RFC 2018, 4; RFC 2883, 4): first what came twice, then the run that
 * holds the newest segment, then the runs reported most recently, then any others, as many as fit.
 * `Work.sackRecent` remembers the newest runs by a sequence number in each.
 */

/** Most bytes of options in a header (RFC 9293, 3.1). */
const OPTIONS_MAX: u32 = 40;
/** NOP, NOP, kind and length; a block (RFC 2018, 3). */
const SACK_HEAD: u32 = 4;
const SACK_BLOCK: u32 = 8;
/** `Work.sackRecent` has room for so many. */
const RECENT: u32 = 4;

/** A segment was kept out of order, in a run from `start` up to `end`. */
export function sackNewest(t: Tcb, seq: u32, start: u32, end: u32): void {
  if (!t.has(TcbFlag.Sack)) return;
  t.raise(TcbFlag.SackDue);
  // To the front, and what else is known of this run goes.
  const recent = t.work.sackRecent;
  let carried = seq;
  for (let i: u32 = 0; i < RECENT; i++) {
    const at = recent + ((<usize>i) << 2);
    const here = load<u32>(at);
    store<u32>(at, carried);
    if (seqGreaterEqual(here, start) && seqLess(here, end)) return;
    carried = here;
  }
}

/** Bytes from `start` up to `end` came once more (RFC 2883, 4: one report for each). */
export function sackDuplicate(t: Tcb, start: u32, end: u32, now: u64): void {
  if (!t.has(TcbFlag.Sack) || start == end) return;
  const work = t.work;
  if (work.dsackStart != work.dsackEnd) {
    if (work.dsackEnd == start) {
      work.dsackEnd = end;
      return;
    }
    sendAck(t, now);
  }
  work.dsackStart = start;
  work.dsackEnd = end;
  t.raise(TcbFlag.SackDue);
}

/** A segment reached over bytes that were known already: told if nothing else is to be. */
export function sackOverlap(t: Tcb, start: u32, end: u32): void {
  const work = t.work;
  if (!t.has(TcbFlag.Sack) || work.dsackStart != work.dsackEnd) return;
  work.dsackStart = start;
  work.dsackEnd = end;
  t.raise(TcbFlag.SackDue);
}

/** Whether there is a duplicate to report. */
@inline export function duplicateDue(t: Tcb): bool {
  return t.has(TcbFlag.SackDue) && t.work.dsackStart != t.work.dsackEnd;
}

/** Blocks that the next segment reports. */
@inline function blocks(t: Tcb, work: Work): u32 {
  const used: u32 = t.has(TcbFlag.Timestamps) ? TIMESTAMPS_LENGTH : 0;
  const most = (OPTIONS_MAX - used - SACK_HEAD) / SACK_BLOCK;
  return min<u32>(work.outOfOrderRuns + u32(work.dsackStart != work.dsackEnd), most);
}

/** Payload bytes of a full-size segment as things stand: options that are due leave less room. */
@inline export function payloadSize(t: Tcb): u32 {
  const mss: u32 = t.sndMss;
  if (!t.has(TcbFlag.SackDue)) return t.ecn & Ecn.Accurate ? mss - accurateRoom(t) : mss;
  const taken = SACK_HEAD + blocks(t, t.work) * SACK_BLOCK;
  return mss > 2 * taken ? mss - taken : mss;
}

/**
 * Writes the option behind what stands at `at`, and returns how many bytes it takes. `payload`
 * bytes go with it: where a segment is too small for both, the report waits.
 */
export function putSack(t: Tcb, at: usize, payload: u32): u32 {
  const work = t.work;
  const count = blocks(t, work);
  const length = SACK_HEAD + count * SACK_BLOCK;
  if (!count || (payload && <u32>t.sndMss <= 2 * length)) {
    if (!count) t.clear(TcbFlag.SackDue);
    return 0;
  }
  store<u32>(at, 0x0101 | (TcpOption.Sack << 16) | ((length - 2) << 24));
  const end = at + length;
  let to = at + SACK_HEAD;
  if (work.dsackStart != work.dsackEnd) {
    tcpStats.dsacksOut++;
    to = block(to, work.dsackStart, work.dsackEnd);
    // RFC 2883, 4: the run that holds it comes next.
    const holder = runAround(t, work.dsackStart);
    if (holder && to < end) to = block(to, runStart(holder), runEnd(holder));
    work.dsackStart = work.dsackEnd;
  }
  for (let i: usize = 0; i < RECENT && to < end; i++) {
    to = blockOnce(to, at + SACK_HEAD, runAround(t, load<u32>(work.sackRecent + (i << 2))));
  }
  for (let run = t.outOfOrder; run && to < end; run = nextRun(run)) {
    to = blockOnce(to, at + SACK_HEAD, run);
  }
  if (!t.outOfOrder) t.clear(TcbFlag.SackDue);
  return length;
}


@inline function block(to: usize, start: u32, end: u32): usize {
  store<u32>(to, bswap<u32>(start));
  store<u32>(to, bswap<u32>(end), 4);
  return to + SACK_BLOCK;
}

/** Adds a run, if it is one, unless one of the blocks from `from` on is the same. */
function blockOnce(to: usize, from: usize, run: usize): usize {
  if (!run) return to;
  const start = bswap<u32>(runStart(run));
  const end = bswap<u32>(runEnd(run));
  for (let at = from; at < to; at += SACK_BLOCK) {
    if (load<u32>(at) == start && load<u32>(at, 4) == end) return to;
  }
  return block(to, runStart(run), runEnd(run));
}

/** The run that holds `seq`, or 0. At most as many steps as there may be runs: 32. */
function runAround(t: Tcb, seq: u32): usize {
  for (let run = t.outOfOrder; run; run = nextRun(run)) {
    if (seqLess(seq, runStart(run))) return 0;
    if (seqGreater(runEnd(run), seq)) return run;
  }
  return 0;
}
