import { randomFill } from "../random";
import { sipHash } from "../siphash";
import { blockFind, blockMake, blocksCut } from "./blocks";
import { Inode, inodeAt } from "./inode";
import {
  slabAdd,
  slabAt,
  slabFresh,
  slabGive,
  slabMark,
  slabPage,
  slabSlot,
  slabTake,
  slabUnlink,
  slabUsed,
} from "./slab";
import { Volume } from "./volume";

/**
 * Names of a RAM directory. A directory is a file of pages full of slots, one a name, which stays where it
 * is as long as it lasts: its place is what a reader goes on from (`fd_readdir`'s cookie), whatever is made
 * and removed meanwhile. It is found by a keyed hash of directory and name, in one table for the volume;
 * so a program cannot choose names that share a chain.
 */

/** Bytes that a name may have. */
export const NAME_MOST: u32 = 255;

const NAME_BYTES: u32 = 288;
const NAMES: u32 = 14;

/** A name in a directory. */
@unmanaged
export class Name {
  /** The next one with the same place in the table; first, so that a chain is one of words. */
  chain: u32;
  /** Number of the inode that it is a name of; 0 while it is free. */
  inode: u32;
  /** Number of the directory's inode. */
  directory: u32;
  hash: u32;
  length: u32;


  @inline get bytes(): usize {
    return changetype<usize>(this) + 32;
  }
}

const key: usize = memory.data(16, 8);
let keyed = false;


@inline export function nameAt(volume: Volume, slot: u32): Name {
  return changetype<Name>(slabAt(volume, slot, NAMES, NAME_BYTES));
}

function hashOf(directory: u32, name: usize, length: u32): u32 {
  if (!keyed) randomFill(key, 16);
  keyed = true;
  // Odd, so that no two directories add the same.
  return <u32>sipHash(key, name, length) + directory * 0x9e37_79b1;
}


@inline function bucketOf(volume: Volume, hash: u32): usize {
  return volume.table + ((<usize>(hash & (volume.buckets - 1))) << 2);
}

/** The slot of a name in a directory, or 0. */
export function nameFind(volume: Volume, directory: Inode, name: usize, length: u32): u32 {
  const hash = hashOf(directory.number, name, length);
  let slot = load<u32>(bucketOf(volume, hash));
  while (slot) {
    const found = nameAt(volume, slot);
    if (
      found.hash == hash &&
      found.directory == directory.number &&
      found.length == length &&
      !memory.compare(found.bytes, name, length)
    ) {
      return slot;
    }
    slot = found.chain;
  }
  return 0;
}

/** Adds a name, of at most `NAME_MOST` bytes, that the directory does not have: its slot, or 0 when the volume is full. */
export function nameAdd(
  volume: Volume,
  directory: Inode,
  name: usize,
  length: u32,
  inode: u32,
): u32 {
  const roomy = changetype<usize>(directory) + offsetof<Inode>("roomy");
  if (!directory.roomy) {
    const page = blockMake(volume, directory, directory.extent, false);
    if (!page) return 0;
    slabAdd(volume, roomy, page, directory.extent++);
  }
  const slot = slabTake(volume, roomy, NAMES, NAME_BYTES);
  const made = nameAt(volume, slot);
  made.inode = inode;
  made.directory = directory.number;
  made.length = length;
  memory.copy(made.bytes, name, length);
  chain(volume, slot);
  directory.entries++;
  return slot;
}

function chain(volume: Volume, slot: u32): void {
  const name = nameAt(volume, slot);
  name.hash = hashOf(name.directory, name.bytes, name.length);
  const bucket = bucketOf(volume, name.hash);
  name.chain = load<u32>(bucket);
  store<u32>(bucket, slot);
}

function unchain(volume: Volume, slot: u32): void {
  const name = nameAt(volume, slot);
  let at = bucketOf(volume, name.hash);
  while (load<u32>(at) != slot) at = changetype<usize>(nameAt(volume, load<u32>(at)));
  store<u32>(at, name.chain);
}

/** Renames within a directory that has no such name yet. */
export function nameChange(volume: Volume, slot: u32, name: usize, length: u32): void {
  unchain(volume, slot);
  const changed = nameAt(volume, slot);
  changed.length = length;
  memory.copy(changed.bytes, name, length);
  chain(volume, slot);
}

/** Takes a name out. Empty pages at the directory's end go with it. */
export function nameRemove(volume: Volume, slot: u32): void {
  const directory = inodeAt(volume, nameAt(volume, slot).directory);
  const roomy = changetype<usize>(directory) + offsetof<Inode>("roomy");
  unchain(volume, slot);
  directory.entries--;
  const emptied = slabGive(volume, roomy, slot, NAMES, NAME_BYTES);
  if (!emptied || slabMark(volume, slabPage(slot)) != directory.extent - 1) return;
  let extent = directory.extent;
  while (extent) {
    const page = blockFind(volume, directory, extent - 1);
    if (slabUsed(volume, page)) break;
    slabUnlink(volume, roomy, page);
    extent--;
  }
  directory.extent = extent;
  blocksCut(volume, directory, extent);
}

/**
 * The slot of the first name at `place` of the directory or behind it, or 0. `namePlace` says where it
 * was. Cost: the empty places before it.
 */
export function nameFrom(volume: Volume, directory: Inode, place: u32): u32 {
  for (let index = place / NAMES; index < directory.extent; index++) {
    const page = blockFind(volume, directory, index);
    const first = max<u32>(place, index * NAMES) - index * NAMES;
    const end = slabUsed(volume, page) ? slabFresh(volume, page) : 0;
    for (let i = first; i < end; i++) {
      const slot = slabSlot(page, i);
      if (!nameAt(volume, slot).inode) continue;
      lastPlace = index * NAMES + i;
      return slot;
    }
  }
  return 0;
}

let lastPlace: u32 = 0;

/** Place of the name that `nameFrom` found last. */
@inline export function namePlace(): u32 {
  return lastPlace;
}
