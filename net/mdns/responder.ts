import { now } from "../../kernel/clock";
import { HOSTNAME_MAX, config } from "../../kernel/config";
import { info, warn } from "../../kernel/log";
import { randomBelow } from "../../kernel/random";
import { MILLISECOND, SECOND, Timer } from "../../kernel/timer";
import { DEVICES_MAX } from "../../drivers/device";
import {
  AddressState,
  Interface,
  InterfaceAddress,
  LinkKind,
  findAddress,
  interfaceAt,
  interfaceCount,
} from "../interface";
import { IpAddress, v6Load, v6Store } from "../wire/address";
import {
  DNS_HEADER,
  DNS_IN,
  DNS_RECORD_BYTES,
  DnsRecord,
  DnsType,
  dnsName,
  dnsNameLength,
  dnsRecord,
  dnsSame,
} from "../wire/dns";
import {
  MDNS_ANY,
  MDNS_FLUSH,
  MDNS_NSEC,
  MDNS_PORT,
  MDNS_RESPONSE,
  MDNS_TRUNCATED,
  MDNS_TTL,
  MDNS_TTL_LEGACY,
  MDNS_UNICAST,
  MdnsSection,
  mdns16,
  mdnsBegin,
  mdnsQuestion,
  mdnsQuestions,
  mdnsRecord,
} from "../wire/mdns";
import { mdnsMulticast, mdnsOpen, mdnsUnicast } from "./port";

/**
 * The machine's own name on its links (RFC 6762): `hostname=web` answers to `web.local` with the addresses of the link
 * on which it is asked, and addresses of the link answer with the name. The name is probed for (8.1) and announced
 * (8.3) when a link comes up, and changed if another host has it (9). Nothing of this runs without `hostname=`.
 */

const enum State {
  /** No name was given, or there is no address to tell. */
  Off = 0,
  Probing = 1,
  /** Ours, to be said `ANNOUNCEMENTS` times. */
  Announcing = 2,
  Owned = 3,
}

/** What a response has, as bits. */
const enum Say {
  V4 = 1,
  V6 = 2,
  /** That there are no other types. */
  None = 4,
  /** The names of addresses, or of `reversed` alone. */
  Names = 8,
  All = 15,
}

/** Answers of an interface that wait for what else is asked, or known already. */
@unmanaged
class Debt {
  /** Who asks and will say more of what he knows (7.2); unspecified for several, or one who will not. */
  hi: u64;
  lo: u64;
  /** What he knows so far, as `readKnown` has it. */
  addresses: u32;
  names: u32;
  due: u64;
  /** `Say` bits; 0 for none. */
  say: u8;
}

const PROBES: u32 = 3;
const PROBE_WAIT: u64 = 250 * MILLISECOND;
const ANNOUNCEMENTS: u32 = 2;
/** Who is told that the name is taken waits so long before the next probe: 8.2, and after many conflicts 8.1. */
const DEFER: u64 = SECOND;
const CONFLICTS: u32 = 15;
const CONFLICTS_WAIT: u64 = 5 * SECOND;
/** Least time between two multicasts of a record on a link, and in answer to a probe (6). */
const SPACING: u64 = SECOND;
const SPACING_PROBED: u64 = 250 * MILLISECOND;
/** What was multicast so long ago is multicast again though an answer to one would do (5.4). */
const QUARTER: u64 = (<u64>MDNS_TTL * SECOND) / 4;
/** Records of a probe that are compared. */
const COMPARED: u32 = 16;

