import { SECOND } from "../timer";
import { blocksRead } from "./blocks";
import { nameAt, nameFind, nameFrom, namePlace } from "./directory";
import { FileType, Inode, inodeAt } from "./inode";
import { ramClose, ramOpen, ramRead } from "./ram";
import {
  treeEntry,
  treeFind,
  treeFrom,
  treeIsDirectory,
  treeName,
  treeNameLength,
  treeNext,
  treeParent,
} from "./tree";
import { PAGE, Volume } from "./volume";

/**
 * What a guest sees under a path of its own: a folder of the pack, which nobody can change, or a RAM
 * directory. Both are trees of *nodes*, numbers that are never 0: an inode's, or what tree.ts makes of a
 * path. Here is what can be asked of either; what changes something is ram.ts's alone.
 */

@unmanaged
export class Mount {
  /** Its topmost directory. */
  root: u64;
  /** Null for the pack. */
  volume: Volume | null;
  /** Which one it is, from 1 on, as `filestat.dev` has it. */
  device: u32;
  /** The path that the guest knows it by. */
  path: usize;
  pathLength: u32;
  /** Bytes of RAM; 0 for the pack. */
  bytes: u32;


  @inline get isReadOnly(): bool {
    return this.volume === null;
  }

  /** The inode that a node of a RAM directory is. */
  @inline inode(node: u64): Inode {
    return inodeAt(this.volume!, <u32>node);
  }

  type(node: u64): FileType {
    if (this.volume !== null) return this.inode(node).type;
    return treeIsDirectory(node) ? FileType.Directory : FileType.Regular;
  }

  /** What has a name in a directory, or 0. */
  find(directory: u64, name: usize, length: u32): u64 {
    const volume = this.volume;
    if (volume === null) return treeFind(directory, name, length);
    const slot = nameFind(volume, this.inode(directory), name, length);
    return slot ? nameAt(volume, slot).inode : 0;
  }

  /** The directory above another; of the topmost itself. */
  parent(directory: u64): u64 {
    if (this.volume !== null) return this.inode(directory).parent;
    return directory == this.root ? directory : treeParent(directory);
  }

  /** Bytes of a file, or of what a link points to. */
  size(node: u64): u64 {
    if (this.volume === null) return treeIsDirectory(node) ? 0 : treeEntry(node).bodyLength;
    const inode = this.inode(node);
    return inode.type == FileType.Directory ? <u64>inode.extent * PAGE : inode.size;
  }

  /** Copies a file's bytes from `offset` on: how many there were, up to `length`. */
  read(node: u64, offset: u64, into: usize, length: u32): u32 {
    const volume = this.volume;
    if (volume !== null) return ramRead(volume, this.inode(node), offset, into, length);
    const entry = treeEntry(node);
    if (offset >= entry.bodyLength) return 0;
    const part = min<u32>(length, entry.bodyLength - <u32>offset);
    memory.copy(into, entry.body + <usize>offset, part);
    return part;
  }

  /** Copies what a symbolic link points to, at most `length` bytes of it: how many. */
  readLink(node: u64, into: usize, length: u32): u32 {
    const inode = this.inode(node);
    const part = <u32>min<u64>(length, inode.size);
    blocksRead(this.volume!, inode, 0, into, part);
    return part;
  }

  /** A description refers to a node, which lives until `close` at least. */
  open(node: u64): void {
    const volume = this.volume;
    if (volume !== null) ramOpen(volume, this.inode(node));
  }

  close(node: u64): void {
    const volume = this.volume;
    if (volume !== null) ramClose(volume, this.inode(node));
  }

  /** Writes a `filestat` (64 bytes) of WASI preview 1. */
  stat(node: u64, into: usize): void {
    store<u64>(into, this.device);
    store<u64>(into, node, 8);
    store<u64>(into, <u64>this.type(node), 16);
    store<u64>(into, this.size(node), 32);
    if (this.volume === null) {
      const modified = treeIsDirectory(node) ? 0 : treeEntry(node).modified * SECOND;
      store<u64>(into, 1, 24);
      for (let at: usize = 40; at < 64; at += 8) store<u64>(into + at, modified);
      return;
    }
    const inode = this.inode(node);
    store<u64>(into, inode.links, 24);
    store<u64>(into, inode.accessed, 40);
    store<u64>(into, inode.modified, 48);
    store<u64>(into, inode.changed, 56);
  }

  /**
   * The node at `place` of a directory or behind it, without `.` and `..`; 0 at the end. `listedName`,
   * `listedLength` and `listedNext` say what it is called and where to go on, whatever changes meanwhile.
   */
  list(directory: u64, place: u32): u64 {
    const volume = this.volume;
    if (volume === null) {
      const node = treeFrom(directory, place);
      name = treeName();
      length = treeNameLength();
      next = treeNext();
      return node;
    }
    const slot = nameFrom(volume, this.inode(directory), place);
    if (!slot) return 0;
    const found = nameAt(volume, slot);
    name = found.bytes;
    length = found.length;
    next = namePlace() + 1;
    return found.inode;
  }
}

let name: usize = 0;
let length: u32 = 0;
let next: u32 = 0;


@inline export function listedName(): usize {
  return name;
}


@inline export function listedLength(): u32 {
  return length;
}


@inline export function listedNext(): u32 {
  return next;
}
