import { addressHash } from "../hash";

/**
 * The sources that filters of groups name (RFC 3376, 3; RFC 3810, 4): those of an endpoint's membership, and those of
 * an interface's group, which is what all memberships come to (net/ip/groups.ts). Each filter has its own in a list,
 * in the order in which they were named, and all are in one hash table: whether a filter names a source costs one look
 * however many it names.
 */

/** A source that a filter names. 40 bytes. */
@unmanaged
export class Source {
  hi: u64;
  lo: u64;
  /** The address of the filter: a membership or a group. */
  filter: usize;
  /** Next with the same hash, or next free one. */
  hashNext: Source | null;
  /** Next of the filter. */
  next: Source | null;
  /** Of a group: the endpoints that want it, and that want all but it and others. */
  including: u16;
  excluding: u16;
  /** Of a group: it is in the list of the interface's state. */
  listed: bool;
  /** Of a group: a pending query asks for it. */
  asked: bool;
  /** Of a group: changes still to be reported. */
  reportsLeft: u8;
}

const SOURCES_MAX: u32 = 2048;
const BUCKETS: u32 = 1024;
const SOURCE: u32 = 40;
const records: usize = memory.data(2048 * 40, 8);
const buckets: usize = memory.data(1024 * 4, 8);
/** Those never used yet begin here; those given back are in a list. */
let unused: u32 = 0;
let free: Source | null = null;
let taken: u32 = 0;


@inline function bucketOf(filter: usize, hi: u64, lo: u64): usize {
  return buckets + ((<usize>(addressHash(hi, lo, <u32>filter) & (BUCKETS - 1))) << 2);
}

/** How many more there is room for. */
@inline export function sourcesLeft(): u32 {
  return SOURCES_MAX - taken;
}

/** The source of this address that a filter names, or null. */
export function sourceFind(filter: usize, hi: u64, lo: u64): Source | null {
  let s = changetype<Source | null>(load<usize>(bucketOf(filter, hi, lo)));
  while (s !== null && (s.lo != lo || s.hi != hi || s.filter != filter)) s = s.hashNext;
  return s;
}

/** Names another source at the end of a filter's list, which begins at `head`; there must be room. */
export function sourceAdd(filter: usize, head: usize, hi: u64, lo: u64): Source {
  assert(taken < SOURCES_MAX);
  taken++;
  const again = free;
  if (again !== null) free = again.hashNext;
  const s = again !== null ? again : changetype<Source>(records + <usize>(unused++ * SOURCE));
  memory.fill(changetype<usize>(s), 0, SOURCE);
  s.hi = hi;
  s.lo = lo;
  s.filter = filter;
  const bucket = bucketOf(filter, hi, lo);
  s.hashNext = changetype<Source | null>(load<usize>(bucket));
  store<usize>(bucket, changetype<usize>(s));
  while (load<usize>(head)) head = load<usize>(head) + offsetof<Source>("next");
  store<usize>(head, changetype<usize>(s));
  return s;
}

/** Takes a source out of its filter's list, in which `link` points to it. */
export function sourceRemove(link: usize): void {
  const s = changetype<Source>(load<usize>(link));
  store<usize>(link, changetype<usize>(s.next));
  let at = bucketOf(s.filter, s.hi, s.lo);
  while (load<usize>(at) != changetype<usize>(s)) {
    at = load<usize>(at) + offsetof<Source>("hashNext");
  }
  store<usize>(at, changetype<usize>(s.hashNext));
  s.hashNext = free;
  free = s;
  taken--;
}

/** Start-up only. */
export function sourcesInit(): void {
  assert(offsetof<Source>() <= SOURCE);
}
