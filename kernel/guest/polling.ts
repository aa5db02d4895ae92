import { SocketEvent } from "../../sdk/assembly/syscalls";
import { wallTime } from "../clock";
import { monotonic } from "../host";
import { NEVER } from "../timer";
import { Description } from "./descriptors";
import { WasiErrno } from "./errno";
import { Guest } from "./guest";
import { availableOf, eventsOf, POLL_NORMAL } from "./objects";

/**
 * Calls that wait for any of a list of things. A list is looked through when the call is made, and again
 * when something in it has come to pass: news of what is not in it cost nothing.
 */

/** WASI: sizes, `eventtype`, and where a subscription has what. */
const SUBSCRIPTION: u32 = 48;
const EVENT: u32 = 32;
const EVENT_CLOCK: u32 = 0;
const EVENT_READ: u32 = 1;
const EVENT_WRITE: u32 = 2;
const SUBSCRIPTION_TYPE: u32 = 8;
const SUBSCRIPTION_FD: u32 = 16;
const CLOCK_ID: u32 = 16;
const CLOCK_TIMEOUT: u32 = 24;
const CLOCK_FLAGS: u32 = 40;
/** `clockid`, `subclockflags`, `eventrwflags`. */
const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;
const CLOCK_ABSOLUTE: u32 = 1;
const HANGUP: u32 = 1;

/** The most of a list that a guest may pass: two of each descriptor, and time-outs. */
const LIST_MAX: u32 = 4096;

/**
 * `poll_oneoff` (in, out, count, into): waits until one of `count` subscriptions has come to pass, and tells
 * of all that have. `again` after the guest was parked for it.
 */
export function pollOneoff(guest: Guest, again: bool): WasiErrno {
  const record = guest.record;
  const count = <u32>record.argument(2);
  if (!count || count > LIST_MAX) return WasiErrno.Inval;
  const list = guest.memory(<u32>record.argument(0), count * SUBSCRIPTION);
  const out = guest.memory(<u32>record.argument(1), count * EVENT);
  const into = guest.memory(<u32>record.argument(3), 4);
  if (!list || !out || !into) return WasiErrno.Fault;
  const now = monotonic();
  if (!again) {
    const error = unsound(list, count);
    if (error) return error;
    guest.since = now;
  }
  let written: u32 = 0;
  let first = NEVER;
  for (let i: u32 = 0; i < count; i++) {
    const at = list + i * SUBSCRIPTION;
    const event = out + written * EVENT;
    const type = <u32>load<u8>(at, SUBSCRIPTION_TYPE);
    if (type == EVENT_CLOCK) {
      const moment = momentOf(at, guest.since);
      if (moment <= now) {
        tell(event, at, WasiErrno.Success, 0, 0);
        written++;
      } else {
        first = min<u64>(first, moment);
      }
      continue;
    }
    const d = guest.descriptors.at(load<u32>(at, SUBSCRIPTION_FD));
    if (d === null) {
      tell(event, at, WasiErrno.Badf, 0, 0);
    } else {
      const holds = eventsOf(d);
      if (!(holds & (wantedBy(type) | SocketEvent.Error | SocketEvent.Hangup))) continue;
      const bytes = type == EVENT_READ ? readable(d) : 0;
      tell(event, at, WasiErrno.Success, bytes, holds & SocketEvent.Hangup ? HANGUP : 0);
    }
    written++;
  }
  if (!written) {
    for (let i: u32 = 0; i < count; i++) {
      const at = list + i * SUBSCRIPTION;
      const type = <u32>load<u8>(at, SUBSCRIPTION_TYPE);
      if (type == EVENT_CLOCK) continue;
      const d = guest.descriptors.at(load<u32>(at, SUBSCRIPTION_FD));
      if (d !== null) guest.waitFor(d, wantedBy(type));
    }
    guest.park(first);
    return WasiErrno.Success;
  }
  store<u32>(into, written);
  return WasiErrno.Success;
}

/** What is wrong with a list of subscriptions, whatever holds of them. */
function unsound(list: usize, count: u32): WasiErrno {
  for (let i: u32 = 0; i < count; i++) {
    const at = list + i * SUBSCRIPTION;
    const type = <u32>load<u8>(at, SUBSCRIPTION_TYPE);
    if (type > EVENT_WRITE) return WasiErrno.Inval;
    if (type == EVENT_CLOCK && load<u32>(at, CLOCK_ID) > CLOCK_MONOTONIC) return WasiErrno.Inval;
  }
  return WasiErrno.Success;
}


