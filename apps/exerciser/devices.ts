import { now } from "../../kernel/clock";
import * as devices from "../../kernel/devices";
import { MILLISECOND, Timer } from "../../kernel/timer";
import { DeviceCommand, DeviceFlag, Layout } from "../../sdk/assembly/syscalls";
import { Method, Request } from "../lib/http/request";
import { beginOk } from "../lib/http/response";
import { Connection, replyCopied, replyStatus } from "../lib/http/server";
import { JsonWriter } from "../lib/json";
import { Writer, decimal, equals, findByte } from "../lib/text";

/**
 * Devices by HTTP, so that a test can do to them what it likes while it uses them:
 *
 *     GET  /devices                 what there is
 *     POST /devices/rescan
 *     POST /devices/N/reset         of device N; load, unload, promiscuous, normal likewise
 *     POST /devices/N/unload?ms=M   and loads it again after that: else nobody might be left to ask
 *
 * A POST answers with the system call's result.
 */

const NAME: u32 = 8;
const TEXT: u32 = 8192;
/** Devices that may be waiting to be loaded again. */
const WAITING: u32 = 33;

const text: usize = memory.data(8192, 8);
const info: usize = memory.data(112, 8);
const writer = changetype<Writer>(memory.data(offsetof<Writer>(), 8));
const json = changetype<JsonWriter>(memory.data(offsetof<JsonWriter>(), 8));
const timers: usize = memory.data(48 * 40, 8);

/** Answers what is asked under `/devices`; false if it is something else. */
export function devicesAsked(c: Connection, r: Request): bool {
  const length: u32 = r.pathLength;
  if (length < NAME || !equals(r.path, NAME, "/devices")) return false;
  const rest = r.path + NAME;
  const left = length - NAME;
  if (!left && r.method == Method.Get) list(c);
  else if (left > 1 && load<u8>(rest) == 0x2f && r.method == Method.Post) {
    act(c, r, rest + 1, left - 1);
  } else replyStatus(c, left ? 404 : 405, "");
  return true;
}

function list(c: Connection): void {
  json.begin(writer.begin(text, text + TEXT)).array();
  for (let i: i32 = 0; i < devices.count(); i++) {
    devices.info(i, info);
    const flags = load<u32>(info, 4);
    json.object();
    json.count("state", load<u32>(info)).count("number", load<u32>(info, 44));
    json.key("linkUp").boolean((flags & DeviceFlag.Link) != 0);
    json.key("loopback").boolean((flags & DeviceFlag.Loopback) != 0);
    json.key("promiscuous").boolean((flags & DeviceFlag.Promiscuous) != 0);
    json.count("failures", load<u32>(info, 40));
    json.endObject();
  }
  json.endArray();
  answer(c);
}

function answer(c: Connection): void {
  writer.byte(0x0a);
  const length = writer.length;
  replyCopied(c, beginOk().text("Content-Type: application/json\r\n"), text, length);
}

/** `rescan`, or a device's index and what to do with it. */
function act(c: Connection, r: Request, words: usize, length: u32): void {
  let result: i32;
  if (equals(words, length, "rescan")) result = devices.rescan();
  else {
    const slash = findByte(words, words + length, 0x2f);
    const index = slash ? decimal(words, <u32>(slash - words)) : u64.MAX_VALUE;
    const command = slash ? commandOf(slash + 1, <u32>(words + length - slash - 1)) : 0;
    if (index >= WAITING || !command) return replyStatus(c, 404, "");
    const normal = command == NORMAL;
    const what = normal ? <u32>DeviceCommand.Promiscuous : command;
    result = devices.control(<u32>index, what, normal ? 0 : 1);
    if (!result && command == DeviceCommand.Unload) loadLater(<u32>index, r);
  }
  json.begin(writer.begin(text, text + TEXT)).object();
  json.key("result").signed(result).endObject();
  answer(c);
}

const NORMAL: u32 = 100;

/** `DeviceCommand`, `NORMAL` or 0. */
function commandOf(word: usize, length: u32): u32 {
  if (equals(word, length, "reset")) return DeviceCommand.Reset;
  if (equals(word, length, "load")) return DeviceCommand.Load;
  if (equals(word, length, "unload")) return DeviceCommand.Unload;
  if (equals(word, length, "promiscuous")) return DeviceCommand.Promiscuous;
  return equals(word, length, "normal") ? NORMAL : 0;
}

function loadLater(index: u32, r: Request): void {
  if (r.queryLength < 4 || !equals(r.query, 3, "ms=")) return;
  const ms = decimal(r.query + 3, r.queryLength - 3);
  if (ms > 60_000) return;
  const timer = changetype<Timer>(timers + <usize>index * offsetof<Timer>());
  timer.init(loadNow, index);
  timer.arm(now() + ms * MILLISECOND);
}

function loadNow(index: usize, _now: u64): void {
  devices.control(<u32>index, DeviceCommand.Load, 0);
}

assert(Layout.Device <= 112 && offsetof<Timer>() <= 40);
