import { SocketOption, SocketType } from "../../../sdk/assembly/syscalls";
import { now } from "../../clock";
import { FileType } from "../../files/inode";
import { listedLength, listedName, listedNext } from "../../files/mount";
import { ramAllocate, ramResize } from "../../files/ram";
import { getOption } from "../../socket";
import { Description, DescriptorKind } from "../descriptors";
import { WasiErrno } from "../errno";
import { OpenFile, directoryAt, fileAt, fileFault, openAt } from "../files";
import { Guest } from "../guest";
import { End } from "../pipes";
import { DIRENT, FDSTAT, FILESTAT, FdFlag, PRESTAT } from "./layout";
import { RIGHTS_CONSOLE, RIGHTS_SOCKET, Right } from "./rights";
import { setTimes } from "./times";

/** WASI's `fd_*` that carry no data: what a descriptor is, where it stands, and what a directory holds. */

/** Whether a description is of a file or directory. */
@inline function isFile(d: Description): bool {
  return d.kind == <u8>DescriptorKind.File || d.kind == <u8>DescriptorKind.Directory;
}

function fileType(d: Description): FileType {
  switch (<u32>d.kind) {
    case DescriptorKind.Console:
      return FileType.CharacterDevice;
    case DescriptorKind.Socket:
      return getOption(d.object, SocketOption.Type) == SocketType.Stream
        ? FileType.SocketStream
        : FileType.SocketDatagram;
    case DescriptorKind.Pipe:
      return d.object == SocketType.Stream
        ? FileType.SocketStream
        : d.object == SocketType.Datagram
          ? FileType.SocketDatagram
          : FileType.Unknown;
    case DescriptorKind.File:
      return FileType.Regular;
    case DescriptorKind.Directory:
      return FileType.Directory;
    default:
      return FileType.Unknown;
  }
}

// ---- What it is --------------------------------------------------------------------------------

/** (fd, into). */
export function fdFdstatGet(guest: Guest): WasiErrno {
  const d = guest.descriptors.at(<u32>guest.record.argument(0));
  if (d === null) return WasiErrno.Badf;
  const into = guest.memory(<u32>guest.record.argument(1), FDSTAT);
  if (!into) return WasiErrno.Fault;
  let flags: u32 = d.nonBlocking ? FdFlag.NonBlock : 0;
  let rights = rightsOf(d);
  let inheriting: u32 = d.kind == <u8>DescriptorKind.Socket ? RIGHTS_SOCKET : 0;
  if (isFile(d)) {
    const file = changetype<OpenFile>(d);
    flags |= file.flags;
    rights = file.rights;
    inheriting = file.inheriting;
  }
  store<u64>(into, (<u64>fileType(d)) | ((<u64>flags) << 16));
  store<u64>(into, rights, 8);
  store<u64>(into, inheriting, 16);
  return WasiErrno.Success;
}

/** What may be done with what is no file. */
function rightsOf(d: Description): u32 {
  if (d.kind == <u8>DescriptorKind.Console) return RIGHTS_CONSOLE;
  if (d.kind != <u8>DescriptorKind.Pipe) return RIGHTS_SOCKET;
  const end = changetype<End>(d);
  if (end.isSocket) return RIGHTS_SOCKET;
  return RIGHTS_CONSOLE & ~(end.reads ? <u32>Right.FdWrite : <u32>Right.FdRead);
}

/** (fd, fdflags). Of what is no file, only whether it waits can be set. */
export function fdFdstatSetFlags(guest: Guest): WasiErrno {
  const flags = <u32>guest.record.argument(1);
  const d = guest.descriptors.at(<u32>guest.record.argument(0));
  if (d === null) return WasiErrno.Badf;
  if (flags & ~FdFlag.All) return WasiErrno.Inval;
  if (isFile(d)) {
    const file = changetype<OpenFile>(d);
    if (!(file.rights & Right.FdFdstatSetFlags)) return WasiErrno.Notcapable;
    file.flags = <u16>(flags & ~FdFlag.NonBlock);
  }
  d.nonBlocking = (flags & FdFlag.NonBlock) != 0;
  return WasiErrno.Success;
}

/**
 * (fd, rights, inheriting): fewer than it has; ENOTCAPABLE for more. What is no file keeps what it has, as in
 * wasmtime.
 */
export function fdFdstatSetRights(guest: Guest): WasiErrno {
  const d = guest.descriptors.at(<u32>guest.record.argument(0));
  if (d === null) return WasiErrno.Badf;
  const rights = guest.record.argument(1);
  const inheriting = guest.record.argument(2);
  if (!isFile(d)) {
    return rights & ~(<u64>rightsOf(d)) ? WasiErrno.Notcapable : WasiErrno.Success;
  }
  const file = changetype<OpenFile>(d);
  if (rights & ~(<u64>file.rights) || inheriting & ~(<u64>file.inheriting)) {
    return WasiErrno.Notcapable;
  }
  file.rights = <u32>rights;
  file.inheriting = <u32>inheriting;
  return WasiErrno.Success;
}

