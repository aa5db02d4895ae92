import { prefetch } from "../../kernel/host";
import { interfaceGeneration } from "../interface";
import { Node, Walk, trieStep } from "./trie";

/**
 * The look-ups of a burst at once. A large table fits into no cache, so each node on the way to a prefix is waited
 * for, and a look-up alone waits for one after the other. Those of a burst go side by side, a step each in turn, and
 * their waits pass at the same time. What they find is kept until the burst has been dealt with or the table changes.
 */

/** A look-up, and the key that it is of. 56 bytes. */
@unmanaged
class Search extends Walk {
  keyHi: u64;
  keyLo: u64;
  root: Node;
}

const SEARCH: usize = 64;
/** Packets that a device hands up at once. */
const MOST: u32 = 32;
const searches: usize = memory.data(32 * 64, 64);
/** How many there are, and how many of them, in their order, have been asked for. */
let count: u32 = 0;
let asked: u32 = 0;
/** `interfaceGeneration()` for which they hold. */
let generation: u32 = 0;
let found: usize = 0;


@inline function at(index: u32): Search {
  return changetype<Search>(searches + <usize>index * SEARCH);
}

/** Adds the look-up of a key in the trie of `root`; one too many is left out. */
export function aheadAdd(root: Node, hi: u64, lo: u64): void {
  if (count == MOST) return;
  const search = at(count++);
  search.keyHi = hi;
  search.keyLo = lo;
  search.root = root;
  search.hi = hi;
  search.lo = lo;
  search.node = root;
  search.value = 0;
}

/** Does what was added. Cost: a node for each six bits of each, as if they were looked up one by one. */
export function aheadRun(): void {
  let going = count;
  while (going) {
    going = 0;
    for (let i: u32 = 0; i < count; i++) {
      const search = at(i);
      if (search.node === null) continue;
      if (trieStep(search)) {
        prefetch(changetype<usize>(search.node));
        going++;
      } else {
        search.node = null;
        prefetch(search.value);
      }
    }
  }
  for (let i: u32 = 0; i < count; i++) {
    const search = at(i);
    if (!search.value) continue;
    search.value = load<u32>(search.value);
    prefetch(search.value);
  }
  asked = 0;
  generation = interfaceGeneration();
}

/** Whether this look-up was done ahead: then `aheadFound` is its value. Keys are asked for in the order of `aheadAdd`. */
export function aheadKnows(root: Node, hi: u64, lo: u64): bool {
  if (asked == count || generation != interfaceGeneration()) return false;
  for (let i = asked; i < count; i++) {
    const search = at(i);
    if (search.keyHi != hi || search.keyLo != lo || search.root !== root) continue;
    asked = i + 1;
    found = search.value;
    return true;
  }
  return false;
}

/** What `trieLongest` would have found for the key of the last `aheadKnows` that was true. */
@inline export function aheadFound(): u32 {
  return <u32>found;
}

/** Forgets all look-ups. */
@inline export function aheadEnd(): void {
  count = 0;
  asked = 0;
}
