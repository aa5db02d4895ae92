/**
 * PCI configuration space through mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2): an
 * address latch at port 0xCF8 and a window on the addressed dword at 0xCFC. Buses are reached
 * through type 1 headers (PCI-to-PCI Bridge Architecture 1.2, 3.2), as firmware left them.
 */

export const CONFIG_ADDRESS = 0xcf8;
export const CONFIG_DATA = 0xcfc;

/** A base address register: what it decodes, and where firmware put it. */
export interface Bar {
  kind: "memory32" | "memory64" | "io";
  /** Bytes, a power of two. */
  size: number;
  address: number;
}

export interface FunctionOptions {
  vendor: number;
  device: number;
  /** Class, subclass, programming interface: 24 bits. */
  classCode: number;
  bars?: Bar[];
  /** Interrupt line and pin as firmware routed them; pin 1 is INTA#. */
  line?: number;
  pin?: number;
  multifunction?: boolean;
  revision?: number;
  /** The command register as firmware left it. */
  command?: number;
}

/** Command register bits (PCI 3.0, 6.2.2). */
export const enum Command {
  IoSpace = 1,
  MemorySpace = 2,
  BusMaster = 4,
  InterruptDisable = 0x400,
}

const COMMAND_WRITABLE = 0x0547;

/** One function's configuration space: 4 KiB by ECAM, of which ports reach 256 bytes. */
export class PciFunction {
  protected readonly config = new DataView(new ArrayBuffer(4096));
  /** Bits that software can change. */
  protected readonly writable = new DataView(new ArrayBuffer(4096));
  readonly bars: Bar[];

  constructor(options: FunctionOptions) {
    const { config, writable } = this;
    config.setUint16(0x00, options.vendor, true);
    config.setUint16(0x02, options.device, true);
    config.setUint16(0x04, options.command ?? Command.IoSpace | Command.MemorySpace, true);
    config.setUint32(0x08, ((options.classCode << 8) | (options.revision ?? 0)) >>> 0, true);
    config.setUint8(0x0e, options.multifunction ? 0x80 : 0);
    config.setUint8(0x3c, options.line ?? 0xff);
    config.setUint8(0x3d, options.pin ?? 0);
    writable.setUint16(0x04, COMMAND_WRITABLE, true);
    writable.setUint8(0x0c, 0xff);
    writable.setUint8(0x0d, 0xff);
    writable.setUint8(0x3c, 0xff);
    this.bars = options.bars ?? [];
    let at = 0x10;
    for (const bar of this.bars) {
      const flags = bar.kind === "io" ? 1 : bar.kind === "memory64" ? 4 : 0;
      config.setUint32(at, (bar.address | flags) >>> 0, true);
      writable.setUint32(at, -bar.size >>> 0, true);
      at += 4;
      if (bar.kind !== "memory64") continue;
      config.setUint32(at, Math.floor(bar.address / 2 ** 32), true);
      writable.setUint32(at, 0xffffffff, true);
      at += 4;
    }
  }

  /** Adds a capability of `bytes` (its id first; the link is filled in) at `at` (PCI 3.0, 6.7). */
  addCapability(at: number, bytes: number[]): void {
    for (let i = 0; i < bytes.length; i++) this.config.setUint8(at + i, bytes[i]!);
    this.config.setUint8(at + 1, this.config.getUint8(0x34));
    this.config.setUint8(0x34, at);
    this.config.setUint16(0x06, this.config.getUint16(0x06, true) | 0x10, true);
  }

  /** Lets software change the bits of `mask` in the dword at `register`. */
  allow(register: number, mask: number): void {
    this.writable.setUint32(register, mask, true);
  }

  get command(): number {
    return this.config.getUint16(0x04, true);
  }

  /** Where BAR `index` decodes now, or −1 while its space is switched off. */
  barAddress(index: number): number {
    let at = 0x10;
    for (let i = 0; i < index; i++) at += this.bars[i]!.kind === "memory64" ? 8 : 4;
    const { kind, size } = this.bars[index]!;
    const low = this.config.getUint32(at, true);
    const enable = kind === "io" ? Command.IoSpace : Command.MemorySpace;
    if (!(this.command & enable)) return -1;
    const address = (low & (kind === "io" ? ~3 : ~15)) >>> 0;
    if (address === 0 || address % size) return -1;
    if (kind !== "memory64") return address;
    return address + this.config.getUint32(at + 4, true) * 2 ** 32;
  }

  read(register: number): number {
    return this.config.getUint32(register & 0xffc, true);
  }

