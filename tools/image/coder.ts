/**
 * An adaptive binary range coder (G. N. N. Martin, 1979): each bit costs as little as it was to be expected, and
 * what is expected is learnt from the bits before. boot/coder.c reads what this writes, and must learn alike.
 */

/** What is known of a bit: how often it was 1 of 65,536, once in the long and once in the short run. */
class Bit {
  slow = 1 << 15;
  fast = 1 << 15;
}

/** Bits that a number has below its first one, and one more. */
const LENGTHS = 24;

/** Numbers of one kind: their bits are told apart by how long they are and what comes before. */
class Kind {
  readonly bits: Bit[] = Array.from({ length: LENGTHS * 17 }, () => new Bit());
}

const FAST = 4;
const SLOW = 7;
const ROOM = 1 << 24;

export class Coder {
  private readonly bytes: number[] = [];
  private low = 0;
  private range = 0xffff_ffff;
  /** The last byte that a carry may still change, and how many 255 follow it. */
  private last = 0;
  private pending = 1;
  private readonly kinds = new Map<number, Kind>();
  private readonly letters = Array.from({ length: 32 * 128 }, () => new Bit());

  /** A number below 2^24 - 1, of a kind that the reader knows by the same index. */
  number(kind: number, value: number): void {
    if (value + 1 >= 2 ** LENGTHS) throw new Error(`${value} has more than ${LENGTHS} bits`);
    let known = this.kinds.get(kind);
    if (!known) this.kinds.set(kind, (known = new Kind()));
    const length = 31 - Math.clz32(value + 1);
    for (let i = 0; i < length; i++) this.bit(known.bits[i * 17]!, 1);
    this.bit(known.bits[length * 17]!, 0);
    for (let i = length - 1, before = 1; i >= 0; i--) {
      const bit = ((value + 1) >>> i) & 1;
      this.bit(known.bits[length * 17 + 1 + (before < 16 ? before : 0)]!, bit);
      before = before * 2 + bit;
    }
  }

  signed(kind: number, value: number): void {
    this.number(kind, value < 0 ? -2 * value - 1 : 2 * value);
  }

  /** A letter of 7 bits, told apart by the one before. */
  letter(before: number, letter: number): void {
    for (let i = 6, node = 1; i >= 0; i--) {
      const bit = (letter >> i) & 1;
      this.bit(this.letters[(before & 31) * 128 + node]!, bit);
      node = node * 2 + bit;
    }
  }

  /** All bytes, after which nothing more is written. */
  end(): Uint8Array {
    for (let i = 0; i < 5; i++) this.shift();
    // The first byte is always 0.
    return Uint8Array.from(this.bytes.slice(1));
  }

  private bit(known: Bit, bit: number): void {
    // Between 1 and 65,535 of 65,536.
    const ones = ((known.slow + known.fast) >> 1) | 1;
    const bound = Math.floor(this.range / 65536) * ones;
    if (bit) this.range = bound;
    else {
      this.low += bound;
      this.range -= bound;
    }
    known.fast += bit ? (65535 - known.fast) >> FAST : -(known.fast >> FAST);
    known.slow += bit ? (65535 - known.slow) >> SLOW : -(known.slow >> SLOW);
    while (this.range < ROOM) {
      this.range *= 256;
      this.shift();
    }
  }

  /** Moves the highest byte of `low` out, once no carry can reach it. */
  private shift(): void {
    if (this.low < 0xff00_0000 || this.low >= 2 ** 32) {
      const carry = this.low >= 2 ** 32 ? 1 : 0;
      for (; this.pending; this.pending--) {
        this.bytes.push((this.last + carry) & 0xff);
        this.last = 0xff;
      }
      this.last = Math.floor(this.low / ROOM) & 0xff;
    }
    this.pending++;
    this.low = (this.low % ROOM) * 256;
  }
}
