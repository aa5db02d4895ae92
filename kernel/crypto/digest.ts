/**
 * SHA-1, SHA-256, SHA-384 and SHA-512 (FIPS 180-4), fed piece by piece. They check what is public, so
 * nothing here hides how long it takes.
 */

export const enum DigestId {
  Sha1 = 0,
  Sha256 = 1,
  Sha384 = 2,
  Sha512 = 3,
}

/** Bytes of the longest digest. */
export const DIGEST_MAX: i32 = 64;

/** One that is being made; `DIGEST_BYTES` of memory, 8-byte aligned. */
@unmanaged
export class Digest {
  id: u32;
  /** Bytes of the block at hand that are filled. */
  private filled: u32;
  private total: u64;


  @inline private get state(): usize {
    return changetype<usize>(this) + offsetof<Digest>();
  }


  @inline private get block(): usize {
    return this.state + 64;
  }


  @inline private get isLong(): bool {
    return this.id == DigestId.Sha384 || this.id == DigestId.Sha512;
  }


  @inline private get blockBytes(): u32 {
    return this.isLong ? 128 : 64;
  }

  /** Begins anew. */
  begin(id: DigestId): void {
    this.id = id;
    this.filled = 0;
    this.total = 0;
    const state = this.state;
    if (id == DigestId.Sha1) {
      memory.copy(state, INITIAL1, 20);
    } else if (id == DigestId.Sha256) {
      // The same roots' first halves.
      for (let i: usize = 0; i < 8; i++) {
        store<u32>(state + (i << 2), load<u32>(INITIAL + (i << 3), 4));
      }
    } else {
      memory.copy(state, id == DigestId.Sha512 ? INITIAL : INITIAL + 64, 64);
    }
  }

  /** Takes `length` bytes more. */
  add(from: usize, length: u32): void {
    this.total += length;
    const size = this.blockBytes;
    while (length) {
      const part = min<u32>(size - this.filled, length);
      memory.copy(this.block + this.filled, from, part);
      this.filled += part;
      from += part;
      length -= part;
      if (this.filled == size) this.compress();
    }
  }

  /** Ends it: writes the digest, its bytes being the result. */
  end(into: usize): u32 {
    const size = this.blockBytes;
    const bits = this.total << 3;
    store<u8>(this.block + this.filled++, 0x80);
    // The length takes 8 bytes, with the long ones 16.
    if (this.filled > size - (size >> 3)) {
      memory.fill(this.block + this.filled, 0, size - this.filled);
      this.compress();
    }
    memory.fill(this.block + this.filled, 0, size - this.filled);
    store<u64>(this.block + size - 8, bswap(bits));
    this.compress();
    if (this.isLong) {
      for (let i: usize = 0; i < 64; i += 8) store<u64>(into + i, bswap(load<u64>(this.state + i)));
    } else {
      for (let i: usize = 0; i < 32; i += 4) store<u32>(into + i, bswap(load<u32>(this.state + i)));
    }
    return digestLength(this.id);
  }

  private compress(): void {
    this.filled = 0;
    if (this.id == DigestId.Sha1) sha1(this.state, this.block);
    else if (this.id == DigestId.Sha256) sha256(this.state, this.block);
    else sha512(this.state, this.block);
  }
}

export const DIGEST_BYTES: i32 = 16 + 64 + 128;

/** Bytes of a digest. `into` of `Digest.end` holds `DIGEST_MAX` all the same. */
export function digestLength(id: u32): u32 {
  if (id == DigestId.Sha1) return 20;
  return id == DigestId.Sha256 ? 32 : id == DigestId.Sha384 ? 48 : 64;
}

// ---- One block each --------------------------------------------------------------------------

const INITIAL1: usize = memory.data<u32>([
  0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0,
]);
/** Square roots of the primes: SHA-512's eight, then SHA-384's. */
const INITIAL: usize = memory.data<u64>([
  0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
  0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
  0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17, 0x152fecd8f70e5939,
  0x67332667ffc00b31, 0x8eb44a8768581511, 0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4,
]);
/** Cube roots of the primes; SHA-256's constants are their upper halves. */
const ROOTS: usize = memory.data<u64>([
  0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
  0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
  0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
  0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
  0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
  0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
  0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
  0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
  0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
  0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
  0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
  0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
  0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
  0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
  0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
  0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
  0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
  0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
  0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
  0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
]);

/** The message schedule: 80 words of 8 bytes. */
const words: usize = memory.data(80 * 8, 8);

