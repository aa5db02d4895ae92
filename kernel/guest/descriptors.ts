import { WATCH_BYTES } from "./epoll";
import { Guest } from "./guest";

/**
 * What a guest's file descriptors stand for. A descriptor is a number that refers to an *open
 * description*, as POSIX calls it: `dup` makes another one refer to the same, which ends with its last
 * reference. Both kinds of number are bounded by the guest's limit, so a table needs no more memory
 * than it is made with:
 *
 *   | this head | a bit for each free descriptor | what each refers to | descriptions | epolls' watches |
 */

export const enum DescriptorKind {
  Free = 0,
  /** `object`: 0 is standard input, 1 output, 2 errors; `NULL_DEVICE`. */
  Console = 1,
  /** `object`: its number in kernel/socket.ts, where its context is the description. */
  Socket = 2,
  File = 3,
  Directory = 4,
  Epoll = 5,
  Event = 6,
  Timer = 7,
  /** An end of a pipe, or of a pair of sockets: kernel/guest/pipes.ts. */
  Pipe = 8,
}

/** /dev/null, where no file hides it: of kind `Console`, at its end, and takes all there is. */
export const NULL_DEVICE: u32 = 3;

/** Descriptors of a guest that nothing is said about, and the most that any may have. */
export const DESCRIPTORS_DEFAULT: u32 = 256;
export const DESCRIPTORS_MOST: u32 = 1024;

/** Bytes of a description: one cache line. */
const DESCRIPTION_BYTES: u32 = 64;
/** Of what a descriptor refers to: no reference; `FD_CLOEXEC`, which nothing comes of. */
const NONE: u32 = 0;
const CLOSE_ON_EXEC: u32 = 0x8000;
const WORD_BITS: u32 = 64;

/** An open description. Its kinds add up to 40 bytes of their own to it. */
@unmanaged
export class Description {
  guest: Guest;
  /** What it stands for: a number in the kind's own table, if it has one. */
  object: u32;
  /** Descriptors that refer to it. */
  references: u16;
  kind: u8;
  /** `O_NONBLOCK`: a call that would wait fails with EAGAIN. */
  nonBlocking: bool;
  /** The guest waits for `waitEvents` of it, if this is its `Guest.waits`. */
  waitSerial: u32;
  waitEvents: u32;
  /** The epolls that watch it: kernel/guest/epoll.ts; while it is free, the next free one. */
  watches: usize;
}

/** A guest's descriptors. */
@unmanaged
export class Descriptors {
  guest: Guest;
  /** Descriptors that there may be. */
  limit: u32;
  /** Descriptors in use. */
  used: u32;
  /** Descriptions from here on have never been used. */
  private fresh: u32;
  private free: Description | null;
  /** A bit for each word of the bits of free descriptors that has any. */
  private words: u32;
  private descriptions: usize;
  /** Watches of its epolls, as many as `limit`: those from `watchesFresh` on have never been used. */
  watches: usize;
  watchesFresh: u32;
  watchesFree: usize;
  private references: usize;


  @inline private get bits(): usize {
    return changetype<usize>(this) + offsetof<Descriptors>();
  }

  /** Makes it, in `descriptorsBytes(limit)` bytes, empty but for the standard streams. */
  init(guest: Guest, limit: u32): void {
    const words = wordsOf(limit);
    this.guest = guest;
    this.limit = limit;
    this.used = 0;
    this.fresh = 0;
    this.free = null;
    this.words = 0;
    this.references = this.bits + ((<usize>words) << 3);
    this.descriptions = (this.references + ((<usize>limit) << 1) + 63) & ~63;
    this.watches = this.descriptions + <usize>limit * DESCRIPTION_BYTES;
    this.watchesFresh = 0;
    this.watchesFree = 0;
    memory.fill(this.references, 0, (<usize>limit) << 1);
    for (let word: u32 = 0; word < words; word++) {
      const left = limit - word * WORD_BITS;
      const bits = left < WORD_BITS ? ((<u64>1) << left) - 1 : u64.MAX_VALUE;
      store<u64>(this.bits + ((<usize>word) << 3), bits);
      this.words |= 1 << word;
    }
    for (let stream: u32 = 0; stream < 3 && stream < limit; stream++) {
      this.open(DescriptorKind.Console, stream, false);
    }
  }


  @inline private reference(fd: u32): u32 {
    return load<u16>(this.references + ((<usize>fd) << 1));
  }


