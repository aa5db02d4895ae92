import { Errno } from "../../../kernel/errno";
import { now } from "../../../kernel/clock";
import { reserve, reserveUncleared, unreserved } from "../../../kernel/memory";
import * as sockets from "../../../kernel/socket";
import { warn } from "../../../kernel/log";
import { SECOND, Timer } from "../../../kernel/timer";
import {
  Domain,
  Shutdown,
  SocketEvent,
  SocketOption,
  SocketType,
} from "../../../sdk/assembly/syscalls";
import { Writer } from "../text";
import { Body, bodyData } from "./body";
import { HEAD_MAX, Method, Parse, Request, RequestFlag } from "./request";
import { ANSWER_MAX, beginHead, continueLine, endHead, reasonOf } from "./response";

/**
 * Connections of an HTTP/1.1 server (RFC 9112): reads requests, hands each to the program, sends
 * what the program answers, and decides what becomes of the connection.
 *
 *     receive queue ──► head ──► program's `request` ──► reply: head (copied) + body (in place)
 *                        │            │
 *                        │            └─ receiveBody ──► `body` a run at a time ──► `bodyEnd`
 *                        └─ in place; into a buffer only if it came in pieces
 *
 * Requests are answered one after the other. While an answer waits for room, no further request
 * is read: the receive window fills and the client waits, so a connection never holds more than
 * its own queues.
 */

/** Bytes of a body that is read only to be dropped, so that the connection can live on. */
export const DISCARD_MAX: u64 = 65536;
/** Bytes dropped from a client that has been told to go (RFC 9112, 9.6). */
const LINGER_BYTES_MAX: u64 = 1 << 20;
/** Bytes queued in place at once; the queue takes no more than twice as many. */
const STATIC_MAX: u32 = 1 << 29;
/** Requests that may be taken with a SYN and not yet confirmed. */
const FAST_OPEN: u32 = 64;
const BACKLOG: u32 = 1024;

const IDLE_TIME: u64 = 30 * SECOND;
/** For a whole head from its first byte on: a trickle does not prolong it. */
const HEAD_TIME: u64 = 10 * SECOND;
/** Without a byte of the body, or without room to send. */
const PROGRESS_TIME: u64 = 30 * SECOND;
const LINGER_TIME: u64 = 2 * SECOND;

const enum Input {
  /** Waits for a request or is within its head. */
  Head = 0,
  /** The body goes to the program. */
  Body = 1,
  /** The body goes nowhere. */
  Discard = 2,
  /** The body is whole; the program answers when there is room. */
  BodyEnd = 3,
  /** We have ended our stream and drop what still comes. */
  Linger = 4,
}

/** What the timer is for. */
const enum Waiting {
  Request = 0,
  Head = 1,
  Body = 2,
  Room = 3,
  End = 4,
}

/** A head that comes in pieces, or the rest of an answer that found no memory. */
@unmanaged
class Buffer {
  next: Buffer | null;
  length: u32;
  private request0: u64;


  @inline get request(): Request {
    return changetype<Request>(changetype<usize>(this) + offsetof<Buffer>("request0"));
  }


  @inline get bytes(): usize {
    return changetype<usize>(this) + BUFFER_HEAD;
  }
}
const BUFFER_HEAD: usize = 192;

/** One client. All zero but `next` while it is free. */
@unmanaged
export class Connection {
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  private body0: u64;
  private body1: u64;
  private body2: u64;
  /** Free for the program's use; zero at the start of each request. */
  value0: u64;
  value1: u64;
  value2: u64;
  /** Its socket's number. */
  socket: u32;
  next: Connection | null;
  /** The head read so far, if it did not come whole. */
  buffer: Buffer | null;
  /** The copied part of the answer that found no memory. */
  spill: Buffer | null;
  spillSent: u32;
  /** What is still to be sent in place. */
  staticAt: usize;
  staticLength: u32;
  input: u8;
  waiting: u8;
  /** The connection lives on after this answer. */
  keep: bool;
  /** An answer was given that the client must be able to read though it still sends. */
  linger: bool;
  /** The program produces the answer's body: `more`. */
  streaming: bool;
  /** A HEAD request: no body follows whatever the head says. */
  headOnly: bool;
  /** A body follows that has not been read. */
  bodyAhead: bool;
  /** Part of an answer was lost for want of memory: what follows would be misread. */
  broken: bool;


  @inline get timer(): Timer {
    return changetype<Timer>(this);
  }


  @inline get body(): Body {
    return changetype<Body>(changetype<usize>(this) + offsetof<Connection>("body0"));
  }
}

