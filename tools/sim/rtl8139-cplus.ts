import { fingerprint, fold, wordSum } from "./e1000-parts.ts";
import type { FrameKind, Mode, Rtl8139 } from "./rtl8139.ts";
import { Cpcr, Cr, Isr, type Register } from "./rtl8139-registers.ts";
import * as R from "./rtl8139-registers.ts";

/** The C+ mode of an RTL8139C+: rings of descriptors that memory alone says the state of. */

const RING_MOST = 64;
const DESCRIPTOR = 16;
const RING_ALIGN = 256;
const FETCH_TIME = 600;

const OWN = 0x80000000;
const EOR = 0x40000000;
const FS = 0x20000000;
const LS = 0x10000000;

const enum Tx {
  LGSEN = 1 << 27,
  IPCS = 1 << 18,
  UDPCS = 1 << 17,
  TCPCS = 1 << 16,
  UNF = 1 << 25,
  TES = 1 << 23,
}
/** Bytes of a large send, and of any other frame. */
const LARGE_MOST = 65535;
const FRAME_MOST = 1518;

const enum Rx {
  RES = 1 << 20,
  CRC = 1 << 18,
  IPF = 1 << 15,
  UDPF = 1 << 14,
  TCPF = 1 << 13,
}
const KIND_BITS = { multicast: 1 << 26, physical: 1 << 25, broadcast: 1 << 24 } as const;
const PID_SHIFT = 16;

interface Descriptor {
  at: number;
  command: number;
  vlan: number;
  address: number;
}

/** A descriptor on its way out, as it was when the chip took it. */
interface Taken extends Descriptor {
  length: number;
  content: number;
}

export class PlusMode implements Mode {
  private receiveIndex = 0;
  private transmitIndex = 0;
  private wire = false;

  constructor(private readonly nic: Rtl8139) {}

  reset(): void {
    this.receiveIndex = this.transmitIndex = 0;
    this.wire = false;
  }

  read(_register: Register): undefined {
    return undefined;
  }

  write(register: Register, value: number): boolean {
    const { nic } = this;
    switch (register.at) {
      case R.TPPOLL:
        this.poll(value);
        return true;
      case R.CPCR:
        this.command(value);
        return true;
      case R.TNPDS:
      case R.THPDS:
      case R.RDSAR:
        if (!nic.get(R.CPCR))
          nic.fault(`${register.name} written before C+CR, which changes it (6.33)`);
        if (nic.get(R.CR) & (Cr.RE | Cr.TE))
          nic.fault(`${register.name} written while the chip runs`);
        if (value % RING_ALIGN) nic.fault(`${register.name} is not aligned to 256 bytes`);
        break;
      case R.TNPDS + 4:
      case R.THPDS + 4:
      case R.RDSAR + 4:
        if (value) nic.fault(`${register.name}: above 4 GiB without C+CR.DAC`);
        break;
    }
    if (register.at < R.TNPDS && register.at >= R.TSD) {
      nic.fault(`${register.name} written in C+ mode, where it is a tally counter's address`);
    }
    if (register.at === R.CAPR || register.at === R.RBSTART) {
      nic.fault(`${register.name} written in C+ mode, which has no such ring`);
    }
    return false;
  }

  private command(value: number): void {
    const { nic } = this;
    if (nic.get(R.CR) & (Cr.RE | Cr.TE) && value) nic.fault("C+CR written while the chip runs");
    const enabled = value & ~nic.get(R.CPCR);
    nic.set(R.CPCR, value);
    // What the addresses were is gone (6.33).
    if (enabled & Cpcr.CPTX) {
      for (const at of [R.TNPDS, R.THPDS]) nic.set(at, nic.random.u32() & ~255);
      for (const at of [R.TNPDS + 4, R.THPDS + 4]) nic.set(at, nic.random.u32());
    }
    if (enabled & Cpcr.CPRX) {
      nic.set(R.RDSAR, nic.random.u32() & ~255);
      nic.set(R.RDSAR + 4, nic.random.u32());
    }
  }

  receiverEnabled(): void {
    this.checkRing(R.RDSAR, "RDSAR");
    this.receiveIndex = 0;
  }

  transmitterEnabled(): void {
    this.checkRing(R.TNPDS, "TNPDS");
    this.transmitIndex = 0;
  }

  private checkRing(low: number, name: string): void {
    const { nic } = this;
    const base = nic.get(low) + nic.get(low + 4) * 2 ** 32;
    if (!nic.host.writable(base, DESCRIPTOR)) {
      nic.fault(`enabled with ${name} 0x${base.toString(16)}, which is not in RAM`);
    }
  }

