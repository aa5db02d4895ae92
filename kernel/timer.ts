/**
 * Timers: a hierarchical wheel (Varghese and Lauck, 1987) of intrusive nodes. Arming, cancelling
 * and firing cost O(1); finding the next deadline costs one bit scan a level.
 *
 * A tick is 2^16 ns (about 66 µs), fine enough to pace what is sent (net/tcp/congestion/pacing.ts). A timer
 * waits on the level of the highest digit, base 64, in which its tick differs from the current one,
 * and moves down a level each time that digit is reached. Five levels reach 2^30 ticks (19 hours);
 * what is later waits on the last one.
 *
 * Putting off an armed timer does not touch the wheel: `deadline` moves, and when the old slot
 * comes up the timer is placed again. A connection that moves its retransmission deadline with
 * each ACK pays one store.
 */

const TICK_SHIFT: u64 = 16;
const DIGIT_BITS: u32 = 6;
const DIGIT_MASK: u32 = 63;
const LEVELS: u32 = 5;
const TOP: u32 = 4;
const NO_TICK: u64 = u64.MAX_VALUE;

/** Nanoseconds, for readable deadlines. */
export const MICROSECOND: u64 = 1_000;
export const MILLISECOND: u64 = 1_000_000;
export const SECOND: u64 = 1_000_000_000;

/** No deadline. */
export const NEVER: u64 = u64.MAX_VALUE;

/** In `TimerNode.callback`: the callback gets the node's own address. */
const OWN_ADDRESS: u32 = 1 << 31;

/** A timer, inside the thing that it times. 24 bytes; all zero is idle. */
@unmanaged
export class TimerNode {
  /** The next one in the same slot. */
  next: TimerNode | null;
  /** Address of the word that points here; 0 when idle. */
  link: usize;
  /** When to fire: `host.monotonic` ns. */
  deadline: u64;
  /** Low half of the tick whose slot holds it: at or before the deadline's. */
  placed: u32;
  /** Table index of `(context: usize, now: u64) => void`; `OWN_ADDRESS`. */
  callback: u32;

  /** Sets what it will call, with its own address; before the first `arm`. */
  @inline initOwn(callback: (node: usize, now: u64) => void): void {
    this.callback = callback.index | OWN_ADDRESS;
  }


  @inline get armed(): bool {
    return this.link != 0;
  }

  /** Fires at the first `timersAdvance` in or after the tick that `deadline` rounds up to; never before it. */
  arm(deadline: u64): void {
    this.deadline = deadline;
    if (this.link != 0) {
      // Less than 2^30 ticks lie ahead of the current one, so the low half tells which it is.
      const ahead = <u64>(this.placed - <u32>currentTick);
      if (tickOf(deadline) >= currentTick + ahead) return;
      unlink(this);
    } else {
      armedCount++;
    }
    place(this, currentTick + 1);
  }

  /** Keeps it from firing with one store, for what is soon armed again: its slot still comes up, once in vain. */
  @inline disarm(): void {
    this.deadline = NEVER;
  }

  /** Idles it. Harmless when it is idle already. */
  cancel(): void {
    if (this.link == 0) return;
    unlink(this);
    armedCount--;
  }
}

/** A timer whose callback gets whatever `init` gave it. 32 bytes with padding. */
@unmanaged
export class Timer extends TimerNode {
  context: usize;

  /** Sets what it will call; before the first `arm`. */
  @inline init(callback: (context: usize, now: u64) => void, context: usize): void {
    this.callback = callback.index;
    this.context = context;
  }
}

const heads: usize = memory.data(5 * 64 * 4, 64);
/** A bit for each slot of a level that holds a timer. */
const occupied: usize = memory.data(5 * 8, 8);
/** All timers up to this tick have fired. */
let currentTick: u64 = 0;
let armedCount: u32 = 0;

/** The first tick that is not before `deadline`. */
@inline function tickOf(deadline: u64): u64 {
  return (deadline >> TICK_SHIFT) + u64((deadline & ((1 << TICK_SHIFT) - 1)) != 0);
}

