import { MODULUS_BYTES, Modulus, bitOf, compare, fromBytes, isZero, subtract } from "./modulus";

/**
 * ECDSA over P-256 and P-384 (FIPS 186-5, 6.4.2): whether a signature is of a digest. Points are Jacobian,
 * (X/Z², Y/Z³), in Montgomery's form; Z is 0 at infinity. A verification is one doubling a bit, and on
 * average three additions in four.
 */

/** Bytes of a number of P-384. */
const SIZE: usize = 48;
const POINT: usize = 144;

/** p, n, b, and G's x and y, the least limb first (FIPS 186-5 by SP 800-186, 3.2.1). */
const P256: usize = memory.data<u32>([
  0xffffffff, 0xffffffff, 0xffffffff, 0x00000000, 0x00000000, 0x00000000, 0x00000001, 0xffffffff,
  0xfc632551, 0xf3b9cac2, 0xa7179e84, 0xbce6faad, 0xffffffff, 0xffffffff, 0x00000000, 0xffffffff,
  0x27d2604b, 0x3bce3c3e, 0xcc53b0f6, 0x651d06b0, 0x769886bc, 0xb3ebbd55, 0xaa3a93e7, 0x5ac635d8,
  0xd898c296, 0xf4a13945, 0x2deb33a0, 0x77037d81, 0x63a440f2, 0xf8bce6e5, 0xe12c4247, 0x6b17d1f2,
  0x37bf51f5, 0xcbb64068, 0x6b315ece, 0x2bce3357, 0x7c0f9e16, 0x8ee7eb4a, 0xfe1a7f9b, 0x4fe342e2,
]);
/** 3.2.2. */
const P384: usize = memory.data<u32>([
  0xffffffff, 0x00000000, 0x00000000, 0xffffffff, 0xfffffffe, 0xffffffff, 0xffffffff, 0xffffffff,
  0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xccc52973, 0xecec196a, 0x48b0a77a, 0x581a0db2,
  0xf4372ddf, 0xc7634d81, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
  0xd3ec2aef, 0x2a85c8ed, 0x8a2ed19d, 0xc656398d, 0x5013875a, 0x0314088f, 0xfe814112, 0x181d9c6e,
  0xe3f82d19, 0x988e056b, 0xe23ee7e4, 0xb3312fa7, 0x72760ab7, 0x3a545e38, 0xbf55296c, 0x5502f25d,
  0x82542a38, 0x59f741e0, 0x8ba79b98, 0x6e1d3b62, 0xf320ad74, 0x8eb1c71e, 0xbe8b0537, 0xaa87ca22,
  0x90ea0e5f, 0x7a431d7c, 0x1d7e819d, 0x0a60b1ce, 0xb5f0b8c0, 0xe9da3113, 0x289a147c, 0xf8f41dbd,
  0x9292dc29, 0x5d9e98bf, 0x96262c6f, 0x3617de4a,
]);

const field = changetype<Modulus>(memory.data(MODULUS_BYTES, 8));
const order = changetype<Modulus>(memory.data(MODULUS_BYTES, 8));
let limbs: u32 = 0;
let bytes: u32 = 0;

/** G, Q and their sum, by the bits of u1 and u2; and the sum so far. */
const points: usize = memory.data(3 * 144, 8);
const sum: usize = memory.data(144, 8);
/** Numbers at hand. */
const numbers: usize = memory.data(10 * 48, 8);


@inline function number(index: usize): usize {
  return numbers + index * SIZE;
}

/**
 * Whether `signature`, r and s of `size` bytes each, is of `digest`, `size` bytes, by the key whose x and y
 * are at `key`: on P-256 with a size of 32, on P-384 with 48.
 */
export function ecdsaVerify(key: usize, signature: usize, digest: usize, size: u32): bool {
  bytes = size;
  limbs = size >> 2;
  const curve = size == 32 ? P256 : P384;
  memory.copy(field.value, curve, size);
  memory.copy(order.value, curve + size, size);
  field.begin(limbs);
  order.begin(limbs);
  const r = number(0);
  const s = number(1);
  fromBytes(r, signature, size, limbs);
  fromBytes(s, signature + size, size, limbs);
  if (!isScalar(r) || !isScalar(s) || !readKey(key, curve)) return false;
  const e = number(2);
  fromBytes(e, digest, size, limbs);
  if (compare(e, order.value, limbs) >= 0) subtract(e, e, order.value, limbs);
  // w = 1/s, u1 = e·w, u2 = r·w: of one factor in Montgomery's form the product is plain.
  order.enter(s, s);
  const w = number(3);
  order.invert(w, s);
  const u1 = number(4);
  const u2 = number(5);
  order.multiply(u1, e, w);
  order.multiply(u2, r, w);
  if (!sumOf(u1, u2, curve)) return false;
  return isX(r);
}

/** Whether a is in [1, n - 1]. */
function isScalar(a: usize): bool {
  return !isZero(a, limbs) && compare(a, order.value, limbs) < 0;
}

