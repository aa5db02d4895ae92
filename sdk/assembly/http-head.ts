/**
 * The head of a request: its first line and fields (RFC 9112, 2 to 7). It is read from the bytes where they lie, which
 * a `HeadReader` then copies, so that they may go.
 *
 * What could be read in two ways is refused: bare CR or LF, white space before a colon, folded lines, two lengths, a
 * length beside a coding. Readers of one stream that disagree where a request ends is how requests are smuggled
 * (RFC 9112, 11.2).
 */

/** Longest request line (RFC 9112, 3 asks for 8,000 at least), longest head, most fields. */
const LINE_MAX: i32 = 8192;
const HEAD_MAX: i32 = 16384;
const FIELDS_MAX: i32 = 100;
/** Empty lines taken before a request (RFC 9112, 2.2 asks for one at least). */
const LEADING_MAX: i32 = 4;

const CR: u32 = 0x0d;
const LF: u32 = 0x0a;
const SP: u32 = 0x20;
const HTAB: u32 = 0x09;

/** Bits of `HeadReader.flags`. */
export const enum HeadFlag {
  /** The connection lives on. */
  Keep = 1,
  /** The body is in the chunked coding. */
  Chunked = 2,
  /** The client waits for 100 Continue before it sends the body. */
  Continue = 4,
  /** An expectation that nobody meets. */
  BadExpect = 8,
  /** The method is HEAD. */
  Head = 16,
}


@inline function isTokenByte(byte: u32): bool {
  // RFC 9110, 5.6.2: ! # $ % & ' * + - . ^ _ ` | ~ digits letters.
  if (byte >= 0x80) return false;
  const low: u64 = 0x03ff_6cfa_0000_0000;
  const high: u64 = 0x57ff_ffff_c7ff_fffe;
  return (((byte < 64 ? low : high) >> (byte & 63)) & 1) != 0;
}

/** What may stand in a field's value: all but controls (RFC 9110, 5.5). */
@inline function isValueByte(byte: u32): bool {
  return (byte >= 0x20 && byte != 0x7f) || byte == HTAB;
}


@final
export class HeadReader {
  method: string = "";
  path: string = "";
  query: string = "";
  /** `HeadFlag` bits. */
  flags: u32 = 0;
  contentLength: u64 = 0;
  /** How far line ends have been looked for, and where the present line begins. */
  private scanned: i32 = 0;
  private line: i32 = 0;
  private leading: i32 = 0;
  /** The head's bytes, and of each field the ends of its name and value. */
  private bytes: ArrayBuffer = new ArrayBuffer(1024);
  private readonly ends: StaticArray<i32> = new StaticArray<i32>(4 * FIELDS_MAX);
  private count: i32 = 0;

  /** Begins with the next head. */
  reset(): void {
    this.scanned = 0;
    this.line = 0;
    this.leading = 0;
    this.count = 0;
    this.flags = 0;
    this.contentLength = 0;
  }

  /**
   * Reads a head from `length` bytes at `at`: its length; 0 if it is not whole yet; or a negated status to refuse it
   * with. When it is called again with more bytes, none is looked at twice.
   */
  read(at: usize, length: i32): i32 {
    for (let i = this.scanned; i < length; i++) {
      const byte = <u32>load<u8>(at + i);
      if (byte == LF) {
        if (i == this.line || load<u8>(at + i - 1) != CR) return -400;
        const empty = i - 1 == this.line;
        if (!empty && this.line == this.leading && i > LINE_MAX) return -414;
        this.line = i + 1;
        if (!empty) continue;
        if (i - 1 > this.leading) return this.parse(at, i + 1);
        this.leading = i + 1;
        if (this.leading > 2 * LEADING_MAX) return -400;
      } else if (i > this.line && load<u8>(at + i - 1) == CR) return -400;
    }
    this.scanned = length;
    if (this.line == this.leading && length - this.line > LINE_MAX) return -414;
    return length > HEAD_MAX ? -431 : 0;
  }

  /** A field's value by its name in lower case; several are joined by commas (RFC 9110, 5.3). */
  field(name: string): string | null {
    let found: string | null = null;
    for (let i = 0; i < this.count; i++) {
      if (!this.isNamed(i, name)) continue;
      const value = this.value(i);
      found = found === null ? value : found + ", " + value;
    }
    return found;
  }

  private isNamed(index: i32, name: string): bool {
    const from = unchecked(this.ends[4 * index]);
    const length = unchecked(this.ends[4 * index + 1]) - from;
    if (length != name.length) return false;
    const at = changetype<usize>(this.bytes) + from;
    for (let i = 0; i < length; i++) {
      const byte = <u32>load<u8>(at + i);
      const lower = byte - 0x41 < 26 ? byte | 0x20 : byte;
      if (lower != load<u16>(changetype<usize>(name) + ((<usize>i) << 1))) return false;
    }
    return true;
  }

  private value(index: i32): string {
    const from = unchecked(this.ends[4 * index + 2]);
    return this.textOf(from, unchecked(this.ends[4 * index + 3]));
  }

  private textOf(from: i32, to: i32): string {
    return String.UTF8.decodeUnsafe(changetype<usize>(this.bytes) + from, to - from);
  }

  /** Takes the head of `length` bytes apart, its last empty line included. */
  private parse(from: usize, length: i32): i32 {
    if (length > HEAD_MAX) return -431;
    if (length > this.bytes.byteLength) this.bytes = new ArrayBuffer(HEAD_MAX);
    const at = changetype<usize>(this.bytes);
    memory.copy(at, from, length);
    let end = this.leading;
    while (load<u8>(at + end) != CR) end++;
    const status = this.requestLine(at, this.leading, end);
    if (status) return -status;
    for (let line = end + 2; line < length - 2; line = end + 2) {
      end = line;
      while (load<u8>(at + end) != CR) end++;
      if (this.count == FIELDS_MAX) return -431;
      if (!this.fieldLine(at, line, end)) return -400;
    }
    const trouble = this.judge();
    return trouble ? -trouble : length;
  }