  private descriptor(base: number, index: number): Descriptor {
    const at = base + index * DESCRIPTOR;
    const { view } = this.nic.host;
    if (!this.nic.host.writable(at, DESCRIPTOR)) this.nic.fault("a ring runs out of RAM");
    return {
      at,
      command: view.getUint32(at, true),
      vlan: view.getUint32(at + 4, true),
      address: view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 2 ** 32,
    };
  }

  private next(index: number, { command }: Descriptor, name: string): number {
    if (command & EOR) return 0;
    if (index + 1 === RING_MOST)
      this.nic.fault(`${name} ring of 64 descriptors without EOR in the last`);
    return index + 1;
  }

  // ---- Transmit ---------------------------------------------------------------------------------

  private poll(value: number): void {
    const { nic } = this;
    if (value & 0x80) nic.fault("TPPoll.HPQ: the ring of high priority is not set up");
    if (!(nic.get(R.CR) & Cr.TE)) nic.fault("TPPoll written while CR.TE is clear");
    if (value & 0x40 && nic.rung()) nic.later(nic.host.time + FETCH_TIME, () => this.pump());
  }

  /** Takes the descriptors of one packet and puts it on the wire; then the next. */
  pump(): void {
    const { nic } = this;
    if (this.wire || !nic.sending) return;
    const base = nic.get(R.TNPDS);
    const taken: Taken[] = [];
    for (let index = this.transmitIndex; ;) {
      const descriptor = this.descriptor(base, index);
      const { command } = descriptor;
      if (!(command & OWN)) {
        if (taken.length)
          nic.fault(`transmit descriptor ${index} of a packet is not the chip's yet`);
        nic.cause(Isr.TDU);
        return;
      }
      taken.push(this.take(index, descriptor, taken[0]));
      index = this.next(index, descriptor, "transmit");
      if (!(command & LS)) continue;
      this.transmitIndex = index;
      break;
    }
    this.transmit(taken);
  }

  private take(index: number, descriptor: Descriptor, first: Taken | undefined): Taken {
    const { nic } = this;
    const { host } = nic;
    const { command, address } = descriptor;
    const name = `transmit descriptor ${index}`;
    if (!(command & FS) !== (first !== undefined)) {
      nic.fault(
        `${name}: FS is ${command & FS ? "set inside" : "missing at the start of"} a packet`,
      );
    }
    // The offload is one of the packet, and which descriptor the chip heeds is not documented.
    const bits = (word: number) => word & 0x0fff0000 & ~0xf0000000;
    if (first && bits(first.command) !== bits(command)) {
      nic.fault(`${name}: not the offload of its packet's first`);
    }
    if (descriptor.vlan) nic.fault(`${name}: VLAN tags are not modelled`);
    const length = command & 0xffff;
    if (!length) nic.fault(`${name} is empty`);
    if (!host.readable(address, length)) {
      nic.fault(`${name}: ${length} bytes at 0x${address.toString(16)} are not in RAM`);
    }
    for (const posted of this.posted()) {
      if (address < posted.address + posted.length && posted.address < address + length) {
        nic.fault(`${name} reads a buffer of the receive ring`);
      }
    }
    return { ...descriptor, length, content: fingerprint(host.memory, address, length) };
  }

  private transmit(taken: Taken[]): void {
    const { nic } = this;
    const { host } = nic;
    const bytes = Buffer.concat(
      taken.map(({ address, length }) => host.memory.subarray(address, address + length)),
    );
    const frames = this.offload(new Uint8Array(bytes), taken[0]!.command);
    const dry = nic.runsDry(nic.get(R.ETTHR));
    this.wire = true;
    const left = nic.send(frames);
    nic.later(left, () => {
      this.wire = false;
      this.pump();
    });
    nic.later(nic.reported(left), () => this.report(taken, dry));
  }

  /** The command becomes a status, OWN last (C+). */
  private report(taken: Taken[], dry: boolean): void {
    const { nic } = this;
    const { view, memory } = nic.host;
    for (const { at, command, address, length, content } of taken) {
      if (view.getUint32(at, true) !== command || view.getUint32(at + 8, true) !== address) {
        nic.fault("a transmit descriptor was written while the chip owned it");
      }
      if (fingerprint(memory, address, length) !== content) {
        nic.fault("a transmit buffer changed while the chip owned it");
      }
      const error = dry && command & LS ? Tx.UNF | Tx.TES : 0;
      view.setUint32(at, ((command & (EOR | FS | LS)) | error) >>> 0, true);
    }
    nic.cause(dry ? Isr.TER : Isr.TOK);
  }

