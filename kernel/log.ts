import { IpAddress } from "../net/wire/address";
import { formatIp } from "./text";
import { consoleWrite, monotonic } from "./host";

/**
 * The log: one line an event, `seconds level source: words key=value …`, on the console and in a
 * ring in memory that outlives it. A line below the level costs one comparison a call.
 *
 *     info("dhcp").text("bound").key("address").ip(address).end();
 */

export const enum Level {
  Error = 0,
  Warn = 1,
  Info = 2,
  Debug = 3,
}

const LINE_MAX: u32 = 256;
const RING_BYTES: u32 = 16384;
const line: usize = memory.data(256);
const ring: usize = memory.data(16384);
/** Bytes ever written to the ring; the position is this modulo its size. */
let written: u64 = 0;
let threshold: u32 = Level.Info;

/** Lines of a less urgent level are dropped. */
export function setLogLevel(level: Level): void {
  threshold = level;
}

export function logLevel(): Level {
  return threshold;
}

/**
 * The line being built; there is one. `length` counts what it holds; `muted` drops it all.
 * Bytes beyond `LINE_MAX` are dropped and the line ends in `…`'s ASCII stand-in `...`.
 */
@unmanaged
export class Line {
  length: u32;
  muted: bool;


  @inline private put(byte: u32): void {
    if (this.length < LINE_MAX - 4) store<u8>(line + this.length, byte);
    this.length++;
  }

  /** ASCII text; anything else becomes `?`. */
  text(text: string): Line {
    if (this.muted) return this;
    for (let i = 0, n = text.length; i < n; i++) {
      const unit = load<u16>(changetype<usize>(text) + ((<usize>i) << 1));
      this.put(unit < 0x80 ? unit : 0x3f);
    }
    return this;
  }

  /** Starts a `key=value` pair; the value follows. */
  key(name: string): Line {
    if (this.muted) return this;
    this.put(0x20);
    this.text(name);
    this.put(0x3d);
    return this;
  }

  /** `length` bytes from outside: what is not printable ASCII becomes `?`. */
  bytes(from: usize, length: u32): Line {
    if (this.muted) return this;
    for (let i: u32 = 0; i < length; i++) {
      const byte = load<u8>(from + i);
      this.put(byte - 0x20 < 0x5f ? byte : 0x3f);
    }
    return this;
  }

  /** `count` units of UTF-16 from outside, likewise. */
  units(from: usize, count: u32): Line {
    if (this.muted) return this;
    for (let i: u32 = 0; i < count; i++) {
      const unit = <u32>load<u16>(from + ((<usize>i) << 1));
      this.put(unit - 0x20 < 0x5f ? unit : 0x3f);
    }
    return this;
  }

  /** Decimal. */
  number(value: u64): Line {
    if (this.muted) return this;
    if (value >= 10) this.number(value / 10);
    this.put(0x30 + <u32>(value % 10));
    return this;
  }

  signed(value: i64): Line {
    if (this.muted) return this;
    if (value < 0) this.put(0x2d);
    return this.number(value < 0 ? -value : value);
  }

  /** Hexadecimal without prefix, `digits` wide, 1 to 16. */
  hex(value: u64, digits: u32): Line {
    if (this.muted) return this;
    for (let shift = (digits - 1) * 4; ; shift -= 4) {
      const digit = (<u32>(value >> shift)) & 15;
      this.put(digit + (digit < 10 ? 0x30 : 0x57));
      if (!shift) break;
    }
    return this;
  }

  /** A MAC address held as a 48-bit number, most significant byte first. */
  mac(address: u64): Line {
    for (let shift = 40; ; shift -= 8) {
      this.hex((address >> shift) & 0xff, 2);
      if (!shift) break;
      if (!this.muted) this.put(0x3a);
    }
    return this;
  }

  /** Dotted decimal. */
  ipv4(address: u32): Line {
    for (let shift: u32 = 24; ; shift -= 8) {
      this.number((address >> shift) & 0xff);
      if (!shift) break;
      if (!this.muted) this.put(0x2e);
    }
    return this;
  }

  /** An address as people write it: dotted decimal, or RFC 5952. */
  ip(address: IpAddress): Line {
    if (this.muted) return this;
    return this.bytes(addressText, formatIp(address, addressText));
  }

  /** Nanoseconds as seconds with `decimals` (1 to 9) places. */
  seconds(ns: u64, decimals: u32): Line {
    if (this.muted) return this;
    this.number(ns / 1_000_000_000);
    this.put(0x2e);
    let rest = ns % 1_000_000_000;
    for (let i: u32 = 0; i < decimals; i++) {
      rest *= 10;
      this.put(0x30 + <u32>(rest / 1_000_000_000));
      rest %= 1_000_000_000;
    }
    return this;
  }

  /** Writes the line out. */
  end(): void {
    if (this.muted) return;
    let length = this.length;
    if (length > LINE_MAX - 4) {
      length = LINE_MAX - 4;
      store<u8>(line + length++, 0x2e);
      store<u8>(line + length++, 0x2e);
      store<u8>(line + length++, 0x2e);
    }
    store<u8>(line + length++, 0x0a);
    consoleWrite(line, length);
    const at = <u32>(written % RING_BYTES);
    const first = min<u32>(length, RING_BYTES - at);
    memory.copy(ring + at, line, first);
    memory.copy(ring, line + first, length - first);
    written += length;
  }
}

const addressText: usize = memory.data(40);
const current = changetype<Line>(memory.data(offsetof<Line>(), 4));

function begin(level: u32, name: string, source: string): Line {
  current.length = 0;
  current.muted = level > threshold;
  if (current.muted) return current;
  return current.seconds(monotonic(), 6).text(name).text(source).text(": ");
}

/** Something is lost or cannot go on. */
export function error(source: string): Line {
  return begin(Level.Error, " error ", source);
}

/** Something is wrong, and dealt with. */
export function warn(source: string): Line {
  return begin(Level.Warn, " warn  ", source);
}

/** What an operator wants to see: addresses, links, services. */
export function info(source: string): Line {
  return begin(Level.Info, " info  ", source);
}

/** What a developer wants to see. */
export function debug(source: string): Line {
  return begin(Level.Debug, " debug ", source);
}

/** Bytes of log in memory, at most the ring. */
export function logLength(): u32 {
  return <u32>min<u64>(written, RING_BYTES);
}

/** Copies the newest `length` bytes of log, at most `logLength()`, oldest first. */
export function logCopy(into: usize, length: u32): void {
  const start = <u32>((written - length) % RING_BYTES);
  const first = min<u32>(length, RING_BYTES - start);
  memory.copy(into, ring + start, first);
  memory.copy(into + first, ring, length - first);
}
