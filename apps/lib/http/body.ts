import { hexDigit } from "../text";

/**
 * The body of a request (RFC 9112, 6 and 7.1): so many bytes, or chunks. It is read from the
 * receive queue where it lies: `take` says how many bytes at the front are framing or data, and
 * which of them are data.
 */

const enum State {
  /** `remaining` bytes of data, then done: a body with a length. */
  Counted = 0,
  /** In a chunk's size; `digits` says whether there is one already. */
  Size = 1,
  /** In what follows the size: extensions, which nobody reads. */
  Extension = 2,
  /** The LF that ends the line of the size. */
  SizeEnd = 3,
  /** `remaining` bytes of a chunk. */
  Data = 4,
  /** The CR, then the LF, behind a chunk's data. */
  DataEnd = 5,
  DataEnd2 = 6,
  /** At the start of a line of the trailer section. */
  Trailer = 7,
  /** Within such a line. */
  TrailerLine = 8,
  /** The LF that ends such a line. */
  TrailerEnd = 9,
  /** The LF that ends the body. */
  LastEnd = 10,
  Done = 11,
  Bad = 12,
}

/** Bytes of extensions and trailers taken in one body: framing must not outweigh data for ever. */
const OVERHEAD_MAX: u32 = 16384;
/** Hexadecimal digits of a chunk's size: more cannot be counted. */
const DIGITS_MAX: u32 = 15;


@unmanaged
export class Body {
  remaining: u64;
  /** Bytes of data so far. */
  received: u64;
  private overhead: u32;
  private state: u8;
  private digits: u8;

  /** A body of `length` bytes. */
  counted(length: u64): void {
    memory.fill(changetype<usize>(this), 0, offsetof<Body>());
    this.remaining = length;
    this.state = <u8>(length ? State.Counted : State.Done);
  }

  chunked(): void {
    memory.fill(changetype<usize>(this), 0, offsetof<Body>());
    this.state = <u8>State.Size;
  }


  @inline get done(): bool {
    return this.state == State.Done;
  }

  /** The framing is broken: where the next request begins cannot be known. */
  @inline get bad(): bool {
    return this.state == State.Bad;
  }

  /**
   * Reads on at `at`, where `length` bytes stand. Returns how many it took; of those the last
   * `bodyData()` are data. Call again while it takes any and is neither done nor bad.
   */
  take(at: usize, length: u32): u32 {
    let used: u32 = 0;
    dataLength = 0;
    while (used < length) {
      if (this.state == State.Counted || this.state == State.Data) {
        const count = <u32>min<u64>(this.remaining, length - used);
        this.remaining -= count;
        this.received += count;
        dataLength = count;
        if (!this.remaining) {
          this.state = <u8>(this.state == State.Data ? State.DataEnd : State.Done);
        }
        return used + count;
      }
      if (<State>this.state >= State.Done) break;
      this.state = <u8>this.framing(load<u8>(at + used));
      used++;
    }
    return used;
  }

  /** Takes one byte of framing and returns the state behind it. */
  private framing(byte: u32): State {
    switch (<State>this.state) {
      case State.Size: {
        const digit = hexDigit(byte);
        if (digit >= 0) {
          if (<u32>++this.digits > DIGITS_MAX) return State.Bad;
          this.remaining = (this.remaining << 4) | digit;
          return State.Size;
        }
        if (!this.digits) return State.Bad;
        if (byte == 0x0d) return State.SizeEnd;
        // White space before an extension is bad, but allowed for (RFC 9112, 7.1.1).
        return byte == 0x3b || byte == 0x20 || byte == 0x09 ? State.Extension : State.Bad;
      }
      case State.Extension:
        if (byte == 0x0a || ++this.overhead > OVERHEAD_MAX) return State.Bad;
        return byte == 0x0d ? State.SizeEnd : State.Extension;
      case State.SizeEnd:
        this.digits = 0;
        if (byte != 0x0a) return State.Bad;
        return this.remaining ? State.Data : State.Trailer;
      case State.DataEnd:
        return byte == 0x0d ? State.DataEnd2 : State.Bad;
      case State.DataEnd2:
        return byte == 0x0a ? State.Size : State.Bad;
      case State.Trailer:
        if (byte == 0x0d) return State.LastEnd;
        if (byte == 0x0a || byte == 0x20 || byte == 0x09) return State.Bad;
        return ++this.overhead > OVERHEAD_MAX ? State.Bad : State.TrailerLine;
      case State.TrailerLine:
        if (byte == 0x0a || ++this.overhead > OVERHEAD_MAX) return State.Bad;
        return byte == 0x0d ? State.TrailerEnd : State.TrailerLine;
      case State.TrailerEnd:
        return byte == 0x0a ? State.Trailer : State.Bad;
      case State.LastEnd:
        return byte == 0x0a ? State.Done : State.Bad;
      default:
        return State.Bad;
    }
  }
}

let dataLength: u32 = 0;

/** How many of the bytes that the last `take` took are data: the last ones. */
@inline export function bodyData(): u32 {
  return dataLength;
}
