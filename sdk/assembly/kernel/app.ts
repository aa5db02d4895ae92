import { clockUpdate } from "../../../kernel/clock";
import { memoryInit } from "../../../kernel/memory";
import { timersAdvance, timersNextDeadline } from "../../../kernel/timer";
import { socketsWait } from "../../../kernel/socket";

/** kernel/app.ts for a guest: the program registers itself and is run, for good. */

/** `start` runs once; `ready` in each turn in which a socket has news. */
export function registerApp(start: () => void, ready: () => void): void {
  memoryInit();
  clockUpdate();
  start();
  while (true) {
    socketsWait(timersNextDeadline());
    timersAdvance(clockUpdate());
    ready();
  }
}
