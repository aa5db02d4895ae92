import { Packet } from "../../../kernel/packet";
import { IpEcn } from "../../wire/ipv4";
import { TCP_HEADER, TCP_HEADER_MAX, TcpOption } from "../../wire/tcp";
import { markDirty } from "../dirty";
import { aceFlags, aceOf, aceOfCodepoint, Ecn, ecnOf } from "./ecn";
import { segmentOverhead } from "../connection";
import { options } from "../options";
import { sendAck } from "../output";
import { tcpStats } from "../stats";
import { Tcb, TcbFlag } from "../tcb";

/**
 * Accurate ECN feedback (RFC 9768). As receiver of data we count marked packets (r.cep) and, by
 * codepoint, payload bytes (r.ceb, r.e0b, r.e1b); the lowest three bits of r.cep go out with every
 * segment in the flags (ACE), and the byte counters in an option when they have changed. As sender
 * we count along in s.cep and s.ceb: what they have grown by is what was marked.
 *
 * The option goes on every ACK that is owed, alone or with data, which then leaves room for it
 * (`payloadSize` in sackreport.ts). None is sent to a peer that has not shown one itself: a path that
 * strips or drops unknown options is never tested with data.
 */

/** RFC 9768, 3.2.1: not zero, to be told from a field that was cleared on the way. */
const PACKETS_INITIAL: u32 = 5;
const BYTES_INITIAL: u32 = 1;
/** Counters of bytes are sent with 24 bits (3.2.3). */
const BYTES_MASK: u32 = 0xff_ffff;
/** ACE counts modulo 8. */
const ACE_CYCLE: u32 = 8;
/** 3.2.2.5.1: as many marks owe an ACK, and of segments without data; beyond MOST it goes at once. */
const MARKS_DATA: u8 = 2;
const MARKS_PURE: u8 = 3;
const MARKS_MOST: u8 = 6;
/** Most bytes of the option: three counters, and a NOP that pads it. */
export const ACCURATE_OPTION_MAX: u32 = 12;

/** Bits of `Work.accurateBits`. */
const enum Bit {
  /** The counter has grown since it was last sent in an option. */
  Changed0 = 1,
  ChangedCongested = 2,
  Changed1 = 4,
  /** Our next pure ACK gives the codepoint of the SYN and ACK, which is at `CODEPOINT_SHIFT`. */
  Reflect = 8,
  /** The peer's first pure ACK gives the codepoint of our SYN and ACK. */
  Reflected = 16,
  /** No ACE that counts has come yet. */
  First = 32,
  /** The peer has sent the option, so it is worth while to send it. */
  Option = 64,
  /** Its option was cleared on the way: it is not to be believed. */
  OptionZeroed = 128,
  /** The packet that came last was marked. */
  Marked = 1024,
  /** A mark of the SYN and ACK has been counted. */
  SynMarked = 2048,
  /** The peer's flags are cleared on the way: they say nothing. */
  Unheeded = 4096,
}
const CHANGED: u32 = Bit.Changed0 | Bit.ChangedCongested | Bit.Changed1;
const CODEPOINT_SHIFT: u32 = 8;
/** What has changed at any time stands so much higher. */
const EVER_SHIFT: u32 = 13;

/** The handshake has agreed on accurate feedback. */
export function accurateStart(t: Tcb): void {
  const work = t.work;
  work.markedReceived = PACKETS_INITIAL;
  work.markedSent = PACKETS_INITIAL;
  work.bytesMarkedReceived = 0;
  work.bytesMarkedSent = 0;
  work.bytes0Received = BYTES_INITIAL;
  work.bytes1Received = BYTES_INITIAL;
  work.accurateBits = <u16>Bit.Reflected;
  noteOption(t);
}

