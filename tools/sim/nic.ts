import type { PciDevice } from "./device.ts";
import type { Link, Port } from "./link.ts";

/** What tests know of a NIC model, whichever it is. tools/sim/nics.ts lists the models. */

/** What a NIC may do wrong. Probabilities; what a model has no such thing for it ignores. */
export interface NicFaults {
  /** The interrupt is not raised for a cause; a later one raises it. */
  interruptLoss: number;
  /** Most ns by which the interrupt is raised late. */
  interruptDelay: number;
  /** Most ns by which descriptors are reported done late, several at once. */
  completionDelay: number;
  /** For each transmit doorbell: the transmitter stops until the device is reset. */
  hang: number;
  /** For each frame received: a frame precedes it that is too short, too long or damaged. */
  badFrame: number;
  /** For each frame received: a descriptor precedes it that claims 0 or more bytes than fit. */
  lyingDescriptor: number;
  /** For each frame received: the device has no room for it, and counts it if it counts such. */
  overrun: number;
}

export const NO_FAULTS: Readonly<NicFaults> = {
  interruptLoss: 0,
  interruptDelay: 0,
  completionDelay: 0,
  hang: 0,
  badFrame: 0,
  lyingDescriptor: 0,
  overrun: 0,
};

/** What happened to a NIC, for tests. */
export interface NicCounts {
  /** Times that the driver reset it, the first start included. */
  resets: number;
  interrupts: number;
  /** Writes that told it of new descriptors, of either queue. */
  doorbells: number;
  hangs: number;
  /** Frames. */
  received: number;
  sent: number;
  /** Packets that it cut into segments. */
  bursts: number;
  linkLosses: number;
}

export interface NicOptions {
  mac: Uint8Array;
  faults?: Partial<NicFaults>;
  /** Interrupt line that firmware routed it to. */
  line?: number;
  /** Address of its memory registers, where it has such. */
  base?: number;
  /** Number of its first port, where it has such. */
  ports?: number;
}

/** A NIC of a machine and its port on a link. */
export interface Nic extends PciDevice, Port {
  readonly mac: Uint8Array;
  readonly line: number;
  faults: NicFaults;
  readonly counts: NicCounts;
  /** The transmitter is stuck (`NicFaults.hang`). */
  readonly hung: boolean;
  /** Frames that the driver gave it may have been lost: it was reset while it ran, or had no link. */
  readonly mayHaveLost: boolean;
  /** Plugs the cable into a link. */
  connect(link: Link): void;
  /** The cable is in, or out. */
  carrier(up: boolean): void;
}

/** A kind of NIC: how to make one, and what sets it apart in tests. */
export interface NicKind {
  /** As QEMU calls it. */
  name: string;
  /** `Device.model`. */
  model: string;
  /** Mbit/s of its link; and what its driver says of one whose speed it is not told. */
  mbit: number;
  mbitSaid?: number;
  /** Checks and fills in TCP's and UDP's checksums. */
  checksums: boolean;
  /** Checks IPv4's header checksum as well. */
  checksIp: boolean;
  /** Cuts packets into TCP segments. */
  segmentation: boolean;
  /** The same of TCP over IPv6. */
  segmentation6: boolean;
  /** Packets are copied in and out of it: none is ever in its rings, and each has its own doorbell. */
  copies: boolean;
  /** Counts frames that it had no room for. */
  countsMissed: boolean;
  make(options: NicOptions): Nic;
}
