import { Layout } from "../../sdk/assembly/syscalls";
import { now } from "../../kernel/clock";
import { config } from "../../kernel/config";
import { randomBelow } from "../../kernel/random";
import { SECOND } from "../../kernel/timer";
import { AddressState, LinkKind, interfaceAt, interfaceCount } from "../interface";
import { IpAddress, isV6LinkLocal, v6Load } from "../wire/address";
import {
  DNS_IN,
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
} from "../wire/dns";
import { AnswerKind, CacheEntry, cacheFind, cacheStore, nameHash } from "./cache";
import { cutTo, labelCount } from "./secure/names";
import { infraPlace, serverAtPlace } from "./servers";

/**
 * Who answers for which zone, for a resolver that begins at the root: referrals, kept in the cache under a type that
 * is nobody's, and the root servers. A referral is believed of the zone that it comes from and below, and
 * addresses beside it only of names in that zone (RFC 2181, 5.4.1); neither is ever an answer.
 */

/** Of the range for private use (RFC 6895, 3.1): no program may ask for it. */
export const DELEGATION: u32 = 0xff01;
/** How long a referral is kept, s. */
const TTL_LEAST: u32 = 30;
const TTL_MOST: u32 = 86_400;
/** Servers of a zone that are looked at (NXNSAttack: a referral may name hundreds), and bytes of what is kept. */
const SERVERS_MOST: u32 = 13;
const KEPT: u32 = 4096;

/** The root servers' addresses, a to m (https://www.iana.org/domains/root/servers): IPv4. */
const ROOT4: usize = memory.data<u8>([
  198, 41, 0, 4, 170, 247, 170, 2, 192, 33, 4, 12, 199, 7, 91, 13, 192, 203, 230, 10, 192, 5, 5,
  241, 192, 112, 36, 4, 198, 97, 190, 53, 192, 36, 148, 17, 192, 58, 128, 30, 193, 0, 14, 129, 199,
  7, 83, 42, 202, 12, 27, 33,
]);
/** IPv6: the first three groups, and the last one or two, as u16. */
const ROOT6: usize = memory.data<u16>([
  0x2001, 0x0503, 0xba3e, 0x0002, 0x0030, 0x2801, 0x01b8, 0x0010, 0x0000, 0x000b, 0x2001, 0x0500,
  0x0002, 0x0000, 0x000c, 0x2001, 0x0500, 0x002d, 0x0000, 0x000d, 0x2001, 0x0500, 0x00a8, 0x0000,
  0x000e, 0x2001, 0x0500, 0x002f, 0x0000, 0x000f, 0x2001, 0x0500, 0x0012, 0x0000, 0x0d0d, 0x2001,
  0x0500, 0x0001, 0x0000, 0x0053, 0x2001, 0x07fe, 0x0000, 0x0000, 0x0053, 0x2001, 0x0503, 0x0c27,
  0x0002, 0x0030, 0x2001, 0x07fd, 0x0000, 0x0000, 0x0001, 0x2001, 0x0500, 0x009f, 0x0000, 0x0042,
  0x2001, 0x0dc3, 0x0000, 0x0000, 0x0035,
]);
const ROOTS: u32 = 13;

const record = changetype<DnsRecord>(memory.data(DNS_RECORD_BYTES, 8));
const kept: usize = memory.data(4096, 8);
const zone: usize = memory.data(256, 8);
const name: usize = memory.data(256, 8);
const address = changetype<IpAddress>(memory.data(Layout.Address, 8));
let keptBytes: u32 = 0;


@inline function recordBytes(at: usize): u32 {
  return Layout.Record + ((<u32>load<u16>(at, 2) + 7) & ~7);
}

/** The servers of the deepest zone around a name in lower case of which they are known, the root's perhaps; null if those are not either. With `above` the name's own zone is none. */
export function delegationAbove(at: usize, length: u32, above: bool): CacheEntry | null {
  let labels = labelCount(at);
  if (above && labels) labels--;
  for (; labels; labels--) {
    const cut = cutTo(at, labels);
    const size = length - cut;
    const hash = nameHash(at + cut, size, DELEGATION);
    const entry = cacheFind(hash, at + cut, size, DELEGATION);
    if (entry === null) continue;
    delegationLabels = labels;
    return entry;
  }
  delegationLabels = 0;
  store<u8>(zone, 0);
  return cacheFind(nameHash(zone, 1, DELEGATION), zone, 1, DELEGATION);
}

/** Labels of the zone that `delegationAbove` found. */
export let delegationLabels: u32 = 0;

// ---- Referrals -------------------------------------------------------------------------------

/**
 * Takes the referral in a message to a zone strictly below the one whose servers sent it, which has `labels` labels,
 * and above the name asked for or at it; false if it is none. The name is in lower case.
 */
