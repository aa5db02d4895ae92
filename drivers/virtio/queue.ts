import {
  dmaFullBarrier,
  dmaRead16,
  dmaRead32,
  dmaReadBarrier,
  dmaWrite16,
  dmaWrite32,
  dmaWrite64,
  dmaWriteBarrier,
  mmioWrite16,
  mmioWrite32,
  portOut16,
} from "../../kernel/host";
import { Device } from "../device";
import { deviceMemory } from "../device-memory";

/**
 * The split virtqueue (Virtual I/O Device 1.2, section 2.7): how driver and device hand buffers to
 * each other, whatever the device does and whatever bus it is on.
 *
 *     descriptors   16 bytes each: address, length, flags, next          the driver writes
 *     available     flags, idx, ring of chain heads, used_event          the driver writes
 *     used          flags, idx, ring of (head, bytes), avail_event       the device writes
 *
 * Both `idx` are running counts modulo 2^16. A chain is known by its first descriptor, its head; the
 * device gives chains back in any order. What it writes is believed in nothing: a head must be of a
 * chain that it has, and it cannot give back more chains than it has. `Virtqueue.lie` says what it broke.
 *
 * Nobody is told more often than he asks for (2.7.7, 2.7.10): a batch is published with one write of
 * idx, and with the event index each side says at which count it wants to hear. Indirect tables are
 * not used: a chain here has three descriptors at most, and the device would have to map another
 * piece of memory for each.
 */

/** Descriptor flags (2.7.5). */
const DESC_NEXT: u32 = 1;
const DESC_WRITE: u32 = 2;

/** `avail.flags` and `used.flags` (2.7.6, 2.7.8): without the event index, "do not tell me". */
const AVAIL_NO_INTERRUPT: u32 = 1;
const USED_NO_NOTIFY: u32 = 1;

const DESCRIPTOR_SHIFT: u32 = 4;
const USED_SHIFT: u32 = 3;
/** Bytes before the entries of either ring. */
const RING_HEAD: u32 = 4;

/** Where the used ring begins in the legacy layout (2.7.2), which serves every device. */
export const QUEUE_ALIGN: u32 = 4096;

/** Longest queue that there is (2.7). */
export const QUEUE_MOST: u32 = 32768;

/** How a device is told that there is something in a queue. */
export const enum Doorbell {
  /** The queue's number, 16 bits, to an address of its own (4.1.5.2). */
  Memory16 = 0,
  /** The queue's number, 32 bits, to the one register for all (4.2.3.3). */
  Memory32 = 1,
  /** The queue's number to a port (4.1.4.10). */
  Port16 = 2,
}

/** What a device that gave back something impossible did, for people. */
export const enum Lie {
  None = 0,
  /** More chains given back than it had. */
  Count = 1,
  /** A head that is none, or whose chain it does not have. */
  Head = 2,
  /** More bytes written than the chain has room for. */
  Length = 3,
  /** A packet of no buffers, or of more than it has. */
  Buffers = 4,
}

/** `Virtqueue.ready` when the device lies. */
export const LIED: u32 = 0xffff_ffff;


@unmanaged
export class Virtqueue {
  descriptors: usize;
  available: usize;
  used: usize;
  /** Of each head what the chain carries, an address; 0: the device does not have it. */
  private carried: usize;
  /** Of each descriptor the next in its chain or among the free ones; above it, in a head's, the chain's length. */
  private links: usize;
  /** Of each head the count at which it was made available last, 16 bits. */
  private offeredAt: usize;
  /** Descriptors, and for how many there is memory. */
  size: u32;
  private capacity: u32;
  /** Chains made available, those of them that the device knows of, and those taken back; modulo 2^16. */
  private offered: u32;
  private published: u32;
  private taken: u32;
  /** First free descriptor, and how many there are. */
  private free: u32;
  room: u32;
  /** VIRTIO_F_EVENT_IDX is negotiated. */
  private eventIndex: bool;
  /** Whether it may interrupt. */
  private interrupting: bool;
  doorbell: u32;
  /** What it broke, once `ready` or `take` has said so. */
  lie: u32;
  /** Number of the queue, and where `Doorbell` says that it is to be written. */
  index: u32;
  doorbellAddress: usize;

  /**
   * Takes memory for `size` descriptors (a power of two), unless it has it from an earlier time; false
   * when there is none.
   */
  takeMemory(device: Device, size: u32): bool {
    if (this.capacity < size) {
      this.descriptors = deviceMemory(device, queueBytes(size), QUEUE_ALIGN);
      this.carried = deviceMemory(device, size << 2, 64);
      this.links = deviceMemory(device, size << 2, 64);
      this.offeredAt = deviceMemory(device, size << 1, 64);
      if (!this.descriptors || !this.carried || !this.links || !this.offeredAt) return false;
      this.capacity = size;
    }
    this.size = size;
    this.available = this.descriptors + (size << DESCRIPTOR_SHIFT);
    this.used = this.descriptors + usedOffset(size);
    return true;
  }

