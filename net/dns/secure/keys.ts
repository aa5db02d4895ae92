import { DIGEST_BYTES, Digest, DigestId, digestLength } from "../../../kernel/crypto/digest";
import { ecdsaVerify } from "../../../kernel/crypto/ecdsa";
import { ed25519Begin, ed25519Digest, ed25519Verify } from "../../../kernel/crypto/ed25519";
import { rsaVerify } from "../../../kernel/crypto/rsa";
import { dnsLower, dnsName, dnsNameLength } from "../../wire/dns";
import { message, setDigest } from "./rrset";

/** What DNSKEY, DS and RRSIG data say (RFC 4034), and whether a signature is a key's. */

/** Algorithms that are checked (RFC 8624, 3.1). */
const enum Algorithm {
  RsaSha1 = 5,
  RsaSha1Nsec3 = 7,
  RsaSha256 = 8,
  RsaSha512 = 10,
  EcdsaP256 = 13,
  EcdsaP384 = 14,
  Ed25519 = 15,
}

/** Of DNSKEY data: flags, protocol, algorithm, then the key (2.1). */
const KEY_HEAD: u32 = 4;
const ZONE_KEY: u32 = 0x0100;
/** RFC 5011, 3. */
const REVOKED: u32 = 0x0080;
const PROTOCOL: u32 = 3;

/** Whether this machine can check signatures of an algorithm. */
export function algorithmKnown(algorithm: u32): bool {
  switch (algorithm) {
    case Algorithm.RsaSha1:
    case Algorithm.RsaSha1Nsec3:
    case Algorithm.RsaSha256:
    case Algorithm.RsaSha512:
    case Algorithm.EcdsaP256:
    case Algorithm.EcdsaP384:
    case Algorithm.Ed25519:
      return true;
    default:
      return false;
  }
}

/** Whether it can make a DS digest of a type: SHA-1, SHA-256, SHA-384. */
@inline export function digestKnown(type: u32): bool {
  return type == 1 || type == 2 || type == 4;
}


@inline export function load16(at: usize): u32 {
  return bswap<u32>(load<u16>(at)) >>> 16;
}

/** Of DS data with 4 bytes at least: key tag, algorithm, digest type (5.1). */
@inline export function dsTag(ds: usize): u32 {
  return load16(ds);
}


@inline export function dsAlgorithm(ds: usize): u32 {
  return load<u8>(ds, 2);
}


@inline export function dsDigest(ds: usize): u32 {
  return load<u8>(ds, 3);
}

/** Whether DS data names a key that could be checked. */
export function dsUsable(ds: usize, length: u32): bool {
  return length > 4 && algorithmKnown(dsAlgorithm(ds)) && digestKnown(dsDigest(ds));
}


@inline export function keyAlgorithm(key: usize): u32 {
  return load<u8>(key, 3);
}

/** Whether DNSKEY data is a key that signs zones (2.1.1, 2.1.2), and has not been revoked. */
export function keySigns(key: usize, length: u32): bool {
  if (length <= KEY_HEAD || load<u8>(key, 2) != PROTOCOL) return false;
  return (load16(key) & (ZONE_KEY | REVOKED)) == ZONE_KEY;
}

/** The key tag of DNSKEY data (RFC 4034, appendix B). */
export function keyTag(key: usize, length: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const byte = <u32>load<u8>(key + i);
    sum += i & 1 ? byte : byte << 8;
  }
  return (sum + (sum >> 16)) & 0xffff;
}

const digest = changetype<Digest>(memory.data(DIGEST_BYTES, 8));
const sum: usize = memory.data(64, 8);

/** Whether DS data is of a zone's DNSKEY data (5.1.4) of its algorithm and tag; the zone is a name in lower case. */
export function dsIsOf(
  ds: usize,
  dsLength: u32,
  zone: usize,
  zoneLength: u32,
  key: usize,
  keyLength: u32,
): bool {
  const type = dsDigest(ds);
  const id = type == 1 ? DigestId.Sha1 : type == 2 ? DigestId.Sha256 : DigestId.Sha384;
  if (dsLength != 4 + digestLength(id)) return false;
  digest.begin(id);
  digest.add(zone, zoneLength);
  digest.add(key, keyLength);
  digest.end(sum);
  return memory.compare(sum, ds + 4, dsLength - 4) == 0;
}

