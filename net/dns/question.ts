import { Errno } from "../../kernel/errno";
import { now } from "../../kernel/clock";
import { AddressMode, config } from "../../kernel/config";
import { DNSSEC } from "../../kernel/features";
import { warn } from "../../kernel/log";
import { reserve, reserveUncleared } from "../../kernel/memory";
import { Packet } from "../../kernel/packet";
import { random32, randomBelow } from "../../kernel/random";
import { MILLISECOND, SECOND, Timer } from "../../kernel/timer";
import { datagramError } from "../datagram";
import { TokenBucket } from "../ratelimit";
import { LinkKind, interfaceAt, interfaceCount } from "../interface";
import { Udp, udpClose, udpConnect, udpOpen, udpSendTo } from "../udp/udp";
import { IpAddress } from "../wire/address";
import {
  DNS_HEADER,
  DNS_PORT,
  DNS_QUERY_MAX,
  DnsAsked,
  DnsCode,
  DnsHeader,
  DNS_TEXT_MAX,
  DnsType,
  dnsAsked,
  dnsLower,
  dnsQuery,
  dnsToText,
} from "../wire/dns";
import { CHAIN_MAX, Verdict, answer, answerTake, answerWithin } from "./answer";
import { AnswerKind, CacheEntry, cacheFind, cacheStore, nameHash } from "./cache";
import {
  delegationAbove,
  delegationLabels,
  referralTake,
  rootTake,
  serverChoose,
  serverWanted,
  wanted,
  wantedType,
} from "./delegation";
import { cutTo, labelCount } from "./secure/names";
import { rrsetInit } from "./secure/rrset";
import { DnsError, Security, dnsErrorName } from "./secure/security";
import { Outcome, Work, clockIsSet, isKeyType, validate, validation } from "./secure/validate";
import { answers, isLocalName, mdnsAsk } from "../mdns/querier";
import { Server, serverAfter, serverAtPlace, serverFirst, serversList } from "./servers";
import { dnsStats } from "./stats";
import { MESSAGE_MAX, Stream, streamBegin, streamsInit } from "./stream";

/**
 * Questions under way: a name and a type, asked of one server after the other until one says. All who want the
 * same wait for the same question, and its answer goes into the cache and from there to them.
 *
 * What a forger has to hit (RFC 5452, 4; RFC 9715 aside, as fragments are nobody's): the server's address, a
 * source port of 2^15 and an id of 2^16, both drawn anew for each question and server, and the case of each
 * letter of the name, which servers give back as they got it.
 */

/** Longest wait for an answer (RFC 1536, 1: doubled each time that all have been asked), and for all of them. */
const WAIT_FIRST: u64 = SECOND;
const WAIT_MOST: u64 = 5 * SECOND;
const WAIT_STREAM: u64 = 5 * SECOND;
const WAIT_ALL: u64 = 15 * SECOND;
/** What every path carries (RFC 9715, 3.1, and its appendix). */
const PAYLOAD: u32 = 1232;
/** Between two looks whether there is a network by now. */
const WAIT_NETWORK: u64 = 100 * MILLISECOND;
/** How long a failure is believed (RFC 9520, 3.2: a second at least). */
const FAILURE_TTL: u64 = 5 * SECOND;
/** Of the link: for how long it is asked, and what is waited for when it has said something else of a name. */
const WAIT_LINK: u64 = 5 * SECOND;
const WAIT_OTHER: u64 = SECOND;
/** Questions under way at a time, a power of two, which is also the table's size. */
const QUESTIONS: u32 = 64;
const QUESTION_BYTES: u32 = 736;
/** Bytes of an answer that waits to be validated: of a datagram's, and of others, which are few. */
const HELD_SMALL: u32 = 1536;
const HELD_LARGE: u32 = 4;
/** Other questions that one answer's validation may lead to: two for each zone above it. */
const NEEDS_MOST: u32 = 64;
/** Queries for one name, those for its servers' names included: a referral to very many leads no further (NXNSAttack). */
const QUERIES_MOST: u32 = 64;
/** Names of servers that are asked for on the way, and how deep that goes. */
const WANTED_MOST: u32 = 5;
const DEPTH_MOST: u32 = 4;
/** Times that all servers of a zone are asked. */
const ROUNDS: u32 = 2;
/** Labels that are asked for one by one, before the whole name (RFC 9156, 2.3). */
const MINIMISED_MOST: u32 = 7;
/** Signatures that may turn out to be wrong in all answers to a question: no other server is asked then (CVE-2023-50387). */
const WRONG_ALL: u32 = 16;
/** How long keys are believed at least: while the answer that they are for is validated. */
const KEYS_LEAST: u64 = 15 * SECOND;

/** One who waits for a question. */
@unmanaged
export class Waiter {
  next: Waiter | null;
  question: Question | null;
}


