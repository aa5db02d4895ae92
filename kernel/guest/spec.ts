import { error } from "../log";
import { boot, reserve } from "../memory";
import { DESCRIPTORS_MOST } from "./descriptors";

/**
 * What the image says of its guests, in the form that tools/guest/spec.ts describes. It is checked once,
 * when it is found; after that every accessor is one load and cannot fail.
 */

const MAGIC: u32 = 0x5347_4b53;
const VERSION: u32 = 1;
const HEADER_BYTES: u32 = 16;
const SPEC_BYTES: u32 = 96;
const RULE_BYTES: u32 = 24;
const MOUNT_BYTES: u32 = 20;
/** Descriptors at least, where a number is said: the standard streams. */
const DESCRIPTORS_LEAST: u32 = 3;

export const enum Restart {
  Never = 0,
  /** After a trap, or an exit code other than 0. */
  OnFailure = 1,
  Always = 2,
}

/** Bits of `GuestSpec.flags`. */
const enum SpecFlag {
  /** It may only do what is allowed. */
  Restricted = 1,
  Raw = 2,
  Resolve = 4,
  Mark = 8,
  Console = 16,
}

/** Strings behind one another, each ended by a zero. */
@unmanaged
export class Strings {
  private offset: u32;
  /** With the zeros. */
  length: u32;
  count: u32;


  @inline get at(): usize {
    return base + this.offset;
  }

  /** Whether they lie within [`from`, `to`) and are as many as they say. */
  valid(from: u32, to: u32): bool {
    if (!spans(this.offset, this.length, from, to)) return false;
    let zeros: u32 = 0;
    let last: u32 = 0;
    for (let i: u32 = 0; i < this.length; i++) {
      last = load<u8>(this.at + i);
      if (!last) zeros++;
    }
    return zeros == this.count && !last;
  }
}

/** What a guest may bind or connect to: an address in a prefix, by a protocol, at some ports. */
@unmanaged
export class Rule {
  hi: u64;
  lo: u64;
  first: u16;
  last: u16;
  /** As IP numbers it. */
  protocol: u8;
  /** Bits of the address that count, 0 to 128. */
  prefix: u8;
  private zero: u16;
}

/** Where a guest sees files. */
@unmanaged
export class MountSpec {
  private pathOffset: u32;
  pathLength: u32;
  /** Whether it is a directory in memory, of `bytes` at most, or else a folder of the pack. */
  ram: u32;
  bytes: u32;
  treeLength: u32;


  @inline get path(): usize {
    return base + this.pathOffset;
  }


  @inline get tree(): usize {
    return base + this.bytes;
  }

  valid(from: u32, to: u32): bool {
    return (
      spans(this.pathOffset, this.pathLength, from, to) &&
      (this.ram != 0 || spans(this.bytes, this.treeLength, from, to))
    );
  }
}


@unmanaged
export class GuestSpec {
  private nameOffset: u32;
  nameLength: u32;
  private moduleOffset: u32;
  moduleLength: u32;
  private argumentsOffset: u32;
  private argumentsLength: u32;
  private argumentsCount: u32;
  private environmentOffset: u32;
  private environmentLength: u32;
  private environmentCount: u32;
  /** Most bytes of linear memory, percent of the processor, descriptors: 0 where nothing is said. */
  memory: u32;
  cpu: u32;
  descriptors: u32;
  /** `Restart`. */
  restart: u32;
  private flags: u32;
  private bindOffset: u32;
  bindCount: u32;
  private connectOffset: u32;
  connectCount: u32;
  private mountsOffset: u32;
  mountCount: u32;


  @inline get name(): usize {
    return base + this.nameOffset;
  }


  @inline get module(): usize {
    return base + this.moduleOffset;
  }


  @inline get arguments(): Strings {
    return changetype<Strings>(changetype<usize>(this) + offsetof<GuestSpec>("argumentsOffset"));
  }


  @inline get environment(): Strings {
    return changetype<Strings>(changetype<usize>(this) + offsetof<GuestSpec>("environmentOffset"));
  }


  @inline get restricted(): bool {
    return (this.flags & SpecFlag.Restricted) != 0;
  }


  @inline get mayRaw(): bool {
    return (this.flags & SpecFlag.Raw) != 0;
  }


  @inline get mayResolve(): bool {
    return (this.flags & SpecFlag.Resolve) != 0;
  }


  @inline get mayMark(): bool {
    return (this.flags & SpecFlag.Mark) != 0;
  }

  /** Whether what is typed at the console is its standard input. One guest's at most: the last one's. */
  @inline get hasConsole(): bool {
    return (this.flags & SpecFlag.Console) != 0;
  }

