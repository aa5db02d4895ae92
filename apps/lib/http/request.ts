import {
  Class,
  allInClass,
  decimal,
  equals,
  equalsIgnoreCase,
  findByte,
  inClass,
  isDigit,
} from "../text";

/**
 * The head of a request (RFC 9112, 2 to 7): request line and fields, up to the empty line.
 *
 * It is parsed where it lies. `parseRequest` goes from line to line; when the bytes end within
 * one, it keeps its place and goes on when there are more, so that no byte is read twice
 * wherever a request is split. A `Request` holds offsets from `base`: when the bytes move (into
 * a buffer, because the head did not come in one piece), only `base` changes.
 *
 * What could be read in two ways is refused: bare CR or LF, white space around a field's name,
 * folded lines, two lengths, a length beside a transfer coding. Two readers of one stream that
 * disagree where a request ends is how requests are smuggled (RFC 9112, 11.2).
 */

/** Longest request line, its end included: RFC 9112, 3 asks for 8,000 at least. */
export const LINE_MAX: u32 = 8192;
/** Longest head. */
export const HEAD_MAX: u32 = 16384;
/** Most fields. */
export const FIELDS_MAX: u32 = 100;
/** Empty lines taken before a request line (RFC 9112, 2.2 asks for one at least). */
const LEADING_MAX: u32 = 4;

const CR: u32 = 0x0d;
const LF: u32 = 0x0a;
const SP: u32 = 0x20;
const HTAB: u32 = 0x09;

/** What `parseRequest` returns; anything else is the status to refuse the request with. */
export const enum Parse {
  /** The bytes end before the head does. */
  More = 0,
  /** The head is whole: `headLength` bytes of it. */
  Done = 1,
}

export const enum Method {
  Unknown = 0,
  Get = 1,
  Head = 2,
  Post = 3,
  Put = 4,
  Delete = 5,
  Connect = 6,
  Options = 7,
  Trace = 8,
  Patch = 9,
}

/** Bits of `Request.flags`. */
export const enum RequestFlag {
  /** Connection: close. */
  Close = 1,
  /** Connection: keep-alive. */
  KeepAlive = 2,
  /** The body is in the chunked coding. */
  Chunked = 4,
  /** Content-Length is there. */
  Length = 8,
  Host = 16,
  /** Expect: 100-continue. */
  Continue = 32,
  /** An expectation that nobody meets. */
  BadExpect = 64,
  /** The path has a percent sign, or a dot or a slash behind a slash. */
  Unnormal = 128,
  /** A coding other than chunked. */
  OtherCoding = 256,
  /** Something follows chunked, which must be the last and there once. */
  BadCoding = 512,
  /** Transfer-Encoding is there. */
  Coded = 1024,
}

/** Fields kept for later: conditions and ranges. */
export const enum Field {
  IfMatch = 0,
  IfNoneMatch = 1,
  IfModifiedSince = 2,
  IfUnmodifiedSince = 3,
  IfRange = 4,
  Range = 5,
}

/** Lines of such fields that are kept; a request with more is refused. */
const KEPT_MAX: u32 = 8;

/** A field's value within the head. */
@unmanaged
export class KeptField {
  /** `Field`. */
  kind: u32;
  offset: u16;
  length: u16;
}


@unmanaged
export class Request {
  /** Where the head begins. */
  base: usize;
  /** Offset of the line being worked on. */
  private line: u32;
  /** No LF before this offset, from `line` on. */
  private scanned: u32;
  /** Valid once parsing is done. */
  headLength: u32;
  /** `RequestFlag` bits. */
  flags: u32;
  contentLength: u64;
  targetOffset: u16;
  targetLength: u16;
  /** The path of the target, percent-encoded as it came, without the query. */
  pathOffset: u16;
  pathLength: u16;
  /** Behind the question mark; 0 long without one. */
  queryOffset: u16;
  queryLength: u16;
  /** `Method`; Unknown is any token that is none of ours. */
  method: u8;
  /** 1.`minor`. */
  minor: u8;
  /** Whether the request line is behind us. */
  private lineDone: bool;
  private leading: u8;
  private fields: u8;
  keptCount: u8;
  private kept0: u64;
  private kept1: u64;
  private kept2: u64;
  private kept3: u64;
  private kept4: u64;
  private kept5: u64;
  private kept6: u64;
  private kept7: u64;