/** (fd, into). What is no file has a type and nothing else. */
export function fdFilestatGet(guest: Guest): WasiErrno {
  const d = guest.descriptors.at(<u32>guest.record.argument(0));
  if (d === null) return WasiErrno.Badf;
  const into = guest.memory(<u32>guest.record.argument(1), FILESTAT);
  if (!into) return WasiErrno.Fault;
  if (isFile(d)) {
    const file = changetype<OpenFile>(d);
    if (!(file.rights & Right.FdFilestatGet)) return WasiErrno.Notcapable;
    file.mount.stat(file.node, into);
    return WasiErrno.Success;
  }
  memory.fill(into, 0, FILESTAT);
  store<u64>(into, d.object, 8);
  store<u64>(into, <u64>fileType(d), 16);
  store<u64>(into, 1, 24);
  return WasiErrno.Success;
}

/** (fd, accessed, modified, fstflags). */
export function fdFilestatSetTimes(guest: Guest): WasiErrno {
  const record = guest.record;
  const fd = <u32>record.argument(0);
  const file = openAt(guest, fd, Right.FdFilestatSetTimes, WasiErrno.Notsup);
  if (file === null) return fileFault();
  const flags = <u32>record.argument(3);
  return setTimes(file.mount, file.node, record.argument(1), record.argument(2), flags);
}

/** (fd, into): the name of a directory that the guest has from the start. */
export function fdPrestatGet(guest: Guest): WasiErrno {
  const open = preopened(guest);
  if (open === null) return WasiErrno.Badf;
  const into = guest.memory(<u32>guest.record.argument(1), PRESTAT);
  if (!into) return WasiErrno.Fault;
  store<u32>(into, 0); // __WASI_PREOPENTYPE_DIR
  store<u32>(into, open.mount.pathLength, 4);
  return WasiErrno.Success;
}

/** (fd, into, room). */
export function fdPrestatDirName(guest: Guest): WasiErrno {
  const open = preopened(guest);
  if (open === null) return WasiErrno.Badf;
  const length = open.mount.pathLength;
  if (<u32>guest.record.argument(2) < length) return WasiErrno.Nametoolong;
  const into = guest.memory(<u32>guest.record.argument(1), length);
  if (!into) return WasiErrno.Fault;
  memory.copy(into, open.mount.path, length);
  return WasiErrno.Success;
}

function preopened(guest: Guest): OpenFile | null {
  const d = guest.descriptors.at(<u32>guest.record.argument(0));
  if (d === null || !isFile(d)) return null;
  const open = changetype<OpenFile>(d);
  return open.preopened ? open : null;
}

// ---- Files -------------------------------------------------------------------------------------

/** `whence`. */
const SEEK_SET: u32 = 0;
const SEEK_CUR: u32 = 1;
const SEEK_END: u32 = 2;

/** `advice`: the last of them. */
const ADVICE_MOST: u32 = 5;

/** (fd, offset, length, advice): all of it is in memory already. */
export function fdAdvise(guest: Guest): WasiErrno {
  const record = guest.record;
  const fd = <u32>record.argument(0);
  const file = fileAt(guest, fd, Right.FdAdvise, WasiErrno.Isdir, WasiErrno.Spipe);
  if (file === null) return fileFault();
  return <u32>record.argument(3) > ADVICE_MOST ? WasiErrno.Inval : WasiErrno.Success;
}

/** (fd, offset, length). */
export function fdAllocate(guest: Guest): WasiErrno {
  const record = guest.record;
  const fd = <u32>record.argument(0);
  const file = fileAt(guest, fd, 0, WasiErrno.Badf, WasiErrno.Nodev);
  if (file === null) return fileFault();
  if (!(file.rights & Right.FdAllocate)) return WasiErrno.Badf;
  const offset = record.argument(1);
  const length = record.argument(2);
  if (!length || <i64>offset < 0 || <i64>length < 0) return WasiErrno.Inval;
  const mount = file.mount;
  const done = ramAllocate(mount.volume!, mount.inode(file.node), offset, offset + length);
  // A part at a time: the network comes between.
  if (done == WasiErrno.Again) guest.park(now());
  return done;
}

/** `fd_sync` and `fd_datasync` (fd): there is nowhere else for it to go. */
export function fdSync(guest: Guest, right: u32): WasiErrno {
  const fd = <u32>guest.record.argument(0);
  return openAt(guest, fd, right, WasiErrno.Inval) === null ? fileFault() : WasiErrno.Success;
}

