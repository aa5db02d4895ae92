import { SocketEvent, SocketOption, SocketType } from "../../sdk/assembly/syscalls";
import { now } from "../clock";
import { consoleWrite, monotonic, wallClock } from "../host";
import { error } from "../log";
import { randomFill } from "../random";
import { available, events, getOption } from "../socket";
import { GuestCall } from "./calls";
import { Descriptor, DescriptorKind, descriptorAt } from "./descriptors";
import { WasiErrno } from "./errno";
import { ANY_SOCKET, Guest, GuestState, NO_SOCKET } from "./guest";
import {
  closeDescriptor,
  readVector,
  sockAccept,
  sockShutdown,
  socketCall,
  writeVector,
} from "./sockets";

/**
 * WASI preview 1 (wasi_snapshot_preview1.witx), as far as a program needs it that computes, waits, has
 * sockets and writes to the console: arguments, environment, clocks, random numbers, standard streams,
 * `sock_*`, poll, exit. Calls about files end in the errno that says so.
 */

const STDIN: u32 = 0;

/** `clockid`. */
const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;

/** `filetype`; the console is a terminal, as far as programs can tell. */
const CHARACTER_DEVICE: u8 = 2;
const SOCKET_DGRAM: u8 = 5;
const SOCKET_STREAM: u8 = 6;
/** `fdflags`. */
const NONBLOCK: u32 = 4;
/** `rights`. */
const RIGHT_READ: u64 = 1 << 1;
const RIGHT_WRITE: u64 = 1 << 6;

/** Sizes: `iovec`, `fdstat`, `subscription`, `event`. */
const IOVEC: u32 = 8;
const FDSTAT: u32 = 24;
const SUBSCRIPTION: u32 = 48;
const EVENT: u32 = 32;

/** What a shell says of a program that aborted. */
const ABORTED: u32 = 134;

/** The most of a list that a guest may pass. */
const LIST_MAX: u32 = 1024;

/**
 * Does the call that the guest has made, `again` if it was parked for it: its result is in the record, or
 * the guest is parked.
 */
export function guestCall(guest: Guest, again: bool): void {
  const record = guest.record;
  const call = record.call;
  switch (call) {
    case GuestCall.proc_exit:
      guest.exitCode = <u32>record.argument(0);
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
      guest.exitCode = ABORTED;
      guest.state = GuestState.Ended;
      return;
    case GuestCall.sched_yield:
      guest.yielded = true;
      record.result = WasiErrno.Success;
      return;
    case GuestCall.poll_oneoff:
      record.result = poll(guest, again);
      return;
    default:
      record.result =
        call >= <u32>GuestCall.socket
          ? <u64>(<u32>socketCall(guest, call))
          : simple(guest, call, <u32>record.argument(0), <u32>record.argument(1));
  }
}

