/**
 * What became of IP datagrams. Each one received is delivered, a fragment, or counted by one of the reasons; of
 * fragments, what was put together is delivered or counted as one.
 */
@unmanaged
export class IpStats {
  received: u64;
  delivered: u64;
  /** Shorter than a header, or lengths that contradict each other. */
  badLength: u64;
  badVersion: u64;
  badChecksum: u64;
  /** Options, or extension headers of IPv6, that run out of their place or must not be there. */
  badOptions: u64;
  sourceRouted: u64;
  /** Impossible as a source: group, broadcast, loopback, or one of our own addresses. */
  badSource: u64;
  /** Not an address of ours on that interface. */
  notForUs: u64;
  /** Broadcast on the link or in IP for a protocol that does not take it. */
  badBroadcast: u64;
  /** Fragments received, whatever became of them. */
  fragments: u64;
  unknownProtocol: u64;
  sent: u64;
  noRoute: u64;
  tooBig: u64;
  noNeighbour: u64;
  /** Not for us, and sent on: this machine is a router. */
  forwarded: u64;
  /** Not sent on: their time to live, or hop limit, was over. */
  expired: u64;
  /** Datagrams put together. */
  reassembled: u64;
  /** Fragments that no datagram has: of a wrong length, beyond the largest datagram, without the headers. */
  badFragments: u64;
  duplicateFragments: u64;
  /** Datagrams given up: their fragments overlap or contradict each other; some never came; no room. */
  overlaps: u64;
  reassemblyTimeouts: u64;
  reassemblyEvicted: u64;
  reassemblyNoBuffer: u64;
  /** Datagrams sent in fragments. */
  fragmented: u64;
}

export const ipStats = changetype<IpStats>(memory.data(offsetof<IpStats>(), 8));
/** The same of IPv6. */
export const ipv6Stats = changetype<IpStats>(memory.data(offsetof<IpStats>(), 8));
