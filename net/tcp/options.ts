import { IpAddress } from "../wire/address";
import { TcpOption } from "../wire/tcp";

/**
 * TCP options: parsed once into one record, and built.
 */

/** MSS of a peer that sends none (RFC 9293, 3.7.1), over IPv4 and IPv6. */
export const MSS_DEFAULT: u32 = 536;
const MSS_DEFAULT_V6: u32 = 1220;
/** Largest shift of a window (RFC 7323, 2.3). */
export const WINDOW_SCALE_MAX: u32 = 14;
/** No Window Scale option. */
export const NO_SCALE: u32 = 0xff;

/** Bytes that timestamps take in every segment: two NOPs and the option. */
export const TIMESTAMPS_LENGTH: u32 = 12;
/** NOP, NOP, kind 8, length 10, as loaded: how nearly everybody sends it (RFC 7323, appendix A). */
const TIMESTAMPS_WORD: u32 = 0x0a08_0101;
/** SACK-Permitted in the place of the NOPs. */
const SACK_TIMESTAMPS_WORD: u32 = 0x0a08_0204;
/** Kind 2, length 4 (RFC 9293, 3.2); NOP, kind 3, length 3 (RFC 7323, 2.2). */
const MSS_HALF: u32 = 0x0402;
const SCALE_WORD: u32 = 0x03_0301;
/** Kind 4, length 2, as stored (RFC 2018, 2). */
const SACK_PERMITTED: u16 = 0x0204;


@unmanaged
export class Options {
  /** The peer's MSS, or 0. */
  mss: u32;
  /** Shift count, or `NO_SCALE`. */
  windowScale: u32;
  hasTimestamps: bool;
  sackPermitted: bool;
  /** A Fast Open option; it asks for a cookie when `cookieLength` is 0. */
  fastOpen: bool;
  cookieLength: u32;
  /** Where the cookie was copied to. */
  cookie: usize;
  tsVal: u32;
  tsEcr: u32;
  /** SACK blocks, and the address of their edges, left and right in turn. */
  sackCount: u32;
  sackEdges: usize;
  /** Accurate ECN (RFC 9768, 3.2.3): its counters of bytes, -1 for one that it leaves out. */
  hasAccurate: bool;
  bytes0: i32;
  bytesMarked: i32;
  bytes1: i32;
}

/** Most blocks that an option has room for (RFC 2018, 3). */
export const SACK_BLOCKS_MAX: u32 = 4;

/** Most bytes of a Fast Open cookie, and fewest of one that is not empty (RFC 7413, 4.1.1). */
export const FAST_OPEN_COOKIE_MAX: u32 = 16;
const FAST_OPEN_COOKIE_MIN: u32 = 4;
const cookie: usize = memory.data(16, 8);

/** What counts as the MSS of a peer at this address that sent none. */
@inline export function mssDefault(remote: IpAddress): u32 {
  return remote.isV4 ? MSS_DEFAULT : MSS_DEFAULT_V6;
}

/** What `parseOptions` found last. */
export const options = changetype<Options>(memory.data(offsetof<Options>(), 4));
const edges: usize = memory.data(4 * 8, 4);

/**
 * Reads `length` bytes of options at `at`. An option that lies about its length ends the reading:
 * what came before it counts (RFC 9293, 3.2: MUST-68, without a reset).
 */
export function parseOptions(at: usize, length: u32): void {
  options.mss = 0;
  options.windowScale = NO_SCALE;
  options.hasTimestamps = false;
  options.sackPermitted = false;
  options.sackCount = 0;
  options.hasAccurate = false;
  options.fastOpen = false;
  const end = at + length;
  at = parseWords(at, end);
  while (at < end) {
    const kind = load<u8>(at);
    if (kind == TcpOption.End) return;
    if (kind == TcpOption.NoOperation) {
      at++;
      continue;
    }
    if (end - at < 2) return;
    const size: u32 = load<u8>(at, 1);
    if (size < 2 || <usize>size > end - at) return;
    if (kind == TcpOption.MaximumSegmentSize) {
      if (size == 4) options.mss = bswap<u16>(load<u16>(at, 2));
    } else if (kind == TcpOption.WindowScale) {
      // A count above 14 is used as 14 (RFC 7323, 2.3).
      if (size == 3) options.windowScale = min<u32>(load<u8>(at, 2), WINDOW_SCALE_MAX);
    } else if (kind == TcpOption.SackPermitted) {
      if (size == 2) options.sackPermitted = true;
    } else if (kind == TcpOption.Sack) {
      parseSack(at, size);
    } else if (kind == TcpOption.Timestamps) {
      if (size == 10) {
        options.hasTimestamps = true;
        options.tsVal = bswap<u32>(load<u32>(at, 2));
        options.tsEcr = bswap<u32>(load<u32>(at, 6));
      }
    } else if (kind == TcpOption.AccurateEcn0) {
      accurate(at, size);
    } else if (kind == TcpOption.AccurateEcn1) {
      accurate(at, size);
      const first = options.bytes0;
      options.bytes0 = options.bytes1;
      options.bytes1 = first;
    } else if (kind == TcpOption.FastOpen) {
      parseFastOpen(at, size);
    }
    at += size;
  }
}

