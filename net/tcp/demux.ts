import { prefetch } from "../../kernel/host";
import { reserve } from "../../kernel/memory";
import { sipHashRun, sipHashWords } from "../../kernel/siphash";
import { randomFill } from "../../kernel/random";
import { IpAddress } from "../wire/address";
import { Tcb, Tuple } from "./tcb";

/**
 * From a segment's addresses and ports to what it belongs to. Three tables of one kind: full
 * connections, half-open ones (listener.ts) and those in TIME-WAIT (timewait.ts), so that the one
 * on the hot path stays small and dense.
 *
 * Open addressing with linear probing, never more than half full; an entry is 8 bytes, hash and
 * address, so a probe reads one cache line and touches no connection but the right one. The hash
 * is keyed (SipHash): a stranger who chooses his ports cannot make chains long. Removal shifts
 * entries back, so there are no tombstones and a probe's length depends on what is there now.
 */

/** Key of the demultiplexing hash; secret, set once. */
const key: usize = memory.data(16, 8);
/**
 * The tuple of each family that was hashed last, and its hash: who opens a connection looks into
 * every table, and a handshake's segments often follow each other.
 */
let hashedPorts: u64 = 0;
let hashedAddresses: u64 = 0;
let hashed: u32 = 0;
/** `tupleWords` of IPv6. */
const words: usize = memory.data(40, 8);
let hashed6: u32 = 0;

/** Draws the key. Start-up only. */
export function demuxInit(): void {
  randomFill(key, 16);
  hashedPorts = 0;
  hashedAddresses = 0;
  hashed = <u32>sipHashWords(key, 0, 0);
  memory.fill(words, 0, 40);
  hashed6 = <u32>sipHashRun(key, words, 5);
}

/** Writes the tuple's words to `into`, 40 bytes; returns how many bytes tell tuples apart. */
@inline export function tupleWords(
  into: usize,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): u32 {
  store<u64>(into, ((<u64>localPort) << 16) | remotePort);
  if (remote.isV4) {
    store<u64>(into, ((<u64>local.v4) << 32) | remote.v4, 8);
    return 16;
  }
  store<u64>(into, local.hi, 8);
  store<u64>(into, local.lo, 16);
  store<u64>(into, remote.hi, 24);
  store<u64>(into, remote.lo, 32);
  return 40;
}

/** The keyed hash by which all three tables go. */
export function tupleHash(
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): u32 {
  if (remote.isV4) {
    const ports = ((<u64>localPort) << 16) | remotePort;
    const addresses = ((<u64>local.v4) << 32) | remote.v4;
    if (ports != hashedPorts || addresses != hashedAddresses) {
      hashedPorts = ports;
      hashedAddresses = addresses;
      hashed = <u32>sipHashWords(key, ports, addresses);
    }
    return hashed;
  }
  if (
    load<u64>(words) != (((<u64>localPort) << 16) | remotePort) ||
    load<u64>(words, 32) != remote.lo ||
    load<u64>(words, 24) != remote.hi ||
    load<u64>(words, 16) != local.lo ||
    load<u64>(words, 8) != local.hi
  ) {
    tupleWords(words, local, localPort, remote, remotePort);
    hashed6 = <u32>sipHashRun(key, words, 5);
  }
  return hashed6;
}

/** In a table half full three of four stand in the first place, and nearly all in so many: a line of the cache. */
const NEAR: u32 = 8;


@unmanaged
export class Demux {
  private entries: usize;
  private mask: u32;
  length: u32;

  /** Makes room for `capacity` tuples. Start-up only. */
  init(capacity: u32): void {
    const size = (<u32>1) << (33 - <u32>clz<u32>(max<u32>(capacity, 4) - 1));
    this.entries = reserve(size << 3, 64);
    this.mask = size - 1;
    this.length = 0;
  }


  @inline private at(index: u32): usize {
    return this.entries + ((<usize>index) << 3);
  }