export function referralTake(
  message: usize,
  length: u32,
  asked: usize,
  askedLength: u32,
  labels: u32,
): bool {
  const header = changetype<DnsHeader>(message);
  let offset = dnsBehindQuestion(askedLength);
  for (let i: u32 = 0; i < header.answers; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) return false;
  }
  const authoritiesAt = offset;
  let zoneLength: u32 = 0;
  let ttl = TTL_MOST;
  let servers: u32 = 0;
  keptBytes = 0;
  for (let i: u32 = 0; i < header.authorities; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) return false;
    if (record.type != DnsType.NS || record.class != DNS_IN) continue;
    if (!zoneLength) {
      if (labelCount(record.owner) <= labels) continue;
      if (!dnsWithin(asked, askedLength, record.owner, record.ownerLength)) continue;
      zoneLength = record.ownerLength;
      dnsLower(zone, record.owner, zoneLength);
    } else if (!dnsSame(record.owner, record.ownerLength, zone, zoneLength)) continue;
    ttl = min<u32>(ttl, record.ttl);
    if (servers == SERVERS_MOST) continue;
    if (!keepServer(message, length)) return false;
    servers++;
  }
  if (!servers || !authoritiesAt) return false;
  glue(message, length, offset, header.additionals, asked + cutTo(asked, labels));
  remember(zoneLength, ttl);
  return true;
}

/** Takes the root's servers from an answer of one to a question about them (RFC 9609, 4): all names are in its zone. */
export function rootTake(message: usize, length: u32): void {
  const header = changetype<DnsHeader>(message);
  let offset = dnsBehindQuestion(1);
  let ttl = TTL_MOST;
  let servers: u32 = 0;
  keptBytes = 0;
  for (let i: u32 = 0; i < header.answers + header.authorities; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) return;
    const takes = i < header.answers && record.type == DnsType.NS && record.class == DNS_IN;
    if (!takes || record.ownerLength != 1 || servers == SERVERS_MOST) continue;
    ttl = min<u32>(ttl, record.ttl);
    if (!keepServer(message, length)) return;
    servers++;
  }
  if (!servers) return;
  store<u8>(zone, 0);
  glue(message, length, offset, header.additionals, zone);
  remember(1, ttl);
}

/** Keeps the name in `record`, of a server; false if it is none, or there is no room. */
function keepServer(message: usize, length: u32): bool {
  if (!dnsName(message, length, record.dataAt, name)) return false;
  dnsLower(name, name, dnsNameLength());
  return keep(DnsType.NS, name, dnsNameLength());
}

/** Puts what is kept of `zone` into the cache. */
function remember(zoneLength: u32, ttl: u32): void {
  const until = now() + <u64>max<u32>(ttl, TTL_LEAST) * SECOND;
  const hash = nameHash(zone, zoneLength, DELEGATION);
  cacheStore(hash, zone, zoneLength, DELEGATION, AnswerKind.Records, until, kept, keptBytes);
}

function keep(type: u32, from: usize, size: u32): bool {
  const bytes = Layout.Record + ((size + 7) & ~7);
  if (keptBytes + bytes > KEPT) return false;
  const at = kept + keptBytes;
  memory.fill(at, 0, bytes);
  store<u16>(at, <u16>type);
  store<u16>(at, <u16>size, 2);
  memory.copy(at + Layout.Record, from, size);
  keptBytes += bytes;
  return true;
}

/** Keeps the addresses beside a referral that are of its servers, and of names in the zone that it comes from. */
function glue(message: usize, length: u32, offset: u32, count: u32, from: usize): void {
  const end = kept + keptBytes;
  for (let i: u32 = 0; i < count; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) return;
    const is4 = record.type == DnsType.A && record.dataLength == 4;
    const is6 = record.type == DnsType.AAAA && record.dataLength == 16;
    if ((!is4 && !is6) || record.class != DNS_IN) continue;
    if (!dnsWithin(record.owner, record.ownerLength, from, nameBytes(from))) continue;
    for (let at = kept; at < end; at += recordBytes(at)) {
      const size = <u32>load<u16>(at, 2);
      if (!dnsSame(record.owner, record.ownerLength, at + Layout.Record, size)) continue;
      memory.fill(changetype<usize>(address), 0, Layout.Address);
      if (is4) address.setV4(bswap(load<u32>(message + record.dataAt)));
      else v6Load(address, message + record.dataAt, 0);
      // Whose address is known need not be asked for.
      if (keep(record.type, changetype<usize>(address), Layout.Address)) store<u32>(at, 1, 4);
    }
  }
}

function nameBytes(at: usize): u32 {
  let bytes: u32 = 1;
  for (let size = <u32>load<u8>(at); size; size = <u32>load<u8>(at + bytes - 1)) bytes += size + 1;
  return bytes;
}

// ---- Servers ---------------------------------------------------------------------------------

/** Servers that a question has asked of one zone: their number and, behind it, their places. */
const TRIED_MOST: u32 = 15;

/** The best found so far, and who it is. */
let best: i32 = -1;
let bestTime: u32 = 0;
let ties: u32 = 0;
let tried: usize = 0;
/** There is a way to IPv6. */
let has6: bool = false;

