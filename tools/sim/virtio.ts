import { DriverFault, type Host } from "./device.ts";
import { fingerprint } from "./e1000-parts.ts";

/**
 * What every virtio device has (Virtual I/O Device 1.2): status, features and split queues. Strict: a
 * driver that breaks one of its rules ("MUST" in the specification's driver sections) meets a `DriverFault`.
 */

/** Device status (2.1). */
export const Status = {
  ACKNOWLEDGE: 1,
  DRIVER: 2,
  DRIVER_OK: 4,
  FEATURES_OK: 8,
  NEEDS_RESET: 64,
  FAILED: 128,
} as const;

/** Features of any device (6), by bit number. */
export const Feature = {
  ANY_LAYOUT: 27,
  INDIRECT_DESC: 28,
  EVENT_IDX: 29,
  VERSION_1: 32,
} as const;

/** Interrupt status (4.1.4.5). */
export const Isr = { QUEUE: 1, CONFIG: 2 } as const;

/** Descriptor flags (2.7.5). */
const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

export const NO_VECTOR = 0xffff;
/** Granules of memory in which buffers that the device writes are tracked. */
const GRANULE = 64;

interface Run {
  address: number;
  length: number;
}

/** A chain of descriptors that the device has. */
export interface Chain {
  head: number;
  readable: Run[];
  writable: Run[];
  /** The descriptors as they were, and what the readable bytes were. */
  descriptors: { id: number; words: number[] }[];
  print: number;
}

/** One split queue (2.7), from the device's side. */
export class SplitQueue {
  size: number;
  ready = false;
  descriptors = 0;
  available = 0;
  used = 0;
  vector = NO_VECTOR;
  /** Entries of the available ring taken, and of the used ring written: modulo 2^16. */
  private next = 0;
  private usedIndex = 0;
  readonly outstanding = new Map<number, Chain>();

  constructor(
    private readonly device: VirtioDevice,
    readonly index: number,
    /** Most descriptors. */
    readonly most: number,
  ) {
    this.size = most;
  }

  reset(): void {
    this.release();
    Object.assign(this, { size: this.most, ready: false, descriptors: 0, available: 0, used: 0 });
    this.vector = NO_VECTOR;
    this.next = 0;
    this.usedIndex = 0;
  }

  private release(): void {
    for (const chain of this.outstanding.values()) this.device.track(chain, false);
    this.outstanding.clear();
  }

  /** The driver has set it up and lets it go (2.7, 4.1.4.3). */
  enable(): void {
    const { device, size, index } = this;
    const what = `queue ${index}`;
    if (this.ready) device.fault(`${what} enabled twice`);
    if (size < 1 || size & (size - 1))
      device.fault(`${what}: size ${size} is no power of two (2.7)`);
    const parts = [
      ["descriptor table", this.descriptors, size * 16, 16],
      ["available ring", this.available, 6 + size * 2, 2],
      ["used ring", this.used, 6 + size * 8, 4],
    ] as const;
    for (const [name, address, length, align] of parts) {
      if (!device.host.writable(address, length)) {
        device.fault(`${what}: ${name} at 0x${address.toString(16)} is not in RAM`);
      }
      if (address % align) device.fault(`${what}: ${name} is not aligned to ${align} (2.7)`);
    }
    if (this.u16(this.available + 2) !== 0 || this.u16(this.used + 2) !== 0) {
      device.fault(`${what} enabled with a ring that is not empty`);
    }
    this.ready = true;
  }

  private u16(address: number): number {
    return this.device.host.view.getUint16(address, true);
  }

  /** Chains that the driver has made available and the device has not looked at. */
  get waiting(): number {
    if (!this.ready) return 0;
    const count = (this.u16(this.available + 2) - this.next) & 0xffff;
    if (count > this.size) this.device.fault(`queue ${this.index}: idx went ${count} ahead`);
    return count;
  }

  /** Takes the next chain, all of it checked. */
  fetch(): Chain | undefined {
    if (!this.waiting) return undefined;
    const { device, size } = this;
    const { host } = device;
    const { view } = host;
    const head = this.u16(this.available + 4 + (this.next % size) * 2);
    const wrong = (text: string): never => device.fault(`queue ${this.index}, ${text}`);
    if (device.has(Feature.EVENT_IDX) && this.u16(this.available)) {
      wrong("avail.flags is not 0 with the event index (2.7.7.1)");
    }
    if (head >= size) wrong(`head ${head} is beyond its ${size} descriptors`);
    if (this.outstanding.has(head)) wrong(`head ${head} is made available twice`);
    this.next = (this.next + 1) & 0xffff;
    const chain: Chain = { head, readable: [], writable: [], descriptors: [], print: 0 };
    for (let id = head; ;) {
      const at = this.descriptors + id * 16;
      const words = [0, 4, 8, 12].map((offset) => view.getUint32(at + offset, true));
      chain.descriptors.push({ id, words });
      if (chain.descriptors.length > size) wrong(`the chain of ${head} is a loop`);
      const [low, high, length, rest] = words as [number, number, number, number];
      const address = low + high * 2 ** 32;
      const flags = rest & 0xffff;
      if (flags & INDIRECT) wrong(`descriptor ${id} is indirect, which was not agreed on`);
      if (length === 0) wrong(`descriptor ${id} has no bytes`);
      const reachable =
        flags & WRITE ? host.writable(address, length) : host.readable(address, length);
      if (!reachable) {
        wrong(`descriptor ${id}: ${length} bytes at 0x${address.toString(16)} are not in RAM`);
      }
      if (flags & WRITE) chain.writable.push({ address, length });
      else if (chain.writable.length) {
        wrong(`descriptor ${id} is to be read, behind one to be written (2.7.4.2)`);
      } else chain.readable.push({ address, length });
      if (!(flags & NEXT)) break;
      id = rest >>> 16;
      if (id >= size) wrong(`the chain of ${head} goes on at ${id}, beyond the table`);
    }
    device.track(chain, true);
    chain.print = device.fingerprintOf(chain);
    this.outstanding.set(head, chain);
    return chain;
  }

