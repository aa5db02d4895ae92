import { DriverFault, type Host } from "./device.ts";
import {
  Cause,
  Ctrl,
  Eecd,
  NAMES,
  Rctl,
  Rxcsum,
  RxStatus,
  Status,
  Tctl,
  TxCommand,
  WRITABLE,
} from "./e1000-registers.ts";
import * as R from "./e1000-registers.ts";
import { Eeprom, fingerprint, fold, MDIO_TIME, Phy, wordSum } from "./e1000-parts.ts";
import type { Link } from "./link.ts";
import { type Nic, type NicCounts, type NicFaults, type NicOptions, NO_FAULTS } from "./nic.ts";
import { Command, PciFunction } from "./pci.ts";
import { Random } from "./random.ts";
import { MICROSECOND } from "./simulation.ts";

/** The three controllers that we drive, and how they differ. */
export interface Variant {
  name: string;
  device: number;
  phyId2: number;
  /** Has the EERD register (SDM 13.4.4: not on the 82544GC). */
  eerd: boolean;
  /** Wants EECD.EE_REQ before the serial bus is driven (SDM 13.4.3: not on the 82544GC). */
  eepromRequest: boolean;
  /** Its TCP segmentation is meant to be used: not on the 82544GC, where it has errata. */
  segmentation: boolean;
  /** Has ITR, RADV and TADV (SDM 13.4.18, 13.4.30, 13.4.45: not on the 82544GC). */
  moderation: boolean;
}

export const VARIANTS = {
  "82540EM": {
    name: "82540EM",
    device: 0x100e,
    phyId2: 0x0c20,
    eerd: true,
    eepromRequest: true,
    segmentation: true,
    moderation: true,
  },
  "82544GC": {
    name: "82544GC",
    device: 0x100c,
    phyId2: 0x0c30,
    eerd: false,
    eepromRequest: false,
    segmentation: false,
    moderation: false,
  },
  "82545EM": {
    name: "82545EM",
    device: 0x100f,
    phyId2: 0x0c20,
    eerd: true,
    eepromRequest: true,
    segmentation: true,
    moderation: true,
  },
} satisfies Record<string, Variant>;

export interface E1000Faults extends NicFaults {
  /** For each frame received: from it on none reaches memory, until the device is reset. */
  deaf: number;
}

export interface E1000Options extends NicOptions {
  variant?: Variant;
  faults?: Partial<E1000Faults>;
}

/** Bytes of the register BAR and of the I/O BAR. */
const MMIO_SIZE = 0x20000;
const IO_SIZE = 64;
/** Most bytes of one transmitted frame (SDM 3.3.1 and 13.4.36: the transmit FIFO's limit). */
const TX_MAX = 16288;
/** Most bytes of a received frame, FCS included, without and with RCTL.LPE (SDM 13.4.22). */
const RX_MAX = 1522;
const RX_MAX_LONG = 16384;
/** The receive FIFO's default share of the packet buffer (SDM 13.4.39). */
const FIFO_BYTES = 48 * 1024;
/** From a doorbell to the first descriptor's arrival. */
const FETCH_TIME = 600;
/** Granules of memory in which buffers of the receive ring are tracked. */
const GRANULE = 64;

/** One descriptor ring, as the device keeps it. */
class Ring {
  head = 0;
  tail = 0;
  /** Descriptors handed over: their four words as they were then. */
  snapshot = new Uint32Array(0);
  owned = new Uint8Array(0);
  /** Transmit: fingerprint of the buffer as it was handed over. */
  content = new Int32Array(0);
  count = 0;
  base = 0;

  open(base: number, count: number): void {
    this.base = base;
    this.count = count;
    this.snapshot = new Uint32Array(count * 4);
    this.owned = new Uint8Array(count);
    this.content = new Int32Array(count);
  }

  /** Descriptors between two indices, going round. */
  distance(from: number, to: number): number {
    return (to - from + this.count) % this.count;
  }

  next(index: number): number {
    return index + 1 === this.count ? 0 : index + 1;
  }
}

/** The offload parameters of the last context descriptor (SDM 3.3.6). */
interface Context {
  ipcss: number;
  ipcso: number;
  ipcse: number;
  tucss: number;
  tucso: number;
  tucse: number;
  payload: number;
  header: number;
  mss: number;
  tcp: boolean;
  ipv4: boolean;
  tse: boolean;
}

/** A frame being put together from descriptors. */
interface Assembly {
  first: number;
  parts: Uint8Array[];
  length: number;
}

interface QueuedFrame {
  frame: Uint8Array;
  damaged: boolean;
}

/**
 * An 8254x at register level: what a driver writes is checked against the manual, and a breach is
 * a `DriverFault`. DMA goes to the machine's memory, frames to a link.
 */
export class E1000 implements Nic {
  readonly pci: PciFunction;
  readonly variant: Variant;
  readonly name: string;
  readonly mac: Uint8Array;
  readonly line: number;
  faults: E1000Faults;
  readonly counts: NicCounts = {
    resets: 0,
    interrupts: 0,
    doorbells: 0,
    hangs: 0,
    received: 0,
    sent: 0,
    bursts: 0,
    linkLosses: 0,
  };
  /** True while the transmitter is stuck. */
  hung = false;

  protected host!: Host;
  protected mastering!: () => boolean;
  protected random!: Random;
  protected link: Link | undefined;
  protected readonly eeprom: Eeprom;
  protected readonly phy: Phy;
  protected readonly registers = new Map<number, number>();
  protected readonly statistics = new Float64Array((R.STATISTICS_END - R.CRCERRS) / 4);
  protected readonly multicast = new Uint32Array(128);
  protected readonly vlanFilter = new Uint32Array(128);
  protected readonly addresses = new Uint32Array(32);
  protected readonly rx = new Ring();
  protected readonly tx = new Ring();
  /** Granules of memory that receive buffers cover. */
  protected posted = new Uint8Array(0);
  protected fifo: QueuedFrame[] = [];
  protected fifoBytes = 0;
  protected context: Context | undefined;
  protected assembly: Assembly | undefined;
  protected icr = 0;
  protected asserted = false;
  protected lastInterrupt = -Infinity;
  /** Counts resets, so that what was scheduled before one is void after it. */
  protected epoch = 0;
  protected resetAt = -Infinity;
  protected linkUp = false;
  protected txBusy = false;
  protected deaf = false;
  /** Descriptors sent whose write-back is still to come. */
  protected writeBacks: number[] = [];
  protected writeBackDue = false;
  protected mdioDone = 0;
  protected ioAddress = 0;
  protected receiveTimer = { due: Infinity, latest: Infinity };

