/** What became of frames and packets of links over links; what went well, their devices count. */
@unmanaged
export class VirtualStats {
  /** Of a VLAN that this machine does not have, or a number that none may have. */
  vlanUnknown: u64;
  /** Not sent or taken, for want of a packet. */
  noBuffer: u64;

  /** Frames from one port of a bridge to another; of them, those that went to every port. */
  forwarded: u64;
  flooded: u64;
  /** For a station behind the port that they came in by: it has them already. */
  filtered: u64;
  /** For bridges alone (IEEE 802.1D, 7.12.6), or from no station. */
  reserved: u64;
  badSource: u64;
  /** Stations that a bridge has learnt; that were heard from another port; given up for others. */
  learnt: u64;
  moved: u64;
  evicted: u64;

  /** From nobody who is the other end of a tunnel, or with another key. */
  strangers: u64;
  /** GRE that contradicts itself or RFC 2784, or carries something else. */
  malformed: u64;
  badChecksum: u64;
  /** Older than what came before, or without a number (RFC 2890, 2.2). */
  outOfOrder: u64;
  /** The path marked what cannot be marked (RFC 6040, 4.2). */
  badEcn: u64;
  /** Larger than what a bridge's port carries, or than what comes over a tunnel here. */
  tooLong: u64;
  /** Not sent: the tunnel leads into itself; there is no route to its other end. */
  looped: u64;
  noRoute: u64;
  /** Errors that routers on a tunnel's path sent. */
  errors: u64;
  /** Not sent: the packet may go into no more tunnels (RFC 2473, 4.1.1). */
  limited: u64;
}

export const virtualStats = changetype<VirtualStats>(memory.data(offsetof<VirtualStats>(), 8));
