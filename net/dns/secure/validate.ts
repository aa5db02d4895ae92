import { wallTime } from "../../../kernel/clock";
import { Errno } from "../../../kernel/errno";
import { Layout } from "../../../sdk/assembly/syscalls";
import {
  DNS_IN,
  DNS_NAME_MAX,
  DNS_RECORD_BYTES,
  DnsHeader,
  DnsRecord,
  DnsType,
  dnsBehindQuestion,
  dnsLower,
  dnsName,
  dnsNameLength,
  dnsRecord,
  dnsSame,
  dnsWithin,
} from "../../wire/dns";
import { AnswerKind, CacheEntry, cacheFind, nameHash } from "../cache";
import { anchorAbove, anchorDs, anchorDsLength, isUnsigned } from "./anchors";
import {
  Proof,
  denialBegin,
  denialCount,
  denialDelegation,
  denialNsec,
  denialNsec3,
  denialTooCostly,
  provesExpansion,
  provesNoData,
  provesNoName,
} from "./denial";
import {
  algorithmKnown,
  digestKnown,
  dsAlgorithm,
  dsDigest,
  dsIsOf,
  dsTag,
  dsUsable,
  keyAlgorithm,
  keySigns,
  keyTag,
  signature,
  signatureRead,
  signatureVerify,
} from "./keys";
import { dnsStats } from "../stats";
import { cutTo, labelCount } from "./names";
import {
  message,
  setCount,
  setData,
  setDataLength,
  setGather,
  setSignatures,
  setTtl,
  signatureAt,
  signatureLength,
  signatureRecord,
} from "./rrset";
import { DnsError, Security } from "./security";

/**
 * Validation of one answer (RFC 4035, 5). Whatever else has to be known, keys and DS records of zones further up,
 * is looked for in the cache; if it is not there the result says what to ask, and the answer is validated anew
 * once that has come. Keys depend on the DS records of their zone, and those on the keys of a zone above, so
 * it ends at a trust anchor.
 *
 * Work is bounded (CVE-2023-50387): one signature that holds is verified a call, `WRONG_MOST` that do not for an
 * answer, and no more than `VERIFIED_MOST` in all.
 */

export const enum Outcome {
  /** It is what `validation.security` says. */
  Done = 0,
  /** Something else must be asked first: `validation.need`. */
  Need = 1,
  /** A signature has been verified; there is more to do, after others have had their turn. */
  Again = 2,
  /** What it depends on could not be had: `validation.error`. */
  Failed = 3,
}

/** RRsets of an answer whose signatures are verified. */
const VERIFIED_MOST: u32 = 16;
/** Signatures that may turn out to be wrong before the answer does. */
const WRONG_MOST: u32 = 8;
/** Keys with the tag of a DS record, but not its digest, that are looked at. */
const MISSES_MOST: u32 = 4;

/** What is known so far of an answer, kept between calls: zeroes to begin with. */
@unmanaged
export class Work {
  private verified0: u64;
  private verified1: u64;
  private verified2: u64;
  private verified3: u64;
  count: u8;
  wrong: u8;
  /** Times that something else had to be asked. */
  needs: u8;
  /** Names hashed for proofs (RFC 5155, 5). */
  hashes: u8;

  isVerified(offset: u32): bool {
    for (let i: u32 = 0; i < this.count; i++) {
      if (load<u16>(changetype<usize>(this) + (i << 1)) == <u16>offset) return true;
    }
    return false;
  }

  verified(offset: u32): void {
    store<u16>(changetype<usize>(this) + ((<usize>this.count) << 1), <u16>offset);
    this.count++;
  }
}


@unmanaged
export class Validation {
  /** `Security`. */
  security: u32;
  /** `DnsError`: why it is not secure. */
  reason: u32;
  /** Seconds for which signatures are good at most. */
  ttl: u32;
  /** Of a DS question without an answer: there is a zone, without keys. */
  delegation: bool;
  needType: u32;
  needLength: u32;
  /** Positive. */
  error: u32;

  /** `needLength` bytes. */
  @inline get need(): usize {
    return needName;
  }
}

export const validation = changetype<Validation>(memory.data(offsetof<Validation>(), 8));

