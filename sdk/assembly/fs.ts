import { fdClose } from "./calls";
import { Done, Errno, Result } from "./errors";

export { Done } from "./errors";

/**
 * Files: folders of the image, read-only, and directories in RAM, as `files` in skerry.toml mounts them. Paths are
 * absolute.
 */

/** Of WASI preview 1: `oflags`, `rights`, `lookupflags`, `filetype`, `whence`. */
const CREATE: u32 = 1;
const TRUNCATE: u32 = 8;
const RIGHT_READ: u64 = 1 << 1;
const RIGHT_SEEK: u64 = 1 << 2;
const RIGHT_WRITE: u64 = 1 << 6;
const RIGHT_STAT: u64 = 1 << 21;
const RIGHT_LIST: u64 = 1 << 14;
const OPEN_DIRECTORY: u32 = 2;
const FOLLOW: u32 = 1;
const APPEND: u32 = 1;
const TYPE_DIRECTORY: u8 = 3;
const TYPE_FILE: u8 = 4;

/** `filestat`, `dirent`. */
const STAT_BYTES: u32 = 64;
const STAT_TYPE: u32 = 16;
const STAT_SIZE: u32 = 32;
const STAT_MODIFIED: u32 = 48;
const ENTRY_BYTES: u32 = 24;
const ENTRY_LENGTH: u32 = 16;
const ENTRY_TYPE: u32 = 20;

/** The first descriptor that may be a mounted directory. */
const FIRST_MOUNT: i32 = 3;
const LIST_BUFFER: u32 = 4096;


@external("wasi_snapshot_preview1", "fd_prestat_get")
declare function fdPrestatGet(fd: i32, into: usize): i32;


@external("wasi_snapshot_preview1", "fd_prestat_dir_name")
declare function fdPrestatDirName(fd: i32, into: usize, length: u32): i32;


@external("wasi_snapshot_preview1", "path_open")
declare function pathOpen(
  fd: i32,
  lookup: u32,
  path: usize,
  length: u32,
  how: u32,
  rights: u64,
  inherited: u64,
  flags: u32,
  into: usize,
): i32;


@external("wasi_snapshot_preview1", "path_filestat_get")
declare function pathStat(fd: i32, lookup: u32, path: usize, length: u32, into: usize): i32;


@external("wasi_snapshot_preview1", "path_create_directory")
declare function pathCreateDirectory(fd: i32, path: usize, length: u32): i32;


@external("wasi_snapshot_preview1", "path_remove_directory")
declare function pathRemoveDirectory(fd: i32, path: usize, length: u32): i32;


@external("wasi_snapshot_preview1", "path_unlink_file")
declare function pathUnlink(fd: i32, path: usize, length: u32): i32;


@external("wasi_snapshot_preview1", "path_rename")
declare function pathRename(
  fd: i32,
  path: usize,
  length: u32,
  toFd: i32,
  to: usize,
  toLength: u32,
): i32;


@external("wasi_snapshot_preview1", "fd_read")
declare function fdRead(fd: i32, vectors: usize, count: u32, into: usize): i32;


@external("wasi_snapshot_preview1", "fd_write")
declare function fdWrite(fd: i32, vectors: usize, count: u32, into: usize): i32;


@external("wasi_snapshot_preview1", "fd_filestat_get")
declare function fdStat(fd: i32, into: usize): i32;


@external("wasi_snapshot_preview1", "fd_readdir")
declare function fdReaddir(fd: i32, into: usize, length: u32, cookie: u64, used: usize): i32;

const stat = memory.data(STAT_BYTES, 8);
const vector = memory.data(8, 8);
const answer = memory.data(8, 8);
const listing = memory.data(LIST_BUFFER, 8);

/** What a path leads to. */
@final
export class Stat {
  constructor(
    readonly isFile: bool,
    readonly isDirectory: bool,
    /** Bytes. */
    readonly size: u64,
    /** Last change: ms since 1970. */
    readonly modified: i64,
  ) {}
}


@final
export class Entry {
  constructor(
    readonly name: string,
    readonly isDirectory: bool,
  ) {}
}

