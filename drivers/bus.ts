/**
 * Buses, and what is found on them. A bus is a file with a scan that finds what is plugged in
 * (drivers/pci.ts); each thing found is an object of the bus's own class, which begins with a
 * `Found` and stays where it is as long as the machine runs.
 */

export const enum Bus {
  Pci = 0,
  /** Virtio devices at fixed addresses, which no bus lists: the kernel command line does. */
  VirtioMmio = 1,
}

/** One thing found on a bus. */
@unmanaged
export class Found {
  /** `Bus`. */
  kind: u32;
  /**
   * Its place, which no other on its bus has; interfaces are numbered in the order of places. PCI: as
   * the configuration mechanism takes it. Virtio-mmio: physical address of its registers.
   */
  address: u32;
  /** What it says it is. PCI: vendor in the lower half, device in the upper. Virtio-mmio: its device id. */
  id: u32;
  /** Revision of what it is, 0 where there is none. */
  revision: u32;
  /** Interrupt line, or `NO_LINE`. */
  line: u32;
}
