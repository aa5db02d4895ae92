import { SocketEvent } from "../../sdk/assembly/syscalls";
import { Description, DescriptorKind } from "./descriptors";
import { WasiErrno } from "./errno";
import { Guest, news } from "./guest";

/** Events, as Linux's eventfd(2): a counter that is read and written as 8 bytes. */

/** Flags of `eventfd`; the last is what `Description.object` has. */
const NONBLOCK: u32 = 4;
const CLOEXEC: u32 = 2;
const SEMAPHORE: u32 = 1;

const MOST: u64 = u64.MAX_VALUE - 1;


@unmanaged
class Event extends Description {
  count: u64;
}

/** `eventfd` (initial, flags): a descriptor. */
export function eventMake(guest: Guest, initial: u64, flags: u32): i32 {
  if (flags & ~(NONBLOCK | CLOEXEC | SEMAPHORE) || initial > MOST) return -WasiErrno.Inval;
  const descriptors = guest.descriptors;
  if (!descriptors.hasRoom()) return -WasiErrno.Mfile;
  const fd = descriptors.open(DescriptorKind.Event, flags & SEMAPHORE, (flags & NONBLOCK) != 0);
  descriptors.setClosesOnExec(fd, (flags & CLOEXEC) != 0);
  changetype<Event>(descriptors.at(fd)).count = initial;
  return fd;
}

/** `SocketEvent`s that hold. */
@inline export function eventEvents(d: Description): u32 {
  const count = changetype<Event>(d).count;
  return (count ? SocketEvent.Readable : 0) | (count < MOST ? SocketEvent.Writable : 0);
}

/** Takes the counter, or 1 of it: false while it is 0. */
export function eventRead(d: Description, into: usize): bool {
  const event = changetype<Event>(d);
  const count = event.count;
  if (!count) return false;
  const taken = d.object & SEMAPHORE ? 1 : count;
  event.count = count - taken;
  store<u64>(into, taken);
  news(d);
  return true;
}

/** Adds to the counter: false while there is no room. */
export function eventWrite(d: Description, value: u64): bool {
  const event = changetype<Event>(d);
  if (value > MOST - event.count) return false;
  event.count += value;
  news(d);
  return true;
}
