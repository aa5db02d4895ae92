import { DEVICES_MAX, deviceAt, deviceCount } from "../../../drivers/device";
import "../../../drivers/drivers";
import { healthCheck } from "../../../drivers/health";
import { linesInit } from "../../../drivers/lines";
import { deviceUnload, devicesStart } from "../../../drivers/manager";
import { clockUpdate, now } from "../../../kernel/clock";
import {
  idleFound,
  idlePrepare,
  idleShouldSleep,
  idleSleep,
  idleStay,
  idleWake,
  idleWorked,
} from "../../../kernel/idle";
import { configParse } from "../../../kernel/config";
import { boot, memoryInit, reserve } from "../../../kernel/memory";
import {
  Owner,
  Packet,
  PacketFlag,
  PacketQueue,
  PoolId,
  Purpose,
  allocate,
  poolOf,
  poolsInit,
} from "../../../kernel/packet";
import { MILLISECOND } from "../../../kernel/timer";

/**
 * Drivers and run loop without a network stack: the test says what is sent, and looks at what was
 * received. Only device 0 is used.
 */

/** What `syscall` does; see tests/sim/nic.test.ts for its other side. */
const enum Call {
  /** Sends `a1` bytes at `a0`: `a2` and `a3` bytes of them as fragments; `a4` is checksum start and offset, or 0. */
  Send = 0,
  /** In the next step. */
  Reset = 1,
  Stop = 2,
  Check = 3,
  /** `a0`: 1 promiscuous, 2 all multicast; `a2` group addresses of 8 bytes at `a1`. */
  ReceiveMode = 4,
  /** Packets of pool `a0` that `a1` owns. */
  Owned = 5,
  /** Counter `a0` of the device, in the order of its fields. */
  Counter = 6,
  /** Copies the oldest packet received to `a0`; its length with flags from bit 16, or -1. */
  Receive = 7,
  /** Takes packets until `a0` are left in the standard pool, or gives all of them back. */
  Starve = 8,
  Waiting = 9,
  /** Sends `a1` bytes at `a0` in TCP segments of `a3`; `a2` of them are headers, the payload is cut at `a4`. */
  SendBurst = 10,
}

const received = changetype<PacketQueue>(memory.data(offsetof<PacketQueue>(), 8));
const starved = changetype<PacketQueue>(memory.data(offsetof<PacketQueue>(), 8));
let groups: usize = 0;
/** Memory that nobody frees, as a file pack is; written round and round. */
let constant: usize = 0;
let constantUsed: u32 = 0;
const CONSTANT: u32 = 1 << 20;
let resetAsked: bool = false;

export function init(): void {
  clockUpdate();
  memoryInit();
  configParse(boot.commandLine, boot.commandLineLength);
  poolsInit();
  groups = reserve(256, 8);
  constant = reserve(CONSTANT, 64);
  linesInit();
  devicesStart();
  assert(deviceCount() < DEVICES_MAX);
}

function work(woken: bool): bool {
  if (deviceCount() == 0) return false;
  const device = deviceAt(0);
  if (resetAsked) device.reset();
  resetAsked = false;
  const taken = device.poll(32);
  if (taken && woken) idleFound(device);
  for (let packet = device.received.pop(); packet !== null; packet = device.received.pop()) {
    received.push(packet);
  }
  if (device.pendingLength) device.transmit();
  return taken != 0;
}

export function step(): u64 {
  const at = clockUpdate();
  const woken = idleWake(at);
  if (work(woken)) {
    idleWorked(at);
    return at;
  }
  if (!idleShouldSleep(at)) return at;
  idlePrepare(at);
  if (work(false)) {
    idleStay();
    idleWorked(at);
    return at;
  }
  return min<u64>(idleSleep(at), at + 100 * MILLISECOND);
}