@unmanaged
export class Question {
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  /** When it is given up. */
  until: u64;
  /** In its bucket, or the free list. */
  next: Question | null;
  hash: u32;
  waiters: Waiter | null;
  udp: Udp | null;
  stream: Stream | null;
  /** Seconds that the CNAMEs followed so far are good for. */
  ttl: u32;
  /** What it fails with if nothing better comes: a positive `Errno`. */
  error: u32;
  id: u16;
  type: u16;
  nameLength: u8;
  askedLength: u8;
  /** Place of the server that is asked. */
  server: u8;
  /** Times sent, and answers that were none. */
  tries: u8;
  refusals: u8;
  /** Times that the end of a chain was asked for by itself. */
  redirects: u8;
  /** It is asked by TCP because an answer had other letters. */
  doubted: bool;
  /** The link is asked (net/mdns/); it has said that there is such a name. */
  local: bool;
  exists: bool;
  /** Validation waits for another question, or for its next turn. */
  needs: bool;
  checking: bool;
  /** `Security` of what has been found so far, and `DnsError` of what is not secure. */
  security: u8;
  reason: u16;
  heldLength: u32;
  /** The answer that is being validated. */
  held: usize;
  private waiterNext: u32;
  private waiterQuestion: u32;
  private work0: u64;
  private work1: u64;
  private work2: u64;
  private work3: u64;
  private work4: u32;
  /** When it was sent. */
  sentAt: u64;
  /** Servers of the zone at hand that were asked: how many, and their places. */
  private tried0: u64;
  private tried1: u64;
  /** Labels of the zone whose servers are asked, and of the part of the name that they are asked for. */
  zoneLabels: u8;
  sentLabels: u8;
  /** Times that all of them were asked, names of servers that were asked for, and for how many others this one is. */
  rounds: u8;
  wants: u8;
  depth: u8;
  /** It goes on where it was. */
  paused: bool;
  /** Queries that may still be sent. */
  budget: u16;
  /** Signatures of earlier answers that were wrong. */
  wrong: u8;

  /** A number, and as many places of servers. */
  @inline get tried(): usize {
    return changetype<usize>(this) + offsetof<Question>("tried0");
  }

  /** What has been verified of the answer at hand. */
  @inline get work(): Work {
    return changetype<Work>(changetype<usize>(this) + offsetof<Question>("work0"));
  }

  /** As one who waits for another question himself. */
  @inline get waiter(): Waiter {
    return changetype<Waiter>(changetype<usize>(this) + offsetof<Question>("waiterNext"));
  }


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this));
  }

  /** What was asked, in lower case. */
  @inline get name(): usize {
    return changetype<usize>(this) + (QUESTION_BYTES - 512);
  }

  /** What is asked of servers: the name, or where its CNAMEs have led so far; each letter in either case. */
  @inline get asked(): usize {
    return changetype<usize>(this) + (QUESTION_BYTES - 256);
  }
}

const buckets: usize = memory.data(64 * 4, 8);
const query: usize = memory.data(DNS_QUERY_MAX, 8);
let free: Question | null = null;
let questions: usize = 0;
/** Room for answers that are being validated: a small one for each question, then large ones, and who has those. */
let holds: usize = 0;
const holders: usize = memory.data(4 * 4, 4);
const lowered: usize = memory.data(256, 8);
const text: usize = memory.data(DNS_TEXT_MAX);
/** Lines about bogus answers: a few at a time. */
const complaints = changetype<TokenBucket>(memory.data(offsetof<TokenBucket>(), 8));
let answeredFn: u32 = 0;

/** Reserves the questions; `answered` hears of each answer that a waiter gets. Start-up only. */
export function questionsInit(answered: (waiter: Waiter, entry: CacheEntry) => void): void {
  assert(offsetof<Question>() <= QUESTION_BYTES - 512);
  answeredFn = answered.index;
  questions = reserve(QUESTIONS * QUESTION_BYTES, 8);
  for (let i: u32 = 0; i < QUESTIONS; i++) {
    const q = changetype<Question>(questions + <usize>i * QUESTION_BYTES);
    q.timer.init(timeUp, changetype<usize>(q));
    q.next = free;
    free = q;
  }
  if (DNSSEC && config.dnssec) {
    assert(offsetof<Work>() <= 40);
    holds = reserveUncleared(QUESTIONS * HELD_SMALL + HELD_LARGE * MESSAGE_MAX, 8);
    memory.fill(holders, 0, HELD_LARGE << 2);
    complaints.init(1, 5);
    rrsetInit();
    if (!clockIsSet()) {
      warn("dns")
        .text("the clock is not set: no signature can be checked; set it, or use dnssec=off")
        .end();
    }
  }
  streamsInit(streamAnswered);
}


@inline function bucketOf(hash: u32): usize {
  return buckets + ((<usize>(hash & (QUESTIONS - 1))) << 2);
}

