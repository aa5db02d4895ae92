import { Writer, findByte } from "./text";

/**
 * JSON (RFC 8259). `JsonWriter` writes it; `JsonScanner` walks through the members of one object
 * in place, without a tree: values inside other values are stepped over.
 */

/** Nesting that is followed; deeper text is refused. */
const DEPTH_MAX: u32 = 32;

export const enum JsonKind {
  Number = 0,
  True = 1,
  False = 2,
  Null = 3,
  String = 4,
  Object = 5,
  Array = 6,
}


@unmanaged
export class JsonScanner {
  private at: usize;
  private end: usize;
  /** The member that `next` found: its key, without quotes and as it was escaped. */
  key: usize;
  keyLength: u32;
  /** `JsonKind` of its value. */
  kind: u32;
  /** The value's text; a string's without its quotes. */
  value: usize;
  valueLength: u32;
  /** The text is no object, or broken: what was found before may still be used or not. */
  bad: bool;
  private first: bool;
  private done: bool;

  /** Starts on the object in `length` bytes at `at`. */
  begin(at: usize, length: u32): void {
    this.at = at;
    this.end = at + length;
    this.bad = false;
    this.first = true;
    this.done = false;
    this.blanks();
    if (!this.take(0x7b)) this.bad = true;
  }

  /** Goes to the next member; false at the end of the object or of sense (`bad`). */
  next(): bool {
    if (this.bad || this.done) return false;
    this.blanks();
    if (this.take(0x7d)) {
      this.done = true;
      this.blanks();
      if (this.at != this.end) this.bad = true;
      return false;
    }
    if (!this.first && !this.take(0x2c)) return this.fail();
    this.first = false;
    this.blanks();
    if (!this.string()) return this.fail();
    this.key = this.value;
    this.keyLength = this.valueLength;
    this.blanks();
    if (!this.take(0x3a)) return this.fail();
    this.blanks();
    return this.any(0) ? true : this.fail();
  }

  /** The value as a whole number, its fraction cut off; `otherwise` if it is none or too large. */
  integer(otherwise: i64): i64 {
    if (this.kind != JsonKind.Number) return otherwise;
    let at = this.value;
    const end = at + this.valueLength;
    const negative = load<u8>(at) == 0x2d;
    if (negative) at++;
    let value: i64 = 0;
    let scale: i32 = 0;
    let point = false;
    for (; at < end; at++) {
      const digit: u32 = <u32>load<u8>(at) - 0x30;
      if (digit < 10) {
        if (value > (i64.MAX_VALUE - 9) / 10) {
          // Digits behind the point that do not fit do not matter.
          if (!point) return otherwise;
          continue;
        }
        value = value * 10 + digit;
        if (point) scale--;
      } else if (load<u8>(at) == 0x2e) {
        point = true;
      } else {
        break;
      }
    }
    if (at < end) {
      at++;
      const sign: u32 = load<u8>(at);
      if (sign == 0x2b || sign == 0x2d) at++;
      let exponent: i32 = 0;
      for (; at < end && exponent < 1000; at++) exponent = exponent * 10 + load<u8>(at) - 0x30;
      scale += sign == 0x2d ? -exponent : exponent;
    }
    for (; scale < 0 && value; scale++) value /= 10;
    for (; scale > 0 && value; scale--) {
      if (value > i64.MAX_VALUE / 10) return otherwise;
      value *= 10;
    }
    return negative ? -value : value;
  }

  private fail(): bool {
    this.bad = true;
    return false;
  }

  private blanks(): void {
    while (this.at < this.end) {
      const byte: u32 = load<u8>(this.at);
      if (byte != 0x20 && byte != 0x09 && byte != 0x0a && byte != 0x0d) return;
      this.at++;
    }
  }

  private take(byte: u32): bool {
    if (this.at >= this.end || load<u8>(this.at) != byte) return false;
    this.at++;
    return true;
  }

  private string(): bool {
    if (!this.take(0x22)) return false;
    const start = this.at;
    while (true) {
      const quote = findByte(this.at, this.end, 0x22);
      if (!quote) return false;
      this.at = quote + 1;
      let escapes: usize = quote;
      while (escapes > start && load<u8>(escapes - 1) == 0x5c) escapes--;
      if ((quote - escapes) & 1) continue;
      this.kind = JsonKind.String;
      this.value = start;
      this.valueLength = <u32>(quote - start);
      return true;
    }
  }

