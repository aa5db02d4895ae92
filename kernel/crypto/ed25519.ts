import { DIGEST_BYTES, Digest, DigestId } from "./digest";
import { MODULUS_BYTES, Modulus, bitOf, compare } from "./modulus";

/**
 * Ed25519 (RFC 8032, 5.1.7): whether a signature is of a message. Points are extended, (X : Y : Z : T) with
 * T = XY/Z, in Montgomery's form; the addition below holds for all of them.
 */

const LIMBS: u32 = 8;
const SIZE: usize = 32;
const POINT: usize = 128;

/** p = 2^255 - 19, the order of B, d, the square root of -1, and B's x and y (RFC 8032, 5.1), the least limb first. */
const NUMBERS: usize = memory.data<u32>([
  0xffffffed, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x7fffffff,
  0x5cf5d3ed, 0x5812631a, 0xa2f79cd6, 0x14def9de, 0x00000000, 0x00000000, 0x00000000, 0x10000000,
  0x135978a3, 0x75eb4dca, 0x4141d8ab, 0x00700a4d, 0x7779e898, 0x8cc74079, 0x2b6ffe73, 0x52036cee,
  0x4a0ea0b0, 0xc4ee1b27, 0xad2fe478, 0x2f431806, 0x3dfbd7a7, 0x2b4d0099, 0x4fc1df0b, 0x2b832480,
  0x8f25d51a, 0xc9562d60, 0x9525a7b2, 0x692cc760, 0xfdd6dc5c, 0xc0a4e231, 0xcd6e53fe, 0x216936d3,
  0x66666658, 0x66666666, 0x66666666, 0x66666666, 0x66666666, 0x66666666, 0x66666666, 0x66666666,
]);
const ORDER: usize = 32;
const D: usize = 64;
const ROOT: usize = 96;
const BASE: usize = 128;

const field = changetype<Modulus>(memory.data(MODULUS_BYTES, 8));
const order = changetype<Modulus>(memory.data(MODULUS_BYTES, 8));
/** B, -A and their sum, by the bits of S and k; and the sum so far. */
const points: usize = memory.data(3 * 128, 8);
const sum: usize = memory.data(128, 8);
const d: usize = memory.data(32, 8);
const scalar: usize = memory.data(32, 8);
const hashed: usize = memory.data(64, 8);
const numbers: usize = memory.data(9 * 32, 8);


@inline function number(index: usize): usize {
  return numbers + (index << 5);
}

/** For the caller to put the message into, between `ed25519Begin` and `ed25519Verify`. */
export const ed25519Digest = changetype<Digest>(memory.data(DIGEST_BYTES, 8));

/** Begins with a key of 32 bytes and a signature of 64; the message goes into `ed25519Digest`. */
export function ed25519Begin(key: usize, signature: usize): void {
  ed25519Digest.begin(DigestId.Sha512);
  ed25519Digest.add(signature, 32);
  ed25519Digest.add(key, 32);
}

/** Whether the signature is of the message that was put into `ed25519Digest`. */
export function ed25519Verify(key: usize, signature: usize): bool {
  ed25519Digest.end(hashed);
  memory.copy(field.value, NUMBERS, SIZE);
  memory.copy(order.value, NUMBERS + ORDER, SIZE);
  field.begin(LIMBS);
  order.begin(LIMBS);
  const s = number(0);
  memory.copy(s, signature + 32, SIZE);
  if (compare(s, order.value, LIMBS) >= 0) return false;
  field.enter(d, NUMBERS + D);
  const minusA = points + POINT;
  if (!decode(minusA, key)) return false;
  negate(minusA);
  field.enter(points, NUMBERS + BASE);
  field.enter(points + SIZE, NUMBERS + BASE + SIZE);
  complete(points);
  const both = points + 2 * POINT;
  memory.copy(both, points, POINT);
  addTo(both, minusA);
  reduce();
  // The neutral point: (0, 1).
  memory.fill(sum, 0, POINT);
  memory.copy(sum + SIZE, field.one, SIZE);
  memory.copy(sum + 2 * SIZE, field.one, SIZE);
  for (let bit: u32 = 253; bit-- > 0;) {
    addTo(sum, sum);
    const which = bitOf(s, bit) | (bitOf(scalar, bit) << 1);
    if (which) addTo(sum, points + <usize>(which - 1) * POINT);
  }
  return isEncoded(signature);
}

