import { MsiX } from "./msix.ts";
import { type Bar, PciFunction } from "./pci.ts";
import { NO_VECTOR, type SplitQueue, Status, type VirtioDevice } from "./virtio.ts";

/**
 * The registers by which a driver reaches a virtio device (Virtual I/O Device 1.2): PCI with
 * capabilities (4.1.4), the ports from before 1.0 (4.1.4.10), and memory-mapped (4.2), old and new.
 */

/** `modern` and `legacy` PCI, both at once, and the two versions of virtio-mmio. */
export type Kind = "modern" | "legacy" | "transitional" | "mmio1" | "mmio2";

/** Places in the modern BAR, as a device may choose them; the doorbells are 8 bytes apart. */
const COMMON = 0x0000;
const ISR = 0x1000;
const DEVICE = 0x2000;
const NOTIFY = 0x3000;
const MODERN_BYTES = 0x4000;
const NOTIFY_STRIDE = 8;
const CONFIG_BYTES = 24;
const MSIX_BYTES = 0x1000;
const IO_BYTES = 64;
const LEGACY_PAGE = 4096;

/** A field of the common configuration: bytes, and what it means. */
interface Register {
  width: number;
  read(): number;
  write?(value: number): void;
}

/** A virtio device's registers, whichever bus it is on. */
export class Registers {
  private featureSelect = 0;
  private driverSelect = 0;
  private queueSelect = 0;
  private driverFeatures = [0, 0];
  private legacyPage = 0;
  private legacyAlign = 0;

  constructor(
    private readonly device: VirtioDevice,
    private readonly kind: Kind,
    private readonly msix: MsiX | undefined,
  ) {}

  /** A BAR by number, as `VirtioNet` lays them out: 0 ports, 1 the message table, 4 the modern ones. */
  read(bar: number, offset: number, width: number): number {
    if (this.kind.startsWith("mmio")) return this.readMmio(offset, width);
    if (bar === BAR_MSIX) return this.msix!.read(offset, width);
    if (bar === BAR_PORTS) return this.readLegacy(offset, width);
    this.device.legacy = false;
    if (offset >= NOTIFY) return 0;
    if (offset >= DEVICE) return this.device.readConfig(offset - DEVICE, width);
    if (offset >= ISR) return this.readIsr();
    return this.common(offset, width).read();
  }

  write(bar: number, offset: number, width: number, value: number): void {
    if (this.kind.startsWith("mmio")) return this.writeMmio(offset, width, value);
    if (bar === BAR_MSIX) return this.msix!.write(offset, width, value);
    if (bar === BAR_PORTS) return this.writeLegacy(offset, width, value);
    this.device.legacy = false;
    if (offset >= NOTIFY) {
      const index = (offset - NOTIFY) / NOTIFY_STRIDE;
      if (width !== 2 || index !== value) {
        this.device.fault(`doorbell ${index} ← ${value} with ${width} bytes (4.1.5.2)`);
      }
      return this.device.notify(value);
    }
    if (offset >= ISR) this.device.fault(`write to 0x${offset.toString(16)}, which is read only`);
    const register = this.common(offset, width);
    if (!register.write) this.device.fault(`write to common configuration ${offset}, read only`);
    register.write(value);
  }

  private get queue(): SplitQueue | undefined {
    return this.device.queues[this.queueSelect];
  }

  private settled(): SplitQueue {
    const queue = this.queue ?? this.device.fault(`queue ${this.queueSelect} does not exist`);
    if (queue.ready) this.device.fault(`queue ${queue.index} changed after it was enabled`);
    if (!this.device.legacy && !(this.device.status & Status.FEATURES_OK)) {
      this.device.fault(`queue ${queue.index} set up before FEATURES_OK (3.1.1)`);
    }
    return queue;
  }

  private readIsr(): number {
    const { isr } = this.device;
    this.device.isr = 0;
    this.device.lower();
    return isr;
  }

  private feature(select: number): number {
    if (select > 1) return 0;
    return Number((this.device.features >> BigInt(32 * select)) & 0xffff_ffffn);
  }

  private setFeature(select: number, value: number): void {
    if (select > 1) this.device.fault("features above 63");
    this.driverFeatures[select] = value;
    const [low, high] = this.driverFeatures as [number, number];
    this.device.setFeatures((BigInt(high) << 32n) | BigInt(low));
  }

  private vector(value: number): number {
    return this.msix && value < this.msix.entries ? value : NO_VECTOR;
  }

  /** Common configuration (4.1.4.3): a field is read and written in its own width (4.1.3.1). */
  private common(offset: number, width: number): Register {
    const { device } = this;
    const field = this.commonFields()[offset];
    if (!field || field.width !== width) {
      device.fault(`${width} bytes of common configuration at ${offset} (4.1.3.1)`);
    }
    return field;
  }