export function syscall(call: u32, a0: u32, a1: u32, a2: u32, a3: u32, a4: u32): i32 {
  const device = deviceAt(0);
  switch (call) {
    case Call.Send:
      return send(a0, a1, a2, a3, a4);
    case Call.Reset:
      resetAsked = true;
      return 0;
    case Call.Stop:
      deviceUnload(device);
      return 0;
    case Call.Check:
      healthCheck(device, now());
      return 0;
    case Call.ReceiveMode:
      device.promiscuous = (a0 & 1) != 0;
      device.allMulticast = (a0 & 2) != 0;
      memory.copy(groups, a1, a2 << 3);
      device.multicast = groups;
      device.multicastCount = <u8>a2;
      device.setReceiveMode();
      return 0;
    case Call.Owned:
      return poolOf(a0).owned(a1);
    case Call.Counter:
      return <i32>load<u64>(changetype<usize>(device) + ((<usize>a0) << 3));
    case Call.Receive:
      return receive(a0);
    case Call.Starve:
      return starve(a0);
    case Call.Waiting:
      return device.pendingLength;
    case Call.SendBurst:
      return sendBurst(a0, a1, a2, a3, a4);
  }
  return -1;
}

function send(from: usize, length: u32, first: u32, second: u32, checksum: u32): i32 {
  const packet = allocate(PoolId.Standard, Purpose.Control, 0);
  if (packet === null) return -1;
  packet.length = length - first - second;
  memory.copy(packet.data, from, packet.length);
  // The first fragment is a packet's, the second lies in memory that nobody frees.
  if (first) {
    const owner = allocate(PoolId.Standard, Purpose.Control, 0);
    if (owner === null) return -1;
    memory.copy(owner.data, from + packet.length, first);
    packet.addFragment(owner.data, first, owner);
    owner.release();
  }
  if (second) packet.addFragment(keep(from + length - second, second), second, null);
  if (checksum) {
    packet.flags = <u8>PacketFlag.ChecksumPending;
    packet.checksumStart = <u16>(checksum >> 16);
    packet.checksumOffset = <u16>checksum;
  }
  deviceAt(0).pending.push(packet);
  return 0;
}

/** Copies bytes to where they stay for a while. */
function keep(from: usize, length: u32): usize {
  if (constantUsed + length > CONSTANT) constantUsed = 0;
  const at = constant + constantUsed;
  constantUsed += length;
  memory.copy(at, from, length);
  return at;
}

/** Headers of Ethernet, IPv4 or IPv6 and TCP, whose checksum field holds the pseudo-header's sum. */
function sendBurst(from: usize, length: u32, headers: u32, size: u32, cut: u32): i32 {
  const packet = allocate(PoolId.Standard, Purpose.Control, 0);
  if (packet === null) return -1;
  packet.length = headers;
  memory.copy(packet.data, from, headers);
  from += headers;
  length -= headers;
  if (cut) packet.addFragment(keep(from, cut), cut, null);
  packet.addFragment(keep(from + cut, length - cut), length - cut, null);
  packet.segmentSize = <u16>size;
  packet.flags = <u8>PacketFlag.ChecksumPending;
  packet.checksumStart = load<u8>(packet.data, 14) >> 4 == 4 ? 34 : 54;
  packet.checksumOffset = 16;
  deviceAt(0).pending.push(packet);
  return 0;
}

function receive(into: usize): i32 {
  const packet = received.pop();
  if (packet === null) return -1;
  memory.copy(into, packet.data, packet.length);
  const result = packet.length | ((<u32>packet.flags) << 16);
  packet.release();
  return result;
}

function starve(left: u32): i32 {
  const pool = poolOf(PoolId.Standard);
  if (left >= pool.slots) {
    starved.clear();
    return 0;
  }
  while (pool.owned(Owner.Free) > left) {
    const packet: Packet | null = allocate(PoolId.Standard, Purpose.Refill, 0);
    if (packet !== null) starved.push(packet);
  }
  return starved.length;
}
