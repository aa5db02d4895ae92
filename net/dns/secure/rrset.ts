import { reserveUncleared } from "../../../kernel/memory";
import { Digest } from "../../../kernel/crypto/digest";
import {
  DNS_IN,
  DNS_RECORD_BYTES,
  DnsRecord,
  DnsType,
  dnsLower,
  dnsName,
  dnsNameLength,
  dnsRecord,
  dnsSame,
} from "../../wire/dns";
import { bytesOrder, cutTo, labelCount } from "./names";

/**
 * RRsets of a message in canonical form (RFC 4034, 6): names in lower case and in full, the records in the order of their
 * data, each once. One at a time is at hand.
 */

/** A message and its sections. */
@unmanaged
export class Message {
  at: usize;
  length: u32;
  /** Offsets at which sections begin, and the records in them. */
  answersAt: u32;
  answers: u32;
  authoritiesAt: u32;
  authorities: u32;
}

export const message = changetype<Message>(memory.data(offsetof<Message>(), 8));

/** Records of a set, signatures over one, and bytes of data in canonical form, that are looked at. */
export const RECORDS_MOST: u32 = 256;
export const SIGNATURES_MOST: u32 = 8;
const ARENA: u32 = 24576;
/** Room for the largest piece of data beyond that. */
const ARENA_SPARE: u32 = 1024;

const record = changetype<DnsRecord>(memory.data(DNS_RECORD_BYTES, 8));
const name: usize = memory.data(256, 8);
let arena: usize = 0;
let arenaUsed: u32 = 0;

/** Of the set at hand. */
const owner: usize = memory.data(256, 8);
let ownerLength: u32 = 0;
let setType: u32 = 0;
/** Where the data of each record begins in the arena, in order, and how long it is: two u16. */
const places: usize = memory.data(256 * 4, 4);
let count: u32 = 0;
let ttl: u32 = 0;
/** Offsets in the message of the data of the signatures over it, their lengths and where their records begin: three u16. */
const signatures: usize = memory.data(8 * 6, 2);
let signatureCount: u32 = 0;

/** Reserves what sets need. Start-up only. */
export function rrsetInit(): void {
  arena = reserveUncleared(ARENA + ARENA_SPARE, 8);
}

/** Records in the set at hand, and signatures over it. */
@inline export function setCount(): u32 {
  return count;
}


@inline export function setSignatures(): u32 {
  return signatureCount;
}

/** The lowest TTL of its records, seconds. */
@inline export function setTtl(): u32 {
  return ttl;
}


@inline export function setOwner(): usize {
  return owner;
}


@inline export function setOwnerLength(): u32 {
  return ownerLength;
}

/** Data of record `index` in canonical form, and its bytes. */
@inline export function setData(index: u32): usize {
  return arena + load<u16>(places + (index << 2));
}


@inline export function setDataLength(index: u32): u32 {
  return load<u16>(places + (index << 2), 2);
}

/** Offset in the message of the data of a signature, its bytes, and the offset of its record. */
@inline export function signatureAt(index: u32): u32 {
  return load<u16>(signatures + index * 6);
}


@inline export function signatureLength(index: u32): u32 {
  return load<u16>(signatures + index * 6, 2);
}


@inline export function signatureRecord(index: u32): u32 {
  return load<u16>(signatures + index * 6, 4);
}

/**
 * Makes the RRset of an owner, a name in lower case, and a type the one at hand, from the answer or the
 * authority section: false if one of its records is malformed, or there are too many of them. Cost: the section's records, and
 * the set's squared where they come in the wrong order.
 */
export function setGather(ownerName: usize, length: u32, type: u32, authority: bool): bool {
  memory.copy(owner, ownerName, length);
  ownerLength = length;
  setType = type;
  count = 0;
  signatureCount = 0;
  arenaUsed = 0;
  ttl = u32.MAX_VALUE;
  let offset = authority ? message.authoritiesAt : message.answersAt;
  const records = authority ? message.authorities : message.answers;
  for (let i: u32 = 0; i < records; i++) {
    const begin = offset;
    offset = dnsRecord(message.at, message.length, offset, record);
    if (!offset) return false;
    if (record.class != DNS_IN || !dnsSame(record.owner, record.ownerLength, owner, ownerLength)) {
      continue;
    }
    if (record.type == type) {
      if (count == RECORDS_MOST || arenaUsed > ARENA || !canonical()) return false;
      ttl = min<u32>(ttl, record.ttl);
    } else if (record.type == DnsType.RRSIG && record.dataLength > 18) {
      const covered = bswap<u32>(load<u16>(message.at + record.dataAt)) >>> 16;
      if (covered != type || signatureCount == SIGNATURES_MOST) continue;
      const place = signatures + signatureCount++ * 6;
      store<u16>(place, <u16>record.dataAt);
      store<u16>(place, <u16>record.dataLength, 2);
      store<u16>(place, <u16>begin, 4);
    }
  }
  return true;
}

