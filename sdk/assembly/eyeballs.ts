import { Address } from "./address";
import {
  ERROR,
  HANGUP,
  NONBLOCK,
  STREAM,
  WRITABLE,
  connect,
  fdClose,
  fdSetFlags,
  poll,
} from "./calls";
import { Errno, Result } from "./errors";
import { PROMPT, lookUp, openSocket } from "./net";
import { monotonic } from "./time";

/**
 * Connecting to a name (Happy Eyeballs, RFC 8305): its addresses of both families are asked for together and tried
 * in turn, a quarter of a second apart, without giving up those before. The first that stands is the connection.
 */

/** Connection Attempt Delay and Resolution Delay, ms (8). The latter is kept by the system (`PROMPT`). */
const ATTEMPT_DELAY: f64 = 250;
const RESOLUTION_DELAY: f64 = 50;
/** Attempts under way at the same time: the oldest gives way. */
const PENDING_MAX: i32 = 16;
/** struct pollfd. */
const POLL: usize = 8;
const POLL_EVENTS: usize = 4;
const POLL_RETURNED: usize = 6;

const list = memory.data(8 * 16, 8);

/** A connection that stands: its descriptor, and which address it is. */
export class Winner {
  constructor(
    readonly fd: i32,
    readonly peer: Address,
  ) {}
}

class Race {
  /** In the order to try them; below `next` they have been. */
  private addresses: Array<Address> = [];
  private next: i32 = 0;
  /** Of attempts under way: sockets and addresses. */
  private readonly sockets: Array<i32> = [];
  private readonly peers: Array<Address> = [];
  /** No answer of name servers is awaited any more. */
  private known: bool = false;
  private error: i32 = 0;
  private what: string = "";

  constructor(
    private readonly host: string,
    private readonly port: u16,
  ) {}

  run(): Result<Winner> {
    if (!this.ask(PROMPT)) return Result.fails<Winner>(this.error, this.what);
    let attemptAt = monotonic();
    while (true) {
      const time = monotonic();
      if (time >= attemptAt || !this.sockets.length) {
        // The other family may have come meanwhile (6); with nothing else to do it is waited for.
        if (this.next == this.addresses.length && !this.known) {
          this.ask(this.sockets.length ? PROMPT : 0);
        }
        if (this.next < this.addresses.length) this.attempt();
        else if (!this.sockets.length) break;
        attemptAt = time + ATTEMPT_DELAY;
        continue;
      }
      const waits = this.next < this.addresses.length || !this.known;
      const won = this.wait(waits ? attemptAt - time : -1);
      if (won >= 0) return Result.of<Winner>(this.win(won));
      // What failed is followed by the next at once (5).
      if (won == FAILED) attemptAt = time;
    }
    return Result.fails<Winner>(this.error, this.what);
  }

  /** Looks the name up and adds what is new. False if there is nothing. */
  private ask(how: u32): bool {
    const time = monotonic();
    const found = lookUp(this.host, this.port, how);
    const error = found.error;
    if (error !== null) {
      this.known = true;
      if (!this.addresses.length) {
        this.error = error.errno;
        this.what = error.what;
      }
      return false;
    }
    // One that did not have to wait for the delay's end has all.
    this.known = !how || monotonic() - time < RESOLUTION_DELAY || hasBoth(found.value);
    const fresh: Array<Address> = [];
    for (let i = 0; i < found.value.length; i++) {
      if (!holds(this.addresses, found.value[i])) fresh.push(found.value[i]);
    }
    const tried = this.addresses.slice(0, this.next);
    const rest = this.addresses.slice(this.next).concat(fresh);
    this.addresses = tried.concat(interleaved(rest));
    return true;
  }

  /** Begins to connect to the next address. */
  private attempt(): void {
    const peer = this.addresses[this.next++];
    const fd = openSocket(STREAM, null);
    if (fd < 0) return this.fails(-fd, peer);
    fdSetFlags(fd, NONBLOCK);
    const result = connect(fd, changetype<usize>(peer));
    if (result < 0 && result != -Errno.InProgress) {
      fdClose(fd);
      return this.fails(-result, peer);
    }
    if (this.sockets.length == PENDING_MAX) {
      fdClose(this.sockets.shift());
      this.peers.shift();
    }
    this.sockets.push(fd);
    this.peers.push(peer);
  }

  private fails(errno: i32, peer: Address): void {
    this.error = errno;
    this.what = `connect to ${peer.toString()}`;
  }

  /** Waits for one of the attempts, for `ms`, below 0 for ever: its place, `FAILED` if some did, `NOTHING`. */
  private wait(ms: f64): i32 {
    const count = this.sockets.length;
    for (let i = 0; i < count; i++) {
      const at = list + <usize>i * POLL;
      store<i32>(at, this.sockets[i]);
      store<u32>(at, WRITABLE, POLL_EVENTS);
    }
    if (poll(list, count, ms < 0 ? -1 : <i64>(ms * 1e6) + 1) <= 0) return NOTHING;
    let result = NOTHING;
    for (let i = count; i-- > 0;) {
      const said = <u32>load<u16>(list + <usize>i * POLL, POLL_RETURNED);
      if (!said) continue;
      if (!(said & (ERROR | HANGUP))) return i;
      // The call itself says what is wrong.
      const errno = -connect(this.sockets[i], changetype<usize>(this.peers[i]));
      this.fails(errno > 0 ? errno : Errno.TimedOut, this.peers[i]);
      fdClose(this.sockets[i]);
      this.sockets.splice(i, 1);
      this.peers.splice(i, 1);
      result = FAILED;
    }
    return result;
  }

  /** Gives the others up. */
  private win(place: i32): Winner {
    for (let i = 0; i < this.sockets.length; i++) {
      if (i != place) fdClose(this.sockets[i]);
    }
    const fd = this.sockets[place];
    fdSetFlags(fd, 0);
    return new Winner(fd, this.peers[place]);
  }
}

const NOTHING: i32 = -1;
const FAILED: i32 = -2;

function hasBoth(addresses: Array<Address>): bool {
  let v4 = false;
  let v6 = false;
  for (let i = 0; i < addresses.length; i++) {
    if (addresses[i].isV4) v4 = true;
    else v6 = true;
  }
  return v4 && v6;
}

function holds(addresses: Array<Address>, address: Address): bool {
  for (let i = 0; i < addresses.length; i++) {
    const other = addresses[i];
    const same = other.high == address.high && other.low == address.low;
    if (same && other.zone == address.zone) return true;
  }
  return false;
}

/** Families in turn, each in its order, beginning with the first's (4). */
export function interleaved(addresses: Array<Address>): Array<Address> {
  const result: Array<Address> = [];
  if (!addresses.length) return result;
  const first: Array<Address> = [];
  const second: Array<Address> = [];
  for (let i = 0; i < addresses.length; i++) {
    if (addresses[i].isV4 == addresses[0].isV4) first.push(addresses[i]);
    else second.push(addresses[i]);
  }
  for (let i = 0; i < first.length || i < second.length; i++) {
    if (i < first.length) result.push(first[i]);
    if (i < second.length) result.push(second[i]);
  }
  return result;
}

/** Connects to a host, by its name or address. */
export function race(host: string, port: u16): Result<Winner> {
  return new Race(host, port).run();
}
