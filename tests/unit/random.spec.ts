import {
  chachaBlock,
  random32,
  random64,
  randomBelow,
  randomFill,
  randomInit,
} from "../../kernel/random";
import { entropy } from "../../kernel/host";
import { fromHex, reseed, toHex } from "./support/host";

const block = new ArrayBuffer(64);

function keystream(key: string, nonce: string, counter: u32): string {
  const keyBytes = fromHex(key);
  const nonceBytes = fromHex(nonce);
  const into = changetype<usize>(block);
  chachaBlock(changetype<usize>(keyBytes), counter, changetype<usize>(nonceBytes), into);
  return toHex(into, 64);
}

const ZERO_KEY = "00".repeat(32);
const ZERO_NONCE = "00".repeat(12);

describe("the ChaCha20 block function", () => {
  it("RFC 8439, 2.3.2", () => {
    expect(
      keystream(
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "000000090000004a00000000",
        1,
      ),
    ).toBe(
      "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e" +
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
    );
  });

  it("RFC 8439, A.1: vectors 1 and 2, the counter", () => {
    expect(keystream(ZERO_KEY, ZERO_NONCE, 0)).toBe(
      "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7" +
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
    );
    expect(keystream(ZERO_KEY, ZERO_NONCE, 1)).toBe(
      "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed" +
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
    );
  });

  it("RFC 8439, A.1: vectors 3 and 4, the key", () => {
    expect(keystream("00".repeat(31) + "01", ZERO_NONCE, 1)).toBe(
      "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a" +
        "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
    );
    expect(keystream("00ff" + "00".repeat(30), ZERO_NONCE, 2)).toBe(
      "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca" +
        "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096",
    );
  });

  it("RFC 8439, A.1: vector 5, the nonce", () => {
    expect(keystream(ZERO_KEY, "00".repeat(11) + "02", 0)).toBe(
      "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7" +
        "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d",
    );
  });
});

describe("the generator", () => {
  beforeEach(() => {
    randomInit();
  });

  it("hands out ChaCha20's keystream but for the first 32 bytes, which are the next key", () => {
    const key = new ArrayBuffer(32);
    const nonce = new ArrayBuffer(12);
    const drawn = new ArrayBuffer(480);
    const stream = new ArrayBuffer(512);
    reseed(7);
    entropy(changetype<usize>(key), 32);
    reseed(7);
    randomInit();
    for (let batch = 0; batch < 3; batch++) {
      for (let i: u32 = 0; i < 8; i++) {
        const into = changetype<usize>(stream) + (i << 6);
        chachaBlock(changetype<usize>(key), i, changetype<usize>(nonce), into);
      }
      randomFill(changetype<usize>(drawn), 480);
      expect(toHex(changetype<usize>(drawn), 480)).toBe(toHex(changetype<usize>(stream) + 32, 480));
      memory.copy(changetype<usize>(key), changetype<usize>(stream), 32);
    }
  });

  it("differs after it is seeded again", () => {
    const before = random64();
    randomInit();
    expect(random64()).not.toBe(before);
  });

  it("fills exactly what it is asked for", () => {
    const bytes = new ArrayBuffer(16);
    const at = changetype<usize>(bytes);
    for (let length: u32 = 0; length < 8; length++) {
      memory.fill(at, 0, 16);
      randomFill(at + 4, length);
      expect(load<u32>(at)).toBe(0);
      expect(load<u32>(at + 4 + length)).toBe(0);
    }
  });

  it("sets each bit half of the time", () => {
    for (let bit: u32 = 0; bit < 32; bit++) {
      let ones = 0;
      for (let i = 0; i < 4096; i++) ones += (random32() >> bit) & 1;
      // Six standard deviations of a fair coin.
      expect(abs(ones - 2048)).toBeLessThan(192);
    }
  });

  it("draws evenly below a limit", () => {
    const counts = new StaticArray<i32>(7);
    for (let i = 0; i < 70000; i++) counts[randomBelow(7)]++;
    for (let i = 0; i < 7; i++) expect(abs(counts[i] - 10000)).toBeLessThan(600);
    expect(randomBelow(1)).toBe(0);
  });

  it("rejects the uneven rest of a limit that divides 2^32 badly", () => {
    const limit: u32 = 0xc000_0000;
    let low = 0;
    for (let i = 0; i < 8192; i++) {
      const value = randomBelow(limit);
      expect(value).toBeLessThan(limit);
      low += i32(value < limit / 3);
    }
    // A third; without rejection it would be a half.
    expect(abs(low - 2731)).toBeLessThan(260);
  });
});
