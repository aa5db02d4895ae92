import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { renameSync } from "node:fs";
import type { PciDevice } from "../../../tools/sim/device.ts";
import { fold, wordSum } from "../../../tools/sim/e1000-parts.ts";
import { ACK, FIN, parse, PSH } from "../../../tools/sim/frames.ts";
import { type Kernel, loadKernel } from "../../../tools/sim/kernel.ts";
import { Link, type LinkConditions, type Port } from "../../../tools/sim/link.ts";
import { macAddress, Machine, type MachineOptions } from "../../../tools/sim/machine.ts";
import type { Nic, NicFaults, NicOptions } from "../../../tools/sim/nic.ts";
import { nicKind, NICS } from "../../../tools/sim/nics.ts";
import { MILLISECOND, Simulation } from "../../../tools/sim/simulation.ts";

/**
 * A machine with drivers and no network stack (machine.ts): what is asked of a driver is what goes
 * over the wire, and every packet is accounted for afterwards.
 */

/** Test files run in processes of their own, so what is compiled is put in place whole. */
function compile(): Kernel {
  const out = "build/sim/nic.debug.wasm";
  const made = `build/sim/nic.${process.pid}.wasm`;
  const options = ["--config", "tests/sim/nic/asconfig.json", "--outFile", made];
  execFileSync("node_modules/.bin/asc", options, { stdio: "inherit" });
  renameSync(`${made}.map`, `${out}.map`);
  renameSync(made, out);
  return loadKernel(out);
}

const kernel = compile();

/** The calls of machine.ts. */
export const enum Call {
  Send = 0,
  Reset = 1,
  Stop = 2,
  Check = 3,
  ReceiveMode = 4,
  Owned = 5,
  Counter = 6,
  Receive = 7,
  Starve = 8,
  Waiting = 9,
  SendBurst = 10,
}

/** The counters of `Device`, in order. */
export const enum Counter {
  ReceivedPackets = 1,
  ReceivedBytes = 2,
  ReceiveDescriptors = 3,
  ReceiveDoorbells = 4,
  ReceiveInterrupts = 5,
  ReceiveDropped = 6,
  ReceiveErrors = 7,
  ReceiveArrived = 8,
  SentPackets = 9,
  SentBytes = 10,
  TransmitDescriptors = 11,
  TransmitDone = 12,
  TransmitDoorbells = 13,
  TransmitErrors = 14,
  Interrupts = 15,
  Resets = 16,
}

const STANDARD = 1;
export const enum Owner {
  Free = 0,
  NicRx = 1,
  Stack = 2,
  NicTx = 5,
}

export const OWN = macAddress(7);
export const FAR = macAddress(9);

/** One machine with one NIC, and a port that keeps what it hears. */
export class Bench<N extends Nic = Nic> {
  readonly simulation: Simulation;
  readonly nic: N;
  readonly machine: Machine;
  readonly link: Link;
  readonly heard: Uint8Array[] = [];
  readonly far: Port = { name: "far", receive: (frame) => this.heard.push(frame) };
  readonly slots: number;
  /** Packets that its receive ring holds. */
  readonly ring: number;

  constructor(
    options: {
      /** By name; the first of the list unless told. */
      nic?: string;
      /** Instead of as its kind makes it. */
      model?: (options: NicOptions) => Nic;
      faults?: Partial<NicFaults>;
      conditions?: Partial<LinkConditions>;
      seed?: number;
      unroutable?: number;
      machine?: Partial<MachineOptions>;
      beside?: PciDevice[];
      before?: (nic: N) => void;
    } = {},
  ) {
    this.simulation = new Simulation(options.seed ?? 1);
    const kind = nicKind(options.nic ?? NICS[0]!.name);
    const make = options.model ?? kind.make;
    const made = make({ mac: OWN, ...(options.faults && { faults: options.faults }) });
    this.nic = made as N;
    options.before?.(this.nic);
    this.machine = new Machine(this.simulation, {
      kernel,
      devices: [this.nic, ...(options.beside ?? [])],
      ...(options.unroutable === undefined ? {} : { unroutable: options.unroutable }),
      ...options.machine,
    });
    this.link = new Link(this.simulation, options.conditions);
    this.link.attach(this.far);
    this.nic.connect(this.link);
    this.machine.start();
    this.run(200 * MILLISECOND);
    this.call(Call.Check);
    this.slots = this.owned(Owner.Free) + this.owned(Owner.NicRx);
    this.ring = this.owned(Owner.NicRx);
    assert.equal(this.ring === 0, kind.copies);
  }

