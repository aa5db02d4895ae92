import {
  Layout,
  ReceiveFlag,
  SendFlag,
  SocketEvent,
  SocketOption,
  SocketType,
} from "../../sdk/assembly/syscalls";
import { reserveUncleared, unreserved } from "../memory";
import { SocketAddress } from "../socket";
import { gather, scatter } from "./buffers";
import { Description, DescriptorKind } from "./descriptors";
import { WasiErrno } from "./errno";
import { Guest, news } from "./guest";
import { setCut, waiting } from "./transfer";

/**
 * Pipes, as POSIX's pipe(2), and pairs of sockets that are connected with each other, as socketpair(2) of AF_UNIX:
 * within one guest, which writes at one end and reads at the other. What is on its way lies in a ring, which
 * belongs to the end that reads it.
 */

/** Flags of what makes descriptors. */
const NONBLOCK: u32 = 4;
const CLOEXEC: u32 = 2;

/** Bytes that a ring holds, as on Linux (pipe(7)); what is written in one piece (PIPE_BUF). */
const CAPACITY: u32 = 65536;
const ATOMIC: u32 = 4096;
/** Before each datagram in a ring: its length. */
const HEAD: u32 = 4;

/** Of memory at start-up, as a shift, what rings may have; and how many there are in any case. */
const SHARE: u32 = 4;
const RINGS_LEAST: u32 = 4;
const RINGS_MOST: u32 = 512;

/** `Layout.Address`' domain of what has no address (AF_UNIX of Linux). */
const LOCAL: u16 = 1;


@unmanaged
class Ring {
  /** Where the first byte is, and how many there are. */
  first: u32;
  used: u32;
  next: Ring | null;
  private unused: u32;


  @inline private get data(): usize {
    return changetype<usize>(this) + offsetof<Ring>();
  }

  /** Appends `length` bytes of a list behind its first `skip`: there is room. */
  gather(guest: Guest, list: usize, skip: u32, length: u32): void {
    const at = (this.first + this.used) & (CAPACITY - 1);
    const part = min<u32>(length, CAPACITY - at);
    gather(guest, list, skip, this.data + at, part);
    gather(guest, list, skip + part, this.data, length - part);
    this.used += length;
  }

  /** Copies bytes from `offset` on, which are there, into a list behind its first `skip`. */
  scatter(guest: Guest, offset: u32, list: usize, skip: u32, length: u32): void {
    const at = (this.first + offset) & (CAPACITY - 1);
    const part = min<u32>(length, CAPACITY - at);
    scatter(guest, list, skip, this.data + at, part);
    scatter(guest, list, skip + part, this.data, length - part);
  }

  /** The length that stands before the first datagram, perhaps across the ring's end. */
  get head(): u32 {
    let length: u32 = 0;
    for (let i: u32 = 0; i < HEAD; i++) {
      length |= (<u32>load<u8>(this.data + ((this.first + i) & (CAPACITY - 1)))) << (i << 3);
    }
    return length;
  }

  /** Appends a length. */
  putHead(length: u32): void {
    for (let i: u32 = 0; i < HEAD; i++) {
      const at = (this.first + this.used++) & (CAPACITY - 1);
      store<u8>(this.data + at, length >> (i << 3));
    }
  }

  drop(length: u32): void {
    this.first = (this.first + length) & (CAPACITY - 1);
    this.used -= length;
  }
}

/** One end. `Description.object`: 0 of a pipe, else the `SocketType` of a pair. */
@unmanaged
export class End extends Description {
  /** What it reads, its own; and what it writes, the peer's: none of a pipe's other end. */
  input: Ring | null;
  output: Ring | null;
  /** The other end; null once that is closed. */
  peer: End | null;
  /** A `WasiErrno` that the next call tells. */
  error: u32;
  reads: bool;
  writes: bool;
  /** Shut down: it hears that its input has ended; it may not write. */
  readShut: bool;
  writeShut: bool;

  /** Of a pair, and not of a pipe. */
  @inline get isSocket(): bool {
    return this.object != 0;
  }


  @inline get keepsBounds(): bool {
    return this.object == SocketType.Datagram;
  }

  /** Nothing will come any more. */
  @inline get ended(): bool {
    const peer = this.peer;
    return this.readShut || peer === null || peer.writeShut;
  }
}

let rings: Ring | null = null;
/** Rings that one guest may have. */
let share: u32 = 0;

/** Makes the rings of `guests` guests. Start-up only. */
export function pipesInit(guests: u32): void {
  const bytes = CAPACITY + <u32>offsetof<Ring>();
  const room = (unreserved() >> SHARE) / bytes;
  const count = max<u32>(RINGS_LEAST, min<u32>(RINGS_MOST, room));
  // Specs that are refused leave none.
  share = max<u32>(2, count / max<u32>(guests, 1));
  for (let i: u32 = 0; i < count; i++) ringFree(changetype<Ring>(reserveUncleared(bytes, 64)));
}

function ringFree(ring: Ring): void {
  ring.next = rings;
  rings = ring;
}