/** The server of the zone that `delegationAbove` found to ask next, the one that answers soonest of those not tried; -1 if there is none. */
export function serverChoose(entry: CacheEntry | null, asked: usize): i32 {
  best = -1;
  tried = asked;
  has6 = reaches6();
  if (load<u8>(tried) >= TRIED_MOST) return -1;
  if (entry === null) {
    roots();
    return best;
  }
  const end = entry.data + entry.dataLength;
  for (let at = entry.data; at < end; at += recordBytes(at)) {
    const size = <u32>load<u16>(at, 2);
    if (load<u16>(at) != DnsType.NS) {
      offer(changetype<IpAddress>(at + Layout.Record));
    } else if (!load<u32>(at, 4)) {
      offerKnown(at + Layout.Record, size, DnsType.A);
      offerKnown(at + Layout.Record, size, DnsType.AAAA);
    }
  }
  // What the root's servers say of themselves may be of no use here.
  if (best < 0 && !delegationLabels) roots();
  return best;
}

/** Whether a link has an IPv6 address that reaches beyond it. */
function reaches6(): bool {
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const iface = interfaceAt(i);
    if (iface.kind == LinkKind.Loopback) continue;
    let at = iface.addresses;
    while (at !== null) {
      const counts = at.state == AddressState.Assigned && !at.address.isV4;
      if (counts && !isV6LinkLocal(at.hi)) return true;
      at = at.next;
    }
  }
  return false;
}

function roots(): void {
  if (config.hintCount) {
    for (let i: u32 = 0; i < config.hintCount; i++) offer(config.hint(i));
    return;
  }
  for (let i: u32 = 0; i < ROOTS; i++) {
    memory.fill(changetype<usize>(address), 0, Layout.Address);
    address.setV4(bswap(load<u32>(ROOT4 + (i << 2))));
    offer(address);
    const group = ROOT6 + i * 10;
    const hi =
      ((<u64>load<u16>(group)) << 48) |
      ((<u64>load<u16>(group, 2)) << 32) |
      ((<u64>load<u16>(group, 4)) << 16);
    address.set(hi, ((<u64>load<u16>(group, 6)) << 16) | load<u16>(group, 8));
    offer(address);
  }
}

/** Addresses that were asked for by name. */
function offerKnown(at: usize, length: u32, type: u32): void {
  const entry = cacheFind(nameHash(at, length, type), at, length, type);
  if (entry === null || entry.kind != AnswerKind.Records) return;
  const end = entry.data + entry.dataLength;
  for (let from = entry.data; from < end; from += recordBytes(from)) {
    if (load<u16>(from) == type) offer(changetype<IpAddress>(from + Layout.Record));
  }
}

function offer(candidate: IpAddress): void {
  if (!candidate.isV4 && !has6) return;
  const place = infraPlace(candidate);
  const count = <u32>load<u8>(tried);
  for (let i: u32 = 1; i <= count; i++) if (load<u8>(tried + i) == <u8>place) return;
  const server = serverAtPlace(place);
  const time = server.expected;
  // Of those of which nothing is known yet any (RFC 9609, 3.2).
  const nearer = best < 0 || time < bestTime;
  ties = nearer ? 1 : ties + <u32>(time == bestTime);
  if (nearer || (time == bestTime && randomBelow(ties) == 0)) {
    best = place;
    bestTime = time;
  }
  // Who is not chosen seems nearer each time, until it is tried again.
  server.age();
}

/** A server's name in lower case whose address is to be asked for, of the zone `entry` with `labels` labels; its length, or 0. */
export function serverWanted(entry: CacheEntry | null, zoneName: usize, zoneLength: u32): u32 {
  if (entry === null) return 0;
  const end = entry.data + entry.dataLength;
  for (let at = entry.data; at < end; at += recordBytes(at)) {
    if (load<u16>(at) != DnsType.NS || load<u32>(at, 4)) continue;
    const from = at + Layout.Record;
    const size = <u32>load<u16>(at, 2);
    // Only the zone itself knows, and nobody knows who that is.
    if (dnsWithin(from, size, zoneName, zoneLength)) continue;
    const four = cacheFind(nameHash(from, size, DnsType.A), from, size, DnsType.A);
    wantedType = DnsType.A;
    if (four !== null) {
      if (four.kind == AnswerKind.Records || four.kind == AnswerKind.Failure) continue;
      wantedType = DnsType.AAAA;
      if (cacheFind(nameHash(from, size, DnsType.AAAA), from, size, DnsType.AAAA) !== null)
        continue;
    } else if (cacheFind(nameHash(from, size, 0), from, size, 0) !== null) continue;
    memory.copy(wanted, from, size);
    return size;
  }
  return 0;
}

/** What `serverWanted` found. */
export const wanted: usize = memory.data(256, 8);
export let wantedType: u32 = 0;
