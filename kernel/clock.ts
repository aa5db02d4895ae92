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
