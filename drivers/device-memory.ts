import { reserve, unreserved } from "../kernel/memory";
import { Device } from "./device";

/**
 * Memory that drivers hold while they run: rings, tables, their own state. The kernel gives none
 * back (kernel/memory.ts), so what a driver held is kept here when it stops, and the next one that
 * wants as much gets it: a NIC that is loaded a thousand times costs as much as one loaded once.
 */

/** A piece of memory and who has it. */
@unmanaged
class Block {
  address: usize;
  bytes: u32;
  /** Index of the device that has it, plus one; 0 for nobody. */
  owner: u32;
}

/** `Block.owner` of what a device may write to for ever. */
const ABANDONED: u32 = u32.MAX_VALUE;

/** Pieces that all drivers together may hold. */
const BLOCKS_MAX: u32 = 512;

const blocks: usize = memory.data(512 * 12, 8);
let count: u32 = 0;


@inline function blockAt(index: u32): Block {
  return changetype<Block>(blocks + <usize>index * offsetof<Block>());
}

/**
 * `bytes` of zeroed memory at a physical address that is a multiple of `align` (a power of two), for
 * `device` until it stops or its start fails. 0 when the machine has no more: the driver says so and
 * does not start.
 */
export function deviceMemory(device: Device, bytes: u32, align: u32): usize {
  let best: Block | null = null;
  for (let i: u32 = 0; i < count; i++) {
    const block = blockAt(i);
    if (block.owner || block.bytes < bytes || block.address & (align - 1)) continue;
    if (best === null || block.bytes < best.bytes) best = block;
  }
  if (best !== null) memory.fill(best.address, 0, bytes);
  else {
    if (count == BLOCKS_MAX || unreserved() < <u64>bytes + align) return 0;
    best = blockAt(count++);
    best.address = reserve(bytes, align);
    best.bytes = bytes;
  }
  best.owner = <u32>device.index + 1;
  return best.address;
}

/** What `device` holds is lost for good: the device does not stop, and may still write to it. */
export function deviceMemoryAbandon(device: Device): void {
  const owner: u32 = <u32>device.index + 1;
  for (let i: u32 = 0; i < count; i++) {
    const block = blockAt(i);
    if (block.owner == owner) block.owner = ABANDONED;
  }
}

/** Keeps what `device` held for whoever comes next. Only once nothing reads or writes it any more. */
export function deviceMemoryRelease(device: Device): void {
  const owner: u32 = <u32>device.index + 1;
  for (let i: u32 = 0; i < count; i++) {
    const block = blockAt(i);
    if (block.owner == owner) block.owner = 0;
  }
}
