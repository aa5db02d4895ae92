import { now } from "../kernel/clock";
import { Line, info, warn } from "../kernel/log";
import { Packet, PacketQueue } from "../kernel/packet";

/**
 * What the stack knows of a NIC. A driver fills in a `Device` when it starts one and is known
 * by nothing else. The place in the table stays that of the socket or slot that the NIC was found in,
 * whether a driver runs it or not (drivers/manager.ts), and with it name and counters.
 *
 * The operations are table indices of functions (a virtual call would need an object header):
 *
 *     transmit(device, queue)      required   moves packets from the queue's head to the ring as far
 *                                             as there is room; rings one doorbell; frees what was sent
 *     poll(device, budget): u32    required   takes at most `budget` received frames, pushes the good ones
 *                                             on `device.received`, refills the ring, frees what was sent;
 *                                             returns how many it took
 *     setInterrupts(device, on)    required   on: a packet received or a link change ends the host's
 *                                             sleep. The caller polls once more after switching on
 *     check(device, now)           required   once a second: link state (`setLink`), the device's own counters
 *     setReceiveMode(device)       required   applies `promiscuous`, `allMulticast` and the multicast list
 *     reset(device)                required   back to a working ring; packets in flight are freed
 *     stop(device)                 required   no more DMA, no more interrupts; frees every packet of its
 *                                             rings. Its memory is kept for it (drivers/device-memory.ts)
 */

/** Whether there is a driver at work. */
export const enum DeviceState {
  /** None: it was unloaded, and stays so until somebody loads it. */
  Unloaded = 0,
  Running = 1,
  /** The driver could not start it, or resets did not help. It is tried again from time to time. */
  Failed = 2,
  /** It does not answer any more. It is looked for from time to time. */
  Gone = 3,
}

/** Bits of `Device.features`. */
export const enum Feature {
  /** Checks received TCP and UDP checksums and says so in `PacketFlag`. */
  ReceiveChecksum = 1,
  /** Honours `PacketFlag.ChecksumPending`. */
  TransmitChecksum = 2,
  /** Honours `Packet.segmentSize` of TCP over IPv4: cuts such a packet into segments. */
  Segmentation = 4,
  /** Is the loopback: what is sent on it is received on it. */
  Loopback = 8,
  /** With `TransmitChecksum`: fills in a checksum wherever it stands, whatever headers lie before it. */
  ChecksumAnywhere = 16,
  /** No hardware: it never interrupts, and nobody needs to look whether something has come. */
  Virtual = 32,
  /** Honours `Packet.segmentSize` of TCP over IPv6. */
  Segmentation6 = 64,
}

/** How a device says that it wants attention. */
export const enum InterruptKind {
  /** It cannot: it is looked at by time. */
  Polled = 0,
  /** A line, which devices may share. */
  Line = 1,
  /** A message of its own (PCI 3.0, 6.8.1). */
  Msi = 2,
  /** A message from a table (PCI 3.0, 6.8.2). */
  MsiX = 3,
}

/** Multicast addresses that a device is asked for. */
export const MULTICAST_MAX: u32 = 32;


@unmanaged
export class Device {
  /** The NIC's own address, 48 bits, most significant byte first. */
  mac: u64;
  /**
   * Counters since start, a group for each queue; a reset of the device does not clear them. Frames
   * without FCS; descriptors are what the hardware calls so, or a frame where it has none.
   */
  receivedPackets: u64;
  receivedBytes: u64;
  /** Taken from the device, damaged ones included. */
  receiveDescriptors: u64;
  /** Writes to the device that gave descriptors back. */
  receiveDoorbells: u64;
  /** Interrupts that told of frames received. */
  receiveInterrupts: u64;
  /** Lost for want of a buffer or a descriptor. */
  receiveDropped: u64;
  /** Frames that the device or the driver found damaged. */
  receiveErrors: u64;
  /** Good frames that came in by the device's own count, 0 where it keeps none. */
  receiveArrived: u64;
  sentPackets: u64;
  sentBytes: u64;
  /** Handed to the device; and of those the ones that it is done with, or lost in a reset. */
  transmitDescriptors: u64;
  transmitDone: u64;
  /** Writes to the device that told of new descriptors. */
  transmitDoorbells: u64;
  /** Packets lost by a fault, a reset or for want of a link. */
  transmitErrors: u64;
  /** Times that the device raised an interrupt, for whatever reason. */
  interrupts: u64;
  /** Resets of a running device. */
  resets: u64;

  transmitOp: u32;
  pollOp: u32;
  setInterruptsOp: u32;
  checkOp: u32;
  setReceiveModeOp: u32;
  resetOp: u32;
  stopOp: u32;

