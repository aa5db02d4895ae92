import { HEADROOM, Owner, Packet, PoolId, Purpose, allocate, poolFor } from "../../kernel/packet";
import { copyStats } from "../../kernel/copies";
import { virtualStats } from "./stats";

/** Room for more headers. A card fills a slot from its first byte on, so what came in may have none. */

/**
 * The packet, or another in its place that has at least `room` bytes before its first: the first `keep` bytes, at
 * most its own, move into a small slot, and the rest stay where they are. Owns it; null, counted, for want of memory.
 */
@inline export function withRoom(packet: Packet, room: u32, keep: u32): Packet | null {
  if (packet.data - packet.slot >= room) return packet;
  return packet.fragmentCount ? flat(packet) : parted(packet, keep);
}

/** A packet of the first `keep` bytes, copied, and the rest as a fragment. Owns `packet`. */
function parted(packet: Packet, keep: u32): Packet | null {
  const head = allocate(PoolId.Small, Purpose.Data, HEADROOM);
  if (head === null) {
    virtualStats.noBuffer++;
    packet.release();
    return null;
  }
  take(head, packet, keep);
  packet.give(Owner.NicTx);
  packet.release();
  return head;
}

/** Makes `head`, which is empty, send what `packet` has; both hold its bytes. */
export function take(head: Packet, packet: Packet, keep: u32): void {
  memory.copy(head.data, packet.data, keep);
  head.length = keep;
  if (packet.length > keep) head.addFragment(packet.data + keep, packet.length - keep, packet);
  head.flags = packet.flags;
  head.checksumStart = packet.checksumStart;
  head.checksumOffset = packet.checksumOffset;
  head.trafficClass = packet.trafficClass;
}

/** The packet as one run of bytes behind headroom: a copy. Owns it; null, counted, for want of memory. */
export function flat(packet: Packet): Packet | null {
  const copy = flatCopy(packet);
  packet.release();
  return copy;
}

/** A copy as one run of bytes. Null, counted, for want of memory. */
export function flatCopy(packet: Packet): Packet | null {
  const bytes = packet.totalLength;
  const copy = allocate(poolFor(bytes), Purpose.Data, HEADROOM);
  if (copy === null) {
    virtualStats.noBuffer++;
    return null;
  }
  copyStats.tunnelled += bytes;
  memory.copy(copy.data, packet.data, packet.length);
  copy.length = packet.length;
  for (let i: u32 = 0; i < packet.fragmentCount; i++) {
    const fragment = packet.fragment(i);
    memory.copy(copy.end, fragment.address, fragment.length);
    copy.length += fragment.length;
  }
  copy.flags = packet.flags;
  copy.checksumStart = packet.checksumStart;
  copy.checksumOffset = packet.checksumOffset;
  copy.trafficClass = packet.trafficClass;
  return copy;
}
