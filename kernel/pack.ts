import { error } from "./log";

/**
 * The file pack: static files in memory, found by path in O(1) and served where they lie. Made by
 * tools/pack, whose head describes the format. It is checked once; after that every accessor is
 * one load and cannot fail.
 */

const MAGIC: u32 = 0x4b50_4b53;
const VERSION: u32 = 1;
const HEADER_BYTES: u32 = 64;
const ENTRY_BYTES: u32 = 48;

/** Bits of `PackEntry.flags`. */
export const enum PackFlag {
  /** The body is the location to go to instead. */
  Redirect = 1,
}


@unmanaged
class Header {
  magic: u32;
  version: u32;
  length: u32;
  check: u32;
  entries: u32;
  slots: u32;
  tableAt: u32;
  entriesAt: u32;
  stringsAt: u32;
  bodiesAt: u32;
}

/** One path of the pack. */
@unmanaged
export class PackEntry {
  hash: u32;
  private pathAt: u32;
  pathLength: u16;
  /** `PackFlag` bits. */
  flags: u16;
  private bodyAt: u32;
  bodyLength: u32;
  private typeAt: u32;
  /** Media type as in Content-Type; 0 for none. */
  typeLength: u16;
  /** Strong entity tag with its quotes. */
  tagLength: u16;
  private tagAt: u32;
  /** Last change: seconds since 1970. */
  modified: u64;
  private reserved: u64;


  @inline get path(): usize {
    return base + this.pathAt;
  }


  @inline get body(): usize {
    return base + this.bodyAt;
  }


  @inline get type(): usize {
    return base + this.typeAt;
  }


  @inline get tag(): usize {
    return base + this.tagAt;
  }

  /** Whether every field points into the pack. */
  valid(header: Header): bool {
    return (
      spans(this.pathAt, this.pathLength, header.stringsAt, header.bodiesAt) &&
      spans(this.typeAt, this.typeLength, header.stringsAt, header.bodiesAt) &&
      spans(this.tagAt, this.tagLength, header.stringsAt, header.bodiesAt) &&
      spans(this.bodyAt, this.bodyLength, header.bodiesAt, header.length) &&
      this.hash == fnv1a(this.path, this.pathLength)
    );
  }
}

let base: usize = 0;
let entries: usize = 0;
let table: usize = 0;
let count: u32 = 0;
let mask: u32 = 0;

/** FNV-1a, 32 bits. */
export function fnv1a(at: usize, length: u32): u32 {
  let hash: u32 = 0x811c_9dc5;
  for (let end = at + length; at < end; at++) hash = (hash ^ load<u8>(at)) * 0x0100_0193;
  return hash;
}

/** Whether `length` bytes at `at` lie within [`from`, `to`). */
@inline function spans(at: u32, length: u32, from: u32, to: u32): bool {
  return at >= from && at <= to && length <= to - at;
}

/** Whether `count` items of `bytes` at `at` lie within [`from`, `to`); no product overflows. */
@inline function holds(at: u32, count: u32, bytes: u32, from: u32, to: u32): bool {
  return at >= from && at <= to && count <= (to - at) / bytes;
}

/** What is wrong with the pack's frame, or null. */
function frameFault(header: Header, length: u32): string | null {
  if (length < HEADER_BYTES || header.magic != MAGIC) return "it is not a file pack";
  if (header.version != VERSION) return "it was made for another version of this kernel";
  if (header.length > length) return "it is cut short";
  const slots = header.slots;
  if (
    !spans(header.bodiesAt, 0, HEADER_BYTES, header.length) ||
    !spans(header.stringsAt, 0, HEADER_BYTES, header.bodiesAt) ||
    !slots ||
    slots & (slots - 1) ||
    header.entries >= slots ||
    (header.tableAt | header.entriesAt) & 3 ||
    !holds(header.tableAt, slots, 4, HEADER_BYTES, header.stringsAt) ||
    !holds(header.entriesAt, header.entries, ENTRY_BYTES, HEADER_BYTES, header.stringsAt)
  ) {
    return "its index points outside it";
  }
  const at = changetype<usize>(header);
  if (fnv1a(at + 16, header.bodiesAt - 16) != header.check) return "its index is damaged";
  return null;
}

/** What is wrong with the index, or null. */
function indexFault(header: Header): string | null {
  for (let i: u32 = 0; i < header.entries; i++) {
    if (!packEntry(i).valid(header)) return "an entry points outside it";
  }
  let used: u32 = 0;
  for (let slot: u32 = 0; slot < header.slots; slot++) {
    const index = load<u32>(table + ((<usize>slot) << 2));
    if (index > header.entries) return "its table names an entry that is not there";
    if (index) used++;
  }
  // A free slot ends every search.
  return used == header.entries ? null : "its table and its entries disagree";
}

/**
 * Opens the pack of `length` bytes at `at`, 8-byte aligned. A bad one is reported on the console
 * and then counts as empty: false. The pack must not change afterwards.
 */
export function packOpen(at: usize, length: u32): bool {
  const header = changetype<Header>(at);
  count = 0;
  mask = 0;
  let fault = frameFault(header, length);
  if (fault === null) {
    base = at;
    table = at + header.tableAt;
    entries = at + header.entriesAt;
    fault = indexFault(header);
  }
  if (fault !== null) {
    error("pack").text("the file pack is refused: ").text(fault).key("bytes").number(length).end();
    return false;
  }
  count = header.entries;
  mask = header.slots - 1;
  return true;
}

/** Paths in the pack. */
@inline export function packCount(): u32 {
  return count;
}

/** Entry `index`, below `packCount()`, in order of path. */
@inline export function packEntry(index: u32): PackEntry {
  return changetype<PackEntry>(entries + <usize>index * ENTRY_BYTES);
}

/** Number of the entry for a decoded path, or -1. */
export function packFind(path: usize, length: u32): i32 {
  if (!count) return -1;
  const hash = fnv1a(path, length);
  let slot = hash & mask;
  while (true) {
    const index = load<u32>(table + ((<usize>slot) << 2));
    if (!index) return -1;
    const entry = packEntry(index - 1);
    if (
      entry.hash == hash &&
      entry.pathLength == length &&
      memory.compare(entry.path, path, length) == 0
    ) {
      return index - 1;
    }
    slot = (slot + 1) & mask;
  }
}
