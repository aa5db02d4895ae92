import {
  Layout,
  ReceiveFlag,
  SendFlag,
  SocketEvent,
  SocketOption,
  SocketType,
} from "../../sdk/assembly/syscalls";
import { Errno } from "../errno";
import { PIPES } from "../features";
import { monotonic } from "../host";
import { reserve } from "../memory";
import * as sockets from "../socket";
import { SocketAddress } from "../socket";
import { NEVER } from "../timer";
import { mayConnect } from "./allow";
import {
  bufferAt,
  buffersInit,
  checked,
  gather,
  lengthAt,
  listAt,
  listFault,
  listOf,
  scatter,
} from "./buffers";
import { Description, DescriptorKind } from "./descriptors";
import { WasiErrno, wasiErrno } from "./errno";
import { eventRead, eventWrite } from "./eventfd";
import { ANY_NEWS, Guest } from "./guest";
import { isPair, pipeReceive, pipeSend } from "./pipes";
import { SocketDescription } from "./sockets";
import { timerRead } from "./timerfd";
import { IOVECS_MOST } from "./wasi/layout";

/**
 * Bytes from a guest to what its descriptors stand for, and back: every call of that kind is one about a
 * list of buffers (kernel/guest/buffers.ts).
 *
 * A call that waits goes on, when it is made again, where it was: `Guest.done` has what is done.
 */

/** The longest datagram there is (RFC 768: its length field). */
const DATAGRAM_MOST: u32 = 65535;

/** What `send_message` and `receive_message` are given: `struct skerry_message` in sdk/c. */
@unmanaged
class Message {
  buffers: u32;
  count: u32;
  /** A peer's address, or 0. */
  address: u32;
  /** Written by `receive_message`: `ReceiveFlag.Truncate` of a datagram that was longer. */
  flags: u32;
}

/** Where a datagram of several buffers is put together; room for what else one call needs. */
let gathered: usize = 0;
/** Bytes that the last datagram was longer than its buffers. */
let cut: u32 = 0;

/** Start-up only. */
export function transferInit(): void {
  buffersInit();
  gathered = reserve(DATAGRAM_MOST + 1, 64);
}

/** `DATAGRAM_MOST` bytes at a multiple of 64, for as long as a call takes. */
@inline export function scratchRoom(): usize {
  return gathered;
}

/** A kernel's result as the guest's. */
@inline export function result(value: i32): i32 {
  return value < 0 ? -(<i32>wasiErrno(-value)) : value;
}

/**
 * What cannot be done yet: `done` bytes if any are, EAGAIN if the call must not wait or has waited long
 * enough; else the guest is parked until `events` hold.
 */
export function waiting(
  guest: Guest,
  d: Description,
  events: u32,
  done: u32,
  dontWait: bool,
  again: bool,
): i32 {
  if (!dontWait && !d.nonBlocking) {
    let moment = NEVER;
    if (d.kind == DescriptorKind.Socket) {
      const s = changetype<SocketDescription>(d);
      const timeout = events & SocketEvent.Writable ? s.sendTimeout : s.receiveTimeout;
      if (timeout) {
        const now = monotonic();
        if (!again) guest.since = now;
        moment = timeout > NEVER - guest.since ? NEVER : guest.since + timeout;
        if (now >= moment) return done ? done : -WasiErrno.Again;
      }
    }
    guest.done = done;
    guest.parkFor(d, events, moment);
    return 0;
  }
  return done ? done : -WasiErrno.Again;
}

// ---- Sending ---------------------------------------------------------------------------------