  constructor(options: E1000Options) {
    this.variant = options.variant ?? VARIANTS["82540EM"];
    this.mac = options.mac;
    this.line = options.line ?? 11;
    this.name = `${this.variant.name} ${[...options.mac].map(hex2).join(":")}`;
    this.faults = { ...NO_FAULTS, deaf: 0, ...options.faults };
    this.eeprom = new Eeprom(options.mac);
    this.phy = new Phy(this.variant.phyId2);
    this.pci = this.makeFunction(options);
  }

  /** What it is on the PCI bus. Called by the constructor. */
  protected makeFunction(options: E1000Options): PciFunction {
    const pci = new PciFunction({
      vendor: 0x8086,
      device: this.variant.device,
      classCode: 0x020000,
      revision: 2,
      line: this.line,
      pin: 1,
      bars: [
        { kind: "memory32", size: MMIO_SIZE, address: options.base ?? 0xfebc0000 },
        { kind: "io", size: IO_SIZE, address: options.ports ?? 0xc000 },
      ],
    });
    pci.addCapability(0xdc, [0x01, 0, 0x22, 0xc8, 0, 0, 0, 0]);
    return pci;
  }

  plugged(host: Host, mastering: () => boolean): void {
    this.host = host;
    this.mastering = mastering;
    this.random = host.simulation.random.fork();
    this.posted = new Uint8Array(Math.ceil(host.memory.length / GRANULE));
    // Undefined after power-on (SDM 13.5): a driver that relies on zeros is wrong.
    for (const table of [this.multicast, this.vlanFilter, this.addresses]) {
      for (let i = 0; i < table.length; i++) table[i] = this.random.u32();
    }
    for (let i = 0; i < this.statistics.length; i++) this.statistics[i] = this.random.u32();
    this.restore();
  }

  unplugged(): void {
    this.link?.detach(this);
    this.link = undefined;
    this.restore();
  }

  get mayHaveLost(): boolean {
    return this.counts.resets > 1 || this.counts.linkLosses > 0;
  }

  connect(link: Link): void {
    this.link = link;
    link.attach(this);
  }

  // ---- PCI and registers ----------------------------------------------------------------

  read(bar: number, offset: number, width: number): number {
    if (bar === 1) return offset === 0 ? this.ioAddress : this.read(0, this.ioAddress, width);
    this.checkAccess(offset, width, "read");
    const { time } = this.host;
    switch (offset) {
      case R.CTRL:
        return this.get(R.CTRL) & ~(Ctrl.RST | Ctrl.PHY_RST);
      case R.STATUS: {
        this.refreshLink();
        return this.linkUp ? Status.FD | Status.LU | Status.SPEED_1000 : Status.FD;
      }
      case R.EECD: {
        const value = this.get(R.EECD) & ~(Eecd.DO | Eecd.GNT);
        const granted = value & Eecd.REQ && this.variant.eepromRequest ? Eecd.GNT : 0;
        return value | granted | Eecd.PRES | (this.eeprom.dataOut ? Eecd.DO : 0);
      }
      case R.EERD:
        return this.get(R.EERD);
      case R.MDIC:
        return this.get(R.MDIC) | (time >= this.mdioDone ? 1 << 28 : 0);
      case R.ICR:
        return this.readCauses();
      case R.ICS:
      case R.IMC:
        return 0;
      case R.RDH:
        return this.rx.head;
      case R.RDT:
        return this.rx.tail;
      case R.TDH:
        return this.tx.head;
      case R.TDT:
        return this.tx.tail;
    }
    if (offset >= R.CRCERRS && offset < R.STATISTICS_END) return this.readStatistic(offset);
    const table = this.table(offset);
    if (table) return table[0][table[1]]!;
    if (this.writableBits(offset) === undefined)
      this.fault(`read of ${register(offset)}, which does not exist`);
    return this.get(offset);
  }

  write(bar: number, offset: number, width: number, value: number): void {
    if (bar === 1) {
      if (offset === 0) this.ioAddress = value;
      else this.write(0, this.ioAddress, width, value);
      return;
    }
    this.checkAccess(offset, width, "write");
    value >>>= 0;
    const table = this.table(offset);
    if (table) {
      table[0][table[1]] = value;
      return;
    }
    if (offset === R.EERD) return this.writeEerd(value);
    if (offset === R.MDIC) return this.writeMdic(value);
    const allowed = this.writableBits(offset);
    if (allowed === undefined) this.fault(`write to ${register(offset)}, which is not writable`);
    // Read-only bits that a read-modify-write carries along are harmless.
    const readOnly = offset === R.EECD ? 0x3f80 : 0;
    const reserved = (value & ~allowed & ~readOnly) >>> 0;
    if (reserved) {
      this.fault(
        `${register(offset)} ← 0x${value.toString(16)} sets reserved bits 0x${reserved.toString(16)}`,
      );
    }
    switch (offset) {
      case R.CTRL:
        return this.writeCtrl(value);
      case R.EECD:
        return this.writeEecd(value);
      case R.ICS:
        return this.cause(value);
      case R.IMS:
        this.registers.set(R.IMS, this.get(R.IMS) | value);
        return this.updateLine();
      case R.IMC:
        this.registers.set(R.IMS, (this.get(R.IMS) & ~value) >>> 0);
        return this.updateLine();
      case R.RCTL:
        return this.writeRctl(value);
      case R.TCTL:
        return this.writeTctl(value);
      case R.RDT:
        return this.writeRdt(value);
      case R.TDT:
        return this.writeTdt(value);
      case R.RDH:
      case R.TDH:
        return this.writeHead(offset, value);
      case R.ITR:
      case R.RADV:
      case R.TADV:
        if (!this.variant.moderation) return;
        break;
      case R.RDBAL:
      case R.RDBAH:
      case R.RDLEN:
        if (this.get(R.RCTL) & Rctl.EN)
          this.fault(`${register(offset)} written while RCTL.EN is set`);
        break;
      case R.TDBAL:
      case R.TDBAH:
      case R.TDLEN:
        if (this.get(R.TCTL) & Tctl.EN)
          this.fault(`${register(offset)} written while TCTL.EN is set`);
        break;
    }
    this.registers.set(offset, value);
  }