/** What the cache knows of a name in lower case, and a type; or null. Until the next question ends. */
export function known(name: usize, nameLength: u32, type: u32): CacheEntry | null {
  const entry = cacheFind(nameHash(name, nameLength, type), name, nameLength, type);
  if (entry !== null) return entry;
  // Under type 0: that there is no such name (RFC 2308, 5).
  const none = cacheFind(nameHash(name, nameLength, 0), name, nameLength, 0);
  return DNSSEC && config.dnssec && none === null ? noneAbove(name, nameLength) : none;
}

/**
 * That there is no name above, so none below (RFC 8020, 2), if that is proven: some servers say so of names without
 * records that lie above others, and sign the opposite.
 */
function noneAbove(name: usize, nameLength: u32): CacheEntry | null {
  for (let at: u32 = 1 + load<u8>(name); at < nameLength - 1; at += 1 + load<u8>(name + at)) {
    const length = nameLength - at;
    const entry = cacheFind(nameHash(name + at, length, 0), name + at, length, 0);
    if (entry !== null && entry.security == Security.Secure) return entry;
  }
  return null;
}

/**
 * Lets `waiter` wait for what is `known` of a name in lower case, and a type, once servers have said: 0, or
 * -ENETUNREACH without a server, -ENOBUFS when too much is under way.
 */
export function questionJoin(waiter: Waiter, name: usize, nameLength: u32, type: u32): i32 {
  const hash = nameHash(name, nameLength, type);
  let q = changetype<Question | null>(load<usize>(bucketOf(hash)));
  while (q !== null) {
    const same = q.hash == hash && q.type == type && q.nameLength == nameLength;
    if (same && memory.compare(q.name, name, nameLength) == 0) {
      dnsStats.joined++;
      wait(waiter, q);
      return 0;
    }
    q = q.next;
  }
  q = free;
  if (q === null) {
    dnsStats.noRoom++;
    return -Errno.ENOBUFS;
  }
  const local = config.mdns && isLocalName(name, nameLength);
  const served = local || (DNSSEC && config.iterative);
  if (!served && !serversList() && !networkMayCome()) return -Errno.ENETUNREACH;
  free = q.next;
  const timer = q.timer;
  const fields = offsetof<Question>("until");
  memory.fill(changetype<usize>(q) + fields, 0, offsetof<Question>() - fields);
  q.hash = hash;
  q.type = <u16>type;
  q.nameLength = <u8>nameLength;
  q.ttl = u32.MAX_VALUE;
  q.local = local;
  q.until = now() + (local ? WAIT_LINK : WAIT_ALL);
  q.budget = <u16>QUERIES_MOST;
  q.error = Errno.ENETUNREACH;
  // Nobody signs names of the link.
  const signed = DNSSEC && config.dnssec != 0 && !local;
  q.security = <u8>(signed ? Security.Secure : Security.Unchecked);
  memory.copy(q.name, name, nameLength);
  memory.copy(q.asked, name, nameLength);
  q.askedLength = <u8>nameLength;
  const bucket = bucketOf(hash);
  q.next = changetype<Question | null>(load<usize>(bucket));
  store<usize>(bucket, changetype<usize>(q));
  dnsStats.questionsOpen++;
  wait(waiter, q);
  // Sent from the timer, so that nobody is answered before he waits.
  // Of the link not at the same time as others who have seen the same (RFC 6762, 5.2).
  timer.arm(local ? now() + <u64>(20 + randomBelow(100)) * MILLISECOND : now());
  return 0;
}

function wait(waiter: Waiter, q: Question): void {
  waiter.question = q;
  waiter.next = q.waiters;
  q.waiters = waiter;
}

/** `waiter` waits no more. What nobody waits for goes on: its answer may be wanted soon. */
export function questionLeave(waiter: Waiter): void {
  const q = waiter.question;
  if (q === null) return;
  waiter.question = null;
  let link = changetype<usize>(q) + offsetof<Question>("waiters");
  while (load<usize>(link) != changetype<usize>(waiter)) {
    link = load<usize>(link) + offsetof<Waiter>("next");
  }
  store<usize>(link, changetype<usize>(waiter.next));
}

// ---- Asking --------------------------------------------------------------------------------

/** Sets the name that servers are asked for. */
function aim(q: Question, name: usize, length: u32): void {
  q.askedLength = <u8>length;
  q.id = <u16>random32();
  const blind = serverAtPlace(q.server).blind;
  dnsLower(q.asked, name, length);
  if (blind) return;
  for (let i: u32 = 0, bits: u32 = 0; i < length; i++, bits >>>= 1) {
    if (!(i & 31)) bits = random32();
    const byte = <u32>load<u8>(q.asked + i);
    if (byte - 0x61 < 26) store<u8>(q.asked + i, <u8>(byte ^ ((bits & 1) << 5)));
  }
}

function build(q: Question): u32 {
  const payload = serverAtPlace(q.server).plain ? 0 : PAYLOAD;
  const secure = DNSSEC && config.dnssec != 0;
  const from = sentFrom(q);
  const length = q.askedLength - from;
  const recursion = !(DNSSEC && config.iterative);
  return dnsQuery(query, q.id, q.asked + from, length, sentType(q), payload, secure, recursion);
}

