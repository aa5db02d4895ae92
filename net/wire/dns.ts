/**
 * DNS messages (RFC 1035, 4.1; RFC 6891).
 *
 *      0    2       4       6       8       10      12
 *     ┌────┬───────┬───────┬───────┬───────┬───────┬──────────┬────────┬───────────┬────────────
 *     │ id │ flags │ qd    │ an    │ ns    │ ar    │ question │ answer │ authority │ additional
 *     └────┴───────┴───────┴───────┴───────┴───────┴──────────┴────────┴───────────┴────────────
 *
 * A name in memory is as on the wire without compression: labels, each behind its length, and the
 * empty one of the root. No length byte is a letter, so names are compared without regard to case as
 * runs of bytes.
 */

export const DNS_HEADER: u32 = 12;
export const DNS_PORT: u32 = 53;
/** Bytes of a name, and of a label (RFC 1035, 2.3.4). */
export const DNS_NAME_MAX: u32 = 255;
const LABEL_MAX: u32 = 63;
/** Bytes of a name as text at most: every byte of it as `\DDD`, and the dots. */
export const DNS_TEXT_MAX: i32 = 4 * 255;

/** Types of records, with where they are defined. */
export const enum DnsType {
  /** RFC 1035, 3.2.2. */
  A = 1,
  NS = 2,
  CNAME = 5,
  SOA = 6,
  PTR = 12,
  MX = 15,
  TXT = 16,
  /** RFC 3596. */
  AAAA = 28,
  /** RFC 2782. */
  SRV = 33,
  /** RFC 6672. */
  DNAME = 39,
  /** RFC 6891. */
  OPT = 41,
  /** RFC 4034; RFC 5155. */
  DS = 43,
  RRSIG = 46,
  NSEC = 47,
  DNSKEY = 48,
  NSEC3 = 50,
}

/** The Internet (RFC 1035, 3.2.4). */
export const DNS_IN: u32 = 1;

/** RFC 1035, 4.1.1; RFC 6891, 9. */
export const enum DnsCode {
  NoError = 0,
  FormatError = 1,
  ServerFailure = 2,
  NameError = 3,
  NotImplemented = 4,
  Refused = 5,
}

const FLAG_RESPONSE: u32 = 0x8000;
const FLAG_OPCODE: u32 = 0x7800;
const FLAG_AUTHORITATIVE: u32 = 0x0400;
const FLAG_TRUNCATED: u32 = 0x0200;
const FLAG_RECURSION: u32 = 0x0100;
const FLAG_AVAILABLE: u32 = 0x0080;
/** RFC 4035, 3.2.2. */
const FLAG_UNCHECKED: u32 = 0x0010;
/** Of OPT's flags (RFC 3225, 3). */
const OPT_SECURE: u32 = 0x8000;
const CODE: u32 = 15;

/** A TTL with its top bit set is 0 (RFC 2181, 8). */
const TTL_MAX: u32 = 0x7fff_ffff;


@inline function load16(at: usize): u32 {
  return bswap<u32>(load<u16>(at)) >>> 16;
}


@inline function store16(at: usize, value: u32): void {
  store<u16>(at, <u16>(bswap<u32>(value) >>> 16));
}

/** The first `DNS_HEADER` bytes of a message. */
@unmanaged
export class DnsHeader {

  @inline private word(at: usize): u32 {
    return load16(changetype<usize>(this) + at);
  }


  @inline get id(): u32 {
    return this.word(0);
  }

  /** An answer to a plain query: opcode 0. */
  @inline get isAnswer(): bool {
    return (this.word(2) & (FLAG_RESPONSE | FLAG_OPCODE)) == FLAG_RESPONSE;
  }


  @inline get truncated(): bool {
    return (this.word(2) & FLAG_TRUNCATED) != 0;
  }

  /** The server answers for itself. */
  @inline get authoritative(): bool {
    return (this.word(2) & FLAG_AUTHORITATIVE) != 0;
  }

  /** The server answers for itself, or would ask others for us: its word is final. */
  @inline get complete(): bool {
    return (this.word(2) & (FLAG_AUTHORITATIVE | FLAG_AVAILABLE)) != 0;
  }

  /** `DnsCode`, its low four bits. */
  @inline get code(): u32 {
    return this.word(2) & CODE;
  }


  @inline get questions(): u32 {
    return this.word(4);
  }


  @inline get answers(): u32 {
    return this.word(6);
  }


  @inline get authorities(): u32 {
    return this.word(8);
  }


  @inline get additionals(): u32 {
    return this.word(10);
  }
}

// ---- Names ---------------------------------------------------------------------------------

/** Length of the name that was read or made last. */
let nameLength: u32 = 0;


@inline export function dnsNameLength(): u32 {
  return nameLength;
}

