import { wallTime } from "../clock";
import { WasiErrno } from "../guest/errno";
import {
  FILE_MOST,
  blockFind,
  blockMake,
  blocksClearTail,
  blocksCut,
  blocksRead,
  blocksWrite,
} from "./blocks";
import { nameAdd, nameAt, nameChange, nameFind, nameRemove } from "./directory";
import { FileType, Inode, inodeAt, inodeFree, inodeMake } from "./inode";
import { PAGE, PAGE_SHIFT, Volume } from "./volume";

/**
 * A directory in memory, with what POSIX says of files: a file lives as long as it has a name or is open,
 * renaming replaces in one step, and what fails has changed nothing. Paths are another's business
 * (path.ts): here a file is an inode, a name a slot of directory.ts.
 */

/** Makes an empty one of `bytes` (at least `VOLUME_LEAST`) at `area`, a whole page's address. */
export function ramInit(area: usize, bytes: u32): Volume {
  const volume = changetype<Volume>(area);
  volume.init(bytes);
  const root = inodeMake(volume, FileType.Directory, wallTime())!;
  root.links = 2;
  root.parent = root.number;
  volume.root = root.number;
  return volume;
}

/** Whether nothing is left in it, and every page that was taken has been given back. */
export function ramIsEmpty(volume: Volume): bool {
  return volume.free == volume.capacity - 1 && !inodeAt(volume, volume.root).entries;
}

function touch(inode: Inode, time: u64): void {
  inode.modified = time;
  inode.changed = time;
}

/** Gives back a file that has neither a name nor a description. Cost: its pages. */
function release(volume: Volume, inode: Inode): void {
  if (inode.links || inode.opens) return;
  blocksCut(volume, inode, 0);
  inodeFree(volume, inode);
}

/** Another description refers to it. */
export function ramOpen(volume: Volume, inode: Inode): void {
  inode.opens++;
}

/** One less does. Cost, if it has no name any more: its pages. */
export function ramClose(volume: Volume, inode: Inode): void {
  inode.opens--;
  release(volume, inode);
}

// ---- Names -----------------------------------------------------------------------------------

/**
 * Makes a file, directory or link by a name that `directory` does not have; null when the volume is full,
 * or the directory has been removed.
 */
export function ramCreate(
  volume: Volume,
  directory: Inode,
  name: usize,
  length: u32,
  type: FileType,
): Inode | null {
  if (!directory.links) return null;
  const time = wallTime();
  const inode = inodeMake(volume, type, time);
  if (inode === null) return null;
  if (!nameAdd(volume, directory, name, length, inode.number)) {
    inodeFree(volume, inode);
    return null;
  }
  inode.links = 1;
  if (type == FileType.Directory) {
    inode.links = 2;
    inode.parent = directory.number;
    directory.links++;
  }
  touch(directory, time);
  return inode;
}

/** Gives a file, which is no directory, another name, that `directory` does not have. */
export function ramLink(
  volume: Volume,
  inode: Inode,
  directory: Inode,
  name: usize,
  length: u32,
): WasiErrno {
  if (!directory.links) return WasiErrno.Noent;
  if (!nameAdd(volume, directory, name, length, inode.number)) return WasiErrno.Nospc;
  const time = wallTime();
  inode.links++;
  inode.changed = time;
  touch(directory, time);
  return WasiErrno.Success;
}

/** Takes a name from a file that is no directory. Cost, if that was its last: its pages. */
export function ramUnlink(volume: Volume, slot: u32): void {
  const name = nameAt(volume, slot);
  const inode = inodeAt(volume, name.inode);
  const time = wallTime();
  touch(inodeAt(volume, name.directory), time);
  nameRemove(volume, slot);
  inode.links--;
  inode.changed = time;
  release(volume, inode);
}

/** A directory, which is empty, no longer has its name. */
function bury(volume: Volume, inode: Inode): void {
  inodeAt(volume, inode.parent).links--;
  inode.parent = inode.number;
  inode.links = 0;
  release(volume, inode);
}

/** Removes a directory by its name: ENOTEMPTY. */
export function ramRemove(volume: Volume, slot: u32): WasiErrno {
  const name = nameAt(volume, slot);
  const inode = inodeAt(volume, name.inode);
  if (inode.entries) return WasiErrno.Notempty;
  touch(inodeAt(volume, name.directory), wallTime());
  nameRemove(volume, slot);
  bury(volume, inode);
  return WasiErrno.Success;
}

/** Whether `directory` is `above`, or below it. Cost: how deep it is. */
function isBelow(volume: Volume, directory: Inode, above: Inode): bool {
  while (directory.number != above.number) {
    const parent = directory.parent;
    if (parent == directory.number) return false;
    directory = inodeAt(volume, parent);
  }
  return true;
}

