import {
  Layout,
  ReceiveFlag,
  SendFlag,
  Shutdown,
  SocketOption,
  SocketType,
  Statistics,
  Syscall,
} from "../../../sdk/assembly/syscalls.ts";
import type { Machine } from "../../../tools/sim/machine.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import type { PeerTcp } from "../../../tools/sim/peer.ts";
import { ACK, FIN, RST, SYN } from "../../../tools/sim/frames.ts";
import { type StationOptions, type World } from "../harness.ts";

/** Errors that the tests name (kernel/errno.ts). */
export const EAGAIN = -11;
export const EPIPE = -32;
export const ENETUNREACH = -101;
export const EINPROGRESS = -115;
export const ECONNRESET = 104;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;

/** The counters of net/tcp/stats.ts, in order; the last are 32 bits wide. */
const COUNTERS = [
  "segmentsIn",
  "segmentsOut",
  "retransmits",
  "timeouts",
  "fastRetransmits",
  "duplicateAcks",
  "outOfOrder",
  "duplicates",
  "checksumErrors",
  "malformed",
  "resetsIn",
  "resetsOut",
  "challengeAcks",
  "pawsDrops",
  "memoryDrops",
  "windowProbes",
  "keepaliveProbes",
  "activeOpens",
  "passiveOpens",
  "aborted",
  "listenOverflows",
  "synCookiesSent",
  "synCookiesOk",
  "synCookiesBad",
  "fastOpenActive",
  "fastOpenActiveFailed",
  "fastOpenPassive",
  "fastOpenRefused",
  "fastOpenOverflows",
  "pathProbes",
  "pathRaises",
  "pathShrinks",
  "blackHoles",
  "icmpIgnored",
  "workRefused",
  "dsacksOut",
  "dsacksIn",
  "sackBlocksIn",
  "rackLosses",
  "tlpProbes",
  "tlpRecoveries",
  "spuriousTimeouts",
  "undos",
  "reneges",
  "congestionMarks",
  "ecnReductions",
] as const;
const GAUGES = [
  "established",
  "connections",
  "halfOpen",
  "timeWait",
  "transmissions",
  "working",
] as const;
export type TcpCounters = Record<(typeof COUNTERS)[number] | (typeof GAUGES)[number], number>;

/** The fields of kernel/copies.ts. */
const COPIES = ["received", "receivedCopied", "sent", "sentCopied", "looped"] as const;

const BUFFER = 65536;
const ADDRESS = 128 * 1024;

/** A program on a machine, played by the test through system calls. */
export class Program {
  constructor(readonly machine: Machine) {}

  private address(ip: string, port: number): number {
    const bytes = new Uint8Array(Layout.Address);
    const view = new DataView(bytes.buffer);
    const number = ip.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
    view.setBigUint64(8, 0x0000_ffff_0000_0000n | BigInt(number), true);
    view.setUint16(16, port, true);
    return this.machine.copyIn(bytes, ADDRESS);
  }

  /** A socket of IPv4 that is yet to be opened. */
  stream(): number {
    return this.machine.syscall(Syscall.Socket, SocketType.Stream);
  }

  private must(result: number, what: string): number {
    if (result < 0) throw new Error(`${what}: ${result}`);
    return result;
  }

  /** A listener; with `shares` one of a group (SO_REUSEPORT). */
  listen(port: number, backlog = 16, shares = false, on = "0.0.0.0"): number {
    const socket = this.stream();
    if (shares) this.setOption(socket, SocketOption.ReusePort, 1);
    const { machine } = this;
    const address = this.address(on, port);
    this.must(machine.syscall(Syscall.Bind, socket, address), "bind");
    this.must(machine.syscall(Syscall.Listen, socket, backlog), "listen");
    return socket;
  }

  /** A socket that connects to `ip`, from `localPort` if one is given. */
  connect(ip: string, port: number, localPort = 0): number {
    const socket = this.stream();
    const { machine } = this;
    if (localPort) {
      const local = this.address("0.0.0.0", localPort);
      this.must(machine.syscall(Syscall.Bind, socket, local), "bind");
    }
    const result = this.connectOn(socket, ip, port);
    if (result !== EINPROGRESS) throw new Error(`connect: ${result}`);
    return socket;
  }

  /** `connect` with a socket that there is: -EINPROGRESS, or another negative error. */
  connectOn(socket: number, ip: string, port: number): number {
    return this.machine.syscall(Syscall.Connect, socket, this.address(ip, port));
  }

  /** Likewise with TCP_FASTOPEN_CONNECT; `waits`: the SYN waits for data. `localPort` 0: any. */
  connectFast(ip: string, port: number, localPort: number): { socket: number; waits: boolean } {
    const socket = this.stream();
    const { machine } = this;
    this.setOption(socket, SocketOption.FastOpenConnect, 1);
    const local = this.address("0.0.0.0", localPort);
    this.must(machine.syscall(Syscall.Bind, socket, local), "bind");
    const result = machine.syscall(Syscall.Connect, socket, this.address(ip, port));
    if (result !== EINPROGRESS && result !== 0) throw new Error(`connect: ${result}`);
    return { socket, waits: result === 0 };
  }

