import { DIGEST_BYTES, Digest, DigestId } from "../../../kernel/crypto/digest";
import { DnsType, dnsLower, dnsName, dnsNameLength, dnsWithin } from "../../wire/dns";
import { dnsStats } from "../stats";
import { load16 } from "./keys";
import { cutTo, labelCount, nameOrder, sharedLabels, wildcardOf } from "./names";

/**
 * Proofs that there is nothing: NSEC (RFC 4035, 5.4; RFC 6840, 4) and NSEC3 (RFC 5155, 8). The records are put in
 * one by one, each with its signature verified, and then asked.
 */

/** What the records put in say to a question. */
export const enum Proof {
  /** Nothing, or something else. */
  None = 0,
  Proven = 1,
  /** What is asked for may be there, unsigned: opt-out (RFC 5155, 6), or more iterations than are made. */
  Unsigned = 2,
}

/** Records that are looked at. */
export const DENIALS_MOST: u32 = 8;
/** RFC 9276, 3.2: a zone that has its names hashed more often than this counts as unsigned. */
const ITERATIONS_MOST: u32 = 50;
/** Names hashed for one answer at most, however often it is looked at (CVE-2023-50868). */
const HASHES_MOST: u32 = 64;
const HASH: u32 = 20;


@unmanaged
class Denial {
  /** Of the bitmap, and where it is. */
  bitmapLength: u32;
  bitmap: usize;
  /** RFC 5155, 3.1.2.1. */
  optOut: bool;

  /** NSEC: its owner's name, in lower case; NSEC3: the owner's hash. */
  @inline get owner(): usize {
    return changetype<usize>(this) + 16;
  }

  /** Likewise the next one. */
  @inline get next(): usize {
    return changetype<usize>(this) + 16 + 256;
  }

  /** Whether there are records of a type (RFC 4034, 4.1.2). */
  has(type: u32): bool {
    let at = this.bitmap;
    const end = at + this.bitmapLength;
    while (end - at > 2) {
      const size = <u32>load<u8>(at, 1);
      if (at + 2 + size > end) return false;
      if (load<u8>(at) == type >> 8) {
        const byte = (type & 255) >> 3;
        return byte < size && (load<u8>(at + 2 + byte) & (0x80 >> (type & 7))) != 0;
      }
      at += 2 + size;
    }
    return false;
  }

  /** It stands above a zone, or a DNAME: it says nothing of names below (RFC 6840, 4.1; RFC 5155, 8.3). */
  get isAbove(): bool {
    return this.has(DnsType.DNAME) || (this.has(DnsType.NS) && !this.has(DnsType.SOA));
  }
}

const DENIAL_BYTES: usize = 16 + 512;
const denials: usize = memory.data(8 * 528, 8);
let count: u32 = 0;
/** They are NSEC3. */
let hashedNames: bool = false;
let zoneLabels: u32 = 0;
let iterations: u32 = 0;
let salt: usize = 0;
let saltLength: u32 = 0;
/** Where the hashes made for an answer are counted, a byte. */
let hashes: usize = 0;
/** The name is of a zone's top that is delegated without keys. */
let delegation: bool = false;


@inline function denialAt(index: u32): Denial {
  return changetype<Denial>(denials + <usize>index * DENIAL_BYTES);
}

/** Forgets all records. `counter` is a byte of the answer's, 0 at first: the hashes made for it. */
export function denialBegin(counter: usize): void {
  count = 0;
  hashes = counter;
}


@inline export function denialCount(): u32 {
  return count;
}

/** Of the last `provesNoData`: there is a delegation at the name, to a zone without keys. */
@inline export function denialDelegation(): bool {
  return delegation;
}

/** Whether the zone hashes its names more often than is done here. */
export function denialTooCostly(): bool {
  return hashedNames && count > 0 && iterations > ITERATIONS_MOST;
}

const spare: usize = memory.data(256, 8);

/** Puts an NSEC record in: its owner and data in canonical form, its zone's labels. */
export function denialNsec(owner: usize, length: u32, data: usize, size: u32, labels: u32): void {
  if (count == DENIALS_MOST || (count && (hashedNames || zoneLabels != labels))) return;
  const denial = denialAt(count);
  const behind = dnsName(data, size, 0, spare);
  if (!behind) return;
  memory.copy(denial.owner, owner, length);
  dnsLower(denial.next, spare, dnsNameLength());
  denial.bitmap = data + behind;
  denial.bitmapLength = size - behind;
  hashedNames = false;
  zoneLabels = labels;
  count++;
}