  private commonFields(): { [offset: number]: Register } {
    const { device, queue } = this;
    const half = (name: "descriptors" | "available" | "used", high: boolean): Register => ({
      width: 4,
      read: () => (high ? 0 : (queue?.[name] ?? 0)),
      write: (value) => {
        if (high && value) device.fault("an address above 4 GiB, where there is no RAM");
        if (!high) this.settled()[name] = value;
      },
    });
    return {
      0: {
        width: 4,
        read: () => this.featureSelect,
        write: (value) => void (this.featureSelect = value),
      },
      4: { width: 4, read: () => this.feature(this.featureSelect) },
      8: {
        width: 4,
        read: () => this.driverSelect,
        write: (value) => void (this.driverSelect = value),
      },
      12: {
        width: 4,
        read: () => this.driverFeatures[this.driverSelect] ?? 0,
        write: (value) => this.setFeature(this.driverSelect, value),
      },
      16: {
        width: 2,
        read: () => device.configVector,
        write: (value) => void (device.configVector = this.vector(value)),
      },
      18: { width: 2, read: () => device.queues.length },
      20: { width: 1, read: () => device.status, write: (value) => this.setStatus(value) },
      21: { width: 1, read: () => device.generation },
      22: {
        width: 2,
        read: () => this.queueSelect,
        write: (value) => void (this.queueSelect = value),
      },
      24: {
        width: 2,
        read: () => queue?.size ?? 0,
        write: (value) => this.resize(value),
      },
      26: {
        width: 2,
        read: () => queue?.vector ?? NO_VECTOR,
        write: (value) => void (this.settled().vector = this.vector(value)),
      },
      28: {
        width: 2,
        read: () => Number(queue?.ready ?? false),
        write: (value) => {
          if (value !== 1) device.fault(`queue_enable ← ${value} (4.1.4.3.2)`);
          this.settled().enable();
        },
      },
      30: { width: 2, read: () => queue?.index ?? 0 },
      32: half("descriptors", false),
      36: half("descriptors", true),
      40: half("available", false),
      44: half("available", true),
      48: half("used", false),
      52: half("used", true),
    };
  }

  private resize(value: number): void {
    const queue = this.settled();
    if (value > queue.most)
      this.device.fault(`queue ${queue.index}: size ${value} > ${queue.most}`);
    queue.size = value;
  }

  private setStatus(value: number): void {
    if (value === 0) {
      this.driverFeatures = [0, 0];
      this.legacyPage = 0;
      this.legacyAlign = 0;
    }
    this.device.setStatus(value);
  }

  /** The old layout, one run of pages (2.7.2). */
  private openLegacy(page: number, align: number): void {
    const queue = this.settled();
    if (page === 0) this.device.fault(`queue ${queue.index} given back without a reset`);
    queue.descriptors = page;
    queue.available = page + queue.size * 16;
    queue.used = Math.ceil((queue.available + 6 + queue.size * 2) / align) * align;
    queue.enable();
  }

  // ---- Ports (4.1.4.10) --------------------------------------------------------------------------

  private readLegacy(offset: number, width: number): number {
    const { device, queue } = this;
    device.legacy = true;
    const start = this.msix?.enabled ? 24 : 20;
    if (offset >= start) return device.readConfig(offset - start, width);
    const widths: { [offset: number]: number } = {
      0: 4,
      4: 4,
      8: 4,
      12: 2,
      14: 2,
      16: 2,
      18: 1,
      19: 1,
      20: 2,
      22: 2,
    };
    if (widths[offset] !== width) device.fault(`${width} bytes from port ${offset}`);
    switch (offset) {
      case 0:
        return this.feature(0);
      case 4:
        return this.driverFeatures[0]!;
      case 8:
        return (queue?.descriptors ?? 0) / LEGACY_PAGE;
      case 12:
        return queue?.most ?? 0;
      case 14:
        return this.queueSelect;
      case 18:
        return device.status;
      case 19:
        return this.readIsr();
      case 20:
        return device.configVector;
      case 22:
        return queue?.vector ?? NO_VECTOR;
      default:
        return device.fault(`port ${offset} is write only`);
    }
  }

  private writeLegacy(offset: number, width: number, value: number): void {
    const { device } = this;
    device.legacy = true;
    const widths: { [offset: number]: number } = { 4: 4, 8: 4, 14: 2, 16: 2, 18: 1 };
    if (this.msix?.enabled) Object.assign(widths, { 20: 2, 22: 2 });
    if (widths[offset] !== width) device.fault(`${width} bytes to port ${offset}`);
    if (offset === 4) this.setFeature(0, value);
    if (offset === 8) this.openLegacy(value * LEGACY_PAGE, LEGACY_PAGE);
    if (offset === 14) this.queueSelect = value;
    if (offset === 16) device.notify(value);
    if (offset === 18) this.setStatus(value);
    if (offset === 20) device.configVector = this.vector(value);
    if (offset === 22) this.settled().vector = this.vector(value);
  }

  // ---- Memory-mapped (4.2.2, 4.2.4) -----------------------------------------------------------------

