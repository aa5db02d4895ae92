import {
  Domain,
  Layout,
  ReceiveFlag,
  Shutdown,
  SocketEvent,
  SocketOption,
  SocketType,
  Syscall,
} from "../../sdk/assembly/syscalls.ts";
import { ip, ip6, ip6Bytes, ipNumber } from "./frames.ts";
import type { Machine } from "./machine.ts";

/** Errors that a program meets in its normal course (Linux's numbers, as kernel/errno.ts). */
export const EAGAIN = 11;
export const EPIPE = 32;
export const ECONNRESET = 104;
export const ENOTCONN = 107;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EINPROGRESS = 115;

/** A system call failed. `errno` is positive. */
export class SocketError extends Error {
  override name = "SocketError";
  constructor(
    what: string,
    readonly errno: number,
  ) {
    super(`${what}: errno ${errno}`);
  }
}

/** What a name stands for. */
export interface Resolved {
  /** In full, at the end of its CNAMEs. */
  name: string;
  addresses: string[];
  records: { type: number; ttl: number; data: Uint8Array }[];
}

const ADDRESS_AT = 0;
const DATA_AT = 4096;

/** `Layout.Address`. */
function addressBytes(address: string, port = 0, zone = 0): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(Layout.Address));
  if (address.includes(":")) {
    const wire = new DataView(Uint8Array.from(ip6Bytes(address)).buffer);
    for (const at of [0, 8]) bytes.setBigUint64(at, wire.getBigUint64(at), true);
  } else {
    bytes.setBigUint64(8, 0xffff_0000_0000n | BigInt(ipNumber(address)), true);
  }
  bytes.setUint16(16, port, true);
  bytes.setUint32(20, zone, true);
  return new Uint8Array(bytes.buffer);
}

/** Where in the scratch area `Poll` writes, and how many entries. */
const READY_AT = 1024;
const READY_COUNT = 64;

/**
 * A machine's system calls with types. Nothing blocks: `null` is "not now". A call that cannot
 * fail in a correct test throws `SocketError`.
 */
export class Sockets {
  constructor(readonly machine: Machine) {}

  stream(domain = Domain.Inet): number {
    return this.done("socket", this.machine.syscall(Syscall.Socket, SocketType.Stream, domain));
  }

  datagram(domain = Domain.Inet): number {
    return this.done("socket", this.machine.syscall(Syscall.Socket, SocketType.Datagram, domain));
  }

  /** Hears a whole protocol of IP. */
  raw(protocol: number, domain = Domain.Inet): number {
    return this.done(
      "socket",
      this.machine.syscall(Syscall.Socket, SocketType.Raw, domain, protocol),
    );
  }

  /** Sends ICMP's echo requests and hears the replies. */
  echo(domain = Domain.Inet): number {
    const protocol = domain === Domain.Inet ? 1 : 58;
    return this.done(
      "socket",
      this.machine.syscall(Syscall.Socket, SocketType.Datagram, domain, protocol),
    );
  }

  bind(socket: number, port: number, address = "0.0.0.0"): void {
    this.done("bind", this.machine.syscall(Syscall.Bind, socket, this.address(address, port)));
  }

  listen(socket: number, backlog = 16): void {
    this.done("listen", this.machine.syscall(Syscall.Listen, socket, backlog));
  }

  accept(socket: number): number | null {
    return this.maybe("accept", this.machine.syscall(Syscall.Accept, socket, 0));
  }

  /** Begins to connect; `Writable` or `Error` follows. */
  connect(socket: number, address: string, port: number): void {
    const result = this.machine.syscall(Syscall.Connect, socket, this.address(address, port));
    if (result !== -EINPROGRESS) this.done("connect", result);
  }

  /** Bytes taken; `null` when there is no room. */
  send(socket: number, bytes: Uint8Array): number | null {
    const length = Math.min(bytes.length, this.machine.scratchBytes - DATA_AT);
    const from = this.machine.copyIn(bytes.subarray(0, length), DATA_AT);
    return this.maybe("send", this.machine.syscall(Syscall.Send, socket, from, length));
  }

  /** Bytes received, none at the end of the stream; `null` when there are none now. */
  receive(socket: number, length: number): Uint8Array | null {
    const { machine } = this;
    const into = machine.scratch + DATA_AT;
    const room = Math.min(length, machine.scratchBytes - DATA_AT);
    const result = machine.syscall(Syscall.Receive, socket, into, room, ReceiveFlag.None);
    const count = this.maybe("receive", result);
    return count === null ? null : machine.memory.slice(into, into + count);
  }