/** Puts an unlinked timer into the slot of its deadline, or of `earliest` if that is later. */
function place(timer: TimerNode, earliest: u64): void {
  let tick = max<u64>(tickOf(timer.deadline), earliest);
  const last = currentTick + ((<u64>DIGIT_MASK) << (TOP * DIGIT_BITS));
  tick = min<u64>(tick, last);
  const differing = tick ^ currentTick;
  const level = differing == 0 ? 0 : min<u32>((63 - <u32>clz(differing)) / DIGIT_BITS, TOP);
  const slot = (<u32>(tick >> (level * DIGIT_BITS))) & DIGIT_MASK;
  const head = heads + ((((<usize>level) << DIGIT_BITS) + slot) << 2);
  const first = load<usize>(head);
  timer.placed = <u32>tick;
  timer.link = head;
  timer.next = changetype<TimerNode | null>(first);
  if (first) {
    changetype<TimerNode>(first).link = changetype<usize>(timer) + offsetof<TimerNode>("next");
  }
  store<usize>(head, changetype<usize>(timer));
  const bits = occupied + ((<usize>level) << 3);
  store<u64>(bits, load<u64>(bits) | ((<u64>1) << slot));
}

function unlink(timer: TimerNode): void {
  const next = timer.next;
  const link = timer.link;
  store<usize>(link, changetype<usize>(next));
  if (next !== null) next.link = link;
  const index = (link - heads) >> 2;
  if (next === null && index < LEVELS << DIGIT_BITS) {
    const bits = occupied + ((index >> DIGIT_BITS) << 3);
    store<u64>(bits, load<u64>(bits) & ~((<u64>1) << (index & DIGIT_MASK)));
  }
  timer.link = 0;
}

/** The next tick at which a slot comes up, or `NO_TICK`. */
function nextTick(): u64 {
  for (let level: u32 = 0; level < TOP; level++) {
    const bits = load<u64>(occupied + ((<usize>level) << 3));
    if (bits) {
      // Slots up to the current digit are empty, or the timer would be on a lower level.
      const shift = level * DIGIT_BITS;
      const block = currentTick >> (shift + DIGIT_BITS);
      return ((block << DIGIT_BITS) | ctz(bits)) << shift;
    }
  }
  const bits = load<u64>(occupied + ((<usize>TOP) << 3));
  if (!bits) return NO_TICK;
  const digit = currentTick >> (TOP * DIGIT_BITS);
  return (digit + 1 + ctz(rotr(bits, (digit + 1) & DIGIT_MASK))) << (TOP * DIGIT_BITS);
}

/** When `timersAdvance` next has work: `host.monotonic` ns, or `NEVER`. May be early, never late. */
export function timersNextDeadline(): u64 {
  const tick = nextTick();
  return tick == NO_TICK ? NEVER : tick << TICK_SHIFT;
}

/** Fires every timer whose deadline is at or before `now`. Cost: what fires or moves down a level. */
export function timersAdvance(now: u64): void {
  const target = now >> TICK_SHIFT;
  for (let tick = nextTick(); tick <= target; tick = nextTick()) {
    currentTick = tick;
    for (let level: u32 = TOP; level > 0; level--) {
      if (tick & (((<u64>1) << (level * DIGIT_BITS)) - 1)) continue;
      drain(level, tick, now);
    }
    drain(0, tick, now);
  }
  if (target > currentTick) currentTick = target;
}

/** Empties the slot that has come up: what is due fires, the rest is placed again. */
function drain(level: u32, tick: u64, now: u64): void {
  const slot = (<u32>(tick >> (level * DIGIT_BITS))) & DIGIT_MASK;
  const head = heads + ((((<usize>level) << DIGIT_BITS) + slot) << 2);
  for (let at = load<usize>(head); at; at = load<usize>(head)) {
    const timer = changetype<TimerNode>(at);
    unlink(timer);
    if (tickOf(timer.deadline) > tick) {
      place(timer, tick);
    } else {
      armedCount--;
      const callback = timer.callback;
      const own = (callback & OWN_ADDRESS) != 0;
      const context = own ? at : changetype<Timer>(at).context;
      call_indirect(callback & ~OWN_ADDRESS, context, now);
    }
  }
}

/** Timers armed now. */
export function timersArmed(): u32 {
  return armedCount;
}
