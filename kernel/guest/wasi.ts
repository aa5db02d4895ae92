import { Line, error } from "../log";
import { stringsGet, stringsSizes } from "./arguments";
import { NAMES, WASMEDGE } from "../features";
import { GuestCall } from "./calls";
import { resolveCall } from "./names";
import { WasiErrno } from "./errno";
import { Guest, GuestState } from "./guest";
import { closeDescriptor, renumber } from "./objects";
import { pollOneoff } from "./polling";
import { skerryCall } from "./skerry";
import { sockAccept, sockShutdown } from "./sockets";
import { sockRecv, sockSend } from "./transfer";
import { fdPread, fdPwrite, fdRead, fdWrite } from "./wasi/data";
import {
  fdAdvise,
  fdAllocate,
  fdFdstatGet,
  fdFdstatSetFlags,
  fdFdstatSetRights,
  fdFilestatGet,
  fdFilestatSetSize,
  fdFilestatSetTimes,
  fdPrestatDirName,
  fdPrestatGet,
  fdReaddir,
  fdSeek,
  fdSync,
  fdTell,
} from "./wasi/descriptors";
import {
  pathCreateDirectory,
  pathFilestatGet,
  pathFilestatSetTimes,
  pathLink,
  pathOpen,
  pathReadlink,
  pathRemoveDirectory,
  pathRename,
  pathSymlink,
  pathUnlinkFile,
} from "./wasi/paths";
import { clockResGet, clockTimeGet, procRaise, randomGet } from "./wasi/process";
import { Right } from "./wasi/rights";
import { wasmedgeCall } from "./wasmedge";

/**
 * A guest's calls by number: those of WASI preview 1 (wasi_snapshot_preview1.witx), whole; those of
 * `skerry` elsewhere.
 */

/** What a shell says of a program that aborted. */
const ABORTED: u32 = 134;
/** Bytes of a text that are shown. */
const TEXT_MAX: u32 = 256;

/** Ends a guest that has called AssemblyScript's `abort` (message, file, line, column). */
function aborted(guest: Guest): void {
  const record = guest.record;
  const line = guest.nameIn(error("guest")).text(" aborted: ");
  textIn(guest, line, <u32>record.argument(0));
  line.text(" at ");
  textIn(guest, line, <u32>record.argument(1));
  line
    .text(":")
    .number(<u32>record.argument(2))
    .text(":")
    .number(<u32>record.argument(3))
    .end();
  guest.exitCode = ABORTED;
  guest.state = GuestState.Ended;
}

/** Adds a text of AssemblyScript's: UTF-16, its bytes counted in the word before it. */
function textIn(guest: Guest, line: Line, at: u32): void {
  const counted = at >= 4 ? guest.memory(at - 4, 4) : 0;
  const length = counted ? min(load<u32>(counted), TEXT_MAX) & ~1 : 0;
  const text = length ? guest.memory(at, length) : 0;
  if (text) line.units(text, length >> 1);
  else line.text("?");
}

/**
 * Does the call that the guest has made, `again` if it was parked for it: its result is in the record, or
 * the guest is parked.
 */
export function guestCall(guest: Guest, again: bool): void {
  const record = guest.record;
  const call = record.call;
  switch (call) {
    case GuestCall.proc_exit:
      guest.exitCode = <u32>record.argument(0);
      guest.state = GuestState.Ended;
      return;
    case GuestCall.abort:
      aborted(guest);
      return;
    case GuestCall.resolve:
      record.result = <u64>(<u32>(NAMES ? resolveCall(guest, again) : -WasiErrno.Nosys));
      return;
    default:
      record.result =
        call >= <u32>GuestCall.socket
          ? <u64>(<u32>skerryCall(guest, call, again))
          : call < <u32>GuestCall.sock_open
            ? preview1(guest, call, again)
            : WASMEDGE
              ? wasmedgeCall(guest, call, again)
              : WasiErrno.Nosys;
  }
}