  /** The driver's own state. */
  context: usize;
  /** `Feature` bits. */
  features: u32;
  /** Largest layer-3 packet. */
  mtu: u32;
  /** Bytes by which a frame may be longer than `mtu` and an Ethernet header: a VLAN tag (IEEE 802.3, 3.2.7). */
  tagRoom: u32;
  /** Mbit/s, 0 without a link. */
  speed: u32;
  /** Number of its interrupt: below `LINES` a line, else a message; `NO_LINE` when it can only be polled. */
  line: u32;
  /** Goes up by one at each change of the link, so that a reader sees a change it slept through. */
  linkChanges: u32;
  linkUp: bool;
  fullDuplex: bool;
  promiscuous: bool;
  allMulticast: bool;
  /** Place in the table. */
  index: u8;
  /** The number in its name; of a link that has a name of its own, from `NICS_MAX` on. */
  number: u8;
  multicastCount: u8;
  /** Whether its message, if it has one, is from a table. */
  messageTable: bool;

  /** What `poll` received and nobody has taken yet. */
  receivedHead: Packet | null;
  receivedTail: Packet | null;
  receivedLength: u32;
  /** What to send at the end of this step. */
  pendingHead: Packet | null;
  pendingTail: Packet | null;
  pendingLength: u32;
  /** Address of `MULTICAST_MAX` 48-bit addresses, 8 bytes each. */
  multicast: usize;
  /** A name that is not `eth` and its number: ASCII, at most `NAME_MAX` bytes, 0 for none. */
  name: usize;
  nameLength: u32;
  /** Names of the model and the driver, for people. */
  model: string;
  driver: string;
  /** `DeviceState`. */
  state: u32;
  /** What its bus found, and the table index of the driver's start. 0 for a device of no bus. */
  found: usize;
  startFn: u32;

  /** Health (drivers/health.ts): times that it was given up, or had gone. */
  failures: u32;
  /** What it was last reset for, resets that did not help since, and when the next one may be (ns). */
  trouble: u32;
  attempts: u32;
  retryAt: u64;
  /** Counters at the last check. */
  doneSeen: u64;
  receivedSeen: u64;
  arrivedSeen: u64;
  receiveInterruptsSeen: u64;
  /** Checks in a row in which packets should have moved and did not. */
  stuckChecks: u8;
  deafChecks: u8;
  /** Link changes that may still be told one by one, those that were not told, and the last one's time. */
  linkLines: u8;
  linkUntold: u32;
  linkChangedAt: u64;
  /**
   * When the driver last found every descriptor filled, so that the device may have had no room for
   * more, in `now` of the kernel's clock; 0 for never.
   */
  receiveFullAt: u64;

  /**
   * Sets the operations, each as described at the head of this file; here their signatures are
   * checked, which a table index no longer shows.
   */
  @inline serve(
    transmit: (device: Device, queue: PacketQueue) => void,
    poll: (device: Device, budget: u32) => u32,
    setInterrupts: (device: Device, on: bool) => void,
    check: (device: Device, now: u64) => void,
    setReceiveMode: (device: Device) => void,
    reset: (device: Device) => void,
    stop: (device: Device) => void,
  ): void {
    this.transmitOp = transmit.index;
    this.pollOp = poll.index;
    this.setInterruptsOp = setInterrupts.index;
    this.checkOp = check.index;
    this.setReceiveModeOp = setReceiveMode.index;
    this.resetOp = reset.index;
    this.stopOp = stop.index;
  }


  @inline get received(): PacketQueue {
    return changetype<PacketQueue>(changetype<usize>(this) + offsetof<Device>("receivedHead"));
  }

  get interruptName(): string {
    const kind = this.interruptKind;
    if (kind == InterruptKind.MsiX) return "msi-x";
    if (kind == InterruptKind.Msi) return "msi";
    return kind == InterruptKind.Line ? "line" : "polled";
  }


  @inline get interruptKind(): InterruptKind {
    if (this.line == NO_LINE) return InterruptKind.Polled;
    if (this.line < LINES) return InterruptKind.Line;
    return this.messageTable ? InterruptKind.MsiX : InterruptKind.Msi;
  }

  /** Writes its name into a log line: `info("net")` becomes `net: eth0 …`. */
  nameIn(line: Line): Line {
    return line.bytes(named, this.nameTo(named));
  }

  /** Writes its name, at most `NAME_MAX` bytes, and returns how many they are. */
  nameTo(into: usize): u32 {
    if (this.nameLength) {
      memory.copy(into, this.name, this.nameLength);
      return this.nameLength;
    }
    if (this.features & Feature.Loopback) {
      store<u16>(into, 0x6f6c); // lo
      return 2;
    }
    const tens = <u32>this.number / 10;
    store<u32>(into, 0x0068_7465); // eth
    if (tens) store<u8>(into + 3, <u8>(0x30 + tens));
    const length: u32 = tens ? 5 : 4;
    store<u8>(into + length - 1, <u8>(0x30 + (<u32>this.number % 10)));
    return length;
  }

