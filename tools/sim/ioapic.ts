import { DriverFault } from "./device.ts";

/**
 * An I/O APIC, from Intel's 82093AA data sheet (290566), chapter 3: an index register, a window, and a
 * redirection entry of 64 bits for each input. Level-triggered inputs are what is modelled.
 */

export const IO_APIC_BASE = 0xfec00000;
export const IO_APIC_BYTES = 0x20;
export const IO_APIC_INPUTS = 24;

/** The low half of a redirection entry (3.2.4). */
const enum Entry {
  Vector = 0xff,
  DeliveryMode = 7 << 8,
  Logical = 1 << 11,
  LevelTriggered = 1 << 15,
  Masked = 1 << 16,
}

export class IoApic {
  private index = 0;
  private readonly low = new Uint32Array(IO_APIC_INPUTS);
  private readonly high = new Uint32Array(IO_APIC_INPUTS);

  /** `processor`: the number that entries must be addressed to. Power-on leaves firmware's vectors behind. */
  constructor(private readonly processor: number) {
    this.low.fill(Entry.Masked);
    this.low[2] = 0x08;
  }

  read(offset: number, width: number): number {
    this.check(offset, width);
    if (offset === 0) return this.index;
    if (this.index === 1) return ((IO_APIC_INPUTS - 1) << 16) | 0x11;
    const [half, entry] = this.place();
    return half ? half[entry]! : 0;
  }

  write(offset: number, width: number, value: number): void {
    this.check(offset, width);
    if (offset === 0) {
      this.index = value & 0xff;
      return;
    }
    const [half, entry] = this.place();
    if (!half) throw new DriverFault(`I/O APIC: write to register ${this.index}`);
    half[entry] = value;
    const low = this.low[entry]!;
    if (low & Entry.Masked) return;
    const vector = low & Entry.Vector;
    if (vector < 16)
      throw new DriverFault(`I/O APIC: input ${entry} unmasked with vector ${vector}`);
    if (low & (Entry.DeliveryMode | Entry.Logical) || this.high[entry]! >>> 24 !== this.processor) {
      throw new DriverFault(`I/O APIC: input ${entry} is sent to nobody`);
    }
    if (!(low & Entry.LevelTriggered)) {
      throw new DriverFault(`I/O APIC: input ${entry} is a level-triggered wire, its entry is not`);
    }
  }

  /** The vectors of the unmasked inputs among `levels`, a bit each. */
  vectors(levels: number): number[] {
    const found: number[] = [];
    for (let input = 0; input < IO_APIC_INPUTS; input++) {
      const low = this.low[input]!;
      if ((levels >>> input) & 1 && !(low & Entry.Masked)) found.push(low & Entry.Vector);
    }
    return found;
  }

  private place(): [Uint32Array | undefined, number] {
    const entry = (this.index - 0x10) >> 1;
    if (entry < 0 || entry >= IO_APIC_INPUTS) return [undefined, 0];
    return [this.index & 1 ? this.high : this.low, entry];
  }

  private check(offset: number, width: number): void {
    if (width !== 4 || (offset !== 0 && offset !== 0x10)) {
      throw new DriverFault(`I/O APIC: access of ${width} bytes at 0x${offset.toString(16)}`);
    }
  }
}
