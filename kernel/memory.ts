import { BootInfo, bootInfo, HostKind } from "./host";
import { panic } from "./panic";

/**
 * Start-up memory. The kernel takes what it needs once, from the run of RAM that the host
 * reports, and never gives any back: there is no allocator after `init`.
 */

/** What the host said at start-up; valid after `memoryInit`. */
export const boot = changetype<BootInfo>(memory.data(offsetof<BootInfo>(), 8));

let cursor: usize = 0;
let limit: usize = 0;

/** Asks the host what the machine is. Must run before anything calls `reserve`. */
export function memoryInit(): void {
  bootInfo(changetype<usize>(boot));
  cursor = boot.ram;
  limit = boot.ram + boot.ramLength;
}

/** Bytes of RAM not reserved yet. */
export function unreserved(): u32 {
  return <u32>(limit - cursor);
}

/**
 * Takes `length` zeroed bytes for good, aligned to `align` (a power of two). The address is
 * physical, so a device may be given it. Panics when the machine has too little memory:
 * callers size what they take from `unreserved()`.
 */
export function reserve(length: u32, align: u32): usize {
  const start = reserveUncleared(length, align);
  // The RAM of a process begins as zeroes; a page that is not touched costs nothing.
  if (boot.kind != HostKind.Process) memory.fill(start, 0, length);
  return start;
}

/** `reserve` without the zeroes, for what is written before it is read: clearing costs boot time. */
export function reserveUncleared(length: u32, align: u32): usize {
  const start = (cursor + align - 1) & ~(<usize>align - 1);
  if (start < cursor || start > limit || limit - start < <usize>length) {
    panic("out of memory at start-up: give the machine more RAM (MEM=)");
  }
  cursor = start + length;
  return start;
}
