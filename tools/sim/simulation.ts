import { Random } from "./random.ts";

/** Virtual nanoseconds. Numbers are exact up to 104 days. */
export const MICROSECOND = 1_000;
export const MILLISECOND = 1_000_000;
export const SECOND = 1_000_000_000;

/** Something that will happen; `cancel` forgets it. */
export interface Event {
  readonly at: number;
  cancel(): void;
}

class Entry implements Event {
  cancelled = false;
  constructor(
    readonly at: number,
    readonly order: number,
    readonly action: () => void,
  ) {}
  cancel(): void {
    this.cancelled = true;
  }
}

/** What a wait in virtual time ran out of. */
export class TimeOut extends Error {
  override name = "TimeOut";
}

/**
 * Virtual time: a queue of events, each run at its own instant, those of one instant in the order
 * in which they were scheduled. Nothing here reads a real clock.
 */
export class Simulation {
  /** The current instant. */
  now = 0;
  readonly random: Random;
  private heap: Entry[] = [];
  private order = 0;

  constructor(readonly seed: number) {
    this.random = new Random(seed);
  }

  /** Runs `action` at `at`, or now if that has passed. */
  at(at: number, action: () => void): Event {
    const entry = new Entry(Math.max(Math.ceil(at), this.now), this.order++, action);
    this.push(entry);
    return entry;
  }

  /** Runs `action` `delay` ns from now. */
  after(delay: number, action: () => void): Event {
    return this.at(this.now + delay, action);
  }

  /** Runs the next event, if there is one at or before `limit`. */
  step(limit = Infinity): boolean {
    while (this.heap.length) {
      const next = this.heap[0]!;
      if (!next.cancelled && next.at > limit) return false;
      this.pop();
      if (next.cancelled) continue;
      this.now = next.at;
      next.action();
      return true;
    }
    return false;
  }

  /** Lets `duration` ns pass. */
  run(duration: number): void {
    const end = this.now + duration;
    while (this.step(end));
    this.now = end;
  }

  /** Runs until `condition` holds. Throws `TimeOut`, naming `what`, when it does not within `duration`. */
  until(condition: () => boolean, duration: number, what: string | (() => string)): void {
    const end = this.now + duration;
    while (!condition()) {
      if (this.step(end)) continue;
      this.now = end;
      if (condition()) return;
      const text = typeof what === "string" ? what : what();
      throw new TimeOut(`${text}: not within ${duration / SECOND} s (seed ${this.seed})`);
    }
  }

  private push(entry: Entry): void {
    const heap = this.heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  private pop(): void {
    const heap = this.heap;
    const last = heap.pop()!;
    if (!heap.length) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
