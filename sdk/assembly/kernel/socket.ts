import { Errno } from "../../../kernel/errno";
import { now } from "../../../kernel/clock";
import { packFile } from "../../../kernel/host";
import { boot, reserve, unreserved } from "../../../kernel/memory";
import { NEVER } from "../../../kernel/timer";
import { Layout, ReceiveFlag, SocketEvent, SocketOption } from "../syscalls";

/**
 * kernel/socket.ts for a guest: the same functions, over descriptors that never wait and an epoll. What
 * a socket has no room for is kept here until it has, and so are bytes received and not yet consumed;
 * both are rare: usually a request is one `receive` and its answer one `send_message`.
 */

/** Descriptors that a guest may have at most (kernel/guest/descriptors.ts). */
const DESCRIPTORS: u32 = 1024;
/** Bytes received at once, and bytes of answers gathered into one `send`. */
const BUFFER_BYTES: u32 = 32768;
/** Bytes of the pack that are worth a call of their own, with which they are not copied. */
const FILE_LEAST: u32 = 4096;
/** Buffers for bytes that have to be kept. */
const BUFFERS: u32 = 32;
const EVENTS: i32 = 256;

/** Contract: sdk/c/include/skerry.h. */
const NONBLOCK: u32 = 4;
const EPOLL_ADD: u32 = 1;
const EPOLL_MODIFY: u32 = 3;
/** Tells of news once, as kernel/socket.ts does (EPOLLET). */
const EPOLL_EDGE: u32 = 1 << 31;
/** News of a stream: what may be read, its end, what is wrong. */
const STREAM: u32 = SocketEvent.Readable | SocketEvent.ReadHangup | EPOLL_EDGE;
/** `struct skerry_message` for a list of two buffers, and that list. */
const MESSAGE_BYTES: i32 = 16;
const BUFFERS_BYTES: i32 = 16;
/** `epoll_event`: its events, and what it was asked for with. */
const EVENT_BYTES: i32 = 16;
const EVENT_DATA: usize = 8;
const SHUT_WRITE: u32 = 2;
/** `struct tcp_info`: segments that are not acknowledged, bytes that have not been sent. */
const UNACKNOWLEDGED: usize = 24;
const NOT_SENT: usize = 144;
const INFORMATION_BYTES: i32 = 148;

/** WASI's numbers of the errors that a program asks for. */
const WASI_AGAIN: i32 = 6;
const WASI_MFILE: i32 = 33;


@external("skerry", "socket")
declare function skerrySocket(type: u32, domain: u32, protocol: u32): i32;


@external("skerry", "bind")
declare function skerryBind(fd: u32, address: usize): i32;


@external("skerry", "listen")
declare function skerryListen(fd: u32, backlog: u32): i32;


@external("skerry", "accept")
declare function skerryAccept(fd: u32, peer: usize, flags: u32): i32;


@external("skerry", "send")
declare function skerrySend(fd: u32, from: usize, length: u32, flags: u32): i32;


@external("skerry", "send_message")
declare function skerrySendMessage(fd: u32, message: usize, flags: u32): i32;


@external("skerry", "send_file")
declare function skerrySendFile(fd: u32, file: u32, offset: i64, length: u32): i32;


@external("skerry", "receive")
declare function skerryReceive(fd: u32, into: usize, length: u32, flags: u32): i32;


@external("skerry", "set_option")
declare function skerrySetOption(fd: u32, option: u32, value: u32): i32;


@external("skerry", "get_option_data")
declare function skerryGetOptionData(fd: u32, option: u32, into: usize, length: u32): i32;


@external("skerry", "epoll_create")
declare function epollCreate(flags: u32): i32;


@external("skerry", "epoll_ctl")
declare function epollControl(epoll: u32, operation: u32, fd: u32, event: usize): i32;


@external("skerry", "epoll_wait")
declare function epollWait(epoll: u32, events: usize, count: u32, ns: i64): i32;


