import { reserve } from "./memory";
import { Owner, Packet, PoolId, poolOf, POOLS } from "./packet";

/**
 * Leases: runs of received bytes that a program holds where they lie (`Owner.Lease`), any number of
 * them at a time, and gives back in any order. The slots are still charged to the connection that
 * they came by, so its window shows what its program holds.
 *
 * A program that never gives anything back must not stop the machine: an eighth of each pool may be on
 * lease, a quarter of the standard pool's share to one socket. What remains is more than the reserves for receive rings,
 * ARP and ACKs, and the pool's thresholds share it out as ever (net/tcp/queues/budget.ts).
 *
 * A lease's number is its place in the table and, above it, how often that place has been used, so
 * the number of one given back names no other for 4,095 reuses of its place.
 */
@unmanaged
export class Lease {
  packet: Packet;
  /** Its number while it is out; its generation alone, in place, while it is free. */
  number: u32;
  /** Number of the socket that it came by; 0 while it is free. */
  socket: u32;
  /** In its socket's list, or the free list. */
  next: Lease | null;
  previous: Lease | null;
}

const INDEX_BITS: u32 = 19;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
const GENERATION_MASK: u32 = 4095;
const LEASE_BYTES: u32 = 32;
/** Of each pool, as a shift: an eighth. */
const SHARE: u32 = 3;

let table: usize = 0;
let capacity: u32 = 0;
let free: Lease | null = null;

/** Makes room for all leases that there may be at a time. Start-up only, after the pools. */
export function leasesInit(): void {
  assert(offsetof<Lease>() <= LEASE_BYTES);
  capacity = 0;
  for (let id: u32 = 0; id < POOLS; id++) capacity += poolOf(id).slots >> SHARE;
  assert(capacity <= INDEX_MASK);
  table = reserve(capacity * LEASE_BYTES, 64);
  free = null;
  for (let i = capacity; i-- > 0;) {
    const lease = changetype<Lease>(table + <usize>(i * LEASE_BYTES));
    lease.number = i;
    lease.next = free;
    free = lease;
  }
}

/** Leases that one socket may hold. */
@inline export function leasesPerSocket(): u32 {
  return max<u32>(poolOf(PoolId.Standard).slots >> (SHARE + 2), 1);
}

/** Whether one more packet of this one's pool may be leased. */
@inline export function leaseAllowed(packet: Packet): bool {
  const pool = poolOf(packet.pool);
  return free !== null && pool.owned(Owner.Lease) < pool.slots >> SHARE;
}

/** Leases a packet to a socket, whose list begins with `head`; `leaseAllowed` has said yes. */
export function leaseTake(packet: Packet, socket: u32, head: Lease | null): Lease {
  const lease = changetype<Lease>(free);
  free = lease.next;
  const generation = ((lease.number >> INDEX_BITS) % GENERATION_MASK) + 1;
  lease.number = (generation << INDEX_BITS) | (lease.number & INDEX_MASK);
  lease.packet = packet;
  lease.socket = socket;
  lease.previous = null;
  lease.next = head;
  if (head !== null) head.previous = lease;
  packet.give(Owner.Lease);
  return lease;
}

/** The lease of this number, or null when it has been given back. */
export function leaseFind(number: u32): Lease | null {
  const index = number & INDEX_MASK;
  if (index >= capacity) return null;
  const lease = changetype<Lease>(table + <usize>(index * LEASE_BYTES));
  return lease.socket && lease.number == number ? lease : null;
}

/** Ends a lease; its packet is the caller's. Returns what the list that began with `head` begins with. */
export function leaseEnd(lease: Lease, head: Lease | null): Lease | null {
  const next = lease.next;
  const previous = lease.previous;
  if (next !== null) next.previous = previous;
  if (previous !== null) previous.next = next;
  lease.socket = 0;
  lease.next = free;
  free = lease;
  return previous === null ? next : head;
}
