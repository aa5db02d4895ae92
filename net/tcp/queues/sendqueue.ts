import { copyStats } from "../../../kernel/copies";
import {
  allocate,
  FRAGMENTS,
  HEADROOM,
  Owner,
  Packet,
  PoolId,
  Purpose,
  slotSize,
} from "../../../kernel/packet";
import { reserveUncleared } from "../../../kernel/memory";
import { largeLeft, maySend, sendMost, slotsOf } from "./budget";
import { seqLessEqual } from "../seq";
import { Extent, Tcb } from "../tcb";

/**
 * What the program has given to send and the peer has not acknowledged: a list of extents, each a
 * run of bytes that stays where it is. A packet refers to at most `FRAGMENTS` of them, so bytes
 * are never copied again, however often they are sent.
 *
 *     sendHead                   sendCursor                sendTail
 *     ┌───────────┐   ┌──────────────────────┐   ┌──────────┬───────┐
 *     │ copied    │──►│ static               │──►│ copied   │ room  │
 *     └───────────┘   └──────────────────────┘   └──────────┴───────┘
 *        ▲ sndUna              ▲ sndNxt                     ▲ sndEnd
 *
 * A copied extent fills a slot and grows in its tail while there is room. It is done when its last
 * byte is acknowledged and no descriptor reads it: the queue holds one reference to its packet,
 * each segment in flight another, and the last to let go frees the slot. Static memory needs no
 * such care.
 *
 * What is copied and fits has headroom in its slot: a segment that is the first there goes from there, with
 * its headers before it (`sendInPlace`). Much at once is copied into large slots, so that a packet for a
 * device that cuts it carries more.
 */

/** Pieces of static memory of one connection, which could otherwise take all extents. */
const STATIC_EXTENTS: u32 = 1024;

let freeExtents: Extent | null = null;
let taken: u32 = 0;
/** Those from here up to the end have never been used, so their pages have not been touched. */
let freshExtent: usize = 0;
let extentsEnd: usize = 0;

/** Reserves `count` extents. Start-up only. */
export function sendQueueInit(count: u32): void {
  const length = count * offsetof<Extent>();
  freshExtent = reserveUncleared(length, 64);
  extentsEnd = freshExtent + length;
  freeExtents = null;
  taken = 0;
}

/** An extent, its fields as its last user left them, or null. */
@inline function takeExtent(): Extent | null {
  const extent = freeExtents;
  if (extent !== null) {
    freeExtents = extent.next;
    return extent;
  }
  if (freshExtent == extentsEnd) return null;
  const fresh = changetype<Extent>(freshExtent);
  freshExtent += offsetof<Extent>();
  return fresh;
}

/** Extents in the queues of all connections. */
@inline export function extentsTaken(): u32 {
  return taken;
}

/** Appends an empty extent for bytes at `address`, or null when there is none to be had. */
function extend(t: Tcb, address: usize, packet: Packet | null, room: u32): Extent | null {
  const extent = takeExtent();
  if (extent === null) return null;
  taken++;
  extent.next = null;
  extent.seq = t.sndEnd;
  extent.length = 0;
  extent.address = address;
  extent.packet = packet;
  extent.room = room;
  const tail = t.work.sendTail;
  if (tail === null) t.sendHead = extent;
  else tail.next = extent;
  t.work.sendTail = extent;
  return extent;
}

/** Accounts for `length` new bytes at the end of `extent`, the last one. */
@inline function grow(t: Tcb, extent: Extent, length: u32): void {
  extent.length += length;
  t.sndEnd += length;
  if (t.sendCursor === null) t.sendCursor = extent;
}

/** Bytes that may still be copied in. */
export function sendRoom(t: Tcb): u32 {
  return roomBelow(t, sendMost(t));
}

/** `sendRoom` of a connection whose `sendMost` is `limit`. */
@inline function roomBelow(t: Tcb, limit: u32): u32 {
  const room = t.work.sendBytes < limit ? limit - t.work.sendBytes : 0;
  const most = t.settings.notSentLowWater;
  if (!most || t.sendHead === null) return most ? min<u32>(room, most) : room;
  const unsent = t.sndEnd - t.sndMax;
  return unsent < most ? min<u32>(room, most - unsent) : 0;
}