/** Bytes of a connection in their array. */
const STRIDE: u32 = 128;
let connections: usize = 0;
let connectionsBytes: usize = 0;
/** Bytes of those that have been used: pages beyond have not been touched. */
let connectionsUsed: usize = 0;
let freeConnection: Connection | null = null;
let freeBuffer: Buffer | null = null;
let listener: u32 = 0;
let acceptStalled: bool = false;
let requestFn: u32 = 0;
let bodyFn: u32 = 0;
let bodyEndFn: u32 = 0;
let moreFn: u32 = 0;
/** Where a head is parsed that came whole. */
const shared = changetype<Request>(memory.data(offsetof<Request>(), 8));
const address = changetype<sockets.SocketAddress>(memory.data(24, 8));

/** Counters since start. */
@unmanaged
export class HttpStats {
  connections: u64;
  open: u32;
  /** Requests answered, errors among them. */
  requests: u64;
  /** Answers of 400 and above. */
  refused: u64;
  /** Connections ended for being slow. */
  timeouts: u64;
  /** Bytes of answers copied into send queues, and bytes sent where they lie. */
  copied: u64;
  inPlace: u64;
}
export const httpStats = changetype<HttpStats>(memory.data(offsetof<HttpStats>(), 8));

/**
 * Serves on `port`: true, or false with a line on the console. `request` gets each request and
 * answers it with the functions below, or calls `receiveBody`. Start-up only.
 */
export function httpServe(port: u16, request: (c: Connection, r: Request) => void): bool {
  assert(offsetof<Request>() <= BUFFER_HEAD - 16 && offsetof<Connection>() <= STRIDE);
  // An answer that finds no room in the send queue waits in a buffer.
  assert(ANSWER_MAX <= HEAD_MAX);
  requestFn = request.index;
  const count = sockets.socketCapacity();
  connectionsBytes = <usize>count * STRIDE;
  connections = reserveUncleared(count * STRIDE, 64);
  // One of 32 KiB of what is left, so that a small machine keeps most of its memory.
  const buffers = min<u32>(max<u32>(unreserved() / 32 / (HEAD_MAX + 192), 8), 512);
  const first = reserve(buffers * (HEAD_MAX + 192), 64);
  for (let i: u32 = buffers; i-- > 0;) {
    const buffer = changetype<Buffer>(first + i * (HEAD_MAX + 192));
    buffer.next = freeBuffer;
    freeBuffer = buffer;
  }
  let result = sockets.socket(SocketType.Stream, Domain.Inet6);
  if (result > 0) {
    listener = result;
    address.set(port);
    result = sockets.bind(listener, address);
    // A request that comes twice is answered twice, which does no harm (RFC 7413, 6.3.1).
    if (result >= 0) result = sockets.setOption(listener, SocketOption.FastOpen, FAST_OPEN);
    if (result >= 0) result = sockets.listen(listener, BACKLOG);
  }
  if (result < 0) {
    warn("http").text("cannot serve").key("port").number(port).key("errno").number(-result).end();
    return false;
  }
  return true;
}

/**
 * For programs that take bodies: `body` gets each run of one that `receiveBody` asked for, where
 * it lies, and `bodyEnd` answers when it is whole.
 */
export function httpBodies(
  body: (c: Connection, at: usize, length: u32) => void,
  bodyEnd: (c: Connection) => void,
): void {
  bodyFn = body.index;
  bodyEndFn = bodyEnd.index;
}

/**
 * For programs that produce bodies: `more` sends what it can of an answer begun with
 * `replyStream`, with `sockets.send`. It returns 0 when all is sent, or what stopped it (-EAGAIN).
 */
export function httpStreams(more: (c: Connection) => i32): void {
  moreFn = more.index;
}

/** The socket table's news about `number`: whether it was this server's. */
export function httpReady(number: u32, events: u32): bool {
  if (number == listener) {
    acceptAll();
    return true;
  }
  const context = sockets.readyContext();
  if (context - connections >= connectionsBytes) return false;
  const c = changetype<Connection>(context);
  if (events & SocketEvent.Error) drop(c);
  else advance(c);
  if (acceptStalled) acceptAll();
  return true;
}

/** A connection of zeroes, or null. */
function takeConnection(): Connection | null {
  let c = freeConnection;
  if (c !== null) {
    freeConnection = c.next;
    c.next = null;
  } else if (connectionsUsed < connectionsBytes) {
    c = changetype<Connection>(connections + connectionsUsed);
    connectionsUsed += STRIDE;
    memory.fill(changetype<usize>(c), 0, STRIDE);
  }
  return c;
}

