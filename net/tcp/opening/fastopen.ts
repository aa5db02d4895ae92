import { Errno } from "../../../kernel/errno";
import { sipHash } from "../../../kernel/siphash";
import { SECOND } from "../../../kernel/timer";
import { reserve } from "../../../kernel/memory";
import { addressHash } from "../../hash";
import { IpAddress } from "../../wire/address";
import { TcpOption } from "../../wire/tcp";
import { tupleWords } from "../demux";
import { options } from "../options";
import { listenerFind } from "../ports";
import { RotatingSecret } from "./secret";
import { tcpStats } from "../stats";
import { State, Tcb } from "../tcb";

/**
 * TCP Fast Open (RFC 7413): data goes with the SYN, under a cookie that the server gave the client
 * at an earlier time and that only it can make.
 *
 * A server keeps nothing but a secret. A client keeps cookies, a bounded number, by its address and
 * the server's address and port; and what it has learned about paths and servers that do not bear
 * Fast Open (4.1.3.1). Both are off unless the program asks.
 */

/** Bits of `Work.fastOpen`. */
export const enum FastOpen {
  /** The SYN waits for the program's first data, to take it along. */
  Deferred = 1,
  /** The SYN asks for a cookie. */
  Request = 2,
  /** The SYN brought a cookie, and data as far as there was any. */
  Data = 4,
  /** Accepted on the strength of a cookie: SYN-RECEIVED until the client answers. */
  Pending = 8,
  /** SYN and ACK bring the client a new cookie. */
  Reply = 16,
}

// ---- Server --------------------------------------------------------------------------------

/** How long one secret makes cookies, ns (4.1.2: they expire). */
const PERIOD: u64 = 6 * 3600 * SECOND;
const COOKIE_BYTES: u32 = 8;
/** How long a reset takes one of the requests that may be pending (5.1), ns. */
const RESET_COUNTS: u64 = 60 * SECOND;

const secret = changetype<RotatingSecret>(memory.data(offsetof<RotatingSecret>(), 8));
const words: usize = memory.data(40, 8);

/** GetCookie (4.1.2), by the secret of `parity`. */
function cookieOf(local: IpAddress, remote: IpAddress, parity: u32): u64 {
  return sipHash(secret.key(parity), words, tupleWords(words, local, 0, remote, 0));
}

/** IsCookieValid (4.1.2) of what the last SYN brought: 2 if it is of the last secret, else 1 or 0. */
function validity(local: IpAddress, remote: IpAddress): u32 {
  if (options.cookieLength != COOKIE_BYTES) return 0;
  const cookie = load<u64>(options.cookie);
  const parity = secret.parity;
  if (cookie == cookieOf(local, remote, parity)) return 1;
  return cookie == cookieOf(local, remote, parity ^ 1) ? 2 : 0;
}

/**
 * What a SYN that may have the option comes to at a listener (4.2.2, server, steps 1 to 3): 0, or
 * `Pending` if its data may be taken at once, and `Reply` if the client should have a new cookie.
 */
export function fastOpenSyn(listener: Tcb, local: IpAddress, remote: IpAddress, now: u64): u32 {
  const work = listener.work;
  const limit: u32 = listener.settings.fastOpen;
  if (!limit || !options.fastOpen) return 0;
  secret.refresh(now, PERIOD);
  if (!options.cookieLength) return FastOpen.Reply;
  const valid = validity(local, remote);
  if (!valid) {
    tcpStats.fastOpenRefused++;
    return FastOpen.Reply;
  }
  if (work.fastOpenResets && now - work.fastOpenResetAt >= RESET_COUNTS) {
    work.fastOpenPending -= work.fastOpenResets;
    work.fastOpenResets = 0;
  }
  if (<u32>work.fastOpenPending >= limit) {
    tcpStats.fastOpenOverflows++;
    return 0;
  }
  return valid == 2 ? FastOpen.Pending | FastOpen.Reply : FastOpen.Pending;
}

