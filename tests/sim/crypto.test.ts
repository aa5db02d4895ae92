import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  type KeyObject,
  constants,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  sign,
  verify,
} from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { before, describe, test } from "node:test";

/** kernel/crypto against what RFCs and NIST publish, and against OpenSSL, which Node has. */

interface Crypto {
  memory: WebAssembly.Memory;
  area: WebAssembly.Global;
  hash(id: number, at: number, length: number, piece: number, into: number): number;
  rsa(...words: number[]): number;
  ecdsa(key: number, signature: number, hashed: number, size: number): number;
  ed25519(key: number, signature: number, message: number, length: number): number;
}

const HASHES = ["sha1", "sha256", "sha384", "sha512"];
let crypto: Crypto;
let used = 0;

before(async () => {
  mkdirSync("build/sim", { recursive: true });
  const out = `build/sim/crypto.${process.pid}.wasm`;
  const memory = new WebAssembly.Memory({ initial: 16 });
  execFileSync("node_modules/.bin/asc", [
    ...[
      "tests/unit/support/crypto.ts",
      "--config",
      "none",
      "--runtime",
      "stub",
      "--importMemory",
      "-O2",
    ],
    ...["--enable", "bulk-memory", "--outFile", out],
  ]);
  const abort = (): never => {
    throw new Error("assertion");
  };
  const { instance } = await WebAssembly.instantiate(readFileSync(out), { env: { memory, abort } });
  crypto = { ...instance.exports, memory } as unknown as Crypto;
});

/** Puts bytes where the module finds them. */
function put(bytes: Uint8Array): number {
  const at = Number(crypto.area.value) + used;
  new Uint8Array(crypto.memory.buffer).set(bytes, at);
  used += (bytes.length + 7) & ~7;
  return at;
}

/** Runs with an empty area. */
function within<T>(body: () => T): T {
  used = 0;
  return body();
}

function digest(id: number, bytes: Uint8Array, piece = 1 << 16): string {
  return within(() => {
    const at = put(bytes);
    const into = put(new Uint8Array(64));
    const length = crypto.hash(id, at, bytes.length, piece, into);
    return Buffer.from(crypto.memory.buffer, into, length).toString("hex");
  });
}

/** Repeatable bytes. */
function bytes(seed: number, length: number): Buffer {
  const out = Buffer.alloc(length);
  let x = seed * 2 + 1;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 0x19660d) + 0x3c6ef35f) >>> 0;
    out[i] = x >>> 24;
  }
  return out;
}

const part = (key: KeyObject, field: "n" | "e" | "x" | "y"): Buffer =>
  Buffer.from(key.export({ format: "jwk" })[field]!, "base64url");

function rsa(key: KeyObject, id: number, message: Uint8Array, signature: Uint8Array): boolean {
  const n = part(key, "n");
  const e = part(key, "e");
  const hashed = createHash(HASHES[id]!).update(message).digest();
  return within(() => {
    const words = [put(n), n.length, put(e), e.length, put(signature), signature.length];
    return crypto.rsa(id, ...words, put(hashed)) !== 0;
  });
}

/** With SHA-256 on P-256, SHA-384 on P-384. */
const ecdsa = (point: Uint8Array, hashed: Uint8Array, signature: Uint8Array): boolean =>
  within(() => crypto.ecdsa(put(point), put(signature), put(hashed), hashed.length) !== 0);