/** Sends a list of buffers: a stream's bytes, all of them if the call may wait, or one datagram. */
export function sendList(
  guest: Guest,
  d: Description,
  list: usize,
  count: u32,
  flags: u32,
  to: SocketAddress | null,
  again: bool,
): i32 {
  if (flags & ~(SendFlag.DontWait | SendFlag.NoSignal | SendFlag.More | SendFlag.FastOpen)) {
    return -WasiErrno.Notsup;
  }
  const total = checked(guest, list, count);
  if (total < 0) return total;
  if (PIPES && d.kind == DescriptorKind.Pipe) {
    return pipeSend(guest, d, list, total, flags, again);
  }
  const type = changetype<SocketDescription>(d).type;
  const elsewhere = type != SocketType.Stream || flags & SendFlag.FastOpen;
  if (to !== null && elsewhere && !again && !mayConnect(guest, type, to)) return -WasiErrno.Acces;
  if (!changetype<SocketDescription>(d).stream) {
    return sendDatagram(guest, d, list, count, total, flags, to);
  }
  const dontWait = (flags & SendFlag.DontWait) != 0;
  const done: u32 = again ? guest.done : 0;
  if (flags & SendFlag.FastOpen) {
    if (to === null) return -WasiErrno.Destaddrreq;
    const began = sendFirst(guest, d, list, count, flags, to);
    if (began == -Errno.EINPROGRESS || began == -Errno.EALREADY) {
      if (dontWait || d.nonBlocking) return result(began);
      return waiting(guest, d, SocketEvent.Writable, 0, false, again);
    }
    if (began != -Errno.EISCONN) return result(began);
    flags &= ~SendFlag.FastOpen;
  }
  return sendStream(guest, d, list, count, total, done, flags, again);
}

/** Bytes of the first buffer with the SYN (RFC 7413). */
function sendFirst(
  guest: Guest,
  d: Description,
  list: usize,
  count: u32,
  flags: u32,
  to: SocketAddress,
): i32 {
  let first: u32 = 0;
  while (first + 1 < count && !lengthAt(list, first)) first++;
  const length = count ? lengthAt(list, first) : 0;
  const from = length ? bufferAt(guest, list, first, 0) : guest.record.memory;
  return sockets.sendTo(d.object, from, length, to, flags);
}

function sendStream(
  guest: Guest,
  d: Description,
  list: usize,
  count: u32,
  total: u32,
  done: u32,
  flags: u32,
  again: bool,
): i32 {
  const dontWait = (flags & SendFlag.DontWait) != 0;
  if (!total) return result(sockets.send(d.object, guest.record.memory, 0, flags));
  if (count == 2 && !done && lengthAt(list, 0) && lengthAt(list, 1)) {
    // A head and what it is about.
    const first = lengthAt(list, 0);
    const behind = bufferAt(guest, list, 1, 0);
    const from = bufferAt(guest, list, 0, 0);
    const sent = sockets.sendTwo(d.object, from, first, behind, total - first, flags);
    if (sent < 0 && sent != -Errno.EAGAIN) return result(sent);
    if (<u32>sent == total) return sent;
    return waiting(guest, d, SocketEvent.Writable, max(sent, 0), dontWait, again);
  }
  let skip = done;
  for (let i: u32 = 0; i < count; i++) {
    const length = lengthAt(list, i);
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const left = length - skip;
    const sent = sockets.send(d.object, bufferAt(guest, list, i, skip), left, flags);
    // What found room is said first, and the error when it is asked for again.
    if (sent < 0 && sent != -Errno.EAGAIN) return done ? done : result(sent);
    if (sent > 0) done += sent;
    if (sent < <i32>left) {
      return waiting(guest, d, SocketEvent.Writable, done, dontWait, again);
    }
    skip = 0;
  }
  return done;
}

function sendDatagram(
  guest: Guest,
  d: Description,
  list: usize,
  count: u32,
  total: u32,
  flags: u32,
  to: SocketAddress | null,
): i32 {
  if (flags & (SendFlag.More | SendFlag.FastOpen)) return -WasiErrno.Notsup;
  if (total > DATAGRAM_MOST) return -WasiErrno.Msgsize;
  let from = guest.record.memory;
  let parts: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    if (!lengthAt(list, i)) continue;
    from = bufferAt(guest, list, i, 0);
    parts++;
  }
  if (parts > 1) {
    from = gathered;
    gather(guest, list, 0, gathered, total);
  }
  return result(
    to === null
      ? sockets.send(d.object, from, total, flags)
      : sockets.sendTo(d.object, from, total, to, flags),
  );
}

// ---- Receiving -------------------------------------------------------------------------------

