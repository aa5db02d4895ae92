import { now } from "../../kernel/clock";
import { SECOND } from "../../kernel/timer";
import { Layout } from "../../sdk/assembly/syscalls";
import { answer, answerFrom } from "../dns/answer";
import { AnswerKind, CacheEntry, cacheStore, nameHash } from "../dns/cache";
import { known, questionsHear } from "../dns/question";
import { Interface, interfaceAt, interfaceCount } from "../interface";
import { isV6LinkLocal } from "../wire/address";
import {
  DNS_IN,
  DNS_RECORD_BYTES,
  DnsRecord,
  DnsType,
  dnsLower,
  dnsName,
  dnsRecord,
  dnsSame,
  dnsWithin,
} from "../wire/dns";
import { MDNS_FLUSH, MDNS_NSEC, MDNS_UNICAST, mdnsBegin, mdnsQuestion } from "../wire/mdns";
import { mdnsMulticast, mdnsOpen } from "./port";

/**
 * Names of the link (RFC 6762): `.local`, and link-local addresses' (3, 4). They are questions like all others
 * (net/dns/question.ts), but that all on the link are asked at once.
 *
 * Of the two kinds of querier that the RFC knows (5.1, 5.2) this is the second, which sends from port 5353: only what
 * is sent to all says whether it replaces what was known (10.2) or takes it back (10.1), and simple resolvers' answers
 * are good for 10 s at most. It asks no further when it has an answer: its programs wait for an address, and look for
 * no services.
 */

/** "local", "254.169.in-addr.arpa", and "8.e.f.ip6.arpa", whose first label goes from 8 to b. */
const LOCAL: usize = memory.data<u8>([5, 0x6c, 0x6f, 0x63, 0x61, 0x6c, 0]);
const REVERSE4: usize = memory.data<u8>([
  3, 0x32, 0x35, 0x34, 3, 0x31, 0x36, 0x39, 7, 0x69, 0x6e, 0x2d, 0x61, 0x64, 0x64, 0x72, 4, 0x61,
  0x72, 0x70, 0x61, 0,
]);
const REVERSE6: usize = memory.data<u8>([
  1, 0x38, 1, 0x65, 1, 0x66, 3, 0x69, 0x70, 0x36, 4, 0x61, 0x72, 0x70, 0x61, 0,
]);

/** Longest that an answer is believed: what the RFC gives records of no host (10). */
const TTL_MOST: u32 = 75 * 60;
/** How long what was taken back is still good for (10.1). */
const GOODBYE: u64 = SECOND;
/** Entries of the cache that one message renews at most. */
const RENEWED_MOST: u32 = 8;
/** Where an address that calls take has its zone. */
const ZONE: usize = 20;

const record = changetype<DnsRecord>(memory.data(DNS_RECORD_BYTES, 8));
const lowered: usize = memory.data(256, 8);
const spare: usize = memory.data(256, 8);

/** Whether a name is one that the link is asked about. */
export function isLocalName(name: usize, length: u32): bool {
  if (dnsWithin(name, length, LOCAL, 7) || dnsWithin(name, length, REVERSE4, 22)) return true;
  for (let digit: u32 = 0; digit < 4; digit++) {
    store<u8>(REVERSE6, digit < 2 ? 0x38 + digit : 0x5f + digit, 1);
    if (dnsWithin(name, length, REVERSE6, 16)) return true;
  }
  return false;
}

/** Whether it is `local` or below it, which is no name of the DNS (RFC 6762, 22.1). */
@inline export function isBelowLocal(name: usize, length: u32): bool {
  return dnsWithin(name, length, LOCAL, 7);
}

/** Asks on all links; `alone` says that an answer to us alone will do, as at first (5.4). */
export function mdnsAsk(name: usize, nameLength: u32, type: u32, alone: bool): void {
  if (!mdnsOpen()) return;
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    mdnsBegin(0, 0);
    mdnsQuestion(name, nameLength, type, DNS_IN | (alone ? MDNS_UNICAST : 0));
    mdnsMulticast(interfaceAt(i));
  }
}

/** A response: for whoever waits, and for what is known already. */
export function querierHeard(
  message: usize,
  length: u32,
  records: u32,
  count: u32,
  iface: Interface,
): void {
  // From here on classes are those of DNS; whether a record replaces others is in `flushes`, by its place.
  let flushes: u64 = 0;
  let offset = records;
  for (let i: u32 = 0; i < count; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) return;
    if (!(record.class & MDNS_FLUSH)) continue;
    const class_ = message + record.dataAt - 8;
    store<u8>(class_, load<u8>(class_) & 0x7f);
    if (i < 64) flushes |= (<u64>1) << i;
  }
  questionsHear(message, length, records, count, iface.zone);
  renew(message, length, records, min<u32>(count, 64), flushes, iface.zone);
}

