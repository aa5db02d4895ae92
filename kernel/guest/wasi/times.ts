import { wallTime } from "../../clock";
import { Mount } from "../../files/mount";
import { WasiErrno } from "../errno";

/** `fstflags`. */
const ACCESSED: u32 = 1;
const ACCESSED_NOW: u32 = 2;
const MODIFIED: u32 = 4;
const MODIFIED_NOW: u32 = 8;

/** Sets a file's times: EINVAL for a time that is to be given and now, EROFS. */
export function setTimes(
  mount: Mount,
  node: u64,
  accessed: u64,
  modified: u64,
  flags: u32,
): WasiErrno {
  const access = flags & (ACCESSED | ACCESSED_NOW);
  const modify = flags & (MODIFIED | MODIFIED_NOW);
  if (access == (ACCESSED | ACCESSED_NOW) || modify == (MODIFIED | MODIFIED_NOW) || flags > 15) {
    return WasiErrno.Inval;
  }
  if (mount.isReadOnly) return WasiErrno.Rofs;
  const inode = mount.inode(node);
  const now = wallTime();
  if (access) inode.accessed = access == ACCESSED ? accessed : now;
  if (modify) inode.modified = modify == MODIFIED ? modified : now;
  inode.changed = now;
  return WasiErrno.Success;
}