  /** Writes the dword's bytes that are set in `mask`. */
  write(register: number, value: number, mask: number): void {
    register &= 0xffc;
    const changed = this.writable.getUint32(register, true) & mask;
    const old = this.config.getUint32(register, true);
    this.config.setUint32(register, ((old & ~changed) | (value & changed)) >>> 0, true);
  }
}

/** A PCI-to-PCI bridge and the bus behind it. */
export class PciBridge extends PciFunction {
  readonly bus: PciBus;

  constructor(options: FunctionOptions, bus: PciBus) {
    super({ ...options, classCode: 0x060400 });
    this.bus = bus;
    this.config.setUint8(0x0e, 0x01 | (options.multifunction ? 0x80 : 0));
    this.config.setUint8(0x19, bus.number);
    this.config.setUint8(0x1a, bus.highest());
    for (const at of [0x18, 0x19, 0x1a, 0x1c, 0x1d]) this.writable.setUint8(at, 0xff);
    for (const at of [0x20, 0x24]) this.writable.setUint32(at, 0xfff0fff0, true);
  }

  get secondary(): number {
    return this.config.getUint8(0x19);
  }

  get subordinate(): number {
    return this.config.getUint8(0x1a);
  }

  /** Whether memory accesses and bus mastering pass, as the driver of what is behind needs. */
  get forwards(): boolean {
    return (this.command & (Command.MemorySpace | Command.BusMaster)) === 6;
  }
}

/** A bus: functions by device number (0 to 31) and function number (0 to 7). */
export class PciBus {
  private readonly functions = new Map<number, PciFunction>();

  constructor(readonly number: number) {}

  add(device: number, fn: number, what: PciFunction): void {
    this.functions.set(device * 8 + fn, what);
  }

  remove(device: number, fn: number): void {
    this.functions.delete(device * 8 + fn);
  }

  highest(): number {
    let highest = this.number;
    for (const fn of this.functions.values()) {
      if (fn instanceof PciBridge) highest = Math.max(highest, fn.bus.highest());
    }
    return highest;
  }

  /** The function at bus, device and function number, through bridges, or undefined. */
  find(bus: number, devfn: number): PciFunction | undefined {
    if (bus === this.number) return this.functions.get(devfn);
    for (const fn of this.functions.values()) {
      if (fn instanceof PciBridge && bus >= fn.secondary && bus <= fn.subordinate) {
        return fn.bus.find(bus, devfn);
      }
    }
    return undefined;
  }
}

/** Memory-mapped configuration space (PCI Express Base 2.0, 7.2.2), from bus 0 to `lastBus`. */
export class Ecam {
  constructor(
    readonly root: PciBus,
    readonly base: number,
    readonly lastBus: number,
  ) {}

  get size(): number {
    return (this.lastBus + 1) << 20;
  }

  read(offset: number, width: number): number {
    const ones = 2 ** (width * 8) - 1;
    const target = this.root.find(offset >>> 20, (offset >>> 12) & 0xff);
    return target ? (target.read(offset & 0xffc) >>> ((offset & 3) * 8)) & ones : ones;
  }

  write(offset: number, width: number, value: number): void {
    const shift = (offset & 3) * 8;
    const mask = ((2 ** (width * 8) - 1) << shift) >>> 0;
    const target = this.root.find(offset >>> 20, (offset >>> 12) & 0xff);
    target?.write(offset & 0xffc, (value << shift) >>> 0, mask);
  }
}

/** The two ports. */
export class ConfigMechanism1 {
  private address = 0;

  constructor(readonly root: PciBus) {}

  /** `width` bytes from `port`; what is absent reads all ones. */
  read(port: number, width: number): number {
    const ones = 2 ** (width * 8) - 1;
    if (port === CONFIG_ADDRESS && width === 4) return this.address;
    const target = this.target(port);
    if (!target) return ones;
    return (target.read(this.address & 0xfc) >>> ((port & 3) * 8)) & ones;
  }

  write(port: number, width: number, value: number): void {
    if (port === CONFIG_ADDRESS) {
      // Only a dword write reaches the latch; narrower ones go to whatever is behind the bridge.
      if (width === 4) this.address = (value & 0x80fffffc) >>> 0;
      return;
    }
    const shift = (port & 3) * 8;
    const mask = ((2 ** (width * 8) - 1) << shift) >>> 0;
    this.target(port)?.write(this.address & 0xfc, (value << shift) >>> 0, mask);
  }

  private target(port: number): PciFunction | undefined {
    if (port < CONFIG_DATA || port > CONFIG_DATA + 3 || !(this.address & 0x80000000)) return;
    return this.root.find((this.address >>> 16) & 0xff, (this.address >>> 8) & 0xff);
  }
}
