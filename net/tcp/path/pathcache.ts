import { reserve } from "../../../kernel/memory";
import { addressHash } from "../../hash";
import { IpAddress } from "../../wire/address";

/**
 * Paths that carry less than our link does, by destination: a bounded number, the longest unused
 * makes room. What one connection has found out the next one begins with, and one that has been at
 * rest goes on with.
 */

/** 48 bytes. */
@unmanaged
export class Path {
  private hi: u64;
  private lo: u64;
  /** When a larger segment is to be tried, ns. */
  searchAt: u64;
  /** When it was last asked for, ns. */
  usedAt: u64;
  /** Segments of this many bytes, options included, arrive; and of this many do not. */
  low: u16;
  high: u16;
  /** `wayOf` its route. */
  way: u32;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }
}

/** Of so many whose hashes agree one makes room. */
const WAYS: u32 = 4;
const SETS: u32 = 64;
let table: usize = 0;
/** Whether any path has ever been learnt: most machines meet none. */
let learnt = false;

/** Reserves the table. Start-up only. */
export function pathsInit(): void {
  table = reserve(SETS * WAYS * <u32>offsetof<Path>(), 8);
  learnt = false;
}


@inline function setOf(address: IpAddress): usize {
  const set = addressHash(address.hi, address.lo, 0) & (SETS - 1);
  return table + <usize>(set * WAYS) * offsetof<Path>();
}


@inline function after(path: Path): Path {
  return changetype<Path>(changetype<usize>(path) + offsetof<Path>());
}

/** What is known of the path to `address` by a way (`wayFrom`), or null: then it carries what the link does. */
export function pathTo(address: IpAddress, way: u32, now: u64): Path | null {
  if (!learnt) return null;
  let path = changetype<Path>(setOf(address));
  for (let i: u32 = 0; i < WAYS; i++, path = after(path)) {
    if (path.low && path.address.equals(address) && path.way == way) {
      path.usedAt = now;
      return path;
    }
  }
  return null;
}

/** The same, with a new entry for a path that is not known; all of it is for the caller to set. */
export function pathLearn(address: IpAddress, way: u32, now: u64): Path {
  const known = pathTo(address, way, now);
  if (known !== null) return known;
  learnt = true;
  let oldest = changetype<Path>(setOf(address));
  let path = oldest;
  for (let i: u32 = 1; i < WAYS; i++) {
    path = after(path);
    if (path.usedAt < oldest.usedAt) oldest = path;
  }
  memory.fill(changetype<usize>(oldest), 0, offsetof<Path>());
  oldest.address.copy(address);
  oldest.way = way;
  oldest.usedAt = now;
  return oldest;
}

/** The path carries what the link does after all. */
export function pathForget(path: Path): void {
  path.low = 0;
  path.usedAt = 0;
}