/** Whether there is no server only because no DHCP server has been heard of yet. */
function networkMayCome(): bool {
  if (config.mode != AddressMode.Dhcp || config.dnsCount) return false;
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    if (interfaceAt(i).kind == LinkKind.Ethernet && interfaceAt(i).v4Address) return false;
  }
  return true;
}

/** There is nobody to ask, or no way to anybody, as when programs begin before the network does. */
function awaitNetwork(q: Question): void {
  q.tries = 0;
  q.refusals = 0;
  q.timer.arm(min<u64>(now() + WAIT_NETWORK, q.until));
}

/** Sends the question by UDP and waits. */
function send(q: Question): void {
  if (DNSSEC && config.iterative) return step(q);
  const servers = serversList();
  if (!servers) return awaitNetwork(q);
  if (!q.tries) {
    q.server = <u8>serverFirst();
    aim(q, q.asked, q.askedLength);
  } else {
    dnsStats.retries++;
  }
  const server = serverAtPlace(q.server);
  const wait = WAIT_FIRST << min<u32>(q.tries / servers, 8);
  if (q.tries < 255) q.tries++;
  q.timer.arm(min<u64>(now() + min<u64>(wait, WAIT_MOST), q.until));
  if (q.udp === null) open(q, server);
  const u = q.udp;
  if (u === null) return;
  // What came of the one before is known, or will be asked again.
  datagramError(u);
  if (udpSendTo(u, query, build(q), null, 0) < 0) return;
  q.error = Errno.ETIMEDOUT;
  dnsStats.sent++;
}

/** An endpoint for this question and server alone, at a port that nobody can foresee. */
function open(q: Question, server: Server): void {
  const u = udpOpen();
  if (u === null) {
    dnsStats.noRoom++;
    return;
  }
  if (udpConnect(u, server.address, DNS_PORT) < 0) {
    udpClose(u);
    if (<u32>++q.refusals < serversList()) q.timer.arm(now());
    else awaitNetwork(q);
    return;
  }
  u.handler = datagram.index;
  u.context = changetype<usize>(q);
  q.udp = u;
}

/** Lets go of what the server at hand was asked by. */
function hangUp(q: Question): void {
  const u = q.udp;
  if (u !== null) udpClose(u);
  q.udp = null;
  const stream = q.stream;
  if (stream !== null) stream.end();
  q.stream = null;
}

/** Asks the next server, or the same one again. */
function goOn(q: Question): void {
  if (DNSSEC && config.iterative) return step(q);
  const servers = serversList();
  if (!servers || now() >= q.until) return fail(q);
  const next = serverAfter(q.server);
  if (next != q.server || q.stream !== null) {
    hangUp(q);
    q.server = <u8>next;
    aim(q, q.asked, q.askedLength);
  }
  send(q);
}

/** The server cannot say: the next one at once, unless all have been asked. */
function refused(q: Question, error: Errno): void {
  dnsStats.refused++;
  q.error = error;
  if (DNSSEC && config.iterative) return step(q);
  if (<u32>++q.refusals >= serversList()) return fail(q);
  goOn(q);
}

/** Asks the same server by TCP. */
function askByStream(q: Question): void {
  hangUp(q);
  const server = serverAtPlace(q.server);
  q.timer.arm(min<u64>(now() + WAIT_STREAM, q.until));
  q.stream = streamBegin(changetype<usize>(q), server.address, query, build(q));
  if (q.stream !== null) dnsStats.streams++;
  else dnsStats.noRoom++;
}

function timeUp(context: usize, time: u64): void {
  const q = changetype<Question>(context);
  if (DNSSEC && q.checking) return check(q);
  if (q.needs) return unneeded(q);
  if (q.local) return askLink(q, time);
  if (DNSSEC && q.paused) return step(q);
  if (!q.tries) return time < q.until ? send(q) : fail(q);
  dnsStats.timeouts++;
  serverAtPlace(q.server).timedOut();
  goOn(q);
}

/** Asks all on the link, 1, 2 … seconds apart (RFC 6762, 5.2), until they have had time to answer. */
function askLink(q: Question, time: u64): void {
  if (time >= q.until) {
    // Nobody denies a name that nobody has.
    const kind = q.exists ? AnswerKind.NoData : AnswerKind.NoName;
    return settle(q, q.type, kind, time, answer.data, 0);
  }
  mdnsAsk(q.name, q.nameLength, q.type, q.tries == 0);
  dnsStats.sent++;
  if (q.tries) dnsStats.retries++;
  q.timer.arm(min<u64>(time + (SECOND << q.tries), q.until));
  q.tries++;
}

