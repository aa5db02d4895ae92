import { delivery } from "./delivery";
import { FlightFlag } from "./flight";
import { options } from "../options";
import { sackRange } from "./scoreboard";
import { seqGreater, seqGreaterEqual, seqLess, seqLessEqual } from "../seq";
import { tcpStats } from "../stats";
import { Tcb } from "../tcb";

/**
 * What a SACK option tells us (RFC 2018, 5; RFC 2883, 5). Nothing in it is believed that cannot be:
 * a block lies between SND.UNA and what was sent. Blocks are taken in order of sequence numbers,
 * whatever their order in the option, so that reordering is seen as it was.
 */

@inline function left(index: u32): u32 {
  return load<u32>(options.sackEdges + ((<usize>index) << 3));
}


@inline function right(index: u32): u32 {
  return load<u32>(options.sackEdges + ((<usize>index) << 3), 4);
}

/** Takes the blocks of the segment at hand, whose ACK has moved SND.UNA already. */
export function sackReceived(t: Tcb, now: u64): void {
  const count = options.sackCount;
  let from: u32 = 0;
  if (isDuplicate(t, count)) {
    from = 1;
    tcpStats.dsacksIn++;
    t.work.duplicatesSeen++;
    delivery.duplicateStart = left(0);
    delivery.duplicateEnd = right(0);
    t.work.bits |= FlightFlag.DuplicateSeen;
  }
  sort(from, count);
  for (let i = from; i < count; i++) {
    const start = left(i);
    const end = right(i);
    if (seqLess(start, t.sndUna) || seqGreater(end, t.sndMax) || seqGreaterEqual(start, end)) {
      continue;
    }
    tcpStats.sackBlocksIn++;
    sackRange(t, start, end, now);
  }
}

/**
 * Whether the first block reports a duplicate (RFC 2883, 5): it lies before the ACK, at most a
 * window away, or within the second block.
 */
function isDuplicate(t: Tcb, count: u32): bool {
  const start = left(0);
  const end = right(0);
  if (seqGreaterEqual(start, end)) return false;
  if (seqLessEqual(end, t.sndUna)) return t.sndUna - start <= t.maxSndWnd;
  return count > 1 && seqGreaterEqual(start, left(1)) && seqLessEqual(end, right(1));
}

/**
 * Whether the ACK at hand, which has moved SND.UNA already, answers data out of order or come twice. It
 * echoes what came in order before (RFC 7323, 4.3, B and C), whose own ACK was lost, so its time says
 * when the other segment came and nothing of the round trip.
 */
export function answersAnother(t: Tcb): bool {
  const count = options.sackCount;
  return count != 0 && (isDuplicate(t, count) || seqGreater(right(0), t.work.fack));
}

/** Puts at most four blocks in order. */
function sort(from: u32, count: u32): void {
  for (let i = from + 1; i < count; i++) {
    for (let at = i; at > from && seqLess(left(at), left(at - 1)); at--) {
      const here = options.sackEdges + ((<usize>at) << 3);
      const block = load<u64>(here);
      store<u64>(here, load<u64>(here - 8));
      store<u64>(here - 8, block);
    }
  }
}
