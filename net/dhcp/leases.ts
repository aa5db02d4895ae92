import { now } from "../../kernel/clock";
import { reserve } from "../../kernel/memory";
import { randomFill } from "../../kernel/random";
import { sipHash } from "../../kernel/siphash";
import { NEVER, TimerNode } from "../../kernel/timer";
import { POOL_ADDRESSES, Fixed, Pool, fixedAt, fixedCount, poolAt, poolCount } from "./pool";
import { dhcpServerStats } from "./stats";

/**
 * The DHCP server's table: a record for each address that it may give, found by client with one probe, by address
 * with none. A free record remembers who had it last, so that a client comes by the same address again
 * (RFC 2131, 4.3.1); a new client gets the one that has been free for longest.
 */

/** Whose an address is. */
export const enum LeaseState {
  Free = 0,
  /** Kept for a client that has been offered it. */
  Offered = 1,
  Bound = 2,
  /** Somebody else seems to have it. */
  Aside = 3,
}

/** 64 bytes. */
@unmanaged
export class Lease extends TimerNode {
  /** Keyed hash of who has it or had it last; 0 for nobody. */
  key: u64;
  mac: u64;
  hashNext: Lease | null;
  /** In the queue of its pool: of free records, or of offered ones. */
  older: Lease | null;
  newer: Lease | null;
  address: u32;
  /** `LeaseState`. */
  state: u32;
  /** Of one station alone: in no queue. */
  fixed: bool;
  pool: u16;
}

/** The two queues of a pool. 24 bytes. */
@unmanaged
class Queues {
  oldestFree: Lease | null;
  newestFree: Lease | null;
  oldestOffer: Lease | null;
  newestOffer: Lease | null;
  offers: u32;
  private spare: u32;
}

const LEASE_BYTES: u32 = 64;
const BUCKETS: u32 = 4096;
/** Of a pool's addresses, how many may wait for clients that have been offered them: a share, and at least so many. */
const OFFERS_SHARE: u32 = 4;
const OFFERS_LEAST: u32 = 4;

const queues: usize = memory.data(8 * 24, 8);
const secret: usize = memory.data(16, 8);
const identity: usize = memory.data(264, 8);
let buckets: usize = 0;


@inline function queuesOf(pool: u32): Queues {
  return changetype<Queues>(queues + <usize>pool * 24);
}


@inline function bucketOf(key: u64): usize {
  return buckets + ((<usize>((<u32>key) & (BUCKETS - 1))) << 2);
}

/** Sets up a record for each address of the pools. Start-up only. */
export function leasesInit(): void {
  assert(offsetof<Lease>() <= LEASE_BYTES && offsetof<Queues>() <= 24);
  assert(POOL_ADDRESSES <= BUCKETS);
  randomFill(secret, 16);
  buckets = reserve(BUCKETS * 4, 64);
  for (let i: u32 = 0; i < poolCount(); i++) {
    const pool = poolAt(i);
    pool.start = reserve(pool.size * LEASE_BYTES, 64);
    for (let j: u32 = 0; j < pool.size; j++) {
      const lease = changetype<Lease>(pool.start + <usize>j * LEASE_BYTES);
      prepare(lease, pool.first + j, i);
    }
  }
  for (let i: u32 = 0; i < fixedCount(); i++) fix(fixedAt(i));
  for (let i: u32 = 0; i < poolCount(); i++) {
    for (let j: u32 = 0, pool = poolAt(i); j < pool.size; j++) {
      const lease = changetype<Lease>(pool.start + <usize>j * LEASE_BYTES);
      if (!lease.fixed) enqueueFree(lease);
    }
  }
}

function prepare(lease: Lease, address: u32, pool: u32): void {
  lease.address = address;
  lease.pool = <u16>pool;
  lease.initOwn(expire);
}

/** Keeps an address for a station: one of the range, or another. */
function fix(given: Fixed): void {
  const pool = poolAt(given.pool);
  let lease = leaseAt(pool, given.address);
  if (lease === null) {
    lease = changetype<Lease>(reserve(LEASE_BYTES, 64));
    prepare(lease, given.address, given.pool);
  }
  lease.fixed = true;
  assign(lease, stationKey(given.pool, given.mac), given.mac);
}

/** The record of an address of a pool's range, or null. */
export function leaseAt(pool: Pool, address: u32): Lease | null {
  if (!pool.holds(address)) return null;
  return changetype<Lease>(pool.start + <usize>(address - pool.first) * LEASE_BYTES);
}

// ---- Clients -------------------------------------------------------------------------------

/** What a client is known by (RFC 2131, 4.2): its identifier, of at most 255 bytes. Never 0. */
export function clientKey(pool: u32, at: usize, length: u32): u64 {
  store<u64>(identity, pool);
  memory.copy(identity + 8, at, length);
  return max<u64>(sipHash(secret, identity, 8 + length), 1);
}

