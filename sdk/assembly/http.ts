import { Address } from "./address";
import { ByteQueue } from "./bytes";
import { Result } from "./errors";
import { HeadFlag, HeadReader } from "./http-head";
import { Acceptor, Handler, Loop, Timer } from "./loop";
import { monotonic } from "./time";

/**
 * An HTTP/1.1 server (RFC 9110, 9112): connections that live on, requests sent ahead, bodies in either coding, and
 * no request that can be read in two ways.
 *
 *     const server = new HttpServer((request, response) => {
 *       if (request.path == "/") response.html("<h1>Hello</h1>");
 *       else response.fail(404);
 *     });
 *     server.listen(80).value;
 *     server.run();
 */

/** Longest body that is read, unless the server is told otherwise. */
const BODY_MAX: u32 = 1 << 20;
/** Bytes of a body that go out together with the head. */
const TOGETHER: i32 = 16384;

const IDLE_MS: f64 = 30_000;
/** For a whole head from its first byte on: a trickle does not prolong it. */
const HEAD_MS: f64 = 10_000;
/** Without a byte of the body, or without room to send. */
const PROGRESS_MS: f64 = 30_000;
const SWEEP_MS: f64 = 1000;

const LF: u32 = 0x0a;
const CR: u32 = 0x0d;

/** What a client asks for. All of it is good until the handler returns. */
@final
export class Request {
  readonly head: HeadReader = new HeadReader();
  private readonly bodyBytes: ByteQueue = new ByteQueue();

  /** "GET", "POST", … */
  get method(): string {
    return this.head.method;
  }

  /** The path as it came, percent-encoded, without the query: "/a%20b". */
  get path(): string {
    return this.head.path;
  }

  /** What stands behind the question mark, or "". */
  get query(): string {
    return this.head.query;
  }

  /** The value of a field, by its name in lower case; null without one. Several are joined by commas. */
  header(name: string): string | null {
    return this.head.field(name);
  }

  /** A copy of the body. */
  get body(): Uint8Array {
    return this.bodyBytes.toArray();
  }

  /** The body as text. */
  get text(): string {
    return String.UTF8.decodeUnsafe(this.bodyBytes.start, this.bodyBytes.length);
  }

  get bodyQueue(): ByteQueue {
    return this.bodyBytes;
  }
}

/** What is answered. A handler that sends nothing answers 404. */
@final
export class Response {
  status: i32 = 200;
  private fields: string = "";
  private done: bool = false;
  /** Of the request: it is HEAD, and the connection lives on. */
  private bodiless: bool = false;
  private keep: bool = false;

  constructor(
    private readonly out: ByteQueue,
    private readonly client: HttpClient,
  ) {}

  /** Adds a field; not Content-Length, Connection or Date, which are the server's business. */
  header(name: string, value: string): Response {
    assert(!hasControl(name) && !hasControl(value), "a field with a line's end in it");
    this.fields += name + ": " + value + "\r\n";
    return this;
  }

  html(text: string): void {
    this.sendText(text, "text/html;charset=utf-8");
  }

  text(text: string): void {
    this.sendText(text, "text/plain;charset=utf-8");
  }

  json(text: string): void {
    this.sendText(text, "application/json");
  }

  /** An answer of `status` with a line that says so. */
  fail(status: i32): void {
    this.status = status;
    this.text(`${status} ${reasonOf(status)}\n`);
  }

  /** Sends the client elsewhere. */
  redirect(location: string, status: i32 = 302): void {
    this.status = status;
    this.header("Location", location).text(location + "\n");
  }

  sendText(text: string, type: string): void {
    const bytes = String.UTF8.encode(text);
    this.sendFrom(changetype<usize>(bytes), bytes.byteLength, type);
  }

  send(bytes: Uint8Array, type: string): void {
    this.sendFrom(bytes.dataStart, bytes.length, type);
  }

  private sendFrom(from: usize, length: i32, type: string): void {
    assert(!this.done, "a request has one answer");
    this.done = true;
    const out = this.out;
    const status = this.status;
    out.clear();
    out.addText(`HTTP/1.1 ${status} ${reasonOf(status)}\r\nDate: ${dateNow()}\r\n`);
    // RFC 9110, 8.6: these have no length, and 9112, 6.3: no body.
    const none = status == 204 || status == 304;
    if (!none) out.addText(`Content-Type: ${type}\r\nContent-Length: ${length}\r\n`);
    if (!this.keep) out.addText("Connection: close\r\n");
    out.addText(this.fields + "\r\n");
    const body = none || this.bodiless ? 0 : length;
    if (body && body <= TOGETHER) out.add(from, body);
    this.client.connection.writeFrom(out.start, out.length);
    if (body > TOGETHER) this.client.connection.writeFrom(from, body);
    if (!this.keep) this.client.connection.end();
  }

  get sent(): bool {
    return this.done;
  }

  /** For the next request. */
  reset(bodiless: bool, keep: bool): void {
    this.status = 200;
    this.fields = "";
    this.done = false;
    this.bodiless = bodiless;
    this.keep = keep;
  }
}

