import { monotonic, wallClock } from "./host";

/**
 * The time of the current step. Reading the machine's clock costs a host call and would give two
 * answers within one step; this gives one, so what happens in a step happens at one moment.
 */

let current: u64 = 0;

/** When the current step began: `host.monotonic` ns. */
@inline export function now(): u64 {
  return current;
}

/** Reads the clock, once at the start of `init` and of each step. */
export function clockUpdate(): u64 {
  current = monotonic();
  return current;
}

/** Clock reads without a change after which the clock counts as standing still. */
const STILL: u32 = 4096;

/**
 * Busy-waits `ns`, for a device's reset and nothing else. Where time only passes between steps,
 * as in a simulation, it returns at once.
 */
export function delay(ns: u64): void {
  const start = monotonic();
  let last = start;
  for (let still: u32 = 0; still < STILL; still++) {
    const time = monotonic();
    if (time - start >= ns) return;
    if (time == last) continue;
    last = time;
    still = 0;
  }
}

/** How often the calendar is read, and how far it may be off before it is followed: it counts seconds. */
const CALENDAR_READ: u64 = 3_600_000_000_000;
const CALENDAR_OFF: u64 = 2_000_000_000;

let epoch: u64 = 0;
let epochRead: u64 = 0;

/**
 * Nanoseconds since 1970 as the machine's calendar has it, with the monotonic clock's resolution; since
 * the machine's start if it has none. Cheap: the calendar itself, which is slow, is read once an hour,
 * and the time jumps when it is found to be two seconds off.
 */
export function wallTime(): u64 {
  const time = monotonic();
  if (!epochRead || time - epochRead > CALENDAR_READ) {
    const wall = wallClock();
    const read = wall > time ? wall - time : 0;
    const apart = read > epoch ? read - epoch : epoch - read;
    if (apart > CALENDAR_OFF) epoch = read;
    epochRead = max<u64>(time, 1);
  }
  return epoch + time;
}
