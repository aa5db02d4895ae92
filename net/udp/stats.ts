/** What became of UDP datagrams. */
@unmanaged
export class UdpStats {
  received: u64;
  delivered: u64;
  badLength: u64;
  badChecksum: u64;
  /** To a port that nobody has bound. */
  noPort: u64;
  /** For an endpoint whose queue is full. */
  queueFull: u64;
  /** Errors from the network that an endpoint was told of. */
  errors: u64;
  sent: u64;
  /** Not sent: no packet free. */
  noBuffer: u64;
  /** Datagrams that wait in endpoints' queues now. */
  queued: u32;
}

export const udpStats = changetype<UdpStats>(memory.data(offsetof<UdpStats>(), 8));
