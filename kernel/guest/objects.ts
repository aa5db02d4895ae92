import { SocketEvent } from "../../sdk/assembly/syscalls";
import { CONSOLE, PIPES } from "../features";
import * as sockets from "../socket";
import { consoleAvailable, consoleClose, consoleEvents } from "./console";
import { Description, DescriptorKind } from "./descriptors";
import { epollClose, epollEvents, watchesForget } from "./epoll";
import { WasiErrno } from "./errno";
import { closeNode } from "./files";
import { eventEvents } from "./eventfd";
import { Guest } from "./guest";
import { leasesClosed } from "./leases";
import { pipeAvailable, pipeClose, pipeEvents } from "./pipes";
import { timerClose, timerEvents } from "./timerfd";
import { result } from "./transfer";

/** What can be done with any description, whatever its kind: how it ends, and what holds of it now. */

/** Events that have a second name in poll(2), whose bit is 6 higher: POLLRDNORM, POLLWRNORM. */
export const POLL_NORMAL: u32 = 5;

/** `SocketEvent` bits that hold now: what Linux's `poll` would report. */
export function eventsOf(d: Description): u32 {
  switch (<u32>d.kind) {
    case DescriptorKind.Socket:
      return sockets.events(d.object);
    case DescriptorKind.Epoll:
      return epollEvents(d);
    case DescriptorKind.Event:
      return eventEvents(d);
    case DescriptorKind.Timer:
      return timerEvents(d);
    case DescriptorKind.Pipe:
      return PIPES ? pipeEvents(d) : 0;
    case DescriptorKind.Console:
      if (CONSOLE) return consoleEvents(d);
      return SocketEvent.Readable | SocketEvent.Writable;
    default:
      // A file never waits.
      return SocketEvent.Readable | SocketEvent.Writable;
  }
}

/** What may be read at once: bytes, or the next datagram's; or a `WasiErrno` below 0 (FIONREAD). */
export function availableOf(d: Description): i32 {
  switch (<u32>d.kind) {
    case DescriptorKind.Socket:
      return result(sockets.readable(d.object));
    case DescriptorKind.Pipe:
      return PIPES ? pipeAvailable(d) : 0;
    case DescriptorKind.Console:
      return CONSOLE ? consoleAvailable(d) : 0;
    default:
      return -WasiErrno.Inval;
  }
}

/** Ends what a description stands for. */
function closeObject(d: Description): void {
  watchesForget(d);
  switch (<u32>d.kind) {
    case DescriptorKind.Socket:
      leasesClosed(d);
      sockets.close(d.object);
      break;
    case DescriptorKind.File:
    case DescriptorKind.Directory:
      closeNode(d);
      break;
    case DescriptorKind.Epoll:
      epollClose(d);
      break;
    case DescriptorKind.Timer:
      timerClose(d);
      break;
    case DescriptorKind.Pipe:
      if (PIPES) pipeClose(d);
      break;
    case DescriptorKind.Console:
      if (CONSOLE) consoleClose(d);
      break;
    default:
  }
}

/** Frees a descriptor that is in use, and with the last one what it stands for. */
function close(guest: Guest, fd: u32, d: Description): void {
  if (!guest.descriptors.clear(fd)) return;
  closeObject(d);
  guest.descriptors.forget(d);
}

/** `close`, `fd_close`. */
export function closeDescriptor(guest: Guest, fd: u32): WasiErrno {
  const d = guest.descriptors.at(fd);
  if (d === null) return WasiErrno.Badf;
  close(guest, fd, d);
  return WasiErrno.Success;
}

/** Closes all descriptors of a guest that has ended, as if it had done so. */
export function closeAll(guest: Guest): void {
  const descriptors = guest.descriptors;
  for (let fd: u32 = 0; descriptors.used; fd++) {
    const d = descriptors.at(fd);
    if (d !== null) close(guest, fd, d);
  }
}

/** A second descriptor for what `fd` stands for, the lowest free one from `from` on; or a `WasiErrno` below 0. */
export function duplicate(guest: Guest, fd: u32, from: u32, closesOnExec: bool): i32 {
  const descriptors = guest.descriptors;
  const d = descriptors.at(fd);
  if (d === null) return -WasiErrno.Badf;
  if (from >= descriptors.limit) return -WasiErrno.Inval;
  const made = descriptors.lowest(from);
  if (made == descriptors.limit) return -WasiErrno.Mfile;
  descriptors.set(made, d);
  descriptors.setClosesOnExec(made, closesOnExec);
  return made;
}

/** Makes `to` a second descriptor for what `fd` stands for, in place of what it was: `to`, or an error. */
export function duplicateTo(guest: Guest, fd: u32, to: u32, closesOnExec: bool): i32 {
  const descriptors = guest.descriptors;
  const d = descriptors.at(fd);
  if (d === null || to >= descriptors.limit) return -WasiErrno.Badf;
  if (fd == to) return to;
  const old = descriptors.at(to);
  if (old !== null) close(guest, to, old);
  descriptors.set(to, d);
  descriptors.setClosesOnExec(to, closesOnExec);
  return to;
}

/** `fd_renumber`: moves `fd` to `to`, both in use, which closes what `to` was. */
export function renumber(guest: Guest, fd: u32, to: u32): WasiErrno {
  if (guest.descriptors.at(to) === null) return WasiErrno.Badf;
  const moved = duplicateTo(guest, fd, to, false);
  if (moved < 0) return <WasiErrno>-moved;
  if (fd != to) closeDescriptor(guest, fd);
  return WasiErrno.Success;
}
