import { Layout, Resolve, Security } from "../../sdk/assembly/syscalls";
import { now } from "../../kernel/clock";
import { DnssecMode, config } from "../../kernel/config";
import { Errno } from "../../kernel/errno";
import { DNSSEC } from "../../kernel/features";
import { boot, reserve, unreserved } from "../../kernel/memory";
import { packCount, packEntry, packFind, packOpen } from "../../kernel/pack";
import { parseDecimal, textFind } from "../../kernel/text";
import { MILLISECOND, SECOND, Timer } from "../../kernel/timer";
import { isBelowLocal, isLocalName } from "../mdns/querier";
import { AddressState, LinkKind, interfaceAt, interfaceCount } from "../interface";
import { IpAddress, V4_LOOPBACK, isV6LinkLocal } from "../wire/address";
import {
  DNS_NAME_MAX,
  DNS_TEXT_MAX,
  DnsType,
  dnsFromText,
  dnsLower,
  dnsTextAbsolute,
  dnsTextDots,
  dnsToText,
} from "../wire/dns";
import { AnswerKind, CacheEntry, cacheInit } from "./cache";
import { DELEGATION } from "./delegation";
import { hostsAddress, hostsFind, hostsOpen } from "./hosts";
import { orderAddresses } from "./order";
import { Waiter, known, questionJoin, questionLeave, questionsInit } from "./question";
import { searchCount, searchDomain } from "./search";
import { isUnsigned } from "./secure/anchors";
import { DnsError } from "./secure/security";
import { isLocalhost, isNobodys, isPrivate } from "./special";
import { dnsStats } from "./stats";

/**
 * Lookups: what a program asks for. A name is an address as text, stands in the hosts file, or is one of those
 * that nobody is asked about; otherwise it is tried with the domains of the search list and as it is, each time
 * as one question for each type (net/dns/question.ts), until one has an answer or no one knows.
 */

const enum State {
  Free = 0,
  Busy = 1,
  Done = 2,
}

/** One of a lookup's questions. */
@unmanaged
class Part extends Waiter {
  lookup: Lookup;
  type: u32;
  /** `AnswerKind`; `Hole` while there is none. */
  kind: u32;
}


@unmanaged
class Lookup {
  private parts: u64;
  private parts1: u64;
  private parts2: u64;
  private parts3: u64;
  private parts4: u64;
  private delay0: u64;
  private delay1: u64;
  private delay2: u64;
  private delay3: u64;
  /** Its number while it is out; its generation alone, in place, while it is free. */
  number: u32;
  /** `State`. */
  state: u32;
  next: Lookup | null;
  /** Table index of `(token: usize) => void`, which hears when it is done; 0 for none. */
  sink: u32;
  token: usize;
  /** Types asked for: 1 or 2. */
  count: u32;
  /** Which of the names to try is being tried, and where as-is stands among them. */
  step: u32;
  asIs: u32;
  /** Positive; 0 for none. */
  error: u32;
  /** A name that was tried exists, but has nothing of what is wanted. */
  exists: bool;
  /** Of two questions one that has an answer does not wait long for the other. */
  prompt: bool;
  nameLength: u32;
  /** Bytes of records in `records`. */
  used: u32;
  /** `Security` of the least secure part of what was found, and the `DnsError` of what is not; `Resolve.Security` if that is wanted. */
  security: u8;
  reason: u16;
  says: u32;


  @inline part(index: u32): Part {
    return changetype<Part>(changetype<usize>(this) + <usize>index * offsetof<Part>());
  }

  /** Ends it with what there is. */
  @inline get delay(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<Lookup>("delay0"));
  }

  /** As it was asked for, `nameLength` bytes. */
  @inline get name(): usize {
    return changetype<usize>(this) + offsetof<Lookup>();
  }


  @inline get records(): usize {
    return this.name + 256;
  }
}

/** Bytes of records that a lookup holds: those of two questions. */
const RECORDS_MAX: u32 = 8192;
const LOOKUP_BYTES: u32 = 144 + 256 + 8192 + 16;
/** Resolution Delay (RFC 8305, 8). */
const RESOLUTION_DELAY: u64 = 50 * MILLISECOND;
/** Lookups at a time: one for each MiB of RAM, within bounds. */
const LOOKUPS_MIN: u32 = 8;
const LOOKUPS_MAX: u32 = 64;
const INDEX_BITS: u32 = 8;
const INDEX_MASK: u32 = 255;
const GENERATION_MASK: u32 = 0x7f_ffff;

