import { registerApp } from "../../kernel/app";
import { Errno } from "../../kernel/errno";
import { info } from "../../kernel/log";
import { Power, powerDown } from "../../kernel/power";
import { nextReady, readyEvents, send } from "../../kernel/socket";
import { Method, Request } from "../lib/http/request";
import { beginOk } from "../lib/http/response";
import {
  Connection,
  httpBodies,
  httpReady,
  httpServe,
  httpStreams,
  receiveBody,
  replyCopied,
  replyStatus,
  replyStream,
} from "../lib/http/server";
import { Writer, decimal, equals, findByte } from "../lib/text";
import { crc32 } from "./crc32";
import { devicesAsked } from "./devices";
import { generate, generatedLength } from "./generate";
import { streamsInit, streamsReady } from "./streams";

/**
 * A program for tests: it sends bytes that anyone can recompute and sums up those that it gets.
 *
 *     GET  /bytes/N?seed=S   N bytes of the stream of seed S (generate.ts)
 *     PUT  /sum, POST /sum   {"length":…,"crc32":"…"} of the body, however it is framed
 *     POST /off, /restart    ends the machine
 *
 * devices (devices.ts), and echo, discard and a source as plain TCP, and echo as UDP (streams.ts).
 */

const PORT: u16 = 80;
/** Longest answer: what a length in 53 bits and every client can count. */
const BYTES_MAX: u64 = 1 << 40;

const text: usize = memory.data(128, 8);
const writer = changetype<Writer>(memory.data(offsetof<Writer>(), 8));

function start(): void {
  streamsInit();
  httpBodies(onBody, onBodyEnd);
  httpStreams(onMore);
  if (httpServe(PORT, onRequest)) info("exerciser").text("serving").key("port").number(PORT).end();
}

function ready(): void {
  for (let number = nextReady(); number; number = nextReady()) {
    const events = readyEvents();
    if (!httpReady(number, events)) streamsReady(number, events);
  }
}

function onRequest(c: Connection, r: Request): void {
  const path = r.path;
  const length: u32 = r.pathLength;
  const reading = r.method == Method.Get || r.method == Method.Head;
  if (r.method == Method.Unknown) {
    replyStatus(c, 501, "");
  } else if (devicesAsked(c, r)) {
    return;
  } else if (equals(path, length, "/sum")) {
    if (r.method == Method.Put || r.method == Method.Post) receiveBody(c, r);
    else replyStatus(c, 405, "Allow: PUT, POST\r\n");
  } else if (length > 7 && equals(path, 7, "/bytes/")) {
    if (reading) serveBytes(c, r);
    else replyStatus(c, 405, "Allow: GET, HEAD\r\n");
  } else if (equals(path, length, "/off")) {
    end(c, r, Power.Off);
  } else if (equals(path, length, "/restart")) {
    end(c, r, Power.Restart);
  } else {
    replyStatus(c, 404, "");
  }
}

/** Answers, and ends the machine. */
function end(c: Connection, r: Request, how: Power): void {
  if (r.method != Method.Post) {
    replyStatus(c, 405, "Allow: POST\r\n");
    return;
  }
  powerDown(how);
  replyStatus(c, 200, "");
}

/** The connection's values: bytes left, offset, seed. */
function serveBytes(c: Connection, r: Request): void {
  const count = decimal(r.path + 7, r.pathLength - 7);
  const seed = seedOf(r.query, r.queryLength);
  if (count > BYTES_MAX || seed > u32.MAX_VALUE) {
    replyStatus(c, 400, "");
    return;
  }
  c.value0 = count;
  c.value1 = 0;
  c.value2 = seed;
  const head = beginOk().text("Content-Type: application/octet-stream\r\nContent-Length: ");
  head.number(count).text("\r\n");
  replyStream(c, head);
}

/** The number of `seed=`, 0 without one, `u64.MAX_VALUE` if it is no number. */
function seedOf(at: usize, length: u32): u64 {
  if (length < 5 || !equals(at, 5, "seed=")) return 0;
  const ampersand = findByte(at, at + length, 0x26);
  const end = ampersand ? ampersand : at + length;
  return decimal(at + 5, <u32>(end - at - 5));
}

function onMore(c: Connection): i32 {
  while (c.value0) {
    const from = generate(<u32>c.value2, c.value1, c.value0);
    const sent = send(c.socket, from, <u32>min<u64>(generatedLength(), c.value0));
    if (sent <= 0) return sent ? sent : -Errno.EAGAIN;
    c.value0 -= sent;
    c.value1 += sent;
  }
  return 0;
}

/** The connection's values: bytes so far, their checksum. */
function onBody(c: Connection, at: usize, length: u32): void {
  c.value0 += length;
  c.value1 = crc32(<u32>c.value1, at, length);
}

function onBodyEnd(c: Connection): void {
  writer
    .begin(text, text + 128)
    .text('{"length":')
    .number(c.value0)
    .text(',"crc32":"');
  writer.hex(c.value1, 8).text('"}\n');
  const length = writer.length;
  replyCopied(c, beginOk().text("Content-Type: application/json\r\n"), text, length);
}

registerApp(start, ready);
