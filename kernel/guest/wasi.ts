import { now } from "../clock";
import { consoleWrite, monotonic, wallClock } from "../host";
import { error } from "../log";
import { randomFill } from "../random";
import { GuestCall } from "./calls";
import { Guest, GuestState, parkUntil } from "./guests";

/**
 * WASI preview 1 (wasi_snapshot_preview1.witx), as far as a program needs it that computes, waits and
 * writes to the console: arguments, environment, clocks, random numbers, standard streams, exit. Calls
 * about files end in the errno that says so.
 */

/** `errno` of preview 1. */
const enum Errno {
  Success = 0,
  Badf = 8,
  Fault = 21,
  Inval = 28,
  Nosys = 52,
  Notsup = 58,
  Spipe = 70,
}

/** Standard streams. */
const STDIN: u32 = 0;
const STDERR: u32 = 2;

/** `clockid`. */
const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;

/** `filetype`: a terminal, as far as programs can tell. */
const CHARACTER_DEVICE: u8 = 2;
/** `rights`. */
const RIGHT_READ: u64 = 1 << 1;
const RIGHT_WRITE: u64 = 1 << 6;

/** Sizes: `iovec`, `fdstat`, `subscription`, `event`. */
const IOVEC: u32 = 8;
const FDSTAT: u32 = 24;
const SUBSCRIPTION: u32 = 48;
const EVENT: u32 = 32;

/** The most of a list that a guest may pass. */
const LIST_MAX: u32 = 1024;

/** Does the call that the guest has made: its result is in the record, or the guest is parked. */
export function guestCall(guest: Guest): void {
  const record = guest.record;
  const a0 = <u32>record.argument(0);
  const a1 = <u32>record.argument(1);
  switch (record.call) {
    case GuestCall.proc_exit:
      guest.exitCode = a0;
      guest.state = GuestState.Ended;
      return;
    case GuestCall.abort:
      guest
        .nameIn(error("guest"))
        .text(" aborted")
        .key("line")
        .number(<u32>record.argument(2))
        .key("column")
        .number(<u32>record.argument(3))
        .end();
      guest.exitCode = 134;
      guest.state = GuestState.Ended;
      return;
    case GuestCall.sched_yield:
      record.result = Errno.Success;
      parkUntil(guest, now());
      return;
    case GuestCall.poll_oneoff:
      poll(guest);
      return;
    default:
      record.result = simple(guest, record.call, a0, a1);
  }
}

/** The calls that neither park nor end the guest: their errno. */
function simple(guest: Guest, call: u32, a0: u32, a1: u32): Errno {
  switch (call) {
    case GuestCall.args_sizes_get:
    case GuestCall.environ_sizes_get: {
      const first = guest.memory(a0, 4);
      const second = guest.memory(a1, 4);
      if (!first || !second) return Errno.Fault;
      store<u32>(first, 0);
      store<u32>(second, 0);
      return Errno.Success;
    }
    case GuestCall.args_get:
    case GuestCall.environ_get:
      return Errno.Success;
    case GuestCall.clock_res_get: {
      const into = guest.memory(a1, 8);
      if (a0 > CLOCK_MONOTONIC) return Errno.Inval;
      if (!into) return Errno.Fault;
      store<u64>(into, a0 == CLOCK_REALTIME ? 1_000_000_000 : 1);
      return Errno.Success;
    }
    case GuestCall.clock_time_get: {
      const into = guest.memory(<u32>guest.record.argument(2), 8);
      if (a0 > CLOCK_MONOTONIC) return Errno.Inval;
      if (!into) return Errno.Fault;
      store<u64>(into, a0 == CLOCK_REALTIME ? wallClock() : monotonic());
      return Errno.Success;
    }
    case GuestCall.random_get: {
      const into = guest.memory(a0, a1);
      if (!into && a1) return Errno.Fault;
      randomFill(into, a1);
      return Errno.Success;
    }
    case GuestCall.fd_write:
      return write(guest, a0, a1);
    case GuestCall.fd_read: {
      // Nobody types: standard input has ended.
      const into = guest.memory(<u32>guest.record.argument(3), 4);
      if (a0 != STDIN) return Errno.Badf;
      if (!into) return Errno.Fault;
      store<u32>(into, 0);
      return Errno.Success;
    }
    case GuestCall.fd_fdstat_get: {
      const into = guest.memory(a1, FDSTAT);
      if (a0 > STDERR) return Errno.Badf;
      if (!into) return Errno.Fault;
      memory.fill(into, 0, FDSTAT);
      store<u8>(into, CHARACTER_DEVICE);
      store<u64>(into, a0 == STDIN ? RIGHT_READ : RIGHT_WRITE, 8);
      return Errno.Success;
    }
    case GuestCall.fd_seek:
    case GuestCall.fd_tell:
      return a0 > STDERR ? Errno.Badf : Errno.Spipe;
    case GuestCall.fd_close:
      return a0 > STDERR ? Errno.Badf : Errno.Success;
    case GuestCall.fd_prestat_get:
    case GuestCall.fd_prestat_dir_name:
      return Errno.Badf;
    default:
      return Errno.Nosys;
  }
}

/** Writes the bytes of a list of `iovec`s to the console. */
function write(guest: Guest, fd: u32, list: u32): Errno {
  const count = <u32>guest.record.argument(2);
  const into = guest.memory(<u32>guest.record.argument(3), 4);
  if (fd == STDIN || fd > STDERR) return Errno.Badf;
  if (count > LIST_MAX) return Errno.Inval;
  const at = guest.memory(list, count * IOVEC);
  if (!into || !at) return Errno.Fault;
  let written: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const length = load<u32>(at + i * IOVEC, 4);
    if (!length) continue;
    const from = guest.memory(load<u32>(at + i * IOVEC), length);
    if (!from) return Errno.Fault;
    consoleWrite(from, length);
    written += length;
  }
  store<u32>(into, written);
  return Errno.Success;
}

/** Of a poll, what a program without files can wait for: the earliest of its clocks. */
function poll(guest: Guest): void {
  const record = guest.record;
  const count = <u32>record.argument(2);
  record.result = Errno.Inval;
  if (!count || count > LIST_MAX) return;
  const subscriptions = guest.memory(<u32>record.argument(0), count * SUBSCRIPTION);
  const events = guest.memory(<u32>record.argument(1), count * EVENT);
  const into = guest.memory(<u32>record.argument(3), 4);
  record.result = Errno.Fault;
  if (!subscriptions || !events || !into) return;
  let earliest: u64 = u64.MAX_VALUE;
  let userdata: u64 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const at = subscriptions + i * SUBSCRIPTION;
    record.result = Errno.Notsup;
    if (load<u8>(at, 8) != 0) return; // not a clock
    const clock = load<u32>(at, 16);
    const absolute = load<u16>(at, 40) & 1;
    let moment = load<u64>(at, 24);
    record.result = Errno.Inval;
    if (clock > CLOCK_MONOTONIC) return;
    if (!absolute) moment = moment > u64.MAX_VALUE - now() ? u64.MAX_VALUE : moment + now();
    else if (clock == CLOCK_REALTIME) {
      const wall = wallClock();
      moment = moment > wall ? moment - wall + now() : now();
    }
    if (moment > earliest) continue;
    earliest = moment;
    userdata = load<u64>(at);
  }
  memory.fill(events, 0, EVENT);
  store<u64>(events, userdata);
  store<u32>(into, 1);
  record.result = Errno.Success;
  parkUntil(guest, earliest);
}
