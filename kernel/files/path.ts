import { WasiErrno } from "../guest/errno";
import { NAME_MOST } from "./directory";
import { FileType } from "./inode";
import { Mount } from "./mount";

/**
 * Paths, from the directory that a call gives. A path never leaves that directory: not by `..`, which may
 * go up as far as there, not by beginning with a slash, and not by what a symbolic link says. So a
 * descriptor of a directory is all that a program can do with files.
 */

/** Bytes that a path may have, with the links in it. */
export const PATH_MOST: u32 = 4096;
/** Links that a path may lead through (POSIX: SYMLOOP_MAX is 8 at least; Linux has 40). */
const LINKS_MOST: u32 = 40;

const SLASH: u8 = 0x2f;
const DOT: u8 = 0x2e;

/** What becomes of the last part of a path. */
export const enum Last {
  /** The thing itself, should it be a link, unless a slash follows. */
  Itself = 0,
  /** A link is followed. */
  Follow = 1,
  /** A name to be taken away or given: never followed, and a slash behind it is for directories. */
  Name = 2,
  /** A name to be made: the same, but what has it already matters to the caller alone. */
  New = 3,
}

let directory: u64 = 0;
let node: u64 = 0;
let name: usize = 0;
let nameLength: u32 = 0;
let slashed: bool = false;
let upwards: bool = false;

/** The directory in which `resolve` found the last part. */
@inline export function pathDirectory(): u64 {
  return directory;
}

/** What it is; 0 when nothing has that name. */
@inline export function pathNode(): u64 {
  return node;
}

/** The last part, until the next `resolve` and as long as the path given is there: a name, or nothing for `.` and `..`. */
@inline export function pathName(): usize {
  return name;
}


@inline export function pathNameLength(): u32 {
  return nameLength;
}

/** The last part is `..`. */
@inline export function pathUpwards(): bool {
  return upwards;
}

/** A slash follows it, so it has to be a directory. */
@inline export function pathSlashed(): bool {
  return slashed;
}

/** Where a path with a link in it is put together. */
const joined: usize = memory.data(4096);
const rest: usize = memory.data(4096);

/**
 * Goes along a path of `length` bytes from the directory `from`: EPERM's like ENOTCAPABLE if it leads
 * out of it; ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EINVAL (a zero byte). What the last part names need
 * not be there. `making` is for a file that may be made: EISDIR if a slash follows, there or not.
 */
export function resolve(
  mount: Mount,
  from: u64,
  path: usize,
  length: u32,
  last: Last,
  making: bool = false,
): WasiErrno {
  if (!length) return WasiErrno.Noent;
  if (length > PATH_MOST) return WasiErrno.Nametoolong;
  if (load<u8>(path) == SLASH) return WasiErrno.Notcapable;
  let at = path;
  let end = path + length;
  let depth: u32 = 0;
  let links: u32 = 0;
  directory = from;
  while (true) {
    name = at;
    while (at < end && load<u8>(at) != SLASH) if (!load<u8>(at++)) return WasiErrno.Inval;
    nameLength = <u32>(at - name);
    if (nameLength > NAME_MOST) return WasiErrno.Nametoolong;
    const slash = at;
    while (at < end && load<u8>(at) == SLASH) at++;
    slashed = at > slash;
    const final = at == end;
    upwards = isDots(2);
    if (isDots(1)) {
      node = directory;
      nameLength = 0;
    } else if (upwards) {
      if (!depth) return WasiErrno.Notcapable;
      depth--;
      directory = mount.parent(directory);
      node = directory;
      nameLength = 0;
    } else {
      if (making && final && slashed) return WasiErrno.Isdir;
      node = mount.find(directory, name, nameLength);
      if (!node) return final ? WasiErrno.Success : WasiErrno.Noent;
      const type = mount.type(node);
      if (type == FileType.SymbolicLink && followed(final, last)) {
        if (++links > LINKS_MOST) return WasiErrno.Loop;
        // The link's own text, and what follows it with its slash.
        const left = <u32>(end - slash);
        memory.copy(rest, slash, left);
        const target = mount.readLink(node, joined, PATH_MOST);
        if (target + left > PATH_MOST) return WasiErrno.Nametoolong;
        if (load<u8>(joined) == SLASH) return WasiErrno.Notcapable;
        memory.copy(joined + target, rest, left);
        at = joined;
        end = joined + target + left;
        continue;
      }
      if (type != FileType.Directory) {
        if (!final || (slashed && last != Last.New)) return WasiErrno.Notdir;
      } else if (!final) {
        directory = node;
        depth++;
      }
    }
    if (final) return WasiErrno.Success;
  }
}


@inline function followed(final: bool, last: Last): bool {
  return !final || last == Last.Follow || (last == Last.Itself && slashed);
}

/** Whether the last part is `count` dots. */
function isDots(count: u32): bool {
  if (nameLength != count) return false;
  for (let i: u32 = 0; i < count; i++) if (load<u8>(name + i) != DOT) return false;
  return true;
}