  run(ns = 10 * MILLISECOND): void {
    this.simulation.run(ns);
  }

  call(call: Call, a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0): number {
    return this.machine.syscall(call, a0, a1, a2, a3, a4);
  }

  owned(owner: Owner): number {
    return this.call(Call.Owned, STANDARD, owner);
  }

  counter(counter: Counter): number {
    return this.call(Call.Counter, counter);
  }

  /** Queues a frame, `first` and `second` of its last bytes as fragments. */
  send(bytes: Uint8Array, first = 0, second = 0, checksum = 0): void {
    const at = this.machine.copyIn(bytes);
    assert.equal(this.call(Call.Send, at, bytes.length, first, second, checksum), 0);
  }

  /** Queues a burst, its payload in two pieces cut at `cut` if that is not 0. */
  sendBurst({ bytes, headers, size }: Burst, cut = 0): void {
    const at = this.machine.copyIn(bytes);
    assert.equal(this.call(Call.SendBurst, at, bytes.length, headers, size, cut), 0);
  }

  hear(bytes: Uint8Array): void {
    this.link.send(this.far, bytes);
  }

  /** The oldest packet received and its flags, or undefined. */
  receive(): { bytes: Uint8Array; flags: number } | undefined {
    const result = this.call(Call.Receive, this.machine.scratch);
    if (result < 0) return undefined;
    const { scratch, memory } = this.machine;
    return { bytes: memory.slice(scratch, scratch + (result & 0xffff)), flags: result >>> 16 };
  }

  receiveAll(): Uint8Array[] {
    const all: Uint8Array[] = [];
    for (let next = this.receive(); next; next = this.receive()) all.push(next.bytes);
    return all;
  }

  groups(mode: number, addresses: Uint8Array[]): void {
    const bytes = new Uint8Array(addresses.length * 8);
    addresses.forEach((address, i) => bytes.set([...address].reverse(), i * 8));
    this.call(Call.ReceiveMode, mode, this.machine.copyIn(bytes), addresses.length);
  }

  /** Nothing is with the transmitter or the stack, the receive ring is full, the rest is free. */
  accounted(): void {
    // What was sent is freed by the next round or check.
    this.call(Call.Check);
    assert.equal(this.owned(Owner.NicTx), 0, "packets with the transmitter");
    assert.equal(this.owned(Owner.Stack), 0, "packets with the stack");
    assert.equal(this.owned(Owner.NicRx), this.ring, "packets in the receive ring");
    assert.equal(this.owned(Owner.Free), this.slots - this.ring, "packets free");
  }
}

export function frame(length: number, to = FAR, from = OWN, tag = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 14; i < length; i++) bytes[i] = (i * 7 + tag * 13) & 0xff;
  bytes.set(to);
  bytes.set(from, 6);
  bytes.set([0x88, 0xb5], 12);
  return bytes;
}

/** UDP over IPv4 with both checksums right; `ihl` in words. */
export function udpFrame(payload: number, to: Uint8Array, from: Uint8Array, ihl = 5): Uint8Array {
  const header = 14 + ihl * 4;
  const bytes = frame(header + 8 + payload, to, from);
  const view = new DataView(bytes.buffer);
  bytes.fill(0, 14, header + 8);
  view.setUint16(12, 0x0800);
  view.setUint16(14, 0x4000 | (ihl << 8));
  view.setUint16(16, ihl * 4 + 8 + payload);
  view.setUint16(22, 0x4011);
  view.setUint32(26, 0x0a000001);
  view.setUint32(30, 0x0a000002);
  bytes.fill(1, 34, header);
  view.setUint16(24, ~fold(wordSum(bytes, 14, header)));
  view.setUint16(header, 7);
  view.setUint16(header + 2, 9);
  view.setUint16(header + 4, 8 + payload);
  view.setUint16(header + 6, ~udpSum(bytes, header));
  return bytes;
}

