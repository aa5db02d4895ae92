import { deviceAt, deviceCount } from "../../drivers/device";
import { now } from "../../kernel/clock";
import { config } from "../../kernel/config";
import { boot, unreserved } from "../../kernel/memory";
import { Owner, POOLS, poolOf } from "../../kernel/packet";
import { socketCapacity, socketsOpen } from "../../kernel/socket";
import { timersArmed } from "../../kernel/timer";
import { VERSION } from "../../kernel/version";
import { interfaceAt } from "../../net/interface";
import { tcpStats } from "../../net/tcp/stats";
import { beginOk } from "../lib/http/response";
import { Connection, httpStats, replyCopied } from "../lib/http/server";
import { JsonWriter } from "../lib/json";
import { Writer } from "../lib/text";

/** `/status`: what the machine is and has counted since it started, as JSON. */

/** An answer is copied and has a head, too (apps/lib/http/response.ts). */
const STATUS_MAX: usize = 7168;
/** Interfaces shown; a machine with more says how many there are. */
const SHOWN_MAX: u32 = 8;

const text: usize = memory.data(7168, 64);
const writer = changetype<Writer>(memory.data(offsetof<Writer>(), 8));
const json = changetype<JsonWriter>(memory.data(offsetof<JsonWriter>(), 8));

export function serveStatus(c: Connection): void {
  json.begin(writer.begin(text, text + STATUS_MAX)).object();
  json.key("system").text("Skerry").key("version").text(VERSION);
  json.key("hostname").text("");
  writer.at--;
  writer.bytes(config.hostname, config.hostnameLength).byte(0x22);
  json.key("uptime").nano(now()).key("boot").nano(boot.bootNs);
  json.key("memory").object();
  json
    .count("machineKiB", boot.machineKiB)
    .count("unreservedKiB", unreserved() >> 10)
    .endObject();
  json.count("interfaceCount", deviceCount());
  json.key("interfaces").array();
  for (let i: u32 = 0; i < min(deviceCount(), SHOWN_MAX); i++) writeInterface(i);
  json.endArray();
  writeTcp();
  json.key("sockets").object();
  json.count("open", socketsOpen()).count("capacity", socketCapacity()).endObject();
  json.key("http").object();
  json.count("connections", httpStats.connections).count("open", httpStats.open);
  json.count("requests", httpStats.requests).count("refused", httpStats.refused);
  json.count("timeouts", httpStats.timeouts).count("bytesCopied", httpStats.copied);
  json.count("bytesInPlace", httpStats.inPlace).endObject();
  json.count("timers", timersArmed());
  json.key("pools").array();
  for (let i: u32 = 0; i < <u32>POOLS; i++) writePool(i);
  json.endArray().endObject();
  writer.byte(0x0a);
  const length = writer.length;
  const head = beginOk().text("Content-Type: application/json\r\nCache-Control: no-store\r\n");
  replyCopied(c, head, text, length);
}

function writeInterface(index: u32): void {
  const device = deviceAt(index);
  const iface = interfaceAt(index);
  json.object();
  json.key("model").text(device.model).key("mac").text("");
  writer.at--;
  for (let shift: i32 = 40; shift >= 0; shift -= 8) {
    writer.hex((device.mac >> shift) & 0xff, 2);
    if (shift) writer.byte(0x3a);
  }
  writer.byte(0x22);
  json.key("address").text("");
  writer.at--;
  for (let shift: i32 = 24; shift >= 0; shift -= 8) {
    writer.number((iface.v4Address >>> shift) & 0xff);
    if (shift) writer.byte(0x2e);
  }
  writer.byte(0x22);
  json.key("linkUp").boolean(device.linkUp).count("speedMbps", device.speed);
  json.count("mtu", device.mtu);
  json.count("receivedPackets", device.receivedPackets);
  json.count("receivedBytes", device.receivedBytes);
  json.count("sentPackets", device.sentPackets).count("sentBytes", device.sentBytes);
  json.count("receiveDropped", device.receiveDropped);
  json.count("receiveErrors", device.receiveErrors);
  json.count("transmitErrors", device.transmitErrors);
  json.count("interrupts", device.interrupts).count("doorbells", device.doorbells);
  json.count("resets", device.resets).endObject();
}

function writeTcp(): void {
  const t = tcpStats;
  json.key("tcp").object();
  json.count("segmentsIn", t.segmentsIn).count("segmentsOut", t.segmentsOut);
  json.count("retransmits", t.retransmits).count("timeouts", t.timeouts);
  json.count("fastRetransmits", t.fastRetransmits).count("duplicateAcks", t.duplicateAcks);
  json.count("outOfOrder", t.outOfOrder).count("duplicates", t.duplicates);
  json.count("checksumErrors", t.checksumErrors).count("malformed", t.malformed);
  json.count("resetsIn", t.resetsIn).count("resetsOut", t.resetsOut);
  json.count("challengeAcks", t.challengeAcks).count("pawsDrops", t.pawsDrops);
  json.count("memoryDrops", t.memoryDrops).count("windowProbes", t.windowProbes);
  json.count("activeOpens", t.activeOpens).count("passiveOpens", t.passiveOpens);
  json.count("aborted", t.aborted).count("listenOverflows", t.listenOverflows);
  json.count("synDrops", t.synDrops).count("established", t.established);
  json.count("connections", t.connections).count("halfOpen", t.halfOpen);
  json.count("timeWait", t.timeWait).endObject();
}

function writePool(id: u32): void {
  const pool = poolOf(id);
  json.object();
  json.count("slotBytes", pool.slotBytes).count("slots", pool.slots);
  json.count("free", pool.owned(Owner.Free)).count("nicRx", pool.owned(Owner.NicRx));
  json.count("stack", pool.owned(Owner.Stack)).count("socket", pool.owned(Owner.Socket));
  json.count("lease", pool.owned(Owner.Lease)).count("nicTx", pool.owned(Owner.NicTx));
  json.count("lowest", pool.lowest).count("refused", pool.refused).endObject();
}