  /** The bits of a register that software may set, or undefined where there is no register. */
  protected writableBits(offset: number): number | undefined {
    return WRITABLE.get(offset);
  }

  protected get(offset: number): number {
    return this.registers.get(offset) ?? 0;
  }

  protected fault(text: string): never {
    throw new DriverFault(`${this.name}: ${text}`);
  }

  protected checkAccess(offset: number, width: number, what: string): void {
    if (width !== 4 || offset & 3) {
      this.fault(
        `${what} of ${width} bytes at ${register(offset)}: registers are 32 bits (SDM 13.2)`,
      );
    }
    // SDM 13.4.1: about 1 µs after CTRL.RST before any other access.
    if (this.host.time < this.resetAt + MICROSECOND) {
      this.fault(`${what} of ${register(offset)} less than 1 µs after CTRL.RST`);
    }
  }

  /** The MTA, VFTA and receive address arrays: the array and the index in it. */
  protected table(offset: number): [Uint32Array, number] | undefined {
    if (offset >= R.MTA && offset < R.MTA + 512) return [this.multicast, (offset - R.MTA) >> 2];
    if (offset >= R.RAL && offset < R.RAL + 128) return [this.addresses, (offset - R.RAL) >> 2];
    if (offset >= R.VFTA && offset < R.VFTA + 512) return [this.vlanFilter, (offset - R.VFTA) >> 2];
    return undefined;
  }

  protected writeCtrl(value: number): void {
    if (value & Ctrl.RST) {
      this.counts.resets++;
      this.restore();
      this.resetAt = this.host.time;
      return;
    }
    this.registers.set(R.CTRL, value);
    if (value & Ctrl.PHY_RST) this.negotiate(this.phy.restart(this.host.time));
    this.refreshLink();
  }

  /** What CTRL.RST does (SDM 14.9): all registers to their defaults, all work forgotten. */
  protected restore(): void {
    this.epoch++;
    this.registers.clear();
    this.registers.set(R.PBA, 0x00100030);
    this.registers.set(R.CTRL, Ctrl.FD);
    for (const ring of [this.rx, this.tx]) {
      ring.head = ring.tail = 0;
      ring.open(0, 0);
    }
    this.posted.fill(0);
    this.fifo = [];
    this.fifoBytes = 0;
    this.context = this.assembly = undefined;
    this.icr = 0;
    this.deaf = this.hung = this.txBusy = this.writeBackDue = false;
    this.writeBacks = [];
    this.linkUp = false;
    this.receiveTimer = { due: Infinity, latest: Infinity };
    const { words } = this.eeprom;
    this.addresses[0] = (words[0]! | (words[1]! << 16)) >>> 0;
    this.addresses[1] = (words[2]! | 0x80000000) >>> 0;
    for (let i = 3; i < 32; i += 2) this.addresses[i]! &= 0x7fffffff;
    this.updateLine();
  }

  protected writeEecd(value: number): void {
    const driving = value & (Eecd.CS | Eecd.SK);
    if (driving && this.variant.eepromRequest && !(value & Eecd.REQ)) {
      this.fault("EECD drives the EEPROM without EE_REQ and EE_GNT (SDM 5.3.1)");
    }
    this.registers.set(R.EECD, value);
    this.eeprom.drive(!!(value & Eecd.CS), !!(value & Eecd.SK), !!(value & Eecd.DI));
  }

  protected writeEerd(value: number): void {
    if (!this.variant.eerd) return;
    if (!(value & 1)) return;
    const word = (value >>> 8) & 0xff;
    if (word > 63) this.fault(`EERD asks for word ${word} of an EEPROM of 64`);
    this.registers.set(R.EERD, ((this.eeprom.words[word]! << 16) | (word << 8) | 0x10) >>> 0);
  }

  protected writeMdic(value: number): void {
    const { time } = this.host;
    if (time < this.mdioDone) this.fault("MDIC written before its ready bit was set");
    const address = (value >>> 16) & 31;
    const operation = (value >>> 26) & 3;
    const present = ((value >>> 21) & 31) === 1;
    let data = value & 0xffff;
    if (operation === 2) data = present ? this.phy.read(address, time) : 0xffff;
    else if (operation !== 1) this.fault(`MDIC operation ${operation} is neither read nor write`);
    else if (present && this.phy.write(address, data, time)) this.negotiate(time);
    const error = present ? 0 : 1 << 30;
    this.registers.set(R.MDIC, ((value & 0x2fff0000) | data | error) >>> 0);
    this.mdioDone = time + MDIO_TIME;
  }

  protected readStatistic(offset: number): number {
    const index = (offset - R.CRCERRS) >> 2;
    const value = this.statistics[index]!;
    // 64-bit counters hold their value in the low half's place; the high half's read clears both.
    for (const low of [R.GORCL, R.GOTCL, R.TORL, R.TOTL]) {
      if (offset === low) return value % 2 ** 32;
      if (offset === low + 4) {
        const whole = this.statistics[index - 1]!;
        this.statistics[index - 1] = 0;
        return Math.floor(whole / 2 ** 32);
      }
    }
    this.statistics[index] = 0;
    return value;
  }