export type Family = 4 | 6;

/** A TCP packet to be sent in segments of `size` bytes. */
export interface Burst {
  bytes: Uint8Array;
  headers: number;
  size: number;
  family: Family;
}

/** As the stack builds it: lengths and sums as if it were to be sent whole. */
export function tcpBurst(
  payload: number,
  size: number,
  timestamps: boolean,
  tag = 0,
  family: Family = 4,
): Burst {
  const tcp = tcpAt(family);
  const headers = tcp + (timestamps ? 32 : 20);
  const bytes = frame(headers + payload, FAR, OWN, tag);
  const view = new DataView(bytes.buffer);
  bytes.fill(0, 14, headers);
  if (family === 4) {
    view.setUint16(12, 0x0800);
    view.setUint16(14, 0x4500);
    view.setUint16(16, bytes.length - 14);
    view.setUint16(20, 0x4000);
    view.setUint16(22, 0x4006);
    view.setUint32(26, 0x0a000001);
    view.setUint32(30, 0x0a000002);
    view.setUint16(24, ~fold(wordSum(bytes, 14, 34)));
  } else {
    view.setUint16(12, 0x86dd);
    view.setUint16(14, 0x6000);
    view.setUint16(18, bytes.length - 54);
    view.setUint16(20, 0x0640);
    view.setUint32(22, 0x2001_0db8);
    view.setUint32(34, 1);
    view.setUint32(38, 0x2001_0db8);
    view.setUint32(50, 2);
  }
  view.setUint16(tcp, 80);
  view.setUint16(tcp + 2, 4000);
  view.setUint32(tcp + 4, 0xffff_f000 + tag);
  view.setUint32(tcp + 8, 77);
  view.setUint16(tcp + 12, ((headers - tcp) << 10) | ACK | PSH | FIN);
  view.setUint16(tcp + 14, 1000);
  if (timestamps) bytes.set([1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8], tcp + 20);
  const addresses = tcp - (family === 4 ? 8 : 32);
  view.setUint16(tcp + 16, fold(wordSum(bytes, addresses, tcp, 6 + bytes.length - tcp)));
  return { bytes, headers, size, family };
}

/** Where TCP's header begins in a frame. */
export const tcpAt = (family: Family): number => (family === 4 ? 34 : 54);

/** Takes the segments that must have come of a burst off `heard`. */
export function expectSegments(heard: Uint8Array[], burst: Burst): void {
  const { bytes, headers, size, family } = burst;
  const payload = bytes.subarray(headers);
  const first = new DataView(bytes.buffer).getUint32(tcpAt(family) + 4);
  for (let at = 0, n = 0; at < payload.length; at += size, n++) {
    // Checks lengths and checksums.
    const { ipv4, ipv6, tcp } = parse(heard.shift()!);
    const last = at + size >= payload.length;
    if (family === 4) assert.equal(ipv4!.id, n);
    else assert.equal(ipv6!.source, "2001:db8::1");
    assert.equal(tcp!.seq, (first + at) >>> 0);
    assert.equal(tcp!.ack, 77);
    assert.equal(tcp!.flags, last ? ACK | PSH | FIN : ACK);
    if (headers > tcpAt(family) + 20)
      assert.deepEqual(tcp!.options.timestamps, [0x01020304, 0x05060708]);
    assert.deepEqual(Buffer.from(tcp!.payload), Buffer.from(payload.subarray(at, at + size)));
  }
}

/** The sum over pseudo-header and datagram: 0xffff when the checksum in it is right. */
function udpSum(bytes: Uint8Array, header: number): number {
  const length = bytes.length - header;
  return fold(wordSum(bytes, header, bytes.length, wordSum(bytes, 26, 34, 17 + length)));
}
