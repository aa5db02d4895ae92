import { clockTime, poll } from "./calls";

/** Waiting, and a clock to measure with; `Date` has the time of day. */

const MONOTONIC: u32 = 1;
const time = memory.data(8, 8);

/** Milliseconds since the machine started. Never goes back. */
export function monotonic(): f64 {
  clockTime(MONOTONIC, 1, time);
  return <f64>load<u64>(time) / 1e6;
}

/** Waits. Other guests and the network go on. */
export function sleep(ms: f64): void {
  if (ms > 0) poll(0, 0, <i64>(ms * 1e6));
}