  protected count(offset: number, amount = 1): void {
    this.statistics[(offset - R.CRCERRS) >> 2]! += amount;
  }

  /** Counts a good frame of `length` bytes, FCS included, by size (SDM 13.7.24 to 13.7.29). */
  protected countSize(first: number, length: number): void {
    const bounds = [64, 127, 255, 511, 1023];
    const index = bounds.findIndex((bound) => length <= bound);
    this.count(first + (index < 0 ? 5 : index) * 4);
  }

  // ---- Interrupts (SDM 13.4.17 to 13.4.21) --------------------------------------------------

  /** A read of ICR: it clears what it shows. */
  protected readCauses(): number {
    const causes = this.icr;
    this.icr = 0;
    this.updateLine();
    return causes;
  }

  protected cause(causes: number): void {
    this.icr |= causes;
    this.updateLine();
  }

  protected updateLine(): void {
    const active = (this.icr & this.get(R.IMS)) !== 0;
    if (!active) {
      if (this.asserted) this.host.setLine(this.line, false);
      this.asserted = false;
      return;
    }
    if (this.asserted) return;
    if (this.random.chance(this.faults.interruptLoss)) return;
    const { time } = this.host;
    const gap = (this.get(R.ITR) & 0xffff) * 256;
    const late = this.faults.interruptDelay
      ? this.random.integer(0, this.faults.interruptDelay)
      : 0;
    const due = Math.max(time, this.lastInterrupt + gap) + late;
    if (due > time) this.later(due, () => this.assertLine());
    else this.assertLine();
  }

  protected assertLine(): void {
    if (this.asserted || !(this.icr & this.get(R.IMS))) return;
    if (this.pci.command & Command.InterruptDisable) return;
    this.asserted = true;
    this.lastInterrupt = this.host.time;
    this.counts.interrupts++;
    this.host.setLine(this.line, true);
  }

  /** Runs `action` at `at` unless the device is reset before. */
  protected later(at: number, action: () => void): void {
    const { epoch } = this;
    this.host.simulation.at(at, () => {
      if (epoch === this.epoch) action();
    });
  }

  // ---- Link -------------------------------------------------------------------------------

  carrier(up: boolean): void {
    const settles = this.phy.plug(up, this.host.time);
    this.refreshLink();
    if (up) this.negotiate(settles);
  }

  protected negotiate(settles: number): void {
    this.refreshLink();
    if (settles !== Infinity) this.host.simulation.at(settles, () => this.refreshLink());
  }

  protected refreshLink(): void {
    const up = (this.get(R.CTRL) & Ctrl.SLU) !== 0 && this.phy.up(this.host.time);
    if (up === this.linkUp) return;
    this.linkUp = up;
    if (!up) this.counts.linkLosses++;
    this.cause(Cause.LSC);
    if (up) this.pump();
  }

  // ---- Rings ------------------------------------------------------------------------------

  protected openRing(ring: Ring, low: number, what: string): void {
    const length = this.get(low + 8);
    const base = this.get(low) + this.get(low + 4) * 2 ** 32;
    if (length === 0) this.fault(`${what} enabled with a ring of length 0`);
    if (!this.host.writable(base, length)) {
      this.fault(`${what} ring of ${length} bytes at 0x${base.toString(16)} is not in RAM`);
    }
    if (!(this.pci.command & Command.BusMaster) || !this.mastering()) {
      this.fault(`${what} enabled without bus mastering (PCI command register)`);
    }
    ring.open(base, length / 16);
  }

  protected writeHead(offset: number, value: number): void {
    const enabled = offset === R.RDH ? this.get(R.RCTL) & Rctl.EN : this.get(R.TCTL) & Tctl.EN;
    if (enabled) this.fault(`${register(offset)} written while the unit is enabled`);
    if (value) this.fault(`${register(offset)} ← ${value}: only 0 may be written (SDM 13.4.27)`);
    (offset === R.RDH ? this.rx : this.tx).head = 0;
  }

  protected writeRctl(value: number): void {
    const was = this.get(R.RCTL);
    this.registers.set(R.RCTL, value);
    if (!(value & Rctl.EN) || was & Rctl.EN) return;
    if ((value & Rctl.LBM) !== 0) this.fault("RCTL.LBM: loopback is not set up");
    if (this.bufferSize() === 0) this.fault("RCTL.BSIZE 0 with BSEX is reserved (SDM 13.4.22)");
    const { tail } = this.rx;
    this.openRing(this.rx, R.RDBAL, "receiver");
    // Descriptors handed over before the receiver was enabled.
    this.rx.tail = this.rx.head;
    if (tail !== this.rx.head) this.writeRdt(tail);
  }

  protected writeTctl(value: number): void {
    const was = this.get(R.TCTL);
    this.registers.set(R.TCTL, value);
    if (!(value & Tctl.EN) || was & Tctl.EN) return;
    if (this.get(R.TIPG) === 0) this.fault("transmitter enabled before TIPG was set (SDM 14.5)");
    const { tail } = this.tx;
    this.openRing(this.tx, R.TDBAL, "transmitter");
    this.tx.tail = this.tx.head;
    if (tail !== this.tx.head) this.writeTdt(tail);
  }

  /** Checks that a new tail is in the ring and hands over no more than the free part. */
  protected checkTail(ring: Ring, tail: number, name: string): void {
    if (tail >= ring.count) this.fault(`${name} ← ${tail} in a ring of ${ring.count} descriptors`);
    const added = ring.distance(ring.tail, tail);
    const free = ring.distance(ring.tail, (ring.head + ring.count - 1) % ring.count);
    if (added > free) {
      this.fault(`${name} ← ${tail} passes the head (${ring.head}): ${added} added, ${free} free`);
    }
  }

