import { DigestId } from "./digest";
import { LIMBS_MAX, MODULUS_BYTES, Modulus, compare, fromBytes, toBytes } from "./modulus";

/** RSASSA-PKCS1-v1_5 (RFC 8017, 8.2.2): whether a signature is of a digest. */

/** Bytes of the largest modulus: 4,096 bits. */
const BYTES_MAX: u32 = 512;
/** Shorter ones than 512 bits are nobody's (RFC 5702, 2.1; RFC 3110, 2). */
const BYTES_MIN: u32 = 64;
/** A public exponent costs what its bits are; nobody's is longer. */
const EXPONENT_MAX: u32 = 8;

/** DER of DigestInfo before the digest itself (RFC 8017, 9.2, note 1). */
const INFO1: usize = memory.data<u8>([
  0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14,
]);
/** Of SHA-2, where three bytes tell one from another. */
const INFO2: usize = memory.data<u8>([
  0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
  0x00, 0x04, 0x20,
]);

const modulus = changetype<Modulus>(memory.data(MODULUS_BYTES, 8));
const base: usize = memory.data(512, 8);
const result: usize = memory.data(512, 8);
const exponent: usize = memory.data(8, 8);
const encoded: usize = memory.data(512, 8);
const expected: usize = memory.data(512, 8);

/**
 * Whether `signature`, `length` bytes, is of a digest by the key with this modulus and exponent, both the most
 * significant byte first. False for keys beyond 512 to 4,096 bits. Cost: 17 products with 65,537.
 */
export function rsaVerify(
  n: usize,
  nLength: u32,
  e: usize,
  eLength: u32,
  signature: usize,
  length: u32,
  id: DigestId,
  digest: usize,
  digestLength: u32,
): bool {
  for (; nLength && !load<u8>(n); nLength--) n++;
  for (; eLength && !load<u8>(e); eLength--) e++;
  if (nLength < BYTES_MIN || nLength > BYTES_MAX || length != nLength) return false;
  if (!eLength || eLength > EXPONENT_MAX) return false;
  const limbs = (nLength + 3) >> 2;
  assert(limbs <= LIMBS_MAX);
  fromBytes(modulus.value, n, nLength, limbs);
  fromBytes(base, signature, length, limbs);
  fromBytes(exponent, e, eLength, 2);
  if (!modulus.begin(limbs) || compare(base, modulus.value, limbs) >= 0) return false;
  modulus.enter(base, base);
  modulus.power(result, base, exponent, 2);
  modulus.leave(result, result);
  toBytes(encoded, result, nLength);
  return encode(nLength, id, digest, digestLength) && !memory.compare(encoded, expected, nLength);
}

/** EMSA-PKCS1-v1_5 (9.2) into `expected`; false if it does not fit. */
function encode(length: u32, id: DigestId, digest: usize, digestLength: u32): bool {
  const infoLength: u32 = id == DigestId.Sha1 ? 15 : 19;
  const tail = infoLength + digestLength;
  if (length < tail + 11) return false;
  const at = expected + length - tail;
  memory.fill(expected, 0xff, length - tail);
  store<u16>(expected, 0x0100);
  store<u8>(at - 1, 0);
  memory.copy(at, id == DigestId.Sha1 ? INFO1 : INFO2, infoLength);
  if (id != DigestId.Sha1) {
    store<u8>(at + 1, <u8>(17 + digestLength));
    store<u8>(at + 14, <u8>id);
    store<u8>(at + 18, <u8>digestLength);
  }
  memory.copy(at + infoLength, digest, digestLength);
  return true;
}
