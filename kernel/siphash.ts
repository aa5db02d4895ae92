/**
 * SipHash (Aumasson and Bernstein, 2012): a hash with a secret key whose values a stranger can neither
 * predict nor make collide. SipHash-2-4 is for values that he gets to see, such as sequence numbers.
 */

/** The hash of `length` bytes at `from` under the 16-byte key at `key`. */
export function sipHash(key: usize, from: usize, length: u32): u64 {
  const k0 = load<u64>(key);
  const k1 = load<u64>(key, 8);
  let v0 = k0 ^ 0x736f6d6570736575;
  let v1 = k1 ^ 0x646f72616e646f6d;
  let v2 = k0 ^ 0x6c7967656e657261;
  let v3 = k1 ^ 0x7465646279746573;
  const whole = length >> 3;
  // Two rounds for each word, the last holding the rest and the length; then four to finish.
  for (let i: u32 = 0; i <= whole + 1; i++) {
    let word: u64 = 0;
    let rounds: u32 = 2;
    if (i < whole) {
      word = load<u64>(from + ((<usize>i) << 3));
    } else if (i == whole) {
      word = (<u64>length) << 56;
      for (let rest = length & 7; rest-- > 0;) {
        word |= (<u64>load<u8>(from + ((<usize>whole) << 3) + rest)) << (rest << 3);
      }
    } else {
      v2 ^= 0xff;
      rounds = 4;
    }
    v3 ^= word;
    for (; rounds; rounds--) {
      v0 += v1;
      v2 += v3;
      v1 = rotl(v1, 13) ^ v0;
      v3 = rotl(v3, 16) ^ v2;
      v0 = rotl(v0, 32);
      v2 += v1;
      v0 += v3;
      v1 = rotl(v1, 17) ^ v2;
      v3 = rotl(v3, 21) ^ v0;
      v2 = rotl(v2, 32);
    }
    v0 ^= word;
  }
  return v0 ^ v1 ^ v2 ^ v3;
}

/** `sipHashWords` of the `count` words at `from`. */
export function sipHashRun(key: usize, from: usize, count: u32): u64 {
  const k0 = load<u64>(key);
  const k1 = load<u64>(key, 8);
  let v0 = k0 ^ 0x736f6d6570736575;
  let v1 = k1 ^ 0x646f72616e646f6d;
  let v2 = k0 ^ 0x6c7967656e657261;
  let v3 = k1 ^ 0x7465646279746573;
  for (let round: u32 = 0; round < count + 4; round++) {
    let word: u64 = 0;
    if (round < count) word = load<u64>(from + ((<usize>round) << 3));
    else if (round == count) word = (<u64>count) << 59;
    else if (round == count + 1) v2 ^= 0xff;
    v3 ^= word;
    v0 += v1;
    v2 += v3;
    v1 = rotl(v1, 13) ^ v0;
    v3 = rotl(v3, 16) ^ v2;
    v0 = rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = rotl(v1, 17) ^ v2;
    v3 = rotl(v3, 21) ^ v0;
    v2 = rotl(v2, 32);
    v0 ^= word;
  }
  return v0 ^ v1 ^ v2 ^ v3;
}

/**
 * SipHash-1-3 of two words under the 16-byte key at `key`: for places in tables that a stranger fills
 * but does not see, as Linux's hsiphash is. A third of the time.
 */
export function sipHashWords(key: usize, first: u64, second: u64): u64 {
  const k0 = load<u64>(key);
  const k1 = load<u64>(key, 8);
  let v0 = k0 ^ 0x736f6d6570736575;
  let v1 = k1 ^ 0x646f72616e646f6d;
  let v2 = k0 ^ 0x6c7967656e657261;
  let v3 = k1 ^ 0x7465646279746573;
  let word = first;
  // A round for each word, the third of which is the length; then three to finish.
  for (let round: u32 = 0; round < 6; round++) {
    if (round == 1) word = second;
    else if (round == 2) word = (<u64>16) << 56;
    else if (round == 3) v2 ^= 0xff;
    if (round < 3) v3 ^= word;
    v0 += v1;
    v2 += v3;
    v1 = rotl(v1, 13) ^ v0;
    v3 = rotl(v3, 16) ^ v2;
    v0 = rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = rotl(v1, 17) ^ v2;
    v3 = rotl(v3, 21) ^ v0;
    v2 = rotl(v2, 32);
    if (round < 3) v0 ^= word;
  }
  return v0 ^ v1 ^ v2 ^ v3;
}