/** September 2001: clocks that have lost their time say 1970, 1980 or 2000. */
const CLOCK_LEAST: u64 = 1_000_000_000;
const SECOND: u64 = 1_000_000_000;

const needName: usize = memory.data(256, 8);
const name: usize = memory.data(256, 8);
const target: usize = memory.data(256, 8);
const owner: usize = memory.data(256, 8);
const record = changetype<DnsRecord>(memory.data(DNS_RECORD_BYTES, 8));
let work = changetype<Work>(0);
let questionLength: u32 = 0;
let questionType: u32 = 0;
const question: usize = memory.data(256, 8);

/** Whether the machine's clock has been set. Without, no signature can be checked. */
export function clockIsSet(): bool {
  return wallTime() / SECOND >= CLOCK_LEAST;
}

// ---- What comes of it ------------------------------------------------------------------------

/** Steps end with an outcome and these beside it; `Done` with `Secure` goes on. */
function say(security: Security, reason: u32): Outcome {
  validation.security = security;
  validation.reason = reason;
  return Outcome.Done;
}


@inline function bogus(reason: DnsError): Outcome {
  return say(Security.Bogus, reason);
}


@inline function isSecure(outcome: Outcome): bool {
  return outcome == Outcome.Done && validation.security == Security.Secure;
}

/** No anchor says anything of a name, or the command line says that nothing is to be checked there. */
function unanchored(at: usize, length: u32): Outcome {
  return say(isUnsigned(at, length) ? Security.Insecure : Security.Indeterminate, 0);
}

function ask(at: usize, length: u32, type: u32): Outcome {
  // An answer that needs itself will never be had.
  if (type == questionType && dnsSame(at, length, question, questionLength)) {
    return bogus(DnsError.KeyMissing);
  }
  memory.copy(needName, at, length);
  validation.needLength = length;
  validation.needType = type;
  return Outcome.Need;
}

/** What the cache knows of a name and a type, a failure included. */
function cached(at: usize, length: u32, type: u32): CacheEntry | null {
  const entry = cacheFind(nameHash(at, length, type), at, length, type);
  return entry !== null ? entry : cacheFind(nameHash(at, length, 0), at, length, 0);
}

/** What could not be had, or was bogus itself. */
function failedBy(entry: CacheEntry): Outcome {
  validation.error = load<u32>(entry.data);
  if (validation.error == Errno.EBADMSG) return bogus(entry.note);
  validation.reason = DnsError.KeyMissing;
  return Outcome.Failed;
}

// ---- The answer ------------------------------------------------------------------------------

/**
 * Validates an answer of `length` bytes to a question about a name in lower case. `kind` is what `answerTake` made of
 * it, `AnswerKind.Hole` if its chain leads elsewhere.
 */
export function validate(
  at: usize,
  length: u32,
  questionName: usize,
  nameLength: u32,
  type: u32,
  kind: AnswerKind,
  soFar: Work,
): Outcome {
  const header = changetype<DnsHeader>(at);
  work = soFar;
  memory.copy(question, questionName, nameLength);
  questionLength = nameLength;
  questionType = type;
  validation.ttl = u32.MAX_VALUE;
  validation.delegation = false;
  validation.reason = 0;
  if (anchorAbove(questionName, nameLength) < 0) return unanchored(questionName, nameLength);
  if (!clockIsSet()) return bogus(DnsError.SignatureNotYetValid);
  message.at = at;
  message.length = length;
  message.answersAt = dnsBehindQuestion(nameLength);
  message.answers = header.answers;
  message.authorities = header.authorities;
  message.authoritiesAt = message.answersAt;
  for (let i: u32 = 0; i < header.answers; i++) {
    message.authoritiesAt = dnsRecord(at, length, message.authoritiesAt, record);
    if (!message.authoritiesAt) return bogus(DnsError.Bogus);
  }
  return chain(kind);
}