  /** `sendto` with MSG_FASTOPEN: the socket, and bytes taken or the negative error. */
  sendFast(
    ip: string,
    port: number,
    bytes: Uint8Array,
    localPort: number,
  ): { socket: number; result: number } {
    const socket = this.stream();
    const local = this.address("0.0.0.0", localPort);
    this.must(this.machine.syscall(Syscall.Bind, socket, local), "bind");
    return { socket, result: this.sendFastOn(socket, ip, port, bytes) };
  }

  /** The same with a socket that there is. */
  sendFastOn(socket: number, ip: string, port: number, bytes: Uint8Array): number {
    const { machine } = this;
    const at = machine.copyIn(bytes);
    const to = this.address(ip, port);
    return machine.syscall(Syscall.SendTo, socket, at, bytes.length, to, SendFlag.FastOpen);
  }

  /** The next connection, or -EAGAIN. */
  accept(listener: number): number {
    return this.machine.syscall(Syscall.Accept, listener, 0);
  }

  send(socket: number, bytes: Uint8Array): number {
    const at = this.machine.copyIn(bytes.subarray(0, BUFFER));
    return this.machine.syscall(Syscall.Send, socket, at, Math.min(bytes.length, BUFFER));
  }

  /** What has come, at most `length` bytes, or the negative error; an empty array is the end. */
  receive(socket: number, length = BUFFER, peek = false): Uint8Array | number {
    const { machine } = this;
    const flags = peek ? ReceiveFlag.Peek : ReceiveFlag.None;
    const result = machine.syscall(Syscall.Receive, socket, machine.scratch, length, flags);
    if (result < 0) return result;
    return machine.memory.slice(machine.scratch, machine.scratch + result);
  }

  close(socket: number): number {
    return this.machine.syscall(Syscall.Close, socket);
  }

  endWriting(socket: number): number {
    return this.machine.syscall(Syscall.Shutdown, socket, Shutdown.Write);
  }

  setOption(socket: number, option: SocketOption, value: number): void {
    this.must(this.machine.syscall(Syscall.SetOption, socket, option, value), "option");
  }

  getOption(socket: number, option: SocketOption): number {
    return this.machine.syscall(Syscall.GetOption, socket, option);
  }

  /** `listen` once more. */
  backlog(listener: number, backlog: number): void {
    this.must(this.machine.syscall(Syscall.Listen, listener, backlog), "listen");
  }

  noDelay(socket: number): void {
    this.setOption(socket, SocketOption.NoDelay, 1);
  }

  /** An option's value, or the negative error. */
  option(socket: number, option: SocketOption): number {
    return this.machine.inquire(Syscall.GetOption, socket, option);
  }

  /** Sets an option to what may be refused: 0 or the negative error. */
  tryOption(socket: number, option: SocketOption, value: number): number {
    return this.machine.syscall(Syscall.SetOption, socket, option, value);
  }

  /** An option that is a structure. */
  optionData(socket: number, option: SocketOption, length = 256): DataView {
    const { machine } = this;
    const { scratch } = machine;
    const result = machine.inquire(Syscall.GetOptionData, socket, option, scratch, length);
    const count = this.must(result, "option");
    return new DataView(machine.memory.slice(scratch, scratch + count).buffer);
  }

  /** Sets an option that is a structure: 0 or the negative error. */
  setOptionData(socket: number, option: SocketOption, bytes: Uint8Array): number {
    const at = this.machine.copyIn(bytes);
    return this.machine.syscall(Syscall.SetOptionData, socket, option, at, bytes.length);
  }

  /** SO_LINGER. */
  linger(socket: number, on: boolean, seconds: number): void {
    const value = new Uint8Array(Uint32Array.of(Number(on), seconds).buffer);
    this.must(this.setOptionData(socket, SocketOption.Linger, value), "linger");
  }

  /** What `poll` would say: `SocketEvent` bits. */
  events(socket: number): number {
    return this.must(this.machine.inquire(Syscall.Events, socket), "events");
  }

  /** The first run of unread bytes, on lease; or the negative error, or 0 at the end. */
  lease(socket: number): { number: number; address: number; bytes: Uint8Array } | number {
    const { machine } = this;
    const { scratch, view, memory } = machine;
    const length = machine.syscall(Syscall.Lease, socket, scratch);
    if (length <= 0) return length;
    const [number, address] = [view.getUint32(scratch, true), view.getUint32(scratch + 4, true)];
    if (view.getUint32(scratch + 8, true) !== length) throw new Error("a lease of two lengths");
    return { number, address, bytes: memory.slice(address, address + length) };
  }

  release(lease: number): number {
    return this.machine.syscall(Syscall.Release, lease);
  }

  sendLease(socket: number, lease: number): number {
    return this.machine.syscall(Syscall.SendLease, socket, lease);
  }

