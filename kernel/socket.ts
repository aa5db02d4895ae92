import { EndpointEvent, INSIDE, setEndpointSink } from "../net/endpoint";
import {
  Tcb,
  tcbIndex,
  tcpAbort,
  tcpAccept,
  tcpAvailable,
  tcpBind,
  tcpClose,
  tcpConnect,
  tcpConnectSend,
  tcpConsume,
  tcpDiscard,
  tcpError,
  tcpEvents,
  tcpFirstRun,
  tcpGetOption,
  tcpGetOptionData,
  tcpListen,
  tcpLocal,
  tcpOpen,
  tcpPeekLength,
  tcpPeekRun,
  tcpQueued,
  tcpReceive,
  tcpRemote,
  tcpReturnRun,
  tcpSend,
  tcpSendPacket,
  tcpSendReady,
  tcpSendStatic,
  tcpSendTwo,
  tcpSetOption,
  tcpSetOptionData,
  tcpShutdown,
  tcpTakeRun,
} from "../net/tcp/tcp";
import {
  DatagramEndpoint,
  DatagramPeer,
  datagramConsume,
  datagramError,
  datagramEvents,
  datagramFirst,
  datagramPeekFrom,
  datagramPeekLength,
  datagramPeekRun,
  datagramReceive,
  datagramReturn,
  datagramTake,
} from "../net/datagram";
import {
  Raw,
  rawBind,
  rawClose,
  rawConnect,
  rawFilterLength,
  rawGetOption,
  rawOpen,
  rawSendTo,
  rawSetOption,
} from "../net/raw/raw";
import {
  Udp,
  udpBind,
  udpClose,
  udpConnect,
  udpGetOption,
  udpOpen,
  udpSendTo,
  udpSetOption,
} from "../net/udp/udp";
import { filterAdd, filterOf, filterRemove, filterSet } from "../net/filter";
import { isGroupAddress, membershipJoin, membershipLeave } from "../net/membership";
import { interfaceCount } from "../net/interface";
import { firstLink } from "../net/ip/route6";
import {
  IpAddress,
  V4_ANY,
  V6_LINK_LOCAL,
  V6_ONLY,
  isV6LinkLocal,
  v6Wire,
  v6Zone,
} from "../net/wire/address";
import { Protocol } from "../net/wire/ipv4";
import {
  Domain,
  Layout,
  ReceiveFlag,
  SendFlag,
  Shutdown,
  SocketOption,
  SocketType,
} from "../sdk/assembly/syscalls";
import { Errno } from "./errno";
import { SOURCES } from "./features";
import { prefetch } from "./host";
import {
  Lease,
  leaseAllowed,
  leaseEnd,
  leaseFind,
  leasesInit,
  leasesPerSocket,
  leaseTake,
} from "./lease";
import { Owner } from "./packet";
import { reserveUncleared } from "./memory";

/**
 * Sockets: what a program holds of a TCP, UDP or raw endpoint. Berkeley's calls, none of which blocks:
 * each returns 0 or more, or `-Errno`. Beyond Berkeley, `sendStatic`, `peekRun` and `consume` move
 * no bytes, and `nextReady` names the sockets with news in O(1) each.
 *
 * A socket's number is its place in the table and, above it, how often that place has been used,
 * so the number of a closed socket names no other one for 2,047 reuses of its place. The first places are
 * for datagrams; a stream has the one that goes with its connection, so that whoever knows where the one lies knows
 * where the other does (net/tcp/foresight.ts).
 */

const INDEX_BITS: u32 = 20;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
const GENERATION_MASK: u32 = 2047;
/** Most sockets that a table can have. */
export const SOCKETS_MAX: u32 = 1 << INDEX_BITS;

/**
 * A socket's or peer's address; the layout that sdk/assembly/syscalls.ts promises. It begins with
 * an `IpAddress` and a `DatagramPeer`.
 */
@unmanaged
export class SocketAddress {
  hi: u64;
  lo: u64;
  /** Native byte order. */
  port: u16;
  /** What a guest is told: the `Domain` of its socket. The kernel does not read it. */
  domain: u16;
  /** Of a link-local address: its zone. */
  zone: u32;

  /** Any address of this machine, and `port`. */
  @inline set(port: u16): void {
    this.hi = 0;
    this.lo = 0;
    this.port = port;
  }
}

const enum Kind {
  Free = 0,
  Stream = 1,
  Listener = 2,
  Datagram = 3,
  /** Whole protocols, and ICMP's echo: endpoints of net/raw/. */
  Raw = 4,
}

/** What a socket has to do with. */
const enum Family {
  V4 = 0,
  V6 = 1,
  Both = 2,
}

/** 32 bytes. */
@unmanaged
class Socket {
  /** The `Tcb`, `Udp` or `Raw`. */
  endpoint: usize;
  /** Its number while it is open; its generation alone, in place, while it is free. */
  number: u32;
  /** Links of the ready list; `next` also of the free list of datagrams. */
  next: Socket | null;
  previous: Socket | null;
  /** Whatever the program keeps with it. */
  context: usize;
  /** News since `nextReady` last named it. */
  events: u16;
  private kindAndFamily: u8;
  queued: bool;
  /** Of a stream that is being connected: the program has not heard how that went. */
  connecting: bool;
  /** It is a guest's and not the app's. */
  guest: bool;
  /** Leases out, and the first of them. */
  leased: u16;
  leases: Lease | null;