  /** Starts on a head at `base`. */
  reset(base: usize): void {
    memory.fill(changetype<usize>(this), 0, offsetof<Request>("kept0"));
    this.base = base;
  }

  /** Whether any byte of a request line has been seen. */
  @inline get begun(): bool {
    return this.lineDone || this.scanned > this.line;
  }


  @inline get path(): usize {
    return this.base + this.pathOffset;
  }


  @inline get query(): usize {
    return this.base + this.queryOffset;
  }


  @inline has(flag: u32): bool {
    return (this.flags & flag) != 0;
  }


  @inline kept(index: u32): KeptField {
    return changetype<KeptField>(
      changetype<usize>(this) + offsetof<Request>("kept0") + ((<usize>index) << 3),
    );
  }

  /** The only line of a field, or null if it is missing or there are several. */
  single(kind: u32): KeptField | null {
    let found: KeptField | null = null;
    for (let i: u32 = 0; i < this.keptCount; i++) {
      const field = this.kept(i);
      if (field.kind != kind) continue;
      if (found !== null) return null;
      found = field;
    }
    return found;
  }


  @inline hasKept(kind: u32): bool {
    for (let i: u32 = 0; i < this.keptCount; i++) if (this.kept(i).kind == kind) return true;
    return false;
  }

  /** Whether a body follows (RFC 9112, 6.3). */
  @inline get hasBody(): bool {
    return this.contentLength != 0 || this.has(RequestFlag.Chunked);
  }

  /** Whether the client wants the connection kept (RFC 9112, 9.3). */
  @inline get persistent(): bool {
    if (this.has(RequestFlag.Close)) return false;
    return this.minor != 0 || this.has(RequestFlag.KeepAlive);
  }

  /**
   * Goes on with the `length` bytes that stand at `base` by now. Returns a `Parse`, or the status
   * of the answer that refuses the request; after that the stream cannot be trusted.
   */
  parse(length: u32): u32 {
    const end = this.base + min<u32>(length, HEAD_MAX);
    while (true) {
      const lf = findByte(this.base + this.scanned, end, LF);
      if (!lf) {
        this.scanned = <u32>(end - this.base);
        return this.unfinished(length);
      }
      const start = this.base + this.line;
      if (lf == start || load<u8>(lf - 1) != CR) return 400;
      const lineLength = <u32>(lf - 1 - start);
      this.line = <u32>(lf + 1 - this.base);
      this.scanned = this.line;
      if (!this.lineDone) {
        if (!lineLength) {
          if (++this.leading > LEADING_MAX) return 400;
          continue;
        }
        if (lineLength + 2 > LINE_MAX) return 414;
        const status = this.requestLine(start, lineLength);
        if (status) return status;
        this.lineDone = true;
      } else if (lineLength) {
        const status = this.field(start, lineLength);
        if (status) return status;
      } else {
        this.headLength = this.line;
        return this.check();
      }
    }
  }

  /** What is to be said of a head whose current line has not ended yet. */
  private unfinished(length: u32): u32 {
    const pending = this.scanned - this.line;
    if (!this.lineDone) {
      if (pending > LINE_MAX) return 414;
      // What cannot become a method is not HTTP (a TLS hello, say): no use waiting for its line.
      const first: u32 = pending ? load<u8>(this.base + this.line) : CR;
      if (first != CR && !inClass(first, Class.Token)) return 400;
    }
    return length >= HEAD_MAX ? 431 : Parse.More;
  }

  /** RFC 9112, 3. Returns 0 or the status to refuse it with. */
  private requestLine(at: usize, length: u32): u32 {
    const end = at + length;
    const space = findByte(at, end, SP);
    if (!space || !allInClass(at, <u32>(space - at), Class.Token) || space == at) return 400;
    const target = space + 1;
    const last = findByte(target, end, SP);
    if (!last || last == target || end - last != 9) return 400;
    const version = last + 1;
    if (
      !equals(version, 5, "HTTP/") ||
      !isDigit(load<u8>(version + 5)) ||
      load<u8>(version + 6) != 0x2e ||
      !isDigit(load<u8>(version + 7))
    ) {
      return 400;
    }
    if (load<u8>(version + 5) != 0x31) return 505;
    this.minor = min<u8>(load<u8>(version + 7) - 0x30, 1);
    this.method = methodOf(at, <u32>(space - at));
    this.targetOffset = <u16>(target - this.base);
    this.targetLength = <u16>(last - target);
    return this.target(target, last);
  }

