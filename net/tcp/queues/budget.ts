import { HEADROOM, Owner, Packet, Pool, PoolId, poolOf, Purpose } from "../../../kernel/packet";
import { FixedBuffer } from "./autotune";
import { Tcb } from "../tcb";

/**
 * Who may hold how much packet memory. Data waits in slots of the Standard pool, received or to be
 * sent, and a program that does not read, or whose peer does not, must not take the pool from all
 * others. The policy:
 *
 * - A connection has a limit of its own, small to begin with and growing with what its path and its
 *   program take (autotune.ts), and never more than a quarter of what is free now: the more is held,
 *   the less anyone may add (dynamic thresholds, Choudhury and Hahne 1998). One hog ends with a fifth
 *   of the pool, and there is always some left for the next.
 * - The receive limit shows in the window that we advertise. The window is charged by slots, not
 *   by bytes, so tiny segments cannot hold more than they are counted for.
 * - A window once advertised is not taken back (RFC 9293, 3.8.6), so when memory has become short
 *   since, data in the window may be dropped; the peer sends it again. What is out of order goes
 *   first, then what is in order; but a connection that holds next to nothing may always queue a
 *   segment, so who reads at once is never starved by who does not.
 * - Large slots, which only copies to be sent have, count for what they take, though they are a pool of
 *   their own; its last quarter is left to datagrams.
 * - Sending stops with EAGAIN at the same thresholds; room is announced as it comes back.
 */

/** Slots that a connection may hold when others hold all the rest. */
const SLOTS_MIN: u32 = 2;
/** What a connection begins with, in slots: 64 KiB of full segments. */
const LIMIT_FIRST: u32 = 45;
/** What a slot of the Jumbo pool counts for. */
const LARGE_SLOTS: u32 = 5;
/** What it may grow to, slots: 6 MiB, a window's worth of 500 Mbit/s at 100 ms. */
const LIMIT_MOST: u32 = 4309;


@inline function standard(): Pool {
  return poolOf(PoolId.Standard);
}

/** The limit in one direction that a connection begins with, slots. */
@inline export function firstSlots(): u32 {
  return LIMIT_FIRST;
}

/** The limit that it may grow to if packet memory allows, slots: what the window's scale is for. */
@inline export function mostSlots(): u32 {
  return max<u32>(min<u32>(standard().slots >> 2, LIMIT_MOST), LIMIT_FIRST);
}

/** Bytes of copied data that `t` may have waiting or in flight: two congestion windows (autotune.ts). */
@inline export function sendMost(t: Tcb): u32 {
  if (t.fixedBuffers & FixedBuffer.Send) return t.sendLimit;
  return max<u32>(t.sendLimit, min<u32>(t.cwnd << 1, mostSlots() * standard().slotBytes));
}

/** Slots that a connection whose own limit is `limit` may hold now. */
@inline function threshold(limit: u32): u32 {
  return min<u32>(limit, max<u32>(standard().owned(Owner.Free) >> 2, SLOTS_MIN));
}

/** Slots that `t` holds for the program to read or the gap to be filled. */
@inline export function receiveHeld(t: Tcb): u32 {
  return <u32>t.receiveSlots + t.outOfOrderSlots;
}

/** Bytes that `t` would let the peer send now, if nothing had been promised before. */
@inline export function receiveRoom(t: Tcb): u32 {
  const held = receiveHeld(t);
  const cap = threshold(t.receiveLimit);
  return cap > held ? (cap - held) * t.rcvMss : 0;
}

/**
 * Whether `t` had better copy small segments together than let each hold a slot: it holds half of what
 * it may, or could not take another slot. A program that keeps up never gets there, so its bytes are
 * copied by its own reading alone.
 */
export function slotsShort(t: Tcb): bool {
  return receiveHeld(t) << 1 >= threshold(t.receiveLimit) || !mayReassemble(t);
}

/** Whether `t` may queue one more slot of data in order. */
@inline export function mayQueue(t: Tcb): bool {
  const pool = standard();
  const purpose = receiveHeld(t) < SLOTS_MIN ? Purpose.Control : Purpose.Data;
  return pool.owned(Owner.Free) > pool.floor(purpose) && receiveHeld(t) < 2 * <u32>t.receiveLimit;
}

/** Whether `t` may keep one more slot of data out of order. */
@inline export function mayReassemble(t: Tcb): bool {
  const pool = standard();
  return pool.owned(Owner.Free) > pool.floor(Purpose.OutOfOrder) && receiveHeld(t) < t.receiveLimit;
}

/** Whether `t`, whose `sendMost` is `most`, may take one more slot for data to send. */
@inline export function maySend(t: Tcb, most: u32): bool {
  // What large slots and headroom leave unused is not to make the program's share of bytes smaller.
  return <u32>t.work.sendSlots < threshold(most / (standard().slotBytes - HEADROOM) + 1);
}

/** Whether data to send may have a slot of the Jumbo pool. */
@inline export function largeLeft(): bool {
  const pool = poolOf(PoolId.Jumbo);
  return pool.owned(Owner.Free) > pool.floor(Purpose.OutOfOrder);
}

/** What a slot counts for: so many of those of the Standard pool. */
@inline export function slotsOf(packet: Packet): u32 {
  return packet.pool == <u8>PoolId.Jumbo ? LARGE_SLOTS : 1;
}

/** Whether a connection that got no slot for sending would get one now. */
@inline export function memoryEased(): bool {
  const pool = standard();
  return pool.owned(Owner.Free) > pool.floor(Purpose.Data);
}
