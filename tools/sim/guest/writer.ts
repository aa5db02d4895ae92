/** Writes the primitive encodings of Wasm's binary format (spec 5.2). */
export class Writer {
  private buffer = new Uint8Array(1024);
  private at = 0;

  get length(): number {
    return this.at;
  }

  /** What was written so far; valid until more is. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.at);
  }

  byte(...values: readonly number[]): this {
    this.room(values.length);
    for (const value of values) this.buffer[this.at++] = value;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.room(bytes.length);
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
    return this;
  }

  u32(value: number): this {
    value >>>= 0;
    while (value > 0x7f) {
      this.byte((value & 0x7f) | 0x80);
      value >>>= 7;
    }
    return this.byte(value);
  }

  /** A signed integer, of whatever width. */
  signed(value: bigint | number): this {
    let rest = BigInt(value);
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && !(low & 0x40)) || (rest === -1n && low & 0x40)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  /** The bits of a float or vector. */
  fixed(bits: bigint, bytes: number): this {
    for (let i = 0; i < bytes; i++) this.byte(Number((bits >> BigInt(8 * i)) & 0xffn));
    return this;
  }

  name(text: string): this {
    return this.sized(new TextEncoder().encode(text));
  }

  /** Bytes behind their number. */
  sized(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }

  /** Items behind their number. */
  vector<T>(items: readonly T[], write: (item: T) => void): this {
    this.u32(items.length);
    items.forEach(write);
    return this;
  }

  /** A section, if there is anything in it. */
  section(id: number, items: number, fill: (content: Writer) => void): this {
    if (!items) return this;
    const content = new Writer().u32(items);
    fill(content);
    return this.byte(id).sized(content.bytes);
  }

  private room(length: number): void {
    if (this.at + length <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.at + length));
    larger.set(this.bytes);
    this.buffer = larger;
  }
}