  /** The status to refuse it with, or 0. */
  private requestLine(at: usize, from: i32, end: i32): i32 {
    let space = from;
    while (space < end && isTokenByte(load<u8>(at + space))) space++;
    if (space == from || space == end || load<u8>(at + space) != SP) return 400;
    this.method = this.textOf(from, space);
    const target = space + 1;
    let targetEnd = target;
    // RFC 3986 has no other bytes than these.
    while (targetEnd < end && <u32>load<u8>(at + targetEnd) - 0x21 < 0x5e) targetEnd++;
    if (targetEnd == target || targetEnd == end || load<u8>(at + targetEnd) != SP) return 400;
    const version = targetEnd + 1;
    // "HTTP/" DIGIT "." DIGIT
    if (end - version != 8 || load<u32>(at + version) != 0x5054_5448) return 400;
    if (load<u8>(at + version + 4) != 0x2f || load<u8>(at + version + 6) != 0x2e) return 400;
    const major = <u32>load<u8>(at + version + 5) - 0x30;
    const minor = <u32>load<u8>(at + version + 7) - 0x30;
    if (major > 9 || minor > 9) return 400;
    if (major != 1) return 505;
    if (minor >= 1) this.flags |= HeadFlag.Keep;
    if (this.method == "HEAD") this.flags |= HeadFlag.Head;
    return this.target(this.textOf(target, targetEnd));
  }

  /** RFC 9112, 3.2. */
  private target(text: string): i32 {
    let path = text;
    if (!path.startsWith("/")) {
      if (path == "*" && this.method == "OPTIONS") {
        this.path = path;
        this.query = "";
        return 0;
      }
      const lower = path.substring(0, 8).toLowerCase();
      const host = lower == "https://" ? 8 : lower.startsWith("http://") ? 7 : -1;
      if (host < 0) return this.method == "CONNECT" ? 501 : 400;
      let slash = path.indexOf("/", host);
      const question = path.indexOf("?", host);
      if (slash < 0 || (question >= 0 && question < slash)) slash = question;
      if (slash == host || host == path.length) return 400;
      path = slash < 0 ? "/" : path.substring(slash);
      if (!path.startsWith("/")) path = "/" + path;
    }
    if (path.includes("#")) return 400;
    const question = path.indexOf("?");
    this.path = question < 0 ? path : path.substring(0, question);
    this.query = question < 0 ? "" : path.substring(question + 1);
    return 0;
  }

  private fieldLine(at: usize, from: i32, end: i32): bool {
    let colon = from;
    while (colon < end && isTokenByte(load<u8>(at + colon))) colon++;
    // No space before it, and no folded line: RFC 9112, 5.1 and 5.2.
    if (colon == from || colon == end || load<u8>(at + colon) != 0x3a) return false;
    let start = colon + 1;
    let stop = end;
    while (start < stop && isBlank(load<u8>(at + start))) start++;
    while (stop > start && isBlank(load<u8>(at + stop - 1))) stop--;
    for (let i = start; i < stop; i++) if (!isValueByte(load<u8>(at + i))) return false;
    const place = 4 * this.count++;
    unchecked((this.ends[place] = from));
    unchecked((this.ends[place + 1] = colon));
    unchecked((this.ends[place + 2] = start));
    unchecked((this.ends[place + 3] = stop));
    return true;
  }

  /** What the fields say about how the message ends; the status to refuse it with, or 0. */
  private judge(): i32 {
    const isLater = (this.flags & HeadFlag.Keep) != 0;
    let hosts = 0;
    let lengths = 0;
    let codings = 0;
    for (let i = 0; i < this.count; i++) {
      if (this.isNamed(i, "host")) hosts++;
      else if (this.isNamed(i, "content-length")) lengths++;
      else if (this.isNamed(i, "transfer-encoding")) codings++;
    }
    // RFC 9112, 3.2.
    if (hosts > 1 || (isLater && !hosts)) return 400;
    if (codings) {
      if (codings > 1 || lengths || !isLater) return 400;
      if (this.field("transfer-encoding")!.toLowerCase() != "chunked") return 501;
      this.flags |= HeadFlag.Chunked;
    }
    if (lengths) {
      const text = this.field("content-length")!;
      if (lengths > 1 || text.length == 0 || text.length > 18) return 400;
      let value: u64 = 0;
      for (let i = 0; i < text.length; i++) {
        const digit = text.charCodeAt(i) - 0x30;
        if (<u32>digit > 9) return 400;
        value = value * 10 + digit;
      }
      this.contentLength = value;
    }
    const connection = this.field("connection");
    if (connection !== null) {
      const words = connection.toLowerCase().split(",");
      for (let i = 0; i < words.length; i++) words[i] = words[i].trim();
      if (words.includes("close")) this.flags &= ~HeadFlag.Keep;
      else if (words.includes("keep-alive")) this.flags |= HeadFlag.Keep;
    }
    const expect = this.field("expect");
    if (expect !== null && isLater) {
      this.flags |= expect.toLowerCase() == "100-continue" ? HeadFlag.Continue : HeadFlag.BadExpect;
    }
    return 0;
  }
}


@inline function isBlank(byte: u32): bool {
  return byte == SP || byte == HTAB;
}