/** Goes along the answer's chain, as `answerTake` does. */
function chain(kind: AnswerKind): Outcome {
  let length = questionLength;
  memory.copy(name, question, length);
  let worst: u32 = Security.Secure;
  // `answerTake` has seen that the chain ends.
  while (true) {
    const alias = questionType != DnsType.CNAME && isPresent(name, length, DnsType.CNAME);
    const here = !alias && kind == AnswerKind.Records;
    if (!alias && !here) break;
    const outcome = alias ? link(length) : setSecurity(name, length, questionType, false);
    if (outcome != Outcome.Done || validation.security == Security.Bogus) return outcome;
    worst = min<u32>(worst, validation.security);
    if (here || isKeyType(questionType)) return say(worst, validation.reason);
    length = targetLength;
    memory.copy(name, target, length);
  }
  if (kind == AnswerKind.Hole) return say(worst, validation.reason);
  const outcome = absence(length, kind == AnswerKind.NoName);
  if (outcome != Outcome.Done) return outcome;
  return say(min<u32>(worst, validation.security), validation.reason);
}

/** Types that the chain of keys is made of: for them a CNAME is no way on. */
@inline export function isKeyType(type: u32): bool {
  return type == DnsType.DS || type == DnsType.DNSKEY;
}

let targetLength: u32 = 0;

/** Reads the first record of an owner and type in the answer section into `record`; whether there is one. */
function isPresent(at: usize, length: u32, type: u32): bool {
  let offset = message.answersAt;
  for (let i: u32 = 0; i < message.answers; i++) {
    offset = dnsRecord(message.at, message.length, offset, record);
    if (record.type != type || record.class != DNS_IN) continue;
    if (dnsSame(record.owner, record.ownerLength, at, length)) return true;
  }
  return false;
}

/** The CNAME of `name`, which `record` is, into `target`: signed itself, or made of a DNAME above (RFC 6672, 5.3.1). */
function link(length: u32): Outcome {
  dnsName(message.at, message.length, record.dataAt, owner);
  targetLength = dnsNameLength();
  dnsLower(target, owner, targetLength);
  for (let keep = labelCount(name); keep-- > 0;) {
    const at = cutTo(name, keep);
    if (!isPresent(name + at, length - at, DnsType.DNAME)) continue;
    const outcome = setSecurity(name + at, length - at, DnsType.DNAME, false);
    if (!isSecure(outcome)) return outcome;
    // The name's own labels before the DNAME's target (2.2).
    const size = setDataLength(0);
    if (setCount() != 1 || at + size != targetLength || targetLength > DNS_NAME_MAX) {
      return bogus(DnsError.Bogus);
    }
    const made =
      memory.compare(target, name, at) == 0 && memory.compare(target + at, setData(0), size) == 0;
    return made ? outcome : bogus(DnsError.Bogus);
  }
  return setSecurity(name, length, DnsType.CNAME, false);
}

// ---- Absence ---------------------------------------------------------------------------------

/** Whether `name` is shown to have nothing of what is asked for, or not to exist. */
function absence(length: u32, noName: bool): Outcome {
  const outcome = gatherDenials(name, length);
  if (outcome != Outcome.Done || validation.security == Security.Bogus) return outcome;
  if (!denialCount()) {
    if (validation.security == Security.Insecure) return Outcome.Done;
    const keys = questionType == DnsType.DNSKEY;
    return unsigned(name, length, keys ? DnsError.KeyMissing : DnsError.NsecMissing);
  }
  if (denialTooCostly()) return say(Security.Insecure, DnsError.Nsec3Iterations);
  const proof = noName ? provesNoName(name, length) : provesNoData(name, length, questionType);
  return proven(proof);
}

function proven(proof: Proof): Outcome {
  if (proof == Proof.None) return bogus(DnsError.NsecMissing);
  validation.delegation = denialDelegation();
  return say(proof == Proof.Proven ? Security.Secure : Security.Insecure, 0);
}