/** The same of one that names none: type and address of its hardware, as most identifiers are. */
export function stationKey(pool: u32, mac: u64): u64 {
  store<u64>(identity, pool);
  store<u8>(identity, 1, 8);
  store<u64>(identity, bswap(mac << 16), 9);
  return max<u64>(sipHash(secret, identity, 8 + 7), 1);
}

/** The record that a client has, or had last, or null. */
export function leaseOf(key: u64): Lease | null {
  let lease = changetype<Lease | null>(load<usize>(bucketOf(key)));
  while (lease !== null && lease.key != key) lease = lease.hashNext;
  return lease;
}

/** Gives a record to a client, in the table. */
function assign(lease: Lease, key: u64, mac: u64): void {
  lease.mac = mac;
  if (lease.key == key) return;
  disown(lease);
  const bucket = bucketOf(key);
  lease.key = key;
  lease.hashNext = changetype<Lease | null>(load<usize>(bucket));
  store<usize>(bucket, changetype<usize>(lease));
}

function disown(lease: Lease): void {
  if (!lease.key) return;
  let link = bucketOf(lease.key);
  while (load<usize>(link) != changetype<usize>(lease)) {
    link = load<usize>(link) + offsetof<Lease>("hashNext");
  }
  store<usize>(link, changetype<usize>(lease.hashNext));
  lease.key = 0;
}

// ---- Queues --------------------------------------------------------------------------------

function enqueueFree(lease: Lease): void {
  const all = queuesOf(lease.pool);
  lease.newer = null;
  lease.older = all.newestFree;
  const last = all.newestFree;
  if (last === null) all.oldestFree = lease;
  else last.newer = lease;
  all.newestFree = lease;
}

function enqueueOffer(lease: Lease): void {
  const all = queuesOf(lease.pool);
  lease.newer = null;
  lease.older = all.newestOffer;
  const last = all.newestOffer;
  if (last === null) all.oldestOffer = lease;
  else last.newer = lease;
  all.newestOffer = lease;
  all.offers++;
}

/** Takes a record from the queue that it is in. */
function dequeue(lease: Lease): void {
  if (lease.fixed || lease.state > <u32>LeaseState.Offered) return;
  const all = queuesOf(lease.pool);
  const older = lease.older;
  const newer = lease.newer;
  const free = lease.state == LeaseState.Free;
  if (older !== null) older.newer = newer;
  else if (free) all.oldestFree = newer;
  else all.oldestOffer = newer;
  if (newer !== null) newer.older = older;
  else if (free) all.newestFree = older;
  else all.newestOffer = older;
  if (!free) all.offers--;
}

// ---- Life ----------------------------------------------------------------------------------

/** The address to offer to a new client of a pool: `wanted` if it is free, else the one free for longest; or null. */
export function leaseTake(pool: Pool, index: u32, wanted: u32): Lease | null {
  const all = queuesOf(index);
  // Offers that nobody took up make room: who only asks keeps few addresses from those who mean it.
  const most = max<u32>(pool.size / OFFERS_SHARE, OFFERS_LEAST);
  const oldest = all.oldestOffer;
  if (oldest !== null && (all.offers >= most || all.oldestFree === null)) leaseFree(oldest);
  const lease = leaseAt(pool, wanted);
  if (lease !== null && !lease.fixed && lease.state == LeaseState.Free) return lease;
  return all.oldestFree;
}

/** Keeps an address for a client for `time` ns, `NEVER` for good, offered or bound. */
export function leaseHold(lease: Lease, state: LeaseState, key: u64, mac: u64, time: u64): void {
  if (state == LeaseState.Bound && lease.state != LeaseState.Bound) dhcpServerStats.leases++;
  // A client that asks once more keeps what it has.
  if (state == LeaseState.Offered && lease.state == LeaseState.Bound) return;
  dequeue(lease);
  if (!lease.fixed) assign(lease, key, mac);
  lease.state = state;
  if (state == LeaseState.Offered && !lease.fixed) enqueueOffer(lease);
  lease.cancel();
  if (time != NEVER) lease.arm(now() + time);
}

/** Has an address to give again. Its client gets it back if it comes before others need it. */
export function leaseFree(lease: Lease): void {
  if (lease.state == LeaseState.Free) return;
  if (lease.state == LeaseState.Bound) dhcpServerStats.leases--;
  dequeue(lease);
  lease.cancel();
  lease.state = LeaseState.Free;
  if (!lease.fixed) enqueueFree(lease);
}

/** Gives an address to nobody for `time` ns: another station has it. */
export function leaseSetAside(lease: Lease, time: u64): void {
  if (lease.state == LeaseState.Bound) dhcpServerStats.leases--;
  dequeue(lease);
  if (!lease.fixed) disown(lease);
  lease.state = LeaseState.Aside;
  lease.arm(now() + time);
}

function expire(node: usize, _time: u64): void {
  const lease = changetype<Lease>(node);
  if (lease.state == LeaseState.Bound) dhcpServerStats.expired++;
  leaseFree(lease);
}