@external("wasi_snapshot_preview1", "fd_close")
declare function fdClose(fd: u32): u32;


@external("wasi_snapshot_preview1", "fd_fdstat_set_flags")
declare function fdSetFlags(fd: u32, flags: u32): u32;


@external("wasi_snapshot_preview1", "sock_shutdown")
declare function sockShutdown(fd: u32, how: u32): u32;

/** As the kernel's. */
@unmanaged
export class SocketAddress {
  hi: u64;
  lo: u64;
  port: u16;
  private zero0: u16;
  zone: u32;


  @inline set(port: u16): void {
    this.hi = 0;
    this.lo = 0;
    this.port = port;
  }
}

/** Bytes that have to be kept: `length` of them from `start` on. */
@unmanaged
class Buffer {
  next: Buffer | null;
  start: u32;
  length: u32;


  @inline get bytes(): usize {
    return changetype<usize>(this) + offsetof<Buffer>();
  }
}

/** One open descriptor. */
@unmanaged
class Socket {
  context: usize;
  /** Received and not consumed. */
  unread: Buffer | null;
  /** Copied, to be sent; then `staticLength` bytes where they lie. */
  unsent: Buffer | null;
  staticAt: usize;
  staticLength: u32;
  /** Tells an event of this use of the descriptor from one of the last. */
  generation: u32;
  open: bool;
  /** All that had come has been received. */
  drained: bool;
  /** The peer's end is behind what has come. */
  hungUp: bool;
  /** Something was lost for want of a buffer. */
  broken: bool;
  /** To be done once everything is sent. */
  ending: bool;
  closing: bool;


  @inline get waits(): bool {
    return this.unsent !== null || this.staticLength != 0;
  }
}

const table: usize = memory.data(<i32>(DESCRIPTORS * offsetof<Socket>()), 64);
const events: usize = memory.data(EVENTS * EVENT_BYTES, 8);
const event: usize = memory.data(EVENT_BYTES, 8);
const both: usize = memory.data(BUFFERS_BYTES, 8);
const message: usize = messageOf(memory.data(MESSAGE_BYTES, 8), both);
const information: usize = memory.data(INFORMATION_BYTES, 8);
const received: usize = memory.data(<i32>BUFFER_BYTES, 64);
const gathered: usize = memory.data(<i32>BUFFER_BYTES, 64);

let epoll: u32 = 0;
let opened: u32 = 0;
let eventCount: u32 = 0;
let eventNext: u32 = 0;
let readySocket: u32 = 0;
let readyBits: u32 = 0;
/** Whose bytes are in `received`, from where on, how many. */
let runOwner: u32 = 0;
let runAt: usize = 0;
let runLength: u32 = 0;
/** Whose bytes are in `gathered`, how many. */
let gatheredOwner: u32 = 0;
let gatheredLength: u32 = 0;
let buffersMade: u32 = 0;
let freeBuffer: Buffer | null = null;


@inline function at(fd: u32): Socket {
  return changetype<Socket>(table + <usize>fd * offsetof<Socket>());
}

/** Fills in a message of the two buffers of `list`. */
function messageOf(into: usize, list: usize): usize {
  store<u32>(into, <u32>list);
  store<u32>(into, 2, 4);
  return into;
}

/** A guest's result as the kernel's. */
@inline function result(value: i32): i32 {
  return value < 0 ? failure(-value) : value;
}

function failure(errno: i32): i32 {
  if (errno == WASI_AGAIN) return -Errno.EAGAIN;
  return errno == WASI_MFILE ? -Errno.EMFILE : -Errno.ECONNABORTED;
}

function takeBuffer(): Buffer | null {
  const free = freeBuffer;
  if (free !== null) {
    freeBuffer = free.next;
    return free;
  }
  const bytes = BUFFER_BYTES + <u32>offsetof<Buffer>();
  if (buffersMade == BUFFERS || unreserved() < bytes + 64) return null;
  buffersMade++;
  return changetype<Buffer>(reserve(bytes, 64));
}

