import { EcnMode } from "../../../kernel/config";
import { Packet } from "../../../kernel/packet";
import { IP_ECN, IpEcn, Ipv4Header } from "../../wire/ipv4";
import { Ipv6Header } from "../../wire/ipv6";
import { TcpFlag } from "../../wire/tcp";
import {
  accurateCrossed,
  accurateInput,
  accurateReflect,
  accurateReflectAgain,
  accurateStart,
} from "./accecn";
import { congestionOf } from "../congestion/congestion";
import { markDirty } from "../dirty";
import { rtoNs } from "../recovery/rtt";
import { seqLessEqual } from "../seq";
import { tcpStats } from "../stats";
import { Tcb, TcbFlag } from "../tcb";

/**
 * Explicit congestion notification (RFC 3168): a router that is congested marks a packet instead of
 * dropping it, the receiver says so in its ACKs, and the sender slows down without a loss. Feedback
 * is classic, ECE from the mark until the sender's CWR, or accurate (RFC 9768: accecn.ts), which
 * counts. What both have in common is here: what the handshake agrees on, which packets may be
 * marked, and the answer to marks.
 */

/** Bits of `Tcb.ecn`; the upper two are the `EcnMode`. */
export const enum Ecn {
  /** We give the peer classic feedback, and expect it. */
  Classic = 1,
  /** The same with accurate feedback. */
  Accurate = 2,
  /** Our data may be marked: it is sent as ECN-capable, and feedback about it is heeded. */
  Capable = 4,
  /** Classic: a mark has come, and no CWR since. */
  Echo = 8,
  /** Classic: our window was reduced, and the next new data is to say so. */
  Reduced = 16,
  /** A SYN of ours has gone that asked for nothing. */
  Unasked = 32,
}
/** Either kind of feedback was agreed on. */
export const ECN_AGREED: u32 = Ecn.Classic | Ecn.Accurate;
const MODE_SHIFT: u32 = 6;

/** AE, CWR and ECE as the three-bit number that RFC 9768 calls ACE. */
const ACE_SHIFT: u32 = 6;
const ACE: u32 = 7;
/** ACE of a SYN that asks for classic feedback (RFC 3168, 6.1.1), and of one for accurate. */
const ASK_CLASSIC: u32 = 3;
const ASK_ACCURATE: u32 = 7;
/** ACE of a SYN and ACK that grants classic feedback, with or without a nonce. */
const GRANT_CLASSIC: u32 = 1;
/** The latter is unused today: who asked for accurate feedback takes it for a grant (RFC 9768, 3.1.3). */
const GRANT_RESERVED: u32 = 5;

let defaultMode: EcnMode = EcnMode.Passive;

/** What connections begin with from now on. */
export function ecnDefault(mode: EcnMode): void {
  defaultMode = mode;
}


@inline export function ecnMode(t: Tcb): EcnMode {
  return <EcnMode>((<u32>t.ecn) >> MODE_SHIFT);
}

/** For a connection that is still to be opened, or a listener. */
export function ecnSetMode(t: Tcb, mode: EcnMode): void {
  t.ecn = <u8>((<u32>mode) << MODE_SHIFT);
}

/** Gives a fresh block the default mode. */
export function ecnInit(t: Tcb): void {
  ecnSetMode(t, defaultMode);
}

/** The three flags as a number. */
@inline export function aceOf(flags: u32): u32 {
  return (flags >> ACE_SHIFT) & ACE;
}

/** A number as the three flags. */
@inline export function aceFlags(ace: u32): u32 {
  return (ace & ACE) << ACE_SHIFT;
}

/** The `IpEcn` of a packet whose IP header has been stripped. */
@inline export function ecnOf(packet: Packet): u32 {
  const header = changetype<Ipv4Header>(packet.slot + packet.networkOffset);
  if (header.version == 4) return header.trafficClass & IP_ECN;
  return changetype<Ipv6Header>(header).trafficClass & IP_ECN;
}

// ---- The handshake ------------------------------------------------------------------------

/**
 * RFC 9768, 3.2.2.1 (table 3): how the SYN and ACK, and the ACK of it, tell with which codepoint
 * the packet that they answer arrived. None of the codes can be a reflection of what was asked.
 */
export function aceOfCodepoint(codepoint: u32): u32 {
  switch (codepoint) {
    case IpEcn.Capable1:
      return 0b011;
    case IpEcn.Capable0:
      return 0b100;
    case IpEcn.Congested:
      return 0b110;
    default:
      return 0b010;
  }
}

/** The flags of our next SYN. */
export function ecnAsk(t: Tcb): u32 {
  const mode = ecnMode(t);
  if (mode < EcnMode.On) return 0;
  // A firewall may have dropped the SYN for its flags: one that is sent again does without, one for
  // accurate feedback at the second time (RFC 3168, 6.1.1.1; RFC 9768, 3.1.4.1).
  const attempts: u8 = mode == EcnMode.Accurate ? 2 : 1;
  if (t.work.backoff >= attempts) t.ecn |= <u8>Ecn.Unasked;
  if (t.ecn & Ecn.Unasked) return 0;
  return aceFlags(mode == EcnMode.Accurate ? ASK_ACCURATE : ASK_CLASSIC);
}