/** Puts an NSEC3 record in (RFC 5155, 3.2), likewise. What its zone has no use for is left out (8.2). */
export function denialNsec3(owner: usize, data: usize, size: u32, labels: u32): void {
  if (count == DENIALS_MOST || (count && (!hashedNames || zoneLabels != labels))) return;
  if (size < 6 || load<u8>(owner) != 32 || labelCount(owner) != labels + 1) return;
  const saltSize: u32 = load<u8>(data, 4);
  if (saltSize + 6 > size || load<u8>(data) != 1 || load<u8>(data, 1) > 1) return;
  const hashSize: u32 = load<u8>(data + 5 + saltSize);
  const rest: u32 = saltSize + hashSize + 6;
  if (hashSize != HASH || rest > size) return;
  const times = load16(data + 2);
  if (count) {
    const same = saltSize == saltLength && memory.compare(salt, data + 5, saltSize) == 0;
    if (!same || times != iterations) return;
  }
  const denial = denialAt(count);
  if (!fromBase32(owner + 1, denial.owner)) return;
  memory.copy(denial.next, data + 6 + saltSize, HASH);
  denial.optOut = (load<u8>(data, 1) & 1) != 0;
  denial.bitmap = data + rest;
  denial.bitmapLength = size - rest;
  hashedNames = true;
  zoneLabels = labels;
  iterations = times;
  salt = data + 5;
  saltLength = saltSize;
  count++;
}

/** Reads 32 digits of base32hex in lower case (RFC 4648, 7): 20 bytes. */
function fromBase32(at: usize, into: usize): bool {
  let bits: u32 = 0;
  let have: u32 = 0;
  for (let i: u32 = 0; i < 32; i++) {
    const byte = <u32>load<u8>(at + i);
    let value = byte - 0x30;
    if (value > 9) {
      value = byte - 0x61;
      if (value > 21) return false;
      value += 10;
    }
    bits = (bits << 5) | value;
    have += 5;
    if (have < 8) continue;
    have -= 8;
    store<u8>(into++, <u8>(bits >> have));
  }
  return true;
}

// ---- What is asked ---------------------------------------------------------------------------

/** Whether there is no name `name`, in lower case, and no wildcard that would stand for it. */
export function provesNoName(name: usize, length: u32): Proof {
  if (hashedNames) return noNameHashed(name, length);
  const cover = covering(name, length);
  if (cover === null) return Proof.None;
  const at = cutTo(name, enclosing(cover, name));
  const size = wildcardOf(name + at, length - at, wildcard);
  return size && covering(wildcard, size) !== null ? Proof.Proven : Proof.None;
}

/** Whether the name, or the wildcard that stands for it, has nothing of this type. */
export function provesNoData(name: usize, length: u32, type: u32): Proof {
  delegation = false;
  if (hashedNames) return noDataHashed(name, length, type);
  for (let i: u32 = 0; i < count; i++) {
    const denial = denialAt(i);
    if (nameOrder(denial.owner, name) == 0) return lacks(denial, length, type);
  }
  // Names below it are all that it is there for (RFC 4035, 3.1.3.2, by RFC 6840's "empty non-terminal").
  for (let i: u32 = 0; i < count; i++) {
    const denial = denialAt(i);
    if (nameOrder(denial.owner, name) < 0 && isBelow(denial.next, name) && applies(denial, name)) {
      return Proof.Proven;
    }
  }
  const cover = covering(name, length);
  if (cover === null) return Proof.None;
  const at = cutTo(name, enclosing(cover, name));
  const size = wildcardOf(name + at, length - at, wildcard);
  if (!size) return Proof.None;
  for (let i: u32 = 0; i < count; i++) {
    const denial = denialAt(i);
    if (nameOrder(denial.owner, wildcard) == 0) return lacks(denial, size, type);
  }
  return Proof.None;
}

/** Whether no name stands between `name` and the wildcard below its last `labels` labels, that it was answered by. */
export function provesExpansion(name: usize, length: u32, labels: u32): Proof {
  if (hashedNames) {
    const at = cutTo(name, labels + 1);
    const cover = coveringHash(name + at, length - at);
    if (cover === null) return Proof.None;
    return cover.optOut ? Proof.Unsigned : Proof.Proven;
  }
  const cover = covering(name, length);
  return cover !== null && enclosing(cover, name) == labels ? Proof.Proven : Proof.None;
}

const wildcard: usize = memory.data(256, 8);

/** Whether the record of the name itself says that there is nothing of this type. */
function lacks(denial: Denial, length: u32, type: u32): Proof {
  if (denial.has(type) || denial.has(DnsType.CNAME)) return Proof.None;
  const cut = denial.has(DnsType.NS) && !denial.has(DnsType.SOA);
  if (type == DnsType.DS) {
    // The child says nothing of what stands above it (RFC 4035, 5.2).
    if (denial.has(DnsType.SOA) && length > 1) return Proof.None;
    delegation = cut;
  } else if (cut) {
    return Proof.None;
  }
  return Proof.Proven;
}

// ---- NSEC ------------------------------------------------------------------------------------

/** Whether `name` lies strictly below `above`. */
function isBelow(name: usize, above: usize): bool {
  if (nameOrder(name, above) <= 0) return false;
  return sharedLabels() == labelCount(above);
}

