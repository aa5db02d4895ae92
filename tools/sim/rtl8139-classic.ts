import { fingerprint } from "./e1000-parts.ts";
import type { FrameKind, Mode, Rtl8139 } from "./rtl8139.ts";
import { Cr, Isr, type Register } from "./rtl8139-registers.ts";
import * as R from "./rtl8139-registers.ts";

/**
 * The classic mode of an RTL8139: a ring of bytes to receive into, four buffers to send from (data
 * sheet 5.1, 5.2, 5.8, 5.17; programming guide, chapter 2).
 */

const SLOTS = 4;
/** Bytes of the transmit status (5.2). */
const OWN = 1 << 13;
const TUN = 1 << 14;
const TOK = 1 << 15;
const TABT = 1 << 30;
/** Longest packet (5.2). */
const SIZE_MOST = 0x700;
const HEADER = 4;

/** Bits of the header before a frame (5.1). */
const KIND_BITS = { multicast: 1 << 15, physical: 1 << 14, broadcast: 1 << 13 } as const;
const HEADER_ROK = 1;
const HEADER_LONG = 1 << 3;
const HEADER_CRC = 1 << 2;

interface Slot {
  status: number;
  address: number;
  /** Handed over and not yet sent; and not yet reported. */
  queued: boolean;
  busy: boolean;
  content: number;
}

export class ClassicMode implements Mode {
  private slots: Slot[] = [];
  /** The slot that is to be handed over next, and the one that is sent next. */
  private filled = 0;
  private sent = 0;
  private wire = false;
  private aborted = false;
  private start = 0;
  private size = 0;
  /** Where the chip writes next, and up to where the driver has read. */
  private write_ = 0;
  private read_ = 0;
  /** Starts of frames that are not read yet. */
  private boundaries: number[] = [];
  private stalled = false;
  /** So many of the next transmissions are given up for collisions. */
  aborts = 0;

  constructor(private readonly nic: Rtl8139) {}

  reset(): void {
    this.slots = Array.from({ length: SLOTS }, () => ({
      status: OWN,
      address: 0,
      queued: false,
      busy: false,
      content: 0,
    }));
    this.filled = this.sent = 0;
    this.wire = this.aborted = false;
    this.start = this.size = 0;
    this.emptyRing();
  }

  private emptyRing(): void {
    this.write_ = this.read_ = 0;
    this.boundaries = [0];
    this.stalled = false;
  }

  get empty(): boolean {
    return this.write_ === this.read_;
  }

  read(register: Register): number | undefined {
    const slot = (register.at >> 2) & 3;
    if (register.at >= R.TSD && register.at < R.TSD + 16) return this.slots[slot]!.status >>> 0;
    if (register.at >= R.TSAD && register.at < R.TSAD + 16) return this.slots[slot]!.address;
    if (register.at === R.RBSTART) return this.start;
    if (register.at === R.CAPR) return (this.read_ - 16) & 0xffff;
    if (register.at === R.CBR) return this.write_;
    if (register.at !== R.TSTATUS) return undefined;
    return this.slots.reduce((all, { status }, i) => {
      const bit = (flag: number, at: number) => (status & flag ? 1 << (at + i) : 0);
      return all | bit(OWN, 0) | bit(TABT, 4) | bit(TUN, 8) | bit(TOK, 12);
    }, 0);
  }

  write(register: Register, value: number): boolean {
    const { nic } = this;
    if (register.at >= R.TSD && register.at < R.TSD + 16) {
      this.handOver((register.at >> 2) & 3, value);
      return true;
    }
    if (register.at >= R.TSAD && register.at < R.TSAD + 16) {
      const slot = this.slots[(register.at >> 2) & 3]!;
      if (slot.busy) nic.fault(`${register.name} written while its buffer is being sent`);
      if (value & 3) nic.fault(`${register.name} is not aligned to 4 bytes (5)`);
      slot.address = value;
      return true;
    }
    if (register.at === R.RBSTART) {
      if (nic.get(R.CR) & Cr.RE) nic.fault("RBSTART written while CR.RE is set");
      if (value & 3) nic.fault("RBSTART is not aligned to 4 bytes (5)");
      this.start = value;
      return true;
    }
    if (register.at === R.CAPR) {
      this.advance((value + 16) & 0xffff);
      return true;
    }
    if (register.at === R.RCR) this.configure(value);
    if (register.at === R.TCR && value & 1) this.clearAbort();
    return false;
  }

  receiverEnabled(): void {
    if (!this.start) this.nic.fault("CR.RE set before RBSTART");
    this.emptyRing();
  }

  transmitterEnabled(): void {}

  // ---- Transmit ---------------------------------------------------------------------------------

  private handOver(index: number, value: number): void {
    const { nic } = this;
    const { host } = nic;
    const slot = this.slots[index]!;
    if (!(nic.get(R.CR) & Cr.TE)) nic.fault(`TSD${index} written while CR.TE is clear`);
    if (index !== this.filled) {
      nic.fault(`TSD${index} written, but the chip takes TSD${this.filled} next (5.2)`);
    }
    if (slot.busy) nic.fault(`TSD${index} written before its last frame was sent`);
    if (value & OWN) nic.fault(`TSD${index} written with OWN set, which sends nothing`);
    const length = value & 0x1fff;
    if (length < 60) nic.fault(`TSD${index}: ${length} bytes, and the chip fills up nothing (5.2)`);
    if (length > SIZE_MOST) nic.fault(`TSD${index}: ${length} bytes are more than 1,792 (5.2)`);
    if (!slot.address || !host.readable(slot.address, length)) {
      nic.fault(`TSAD${index}: ${length} bytes at 0x${slot.address.toString(16)} are not in RAM`);
    }
    // Writing the size clears the status.
    slot.status = value;
    slot.queued = slot.busy = true;
    slot.content = fingerprint(host.memory, slot.address, length);
    this.filled = (index + 1) % SLOTS;
    if (nic.rung()) this.pump();
  }