/** We asked: our ACK is to give the codepoint with which the SYN and ACK arrived. */
export function accurateReflect(t: Tcb, arrived: u32): void {
  const work = t.work;
  const option: u32 = work.accurateBits & Bit.Option;
  work.accurateBits = <u16>(option | Bit.First);
  // The first option has every counter.
  if (option) work.accurateBits |= <u16>CHANGED;
  reflect(t, arrived);
}

/** The SYN and ACK has come once more (3.2.2.1): so does its answer. */
export function accurateReflectAgain(t: Tcb, arrived: u32, now: u64): void {
  // An ACK with SACK blocks would be taken for a count.
  if (t.has(TcbFlag.SackDue)) return;
  reflect(t, arrived);
  sendAck(t, now);
}

/** The next ACK says so; a mark counts once, however many copies of the SYN and ACK have one. */
function reflect(t: Tcb, arrived: u32): void {
  const work = t.work;
  let bits = (<u32>work.accurateBits) & ~(3 << CODEPOINT_SHIFT);
  bits |= Bit.Reflect | (arrived << CODEPOINT_SHIFT);
  if (arrived == IpEcn.Congested && !(bits & Bit.SynMarked)) {
    bits |= Bit.SynMarked;
    work.markedReceived++;
  }
  work.accurateBits = <u16>bits;
}

/** Our SYN and ACK has been answered by the peer's (simultaneous open): no ACK gives its codepoint. */
export function accurateCrossed(t: Tcb): void {
  t.work.accurateBits &= ~(<u16>Bit.Reflected);
}

/** What a full segment must leave free when an option is due: bytes. */
export function accurateRoom(t: Tcb): u32 {
  if (!t.has(TcbFlag.AckNow | TcbFlag.AckDelayed)) return 0;
  const bits: u32 = t.work.accurateBits;
  return bits & Bit.Option && bits & CHANGED ? optionLength(everChanged(bits)) : 0;
}

/** Whether the segment whose options were parsed last shows that the peer uses the option. */
@inline function noteOption(t: Tcb): void {
  if (options.hasAccurate) t.work.accurateBits |= <u16>Bit.Option;
}

/** The flags of a segment: ACE, or on the first ACK of who connects the handshake's code. */
export function accurateFlags(t: Tcb, payload: u32): u32 {
  const work = t.work;
  work.marksPending = 0;
  const bits: u32 = work.accurateBits;
  if (bits & Bit.Reflect && !payload) {
    work.accurateBits &= ~(<u16>Bit.Reflect);
    return aceFlags(aceOfCodepoint((bits >> CODEPOINT_SHIFT) & 3));
  }
  return aceFlags(work.markedReceived);
}

/**
 * Adds the option to the `length` bytes of options at `at` if there is news and room. Returns how
 * many bytes of options there are now. It has every counter that ever changed; where there is too
 * little room those that are news; otherwise it waits (3.2.3.3). `payload` bytes go in each segment.
 */
export function accurateOption(t: Tcb, at: usize, length: u32, payload: u32): u32 {
  const work = t.work;
  const bits: u32 = work.accurateBits;
  if (!(bits & Bit.Option) || !(bits & CHANGED)) return length;
  let room = TCP_HEADER_MAX - TCP_HEADER - length;
  if (payload) {
    if (!t.has(TcbFlag.AckNow | TcbFlag.AckDelayed)) return length;
    const taken = payload + length - segmentOverhead(t);
    room = min<u32>(room, <u32>t.sndMss > taken ? t.sndMss - taken : 0);
  }
  let include = everChanged(bits);
  if (optionLength(include) > room) include = bits & CHANGED;
  if (optionLength(include) > room) return length;
  work.accurateBits = <u16>(bits & ~CHANGED);
  return (
    length +
    putAccurate(
      at + length,
      work.bytes0Received,
      work.bytesMarkedReceived,
      work.bytes1Received,
      include,
    )
  );
}

/** The counters that have changed since the connection began. */
@inline function everChanged(bits: u32): u32 {
  return (bits | (bits >> EVER_SHIFT)) & CHANGED;
}

