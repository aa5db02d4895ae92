import { DeviceState, Feature, deviceAt, deviceCount } from "../../drivers/device";
import { now } from "../../kernel/clock";
import { config } from "../../kernel/config";
import { boot, unreserved } from "../../kernel/memory";
import { Owner, POOLS, poolOf } from "../../kernel/packet";
import { socketCapacity, socketsOpen } from "../../kernel/socket";
import { formatIp } from "../../kernel/text";
import { timersArmed } from "../../kernel/timer";
import { VERSION } from "../../kernel/version";
import { dhcpNtp } from "../../net/dhcp/client";
import { dhcpv6Dns } from "../../net/dhcpv6/client";
import { AddressState, interfaceAt } from "../../net/interface";
import { SERVERS, serverAt } from "../../net/ndp/link";
import { IpAddress } from "../../net/wire/address";
import { DHCP_NTP_MAX } from "../../net/wire/dhcp";
import { DHCPV6_DNS_MAX } from "../../net/wire/dhcpv6";
import { ANSWER_MAX, beginOk } from "../lib/http/response";
import { Connection, httpStats, replyCopied } from "../lib/http/server";
import { JsonWriter } from "../lib/json";
import { Writer } from "../lib/text";
import { writeCounters } from "./counters";

/** `/status`: what the machine is and has counted since it started, as JSON. */

/** An answer is copied and has a head, too (apps/lib/http/response.ts). Enough for 20 digits in every number. */
const STATUS_MAX: usize = ANSWER_MAX - 512;
/** Interfaces shown; a machine with more says how many there are. */
const SHOWN_MAX: u32 = 6;

const addressText: usize = memory.data(40);
const address = changetype<IpAddress>(memory.data(16, 8));
const text: usize = memory.data(15872, 64);
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
  writeCounters(json);
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
  json.key("name").text("");
  writer.at--;
  writer.at += device.nameTo(writer.at);
  writer.byte(0x22);
  json.key("state").text(stateName(device.state)).key("driver").text(device.driver);
  json.key("model").text(device.model).key("mac").text("");
  writer.at--;
  for (let shift: i32 = 40; shift >= 0; shift -= 8) {
    writer.hex((device.mac >> shift) & 0xff, 2);
    if (shift) writer.byte(0x3a);
  }
  writer.byte(0x22);
  json.key("address").text("");
  writer.at--;
  address.setV4(iface.v4Address);
  writeAddress(address);
  writer.byte(0x22);
  json.key("addresses").array();
  let record = iface.addresses;
  while (record !== null) {
    if (record.state == AddressState.Assigned) {
      json.text("");
      writer.at--;
      writeAddress(record.address);
      writer.byte(0x2f).number(record.prefix).byte(0x22);
    }
    record = record.next;
  }
  json.endArray().key("dns").array();
  for (let i: u32 = 0; i < iface.dnsCount; i++) writeServer(iface.dns(i));
  for (let i: u32 = 0; i < SERVERS; i++) {
    const server = serverAt(iface, i);
    if (server !== null) writeServer(server);
  }
  for (let i: u32 = 0; i < DHCPV6_DNS_MAX; i++) {
    const server = dhcpv6Dns(iface, i);
    if (server !== null) writeServer(server);
  }
  json.endArray().key("ntp").array();
  for (let i: u32 = 0; i < DHCP_NTP_MAX; i++) {
    address.setV4(dhcpNtp(iface, i));
    if (address.v4) writeServer(address);
  }
  json.endArray();
  json.key("linkUp").boolean(device.linkUp).count("speedMbps", device.speed);
  json.count("mtu", device.mtu);
  json.key("interrupt").text(device.interruptName);
  json.count("interrupts", device.interrupts).count("resets", device.resets);
  json.count("failures", device.failures).count("linkChanges", device.linkChanges);
  json.key("receive").object();
  json.count("packets", device.receivedPackets).count("bytes", device.receivedBytes);
  json.count("descriptors", device.receiveDescriptors);
  json.count("doorbells", device.receiveDoorbells).count("interrupts", device.receiveInterrupts);
  json.count("dropped", device.receiveDropped).count("errors", device.receiveErrors);
  json.count("arrived", device.receiveArrived).endObject();
  json.key("transmit").object();
  json.count("packets", device.sentPackets).count("bytes", device.sentBytes);
  json.count("descriptors", device.transmitDescriptors).count("done", device.transmitDone);
  json.count("doorbells", device.transmitDoorbells);
  json.count("errors", device.transmitErrors).endObject();
  json.count("runts", iface.runts).count("notForUs", iface.notForUs);
  json.count("unknownType", iface.unknownType).count("badSource", iface.badSource);
  json.count("linkDownDropped", iface.downDropped).count("queueFullDropped", iface.queueFull);
  json.endObject();
}

function stateName(state: u32): string {
  if (state == DeviceState.Running) return "running";
  if (state == DeviceState.Failed) return "failed";
  return state == DeviceState.Gone ? "gone" : "unloaded";
}

function writeServer(server: IpAddress): void {
  json.text("");
  writer.at--;
  writeAddress(server);
  writer.byte(0x22);
}

function writeAddress(address: IpAddress): void {
  writer.bytes(addressText, formatIp(address, addressText));
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
