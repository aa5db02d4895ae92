import { type KeyObject, createHash, generateKeyPairSync, sign } from "node:crypto";
import { type DnsRecord, TYPE, wireName } from "./dns.ts";

/** Keys and signatures of zones, as tests and benchmarks need them by the thousand (RFC 4034), by OpenSSL, which Node has. */

/** RFC 8624, 3.1. */
export const ALGORITHM = {
  RSASHA1: 5,
  RSASHA256: 8,
  RSASHA512: 10,
  ECDSAP256SHA256: 13,
  ECDSAP384SHA384: 14,
  ED25519: 15,
} as const;
export type AlgorithmName = keyof typeof ALGORITHM;

export const ZONE_KEY = 0x0100;
export const ENTRY_POINT = 0x0101;

export interface ZoneKey {
  algorithm: number;
  /** Of the DNSKEY record. */
  data: Buffer;
  tag: number;
  sign(bytes: Uint8Array): Buffer;
}

const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 255);
const u32 = (value: number): Buffer => Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);

/** RFC 4034, appendix B. */
export function keyTag(data: Uint8Array): number {
  let sum = 0;
  for (const [i, byte] of data.entries()) sum += i & 1 ? byte : byte << 8;
  return (sum + (sum >>> 16)) & 0xffff;
}

const base64 = (text: string | undefined): Buffer => Buffer.from(text!, "base64url");

function publicKey(key: KeyObject): Buffer {
  const { kty, n, e, x, y } = key.export({ format: "jwk" });
  // RFC 3110, 2; RFC 6605, 4; RFC 8080, 3.
  if (kty === "RSA") {
    const exponent = base64(e);
    return Buffer.concat([Buffer.of(exponent.length), exponent, base64(n)]);
  }
  return kty === "EC" ? Buffer.concat([base64(x), base64(y)]) : base64(x);
}

function pairOf(name: AlgorithmName, bits: number) {
  if (name === "ED25519") return generateKeyPairSync("ed25519");
  if (name.startsWith("RSA")) return generateKeyPairSync("rsa", { modulusLength: bits });
  return generateKeyPairSync("ec", { namedCurve: name === "ECDSAP256SHA256" ? "P-256" : "P-384" });
}

/** Makes a key. */
export function makeKey(name: AlgorithmName, flags = ENTRY_POINT, bits = 2048): ZoneKey {
  const pair = pairOf(name, bits);
  const algorithm = ALGORITHM[name];
  const data = Buffer.concat([u16(flags), Buffer.of(3, algorithm), publicKey(pair.publicKey)]);
  const hash = name === "ED25519" ? null : `sha${/(1|256|384|512)$/.exec(name)![1]}`;
  return {
    algorithm,
    data,
    tag: keyTag(data),
    sign: (bytes) => sign(hash, bytes, { key: pair.privateKey, dsaEncoding: "ieee-p1363" }),
  };
}

/** DNSKEY data of a key that nobody has, with the tag wanted: as many as one likes. */
export function keyOfTag(like: ZoneKey, tag: number, number: number): Buffer {
  const data = Buffer.from(like.data);
  data.writeUInt16BE(ZONE_KEY, 0);
  data.writeUInt32BE(number * 2 + 1, data.length - 12);
  for (let i = 0; i < 65536; i++) {
    // Not its last bytes: a modulus has to stay odd.
    data.writeUInt16BE(i, data.length - 16);
    if (keyTag(data) === tag) return data;
  }
  throw new Error(`no key of tag ${tag}`);
}

/** A key's DS data by SHA-256 (5.1), as `anchor=` takes it. */
export function anchorOf(zone: string, { data, tag, algorithm }: ZoneKey): string {
  const digest = createHash("sha256").update(wireName(zone)).update(data).digest("hex");
  return [zone || ".", tag, algorithm, 2, digest].join(",");
}

export interface Period {
  /** Seconds since 1970. */
  begins: number;
  ends: number;
}

/** The signature over an RRset in lower case without names in its data (3.1). */
export function signatureOf(
  key: ZoneKey,
  zone: string,
  set: DnsRecord[],
  { begins, ends }: Period,
  labels = String(set[0]!.name).split(".").filter(Boolean).length,
): DnsRecord {
  const { name, type, ttl = 60 } = set[0]!;
  const head = Buffer.concat([
    u16(type),
    Buffer.of(key.algorithm, labels),
    ...[ttl, ends, begins].map(u32),
    u16(key.tag),
    wireName(zone),
  ]);
  const owner = wireName(String(name));
  const rows = set
    .map(({ data }) => data)
    .sort(Buffer.compare)
    .map((data) => Buffer.concat([owner, u16(type), u16(1), u32(ttl), u16(data.length), data]));
  const value = key.sign(Buffer.concat([head, ...rows]));
  return { name, type: TYPE.RRSIG, ttl, data: Buffer.concat([head, value]) };
}

/** A zone's DNSKEY records. */
export const keysOf = (zone: string, keys: Uint8Array[], ttl = 3600): DnsRecord[] =>
  keys.map((data) => ({ name: zone, type: TYPE.DNSKEY, ttl, data }));
