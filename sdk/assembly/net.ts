import { Address } from "./address";
import {
  DATAGRAM,
  INET6,
  SHUT_WRITE,
  STREAM,
  accept,
  bind,
  connect,
  fdClose,
  listen,
  localAddress,
  receive,
  receiveFrom,
  resolve as resolveCall,
  send,
  sendTo,
  setOption,
  sockShutdown,
  socket,
} from "./calls";
import { Done, Errno, Result } from "./errors";
import { race } from "./eyeballs";
import {
  blockSource,
  hearsAllGroups,
  joinGroup,
  joinSource,
  leaveGroup,
  leaveSource,
  unblockSource,
} from "./groups";

/**
 * TCP and UDP for programs that do one thing at a time: each call waits until it is done, and costs nothing
 * meanwhile. For many connections at once there is loop.ts.
 */

export { Address } from "./address";
export { Done, Errno, IoError, Result, errorText } from "./errors";

/** Connections that may wait to be accepted. */
export const BACKLOG: u32 = 1024;

const NO_DELAY: u32 = 1;

/** Makes a socket, bound to an address if there is one; a negated `Errno` if that fails. */
export function openSocket(type: u32, address: Address | null): i32 {
  const fd = socket(type, INET6, 0);
  if (fd < 0 || address === null) return fd;
  const result = bind(fd, changetype<usize>(address));
  if (result >= 0) return fd;
  fdClose(fd);
  return result;
}

/** Makes a socket that listens; a negated `Errno` if that fails. */
export function openListener(address: Address): i32 {
  const fd = openSocket(STREAM, address);
  if (fd < 0) return fd;
  const result = listen(fd, BACKLOG);
  if (result >= 0) return fd;
  fdClose(fd);
  return result;
}

/** Of a lookup's records: the head of each, types A and AAAA (RFC 1035, 3.2.2; 3596, 2.1). */
const RECORD: u32 = 8;
const RECORD_LENGTH: u32 = 2;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const ANSWER_MAX: u32 = 8192;

/** Addresses of a host, by its name or as text, in the order to try them; asks name servers if it must, and waits. */
export function resolve(host: string, port: u16): Result<Array<Address>> {
  return lookUp(host, port, 0);
}

/** Of `lookUp`: once addresses of one family are there, those of the other are waited for 50 ms at most. */
export const PROMPT: u32 = 0x20_0000;

/** `resolve`, with `PROMPT` or 0. */
export function lookUp(host: string, port: u16, how: u32): Result<Array<Address>> {
  const name = String.UTF8.encode(host);
  const answer = new ArrayBuffer(ANSWER_MAX);
  const at = changetype<usize>(answer);
  const length = resolveCall(changetype<usize>(name), name.byteLength, how, at, ANSWER_MAX);
  const what = `look up ${host}`;
  if (length < 0) return Result.fails<Array<Address>>(-length, what);
  const found: Array<Address> = [];
  for (let place: u32 = 0; place + RECORD <= <u32>length;) {
    const record = at + place;
    const type = load<u16>(record);
    if (type == TYPE_A || type == TYPE_AAAA) {
      const address = new Address();
      memory.copy(changetype<usize>(address), record + RECORD, offsetof<Address>());
      address.port = port;
      found.push(address);
    }
    place += RECORD + ((<u32>load<u16>(record, RECORD_LENGTH) + 7) & ~7);
  }
  if (!found.length) return Result.fails<Array<Address>>(Errno.NotFound, what);
  return Result.of<Array<Address>>(found);
}

/** A port that takes connections. */
export class TcpListener {
  private constructor(private readonly fd: i32) {}

  /** Listens on a port of every address, IPv4 and IPv6, or on one address. */
  static bind(port: u16, address: Address = Address.any(port)): Result<TcpListener> {
    const fd = openListener(address);
    if (fd < 0) return Result.fails<TcpListener>(-fd, `listen on ${address.toString()}`);
    return Result.of<TcpListener>(new TcpListener(fd));
  }

  /** Waits for a connection. */
  accept(): Result<TcpStream> {
    const peer = new Address();
    const fd = accept(this.fd, changetype<usize>(peer), 0);
    if (fd < 0) return Result.fails<TcpStream>(-fd, "accept a connection");
    return Result.of<TcpStream>(new TcpStream(fd, peer));
  }

  get address(): Address {
    const address = new Address();
    localAddress(this.fd, changetype<usize>(address));
    return address;
  }

  close(): void {
    fdClose(this.fd);
  }
}

/** A connection. */
export class TcpStream {
  constructor(
    readonly fd: i32,
    readonly peer: Address,
  ) {}