function giveBuffer(buffer: Buffer): void {
  buffer.next = freeBuffer;
  freeBuffer = buffer;
}

/** Bytes kept in a buffer; null if there is none. */
function kept(from: usize, length: u32): Buffer | null {
  const buffer = takeBuffer();
  if (buffer === null) return null;
  buffer.start = 0;
  buffer.length = length;
  memory.copy(buffer.bytes, from, length);
  return buffer;
}

// ---- News ------------------------------------------------------------------------------------

/** Waits until a socket has news or the clock shows `deadline`. */
export function socketsWait(deadline: u64): void {
  flush();
  const at = now();
  const ns: i64 = deadline == NEVER ? -1 : deadline > at ? <i64>(deadline - at) : 0;
  eventNext = 0;
  eventCount = max(epollWait(epoll, events, EVENTS, ns), 0);
}

/** The next socket with news, or 0. */
export function nextReady(): u32 {
  flush();
  while (eventNext < eventCount) {
    const news = events + <usize>eventNext * EVENT_BYTES;
    eventNext++;
    const fd = load<u32>(news, EVENT_DATA);
    const s = at(fd);
    if (!s.open || s.generation != load<u32>(news, EVENT_DATA + 4)) continue;
    readyBits = load<u32>(news);
    s.drained = false;
    s.hungUp = (readyBits & SocketEvent.ReadHangup) != 0;
    if (s.waits && !(readyBits & SocketEvent.Error)) {
      push(fd, s);
      if (s.waits) continue;
      watch(EPOLL_MODIFY, fd, STREAM);
      if (s.ending) sockShutdown(fd, SHUT_WRITE);
    }
    if (s.closing) {
      end(fd, s);
      continue;
    }
    readySocket = fd;
    return fd;
  }
  return 0;
}

export function readyEvents(): u32 {
  return readyBits;
}

export function readyContext(): usize {
  return at(readySocket).context;
}

function watch(operation: u32, fd: u32, wanted: u32): void {
  store<u32>(event, wanted);
  store<u32>(event, fd, EVENT_DATA);
  store<u32>(event, at(fd).generation, EVENT_DATA + 4);
  epollControl(epoll, operation, fd, event);
}

// ---- Opening and ending ----------------------------------------------------------------------

function begin(fd: u32, news: u32): void {
  const s = at(fd);
  const generation = s.generation + 1;
  memory.fill(changetype<usize>(s), 0, offsetof<Socket>());
  s.generation = generation;
  s.open = true;
  opened++;
  watch(EPOLL_ADD, fd, news);
}

export function socket(type: u32, domain: u32): i32 {
  if (!epoll) epoll = epollCreate(0);
  const fd = skerrySocket(type, domain, 0);
  if (fd < 0) return result(fd);
  fdSetFlags(fd, NONBLOCK);
  // One that listens is told of again while there is no descriptor for who waits.
  begin(fd, SocketEvent.Readable);
  return fd;
}

export function bind(number: u32, to: SocketAddress): i32 {
  return result(skerryBind(number, changetype<usize>(to)));
}

export function listen(number: u32, backlog: u32): i32 {
  return result(skerryListen(number, backlog));
}

export function accept(number: u32): i32 {
  const listener = at(number);
  if (listener.drained) return -Errno.EAGAIN;
  const fd = skerryAccept(number, 0, NONBLOCK);
  if (fd < 0) {
    listener.drained = true;
    return result(fd);
  }
  begin(fd, STREAM);
  return fd;
}

/** What is queued is still sent. */
export function close(number: u32): i32 {
  if (gatheredOwner == number) flush();
  const s = at(number);
  if (s.waits && !s.broken) s.closing = true;
  else end(number, s);
  return 0;
}

function end(fd: u32, s: Socket): void {
  if (s.unread !== null) giveBuffer(s.unread!);
  if (s.unsent !== null) giveBuffer(s.unsent!);
  if (runOwner == fd) runLength = 0;
  s.open = false;
  opened--;
  fdClose(fd);
}

