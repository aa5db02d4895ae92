import { now as stepTime } from "../../../kernel/clock";
import { Errno } from "../../../kernel/errno";
import { IpError } from "../../ip/protocol";
import { IpAddress } from "../../wire/address";
import { connectionFail } from "../connection";
import { connectionFind } from "../demux";
import { PathBit, pathTooBig } from "./plpmtud";
import { seqGreaterEqual, seqLess } from "../seq";
import { tcpStats } from "../stats";
import { State } from "../tcb";

/**
 * ICMP errors about our segments. Anyone can forge one, so it counts only if it quotes a segment
 * in flight (RFC 5927, 4.1), and it ends a connection only while that is being opened (5.2):
 * later it is kept as the reason to give if the connection times out. That a neighbour is in doubt nobody outside can say.
 */

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
  const flies = t !== null && seqGreaterEqual(sequence, t.sndUna) && seqLess(sequence, t.sndMax);
  if (t === null || !flies) {
    if (kind != IpError.NeighbourDoubted) tcpStats.icmpIgnored++;
    return;
  }
  if (kind == IpError.NeighbourDoubted) {
    t.work.path |= <u8>PathBit.Doubted;
    return;
  }
  if (kind == IpError.TooBig) {
    if (t.state >= State.Established) pathTooBig(t, sequence, mtu, stepTime());
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