  @inline get kind(): Kind {
    return this.kindAndFamily & 15;
  }


  @inline set kind(kind: Kind) {
    this.kindAndFamily = <u8>(((<u32>this.kindAndFamily) & 0xf0) | kind);
  }


  @inline get family(): Family {
    return this.kindAndFamily >> 4;
  }


  @inline set family(family: Family) {
    this.kindAndFamily = <u8>(((<u32>this.kindAndFamily) & 15) | (family << 4));
  }


  @inline get tcb(): Tcb {
    return changetype<Tcb>(this.endpoint);
  }


  @inline get udp(): Udp {
    return changetype<Udp>(this.endpoint);
  }


  @inline get raw(): Raw {
    return changetype<Raw>(this.endpoint);
  }

  /** Whether it sends and receives datagrams, as UDP and raw sockets do; then they are its `datagrams`. */
  @inline get isDatagram(): bool {
    return this.kind >= Kind.Datagram;
  }


  @inline get datagrams(): DatagramEndpoint {
    return changetype<DatagramEndpoint>(this.endpoint);
  }
}

let table: usize = 0;
let capacity: u32 = 0;
let open: u32 = 0;
/** Where the places of streams begin. */
let streams: u32 = 0;
/** Places from here on have never been used, so their pages have not been touched; those of datagrams likewise. */
let fresh: u32 = 0;
let freshDatagram: u32 = 0;
let free: Socket | null = null;
let readyHead: Socket | null = null;
let readyTail: Socket | null = null;
let lastEvents: u32 = 0;
let lastContext: usize = 0;
let lastRun: usize = 0;
let lastLease: u32 = 0;
const scratch: usize = memory.data(8, 8);

/** An address as the stack has it. */
const address = changetype<IpAddress>(memory.data(16, 8));

/**
 * Makes room for `count` sockets, at most `SOCKETS_MAX`, of which `datagrams` are for what is no connection. Start-up
 * only, before TCP and UDP open.
 */
export function socketsInit(count: u32, datagrams: u32): void {
  assert(offsetof<Socket>() == 32 && offsetof<SocketAddress>() == 24);
  table = reserveUncleared(count << 5, 64);
  capacity = count;
  streams = datagrams;
  memory.fill(table, 0, datagrams << 5);
  fresh = datagrams;
  freshDatagram = 0;
  free = null;
  leasesInit();
  setEndpointSink(onEvents, onForesight);
}

/** Sockets that the table has room for. */
@inline export function socketCapacity(): u32 {
  return capacity;
}

/** Sockets open now. */
@inline export function socketsOpen(): u32 {
  return open;
}


@inline function placeAt(index: u32): Socket {
  return changetype<Socket>(table + ((<usize>index) << 5));
}

/** The place of a connection's stream. */
function placeOf(tcb: usize): Socket {
  const index = streams + tcbIndex(tcb);
  for (; fresh <= index; fresh++) {
    memory.fill(changetype<usize>(placeAt(fresh)), 0, offsetof<Socket>());
    placeAt(fresh).number = fresh;
  }
  return placeAt(index);
}

/** A free place for datagrams, of which there are as many as endpoints. */
function datagramPlace(): Socket {
  const socket = free;
  if (socket !== null) {
    free = socket.next;
    return socket;
  }
  assert(freshDatagram < streams);
  placeAt(freshDatagram).number = freshDatagram;
  return placeAt(freshDatagram++);
}

/** The open socket of this number, or null. */
function find(number: u32): Socket | null {
  const index = number & INDEX_MASK;
  if (index >= fresh) return null;
  const socket = placeAt(index);
  return socket.kind != Kind.Free && socket.number == number ? socket : null;
}

/** Takes the place of the table for an endpoint. */
function take(kind: Kind, endpoint: usize, family: Family): Socket {
  const socket = kind == Kind.Stream ? placeOf(endpoint) : datagramPlace();
  assert(socket.kind == Kind.Free);
  open++;
  const generation = ((socket.number >> INDEX_BITS) % GENERATION_MASK) + 1;
  socket.number = (generation << INDEX_BITS) | (socket.number & INDEX_MASK);
  socket.kind = kind;
  socket.endpoint = endpoint;
  socket.family = family;
  socket.next = null;
  socket.context = 0;
  socket.connecting = false;
  socket.guest = false;
  socket.leased = 0;
  socket.leases = null;
  return socket;
}

/** Tells the owner that there is news: a guest asks for itself what it is. */
function post(socket: Socket, events: u32): void {
  if (socket.guest) {
    call_indirect<void>(guestSink, socket.context);
    return;
  }
  socket.events |= <u16>events;
  if (socket.queued) return;
  socket.queued = true;
  socket.next = null;
  socket.previous = readyTail;
  if (readyTail !== null) readyTail!.next = socket;
  else readyHead = socket;
  readyTail = socket;
}

