import { MICROSECOND, MILLISECOND } from "./simulation.ts";

/** The serial EEPROM and the PHY of an 8254x card: small state machines beside the controller. */

/** A 93C46: 64 words behind a Microwire bus (SDM 5.3; the part's own data sheet for the bits). */
export class Eeprom {
  readonly words = new Uint16Array(64);
  private selected = false;
  private clock = false;
  /** Bits shifted in since the start bit; −1 while waiting for it. */
  private received = -1;
  private command = 0;
  private address = 0;
  private output = 0;
  private outputLeft = -1;

  constructor(mac: Uint8Array) {
    for (let i = 0; i < 3; i++) this.words[i] = mac[i * 2]! | (mac[i * 2 + 1]! << 8);
    // Words 00h to 3Fh sum to BABAh (SDM 5.6.35).
    this.words[0x0a] = 0x4408;
    let sum = 0;
    for (let i = 0; i < 63; i++) sum += this.words[i]!;
    this.words[63] = 0xbaba - sum;
  }

  /** Drives chip select, clock and data in; returns data out. */
  drive(select: boolean, clock: boolean, data: boolean): boolean {
    const rising = clock && !this.clock;
    this.clock = clock;
    if (!select) {
      this.selected = false;
      this.received = -1;
      this.outputLeft = -1;
      return true;
    }
    this.selected = true;
    if (rising) this.shift(data);
    return this.dataOut;
  }

  get dataOut(): boolean {
    return !this.selected || this.outputLeft < 0 || ((this.output >> this.outputLeft) & 1) === 1;
  }

  private shift(data: boolean): void {
    if (this.outputLeft >= 0) {
      if (this.outputLeft-- > 0) return;
      this.address = (this.address + 1) & 63;
      this.output = this.words[this.address]!;
      this.outputLeft = 15;
      return;
    }
    if (this.received < 0) {
      if (data) this.received = this.command = 0;
      return;
    }
    this.command = (this.command << 1) | (data ? 1 : 0);
    if (++this.received < 8) return;
    // Opcode 10 reads: a zero bit first, then the word, most significant bit first.
    this.received = -1;
    if (this.command >> 6 !== 2) return;
    this.address = this.command & 63;
    this.output = this.words[this.address]!;
    this.outputLeft = 16;
  }
}

/** How long auto-negotiation takes here; on copper it is seconds. */
const NEGOTIATION = 20 * MILLISECOND;

/** A Marvell 88E1011's registers as the MAC reaches them through MDIC (SDM 8.6 and table 13-6). */
export class Phy {
  private readonly registers = new Uint16Array(32);
  private cable = false;
  /** When the negotiation under way ends, or Infinity without a cable. */
  private settles = Infinity;
  private latchedDown = true;

  constructor(id2: number) {
    this.registers[0] = 0x1140;
    this.registers[1] = 0x7949;
    this.registers[2] = 0x0141;
    this.registers[3] = id2;
    this.registers[4] = 0x01e1;
    this.registers[5] = 0x45e1;
    this.registers[9] = 0x0e00;
    this.registers[10] = 0x3c00;
  }

  /** The cable goes in or out. Returns when the link settles. */
  plug(cable: boolean, now: number): number {
    this.cable = cable;
    return this.restart(now);
  }

  /** Negotiates again, as after a reset. */
  restart(now: number): number {
    this.latchedDown = true;
    this.settles = this.cable ? now + NEGOTIATION : Infinity;
    return this.settles;
  }

  up(now: number): boolean {
    return now >= this.settles;
  }

  read(register: number, now: number): number {
    const up = this.up(now);
    switch (register) {
      case 1: {
        // Link status latches low until it is read (IEEE 802.3, 22.2.4.2.13).
        const link = up && !this.latchedDown;
        this.latchedDown = !up;
        return this.registers[1]! | (up ? 0x20 : 0) | (link ? 0x04 : 0);
      }
      case 17:
        return up ? 0xac00 : 0;
      default:
        return this.registers[register]!;
    }
  }

  /** Returns whether the write restarted the negotiation. */
  write(register: number, value: number, now: number): boolean {
    if (register !== 0) {
      if (register > 3) this.registers[register] = value;
      return false;
    }
    this.registers[0] = value & 0x7dff;
    if (!(value & 0x8200)) return false;
    this.restart(now);
    return true;
  }
}

/** Time of one transaction on the management bus: 64 bits at 2.5 MHz. */
export const MDIO_TIME = 26 * MICROSECOND;

/** Sum of 16-bit big-endian words, not folded; an odd last byte counts as a high one (RFC 1071). */
export function wordSum(bytes: Uint8Array, from: number, to: number, initial = 0): number {
  let sum = initial;
  let i = from;
  for (; i + 1 < to; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  if (i < to) sum += bytes[i]! << 8;
  return sum;
}

export function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** A cheap fingerprint of bytes (FNV-1a): only to notice that they changed. */
export function fingerprint(bytes: Uint8Array, from: number, length: number): number {
  let hash = 0x811c9dc5;
  for (let i = from, end = from + length; i < end; i++)
    hash = Math.imul(hash ^ bytes[i]!, 16777619);
  return hash;
}