let state: State = State.Off;
/** Times that the name was changed, probes or announcements sent, and conflicts. */
let changes: u32 = 0;
let sent: u32 = 0;
let conflicts: u32 = 0;
/** What links and addresses were when they were looked at last. */
let linksSeen: u64 = 0;
let addressesSeen: u64 = 0;
/** The name as a label behind its length, then "local"; what `reverse` made; where a PTR leads. */
const name: usize = memory.data(1 + 63 + 7, 8);
let nameLength: u32 = 0;
const reversed: usize = memory.data(80, 8);
let reversedLength: u32 = 0;
const data: usize = memory.data(80, 8);
const spare: usize = memory.data(256, 8);
const record = changetype<DnsRecord>(memory.data(DNS_RECORD_BYTES, 8));
const address = changetype<IpAddress>(memory.data(16, 8));
const timer = changetype<Timer>(memory.data(offsetof<Timer>(), 8));
const delayed = changetype<Timer>(memory.data(offsetof<Timer>(), 8));
/** Of each interface: when its records were multicast last, and what is to be when `delayed` fires. */
const multicastAt: usize = memory.data(48 * 8, 8);
const debts: usize = memory.data(48 * 40, 8);
/** Records of two probes: pointers to what `compare` reads, ours and theirs. */
const ours: usize = memory.data(16 * 4, 8);
const theirs: usize = memory.data(16 * 4, 8);
const ownData: usize = memory.data(16 * 24, 8);
const theirData: usize = memory.data(16 * 8, 8);

/** Start-up only. */
export function mdnsInit(): void {
  assert(DEVICES_MAX <= 48 && offsetof<Debt>() <= 40);
  state = State.Off;
  changes = 0;
  conflicts = 0;
  linksSeen = 0;
  addressesSeen = 0;
  memory.fill(debts, 0, DEVICES_MAX * offsetof<Debt>());
  timer.init(timeUp, 0);
  delayed.init(payDebts, 0);
  setName();
}

/** The label that `changes` asks for (9): web, web-2, web-3 … */
function setName(): void {
  let suffix: u32 = 0;
  for (let n = changes ? changes + 1 : 0; n; n /= 10) suffix++;
  if (suffix) suffix++;
  const base = min<u32>(config.hostnameLength, HOSTNAME_MAX - suffix);
  memory.copy(name + 1, config.hostname, base);
  const label = base + suffix;
  for (let n = changes + 1, at = label; at > base + 1; n /= 10) {
    store<u8>(name + at--, 0x30 + <u8>(n % 10));
  }
  if (suffix) store<u8>(name + base, 0x2d, 1);
  store<u8>(name, <u8>label);
  // "\5local\0".
  store<u64>(data, 0x006c_6163_6f6c_05);
  memory.copy(name + 1 + label, data, 7);
  nameLength = label + 8;
}

/** Looks each second whether links or addresses have changed (8, 8.4). */
export function mdnsCheck(): void {
  if (!config.named || !config.mdns) return;
  let links: u64 = 0;
  let addresses: u64 = 0;
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const iface = interfaceAt(i);
    if (iface.kind != LinkKind.Ethernet || !iface.up) continue;
    let any = false;
    let a = used(iface.addresses);
    while (a !== null) {
      any = true;
      addresses += (a.hi * 31 + a.lo * 0x9e37_79b9_7f4a_7c15) ^ i;
      a = used(a.next);
    }
    if (any) links |= (<u64>1) << i;
  }
  const isNew = (links & ~linksSeen) != 0;
  const changed = addresses != addressesSeen;
  linksSeen = links;
  addressesSeen = addresses;
  if (!links) {
    state = State.Off;
    timer.cancel();
  } else if (isNew) probe(<u64>randomBelow(250) * MILLISECOND);
  else if (changed && state >= State.Announcing) announceFrom(now());
}

// ---- Probing and announcing ------------------------------------------------------------------

function probe(wait: u64): void {
  if (!mdnsOpen()) return;
  state = State.Probing;
  sent = 0;
  timer.arm(now() + wait);
}

function announceFrom(time: u64): void {
  state = State.Announcing;
  sent = 0;
  timer.arm(time);
}

function timeUp(_context: usize, time: u64): void {
  if (state == State.Probing) {
    if (sent < PROBES) {
      sent++;
      for (let i: u32 = 0; i < interfaceCount(); i++) sendProbe(interfaceAt(i));
      timer.arm(time + PROBE_WAIT);
      return;
    }
    info("mdns")
      .bytes(name + 1, load<u8>(name))
      .text(".local")
      .end();
    announceFrom(time);
  }
  if (state != State.Announcing) return;
  for (let i: u32 = 0; i < interfaceCount(); i++) sendAll(interfaceAt(i));
  if (++sent < ANNOUNCEMENTS) timer.arm(time + SECOND);
  else state = State.Owned;
}