/** An empty ring; null when there are none left, or not for this guest. */
function take(guest: Guest): Ring | null {
  const ring = rings;
  if (ring === null || guest.rings == share) return null;
  guest.rings++;
  rings = ring.next;
  ring.first = 0;
  ring.used = 0;
  return ring;
}

/** Whether a description is an end of a pair of sockets. */
@inline export function isPair(d: Description): bool {
  return d.kind == <u8>DescriptorKind.Pipe && d.object != 0;
}

// ---- Making and ending -----------------------------------------------------------------------

/** A descriptor of a new end; there is room for it. */
function open(guest: Guest, object: u32, flags: u32): u32 {
  const fd = guest.descriptors.open(DescriptorKind.Pipe, object, (flags & NONBLOCK) != 0);
  guest.descriptors.setClosesOnExec(fd, (flags & CLOEXEC) != 0);
  return fd;
}


@inline function endAt(guest: Guest, fd: u32): End {
  return changetype<End>(guest.descriptors.at(fd));
}

/** `pipe` (flags, into): two descriptors, of what is read and of what is written. */
export function pipeMake(guest: Guest, flags: u32, at: u32): i32 {
  return make(guest, 0, flags, at);
}

/** `pair` (type, flags, into): two descriptors. */
export function pairMake(guest: Guest, type: u32, flags: u32, at: u32): i32 {
  if (type != SocketType.Stream && type != SocketType.Datagram) return -WasiErrno.Protonosupport;
  return make(guest, type, flags, at);
}

function make(guest: Guest, type: u32, flags: u32, at: u32): i32 {
  if (flags & ~(NONBLOCK | CLOEXEC)) return -WasiErrno.Inval;
  const into = guest.memory(at, 8);
  if (!into) return -WasiErrno.Fault;
  if (!guest.descriptors.hasRoom(2)) return -WasiErrno.Mfile;
  const input = take(guest);
  if (input === null) return -WasiErrno.Nfile;
  const back = type ? take(guest) : null;
  if (type && back === null) {
    giveBack(guest, input);
    return -WasiErrno.Nfile;
  }
  const one = open(guest, type, flags);
  const two = open(guest, type, flags);
  const first = endAt(guest, one);
  const second = endAt(guest, two);
  first.peer = second;
  second.peer = first;
  first.input = input;
  second.output = input;
  second.input = back;
  first.output = back;
  first.reads = second.writes = true;
  first.writes = second.reads = type != 0;
  store<u32>(into, one);
  store<u32>(into, two, 4);
  return 0;
}

function giveBack(guest: Guest, ring: Ring): void {
  ringFree(ring);
  guest.rings--;
}

/** Ends an end. Bytes that nobody has read are lost, and the peer of a stream hears of it, as on Linux. */
export function pipeClose(d: Description): void {
  const end = changetype<End>(d);
  const input = end.input;
  const peer = end.peer;
  if (peer !== null) {
    peer.peer = null;
    const stream = end.object == SocketType.Stream;
    if (stream && input!.used) peer.error = WasiErrno.Connreset;
    news(peer);
  }
  if (input !== null) giveBack(end.guest, input);
}

/** `sock_shutdown` of a pair, 1 reading, 2 writing, 3 both. */
export function pairShutdown(d: Description, how: u32): void {
  const end = changetype<End>(d);
  if (how & 1) end.readShut = true;
  if (how & 2) end.writeShut = true;
  news(end);
  const peer = end.peer;
  if (peer !== null) news(peer);
}

/** `SocketEvent`s that hold, as Linux has them (fs/pipe.c, net/unix/af_unix.c). */
export function pipeEvents(d: Description): u32 {
  const end = changetype<End>(d);
  const peer = end.peer;
  const input = end.input;
  let events: u32 = end.error ? SocketEvent.Error : 0;
  if (input !== null && input.used) events |= SocketEvent.Readable;
  if (!end.isSocket) {
    if (peer === null)
      return events | (end.reads ? SocketEvent.Hangup : SocketEvent.Error | SocketEvent.Writable);
    return end.writes && CAPACITY - end.output!.used >= ATOMIC
      ? events | SocketEvent.Writable
      : events;
  }
  // Who is alone has nobody to wait for.
  if (peer === null || hasRoom(end, end.output!)) events |= SocketEvent.Writable;
  if (end.keepsBounds)
    return end.readShut ? events | SocketEvent.Readable | SocketEvent.ReadHangup : events;
  if (end.ended) events |= SocketEvent.Readable | SocketEvent.ReadHangup;
  const deaf = peer === null || (end.ended && (end.writeShut || peer.readShut));
  return deaf ? events | SocketEvent.Hangup : events;
}

/** A quarter for a datagram, of which nobody knows how long it is. */
@inline function hasRoom(end: End, output: Ring): bool {
  return CAPACITY - output.used >= (end.keepsBounds ? CAPACITY >> 2 : 1);
}

/** Bytes that may be read, or of the next datagram (FIONREAD). */
export function pipeAvailable(d: Description): i32 {
  const end = changetype<End>(d);
  const ring = end.reads ? end.input : end.peer === null ? null : end.output;
  if (ring === null) return 0;
  return end.keepsBounds && ring.used ? ring.head : ring.used;
}