  /** RFC 9112, 3.2: finds path and query in the target. */
  private target(at: usize, end: usize): u32 {
    if (!allInClass(at, <u32>(end - at), Class.Visible) || findByte(at, end, 0x23)) return 400;
    if (load<u8>(at) != 0x2f) {
      if (end - at == 1 && load<u8>(at) == 0x2a) {
        return this.method == Method.Options ? 0 : 400;
      }
      if (this.method == Method.Connect) return 0;
      // absolute-form: http://authority/path
      if (end - at < 8 || !equalsIgnoreCase(at, 7, "http://")) return 400;
      const authority = at + 7;
      at = authority;
      while (at < end && load<u8>(at) != 0x2f && load<u8>(at) != 0x3f) at++;
      if (at == authority || !allInClass(authority, <u32>(at - authority), Class.Host)) return 400;
    }
    const question = findByte(at, end, 0x3f);
    const pathEnd = question ? question : end;
    this.pathOffset = <u16>(at - this.base);
    this.pathLength = <u16>(pathEnd - at);
    if (question) {
      this.queryOffset = <u16>(question + 1 - this.base);
      this.queryLength = <u16>(end - question - 1);
    }
    let before: u32 = 0;
    for (; at < pathEnd; at++) {
      const byte: u32 = load<u8>(at);
      if (byte == 0x25 || (before == 0x2f && (byte == 0x2e || byte == 0x2f))) {
        this.flags |= RequestFlag.Unnormal;
        break;
      }
      before = byte;
    }
    return 0;
  }

  /** RFC 9112, 5. Returns 0 or the status to refuse it with. */
  private field(at: usize, length: u32): u32 {
    if (++this.fields > FIELDS_MAX) return 431;
    const end = at + length;
    const colon = findByte(at, end, 0x3a);
    // A folded line begins with white space, which is no token either (RFC 9112, 5.2).
    if (!colon || colon == at || !allInClass(at, <u32>(colon - at), Class.Token)) return 400;
    let from = colon + 1;
    let to = end;
    while (from < to && isBlank(load<u8>(from))) from++;
    while (to > from && isBlank(load<u8>(to - 1))) to--;
    const valueLength = <u32>(to - from);
    if (!allInClass(from, valueLength, Class.Value)) return 400;
    switch (<u32>(colon - at)) {
      case 4:
        if (equalsIgnoreCase(at, 4, "host")) return this.host(from, valueLength);
        break;
      case 5:
        if (equalsIgnoreCase(at, 5, "range")) return this.keep(Field.Range, from, valueLength);
        break;
      case 6:
        if (equalsIgnoreCase(at, 6, "expect")) return this.expect(from, valueLength);
        break;
      case 8:
        if (equalsIgnoreCase(at, 8, "if-match")) return this.keep(Field.IfMatch, from, valueLength);
        if (equalsIgnoreCase(at, 8, "if-range")) return this.keep(Field.IfRange, from, valueLength);
        break;
      case 10:
        if (equalsIgnoreCase(at, 10, "connection")) this.connection(from, to);
        break;
      case 13:
        if (equalsIgnoreCase(at, 13, "if-none-match")) {
          return this.keep(Field.IfNoneMatch, from, valueLength);
        }
        break;
      case 14:
        if (equalsIgnoreCase(at, 14, "content-length")) return this.length(from, valueLength);
        break;
      case 17:
        if (equalsIgnoreCase(at, 17, "transfer-encoding")) this.codings(from, to);
        else if (equalsIgnoreCase(at, 17, "if-modified-since")) {
          return this.keep(Field.IfModifiedSince, from, valueLength);
        }
        break;
      case 19:
        if (equalsIgnoreCase(at, 19, "if-unmodified-since")) {
          return this.keep(Field.IfUnmodifiedSince, from, valueLength);
        }
        break;
    }
    return 0;
  }

  private keep(kind: u32, at: usize, length: u32): u32 {
    if (<u32>this.keptCount == KEPT_MAX) return 431;
    const field = this.kept(this.keptCount++);
    field.kind = kind;
    field.offset = <u16>(at - this.base);
    field.length = <u16>length;
    return 0;
  }