/** Writes the option with the client's cookie behind the others; returns how many bytes it takes. */
export function putServerCookie(at: usize, local: IpAddress, remote: IpAddress, now: u64): u32 {
  secret.refresh(now, PERIOD);
  const length = putOption(at, COOKIE_BYTES);
  store<u64>(at, cookieOf(local, remote, secret.parity), 2);
  return length;
}

/** `t` begins to be pending at `listener`. */
export function fastOpenBegin(listener: Tcb, t: Tcb, bits: u32): void {
  t.work.fastOpen = <u8>bits;
  listener.work.fastOpenPending++;
  tcpStats.fastOpenPassive++;
}

/**
 * `t` is no longer pending: its SYN is acknowledged, or it has ended. A client's reset counts for a
 * while yet, since an address that a stranger put on his SYNs sends one for each (5.1).
 */
export function fastOpenSettled(t: Tcb, reset: bool, now: u64): void {
  t.work.fastOpen &= ~(<u8>FastOpen.Pending);
  const listener = listenerFind(t.local, t.localPort, t.hash);
  // Not the one that took the SYN, if none is pending.
  if (listener === null || !listener.work.fastOpenPending) return;
  if (reset) {
    listener.work.fastOpenResets++;
    listener.work.fastOpenResetAt = now;
  } else if (listener.work.fastOpenPending > listener.work.fastOpenResets) {
    listener.work.fastOpenPending--;
  }
}

// ---- The option ----------------------------------------------------------------------------

/** Writes kind and length for a cookie of `length` bytes, which goes to `at` + 2, and pads behind it. */
function putOption(at: usize, length: u32): u32 {
  const size = length + 2;
  store<u8>(at, TcpOption.FastOpen);
  store<u8>(at, <u8>size, 1);
  let end = size;
  for (; end & 3; end++) store<u8>(at + end, TcpOption.NoOperation);
  return end;
}

/** Asks for a cookie (4.2.1, step 1); returns how many bytes that takes. */
export function putCookieRequest(at: usize): u32 {
  return putOption(at, 0);
}

// ---- Client --------------------------------------------------------------------------------

/** How long a path or server that did not bear Fast Open is spared (4.1.3.1), seconds. */
const SPARED: u32 = 3600;
/** Largest segment that a server is trusted to take in a SYN (4.1.3), over IPv4 and IPv6. */
const SYN_MSS_V4: u32 = 1460;
const SYN_MSS_V6: u32 = 1440;

/** What is known of a server. 72 bytes. */
@unmanaged
class Known {
  private localHi: u64;
  private localLo: u64;
  private remoteHi: u64;
  private remoteLo: u64;
  private cookie0: u64;
  private cookie1: u64;
  /** No Fast Open before this; and when it was last asked for: seconds of the machine's time. */
  sparedUntil: u32;
  usedAt: u32;
  port: u16;
  /** What the server takes, 0 if that is not known. */
  mss: u16;
  /** 0: no cookie. */
  cookieLength: u8;


  @inline get local(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }


  @inline get remote(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Known>("remoteHi"));
  }


  @inline get cookie(): usize {
    return changetype<usize>(this) + offsetof<Known>("cookie0");
  }
}

/** The table is as wide as this: of so many servers whose hashes agree, the longest unused goes. */
const WAYS: u32 = 4;
const SETS: u32 = 64;
let table: usize = 0;

/** Reserves the table. Start-up only. */
export function fastOpenInit(): void {
  table = reserve(SETS * WAYS * <u32>offsetof<Known>(), 8);
}


@inline function seconds(now: u64): u32 {
  return <u32>(now / SECOND);
}

/** What is known of the server to which `t` connects, or null. */
function known(t: Tcb): Known | null {
  let entry = changetype<Known>(setOf(t));
  for (let i: u32 = 0; i < WAYS; i++, entry = after(entry)) {
    if (
      entry.port == t.remotePort &&
      entry.remote.equals(t.remote) &&
      entry.local.equals(t.local)
    ) {
      return entry;
    }
  }
  return null;
}


@inline function setOf(t: Tcb): usize {
  const hash = addressHash(t.remote.hi, t.remote.lo, t.remotePort);
  return table + <usize>((hash & (SETS - 1)) * WAYS) * offsetof<Known>();
}