  /** The first of `bindCount`, one behind the other. */
  @inline get bindRules(): usize {
    return base + this.bindOffset;
  }


  @inline get connectRules(): usize {
    return base + this.connectOffset;
  }

  /** Mount `index`, below `mountCount`. */
  @inline mount(index: u32): MountSpec {
    return changetype<MountSpec>(base + this.mountsOffset + <usize>index * MOUNT_BYTES);
  }

  /** Whether its numbers are such as tools/guest/spec.ts lets through. */
  @inline get moderate(): bool {
    const descriptors = this.descriptors;
    return (
      this.cpu <= 100 &&
      this.restart <= <u32>Restart.Always &&
      (!descriptors || (descriptors >= DESCRIPTORS_LEAST && descriptors <= DESCRIPTORS_MOST))
    );
  }

  /** Whether all that it points to lies where it belongs, `to` being the end of everything. */
  valid(from: u32, to: u32): bool {
    if (
      !spans(this.nameOffset, this.nameLength, from, to) ||
      !spans(this.moduleOffset, this.moduleLength, from, to) ||
      !this.arguments.valid(from, to) ||
      !this.environment.valid(from, to) ||
      !holds(this.bindOffset, this.bindCount, RULE_BYTES, 8, from, to) ||
      !holds(this.connectOffset, this.connectCount, RULE_BYTES, 8, from, to) ||
      !holds(this.mountsOffset, this.mountCount, MOUNT_BYTES, 4, from, to)
    )
      return false;
    for (let i: u32 = 0; i < this.mountCount; i++) if (!this.mount(i).valid(from, to)) return false;
    return true;
  }
}

let base: usize = 0;
let count: u32 = 0;

/** Whether `length` bytes at `at` lie within [`from`, `to`). */
@inline function spans(at: u32, length: u32, from: u32, to: u32): bool {
  return at >= from && at <= to && length <= to - at;
}

/** Whether `items` of `bytes`, at a multiple of `align`, lie within [`from`, `to`). */
@inline function holds(at: u32, items: u32, bytes: u32, align: u32, from: u32, to: u32): bool {
  return at >= from && at <= to && !(at & (align - 1)) && items <= (to - at) / bytes;
}


@inline export function specAt(index: u32): GuestSpec {
  return changetype<GuestSpec>(base + HEADER_BYTES + <usize>index * SPEC_BYTES);
}

/** What is wrong with the host's, or null. */
function fault(length: u32): string | null {
  if (length < HEADER_BYTES || base & 7 || load<u32>(base) != MAGIC)
    return "they are no such thing";
  if (load<u32>(base, 4) != VERSION) return "they were made for another version of this kernel";
  const bytes = load<u32>(base, 12);
  if (bytes < HEADER_BYTES || bytes > length) return "they are cut short";
  const guests = load<u32>(base, 8);
  if (guests > (bytes - HEADER_BYTES) / SPEC_BYTES) return "there are fewer than they say";
  const from = HEADER_BYTES + guests * SPEC_BYTES;
  for (let i: u32 = 0; i < guests; i++) {
    if (!specAt(i).valid(from, bytes)) return "one points to what is not there";
    if (!specAt(i).moderate) return "one is beyond its limits";
  }
  count = guests;
  return null;
}

/** Looks at what the host gave: whether there are specs. Then there are `specCount()` guests. */
export function specsFound(): bool {
  count = 0;
  if (!boot.setupLength) return false;
  base = boot.setup;
  const wrong = fault(boot.setupLength);
  if (wrong !== null) {
    error("guest").text("the image's guests cannot be read: ").text(wrong).end();
  }
  return true;
}


@inline export function specCount(): u32 {
  return count;
}

/**
 * A spec for a module about which nothing is said, named as it is: everything is allowed. Start-up only, and
 * where there are no others.
 */
export function specOfModule(name: usize, nameLength: u32): GuestSpec {
  base = 0;
  const at = reserve(SPEC_BYTES + nameLength + 1, 8);
  const text = <u32>at + SPEC_BYTES;
  memory.copy(text, name, nameLength);
  store<u32>(at, text, offsetof<GuestSpec>("nameOffset"));
  store<u32>(at, nameLength, offsetof<GuestSpec>("nameLength"));
  store<u32>(at, text, offsetof<GuestSpec>("argumentsOffset"));
  store<u32>(at, nameLength + 1, offsetof<GuestSpec>("argumentsLength"));
  store<u32>(at, 1, offsetof<GuestSpec>("argumentsCount"));
  return changetype<GuestSpec>(at);
}
