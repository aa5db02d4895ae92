import { monotonic } from "./host";

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