// ---- Writing ---------------------------------------------------------------------------------

/** Writes a list of buffers that has been checked, of `total` bytes: as `sendList`. */
export function pipeSend(
  guest: Guest,
  d: Description,
  list: usize,
  total: u32,
  flags: u32,
  again: bool,
): i32 {
  const end = changetype<End>(d);
  if (!end.writes) return -WasiErrno.Badf;
  if (flags & SendFlag.FastOpen) return -WasiErrno.Notsup;
  const done: u32 = again ? guest.done : 0;
  const peer = end.peer;
  if (end.writeShut || (peer !== null && peer.readShut)) return done ? done : -WasiErrno.Pipe;
  if (peer === null) return done ? done : gone(end);
  const output = end.output!;
  const dontWait = (flags & SendFlag.DontWait) != 0;
  const room = CAPACITY - output.used;
  if (end.keepsBounds) {
    if (total > CAPACITY - HEAD) return -WasiErrno.Msgsize;
    if (room < total + HEAD) return waiting(guest, d, SocketEvent.Writable, 0, dontWait, again);
    output.putHead(total);
  } else if (!room || (!end.isSocket && total <= ATOMIC && room < total)) {
    // In one piece or not at all, of a pipe.
    return total ? waiting(guest, d, SocketEvent.Writable, done, dontWait, again) : 0;
  }
  const part = min<u32>(total - done, room);
  output.gather(guest, list, done, part);
  if (part || end.keepsBounds) news(peer);
  if (done + part == total) return total;
  return waiting(guest, d, SocketEvent.Writable, done + part, dontWait, again);
}

/** What who writes to nobody hears: of datagrams once that nobody is there, then that nobody is named. */
function gone(end: End): i32 {
  if (!end.keepsBounds) return -WasiErrno.Pipe;
  const told = end.writes && end.output === null;
  end.output = null;
  return told ? -WasiErrno.Notconn : -WasiErrno.Connrefused;
}

// ---- Reading ---------------------------------------------------------------------------------

/** Reads into a list of buffers that has been checked, of `total` bytes: as `receiveList`. */
export function pipeReceive(
  guest: Guest,
  d: Description,
  list: usize,
  total: u32,
  flags: u32,
  from: SocketAddress | null,
  again: bool,
): i32 {
  const end = changetype<End>(d);
  if (!end.reads) return -WasiErrno.Badf;
  if (from !== null) {
    memory.fill(changetype<usize>(from), 0, Layout.Address);
    from.domain = LOCAL;
  }
  const input = end.input!;
  const peek = (flags & ReceiveFlag.Peek) != 0;
  const dontWait = (flags & ReceiveFlag.DontWait) != 0;
  const bounds = end.keepsBounds;
  // What has come may have come to lie on the list that says where the rest goes.
  const done: u32 = again && !bounds && !peek ? min<u32>(guest.done, total) : 0;
  if (!input.used) {
    const error = end.error;
    if (error && !done) {
      end.error = 0;
      return -(<i32>error);
    }
    if ((bounds ? end.readShut : end.ended) || (!total && !bounds)) return done;
    return waiting(guest, d, SocketEvent.Readable, done, dontWait, again);
  }
  const begin = bounds ? HEAD : 0;
  const length = bounds ? input.head : input.used;
  const part = min<u32>(total - done, length);
  input.scatter(guest, begin, list, done, part);
  if (bounds) setCut(length - part);
  if (!peek) {
    input.drop(bounds ? begin + length : part);
    const peer = end.peer;
    if (peer !== null) news(peer);
  }
  if (bounds) return flags & ReceiveFlag.Truncate ? length : part;
  const all = flags & ReceiveFlag.WaitAll && !peek && !end.ended;
  if (!all || done + part == total) return done + part;
  return waiting(guest, d, SocketEvent.Readable, done + part, dontWait, again);
}

// ---- Of a pair alone -------------------------------------------------------------------------

/** `get_option` of a pair: what its kind is, and the error that the next call would tell. */
export function pairOption(d: Description, option: u32): i32 {
  const end = changetype<End>(d);
  switch (option) {
    case SocketOption.Type:
      return end.object;
    case SocketOption.Domain:
      return LOCAL;
    case SocketOption.Error: {
      const error = end.error;
      end.error = 0;
      return error;
    }
    case SocketOption.Protocol:
    case SocketOption.AcceptsConnections:
      return 0;
    case SocketOption.SendBuffer:
    case SocketOption.ReceiveBuffer:
      return CAPACITY;
    default:
      return -WasiErrno.Noprotoopt;
  }
}

/** `local_address`, `peer_address` of a pair: it has none but its domain. */
export function pairAddress(guest: Guest, d: Description, at: u32, peer: bool): i32 {
  const into = guest.memory(at, Layout.Address);
  if (!into) return -WasiErrno.Fault;
  if (peer && changetype<End>(d).peer === null) return -WasiErrno.Notconn;
  memory.fill(into, 0, Layout.Address);
  changetype<SocketAddress>(into).domain = LOCAL;
  return 0;
}
