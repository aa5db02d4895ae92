/**
 * The program linked with the kernel. It registers itself when its module starts (its file is an
 * entry of the compilation beside kernel/main.ts), and reaches the network only through the
 * socket table.
 */

let startFn: u32 = 0;
let readyFn: u32 = 0;

/**
 * Registers the program: `start` runs once after the kernel is up; `ready` runs in each step in
 * which a socket has news, and takes them from its event queue (kernel/socket.ts).
 */
export function registerApp(start: () => void, ready: () => void): void {
  startFn = start.index;
  readyFn = ready.index;
}

export function appStart(): void {
  if (startFn) call_indirect<void>(startFn);
}

export function appReady(): void {
  if (readyFn) call_indirect<void>(readyFn);
}