/**
 * Our SYN was reset: whether it should go again without its flags, at which some firewalls take
 * offence (RFC 3168, 6.1.1.1).
 */
export function ecnRetry(t: Tcb): bool {
  if (ecnMode(t) < EcnMode.On || t.ecn & Ecn.Unasked) return false;
  t.ecn |= <u8>Ecn.Unasked;
  t.clear(TcbFlag.RttTiming);
  t.work.synDue = true;
  markDirty(t);
  return true;
}

/** The peer's SYN and ACK has come, with `flags`, in a packet with the codepoint `arrived`. */
export function ecnAnswered(t: Tcb, flags: u32, arrived: u32): void {
  const mode = ecnMode(t);
  if (mode < EcnMode.On) return;
  const ace = aceOf(flags);
  // A peer that sends all of a SYN's flags back knows none of them (RFC 3168, 6.1.1.2).
  if (ace == 0 || ace == ASK_ACCURATE) return;
  let agreed: u32;
  if (ace == GRANT_CLASSIC || (ace == GRANT_RESERVED && mode != EcnMode.Accurate)) {
    agreed = Ecn.Classic;
    // RFC 3168, 6.1.1: once a SYN went without the flags, no packet may be marked.
    if (!(t.ecn & Ecn.Unasked)) agreed |= Ecn.Capable;
  } else if (mode == EcnMode.Accurate) {
    agreed = Ecn.Accurate;
    accurateStart(t);
    accurateReflect(t, arrived);
    // Our SYN cannot have been marked: what says so was changed on the way (RFC 9768, 3.2.2.3).
    if (ace == aceOfCodepoint(IpEcn.NotCapable) || ace == GRANT_RESERVED) agreed |= Ecn.Capable;
  } else {
    return;
  }
  t.ecn |= <u8>agreed;
}

/** The same when its ACK has been taken: a mark of our SYN is answered (RFC 9768, 3.2.2.2). */
export function ecnAnswerMarked(t: Tcb, flags: u32, now: u64): void {
  if (!(t.ecn & Ecn.Accurate) || aceOf(flags) != aceOfCodepoint(IpEcn.Congested)) return;
  congested(t, 0, t.cwnd, now);
}

/** The peer's SYN and ACK has come again, to a connection that stands. */
export function ecnAnsweredAgain(t: Tcb, flags: u32, arrived: u32, now: u64): void {
  const ace = aceOf(flags);
  // Only one that grants accurate feedback is answered so (RFC 9768, 3.2.2.1).
  if (!(t.ecn & Ecn.Accurate) || ace == 0 || ace == ASK_ACCURATE || ace == GRANT_CLASSIC) return;
  accurateReflectAgain(t, arrived, now);
}

/**
 * A SYN has crossed ours, with `flags` and the codepoint `arrived`: each side grants what it would to
 * any SYN (RFC 9768, 3.1.2).
 */
export function ecnCrossed(t: Tcb, flags: u32, arrived: u32): void {
  synFlags = flags;
  const agreed = ecnGrant(ecnMode(t));
  t.work.synFlags = <u16>ecnGrantFlags(agreed, arrived);
  ecnGranted(t, agreed);
}

/** Its SYN and ACK has come, whose flags are no count (RFC 9768, 3.2.2). */
export function ecnCrossedAnswer(t: Tcb): void {
  if (t.ecn & Ecn.Accurate) accurateCrossed(t);
}

let synFlags: u32 = 0;
let synArrived: u32 = 0;

/** Notes how the segment in hand, which no connection is for, asks for ECN and how it arrived. */
@inline export function ecnNote(packet: Packet, flags: u32): void {
  synFlags = flags;
  synArrived = ecnOf(packet);
}

/** The codepoint with which the segment noted last arrived. */
@inline export function ecnArrived(): u32 {
  return synArrived;
}

/** What a listener in `mode` grants to the SYN noted last: `Ecn` bits. */
export function ecnGrant(mode: EcnMode): u32 {
  const ace = aceOf(synFlags);
  if (mode == EcnMode.Off || !ace) return 0;
  // What neither asks for nothing nor for classic feedback asks for what came later, and is granted
  // what we know (RFC 9768, 3.1.3).
  return (ace == ASK_CLASSIC ? Ecn.Classic : Ecn.Accurate) | Ecn.Capable;
}

/**
 * The SYN has come again, as noted last, when `agreed` had been granted. If it asks for nothing now,
 * its sender has lost faith in the flags: neither side's packets may be marked (RFC 3168, 6.1.1).
 */