/** Receives into a list of buffers: a stream's bytes, or one datagram, of which `cut` says what did not fit. */
export function receiveList(
  guest: Guest,
  d: Description,
  list: usize,
  count: u32,
  flags: u32,
  from: SocketAddress | null,
  again: bool,
): i32 {
  cut = 0;
  const known =
    ReceiveFlag.Peek | ReceiveFlag.Truncate | ReceiveFlag.DontWait | ReceiveFlag.WaitAll;
  if (flags & ~known) return -WasiErrno.Notsup;
  const total = checked(guest, list, count);
  if (total < 0) return total;
  if (PIPES && d.kind == DescriptorKind.Pipe) {
    return pipeReceive(guest, d, list, total, flags, from, again);
  }
  if (!changetype<SocketDescription>(d).stream) {
    return receiveDatagram(guest, d, list, count, total, flags, from, again);
  }
  const received = receiveStream(guest, d, list, count, total, flags, again);
  if (received >= 0 && from !== null && !guest.parked) {
    sockets.peerAddress(d.object, from);
    changetype<SocketDescription>(d).sign(from);
  }
  return received;
}

function receiveStream(
  guest: Guest,
  d: Description,
  list: usize,
  count: u32,
  total: u32,
  flags: u32,
  again: bool,
): i32 {
  const number = d.object;
  const peek = (flags & ReceiveFlag.Peek) != 0;
  const all = (flags & ReceiveFlag.WaitAll) != 0;
  const dontWait = (flags & ReceiveFlag.DontWait) != 0;
  let done: u32 = again && !peek ? guest.done : 0;
  let skip = done;
  let i: u32 = 0;
  while (true) {
    while (i < count && skip >= lengthAt(list, i)) skip -= lengthAt(list, i++);
    if (i == count && total) return done;
    const room = total ? lengthAt(list, i) - skip : 0;
    const at = total ? bufferAt(guest, list, i, skip) : guest.record.memory;
    // An error is told once: not with bytes that came before it.
    const failed = done && sockets.events(number) & SocketEvent.Error;
    if (failed && !sockets.available(number)) return done;
    const got = sockets.receive(number, at, room, flags);
    if (got == -Errno.EAGAIN) {
      return waiting(guest, d, SocketEvent.Readable, done, dontWait, again);
    }
    if (got < 0) return done ? done : result(got);
    if (peek) return peeked(guest, d, got, room, flags, again);
    done += got;
    skip += got;
    if (!got) return done;
    if (<u32>got == room) continue;
    // There is no more: who does not wait for it need not be asked how much would be enough.
    if (dontWait || d.nonBlocking) return done;
    if (done >= (all ? total : lowWater(number, total))) return done;
  }
}

/** What a look at `got` bytes, with room for more, comes to: they stay, so only more of them are news. */
function peeked(guest: Guest, d: Description, got: u32, room: u32, flags: u32, again: bool): i32 {
  const all = (flags & ReceiveFlag.WaitAll) != 0;
  if (!all || got == room || sockets.events(d.object) & SocketEvent.ReadHangup) return got;
  const dontWait = (flags & ReceiveFlag.DontWait) != 0;
  return waiting(guest, d, SocketEvent.Readable | ANY_NEWS, got, dontWait, again);
}

/** Bytes for which a call that takes at most `total` waits (SO_RCVLOWAT). */
@inline function lowWater(number: u32, total: u32): u32 {
  return min<u32>(sockets.getOption(number, SocketOption.ReceiveLowWater), total);
}

function receiveDatagram(
  guest: Guest,
  d: Description,
  list: usize,
  count: u32,
  total: u32,
  flags: u32,
  from: SocketAddress | null,
  again: bool,
): i32 {
  const number = d.object;
  const error = sockets.getOption(number, SocketOption.Error);
  if (error > 0) return -(<i32>wasiErrno(error));
  const length = from === null ? sockets.peekRun(number) : sockets.peekRunFrom(number, from);
  if (length == -Errno.EAGAIN) {
    const dontWait = (flags & ReceiveFlag.DontWait) != 0;
    return waiting(guest, d, SocketEvent.Readable, 0, dontWait, again);
  }
  if (length < 0) return result(length);
  if (from !== null) changetype<SocketDescription>(d).sign(from);
  const copied = min<u32>(length, total);
  scatter(guest, list, 0, sockets.runAddress(), copied);
  cut = length - copied;
  if (!(flags & ReceiveFlag.Peek)) sockets.consume(number, length);
  return flags & ReceiveFlag.Truncate ? length : copied;
}