/**
 * Reads options that begin at words, with the padding that nearly everybody gives them, and returns where
 * one stands that is neither.
 */
@inline function parseWords(at: usize, end: usize): usize {
  while (end - at >= 4) {
    const word = load<u32>(at);
    if (word == TIMESTAMPS_WORD || word == SACK_TIMESTAMPS_WORD) {
      if (end - at < <usize>TIMESTAMPS_LENGTH) break;
      if (word == SACK_TIMESTAMPS_WORD) options.sackPermitted = true;
      options.hasTimestamps = true;
      options.tsVal = bswap<u32>(load<u32>(at, 4));
      options.tsEcr = bswap<u32>(load<u32>(at, 8));
      at += TIMESTAMPS_LENGTH;
    } else if ((word & 0xffff) == MSS_HALF) {
      options.mss = bswap<u32>(word) & 0xffff;
      at += 4;
    } else if ((word & 0xff_ffff) == SCALE_WORD) {
      options.windowScale = min<u32>(word >>> 24, WINDOW_SCALE_MAX);
      at += 4;
    } else {
      break;
    }
  }
  return at;
}

/** Whole blocks (RFC 2018, 3); an option of another length is ignored. */
function parseSack(at: usize, size: u32): void {
  const count = (size - 2) >> 3;
  if ((size - 2) & 7 || count > SACK_BLOCKS_MAX) return;
  options.sackCount = count;
  options.sackEdges = edges;
  for (let i: usize = 0; i < (<usize>count) << 3; i += 4) {
    store<u32>(edges + i, bswap<u32>(load<u32>(at + 2 + i)));
  }
}

/** Counters of 24 bits in the order of AccECN0: those that are there in full count. */
function accurate(at: usize, size: u32): void {
  options.hasAccurate = true;
  options.bytes0 = size >= 5 ? counter(at + 2) : -1;
  options.bytesMarked = size >= 8 ? counter(at + 5) : -1;
  options.bytes1 = size >= 11 ? counter(at + 8) : -1;
}


@inline function counter(at: usize): i32 {
  return ((<i32>load<u8>(at)) << 16) | ((<i32>load<u8>(at, 1)) << 8) | (<i32>load<u8>(at, 2));
}

/** An empty cookie, or an even number of bytes from 4 to 16; anything else is ignored. */
function parseFastOpen(at: usize, size: u32): void {
  const length = size - 2;
  if (length & 1 || length > FAST_OPEN_COOKIE_MAX) return;
  if (length && length < FAST_OPEN_COOKIE_MIN) return;
  options.fastOpen = true;
  options.cookieLength = length;
  options.cookie = cookie;
  memory.copy(cookie, at + 2, length);
}

/** Writes the Timestamps option, padded to `TIMESTAMPS_LENGTH`. */
@inline export function putTimestamps(at: usize, tsVal: u32, tsEcr: u32): void {
  store<u32>(at, TIMESTAMPS_WORD);
  store<u32>(at, bswap<u32>(tsVal), 4);
  store<u32>(at, bswap<u32>(tsEcr), 8);
}

/**
 * Writes the options of a SYN and returns how many bytes they take: MSS always, Window Scale
 * unless `windowScale` is `NO_SCALE`, SACK-Permitted and Timestamps if asked for (a SYN that answers
 * one without them leaves them out: RFC 7323, 2.2 and 3.2).
 */
export function putSynOptions(
  at: usize,
  mss: u32,
  windowScale: u32,
  sack: bool,
  timestamps: bool,
  tsVal: u32,
  tsEcr: u32,
): u32 {
  const start = at;
  store<u16>(at, TcpOption.MaximumSegmentSize | (4 << 8));
  store<u16>(at, bswap<u16>(<u16>mss), 2);
  at += 4;
  if (windowScale != NO_SCALE) {
    store<u8>(at, TcpOption.NoOperation);
    store<u16>(at, TcpOption.WindowScale | (3 << 8), 1);
    store<u8>(at, <u8>windowScale, 3);
    at += 4;
  }
  if (timestamps) {
    putTimestamps(at, tsVal, tsEcr);
    // In place of the padding.
    if (sack) store<u16>(at, SACK_PERMITTED);
    at += TIMESTAMPS_LENGTH;
  } else if (sack) {
    store<u16>(at, TcpOption.NoOperation | (TcpOption.NoOperation << 8));
    store<u16>(at, SACK_PERMITTED, 2);
    at += 4;
  }
  return <u32>(at - start);
}
