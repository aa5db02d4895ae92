import { SocketEvent } from "../../sdk/assembly/syscalls";
import { monotonic } from "../host";
import { NEVER, TimerNode } from "../timer";
import { Description, DescriptorKind } from "./descriptors";
import { WasiErrno } from "./errno";
import { Guest, news } from "./guest";
import { onMonotonic } from "./polling";

/**
 * Timers, as Linux's timerfd(2). One fires once, however often it should have until somebody reads it:
 * what has passed since is counted then, so a short interval costs no more than a long one.
 */

/** Clocks of `timerfd_create`, as WASI numbers them; `Description.object` has it. */
const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
const NONBLOCK: u32 = 4;
const CLOEXEC: u32 = 2;
/** Flags of `timerfd_settime`; nothing sets the clock, so nothing comes of the second. */
const ABSOLUTE: u32 = 1;
const CANCEL_ON_SET: u32 = 2;

/** What both calls about time read and write: interval and time left, each a u64 in ns. */
const SETTING: u32 = 16;

/** A timer. Its node comes first of what is its own. */
@unmanaged
class TimerDescription extends Description {
  private next: usize;
  private link: usize;
  private deadline: u64;
  private placed: u32;
  private callback: u32;
  /** ns, 0 for a timer that fires once. */
  interval: u64;
  /** Times that it has fired and nobody has read. */
  ticks: u64;


  @inline get node(): TimerNode {
    return changetype<TimerNode>(changetype<usize>(this) + offsetof<TimerDescription>("next"));
  }
}

/** `timerfd_create` (clock, flags): a descriptor. */
export function timerMake(guest: Guest, clock: u32, flags: u32): i32 {
  if (clock > MONOTONIC || flags & ~(NONBLOCK | CLOEXEC)) return -WasiErrno.Inval;
  const descriptors = guest.descriptors;
  if (!descriptors.hasRoom()) return -WasiErrno.Mfile;
  const fd = descriptors.open(DescriptorKind.Timer, clock, (flags & NONBLOCK) != 0);
  descriptors.setClosesOnExec(fd, (flags & CLOEXEC) != 0);
  changetype<TimerDescription>(descriptors.at(fd)).node.initOwn(fired);
  return fd;
}

function fired(node: usize, _now: u64): void {
  const d = changetype<TimerDescription>(node - offsetof<TimerDescription>("next"));
  d.ticks++;
  news(d);
}

/** Counts what a timer with an interval that has fired has missed, and arms it anew. */
function catchUp(timer: TimerDescription): void {
  const node = timer.node;
  if (!timer.ticks || !timer.interval || node.armed) return;
  const missed = (monotonic() - node.deadline) / timer.interval;
  timer.ticks += missed;
  const last = node.deadline + missed * timer.interval;
  node.arm(timer.interval > NEVER - last ? NEVER : last + timer.interval);
}

/** `timerfd_settime` (fd, flags, setting, old setting or 0). */
export function timerSet(guest: Guest, d: Description | null): WasiErrno {
  const record = guest.record;
  const flags = <u32>record.argument(1);
  const from = guest.memory(<u32>record.argument(2), SETTING);
  const oldAt = <u32>record.argument(3);
  const old = oldAt ? guest.memory(oldAt, SETTING) : 0;
  if (!from || (oldAt && !old)) return WasiErrno.Fault;
  if (d === null) return WasiErrno.Badf;
  if (d.kind != DescriptorKind.Timer) return WasiErrno.Inval;
  if (flags & ~(ABSOLUTE | CANCEL_ON_SET)) return WasiErrno.Inval;
  const interval = load<u64>(from);
  const value = load<u64>(from, 8);
  const timer = changetype<TimerDescription>(d);
  if (old) tell(timer, old);
  timer.node.cancel();
  timer.ticks = 0;
  timer.interval = interval;
  if (!value) return WasiErrno.Success;
  let moment = value;
  if (!(flags & ABSOLUTE)) {
    const now = monotonic();
    moment = value > NEVER - now ? NEVER : now + value;
  } else if (d.object == REALTIME) {
    moment = onMonotonic(value);
  }
  timer.node.arm(moment);
  return WasiErrno.Success;
}

/** `timerfd_gettime` (fd, into). */
export function timerGet(guest: Guest, d: Description | null): WasiErrno {
  const into = guest.memory(<u32>guest.record.argument(1), SETTING);
  if (!into) return WasiErrno.Fault;
  if (d === null) return WasiErrno.Badf;
  if (d.kind != DescriptorKind.Timer) return WasiErrno.Inval;
  tell(changetype<TimerDescription>(d), into);
  return WasiErrno.Success;
}

/** Writes what a timer is set to: time left is at least 1 ns as long as it will fire. */
function tell(timer: TimerDescription, into: usize): void {
  catchUp(timer);
  const node = timer.node;
  const now = monotonic();
  const left = !node.armed ? 0 : node.deadline > now ? node.deadline - now : 1;
  store<u64>(into, timer.interval);
  store<u64>(into, left, 8);
}

/** `SocketEvent`s that hold. */
@inline export function timerEvents(d: Description): u32 {
  return changetype<TimerDescription>(d).ticks ? SocketEvent.Readable : 0;
}

/** Takes the count of times that it has fired: false while that is 0. */
export function timerRead(d: Description, into: usize): bool {
  const timer = changetype<TimerDescription>(d);
  catchUp(timer);
  const ticks = timer.ticks;
  if (!ticks) return false;
  timer.ticks = 0;
  store<u64>(into, ticks);
  return true;
}

/** Ends it. */
export function timerClose(d: Description): void {
  changetype<TimerDescription>(d).node.cancel();
}