/** Any record of the name, please, and what ours will be (8.1, 8.2). */
function sendProbe(iface: Interface): void {
  mdnsBegin(0, 0);
  mdnsQuestion(name, nameLength, MDNS_ANY, DNS_IN | MDNS_UNICAST);
  putAddresses(iface, MdnsSection.Authority, Say.V4 | Say.V6, DNS_IN, MDNS_TTL);
  mdnsMulticast(iface);
}

function sendAll(iface: Interface): void {
  mdnsBegin(0, MDNS_RESPONSE);
  put(iface, Say.All, DNS_IN | MDNS_FLUSH, MDNS_TTL, false);
  multicast(iface);
}

/** The machine is about to end: its records are taken back (10.1), so that nobody looks for it for the rest of their time. */
export function mdnsEnd(): void {
  timer.cancel();
  delayed.cancel();
  for (let i: u32 = 0; i < interfaceCount() && state >= State.Announcing; i++) {
    const iface = interfaceAt(i);
    mdnsBegin(0, MDNS_RESPONSE);
    put(iface, Say.V4 | Say.V6 | Say.Names, DNS_IN | MDNS_FLUSH, 0, false);
    mdnsMulticast(iface);
  }
  state = State.Off;
}

function multicast(iface: Interface): void {
  store<u64>(multicastAt + ((<usize>iface.index) << 3), now());
  mdnsMulticast(iface);
}

/** Another host has the name: the next one is tried. */
function rename(): void {
  const line = warn("mdns").bytes(name + 1, load<u8>(name));
  changes++;
  setName();
  line
    .text(".local is another host's: ")
    .bytes(name + 1, load<u8>(name))
    .text(".local is tried")
    .end();
  probe(backOff());
}

function backOff(): u64 {
  return ++conflicts < CONFLICTS ? <u64>randomBelow(250) * MILLISECOND : CONFLICTS_WAIT;
}

// ---- Records ---------------------------------------------------------------------------------

/** The first from `a` on that is in use. */
function used(a: InterfaceAddress | null): InterfaceAddress | null {
  while (a !== null && a.state != AddressState.Assigned) a = a.next;
  return a;
}

/** Which families an interface has addresses of: `Say` bits. */
function familiesOf(iface: Interface): u32 {
  let families: u32 = 0;
  let a = used(iface.addresses);
  while (a !== null) {
    families |= a.address.isV4 ? Say.V4 : Say.V6;
    a = used(a.next);
  }
  return families;
}

/** Writes an address as records have it: its bytes. */
function wire(into: usize, a: InterfaceAddress): u32 {
  if (!a.address.isV4) {
    v6Store(into, a.hi, a.lo);
    return 16;
  }
  store<u32>(into, bswap(a.address.v4));
  return 4;
}

function putAddresses(iface: Interface, to: MdnsSection, which: u32, class_: u32, ttl: u32): void {
  let a = used(iface.addresses);
  while (a !== null) {
    const v4 = a.address.isV4;
    if (which & (v4 ? Say.V4 : Say.V6)) {
      const type = v4 ? DnsType.A : DnsType.AAAA;
      const bytes = wire(data, a);
      mdnsRecord(to, name, nameLength, type, class_, ttl, data, bytes);
    }
    a = used(a.next);
  }
}

/** That a name has only these types (6.1): an NSEC record of one block of bits. */
function putTypes(
  to: MdnsSection,
  owner: usize,
  ownerLength: u32,
  families: u32,
  pointer: bool,
  class_: u32,
  ttl: u32,
): void {
  memory.copy(spare, owner, ownerLength);
  const map = spare + ownerLength;
  store<u64>(map, 0);
  if (families & Say.V4) store<u8>(map, 0x40, 2);
  if (pointer) store<u8>(map, 0x08, 3);
  if (families & Say.V6) store<u8>(map, 0x08, 5);
  const bytes: u32 = families & Say.V6 ? 4 : pointer ? 2 : 1;
  store<u8>(map, <u8>bytes, 1);
  mdnsRecord(to, owner, ownerLength, MDNS_NSEC, class_, ttl, spare, ownerLength + 2 + bytes);
}

