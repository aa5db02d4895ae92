/** What the DHCPv6 clients of all interfaces sent and received. */
@unmanaged
export class Dhcpv6Stats {
  solicits: u64;
  requests: u64;
  confirms: u64;
  /** Renews and Rebinds. */
  renewals: u64;
  informationRequests: u64;
  declines: u64;
  releases: u64;
  advertises: u64;
  replies: u64;
  /** Messages that are malformed, no answer to us, or of a type that nothing waits for. */
  ignored: u64;
  /** Times that every address of a lease ended before it could be renewed. */
  expired: u64;
  /** Not sent for want of a packet. */
  noBuffer: u64;
}

export const dhcpv6Stats = changetype<Dhcpv6Stats>(memory.data(offsetof<Dhcpv6Stats>(), 8));