/** What the cache knows and a message says anew is replaced, or soon forgotten. */
function renew(
  message: usize,
  length: u32,
  records: u32,
  count: u32,
  flushes: u64,
  zone: u32,
): void {
  let renewed: u32 = 0;
  let offset = records;
  for (let i: u32 = 0; i < count && renewed < RENEWED_MOST; i++) {
    offset = dnsRecord(message, length, offset, record);
    const type = record.type;
    const size = record.ownerLength;
    if (type == MDNS_NSEC || !isLocalName(record.owner, size)) continue;
    dnsLower(lowered, record.owner, size);
    const entry = known(lowered, size, type);
    if (entry === null) continue;
    if (!record.ttl) {
      if (entry.kind == AnswerKind.Records && says(entry, message)) {
        entry.expiresAt = min<u64>(entry.expiresAt, now() + GOODBYE);
        renewed++;
      }
    } else if (
      (flushes >> i) & 1 &&
      answers(message, length, records, count, lowered, size, type, zone)
    ) {
      keep(lowered, size, type);
      renewed++;
    }
  }
}

/** Whether an entry has the address in `record`; of other types it is taken to. */
function says(entry: CacheEntry, message: usize): bool {
  const type = record.type;
  if (type != DnsType.A && type != DnsType.AAAA) return true;
  const bytes: u32 = type == DnsType.A ? 4 : 16;
  if (record.dataLength != bytes) return false;
  const wire = message + record.dataAt;
  const end = entry.data + entry.dataLength;
  for (let at = entry.data; at < end; at += Layout.Record + ((load<u16>(at, 2) + 7) & ~7)) {
    if (load<u16>(at) != type) continue;
    const hi = load<u64>(at + Layout.Record);
    const lo = load<u64>(at + Layout.Record, 8);
    const same =
      type == DnsType.A
        ? <u32>lo == bswap(load<u32>(wire))
        : hi == bswap(load<u64>(wire)) && lo == bswap(load<u64>(wire, 8));
    if (same) return true;
  }
  return false;
}

/** Stores what `answer` has of a name. */
function keep(name: usize, length: u32, type: u32): void {
  const hash = nameHash(name, length, type);
  const until = now() + <u64>answer.ttl * SECOND;
  cacheStore(hash, name, length, type, AnswerKind.Records, until, answer.data, answer.dataLength);
}

/**
 * Whether a response, its classes without their bits, answers a question; then `answer` has what it says: records, or
 * that there are none of this type (6.1).
 */
export function answers(
  message: usize,
  length: u32,
  records: u32,
  count: u32,
  name: usize,
  nameLength: u32,
  type: u32,
  zone: u32,
): bool {
  if (answerFrom(message, length, records, count, name, nameLength, type)) {
    if (!answer.ttl) return false;
    answer.ttl = min<u32>(answer.ttl, TTL_MOST);
    answer.kind = AnswerKind.Records;
    setZones(zone);
    return true;
  }
  return isDenied(message, length, records, count, name, nameLength, type);
}

/** An address of the link means something only together with it. */
function setZones(zone: u32): void {
  const end = answer.data + answer.dataLength;
  for (let at = answer.data; at < end; at += Layout.Record + ((load<u16>(at, 2) + 7) & ~7)) {
    const address = at + Layout.Record;
    if (load<u16>(at) == DnsType.AAAA && isV6LinkLocal(load<u64>(address))) {
      store<u32>(address, zone, ZONE);
    }
  }
}

/** Whether an NSEC record says that a name has none of a type: in its restricted form, which is all that there is. */
function isDenied(
  message: usize,
  length: u32,
  offset: u32,
  count: u32,
  name: usize,
  nameLength: u32,
  type: u32,
): bool {
  for (let i: u32 = 0; i < count; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) return false;
    if (record.type != MDNS_NSEC || record.class != DNS_IN || !record.ttl) continue;
    if (!dnsSame(record.owner, record.ownerLength, name, nameLength)) continue;
    const end = record.dataAt + record.dataLength;
    const map = dnsName(message, length, record.dataAt, spare);
    if (!map || map + 2 > end || load<u8>(message + map)) continue;
    const bytes = <u32>load<u8>(message + map, 1);
    if (!bytes || bytes > 32 || map + 2 + bytes != end) continue;
    const at = type >> 3;
    const has = at < bytes && (load<u8>(message + map + 2 + at) & (0x80 >> (type & 7))) != 0;
    if (has || type > 255) continue;
    answer.kind = AnswerKind.NoData;
    answer.dataLength = 0;
    answer.ttl = min<u32>(record.ttl, TTL_MOST);
    return true;
  }
  return false;
}
