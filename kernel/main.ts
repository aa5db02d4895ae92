import { memoryInit } from "./memory";
import { monotonic } from "./host";
import { timersAdvance, timersNextDeadline } from "./timer";
import { appStart, appReady } from "./app";

/** Brings the machine up. The host calls it once, before the first `step`. */
export function init(): void {
  memoryInit();
  appStart();
}

/** Does what is ready and returns when to be called again: `host.monotonic` ns, `NEVER` for not until an interrupt. */
export function step(): u64 {
  timersAdvance(monotonic());
  appReady();
  return timersNextDeadline();
}