/**
 * Reads the name at `offset` of a message of `length` bytes into `into`, which holds `DNS_NAME_MAX`:
 * the offset behind it, or 0 if it is none. `dnsNameLength` is its length. A pointer must lead to
 * before the run of labels that it ends (RFC 1035, 4.1.4: a prior occurrence), so they cannot turn in a
 * circle. Cost: the name's length.
 */
export function dnsName(message: usize, length: u32, offset: u32, into: usize): u32 {
  let end: u32 = 0;
  let start = offset;
  let written: u32 = 0;
  while (offset < length) {
    const size = <u32>load<u8>(message + offset);
    if (size <= LABEL_MAX) {
      if (size + 1 > length - offset || written + size + 1 > DNS_NAME_MAX) return 0;
      memory.copy(into + written, message + offset, size + 1);
      written += size + 1;
      offset += size + 1;
      if (size) continue;
      nameLength = written;
      return end ? end : offset;
    }
    // 01 and 10 in the top bits mean nothing any more (RFC 6891, 5).
    if (size < 0xc0 || length - offset < 2) return 0;
    const target = load16(message + offset) & 0x3fff;
    if (!end) end = offset + 2;
    if (target >= start) return 0;
    start = target;
    offset = target;
  }
  return 0;
}


@inline function lower(byte: u32): u32 {
  return byte - 0x41 < 26 ? byte | 0x20 : byte;
}

/** Whether two runs of bytes are the same but for the case of ASCII letters. */
export function dnsSame(a: usize, aLength: u32, b: usize, bLength: u32): bool {
  if (aLength != bLength) return false;
  for (let i: u32 = 0; i < aLength; i++) {
    if (lower(load<u8>(a + i)) != lower(load<u8>(b + i))) return false;
  }
  return true;
}

/** Copies `length` bytes with letters in lower case. */
export function dnsLower(into: usize, from: usize, length: u32): void {
  for (let i: u32 = 0; i < length; i++) store<u8>(into + i, <u8>lower(load<u8>(from + i)));
}

/** Whether `name` is `zone` or below it. */
export function dnsWithin(name: usize, length: u32, zone: usize, zoneLength: u32): bool {
  for (let at: u32 = 0; length - at >= zoneLength; at += 1 + load<u8>(name + at)) {
    if (dnsSame(name + at, length - at, zone, zoneLength)) return true;
    if (!load<u8>(name + at)) return false;
  }
  return false;
}

/** Of the text that was read last: it ends in a dot, and the dots before that. */
let textAbsolute: bool = false;
let textDots: u32 = 0;


@inline export function dnsTextAbsolute(): bool {
  return textAbsolute;
}


@inline export function dnsTextDots(): u32 {
  return textDots;
}

/**
 * Reads a name as people write it, `\.` and `\DDD` included (RFC 1035, 5.1), into `into`, which holds
 * `DNS_NAME_MAX`: its length, or 0 if it is none.
 */
export function dnsFromText(text: usize, length: u32, into: usize): u32 {
  textAbsolute = false;
  textDots = 0;
  let label: u32 = 0;
  let at: u32 = 1;
  if (!length || (length == 1 && load<u8>(text) == 0x2e)) {
    textAbsolute = length != 0;
    store<u8>(into, 0);
    return length;
  }
  for (let i: u32 = 0; i < length; i++) {
    let byte = <u32>load<u8>(text + i);
    if (byte == 0x2e) {
      if (at == label + 1 || at >= DNS_NAME_MAX) return 0;
      store<u8>(into + label, <u8>(at - label - 1));
      label = at++;
      if (i == length - 1) textAbsolute = true;
      else textDots++;
      continue;
    }
    if (byte <= 0x20 || byte == 0x7f) return 0;
    if (byte == 0x5c) {
      if (++i == length) return 0;
      byte = load<u8>(text + i);
      if (byte - 0x30 < 10) {
        if (length - i < 3) return 0;
        const tens = <u32>load<u8>(text + i, 1) - 0x30;
        const ones = <u32>load<u8>(text + i, 2) - 0x30;
        byte = (byte - 0x30) * 100 + tens * 10 + ones;
        if (tens > 9 || ones > 9 || byte > 255) return 0;
        i += 2;
      }
    }
    if (at - label > LABEL_MAX || at >= DNS_NAME_MAX) return 0;
    store<u8>(into + at++, <u8>byte);
  }
  if (!textAbsolute) {
    store<u8>(into + label, <u8>(at - label - 1));
    if (at >= DNS_NAME_MAX) return 0;
    label = at++;
  }
  store<u8>(into + label, 0);
  return at;
}

