import { DriverFault, type Host } from "./device.ts";
import type { PciFunction } from "./pci.ts";

/**
 * MSI-X (PCI Local Bus Specification 3.0, 6.8.2): the capability, the table and the pending bits in a BAR,
 * and messages, which wait while their entry or the function is masked.
 */

export const CAPABILITY_MSIX = 0x11;
const ENTRY_BYTES = 16;
const CONTROL_ENABLE = 0x8000;
const CONTROL_MASKED = 0x4000;

export class MsiX {
  private host: Host | undefined;
  private readonly table: Uint32Array;
  private readonly pending: Set<number> = new Set();

  /** Adds the capability at `at`, for `entries` of a table at the start of BAR `bar`, pending bits behind it. */
  constructor(
    private readonly pci: PciFunction,
    private readonly at: number,
    bar: number,
    readonly entries: number,
    private readonly pendingAt: number,
  ) {
    this.table = new Uint32Array(entries * 4);
    for (let i = 0; i < entries; i++) this.table[i * 4 + 3] = 1;
    const size = entries - 1;
    const place = [bar | (pendingAt & 0xf8), pendingAt >> 8, 0, 0];
    pci.addCapability(at, [CAPABILITY_MSIX, 0, size & 255, size >> 8, bar, 0, 0, 0, ...place]);
    pci.allow(at, (CONTROL_ENABLE | CONTROL_MASKED) << 16);
  }

  /** Where its messages go from now on. */
  plugged(host: Host): void {
    this.host = host;
  }

  get enabled(): boolean {
    return (this.control & CONTROL_ENABLE) !== 0;
  }

  read(offset: number, width: number): number {
    this.check(offset, width);
    if (offset < this.table.length * 4) return this.table[offset >> 2]!;
    let bits = 0;
    for (const entry of this.pending) bits |= 1 << entry;
    return offset === this.pendingAt ? bits : 0;
  }

  write(offset: number, width: number, value: number): void {
    this.check(offset, width);
    if (offset >= this.table.length * 4)
      throw new DriverFault("MSI-X: the pending bits are read-only");
    const entry = Math.floor(offset / ENTRY_BYTES);
    if (offset % ENTRY_BYTES < 12 && this.enabled && !this.masked(entry)) {
      throw new DriverFault(`MSI-X: entry ${entry} written while it is not masked (6.8.2)`);
    }
    this.table[offset >> 2] = value;
    this.release();
  }

  /** Sends entry `entry`'s message, or keeps it. */
  raise(entry: number): void {
    this.pending.add(entry);
    this.release();
  }

  /** Sends what waits and need not. */
  release(): void {
    if (!this.enabled) return;
    for (const entry of this.pending) {
      if (this.masked(entry)) continue;
      this.pending.delete(entry);
      const [low, high, data] = this.table.subarray(entry * 4, entry * 4 + 3);
      if (high) throw new DriverFault(`MSI-X: entry ${entry} goes above 4 GiB`);
      this.host?.message(low!, data!);
    }
  }

  private get control(): number {
    return this.pci.read(this.at) >>> 16;
  }

  private masked(entry: number): boolean {
    return (this.control & CONTROL_MASKED) !== 0 || (this.table[entry * 4 + 3]! & 1) !== 0;
  }

  private check(offset: number, width: number): void {
    if (width !== 4 || offset & 3) {
      throw new DriverFault(`MSI-X: access of ${width} bytes at 0x${offset.toString(16)} (6.8.2)`);
    }
  }
}