  /** What has this tuple and hash, or null. */
  find(
    hash: u32,
    local: IpAddress,
    localPort: u32,
    remote: IpAddress,
    remotePort: u32,
  ): Tuple | null {
    const mask = this.mask;
    let index = hash & mask;
    for (let entry = this.at(index); load<usize>(entry, 4); entry = this.at(index)) {
      const tuple = changetype<Tuple>(load<usize>(entry, 4));
      if (load<u32>(entry) == hash && tuple.matches(local, localPort, remote, remotePort)) {
        return tuple;
      }
      index = (index + 1) & mask;
    }
    return null;
  }

  /** This hash is about to be looked up. */
  @inline foresee(hash: u32): void {
    prefetch(this.at(hash & this.mask));
  }

  /** Address of what has this hash, if it stands near where it is looked for first; else 0. */
  @inline likely(hash: u32): usize {
    const mask = this.mask;
    for (let i: u32 = 0; i < NEAR; i++) {
      const entry = this.at((hash + i) & mask);
      const found = load<usize>(entry, 4);
      if (!found || load<u32>(entry) == hash) return found;
    }
    return 0;
  }

  /** Adds what is not in it, under `tuple.hash`. The caller keeps within the capacity. */
  insert(tuple: Tuple): void {
    const mask = this.mask;
    assert(this.length <= mask >> 1);
    let index = tuple.hash & mask;
    while (load<usize>(this.at(index), 4)) index = (index + 1) & mask;
    const entry = this.at(index);
    store<u32>(entry, tuple.hash);
    store<usize>(entry, changetype<usize>(tuple), 4);
    this.length++;
  }

  /** Takes out what is in it. */
  remove(tuple: Tuple): void {
    const mask = this.mask;
    let hole = tuple.hash & mask;
    while (load<usize>(this.at(hole), 4) != changetype<usize>(tuple)) {
      assert(load<usize>(this.at(hole), 4) != 0);
      hole = (hole + 1) & mask;
    }
    // An entry further on moves into the hole unless its own place lies behind the hole.
    for (let index = (hole + 1) & mask; ; index = (index + 1) & mask) {
      const entry = this.at(index);
      const found = load<usize>(entry, 4);
      if (!found) break;
      const hash = load<u32>(entry);
      if (((index - hash) & mask) >= ((index - hole) & mask)) {
        const target = this.at(hole);
        store<u32>(target, hash);
        store<usize>(target, found, 4);
        hole = index;
      }
    }
    store<u64>(this.at(hole), 0);
    this.length--;
  }
}

/** Connections in any state from SYN-SENT to LAST-ACK. */
export const connections = changetype<Demux>(memory.data(offsetof<Demux>(), 8));
/** The connection that the last segment was for: segments come in trains. */
let latest: Tcb | null = null;

/** Hash of the tuple that `connectionFind` last found no connection for. */
let missed: u32 = 0;

/** The hash of the tuple for which `connectionFind` just returned null: the other tables' key too. */
@inline export function missedHash(): u32 {
  return missed;
}

/** Whether the last segment was for the connection of this tuple. */
@inline export function connectionLatestIs(
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): bool {
  const t = latest;
  return t !== null && t.matches(local, localPort, remote, remotePort);
}

/** The connection of this tuple, or null. */
@inline export function connectionFind(
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): Tcb | null {
  if (connectionLatestIs(local, localPort, remote, remotePort)) return latest;
  const hash = tupleHash(local, localPort, remote, remotePort);
  return connectionFindBy(hash, local, localPort, remote, remotePort);
}

/** The connection of this tuple, whose hash is known, or null. */
export function connectionFindBy(
  hash: u32,
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): Tcb | null {
  const found = connections.find(hash, local, localPort, remote, remotePort);
  if (found === null) {
    missed = hash;
    return null;
  }
  const t = changetype<Tcb>(found);
  latest = t;
  return t;
}

/** Adds a connection whose tuple and hash are set. */
export function connectionInsert(t: Tcb): void {
  connections.insert(t);
}

/** Takes a connection out. */
export function connectionRemove(t: Tcb): void {
  if (latest === t) latest = null;
  connections.remove(t);
}