  sendTo(socket: number, bytes: Uint8Array, address: string, port: number): number | null {
    const from = this.machine.copyIn(bytes, DATA_AT);
    const to = this.address(address, port);
    const result = this.machine.syscall(Syscall.SendTo, socket, from, bytes.length, to);
    return this.maybe("sendTo", result);
  }

  /** Sends what is leased, to an address or the peer: its bytes, or -errno. */
  sendLease(socket: number, lease: number, address?: string, port = 0): number {
    const to = address === undefined ? 0 : this.address(address, port);
    return this.machine.syscall(Syscall.SendLease, socket, lease, to);
  }

  receiveFrom(socket: number): { bytes: Uint8Array; address: string; port: number } | null {
    const { machine } = this;
    const into = machine.scratch + DATA_AT;
    const from = machine.scratch + ADDRESS_AT;
    const result = machine.syscall(Syscall.ReceiveFrom, socket, into, 65536, from);
    const count = this.maybe("receiveFrom", result);
    if (count === null) return null;
    return { bytes: machine.memory.slice(into, into + count), ...this.readAddress(from) };
  }

  shutdown(socket: number): void {
    this.done("shutdown", this.machine.syscall(Syscall.Shutdown, socket, Shutdown.Write));
  }

  close(socket: number): void {
    this.done("close", this.machine.syscall(Syscall.Close, socket));
  }

  setOption(socket: number, option: SocketOption, value: number): void {
    this.done("setOption", this.machine.syscall(Syscall.SetOption, socket, option, value));
  }

  /** Joins or leaves a group on the interface of a number from 1 on; 0 is the route's. */
  joinGroup(socket: number, group: string, interfaceNumber = 0, leave = false): void {
    const at = this.machine.copyIn(addressBytes(group, 0, interfaceNumber), ADDRESS_AT);
    const option = leave ? SocketOption.LeaveGroup : SocketOption.JoinGroup;
    const result = this.machine.syscall(Syscall.SetOptionData, socket, option, at, Layout.Address);
    this.done(leave ? "leaveGroup" : "joinGroup", result);
  }

  /**
   * Names a source of a group on an interface, by one of `SocketOption`'s `JoinSource`, `LeaveSource`, `BlockSource` and
   * `UnblockSource`.
   */
  nameSource(
    option: SocketOption,
    socket: number,
    group: string,
    source: string,
    interfaceNumber = 0,
  ): void {
    const first = addressBytes(group, 0, interfaceNumber);
    this.setOptionData(socket, option, Buffer.concat([first, addressBytes(source)]));
  }

  /** Sets the whole filter of a group: the sources alone to hear, or not to hear. */
  setFilter(
    socket: number,
    group: string,
    include: boolean,
    sources: string[],
    interfaceNumber = 0,
  ): void {
    const head = new DataView(new ArrayBuffer(8));
    head.setUint32(0, Number(include), true);
    head.setUint32(4, sources.length, true);
    const parts = [
      addressBytes(group, 0, interfaceNumber),
      new Uint8Array(head.buffer),
      ...sources.map((source) => addressBytes(source)),
    ];
    this.setOptionData(socket, SocketOption.GroupFilter, Buffer.concat(parts));
  }

  /** The filter of a group, with as many sources as there is `room` for. */
  filter(socket: number, group: string, room = 64) {
    const { machine } = this;
    const at = machine.copyIn(addressBytes(group), DATA_AT);
    const length = Layout.GroupFilter + room * Layout.Address;
    const option = SocketOption.GroupFilter;
    const result = machine.inquire(Syscall.GetOptionData, socket, option, at, length);
    const bytes = this.done("getFilter", result);
    const told = (bytes - Layout.GroupFilter) / Layout.Address;
    return {
      include: machine.view.getUint32(at + Layout.Address, true) === 1,
      count: machine.view.getUint32(at + Layout.Address + 4, true),
      sources: Array.from(
        { length: told },
        (_, i) => this.readAddress(at + Layout.GroupFilter + i * Layout.Address).address,
      ),
    };
  }

  setOptionData(socket: number, option: SocketOption, bytes: Uint8Array): void {
    const from = this.machine.copyIn(bytes, DATA_AT);
    this.done(
      "setOptionData",
      this.machine.syscall(Syscall.SetOptionData, socket, option, from, bytes.length),
    );
  }