  protected remember(ring: Ring, index: number): void {
    const at = ring.base + index * 16;
    const { view } = this.host;
    for (let i = 0; i < 4; i++) ring.snapshot[index * 4 + i] = view.getUint32(at + i * 4, true);
    ring.owned[index] = 1;
  }

  /** The words of an owned descriptor are still what was handed over. */
  protected checkUntouched(ring: Ring, index: number, name: string): void {
    const at = ring.base + index * 16;
    for (let i = 0; i < 4; i++) {
      const now = this.host.view.getUint32(at + i * 4, true);
      if (now === ring.snapshot[index * 4 + i]) continue;
      this.fault(`${name} descriptor ${index} was written while the device owned it`);
    }
  }

  // ---- Transmit (SDM 3.3) -------------------------------------------------------------------

  protected writeTdt(tail: number): void {
    const { tx, host } = this;
    this.counts.doorbells++;
    if (!(this.get(R.TCTL) & Tctl.EN)) {
      tx.tail = tail;
      return;
    }
    this.checkTail(tx, tail, "TDT");
    for (let i = tx.tail; i !== tail; i = tx.next(i)) {
      if (tx.owned[i]) this.fault(`transmit descriptor ${i} handed over again before it was done`);
      this.remember(tx, i);
      const [low, high, command, status] = tx.snapshot.subarray(i * 4, i * 4 + 4) as unknown as [
        number,
        number,
        number,
        number,
      ];
      if (status & 0xff)
        this.fault(
          `transmit descriptor ${i} handed over with status 0x${(status & 0xff).toString(16)}`,
        );
      if (isContext(command)) continue;
      const length = bufferLength(command);
      const address = low + high * 2 ** 32;
      if (length && !host.readable(address, length)) {
        this.fault(
          `transmit descriptor ${i}: ${length} bytes at 0x${address.toString(16)} are not in RAM`,
        );
      }
      if (length > TX_MAX) this.fault(`transmit descriptor ${i}: ${length} bytes exceed ${TX_MAX}`);
      for (let g = Math.floor(address / GRANULE); g * GRANULE < address + length; g++) {
        if (this.posted[g])
          this.fault(`transmit descriptor ${i} reads a buffer of the receive ring`);
      }
      tx.content[i] = fingerprint(host.memory, address, length);
    }
    tx.tail = tail;
    if (this.random.chance(this.faults.hang)) {
      this.hung = true;
      this.counts.hangs++;
    }
    this.later(host.time + FETCH_TIME, () => this.pump());
  }

  /** Takes descriptors up to the end of a frame and puts it on the wire; then the next. */
  protected pump(): void {
    const { tx, host } = this;
    if (this.txBusy || this.hung || !this.linkUp || !(this.get(R.TCTL) & Tctl.EN)) return;
    while (tx.head !== tx.tail) {
      const index = tx.head;
      this.checkUntouched(tx, index, "transmit");
      const word = (i: number) => tx.snapshot[index * 4 + i]!;
      const command = word(2) >>> 24;
      tx.head = tx.next(index);
      if (isContext(word(2))) {
        if (this.assembly) this.fault(`context descriptor ${index} inside a frame`);
        this.context = parseContext(word(0), word(1), word(2), word(3));
        this.writeBack([index]);
        continue;
      }
      const address = word(0) + word(1) * 2 ** 32;
      const length = bufferLength(word(2));
      const assembly = (this.assembly ??= { first: index, parts: [], length: 0 });
      assembly.parts.push(host.memory.slice(address, address + length));
      assembly.length += length;
      if (!(command & TxCommand.EOP)) continue;
      this.assembly = undefined;
      this.transmit(assembly, index);
      return;
    }
    this.icr |= Cause.TXQE;
  }

  protected transmit({ first, parts, length }: Assembly, last: number): void {
    const { tx, host } = this;
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    const lastWord = (i: number) => tx.snapshot[last * 4 + i]!;
    const command = lastWord(2) >>> 24;
    if (!(command & TxCommand.IFCS)) this.fault(`transmit descriptor ${last} has EOP without IFCS`);
    const frames = this.offload(bytes, first, command, lastWord(2), lastWord(3));
    const started = host.time;
    let wire = 0;
    for (const frame of frames) {
      if (frame.length < 14) this.fault(`transmitted frame of ${frame.length} bytes`);
      if (frame.length < 60 && !(this.get(R.TCTL) & Tctl.PSP)) {
        this.fault(`frame of ${frame.length} bytes sent without TCTL.PSP`);
      }
      const padded = frame.length < 60 ? pad(frame) : frame;
      wire += (padded.length + 24) * 8;
      this.countSent(padded);
      this.link?.send(this, padded, started + wire - (padded.length + 24) * 8);
    }
    this.txBusy = true;
    const indices: number[] = [];
    for (let i = first; ; i = tx.next(i)) {
      indices.push(i);
      if (i === last) break;
    }
    this.later(started + wire, () => {
      this.txBusy = false;
      this.writeBack(indices);
      this.pump();
    });
  }

  protected countSent(frame: Uint8Array): void {
    this.counts.sent++;
    this.count(R.GPTC);
    this.count(R.TPT);
    this.count(R.GOTCL, frame.length + 4);
    this.count(R.TOTL, frame.length + 4);
    this.countSize(R.PTC64, frame.length + 4);
    if (isBroadcast(frame)) this.count(R.BPTC);
    else if (frame[0]! & 1) this.count(R.MPTC);
  }