/** Whether a record's zone says something of a name: it is in the zone, and not in one that begins at the record. */
function applies(denial: Denial, name: usize): bool {
  return !(denial.isAbove && isBelow(name, denial.owner));
}

/** The record in whose gap a name lies; null if there is none. The name does not exist then. */
function covering(name: usize, length: u32): Denial | null {
  if (labelCount(name) < zoneLabels) return null;
  for (let i: u32 = 0; i < count; i++) {
    const denial = denialAt(i);
    // It is in the zone of all of them, whose labels every owner ends in.
    if (nameOrder(denial.owner, name) >= 0 || sharedLabels() < zoneLabels) continue;
    // The last one's next is the zone's top, with which the order begins.
    const last = nameOrder(denial.next, denial.owner) <= 0;
    if (!last && nameOrder(name, denial.next) >= 0) continue;
    if (isBelow(denial.next, name) || !applies(denial, name)) continue;
    return denial;
  }
  return null;
}

/** Labels of the closest name that exists above `name`, which lies in a record's gap. */
function enclosing(denial: Denial, name: usize): u32 {
  nameOrder(denial.owner, name);
  const labels = sharedLabels();
  nameOrder(denial.next, name);
  return max<u32>(labels, sharedLabels());
}

// ---- NSEC3 -----------------------------------------------------------------------------------

const digest = changetype<Digest>(memory.data(DIGEST_BYTES, 8));
const hashed: usize = memory.data(64, 8);

/** The hash of a name (5) into `hashed`; false when too many have been made for this answer. */
function hash(name: usize, length: u32): bool {
  const made = load<u8>(hashes);
  if (made == HASHES_MOST) return false;
  store<u8>(hashes, made + 1);
  dnsStats.hashes++;
  let from = name;
  let size = length;
  for (let i: u32 = 0; i <= iterations; i++) {
    digest.begin(DigestId.Sha1);
    digest.add(from, size);
    digest.add(salt, saltLength);
    digest.end(hashed);
    from = hashed;
    size = HASH;
  }
  return true;
}

/** The record whose owner a name's hash is; null if there is none. */
function matchingHash(name: usize, length: u32): Denial | null {
  if (!hash(name, length)) return null;
  for (let i: u32 = 0; i < count; i++) {
    if (memory.compare(denialAt(i).owner, hashed, HASH) == 0) return denialAt(i);
  }
  return null;
}

/** The record in whose gap a name's hash lies; null if there is none. */
function coveringHash(name: usize, length: u32): Denial | null {
  if (!hash(name, length)) return null;
  for (let i: u32 = 0; i < count; i++) {
    const denial = denialAt(i);
    const behind = memory.compare(denial.owner, hashed, HASH) < 0;
    const before = memory.compare(hashed, denial.next, HASH) < 0;
    const last = memory.compare(denial.next, denial.owner, HASH) <= 0;
    if (last ? behind || before : behind && before) return denial;
  }
  return null;
}

/** Of the closest encloser that `closest` found, its labels. */
let closestLabels: u32 = 0;

/**
 * The closest encloser proof (8.3): the record in whose gap the name lies that is one label longer than the
 * closest name that exists; null without proof, and for a name that exists itself.
 */
function closest(name: usize, length: u32): Denial | null {
  const labels = labelCount(name);
  for (let keep = labels; keep + 1 > zoneLabels; keep--) {
    const at = cutTo(name, keep);
    const match = matchingHash(name + at, length - at);
    if (match === null) {
      if (keep) continue;
      return null;
    }
    if (keep == labels || match.isAbove) return null;
    closestLabels = keep;
    const next = cutTo(name, keep + 1);
    return coveringHash(name + next, length - next);
  }
  return null;
}

function noNameHashed(name: usize, length: u32): Proof {
  const cover = closest(name, length);
  if (cover === null) return Proof.None;
  const at = cutTo(name, closestLabels);
  const size = wildcardOf(name + at, length - at, wildcard);
  if (!size || coveringHash(wildcard, size) === null) return Proof.None;
  return cover.optOut ? Proof.Unsigned : Proof.Proven;
}

function noDataHashed(name: usize, length: u32, type: u32): Proof {
  const match = matchingHash(name, length);
  if (match !== null) return lacks(match, length, type);
  const cover = closest(name, length);
  if (cover === null) return Proof.None;
  const at = cutTo(name, closestLabels);
  const size = wildcardOf(name + at, length - at, wildcard);
  const wild = size ? matchingHash(wildcard, size) : null;
  if (wild !== null) {
    const proof = lacks(wild, size, type);
    return proof == Proof.Proven && cover.optOut ? Proof.Unsigned : proof;
  }
  // A delegation that was left out (8.6).
  return type == DnsType.DS && cover.optOut ? Proof.Unsigned : Proof.None;
}
