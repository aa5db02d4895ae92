import { PAGE, PAGE_SHIFT, Volume } from "./volume";

/**
 * Pages cut into slots of one size, for inodes and names. Pages with room stand in a list, so a slot is
 * taken and given back at the same cost however many there are. A slot's number is its page's and, in
 * the lowest five bits, its place there, 1 to 31; 0 is none.
 */

/** At a page's start. */
@unmanaged
class SlabPage {
  /** Slots in use. */
  used: u16;
  /** Slots from here on, counted from 0, have never been used. */
  fresh: u16;
  /** Place of the first free slot below that; 0 for none. */
  free: u16;
  private spare: u16;
  /** Links of the list of pages with room. */
  next: u32;
  previous: u32;
  /** Whatever the owner keeps with it. */
  mark: u32;
}

const PLACE_BITS: u32 = 5;
const PLACE_MASK: u32 = 31;

/** Page of a slot. */
@inline export function slabPage(slot: u32): u32 {
  return slot >> PLACE_BITS;
}

/** The slot of a page that has `count` of `bytes` each, by its place. */
@inline export function slabAt(volume: Volume, slot: u32, count: u32, bytes: u32): usize {
  return volume.page(slot >> PLACE_BITS) + (PAGE - (count + 1 - (slot & PLACE_MASK)) * bytes);
}

/** The slot of `page` by its place, from 0. */
@inline export function slabSlot(page: u32, place: u32): u32 {
  return (page << PLACE_BITS) | (place + 1);
}


@inline function pageOf(volume: Volume, page: u32): SlabPage {
  return changetype<SlabPage>(volume.page(page));
}

/** Slots of a page in use. */
@inline export function slabUsed(volume: Volume, page: u32): u32 {
  return pageOf(volume, page).used;
}

/** Slots of a page that have ever been in use: those from here on hold nothing. */
@inline export function slabFresh(volume: Volume, page: u32): u32 {
  return pageOf(volume, page).fresh;
}

/** What `slabAdd` was told of a page. */
@inline export function slabMark(volume: Volume, page: u32): u32 {
  return pageOf(volume, page).mark;
}

/** Puts a page without any slot in use at the front of the list that begins at `head`, a u32. */
export function slabAdd(volume: Volume, head: usize, page: u32, mark: u32): void {
  const slab = pageOf(volume, page);
  slab.used = 0;
  slab.fresh = 0;
  slab.free = 0;
  slab.mark = mark;
  link(volume, head, page);
}

function link(volume: Volume, head: usize, page: u32): void {
  const slab = pageOf(volume, page);
  const first = load<u32>(head);
  slab.next = first;
  slab.previous = 0;
  if (first) pageOf(volume, first).previous = page;
  store<u32>(head, page);
}

/** Takes a page, of which a slot at least is free, out of the list. */
export function slabUnlink(volume: Volume, head: usize, page: u32): void {
  const slab = pageOf(volume, page);
  if (slab.previous) pageOf(volume, slab.previous).next = slab.next;
  else store<u32>(head, slab.next);
  if (slab.next) pageOf(volume, slab.next).previous = slab.previous;
}

/** A slot of the first page in the list, zeroed; 0 when the list is empty. */
export function slabTake(volume: Volume, head: usize, count: u32, bytes: u32): u32 {
  const page = load<u32>(head);
  if (!page) return 0;
  const slab = pageOf(volume, page);
  let slot: u32;
  let at: usize;
  if (slab.free) {
    slot = (page << PLACE_BITS) | slab.free;
    at = slabAt(volume, slot, count, bytes);
    slab.free = load<u16>(at);
  } else {
    slot = slabSlot(page, slab.fresh++);
    at = slabAt(volume, slot, count, bytes);
  }
  memory.fill(at, 0, bytes);
  if (++slab.used == <u16>count) slabUnlink(volume, head, page);
  return slot;
}

/** Gives a slot back, zeroed but for its first word. True if its page has none in use now. */
export function slabGive(volume: Volume, head: usize, slot: u32, count: u32, bytes: u32): bool {
  const page = slabPage(slot);
  const slab = pageOf(volume, page);
  const at = slabAt(volume, slot, count, bytes);
  memory.fill(at, 0, bytes);
  store<u32>(at, slab.free);
  slab.free = <u16>(slot & PLACE_MASK);
  if (slab.used == <u16>count) link(volume, head, page);
  return --slab.used == 0;
}