  /** Empty, with every descriptor free and interrupts off. The device must not have it. */
  clear(index: u32, eventIndex: bool): void {
    const size = this.size;
    memory.fill(this.descriptors, 0, queueBytes(size));
    memory.fill(this.carried, 0, size << 2);
    for (let i: u32 = 0; i < size; i++) store<u32>(this.links + (i << 2), i + 1);
    this.index = index;
    this.eventIndex = eventIndex;
    this.offered = 0;
    this.published = 0;
    this.taken = 0;
    this.free = 0;
    this.room = size;
    this.lie = Lie.None;
    this.setInterrupts(false);
  }

  // ---- To the device ---------------------------------------------------------------------

  /** Takes a descriptor that is free: `room` must say that there is one. */
  @inline takeFree(): u32 {
    const id = this.free;
    this.free = load<u32>(this.links + (id << 2)) & 0xffff;
    this.room--;
    return id;
  }

  /** Describes `length` bytes that the device reads; the chain goes on with the next `takeFree`. */
  @inline describeMore(id: u32, address: usize, length: u32): void {
    this.describe(id, address, length, DESC_NEXT, this.free);
  }

  /** Describes `length` bytes that the device reads, the end of its chain. */
  @inline describeLast(id: u32, address: usize, length: u32): void {
    this.describe(id, address, length, 0, 0);
  }

  /** Describes `length` bytes that the device writes, the end of its chain. */
  @inline describeWritten(id: u32, address: usize, length: u32): void {
    this.describe(id, address, length, DESC_WRITE, 0);
  }

  /** As `describeMore`, for bytes that the device writes. */
  @inline describeMoreWritten(id: u32, address: usize, length: u32): void {
    this.describe(id, address, length, DESC_WRITE | DESC_NEXT, this.free);
  }


  @inline
  private describe(id: u32, address: usize, length: u32, flags: u32, next: u32): void {
    const at = this.descriptors + (id << DESCRIPTOR_SHIFT);
    dmaWrite64(at, address);
    dmaWrite64(at + 8, (<u64>length) | ((<u64>(flags | (next << 16))) << 32));
  }

  /** Points a one-descriptor chain at another buffer of the same length. */
  @inline redirect(head: u32, address: usize): void {
    dmaWrite64(this.descriptors + (head << DESCRIPTOR_SHIFT), address);
  }

  /** Makes a chain of `length` descriptors available, which carries `what`; `publish` tells of it. */
  @inline offer(head: u32, length: u32, what: usize): void {
    const links = this.links + (head << 2);
    store<u32>(links, (load<u32>(links) & 0xffff) | (length << 16));
    this.offerAgain(head, what);
  }

  /** The same for a chain that was taken back and not freed. */
  @inline offerAgain(head: u32, what: usize): void {
    const count = this.offered;
    store<u32>(this.carried + (head << 2), <u32>what);
    store<u16>(this.offeredAt + (head << 1), <u16>count);
    dmaWrite16(this.available + RING_HEAD + ((count & (this.size - 1)) << 1), head);
    this.offered = (count + 1) & 0xffff;
  }

  /** Whether something was made available that the device does not know of. */
  @inline get unpublished(): bool {
    return this.offered != this.published;
  }

  /** Tells the device of what was made available; returns whether it wants its doorbell rung. */
  @inline publish(): bool {
    const before = this.published;
    const after = this.offered;
    if (before == after) return false;
    this.published = after;
    dmaWriteBarrier();
    dmaWrite16(this.available + 2, after);
    // The device looks at idx again after it has asked to be told, and so do we the other way round.
    dmaFullBarrier();
    if (!this.eventIndex) return !(dmaRead16(this.used) & USED_NO_NOTIFY);
    const event = dmaRead16(this.used + RING_HEAD + (this.size << USED_SHIFT));
    return ((after - event - 1) & 0xffff) < ((after - before) & 0xffff);
  }

  /** Rings the doorbell. Costs an exit from the machine where there is a hypervisor. */
  ring(): void {
    const at = this.doorbellAddress;
    if (this.doorbell == Doorbell.Memory16) mmioWrite16(at, this.index);
    else if (this.doorbell == Doorbell.Memory32) mmioWrite32(at, this.index);
    else portOut16(<u32>at, this.index);
  }

  // ---- From the device -------------------------------------------------------------------

  /** Chains that the device has. */
  @inline get outstanding(): u32 {
    return (this.published - this.taken) & 0xffff;
  }