/** Bytes before names, names, of types whose data has some (RFC 4034, 6.2, without NSEC as RFC 6840, 5.1, has it). */
function shapeOf(type: u32): u32 {
  switch (type) {
    case DnsType.NS:
    case DnsType.CNAME:
    case DnsType.PTR:
    case DnsType.DNAME:
    case 3: // MD
    case 4: // MF
    case 7: // MB
    case 8: // MG
    case 9: // MR
      return 1;
    case DnsType.SOA:
    case 14: // MINFO
    case 17: // RP
      return 2;
    case DnsType.MX:
    case 18: // AFSDB
    case 21: // RT
    case 36: // KX
      return 0x201;
    case 26: // PX
      return 0x202;
    case DnsType.SRV:
      return 0x601;
    default:
      return 0;
  }
}

/** NAPTR (RFC 3403, 4.1): two numbers and three strings, then a name. */
const NAPTR: u32 = 35;

/** Puts the data of `record` into the arena, and in its place among the others. */
function canonical(): bool {
  const from = message.at + record.dataAt;
  const size = record.dataLength;
  const shape = shapeOf(record.type);
  let prefix = shape >> 8;
  let names = shape & 255;
  if (record.type == NAPTR) {
    prefix = 4;
    for (let i = 0; i < 3 && prefix < size; i++) prefix += 1 + <u32>load<u8>(from + prefix);
    names = 1;
  }
  if (prefix > size) return false;
  const to = arena + arenaUsed;
  let written: u32 = 0;
  let offset = record.dataAt;
  if (names) {
    memory.copy(to, from, prefix);
    written = prefix;
    offset += prefix;
    for (; names; names--) {
      offset = dnsName(message.at, message.length, offset, name);
      if (!offset || offset > record.dataAt + size) return false;
      dnsLower(to + written, name, dnsNameLength());
      written += dnsNameLength();
    }
  }
  const rest = record.dataAt + size - offset;
  if (arenaUsed + written + rest > ARENA + ARENA_SPARE) return false;
  memory.copy(to + written, message.at + offset, rest);
  written += rest;
  let place = count;
  for (; place; place--) {
    const order = bytesOrder(setData(place - 1), setDataLength(place - 1), to, written);
    // The same twice is there once (6.3).
    if (order == 0) return true;
    if (order < 0) break;
  }
  const at = places + (place << 2);
  memory.copy(at + 4, at, (count - place) << 2);
  store<u16>(at, <u16>arenaUsed);
  store<u16>(at, <u16>written, 2);
  arenaUsed += written;
  count++;
  return true;
}

const head: usize = memory.data(256 + 2 + 10);

/**
 * Feeds a digest with the set at hand as a signer has it (RFC 4034, 3.1.8.1), behind the signature's own
 * fields: with `labels` of its owner's labels, behind an asterisk where it has more (RFC 4035, 5.3.2), and
 * the TTL of the signature.
 */
export function setDigest(into: Digest, labels: u32, originalTtl: u32): void {
  let length: u32 = 0;
  const cut = labels < labelCount(owner) ? cutTo(owner, labels) : 0;
  if (cut) {
    store<u16>(head, 0x2a01);
    length = 2;
  }
  memory.copy(head + length, owner + cut, ownerLength - cut);
  length += ownerLength - cut;
  const at = head + length;
  store<u16>(at, <u16>(bswap<u32>(setType) >>> 16));
  store<u16>(at, 0x0100, 2);
  store<u32>(at, bswap(originalTtl), 4);
  for (let i: u32 = 0; i < count; i++) {
    const size = setDataLength(i);
    store<u16>(at, <u16>(bswap<u32>(size) >>> 16), 8);
    into.add(head, length + 10);
    into.add(setData(i), size);
  }
}