  private word(text: string, kind: JsonKind): bool {
    for (let i = 0; i < text.length; i++) if (!this.take(text.charCodeAt(i))) return false;
    this.kind = kind;
    return true;
  }

  private digits(): bool {
    const start = this.at;
    while (this.at < this.end && <u32>load<u8>(this.at) - 0x30 < 10) this.at++;
    return this.at > start;
  }

  private number(): bool {
    this.take(0x2d);
    if (!this.digits()) return false;
    if (this.take(0x2e) && !this.digits()) return false;
    if (this.take(0x65) || this.take(0x45)) {
      if (!this.take(0x2b)) this.take(0x2d);
      if (!this.digits()) return false;
    }
    this.kind = JsonKind.Number;
    return true;
  }

  private any(depth: u32): bool {
    if (this.at >= this.end || depth > DEPTH_MAX) return false;
    const start = this.at;
    const first: u32 = load<u8>(start);
    if (first == 0x22) return this.string();
    let sound: bool;
    if (first == 0x7b) sound = this.nest(depth, 0x7d, JsonKind.Object);
    else if (first == 0x5b) sound = this.nest(depth, 0x5d, JsonKind.Array);
    else if (first == 0x74) sound = this.word("true", JsonKind.True);
    else if (first == 0x66) sound = this.word("false", JsonKind.False);
    else if (first == 0x6e) sound = this.word("null", JsonKind.Null);
    else sound = this.number();
    this.value = start;
    this.valueLength = <u32>(this.at - start);
    return sound;
  }

  private nest(depth: u32, close: u32, kind: JsonKind): bool {
    this.at++;
    this.blanks();
    if (!this.take(close)) {
      do {
        this.blanks();
        if (kind == JsonKind.Object) {
          if (!this.string()) return false;
          this.blanks();
          if (!this.take(0x3a)) return false;
          this.blanks();
        }
        if (!this.any(depth + 1)) return false;
        this.blanks();
      } while (this.take(0x2c));
      if (!this.take(close)) return false;
    }
    this.kind = kind;
    return true;
  }
}

/** Writes JSON without blanks. Keys and texts are ASCII literals of ours and need no escapes. */
@unmanaged
export class JsonWriter {
  writer: Writer;
  private comma: bool;

  begin(writer: Writer): JsonWriter {
    this.writer = writer;
    this.comma = false;
    return this;
  }


  @inline private separate(): void {
    if (this.comma) this.writer.byte(0x2c);
    this.comma = true;
  }

  private opening(byte: u32): JsonWriter {
    this.writer.byte(byte);
    this.comma = false;
    return this;
  }

  private closing(byte: u32): JsonWriter {
    this.writer.byte(byte);
    this.comma = true;
    return this;
  }

  /** Starts a member; its value follows. */
  key(name: string): JsonWriter {
    this.separate();
    this.writer.byte(0x22).text(name).text('":');
    this.comma = false;
    return this;
  }

  object(): JsonWriter {
    this.separate();
    return this.opening(0x7b);
  }

  endObject(): JsonWriter {
    return this.closing(0x7d);
  }

  array(): JsonWriter {
    this.separate();
    return this.opening(0x5b);
  }

  endArray(): JsonWriter {
    return this.closing(0x5d);
  }

  number(value: u64): JsonWriter {
    this.separate();
    this.writer.number(value);
    return this;
  }

  signed(value: i64): JsonWriter {
    this.separate();
    if (value < 0) this.writer.byte(0x2d);
    this.writer.number(value < 0 ? -value : value);
    return this;
  }

  /** `value` billionths, as a decimal number. */
  nano(value: u64): JsonWriter {
    this.separate();
    this.writer
      .number(value / 1_000_000_000)
      .byte(0x2e)
      .padded(value % 1_000_000_000, 9);
    return this;
  }

  boolean(value: bool): JsonWriter {
    this.separate();
    this.writer.text(value ? "true" : "false");
    return this;
  }

  text(value: string): JsonWriter {
    this.separate();
    this.writer.byte(0x22).text(value).byte(0x22);
    return this;
  }

  /** A member with a number. */
  count(name: string, value: u64): JsonWriter {
    return this.key(name).number(value);
  }
}
