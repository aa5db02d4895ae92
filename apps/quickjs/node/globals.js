// What JavaScript outside a browser expects to find: console, timers, and the loop that waits. `host` is
// from host.c; turn() is what it calls while there is something to wait for.

globalThis.console = {
  log: (...values) => host.print(values.map(shown).join(" ")),
};
console.error = console.warn = console.info = console.log;

const shown = (value) =>
  typeof value === "object" && value !== null && !(value instanceof Error)
    ? JSON.stringify(value)
    : String(value);

// ---- Timers ------------------------------------------------------------------------------------

const timers = new Map();
let lastTimer = 0;

globalThis.setTimeout = (work, milliseconds = 0, ...values) => {
  timers.set(++lastTimer, { due: Date.now() + milliseconds, work: () => work(...values) });
  return lastTimer;
};
globalThis.clearTimeout = (timer) => timers.delete(timer);

/** Milliseconds until the next timer, negative if there is none. */
function untilNextTimer() {
  const due = Math.min(...[...timers.values()].map((timer) => timer.due));
  return due === Infinity ? -1 : Math.max(0, due - Date.now());
}

function runTimers() {
  const now = Date.now();
  for (const [timer, { due, work }] of [...timers]) {
    if (due <= now && timers.delete(timer)) work();
  }
}

// ---- Descriptors -------------------------------------------------------------------------------

/** wasi-libc's numbers; what is neither is an error or a hang-up, of which reading tells. */
export const READ = 1;
export const WRITE = 2;

const watched = new Map();

/** Calls `ready(events)` whenever `fd` has one of `events`, until they are changed; none ends it. */
export function watch(fd, events, ready) {
  if (events) watched.set(fd, { events, ready });
  else watched.delete(fd);
}

/** Waits for a descriptor or a timer and does what is then to be done; false if there is neither. */
globalThis.turn = () => {
  if (!watched.size && !timers.size) return false;
  const entries = [...watched];
  const pairs = new Int32Array(entries.flatMap(([fd, { events }]) => [fd, events]));
  host.poll(pairs, untilNextTimer());
  entries.forEach(([fd, entry], i) => {
    const events = pairs[2 * i + 1];
    if (events && watched.get(fd) === entry) entry.ready(events);
  });
  runTimers();
  return true;
};