@inline export function ecnGrantAgain(agreed: u32): u32 {
  return aceOf(synFlags) ? agreed : agreed & ~(<u32>Ecn.Capable);
}

/**
 * Whether the SYN has come again for the other kind of feedback: who sent it cannot know which grant
 * arrives, and such a handshake is to be reset (RFC 9768, 3.1.5).
 */
export function ecnGrantContradicted(agreed: u32): bool {
  const ace = aceOf(synFlags);
  if (!ace || !(agreed & ECN_AGREED)) return false;
  return (ace == ASK_CLASSIC) != ((agreed & Ecn.Classic) != 0);
}

/**
 * The flags of a SYN and ACK that grants `agreed` to a SYN that came with the codepoint `arrived`:
 * none once our packets may not be marked, though feedback goes on (RFC 9768, 3.1.5).
 */
export function ecnGrantFlags(agreed: u32, arrived: u32): u32 {
  if (!(agreed & Ecn.Capable)) return 0;
  return agreed & Ecn.Accurate ? aceFlags(aceOfCodepoint(arrived)) : <u32>TcpFlag.ECE;
}

/**
 * The segment noted last acknowledges a grant of which only that much is known: what it granted.
 * With accurate feedback none of the flags' codes is 0 then (RFC 9768, 5.1).
 */
@inline export function ecnGrantedKind(): u32 {
  return (aceOf(synFlags) ? <u32>Ecn.Accurate : <u32>Ecn.Classic) | Ecn.Capable;
}

/** The handshake that agreed on this is complete, on the side that granted. */
export function ecnGranted(t: Tcb, agreed: u32): void {
  t.ecn |= <u8>agreed;
  if (agreed & Ecn.Accurate) accurateStart(t);
}

// ---- Sending ------------------------------------------------------------------------------

/**
 * `packet` carries data that was never sent before: it may be marked (RFC 3168, 6.1.2 and 6.1.5:
 * what is sent again, ACKs and probes may not). Returns what goes into its flags.
 */
@inline export function ecnNewData(t: Tcb, packet: Packet): u32 {
  if (!(t.ecn & Ecn.Capable)) return 0;
  packet.trafficClass = <u8>IpEcn.Capable0;
  if (!(t.ecn & Ecn.Reduced)) return 0;
  t.ecn &= ~(<u8>Ecn.Reduced);
  return TcpFlag.CWR;
}

/** The window was reduced for whatever reason: with classic feedback, the peer hears of it. */
export function ecnReduced(t: Tcb): void {
  t.work.ecnRecover = t.sndMax;
  if ((t.ecn & (Ecn.Classic | Ecn.Capable)) == (Ecn.Classic | Ecn.Capable)) {
    t.ecn |= <u8>Ecn.Reduced;
  }
}

// ---- Receiving ----------------------------------------------------------------------------

/**
 * An acceptable segment of a connection with `ECN_AGREED`, stripped to its payload, that has been
 * acknowledged: `acked` bytes were new, of `flight`, and the congestion window was `cwnd` before.
 * `inOrder`: its payload is the next.
 */
export function ecnInput(
  t: Tcb,
  packet: Packet,
  flags: u32,
  acked: u32,
  flight: u32,
  cwnd: u32,
  inOrder: bool,
  now: u64,
): void {
  if (t.ecn & Ecn.Accurate) {
    const marks = accurateInput(t, packet, flags, acked, inOrder, now);
    if (marks) congested(t, flight, cwnd, now);
    return;
  }
  if (packet.length) {
    if (flags & TcpFlag.CWR) {
      // A sender with little of a window left waits for this ACK.
      t.ecn &= ~(<u8>Ecn.Echo);
      t.raise(TcbFlag.AckNow);
    }
    if (ecnOf(packet) == IpEcn.Congested) {
      tcpStats.congestionMarks++;
      if (!(t.ecn & Ecn.Echo)) t.raise(TcbFlag.AckNow);
      t.ecn |= <u8>Ecn.Echo;
    }
  }
  if (flags & TcpFlag.ECE && t.ecn & Ecn.Capable) congested(t, flight, cwnd, now);
}

/** Some of our packets were marked: slows down, once a window (RFC 3168, 6.1.2). */
function congested(t: Tcb, flight: u32, cwnd: u32, now: u64): void {
  if (t.has(TcbFlag.Recovery)) return;
  // An ACK that tells of marks does not open the window.
  t.cwnd = min<u32>(t.cwnd, cwnd);
  if (seqLessEqual(t.sndUna, t.work.ecnRecover)) return;
  tcpStats.ecnReductions++;
  if (cwnd > t.sndMss) {
    congestionOf(t.congestion).onMark(t, flight, now);
    t.cwnd = min<u32>(t.cwnd, t.ssthresh);
  } else {
    // One segment cannot be halved: the next waits for the retransmission timer (`resume`).
    t.cwnd = 0;
    t.work.rexmitAt = now + rtoNs(t);
  }
  ecnReduced(t);
  markDirty(t);
}