  private offload(bytes: Uint8Array, command: number): Uint8Array[] {
    const { nic } = this;
    const wanted = command & (Tx.IPCS | Tx.UDPCS | Tx.TCPCS);
    if (command & Tx.LGSEN) return this.segment(bytes, (command >>> 16) & 0x7ff);
    if (bytes.length < 14) nic.fault(`transmitted frame of ${bytes.length} bytes`);
    if (bytes.length > FRAME_MOST) nic.fault(`transmitted frame of ${bytes.length} bytes`);
    if (!wanted) return [pad(bytes)];
    // Known of the family: what is short and summed up by the chip goes out garbled.
    if (bytes.length < 60) nic.fault("a short frame is left to the chip to fill up and to sum up");
    const { header, total, protocol } = this.parse(bytes);
    if (wanted & Tx.IPCS) this.sumHeader(bytes, header);
    if (wanted & (Tx.UDPCS | Tx.TCPCS)) {
      const tcp = (wanted & Tx.TCPCS) !== 0;
      if (protocol !== (tcp ? 6 : 17)) nic.fault(`checksum of the wrong protocol (${protocol})`);
      this.sumTransport(bytes, header, total, protocol);
    }
    return [bytes];
  }

  /** IPv4 behind Ethernet, which is all that the chip knows. */
  private parse(bytes: Uint8Array): { header: number; total: number; protocol: number } {
    const { nic } = this;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (bytes.length < 34 || view.getUint16(12) !== 0x0800 || bytes[14]! >> 4 !== 4) {
      nic.fault("checksum or large send of what is no IPv4");
    }
    const header = (bytes[14]! & 15) * 4;
    const total = view.getUint16(16);
    if (header < 20 || total < header || 14 + total > bytes.length) {
      nic.fault(`offload of an IPv4 packet of ${total} bytes, header ${header}`);
    }
    if (view.getUint16(20) & 0x3fff) nic.fault("offload of an IP fragment");
    return { header, total, protocol: bytes[23]! };
  }

  private sumHeader(bytes: Uint8Array, header: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    view.setUint16(24, 0);
    view.setUint16(24, ~fold(wordSum(bytes, 14, 14 + header)));
  }

  /** The chip makes the pseudo-header's sum itself, and takes nothing from the field. */
  private sumTransport(bytes: Uint8Array, header: number, total: number, protocol: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const start = 14 + header;
    const field = start + (protocol === 6 ? 16 : 6);
    view.setUint16(field, 0);
    const pseudo = wordSum(bytes, 26, 34, protocol + total - header);
    const sum = ~fold(wordSum(bytes, start, 14 + total, pseudo)) & 0xffff;
    view.setUint16(field, sum || 0xffff);
  }

  /** Large send: headers repeated, lengths, identification, sequence, flags and sums set. */
  private segment(bytes: Uint8Array, mss: number): Uint8Array[] {
    const { nic } = this;
    if (bytes.length > LARGE_MOST) nic.fault(`large send of ${bytes.length} bytes`);
    const { header, total, protocol } = this.parse(bytes);
    if (protocol !== 6) nic.fault("large send of what is no TCP");
    if (14 + total !== bytes.length) nic.fault("large send: IP's length is not the packet's");
    if (!mss) nic.fault("large send without MSS");
    const tcp = 14 + header;
    const headers = tcp + (bytes[tcp + 12]! >> 4) * 4;
    const source = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const payload = bytes.length - headers;
    nic.counts.bursts++;
    const frames: Uint8Array[] = [];
    for (let at = 0, n = 0; at < payload; at += mss, n++) {
      const size = Math.min(mss, payload - at);
      const frame = new Uint8Array(headers + size);
      frame.set(bytes.subarray(0, headers));
      frame.set(bytes.subarray(headers + at, headers + at + size), headers);
      const view = new DataView(frame.buffer);
      view.setUint16(16, frame.length - 14);
      view.setUint16(18, source.getUint16(18) + n);
      view.setUint32(tcp + 4, source.getUint32(tcp + 4) + at);
      if (at + size < payload) frame[tcp + 13]! &= ~0x09;
      this.sumHeader(frame, header);
      this.sumTransport(frame, header, frame.length - 14, 6);
      frames.push(pad(frame));
    }
    return frames;
  }

  // ---- Receive ----------------------------------------------------------------------------------

  /** Buffers that are the chip's now. */
  private *posted(): Generator<{ at: number; address: number; length: number }> {
    const base = this.nic.get(R.RDSAR);
    for (let i = 0; i < RING_MOST; i++) {
      const { at, command, address } = this.descriptor(base, i);
      if (command & OWN) yield { at, address, length: command & 0x1fff };
      if (command & EOR) return;
    }
  }

