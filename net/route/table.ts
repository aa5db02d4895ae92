import { Errno } from "../../kernel/errno";
import { POLICY } from "../../kernel/features";
import { reserve, unreserved } from "../../kernel/memory";
import { Interface, interfacesChanged } from "../interface";
import { IpAddress, V4_ANY } from "../wire/address";
import { aheadAdd, aheadFound, aheadKnows } from "./ahead";
import { arraysBytes, arraysInit } from "./arrays";
import { Node, trieExact, trieInit, trieLongest, trieRemove, trieSet } from "./trie";

/**
 * The routing table: both families, longest prefix first (RFC 1812, 5.2.4.3; RFC 4861, 5.2), then the best
 * of that prefix's routes (choose.ts). What has been chosen is kept by destination in net/ip/route.ts, so this table
 * is asked when a destination is new or the network has changed. Beside it, the main one, stand those to which
 * rules lead (rules.ts).
 */

/** Who gave a route. */
export const enum RouteOrigin {
  /** An address of ours: its prefix is on the link. */
  Connected = 0,
  Static = 1,
  Dhcp = 2,
  /** A router advertisement, or the operator in its place: a prefix that is on the link (RFC 4861, 4.6.2). */
  Advertised = 3,
}

/** The metric of what says no other: less is better. */
export const METRIC: u32 = 1024;

/** A way to a prefix. 64 bytes. */
@unmanaged
export class RouteEntry {
  /** The prefix, zeroes behind it. */
  hi: u64;
  lo: u64;
  /** The router's address; unspecified when the prefix is on the link. */
  private gatewayHi: u64;
  private gatewayLo: u64;
  iface: Interface;
  metric: u32;
  /** Bits of the prefix, in its family: 0 to 32, or to 128. */
  length: u8;
  /** `RouteOrigin`. */
  origin: u8;
  isV4: bool;
  /** As `tableNumbered` gave it. */
  table: u8;
  /** The next of the same prefix, in the order in which they came; or the next free place. */
  next: RouteEntry | null;
  private sourceHi: u64;
  private sourceLo: u64;


  @inline get gateway(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<RouteEntry>("gatewayHi"));
  }

  /** What we send from by it, if it is ours (`ip route … src`); unspecified: what befits its link. */
  @inline get source(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<RouteEntry>("sourceHi"));
  }
}

const ENTRY: u32 = 64;
/** One route in so much memory, unless the machine is told how many. */
const SHARE: u32 = 64 << 10;
const LEAST: u32 = 256;
/**
 * Bytes of the trie's arrays a route. Full tables of IPv4 take some 100, since prefixes share nodes; a prefix
 * of IPv6 far from all others takes twice as much as this.
 */
const TRIE: u32 = 192;
/** What a table of few routes wants, which share nothing. */
const TRIE_LEAST: u32 = 32 << 10;

let entries: usize = 0;
let capacity: u32 = 0;
let free: RouteEntry | null = null;
const everything = changetype<IpAddress>(memory.data(16, 8));
/** The tables' roots, IPv4's and IPv6's of each. */
const roots: usize = memory.data(33 * 64, 8);

/** Number of the main table, which is the first: Linux's RT_TABLE_MAIN. */
export const TABLE_MAIN: u32 = 254;
const TABLES: u32 = 33;
/** The tables' numbers, in the order in which they were first named. */
const numbers: usize = memory.data(33 * 4, 4);
let tables: u32 = 1;

/** Forgets all tables but the main one, which must be empty of routes. Start-up only. */
export function tablesClear(): void {
  tables = 1;
  store<u32>(numbers, TABLE_MAIN);
}

/** Which table has this number, 0 for the main one; -1 when there are too many. */
export function tableNumbered(number: u32): i32 {
  for (let i: u32 = 0; i < tables; i++) if (load<u32>(numbers + (i << 2)) == number) return i;
  if (tables == TABLES) return -1;
  store<u32>(numbers + (tables << 2), number);
  return tables++;
}

/** Makes room for `most` routes, if they fit into a quarter of memory; 0: as many as befits the machine. Start-up only. */
export function routesInit(most: u32): void {
  assert(offsetof<RouteEntry>() <= <usize>ENTRY);
  const fit = (unreserved() >> 2) / (ENTRY + TRIE);
  capacity = most ? min<u32>(most, fit) : max<u32>(unreserved() / SHARE, LEAST);
  entries = reserve(capacity * ENTRY, 64);
  for (let i = capacity; i-- > 0;) {
    const entry = changetype<RouteEntry>(entries + i * ENTRY);
    entry.next = free;
    free = entry;
  }
  const blocks = (capacity * TRIE + TRIE_LEAST) >> 11;
  trieInit();
  arraysInit(reserve(arraysBytes(blocks), 32), blocks);
}


@inline function rootOf(v4: bool, table: u32): Node {
  const at = roots + (v4 ? 0 : 32);
  return changetype<Node>(POLICY ? at + (table << 6) : at);
}

/** An address as the trie's key: its first bits first. */
@inline function keyHi(v4: bool, hi: u64, lo: u64): u64 {
  return v4 ? lo << 32 : hi;
}


@inline function keyLo(v4: bool, lo: u64): u64 {
  return v4 ? 0 : lo;
}

/** `bits` with everything behind the first `length` zero. */
@inline export function masked(bits: u64, length: i32): u64 {
  return length <= 0 ? 0 : length >= 64 ? bits : bits & ~(u64.MAX_VALUE >> length);
}

