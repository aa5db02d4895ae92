import { registerApp } from "../../kernel/app";
import { info, warn } from "../../kernel/log";
import { boot } from "../../kernel/memory";
import { packCount, packOpen } from "../../kernel/pack";
import { nextReady, readyEvents } from "../../kernel/socket";
import { Method, Request } from "../lib/http/request";
import { Connection, httpReady, httpServe, replyStatus, tooLong } from "../lib/http/server";
import { equals } from "../lib/text";
import { filesInit, serveFile } from "./files";
import { findPath, pathAt, pathLength } from "./path";
import { serveStatus } from "./status";

/** The default program: a web server for the files packed into the image, and `/status`. */

const PORT: u16 = 80;

function start(): void {
  if (!boot.packLength) {
    warn("http").text("the image holds no files: only /status is served").end();
  } else if (packOpen(boot.pack, boot.packLength)) {
    filesInit();
  }
  if (httpServe(PORT, onRequest)) {
    info("http").text("serving").key("port").number(PORT).key("paths").number(packCount()).end();
  }
}

function ready(): void {
  for (let number = nextReady(); number; number = nextReady()) httpReady(number, readyEvents());
}

function onRequest(c: Connection, r: Request): void {
  if (r.method == Method.Unknown) {
    replyStatus(c, 501, "");
  } else if (r.method != Method.Get && r.method != Method.Head) {
    replyStatus(c, 405, "Allow: GET, HEAD\r\n");
  } else if (tooLong(r)) {
    replyStatus(c, 413, "");
  } else if (!findPath(r)) {
    replyStatus(c, 400, "");
  } else if (equals(pathAt, pathLength, "/status")) {
    serveStatus(c);
  } else {
    serveFile(c, r, pathAt, pathLength);
  }
}

registerApp(start, ready);