  /** Bytes that programs took and gave, and those copied for it (kernel/copies.ts). */
  get copies(): Record<(typeof COPIES)[number], number> {
    const { machine } = this;
    const { scratch, view } = machine;
    machine.inquire(Syscall.Statistics, Statistics.Copies, scratch, COPIES.length * 8);
    const value = (i: number) => Number(view.getBigUint64(scratch + i * 8, true));
    return Object.fromEntries(COPIES.map((name, i) => [name, value(i)])) as this["copies"];
  }

  /** Packets of the standard pool that are out on lease, and how many it has. */
  get leased(): { out: number; slots: number } {
    const { machine } = this;
    const { scratch, view } = machine;
    machine.inquire(Syscall.Statistics, Statistics.Pools, scratch, 4 * Layout.Pool);
    const at = scratch + Layout.Pool;
    return { out: view.getUint32(at + 16 + 4 * 4, true), slots: view.getUint32(at, true) };
  }

  /** SO_ERROR: the pending error's number, once. */
  error(socket: number): number {
    return this.machine.syscall(Syscall.GetOption, socket, SocketOption.Error);
  }

  get tcp(): TcpCounters {
    const { machine } = this;
    const { scratch, view } = machine;
    machine.syscall(
      Syscall.Statistics,
      Statistics.Tcp,
      scratch,
      COUNTERS.length * 8 + GAUGES.length * 4,
    );
    const values: Partial<TcpCounters> = {};
    COUNTERS.forEach(
      (name, i) => (values[name] = Number(view.getBigUint64(scratch + i * 8, true))),
    );
    GAUGES.forEach(
      (name, i) => (values[name] = view.getUint32(scratch + COUNTERS.length * 8 + i * 4, true)),
    );
    return values as TcpCounters;
  }

  /** Packets of all pools that somebody other than the pool and the receive ring holds. */
  get packetsHeld(): number {
    const { machine } = this;
    const { scratch, view } = machine;
    const bytes = machine.syscall(Syscall.Statistics, Statistics.Pools, scratch, 4 * Layout.Pool);
    let held = 0;
    for (let at = scratch; at < scratch + bytes; at += Layout.Pool) {
      // slots, slotBytes, refused, lowest, then by owner: Free, NicRx, Stack, Socket, Lease, NicTx.
      for (const owner of [2, 3, 4, 5]) held += view.getUint32(at + 16 + owner * 4, true);
    }
    return held;
  }
}

/** A machine, its program, and a peer that is connected to it. */
export interface Connected {
  world: World;
  program: Program;
  listener: number;
  socket: number;
  peer: PeerTcp;
  /** The shift of the machine's windows. */
  scale: number;
}

export const MACHINE = "10.0.0.2";
export const PORT = 80;

export interface ConnectOptions {
  /** 0 for no option. */
  mss?: number;
  windowScale?: number;
  timestamps?: [number, number];
  /** SACK-Permitted (RFC 2018, 2). */
  sack?: boolean;
  /** The round trip of the handshake. */
  delay?: number;
  /** The peer's window from its SYN on. */
  window?: number;
  localPort?: number;
  station?: StationOptions;
}

/** A machine that listens on `PORT`, and a peer that has connected to it; accepted. */
export function connected(world: World, options: ConnectOptions = {}): Connected {
  const { machine } = world.ready(options.station);
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, options.localPort ?? 4000);
  if (options.window !== undefined) peer.window = options.window;
  const { mss = 1460, windowScale, timestamps, sack } = options;
  if (timestamps) peer.options = { timestamps };
  const answer = peer.connect(
    {
      ...(mss && { mss }),
      ...(windowScale !== undefined && { windowScale }),
      ...(timestamps && { timestamps }),
      ...(sack && { sackPermitted: true }),
    },
    options.delay,
  );
  if (timestamps) peer.options = { timestamps: [timestamps[0] + 1, answer.options.timestamps![0]] };
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  if (socket < 0) throw new Error(`accept: ${socket}`);
  return { world, program, listener, socket, peer, scale: answer.options.windowScale ?? 0 };
}

/** A machine with a connection that it opened to the peer's port 7. */
export function connecting(world: World, options: ConnectOptions = {}): Connected {
  const { machine } = world.ready(options.station);
  const program = new Program(machine);
  const peer = world.peer().tcp(MACHINE, 3000, 7);
  if (options.window !== undefined) peer.window = options.window;
  const socket = program.connect("10.0.0.1", 7, 3000);
  return { world, program, listener: 0, socket, peer, scale: 0 };
}

/** `length` bytes that tell where in the stream they belong. */
export function pattern(length: number, from = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = ((from + i) * 131 + ((from + i) >> 8) * 7) & 0xff;
  return bytes;
}

/** Carries the program's whole `bytes` into the socket as room comes. */
export function sendAll(world: World, program: Program, socket: number, bytes: Uint8Array): void {
  for (let sent = 0; sent < bytes.length; world.run(MILLISECOND)) {
    const result = program.send(socket, bytes.subarray(sent));
    if (result > 0) sent += result;
    else if (result !== EAGAIN) throw new Error(`send: ${result}`);
  }
}

export { ACK, FIN, RST, SYN, MILLISECOND, SECOND };
