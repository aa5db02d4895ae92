/**
 * Arithmetic modulo an odd number of up to 4,096 bits, in Montgomery's form: what is called x here is kept as
 * x·R mod m with R = 2^(32·limbs). Numbers are arrays of u32 limbs, the least first, as many as the modulus
 * has. Checking signatures needs no secrets, so time may depend on values.
 *
 * Cost of a product: 2·limbs² multiplications of 32 bits.
 */

/** Limbs of the largest modulus, and its bytes. */
export const LIMBS_MAX: u32 = 128;
export const MODULUS_BYTES: i32 = 16 + 3 * 512;

/** `MODULUS_BYTES` of memory, 8-byte aligned. */
@unmanaged
export class Modulus {
  limbs: u32;
  /** -1/m mod 2^32. */
  private inverse: u32;
  private spare: u64;

  /** The number itself. */
  @inline get value(): usize {
    return changetype<usize>(this) + offsetof<Modulus>();
  }

  /** 1, in Montgomery's form. */
  @inline get one(): usize {
    return this.value + 512;
  }

  /** R² mod m: a product with it brings a number into Montgomery's form. */
  @inline get square(): usize {
    return this.value + 1024;
  }

  /** Takes `value` as it stands, of which the highest limb is not 0. False if it is even. */
  begin(limbs: u32): bool {
    const first = load<u32>(this.value);
    if (!(first & 1)) return false;
    this.limbs = limbs;
    // Each step doubles the bits that are right; an odd number is its own inverse modulo 8.
    let inverse = first;
    for (let i = 0; i < 4; i++) inverse *= 2 - first * inverse;
    this.inverse = 0 - inverse;
    const one = this.one;
    const bits = (limbs << 5) - clz(load<u32>(this.value + ((limbs - 1) << 2)));
    memory.fill(one, 0, limbs << 2);
    store<u32>(one + (((bits - 1) >> 5) << 2), 1 << ((bits - 1) & 31));
    for (let i = bits - 1; i < limbs << 5; i++) this.add(one, one, one);
    // 2^k·R by doubling, then squared until the exponent is that of R.
    let doublings = limbs << 5;
    let squarings: u32 = 0;
    while (!(doublings & 1) && doublings > 32) {
      doublings >>= 1;
      squarings++;
    }
    const square = this.square;
    memory.copy(square, one, limbs << 2);
    for (; doublings; doublings--) this.add(square, square, square);
    for (; squarings; squarings--) this.multiply(square, square, square);
    return true;
  }

  /** a·b/R mod m; `into` may be either. */
  multiply(into: usize, a: usize, b: usize): void {
    const bytes = (<usize>this.limbs) << 2;
    const m = this.value;
    memory.fill(product, 0, bytes);
    let top: u64 = 0;
    for (let i: usize = 0; i < bytes; i += 4) {
      const digit = <u64>load<u32>(a + i);
      let sum = <u64>load<u32>(product) + digit * <u64>load<u32>(b);
      const quotient = <u64>(<u32>sum * this.inverse);
      let less = <u64>(<u32>sum) + quotient * <u64>load<u32>(m);
      for (let j: usize = 4; j < bytes; j += 4) {
        sum = <u64>load<u32>(product + j) + digit * <u64>load<u32>(b + j) + (sum >> 32);
        less = <u64>(<u32>sum) + quotient * <u64>load<u32>(m + j) + (less >> 32);
        store<u32>(product + j - 4, <u32>less);
      }
      top += (sum >> 32) + (less >> 32);
      store<u32>(product + bytes - 4, <u32>top);
      top >>= 32;
    }
    if (top || compare(product, m, this.limbs) >= 0) subtract(product, product, m, this.limbs);
    memory.copy(into, product, bytes);
  }