  /** Gives a chain back with `length` bytes written, and does not tell yet. */
  use(chain: Chain, length: number): void {
    const { device } = this;
    for (const { id, words } of chain.descriptors) {
      words.forEach((word, i) => {
        if (device.host.view.getUint32(this.descriptors + id * 16 + i * 4, true) === word) return;
        device.fault(`queue ${this.index}: descriptor ${id} changed while the device had it`);
      });
    }
    if (device.fingerprintOf(chain) !== chain.print) {
      device.fault(
        `queue ${this.index}: the bytes of ${chain.head} changed while the device had them`,
      );
    }
    device.track(chain, false);
    this.outstanding.delete(chain.head);
    this.writeUsed(chain.head, length);
  }

  /** Writes an entry of the used ring, true or not. */
  writeUsed(id: number, length: number): void {
    const at = this.used + 4 + (this.usedIndex % this.size) * 8;
    this.device.host.view.setUint32(at, id, true);
    this.device.host.view.setUint32(at + 4, length, true);
    this.usedIndex = (this.usedIndex + 1) & 0xffff;
  }

  /** Publishes the used entries; true if the driver wants an interrupt for them (2.7.7.2). */
  publish(): boolean {
    const { view } = this.device.host;
    const before = this.u16(this.used + 2);
    view.setUint16(this.used + 2, this.usedIndex, true);
    if (!this.device.has(Feature.EVENT_IDX)) return (this.u16(this.available) & 1) === 0;
    const event = this.u16(this.available + 4 + this.size * 2);
    return ((this.usedIndex - event - 1) & 0xffff) < ((this.usedIndex - before) & 0xffff);
  }

  /** Asks to be told of the next chain, or not to be (2.7.10). */
  ask(wanted: boolean): void {
    if (!this.ready) return;
    const { view } = this.device.host;
    if (this.device.has(Feature.EVENT_IDX)) {
      if (wanted) view.setUint16(this.used + 4 + this.size * 8, this.next, true);
    } else view.setUint16(this.used, wanted ? 0 : 1, true);
  }
}

/** Status, features and queues, and what the bus's registers do to them. */
export abstract class VirtioDevice {
  host!: Host;
  readonly queues: SplitQueue[];
  status = 0;
  isr = 0;
  agreed = 0n;
  generation = 0;
  /** Message for changes of the configuration. */
  configVector = NO_VECTOR;
  /** Counts resets, so that what was scheduled before one is void after it. */
  protected epoch = 0;
  /** The bus that the device is on knows only what was before 1.0. */
  legacy = false;
  private posted = new Uint8Array(0);

  constructor(
    readonly name: string,
    /** Bits that it offers. */
    readonly offered: bigint,
    sizes: number[],
  ) {
    this.queues = sizes.map((size, index) => new SplitQueue(this, index, size));
  }

  /** Whether a feature, by bit number, was agreed on. */
  has(bit: number): boolean {
    return ((this.agreed >> BigInt(bit)) & 1n) === 1n;
  }

  fault(text: string): never {
    throw new DriverFault(`${this.name}: ${text}`);
  }

  get running(): boolean {
    return (this.status & Status.DRIVER_OK) !== 0 && !(this.status & Status.NEEDS_RESET);
  }

  /** What the device offers over this bus. */
  get features(): bigint {
    return this.legacy ? this.offered & 0xffff_ffffn : this.offered;
  }

  setFeatures(features: bigint): void {
    const { status } = this;
    if (!(status & Status.DRIVER)) this.fault("features written before DRIVER (3.1.1)");
    if (status & (Status.FEATURES_OK | Status.DRIVER_OK)) {
      this.fault("features written after they were settled (3.1.1)");
    }
    if (features & ~this.features) this.fault("a feature taken that was not offered (2.2.1)");
    this.agreed = features;
  }

