/** What became of ICMP messages. */
@unmanaged
export class IcmpStats {
  received: u64;
  badLength: u64;
  badChecksum: u64;
  echoRequests: u64;
  echoReplies: u64;
  /** Echo requests to a broadcast or multicast address, which are not answered. */
  echoToGroup: u64;
  /** Errors about packets that we may have sent, handed to a transport. */
  errorsDelivered: u64;
  /** Errors whose quotation is not a packet of ours. */
  errorsInvalid: u64;
  /** Redirects that are not believed, and source quenches. */
  refused: u64;
  unknownType: u64;
  echoRepliesSent: u64;
  errorsSent: u64;
  /** Errors not sent because there were too many. */
  errorsLimited: u64;
  /** Errors not sent for want of a packet. */
  noBuffer: u64;
  /** Redirects that were believed, and our own. */
  redirects: u64;
  redirectsSent: u64;
}

export const icmpStats = changetype<IcmpStats>(memory.data(offsetof<IcmpStats>(), 8));
/** The same of ICMPv6. */
export const icmpv6Stats = changetype<IcmpStats>(memory.data(offsetof<IcmpStats>(), 8));
