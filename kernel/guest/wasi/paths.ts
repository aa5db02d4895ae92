import { nameFind } from "../../files/directory";
import { FileType } from "../../files/inode";
import { Mount } from "../../files/mount";
import {
  Last,
  PATH_MOST,
  pathDirectory,
  pathName,
  pathNameLength,
  pathNode,
  pathSlashed,
  pathUpwards,
  resolve,
} from "../../files/path";
import {
  ramCreate,
  ramLink,
  ramRemove,
  ramRename,
  ramResize,
  ramUnlink,
  ramWrite,
} from "../../files/ram";
import { Volume } from "../../files/volume";
import { textEquals } from "../../text";
import { DescriptorKind, NULL_DEVICE } from "../descriptors";
import { WasiErrno } from "../errno";
import { OpenFile, directoryAt, fileFault, openNode } from "../files";
import { Guest } from "../guest";
import { FILESTAT, FdFlag, SYMLINK_FOLLOW } from "./layout";
import { RIGHTS_ALL, RIGHTS_CHANGE, RIGHTS_DIRECTORY, RIGHTS_FILE, Right } from "./rights";
import { setTimes } from "./times";

/**
 * WASI's `path_*`: files by name. Errors come in the order in which Linux finds them, so that programs see
 * what they would see there: the way to the last part, what is there, and then whether it may be changed.
 */

/** `oflags`. */
const CREAT: u32 = 1;
const DIRECTORY: u32 = 2;
const EXCL: u32 = 4;
const TRUNC: u32 = 8;

const SLASH: u8 = 0x2f;

/** Follows the path of `length` bytes at `at` from a directory. */
function follow(guest: Guest, from: OpenFile, at: u32, length: u32, last: Last): WasiErrno {
  const path = guest.memory(at, length);
  if (!path) return WasiErrno.Fault;
  return resolve(from.mount, from.node, path, length, last);
}

/** What becomes of a link at a path's end, by `lookupflags`. */
@inline function lastOf(lookup: u32): Last {
  return lookup & SYMLINK_FOLLOW ? Last.Follow : Last.Itself;
}

/** Why something has not been made in the directory that the last path led to. */
function notMade(mount: Mount): WasiErrno {
  return mount.inode(pathDirectory()).links ? WasiErrno.Nospc : WasiErrno.Noent;
}

/** The slot of the last path's name, which is there. */
function slotOf(mount: Mount): u32 {
  return nameFind(mount.volume!, mount.inode(pathDirectory()), pathName(), pathNameLength());
}

/** (fd, lookup, path, length, oflags, rights, inheriting, fdflags, into). */
export function pathOpen(guest: Guest): WasiErrno {
  const record = guest.record;
  const oflags = <u32>record.argument(4);
  const flags = <u32>record.argument(7);
  let need: u32 = Right.PathOpen;
  if (oflags & CREAT) need |= Right.PathCreateFile;
  if (oflags & TRUNC) need |= Right.PathFilestatSetSize;
  const from = directoryAt(guest, <u32>record.argument(0), need);
  if (from === null) return fileFault();
  const into = guest.memory(<u32>record.argument(8), 4);
  if (!into) return WasiErrno.Fault;
  if (flags & ~FdFlag.All || oflags & ~(CREAT | DIRECTORY | EXCL | TRUNC)) return WasiErrno.Inval;
  let rights = (<u32>record.argument(5)) & RIGHTS_ALL;
  const inheriting = (<u32>record.argument(6)) & RIGHTS_ALL;
  let wanted = rights | inheriting;
  if (flags & FdFlag.DataSync) wanted |= Right.FdDatasync;
  if (flags & (FdFlag.Sync | FdFlag.ReadSync)) wanted |= Right.FdSync;
  if (wanted & ~from.inheriting) return WasiErrno.Notcapable;
  if (!guest.descriptors.hasRoom()) return WasiErrno.Mfile;

  const exclusive = (oflags & (CREAT | EXCL)) == (CREAT | EXCL);
  const path = guest.memory(<u32>record.argument(2), <u32>record.argument(3));
  if (!path) return WasiErrno.Fault;
  const making = (oflags & CREAT) != 0;
  const last = exclusive ? Last.New : lastOf(<u32>record.argument(1));
  const length = <u32>record.argument(3);
  const way = resolve(from.mount, from.node, path, length, last, making);
  if (way == WasiErrno.Noent || (!way && !pathNode())) {
    if (textEquals(path, length, "dev/null")) {
      store<u32>(into, guest.descriptors.open(DescriptorKind.Console, NULL_DEVICE, false));
      return WasiErrno.Success;
    }
  }
  if (way) return way;
  const mount = from.mount;
  let node = pathNode();
  if (node) {
    if (exclusive) return WasiErrno.Exist;
    const type = mount.type(node);
    if (type == FileType.SymbolicLink) return WasiErrno.Loop;
    if (type == FileType.Directory) {
      if (oflags & (CREAT | TRUNC) || rights & Right.FdWrite) return WasiErrno.Isdir;
      rights &= RIGHTS_DIRECTORY;
    } else {
      if (oflags & DIRECTORY) return WasiErrno.Notdir;
      rights &= RIGHTS_FILE;
      if (mount.isReadOnly) {
        if (oflags & TRUNC || rights & Right.FdWrite) return WasiErrno.Rofs;
        rights &= ~RIGHTS_CHANGE;
      }
      if (oflags & TRUNC) ramResize(mount.volume!, mount.inode(node), 0);
    }
  } else {
    if (!(oflags & CREAT)) return WasiErrno.Noent;
    if (oflags & DIRECTORY) return WasiErrno.Inval;
    if (mount.isReadOnly) return WasiErrno.Rofs;
    node = make(mount, FileType.Regular);
    if (!node) return notMade(mount);
    rights &= RIGHTS_FILE;
  }
  const fd = openNode(guest, mount, node, rights, inheriting);
  const opened = changetype<OpenFile>(guest.descriptors.at(fd));
  opened.flags = <u16>(flags & ~FdFlag.NonBlock);
  opened.nonBlocking = (flags & FdFlag.NonBlock) != 0;
  store<u32>(into, fd);
  return WasiErrno.Success;
}

