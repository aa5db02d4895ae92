import { Line, info } from "../kernel/log";
import { Packet, PacketQueue } from "../kernel/packet";

/**
 * What the stack knows of a NIC. A driver fills in a `Device` when it starts one and is known
 * by nothing else.
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
 *     stop(device)                 required   no more DMA, no more interrupts; frees every packet
 */

/** Bits of `Device.features`. */
export const enum Feature {
  /** Checks received TCP and UDP checksums and says so in `PacketFlag`. */
  ReceiveChecksum = 1,
  /** Honours `PacketFlag.ChecksumPending`. */
  TransmitChecksum = 2,
  /** Honours `Packet.segmentSize`: cuts such a packet into TCP segments. */
  Segmentation = 4,
  /** Is the loopback: what is sent on it is received on it. */
  Loopback = 8,
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
  /** Place in the table, and the number in its name. */
  index: u8;
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
  /** Name of the model, for people. */
  model: string;
  /** What drivers/health.ts remembers: `transmitDone` at its last look, and looks without progress. */
  doneSeen: u64;
  stuckChecks: u32;

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
    return line.text(this.features & Feature.Loopback ? "lo" : "eth").number(this.index);
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
    const line = this.nameIn(info("net"));
    if (up) {
      line.text(" link up").key("mbit").number(speed);
      line.key("duplex").text(fullDuplex ? "full" : "half");
    } else line.text(" link down");
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


  @inline stop(): void {
    call_indirect<void>(this.stopOp, changetype<usize>(this));
  }
}

/** Interrupts below are lines. From here on each device has a message: this and its index. */
export const LINES: u32 = 32;

/** `Device.line` of a device that cannot interrupt. */
export const NO_LINE: u32 = 0xff;

/** Devices that the tables have room for. */
export const DEVICES_MAX: u32 = 32;

/** Bytes of a row. */
const ROW: u32 = 320;

const devices: usize = memory.data(32 * 320, 64);
let count: u32 = 0;

/** Devices started. */
@inline export function deviceCount(): u32 {
  return count;
}

/** Device `index`, below `deviceCount()`. */
@inline export function deviceAt(index: u32): Device {
  return changetype<Device>(devices + <usize>index * ROW);
}

/** A zeroed device for a driver to fill in, or null when the table is full. */
export function addDevice(): Device | null {
  assert(offsetof<Device>() <= ROW);
  if (count == DEVICES_MAX) return null;
  const device = deviceAt(count);
  device.index = <u8>count;
  count++;
  device.line = NO_LINE;
  return device;
}

/** Takes back the device that `addDevice` gave last: its start failed. */
export function dropDevice(): void {
  count--;
  memory.fill(changetype<usize>(deviceAt(count)), 0, ROW);
}