/** `hashed`, a number of 512 bits with the least byte first, modulo the order, into `scalar`. */
function reduce(): void {
  const one = number(1);
  memory.fill(one, 0, SIZE);
  store<u32>(one, 1);
  memory.fill(scalar, 0, SIZE);
  for (let bit: u32 = 512; bit-- > 0;) {
    order.add(scalar, scalar, scalar);
    if (bitOf(hashed, bit)) order.add(scalar, scalar, one);
  }
}

/** Sets Z and T of a point with x and y. */
function complete(p: usize): void {
  memory.copy(p + 2 * SIZE, field.one, SIZE);
  field.multiply(p + 3 * SIZE, p, p + SIZE);
}

function negate(p: usize): void {
  const zero = number(1);
  memory.fill(zero, 0, SIZE);
  field.subtract(p, zero, p);
  field.subtract(p + 3 * SIZE, zero, p + 3 * SIZE);
}

/** Reads an encoded point (RFC 8032, 5.1.3); false if there is none. */
function decode(p: usize, at: usize): bool {
  const x = p;
  const y = p + SIZE;
  memory.copy(y, at, SIZE);
  const sign = (<u32>load<u8>(y, 31)) >> 7;
  store<u8>(y, load<u8>(y, 31) & 127, 31);
  if (compare(y, field.value, LIMBS) >= 0) return false;
  field.enter(y, y);
  // x² = u/v = (y² - 1)/(d·y² + 1)
  const u = number(1);
  const v = number(2);
  const t = number(3);
  field.multiply(u, y, y);
  field.multiply(v, u, d);
  field.subtract(u, u, field.one);
  field.add(v, v, field.one);
  // A candidate: u·v³·(u·v⁷)^((p-5)/8)
  const v3 = number(4);
  field.multiply(v3, v, v);
  field.multiply(v3, v3, v);
  field.multiply(t, v3, v3);
  field.multiply(t, t, v);
  field.multiply(t, t, u);
  const exponent = number(5);
  // (p - 5)/8 = 2^252 - 3
  memory.fill(exponent, 0xff, SIZE);
  store<u32>(exponent, 0xffff_fffd);
  store<u32>(exponent, 0x0fff_ffff, 28);
  const power = number(6);
  field.power(power, t, exponent, LIMBS);
  field.multiply(x, u, v3);
  field.multiply(x, x, power);
  field.multiply(t, x, x);
  field.multiply(t, t, v);
  if (compare(t, u, LIMBS) != 0) {
    field.add(t, t, u);
    if (!isNothing(t)) return false;
    field.enter(t, NUMBERS + ROOT);
    field.multiply(x, x, t);
  }
  field.leave(t, x);
  if (isNothing(t) && sign) return false;
  if ((load<u32>(t) & 1) != sign) {
    memory.fill(t, 0, SIZE);
    field.subtract(x, t, x);
  }
  complete(p);
  return true;
}

function isNothing(a: usize): bool {
  return !(load<u64>(a) | load<u64>(a, 8) | load<u64>(a, 16) | load<u64>(a, 24));
}

/** Whether `sum`, encoded, is the 32 bytes at `at`. */
function isEncoded(at: usize): bool {
  const inverse = number(1);
  const x = number(2);
  const y = number(3);
  field.invert(inverse, sum + 2 * SIZE);
  field.multiply(x, sum, inverse);
  field.multiply(y, sum + SIZE, inverse);
  field.leave(x, x);
  field.leave(y, y);
  store<u8>(y, load<u8>(y, 31) | ((load<u8>(x) & 1) << 7), 31);
  return memory.compare(y, at, SIZE) == 0;
}

/** P = P + Q, which may be the same (RFC 8032, 5.1.4). */
function addTo(p: usize, q: usize): void {
  const a = number(1);
  const b = number(2);
  const c = number(3);
  const e = number(4);
  const t = number(5);
  field.subtract(a, p + SIZE, p);
  field.subtract(t, q + SIZE, q);
  field.multiply(a, a, t);
  field.add(b, p + SIZE, p);
  field.add(t, q + SIZE, q);
  field.multiply(b, b, t);
  field.multiply(c, p + 3 * SIZE, q + 3 * SIZE);
  field.multiply(c, c, d);
  field.add(c, c, c);
  field.multiply(t, p + 2 * SIZE, q + 2 * SIZE);
  field.add(t, t, t);
  field.subtract(e, b, a);
  field.add(b, b, a);
  field.subtract(a, t, c);
  field.add(c, t, c);
  // a = F, b = H, c = G
  field.multiply(p, e, a);
  field.multiply(p + SIZE, c, b);
  field.multiply(p + 2 * SIZE, a, c);
  field.multiply(p + 3 * SIZE, e, b);
}