function unpost(socket: Socket): void {
  const next = socket.next;
  const previous = socket.previous;
  if (previous !== null) previous.next = next;
  else readyHead = next;
  if (next !== null) next.previous = previous;
  else readyTail = previous;
  socket.queued = false;
  socket.events = 0;
}

let guestSink: u32 = 0;

/** Sets what hears of news of guests' sockets: it gets the socket's context. */
export function setGuestSink(onNews: (context: usize) => void): void {
  guestSink = onNews.index;
}

/** Makes an open socket a guest's: its news go there, with `context`, and not to the app. */
export function setGuest(number: u32, context: usize): void {
  const socket = find(number);
  if (socket === null) return;
  if (socket.queued) unpost(socket);
  socket.guest = true;
  socket.context = context;
}

function onForesight(connection: u32): void {
  prefetch(changetype<usize>(placeAt(streams + connection)));
}

function onEvents(owner: u32, events: u32): void {
  const socket = find(owner);
  if (socket !== null) post(socket, events);
  else if (owner & INSIDE) call_indirect<void>(owner & ~INSIDE);
}

/**
 * The next socket with news, or 0. It is named once for all its news so far and again when there
 * is more: an edge, so the program goes on until it meets `-EAGAIN`.
 */
export function nextReady(): u32 {
  const socket = readyHead;
  if (socket === null) return 0;
  lastEvents = socket.events;
  lastContext = socket.context;
  unpost(socket);
  return socket.number;
}

/** `SocketEvent` bits of the socket that `nextReady` named last. */
@inline export function readyEvents(): u32 {
  return lastEvents;
}

/** What `setContext` gave that socket. */
@inline export function readyContext(): usize {
  return lastContext;
}

/** What a socket is bound to until its program says otherwise: the `lo` of an unspecified address. */
@inline function anyOf(family: Family): u64 {
  return family == Family.V4 ? V4_ANY : family == Family.V6 ? V6_ONLY : 0;
}

/** An attempt to connect that failed leaves a stream bound to nothing, of its own families. */
@inline function unbound(socket: Socket): void {
  const local = socket.tcb.local;
  if (local.isAny) local.set(0, anyOf(socket.family));
}

/**
 * Takes a program's address over into `address`: -EAFNOSUPPORT for one of a family that the socket
 * does not have, -EINVAL for a zone that there is none of.
 */
function admit(socket: Socket, from: SocketAddress): i32 {
  const given = changetype<IpAddress>(from);
  const family = socket.family;
  address.copy(given);
  if (!given.hi && !given.lo) {
    address.lo = anyOf(family);
    return 0;
  }
  if (given.isV4 ? family == Family.V6 : family == Family.V4) return -Errno.EAFNOSUPPORT;
  if (!isV6LinkLocal(given.hi)) return 0;
  if (from.zone > interfaceCount()) return -Errno.EINVAL;
  let zone = from.zone;
  if (!zone) {
    const link = firstLink();
    if (link === null) return -Errno.EINVAL;
    zone = link.zone;
  }
  address.hi = V6_LINK_LOCAL | zone;
  return 0;
}

/** Makes an address of the stack's what programs see. */
function present(into: SocketAddress): void {
  into.zone = v6Zone(into.hi);
  into.hi = v6Wire(into.hi);
  if (!into.hi && into.lo == V6_ONLY) into.lo = 0;
}

/** A new socket of a `SocketType`, a `Domain` and a protocol, 0 for the one that the type has: its number. */
export function socket(type: u32, domain: u32 = Domain.Inet, protocol: u32 = 0): i32 {
  if (domain != Domain.Inet && domain != Domain.Inet6) return -Errno.EAFNOSUPPORT;
  if (open == capacity) return -Errno.EMFILE;
  const family = domain == Domain.Inet ? Family.V4 : Family.Both;
  if (type == SocketType.Stream) {
    if (protocol && protocol != Protocol.TCP) return -Errno.EPROTONOSUPPORT;
    const tcb = tcpOpen();
    if (tcb === null) return -Errno.ENOBUFS;
    const made = take(Kind.Stream, changetype<usize>(tcb), family);
    tcb.owner = made.number;
    tcb.local.set(0, anyOf(family));
    return made.number;
  }
  if (type == SocketType.Datagram && (!protocol || protocol == Protocol.UDP)) {
    const udp = udpOpen();
    if (udp === null) return -Errno.ENOBUFS;
    return datagramSocket(Kind.Datagram, udp, family);
  }
  const echo = type == SocketType.Datagram;
  if (!echo && type != SocketType.Raw) return -Errno.EPROTONOSUPPORT;
  const v6 = family != Family.V4;
  if (echo ? protocol != (v6 ? Protocol.ICMPv6 : Protocol.ICMP) : protocol - 1 > 254) {
    return -Errno.EPROTONOSUPPORT;
  }
  const raw = rawOpen(protocol, v6, echo);
  if (raw === null) return -Errno.ENOBUFS;
  return datagramSocket(Kind.Raw, raw, v6 ? Family.V6 : Family.V4);
}

