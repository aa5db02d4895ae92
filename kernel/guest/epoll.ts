import { SocketEvent } from "../../sdk/assembly/syscalls";
import { Description, DescriptorKind } from "./descriptors";
import { WasiErrno } from "./errno";
import { Guest, newsOf } from "./guest";
import { eventsOf } from "./objects";
import { momentAfter, wanted } from "./polling";

/**
 * Epolls, as Linux's epoll(7). What an epoll watches for is a `Watch`, in the list of its description and of
 * its epoll; news of the description put it on the epoll's ready list, if what it asks for holds. So waiting
 * costs what has come to pass, however much is watched.
 *
 * Level-triggered watches stay on the ready list until they are found with nothing to say; edge-triggered ones
 * come off it when they are told of.
 */

/** Flags of `epoll_create`, `EPOLL_CTL_…`. */
const CLOEXEC: u32 = 2;
const CONTROL_ADD: u32 = 1;
const CONTROL_DELETE: u32 = 2;
const CONTROL_MODIFY: u32 = 3;

/** Of a watch's events: what says how to tell of the others (EPOLLEXCLUSIVE to EPOLLET). */
const EXCLUSIVE: u32 = 1 << 28;
const WAKE_UP: u32 = 1 << 29;
const ONE_SHOT: u32 = 1 << 30;
const EDGE: u32 = 1 << 31;
const MANNER: u32 = 0xf000_0000;
/** What may stand beside EPOLLEXCLUSIVE, as epoll_ctl(2) has it. */
const WITH_EXCLUSIVE: u32 =
  EXCLUSIVE |
  WAKE_UP |
  EDGE |
  SocketEvent.Readable |
  SocketEvent.Writable |
  SocketEvent.Error |
  SocketEvent.Hangup;

/** `struct epoll_event`: events, 4 bytes of nothing, data. */
const EVENT: u32 = 16;
const EVENT_DATA: u32 = 8;

export const WATCH_BYTES: u32 = 56;


@unmanaged
class Watch {
  description: Description;
  epoll: Epoll;
  data: u64;
  fd: u32;
  /** What it asks for, and how; only the latter once it has fired with `ONE_SHOT`. */
  events: u32;
  /** In the description's list; `next` also among free ones. */
  next: Watch | null;
  previous: Watch | null;
  /** In the epoll's list. */
  ownNext: Watch | null;
  ownPrevious: Watch | null;
  /** In the epoll's ready list. */
  readyNext: Watch | null;
  readyPrevious: Watch | null;
  ready: bool;
}


@unmanaged
class Epoll extends Description {
  first: Watch | null;
  readyHead: Watch | null;
  readyTail: Watch | null;
  readyCount: u32;

  /** Puts a watch at the end of the ready list. */
  push(watch: Watch): void {
    const last = this.readyTail;
    watch.readyNext = null;
    watch.readyPrevious = last;
    if (last !== null) last.readyNext = watch;
    else this.readyHead = watch;
    this.readyTail = watch;
    watch.ready = true;
    this.readyCount++;
  }

  /** Takes a watch off the ready list. */
  pull(watch: Watch): void {
    const next = watch.readyNext;
    const previous = watch.readyPrevious;
    if (previous !== null) previous.readyNext = next;
    else this.readyHead = next;
    if (next !== null) next.readyPrevious = previous;
    else this.readyTail = previous;
    watch.ready = false;
    this.readyCount--;
  }
}

/** `epoll_create` (flags): a descriptor. */
export function epollMake(guest: Guest, flags: u32): i32 {
  assert(offsetof<Watch>() <= WATCH_BYTES);
  if (flags & ~CLOEXEC) return -WasiErrno.Inval;
  const descriptors = guest.descriptors;
  if (!descriptors.hasRoom()) return -WasiErrno.Mfile;
  const fd = descriptors.open(DescriptorKind.Epoll, 0, false);
  descriptors.setClosesOnExec(fd, flags != 0);
  return fd;
}

/** The watch of an epoll for `fd`, or null. Cost: the epolls that watch the same description. */
function find(epoll: Epoll, d: Description, fd: u32): Watch | null {
  let watch = changetype<Watch | null>(d.watches);
  while (watch !== null && (watch.epoll != epoll || watch.fd != fd)) watch = watch.next;
  return watch;
}

/** `epoll_ctl` (epoll, operation, fd, event). */
export function epollControl(guest: Guest, target: Description | null): i32 {
  const record = guest.record;
  const operation = <u32>record.argument(1);
  const fd = <u32>record.argument(2);
  const at = guest.memory(<u32>record.argument(3), EVENT);
  if (!at && operation != CONTROL_DELETE) return -WasiErrno.Fault;
  const d = guest.descriptors.at(fd);
  if (target === null || d === null) return -WasiErrno.Badf;
  // Files are always ready; Linux has no epolls of them either.
  if (d.kind == DescriptorKind.File || d.kind == DescriptorKind.Directory) return -WasiErrno.Perm;
  if (target.kind != DescriptorKind.Epoll || d == target) return -WasiErrno.Inval;
  const epoll = changetype<Epoll>(target);
  const watch = find(epoll, d, fd);
  if (operation == CONTROL_DELETE) {
    if (watch === null) return -WasiErrno.Noent;
    forget(watch);
    return 0;
  }
  const events = load<u32>(at) | SocketEvent.Error | SocketEvent.Hangup;
  const data = load<u64>(at, EVENT_DATA);
  const exclusive = (events & EXCLUSIVE) != 0;
  if (exclusive && (operation != CONTROL_ADD || events & ~WITH_EXCLUSIVE)) return -WasiErrno.Inval;
  // Deeper than any depth that may be: Linux allows four.
  if (d.kind == DescriptorKind.Epoll) return exclusive ? -WasiErrno.Inval : -WasiErrno.Loop;
  if (operation == CONTROL_ADD) {
    return watch === null ? add(epoll, d, fd, events, data) : -WasiErrno.Exist;
  }
  if (operation != CONTROL_MODIFY) return -WasiErrno.Inval;
  if (watch === null) return -WasiErrno.Noent;
  if (watch.events & EXCLUSIVE) return -WasiErrno.Inval;
  watch.events = events;
  watch.data = data;
  if (watch.ready) epoll.pull(watch);
  consider(watch, eventsOf(d));
  return 0;
}