function acceptAll(): void {
  while (true) {
    const number = sockets.accept(listener);
    if (number < 0) {
      acceptStalled = number == -Errno.EMFILE;
      return;
    }
    const c = takeConnection();
    if (c === null) {
      sockets.close(number);
      continue;
    }
    c.socket = number;
    c.keep = true;
    c.timer.init(onTimer, changetype<usize>(c));
    sockets.setContext(number, changetype<usize>(c));
    // Answers are written whole: nothing is gained by holding back their last segment.
    sockets.setOption(number, SocketOption.NoDelay, 1);
    httpStats.connections++;
    httpStats.open++;
    wait(c, Waiting.Request, IDLE_TIME);
  }
}


@inline function wait(c: Connection, what: Waiting, time: u64): void {
  c.waiting = <u8>what;
  c.timer.arm(now() + time);
}

/** Ends the connection at once: what is queued is still sent. */
function drop(c: Connection): void {
  c.timer.cancel();
  sockets.close(c.socket);
  if (c.buffer !== null) giveBuffer(c.buffer!);
  if (c.spill !== null) giveBuffer(c.spill!);
  memory.fill(changetype<usize>(c), 0, offsetof<Connection>());
  c.next = freeConnection;
  freeConnection = c;
  httpStats.open--;
}

function takeBuffer(): Buffer | null {
  const buffer = freeBuffer;
  if (buffer !== null) {
    freeBuffer = buffer.next;
    buffer.length = 0;
  }
  return buffer;
}

function giveBuffer(buffer: Buffer): void {
  buffer.next = freeBuffer;
  freeBuffer = buffer;
}

function onTimer(context: usize, _now: u64): void {
  const c = changetype<Connection>(context);
  switch (<Waiting>c.waiting) {
    case Waiting.Head:
    case Waiting.Body:
      httpStats.timeouts++;
      if (c.input == Input.Discard) {
        // The answer is under way already; only the body is late.
        c.keep = false;
        c.linger = true;
      } else {
        c.input = <u8>Input.Discard;
        refuse(c, 408);
      }
      advance(c);
      break;
    case Waiting.Room:
      httpStats.timeouts++;
      drop(c);
      break;
    case Waiting.Request:
      // Not idle while it still takes an answer; TCP gives up on one that takes nothing.
      if (sockets.queued(c.socket)) wait(c, Waiting.Request, IDLE_TIME);
      else drop(c);
      break;
    default:
      drop(c);
  }
  if (acceptStalled) acceptAll();
}

/** Does all that the connection's queues allow. May end the connection: `c` is not valid after. */
function advance(c: Connection): void {
  while (true) {
    const pushed = push(c);
    if (pushed < 0 && pushed != -Errno.EAGAIN) {
      drop(c);
      return;
    }
    const quiet = pushed == 0;
    if (quiet && !c.keep && c.input != Input.Linger && answered(c)) {
      farewell(c);
      return;
    }
    let on = false;
    switch (<Input>c.input) {
      case Input.Head:
        on = quiet && readHead(c);
        break;
      case Input.Body:
      case Input.Discard:
        on = readBody(c);
        break;
      case Input.BodyEnd:
        if (quiet && sockets.sendReady(c.socket)) {
          c.input = <u8>Input.Head;
          call_indirect<void>(bodyEndFn, c);
          nextRequest(c);
          on = true;
        }
        break;
      default:
        linger(c);
    }
    if (on) continue;
    if (c.socket) {
      if (!quiet) wait(c, Waiting.Room, PROGRESS_TIME);
      else if (c.waiting == Waiting.Room) nextRequest(c);
    }
    return;
  }
}

/** Whether the request in hand has had its answer. */
@inline function answered(c: Connection): bool {
  return c.input == Input.Head || c.input == Input.Discard;
}

// ---- Sending ---------------------------------------------------------------------------------

/** Sends what waits: 0 when nothing is left, or the errno that stopped it. */
function push(c: Connection): i32 {
  if (c.broken) return -Errno.ECONNABORTED;
  const spill = c.spill;
  if (spill !== null) {
    const left = spill.length - c.spillSent;
    const sent = sockets.send(c.socket, spill.bytes + c.spillSent, left);
    if (sent < 0) return sent;
    c.spillSent += sent;
    if (<u32>sent < left) return -Errno.EAGAIN;
    c.spill = null;
    giveBuffer(spill);
  }
  while (c.staticLength) {
    const length = min(c.staticLength, STATIC_MAX);
    const result = sockets.sendStatic(c.socket, c.staticAt, length);
    if (result < 0) return result == -Errno.ENOBUFS ? -Errno.EAGAIN : result;
    c.staticAt += length;
    c.staticLength -= length;
    httpStats.inPlace += length;
  }
  if (c.streaming) {
    const result = call_indirect<i32>(moreFn, c);
    if (result < 0) return result;
    c.streaming = false;
  }
  return 0;
}

