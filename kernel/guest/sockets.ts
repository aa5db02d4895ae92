import { Layout, ReceiveFlag, SendFlag } from "../../sdk/assembly/syscalls";
import { Errno } from "../errno";
import * as sockets from "../socket";
import { SocketAddress } from "../socket";
import { GuestCall } from "./calls";
import {
  DESCRIPTORS,
  Descriptor,
  DescriptorKind,
  descriptorAt,
  descriptorFree,
  descriptorSet,
} from "./descriptors";
import { WasiErrno, wasiErrno } from "./errno";
import { Guest } from "./guest";

/**
 * A guest's sockets: Berkeley's calls over those of kernel/socket.ts, which never wait. Here what would
 * have to parks the guest until its socket has news; the call is then made again, as it was.
 *
 * Results are 0 or more, or a `WasiErrno` below zero; those of WASI's own calls an errno above.
 */

/** WASI: `riflags`, `fdflags`. */
const RECV_PEEK: u32 = 1;
const FDFLAGS_NONBLOCK: u32 = 4;

const IOVEC: u32 = 8;
const IOVECS_MAX: u32 = 1024;

/** The socket that `fd` stands for, or null. */
@inline function socketOf(guest: Guest, fd: u32): Descriptor | null {
  const d = descriptorAt(guest.descriptors, fd);
  return d !== null && d.kind == DescriptorKind.Socket ? d : null;
}

/** Why `fd` is no socket. */
function noSocket(guest: Guest, fd: u32): i32 {
  return -(descriptorAt(guest.descriptors, fd) === null ? WasiErrno.Badf : WasiErrno.Notsock);
}

/** A kernel's result as the guest's. */
@inline function result(value: i32): i32 {
  return value < 0 ? -(<i32>wasiErrno(-value)) : value;
}

/** The same; what cannot be done yet parks the guest, if its descriptor may wait. */
function waiting(guest: Guest, d: Descriptor, value: i32): i32 {
  if (value == -Errno.EAGAIN && !d.nonBlocking) {
    guest.park(d.socket, u64.MAX_VALUE);
    return 0;
  }
  return result(value);
}

/** A call of the module `skerry`: its result, unless the guest is parked. */
export function socketCall(guest: Guest, call: u32): i32 {
  const record = guest.record;
  const a0 = <u32>record.argument(0);
  const a1 = <u32>record.argument(1);
  const a2 = <u32>record.argument(2);
  const a3 = <u32>record.argument(3);
  if (call == GuestCall.socket) return open(guest, sockets.socket(a0), false);
  const d = socketOf(guest, a0);
  if (d === null) return noSocket(guest, a0);
  switch (call) {
    case GuestCall.bind:
    case GuestCall.connect:
    case GuestCall.local_address:
    case GuestCall.peer_address:
      return withAddress(guest, call, d, a1);
    case GuestCall.listen:
      return result(sockets.listen(d.socket, a1));
    case GuestCall.accept: {
      const address = a1 ? guest.memory(a1, Layout.Address) : 0;
      if (a1 && !address) return -WasiErrno.Fault;
      return accept(guest, d, address, a2 & FDFLAGS_NONBLOCK);
    }
    case GuestCall.send: {
      const from = guest.memory(a1, a2);
      if (!from) return -WasiErrno.Fault;
      return waiting(guest, d, sockets.send(d.socket, from, a2, a3 | SendFlag.NoSignal));
    }
    case GuestCall.receive: {
      const into = guest.memory(a1, a2);
      if (!into) return -WasiErrno.Fault;
      return waiting(guest, d, sockets.receive(d.socket, into, a2, a3));
    }
    case GuestCall.send_to: {
      const from = guest.memory(a1, a2);
      const to = guest.memory(a3, Layout.Address);
      if (!from || !to) return -WasiErrno.Fault;
      const address = changetype<SocketAddress>(to);
      return waiting(guest, d, sockets.sendTo(d.socket, from, a2, address, SendFlag.NoSignal));
    }
    case GuestCall.receive_from: {
      const into = guest.memory(a1, a2);
      const from = a3 ? guest.memory(a3, Layout.Address) : 0;
      if (!into || (a3 && !from)) return -WasiErrno.Fault;
      const address = changetype<SocketAddress | null>(from);
      return waiting(guest, d, sockets.receiveFrom(d.socket, into, a2, address));
    }
    case GuestCall.set_option:
      return result(sockets.setOption(d.socket, a1, a2));
    case GuestCall.get_option:
      return result(sockets.getOption(d.socket, a1));
    default:
      return -WasiErrno.Nosys;
  }
}

/** The calls that take an address and nothing else. */
function withAddress(guest: Guest, call: u32, d: Descriptor, at: u32): i32 {
  const memory = guest.memory(at, Layout.Address);
  if (!memory) return -WasiErrno.Fault;
  const address = changetype<SocketAddress>(memory);
  if (call == GuestCall.bind) return result(sockets.bind(d.socket, address));
  if (call == GuestCall.local_address) return result(sockets.localAddress(d.socket, address));
  if (call == GuestCall.peer_address) return result(sockets.peerAddress(d.socket, address));
  const connected = sockets.connect(d.socket, address);
  const under = connected == -Errno.EINPROGRESS || connected == -Errno.EALREADY;
  if (!under || d.nonBlocking) return result(connected);
  guest.park(d.socket, u64.MAX_VALUE);
  return 0;
}

