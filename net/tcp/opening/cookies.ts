import { SECOND } from "../../../kernel/timer";
import { sipHash } from "../../../kernel/siphash";
import { tupleWords } from "../demux";
import { mssDefault, NO_SCALE } from "../options";
import { RotatingSecret } from "./secret";
import { Tuple } from "../tcb";

/**
 * SYN cookies (RFC 4987, 3.6): when there is no room to remember a SYN, what must be remembered
 * goes into our initial sequence number, signed, and comes back in the ACK that ends the handshake.
 *
 *     31                                     4   3     1   0
 *     ┌────────────────────────────────────────┬─────────┬───┐
 *     │ signature                              │ MSS     │ g │   g: which secret signed
 *     └────────────────────────────────────────┴─────────┴───┘
 *
 * The signature covers the tuple, the peer's sequence number, and the options below: a stranger who
 * sees no answer guesses one in 2^28. A secret signs for a minute and is accepted for another.
 *
 * A sequence number has no room for more options, but if the SYN has timestamps our TSval comes
 * back too, and its lowest six bits can say what else was agreed; the clock loses them, and is
 * never ahead of itself. Without timestamps there is neither window scale nor SACK.
 *
 *     5    4    3        0
 *     ┌────┬────┬────────┐
 *     │ECN │SACK│ scale  │   15: the peer has none
 *     └────┴────┴────────┘
 *
 * Which kind of ECN was granted shows in the ACK itself (RFC 9768, 5.1).
 */

/** How long one secret signs, ns. */
const PERIOD: u64 = 60 * SECOND;

/** Bits of TSval that carry options. */
const STAMP_MASK: u32 = 63;
const STAMP_SCALE: u32 = 15;
const STAMP_SACK: u32 = 16;
const STAMP_ECN: u32 = 32;
/** In what is signed: the peer has no timestamps. */
const NO_STAMP: u32 = 64;

/** MSS values worth telling apart, upwards: `MSS_MIN`, the default, and what common links allow. */
const CLASSES: u32 = 8;
const classes: usize = memory.data<u16>([28, 256, 536, 1220, 1360, 1400, 1440, 1460], 2);

const secret = changetype<RotatingSecret>(memory.data(offsetof<RotatingSecret>(), 8));
const words: usize = memory.data(48, 8);
/** When cookies that were sent have all expired, ns. */
let outstandingUntil: u64 = 0;


@inline function classMss(index: u32): u32 {
  return load<u16>(classes + ((<usize>index) << 1));
}

/** The largest class that is not beyond `mss`. */
function classOf(mss: u32): u32 {
  let index = CLASSES - 1;
  while (index && classMss(index) > mss) index--;
  return index;
}

/** The sequence number that answers `irs` with these facts signed by the secret of `parity`. */
function sign(tuple: Tuple, irs: u32, mssClass: u32, stamp: u32, parity: u32): u32 {
  const length = tupleWords(words, tuple.local, tuple.localPort, tuple.remote, tuple.remotePort);
  store<u64>(words + length, ((<u64>((stamp << 8) | mssClass)) << 32) | irs);
  const signature = <u32>sipHash(secret.key(parity), words, length + 8);
  return (signature & ~15) | (mssClass << 1) | parity;
}

/** What the low bits of TSval say for a peer with this window scale, or `NO_SCALE`, SACK and ECN. */
@inline export function cookieStamp(scale: u32, sack: bool, ecn: bool): u32 {
  const known = scale == NO_SCALE ? STAMP_SCALE : scale;
  return known | (sack ? STAMP_SACK : 0) | (ecn ? STAMP_ECN : 0);
}

/** TSval with the stamp in it, at most 63 ms before `clock`. */
@inline export function stampedClock(clock: u32, stamp: u32): u32 {
  const stamped = (clock & ~STAMP_MASK) | stamp;
  return stamped - clock > STAMP_MASK ? stamped : stamped - STAMP_MASK - 1;
}

/**
 * The initial sequence number for a SYN of `tuple` with number `irs` and this MSS, 0 for none; `stamp` is what
 * TSval will say, if the peer has timestamps.
 */
export function cookieMake(
  tuple: Tuple,
  irs: u32,
  mss: u32,
  timestamps: bool,
  stamp: u32,
  now: u64,
): u32 {
  secret.refresh(now, PERIOD);
  outstandingUntil = now + 2 * PERIOD;
  const mssClass = classOf(mss ? mss : mssDefault(tuple.remote));
  return sign(tuple, irs, mssClass, timestamps ? stamp : NO_STAMP, secret.parity);
}

/** Whether a cookie may be on its way: otherwise no ACK is worth a check. */
@inline export function cookiesOutstanding(now: u64): bool {
  return now < outstandingUntil;
}

/**
 * The MSS in the cookie `iss`, or 0 if it is none of ours or too old. `echo` is TSecr of the ACK,
 * if it has timestamps.
 */
export function cookieCheck(
  tuple: Tuple,
  irs: u32,
  iss: u32,
  timestamps: bool,
  echo: u32,
  now: u64,
): u32 {
  secret.refresh(now, PERIOD);
  const mssClass = (iss >> 1) & (CLASSES - 1);
  const stamp = timestamps ? echo & STAMP_MASK : NO_STAMP;
  return sign(tuple, irs, mssClass, stamp, iss & 1) == iss ? classMss(mssClass) : 0;
}

/** Whether an echoed TSval says that SACK was agreed on. */
@inline export function stampSack(echo: u32): bool {
  return (echo & STAMP_SACK) != 0;
}

/** The window scale in an echoed TSval, or `NO_SCALE`. */
@inline export function stampScale(echo: u32): u32 {
  const scale = echo & STAMP_SCALE;
  return scale == STAMP_SCALE ? NO_SCALE : scale;
}

/** Whether ECN was granted, by an echoed TSval. */
@inline export function stampEcn(echo: u32): bool {
  return (echo & STAMP_ECN) != 0;
}