/** Puts the authority section's NSEC and NSEC3 records in, once each is verified: those of zones that a name is in. Without a signature they prove nothing. */
function gatherDenials(about: usize, aboutLength: u32): Outcome {
  denialBegin(changetype<usize>(work) + offsetof<Work>("hashes"));
  validation.security = Security.Secure;
  let offset = message.authoritiesAt;
  for (let i: u32 = 0; i < message.authorities; i++) {
    const next = dnsRecord(message.at, message.length, offset, record);
    if (!next) return bogus(DnsError.Bogus);
    offset = next;
    const type = record.type;
    if ((type != DnsType.NSEC && type != DnsType.NSEC3) || record.class != DNS_IN) continue;
    const length = record.ownerLength;
    const dataAt = record.dataAt;
    const dataLength = record.dataLength;
    dnsLower(owner, record.owner, length);
    if (!setGather(owner, length, type, true)) return bogus(DnsError.Bogus);
    if (!setSignatures()) continue;
    const outcome = setSecurity(owner, length, type, true);
    if (!isSecure(outcome)) return outcome;
    if (!dnsWithin(about, aboutLength, signature.signer, signature.signerLength)) continue;
    // A wildcard's expansion is no proof: the owner is what was signed.
    const signer = labelCount(signature.signer);
    if (signature.labels != labelCount(owner) - <u32>(load<u16>(owner) == 0x2a01)) {
      return bogus(DnsError.Bogus);
    }
    const data = message.at + dataAt;
    if (type == DnsType.NSEC) denialNsec(owner, length, data, dataLength, signer);
    else denialNsec3(owner, data, dataLength, signer);
  }
  return Outcome.Done;
}

// ---- RRsets ----------------------------------------------------------------------------------

/** How far an RRset of the answer is to be believed. It is the one at hand then, and so is its signature. */
function setSecurity(at: usize, length: u32, type: u32, authority: bool): Outcome {
  if (!setGather(at, length, type, authority) || !setCount()) return bogus(DnsError.Bogus);
  if (type == DnsType.DNSKEY && !authority) return ownKeys(at, length);
  if (!setSignatures()) return unsigned(at, length, DnsError.SignaturesMissing);
  let why = DnsError.Bogus;
  const settled = isSettled();
  for (let i: u32 = 0; i < setSignatures(); i++) {
    if (settled && !work.isVerified(signatureRecord(i))) continue;
    if (!signatureRead(signatureAt(i), signatureLength(i))) continue;
    const signer = signature.signer;
    const signerLength = signature.signerLength;
    if (!maySign(at, length, signer, signerLength)) continue;
    const outcome = zoneKeys(signer, signerLength);
    if (!isSecure(outcome)) return outcome;
    const keys = cached(signer, signerLength, DnsType.DNSKEY)!;
    const wrong = timeTrouble();
    if (wrong) {
      why = wrong;
      continue;
    }
    const verified = verify(keys.data, keys.dataLength, signatureRecord(i));
    if (verified == Outcome.Again) return verified;
    if (verified != Outcome.Done) {
      if (why == DnsError.Bogus && !algorithmKnown(signature.algorithm)) {
        why = DnsError.UnsupportedAlgorithm;
      }
      continue;
    }
    limitTtl();
    // Of an asterisk itself, that is a label that was not counted (RFC 4034, 3.1.3).
    const labels = labelCount(at) - <u32>(load<u16>(at) == 0x2a01);
    if (signature.labels < labels && !authority) return expanded(at, length);
    return say(Security.Secure, 0);
  }
  return bogus(why);
}

/** Whether a signature over the set at hand has been verified: others need not be tried again. */
function isSettled(): bool {
  for (let i: u32 = 0; i < setSignatures(); i++) {
    if (work.isVerified(signatureRecord(i))) return true;
  }
  return false;
}

/** Whether a zone can have signed what an owner has: it is the owner's, or above; of DS records above (RFC 4035, 5.2). */
function maySign(at: usize, length: u32, signer: usize, signerLength: u32): bool {
  if (!dnsWithin(at, length, signer, signerLength)) return false;
  const labels = labelCount(at) - <u32>(load<u16>(at) == 0x2a01);
  if (signature.labels > labels || signature.labels < labelCount(signer)) return false;
  // So keys never depend on themselves.
  return questionType != DnsType.DS || questionLength == 1 || signerLength < questionLength;
}

/** Why the signature at hand is not one of now (3.1.5: times turn around); 0 if it is. */
function timeTrouble(): DnsError {
  const time = <u32>(wallTime() / SECOND);
  if (<i32>(time - signature.begins) < 0) return DnsError.SignatureNotYetValid;
  if (<i32>(signature.expires - time) < 0) return DnsError.SignatureExpired;
  return DnsError.Other;
}

/** RFC 4035, 5.3.3. */
function limitTtl(): void {
  const time = <u32>(wallTime() / SECOND);
  const ttl = min<u32>(setTtl(), signature.originalTtl);
  validation.ttl = min<u32>(validation.ttl, min<u32>(ttl, signature.expires - time));
}