  /** Applies checksum insertion and segmentation: the frames that leave. */
  protected offload(
    bytes: Uint8Array,
    first: number,
    command: number,
    word2: number,
    word3: number,
  ): Uint8Array[] {
    if (!(command & TxCommand.DEXT)) {
      if (command & TxCommand.IC) {
        this.insert(bytes, (word3 >>> 8) & 0xff, (word2 >>> 16) & 0xff, 0);
      }
      return [bytes];
    }
    // POPTS and TSE are taken from the frame's first data descriptor (SDM 3.3.7).
    const firstCommand = this.tx.snapshot[first * 4 + 2]! >>> 24;
    const options = (this.tx.snapshot[first * 4 + 3]! >>> 8) & 0xff;
    const { context } = this;
    if (!options && !(firstCommand & TxCommand.TSE)) return [bytes];
    if (!context) this.fault(`data descriptor ${first} asks for offload without a context`);
    if (!(firstCommand & TxCommand.TSE)) {
      if (options & 1) this.insert(bytes, context.ipcss, context.ipcso, context.ipcse);
      if (options & 2) this.insert(bytes, context.tucss, context.tucso, context.tucse);
      return [bytes];
    }
    if (!this.variant.segmentation) this.fault("segmentation asked of a chip without it");
    if (!context.tse) this.fault(`data descriptor ${first} has TSE, its context has not`);
    for (let i = first; ; i = this.tx.next(i)) {
      const word = this.tx.snapshot[i * 4 + 2]!;
      if (!((word >>> 24) & TxCommand.TSE))
        this.fault(`data descriptor ${i} of a burst has no TSE`);
      // What the FIFO is reckoned with (and Intel's drivers keep to).
      const most = Math.min(4096, 4 * context.mss);
      if (bufferLength(word) > most) this.fault(`data descriptor ${i} of a burst exceeds ${most}`);
      if ((word >>> 24) & TxCommand.EOP) break;
    }
    return this.segment(bytes, context, options);
  }

  /** Sums `[start, end]` (end 0: to the last byte) and stores the complement at `offset`. */
  protected insert(bytes: Uint8Array, start: number, offset: number, end: number): void {
    if (offset + 2 > bytes.length || start >= bytes.length || end >= bytes.length) {
      this.fault(
        `checksum from ${start} to ${end} at ${offset} in a frame of ${bytes.length} bytes`,
      );
    }
    const sum = ~fold(wordSum(bytes, start, end ? end + 1 : bytes.length));
    bytes[offset] = sum >> 8;
    bytes[offset + 1] = sum;
  }

  /** TCP segmentation (SDM 3.5). */
  protected segment(bytes: Uint8Array, context: Context, options: number): Uint8Array[] {
    const { header, mss, ipcss, tucss } = context;
    if (header === 0 || header > bytes.length || mss === 0)
      this.fault("segmentation without HDRLEN or MSS");
    if (context.payload !== bytes.length - header) {
      this.fault(
        `PAYLEN ${context.payload} of a frame with ${bytes.length - header} bytes of payload`,
      );
    }
    const frames: Uint8Array[] = [];
    const source = new DataView(bytes.buffer);
    this.counts.bursts++;
    for (let at = 0, n = 0; n === 0 || at < context.payload; at += mss, n++) {
      const size = Math.min(mss, context.payload - at);
      const last = at + size === context.payload;
      const frame = new Uint8Array(header + size);
      const view = new DataView(frame.buffer);
      frame.set(bytes.subarray(0, header));
      frame.set(bytes.subarray(header + at, header + at + size), header);
      if (context.ipv4) {
        view.setUint16(ipcss + 2, frame.length - ipcss);
        view.setUint16(ipcss + 4, source.getUint16(ipcss + 4) + n);
      } else {
        view.setUint16(ipcss + 4, frame.length - ipcss - 40);
      }
      if (context.tcp) {
        view.setUint32(tucss + 4, source.getUint32(tucss + 4) + at);
        // FIN and PSH belong to the last segment.
        if (!last) frame[tucss + 13]! &= ~0x09;
      } else {
        view.setUint16(tucss + 4, frame.length - tucss);
      }
      if (options & 1) this.insert(frame, ipcss, context.ipcso, context.ipcse);
      if (options & 2) {
        // The driver leaves the length out of the pseudo-header sum; the device adds it.
        const partial = view.getUint16(context.tucso) + frame.length - tucss;
        view.setUint16(context.tucso, fold(partial));
        this.insert(frame, tucss, context.tucso, context.tucse);
      }
      frames.push(frame);
    }
    this.count(R.TSCTC);
    return frames;
  }

  /** Marks descriptors done (SDM 3.3.3.2), at once or, by fault, late and together. */
  protected writeBack(indices: number[]): void {
    this.writeBacks.push(...indices);
    const { completionDelay } = this.faults;
    if (!completionDelay) return this.flushWriteBacks();
    if (this.writeBackDue) return;
    this.writeBackDue = true;
    this.later(this.host.time + this.random.integer(0, completionDelay), () =>
      this.flushWriteBacks(),
    );
  }

  protected flushWriteBacks(): void {
    const { tx, host } = this;
    let cause = 0;
    for (const index of this.writeBacks) {
      this.checkUntouched(tx, index, "transmit");
      const word = (i: number) => tx.snapshot[index * 4 + i]!;
      if (!isContext(word(2))) {
        const address = word(0) + word(1) * 2 ** 32;
        if (fingerprint(host.memory, address, bufferLength(word(2))) !== tx.content[index]) {
          this.fault(`buffer of transmit descriptor ${index} changed while the device owned it`);
        }
      }
      tx.owned[index] = 0;
      const command = word(2) >>> 24;
      if (!(command & TxCommand.RS)) continue;
      host.view.setUint32(tx.base + index * 16 + 12, word(3) | 1, true);
      if (!(command & TxCommand.IDE) || !this.get(R.TIDV)) cause |= Cause.TXDW;
      else this.later(host.time + this.get(R.TIDV) * 1024, () => this.cause(Cause.TXDW));
    }
    this.writeBacks = [];
    this.writeBackDue = false;
    const threshold = (this.get(R.TXDCTL) >>> 25) * 8;
    if (threshold && tx.distance(tx.head, tx.tail) <= threshold) cause |= Cause.TXD_LOW;
    if (cause) this.cause(cause);
  }

  // ---- Receive (SDM 3.2) --------------------------------------------------------------------