/** Ends our stream, the one direction that programs end. */
export function shutdown(number: u32, _how: u32): i32 {
  if (gatheredOwner == number) flush();
  const s = at(number);
  s.ending = s.waits;
  return s.ending ? 0 : result(-(<i32>sockShutdown(number, SHUT_WRITE)));
}

export function setContext(number: u32, context: usize): void {
  at(number).context = context;
}

export function setOption(number: u32, option: u32, value: u32): i32 {
  return result(skerrySetOption(number, option, value));
}

export function socketCapacity(): u32 {
  return DESCRIPTORS;
}

export function socketsOpen(): u32 {
  return opened;
}

// ---- Sending ---------------------------------------------------------------------------------

/** Sends what has been gathered. */
@inline function flush(): void {
  if (gatheredOwner) sendGathered();
}

function sendGathered(): void {
  const fd = gatheredOwner;
  gatheredOwner = 0;
  const sent = skerrySend(fd, gathered, gatheredLength, 0);
  if (<u32>sent != gatheredLength) keep(fd, sent, gathered, gatheredLength, 0, 0);
}

/**
 * Of `length` bytes, which may change, and `rest` that stay where they are, a call has taken `sent`, or failed:
 * keeps the others until there is room.
 */
function keep(fd: u32, sent: i32, from: usize, length: u32, placed: usize, rest: u32): void {
  const s = at(fd);
  if (sent < 0 && sent != -WASI_AGAIN) {
    s.broken = true; // its next event says so, too
    return;
  }
  const taken = <u32>max(sent, 0);
  if (taken < length) {
    s.unsent = kept(from + taken, length - taken);
    s.broken = s.unsent === null;
  }
  const ahead = taken > length ? taken - length : 0;
  s.staticAt = placed + ahead;
  s.staticLength = rest - ahead;
  if (!s.broken) watch(EPOLL_MODIFY, fd, SocketEvent.Writable | EPOLL_EDGE);
}

/** Whether bytes are the pack's, and enough of them to be sent from the file that it is. */
@inline function inFile(from: usize, length: u32): bool {
  const before = from - boot.pack;
  return (
    length >= FILE_LEAST && before < boot.packLength && length <= boot.packLength - <u32>before
  );
}

/** Sends bytes that stay where they are: how many found room, or an error of the guest's. */
function sendPlaced(fd: u32, from: usize, length: u32): i32 {
  if (!inFile(from, length)) return skerrySend(fd, from, length, 0);
  return skerrySendFile(fd, packFile(), <i64>(from - boot.pack), length);
}

/** Sends what a socket has kept, as far as it goes. */
function push(fd: u32, s: Socket): void {
  const buffer = s.unsent;
  if (buffer !== null) {
    const sent = skerrySend(fd, buffer.bytes + buffer.start, buffer.length, 0);
    if (sent < 0) return;
    buffer.start += sent;
    buffer.length -= sent;
    if (buffer.length) return;
    s.unsent = null;
    giveBuffer(buffer);
  }
  while (s.staticLength) {
    const sent = sendPlaced(fd, s.staticAt, s.staticLength);
    if (sent < 0) return;
    s.staticAt += sent;
    s.staticLength -= sent;
  }
}

export function send(number: u32, from: usize, length: u32): i32 {
  const s = at(number);
  if (s.broken) return -Errno.ECONNABORTED;
  if (s.waits) return -Errno.EAGAIN;
  if (gatheredOwner != number || gatheredLength + length > BUFFER_BYTES) {
    flush();
    if (s.waits) return -Errno.EAGAIN;
    gatheredLength = 0;
  }
  const taken = min(length, BUFFER_BYTES);
  memory.copy(gathered + gatheredLength, from, taken);
  gatheredOwner = number;
  gatheredLength += taken;
  return taken;
}