/** A response of the link, its records at `offset`: the end of those questions that it answers. */
export function questionsHear(
  message: usize,
  length: u32,
  offset: u32,
  count: u32,
  zone: u32,
): void {
  for (let i: u32 = 0; i < QUESTIONS; i++) {
    let q = changetype<Question | null>(load<usize>(bucketOf(i)));
    while (q !== null) {
      const next = q.next;
      if (q.local && q.tries) hear(q, message, length, offset, count, zone);
      q = next;
    }
  }
}

function hear(q: Question, message: usize, length: u32, offset: u32, count: u32, zone: u32): void {
  if (answers(message, length, offset, count, q.name, q.nameLength, q.type, zone)) {
    dnsStats.answers++;
    const until = now() + <u64>answer.ttl * SECOND;
    return settle(q, q.type, <AnswerKind>answer.kind, until, answer.data, answer.dataLength);
  }
  const other = q.type == DnsType.A ? DnsType.AAAA : q.type == DnsType.AAAA ? DnsType.A : 0;
  if (!other || q.exists) return;
  // A host whose other addresses are told has none of these, mostly, but need not say so.
  if (!answers(message, length, offset, count, q.name, q.nameLength, other, zone)) return;
  q.exists = true;
  q.until = min<u64>(q.until, now() + WAIT_OTHER);
  q.timer.arm(q.until);
}

// ---- Answers -------------------------------------------------------------------------------

/** What came to a question's endpoint: from the server's address and port, since it is connected. */
function datagram(u: Udp, packet: Packet | null, _source: IpAddress, _port: u32): void {
  const q = changetype<Question>(u.context);
  if (packet === null) {
    datagramError(u);
    dnsStats.timeouts++;
    serverAtPlace(q.server).absent();
    return refused(q, Errno.ECONNREFUSED);
  }
  const asked = accepts(q, packet.data, packet.length);
  if (asked == DnsAsked.Other) dnsStats.ignored++;
  else if (asked == DnsAsked.OtherCase && !serverAtPlace(q.server).blind) {
    // Either a server that keeps no case, or one who guesses: TCP can tell.
    dnsStats.otherCase++;
    q.doubted = true;
    askByStream(q);
  } else if (changetype<DnsHeader>(packet.data).truncated) {
    dnsStats.truncated++;
    q.doubted = false;
    askByStream(q);
  } else {
    take(q, packet.data, packet.length);
  }
  packet.release();
}

/** Whether a message answers what was asked, but for what it says. */
function accepts(q: Question, message: usize, length: u32): DnsAsked {
  if (length < DNS_HEADER) return DnsAsked.Other;
  const header = changetype<DnsHeader>(message);
  if (header.id != q.id || !header.isAnswer) return DnsAsked.Other;
  // Some servers that do not understand a query give none of it back.
  const code = header.code;
  const deaf = code == DnsCode.FormatError || code == DnsCode.NotImplemented;
  if (!header.questions && length == DNS_HEADER && deaf) return DnsAsked.Same;
  if (header.questions != 1) return DnsAsked.Other;
  const from = sentFrom(q);
  return dnsAsked(message, length, q.asked + from, q.askedLength - from, sentType(q));
}

function streamAnswered(context: usize, message: usize, length: i32): void {
  const q = changetype<Question>(context);
  q.stream = null;
  const server = serverAtPlace(q.server);
  if (length < 0 || accepts(q, message, length) == DnsAsked.Other) {
    if (length >= 0) dnsStats.ignored++;
    // Whose case alone was wrong is asked once more, and then believed by port and id.
    if (q.doubted && !server.blind) {
      server.blind = true;
      aim(q, q.asked, q.askedLength);
      return send(q);
    }
    return refused(q, Errno.EIO);
  }
  // What does not fit even here nobody has whole.
  if (changetype<DnsHeader>(message).truncated) return refused(q, Errno.EIO);
  take(q, message, length);
}

function take(q: Question, message: usize, length: u32): void {
  const server = serverAtPlace(q.server);
  server.answered();
  if (DNSSEC && config.iterative && heard(q, message, length)) return;
  const code = changetype<DnsHeader>(message).code;
  if (DNSSEC && config.dnssec && (code == DnsCode.NoError || code == DnsCode.NameError)) {
    if (hold(q, message, length)) return check(q);
    dnsStats.noRoom++;
    return refused(q, Errno.ENOBUFS);
  }
  understand(q, read(q, message, length));
}

/** Goes on with what `answerTake` made of a message. */
function understand(q: Question, verdict: Verdict): void {
  const server = serverAtPlace(q.server);
  switch (verdict) {
    case Verdict.Taken:
      dnsStats.answers++;
      return taken(q);
    case Verdict.Elsewhere:
      dnsStats.answers++;
      return redirect(q);
    case Verdict.NotUnderstood:
      if (server.plain) return refused(q, Errno.EIO);
      server.plain = true;
      hangUp(q);
      return send(q);
    case Verdict.Malformed:
      dnsStats.ignored++;
      return refused(q, Errno.EIO);
    default:
      return refused(q, Errno.EIO);
  }
}

