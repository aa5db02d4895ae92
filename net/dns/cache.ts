import { now } from "../../kernel/clock";
import { reserveUncleared, reserve } from "../../kernel/memory";
import { randomFill } from "../../kernel/random";
import { sipHash } from "../../kernel/siphash";
import { dnsStats } from "./stats";

/**
 * The cache of answers: a ring of entries of any size, and a keyed hash table over them.
 *
 *           tail                                 head
 *     ┌──────┬───────┬─────┬───────────┬─────────┬────────┐
 *     │ free │ entry │ hole│ entry     │ entry   │  free  │
 *     └──────┴───────┴─────┴───────────┴─────────┴────────┘
 *
 * What is new is written at the head; room is made at the tail, where the oldest is. An entry that has been
 * used since it was written moves to the head instead, a bounded number of times for each one that is stored:
 * nearly least-recently-used, without a list, and nothing fragments. Finding costs one probe.
 */

export const enum AnswerKind {
  /** Not in the table: superseded, or the rest of the ring before it begins anew. */
  Hole = 0,
  /** Records. */
  Records = 1,
  /** The name has none of this type (RFC 2308, 2.2). */
  NoData = 2,
  /** There is no such name (RFC 2308, 2.1). */
  NoName = 3,
  /** Nobody could say (RFC 2308, 7; RFC 9520). */
  Failure = 4,
}

/** 32 bytes; then the name, and the data at the next multiple of 8. */
@unmanaged
export class CacheEntry {
  /** Until when it answers: `host.monotonic` ns. */
  expiresAt: u64;
  private next: u32;
  private hash: u32;
  /** Of the whole, a multiple of `UNIT`. */
  private size: u32;
  dataLength: u32;
  private type: u16;
  nameLength: u8;
  /** `AnswerKind`. */
  kind: u8;
  private used: bool;
  /** `Security`. */
  security: u8;
  /** Of a failure, and what is not secure, its `DnsError`; of a name without DS records, 1 for a zone without keys. */
  note: u16;

  /** `nameLength` bytes, in lower case. */
  @inline get name(): usize {
    return changetype<usize>(this) + offsetof<CacheEntry>();
  }

  /** `dataLength` bytes, 8-byte aligned. */
  @inline get data(): usize {
    return (this.name + this.nameLength + 7) & ~(<usize>7);
  }
}

/** Share of the machine's unreserved RAM, as a shift, and bounds, bytes. */
const SHARE: u32 = 8;
const RING_MIN: u32 = 32 << 10;
const RING_MAX: u32 = 4 << 20;
/** Bytes of ring for a bucket of the table. */
const BUCKET_SHARE: u32 = 128;
/** What entries are multiples of: any rest of the ring has room for a hole. */
const UNIT: u32 = 32;
/** Entries that may move to the head for one that is stored. */
const MOVES: u32 = 8;

const key: usize = memory.data(16, 8);
let ring: usize = 0;
let ringBytes: u32 = 0;
let buckets: usize = 0;
let mask: u32 = 0;
/** Offsets in the ring; `used` bytes lie between them. */
let head: u32 = 0;
let tail: u32 = 0;
let used: u32 = 0;

/** Reserves the cache, 1/256 of `bytes` of RAM within bounds. Start-up only. */
export function cacheInit(bytes: u32): void {
  assert(offsetof<CacheEntry>() == UNIT);
  ringBytes = min<u32>(max<u32>(bytes >> SHARE, RING_MIN), RING_MAX) & ~(UNIT - 1);
  ring = reserveUncleared(ringBytes, 8);
  const count = (<u32>1) << (32 - <u32>clz(ringBytes / BUCKET_SHARE - 1));
  buckets = reserve(count * 4, 64);
  mask = count - 1;
  head = 0;
  tail = 0;
  used = 0;
  randomFill(key, 16);
}


@inline function at(offset: u32): CacheEntry {
  return changetype<CacheEntry>(ring + offset);
}

/** Hash of a name in lower case; for `cacheFind` and the table of questions. */
@inline export function nameHash(name: usize, nameLength: u32, type: u32): u32 {
  return (<u32>sipHash(key, name, nameLength)) ^ (type * 0x9e37_79b1);
}


@inline function bucketOf(hash: u32): usize {
  return buckets + ((<usize>(hash & mask)) << 2);
}

/** The entry of this name, in lower case, and type, whether or not its time is over; or null. */
function find(hash: u32, name: usize, nameLength: u32, type: u32): CacheEntry | null {
  let entry = changetype<CacheEntry | null>(<usize>load<u32>(bucketOf(hash)));
  while (entry !== null) {
    if (
      entry.hash == hash &&
      entry.type == type &&
      entry.nameLength == nameLength &&
      memory.compare(entry.name, name, nameLength) == 0
    ) {
      return entry;
    }
    entry = changetype<CacheEntry | null>(<usize>entry.next);
  }
  return null;
}