  add(into: usize, a: usize, b: usize): void {
    let carry: u64 = 0;
    const bytes = (<usize>this.limbs) << 2;
    for (let i: usize = 0; i < bytes; i += 4) {
      carry += <u64>load<u32>(a + i) + <u64>load<u32>(b + i);
      store<u32>(into + i, <u32>carry);
      carry >>= 32;
    }
    if (carry || compare(into, this.value, this.limbs) >= 0) {
      subtract(into, into, this.value, this.limbs);
    }
  }

  subtract(into: usize, a: usize, b: usize): void {
    if (!subtract(into, a, b, this.limbs)) return;
    let carry: u64 = 0;
    const bytes = (<usize>this.limbs) << 2;
    for (let i: usize = 0; i < bytes; i += 4) {
      carry += <u64>load<u32>(into + i) + <u64>load<u32>(this.value + i);
      store<u32>(into + i, <u32>carry);
      carry >>= 32;
    }
  }

  /** Into Montgomery's form, and out of it. */
  enter(into: usize, a: usize): void {
    this.multiply(into, a, this.square);
  }

  leave(into: usize, a: usize): void {
    memory.fill(plainOne, 0, this.limbs << 2);
    store<u32>(plainOne, 1);
    this.multiply(into, a, plainOne);
  }

  /** a to the power of `exponent`, a plain number of `limbs` limbs; `into` is neither. */
  power(into: usize, a: usize, exponent: usize, limbs: u32): void {
    memory.copy(into, this.one, this.limbs << 2);
    let begun = false;
    for (let bit = limbs << 5; bit-- > 0;) {
      if (begun) this.multiply(into, into, into);
      if (!bitOf(exponent, bit)) continue;
      this.multiply(into, into, a);
      begun = true;
    }
  }

  /** 1/a, of a prime modulus that is greater than 2 (Fermat); 0 of 0. */
  invert(into: usize, a: usize): void {
    memory.copy(exponent, this.value, this.limbs << 2);
    // No modulus here has a last limb below 2.
    store<u32>(exponent, load<u32>(exponent) - 2);
    this.power(into, a, exponent, this.limbs);
  }
}

const product: usize = memory.data(512, 8);
const plainOne: usize = memory.data(512, 8);
const exponent: usize = memory.data(512, 8);


@inline export function bitOf(number: usize, bit: u32): u32 {
  return (load<u32>(number + ((bit >> 5) << 2)) >> (bit & 31)) & 1;
}

/** Below 0, 0 or above, as a is below, is, or is above b. */
export function compare(a: usize, b: usize, limbs: u32): i32 {
  for (let i = limbs; i-- > 0;) {
    const x = load<u32>(a + (i << 2));
    const y = load<u32>(b + (i << 2));
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}

/** a - b; the borrow, 0 or 1. */
export function subtract(into: usize, a: usize, b: usize, limbs: u32): u32 {
  let borrow: u64 = 0;
  for (let i: usize = 0; i < (<usize>limbs) << 2; i += 4) {
    const difference = <u64>load<u32>(a + i) - <u64>load<u32>(b + i) - borrow;
    store<u32>(into + i, <u32>difference);
    borrow = difference >> 63;
  }
  return <u32>borrow;
}

export function isZero(a: usize, limbs: u32): bool {
  for (let i: u32 = 0; i < limbs; i++) if (load<u32>(a + (i << 2))) return false;
  return true;
}

/** Reads `length` bytes, the most significant first, into `limbs` limbs, which hold them. */
export function fromBytes(into: usize, at: usize, length: u32, limbs: u32): void {
  memory.fill(into, 0, limbs << 2);
  for (let i: u32 = 0; i < length; i++) {
    // Limbs are little-endian, and so is memory.
    store<u8>(into + i, load<u8>(at + length - 1 - i));
  }
}

/** Writes `length` bytes, the most significant first. */
export function toBytes(into: usize, a: usize, length: u32): void {
  for (let i: u32 = 0; i < length; i++) store<u8>(into + i, load<u8>(a + length - 1 - i));
}