  private readMmio(offset: number, width: number): number {
    const { device, queue } = this;
    const old = this.kind === "mmio1";
    device.legacy = old;
    if (offset >= 0x100) return device.readConfig(offset - 0x100, width);
    if (width !== 4 || offset & 3)
      device.fault(`${width} bytes at 0x${offset.toString(16)} (4.2.2.2)`);
    switch (offset) {
      case 0x000:
        return 0x74726976;
      case 0x004:
        return old ? 1 : 2;
      case 0x008:
        return 1;
      case 0x00c:
        return 0x554d4551;
      case 0x010:
        return this.feature(this.featureSelect);
      case 0x034:
        return queue?.most ?? 0;
      case 0x060:
        return device.isr;
      case 0x070:
        return device.status;
    }
    if (old && offset === 0x040) return (queue?.descriptors ?? 0) / (this.legacyPage || 1);
    if (!old && offset === 0x044) return Number(queue?.ready ?? false);
    if (!old && offset === 0x0fc) return device.generation;
    return device.fault(`read of 0x${offset.toString(16)}, which is not for reading`);
  }

  private writeMmio(offset: number, width: number, value: number): void {
    const { device } = this;
    const old = this.kind === "mmio1";
    device.legacy = old;
    if (width !== 4 || offset & 3)
      device.fault(`${width} bytes at 0x${offset.toString(16)} (4.2.2.2)`);
    const both: { [offset: number]: (value: number) => void } = {
      0x014: (v) => void (this.featureSelect = v),
      0x020: (v) => this.setFeature(this.driverSelect, v),
      0x024: (v) => void (this.driverSelect = v),
      0x030: (v) => void (this.queueSelect = v),
      0x038: (v) => this.resize(v),
      0x050: (v) => device.notify(v),
      0x064: (v) => {
        if (v & ~device.isr) device.fault("an interrupt acknowledged that was not there (4.2.2.2)");
        device.isr &= ~v;
        if (!device.isr) device.lower();
      },
      0x070: (v) => this.setStatus(v),
    };
    const before: typeof both = {
      0x028: (v) => void (this.legacyPage = v),
      0x03c: (v) => void (this.legacyAlign = v),
      0x040: (v) => {
        if (!this.legacyPage || !this.legacyAlign)
          device.fault("no page size or alignment (4.2.4)");
        this.openLegacy(v * this.legacyPage, this.legacyAlign);
      },
    };
    const half = (name: "descriptors" | "available" | "used", high: boolean) => (v: number) => {
      if (high && v) device.fault("an address above 4 GiB, where there is no RAM");
      if (!high) this.settled()[name] = v;
    };
    const since: typeof both = {
      0x044: (v) => {
        if (v !== 1) device.fault(`QueueReady ← ${v}`);
        this.settled().enable();
      },
      0x080: half("descriptors", false),
      0x084: half("descriptors", true),
      0x090: half("available", false),
      0x094: half("available", true),
      0x0a0: half("used", false),
      0x0a4: half("used", true),
    };
    const action = both[offset] ?? (old ? before : since)[offset];
    if (!action) device.fault(`write to 0x${offset.toString(16)}, which is not for writing`);
    action(value);
  }
}

/** Numbers of the BARs. */
const BAR_PORTS = 0;
const BAR_MSIX = 1;

/** Capability of a structure in the modern BAR (4.1.4). */
function capability(type: number, bar: number, offset: number, length: number): number[] {
  const bytes = [0x09, 0, type === 2 ? 20 : 16, type, bar, 0, 0, 0];
  const words = type === 2 ? [offset, length, NOTIFY_STRIDE] : [offset, length];
  for (const word of words)
    bytes.push(word & 255, (word >> 8) & 255, (word >> 16) & 255, word >>> 24);
  return bytes;
}

const MSIX_AT = 0x40;

/** The PCI function of a network device; with its message table, if it has any. */
export function virtioFunction(
  kind: Kind,
  line: number,
  base: number,
  firstPort: number,
  queues: number,
  messages: number,
): { pci: PciFunction; msix: MsiX | undefined } {
  const ports: Bar = { kind: "io", size: IO_BYTES, address: kind === "modern" ? 0 : firstPort };
  const table: Bar = { kind: "memory32", size: MSIX_BYTES, address: base + 0x8000 };
  const memory: Bar = { kind: "memory64", size: MODERN_BYTES, address: base };
  const bars = kind === "legacy" ? [ports, table] : [ports, table, memory];
  const pci = new PciFunction({
    vendor: 0x1af4,
    device: kind === "modern" ? 0x1041 : 0x1000,
    classCode: 0x020000,
    revision: kind === "modern" ? 1 : 0,
    line,
    pin: 1,
    bars,
  });
  if (kind !== "legacy") {
    const bar = 2;
    pci.addCapability(0x50, capability(4, bar, DEVICE, CONFIG_BYTES));
    pci.addCapability(0x60, capability(3, bar, ISR, 1));
    // Reserved BAR numbers are to be ignored (4.1.4).
    pci.addCapability(0x70, capability(1, 7, 0, 0x100));
    pci.addCapability(0x80, capability(1, bar, COMMON, 0x38));
    pci.addCapability(0x90, capability(2, bar, NOTIFY, queues * NOTIFY_STRIDE));
  }
  if (!messages) return { pci, msix: undefined };
  return { pci, msix: new MsiX(pci, MSIX_AT, BAR_MSIX, messages, 0x800) };
}
