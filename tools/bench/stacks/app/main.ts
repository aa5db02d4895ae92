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

let load: Load = 0;
let bytes: usize = 0;
/** The client's connection or datagram socket, and whether it stands. */
let client: u32 = 0;
let connected: bool = false;
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
  load = named("bulk")
    ? Load.Bulk
    : named("copied")
      ? Load.Copied
      : named("trips")
        ? Load.Trips
        : named("abort")
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
    sockets.listen(listener, 64);
    sockets.setContext(listener, LISTENING | service);
  }
  datagrams = sockets.socket(SocketType.Datagram, Domain.Inet6);
  address.set(<u16>(PORTS + Load.Datagrams));
  sockets.bind(datagrams, address);
}

function begin(): void {
  connected = false;
  const type = load == Load.Datagrams ? SocketType.Datagram : SocketType.Stream;
  const v6 = !config.address6.isAny;
  client = sockets.socket(type, v6 ? Domain.Inet6 : Domain.Inet);
  address.set(<u16>(PORTS + load));
  address.hi = v6 ? SERVER6_HI : 0;
  address.lo = v6 ? SERVER6_LO : SERVER;
  if (load != Load.Datagrams) sockets.setOption(client, SocketOption.NoDelay, 1);
  const result = sockets.connect(client, address);
  waiting = result < 0 && result != -Errno.EINPROGRESS;
  if (waiting) sockets.close(client);
}

function ready(): void {
  if (waiting) begin();
  // A connection stands for a whole step before its end begins: its last ACK goes out.
  if (connected && (load == Load.Abort || load == Load.Close)) {
    if (load == Load.Abort) sockets.abort(client);
    else sockets.close(client);
    begin();
  }
  for (let number = sockets.nextReady(); number; number = sockets.nextReady()) {
    const events = sockets.readyEvents();
    if (load) clientReady(events);
    else serverReady(number);
  }
  if (load == Load.Datagrams) sendDatagrams();
  else if (load == Load.Bulk && connected) fill();
}

function clientReady(events: u32): void {
  if (!connected && events & SocketEvent.Writable) {
    connected = true;
    if (load == Load.Trips) sockets.send(client, bytes, SMALL);
  }
  if (load == Load.Copied) {
    while (sockets.send(client, bytes, CHUNK) > 0);
  } else if (load == Load.Trips && sockets.receive(client, bytes, SMALL, false) == SMALL) {
    sockets.send(client, bytes, SMALL);
  }
}

function fill(): void {
  while (sockets.queued(client) < QUEUED && sockets.sendStatic(client, bytes, CHUNK) > 0);
}

function sendDatagrams(): void {
  for (let i: u32 = 0; i < DATAGRAMS; i++) sockets.send(client, bytes, DATAGRAM);
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
