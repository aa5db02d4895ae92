/** What became of packets for raw endpoints: each endpoint that hears one has a copy of its own. */
@unmanaged
export class RawStats {
  delivered: u64;
  /** Passed over: an ICMP type that the endpoint filters, or a checksum that is wrong. */
  filtered: u64;
  /** For an endpoint whose queue is full. */
  queueFull: u64;
  /** Errors from the network that an endpoint was told of. */
  errors: u64;
  sent: u64;
  /** Not copied or not sent: no packet free. */
  noBuffer: u64;
  /** Packets that wait in endpoints' queues now. */
  queued: u32;
}

export const rawStats = changetype<RawStats>(memory.data(offsetof<RawStats>(), 8));