/** Of `what`. */
const TYPE_MASK: u32 = 0xffff;
/** For `Lookup.asIs`: there is nothing else to try. */
const ALONE: u32 = u32.MAX_VALUE;
/** Where an address that calls take has its zone. */
const ZONE: usize = 20;

let lookups: usize = 0;
let capacity: u32 = 0;
let free: Lookup | null = null;
/** The name being tried, in lower case. */
const full: usize = memory.data(256, 8);
const literal = changetype<IpAddress>(memory.data(Layout.Address, 8));
const text: usize = memory.data(DNS_TEXT_MAX, 8);


@inline function lookupAt(index: u32): Lookup {
  return changetype<Lookup>(lookups + <usize>index * LOOKUP_BYTES);
}

/** Reserves all that the resolver will ever use, and reads the hosts file, /etc/hosts of the pack. Start-up only. */
export function dnsInit(): void {
  assert(offsetof<Part>() * 2 == 40 && offsetof<Lookup>() <= 144);
  const bytes = unreserved();
  cacheInit(bytes);
  questionsInit(answered);
  capacity = min<u32>(max<u32>(bytes >> 20, LOOKUPS_MIN), LOOKUPS_MAX);
  lookups = reserve(capacity * LOOKUP_BYTES, 8);
  free = null;
  for (let i = capacity; i-- > 0;) {
    const lookup = lookupAt(i);
    lookup.number = i;
    lookup.delay.init(hurry, changetype<usize>(lookup));
    lookup.next = free;
    free = lookup;
  }
  if (!packCount() && boot.packLength) packOpen(boot.pack, boot.packLength);
  const path = "/etc/hosts";
  for (let i = 0; i < path.length; i++) store<u8>(text + i, <u8>path.charCodeAt(i));
  const hosts = packFind(text, path.length);
  if (hosts >= 0) hostsOpen(packEntry(hosts).body, packEntry(hosts).bodyLength);
}

/** Takes the lookup at the free list's head. */
function take(lookup: Lookup, state: State): i32 {
  free = lookup.next;
  dnsStats.lookups++;
  dnsStats.lookupsOpen++;
  const generation = ((lookup.number >> INDEX_BITS) % GENERATION_MASK) + 1;
  lookup.number = (generation << INDEX_BITS) | (lookup.number & INDEX_MASK);
  lookup.state = state;
  lookup.sink = 0;
  lookup.error = 0;
  lookup.exists = false;
  lookup.count = 0;
  lookup.security = 0;
  lookup.reason = 0;
  return lookup.number;
}

function give(lookup: Lookup): void {
  lookup.delay.cancel();
  for (let i: u32 = 0; i < lookup.count; i++) questionLeave(lookup.part(i));
  lookup.state = State.Free;
  lookup.next = free;
  free = lookup;
  dnsStats.lookupsOpen--;
}

function find(number: u32): Lookup | null {
  const index = number & INDEX_MASK;
  if (index >= capacity) return null;
  const lookup = lookupAt(index);
  return lookup.state != State.Free && lookup.number == number ? lookup : null;
}

/**
 * Begins to look for a name of `length` bytes, a text: the number for `resolved`, or -EINVAL for what is no name,
 * -ENOENT for what is no address if only that is wanted, -ENOBUFS when too many lookups are under way. `what`
 * is a type of record with `Resolve` bits. `sink`, unless it is 0, is the table index of
 * `(token: usize) => void`, which is called once, later, if the lookup is not over by then.
 */
export function resolve(name: usize, length: u32, what: u32, sink: u32, token: usize): i32 {
  const lookup = free;
  if (lookup === null) {
    dnsStats.noRoom++;
    return -Errno.ENOBUFS;
  }
  const type = what & TYPE_MASK;
  lookup.used = 0;
  lookup.says = what & Resolve.Security;
  if (!type && literalOf(name, length)) {
    if (!isWanted(literal, what)) return -Errno.ENOENT;
    putName(lookup, name, length);
    putAddress(lookup, literal);
    return take(lookup, State.Done);
  }
  if (type == DELEGATION) return -Errno.EINVAL;
  if (what & Resolve.Numeric) return -Errno.ENOENT;
  lookup.nameLength = dnsFromText(name, length, lookup.name);
  if (!lookup.nameLength) return -Errno.EINVAL;
  const absolute = dnsTextAbsolute();
  const plain = absolute ? length - 1 : length;
  const asIsFirst = absolute || dnsTextDots() >= config.ndots;
  if (!type && fromHosts(lookup, name, plain, what)) return take(lookup, State.Done);
  const number = take(lookup, State.Busy);
  if (isSpecial(lookup, what)) return number;
  lookup.prompt = (what & Resolve.Prompt) != 0;
  // Names of the link are nobody's search list's.
  const local = isBelowLocal(lookup.name, lookup.nameLength);
  lookup.asIs = absolute || local ? ALONE : asIsFirst ? 0 : searchCount();
  lookup.step = 0;
  chooseParts(lookup, what);
  advance(lookup);
  if (lookup.state == State.Busy) {
    lookup.sink = sink;
    lookup.token = token;
  }
  return number;
}

