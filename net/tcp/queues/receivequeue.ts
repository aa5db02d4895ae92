import { copyStats } from "../../../kernel/copies";
import { Owner, Packet } from "../../../kernel/packet";
import { slotsShort } from "./budget";
import { Tcb } from "../tcb";

/**
 * Bytes in order that the program has not taken: the packets in which they came, `data` at the
 * first unread byte of each. Nothing is copied, except that when slots are short what fits into the
 * free tail of the last one goes there and gives its own back: many small segments hold few slots.
 */

/** Queues a packet stripped to its payload, behind the rest. Takes ownership. */
@inline export function receiveAppend(t: Tcb, packet: Packet): void {
  t.receiveBytes += packet.length;
  const tail = t.receiveTail;
  if (tail !== null && packet.length <= tail.tailroom && slotsShort(t)) {
    join(tail, packet);
    return;
  }
  packet.next = null;
  if (tail === null) t.receiveHead = packet;
  else tail.next = packet;
  t.receiveTail = packet;
  t.receiveSlots++;
  packet.give(Owner.Socket);
}

/** Copies a packet's bytes behind those of `tail`, which has room, and frees its slot. */
export function join(tail: Packet, packet: Packet): void {
  copyStats.receivedCopied += packet.length;
  memory.copy(tail.end, packet.data, packet.length);
  tail.length += packet.length;
  packet.release();
}

/** Copies out up to `length` bytes from the front; takes them unless `peek`. Returns how many. */
export function receiveCopy(t: Tcb, into: usize, length: u32, peek: bool): u32 {
  let left = length;
  let packet = t.receiveHead;
  while (left && packet !== null) {
    const part = min<u32>(left, packet.length);
    memory.copy(into, packet.data, part);
    into += part;
    left -= part;
    packet = packet.next;
  }
  length -= left;
  copyStats.receivedCopied += length;
  if (!peek) receiveTake(t, length);
  return length;
}

/** The program takes `length` bytes, at most `receiveBytes`, off the front. */
@inline export function receiveTake(t: Tcb, length: u32): void {
  copyStats.received += length;
  receiveDrop(t, length);
}

/** Takes the first run off the queue, in its packet, or null; its slot is still charged to `t`. */
export function receiveTakeRun(t: Tcb): Packet | null {
  const packet = t.receiveHead;
  if (packet === null) return null;
  t.receiveHead = packet.next;
  if (t.receiveHead === null) t.receiveTail = null;
  packet.next = null;
  t.receiveBytes -= packet.length;
  copyStats.received += packet.length;
  return packet;
}

/** Lets go of `length` bytes, at most `receiveBytes`, at the front. */
export function receiveDrop(t: Tcb, length: u32): void {
  t.receiveBytes -= length;
  let packet = t.receiveHead;
  while (packet !== null) {
    if (length < packet.length) {
      packet.strip(length);
      break;
    }
    length -= packet.length;
    const next = packet.next;
    packet.release();
    t.receiveSlots--;
    packet = next;
  }
  t.receiveHead = packet;
  if (packet === null) t.receiveTail = null;
}

/** Lets go of everything. */
export function receiveClear(t: Tcb): void {
  receiveDrop(t, t.receiveBytes);
}
