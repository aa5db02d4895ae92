import { Owner, Packet } from "../../../kernel/packet";
import { tcpStats } from "../stats";
import { mayReassemble, slotsShort } from "./budget";
import { join, receiveAppend } from "./receivequeue";
import { sackDuplicate, sackNewest, sackOverlap } from "../recovery/sackreport";
import { seqGreater, seqGreaterEqual, seqLess, seqLessEqual } from "../seq";
import { Tcb } from "../tcb";

/**
 * Segments that came before their turn (RFC 9293, 3.10.7.4: SHLD-31), in the packets in which they
 * came. They are kept as runs without gaps, in order of sequence; only a loss begins a new run, so
 * there are few, and the usual arrival extends the last one without a search.
 *
 *     outOfOrder ──► run ───────────────► run ──► 0
 *                    │ packet → packet    │ packet
 *                    start         end    start  end
 *
 * A packet out of order needs no memory of its own to be kept: its TCP header has been read, so
 * the 20 bytes before its payload hold the record below. Trimming moves the payload's start
 * forward and the record with it.
 */
@unmanaged
class Run {
  /** Sequence number of the first byte, and one beyond the last. */
  start: u32;
  end: u32;
  /** Last packet of the run. */
  tail: Packet;
  /** First packet of the next run, or null. */
  next: Packet | null;
  /** Of any packet: sequence number of its own first byte. */
  seq: u32;
}

/** Most runs of a connection: bounds the search, and what a hostile peer can make of it. */
const RUNS_MAX: u32 = 32;

/** The record before a packet's payload; meaningful in full for the first packet of a run. */
@inline function runOf(packet: Packet): Run {
  return changetype<Run>(packet.data - offsetof<Run>());
}

/** Bounds of a run, given as its address in `Tcb.outOfOrder` or by `nextRun`; 0 is none. */
@inline export function runStart(run: usize): u32 {
  return runOf(changetype<Packet>(run)).start;
}


@inline export function runEnd(run: usize): u32 {
  return runOf(changetype<Packet>(run)).end;
}


@inline export function nextRun(run: usize): usize {
  return changetype<usize>(runOf(changetype<Packet>(run)).next);
}

/** The bytes before a payload must hold the record; `data` need not be aligned on x86-64. */
function begin(packet: Packet, seq: u32): Run {
  const run = runOf(packet);
  run.start = seq;
  run.end = seq + packet.length;
  run.tail = packet;
  run.next = null;
  run.seq = seq;
  packet.next = null;
  return run;
}

/**
 * Keeps a packet stripped to its payload, whose first byte is `seq`, beyond `rcvNxt` and within
 * the window. Takes ownership; drops it if its bytes are known or there is no room.
 */
export function reassemblyInsert(t: Tcb, packet: Packet, seq: u32, now: u64): void {
  const end = seq + packet.length;
  let previous: Packet | null = null;
  let at = changetype<Packet | null>(t.outOfOrder);
  const last = changetype<Packet | null>(t.work.outOfOrderTail);
  if (last !== null && seqLessEqual(runOf(last).start, seq)) {
    previous = last;
    at = null;
  } else {
    while (at !== null && seqLessEqual(runOf(at).start, seq)) {
      previous = at;
      at = runOf(at).next;
    }
  }
  // `previous` starts at or before the segment, `at` behind its start.
  if (previous !== null) {
    const run = runOf(previous);
    if (seqLessEqual(end, run.end)) {
      tcpStats.duplicates++;
      sackNewest(t, seq, run.start, run.end);
      sackDuplicate(t, seq, end, now);
      packet.release();
      return;
    }
    if (seqLessEqual(seq, run.end)) {
      const known = run.end - seq;
      if (known) sackDuplicate(t, seq, run.end, now);
      packet.strip(known);
      const tail = run.tail;
      if (packet.length <= tail.tailroom && slotsShort(t)) {
        join(tail, packet);
      } else {
        if (!admit(t, packet)) return;
        runOf(packet).seq = run.end;
        packet.next = null;
        tail.next = packet;
        run.tail = packet;
      }
      run.end = end;
      tcpStats.outOfOrder++;
      absorb(t, previous);
      sackNewest(t, seq, run.start, run.end);
      return;
    }
  }
  if (t.work.outOfOrderRuns == RUNS_MAX) {
    tcpStats.memoryDrops++;
    packet.release();
    return;
  }
  if (!admit(t, packet)) return;
  const run = begin(packet, seq);
  run.next = at;
  if (previous === null) t.outOfOrder = changetype<usize>(packet);
  else runOf(previous).next = packet;
  if (at === null) t.work.outOfOrderTail = changetype<usize>(packet);
  t.work.outOfOrderRuns++;
  tcpStats.outOfOrder++;
  absorb(t, packet);
  sackNewest(t, seq, seq, runOf(packet).end);
}