/** Gives a new socket, or the error that there is none, a descriptor. */
function open(guest: Guest, socket: i32, nonBlocking: bool): i32 {
  if (socket < 0) return result(socket);
  const fd = descriptorFree(guest.descriptors);
  if (fd == DESCRIPTORS) {
    sockets.close(socket);
    return -WasiErrno.Mfile;
  }
  sockets.setGuest(socket, guest.index + 1);
  descriptorSet(guest.descriptors, fd, socket, nonBlocking);
  return fd;
}

function accept(guest: Guest, d: Descriptor, address: usize, flags: u32): i32 {
  // Not only to close it again.
  if (descriptorFree(guest.descriptors) == DESCRIPTORS) return -WasiErrno.Mfile;
  const accepted = sockets.accept(d.socket);
  if (accepted < 0) return waiting(guest, d, accepted);
  if (address) sockets.peerAddress(accepted, changetype<SocketAddress>(address));
  return open(guest, accepted, flags != 0);
}

/** Ends all sockets of a guest that has ended, as if it had closed them. */
export function closeAll(guest: Guest): void {
  for (let fd: u32 = 0; fd < DESCRIPTORS; fd++) closeDescriptor(guest, fd);
}

/** `fd_close`. */
export function closeDescriptor(guest: Guest, fd: u32): WasiErrno {
  const d = descriptorAt(guest.descriptors, fd);
  if (d === null) return WasiErrno.Badf;
  if (d.kind == DescriptorKind.Socket) sockets.close(d.socket);
  d.kind = <u8>DescriptorKind.Free;
  return WasiErrno.Success;
}

// ---- WASI's own ----------------------------------------------------------------------------

/** `sock_accept`: (fd, flags, into). */
export function sockAccept(guest: Guest): WasiErrno {
  const record = guest.record;
  const fd = <u32>record.argument(0);
  const into = guest.memory(<u32>record.argument(2), 4);
  const d = socketOf(guest, fd);
  if (d === null) return <WasiErrno>-noSocket(guest, fd);
  if (!into) return WasiErrno.Fault;
  const accepted = accept(guest, d, 0, (<u32>record.argument(1)) & FDFLAGS_NONBLOCK);
  if (guest.parked) return WasiErrno.Success;
  if (accepted < 0) return <WasiErrno>-accepted;
  store<u32>(into, accepted);
  return WasiErrno.Success;
}

/** `sock_shutdown`: (fd, 1 reading, 2 writing, 3 both). */
export function sockShutdown(guest: Guest): WasiErrno {
  const fd = <u32>guest.record.argument(0);
  const how = <u32>guest.record.argument(1);
  const d = socketOf(guest, fd);
  if (d === null) return <WasiErrno>-noSocket(guest, fd);
  if (how - 1 > 2) return WasiErrno.Inval;
  return <WasiErrno>-result(sockets.shutdown(d.socket, how - 1));
}

/**
 * `fd_read` and `sock_recv` of a socket: bytes for the first of `count` buffers in the list at `list`
 * that has room; how many, to `into`. A reader takes what there is, so one buffer is enough.
 */
export function readVector(
  guest: Guest,
  d: Descriptor,
  list: u32,
  count: u32,
  riflags: u32,
  into: u32,
): WasiErrno {
  const at = vector(guest, list, count);
  const size = guest.memory(into, 4);
  if (!at || !size) return WasiErrno.Fault;
  let taken: i32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const length = load<u32>(at + i * IOVEC, 4);
    if (!length) continue;
    const buffer = guest.memory(load<u32>(at + i * IOVEC), length);
    if (!buffer) return WasiErrno.Fault;
    const flags = riflags & RECV_PEEK ? ReceiveFlag.Peek : ReceiveFlag.None;
    taken = waiting(guest, d, sockets.receive(d.socket, buffer, length, flags));
    break;
  }
  if (taken < 0) return <WasiErrno>-taken;
  store<u32>(size, taken);
  return WasiErrno.Success;
}

/**
 * `fd_write` and `sock_send` to a socket, likewise: as much as there is room for. What a datagram
 * has to say must be in one buffer.
 */
export function writeVector(
  guest: Guest,
  d: Descriptor,
  list: u32,
  count: u32,
  into: u32,
): WasiErrno {
  const at = vector(guest, list, count);
  const size = guest.memory(into, 4);
  if (!at || !size) return WasiErrno.Fault;
  let written: i32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const length = load<u32>(at + i * IOVEC, 4);
    if (!length) continue;
    const from = guest.memory(load<u32>(at + i * IOVEC), length);
    if (!from) return WasiErrno.Fault;
    const sent = sockets.send(d.socket, from, length, SendFlag.NoSignal);
    if (sent < 0) {
      // What found room is said first, and the error when it is asked for again.
      if (written) break;
      const failed = waiting(guest, d, sent);
      return <WasiErrno>-failed;
    }
    written += sent;
    if (<u32>sent < length) break;
  }
  store<u32>(size, written);
  return WasiErrno.Success;
}

/** A list of `count` buffers, or 0. */
function vector(guest: Guest, list: u32, count: u32): usize {
  return count <= IOVECS_MAX ? guest.memory(list, count * IOVEC) : 0;
}