/** Makes the name of an address in `reversed` (RFC 1035, 3.5; RFC 3596, 2.5). */
function reverse(a: InterfaceAddress): void {
  let at = reversed;
  if (a.address.isV4) {
    for (let v4 = a.address.v4, i = 0; i < 4; i++, v4 >>>= 8) {
      const byte = v4 & 255;
      const digits: u32 = byte > 99 ? 3 : byte > 9 ? 2 : 1;
      store<u8>(at, <u8>digits);
      for (let d = digits, rest = byte; d; d--, rest /= 10)
        store<u8>(at + d, <u8>(0x30 + (rest % 10)));
      at += 1 + digits;
    }
    // "\7in-addr".
    store<u64>(at, 0x7264_6461_2d6e_6907);
    at += 8;
  } else {
    v6Store(spare, a.hi, a.lo);
    for (let i = 32; i-- > 0; at += 2) {
      const digit = (load<u8>(spare + (i >> 1)) >> (i & 1 ? 0 : 4)) & 15;
      store<u8>(at, 1);
      store<u8>(at, digit < 10 ? 0x30 + digit : 0x57 + digit, 1);
    }
    // "\3ip6".
    store<u32>(at, 0x3670_6903);
    at += 4;
  }
  // "\4arpa\0".
  store<u32>(at, 0x7072_6104);
  store<u16>(at, 0x0061, 4);
  reversedLength = <u32>(at + 6 - reversed);
}

/**
 * Adds what `say` asks for, and what makes it whole (6.1, 6.2); of names of addresses only that in `reversed` if `one`.
 */
function put(iface: Interface, say: u32, class_: u32, ttl: u32, one: bool): void {
  const families = familiesOf(iface);
  const asked = say & (Say.V4 | Say.V6);
  putAddresses(iface, MdnsSection.Answer, asked, class_, ttl);
  if (say & Say.Names) {
    if (one) putName(class_, ttl);
    else {
      let a = used(iface.addresses);
      while (a !== null) {
        reverse(a);
        putName(class_, ttl);
        a = used(a.next);
      }
    }
  }
  if (!(say & (Say.V4 | Say.V6 | Say.None)) || !ttl) return;
  // Where nothing else answers, that there is nothing does.
  const lone = !(asked & families) && !(say & Say.Names) && ttl == MDNS_TTL;
  const lacks = families != (Say.V4 | Say.V6);
  const types = lone || lacks || (say & Say.None) != 0;
  if (lone) putTypes(MdnsSection.Answer, name, nameLength, families, false, class_, ttl);
  if (asked) {
    putAddresses(iface, MdnsSection.Additional, (Say.V4 | Say.V6) & ~asked, class_, ttl);
  }
  if (types && !lone) {
    putTypes(MdnsSection.Additional, name, nameLength, families, false, class_, ttl);
  }
}

function putName(class_: u32, ttl: u32): void {
  const to = MdnsSection.Answer;
  mdnsRecord(to, reversed, reversedLength, DnsType.PTR, class_, ttl, name, nameLength);
}

// ---- Questions -------------------------------------------------------------------------------

