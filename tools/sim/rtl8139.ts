import { DriverFault, type Host } from "./device.ts";
import type { Link } from "./link.ts";
import { type Nic, type NicFaults, type NicOptions, NO_FAULTS } from "./nic.ts";
import { Command, PciFunction } from "./pci.ts";
import { Random } from "./random.ts";
import { ClassicMode } from "./rtl8139-classic.ts";
import { PlusMode } from "./rtl8139-cplus.ts";
import { Cpcr, Cr, Isr, Rcr, type Register, registersOf } from "./rtl8139-registers.ts";
import * as R from "./rtl8139-registers.ts";
import { MICROSECOND, MILLISECOND } from "./simulation.ts";

/** The two chips: they differ by PCI revision, and the C+ has the classic mode too. */
export interface Chip {
  name: string;
  revision: number;
  /** HWVERID, as TCR shows it (5.7). */
  version: number;
  plus: boolean;
}

export const CHIPS = {
  classic: { name: "RTL8139C", revision: 0x10, version: 0x74000000, plus: false },
  plus: { name: "RTL8139C+", revision: 0x20, version: 0x74800000, plus: true },
} satisfies Record<string, Chip>;

export interface Rtl8139Options extends NicOptions {
  chip?: Chip;
}

/** What sends and receives: the classic ring and buffers, or the descriptors of the C+ mode. */
export interface Mode {
  /** The chip is reset: all work is forgotten. */
  reset(): void;
  read(register: Register): number | undefined;
  /** False if the register is none of this mode's. */
  write(register: Register, value: number): boolean;
  /** CR.RE or CR.TE was just set. */
  receiverEnabled(): void;
  transmitterEnabled(): void;
  /** A good frame that passed the filters; false if there was no room for it. */
  receive(frame: Uint8Array, kind: FrameKind): boolean;
  /** Makes up a frame that the driver must refuse; false if there was no room. */
  lie(): boolean;
  /** Goes on with what there is to send. */
  pump(): void;
}

/** Which filter a frame passed. */
export type FrameKind = "physical" | "multicast" | "broadcast";

/** Bytes of each of the two register BARs. */
const BAR_SIZE = 256;
/** From CR.RST to its end. */
const RESET_TIME = 20 * MICROSECOND;
/** How long auto-negotiation takes here; on copper it is seconds. */
const NEGOTIATION = 20 * MILLISECOND;
/** Time of a bit on the wire, ns. */
const BIT = 10;
/** Granules of memory in which what the chip may write to is tracked. */
const GRANULE = 64;
/** Longest frame that the chip takes, with FCS (5.1, LONG). */
const LONGEST = 4096;

/**
 * An RTL8139 at register level: what a driver writes is checked against the data sheets, and a
 * breach is a `DriverFault`. DMA goes to the machine's memory, frames to a link.
 */
export class Rtl8139 implements Nic {
  readonly pci: PciFunction;
  readonly chip: Chip;
  readonly name: string;
  readonly mac: Uint8Array;
  readonly line: number;
  faults: NicFaults;
  readonly counts = {
    resets: 0,
    interrupts: 0,
    doorbells: 0,
    hangs: 0,
    received: 0,
    sent: 0,
    bursts: 0,
    linkLosses: 0,
    /** Frames that there was no room for. */
    missed: 0,
    /** Packets whose FIFO ran dry. */
    underruns: 0,
  };
  hung = false;
  /** So many of the next frames find the bus too slow for the FIFO while the threshold is below this. */
  underruns = 0;
  underrunBelow = 0;
  /** So many of the next doorbells go unheard. */
  deaf = 0;

  host!: Host;
  random!: Random;
  private mastering!: () => boolean;
  private link: Link | undefined;
  private readonly known: Map<number, Register>;
  private readonly registers = new Map<number, number>();
  private readonly classic: ClassicMode;
  private readonly plus: PlusMode;
  private readonly identity = new Uint8Array(8);
  private groups = 0n;
  private isr = 0;
  private asserted = false;
  private missed = 0;
  /** Counts resets, so that what was scheduled before one is void after it. */
  private epoch = 0;
  private resetUntil = -Infinity;
  private cable = false;
  private settles = Infinity;
  private linkUp = false;