/**
 * Sends what the writer holds, copied, and `bodyLength` bytes at `body`, where they lie. What of the first finds no
 * memory waits in a buffer.
 */
function sendWritten(c: Connection, written: Writer, body: usize = 0, bodyLength: u32 = 0): void {
  assert(!written.full);
  const length = written.length;
  httpStats.requests++;
  httpStats.copied += length;
  const most = min(bodyLength, STATIC_MAX);
  const sent = <u32>max(sockets.sendBoth(c.socket, written.start, length, body, most), 0);
  const placed = sent > length ? sent - length : 0;
  httpStats.inPlace += placed;
  c.staticAt = body + placed;
  c.staticLength = bodyLength - placed;
  if (sent >= length) return;
  const spill = takeBuffer();
  if (spill === null) {
    c.broken = true;
    return;
  }
  spill.length = length - sent;
  memory.copy(spill.bytes, written.start + sent, spill.length);
  c.spill = spill;
  c.spillSent = 0;
}

/** Whether a body is too long to be read for nothing: then the answer is 413. */
@inline export function tooLong(r: Request): bool {
  return r.contentLength > DISCARD_MAX;
}

/** Ends the head in `written` and sends it; `length` bytes at `body` follow, where they lie. */
export function replyStatic(c: Connection, written: Writer, body: usize, length: u32): void {
  endHead(written, c.keep);
  sendWritten(c, written, body, c.headOnly ? 0 : length);
}

/** Ends the head in `written` and sends it; the body comes from `more`. */
export function replyStream(c: Connection, written: Writer): void {
  endHead(written, c.keep);
  sendWritten(c, written);
  c.streaming = !c.headOnly;
}

/** Ends the head in `written` and sends it with a small body, which is copied. */
export function replyCopied(c: Connection, written: Writer, body: usize, length: u32): void {
  written.text("Content-Length: ").number(length).text("\r\n");
  endHead(written, c.keep);
  if (!c.headOnly) written.bytes(body, length);
  sendWritten(c, written);
}

/** Answers with a status of 300 and above; `fields` are whole lines, or empty. */
export function replyStatus(c: Connection, status: u32, fields: string): void {
  if (status >= 400) httpStats.refused++;
  const written = beginHead(status);
  written.text(fields);
  if (status == 304) {
    endHead(written, c.keep);
  } else {
    written.text("Content-Type: text/plain\r\nContent-Length: ");
    const reason = reasonOf(status);
    written.number(<u64>reason.length + 5).text("\r\n");
    endHead(written, c.keep);
    if (!c.headOnly) written.number(status).byte(0x20).text(reason).byte(0x0a);
  }
  sendWritten(c, written);
}

/** Answers what cannot be read any further, and ends the connection. */
function refuse(c: Connection, status: u32): void {
  c.keep = false;
  c.linger = true;
  replyStatus(c, status, "");
}

// ---- Reading ---------------------------------------------------------------------------------

/** Reads a request and has it answered: whether there may be more to do. */
function readHead(c: Connection): bool {
  if (!sockets.sendReady(c.socket)) return false;
  const got = sockets.peekRun(c.socket);
  if (got <= 0) {
    if (got != -Errno.EAGAIN) drop(c);
    return false;
  }
  const run = sockets.runAddress();
  const buffer = c.buffer;
  let r = shared;
  let taken: u32 = got;
  let before: u32 = 0;
  if (buffer === null) {
    r.reset(run);
  } else {
    r = buffer.request;
    before = buffer.length;
    taken = min<u32>(got, HEAD_MAX - before);
    memory.copy(buffer.bytes + before, run, taken);
    buffer.length += taken;
  }
  const status = r.parse(before + taken);
  if (status == Parse.More) {
    if (buffer === null && !hold(c, r, run, taken)) {
      refuse(c, 503);
    } else {
      sockets.consume(c.socket, taken);
    }
    return true;
  }
  if (status != Parse.Done) {
    refuse(c, status);
    return true;
  }
  begin(c, r);
  sockets.consume(c.socket, r.headLength - before);
  if (buffer !== null) {
    giveBuffer(buffer);
    c.buffer = null;
  }
  nextRequest(c);
  return true;
}