  /** The value of an option, a number of 32 bits. */
  getOption(socket: number, option: SocketOption): number {
    const into = this.machine.scratch + DATA_AT;
    this.done("getOption", this.machine.inquire(Syscall.GetOptionData, socket, option, into, 4));
    return this.machine.view.getInt32(into, true);
  }

  /** The pending error, 0 for none; reading clears it. */
  error(socket: number): number {
    const result = this.machine.inquire(Syscall.GetOption, socket, SocketOption.Error);
    return this.done("getOption", result);
  }

  localAddress(socket: number): { address: string; port: number } {
    const at = this.machine.scratch + ADDRESS_AT;
    this.done("localAddress", this.machine.inquire(Syscall.LocalAddress, socket, at));
    return this.readAddress(at);
  }

  peerAddress(socket: number): { address: string; port: number } {
    const at = this.machine.scratch + ADDRESS_AT;
    this.done("peerAddress", this.machine.inquire(Syscall.PeerAddress, socket, at));
    return this.readAddress(at);
  }

  /** Sockets with news since the last call: number and `SocketEvent` bits. */
  poll(): [socket: number, events: number][] {
    const { machine } = this;
    const at = machine.scratch + READY_AT;
    const count = this.done("poll", machine.inquire(Syscall.Poll, at, READY_COUNT));
    return Array.from({ length: count }, (_, i) => [
      machine.view.getUint32(at + i * Layout.Ready, true),
      machine.view.getUint32(at + i * Layout.Ready + 4, true),
    ]);
  }

  /** Begins to look a name up; `resolved` says what came of it. */
  resolve(name: string, what = 0): number {
    const bytes = Buffer.from(name);
    const at = this.machine.copyIn(bytes, DATA_AT);
    return this.done("resolve", this.machine.syscall(Syscall.Resolve, at, bytes.length, what));
  }

  /** The records of an answer; `null` as long as there is none. */
  resolved(lookup: number): Resolved | null {
    const { machine } = this;
    const into = machine.scratch + DATA_AT;
    const count = this.maybe("resolved", machine.inquire(Syscall.Resolved, lookup, into, 8192));
    if (count === null) return null;
    const found: Resolved = { name: "", addresses: [], records: [] };
    for (let at = into; at < into + count;) {
      const type = machine.view.getUint16(at, true);
      const length = machine.view.getUint16(at + 2, true);
      const ttl = machine.view.getUint32(at + 4, true);
      const data = machine.memory.slice(at + Layout.Record, at + Layout.Record + length);
      if (at === into && type === 5) found.name = Buffer.from(data).toString();
      else found.records.push({ type, ttl, data });
      if (type === 1 || type === 28) {
        found.addresses.push(this.readAddress(at + Layout.Record).address);
      }
      at += Layout.Record + ((length + 7) & ~7);
    }
    return found;
  }

  /** The bytes of a `Statistics` structure. */
  statistics(which: number, length: number): DataView {
    const { machine } = this;
    const into = machine.scratch + DATA_AT;
    const count = this.done("statistics", machine.inquire(Syscall.Statistics, which, into, length));
    return new DataView(machine.memory.slice(into, into + count).buffer);
  }

  private address(address: string, port: number): number {
    return this.machine.copyIn(addressBytes(address, port), ADDRESS_AT);
  }

  private readAddress(at: number): { address: string; port: number } {
    const { view } = this.machine;
    const port = view.getUint16(at + 16, true);
    const [hi, lo] = [view.getBigUint64(at, true), view.getBigUint64(at + 8, true)];
    // The unspecified address is that of both families.
    if (!hi && (!lo || lo >> 32n === 0xffffn))
      return { address: ip(Number(lo & 0xffff_ffffn)), port };
    const wire = new DataView(new ArrayBuffer(16));
    wire.setBigUint64(0, hi);
    wire.setBigUint64(8, lo);
    return { address: ip6(new Uint8Array(wire.buffer)), port };
  }

  private done(what: string, result: number): number {
    if (result < 0) throw new SocketError(`${this.machine.name}: ${what}`, -result);
    return result;
  }

  private maybe(what: string, result: number): number | null {
    return result === -EAGAIN ? null : this.done(what, result);
  }
}

export { Domain, SocketEvent, SocketOption };