/** Whether the option takes its other order, which has ECT(1) in front (3.2.3). */
@inline function otherOrder(include: u32): bool {
  return !(include & Bit.Changed0) && (include & Bit.Changed1) != 0;
}

/** Counters up to the last one in `include`. */
@inline function countersOf(include: u32): u32 {
  const last = otherOrder(include) ? Bit.Changed0 : Bit.Changed1;
  return include & last ? 3 : include & Bit.ChangedCongested ? 2 : 1;
}

/** Bytes of the option, padded. */
@inline function optionLength(include: u32): u32 {
  return (2 + 3 * countersOf(include) + 3) & ~3;
}

/** The option of a SYN and ACK, with every counter as it begins. Returns its length. */
export function putAccurateInitial(at: usize): u32 {
  return putAccurate(at, BYTES_INITIAL, 0, BYTES_INITIAL, CHANGED);
}

/**
 * Writes the option up to the last counter in `include`, and pads it. Of its two orders (3.2.3) it
 * takes the one that has those in front.
 */
function putAccurate(at: usize, bytes0: u32, marked: u32, bytes1: u32, include: u32): u32 {
  const other = otherOrder(include);
  const counters = countersOf(include);
  store<u8>(at, <u8>(other ? TcpOption.AccurateEcn1 : TcpOption.AccurateEcn0));
  store<u8>(at, <u8>(2 + 3 * counters), 1);
  putCounter(at + 2, other ? bytes1 : bytes0);
  if (counters > 1) putCounter(at + 5, marked);
  if (counters > 2) putCounter(at + 8, other ? bytes0 : bytes1);
  let length: u32 = 2 + 3 * counters;
  while (length & 3) store<u8>(at + length++, TcpOption.NoOperation);
  return length;
}

function putCounter(at: usize, value: u32): void {
  store<u8>(at, <u8>(value >> 16));
  store<u8>(at, <u8>(value >> 8), 1);
  store<u8>(at, <u8>value, 2);
}

/** As `ecnInput`. Returns how many more of our packets are known to have been marked. */
export function accurateInput(
  t: Tcb,
  packet: Packet,
  flags: u32,
  acked: u32,
  inOrder: bool,
  now: u64,
): u32 {
  count(t, ecnOf(packet), packet.length, now);
  noteOption(t);
  const work = t.work;
  const bits: u32 = work.accurateBits;
  const ace = aceOf(flags);
  if (bits & Bit.Reflected) {
    work.accurateBits &= ~(<u16>Bit.Reflected);
    if (!packet.length && !options.sackCount) return reflected(t, ace);
  } else if (bits & Bit.First) {
    work.accurateBits &= ~(<u16>Bit.First);
    // 3.2.2.4: cleared on the way.
    if (!ace) distrust(t);
  }
  // 3.1.5: whether or not our packets may be marked any more, marks are heeded.
  if (work.accurateBits & Bit.Unheeded) return 0;
  // A segment that brings nothing new may be an old one, whose count says nothing.
  if (!acked && !(packet.length && inOrder)) return 0;
  return feedback(t, ace, acked);
}

/** The flags are cleared on the way: none of our packets may be marked, and no count is believed. */
function distrust(t: Tcb): void {
  t.ecn &= ~(<u8>Ecn.Capable);
  t.work.accurateBits |= <u16>Bit.Unheeded;
}