/** Whether one of the keys made the signature at hand, whose record is at `offset`: `Again` if that had to be verified, `Failed` if not. */
function verify(keys: usize, length: u32, offset: u32): Outcome {
  if (work.isVerified(offset)) return Outcome.Done;
  if (!algorithmKnown(signature.algorithm)) return Outcome.Failed;
  for (let at = keys; at < keys + length; at += recordBytes(at)) {
    if (load<u16>(at) != DnsType.DNSKEY) continue;
    if (tryKey(at + Layout.Record, load<u16>(at, 2), offset)) return Outcome.Again;
  }
  return Outcome.Failed;
}

function tryKey(key: usize, length: u32, offset: u32): bool {
  if (!keySigns(key, length) || keyAlgorithm(key) != signature.algorithm) return false;
  if (keyTag(key, length) != signature.tag) return false;
  if (work.wrong >= WRONG_MOST || work.count >= VERIFIED_MOST) return false;
  dnsStats.signatures++;
  if (signatureVerify(key, length)) {
    work.verified(offset);
    return true;
  }
  work.wrong++;
  return false;
}


@inline function recordBytes(at: usize): u32 {
  return Layout.Record + ((<u32>load<u16>(at, 2) + 7) & ~7);
}

/** The set at hand stands for a wildcard: no closer name may exist (RFC 4035, 5.3.4; RFC 5155, 8.8). */
function expanded(at: usize, length: u32): Outcome {
  const labels = signature.labels;
  memory.copy(expandedName, at, length);
  const outcome = gatherDenials(expandedName, length);
  if (!isSecure(outcome)) return outcome;
  if (!denialCount()) return bogus(DnsError.NsecMissing);
  if (denialTooCostly()) return say(Security.Insecure, DnsError.Nsec3Iterations);
  return proven(provesExpansion(expandedName, length, labels));
}

const expandedName: usize = memory.data(256, 8);

// ---- Keys ------------------------------------------------------------------------------------

/** How far the keys of a zone are to be believed. `Secure`: they are in the cache. */
function zoneKeys(zone: usize, length: u32): Outcome {
  if (anchorAbove(zone, length) < 0) return unanchored(zone, length);
  const entry = cached(zone, length, DnsType.DNSKEY);
  if (entry === null) return ask(zone, length, DnsType.DNSKEY);
  if (entry.kind == AnswerKind.Failure) return failedBy(entry);
  if (entry.security != Security.Secure) return say(entry.security, entry.note);
  // Signed by what is no zone.
  return entry.kind == AnswerKind.Records ? say(Security.Secure, 0) : bogus(DnsError.KeyMissing);
}

/** Whether one of a zone's DNSKEYs, the set at hand, is what its DS records or an anchor tell of, and has signed them all (RFC 4035, 5.2). */
function ownKeys(zone: usize, length: u32): Outcome {
  const anchored =
    anchorAbove(zone, length) == <i32>labelCount(zone) && anchorDs(zone, length, 0) != 0;
  let entry: CacheEntry | null = null;
  if (!anchored) {
    entry = cached(zone, length, DnsType.DS);
    if (entry === null) return ask(zone, length, DnsType.DS);
    if (entry.kind == AnswerKind.Failure) return failedBy(entry);
    if (entry.security != Security.Secure) return say(entry.security, entry.note);
    if (entry.kind != AnswerKind.Records) {
      if (entry.note) return say(Security.Insecure, 0);
      return bogus(DnsError.Bogus);
    }
  }
  let usable = false;
  let strong = false;
  misses = 0;
  let foreign = DnsError.UnsupportedAlgorithm;
  // SHA-1 counts only where there is nothing better (RFC 4509, 3).
  for (let pass = 0; pass < 2; pass++) {
    let index: u32 = 0;
    let at = entry !== null ? entry.data : 0;
    while (true) {
      let ds: usize = 0;
      let size: u32 = 0;
      if (entry === null) {
        ds = anchorDs(zone, length, index++);
        if (!ds) break;
        size = anchorDsLength();
      } else {
        if (at >= entry.data + entry.dataLength) break;
        ds = at + Layout.Record;
        size = load<u16>(at, 2);
        const type = <u32>load<u16>(at);
        at += recordBytes(at);
        if (type != DnsType.DS) continue;
      }
      if (!dsUsable(ds, size)) {
        if (size > 4 && !digestKnown(dsDigest(ds))) foreign = DnsError.UnsupportedDigest;
        continue;
      }
      usable = true;
      if (dsDigest(ds) != 1) strong = true;
      if (!pass || (strong && dsDigest(ds) == 1)) continue;
      const outcome = keysSignedBy(zone, length, ds, size);
      if (outcome != Outcome.Failed) return outcome;
      if (misses == MISSES_MOST) return bogus(keyTrouble);
    }
  }
  if (!usable) return say(Security.Insecure, foreign);
  return bogus(keyTrouble);
}

