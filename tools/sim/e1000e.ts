import type { Host } from "./device.ts";
import { E1000, type E1000Options, type Variant } from "./e1000.ts";
import * as R from "./e1000-registers.ts";
import { Cause, Eecd, WRITABLE } from "./e1000-registers.ts";
import { MsiX } from "./msix.ts";
import { PciFunction } from "./pci.ts";
import { MICROSECOND } from "./simulation.ts";

/**
 * The 82574L, from the 82574 GbE Controller Family Datasheet (317694): what differs from the 8254x, whose
 * rings, filters, offloads and PHY it has. That is PCI Express, interrupts by MSI-X, and its reset.
 */

export const VARIANT_82574: Variant = {
  name: "82574L",
  device: 0x10d3,
  phyId2: 0x0cb1,
  eerd: true,
  eepromRequest: false,
  segmentation: true,
  moderation: true,
};

const EIAC = 0x00dc;
const IAM = 0x00e0;
const IVAR = 0x00e4;
const EITR = 0x00e8;
const VECTORS = 5;
const EXTCNF_CTRL = 0x0f00;
const TARC0 = 0x3840;
const RFCTL = 0x5008;
const GCR = 0x5b00;
const GCR2 = 0x5b64;

const CTRL_GIO_MASTER_DISABLE = 1 << 2;
const CTRL_RST = 1 << 26;
const STATUS_GIO_MASTER_ENABLE = 1 << 19;
const EECD_AUTO_RD = 1 << 9;
const CTRL_EXT_EIAME = 1 << 24;
const MDIO_SOFTWARE = 1 << 5;
const RFCTL_ACK_DIS = 1 << 12;

/** Causes that only this family has (10.2.4.1), and those that "other" stands for. */
const enum More {
  ACK = 1 << 17,
  RXQ0 = 1 << 20,
  TXQ0 = 1 << 22,
  OTHER = 1 << 24,
  ASSERTED = 1 << 31,
}
const OTHER_CAUSES = Cause.LSC | Cause.RXO | (1 << 9) | (1 << 16) | More.ACK | (1 << 18);
const CAUSES = 0x01f782d7;
/** Of each cause that has a vector its place in IVAR (10.2.4.9). */
const ALLOCATED: [number, number][] = [
  [More.RXQ0, 0],
  [More.TXQ0, 8],
  [More.OTHER, 16],
];

/** Requests under way when mastering is disabled take so long to end; and reading the NVM so long. */
const DRAIN_TIME = 5 * MICROSECOND;
const NVM_TIME = 900 * MICROSECOND;

const REGISTERS = new Map([
  ...WRITABLE,
  [R.CTRL, 0xdc101b65],
  [R.CTRL_EXT, 0x99fff000],
  [R.ICR, 0xffffffff],
  [R.ICS, CAUSES],
  [R.IMS, CAUSES],
  [EIAC, 0x01f00000],
  [IAM, 0xffffffff],
  [IVAR, 0x800fffff],
  ...Array.from({ length: VECTORS }, (_, i): [number, number] => [EITR + i * 4, 0xffff]),
  [EXTCNF_CTRL, 0xffffffff],
  [R.TCTL, 0x7ffffffa],
  [R.TXDCTL, 0xff7f3f3f],
  [TARC0, 0xffffffff],
  [RFCTL, 0x0003ffff],
  [GCR, 0xffffffff],
  [GCR2, 0xffffffff],
]);

const BAR_FLASH = 1;
const BAR_IO = 2;
const BAR_MSIX = 3;
const MSI_AT = 0xd0;

export interface E1000eOptions extends E1000Options {
  /** Its capability to send messages from a table: it has it unless told. */
  msix?: boolean;
}

export class E1000e extends E1000 {
  private readonly msix: MsiX | undefined;
  /** Causes whose message was sent since they were last clear, and when each vector's last one was. */
  private told = 0;
  private readonly lastMessage = new Float64Array(VECTORS).fill(-Infinity);
  private mastersUntil = Infinity;
  private nvmReadAt = 0;

  constructor(options: E1000eOptions) {
    super({ ...options, variant: VARIANT_82574 });
    if (options.msix !== false) this.msix = new MsiX(this.pci, 0xa0, BAR_MSIX, VECTORS, 0x2000);
  }