  /** Connects to a host, by its name or address: to the first of its addresses that answers (RFC 8305). */
  static connect(host: string, port: u16): Result<TcpStream> {
    const won = race(host, port);
    const error = won.error;
    if (error !== null) return Result.fails<TcpStream>(error.errno, error.what);
    return Result.of<TcpStream>(new TcpStream(won.value.fd, won.value.peer));
  }

  /** Connects to an address. */
  static connectTo(peer: Address): Result<TcpStream> {
    const what = `connect to ${peer.toString()}`;
    const fd = openSocket(STREAM, null);
    if (fd < 0) return Result.fails<TcpStream>(-fd, what);
    const result = connect(fd, changetype<usize>(peer));
    if (result < 0) {
      fdClose(fd);
      return Result.fails<TcpStream>(-result, what);
    }
    return Result.of<TcpStream>(new TcpStream(fd, peer));
  }

  /** Waits for bytes: how many came, 0 at the end of the stream, or a negated `Errno`. */
  read(into: Uint8Array): i32 {
    return receive(this.fd, into.dataStart, into.length, 0);
  }

  /** Sends all of it: its length, or a negated `Errno`. */
  write(bytes: Uint8Array): i32 {
    return this.sendAll(bytes.dataStart, bytes.length);
  }

  /** Sends text as UTF-8: the bytes, or a negated `Errno`. */
  writeText(text: string): i32 {
    const bytes = String.UTF8.encode(text);
    return this.sendAll(changetype<usize>(bytes), bytes.byteLength);
  }

  private sendAll(from: usize, length: i32): i32 {
    for (let sent = 0; sent < length;) {
      const count = send(this.fd, from + sent, length - sent, 0);
      if (count < 0) return count;
      sent += count;
    }
    return length;
  }

  /** Small writes leave at once, for programs that wait for an answer to each. */
  set noDelay(on: bool) {
    setOption(this.fd, NO_DELAY, u32(on));
  }

  /** Ends what we send; the peer may go on. */
  end(): void {
    sockShutdown(this.fd, SHUT_WRITE);
  }

  close(): void {
    fdClose(this.fd);
  }
}

/** Datagrams. */
export class UdpSocket {
  /** Whom the last datagram came from. */
  readonly from: Address = new Address();

  private constructor(readonly fd: i32) {}

  /** Takes datagrams for a port of every address, or of one; port 0 is one that is free. */
  static bind(port: u16 = 0, address: Address = Address.any(port)): Result<UdpSocket> {
    const fd = openSocket(DATAGRAM, address);
    if (fd < 0) return Result.fails<UdpSocket>(-fd, `take datagrams on ${address.toString()}`);
    return Result.of<UdpSocket>(new UdpSocket(fd));
  }

  /** Waits for a datagram: its length, cut to that of `into`, or a negated `Errno`. `from` is its sender. */
  receive(into: Uint8Array): i32 {
    return receiveFrom(this.fd, into.dataStart, into.length, changetype<usize>(this.from));
  }

  /** Sends a datagram: its length, or a negated `Errno`. */
  send(bytes: Uint8Array, to: Address): i32 {
    return sendTo(this.fd, bytes.dataStart, bytes.length, changetype<usize>(to));
  }

  /** Hears a group, on the interface of a number from 1 on; 0 is the one by which the group is routed. */
  joinGroup(group: Address, iface: u32 = 0): Result<Done> {
    return joinGroup(this.fd, group, iface);
  }

  /** Hears a group no longer. */
  leaveGroup(group: Address, iface: u32 = 0): Result<Done> {
    return leaveGroup(this.fd, group, iface);
  }

  /** Hears a group from this source, and from others for which this was called. */
  joinSource(group: Address, source: Address, iface: u32 = 0): Result<Done> {
    return joinSource(this.fd, group, source, iface);
  }

  /** Hears a group no longer from a source of `joinSource`; without the last one it is left. */
  leaveSource(group: Address, source: Address, iface: u32 = 0): Result<Done> {
    return leaveSource(this.fd, group, source, iface);
  }

  /** Hears a group that was joined from all sources but this one, and others for which this was called. */
  blockSource(group: Address, source: Address, iface: u32 = 0): Result<Done> {
    return blockSource(this.fd, group, source, iface);
  }

  /** Hears a source of `blockSource` again. */
  unblockSource(group: Address, source: Address, iface: u32 = 0): Result<Done> {
    return unblockSource(this.fd, group, source, iface);
  }

  /** Whether it hears groups that it has not joined but others on this machine have, for its port: unless told it does. */
  set hearsAllGroups(all: bool) {
    hearsAllGroups(this.fd, all);
  }

  close(): void {
    fdClose(this.fd);
  }
}