const ed25519 = (key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean =>
  within(() => crypto.ed25519(put(key), put(signature), put(message), message.length) !== 0);

describe("SHA", () => {
  test("gives RFC 6234's values (8.5)", () => {
    const abc = Buffer.from("abc");
    const long = Buffer.from(
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
    );
    assert.equal(digest(0, abc), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert.equal(
      digest(1, abc),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    assert.equal(
      digest(2, long),
      "09330c33f71147e83d192fc782cd1b4753111b173b3b05d22fa08086e3b0f712fcc7c71a557e2db966c3e9fa91746039",
    );
    assert.equal(
      digest(3, abc),
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    );
  });

  test("gives OpenSSL's values at every length around the blocks, in pieces of any size", () => {
    for (let length = 0; length < 300; length++) {
      const message = bytes(length, length);
      HASHES.forEach((name, id) => {
        const expected = createHash(name).update(message).digest("hex");
        assert.equal(digest(id, message, 1 + (length % 129)), expected, `${name} of ${length}`);
      });
    }
  });
});

describe("RSA", () => {
  const make = (modulusLength: number, publicExponent = 65537) =>
    generateKeyPairSync("rsa", { modulusLength, publicExponent });

  test("takes OpenSSL's signatures at every size and exponent, and none with a bit changed", () => {
    for (const [bits, exponent] of [
      [512, 3],
      [768, 65537],
      [1024, 65537],
      [1031, 17],
      [1280, 4294967291],
      [2048, 65537],
      [3072, 3],
      [4096, 65537],
    ] as const) {
      const { publicKey, privateKey } = make(bits, exponent);
      for (const id of bits < 752 ? [0, 1] : [0, 1, 3]) {
        const message = bytes(bits + id, 100);
        const signature = sign(HASHES[id], message, privateKey);
        assert.ok(rsa(publicKey, id, message, signature), `${bits} ${HASHES[id]}`);
        assert.ok(!rsa(publicKey, id, bytes(1, 99), signature));
        assert.ok(!rsa(publicKey, id === 0 ? 1 : 0, message, signature), "another digest");
        for (const at of [0, 1, signature.length >> 1, signature.length - 1]) {
          const changed = Buffer.from(signature);
          changed[at]! ^= 1;
          assert.ok(!rsa(publicKey, id, message, changed), `${bits} byte ${at}`);
        }
        assert.ok(!rsa(publicKey, id, message, signature.subarray(1)), "short");
        assert.ok(!rsa(publicKey, id, message, Buffer.concat([signature, Buffer.of(0)])), "long");
      }
    }
  });

  test("takes no padding but the one that the digest has (Bleichenbacher, 2006)", () => {
    const { publicKey } = make(2048, 3);
    const message = bytes(5, 40);
    const hashed = createHash("sha256").update(message).digest();
    const info = Buffer.from("3031300d060960864801650304020105000420", "hex");
    // Of a small exponent anyone can make a cube that begins as is right, with garbage behind.
    const begin = Buffer.concat([Buffer.from("0001ffffffffffffffffff00", "hex"), info, hashed]);
    const target = BigInt(
      `0x${Buffer.concat([begin, Buffer.alloc(256 - begin.length)]).toString("hex")}`,
    );
    let low = 0n;
    let high = 1n << 700n;
    while (low < high) {
      const middle = (low + high) >> 1n;
      if (middle ** 3n < target) low = middle + 1n;
      else high = middle;
    }
    const forged = Buffer.from(low.toString(16).padStart(512, "0"), "hex");
    const opened = publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, forged);
    assert.equal(
      opened.subarray(0, begin.length - 2).toString("hex"),
      begin.subarray(0, -2).toString("hex"),
    );
    assert.ok(!rsa(publicKey, 1, message, forged));
  });

  test("refuses keys that are none", () => {
    const { publicKey, privateKey } = make(512);
    const message = bytes(1, 10);
    const signature = sign("sha256", message, privateKey);
    const hashed = createHash("sha256").update(message).digest();
    const n = part(publicKey, "n");
    const attempt = (modulus: Uint8Array, exponent: Uint8Array) =>
      within(() =>
        crypto.rsa(
          ...([1, put(modulus), modulus.length, put(exponent), exponent.length] as const),
          ...([put(signature), signature.length, put(hashed)] as const),
        ),
      );
    const f4 = Buffer.of(1, 0, 1);
    assert.equal(attempt(n, f4), 1);
    assert.equal(
      attempt(Buffer.concat([Buffer.of(0, 0), n]), Buffer.concat([Buffer.of(0), f4])),
      1,
    );
    const even = Buffer.from(n);
    even[63]! &= 0xfe;
    assert.equal(attempt(even, f4), 0, "even");
    assert.equal(attempt(Buffer.alloc(64), f4), 0, "zero");
    assert.equal(attempt(Buffer.alloc(0), f4), 0, "empty");
    assert.equal(attempt(n, Buffer.alloc(3)), 0, "exponent 0");
    assert.equal(attempt(n, Buffer.alloc(9, 255)), 0, "exponent of 72 bits");
    assert.equal(attempt(Buffer.alloc(600, 255), f4), 0, "4,800 bits");
  });
});

const CURVES = [
  ["P-256", 32, "sha256", 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n],
  [
    "P-384",
    48,
    "sha384",
    0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  ],
] as const;

for (const [curve, size, name, order] of CURVES) {
  describe(`ECDSA on ${curve}`, () => {
    const make = () => {
      const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: curve });
      const point = Buffer.concat([part(publicKey, "x"), part(publicKey, "y")]);
      return { point, privateKey, publicKey };
    };
    const hashOf = (message: Uint8Array) => createHash(name).update(message).digest();

    test("takes OpenSSL's signatures, and none with a bit changed", () => {
      for (let i = 0; i < 40; i++) {
        const { point, privateKey } = make();
        const message = bytes(i, 50 + i);
        const signature = sign(name, message, { key: privateKey, dsaEncoding: "ieee-p1363" });
        assert.ok(ecdsa(point, hashOf(message), signature), `key ${i}`);
        for (const [what, at] of [
          ["signature", i % signature.length],
          ["point", i % point.length],
          ["digest", i % size],
        ] as const) {
          const inputs = {
            signature: Buffer.from(signature),
            point: Buffer.from(point),
            digest: hashOf(message),
          };
          inputs[what][at]! ^= 1 << (i & 7);
          assert.ok(!ecdsa(inputs.point, inputs.digest, inputs.signature), `${what} ${at}`);
        }
      }
    });

    test("agrees with OpenSSL on digests and signatures at the edges", () => {
      const { point, publicKey } = make();
      const number = (value: bigint) =>
        Buffer.from(value.toString(16).padStart(size * 2, "0"), "hex");
      const edges = [0n, 1n, 2n, order - 1n, order, order + 1n, (1n << BigInt(size * 8)) - 1n];
      const message = bytes(9, 9);
      for (const r of edges) {
        for (const s of edges) {
          const signature = Buffer.concat([number(r), number(s)]);
          const theirs = verify(
            name,
            message,
            { key: publicKey, dsaEncoding: "ieee-p1363" },
            signature,
          );
          assert.equal(ecdsa(point, hashOf(message), signature), theirs, `${r} ${s}`);
        }
      }
    });

    test("takes a digest beyond the order, and points that meet on the way", () => {
      // Of a chosen digest: with the key 1, Q is G, and all of the sum's special cases come up.
      const generator = Buffer.from(
        curve === "P-256"
          ? "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
          : "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
        "hex",
      );
      const r = BigInt(`0x${generator.subarray(0, size).toString("hex")}`) % order;
      const number = (value: bigint) =>
        Buffer.from(value.toString(16).padStart(size * 2, "0"), "hex");
      // The nonce 1 gives R = G, hence s = e + r for the key 1.
      for (const e of [0n, 1n, 77n, order - 1n, order + 5n, (1n << BigInt(size * 8)) - 1n]) {
        const s = (e + r) % order;
        assert.ok(ecdsa(generator, number(e), Buffer.concat([number(r), number(s)])), `${e}`);
        // The opposite of G, whose key is -1: s = e - r.
        const opposite = Buffer.from(generator);
        const p =
          curve === "P-256"
            ? 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn
            : 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn;
        const y = BigInt(`0x${generator.subarray(size).toString("hex")}`);
        number(p - y).copy(opposite, size);
        const s2 = (((e - r) % order) + order) % order;
        assert.ok(ecdsa(opposite, number(e), Buffer.concat([number(r), number(s2)])), `-${e}`);
      }
    });

    test("refuses points that are not on the curve", () => {
      const { point, privateKey } = make();
      const message = bytes(3, 3);
      const signature = sign(name, message, { key: privateKey, dsaEncoding: "ieee-p1363" });
      for (const bad of [Buffer.alloc(size * 2), Buffer.alloc(size * 2, 255)]) {
        assert.ok(!ecdsa(bad, hashOf(message), signature));
      }
      assert.ok(ecdsa(point, hashOf(message), signature));
    });
  });
}