  @inline private refer(fd: u32, to: u32): void {
    store<u16>(this.references + ((<usize>fd) << 1), <u16>to);
  }

  /** What `fd` stands for, or null. */
  @inline at(fd: u32): Description | null {
    if (fd >= this.limit) return null;
    const reference = this.reference(fd) & ~CLOSE_ON_EXEC;
    return reference == NONE ? null : this.description(reference);
  }


  @inline private description(reference: u32): Description {
    return changetype<Description>(this.descriptions + <usize>(reference - 1) * DESCRIPTION_BYTES);
  }

  /** The lowest free descriptor from `from` on, or `limit`. Cost: a word for 64 descriptors above `from`. */
  lowest(from: u32 = 0): u32 {
    if (from >= this.limit) return this.limit;
    const first = from / WORD_BITS;
    const bits =
      load<u64>(this.bits + ((<usize>first) << 3)) & (u64.MAX_VALUE << (from % WORD_BITS));
    if (bits) return first * WORD_BITS + <u32>ctz(bits);
    const words = (<u64>this.words) & (u64.MAX_VALUE << (first + 1));
    if (!words) return this.limit;
    const word = <u32>ctz(words);
    return word * WORD_BITS + <u32>ctz(load<u64>(this.bits + ((<usize>word) << 3)));
  }

  /** Whether there is room for `more` descriptors. */
  @inline hasRoom(more: u32 = 1): bool {
    return this.limit - this.used >= more;
  }

  /**
   * Gives something new the lowest free descriptor, of which there is one (`hasRoom`). All of the
   * description that its kind adds is zero.
   */
  open(kind: DescriptorKind, object: u32, nonBlocking: bool): u32 {
    let made = this.free;
    if (made !== null) this.free = changetype<Description | null>(made.watches);
    else made = this.description(++this.fresh);
    memory.fill(changetype<usize>(made), 0, DESCRIPTION_BYTES);
    made.guest = this.guest;
    made.object = object;
    made.kind = <u8>kind;
    made.nonBlocking = nonBlocking;
    const fd = this.lowest();
    this.set(fd, made);
    return fd;
  }

  /** Makes `fd`, which is free and below the limit, refer to `description`, too. */
  set(fd: u32, description: Description): void {
    const index = changetype<usize>(description) - this.descriptions;
    this.refer(fd, <u32>index / DESCRIPTION_BYTES + 1);
    description.references++;
    this.used++;
    const word = fd / WORD_BITS;
    const at = this.bits + ((<usize>word) << 3);
    const bits = load<u64>(at) & ~((<u64>1) << (fd % WORD_BITS));
    store<u64>(at, bits);
    if (!bits) this.words &= ~(1 << word);
  }

  /** Frees `fd`, which is in use. True if that was the last reference to its description. */
  clear(fd: u32): bool {
    const description = this.description(this.reference(fd) & ~CLOSE_ON_EXEC);
    this.refer(fd, NONE);
    this.used--;
    const word = fd / WORD_BITS;
    const at = this.bits + ((<usize>word) << 3);
    store<u64>(at, load<u64>(at) | ((<u64>1) << (fd % WORD_BITS)));
    this.words |= 1 << word;
    return --description.references == 0;
  }

  /** Takes back a description that nothing refers to and whose object has been closed. */
  forget(description: Description): void {
    description.kind = <u8>DescriptorKind.Free;
    description.watches = changetype<usize>(this.free);
    this.free = description;
  }

  /** `FD_CLOEXEC` of a descriptor in use. */
  @inline closesOnExec(fd: u32): bool {
    return (this.reference(fd) & CLOSE_ON_EXEC) != 0;
  }


  @inline setClosesOnExec(fd: u32, closes: bool): void {
    this.refer(fd, (this.reference(fd) & ~CLOSE_ON_EXEC) | (closes ? CLOSE_ON_EXEC : 0));
  }
}


@inline function wordsOf(limit: u32): u32 {
  return (limit + WORD_BITS - 1) / WORD_BITS;
}

/** Bytes of a table of `limit` descriptors, 1 to `DESCRIPTORS_MOST`; it begins at a multiple of 64. */
export function descriptorsBytes(limit: u32): u32 {
  const table = <u32>offsetof<Descriptors>() + wordsOf(limit) * 8 + limit * 2;
  return ((table + 63) & ~63) + limit * (DESCRIPTION_BYTES + WATCH_BYTES);
}
