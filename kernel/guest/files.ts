import { Mount } from "../files/mount";
import { FileType } from "../files/inode";
import { Description, DescriptorKind } from "./descriptors";
import { WasiErrno } from "./errno";
import { Guest } from "./guest";

/** Open files and directories: what a descriptor of one keeps beside what every description has. */
@unmanaged
export class OpenFile extends Description {
  mount: Mount;
  /** `Right` bits: what it may be used for, and what is opened through it. */
  rights: u32;
  inheriting: u32;
  /** `FdFlag` bits but `NonBlock`. */
  flags: u16;
  /** The guest found it open when it began. */
  preopened: bool;
  /** Which file of the mount (kernel/files/mount.ts). */
  node: u64;
  /** Where the next read or write begins, in bytes. */
  offset: u64;


  @inline get isDirectory(): bool {
    return this.kind == <u8>DescriptorKind.Directory;
  }
}

/** Opens a node by the lowest free descriptor, of which there is one: that. */
export function openNode(guest: Guest, mount: Mount, node: u64, rights: u32, inheriting: u32): u32 {
  const directory = mount.type(node) == FileType.Directory;
  const kind = directory ? DescriptorKind.Directory : DescriptorKind.File;
  const fd = guest.descriptors.open(kind, 0, false);
  const opened = changetype<OpenFile>(guest.descriptors.at(fd));
  opened.mount = mount;
  opened.node = node;
  opened.rights = rights;
  opened.inheriting = inheriting;
  mount.open(node);
  return fd;
}

/** Its last descriptor has gone. */
export function closeNode(d: Description): void {
  const file = changetype<OpenFile>(d);
  file.mount.close(file.node);
}

let fault: WasiErrno = WasiErrno.Success;

/** Why the last of the functions below gave null. */
@inline export function fileFault(): WasiErrno {
  return fault;
}

function refused(why: WasiErrno): OpenFile | null {
  fault = why;
  return null;
}

/** What `fd` has open, if it is a file or directory and may be used for `rights`; else null: `other` if it is neither. */
export function openAt(guest: Guest, fd: u32, rights: u32, other: WasiErrno): OpenFile | null {
  const d = guest.descriptors.at(fd);
  if (d === null) return refused(WasiErrno.Badf);
  if (d.kind != <u8>DescriptorKind.File && d.kind != <u8>DescriptorKind.Directory) {
    return refused(other);
  }
  const open = changetype<OpenFile>(d);
  return (open.rights & rights) == rights ? open : refused(WasiErrno.Notcapable);
}

/** The same for a file; `directory` if it is a directory. */
export function fileAt(
  guest: Guest,
  fd: u32,
  rights: u32,
  directory: WasiErrno,
  other: WasiErrno,
): OpenFile | null {
  const d = guest.descriptors.at(fd);
  if (d !== null && d.kind == <u8>DescriptorKind.Directory) return refused(directory);
  return openAt(guest, fd, rights, other);
}

/** The same for a directory: ENOTDIR. */
export function directoryAt(guest: Guest, fd: u32, rights: u32): OpenFile | null {
  const d = guest.descriptors.at(fd);
  if (d !== null && d.kind == <u8>DescriptorKind.File) return refused(WasiErrno.Notdir);
  return openAt(guest, fd, rights, WasiErrno.Notdir);
}