/** Sends bytes that stay where they are. */
export function sendStatic(number: u32, from: usize, length: u32): i32 {
  const s = at(number);
  if (s.broken) return -Errno.ECONNABORTED;
  if (s.waits) return -Errno.ENOBUFS;
  const before = gatheredOwner == number ? gatheredLength : 0;
  if (before + length <= BUFFER_BYTES && !inFile(from, length)) {
    send(number, from, length);
    return 0;
  }
  flush();
  s.staticAt = from;
  s.staticLength = length;
  if (s.unsent === null) push(number, s);
  if (s.staticLength) watch(EPOLL_MODIFY, number, SocketEvent.Writable | EPOLL_EDGE);
  return 0;
}

/** `length` bytes, then `rest` that stay where they are, without gathering them: all, kept here if need be. */
export function sendBoth(number: u32, from: usize, length: u32, placed: usize, rest: u32): i32 {
  if (gatheredOwner == number) flush();
  const s = at(number);
  if (s.broken) return -Errno.ECONNABORTED;
  if (s.waits) return -Errno.EAGAIN;
  const all = length + rest;
  if (length > BUFFER_BYTES || inFile(placed, rest)) {
    const sent = send(number, from, length);
    if (<u32>sent != length) return sent;
    const failed = sendStatic(number, placed, rest);
    return failed ? sent : all;
  }
  store<u32>(both, <u32>from);
  store<u32>(both, length, 4);
  store<u32>(both, <u32>placed, 8);
  store<u32>(both, rest, 12);
  const sent = skerrySendMessage(number, message, 0);
  if (<u32>sent != all) keep(number, sent, from, length, placed, rest);
  return all;
}

/** Bytes that wait here and in the kernel; those on their way are counted by segments. */
export function queued(number: u32): u32 {
  const s = at(number);
  const unsent = s.unsent;
  const here = s.staticLength + (unsent === null ? 0 : unsent.length);
  const got = skerryGetOptionData(number, SocketOption.Info, information, INFORMATION_BYTES);
  if (got != INFORMATION_BYTES) return here;
  return here + load<u32>(information, UNACKNOWLEDGED) + load<u32>(information, NOT_SENT);
}

export function sendReady(number: u32): bool {
  return !at(number).waits;
}

// ---- Receiving -------------------------------------------------------------------------------

/** Lends the first bytes that have come: how many, at `runAddress()`. */
export function peekRun(number: u32): i32 {
  const s = at(number);
  if (s.broken) return -Errno.ECONNABORTED;
  const unread = s.unread;
  if (unread !== null) {
    runAt = unread.bytes + unread.start;
    return unread.length;
  }
  if (runLength) {
    if (runOwner == number) return runLength;
    const owner = at(runOwner);
    owner.unread = kept(runAt, runLength);
    if (owner.unread === null) owner.broken = true;
    runLength = 0;
  }
  if (s.drained) return -Errno.EAGAIN;
  const got = skerryReceive(number, received, BUFFER_BYTES, 0);
  if (got <= 0) return result(got);
  // With room left there was no more, but for the end if that is known; what comes later is an event.
  s.drained = <u32>got < BUFFER_BYTES && !s.hungUp;
  runOwner = number;
  runAt = received;
  runLength = got;
  return got;
}

export function runAddress(): usize {
  return runAt;
}

/** Takes `length` bytes of the run. */
export function consume(number: u32, length: u32): i32 {
  const s = at(number);
  const unread = s.unread;
  if (unread === null) {
    runAt += length;
    runLength -= length;
    return 0;
  }
  unread.start += length;
  unread.length -= length;
  if (!unread.length) {
    s.unread = null;
    giveBuffer(unread);
  }
  return 0;
}

/** Whether bytes have come that are not consumed: some, or 0. */
export function available(number: u32): u32 {
  const s = at(number);
  if (s.unread !== null || (runOwner == number && runLength)) return 1;
  return skerryReceive(number, event, 1, ReceiveFlag.Peek) > 0 ? 1 : 0;
}
