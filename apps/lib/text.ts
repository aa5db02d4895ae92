/**
 * ASCII in memory: comparing what came in with words, and writing what goes out. String literals
 * are UTF-16 in the image; here they only ever hold ASCII.
 */

/** Bits of a byte's class (RFC 9110, 5.6.2; RFC 9110, 5.5; RFC 3986, 3.2.2). */
export const enum Class {
  /** May stand in a token: a method, a field's name. */
  Token = 1,
  /** May stand in a field's value: visible, space, tab, or obs-text. */
  Value = 2,
  /** May stand in a host and its port. */
  Host = 4,
  /** Visible ASCII. */
  Visible = 8,
}

const classes: usize = classify(memory.data(256, 64));

function classify(into: usize): usize {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let bits: u32 = 0;
    if (byte > 0x20 && byte < 0x7f) bits |= Class.Visible;
    if ((byte >= 0x20 && byte != 0x7f) || byte == 0x09) bits |= Class.Value;
    if (isAlphanumeric(byte)) bits |= Class.Token | Class.Host;
    store<u8>(into + byte, bits);
  }
  mark(into, "!#$%&'*+-.^_`|~", Class.Token);
  mark(into, "-._~!$&'()*+;=%:[]", Class.Host);
  return into;
}

function mark(into: usize, characters: string, bit: u32): void {
  for (let i = 0; i < characters.length; i++) {
    const at = into + <usize>characters.charCodeAt(i);
    store<u8>(at, load<u8>(at) | bit);
  }
}

function isAlphanumeric(byte: u32): bool {
  return byte - 0x30 < 10 || (byte | 0x20) - 0x61 < 26;
}

/** Whether `byte` has any bit of `mask`. */
@inline export function inClass(byte: u32, mask: u32): bool {
  return (load<u8>(classes + byte) & mask) != 0;
}

/** Whether every one of `length` bytes at `at` has a bit of `mask`. */
export function allInClass(at: usize, length: u32, mask: u32): bool {
  for (const end = at + length; at < end; at++) {
    if (!inClass(load<u8>(at), mask)) return false;
  }
  return true;
}


@inline export function isDigit(byte: u32): bool {
  return byte - 0x30 < 10;
}

/** Value of a hexadecimal digit, or -1. */
export function hexDigit(byte: u32): i32 {
  if (byte - 0x30 < 10) return byte - 0x30;
  const letter = (byte | 0x20) - 0x61;
  return letter < 6 ? letter + 10 : -1;
}

/** Whether the bytes are `word`. */
export function equals(at: usize, length: u32, word: string): bool {
  if (length != <u32>word.length) return false;
  const units = changetype<usize>(word);
  for (let i: usize = 0; i < length; i++) {
    if (load<u8>(at + i) != load<u16>(units + (i << 1))) return false;
  }
  return true;
}

/** Whether the bytes are `word`, which is in lower case, in any case. */
export function equalsIgnoreCase(at: usize, length: u32, word: string): bool {
  if (length != <u32>word.length) return false;
  const units = changetype<usize>(word);
  for (let i: usize = 0; i < length; i++) {
    const byte: u32 = load<u8>(at + i);
    const lower = byte - 0x41 < 26 ? byte | 0x20 : byte;
    if (lower != load<u16>(units + (i << 1))) return false;
  }
  return true;
}

/** Decimal digits only, no sign: the number, or `u64.MAX_VALUE` if it is not one or above 2^63. */
export function decimal(at: usize, length: u32): u64 {
  if (!length) return u64.MAX_VALUE;
  let value: u64 = 0;
  for (const end = at + length; at < end; at++) {
    const digit: u32 = <u32>load<u8>(at) - 0x30;
    if (digit > 9 || value > <u64>(i64.MAX_VALUE - 9) / 10) return u64.MAX_VALUE;
    value = value * 10 + digit;
  }
  return value;
}

/** Address of the next `byte` in [`at`, `end`), or 0. Reads eight bytes at a time. */
export function findByte(at: usize, end: usize, byte: u32): usize {
  const ones: u64 = 0x0101_0101_0101_0101;
  const pattern = ones * byte;
  while (at + 8 <= end) {
    const word = load<u64>(at) ^ pattern;
    const zero = (word - ones) & ~word & (ones << 7);
    if (zero) return at + <usize>(ctz(zero) >> 3);
    at += 8;
  }
  for (; at < end; at++) if (load<u8>(at) == byte) return at;
  return 0;
}

/**
 * Writes text forward from `at`, never past `end`: what does not fit is dropped and `full` says
 * so. One instance serves a program, since nothing is written across two calls from the kernel.
 */
@unmanaged
export class Writer {
  at: usize;
  start: usize;
  end: usize;
  full: bool;


  @inline begin(start: usize, end: usize): Writer {
    this.start = start;
    this.at = start;
    this.end = end;
    this.full = false;
    return this;
  }


  @inline get length(): u32 {
    return <u32>(this.at - this.start);
  }


  @inline byte(value: u32): Writer {
    if (this.at < this.end) store<u8>(this.at++, value);
    else this.full = true;
    return this;
  }

  /** ASCII text. */
  text(text: string): Writer {
    const units = changetype<usize>(text);
    const length = <usize>text.length;
    if (this.end - this.at < length) {
      this.full = true;
      return this;
    }
    const at = this.at;
    for (let i: usize = 0; i < length; i++) store<u8>(at + i, load<u16>(units + (i << 1)));
    this.at = at + length;
    return this;
  }

  bytes(from: usize, length: u32): Writer {
    if (this.end - this.at < <usize>length) {
      this.full = true;
      return this;
    }
    memory.copy(this.at, from, length);
    this.at += length;
    return this;
  }

  number(value: u64): Writer {
    if (value >= 10) this.number(value / 10);
    return this.byte(0x30 + <u32>(value % 10));
  }

  /** Decimal, at least `digits` wide, filled with zeros. */
  padded(value: u64, digits: u32): Writer {
    if (digits > 1) this.padded(value / 10, digits - 1);
    else if (value >= 10) this.number(value / 10);
    return this.byte(0x30 + <u32>(value % 10));
  }

  /** Lower-case hexadecimal, `digits` wide. */
  hex(value: u64, digits: u32): Writer {
    for (let shift: i32 = <i32>digits * 4 - 4; shift >= 0; shift -= 4) {
      const digit = (<u32>(value >> shift)) & 15;
      this.byte(digit + (digit < 10 ? 0x30 : 0x57));
    }
    return this;
  }
}
