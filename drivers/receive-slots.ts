import { Owner, Packet, PoolId, Purpose, allocate, slotSize } from "../kernel/packet";

/**
 * The packets of a receive ring that has one for each descriptor: a table of pointers, 4 bytes each, in the order
 * of the descriptors. The device may fill a buffer to its last byte, so it gets a whole slot, without headroom.
 */

/** Gives each of `count` descriptors a packet whose slot has `least` bytes. All or, when packets are short, none. */
export function fillSlots(table: usize, count: u32, least: u32): bool {
  assert(slotSize(PoolId.Standard) >= least);
  for (let i: u32 = 0; i < count; i++) {
    const packet = allocate(PoolId.Standard, Purpose.Refill, 0);
    if (packet === null) {
      freeSlots(table, count);
      return false;
    }
    packet.give(Owner.NicRx);
    store<usize>(table + (i << 2), changetype<usize>(packet));
  }
  return true;
}

/** Takes back every packet that the device could have written to. Only once it can no longer. */
export function freeSlots(table: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    const packet = load<usize>(table + (i << 2));
    if (packet) changetype<Packet>(packet).release();
    store<usize>(table + (i << 2), 0);
  }
}