  /** RFC 9112, 3.2: one Host, and a valid one. */
  private host(at: usize, length: u32): u32 {
    if (this.has(RequestFlag.Host) || !allInClass(at, length, Class.Host)) return 400;
    this.flags |= RequestFlag.Host;
    return 0;
  }

  /** RFC 9110, 10.1.1. */
  private expect(at: usize, length: u32): u32 {
    const known = equalsIgnoreCase(at, length, "100-continue");
    this.flags |= known ? RequestFlag.Continue : RequestFlag.BadExpect;
    return 0;
  }

  /** RFC 9110, 8.6. */
  private length(at: usize, length: u32): u32 {
    const value = decimal(at, length);
    if (value == u64.MAX_VALUE || this.has(RequestFlag.Length)) return 400;
    this.contentLength = value;
    this.flags |= RequestFlag.Length;
    return 0;
  }

  /** RFC 9112, 9.3: the options that we know. */
  private connection(at: usize, end: usize): void {
    while (at < end) {
      const comma = findByte(at, end, 0x2c);
      let to = comma ? comma : end;
      const next = to + 1;
      while (at < to && isBlank(load<u8>(at))) at++;
      while (to > at && isBlank(load<u8>(to - 1))) to--;
      const length = <u32>(to - at);
      if (equalsIgnoreCase(at, length, "close")) this.flags |= RequestFlag.Close;
      else if (equalsIgnoreCase(at, length, "keep-alive")) this.flags |= RequestFlag.KeepAlive;
      at = next;
    }
  }

  /** RFC 9112, 6.1: chunked, once and last, is the only coding that we know. */
  private codings(at: usize, end: usize): void {
    this.flags |= RequestFlag.Coded;
    while (at < end) {
      const comma = findByte(at, end, 0x2c);
      let to = comma ? comma : end;
      const next = to + 1;
      while (at < to && isBlank(load<u8>(at))) at++;
      while (to > at && isBlank(load<u8>(to - 1))) to--;
      if (to > at) {
        if (this.has(RequestFlag.Chunked)) this.flags |= RequestFlag.BadCoding;
        const chunked = equalsIgnoreCase(at, <u32>(to - at), "chunked");
        this.flags |= chunked ? RequestFlag.Chunked : RequestFlag.OtherCoding;
      }
      at = next;
    }
  }

  /** The rules about the head as a whole. */
  private check(): u32 {
    if (this.minor && !this.has(RequestFlag.Host)) return 400;
    if (this.has(RequestFlag.Coded)) {
      // RFC 9112, 6.1: a length beside a coding, or a coding in HTTP/1.0, is an attack or a fault.
      if (!this.minor || this.has(RequestFlag.Length)) return 400;
      // RFC 9112, 6.3: without chunked as the last coding the body's end cannot be told.
      if (!this.has(RequestFlag.Chunked) || this.has(RequestFlag.BadCoding)) return 400;
      if (this.has(RequestFlag.OtherCoding)) return 501;
    }
    // RFC 9110, 10.1.1: HTTP/1.0 has no expectations.
    if (!this.minor) this.flags &= ~(RequestFlag.Continue | RequestFlag.BadExpect);
    return Parse.Done;
  }
}


@inline function isBlank(byte: u32): bool {
  return byte == SP || byte == HTAB;
}

/** Methods are compared with their case (RFC 9110, 9.1). */
function methodOf(at: usize, length: u32): u8 {
  switch (length) {
    case 3:
      if (equals(at, 3, "GET")) return <u8>Method.Get;
      if (equals(at, 3, "PUT")) return <u8>Method.Put;
      break;
    case 4:
      if (equals(at, 4, "HEAD")) return <u8>Method.Head;
      if (equals(at, 4, "POST")) return <u8>Method.Post;
      break;
    case 5:
      if (equals(at, 5, "PATCH")) return <u8>Method.Patch;
      if (equals(at, 5, "TRACE")) return <u8>Method.Trace;
      break;
    case 6:
      if (equals(at, 6, "DELETE")) return <u8>Method.Delete;
      break;
    case 7:
      if (equals(at, 7, "OPTIONS")) return <u8>Method.Options;
      if (equals(at, 7, "CONNECT")) return <u8>Method.Connect;
      break;
  }
  return <u8>Method.Unknown;
}