/** Writes a name as people do, without a dot at its end, at most `DNS_TEXT_MAX` bytes: how many. */
export function dnsToText(name: usize, into: usize): u32 {
  let at = into;
  for (let size = <u32>load<u8>(name++); size; size = <u32>load<u8>(name++)) {
    if (at != into) store<u8>(at++, 0x2e);
    for (; size; size--) {
      const byte = <u32>load<u8>(name++);
      if (byte - 0x21 >= 0x5e) {
        store<u8>(at, 0x5c);
        store<u8>(at, 0x30 + byte / 100, 1);
        store<u8>(at, 0x30 + ((byte / 10) % 10), 2);
        store<u8>(at, 0x30 + (byte % 10), 3);
        at += 4;
        continue;
      }
      if (byte == 0x2e || byte == 0x5c) store<u8>(at++, 0x5c);
      store<u8>(at++, <u8>byte);
    }
  }
  if (at == into) store<u8>(at++, 0x2e);
  return <u32>(at - into);
}

// ---- Records -------------------------------------------------------------------------------

/** A record that `dnsRecord` read. */
@unmanaged
export class DnsRecord {
  type: u32;
  class: u32;
  /** Seconds. */
  ttl: u32;
  /** Offset and bytes of the data, all within the message. */
  dataAt: u32;
  dataLength: u32;
  ownerLength: u32;

  /** `ownerLength` bytes. */
  @inline get owner(): usize {
    return changetype<usize>(this) + offsetof<DnsRecord>();
  }
}

/** Bytes of a `DnsRecord` with its owner. */
export const DNS_RECORD_BYTES: i32 = 24 + 256;

/** Reads the record at `offset` of a message of `length` bytes: the offset behind it, or 0 if it is none. */
export function dnsRecord(message: usize, length: u32, offset: u32, into: DnsRecord): u32 {
  offset = dnsName(message, length, offset, into.owner);
  if (!offset || length - offset < 10) return 0;
  const at = message + offset;
  const ttl = bswap(load<u32>(at, 4));
  const size = load16(at + 8);
  if (size > length - offset - 10) return 0;
  into.ownerLength = nameLength;
  into.type = load16(at);
  into.class = load16(at + 2);
  into.ttl = ttl > TTL_MAX ? 0 : ttl;
  into.dataAt = offset + 10;
  into.dataLength = size;
  return offset + 10 + size;
}

/** Of the question that `dnsQuestion` found: the offset behind it. */
const QUESTION_TAIL: u32 = 4;

/** How the one question of a message compares with what was asked. */
export const enum DnsAsked {
  Other = 0,
  /** Letters of the name have another case. */
  OtherCase = 1,
  Same = 2,
}

/**
 * Compares the question of a message with header and exactly one question. Compression is not looked
 * for: there is nothing before a question's name that it could name.
 */
export function dnsAsked(
  message: usize,
  length: u32,
  name: usize,
  nameLength: u32,
  type: u32,
): DnsAsked {
  const at = message + DNS_HEADER;
  if (length < DNS_HEADER + nameLength + QUESTION_TAIL) return DnsAsked.Other;
  if (load16(at + nameLength) != type || load16(at + nameLength + 2) != DNS_IN) {
    return DnsAsked.Other;
  }
  if (memory.compare(at, name, nameLength) == 0) return DnsAsked.Same;
  return dnsSame(at, nameLength, name, nameLength) ? DnsAsked.OtherCase : DnsAsked.Other;
}

/** Offset behind the question of a name of `nameLength` bytes. */
@inline export function dnsBehindQuestion(nameLength: u32): u32 {
  return DNS_HEADER + nameLength + QUESTION_TAIL;
}

/** Most bytes that `dnsQuery` writes. */
export const DNS_QUERY_MAX: i32 = 12 + 255 + 4 + 11;

/**
 * Writes a query at `at`: how many bytes. With `payload` it says that as many bytes of UDP can be received
 * (RFC 6891, 6.1.2), and with `secure` that signatures are wanted, to be checked here (RFC 4035, 4.6). It wants
 * recursion unless told.
 */
export function dnsQuery(
  at: usize,
  id: u32,
  name: usize,
  nameLength: u32,
  type: u32,
  payload: u32,
  secure: bool = false,
  recursion: bool = true,
): u32 {
  memory.fill(at, 0, DNS_HEADER);
  store16(at, id);
  store16(at + 2, (recursion ? FLAG_RECURSION : 0) | (secure ? FLAG_UNCHECKED : 0));
  store16(at + 4, 1);
  let end = at + DNS_HEADER;
  memory.copy(end, name, nameLength);
  end += nameLength;
  store16(end, type);
  store16(end + 2, DNS_IN);
  end += 4;
  if (payload) {
    store16(at + 10, 1);
    memory.fill(end, 0, 11);
    store16(end + 1, DnsType.OPT);
    store16(end + 3, payload);
    if (secure) store16(end + 7, OPT_SECURE);
    end += 11;
  }
  return <u32>(end - at);
}
