import { Layout } from "../../sdk/assembly/syscalls";
import { IpAddress, v6Load } from "../wire/address";
import {
  DNS_HEADER,
  DNS_IN,
  DNS_RECORD_BYTES,
  DNS_TEXT_MAX,
  DnsCode,
  DnsHeader,
  DnsRecord,
  DnsType,
  dnsBehindQuestion,
  dnsLower,
  dnsName,
  dnsNameLength,
  dnsRecord,
  dnsSame,
  dnsToText,
  dnsWithin,
} from "../wire/dns";
import { AnswerKind } from "./cache";

/**
 * What an answer says of its question. From it are taken the chain of CNAMEs that begins with the name asked
 * for, the records at that chain's end, and, for how long there are none, the SOA of a zone that the end is
 * in. Nothing else is looked at, so a server can tell of no name that it was not asked about.
 *
 * Records are handed on as `Layout.Record`s: see `putRecord`.
 */

export const enum Verdict {
  /** What it is is in `answer`. */
  Taken = 0,
  /** Malformed. */
  Malformed = 1,
  /** The server cannot or will not say; another may. */
  Refused = 2,
  /** It does not understand the query, maybe for its EDNS. */
  NotUnderstood = 3,
  /** The chain ends in `answer.target`, of which it says nothing. */
  Elsewhere = 4,
}

/** CNAMEs in a row that are followed. */
export const CHAIN_MAX: u32 = 16;
/** Bytes of records that are handed on for one question. */
export const DATA_MAX: i32 = 4096;
/** An hour: longest that nothing is believed (RFC 2308, 5: one to three). */
const NEGATIVE_MAX: u32 = 3600;
/** A week: longest that anything is (RFC 8767, 4). */
const TTL_MOST: u32 = 604_800;


@unmanaged
export class Answer {
  /** `AnswerKind`. */
  kind: u32;
  /** Seconds, 0 to use it once. */
  ttl: u32;
  dataLength: u32;
  /** A CNAME was followed. */
  chained: bool;
  targetLength: u32;

  /** `targetLength` bytes: the chain's end. */
  @inline get target(): usize {
    return end;
  }

  /** `dataLength` bytes of records, 8-byte aligned. */
  @inline get data(): usize {
    return data;
  }
}

/** Of the message that `answerTake` took last. */
export const answer = changetype<Answer>(memory.data(offsetof<Answer>(), 8));

const data: usize = memory.data(DATA_MAX, 8);
const end: usize = memory.data(256, 8);
const record = changetype<DnsRecord>(memory.data(DNS_RECORD_BYTES, 8));
const spare: usize = memory.data(256, 8);
/** With room for the numbers before a name. */
const text: usize = memory.data(6 + DNS_TEXT_MAX, 8);

/** The zone whose servers said it: of names outside it they know nothing. The root, of one that asks others. */
let zone: usize = 0;
let zoneLength: u32 = 0;
const everything: usize = memory.data(1);

/** Believes what `answerTake` takes from now on of names in a zone alone, which stays where it is; 0 for of all names. */
export function answerWithin(name: usize, length: u32): void {
  zone = name ? name : everything;
  zoneLength = name ? length : 1;
}

/** Where the authority section begins, once `follow` has read all answers. */
let authorityAt: u32 = 0;

/**
 * Takes the answer of `length` bytes to a question about `name`, which it is known to be about. Cost: its
 * records, for each CNAME of the chain.
 */
export function answerTake(message: usize, length: u32, nameLength: u32, type: u32): Verdict {
  const header = changetype<DnsHeader>(message);
  const code = header.code;
  answer.dataLength = 0;
  answer.chained = false;
  answer.ttl = TTL_MOST;
  if (code == DnsCode.FormatError || code == DnsCode.NotImplemented) return Verdict.NotUnderstood;
  if (code != DnsCode.NoError && code != DnsCode.NameError) return Verdict.Refused;
  // Its letters are as they were sent: in whichever case came up.
  dnsLower(end, message + DNS_HEADER, nameLength);
  answer.targetLength = nameLength;
  const records = dnsBehindQuestion(nameLength);
  if (!follow(message, length, records, header.answers, type)) return Verdict.Malformed;
  // Whoever answers for the chain's end has to be asked (RFC 2181, 5.4.1).
  if (!dnsWithin(end, answer.targetLength, zone, zoneLength)) return Verdict.Elsewhere;
  if (!collect(message, length, records, header.answers, type)) return Verdict.Malformed;
  if (answer.dataLength) {
    answer.kind = AnswerKind.Records;
    return Verdict.Taken;
  }
  // The code is about the chain's end (RFC 6604, 3).
  answer.kind = code == DnsCode.NameError ? AnswerKind.NoName : AnswerKind.NoData;
  const said = negative(message, length, header.authorities);
  if (said) return Verdict.Taken;
  if (code == DnsCode.NoError) {
    if (answer.chained) return Verdict.Elsewhere;
    // Neither an answer nor that there is none: a referral, or a server that knows nothing.
    if (!header.complete || header.authorities) return Verdict.Refused;
  }
  answer.ttl = 0;
  return Verdict.Taken;
}

/**
 * Takes from `count` records at `offset` those of one name, in lower case, and type, whoever says them; whether there
 * are any. Cost: the records.
 */
