import {
  NEVER,
  SECOND,
  Timer,
  TimerNode,
  timersAdvance,
  timersArmed,
  timersNextDeadline,
} from "../../kernel/timer";
import { random } from "./support/host";

/** Nanoseconds of a tick. */
const TICK: u64 = 1 << 16;
const COUNT = 300;
/** More than the wheel's five levels hold: 2^30 ticks. */
const BEYOND: u64 = TICK << 31;

const timers: usize = memory.data(300 * 40, 8);
/** The model: of each timer the tick at which it is due, or 0 when idle. */
const due = new StaticArray<u64>(COUNT);
/** Times that each has fired, and when it last did. */
const fired = new StaticArray<u32>(COUNT);
const firedAt = new StaticArray<u64>(COUNT);
let time: u64 = 0;

function timer(index: u32): Timer {
  return changetype<Timer>(timers + <usize>index * 40);
}

function fire(context: usize, now: u64): void {
  fired[<i32>context]++;
  firedAt[<i32>context] = now;
}

function ceilTick(ns: u64): u64 {
  return (ns + TICK - 1) / TICK;
}

function arm(index: u32, deadline: u64): void {
  timer(index).arm(deadline);
  due[index] = max<u64>(ceilTick(deadline), time / TICK + 1);
}

function cancel(index: u32): void {
  timer(index).cancel();
  due[index] = 0;
}

/** The tick that `NEVER` rounds up to. */
const LAST_TICK: u64 = NEVER / TICK + 1;

function disarm(index: u32): void {
  timer(index).disarm();
  if (due[index]) due[index] = LAST_TICK;
}

const node = changetype<TimerNode>(memory.data(24, 8));
let firedNode: usize = 0;

function fireNode(at: usize, _now: u64): void {
  firedNode = at;
}

/** Ten random operations a round, on wheel and model; how often they disagreed. */
function operations(rounds: i32): i32 {
  let wrong = 0;
  for (let round = 0; round < rounds && !wrong; round++) {
    for (let i = 0; i < 9; i++) {
      const index = <u32>(random() % COUNT);
      const choice = random() % 8;
      if (choice == 0) cancel(index);
      else if (choice == 1) disarm(index);
      else if (choice < 4 && timer(index).armed && timer(index).deadline != NEVER)
        arm(index, timer(index).deadline + span(26));
      else arm(index, time + span(54));
    }
    // Mostly steps of some ticks; now and then exactly to what comes next, or far ahead.
    const choice = random() % 16;
    const next = timersNextDeadline();
    if (!deadlineHolds()) wrong++;
    if (choice < 4 && next != NEVER) wrong += i32(!advance(max(time, next)));
    else wrong += i32(!advance(time + span(choice == 15 ? 46 : 25)));
  }
  return wrong;
}

/** Advances wheel and model; returns false if they disagree about who fires. */
function advance(to: u64): bool {
  time = to;
  for (let i = 0; i < COUNT; i++) fired[i] = 0;
  timersAdvance(to);
  let armed: u32 = 0;
  for (let i = 0; i < COUNT; i++) {
    const expected: u32 = due[i] != 0 && due[i] <= to / TICK ? 1 : 0;
    if (fired[i] != expected || timer(i).armed != (due[i] != 0 && !expected)) return false;
    if (expected) due[i] = 0;
    if (due[i]) armed++;
  }
  return armed == timersArmed();
}

/** The promise of the next deadline: early at most, and never when nothing waits. */
function deadlineHolds(): bool {
  let first = u64.MAX_VALUE;
  for (let i = 0; i < COUNT; i++) if (due[i]) first = min(first, due[i]);
  const next = timersNextDeadline();
  return first == u64.MAX_VALUE
    ? next == NEVER
    : (first == LAST_TICK || next <= first * TICK) && next > time - (time % TICK);
}

/** A span whose magnitude is as likely to be any from 1 to 2^`bits`. */
function span(bits: u64): u64 {
  return random() & (((<u64>1) << (random() % (bits + 1))) - 1);
}

function cancelNext(context: usize, now: u64): void {
  fire(context, now);
  timer((<u32>context) ^ 1).cancel();
}

let rearmPeriod: u64 = 0;

function rearm(context: usize, now: u64): void {
  fire(context, now);
  timer(<u32>context).arm(now + rearmPeriod);
}

