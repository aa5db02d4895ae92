import { reserve, reserveUncleared, unreserved } from "./memory";

/**
 * Packet memory: slots of fixed size, each described by one 64-byte `Packet` in a dense array
 * of its own, so that the metadata of a burst shares few cache lines and a device never sees it.
 *
 *     Packet (metadata)                       slot (DMA-able)
 *     ┌──────────────────────────┐            ┌──────────┬───────────────┬─────────┐
 *     │ data ────────────────────┼──────────► │ headroom │ data … length │ tailroom│
 *     │ fragments 0, 1 ──────────┼─► bytes    └──────────┴───────────────┴─────────┘
 *     └──────────────────────────┘   elsewhere: another slot, or static content
 *
 * A packet has one owner at a time; the pool counts packets by owner, so that a leak shows as a
 * number that does not come back. References keep a packet alive while a second party still reads
 * its bytes (retransmission while the NIC owns a descriptor, say).
 */

/** Whether to check what the code around takes for granted: where it runs for each packet. */
const CHECKED: bool = !ASC_NO_ASSERT;

/** Who may touch the packet. */
export const enum Owner {
  Free = 0,
  /** A receive descriptor: the device writes it. */
  NicRx = 1,
  /** The stack: on its way up or down. */
  Stack = 2,
  /** A socket's receive or send queue. */
  Socket = 3,
  /** A program reads it in place. */
  Lease = 4,
  /** A transmit descriptor: the device reads it, nobody edits it. */
  NicTx = 5,
}
export const OWNERS: u32 = 6;

/** Bits of `Packet.flags`. */
export const enum PacketFlag {
  /** The device checked the transport checksum and it was right. */
  TransportChecksumGood = 1,
  /** The device checked the IPv4 header checksum and it was right. */
  NetworkChecksumGood = 2,
  /** Transmit: fill in the 16-bit checksum at `checksumStart + checksumOffset`. */
  ChecksumPending = 4,
  /** Received as link-layer broadcast or multicast. */
  LinkBroadcast = 8,
  LinkMulticast = 16,
  /** `note` is the demultiplexing hash: see net/tcp/foresight.ts. */
  Hashed = 32,
  /** Transmit: what the path does not carry as one IP packet is sent in fragments. */
  Fragmentable = 64,
  /** Transmit, IPv4: routers may fragment it, too. */
  RoutersFragment = 128,
}

/** What an allocation is for; the later ones may drain the pool further. */
export const enum Purpose {
  /** Data that the peer will send again, out of order. Goes first under pressure. */
  OutOfOrder = 0,
  /** Data in order, a program's writes. */
  Data = 1,
  /** ARP, ACK, RST, DHCP: what must go out for memory to come back. */
  Control = 2,
  /** A receive ring's refill: an empty ring is a dead machine. */
  Refill = 3,
}

/** Bytes kept free before `data` in a packet built for sending: Ethernet, IPv6, TCP with options. */
export const HEADROOM: u32 = 128;

/** Most fragments of one packet. */
export const FRAGMENTS: u32 = 2;

/** One run of bytes elsewhere that a packet carries after its own. 12 bytes. */
@unmanaged
export class Fragment {
  address: usize;
  length: u32;
  /** The packet whose slot holds the bytes, referenced until this packet is freed; null for static content. */
  owner: Packet | null;
}


@unmanaged
export class Packet {
  /** Link for whatever list its owner keeps. */
  next: Packet | null;
  /** Address of the first byte of the layer being worked on. */
  data: usize;
  /** Bytes at `data`, without fragments. */
  length: u32;
  owner: u8;
  flags: u8;
  references: u16;
  /** Start of the slot. */
  slot: usize;
  /** From `slot` to the network and the transport header. */
  networkOffset: u16;
  transportOffset: u16;
  /** From `data` at transmit to where checksumming starts, and from there to the field. */
  checksumStart: u16;
  checksumOffset: u16;
  /** Counts the slot's lives, so that a stale handle can be told from a fresh one. */
  generation: u16;
  pool: u8;
  fragmentCount: u8;
  /** Index of the interface it came in by or goes out by. */
  iface: u8;
  /** To send it with: DSCP (RFC 2474, 3) and ECN (RFC 3168, 5). 0 from `allocate`. */
  trafficClass: u8;
  /**
   * For segmentation offload (`Feature.Segmentation`): payload bytes a segment, 0 for none. Such a
   * packet is TCP, its own bytes are the headers that each segment repeats and its
   * fragments the payload; lengths and checksum are as if it were sent whole.
   */
  segmentSize: u16;
  /** The owner's note, such as the sequence number of the first byte. */
  note: u32;
  private fragment0Address: usize;
  private fragment0Length: u32;
  private fragment0Owner: Packet | null;
  private fragment1Address: usize;
  private fragment1Length: u32;
  private fragment1Owner: Packet | null;

