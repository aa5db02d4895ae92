import { equals } from "../../../../apps/lib/text";
import { registerApp } from "../../../../kernel/app";
import { config } from "../../../../kernel/config";
import { Errno } from "../../../../kernel/errno";
import { reserve } from "../../../../kernel/memory";
import * as sockets from "../../../../kernel/socket";
import { Domain, SocketEvent, SocketOption, SocketType } from "../../../../sdk/assembly/syscalls";

/**
 * Both ends of the workloads that are measured in memory. The machine with `hostname=server` answers
 * on a port each; any other name is the workload that its machine begins with 10.0.0.2, or with fd00::2 if it
 * has an IPv6 address of its own.
 */

const SERVER: u64 = 0xffff_0a00_0002;
const SERVER6_HI: u64 = 0xfd00_0000_0000_0000;
const SERVER6_LO: u64 = 2;

/** What the client does; 7000 and it are the server's port. */
const enum Load {
  /** A stream, as much as goes, in place on both sides. */
  Bulk = 1,
  /** The same, copied in and out. */
  Copied = 2,
  /** A few bytes there and back, over and over. */
  Trips = 3,
  /** Connections, reset as soon as they stand. */
  Abort = 4,
  /** Connections, closed by both sides in order. */
  Close = 5,
  /** Small datagrams. */
  Datagrams = 6,
}
const PORTS: u32 = 7000;
/** In a socket's context, beside the load. */
const LISTENING: usize = 256;

const CHUNK: u32 = 65536;
/** Bytes that a bulk sender keeps queued. */
const QUEUED: u32 = 262144;
const SMALL: u32 = 64;
const DATAGRAM: u32 = 18;
/** Datagrams a step. */
const DATAGRAMS: u32 = 32;
/** Connections at a time of a load that is told to have many. */
const MANY: u32 = 100;

let work: Load = 0;
let bytes: usize = 0;
/** The client's connections, or its datagram socket; how many there are, and how many of them stand. */
const clients: usize = memory.data(100 << 2, 4);
let count: u32 = 1;
let connected: u32 = 0;
/** How many there are to be once the first has found its neighbour. */
let most: u32 = 1;
/** The server could not be reached yet: our address is still tentative (RFC 4862, 5.4). */
let waiting: bool = false;
/** The server's. */
let datagrams: u32 = 0;
const address = changetype<sockets.SocketAddress>(memory.data(24, 8));

function start(): void {
  bytes = reserve(CHUNK, 64);
  if (named("server")) {
    serve();
    return;
  }
  if (named("trips-many") || named("abort-many")) most = MANY;
  work = named("bulk")
    ? Load.Bulk
    : named("copied")
      ? Load.Copied
      : named("trips") || named("trips-many")
        ? Load.Trips
        : named("abort") || named("abort-many")
          ? Load.Abort
          : named("close")
            ? Load.Close
            : Load.Datagrams;
  begin();
}

function named(name: string): bool {
  return equals(config.hostname, config.hostnameLength, name);
}

function serve(): void {
  for (let service: u32 = Load.Bulk; service < <u32>Load.Datagrams; service++) {
    const listener = sockets.socket(SocketType.Stream, Domain.Inet6);
    address.set(<u16>(PORTS + service));
    sockets.bind(listener, address);
    sockets.listen(listener, MANY);
    sockets.setContext(listener, LISTENING | service);
  }
  datagrams = sockets.socket(SocketType.Datagram, Domain.Inet6);
  address.set(<u16>(PORTS + Load.Datagrams));
  sockets.bind(datagrams, address);
}


@inline function client(index: u32): u32 {
  return load<u32>(clients + ((<usize>index) << 2));
}

/** Makes every connection, or the datagram socket. */
function begin(): void {
  connected = 0;
  for (let i: u32 = 0; i < count && !waiting; i++) beginOne(i);
}

function beginOne(index: u32): void {
  const type = work == Load.Datagrams ? SocketType.Datagram : SocketType.Stream;
  const v6 = !config.address6.isAny;
  const number = sockets.socket(type, v6 ? Domain.Inet6 : Domain.Inet);
  store<u32>(clients + ((<usize>index) << 2), number);
  address.set(<u16>(PORTS + work));
  address.hi = v6 ? SERVER6_HI : 0;
  address.lo = v6 ? SERVER6_LO : SERVER;
  if (work != Load.Datagrams) sockets.setOption(number, SocketOption.NoDelay, 1);
  const result = sockets.connect(number, address);
  waiting = result < 0 && result != -Errno.EINPROGRESS;
  if (waiting) sockets.close(number);
}

function ready(): void {
  if (waiting) {
    waiting = false;
    begin();
  }
  // A connection stands for a whole step before its end begins: its last ACK goes out.
  if (connected == count && (work == Load.Abort || work == Load.Close)) {
    for (let i: u32 = 0; i < count; i++) {
      if (work == Load.Abort) sockets.abort(client(i));
      else sockets.close(client(i));
    }
    count = most;
    begin();
  } else if (connected == 1 && count < most) {
    while (count < most) beginOne(count++);
  }
  for (let number = sockets.nextReady(); number; number = sockets.nextReady()) {
    const events = sockets.readyEvents();
    if (work) clientReady(number, events);
    else serverReady(number);
  }
  if (work == Load.Datagrams) sendDatagrams();
  else if (work == Load.Bulk && connected) fill();
}

function clientReady(number: u32, events: u32): void {
  if (connected < count && events & SocketEvent.Writable) {
    connected++;
    if (work == Load.Trips) sockets.send(number, bytes, SMALL);
  }
  if (work == Load.Copied) {
    while (sockets.send(number, bytes, CHUNK) > 0);
  } else if (work == Load.Trips && sockets.receive(number, bytes, SMALL, false) == SMALL) {
    sockets.send(number, bytes, SMALL);
  }
}

function fill(): void {
  while (sockets.queued(client(0)) < QUEUED && sockets.sendStatic(client(0), bytes, CHUNK) > 0);
}

function sendDatagrams(): void {
  for (let i: u32 = 0; i < DATAGRAMS; i++) sockets.send(client(0), bytes, DATAGRAM);
}

function serverReady(number: u32): void {
  if (number == datagrams) {
    while (sockets.receive(number, bytes, DATAGRAM, false) >= 0);
    return;
  }
  const context = sockets.readyContext();
  if (!(context & LISTENING)) {
    serveStream(number, <Load>context);
    return;
  }
  for (let made = sockets.accept(number); made > 0; made = sockets.accept(number)) {
    sockets.setContext(made, context & ~LISTENING);
    sockets.setOption(made, SocketOption.NoDelay, 1);
  }
}

function serveStream(number: u32, service: Load): void {
  let got: i32 = 0;
  if (service == Load.Bulk) {
    while ((got = sockets.peekRun(number)) > 0) sockets.consume(number, got);
  } else {
    while ((got = sockets.receive(number, bytes, CHUNK, false)) > 0) {
      if (service == Load.Trips) sockets.send(number, bytes, got);
    }
  }
  if (got != -Errno.EAGAIN) sockets.close(number);
}

registerApp(start, ready);
