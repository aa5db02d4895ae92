import { mmioRead32, mmioWrite32 } from "../../kernel/host";
import { Device } from "../device";

export const enum Chip {
  /** 82540, 82545 and what is like them. */
  I8254x = 0,
  /** No EERD, ITR and RADV, and errata in segmentation. */
  I82544 = 1,
  I82574 = 2,
}

/** What a driver knows of one NIC. Ring indices are always within the ring. */
@unmanaged
export class IntelNic {
  device: Device;
  /** Where the registers are, for `mmio…`. */
  registers: usize;
  /** `Chip`. */
  chip: u32;
  /** Table indices of what a family does in its own way. */
  resetOp: u32;
  addressOp: u32;
  configureOp: u32;
  /** Interrupt causes that end a sleep, and what tells of frames among them. */
  causes: u32;
  receiveCauses: u32;
  /** TCTL when the transmitter runs. */
  tctl: u32;
  /** A frame in more than one buffer is being thrown away; its end has not come. */
  discarding: bool;

  receiveRing: usize;
  /** Of each receive descriptor its packet; there always is one. */
  receivePackets: usize;
  /** The next descriptor that the device fills. */
  receiveNext: u32;
  /** Descriptors emptied since RDT was last written. */
  receiveOwed: u32;
  /** RCTL as written. QEMU's device hears nothing for a second after each write, so none is made in vain. */
  rctl: u32;
  /** The multicast table as written, `MTA_WORDS` words, and room to make up a new one. */
  multicast: usize;
  multicastNew: usize;

  transmitRing: usize;
  /** Of each transmit descriptor the packet that ends there, or 0. */
  transmitPackets: usize;
  /** The next descriptor to fill, and the oldest that is not freed. Equal: the ring is empty. */
  transmitNext: u32;
  transmitClean: u32;
  /** Queue of the descriptors that report when they are done: a byte each, and running counts. */
  reports: usize;
  reportHead: u32;
  reportTail: u32;
  /** Filled since the last one that reports. */
  sinceReport: u32;
  /** Checksum start and field that the device holds (3.3.5), or `NO_CONTEXT`. */
  context: u32;
  /** The last packet was one for the device to segment. */
  segmented: bool;

  /** Silences the device and puts its registers back; the PHY keeps the link. */
  @inline resetChip(): void {
    call_indirect<void>(this.resetOp, changetype<usize>(this));
  }

  /** The NIC's own address, or 0. Only after a reset. */
  @inline readAddress(): u64 {
    return call_indirect<u64>(this.addressOp, changetype<usize>(this));
  }

  /** Programs, with rings and filter done and before anything runs, what only its family has. */
  @inline configure(): void {
    call_indirect<void>(this.configureOp, changetype<usize>(this));
  }


  @inline read(register: u32): u32 {
    return mmioRead32(this.registers + register);
  }


  @inline write(register: u32, value: u32): void {
    mmioWrite32(this.registers + register, value);
  }
}

export const NO_CONTEXT: u32 = 0xffff_ffff;


@inline export function nicOf(device: Device): IntelNic {
  return changetype<IntelNic>(device.context);
}