const done: Done = new Done();

class Mount {
  constructor(
    readonly fd: i32,
    readonly path: string,
  ) {}
}

let mounts: Array<Mount> | null = null;

/** The directories that the guest was given. */
function mountList(): Array<Mount> {
  const known = mounts;
  if (known !== null) return known;
  const found: Array<Mount> = [];
  for (let fd = FIRST_MOUNT; fdPrestatGet(fd, answer) == 0; fd++) {
    const name = new ArrayBuffer(load<u32>(answer, 4));
    fdPrestatDirName(fd, changetype<usize>(name), name.byteLength);
    found.push(new Mount(fd, String.UTF8.decode(name)));
  }
  mounts = found;
  return found;
}

/** A path, seen from the mount that it lies in. */
class Place {
  constructor(
    readonly fd: i32,
    readonly name: ArrayBuffer,
  ) {}

  get at(): usize {
    return changetype<usize>(this.name);
  }

  get length(): u32 {
    return this.name.byteLength;
  }
}

function placeOf(path: string): Place | null {
  const list = mountList();
  let best: Mount | null = null;
  for (let i = 0; i < list.length; i++) {
    const mount = list[i];
    const within = mount.path == "/" || path == mount.path || path.startsWith(mount.path + "/");
    if (within && (best === null || mount.path.length > best.path.length)) best = mount;
  }
  if (best === null) return null;
  let name = path.substring(best.path == "/" ? 0 : best.path.length);
  while (name.startsWith("/")) name = name.substring(1);
  return new Place(best.fd, String.UTF8.encode(name.length ? name : "."));
}

/** A descriptor, or a negated `Errno`. */
function open(path: string, how: u32, rights: u64, flags: u32): i32 {
  const place = placeOf(path);
  if (place === null) return -Errno.NotCapable;
  const length = place.length;
  const error = pathOpen(place.fd, FOLLOW, place.at, length, how, rights, rights, flags, answer);
  return error ? -error : load<i32>(answer);
}

/** The whole of a file. */
export function readFile(path: string): Result<Uint8Array> {
  const what = `read ${path}`;
  const fd = open(path, 0, RIGHT_READ | RIGHT_SEEK | RIGHT_STAT, 0);
  if (fd < 0) return Result.fails<Uint8Array>(-fd, what);
  let error = fdStat(fd, stat);
  if (!error && load<u8>(stat, STAT_TYPE) == TYPE_DIRECTORY) error = Errno.IsDirectory;
  const bytes = new Uint8Array(error ? 0 : <i32>load<u64>(stat, STAT_SIZE));
  let length = 0;
  while (!error && length < bytes.length) {
    store<usize>(vector, bytes.dataStart + length);
    store<u32>(vector, bytes.length - length, 4);
    error = fdRead(fd, vector, 1, answer);
    const count = load<i32>(answer);
    if (!error && !count) break; // it has become shorter
    length += count;
  }
  fdClose(fd);
  if (error) return Result.fails<Uint8Array>(error, what);
  return Result.of<Uint8Array>(length < bytes.length ? bytes.slice(0, length) : bytes);
}

/** The whole of a file, as text. */
export function readText(path: string): Result<string> {
  const bytes = readFile(path);
  const error = bytes.error;
  if (error !== null) return Result.fails<string>(error.errno, error.what);
  return Result.of<string>(String.UTF8.decode(bytes.value.buffer));
}

/** Writes a file, in place of what was there. */
export function writeFile(path: string, bytes: Uint8Array): Result<Done> {
  return put(path, bytes, CREATE | TRUNCATE, 0);
}

/** Writes a file of text, in place of what was there. */
export function writeText(path: string, text: string): Result<Done> {
  return writeFile(path, Uint8Array.wrap(String.UTF8.encode(text)));
}

/** Adds to the end of a file, which need not be there. */
export function appendFile(path: string, bytes: Uint8Array): Result<Done> {
  return put(path, bytes, CREATE, APPEND);
}

