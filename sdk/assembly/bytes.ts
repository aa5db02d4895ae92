/** Bytes that grow at the end and are taken from the front. */
@final
export class ByteQueue {
  private data: ArrayBuffer = new ArrayBuffer(1024);
  private from: i32 = 0;
  private to: i32 = 0;

  get length(): i32 {
    return this.to - this.from;
  }

  /** Address of the first byte. Good until something is added. */
  get start(): usize {
    return changetype<usize>(this.data) + this.from;
  }

  /** Makes room for `count` more bytes and says where they go; `added` then counts them in. */
  room(count: i32): usize {
    const length = this.length;
    if (this.to + count > this.data.byteLength) {
      const base = changetype<usize>(this.data);
      if (length + count <= this.data.byteLength && this.from >= length) {
        memory.copy(base, base + this.from, length);
      } else {
        const larger = new ArrayBuffer(max(this.data.byteLength * 2, length + count));
        memory.copy(changetype<usize>(larger), base + this.from, length);
        this.data = larger;
      }
      this.from = 0;
      this.to = length;
    }
    return changetype<usize>(this.data) + this.to;
  }


  @inline added(count: i32): void {
    this.to += count;
  }

  add(from: usize, count: i32): void {
    memory.copy(this.room(count), from, count);
    this.to += count;
  }

  /** Adds text as UTF-8. */
  addText(text: string): void {
    const into = this.room(text.length * 3);
    this.to += <i32>String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, into);
  }

  /** Takes `count` bytes off the front. */
  drop(count: i32): void {
    this.from += count;
    if (this.from == this.to) this.clear();
  }

  clear(): void {
    this.from = 0;
    this.to = 0;
  }

  /** A copy of all of it. */
  toArray(): Uint8Array {
    const copy = new Uint8Array(this.length);
    memory.copy(copy.dataStart, this.start, this.length);
    return copy;
  }
}