@inline function wantedBy(type: u32): u32 {
  return type == EVENT_READ ? SocketEvent.Readable | SocketEvent.ReadHangup : SocketEvent.Writable;
}

/** Bytes that may be read at once, as far as anybody knows. */
function readable(d: Description): u64 {
  const bytes = availableOf(d);
  return bytes > 0 ? bytes : 0;
}

/** When the clock of a subscription made at `since` comes to pass, on the monotonic clock. */
function momentOf(subscription: usize, since: u64): u64 {
  let timeout = load<u64>(subscription, CLOCK_TIMEOUT);
  if (load<u16>(subscription, CLOCK_FLAGS) & (<u16>CLOCK_ABSOLUTE)) {
    if (load<u32>(subscription, CLOCK_ID) != CLOCK_REALTIME) return timeout;
    return onMonotonic(timeout);
  }
  return timeout > NEVER - since ? NEVER : timeout + since;
}

/** The moment of the monotonic clock at which the wall clock shows `wall`; 0 if that was before its start. */
export function onMonotonic(wall: u64): u64 {
  const now = monotonic();
  const shows = wallTime();
  if (wall >= shows) return wall - shows > NEVER - now ? NEVER : wall - shows + now;
  return shows - wall < now ? now - (shows - wall) : 0;
}

/** Writes an `event` about a subscription. */
function tell(event: usize, subscription: usize, error: WasiErrno, bytes: u64, flags: u32): void {
  store<u64>(event, load<u64>(subscription));
  store<u64>(event, 0, 8);
  store<u16>(event, <u16>error, 8);
  store<u8>(event, load<u8>(subscription, SUBSCRIPTION_TYPE), 10);
  store<u64>(event, bytes, 16);
  store<u64>(event, flags, 24);
}

// ---- poll ------------------------------------------------------------------------------------

/** `struct pollfd`: descriptor, then what is wanted and what came of it, as Linux numbers them. */
const POLLFD: u32 = 8;
const POLLFD_EVENTS: u32 = 4;
const POLLFD_RESULT: u32 = 6;
/** `POLLNVAL`: what is polled is no descriptor. */
const INVALID: u16 = 0x20;

/**
 * `poll` (list, count, ns or below 0 for ever): how many of the list have something to say. A descriptor
 * below 0 has not.
 */
export function poll(guest: Guest, again: bool): i32 {
  const record = guest.record;
  const count = <u32>record.argument(1);
  if (count > LIST_MAX) return -WasiErrno.Inval;
  const list = guest.memory(<u32>record.argument(0), count * POLLFD);
  if (!list && count) return -WasiErrno.Fault;
  let found = 0;
  for (let i: u32 = 0; i < count; i++) {
    const at = list + i * POLLFD;
    const fd = load<i32>(at);
    let result: u16 = 0;
    if (fd >= 0) {
      const d = guest.descriptors.at(fd);
      result = d === null ? INVALID : <u16>wanted(eventsOf(d), load<u16>(at, POLLFD_EVENTS));
    }
    store<u16>(at, result, POLLFD_RESULT);
    if (result) found++;
  }
  if (found) return found;
  const moment = momentAfter(guest, record.argument(2), again);
  if (!moment) return 0;
  for (let i: u32 = 0; i < count; i++) {
    const at = list + i * POLLFD;
    const d = guest.descriptors.at(load<u32>(at));
    if (d !== null) guest.waitFor(d, load<u16>(at, POLLFD_EVENTS));
  }
  guest.park(moment);
  return 0;
}

/** Of what holds, what was asked for, and what is told of in any case. */
@inline export function wanted(holds: u32, asked: u32): u32 {
  holds |= (holds & POLL_NORMAL) << 6;
  return holds & (asked | SocketEvent.Error | SocketEvent.Hangup);
}

/** When a call that may wait `ns`, for ever if below 0, has waited long enough; 0 for now. */
export function momentAfter(guest: Guest, ns: u64, again: bool): u64 {
  if (<i64>ns < 0) return NEVER;
  if (!ns) return 0;
  const now = monotonic();
  if (!again) guest.since = now;
  const moment = ns > NEVER - guest.since ? NEVER : guest.since + ns;
  return now >= moment ? 0 : moment;
}
