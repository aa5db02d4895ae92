import { ramWrite } from "../../files/ram";
import { CONSOLE } from "../../features";
import { consoleWrite } from "../../host";
import { bufferAt, checked, lengthAt, listAt } from "../buffers";
import { consoleReceive } from "../console";
import { Description, DescriptorKind, NULL_DEVICE } from "../descriptors";
import { WasiErrno } from "../errno";
import { OpenFile, fileAt, fileFault } from "../files";
import { Guest } from "../guest";
import { readVector, writeVector } from "../transfer";
import { FdFlag, IOVECS_MOST } from "./layout";
import { Right } from "./rights";

/**
 * WASI's calls that carry bytes: `fd_read` and `fd_write` of anything, with the offset or without. Lists of buffers are checked as a whole before a byte moves.
 */

const STDIN: u32 = 0;
/**
 * Most bytes that one call moves between a guest and a file: it then says so, as POSIX allows, and the network
 * is looked after before the next. The console is slower.
 */
const FILE_AT_ONCE: u32 = 1 << 20;
const CONSOLE_AT_ONCE: u32 = 4096;

/** The list of `count` buffers at `list`, every byte of them the guest's own; 0 if not. */
function buffersAt(guest: Guest, list: u32, count: u32): usize {
  const at = listAt(guest, list, count);
  return at && checked(guest, at, count) != -WasiErrno.Fault ? at : 0;
}

/** Fills the buffers from `offset` of a file on: how many bytes. */
function readBuffers(guest: Guest, file: OpenFile, list: usize, count: u32, offset: u64): u32 {
  let done: u32 = 0;
  for (let i: u32 = 0; i < count && done < FILE_AT_ONCE; i++) {
    const wanted = min<u32>(lengthAt(list, i), FILE_AT_ONCE - done);
    const into = bufferAt(guest, list, i, 0);
    const part = file.mount.read(file.node, offset + done, into, wanted);
    done += part;
    if (part < wanted) break;
  }
  return done;
}

/** Writes the buffers to `offset` of a file on: how many bytes, or -ENOSPC, -EFBIG if none. */
function writeBuffers(guest: Guest, file: OpenFile, list: usize, count: u32, offset: u64): i32 {
  const mount = file.mount;
  const inode = mount.inode(file.node);
  let done: u32 = 0;
  for (let i: u32 = 0; i < count && done < FILE_AT_ONCE; i++) {
    const wanted = min<u32>(lengthAt(list, i), FILE_AT_ONCE - done);
    const from = bufferAt(guest, list, i, 0);
    const part = ramWrite(mount.volume!, inode, offset + done, from, wanted);
    if (part < 0) return done ? done : part;
    done += part;
    if (<u32>part < wanted) break;
  }
  return done;
}

/** (fd, list, count, into), and with the offset before `into`. */
function fileRead(guest: Guest, at: bool): WasiErrno {
  const record = guest.record;
  const fd = <u32>record.argument(0);
  const file = fileAt(guest, fd, at ? Right.FdSeek : 0, WasiErrno.Isdir, WasiErrno.Spipe);
  if (file === null) return fileFault();
  // As POSIX has it of what is not open for reading.
  if (!(file.rights & Right.FdRead)) return WasiErrno.Badf;
  const count = <u32>record.argument(2);
  if (count > IOVECS_MOST) return WasiErrno.Inval;
  const list = buffersAt(guest, <u32>record.argument(1), count);
  const into = guest.memory(<u32>record.argument(at ? 4 : 3), 4);
  if (!list || !into) return WasiErrno.Fault;
  const offset = at ? record.argument(3) : file.offset;
  if (<i64>offset < 0) return WasiErrno.Inval;
  const done = readBuffers(guest, file, list, count, offset);
  if (!at) file.offset += done;
  store<u32>(into, done);
  return WasiErrno.Success;
}

