import { now } from "../../kernel/clock";
import { socketCapacity, socketsOpen } from "../../kernel/socket";
import { VERSION } from "../../kernel/version";
import { beginOk } from "../lib/http/response";
import { Connection, httpStats, replyCopied } from "../lib/http/server";
import { JsonWriter } from "../lib/json";
import { Writer } from "../lib/text";

/** `/status` of the server as a guest, which sees itself and not the machine. */

const STATUS_MAX: i32 = 1024;
const text: usize = memory.data(STATUS_MAX, 64);
const writer = changetype<Writer>(memory.data(offsetof<Writer>(), 8));
const json = changetype<JsonWriter>(memory.data(offsetof<JsonWriter>(), 8));

export function serveStatus(c: Connection): void {
  json.begin(writer.begin(text, text + STATUS_MAX)).object();
  json.key("system").text("Skerry").key("version").text(VERSION).key("uptime").nano(now());
  json.key("sockets").object();
  json.count("open", socketsOpen()).count("capacity", socketCapacity()).endObject();
  json.key("http").object();
  json.count("connections", httpStats.connections).count("open", httpStats.open);
  json.count("requests", httpStats.requests).count("refused", httpStats.refused);
  json.count("timeouts", httpStats.timeouts).count("bytesCopied", httpStats.copied);
  json.count("bytesInPlace", httpStats.inPlace).endObject().endObject();
  writer.byte(0x0a);
  const head = beginOk().text("Content-Type: application/json\r\nCache-Control: no-store\r\n");
  replyCopied(c, head, text, writer.length);
}