/** Whether enough is free again to tell a program that was refused. */
@inline export function sendEased(t: Tcb): bool {
  const most = t.settings.notSentLowWater;
  if (most && t.sendHead !== null && t.sndEnd - t.sndMax > most >> 1) return false;
  return t.work.sendBytes <= sendMost(t) >> 1 && t.work.sendStatics <= STATIC_EXTENTS >> 1;
}

/** Bytes that are worth a large slot. */
const LARGE: u32 = 8192;

/** A slot to copy `length` bytes into, or their beginning. */
@inline function copySlot(length: u32): Packet | null {
  if (length >= LARGE && largeLeft()) return allocate(PoolId.Jumbo, Purpose.Data, 0);
  // What fits is likely to be a segment by itself.
  const headroom = length + HEADROOM <= slotSize(PoolId.Standard) ? HEADROOM : 0;
  return allocate(PoolId.Standard, Purpose.Data, headroom);
}

/**
 * `sendCopy` of a message into an empty queue, which always has room for the one slot that holds it: `first` bytes and
 * `rest` behind them. False, with nothing done, if it is another case.
 */
@inline function copyAlone(t: Tcb, from: usize, first: u32, behind: usize, rest: u32): bool {
  const work = t.work;
  const length = first + rest;
  if (work.sendTail !== null || length - 1 >= slotSize(PoolId.Standard) - HEADROOM) return false;
  if (length > t.sendLimit || t.settings.notSentLowWater) return false;
  const packet = allocate(PoolId.Standard, Purpose.Data, HEADROOM);
  if (packet === null) return false;
  const extent = takeExtent();
  if (extent === null) {
    packet.release();
    return false;
  }
  taken++;
  packet.give(Owner.Socket);
  const address = packet.data;
  const end = t.sndEnd;
  extent.next = null;
  extent.seq = end;
  extent.length = length;
  extent.address = address;
  extent.packet = packet;
  extent.room = packet.tailroom - length;
  work.sendHead = extent;
  work.sendTail = extent;
  work.sendCursor = extent;
  work.sendSlots = 1;
  work.sendBytes = length;
  t.sndEnd = end + length;
  memory.copy(address, from, first);
  if (rest) memory.copy(address + first, behind, rest);
  copyStats.sent += length;
  copyStats.sentCopied += length;
  return true;
}

/** Copies in two runs as one message. False, with nothing done, unless both fit an empty queue's first slot. */
export function sendCopyTwo(t: Tcb, from: usize, first: u32, behind: usize, rest: u32): bool {
  // Their sum is no other number than it seems.
  return (first | rest) < LARGE && copyAlone(t, from, first, behind, rest);
}

/** Copies in at most `length` bytes; returns how many found room. */
export function sendCopy(t: Tcb, from: usize, length: u32): u32 {
  if (copyAlone(t, from, length, 0, 0)) return length;
  const most = sendMost(t);
  length = min<u32>(length, roomBelow(t, most));
  let left = length;
  while (left) {
    let tail = t.work.sendTail;
    if (tail === null || !tail.room) {
      if (!maySend(t, most)) break;
      const packet = copySlot(left);
      if (packet === null) break;
      tail = extend(t, packet.data, packet, packet.tailroom);
      if (tail === null) {
        packet.release();
        break;
      }
      packet.give(Owner.Socket);
      t.work.sendSlots += <u16>slotsOf(packet);
    }
    const part = min<u32>(left, tail.room);
    memory.copy(tail.address + tail.length, from, part);
    tail.room -= part;
    grow(t, tail, part);
    from += part;
    left -= part;
  }
  length -= left;
  t.work.sendBytes += length;
  copyStats.sent += length;
  copyStats.sentCopied += length;
  return length;
}