/** Reads the key into its place among the points; false if it is not on the curve. */
function readKey(key: usize, curve: usize): bool {
  const q = points + POINT;
  for (let i: usize = 0; i < 2; i++) {
    const at = q + i * SIZE;
    fromBytes(at, key + i * bytes, bytes, limbs);
    if (compare(at, field.value, limbs) >= 0) return false;
    field.enter(at, at);
  }
  memory.copy(q + 2 * SIZE, field.one, bytes);
  // y² = x³ - 3x + b
  const left = number(6);
  const right = number(7);
  field.multiply(left, q + SIZE, q + SIZE);
  field.multiply(right, q, q);
  for (let i = 0; i < 3; i++) field.subtract(right, right, field.one);
  field.multiply(right, right, q);
  field.enter(number(8), curve + 2 * bytes);
  field.add(right, right, number(8));
  return compare(left, right, limbs) == 0;
}

/** u1·G + u2·Q into `sum`; false if that is infinity. */
function sumOf(u1: usize, u2: usize, curve: usize): bool {
  const g = points;
  const both = points + 2 * POINT;
  field.enter(g, curve + 3 * bytes);
  field.enter(g + SIZE, curve + 4 * bytes);
  memory.copy(g + 2 * SIZE, field.one, bytes);
  memory.copy(both, g, POINT);
  addTo(both, points + POINT);
  memory.fill(sum, 0, POINT);
  for (let bit = limbs << 5; bit-- > 0;) {
    double(sum);
    const which = bitOf(u1, bit) | (bitOf(u2, bit) << 1);
    if (which) addTo(sum, points + <usize>(which - 1) * POINT);
  }
  return !isZero(sum + 2 * SIZE, limbs);
}

/** Whether x of `sum`, modulo n, is r. */
function isX(r: usize): bool {
  const x = number(6);
  const z = number(7);
  field.multiply(z, sum + 2 * SIZE, sum + 2 * SIZE);
  field.invert(x, z);
  field.multiply(x, x, sum);
  field.leave(x, x);
  if (compare(x, order.value, limbs) >= 0) subtract(x, x, order.value, limbs);
  return compare(x, r, limbs) == 0;
}

const scratch: usize = memory.data(9 * 48, 8);


@inline function part(index: usize): usize {
  return scratch + index * SIZE;
}

/** P = 2P ("dbl-2001-b" of the Explicit-Formulas Database: a = -3). */
function double(p: usize): void {
  const y = p + SIZE;
  const z = p + 2 * SIZE;
  if (isZero(z, limbs)) return;
  const delta = part(0);
  const gamma = part(1);
  const beta = part(2);
  const alpha = part(3);
  const t = part(4);
  field.multiply(delta, z, z);
  field.multiply(gamma, y, y);
  field.multiply(beta, p, gamma);
  field.subtract(t, p, delta);
  field.add(alpha, p, delta);
  field.multiply(alpha, alpha, t);
  field.add(t, alpha, alpha);
  field.add(alpha, t, alpha);
  // Z = (Y + Z)² - gamma - delta
  field.add(z, y, z);
  field.multiply(z, z, z);
  field.subtract(z, z, gamma);
  field.subtract(z, z, delta);
  // X = alpha² - 8·beta
  field.add(beta, beta, beta);
  field.add(beta, beta, beta);
  field.multiply(p, alpha, alpha);
  field.subtract(p, p, beta);
  field.subtract(p, p, beta);
  // Y = alpha·(4·beta - X) - 8·gamma²
  field.subtract(beta, beta, p);
  field.multiply(y, alpha, beta);
  field.add(gamma, gamma, gamma);
  field.multiply(gamma, gamma, gamma);
  field.add(gamma, gamma, gamma);
  field.subtract(y, y, gamma);
}

/** P = P + Q, whichever points they are ("add-1998-cmo-2"). */
function addTo(p: usize, q: usize): void {
  if (isZero(q + 2 * SIZE, limbs)) return;
  if (isZero(p + 2 * SIZE, limbs)) {
    memory.copy(p, q, POINT);
    return;
  }
  const z1 = p + 2 * SIZE;
  const z2 = q + 2 * SIZE;
  const u1 = part(0);
  const s1 = part(1);
  const h = part(2);
  const r = part(3);
  const t = part(4);
  const hh = part(5);
  field.multiply(t, z2, z2);
  field.multiply(u1, p, t);
  field.multiply(t, t, z2);
  field.multiply(s1, p + SIZE, t);
  field.multiply(t, z1, z1);
  field.multiply(h, q, t);
  field.multiply(t, t, z1);
  field.multiply(r, q + SIZE, t);
  field.subtract(h, h, u1);
  field.subtract(r, r, s1);
  if (isZero(h, limbs)) {
    // The same x: the same point, or its opposite.
    if (isZero(r, limbs)) double(p);
    else memory.fill(z1, 0, SIZE);
    return;
  }
  field.multiply(z1, z1, z2);
  field.multiply(z1, z1, h);
  field.multiply(hh, h, h);
  field.multiply(h, h, hh);
  field.multiply(u1, u1, hh);
  // X = r² - h³ - 2·u1·h², Y = r·(u1·h² - X) - s1·h³
  field.multiply(p, r, r);
  field.subtract(p, p, h);
  field.subtract(p, p, u1);
  field.subtract(p, p, u1);
  field.subtract(u1, u1, p);
  field.multiply(u1, u1, r);
  field.multiply(s1, s1, h);
  field.subtract(p + SIZE, u1, s1);
}