describe("ECDSA", () => {
  test("takes RFC 6979's signatures (A.2.5, A.2.6)", () => {
    const p256 = Buffer.from(
      "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
      "hex",
    );
    const r256 = Buffer.from(
      "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
      "hex",
    );
    assert.ok(ecdsa(p256, createHash("sha256").update("sample").digest(), r256));
    const p384 = Buffer.from(
      "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc138015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
      "hex",
    );
    const r384 = Buffer.from(
      "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe4699ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
      "hex",
    );
    assert.ok(ecdsa(p384, createHash("sha384").update("sample").digest(), r384));
  });
});

describe("Ed25519", () => {
  test("takes RFC 8032's signatures (7.1)", () => {
    for (const [key, message, signature] of [
      [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
      ],
      [
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
      ],
      [
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
      ],
    ] as const) {
      const bytesOf = (hex: string) => Buffer.from(hex, "hex");
      assert.ok(ed25519(bytesOf(key), bytesOf(message), bytesOf(signature)));
    }
  });

  test("takes OpenSSL's signatures, and none with a bit changed", () => {
    for (let i = 0; i < 60; i++) {
      const { publicKey, privateKey } = generateKeyPairSync("ed25519");
      const key = part(publicKey, "x");
      const message = bytes(i, i * 7);
      const signature = sign(null, message, privateKey);
      assert.ok(ed25519(key, message, signature), `key ${i}`);
      const changed = Buffer.from(signature);
      changed[i]! ^= 1 << (i & 7);
      assert.ok(!ed25519(key, message, changed));
      const other = Buffer.from(key);
      other[i % 32]! ^= 1 << (i & 7);
      assert.ok(!ed25519(other, message, signature));
      assert.ok(!ed25519(key, bytes(i + 1, i * 7 + 1), signature));
    }
  });

  test("takes S below the order alone (RFC 8032, 5.1.7: signatures cannot be made over)", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const key = part(publicKey, "x");
    const signature = sign(null, bytes(1, 20), privateKey);
    const order = (1n << 252n) + 27742317777372353535851937790883648493n;
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString("hex")}`) + order;
    const other = Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse();
    const changed = Buffer.concat([signature.subarray(0, 32), other]);
    assert.ok(!ed25519(key, bytes(1, 20), changed));
    assert.ok(ed25519(key, bytes(1, 20), signature));
  });

  test("agrees with OpenSSL on keys that encode no point", () => {
    for (let i = 0; i < 40; i++) {
      const key = i < 36 ? bytes(i, 32) : Buffer.alloc(32, [255, 0, 1, 237][i - 36]);
      const prefix = Buffer.from("302a300506032b6570032100", "hex");
      const theirs = createPublicKey({
        key: Buffer.concat([prefix, key]),
        format: "der",
        type: "spki",
      });
      const signature = Buffer.alloc(64, i);
      const expected = verify(null, bytes(2, 8), theirs, signature);
      assert.equal(ed25519(key, bytes(2, 8), signature), expected, `key ${i}`);
    }
  });
});