/** Receiver: an acceptable segment of `length` bytes came with this codepoint (3.2.2.2, 3.2.3). */
function count(t: Tcb, codepoint: u32, length: u32, now: u64): void {
  const work = t.work;
  const before: u32 = work.accurateBits;
  let changed: u32;
  switch (codepoint) {
    case IpEcn.Capable0:
      work.bytes0Received += length;
      changed = Bit.Changed0;
      break;
    case IpEcn.Capable1:
      work.bytes1Received += length;
      changed = Bit.Changed1;
      break;
    case IpEcn.Congested:
      work.bytesMarkedReceived += length;
      changed = Bit.ChangedCongested;
      break;
    default:
      changed = 0;
  }
  let bits = before & ~(<u32>Bit.Marked);
  if (length) bits |= changed | (changed << EVER_SHIFT);
  if (codepoint == IpEcn.Congested) bits |= Bit.Marked;
  work.accurateBits = <u16>bits;
  if (codepoint != IpEcn.Congested) return;
  tcpStats.congestionMarks++;
  work.markedReceived++;
  work.marksPending++;
  // 3.2.2.5.1: marks that begin in data are told at once; so are several.
  const owed = length != 0 || t.has(TcbFlag.AckDelayed);
  if (work.marksPending >= MARKS_MOST) {
    sendAck(t, now);
  } else if (
    (length && !(before & Bit.Marked)) ||
    work.marksPending >= (owed ? MARKS_DATA : MARKS_PURE)
  ) {
    t.raise(TcbFlag.AckNow);
    markDirty(t);
  }
}

/**
 * 3.2.2.1, table 4: the codepoint with which our SYN and ACK arrived, which was sent unmarkable. Returns
 * how many marks it tells of.
 */
function reflected(t: Tcb, ace: u32): u32 {
  if (ace == 0) {
    distrust(t);
    return 0;
  }
  // Another codepoint was put there on the way (3.2.2.3).
  if (
    ace == aceOfCodepoint(IpEcn.Capable0) ||
    ace == aceOfCodepoint(IpEcn.Capable1) ||
    ace == aceOfCodepoint(IpEcn.Congested)
  ) {
    t.ecn &= ~(<u8>Ecn.Capable);
  }
  if (ace != aceOfCodepoint(IpEcn.Congested)) return 0;
  t.work.markedSent++;
  return 1;
}

/** Sender: what ACE and the option say of marks since the last time (3.2.2.5.2, appendix A.2). */
function feedback(t: Tcb, ace: u32, acked: u32): u32 {
  const work = t.work;
  const mss: u32 = t.sndMss;
  const least = (ace - work.markedSent) & (ACE_CYCLE - 1);
  const packets = (acked + mss - 1) / mss;
  // ACKs were lost or left out: ACE may have gone round. The most that fits is assumed.
  const most = packets > least ? packets - ((packets - least) & (ACE_CYCLE - 1)) : least;
  const bytes = optionFeedback(t);
  let marks = most;
  if (bytes >= 0) {
    work.bytesMarkedSent = (work.bytesMarkedSent + <u32>bytes) & BYTES_MASK;
    // As many marked bytes as the lower count explains, or fewer than half of what the higher would.
    if (<u32>bytes <= least * mss || (<u32>bytes) << 1 < most * mss) marks = least;
    // 3.2.3.2.5: marked bytes, and never a marked packet, though ACE cannot have gone round.
    if (bytes && !most && work.markedSent == PACKETS_INITIAL) t.ecn &= ~(<u8>Ecn.Capable);
  }
  work.markedSent += marks;
  return marks;
}

/** By how much the option says that marked bytes have grown; -1 when it says nothing. */
function optionFeedback(t: Tcb): i32 {
  const work = t.work;
  if (!options.hasAccurate || work.accurateBits & Bit.OptionZeroed) return -1;
  // Counters of ECT bytes begin at 1 and rarely come back to 0: cleared on the way (3.2.3.2.4).
  if (options.bytes0 == 0 || options.bytes1 == 0) {
    work.accurateBits |= <u16>Bit.OptionZeroed;
    return -1;
  }
  if (options.bytesMarked < 0) return -1;
  const grown = (<u32>options.bytesMarked - work.bytesMarkedSent) & BYTES_MASK;
  // Backwards: an old one.
  return grown > BYTES_MASK >> 1 ? -1 : <i32>grown;
}