/** A query of which `records` is what stands behind its questions. */
export function responderAsked(
  message: usize,
  length: u32,
  records: u32,
  iface: Interface,
  source: IpAddress,
  sourcePort: u32,
): void {
  if (state == State.Off) return;
  const probing = isProbe(message, length, records);
  if (state == State.Probing) {
    if (probing && sent) tieBreak(message, length, records, iface);
    return;
  }
  if (moreKnown(message, length, records, iface, source)) return;
  const questions = mdns16(message + 4);
  let say: u32 = 0;
  let alone = true;
  let denied = false;
  let at: u32 = DNS_HEADER;
  for (let i: u32 = 0; i < questions; i++) {
    at = dnsName(message, length, at, spare);
    if (!at) return;
    const type = mdns16(message + at);
    const class_ = mdns16(message + at + 2);
    at += 4;
    const plain = class_ & ~MDNS_UNICAST;
    if (plain != DNS_IN && plain != MDNS_ANY) continue;
    const wanted = sayFor(iface, type);
    if (!wanted) continue;
    if (wanted == Say.None && reversedLength) denied = true;
    say |= wanted;
    if (!(class_ & MDNS_UNICAST)) alone = false;
  }
  if (denied && say == Say.None) return sayNoMore(iface, source, sourcePort);
  const one = questions == 1;
  const asked = one && say & Say.Names ? askedAddress : null;
  readKnown(message, length, records, iface);
  say &= ~knownOf(iface, knownAddresses, knownNames);
  if (asked !== null) {
    if (knownNames & bitOf(iface, asked)) say &= ~Say.Names;
    reverse(asked);
  }
  if (!say) return;
  const truncated = isTruncated(message);
  if (sourcePort != MDNS_PORT) {
    // 6.7: as a server of the DNS would.
    mdnsBegin(mdns16(message), MDNS_RESPONSE);
    if (!mdnsQuestions(message + DNS_HEADER, records - DNS_HEADER, questions)) return;
    put(iface, say, DNS_IN, MDNS_TTL_LEGACY, one);
    return mdnsUnicast(source, sourcePort);
  }
  const past = now() - load<u64>(multicastAt + ((<usize>iface.index) << 3));
  if (alone && (probing || past < QUARTER)) {
    mdnsBegin(0, MDNS_RESPONSE);
    put(iface, say, DNS_IN | MDNS_FLUSH, MDNS_TTL, one);
    return mdnsUnicast(source, sourcePort);
  }
  // Who did not hear what was said a moment ago asks again.
  const spacing = probing ? SPACING_PROBED : SPACING;
  if (past < spacing) return;
  if (!probing && (!one || truncated)) {
    // Others may answer, too (6.3), or what is known already still comes (7.2).
    const wait = truncated ? truncatedWait() : <u64>(20 + randomBelow(100)) * MILLISECOND;
    return owe(iface, say, source, truncated, wait);
  }
  mdnsBegin(0, MDNS_RESPONSE);
  put(iface, say, DNS_IN | MDNS_FLUSH, MDNS_TTL, one);
  multicast(iface);
}

/** Whose name `sayFor` was asked about last. */
let askedAddress: InterfaceAddress | null = null;

/** What answers a question about the name in `spare`: `Say` bits; `reversed` is the name if it is `askedAddress`'s. */
function sayFor(iface: Interface, type: u32): u32 {
  const size = dnsNameLength();
  reversedLength = 0;
  if (dnsSame(spare, size, name, nameLength)) {
    if (type == MDNS_ANY) return Say.V4 | Say.V6 | Say.None;
    return type == DnsType.A ? Say.V4 : type == DnsType.AAAA ? Say.V6 : Say.None;
  }
  memory.copy(record.owner, spare, size);
  let a = used(iface.addresses);
  while (a !== null) {
    reverse(a);
    if (dnsSame(record.owner, size, reversed, reversedLength)) {
      askedAddress = a;
      return type == DnsType.PTR || type == MDNS_ANY ? Say.Names : Say.None;
    }
    a = used(a.next);
  }
  reversedLength = 0;
  return 0;
}

/** The name of an address has a PTR record and nothing else. */
function sayNoMore(iface: Interface, source: IpAddress, sourcePort: u32): void {
  if (sourcePort != MDNS_PORT) return;
  mdnsBegin(0, MDNS_RESPONSE);
  const class_ = DNS_IN | MDNS_FLUSH;
  putTypes(MdnsSection.Answer, reversed, reversedLength, 0, true, class_, MDNS_TTL);
  mdnsUnicast(source, sourcePort);
}


@inline function debtOf(iface: Interface): Debt {
  return changetype<Debt>(debts + <usize>iface.index * offsetof<Debt>());
}

/**
 * Owes an answer within `wait`. Who said that more of what he knows is on its way has that taken off (7.2); where
 * several ask meanwhile, nothing is.
 */
function owe(iface: Interface, say: u32, source: IpAddress, more: bool, wait: u64): void {
  const debt = debtOf(iface);
  if (!debt.say && more) {
    debt.hi = source.hi;
    debt.lo = source.lo;
    debt.addresses = knownAddresses;
    debt.names = knownNames;
  } else {
    debt.hi = 0;
    debt.lo = 0;
    debt.addresses = 0;
    debt.names = 0;
  }
  debt.say |= <u8>say;
  debt.due = now() + wait;
  awaitDebts();
}