/** What is known of a name, in lower case, and type now; or null. It stays until `cacheStore`. */
export function cacheFind(hash: u32, name: usize, nameLength: u32, type: u32): CacheEntry | null {
  const entry = find(hash, name, nameLength, type);
  if (entry === null || entry.expiresAt <= now()) return null;
  entry.used = true;
  return entry;
}

/**
 * Stores an answer until `expiresAt`, in place of the one before, and returns it; it stays until the next
 * call. `data` lies outside the cache. Null when it is larger than a quarter of the cache.
 */
export function cacheStore(
  hash: u32,
  name: usize,
  nameLength: u32,
  type: u32,
  kind: AnswerKind,
  expiresAt: u64,
  data: usize,
  dataLength: u32,
): CacheEntry | null {
  const before = find(hash, name, nameLength, type);
  if (before !== null) remove(before);
  const data8 = (<u32>offsetof<CacheEntry>() + nameLength + 7) & ~7;
  const size = (data8 + dataLength + UNIT - 1) & ~(UNIT - 1);
  if (size > ringBytes >> 2) return null;
  const entry = take(size);
  entry.expiresAt = expiresAt;
  entry.hash = hash;
  entry.type = <u16>type;
  entry.nameLength = <u8>nameLength;
  entry.kind = <u8>kind;
  entry.used = false;
  entry.security = 0;
  entry.note = 0;
  entry.dataLength = dataLength;
  memory.copy(entry.name, name, nameLength);
  memory.copy(entry.data, data, dataLength);
  insert(entry);
  dnsStats.entries++;
  return entry;
}

function insert(entry: CacheEntry): void {
  const bucket = bucketOf(entry.hash);
  entry.next = load<u32>(bucket);
  store<u32>(bucket, <u32>changetype<usize>(entry));
}

/** Takes an entry out of the table: it is a hole. */
function remove(entry: CacheEntry): void {
  unlink(entry);
  entry.kind = <u8>AnswerKind.Hole;
  dnsStats.entries--;
}

function unlink(entry: CacheEntry): void {
  let link = bucketOf(entry.hash);
  while (load<u32>(link) != <u32>changetype<usize>(entry)) {
    link = <usize>load<u32>(link) + offsetof<CacheEntry>("next");
  }
  store<u32>(link, entry.next);
}

/** `size` bytes at the head, in one piece. */
function take(size: u32): CacheEntry {
  let moves = MOVES;
  while (true) {
    if (head + size > ringBytes) skip();
    if (ringBytes - used >= size) break;
    const oldest = at(tail);
    const keep =
      oldest.kind != AnswerKind.Hole && oldest.used && moves > 0 && oldest.expiresAt > now();
    const bytes = oldest.size;
    if (!keep) drop(oldest);
    else {
      moves--;
      unlink(oldest);
    }
    tail = tail + bytes == ringBytes ? 0 : tail + bytes;
    used -= bytes;
    if (keep) move(oldest, bytes);
  }
  const entry = at(head);
  claim(entry, size);
  return entry;
}

/** The entry at the tail goes; one whose time is not over counts. */
function drop(entry: CacheEntry): void {
  if (entry.kind == AnswerKind.Hole) return;
  if (entry.expiresAt > now()) dnsStats.evicted++;
  remove(entry);
}

/** What has just left the tail goes to the head, where at least its own bytes are free. */
function move(from: CacheEntry, bytes: u32): void {
  if (head + bytes > ringBytes) {
    // There it does not fit in one piece, and what lies at the ring's beginning is not free.
    dnsStats.entries--;
    dnsStats.evicted++;
    return;
  }
  const to = at(head);
  memory.copy(changetype<usize>(to), changetype<usize>(from), bytes);
  claim(to, bytes);
  to.used = false;
  insert(to);
}


@inline function claim(entry: CacheEntry, size: u32): void {
  entry.size = size;
  head = head + size == ringBytes ? 0 : head + size;
  used += size;
  dnsStats.bytes = used;
}

/** Leaves a hole from the head to the ring's end, and goes on at its beginning. */
function skip(): void {
  const rest = ringBytes - head;
  while (ringBytes - used < rest) {
    const oldest = at(tail);
    const bytes = oldest.size;
    drop(oldest);
    tail = tail + bytes == ringBytes ? 0 : tail + bytes;
    used -= bytes;
  }
  const hole = at(head);
  hole.kind = <u8>AnswerKind.Hole;
  claim(hole, rest);
}