  /** Fragment `index`, below `fragmentCount`. */
  @inline fragment(index: u32): Fragment {
    return changetype<Fragment>(
      changetype<usize>(this) +
        offsetof<Packet>("fragment0Address") +
        <usize>index * offsetof<Fragment>(),
    );
  }

  /** End of the slot's own bytes. */
  @inline get end(): usize {
    return this.data + this.length;
  }

  /** Bytes in all, fragments included. */
  @inline get totalLength(): u32 {
    // Not a loop: a compiler that cannot know that there are two at most prepares for many.
    const count = <u32>this.fragmentCount;
    let total = this.length;
    if (count) total += this.fragment0Length;
    if (count > 1) total += this.fragment1Length;
    return total;
  }

  /** Extends the packet by `count` bytes at the front; the headroom must hold them. */
  @inline prepend(count: u32): usize {
    this.data -= count;
    this.length += count;
    if (CHECKED) assert(this.data >= this.slot);
    return this.data;
  }

  /** Drops `count` bytes, at most `length`, from the front. */
  @inline strip(count: u32): void {
    this.data += count;
    this.length -= count;
  }

  /** Room for more bytes at the end. */
  @inline get tailroom(): u32 {
    return <u32>(this.slot + slotSize(this.pool) - this.end);
  }

  /**
   * Adds `length` bytes at `address` behind the packet's own. They stay where they are; if
   * `owner` holds them it is referenced until this packet is freed. At most `FRAGMENTS` of them.
   */
  addFragment(address: usize, length: u32, owner: Packet | null): void {
    if (CHECKED) assert(<u32>this.fragmentCount < FRAGMENTS);
    const fragment = this.fragment(this.fragmentCount);
    fragment.address = address;
    fragment.length = length;
    fragment.owner = owner;
    if (owner !== null) owner.references++;
    this.fragmentCount++;
  }

  /** Takes the last `count` bytes of the fragments away again; they must have as many. */
  trimFragments(count: u32): void {
    while (count) {
      assert(this.fragmentCount > 0);
      const fragment = this.fragment(this.fragmentCount - 1);
      if (fragment.length > count) {
        fragment.length -= count;
        return;
      }
      count -= fragment.length;
      const owner = fragment.owner;
      if (owner !== null) owner.release();
      this.fragmentCount--;
    }
  }

  /** A second party reads the bytes: they stay until it too calls `release`. */
  @inline retain(): void {
    this.references++;
  }

  /** Begins a life with the stack. */
  @inline take(headroom: u32): void {
    this.owner = <u8>Owner.Stack;
    this.flags = 0;
    this.references = 1;
    this.data = this.slot + headroom;
    this.length = 0;
    this.fragmentCount = 0;
    this.trafficClass = 0;
    this.segmentSize = 0;
  }

  /** Changes owners with another packet of the same pool. */
  @inline exchange(other: Packet): void {
    if (CHECKED) assert(this.pool == other.pool);
    const owner = this.owner;
    this.owner = other.owner;
    other.owner = owner;
  }

  /**
   * Moves the packet to another owner. A slot that a device reads while a queue keeps it, to send it
   * again, stays the queue's.
   */
  @inline give(to: Owner): void {
    if (to == Owner.NicTx && this.references > 1) return;
    const pool = poolOf(this.pool);
    pool.count(this.owner, -1);
    pool.count(to, 1);
    this.owner = <u8>to;
  }

  /** Drops a reference; the last one frees the slot and lets go of the fragments' owners. */
  @inline release(): void {
    if (CHECKED) assert(this.references > 0 && this.owner != Owner.Free);
    const left = <u32>this.references - 1;
    this.references = <u16>left;
    if (!left) this.free();
  }

  /** Lets go of the owner of a fragment. */
  @inline private letGo(owner: Packet | null): void {
    if (owner !== null && !--owner.references) owner.free();
  }

  private free(): void {
    const count = <u32>this.fragmentCount;
    if (count) {
      this.letGo(this.fragment0Owner);
      if (count > 1) this.letGo(this.fragment1Owner);
    }
    const pool = poolOf(this.pool);
    pool.count(this.owner, -1);
    pool.count(Owner.Free, 1);
    this.owner = <u8>Owner.Free;
    this.generation++;
    if (CHECKED) memory.fill(this.slot, 0xdb, pool.slotBytes);
    this.next = pool.free;
    pool.free = this;
  }
}

