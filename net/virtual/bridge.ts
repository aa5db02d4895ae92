import { Device } from "../../drivers/device";
import { now } from "../../kernel/clock";
import {
  HEADROOM,
  Owner,
  Packet,
  PacketFlag,
  PacketQueue,
  PoolId,
  Purpose,
  allocate,
} from "../../kernel/packet";
import { SECOND } from "../../kernel/timer";
import { Interface, LinkKind, interfaceAt, interfaceCount } from "../interface";
import { linkQueue } from "../link/output";
import { completeChecksum } from "../wire/checksum";
import { ETHERNET_HEADER, EthernetHeader, isGroupMac } from "../wire/ethernet";
import { Virtual } from "./given";
import { flat, flatCopy, take } from "./room";
import { stationHeard, stationPort } from "./stations";
import { virtualStats } from "./stats";

/**
 * A bridge (IEEE 802.1D, 7): frames go to the port behind which their station is, in the slot that they came in, or
 * to all other ports while nobody knows. It speaks no spanning tree, so a loop of cables is the network's to avoid;
 * a frame never goes out by the port that it came in by. The bridge is an interface of this machine, too, with an
 * address of the link of its own.
 */

/** 01-80-C2-00-00-00 to 0F: from one bridge to the next and no further (7.12.6, table 7-10). */
const RESERVED: u64 = 0x0180_c200_0000;
const RESERVED_MASK: u64 = 0xffff_ffff_fff0;


@inline function seconds(): u32 {
  return <u32>(now() / SECOND);
}

/** Takes every frame that a port has received. */
export function bridgeInput(port: Interface): void {
  const bridge = changetype<Interface>(port.bridge);
  const received = port.device.received;
  const time = seconds();
  for (let packet = received.pop(); packet !== null; packet = received.pop()) {
    frameInput(bridge, port, packet, time);
  }
}

function frameInput(bridge: Interface, port: Interface, packet: Packet, time: u32): void {
  if (packet.length < ETHERNET_HEADER) {
    port.runts++;
    return packet.release();
  }
  const header = changetype<EthernetHeader>(packet.data);
  const source = header.source;
  const destination = header.destination;
  // A group never speaks; what is from ourselves has come round a loop.
  if (isGroupMac(source) || source == bridge.device.mac) {
    virtualStats.badSource++;
    return packet.release();
  }
  if ((destination & RESERVED_MASK) == RESERVED) {
    virtualStats.reserved++;
    return packet.release();
  }
  stationHeard(bridge, port, source, time);
  if (destination == bridge.device.mac) return up(bridge, packet);
  const group = isGroupMac(destination);
  const to = group ? -1 : stationPort(bridge, destination, time);
  if (to == <i32>port.index) {
    virtualStats.filtered++;
    return packet.release();
  }
  if (group) {
    // The stack writes into what it is given, while cards still read what they were.
    const copy = flatCopy(packet);
    if (copy !== null) up(bridge, copy);
  }
  virtualStats.forwarded++;
  // What the card found out when it came in says nothing to the one that it leaves by.
  packet.flags = 0;
  packet.checksumStart = 0;
  if (to >= 0) {
    return send(interfaceAt(to), packet);
  }
  virtualStats.flooded++;
  flood(bridge, port, packet);
}

/** Sends by a port, if it carries as much. Owns the frame. */
function send(port: Interface, frame: Packet): void {
  const device = port.device;
  if (frame.totalLength > device.mtu + device.tagRoom + ETHERNET_HEADER) {
    virtualStats.tooLong++;
    return frame.release();
  }
  linkQueue(port, frame);
}

/** The machine itself takes a frame. */
function up(bridge: Interface, packet: Packet): void {
  const device = bridge.device;
  packet.iface = bridge.index;
  device.receivedPackets++;
  device.receivedBytes += packet.length;
  device.received.push(packet);
}

/** A bridge's own operation of that name: what this machine sends by it. */
export function bridgeTransmit(device: Device, queue: PacketQueue): void {
  const bridge = changetype<Interface>(changetype<Virtual>(device.context).iface);
  const time = seconds();
  for (let packet = queue.pop(); packet !== null; packet = queue.pop()) {
    device.sentPackets++;
    device.sentBytes += packet.totalLength;
    const destination = changetype<EthernetHeader>(packet.data).destination;
    const to = isGroupMac(destination) ? -1 : stationPort(bridge, destination, time);
    if (to >= 0) send(interfaceAt(to), packet);
    else flood(bridge, null, packet);
  }
}

/**
 * Sends a frame to every port that is up but `except`: each gets an Ethernet header of its own and the rest where it
 * lies. Owns it. Cost: the interfaces.
 */
function flood(bridge: Interface, except: Interface | null, packet: Packet): void {
  if (packet.flags & PacketFlag.ChecksumPending) completeChecksum(packet);
  // The frames have one piece of their own and one of this.
  const frame = packet.fragmentCount || packet.references > 1 ? flat(packet) : packet;
  if (frame === null) return;
  let last: Interface | null = null;
  for (let i: u32 = 0, n = interfaceCount(); i < n; i++) {
    const port = interfaceAt(i);
    if (port.kind != LinkKind.Port || port.bridge != bridge || port == except || !port.up) continue;
    if (last !== null) share(last, frame);
    last = port;
  }
  if (last === null) return frame.release();
  if (frame.references == 1) send(last, frame);
  else {
    share(last, frame);
    frame.release();
  }
}

/** Sends to a port what others are sent, too. */
function share(port: Interface, frame: Packet): void {
  const head = allocate(PoolId.Small, Purpose.Data, HEADROOM);
  if (head === null) {
    virtualStats.noBuffer++;
    return;
  }
  if (frame.references == 1) frame.give(Owner.NicTx);
  take(head, frame, ETHERNET_HEADER);
  send(port, head);
}
