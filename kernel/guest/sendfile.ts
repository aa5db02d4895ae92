import { SendFlag, SocketEvent, SocketType } from "../../sdk/assembly/syscalls";
import { Errno } from "../errno";
import { blockAt } from "../files/blocks";
import { treeEntry } from "../files/tree";
import { PAGE } from "../files/volume";
import * as sockets from "../socket";
import { Description, DescriptorKind } from "./descriptors";
import { WasiErrno } from "./errno";
import { OpenFile, fileAt, fileFault } from "./files";
import { Guest } from "./guest";
import { SocketDescription } from "./sockets";
import { result, waiting } from "./transfer";
import { Right } from "./wasi/rights";

/**
 * A file's bytes to a stream, as sendfile(2) of Linux: those of the pack are sent from where they lie, at
 * the cost of one call however many they are; those of a RAM directory, which may change, are copied
 * once.
 */

/** Most bytes that one call queues: what is told fits an i32, and no window is longer. */
const PACK_AT_ONCE: u32 = 1 << 29;
const RAM_AT_ONCE: u32 = 1 << 20;

/** What a hole is made of. */
const zeroes: usize = memory.data(4096);

/** (fd, file, offset, length): bytes that found room. An offset below 0 is the file's own, which moves on. */
export function sendFile(guest: Guest, again: bool): i32 {
  const record = guest.record;
  const d = guest.descriptors.at(<u32>record.argument(0));
  if (d === null) return -WasiErrno.Badf;
  if (d.kind != <u8>DescriptorKind.Socket) return -WasiErrno.Notsock;
  if (changetype<SocketDescription>(d).type != <u8>SocketType.Stream) return -WasiErrno.Notsup;
  const fd = <u32>record.argument(1);
  const file = fileAt(guest, fd, Right.FdRead, WasiErrno.Inval, WasiErrno.Inval);
  if (file === null) return -(<i32>fileFault());
  const own = <i64>record.argument(2) < 0;
  const offset = own ? file.offset : record.argument(2);
  const size = file.mount.size(file.node);
  const left = offset < size ? size - offset : 0;
  const most = file.mount.isReadOnly ? PACK_AT_ONCE : RAM_AT_ONCE;
  const length = <u32>min<u64>(min<u64>(<u32>record.argument(3), left), most);
  const sent = file.mount.isReadOnly
    ? fromPack(d, file, <u32>offset, length)
    : fromRam(d, file, offset, length);
  if (sent == -Errno.EAGAIN) return waiting(guest, d, SocketEvent.Writable, 0, false, again);
  if (sent < 0) return result(sent);
  if (own) file.offset += sent;
  return sent;
}

/** All or nothing: a queue that is full takes no more, though these bytes take no room in it. */
function fromPack(d: Description, file: OpenFile, offset: u32, length: u32): i32 {
  const number = d.object;
  const ready = SocketEvent.Writable | SocketEvent.Error | SocketEvent.Hangup;
  const full = sockets.queued(number) && !(sockets.events(number) & ready);
  if (length && full) return -Errno.EAGAIN;
  const sent = sockets.sendStatic(number, treeEntry(file.node).body + offset, length);
  // So many pieces that none is left to tell of one more: full, too.
  return sent == -Errno.ENOBUFS ? -Errno.EAGAIN : sent;
}

/** As much as there is room for, page by page. */
function fromRam(d: Description, file: OpenFile, offset: u64, length: u32): i32 {
  const volume = file.mount.volume!;
  const inode = file.mount.inode(file.node);
  let sent: u32 = 0;
  do {
    const part = min<u32>(length - sent, PAGE - ((<u32>(offset + sent)) & (PAGE - 1)));
    const at = blockAt(volume, inode, offset + sent);
    const more = sent + part < length ? SendFlag.More : 0;
    const queued = sockets.send(d.object, at ? at : zeroes, part, SendFlag.NoSignal | more);
    if (queued < 0) return sent ? sent : queued;
    sent += queued;
    if (<u32>queued < part) break;
  } while (sent < length);
  return sent;
}