/** The same. What is opened to append goes to the end, wherever it is asked to go, as on Linux. */
function fileWrite(guest: Guest, at: bool): WasiErrno {
  const record = guest.record;
  const fd = <u32>record.argument(0);
  const file = fileAt(guest, fd, at ? Right.FdSeek : 0, WasiErrno.Badf, WasiErrno.Spipe);
  if (file === null) return fileFault();
  if (!(file.rights & Right.FdWrite)) return WasiErrno.Badf;
  const count = <u32>record.argument(2);
  if (count > IOVECS_MOST) return WasiErrno.Inval;
  const list = buffersAt(guest, <u32>record.argument(1), count);
  const into = guest.memory(<u32>record.argument(at ? 4 : 3), 4);
  if (!list || !into) return WasiErrno.Fault;
  let offset = at ? record.argument(3) : file.offset;
  if (<i64>offset < 0) return WasiErrno.Inval;
  if (file.flags & FdFlag.Append) offset = file.mount.size(file.node);
  const done = writeBuffers(guest, file, list, count, offset);
  if (done < 0) return <WasiErrno>-done;
  // Nothing written moves nothing, not even to the end.
  if (!at && done) file.offset = offset + done;
  store<u32>(into, done);
  return WasiErrno.Success;
}

/** (fd, list, count, offset, into). */
export function fdPread(guest: Guest): WasiErrno {
  return fileRead(guest, true);
}

/** (fd, list, count, offset, into). */
export function fdPwrite(guest: Guest): WasiErrno {
  return fileWrite(guest, true);
}

/** (fd, list, count, into). */
export function fdRead(guest: Guest, again: bool): WasiErrno {
  const record = guest.record;
  const d = guest.descriptors.at(<u32>record.argument(0));
  if (d === null) return WasiErrno.Badf;
  const count = <u32>record.argument(2);
  switch (<u32>d.kind) {
    case DescriptorKind.File:
    case DescriptorKind.Directory:
      return fileRead(guest, false);
    case DescriptorKind.Console: {
      if (d.object != STDIN && d.object != NULL_DEVICE) return WasiErrno.Badf;
      if (CONSOLE) return consoleReceive(guest, d, again);
      // Nobody types: it has ended.
      const into = guest.memory(<u32>record.argument(3), 4);
      if (!into) return WasiErrno.Fault;
      store<u32>(into, 0);
      return WasiErrno.Success;
    }
    default: {
      const into = <u32>record.argument(3);
      return readVector(guest, d, <u32>record.argument(1), count, into, again);
    }
  }
}

/** (fd, list, count, into). */
export function fdWrite(guest: Guest, again: bool): WasiErrno {
  const record = guest.record;
  const d = guest.descriptors.at(<u32>record.argument(0));
  if (d === null) return WasiErrno.Badf;
  const list = <u32>record.argument(1);
  const count = <u32>record.argument(2);
  switch (<u32>d.kind) {
    case DescriptorKind.File:
    case DescriptorKind.Directory:
      return fileWrite(guest, false);
    case DescriptorKind.Console:
      return print(guest, d, list, count);
    default:
      return writeVector(guest, d, list, count, <u32>record.argument(3), again);
  }
}

function print(guest: Guest, d: Description, list: u32, count: u32): WasiErrno {
  if (d.object == STDIN) return WasiErrno.Badf;
  if (count > IOVECS_MOST) return WasiErrno.Inval;
  const at = buffersAt(guest, list, count);
  const into = guest.memory(<u32>guest.record.argument(3), 4);
  if (!at || !into) return WasiErrno.Fault;
  let written: u32 = 0;
  for (let i: u32 = 0; i < count && written < CONSOLE_AT_ONCE; i++) {
    const length = min<u32>(lengthAt(at, i), CONSOLE_AT_ONCE - written);
    if (length && d.object != NULL_DEVICE) {
      consoleWrite(bufferAt(guest, at, i, 0), length);
    }
    written += length;
  }
  store<u32>(into, written);
  return WasiErrno.Success;
}