/** Queues memory that never changes, as it is. False when there is no extent for it. */
export function sendStatic(t: Tcb, from: usize, length: u32): bool {
  let extent = t.work.sendTail;
  // Pieces that follow each other in memory are one.
  if (extent === null || extent.packet !== null || extent.address + extent.length != from) {
    if (t.work.sendStatics >= STATIC_EXTENTS) return false;
    extent = extend(t, from, null, 0);
    if (extent === null) return false;
    t.work.sendStatics++;
  }
  grow(t, extent, length);
  copyStats.sent += length;
  return true;
}

/**
 * Queues a packet's own bytes where they lie, and takes the packet. False, and nothing is taken, when
 * the connection holds as many slots as it may or there is no extent.
 */
export function sendPacket(t: Tcb, packet: Packet): bool {
  const most = sendMost(t);
  if (!maySend(t, most) || !roomBelow(t, most)) return false;
  const extent = extend(t, packet.data, packet, 0);
  if (extent === null) return false;
  packet.give(Owner.Socket);
  t.work.sendSlots += <u16>slotsOf(packet);
  t.work.sendBytes += packet.length;
  copyStats.sent += packet.length;
  grow(t, extent, packet.length);
  return true;
}

/**
 * The slot of `extent` as a packet of the `length` bytes from `seq` on, with `headers` bytes of room
 * before them; null unless they are a part of the stream that begins with the slot, and no descriptor has
 * it already, whose headers must stay as they are. The queue keeps its own reference.
 */
@inline export function sendInPlace(
  extent: Extent,
  seq: u32,
  length: u32,
  headers: u32,
): Packet | null {
  const packet = extent.packet;
  if (packet === null || packet.references != 1 || extent.seq != seq || extent.length < length) {
    return null;
  }
  if (extent.address - packet.slot < HEADROOM) return null;
  packet.retain();
  packet.data = extent.address - headers;
  packet.length = length;
  packet.flags = 0;
  packet.trafficClass = 0;
  return packet;
}

/**
 * Adds up to `length` bytes of the stream from `seq` on, which `extent` holds, to a packet.
 * Returns how many: fewer when they lie in more runs than a packet carries.
 */
export function sendGather(packet: Packet, extent: Extent | null, seq: u32, length: u32): u32 {
  let left = length;
  while (left && extent !== null && <u32>packet.fragmentCount < FRAGMENTS) {
    const skip = seq - extent.seq;
    const part = min<u32>(left, extent.length - skip);
    packet.addFragment(extent.address + skip, part, extent.packet);
    seq += part;
    left -= part;
    extent = extent.next;
  }
  return length - left;
}

/** Moves the cursor on to the extent that holds `sndNxt`. At most `FRAGMENTS` steps a packet. */
@inline export function sendAdvance(t: Tcb): void {
  let cursor = t.sendCursor;
  while (cursor !== null && seqLessEqual(cursor.seq + cursor.length, t.sndNxt)) {
    cursor = cursor.next;
  }
  t.sendCursor = cursor;
}

/** Lets go of everything before `sndUna`. */
export function sendAcknowledged(t: Tcb): void {
  let head = t.sendHead;
  while (head !== null && seqLessEqual(head.seq + head.length, t.sndUna)) {
    const next = head.next;
    if (t.sendCursor === head) t.sendCursor = next;
    drop(t, head);
    head = next;
  }
  t.sendHead = head;
  if (head === null) t.work.sendTail = null;
}


@inline function drop(t: Tcb, extent: Extent): void {
  const packet = extent.packet;
  if (packet !== null) {
    t.work.sendSlots -= <u16>slotsOf(packet);
    t.work.sendBytes -= extent.length;
    packet.release();
  } else {
    t.work.sendStatics--;
  }
  extent.next = freeExtents;
  freeExtents = extent;
  taken--;
}

/** Lets go of everything. */
export function sendClear(t: Tcb): void {
  let extent = t.sendHead;
  while (extent !== null) {
    const next = extent.next;
    drop(t, extent);
    extent = next;
  }
  t.sendHead = null;
  t.work.sendTail = null;
  t.sendCursor = null;
}
