import { DIGEST_BYTES, Digest, digestLength } from "../../../kernel/crypto/digest";
import { ecdsaVerify } from "../../../kernel/crypto/ecdsa";
import { ed25519Begin, ed25519Digest, ed25519Verify } from "../../../kernel/crypto/ed25519";
import { rsaVerify } from "../../../kernel/crypto/rsa";

/** kernel/crypto as a module of its own, for tests/sim/crypto.test.ts. */

const digest = changetype<Digest>(memory.data(DIGEST_BYTES, 8));
const sum: usize = memory.data(64, 8);

/** Room for what is passed. */
export const area: usize = memory.data(1 << 16, 8);

/** In pieces of `piece` bytes at most; `into` gets the digest, whose bytes are the result. */
export function hash(id: u32, at: usize, length: u32, piece: u32, into: usize): u32 {
  digest.begin(id);
  for (let done: u32 = 0; done < length; done += piece) {
    digest.add(at + done, min<u32>(piece, length - done));
  }
  digest.end(sum);
  memory.copy(into, sum, digestLength(id));
  return digestLength(id);
}

export function rsa(
  id: u32,
  n: usize,
  nLength: u32,
  e: usize,
  eLength: u32,
  signature: usize,
  length: u32,
  hashed: usize,
): bool {
  return rsaVerify(n, nLength, e, eLength, signature, length, id, hashed, digestLength(id));
}

export function ecdsa(key: usize, signature: usize, hashed: usize, size: u32): bool {
  return ecdsaVerify(key, signature, hashed, size);
}

export function ed25519(key: usize, signature: usize, message: usize, length: u32): bool {
  ed25519Begin(key, signature);
  ed25519Digest.add(message, length);
  return ed25519Verify(key, signature);
}