function datagramSocket(kind: Kind, endpoint: DatagramEndpoint, family: Family): i32 {
  const made = take(kind, changetype<usize>(endpoint), family);
  endpoint.owner = made.number;
  endpoint.local.set(0, anyOf(family));
  // As Linux has it.
  endpoint.ownGroupsOnly = false;
  return made.number;
}

/** Lets a program find its own record of the socket without a search. */
export function setContext(number: u32, context: usize): void {
  const socket = find(number);
  if (socket !== null) socket.context = context;
}

/** Binds to a local address, any for the unspecified one, and a port, 0 for a free one. */
export function bind(number: u32, to: SocketAddress): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  const result = admit(socket, to);
  if (result < 0) return result;
  if (socket.kind == Kind.Datagram) return udpBind(socket.udp, address, to.port);
  if (socket.kind == Kind.Raw) return rawBind(socket.raw, address, to.port);
  return tcpBind(socket.tcb, address, to.port);
}

/** Accepts connections from now on, up to `backlog` of them waiting for `accept`. */
export function listen(number: u32, backlog: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (socket.isDatagram) return -Errno.EOPNOTSUPP;
  const result = tcpListen(socket.tcb, backlog);
  if (result >= 0) socket.kind = Kind.Listener;
  return result;
}

/** The next waiting connection: its number. Its first news is posted with it. */
export function accept(number: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (socket.kind != Kind.Listener) return -Errno.EINVAL;
  if (open == capacity) return -Errno.EMFILE;
  const tcb = tcpAccept(socket.tcb);
  if (tcb === null) return -Errno.EAGAIN;
  const made = take(Kind.Stream, changetype<usize>(tcb), socket.family);
  tcb.owner = made.number;
  // Whatever came before it had an owner raised no event.
  post(made, EndpointEvent.Readable | EndpointEvent.Writable);
  return made.number;
}

/**
 * TCP: begins to connect, -EINPROGRESS. Called again it says how that went: -EALREADY, 0 once and then
 * -EISCONN when it stands, or what went wrong, after which it may begin anew. UDP and raw: sets the
 * peer of `send` and the only one heard.
 */
export function connect(number: u32, to: SocketAddress): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  const admitted = admit(socket, to);
  if (admitted < 0) return admitted;
  if (socket.kind == Kind.Datagram) return udpConnect(socket.udp, address, to.port);
  if (socket.kind == Kind.Raw) return rawConnect(socket.raw, address);
  if (socket.kind == Kind.Listener) return -Errno.EOPNOTSUPP;
  const result = tcpConnect(socket.tcb, address, to.port);
  unbound(socket);
  const connecting = socket.connecting;
  if (result == -Errno.EALREADY) return result;
  socket.connecting = result == -Errno.EINPROGRESS;
  return result == -Errno.EISCONN && connecting ? 0 : result;
}

/**
 * Queues a copy of `length` bytes: how many of them found room. UDP and raw: one datagram to the peer.
 * `flags` are `SendFlag`s.
 */
export function send(number: u32, from: usize, length: u32, flags: u32 = 0): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (flags & ~(SendFlag.DontWait | SendFlag.NoSignal | SendFlag.More)) return -Errno.EOPNOTSUPP;
  if (socket.kind == Kind.Stream) {
    return tcpSend(socket.tcb, from, length, (flags & SendFlag.More) != 0);
  }
  if (socket.kind == Kind.Listener) return -Errno.ENOTCONN;
  if (socket.kind == Kind.Raw) return rawSendTo(socket.raw, from, length, null);
  return udpSendTo(socket.udp, from, length, null, 0);
}

/** `send` of two runs of a stream, one behind the other, neither of them empty. */
export function sendTwo(
  number: u32,
  from: usize,
  first: u32,
  behind: usize,
  rest: u32,
  flags: u32,
): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (socket.kind != Kind.Stream) return -Errno.ENOTCONN;
  return tcpSendTwo(socket.tcb, from, first, behind, rest, (flags & SendFlag.More) != 0);
}

/**
 * Queues bytes where they are, all or none (-EAGAIN, -ENOBUFS). They must never change again, and
 * a device must be able to read them: the file pack, or memory from `reserve`.
 */
export function sendStatic(number: u32, from: usize, length: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (socket.kind == Kind.Listener) return -Errno.ENOTCONN;
  if (socket.kind != Kind.Stream) return -Errno.EOPNOTSUPP;
  return tcpSendStatic(socket.tcb, from, length);
}

/**
 * `send` and `sendStatic` in one: `length` bytes that are copied, then `rest` that stay where they are. How many of
 * all found room, those behind all or none; or what `send` says.
 */
export function sendBoth(number: u32, from: usize, length: u32, at: usize, rest: u32): i32 {
  const sent = send(number, from, length);
  if (<u32>sent != length || !rest) return sent;
  return sendStatic(number, at, rest) < 0 ? sent : sent + rest;
}

/** Bytes of a stream that are queued and not acknowledged. */
export function queued(number: u32): u32 {
  const socket = find(number);
  return socket !== null && socket.kind == Kind.Stream ? tcpQueued(socket.tcb) : 0;
}