/** A call of WASI's: its errno. */
function preview1(guest: Guest, call: u32, again: bool): WasiErrno {
  const first = <u32>guest.record.argument(0);
  const second = <u32>guest.record.argument(1);
  switch (call) {
    case GuestCall.args_get:
      return stringsGet(guest, guest.spec.arguments, first, second);
    case GuestCall.args_sizes_get:
      return stringsSizes(guest, guest.spec.arguments, first, second);
    case GuestCall.environ_get:
      return stringsGet(guest, guest.spec.environment, first, second);
    case GuestCall.environ_sizes_get:
      return stringsSizes(guest, guest.spec.environment, first, second);
    case GuestCall.clock_res_get:
      return clockResGet(guest);
    case GuestCall.clock_time_get:
      return clockTimeGet(guest);
    case GuestCall.fd_advise:
      return fdAdvise(guest);
    case GuestCall.fd_allocate:
      return fdAllocate(guest);
    case GuestCall.fd_close:
      return closeDescriptor(guest, first);
    case GuestCall.fd_datasync:
      return fdSync(guest, Right.FdDatasync);
    case GuestCall.fd_fdstat_get:
      return fdFdstatGet(guest);
    case GuestCall.fd_fdstat_set_flags:
      return fdFdstatSetFlags(guest);
    case GuestCall.fd_fdstat_set_rights:
      return fdFdstatSetRights(guest);
    case GuestCall.fd_filestat_get:
      return fdFilestatGet(guest);
    case GuestCall.fd_filestat_set_size:
      return fdFilestatSetSize(guest);
    case GuestCall.fd_filestat_set_times:
      return fdFilestatSetTimes(guest);
    case GuestCall.fd_pread:
      return fdPread(guest);
    case GuestCall.fd_prestat_get:
      return fdPrestatGet(guest);
    case GuestCall.fd_prestat_dir_name:
      return fdPrestatDirName(guest);
    case GuestCall.fd_pwrite:
      return fdPwrite(guest);
    case GuestCall.fd_read:
      return fdRead(guest, again);
    case GuestCall.fd_readdir:
      return fdReaddir(guest);
    case GuestCall.fd_renumber:
      return renumber(guest, first, second);
    case GuestCall.fd_seek:
      return fdSeek(guest);
    case GuestCall.fd_sync:
      return fdSync(guest, Right.FdSync);
    case GuestCall.fd_tell:
      return fdTell(guest);
    case GuestCall.fd_write:
      return fdWrite(guest, again);
    case GuestCall.path_create_directory:
      return pathCreateDirectory(guest);
    case GuestCall.path_filestat_get:
      return pathFilestatGet(guest);
    case GuestCall.path_filestat_set_times:
      return pathFilestatSetTimes(guest);
    case GuestCall.path_link:
      return pathLink(guest);
    case GuestCall.path_open:
      return pathOpen(guest);
    case GuestCall.path_readlink:
      return pathReadlink(guest);
    case GuestCall.path_remove_directory:
      return pathRemoveDirectory(guest);
    case GuestCall.path_rename:
      return pathRename(guest);
    case GuestCall.path_symlink:
      return pathSymlink(guest);
    case GuestCall.path_unlink_file:
      return pathUnlinkFile(guest);
    case GuestCall.poll_oneoff:
      return pollOneoff(guest, again);
    case GuestCall.proc_raise:
      return procRaise(guest);
    case GuestCall.sched_yield:
      guest.yielded = true;
      return WasiErrno.Success;
    case GuestCall.random_get:
      return randomGet(guest, again);
    case GuestCall.sock_accept:
      return sockAccept(guest, again);
    case GuestCall.sock_recv:
      return sockRecv(guest, again);
    case GuestCall.sock_send:
      return sockSend(guest, again);
    case GuestCall.sock_shutdown:
      return sockShutdown(guest);
    default:
      return WasiErrno.Nosys;
  }
}