let keyTrouble: DnsError = DnsError.KeyMissing;
let misses: u32 = 0;

/** Whether the set at hand, DNSKEYs, holds the key of a DS record, and that has signed it. */
function keysSignedBy(zone: usize, length: u32, ds: usize, size: u32): Outcome {
  keyTrouble = DnsError.KeyMissing;
  for (let i: u32 = 0; i < setCount(); i++) {
    const key = setData(i);
    const keyLength = setDataLength(i);
    if (keyLength <= 4 || keyAlgorithm(key) != dsAlgorithm(ds)) continue;
    if (dsTag(ds) != keyTag(key, keyLength)) continue;
    if (!dsIsOf(ds, size, zone, length, key, keyLength)) {
      if (++misses == MISSES_MOST) break;
      continue;
    }
    if (!keySigns(key, keyLength)) {
      keyTrouble = DnsError.NoZoneKey;
      continue;
    }
    keyTrouble = setSignatures() ? DnsError.Bogus : DnsError.SignaturesMissing;
    for (let j: u32 = 0; j < setSignatures(); j++) {
      if (!signatureRead(signatureAt(j), signatureLength(j))) continue;
      if (!dnsSame(signature.signer, signature.signerLength, zone, length)) continue;
      if (signature.labels != labelCount(zone)) continue;
      const wrong = timeTrouble();
      if (wrong) {
        keyTrouble = wrong;
        continue;
      }
      const offset = signatureRecord(j);
      if (!work.isVerified(offset)) {
        if (!isSettled() && tryKey(key, keyLength, offset)) return Outcome.Again;
        continue;
      }
      limitTtl();
      return say(Security.Secure, 0);
    }
  }
  return Outcome.Failed;
}

/**
 * What a name is without signatures: insecure if on the way down from the trust anchor a zone is delegated without DS records
 * that could be used, else there is something missing (RFC 4035, 5.2; RFC 6840, 5.2).
 */
function unsigned(at: usize, length: u32, missing: DnsError): Outcome {
  memory.copy(bare, at, length);
  const anchor = anchorAbove(bare, length);
  if (anchor < 0) return unanchored(bare, length);
  let labels = labelCount(bare);
  // The DS records of a zone are its parent's.
  if (questionType == DnsType.DS && dnsSame(bare, length, question, questionLength)) labels--;
  for (let keep = <u32>anchor + 1; <i32>keep <= <i32>labels; keep++) {
    const start = cutTo(bare, keep);
    const entry = cached(bare + start, length - start, DnsType.DS);
    if (entry === null) return ask(bare + start, length - start, DnsType.DS);
    if (entry.kind == AnswerKind.Failure) {
      const outcome = failedBy(entry);
      return outcome == Outcome.Done ? bogus(missing) : outcome;
    }
    if (entry.security != Security.Secure) return say(entry.security, entry.note);
    if (entry.kind == AnswerKind.Records) {
      if (!usableDs(entry)) return say(Security.Insecure, DnsError.UnsupportedAlgorithm);
    } else if (entry.kind == AnswerKind.NoData && entry.note) {
      return say(Security.Insecure, 0);
    }
  }
  return bogus(missing);
}

const bare: usize = memory.data(256, 8);

function usableDs(entry: CacheEntry): bool {
  for (let at = entry.data; at < entry.data + entry.dataLength; at += recordBytes(at)) {
    if (load<u16>(at) == DnsType.DS && dsUsable(at + Layout.Record, load<u16>(at, 2))) return true;
  }
  return false;
}
