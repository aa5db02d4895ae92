import {
  Device,
  DeviceState,
  Feature,
  LINES,
  NO_LINE,
  deviceAt,
  deviceCount,
} from "../drivers/device";
import { lineMask, lineOpen, lineReroute } from "../drivers/lines";
import { interruptsPending } from "./host";
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
 * Nothing depends on an interrupt arriving. A device without an interrupt, one whose interrupt fires
 * with nothing behind it, and one whose interrupt stays silent while packets come are polled by time.
 */

/** Bounds of the spin before a sleep. */
const SPIN_LEAST: u64 = 10 * MICROSECOND;
const SPIN_MOST: u64 = 200 * MICROSECOND;

/** Longest sleep while a device has to be polled. */
const POLL_INTERVAL: u64 = 500 * MICROSECOND;

/** Wake-ups in a row by an interrupt that no device owns up to, until it is masked. */
const SPURIOUS_MOST: u32 = 100;

/**
 * Sleeps in a row that ended by time, with packets there that no interrupt had told of, until the
 * device is polled. Only sleeps far longer than a device may hold an interrupt back for count.
 */
const SILENT_MOST: u32 = 16;
const SILENT_SLEEP: u64 = 2 * MILLISECOND;

/** After so long a masked interrupt is given another chance. */
const MASKED_FOR: u64 = 10 * SECOND;

/** A line, which devices may share, or a message, which is one device's own. */
@unmanaged
class Interrupt {
  /** When to unmask it; 0 while it is not masked. */
  maskedUntil: u64;
  spurious: u32;
  silent: u32;
}

const interrupts: usize = memory.data(64 * 16, 8);


@inline function interruptAt(number: u32): Interrupt {
  return changetype<Interrupt>(interrupts + <usize>number * offsetof<Interrupt>());
}

/** Of each number a bit: it was opened; it is masked. */
let open: u64 = 0;
let masked: u64 = 0;


@inline function bit(number: u32): u64 {
  return (<u64>1) << (<u64>number);
}

/** Whether the device's interrupt may end a sleep: else it is polled. */
@inline function interrupting(device: Device): bool {
  return device.line != NO_LINE && !(masked & bit(device.line));
}

let spin: u64 = SPIN_LEAST;
let lastWork: u64 = 0;
let lastEmpty: u64 = 0;
let asleepSince: u64 = 0;
let asleep: bool = false;
/** The sleep that just ended: what fired, and how long it was. */
let fired: u64 = 0;
let slept: u64 = 0;

/** Opens the interrupt of a device that has been started; without one it is polled. */
export function idleOpen(device: Device): void {
  if (device.line == NO_LINE) return;
  if (device.line >= LINES || open & bit(device.line) || lineOpen(device.line)) {
    open |= bit(device.line);
    interruptAt(device.line).silent = 0;
    return;
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

/** The start of a step: if it ends a sleep (true), interrupts go off and each one's record is kept. */
export function idleWake(now: u64): bool {
  if (!asleep) return false;
  asleep = false;
  fired = interruptsPending() & open;
  slept = now - asleepSince;
  let claimed: u64 = 0;
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    if (!interrupting(device)) continue;
    const before = device.interrupts;
    device.setInterrupts(false);
    if (device.interrupts != before) claimed |= bit(device.line);
  }
  for (let rest = fired; rest; rest &= rest - 1) {
    const number = <u32>ctz(rest);
    const interrupt = interruptAt(number);
    interrupt.silent = 0;
    if (claimed & bit(number)) interrupt.spurious = 0;
    else if (++interrupt.spurious == SPURIOUS_MOST) mask(number, now);
  }
  if (fired) {
    if (slept < SPIN_MOST) spin = min<u64>(spin << 1, SPIN_MOST);
    else spin = max<u64>(spin >> 1, SPIN_LEAST);
  }
  return true;
}

/** A message is masked by leaving its device's interrupts off. */
function mask(number: u32, now: u64): void {
  if (number < LINES) lineMask(number, true);
  masked |= bit(number);
  interruptAt(number).maskedUntil = now + MASKED_FOR;
  warn("irq")
    .text(number < LINES ? "line" : "message")
    .text(" fires with no device asking; masked, its devices are polled")
    .key("line")
    .number(number)
    .key("seconds")
    .number(MASKED_FOR / SECOND)
    .end();
}

/** `device` had packets in the first poll after a sleep: was it its interrupt that ended it? */
export function idleFound(device: Device): void {
  if (!interrupting(device) || fired & bit(device.line)) return;
  if (slept < SILENT_SLEEP || ++interruptAt(device.line).silent < SILENT_MOST) return;
  const rerouted = device.line < LINES && lineReroute(device.line);
  interruptAt(device.line).silent = 0;
  warn("irq")
    .text("packets come but the ")
    .text(device.line < LINES ? "line" : "message")
    .text(rerouted ? " is silent at the I/O APIC, trying the 8259s" : " is silent, polling")
    .key("device")
    .text(device.model)
    .key("line")
    .number(device.line)
    .end();
  if (!rerouted) device.line = NO_LINE;
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
export function idlePrepare(now: u64): void {
  for (let rest = masked; rest; rest &= rest - 1) {
    const number = <u32>ctz(rest);
    const interrupt = interruptAt(number);
    if (now < interrupt.maskedUntil) continue;
    interrupt.spurious = 0;
    masked &= ~bit(number);
    if (number < LINES) lineMask(number, false);
  }
  setInterrupts(true);
}

/** Work turned up after `idlePrepare`. */
export function idleStay(): void {
  setInterrupts(false);
}

function setInterrupts(on: bool): void {
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    if (interrupting(device)) device.setInterrupts(on);
  }
}

/** Goes to sleep; returns until when. */
export function idleSleep(now: u64): u64 {
  let polled = false;
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    if (device.features & Feature.Virtual || device.state != DeviceState.Running) continue;
    if (device.pendingLength != 0 || !interrupting(device)) polled = true;
  }
  asleep = true;
  asleepSince = now;
  const deadline = timersNextDeadline();
  return polled ? min<u64>(deadline, now + POLL_INTERVAL) : deadline;
}
