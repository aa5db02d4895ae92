import { Errno } from "../../kernel/errno";
import { random32 } from "../../kernel/random";
import { IpAddress } from "../wire/address";
import { connections, tupleHash } from "./demux";
import { SettingBit } from "./settings";
import { State, Tcb, TcbFlag } from "./tcb";
import { timeWaitFind, timeWaitReusable } from "./timewait";

/**
 * Local ports: who has bound one, who listens on one, and which are free for connecting out. Bound
 * blocks hang on chains by port; a machine has few of them, and a chain's length is not in the
 * hands of strangers.
 */

const BUCKETS: u32 = 256;
const buckets: usize = memory.data(256 * 4, 64);

/** Ports to choose from: many (RFC 6056, 3.2), and none that services are usually found at. */
const EPHEMERAL_FIRST: u32 = 32768;
const EPHEMERAL_COUNT: u32 = 32768;
/** How many ports each of so many groups of destinations has used: the table of RFC 6056, 3.3.4. */
const counters: usize = memory.data(64 * 4, 64);


@inline function bucket(port: u32): usize {
  return buckets + ((<usize>(port & (BUCKETS - 1))) << 2);
}


@inline function first(port: u32): Tcb | null {
  return changetype<Tcb | null>(load<usize>(bucket(port)));
}

/** Whether `t` holds this port on this address, or one is for all of the other's. */
@inline function holds(t: Tcb, address: IpAddress, port: u32): bool {
  return t.localPort == port && t.local.overlaps(address);
}

/**
 * Whether somebody has bound this port on this address, or on all when either is unspecified, and does
 * not share it with `t`, if that is not null.
 */
function taken(address: IpAddress, port: u32, t: Tcb | null): bool {
  let other = first(port);
  while (other !== null) {
    if (holds(other, address, port) && (t === null || !share(t, other))) return true;
    other = other.portNext;
  }
  return false;
}

/** Whether both want to be members of a group of listeners. */
@inline function together(one: Tcb, other: Tcb): bool {
  return one.settings.has(SettingBit.ReusePort) && other.settings.has(SettingBit.ReusePort);
}

/** Whether `t` may have the port beside `other`: in a group, or as long as that does not listen. */
function share(t: Tcb, other: Tcb): bool {
  if (together(t, other)) return true;
  if (other.state == State.Listen || !other.settings.has(SettingBit.ReuseAddress)) return false;
  return t.settings.has(SettingBit.ReuseAddress);
}

/** Whether another that has bound the port of `t`, on an address of it, listens, and not with it. */
export function listenerConflicts(t: Tcb): bool {
  let other = first(t.localPort);
  while (other !== null) {
    if (other !== t && other.state == State.Listen && holds(other, t.local, t.localPort)) {
      if (!together(t, other)) return true;
    }
    other = other.portNext;
  }
  return false;
}

/**
 * Binds `t` to an address and port; port 0 chooses a free one. 0 or -EADDRINUSE. Connections that a
 * listener has accepted are no obstacle, nor those in TIME-WAIT, whatever SO_REUSEADDR says: their
 * tuples are told apart.
 */
export function bind(t: Tcb, address: IpAddress, port: u32): i32 {
  if (port == 0) {
    port = choosePort(address);
    if (port == 0) return -Errno.EADDRINUSE;
  } else if (taken(address, port, t)) {
    return -Errno.EADDRINUSE;
  }
  t.local.copy(address);
  t.localPort = <u16>port;
  const head = bucket(port);
  t.portNext = changetype<Tcb | null>(load<usize>(head));
  store<usize>(head, changetype<usize>(t));
  t.raise(TcbFlag.Bound);
  return 0;
}

/** Takes `t` off its chain. */
export function unbind(t: Tcb): void {
  const head = bucket(t.localPort);
  let at = changetype<Tcb>(load<usize>(head));
  if (at === t) {
    store<usize>(head, changetype<usize>(t.portNext));
    return;
  }
  while (at.portNext !== t) at = changetype<Tcb>(at.portNext);
  at.portNext = t.portNext;
}

