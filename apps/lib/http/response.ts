import { now } from "../../../kernel/clock";
import { wallClock } from "../../../kernel/host";
import { SECOND } from "../../../kernel/timer";
import { Writer } from "../text";
import { writeDate } from "./date";

/**
 * The head of an answer (RFC 9112, 4; RFC 9110, 15). It is built in one buffer and copied from
 * there into the send queue at once. What all answers of a second have in common is rendered
 * once a second.
 */

/** Bytes that an answer's head and its copied body may have together. */
export const ANSWER_MAX: u32 = 16384;

const buffer: usize = memory.data(16384, 64);
const writer = changetype<Writer>(memory.data(offsetof<Writer>(), 8));

/** "HTTP/1.1 200 OK", Server and Date, rendered; Server and Date begin at `COMMON_AT`. */
const okLines: usize = memory.data(96, 64);
const COMMON_AT: usize = 17;
let okLength: u32 = 0;
/** `now()` from which on the date is another one. */
let dateEnds: u64 = 0;

function render(): void {
  const wall = wallClock();
  writer
    .begin(okLines, okLines + 96)
    .text("HTTP/1.1 200 OK\r\n")
    .text("Server: Skerry\r\n");
  // Without a clock there must be no date (RFC 9110, 6.6.1).
  if (wall) {
    writer.text("Date: ");
    writeDate(writer, <i64>(wall / SECOND));
    writer.text("\r\n");
  }
  okLength = writer.length;
  dateEnds = now() + SECOND - (wall % SECOND);
}

/** Starts a 200: status line, Server and Date. Fields follow as whole lines, then `endHead`. */
export function beginOk(): Writer {
  if (now() >= dateEnds) render();
  return writer.begin(buffer, buffer + ANSWER_MAX).bytes(okLines, okLength);
}

/** Starts an answer of any status. */
export function beginHead(status: u32): Writer {
  if (now() >= dateEnds) render();
  return writer
    .begin(buffer, buffer + ANSWER_MAX)
    .text("HTTP/1.1 ")
    .number(status)
    .byte(0x20)
    .text(reasonOf(status))
    .text("\r\n")
    .bytes(okLines + COMMON_AT, okLength - <u32>COMMON_AT);
}

/** The end of most heads. */
const KEEP_BYTES: u32 = 26;
const keepLine: usize = keepLineIn(memory.data(32, 8));

function keepLineIn(into: usize): usize {
  writer.begin(into, into + KEEP_BYTES).text("Connection: keep-alive\r\n\r\n");
  return into;
}

/** Says whether the connection stays, which HTTP/1.0 clients need to be told, and ends the head. */
export function endHead(written: Writer, keep: bool): void {
  if (keep) written.bytes(keepLine, KEEP_BYTES);
  else written.text("Connection: close\r\n\r\n");
}

/** The interim answer to Expect: 100-continue. */
export function continueLine(): Writer {
  return writer.begin(buffer, buffer + ANSWER_MAX).text("HTTP/1.1 100 Continue\r\n\r\n");
}

/** RFC 9110, 15, and RFC 6585. */
export function reasonOf(status: u32): string {
  switch (status) {
    case 200:
      return "OK";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}