/**
 * What a lookup has found: bytes of records copied, or why there are none, and in both cases it is over:
 * -ENOENT, -ETIMEDOUT, -EIO, -ECONNREFUSED, -ENETUNREACH (nobody to ask), -EMSGSIZE (more than `length`),
 * -EINVAL (it is over already). -EAGAIN as long as it goes on. A name that exists without what was asked for
 * has one record, its own name.
 */
export function resolved(number: u32, into: usize, length: u32): i32 {
  const lookup = find(number);
  if (lookup === null) return -Errno.EINVAL;
  if (lookup.state == State.Busy) return -Errno.EAGAIN;
  if (DNSSEC && lookup.says) putSecurity(lookup);
  const used = lookup.used;
  const error = used ? 0 : lookup.error;
  give(lookup);
  if (error) return -(<i32>error);
  if (used > length) return -Errno.EMSGSIZE;
  memory.copy(into, lookup.records, used);
  return used;
}

/** Gives a lookup up, whether or not it is over. */
export function resolveEnd(number: u32): void {
  const lookup = find(number);
  if (lookup !== null) give(lookup);
}

// ---- What nobody is asked about --------------------------------------------------------------

/** Whether the family of `address` is wanted. */
@inline function isWanted(address: IpAddress, what: u32): bool {
  const families = what & (Resolve.V4 | Resolve.V6);
  return !families || (families & (address.isV4 ? Resolve.V4 : Resolve.V6)) != 0;
}

/** Reads an address as text into `literal`, with a link-local one's zone behind `%` (RFC 4007, 11). */
function literalOf(name: usize, length: u32): bool {
  memory.fill(changetype<usize>(literal), 0, Layout.Address);
  const size = textFind(name, length, 0x25);
  if (!hostsAddress(name, size, literal)) return false;
  if (size == length) return true;
  const zone = parseDecimal(name + size + 1, length - size - 1, interfaceCount());
  store<u32>(changetype<usize>(literal), zone, ZONE);
  return zone > 0 && isV6LinkLocal(literal.hi);
}

/** Puts what the hosts file says of a name into the records; whether it says anything that is wanted. */
function fromHosts(lookup: Lookup, name: usize, length: u32, what: u32): bool {
  let count: u32 = 0;
  for (let i: u32 = 0; ; i++) {
    const address = hostsFind(name, length, i);
    if (address === null) break;
    if (!isWanted(address, what)) continue;
    if (!count++) putName(lookup, name, length);
    literalSet(address);
    putAddress(lookup, literal);
  }
  if (count) orderAddresses(lookup.records + firstBytes(lookup), count);
  return count > 0;
}

/** Names that have a meaning without anyone being asked (net/dns/special.ts): then the lookup is over. */
function isSpecial(lookup: Lookup, what: u32): bool {
  if (isLocalhost(lookup.name, lookup.nameLength)) {
    putName(lookup, text, dnsToText(lookup.name, text));
    literalSet(null);
    literal.set(0, 1);
    if (!(what & TYPE_MASK) && isWanted(literal, what)) putAddress(lookup, literal);
    literal.setV4(V4_LOOPBACK);
    if (!(what & TYPE_MASK) && isWanted(literal, what)) putAddress(lookup, literal);
  } else if (isNobodys(lookup.name, lookup.nameLength) || isUnasked(lookup)) {
    lookup.error = Errno.ENOENT;
  } else {
    return false;
  }
  lookup.state = State.Done;
  return true;
}

/**
 * Names that there is nobody to ask about: of the link, which the DNS has not (RFC 6762, 22.1), where it is not to be
 * asked, and private ones, where the Internet's root servers would be (RFC 6303, 3).
 */
function isUnasked(lookup: Lookup): bool {
  const name = lookup.name;
  const length = lookup.nameLength;
  if (!config.mdns && isBelowLocal(name, length)) return true;
  if (!DNSSEC || !config.iterative || config.hintCount) return false;
  return isPrivate(name, length) && !(config.mdns && isLocalName(name, length));
}