/** The answer is in `answer`. */
function taken(q: Question): void {
  const ttl = min<u32>(answer.ttl, q.ttl);
  const kind = answer.kind;
  // Of a name at the end of a chain its beginning knows only by type.
  const all = kind == AnswerKind.NoName && !answer.chained && !q.redirects;
  const type = all ? 0 : <u32>q.type;
  let until = now() + <u64>ttl * SECOND;
  if (DNSSEC && q.security && isKeyType(q.type)) until = max<u64>(until, now() + KEYS_LEAST);
  settle(q, type, kind, until, answer.data, answer.dataLength);
}

/** A chain led to a name that the server says nothing of. */
function redirect(q: Question): void {
  if (<u32>++q.redirects > CHAIN_MAX) return fail(q);
  q.ttl = min<u32>(q.ttl, answer.ttl);
  dnsLower(q.asked, answer.target, answer.targetLength);
  const entry = known(q.asked, answer.targetLength, q.type);
  if (entry !== null && entry.kind != AnswerKind.Failure) {
    memory.copy(answer.data, entry.data, entry.dataLength);
    q.security = min<u8>(q.security, entry.security);
    const until = min<u64>(entry.expiresAt, now() + <u64>q.ttl * SECOND);
    return settle(q, q.type, entry.kind, until, answer.data, entry.dataLength);
  }
  hangUp(q);
  aim(q, q.asked, answer.targetLength);
  if (DNSSEC && config.iterative) q.tries = 0;
  send(q);
}

function fail(q: Question): void {
  dnsStats.failed++;
  q.security = 0;
  if (DNSSEC && q.error == Errno.EBADMSG) complain(q);
  store<u32>(answer.data, q.error);
  // That there is no network says nothing of the name.
  const until = q.error == Errno.ENETUNREACH ? now() : now() + FAILURE_TTL;
  settle(q, q.type, AnswerKind.Failure, until, answer.data, 4);
}

/** Ends a question: what came of it is stored, and told to all who wait. */
function settle(
  q: Question,
  type: u32,
  kind: AnswerKind,
  expiresAt: u64,
  data: usize,
  dataLength: u32,
): void {
  hangUp(q);
  if (DNSSEC && q.held) release(q);
  q.timer.cancel();
  let link = bucketOf(q.hash);
  while (load<usize>(link) != changetype<usize>(q)) {
    link = load<usize>(link) + offsetof<Question>("next");
  }
  store<usize>(link, changetype<usize>(q.next));
  dnsStats.questionsOpen--;
  const hash = type == q.type ? q.hash : nameHash(q.name, q.nameLength, type);
  const entry = cacheStore(hash, q.name, q.nameLength, type, kind, expiresAt, data, dataLength);
  if (entry !== null) {
    entry.security = q.security;
    entry.note = q.reason;
  }
  let waiter = q.waiters;
  while (waiter !== null) {
    const next = waiter.next;
    waiter.question = null;
    if (isInside(waiter)) resume(waiter);
    else call_indirect<void>(answeredFn, waiter, entry);
    waiter = next;
  }
  q.next = free;
  free = q;
}

/** What `answerTake` makes of a message. */
function read(q: Question, message: usize, length: u32): Verdict {
  if (DNSSEC && config.iterative) {
    dnsLower(around, q.asked, q.askedLength);
    const from = cutTo(around, q.zoneLabels);
    answerWithin(around + from, q.askedLength - from);
  } else {
    answerWithin(0, 0);
  }
  return answerTake(message, length, q.askedLength, q.type);
}

const around: usize = memory.data(256, 8);

// ---- From the root on ----------------------------------------------------------------------

/** Where the part of the name that servers are asked for begins. */
function sentFrom(q: Question): u32 {
  return DNSSEC && config.iterative ? cutTo(q.asked, q.sentLabels) : 0;
}

/** The type that they are asked for: of a part any will do (RFC 9156, 2.1). */
function sentType(q: Question): u32 {
  return sentFrom(q) ? <u32>DnsType.A : <u32>q.type;
}

/**
 * Asks one of the servers of the deepest zone around the name whose servers are known (RFC 1034, 5.3.3), for no more
 * of the name than they need to see (RFC 9156).
 */