  protected bufferSize(): number {
    const rctl = this.get(R.RCTL);
    const code = (rctl >>> 16) & 3;
    return rctl & Rctl.BSEX ? [0, 16384, 8192, 4096][code]! : 2048 >> code;
  }

  /** Bytes of a buffer that the device may write. */
  protected reach(): number {
    return Math.min(this.bufferSize(), this.get(R.RCTL) & Rctl.LPE ? RX_MAX_LONG : RX_MAX);
  }

  protected writeRdt(tail: number): void {
    const { rx, host } = this;
    this.counts.doorbells++;
    if (!(this.get(R.RCTL) & Rctl.EN)) {
      rx.tail = tail;
      return;
    }
    this.checkTail(rx, tail, "RDT");
    const reach = this.reach();
    for (let i = rx.tail; i !== tail; i = rx.next(i)) {
      this.remember(rx, i);
      const address = rx.snapshot[i * 4]! + rx.snapshot[i * 4 + 1]! * 2 ** 32;
      if (rx.snapshot[i * 4 + 3]! & RxStatus.DD) {
        this.fault(`receive descriptor ${i} handed over with its done bit set`);
      }
      if (!host.writable(address, reach)) {
        this.fault(
          `receive descriptor ${i}: ${reach} bytes at 0x${address.toString(16)} are not in RAM`,
        );
      }
      for (let g = Math.floor(address / GRANULE); g * GRANULE < address + reach; g++) {
        if (this.posted[g])
          this.fault(`receive descriptor ${i}: its buffer is in the ring already`);
        this.posted[g] = 1;
      }
    }
    rx.tail = tail;
    if (this.fifo.length) this.later(host.time + FETCH_TIME, () => this.drainFifo());
  }

  receive(frame: Uint8Array, damaged: boolean): void {
    if (!this.linkUp || !(this.get(R.RCTL) & Rctl.EN)) return;
    const { random, faults } = this;
    if (random.chance(faults.badFrame)) {
      const kind = random.integer(0, 2);
      const lengths = [
        random.integer(14, 59),
        random.integer(1519, 9000),
        random.integer(60, 1500),
      ];
      const junk = new Uint8Array(lengths[kind]!);
      random.fill(junk);
      junk.set(this.mac);
      this.accept(junk, kind === 2);
    }
    if (random.chance(faults.lyingDescriptor)) this.lie();
    if (random.chance(faults.overrun)) return this.overrun();
    this.accept(frame, damaged);
  }

  protected overrun(): void {
    this.count(R.MPC);
    this.cause(Cause.RXO);
  }

  protected accept(frame: Uint8Array, damaged: boolean): void {
    const rctl = this.get(R.RCTL);
    const length = frame.length + 4;
    this.count(R.TPR);
    this.count(R.TORL, length);
    if (length < 64) {
      this.count(R.RUC);
      return;
    }
    if (length > (rctl & Rctl.LPE ? RX_MAX_LONG : RX_MAX)) {
      this.count(R.ROC);
      return;
    }
    if (!this.wanted(frame)) return;
    if (damaged) {
      this.count(R.CRCERRS);
      if (!(rctl & Rctl.SBP)) return;
    }
    this.deaf ||= this.random.chance(this.faults.deaf);
    if (this.deaf) return this.count(R.GPRC);
    if (this.fifoBytes + length > FIFO_BYTES) return this.overrun();
    this.fifo.push({ frame, damaged });
    this.fifoBytes += length;
    const { completionDelay } = this.faults;
    if (!completionDelay) return this.drainFifo();
    this.later(this.host.time + this.random.integer(0, completionDelay), () => this.drainFifo());
  }

  /** The address filters (SDM 3.2.1, 13.5). */
  protected wanted(frame: Uint8Array): boolean {
    const rctl = this.get(R.RCTL);
    const low = (frame[0]! | (frame[1]! << 8) | (frame[2]! << 16) | (frame[3]! << 24)) >>> 0;
    const high = frame[4]! | (frame[5]! << 8);
    for (let i = 0; i < 16; i++) {
      const rah = this.addresses[i * 2 + 1]!;
      if (rah >>> 31 && this.addresses[i * 2] === low && (rah & 0xffff) === high) return true;
    }
    if (!(frame[0]! & 1)) return (rctl & Rctl.UPE) !== 0;
    if (rctl & Rctl.MPE) return true;
    if (isBroadcast(frame)) return (rctl & Rctl.BAM) !== 0;
    // RCTL.MO picks 12 of the address's last 16 bits as the index (SDM 13.5.1).
    const shift = [4, 3, 2, 0][(rctl >>> 12) & 3]!;
    const hash = (high >>> shift) & 0xfff;
    return ((this.multicast[hash >>> 5]! >>> (hash & 31)) & 1) === 1;
  }

  protected drainFifo(): void {
    const { rx } = this;
    const size = this.bufferSize();
    while (this.fifo.length) {
      const { frame, damaged } = this.fifo[0]!;
      const length = frame.length + (this.get(R.RCTL) & Rctl.SECRC ? 0 : 4);
      const needed = Math.ceil(length / size);
      if (rx.distance(rx.head, rx.tail) < needed) {
        this.count(R.RNBC);
        return;
      }
      this.fifo.shift();
      this.fifoBytes -= frame.length + 4;
      this.store(frame, length, damaged);
    }
  }

  protected store(frame: Uint8Array, length: number, damaged: boolean): void {
    const size = this.bufferSize();
    const { status, checksum } = this.inspect(frame);
    for (let at = 0; at < length; at += size) {
      const part = Math.min(size, length - at);
      const last = at + part === length;
      const bytes = new Uint8Array(part);
      bytes.set(frame.subarray(at, Math.min(at + part, frame.length)));
      const flags = last ? RxStatus.EOP | status | (damaged ? RxStatus.CE : 0) : 0;
      this.finish(bytes, part, last ? checksum : 0, flags | RxStatus.DD);
    }
    this.counts.received++;
    this.count(R.GPRC);
    this.count(R.GORCL, frame.length + 4);
    this.countSize(R.PRC64, frame.length + 4);
    if (isBroadcast(frame)) this.count(R.BPRC);
    else if (frame[0]! & 1) this.count(R.MPRC);
    this.notifyReceive();
  }