function add(epoll: Epoll, d: Description, fd: u32, events: u32, data: u64): i32 {
  const descriptors = epoll.guest.descriptors;
  let watch = changetype<Watch | null>(descriptors.watchesFree);
  if (watch !== null) {
    descriptors.watchesFree = changetype<usize>(watch.next);
  } else {
    if (descriptors.watchesFresh == descriptors.limit) return -WasiErrno.Nospc;
    const index = descriptors.watchesFresh++;
    watch = changetype<Watch>(descriptors.watches + <usize>index * WATCH_BYTES);
  }
  watch.description = d;
  watch.epoll = epoll;
  watch.fd = fd;
  watch.events = events;
  watch.data = data;
  watch.ready = false;
  const next = changetype<Watch | null>(d.watches);
  watch.previous = null;
  watch.next = next;
  if (next !== null) next.previous = watch;
  d.watches = changetype<usize>(watch);
  const ownNext = epoll.first;
  watch.ownPrevious = null;
  watch.ownNext = ownNext;
  if (ownNext !== null) ownNext.ownPrevious = watch;
  epoll.first = watch;
  consider(watch, eventsOf(d));
  return 0;
}

/** Ends a watch. */
function forget(watch: Watch): void {
  const epoll = watch.epoll;
  const descriptors = epoll.guest.descriptors;
  if (watch.ready) epoll.pull(watch);
  const next = watch.next;
  const previous = watch.previous;
  if (next !== null) next.previous = previous;
  if (previous !== null) previous.next = next;
  else watch.description.watches = changetype<usize>(next);
  const ownNext = watch.ownNext;
  const ownPrevious = watch.ownPrevious;
  if (ownNext !== null) ownNext.ownPrevious = ownPrevious;
  if (ownPrevious !== null) ownPrevious.ownNext = ownNext;
  else epoll.first = ownNext;
  watch.next = changetype<Watch | null>(descriptors.watchesFree);
  descriptors.watchesFree = changetype<usize>(watch);
}

/** Of what holds, what a watch asks for; nothing once it has fired for good. */
@inline function asked(watch: Watch, holds: u32): u32 {
  return watch.events & ~MANNER ? wanted(holds, watch.events) : 0;
}

/** Puts a watch on the ready list if what it asks for is among what holds. */
function consider(watch: Watch, holds: u32): void {
  if (watch.ready || !asked(watch, holds)) return;
  const epoll = watch.epoll;
  epoll.push(watch);
  newsOf(epoll, SocketEvent.Readable);
}

/** There is news of a description that epolls watch, and `holds` is what now holds of it. */
export function watchNews(d: Description, holds: u32): void {
  let watch = changetype<Watch | null>(d.watches);
  while (watch !== null) {
    consider(watch, holds);
    watch = watch.next;
  }
}

/** Ends all that watches a description. */
export function watchesForget(d: Description): void {
  for (let watch = d.watches; watch; watch = d.watches) forget(changetype<Watch>(watch));
}

/** Ends an epoll. */
export function epollClose(d: Description): void {
  const epoll = changetype<Epoll>(d);
  for (let watch = epoll.first; watch !== null; watch = epoll.first) forget(watch);
}

/** `SocketEvent`s that hold of an epoll: Readable if it has something to tell. Cost: what turns out to be over. */
export function epollEvents(d: Description): u32 {
  const epoll = changetype<Epoll>(d);
  for (let watch = epoll.readyHead; watch !== null; watch = epoll.readyHead) {
    if (asked(watch, eventsOf(watch.description))) return SocketEvent.Readable;
    epoll.pull(watch);
  }
  return 0;
}

/** `epoll_wait` (epoll, events, count, ns or below 0 for ever): how many events were written. */
export function epollWait(guest: Guest, target: Description | null, again: bool): i32 {
  const record = guest.record;
  const most = <u32>record.argument(2);
  if (<i32>most <= 0 || most > <u32>i32.MAX_VALUE / EVENT) return -WasiErrno.Inval;
  const into = guest.memory(<u32>record.argument(1), most * EVENT);
  if (!into) return -WasiErrno.Fault;
  if (target === null) return -WasiErrno.Badf;
  if (target.kind != DescriptorKind.Epoll) return -WasiErrno.Inval;
  const epoll = changetype<Epoll>(target);
  let written: u32 = 0;
  for (let left = epoll.readyCount; left > 0 && written < most; left--) {
    const watch = changetype<Watch>(epoll.readyHead);
    epoll.pull(watch);
    const events = asked(watch, eventsOf(watch.description));
    if (!events) continue;
    store<u32>(into + written * EVENT, events);
    store<u64>(into + written * EVENT, watch.data, EVENT_DATA);
    written++;
    if (watch.events & ONE_SHOT) watch.events &= MANNER;
    else if (!(watch.events & EDGE)) epoll.push(watch);
  }
  if (written) return written;
  const moment = momentAfter(guest, record.argument(3), again);
  if (moment) guest.parkFor(target, SocketEvent.Readable, moment);
  return 0;
}