  constructor(options: Rtl8139Options) {
    this.chip = options.chip ?? CHIPS.plus;
    this.mac = options.mac;
    this.line = options.line ?? 11;
    const address = [...options.mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    this.name = `${this.chip.name} ${address}`;
    this.faults = { ...NO_FAULTS, ...options.faults };
    this.known = registersOf(this.chip.plus);
    this.classic = new ClassicMode(this);
    this.plus = new PlusMode(this);
    this.pci = new PciFunction({
      vendor: 0x10ec,
      device: 0x8139,
      classCode: 0x020000,
      revision: this.chip.revision,
      line: this.line,
      pin: 1,
      bars: [
        { kind: "io", size: BAR_SIZE, address: options.ports ?? 0xc000 },
        { kind: "memory32", size: BAR_SIZE, address: options.base ?? 0xfebc0000 },
      ],
    });
  }

  plugged(host: Host, mastering: () => boolean): void {
    this.host = host;
    this.mastering = mastering;
    this.random = host.simulation.random.fork();
    // IDR is loaded from the EEPROM; MAR is whatever it is (5).
    this.identity.set(this.mac);
    this.groups = (BigInt(this.random.u32()) << 32n) | BigInt(this.random.u32());
    this.restore();
  }

  connect(link: Link): void {
    this.link = link;
    link.attach(this);
  }

  get mayHaveLost(): boolean {
    return this.counts.resets > 1 || this.counts.linkLosses > 0;
  }

  // ---- PCI and registers ----------------------------------------------------------------

  read(_bar: number, offset: number, width: number): number {
    const register = this.find(offset, width, "read");
    switch (register.at) {
      case R.IDR:
      case R.IDR + 4:
        return new DataView(this.identity.buffer).getUint32(register.at, true);
      case R.MAR:
        return Number(this.groups & 0xffffffffn);
      case R.MAR + 4:
        return Number(this.groups >> 32n);
      case R.CR:
        return this.resetting ? Cr.RST : this.get(R.CR) | (this.receiveEmpty ? Cr.BUFE : 0);
      case R.ISR:
        return this.isr;
      case R.TCR:
        return (this.get(R.TCR) | this.chip.version) >>> 0;
      case R.MPC:
        return this.missed & 0xffffff;
      case R.MSR:
        return this.up ? 0 : 0x04;
      case R.BMSR:
        return 0x7809 | (this.up ? 0x24 : 0);
      case R.ANLPAR:
        return this.up ? 0x45e1 : 0;
      case R.ANER:
        return this.up ? 1 : 0;
    }
    return this.mode(register).read(register) ?? this.get(register.at);
  }

  write(_bar: number, offset: number, width: number, value: number): void {
    const register = this.find(offset, width, "write");
    value >>>= 0;
    if (this.resetting) this.fault(`${register.name} written before CR.RST has cleared (5.4)`);
    if (!register.writable) this.fault(`${register.name} is read-only`);
    const reserved = (value & ~register.writable) >>> 0;
    if (reserved) {
      this.fault(
        `${register.name} ← 0x${value.toString(16)} sets reserved bits 0x${reserved.toString(16)}`,
      );
    }
    switch (register.at) {
      case R.IDR:
      case R.IDR + 4:
        if (this.get(R.CR9346) >> 6 !== 3) this.fault("IDR written without 9346CR's leave (5.9)");
        new DataView(this.identity.buffer).setUint32(register.at, value, true);
        return;
      case R.MAR:
        this.groups = (this.groups & ~0xffffffffn) | BigInt(value);
        return;
      case R.MAR + 4:
        this.groups = (this.groups & 0xffffffffn) | (BigInt(value) << 32n);
        return;
      case R.CR:
        return this.writeCommand(value);
      case R.IMR:
        this.registers.set(R.IMR, value);
        return this.updateLine();
      case R.ISR:
        this.isr &= ~value;
        return this.updateLine();
      case R.TCR:
        if (!(this.get(R.CR) & Cr.TE)) this.fault("TCR written while CR.TE is clear (5.7)");
        if (((value >>> 24) & 3) !== 3) this.fault("TCR.IFG is not IEEE 802.3's (5.7)");
        if ((value >>> 17) & 3) this.fault("TCR.LBK: loopback is not set up");
        break;
      case R.RCR:
        if (!(this.get(R.CR) & Cr.RE)) this.fault("RCR written while CR.RE is clear");
        break;
      case R.MPC:
        this.missed = 0;
        return;
    }
    if (!this.mode(register).write(register, value)) this.registers.set(register.at, value);
  }

  get(offset: number): number {
    return this.registers.get(offset) ?? 0;
  }

  set(offset: number, value: number): void {
    this.registers.set(offset, value >>> 0);
  }

  fault(text: string): never {
    throw new DriverFault(`${this.name}: ${text}`);
  }

  private find(offset: number, width: number, what: string): Register {
    const register = this.known.get(offset);
    const name = register?.name ?? `register 0x${offset.toString(16)}`;
    // The EEPROM's bytes may be read as such; all else as wide as it is (5).
    if (!register) this.fault(`${what} of ${name}, which this chip does not have`);
    if (register.width !== width) {
      this.fault(`${what} of ${width} bytes at ${name}, which has ${register.width}`);
    }
    return register;
  }

  private get resetting(): boolean {
    return this.host.time < this.resetUntil;
  }

  private get receiveEmpty(): boolean {
    return this.classic.empty;
  }

  /** Offsets 0x10 to 0x2f are descriptors' addresses once C+CR is set (C+). */
  private mode(register: Register): Mode {
    const plus = (this.get(R.CPCR) & (Cpcr.CPTX | Cpcr.CPRX)) !== 0;
    return plus || register.at >= R.TPPOLL ? this.plus : this.classic;
  }

  /** The mode that frames go through. */
  private get running(): Mode {
    return this.get(R.CPCR) & Cpcr.CPRX ? this.plus : this.classic;
  }

  private writeCommand(value: number): void {
    if (value & Cr.RST) {
      this.counts.resets++;
      this.restore();
      this.resetUntil = this.host.time + RESET_TIME;
      return;
    }
    const before = this.get(R.CR);
    this.registers.set(R.CR, value);
    const set = value & ~before;
    if (set && (!(this.pci.command & Command.BusMaster) || !this.mastering())) {
      this.fault("enabled without bus mastering (PCI command register)");
    }
    const plus = this.get(R.CPCR);
    if (plus && (plus & 3) !== (Cpcr.CPTX | Cpcr.CPRX)) {
      this.fault("C+CR enables one direction only, which no document describes");
    }
    if (set & Cr.RE) this.running.receiverEnabled();
    if (set & Cr.TE) this.running.transmitterEnabled();
  }

  /** What CR.RST does (5.4): all but IDR, MAR and what PCI knows goes back. */
  private restore(): void {
    this.epoch++;
    const config = this.get(R.CR9346);
    this.registers.clear();
    this.registers.set(R.CR9346, config);
    this.registers.set(R.ANAR, 0x01e1);
    this.registers.set(R.BMCR, 0x1000);
    this.isr = 0;
    this.missed = 0;
    this.hung = false;
    this.classic.reset();
    this.plus.reset();
    this.updateLine();
  }

  // ---- Interrupts (5.5, 5.6) ----------------------------------------------------------------

  cause(causes: number): void {
    this.isr |= causes;
    this.updateLine();
  }

  get causes(): number {
    return this.isr;
  }

  private updateLine(): void {
    if (!(this.isr & this.get(R.IMR))) {
      if (this.asserted) this.host.setLine(this.line, false);
      this.asserted = false;
      return;
    }
    if (this.asserted || this.random.chance(this.faults.interruptLoss)) return;
    const { interruptDelay } = this.faults;
    if (!interruptDelay) return this.assertLine();
    this.later(this.host.time + this.random.integer(0, interruptDelay), () => this.assertLine());
  }

  private assertLine(): void {
    if (this.asserted || !(this.isr & this.get(R.IMR))) return;
    if (this.pci.command & Command.InterruptDisable) return;
    this.asserted = true;
    this.counts.interrupts++;
    this.host.setLine(this.line, true);
  }

  /** Runs `action` at `at` unless the chip is reset before. */
  later(at: number, action: () => void): void {
    const { epoch } = this;
    this.host.simulation.at(at, () => {
      if (epoch === this.epoch) action();
    });
  }

  // ---- Link (5.12, 5.18 to 5.22) --------------------------------------------------------------

  carrier(up: boolean): void {
    this.cable = up;
    this.settles = up ? this.host.time + NEGOTIATION : Infinity;
    this.refreshLink();
    if (up) this.host.simulation.at(this.settles, () => this.refreshLink());
  }

  get up(): boolean {
    return this.cable && this.host.time >= this.settles;
  }

  private refreshLink(): void {
    const { up } = this;
    if (up === this.linkUp) return;
    this.linkUp = up;
    if (!up) this.counts.linkLosses++;
    this.cause(Isr.LINKCHG);
    if (up) this.running.pump();
  }

  // ---- What both modes share -------------------------------------------------------------------

  /** A doorbell: whether it is heard. */
  rung(): boolean {
    this.counts.doorbells++;
    if (this.deaf > 0) {
      this.deaf--;
      return false;
    }
    if (this.random.chance(this.faults.hang)) {
      this.hung = true;
      this.counts.hangs++;
    }
    return true;
  }

  /** Whether the transmitter may take up the next packet. */
  get sending(): boolean {
    return !this.hung && this.linkUp && (this.get(R.CR) & Cr.TE) !== 0;
  }

  /** Puts frames on the wire; returns when the last has left. */
  send(frames: Uint8Array[]): number {
    let at = this.host.time;
    for (const frame of frames) {
      this.counts.sent++;
      this.link?.send(this, frame, at);
      at += (frame.length + 24) * 8 * BIT;
    }
    return at;
  }

  /** The FIFO runs dry for this frame, given its threshold. */
  runsDry(threshold: number): boolean {
    if (this.underruns === 0 || threshold >= this.underrunBelow) return false;
    this.underruns--;
    this.counts.underruns++;
    return true;
  }

  /** When what is done at `at` is reported. */
  reported(at: number): number {
    const { completionDelay } = this.faults;
    return completionDelay ? at + this.random.integer(0, completionDelay) : at;
  }

  granules(address: number, length: number): [number, number] {
    return [Math.floor(address / GRANULE), Math.ceil((address + length) / GRANULE)];
  }

  /** A frame is lost: counted, and told of. */
  miss(cause: number): void {
    this.counts.missed++;
    this.missed = (this.missed + 1) & 0xffffff;
    this.cause(cause);
  }

  receive(frame: Uint8Array, damaged: boolean): void {
    if (!this.linkUp || this.resetting || !(this.get(R.CR) & Cr.RE)) return;
    const { random, faults } = this;
    if (random.chance(faults.badFrame)) this.takeJunk();
    if (random.chance(faults.lyingDescriptor) && this.running.lie()) this.cause(Isr.ROK);
    if (random.chance(faults.overrun)) return this.miss(Isr.FOVW);
    this.take(frame, damaged);
  }

  /** A frame that is too short, too long or damaged. */
  private takeJunk(): void {
    const { random } = this;
    const kind = random.integer(0, 2);
    const lengths = [random.integer(14, 59), random.integer(4093, 9000), random.integer(60, 1500)];
    const junk = new Uint8Array(lengths[kind]!);
    random.fill(junk);
    junk.set(this.mac);
    this.take(junk, kind === 2);
  }

  /** Frames that are damaged, short or too long stay out unless RCR.AER and AR say otherwise (5.8). */
  private take(frame: Uint8Array, damaged: boolean): void {
    const length = frame.length + 4;
    if (damaged || length < 64 || length > LONGEST) {
      if (this.get(R.RCR) & (Rcr.AER | Rcr.AR))
        this.fault("RCR.AER or AR: bad frames are not modelled");
      return;
    }
    const kind = this.wanted(frame);
    if (!kind) return;
    const at = this.reported(this.host.time);
    if (at > this.host.time) this.later(at, () => this.deliver(frame, kind));
    else this.deliver(frame, kind);
  }

  private deliver(frame: Uint8Array, kind: FrameKind): void {
    if (!(this.get(R.CR) & Cr.RE)) return;
    if (!this.running.receive(frame, kind)) return this.miss(Isr.RXOVW);
    this.counts.received++;
    this.cause(Isr.ROK);
  }

  /** The address filters (5.8). */
  private wanted(frame: Uint8Array): FrameKind | undefined {
    const rcr = this.get(R.RCR);
    const address = frame.subarray(0, 6);
    if (address.every((byte) => byte === 0xff)) return rcr & Rcr.AB ? "broadcast" : undefined;
    if (address[0]! & 1) {
      const passes = rcr & Rcr.AM && (this.groups >> BigInt(groupBit(address))) & 1n;
      return passes ? "multicast" : undefined;
    }
    const own = address.every((byte, i) => byte === this.identity[i]);
    return rcr & Rcr.AAP || (own && rcr & Rcr.APM) ? "physical" : undefined;
  }
}

/**
 * The bit of MAR for a group: the first six bits of the address's CRC-32 as it would go over the
 * wire, so the last six of the usual, reflected register, in reverse.
 */
function groupBit(address: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of address) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  let bit = 0;
  for (let i = 0; i < 6; i++) bit = (bit << 1) | ((crc >>> i) & 1);
  return bit;
}