/** FIPS 180-4, 6.1.2. */
function sha1(state: usize, block: usize): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(words + i, bswap(load<u32>(block + i)));
  for (let i: usize = 64; i < 320; i += 4) {
    const at = words + i;
    const mixed = load<u32>(at - 12) ^ load<u32>(at - 32) ^ load<u32>(at - 56) ^ load<u32>(at - 64);
    store<u32>(at, rotl(mixed, 1));
  }
  let a = load<u32>(state);
  let b = load<u32>(state, 4);
  let c = load<u32>(state, 8);
  let d = load<u32>(state, 12);
  let e = load<u32>(state, 16);
  for (let i: u32 = 0; i < 80; i++) {
    let f = b ^ c ^ d;
    let k: u32 = 0x6ed9eba1;
    if (i < 20) {
      f = (b & c) | (~b & d);
      k = 0x5a827999;
    } else if (i >= 60) {
      k = 0xca62c1d6;
    } else if (i >= 40) {
      f = (b & c) | (b & d) | (c & d);
      k = 0x8f1bbcdc;
    }
    const next = rotl(a, 5) + f + e + k + load<u32>(words + ((<usize>i) << 2));
    e = d;
    d = c;
    c = rotl(b, 30);
    b = a;
    a = next;
  }
  store<u32>(state, load<u32>(state) + a);
  store<u32>(state, load<u32>(state, 4) + b, 4);
  store<u32>(state, load<u32>(state, 8) + c, 8);
  store<u32>(state, load<u32>(state, 12) + d, 12);
  store<u32>(state, load<u32>(state, 16) + e, 16);
}

/** The eight words of a state at work, turned by one each round. */
const turning: usize = memory.data(8 * 8, 8);

/** 6.2.2. */
function sha256(state: usize, block: usize): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(words + i, bswap(load<u32>(block + i)));
  for (let i: usize = 64; i < 256; i += 4) {
    const at = words + i;
    const x = load<u32>(at - 60);
    const y = load<u32>(at - 8);
    const s0 = rotr(x, 7) ^ rotr(x, 18) ^ (x >>> 3);
    const s1 = rotr(y, 17) ^ rotr(y, 19) ^ (y >>> 10);
    store<u32>(at, load<u32>(at - 64) + s0 + load<u32>(at - 28) + s1);
  }
  memory.copy(turning, state, 32);
  for (let i: usize = 0; i < 64; i++) {
    const a = load<u32>(turning);
    const b = load<u32>(turning, 4);
    const c = load<u32>(turning, 8);
    const e = load<u32>(turning, 16);
    const s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
    const chosen = (e & load<u32>(turning, 20)) ^ (~e & load<u32>(turning, 24));
    const root = load<u32>(ROOTS + (i << 3), 4);
    const first = load<u32>(turning, 28) + s1 + chosen + root + load<u32>(words + (i << 2));
    const s0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
    const second = s0 + ((a & b) ^ (a & c) ^ (b & c));
    memory.copy(turning + 4, turning, 28);
    store<u32>(turning, load<u32>(turning, 16) + first, 16);
    store<u32>(turning, first + second);
  }
  for (let i: usize = 0; i < 32; i += 4) {
    store<u32>(state + i, load<u32>(state + i) + load<u32>(turning + i));
  }
}

/** 6.4.2. */
function sha512(state: usize, block: usize): void {
  for (let i: usize = 0; i < 128; i += 8) store<u64>(words + i, bswap(load<u64>(block + i)));
  for (let i: usize = 128; i < 640; i += 8) {
    const at = words + i;
    const x = load<u64>(at - 120);
    const y = load<u64>(at - 16);
    const s0 = rotr(x, 1) ^ rotr(x, 8) ^ (x >>> 7);
    const s1 = rotr(y, 19) ^ rotr(y, 61) ^ (y >>> 6);
    store<u64>(at, load<u64>(at - 128) + s0 + load<u64>(at - 56) + s1);
  }
  memory.copy(turning, state, 64);
  for (let i: usize = 0; i < 640; i += 8) {
    const a = load<u64>(turning);
    const b = load<u64>(turning, 8);
    const c = load<u64>(turning, 16);
    const e = load<u64>(turning, 32);
    const s1 = rotr(e, 14) ^ rotr(e, 18) ^ rotr(e, 41);
    const chosen = (e & load<u64>(turning, 40)) ^ (~e & load<u64>(turning, 48));
    const first =
      load<u64>(turning, 56) + s1 + chosen + load<u64>(ROOTS + i) + load<u64>(words + i);
    const s0 = rotr(a, 28) ^ rotr(a, 34) ^ rotr(a, 39);
    const second = s0 + ((a & b) ^ (a & c) ^ (b & c));
    memory.copy(turning + 8, turning, 56);
    store<u64>(turning, load<u64>(turning, 32) + first, 32);
    store<u64>(turning, first + second);
  }
  for (let i: usize = 0; i < 64; i += 8) {
    store<u64>(state + i, load<u64>(state + i) + load<u64>(turning + i));
  }
}
