import { now, wallTime } from "../../clock";
import { monotonic } from "../../host";
import { randomFill } from "../../random";
import { WasiErrno } from "../errno";
import { Guest, GuestState } from "../guest";

/** WASI's calls about time, chance and the program itself. */

/** `clockid`. */
const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;
/** What the guest has used of the processor: it is one process with one thread. */
const CLOCK_THREAD_CPUTIME: u32 = 3;

/** (clock, into): ns. */
export function clockResGet(guest: Guest): WasiErrno {
  if (<u32>guest.record.argument(0) > CLOCK_THREAD_CPUTIME) return WasiErrno.Inval;
  const into = guest.memory(<u32>guest.record.argument(1), 8);
  if (!into) return WasiErrno.Fault;
  store<u64>(into, 1);
  return WasiErrno.Success;
}

/** (clock, precision, into): ns. */
export function clockTimeGet(guest: Guest): WasiErrno {
  const clock = <u32>guest.record.argument(0);
  if (clock > CLOCK_THREAD_CPUTIME) return WasiErrno.Inval;
  const into = guest.memory(<u32>guest.record.argument(2), 8);
  if (!into) return WasiErrno.Fault;
  let time = clock == CLOCK_REALTIME ? wallTime() : monotonic();
  if (clock > CLOCK_MONOTONIC) time = guest.used + time - guest.turnSince;
  store<u64>(into, time);
  return WasiErrno.Success;
}

/** Bytes of `random_get` that are made before the network has its turn again. */
const RANDOM_AT_ONCE: u32 = 1 << 16;

/** (into, length); `again` if a part of it is done. */
export function randomGet(guest: Guest, again: bool): WasiErrno {
  const length = <u32>guest.record.argument(1);
  const into = guest.memory(<u32>guest.record.argument(0), length);
  if (!into) return WasiErrno.Fault;
  if (!again) guest.done = 0;
  const part = min<u32>(length - guest.done, RANDOM_AT_ONCE);
  randomFill(into + guest.done, part);
  guest.done += part;
  if (guest.done < length) guest.park(now());
  return WasiErrno.Success;
}

/** What a shell says of a program that a signal has ended: this, and the signal. */
const SIGNALLED: u32 = 128;
/** `signal`: the last of them; those that nothing comes of; those that would stop it until it is continued. */
const SIGNAL_MOST: u32 = 30;
const SIGNALS_IGNORED: u32 = (1 << 0) | (1 << 16) | (1 << 17) | (1 << 22) | (1 << 27);
const SIGNALS_STOPPING: u32 = (1 << 18) | (1 << 19) | (1 << 20) | (1 << 21);

/** (signal): what the signal does to a program that has no handler. There is nobody to continue a stopped one: ENOTSUP. */
export function procRaise(guest: Guest): WasiErrno {
  const signal = <u32>guest.record.argument(0);
  if (signal > SIGNAL_MOST) return WasiErrno.Inval;
  if (SIGNALS_IGNORED & (1 << signal)) return WasiErrno.Success;
  if (SIGNALS_STOPPING & (1 << signal)) return WasiErrno.Notsup;
  guest.exitCode = SIGNALLED + signal;
  guest.state = GuestState.Ended;
  return WasiErrno.Success;
}