/** Size classes. */
export const enum PoolId {
  /** Headers, pure ACKs, small payloads. */
  Small = 0,
  /** One standard frame. */
  Standard = 1,
  /** One jumbo frame. */
  Jumbo = 2,
  /** One IP packet of any size, before it is fragmented or after it was put together. */
  Large = 3,
}
export const POOLS: u32 = 4;


@unmanaged
export class Pool {
  free: Packet | null;
  slotBytes: u32;
  slots: u32;
  /** Allocations refused since boot. */
  refused: u32;
  /** Fewest packets ever free. */
  lowest: u32;
  /** By `Purpose`: refuse when no more than this many are free. */
  private floor0: u32;
  private floor1: u32;
  private floor2: u32;
  private floor3: u32;
  /** By `Owner`: packets that it has now. */
  private owned0: u32;
  private owned1: u32;
  private owned2: u32;
  private owned3: u32;
  private owned4: u32;
  private owned5: u32;


  @inline floor(purpose: Purpose): u32 {
    return load<u32>(changetype<usize>(this) + ((<usize>purpose) << 2), offsetof<Pool>("floor0"));
  }


  @inline setFloor(purpose: Purpose, packets: u32): void {
    store<u32>(
      changetype<usize>(this) + ((<usize>purpose) << 2),
      packets,
      offsetof<Pool>("floor0"),
    );
  }

  /** Packets that `owner` has now. */
  @inline owned(owner: u32): u32 {
    return load<u32>(changetype<usize>(this) + ((<usize>owner) << 2), offsetof<Pool>("owned0"));
  }


  @inline count(owner: u32, change: i32): void {
    const at = changetype<usize>(this) + ((<usize>owner) << 2);
    store<u32>(at, load<u32>(at, offsetof<Pool>("owned0")) + change, offsetof<Pool>("owned0"));
  }
}

const pools: usize = memory.data(4 * 64, 64);


@inline export function poolOf(id: u32): Pool {
  return changetype<Pool>(pools + ((<usize>id) << 6));
}

/** Bytes of a slot of this pool. */
@inline export function slotSize(id: u32): u32 {
  return poolOf(id).slotBytes;
}

/**
 * Sets up a pool of `slots` slots of `slotBytes` (a multiple of 64), each `stride` bytes behind the one before.
 * Start-up only.
 */
export function poolInit(id: PoolId, slots: u32, slotBytes: u32, stride: u32 = slotBytes): void {
  assert(offsetof<Packet>() == 64 && offsetof<Fragment>() == 12 && offsetof<Pool>() <= 64);
  const pool = poolOf(id);
  const packets = reserve(slots * 64, 64);
  const bytes = reserveUncleared(slots * stride, PAGE);
  memory.fill(changetype<usize>(pool), 0, offsetof<Pool>());
  pool.slotBytes = slotBytes;
  pool.slots = slots;
  pool.lowest = slots;
  pool.setFloor(Purpose.OutOfOrder, slots >> 2);
  pool.setFloor(Purpose.Data, slots >> 3);
  pool.setFloor(Purpose.Control, slots >> 4);
  pool.setFloor(Purpose.Refill, 0);
  for (let i: u32 = slots; i-- > 0;) {
    const packet = changetype<Packet>(packets + <usize>i * 64);
    packet.slot = bytes + <usize>i * stride;
    packet.pool = <u8>id;
    packet.next = pool.free;
    pool.free = packet;
  }
  pool.count(Owner.Free, slots);
}

/**
 * Bytes of a slot: `Small` holds headers with every option, `Jumbo` a 9,000-byte packet with headroom, `Large`
 * an IPv6 header with 65,535 bytes behind it.
 */
const SMALL_SLOT: u32 = 256;
const STANDARD_SLOT: u32 = 2048;
const JUMBO_SLOT: u32 = 9728;
/** The pages that it takes. */
const JUMBO_PAGES: u32 = 12288;
const LARGE_SLOT: u32 = 65728;

/** What may be lent to a guest, in whole pages. */
const PAGE: u32 = 4096;

/** Most slots of a pool, however large the machine. */
const SMALL_MOST: u32 = 65536;
const STANDARD_MOST: u32 = 32768;
const JUMBO_MOST: u32 = 2048;
/** Few datagrams are so large, and a machine that keeps none of them can still put some together. */
const LARGE_LEAST: u32 = 4;
const LARGE_MOST: u32 = 64;

