import { Device, Feature, NO_LINE, deviceAt, deviceCount } from "../drivers/device";
import { interruptMask, interruptOpen, interruptsPending } from "./host";
import { warn } from "./log";
import { MICROSECOND, MILLISECOND, SECOND, timersNextDeadline } from "./timer";

/**
 * When the machine sleeps, and what may wake it.
 *
 * While there is work the devices are polled and their interrupts are off. When work runs out the
 * machine first spins: a wake-up costs tens of microseconds, so an answer that comes sooner than
 * that is cheaper to wait for awake. How long adapts: a sleep cut short soon means that spinning
 * longer would have paid, a long sleep means that the spinning was wasted.
 *
 * Nothing depends on an interrupt arriving. A device without a line, one whose line fires with
 * nothing behind it, and one whose line stays silent while packets come are polled by time.
 */

/** Bounds of the spin before a sleep. */
const SPIN_LEAST: u64 = 10 * MICROSECOND;
const SPIN_MOST: u64 = 200 * MICROSECOND;

/** Longest sleep while a device has to be polled. */
const POLL_INTERVAL: u64 = 500 * MICROSECOND;

/** Wake-ups in a row by a line that no device owns up to, until it is masked. */
const SPURIOUS_MOST: u32 = 100;

/**
 * Sleeps in a row that ended by time, with packets there that the line had not told of, until the
 * device is polled. Only sleeps far longer than a device may hold an interrupt back for count.
 */
const SILENT_MOST: u32 = 16;
const SILENT_SLEEP: u64 = 2 * MILLISECOND;

/** After so long a masked line is given another chance. */
const MASKED_FOR: u64 = 10 * SECOND;

/** PCI interrupt lines that a host may route. */
const LINES: u32 = 16;

/** One PCI interrupt line. */
@unmanaged
class Line {
  /** When to unmask it; 0 while it is not masked. */
  maskedUntil: u64;
  spurious: u32;
  silent: u32;
  open: bool;
}

const lines: usize = memory.data(16 * 24, 8);


@inline function lineAt(index: u32): Line {
  return changetype<Line>(lines + <usize>index * offsetof<Line>());
}

let spin: u64 = SPIN_LEAST;
let lastWork: u64 = 0;
let lastEmpty: u64 = 0;
let asleepSince: u64 = 0;
let asleep: bool = false;
/** The sleep that just ended: the lines that fired, and how long it was. */
let fired: u32 = 0;
let slept: u64 = 0;

/** Opens the lines of all devices. After the drivers have started. */
export function idleInit(): void {
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    if (device.line == NO_LINE) continue;
    if (device.line < LINES && (lineAt(device.line).open || interruptOpen(device.line))) {
      lineAt(device.line).open = true;
      continue;
    }
    warn("irq")
      .text("line cannot be routed, polling")
      .key("device")
      .text(device.model)
      .key("line")
      .number(device.line)
      .end();
    device.line = NO_LINE;
  }
}

/** The start of a step: if it ends a sleep (true), interrupts go off and each line's record is kept. */
export function idleWake(now: u64): bool {
  if (!asleep) return false;
  asleep = false;
  fired = interruptsPending();
  slept = now - asleepSince;
  let claimed: u32 = 0;
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    if (device.line == NO_LINE) continue;
    const before = device.interrupts;
    device.setInterrupts(false);
    if (device.interrupts != before) claimed |= 1 << device.line;
  }
  for (let rest = fired; rest; rest &= rest - 1) {
    const index = <u32>ctz(rest);
    const line = lineAt(index);
    line.silent = 0;
    if (claimed & (1 << index)) line.spurious = 0;
    else if (++line.spurious == SPURIOUS_MOST) mask(index, line, now);
  }
  if (fired) {
    if (slept < SPIN_MOST) spin = min<u64>(spin << 1, SPIN_MOST);
    else spin = max<u64>(spin >> 1, SPIN_LEAST);
  }
  return true;
}

function mask(index: u32, line: Line, now: u64): void {
  interruptMask(index, true);
  line.maskedUntil = now + MASKED_FOR;
  warn("irq")
    .text("line fires with no device asking; masked, its devices are polled")
    .key("line")
    .number(index)
    .key("seconds")
    .number(MASKED_FOR / SECOND)
    .end();
}

/** `device` had packets in the first poll after a sleep: was it its line that ended it? */
export function idleFound(device: Device): void {
  if (device.line == NO_LINE || fired & (1 << device.line)) return;
  const line = lineAt(device.line);
  if (line.maskedUntil || slept < SILENT_SLEEP || ++line.silent < SILENT_MOST) return;
  warn("irq")
    .text("packets come but the line is silent, polling")
    .key("device")
    .text(device.model)
    .key("line")
    .number(device.line)
    .end();
  device.line = NO_LINE;
}

/** This step had work to do. */
@inline export function idleWorked(now: u64): void {
  lastWork = now;
}

/** No work: whether it is time to sleep, rather than to look again at once. */
export function idleShouldSleep(now: u64): bool {
  // A clock that stands still while we look, as a simulated one does, would have us look for ever.
  const stands = now == lastEmpty;
  lastEmpty = now;
  return stands || now - lastWork >= spin;
}

/** Switches interrupts on; the caller looks for work once more and then calls `idleSleep` or `idleStay`. */
export function idlePrepare(): void {
  setInterrupts(true);
}

/** Work turned up after `idlePrepare`. */
export function idleStay(): void {
  setInterrupts(false);
}

function setInterrupts(on: bool): void {
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    if (device.line != NO_LINE) device.setInterrupts(on);
  }
}

/** Goes to sleep; returns until when. */
export function idleSleep(now: u64): u64 {
  let polled = false;
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    if (device.features & Feature.Loopback) continue;
    if (device.pendingLength != 0 || device.line == NO_LINE || masked(device.line, now)) {
      polled = true;
    }
  }
  asleep = true;
  asleepSince = now;
  const deadline = timersNextDeadline();
  return polled ? min<u64>(deadline, now + POLL_INTERVAL) : deadline;
}

function masked(index: u32, now: u64): bool {
  const line = lineAt(index);
  if (!line.maskedUntil) return false;
  if (now < line.maskedUntil) return true;
  line.maskedUntil = 0;
  line.spurious = 0;
  interruptMask(index, false);
  return false;
}