// ---- The calls -------------------------------------------------------------------------------

/** An address that a guest's call may leave out, or that is not all the guest's own: then it is 0, too. */
@inline function addressAt(guest: Guest, at: u32): SocketAddress | null {
  return changetype<SocketAddress | null>(at ? guest.memory(at, Layout.Address) : 0);
}

/** `send` (fd, from, length, flags). */
export function send(guest: Guest, d: Description, again: bool): i32 {
  const record = guest.record;
  const list = listOf(<u32>record.argument(1), <u32>record.argument(2));
  return sendList(guest, d, list, 1, <u32>record.argument(3), null, again);
}

/** `receive` (fd, into, length, flags). */
export function receive(guest: Guest, d: Description, again: bool): i32 {
  const record = guest.record;
  const list = listOf(<u32>record.argument(1), <u32>record.argument(2));
  return receiveList(guest, d, list, 1, <u32>record.argument(3), null, again);
}

/** `send_to` (fd, from, length, address). */
export function sendTo(guest: Guest, d: Description, again: bool): i32 {
  const record = guest.record;
  const to = addressAt(guest, <u32>record.argument(3));
  if (to === null) return -WasiErrno.Fault;
  const list = listOf(<u32>record.argument(1), <u32>record.argument(2));
  return sendList(guest, d, list, 1, 0, to, again);
}

/** `receive_from` (fd, into, length, address or 0). */
export function receiveFrom(guest: Guest, d: Description, again: bool): i32 {
  const record = guest.record;
  const at = <u32>record.argument(3);
  const from = addressAt(guest, at);
  if (from === null && at) return -WasiErrno.Fault;
  const list = listOf(<u32>record.argument(1), <u32>record.argument(2));
  return receiveList(guest, d, list, 1, 0, from, again);
}

/** `send_message` (fd, message, flags). */
export function sendMessage(guest: Guest, d: Description, again: bool): i32 {
  const record = guest.record;
  const at = guest.memory(<u32>record.argument(1), offsetof<Message>());
  if (!at) return -WasiErrno.Fault;
  const message = changetype<Message>(at);
  const count = message.count;
  if (count > IOVECS_MOST) return -WasiErrno.Msgsize;
  const list = listAt(guest, message.buffers, count);
  const to = addressAt(guest, message.address);
  if (!list || (to === null && message.address)) return -WasiErrno.Fault;
  return sendList(guest, d, list, count, <u32>record.argument(2), to, again);
}

/** `receive_message` (fd, message, flags). */
export function receiveMessage(guest: Guest, d: Description, again: bool): i32 {
  const record = guest.record;
  const at = guest.memory(<u32>record.argument(1), offsetof<Message>());
  if (!at) return -WasiErrno.Fault;
  const message = changetype<Message>(at);
  const count = message.count;
  if (count > IOVECS_MOST) return -WasiErrno.Msgsize;
  const list = listAt(guest, message.buffers, count);
  const from = addressAt(guest, message.address);
  if (!list || (from === null && message.address)) return -WasiErrno.Fault;
  const received = receiveList(guest, d, list, count, <u32>record.argument(2), from, again);
  if (!guest.parked) message.flags = cut ? ReceiveFlag.Truncate : 0;
  return received;
}

// ---- WASI's own ------------------------------------------------------------------------------

/** WASI: `riflags`, `roflags`. */
const RECV_PEEK: u32 = 1;
const RECV_WAITALL: u32 = 2;
const DATA_TRUNCATED: u16 = 1;

/** Notes how many bytes the last datagram was longer than its buffers. */
@inline export function setCut(bytes: u32): void {
  cut = bytes;
}

/** Whether the last datagram was longer than its buffers. */
@inline export function wasCut(): bool {
  return cut != 0;
}

/** What a transfer came to, for a call that puts the number elsewhere. */
export function told(guest: Guest, transferred: i32, into: usize): WasiErrno {
  if (transferred < 0) return <WasiErrno>-transferred;
  if (!guest.parked) store<u32>(into, transferred);
  return WasiErrno.Success;
}