/**
 * Sizes and sets up all pools from the RAM that is left: half of a small machine's, 4 MiB and a
 * quarter of a larger one's, so that connection tables grow with the machine too. In `wholePages` no two
 * slots of packets share a page, so that one can be lent to a guest: half as many fit.
 */
export function poolsInit(wholePages: bool = false): void {
  const left = unreserved();
  const share = min<u32>(left >> 1, (4 << 20) + (left >> 2));
  const large = max<u32>(slotsIn(share >> 5, LARGE_SLOT, LARGE_MOST), LARGE_LEAST);
  const sixteenth = (share - large * (LARGE_SLOT + <u32>offsetof<Packet>())) >> 4;
  poolInit(PoolId.Small, slotsIn(sixteenth * 2, SMALL_SLOT, SMALL_MOST), SMALL_SLOT);
  const standard = wholePages ? PAGE : STANDARD_SLOT;
  const jumbo = wholePages ? JUMBO_PAGES : JUMBO_SLOT;
  const standards = slotsIn(sixteenth * 12, standard, STANDARD_MOST);
  const jumbos = slotsIn(sixteenth * 2, jumbo, JUMBO_MOST);
  poolInit(PoolId.Standard, standards, STANDARD_SLOT, standard);
  poolInit(PoolId.Jumbo, jumbos, JUMBO_SLOT, jumbo);
  poolInit(PoolId.Large, large, LARGE_SLOT);
}

function slotsIn(bytes: u32, slotBytes: u32, most: u32): u32 {
  return min<u32>(bytes / (slotBytes + offsetof<Packet>()), most);
}

/** The smallest size class of which a slot holds `bytes` behind the headroom; for an IP packet there is one. */
@inline export function poolFor(bytes: u32): PoolId {
  const size = bytes + HEADROOM;
  if (size <= slotSize(PoolId.Small)) return PoolId.Small;
  if (size <= slotSize(PoolId.Standard)) return PoolId.Standard;
  return size <= slotSize(PoolId.Jumbo) ? PoolId.Jumbo : PoolId.Large;
}

/**
 * Takes a packet, owned by the stack, with one reference, no bytes, and `data` at `headroom`
 * bytes into its slot. Null when what is left is kept for more urgent purposes.
 */
export function allocate(id: PoolId, purpose: Purpose, headroom: u32): Packet | null {
  const pool = poolOf(id);
  const free = pool.owned(Owner.Free);
  const packet = pool.free;
  if (packet === null || free <= pool.floor(purpose)) {
    pool.refused++;
    return null;
  }
  pool.free = packet.next;
  if (free - 1 < pool.lowest) pool.lowest = free - 1;
  pool.count(Owner.Free, -1);
  pool.count(Owner.Stack, 1);
  packet.next = null;
  packet.take(headroom);
  return packet;
}

/** How many packets `allocateBurst` gave. */
let burst: u32 = 0;


@inline export function burstLength(): u32 {
  return burst;
}

/**
 * `allocate` for a receive ring's refill, up to `count` times: a list by `next`, of `burstLength()` packets
 * that begin at their slots. The pool is looked at once.
 */
export function allocateBurst(id: PoolId, count: u32): Packet | null {
  const pool = poolOf(id);
  const free = pool.owned(Owner.Free);
  const floor = pool.floor(Purpose.Refill);
  const got = min<u32>(count, free > floor ? free - floor : 0);
  burst = got;
  pool.refused += count - got;
  if (!got) return null;
  if (free - got < pool.lowest) pool.lowest = free - got;
  pool.count(Owner.Free, -(<i32>got));
  pool.count(Owner.Stack, got);
  const first = pool.free;
  let packet = changetype<Packet>(first);
  for (let left = got; ; packet = changetype<Packet>(packet.next)) {
    packet.take(0);
    if (!--left) break;
  }
  pool.free = packet.next;
  packet.next = null;
  return first;
}

/** A first-in first-out list of packets, linked by `next`. */
@unmanaged
export class PacketQueue {
  head: Packet | null;
  tail: Packet | null;
  length: u32;


  @inline push(packet: Packet): void {
    packet.next = null;
    const tail = this.tail;
    if (tail === null) this.head = packet;
    else tail.next = packet;
    this.tail = packet;
    this.length++;
  }


  @inline pop(): Packet | null {
    const packet = this.head;
    if (packet !== null) {
      const next = packet.next;
      this.head = next;
      if (next === null) this.tail = null;
      packet.next = null;
      this.length--;
    }
    return packet;
  }

  /** Releases every packet. Cost: its length. */
  clear(): void {
    for (let packet = this.pop(); packet !== null; packet = this.pop()) packet.release();
  }
}