/**
 * Adds a route to the first `length` bits of `prefix`, by `gateway` or, when that is unspecified, to stations
 * on the link; to a table, and with a source to send from, if need be. 0, -EEXIST if it is there with this
 * metric, or -ENOBUFS when there is no room. Cost: the routes of the same prefix.
 */
export function routeAdd(
  prefix: IpAddress,
  length: u32,
  gateway: IpAddress | null,
  iface: Interface,
  metric: u32,
  origin: RouteOrigin,
  table: u32 = 0,
  source: IpAddress | null = null,
): i32 {
  const v4 = prefix.isV4;
  const hi = masked(keyHi(v4, prefix.hi, prefix.lo), length);
  const lo = masked(keyLo(v4, prefix.lo), <i32>length - 64);
  const root = rootOf(v4, table);
  let last: RouteEntry | null = null;
  let other = changetype<RouteEntry | null>(trieExact(root, hi, lo, length));
  while (other !== null) {
    if (other.iface == iface && other.metric == metric && isBy(other, gateway)) {
      return -Errno.EEXIST;
    }
    last = other;
    other = other.next;
  }
  const entry = free;
  if (entry === null) return -Errno.ENOBUFS;
  if (last === null && !trieSet(root, hi, lo, length, <u32>changetype<usize>(entry))) {
    return -Errno.ENOBUFS;
  }
  if (last !== null) last.next = entry;
  free = entry.next;
  entry.next = null;
  entry.hi = hi;
  entry.lo = lo;
  if (gateway === null) entry.gateway.set(0, 0);
  else entry.gateway.copy(gateway);
  entry.iface = iface;
  entry.metric = metric;
  entry.length = <u8>length;
  entry.origin = <u8>origin;
  entry.isV4 = v4;
  if (POLICY) {
    entry.table = <u8>table;
    if (source === null) entry.source.set(0, 0);
    else entry.source.copy(source);
  }
  interfacesChanged();
  return 0;
}

/** Adds a default route by `gateway`, as `routeAdd`. */
export function defaultAdd(iface: Interface, gateway: IpAddress, origin: RouteOrigin): i32 {
  everything.set(0, gateway.isV4 ? V4_ANY : 0);
  return routeAdd(everything, 0, gateway, iface, METRIC + iface.index, origin);
}

/** Takes away what `defaultAdd` added with these. */
export function defaultRemove(iface: Interface, gateway: IpAddress, origin: RouteOrigin): void {
  everything.set(0, gateway.isV4 ? V4_ANY : 0);
  routeRemove(everything, 0, gateway, iface, origin);
}

/** Whether a route goes by this router. */
@inline function isBy(entry: RouteEntry, gateway: IpAddress | null): bool {
  return gateway === null ? entry.gateway.isAny : entry.gateway.equals(gateway);
}

/** Takes away what `routeAdd` added with these; false if there is none. Cost: the routes of the same prefix. */
export function routeRemove(
  prefix: IpAddress,
  length: u32,
  gateway: IpAddress | null,
  iface: Interface,
  origin: RouteOrigin,
  table: u32 = 0,
): bool {
  const v4 = prefix.isV4;
  const hi = masked(keyHi(v4, prefix.hi, prefix.lo), length);
  const lo = masked(keyLo(v4, prefix.lo), <i32>length - 64);
  let entry = changetype<RouteEntry | null>(trieExact(rootOf(v4, table), hi, lo, length));
  while (entry !== null) {
    if (entry.iface == iface && entry.origin == <u8>origin && isBy(entry, gateway)) {
      drop(entry);
      return true;
    }
    entry = entry.next;
  }
  return false;
}

/** Takes away all routes of an interface that this origin gave. Cost: the table. */
export function routesRemove(iface: Interface, origin: RouteOrigin): void {
  for (let i: u32 = 0; i < capacity; i++) {
    const entry = changetype<RouteEntry>(entries + i * ENTRY);
    if (entry.iface == iface && entry.origin == <u8>origin) drop(entry);
  }
}

function drop(entry: RouteEntry): void {
  const root = rootOf(entry.isV4, entry.table);
  const first = changetype<RouteEntry>(trieExact(root, entry.hi, entry.lo, entry.length));
  const next = entry.next;
  if (first != entry) {
    let before = first;
    while (before.next != entry) before = before.next!;
    before.next = next;
  } else if (next !== null) {
    trieSet(root, entry.hi, entry.lo, entry.length, <u32>changetype<usize>(next));
  } else {
    trieRemove(root, entry.hi, entry.lo, entry.length);
  }
  memory.fill(changetype<usize>(entry), 0, ENTRY);
  entry.next = free;
  free = entry;
  interfacesChanged();
}

/**
 * The first route of a table to the longest prefix that an address is in, with the others behind it; or null. Cost:
 * a node for six bits of the prefix.
 */
export function routesTo(hi: u64, lo: u64, v4: bool, table: u32): RouteEntry | null {
  const root = rootOf(v4, table);
  const from = keyHi(v4, hi, lo);
  const behind = keyLo(v4, lo);
  const known = aheadKnows(root, from, behind);
  const found = known ? aheadFound() : trieLongest(root, from, behind, 128);
  return changetype<RouteEntry | null>(<usize>found);
}

/** `routesTo` is about to be asked for this address in the main table: the next `aheadRun` looks it up. */
export function routesForesee(hi: u64, lo: u64, v4: bool): void {
  aheadAdd(rootOf(v4, 0), keyHi(v4, hi, lo), keyLo(v4, lo));
}