// ---- Names to try ----------------------------------------------------------------------------

/** Which questions a name is: one for each family, or one for the type. */
function chooseParts(lookup: Lookup, what: u32): void {
  const type = what & TYPE_MASK;
  lookup.count = 0;
  if (type) return addPart(lookup, type);
  let families = what & (Resolve.V4 | Resolve.V6);
  if (!families) families = Resolve.V4 | Resolve.V6;
  const here = what & Resolve.Configured ? families & configured() : 0;
  // A machine that has no address yet may have one by the time that it connects.
  if (here) families = here;
  if (families & Resolve.V6) addPart(lookup, DnsType.AAAA);
  if (families & Resolve.V4) addPart(lookup, DnsType.A);
}

function addPart(lookup: Lookup, type: u32): void {
  const part = lookup.part(lookup.count++);
  part.lookup = lookup;
  part.type = type;
  part.question = null;
}

/** Families of which a link has an address that reaches beyond it. */
function configured(): u32 {
  let families: u32 = 0;
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const iface = interfaceAt(i);
    if (iface.kind == LinkKind.Loopback) continue;
    let record = iface.addresses;
    while (record !== null) {
      const counts = record.state == AddressState.Assigned && !isV6LinkLocal(record.hi);
      if (counts) families |= record.address.isV4 ? Resolve.V4 : Resolve.V6;
      record = record.next;
    }
  }
  return families;
}

/**
 * Makes the next name to try in `full`: its length, or 0 when there is no other. A name with as many
 * dots as `ndots` is tried as it is before the search list, others behind it.
 */
function nextName(lookup: Lookup): u32 {
  const alone = lookup.asIs == ALONE;
  const names: u32 = alone ? 1 : searchCount() + 1;
  const asIs: u32 = alone ? 0 : lookup.asIs;
  while (lookup.step < names) {
    const step = lookup.step++;
    const length = lookup.nameLength;
    dnsLower(full, lookup.name, length);
    if (step == asIs) return length;
    const index = step > asIs ? step - 1 : step;
    const size = searchDomain(index, text);
    // What would be too long for a name is none to try.
    if (!size || length - 1 + size > DNS_NAME_MAX) continue;
    dnsLower(full + length - 1, text, size);
    return length - 1 + size;
  }
  return 0;
}

/** Goes on with the next names, until one has to be waited for, or is what is looked for. */
function advance(lookup: Lookup): void {
  while (true) {
    const length = nextName(lookup);
    if (!length) break;
    let waits = false;
    for (let i: u32 = 0; i < lookup.count; i++) {
      const part = lookup.part(i);
      part.kind = AnswerKind.Hole;
      const entry = known(full, length, part.type);
      if (entry !== null) {
        dnsStats.cacheHits++;
        keep(part, entry);
        continue;
      }
      const joined = questionJoin(part, full, length, part.type);
      if (joined == 0) waits = true;
      else failed(part, -joined);
    }
    if (waits) return awaitOther(lookup);
    if (isOver(lookup)) return finish(lookup);
  }
  if (!lookup.exists) lookup.error = Errno.ENOENT;
  else putName(lookup, text, dnsToText(lookup.name, text));
  finish(lookup);
}

function failed(part: Part, error: u32): void {
  part.kind = AnswerKind.Failure;
  part.lookup.error = error;
}

/** Whether what all parts have come to ends the lookup: something found, or someone who could not say. */
function isOver(lookup: Lookup): bool {
  if (lookup.used) return true;
  for (let i: u32 = 0; i < lookup.count; i++) {
    const kind = lookup.part(i).kind;
    if (kind == AnswerKind.Failure) return true;
    if (kind == AnswerKind.NoData) lookup.exists = true;
  }
  return false;
}

/** A question that someone waited for has been answered. */
function answered(waiter: Waiter, entry: CacheEntry): void {
  const part = changetype<Part>(changetype<usize>(waiter));
  const lookup = part.lookup;
  keep(part, entry);
  for (let i: u32 = 0; i < lookup.count; i++) {
    if (lookup.part(i).kind == AnswerKind.Hole) return awaitOther(lookup);
  }
  if (isOver(lookup)) finish(lookup);
  else advance(lookup);
}

/** One question is still out: the other's answer waits for it, but not for long if that is wanted. */
function awaitOther(lookup: Lookup): void {
  const delay = lookup.delay;
  if (lookup.prompt && lookup.used && !delay.armed) delay.arm(now() + RESOLUTION_DELAY);
}