function hasControl(text: string): bool {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 && code != 9) return true;
  }
  return false;
}

let dateText: string = "";
let dateSecond: i64 = -1;

/** The Date of now (RFC 9110, 5.6.7), made once a second. */
function dateNow(): string {
  const second = Date.now() / 1000;
  if (second != dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}

/** RFC 9110, 15. */
export function reasonOf(status: i32): string {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

function hexDigit(code: i32): i32 {
  if (<u32>(code - 0x30) < 10) return code - 0x30;
  const letter = (code | 0x20) - 0x61;
  return <u32>letter < 6 ? letter + 10 : -1;
}

/** Text with its percent-encodings resolved (RFC 3986, 2.1), which are UTF-8; null if one is none. */
export function percentDecode(text: string): string | null {
  if (!text.includes("%")) return text;
  const bytes = new ByteQueue();
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) != 0x25) {
      bytes.addText(text.charAt(i));
      continue;
    }
    const high = i + 2 < text.length ? hexDigit(text.charCodeAt(i + 1)) : -1;
    const low = high < 0 ? -1 : hexDigit(text.charCodeAt(i + 2));
    if (low < 0) return null;
    store<u8>(bytes.room(1), <u8>((high << 4) | low));
    bytes.added(1);
    i += 2;
  }
  return String.UTF8.decodeUnsafe(bytes.start, bytes.length);
}

const enum Stage {
  Head = 0,
  /** A body of a known length. */
  Body = 1,
  /** A body in chunks: the line with a chunk's size, its bytes, the line behind them, the trailer. */
  ChunkSize = 2,
  ChunkBytes = 3,
  ChunkEnd = 4,
  Trailer = 5,
}

/** Longest line of a chunk's size with its extensions, and longest trailer. */
const CHUNK_LINE_MAX: i32 = 256;
const TRAILER_MAX: i32 = 4096;

/** Of `line`: it is not whole yet; it is none. */
const MORE: i32 = -1;
const BAD: i32 = -2;

/** One client. */
class HttpClient extends Handler {
  private readonly input: ByteQueue = new ByteQueue();
  private readonly request: Request = new Request();
  private response!: Response;
  private stage: Stage = Stage.Head;
  /** Bytes of the body, or of its chunk, that are still to come. */
  private left: u64 = 0;
  private trailer: i32 = 0;
  /** The whole request must be here by then, ms; what is idle has longer. */
  deadline: f64 = 0;
  private inHead: bool = false;
  private ended_: bool = false;

  constructor(private readonly server: HttpServer) {
    super();
  }

  opened(): void {
    this.response = new Response(new ByteQueue(), this);
    this.deadline = monotonic() + IDLE_MS;
    this.server.clients.add(this);
  }

  received(bytes: Uint8Array): void {
    this.input.add(bytes.dataStart, bytes.length);
    this.work();
  }

  drained(): void {
    this.work();
  }

  ended(): void {
    this.ended_ = true;
    if (!this.connection.queued) this.connection.end();
  }

  closed(_errno: i32): void {
    this.server.clients.delete(this);
  }

  /** Does what can be done with what is there. */
  private work(): void {
    const connection = this.connection;
    while (this.step()) {
      // Answers that nobody takes are not added to.
      if (connection.isClosed || connection.queued) break;
    }
    if (connection.isClosed) return;
    if (this.ended_ && !connection.queued) return connection.end();
    this.renew();
  }

  /** Sets the deadline for what comes next. */
  private renew(): void {
    const inHead = this.stage == Stage.Head && this.input.length > 0;
    if (inHead && this.inHead) return; // since its first byte
    this.inHead = inHead;
    const patience = inHead ? HEAD_MS : this.stage == Stage.Head ? IDLE_MS : PROGRESS_MS;
    this.deadline = monotonic() + patience;
  }

  /** One stage of a request: false when there is not enough for it. */
  private step(): bool {
    const input = this.input;
    switch (this.stage) {
      case Stage.Head:
        return this.head();
      case Stage.Body: {
        const count = <i32>min<u64>(this.left, <u64>input.length);
        this.take(count);
        if (this.left) return false;
        return this.answer();
      }
      case Stage.ChunkSize: {
        const end = this.line(CHUNK_LINE_MAX);
        if (end < 0) return end == BAD ? this.refuse(400) : false;
        const size = chunkSize(input.start, end);
        input.drop(end + 2);
        if (size < 0) return this.refuse(400);
        if (<u64>size + this.request.bodyQueue.length > this.server.bodyMax)
          return this.refuse(413);
        this.left = <u64>size;
        this.trailer = 0;
        this.stage = size ? Stage.ChunkBytes : Stage.Trailer;
        return true;
      }
      case Stage.ChunkBytes: {
        this.take(<i32>min<u64>(this.left, <u64>input.length));
        if (this.left) return false;
        this.stage = Stage.ChunkEnd;
        return true;
      }
      case Stage.ChunkEnd: {
        const end = this.line(0);
        if (end < 0) return end == BAD ? this.refuse(400) : false;
        input.drop(2);
        this.stage = Stage.ChunkSize;
        return true;
      }
      default: {
        const end = this.line(TRAILER_MAX);
        if (end < 0) return end == BAD ? this.refuse(400) : false;
        input.drop(end + 2);
        this.trailer += end;
        if (this.trailer > TRAILER_MAX) return this.refuse(431);
        return end ? true : this.answer();
      }
    }
  }

