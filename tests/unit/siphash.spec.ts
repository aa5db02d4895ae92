import { sipHash, sipHashRun, sipHashWords } from "../../kernel/siphash";
import { fromHex } from "./support/host";

/** First sixteen values of the reference implementation's vectors_sip64: key and message 00 01 02 … */
const VECTORS: u64[] = [
  0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
  0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
  0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
  0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
];

describe("SipHash-2-4", () => {
  it("gives the published values for messages of 0 to 15 bytes", () => {
    const bytes = fromHex("000102030405060708090a0b0c0d0e0f");
    const at = changetype<usize>(bytes);
    for (let i = 0; i < 16; i++) expect(sipHash(at, at, i)).toBe(VECTORS[i]);
  });

  it("depends on every byte of key and message", () => {
    const bytes = fromHex("000102030405060708090a0b0c0d0e0f1011121314151617");
    const at = changetype<usize>(bytes);
    const plain = sipHash(at, at + 8, 16);
    for (let i = 0; i < 24; i++) {
      store<u8>(at + i, load<u8>(at + i) ^ 0x80);
      expect(sipHash(at, at + 8, 16)).not.toBe(plain);
      store<u8>(at + i, load<u8>(at + i) ^ 0x80);
    }
    expect(sipHash(at, at + 8, 16)).toBe(plain);
  });
});

describe("SipHash-1-3 of two words", () => {
  it("gives the value of an independent implementation for the message 00 01 … 0f", () => {
    const bytes = fromHex("000102030405060708090a0b0c0d0e0f");
    const at = changetype<usize>(bytes);
    expect(sipHashWords(at, load<u64>(at), load<u64>(at, 8))).toBe(0xcc4fdd1a7d908b66);
  });

  it("depends on every byte of key and message", () => {
    const bytes = fromHex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    const at = changetype<usize>(bytes);
    const plain = sipHashWords(at, load<u64>(at, 16), load<u64>(at, 24));
    for (let i = 0; i < 32; i++) {
      store<u8>(at + i, load<u8>(at + i) ^ 0x80);
      expect(sipHashWords(at, load<u64>(at, 16), load<u64>(at, 24))).not.toBe(plain);
      store<u8>(at + i, load<u8>(at + i) ^ 0x80);
    }
  });
});

describe("SipHash-1-3 of a run of words", () => {
  it("gives the value of CPython's hash() of 00 01 … 27 under PYTHONHASHSEED=1", () => {
    // Its key: the first 16 bytes of CPython's generator (Python/bootstrap_hash.c) from that seed.
    const key = changetype<usize>(fromHex("2923be84e16cd6ae529049f1f1bbe9eb"));
    const bytes = fromHex(
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627",
    );
    expect(sipHashRun(key, changetype<usize>(bytes), 5)).toBe(0xdb056b8b4f38310b);
  });

  it("is that of two words, of two", () => {
    const bytes = fromHex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    const at = changetype<usize>(bytes);
    const words = sipHashWords(at, load<u64>(at, 16), load<u64>(at, 24));
    expect(sipHashRun(at, at + 16, 2)).toBe(words);
  });
});