/** Keeps a head that has not come whole; false when there is no buffer left. */
function hold(c: Connection, r: Request, run: usize, length: u32): bool {
  const buffer = takeBuffer();
  if (buffer === null) return false;
  memory.copy(changetype<usize>(buffer.request), changetype<usize>(r), offsetof<Request>());
  buffer.request.base = buffer.bytes;
  memory.copy(buffer.bytes, run, length);
  buffer.length = length;
  c.buffer = buffer;
  wait(c, Waiting.Head, HEAD_TIME);
  return true;
}

/** Hands a whole head to the program. */
function begin(c: Connection, r: Request): void {
  c.value0 = 0;
  c.value1 = 0;
  c.value2 = 0;
  c.linger = false;
  c.headOnly = r.method == Method.Head;
  c.bodyAhead = r.hasBody;
  // A client that waits for leave may send its body or not: only the end of the connection
  // makes clear what follows (RFC 9110, 10.1.1). A long body costs more than a connection.
  const abandon = c.bodyAhead && (r.has(RequestFlag.Continue) || tooLong(r));
  c.keep = r.persistent && !abandon;
  c.input = <u8>Input.Head;
  if (c.bodyAhead) {
    if (r.has(RequestFlag.Chunked)) c.body.chunked();
    else c.body.counted(r.contentLength);
    c.input = <u8>Input.Discard;
  }
  if (r.has(RequestFlag.BadExpect)) replyStatus(c, 417, "");
  else call_indirect<void>(requestFn, c, r);
  if (c.bodyAhead && !c.keep) c.linger = true;
}

/** From the program's `request`: have the body brought to `body`, answer in `bodyEnd`. */
export function receiveBody(c: Connection, r: Request): void {
  c.keep = r.persistent;
  if (r.has(RequestFlag.Continue) && c.bodyAhead) {
    const written = continueLine();
    httpStats.copied += written.length;
    // Without room it stays unsaid: the client sends after a while all the same.
    sockets.send(c.socket, written.start, written.length);
  }
  c.input = <u8>(c.bodyAhead ? Input.Body : Input.BodyEnd);
  c.bodyAhead = false;
}

/** Chooses what the connection waits for once a request has been dealt with. */
function nextRequest(c: Connection): void {
  if (c.input == Input.Body || c.input == Input.Discard) wait(c, Waiting.Body, PROGRESS_TIME);
  else wait(c, Waiting.Request, IDLE_TIME);
}

/** Reads on in a body: whether there may be more to do. */
function readBody(c: Connection): bool {
  const got = sockets.peekRun(c.socket);
  if (got <= 0) {
    // The end of the stream within a body: nobody is there to be answered in full.
    if (got != -Errno.EAGAIN) drop(c);
    return false;
  }
  const body = c.body;
  const used = body.take(sockets.runAddress(), got);
  const data = bodyData();
  if (data && c.input == Input.Body) {
    call_indirect<void>(bodyFn, c, sockets.runAddress() + used - data, data);
  }
  sockets.consume(c.socket, used);
  if (body.bad) {
    if (c.input == Input.Body) {
      c.input = <u8>Input.Discard;
      refuse(c, 400);
    } else {
      c.keep = false;
      c.linger = true;
    }
    return true;
  }
  if (body.done) {
    c.input = <u8>(c.input == Input.Body ? Input.BodyEnd : Input.Head);
    c.bodyAhead = false;
    nextRequest(c);
  } else if (c.input == Input.Discard && body.received > DISCARD_MAX) {
    c.keep = false;
    c.linger = true;
  } else {
    wait(c, Waiting.Body, PROGRESS_TIME);
  }
  return true;
}

// ---- Ending ----------------------------------------------------------------------------------

/**
 * The last answer is queued: ends our stream. Closing with bytes unread makes TCP reset the
 * connection, which can take the answer from the client before it has read it (RFC 9112, 9.6),
 * so where more may come it is read and dropped for a while.
 */
function farewell(c: Connection): void {
  if (!c.linger && !sockets.available(c.socket)) {
    drop(c);
    return;
  }
  if (sockets.shutdown(c.socket, Shutdown.Write) < 0) {
    drop(c);
    return;
  }
  c.input = <u8>Input.Linger;
  c.body.counted(LINGER_BYTES_MAX);
  wait(c, Waiting.End, LINGER_TIME);
  linger(c);
}

function linger(c: Connection): void {
  while (true) {
    const got = sockets.peekRun(c.socket);
    if (got == -Errno.EAGAIN) return;
    if (got <= 0) break;
    sockets.consume(c.socket, c.body.take(sockets.runAddress(), got));
    if (c.body.done) break;
  }
  drop(c);
}
