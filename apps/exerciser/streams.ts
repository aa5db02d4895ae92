import { Errno } from "../../kernel/errno";
import { warn } from "../../kernel/log";
import { reserve } from "../../kernel/memory";
import * as sockets from "../../kernel/socket";
import { Domain, SocketEvent, SocketType, Shutdown } from "../../sdk/assembly/syscalls";
import { generate, generatedLength } from "./generate";

/**
 * Plain services of a byte stream or a datagram: echo (RFC 862), discard (RFC 863), and a source
 * on the port of the character generator (RFC 864) whose bytes can be checked.
 */

const ECHO_PORT: u16 = 7;
const DISCARD_PORT: u16 = 9;
const SOURCE_PORT: u16 = 19;
/** The source's stream is the one of this seed. */
const SOURCE_SEED: u32 = 19;
const BACKLOG: u32 = 128;
const STREAMS_MAX: u32 = 1024;

const enum Service {
  Echo = 1,
  Discard = 2,
  Source = 3,
}

/** One connection, or a listener. */
@unmanaged
class Stream {
  offset: u64;
  next: Stream | null;
  /** `Service`. */
  service: u8;
  listening: bool;
}

let streams: usize = 0;
let streamsBytes: usize = 0;
let free: Stream | null = null;
let datagrams: u32 = 0;
const address = changetype<sockets.SocketAddress>(memory.data(24, 8));

/** Opens the services. Start-up only. */
export function streamsInit(): void {
  streamsBytes = STREAMS_MAX * offsetof<Stream>();
  streams = reserve(STREAMS_MAX * offsetof<Stream>(), 64);
  for (let i: u32 = 0; i < STREAMS_MAX; i++) {
    const stream = changetype<Stream>(streams + <usize>i * offsetof<Stream>());
    stream.next = free;
    free = stream;
  }
  serve(ECHO_PORT, Service.Echo);
  serve(DISCARD_PORT, Service.Discard);
  serve(SOURCE_PORT, Service.Source);
  const udp = sockets.socket(SocketType.Datagram, Domain.Inet6);
  address.set(ECHO_PORT);
  if (udp < 0 || sockets.bind(udp, address) < 0) {
    warn("exerciser").text("no UDP echo").key("errno").number(-udp).end();
  } else {
    datagrams = udp;
  }
}

function serve(port: u16, service: Service): void {
  let result = sockets.socket(SocketType.Stream, Domain.Inet6);
  const listener = result;
  const stream = take(service);
  if (result > 0 && stream !== null) {
    address.set(port);
    result = sockets.bind(listener, address);
    if (result >= 0) result = sockets.listen(listener, BACKLOG);
    stream.listening = true;
    sockets.setContext(listener, changetype<usize>(stream));
  }
  if (result < 0) {
    warn("exerciser")
      .text("cannot serve")
      .key("port")
      .number(port)
      .key("errno")
      .number(-result)
      .end();
  }
}

function take(service: u32): Stream | null {
  const stream = free;
  if (stream === null) return null;
  free = stream.next;
  stream.next = null;
  stream.offset = 0;
  stream.service = <u8>service;
  stream.listening = false;
  return stream;
}

function end(number: u32, stream: Stream): void {
  sockets.close(number);
  stream.next = free;
  free = stream;
}

/** The socket table's news about `number`: whether it was one of these. */
export function streamsReady(number: u32, events: u32): bool {
  if (number == datagrams && datagrams) {
    echoDatagrams();
    return true;
  }
  const context = sockets.readyContext();
  if (context - streams >= streamsBytes) return false;
  const stream = changetype<Stream>(context);
  if (stream.listening) acceptAll(number, stream.service);
  else if (events & SocketEvent.Error) end(number, stream);
  else if (stream.service == Service.Source) source(number, stream);
  else sink(number, stream);
  return true;
}

function acceptAll(listener: u32, service: u32): void {
  for (let number = sockets.accept(listener); number > 0; number = sockets.accept(listener)) {
    const stream = take(service);
    if (stream === null) sockets.close(number);
    else sockets.setContext(number, changetype<usize>(stream));
  }
}

/** Reads to the end; echoes what it reads, from where it lies. What finds no room stays unread. */
function sink(number: u32, stream: Stream): void {
  while (true) {
    const got = sockets.peekRun(number);
    if (got == -Errno.EAGAIN) return;
    if (got <= 0) {
      end(number, stream);
      return;
    }
    let used: i32 = got;
    if (stream.service == Service.Echo) {
      used = sockets.send(number, sockets.runAddress(), got);
      // Room, once there is some, is news.
      if (used == -Errno.EAGAIN) return;
      if (used < 0) {
        end(number, stream);
        return;
      }
    }
    sockets.consume(number, used);
    if (used < got) return;
  }
}

/** Sends for as long as the peer takes it; what the peer says is dropped. */
function source(number: u32, stream: Stream): void {
  while (true) {
    const got = sockets.peekRun(number);
    if (got == -Errno.EAGAIN) break;
    if (got <= 0) {
      end(number, stream);
      return;
    }
    sockets.consume(number, got);
  }
  while (true) {
    const from = generate(SOURCE_SEED, stream.offset, u32.MAX_VALUE);
    const sent = sockets.send(number, from, generatedLength());
    if (sent == -Errno.EAGAIN) return;
    if (sent < 0) {
      end(number, stream);
      return;
    }
    stream.offset += sent;
  }
}

function echoDatagrams(): void {
  while (true) {
    const length = sockets.peekRunFrom(datagrams, address);
    if (length < 0) return;
    // An answer to an echo port would go round for ever (RFC 862 is silent; CERT CA-1996-01).
    if (address.port != ECHO_PORT) sockets.sendTo(datagrams, sockets.runAddress(), length, address);
    sockets.consume(datagrams, length);
  }
}