describe("the timer wheel", () => {
  beforeEach(() => {
    for (let i = 0; i < COUNT; i++) {
      timer(i).cancel();
      timer(i).init(fire, i);
      due[i] = 0;
    }
  });

  it("fires in the tick of the deadline, not before", () => {
    arm(0, time + 3 * TICK + 1);
    const start = time;
    expect(advance(start + 3 * TICK)).toBe(true);
    expect(fired[0]).toBe(0);
    expect(advance(start + 4 * TICK - 1)).toBe(true);
    expect(fired[0]).toBe(0);
    expect(advance(start + 4 * TICK)).toBe(true);
    expect(fired[0]).toBe(1);
    expect(firedAt[0]).toBe(time);
  });

  it("fires what is overdue in the next tick", () => {
    arm(0, 0);
    arm(1, time);
    expect(deadlineHolds()).toBe(true);
    expect(advance(time + TICK)).toBe(true);
    expect(fired[0] + fired[1]).toBe(2);
  });

  it("keeps to the tick on both sides of every level's boundary", () => {
    for (let shift: u64 = 6; shift <= 30; shift += 6) {
      // To just before a boundary of this level, armed around the one after it.
      const block = TICK << shift;
      const start = (time / block + 1) * block - TICK;
      expect(advance(start)).toBe(true);
      for (let i = 0; i < 8; i++) arm(i, start + block + <u64>i * TICK - 3 * TICK);
      for (let i = 8; i < 16; i++) arm(i, start + <u64>(i - 8) * TICK);
      for (let step: u64 = 1; step < 12; step++) expect(advance(start + step * TICK)).toBe(true);
      expect(advance(start + block - 4 * TICK)).toBe(true);
      for (let step: u64 = 0; step < 12; step++) {
        expect(advance(start + block - 4 * TICK + step * TICK)).toBe(true);
      }
      expect(timersArmed()).toBe(0);
    }
  });

  it("holds a deadline that is further off than its levels reach", () => {
    arm(0, time + BEYOND);
    arm(1, time + 3 * BEYOND);
    const start = time;
    expect(advance(start + BEYOND - TICK)).toBe(true);
    expect(advance(start + BEYOND + TICK)).toBe(true);
    expect(advance(start + 3 * BEYOND - TICK)).toBe(true);
    expect(timer(1).armed).toBe(true);
    expect(advance(start + 3 * BEYOND + TICK)).toBe(true);
    expect(timersNextDeadline()).toBe(NEVER);
  });

  it("puts off without touching the wheel, and still fires once, at the last deadline", () => {
    arm(0, time + 10 * TICK);
    const link = timer(0).link;
    const start = time;
    for (let i: u64 = 11; i < 100; i++) arm(0, start + i * TICK);
    expect(timer(0).link).toBe(link);
    for (let i: u64 = 1; i < 99; i++) expect(advance(start + i * TICK)).toBe(true);
    expect(advance(start + 99 * TICK)).toBe(true);
    expect(fired[0]).toBe(1);
  });

  it("brings forward", () => {
    arm(0, time + 5000 * TICK);
    arm(0, time + 2 * TICK);
    expect(advance(time + 2 * TICK)).toBe(true);
    expect(fired[0]).toBe(1);
    expect(advance(time + 6000 * TICK)).toBe(true);
  });

  it("lets a callback cancel its neighbour in the same slot", () => {
    timer(0).init(cancelNext, 0);
    timer(1).init(cancelNext, 1);
    timer(0).arm(time + TICK);
    timer(1).arm(time + TICK);
    fired[0] = 0;
    fired[1] = 0;
    time += 2 * TICK;
    timersAdvance(time);
    expect(fired[0] + fired[1]).toBe(1);
    expect(timersArmed()).toBe(0);
  });

  it("lets a callback arm itself again", () => {
    timer(0).init(rearm, 0);
    rearmPeriod = SECOND;
    timer(0).arm(time + SECOND);
    fired[0] = 0;
    for (let i = 0; i < 1000; i++) {
      time += SECOND / 10;
      timersAdvance(time);
    }
    // Each second is rounded up to the next of the steps that follows its tick.
    expect(fired[0]).toBeGreaterThan(88);
    expect(fired[0]).toBeLessThan(101);
    expect(timersArmed()).toBe(1);
  });

  it("cancels what is idle", () => {
    timer(0).cancel();
    expect(timersArmed()).toBe(0);
    expect(timersNextDeadline()).toBe(NEVER);
  });

  it("does not fire what is disarmed, and fires it when it is armed again, earlier or later", () => {
    timer(0).init(fire, 0);
    fired[0] = 0;
    timer(0).arm(time + SECOND);
    timer(0).disarm();
    timersAdvance((time += 2 * SECOND));
    expect(fired[0]).toBe(0);
    expect(timersNextDeadline()).toBeGreaterThan(time + 1000 * SECOND);
    timer(0).arm(time + SECOND);
    timer(0).disarm();
    timer(0).arm(time + SECOND / 2);
    timersAdvance((time += SECOND));
    expect(fired[0]).toBe(1);
    timer(0).arm(time + SECOND);
    timer(0).disarm();
    timer(0).arm(time + 2 * SECOND);
    timersAdvance((time += SECOND + SECOND / 2));
    expect(fired[0]).toBe(1);
    timersAdvance((time += SECOND));
    expect(fired[0]).toBe(2);
    timer(0).disarm();
    timer(0).cancel();
    expect(timersArmed()).toBe(0);
  });

  it("gives a node without a context its own address", () => {
    node.initOwn(fireNode);
    node.arm(time + SECOND);
    timersAdvance(time + 2 * SECOND);
    expect(firedNode).toBe(changetype<usize>(node));
    time += 2 * SECOND;
  });

  it("agrees with a list that is searched, through 200,000 random operations", () => {
    // Over the end of the 32 bits of `placed`.
    const start = (((time >> 52) + 1) << 52) - TICK * 100_000;
    timersAdvance(start);
    time = start;
    expect(operations(20_000)).toBe(0);
    expect((time - start) / TICK).toBeGreaterThan(10_000_000);
  });
});
