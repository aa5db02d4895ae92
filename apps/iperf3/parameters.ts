import { JsonKind, JsonScanner } from "../lib/json";
import { equals } from "../lib/text";
import {
  BLOCK_MAX,
  DURATION_MAX,
  OMIT_MAX,
  Refusal,
  STREAMS_MAX,
  UDP_BLOCK_MAX,
  UDP_BLOCK_MIN,
} from "./protocol";

/** What the client wants tested. Members that we do not know are its own business. */
@unmanaged
export class Parameters {
  /** Bit/s for each stream, 0 for no limit. */
  rate: u64;
  /** Seconds; 0 when the client counts bytes or blocks instead. */
  duration: u32;
  /** Seconds at the start that do not count. */
  omit: u32;
  /** Streams in each direction that is tested. */
  parallel: u32;
  /** Bytes of a datagram. */
  block: u32;
  /** Bytes of socket buffers, 0 for the default. */
  window: u32;
  udp: bool;
  /** The server sends. */
  reverse: bool;
  bidirectional: bool;
  noDelay: bool;
  /** Sequence numbers of datagrams have 64 bits. */
  wideCounters: bool;
}

const DEFAULT_BLOCK: u32 = 1448;
const WINDOW_MAX: i64 = 1 << 28;
/** Far above any link, and no product with it overflows. */
const RATE_MAX: i64 = 1 << 44;
const scanner = changetype<JsonScanner>(memory.data(offsetof<JsonScanner>(), 8));


@inline function within(value: i64, low: i64, high: i64): bool {
  return value >= low && value <= high;
}

/** Reads the client's JSON: a `Refusal`, None when the test can be had. */
export function readParameters(p: Parameters, at: usize, length: u32): u32 {
  memory.fill(changetype<usize>(p), 0, offsetof<Parameters>());
  p.parallel = 1;
  let refusal: u32 = Refusal.None;
  let block: i64 = 0;
  scanner.begin(at, length);
  while (scanner.next()) {
    const key = scanner.key;
    const keyLength = scanner.keyLength;
    const yes = scanner.kind == JsonKind.True;
    const number = scanner.integer(0);
    if (equals(key, keyLength, "udp")) p.udp = yes;
    else if (equals(key, keyLength, "reverse")) p.reverse = yes;
    else if (equals(key, keyLength, "bidirectional")) p.bidirectional = yes;
    else if (equals(key, keyLength, "nodelay")) p.noDelay = yes;
    else if (equals(key, keyLength, "udp_counters_64bit")) p.wideCounters = number != 0;
    else if (equals(key, keyLength, "len")) block = number;
    else if (equals(key, keyLength, "bandwidth")) p.rate = max<i64>(min(number, RATE_MAX), 0);
    else if (equals(key, keyLength, "window")) p.window = <u32>max<i64>(min(number, WINDOW_MAX), 0);
    else if (equals(key, keyLength, "time")) {
      if (!within(number, 0, DURATION_MAX)) refusal = Refusal.Duration;
      p.duration = <u32>number;
    } else if (equals(key, keyLength, "omit")) {
      if (!within(number, 0, OMIT_MAX)) refusal = Refusal.Omit;
      p.omit = <u32>number;
    } else if (equals(key, keyLength, "parallel")) {
      if (!within(number, 1, STREAMS_MAX)) refusal = Refusal.Streams;
      p.parallel = <u32>number;
    } else if (equals(key, keyLength, "sctp") && yes) refusal = Refusal.NotImplemented;
  }
  if (scanner.bad) return Refusal.Parameters;
  if (refusal) return refusal;
  if (p.udp) {
    if (!block) block = DEFAULT_BLOCK;
    if (!within(block, UDP_BLOCK_MIN, UDP_BLOCK_MAX)) return Refusal.UdpBlockSize;
    p.block = <u32>block;
  } else if (!within(block, 0, BLOCK_MAX)) {
    return Refusal.BlockSize;
  }
  return Refusal.None;
}