export function answerFrom(
  message: usize,
  length: u32,
  offset: u32,
  count: u32,
  name: usize,
  nameLength: u32,
  type: u32,
): bool {
  answer.dataLength = 0;
  answer.chained = false;
  answer.ttl = TTL_MOST;
  memory.copy(end, name, nameLength);
  answer.targetLength = nameLength;
  return collect(message, length, offset, count, type) && answer.dataLength != 0;
}

/** Goes along the CNAMEs from the name asked for; false if a record is malformed or there is no end. */
function follow(message: usize, length: u32, records: u32, count: u32, type: u32): bool {
  let links: u32 = 0;
  let offset = records;
  for (let i: u32 = 0; i < count; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) return false;
    if (!follows(type) || !isOf(DnsType.CNAME)) continue;
    if (!dnsWithin(end, answer.targetLength, zone, zoneLength)) continue;
    if (++links > CHAIN_MAX) return false;
    const behind = dnsName(message, length, record.dataAt, spare);
    if (behind != record.dataAt + record.dataLength) return false;
    memory.copy(end, spare, dnsNameLength());
    answer.targetLength = dnsNameLength();
    answer.chained = true;
    answer.ttl = min<u32>(answer.ttl, record.ttl);
    // Servers put them in order, but need not.
    offset = records;
    i = <u32>-1;
  }
  authorityAt = offset;
  return true;
}

/** Whether a question goes on where a CNAME leads: zones' keys are nobody's but theirs. */
@inline function follows(type: u32): bool {
  return type != DnsType.CNAME && type != DnsType.DS && type != DnsType.DNSKEY;
}

/** Whether `record` is one of this type that the chain's end owns. */
function isOf(type: u32): bool {
  if (record.type != type || record.class != DNS_IN) return false;
  return dnsSame(record.owner, record.ownerLength, end, answer.targetLength);
}

/** Puts the records at the chain's end into `data`; false if one is malformed. */
function collect(message: usize, length: u32, offset: u32, count: u32, type: u32): bool {
  for (let i: u32 = 0; i < count; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!isOf(type)) continue;
    // The name that all this is of comes first.
    if (!answer.dataLength) put(DnsType.CNAME, text, dnsToText(end, text));
    if (!putRecord(message, length)) return false;
    answer.ttl = min<u32>(answer.ttl, record.ttl);
  }
  return true;
}

/** Bytes of a record's data before the name that it ends in; none for other types than these. */
function prefixOf(type: u32): i32 {
  switch (type) {
    case DnsType.NS:
    case DnsType.CNAME:
    case DnsType.PTR:
      return 0;
    case DnsType.MX:
      return 2;
    case DnsType.SRV:
      return 6;
    default:
      return -1;
  }
}

const address = changetype<IpAddress>(memory.data(Layout.Address, 8));

/**
 * Adds a record: an address as calls take it, its port 0; MX, SRV, NS, PTR and CNAME with numbers as they
 * came and the name as text; others as they came. False if it is malformed.
 */
function putRecord(message: usize, length: u32): bool {
  const at = message + record.dataAt;
  const size = record.dataLength;
  const type = record.type;
  if (type == DnsType.A || type == DnsType.AAAA) {
    if (size != <u32>(type == DnsType.A ? 4 : 16)) return false;
    memory.fill(changetype<usize>(address), 0, Layout.Address);
    if (type == DnsType.A) {
      address.setV4(bswap(load<u32>(at)));
    } else {
      v6Load(address, at, 0);
      // The mapped form is this machine's own affair, and no host's address (RFC 4291, 2.5.5.2).
      if (address.isV4) return true;
    }
    put(type, changetype<usize>(address), Layout.Address);
    return true;
  }
  const prefix = prefixOf(type);
  if (prefix < 0) return put(type, at, size);
  const behind = dnsName(message, length, record.dataAt + prefix, spare);
  if (behind != record.dataAt + size) return false;
  memory.copy(text, at, prefix);
  return put(type, text, prefix + dnsToText(spare, text + prefix));
}

/** Adds a record, its TTL to be set when it is handed on; one that finds no room is left out, which only names of very many have. */
function put(type: u32, from: usize, size: u32): bool {
  const padded = (size + 7) & ~7;
  if (answer.dataLength + Layout.Record + padded > <u32>DATA_MAX) return true;
  const to = data + answer.dataLength;
  store<u64>(to + Layout.Record + padded - 8, 0);
  store<u16>(to, <u16>type);
  store<u16>(to, <u16>size, 2);
  store<u32>(to, 0, 4);
  memory.copy(to + Layout.Record, from, size);
  answer.dataLength += Layout.Record + padded;
  return true;
}

/** How long there is nothing (RFC 2308, 5): by the SOA of a zone that the chain's end is in, if there is one. */
function negative(message: usize, length: u32, count: u32): bool {
  let offset = authorityAt;
  for (let i: u32 = 0; i < count; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) break;
    if (record.type != DnsType.SOA || record.class != DNS_IN || record.dataLength < 22) continue;
    if (!dnsWithin(end, answer.targetLength, record.owner, record.ownerLength)) continue;
    const minimum = bswap(load<u32>(message + record.dataAt + record.dataLength - 4));
    const ttl = min<u32>(min<u32>(record.ttl, minimum), NEGATIVE_MAX);
    answer.ttl = min<u32>(answer.ttl, ttl);
    return true;
  }
  return false;
}