  receive(frame: Uint8Array, kind: FrameKind): boolean {
    const bytes = new Uint8Array(frame.length + 4);
    bytes.set(frame);
    for (let i = frame.length; i < bytes.length; i++) bytes[i] = this.nic.random.u32();
    return this.fill(bytes, KIND_BITS[kind] | this.verdict(frame));
  }

  /** Writes a frame to as many buffers as it takes; false if there are not so many. */
  private fill(bytes: Uint8Array, status: number): boolean {
    const { nic } = this;
    const { host } = nic;
    const buffers: { descriptor: Descriptor; size: number }[] = [];
    let index = this.receiveIndex;
    for (let room = 0; room < bytes.length;) {
      const descriptor = this.receiveDescriptor(index);
      if (!descriptor || buffers.some((used) => used.descriptor.at === descriptor.at)) return false;
      const size = descriptor.command & 0x1fff;
      buffers.push({ descriptor, size });
      room += size;
      index = this.next(index, descriptor, "receive");
    }
    let at = 0;
    buffers.forEach(({ descriptor, size }, i) => {
      const part = bytes.subarray(at, at + size);
      host.memory.set(part, descriptor.address);
      at += part.length;
      const last = i === buffers.length - 1;
      const flags = (i === 0 ? FS : 0) | (last ? LS | status | bytes.length : size);
      this.give(descriptor, flags);
    });
    this.receiveIndex = index;
    return true;
  }

  private receiveDescriptor(index: number): Descriptor | undefined {
    const { nic } = this;
    const descriptor = this.descriptor(nic.get(R.RDSAR), index);
    const { command, address, at } = descriptor;
    if (!(command & OWN)) return undefined;
    const size = command & 0x1fff;
    const name = `receive descriptor ${index}`;
    if (command & 0x3fffe000)
      nic.fault(`${name}: reserved bits 0x${(command & 0x3fffe000).toString(16)}`);
    if (!size || size % 8 || address % 8)
      nic.fault(`${name}: buffer of ${size} bytes is not in units of 8`);
    if (!nic.host.writable(address, size)) {
      nic.fault(`${name}: ${size} bytes at 0x${address.toString(16)} are not in RAM`);
    }
    for (const other of this.posted()) {
      if (other.at === at) continue;
      if (address < other.address + other.length && other.address < address + size) {
        nic.fault(`${name}: its buffer is in the ring twice`);
      }
    }
    return descriptor;
  }

  private give({ at, command }: Descriptor, status: number): void {
    this.nic.host.view.setUint32(at, ((command & EOR) | status) >>> 0, true);
  }

  /** A descriptor that claims what is not: a length of none or too much, an error, a part of a frame. */
  lie(): boolean {
    const { nic } = this;
    const descriptor = this.receiveDescriptor(this.receiveIndex);
    if (!descriptor) return false;
    const length = nic.random.pick([0, 1, 3, 4, 17, 2049, 8191]);
    const lies = [
      FS | LS | length,
      FS | LS | length,
      FS | LS | Rx.RES | Rx.CRC | nic.random.integer(64, 1518),
      FS | nic.random.integer(64, 1518),
    ];
    this.receiveIndex = this.next(this.receiveIndex, descriptor, "receive");
    this.give(descriptor, nic.random.pick(lies));
    return true;
  }

  /** Receive checksum offload: protocol, and which sums are wrong. */
  private verdict(frame: Uint8Array): number {
    if (!(this.nic.get(R.CPCR) & Cpcr.RXCHKSUM)) return 0;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    if (frame.length < 34 || view.getUint16(12) !== 0x0800 || frame[14]! >> 4 !== 4) return 0;
    const header = (frame[14]! & 15) * 4;
    const total = view.getUint16(16);
    if (header < 20 || total < header || 14 + total > frame.length) return 0;
    const bad = fold(wordSum(frame, 14, 14 + header)) !== 0xffff ? Rx.IPF : 0;
    const protocol = frame[23]!;
    const tcp = protocol === 6;
    const length = total - header;
    const whole = !(view.getUint16(20) & 0x3fff);
    if (!whole || (!tcp && protocol !== 17) || length < (tcp ? 20 : 8))
      return (3 << PID_SHIFT) | bad;
    const pid = (tcp ? 1 : 2) << PID_SHIFT;
    const start = 14 + header;
    if (!tcp && view.getUint16(start + 6) === 0) return pid | bad;
    const pseudo = wordSum(frame, 26, 34, protocol + length);
    const right = fold(wordSum(frame, start, start + length, pseudo)) === 0xffff;
    return pid | bad | (right ? 0 : tcp ? Rx.TCPF : Rx.UDPF);
  }
}

function pad(frame: Uint8Array): Uint8Array {
  if (frame.length >= 60) return frame;
  const padded = new Uint8Array(60);
  padded.set(frame);
  return padded;
}