/** Whether a description is of the network's sockets or of a pair. */
@inline function isSocket(d: Description): bool {
  return d.kind == <u8>DescriptorKind.Socket || (PIPES && isPair(d));
}

/** `sock_send` (fd, list, count, flags, into). */
export function sockSend(guest: Guest, again: bool): WasiErrno {
  const record = guest.record;
  const d = guest.descriptors.at(<u32>record.argument(0));
  if (d === null) return WasiErrno.Badf;
  if (!isSocket(d)) return WasiErrno.Notsock;
  const count = <u32>record.argument(2);
  const list = listAt(guest, <u32>record.argument(1), count);
  const into = guest.memory(<u32>record.argument(4), 4);
  if (!list || !into) return listFault(count);
  // `siflags` has none yet.
  if (record.argument(3)) return WasiErrno.Inval;
  return told(guest, sendList(guest, d, list, count, 0, null, again), into);
}

/** `sock_recv` (fd, list, count, flags, into, roflags). */
export function sockRecv(guest: Guest, again: bool): WasiErrno {
  const record = guest.record;
  const d = guest.descriptors.at(<u32>record.argument(0));
  if (d === null) return WasiErrno.Badf;
  if (!isSocket(d)) return WasiErrno.Notsock;
  const count = <u32>record.argument(2);
  const list = listAt(guest, <u32>record.argument(1), count);
  const riflags = <u32>record.argument(3);
  const into = guest.memory(<u32>record.argument(4), 4);
  const roflags = guest.memory(<u32>record.argument(5), 2);
  if (!list || !into || !roflags) return listFault(count);
  if (riflags & ~(RECV_PEEK | RECV_WAITALL)) return WasiErrno.Inval;
  const flags =
    (riflags & RECV_PEEK ? ReceiveFlag.Peek : 0) |
    (riflags & RECV_WAITALL ? ReceiveFlag.WaitAll : 0);
  const received = receiveList(guest, d, list, count, flags, null, again);
  if (!guest.parked) store<u16>(roflags, cut ? DATA_TRUNCATED : 0);
  return told(guest, received, into);
}

/** `fd_read` of a socket, a pipe, an event or a timer; `into` has the number of bytes. */
export function readVector(
  guest: Guest,
  d: Description,
  at: u32,
  count: u32,
  into: u32,
  again: bool,
): WasiErrno {
  const list = listAt(guest, at, count);
  const size = guest.memory(into, 4);
  if (!list || !size) return listFault(count);
  if (d.kind == DescriptorKind.Socket || (PIPES && d.kind == DescriptorKind.Pipe)) {
    return told(guest, receiveList(guest, d, list, count, 0, null, again), size);
  }
  const number = numberAt(guest, list, count);
  if (!number || d.kind == DescriptorKind.Epoll) return WasiErrno.Inval;
  const read = d.kind == DescriptorKind.Event ? eventRead(d, number) : timerRead(d, number);
  return told(guest, read ? 8 : waiting(guest, d, SocketEvent.Readable, 0, false, again), size);
}

/** `fd_write` to a socket, a pipe or an event, likewise. */
export function writeVector(
  guest: Guest,
  d: Description,
  at: u32,
  count: u32,
  into: u32,
  again: bool,
): WasiErrno {
  const list = listAt(guest, at, count);
  const size = guest.memory(into, 4);
  if (!list || !size) return listFault(count);
  if (d.kind == DescriptorKind.Socket || (PIPES && d.kind == DescriptorKind.Pipe)) {
    return told(guest, sendList(guest, d, list, count, 0, null, again), size);
  }
  const number = d.kind == DescriptorKind.Event ? numberAt(guest, list, count) : 0;
  if (!number || load<u64>(number) == u64.MAX_VALUE) return WasiErrno.Inval;
  const written = eventWrite(d, load<u64>(number));
  return told(guest, written ? 8 : waiting(guest, d, SocketEvent.Writable, 0, false, again), size);
}

/** Where a list begins that has room for the number of an event or timer in its first buffer; or 0. */
function numberAt(guest: Guest, list: usize, count: u32): usize {
  if (checked(guest, list, count) < 0 || !count || lengthAt(list, 0) < 8) return 0;
  return bufferAt(guest, list, 0, 0);
}
