import { now } from "../../kernel/clock";
import { reserveUncleared } from "../../kernel/memory";
import { NEVER } from "../../kernel/timer";
import { congestionStart } from "./congestion/congestion";
import { markDirty } from "./dirty";
import { pathBegin } from "./path/plpmtud";
import { tcpStats } from "./stats";
import { rtoMeasured } from "./recovery/rtt";
import { CONTROL_AT, State, Tcb, Work, WORK_BYTES } from "./tcb";

/**
 * Who has a working part (`Work`). Most connections of a large machine are idle, so there are
 * fewer working parts than connections. The rules:
 *
 * - Whatever begins something takes one first (`workEnsure`): opening, listening, a segment that
 *   comes, a program that sends. When none is left the call fails with -ENOBUFS, the segment is
 *   dropped as if the network had lost it, and `tcpStats.workRefused` counts it.
 * - A connection gives its own back when it is at rest (`settle` in timers.ts): after a pause of a
 *   time-out, when what it knew of the path is stale anyway. While more than `KEPT` are out, at the
 *   end of the output pass, unless its window has grown, so that those in use stay in the cache; while
 *   more than half are, in any case. So whoever has one is marked for output or has a timer armed.
 * - A new one knows nothing: what must outlive a rest is in the `Tcb`.
 */

/** One each for so many connections, and one for eight beyond. */
const EVERY: u32 = 1024;
const SHARE: u32 = 3;

/** Kept by connections at rest that have learnt nothing. */
const KEPT: u32 = 512;

let base: usize = 0;
let count: u32 = 0;
/** Those from here on have never been taken, so their pages have not been touched. */
let fresh: u32 = 0;
/** Address of the first one given back; the next one's stands in its first word. */
let free: usize = 0;

/** Reserves working parts for a machine of `connections` connections. Start-up only. */
export function workInit(connections: u32): void {
  assert(offsetof<Work>() <= CONTROL_AT);
  count = connections <= EVERY ? connections : EVERY + ((connections - EVERY) >> SHARE);
  base = reserveUncleared(count * WORK_BYTES, 64);
  fresh = 0;
  free = 0;
}

/** Working parts in all. */
@inline export function workCount(): u32 {
  return count;
}

/** Whether who is at rest gives its own back at once: all, or those that have `learnt` nothing. */
@inline export function workScarce(learnt: bool): bool {
  return tcpStats.working > (learnt ? count >> 1 : KEPT);
}

/** Whether there is one to take. */
@inline export function workLeft(): bool {
  return tcpStats.working < count;
}

/** Sees to it that `t` has a working part. False when there is none left. */
@inline export function workEnsure(t: Tcb): bool {
  return t.hasWork || take(t);
}

function take(t: Tcb): bool {
  let at = free;
  if (at) {
    free = load<usize>(at);
  } else if (fresh < count) {
    at = base + <usize>fresh * WORK_BYTES;
    fresh++;
  } else {
    tcpStats.workRefused++;
    return false;
  }
  tcpStats.working++;
  const keepaliveAt = t.keepaliveAt;
  // The congestion control clears its own words when it begins.
  memory.fill(at, 0, CONTROL_AT);
  t.setWork(at);
  const work = t.work;
  work.keepaliveAt = keepaliveAt;
  work.rexmitAt = NEVER;
  work.delackAt = NEVER;
  work.lingerAt = NEVER;
  work.restAt = NEVER;
  work.corkAt = NEVER;
  if (t.state < State.Established) return true;
  // As after every pause: all is acknowledged, nothing is in flight, and nothing was lost.
  work.sndWl2 = t.sndUna;
  work.lastAckSent = t.rcvNxt;
  work.rto = rtoMeasured(t);
  work.recover = t.sndUna - 1;
  work.ecnRecover = t.sndUna - 1;
  work.progressAt = now();
  pathBegin(t, now());
  congestionStart(t);
  markDirty(t);
  return true;
}

/** Takes the working part from `t`, if it has one; nothing in it matters any more. */
export function workRelease(t: Tcb): void {
  if (!t.hasWork) return;
  const at = changetype<usize>(t.work);
  t.setWork(0);
  store<usize>(at, free);
  free = at;
  tcpStats.working--;
}
