/** A module that is malformed, invalid or beyond what the translator supports. */
export class WasmError extends Error {
  /** Byte offset in the file where the trouble begins. */
  readonly offset: number;
  readonly reason: string;

  constructor(offset: number, reason: string) {
    super(`offset 0x${offset.toString(16)}: ${reason}`);
    this.name = "WasmError";
    this.offset = offset;
    this.reason = reason;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads the primitive encodings of the binary format (spec 5.2), never past its end. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  pos: number;

  constructor(bytes: Uint8Array, pos = 0, end = bytes.length) {
    this.bytes = bytes;
    this.start = pos;
    this.pos = pos;
    this.end = end;
  }

  get done(): boolean {
    return this.pos >= this.end;
  }

  fail(reason: string, offset = this.pos): never {
    throw new WasmError(offset, reason);
  }

  byte(): number {
    if (this.pos >= this.end) this.fail("unexpected end");
    return this.bytes[this.pos++]!;
  }

  peek(): number {
    if (this.pos >= this.end) this.fail("unexpected end");
    return this.bytes[this.pos]!;
  }

  take(length: number): Uint8Array {
    if (length > this.end - this.pos) this.fail("length out of bounds");
    this.pos += length;
    return this.bytes.subarray(this.pos - length, this.pos);
  }

  /** A reader over the next `length` bytes, which this one skips. Offsets stay those of the file. */
  section(length: number): Reader {
    const start = this.pos;
    this.take(length);
    return new Reader(this.bytes, start, this.pos);
  }

  u32(): number {
    return Number(this.leb(32, false));
  }

  s32(): number {
    return Number(this.leb(32, true));
  }

  /** The type index or value type of a block: a signed LEB128 of 33 bits. */
  s33(): number {
    return Number(this.leb(33, true));
  }

  s64(): bigint {
    return this.leb(64, true);
  }

  fixed(bytes: number): bigint {
    let value = 0n;
    this.take(bytes).forEach((byte, i) => (value |= BigInt(byte) << BigInt(8 * i)));
    return value;
  }

  name(): string {
    const at = this.pos;
    const text = this.take(this.u32());
    try {
      return utf8.decode(text);
    } catch {
      this.fail("malformed UTF-8 encoding", at);
    }
  }

  /** LEB128 of at most ceil(bits / 7) bytes whose unused bits are zero, or copies of the sign. */
  private leb(bits: number, signed: boolean): bigint {
    const at = this.pos;
    const last = Math.ceil(bits / 7) - 1;
    let value = 0n;
    for (let i = 0; ; i++) {
      const byte = this.byte();
      if (i === last) {
        if (byte & 0x80) this.fail("integer representation too long", at);
        const used = bits - 7 * last;
        const excess = (byte & 0x7f) >> (signed ? used - 1 : used);
        const ones = 0x7f >> (signed ? used - 1 : used);
        if (excess !== 0 && !(signed && excess === ones)) this.fail("integer too large", at);
      }
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (!(byte & 0x80)) return signed ? BigInt.asIntN(Math.min(7 * (i + 1), bits), value) : value;
    }
  }
}