/**
 * Whether a stream's send queue is at most half full. If not, Writable follows when it is: for
 * programs that want room before they begin.
 */
export function sendReady(number: u32): bool {
  const socket = find(number);
  return socket !== null && socket.kind == Kind.Stream && tcpSendReady(socket.tcb);
}

/** All that `receive` knows. */
const RECEIVE_FLAGS: u32 =
  ReceiveFlag.Peek | ReceiveFlag.Truncate | ReceiveFlag.DontWait | ReceiveFlag.WaitAll;

/** Copies what has come, at most `length`; 0 is the end of the stream. `flags` are `ReceiveFlag`s. */
export function receive(number: u32, into: usize, length: u32, flags: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (flags & ~RECEIVE_FLAGS) return -Errno.EOPNOTSUPP;
  const peek = (flags & ReceiveFlag.Peek) != 0;
  if (socket.kind == Kind.Stream) {
    if (flags & ReceiveFlag.Truncate && !peek) return tcpDiscard(socket.tcb, length);
    return tcpReceive(socket.tcb, into, length, peek);
  }
  if (socket.kind == Kind.Listener) return -Errno.ENOTCONN;
  const whole = (flags & ReceiveFlag.Truncate) != 0;
  return datagramReceive(socket.datagrams, into, length, peek, whole, null);
}

/** Bytes received and not yet read. */
export function available(number: u32): u32 {
  const socket = find(number);
  return socket !== null && socket.kind == Kind.Stream ? tcpAvailable(socket.tcb) : 0;
}

/** What a read may take: bytes of a stream, or of the next datagram (FIONREAD). -EINVAL of a listener. */
export function readable(number: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (socket.kind == Kind.Stream) return tcpAvailable(socket.tcb);
  if (socket.kind == Kind.Listener) return -Errno.EINVAL;
  return datagramPeekRun(socket.datagrams) ? datagramPeekLength() : 0;
}

/**
 * Lends the first run of unread bytes, or the first datagram, where it lies: its length, with
 * `runAddress()`. 0 is the end of a stream, -EAGAIN nothing yet. It stays until `consume`.
 */
export function peekRun(number: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (socket.kind == Kind.Stream) {
    lastRun = tcpPeekRun(socket.tcb);
    if (lastRun) return tcpPeekLength();
    return tcpReceive(socket.tcb, scratch, 1, true);
  }
  if (socket.kind == Kind.Listener) return -Errno.ENOTCONN;
  lastRun = datagramPeekRun(socket.datagrams);
  return lastRun ? <i32>datagramPeekLength() : -Errno.EAGAIN;
}

/** `peekRun` of a datagram, with where it came from. */
export function peekRunFrom(number: u32, from: SocketAddress): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (!socket.isDatagram) return -Errno.EOPNOTSUPP;
  if (datagramPeekFrom(socket.datagrams, changetype<DatagramPeer>(from))) present(from);
  return peekRun(number);
}

/** Where the run that `peekRun` lent last begins. */
@inline export function runAddress(): usize {
  return lastRun;
}

/** Gives back `length` bytes at the front of the run; a datagram as a whole. */
export function consume(number: u32, length: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (socket.kind == Kind.Stream) tcpConsume(socket.tcb, length);
  else if (socket.isDatagram) datagramConsume(socket.datagrams);
  else return -Errno.ENOTCONN;
  return 0;
}

/**
 * Sends one datagram. A stream that is not connected connects and sends with `SendFlag.FastOpen`: how
 * many bytes found room to go with the SYN, or as `connect`.
 */
export function sendTo(
  number: u32,
  from: usize,
  length: u32,
  to: SocketAddress,
  flags: u32 = 0,
): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  const stream = flags & (SendFlag.FastOpen | SendFlag.More);
  if (flags & ~(stream | SendFlag.DontWait | SendFlag.NoSignal)) return -Errno.EOPNOTSUPP;
  const admitted = admit(socket, to);
  if (admitted < 0) return admitted;
  if (socket.isDatagram) {
    if (stream) return -Errno.EOPNOTSUPP;
    if (socket.kind == Kind.Raw) return rawSendTo(socket.raw, from, length, address);
    return udpSendTo(socket.udp, from, length, address, to.port);
  }
  if (!(flags & SendFlag.FastOpen)) return -Errno.EISCONN;
  if (socket.kind == Kind.Listener) return -Errno.EOPNOTSUPP;
  const more = (flags & SendFlag.More) != 0;
  const result = tcpConnectSend(socket.tcb, address, to.port, from, length, more);
  unbound(socket);
  if (result == -Errno.EALREADY || result == -Errno.EISCONN) return result;
  socket.connecting = result >= 0 || result == -Errno.EINPROGRESS;
  return result;
}