/** A free port to bind, chosen at random (RFC 6056, 3.3.1), or 0. */
function choosePort(address: IpAddress): u32 {
  const start = random32();
  for (let i: u32 = 0; i < EPHEMERAL_COUNT; i++) {
    const port = EPHEMERAL_FIRST + ((start + i) % EPHEMERAL_COUNT);
    if (!taken(address, port, null)) return port;
  }
  return 0;
}

/**
 * Whether this tuple may not be connected: a connection has it, or had it so lately that its segments
 * could be taken for those of the next.
 */
export function tupleTaken(
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
  now: u64,
): bool {
  const hash = tupleHash(local, localPort, remote, remotePort);
  if (connections.find(hash, local, localPort, remote, remotePort) !== null) return true;
  const old = timeWaitFind(hash, local, localPort, remote, remotePort);
  return old !== null && !timeWaitReusable(old, now);
}

/** The destination connected to last, and its hash: clients have few. */
const lastLocal = changetype<IpAddress>(memory.data(16, 8));
const lastRemote = changetype<IpAddress>(memory.data(16, 8));
let lastPort: u32 = 0;
let lastHash: u32 = 0;

/** The hash of a tuple whose local port is yet to be chosen. */
@inline function destinationHash(local: IpAddress, remote: IpAddress, remotePort: u32): u32 {
  if (remotePort != lastPort || !remote.equals(lastRemote) || !local.equals(lastLocal)) {
    lastHash = tupleHash(local, 0, remote, remotePort);
    lastPort = remotePort;
    lastRemote.copy(remote);
    lastLocal.copy(local);
  }
  return lastHash;
}

/**
 * A port from which `local` can connect to `remote`, or 0. A port follows the one chosen last for the
 * same or a few other destinations, from a place that a keyed hash of the destination gives (RFC 6056,
 * 3.3.4), so the port used longest ago comes next and the first try is nearly always right. Costs a
 * look at every port when all are taken.
 */
export function chooseSource(local: IpAddress, remote: IpAddress, remotePort: u32, now: u64): u32 {
  const hash = destinationHash(local, remote, remotePort);
  const counter = counters + ((<usize>(hash >> 26)) << 2);
  const start = hash + load<u32>(counter);
  for (let i: u32 = 0; i < EPHEMERAL_COUNT; i++) {
    const port = EPHEMERAL_FIRST + ((start + i) % EPHEMERAL_COUNT);
    if (!taken(local, port, null) && !tupleTaken(local, port, remote, remotePort, now)) {
      store<u32>(counter, load<u32>(counter) + i + 1);
      return port;
    }
  }
  return 0;
}

/** Whether `t` listens on this port for this address. */
@inline function listens(t: Tcb, address: IpAddress, port: u32): bool {
  return t.localPort == port && t.state == State.Listen && t.local.covers(address);
}

/**
 * Who listens on this port for this address: an exact match before the unspecified address; of a group
 * (SO_REUSEPORT) the one that the connection's hash chooses, the same as long as the group is. Costs a
 * step for each that has bound the port.
 */
export function listenerFind(address: IpAddress, port: u32, hash: u32): Tcb | null {
  let best: Tcb | null = null;
  let alike: u32 = 0;
  let t = first(port);
  while (t !== null) {
    if (listens(t, address, port)) {
      if (best === null || (best.local.isAny && !t.local.isAny)) {
        best = t;
        alike = 1;
      } else if (best.local.isAny == t.local.isAny) {
        alike++;
      }
    }
    t = t.portNext;
  }
  if (best === null || alike == 1) return best;
  const general = best.local.isAny;
  let left = <u32>((<u64>hash * alike) >> 32);
  let member: Tcb | null = best;
  while (member !== null) {
    const fits = listens(member, address, port) && member.local.isAny == general;
    if (fits && left-- == 0) return member;
    member = member.portNext;
  }
  return best;
}