/** Charges a slot for a packet, or drops it. */
function admit(t: Tcb, packet: Packet): bool {
  if (!mayReassemble(t)) {
    tcpStats.memoryDrops++;
    packet.release();
    return false;
  }
  t.outOfOrderSlots++;
  packet.give(Owner.Socket);
  return true;
}

/** Joins the run that begins with `head` and those behind it that its end has reached. */
function absorb(t: Tcb, head: Packet): void {
  const run = runOf(head);
  for (let next = run.next; next !== null; next = run.next) {
    if (seqLess(run.end, runOf(next).start)) return;
    // Copied: trimming below moves or frees the record.
    const nextEnd = runOf(next).end;
    const nextTail = runOf(next).tail;
    const nextStart = runOf(next).start;
    if (seqLess(nextStart, run.end)) {
      sackOverlap(t, nextStart, seqLess(run.end, nextEnd) ? run.end : nextEnd);
    }
    run.next = runOf(next).next;
    t.work.outOfOrderRuns--;
    const rest = trim(t, next, run.end);
    if (rest !== null) {
      run.tail.next = rest;
      run.tail = nextTail;
      run.end = nextEnd;
    }
  }
  t.work.outOfOrderTail = changetype<usize>(head);
}

/** Drops what a chain of packets holds before `seq`; returns the first packet left, or null. */
function trim(t: Tcb, chain: Packet, seq: u32): Packet | null {
  let packet: Packet | null = chain;
  while (packet !== null) {
    const start = runOf(packet).seq;
    if (seqGreaterEqual(start, seq)) return packet;
    if (seqGreater(start + packet.length, seq)) {
      packet.strip(seq - start);
      runOf(packet).seq = seq;
      return packet;
    }
    const next = packet.next;
    t.outOfOrderSlots--;
    packet.release();
    packet = next;
  }
  return null;
}

/**
 * `rcvNxt` has moved: runs that it has reached go to the receive queue, and `rcvNxt` moves on over
 * them. Returns how many bytes that gave.
 */
export function reassemblyDeliver(t: Tcb): u32 {
  const from = t.rcvNxt;
  for (
    let head = changetype<Packet | null>(t.outOfOrder);
    head !== null;
    head = changetype<Packet | null>(t.outOfOrder)
  ) {
    if (seqGreater(runOf(head).start, t.rcvNxt)) break;
    const start = runOf(head).start;
    const end = runOf(head).end;
    if (seqLess(start, t.rcvNxt)) {
      sackOverlap(t, start, seqLess(t.rcvNxt, end) ? t.rcvNxt : end);
    }
    const next = runOf(head).next;
    t.outOfOrder = changetype<usize>(next);
    if (next === null) t.work.outOfOrderTail = 0;
    t.work.outOfOrderRuns--;
    let packet = trim(t, head, t.rcvNxt);
    if (packet !== null) t.rcvNxt = end;
    while (packet !== null) {
      const following = packet.next;
      t.outOfOrderSlots--;
      receiveAppend(t, packet);
      packet = following;
    }
  }
  return t.rcvNxt - from;
}

/** Lets go of everything. */
export function reassemblyClear(t: Tcb): void {
  let head = changetype<Packet | null>(t.outOfOrder);
  while (head !== null) {
    const next = runOf(head).next;
    let packet: Packet | null = head;
    while (packet !== null) {
      const following = packet.next;
      packet.release();
      packet = following;
    }
    head = next;
  }
  t.outOfOrder = 0;
  t.work.outOfOrderTail = 0;
  t.work.outOfOrderRuns = 0;
  t.outOfOrderSlots = 0;
}