/** (fd, size). */
export function fdFilestatSetSize(guest: Guest): WasiErrno {
  const fd = <u32>guest.record.argument(0);
  const size = guest.record.argument(1);
  const file = fileAt(guest, fd, 0, WasiErrno.Inval, WasiErrno.Inval);
  if (file === null) return fileFault();
  // As POSIX has it of what is not open for writing.
  if (!(file.rights & Right.FdFilestatSetSize) || <i64>size < 0) return WasiErrno.Inval;
  return ramResize(file.mount.volume!, file.mount.inode(file.node), size);
}

/** (fd, delta, whence, into). */
export function fdSeek(guest: Guest): WasiErrno {
  const record = guest.record;
  const delta = <i64>record.argument(1);
  const whence = <u32>record.argument(2);
  // What tells where it stands moves nothing.
  const telling = whence == SEEK_CUR && !delta;
  const need: u32 = telling ? 0 : Right.FdSeek;
  const file = fileAt(guest, <u32>record.argument(0), need, WasiErrno.Isdir, WasiErrno.Spipe);
  if (file === null) return fileFault();
  if (telling && !(file.rights & (Right.FdTell | Right.FdSeek))) return WasiErrno.Notcapable;
  if (whence > SEEK_END) return WasiErrno.Inval;
  const into = guest.memory(<u32>record.argument(3), 8);
  if (!into) return WasiErrno.Fault;
  let from: u64 = 0;
  if (whence == SEEK_CUR) from = file.offset;
  else if (whence == SEEK_END) from = file.mount.size(file.node);
  if (delta > 0 && from > <u64>(i64.MAX_VALUE - delta)) return WasiErrno.Overflow;
  const offset = <i64>from + delta;
  if (offset < 0) return WasiErrno.Inval;
  file.offset = offset;
  store<u64>(into, offset);
  return WasiErrno.Success;
}

/** (fd, into). */
export function fdTell(guest: Guest): WasiErrno {
  const file = fileAt(guest, <u32>guest.record.argument(0), 0, WasiErrno.Isdir, WasiErrno.Spipe);
  if (file === null) return fileFault();
  if (!(file.rights & (Right.FdTell | Right.FdSeek))) return WasiErrno.Notcapable;
  const into = guest.memory(<u32>guest.record.argument(1), 8);
  if (!into) return WasiErrno.Fault;
  store<u64>(into, file.offset);
  return WasiErrno.Success;
}

// ---- Directories -------------------------------------------------------------------------------

/** Cookies: `.`, `..`, and from here on a place in the directory. */
const COOKIE_PARENT: u64 = 1;
const COOKIE_FIRST: u64 = 2;

const head: usize = memory.data(24, 8);
const dots: usize = memory.data<u8>([0x2e, 0x2e]);

/** (fd, into, room, cookie, used): the names behind a cookie; fewer bytes than there is room for are the last. */
export function fdReaddir(guest: Guest): WasiErrno {
  const record = guest.record;
  const open = directoryAt(guest, <u32>record.argument(0), Right.FdReaddir);
  if (open === null) return fileFault();
  const room = <u32>record.argument(2);
  const into = guest.memory(<u32>record.argument(1), room);
  const used = guest.memory(<u32>record.argument(4), 4);
  if (!into || !used) return WasiErrno.Fault;
  const mount = open.mount;
  let filled: u32 = 0;
  let cookie = record.argument(3);
  while (filled < room) {
    let node = open.node;
    let name = dots;
    let length: u32 = 1;
    let next = cookie + 1;
    if (cookie == COOKIE_PARENT) {
      node = mount.parent(node);
      length = 2;
    } else if (cookie >= COOKIE_FIRST) {
      const place = cookie - COOKIE_FIRST;
      node = place < u32.MAX_VALUE ? mount.list(node, <u32>place) : 0;
      if (!node) break;
      name = listedName();
      length = listedLength();
      next = <u64>listedNext() + COOKIE_FIRST;
    }
    store<u64>(head, next);
    store<u64>(head, node, 8);
    store<u32>(head, length, 16);
    store<u32>(head, mount.type(node), 20);
    filled += put(into + filled, room - filled, head, DIRENT);
    filled += put(into + filled, room - filled, name, length);
    cookie = next;
  }
  store<u32>(used, filled);
  return WasiErrno.Success;
}

/** Copies what there is room for: how much. */
@inline function put(into: usize, room: u32, from: usize, length: u32): u32 {
  const part = min<u32>(room, length);
  memory.copy(into, from, part);
  return part;
}
