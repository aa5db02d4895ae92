import { Inode } from "./inode";
import { PAGE, PAGE_SHIFT, Volume } from "./volume";

/**
 * Where a file's bytes lie: pages by their place in the file, in a tree of tables of 1,024 page numbers
 * each that is as high as the file is long, two at most. 0 in a table is a hole, which reads as zeroes
 * and takes no memory. Any byte is found in three loads.
 */

const FANOUT_BITS: u32 = 10;
const FANOUT: u32 = 1 << FANOUT_BITS;
const HEIGHT_MOST: u32 = 2;
/** Bytes that a file can have. */
export const FILE_MOST: u64 = (<u64>1) << (HEIGHT_MOST * FANOUT_BITS + PAGE_SHIFT);


@inline function slotOf(volume: Volume, table: u32, index: u32, height: u32): usize {
  const place = (index >> ((height - 1) * FANOUT_BITS)) & (FANOUT - 1);
  return volume.page(table) + ((<usize>place) << 2);
}

/** Pages that a tree of this height has places for. */
@inline function reach(height: u32): u32 {
  return 1 << (height * FANOUT_BITS);
}

/** The page at `index` of a file, or 0 for a hole. */
export function blockFind(volume: Volume, inode: Inode, index: u32): u32 {
  let height: u32 = inode.height;
  let page = inode.top;
  if (index >= reach(height)) return 0;
  for (; height && page; height--) page = load<u32>(slotOf(volume, page, index, height));
  return page;
}

/**
 * The same, with a page put into a hole: 0 when the volume is full. `cleared` is for one of which not
 * all will be written. Whatever has become of it, `blocksCut` gives everything back.
 */
export function blockMake(volume: Volume, inode: Inode, index: u32, cleared: bool): u32 {
  while (index >= reach(inode.height)) {
    if (inode.top) {
      const table = volume.takeCleared();
      if (!table) return 0;
      store<u32>(volume.page(table), inode.top);
      inode.top = table;
    }
    inode.height++;
  }
  let slot = changetype<usize>(inode) + offsetof<Inode>("top");
  for (let height: u32 = inode.height; height; height--) {
    let table = load<u32>(slot);
    if (!table) {
      table = volume.takeCleared();
      if (!table) return 0;
      store<u32>(slot, table);
    }
    slot = slotOf(volume, table, index, height);
  }
  let page = load<u32>(slot);
  if (!page) {
    page = cleared ? volume.takeCleared() : volume.take();
    store<u32>(slot, page);
  }
  return page;
}

/** Gives back the pages from `index` on. Cost: what there is of them, and a look at each place in a table. */
export function blocksCut(volume: Volume, inode: Inode, index: u32): void {
  if (inode.top && cut(volume, inode.top, inode.height, index)) inode.top = 0;
  if (!inode.top) inode.height = 0;
}

/** Cuts what is below `page`, of this height, from `index` of it on; true if nothing is left, nor itself. */
function cut(volume: Volume, page: u32, height: u32, index: u32): bool {
  if (height) {
    const each = reach(height - 1);
    const first = index / each;
    for (let place = first; place < FANOUT; place++) {
      const slot = volume.page(page) + ((<usize>place) << 2);
      const below = load<u32>(slot);
      const from = place == first ? index - first * each : 0;
      if (below && cut(volume, below, height - 1, from)) store<u32>(slot, 0);
    }
  }
  if (index) return false;
  volume.give(page);
  return true;
}

/** Address of byte `offset` of a file, up to the end of its page; 0 in a hole. */
export function blockAt(volume: Volume, inode: Inode, offset: u64): usize {
  const page = blockFind(volume, inode, <u32>(offset >> PAGE_SHIFT));
  return page ? volume.page(page) + ((<u32>offset) & (PAGE - 1)) : 0;
}

/** Copies `length` bytes at `offset`, all of them within the file, to `into`. */
export function blocksRead(
  volume: Volume,
  inode: Inode,
  offset: u64,
  into: usize,
  length: u32,
): void {
  while (length) {
    const within = (<u32>offset) & (PAGE - 1);
    const part = min<u32>(length, PAGE - within);
    const page = blockFind(volume, inode, <u32>(offset >> PAGE_SHIFT));
    if (page) memory.copy(into, volume.page(page) + within, part);
    else memory.fill(into, 0, part);
    into += part;
    offset += part;
    length -= part;
  }
}

/**
 * Copies `length` bytes to `offset`, which with them is at most `FILE_MOST`: how many found room. The
 * file's size is the caller's.
 */
export function blocksWrite(
  volume: Volume,
  inode: Inode,
  offset: u64,
  from: usize,
  length: u32,
): u32 {
  let written: u32 = 0;
  while (written < length) {
    const within = (<u32>offset) & (PAGE - 1);
    const part = min<u32>(length - written, PAGE - within);
    const page = blockMake(volume, inode, <u32>(offset >> PAGE_SHIFT), part < PAGE);
    if (!page) break;
    memory.copy(volume.page(page) + within, from + written, part);
    written += part;
    offset += part;
  }
  return written;
}

/** Makes what lies in its last page behind the first `size` bytes of a file zeroes again. */
export function blocksClearTail(volume: Volume, inode: Inode, size: u64): void {
  const within = (<u32>size) & (PAGE - 1);
  if (!within) return;
  const page = blockFind(volume, inode, <u32>(size >> PAGE_SHIFT));
  if (page) memory.fill(volume.page(page) + within, 0, PAGE - within);
}
