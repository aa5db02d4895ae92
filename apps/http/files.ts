import { wallClock } from "../../kernel/host";
import { reserve } from "../../kernel/memory";
import { PackFlag, packCount, packEntry, packFind } from "../../kernel/pack";
import { SECOND } from "../../kernel/timer";
import { writeDate } from "../lib/http/date";
import { Request } from "../lib/http/request";
import { beginHead, beginOk } from "../lib/http/response";
import { Connection, replyStatic, replyStatus } from "../lib/http/server";
import { Writer } from "../lib/text";
import { Validators, precondition, range, rangeFirst, rangeLength } from "./conditions";

/**
 * Serves the file pack. The lines of a file's head that never change are rendered at start-up, so
 * that an answer is two copies of some bytes and a reference to the file's body.
 */

/** The rendered lines: Content-Length, then Content-Type, then what a 304 repeats. */
@unmanaged
class FileHead {
  lines: usize;
  length: u16;
  typeAt: u16;
  validatorsAt: u16;
  private zero: u16;
}

/** The lines without the type and the tag. */
const LINES_BYTES: u32 = 160;

let heads: usize = 0;
const validators = changetype<Validators>(memory.data(offsetof<Validators>(), 8));
const writer = changetype<Writer>(memory.data(offsetof<Writer>(), 8));

/** Renders the heads of all files of the open pack. Start-up only. */
export function filesInit(): void {
  const count = packCount();
  heads = reserve(count * offsetof<FileHead>(), 8);
  let room: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const entry = packEntry(i);
    room += LINES_BYTES + entry.typeLength + entry.tagLength;
  }
  let at = reserve(room, 64);
  for (let i: u32 = 0; i < count; i++) {
    const entry = packEntry(i);
    const head = fileHead(i);
    writer.begin(at, at + LINES_BYTES + entry.typeLength + entry.tagLength);
    writer.text("Content-Length: ").number(entry.bodyLength).text("\r\n");
    head.typeAt = <u16>writer.length;
    writer.text("Content-Type: ").bytes(entry.type, entry.typeLength).text("\r\n");
    head.validatorsAt = <u16>writer.length;
    writer.text("ETag: ").bytes(entry.tag, entry.tagLength).text("\r\n");
    if (entry.modified) {
      writer.text("Last-Modified: ");
      writeDate(writer, <i64>entry.modified);
      writer.text("\r\n");
    }
    writer.text("Accept-Ranges: bytes\r\n");
    head.lines = at;
    head.length = <u16>writer.length;
    at += writer.length;
  }
}


@inline function fileHead(index: u32): FileHead {
  return changetype<FileHead>(heads + <usize>index * offsetof<FileHead>());
}

/** Answers a GET or HEAD with the file of a normalised path, or says why not. */
export function serveFile(c: Connection, r: Request, path: usize, length: u32): void {
  const index = packFind(path, length);
  if (index < 0) {
    replyStatus(c, 404, "");
    return;
  }
  const entry = packEntry(index);
  if (entry.flags & PackFlag.Redirect) {
    const written = beginHead(301);
    written.text("Location: ").bytes(entry.body, entry.bodyLength);
    written.text("\r\nContent-Length: 0\r\n");
    replyStatic(c, written, 0, 0);
    return;
  }
  const head = fileHead(index);
  const lines = head.lines;
  let status: u32 = 200;
  if (r.keptCount) {
    validators.tag = entry.tag;
    validators.tagLength = entry.tagLength;
    validators.modified = <i64>entry.modified;
    validators.today = <i64>(wallClock() / SECOND);
    status = precondition(r, validators);
    if (status == 200) status = range(r, validators, entry.bodyLength);
  }
  switch (status) {
    case 200:
      replyStatic(c, beginOk().bytes(lines, head.length), entry.body, entry.bodyLength);
      break;
    case 206: {
      const written = beginHead(206);
      written.text("Content-Range: bytes ").number(rangeFirst).byte(0x2d);
      written
        .number(<u64>rangeFirst + rangeLength - 1)
        .byte(0x2f)
        .number(entry.bodyLength);
      written.text("\r\nContent-Length: ").number(rangeLength).text("\r\n");
      written.bytes(lines + head.typeAt, head.length - head.typeAt);
      replyStatic(c, written, entry.body + rangeFirst, rangeLength);
      break;
    }
    case 304: {
      const written = beginHead(304);
      written.bytes(lines + head.validatorsAt, head.length - head.validatorsAt);
      replyStatic(c, written, 0, 0);
      break;
    }
    case 416: {
      const written = beginHead(416);
      written.text("Content-Range: bytes */").number(entry.bodyLength);
      written.text("\r\nContent-Length: 0\r\n");
      replyStatic(c, written, 0, 0);
      break;
    }
    default:
      replyStatus(c, status, "");
  }
}