/** The question that is out goes on: its answer will be known when it is asked for again. */
function hurry(context: usize, _time: u64): void {
  const lookup = changetype<Lookup>(context);
  for (let i: u32 = 0; i < lookup.count; i++) questionLeave(lookup.part(i));
  finish(lookup);
}

/** Takes over what an answer says. */
function keep(part: Part, entry: CacheEntry): void {
  part.kind = entry.kind;
  if (entry.kind == AnswerKind.Failure) {
    if (DNSSEC) part.lookup.reason = entry.note;
    return failed(part, load<u32>(entry.data));
  }
  if (DNSSEC && config.dnssec && !isBelievable(part, entry)) return;
  if (entry.kind != AnswerKind.Records) return;
  const left = entry.expiresAt > now() ? <u32>((entry.expiresAt - now()) / SECOND) : 0;
  const lookup = part.lookup;
  let from = entry.data;
  const end = from + entry.dataLength;
  // Of two answers about a name the second needs not say again which one it is.
  if (lookup.used) from += recordBytes(from);
  while (from < end) {
    const bytes = recordBytes(from);
    if (lookup.used + bytes > RECORDS_MAX) return;
    const to = lookup.records + lookup.used;
    memory.copy(to, from, bytes);
    store<u32>(to, left, 4);
    lookup.used += bytes;
    from += bytes;
  }
}

/** Takes over how far an answer is to be believed; false if that is not enough. */
function isBelievable(part: Part, entry: CacheEntry): bool {
  const lookup = part.lookup;
  const before = lookup.security;
  if (!before || entry.security < before) {
    lookup.security = entry.security;
    lookup.reason = entry.security == Security.Secure ? 0 : entry.note;
  }
  if (config.dnssec != DnssecMode.Strict || entry.security == Security.Secure) return true;
  // Nobody signs names of the link, nor private ones; others are excepted by the command line.
  if (entry.security == Security.Unchecked || isUnsigned(entry.name, entry.nameLength)) return true;
  lookup.reason = <u16>DnsError.Indeterminate;
  failed(part, Errno.EBADMSG);
  return false;
}

/** Says behind the records how far they are to be believed. */
function putSecurity(lookup: Lookup): void {
  const bogus = !lookup.used && lookup.error == Errno.EBADMSG;
  if (!lookup.used && !bogus) return;
  store<u32>(text, bogus && !lookup.security ? <u32>Security.Bogus : <u32>lookup.security);
  store<u32>(text, lookup.reason, 4);
  put(lookup, DnsType.OPT, text, 8);
}

function finish(lookup: Lookup): void {
  lookup.delay.cancel();
  lookup.state = State.Done;
  const type = lookup.count ? lookup.part(0).type : 0;
  if (lookup.used && (type == DnsType.AAAA || type == DnsType.A)) {
    const first = firstBytes(lookup);
    const bytes: u32 = Layout.Record + Layout.Address;
    orderAddresses(lookup.records + first, (lookup.used - first) / bytes);
  }
  const sink = lookup.sink;
  lookup.sink = 0;
  if (sink) call_indirect<void>(sink, lookup.token);
}

// ---- Records ---------------------------------------------------------------------------------

@inline function recordBytes(at: usize): u32 {
  return Layout.Record + ((load<u16>(at, 2) + 7) & ~7);
}


@inline function firstBytes(lookup: Lookup): u32 {
  return recordBytes(lookup.records);
}

/** Adds a record, for which there is room. */
function put(lookup: Lookup, type: u32, from: usize, length: u32): void {
  const to = lookup.records + lookup.used;
  const bytes = Layout.Record + ((length + 7) & ~7);
  store<u64>(to + bytes - 8, 0);
  store<u16>(to, <u16>type);
  store<u16>(to, <u16>length, 2);
  store<u32>(to, 0, 4);
  memory.copy(to + Layout.Record, from, length);
  lookup.used += bytes;
}

/** Begins the records with the name that they are of. */
function putName(lookup: Lookup, name: usize, length: u32): void {
  put(lookup, DnsType.CNAME, name, length);
}

function putAddress(lookup: Lookup, address: IpAddress): void {
  if (lookup.used + Layout.Record + Layout.Address > RECORDS_MAX) return;
  const type = address.isV4 ? DnsType.A : DnsType.AAAA;
  put(lookup, type, changetype<usize>(address), Layout.Address);
}

/** `literal` becomes `address` with nothing around it. */
function literalSet(address: IpAddress | null): void {
  memory.fill(changetype<usize>(literal), 0, Layout.Address);
  if (address !== null) literal.copy(address);
}