@inline function after(entry: Known): Known {
  return changetype<Known>(changetype<usize>(entry) + offsetof<Known>());
}

/** The same, with a new entry for a server that is not known. */
function learn(t: Tcb, now: u64): Known {
  const found = known(t);
  if (found !== null) return found;
  let oldest = changetype<Known>(setOf(t));
  let entry = oldest;
  for (let i: u32 = 1; i < WAYS; i++) {
    entry = after(entry);
    if (entry.usedAt < oldest.usedAt) oldest = entry;
  }
  memory.fill(changetype<usize>(oldest), 0, offsetof<Known>());
  oldest.local.copy(t.local);
  oldest.remote.copy(t.remote);
  oldest.port = t.remotePort;
  oldest.usedAt = seconds(now);
  return oldest;
}

/**
 * `t` is about to connect, and the program wants Fast Open: whether the SYN should wait for data.
 * If not, it asks for a cookie, or the server is to be spared.
 */
export function fastOpenConnect(t: Tcb, now: u64): bool {
  const entry = known(t);
  const time = seconds(now);
  if (entry !== null) {
    entry.usedAt = time;
    if (time < entry.sparedUntil) return false;
    if (entry.cookieLength) {
      t.work.fastOpen |= <u8>FastOpen.Deferred;
      return true;
    }
  }
  t.work.fastOpen |= <u8>FastOpen.Request;
  return false;
}

/** Writes the option with the server's cookie; returns how many bytes it takes, 0 without one. */
export function putClientCookie(at: usize, t: Tcb, room: u32): u32 {
  const entry = known(t);
  if (entry === null || !entry.cookieLength || <u32>entry.cookieLength + 2 > room) return 0;
  const length = putOption(at, entry.cookieLength);
  memory.copy(at + 2, entry.cookie, entry.cookieLength);
  return length;
}

/** The largest segment that may go with the SYN to a server whose cookie we have (4.1.3). */
export function synMss(t: Tcb, fallback: u32): u32 {
  const entry = known(t);
  if (entry === null || !entry.mss) return fallback;
  return min<u32>(entry.mss, t.remote.isV4 ? SYN_MSS_V4 : SYN_MSS_V6);
}

/**
 * The server's SYN and ACK has come, and acknowledges `taken` bytes of data of those that went with
 * our SYN. Its options have been parsed; `repeated` if our SYN was.
 */
export function fastOpenAnswered(t: Tcb, taken: u32, repeated: bool, now: u64): void {
  const bits: u32 = t.work.fastOpen;
  if (!(bits & (FastOpen.Request | FastOpen.Data))) return;
  const entry = learn(t, now);
  if (options.mss) entry.mss = <u16>min<u32>(options.mss, 0xffff);
  if (options.fastOpen && options.cookieLength) {
    entry.cookieLength = <u8>options.cookieLength;
    memory.copy(entry.cookie, options.cookie, options.cookieLength);
    entry.sparedUntil = 0;
  } else if (!taken && (bits & FastOpen.Request || t.work.fastOpenBytes)) {
    // No cookie though one was asked for, or data refused without a better one, or a SYN lost.
    entry.cookieLength = 0;
    entry.sparedUntil = seconds(now) + SPARED;
  }
  if (!(bits & FastOpen.Data)) return;
  t.work.delivered += taken;
  if (taken) tcpStats.fastOpenActive++;
  else if (t.work.fastOpenBytes || repeated) tcpStats.fastOpenActiveFailed++;
}

/** `t` ends. If it could not be opened, though the server did not refuse it, the option may be why. */
export function fastOpenEnded(t: Tcb, now: u64): void {
  const bits: u32 = t.work.fastOpen;
  if (bits & FastOpen.Pending) fastOpenSettled(t, false, now);
  if (t.state != State.SynSent || !t.error || t.error == Errno.ECONNREFUSED) return;
  if (!(bits & (FastOpen.Request | FastOpen.Data))) return;
  learn(t, now).sparedUntil = seconds(now) + SPARED;
  tcpStats.fastOpenActiveFailed++;
}