/** Copies one datagram, cut to `length`, and, unless it is null, where it came from; `flags` as of `receive`. */
export function receiveFrom(
  number: u32,
  into: usize,
  length: u32,
  from: SocketAddress | null,
  flags: u32 = 0,
): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (!socket.isDatagram) return receive(number, into, length, flags);
  if (flags & ~RECEIVE_FLAGS) return -Errno.EOPNOTSUPP;
  const peek = (flags & ReceiveFlag.Peek) != 0;
  const whole = (flags & ReceiveFlag.Truncate) != 0;
  const peer = changetype<DatagramPeer | null>(from);
  const received = datagramReceive(socket.datagrams, into, length, peek, whole, peer);
  if (received >= 0 && from !== null) present(from);
  return received;
}

/** Ends one direction or both (`Shutdown`). */
export function shutdown(number: u32, how: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (how > <u32>Shutdown.Both) return -Errno.EINVAL;
  if (socket.isDatagram) return -Errno.ENOTCONN;
  socket.connecting = false;
  const read = how != Shutdown.Write;
  const result = tcpShutdown(socket.tcb, read, how != Shutdown.Read);
  unbound(socket);
  // Who listened and reads no more is as before `listen`.
  if (read) socket.kind = Kind.Stream;
  return result;
}

/** Bytes of a page: what can be mapped. */
const PAGE_MASK: usize = 4095;

/**
 * Takes the first run of unread bytes off a stream, or the oldest datagram, for the program to keep where it
 * lies: its length, with its place in `runAddress()` and its number, for `release`, in `leaseNumber()`, and where
 * it came from in `from`, unless that is null. Several may be out at a time. 0 is the end of a stream or a
 * datagram of nothing, with nothing to release; -EAGAIN nothing yet; -ENOBUFS as many out as may be: read the
 * plain way, or release one. `alone`: also -ENOBUFS if others' bytes are in the same pages.
 */
export function lease(number: u32, alone: bool = false, from: SocketAddress | null = null): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  const datagram = socket.isDatagram;
  const packet = datagram ? datagramFirst(socket.datagrams) : tcpFirstRun(socket.tcb);
  if (datagram) {
    const error = datagramError(socket.datagrams);
    if (error) return -error;
    if (packet === null) return -Errno.EAGAIN;
  } else if (packet === null) {
    return tcpReceive(socket.tcb, scratch, 1, true);
  }
  if (packet.length) {
    if (<u32>socket.leased >= leasesPerSocket() || !leaseAllowed(packet)) return -Errno.ENOBUFS;
    if (alone && (packet.slot & PAGE_MASK || packet.references > 1)) return -Errno.ENOBUFS;
  }
  if (from !== null && !datagram) peerAddress(number, from);
  else if (from !== null && datagramPeekFrom(socket.datagrams, changetype<DatagramPeer>(from))) {
    present(from);
  }
  if (!packet.length) {
    datagramConsume(socket.datagrams);
    return 0;
  }
  if (datagram) datagramTake(socket.datagrams);
  else tcpTakeRun(socket.tcb);
  const taken = leaseTake(packet, number, socket.leases);
  socket.leases = taken;
  socket.leased++;
  lastRun = packet.data;
  lastLease = taken.number;
  return packet.length;
}

/** The number of the lease that `lease` gave last. */
@inline export function leaseNumber(): u32 {
  return lastLease;
}

/** Gives a lease back, in any order. -EINVAL when it has been, or its socket is closed. */
export function release(number: u32): i32 {
  const lease = leaseFind(number);
  if (lease === null) return -Errno.EINVAL;
  giveBack(changetype<Socket>(find(lease.socket)), lease);
  return 0;
}

/**
 * Sends the bytes of a lease where they lie, and gives it back: its length. By a stream; or as a datagram of UDP, to
 * `to` or the peer. On any failure, as of `send` and `sendTo`, the lease stays out. Cost: no copy, but of a datagram that
 * is cut into fragments or goes to a group.
 */
export function sendLease(number: u32, leased: u32, to: SocketAddress | null = null): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  const lease = leaseFind(leased);
  if (lease === null) return -Errno.EINVAL;
  const owner = changetype<Socket>(find(lease.socket));
  const packet = lease.packet;
  if (!socket.isDatagram) {
    if (to !== null) return -Errno.EISCONN;
    const sent = tcpSendPacket(socket.tcb, packet);
    if (sent >= 0) forget(owner, lease);
    return sent;
  }
  if (socket.kind == Kind.Raw) return -Errno.EOPNOTSUPP;
  let peer: IpAddress | null = null;
  let port: u32 = 0;
  if (to !== null) {
    const admitted = admit(socket, to);
    if (admitted < 0) return admitted;
    peer = address;
    port = to.port;
  }
  const sent = udpSendTo(socket.udp, packet.data, packet.length, peer, port, packet);
  if (sent < 0) return sent;
  forget(owner, lease);
  // The device's, or the neighbour's, until it has gone; a loopback has copied it.
  const waits = packet.references > 1;
  packet.release();
  if (waits) packet.give(Owner.NicTx);
  return sent;
}

function giveBack(socket: Socket, lease: Lease): void {
  const packet = lease.packet;
  forget(socket, lease);
  packet.release();
}

