import { entropy } from "./host";

/**
 * Random numbers that nobody can predict: ChaCha20 (RFC 8439, 2.3) seeded once by the host, with
 * fast key erasure (Bernstein, 2017). Each batch's first 32 bytes replace the key and each number
 * is erased as it is handed out, so memory read later tells nothing of earlier numbers.
 */

const KEY_BYTES: u32 = 32;
const BLOCK_BYTES: u32 = 64;
const BATCH_BYTES: u32 = 512;

const key: usize = memory.data(32, 8);
const nonce: usize = memory.data(12, 4);
const batch: usize = memory.data(512, 8);
/** Offset in the batch of the next byte to hand out. */
let used: u32 = BATCH_BYTES;

/** Seeds the generator. Before anything draws. */
export function randomInit(): void {
  entropy(key, KEY_BYTES);
  used = BATCH_BYTES;
}


@inline function quarterRound(state: usize, a: usize, b: usize, c: usize, d: usize): void {
  let va = load<u32>(state + a);
  let vb = load<u32>(state + b);
  let vc = load<u32>(state + c);
  let vd = load<u32>(state + d);
  va += vb;
  vd = rotl(vd ^ va, 16);
  vc += vd;
  vb = rotl(vb ^ vc, 12);
  va += vb;
  vd = rotl(vd ^ va, 8);
  vc += vd;
  vb = rotl(vb ^ vc, 7);
  store<u32>(state + a, va);
  store<u32>(state + b, vb);
  store<u32>(state + c, vc);
  store<u32>(state + d, vd);
}

/** The block function (RFC 8439, 2.3): 64 bytes from a 32-byte key, a counter and a 12-byte nonce. */
export function chachaBlock(key: usize, counter: u32, nonce: usize, into: usize): void {
  store<u64>(into, 0x3320646e61707865);
  store<u64>(into, 0x6b20657479622d32, 8);
  memory.copy(into + 16, key, KEY_BYTES);
  store<u32>(into, counter, 48);
  memory.copy(into + 52, nonce, 12);
  for (let round = 0; round < 10; round++) {
    quarterRound(into, 0, 16, 32, 48);
    quarterRound(into, 4, 20, 36, 52);
    quarterRound(into, 8, 24, 40, 56);
    quarterRound(into, 12, 28, 44, 60);
    quarterRound(into, 0, 20, 40, 60);
    quarterRound(into, 4, 24, 44, 48);
    quarterRound(into, 8, 28, 32, 52);
    quarterRound(into, 12, 16, 36, 56);
  }
  add64(into, 0, 0x3320646e61707865);
  add64(into, 8, 0x6b20657479622d32);
  for (let i: usize = 0; i < 32; i += 8) add64(into, 16 + i, load<u64>(key + i));
  store<u32>(into, load<u32>(into, 48) + counter, 48);
  for (let i: usize = 0; i < 12; i += 4) {
    store<u32>(into + i, load<u32>(into + i, 52) + load<u32>(nonce + i), 52);
  }
}

/** Adds two words at once, without a carry between them. */
@inline function add64(state: usize, at: usize, words: u64): void {
  store<u32>(state + at, load<u32>(state + at) + <u32>words);
  store<u32>(state + at, load<u32>(state + at, 4) + <u32>(words >> 32), 4);
}

function refill(): void {
  for (let at: u32 = 0; at < BATCH_BYTES; at += BLOCK_BYTES) {
    chachaBlock(key, at / BLOCK_BYTES, nonce, batch + at);
  }
  memory.copy(key, batch, KEY_BYTES);
  memory.fill(batch, 0, KEY_BYTES);
  used = KEY_BYTES;
}

/** Any number, each as likely. */
export function random32(): u32 {
  if (used > BATCH_BYTES - 4) refill();
  const value = load<u32>(batch + used);
  store<u32>(batch + used, 0);
  used += 4;
  return value;
}

export function random64(): u64 {
  return ((<u64>random32()) << 32) | random32();
}

/** A number below `limit` (not 0), each as likely: Lemire's method, which rejects the uneven rest. */
export function randomBelow(limit: u32): u32 {
  let product = <u64>random32() * limit;
  if (<u32>product < limit) {
    const rest: u32 = (0 - limit) % limit;
    while (<u32>product < rest) product = <u64>random32() * limit;
  }
  return <u32>(product >> 32);
}

/** Fills `length` bytes. */
export function randomFill(into: usize, length: u32): void {
  for (; length >= 4; length -= 4, into += 4) store<u32>(into, random32());
  if (!length) return;
  let rest = random32();
  for (; length; length--, rest >>>= 8) store<u8>(into++, <u8>rest);
}
