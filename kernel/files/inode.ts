import { slabAdd, slabAt, slabGive, slabPage, slabTake, slabUnlink } from "./slab";
import { Volume } from "./volume";

/** What a file is, as `filetype` of WASI preview 1 numbers it. */
export const enum FileType {
  Unknown = 0,
  CharacterDevice = 2,
  Directory = 3,
  Regular = 4,
  SocketDatagram = 5,
  SocketStream = 6,
  SymbolicLink = 7,
}

const INODE_BYTES: u32 = 128;
const INODES: u32 = 31;

/** A file, directory or symbolic link of a volume, by whatever names. 128 bytes at most. */
@unmanaged
export class Inode {
  /** Which it is; never 0 while it is in use. */
  number: u32;
  /** Names that it has; of a directory, its name, its `.` and each `..` to it. */
  links: u32;
  /** Open descriptions that refer to it: it lives on without a name. */
  opens: u32;
  /** `FileType`; 0 for a free one. */
  type: u8;
  /** Levels of tables above its pages: blocks.ts. */
  height: u8;
  /** Page of its topmost table, or its only page; 0 for none. */
  top: u32;
  /** Of a directory: the one above it, which for the topmost and a removed one is itself. */
  parent: u32;
  /** Of a directory: names in it. */
  entries: u32;
  /** Of a directory: first page with room for a name (slab.ts). */
  roomy: u32;
  /** Of a directory: pages of names, used or empty. */
  extent: u32;
  /** Bytes of data; of a link, of what it points to. */
  size: u64;
  /** ns since 1970. */
  accessed: u64;
  modified: u64;
  changed: u64;
}


@inline export function inodeAt(volume: Volume, number: u32): Inode {
  return changetype<Inode>(slabAt(volume, number, INODES, INODE_BYTES));
}

/** A new inode that has no name yet, or null when the volume is full. */
export function inodeMake(volume: Volume, type: FileType, time: u64): Inode | null {
  assert(offsetof<Inode>() <= INODE_BYTES);
  const head = changetype<usize>(volume) + offsetof<Volume>("inodes");
  if (!volume.inodes) {
    const page = volume.take();
    if (!page) return null;
    slabAdd(volume, head, page, 0);
  }
  const number = slabTake(volume, head, INODES, INODE_BYTES);
  const inode = inodeAt(volume, number);
  inode.number = number;
  inode.type = <u8>type;
  inode.accessed = time;
  inode.modified = time;
  inode.changed = time;
  return inode;
}

/** Gives back an inode that has no data left. */
export function inodeFree(volume: Volume, inode: Inode): void {
  const head = changetype<usize>(volume) + offsetof<Volume>("inodes");
  const number = inode.number;
  const page = slabPage(number);
  if (!slabGive(volume, head, number, INODES, INODE_BYTES)) return;
  slabUnlink(volume, head, page);
  volume.give(page);
}
