/**
 * The memory of the routing trie: arrays of 32 to 2,048 bytes, each a power of two, out of one reservation
 * that never grows (buddy allocation: Knuth, TAOCP 1, 2.5). What is given back joins its other half
 * again, so no order of additions and removals wears the memory out. Taking and giving back cost a few
 * steps whatever the table's size.
 */

const UNIT: u32 = 32;
/** log2 of the units in a block, which is what has no other half. */
const ORDERS: u32 = 6;
const BLOCK: u32 = UNIT << ORDERS;

/** What a free array holds: its neighbours in the list of its order. */
@unmanaged
class Free {
  next: Free | null;
  previous: Free | null;
}

/**
 * Which arrays of a block are free, as a tree: node 1 is the block, and 2n and 2n + 1 are node n's halves.
 * 16 bytes.
 */
@unmanaged
class Halves {
  low: u64;
  high: u64;


  @inline isFree(node: u32): bool {
    return (((node & 64 ? this.high : this.low) >> (node & 63)) & 1) != 0;
  }


  @inline flip(node: u32): void {
    if (node & 64) this.high ^= (<u64>1) << (node & 63);
    else this.low ^= (<u64>1) << (node & 63);
  }
}

let base: usize = 0;
let blocks: u32 = 0;
let used: u32 = 0;
/** Of each block: its `Halves`. */
let halves: usize = 0;
/** By order: the first free array. */
const lists: usize = memory.data(7 * 4, 4);

/** Bytes that `count` blocks want: the blocks, then what is known of them. */
@inline export function arraysBytes(count: u32): u32 {
  return count * (BLOCK + 16);
}

/** Takes over `count` blocks at `memory`, which is zeroed and aligned to 32. */
export function arraysInit(memory: usize, count: u32): void {
  base = memory;
  blocks = count;
  used = 0;
  halves = memory + count * BLOCK;
  for (let order: u32 = 0; order <= ORDERS; order++) store<usize>(lists + (order << 2), 0);
  for (let i: u32 = count; i-- > 0;) insert(memory + i * BLOCK, ORDERS);
}

/** Bytes that arrays take up. */
@inline export function arraysUsed(): u32 {
  return used;
}


@inline function halvesOf(at: usize): Halves {
  return changetype<Halves>(halves + ((<u32>(at - base) / BLOCK) << 4));
}

/** The node of the array at `at` of this order, in its block. */
@inline function nodeOf(at: usize, order: u32): u32 {
  const inBlock = <u32>(at - base) % BLOCK;
  return (1 << (ORDERS - order)) + inBlock / (UNIT << order);
}

function insert(at: usize, order: u32): void {
  const free = changetype<Free>(at);
  const list = lists + (order << 2);
  const first = changetype<Free | null>(load<usize>(list));
  free.next = first;
  free.previous = null;
  if (first !== null) first.previous = free;
  store<usize>(list, at);
  halvesOf(at).flip(nodeOf(at, order));
}

function remove(at: usize, order: u32): void {
  const free = changetype<Free>(at);
  const next = free.next;
  const previous = free.previous;
  if (next !== null) next.previous = previous;
  if (previous !== null) previous.next = next;
  else store<usize>(lists + (order << 2), changetype<usize>(next));
  halvesOf(at).flip(nodeOf(at, order));
}

/** The order of an array of `bytes`, 1 to 2,048. */
@inline function orderOf(bytes: u32): u32 {
  return bytes <= UNIT ? 0 : 32 - clz<u32>((bytes - 1) / UNIT);
}

/** Bytes that an array asked for with `bytes` really has. */
@inline export function arrayCapacity(bytes: u32): u32 {
  return bytes ? UNIT << orderOf(bytes) : 0;
}

/** An array of at least `bytes`, 1 to 2,048, not cleared; 0 when there is no room. */
export function arrayTake(bytes: u32): usize {
  const order = orderOf(bytes);
  let from = order;
  while (from <= ORDERS && !load<usize>(lists + (from << 2))) from++;
  if (from > ORDERS) return 0;
  const at = load<usize>(lists + (from << 2));
  remove(at, from);
  while (from > order) {
    from--;
    insert(at + (UNIT << from), from);
  }
  used += UNIT << order;
  return at;
}

/** Gives back the array that `bytes` got. */
export function arrayGive(at: usize, bytes: u32): void {
  let order = orderOf(bytes);
  used -= UNIT << order;
  while (order < ORDERS && halvesOf(at).isFree(nodeOf(at, order) ^ 1)) {
    const other = base + ((at - base) ^ (UNIT << order));
    remove(other, order);
    at = min<usize>(at, other);
    order++;
  }
  insert(at, order);
}

/** Gives back what of an array is beyond `fewer` bytes, at least 1: it stays where it is. */
export function arrayTrim(at: usize, bytes: u32, fewer: u32): void {
  const to = orderOf(fewer);
  for (let order = orderOf(bytes); order > to;) {
    order--;
    used -= UNIT << order;
    insert(at + (UNIT << order), order);
  }
}