/** Ends all leases of a socket that is about to be closed. */
@inline function giveAllBack(socket: Socket): void {
  for (let lease = socket.leases; lease !== null; lease = socket.leases) giveBack(socket, lease);
}

/** Ends a lease whose packet goes elsewhere. */
function forget(socket: Socket, lease: Lease): void {
  socket.leases = leaseEnd(lease, socket.leases);
  socket.leased--;
  if (socket.isDatagram) datagramReturn(socket.datagrams, lease.packet);
  else tcpReturnRun(socket.tcb, lease.packet.length);
}

/** Gives the number back. Leases end. What a stream has still to send is sent in the background. */
export function close(number: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (socket.isDatagram) {
    socket.datagrams.owner = 0;
    giveAllBack(socket);
    if (socket.kind == Kind.Raw) rawClose(socket.raw);
    else udpClose(socket.udp);
  } else {
    socket.tcb.owner = 0;
    giveAllBack(socket);
    tcpClose(socket.tcb);
  }
  give(socket);
  return 0;
}

/** Resets a stream's connection, whatever it has still to send, and gives the number back. Leases end. */
export function abort(number: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (socket.kind != Kind.Stream) return -Errno.EOPNOTSUPP;
  giveAllBack(socket);
  tcpAbort(socket.tcb);
  give(socket);
  return 0;
}

/** Gives a place back to the table. */
function give(socket: Socket): void {
  if (socket.queued) unpost(socket);
  if (socket.isDatagram) {
    socket.next = free;
    free = socket;
  }
  socket.kind = Kind.Free;
  open--;
}

/** The local address and port; unspecified and 0 before `bind` or `connect`. */
export function localAddress(number: u32, into: SocketAddress): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  memory.fill(changetype<usize>(into), 0, offsetof<SocketAddress>());
  const ip = changetype<IpAddress>(into);
  if (socket.isDatagram) {
    ip.copy(socket.datagrams.local);
    into.port = socket.datagrams.localPort;
  } else {
    into.port = <u16>tcpLocal(socket.tcb, ip);
  }
  present(into);
  return 0;
}

/** The peer's address and port. */
export function peerAddress(number: u32, into: SocketAddress): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  memory.fill(changetype<usize>(into), 0, offsetof<SocketAddress>());
  const ip = changetype<IpAddress>(into);
  if (socket.isDatagram) {
    ip.copy(socket.datagrams.remote);
    into.port = socket.datagrams.remotePort;
  } else {
    into.port = <u16>tcpRemote(socket.tcb, ip);
  }
  const connected = into.port != 0 || (socket.kind == Kind.Raw && !ip.isAny);
  present(into);
  return connected ? 0 : -Errno.ENOTCONN;
}

/** `SocketEvent` bits that hold now: what Linux's `poll` would report. */
export function events(number: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  return socket.isDatagram ? datagramEvents(socket.datagrams) : tcpEvents(socket.tcb);
}

/** Sets a `SocketOption`. */
export function setOption(number: u32, option: u32, value: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (option == SocketOption.V6Only) return setV6Only(socket, value != 0);
  if (socket.kind == Kind.Datagram) return udpSetOption(socket.udp, option, value);
  if (socket.kind == Kind.Raw) return rawSetOption(socket.raw, option, value);
  return tcpSetOption(socket.tcb, option, value);
}

/** As Linux has it: before the socket is bound, or anything else is decided. */
function setV6Only(socket: Socket, only: bool): i32 {
  if (socket.family == Family.V4) return -Errno.ENOPROTOOPT;
  if (socket.kind == Kind.Raw) return only ? 0 : -Errno.EINVAL;
  const datagram = socket.isDatagram;
  const bound = datagram ? socket.datagrams.localPort : tcpLocal(socket.tcb, address);
  if (bound) return -Errno.EINVAL;
  socket.family = only ? Family.V6 : Family.Both;
  const local = datagram ? socket.datagrams.local : socket.tcb.local;
  local.set(0, anyOf(socket.family));
  return 0;
}

/** The value of a `SocketOption`. */
export function getOption(number: u32, option: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  const datagram = socket.isDatagram;
  switch (option) {
    case SocketOption.Type:
      return !datagram
        ? SocketType.Stream
        : socket.kind == Kind.Raw && !socket.raw.echo
          ? SocketType.Raw
          : SocketType.Datagram;
    case SocketOption.AcceptsConnections:
      return socket.kind == Kind.Listener;
    case SocketOption.Domain:
      return socket.family == Family.V4 ? Domain.Inet : Domain.Inet6;
    case SocketOption.V6Only:
      return socket.family == Family.V4 ? -Errno.ENOPROTOOPT : i32(socket.family == Family.V6);
    case SocketOption.Protocol:
      if (socket.kind == Kind.Raw) return socket.raw.protocol;
      return datagram ? Protocol.UDP : Protocol.TCP;
    case SocketOption.Error:
      return datagram ? datagramError(socket.datagrams) : tcpError(socket.tcb);
    default:
  }
  if (socket.kind == Kind.Raw) return rawGetOption(socket.raw, option);
  return datagram ? udpGetOption(socket.udp, option) : tcpGetOption(socket.tcb, option);
}