function step(q: Question): void {
  q.paused = false;
  hangUp(q);
  if (networkMayCome()) return awaitNetwork(q);
  dnsLower(around, q.asked, q.askedLength);
  const entry = delegationAbove(around, q.askedLength, q.type == DnsType.DS);
  if (entry === null && prime(q)) return;
  if (!q.tries || delegationLabels != q.zoneLabels) {
    q.zoneLabels = <u8>delegationLabels;
    q.sentLabels = q.zoneLabels;
    reveal(q);
    q.rounds = 0;
    store<u8>(q.tried, 0);
  } else if (load<u8>(q.tried)) {
    dnsStats.retries++;
  }
  if (q.tries < 255) q.tries++;
  while (now() < q.until && q.budget) {
    const place = serverChoose(entry, q.tried);
    if (place < 0) return searchServers(q, around);
    const count = load<u8>(q.tried) + 1;
    store<u8>(q.tried, count);
    store<u8>(q.tried + count, <u8>place);
    q.server = <u8>place;
    aim(q, q.asked, q.askedLength);
    const server = serverAtPlace(place);
    const u = udpOpen();
    if (u === null) break;
    q.budget--;
    if (udpConnect(u, server.address, DNS_PORT) < 0 || udpSendTo(u, query, build(q), null, 0) < 0) {
      udpClose(u);
      continue;
    }
    u.handler = datagram.index;
    u.context = changetype<usize>(q);
    q.udp = u;
    q.error = Errno.ETIMEDOUT;
    q.sentAt = now();
    q.timer.arm(min<u64>(now() + server.patience, q.until));
    dnsStats.sent++;
    return;
  }
  fail(q);
}

/**
 * Asks one of the root servers that are built in, or named by the command line, who they are now (RFC 9609); whether `q`
 * waits for that. One that could not be had leaves those that are known.
 */
function prime(q: Question): bool {
  if (isPriming(q) || known(ROOT, 1, DnsType.NS) !== null) return false;
  if (questionJoin(q.waiter, ROOT, 1, DnsType.NS) < 0) return false;
  if (waitsFor(q.waiter.question!, q)) {
    questionLeave(q.waiter);
    return false;
  }
  q.needs = true;
  q.timer.arm(q.until);
  return true;
}

const ROOT: usize = memory.data(1);

/** Takes who they are; those who wait go on at once, as what validates the answer may be among them. */
function primed(q: Question, message: usize, length: u32): void {
  rootTake(message, length);
  let waiter = q.waiters;
  while (waiter !== null) {
    const next = waiter.next;
    if (isInside(waiter)) {
      questionLeave(waiter);
      resume(waiter);
    }
    waiter = next;
  }
}

/** Whether a question is who the root servers are. */
@inline function isPriming(q: Question): bool {
  return q.type == DnsType.NS && q.askedLength == 1;
}

/** Asks for one more label of the name, or for all of it. */
function reveal(q: Question): void {
  const labels = labelCount(q.asked);
  const next = <u32>q.sentLabels + 1;
  q.sentLabels = <u8>(next >= labels || next > MINIMISED_MOST ? labels : next);
}

/** All servers of the zone whose addresses are known have been asked: looks for the addresses of others. */
function searchServers(q: Question, name: usize): void {
  const from = cutTo(name, q.zoneLabels);
  const entry = delegationAbove(name, q.askedLength, q.type == DnsType.DS);
  if (q.wants < WANTED_MOST && q.depth < DEPTH_MOST && q.budget > 1) {
    const size = serverWanted(entry, name + from, q.askedLength - from);
    if (size) {
      q.wants++;
      if (questionJoin(q.waiter, wanted, size, wantedType) < 0) return fail(q);
      const other = q.waiter.question!;
      if (waitsFor(other, q)) {
        questionLeave(q.waiter);
        return fail(q);
      }
      if (!other.tries) {
        // All that one name leads to has one budget.
        other.depth = q.depth + 1;
        other.budget = q.budget >> 1;
        q.budget -= other.budget;
      }
      q.needs = true;
      q.timer.arm(q.until);
      return;
    }
  }
  if (!load<u8>(q.tried) || <u32>++q.rounds >= ROUNDS) return fail(q);
  store<u8>(q.tried, 0);
  q.paused = true;
  q.timer.arm(now());
}

/** Whether a question waits, perhaps by way of others, for `q`: zones whose servers lie in each other. */
function waitsFor(other: Question, q: Question): bool {
  let at: Question | null = other;
  while (at !== null) {
    if (at === q) return true;
    at = at.waiter.question;
  }
  return false;
}

/** Takes what a zone's server said, unless it is an answer to the whole question; whether that is all. */
function heard(q: Question, message: usize, length: u32): bool {
  const header = changetype<DnsHeader>(message);
  if (q.sentAt) serverAtPlace(q.server).heard(now() - q.sentAt);
  q.sentAt = 0;
  if (header.code != DnsCode.NoError && header.code != DnsCode.NameError) return false;
  const from = sentFrom(q);
  dnsLower(around, q.asked + from, q.askedLength - from);
  // Some set the bit of an authority on referrals, too: there is nothing else in them then.
  const refers =
    !header.answers &&
    header.code == DnsCode.NoError &&
    referralTake(message, length, around, q.askedLength - from, q.zoneLabels);
  if (refers) {
    step(q);
    return true;
  }
  if (!header.authoritative) {
    // Nothing, or to where it came from: it does not know the zone that it was said to serve (RFC 1912, 2.8).
    refused(q, Errno.EIO);
    return true;
  }
  if (isPriming(q)) primed(q, message, length);
  if (!from) return false;
  dnsStats.answers++;
  // Some say that there is no name where there are only others below it: all of it tells (RFC 9156, 3).
  if (header.code == DnsCode.NameError) q.sentLabels = <u8>labelCount(q.asked);
  else reveal(q);
  store<u8>(q.tried, 0);
  step(q);
  return true;
}