/** Makes what the last path names, which is not there: its node, or 0. */
function make(mount: Mount, type: FileType): u64 {
  const directory = mount.inode(pathDirectory());
  const made = ramCreate(mount.volume!, directory, pathName(), pathNameLength(), type);
  return made === null ? 0 : made.number;
}

/** (fd, path, length). */
export function pathCreateDirectory(guest: Guest): WasiErrno {
  const record = guest.record;
  const from = directoryAt(guest, <u32>record.argument(0), Right.PathCreateDirectory);
  if (from === null) return fileFault();
  const way = follow(guest, from, <u32>record.argument(1), <u32>record.argument(2), Last.New);
  if (way) return way;
  if (pathNode()) return WasiErrno.Exist;
  if (from.mount.isReadOnly) return WasiErrno.Rofs;
  return make(from.mount, FileType.Directory) ? WasiErrno.Success : notMade(from.mount);
}

/** (fd, lookup, path, length, into). */
export function pathFilestatGet(guest: Guest): WasiErrno {
  const record = guest.record;
  const from = directoryAt(guest, <u32>record.argument(0), Right.PathFilestatGet);
  if (from === null) return fileFault();
  const into = guest.memory(<u32>record.argument(4), FILESTAT);
  if (!into) return WasiErrno.Fault;
  const last = lastOf(<u32>record.argument(1));
  const way = follow(guest, from, <u32>record.argument(2), <u32>record.argument(3), last);
  if (way) return way;
  if (!pathNode()) return WasiErrno.Noent;
  from.mount.stat(pathNode(), into);
  return WasiErrno.Success;
}

/** (fd, lookup, path, length, accessed, modified, fstflags). */
export function pathFilestatSetTimes(guest: Guest): WasiErrno {
  const record = guest.record;
  const from = directoryAt(guest, <u32>record.argument(0), Right.PathFilestatSetTimes);
  if (from === null) return fileFault();
  const last = lastOf(<u32>record.argument(1));
  const way = follow(guest, from, <u32>record.argument(2), <u32>record.argument(3), last);
  if (way) return way;
  if (!pathNode()) return WasiErrno.Noent;
  return setTimes(
    from.mount,
    pathNode(),
    record.argument(4),
    record.argument(5),
    <u32>record.argument(6),
  );
}

/** (fd, lookup, path, length, to fd, to path, to length). */
export function pathLink(guest: Guest): WasiErrno {
  const record = guest.record;
  const from = directoryAt(guest, <u32>record.argument(0), Right.PathLinkSource);
  if (from === null) return fileFault();
  const to = directoryAt(guest, <u32>record.argument(4), Right.PathLinkTarget);
  if (to === null) return fileFault();
  const last = lastOf(<u32>record.argument(1));
  const way = follow(guest, from, <u32>record.argument(2), <u32>record.argument(3), last);
  if (way) return way;
  const node = pathNode();
  if (!node) return WasiErrno.Noent;
  const there = follow(guest, to, <u32>record.argument(5), <u32>record.argument(6), Last.New);
  if (there) return there;
  if (pathNode()) return WasiErrno.Exist;
  if (pathSlashed()) return WasiErrno.Noent;
  if (from.mount != to.mount) return WasiErrno.Xdev;
  if (from.mount.isReadOnly) return WasiErrno.Rofs;
  if (from.mount.type(node) == FileType.Directory) return WasiErrno.Perm;
  return ramLink(
    to.mount.volume!,
    to.mount.inode(node),
    to.mount.inode(pathDirectory()),
    pathName(),
    pathNameLength(),
  );
}

