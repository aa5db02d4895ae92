import { delay } from "../../kernel/clock";
import { mmioWrite32 } from "../../kernel/host";
import { MICROSECOND } from "../../kernel/timer";
import { Virtqueue } from "./queue";

/**
 * What a virtio driver knows of the bus that its device is on. Sections are those of Virtual I/O Device
 * 1.2. The operations are table indices of functions, as a `Device`'s are:
 *
 *     status(t): u32                    the device status register (2.1)
 *     setStatus(t, status)              0 resets the device
 *     features(t): u64                  what the device offers (2.2)
 *     setFeatures(t, features)          what of it the driver takes
 *     queueSize(t, index): u32          most descriptors of a queue, 0 if there is none (2.7)
 *     startQueue(t, queue): bool        gives the device a cleared queue and finds its doorbell
 *     cause(t): u32                     why it interrupted, `Cause` bits; lowers the line
 *     config(t, offset, width): u32     a field of 1, 2 or 4 bytes of device configuration (2.5)
 *     generation(t): u32                changes when the configuration does (2.5.1); 0 if nothing tells
 *
 * The way that every packet takes is not among them: a queue rings its own doorbell.
 */

/** Device status (2.1). */
export const enum Status {
  Acknowledge = 1,
  Driver = 2,
  DriverOk = 4,
  FeaturesOk = 8,
  NeedsReset = 64,
  Failed = 128,
}

/** Features of every device (6). */
export const F_NOTIFY_ON_EMPTY: u64 = 1 << 24;
export const F_ANY_LAYOUT: u64 = 1 << 27;
export const F_EVENT_IDX: u64 = 1 << 29;
export const F_VERSION_1: u64 = 1 << 32;

/** What the interrupt status says (4.1.4.5, 4.2.2). */
export const enum Cause {
  Queue = 1,
  Config = 2,
}

/** For how long a reset may take before the device counts as dead: polls, of so long each. */
const RESET_POLLS: u32 = 1000;
const RESET_POLL: u64 = 10 * MICROSECOND;

/** How often a configuration that keeps changing is read again. */
const CONFIG_TRIES: u32 = 8;

/** `vector` without message interrupts (4.1.5.1.2). */
export const NO_VECTOR: u32 = 0xffff;


@unmanaged
export class Transport {
  /** The common or only registers: an address, or a port number. */
  registers: usize;
  /** Features that both sides know, after `negotiate`. */
  agreed: u64;
  /** PCI: interrupt status, device configuration and the doorbells, with their bytes and stride. */
  interrupt: usize;
  config: usize;
  doorbells: usize;
  doorbellBytes: u32;
  doorbellStride: u32;
  /** Number of the device's message, or `NO_VECTOR`. */
  vector: u32;
  /** The bus knows of no features beyond the first 32, and of no `FeaturesOk`. */
  legacy: bool;
  /** The sizes of its queues cannot be chosen. */
  fixedQueues: bool;

  private statusOp: u32;
  private setStatusOp: u32;
  private featuresOp: u32;
  private setFeaturesOp: u32;
  private queueSizeOp: u32;
  private startQueueOp: u32;
  private causeOp: u32;
  private configOp: u32;
  private generationOp: u32;

  /** Sets the operations; here their signatures are checked. */
  @inline serve(
    status: (t: Transport) => u32,
    setStatus: (t: Transport, value: u32) => void,
    features: (t: Transport) => u64,
    setFeatures: (t: Transport, features: u64) => void,
    queueSize: (t: Transport, index: u32) => u32,
    startQueue: (t: Transport, queue: Virtqueue) => bool,
    cause: (t: Transport) => u32,
    config: (t: Transport, offset: u32, width: u32) => u32,
    generation: (t: Transport) => u32,
  ): void {
    this.statusOp = status.index;
    this.setStatusOp = setStatus.index;
    this.featuresOp = features.index;
    this.setFeaturesOp = setFeatures.index;
    this.queueSizeOp = queueSize.index;
    this.startQueueOp = startQueue.index;
    this.causeOp = cause.index;
    this.configOp = config.index;
    this.generationOp = generation.index;
  }

  get status(): u32 {
    return call_indirect<u32>(this.statusOp, changetype<usize>(this));
  }

  set status(value: u32) {
    call_indirect<void>(this.setStatusOp, changetype<usize>(this), value);
  }

  get features(): u64 {
    return call_indirect<u64>(this.featuresOp, changetype<usize>(this));
  }

  queueSize(index: u32): u32 {
    return call_indirect<u32>(this.queueSizeOp, changetype<usize>(this), index);
  }

  startQueue(queue: Virtqueue): bool {
    return call_indirect<bool>(
      this.startQueueOp,
      changetype<usize>(this),
      changetype<usize>(queue),
    );
  }

  cause(): u32 {
    return call_indirect<u32>(this.causeOp, changetype<usize>(this));
  }

  // ---- What is made of them ------------------------------------------------------------------

  /** Silences the device and makes it forget its queues (2.4). False if it does not come back. */
  reset(): bool {
    this.status = 0;
    for (let i: u32 = 0; i < RESET_POLLS; i++) {
      if (this.status == 0) return true;
      delay(RESET_POLL);
    }
    return false;
  }

  /**
   * From reset to features that both sides know (3.1.1): takes what the device offers of `wanted`.
   * `agreed` is the result; false if the device does not agree to that.
   */
  negotiate(wanted: u64): bool {
    this.status = Status.Acknowledge;
    this.status = Status.Acknowledge | Status.Driver;
    const features = this.features & wanted;
    call_indirect<void>(this.setFeaturesOp, changetype<usize>(this), features);
    this.agreed = features;
    if (this.legacy) return true;
    const status: u32 = Status.Acknowledge | Status.Driver | Status.FeaturesOk;
    this.status = status;
    return (this.status & status) == status && (features & F_VERSION_1) != 0;
  }

  /** The device may work: its queues are there. */
  go(): void {
    let status: u32 = Status.Acknowledge | Status.Driver | Status.DriverOk;
    if (!this.legacy) status |= Status.FeaturesOk;
    this.status = status;
  }

  /** Tells the device that nobody will drive it (2.1). */
  giveUp(): void {
    this.status = this.status | Status.Failed;
  }

  /**
   * `count` fields of `width` bytes (1, 2 or 4) of the device's configuration, from `offset` on; the
   * first is most significant. All of one moment.
   */
  configuration(offset: u32, width: u32, count: u32): u64 {
    let value = this.readFields(offset, width, count);
    for (let i: u32 = 0; i < CONFIG_TRIES; i++) {
      const before = this.generation();
      const again = this.readFields(offset, width, count);
      // Who has no generation reads until it is the same twice (2.5.4).
      if (again == value && this.generation() == before) break;
      value = again;
    }
    return value;
  }

  private readFields(offset: u32, width: u32, count: u32): u64 {
    let value: u64 = 0;
    for (let i: u32 = 0; i < count; i++) {
      const field = call_indirect<u32>(
        this.configOp,
        changetype<usize>(this),
        offset + i * width,
        width,
      );
      value = (value << (width << 3)) | field;
    }
    return value;
  }

  private generation(): u32 {
    return call_indirect<u32>(this.generationOp, changetype<usize>(this));
  }
}

/** 64-bit registers are written as two halves (4.1.3.1, 4.2.2). */
export function write64(at: usize, value: usize): void {
  mmioWrite32(at, <u32>value);
  mmioWrite32(at + 4, 0);
}
