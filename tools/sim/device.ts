import type { PciFunction } from "./pci.ts";
import type { Simulation } from "./simulation.ts";

/** The driver broke a rule of the hardware: what real silicon would answer with lost data or worse. */
export class DriverFault extends Error {
  override name = "DriverFault";
}

/** What a device sees of the machine that it sits in. */
export interface Host {
  readonly simulation: Simulation;
  /** The instant of the access under way: later than the simulation's within a step. */
  readonly time: number;
  /** All of memory; bounds by `readable` and `writable`. */
  readonly memory: Uint8Array;
  readonly view: DataView;
  /** Whether a device may read these bytes: RAM and the file pack. */
  readable(address: number, length: number): boolean;
  /** Whether a device may write them: RAM. */
  writable(address: number, length: number): boolean;
  /** Raises or lowers an interrupt line. */
  setLine(line: number, level: boolean): void;
  /** A device's write of 32 bits to where messages go (0xfee00000 on). */
  message(address: number, data: number): void;
}

/** A PCI device of a machine. */
export interface PciDevice {
  readonly pci: PciFunction;
  /**
   * Where its registers are if no bus lists it (virtio-mmio): it is then not on PCI, and the kernel is told
   * of it, and of its line, on the command line. `read` and `write` are of BAR 0.
   */
  readonly fixed?: { address: number; size: number } | undefined;
  readonly line?: number;
  /** Called once when it is plugged in; `mastering`: whether its DMA reaches memory now. */
  plugged(host: Host, mastering: () => boolean): void;
  /** It was pulled out: it does nothing any more, least of all to memory. */
  unplugged?(): void;
  read(bar: number, offset: number, width: number): number;
  write(bar: number, offset: number, width: number, value: number): void;
}