  /** Writes one receive buffer and its descriptor, and gives both back. */
  protected finish(bytes: Uint8Array, length: number, checksum: number, status: number): void {
    const { rx, host } = this;
    const index = rx.head;
    this.checkUntouched(rx, index, "receive");
    const address = rx.snapshot[index * 4]! + rx.snapshot[index * 4 + 1]! * 2 ** 32;
    host.memory.set(bytes, address);
    const reach = this.reach();
    for (let g = Math.floor(address / GRANULE); g * GRANULE < address + reach; g++) {
      this.posted[g] = 0;
    }
    const at = rx.base + index * 16;
    host.view.setUint32(at + 8, (length | (checksum << 16)) >>> 0, true);
    host.view.setUint32(at + 12, status, true);
    rx.owned[index] = 0;
    rx.head = rx.next(index);
    // RCTL.RDMTS: half, a quarter or an eighth of the ring is left (SDM 13.4.22).
    const left = rx.distance(rx.head, rx.tail);
    if (left === rx.count >> (1 + ((this.get(R.RCTL) >>> 8) & 3))) this.icr |= Cause.RXDMT0;
  }

  /** A descriptor whose length is not that of anything in its buffer. */
  protected lie(): void {
    const { rx } = this;
    if (rx.distance(rx.head, rx.tail) < 2) return;
    const length = this.random.pick([0, 1, 13, this.bufferSize() + 1, 16384, 65535]);
    const status = RxStatus.DD | RxStatus.EOP | RxStatus.IXSM;
    this.finish(new Uint8Array(0), length, 0, status);
    this.notifyReceive();
  }

  /** RXT0 at once, or after RDTR, restarted by each frame and bounded by RADV (SDM 13.4.30). */
  protected notifyReceive(): void {
    const delay = (this.get(R.RDTR) & 0xffff) * 1024;
    if (!delay) return this.cause(Cause.RXT0);
    const { time } = this.host;
    const timer = this.receiveTimer;
    const absolute = this.get(R.RADV) * 1024;
    if (timer.latest === Infinity && absolute) timer.latest = time + absolute;
    const due = Math.min(time + delay, timer.latest);
    timer.due = due;
    this.later(due, () => {
      if (timer.due !== due) return;
      timer.due = timer.latest = Infinity;
      this.cause(Cause.RXT0);
    });
  }

  /** Receive checksum offload (SDM 3.2.9): what the status says of IPv4, TCP and UDP checksums. */
  protected inspect(frame: Uint8Array): { status: number; checksum: number } {
    const rxcsum = this.get(R.RXCSUM);
    const start = rxcsum & 0xff;
    const checksum = fold(wordSum(frame, Math.min(start, frame.length), frame.length));
    let status = RxStatus.IXSM as number;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    if (frame.length < 34 || view.getUint16(12) !== 0x0800 || frame[14]! >> 4 !== 4) {
      return { status, checksum };
    }
    const header = (frame[14]! & 15) * 4;
    const total = view.getUint16(16);
    if (header < 20 || total < header || 14 + total > frame.length) return { status, checksum };
    if (rxcsum & Rxcsum.IPOFL) {
      status = (status & ~RxStatus.IXSM) | RxStatus.IPCS;
      if (fold(wordSum(frame, 14, 14 + header)) !== 0xffff) status |= RxStatus.IPE;
    }
    const protocol = frame[23]!;
    const fragment = view.getUint16(20) & 0x3fff;
    const transport = 14 + header;
    const length = total - header;
    if (!(rxcsum & Rxcsum.TUOFL) || fragment || (protocol !== 6 && protocol !== 17)) {
      return { status, checksum };
    }
    if (length < (protocol === 6 ? 20 : 8)) return { status, checksum };
    if (protocol === 17 && view.getUint16(transport + 6) === 0) return { status, checksum };
    status = (status & ~RxStatus.IXSM) | RxStatus.TCPCS;
    const pseudo = wordSum(frame, 26, 34, protocol + length);
    if (fold(wordSum(frame, transport, transport + length, pseudo)) !== 0xffff) {
      status |= RxStatus.TCPE;
    }
    return { status, checksum };
  }
}

function isContext(word2: number): boolean {
  return ((word2 >>> 24) & TxCommand.DEXT) !== 0 && ((word2 >>> 20) & 15) === 0;
}

/** Bytes of a legacy (16 bits) or data (20 bits) descriptor's buffer. */
function bufferLength(word2: number): number {
  return (word2 >>> 24) & TxCommand.DEXT ? word2 & 0xfffff : word2 & 0xffff;
}

function parseContext(w0: number, w1: number, w2: number, w3: number): Context {
  const command = w2 >>> 24;
  return {
    ipcss: w0 & 0xff,
    ipcso: (w0 >>> 8) & 0xff,
    ipcse: w0 >>> 16,
    tucss: w1 & 0xff,
    tucso: (w1 >>> 8) & 0xff,
    tucse: w1 >>> 16,
    payload: w2 & 0xfffff,
    header: (w3 >>> 8) & 0xff,
    mss: w3 >>> 16,
    tcp: (command & TxCommand.TCP) !== 0,
    ipv4: (command & TxCommand.IP) !== 0,
    tse: (command & TxCommand.TSE) !== 0,
  };
}

function isBroadcast(frame: Uint8Array): boolean {
  for (let i = 0; i < 6; i++) if (frame[i] !== 0xff) return false;
  return true;
}

function pad(frame: Uint8Array): Uint8Array {
  const padded = new Uint8Array(60);
  padded.set(frame);
  return padded;
}

function hex2(value: number): string {
  return value.toString(16).padStart(2, "0");
}

function register(offset: number): string {
  return NAMES.get(offset) ?? `register 0x${offset.toString(16)}`;
}
