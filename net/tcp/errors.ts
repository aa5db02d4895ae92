import { Errno } from "../../kernel/errno";
import { IpError } from "../ip/protocol";
import { IpAddress } from "../wire/address";
import { connectionFail, mssOfMtu, setSegmentSize } from "./connection";
import { connectionFind } from "./demux";
import { markDirty } from "./dirty";
import { markAllLost } from "./scoreboard";
import { seqGreaterEqual, seqLess } from "./seq";
import { tcpStats } from "./stats";
import { State, Tcb, TcbFlag } from "./tcb";

/**
 * ICMP errors about our segments. Anyone can forge one, so it counts only if it quotes a segment
 * in flight (RFC 5927, 4.1), and it ends a connection only while that is being opened (5.2):
 * later it is kept as the reason to give if the connection times out.
 */

/** IPv4 headers without options and TCP headers without them: what PMTU discovery must leave. */
const MTU_MIN_V4: u32 = 552;
const MTU_MIN_V6: u32 = 1280;

/** Our segment with this tuple and sequence number met an error; `mtu` goes with `TooBig`. */
export function tcpIcmpError(
  source: IpAddress,
  destination: IpAddress,
  sourcePort: u32,
  destinationPort: u32,
  sequence: u32,
  kind: IpError,
  mtu: u32,
): void {
  const t = connectionFind(source, sourcePort, destination, destinationPort);
  if (t === null) {
    tcpStats.icmpIgnored++;
    return;
  }
  if (!seqGreaterEqual(sequence, t.sndUna) || !seqLess(sequence, t.sndMax)) {
    tcpStats.icmpIgnored++;
    return;
  }
  if (kind == IpError.TooBig) {
    tooBig(t, mtu);
    return;
  }
  const error = errnoOf(kind);
  if (!error) return;
  const opening = t.state == State.SynSent || t.state == State.SynReceived;
  if (opening && isHard(kind)) connectionFail(t, error);
  else t.softError = <u8>error;
}

/** RFC 1122, 4.2.3.9: these say that trying again is no use. */
function isHard(kind: u32): bool {
  return (
    kind == IpError.ProtocolUnreachable ||
    kind == IpError.PortUnreachable ||
    kind == IpError.Prohibited
  );
}

/** What a program is told; 0 for what it need not hear. */
function errnoOf(kind: u32): u32 {
  switch (kind) {
    case IpError.NetworkUnreachable:
      return Errno.ENETUNREACH;
    case IpError.HostUnreachable:
    case IpError.Prohibited:
    case IpError.TimeExceeded:
      return Errno.EHOSTUNREACH;
    case IpError.ProtocolUnreachable:
    case IpError.PortUnreachable:
      return Errno.ECONNREFUSED;
    default:
      return 0;
  }
}

/** RFC 1191, 6.3: smaller segments from here on, and what did not fit again. */
function tooBig(t: Tcb, mtu: u32): void {
  const v4 = t.remote.isV4;
  const mss = mssOfMtu(max<u32>(mtu, v4 ? MTU_MIN_V4 : MTU_MIN_V6), v4);
  const before = t.sndMss;
  if (t.state < State.Established) return;
  setSegmentSize(t, min<u32>(mss, t.rcvMss));
  if (t.sndMss >= before) {
    t.sndMss = before;
    return;
  }
  t.clear(TcbFlag.RttTiming);
  markAllLost(t);
  markDirty(t);
}