/** Sets a `SocketOption` whose value is the `length` bytes at `from`. */
export function setOptionData(number: u32, option: u32, from: usize, length: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  if (!socket.isDatagram) return tcpSetOptionData(socket.tcb, option, from, length);
  if (option == SocketOption.IcmpFilter) {
    const bytes = filterLength(socket);
    if (!bytes) return -Errno.ENOPROTOOPT;
    memory.copy(socket.raw.filter, from, min<u32>(length, bytes));
    return 0;
  }
  if (option == SocketOption.JoinGroup || option == SocketOption.LeaveGroup) {
    if (length < <u32>offsetof<SocketAddress>()) return -Errno.EINVAL;
    return setMembership(socket, option == SocketOption.JoinGroup, changetype<SocketAddress>(from));
  }
  if (
    SOURCES &&
    option >= <u32>SocketOption.JoinSource &&
    option <= <u32>SocketOption.GroupFilter
  ) {
    return setSources(socket, option, from, length);
  }
  return length < 4 ? -Errno.EINVAL : setOption(number, option, load<u32>(from));
}

/** Joins or leaves a group, on the interface whose number the address has. */
function setMembership(socket: Socket, join: bool, group: SocketAddress): i32 {
  const result = admit(socket, group);
  if (result < 0) return result;
  const e = socket.datagrams;
  return join ? membershipJoin(e, address, group.zone) : membershipLeave(e, address, group.zone);
}

/** Names sources of a group: one by one, or all of them. */
function setSources(socket: Socket, option: u32, from: usize, length: u32): i32 {
  const group = changetype<SocketAddress>(from);
  const whole = option == SocketOption.GroupFilter;
  if (length < <u32>(whole ? Layout.GroupFilter : 2 * Layout.Address)) return -Errno.EINVAL;
  const admitted = admit(socket, group);
  if (admitted < 0) return admitted;
  const e = socket.datagrams;
  if (whole) {
    const mode = load<u32>(from, Layout.Address);
    const count = load<u32>(from, Layout.Address + 4);
    const sources = from + Layout.GroupFilter;
    if (count > (length - Layout.GroupFilter) / Layout.Address) return -Errno.EINVAL;
    return filterSet(e, address, group.zone, mode, sources, count, Layout.Address);
  }
  const source = changetype<IpAddress>(from + Layout.Address);
  switch (option) {
    case SocketOption.JoinSource:
      return filterAdd(e, address, group.zone, source, true);
    case SocketOption.BlockSource:
      return filterAdd(e, address, group.zone, source, false);
    case SocketOption.LeaveSource:
      return filterRemove(e, address, group.zone, source, true);
    default:
      return filterRemove(e, address, group.zone, source, false);
  }
}

/** Copies the filter of a group, which stands there already; returns the bytes. */
function getFilter(socket: Socket, into: usize, length: u32): i32 {
  if (length < <u32>Layout.GroupFilter) return -Errno.EINVAL;
  const group = changetype<SocketAddress>(into);
  const admitted = admit(socket, group);
  if (admitted < 0) return admitted;
  if (!isGroupAddress(address)) return -Errno.EINVAL;
  const m = filterOf(socket.datagrams, address, group.zone);
  if (m === null) return -Errno.EADDRNOTAVAIL;
  store<u32>(into, m.include, Layout.Address);
  store<u32>(into, m.sourceCount, Layout.Address + 4);
  let bytes: u32 = Layout.GroupFilter;
  let s = m.sources;
  while (s !== null && bytes + Layout.Address <= length) {
    const to = changetype<SocketAddress>(into + bytes);
    memory.fill(into + bytes, 0, Layout.Address);
    to.hi = s.hi;
    to.lo = s.lo;
    present(to);
    bytes += Layout.Address;
    s = s.next;
  }
  return bytes;
}


@inline function filterLength(socket: Socket): u32 {
  return socket.kind == Kind.Raw ? rawFilterLength(socket.raw) : 0;
}

/** Copies the value of a `SocketOption`, cut to `length` bytes; returns how many. */
export function getOptionData(number: u32, option: u32, into: usize, length: u32): i32 {
  const socket = find(number);
  if (socket === null) return -Errno.EBADF;
  const plain = option <= <u32>SocketOption.Broadcast || option >= <u32>SocketOption.Type;
  if (!socket.isDatagram && !plain) {
    return tcpGetOptionData(socket.tcb, option, into, length);
  }
  if (option == SocketOption.IcmpFilter) {
    const filter = filterLength(socket);
    if (!filter) return -Errno.ENOPROTOOPT;
    const bytes = min<u32>(length, filter);
    memory.copy(into, socket.raw.filter, bytes);
    return bytes;
  }
  if (SOURCES && option == SocketOption.GroupFilter) return getFilter(socket, into, length);
  const value = getOption(number, option);
  const none = option == SocketOption.ChecksumOffset && value == -1;
  if (value < 0 && !none) return value;
  const bytes = min<u32>(length, 4);
  store<u32>(scratch, value);
  memory.copy(into, scratch, bytes);
  return bytes;
}