/** Whether a message is more of what someone knows who is waited for: it has no questions. */
function moreKnown(
  message: usize,
  length: u32,
  records: u32,
  iface: Interface,
  source: IpAddress,
): bool {
  const debt = debtOf(iface);
  if (mdns16(message + 4) || !debt.say) return false;
  if (debt.hi != source.hi || debt.lo != source.lo) return false;
  readKnown(message, length, records, iface);
  debt.addresses |= knownAddresses;
  debt.names |= knownNames;
  if (isTruncated(message)) {
    debt.due = now() + truncatedWait();
    awaitDebts();
  }
  return true;
}


@inline function isTruncated(message: usize): bool {
  return (mdns16(message + 2) & MDNS_TRUNCATED) != 0;
}

/** 7.2. */
function truncatedWait(): u64 {
  return <u64>(400 + randomBelow(100)) * MILLISECOND;
}

function awaitDebts(): void {
  let first = u64.MAX_VALUE;
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const debt = debtOf(interfaceAt(i));
    if (debt.say) first = min<u64>(first, debt.due);
  }
  if (first != u64.MAX_VALUE) delayed.arm(first);
}

function payDebts(_context: usize, time: u64): void {
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const iface = interfaceAt(i);
    const debt = debtOf(iface);
    if (!debt.say || debt.due > time) continue;
    const say = debt.say & ~knownOf(iface, debt.addresses, debt.names);
    debt.say = 0;
    if (!say || state < State.Announcing) continue;
    mdnsBegin(0, MDNS_RESPONSE);
    put(iface, say, DNS_IN | MDNS_FLUSH, MDNS_TTL, false);
    multicast(iface);
  }
  awaitDebts();
}

/** What `readKnown` found: a bit for each of the interface's addresses in use, in their order, and for each name of one. */
let knownAddresses: u32 = 0;
let knownNames: u32 = 0;

/** Reads which of an interface's records who asks knows already, with half their time to go (7.1). */
function readKnown(message: usize, length: u32, records: u32, iface: Interface): void {
  knownAddresses = 0;
  knownNames = 0;
  let offset = records;
  for (let i = mdns16(message + 6); i > 0; i--) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) break;
    if (record.ttl < MDNS_TTL / 2) continue;
    if (record.type == DnsType.PTR) {
      const leads = dnsName(message, length, record.dataAt, spare);
      if (leads && dnsSame(spare, dnsNameLength(), name, nameLength)) {
        knownNames |= bitOf(iface, null);
      }
    } else if (dnsSame(record.owner, record.ownerLength, name, nameLength)) {
      const own = ownAddress(message, iface);
      if (own !== null) knownAddresses |= bitOf(iface, own);
    }
  }
}

/** The bit of an address of an interface, or of that whose name owns `record`; 0 for others. */
function bitOf(iface: Interface, own: InterfaceAddress | null): u32 {
  let bit: u32 = 1;
  let a = used(iface.addresses);
  while (a !== null) {
    if (own === null) reverse(a);
    const same =
      own === null
        ? dnsSame(record.owner, record.ownerLength, reversed, reversedLength)
        : a === own;
    if (same) return bit;
    bit <<= 1;
    a = used(a.next);
  }
  return 0;
}

/** What need not be said: families all of whose addresses are known, and names if all are. `Say` bits. */
function knownOf(iface: Interface, addresses: u32, names: u32): u32 {
  let known: u32 = familiesOf(iface) | Say.Names;
  let bit: u32 = 1;
  let a = used(iface.addresses);
  while (a !== null) {
    if (!(addresses & bit)) known &= ~(a.address.isV4 ? Say.V4 : Say.V6);
    if (!(names & bit)) known &= ~Say.Names;
    bit <<= 1;
    a = used(a.next);
  }
  return known;
}

/** Our own address that `record` has, or null. */
function ownAddress(message: usize, iface: Interface): InterfaceAddress | null {
  const at = message + record.dataAt;
  if (record.type == DnsType.A && record.dataLength == 4) address.setV4(bswap(load<u32>(at)));
  else if (record.type == DnsType.AAAA && record.dataLength == 16) v6Load(address, at, iface.zone);
  else return null;
  const a = findAddress(address.hi, address.lo);
  return a !== null && a.state == AddressState.Assigned ? a : null;
}