/** The calls that are an errno and nothing else: that. */
function simple(guest: Guest, call: u32, a0: u32, a1: u32): WasiErrno {
  switch (call) {
    case GuestCall.args_sizes_get:
    case GuestCall.environ_sizes_get: {
      const first = guest.memory(a0, 4);
      const second = guest.memory(a1, 4);
      if (!first || !second) return WasiErrno.Fault;
      store<u32>(first, 0);
      store<u32>(second, 0);
      return WasiErrno.Success;
    }
    case GuestCall.args_get:
    case GuestCall.environ_get:
      return WasiErrno.Success;
    case GuestCall.clock_res_get: {
      const into = guest.memory(a1, 8);
      if (a0 > CLOCK_MONOTONIC) return WasiErrno.Inval;
      if (!into) return WasiErrno.Fault;
      store<u64>(into, a0 == CLOCK_REALTIME ? 1_000_000_000 : 1);
      return WasiErrno.Success;
    }
    case GuestCall.clock_time_get: {
      const into = guest.memory(<u32>guest.record.argument(2), 8);
      if (a0 > CLOCK_MONOTONIC) return WasiErrno.Inval;
      if (!into) return WasiErrno.Fault;
      store<u64>(into, a0 == CLOCK_REALTIME ? wallClock() : monotonic());
      return WasiErrno.Success;
    }
    case GuestCall.random_get: {
      const into = guest.memory(a0, a1);
      if (!into && a1) return WasiErrno.Fault;
      randomFill(into, a1);
      return WasiErrno.Success;
    }
    case GuestCall.fd_write:
    case GuestCall.sock_send: {
      const record = guest.record;
      const d = descriptorAt(guest.descriptors, a0);
      if (d === null) return WasiErrno.Badf;
      const count = <u32>record.argument(2);
      const into = <u32>record.argument(call == GuestCall.fd_write ? 3 : 4);
      if (d.kind == DescriptorKind.Socket) return writeVector(guest, d, a1, count, into);
      return call == GuestCall.fd_write ? print(guest, a0, a1) : WasiErrno.Notsock;
    }
    case GuestCall.fd_read:
    case GuestCall.sock_recv:
      return read(guest, call, a0, a1);
    case GuestCall.sock_accept:
      return sockAccept(guest);
    case GuestCall.sock_shutdown:
      return sockShutdown(guest);
    case GuestCall.fd_fdstat_get: {
      const into = guest.memory(a1, FDSTAT);
      const d = descriptorAt(guest.descriptors, a0);
      if (d === null) return WasiErrno.Badf;
      if (!into) return WasiErrno.Fault;
      memory.fill(into, 0, FDSTAT);
      store<u8>(into, fileType(d));
      store<u16>(into, d.nonBlocking ? NONBLOCK : 0, 2);
      store<u64>(into, RIGHT_READ | RIGHT_WRITE, 8);
      return WasiErrno.Success;
    }
    case GuestCall.fd_fdstat_set_flags: {
      const d = descriptorAt(guest.descriptors, a0);
      if (d === null) return WasiErrno.Badf;
      d.nonBlocking = (a1 & NONBLOCK) != 0;
      return WasiErrno.Success;
    }
    case GuestCall.fd_seek:
    case GuestCall.fd_tell:
      return descriptorAt(guest.descriptors, a0) === null ? WasiErrno.Badf : WasiErrno.Spipe;
    case GuestCall.fd_close:
      return closeDescriptor(guest, a0);
    case GuestCall.fd_prestat_get:
    case GuestCall.fd_prestat_dir_name:
      return WasiErrno.Badf;
    default:
      return WasiErrno.Nosys;
  }
}

function fileType(d: Descriptor): u8 {
  if (d.kind == DescriptorKind.Console) return CHARACTER_DEVICE;
  return getOption(d.socket, SocketOption.Type) == SocketType.Stream ? SOCKET_STREAM : SOCKET_DGRAM;
}

/** `fd_read` (fd, list, count, into) and `sock_recv` (fd, list, count, flags, into, roflags). */
function read(guest: Guest, call: u32, fd: u32, list: u32): WasiErrno {
  const record = guest.record;
  const receiving = call == GuestCall.sock_recv;
  const d = descriptorAt(guest.descriptors, fd);
  if (d === null) return WasiErrno.Badf;
  if (d.kind == DescriptorKind.Socket) {
    const flags = receiving ? <u32>record.argument(3) : 0;
    const into = <u32>record.argument(receiving ? 4 : 3);
    if (receiving) {
      const roflags = guest.memory(<u32>record.argument(5), 2);
      if (!roflags) return WasiErrno.Fault;
      store<u16>(roflags, 0);
    }
    return readVector(guest, d, list, <u32>record.argument(2), flags, into);
  }
  if (receiving) return WasiErrno.Notsock;
  // Nobody types: standard input has ended.
  const into = guest.memory(<u32>record.argument(3), 4);
  if (fd != STDIN) return WasiErrno.Badf;
  if (!into) return WasiErrno.Fault;
  store<u32>(into, 0);
  return WasiErrno.Success;
}

/** Writes the bytes of a list of `iovec`s to the console. */
function print(guest: Guest, fd: u32, list: u32): WasiErrno {
  const count = <u32>guest.record.argument(2);
  const into = guest.memory(<u32>guest.record.argument(3), 4);
  if (fd == STDIN) return WasiErrno.Badf;
  if (count > LIST_MAX) return WasiErrno.Inval;
  const at = guest.memory(list, count * IOVEC);
  if (!into || !at) return WasiErrno.Fault;
  let written: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const length = load<u32>(at + i * IOVEC, 4);
    if (!length) continue;
    const from = guest.memory(load<u32>(at + i * IOVEC), length);
    if (!from) return WasiErrno.Fault;
    consoleWrite(from, length);
    written += length;
  }
  store<u32>(into, written);
  return WasiErrno.Success;
}