/** A signature's fields (3.1). */
@unmanaged
export class Signature {
  algorithm: u32;
  /** Of the owner's name, without an asterisk. */
  labels: u32;
  originalTtl: u32;
  /** Seconds since 1970, modulo 2^32. */
  expires: u32;
  begins: u32;
  tag: u32;
  signerLength: u32;
  /** Where it is, and how many bytes. */
  value: usize;
  length: u32;

  /** In lower case. */
  @inline get signer(): usize {
    return signerName;
  }
}

const signerName: usize = memory.data(256, 8);
const spare: usize = memory.data(256, 8);
/** The one that `signatureRead` read last. */
export const signature = changetype<Signature>(memory.data(offsetof<Signature>(), 8));

/** Bytes of RRSIG data before the signer's name. */
const SIGNATURE_HEAD: u32 = 18;

/** Reads RRSIG data of `length` bytes, which are more than 18, at an offset of the message; false if it is malformed. */
export function signatureRead(offset: u32, length: u32): bool {
  const at = message.at + offset;
  signature.algorithm = load<u8>(at, 2);
  signature.labels = load<u8>(at, 3);
  signature.originalTtl = bswap(load<u32>(at, 4));
  signature.expires = bswap(load<u32>(at, 8));
  signature.begins = bswap(load<u32>(at, 12));
  signature.tag = load16(at + 16);
  const behind = dnsName(message.at, message.length, offset + SIGNATURE_HEAD, spare);
  if (!behind || behind >= offset + length) return false;
  signature.signerLength = dnsNameLength();
  dnsLower(signerName, spare, signature.signerLength);
  signature.value = message.at + behind;
  signature.length = offset + length - behind;
  // As it is signed: the fields, with the name in full and in lower case.
  memory.copy(signedHead, at, SIGNATURE_HEAD);
  return true;
}

const signedHead: usize = memory.data(24);

/** Feeds a digest with all that the signature at hand is made over. */
function feed(into: Digest): void {
  into.add(signedHead, SIGNATURE_HEAD);
  into.add(signerName, signature.signerLength);
  setDigest(into, signature.labels, signature.originalTtl);
}

/**
 * Whether the signature at hand is over the RRset at hand by the key whose DNSKEY data this is. Cost: a public-key
 * operation, up to some milliseconds.
 */
export function signatureVerify(key: usize, keyLength: u32): bool {
  const material = key + KEY_HEAD;
  const length = keyLength - KEY_HEAD;
  const algorithm = signature.algorithm;
  if (algorithm == Algorithm.Ed25519) {
    // RFC 8080, 3 and 4.
    if (length != 32 || signature.length != 64) return false;
    ed25519Begin(material, signature.value);
    feed(ed25519Digest);
    return ed25519Verify(material, signature.value);
  }
  let id = DigestId.Sha256;
  if (algorithm == Algorithm.RsaSha512) id = DigestId.Sha512;
  else if (algorithm == Algorithm.EcdsaP384) id = DigestId.Sha384;
  else if (algorithm == Algorithm.RsaSha1 || algorithm == Algorithm.RsaSha1Nsec3)
    id = DigestId.Sha1;
  digest.begin(id);
  feed(digest);
  const size = digest.end(sum);
  if (algorithm == Algorithm.EcdsaP256 || algorithm == Algorithm.EcdsaP384) {
    // RFC 6605, 4.
    if (length != 2 * size || signature.length != 2 * size) return false;
    return ecdsaVerify(material, signature.value, sum, size);
  }
  // RFC 3110, 2: the exponent behind its length, then the modulus.
  let exponentLength = <u32>load<u8>(material);
  let at: u32 = 1;
  if (!exponentLength && length >= 3) {
    exponentLength = load16(material + 1);
    at = 3;
  }
  if (at + exponentLength >= length) return false;
  return rsaVerify(
    material + at + exponentLength,
    length - at - exponentLength,
    material + at,
    exponentLength,
    signature.value,
    signature.length,
    id,
    sum,
    size,
  );
}
