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
}

export const dhcpStats = changetype<DhcpStats>(memory.data(offsetof<DhcpStats>(), 8));
