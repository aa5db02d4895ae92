import { arrayCapacity, arrayGive, arrayTake, arrayTrim } from "./arrays";

/**
 * Longest-prefix match: a tree bitmap (Eatherton, Varghese and Dittia, 2004) that takes six bits of an
 * address a step. Keys are 128 bits, the first bit highest; those of IPv4 stand in the first 32.
 *
 * A node stands for a prefix whose length is a multiple of six. Of the prefixes up to five bits longer, `inner`
 * says which have a value; of those six bits longer, `outer` says which have a node. Values and nodes
 * stand in two arrays, dense and in order, so a bit's rank is its place. Finding costs one cache line for six bits
 * of the longest prefix there is on the way, however many others the table has.
 */

/** 32 bytes, zeroed when empty. */
@unmanaged
export class Node {
  /** Bit 2^n + b: the n bits b after this node's prefix, n below 6, have a value. */
  inner: u64;
  /** Bit b: the six bits b have a node. */
  outer: u64;
  /** An array of u32. */
  values: usize;
  /** An array of `Node`. */
  nodes: usize;
}

const NODE: u32 = 32;
const STEP: u32 = 6;
/** For each six bits: the bits of `inner` that stand for the first five, four, … none of them. */
const above: usize = memory.data(64 * 8, 8);
/** The nodes on the way to a prefix, the root first: 22 for 128 bits. */
const path: usize = memory.data(22 * 4, 4);

/** Bits of the prefix that `trieLongest` found. */
export let foundLength: u32 = 0;

/** Start-up only. */
export function trieInit(): void {
  for (let bits: u32 = 0; bits < 64; bits++) {
    let mask: u64 = 0;
    for (let n: u32 = 0; n < STEP; n++) mask |= (<u64>1) << ((1 << n) + (bits >> (STEP - n)));
    store<u64>(above + (bits << 3), mask);
  }
}

/** How many of `bits` are set below `bit`: a place in a dense array. */
@inline function rank(bits: u64, bit: u32): u32 {
  return <u32>popcnt(bits & (((<u64>1) << bit) - 1));
}


@inline function nodeAt(node: Node, bit: u32): Node {
  return changetype<Node>(node.nodes + rank(node.outer, bit) * NODE);
}


@inline function valueAt(node: Node, bit: u32): usize {
  return node.values + (rank(node.inner, bit) << 2);
}

/** The six bits of a key from `depth` on, a multiple of six; zeroes follow its end. */
@inline function bitsAt(hi: u64, lo: u64, depth: u32): u32 {
  if (depth >= 64) return <u32>((lo << (depth - 64)) >> 58);
  return <u32>(((hi << depth) | (depth ? lo >> (64 - depth) : 0)) >> 58);
}

/** The bit of `inner` for the first `n` of six bits, `n` below six. */
@inline function innerBit(bits: u32, n: u32): u32 {
  return (1 << n) + (bits >> (STEP - n));
}

/**
 * The value of the longest prefix of a key that has one, of at most `most` bits; 0 for none. Cost: a node for
 * each six bits of it, 22 at most.
 */
export function trieLongest(root: Node, hi: u64, lo: u64, most: u32): u32 {
  let node = root;
  let found: Node | null = null;
  let bit: u32 = 0;
  for (let depth: u32 = 0; depth <= most; depth += STEP) {
    const bits = <u32>(hi >> 58);
    let matches = node.inner & load<u64>(above + (bits << 3));
    if (most - depth < STEP - 1) matches &= ((<u64>1) << (2 << (most - depth))) - 1;
    if (matches) {
      found = node;
      bit = 63 - <u32>clz(matches);
      foundLength = depth + 31 - clz(bit);
    }
    if (!((node.outer >> bits) & 1)) break;
    node = nodeAt(node, bits);
    hi = (hi << STEP) | (lo >> (64 - STEP));
    lo <<= STEP;
  }
  return found === null ? 0 : load<u32>(valueAt(found, bit));
}

/** `trieLongest` in steps: the key's bits behind `node`, the root at first, and where the longest value so far stands, 0 at first. */
@unmanaged
export class Walk {
  hi: u64;
  lo: u64;
  node: Node | null;
  value: usize;
}

/** One step, a node's; whether there is another. */
@inline export function trieStep(walk: Walk): bool {
  const node = walk.node!;
  const hi = walk.hi;
  const bits = <u32>(hi >> 58);
  const matches = node.inner & load<u64>(above + (bits << 3));
  if (matches) walk.value = valueAt(node, 63 - <u32>clz(matches));
  if (!((node.outer >> bits) & 1)) return false;
  walk.node = nodeAt(node, bits);
  walk.hi = (hi << STEP) | (walk.lo >> (64 - STEP));
  walk.lo <<= STEP;
  return true;
}