  pump(): void {
    const { nic } = this;
    const index = this.sent;
    const slot = this.slots[index]!;
    if (this.wire || this.aborted || !slot.queued || !nic.sending) return;
    const length = slot.status & 0x1fff;
    const frame = nic.host.memory.slice(slot.address, slot.address + length);
    this.wire = true;
    if (this.aborts > 0) {
      this.aborts--;
      nic.later(nic.host.time + 10_000, () => {
        this.wire = false;
        this.aborted = true;
        slot.status |= TABT;
        nic.cause(Isr.TER);
      });
      return;
    }
    const dry = nic.runsDry((slot.status >>> 16) & 0x3f);
    const left = nic.send([frame]);
    nic.later(left, () => {
      this.wire = slot.queued = false;
      this.sent = (index + 1) % SLOTS;
      this.pump();
    });
    nic.later(nic.reported(left), () => {
      if (fingerprint(nic.host.memory, slot.address, length) !== slot.content) {
        nic.fault(`transmit buffer ${index} changed before its frame was sent`);
      }
      slot.busy = false;
      slot.status |= OWN | (dry ? TUN : TOK);
      nic.cause(Isr.TOK);
    });
  }

  /** The frame that was given up is sent again (5.7). */
  private clearAbort(): void {
    if (!this.aborted) this.nic.fault("TCR.CLRABT written while nothing is aborted (5.7)");
    this.aborted = false;
    this.slots[this.sent]!.status &= ~TABT;
    this.nic.later(this.nic.host.time, () => this.pump());
  }

  // ---- Receive ----------------------------------------------------------------------------------

  private configure(value: number): void {
    const { nic } = this;
    this.size = 8192 << ((value >>> 11) & 3);
    if (!nic.host.writable(this.start, this.size + 16)) {
      nic.fault(
        `receive ring of ${this.size} + 16 bytes at 0x${this.start.toString(16)} is not in RAM`,
      );
    }
    if ((value >>> 24) & 15) nic.fault("RCR.ERTH: frames that are not whole are not modelled");
  }

  private advance(to: number): void {
    const { nic } = this;
    if (!this.size) nic.fault("CAPR written before RCR");
    // CAPR is 16 bits of a ring that may be shorter.
    to %= this.size;
    const unread = (this.write_ - this.read_ + this.size) % this.size;
    const step = (to - this.read_ + this.size) % this.size;
    if (step > unread) nic.fault(`CAPR + 16 is ${to}, beyond what is written (${this.write_})`);
    const place = this.boundaries.indexOf(to);
    if (place < 0) nic.fault(`CAPR + 16 is ${to}, where no frame begins`);
    this.boundaries.splice(0, place);
    this.read_ = to;
  }

  /** A receiver without room goes on when it has some and RXOVW is cleared (programming guide, 2). */
  private room(): number {
    if (this.stalled && this.nic.causes & Isr.RXOVW) return 0;
    this.stalled = false;
    return this.empty ? this.size : (this.read_ - this.write_ + this.size) % this.size;
  }

  receive(frame: Uint8Array, kind: FrameKind): boolean {
    return this.put(frame, KIND_BITS[kind] | HEADER_ROK, frame.length + 4);
  }

  /** A frame whose header says that it is none, or one longer than any buffer for frames. */
  lie(): boolean {
    const { random } = this.nic;
    const long = random.chance(0.5);
    const frame = new Uint8Array(long ? random.integer(2049, 4000) : random.integer(60, 1514));
    random.fill(frame);
    const status = long ? HEADER_ROK | HEADER_LONG : random.pick([0, HEADER_CRC, HEADER_LONG]);
    return this.put(frame, status, frame.length + 4);
  }

  /** A header that does not fit what is behind it: from here on the driver knows no boundary. */
  lieAboutLength(length: number): void {
    this.put(new Uint8Array(100), HEADER_ROK, length);
    this.nic.cause(Isr.ROK);
  }

  private put(frame: Uint8Array, status: number, length: number): boolean {
    const { nic } = this;
    const { host } = nic;
    if (!this.size) nic.fault("a frame arrives and RCR was never written");
    const whole = (HEADER + frame.length + 4 + 3) & ~3;
    // Never quite full, or it would look empty.
    if (whole >= this.room()) {
      this.stalled = true;
      return false;
    }
    const bytes = new Uint8Array(HEADER + frame.length + 4);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, status, true);
    view.setUint16(2, length, true);
    bytes.set(frame, HEADER);
    for (let i = HEADER + frame.length; i < bytes.length; i++) bytes[i] = nic.random.u32();
    const first = Math.min(bytes.length, this.size - this.write_);
    host.memory.set(bytes.subarray(0, first), this.start + this.write_);
    host.memory.set(bytes.subarray(first), this.start);
    this.write_ = (this.write_ + whole) % this.size;
    this.boundaries.push(this.write_);
    return true;
  }
}