  /** Chains that it has given back and nobody has taken, or `LIED`. */
  @inline ready(): u32 {
    const count = (dmaRead16(this.used + 2) - this.taken) & 0xffff;
    if (count > this.outstanding) {
      this.lie = Lie.Count;
      return LIED;
    }
    if (count) dmaReadBarrier();
    return count;
  }

  /** Bytes that the device says it wrote to the chain that comes `ahead` chains behind the next. */
  @inline usedLength(ahead: u32): u32 {
    return dmaRead32(this.usedAt(ahead) + 4);
  }


  @inline
  private usedAt(ahead: u32): usize {
    return this.used + RING_HEAD + (((this.taken + ahead) & (this.size - 1)) << USED_SHIFT);
  }

  /** The next chain's head; what it carried is in `taken`. `LIED` if the device does not have it. */
  @inline take(): u32 {
    const head = dmaRead32(this.usedAt(0));
    if (!this.has(head)) {
      this.lie = Lie.Head;
      return LIED;
    }
    this.taken = (this.taken + 1) & 0xffff;
    return head;
  }

  /** What the device has under this head, `ahead` chains behind the next; 0 if it lies. */
  @inline peek(ahead: u32): usize {
    const head = dmaRead32(this.usedAt(ahead));
    return this.has(head) ? this.carriedBy(head) : 0;
  }

  /** What the chain carries, or carried last. */
  @inline carriedBy(head: u32): usize {
    return load<u32>(this.carried + (head << 2));
  }

  /** Whether the device has the chain of this head. */
  @inline
  private has(head: u32): bool {
    if (head >= this.size || !this.carriedBy(head)) return false;
    // Made available, but not published yet: it cannot know of it.
    const since = (this.published - 1 - load<u16>(this.offeredAt + (head << 1))) & 0xffff;
    return since < this.size;
  }

  /** The second descriptor of a chain. */
  @inline after(head: u32): u32 {
    return load<u32>(this.links + (head << 2)) & 0xffff;
  }

  /** Chains taken back so far, modulo 2^16. */
  get progress(): u32 {
    return this.taken;
  }

  /** What the device has under this head, or 0; it no longer has it, since it was reset. */
  forget(head: u32): usize {
    const at = this.carried + (head << 2);
    const what = load<u32>(at);
    store<u32>(at, 0);
    return what;
  }

  /** Frees the descriptors of a chain that was taken back; returns how many. */
  @inline release(head: u32): u32 {
    store<u32>(this.carried + (head << 2), 0);
    const length = load<u32>(this.links + (head << 2)) >> 16;
    let last = head;
    for (let i: u32 = 1; i < length; i++) last = load<u32>(this.links + (last << 2)) & 0xffff;
    store<u32>(this.links + (last << 2), this.free);
    // The head may be the last: its length is overwritten, and given anew with the next chain.
    this.free = head;
    this.room += length;
    return length;
  }

  // ---- Interrupts ------------------------------------------------------------------------

  /** On: the next chain given back interrupts; the caller looks once more after it. */
  setInterrupts(on: bool): void {
    this.interrupting = on;
    this.updateInterrupts();
    if (on) dmaFullBarrier();
  }

  /**
   * Says anew at which count to interrupt, which has to be done now and then where interrupts are off:
   * a count that the device would reach only after thousands of others (2.7.7.1).
   */
  @inline updateInterrupts(): void {
    if (this.eventIndex) {
      const event = this.interrupting ? this.taken : this.taken + 0x7fff;
      dmaWrite16(this.available + RING_HEAD + (this.size << 1), event & 0xffff);
    } else {
      dmaWrite16(this.available, this.interrupting ? 0 : AVAIL_NO_INTERRUPT);
    }
  }
}

/** From the descriptors to the used ring. */
function usedOffset(size: u32): u32 {
  // The available ring ends in used_event.
  const end = (size << DESCRIPTOR_SHIFT) + RING_HEAD + (size << 1) + 2;
  return (end + QUEUE_ALIGN - 1) & ~(QUEUE_ALIGN - 1);
}

/** Bytes of all three parts; the used ring ends in avail_event. */
function queueBytes(size: u32): u32 {
  return usedOffset(size) + RING_HEAD + (size << USED_SHIFT) + 2;
}

/** Names of `Lie`, for log lines. */
export function lieText(lie: u32): string {
  switch (lie) {
    case Lie.Count:
      return "gave back more buffers than it had";
    case Lie.Head:
      return "gave back a buffer that it did not have";
    case Lie.Length:
      return "claims more bytes than the buffer holds";
    default:
      return "claims a packet of an impossible number of buffers";
  }
}
