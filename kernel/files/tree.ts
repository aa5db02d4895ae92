import { PackEntry, PackFlag, packCount, packEntry, packFind } from "../pack";

/**
 * A folder of the image's pack as a tree to walk. The pack knows files by their whole paths, in order;
 * so a directory is the run of paths that begin with its own, and there is nothing to build: a name is
 * found by the pack's hash or, for a directory, in log n steps.
 *
 * A node is a number: the first path of it, plus 1; from bit 32 on how long its own path is, which is how
 * that path begins; the top bit for a directory. What a web server's pack has beside its files (an
 * index under its directory's name, redirects) is not there.
 */

const DIRECTORY: u64 = 1 << 63;
const SLASH: u8 = 0x2f;
/** The longest path that tools/pack makes, a name and its slashes. */
const PATH_BYTES: u32 = 4096 + 256 + 2;

/** The path that is looked for. */
const path: usize = memory.data(4096 + 256 + 2);


@inline function directoryNode(first: u32, length: u32): u64 {
  return DIRECTORY | ((<u64>length) << 32) | (first + 1);
}


@inline function firstOf(node: u64): u32 {
  return <u32>node - 1;
}

/** Number of the pack's entry that a file is; for a directory of the first in it. */
@inline export function treeEntry(node: u64): PackEntry {
  return packEntry(firstOf(node));
}


@inline export function treeIsDirectory(node: u64): bool {
  return (node & DIRECTORY) != 0;
}


@inline function lengthOf(node: u64): u32 {
  return (<u32>(node >> 32)) & 0xffff;
}

/** Number of the first path that is not before the `length` bytes in `path`. */
function lowerBound(length: u32): u32 {
  let low: u32 = 0;
  let high = packCount();
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = packEntry(middle);
    const order = memory.compare(entry.path, path, min<u32>(entry.pathLength, length));
    if (order < 0 || (!order && <u32>entry.pathLength < length)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether path number `index` begins with the `length` bytes in `path`. */
function begins(index: u32, length: u32): bool {
  if (index >= packCount()) return false;
  const entry = packEntry(index);
  return <u32>entry.pathLength >= length && !memory.compare(entry.path, path, length);
}

/** The folder whose path is the `length` bytes at `at`, without a slash at its end; it may hold nothing. */
export function treeRoot(at: usize, length: u32): u64 {
  if (length > PATH_BYTES - 1) length = 0;
  memory.copy(path, at, length);
  store<u8>(path + length, SLASH);
  return directoryNode(lowerBound(length + 1), length);
}

/** Puts the path of something in a directory into `path`: its length, or 0 when it is too long to exist. */
function pathIn(directory: u64, name: usize, length: u32): u32 {
  const above = lengthOf(directory);
  const first = firstOf(directory);
  if (first >= packCount() || above + length + 2 > PATH_BYTES) return 0;
  memory.copy(path, packEntry(first).path, above);
  store<u8>(path + above, SLASH);
  memory.copy(path + above + 1, name, length);
  return above + 1 + length;
}

/** What has a name in a directory, or 0. */
export function treeFind(directory: u64, name: usize, length: u32): u64 {
  const whole = pathIn(directory, name, length);
  if (!whole) return 0;
  const index = packFind(path, whole);
  if (index >= 0 && !(packEntry(index).flags & PackFlag.Redirect)) {
    return ((<u64>whole) << 32) | (<u32>index + 1);
  }
  store<u8>(path + whole, SLASH);
  const first = lowerBound(whole + 1);
  return begins(first, whole + 1) ? directoryNode(first, whole) : 0;
}

/** The directory above one that is not a root. */
export function treeParent(directory: u64): u64 {
  let length = lengthOf(directory);
  const from = treeEntry(directory).path;
  while (length && load<u8>(from + --length) != SLASH);
  memory.copy(path, from, length + 1);
  return directoryNode(lowerBound(length + 1), length);
}

let listedName: usize = 0;
let listedLength: u32 = 0;
let listedNext: u32 = 0;

/**
 * What is at `place` of a directory or behind it: a node, or 0. Places count the pack's paths; `treeName`,
 * `treeNameLength` and `treeNext` say what it is called and where to go on.
 */
export function treeFrom(directory: u64, place: u32): u64 {
  const above = lengthOf(directory);
  const first = firstOf(directory);
  for (let whole = pathIn(directory, 0, 0); whole; place++) {
    const index = first + place;
    if (index < first || !begins(index, whole)) break;
    const entry = packEntry(index);
    const name = entry.path + whole;
    const rest = <u32>entry.pathLength - whole;
    let length: u32 = 0;
    while (length < rest && load<u8>(name + length) != SLASH) length++;
    if (!length || entry.flags & PackFlag.Redirect) continue;
    listedName = name;
    listedLength = length;
    if (length == rest) {
      listedNext = place + 1;
      return ((<u64>entry.pathLength) << 32) | (index + 1);
    }
    // Behind all that begins with it and a slash.
    if (!pathIn(directory, name, length)) break;
    const end = above + 1 + length;
    store<u8>(path + end, SLASH + 1);
    listedNext = lowerBound(end + 1) - first;
    return directoryNode(index, end);
  }
  return 0;
}


@inline export function treeName(): usize {
  return listedName;
}


@inline export function treeNameLength(): u32 {
  return listedLength;
}


@inline export function treeNext(): u32 {
  return listedNext;
}