  private take(count: i32): void {
    this.request.bodyQueue.add(this.input.start, count);
    this.input.drop(count);
    this.left -= count;
  }

  /** Length of the line at the front of the input, at most `most`; or `MORE`, `BAD`. */
  private line(most: i32): i32 {
    const start = this.input.start;
    const room = most + 2;
    const length = min(this.input.length, room);
    for (let i = 0; i < length; i++) {
      const byte = <u32>load<u8>(start + i);
      if (byte == LF) return BAD;
      if (byte != CR) continue;
      if (i + 1 == length) return length < room ? MORE : BAD;
      return load<u8>(start + i + 1) == LF ? i : BAD;
    }
    return length < room ? MORE : BAD;
  }

  /** Reads a head if it is whole. */
  private head(): bool {
    const input = this.input;
    const head = this.request.head;
    const length = head.read(input.start, input.length);
    if (length == 0) return false;
    if (length < 0) return this.refuse(-length);
    input.drop(length);
    if (head.flags & HeadFlag.BadExpect) return this.refuse(417);
    if (head.contentLength > this.server.bodyMax) return this.refuse(413);
    this.request.bodyQueue.clear();
    this.left = head.contentLength;
    const chunked = (head.flags & HeadFlag.Chunked) != 0;
    if (!chunked && !this.left) return this.answer();
    if (head.flags & HeadFlag.Continue && !input.length) {
      this.connection.writeText("HTTP/1.1 100 Continue\r\n\r\n");
    }
    this.stage = chunked ? Stage.ChunkSize : Stage.Body;
    return true;
  }

  /** Gives the request to the program. */
  private answer(): bool {
    const head = this.request.head;
    const response = this.response;
    this.stage = Stage.Head;
    this.inHead = false;
    const keep = (head.flags & HeadFlag.Keep) != 0 && !this.ended_;
    response.reset((head.flags & HeadFlag.Head) != 0, keep);
    const handler = this.server.handler;
    handler(this.request, response);
    if (!response.sent) response.fail(404);
    head.reset();
    if (!keep) this.input.clear();
    return keep;
  }

  /** Answers what is no request of ours, and ends the connection: where the next begins nobody knows. */
  private refuse(status: i32): bool {
    this.response.reset(false, false);
    this.response.fail(status);
    this.input.clear();
    return false;
  }
}

/** A chunk's size (RFC 9112, 7.1), or -1. */
function chunkSize(line: usize, length: i32): i64 {
  let size: i64 = 0;
  let digits = 0;
  for (; digits < length; digits++) {
    const byte = <u32>load<u8>(line + digits);
    const letter = (byte | 0x20) - 0x61;
    if (byte - 0x30 < 10) size = (size << 4) | (byte - 0x30);
    else if (letter < 6) size = (size << 4) | (letter + 10);
    else break;
    if (digits >= 8) return -1;
  }
  if (!digits) return -1;
  if (digits == length) return size;
  const next = <u32>load<u8>(line + digits);
  return next == 0x3b || next == 0x20 || next == 9 ? size : -1;
}

/** Ends clients whose time is up. */
class Sweep extends Timer {
  constructor(private readonly server: HttpServer) {
    super();
  }

  fire(): void {
    const now = monotonic();
    const late: Array<HttpClient> = [];
    const clients = this.server.clients.values();
    for (let i = 0; i < clients.length; i++) if (clients[i].deadline < now) late.push(clients[i]);
    for (let i = 0; i < late.length; i++) late[i].connection.close();
    this.server.loop.after(SWEEP_MS, this);
  }
}

class HttpPort extends Acceptor {
  constructor(private readonly server: HttpServer) {
    super();
  }

  accept(): Handler {
    return new HttpClient(this.server);
  }
}

export class HttpServer {
  readonly clients: Set<HttpClient> = new Set();
  /** Longest body that is read; longer ones are refused with 413. */
  bodyMax: u64 = BODY_MAX;

  /** `handler` answers each request before it returns. */
  constructor(
    readonly handler: (request: Request, response: Response) => void,
    readonly loop: Loop = new Loop(),
  ) {
    loop.after(SWEEP_MS, new Sweep(this));
  }

  /** Listens on a port of every address. */
  listen(port: u16): Result<HttpServer> {
    const listening = this.loop.listenWith(Address.any(port), new HttpPort(this));
    const error = listening.error;
    if (error !== null) return Result.fails<HttpServer>(error.errno, error.what);
    return Result.of<HttpServer>(this);
  }

  /** Serves for ever. */
  run(): void {
    this.loop.run();
  }
}