/** (fd, path, length, into, room, used). */
export function pathReadlink(guest: Guest): WasiErrno {
  const record = guest.record;
  const from = directoryAt(guest, <u32>record.argument(0), Right.PathReadlink);
  if (from === null) return fileFault();
  const room = <u32>record.argument(4);
  const into = guest.memory(<u32>record.argument(3), room);
  const used = guest.memory(<u32>record.argument(5), 4);
  if (!into || !used) return WasiErrno.Fault;
  const way = follow(guest, from, <u32>record.argument(1), <u32>record.argument(2), Last.Itself);
  if (way) return way;
  const node = pathNode();
  if (!node) return WasiErrno.Noent;
  if (from.mount.type(node) != FileType.SymbolicLink) return WasiErrno.Inval;
  store<u32>(used, from.mount.readLink(node, into, room));
  return WasiErrno.Success;
}

/** (fd, path, length). */
export function pathRemoveDirectory(guest: Guest): WasiErrno {
  const record = guest.record;
  const from = directoryAt(guest, <u32>record.argument(0), Right.PathRemoveDirectory);
  if (from === null) return fileFault();
  const way = follow(guest, from, <u32>record.argument(1), <u32>record.argument(2), Last.Name);
  if (way) return way;
  if (!pathNode()) return WasiErrno.Noent;
  if (!pathNameLength()) return pathUpwards() ? WasiErrno.Notempty : WasiErrno.Inval;
  const mount = from.mount;
  if (mount.type(pathNode()) != FileType.Directory) return WasiErrno.Notdir;
  if (mount.isReadOnly) return WasiErrno.Rofs;
  return ramRemove(mount.volume!, slotOf(mount));
}

/** (fd, path, length). */
export function pathUnlinkFile(guest: Guest): WasiErrno {
  const record = guest.record;
  const from = directoryAt(guest, <u32>record.argument(0), Right.PathUnlinkFile);
  if (from === null) return fileFault();
  const way = follow(guest, from, <u32>record.argument(1), <u32>record.argument(2), Last.Name);
  if (way) return way;
  if (!pathNode()) return WasiErrno.Noent;
  const mount = from.mount;
  if (mount.type(pathNode()) == FileType.Directory) return WasiErrno.Isdir;
  if (mount.isReadOnly) return WasiErrno.Rofs;
  ramUnlink(mount.volume!, slotOf(mount));
  return WasiErrno.Success;
}

/** (fd, path, length, to fd, to path, to length). Both ways are gone before anything else is looked at. */
export function pathRename(guest: Guest): WasiErrno {
  const record = guest.record;
  const from = directoryAt(guest, <u32>record.argument(0), Right.PathRenameSource);
  if (from === null) return fileFault();
  const to = directoryAt(guest, <u32>record.argument(3), Right.PathRenameTarget);
  if (to === null) return fileFault();
  const way = follow(guest, from, <u32>record.argument(1), <u32>record.argument(2), Last.New);
  if (way) return way;
  const mount = from.mount;
  const node = pathNode();
  const named = pathNameLength() != 0;
  const slashed = pathSlashed();
  const slot = node && named && !mount.isReadOnly ? slotOf(mount) : 0;
  const there = follow(guest, to, <u32>record.argument(4), <u32>record.argument(5), Last.New);
  if (there) return there;
  if (mount != to.mount) return WasiErrno.Xdev;
  if (!named || !pathNameLength()) return WasiErrno.Busy;
  if (!node) return WasiErrno.Noent;
  if ((slashed || pathSlashed()) && mount.type(node) != FileType.Directory) {
    return WasiErrno.Notdir;
  }
  if (mount.isReadOnly) return WasiErrno.Rofs;
  const directory = mount.inode(pathDirectory());
  return ramRename(mount.volume!, slot, directory, pathName(), pathNameLength());
}

/** (target, target length, fd, path, length). */
export function pathSymlink(guest: Guest): WasiErrno {
  const record = guest.record;
  const length = <u32>record.argument(1);
  const from = directoryAt(guest, <u32>record.argument(2), Right.PathSymlink);
  if (from === null) return fileFault();
  const target = guest.memory(<u32>record.argument(0), length);
  if (!target) return WasiErrno.Fault;
  if (!length) return WasiErrno.Noent;
  if (length >= PATH_MOST) return WasiErrno.Nametoolong;
  // It would lead out of every directory.
  if (load<u8>(target) == SLASH) return WasiErrno.Notcapable;
  const way = follow(guest, from, <u32>record.argument(3), <u32>record.argument(4), Last.New);
  if (way) return way;
  if (pathNode()) return WasiErrno.Exist;
  if (pathSlashed()) return WasiErrno.Noent;
  const mount = from.mount;
  if (mount.isReadOnly) return WasiErrno.Rofs;
  const node = make(mount, FileType.SymbolicLink);
  if (!node) return notMade(mount);
  return fill(mount.volume!, mount, node, target, length);
}

/** Writes what a new link points to, or takes the link away again. */
function fill(volume: Volume, mount: Mount, node: u64, target: usize, length: u32): WasiErrno {
  const inode = mount.inode(node);
  if (ramWrite(volume, inode, 0, target, length) == length) return WasiErrno.Success;
  ramUnlink(volume, slotOf(mount));
  return WasiErrno.Nospc;
}
