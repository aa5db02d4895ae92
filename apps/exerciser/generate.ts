/**
 * The bytes of `/bytes/N` and of the source port: word i of the stream for a seed, 32 bits, least
 * significant byte first, is `mix(seed + i * 0x9e3779b9)` with all arithmetic modulo 2^32 and
 *
 *     mix(x):  x ^= x >>> 16;  x *= 0x21f0aaad;  x ^= x >>> 15;  x *= 0x735a2d97;  x ^= x >>> 15
 *
 * so that anyone can compute any part of it. Words are counted modulo 2^32.
 */

const STEP: u32 = 0x9e37_79b9;

/** Bytes generated at a time. */
const BLOCK: u32 = 4096;
const block: usize = memory.data(4100, 64);

function mix(x: u32): u32 {
  x = (x ^ (x >>> 16)) * 0x21f0_aaad;
  x = (x ^ (x >>> 15)) * 0x735a_2d97;
  return x ^ (x >>> 15);
}

/**
 * Generates at most `length` bytes from byte `offset` of the stream on: where they are, with
 * `generatedLength()`. They stay until the next call.
 */
export function generate(seed: u32, offset: u64, length: u64): usize {
  const skip = (<u32>offset) & 3;
  const count = <u32>min<u64>(length + skip, BLOCK);
  let x = seed + <u32>(offset >> 2) * STEP;
  for (let at = block; at < block + count; at += 4) {
    store<u32>(at, mix(x));
    x += STEP;
  }
  generated = count - skip;
  return block + skip;
}

let generated: u32 = 0;


@inline export function generatedLength(): u32 {
  return generated;
}
