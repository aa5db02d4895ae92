import { Packet } from "../../../kernel/packet";
import { IpEcn } from "../../wire/ipv4";
import { TCP_HEADER, TCP_HEADER_MAX, TcpOption } from "../../wire/tcp";
import { aceFlags, aceOf, aceOfCodepoint, Ecn, ecnOf } from "./ecn";
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
 * A pure ACK has room for the option; on data it would take the room of payload that the segment
 * size does not allow for, so there ACE alone goes. No option is sent to a peer that has not shown
 * one itself: a path that strips or drops unknown options is never tested with data.
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
}
const CHANGED: u32 = Bit.Changed0 | Bit.ChangedCongested | Bit.Changed1;
const CODEPOINT_SHIFT: u32 = 8;

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
  const bits: u32 = t.work.accurateBits & Bit.Option;
  t.work.accurateBits = <u16>(bits | Bit.Reflect | Bit.First | (arrived << CODEPOINT_SHIFT));
  if (bits) t.work.accurateBits |= <u16>CHANGED;
  if (arrived == IpEcn.Congested) t.work.markedReceived++;
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
 * many bytes of options there are now.
 */
export function accurateOption(t: Tcb, at: usize, length: u32): u32 {
  const work = t.work;
  const bits: u32 = work.accurateBits;
  if (!(bits & Bit.Option) || !(bits & CHANGED)) return length;
  if (TCP_HEADER + length + ACCURATE_OPTION_MAX > TCP_HEADER_MAX) return length;
  work.accurateBits = <u16>(bits & ~CHANGED);
  return (
    length +
    putAccurate(
      at + length,
      work.bytes0Received,
      work.bytesMarkedReceived,
      work.bytes1Received,
      bits & CHANGED,
    )
  );
}

/** The option of a SYN and ACK, with every counter as it begins. Returns its length. */
export function putAccurateInitial(at: usize): u32 {
  return putAccurate(at, BYTES_INITIAL, 0, BYTES_INITIAL, CHANGED);
}

/**
 * Writes the option up to the last counter in `changed`, and pads it. Of its two orders (3.2.3) it
 * takes the one that has the changed counters in front.
 */
function putAccurate(at: usize, bytes0: u32, marked: u32, bytes1: u32, changed: u32): u32 {
  const other = !(changed & Bit.Changed0) && (changed & Bit.Changed1) != 0;
  const last = other ? Bit.Changed0 : Bit.Changed1;
  const counters: u32 = changed & last ? 3 : changed & Bit.ChangedCongested ? 2 : 1;
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
    if (!packet.length) {
      reflected(t, ace);
      return 0;
    }
  } else if (bits & Bit.First) {
    work.accurateBits &= ~(<u16>Bit.First);
    // 3.2.2.4: cleared on the way.
    if (!ace) t.ecn &= ~(<u8>Ecn.Capable);
  }
  if (!(t.ecn & Ecn.Capable)) return 0;
  // A segment that brings nothing new may be an old one, whose count says nothing.
  if (!acked && !(packet.length && inOrder)) return 0;
  return feedback(t, ace, acked);
}

/** Receiver: an acceptable segment of `length` bytes came with this codepoint (3.2.2.2, 3.2.3). */
function count(t: Tcb, codepoint: u32, length: u32, now: u64): void {
  const work = t.work;
  switch (codepoint) {
    case IpEcn.Capable0:
      work.bytes0Received += length;
      if (length) work.accurateBits |= <u16>Bit.Changed0;
      return;
    case IpEcn.Capable1:
      work.bytes1Received += length;
      if (length) work.accurateBits |= <u16>Bit.Changed1;
      return;
    case IpEcn.Congested:
      break;
    default:
      return;
  }
  tcpStats.congestionMarks++;
  work.markedReceived++;
  work.bytesMarkedReceived += length;
  if (length) work.accurateBits |= <u16>Bit.ChangedCongested;
  work.marksPending++;
  if (work.marksPending >= MARKS_MOST) sendAck(t, now);
  else if (work.marksPending >= (length ? MARKS_DATA : MARKS_PURE)) t.raise(TcbFlag.AckNow);
}

/** 3.2.2.1, table 4: the codepoint with which our SYN and ACK arrived, which was sent unmarkable. */
function reflected(t: Tcb, ace: u32): void {
  if (ace == aceOfCodepoint(IpEcn.Congested)) t.work.markedSent++;
  // Another codepoint was put there on the way (3.2.2.3); all zero, the flags were cleared.
  if (
    ace == 0 ||
    ace == aceOfCodepoint(IpEcn.Capable0) ||
    ace == aceOfCodepoint(IpEcn.Capable1) ||
    ace == aceOfCodepoint(IpEcn.Congested)
  ) {
    t.ecn &= ~(<u8>Ecn.Capable);
  }
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
