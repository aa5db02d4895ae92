/** What the DHCP clients of all interfaces sent and received. */
@unmanaged
export class DhcpStats {
  discovers: u64;
  requests: u64;
  declines: u64;
  offers: u64;
  acks: u64;
  naks: u64;
  /** Messages that are malformed, no answer to us, or of a type that the state does not expect. */
  ignored: u64;
  /** Leases that ended before they could be renewed. */
  expired: u64;
  /** Not sent for want of a packet. */
  noBuffer: u64;
  releases: u64;
}

export const dhcpStats = changetype<DhcpStats>(memory.data(offsetof<DhcpStats>(), 8));

/** What the DHCP server received and sent. */
@unmanaged
export class DhcpServerStats {
  discovers: u64;
  offers: u64;
  requests: u64;
  acks: u64;
  naks: u64;
  declines: u64;
  releases: u64;
  informs: u64;
  /** Messages that are malformed, for another server, of no pool, or from a frame of another station. */
  ignored: u64;
  /** Probed before they were offered, and found to be somebody's. */
  conflicts: u64;
  /** No address was left. */
  exhausted: u64;
  /** More new clients than a network has. */
  limited: u64;
  /** Leases that ended. */
  expired: u64;
  /** Addresses that a station of RARP was told. */
  rarpReplies: u64;
  /** Not sent for want of a packet. */
  noBuffer: u64;
  /** Leases in force: a gauge. */
  leases: u64;
}

export const dhcpServerStats = changetype<DhcpServerStats>(
  memory.data(offsetof<DhcpServerStats>(), 8),
);