  /** A write to the status register (2.1.1, 3.1.1). */
  setStatus(value: number): void {
    if (value === 0) return this.reset();
    const { status } = this;
    if (status & ~value & ~Status.NEEDS_RESET) this.fault(`status ← ${value} clears a bit (2.1.1)`);
    const added = value & ~status;
    if (added & Status.DRIVER && !(value & Status.ACKNOWLEDGE)) {
      this.fault("DRIVER before ACKNOWLEDGE (3.1.1)");
    }
    if (added & Status.FEATURES_OK) {
      if (this.legacy) this.fault("FEATURES_OK to a device that has none");
      this.checkFeatures();
      if (!this.has(Feature.VERSION_1)) value &= ~Status.FEATURES_OK;
    }
    if (added & Status.DRIVER_OK) {
      if (!this.legacy && !(status & Status.FEATURES_OK))
        this.fault("DRIVER_OK before FEATURES_OK");
      if (this.legacy) this.checkFeatures();
      this.checkQueues();
    }
    this.status = value | (status & Status.NEEDS_RESET);
    if (added & Status.DRIVER_OK) for (const queue of this.queues) queue.ask(true);
  }

  reset(): void {
    this.epoch++;
    this.status = 0;
    this.isr = 0;
    this.agreed = 0n;
    this.configVector = NO_VECTOR;
    for (const queue of this.queues) queue.reset();
    this.lower();
  }

  /** A write to a doorbell. */
  notify(index: number): void {
    const queue = this.queues[index] ?? this.fault(`notification of queue ${index}`);
    if (!(this.status & Status.DRIVER_OK)) {
      this.fault(`notification of queue ${index} before DRIVER_OK (3.1.1)`);
    }
    if (!queue.ready) this.fault(`notification of queue ${index}, which is not enabled`);
    this.notified(queue);
  }

  /** What was agreed on must go together. */
  protected abstract checkFeatures(): void;
  /** Queues that must be there are. */
  protected abstract checkQueues(): void;
  protected abstract notified(queue: SplitQueue): void;
  /** Tells the driver: by message or by line. */
  protected abstract interrupt(isr: number, vector: number): void;
  /** The line falls. */
  abstract lower(): void;
  /** A field of device configuration. */
  abstract readConfig(offset: number, width: number): number;

  /** Publishes a queue's used chains and interrupts if that is wanted. */
  protected tell(queue: SplitQueue): void {
    if (queue.publish()) this.interrupt(Isr.QUEUE, queue.vector);
  }

  protected configChanged(): void {
    this.generation = (this.generation + 1) & 0xff;
    if (this.status & Status.DRIVER_OK) this.interrupt(Isr.CONFIG, this.configVector);
  }

  /** Runs `action` at `at` unless the device is reset before. */
  protected later(at: number, action: () => void): void {
    const { epoch } = this;
    this.host.simulation.at(at, () => {
      if (epoch === this.epoch) action();
    });
  }

  // ---- Memory --------------------------------------------------------------------------------

  plug(host: Host): void {
    this.host = host;
    this.posted = new Uint8Array(Math.ceil(host.memory.length / GRANULE));
  }

  /** Notes where the device may write; nothing else may be there. */
  track(chain: Chain, on: boolean): void {
    for (const { address, length } of chain.writable) {
      // Buffers may share a granule at their edges, not inside.
      const first = Math.ceil(address / GRANULE);
      const last = Math.floor((address + length) / GRANULE);
      for (let granule = first; granule < last; granule++) {
        if (on && this.posted[granule]) {
          this.fault(`a buffer at 0x${address.toString(16)} overlaps one that it has already`);
        }
        this.posted[granule] = on ? 1 : 0;
      }
    }
    for (const { address, length } of on ? chain.readable : []) {
      const first = Math.ceil(address / GRANULE);
      for (let granule = first; (granule + 1) * GRANULE <= address + length; granule++) {
        if (this.posted[granule]) this.fault("reads from a buffer that it is to write");
      }
    }
  }

  fingerprintOf(chain: Chain): number {
    let print = 0;
    for (const { address, length } of chain.readable) {
      print = Math.imul(print, 31) + fingerprint(this.host.memory, address, length);
    }
    return print | 0;
  }

  /** The bytes of a chain that are to be read. */
  bytesOf(chain: Chain): Uint8Array {
    const length = chain.readable.reduce((sum, run) => sum + run.length, 0);
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const run of chain.readable) {
      bytes.set(this.host.memory.subarray(run.address, run.address + run.length), at);
      at += run.length;
    }
    return bytes;
  }

  /** Writes to a chain from its beginning; returns how many bytes it took. */
  fill(chain: Chain, bytes: Uint8Array): number {
    let at = 0;
    for (const run of chain.writable) {
      const part = bytes.subarray(at, at + run.length);
      this.host.memory.set(part, run.address);
      at += part.length;
    }
    return at;
  }
}

/** Bytes that a chain has room for. */
export function roomOf(chain: Chain): number {
  return chain.writable.reduce((sum, run) => sum + run.length, 0);
}