/** The value of exactly this prefix, or 0. Bits of the key beyond `length` say nothing. */
export function trieExact(root: Node, hi: u64, lo: u64, length: u32): u32 {
  let node = root;
  let depth: u32 = 0;
  for (; length - depth >= STEP; depth += STEP) {
    const bits = bitsAt(hi, lo, depth);
    if (!((node.outer >> bits) & 1)) return 0;
    node = nodeAt(node, bits);
  }
  const bit = innerBit(bitsAt(hi, lo, depth), length - depth);
  return (node.inner >> bit) & 1 ? load<u32>(valueAt(node, bit)) : 0;
}

/** Gives a prefix a value, not 0. False, and nothing is changed, when there is no room. */
export function trieSet(root: Node, hi: u64, lo: u64, length: u32, value: u32): bool {
  let node = root;
  let depth: u32 = 0;
  let level: u32 = 0;
  for (; length - depth >= STEP; depth += STEP, level++) {
    store<usize>(path + (level << 2), changetype<usize>(node));
    const bits = bitsAt(hi, lo, depth);
    if (!((node.outer >> bits) & 1)) {
      const place = rank(node.outer, bits);
      const nodes = widen(node.nodes, <u32>popcnt(node.outer), place, NODE);
      if (!nodes) {
        prune(hi, lo, level);
        return false;
      }
      node.nodes = nodes;
      node.outer |= (<u64>1) << bits;
      memory.fill(nodes + place * NODE, 0, NODE);
    }
    node = nodeAt(node, bits);
  }
  store<usize>(path + (level << 2), changetype<usize>(node));
  const bit = innerBit(bitsAt(hi, lo, depth), length - depth);
  if (!((node.inner >> bit) & 1)) {
    const values = widen(node.values, <u32>popcnt(node.inner), rank(node.inner, bit), 4);
    if (!values) {
      prune(hi, lo, level);
      return false;
    }
    node.values = values;
    node.inner |= (<u64>1) << bit;
  }
  store<u32>(valueAt(node, bit), value);
  return true;
}

/** Takes a prefix's value away, and returns it; 0 if it has none. */
export function trieRemove(root: Node, hi: u64, lo: u64, length: u32): u32 {
  let node = root;
  let depth: u32 = 0;
  let level: u32 = 0;
  for (; length - depth >= STEP; depth += STEP, level++) {
    store<usize>(path + (level << 2), changetype<usize>(node));
    const bits = bitsAt(hi, lo, depth);
    if (!((node.outer >> bits) & 1)) return 0;
    node = nodeAt(node, bits);
  }
  store<usize>(path + (level << 2), changetype<usize>(node));
  const bit = innerBit(bitsAt(hi, lo, depth), length - depth);
  if (!((node.inner >> bit) & 1)) return 0;
  const value = load<u32>(valueAt(node, bit));
  node.values = narrow(node.values, <u32>popcnt(node.inner), rank(node.inner, bit), 4);
  node.inner ^= (<u64>1) << bit;
  prune(hi, lo, level);
  return value;
}

/** Takes away the nodes of a path that stand for nothing any more, from its `level` up. */
function prune(hi: u64, lo: u64, level: u32): void {
  for (; level; level--) {
    const node = changetype<Node>(load<usize>(path + (level << 2)));
    if (node.inner || node.outer) return;
    const parent = changetype<Node>(load<usize>(path + ((level - 1) << 2)));
    const bits = bitsAt(hi, lo, (level - 1) * STEP);
    const place = rank(parent.outer, bits);
    parent.nodes = narrow(parent.nodes, <u32>popcnt(parent.outer), place, NODE);
    parent.outer ^= (<u64>1) << bits;
  }
}

/** An array of `count` items of `size` bytes with room for one more at `place`; 0 when memory has none. */
function widen(array: usize, count: u32, place: u32, size: u32): usize {
  const bytes = count * size;
  let to = array;
  if (arrayCapacity(bytes) < bytes + size) {
    to = arrayTake(bytes + size);
    if (!to) return 0;
    memory.copy(to, array, place * size);
  }
  memory.copy(to + (place + 1) * size, array + place * size, (count - place) * size);
  if (to != array && count) arrayGive(array, bytes);
  return to;
}

/** The array without the item at `place`; 0 when it was the last. */
function narrow(array: usize, count: u32, place: u32, size: u32): usize {
  const bytes = count * size;
  if (count == 1) {
    arrayGive(array, bytes);
    return 0;
  }
  const at = array + place * size;
  memory.copy(at, at + size, (count - place - 1) * size);
  arrayTrim(array, bytes, bytes - size);
  return array;
}