// ---- Conflicts -------------------------------------------------------------------------------

/** A response: what it says of our name (9, 6.6). */
export function responderHeard(
  message: usize,
  length: u32,
  offset: u32,
  count: u32,
  iface: Interface,
): void {
  if (state == State.Off || (state == State.Probing && !sent)) return;
  for (let i: u32 = 0; i < count; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) return;
    if (!dnsSame(record.owner, record.ownerLength, name, nameLength)) continue;
    if (!record.ttl) continue;
    const own = ownAddress(message, iface) !== null;
    if (state == State.Probing) {
      if (own) continue;
      return rename();
    }
    if (record.type != DnsType.A && record.type != DnsType.AAAA) continue;
    if (!own) {
      // Probing finds out whose it is.
      return probe(backOff());
    }
    // Another host says the same for us, but not for long enough.
    if (record.ttl < MDNS_TTL / 2 && state == State.Owned) return announceFrom(now() + SECOND);
  }
}

/** Whether a query proposes records for our name (8.2). */
function isProbe(message: usize, length: u32, offset: u32): bool {
  const answers = mdns16(message + 6);
  const all = answers + mdns16(message + 8);
  for (let i: u32 = 0; i < all; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) return false;
    if (i < answers) continue;
    if (dnsSame(record.owner, record.ownerLength, name, nameLength)) return true;
  }
  return false;
}

/** A record as it is compared: its type, the bytes of its data, and where they are. */
@unmanaged
class Compared {
  type: u16;
  length: u16;
  data: u32;
}

/** Which of two records is later: class, type, data (8.2). All are of the Internet. */
function compare(a: Compared, b: Compared): i32 {
  if (a.type != b.type) return <i32>a.type - <i32>b.type;
  const order = memory.compare(a.data, b.data, min<u32>(a.length, b.length));
  return order ? order : <i32>a.length - <i32>b.length;
}

/** Puts `item` into a list in order of `compare`. */
function insert(list: usize, count: u32, item: Compared): void {
  let i = count;
  for (; i > 0; i--) {
    const before = load<usize>(list + ((i - 1) << 2));
    if (compare(changetype<Compared>(before), item) <= 0) break;
    store<usize>(list + (i << 2), before);
  }
  store<usize>(list + (i << 2), changetype<usize>(item));
}

/** Another host probes for the name at the same time: who has the earlier records waits, and asks again (8.2.1). */
function tieBreak(message: usize, length: u32, offset: u32, iface: Interface): void {
  let own: u32 = 0;
  let a = used(iface.addresses);
  while (a !== null && own < COMPARED) {
    const item = changetype<Compared>(ownData + <usize>own * 24);
    const bytes = changetype<usize>(item) + 8;
    item.type = <u16>(a.address.isV4 ? DnsType.A : DnsType.AAAA);
    item.length = <u16>wire(bytes, a);
    item.data = <u32>bytes;
    insert(ours, own++, item);
    a = used(a.next);
  }
  let other: u32 = 0;
  const answers = mdns16(message + 6);
  const all = answers + mdns16(message + 8);
  for (let i: u32 = 0; i < all && other < COMPARED; i++) {
    offset = dnsRecord(message, length, offset, record);
    if (!offset) return;
    if (i < answers || !dnsSame(record.owner, record.ownerLength, name, nameLength)) continue;
    const item = changetype<Compared>(theirData + ((<usize>other) << 3));
    item.type = <u16>record.type;
    item.length = <u16>record.dataLength;
    item.data = <u32>(message + record.dataAt);
    insert(theirs, other++, item);
  }
  for (let i: u32 = 0; i < max<u32>(own, other); i++) {
    // Who has no more records left than the other loses.
    if (i >= other) return;
    if (i >= own) return probe(DEFER);
    const mine = changetype<Compared>(load<usize>(ours + (i << 2)));
    const order = compare(mine, changetype<Compared>(load<usize>(theirs + (i << 2))));
    if (order > 0) return;
    if (order < 0) return probe(DEFER);
  }
}