  protected override makeFunction(options: E1000Options): PciFunction {
    const base = options.base ?? 0xfebc0000;
    const pci = new PciFunction({
      vendor: 0x8086,
      device: VARIANT_82574.device,
      classCode: 0x020000,
      line: options.line ?? 11,
      pin: 1,
      bars: [
        { kind: "memory32", size: 0x20000, address: base },
        { kind: "memory32", size: 0x20000, address: base + 0x20000 },
        { kind: "io", size: 32, address: options.ports ?? 0xc000 },
        { kind: "memory32", size: 0x4000, address: base + 0x40000 },
      ],
    });
    // Power management, MSI of 64 bits, PCI Express with L0s and L1 switched on (9.3, 9.4).
    pci.addCapability(0xc8, [0x01, 0, 0x22, 0xc8, 0, 0, 0, 0]);
    pci.addCapability(MSI_AT, [0x05, 0, 0x80, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    pci.allow(MSI_AT, 0x00710000);
    pci.allow(MSI_AT + 4, 0xfffffffc);
    pci.allow(MSI_AT + 8, 0xffffffff);
    pci.allow(MSI_AT + 12, 0x0000ffff);
    const express = new Array<number>(20).fill(0);
    express[0] = 0x10;
    express[16] = 3;
    pci.addCapability(0xe0, express);
    pci.allow(0xf0, 0x000000fb);
    return pci;
  }

  override plugged(host: Host, mastering: () => boolean): void {
    super.plugged(host, mastering);
    this.msix?.plugged(host);
    this.nvmReadAt = 0;
  }

  protected override writableBits(offset: number): number | undefined {
    return REGISTERS.get(offset);
  }

  // ---- Registers ------------------------------------------------------------------------------

  override read(bar: number, offset: number, width: number): number {
    if (bar === BAR_FLASH) return 2 ** (width * 8) - 1;
    if (bar === BAR_MSIX) return this.msix ? this.msix.read(offset, width) : 0;
    if (bar === BAR_IO) return super.read(1, offset, width);
    const value = super.read(0, offset, width);
    if (offset === R.EECD) {
      const done = this.host.time >= this.nvmReadAt ? EECD_AUTO_RD : 0;
      return (value & ~Eecd.DO) | done;
    }
    if (offset !== R.STATUS) return value;
    return value | (this.host.time < this.mastersUntil ? STATUS_GIO_MASTER_ENABLE : 0);
  }

  override write(bar: number, offset: number, width: number, value: number): void {
    if (bar === BAR_FLASH) return this.fault("write to the flash");
    if (bar === BAR_MSIX) return this.msix?.write(offset, width, value);
    if (bar === BAR_IO) return super.write(1, offset, width, value);
    if (offset === R.ICR) {
      this.checkAccess(offset, width, "write");
      this.icr &= ~value;
      return this.updateLine();
    }
    super.write(0, offset, width, value);
    this.msix?.release();
  }

  protected override writeCtrl(value: number): void {
    if (value & CTRL_RST) {
      if (this.host.time < this.mastersUntil) {
        this.fault(
          "CTRL.RST while requests may be on the bus: GIO Master Disable first (3.1.3.10)",
        );
      }
      if (!(this.get(EXTCNF_CTRL) & MDIO_SOFTWARE)) {
        this.fault("CTRL.RST without ownership of the management bus (EXTCNF_CTRL)");
      }
      super.writeCtrl(value);
      this.nvmReadAt = this.host.time + NVM_TIME;
      return;
    }
    const disable = (value & CTRL_GIO_MASTER_DISABLE) !== 0;
    if (!disable) this.mastersUntil = Infinity;
    else if (this.mastersUntil === Infinity) this.mastersUntil = this.host.time + DRAIN_TIME;
    super.writeCtrl(value);
  }

  protected override openRing(ring: E1000["rx"], low: number, what: string): void {
    if (this.mastersUntil !== Infinity) this.fault(`${what} enabled with GIO Master Disable set`);
    super.openRing(ring, low, what);
  }

  protected override restore(): void {
    super.restore();
    this.registers.set(R.TCTL, 0x30000000);
    this.mastersUntil = Infinity;
    this.told = 0;
    this.lastMessage?.fill(-Infinity);
  }

  /** Address from bit 2, done in bit 1 (10.2.2.4). */
  protected override writeEerd(value: number): void {
    if (!(value & 1)) return;
    if (this.host.time < this.nvmReadAt) this.fault("EERD before the NVM was read (EECD.AUTO_RD)");
    const word = (value >>> 2) & 0x3fff;
    if (word > 63) this.fault(`EERD asks for word ${word} of an NVM of 64`);
    this.registers.set(R.EERD, ((this.eeprom.words[word]! << 16) | (word << 2) | 2) >>> 0);
  }

  // ---- Interrupts (7.4, 10.2.4) -----------------------------------------------------------------

  protected override cause(causes: number): void {
    if (causes & (Cause.RXT0 | Cause.RXDMT0)) causes |= More.RXQ0;
    if (causes & (Cause.TXDW | Cause.TXD_LOW)) causes |= More.TXQ0;
    if (causes & OTHER_CAUSES) causes |= More.OTHER;
    super.cause(causes);
  }

  /** Cleared by a read only if all causes are masked, or the line or MSI is asserted (10.2.4.1). */
  protected override readCauses(): number {
    const asserted = this.asserted;
    const causes = this.icr | (asserted ? More.ASSERTED : 0);
    if (this.get(R.IMS) === 0 || asserted) this.icr = 0;
    this.updateLine();
    return causes >>> 0;
  }

  protected override updateLine(): void {
    if (!this.msix?.enabled) return super.updateLine();
    const active = this.icr & this.get(R.IMS);
    this.told &= active;
    for (const [cause, place] of ALLOCATED) {
      if (active & cause && !(this.told & cause)) this.tell(cause, place);
    }
  }

  /** Sends the message of a cause, not sooner than EITR allows. */
  private tell(cause: number, place: number): void {
    const entry = (this.get(IVAR) >>> place) & 15;
    if (!(entry & 8))
      this.fault(`cause 0x${cause.toString(16)} is unmasked and has no vector (IVAR)`);
    const vector = entry & 7;
    if (vector >= VECTORS) this.fault(`IVAR names vector ${vector}`);
    if (this.random.chance(this.faults.interruptLoss)) return;
    this.told |= cause;
    const { time } = this.host;
    const gap = (this.get(EITR + vector * 4) & 0xffff) * 256;
    const { interruptDelay } = this.faults;
    const late = interruptDelay ? this.random.integer(0, interruptDelay) : 0;
    const due = Math.max(time, this.lastMessage[vector]! + gap) + late;
    const send = (): void => {
      if (!(this.icr & this.get(R.IMS) & cause)) return;
      this.lastMessage[vector] = this.host.time;
      this.counts.interrupts++;
      this.msix!.raise(vector);
      this.icr &= ~(this.get(EIAC) & cause);
      this.told &= this.icr;
      if (this.get(R.CTRL_EXT) & CTRL_EXT_EIAME) {
        this.registers.set(R.IMS, (this.get(R.IMS) & ~this.get(IAM)) >>> 0);
      }
    };
    if (due > time) this.later(due, send);
    else send();
  }

  /** MSI is a message where the line would be raised (PCI 3.0, 6.8.1). */
  protected override assertLine(): void {
    if (!((this.pci.read(MSI_AT) >>> 16) & 1)) return super.assertLine();
    if (this.asserted || !(this.icr & this.get(R.IMS))) return;
    this.asserted = true;
    this.lastInterrupt = this.host.time;
    this.counts.interrupts++;
    this.host.message(this.pci.read(MSI_AT + 4), this.pci.read(MSI_AT + 12) & 0xffff);
  }

  // ---- Receive (7.1) ------------------------------------------------------------------------------

  protected override store(frame: Uint8Array, length: number, damaged: boolean): void {
    super.store(frame, length, damaged);
    const tcp = frame.length >= 54 && frame[12] === 8 && frame[13] === 0 && frame[23] === 6;
    if (tcp && frame[47]! & 0x10 && !(this.get(RFCTL) & RFCTL_ACK_DIS)) this.cause(More.ACK);
  }

  /** UDP has a status bit of its own (7.1.4.2). */
  protected override inspect(frame: Uint8Array): { status: number; checksum: number } {
    const { status, checksum } = super.inspect(frame);
    const [TCPCS, UDPCS] = [1 << 5, 1 << 4];
    if (!(status & TCPCS) || frame[23] !== 17) return { status, checksum };
    return { status: (status & ~TCPCS) | UDPCS, checksum };
  }
}