function put(path: string, bytes: Uint8Array, how: u32, flags: u32): Result<Done> {
  const what = `write ${path}`;
  const fd = open(path, how, RIGHT_WRITE | RIGHT_SEEK, flags);
  if (fd < 0) return Result.fails<Done>(-fd, what);
  let error = 0;
  for (let sent = 0; !error && sent < bytes.length; sent += load<i32>(answer)) {
    store<usize>(vector, bytes.dataStart + sent);
    store<u32>(vector, bytes.length - sent, 4);
    error = fdWrite(fd, vector, 1, answer);
    if (!error && !load<i32>(answer)) error = Errno.NoSpace;
  }
  fdClose(fd);
  return outcome(error, what);
}

function outcome(error: i32, what: string): Result<Done> {
  return error ? Result.fails<Done>(error, what) : Result.of<Done>(done);
}

/** What a path leads to. */
export function statOf(path: string): Result<Stat> {
  const what = `look at ${path}`;
  const place = placeOf(path);
  if (place === null) return Result.fails<Stat>(Errno.NotCapable, what);
  const error = pathStat(place.fd, FOLLOW, place.at, place.length, stat);
  if (error) return Result.fails<Stat>(error, what);
  const type = load<u8>(stat, STAT_TYPE);
  const modified = <i64>(load<u64>(stat, STAT_MODIFIED) / 1_000_000);
  return Result.of<Stat>(
    new Stat(type == TYPE_FILE, type == TYPE_DIRECTORY, load<u64>(stat, STAT_SIZE), modified),
  );
}

/** What is in a directory, without "." and "..". */
export function readDirectory(path: string): Result<Array<Entry>> {
  const what = `list ${path}`;
  const fd = open(path, OPEN_DIRECTORY, RIGHT_LIST | RIGHT_STAT, 0);
  if (fd < 0) return Result.fails<Array<Entry>>(-fd, what);
  const entries: Array<Entry> = [];
  let cookie: u64 = 0;
  let error = 0;
  while (true) {
    error = fdReaddir(fd, listing, LIST_BUFFER, cookie, answer);
    if (error) break;
    const used = load<u32>(answer);
    let at: u32 = 0;
    let taken = 0;
    while (at + ENTRY_BYTES <= used) {
      const entry = listing + at;
      const length = load<u32>(entry, ENTRY_LENGTH);
      if (at + ENTRY_BYTES + length > used) break; // cut: the next call begins with it
      const name = String.UTF8.decodeUnsafe(entry + ENTRY_BYTES, length);
      if (name != "." && name != "..") {
        entries.push(new Entry(name, load<u8>(entry, ENTRY_TYPE) == TYPE_DIRECTORY));
      }
      cookie = load<u64>(entry);
      at += ENTRY_BYTES + length;
      taken++;
    }
    if (used < LIST_BUFFER || !taken) break;
  }
  fdClose(fd);
  return error ? Result.fails<Array<Entry>>(error, what) : Result.of<Array<Entry>>(entries);
}

export function createDirectory(path: string): Result<Done> {
  const place = placeOf(path);
  return outcome(
    place === null ? Errno.NotCapable : pathCreateDirectory(place.fd, place.at, place.length),
    `make the directory ${path}`,
  );
}

/** Removes a directory, which must be empty. */
export function removeDirectory(path: string): Result<Done> {
  const place = placeOf(path);
  return outcome(
    place === null ? Errno.NotCapable : pathRemoveDirectory(place.fd, place.at, place.length),
    `remove ${path}`,
  );
}

export function removeFile(path: string): Result<Done> {
  const place = placeOf(path);
  return outcome(
    place === null ? Errno.NotCapable : pathUnlink(place.fd, place.at, place.length),
    `remove ${path}`,
  );
}

/** Gives a file or directory another name within its mount. */
export function rename(path: string, to: string): Result<Done> {
  const from = placeOf(path);
  const place = placeOf(to);
  return outcome(
    from === null || place === null
      ? Errno.NotCapable
      : pathRename(from.fd, from.at, from.length, place.fd, place.at, place.length),
    `rename ${path}`,
  );
}