  /** Takes over what the driver sees of the link: Mbit/s and duplex count while it is up. */
  setLink(up: bool, speed: u32, fullDuplex: bool): void {
    if (!up) {
      speed = 0;
      fullDuplex = false;
    }
    if (up == this.linkUp && speed == this.speed && fullDuplex == this.fullDuplex) return;
    this.linkUp = up;
    this.speed = speed;
    this.fullDuplex = fullDuplex;
    this.linkChanges++;
    this.linkChangedAt = now();
    if (this.linkLines) {
      this.linkLines--;
      return this.sayLink();
    }
    if (!this.linkUntold++)
      this.nameIn(warn("net")).text(" link flaps; told when it is still").end();
  }

  /** Writes the link's state to the log. */
  sayLink(): void {
    const line = this.nameIn(info("net"));
    if (this.linkUp) {
      line.text(" link up").key("mbit").number(this.speed);
      line.key("duplex").text(this.fullDuplex ? "full" : "half");
    } else line.text(" link down");
    if (this.linkUntold) line.key("changes").number(this.linkUntold);
    this.linkUntold = 0;
    line.end();
  }

  /** Packets waiting for the end of the step or for room in the ring. */
  @inline get pending(): PacketQueue {
    return changetype<PacketQueue>(changetype<usize>(this) + offsetof<Device>("pendingHead"));
  }


  @inline transmit(): void {
    call_indirect<void>(this.transmitOp, changetype<usize>(this), changetype<usize>(this.pending));
  }


  @inline poll(budget: u32): u32 {
    return call_indirect<u32>(this.pollOp, changetype<usize>(this), budget);
  }


  @inline setInterrupts(on: bool): void {
    call_indirect<void>(this.setInterruptsOp, changetype<usize>(this), on);
  }


  @inline check(now: u64): void {
    call_indirect<void>(this.checkOp, changetype<usize>(this), now);
  }


  @inline setReceiveMode(): void {
    call_indirect<void>(this.setReceiveModeOp, changetype<usize>(this));
  }


  @inline reset(): void {
    call_indirect<void>(this.resetOp, changetype<usize>(this));
  }

  /** Ends the driver's work; nothing is left of it, and to the stack the link is down. */
  stop(): void {
    call_indirect<void>(this.stopOp, changetype<usize>(this));
    this.rest();
  }

  /** A device that no driver serves: what is sent is lost, and nothing comes. */
  rest(): void {
    this.serve(lose, nothingCame, ignoreSwitch, ignoreCheck, ignore, ignore, ignore);
    this.received.clear();
    this.pending.clear();
    this.setLink(false, 0, false);
    this.features = 0;
    this.context = 0;
    this.line = NO_LINE;
    this.messageTable = false;
  }
}

function lose(device: Device, queue: PacketQueue): void {
  device.transmitErrors += queue.length;
  queue.clear();
}

function nothingCame(_device: Device, _budget: u32): u32 {
  return 0;
}

function ignoreSwitch(_device: Device, _on: bool): void {}

function ignoreCheck(_device: Device, _now: u64): void {}

function ignore(_device: Device): void {}

/** Interrupts below are lines. From here on each NIC has a message: this and its number. */
export const LINES: u32 = 32;

/** `Device.line` of a device that cannot interrupt. */
export const NO_LINE: u32 = 0xff;

/** NICs that the tables have room for. */
export const NICS_MAX: u32 = 32;

/** Links over links that they have room for (net/virtual/). */
export const VIRTUALS_MAX: u32 = 15;

/** Devices that they have room for: the NICs, the loopback and the links over links. */
export const DEVICES_MAX: u32 = 48;

/** Bytes of a name (Linux's IFNAMSIZ, without the zero at its end). */
export const NAME_MAX: u32 = 15;
const named: usize = memory.data(16, 8);

/** Link changes that are told one by one until it has been still for a while. */
export const LINK_LINES: u8 = 6;

/** What every Ethernet station lets a frame be longer for a tag (IEEE 802.3, 3.2.7). */
const TAG_ROOM: u32 = 4;

/** Bytes of a row. */
const ROW: u32 = 448;

const devices: usize = memory.data(48 * 448, 64);
let count: u32 = 0;

/** Devices in the table, whatever their state. */
@inline export function deviceCount(): u32 {
  return count;
}

/** Device `index`, below `deviceCount()`. */
@inline export function deviceAt(index: u32): Device {
  return changetype<Device>(devices + <usize>index * ROW);
}

/** A device that nothing serves yet, or null when the table is full. */
export function addDevice(): Device | null {
  assert(offsetof<Device>() <= ROW);
  if (count == DEVICES_MAX) return null;
  const device = deviceAt(count);
  device.index = <u8>count;
  count++;
  device.linkLines = LINK_LINES;
  device.tagRoom = TAG_ROOM;
  device.rest();
  return device;
}