// ---- Validation ----------------------------------------------------------------------------

/** Whether who waits is a question. */
@inline function isInside(waiter: Waiter): bool {
  return changetype<usize>(waiter) - questions < QUESTIONS * QUESTION_BYTES;
}

/** What a question waited for is in the cache: it goes on when the timer says, not from within. */
function resume(waiter: Waiter): void {
  const q = changetype<Question>(changetype<usize>(waiter) - offsetof<Question>("waiterNext"));
  q.needs = false;
  q.checking = q.held != 0;
  q.paused = !q.checking;
  q.timer.arm(now());
}

/** Keeps an answer to be validated, and hangs up; false without room for it. */
function hold(q: Question, message: usize, length: u32): bool {
  const index = <u32>(changetype<usize>(q) - questions) / QUESTION_BYTES;
  if (length <= HELD_SMALL) {
    q.held = holds + index * HELD_SMALL;
  } else {
    let i: u32 = 0;
    while (i < HELD_LARGE && load<u32>(holders + (i << 2))) i++;
    if (i == HELD_LARGE || length > MESSAGE_MAX) return false;
    store<u32>(holders + (i << 2), <u32>changetype<usize>(q));
    q.held = holds + QUESTIONS * HELD_SMALL + i * MESSAGE_MAX;
  }
  memory.copy(q.held, message, length);
  q.heldLength = length;
  memory.fill(changetype<usize>(q.work), 0, offsetof<Work>());
  hangUp(q);
  return true;
}

/** Lets go of the answer, and of what its validation waits for. */
function release(q: Question): void {
  questionLeave(q.waiter);
  q.held = 0;
  q.needs = false;
  q.checking = false;
  for (let i: u32 = 0; i < HELD_LARGE; i++) {
    const holder = holders + (i << 2);
    if (load<u32>(holder) == <u32>changetype<usize>(q)) store<u32>(holder, 0);
  }
}

/** Validates the answer at hand as far as that goes. */
function check(q: Question): void {
  q.checking = false;
  const verdict = read(q, q.held, q.heldLength);
  if (verdict != Verdict.Taken && verdict != Verdict.Elsewhere) {
    release(q);
    return understand(q, verdict);
  }
  const kind = verdict == Verdict.Elsewhere ? AnswerKind.Hole : <AnswerKind>answer.kind;
  dnsLower(lowered, q.asked, q.askedLength);
  switch (validate(q.held, q.heldLength, lowered, q.askedLength, q.type, kind, q.work)) {
    case Outcome.Need:
      return need(q);
    case Outcome.Again:
      q.checking = true;
      q.timer.arm(now());
      return;
    case Outcome.Failed:
      q.error = validation.error;
      q.reason = <u16>validation.reason;
      return fail(q);
    default:
      break;
  }
  q.wrong += q.work.wrong;
  release(q);
  q.reason = <u16>validation.reason;
  if (validation.security == Security.Bogus) {
    dnsStats.bogus++;
    if (q.wrong < WRONG_ALL) return refused(q, Errno.EBADMSG);
    q.error = Errno.EBADMSG;
    return fail(q);
  }
  if (validation.security == Security.Secure) dnsStats.secure++;
  else dnsStats.insecure++;
  q.security = min<u8>(q.security, <u8>validation.security);
  q.ttl = min<u32>(q.ttl, validation.ttl);
  if (validation.delegation) q.reason = 1;
  understand(q, verdict);
}

/** Asks what validation needs first. */
function need(q: Question): void {
  let error: i32 = -Errno.EIO;
  if (q.work.needs < NEEDS_MOST) {
    q.work.needs++;
    error = questionJoin(q.waiter, validation.need, validation.needLength, validation.needType);
  }
  if (error == 0) {
    q.needs = true;
    q.timer.arm(q.until);
    return;
  }
  q.error = -error;
  fail(q);
}

/** What is needed first has not come in time. */
function unneeded(q: Question): void {
  questionLeave(q.waiter);
  q.needs = false;
  q.error = Errno.ETIMEDOUT;
  if (DNSSEC && q.held) q.reason = <u16>DnsError.KeyMissing;
  fail(q);
}

/** Says on the console why an answer is none that a program waits for. */
function complain(q: Question): void {
  let waiter = q.waiters;
  while (waiter !== null && isInside(waiter)) waiter = waiter.next;
  if (waiter === null || !complaints.take(now())) return;
  const line = warn("dns").text("bogus, refused: ").text(dnsErrorName(q.reason));
  line.key("name").bytes(text, dnsToText(q.name, text)).key("type").number(q.type);
  line.key("server").ip(serverAtPlace(q.server).address).end();
}