/**
 * Gives what has the name in `slot` another one, in the same directory or not, and takes that from what
 * has it: ENOTDIR, EISDIR, ENOTEMPTY if that must not be replaced by it; EINVAL for a directory that
 * would come to lie in itself; ENOSPC.
 */
export function ramRename(
  volume: Volume,
  slot: u32,
  directory: Inode,
  to: usize,
  length: u32,
): WasiErrno {
  if (!directory.links) return WasiErrno.Noent;
  const name = nameAt(volume, slot);
  const inode = inodeAt(volume, name.inode);
  const from = inodeAt(volume, name.directory);
  const moving = inode.type == FileType.Directory;
  if (moving && isBelow(volume, directory, inode)) return WasiErrno.Inval;
  const taken = nameFind(volume, directory, to, length);
  if (taken) {
    const old = inodeAt(volume, nameAt(volume, taken).inode);
    if (old.number == inode.number) return WasiErrno.Success;
    if (old.type == FileType.Directory) {
      if (isBelow(volume, from, old)) return WasiErrno.Notempty;
      if (!moving) return WasiErrno.Isdir;
      if (old.entries) return WasiErrno.Notempty;
    } else if (moving) {
      return WasiErrno.Notdir;
    }
    nameAt(volume, taken).inode = inode.number;
    nameRemove(volume, slot);
    if (moving) {
      bury(volume, old);
    } else {
      old.links--;
      old.changed = wallTime();
      release(volume, old);
    }
  } else if (from.number == directory.number) {
    nameChange(volume, slot, to, length);
  } else {
    if (!nameAdd(volume, directory, to, length, inode.number)) return WasiErrno.Nospc;
    nameRemove(volume, slot);
  }
  const time = wallTime();
  if (moving) {
    from.links--;
    directory.links++;
    inode.parent = directory.number;
  }
  inode.changed = time;
  touch(from, time);
  touch(directory, time);
  return WasiErrno.Success;
}

// ---- Data ------------------------------------------------------------------------------------

/** Copies bytes from `offset` on: how many there were, up to `length`. */
export function ramRead(volume: Volume, inode: Inode, offset: u64, into: usize, length: u32): u32 {
  if (offset >= inode.size) return 0;
  const part = <u32>min<u64>(length, inode.size - offset);
  blocksRead(volume, inode, offset, into, part);
  inode.accessed = wallTime();
  return part;
}

/** Copies bytes to `offset`, behind the end too: how many found room, or -EFBIG, -ENOSPC if none did. */
export function ramWrite(volume: Volume, inode: Inode, offset: u64, from: usize, length: u32): i32 {
  if (!length) return 0;
  if (offset >= FILE_MOST) return -WasiErrno.Fbig;
  const most = <u32>min<u64>(length, FILE_MOST - offset);
  const written = blocksWrite(volume, inode, offset, from, most);
  if (!written) return -WasiErrno.Nospc;
  inode.size = max<u64>(inode.size, offset + written);
  touch(inode, wallTime());
  return written;
}

/** Cuts a file, or lengthens it by a hole: EFBIG. Cost: the pages cut. */
export function ramResize(volume: Volume, inode: Inode, size: u64): WasiErrno {
  if (size > FILE_MOST) return WasiErrno.Fbig;
  if (size < inode.size) {
    blocksCut(volume, inode, <u32>((size + PAGE - 1) >> PAGE_SHIFT));
    blocksClearTail(volume, inode, size);
  }
  inode.size = size;
  touch(inode, wallTime());
  return WasiErrno.Success;
}

/** Pages that one call of `ramAllocate` clears: some 20 µs. */
const ALLOCATED_AT_ONCE: u32 = 128;

/**
 * Takes memory for all bytes from `offset` to `end`, and makes the file at least as long: EFBIG; ENOSPC when
 * they find none, with nothing taken. EAGAIN when there is more to do: call again. Cost: the pages
 * between.
 */
export function ramAllocate(volume: Volume, inode: Inode, offset: u64, end: u64): WasiErrno {
  if (end > FILE_MOST || end < offset) return WasiErrno.Fbig;
  const first = <u32>(offset >> PAGE_SHIFT);
  const last = <u32>((end + PAGE - 1) >> PAGE_SHIFT);
  let holes: u32 = 0;
  for (let index = first; index < last && holes <= volume.free; index++) {
    if (!blockFind(volume, inode, index)) holes++;
  }
  if (holes > volume.free) return WasiErrno.Nospc;
  let made: u32 = 0;
  for (let index = first; index < last && holes; index++) {
    if (blockFind(volume, inode, index)) continue;
    if (made == ALLOCATED_AT_ONCE) return WasiErrno.Again;
    if (!blockMake(volume, inode, index, true)) return WasiErrno.Nospc;
    made++;
    holes--;
  }
  inode.size = max<u64>(inode.size, end);
  touch(inode, wallTime());
  return WasiErrno.Success;
}
