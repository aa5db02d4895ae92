/**
 * kernel/host.ts for a guest: what a program that is made for the kernel wants of the machine, from WASI
 * preview 1. The kernel's own files for memory, time and the log are compiled upon it as they are.
 *
 * The pack of files is `site.pack` in the first folder that the guest is given.
 */

/** Memory for all that `reserve` gives, beside the pack. */
const RAM_BYTES: u32 = 3 << 20;

/** WASI: the first folder given; `clockid`; what there is of `rights` to read a file. */
const FOLDER: u32 = 3;
const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;
const RIGHTS: u64 = (1 << 1) | (1 << 21); // fd_read, fd_filestat_get
const STANDARD_ERROR: u32 = 2;
/** Of `filestat`: its bytes, and where the size is. */
const FILESTAT: i32 = 64;
const FILESTAT_SIZE: usize = 32;
const PANICKED: u32 = 134;


@external("wasi_snapshot_preview1", "clock_time_get")
declare function clockTime(clock: u32, precision: u64, into: usize): u32;


@external("wasi_snapshot_preview1", "fd_write")
declare function fdWrite(fd: u32, list: usize, count: u32, into: usize): u32;


@external("wasi_snapshot_preview1", "fd_read")
declare function fdRead(fd: u32, list: usize, count: u32, into: usize): u32;


@external("wasi_snapshot_preview1", "fd_close")
declare function fdClose(fd: u32): u32;


@external("wasi_snapshot_preview1", "fd_filestat_get")
declare function fdStatistics(fd: u32, into: usize): u32;


@external("wasi_snapshot_preview1", "path_open")
declare function pathOpen(
  folder: u32,
  lookup: u32,
  path: usize,
  length: u32,
  openFlags: u32,
  rights: u64,
  inherited: u64,
  flags: u32,
  into: usize,
): u32;


@external("wasi_snapshot_preview1", "proc_exit")
declare function exitProcess(code: u32): void;

/** What kernel/memory.ts asks about. */
export const enum HostKind {
  Metal = 1,
  Node = 2,
  Process = 3,
}


@unmanaged
export class BootInfo {
  kind: u32;
  packLength: u32;
  pack: usize;
  ram: usize;
  ramLength: u32;
  bootNs: u64;
}

/** An `iovec`, and a number that a call writes. */
const list: usize = memory.data(16, 8);
const word: usize = list + 8;
const time: usize = memory.data(8, 8);
const statistics: usize = memory.data(FILESTAT, 8);
/** "site.pack" */
const packName: usize = memory.data<u8>([115, 105, 116, 101, 46, 112, 97, 99, 107]);

/** Takes `length` zeroed bytes for good, or 0. */
function grow(length: u32): usize {
  const before = memory.grow(<i32>((length + 65535) >> 16));
  return before < 0 ? 0 : (<usize>before) << 16;
}

export function bootInfo(into: usize): void {
  const boot = changetype<BootInfo>(into);
  // Fresh pages are zeroes, as a process's are.
  boot.kind = HostKind.Process;
  boot.ram = grow(RAM_BYTES);
  boot.ramLength = boot.ram ? RAM_BYTES : 0;
  boot.bootNs = monotonic();
  if (pathOpen(FOLDER, 0, packName, 9, 0, RIGHTS, 0, 0, word)) return;
  const fd = load<u32>(word);
  const length: u32 = fdStatistics(fd, statistics) ? 0 : load<u32>(statistics, FILESTAT_SIZE);
  const pack = length ? grow(length) : 0;
  let filled: u32 = 0;
  while (pack && filled < length) {
    store<u32>(list, <u32>(pack + filled));
    store<u32>(list, length - filled, 4);
    if (fdRead(fd, list, 1, word) || !load<u32>(word)) break;
    filled += load<u32>(word);
  }
  if (filled) packFd = fd;
  else fdClose(fd);
  boot.pack = pack;
  boot.packLength = filled;
}

let packFd: u32 = 0;

/** The pack as an open file, of which the bytes in memory are a copy; 0 without one. */
@inline export function packFile(): u32 {
  return packFd;
}

function clock(id: u32): u64 {
  clockTime(id, 0, time);
  return load<u64>(time);
}

export function monotonic(): u64 {
  return clock(CLOCK_MONOTONIC);
}

export function wallClock(): u64 {
  return clock(CLOCK_REALTIME);
}

export function consoleWrite(text: usize, length: u32): void {
  store<u32>(list, <u32>text);
  store<u32>(list, length, 4);
  fdWrite(STANDARD_ERROR, list, 1, word);
}

export function panic(text: usize, length: u32): void {
  consoleWrite(text, length);
  exitProcess(PANICKED);
}