// ---- poll_oneoff -----------------------------------------------------------------------------

/** `eventtype`, and where a subscription and an event have what. */
const EVENT_CLOCK: u32 = 0;
const EVENT_READ: u32 = 1;
const EVENT_WRITE: u32 = 2;
const SUBSCRIPTION_TYPE: u32 = 8;
const SUBSCRIPTION_FD: u32 = 16;
const CLOCK_ID: u32 = 16;
const CLOCK_TIMEOUT: u32 = 24;
const CLOCK_FLAGS: u32 = 40;
const CLOCK_ABSOLUTE: u32 = 1;
const HANGUP: u32 = 1;

/**
 * (in, out, count, into): waits until one of `count` subscriptions has come to pass, and tells of all that
 * have. Cost: the list, at each news of one of the guest's sockets.
 */
function poll(guest: Guest, again: bool): WasiErrno {
  const record = guest.record;
  const count = <u32>record.argument(2);
  if (!count || count > LIST_MAX) return WasiErrno.Inval;
  const subscriptions = guest.memory(<u32>record.argument(0), count * SUBSCRIPTION);
  const out = guest.memory(<u32>record.argument(1), count * EVENT);
  const into = guest.memory(<u32>record.argument(3), 4);
  if (!subscriptions || !out || !into) return WasiErrno.Fault;
  if (!again) guest.deadline = u64.MAX_VALUE;
  let written: u32 = 0;
  let sockets = NO_SOCKET;
  for (let i: u32 = 0; i < count; i++) {
    const at = subscriptions + i * SUBSCRIPTION;
    const type = <u32>load<u8>(at, SUBSCRIPTION_TYPE);
    const event = out + written * EVENT;
    if (type == EVENT_CLOCK) {
      if (load<u32>(at, CLOCK_ID) > CLOCK_MONOTONIC) return WasiErrno.Inval;
      if (!again) guest.deadline = min<u64>(guest.deadline, momentOf(at));
      continue;
    }
    if (type > EVENT_WRITE) return WasiErrno.Inval;
    const d = descriptorAt(guest.descriptors, load<u32>(at, SUBSCRIPTION_FD));
    if (d === null) tell(event, at, WasiErrno.Badf, 0, 0);
    else if (d.kind == DescriptorKind.Console) tell(event, at, WasiErrno.Success, 0, 0);
    else {
      sockets = ANY_SOCKET;
      const now = events(d.socket);
      const over = SocketEvent.Error | SocketEvent.Hangup;
      const wanted =
        type == EVENT_READ ? SocketEvent.Readable | SocketEvent.ReadHangup : SocketEvent.Writable;
      if (!(now & (wanted | over))) continue;
      const bytes = type == EVENT_READ ? available(d.socket) : 0;
      tell(event, at, WasiErrno.Success, bytes, now & SocketEvent.Hangup ? HANGUP : 0);
    }
    written++;
  }
  // A clock has nothing to say as long as something else has.
  if (!written && now() < guest.deadline) {
    guest.park(sockets, guest.deadline);
    return WasiErrno.Success;
  }
  for (let i: u32 = 0; i < count && !written; i++) {
    const at = subscriptions + i * SUBSCRIPTION;
    if (load<u8>(at, SUBSCRIPTION_TYPE) == <u8>EVENT_CLOCK) {
      tell(out, at, WasiErrno.Success, 0, 0);
      written = 1;
    }
  }
  store<u32>(into, written);
  return WasiErrno.Success;
}

/** When a clock's subscription comes to pass, on the kernel's clock. */
function momentOf(subscription: usize): u64 {
  let timeout = load<u64>(subscription, CLOCK_TIMEOUT);
  if (load<u16>(subscription, CLOCK_FLAGS) & (<u16>CLOCK_ABSOLUTE)) {
    if (load<u32>(subscription, CLOCK_ID) == CLOCK_MONOTONIC) return timeout;
    const wall = wallClock();
    timeout = timeout > wall ? timeout - wall : 0;
  }
  return timeout > u64.MAX_VALUE - now() ? u64.MAX_VALUE : timeout + now();
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
